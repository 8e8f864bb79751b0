/* SPDX-License-Identifier: MIT */
/* counters.h: what values counters had, as a table: the least, the mean over time, the most. */
#ifndef ASHLAR_PROF_COUNTERS_H
#define ASHLAR_PROF_COUNTERS_H

#include "export_records.h"

#define ASH__PROF_COUNTERS 64u /* that are told apart */

/* One series: an event's name, and what its first argument says. Values of signed ones are kept
 * with their sign bit turned, so that they compare as unsigned ones. */
struct ash__prof_counter {
    uint64_t a, count, least, most, last;
    uint64_t first_clock, last_clock;
    uint64_t sum_high, sum_low; /* of value * ticks that it lasted */
    uint16_t id;
};

struct ash__prof_counters {
    uint64_t left_out; /* records */
    uint32_t used;
    struct ash__prof_counter series[ASH__PROF_COUNTERS];
};

/* A record of a type that is a counter; their clocks never go backwards. O(series). */
void ash__prof_counters_add(struct ash__prof_counters *counters, const struct ash__prof_type *types,
                            const struct ash_trace_record *record);

/* Nothing, if there are none. A value lasts until the next, the last one until end_clock. */
void ash__prof_put_counters(struct ash__prof_out *out, const struct ash_prof_view *view,
                            const struct ash__prof_type *types, struct ash__prof_counters *counters,
                            uint64_t end_clock);

#endif
