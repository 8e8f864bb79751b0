/* SPDX-License-Identifier: MIT */
/*
 * lru.c: the block that was asked for longest ago goes. Each hit moves its frame to the front,
 * which costs the lock where the cache is shared: who does not get it at once goes without, so that
 * the order is exact with one CPU and nearly so with more.
 */
#include "cache_internal.h"

static uint32_t no_ghosts(uint32_t blocks) {
    (void)blocks;
    return 0;
}

static void init(struct ash_cache *cache) {
    (void)cache;
}

static void insert(struct ash_cache *cache, uint32_t frame, bool remembered) {
    (void)remembered;
    ash__cache_push(cache, &cache->queues[0], POLICY, frame);
}

static void remove(struct ash_cache *cache, uint32_t frame, bool evicted) {
    (void)evicted;
    ash__cache_unlink(cache, &cache->queues[0], POLICY, frame);
}

static void touch(struct ash_cache *cache, uint32_t frame) {
    if (cache->queues[0].first == frame)
        return;
    ash__cache_unlink(cache, &cache->queues[0], POLICY, frame);
    ash__cache_push(cache, &cache->queues[0], POLICY, frame);
}

static uint32_t victim(struct ash_cache *cache) {
    uint32_t frame = cache->queues[0].last;
    while (frame != NONE) {
        enum ash__cache_claim claim = ash__cache_claim(cache, frame);
        if (claim != PASS)
            return claim == CLAIMED ? frame : NONE;
        frame = cache->frames[frame].link[POLICY].prev;
    }
    return NONE;
}

const struct ash__cache_policy ash__cache_lru = {
    .name = "lru",
    .touch_cap = UINT8_MAX,
    .ghosts = no_ghosts,
    .init = init,
    .insert = insert,
    .victim = victim,
    .remove = remove,
    .touch = touch,
};
