/* SPDX-License-Identifier: MIT */
/* Several CPUs on one heap at once. No body waits for another: what is left over at the end goes
 * back on CPU 0. */
#include "heap_fixture.h"

enum { CPUS = 4, ROUNDS = 40000, HELD = 24, RING = 32 };

struct storm {
    struct fake_pages *pages;
    struct ash_heap *heap;
    uint64_t seed;
    uint32_t overlaps; /* memory that two CPUs held at once */
    uint64_t *ring[RING];
};

struct held {
    uint64_t *words;
    size_t size;
};

/* Each block carries its holder's mark at both ends while it is out. */
static void sign(uint64_t *words, size_t size, uint64_t mark) {
    ash_store_relaxed(&words[0], mark);
    ash_store_relaxed(&words[size / 8 - 1], mark);
}

static bool is_signed(uint64_t *words, size_t size, uint64_t mark) {
    return ash_load_relaxed(&words[0]) == mark && ash_load_relaxed(&words[size / 8 - 1]) == mark;
}

static void hold(struct storm *storm, struct held *held, size_t size, uint64_t mark) {
    held->words = ash_kmalloc(storm->heap, size);
    held->size = size;
    if (held->words != NULL)
        sign(held->words, size, mark);
}

static void resize(struct storm *storm, struct held *held, size_t size, uint64_t mark) {
    uint64_t *moved = ash_krealloc(storm->heap, held->words, size);
    if (moved == NULL)
        return;
    if (ash_load_relaxed(&moved[0]) != mark)
        ash_fetch_add(&storm->overlaps, 1u);
    sign(moved, size, mark);
    *held = (struct held){moved, size};
}

static void drop(struct storm *storm, struct held *held, uint64_t mark) {
    if (!is_signed(held->words, held->size, mark))
        ash_fetch_add(&storm->overlaps, 1u);
    ash_kfree(storm->heap, held->words);
    held->words = NULL;
}

static void body(void *context, uint32_t cpu) {
    struct storm *storm = context;
    struct test_random random = test_random_from(storm->seed + cpu);
    struct held all[HELD] = {{0}};
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t at = test_random_below(&random, HELD), mark = (uint64_t)cpu << 32 | at;
        size_t size = 8 + 8 * test_random_below(&random, i % 8 == 0 ? 1500 : 64);
        if (all[at].words == NULL)
            hold(storm, &all[at], size, mark);
        else if (i % 4 == 0)
            resize(storm, &all[at], size, mark);
        else
            drop(storm, &all[at], mark);
        if (i % 2048 == 0)
            (void)ash_heap_shrink(storm->heap);
    }
    for (uint32_t at = 0; at < HELD; at++)
        ash_kfree(storm->heap, all[at].words);
}

static struct storm *new_storm(enum ash_heap_classes classes) {
    struct storm *storm = test_alloc(sizeof(*storm), 64);
    storm->pages = fake_pages_new(768);
    storm->heap = new_heap(storm->pages, classes);
    storm->seed = test_seed();
    return storm;
}

static void end_storm(struct storm *storm) {
    CHECK_EQ(storm->overlaps, 0);
    CHECK_HEAP_SOUND(storm->heap);
    CHECK_EQ(ash_heap_fini(storm->heap), 0);
    CHECK_EQ(storm->pages->used, 0);
}

TEST_CASE(heap, storm_of_four_cpus_loses_nothing) {
    struct storm *storm = new_storm(ASH_HEAP_SIX);
    test_run_on_cpus(body, storm, CPUS);
    end_storm(storm);
}

TEST_CASE(heap, storm_on_32_classes_loses_nothing) {
    struct storm *storm = new_storm(ASH_HEAP_FINE);
    test_run_on_cpus(body, storm, CPUS);
    end_storm(storm);
}

/* What one CPU has put into the ring another frees: large blocks too, whose page is at once
 * allocated again as something else. */
static void ring_body(void *context, uint32_t cpu) {
    struct storm *storm = context;
    struct test_random random = test_random_from(storm->seed + cpu);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        size_t size = i % 3 == 0 ? 513 + test_random_below(&random, 8000)
                                 : 16 + test_random_below(&random, 496);
        uint64_t *words = ash_kmalloc(storm->heap, size);
        if (words != NULL)
            ash_store_relaxed(words, (uintptr_t)words);
        words = ash_exchange(&storm->ring[test_random_below(&random, RING)], words);
        if (words == NULL)
            continue;
        if (ash_load_relaxed(words) != (uintptr_t)words)
            ash_fetch_add(&storm->overlaps, 1u);
        ash_kfree(storm->heap, words);
    }
}

TEST_CASE(heap, storm_of_blocks_freed_on_another_cpu_loses_nothing) {
    struct storm *storm = new_storm(ASH_HEAP_SIX);
    test_run_on_cpus(ring_body, storm, CPUS);
    for (uint32_t i = 0; i < RING; i++)
        ash_kfree(storm->heap, storm->ring[i]);
    struct ash_heap_stats stats;
    ash_heap_get_stats(storm->heap, &stats);
    CHECK_EQ(stats.large_bytes, 0);
    CHECK_EQ(stats.large_allocations, stats.large_frees);
    end_storm(storm);
}
