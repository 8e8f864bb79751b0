/* SPDX-License-Identifier: MIT */
/* Four CPUs at once: every frame has at most one owner, and none is lost. */
#include "buddy/fixture.h"

#include <ashlar/port.h>

enum { STORM_CPUS = 4, STORM_FRAMES = 1024, STORM_LIVE = 24, STORM_STEPS = 30000 };

struct storm {
    struct ash_buddy buddy;
    uint8_t owner[STORM_FRAMES]; /* CPU + 1, or 0 */
    const char *wrong[STORM_CPUS];
    uint64_t seed;
};

/* What was wrong, or NULL. */
static const char *claim(struct storm *storm, const struct ash_buddy_block *block) {
    for (uint64_t i = 0; i < UINT64_C(1) << block->order; i++) {
        if (ash_exchange(&storm->owner[block->first + i], block->owner) != 0)
            return "a frame was handed out twice";
    }
    struct ash_buddy_block found;
    ash_pfn_t last = block->first + (UINT64_C(1) << block->order) - 1;
    if (!ash_buddy_find(&storm->buddy, last, &found) || found.first != block->first ||
        found.order != block->order || found.owner != block->owner)
        return "a block was not found by its last frame";
    return NULL;
}

static const char *give_up(struct storm *storm, const struct ash_buddy_block *block) {
    for (uint64_t i = 0; i < UINT64_C(1) << block->order; i++) {
        if (ash_exchange(&storm->owner[block->first + i], 0) != block->owner)
            return "a frame changed hands";
    }
    ash_buddy_free(&storm->buddy, block->first, block->order);
    return NULL;
}

static void storm_body(void *context, uint32_t cpu) {
    struct storm *storm = context;
    struct ash_buddy_block live[STORM_LIVE];
    uint32_t count = 0;
    const char *wrong = NULL;
    struct test_random random = test_random_from(storm->seed + cpu);
    for (uint32_t i = 0; i < STORM_STEPS && wrong == NULL; i++) {
        uint32_t order = (uint32_t)test_random_below(&random, 6);
        struct ash_buddy_block block = {0, order, (uint8_t)(cpu + 1)};
        if (count < STORM_LIVE && test_random_chance(&random, 55)) {
            if (ash_buddy_alloc(&storm->buddy, order, block.owner, &block.first) == 0) {
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

TEST_CASE(buddy, four_cpus_share_it_without_loss) {
    struct storm *storm = test_alloc(sizeof(*storm), 64);
    buddy_over_one(&storm->buddy, 0, STORM_FRAMES);
    storm->seed = test_seed();
    test_run_on_cpus(storm_body, storm, STORM_CPUS);
    for (uint32_t cpu = 0; cpu < STORM_CPUS; cpu++) {
        if (storm->wrong[cpu] != NULL)
            test_fail(__FILE__, __LINE__, "CPU %u: %s", cpu, storm->wrong[cpu]);
    }
    CHECK(ash_buddy_check(&storm->buddy) == NULL);
    CHECK_EQ(stats_of(&storm->buddy).free_blocks[10], 1);
}
