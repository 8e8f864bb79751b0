/* SPDX-License-Identifier: MIT */
/*
 * sieve.c: SIEVE (Zhang et al., NSDI 2024). One FIFO; a hand goes from its oldest block to its
 * newest, clears the bit of touched ones and takes the first other. What survives stays where it
 * is, and so does the hand.
 */
#include "cache_internal.h"

static void init(struct ash_cache *cache) {
    cache->hand = NONE;
}

static void insert(struct ash_cache *cache, uint32_t frame, bool remembered) {
    (void)remembered;
    ash__cache_push(cache, &cache->queues[0], POLICY, frame);
}

static void remove(struct ash_cache *cache, uint32_t frame, bool evicted) {
    (void)evicted;
    if (cache->hand == frame)
        cache->hand = cache->links[POLICY][frame].prev;
    ash__cache_unlink(cache, &cache->queues[0], POLICY, frame);
}

static uint32_t victim(struct ash_cache *cache) {
    const struct ash_cache_queue *queue = &cache->queues[0];
    for (uint64_t steps = 0; steps < 2 * (uint64_t)queue->length; steps++) {
        if (cache->hand == NONE)
            cache->hand = queue->last;
        uint32_t frame = cache->hand;
        if (!ash__cache_second_chance(cache, frame)) {
            enum ash__cache_claim claim = ash__cache_claim(cache, frame);
            if (claim != PASS)
                return claim == CLAIMED ? frame : NONE;
        }
        cache->hand = cache->links[POLICY][frame].prev;
    }
    return NONE;
}

const struct ash__cache_policy ash__cache_sieve = {
    .name = "sieve",
    .touch_cap = 1,
    .ghosts = ash__cache_no_ghosts,
    .init = init,
    .insert = insert,
    .victim = victim,
    .remove = remove,
};
