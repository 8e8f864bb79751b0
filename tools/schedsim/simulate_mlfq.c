/* SPDX-License-Identifier: MIT */
/*
 * simulate_mlfq.c: sets of the interactive class: each task runs and sleeps by its list, over and
 * over. A sleep of 0 is none: it goes on.
 */
#include <stdlib.h>

#include "simulate_internal.h"

enum { LEVELS = 4, STEPS_MAX = 50000000 };

static const int quanta[LEVELS] = {5, 10, 20, 40};

struct sleeper {
    size_t step;
    int64_t left;  /* of its run */
    int64_t wakes; /* INT64_MAX: it is awake */
};

struct levels {
    struct simulation *simulation;
    struct sleeper *sleepers;
    struct ash_sched_decision decision;
    size_t running; /* or SIZE_MAX */
    uint32_t level;
    int64_t now;
};

static void decide(struct levels *levels) {
    struct simulation *simulation = levels->simulation;
    simulation_must(ash_sched_decide(&simulation->sched, (uint64_t)levels->now, &levels->decision),
                    "decide");
    levels->running = levels->decision.run == NULL
                          ? SIZE_MAX
                          : (size_t)(levels->decision.run - simulation->entities);
    levels->level = levels->decision.run == NULL ? 0 : ash_sched_level(levels->decision.run);
}

/* The run of the one that runs is over. */
static void end_run(struct levels *levels) {
    const struct task *task = &levels->simulation->set->tasks[levels->running];
    struct sleeper *sleeper = &levels->sleepers[levels->running];
    int64_t sleep = simulation_ticks(levels->simulation, task->pairs[sleeper->step].second);
    sleeper->step = (sleeper->step + 1) % task->pair_count;
    sleeper->left = simulation_ticks(levels->simulation, task->pairs[sleeper->step].first);
    if (sleep == 0)
        return;
    sleeper->wakes = levels->now + sleep;
    simulation_must(ash_sched_block(&levels->simulation->sched, (uint64_t)levels->now), "block");
}

static bool wake_all(struct levels *levels) {
    bool some = false;
    for (size_t i = 0; i < levels->simulation->set->task_count; i++) {
        if (levels->sleepers[i].wakes > levels->now)
            continue;
        levels->sleepers[i].wakes = INT64_MAX;
        simulation_must(ash_sched_wake(&levels->simulation->sched, &levels->simulation->entities[i],
                                       (uint64_t)levels->now),
                        "wake");
        some = true;
    }
    return some;
}

static bool advance(struct levels *levels) {
    int64_t from = levels->now, then = levels->simulation->until;
    if (then - from > STEP_MAX)
        then = from + STEP_MAX;
    for (size_t i = 0; i < levels->simulation->set->task_count; i++)
        if (levels->sleepers[i].wakes < then)
            then = levels->sleepers[i].wakes;
    if (levels->decision.timed && (int64_t)levels->decision.call_at < then)
        then = (int64_t)levels->decision.call_at;
    if (levels->running != SIZE_MAX && levels->sleepers[levels->running].left < then - from)
        then = from + levels->sleepers[levels->running].left;
    levels->now = then;
    if (levels->running == SIZE_MAX)
        return true;
    levels->sleepers[levels->running].left -= then - from;
    return simulation_segment(levels->simulation, from, then, levels->running, levels->level);
}

static bool run(struct levels *levels) {
    for (size_t steps = 0; levels->now < levels->simulation->until; steps++) {
        if (steps == STEPS_MAX)
            return simulation_fails(levels->simulation,
                                    "more than %d events before the end: let it end earlier",
                                    STEPS_MAX);
        if (levels->running != SIZE_MAX && levels->sleepers[levels->running].left == 0)
            end_run(levels);
        decide(levels); /* a boost comes before those that wake */
        if (wake_all(levels))
            decide(levels);
        if (!advance(levels))
            return false;
    }
    return true;
}

static bool open_levels(struct levels *levels) {
    struct simulation *simulation = levels->simulation;
    const struct taskset *set = simulation->set;
    uint64_t allotments[LEVELS];
    struct ash_sched_config config = {.levels = LEVELS, .allotments_ns = allotments};
    for (int i = 0; i < LEVELS; i++)
        allotments[i] = (uint64_t)simulation_ticks(simulation, rational_of(quanta[i]));
    config.boost_ns = (uint64_t)simulation_ticks(simulation, set->boost);
    if (allotments[LEVELS - 1] > ASH_SCHED_TIME_MAX_NS || config.boost_ns > ASH_SCHED_TIME_MAX_NS)
        return simulation_fails(simulation, "boost is too long, or its times are too fine");
    if (config.boost_ns != 0 && config.boost_ns < allotments[0])
        return simulation_fails(simulation, "boost is less than %d, which level 0's tasks may run",
                                quanta[0]);
    if (!simulation_open(simulation, &config))
        return false;
    for (size_t i = 0; i < set->task_count; i++) {
        struct ash_sched_attributes attributes = {0};
        if (!simulation_attach(simulation, i, &attributes))
            return false;
        levels->sleepers[i].left = simulation_ticks(simulation, set->tasks[i].pairs[0].first);
    }
    return true;
}

static bool find_unit(struct simulation *simulation) {
    const struct taskset *set = simulation->set;
    bool good = simulation_refine(simulation, set->until, TICKS_MAX) &&
                simulation_refine(simulation, set->boost, TICKS_MAX);
    for (size_t i = 0; good && i < set->task_count; i++)
        for (size_t j = 0; good && j < set->tasks[i].pair_count; j++)
            good = simulation_refine(simulation, set->tasks[i].pairs[j].first, TICKS_MAX) &&
                   simulation_refine(simulation, set->tasks[i].pairs[j].second, TICKS_MAX);
    simulation->until = simulation_ticks(simulation, set->until);
    if (good && simulation->until >= TICKS_MAX)
        return simulation_fails(simulation, "it takes too long: at most 2^60 ticks");
    return good;
}

bool simulate_mlfq(struct simulation *simulation) {
    struct levels levels = {.simulation = simulation, .running = SIZE_MAX};
    bool good;
    if (!find_unit(simulation))
        return false;
    levels.sleepers = calloc(simulation->set->task_count, sizeof(*levels.sleepers));
    if (levels.sleepers == NULL)
        return simulation_fails(simulation, "there is no memory for so many tasks");
    good = open_levels(&levels) && run(&levels);
    simulation->result->unit = simulation->unit;
    simulation->result->until = simulation->until;
    free(levels.sleepers);
    return good;
}
