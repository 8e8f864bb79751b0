/* SPDX-License-Identifier: MIT */
/*
 * clock.c: second chance (Corbato 1968). The frames are a ring; a hand goes round, clears the bit
 * of those that were touched since it last passed, and takes the first that was not. The bit is
 * clear when a block comes in (it was not asked for *again* yet), and the hand steps past the frame
 * that it took: a hand that stays there takes the newest block next, as if the order were reversed.
 */
#include "cache_internal.h"

static void init(struct ash_cache *cache) {
    cache->hand = 0;
}

static void insert(struct ash_cache *cache, uint32_t frame, bool remembered) {
    (void)cache, (void)frame, (void)remembered;
}

static void remove(struct ash_cache *cache, uint32_t frame, bool evicted) {
    (void)cache, (void)frame, (void)evicted;
}

static void step(struct ash_cache *cache) {
    cache->hand = cache->hand + 1 == cache->config.blocks ? 0 : cache->hand + 1;
}

static uint32_t victim(struct ash_cache *cache) {
    for (uint64_t steps = 0; steps < 2 * (uint64_t)cache->config.blocks; steps++) {
        uint32_t frame = cache->hand;
        if (!ash__cache_second_chance(cache, frame)) {
            enum ash__cache_claim claim = ash__cache_claim(cache, frame);
            if (claim == STOP)
                return NONE;
            if (claim == CLAIMED) {
                step(cache);
                return frame;
            }
        }
        step(cache);
    }
    return NONE;
}

const struct ash__cache_policy ash__cache_clock = {
    .name = "clock",
    .touch_cap = 1,
    .ghosts = ash__cache_no_ghosts,
    .init = init,
    .insert = insert,
    .victim = victim,
    .remove = remove,
};
