/* SPDX-License-Identifier: MIT */
/* trace_internal.h: what the tracer's files share, and what its tests make rings of any size with.
 */
#ifndef ASHLAR_TRACE_INTERNAL_H
#define ASHLAR_TRACE_INTERNAL_H

#include <ashlar/trace.h>

/* When a sequence number reaches the first, the second is taken off `next`: bits 41 and 40 count
 * laps, so that no carry ever reaches the depth. */
#define ASH__TRACE_LAP_AT (UINT64_C(1) << (ASH_TRACE_SEQUENCE_BITS - 1))
#define ASH__TRACE_LAP    (ASH__TRACE_LAP_AT / 2)

/* With an unfinished write: its record is left alone, and the lap is not forgotten. */
static inline uint64_t ash__trace_limit_above(const struct ash_trace_ring *ring,
                                              uint64_t sequence) {
    return ash__trace_place(ash_min_u64(sequence + ring->mask + 1, ASH__TRACE_LAP_AT));
}

/* Before any write was interrupted. */
static inline uint64_t ash__trace_limit_first(const struct ash_trace_ring *ring) {
    return ash__trace_place(ring->mode == ASH_TRACE_STOP ? ring->mask + 2 : ASH__TRACE_LAP_AT);
}

/* ash_trace_init without a bound on count, a power of two. */
void ash__trace_init(struct ash_trace_ring *ring, struct ash_trace_record *records, uint64_t count,
                     enum ash_trace_mode mode);

#endif
