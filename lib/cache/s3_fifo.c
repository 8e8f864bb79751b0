/* SPDX-License-Identifier: MIT */
/*
 * s3_fifo.c: S3-FIFO (Yang et al., SOSP 2023). A small FIFO of a tenth of the frames; what was hit
 * twice in it moves on to the main one, a CLOCK of two bits, the rest goes and leaves its number
 * among nine tenths as many ghosts. What a ghost remembers enters the main FIFO. While there is
 * room the small one may fill the cache.
 */
#include "cache_internal.h"

enum { SMALL = ASH__CACHE_NEWCOMERS, MAIN = ASH__CACHE_SETTLED };
enum { PROMOTION_HITS = 2 };

static uint32_t small_max(uint32_t blocks) {
    return blocks < 10 ? 1 : blocks / 10;
}

static uint32_t ghosts(uint32_t blocks) {
    uint32_t share = (uint32_t)((uint64_t)blocks * 9 / 10);
    return share == 0 ? 1 : share;
}

static void init(struct ash_cache *cache) {
    cache->queue_max = small_max(cache->config.blocks);
    cache->hand = NONE;
}

static void enqueue(struct ash_cache *cache, uint32_t frame, int queue) {
    ash__cache_set_queue(cache, frame, queue);
    ash__cache_push(cache, &cache->queues[queue], POLICY, frame);
}

static void insert(struct ash_cache *cache, uint32_t frame, bool remembered) {
    enqueue(cache, frame, remembered ? MAIN : SMALL);
}

/* The oldest of the small FIFO that may go; those hit often enough move on. */
static uint32_t small_victim(struct ash_cache *cache, bool *stopped) {
    struct ash_cache_queue *small = &cache->queues[SMALL];
    for (uint32_t left = small->length; left != 0; left--) {
        uint32_t frame = small->last;
        uint8_t touched = ash_load_relaxed(&cache->hot[frame].touched);
        bool moves_on = touched >= PROMOTION_HITS;
        if (moves_on) {
            cache->stats.scanned++;
            ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)0);
            ash__cache_listen(cache, frame);
        } else {
            enum ash__cache_claim claim = ash__cache_claim(cache, frame);
            *stopped = claim == STOP;
            if (claim != PASS)
                return claim == CLAIMED ? frame : NONE;
        }
        ash__cache_unlink(cache, small, POLICY, frame);
        enqueue(cache, frame, moves_on ? MAIN : SMALL);
    }
    return NONE;
}

/* The first that may go of those that moved on, the oldest of which is `frame`. */
static uint32_t moved_victim(struct ash_cache *cache, uint32_t frame, bool *stopped) {
    for (; frame != NONE; frame = ash__cache_newer(cache, frame)) {
        enum ash__cache_claim claim = ash__cache_claim(cache, frame);
        *stopped = claim == STOP;
        if (claim != PASS)
            return claim == CLAIMED ? frame : NONE;
    }
    return NONE;
}

/*
 * First of the small FIFO. What moves on from there has no lives, so that the main one's second
 * round need not come to it: it would have gone in the first. A search that stopped at a dirty
 * block goes on there: what it moved to the main one may have filled that. So the hand, which this
 * policy has no other use for, says where it was.
 */
static uint32_t victim_small_first(struct ash_cache *cache, bool *stopped) {
    uint32_t before = cache->queues[MAIN].length;
    uint32_t frame = small_victim(cache, stopped);
    cache->hand = *stopped ? SMALL : NONE;
    if (frame != NONE || *stopped)
        return frame;
    return ash__cache_clock_victim(cache, cache->queues[MAIN].length - before, stopped);
}

/* First of the main FIFO, and then of the small one, or what moves on from there. */
static uint32_t victim_main_first(struct ash_cache *cache, bool *stopped) {
    uint32_t frame = ash__cache_clock_victim(cache, 0, stopped);
    if (frame != NONE || *stopped)
        return frame;
    uint32_t newest = cache->queues[MAIN].first;
    frame = small_victim(cache, stopped);
    if (frame != NONE || *stopped || newest == cache->queues[MAIN].first)
        return frame;
    uint32_t moved = newest != NONE ? ash__cache_newer(cache, newest) : cache->queues[MAIN].last;
    return moved_victim(cache, moved, stopped);
}

static uint32_t victim(struct ash_cache *cache) {
    bool stopped = false;
    uint32_t main_max = cache->config.blocks - cache->queue_max;
    if (cache->hand != SMALL &&
        (cache->queues[MAIN].length > main_max || cache->queues[SMALL].length == 0))
        return victim_main_first(cache, &stopped);
    return victim_small_first(cache, &stopped);
}

const struct ash__cache_policy ash__cache_s3_fifo = {
    .name = "s3-fifo",
    .touch_cap = 3,
    .ghosts = ghosts,
    .init = init,
    .recall = ash__cache_ghost_take,
    .insert = insert,
    .victim = victim,
    .remove = ash__cache_remove_newcomer,
};
