/* SPDX-License-Identifier: MIT */
/* Several CPUs on one cache at once. No body waits for another: what is left over at the
 * end goes back on CPU 0. */
#include "fake_pages.h"
#include "harness/test.h"

enum { CPUS = 4, ROUNDS = 60000, HELD = 24, RING = 64 };

struct storm {
    struct fake_pages *pages;
    struct ash_slab_cache cache;
    uint64_t seed;
    uint32_t overlaps; /* objects that two CPUs held at once */
    uint64_t *ring[RING];
    uint32_t handed_over;
};

static struct storm *new_storm(void) {
    struct storm *storm = test_alloc(sizeof(*storm), 64);
    storm->pages = fake_pages_new(256);
    struct ash_slab_config config = {.name = "storm",
                                     .size_bytes = 200,
                                     .slab_bytes = ASH_PAGE_SIZE,
                                     .empty_max = 1,
                                     .source = &storm->pages->source};
    CHECK_EQ(ash_slab_cache_init(&storm->cache, &config), 0);
    storm->seed = test_seed();
    return storm;
}

/* Each object carries its holder's mark at both ends while it is out. */
static void sign(uint64_t *words, size_t size, uint64_t mark) {
    ash_store_relaxed(&words[0], mark);
    ash_store_relaxed(&words[size / 8 - 1], mark);
}

static void verify(struct storm *storm, uint64_t *words, size_t size, uint64_t mark) {
    if (ash_load_relaxed(&words[0]) != mark || ash_load_relaxed(&words[size / 8 - 1]) != mark)
        ash_fetch_add(&storm->overlaps, 1u);
}

static void cache_body(void *context, uint32_t cpu) {
    struct storm *storm = context;
    struct test_random random = test_random_from(storm->seed + cpu);
    uint64_t *held[HELD] = {0};
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t at = test_random_below(&random, HELD), mark = (uint64_t)cpu << 32 | at;
        if (held[at] != NULL) {
            verify(storm, held[at], 200, mark);
            ash_slab_free(&storm->cache, held[at]);
            held[at] = NULL;
        } else if ((held[at] = ash_slab_alloc(&storm->cache)) != NULL) {
            sign(held[at], 200, mark);
        }
        if (i % 512 == 0)
            ash_slab_cache_shrink(&storm->cache);
    }
    for (uint32_t at = 0; at < HELD; at++) {
        if (held[at] != NULL)
            ash_slab_free(&storm->cache, held[at]);
    }
}

TEST_CASE(slab, storm_of_four_cpus_hands_no_object_out_twice) {
    struct storm *storm = new_storm();
    test_run_on_cpus(cache_body, storm, CPUS);
    CHECK_EQ(storm->overlaps, 0);
    CHECK(ash_slab_cache_check(&storm->cache) == NULL);
    CHECK_EQ(ash_slab_cache_fini(&storm->cache), 0);
    CHECK_EQ(storm->pages->used, 0);
}

/* Even CPUs allocate and put into a shared ring; odd ones take out and free. Who finds no place or
 * no object goes on. */
static void ring_body(void *context, uint32_t cpu) {
    struct storm *storm = context;
    uint64_t *none = NULL;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t **slot = &storm->ring[(i * 7 + cpu / 2 * 31) % RING];
        if (cpu % 2 == 0) {
            uint64_t *object = ash_slab_alloc(&storm->cache);
            if (object == NULL)
                continue;
            sign(object, 200, (uintptr_t)object);
            uint64_t *before = ash_exchange(slot, object);
            if (before != NULL)
                ash_slab_free(&storm->cache, before);
        } else {
            uint64_t *object = ash_exchange(slot, none);
            if (object == NULL)
                continue;
            verify(storm, object, 200, (uintptr_t)object);
            ash_slab_free(&storm->cache, object);
            ash_fetch_add(&storm->handed_over, 1u);
        }
    }
}

TEST_CASE(slab, storm_of_producers_and_consumers_loses_nothing) {
    struct storm *storm = new_storm();
    test_run_on_cpus(ring_body, storm, CPUS);
    for (uint32_t i = 0; i < RING; i++) {
        if (storm->ring[i] != NULL)
            ash_slab_free(&storm->cache, storm->ring[i]);
    }
    CHECK_EQ(storm->overlaps, 0);
    CHECK(ash_slab_cache_check(&storm->cache) == NULL);
    CHECK_EQ(ash_slab_cache_fini(&storm->cache), 0);
    CHECK_EQ(storm->pages->used, 0);
}
