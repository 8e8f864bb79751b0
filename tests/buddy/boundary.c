/* SPDX-License-Identifier: MIT */
/*
 * Each call that takes frame numbers, lengths or orders, with all pairs out of a table of values at
 * which something begins, ends or wraps, against what the regions say.
 */
#include "fixture.h"

static const struct ash_buddy_region regions[] = {
    {1000, 700}, {1700, 4}, {ASH_BUDDY_FRAME_LIMIT - 600, 600}};

static const uint64_t values[] = {0,
                                  1,
                                  2,
                                  4,
                                  512,
                                  599,
                                  600,
                                  601,
                                  699,
                                  700,
                                  701,
                                  999,
                                  1000,
                                  1001,
                                  1024,
                                  1699,
                                  1700,
                                  1703,
                                  1704,
                                  1705,
                                  ASH_BUDDY_FRAME_LIMIT - 601,
                                  ASH_BUDDY_FRAME_LIMIT - 600,
                                  ASH_BUDDY_FRAME_LIMIT - 512,
                                  ASH_BUDDY_FRAME_LIMIT - 1,
                                  ASH_BUDDY_FRAME_LIMIT,
                                  ASH_BUDDY_FRAME_LIMIT + 1,
                                  UINT64_C(1) << 63,
                                  UINT64_MAX - 600,
                                  UINT64_MAX - 1,
                                  UINT64_MAX};
enum { VALUES = ASH_ARRAY_LEN(values) };

static const uint32_t orders[] = {0, 1, 2, 8, 9, 18, 19, 52, 63, 64, 65, UINT32_MAX};

static bool is_inside(const struct ash_buddy_region *region, uint64_t first, uint64_t len) {
    return first >= region->first && first - region->first < region->len_pages && len != 0 &&
           len <= region->len_pages - (first - region->first);
}

static bool is_inside_any(uint64_t first, uint64_t len) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(regions); i++) {
        if (is_inside(&regions[i], first, len))
            return true;
    }
    return false;
}

/* The lowest run of len frames inside [from, end) and one region that starts at a multiple of
 * align; UINT64_MAX: none. */
static uint64_t lowest(uint64_t from, uint64_t end, uint64_t len, uint64_t align) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(regions); i++) {
        uint64_t limit = regions[i].first + regions[i].len_pages;
        for (uint64_t first = regions[i].first; first < limit; first++) {
            if (first >= from && first < end && first % align == 0 && len <= end - first &&
                is_inside(&regions[i], first, len))
                return first;
        }
    }
    return UINT64_MAX;
}

static struct ash_buddy *buddy_new(void) {
    struct ash_buddy *buddy = test_alloc(sizeof(*buddy), ASH_PORT_CACHE_LINE);
    buddy_over(buddy, regions, ASH_ARRAY_LEN(regions));
    return buddy;
}

static void check_as_new(struct ash_buddy *buddy) {
    CHECK_EQ(ash_buddy_free_pages(buddy), 1304);
    CHECK(ash_buddy_check(buddy) == NULL);
}

TEST_CASE(buddy_boundary, reserve_takes_what_lies_inside_of_a_region_and_nothing_else) {
    struct ash_buddy *buddy = buddy_new();
    for (uint32_t i = 0; i < VALUES * VALUES; i++) {
        uint64_t first = values[i / VALUES], len = values[i % VALUES];
        int result = ash_buddy_reserve(buddy, first, len);
        CHECK_EQ(result, is_inside_any(first, len) ? 0 : -ASH_EINVAL);
        if (result == 0)
            ash_buddy_release(buddy, first, len);
    }
    check_as_new(buddy);
}

TEST_CASE(buddy_boundary, run_is_found_where_there_is_one_of_any_length_and_alignment) {
    struct ash_buddy *buddy = buddy_new();
    for (uint32_t i = 0; i < VALUES * VALUES; i++) {
        uint64_t len = values[i / VALUES], align = values[i % VALUES];
        ash_pfn_t first = 7;
        int result = ash_buddy_reserve_run(buddy, len, align, &first);
        if (len == 0 || align == 0 || (align & (align - 1)) != 0) {
            CHECK_EQ(result, -ASH_EINVAL);
        } else if (lowest(0, UINT64_MAX, len, align) == UINT64_MAX) {
            CHECK_EQ(result, -ASH_ENOMEM);
        } else {
            CHECK_EQ(result, 0);
            CHECK(is_inside_any(first, len) && first % align == 0);
            ash_buddy_release(buddy, first, len);
        }
        CHECK(result == 0 || first == 7);
    }
    check_as_new(buddy);
}

TEST_CASE(buddy_boundary, alloc_at_takes_the_aligned_blocks_of_a_region_and_nothing_else) {
    struct ash_buddy *buddy = buddy_new();
    for (uint32_t i = 0; i < VALUES * ASH_ARRAY_LEN(orders); i++) {
        uint64_t first = values[i % VALUES];
        uint32_t order = orders[i / VALUES];
        int result = ash_buddy_alloc_at(buddy, first, order);
        bool fits = order <= ASH_BUDDY_ORDER_MAX && (first & ((UINT64_C(1) << order) - 1)) == 0 &&
                    is_inside_any(first, UINT64_C(1) << order);
        CHECK_EQ(result, fits ? 0 : -ASH_EINVAL);
        if (fits)
            ash_buddy_free(buddy, first, order);
    }
    ash_buddy_drain(buddy);
    check_as_new(buddy);
}

static void check_alloc_from(struct ash_buddy *buddy, uint64_t from, uint64_t end, uint32_t order) {
    ash_pfn_t first = 7;
    uint64_t expected = UINT64_MAX;
    int result = ash_buddy_alloc_from(buddy, from, end, order, &first);
    if (order > ASH_BUDDY_ORDER_MAX) {
        CHECK_EQ(result, -ASH_EINVAL);
        return;
    }
    expected = lowest(from, end, UINT64_C(1) << order, UINT64_C(1) << order);
    CHECK_EQ(result, expected == UINT64_MAX ? -ASH_ENOENT : 0);
    CHECK_EQ(first, result == 0 ? expected : 7);
    if (result == 0) {
        ash_buddy_free(buddy, first, order);
        ash_buddy_drain(buddy); /* it looks past caches */
    }
}

TEST_CASE(buddy_boundary, alloc_from_finds_the_lowest_block_between_any_two_frames) {
    struct ash_buddy *buddy = buddy_new();
    for (uint32_t i = 0; i < VALUES * VALUES; i++) {
        for (uint32_t at = 0; at < ASH_ARRAY_LEN(orders); at += 2)
            check_alloc_from(buddy, values[i / VALUES], values[i % VALUES], orders[at]);
    }
    check_as_new(buddy);
}

TEST_CASE(buddy_boundary, alloc_refuses_every_order_that_there_is_not) {
    struct ash_buddy *buddy = buddy_new();
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(orders); i++) {
        ash_pfn_t first = 7;
        int result = ash_buddy_alloc(buddy, orders[i], ASH_BUDDY_MOVABLE, &first);
        CHECK_EQ(result, orders[i] > ASH_BUDDY_ORDER_MAX ? -ASH_EINVAL
                         : orders[i] > 9                 ? -ASH_ENOMEM
                                                         : 0);
        if (result == 0)
            ash_buddy_free(buddy, first, orders[i]);
        CHECK(result == 0 || first == 7);
    }
    check_as_new(buddy);
}

static void low_call(void *context, uint64_t free_pages) {
    (void)context;
    (void)free_pages;
}

TEST_CASE(buddy_boundary, high_watermark_is_not_below_the_low_one) {
    struct ash_buddy_region region = {0, 100};
    struct ash_buddy_config config = {
        .regions = &region, .region_count = 1, .low_pages = 10, .high_pages = 10, .low = low_call};
    CHECK(ash_buddy_storage_size(&config) != 0);
    config.high_pages = 9;
    CHECK_EQ(ash_buddy_storage_size(&config), 0);
}

/* Where there is room for a block of the first order that does not exist. */
TEST_CASE(buddy_boundary, order_19_is_refused_where_it_would_fit) {
    struct ash_buddy buddy;
    ash_pfn_t first;
    buddy_over_one(&buddy, 0, UINT64_C(1) << 19);
    CHECK_EQ(ash_buddy_alloc(&buddy, 19, ASH_BUDDY_MOVABLE, &first), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 19), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 0, 18), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, UINT64_C(1) << 18, 18), 0);
    CHECK_REFUSED(ash_buddy_free(&buddy, 0, 19), "order 19 is above 18");
    CHECK_EQ(stats_of(&buddy).free_pages, 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

/* With collected frees in the cache, that lie where stacks of a third hint would be. */
TEST_CASE(buddy_boundary, third_hint_is_refused_at_any_order) {
    struct ash_buddy buddy;
    ash_pfn_t first;
    buddy_over_one(&buddy, 0, 4096);
    for (uint32_t i = 0; i < 4096; i++)
        CHECK_EQ(ash_buddy_alloc(&buddy, 0, ASH_BUDDY_MOVABLE, &first), 0);
    for (uint64_t i = 0; i < 50; i++)
        ash_buddy_free(&buddy, i * 77, 0);
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++)
        CHECK_EQ(ash_buddy_alloc(&buddy, order, (enum ash_buddy_hint)2, &first), -ASH_EINVAL);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_boundary, release_of_one_frame_more_than_is_reserved_panics) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, 0, 64);
    CHECK_EQ(ash_buddy_reserve(&buddy, 0, 5), 0);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, 5, 0), 0);
    CHECK_REFUSED(ash_buddy_release(&buddy, 0, 6), "frame 0x5 is not reserved");
    ash_buddy_release(&buddy, 0, 5);
    CHECK_EQ(stats_of(&buddy).used_pages, 1);
    CHECK(ash_buddy_check(&buddy) == NULL);
}
