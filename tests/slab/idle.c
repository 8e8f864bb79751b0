/* SPDX-License-Identifier: MIT */
/*
 * CPUs that go idle while others work: objects flow one way, from producers to consumers over
 * rings; who finds nothing to do gives its magazines back, and the producers reclaim from all. No
 * body waits for another: what is left over at the end goes back on CPU 0. (CPUs that both make and
 * free and go idle by chance: churn.c.)
 */
#include <ashlar/slab.h>

#include "fake_pages.h"
#include "harness/test.h"

enum { CPUS = 4, ROUNDS = 40000, RING = 128, OBJECT_BYTES = 96, PAGES = 256 };

struct idle_storm {
    struct fake_pages *pages;
    struct ash_slab_cache cache;
    uint64_t *rings[CPUS][RING]; /* a ring's slots are for that CPU to empty */
    uint32_t overlaps;           /* objects that two CPUs held at once */
    uint64_t seed;
};

static struct idle_storm *new_storm(uint32_t magazine_objects) {
    struct idle_storm *storm = test_alloc(sizeof(*storm), ASH_PORT_CACHE_LINE);
    storm->pages = fake_pages_new(PAGES);
    const struct ash_slab_config config = {.name = "idle",
                                           .size_bytes = OBJECT_BYTES,
                                           .slab_bytes = ASH_PAGE_SIZE,
                                           .magazine_objects = magazine_objects,
                                           .source = &storm->pages->source};
    CHECK_EQ(ash_slab_cache_init(&storm->cache, &config), 0);
    storm->seed = test_seed();
    return storm;
}

/* An object carries its own address at both ends while it is out. */
static uint64_t *take(struct idle_storm *storm) {
    uint64_t *object = ash_slab_alloc(&storm->cache);
    if (object != NULL) {
        ash_store_relaxed(&object[0], (uint64_t)(uintptr_t)object);
        ash_store_relaxed(&object[OBJECT_BYTES / 8 - 1], (uint64_t)(uintptr_t)object);
    }
    return object;
}

static void give(struct idle_storm *storm, uint64_t *object) {
    uint64_t mark = (uint64_t)(uintptr_t)object;
    bool mine = ash_exchange(&object[0], 0) == mark &&
                ash_exchange(&object[OBJECT_BYTES / 8 - 1], 0) == mark;
    if (!mine)
        ash_fetch_add(&storm->overlaps, 1u);
    ash_slab_free(&storm->cache, object);
}

/* Frees what lies in a CPU's ring; the number of objects. */
static uint32_t consume(struct idle_storm *storm, uint32_t cpu) {
    uint64_t *none = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < RING; i++) {
        uint64_t *object = ash_exchange(&storm->rings[cpu][i], none);
        if (object == NULL)
            continue;
        give(storm, object);
        count++;
    }
    return count;
}

/* Fills up to `batch` slots of another CPU's ring; false: that one has not emptied it yet. */
static bool produce(struct idle_storm *storm, uint32_t to, uint32_t first, uint32_t batch) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < batch; i++) {
        uint64_t *object = take(storm);
        if (object == NULL)
            break;
        object = ash_exchange(&storm->rings[to][(first + i) % RING], object);
        if (object != NULL) {
            give(storm, object);
            left++;
        }
    }
    return left != batch;
}

/* CPUs 0 and 1 produce for 2 and 3; CPU 0 now and then wants all memory back. */
static void producer_body(void *context, uint32_t cpu) {
    struct idle_storm *storm = context;
    struct test_random random = test_random_from(storm->seed + cpu);
    for (uint32_t i = 0; i < ROUNDS; i += RING / 2) {
        uint32_t first = (uint32_t)test_random_below(&random, RING);
        bool idle = cpu >= 2 ? consume(storm, cpu) == 0 : !produce(storm, cpu + 2, first, RING / 2);
        if (idle)
            ash_slab_cache_flush(&storm->cache);
        if (cpu == 0 && test_random_chance(&random, 5))
            (void)ash_slab_cache_shrink(&storm->cache);
        if (cpu == 1 && test_random_chance(&random, 5))
            (void)ash_slab_cache_reap(&storm->cache);
    }
}

static void run_storm(struct idle_storm *storm) {
    test_run_on_cpus(producer_body, storm, CPUS);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++)
        (void)consume(storm, cpu);
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&storm->cache, &stats);
    CHECK_EQ(storm->overlaps, 0);
    CHECK_EQ(stats.used, 0);
    CHECK(ash_slab_cache_check(&storm->cache) == NULL);
    CHECK_EQ(ash_slab_cache_fini(&storm->cache), 0);
    CHECK_EQ(storm->pages->used, 0);
}

TEST_CASE(slab, storm_of_consumers_that_go_idle_loses_nothing) {
    run_storm(new_storm(0));
}

TEST_CASE(slab, storm_of_consumers_that_go_idle_with_magazines_of_one) {
    run_storm(new_storm(1));
}
