/* SPDX-License-Identifier: MIT */
/* report.h: results as a table, as JSON and as a drawing. */
#ifndef CACHESIM_REPORT_H
#define CACHESIM_REPORT_H

#include <stdio.h>

#include "simulate.h"

/* One run: a policy at a size. */
struct report_row {
    struct simulation_config config;
    struct simulation_results results;
    bool asked_for; /* in the table, and stressed in the drawing */
};

struct report {
    const char *trace;       /* its name, of any bytes */
    const char *description; /* of its format */
    const struct report_row *rows;
    size_t count; /* at least one is asked for */
};

void report_table(FILE *to, const struct report *report);

/* An object, or a list of them where more than one is asked for. */
void report_json(FILE *to, const struct report *report);

/* Miss ratios over sizes, a line for each policy, as SVG. */
void report_plot(FILE *to, const struct report *report);

/* Hits and misses as a ratio; 0 where there was no access. */
double report_miss_ratio(const struct simulation_results *results);

/* How many bytes of well-formed UTF-8 (RFC 3629) begin at `at`; 0: none do. */
size_t report_utf8_len(const unsigned char *at);

/* A text from outside, with a question mark for what a terminal would obey or could not show. */
void report_plain(FILE *to, const char *text);

#endif
