/* SPDX-License-Identifier: MIT */
/* Cases of ash_buddy_check: seeded corruption, found and named. */
#include "buddy/fixture.h"

#define CHECK_BROKEN(buddy, invariant)               \
    do {                                             \
        const char *broken = ash_buddy_check(buddy); \
        CHECK(broken != NULL);                       \
        char number[3] = {broken[0], broken[1], 0};  \
        CHECK_STR_EQ(number, (invariant));           \
    } while (0)

/* Of 60 frames: 0 and 30 allocated, 16..19 too, as one block; 40..42 reserved. */
static void scene(struct ash_buddy *buddy) {
    buddy_over_one(buddy, 0, 60);
    CHECK_EQ(ash_buddy_alloc_at(buddy, 16, 2, 5), 0);
    CHECK_EQ(ash_buddy_alloc_at(buddy, 0, 0, 0), 0);
    CHECK_EQ(ash_buddy_alloc_at(buddy, 30, 0, 7), 0);
    CHECK_EQ(ash_buddy_reserve(buddy, 40, 3), 0);
    CHECK(ash_buddy_check(buddy) == NULL);
}

/* As the buddy itself would, but whatever the state. */
static void force_free(struct ash_buddy *buddy, uint32_t order, uint64_t block) {
    buddy->free_map[order].level[0][0] |= UINT64_C(1) << block;
    buddy->free_blocks[order]++;
    buddy->free_pages += UINT64_C(1) << order;
    buddy->orders_free |= 1u << order;
}

TEST_CASE(buddy_check, each_flipped_bit_of_storage_is_found) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{5, 90}, {130, 33}};
    const uint8_t *end = buddy_over(&buddy, regions, 2);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 16, 2, 5), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 33, 0, 0), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 60, 0, 7), 0);
    CHECK_EQ(ash_buddy_reserve(&buddy, 140, 9), 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
    uint8_t *state = buddy.spans[0].state;
    for (uint8_t *byte = (uint8_t *)(buddy.spans + 2); byte < end; byte++) {
        bool is_head = byte >= state && (*byte & 31) != 0 && (*byte & 31) != 31;
        for (uint32_t bit = 0; bit < (is_head ? 5u : 8u); bit++) { /* an owner may be any */
            *byte ^= (uint8_t)(1u << bit);
            CHECK(ash_buddy_check(&buddy) != NULL);
            *byte ^= (uint8_t)(1u << bit);
        }
    }
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_check, false_summary_is_invariant_1) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 1000);
    CHECK(buddy.free_map[0].level_count > 1);
    buddy.free_map[0].level[1][0] ^= 1;
    CHECK_BROKEN(&buddy, "I1");
}

TEST_CASE(buddy_check, wrong_free_counts_are_invariant_2) {
    struct ash_buddy buddy;
    scene(&buddy);
    buddy.free_blocks[2]++;
    CHECK_BROKEN(&buddy, "I2");
    buddy.free_blocks[2]--;
    buddy.free_pages++;
    CHECK_BROKEN(&buddy, "I2");
    buddy.free_pages--;
    buddy.orders_free ^= 1u << 18;
    CHECK_BROKEN(&buddy, "I2");
    buddy.orders_free ^= 1u << 18;
    CHECK(buddy.lone[0] != UINT64_MAX);
    force_free(&buddy, 0, buddy.lone[0]);
    CHECK_BROKEN(&buddy, "I2");
}

TEST_CASE(buddy_check, free_bit_outside_the_regions_is_invariant_3) {
    struct ash_buddy buddy;
    scene(&buddy);
    force_free(&buddy, 0, 61);
    CHECK_BROKEN(&buddy, "I3");
}

TEST_CASE(buddy_check, free_block_across_the_end_is_invariant_3) {
    struct ash_buddy buddy;
    scene(&buddy);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 48, 3, 0), 0); /* or it would be an unmerged buddy too */
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 56, 2, 0), 0);
    buddy.spans[0].state[56] = 0;
    force_free(&buddy, 3, 7); /* 56..63, of 60 */
    CHECK_BROKEN(&buddy, "I3");
}

TEST_CASE(buddy_check, unmerged_buddies_are_invariant_4) {
    struct ash_buddy buddy;
    scene(&buddy);
    buddy.spans[0].state[16] = 0;
    force_free(&buddy, 2, 4); /* its buddy, block 5, is free */
    CHECK_BROKEN(&buddy, "I4");
}

TEST_CASE(buddy_check, impossible_state_bytes_are_invariant_5) {
    struct ash_buddy buddy;
    scene(&buddy);
    uint8_t *state = buddy.spans[0].state;
    state[0] = 25;
    CHECK_BROKEN(&buddy, "I5");
    state[0] = 19; /* order 18, in a region of 60 frames */
    CHECK_BROKEN(&buddy, "I5");
    state[0] = 1;
    state[30] = 4; /* order 3 at 30 */
    CHECK_BROKEN(&buddy, "I5");
    state[30] = 0;
    state[56] = 4; /* 56..63, of 60 */
    state[30] = 1;
    CHECK_BROKEN(&buddy, "I5");
}

TEST_CASE(buddy_check, gaps_and_overlaps_are_invariant_6) {
    struct ash_buddy buddy;
    scene(&buddy);
    uint8_t *state = buddy.spans[0].state;
    state[0] = 0;
    CHECK_BROKEN(&buddy, "I6");
    state[0] = 1;
    state[18] = 1; /* inside the block at 16 */
    CHECK_BROKEN(&buddy, "I6");
    state[18] = 0;
    state[50] = 1; /* inside a free block */
    CHECK_BROKEN(&buddy, "I6");
    state[50] = 0;
    force_free(&buddy, 0, 30);
    CHECK_BROKEN(&buddy, "I6");
}

TEST_CASE(buddy_check, wrong_page_counts_are_invariant_7) {
    struct ash_buddy buddy;
    scene(&buddy);
    buddy.reserved_pages++;
    CHECK_BROKEN(&buddy, "I7");
    buddy.reserved_pages--;
    buddy.peak_used_pages = 5;
    CHECK_BROKEN(&buddy, "I7");
}
