/* SPDX-License-Identifier: MIT */
/*
 * properties.c: what the scheduler promises, over random sets of reservations; the library itself,
 * linked directly.
 *
 *     ashlar-sched-properties SETS [SEED]
 *
 *  - Admission is exact: each reservation is taken if and only if the demand of what there is and
 *    itself fits into every interval, counted deadline by deadline up to the hyperperiod.
 *  - No job misses that needs no more than its Q and comes T after the last one, whatever the
 *    others do: up to two of a set overrun, hard or soft or reclaiming, with jobs at any time.
 * Prints how many sets, verdicts, jobs and events it was; status 1 and the set, if one is broken.
 */
#include <ashlar/event.h>
#include <ashlar/sched.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TASKS_MAX = 7, PERIODS_MAX = 40, BACKLOG_MAX = 1000 };

/* All periods of a set divide one of these, so that a hyperperiod is short. */
static const uint64_t wholes[] = {60, 72, 84, 96, 120, 144, 210};
/* Nanoseconds a unit: for the last nanosecond, and for what periods really are. */
static const uint64_t scales[] = {1, 1000, 100000, 16777216};

struct task {
    uint64_t runtime, deadline, period;
    uint32_t flags;
    bool overruns;
    /* While it is simulated. */
    uint64_t next, left, release;
    uint32_t waiting; /* jobs of one that overruns */
};

struct world {
    uint64_t random;
    struct task tasks[TASKS_MAX], wanted; /* wanted: the last one that was asked for */
    size_t count;
    uint64_t scale, hyperperiod; /* all periods and deadlines are multiples of the scale */
    struct ash_sched sched;
    struct ash_sched_entity entities[TASKS_MAX];
    void *storage;
    size_t storage_bytes;
    uint64_t verdicts, refusals, jobs, calls;
    uint64_t set;
};

/* Nobody listens. */
void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b) {
    (void)event, (void)a, (void)b;
}

static uint64_t below(struct world *world, uint64_t limit) {
    world->random ^= world->random >> 12; /* xorshift64*, Vigna 2016 */
    world->random ^= world->random << 25;
    world->random ^= world->random >> 27;
    return (world->random * UINT64_C(2685821657736338717) >> 33) % limit;
}

static _Noreturn void broken(const struct world *world, const char *what, size_t task) {
    printf("set %" PRIu64 ": %s (task %zu)\n", world->set, what, task);
    for (size_t i = 0; i < world->count; i++)
        printf("  task %zu: Q %" PRIu64 " D %" PRIu64 " T %" PRIu64 " flags %u%s\n", i,
               world->tasks[i].runtime, world->tasks[i].deadline, world->tasks[i].period,
               world->tasks[i].flags, world->tasks[i].overruns ? ", overruns" : "");
    printf("  asked for: Q %" PRIu64 " D %" PRIu64 " T %" PRIu64 "\n", world->wanted.runtime,
           world->wanted.deadline, world->wanted.period);
    exit(1);
}

static void must(const struct world *world, int status, const char *call) {
    if (status < 0)
        broken(world, call, 0);
}

/* Admission */

static uint64_t demand(const struct task *task, uint64_t end) {
    return end < task->deadline ? 0 : ((end - task->deadline) / task->period + 1) * task->runtime;
}

/* The judge: every interval that begins with all of them and ends with a deadline. */
static bool fits(const struct world *world) {
    const struct task *wanted = &world->wanted;
    uint64_t sum = wanted->runtime * (world->hyperperiod / wanted->period);
    for (size_t i = 0; i < world->count; i++)
        sum += world->tasks[i].runtime * (world->hyperperiod / world->tasks[i].period);
    if (sum > world->hyperperiod)
        return false;
    for (uint64_t end = world->scale; end <= world->hyperperiod; end += world->scale) {
        uint64_t due = demand(wanted, end);
        for (size_t i = 0; i < world->count; i++)
            due += demand(&world->tasks[i], end);
        if (due > end)
            return false;
    }
    return true;
}

/* Numbers below PERIODS_MAX, times the scale; the runtime a bit more or less than that. */
static void make_wanted(struct world *world, bool constrained) {
    struct task *wanted = &world->wanted;
    uint64_t period, runtime, deadline;
    do
        period = 2 + below(world, PERIODS_MAX);
    while (world->hyperperiod / world->scale % period != 0);
    runtime = 1 + below(world, below(world, 3) == 0 ? period : (period + 2) / 3);
    deadline = period;
    if (constrained && below(world, 4) != 0)
        deadline = runtime + below(world, period - runtime + 1);
    *wanted = (struct task){.period = period * world->scale,
                            .deadline = deadline * world->scale,
                            .runtime = runtime * world->scale};
    if (world->scale != 1)
        wanted->runtime += below(world, 3) - 1;
    if (wanted->runtime > wanted->deadline)
        wanted->runtime = wanted->deadline;
    wanted->overruns = below(world, 4) == 0;
    if (wanted->overruns)
        wanted->flags = (below(world, 2) != 0 ? ASH_SCHED_SOFT : 0u) |
                        (below(world, 3) == 0 ? ASH_SCHED_RECLAIM : 0u);
}

static void ask(struct world *world) {
    const struct task *wanted = &world->wanted;
    struct ash_sched_attributes attributes = {.flags = wanted->flags,
                                              .runtime_ns = wanted->runtime,
                                              .deadline_ns = wanted->deadline,
                                              .period_ns = wanted->period};
    struct ash_sched_refusal refusal;
    bool taken = ash_sched_attach(&world->sched, &world->entities[world->count], &attributes, 0,
                                  &refusal) >= 0;
    world->verdicts++;
    world->refusals += !taken;
    if (taken != fits(world))
        broken(world, taken ? "a set that cannot be met is admitted" : "a feasible set is refused",
               world->count);
    if (taken)
        world->tasks[world->count++] = *wanted;
}

/* Jobs */

/* Q, or less now and then; of one that overruns, whatever comes. */
static uint64_t work_of(struct world *world, const struct task *task) {
    if (task->overruns)
        return 1 + below(world, 3 * task->runtime);
    return below(world, 3) == 0 ? 1 + below(world, task->runtime) : task->runtime;
}

static uint64_t gap_of(struct world *world, const struct task *task, bool periodic) {
    if (task->overruns)
        return 1 + below(world, 2 * task->period);
    return task->period + (periodic || below(world, 2) == 0 ? 0 : below(world, task->period));
}

static void release_all(struct world *world, uint64_t now, bool periodic) {
    for (size_t i = 0; i < world->count; i++) {
        struct task *task = &world->tasks[i];
        if (task->next != now)
            continue;
        task->next = now + gap_of(world, task, periodic);
        world->jobs++;
        if (task->left != 0) { /* one that overruns, or promises are broken */
            task->waiting += task->waiting < BACKLOG_MAX;
            continue;
        }
        task->release = now;
        task->left = work_of(world, task);
        must(world, ash_sched_wake(&world->sched, &world->entities[i], now), "wake fails");
        world->calls++;
    }
}

static void complete(struct world *world, size_t running, uint64_t now) {
    struct task *task = &world->tasks[running];
    if (!task->overruns && now > task->release + task->deadline)
        broken(world, "a job ends after its deadline", running);
    if (task->waiting != 0) {
        task->waiting--;
        task->left = work_of(world, task);
        return;
    }
    must(world, ash_sched_block(&world->sched, now), "block fails");
    world->calls++;
}

static void look_for_misses(const struct world *world, uint64_t now) {
    for (size_t i = 0; i < world->count; i++) {
        const struct task *task = &world->tasks[i];
        if (!task->overruns && task->left != 0 && now >= task->release + task->deadline)
            broken(world, "a job has not ended by its deadline", i);
    }
}

static void simulate(struct world *world) {
    bool periodic = below(world, 2) == 0, together = below(world, 2) == 0;
    uint64_t now = 0, until = 2 * world->hyperperiod;
    struct ash_sched_decision decision = {.run = NULL};
    for (size_t i = 0; i < world->count; i++)
        world->tasks[i].next = together ? 0 : below(world, world->tasks[i].period);
    while (now < until) {
        size_t running;
        uint64_t then = until;
        release_all(world, now, periodic);
        must(world, ash_sched_decide(&world->sched, now, &decision), "decide fails");
        world->calls++;
        running = decision.run != NULL ? (size_t)(decision.run - world->entities) : TASKS_MAX;
        for (size_t i = 0; i < world->count; i++)
            then = world->tasks[i].next < then ? world->tasks[i].next : then;
        if (decision.timed && decision.call_at < then)
            then = decision.call_at;
        if (running != TASKS_MAX && now + world->tasks[running].left < then)
            then = now + world->tasks[running].left;
        if (running != TASKS_MAX) {
            world->tasks[running].left -= then - now;
            if (world->tasks[running].left == 0)
                complete(world, running, then);
        }
        now = then;
        look_for_misses(world, now);
    }
}

static void one_set(struct world *world) {
    struct ash_sched_config config = {.entities_max = TASKS_MAX};
    size_t asked = 1 + below(world, TASKS_MAX);
    bool constrained = below(world, 3) != 0;
    const char *why;
    world->scale = scales[below(world, sizeof(scales) / sizeof(*scales))];
    world->hyperperiod = world->scale * wholes[below(world, sizeof(wholes) / sizeof(*wholes))];
    world->count = 0;
    memset(world->entities, 0, sizeof(world->entities));
    must(world, ash_sched_init(&world->sched, &config, world->storage, world->storage_bytes, 0),
         "init fails");
    for (size_t i = 0; i < asked; i++) {
        make_wanted(world, constrained);
        ask(world);
    }
    simulate(world);
    why = ash_sched_check(&world->sched);
    if (why != NULL)
        broken(world, why, 0);
}

int main(int argc, char **argv) {
    static struct world world;
    struct ash_sched_config config = {.entities_max = TASKS_MAX};
    uint64_t sets = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct timespec begin, end;
    double seconds;
    if (sets == 0) {
        fprintf(stderr, "usage: ashlar-sched-properties SETS [SEED]\n");
        return 2;
    }
    world.storage_bytes = ash_sched_storage_size(&config);
    world.storage = aligned_alloc(64, (world.storage_bytes + 63) / 64 * 64);
    if (world.storage == NULL)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (world.set = 0; world.set < sets; world.set++) {
        /* Each from its own number: set N alone is set N of them all. */
        world.random =
            (seed * UINT64_C(0x9e3779b97f4a7c15) + world.set + 1) * UINT64_C(0xbf58476d1ce4e5b9);
        one_set(&world);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("seed %" PRIu64 ": %" PRIu64 " sets, %" PRIu64 " verdicts (%" PRIu64
           " refused), %" PRIu64 " jobs, %" PRIu64 " calls in %.1f s: all promises kept\n",
           seed, sets, world.verdicts, world.refusals, world.jobs, world.calls, seconds);
    free(world.storage);
    return 0;
}
