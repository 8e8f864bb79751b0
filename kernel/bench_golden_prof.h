/* SPDX-License-Identifier: MIT */
/*
 * bench_golden_prof.h: the tracer's ring, an event's whole way into it, and the sampler, which is
 * given a stack that it knows.
 */
#ifndef KERNEL_BENCH_GOLDEN_PROF_H
#define KERNEL_BENCH_GOLDEN_PROF_H

#include "memory.h"

enum { GOLDEN_PROF_BATCH = 64 };

struct golden_prof;

struct golden_prof *golden_prof_new(struct kernel_memory *memory); /* NULL: no memory */
void golden_prof_free(struct golden_prof *prof);                   /* NULL is ignored */

/* What each returns contains `overhead` once. */
typedef uint32_t golden_prof_fn(struct golden_prof *prof, uint32_t overhead);

/* A record into a ring. */
golden_prof_fn golden_trace_write;
/* An event that is recorded: the site, the call of the sink, pin, ring and clock. */
golden_prof_fn golden_trace_event;
/* GOLDEN_PROF_BATCH of them that are off, no loop around them. */
golden_prof_fn golden_trace_off;
/* A sample of four frames, of the stack of the last one. */
golden_prof_fn golden_prof_take;
/* The same, of a stack that is known, but is not the last one of its trail's place. */
golden_prof_fn golden_prof_walk;

#endif
