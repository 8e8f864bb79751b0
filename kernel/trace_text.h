/* SPDX-License-Identifier: MIT */
/* trace_text.h: records as lines for people: "1.000123456 cpu 0 main: slab.refill cache=0x1c". */
#ifndef KERNEL_TRACE_TEXT_H
#define KERNEL_TRACE_TEXT_H

#include <ashlar/event.h>
#include <ashlar/trace.h>

#include "thread.h"

enum { TRACE_LINE_BYTES = 192, TRACE_NAMES_MAX = THREADS_MAX + THREADS_ENDED_MAX };

struct trace_text {
    struct thread_name names[TRACE_NAMES_MAX];
    uint32_t name_count;
    uint64_t clock_hz, origin; /* what the clock was at the machine's time 0 */
};

/* Asks who has which number, and what time it is. A thread's. */
void trace_text_begin(struct trace_text *text);

void trace_text_line(const struct trace_text *text, uint32_t cpu,
                     const struct ash_trace_record *record, char line[TRACE_LINE_BYTES]);

/* What the clock was at the machine's time 0. */
uint64_t trace_clock_origin(void);

#endif
