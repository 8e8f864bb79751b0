/* SPDX-License-Identifier: MIT */
/* queue.h: frames in a row, linked by number; inline, as a miss does ten of these. first is the
 * newest, last the oldest. */
#ifndef ASHLAR_CACHE_QUEUE_H
#define ASHLAR_CACHE_QUEUE_H

#include <ashlar/cache.h>

static inline void ash__cache_queue_init(struct ash_cache_queue *queue) {
    *queue = (struct ash_cache_queue){.first = ASH_CACHE_NONE, .last = ASH_CACHE_NONE};
}

static inline void ash__cache_push(struct ash_cache *cache, struct ash_cache_queue *queue, int link,
                                   uint32_t frame) {
    cache->links[link][frame] =
        (struct ash_cache_links){.next = queue->first, .prev = ASH_CACHE_NONE};
    if (queue->first == ASH_CACHE_NONE)
        queue->last = frame;
    else
        cache->links[link][queue->first].prev = frame;
    queue->first = frame;
    queue->length++;
}

static inline void ash__cache_push_last(struct ash_cache *cache, struct ash_cache_queue *queue,
                                        int link, uint32_t frame) {
    cache->links[link][frame] =
        (struct ash_cache_links){.next = ASH_CACHE_NONE, .prev = queue->last};
    if (queue->last == ASH_CACHE_NONE)
        queue->first = frame;
    else
        cache->links[link][queue->last].next = frame;
    queue->last = frame;
    queue->length++;
}

static inline void ash__cache_unlink(struct ash_cache *cache, struct ash_cache_queue *queue,
                                     int link, uint32_t frame) {
    struct ash_cache_links *links = &cache->links[link][frame];
    if (links->prev == ASH_CACHE_NONE)
        queue->first = links->next;
    else
        cache->links[link][links->prev].next = links->next;
    if (links->next == ASH_CACHE_NONE)
        queue->last = links->prev;
    else
        cache->links[link][links->next].prev = links->prev;
    queue->length--;
}

/* `other` takes the place of `frame`. */
static inline void ash__cache_exchange(struct ash_cache *cache, struct ash_cache_queue *queue,
                                       int link, uint32_t frame, uint32_t other) {
    struct ash_cache_links links = cache->links[link][frame];
    cache->links[link][other] = links;
    if (links.prev == ASH_CACHE_NONE)
        queue->first = other;
    else
        cache->links[link][links.prev].next = other;
    if (links.next == ASH_CACHE_NONE)
        queue->last = other;
    else
        cache->links[link][links.next].prev = other;
}

static inline uint32_t ash__cache_pop_last(struct ash_cache *cache, struct ash_cache_queue *queue,
                                           int link) {
    uint32_t frame = queue->last;
    if (frame != ASH_CACHE_NONE)
        ash__cache_unlink(cache, queue, link, frame);
    return frame;
}

#endif
