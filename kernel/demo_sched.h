/* SPDX-License-Identifier: MIT */
/*
 * demo_sched.h: threads that show what the scheduler promises, as data, and how they go on a clock
 * that is a number.
 *
 *     a scenario ──┬── demo_sched_simulate   lib/sched alone, on a simulated clock
 *                  ╰── demo_play_start       threads, on the machine's (demo_play.h)
 *
 * Both make the same list of what happened (sched_trace.h), to be compared.
 */
#ifndef KERNEL_DEMO_SCHED_H
#define KERNEL_DEMO_SCHED_H

#include "sched_trace.h"

enum { DEMO_SCHED_TASKS_MAX = 4 };

struct demo_sched_scenario {
    uint32_t count;
    struct demo_sched_task {
        const char *name;
        struct ash_sched_attributes attributes;
        ash_ns_t work_ns;   /* of a job; 0: it never waits */
        ash_ns_t period_ns; /* of its jobs: those that come too late are done all the same */
        ash_ns_t first_ns;  /* from the start to its first job */
    } tasks[DEMO_SCHED_TASKS_MAX];
};

/*
 * Two that never wait, one that wants more than it reserved, and one that keeps to what it
 * reserved, and never misses, whatever the others do. What happens in the first second, in which
 * order, is the same on every machine that takes some microseconds for each timer and each job.
 */
extern const struct demo_sched_scenario demo_sched_overrun;
enum { DEMO_CONTROL, DEMO_RUNAWAY, DEMO_HOG, DEMO_NICE_HOG };

/* Two that never wait, and one that a person waits for: what the presets differ in. */
extern const struct demo_sched_scenario demo_sched_answer;
enum { DEMO_ANSWERS = 2 };

/* How far a machine is from the ideal one, which is all 0. */
struct demo_sched_slowness {
    ash_ns_t timer_ns; /* each timer comes so much late */
    ash_ns_t job_ns;   /* each job takes so much longer */
};

struct demo_sched_simulation {
    struct ash_sched_account accounts[DEMO_SCHED_TASKS_MAX]; /* at the end */
    struct ash_sched_stats stats;
    struct demo_sched_delay {
        uint64_t count;
        ash_ns_t sum_ns, max_ns;
    } delays[DEMO_SCHED_TASKS_MAX]; /* from each wake-up until it runs */

    /* private */
    struct ash_sched sched;
    struct ash_sched_entity entities[DEMO_SCHED_TASKS_MAX];
    uint8_t storage[8 << 10] __attribute__((aligned(64)));
};

/*
 * What happens in `for_ns`, into *simulation, which needs no preparation, and the trace (origin 0).
 * slowness: NULL: ideal. Of *config all but entities_max.
 */
void demo_sched_simulate(struct demo_sched_simulation *simulation,
                         const struct demo_sched_scenario *scenario,
                         const struct ash_sched_config *config,
                         const struct demo_sched_slowness *slowness, ash_ns_t for_ns,
                         struct sched_trace *trace);

#endif
