/* SPDX-License-Identifier: MIT */
/* numbers.h: the numbers that commands take. */
#ifndef KERNEL_NUMBERS_H
#define KERNEL_NUMBERS_H

#include <ashlar/base.h>

/* All of text: decimal, 0x... or 0..., then b (of 512), k, m or g, also as capitals, or nothing.
 * False: it is no number, or does not fit. */
bool number_parse(const char *text, uint64_t *value);

/* The same between two bounds. */
bool number_parse_within(const char *text, uint64_t min, uint64_t max, uint64_t *value);

#endif
