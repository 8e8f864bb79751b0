/* SPDX-License-Identifier: MIT */
/* Cases of single blocks: allocation, free, look-up, contract breaks. */
#include "buddy/fixture.h"

TEST_CASE(buddy, block_is_aligned_to_its_order) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0x40003, 5000);
    for (uint32_t order = 0; order <= 11; order++) {
        ash_pfn_t first;
        CHECK_EQ(ash_buddy_alloc(&buddy, order, 0, &first), 0);
        CHECK(ash_is_aligned(first, UINT64_C(1) << order));
        CHECK(ash_buddy_check(&buddy) == NULL);
    }
}

TEST_CASE(buddy, fills_to_the_last_frame_and_back) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 3, 1000);
    ash_pfn_t frame;
    uint32_t count = 0;
    while (ash_buddy_alloc(&buddy, 0, 1, &frame) == 0)
        count++;
    CHECK_EQ(count, 1000);
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(stats_of(&buddy).largest_free_order, -1);
    for (frame = 3; frame < 1003; frame++)
        ash_buddy_free(&buddy, frame, 0);
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
    CHECK_EQ(ash_buddy_alloc(&buddy, 3, 0, &first), -ASH_ENOMEM);
    CHECK_EQ(ash_buddy_alloc(&buddy, 2, 0, &first), 0);
    CHECK_EQ(ash_buddy_alloc(&buddy, 0, 0, &first), -ASH_ENOMEM);
    CHECK_EQ(stats_of(&buddy).failed_allocs, 2);
    CHECK_EQ(test_event_count("buddy.exhausted"), 2);
}

TEST_CASE(buddy, order_18_is_one_block_of_a_gibibyte) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0x40000, 0x40000);
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc(&buddy, 18, 2, &first), 0);
    CHECK_EQ(first, 0x40000);
    CHECK_EQ(stats_of(&buddy).free_pages, 0);
    struct ash_buddy_block block;
    CHECK(ash_buddy_find(&buddy, 0x7ffff, &block));
    CHECK_EQ(block.first, 0x40000);
    CHECK_EQ(block.order, 18);
    ash_buddy_free(&buddy, first, 18);
    CHECK_EQ(stats_of(&buddy).free_blocks[18], 1);
}

TEST_CASE(buddy, blocks_above_order_18_stay_apart) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0x80000, 0x80000);
    CHECK_EQ(stats_of(&buddy).free_blocks[18], 2);
    ash_pfn_t first, second;
    CHECK_EQ(ash_buddy_alloc(&buddy, 18, 0, &first), 0);
    CHECK_EQ(ash_buddy_alloc(&buddy, 18, 0, &second), 0);
    ash_buddy_free(&buddy, second, 18);
    ash_buddy_free(&buddy, first, 18);
    CHECK_EQ(stats_of(&buddy).free_blocks[18], 2);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, touching_regions_do_not_merge) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{0, 8}, {8, 8}, {16, 16}};
    buddy_over(&buddy, regions, 3);
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc(&buddy, 4, 0, &first), 0);
    CHECK_EQ(first, 16);
    CHECK_EQ(ash_buddy_alloc(&buddy, 4, 0, &first), -ASH_ENOMEM);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 4, 0), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve(&buddy, 6, 4), -ASH_EINVAL);
}

TEST_CASE(buddy, orders_and_owners_out_of_range_are_refused) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    ash_pfn_t first = 77;
    CHECK_EQ(ash_buddy_alloc(&buddy, 19, 0, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc(&buddy, UINT32_MAX, 0, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc(&buddy, 0, 8, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 64, 0), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 0, 255), -ASH_EINVAL);
    CHECK_EQ(first, 77);
    CHECK_EQ(stats_of(&buddy).free_pages, 64);
}

TEST_CASE(buddy, alloc_at_takes_exactly_the_free_block_named) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 40, 2, 3), 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 40, 2, 3), -ASH_EBUSY);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 41, 0, 3), -ASH_EBUSY); /* inside */
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 32, 4, 3), -ASH_EBUSY); /* around */
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 41, 1, 3), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 64, 0, 3), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, UINT64_MAX, 0, 3), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 44, 2, 3), 0);
    ash_buddy_free(&buddy, 40, 2);
    ash_buddy_free(&buddy, 44, 2);
    CHECK_EQ(stats_of(&buddy).free_blocks[6], 1);
}

TEST_CASE(buddy, find_names_the_block_of_each_of_its_frames) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 5, 100);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 32, 4, 7), 0);
    for (ash_pfn_t frame = 0; frame < 120; frame++) {
        struct ash_buddy_block block;
        bool inside = frame >= 32 && frame < 48;
        CHECK(ash_buddy_find(&buddy, frame, NULL) == inside);
        if (inside) {
            CHECK(ash_buddy_find(&buddy, frame, &block));
            CHECK_EQ(block.first, 32);
            CHECK_EQ(block.order, 4);
            CHECK_EQ(block.owner, 7);
        }
    }
    CHECK(!ash_buddy_find(&buddy, UINT64_MAX, NULL));
}

/* Heads that would lie below the region are looked for nowhere, whatever lies there in storage. */
TEST_CASE(buddy, find_stays_inside_the_region) {
    for (ash_pfn_t first = 129; first < 256; first += 6) {
        struct ash_buddy buddy;
        buddy_over_one(&buddy, first, 520);
        for (ash_pfn_t frame = first + 1; frame < first + 520; frame += 2)
            CHECK_EQ(ash_buddy_alloc_at(&buddy, frame, 0, 0), 0);
        for (ash_pfn_t frame = 0; frame < 1024; frame++)
            CHECK(ash_buddy_find(&buddy, frame, NULL) ==
                  (frame > first && frame < first + 520 && (frame - first) % 2 == 1));
    }
}

TEST_CASE(buddy, double_free_panics_and_changes_nothing) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc(&buddy, 2, 0, &first), 0);
    ash_buddy_free(&buddy, first, 2);
    CHECK_REFUSED(ash_buddy_free(&buddy, first, 2), "double free of frame 0x0, order 2");
    CHECK_REFUSED(ash_buddy_free(&buddy, first, UINT32_MAX), "is above 18");
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(stats_of(&buddy).free_pages, 64);
}

TEST_CASE(buddy, free_of_foreign_frame_panics) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{16, 16}, {64, 16}};
    buddy_over(&buddy, regions, 2);
    CHECK_REFUSED(ash_buddy_free(&buddy, 15, 0), "frame 0xf, order 0: in no region");
    CHECK_REFUSED(ash_buddy_free(&buddy, 40, 0), "in no region");
    CHECK_REFUSED(ash_buddy_free(&buddy, 80, 0), "in no region");
    CHECK_REFUSED(ash_buddy_free(&buddy, UINT64_MAX, 18), "in no region");
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, free_with_wrong_order_panics) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 16, 3, 0), 0);
    CHECK_REFUSED(ash_buddy_free(&buddy, 16, 2), "with order 2: it was allocated with order 3");
    CHECK_REFUSED(ash_buddy_free(&buddy, 16, 4), "with order 4: it was allocated with order 3");
    CHECK_REFUSED(ash_buddy_free(&buddy, 16, 4000), "order 4000 is above 18");
    CHECK_REFUSED(ash_buddy_free(&buddy, 20, 2), "inside the block 0x10, order 3");
    ash_buddy_free(&buddy, 16, 3);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, statistics_count_blocks_and_pages) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 0, 0), 0);
    CHECK_EQ(ash_buddy_reserve(&buddy, 33, 3), 0);
    struct ash_buddy_stats stats = stats_of(&buddy);
    CHECK_EQ(stats.total_pages, 64);
    CHECK_EQ(stats.used_pages, 1);
    CHECK_EQ(stats.reserved_pages, 3);
    CHECK_EQ(stats.free_pages, 60);
    CHECK_EQ(stats.free_blocks[0], 2); /* 1 and 32 */
    CHECK_EQ(stats.free_blocks[4], 2); /* 16 and 48 */
    CHECK_EQ(stats.largest_free_order, 4);
    ash_buddy_free(&buddy, 0, 0);
    CHECK_EQ(stats_of(&buddy).peak_used_pages, 1);
    CHECK_EQ(stats_of(&buddy).largest_free_order, 5);
}
