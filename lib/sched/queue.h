/* SPDX-License-Identifier: MIT */
/*
 * queue.h: the queue that all classes use: slots (small numbers, one per entity) by a 64-bit key,
 * the least first, equal keys in the order in which they came. Keys may wrap: they are compared by
 * signed difference, and all those queued must lie within 2^63 of each other.
 *
 *   lane:  first -> ... -> last        sorted, linked; who comes in and is not before `last` is
 *                                      appended: equal keys, round robin and rising times cost O(1)
 *   heap:  4-ary, entries of 16 bytes  everybody else; a node's four children are one cache line
 *
 * One comparison decides between two entries, because key and order of arrival are one integer, the
 * place: (key - base) * 2^20 + sequence. What does not fit is rare and exact all the same:
 *  - sequence at its end: all are renumbered, from 0 in each run of equal keys (once in 2^20
 *    arrivals at most; an empty queue begins anew);
 *  - a key 2^43 or more off the base (2.4 hours of ns): the base moves to the least key. What is
 *    still beyond is `far`: it waits behind all others until only such are left, and then the
  *    base moves again. Far ones are in the heap by sequence alone, which may be equal for
 *    different keys.
 *
 * Cost: min O(1); insert, remove, replace O(log4 n) in the heap, O(1) in the lane; the two rare
 * ones O(n log n). Memory: 36 bytes a slot.
 */
#ifndef ASHLAR_SCHED_QUEUE_INTERNAL_H
#define ASHLAR_SCHED_QUEUE_INTERNAL_H

#include <ashlar/sched_queue.h>

#define ASH__SCHED_NO_SLOT       UINT32_MAX
#define ASH__SCHED_SEQUENCE_BITS 20
/* Numbers of arrivals end here, and so do slots: all may have the same key. */
#define ASH__SCHED_SEQUENCE_END ((UINT32_C(1) << ASH__SCHED_SEQUENCE_BITS) - 1)
#define ASH__SCHED_SLOTS_MAX    ASH__SCHED_SEQUENCE_END

enum { ASH__SCHED_NOT_QUEUED = UINT32_MAX - 15, ASH__SCHED_IN_LANE };

/* 0: too many slots, or none. */
size_t ash__sched_queue_bytes(uint32_t slots);
/* storage is aligned to 64 bytes. */
void ash__sched_queue_init(struct ash_sched_queue *queue, void *storage, uint32_t slots);
void ash__sched_queue_insert(struct ash_sched_queue *queue, uint32_t slot, uint64_t key);
void ash__sched_queue_remove(struct ash_sched_queue *queue, uint32_t slot);
/* `old`, which is queued, goes; `slot`, which may be the same and else is not queued, comes in. */
void ash__sched_queue_replace(struct ash_sched_queue *queue, uint32_t old, uint32_t slot,
                              uint64_t key);
/* remove and insert in one: behind its equals. */
static inline void ash__sched_queue_requeue(struct ash_sched_queue *queue, uint32_t slot,
                                            uint64_t key) {
    ash__sched_queue_replace(queue, slot, slot, key);
}
/* Of one that is queued. */
uint64_t ash__sched_queue_key(const struct ash_sched_queue *queue, uint32_t slot);

/* NULL, or what is broken. O(n). */
const char *ash__sched_queue_check(const struct ash_sched_queue *queue);

static inline bool ash__sched_queue_has(const struct ash_sched_queue *queue, uint32_t slot) {
    return queue->where[slot] != ASH__SCHED_NOT_QUEUED;
}

/* The slot whose turn it is, or ASH__SCHED_NO_SLOT. */
static inline uint32_t ash__sched_queue_first(const struct ash_sched_queue *queue) {
    return queue->lane_first < queue->root->place ? queue->first : (uint32_t)queue->root->slot;
}

/* Its key; of a queue that is not empty. */
static inline uint64_t ash__sched_queue_first_key(const struct ash_sched_queue *queue) {
    int64_t heap = queue->root->place, lane = queue->lane_first, place = lane < heap ? lane : heap;
    return queue->base + (uint64_t)(place >> ASH__SCHED_SEQUENCE_BITS);
}

#endif
