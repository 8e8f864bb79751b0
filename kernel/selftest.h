/* SPDX-License-Identifier: MIT */
/* selftest.h: runs the test cases that are linked into the kernel. */
#ifndef KERNEL_SELFTEST_H
#define KERNEL_SELFTEST_H

#include <ashlar/base.h>

enum { SELFTEST_ARENA_BYTES = 32 << 20, SELFTEST_ARENA_ALIGN = 2 << 20 };

/*
 * `words` is what follows "test": suites, suite.case and seed=N, separated by spaces. Prints TAP.
 * arena: SELFTEST_ARENA_BYTES for test_alloc, aligned to SELFTEST_ARENA_ALIGN.
 * The number of failed cases; -ASH_EINVAL, with a reason printed, when nothing could be run.
 */
int selftest_run(const char *words, void *arena);

#endif
