/* SPDX-License-Identifier: MIT */
/* memory.c: guest memory: what is inside, what is refused, and the seam between two ranges. */
#include "harness/test.h"
#include "hosted/guest_memory.h"

#include <ashlar/error.h>

enum { HALF = 4096 };
#define BASE UINT64_C(0x80000000)

/* Two ranges that touch in the guest, and do not here. */
static struct guest_memory *two_halves(uint8_t **low, uint8_t **high) {
    struct guest_memory *memory = test_alloc(sizeof(*memory), 8);
    *low = test_alloc(HALF, 8);
    test_alloc(64, 8);
    *high = test_alloc(HALF, 8);
    guest_memory_init(memory);
    CHECK(guest_memory_add(memory, BASE, *low, HALF) == 0);
    CHECK(guest_memory_add(memory, BASE + HALF, *high, HALF) == 0);
    return memory;
}

TEST_CASE(device_memory, access_runs_over_the_seam_of_two_ranges) {
    uint8_t *low, *high, out[4] = {1, 2, 3, 4}, in[4];
    struct guest_memory *memory = two_halves(&low, &high);
    CHECK(guest_memory_write(memory, BASE + HALF - 2, out, 4));
    CHECK_EQ(low[HALF - 1], 2);
    CHECK_EQ(high[0], 3);
    CHECK(guest_memory_read(memory, BASE + HALF - 2, in, 4));
    CHECK_MEM_EQ(in, out, 4);
    CHECK_EQ(memory->refused, 0);
}

TEST_CASE(device_memory, access_outside_is_refused_whole_and_counted) {
    uint8_t *low, *high, bytes[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    struct guest_memory *memory = two_halves(&low, &high);
    memset(high, 7, HALF);
    CHECK(!guest_memory_write(memory, BASE + 2 * HALF - 4, bytes, 8));
    CHECK_EQ(high[HALF - 4], 7);
    CHECK(!guest_memory_read(memory, BASE + 2 * HALF - 4, bytes, 8));
    CHECK_EQ(bytes[0], 0);
    CHECK(!guest_memory_read(memory, BASE - 1, bytes, 2));
    CHECK(!guest_memory_read(memory, UINT64_MAX - 3, bytes, 8));
    CHECK_EQ(memory->refused, 4);
    CHECK_EQ(memory->refused_len, 8);
    CHECK(!guest_memory_contains(memory, BASE, UINT64_MAX));
    CHECK(guest_memory_contains(memory, 0, 0));
    CHECK_EQ(memory->refused, 4);
}

TEST_CASE(device_memory, indexes_are_little_endian_and_aligned) {
    uint8_t *low, *high;
    uint16_t value;
    struct guest_memory *memory = two_halves(&low, &high);
    CHECK(guest_memory_store_u16(memory, BASE + 2, 0x1234));
    CHECK_EQ(low[2], 0x34);
    CHECK_EQ(low[3], 0x12);
    CHECK(guest_memory_load_u16(memory, BASE + 2, &value));
    CHECK_EQ(value, 0x1234);
    CHECK(!guest_memory_load_u16(memory, BASE + 1, &value));
    CHECK(!guest_memory_store_u16(memory, BASE + 2 * HALF, 1));
    CHECK_EQ(memory->refused, 2);
}

TEST_CASE(device_memory, range_that_overlaps_or_wraps_is_refused) {
    uint8_t *low, *high;
    struct guest_memory *memory = two_halves(&low, &high);
    CHECK_EQ(guest_memory_add(memory, BASE + HALF - 1, low, 2), -ASH_EINVAL);
    CHECK_EQ(guest_memory_add(memory, 0, low, 0), -ASH_EINVAL);
    CHECK_EQ(guest_memory_add(memory, UINT64_MAX, low, 2), -ASH_EINVAL);
    for (uint32_t i = 2; i < GUEST_MEMORY_RANGES_MAX; i++)
        CHECK_EQ(guest_memory_add(memory, 16 * i, low, 1), 0);
    CHECK_EQ(guest_memory_add(memory, 8, low, 1), -ASH_ENOSPC);
}
