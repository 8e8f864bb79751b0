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

/* ash_trace_init without a bound on count, a power of two. */
void ash__trace_init(struct ash_trace_ring *ring, struct ash_trace_record *records, uint64_t count,
                     enum ash_trace_mode mode);

#endif
