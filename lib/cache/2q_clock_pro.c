/* SPDX-License-Identifier: MIT */
/*
 * 2q_clock_pro.c: the queues of 2Q-CLOCK (2q_clock.c) under the rule of LIRS and CLOCK-Pro (Jiang,
 * Chen, Zhang, USENIX 2005): a block earns a place among the hot ones only if it came back sooner
 * than the hot block that it would push out was last seen wanted. A loop larger than the cache then
 * keeps what fits of it, instead of chasing all of it round; and what LIRS lists with each hit is
 * here measured by numbers alone, so that no hit moves anything.
 *
 *     new ──> cold FIFO ──> out, number to the ghosts ──(comes back in time)──> hot CLOCK ──> out
 *
 * Time is the number of the cold block that comes in: the FIFO lets them go in the order in
 * which they came, so the n-th that came in becomes the ghost with number n, and its number is
 * the date of its loading. A hot block's stamp is the date at which it became hot, or the hand
 * found it touched. A ghost with a number below the oldest hot block's stamp is stale: as if it
 * were not there.
 *
 * The share of the cold queue follows what its ghosts do. One that comes back in time says that
 * such blocks are worth waiting for: 3 frames more. One that never does, or too late, says that
 * they pass through: a frame less. It rests where a quarter of them come back, begins at a 20th
 * of the cache, and stays between a 100th and all but one frame.
 *
 * The first blocks of all are taken for hot, as nothing better is known: a cache that began with
 * all of them cold would learn nothing from a loop that its ghosts do not span.
 */
#include "search.h"

enum { COLD, HOT };
enum { GAIN = 3, STALE_BATCH = 4 };

static uint32_t ghosts(uint32_t blocks) {
    return blocks;
}

static uint32_t at_least_one(uint32_t frames) {
    return frames == 0 ? 1 : frames;
}

static void init(struct ash_cache *cache) {
    cache->queue_max = at_least_one(cache->config.blocks / 20);
}

static void grow_cold(struct ash_cache *cache) {
    uint32_t most = at_least_one(cache->config.blocks - 1);
    cache->queue_max = cache->queue_max + GAIN < most ? cache->queue_max + GAIN : most;
}

static void shrink_cold(struct ash_cache *cache) {
    cache->queue_max -= cache->queue_max > at_least_one(cache->config.blocks / 100);
}

/* By frame, in what the FIFO of ghosts needs and their ring does not. */
static uint32_t *stamp_of(const struct ash_cache *cache, uint32_t frame) {
    return &cache->ghosts.next[frame];
}

/* The number that the next cold block is going to have as a ghost. */
static uint32_t now(const struct ash_cache *cache) {
    return cache->ghosts.pushed + cache->queues[COLD].length;
}

/* Was this block loaded before the oldest hot one was last seen wanted? By age, as numbers wrap. */
static bool is_stale(const struct ash_cache *cache, uint32_t number) {
    uint32_t oldest = cache->queues[HOT].last;
    return oldest != NONE && now(cache) - number > now(cache) - *stamp_of(cache, oldest);
}

static bool recall(struct ash_cache *cache, uint64_t key) {
    uint32_t number;
    if (!ash__cache_ring_take(cache, key, &number))
        return false;
    if (is_stale(cache, number)) {
        shrink_cold(cache);
        return false;
    }
    grow_cold(cache);
    return true;
}

static void make_hot(struct ash_cache *cache, uint32_t frame) {
    *stamp_of(cache, frame) = now(cache);
    ash__cache_push(cache, &cache->queues[HOT], POLICY, frame);
}

static void insert(struct ash_cache *cache, uint32_t frame, bool remembered) {
    bool nothing_known = cache->ghosts.pushed == 0 && cache->ghosts.first == 0;
    bool room = cache->queues[HOT].length < cache->config.blocks - cache->queue_max;
    bool hot = remembered || (nothing_known && room);
    ash__cache_set_queue(cache, frame, hot ? HOT : COLD);
    /* Full already, so that hits in the cold queue have nothing to write. */
    ash_store_relaxed(&cache->hot[frame].touched, hot ? (uint8_t)0 : cache->policy->touch_cap);
    if (hot)
        make_hot(cache, frame);
    else
        ash__cache_push(cache, &cache->queues[COLD], POLICY, frame);
}

/* A ghost more. */
static void remember(struct ash_cache *cache, uint64_t key) {
    struct ash_cache_ghosts *ring = &cache->ghosts;
    if (ring->pushed - ring->first == ring->capacity && ash__cache_ring_forget(cache))
        shrink_cold(cache);
    ash__cache_ring_push(cache, key);
}

/* A few at a time, so that no miss pays for a whole round of the hand; a miss adds one at most. */
static void forget_stale(struct ash_cache *cache) {
    struct ash_cache_ghosts *ring = &cache->ghosts;
    for (uint32_t i = 0; i < STALE_BATCH; i++) {
        if (ring->first == ring->pushed || !is_stale(cache, ring->first))
            return;
        if (ash__cache_ring_forget(cache))
            shrink_cold(cache);
    }
}

static void remove(struct ash_cache *cache, uint32_t frame, bool evicted) {
    uint32_t queue = ash__cache_queue_of(cache, frame);
    ash__cache_unlink(cache, &cache->queues[queue], POLICY, frame);
    if (!evicted)
        return;
    if (queue == COLD)
        remember(cache, ash__cache_frame_key(cache, frame));
    forget_stale(cache);
}

static uint32_t oldest_hot(struct ash_cache *cache) {
    return cache->queues[HOT].last;
}

/* The hand found it wanted: it is the newest, as of now. */
static void requeue(struct ash_cache *cache, uint32_t frame) {
    ash__cache_unlink(cache, &cache->queues[HOT], POLICY, frame);
    make_hot(cache, frame);
}

static uint32_t hot_victim(struct ash_cache *cache, bool *stopped) {
    static const struct ash__cache_walk walk = {oldest_hot, ash__cache_newer, requeue};
    uint32_t length = cache->queues[HOT].length;
    return ash__cache_search(cache, &walk, length, length, stopped);
}

static uint32_t victim(struct ash_cache *cache) {
    bool in_cold = cache->queues[COLD].length >= cache->queue_max || cache->queues[HOT].length == 0;
    bool stopped = false;
    uint32_t frame =
        in_cold ? ash__cache_fifo_victim(cache, COLD, &stopped) : hot_victim(cache, &stopped);
    if (frame != NONE || stopped)
        return frame;
    return in_cold ? hot_victim(cache, &stopped) : ash__cache_fifo_victim(cache, COLD, &stopped);
}

const struct ash__cache_policy ash__cache_2q_clock_pro = {
    .name = "2q-clock-pro",
    .touch_cap = 2,
    .ghosts = ghosts,
    .init = init,
    .recall = recall,
    .insert = insert,
    .victim = victim,
    .remove = remove,
};
