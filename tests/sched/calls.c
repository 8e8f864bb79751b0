/* SPDX-License-Identifier: MIT */
/* calls.c: what is asked for wrongly, and what is said about it; the small calls. */
#include "sched/stand.h"

static const struct ash_sched_config small = {.entities_max = 4, .period_min_ns = 10};

#define ATTRIBUTES(...) ((struct ash_sched_attributes){__VA_ARGS__})

TEST_CASE(sched_calls, wrong_attributes_are_refused_with_the_reason) {
    const struct {
        struct ash_sched_attributes attributes;
        enum ash_sched_reason reason;
    } wrong[] = {
        {{.flags = 16}, ASH_SCHED_BAD_FLAGS},
        {{.flags = 1u << 31}, ASH_SCHED_BAD_FLAGS},
        {{.flags = ASH_SCHED_SOFT}, ASH_SCHED_BAD_FLAGS},
        {{.flags = ASH_SCHED_RECLAIM | ASH_SCHED_NICE}, ASH_SCHED_BAD_FLAGS},
        {{.flags = ASH_SCHED_IDLEST | ASH_SCHED_NICE}, ASH_SCHED_BAD_FLAGS},
        {{.flags = ASH_SCHED_IDLEST, .runtime_ns = 1, .period_ns = 10}, ASH_SCHED_BAD_FLAGS},
        {{.flags = ASH_SCHED_NICE, .nice = 20}, ASH_SCHED_BAD_NICE},
        {{.flags = ASH_SCHED_NICE, .nice = -21}, ASH_SCHED_BAD_NICE},
        {{.flags = ASH_SCHED_NICE, .nice = INT32_MIN}, ASH_SCHED_BAD_NICE},
        {{.slice_ns = ASH_SCHED_TIME_MAX_NS + 1}, ASH_SCHED_PERIOD_RANGE},
        {{.period_ns = 100}, ASH_SCHED_NO_RUNTIME},
        {{.runtime_ns = 10}, ASH_SCHED_PERIOD_RANGE},
        {{.runtime_ns = 5, .period_ns = 9}, ASH_SCHED_PERIOD_RANGE},
        {{.runtime_ns = 5, .period_ns = ASH_SCHED_TIME_MAX_NS + 1}, ASH_SCHED_PERIOD_RANGE},
        {{.runtime_ns = 5, .period_ns = UINT64_MAX}, ASH_SCHED_PERIOD_RANGE},
        {{.runtime_ns = UINT64_MAX, .period_ns = 100}, ASH_SCHED_RUNTIME_DEADLINE},
        {{.runtime_ns = 101, .period_ns = 100}, ASH_SCHED_RUNTIME_DEADLINE},
        {{.runtime_ns = 51, .deadline_ns = 50, .period_ns = 100}, ASH_SCHED_RUNTIME_DEADLINE},
        {{.runtime_ns = 50, .deadline_ns = 101, .period_ns = 100}, ASH_SCHED_DEADLINE_PERIOD},
        {{.deadline_ns = UINT64_MAX}, ASH_SCHED_PERIOD_RANGE},
        {{.affinity = 2}, ASH_SCHED_BAD_AFFINITY},
        {{.runtime_ns = 51, .period_ns = 100}, ASH_SCHED_OVER_BANDWIDTH},
    };
    struct stand stand;
    stand_begin(&stand, small, 0);
    stand_server(&stand, 50, 100, 100, 0);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(wrong); i++) {
        enum ash_sched_reason reason = stand_refused(&stand, wrong[i].attributes);
        if (reason != wrong[i].reason)
            test_fail(__FILE__, __LINE__, "row %u: %s", i, ash_sched_reason_text(reason));
    }
}

TEST_CASE(sched_calls, as_many_as_configured_are_attached_and_no_more) {
    struct stand stand;
    stand_begin(&stand, small, 0);
    struct ash_sched_entity *entity = stand_attach(&stand, ATTRIBUTES(.flags = ASH_SCHED_NICE));
    for (uint32_t i = 1; i < small.entities_max; i++)
        stand_attach(&stand, ATTRIBUTES(.flags = 0));
    CHECK_EQ(stand_refused(&stand, ATTRIBUTES(.flags = 0)), ASH_SCHED_TOO_MANY);
    CHECK_EQ(ash_sched_detach(stand.sched, entity, 0), 0);
    stand_attach(&stand, ATTRIBUTES(.runtime_ns = 1, .period_ns = 10));
}

/* Each call that is wrong, with the error it must return. */
static void all_wrong(struct stand *stand, struct ash_sched_entity *entity, uint64_t now,
                      int error) {
    struct ash_sched_attributes attributes = {.flags = ASH_SCHED_NICE, .nice = 3};
    struct ash_sched_account account;
    struct stand_copy *copy = test_alloc(sizeof(*copy), 64);
    struct ash_sched_entity before = *entity;
    stand_copy(stand, copy);
    CHECK_EQ(ash_sched_wake(stand->sched, entity, now), error);
    CHECK_EQ(ash_sched_change(stand->sched, entity, &attributes, now, NULL), error);
    CHECK_EQ(ash_sched_detach(stand->sched, entity, now), error);
    CHECK_EQ(ash_sched_get_account(stand->sched, entity, now, &account), error);
    CHECK_EQ(ash_sched_deadline_at(stand->sched, entity, now + 100, now), error);
    CHECK_EQ(ash_sched_deadline_in(stand->sched, entity, 100, now), error);
    stand_is_same(stand, copy);
    CHECK_MEM_EQ(entity, &before, sizeof(before));
}

TEST_CASE(sched_calls, an_unknown_entity_is_refused_and_nothing_has_changed) {
    struct stand stand, other;
    stand_begin(&stand, small, 0);
    stand_begin(&other, small, 0);
    struct ash_sched_entity *unknown = test_alloc(sizeof(*unknown), 64);
    all_wrong(&stand, unknown, 5, -ASH_ENOENT);
    struct ash_sched_entity *elsewhere = stand_server(&other, 1, 10, 10, 0);
    all_wrong(&stand, elsewhere, 5, -ASH_ENOENT);
    struct ash_sched_attributes attributes = {.flags = 0};
    struct ash_sched_refusal refusal;
    CHECK_EQ(ash_sched_attach(stand.sched, elsewhere, &attributes, 5, &refusal), -ASH_EEXIST);
    CHECK_EQ(refusal.reason, ASH_SCHED_ATTACHED);
}

TEST_CASE(sched_calls, time_that_runs_backwards_is_refused_and_nothing_has_changed) {
    static const uint64_t origins[] = {1000, 0, UINT64_MAX, UINT64_C(1) << 63};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(origins); i++) {
        struct stand stand;
        struct ash_sched_decision decision;
        struct stand_copy *copy = test_alloc(sizeof(*copy), 64);
        stand_begin(&stand, small, origins[i]);
        struct ash_sched_entity *a = stand_server(&stand, 5, 10, 10, 0);
        struct ash_sched_entity *b = stand_server(&stand, 2, 10, 10, 0);
        stand_wake(&stand, a);
        CHECK(stand_go(&stand, 3) == a);
        all_wrong(&stand, b, stand.now - 1, -ASH_EINVAL);
        stand_copy(&stand, copy);
        CHECK_EQ(ash_sched_decide(stand.sched, stand.now - 1, &decision), -ASH_EINVAL);
        CHECK_EQ(ash_sched_block(stand.sched, stand.now - 1), -ASH_EINVAL);
        CHECK_EQ(ash_sched_yield(stand.sched, stand.now - 1), -ASH_EINVAL);
        stand_is_same(&stand, copy);
    }
}

TEST_CASE(sched_calls, a_second_wake_and_a_change_while_queued_are_refused) {
    struct stand stand;
    stand_begin(&stand, small, 0);
    struct ash_sched_entity *a = stand_server(&stand, 5, 10, 10, 0);
    struct stand_copy *copy = test_alloc(sizeof(*copy), 64);
    struct ash_sched_attributes more = {.runtime_ns = 6, .period_ns = 10};
    struct ash_sched_attributes fair = {.flags = ASH_SCHED_NICE};
    struct ash_sched_refusal refusal;
    stand_wake(&stand, a);
    stand_copy(&stand, copy);
    CHECK_EQ(ash_sched_wake(stand.sched, a, 1), -ASH_EEXIST);
    CHECK_EQ(ash_sched_change(stand.sched, a, &more, 1, &refusal), -ASH_EAGAIN);
    CHECK_EQ(refusal.reason, ASH_SCHED_QUEUED);
    CHECK_EQ(ash_sched_change(stand.sched, a, &fair, 1, &refusal), -ASH_EAGAIN);
    stand_is_same(&stand, copy);
}

TEST_CASE(sched_calls, nothing_runs_so_nothing_blocks_or_yields) {
    struct stand stand;
    stand_begin(&stand, small, 0);
    CHECK_EQ(ash_sched_block(stand.sched, 0), -ASH_ENOENT);
    CHECK_EQ(ash_sched_yield(stand.sched, 0), -ASH_ENOENT);
    CHECK(stand_go(&stand, 10) == NULL);
    CHECK(!stand.decision.timed);
}

TEST_CASE(sched_calls, wrong_configurations_are_refused) {
    static const uint64_t zero_allotment[] = {5, 0}, long_allotment[] = {1000};
    const struct ash_sched_config wrong[] = {
        {.entities_max = 0},
        {.entities_max = ASH_SCHED_ENTITIES_MAX + 1},
        {.entities_max = 1, .cpu = 64},
        {.entities_max = 1, .flags = 16},
        {.entities_max = 1, .levels = 65},
        {.entities_max = 1, .levels = 2, .allotments_ns = zero_allotment},
        {.entities_max = 1, .boost_ns = 4999999},
        {.entities_max = 1, .levels = 1, .allotments_ns = long_allotment, .boost_ns = 999},
        {.entities_max = 1, .slice_ns = ASH_SCHED_TIME_MAX_NS + 1},
        {.entities_max = 1, .reserve_runtime_ns = 5},
        {.entities_max = 1, .reserve_period_ns = 5},
        {.entities_max = 1, .reserve_runtime_ns = 5, .reserve_period_ns = 5},
        {.entities_max = 1, .bandwidth_one = UINT64_MAX},
        {.entities_max = 1, .interactive_nice = 20},
    };
    struct ash_sched *sched = test_alloc(sizeof(*sched), 64);
    char *storage = test_alloc(4096 + 64, 64);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(wrong); i++) {
        CHECK_EQ(ash_sched_storage_size(&wrong[i]), 0);
        CHECK_EQ(ash_sched_init(sched, &wrong[i], storage, 4096, 0), -ASH_EINVAL);
    }
    size_t bytes = ash_sched_storage_size(&small);
    CHECK(bytes <= 4096);
    CHECK_EQ(ash_sched_init(sched, &small, storage + 8, 4096, 0), -ASH_EINVAL);
    CHECK_EQ(ash_sched_init(sched, &small, storage, bytes - 1, 0), -ASH_ENOMEM);
    CHECK_EQ(ash_sched_init(sched, &small, storage, bytes, 0), 0);
}

TEST_CASE(sched_calls, the_class_follows_from_the_attributes) {
    CHECK_EQ(ash_sched_class_of(&ATTRIBUTES(.runtime_ns = 1, .period_ns = 2), 0),
             ASH_SCHED_REALTIME);
    CHECK_EQ(ash_sched_class_of(&ATTRIBUTES(.deadline_ns = 1), 0), ASH_SCHED_REALTIME);
    CHECK_EQ(ash_sched_class_of(&ATTRIBUTES(.flags = ASH_SCHED_NICE), 0), ASH_SCHED_FAIR);
    CHECK_EQ(ash_sched_class_of(&ATTRIBUTES(.flags = 0), 0), ASH_SCHED_INTERACTIVE);
    CHECK_EQ(ash_sched_class_of(&ATTRIBUTES(.flags = 0), ASH_SCHED_FAIR_FIRST), ASH_SCHED_FAIR);
    CHECK_EQ(ash_sched_class_of(&ATTRIBUTES(.flags = ASH_SCHED_IDLEST), 0), ASH_SCHED_IDLE);
}

TEST_CASE(sched_calls, a_wake_says_whether_decide_has_something_new_to_say) {
    struct stand stand;
    stand_begin(&stand, small, 0);
    struct ash_sched_entity *early = stand_server(&stand, 2, 10, 10, 0);
    struct ash_sched_entity *late = stand_server(&stand, 2, 20, 20, 0);
    struct ash_sched_entity *idle = stand_attach(&stand, ATTRIBUTES(.flags = ASH_SCHED_IDLEST));
    struct ash_sched_entity *fair = stand_attach(&stand, ATTRIBUTES(.flags = ASH_SCHED_NICE));
    CHECK_EQ(ash_sched_wake(stand.sched, idle, 0), ASH_SCHED_PREEMPTS);
    CHECK(stand_go(&stand, 0) == idle);
    CHECK_EQ(ash_sched_wake(stand.sched, fair, 0), ASH_SCHED_PREEMPTS);
    CHECK(stand_go(&stand, 0) == fair);
    CHECK_EQ(ash_sched_wake(stand.sched, early, 0), ASH_SCHED_PREEMPTS);
    CHECK(stand_go(&stand, 0) == early);
    CHECK_EQ(ash_sched_wake(stand.sched, late, 0), 0);
    CHECK(stand_go(&stand, 1) == early);
    CHECK(stand_go(&stand, 1) == late);
    CHECK(stand_go(&stand, 2) == fair);
    stand_block(&stand);
    CHECK(stand_go(&stand, 0) == idle);
    CHECK_EQ(ash_sched_wake(stand.sched, fair, stand.now), ASH_SCHED_PREEMPTS);
}

/* A caller who calls decide for each of these switches at each wake. */
TEST_CASE(sched_calls, a_wake_behind_what_runs_asks_for_nothing) {
    static const uint32_t flags[] = {0, ASH_SCHED_CFS};
    const struct ash_sched_attributes kinds[] = {{.flags = ASH_SCHED_NICE}, {.flags = 0}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(flags) * ASH_ARRAY_LEN(kinds); i++) {
        struct stand stand;
        stand_begin(&stand, (struct ash_sched_config){.flags = flags[i / 2]}, 0);
        struct ash_sched_entity *first = stand_attach(&stand, kinds[i % 2]);
        stand_wake(&stand, first);
        CHECK(stand_go(&stand, 0) == first);
        for (uint32_t behind = 0; behind < 3; behind++) {
            struct ash_sched_entity *next = stand_attach(&stand, kinds[i % 2]);
            bool asks = behind == 0 && i % 2 == 0; /* until when: nobody else was there */
            CHECK_EQ(ash_sched_wake(stand.sched, next, stand.now), asks);
            CHECK(stand_go(&stand, 0) == first);
        }
    }
}

TEST_CASE(sched_calls, a_wake_before_what_runs_asks_for_a_decision) {
    struct stand stand;
    stand_begin(&stand, small, 0);
    struct ash_sched_entity *slow = stand_attach(&stand, ATTRIBUTES(.flags = ASH_SCHED_NICE));
    struct ash_sched_entity *quick =
        stand_attach(&stand, ATTRIBUTES(.flags = ASH_SCHED_NICE, .slice_ns = 1000));
    struct ash_sched_entity *low = stand_attach(&stand, ATTRIBUTES(.flags = 0));
    struct ash_sched_entity *high = stand_attach(&stand, ATTRIBUTES(.flags = 0));
    stand_wake(&stand, slow);
    CHECK(stand_go(&stand, 10000) == slow);
    CHECK_EQ(ash_sched_wake(stand.sched, quick, stand.now), ASH_SCHED_PREEMPTS);
    CHECK(stand_go(&stand, 0) == quick);
    stand_block(&stand);
    CHECK_EQ(ash_sched_detach(stand.sched, slow, stand.now), 0);
    stand_wake(&stand, low);
    CHECK(stand_go(&stand, 6000000) == low); /* on level 1 */
    CHECK_EQ(ash_sched_wake(stand.sched, high, stand.now), ASH_SCHED_PREEMPTS);
    CHECK(stand_go(&stand, 0) == high);
}

TEST_CASE(sched_calls, the_account_is_charged_up_to_the_question) {
    struct stand stand;
    struct ash_sched_account account;
    stand_begin(&stand, small, 0);
    struct ash_sched_entity *a = stand_server(&stand, 50, 100, 100, 0);
    struct ash_sched_entity *b = stand_server(&stand, 10, 200, 200, 0);
    stand_wake(&stand, a);
    stand_wake(&stand, b);
    CHECK(stand_go(&stand, 0) == a);
    CHECK_EQ(ash_sched_get_account(stand.sched, a, 7, &account), 0);
    CHECK_EQ(account.runtime_ns, 7);
    CHECK_EQ(account.releases, 1);
    CHECK_EQ(account.switches, 1);
    CHECK_EQ(ash_sched_get_account(stand.sched, b, 9, &account), 0);
    CHECK_EQ(account.waited_max_ns, 9);
    stand.now = 9;
    CHECK(stand_run(&stand, 55) == b);
    stand_block(&stand);
    CHECK_EQ(ash_sched_get_account(stand.sched, b, 60, &account), 0);
    CHECK_EQ(account.waited_max_ns, 50);
    CHECK_EQ(account.runtime_ns, 5);
    CHECK_EQ(account.completions, 1);
    CHECK_EQ(ash_sched_get_account(stand.sched, a, 60, &account), 0);
    CHECK_EQ(account.throttles, 1);
    CHECK_EQ(account.runtime_ns, 50);
}

TEST_CASE(sched_calls, idle_ones_take_turns_when_nobody_else_wants_to_run) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.entities_max = 4, .slice_ns = 10}, 0);
    struct ash_sched_entity *a = stand_attach(&stand, ATTRIBUTES(.flags = ASH_SCHED_IDLEST));
    struct ash_sched_entity *b = stand_attach(&stand, ATTRIBUTES(.flags = ASH_SCHED_IDLEST));
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 25) == a);
    CHECK(!stand.decision.timed);
    stand_wake(&stand, b);
    stand_go(&stand, 100);
    CHECK_EQ(stand_ran(&stand, a) + stand_ran(&stand, b), 125);
    CHECK_EQ(stand_ran(&stand, b), 50);
}

TEST_CASE(sched_calls, an_event_says_of_each_decision_who_and_why) {
    struct stand stand;
    uint64_t slot, deadline;
    stand_begin(&stand, small, 0);
    struct ash_sched_entity *a = stand_server(&stand, 5, 10, 10, 0);
    CHECK_EQ(test_event_count("sched.admit"), 1);
    stand_wake(&stand, a);
    CHECK_EQ(test_event_last("sched.wake-new", &slot, &deadline), 1);
    CHECK_EQ(slot, ash_sched_slot(a));
    CHECK_EQ(deadline, 10);
    stand_go(&stand, 5);
    CHECK_EQ(test_event_count("sched.throttle"), 1);
    stand_go(&stand, 5);
    CHECK_EQ(test_event_last("sched.replenish", &slot, &deadline), 1);
    CHECK_EQ(deadline, 20);
    stand_block(&stand);
    CHECK_EQ(test_event_count("sched.idle"), 1);
    CHECK_EQ(test_event_count("sched.switch"), 3);
    CHECK_EQ(stand_refused(&stand, ATTRIBUTES(.runtime_ns = 10, .period_ns = 10)),
             ASH_SCHED_OVER_BANDWIDTH);
    CHECK_EQ(test_event_last("sched.refuse", &slot, NULL), 1);
    CHECK_EQ(slot, ASH_SCHED_OVER_BANDWIDTH);
}

TEST_CASE(sched_calls, an_event_counts_who_is_runnable) {
    struct stand stand;
    uint64_t cpu, runnable;
    struct ash_sched_config config = small;
    config.cpu = 3;
    stand_begin(&stand, config, 0);
    struct ash_sched_entity *a = stand_attach(&stand, ATTRIBUTES(.flags = 0));
    struct ash_sched_entity *b = stand_server(&stand, 5, 10, 10, 0);
    uint64_t before = test_event_count("sched.runnable");
    stand_wake(&stand, a);
    stand_wake(&stand, b);
    CHECK_EQ(test_event_last("sched.runnable", &cpu, &runnable), before + 2);
    CHECK_EQ(cpu, 3);
    CHECK_EQ(runnable, 2);
    stand_go(&stand, 1);
    stand_block(&stand);
    CHECK_EQ(test_event_last("sched.runnable", &cpu, &runnable), before + 3);
    CHECK_EQ(runnable, 1);
}

/* The watchdog looks at 1500, where nothing else would have asked for a call. */
TEST_CASE(sched_calls, a_wake_that_the_watchdog_must_see_asks_for_a_call) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.starving_ns = 1000}, 0);
    struct ash_sched_entity *hog =
        stand_attach(&stand, (struct ash_sched_attributes){.flags = ASH_SCHED_NICE});
    struct ash_sched_entity *idle =
        stand_attach(&stand, (struct ash_sched_attributes){.flags = ASH_SCHED_IDLEST});
    stand_wake(&stand, hog);
    stand_go(&stand, 10);
    CHECK(!stand.decision.timed);
    CHECK_EQ(ash_sched_wake(stand.sched, idle, stand.now), ASH_SCHED_PREEMPTS);
}

TEST_CASE(sched_calls, a_watchdog_of_a_nanosecond_asks_for_a_call_in_the_future) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.starving_ns = 1}, 0);
    for (uint32_t i = 0; i < 2; i++)
        stand_wake(&stand,
                   stand_attach(&stand, (struct ash_sched_attributes){.flags = ASH_SCHED_NICE}));
    stand_decide(&stand);
    CHECK_EQ(stand.decision.call_at, 1);
}

TEST_CASE(sched_calls, a_deadline_set_takes_note_of_the_time) {
    struct stand stand;
    struct ash_sched_decision decision;
    stand_begin(&stand, small, 0);
    struct ash_sched_entity *a = stand_server(&stand, 5, 10, 10, 0);
    stand_wake(&stand, a);
    stand_decide(&stand);
    CHECK_EQ(ash_sched_deadline_at(stand.sched, a, 50, 4), 0);
    CHECK_EQ(ash_sched_server_budget(a), 1);
    CHECK_EQ(ash_sched_decide(stand.sched, 3, &decision), -ASH_EINVAL);
}

TEST_CASE(sched_calls, who_comes_again_has_not_been_told_of_as_starving) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.starving_ns = 100}, 0);
    struct ash_sched_attributes idlest = {.flags = ASH_SCHED_IDLEST};
    struct ash_sched_entity *idle = stand_attach(&stand, idlest);
    stand_wake(&stand,
               stand_attach(&stand, (struct ash_sched_attributes){.flags = ASH_SCHED_NICE}));
    for (uint32_t times = 1; times <= 2; times++) {
        stand_wake(&stand, idle);
        stand_go(&stand, 200);
        CHECK_EQ(stand.sched->stats.starvings, times);
        CHECK_EQ(ash_sched_detach(stand.sched, idle, stand.now), 0);
        CHECK_EQ(ash_sched_attach(stand.sched, idle, &idlest, stand.now, NULL), 0);
    }
}
