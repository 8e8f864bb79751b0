/* SPDX-License-Identifier: MIT */
/* demo_sched.c: the scenarios, and how they go on a clock that is a number. */
#include "demo_sched.h"

#include <ashlar/check.h>

#define US    UINT64_C(1000)
#define MS    UINT64_C(1000000)
#define NEVER UINT64_MAX

/*
 * Control has room for a host that takes the CPU away for milliseconds.
 *
 * Two things that do not depend on each other never happen at nearly the same moment. To this end
 * the hogs ask for more at a time than there is between two jobs, so that jobs say when they
 * change; and a late job's deadline is before its next budget.
 */
const struct demo_sched_scenario demo_sched_overrun = {
    .count = 4,
    .tasks = {[DEMO_CONTROL] = {.name = "control",
                                .attributes = {.runtime_ns = 5 * MS, .period_ns = 10 * MS},
                                .work_ns = 1500 * US,
                                .period_ns = 10 * MS},
              [DEMO_RUNAWAY] = {.name = "runaway",
                                .attributes = {.runtime_ns = 3 * MS,
                                               .deadline_ns = 12 * MS,
                                               .period_ns = 15 * MS},
                                .work_ns = 12100 * US,
                                .period_ns = 15 * MS,
                                .first_ns = 4800 * US},
              [DEMO_HOG] = {.name = "hog",
                            .attributes = {.flags = ASH_SCHED_NICE, .slice_ns = 30 * MS}},
              [DEMO_NICE_HOG] = {.name = "hog-nice-10",
                                 .attributes = {.flags = ASH_SCHED_NICE,
                                                .nice = 10,
                                                .slice_ns = 30 * MS}}},
};

const struct demo_sched_scenario demo_sched_answer = {
    .count = 3,
    .tasks = {{.name = "hog-1", .attributes = {.flags = ASH_SCHED_NICE}},
              {.name = "hog-2", .attributes = {.flags = ASH_SCHED_NICE}},
              [DEMO_ANSWERS] = {.name = "answers",
                                .work_ns = 200 * US,
                                .period_ns = 31300 * US,
                                .first_ns = 5 * MS}},
};

/*
 * A CPU with a one-shot timer, as thread_dispatch.c has it: the timer is only ever set earlier, and
 * one that comes too early finds nothing to do but to decide. A job ends with a sleep until the
 * next release, even where that has passed.
 */
struct machine {
    struct demo_sched_simulation *simulation;
    const struct demo_sched_scenario *scenario;
    const struct demo_sched_slowness *slowness;
    struct sched_trace *trace;
    uint64_t now, timer_at;
    struct ash_sched_entity *run;
    struct actor {
        uint64_t wake_at; /* NEVER: it is awake */
        uint64_t released_at;
        uint64_t woke_at; /* NEVER: it has run since */
        uint64_t left_ns; /* of its job */
    } actors[DEMO_SCHED_TASKS_MAX];
};

static void must(int result, const char *call) {
    ASH_REQUIRE(result >= 0, "demo: %s was refused (error %d)", call, result);
}

static void note_delay(struct machine *machine, uint32_t who) {
    struct demo_sched_delay *delay = &machine->simulation->delays[who];
    uint64_t delay_ns = machine->now - machine->actors[who].woke_at;
    machine->actors[who].woke_at = NEVER;
    delay->count++;
    delay->sum_ns += delay_ns;
    delay->max_ns = ash_max_u64(delay->max_ns, delay_ns);
}

static void decide(struct machine *machine) {
    struct demo_sched_simulation *simulation = machine->simulation;
    struct ash_sched_decision decision;
    must(ash_sched_decide(&simulation->sched, machine->now, &decision), "decide");
    sched_trace_look(machine->trace, &simulation->sched, decision.run);
    machine->run = decision.run;
    if (decision.run != NULL &&
        machine->actors[decision.run - simulation->entities].woke_at != NEVER)
        note_delay(machine, (uint32_t)(decision.run - simulation->entities));
    uint64_t at = decision.timed ? decision.call_at : NEVER;
    for (uint32_t i = 0; i < machine->scenario->count; i++)
        at = ash_min_u64(at, machine->actors[i].wake_at);
    machine->timer_at = ash_min_u64(machine->timer_at, at);
}

static void wake(struct machine *machine, uint32_t who) {
    struct demo_sched_simulation *simulation = machine->simulation;
    struct actor *actor = &machine->actors[who];
    uint64_t work_ns = machine->scenario->tasks[who].work_ns;
    actor->wake_at = NEVER;
    actor->woke_at = machine->now;
    actor->left_ns = work_ns == 0 ? NEVER : work_ns + machine->slowness->job_ns;
    must(ash_sched_wake(&simulation->sched, &simulation->entities[who], machine->now), "wake");
}

static void on_timer(struct machine *machine) {
    machine->timer_at = NEVER;
    for (uint32_t i = 0; i < machine->scenario->count; i++) {
        if (machine->actors[i].wake_at <= machine->now)
            wake(machine, i);
    }
    decide(machine);
}

static void end_job(struct machine *machine, uint32_t who) {
    struct actor *actor = &machine->actors[who];
    actor->released_at += machine->scenario->tasks[who].period_ns;
    actor->wake_at = actor->released_at;
    must(ash_sched_block(&machine->simulation->sched, machine->now), "block");
    decide(machine);
}

/* To the next thing that happens; false: nothing does before `until`. */
static bool step(struct machine *machine, uint64_t until) {
    struct actor *actor = NULL;
    uint64_t then = NEVER;
    if (machine->timer_at != NEVER)
        then = ash_max_u64(machine->now, machine->timer_at + machine->slowness->timer_ns);
    if (machine->run != NULL)
        actor = &machine->actors[machine->run - machine->simulation->entities];
    if (actor != NULL && actor->left_ns == NEVER)
        actor = NULL; /* it has no end */
    bool ends = actor != NULL && actor->left_ns <= then - machine->now;
    if (ends)
        then = machine->now + actor->left_ns;
    if (then >= until)
        return false;
    if (actor != NULL)
        actor->left_ns -= then - machine->now;
    machine->now = then;
    if (ends)
        end_job(machine, (uint32_t)(actor - machine->actors));
    else
        on_timer(machine);
    return true;
}

static void begin(struct machine *machine, const struct ash_sched_config *config) {
    struct demo_sched_simulation *simulation = machine->simulation;
    struct ash_sched_config own = *config;
    own.entities_max = DEMO_SCHED_TASKS_MAX;
    must(ash_sched_init(&simulation->sched, &own, simulation->storage, sizeof(simulation->storage),
                        0),
         "init");
    for (uint32_t i = 0; i < machine->scenario->count; i++) {
        const struct demo_sched_task *task = &machine->scenario->tasks[i];
        machine->actors[i] = (struct actor){
            .wake_at = task->first_ns, .released_at = task->first_ns, .woke_at = NEVER};
        simulation->entities[i] = (struct ash_sched_entity){0};
        simulation->delays[i] = (struct demo_sched_delay){0};
        machine->trace->entities[i] = &simulation->entities[i];
        must(ash_sched_attach(&simulation->sched, &simulation->entities[i], &task->attributes, 0,
                              NULL),
             "attach");
    }
}

void demo_sched_simulate(struct demo_sched_simulation *simulation,
                         const struct demo_sched_scenario *scenario,
                         const struct ash_sched_config *config,
                         const struct demo_sched_slowness *slowness, ash_ns_t for_ns,
                         struct sched_trace *trace) {
    static const struct demo_sched_slowness ideal;
    struct machine machine = {.simulation = simulation,
                              .scenario = scenario,
                              .slowness = slowness == NULL ? &ideal : slowness,
                              .trace = trace};
    begin(&machine, config);
    while (step(&machine, for_ns)) {}
    for (uint32_t i = 0; i < scenario->count; i++)
        must(ash_sched_get_account(&simulation->sched, &simulation->entities[i], for_ns,
                                   &simulation->accounts[i]),
             "get_account");
    ash_sched_get_stats(&simulation->sched, &simulation->stats);
}
