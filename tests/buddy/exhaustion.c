/* SPDX-License-Identifier: MIT */
/* Every order to the last block, then the rest to the last frame, by four CPUs; and back. */
#include "fixture.h"
#include "harness/as_cpu.h"

enum { CPUS = 4, BLOCKS_MAX = 8000 };

struct block {
    ash_pfn_t first;
    uint32_t order;
};

struct exhaustion {
    struct ash_buddy buddy;
    const struct ash_buddy_region *regions;
    uint32_t region_count;
    struct test_random random;
    struct block blocks[BLOCKS_MAX];
    uint32_t count;
    uint64_t pages; /* in blocks */
};

/* Aligned blocks that lie inside of a region: the most that there can be. */
static uint64_t blocks_inside(const struct exhaustion *all, uint32_t order) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < all->region_count; i++) {
        uint64_t end = (all->regions[i].first + all->regions[i].len_pages) >> order;
        uint64_t first = (all->regions[i].first + (UINT64_C(1) << order) - 1) >> order;
        count += end > first ? end - first : 0;
    }
    return count;
}

/* Blocks of this order until every CPU is refused; returns their number. */
static uint64_t take_order(struct exhaustion *all, uint32_t order) {
    uint64_t taken = 0, refused = 0;
    while (refused < CPUS) {
        struct block block = {.order = order};
        enum ash_buddy_hint hint =
            test_random_chance(&all->random, 30) ? ASH_BUDDY_UNMOVABLE : ASH_BUDDY_MOVABLE;
        as_cpu((uint32_t)((taken / 5 + refused) % CPUS));
        int result = ash_buddy_alloc(&all->buddy, order, hint, &block.first);
        if (result != 0) {
            CHECK_EQ(result, -ASH_ENOMEM);
            refused++;
            continue;
        }
        CHECK(refused == 0); /* nobody has freed anything */
        CHECK(all->count < BLOCKS_MAX);
        all->blocks[all->count++] = block;
        all->pages += UINT64_C(1) << order;
        taken++;
    }
    return taken;
}

/* That no two overlap is the free's to see: it panics at a frame that is free already. */
static void give_all(struct exhaustion *all) {
    while (all->count != 0) {
        uint32_t at = (uint32_t)test_random_below(&all->random, all->count);
        struct block block = all->blocks[at];
        all->blocks[at] = all->blocks[--all->count];
        as_cpu((uint32_t)test_random_below(&all->random, CPUS));
        ash_buddy_free(&all->buddy, block.first, block.order);
    }
    all->pages = 0;
}

static void run_order(struct exhaustion *all, uint32_t order,
                      const struct ash_buddy_stats *before) {
    CHECK_EQ(take_order(all, order), blocks_inside(all, order));
    for (uint32_t smaller = order; smaller-- > 0;)
        (void)take_order(all, smaller);
    struct ash_buddy_stats stats = stats_of(&all->buddy);
    CHECK_EQ(stats.free_pages, 0);
    CHECK_EQ(stats.used_pages, all->pages);
    CHECK_EQ(stats.used_pages, stats.total_pages);
    CHECK(ash_buddy_check(&all->buddy) == NULL);
    give_all(all);
    ash_buddy_drain_all(&all->buddy);
    stats = stats_of(&all->buddy);
    CHECK_EQ(stats.free_pages, stats.total_pages);
    CHECK_MEM_EQ(stats.free_blocks, before->free_blocks, sizeof(stats.free_blocks));
    CHECK(ash_buddy_check(&all->buddy) == NULL);
}

static void run_orders(const struct ash_buddy_region *regions, uint32_t region_count,
                       uint32_t first_order, bool hardened) {
    struct exhaustion *all = test_alloc(sizeof(*all), ASH_PORT_CACHE_LINE);
    const struct ash_buddy_config config = {
        .regions = regions, .region_count = region_count, .hardened = hardened};
    all->regions = regions;
    all->region_count = region_count;
    all->random = test_random_from(test_seed());
    const uint8_t *canary = buddy_by(&all->buddy, &config);
    struct ash_buddy_stats before = stats_of(&all->buddy);
    for (uint32_t order = first_order; order <= ASH_BUDDY_ORDER_MAX; order++) {
        for (uint32_t round = 0; round < 2; round++)
            run_order(all, order, &before);
    }
    CHECK(canary_is_alive(canary));
}

/* Odd ends, regions that touch, one of a single frame; 7 times 512 frames and more. */
static const struct ash_buddy_region small_regions[] = {{3, 1000},    {1003, 1},   {1004, 20},
                                                        {1500, 2048}, {5120, 512}, {7000, 129}};

TEST_CASE(buddy_exhaustion, every_order_to_the_last_block_and_frame_and_back) {
    run_orders(small_regions, ASH_ARRAY_LEN(small_regions), 0, false);
}

TEST_CASE(buddy_exhaustion, every_order_to_the_last_block_and_frame_and_back_if_hardened) {
    run_orders(small_regions, ASH_ARRAY_LEN(small_regions), 0, true);
}

/* Gibibytes: the blocks that are longer than an entry of the index. */
TEST_CASE(buddy_exhaustion, large_orders_to_the_last_frame_and_back) {
    static const struct ash_buddy_region regions[] = {
        {100, UINT64_C(5) << 17}, {(UINT64_C(1) << 30) - 777, (UINT64_C(1) << 18) + 1555}};
    run_orders(regions, ASH_ARRAY_LEN(regions), 10, false);
}
