/* SPDX-License-Identifier: MIT */
/* heading.h: what a profile says of itself, in words: the same ones in all exports. */
#ifndef ASHLAR_PROF_HEADING_H
#define ASHLAR_PROF_HEADING_H

#include "export_text.h"

#include <ashlar/prof_aggregate.h>

enum ash__prof_heading {
    ASH__PROF_HEADING_TITLE, /* which machine, which workload */
    ASH__PROF_HEADING_RATE,  /* how many samples, at which rate, how long */
    ASH__PROF_HEADING_LOSS,  /* what is not in them */
    ASH__PROF_HEADINGS,
};

/*
 * Writes a line into out's own buffer, instead of what was there: it is out->bytes, out->used long
 * (fewer than ASH__PROF_OUT_BYTES). out has no sink.
 */
void ash__prof_heading(struct ash__prof_out *out, enum ash__prof_heading line,
                       const struct ash_prof_aggregate *aggregate,
                       const struct ash_prof_totals *totals);

/* "12.345 ms", "1200 instructions"; nothing for an unknown period: false. */
bool ash__prof_put_weight(struct ash__prof_out *out, const struct ash_prof_totals *totals,
                          uint64_t weight);

/* weight * period, at most INT64_MAX: what signed formats can say. */
uint64_t ash__prof_in_units(const struct ash_prof_totals *totals, uint64_t weight);

#endif
