/* SPDX-License-Identifier: MIT */
/*
 * Memory by size, from any CPU, over a page source that fails when it is told to, against an array
 * of the blocks that are out, each with its own pattern in all the bytes that were asked for.
 */
#include "choices.h"
#include "harness/as_cpu.h"
#include "slab/fake_pages.h"

#include <ashlar/check.h>

enum { BLOCKS = 500, CPUS = 4, PAGES = 128 };

struct block {
    uint8_t *bytes;
    size_t size, usable;
    uint8_t pattern;
};

struct world {
    struct choices *choices;
    struct fake_pages *pages;
    struct ash_heap heap;
    struct block blocks[BLOCKS];
    uint32_t count;
};

static uint32_t pick(struct world *world, uint32_t limit) {
    return choose(world->choices, limit);
}

/* Small ones most often, edges of classes and pages, and what no machine has. */
static size_t pick_size(struct world *world) {
    uint32_t kind = pick(world, 16);
    if (kind < 8)
        return pick(world, 600);
    if (kind < 12)
        return ((size_t)1 << pick(world, 16)) - 1 + pick(world, 3);
    if (kind < 15)
        return pick(world, 40000);
    return SIZE_MAX - (pick(world, 2) != 0 ? pick(world, 70) : (size_t)1 << pick(world, 64));
}

/* A byte of the pattern differs from its neighbours: contents that move by a byte are seen. */
static uint8_t painted(const struct block *block, size_t at) {
    return (uint8_t)(block->pattern + at * 7);
}

/* The places that are painted: each in the first KiB, then every 61st. */
static size_t next_place(size_t at) {
    return at + (at < 1024 ? 1 : 61);
}

static void paint(const struct block *block) {
    for (size_t at = 0; at < block->size; at = next_place(at))
        block->bytes[at] = painted(block, at);
    if (block->size != 0)
        block->bytes[block->size - 1] = painted(block, block->size - 1);
}

static void look(const struct block *block, size_t len) {
    for (size_t at = 0; at < len; at = next_place(at)) {
        if (block->bytes[at] != painted(block, at))
            test_fail(__FILE__, __LINE__, "byte %zu of %zu at %p has changed", at, block->size,
                      (void *)block->bytes);
    }
    if (len != 0 && len == block->size)
        CHECK_EQ(block->bytes[len - 1], painted(block, len - 1));
}

static bool is_zero(const uint8_t *bytes, size_t len) {
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* What the class or order of an answer must be: none smaller would do, but for a realloc. */
static void note(struct world *world, struct block *block, uint8_t *bytes, size_t size) {
    block->bytes = bytes;
    block->size = size;
    block->usable = ash_ksize(&world->heap, bytes);
    CHECK(block->usable >= size);
    CHECK(ash_is_aligned((uintptr_t)bytes, 16));
    if (ash_is_pow2(size))
        CHECK(ash_is_aligned((uintptr_t)bytes, size));
}

/* No memory is an answer only where the source had none, or has none so large. */
static void excuse(const struct world *world, uint64_t refused, size_t size) {
    CHECK(world->pages->refused != refused || size > PAGES * ASH_PAGE_SIZE);
}

enum way { MALLOC, ZALLOC, CALLOC };

static void step_alloc(struct world *world, enum way way) {
    if (world->count == BLOCKS)
        return;
    size_t size = pick_size(world), items = way == CALLOC ? 1 + pick(world, 9) : 1;
    uint64_t refused = world->pages->refused;
    uint8_t *bytes;
    if (way == MALLOC)
        bytes = ash_kmalloc(&world->heap, size);
    else if (way == ZALLOC)
        bytes = ash_kzalloc(&world->heap, size);
    else
        bytes = ash_kcalloc(&world->heap, items, size);
    if (size > SIZE_MAX / items)
        size = SIZE_MAX / items;
    if (bytes == NULL) {
        excuse(world, refused, size * items);
        return;
    }
    struct block *block = &world->blocks[world->count++];
    block->pattern = (uint8_t)pick(world, 256);
    note(world, block, bytes, size * items);
    if (way != MALLOC)
        CHECK(is_zero(bytes, block->usable));
    paint(block);
}

static void step_realloc(struct world *world) {
    if (world->count == 0)
        return;
    struct block *block = &world->blocks[pick(world, world->count)];
    size_t size = pick_size(world);
    uint64_t refused = world->pages->refused;
    uint8_t *bytes = ash_krealloc(&world->heap, block->bytes, size);
    if (bytes == NULL) {
        CHECK(size > block->usable);
        excuse(world, refused, size);
        look(block, block->size);
        return;
    }
    block->bytes = bytes;
    look(block, ash_min_u64(size, block->size));
    block->usable = ash_ksize(&world->heap, bytes);
    block->size = size;
    CHECK(block->usable >= size);
    paint(block);
}

static void step_free(struct world *world) {
    if (world->count == 0)
        return;
    uint32_t which = pick(world, world->count);
    struct block block = world->blocks[which];
    world->blocks[which] = world->blocks[--world->count];
    look(&block, block.size);
    CHECK_EQ(ash_ksize(&world->heap, block.bytes), block.usable);
    ash_kfree(&world->heap, block.bytes);
}

/* Inside of a large block, and outside of everything. */
static void step_wrong_free(struct world *world) {
    if (world->count == 0 || !ASH_ENABLED(ASH_CHECKS >= 1))
        return;
    const struct block *block = &world->blocks[pick(world, world->count)];
    if (block->usable <= ASH_HEAP_FINE_MAX)
        CHECK_PANICS(ash_kfree(&world->heap, &world->choices), "");
    else
        CHECK_PANICS(ash_kfree(&world->heap, block->bytes + 1 + pick(world, 9000)), "");
}

static void audit(struct world *world) {
    const char *broken = ash_heap_check(&world->heap);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < world->count; i++) {
        look(&world->blocks[i], world->blocks[i].size);
        bytes += world->blocks[i].usable;
    }
    struct ash_heap_stats stats;
    ash_heap_get_stats(&world->heap, &stats);
    CHECK_EQ(stats.small_bytes + stats.large_bytes, bytes);
    CHECK_EQ(stats.slab_bytes + stats.large_bytes, world->pages->used * ASH_PAGE_SIZE);
}

static void step(struct world *world) {
    uint32_t kind = pick(world, 128);
    if (kind < 42) {
        step_alloc(world, MALLOC);
    } else if (kind < 50) {
        step_alloc(world, ZALLOC);
    } else if (kind < 54) {
        step_alloc(world, CALLOC);
    } else if (kind < 64) {
        step_realloc(world);
    } else if (kind < 65) {
        step_wrong_free(world);
    } else if (kind < 112) {
        step_free(world);
    } else if (kind < 121) {
        as_cpu(pick(world, CPUS));
    } else if (kind < 122) {
        (void)ash_heap_shrink(&world->heap);
    } else if (kind < 125) {
        world->pages->fail_at = world->pages->calls + 1 + pick(world, 4);
        world->pages->fail_count = 1 + pick(world, 3);
    } else {
        audit(world);
    }
}

void fuzz_heap(struct choices *choices) {
    struct world *world = test_alloc(sizeof(*world), 64);
    world->choices = choices;
    world->pages = fake_pages_new(PAGES);
    struct ash_heap_config config = {
        .source = &world->pages->source,
        .classes = pick(world, 2) != 0 ? ASH_HEAP_FINE : ASH_HEAP_SIX,
    };
    size_t bytes = ash_heap_storage_size(&config);
    CHECK_EQ(ash_heap_init(&world->heap, &config, test_alloc(bytes, ASH_PORT_CACHE_LINE), bytes),
             0);
    while (choices_go_on(choices))
        step(world);
    audit(world);
    while (world->count != 0)
        step_free(world);
    CHECK_EQ(ash_heap_fini(&world->heap), 0);
    CHECK_EQ(world->pages->used, 0);
}

TEST_CASE(heap_fuzz, random_calls_of_four_cpus_match_an_array_of_blocks) {
    for (uint64_t round = 0; round < 12; round++) {
        struct choices choices = choices_of_seed(test_seed() + round, 4000);
        fuzz_heap(&choices);
    }
}
