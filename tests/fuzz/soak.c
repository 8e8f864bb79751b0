/* SPDX-License-Identifier: MIT */
/* soak.c: bodies for long. ASHLAR_SOAK is how many million steps; without it a tenth of one for the
 * slab, a twentieth for the cache, half of one for the queue, with an audit of everything every
 * hundred or so or always, and one for the block device. */
#include <stdlib.h>

#include "choices.h"

static uint64_t steps_of(uint64_t steps_default) {
    const char *millions = getenv("ASHLAR_SOAK");
    return millions == NULL ? steps_default : strtoull(millions, NULL, 0) * 1000000;
}

TEST_CASE(slab_fuzz, soak) {
    struct choices choices = choices_of_seed(test_seed() + 1000, (uint32_t)steps_of(100000));
    fuzz_slab(&choices);
}

TEST_CASE(cache_fuzz, soak) {
    struct choices choices = choices_of_seed(test_seed() + 1000, (uint32_t)steps_of(50000));
    fuzz_cache(&choices);
}

TEST_CASE(sched_queue_fuzz, soak) {
    uint64_t wanted = steps_of(500000), at_a_time = 10000;
    for (uint64_t done = 0; done < wanted; done += at_a_time) {
        struct choices choices = choices_of_seed(test_seed() + 1000 + done, (uint32_t)at_a_time);
        fuzz_sched_queue(&choices);
    }
}

/* Here a step is one of the device's. */
TEST_CASE(virtio_blk_fuzz, soak) {
    uint64_t wanted = steps_of(1000000), done = 0, at_a_time = 1000000 + wanted / 16;
    for (uint64_t round = 0; done < wanted; round++) {
        struct choices choices = choices_of_seed(test_seed() + 1000 + round, (uint32_t)at_a_time);
        done += fuzz_virtio_blk_acts(&choices);
    }
}
