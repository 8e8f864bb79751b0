/* SPDX-License-Identifier: MIT */
/*
 * queue_inline.h: the queue's operations for a caller to whom a call costs too much: keys and the
 * lane in place, the heap by a call.
 */
#ifndef ASHLAR_SCHED_QUEUE_INLINE_H
#define ASHLAR_SCHED_QUEUE_INLINE_H

#include "queue.h"

#define ASH__QUEUE_EMPTY      INT64_MAX
#define ASH__QUEUE_BEFORE_ALL INT64_MIN
/* The first place of those that are far. */
#define ASH__QUEUE_FAR         (INT64_MAX - ((INT64_C(1) << ASH__SCHED_SEQUENCE_BITS) - 1))
#define ASH__QUEUE_DELTA_LIMIT (INT64_C(1) << (63 - ASH__SCHED_SEQUENCE_BITS)) /* of a place */

/* queue.c: of the heap, by offsets; and for a key without a place. */
void ash__queue_heap_insert(struct ash_sched_queue *queue, int64_t place, uint32_t slot);
void ash__queue_heap_remove(struct ash_sched_queue *queue, uint64_t offset);
void ash__queue_heap_refill(struct ash_sched_queue *queue, uint64_t offset, int64_t place,
                            uint64_t slot);
void ash__queue_insert_rarely(struct ash_sched_queue *queue, uint32_t slot, uint64_t key);
void ash__queue_bring_near(struct ash_sched_queue *queue);

/* Keys and places */

static inline int64_t ash__queue_delta_of(int64_t place) {
    return place >> ASH__SCHED_SEQUENCE_BITS;
}

static inline int64_t ash__queue_place_of(int64_t delta, uint32_t sequence) {
    return (int64_t)((uint64_t)delta << ASH__SCHED_SEQUENCE_BITS | sequence);
}

static inline bool ash__queue_is_near(int64_t delta) {
    return (uint64_t)delta + (uint64_t)ASH__QUEUE_DELTA_LIMIT <
           2 * (uint64_t)ASH__QUEUE_DELTA_LIMIT - 1;
}

/* The key has a place, and there is a number for who comes in. */
static inline bool ash__queue_has_place(const struct ash_sched_queue *queue, uint64_t key) {
    return ash__queue_is_near((int64_t)(key - queue->base)) &&
           queue->sequence < ASH__SCHED_SEQUENCE_END;
}

static inline int64_t ash__queue_take_place(struct ash_sched_queue *queue, uint64_t key) {
    return ash__queue_place_of((int64_t)(key - queue->base), queue->sequence++);
}

/* Lane */

static inline void ash__queue_lane_append(struct ash_sched_queue *queue, int64_t place,
                                          uint32_t slot) {
    uint32_t last = queue->last;
    queue->links[slot] =
        (struct ash_sched_queue_link){.at.place = place, .next = ASH__SCHED_NO_SLOT, .prev = last};
    if (last == ASH__SCHED_NO_SLOT) {
        queue->first = slot;
        queue->lane_first = place;
    } else {
        queue->links[last].next = slot;
    }
    queue->last = slot;
    queue->lane_last = place;
    queue->where[slot] = ASH__SCHED_IN_LANE;
}

static inline void ash__queue_lane_remove(struct ash_sched_queue *queue, uint32_t slot) {
    uint32_t next = queue->links[slot].next, prev = queue->links[slot].prev;
    if (prev == ASH__SCHED_NO_SLOT) {
        queue->first = next;
        queue->lane_first =
            next == ASH__SCHED_NO_SLOT ? ASH__QUEUE_EMPTY : queue->links[next].at.place;
    } else {
        queue->links[prev].next = next;
    }
    if (next == ASH__SCHED_NO_SLOT) {
        queue->last = prev;
        queue->lane_last =
            prev == ASH__SCHED_NO_SLOT ? ASH__QUEUE_BEFORE_ALL : queue->links[prev].at.place;
    } else {
        queue->links[next].prev = prev;
    }
}

/* Operations */

static inline void ash__queue_enter(struct ash_sched_queue *queue, uint32_t slot, int64_t place) {
    if (place > queue->lane_last)
        ash__queue_lane_append(queue, place, slot);
    else
        ash__queue_heap_insert(queue, place, slot);
}

/* Would whoever came with this key be appended to the lane? Of a key without a place the answer is
 * any. */
static inline bool ash__queue_appends(const struct ash_sched_queue *queue, uint64_t key) {
    int64_t delta = (int64_t)(key - queue->base);
    return ash__queue_place_of(delta, queue->sequence) > queue->lane_last;
}

/* Somebody has gone: where all that are left are far, it is their turn to get places. */
static inline void ash__queue_look_far(struct ash_sched_queue *queue) {
    if (ASH_UNLIKELY(queue->root->place >= ASH__QUEUE_FAR && queue->length != 0 &&
                     queue->first == ASH__SCHED_NO_SLOT))
        ash__queue_bring_near(queue);
}

static inline void ash__queue_insert(struct ash_sched_queue *queue, uint32_t slot, uint64_t key) {
    if (queue->length++ == 0)
        queue->sequence = 0;
    if (ASH_LIKELY(ash__queue_has_place(queue, key)))
        ash__queue_enter(queue, slot, ash__queue_take_place(queue, key));
    else
        ash__queue_insert_rarely(queue, slot, key);
}

static inline void ash__queue_remove(struct ash_sched_queue *queue, uint32_t slot) {
    uint32_t where = queue->where[slot];
    queue->where[slot] = ASH__SCHED_NOT_QUEUED;
    queue->length--;
    if (where == ASH__SCHED_IN_LANE)
        ash__queue_lane_remove(queue, slot);
    else
        ash__queue_heap_remove(queue, where);
    ash__queue_look_far(queue);
}

/* ash__queue_remove of the slot whose turn it is. */
static inline void ash__queue_pop(struct ash_sched_queue *queue, uint32_t slot) {
    if (slot != queue->first) {
        ash__sched_queue_remove(queue, slot);
        return;
    }
    uint32_t next = queue->links[slot].next;
    queue->where[slot] = ASH__SCHED_NOT_QUEUED;
    queue->length--;
    queue->first = next;
    if (ASH_LIKELY(next != ASH__SCHED_NO_SLOT)) {
        queue->links[next].prev = ASH__SCHED_NO_SLOT;
        queue->lane_first = queue->links[next].at.place;
        return;
    }
    queue->last = ASH__SCHED_NO_SLOT;
    queue->lane_first = ASH__QUEUE_EMPTY;
    queue->lane_last = ASH__QUEUE_BEFORE_ALL;
    ash__queue_look_far(queue);
}

static inline void ash__queue_replace(struct ash_sched_queue *queue, uint32_t old, uint32_t slot,
                                      uint64_t key) {
    uint32_t where = queue->where[old];
    queue->where[old] = ASH__SCHED_NOT_QUEUED;
    bool placed = ash__queue_has_place(queue, key);
    if (where == ASH__SCHED_IN_LANE) {
        ash__queue_lane_remove(queue, old);
    } else {
        int64_t place = ash__queue_place_of((int64_t)(key - queue->base), queue->sequence);
        if (ASH_LIKELY(placed) && place <= queue->lane_last) {
            queue->sequence++;
            ash__queue_heap_refill(queue, where, place, slot);
            return;
        }
        ash__queue_heap_remove(queue, where);
    }
    if (ASH_LIKELY(placed))
        ash__queue_enter(queue, slot, ash__queue_take_place(queue, key));
    else
        ash__queue_insert_rarely(queue, slot, key);
}

#endif
