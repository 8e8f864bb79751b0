/* SPDX-License-Identifier: MIT */
/* queue.c: frames in a row, linked by number. first is the newest, last the oldest. */
#include "cache_internal.h"

void ash__cache_queue_init(struct ash_cache_queue *queue) {
    *queue = (struct ash_cache_queue){.first = NONE, .last = NONE};
}

void ash__cache_push(struct ash_cache *cache, struct ash_cache_queue *queue, int link,
                     uint32_t frame) {
    cache->links[link][frame] = (struct ash_cache_links){.next = queue->first, .prev = NONE};
    if (queue->first == NONE)
        queue->last = frame;
    else
        cache->links[link][queue->first].prev = frame;
    queue->first = frame;
    queue->length++;
}

void ash__cache_push_last(struct ash_cache *cache, struct ash_cache_queue *queue, int link,
                          uint32_t frame) {
    cache->links[link][frame] = (struct ash_cache_links){.next = NONE, .prev = queue->last};
    if (queue->last == NONE)
        queue->first = frame;
    else
        cache->links[link][queue->last].next = frame;
    queue->last = frame;
    queue->length++;
}

void ash__cache_unlink(struct ash_cache *cache, struct ash_cache_queue *queue, int link,
                       uint32_t frame) {
    struct ash_cache_links *links = &cache->links[link][frame];
    if (links->prev == NONE)
        queue->first = links->next;
    else
        cache->links[link][links->prev].next = links->next;
    if (links->next == NONE)
        queue->last = links->prev;
    else
        cache->links[link][links->next].prev = links->prev;
    queue->length--;
}

uint32_t ash__cache_pop_last(struct ash_cache *cache, struct ash_cache_queue *queue, int link) {
    uint32_t frame = queue->last;
    if (frame != NONE)
        ash__cache_unlink(cache, queue, link, frame);
    return frame;
}
