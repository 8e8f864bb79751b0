/* SPDX-License-Identifier: MIT */
/*
 * clock.c: second chance (Corbato 1968). The frames are a ring; a hand goes round, clears the bit
 * of those that were touched since it last passed, and takes the first that was not. The bit is
 * clear when a block comes in (it was not asked for *again* yet), and the hand steps past the frame
 * that it took: a hand that stays there takes the newest block next, as if the order were reversed.
 */
#include "search.h"

static void init(struct ash_cache *cache) {
    cache->hand = 0;
}

static void insert(struct ash_cache *cache, uint32_t frame, bool remembered) {
    (void)cache, (void)frame, (void)remembered;
}

static void remove(struct ash_cache *cache, uint32_t frame, bool evicted) {
    (void)cache, (void)frame, (void)evicted;
}

static uint32_t at_hand(struct ash_cache *cache) {
    return cache->hand;
}

static uint32_t after(const struct ash_cache *cache, uint32_t frame) {
    return frame + 1 == cache->config.blocks ? 0 : frame + 1;
}

static void pass(struct ash_cache *cache, uint32_t frame) {
    cache->hand = after(cache, frame);
}

static uint32_t victim(struct ash_cache *cache) {
    static const struct ash__cache_walk walk = {at_hand, after, pass};
    bool stopped;
    uint32_t blocks = cache->config.blocks;
    uint32_t frame = ash__cache_search(cache, &walk, blocks, blocks, &stopped);
    if (frame != NONE)
        pass(cache, frame);
    return frame;
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
