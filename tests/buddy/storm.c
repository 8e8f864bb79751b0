/* SPDX-License-Identifier: MIT */
/* Four CPUs at once: every frame has at most one owner, and none is lost. */
#include "buddy/fixture.h"

#include <ashlar/bits.h>
#include <ashlar/port.h>

enum { STORM_CPUS = 4, STORM_FRAMES = 2048, STORM_LIVE = 100 };

struct held {
    ash_pfn_t first;
    uint32_t order;
    uint8_t owner;
};

struct storm {
    struct ash_buddy buddy;
    uint8_t owner[STORM_FRAMES]; /* CPU + 1, or 0 */
    const char *wrong[STORM_CPUS];
    uint64_t seed;
    uint32_t steps;
};

/* What was wrong, or NULL. */
static const char *claim(struct storm *storm, const struct held *block) {
    for (uint64_t i = 0; i < UINT64_C(1) << block->order; i++) {
        if (ash_exchange(&storm->owner[block->first + i], block->owner) != 0)
            return "a frame was handed out twice";
    }
    return NULL;
}

static const char *give_up(struct storm *storm, const struct held *block) {
    for (uint64_t i = 0; i < UINT64_C(1) << block->order; i++) {
        if (ash_exchange(&storm->owner[block->first + i], 0) != block->owner)
            return "a frame changed hands";
    }
    ash_buddy_free(&storm->buddy, block->first, block->order);
    return NULL;
}

/* Mostly single frames, few enough that the caches of the others must be emptied now and then. */
static void storm_body(void *context, uint32_t cpu) {
    struct storm *storm = context;
    struct held live[STORM_LIVE];
    uint32_t count = 0;
    const char *wrong = NULL;
    struct test_random random = test_random_from(storm->seed + cpu);
    for (uint32_t i = 0; i < storm->steps && wrong == NULL; i++) {
        uint32_t order =
            test_random_chance(&random, 80) ? 0 : (uint32_t)test_random_below(&random, 6);
        struct held block = {0, order, (uint8_t)(cpu + 1)};
        if (count < STORM_LIVE && test_random_chance(&random, 52)) {
            if (ash_buddy_alloc(&storm->buddy, order, ASH_BUDDY_MOVABLE, &block.first) == 0) {
                wrong = claim(storm, &block);
                live[count++] = block;
            }
        } else if (count != 0) {
            uint32_t which = (uint32_t)test_random_below(&random, count);
            wrong = give_up(storm, &live[which]);
            live[which] = live[--count];
        }
    }
    while (count != 0 && wrong == NULL)
        wrong = give_up(storm, &live[--count]);
    storm->wrong[cpu] = wrong;
}

static void run_storm(uint64_t frames, uint32_t steps) {
    struct storm *storm = test_alloc(sizeof(*storm), 64);
    buddy_over_one(&storm->buddy, 0, frames);
    storm->seed = test_seed();
    storm->steps = steps;
    test_run_on_cpus(storm_body, storm, STORM_CPUS);
    for (uint32_t cpu = 0; cpu < STORM_CPUS; cpu++) {
        if (storm->wrong[cpu] != NULL)
            test_fail(__FILE__, __LINE__, "CPU %u: %s", cpu, storm->wrong[cpu]);
    }
    const char *broken = ash_buddy_check(&storm->buddy);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    CHECK_EQ(ash_buddy_free_pages(&storm->buddy), frames);
    ash_buddy_drain_all(&storm->buddy);
    CHECK_EQ(stats_of(&storm->buddy).free_blocks[ash_log2_floor(frames)], 1);
}

TEST_CASE(buddy, four_cpus_share_it_without_loss) {
    run_storm(STORM_FRAMES, 20000);
}

/* Less memory than the CPUs want: each empties the caches of the others all the time. */
TEST_CASE(buddy, four_cpus_take_the_last_frames_from_each_other) {
    run_storm(256, 3000);
}

/* As the storm, but who finds nothing has really seen nothing: with every CPU but one idle, each
 * frame is there for it. */
TEST_CASE(buddy, single_frames_never_run_out_while_caches_hold_some) {
    struct storm *storm = test_alloc(sizeof(*storm), 64);
    buddy_over_one(&storm->buddy, 0, 512);
    storm->seed = test_seed();
    storm->steps = 500;
    test_run_on_cpus(storm_body, storm, STORM_CPUS);
    for (uint32_t i = 0; i < 512; i++)
        (void)frame_of(&storm->buddy, 0);
    CHECK_EQ(ash_buddy_free_pages(&storm->buddy), 0);
    CHECK(ash_buddy_check(&storm->buddy) == NULL);
}
