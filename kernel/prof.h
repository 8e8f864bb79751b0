/* SPDX-License-Identifier: MIT */
/*
 * prof.h: the kernel's profiler: a sampling interrupt on each CPU (platform/sample.h), what it has
 * interrupted in the CPU's profile (<ashlar/prof.h>), for reports and dumps afterwards.
 *
 *     prof_start(memory, &config) ... prof_stop()     what was sampled stays until the next start
 *
 * Rules
 *  - One profile at a time. Start, stop and free are a thread's, and no handler's; of several
 *    threads' one waits for the other. Start and stop take no thread, and stop no memory.
 *  - Where threads run all their CPUs are sampled, else the calling one. Interrupts that are masked
 *    put a sample off to where they no longer are; it then has the flag ASH_PROF_LATE and the
 *    weight of all periods that have passed.
 *  - A start that fails leaves the profile that there was.
 */
#ifndef KERNEL_PROF_H
#define KERNEL_PROF_H

#include <ashlar/prof.h>
#include <ashlar/prof_file.h>

#include "memory.h"

struct prof_config {
    uint32_t hz;      /* ASH_PROF_HZ_MIN .. _MAX; of the timer */
    uint64_t cycles;  /* not 0: instead, a sample every so many cycles of the CPU */
    uint32_t samples; /* kept of each CPU, the newest; 0: ASH_PROF_SAMPLES_DEFAULT */
};

enum { PROF_CYCLES_MIN = 1000 };

enum prof_state { PROF_NEVER, PROF_RUNS, PROF_STOPPED };

/*
 *   -ASH_EBUSY   it samples already               -ASH_EINVAL  no such rate
 *   -ASH_ENOTSUP the machine has no such trigger  -ASH_ENOMEM  no memory for the samples, or the
 *                                                              host has no timer left
 */
int prof_start(struct kernel_memory *memory, const struct prof_config *config) ASH_MUST_CHECK;

/* -ASH_ENOENT: it does not run. */
int prof_stop(void) ASH_MUST_CHECK;

/* Stops, and gives everything back. */
void prof_free(void);

enum prof_state prof_state(void);
/* What the last one was started with. */
const struct prof_config *prof_config(void);
/* From the begin to now, or to the end. */
ash_ns_t prof_duration_ns(void);

/* Of all CPUs, so far. Their number. */
uint32_t prof_count(struct ash_prof_counts *counts);

/* For a dump: at most `max` parts, three of each CPU; they stay until the next start. How many
 * there are. */
uint32_t prof_parts(struct ash_prof_part *parts, uint32_t max);

/* The dump's text about it, "asked_hz=1000\n" ...: its length, what did not fit left out. */
size_t prof_text(char *text, size_t bytes);

/* Between the two nobody else starts, stops or frees: for who looks at it. They
 * do not nest, and are not around those three. */
void prof_lock(void);
void prof_unlock(void);

/* The first broken invariant of what was sampled, or NULL. Not while it runs. */
const char *prof_check(void);

#endif
