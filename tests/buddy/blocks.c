/* SPDX-License-Identifier: MIT */
/* Cases of single blocks: allocation, free, contract breaks. */
#include "buddy/fixture.h"

TEST_CASE(buddy, block_is_aligned_to_its_order) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0x40003, 5000);
    for (uint32_t order = 12; order-- != 0;) {
        ash_pfn_t first;
        CHECK_EQ(ash_buddy_alloc(&buddy, order, ASH_BUDDY_MOVABLE, &first), 0);
        CHECK(ash_is_aligned(first, UINT64_C(1) << order));
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
}

TEST_CASE(buddy, fills_to_the_last_frame_and_back) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 3, 1000);
    ash_pfn_t frame;
    uint32_t count = 0;
    while (ash_buddy_alloc(&buddy, 0, ASH_BUDDY_MOVABLE, &frame) == 0)
        count++;
    CHECK_EQ(count, 1000);
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(stats_of(&buddy).largest_free_order, -1);
    for (frame = 3; frame < 1003; frame++)
        ash_buddy_free(&buddy, frame, 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
    ash_buddy_drain(&buddy);
    CHECK(ash_buddy_check(&buddy) == NULL);
    struct ash_buddy_stats stats = stats_of(&buddy);
    CHECK_EQ(stats.free_pages, 1000);
    CHECK_EQ(stats.peak_used_pages, 1000);
    CHECK_EQ(stats.largest_free_order, 8); /* 256..511 and 512..767 */
    CHECK_EQ(stats.free_blocks[8], 2);
}

TEST_CASE(buddy, exhaustion_is_an_error_and_an_event) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 4);
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc(&buddy, 3, ASH_BUDDY_MOVABLE, &first), -ASH_ENOMEM);
    CHECK_EQ(ash_buddy_alloc(&buddy, 2, ASH_BUDDY_MOVABLE, &first), 0);
    CHECK_EQ(ash_buddy_alloc(&buddy, 0, ASH_BUDDY_MOVABLE, &first), -ASH_ENOMEM);
    CHECK_EQ(stats_of(&buddy).failed_allocs, 2);
    CHECK_EQ(test_event_count("buddy.exhausted"), 2);
}

TEST_CASE(buddy, order_18_is_one_block_of_a_gibibyte) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0x40000, 0x40000);
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc(&buddy, 18, ASH_BUDDY_MOVABLE, &first), 0);
    CHECK_EQ(first, 0x40000);
    CHECK_EQ(stats_of(&buddy).free_pages, 0);
    ash_buddy_free(&buddy, first, 18);
    CHECK_EQ(stats_of(&buddy).free_blocks[18], 1);
}

TEST_CASE(buddy, blocks_above_order_18_stay_apart) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0x80000, 0x80000);
    CHECK_EQ(stats_of(&buddy).free_blocks[18], 2);
    ash_pfn_t first, second;
    CHECK_EQ(ash_buddy_alloc(&buddy, 18, ASH_BUDDY_MOVABLE, &first), 0);
    CHECK_EQ(ash_buddy_alloc(&buddy, 18, ASH_BUDDY_MOVABLE, &second), 0);
    ash_buddy_free(&buddy, second, 18);
    ash_buddy_free(&buddy, first, 18);
    CHECK_EQ(stats_of(&buddy).free_blocks[18], 2);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, blocks_of_chunks_are_aligned_by_frame_number) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{0x10001, 3}, {0x40200, 0xe00}};
    buddy_over(&buddy, regions, 2);
    CHECK_EQ(frame_of(&buddy, 11), 0x40800);
    CHECK_EQ(frame_of(&buddy, 10), 0x40400);
    CHECK_EQ(frame_of(&buddy, 9), 0x40200);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, touching_regions_do_not_merge) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{0, 8}, {8, 8}, {16, 16}};
    buddy_over(&buddy, regions, 3);
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc(&buddy, 4, ASH_BUDDY_MOVABLE, &first), 0);
    CHECK_EQ(first, 16);
    CHECK_EQ(ash_buddy_alloc(&buddy, 4, ASH_BUDDY_MOVABLE, &first), -ASH_ENOMEM);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 4), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve(&buddy, 6, 4), -ASH_EINVAL);
}

TEST_CASE(buddy, orders_and_hints_out_of_range_are_refused) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    ash_pfn_t first = 77;
    CHECK_EQ(ash_buddy_alloc(&buddy, 19, ASH_BUDDY_MOVABLE, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc(&buddy, UINT32_MAX, ASH_BUDDY_MOVABLE, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc(&buddy, 0, (enum ash_buddy_hint)2, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc(&buddy, 1, (enum ash_buddy_hint)2, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 64), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_from(&buddy, 0, UINT64_MAX, 19, &first), -ASH_EINVAL);
    CHECK_EQ(first, 77);
    CHECK_EQ(stats_of(&buddy).free_pages, 64);
}

TEST_CASE(buddy, alloc_at_takes_exactly_the_free_block_named) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 40, 2), 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 40, 2), -ASH_EBUSY);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 41, 0), -ASH_EBUSY); /* inside */
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 32, 4), -ASH_EBUSY); /* around */
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 41, 1), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 64, 0), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, UINT64_MAX, 0), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 44, 2), 0);
    ash_buddy_free(&buddy, 40, 2);
    ash_buddy_free(&buddy, 44, 2);
    ash_buddy_drain(&buddy);
    CHECK_EQ(stats_of(&buddy).free_blocks[6], 1);
}

TEST_CASE(buddy, alloc_from_walks_over_all_free_blocks) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{5, 90}, {128, 64}};
    buddy_over(&buddy, regions, 2);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 32, 3), 0);
    static const ash_pfn_t expected[] = {16, 48, 64, 128, 144, 160, 176};
    ash_pfn_t from = 0, first = 0;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(expected); i++, from = first + 16) {
        CHECK_EQ(ash_buddy_alloc_from(&buddy, from, UINT64_MAX, 4, &first), 0);
        CHECK_EQ(first, expected[i]);
        ash_buddy_free(&buddy, first, 4);
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
    ash_buddy_drain(&buddy);
    CHECK_EQ(ash_buddy_alloc_from(&buddy, from, UINT64_MAX, 4, &first), -ASH_ENOENT);
    CHECK_EQ(ash_buddy_alloc_from(&buddy, 177, UINT64_MAX, 4, &first), -ASH_ENOENT);
    CHECK_EQ(ash_buddy_alloc_from(&buddy, UINT64_MAX, UINT64_MAX, 0, &first), -ASH_ENOENT);
    CHECK_EQ(ash_buddy_alloc_from(&buddy, 0, UINT64_MAX, 6, &first), 0);
    CHECK_EQ(first, 128);
}

TEST_CASE(buddy, alloc_from_keeps_below_its_end) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{5, 90}, {128, 64}};
    buddy_over(&buddy, regions, 2);
    ash_pfn_t first = 0;
    static const ash_pfn_t too_low[] = {0, 5, 16, 31};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(too_low); i++)
        CHECK_EQ(ash_buddy_alloc_from(&buddy, 0, too_low[i], 4, &first), -ASH_ENOENT);
    CHECK_EQ(ash_buddy_alloc_from(&buddy, 80, 143, 4, &first), -ASH_ENOENT);
    CHECK_EQ(ash_buddy_alloc_from(&buddy, 90, 20, 0, &first), -ASH_ENOENT);
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(ash_buddy_alloc_from(&buddy, 80, 144, 4, &first), 0);
    CHECK_EQ(first, 128);
    CHECK_EQ(ash_buddy_alloc_from(&buddy, 0, 32, 4, &first), 0);
    CHECK_EQ(first, 16);
}

TEST_CASE(buddy, double_free_panics_and_changes_nothing) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    for (uint32_t order = 0; order <= 6; order++) {
        ash_pfn_t first = frame_of(&buddy, order);
        ash_buddy_free(&buddy, first, order);
        CHECK_REFUSED(ash_buddy_free(&buddy, first, order), "double free of frame");
        CHECK_REFUSED(ash_buddy_free(&buddy, first, UINT32_MAX), "is above 18");
        CHECK(ash_buddy_check(&buddy) == NULL);
        CHECK_EQ(stats_of(&buddy).free_pages, 64);
    }
}

TEST_CASE(buddy, double_free_of_a_part_panics) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 4096);
    for (uint32_t order = 1; order <= 12; order++) {
        ash_pfn_t first = frame_of(&buddy, order), last = first + (UINT64_C(1) << order) - 1;
        ash_buddy_free(&buddy, last, 0);
        ash_buddy_drain(&buddy);
        CHECK_REFUSED(ash_buddy_free(&buddy, first, order), "of it is free");
        CHECK_REFUSED(ash_buddy_free(&buddy, last, 0), "double free of frame");
        CHECK_EQ(ash_buddy_alloc_at(&buddy, last, 0), 0);
        ash_buddy_free(&buddy, first, order);
        ash_buddy_drain(&buddy);
        CHECK_REFUSED(ash_buddy_free(&buddy, last, 0), "double free of frame");
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
    CHECK_EQ(stats_of(&buddy).free_pages, 4096);
}

TEST_CASE(buddy, free_of_foreign_frame_panics) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{16, 16}, {64, 16}};
    buddy_over(&buddy, regions, 2);
    for (uint32_t round = 0; round < 2; round++) {
        CHECK_REFUSED(ash_buddy_free(&buddy, 15, 0), "frame 0xf, order 0: in no region");
        CHECK_REFUSED(ash_buddy_free(&buddy, 40, 0), "in no region");
        CHECK_REFUSED(ash_buddy_free(&buddy, 63, 0), "in no region");
        CHECK_REFUSED(ash_buddy_free(&buddy, 80, 0), "in no region");
        CHECK_REFUSED(ash_buddy_free(&buddy, UINT64_MAX, 18), "in no region");
        CHECK_REFUSED(ash_buddy_free(&buddy, UINT64_MAX - 63, 0), "in no region");
        CHECK_REFUSED(ash_buddy_free(&buddy, UINT64_MAX, 0), "in no region");
        CHECK(ash_buddy_check(&buddy) == NULL);
        (void)frame_of(&buddy, 0); /* now the CPU's cache knows these words */
        (void)frame_of(&buddy, 0);
    }
}

TEST_CASE(buddy, free_with_wrong_order_panics_if_hardened) {
    struct ash_buddy buddy;
    buddy_hardened(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 16, 3), 0);
    CHECK_EQ(ash_buddy_reserve(&buddy, 40, 2), 0);
    CHECK_REFUSED(ash_buddy_free(&buddy, 16, 2), "with order 2: it was allocated with order 3");
    CHECK_REFUSED(ash_buddy_free(&buddy, 16, 4), "with order 4: it was allocated with order 3");
    CHECK_REFUSED(ash_buddy_free(&buddy, 16, 4000), "order 4000 is above 18");
    CHECK_REFUSED(ash_buddy_free(&buddy, 20, 2), "inside the block 0x10, order 3");
    CHECK_REFUSED(ash_buddy_free(&buddy, 23, 0), "inside the block 0x10, order 3");
    CHECK_REFUSED(ash_buddy_free(&buddy, 40, 0), "it is reserved, not allocated");
    CHECK_REFUSED(ash_buddy_free(&buddy, 24, 0), "double free of frame 0x18");
    ash_buddy_free(&buddy, 16, 3);
    CHECK_REFUSED(ash_buddy_free(&buddy, 16, 3), "double free of frame 0x10");
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, misaligned_free_panics) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 16, 4), 0);
    CHECK_REFUSED(ash_buddy_free(&buddy, 18, 2), "no block of that order starts there");
    ash_buddy_free(&buddy, 16, 4);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* Unmovable blocks among movable ones: when the latter go, whole chunks must be left. */
TEST_CASE(buddy, unmovable_blocks_are_kept_together) {
    enum { FRAMES = 16384, STEPS = 6000, EVERY = 16 };
    struct ash_buddy buddy;
    ash_pfn_t *live = test_alloc(STEPS * sizeof(*live), 8);
    buddy_over_one(&buddy, 0, FRAMES);
    for (uint32_t i = 0; i < STEPS; i++) {
        enum ash_buddy_hint hint = i % EVERY == 0 ? ASH_BUDDY_UNMOVABLE : ASH_BUDDY_MOVABLE;
        CHECK_EQ(ash_buddy_alloc(&buddy, i % 2, hint, &live[i]), 0);
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        if (i % EVERY != 0)
            ash_buddy_free(&buddy, live[i], i % 2);
    }
    ash_buddy_drain(&buddy);
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(stats_of(&buddy).used_pages, STEPS / EVERY);
    uint32_t whole = 0;
    for (ash_pfn_t first; ash_buddy_alloc(&buddy, 9, ASH_BUDDY_MOVABLE, &first) == 0;)
        whole++;
    CHECK_EQ(whole, FRAMES / 512 - (STEPS / EVERY + 511) / 512);
}

TEST_CASE(buddy, statistics_count_blocks_and_pages) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 0), 0);
    CHECK_EQ(ash_buddy_reserve(&buddy, 33, 3), 0);
    struct ash_buddy_stats stats = stats_of(&buddy);
    CHECK_EQ(stats.total_pages, 64);
    CHECK_EQ(stats.used_pages, 1);
    CHECK_EQ(stats.reserved_pages, 3);
    CHECK_EQ(stats.free_pages, 60);
    CHECK_EQ(ash_buddy_free_pages(&buddy), 60);
    CHECK_EQ(stats.cached_pages, 0);
    CHECK_EQ(stats.free_blocks[0], 2); /* 1 and 32 */
    CHECK_EQ(stats.free_blocks[4], 2); /* 16 and 48 */
    CHECK_EQ(stats.largest_free_order, 4);
    CHECK_EQ(stats.fragmentation_permille[0], 0);
    CHECK_EQ(stats.fragmentation_permille[1], 1000 - 58 * 1000 / 60);
    CHECK_EQ(stats.fragmentation_permille[4], 1000 - 32 * 1000 / 60);
    CHECK_EQ(stats.fragmentation_permille[5], 1000);
    ash_buddy_free(&buddy, 0, 0);
    ash_buddy_drain(&buddy);
    CHECK_EQ(stats_of(&buddy).peak_used_pages, 1);
    CHECK_EQ(stats_of(&buddy).largest_free_order, 5);
}

TEST_CASE(buddy, peak_is_the_most_that_was_used_at_once) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 4096);
    ash_pfn_t blocks[16];
    for (uint32_t i = 0; i < 16; i++)
        blocks[i] = frame_of(&buddy, 6);
    for (uint32_t i = 0; i < 16; i++)
        ash_buddy_free(&buddy, blocks[i], 6);
    CHECK_EQ(stats_of(&buddy).used_pages, 0);
    CHECK_EQ(stats_of(&buddy).peak_used_pages, 1024);
    CHECK(stats_of(&buddy).cached_pages != 0);
    (void)frame_of(&buddy, 9); /* what is cached is not used: no more than before */
    CHECK_EQ(stats_of(&buddy).peak_used_pages, 1024);
    (void)frame_of(&buddy, 10);
    CHECK_EQ(stats_of(&buddy).peak_used_pages, 1536);
}

TEST_CASE(buddy, statistics_count_large_runs) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0x40200, 4096); /* chunks 1..8 of their gibibyte */
    struct ash_buddy_stats stats = stats_of(&buddy);
    CHECK_EQ(stats.free_blocks[9], 2); /* 1 and 8 */
    CHECK_EQ(stats.free_blocks[10], 1);
    CHECK_EQ(stats.free_blocks[11], 1);
    CHECK_EQ(stats.free_blocks[12], 0);
    CHECK_EQ(stats.fragmentation_permille[11], 500);
    (void)frame_of(&buddy, 0);
    CHECK(stats_of(&buddy).cached_pages != 0);
    CHECK_EQ(stats_of(&buddy).free_pages, 4095);
    CHECK_EQ(ash_buddy_free_pages(&buddy), 4095);
}

TEST_CASE(buddy, nothing_free_is_not_fragmented) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 7, 1);
    CHECK_EQ(frame_of(&buddy, 0), 7);
    struct ash_buddy_stats stats = stats_of(&buddy);
    CHECK_EQ(stats.free_pages, 0);
    CHECK_EQ(stats.largest_free_order, -1);
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++)
        CHECK_EQ(stats.fragmentation_permille[order], 0);
}
