/* SPDX-License-Identifier: MIT */
/*
 * sim.h: one simulated run: a clock that stands still but for events, a queue of what happens when,
 * a source of choices, a fault script, and a digest of everything that happened.
 *
 * Rules
 *  - Time moves only from one event to the next. Events of the same time happen in the order in
 *    which they were scheduled, or, with `ties_open`, in any: which one is a choice.
 *  - An event belongs to its owner (a field of an actor), is in the queue at most once, and may
 *    schedule others or itself while it runs.
 *  - What must hold is said with SIM_CHECK: the first that does not ends the run, and is kept.
 *  - Same choices, same script: same run, same digest, in every world and build.
 *
 *     sim_at(&sim, &disk->step, sim.now_ns + 100);     owner schedules
 *     while (sim_step(&sim)) {}                        earliest event runs, until none is left
 */
#ifndef ASHLAR_SIM_SIM_H
#define ASHLAR_SIM_SIM_H

#include <ashlar/rbtree.h>

#include "sim/choices.h"
#include "sim/script.h"

enum { SIM_TRACE_KEPT = 16 };

struct sim_event {
    struct ash_rbtree_node node;
    ash_ns_t at_ns;
    uint64_t order;
    const char *name; /* in the trace */
    void (*happen)(void *context);
    void *context;
};

struct sim_trace {
    ash_ns_t at_ns;
    const char *what;
    uint64_t a, b;
};

struct sim {
    ash_ns_t now_ns;
    uint64_t steps, steps_max; /* events that happened; so many are a run that never ends */
    bool ties_open;
    struct sim_choices *choices;
    struct sim_script *script;

    struct ash_rbtree_cached events;
    uint64_t scheduled;
    uint64_t digest;
    struct sim_trace trace[SIM_TRACE_KEPT]; /* the last ones, in a circle */
    uint64_t traced;
    char broken[200]; /* "" if all held */
};

/* Time 0, nothing scheduled; begins choices and script anew. */
void sim_init(struct sim *sim, struct sim_choices *choices, struct sim_script *script);

/* Events */

void sim_event_init(struct sim_event *event, const char *name, void (*happen)(void *context),
                    void *context);
/* At that time, or now if it is past; one that is scheduled already is moved. */
void sim_at(struct sim *sim, struct sim_event *event, ash_ns_t at_ns);
void sim_after(struct sim *sim, struct sim_event *event, ash_ns_t delay_ns);
/* The same, unless it is scheduled for an earlier time. */
void sim_by(struct sim *sim, struct sim_event *event, ash_ns_t at_ns);
void sim_cancel(struct sim *sim, struct sim_event *event); /* nothing if it is not scheduled */
bool sim_is_scheduled(const struct sim_event *event);

/* The earliest event happens. False: there is none, something is broken, or steps_max is reached
 * (then that is what is broken). */
bool sim_step(struct sim *sim);

/* For whoever needs a plain function: the clock and the choices of the run. */
uint64_t sim_clock_ns(void *sim);
uint64_t sim_choose_of(void *sim, uint64_t limit);

/* What happened */

/* Into the digest, and the last ones for people; `what` must stay. */
void sim_note(struct sim *sim, const char *what, uint64_t a, uint64_t b);

#define SIM_CHECK(sim, condition)                             \
    do {                                                      \
        if (!(condition))                                     \
            sim_broke((sim), __FILE__, __LINE__, #condition); \
    } while (0)
void sim_broke(struct sim *sim, const char *file, int line, const char *what);

#endif
