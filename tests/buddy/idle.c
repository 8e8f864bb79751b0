/* SPDX-License-Identifier: MIT */
/*
 * CPUs that go idle while others work: single frames are made on one CPU and freed on another, who
 * finds nothing to do drains its cache, and one CPU drains all of them. No body waits for another:
 * what is left over at the end goes back on CPU 0.
 */
#include "buddy/fixture.h"

#include <ashlar/port.h>

enum { CPUS = 4, FRAMES = 2048, ROUNDS = 400, RING = 64 };

struct idle_storm {
    struct ash_buddy buddy;
    uint8_t owned[FRAMES];      /* 1: handed out */
    uint64_t rings[CPUS][RING]; /* frame + 1, for that CPU to free; 0: none */
    uint32_t wrong;
    uint64_t seed;
};

static void note(struct idle_storm *storm, ash_pfn_t first, uint32_t order, uint8_t before,
                 uint8_t after) {
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        if (ash_exchange(&storm->owned[first + i], after) != before)
            ash_fetch_add(&storm->wrong, 1u);
    }
}

static bool take(struct idle_storm *storm, uint32_t order, ash_pfn_t *first) {
    if (ash_buddy_alloc(&storm->buddy, order, ASH_BUDDY_MOVABLE, first) != 0)
        return false;
    note(storm, *first, order, 0, 1);
    return true;
}

static void give(struct idle_storm *storm, ash_pfn_t first, uint32_t order) {
    note(storm, first, order, 1, 0);
    ash_buddy_free(&storm->buddy, first, order);
}

/* Frees the frames that lie in a CPU's ring; how many there were. */
static uint32_t consume(struct idle_storm *storm, uint32_t cpu) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < RING; i++) {
        uint64_t frame = ash_exchange(&storm->rings[cpu][i], UINT64_C(0));
        if (frame == 0)
            continue;
        give(storm, frame - 1, 0);
        count++;
    }
    return count;
}

static void produce(struct idle_storm *storm, uint32_t to, uint32_t batch) {
    for (uint32_t i = 0; i < batch; i++) {
        ash_pfn_t frame;
        if (!take(storm, 0, &frame))
            return;
        uint64_t before = ash_exchange(&storm->rings[to][i], frame + 1);
        if (before != 0)
            give(storm, before - 1, 0);
    }
}

static void body(void *context, uint32_t cpu) {
    struct idle_storm *storm = context;
    struct test_random random = test_random_from(storm->seed + cpu);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t to = (uint32_t)test_random_below(&random, CPUS);
        uint32_t order = 1 + (uint32_t)test_random_below(&random, 6);
        ash_pfn_t first;
        produce(storm, to, (uint32_t)test_random_below(&random, RING));
        if (test_random_chance(&random, 50) && consume(storm, cpu) == 0)
            ash_buddy_drain(&storm->buddy);
        if (take(storm, order, &first))
            give(storm, first, order);
        if (cpu == 0 && test_random_chance(&random, 10))
            ash_buddy_drain_all(&storm->buddy);
    }
}

static void run_storm(struct idle_storm *storm) {
    storm->seed = test_seed();
    test_run_on_cpus(body, storm, CPUS);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++)
        (void)consume(storm, cpu);
    CHECK_EQ(storm->wrong, 0);
    CHECK(ash_buddy_check(&storm->buddy) == NULL);
    ash_buddy_drain_all(&storm->buddy);
    CHECK_EQ(stats_of(&storm->buddy).cached_pages, 0);
    CHECK_EQ(stats_of(&storm->buddy).free_blocks[11], 1);
}

TEST_CASE(buddy, storm_of_cpus_that_go_idle_loses_no_frame) {
    struct idle_storm *storm = test_alloc(sizeof(*storm), ASH_PORT_CACHE_LINE);
    buddy_over_one(&storm->buddy, 0, FRAMES);
    run_storm(storm);
}

TEST_CASE(buddy, storm_of_cpus_that_go_idle_loses_no_frame_if_hardened) {
    struct idle_storm *storm = test_alloc(sizeof(*storm), ASH_PORT_CACHE_LINE);
    buddy_hardened(&storm->buddy, 0, FRAMES);
    run_storm(storm);
}
