/* SPDX-License-Identifier: MIT */
/* Cases of reserved ranges. */
#include "buddy/fixture.h"

TEST_CASE(buddy, reserved_frames_are_never_handed_out) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 256);
    CHECK_EQ(ash_buddy_reserve(&buddy, 37, 101), 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
    ash_pfn_t frame;
    uint32_t count = 0;
    for (; ash_buddy_alloc(&buddy, 0, ASH_BUDDY_MOVABLE, &frame) == 0; count++)
        CHECK(frame < 37 || frame >= 138);
    CHECK_EQ(count, 256 - 101);
}

TEST_CASE(buddy, reserve_of_a_range_in_use_changes_nothing) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 20, 0), 0);
    CHECK_EQ(ash_buddy_reserve(&buddy, 10, 11), -ASH_EBUSY);
    CHECK_EQ(ash_buddy_reserve(&buddy, 20, 1), -ASH_EBUSY);
    CHECK_EQ(stats_of(&buddy).reserved_pages, 0);
    CHECK_EQ(ash_buddy_reserve(&buddy, 10, 10), 0);
    CHECK_EQ(ash_buddy_reserve(&buddy, 19, 1), -ASH_EBUSY);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, reserve_of_an_impossible_range_is_refused) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{16, 16}, {64, 16}};
    buddy_over(&buddy, regions, 2);
    CHECK_EQ(ash_buddy_reserve(&buddy, 16, 0), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve(&buddy, 15, 2), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve(&buddy, 16, 17), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve(&buddy, 16, 64), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve(&buddy, 20, UINT64_MAX), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve(&buddy, UINT64_MAX, 2), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve(&buddy, 64, 16), 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, reserved_range_is_released_in_parts) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 3, 200);
    struct ash_buddy_stats before = stats_of(&buddy);
    CHECK_EQ(ash_buddy_reserve(&buddy, 3, 200), 0);
    CHECK_EQ(stats_of(&buddy).free_pages, 0);
    ash_buddy_release(&buddy, 50, 77);
    CHECK(ash_buddy_check(&buddy) == NULL);
    ash_buddy_release(&buddy, 3, 47);
    ash_buddy_release(&buddy, 127, 76);
    CHECK(ash_buddy_check(&buddy) == NULL);
    struct ash_buddy_stats after = stats_of(&buddy);
    CHECK_MEM_EQ(&after.free_blocks, &before.free_blocks, sizeof(after.free_blocks));
    CHECK_EQ(after.reserved_pages, 0);
}

TEST_CASE(buddy, release_of_what_is_not_reserved_panics) {
    for (uint32_t hardened = 0; hardened < 2; hardened++) {
        struct ash_buddy buddy;
        if (hardened == 0)
            buddy_over_one(&buddy, 0, 64);
        else
            buddy_hardened(&buddy, 0, 64);
        CHECK_EQ(ash_buddy_reserve(&buddy, 10, 10), 0);
        CHECK_REFUSED(ash_buddy_release(&buddy, 10, 11), "frame 0x14 is not reserved");
        CHECK_REFUSED(ash_buddy_release(&buddy, 9, 2), "frame 0x9 is not reserved");
        CHECK_REFUSED(ash_buddy_release(&buddy, 60, 5), "not inside one region");
        CHECK_REFUSED(ash_buddy_release(&buddy, 10, 0), "not inside one region");
        CHECK_EQ(frame_of(&buddy, 0), 0); /* the rest of the word is in the cache */
        CHECK_REFUSED(ash_buddy_release(&buddy, 19, 2), "frame 0x14 is not reserved");
        CHECK(ash_buddy_check(&buddy) == NULL);
        CHECK_EQ(stats_of(&buddy).reserved_pages, 10);
        ash_buddy_release(&buddy, 10, 10);
        CHECK_REFUSED(ash_buddy_release(&buddy, 10, 1), "frame 0xa is not reserved");
        ash_buddy_free(&buddy, 0, 0);
        CHECK(ash_buddy_check(&buddy) == NULL);
        CHECK_EQ(stats_of(&buddy).free_pages, 64);
    }
}

TEST_CASE(buddy, more_is_not_released_than_was_reserved) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 4), 0);
    CHECK_EQ(ash_buddy_reserve(&buddy, 16, 4), 0);
    CHECK_REFUSED(ash_buddy_release(&buddy, 12, 8), "is not reserved");
    ash_buddy_release(&buddy, 16, 4);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, run_of_any_length_is_found_and_reserved) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{5, 90}, {200, 1000}};
    buddy_over(&buddy, regions, 2);
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 40, 0), 0);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 55, 1, &first), 0);
    CHECK_EQ(first, 200);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 54, 1, &first), 0);
    CHECK_EQ(first, 41);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 300, 256, &first), 0);
    CHECK_EQ(first, 256);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 644, 1, &first), 0);
    CHECK_EQ(first, 556);
    CHECK_EQ(stats_of(&buddy).reserved_pages, 55 + 54 + 300 + 644);
    CHECK(ash_buddy_check(&buddy) == NULL);
    ash_buddy_release(&buddy, 556, 644);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 645, 1, &first), -ASH_ENOMEM);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, impossible_run_is_refused) {
    struct ash_buddy buddy;
    struct ash_buddy_region regions[] = {{16, 16}, {64, 16}};
    buddy_over(&buddy, regions, 2);
    ash_pfn_t first = 7;
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 0, 1, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 1, 0, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 1, 3, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 17, 1, &first), -ASH_ENOMEM);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 1, 128, &first), -ASH_ENOMEM);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, UINT64_MAX, 1, &first), -ASH_ENOMEM);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 1, UINT64_C(1) << 63, &first), -ASH_ENOMEM);
    CHECK_EQ(first, 7);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 16, 64, &first), 0);
    CHECK_EQ(first, 64);
}

TEST_CASE(buddy, run_at_frame_0_is_found_at_any_alignment) {
    struct ash_buddy buddy;
    ash_pfn_t first = 1;
    buddy_over_one(&buddy, 0, 300);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 100, UINT64_C(1) << 63, &first), 0);
    CHECK_EQ(first, 0);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 100, 512, &first), -ASH_ENOMEM);
    ash_buddy_release(&buddy, 0, 100);
    CHECK_EQ(ash_buddy_reserve_run(&buddy, 300, 512, &first), 0);
    CHECK_EQ(first, 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
}
