/* SPDX-License-Identifier: MIT */
/* numbers.h: the numbers and times that commands take, and times as they show them. */
#ifndef KERNEL_NUMBERS_H
#define KERNEL_NUMBERS_H

#include <ashlar/base.h>

/* All of text: decimal, 0x... or 0..., then b (of 512), k, m or g, also as capitals, or nothing.
 * False: it is no number, or does not fit. */
bool number_parse(const char *text, uint64_t *value);

/* The same between two bounds. */
bool number_parse_within(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* All of text: decimal digits, behind a sign or not. One beyond +-(2^31 - 1) is taken for that. */
bool number_parse_signed(const char *text, int32_t *value);

/* All of text: "300us", "5ms", "1.5s": decimal digits, perhaps a point and up to nine more, then
 * ns, us, ms or s. False: anything else, a part of a nanosecond, or it does not fit. */
bool duration_parse(const char *text, ash_ns_t *duration_ns);

enum { DURATION_TEXT_BYTES = 24 };

/* The same way round: "300us", "1.5ms"; rounded down to three digits, but whole seconds are. */
const char *duration_text(char text[DURATION_TEXT_BYTES], ash_ns_t duration_ns);

#endif
