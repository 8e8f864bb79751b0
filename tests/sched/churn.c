/* SPDX-License-Identifier: MIT */
/*
 * churn.c: the promise of admission while the set changes all the time: a few that are hungry come,
 * go, change and reclaim in the middle of their periods; again and again one comes that takes all
 * that admission has left for a single job of just that, and has it done within its deadline.
 *
 * A set that only the demand test takes keeps to its promise from the first moment on at which
 * nothing is ready: there the invariants alone are looked at.
 */
#include "sched/stand.h"

enum { PLAYERS = 5, STEPS = 900, LIMIT = 120 };

struct churn {
    struct stand stand;
    struct test_random random;
    bool constrained; /* D < T now and then */
    struct ash_sched_entity players[PLAYERS];
    struct ash_sched_entity keeper;
    uint64_t wakes, due; /* the keeper: when, UINT64_MAX: it is awake */
};

static bool chance(struct churn *churn, uint32_t one_in) {
    return test_random_below(&churn->random, one_in) == 0;
}

static struct ash_sched_attributes any(struct churn *churn) {
    uint64_t period = 10 + test_random_below(&churn->random, LIMIT), deadline = period;
    uint64_t most = period / (1 + test_random_below(&churn->random, 4));
    uint64_t runtime = 1 + test_random_below(&churn->random, most);
    if (churn->constrained && chance(churn, 2))
        deadline = runtime + test_random_below(&churn->random, period - runtime + 1);
    return (struct ash_sched_attributes){.runtime_ns = runtime,
                                         .deadline_ns = deadline,
                                         .period_ns = period,
                                         .flags = (chance(churn, 2) ? ASH_SCHED_SOFT : 0) |
                                                  (chance(churn, 2) ? ASH_SCHED_RECLAIM : 0)};
}

/* With as much as there is; false: there is nothing. */
static bool attach_most(struct churn *churn, struct ash_sched_entity *entity,
                        struct ash_sched_attributes attributes) {
    while (attributes.runtime_ns != 0 &&
           ash_sched_attach(churn->stand.sched, entity, &attributes, churn->stand.now, NULL) != 0)
        attributes.runtime_ns--;
    return attributes.runtime_ns != 0;
}

static void play(struct churn *churn, struct ash_sched_entity *player) {
    struct ash_sched *sched = churn->stand.sched;
    uint64_t now = churn->stand.now;
    struct ash_sched_attributes other = any(churn);
    if (player->sched == NULL) {
        if (chance(churn, 12))
            attach_most(churn, player, other);
    } else if (chance(churn, 30)) {
        if (chance(churn, 6))
            other = (struct ash_sched_attributes){.flags = ASH_SCHED_NICE};
        int error = ash_sched_change(sched, player, &other, now, NULL);
        CHECK(error == 0 || error == -ASH_EBUSY || error == -ASH_EAGAIN);
    } else if (chance(churn, 60)) {
        CHECK_EQ(ash_sched_detach(sched, player, now), 0);
    } else if (player == sched->current && chance(churn, 40)) {
        stand_block(&churn->stand);
    }
    if (player->sched != NULL && player->state == ASH_SCHED_BLOCKED && chance(churn, 8))
        stand_wake(&churn->stand, player);
}

static void come(struct churn *churn) {
    uint64_t period = 8 + test_random_below(&churn->random, 80), deadline = period;
    if (churn->constrained && chance(churn, 2))
        deadline = 1 + test_random_below(&churn->random, period);
    struct ash_sched_attributes most = {
        .runtime_ns = deadline, .deadline_ns = deadline, .period_ns = period};
    if (attach_most(churn, &churn->keeper, most))
        churn->wakes =
            churn->stand.now + (chance(churn, 2) ? 0 : test_random_below(&churn->random, 60));
}

/* Its only job begins, or is done. */
static void keep(struct churn *churn) {
    struct ash_sched_entity *keeper = &churn->keeper;
    struct stand *stand = &churn->stand;
    if (churn->wakes == stand->now) {
        stand_wake(stand, keeper);
        churn->wakes = UINT64_MAX;
        churn->due = stand->now + keeper->server.relative_ns;
    }
    if (churn->wakes != UINT64_MAX || stand->sched->current != keeper ||
        stand_ran(stand, keeper) != keeper->server.runtime_ns)
        return;
    if (!stand->sched->tight && stand->now > churn->due)
        test_fail(__FILE__, __LINE__, "%llu of %llu was %llu late",
                  (unsigned long long)keeper->server.runtime_ns,
                  (unsigned long long)keeper->server.period_ns,
                  (unsigned long long)(stand->now - churn->due));
    stand_block(stand);
    CHECK_EQ(ash_sched_detach(stand->sched, keeper, stand->now), 0);
}

static void run(uint64_t seed, bool constrained) {
    struct churn *churn = test_alloc(sizeof(*churn), 64);
    churn->random = test_random_from(seed);
    churn->constrained = constrained;
    stand_begin(&churn->stand, (struct ash_sched_config){.entities_max = 64}, 0);
    stand_decide(&churn->stand);
    for (uint32_t step = 0; step < STEPS; step++, churn->stand.now++) {
        if (churn->keeper.sched != NULL)
            keep(churn);
        play(churn, &churn->players[test_random_below(&churn->random, PLAYERS)]);
        if (churn->keeper.sched == NULL && chance(churn, 25))
            come(churn);
        if (churn->keeper.sched != NULL)
            keep(churn);
        stand_decide(&churn->stand);
    }
}

TEST_CASE(sched_churn, who_comes_for_what_is_left_has_it_in_time) {
    for (uint64_t round = 0; round < 40; round++)
        run(test_seed() * 1000 + round, false);
}

TEST_CASE(sched_churn, constrained_deadlines_break_no_invariant) {
    for (uint64_t round = 0; round < 40; round++)
        run(test_seed() * 1000 + round, true);
}
