/* SPDX-License-Identifier: MIT */
/*
 * realtime.c: what is promised to reservations and to those beside them: deadlines of one's own,
 * yield, misses, the reservation for fair, clocks that jump, runtimes that nobody knows.
 */
#include "sched/play.h"

#define S UINT64_C(1000000000)

struct heard {
    struct ash_sched_entity *entity, *starved;
    uint64_t deadline, now, waited_ns;
    uint32_t misses, overruns, starvings;
};

static void missed(void *context, struct ash_sched_entity *entity, uint64_t deadline,
                   uint64_t now) {
    struct heard *heard = context;
    heard->entity = entity;
    heard->deadline = deadline;
    heard->now = now;
    heard->misses++;
}

static void overrun(void *context, struct ash_sched_entity *entity, uint64_t now) {
    struct heard *heard = context;
    heard->entity = entity;
    heard->now = now;
    heard->overruns++;
}

static void starving(void *context, struct ash_sched_entity *entity, uint64_t waited_ns) {
    struct heard *heard = context;
    heard->starved = entity;
    heard->waited_ns = waited_ns;
    heard->starvings++;
}

static struct heard *begin(struct stand *stand, struct ash_sched_config config, uint64_t now) {
    struct heard *heard = test_alloc(sizeof(*heard), 64);
    config.missed = missed;
    config.overrun = overrun;
    config.starving = starving;
    config.context = heard;
    stand_begin(stand, config, now);
    return heard;
}

static struct ash_sched_entity *fair_hog(struct stand *stand) {
    struct ash_sched_entity *entity =
        stand_attach(stand, (struct ash_sched_attributes){.flags = ASH_SCHED_NICE});
    stand_wake(stand, entity);
    return entity;
}

TEST_CASE(sched_realtime, yield_ends_the_job_until_the_next_period) {
    struct stand stand;
    struct ash_sched_account account;
    begin(&stand, (struct ash_sched_config){.cpu = 0}, UINT64_MAX - 5);
    struct ash_sched_entity *a = stand_server(&stand, 5, 10, 10, 0);
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 2) == a);
    CHECK_EQ(ash_sched_yield(stand.sched, stand.now), 0);
    CHECK(stand_go(&stand, 0) == NULL);
    CHECK(stand_go(&stand, 7) == NULL);
    CHECK(stand_go(&stand, 1) == a);
    CHECK_EQ(ash_sched_yield(stand.sched, stand.now), 0); /* at once, with all of its budget */
    CHECK(stand_go(&stand, 0) == NULL);
    CHECK(stand_go(&stand, 10) == a);
    CHECK_EQ(ash_sched_get_account(stand.sched, a, stand.now, &account), 0);
    CHECK_EQ(account.runtime_ns, 2);
    CHECK_EQ(account.releases, 3);
    CHECK_EQ(account.completions, 2);
    CHECK_EQ(account.misses, 0);
}

TEST_CASE(sched_realtime, a_deadline_of_ones_own_is_later_and_puts_others_first) {
    struct stand stand;
    begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 5, 10, 10, 0);
    struct ash_sched_entity *b = stand_server(&stand, 5, 20, 20, 0);
    CHECK_EQ(ash_sched_deadline_in(stand.sched, a, 15, 0), -ASH_EAGAIN); /* no job yet */
    stand_wake(&stand, a);
    stand_wake(&stand, b);
    CHECK(stand_go(&stand, 1) == a);
    CHECK_EQ(ash_sched_deadline_at(stand.sched, a, 9, 1), -ASH_ERANGE);
    CHECK_EQ(ash_sched_deadline_in(stand.sched, a, UINT64_MAX, 1), -ASH_ERANGE);
    CHECK_EQ(ash_sched_deadline_in(stand.sched, a, 18, 1), 0); /* 19: still first */
    CHECK(stand_go(&stand, 0) == a);
    CHECK_EQ(ash_sched_deadline_at(stand.sched, a, 21, 1), 0);
    CHECK(stand_go(&stand, 0) == b);
    CHECK(stand_go(&stand, 4) == b);
    CHECK(stand_go(&stand, 1) == a);
    CHECK(stand_go(&stand, 4) == NULL);
    CHECK_EQ(ash_sched_server_deadline(a), 21);
    /* Its period follows its deadline: 21, and then 10 more. */
    CHECK(stand_run(&stand, 20) == b);
    CHECK(stand_run(&stand, 25) == a);
    CHECK_EQ(ash_sched_server_deadline(a), 31);
}

TEST_CASE(sched_realtime, a_deadline_can_be_set_of_one_that_waits_for_its_budget) {
    struct stand stand;
    begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 5, 10, 10, 0);
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 5) == NULL);
    CHECK_EQ(ash_sched_deadline_at(stand.sched, a, 19, 5), -ASH_ERANGE);
    CHECK_EQ(ash_sched_deadline_at(stand.sched, a, 23, 5), 0);
    CHECK(stand_run(&stand, 12) == NULL);
    CHECK(stand_run(&stand, 13) == a);
    CHECK_EQ(ash_sched_server_deadline(a), 23);
}

TEST_CASE(sched_realtime, a_missed_deadline_is_told_at_once_and_once) {
    struct stand stand;
    struct ash_sched_account account;
    struct heard *heard = begin(&stand, (struct ash_sched_config){.cpu = 0}, 100);
    struct ash_sched_entity *a = stand_server(&stand, 5, 10, 10, ASH_SCHED_SOFT);
    stand_wake(&stand, a);
    CHECK(stand_run(&stand, 110) == a);
    CHECK_EQ(heard->overruns, 2); /* at 105, and at 110 */
    CHECK_EQ(heard->misses, 0);
    stand_run(&stand, 113);
    CHECK_EQ(heard->misses, 1);
    CHECK(heard->entity == a);
    CHECK_EQ(heard->deadline, 110);
    CHECK_EQ(heard->now, 111);
    stand_run(&stand, 117);
    stand_block(&stand);
    CHECK_EQ(heard->misses, 1);
    CHECK_EQ(ash_sched_get_account(stand.sched, a, 117, &account), 0);
    CHECK_EQ(account.misses, 1);
    CHECK_EQ(account.lateness_max_ns, 7);
}

TEST_CASE(sched_realtime, a_job_that_ends_at_its_deadline_does_not_miss_it) {
    struct stand stand;
    struct heard *heard = begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 10, 10, 10, 0);
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 0) == a);
    stand.now = 10;
    stand_block(&stand);
    CHECK_EQ(heard->misses + heard->overruns, 0);
}

TEST_CASE(sched_realtime, a_late_call_is_paid_back_by_who_ran) {
    struct stand stand;
    struct ash_sched_account account;
    struct heard *heard = begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 2, 10, 10, 0);
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 0) == a);
    stand.now = 7; /* 5 late */
    stand_decide(&stand);
    CHECK(stand.decision.run == NULL);
    CHECK_EQ(heard->overruns, 1);
    CHECK_EQ(ash_sched_get_account(stand.sched, a, 7, &account), 0);
    CHECK_EQ(account.overrun_ns, 5);
    /* q = -5: three periods pay for it, whose last has 1 left, due when it ends. */
    CHECK(stand_run(&stand, 10) == a);
    CHECK_EQ(ash_sched_server_budget(a), 1);
    CHECK_EQ(ash_sched_server_deadline(a), 40);
    CHECK(stand_run(&stand, 11) == NULL);
    CHECK(stand_run(&stand, 39) == NULL);
    CHECK(stand_run(&stand, 40) == a);
}

/* Three that always want more, and fair: what each gets in 1600, but for who ran during a jump. */
static void jump_by(uint64_t ahead_ns, uint32_t flags, uint64_t run_before) {
    static const uint64_t shares[] = {400, 200, 400, 16};
    struct ash_sched_entity *entities[4];
    struct stand stand;
    uint64_t ran[4];
    begin(&stand, (struct ash_sched_config){.reserve_runtime_ns = 1, .reserve_period_ns = 100},
          UINT64_MAX - 50);
    entities[0] = stand_server(&stand, 1, 4, 4, flags);
    entities[1] = stand_server(&stand, 2, 8, 16, flags);
    entities[2] = stand_server(&stand, 2, 8, 8, ASH_SCHED_RECLAIM);
    entities[3] = fair_hog(&stand);
    for (uint32_t i = 0; i < 3; i++)
        stand_wake(&stand, entities[i]);
    struct ash_sched_entity *charged = stand_go(&stand, run_before);
    stand.now += ahead_ns;
    stand_decide(&stand);
    stand_go(&stand, 100);
    for (uint32_t i = 0; i < 4; i++)
        ran[i] = stand_ran(&stand, entities[i]);
    stand_go(&stand, 1600);
    for (uint32_t i = 0; i < 4; i++)
        CHECK(entities[i] == charged || stand_ran(&stand, entities[i]) - ran[i] >= shares[i]);
}

TEST_CASE(sched_realtime, a_clock_that_jumps_costs_nobody_but_who_ran) {
    static const uint64_t jumps[] = {10 * S, 3600 * S, UINT64_C(1) << 43, UINT64_C(1) << 50,
                                     UINT64_C(1) << 62};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(jumps); i++) {
        for (uint64_t before = 0; before < 20; before += 3) {
            jump_by(jumps[i], 0, before);
            jump_by(jumps[i], ASH_SCHED_SOFT, before);
        }
    }
}

TEST_CASE(sched_realtime, a_jump_is_paid_for_by_a_second_at_most) {
    struct stand stand;
    begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, S / 100, S / 50, S / 50, 0);
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 0) == a);
    stand.now = 3600 * S;
    stand_decide(&stand);
    CHECK(stand.decision.run == a); /* its period is over: at once, and due when it has paid */
    CHECK(ash_sched_server_deadline(a) - stand.now <= 3 * S);
}

TEST_CASE(sched_realtime, fair_keeps_what_is_reserved_for_it) {
    struct stand stand;
    begin(&stand, (struct ash_sched_config){.reserve_runtime_ns = 5, .reserve_period_ns = 100},
          UINT64_MAX - 12345);
    struct ash_sched_entity *hog = stand_server(&stand, 95, 100, 100, ASH_SCHED_SOFT);
    struct ash_sched_entity *fair = fair_hog(&stand);
    CHECK(stand_go(&stand, 1000) == fair); /* alone, it has all, and uses nothing of it up */
    CHECK_EQ(test_event_count("sched.throttle"), 0);
    stand_wake(&stand, hog);
    for (uint32_t period = 1; period <= 50; period++) {
        uint64_t before = stand_ran(&stand, fair);
        stand_go(&stand, 100);
        CHECK_EQ(stand_ran(&stand, fair) - before, 5);
    }
}

TEST_CASE(sched_realtime, without_a_reservation_fair_has_what_is_left) {
    struct stand stand;
    begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *hog = stand_server(&stand, 100, 100, 100, 0);
    struct ash_sched_entity *fair = fair_hog(&stand);
    stand_wake(&stand, hog);
    CHECK(stand_go(&stand, 10000) == hog);
    CHECK_EQ(stand_ran(&stand, fair), 0);
}

TEST_CASE(sched_realtime, whoever_waits_for_too_long_is_told_of_once_a_wait) {
    struct stand stand;
    struct heard *heard = begin(&stand, (struct ash_sched_config){.starving_ns = 1000}, 0);
    struct ash_sched_entity *hog = stand_server(&stand, 100, 100, 100, 0);
    struct ash_sched_entity *fair = fair_hog(&stand);
    stand_wake(&stand, hog);
    stand_go(&stand, 999);
    CHECK_EQ(heard->starvings, 0);
    stand_go(&stand, 501);
    CHECK_EQ(heard->starvings, 1);
    CHECK(heard->starved == fair);
    CHECK(heard->waited_ns >= 1000 && heard->waited_ns <= 1500);
    stand_go(&stand, 5000);
    CHECK_EQ(heard->starvings, 1);
    CHECK(stand.decision.run == hog);
    stand_block(&stand);
    CHECK(stand_go(&stand, 10) == fair);
    stand_wake(&stand, hog);
    stand_go(&stand, 2000);
    CHECK_EQ(heard->starvings, 2);
}

/* Jobs of `work` every `period`, `count` times; when the last ended after it began. */
static uint64_t jobs(struct stand *stand, struct ash_sched_entity *entity, uint64_t period,
                     uint64_t work, uint32_t count) {
    uint64_t response = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t release = stand->now, done = stand_ran(stand, entity) + work;
        stand_wake(stand, entity);
        while (stand_ran(stand, entity) != done)
            stand_go(stand, 1);
        CHECK(stand->decision.run == entity);
        stand_block(stand);
        response = stand->now - release;
        stand_run(stand, ash_max_u64(stand->now, release + period));
    }
    return response;
}

TEST_CASE(sched_realtime, a_runtime_that_nobody_knows_is_measured) {
    struct stand stand;
    begin(&stand, (struct ash_sched_config){.cpu = 0}, 77);
    struct ash_sched_entity *measured =
        stand_attach(&stand, (struct ash_sched_attributes){.deadline_ns = 100});
    struct ash_sched_entity *hog = stand_server(&stand, 60, 200, 200, ASH_SCHED_SOFT);
    stand_wake(&stand, hog);
    jobs(&stand, measured, 100, 32, 1);
    CHECK_EQ(measured->server.runtime_ns, 37);
    CHECK(jobs(&stand, measured, 100, 32, 5) <= 100);
    CHECK_EQ(measured->server.runtime_ns, 37);
    /* More than admission has left for it: it keeps what it has. */
    jobs(&stand, measured, 300, 65, 2);
    CHECK_EQ(measured->server.runtime_ns, 37);
    /* And less, once it has been so for a while. */
    jobs(&stand, measured, 100, 4, 60);
    CHECK(measured->server.runtime_ns >= 5 && measured->server.runtime_ns <= 16);
    stand_attach(&stand, (struct ash_sched_attributes){.runtime_ns = 50, .period_ns = 100});
}

TEST_CASE(sched_realtime, what_is_measured_is_forgotten_when_it_leaves) {
    struct stand stand;
    begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_attributes attributes = {.deadline_ns = 100};
    struct ash_sched_entity *measured = stand_attach(&stand, attributes);
    jobs(&stand, measured, 100, 32, 1);
    CHECK_EQ(measured->server.runtime_ns, 37);
    CHECK_EQ(ash_sched_detach(stand.sched, measured, stand.now), 0);
    CHECK_EQ(ash_sched_attach(stand.sched, measured, &attributes, stand.now, NULL), 0);
    jobs(&stand, measured, 100, 1, 1);
    CHECK_EQ(measured->server.runtime_ns, 4);
}

TEST_CASE(sched_realtime, a_late_block_or_yield_counts_what_was_run_beyond_the_budget) {
    for (uint32_t yields = 0; yields < 2; yields++) {
        struct stand stand;
        struct ash_sched_account account;
        begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
        struct ash_sched_entity *a = stand_server(&stand, 10, 100, 100, 0);
        stand_wake(&stand, a);
        CHECK(stand_go(&stand, 0) == a);
        stand.now = 40;
        if (yields)
            CHECK_EQ(ash_sched_yield(stand.sched, stand.now), 0);
        else
            stand_block(&stand);
        stand_decide(&stand);
        CHECK_EQ(ash_sched_get_account(stand.sched, a, stand.now, &account), 0);
        CHECK_EQ(account.overrun_ns, 30);
        if (!yields)
            stand_wake(&stand, a);
        stand_run(&stand, 700);
        CHECK_EQ(ash_sched_get_account(stand.sched, a, stand.now, &account), 0);
        CHECK_EQ(account.overrun_ns, 30);
    }
}

/* Its budget is that of the next period, and so is its deadline. */
TEST_CASE(sched_realtime,
          a_job_that_comes_early_has_until_the_end_of_the_period_that_it_waits_for) {
    static const uint64_t sets[][4] = {
        /* D, when it comes back, runs, and is due: between d and the next period */
        {8, 9, 16, 24},
        {16, 5, 16, 32}, /* D = T: before d, and nothing is left */
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sets); i++) {
        for (uint32_t late = 0; late < 2; late++) {
            struct stand stand;
            struct heard *heard = begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
            struct ash_sched_entity *a = stand_server(&stand, 4, sets[i][0], 16, 0);
            stand_wake(&stand, a);
            stand_run(&stand, 3);
            stand.now = 4;
            stand_block(&stand);
            CHECK(stand_run(&stand, sets[i][1]) == NULL);
            stand_wake(&stand, a);
            CHECK(stand_run(&stand, sets[i][2] - 1) == NULL);
            CHECK(stand_run(&stand, sets[i][2] + 3) == a);
            CHECK_EQ(heard->misses, 0);
            stand.now = late ? sets[i][3] + 1 : sets[i][3];
            stand_block(&stand);
            CHECK_EQ(heard->misses, late);
            CHECK(late == 0 || heard->deadline == sets[i][3]);
        }
    }
}

/* Runs for `work` of each period, and gives up the rest, `count` times; somebody reclaims. */
TEST_CASE(sched_realtime, a_runtime_is_measured_of_jobs_that_end_with_a_yield_too) {
    static const struct {
        uint64_t work, least, most;
        uint32_t count;
    } phases[] = {{32, 37, 37, 3}, {40, 46, 46, 2}, {4, 5, 22, 40}};
    for (uint32_t reclaims = 0; reclaims < 2; reclaims++) {
        struct stand stand;
        begin(&stand, (struct ash_sched_config){.cpu = 0}, 77);
        struct ash_sched_entity *measured =
            stand_attach(&stand, (struct ash_sched_attributes){.deadline_ns = 100});
        stand_wake(&stand, stand_server(&stand, 20, 200, 200, reclaims ? ASH_SCHED_RECLAIM : 0));
        stand_wake(&stand, measured);
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(phases); i++) {
            for (uint32_t job = 0; job < phases[i].count; job++) {
                uint64_t done = stand_ran(&stand, measured) + phases[i].work;
                while (stand_ran(&stand, measured) != done)
                    stand_go(&stand, 1);
                CHECK(stand.decision.run == measured);
                CHECK_EQ(ash_sched_yield(stand.sched, stand.now), 0);
                stand_decide(&stand);
                CHECK(stand.decision.run != measured);
            }
            CHECK(measured->server.runtime_ns >= phases[i].least);
            CHECK(measured->server.runtime_ns <= phases[i].most);
        }
    }
}
