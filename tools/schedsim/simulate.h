/* SPDX-License-Identifier: MIT */
/*
 * simulate.h: a task set through the scheduler library (lib/sched): the time is a number that goes
 * from one event to the next.
 */
#ifndef SCHEDSIM_SIMULATE_H
#define SCHEDSIM_SIMULATE_H

#include "result.h"

/* false: `error` says why it cannot be; *result is free of anything. */
bool simulate(const struct taskset *set, struct result *result, char error[TASKSET_ERROR_MAX]);

#endif
