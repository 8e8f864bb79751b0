/* SPDX-License-Identifier: MIT */
/* sum.c: a sum of fractions, Q/T or Q/D, against 1: exact, digit by digit, in 64 bits. */
#include "admission.h"

/* A rest below 2^40 times 2^24 fits. */
#define DIGIT_BITS 24
/* Digits after which it pays to find out how many are needed at all. */
#define DIGITS_PLAIN 4

static uint64_t below(const struct ash_sched_term *term, bool density) {
    return density ? term->relative_ns : term->period_ns;
}

/* The next digit of each fraction, off the gap. Returns whether a rest is left anywhere. */
static bool next_digit(const struct ash__sched_set *set, bool density,
                       struct ash__sched_spare *spare) {
    bool rests = false;
    spare->gap <<= DIGIT_BITS;
    spare->bits += DIGIT_BITS;
    for (uint32_t i = 0; i < set->count; i++) {
        struct ash_sched_term *term = &set->terms[i];
        uint64_t value = term->rest << DIGIT_BITS, divisor = below(term, density);
        spare->gap -= (int64_t)(value / divisor);
        term->rest = value % divisor;
        rests |= term->rest != 0;
    }
    return rests;
}

static uint64_t gcd(uint64_t a, uint64_t b) {
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/*
 * How many digits, in bits, tell the sum from 1: it differs by 1 over the least common multiple of
 * the denominators at least, and that divides the product of those of a few of them at a time.
 */
static uint64_t bits_apart(const struct ash__sched_set *set, bool density) {
    uint64_t bits = 0, multiple = 1;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct ash_sched_term *term = &set->terms[i];
        uint64_t divisor = below(term, density) / gcd(below(term, density), term->runtime_ns);
        uint64_t more = divisor / gcd(multiple, divisor);
        if (multiple > UINT64_MAX / more) {
            bits += ash_log2_floor(multiple) + 1;
            multiple = 1;
            more = divisor;
        }
        multiple *= more;
    }
    return bits + ash_log2_floor(multiple) + ash_log2_floor(set->count) + 4;
}

/* Open is a gap between 0 and 2 count. */
enum ash__sched_verdict ash__sched_sum(const struct ash__sched_set *set, bool density,
                                       struct ash__sched_spare *spare) {
    uint64_t bits_max = UINT64_MAX;
    int64_t count = (int64_t)set->count;
    uint32_t rounds = ash__sched_rounds_max(set);
    *spare = (struct ash__sched_spare){1, 0};
    for (uint32_t i = 0; i < set->count; i++) {
        struct ash_sched_term *term = &set->terms[i];
        spare->gap -= (int64_t)(term->runtime_ns / below(term, density));
        term->rest = term->runtime_ns % below(term, density);
    }
    while (spare->gap >= 0 && spare->gap < 2 * count && spare->bits < bits_max) {
        if (rounds-- == 0)
            return ASH__SCHED_UNDECIDED;
        if (!next_digit(set, density, spare))
            break;
        if (spare->bits == DIGITS_PLAIN * DIGIT_BITS)
            bits_max = bits_apart(set, density);
    }
    return spare->gap >= 0 ? ASH__SCHED_FITS : ASH__SCHED_EXCEEDS;
}
