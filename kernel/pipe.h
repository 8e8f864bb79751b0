/* SPDX-License-Identifier: MIT */
/*
 * pipe.h: bytes from who writes to who reads, in order, PIPE_BYTES at most on the way.
 *
 * A read takes what is there and waits only while there is nothing; with nobody left to write it is
 * the end. A write of up to PIPE_ATOMIC bytes goes in one piece, a longer one as room comes; with
 * nobody left to read it is -ASH_EPIPE (POSIX.1-2017, write()).
 */
#ifndef KERNEL_PIPE_H
#define KERNEL_PIPE_H

#include "open_file.h"

enum { PIPE_BYTES = 64 << 10, PIPE_ATOMIC = 4096 };

/* Both ends, a reference each; flags: OPEN_NONBLOCK or 0. -ASH_ENOMEM. */
int pipe_new(const struct allocator *allocator, uint32_t flags, struct open_file **reader,
             struct open_file **writer) ASH_MUST_CHECK;

#endif
