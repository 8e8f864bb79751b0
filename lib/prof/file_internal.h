/* SPDX-License-Identifier: MIT */
/*
 * file_internal.h: what writer and reader of the container share: where things lie, and the check
 * sum.
 */
#ifndef ASHLAR_PROF_FILE_INTERNAL_H
#define ASHLAR_PROF_FILE_INTERNAL_H

#include <ashlar/checked.h>
#include <ashlar/prof_file.h>

#define ASH__PROF_FILE_ALIGN 64u

_Static_assert(sizeof(struct ash_prof_file_header) == 64, "as written");
_Static_assert(sizeof(struct ash_prof_file_section) == 32, "as written");
_Static_assert(sizeof(struct ash_prof_file_end) == 16, "as written");
_Static_assert(sizeof(struct ash_prof_event) == 16, "as written");
_Static_assert(sizeof(struct ash_prof_task) == 32, "as written");
_Static_assert(sizeof(struct ash_prof_image) == 72, "as written");
_Static_assert(sizeof(struct ash_prof_symbol) == 16, "as written");
_Static_assert(sizeof(struct ash_prof_trace) == 24, "as written");
_Static_assert(sizeof(struct ash_prof_profile) == 72, "as written");

/* The CRC-32 of gzip (RFC 1952, 8) of what crc is that of and these bytes; 0 of nothing. */
uint32_t ash__prof_crc32(uint32_t crc, const void *bytes, size_t len);

#endif
