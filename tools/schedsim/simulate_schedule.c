/* SPDX-License-Identifier: MIT */
/*
 * simulate_schedule.c: real-time task sets. At one instant: what ran is charged, its job ends, its
 * budget is exhausted, budgets are replenished and zero-lag times come, jobs are released in the
 * order of declaration, and then it is decided what runs.
 *
 * A periodic task is a server whose Q is its C, so that it is never out of budget; the tool gives
 * each of its jobs the deadline that it has (for rate-monotonic ones: always its period). Jobs that
 * come while one is at work wait here: the library has one job an entity.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ashlar/event.h>

#include "simulate_internal.h"

#define NO_JOB SIZE_MAX

enum { RUNS_MAX = 40 }; /* with finer and finer ticks */

/* A task while it is simulated. */
struct runner {
    size_t head, tail; /* of its jobs, in the result's list; those between are linked by `next` */
    int64_t left;      /* of the job at the head */
    int64_t next;      /* release, or INT64_MAX */
    size_t pair;       /* of it, of a server or a background task */
    bool began;        /* wall_jobs: its first period has */
};

struct schedule {
    struct simulation *simulation;
    struct runner *runners;
    size_t *next_job; /* of each job in the result: the one behind it */
    size_t next_job_room;
    size_t *heap;    /* tasks by next release, then declaration */
    size_t *by_slot; /* tasks by what the library's events call them */
    size_t heap_count;
    size_t running; /* or NO_TASK */
    int64_t now;
    struct ash_sched_decision decision;
    /* Of the running server at the last decision, for a finer tick if one is needed. */
    int64_t budget;
    uint64_t rest, rate;     /* of all a CPU's bandwidth, at which it is charged */
    uint64_t rounded, finer; /* what the ticks have to be divided by; 0: nothing seen */
    bool failed;
};

#define NO_TASK SIZE_MAX

/* The library's events come here; one simulation runs at a time. */
static struct schedule *listening;

extern struct ash_event __start_ash_events[], __stop_ash_events[];

static void put_point(struct schedule *schedule, size_t task, int64_t budget) {
    struct simulation *simulation = schedule->simulation;
    struct result *result = simulation->result;
    struct budget_point *point = simulation_append(simulation, &result->points, sizeof(*point),
                                                   &result->point_count, &result->point_room);
    if (point == NULL)
        schedule->failed = true;
    else
        *point =
            (struct budget_point){.at = schedule->now, .budget = budget, .task = (uint32_t)task};
}

static void put_entry(struct schedule *schedule, size_t task, enum server_event event) {
    struct simulation *simulation = schedule->simulation;
    struct result *result = simulation->result;
    const struct ash_sched_entity *entity = &simulation->entities[task];
    struct server_entry *entry = simulation_append(simulation, &result->entries, sizeof(*entry),
                                                   &result->entry_count, &result->entry_room);
    if (entry == NULL) {
        schedule->failed = true;
        return;
    }
    *entry = (struct server_entry){.at = schedule->now,
                                   .budget = ash_sched_server_budget(entity),
                                   .deadline = (int64_t)ash_sched_server_deadline(entity),
                                   .event = event,
                                   .task = (uint32_t)task};
    put_point(schedule, task, entry->budget);
}

void ash_event_emit(const struct ash_event *event, uint64_t slot, uint64_t deadline) {
    static const char prefix[] = "sched.";
    size_t task;
    (void)deadline;
    /* The reservation for fair has a slot, too: none is made here. */
    if (listening == NULL || slot >= listening->simulation->set->task_count ||
        strncmp(event->name, prefix, sizeof(prefix) - 1) != 0)
        return;
    for (int i = SERVER_WAKE_NEW; i <= SERVER_IDLE; i++) {
        if (strcmp(event->name + sizeof(prefix) - 1, server_event_name((enum server_event)i)) != 0)
            continue;
        task = listening->by_slot[slot];
        if (listening->simulation->set->tasks[task].kind == TASK_SERVER)
            put_entry(listening, task, (enum server_event)i);
        return;
    }
}

/* Exactness: where the library had to round, ticks are divided further, and all is run again. */

/* So many parts of a tick make a multiple of `of` out of `value`. */
static void want_finer(struct schedule *schedule, uint64_t of, unsigned __int128 value) {
    if (schedule->finer == 0 && of != 0)
        schedule->finer = of / (uint64_t)rational_gcd(of, value);
}

static bool rounded_now(struct schedule *schedule) {
    uint64_t rounded = schedule->simulation->sched.stats.rounded;
    bool more = rounded != schedule->rounded;
    schedule->rounded = rounded;
    return more;
}

/* A charge by GRUB left a part of a tick, or the zero-lag time d - q D / Q is none. */
static void look_at_rest(struct schedule *schedule, size_t task) {
    const struct ash_sched_entity *entity = &schedule->simulation->entities[task];
    const struct ash_sched_server *server = &entity->server;
    if (!rounded_now(schedule))
        return;
    if (entity->charge_rest != 0)
        want_finer(schedule, schedule->simulation->sched.config.bandwidth_one, entity->charge_rest);
    else
        want_finer(schedule, server->runtime_ns,
                   (unsigned __int128)(uint64_t)server->budget * server->relative_ns);
}

/* The end of the budget was no whole tick: (q one - rest) / rate after the last decision. */
static void look_at_end(struct schedule *schedule) {
    unsigned __int128 left = (unsigned __int128)(uint64_t)schedule->budget *
                                 schedule->simulation->sched.config.bandwidth_one -
                             schedule->rest;
    if (rounded_now(schedule))
        want_finer(schedule, schedule->rate, left);
}

/* The revised budget was no whole tick: (d - t) Q / D. */
static void look_at_revised(struct schedule *schedule, size_t task, uint64_t deadline) {
    const struct ash_sched_server *server = &schedule->simulation->entities[task].server;
    unsigned __int128 product =
        (unsigned __int128)(deadline - (uint64_t)schedule->now) * server->runtime_ns;
    if (rounded_now(schedule))
        want_finer(schedule, server->relative_ns, product % server->relative_ns);
}

/* Releases: a heap by time, and by order of declaration at one time. */

static bool sooner(const struct schedule *schedule, size_t a, size_t b) {
    int64_t at = schedule->runners[a].next, bt = schedule->runners[b].next;
    return at < bt || (at == bt && a < b);
}

static void sift_down(struct schedule *schedule, size_t place) {
    size_t task = schedule->heap[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= schedule->heap_count)
            break;
        if (child + 1 < schedule->heap_count &&
            sooner(schedule, schedule->heap[child + 1], schedule->heap[child]))
            child++;
        if (!sooner(schedule, schedule->heap[child], task))
            break;
        schedule->heap[place] = schedule->heap[child];
        place = child;
    }
    schedule->heap[place] = task;
}

static void make_heap(struct schedule *schedule) {
    for (size_t i = schedule->heap_count; i > 0; i--)
        sift_down(schedule, i - 1);
}

static int64_t next_release(const struct schedule *schedule) {
    return schedule->runners[schedule->heap[0]].next;
}

/* Jobs */

static bool add_job(struct schedule *schedule, size_t task, int64_t release, int64_t work,
                    int64_t deadline) {
    struct result *result = schedule->simulation->result;
    struct runner *runner = &schedule->runners[task];
    size_t index = result->job_count, count = index, *next;
    struct job *job = simulation_append(schedule->simulation, &result->jobs, sizeof(*job),
                                        &result->job_count, &result->job_room);
    next = simulation_append(schedule->simulation, &schedule->next_job, sizeof(*next), &count,
                             &schedule->next_job_room);
    if (job == NULL || next == NULL)
        return false;
    *next = NO_JOB;
    *job = (struct job){.release = release,
                        .start = TICKS_NONE,
                        .finish = TICKS_NONE,
                        .deadline = deadline,
                        .work = work,
                        .task = (uint32_t)task};
    if (runner->head == NO_JOB) {
        runner->head = index;
        runner->left = work;
    } else {
        schedule->next_job[runner->tail] = index;
    }
    runner->tail = index;
    return true;
}

/* The deadline of the periodic job that has its turn. */
static void set_deadline(struct schedule *schedule, size_t task) {
    struct simulation *simulation = schedule->simulation;
    const struct task *of = &simulation->set->tasks[task];
    int64_t deadline = simulation->set->by_rate
                           ? simulation_ticks(simulation, of->period)
                           : simulation->result->jobs[schedule->runners[task].head].deadline;
    simulation_must(ash_sched_deadline_at(&simulation->sched, &simulation->entities[task],
                                          (uint64_t)deadline, (uint64_t)schedule->now),
                    "deadline_at");
}

static void wake(struct schedule *schedule, size_t task) {
    struct simulation *simulation = schedule->simulation;
    struct ash_sched_entity *entity = &simulation->entities[task];
    uint64_t deadline = entity->server.deadline;
    simulation_must(ash_sched_wake(&simulation->sched, entity, (uint64_t)schedule->now), "wake");
    if (simulation->set->tasks[task].kind == TASK_SERVER)
        look_at_revised(schedule, task, deadline);
    if (simulation->set->tasks[task].kind == TASK_PERIODIC)
        set_deadline(schedule, task);
}

static bool release(struct schedule *schedule, size_t task) {
    struct simulation *simulation = schedule->simulation;
    const struct task *of = &simulation->set->tasks[task];
    struct runner *runner = &schedule->runners[task];
    bool idle = runner->head == NO_JOB;
    int64_t at = runner->next, work, deadline = TICKS_NONE;
    if (of->kind == TASK_PERIODIC) {
        work = simulation_ticks(simulation, of->runtime);
        deadline = at + simulation_ticks(simulation, of->deadline);
        runner->next += simulation_ticks(simulation, of->period);
        if (simulation->set->wall_jobs && !runner->began)
            runner->next = INT64_MAX; /* the first period begins when it first runs */
    } else {
        work = simulation_ticks(simulation, of->pairs[runner->pair].second);
        if (of->judged)
            deadline = at + simulation_ticks(simulation, of->deadline);
        runner->pair++;
        runner->next = runner->pair == of->pair_count
                           ? INT64_MAX
                           : simulation_ticks(simulation, of->pairs[runner->pair].first);
    }
    sift_down(schedule, 0);
    if (!add_job(schedule, task, at, work, deadline))
        return false;
    if (idle)
        wake(schedule, task);
    return true;
}

static void block(struct schedule *schedule, size_t task) {
    simulation_must(ash_sched_block(&schedule->simulation->sched, (uint64_t)schedule->now),
                    "block");
    look_at_rest(schedule, task);
}

/* The job that runs has ended. */
static void complete(struct schedule *schedule) {
    size_t task = schedule->running;
    struct runner *runner = &schedule->runners[task];
    struct job *jobs = schedule->simulation->result->jobs;
    jobs[runner->head].finish = schedule->now;
    runner->head = schedule->next_job[runner->head];
    if (runner->head != NO_JOB)
        runner->left = jobs[runner->head].work;
    if (runner->head == NO_JOB) {
        block(schedule, task);
        schedule->running = NO_TASK;
    } else if (schedule->simulation->set->tasks[task].kind == TASK_PERIODIC) {
        block(schedule, task);
        wake(schedule, task);
        schedule->running = NO_TASK;
    }
}

/* How long the job that runs still does. */
static int64_t job_left(const struct schedule *schedule) {
    const struct runner *runner = &schedule->runners[schedule->running];
    const struct job *job = &schedule->simulation->result->jobs[runner->head];
    if (!schedule->simulation->set->wall_jobs)
        return runner->left;
    int64_t end = job->start + job->work;
    return end > schedule->now ? end - schedule->now : 0;
}

/* wall_jobs: a task's first period begins now. */
static void begin_periods(struct schedule *schedule, size_t task) {
    struct simulation *simulation = schedule->simulation;
    struct runner *runner = &schedule->runners[task];
    const struct task *of = &simulation->set->tasks[task];
    struct job *job = &simulation->result->jobs[runner->head];
    runner->began = true;
    runner->next = schedule->now + simulation_ticks(simulation, of->period);
    make_heap(schedule);
    job->release = schedule->now;
    job->deadline = schedule->now + simulation_ticks(simulation, of->deadline);
    set_deadline(schedule, task);
}

/* Charges, exhausts, replenishes, and says what would run. */
static void decide(struct schedule *schedule) {
    struct simulation *simulation = schedule->simulation;
    simulation_must(
        ash_sched_decide(&simulation->sched, (uint64_t)schedule->now, &schedule->decision),
        "decide");
    look_at_end(schedule);
    schedule->running = schedule->decision.run == NULL
                            ? NO_TASK
                            : (size_t)(schedule->decision.run - simulation->entities);
}

/* true: something has changed, and it has to be decided again. */
static bool begin(struct schedule *schedule) {
    struct simulation *simulation = schedule->simulation;
    struct runner *runner;
    struct job *job;
    if (schedule->running == NO_TASK)
        return false;
    runner = &schedule->runners[schedule->running];
    job = &simulation->result->jobs[runner->head];
    if (job->start == TICKS_NONE) {
        job->start = schedule->now;
        if (simulation->set->wall_jobs && !runner->began &&
            simulation->set->tasks[schedule->running].kind == TASK_PERIODIC) {
            begin_periods(schedule, schedule->running);
            return true;
        }
    }
    if (!simulation->set->wall_jobs || job_left(schedule) != 0)
        return false;
    complete(schedule);
    return true;
}

static void note_server(struct schedule *schedule) {
    const struct simulation *simulation = schedule->simulation;
    const struct ash_sched_entity *entity;
    if (schedule->running == NO_TASK ||
        simulation->set->tasks[schedule->running].kind != TASK_SERVER)
        return;
    entity = &simulation->entities[schedule->running];
    schedule->budget = entity->server.budget;
    schedule->rest = entity->charge_rest;
    schedule->rate = simulation->sched.bandwidth_max;
    if (simulation->sched.active_bandwidth < schedule->rate)
        schedule->rate = (uint64_t)simulation->sched.active_bandwidth;
    put_point(schedule, schedule->running, schedule->budget);
}

/* What is left of it now, for the drawing. */
static void note_budget(struct schedule *schedule, int64_t ran) {
    const struct simulation *simulation = schedule->simulation;
    const struct ash_sched *sched = &simulation->sched;
    const struct task *task = &simulation->set->tasks[schedule->running];
    if (task->kind != TASK_SERVER)
        return;
    if (simulation->set->grub && !sched->tight)
        ran = (int64_t)((unsigned __int128)(uint64_t)ran * schedule->rate / sched->bandwidth_max);
    put_point(schedule, schedule->running, schedule->budget - ran);
}

/* All that happens now. */
static bool instant(struct schedule *schedule) {
    bool last = schedule->now >= schedule->simulation->until,
         wall = schedule->simulation->set->wall_jobs;
    if (schedule->running != NO_TASK && !wall && job_left(schedule) == 0)
        complete(schedule);
    decide(schedule);
    if (last)
        return true;
    if (next_release(schedule) <= schedule->now) {
        while (next_release(schedule) <= schedule->now)
            if (!release(schedule, schedule->heap[0]))
                return false;
        decide(schedule);
    }
    while (begin(schedule))
        decide(schedule);
    note_server(schedule);
    return !schedule->failed;
}

/* Until then nothing happens. */
static bool advance(struct schedule *schedule) {
    int64_t then = schedule->simulation->until, from = schedule->now;
    if (then - from > STEP_MAX)
        then = from + STEP_MAX;
    if (next_release(schedule) < then)
        then = next_release(schedule);
    if (schedule->decision.timed && (int64_t)schedule->decision.call_at < then)
        then = (int64_t)schedule->decision.call_at;
    if (schedule->running != NO_TASK && job_left(schedule) < then - from)
        then = from + job_left(schedule);
    schedule->now = then;
    if (schedule->running == NO_TASK)
        return true;
    schedule->runners[schedule->running].left -= then - from;
    note_budget(schedule, then - from);
    return simulation_segment(schedule->simulation, from, then, schedule->running, 0);
}

/* One run from 0 to the end. */

static bool prepare(struct schedule *schedule) {
    struct simulation *simulation = schedule->simulation;
    size_t count = simulation->set->task_count;
    schedule->runners = calloc(count, sizeof(*schedule->runners));
    schedule->heap = calloc(count, sizeof(*schedule->heap));
    schedule->by_slot = calloc(count, sizeof(*schedule->by_slot));
    if (schedule->runners == NULL || schedule->heap == NULL || schedule->by_slot == NULL)
        return simulation_fails(simulation, "there is no memory for so many tasks");
    for (size_t i = 0; i < count; i++) {
        const struct task *task = &simulation->set->tasks[i];
        struct rational first = task->kind == TASK_PERIODIC ? task->offset : task->pairs[0].first;
        schedule->runners[i] = (struct runner){
            .head = NO_JOB, .tail = NO_JOB, .next = simulation_ticks(simulation, first)};
        schedule->heap[i] = i;
        schedule->by_slot[ash_sched_slot(&simulation->entities[i])] = i;
    }
    schedule->heap_count = count;
    schedule->running = NO_TASK;
    make_heap(schedule);
    return true;
}

static void forget_results(struct result *result) {
    result->segment_count = result->job_count = result->entry_count = result->point_count = 0;
    memset(result->ran, 0, result->set->task_count * sizeof(*result->ran));
}

static bool run(struct schedule *schedule) {
    struct simulation *simulation = schedule->simulation;
    bool good;
    forget_results(simulation->result);
    good = prepare(schedule);
    listening = schedule;
    for (struct ash_event *event = __start_ash_events; event != __stop_ash_events; event++)
        event->enabled = 1;
    while (good) {
        good = instant(schedule) && !schedule->failed;
        if (!good || schedule->now >= simulation->until)
            break;
        good = advance(schedule);
    }
    listening = NULL;
    free(schedule->runners);
    free(schedule->heap);
    free(schedule->by_slot);
    free(schedule->next_job);
    return good;
}

static struct ash_sched_attributes attributes_of(const struct simulation *simulation,
                                                 const struct task *task, bool judged) {
    struct ash_sched_attributes attributes = {0};
    if (task->kind == TASK_BACKGROUND)
        return (struct ash_sched_attributes){.flags = ASH_SCHED_IDLEST};
    attributes.runtime_ns = (uint64_t)simulation_ticks(simulation, task->runtime);
    attributes.deadline_ns = (uint64_t)simulation_ticks(simulation, task->deadline);
    attributes.period_ns = (uint64_t)simulation_ticks(simulation, task->period);
    if (task->kind == TASK_SERVER) {
        attributes.flags |= task->soft ? ASH_SCHED_SOFT : 0u;
        attributes.flags |= simulation->set->grub ? ASH_SCHED_RECLAIM : 0u;
    } else if (!judged && (simulation->set->by_rate || simulation->set->wall_jobs)) {
        /* Its deadlines are set from here, and may be any. */
        attributes.deadline_ns = attributes.period_ns;
    }
    /* A wall job that is done may have to wait for its turn to say so: not for a budget. */
    if (!judged && task->kind == TASK_PERIODIC && simulation->set->wall_jobs)
        attributes.runtime_ns = attributes.period_ns;
    return attributes;
}

/* In which all Q/D are whole; 0: there is none below 2^62. */
static uint64_t bandwidth_one(const struct simulation *simulation) {
    uint64_t one = 1;
    for (size_t i = 0; i < simulation->set->task_count && one != 0; i++) {
        struct ash_sched_attributes of =
            attributes_of(simulation, &simulation->set->tasks[i], false);
        if (of.period_ns != 0)
            one = rational_lcm(
                one, of.deadline_ns / (uint64_t)rational_gcd(of.deadline_ns, of.runtime_ns),
                UINT64_C(1) << 62);
    }
    return one;
}

/* A whole run with the unit that there is. */
static bool run_once(struct simulation *simulation, struct schedule *schedule) {
    struct ash_sched_config config = {.flags = ASH_SCHED_ADMIT_ALL,
                                      .slice_ns = ASH_SCHED_TIME_MAX_NS};
    bool good;
    *schedule = (struct schedule){.simulation = simulation};
    config.flags |= simulation->set->strict ? ASH_SCHED_STRICT_WAKE : 0u;
    config.bandwidth_one = simulation->set->grub ? bandwidth_one(simulation) : 0;
    simulation->result->exact = !simulation->set->grub || config.bandwidth_one != 0;
    simulation->until = simulation_ticks(simulation, simulation->set->until);
    good = simulation_open(simulation, &config);
    for (size_t i = 0; good && i < simulation->set->task_count; i++) {
        struct ash_sched_attributes attributes =
            attributes_of(simulation, &simulation->set->tasks[i], false);
        good = simulation_attach(simulation, i, &attributes);
    }
    return good && run(schedule);
}

/* Whether all times still fit if a unit has so many ticks. */
static bool fits(const struct simulation *simulation, int64_t unit) {
    for (size_t i = 0; i < simulation->set->task_count; i++) {
        const struct task *task = &simulation->set->tasks[i];
        if (task->kind != TASK_BACKGROUND &&
            (__int128)task->period.num * unit / task->period.den > (__int128)ASH_SCHED_TIME_MAX_NS)
            return false;
    }
    return (__int128)simulation->set->until.num * unit / simulation->set->until.den < TICKS_MAX;
}

static bool find_unit(struct simulation *simulation) {
    const struct taskset *set = simulation->set;
    bool good = simulation_refine(simulation, set->until, TICKS_MAX);
    for (size_t i = 0; good && i < set->task_count; i++) {
        const struct task *task = &set->tasks[i];
        if (task->kind != TASK_BACKGROUND)
            good = simulation_refine(simulation, task->runtime, TICKS_MAX) &&
                   simulation_refine(simulation, task->deadline, TICKS_MAX) &&
                   simulation_refine(simulation, task->period, TICKS_MAX);
        if (good && task->kind == TASK_PERIODIC)
            good = simulation_refine(simulation, task->offset, TICKS_MAX);
        for (size_t j = 0; good && j < task->pair_count; j++)
            good = simulation_refine(simulation, task->pairs[j].first, TICKS_MAX) &&
                   simulation_refine(simulation, task->pairs[j].second, TICKS_MAX);
    }
    if (good && !fits(simulation, simulation->unit))
        return simulation_fails(simulation,
                                "its times are too long, with ticks of 1/%" PRId64
                                ": a period can have 2^40 of them, all 2^60",
                                simulation->unit);
    return good;
}

/* Misses: of who ended late, and of who has not ended and should have. */
static void judge(struct simulation *simulation) {
    struct result *result = simulation->result;
    for (size_t i = 0; i < result->job_count; i++) {
        struct job *job = &result->jobs[i];
        int64_t known = job->finish != TICKS_NONE ? job->finish - 1 : simulation->until;
        job->missed = job->deadline != TICKS_NONE && job->deadline <= known;
    }
}

static int by_release(const void *a, const void *b) {
    const struct job *one = a, *other = b;
    if (one->release != other->release)
        return one->release < other->release ? -1 : 1;
    return (one->task > other->task) - (one->task < other->task);
}

/* false: the sum needs too many digits. */
static bool add_bandwidth(struct rational *sum, const struct task *task) {
    struct rational share;
    return rational_make((__int128)task->runtime.num * task->period.den,
                         (__int128)task->runtime.den * task->period.num, &share) &&
           rational_make((__int128)sum->num * share.den + (__int128)share.num * sum->den,
                         (__int128)sum->den * share.den, sum);
}

static bool admission_of(struct simulation *simulation) {
    struct ash_sched_config config = {0};
    struct ash_sched_refusal refusal;
    struct result *result = simulation->result;
    struct rational sum = rational_of(0);
    bool summed = true;
    result->judged = result->admitted = true;
    if (!simulation_open(simulation, &config))
        return false;
    for (size_t i = 0; i < simulation->set->task_count && result->admitted; i++) {
        const struct task *task = &simulation->set->tasks[i];
        struct ash_sched_attributes attributes = attributes_of(simulation, task, true);
        char at[RATIONAL_TEXT_MAX], demand[RATIONAL_TEXT_MAX],
            figures[2 * RATIONAL_TEXT_MAX + 16] = "";
        if (task->kind != TASK_BACKGROUND)
            summed = summed && add_bandwidth(&sum, task);
        if (ash_sched_attach(&simulation->sched, &simulation->entities[i], &attributes, 0,
                             &refusal) >= 0)
            continue;
        result->admitted = false;
        if (refusal.reason == ASH_SCHED_OVER_BANDWIDTH && summed)
            snprintf(figures, sizeof(figures), " (it would be %s)", rational_text(sum, at));
        else if (refusal.reason == ASH_SCHED_OVER_DEMAND)
            snprintf(figures, sizeof(figures), " (%s within %s)",
                     rational_text(result_units(result, (int64_t)refusal.demand_ns), demand),
                     rational_text(result_units(result, (int64_t)refusal.at_ns), at));
        snprintf(result->refusal, sizeof(result->refusal), "refused at \"%s\": %s%s", task->name,
                 ash_sched_reason_text(refusal.reason), figures);
    }
    simulation_close(simulation);
    return true;
}

bool simulate_admission(struct simulation *simulation) {
    /* `until` has no meaning here. */
    struct taskset set = *simulation->set;
    const struct taskset *given = simulation->set;
    bool good;
    set.until = rational_of(1);
    simulation->set = &set;
    good = find_unit(simulation);
    simulation->result->unit = simulation->unit;
    good = good && admission_of(simulation);
    simulation->set = given;
    return good;
}

bool simulate_schedule(struct simulation *simulation) {
    struct schedule schedule;
    struct result *result = simulation->result;
    if (!find_unit(simulation))
        return false;
    for (int runs = 1;; runs++) {
        __int128 finer;
        if (!run_once(simulation, &schedule))
            return false;
        finer = (__int128)simulation->unit * (int64_t)schedule.finer;
        result->exact = result->exact && schedule.rounded == 0;
        if (result->exact || schedule.finer <= 1 || runs == RUNS_MAX || finer > TICKS_MAX ||
            !fits(simulation, (int64_t)finer))
            break;
        simulation->unit = (int64_t)finer;
        simulation_close(simulation);
    }
    result->unit = simulation->unit;
    result->until = simulation->until;
    judge(simulation);
    if (simulation->set->wall_jobs)
        qsort(result->jobs, result->job_count, sizeof(*result->jobs), by_release);
    simulation_close(simulation);
    if (!result_group(result))
        return simulation_fails(simulation, "there is no memory for its servers' logs");
    return admission_of(simulation);
}
