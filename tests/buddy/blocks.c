/* SPDX-License-Identifier: MIT */
/* Cases of single blocks: allocation, free, look-up, contract breaks. */
#include "buddy/fixture.h"

TEST_CASE(buddy, fills_to_the_last_frame_and_back)
{
    struct ash_buddy buddy;
    buddy_over(&buddy, (struct ash_buddy_region[]){{3, 1000}}, 1);
    ash_pfn_t frame;
    uint32_t count = 0;
    while (ash_buddy_alloc(&buddy, 0, 1, &frame) == 0)
        count++;
    CHECK_EQ(count, 1000);
    CHECK(ash_buddy_check(&buddy) == NULL);
    for (frame = 3; frame < 1003; frame++)
        ash_buddy_free(&buddy, frame, 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
    struct ash_buddy_stats stats;
    ash_buddy_stats(&buddy, &stats);
    CHECK_EQ(stats.free_pages, 1000);
    CHECK_EQ(stats.peak_used_pages, 1000);
    CHECK_EQ(stats.largest_free_order, 8);
}
