/* SPDX-License-Identifier: MIT */
/*
 * Admission against the definition: a set is taken if and only if a simulation of all its jobs, all
 * released at once and as often as can be, by earliest deadline first, misses none.
 */
#include "sched/stand.h"

enum { TASKS = 6 };

struct task {
    uint64_t runtime, deadline, period;
};

struct job {
    uint64_t left, deadline, next;
};

static uint64_t gcd(uint64_t a, uint64_t b) {
    return b == 0 ? a : gcd(b, a % b);
}

static uint64_t lcm(const struct task *tasks, uint32_t count) {
    uint64_t all = 1;
    for (uint32_t i = 0; i < count; i++)
        all = all / gcd(all, tasks[i].period) * tasks[i].period;
    return all;
}

/* Unit by unit, over two rounds of all periods. */
static bool meets_all(const struct task *tasks, uint32_t count) {
    struct job jobs[TASKS] = {{0, 0, 0}};
    uint64_t end = 2 * lcm(tasks, count);
    for (uint64_t now = 0; now <= end; now++) {
        struct job *first = NULL;
        for (uint32_t i = 0; i < count; i++) {
            if (jobs[i].left != 0 && jobs[i].deadline <= now)
                return false;
            if (jobs[i].next == now)
                jobs[i] =
                    (struct job){tasks[i].runtime, now + tasks[i].deadline, now + tasks[i].period};
            if (jobs[i].left != 0 && (first == NULL || jobs[i].deadline < first->deadline))
                first = &jobs[i];
        }
        if (first != NULL)
            first->left--;
    }
    return true;
}

static uint32_t any_set(struct test_random *random, struct task *tasks) {
    static const uint8_t periods[] = {1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 20, 24, 30};
    uint32_t count = 1 + (uint32_t)test_random_below(random, TASKS - 1);
    bool implicit = test_random_chance(random, 30);
    for (uint32_t i = 0; i < count; i++) {
        struct task *task = &tasks[i];
        task->period = periods[test_random_below(random, ASH_ARRAY_LEN(periods))];
        task->deadline = implicit ? task->period : 1 + test_random_below(random, task->period);
        uint64_t most = task->deadline / (test_random_chance(random, 20) ? 1 : count);
        task->runtime = 1 + test_random_below(random, most == 0 ? 1 : most);
    }
    return count;
}

/* What the refusal says about a set that misses must be so. */
static void check_refusal(const struct task *tasks, uint32_t count,
                          const struct ash_sched_refusal *refusal) {
    uint64_t all = lcm(tasks, count), load = 0, due = 0;
    for (uint32_t i = 0; i < count; i++) {
        load += tasks[i].runtime * (all / tasks[i].period);
        if (tasks[i].deadline <= refusal->at_ns)
            due += ((refusal->at_ns - tasks[i].deadline) / tasks[i].period + 1) * tasks[i].runtime;
    }
    if (refusal->reason == ASH_SCHED_OVER_BANDWIDTH) {
        CHECK(load > all);
        CHECK(refusal->bandwidth_ppm * all >= load * 1000000);
        CHECK((refusal->bandwidth_ppm - 2) * all <= load * 1000000);
        return;
    }
    CHECK_EQ(refusal->reason, ASH_SCHED_OVER_DEMAND);
    CHECK_EQ(refusal->demand_ns, due);
    CHECK(due > refusal->at_ns);
}

/* Tasks of a set one after another, in units of `scale`, until one is refused. */
static void try_set(const struct task *tasks, uint32_t count, uint64_t scale) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.entities_max = TASKS}, 0);
    static struct ash_sched_entity entities[TASKS];
    memset(entities, 0, sizeof(entities));
    for (uint32_t i = 0; i < count; i++) {
        struct ash_sched_attributes attributes = {.runtime_ns = tasks[i].runtime * scale,
                                                  .deadline_ns = tasks[i].deadline * scale,
                                                  .period_ns = tasks[i].period * scale};
        struct ash_sched_refusal refusal = {.reason = ASH_SCHED_OK};
        int error = ash_sched_attach(stand.sched, &entities[i], &attributes, 0, &refusal);
        bool fits = meets_all(tasks, i + 1);
        if ((error == 0) != fits)
            test_fail(__FILE__, __LINE__, "task %u of %u: %s, but it %s", i, count,
                      ash_sched_reason_text(refusal.reason), fits ? "fits" : "misses");
        if (error == 0)
            continue;
        CHECK_EQ(error, -ASH_EBUSY);
        refusal.at_ns /= scale;
        refusal.demand_ns /= scale;
        check_refusal(tasks, i + 1, &refusal);
        return;
    }
}

TEST_CASE(sched_admission, takes_a_set_if_and_only_if_its_simulation_meets_all_deadlines) {
    struct test_random random = test_random_from(test_seed());
    for (uint32_t round = 0; round < 400; round++) {
        struct task tasks[TASKS];
        uint32_t count = any_set(&random, tasks);
        try_set(tasks, count, test_random_chance(&random, 50) ? 1 : 1000003);
    }
}

static void server(struct stand *stand, uint64_t runtime, uint64_t deadline, uint64_t period) {
    stand_server(stand, runtime, deadline, period, 0);
}

TEST_CASE(sched_admission, knows_thirds_that_sum_to_one_from_ones_that_exceed_it) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    const uint64_t long_period = ASH_SCHED_TIME_MAX_NS - 1; /* a multiple of 3 */
    CHECK_EQ(long_period % 3, 0);
    server(&stand, 1, 3, 3);
    server(&stand, 1000000007, 3000000021, 3000000021);
    struct ash_sched_attributes third = {.runtime_ns = long_period / 3 + 1,
                                         .period_ns = long_period};
    CHECK_EQ(stand_refused(&stand, third), ASH_SCHED_OVER_BANDWIDTH);
    server(&stand, long_period / 3, long_period, long_period);
    struct ash_sched_attributes least = {.runtime_ns = 1, .period_ns = ASH_SCHED_TIME_MAX_NS};
    CHECK_EQ(stand_refused(&stand, least), ASH_SCHED_OVER_BANDWIDTH);
}

TEST_CASE(sched_admission, may_be_asked_and_nothing_changes) {
    struct stand stand;
    struct stand_copy copy;
    struct ash_sched_refusal refusal;
    struct ash_sched_entity *entity = test_alloc(sizeof(*entity), 64);
    stand_begin(&stand,
                (struct ash_sched_config){.reserve_runtime_ns = 5, .reserve_period_ns = 100}, 7);
    (void)stand_server(&stand, 40, 80, 100, 0);
    for (uint64_t runtime = 0; runtime <= 100; runtime++) {
        const struct ash_sched_attributes attributes = {
            .runtime_ns = runtime, .deadline_ns = 90, .period_ns = 100};
        stand_copy(&stand, &copy);
        int error = ash_sched_may_attach(stand.sched, &attributes, stand.now, &refusal);
        stand_is_same(&stand, &copy);
        enum ash_sched_reason reason = refusal.reason;
        memset(entity, 0, sizeof(*entity));
        CHECK_EQ(ash_sched_attach(stand.sched, entity, &attributes, stand.now, &refusal), error);
        CHECK_EQ(refusal.reason, reason);
        if (error == 0)
            CHECK_EQ(ash_sched_detach(stand.sched, entity, stand.now), 0);
    }
}

TEST_CASE(sched_admission, names_the_interval_with_too_much_in_it) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    server(&stand, 4, 6, 20);
    struct ash_sched_entity entity = {.slot = 0};
    struct ash_sched_attributes attributes = {.runtime_ns = 4, .deadline_ns = 7, .period_ns = 30};
    struct ash_sched_refusal refusal;
    CHECK_EQ(ash_sched_attach(stand.sched, &entity, &attributes, 0, &refusal), -ASH_EBUSY);
    CHECK_EQ(refusal.reason, ASH_SCHED_OVER_DEMAND);
    CHECK_EQ(refusal.at_ns, 7);
    CHECK_EQ(refusal.demand_ns, 8);
}

TEST_CASE(sched_admission, leaves_room_for_what_is_reserved_for_fair) {
    struct stand stand;
    stand_begin(&stand,
                (struct ash_sched_config){.reserve_runtime_ns = 5, .reserve_period_ns = 100}, 0);
    CHECK_EQ(
        stand_refused(&stand, (struct ash_sched_attributes){.runtime_ns = 191, .period_ns = 200}),
        ASH_SCHED_OVER_BANDWIDTH);
    server(&stand, 190, 200, 200);
    /* Due in 5 of which 5 are reserved in each 100: 100 must pass first. */
    CHECK_EQ(
        stand_refused(&stand, (struct ash_sched_attributes){.runtime_ns = 1, .period_ns = 1000000}),
        ASH_SCHED_OVER_BANDWIDTH);
}

TEST_CASE(sched_admission, many_that_fill_the_cpu_to_the_last_nanosecond) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.entities_max = 65}, 0);
    for (uint64_t i = 0; i < 64; i++) /* 1/64 each, of periods that share little */
        server(&stand, 1000003 + 2 * i, 64 * (1000003 + 2 * i), 64 * (1000003 + 2 * i));
    CHECK_EQ(
        stand_refused(&stand, (struct ash_sched_attributes){.runtime_ns = 1,
                                                            .period_ns = ASH_SCHED_TIME_MAX_NS}),
        ASH_SCHED_OVER_BANDWIDTH);
}

TEST_CASE(sched_admission, bandwidth_that_left_counts_until_its_zero_lag_time) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 1000);
    struct ash_sched_entity *a = stand_server(&stand, 60, 100, 100, 0);
    stand_wake(&stand, a);
    stand_go(&stand, 30);
    stand_block(&stand);
    CHECK_EQ(ash_sched_detach(stand.sched, a, stand.now), 0);
    struct ash_sched_attributes half = {.runtime_ns = 50, .period_ns = 100};
    CHECK_EQ(stand_refused(&stand, half), ASH_SCHED_OVER_BANDWIDTH);
    stand_run(&stand, 1000 + 49); /* d = 1100, q = 30: 30 * 100 / 60 before it is 1050 */
    CHECK_EQ(stand_refused(&stand, half), ASH_SCHED_OVER_BANDWIDTH);
    stand_go(&stand, 1);
    stand_attach(&stand, half);
}

TEST_CASE(sched_admission, a_change_passes_it_too_and_begins_with_the_next_period) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 20, 100, 100, 0);
    stand_server(&stand, 50, 100, 100, 0);
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 20) == NULL); /* throttled */
    stand_go(&stand, 0);
    struct ash_sched_attributes more = {.runtime_ns = 51, .period_ns = 100};
    struct ash_sched_refusal refusal;
    CHECK_EQ(ash_sched_change(stand.sched, a, &more, stand.now, &refusal), -ASH_EAGAIN);
    CHECK_EQ(refusal.reason, ASH_SCHED_QUEUED);
    CHECK(stand_run(&stand, 100) == a);
    stand_block(&stand); /* at once: q = 20, d = 200; of no lag from now on */
    CHECK_EQ(ash_sched_change(stand.sched, a, &more, stand.now, &refusal), -ASH_EBUSY);
    CHECK_EQ(refusal.reason, ASH_SCHED_OVER_BANDWIDTH);
    more.runtime_ns = 50;
    CHECK_EQ(ash_sched_change(stand.sched, a, &more, stand.now, &refusal), 0);
    stand_wake(&stand, a);
    stand_go(&stand, 70);
    CHECK_EQ(stand_ran(&stand, a), 20 + 50);
}

/* d = 100 and q = 10 of 20 when it blocks at 10: the old reservation's time is over at 50. */
TEST_CASE(sched_admission, a_change_in_the_middle_of_a_period_waits_for_its_zero_lag_time) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 20, 100, 100, 0);
    struct ash_sched_attributes more = {.runtime_ns = 30, .period_ns = 100};
    struct ash_sched_attributes rest = {.runtime_ns = 71, .period_ns = 100};
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 10) == a);
    stand_block(&stand);
    CHECK_EQ(ash_sched_change(stand.sched, a, &more, 10, NULL), 0);
    CHECK_EQ(stand_refused(&stand, rest), ASH_SCHED_OVER_BANDWIDTH);
    stand_run(&stand, 20);
    stand_wake(&stand, a);
    CHECK(stand_run(&stand, 49) == NULL);
    CHECK(stand_run(&stand, 50) == a);
    CHECK_EQ(ash_sched_server_deadline(a), 150);
    CHECK_EQ(ash_sched_server_budget(a), 30);
}

/* a/p + b/q is 1 - 1/(p q), and then 1 + 1/(p q). */
TEST_CASE(sched_admission, tells_sums_apart_that_differ_from_one_by_two_to_the_minus_80) {
    const uint64_t p = ASH_SCHED_TIME_MAX_NS - 1, q = ASH_SCHED_TIME_MAX_NS - 3;
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    server(&stand, UINT64_C(549755813888), p, p);
    server(&stand, UINT64_C(549755813886), q, q);
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    server(&stand, UINT64_C(549755813887), p, p);
    struct ash_sched_attributes other = {.runtime_ns = UINT64_C(549755813887), .period_ns = q};
    CHECK_EQ(stand_refused(&stand, other), ASH_SCHED_OVER_BANDWIDTH);
}

/* a/p + b/q + c/r is 1 - 1/(p q r), and 1 + 1/(p q r), of the inverses of q r, p r and p q. */
TEST_CASE(sched_admission, tells_sums_apart_that_differ_from_one_by_two_to_the_minus_120) {
    static const uint64_t sums[][6] = {
        {231363106708, 1, 387523185548, 65, 480625335430, 153}, /* Q, and 2^40 - T */
        {134217728, 1, 16911433727, 65, 1082465976193, 129}};
    for (uint32_t i = 0; i < 2; i++) {
        const uint64_t *of = sums[i];
        struct stand stand;
        stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
        for (uint32_t j = 0; j < 4; j += 2)
            server(&stand, of[j], ASH_SCHED_TIME_MAX_NS - of[j + 1],
                   ASH_SCHED_TIME_MAX_NS - of[j + 1]);
        struct ash_sched_attributes last = {.runtime_ns = of[4],
                                            .period_ns = ASH_SCHED_TIME_MAX_NS - of[5]};
        if (i == 0)
            stand_attach(&stand, last);
        else
            CHECK_EQ(stand_refused(&stand, last), ASH_SCHED_OVER_BANDWIDTH);
    }
}

/* 90 of 100 are used up at 90: until 100 that counts, whatever it has been changed to since. */
TEST_CASE(sched_admission, a_second_change_frees_nothing_early) {
    for (uint32_t detached = 0; detached < 2; detached++) {
        struct stand stand;
        stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
        struct ash_sched_entity *a = stand_server(&stand, 90, 100, 100, 0);
        struct ash_sched_attributes less = {.runtime_ns = 1, .period_ns = 100};
        struct ash_sched_attributes other = {.runtime_ns = 4, .period_ns = 5};
        stand_server(&stand, 10, 100, 100, 0);
        stand_wake(&stand, a);
        CHECK(stand_go(&stand, 89) == a);
        stand.now++;
        stand_block(&stand);
        CHECK_EQ(ash_sched_change(stand.sched, a, &less, stand.now, NULL), 0);
        less.period_ns = 1000;
        if (detached)
            CHECK_EQ(ash_sched_detach(stand.sched, a, stand.now), 0);
        else
            CHECK_EQ(ash_sched_change(stand.sched, a, &less, stand.now, NULL), 0);
        CHECK_EQ(stand_refused(&stand, other), ASH_SCHED_OVER_BANDWIDTH);
        stand_run(&stand, 100);
        stand_attach(&stand, other);
    }
}

/* 900 of 1000, of which 400 are left, and 1 of 2: nine tenths until the first is over. */
TEST_CASE(sched_admission, one_that_was_changed_counts_as_the_greater_of_both_and_no_more) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 900, 1000, 1000, 0);
    struct ash_sched_attributes half = {.runtime_ns = 1, .period_ns = 2};
    struct ash_sched_attributes rest = {.runtime_ns = 101, .period_ns = 1000};
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 500) == a);
    stand_block(&stand);
    CHECK_EQ(ash_sched_change(stand.sched, a, &half, stand.now, NULL), 0);
    CHECK_EQ(stand_refused(&stand, rest), ASH_SCHED_OVER_BANDWIDTH);
    rest.runtime_ns = 100;
    stand_attach(&stand, rest);
    stand_go(&stand, 1000);
    rest.runtime_ns = 400;
    stand_attach(&stand, rest);
}

/* In a set that only the demand test takes: 1 of 10 and then 10 of 100 are due as both, not as 10
 * of 10; and 30 of 100 and then 31 of 100 as the latter, not as both. */
TEST_CASE(sched_admission, one_that_was_changed_is_due_as_the_less_that_bounds_it) {
    static const struct ash_sched_attributes pairs[][2] = {
        {{.runtime_ns = 1, .period_ns = 10}, {.runtime_ns = 10, .period_ns = 100}},
        {{.runtime_ns = 30, .period_ns = 100}, {.runtime_ns = 31, .period_ns = 100}}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(pairs); i++) {
        struct stand stand;
        stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
        struct ash_sched_entity *a = stand_attach(&stand, pairs[i][0]);
        stand_server(&stand, 30, 40, 100, 0);
        stand_server(&stand, 30, 80, 200, 0);
        CHECK(stand.sched->tight);
        stand_wake(&stand, a);
        stand_decide(&stand);
        stand.now++;
        stand_block(&stand);
        CHECK_EQ(ash_sched_change(stand.sched, a, &pairs[i][1], stand.now, NULL), 0);
        stand_server(&stand, 1, 100, 100, 0);
        CHECK(stand.sched->tight);
    }
}

/* (a_(i+1) - a_i) of a_i a_(i+1) each, which sum to 1 when the ends are filled in; their least
 * common multiple has ten thousands of bits. */
TEST_CASE(sched_admission, refuses_a_sum_that_is_made_to_take_too_long) {
    enum { CHAIN = 800 };
    const uint64_t first = 1000003, last = first + 2 * CHAIN;
    struct stand stand;
    struct ash_sched_attributes end = {.runtime_ns = first - 1, .period_ns = first};
    stand_begin(&stand, (struct ash_sched_config){.entities_max = CHAIN + 2}, 0);
    struct ash_sched_entity *entities = test_alloc(CHAIN * sizeof(*entities), 64);
    for (uint64_t i = 0; i < CHAIN; i++) {
        uint64_t at = first + 2 * i;
        struct ash_sched_attributes link = {.runtime_ns = 2, .period_ns = at * (at + 2)};
        CHECK_EQ(ash_sched_attach(stand.sched, &entities[i], &link, 0, NULL), 0);
    }
    stand_attach(&stand, end);
    end = (struct ash_sched_attributes){.runtime_ns = 1, .period_ns = last};
    CHECK_EQ(stand_refused(&stand, end), ASH_SCHED_UNDECIDED);
    end.period_ns = last + 1;
    stand_attach(&stand, end);
}

TEST_CASE(sched_admission, many_equal_ones_fill_the_cpu) {
    enum { MANY = 300 };
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.entities_max = MANY + 1}, 0);
    struct ash_sched_attributes part = {.runtime_ns = 1, .period_ns = MANY};
    struct ash_sched_entity *entities = test_alloc(MANY * sizeof(*entities), 64);
    for (uint64_t i = 0; i < MANY; i++, part.period_ns += MANY, part.runtime_ns++)
        CHECK_EQ(ash_sched_attach(stand.sched, &entities[i], &part, 0, NULL), 0);
    CHECK_EQ(
        stand_refused(&stand, (struct ash_sched_attributes){.runtime_ns = 1,
                                                            .period_ns = ASH_SCHED_TIME_MAX_NS}),
        ASH_SCHED_OVER_BANDWIDTH);
}

/* 'b' comes back within 2 of its deadline with 3 of 5 left: in a tight set, it waits. */
TEST_CASE(sched_admission, a_set_is_tight_no_more_when_those_have_left_that_made_it_so) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 3, 3, 10, 0);
    struct ash_sched_entity *b = stand_server(&stand, 5, 10, 20, 0);
    CHECK_EQ(ash_sched_detach(stand.sched, a, 0), 0);
    stand_wake(&stand, b);
    CHECK(stand_go(&stand, 2) == b);
    stand_block(&stand);
    stand_run(&stand, 8);
    stand_wake(&stand, b);
    CHECK(stand_go(&stand, 0) == b);
    CHECK_EQ(ash_sched_server_budget(b), 1);
}

TEST_CASE(sched_admission, a_set_stays_tight_while_what_left_counts) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 3, 3, 10, 0);
    struct ash_sched_entity *b = stand_server(&stand, 5, 10, 20, 0);
    stand_wake(&stand, a);
    stand_run(&stand, 3);
    CHECK_EQ(ash_sched_detach(stand.sched, a, 3), 0); /* until 10 */
    stand_run(&stand, 4);
    stand_wake(&stand, b);
    CHECK(stand_run(&stand, 6) == b);
    stand_block(&stand);
    CHECK(stand_run(&stand, 8) == NULL);
    stand_wake(&stand, b);
    CHECK(stand_run(&stand, 23) == NULL);
    CHECK(stand_run(&stand, 26) == b);
    stand_block(&stand);
    stand_run(&stand, 32);
    stand_wake(&stand, b);
    CHECK(stand_go(&stand, 0) == b);
    CHECK_EQ(ash_sched_server_budget(b), 1);
}

/* Due may be what was released under either rule, until nothing is ready for once. */
TEST_CASE(sched_admission, a_set_stays_tight_until_no_server_is_ready) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 3, 3, 10, 0);
    struct ash_sched_entity *b = stand_server(&stand, 5, 10, 20, 0);
    CHECK(stand_run(&stand, 9) == NULL);
    stand_wake(&stand, b);
    CHECK(stand_run(&stand, 10) == b);
    CHECK_EQ(ash_sched_detach(stand.sched, a, 10), 0);
    struct ash_sched_entity *c = stand_server(&stand, 2, 20, 20, 0);
    stand_wake(&stand, c);
    CHECK(stand_run(&stand, 12) == b);
    stand_block(&stand);
    CHECK(stand_run(&stand, 13) == c);
    stand_wake(&stand, b);
    CHECK(stand_go(&stand, 0) == c);
    stand_block(&stand);
    CHECK(stand_run(&stand, 28) == NULL);
    CHECK(stand_run(&stand, 29) == b);
}
