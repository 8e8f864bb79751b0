/* SPDX-License-Identifier: MIT */
/*
 * sched_trace.h: what a scheduler decides about some of its entities, as a list: when, who, what.
 * It is looked at from outside, after each decision: so the list is made in the same way of a
 * simulation and of threads, and two of them can be compared.
 *
 *     sched_trace_init(&trace, records, ASH_ARRAY_LEN(records), origin);
 *     trace.entities[i] = &entity;                      // who is number i in the list
 *     ash_sched_decide(&sched, now, &decision);
 *     sched_trace_look(&trace, &sched, decision.run);
 *
 * Rules
 *  - Look after every decision, under the scheduler's lock. What changed since the last look gets
 *    the time of this one; of one moment, the entities' changes come in the order of their numbers,
 *    and who runs last. O(entities).
 *  - Before the origin nothing is noted. A full list stays as it is: `lost` counts the rest.
 *  - An entity that is NULL, or not attached to the scheduler, is passed over.
 */
#ifndef KERNEL_SCHED_TRACE_H
#define KERNEL_SCHED_TRACE_H

#include <ashlar/sched.h>

enum { SCHED_TRACE_ENTITIES = 4 };

#define SCHED_TRACE_NOBODY 0xffu /* somebody else runs, or nobody */

enum sched_trace_event {
    SCHED_TRACE_RELEASE,  /* a job begins */
    SCHED_TRACE_MISS,     /* its deadline has passed, and it has not ended */
    SCHED_TRACE_END,      /* it ends */
    SCHED_TRACE_THROTTLE, /* out of budget, it waits for its next period */
    SCHED_TRACE_RUN,      /* from now on */
};

struct sched_trace_record {
    uint64_t time_ns; /* from the origin */
    uint32_t who;     /* its number, or SCHED_TRACE_NOBODY */
    uint32_t event;   /* enum sched_trace_event */
};

struct sched_trace {
    struct ash_sched_entity *entities[SCHED_TRACE_ENTITIES];
    struct sched_trace_record *records;
    uint32_t records_max, count;
    uint64_t lost;
    struct ash_sched_account accounts[SCHED_TRACE_ENTITIES]; /* at the last look */
    uint64_t overrun_max_ns[SCHED_TRACE_ENTITIES]; /* beyond one budget, because a call came late */
    uint64_t origin;
    uint32_t running; /* since the last look */
};

void sched_trace_init(struct sched_trace *trace, struct sched_trace_record *records,
                      uint32_t records_max, uint64_t origin);

/* run: what was decided. */
void sched_trace_look(struct sched_trace *trace, struct ash_sched *sched,
                      const struct ash_sched_entity *run);

/* One number for all records, the same on every machine. */
uint64_t sched_trace_digest(const struct sched_trace *trace);

/* How many records from the first on are of the same events of the same entities; apart_ns: the
 * most that the times of two of these differ, by whose they are. */
uint32_t sched_trace_same(const struct sched_trace *a, const struct sched_trace *b,
                          uint64_t apart_ns[SCHED_TRACE_ENTITIES]);

/* "run", "throttle" ... */
const char *sched_trace_event_name(uint32_t event);

#endif
