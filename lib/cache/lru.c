/* SPDX-License-Identifier: MIT */
/*
 * lru.c: the block that was asked for longest ago goes. Each hit moves its frame to the front,
 * which costs the lock where the cache is shared: who does not get it at once goes without, so that
 * the order is exact with one CPU and nearly so with more.
 */
#include "cache_internal.h"

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

/* One that is not the first moves to the front: both ends of the gap and the old first change. */
static void touch(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_queue *queue = &cache->queues[0];
    struct ash_cache_links *links = cache->links[POLICY];
    if (queue->first == frame)
        return;
    struct ash_cache_links gap = links[frame];
    links[gap.prev].next = gap.next;
    if (gap.next == NONE)
        queue->last = gap.prev;
    else
        links[gap.next].prev = gap.prev;
    links[queue->first].prev = frame;
    links[frame] = (struct ash_cache_links){.next = queue->first, .prev = NONE};
    queue->first = frame;
}

static uint32_t victim(struct ash_cache *cache) {
    bool stopped;
    return ash__cache_fifo_victim(cache, 0, &stopped);
}

const struct ash__cache_policy ash__cache_lru = {
    .name = "lru",
    .touch_cap = UINT8_MAX,
    .ghosts = ash__cache_no_ghosts,
    .init = init,
    .insert = insert,
    .victim = victim,
    .remove = remove,
    .touch = touch,
};
