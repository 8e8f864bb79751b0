/* SPDX-License-Identifier: MIT */
/* demo_play.c: see demo_play.h. */
#include "demo_play.h"

#include <ashlar/check.h>
#include <string.h>

#include "thread_internal.h"

enum { AHEAD_NS = 50000000 }; /* until all sleep and wait for the start */

/* Columns of time */

static struct demo_play_column *column_of(struct demo_play *play, uint64_t number) {
    struct demo_play_column *column = &play->columns[number % DEMO_PLAY_RING];
    if (column->number != number)
        *column = (struct demo_play_column){.number = number};
    return column;
}

/* What ran did so until now. */
static void paint(struct demo_play *play, uint64_t now_ns) {
    uint32_t who = play->trace.running;
    if ((int64_t)(now_ns - play->seen_ns) <= 0)
        return;
    if (now_ns - play->seen_ns > (uint64_t)DEMO_PLAY_RING * DEMO_PLAY_COLUMN_NS)
        play->seen_ns = now_ns - (uint64_t)DEMO_PLAY_RING * DEMO_PLAY_COLUMN_NS;
    while (play->seen_ns < now_ns) {
        uint64_t number = play->seen_ns / DEMO_PLAY_COLUMN_NS;
        uint64_t until_ns = ash_min_u64(now_ns, (number + 1) * DEMO_PLAY_COLUMN_NS);
        struct demo_play_column *column = column_of(play, number);
        if (who != SCHED_TRACE_NOBODY)
            column->ran_ns[who] += (uint32_t)(until_ns - play->seen_ns);
        play->seen_ns = until_ns;
    }
}

static char shade(const struct demo_play_column *column, uint32_t who) {
    static const char shades[] = " .:=##";
    if (column->marks[who] != '\0')
        return column->marks[who];
    return shades[(column->ran_ns[who] + DEMO_PLAY_COLUMN_NS / 4 - 1) / (DEMO_PLAY_COLUMN_NS / 4)];
}

/* Watching */

static void look(struct demo_play *play, struct ash_sched *sched,
                 const struct ash_sched_entity *run) {
    struct sched_trace *trace = &play->trace;
    struct ash_sched_account last[DEMO_SCHED_TASKS_MAX];
    int64_t now_ns = (int64_t)(sched->now - trace->origin);
    if (now_ns > 0)
        paint(play, (uint64_t)now_ns);
    memcpy(last, trace->accounts, sizeof(last));
    sched_trace_look(trace, sched, run);
    if (now_ns < 0) {
        memcpy(play->before, trace->accounts, sizeof(play->before));
        return;
    }
    struct demo_play_column *column = column_of(play, (uint64_t)now_ns / DEMO_PLAY_COLUMN_NS);
    for (uint32_t who = 0; who < play->scenario->count; who++) {
        if (trace->accounts[who].misses != last[who].misses)
            column->marks[who] = '!';
        else if (trace->accounts[who].throttles != last[who].throttles &&
                 column->marks[who] == '\0')
            column->marks[who] = '|';
    }
}

static void on_decision(void *context, struct ash_sched *sched,
                        const struct ash_sched_entity *run) {
    struct demo_play *play = context;
    ash_spin_lock(&play->lock);
    look(play, sched, run);
    ash_spin_unlock(&play->lock);
}

/* What counts; the others are of all its time. */
static struct ash_sched_account since(const struct ash_sched_account *now,
                                      const struct ash_sched_account *before) {
    struct ash_sched_account account = *now;
    account.runtime_ns -= before->runtime_ns;
    account.releases -= before->releases;
    account.completions -= before->completions;
    account.misses -= before->misses;
    account.throttles -= before->throttles;
    return account;
}

void demo_play_picture(struct demo_play *play, struct demo_play_picture *picture) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&play->lock);
    uint64_t now_ns = thread_clock() - play->trace.origin;
    if ((int64_t)now_ns < 0)
        now_ns = 0;
    paint(play, now_ns);
    uint64_t last = now_ns / DEMO_PLAY_COLUMN_NS;
    for (uint32_t who = 0; who < play->scenario->count; who++) {
        for (uint32_t i = 0; i < DEMO_PLAY_COLUMNS; i++) {
            uint64_t back = DEMO_PLAY_COLUMNS - 1 - i;
            picture->bars[who][i] = back > last ? ' ' : shade(column_of(play, last - back), who);
        }
        picture->bars[who][DEMO_PLAY_COLUMNS] = '\0';
    }
    ash_spin_unlock(&play->lock);
    ash_port_irq_restore(state);
    picture->at_ns = now_ns;
    for (uint32_t who = 0; who < play->scenario->count; who++) {
        struct thread_info info;
        if (thread_info_from(play->actors[who].id, &info))
            picture->accounts[who] = since(&info.account, &play->before[who]);
    }
}

void demo_play_counts(const struct demo_play *play, uint32_t who, struct workload_counts *counts) {
    workload_periodic_look(&play->actors[who].periodic, counts);
}

/* Playing */

static void show_itself(struct demo_play_actor *actor) {
    struct demo_play *play = actor->play;
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&play->lock);
    play->trace.entities[actor->who] = &thread_current()->entity;
    ash_spin_unlock(&play->lock);
    ash_port_irq_restore(state);
}

static void act(void *context) {
    struct demo_play_actor *actor = context;
    const struct demo_sched_task *task = &actor->play->scenario->tasks[actor->who];
    ash_ns_t first_ns = actor->play->start_ns + task->first_ns;
    show_itself(actor);
    if (task->work_ns == 0) {
        if (thread_sleep_until(first_ns))
            workload_hog(&actor->hog);
        return;
    }
    actor->periodic = (struct workload_periodic){.period_ns = task->period_ns,
                                                 .deadline_ns = task->attributes.deadline_ns,
                                                 .work_ns = task->work_ns,
                                                 .first_ns = first_ns};
    workload_periodic(&actor->periodic);
}

static int start(struct demo_play *play, uint32_t who, struct ash_sched_refusal *refusal) {
    const struct demo_sched_task *task = &play->scenario->tasks[who];
    struct demo_play_actor *actor = &play->actors[who];
    struct thread_options options = {.name = task->name, .attributes = task->attributes};
    options.attributes.affinity = UINT64_C(1) << play->cpu;
    actor->play = play;
    actor->who = who;
    return thread_create(&options, act, actor, &actor->id, refusal);
}

int demo_play_start(struct demo_play *play, const struct demo_sched_scenario *scenario,
                    uint32_t cpu, struct ash_sched_refusal *refusal) {
    int error = 0;
    memset(play, 0, sizeof(*play));
    play->scenario = scenario;
    play->cpu = cpu;
    play->start_ns = platform_now_ns() + AHEAD_NS;
    ash_spin_init(&play->lock);
    sched_trace_init(&play->trace, play->records, DEMO_PLAY_RECORDS,
                     play->start_ns - threads.stood_still_ns);
    threads_observe(cpu, on_decision, play);
    for (uint32_t who = 0; who < scenario->count && error == 0; who++)
        error = start(play, who, refusal);
    if (error != 0)
        demo_play_stop(play);
    return error;
}

void demo_play_stop(struct demo_play *play) {
    threads_observe(play->cpu, NULL, NULL);
    for (uint32_t who = 0; who < play->scenario->count; who++) {
        uint32_t id = play->actors[who].id;
        if (id != 0 && thread_stop(id) == 0)
            ASH_REQUIRE(thread_join(id, UINT64_MAX) == 0, "demo: %s does not end",
                        play->scenario->tasks[who].name);
    }
}
