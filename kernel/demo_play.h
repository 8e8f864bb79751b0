/* SPDX-License-Identifier: MIT */
/*
 * demo_play.h: a scenario of demo_sched.h played by threads on one CPU, and watched from a thread.
 *
 *     demo_play_start(&play, &demo_sched_overrun, cpu, &refusal)
 *     thread_sleep_until(...)    demo_play_picture(&play, &picture)    ...
 *     demo_play_stop(&play)      and then play.trace
 */
#ifndef KERNEL_DEMO_PLAY_H
#define KERNEL_DEMO_PLAY_H

#include <ashlar/port.h>

#include "demo_sched.h"
#include "workloads.h"

enum {
    DEMO_PLAY_RECORDS = 2048, /* room for twice what happens in the scenario's first second */
    DEMO_PLAY_COLUMN_NS = 2500000,
    DEMO_PLAY_COLUMNS = 40,
    DEMO_PLAY_RING = 64,
};

/* What happened in the columns of time up to now: each a character. */
struct demo_play_picture {
    char bars[DEMO_SCHED_TASKS_MAX][DEMO_PLAY_COLUMNS + 1];
    struct ash_sched_account accounts[DEMO_SCHED_TASKS_MAX]; /* since the start */
    ash_ns_t at_ns;                                          /* from the start */
};

struct demo_play {
    ash_ns_t start_ns;        /* of platform_now_ns */
    struct sched_trace trace; /* times from the start */

    /* private */
    const struct demo_sched_scenario *scenario;
    uint32_t cpu;
    struct ash_spinlock lock; /* of the trace and what follows */
    uint64_t seen_ns;         /* what ran is in the columns up to here */
    struct ash_sched_account before[DEMO_SCHED_TASKS_MAX]; /* the start */
    struct demo_play_column {
        uint64_t number;
        uint32_t ran_ns[DEMO_SCHED_TASKS_MAX];
        char marks[DEMO_SCHED_TASKS_MAX];
    } columns[DEMO_PLAY_RING];
    struct demo_play_actor {
        struct demo_play *play;
        uint32_t who, id;
        struct workload_hog hog;
        struct workload_periodic periodic;
    } actors[DEMO_SCHED_TASKS_MAX];
    struct sched_trace_record records[DEMO_PLAY_RECORDS];
};

/* All its threads are on this CPU, and begin a little later. Errors of thread_create: then none of
 * them is left. *play needs no preparation. From a thread. */
int demo_play_start(struct demo_play *play, const struct demo_sched_scenario *scenario,
                    uint32_t cpu, struct ash_sched_refusal *refusal) ASH_MUST_CHECK;

/* How it is now. '#' to '.': it ran all of the column to little; '|': it was throttled; '!': its
 * deadline passed. */
void demo_play_picture(struct demo_play *play, struct demo_play_picture *picture);

/* What its jobs were seen to need. */
void demo_play_counts(const struct demo_play *play, uint32_t who, struct workload_counts *counts);

/* Returns when all have ended. */
void demo_play_stop(struct demo_play *play);

#endif
