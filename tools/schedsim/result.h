/* SPDX-License-Identifier: MIT */
/*
 * result.h: what came of a task set. Times, budgets and deadlines are ticks: `unit` of them are one
 * unit of the task set's time, so that all of them are whole.
 */
#ifndef SCHEDSIM_RESULT_H
#define SCHEDSIM_RESULT_H

#include "taskset.h"

#define TICKS_NONE INT64_MIN /* of a time: it did not come to it */

struct segment {
    int64_t start, end;
    uint32_t task, level;
};

struct job {
    int64_t release, start, finish, deadline;
    int64_t work;
    uint32_t task;
    bool missed;
};

enum server_event {
    SERVER_WAKE_NEW,
    SERVER_WAKE_KEEP,
    SERVER_WAKE_REVISED,
    SERVER_REPLENISH,
    SERVER_THROTTLE,
    SERVER_IDLE,
};

struct server_entry {
    int64_t at, budget, deadline;
    enum server_event event;
    uint32_t task;
};

/* Of the budget that is left, for drawing. */
struct budget_point {
    int64_t at, budget;
    uint32_t task;
};

struct result {
    const struct taskset *set;
    int64_t unit, until;
    bool exact; /* false: some times were rounded to whole ticks */
    struct segment *segments;
    struct job *jobs;
    struct server_entry *entries;
    struct budget_point *points;
    /* Entries and points stand task by task, in the order of time; those of task i from first[i]
     * to first[i + 1]. */
    size_t *first_entry, *first_point;
    size_t segment_count, job_count, entry_count, point_count;
    size_t segment_room, job_room, entry_room, point_room;
    bool judged, admitted; /* whether admission was asked, and what it said */
    char refusal[300];
    uint64_t *ran; /* fair: ticks; others: of the time, one a task */
    struct rational spread;
    uint32_t *order;
    struct rational maxlag;
};

const char *server_event_name(enum server_event event);
/* A time in units; none is one that does not fit: it was bounded before. */
struct rational result_units(const struct result *result, int64_t ticks);
/* From the order of time to that of tasks; false: there is no memory. */
bool result_group(struct result *result);
void result_free(struct result *result);

#endif
