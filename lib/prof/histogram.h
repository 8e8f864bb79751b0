/* SPDX-License-Identifier: MIT */
/* histogram.h: spans of time, counted by powers of two, as text with bars. */
#ifndef ASHLAR_PROF_HISTOGRAM_H
#define ASHLAR_PROF_HISTOGRAM_H

#include "export_text.h"

struct ash__prof_histogram {
    uint64_t count, total_ns, min_ns, max_ns;
    uint64_t buckets[65]; /* [0]: 0 ns; [i]: 2^(i-1) .. 2^i - 1 ns */
};

void ash__prof_histogram_add(struct ash__prof_histogram *histogram, uint64_t ns);
/* Nothing for an empty one. */
void ash__prof_put_histogram(struct ash__prof_out *out,
                             const struct ash__prof_histogram *histogram);

/* A number at the right end of `width` columns, and texts at the left. */
void ash__prof_put_right(struct ash__prof_out *out, uint64_t value, uint32_t width);
void ash__prof_put_left(struct ash__prof_out *out, const char *text, size_t len, uint32_t width);
/* "12.345 us" at the right end of 11 columns or more. */
void ash__prof_put_span(struct ash__prof_out *out, uint64_t ns);
/* part / whole: " 12.3 %" */
void ash__prof_put_percent(struct ash__prof_out *out, uint64_t part, uint64_t whole);

#endif
