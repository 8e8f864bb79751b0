/* SPDX-License-Identifier: MIT */
/*
 * sched_queue.h: the scheduler's priority queue, as far as whoever gives it memory must know it.
 * Private: the operations, and how it works, are in lib/sched/queue.h.
 */
#ifndef ASHLAR_SCHED_QUEUE_H
#define ASHLAR_SCHED_QUEUE_H

#include <ashlar/base.h>

/* Of the heap: four, those of a node's children, share a cache line. */
struct ash_sched_queue_entry {
    int64_t place; /* in the order; unique */
    uint64_t slot;
};

/* A slot's own: in the lane, or its key while that is too far off for a place. */
struct ash_sched_queue_link {
    union {
        int64_t place;
        uint64_t key;
    } at;
    uint32_t next, prev;
};

struct ash_sched_queue {
    struct ash_sched_queue_entry *root; /* 48 bytes into a line, so that its children begin one */
    struct ash_sched_queue_link *links; /* by slot */
    uint32_t *where;                    /* by slot: its entry's offset from the root in bytes */
    uint64_t base;                      /* the key whose places begin at 0 */
    int64_t lane_first, lane_last;      /* the places of the lane's ends */
    uint32_t first, last;               /* their slots */
    uint32_t heap_bytes;
    uint32_t sequence; /* of the next one to come in */
    uint32_t length, slots;
    uint32_t rebases, renumbers; /* so far */
};

#endif
