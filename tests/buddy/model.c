/* SPDX-License-Identifier: MIT */
/*
 * The buddy against a naive model, an array that says of each frame what it is: random regions,
 * random calls, the answer to each foretold. The model knows nothing of how blocks are found.
 */
#include "buddy/fixture.h"
#include "harness/as_cpu.h"

enum { FRAMES = 1200, BLOCKS = FRAMES, REGIONS = 5, CPUS = 4, FREE = -1, RESERVED = -2 };

struct block {
    ash_pfn_t first;
    uint32_t order;
};

struct model {
    ash_pfn_t base;         /* of frames 0..FRAMES - 1 of the arrays */
    int16_t region[FRAMES]; /* -1: a hole */
    int16_t block[FRAMES];  /* an index of `blocks`, or FREE or RESERVED */
    struct block blocks[BLOCKS];
    uint32_t block_count;
};

struct world {
    struct ash_buddy buddy;
    struct model model;
    struct test_random random;
    bool hardened;
    const uint8_t *canary;
};

/* Are all frames of the range in one region? And `kind`, unless that is a hole? */
static bool is_one_region(const struct model *model, ash_pfn_t first, uint64_t len) {
    if (first < model->base || first - model->base >= FRAMES ||
        len > FRAMES - (first - model->base))
        return false;
    uint64_t at = first - model->base;
    for (uint64_t i = 0; i < len; i++) {
        if (model->region[at] < 0 || model->region[at + i] != model->region[at])
            return false;
    }
    return true;
}

static bool is_all(const struct model *model, ash_pfn_t first, uint64_t len, int16_t kind) {
    for (uint64_t i = 0; i < len; i++) {
        if (model->block[first - model->base + i] != kind)
            return false;
    }
    return true;
}

static void fill(struct model *model, ash_pfn_t first, uint64_t len, int16_t kind) {
    for (uint64_t i = 0; i < len; i++)
        model->block[first - model->base + i] = kind;
}

static uint64_t count_of(const struct model *model, int16_t kind) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < FRAMES; i++)
        count += model->region[i] >= 0 && model->block[i] == kind;
    return count;
}

/* Is an aligned block of this order wholly free? */
static bool has_room(const struct model *model, uint32_t order) {
    uint64_t len = UINT64_C(1) << order;
    for (ash_pfn_t first = ash_align_up(model->base, len); first < model->base + FRAMES;
         first += len) {
        if (is_one_region(model, first, len) && is_all(model, first, len, FREE))
            return true;
    }
    return false;
}

static void model_allocate(struct model *model, ash_pfn_t first, uint32_t order) {
    uint64_t len = UINT64_C(1) << order;
    CHECK(ash_is_aligned(first, len));
    CHECK(is_one_region(model, first, len));
    CHECK(is_all(model, first, len, FREE));
    fill(model, first, len, (int16_t)model->block_count);
    model->blocks[model->block_count++] = (struct block){first, order};
}

/* Random regions between frame 0 and FRAMES - 1, with holes or touching. */
static void build(struct world *world) {
    static const ash_pfn_t bases[] = {0,       1,       0x40000,
                                      0x3ffff, 0x7fe01, ASH_BUDDY_FRAME_LIMIT - FRAMES};
    struct model *model = &world->model;
    struct ash_buddy_region regions[REGIONS];
    uint32_t wanted = 1 + (uint32_t)test_random_below(&world->random, REGIONS), count = 0;
    memset(model, 0, sizeof(*model));
    memset(model->region, 0xff, sizeof(model->region));
    model->base = bases[test_random_below(&world->random, ASH_ARRAY_LEN(bases))];
    uint64_t next = 0;
    while (count < wanted && next < FRAMES) {
        uint64_t start =
            next +
            (test_random_chance(&world->random, 50) ? 0 : test_random_below(&world->random, 40));
        if (start >= FRAMES)
            break;
        uint64_t len = 1 + test_random_below(&world->random, (FRAMES - start));
        regions[count] = (struct ash_buddy_region){model->base + start, len};
        for (uint64_t i = start; i < start + len; i++)
            model->region[i] = (int16_t)count;
        count++;
        next = start + len;
    }
    if (count == 0) {
        regions[count++] = (struct ash_buddy_region){model->base, 1};
        model->region[0] = 0;
    }
    memset(model->block, 0xff, sizeof(model->block)); /* FREE */
    world->hardened = test_random_chance(&world->random, 50);
    struct ash_buddy_config config = {.regions = regions,
                                      .region_count = count,
                                      .hardened = world->hardened,
                                      .interrupts = test_random_chance(&world->random, 20)};
    world->canary = buddy_by(&world->buddy, &config);
}

/* Small orders mostly; sometimes one that never fits or does not exist. */
static uint32_t any_order(struct test_random *random) {
    if (test_random_chance(random, 5))
        return 9 + (uint32_t)test_random_below(random, 12);
    uint32_t high = (uint32_t)test_random_below(random, 11);
    if (test_random_chance(random, 40))
        return 0;
    return (uint32_t)test_random_below(random, high + 1);
}

static ash_pfn_t any_frame(struct world *world) {
    return world->model.base + test_random_below(&world->random, FRAMES + 8) - 4;
}

static void step_alloc(struct world *world) {
    uint32_t order = any_order(&world->random);
    enum ash_buddy_hint hint =
        test_random_chance(&world->random, 30) ? ASH_BUDDY_UNMOVABLE : ASH_BUDDY_MOVABLE;
    ash_pfn_t first;
    int result = ash_buddy_alloc(&world->buddy, order, hint, &first);
    if (order > ASH_BUDDY_ORDER_MAX) {
        CHECK_EQ(result, -ASH_EINVAL);
    } else if (!has_room(&world->model, order)) {
        CHECK_EQ(result, -ASH_ENOMEM);
    } else {
        CHECK_EQ(result, 0);
        model_allocate(&world->model, first, order);
    }
}

static void step_alloc_at(struct world *world) {
    uint32_t order = any_order(&world->random);
    ash_pfn_t first = any_frame(world);
    if (order <= ASH_BUDDY_ORDER_MAX && test_random_chance(&world->random, 90))
        first = ash_align_down(first, UINT64_C(1) << order);
    int result = ash_buddy_alloc_at(&world->buddy, first, order);
    if (order > ASH_BUDDY_ORDER_MAX || !ash_is_aligned(first, UINT64_C(1) << order) ||
        !is_one_region(&world->model, first, UINT64_C(1) << order)) {
        CHECK_EQ(result, -ASH_EINVAL);
    } else if (!is_all(&world->model, first, UINT64_C(1) << order, FREE)) {
        CHECK_EQ(result, -ASH_EBUSY);
    } else {
        CHECK_EQ(result, 0);
        model_allocate(&world->model, first, order);
    }
}

static void step_free(struct world *world) {
    struct model *model = &world->model;
    if (model->block_count == 0)
        return;
    uint32_t which = (uint32_t)test_random_below(&world->random, model->block_count);
    struct block block = model->blocks[which];
    ash_buddy_free(&world->buddy, block.first, block.order);
    fill(model, block.first, UINT64_C(1) << block.order, FREE);
    model->blocks[which] = model->blocks[--model->block_count];
    if (which < model->block_count)
        fill(model, model->blocks[which].first, UINT64_C(1) << model->blocks[which].order,
             (int16_t)which);
}

static void step_reserve(struct world *world) {
    ash_pfn_t first = any_frame(world);
    uint64_t len = test_random_below(&world->random, 40);
    int result = ash_buddy_reserve(&world->buddy, first, len);
    if (len == 0 || !is_one_region(&world->model, first, len)) {
        CHECK_EQ(result, -ASH_EINVAL);
    } else if (!is_all(&world->model, first, len, FREE)) {
        CHECK_EQ(result, -ASH_EBUSY);
    } else {
        CHECK_EQ(result, 0);
        fill(&world->model, first, len, RESERVED);
    }
}

/* A part of a run of reserved frames, from a random one on. */
static void step_release(struct world *world) {
    struct model *model = &world->model;
    ash_pfn_t first = model->base + test_random_below(&world->random, FRAMES);
    uint64_t longest = 0;
    while (is_one_region(model, first, longest + 1) && is_all(model, first, longest + 1, RESERVED))
        longest++;
    if (longest == 0)
        return;
    uint64_t len = 1 + test_random_below(&world->random, longest);
    ash_buddy_release(&world->buddy, first, len);
    fill(model, first, len, FREE);
}

/* The lowest aligned block of the order inside [from, end) that is free, outside all caches. */
static void step_alloc_from(struct world *world) {
    struct model *model = &world->model;
    uint32_t order = any_order(&world->random);
    ash_pfn_t from = any_frame(world), first;
    ash_pfn_t end = test_random_below(&world->random, 2) == 0 ? UINT64_MAX : any_frame(world);
    uint64_t len = UINT64_C(1) << order % 32;
    ash_buddy_drain_all(&world->buddy);
    int result = ash_buddy_alloc_from(&world->buddy, from, end, order, &first);
    if (order > ASH_BUDDY_ORDER_MAX) {
        CHECK_EQ(result, -ASH_EINVAL);
        return;
    }
    ash_pfn_t lowest = ash_align_up(ash_max_u64(from, model->base), len);
    while (lowest < model->base + FRAMES &&
           !(is_one_region(model, lowest, len) && is_all(model, lowest, len, FREE)))
        lowest += len;
    if (from > model->base + FRAMES || lowest >= model->base + FRAMES || lowest + len > end) {
        CHECK_EQ(result, -ASH_ENOENT);
    } else {
        CHECK_EQ(result, 0);
        CHECK(first == lowest);
        model_allocate(model, first, order);
    }
}

static void step_reserve_run(struct world *world) {
    struct model *model = &world->model;
    uint64_t len = 1 + test_random_below(&world->random, 60), fitting = 0;
    uint64_t align = UINT64_C(1) << test_random_below(&world->random, 7);
    ash_pfn_t first;
    int result = ash_buddy_reserve_run(&world->buddy, len, align, &first);
    for (ash_pfn_t at = ash_align_up(model->base, align); at < model->base + FRAMES; at += align)
        fitting += is_one_region(model, at, len) && is_all(model, at, len, FREE);
    CHECK_EQ(result, fitting != 0 ? 0 : -ASH_ENOMEM);
    if (result == 0) {
        CHECK(ash_is_aligned(first, align));
        CHECK(is_one_region(model, first, len) && is_all(model, first, len, FREE));
        fill(model, first, len, RESERVED);
    }
}

/* Must this free be refused? Hardened: if it names no block. Else: if a frame of it is free. */
static bool is_wrong(struct world *world, ash_pfn_t first, uint32_t order) {
    struct model *model = &world->model;
    if (order > ASH_BUDDY_ORDER_MAX || !ash_is_aligned(first, UINT64_C(1) << order) ||
        !is_one_region(model, first, UINT64_C(1) << order))
        return true;
    int16_t block = model->block[first - model->base];
    if (world->hardened)
        return block < 0 || model->blocks[block].first != first ||
               model->blocks[block].order != order;
    bool some_free = false;
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++)
        some_free |= model->block[first - model->base + i] == FREE;
    return some_free;
}

static void step_bad_free(struct world *world) {
    ash_pfn_t first = any_frame(world);
    uint32_t order = any_order(&world->random);
    if (!is_wrong(world, first, order))
        return;
    if (!world->hardened)
        ash_buddy_drain_all(&world->buddy); /* at once, if the first free is in no cache */
    CHECK_REFUSED(ash_buddy_free(&world->buddy, first, order), "free of frame");
}

static void compare_stats(struct world *world) {
    struct model *model = &world->model;
    struct ash_buddy_stats stats = stats_of(&world->buddy);
    uint64_t free_pages = count_of(model, FREE), reserved = count_of(model, RESERVED);
    CHECK_EQ(stats.free_pages, free_pages);
    CHECK_EQ(stats.reserved_pages, reserved);
    CHECK_EQ(stats.used_pages, stats.total_pages - free_pages - reserved);
    CHECK(stats.peak_used_pages >= stats.used_pages);
    CHECK_EQ(ash_buddy_free_pages(&world->buddy), free_pages);
    int32_t largest = ASH_BUDDY_ORDER_MAX;
    while (largest >= 0 && !has_room(model, (uint32_t)largest))
        largest--;
    CHECK(stats.largest_free_order <= largest);
    ash_buddy_drain_all(&world->buddy);
    stats = stats_of(&world->buddy);
    CHECK_EQ(stats.largest_free_order, largest);
    CHECK_EQ(stats.free_pages, free_pages);
    CHECK_EQ(stats.cached_pages, 0);
}

static void step(struct world *world) {
    uint64_t kind = test_random_below(&world->random, 100);
    if (kind < 38)
        step_alloc(world);
    else if (kind < 73)
        step_free(world);
    else if (kind < 79)
        step_alloc_at(world);
    else if (kind < 82)
        step_alloc_from(world);
    else if (kind < 85)
        step_reserve(world);
    else if (kind < 87)
        step_reserve_run(world);
    else if (kind < 94)
        step_release(world);
    else if (kind < 96)
        ash_buddy_drain(&world->buddy);
    else
        step_bad_free(world);
}

static void give_all_back(struct world *world) {
    struct model *model = &world->model;
    while (model->block_count != 0)
        step_free(world);
    for (uint32_t i = 0; i < FRAMES; i++) {
        if (model->region[i] >= 0 && model->block[i] == RESERVED)
            ash_buddy_release(&world->buddy, model->base + i, 1);
    }
}

static void compare_free_blocks(struct world *world, const struct ash_buddy_stats *before) {
    ash_buddy_drain_all(&world->buddy);
    struct ash_buddy_stats after = stats_of(&world->buddy);
    CHECK_MEM_EQ(after.free_blocks, before->free_blocks, sizeof(after.free_blocks));
    CHECK(ash_buddy_check(&world->buddy) == NULL);
    CHECK(canary_is_alive(world->canary));
}

TEST_CASE(buddy_model, random_calls_of_four_cpus_match_a_map_of_frames) {
    struct world *world = test_alloc(sizeof(*world), 64);
    for (uint64_t round = 0; round < 60; round++) {
        world->random = test_random_from(test_seed() + round);
        build(world);
        struct ash_buddy_stats before = stats_of(&world->buddy);
        for (uint32_t i = 0; i < 200; i++) {
            as_cpu((uint32_t)test_random_below(&world->random, CPUS));
            step(world);
            const char *broken = ash_buddy_check(&world->buddy);
            if (broken != NULL)
                test_fail(__FILE__, __LINE__, "%s", broken);
            if (i % 32 == 0)
                compare_stats(world);
        }
        give_all_back(world);
        compare_free_blocks(world, &before);
    }
}

/* Fills with random orders until nothing at all fits, then frees in random order. */
TEST_CASE(buddy_model, exhausted_and_emptied_it_is_as_new) {
    struct world *world = test_alloc(sizeof(*world), 64);
    for (uint64_t round = 0; round < 10; round++) {
        world->random = test_random_from(test_seed() + 1000 + round);
        build(world);
        struct ash_buddy_stats before = stats_of(&world->buddy);
        while (ash_buddy_free_pages(&world->buddy) != 0) {
            as_cpu((uint32_t)test_random_below(&world->random, CPUS));
            step_alloc(world);
        }
        CHECK(ash_buddy_check(&world->buddy) == NULL);
        CHECK_EQ(stats_of(&world->buddy).peak_used_pages, before.total_pages);
        while (world->model.block_count != 0) {
            as_cpu((uint32_t)test_random_below(&world->random, CPUS));
            step_free(world);
        }
        compare_free_blocks(world, &before);
    }
}
