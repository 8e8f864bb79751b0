/* SPDX-License-Identifier: MIT */
/* Large blocks of a heap under every order of steps: the map and the counts have no lock of the
 * heap's own. */
#include "explore.h"

#include <ashlar/heap.h>

#include "harness/asan.h"
#include "heap_internal.h"

enum { PAGES = 8 };

static struct {
    char pages[PAGES][4096] __attribute__((aligned(PAGES * 4096)));
    bool used[PAGES];
    struct ash_page_source source;
    uint64_t storage[64];
    struct ash_heap heap;
    char caches[ASH_HEAP_STORAGE_SIX] __attribute__((aligned(ASH_PORT_CACHE_LINE)));
    void *shared;
    uint32_t through;
} world;

static void *page_alloc(void *context, uint32_t order) {
    (void)context;
    EXPLORE_CHECK(explore_is_free());
    interleave_point();
    for (uint32_t first = 0; order < 4 && first < PAGES; first += 1u << order) {
        uint32_t free = 0;
        while (free < 1u << order && !world.used[first + free])
            free++;
        if (free == 1u << order) {
            memset(&world.used[first], true, free);
            test_permit(world.pages[first], free * 4096);
            interleave_point();
            return world.pages[first];
        }
    }
    return NULL;
}

static void page_free(void *context, void *base, uint32_t order) {
    (void)context;
    uint32_t first = (uint32_t)(((char *)base - world.pages[0]) / 4096);
    EXPLORE_CHECK(explore_is_free());
    interleave_point();
    for (uint32_t i = 0; i < 1u << order; i++) {
        EXPLORE_CHECK(first + i < PAGES && world.used[first + i]);
        world.used[first + i] = false;
    }
    test_forbid(base, (size_t)4096 << order);
    interleave_point();
}

static void setup_with(uint32_t flags) {
    static const struct ash_page_source_ops ops = {.alloc = page_alloc, .free = page_free};
    const struct ash_page_source_config config = {
        .ops = &ops, .base = world.pages, .len_pages = PAGES, .caches_max = ASH_HEAP_CLASSES_SIX};
    const struct ash_heap_config heap = {
        .source = &world.source, .classes = ASH_HEAP_SIX, .flags = flags};
    memset(world.used, 0, sizeof(world.used));
    world.through = 0;
    EXPLORE_CHECK(ash_page_source_storage_size(&config) <= sizeof(world.storage));
    EXPLORE_CHECK(
        ash_page_source_init(&world.source, &config, world.storage, sizeof(world.storage)) == 0);
    EXPLORE_CHECK(ash_heap_init(&world.heap, &heap, world.caches, sizeof(world.caches)) == 0);
}

static void setup(void) {
    setup_with(0);
}

static void setup_interrupts(void) {
    setup_with(ASH_SLAB_INTERRUPTS);
}

static void setup_shared(void) {
    setup();
    EXPLORE_CHECK((world.shared = ash_kmalloc(&world.heap, 5000)) != NULL);
}

/* Nothing is out any more, and the counts say so. */
static void finish(void) {
    const char *broken = ash_heap_check(&world.heap);
    if (broken != NULL)
        explore_broke(__FILE__, __LINE__, broken);
    struct ash_heap_stats stats;
    ash_heap_get_stats(&world.heap, &stats);
    EXPLORE_CHECK(stats.large_bytes == 0 && stats.large_allocations == stats.large_frees);
    EXPLORE_CHECK(stats.large_peak_bytes <= PAGES * 4096);
    EXPLORE_CHECK(ash_heap_fini(&world.heap) == 0);
    for (uint32_t i = 0; i < PAGES; i++)
        EXPLORE_CHECK(!world.used[i]);
}

static void take_and_give(size_t size) {
    uint64_t *words = ash_kmalloc(&world.heap, size);
    EXPLORE_CHECK(words != NULL);
    words[0] = words[size / 8 - 1] = 1 + explore_context();
    EXPLORE_CHECK(ash_ksize(&world.heap, words) >= size);
    EXPLORE_CHECK(words[0] == 1 + explore_context() && words[size / 8 - 1] == words[0]);
    ash_kfree(&world.heap, words);
}

static void one_page(void) {
    take_and_give(4096);
}

static void two_pages(void) {
    take_and_give(5000);
}

static void grow_and_shrink(void) {
    uint64_t *words = ash_krealloc(&world.heap, NULL, 600);
    EXPLORE_CHECK(words != NULL);
    words[0] = 77;
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t *moved = ash_krealloc(&world.heap, words, i == 0 ? 8192 : 600);
        if (moved != NULL)
            words = moved;
        EXPLORE_CHECK(words[0] == 77);
    }
    ash_kfree(&world.heap, words);
}

/* What a free of the shared block does first, from two contexts at once. */
static void unmark_shared(void) {
    uint16_t entry = ash__source_entry(&world.source, world.shared);
    if (ash__source_is_large(entry) && ash__heap_unmark(&world.heap, world.shared, entry))
        world.through++;
}

static void finish_shared(void) {
    EXPLORE_CHECK(world.through == 1);
    ash__source_mark_large(&world.source, world.shared, 1, world.heap.first_id % ASH__SOURCE_TAGS);
    ash_kfree(&world.heap, world.shared);
    finish();
}

static void explore_heap(struct explore_scenario scenario) {
    if (scenario.setup == NULL)
        scenario.setup = setup;
    if (scenario.finish == NULL)
        scenario.finish = finish;
    CHECK(explore(&scenario) > 1);
}

TEST_CASE(heap_orders, large_blocks_come_and_go) {
    explore_heap((struct explore_scenario){.bodies = {one_page, two_pages}, .preemptions = 3});
}

TEST_CASE(heap_orders, three_contexts_with_large_blocks) {
    explore_heap(
        (struct explore_scenario){.bodies = {one_page, two_pages, one_page}, .preemptions = 2});
}

TEST_CASE(heap_orders, krealloc_moves_while_another_takes_the_pages) {
    explore_heap(
        (struct explore_scenario){.bodies = {grow_and_shrink, two_pages}, .preemptions = 2});
}

TEST_CASE(heap_orders, of_two_frees_of_a_block_one_goes_through) {
    explore_heap((struct explore_scenario){.setup = setup_shared,
                                           .bodies = {unmark_shared, unmark_shared, one_page},
                                           .finish = finish_shared,
                                           .preemptions = 3});
}

TEST_CASE(heap_orders, handler_takes_large_blocks_too) {
    explore_heap((struct explore_scenario){.setup = setup_interrupts,
                                           .bodies = {one_page, two_pages},
                                           .interrupt = one_page,
                                           .preemptions = 1});
}
