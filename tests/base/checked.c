/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/checked.h> and of the alignment arithmetic in <ashlar/base.h>. */
#include "harness/test.h"

#include <ashlar/checked.h>

TEST_CASE(checked, sums_say_whether_they_fit) {
    uint64_t sum;
    CHECK(ash_add_u64(UINT64_MAX - 5, 5, &sum) && sum == UINT64_MAX);
    CHECK(!ash_add_u64(UINT64_MAX - 5, 6, &sum));
    CHECK(ash_sub_u64(5, 5, &sum) && sum == 0);
    CHECK(!ash_sub_u64(5, 6, &sum));
    size_t size;
    CHECK(ash_add_size(SIZE_MAX - 1, 1, &size) && size == SIZE_MAX);
    CHECK(!ash_add_size(SIZE_MAX, 1, &size));
}

TEST_CASE(checked, products_say_whether_they_fit) {
    uint64_t product;
    CHECK(ash_mul_u64(UINT32_MAX, UINT32_MAX, &product));
    CHECK(product == UINT64_C(0xfffffffe00000001));
    CHECK(!ash_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &product));
    CHECK(ash_mul_u64(UINT64_MAX, 0, &product) && product == 0);
    size_t size;
    CHECK(!ash_mul_size(SIZE_MAX / 2 + 1, 2, &size));
    CHECK(ash_mul_size(SIZE_MAX / 2, 2, &size) && size == SIZE_MAX - 1);
}

TEST_CASE(checked, alignment_up_says_whether_it_fits) {
    uint64_t result;
    CHECK(ash_align_up_checked(4097, 4096, &result) && result == 8192);
    CHECK(ash_align_up_checked(4096, 4096, &result) && result == 4096);
    CHECK(ash_align_up_checked(0, 4096, &result) && result == 0);
    CHECK(ash_align_up_checked(UINT64_MAX - 4095, 4096, &result) && result == UINT64_MAX - 4095);
    CHECK(!ash_align_up_checked(UINT64_MAX - 4094, 4096, &result));
    CHECK(ash_align_up_checked(UINT64_MAX, 1, &result) && result == UINT64_MAX);
}

TEST_CASE(checked, ranges_at_the_limit_fit_and_past_it_do_not) {
    CHECK(ash_range_fits(0, 10, 10));
    CHECK(ash_range_fits(10, 0, 10));
    CHECK(!ash_range_fits(10, 1, 10));
    CHECK(!ash_range_fits(11, 0, 10));
    CHECK(!ash_range_fits(1, UINT64_MAX, UINT64_MAX));
    CHECK(!ash_range_fits(UINT64_MAX, UINT64_MAX, 4096));
}

TEST_CASE(base, alignment_agrees_with_division) {
    struct test_random random = test_random_from(test_seed());
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t align = UINT64_C(1) << test_random_below(&random, 20);
        uint64_t x = test_random_u64(&random) >> 1;
        CHECK(ash_align_down(x, align) == x / align * align);
        CHECK(ash_align_up(x, align) == (x + align - 1) / align * align);
        CHECK(ash_is_aligned(x, align) == (x % align == 0));
        CHECK(ash_is_pow2(align));
    }
    CHECK(!ash_is_pow2(0));
    CHECK(!ash_is_pow2(12));
}

TEST_CASE(base, container_of_undoes_member_access) {
    struct holder {
        uint8_t before;
        uint32_t member;
    } holder;
    CHECK(ASH_CONTAINER_OF(&holder.member, struct holder, member) == &holder);
}
