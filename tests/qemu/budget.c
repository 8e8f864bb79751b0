/* SPDX-License-Identifier: MIT */
/*
 * A case that tells, by the reason of a skip, how much longer than its budget a real-time thread
 * runs; tests/boot/sched.py names it and knows what is allowed.
 */
#include "kernel/demo_play.h"

#include "kernel/threads_fixture.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

/* Of a job that never ends, beside two that would take what it leaves. */
static const struct demo_sched_scenario scenario = {
    .count = 3,
    .tasks = {{.name = "endless",
               .attributes = {.runtime_ns = 300 * US, .period_ns = 2 * MS},
               .work_ns = 3600000 * MS,
               .period_ns = 3600000 * MS},
              {.name = "hog-1", .attributes = {.flags = ASH_SCHED_NICE}},
              {.name = "hog-2", .attributes = {.flags = ASH_SCHED_NICE}}},
};

struct stage {
    struct demo_play play;
    struct demo_play_picture picture;
    int error;
};

static void play(void *context) {
    struct stage *stage = context;
    stage->error = demo_play_start(&stage->play, &scenario, 0, NULL);
    if (stage->error != 0)
        return;
    (void)thread_sleep_until(stage->play.start_ns + 1000 * MS);
    demo_play_picture(&stage->play, &stage->picture);
    demo_play_stop(&stage->play);
}

TEST_CASE(_budget, of_who_never_stops) {
    struct stage *stage = test_alloc(sizeof(*stage), 64);
    test_threads_run(1, play, stage);
    const struct ash_sched_account *account = &stage->picture.accounts[0];
    CHECK_EQ(stage->error, 0);
    CHECK(account->throttles != 0);
    uint64_t budgets = stage->picture.at_ns / scenario.tasks[0].attributes.period_ns + 1;
    CHECK(account->runtime_ns <= budgets * 300 * US + stage->play.trace.overrun_max_ns[0]);
    test_skip("300 us and %llu ns at most, %llu on average, %u times",
              (unsigned long long)stage->play.trace.overrun_max_ns[0],
              (unsigned long long)(account->overrun_ns / account->throttles),
              (unsigned)account->throttles);
}
