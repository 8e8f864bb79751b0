/* SPDX-License-Identifier: MIT */
/*
 * trace.h: the kernel's tracer: where the events of all parts go, into a ring a CPU (lib/prof).
 *
 *     trace_init()               once: the events of the image get their ids
 *     trace_start(memory, config)     rings; from here on events are recorded
 *     trace_stop()               what was recorded stays, to be shown and dumped
 *     trace_free()               until the rings are given back, or it is started again
 *
 * Rules
 *  - One trace at a time. Start, stop, pause and free are a thread's: they have the machine to
 *    themselves for a moment (threads_alone), so that no CPU is in the middle of a record.
 *  - An event is recorded in any context: it writes to its CPU's ring, and calls nobody.
 *  - Where nothing is traced events go to the test harness, if that is linked in.
 */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include <ashlar/atomic.h>
#include <ashlar/event.h>
#include <ashlar/trace.h>

#include "memory.h"

enum trace_state { TRACE_OFF, TRACE_RUNNING, TRACE_STOPPED };

struct trace_config {
    uint32_t events; /* a ring's: a power of two, ASH_TRACE_EVENTS_MIN to _MAX */
    enum ash_trace_mode mode;
    const char *only; /* "slab.refill,sched": names, and groups: what stands before the point.
                         NULL: all */
};

/* All that a trace is, so that cases can have one of their own. */
struct trace {
    enum trace_state state;
    struct ash_trace_ring *rings; /* one for each of cpus */
    uint32_t cpus, events;
    enum ash_trace_mode mode;
    struct kernel_memory *memory;
    bool keeps_images; /* of the programs that run meanwhile */
    uint32_t rings_order, records_order;
    struct ash_trace_record *records[ASH_PORT_CPUS_MAX];
    uint64_t wanted[(ASH_TRACE_ID_MAX + 64) / 64]; /* by id: recorded while it runs */
    bool around[ASH_PORT_CPUS_MAX];                /* the CPU's ring was told of an interrupt */
};

/* The rings that events go to now; NULL: none. */
extern struct ash_trace_ring *trace_rings;

/* Gives ids, in the order of the image; those beyond ASH_TRACE_ID_MAX stay off: how many. Again:
 * nothing changes. */
uint32_t trace_init(void);

/* The i-th event of the image, NULL: there are no more. */
const struct ash_event *trace_event(uint32_t i);
bool trace_wants(const struct ash_event *event);

/*
 *   -ASH_EBUSY   it runs already        -ASH_ENOMEM  no memory for the rings
 *   -ASH_EINVAL  config->events, mode   -ASH_ENOENT  `only` names no event: *unknown is where, or
 *   -ASH_ENOTSUP the image has no event                 unknown is NULL
 * What was recorded before is lost, unless this fails.
 */
int trace_start(struct kernel_memory *memory, const struct trace_config *config,
                const char **unknown) ASH_MUST_CHECK;

/* -ASH_ENOENT: nothing is traced. */
int trace_stop(void) ASH_MUST_CHECK;

/* Running, nothing is recorded between the two; else nothing happens. They do not nest. */
void trace_pause(void);
void trace_resume(void);

/* For a panic, whose other CPUs stand: nothing is recorded any more. */
void trace_freeze(void);

/* Not running: the rings' memory goes back. */
void trace_free(void);

/* To be looked at: by the thread that starts and stops. */
const struct trace *trace_get(void);

/* For who runs test cases: nothing is traced until it is put back. What a case has started then is
 * forgotten: its memory may be gone with the case. */
void trace_set_aside(struct trace *kept);
void trace_put_back(const struct trace *kept);

/* A user's marker: by a command; by a program, of any bytes. */
void trace_mark(uint64_t number);
void trace_mark_text(const void *text, size_t len);

/* Who takes a CPU's turn to another thread; 0: the CPU idles. Masked, on that CPU. */
void trace_switched_slow(uint32_t cpu, uint32_t from, uint32_t to);
static inline void trace_switched(uint32_t cpu, uint32_t from, uint32_t to) {
    if (ASH_UNLIKELY(ash_load_relaxed(&trace_rings) != NULL))
        trace_switched_slow(cpu, from, to);
}

#endif
