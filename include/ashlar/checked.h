/* SPDX-License-Identifier: MIT */
/*
 * checked.h: arithmetic on sizes that come from outside. Each returns true and stores the result,
 * or returns false where it does not fit, the result then being unspecified.
 */
#ifndef ASHLAR_CHECKED_H
#define ASHLAR_CHECKED_H

#include <ashlar/base.h>

static inline bool ash_add_u64(uint64_t a, uint64_t b, uint64_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool ash_sub_u64(uint64_t a, uint64_t b, uint64_t *difference) {
    return !__builtin_sub_overflow(a, b, difference);
}

static inline bool ash_mul_u64(uint64_t a, uint64_t b, uint64_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

static inline bool ash_add_size(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool ash_mul_size(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

/* x rounded up to a multiple of align, a power of two. */
static inline bool ash_align_up_checked(uint64_t x, uint64_t align, uint64_t *result) {
    if (!ash_add_u64(x, align - 1, result))
        return false;
    *result = ash_align_down(*result, align);
    return true;
}

/* [start, start + len) lies inside [0, limit); an empty range may start at limit. */
static inline bool ash_range_fits(uint64_t start, uint64_t len, uint64_t limit) {
    return start <= limit && len <= limit - start;
}

#endif
