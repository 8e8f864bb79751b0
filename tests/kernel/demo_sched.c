/* SPDX-License-Identifier: MIT */
/* demo_sched.c: the scenarios of kernel/demo_sched.h: on a simulated clock, the same on either
 * architecture, in either world; by threads, as far as they do not hang on times. */
#include "kernel/demo_play.h"

#include <ashlar/error.h>

#include "kernel/threads_fixture.h"

#define MS UINT64_C(1000000)

/* What the second of demo_sched_overrun comes to. A change of what the scheduler does changes it:
 * then the case says what it is now, on both architectures. */
#define TRACE UINT64_C(0x46bdece97e5405dc)

enum { RECORDS = 2048 };

static struct demo_sched_simulation *simulate(const struct demo_sched_scenario *scenario,
                                              enum threads_preset preset,
                                              const struct demo_sched_slowness *slowness,
                                              struct sched_trace *trace) {
    struct demo_sched_simulation *simulation = test_alloc(sizeof(*simulation), 64);
    const struct ash_sched_config config = threads_sched_config(preset, 0);
    sched_trace_init(trace, test_alloc(RECORDS * sizeof(*trace->records), 8), RECORDS, 0);
    demo_sched_simulate(simulation, scenario, &config, slowness, 1000 * MS, trace);
    CHECK(ash_sched_check(&simulation->sched) == NULL);
    return simulation;
}

TEST_CASE(demo_sched, is_one_trace_wherever_it_is_simulated) {
    struct sched_trace trace;
    (void)simulate(&demo_sched_overrun, THREADS_BALANCED, NULL, &trace);
    uint64_t digest = sched_trace_digest(&trace);
    CHECK_EQ(trace.lost, 0);
    if (digest != TRACE)
        test_fail(__FILE__, __LINE__, "the trace is 0x%016llx, and was 0x%016llx",
                  (unsigned long long)digest, (unsigned long long)TRACE);
}

TEST_CASE(demo_sched, control_never_misses_beside_one_that_overruns) {
    struct sched_trace trace;
    const struct demo_sched_simulation *simulation =
        simulate(&demo_sched_overrun, THREADS_BALANCED, NULL, &trace);
    const struct ash_sched_account *control = &simulation->accounts[DEMO_CONTROL];
    const struct ash_sched_account *runaway = &simulation->accounts[DEMO_RUNAWAY];
    CHECK_EQ(control->completions, 100);
    CHECK_EQ(control->misses + control->throttles, 0);
    CHECK_EQ(control->runtime_ns, 150 * MS);
    CHECK_EQ(runaway->misses, runaway->releases);
    CHECK(runaway->misses >= 16);
    CHECK(runaway->throttles >= 60);
    CHECK(runaway->runtime_ns <= 201 * MS);
}

TEST_CASE(demo_sched, no_budget_is_overrun_on_a_simulated_clock) {
    struct sched_trace trace;
    const struct demo_sched_simulation *simulation =
        simulate(&demo_sched_overrun, THREADS_BALANCED, NULL, &trace);
    CHECK_EQ(simulation->accounts[DEMO_RUNAWAY].overrun_ns, 0);
    CHECK_EQ(trace.overrun_max_ns[DEMO_RUNAWAY], 0);
}

TEST_CASE(demo_sched, overruns_as_much_as_timers_are_late_and_no_more) {
    const struct demo_sched_slowness slowness = {.timer_ns = 700};
    struct sched_trace trace;
    (void)simulate(&demo_sched_overrun, THREADS_BALANCED, &slowness, &trace);
    CHECK_EQ(trace.overrun_max_ns[DEMO_RUNAWAY], 700);
}

TEST_CASE(demo_sched, is_one_order_at_any_speed_of_the_machine) {
    struct sched_trace ideal, slow;
    uint64_t apart_ns[SCHED_TRACE_ENTITIES];
    (void)simulate(&demo_sched_overrun, THREADS_BALANCED, NULL, &ideal);
    for (uint32_t i = 0; i < 9; i++) {
        const struct demo_sched_slowness slowness = {.timer_ns = i % 3 * 10000,
                                                     .job_ns = i / 3 * 10000};
        (void)simulate(&demo_sched_overrun, THREADS_BALANCED, &slowness, &slow);
        CHECK_EQ(sched_trace_same(&ideal, &slow, apart_ns), ideal.count);
        CHECK_EQ(slow.count, ideal.count);
        CHECK_EQ(apart_ns[DEMO_CONTROL] == 0, i == 0);
        CHECK_EQ(apart_ns[DEMO_NICE_HOG] == 0, i == 0);
    }
}

TEST_CASE(demo_sched, presets_trade_a_late_answer_for_fewer_switches) {
    struct sched_trace trace;
    struct {
        uint64_t switches;
        ash_ns_t delay_max_ns;
    } of[3];
    for (uint32_t preset = 0; preset < 3; preset++) {
        const struct demo_sched_simulation *simulation =
            simulate(&demo_sched_answer, (enum threads_preset)preset, NULL, &trace);
        CHECK_EQ(simulation->delays[DEMO_ANSWERS].count, 32);
        of[preset].switches = simulation->stats.switches;
        of[preset].delay_max_ns = simulation->delays[DEMO_ANSWERS].max_ns;
    }
    CHECK(of[THREADS_LATENCY].delay_max_ns <= 2 * MS);
    CHECK(of[THREADS_BALANCED].delay_max_ns >= 2 * of[THREADS_LATENCY].delay_max_ns);
    CHECK(of[THREADS_THROUGHPUT].delay_max_ns >= 2 * of[THREADS_BALANCED].delay_max_ns);
    CHECK(of[THREADS_BALANCED].switches >= 2 * of[THREADS_THROUGHPUT].switches);
    CHECK(of[THREADS_LATENCY].switches >= 2 * of[THREADS_BALANCED].switches);
}

/* The list itself */

TEST_CASE(demo_trace, a_full_list_stays_as_it_is_and_counts_the_rest) {
    struct demo_sched_simulation *simulation = test_alloc(sizeof(*simulation), 64);
    const struct ash_sched_config config = threads_sched_config(THREADS_BALANCED, 0);
    struct sched_trace_record records[10];
    struct sched_trace few, whole;
    uint64_t apart_ns[SCHED_TRACE_ENTITIES];
    sched_trace_init(&few, records, ASH_ARRAY_LEN(records), 0);
    demo_sched_simulate(simulation, &demo_sched_overrun, &config, NULL, 100 * MS, &few);
    sched_trace_init(&whole, test_alloc(RECORDS * sizeof(*whole.records), 8), RECORDS, 0);
    demo_sched_simulate(simulation, &demo_sched_overrun, &config, NULL, 100 * MS, &whole);
    CHECK_EQ(few.count, 10);
    CHECK_EQ(few.count + few.lost, whole.count);
    CHECK_EQ(sched_trace_same(&few, &whole, apart_ns), 10);
    CHECK_EQ(apart_ns[DEMO_CONTROL], 0);
    CHECK(sched_trace_digest(&few) != sched_trace_digest(&whole));
}

TEST_CASE(demo_trace, nothing_is_noted_before_the_origin) {
    struct demo_sched_simulation *simulation = test_alloc(sizeof(*simulation), 64);
    const struct ash_sched_config config = threads_sched_config(THREADS_BALANCED, 0);
    struct sched_trace_record records[100];
    struct sched_trace late, whole;
    sched_trace_init(&late, records, ASH_ARRAY_LEN(records), 50 * MS);
    demo_sched_simulate(simulation, &demo_sched_overrun, &config, NULL, 100 * MS, &late);
    sched_trace_init(&whole, test_alloc(RECORDS * sizeof(*whole.records), 8), RECORDS, 0);
    demo_sched_simulate(simulation, &demo_sched_overrun, &config, NULL, 100 * MS, &whole);
    CHECK(late.count < whole.count && late.count > 10);
    for (uint32_t i = 1; i <= late.count; i++) {
        CHECK_EQ(late.records[late.count - i].time_ns + 50 * MS,
                 whole.records[whole.count - i].time_ns);
        CHECK_EQ(late.records[late.count - i].who, whole.records[whole.count - i].who);
    }
}

TEST_CASE(demo_trace, the_first_that_differs_ends_what_is_the_same) {
    struct sched_trace_record one[3] = {{5, 0, SCHED_TRACE_RELEASE}, {5, 0, SCHED_TRACE_RUN}};
    struct sched_trace_record other[3] = {{9, 0, SCHED_TRACE_RELEASE}, {6, 0, SCHED_TRACE_RUN}};
    struct sched_trace a, b;
    uint64_t apart_ns[SCHED_TRACE_ENTITIES];
    sched_trace_init(&a, one, 3, 0);
    sched_trace_init(&b, other, 3, 0);
    a.count = b.count = 2;
    CHECK_EQ(sched_trace_same(&a, &b, apart_ns), 2);
    CHECK_EQ(apart_ns[0], 4);
    CHECK_EQ(apart_ns[1], 0);
    other[1].who = 1;
    CHECK_EQ(sched_trace_same(&a, &b, apart_ns), 1);
    other[1] = (struct sched_trace_record){6, 0, SCHED_TRACE_MISS};
    CHECK_EQ(sched_trace_same(&b, &a, apart_ns), 1);
    b.count = 1;
    CHECK_EQ(sched_trace_same(&a, &b, apart_ns), 1);
}

/* Threads */

struct stage {
    struct demo_play play;
    struct demo_play_picture early, late;
    struct ash_sched_refusal refusal;
    uint32_t left; /* threads, when it has ended */
    int error;
};

static uint32_t threads_now(void) {
    struct thread_info info;
    uint32_t count = 0;
    for (uint32_t id = 1; thread_info_from(id, &info); id = info.id + 1)
        count++;
    return count;
}

static void play(void *context) {
    struct stage *stage = context;
    uint32_t before = threads_now();
    stage->error = demo_play_start(&stage->play, &demo_sched_overrun, 0, &stage->refusal);
    if (stage->error != 0)
        return;
    demo_play_picture(&stage->play, &stage->early);
    (void)thread_sleep_until(stage->play.start_ns + 60 * MS);
    demo_play_picture(&stage->play, &stage->late);
    demo_play_stop(&stage->play);
    stage->left = threads_now() - before;
}

TEST_CASE(demo_play, is_seen_and_leaves_nothing_behind) {
    struct stage *stage = test_alloc(sizeof(*stage), 64);
    test_threads_run(1, play, stage);
    CHECK_EQ(stage->error, 0);
    CHECK_EQ(stage->left, 0);
    CHECK(stage->late.at_ns >= 60 * MS);
    CHECK(stage->late.accounts[DEMO_CONTROL].runtime_ns >= 1500000);
    CHECK(stage->late.accounts[DEMO_CONTROL].completions >= 1);
    CHECK(stage->play.trace.count >= 5);
    for (uint32_t who = 0; who < demo_sched_overrun.count; who++) {
        CHECK_EQ(strlen(stage->late.bars[who]), DEMO_PLAY_COLUMNS);
        if (stage->early.at_ns == 0)
            CHECK_EQ(strspn(stage->early.bars[who], " "), DEMO_PLAY_COLUMNS);
    }
    CHECK(strspn(stage->late.bars[DEMO_CONTROL], " ") < DEMO_PLAY_COLUMNS);
    if (stage->late.at_ns <= (uint64_t)(DEMO_PLAY_COLUMNS - 1) * DEMO_PLAY_COLUMN_NS)
        CHECK_EQ(stage->late.bars[DEMO_CONTROL][0], ' '); /* it had not begun */
}

static void sleep_until_stopped(void *context) {
    (void)context;
    (void)thread_sleep_until(UINT64_MAX);
}

/* So much is taken already that control finds room, and runaway does not. */
static void play_without_room(void *context) {
    struct stage *stage = context;
    const struct thread_options options = {
        .name = "taken", .attributes = {.runtime_ns = 3 * MS, .period_ns = 10 * MS}};
    uint32_t id, before = threads_now();
    bool good = thread_create(&options, sleep_until_stopped, NULL, &id, NULL) == 0;
    stage->error = demo_play_start(&stage->play, &demo_sched_overrun, 0, &stage->refusal);
    good = good && threads_now() == before + 1;
    good = good && thread_stop(id) == 0 && thread_join(id, UINT64_MAX) == 0;
    stage->left = good ? 0 : 1;
}

TEST_CASE(demo_play, without_room_leaves_nothing_behind) {
    struct stage *stage = test_alloc(sizeof(*stage), 64);
    test_threads_run(1, play_without_room, stage);
    CHECK_EQ(stage->error, -ASH_EBUSY);
    CHECK_EQ(stage->refusal.reason, ASH_SCHED_OVER_BANDWIDTH);
    CHECK_EQ(stage->left, 0);
}
