/* SPDX-License-Identifier: MIT */
/*
 * contract.c: the promise of admission, against everybody: random sets that it takes, some of whose
 * members keep to their reservations, while the others wake, overrun, yield and stop as they like,
 * and in sets of D = T come, go and change. Those who keep to theirs never miss.
 */
#include "sched/stand.h"

enum { PLAYERS = 6, UNITS = 400 };

struct player {
    struct ash_sched_entity *entity;
    uint64_t runtime, period;
    bool good;
    uint64_t done;         /* the job ends when the entity has run for so long in all */
    uint64_t next_release; /* of a good one */
};

static struct ash_sched_attributes any_reservation(struct test_random *random, bool good,
                                                   uint32_t loads, bool implicit) {
    static const uint8_t periods[] = {2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40};
    uint64_t period = periods[test_random_below(random, ASH_ARRAY_LEN(periods))];
    if (implicit)
        period *= 6;
    uint64_t deadline = period;
    if (!implicit && test_random_chance(random, 40))
        deadline = 1 + test_random_below(random, period);
    uint64_t most = 1 + deadline * 2 / loads;
    struct ash_sched_attributes attributes = {
        .runtime_ns = 1 + test_random_below(random, most < deadline ? most : deadline),
        .deadline_ns = deadline,
        .period_ns = period,
    };
    if (!good && test_random_chance(random, 50))
        attributes.flags |= ASH_SCHED_SOFT;
    if (test_random_chance(random, 40))
        attributes.flags |= ASH_SCHED_RECLAIM;
    return attributes;
}

static uint32_t attach_all(struct stand *stand, struct player *players, struct test_random *random,
                           bool implicit) {
    uint32_t count = 0, tries = 2 + (uint32_t)test_random_below(random, 8);
    for (uint32_t i = 0; i < tries && count < PLAYERS; i++) {
        struct player *player = &players[count];
        bool good = i == 0 || test_random_chance(random, 50);
        struct ash_sched_attributes attributes = any_reservation(random, good, tries, implicit);
        struct ash_sched_entity *entity = test_alloc(sizeof(*entity), 64);
        if (ash_sched_attach(stand->sched, entity, &attributes, stand->now, NULL) != 0)
            continue;
        *player = (struct player){entity,
                                  attributes.runtime_ns,
                                  attributes.period_ns,
                                  good,
                                  0,
                                  stand->now + test_random_below(random, 5)};
        count++;
    }
    return count;
}

/* One that keeps to nothing goes, or asks for something else. */
static void come_or_go(struct stand *stand, struct player *player, struct test_random *random) {
    struct ash_sched_entity *entity = player->entity;
    struct ash_sched_attributes other = any_reservation(random, false, 6, true);
    if (player->good)
        return;
    if (entity->sched == NULL && test_random_chance(random, 20)) {
        int error = -ASH_EBUSY; /* all that is left, or nothing */
        for (other.runtime_ns = other.period_ns; error != 0 && other.runtime_ns != 0;
             other.runtime_ns--)
            error = ash_sched_attach(stand->sched, entity, &other, stand->now, NULL);
        CHECK(error == 0 || error == -ASH_EBUSY);
    } else if (entity->sched != NULL && test_random_chance(random, 2)) {
        CHECK_EQ(ash_sched_detach(stand->sched, entity, stand->now), 0);
    } else if (entity->sched != NULL && test_random_chance(random, 4)) {
        if (test_random_chance(random, 20))
            other = (struct ash_sched_attributes){.flags = ASH_SCHED_NICE};
        int error = ash_sched_change(stand->sched, entity, &other, stand->now, NULL);
        CHECK(error == 0 || error == -ASH_EBUSY || error == -ASH_EAGAIN);
    }
}

static void release(struct stand *stand, struct player *player, struct test_random *random) {
    uint64_t work = 1 + test_random_below(random, player->runtime);
    if (player->entity->sched == NULL || player->entity->state != ASH_SCHED_BLOCKED ||
        (player->good ? player->next_release != stand->now : !test_random_chance(random, 30)))
        return;
    if (player->good ? test_random_chance(random, 70) : false)
        work = player->runtime;
    if (!player->good)
        work = 1 + test_random_below(random, 3 * player->runtime);
    player->done = stand_ran(stand, player->entity) + work;
    player->next_release += player->period;
    if (test_random_chance(random, 30))
        player->next_release += test_random_below(random, player->period);
    CHECK(ash_sched_wake(stand->sched, player->entity, stand->now) >= 0);
}

/* What runs is done, or stops all the same. */
static void stop(struct stand *stand, struct player *players, uint32_t count,
                 uint32_t stops_percent, struct test_random *random) {
    for (uint32_t i = 0; i < count; i++) {
        struct player *player = &players[i];
        if (stand->decision.run != player->entity || stand->sched->current == NULL)
            continue;
        if (stand_ran(stand, player->entity) == player->done ||
            (!player->good && test_random_chance(random, stops_percent))) {
            stand_block(stand);
            stand->decision.run = NULL;
        } else if (!player->good && test_random_chance(random, 5)) {
            CHECK_EQ(ash_sched_yield(stand->sched, stand->now), 0);
        }
    }
}

static void play_set(uint64_t seed, bool implicit) {
    struct test_random random = test_random_from(seed);
    struct player players[PLAYERS];
    struct stand stand;
    struct ash_sched_config config = {.entities_max = 64};
    if (test_random_chance(&random, 30))
        config.flags = ASH_SCHED_STRICT_WAKE;
    if (test_random_chance(&random, 30)) {
        config.reserve_runtime_ns = 1;
        config.reserve_period_ns = 10;
    }
    stand_begin(&stand, config, UINT64_MAX - UNITS / 2);
    uint32_t count = attach_all(&stand, players, &random, implicit);
    stand_wake(&stand,
               stand_attach(&stand, (struct ash_sched_attributes){.flags = ASH_SCHED_NICE}));
    stand_decide(&stand);
    for (uint32_t unit = 0; unit < (implicit ? 3 * UNITS : UNITS); unit++) {
        stop(&stand, players, count, implicit ? 2 : 10, &random);
        for (uint32_t i = 0; i < count && implicit; i++)
            come_or_go(&stand, &players[i], &random);
        CHECK(ash_sched_check(stand.sched) == NULL);
        for (uint32_t i = 0; i < count; i++)
            release(&stand, &players[i], &random);
        CHECK_EQ(ash_sched_decide(stand.sched, stand.now, &stand.decision), 0);
        stand.now++;
    }
    CHECK(ash_sched_check(stand.sched) == NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct ash_sched_account account;
        if (!players[i].good)
            continue;
        CHECK_EQ(ash_sched_get_account(stand.sched, players[i].entity, stand.now, &account), 0);
        if (account.misses != 0)
            test_fail(__FILE__, __LINE__, "seed %llu: player %u of %u, %llu of %llu, missed",
                      (unsigned long long)seed, i, count, (unsigned long long)players[i].runtime,
                      (unsigned long long)players[i].period);
    }
}

TEST_CASE(sched_contract, who_keeps_to_a_reservation_never_misses_whatever_others_do) {
    for (uint64_t round = 0; round < 150; round++)
        play_set(test_seed() * 1000 + round, false);
}

TEST_CASE(sched_contract, nor_when_others_come_go_and_change_in_the_middle_of_their_periods) {
    for (uint64_t round = 0; round < 30; round++)
        play_set(test_seed() * 1000 + round, true);
}
