/* SPDX-License-Identifier: MIT */
/*
 * Memory by size, from any CPU, over a page source that fails when it is told to, against an array
 * of the blocks that are out, each with its own pattern in its first and last bytes.
 */
#include "choices.h"
#include "harness/as_cpu.h"
#include "slab/fake_pages.h"

#include <ashlar/check.h>

enum { BLOCKS = 500, CPUS = 4, PAGES = 128, END_BYTES = 16 };

struct block {
    uint8_t *bytes;
    size_t size;
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

static void paint(const struct block *block) {
    size_t len = ash_min_u64(block->size, END_BYTES);
    memset(block->bytes, block->pattern, len);
    memset(block->bytes + block->size - len, block->pattern, len);
}

static void look(const struct block *block) {
    uint8_t expected[END_BYTES];
    size_t len = ash_min_u64(block->size, END_BYTES);
    memset(expected, block->pattern, sizeof(expected));
    CHECK_MEM_EQ(block->bytes, expected, len);
    CHECK_MEM_EQ(block->bytes + block->size - len, expected, len);
}

static bool is_zero(const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static void step_alloc(struct world *world, bool zeroed) {
    if (world->count == BLOCKS)
        return;
    size_t size = pick_size(world);
    uint64_t refused = world->pages->refused;
    uint8_t *bytes = zeroed ? ash_kzalloc(&world->heap, size) : ash_kmalloc(&world->heap, size);
    if (bytes == NULL) {
        CHECK(world->pages->refused != refused || size > PAGES * ASH_PAGE_SIZE);
        return;
    }
    CHECK(ash_is_aligned((uintptr_t)bytes, 16));
    size_t usable = ash_ksize(&world->heap, bytes);
    CHECK(usable >= size);
    if (zeroed)
        CHECK(is_zero(bytes, usable));
    world->blocks[world->count] = (struct block){bytes, usable, (uint8_t)pick(world, 256)};
    paint(&world->blocks[world->count++]);
}

static void step_free(struct world *world) {
    if (world->count == 0)
        return;
    uint32_t which = pick(world, world->count);
    struct block block = world->blocks[which];
    world->blocks[which] = world->blocks[--world->count];
    look(&block);
    CHECK_EQ(ash_ksize(&world->heap, block.bytes), block.size);
    ash_kfree(&world->heap, block.bytes);
}

static void audit(struct world *world) {
    const char *broken = ash_heap_check(&world->heap);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < world->count; i++) {
        look(&world->blocks[i]);
        bytes += world->blocks[i].size;
    }
    struct ash_heap_stats stats;
    ash_heap_get_stats(&world->heap, &stats);
    CHECK_EQ(stats.small_bytes + stats.large_bytes, bytes);
    CHECK_EQ(stats.slab_bytes + stats.large_bytes, world->pages->used * ASH_PAGE_SIZE);
}

static void step(struct world *world) {
    uint32_t kind = pick(world, 128);
    if (kind < 50) {
        step_alloc(world, false);
    } else if (kind < 62) {
        step_alloc(world, true);
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
