/* SPDX-License-Identifier: MIT */
/*
 * rational.h: the numbers of a task set and of what came of it: exact fractions of 64 bits, in
 * lowest terms. What does not fit is said, and not rounded.
 */
#ifndef SCHEDSIM_RATIONAL_H
#define SCHEDSIM_RATIONAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rational {
    int64_t num, den; /* den > 0 */
};

enum { RATIONAL_TEXT_MAX = 48 };

/* In lowest terms; false: it does not fit. den is not 0. */
bool rational_make(__int128 num, __int128 den, struct rational *made);
/* 12, -3.25, 1e3, 7/2: all of `text`; false: that is no number, or it does not fit. */
bool rational_parse(const char *text, size_t len, struct rational *parsed);
int rational_compare(struct rational a, struct rational b); /* < 0, 0, > 0 */
unsigned __int128 rational_gcd(unsigned __int128 a, unsigned __int128 b);
/* The least common multiple; 0: it is more than `most`. */
uint64_t rational_lcm(uint64_t a, uint64_t b, uint64_t most);
/* "12" or "7/2". */
const char *rational_text(struct rational value, char text[RATIONAL_TEXT_MAX]);

static inline struct rational rational_of(int64_t value) {
    return (struct rational){.num = value, .den = 1};
}

static inline double rational_double(struct rational value) {
    return (double)value.num / (double)value.den;
}

#endif
