/* SPDX-License-Identifier: MIT */
/*
 * Theories: checked arithmetic and bit operations against naive ones or the compiler's wider type,
 * over the grid of values where carries, borrows and shifts change.
 */
#include <ashlar/bits.h>
#include <ashlar/checked.h>
#include <criterion/criterion.h>
#include <criterion/theories.h>

__extension__ typedef unsigned __int128 u128;

#define EDGES                                                                                     \
    UINT64_C(0), UINT64_C(1), UINT64_C(2), UINT64_C(3), UINT64_C(0x7fffffff),                     \
        UINT64_C(0x80000000), UINT64_C(0xffffffff), UINT64_C(0x100000000), UINT64_C(0x100000001), \
        UINT64_C(0x7fffffffffffffff), UINT64_C(0x8000000000000000), UINT64_C(0x8000000000000001), \
        UINT64_C(0xffffffff00000000), UINT64_C(0xffffffff00000001), UINT64_C(0xfffffffffffffffe), \
        UINT64_MAX

TheoryDataPoints(checked, sum_and_difference) = {DataPoints(uint64_t, EDGES),
                                                 DataPoints(uint64_t, EDGES)};
Theory((uint64_t a, uint64_t b), checked, sum_and_difference) {
    uint64_t result;
    u128 sum = (u128)a + b;
    cr_assert_eq(ash_add_u64(a, b, &result), sum <= UINT64_MAX);
    if (sum <= UINT64_MAX)
        cr_assert_eq(result, (uint64_t)sum);
    cr_assert_eq(ash_sub_u64(a, b, &result), a >= b);
    if (a >= b)
        cr_assert_eq(result, a - b);
}

TheoryDataPoints(checked, product) = {DataPoints(uint64_t, EDGES), DataPoints(uint64_t, EDGES)};
Theory((uint64_t a, uint64_t b), checked, product) {
    uint64_t result;
    u128 product = (u128)a * b;
    cr_assert_eq(ash_mul_u64(a, b, &result), product <= UINT64_MAX);
    if (product <= UINT64_MAX)
        cr_assert_eq(result, (uint64_t)product);
}

/* A combination costs milliseconds: where there are three arguments, loops run two of them. */
static const uint64_t edges[] = {EDGES};

TheoryDataPoints(checked, range) = {DataPoints(uint64_t, EDGES)};
Theory((uint64_t limit), checked, range) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(edges); i++) {
        for (size_t j = 0; j < ASH_ARRAY_LEN(edges); j++)
            cr_assert_eq(ash_range_fits(edges[i], edges[j], limit),
                         (u128)edges[i] + edges[j] <= limit, "start %#lx len %#lx limit %#lx",
                         edges[i], edges[j], limit);
    }
}

TheoryDataPoints(checked, align_up) = {
    DataPoints(uint64_t, EDGES),
    DataPoints(uint64_t, 1, 2, 64, 4096, UINT64_C(1) << 32, UINT64_C(1) << 63)};
Theory((uint64_t x, uint64_t align), checked, align_up) {
    uint64_t result;
    u128 up = ((u128)x + align - 1) / align * align;
    cr_assert_eq(ash_align_up_checked(x, align, &result), up <= UINT64_MAX);
    if (up <= UINT64_MAX)
        cr_assert_eq(result, (uint64_t)up);
}

TheoryDataPoints(bits, division_of_128_by_64) = {DataPoints(uint64_t, EDGES)};
Theory((uint64_t divisor), bits, division_of_128_by_64) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(edges) && edges[i] < divisor; i++) {
        for (size_t j = 0; j < ASH_ARRAY_LEN(edges); j++) {
            u128 dividend = (u128)edges[i] << 64 | edges[j];
            cr_assert_eq(ash_div_128_by_64(edges[i], edges[j], divisor),
                         (uint64_t)(dividend / divisor), "%#lx:%#lx / %#lx", edges[i], edges[j],
                         divisor);
        }
    }
}

TheoryDataPoints(bits, multiply_then_divide) = {DataPoints(uint64_t, EDGES)};
Theory((uint64_t divisor), bits, multiply_then_divide) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(edges); i++) {
        for (size_t j = 0; j < ASH_ARRAY_LEN(edges); j++) {
            u128 product = (u128)edges[i] * edges[j];
            u128 quotient = divisor == 0 ? (u128)UINT64_MAX : product / divisor;
            uint64_t expected = quotient > UINT64_MAX ? UINT64_MAX : (uint64_t)quotient;
            cr_assert_eq(ash_mul_div_u64(edges[i], edges[j], divisor), expected,
                         "%#lx * %#lx / %#lx", edges[i], edges[j], divisor);
        }
    }
}

static void check_counts(uint64_t x) {
    uint32_t ones = 0, lowest = 64, highest = 64;
    for (uint32_t i = 0; i < 64; i++) {
        if ((x >> i & 1) == 0)
            continue;
        ones++;
        highest = i;
        lowest = lowest == 64 ? i : lowest;
    }
    cr_assert_eq(ash_popcount64(x), ones);
    cr_assert_eq(ash_ctz64(x), lowest);
    cr_assert_eq(ash_clz64(x), x == 0 ? 64 : 63 - highest);
    if (x != 0) {
        cr_assert_eq(ash_log2_floor(x), highest);
        cr_assert_eq(ash_log2_ceil(x), highest + (x != UINT64_C(1) << highest));
    }
}

TheoryDataPoints(bits, counts_and_logarithms) = {DataPoints(uint64_t, EDGES)};
Theory((uint64_t a), bits, counts_and_logarithms) {
    for (uint32_t shift = 0; shift < 64; shift++) {
        check_counts(a >> shift);
        check_counts(a << shift);
    }
}
