/* SPDX-License-Identifier: MIT */
/*
 * simulate_internal.h: what the kinds of simulation share. A tick of simulated time is the
 * library's nanosecond; `unit` of them make a unit of the task set.
 */
#ifndef SCHEDSIM_SIMULATE_INTERNAL_H
#define SCHEDSIM_SIMULATE_INTERNAL_H

#include <ashlar/sched.h>

#include "simulate.h"

/* A simulation goes no further: sums of two times do not overflow. */
#define TICKS_MAX (INT64_C(1) << 60)
/* Of the clock, between two decisions: a longer one is a clock that jumped, to the library. */
#define STEP_MAX (INT64_C(1) << 40)

struct simulation {
    const struct taskset *set;
    struct result *result;
    int64_t unit, until;
    struct ash_sched sched;
    struct ash_sched_entity *entities; /* one a task, in their order */
    void *storage;
    char *error;
};

__attribute__((format(printf, 2, 3))) bool simulation_fails(struct simulation *simulation,
                                                            const char *format, ...);
/* The config's entities_max is filled in. */
bool simulation_open(struct simulation *simulation, struct ash_sched_config *config);
void simulation_close(struct simulation *simulation);
bool simulation_attach(struct simulation *simulation, size_t task,
                       const struct ash_sched_attributes *attributes);
/* For what an own set of calls cannot fail at. */
void simulation_must(int status, const char *call);

/* No more than 2 TICKS_MAX, which is as good as never. */
int64_t simulation_ticks(const struct simulation *simulation, struct rational value);
/* The least unit with which the value is whole; false: it is too fine or too large. */
bool simulation_refine(struct simulation *simulation, struct rational value, uint64_t most);

/* One more at the end of a result's list, zeroed; NULL: there is no memory, or there are too many,
 * and the simulation has failed. */
void *simulation_append(struct simulation *simulation, void *list, size_t size, size_t *count,
                        size_t *room);
bool simulation_segment(struct simulation *simulation, int64_t start, int64_t end, size_t task,
                        uint32_t level);

bool simulate_schedule(struct simulation *simulation);
bool simulate_fair(struct simulation *simulation);
bool simulate_eevdf(struct simulation *simulation);
bool simulate_mlfq(struct simulation *simulation);
/* What admission says of it: in the result. */
bool simulate_admission(struct simulation *simulation);

#endif
