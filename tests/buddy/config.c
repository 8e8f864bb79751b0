/* SPDX-License-Identifier: MIT */
/* Cases of configuration and storage: limits, overflow, what is refused. */
#include "buddy/fixture.h"

#define LIMIT ASH_BUDDY_FRAME_LIMIT

static size_t size_of(const struct ash_buddy_region *regions, uint32_t count) {
    struct ash_buddy_config config = {.regions = regions, .region_count = count};
    return ash_buddy_storage_size(&config);
}

static size_t size_of_one(ash_pfn_t first, uint64_t len_pages) {
    struct ash_buddy_region region = {first, len_pages};
    return size_of(&region, 1);
}

TEST_CASE(buddy, invalid_configurations_have_no_size) {
    struct ash_buddy_region overlap[] = {{0, 10}, {9, 10}};
    struct ash_buddy_region unsorted[] = {{20, 10}, {0, 10}};
    struct ash_buddy_region empty[] = {{0, 10}, {10, 0}};
    CHECK_EQ(size_of(NULL, 1), 0);
    CHECK_EQ(size_of(overlap, 0), 0);
    CHECK_EQ(size_of(overlap, 2), 0);
    CHECK_EQ(size_of(unsorted, 2), 0);
    CHECK_EQ(size_of(empty, 2), 0);
    CHECK(size_of(overlap, 1) != 0);
}

TEST_CASE(buddy, frame_numbers_end_at_2_to_the_52) {
    CHECK(size_of_one(LIMIT - 1, 1) != 0);
    CHECK_EQ(size_of_one(LIMIT - 1, 2), 0);
    CHECK_EQ(size_of_one(LIMIT, 1), 0);
    CHECK_EQ(size_of_one(UINT64_MAX, 1), 0);
    CHECK_EQ(size_of_one(1, UINT64_MAX), 0);
    CHECK_EQ(size_of_one(UINT64_MAX, UINT64_MAX), 0);
}

TEST_CASE(buddy, at_most_2_to_the_40_frames_in_all) {
    uint64_t most = ASH_BUDDY_PAGES_MAX;
    size_t bytes = size_of_one(0, most);
    CHECK(bytes > most / 8 && bytes < most / 100 * 15);
    CHECK_EQ(size_of_one(0, most + 1), 0);
    struct ash_buddy_region halves[] = {{0, most / 2}, {most, most / 2}};
    CHECK(size_of(halves, 2) != 0);
    halves[1].len_pages++;
    CHECK_EQ(size_of(halves, 2), 0);
    halves[1] = (struct ash_buddy_region){LIMIT - most / 2, most / 2};
    CHECK(size_of(halves, 2) != 0);
}

TEST_CASE(buddy, bad_storage_is_refused) {
    struct ash_buddy buddy;
    struct ash_buddy_region region = {0, 100};
    struct ash_buddy_config config = {.regions = &region, .region_count = 1};
    size_t bytes = ash_buddy_storage_size(&config);
    uint8_t *storage = test_alloc(bytes + 8, 8);
    CHECK_EQ(ash_buddy_init(&buddy, &config, NULL, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_init(&buddy, &config, storage, bytes - 1), -ASH_EINVAL);
    CHECK_EQ(ash_buddy_init(&buddy, &config, storage, 0), -ASH_EINVAL);
    for (uint32_t offset = 1; offset < 8; offset++)
        CHECK_EQ(ash_buddy_init(&buddy, &config, storage + offset, bytes), -ASH_EINVAL);
    region.len_pages = 0;
    CHECK_EQ(ash_buddy_init(&buddy, &config, storage, bytes), -ASH_EINVAL);
    region.len_pages = 100;
    CHECK_EQ(ash_buddy_init(&buddy, &config, storage, bytes), 0);
}

/* The bounds that the header states, over awkward shapes. */
TEST_CASE(buddy, storage_keeps_to_its_bound) {
    struct test_random random = test_random_from(test_seed());
    for (uint32_t round = 0; round < 300; round++) {
        struct ash_buddy_region regions[8];
        uint32_t count = 1 + (uint32_t)test_random_below(&random, 8);
        uint64_t next = 0, frames = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t power = UINT64_C(1) << test_random_below(&random, 24);
            uint64_t around = test_random_below(&random, 5);
            regions[i].first = ash_align_up(next + around, power) + power - around;
            regions[i].len_pages = power + test_random_below(&random, 2 * around + 1);
            next = regions[i].first + regions[i].len_pages;
            frames += regions[i].len_pages;
        }
        size_t bytes = size_of(regions, count);
        CHECK(bytes >= frames / 8);
        CHECK(bytes <= frames * 3 / 20 + 200 * count + 400);
    }
}

TEST_CASE(buddy, notes_are_at_most_15_hundredths_of_a_byte_a_frame) {
    for (uint32_t order = 18; order <= 40; order++) {
        uint64_t frames = UINT64_C(1) << order;
        CHECK(size_of_one(0, frames) <= frames / 100 * 15);
        CHECK(order == 40 || size_of_one(0x1ff, frames) <= frames / 100 * 15);
        struct ash_buddy_region region = {0, frames};
        struct ash_buddy_config config = {.regions = &region, .region_count = 1, .hardened = true};
        CHECK_EQ(ash_buddy_storage_size(&config), size_of_one(0, frames) + frames);
    }
}

TEST_CASE(buddy, impossible_watermarks_are_refused) {
    struct ash_buddy_region region = {0, 100};
    struct ash_buddy_config config = {.regions = &region, .region_count = 1, .low_pages = 10};
    CHECK_EQ(ash_buddy_storage_size(&config), 0);
    config.high_pages = 10;
    CHECK_EQ(ash_buddy_storage_size(&config), 0); /* and nobody to call */
    config.low_pages = 0;
    CHECK(ash_buddy_storage_size(&config) != 0);
}

TEST_CASE(buddy, last_frames_below_the_limit_work) {
    struct ash_buddy buddy;
    buddy_over_one(&buddy, LIMIT - 77, 77);
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc(&buddy, 6, ASH_BUDDY_MOVABLE, &first), 0);
    CHECK(first == LIMIT - 64);
    CHECK_EQ(ash_buddy_alloc_at(&buddy, LIMIT - 77, 0), 0);
    CHECK_EQ(ash_buddy_reserve(&buddy, LIMIT - 76, 12), 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
    ash_buddy_free(&buddy, first, 6);
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy, many_regions_of_one_frame_work) {
    enum { REGIONS = 100 };
    struct ash_buddy buddy;
    struct ash_buddy_region regions[REGIONS];
    for (uint32_t i = 0; i < REGIONS; i++)
        regions[i] = (struct ash_buddy_region){UINT64_C(1000000007) * i, 1};
    buddy_over(&buddy, regions, REGIONS);
    ash_pfn_t first;
    CHECK_EQ(ash_buddy_alloc(&buddy, 1, ASH_BUDDY_MOVABLE, &first), -ASH_ENOMEM);
    for (uint32_t i = 0; i < REGIONS; i++)
        CHECK_EQ(ash_buddy_alloc(&buddy, 0, ASH_BUDDY_MOVABLE, &first), 0);
    CHECK_EQ(ash_buddy_alloc(&buddy, 0, ASH_BUDDY_MOVABLE, &first), -ASH_ENOMEM);
    for (uint32_t i = 0; i < REGIONS; i++)
        ash_buddy_free(&buddy, regions[i].first, 0);
    CHECK(ash_buddy_check(&buddy) == NULL);
}
