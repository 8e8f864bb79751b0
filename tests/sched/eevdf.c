/* SPDX-License-Identifier: MIT */
/* EEVDF: lags, sleepers, renice, yield. */
#include "sched/shares.h"

TEST_CASE(sched_eevdf, the_shorter_request_goes_first) {
    struct stand stand;
    begin(&stand, 0, 0);
    runnable(&stand, 0, 20 * MS);
    runnable(&stand, 0, 20 * MS);
    struct ash_sched_entity *quick = fair(&stand, 0, MS);
    stand_go(&stand, 27 * MS);
    stand_wake(&stand, quick);
    CHECK(stand_go(&stand, 0) == quick);
    CHECK_EQ(stand.decision.call_at - stand.now, MS);
}

/* Blocking and waking at once gains nothing and loses nothing. */
TEST_CASE(sched_eevdf, a_short_sleep_keeps_the_lag) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = runnable(&stand, 0, 0);
    runnable(&stand, -4, 0);
    runnable(&stand, 7, 0);
    uint32_t debts = 0, credits = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        if (stand_go(&stand, 1 + i * 7919 % MS) != a)
            continue;
        stand.now += i * 7919 % (MS / 2);
        stand_ran(&stand, a); /* charges it */
        int64_t before = lag_ns(stand.sched, a);
        stand_block(&stand);
        stand_wake(&stand, a);
        int64_t off = lag_ns(stand.sched, a) - before;
        CHECK(off >= -2 && off <= 2);
        debts += before<-1000, credits += before> 1000;
    }
    CHECK(debts > 100 && credits > 10);
}

TEST_CASE(sched_eevdf, time_pays_debts) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = runnable(&stand, 0, 0), *b = runnable(&stand, 0, 0);
    CHECK(stand_go(&stand, 0) == a);
    stand.now += MS;
    stand_block(&stand); /* it has had a slice, and owes half of it */
    CHECK(stand_go(&stand, MS / 4) == b);
    stand_wake(&stand, a);
    CHECK(lag_ns(stand.sched, a) < 0);
    CHECK(stand_go(&stand, 0) == b);
    CHECK(stand_go(&stand, MS / 2) == b);
    CHECK(stand_go(&stand, MS / 4) == a); /* what it owed to one it pays by waiting for one */
    stand.now += MS;
    stand_block(&stand);
    stand_go(&stand, 10 * MS);
    stand_wake(&stand, a);
    CHECK_EQ(lag_ns(stand.sched, a), 0);
}

/* Who slept for a day is not owed a day: what is kept is what was there when it fell asleep. */
TEST_CASE(sched_eevdf, a_long_sleep_earns_nothing) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = runnable(&stand, 0, 0), *b = runnable(&stand, 0, 0);
    while (stand_go(&stand, MS / 3) != a)
        continue;
    int64_t lag = lag_ns(stand.sched, a);
    block(&stand, a);
    stand_go(&stand, 24 * 3600 * S);
    stand_wake(&stand, a);
    CHECK(lag_ns(stand.sched, a) <= (lag > 0 ? lag : 0));
    uint64_t ran = stand_ran(&stand, b);
    stand_go(&stand, S);
    CHECK(stand_ran(&stand, b) - ran > S / 2 - 2 * MS);
}

/* Long requests of others may have left more than that to it. */
TEST_CASE(sched_eevdf, a_sleeper_is_owed_no_more_than_a_request) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = runnable(&stand, 0, MS / 10), *b = runnable(&stand, 0, 0);
    CHECK(stand_go(&stand, 0) == a);
    CHECK(stand_go(&stand, MS / 10) == b);
    stand.now += 50 * MS;
    CHECK(stand_go(&stand, 0) == a);
    CHECK(lag_ns(stand.sched, a) > (int64_t)(20 * MS));
    block(&stand, a);
    stand_wake(&stand, a);
    CHECK_EQ(lag_ns(stand.sched, a), MS / 10);
}

/* A clock that stood still, or a caller that came late: the debt that is kept has a bound. */
TEST_CASE(sched_eevdf, an_hour_at_a_time_is_owed_as_one_request) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = runnable(&stand, 0, 0), *b = runnable(&stand, 0, 0);
    CHECK(stand_go(&stand, 0) == a);
    stand.now += 3600 * S;
    stand_block(&stand);
    CHECK(stand_go(&stand, 0) == b);
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 2 * MS - 1) == b);
    CHECK(stand_go(&stand, 1) == a);
}

/* 6d71a9c61604 and its revert: V is the same whatever weight anybody gets. */
TEST_CASE(sched_eevdf, renice_moves_nobody_else) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *all[5];
    struct test_random random = test_random_from(test_seed());
    for (uint32_t i = 0; i < 5; i++)
        all[i] = runnable(&stand, (int32_t)i * 9 - 20, 0);
    for (uint32_t i = 0; i < 3000; i++) {
        stand_go(&stand, test_random_below(&random, MS));
        struct ash_sched_entity *one = all[test_random_below(&random, 5)];
        const struct ash_sched_entity *other = all[test_random_below(&random, 5)];
        int64_t before = lag_ns(stand.sched, one), of_other = lag_ns(stand.sched, other);
        change(&stand, one, (int32_t)test_random_below(&random, 40) - 20);
        const char *broken = ash_sched_check(stand.sched);
        CHECK_STR_EQ(broken == NULL ? "" : broken, "");
        int64_t off = lag_ns(stand.sched, one) - before;
        int64_t off_other = lag_ns(stand.sched, other) - of_other;
        CHECK(off >= -200 && off <= 200); /* a unit of virtual time, at nice -20 87 ns */
        CHECK(off_other >= -200 && off_other <= 200);
    }
}

TEST_CASE(sched_eevdf, a_sleeper_can_be_reniced) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = runnable(&stand, 0, 0), *b = runnable(&stand, 0, 0);
    while (stand_go(&stand, MS / 3) != a)
        continue;
    block(&stand, a);
    change(&stand, a, -5);
    change(&stand, b, 5);
    stand_wake(&stand, a);
    uint64_t ran = stand_ran(&stand, a);
    stand_go(&stand, 10 * S);
    uint64_t got = stand_ran(&stand, a) - ran, ideal = 10 * S * 3121 / (3121 + 335);
    CHECK(got + 2 * MS > ideal && got < ideal + 2 * MS);
}

/* fair.c of Linux: v set to the deadline again and again ran away from everybody. */
TEST_CASE(sched_eevdf, yield_gives_up_one_request_and_no_more) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = runnable(&stand, 0, 0), *b = runnable(&stand, 0, 0);
    CHECK(stand_go(&stand, 0) == a);
    for (uint32_t i = 0; i < 100; i++)
        CHECK_EQ(ash_sched_yield(stand.sched, stand.now), 0);
    CHECK(stand_go(&stand, 0) == b);
    CHECK(a->eevdf.vruntime - b->eevdf.vruntime <= 2 * MS);
    CHECK(stand_go(&stand, MS) == a);
    block(&stand, a);
    for (uint32_t i = 0; i < 100; i++) { /* alone, it goes on */
        CHECK_EQ(ash_sched_yield(stand.sched, stand.now), 0);
        CHECK(stand_go(&stand, 1) == b);
    }
}

/* Behind V by 2^51 and more, times 88761/15, is beyond 64 bits. */
TEST_CASE(sched_eevdf, a_sleeper_of_half_a_day_can_be_reniced) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_attributes most = {.flags = ASH_SCHED_NICE, .nice = ASH_SCHED_NICE_MIN};
    struct ash_sched_attributes least = {.flags = ASH_SCHED_NICE, .nice = ASH_SCHED_NICE_MAX};
    struct ash_sched_entity *sleeper = stand_attach(&stand, most);
    struct ash_sched_entity *hog = stand_attach(&stand, least);
    stand_wake(&stand, sleeper);
    stand_wake(&stand, hog);
    stand_decide(&stand);
    CHECK(stand.decision.run == sleeper);
    stand.now += 1000000;
    stand_block(&stand);
    CHECK((int64_t)sleeper->eevdf.vdeadline < 0); /* in debt */
    stand_go(&stand, UINT64_C(30000) * 1000000000);
    CHECK_EQ(ash_sched_change(stand.sched, sleeper, &least, stand.now, NULL), 0);
    stand_wake(&stand, sleeper);
    uint64_t before = stand_ran(&stand, sleeper);
    stand_go(&stand, 60000000);
    CHECK(stand_ran(&stand, sleeper) - before >= 27000000);
}

/* A debt is in virtual time, and that may mean something else when it wakes: the others' weight,
 * its own, and its slice have changed. What it may owe then is a request again. */

static void check_debt(const struct stand *stand, const struct ash_sched_entity *entity,
                       uint64_t request_ns) {
    int64_t lag = lag_ns(stand->sched, entity);
    CHECK(lag < 0 &&
          lag >= -(int64_t)(request_ns + 100)); /* a unit of virtual time, and one of V */
}

/* A call came late: one of nice -20 falls asleep with a debt to one of nice 19 alone. */
static struct ash_sched_entity *debtor(struct stand *stand) {
    begin(stand, 0, 0);
    struct ash_sched_entity *entity = runnable(stand, -20, 0);
    runnable(stand, 19, 0);
    CHECK(stand_go(stand, 0) == entity);
    stand->now += 100 * S;
    stand_block(stand);
    return entity;
}

TEST_CASE(sched_eevdf, a_sleeper_that_is_reniced_owes_no_more_than_a_request) {
    struct stand stand;
    struct ash_sched_entity *entity = debtor(&stand);
    change(&stand, entity, 19);
    runnable(&stand, -20, 0);
    stand_wake(&stand, entity);
    check_debt(&stand, entity, MS);
}

TEST_CASE(sched_eevdf, a_sleeper_owes_no_more_than_a_request_to_those_who_came_meanwhile) {
    struct stand stand;
    struct ash_sched_entity *entity = debtor(&stand);
    for (uint32_t i = 0; i < 20; i++)
        runnable(&stand, -20, 0);
    stand_wake(&stand, entity);
    check_debt(&stand, entity, MS);
}

TEST_CASE(sched_eevdf, a_sleeper_owes_and_is_owed_by_the_slice_that_it_wakes_with) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *all[2];
    for (uint32_t i = 0; i < 2; i++)
        all[i] = runnable(&stand, 0, 1000 * S);
    CHECK(stand_go(&stand, 0) == all[0]);
    CHECK(stand_go(&stand, 1000 * S) == all[1]);
    stand_block(&stand);
    stand_go(&stand, 0);
    stand_block(&stand);
    runnable(&stand, 0, 0);
    struct ash_sched_attributes attributes = {.flags = ASH_SCHED_NICE};
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQ(ash_sched_change(stand.sched, all[i], &attributes, stand.now, NULL), 0);
        stand_wake(&stand, all[i]);
        int64_t lag = lag_ns(stand.sched, all[i]);
        CHECK(lag <= (int64_t)MS && lag >= -(int64_t)MS - 1);
    }
}

/* V, at most 68 units a nanosecond, comes to 2^63 from where a debtor stood in four years: then it
 * looked as if V had still to come there. */
TEST_CASE(sched_eevdf, a_sleeper_of_five_years_runs_within_two_requests) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *entity = runnable(&stand, 19, 0), *hog = runnable(&stand, 19, 0);
    CHECK(stand_go(&stand, 0) == entity);
    stand.now += MS;
    stand_block(&stand);
    for (uint32_t i = 0; i < 140; i++)
        CHECK(stand_go(&stand, UINT64_C(1) << 50) == hog);
    change(&stand, entity, 18);
    stand_wake(&stand, entity);
    stand_go(&stand, 3 * MS);
    CHECK(stand_ran(&stand, entity) >= 2 * MS);
}
