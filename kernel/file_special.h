/* SPDX-License-Identifier: MIT */
/* file_special.h: the files that no disk has: /dev/null, /dev/zero, and /dev/trace_marker: what is
 * written to it is a marker in the trace, also by the name that Linux has for it. */
#ifndef KERNEL_FILE_SPECIAL_H
#define KERNEL_FILE_SPECIAL_H

#include "open_file.h"

/* By its path from the root. -ASH_ENOENT: it is none of these; -ASH_ENOMEM. */
int file_special_open(const char *path, uint32_t flags, const struct allocator *allocator,
                      struct open_file **file) ASH_MUST_CHECK;

#endif
