/* SPDX-License-Identifier: MIT */
/*
 * The buddy against a naive model, an array that says of each frame what it is: random regions,
 * random calls, the answer to each foretold. The model knows nothing of how blocks are found.
 */
#include "buddy/fixture.h"

enum { FRAMES = 512, BLOCKS = FRAMES, REGIONS = 5, FREE = -1, RESERVED = -2 };

struct model {
    ash_pfn_t base;         /* of frames 0..FRAMES - 1 of the arrays */
    int16_t region[FRAMES]; /* -1: a hole */
    int16_t block[FRAMES];  /* an index of `blocks`, or FREE or RESERVED */
    struct ash_buddy_block blocks[BLOCKS];
    uint32_t block_count;
    uint64_t peak_pages;
};

struct world {
    struct ash_buddy buddy;
    struct model model;
    struct test_random random;
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

static void model_allocate(struct model *model, ash_pfn_t first, uint32_t order, uint8_t owner) {
    uint64_t len = UINT64_C(1) << order;
    CHECK(ash_is_aligned(first, len));
    CHECK(is_one_region(model, first, len));
    CHECK(is_all(model, first, len, FREE));
    fill(model, first, len, (int16_t)model->block_count);
    model->blocks[model->block_count++] = (struct ash_buddy_block){first, order, owner};
    uint64_t used = 0;
    for (uint32_t i = 0; i < model->block_count; i++)
        used += UINT64_C(1) << model->blocks[i].order;
    model->peak_pages = ash_max_u64(model->peak_pages, used);
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
    world->canary = buddy_over(&world->buddy, regions, count);
}

/* Small orders mostly; sometimes one that never fits or does not exist. */
static uint32_t any_order(struct test_random *random) {
    if (test_random_chance(random, 5))
        return 8 + (uint32_t)test_random_below(random, 12);
    uint32_t high = (uint32_t)test_random_below(random, 8);
    return (uint32_t)test_random_below(random, high + 1);
}

static ash_pfn_t any_frame(struct world *world) {
    return world->model.base + test_random_below(&world->random, FRAMES + 8) - 4;
}

static void step_alloc(struct world *world) {
    uint32_t order = any_order(&world->random);
    uint8_t owner = (uint8_t)test_random_below(&world->random, 8);
    ash_pfn_t first;
    int result = ash_buddy_alloc(&world->buddy, order, owner, &first);
    if (order > ASH_BUDDY_ORDER_MAX) {
        CHECK_EQ(result, -ASH_EINVAL);
    } else if (!has_room(&world->model, order)) {
        CHECK_EQ(result, -ASH_ENOMEM);
    } else {
        CHECK_EQ(result, 0);
        model_allocate(&world->model, first, order, owner);
    }
}

static void step_alloc_at(struct world *world) {
    uint32_t order = any_order(&world->random);
    ash_pfn_t first = any_frame(world);
    if (order <= ASH_BUDDY_ORDER_MAX && test_random_chance(&world->random, 90))
        first = ash_align_down(first, UINT64_C(1) << order);
    int result = ash_buddy_alloc_at(&world->buddy, first, order, 6);
    if (order > ASH_BUDDY_ORDER_MAX || !ash_is_aligned(first, UINT64_C(1) << order) ||
        !is_one_region(&world->model, first, UINT64_C(1) << order)) {
        CHECK_EQ(result, -ASH_EINVAL);
    } else if (!is_all(&world->model, first, UINT64_C(1) << order, FREE)) {
        CHECK_EQ(result, -ASH_EBUSY);
    } else {
        CHECK_EQ(result, 0);
        model_allocate(&world->model, first, order, 6);
    }
}

static void step_free(struct world *world) {
    struct model *model = &world->model;
    if (model->block_count == 0)
        return;
    uint32_t which = (uint32_t)test_random_below(&world->random, model->block_count);
    struct ash_buddy_block block = model->blocks[which];
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

/* A free that names no block: in a hole, inside a block, of another order, of a free frame. */
static void step_bad_free(struct world *world) {
    struct model *model = &world->model;
    ash_pfn_t first = any_frame(world);
    uint32_t order = any_order(&world->random);
    if (is_one_region(model, first, 1)) {
        int16_t block = model->block[first - model->base];
        if (block >= 0 && model->blocks[block].first == first &&
            model->blocks[block].order == order)
            return;
    }
    CHECK_REFUSED(ash_buddy_free(&world->buddy, first, order), "free of frame");
}

static void compare_find(struct world *world) {
    struct model *model = &world->model;
    ash_pfn_t frame = any_frame(world);
    struct ash_buddy_block found;
    int16_t block = is_one_region(model, frame, 1) ? model->block[frame - model->base] : FREE;
    CHECK(ash_buddy_find(&world->buddy, frame, &found) == (block >= 0));
    if (block >= 0) {
        CHECK(found.first == model->blocks[block].first);
        CHECK_EQ(found.order, model->blocks[block].order);
        CHECK_EQ(found.owner, model->blocks[block].owner);
    }
}

static void compare_stats(struct world *world) {
    struct model *model = &world->model;
    struct ash_buddy_stats stats = stats_of(&world->buddy);
    uint64_t free_pages = count_of(model, FREE), reserved = count_of(model, RESERVED);
    CHECK_EQ(stats.free_pages, free_pages);
    CHECK_EQ(stats.reserved_pages, reserved);
    CHECK_EQ(stats.used_pages, stats.total_pages - free_pages - reserved);
    CHECK_EQ(stats.peak_used_pages, model->peak_pages);
    int32_t largest = ASH_BUDDY_ORDER_MAX;
    while (largest >= 0 && !has_room(model, (uint32_t)largest))
        largest--;
    CHECK_EQ(stats.largest_free_order, largest);
}

static void step(struct world *world) {
    uint64_t kind = test_random_below(&world->random, 100);
    if (kind < 40)
        step_alloc(world);
    else if (kind < 75)
        step_free(world);
    else if (kind < 85)
        step_alloc_at(world);
    else if (kind < 90)
        step_reserve(world);
    else if (kind < 97)
        step_release(world);
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

TEST_CASE(buddy_model, random_calls_match_a_map_of_frames) {
    static struct world world;
    for (uint64_t round = 0; round < 120; round++) {
        world.random = test_random_from(test_seed() + round);
        build(&world);
        struct ash_buddy_stats before = stats_of(&world.buddy);
        for (uint32_t i = 0; i < 150; i++) {
            step(&world);
            compare_find(&world);
            CHECK(ash_buddy_check(&world.buddy) == NULL);
            if (i % 16 == 0)
                compare_stats(&world);
        }
        give_all_back(&world);
        CHECK(ash_buddy_check(&world.buddy) == NULL);
        struct ash_buddy_stats after = stats_of(&world.buddy);
        CHECK_MEM_EQ(after.free_blocks, before.free_blocks, sizeof(after.free_blocks));
        CHECK(canary_is_alive(world.canary));
    }
}

/* Fills with random orders until nothing at all fits, then frees in random order. */
TEST_CASE(buddy_model, exhausted_and_emptied_it_is_as_new) {
    static struct world world;
    for (uint64_t round = 0; round < 10; round++) {
        world.random = test_random_from(test_seed() + 1000 + round);
        build(&world);
        struct ash_buddy_stats before = stats_of(&world.buddy);
        while (stats_of(&world.buddy).free_pages != 0)
            step_alloc(&world);
        CHECK(ash_buddy_check(&world.buddy) == NULL);
        while (world.model.block_count != 0)
            step_free(&world);
        CHECK(ash_buddy_check(&world.buddy) == NULL);
        struct ash_buddy_stats after = stats_of(&world.buddy);
        CHECK_MEM_EQ(after.free_blocks, before.free_blocks, sizeof(after.free_blocks));
        CHECK_EQ(after.peak_used_pages, after.total_pages);
    }
}
