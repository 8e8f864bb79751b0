/* SPDX-License-Identifier: MIT */
/*
 * trace_read.c: what readers see of a ring that is being written. They know sequence numbers of 64
 * bits: those of `next`, and a lap for each time that one was taken off it.
 */
#include "trace_internal.h"

struct window {
    uint64_t first, end; /* sequence numbers: the oldest that may be there, one past the last */
};

/* Loads in this order; set_back stores in the other. */
static struct window look(const struct ash_trace_ring *ring) {
    uint64_t done = ash_load_acquire(&ring->lap_done);
    uint64_t limit = ash_load_acquire(&ring->limit);
    uint64_t next = ash_load_acquire(&ring->next) & ASH__TRACE_SEQUENCE_MASK;
    uint64_t limit_after = ash_load_acquire(&ring->limit);
    uint64_t lap = ash_load_acquire(&ring->lap);
    if (lap != done) {
        /* In the middle: whether the lap is off already, the number itself says. */
        done += next < ASH__TRACE_LAP_AT ? 1 : 0;
    } else {
        /* Numbers that will be given back are no records'. */
        uint64_t least = ash_min_u64(limit, limit_after) >> (64 - ASH_TRACE_SEQUENCE_BITS);
        if (least != ASH__TRACE_LAP_AT)
            next = ash_min_u64(next, least);
    }
    struct window window = {.end = done * ASH__TRACE_LAP + next};
    window.first = window.end > ring->mask + 2 ? window.end - ring->mask - 1 : 1;
    return window;
}

void ash_trace_count(const struct ash_trace_ring *ring, struct ash_trace_counts *counts) {
    struct window window = look(ring);
    counts->dropped = ash_load_relaxed(&ring->dropped);
    counts->overwritten = window.first - 1;
    counts->emitted = window.end - 1 + counts->dropped;
}

/* False: it is not committed, or what was copied may be another's. */
static bool copy(const struct ash_trace_ring *ring, uint64_t sequence,
                 struct ash_trace_record *record) {
    const struct ash_trace_record *place = &ring->records[sequence & ring->mask];
    record->header = ash_load_acquire(&place->header);
    if ((uint32_t)record->header != (uint32_t)sequence || ash_trace_id(record) == 0)
        return false;
    record->clock = ash_load_relaxed(&place->clock);
    record->a = ash_load_relaxed(&place->a);
    record->b = ash_load_relaxed(&place->b);
    ash_fence_acquire();
    return look(ring).first <= sequence;
}

bool ash_trace_read(const struct ash_trace_ring *ring, uint64_t *cursor,
                    struct ash_trace_record *record) {
    struct window window = look(ring);
    uint64_t sequence = ash_max_u64(*cursor, window.first);
    for (; sequence < window.end; sequence++) {
        if (copy(ring, sequence, record)) {
            *cursor = sequence + 1;
            return true;
        }
        window = look(ring);
        sequence = ash_max_u64(sequence, window.first - 1);
    }
    *cursor = ash_max_u64(*cursor, sequence);
    return false;
}

static const char *check_records(const struct ash_trace_ring *ring, struct window window) {
    for (uint64_t i = 0; i <= ring->mask; i++) {
        const struct ash_trace_record *record = &ring->records[i];
        if (record->header == 0)
            continue;
        if (ash_trace_id(record) == 0)
            return "T5: a record has the id 0";
        if ((record->header & ring->mask) != i)
            return "T5: a record lies where its sequence number does not belong";
        uint32_t age = (uint32_t)(window.end - record->header);
        if (age == 0 || age > 2 * (ring->mask + 1))
            return "T5: a record's sequence number was never given out, or long ago";
    }
    return NULL;
}

const char *ash_trace_check(const struct ash_trace_ring *ring) {
    uint64_t sequence = ring->next & ASH__TRACE_SEQUENCE_MASK;
    uint64_t depth = (ring->next >> ASH_TRACE_DEPTH_SHIFT) & ASH_TRACE_DEPTH_MAX;
    if (depth != ash_min_u64(ring->nesting, ASH_TRACE_DEPTH_MAX))
        return "T2: the depth is not that of the interrupts";
    if (sequence == 0 || sequence > ASH__TRACE_LAP_AT + 2 * (ring->mask + 1))
        return "T3: the sequence number is out of its lap";
    if (ring->mode == ASH_TRACE_STOP && sequence > ring->mask + 2)
        return "T4: more was written than the ring holds";
    if (ring->lap != ring->lap_done)
        return "T3: the sequence number was not set back to the end";
    if (ring->limit != (ring->floor == 0 ? ash__trace_limit_first(ring)
                                         : ash__trace_limit_above(ring, ring->floor)))
        return "T6: the limit is not that of the oldest write that was interrupted";
    return check_records(ring, look(ring));
}
