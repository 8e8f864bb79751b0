/* SPDX-License-Identifier: MIT */
/*
 * taskset.h: a task set as a case file has it (tests/oracles/sched/README.md), checked: what is
 * here can be simulated. The times are still those of the file.
 */
#ifndef SCHEDSIM_TASKSET_H
#define SCHEDSIM_TASKSET_H

#include "json.h"
#include "rational.h"

/* In the order of their names in a file of lists. */
enum taskset_kind {
    TASKSET_SCHEDULE,
    TASKSET_FAIR,
    TASKSET_EEVDF,
    TASKSET_MLFQ,
    TASKSET_FEASIBILITY,
    TASKSET_ISOLATION,
    TASKSET_CBS_EQUALS_EDF,
    TASKSET_KINDS,
};

enum {
    TASKSET_TASKS_MAX = 4096,
    TASKSET_ERROR_MAX = 400,
    TASKSET_NAME_MAX = 64,
};

enum task_kind {
    TASK_PERIODIC,   /* C every T, from `offset` on */
    TASK_SERVER,     /* jobs in a constant-bandwidth server */
    TASK_BACKGROUND, /* jobs when nothing else wants to run */
};

/* A server's or background's job: (release, work); a step of an mlfq task: (run, sleep). */
struct task_pair {
    struct rational first, second;
};

struct task {
    const char *name;
    enum task_kind kind;
    bool soft;
    bool judged; /* a server whose jobs are those of a periodic task, with its deadlines */
    struct rational runtime, deadline, period, offset; /* runtime: C or Q */
    struct task_pair *pairs;
    size_t pair_count;
    int nice;                       /* fair */
    uint32_t weight;                /* eevdf */
    struct rational request, start; /* eevdf */
};

struct taskset {
    enum taskset_kind kind;
    const char *id; /* or NULL */
    unsigned line;
    struct task *tasks;
    size_t task_count;
    struct rational until;
    struct rational boost;   /* mlfq; 0: never */
    struct rational quantum; /* eevdf */
    uint64_t rounds;         /* fair: ticks; eevdf: quanta */
    bool by_rate, strict, grub, wall_jobs;
    struct taskset *next;
};

struct tasksets {
    struct taskset *first;
    size_t count;
    bool several; /* the file has a list, if only of one */
};

/* false: `error` says where and why. Names point into the document's text. */
bool tasksets_read(const struct json *root, struct tasksets *sets, char error[TASKSET_ERROR_MAX]);
void tasksets_free(struct tasksets *sets);
const char *taskset_kind_name(enum taskset_kind kind); /* "schedules", "fair", ... */

#endif
