/* SPDX-License-Identifier: MIT */
/*
 * explore.h: runs a few contexts over the parts again and again, each time with the turn changing
 * at other places, until every order with at most so many preemptions has been seen. What breaks is
 * told with its schedule.
 *
 * Rules
 *  - A context is a task of a preemptible kernel: while it is not pinned it may lose its CPU and go
 *    on on another one. A pinned one keeps its CPU for itself; it may stop at any point though, as
 *    a CPU does whose host has other things to do. A change of the turn that nothing forces, and a
 *    pin that gets another CPU than the context had, is a preemption.
 *  - `interrupt`, where given, runs once in each run, on top of any context, at any point at which
 *    interrupts are not masked; or `interrupts` times, on top of the first context alone. It begins
 *    masked; where it unmasks, the next one may nest in it.
 *  - Nobody left who can go on is a deadlock; a run of EXPLORE_STEPS_MAX points never ends.
 *  - A context that ends holds no pin, no mask and no lock.
 *
 * Source: Musuvathi and Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded
 * Programs", PLDI 2007: nearly every race shows with two preemptions at the right place.
 */
#ifndef ASHLAR_TEST_EXPLORE_H
#define ASHLAR_TEST_EXPLORE_H

#include "harness/test.h"

enum { EXPLORE_CONTEXTS_MAX = 3, EXPLORE_STEPS_MAX = 20000 };

struct explore_scenario {
    void (*setup)(void);                        /* makes the same world before each run */
    void (*bodies[EXPLORE_CONTEXTS_MAX])(void); /* NULL: fewer contexts */
    void (*interrupt)(void);                    /* or NULL */
    uint32_t interrupts;                        /* how many in a run, each or not; 0: one */
    void (*finish)(void);                       /* when all have ended: is the world whole? */
    uint32_t preemptions;                       /* at most, in a run; and explore_more */
    uint32_t random_runs; /* 0: all orders; else so many drawn from the seed */
};

/* Preemptions more than the cases ask for (ASHLAR_PREEMPTIONS). One makes fifty times the runs. */
extern uint32_t explore_more;

/* Fails the case at the first run that breaks. Returns how many runs there were. */
uint64_t explore(const struct explore_scenario *scenario);

/* For bodies and finish: ends the run as broken. */
#define EXPLORE_CHECK(condition)                           \
    do {                                                   \
        if (!(condition))                                  \
            explore_broke(__FILE__, __LINE__, #condition); \
    } while (0)
void explore_broke(const char *file, int line, const char *what) __attribute__((noreturn));

/* What a callback of a part may count on: its caller holds no lock and no pin, masks nothing. */
bool explore_is_free(void);

/* The context that runs, from 0. */
uint32_t explore_context(void);

#endif
