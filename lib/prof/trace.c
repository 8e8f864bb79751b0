/* SPDX-License-Identifier: MIT */
/* trace.c: rings, and what their writers do now and then; see trace.h. Readers: trace_read.c. */
#include "trace_internal.h"

_Static_assert(sizeof(struct ash_trace_record) == 32, "records are of one size, half a line");
_Static_assert(ASH_TRACE_TASK_SHIFT + 20 == 64 && ASH_TRACE_DEPTH_SHIFT == ASH_TRACE_SEQUENCE_BITS,
               "task, depth and sequence fill the word");
/* An interrupt may add that many to a sequence number that is due to be set back. */
_Static_assert(ASH_TRACE_EVENTS_MAX < ASH__TRACE_LAP, "a ring is shorter than a lap");

static void clear(struct ash_trace_ring *ring) {
    for (uint64_t i = 0; i <= ring->mask; i++)
        ring->records[i] = (struct ash_trace_record){0};
    ring->next = (ring->next & ~ASH__TRACE_SEQUENCE_MASK) | 1;
    ring->limit = ash__trace_limit_first(ring);
    ring->dropped = ring->lap = ring->lap_done = ring->floor = 0;
}

void ash__trace_init(struct ash_trace_ring *ring, struct ash_trace_record *records, uint64_t count,
                     enum ash_trace_mode mode) {
    *ring = (struct ash_trace_ring){.records = records, .mask = count - 1, .mode = mode};
    clear(ring);
}

int ash_trace_init(struct ash_trace_ring *ring, struct ash_trace_record *records, uint32_t count,
                   enum ash_trace_mode mode) {
    if (!ash_is_pow2(count) || count < ASH_TRACE_EVENTS_MIN || count > ASH_TRACE_EVENTS_MAX)
        return -ASH_EINVAL;
    if (records == NULL || !ash_is_aligned((uintptr_t)records, sizeof(*records)))
        return -ASH_EINVAL;
    if (mode != ASH_TRACE_OVERWRITE && mode != ASH_TRACE_STOP)
        return -ASH_EINVAL;
    ash__trace_init(ring, records, count, mode);
    return 0;
}

void ash_trace_reset(struct ash_trace_ring *ring) {
    clear(ring);
}

const struct ash_trace_record *ash_trace_records(const struct ash_trace_ring *ring,
                                                 uint32_t *count) {
    *count = (uint32_t)ring->mask + 1;
    return ring->records;
}

/*
 * Takes a lap off the sequence. Interrupts that come meanwhile have their records dropped: the
 * limit is 0. The order of the stores is what readers count on (trace_read.c).
 */
static void set_back(struct ash_trace_ring *ring, uint64_t sequence) {
    ash_store_release(&ring->lap, ring->lap + 1);
    ash_store_release(&ring->limit, UINT64_C(0));
    ash_fetch_add_local(&ring->next, -ASH__TRACE_LAP);
    ring->floor = sequence - ASH__TRACE_LAP;
    ash_store_release(&ring->limit, ash__trace_limit_above(ring, ring->floor));
    ash_store_release(&ring->lap_done, ring->lap);
}

/* Gives the number back. What came in between and took higher ones was dropped too, and gave them
 * back: the limit of an interrupt is that of what it interrupted. */
static bool drop(struct ash_trace_ring *ring) {
    ash_fetch_add_local(&ring->dropped, 1);
    ash_fetch_add_local(&ring->next, -UINT64_C(1));
    return false;
}

/* Whether the record may be written; else it is counted as dropped. */
static bool pass(struct ash_trace_ring *ring, uint64_t reserved) {
    uint64_t sequence = reserved & ASH__TRACE_SEQUENCE_MASK;
    if (ring->mode == ASH_TRACE_STOP || ring->lap != ring->lap_done)
        return drop(ring);
    bool is_outermost = ring->floor == 0 || ring->floor == sequence;
    if (!is_outermost && !ash__trace_is_committed(ring, ring->floor)) {
        if (sequence - ring->floor > ring->mask)
            return drop(ring);
        return true; /* the lap waits for who is under it */
    }
    /* This write is unfinished from here on, as an interrupt may have noted already: forgotten, it
     * would not be noted by the next one. The limit first: it is never below what is reserved. */
    ash_store_word(&ring->limit, ash__trace_limit_above(ring, sequence));
    ash_store_word(&ring->floor, sequence);
    if (sequence >= ASH__TRACE_LAP_AT)
        set_back(ring, sequence);
    return true;
}

void ash__trace_write_at_limit(struct ash_trace_ring *ring, uint64_t reserved, uint32_t id,
                               uint64_t a, uint64_t b) {
    if (pass(ring, reserved))
        ash__trace_commit(ring, reserved, id, a, b);
}

void ash__trace_interrupted(struct ash_trace_ring *ring, uint64_t sequence) {
    if (ring->mode == ASH_TRACE_STOP || ring->lap != ring->lap_done)
        return;
    /* One that is older goes on later. */
    if (ring->floor != 0 && !ash__trace_is_committed(ring, ring->floor))
        return;
    ring->floor = sequence;
    ash_store_word(&ring->limit, ash__trace_limit_above(ring, sequence));
}
