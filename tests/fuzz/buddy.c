/* SPDX-License-Identifier: MIT */
/*
 * The page allocator against one byte a frame, from any CPU, wrong calls included. What the model
 * says is free may lie in another CPU's cache: an allocation that finds nothing must succeed once
 * all caches are drained, or the model has no room either.
 */
#include "choices.h"
#include "harness/as_cpu.h"

#include <ashlar/buddy.h>
#include <ashlar/check.h>

enum { FRAMES = 1536, REGIONS = 3, CPUS = 4, BLOCKS = 600, ORDERS = 11 };
enum frame { HOLE, FREE, USED, RESERVED };

struct block {
    ash_pfn_t first;
    uint32_t order;
};

struct world {
    struct choices *choices;
    struct ash_buddy buddy;
    ash_pfn_t base;
    uint8_t frame[FRAMES];  /* enum frame */
    uint8_t region[FRAMES]; /* of a frame that is no hole */
    struct block blocks[BLOCKS];
    uint32_t block_count;
    uint64_t free_pages, reserved_pages, total_pages;
    bool hardened;
};

static uint32_t pick(struct world *world, uint32_t limit) {
    return choose(world->choices, limit);
}

static void make_buddy(struct world *world) {
    static const ash_pfn_t bases[] = {0, 1, 0x40000, 0x3ffff, ASH_BUDDY_FRAME_LIMIT - FRAMES};
    struct ash_buddy_region regions[REGIONS];
    uint32_t count = 0, at = 0, wanted = 1 + pick(world, REGIONS);
    world->base = bases[pick(world, ASH_ARRAY_LEN(bases))];
    for (; count < wanted && at < FRAMES; count++) {
        uint32_t gap = pick(world, 4) == 0 ? pick(world, 600) : 0;
        at = at + gap < FRAMES ? at + gap : FRAMES - 1;
        uint32_t len = 1 + pick(world, FRAMES - at);
        regions[count] = (struct ash_buddy_region){world->base + at, len};
        memset(world->frame + at, FREE, len);
        memset(world->region + at, (int)count, len);
        world->total_pages += len;
        at += len;
    }
    world->free_pages = world->total_pages;
    world->hardened = pick(world, 2) != 0;
    struct ash_buddy_config config = {.regions = regions,
                                      .region_count = count,
                                      .hardened = world->hardened,
                                      .interrupts = pick(world, 4) == 0};
    size_t bytes = ash_buddy_storage_size(&config);
    void *storage = test_alloc(bytes, 64);
    memset(storage, 0xff, bytes); /* init may not count on zeroes */
    CHECK_EQ(ash_buddy_init(&world->buddy, &config, storage, bytes), 0);
}

/* All frames of the range are `kind`, and of one region. */
static bool is_all(const struct world *world, ash_pfn_t first, uint64_t len, enum frame kind) {
    uint64_t at = first - world->base;
    if (first < world->base || at >= FRAMES || len > FRAMES - at)
        return false;
    for (uint64_t i = at; i < at + len; i++) {
        if (world->frame[i] != kind || world->region[i] != world->region[at])
            return false;
    }
    return true;
}

static bool is_in_one_region(const struct world *world, ash_pfn_t first, uint64_t len) {
    uint64_t at = first - world->base;
    if (first < world->base || at >= FRAMES || len > FRAMES - at)
        return false;
    for (uint64_t i = at; i < at + len; i++) {
        if (world->frame[i] == HOLE || world->region[i] != world->region[at])
            return false;
    }
    return true;
}

static bool has_room(const struct world *world, uint32_t order) {
    uint64_t len = UINT64_C(1) << order;
    for (ash_pfn_t first = ash_align_up(world->base, len); first < world->base + FRAMES;
         first += len) {
        if (is_all(world, first, len, FREE))
            return true;
    }
    return false;
}

static void set_frames(struct world *world, ash_pfn_t first, uint64_t len, enum frame kind) {
    memset(world->frame + (first - world->base), (int)kind, len);
}

static void note_block(struct world *world, ash_pfn_t first, uint32_t order) {
    uint64_t len = UINT64_C(1) << order;
    CHECK(ash_is_aligned(first, len));
    CHECK(is_all(world, first, len, FREE));
    set_frames(world, first, len, USED);
    world->free_pages -= len;
    world->blocks[world->block_count++] = (struct block){first, order};
}

static enum ash_buddy_hint any_hint(struct world *world) {
    return pick(world, 3) == 0 ? ASH_BUDDY_UNMOVABLE : ASH_BUDDY_MOVABLE;
}

static void step_alloc(struct world *world, uint32_t order) {
    ash_pfn_t first;
    if (world->block_count == BLOCKS)
        return;
    if (ash_buddy_alloc(&world->buddy, order, any_hint(world), &first) == 0) {
        note_block(world, first, order);
        return;
    }
    CHECK(order >= ORDERS || !has_room(world, order));
}

static struct block take_block(struct world *world) {
    uint32_t at = pick(world, world->block_count);
    struct block block = world->blocks[at];
    world->blocks[at] = world->blocks[--world->block_count];
    return block;
}

static void step_free(struct world *world) {
    if (world->block_count == 0)
        return;
    struct block block = take_block(world);
    ash_buddy_free(&world->buddy, block.first, block.order);
    set_frames(world, block.first, UINT64_C(1) << block.order, FREE);
    world->free_pages += UINT64_C(1) << block.order;
}

/* A frame number in or about the regions. */
static ash_pfn_t any_frame(struct world *world) {
    return world->base + pick(world, FRAMES + 4) - 2;
}

static void step_alloc_at(struct world *world) {
    uint32_t order = pick(world, ORDERS + 1);
    uint64_t len = UINT64_C(1) << order;
    ash_pfn_t first = ash_align_down(any_frame(world), len);
    if (world->block_count == BLOCKS)
        return;
    int result = ash_buddy_alloc_at(&world->buddy, first, order);
    if (!is_in_one_region(world, first, len))
        CHECK_EQ(result, -ASH_EINVAL);
    else if (!is_all(world, first, len, FREE))
        CHECK_EQ(result, -ASH_EBUSY);
    else
        CHECK_EQ(result, 0);
    if (result == 0)
        note_block(world, first, order);
}

static void step_reserve(struct world *world) {
    ash_pfn_t first = any_frame(world);
    uint64_t len = pick(world, 200);
    int result = ash_buddy_reserve(&world->buddy, first, len);
    if (len == 0 || !is_in_one_region(world, first, len)) {
        CHECK_EQ(result, -ASH_EINVAL);
    } else if (!is_all(world, first, len, FREE)) {
        CHECK_EQ(result, -ASH_EBUSY);
    } else {
        CHECK_EQ(result, 0);
        set_frames(world, first, len, RESERVED);
        world->free_pages -= len;
        world->reserved_pages += len;
    }
}

/* The first run of free frames in [from, end) that starts at a multiple of `align`. */
static bool find_run(const struct world *world, ash_pfn_t from, ash_pfn_t end, uint64_t len,
                     uint64_t align, ash_pfn_t *first) {
    if (from > ASH_BUDDY_FRAME_LIMIT) /* below frame 0 */
        return false;
    ash_pfn_t at = ash_align_up(ash_max_u64(from, world->base), align);
    for (; at < world->base + FRAMES && at + len <= end; at += align) {
        if (is_all(world, at, len, FREE)) {
            *first = at;
            return true;
        }
    }
    return false;
}

static void step_reserve_run(struct world *world) {
    uint64_t len = pick(world, 300), align = UINT64_C(1) << pick(world, 10);
    ash_pfn_t first = 0, expected;
    if (pick(world, 8) == 0)
        align--;
    int result = ash_buddy_reserve_run(&world->buddy, len, align, &first);
    if (len == 0 || !ash_is_pow2(align)) {
        CHECK_EQ(result, -ASH_EINVAL);
    } else if (!find_run(world, 0, UINT64_MAX, len, align, &expected)) {
        CHECK_EQ(result, -ASH_ENOMEM);
    } else {
        CHECK_EQ(result, 0);
        CHECK(ash_is_aligned(first, align));
        CHECK(is_all(world, first, len, FREE));
        set_frames(world, first, len, RESERVED);
        world->free_pages -= len;
        world->reserved_pages += len;
    }
}

/* Frames in caches are left alone; without any it is the very lowest block. */
static void step_alloc_from(struct world *world) {
    uint32_t order = pick(world, ORDERS);
    ash_pfn_t from = any_frame(world), end = any_frame(world), first, lowest;
    bool drained = pick(world, 2) != 0;
    if (world->block_count == BLOCKS)
        return;
    if (drained)
        ash_buddy_drain_all(&world->buddy);
    int result = ash_buddy_alloc_from(&world->buddy, from, end, order, &first);
    uint64_t len = UINT64_C(1) << order;
    if (!find_run(world, from, end, len, len, &lowest)) {
        CHECK_EQ(result, -ASH_ENOENT);
        return;
    }
    if (result == 0) {
        CHECK(first >= lowest && first + len <= end);
        CHECK(first == lowest || !drained);
        note_block(world, first, order);
    } else {
        CHECK_EQ(result, -ASH_ENOENT);
        CHECK(!drained);
    }
}

/* A part of what is reserved, from a random frame on. */
static void step_release(struct world *world) {
    ash_pfn_t first = any_frame(world);
    uint64_t len = 0, most = 1 + pick(world, 200);
    while (len < most && is_all(world, first, len + 1, RESERVED))
        len++;
    if (len == 0)
        return;
    ash_buddy_release(&world->buddy, first, len);
    set_frames(world, first, len, FREE);
    world->free_pages += len;
    world->reserved_pages -= len;
}

static bool is_block(const struct world *world, ash_pfn_t first, uint32_t order) {
    for (uint32_t i = 0; i < world->block_count; i++) {
        if (world->blocks[i].first == first && world->blocks[i].order == order)
            return true;
    }
    return false;
}

/* A free of what is no block: most often a frame that is free, for a double free is that. Only a
 * hardened instance sees through all of them at once. */
static void step_wrong_free(struct world *world) {
    ash_pfn_t first = any_frame(world);
    uint32_t order = pick(world, 4) == 0 ? pick(world, ORDERS + 10) : 0;
    if (!ASH_ENABLED(ASH_CHECKS >= 1) || !world->hardened || is_block(world, first, order))
        return;
    CHECK_PANICS(ash_buddy_free(&world->buddy, first, order), "free of frame");
}

static void audit(struct world *world) {
    const char *broken = ash_buddy_check(&world->buddy);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    struct ash_buddy_stats stats;
    ash_buddy_get_stats(&world->buddy, &stats);
    CHECK_EQ(stats.total_pages, world->total_pages);
    CHECK_EQ(stats.reserved_pages, world->reserved_pages);
    CHECK_EQ(stats.free_pages, world->free_pages);
    CHECK_EQ(stats.used_pages, world->total_pages - world->free_pages - world->reserved_pages);
}

static void step_rare(struct world *world) {
    switch (pick(world, 4)) {
    case 0:
        ash_buddy_drain(&world->buddy);
        break;
    case 1:
        ash_buddy_drain_all(&world->buddy);
        break;
    default:
        audit(world);
    }
}

static void step(struct world *world) {
    uint32_t kind = pick(world, 64);
    if (kind < 16)
        step_alloc(world, 0);
    else if (kind < 26)
        step_alloc(world, pick(world, ORDERS + 9));
    else if (kind < 48)
        step_free(world);
    else if (kind < 50)
        step_alloc_at(world);
    else if (kind < 52)
        step_reserve(world);
    else if (kind < 54)
        step_release(world);
    else if (kind < 56)
        step_wrong_free(world);
    else if (kind < 57)
        step_reserve_run(world);
    else if (kind < 58)
        step_alloc_from(world);
    else if (kind < 62)
        as_cpu(pick(world, CPUS));
    else
        step_rare(world);
}

void fuzz_buddy(struct choices *choices) {
    struct world *world = test_alloc(sizeof(*world), 64);
    world->choices = choices;
    make_buddy(world);
    while (choices_go_on(choices))
        step(world);
    audit(world);
    while (world->block_count != 0)
        step_free(world);
    audit(world);
}

TEST_CASE(buddy_fuzz, random_calls_of_four_cpus_match_a_map_of_frames) {
    for (uint64_t round = 0; round < 12; round++) {
        struct choices choices = choices_of_seed(test_seed() + round, 2000);
        fuzz_buddy(&choices);
    }
}
