/* SPDX-License-Identifier: MIT */
/* report.h: what came of task sets, for a person, for a program, as a drawing, as a timeline. */
#ifndef SCHEDSIM_REPORT_H
#define SCHEDSIM_REPORT_H

#include <stdio.h>

#include "result.h"

void report_text(FILE *file, const struct result *result);
void report_json(FILE *file, const struct result *result);
/* One drawing, or one timeline, of all of them. */
void report_svg(FILE *file, const struct result *results, size_t count);
void report_trace(FILE *file, const struct result *results, size_t count);

/* "edf_u1", or what kind of set it is and where. */
void report_title(const struct result *result, char *title, size_t room);
/* A string of JSON, with its quotes. */
void report_json_string(FILE *file, const char *text);

#endif
