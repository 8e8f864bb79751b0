/* SPDX-License-Identifier: MIT */
/* The fair class: shares, lags, sleepers, renice; EEVDF and, where it is the same, CFS. */
#include "sched_internal.h"

#include "sched/stand.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

__extension__ typedef __int128 i128;
__extension__ typedef unsigned __int128 u128;

static const uint32_t classes[] = {0, ASH_SCHED_CFS}; /* config flags */

static struct ash_sched_entity *fair(struct stand *stand, int32_t nice, uint64_t slice_ns) {
    return stand_attach(stand, (struct ash_sched_attributes){
                                   .flags = ASH_SCHED_NICE, .nice = nice, .slice_ns = slice_ns});
}

static struct ash_sched_entity *runnable(struct stand *stand, int32_t nice, uint64_t slice_ns) {
    struct ash_sched_entity *entity = fair(stand, nice, slice_ns);
    stand_wake(stand, entity);
    return entity;
}

static void begin(struct stand *stand, uint32_t flags, uint64_t now) {
    stand_begin(stand, (struct ash_sched_config){.flags = flags, .slice_ns = MS}, now);
}

/* The one that runs blocks; the next is decided on. */
static void block(struct stand *stand, const struct ash_sched_entity *entity) {
    CHECK(stand->decision.run == entity);
    stand_block(stand);
    stand_go(stand, 0);
}

static void change(struct stand *stand, struct ash_sched_entity *entity, int32_t nice) {
    struct ash_sched_attributes attributes = entity->attributes;
    attributes.nice = nice;
    CHECK_EQ(ash_sched_change(stand->sched, entity, &attributes, stand->now, NULL), 0);
}

/* W (V - v), V's distance from zero times W. */
static i128 distance(const struct ash_sched *sched, const struct ash_sched_entity *entity) {
    const struct ash_sched_eevdf *class = &sched->eevdf;
    return class->sum -
           (i128)(int64_t)(entity->eevdf.vruntime - class->zero) * (int64_t) class->weight;
}

/* The lag of a runnable one in ns, rounded towards 0. */
static int64_t lag_ns(const struct ash_sched *sched, const struct ash_sched_entity *entity) {
    i128 sum = distance(sched, entity);
    u128 size = sum < 0 ? -(u128)sum : (u128)sum;
    uint64_t each = ash_div_128_by_64((uint64_t)(size >> 64), (uint64_t)size, sched->eevdf.weight);
    int64_t lag = (int64_t)((u128)each * entity->eevdf.weight >> 10);
    return sum < 0 ? -lag : lag;
}

TEST_CASE(sched_fair, a_nice_step_is_a_quarter) {
    CHECK_EQ(ash__sched_weight(0), 1024);
    CHECK_EQ(ash__sched_weight(-20), 88761);
    CHECK_EQ(ash__sched_weight(19), 15);
    for (int32_t nice = -20; nice < 19; nice++) {
        uint32_t above = ash__sched_weight(nice), below = ash__sched_weight(nice + 1);
        CHECK(above * 100 > below * 115 && above * 100 < below * 137);
    }
}

/* A table of weights is not yet a share by weight: with a least vruntime that was the greatest,
 * each pair had a half. */
static void check_pair(uint32_t flags, int32_t nice_a, int32_t nice_b) {
    struct stand stand;
    stand_begin(&stand,
                (struct ash_sched_config){.flags = flags, .entities_max = 2, .slice_ns = MS}, 0);
    struct ash_sched_entity *a = runnable(&stand, nice_a, 0), *b = runnable(&stand, nice_b, 0);
    uint64_t weight = ash__sched_weight(nice_a);
    uint64_t all = weight + ash__sched_weight(nice_b);
    struct ash_sched_decision decision;
    for (uint32_t i = 0; i < 100; i++) {
        CHECK_EQ(ash_sched_decide(stand.sched, stand.now, &decision), 0);
        CHECK_EQ(a->runtime_ns + b->runtime_ns, stand.now);
        int64_t ahead = (int64_t)(a->runtime_ns * all - stand.now * weight);
        CHECK(ahead <= (int64_t)(MS * all) && -ahead <= (int64_t)(MS * all));
        CHECK(decision.timed && decision.call_at - stand.now <= MS);
        stand.now = decision.call_at;
    }
}

TEST_CASE(sched_fair, each_pair_of_nice_shares_within_a_slice) {
    for (int32_t a = -20; a <= 19; a++) {
        for (int32_t b = -20; b <= 19; b++)
            check_pair(classes[(a + b) & 1], a, b);
    }
}

TEST_CASE(sched_fair, shares_are_exact_in_the_long_run) {
    static const int32_t nices[] = {0, 5, 10, -3};
    for (size_t which = 0; which < ASH_ARRAY_LEN(classes); which++) {
        struct stand stand;
        begin(&stand, classes[which], 0);
        struct ash_sched_entity *all[ASH_ARRAY_LEN(nices)];
        uint64_t weight = 0;
        for (size_t i = 0; i < ASH_ARRAY_LEN(nices); i++) {
            all[i] = runnable(&stand, nices[i], 0);
            weight += ash__sched_weight(nices[i]);
        }
        stand_run(&stand, 10 * S);
        for (size_t i = 0; i < ASH_ARRAY_LEN(nices); i++) {
            uint64_t ideal = 10 * S * ash__sched_weight(nices[i]) / weight;
            int64_t off = (int64_t)(stand_ran(&stand, all[i]) - ideal);
            CHECK(off < (int64_t)(2 * MS) && off > -(int64_t)(2 * MS));
        }
    }
}

/* The first client of the paper's kind: three alike, a request each in turn. */
TEST_CASE(sched_fair, equals_take_turns_in_the_order_in_which_they_came) {
    for (size_t which = 0; which < ASH_ARRAY_LEN(classes); which++) {
        struct stand stand;
        begin(&stand, classes[which], UINT64_MAX - 5 * MS);
        struct ash_sched_entity *three[3];
        for (uint32_t i = 0; i < 3; i++)
            three[i] = runnable(&stand, 0, 0);
        for (uint32_t i = 0; i < 12; i++)
            CHECK(stand_go(&stand, i == 0 ? 0 : MS) == three[i % 3]);
    }
}

/* A rest that is dropped at each charge made one of nice -20 run for free in steps below 87 ns. */
TEST_CASE(sched_fair, short_runs_add_up) {
    for (size_t which = 0; which < ASH_ARRAY_LEN(classes); which++) {
        struct stand stand;
        begin(&stand, classes[which], 0);
        struct ash_sched_entity *a = runnable(&stand, -20, 0), *b = runnable(&stand, -20, 0);
        stand_go(&stand, 0);
        for (uint32_t i = 0; i < 20000; i++) {
            stand.now += 1 + i % 7;
            CHECK_EQ(ash_sched_decide(stand.sched, stand.now, &stand.decision), 0);
        }
        uint64_t half = stand.now / 2, ran = stand_ran(&stand, a);
        CHECK(ran + MS > half && ran < half + MS);
        const struct ash_sched_entity *both[] = {a, b};
        for (uint32_t i = 0; i < 2; i++) {
            const struct ash_sched_entity *one = both[i];
            uint64_t v = which == 0 ? one->eevdf.vruntime : one->cfs.vruntime;
            CHECK_EQ(v, one->runtime_ns * 1024 / 88761);
        }
    }
}

/* Asterinas #1192, MentOS #145: one that began at 0 had the CPU for itself until it had caught up.
 */
TEST_CASE(sched_fair, a_newcomer_shares_from_now_on) {
    for (size_t which = 0; which < ASH_ARRAY_LEN(classes); which++) {
        struct stand stand;
        begin(&stand, classes[which], 0);
        struct ash_sched_entity *old = runnable(&stand, 0, 0), *older = runnable(&stand, 3, 0);
        stand_run(&stand, 100 * S);
        struct ash_sched_entity *fresh = runnable(&stand, 0, 0);
        if (which == 1)
            CHECK_EQ(fresh->cfs.vruntime, stand.sched->cfs.min_vruntime);
        uint64_t ran = stand_ran(&stand, old), less = stand_ran(&stand, older);
        stand_go(&stand, S);
        uint64_t got = stand_ran(&stand, old) - ran, expected = S * 1024 / (2048 + 526);
        CHECK(got > expected - 3 * MS && got < expected + 3 * MS);
        CHECK(stand_ran(&stand, fresh) > expected - 3 * MS);
        CHECK(stand_ran(&stand, older) > less);
    }
}

TEST_CASE(sched_fair, alone_it_needs_no_call) {
    for (size_t which = 0; which < ASH_ARRAY_LEN(classes); which++) {
        struct stand stand;
        begin(&stand, classes[which], 0);
        struct ash_sched_entity *one = runnable(&stand, 0, 0);
        CHECK(stand_go(&stand, 0) == one && !stand.decision.timed);
        stand_go(&stand, 3600 * S);
        struct ash_sched_entity *two = runnable(&stand, 0, 0);
        stand_go(&stand, S);
        CHECK(stand.decision.timed);
        uint64_t half = S / 2, ran = stand_ran(&stand, two);
        CHECK(ran + 2 * MS > half && ran < half + 2 * MS);
    }
}

/* EEVDF */

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

/* Against a search through everybody. */

enum { CROWD = 24 };

struct crowd {
    struct stand stand;
    struct test_random random;
    struct ash_sched_entity *all[CROWD];
    uint64_t work[CROWD]; /* since v was set: ns * 1024, with the rest from before */
    uint64_t from[CROWD]; /* v then */
};

static void note(struct crowd *crowd, uint32_t i) {
    crowd->from[i] = crowd->all[i]->eevdf.vruntime;
    crowd->work[i] = crowd->all[i]->eevdf.rest;
}

static uint32_t index_of(const struct crowd *crowd, const struct ash_sched_entity *entity) {
    uint32_t i = 0;
    while (crowd->all[i] != entity)
        i++;
    return i;
}

/* Of those with lag the one that runs has the earliest deadline; every v is what its own work
 * makes it; and |lag| is at most the largest request and what a call came late. */
static void check_decision(struct crowd *crowd, uint64_t late_ns) {
    const struct ash_sched *sched = crowd->stand.sched;
    const struct ash_sched_entity *run = crowd->stand.decision.run;
    uint32_t count = 0;
    for (uint32_t i = 0; i < CROWD; i++) {
        const struct ash_sched_entity *entity = crowd->all[i];
        const struct ash_sched_eevdf_entity *own = &entity->eevdf;
        if (entity->state != ASH_SCHED_READY)
            continue;
        count++;
        CHECK_EQ(own->vruntime, crowd->from[i] + crowd->work[i] / own->weight);
        CHECK_EQ(own->rest, crowd->work[i] % own->weight);
        if (distance(sched, entity) >= 0)
            CHECK(!ash__sched_before(own->vdeadline, run->eevdf.vdeadline));
        if (late_ns != UINT64_MAX)
            CHECK(lag_ns(sched, entity) <= (int64_t)(9 * MS + late_ns));
    }
    CHECK_EQ(run != NULL, count != 0);
    CHECK(run == NULL || distance(sched, run) >= 0);
}

static void crowd_charge(struct crowd *crowd, uint64_t ran_ns) {
    if (crowd->stand.decision.run != NULL)
        crowd->work[index_of(crowd, crowd->stand.decision.run)] += ran_ns * 1024;
    crowd->stand.now += ran_ns;
}

static void crowd_step(struct crowd *crowd) {
    struct stand *stand = &crowd->stand;
    uint64_t what = test_random_below(&crowd->random, 10), ran_ns = MS;
    if (what < 4 && stand->decision.timed)
        ran_ns = stand->decision.call_at - stand->now;
    else if (what < 9)
        ran_ns = test_random_below(&crowd->random, MS);
    else
        ran_ns = test_random_below(&crowd->random, 20 * MS);
    crowd_charge(crowd, ran_ns);
    uint32_t one = (uint32_t)test_random_below(&crowd->random, CROWD);
    switch (test_random_below(&crowd->random, 8)) {
    case 0:
        if (stand->decision.run != NULL)
            CHECK_EQ(ash_sched_block(stand->sched, stand->now), 0);
        break;
    case 1:
    case 2:
        if (crowd->all[one]->state == ASH_SCHED_BLOCKED) {
            bool owes = (int64_t)crowd->all[one]->eevdf.vdeadline < 0;
            CHECK(ash_sched_wake(stand->sched, crowd->all[one], stand->now) >= 0);
            note(crowd, one);
            if (!owes) /* V is rounded down: who has lag, or comes new, is eligible */
                CHECK(distance(stand->sched, crowd->all[one]) >= 0);
        }
        break;
    case 3:
        change(stand, crowd->all[one], (int32_t)test_random_below(&crowd->random, 40) - 20);
        note(crowd, one);
        break;
    case 4:
        if (stand->decision.run != NULL) {
            CHECK_EQ(ash_sched_yield(stand->sched, stand->now), 0);
            note(crowd, index_of(crowd, stand->decision.run));
        }
        break;
    default:
        break;
    }
    CHECK_EQ(ash_sched_decide(stand->sched, stand->now, &stand->decision), 0);
    check_decision(crowd, UINT64_MAX);
}

TEST_CASE(sched_eevdf, decides_as_a_search_through_all_does) {
    static const uint64_t starts[] = {0, UINT64_MAX - 50 * MS};
    for (uint32_t run = 0; run < 12; run++) {
        struct crowd *crowd = test_alloc(sizeof(*crowd), 8);
        crowd->random = test_random_from(test_seed() + run);
        begin(&crowd->stand, 0, starts[run % 2]);
        crowd->stand.sched->eevdf.zero = starts[run / 2 % 2]; /* virtual time wraps, too */
        for (uint32_t i = 0; i < CROWD; i++) {
            uint64_t slice_ns = test_random_below(&crowd->random, 8 * MS) + 1000;
            crowd->all[i] =
                fair(&crowd->stand, (int32_t)test_random_below(&crowd->random, 40) - 20, slice_ns);
        }
        for (uint32_t step = 0; step < 2000; step++) {
            crowd_step(crowd);
            const char *broken = step % 8 == 0 ? ash_sched_check(crowd->stand.sched) : NULL;
            CHECK_STR_EQ(broken == NULL ? "" : broken, "");
        }
    }
}

/* Stoica and Abdel-Wahab, theorem 1: who is there all the time and is called for in time. */
TEST_CASE(sched_eevdf, nobody_is_owed_more_than_the_largest_request) {
    for (uint32_t run = 0; run < 6; run++) {
        struct crowd *crowd = test_alloc(sizeof(*crowd), 8);
        crowd->random = test_random_from(test_seed() + run);
        begin(&crowd->stand, 0, 0);
        for (uint32_t i = 0; i < CROWD; i++) {
            uint64_t slice_ns = test_random_below(&crowd->random, 8 * MS) + MS;
            int32_t nice = (int32_t)test_random_below(&crowd->random, 40) - 20;
            crowd->all[i] = runnable(&crowd->stand, nice, slice_ns);
            note(crowd, i);
        }
        CHECK_EQ(ash_sched_decide(crowd->stand.sched, 0, &crowd->stand.decision), 0);
        for (uint32_t step = 0; step < 3000; step++) {
            struct stand *stand = &crowd->stand;
            crowd_charge(crowd, stand->decision.call_at - stand->now);
            CHECK_EQ(ash_sched_decide(stand->sched, stand->now, &stand->decision), 0);
            check_decision(crowd, 0);
        }
    }
}

/* CFS */

/* min_vruntime once was the greatest of those that had run: all who came were put there. */
TEST_CASE(sched_cfs, the_least_vruntime_never_goes_back) {
    struct stand stand;
    begin(&stand, ASH_SCHED_CFS, UINT64_MAX - 100 * MS);
    struct ash_sched_entity *a = runnable(&stand, 0, 0), *b = runnable(&stand, -7, 0);
    uint64_t least = stand.sched->cfs.min_vruntime;
    for (uint32_t i = 0; i < 400; i++) {
        stand_go(&stand, MS / 2);
        if (i % 5 == 0 && a->state == ASH_SCHED_READY && stand.decision.run == a)
            block(&stand, a);
        else if (i % 40 == 39 && a->state == ASH_SCHED_BLOCKED)
            stand_wake(&stand, a);
        stand_go(&stand, 0);
        CHECK(!ash__sched_before(stand.sched->cfs.min_vruntime, least));
        least = stand.sched->cfs.min_vruntime;
        CHECK(b->cfs.vruntime - least < MS);
    }
}

/* scx_bpfland #2968: credit for sleeping must have a bound. */
TEST_CASE(sched_cfs, a_sleeper_is_before_the_others_by_half_a_slice) {
    struct stand stand;
    begin(&stand, ASH_SCHED_CFS, 0);
    struct ash_sched_entity *a = runnable(&stand, 0, 0), *b = runnable(&stand, 0, 0);
    CHECK(stand_go(&stand, 0) == a);
    block(&stand, a);
    stand_go(&stand, 1000 * S);
    stand_wake(&stand, a);
    CHECK_EQ(b->cfs.vruntime - a->cfs.vruntime, MS / 2);
    CHECK(stand_go(&stand, 0) == a);
    CHECK(stand_go(&stand, MS) == b);
}

TEST_CASE(sched_cfs, yield_lets_the_next_one_go) {
    struct stand stand;
    begin(&stand, ASH_SCHED_CFS, 0);
    struct ash_sched_entity *a = runnable(&stand, 0, 0), *b = runnable(&stand, 0, 0);
    stand_go(&stand, 5 * MS);
    for (uint32_t i = 0; i < 10; i++) {
        struct ash_sched_entity *run = stand.decision.run;
        CHECK_EQ(ash_sched_yield(stand.sched, stand.now), 0);
        CHECK(stand_go(&stand, 0) == (run == a ? b : a));
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
