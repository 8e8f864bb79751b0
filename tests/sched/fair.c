/* SPDX-License-Identifier: MIT */
/* The fair class, EEVDF and CFS alike: weights, shares, newcomers. */
#include "sched/shares.h"

static const uint32_t classes[] = {0, ASH_SCHED_CFS}; /* config flags */

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
