/* SPDX-License-Identifier: MIT */
/*
 * 2q_clock.c: 2Q (Johnson, Shasha, VLDB 1994) whose main queue is a CLOCK, so that no hit moves
 * anything. A block comes into A1in, a FIFO of a quarter of the frames in which hits count for
 * nothing: what is asked for in one burst, or once by a scan, passes through. Its number is then
 * remembered for as long as another cache full of blocks; one that comes back within that time
 * enters Am, where touched blocks get a second chance by reinsertion.
 *
 *     new ──> A1in ──> out, number to A1out ──(asked for again)──> Am ──> out
 */
#include "cache_internal.h"

enum { A1IN = ASH__CACHE_NEWCOMERS, AM = ASH__CACHE_SETTLED };

static uint32_t ghosts(uint32_t blocks) {
    return blocks;
}

static void init(struct ash_cache *cache) {
    uint32_t quarter = cache->config.blocks / 4;
    cache->queue_max = quarter == 0 ? 1 : quarter;
}

static void insert(struct ash_cache *cache, uint32_t frame, bool remembered) {
    int queue = remembered ? AM : A1IN;
    ash__cache_set_queue(cache, frame, queue);
    /* Set already, so that hits in A1in have nothing to write. */
    ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)!remembered);
    ash__cache_push(cache, &cache->queues[queue], POLICY, frame);
}

static uint32_t victim(struct ash_cache *cache) {
    bool in_first = cache->queues[A1IN].length >= cache->queue_max || cache->queues[AM].length == 0;
    bool stopped = false;
    uint32_t frame = in_first ? ash__cache_fifo_victim(cache, A1IN, &stopped)
                              : ash__cache_clock_victim(cache, 0, &stopped);
    if (frame != NONE || stopped)
        return frame;
    return in_first ? ash__cache_clock_victim(cache, 0, &stopped)
                    : ash__cache_fifo_victim(cache, A1IN, &stopped);
}

const struct ash__cache_policy ash__cache_2q_clock = {
    .name = "2q-clock",
    .touch_cap = 1,
    .ghosts = ghosts,
    .init = init,
    .recall = ash__cache_ghost_take,
    .insert = insert,
    .victim = victim,
    .remove = ash__cache_remove_newcomer,
};
