/* SPDX-License-Identifier: MIT */
/*
 * bits.h: bit operations that never call the compiler's runtime library (no __popcountdi2, no
 * __clzdi2, no __udivti3 in any build), each defined for every argument, 0 included.
 */
#ifndef ASHLAR_BITS_H
#define ASHLAR_BITS_H

#include <ashlar/base.h>

/* Index of the lowest bit set, 0..63; 64 for 0. */
static inline uint32_t ash_ctz64(uint64_t x) {
#if defined(__x86_64__) || defined(__aarch64__)
    return x == 0 ? 64u : (uint32_t)__builtin_ctzll(x);
#else
    /* de Bruijn: isolate the lowest bit, hash it by its position. Leiserson, Prokop, Randall
     * 1998. */
    static const uint8_t index[64] = {
        0,  1,  2,  53, 3,  7,  54, 27, 4,  38, 41, 8,  34, 55, 48, 28, 62, 5,  39, 46, 44, 42,
        22, 9,  24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
        23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12};
    return x == 0 ? 64u : index[((x & (0 - x)) * UINT64_C(0x022fdd63cc95386d)) >> 58];
#endif
}

/* Zero bits above the highest bit set, 0..63; 64 for 0. */
static inline uint32_t ash_clz64(uint64_t x) {
#if defined(__x86_64__) || defined(__aarch64__)
    return x == 0 ? 64u : (uint32_t)__builtin_clzll(x);
#else
    uint32_t n = 64;
    for (uint32_t step = 32; step != 0; step >>= 1) {
        if (x >> step != 0) {
            n -= step;
            x >>= step;
        }
    }
    return n - (uint32_t)x;
#endif
}

/* Bits set, 0..64. Hacker's Delight 2nd ed., 5-1. */
static inline uint32_t ash_popcount64(uint64_t x) {
    x -= (x >> 1) & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + ((x >> 2) & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)((x * UINT64_C(0x0101010101010101)) >> 56);
}

/* Floor of the logarithm to base 2; x must not be 0 (0 gives UINT32_MAX). */
static inline uint32_t ash_log2_floor(uint64_t x) {
    return 63u - ash_clz64(x);
}

/* Smallest n with 2^n >= x; 0 for 0 and 1. */
static inline uint32_t ash_log2_ceil(uint64_t x) {
    return x <= 1 ? 0u : 64u - ash_clz64(x - 1);
}

/*
 * floor(high:low / divisor), for a quotient that fits 64 bits (high < divisor), by Knuth's
 * algorithm D on 32-bit digits (TAOCP 2, 4.3.1; Hacker's Delight 2nd ed., 9-4). At most two
 * corrections per digit, no loop beyond that.
 */
static inline uint64_t ash_div_128_by_64(uint64_t high, uint64_t low, uint64_t divisor) {
    const uint64_t base = UINT64_C(1) << 32;
    uint32_t shift = ash_clz64(divisor);
    divisor <<= shift;
    uint64_t d1 = divisor >> 32, d0 = divisor & (base - 1);
    uint64_t rest = shift == 0 ? high : (high << shift) | (low >> (64 - shift));
    low <<= shift;
    uint64_t digits[2] = {low >> 32, low & (base - 1)};
    uint64_t quotient = 0;
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t q = rest / d1, r = rest % d1;
        while (q >= base || q * d0 > (r << 32 | digits[i])) {
            q--;
            r += d1;
            if (r >= base)
                break;
        }
        rest = (rest << 32 | digits[i]) - q * divisor;
        quotient = quotient << 32 | q;
    }
    return quotient;
}

/* a * b / divisor with a 128-bit product; saturates at UINT64_MAX, also for divisor 0. */
static inline uint64_t ash_mul_div_u64(uint64_t a, uint64_t b, uint64_t divisor) {
    __extension__ typedef unsigned __int128 u128;
    u128 product = (u128)a * b;
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    if (high >= divisor)
        return UINT64_MAX;
    return high == 0 ? low / divisor : ash_div_128_by_64(high, low, divisor);
}

#endif
