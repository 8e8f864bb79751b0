/* SPDX-License-Identifier: MIT */
/*
 * sieve.c: SIEVE (Zhang et al., NSDI 2024). One FIFO; a hand goes from its oldest block to its
 * newest, clears the bit of touched ones and takes the first other. What survives stays where it
 * is, and so does the hand.
 */
#include "search.h"

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

static uint32_t at_hand(struct ash_cache *cache) {
    if (cache->hand == NONE)
        cache->hand = cache->queues[0].last;
    return cache->hand;
}

static uint32_t after(const struct ash_cache *cache, uint32_t frame) {
    uint32_t newer = ash__cache_newer(cache, frame);
    return newer != NONE ? newer : cache->queues[0].last;
}

static void pass(struct ash_cache *cache, uint32_t frame) {
    cache->hand = after(cache, frame);
}

static uint32_t victim(struct ash_cache *cache) {
    static const struct ash__cache_walk walk = {at_hand, after, pass};
    bool stopped;
    uint32_t length = cache->queues[0].length;
    return ash__cache_search(cache, &walk, length, length, &stopped);
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
