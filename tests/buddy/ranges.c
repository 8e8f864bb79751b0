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
    for (; ash_buddy_alloc(&buddy, 0, 0, &frame) == 0; count++)
        CHECK(frame < 37 || frame >= 138);
    CHECK_EQ(count, 256 - 101);
}

TEST_CASE(buddy, reserve_of_a_range_in_use_changes_nothing) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 20, 0, 0), 0);
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
    CHECK_MEM_EQ(&after, &before, sizeof(after));
}

TEST_CASE(buddy, release_of_what_is_not_reserved_panics) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_reserve(&buddy, 10, 10), 0);
    CHECK_REFUSED(ash_buddy_release(&buddy, 10, 11), "frame 0x14 is not reserved");
    CHECK_REFUSED(ash_buddy_release(&buddy, 9, 2), "frame 0x9 is not reserved");
    CHECK_REFUSED(ash_buddy_release(&buddy, 60, 5), "not inside one region");
    CHECK_REFUSED(ash_buddy_release(&buddy, 10, 0), "not inside one region");
    CHECK_REFUSED(ash_buddy_free(&buddy, 10, 0), "it is reserved, not allocated");
    for (uint32_t order = 1; order < 300; order++)
        CHECK_REFUSED(ash_buddy_free(&buddy, 10, order), "free of frame 0xa");
    CHECK(ash_buddy_check(&buddy) == NULL);
    CHECK_EQ(stats_of(&buddy).reserved_pages, 10);
    CHECK(!ash_buddy_find(&buddy, 12, NULL));
}
