/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/bits.h>, against bit by bit and digit by digit counting. */
#include "harness/test.h"

#include <ashlar/bits.h>

static uint32_t slow_popcount(uint64_t x) {
    uint32_t count = 0;
    for (uint32_t bit = 0; bit < 64; bit++)
        count += x >> bit & 1;
    return count;
}

static uint32_t slow_ctz(uint64_t x) {
    uint32_t bit = 0;
    while (bit < 64 && (x >> bit & 1) == 0)
        bit++;
    return bit;
}

static uint32_t slow_clz(uint64_t x) {
    uint32_t zeros = 0;
    while (zeros < 64 && (x >> (63 - zeros) & 1) == 0)
        zeros++;
    return zeros;
}

static void check_counts(uint64_t x) {
    CHECK_EQ(ash_popcount64(x), slow_popcount(x));
    CHECK_EQ(ash_ctz64(x), slow_ctz(x));
    CHECK_EQ(ash_clz64(x), slow_clz(x));
}

TEST_CASE(bits, counts_are_defined_for_0) {
    CHECK_EQ(ash_ctz64(0), 64);
    CHECK_EQ(ash_clz64(0), 64);
    CHECK_EQ(ash_popcount64(0), 0);
    CHECK_EQ(ash_log2_ceil(0), 0);
}

TEST_CASE(bits, counts_match_counting_bit_by_bit) {
    for (uint32_t bit = 0; bit < 64; bit++) {
        check_counts(UINT64_C(1) << bit);
        check_counts((UINT64_C(1) << bit) - 1);
        check_counts(UINT64_MAX << bit);
    }
    struct test_random random = test_random_from(test_seed());
    for (uint32_t i = 0; i < 2000; i++)
        check_counts(test_random_u64(&random) & test_random_u64(&random));
}

TEST_CASE(bits, logarithms_round_down_and_up) {
    CHECK_EQ(ash_log2_floor(1), 0);
    CHECK_EQ(ash_log2_ceil(1), 0);
    for (uint32_t bit = 1; bit < 64; bit++) {
        uint64_t power = UINT64_C(1) << bit;
        CHECK_EQ(ash_log2_floor(power), bit);
        CHECK_EQ(ash_log2_floor(power - 1), bit - 1);
        CHECK_EQ(ash_log2_ceil(power), bit);
        if (bit > 1)
            CHECK_EQ(ash_log2_ceil(power - 1), bit);
        CHECK_EQ(ash_log2_ceil(power + 1), bit + 1);
    }
    CHECK_EQ(ash_log2_ceil(UINT64_MAX), 64);
}

/* The long division of school, one binary digit at a time. */
static uint64_t slow_div(uint64_t high, uint64_t low, uint64_t divisor) {
    uint64_t quotient = 0;
    for (uint32_t bit = 64; bit-- != 0;) {
        bool carry = high >> 63 != 0;
        high = high << 1 | (low >> bit & 1);
        if (carry || high >= divisor) {
            high -= divisor;
            quotient |= UINT64_C(1) << bit;
        }
    }
    return quotient;
}

/* Boundary values and all widths between. */
static uint64_t any_u64(struct test_random *random) {
    static const uint64_t edges[] = {
        0, 1, 2, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX};
    if (test_random_chance(random, 30))
        return edges[test_random_below(random, ASH_ARRAY_LEN(edges))];
    return test_random_u64(random) >> test_random_below(random, 64);
}

TEST_CASE(bits, division_of_128_bits_matches_long_division) {
    struct test_random random = test_random_from(test_seed());
    for (uint32_t i = 0; i < 3000; i++) {
        uint64_t divisor = any_u64(&random), low = any_u64(&random);
        if (divisor == 0)
            continue;
        uint64_t high = any_u64(&random) % divisor;
        CHECK(ash_div_128_by_64(high, low, divisor) == slow_div(high, low, divisor));
    }
    CHECK(ash_div_128_by_64(UINT64_MAX - 1, UINT64_MAX, UINT64_MAX) == UINT64_MAX);
}

TEST_CASE(bits, product_over_divisor_is_exact_or_saturates) {
    CHECK_EQ(ash_mul_div_u64(6, 7, 2), 21);
    CHECK(ash_mul_div_u64(UINT64_MAX, UINT64_MAX, UINT64_MAX) == UINT64_MAX);
    CHECK(ash_mul_div_u64(UINT64_MAX, 10, 100) == UINT64_MAX / 10);
    CHECK(ash_mul_div_u64(UINT64_MAX, 2, 1) == UINT64_MAX);
    CHECK(ash_mul_div_u64(1, 1, 0) == UINT64_MAX);
    CHECK(ash_mul_div_u64(0, 5, 3) == 0);
    /* A cycle counter at 62.5 MHz in nanoseconds, a century after boot. */
    uint64_t ticks = UINT64_C(62500000) * 3600 * 24 * 36525;
    CHECK(ash_mul_div_u64(ticks, 1000000000, 62500000) == ticks * 16);
}
