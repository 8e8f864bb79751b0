/* SPDX-License-Identifier: MIT */
/* Cases of ranges as operands of TLBI: decoded as the manual says, they are the range. */
#include "qemu-virt/tlb_range.h"

#include "harness/test.h"

enum { ROUNDS = 5000, INSTRUCTIONS_MAX = 20 };

static uint64_t bits(uint64_t operand, uint32_t high, uint32_t low) {
    return operand >> low & ((UINT64_C(1) << (high - low + 1)) - 1);
}

/* Arm ARM C5.5: ASID 63..48, TG 47..46 (1: 4 KiB), SCALE 45..44, NUM 43..39, TTL 38..37 (0: any
 * level), BaseADDR 36..0. */
static void check_range(uint32_t asid, uint64_t va, uint64_t pages) {
    uint64_t next = va, left = pages, at = va >> ASH_PAGE_SHIFT;
    uint32_t instructions = 0;
    while (left != 0) {
        uint64_t operand = tlb_range_operand(asid, &next, &left);
        uint64_t covered = (bits(operand, 43, 39) + 1) << (5 * bits(operand, 45, 44) + 1);
        CHECK_EQ(bits(operand, 63, 48), asid);
        CHECK_EQ(bits(operand, 47, 46), 1);
        CHECK_EQ(bits(operand, 38, 37), 0);
        CHECK_EQ(bits(operand, 36, 0), at & ((UINT64_C(1) << 37) - 1));
        CHECK(covered << ASH_PAGE_SHIFT < UINT64_C(1) << 32);
        at += covered;
        CHECK_EQ(at << ASH_PAGE_SHIFT, next);
        CHECK_EQ(at - (va >> ASH_PAGE_SHIFT) + left, pages);
        CHECK(++instructions <= INSTRUCTIONS_MAX);
    }
    CHECK_EQ(at, (va >> ASH_PAGE_SHIFT) + pages);
}

TEST_CASE(tlb_range, operands_cover_the_range_and_nothing_else) {
    struct test_random random = test_random_from(test_seed());
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t pages = 2 + 2 * test_random_below(&random, UINT64_C(1) << (1 + i % 22));
        uint64_t va = test_random_below(&random, UINT64_C(1) << 35) << ASH_PAGE_SHIFT;
        uint64_t half = i % 2 == 0 ? 0 : UINT64_C(0xffff000000000000);
        check_range((uint32_t)test_random_below(&random, 1 << 16), half + va, pages);
    }
}

TEST_CASE(tlb_range, operands_of_every_small_number_and_of_the_edges) {
    for (uint64_t pages = 2; pages <= 4200; pages += 2)
        check_range(1, UINT64_C(0x7fff00000000), pages);
    for (uint32_t shift = 1; shift < 22; shift++) {
        check_range(UINT16_MAX, 0, UINT64_C(2) << shift);
        check_range(UINT16_MAX, 0, (UINT64_C(2) << shift) + 2);
        check_range(UINT16_MAX, 0, (UINT64_C(2) << shift) - 2);
    }
}

TEST_CASE(tlb_range, numbers_of_five_bits_are_one_operand) {
    for (uint32_t scale = 0; scale < 3; scale++) {
        for (uint64_t units = 1; units < 32; units++) {
            uint64_t va = 0, pages = units << (5 * scale + 1);
            (void)tlb_range_operand(1, &va, &pages);
            CHECK_EQ(pages, 0);
        }
    }
}
