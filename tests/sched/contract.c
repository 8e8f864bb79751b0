/* SPDX-License-Identifier: MIT */
/*
 * contract.c: the promise of admission, against everybody: random sets that it takes, some of whose
 * members keep to their reservations, while the others wake, overrun, yield and stop as they like.
 * Those who keep to theirs never miss.
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
                                                   uint32_t loads) {
    static const uint8_t periods[] = {2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40};
    uint64_t period = periods[test_random_below(random, ASH_ARRAY_LEN(periods))];
    uint64_t deadline = period;
    if (test_random_chance(random, 40))
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

static uint32_t attach_all(struct stand *stand, struct player *players,
                           struct test_random *random) {
    uint32_t count = 0, tries = 2 + (uint32_t)test_random_below(random, 8);
    for (uint32_t i = 0; i < tries && count < PLAYERS; i++) {
        struct player *player = &players[count];
        bool good = i == 0 || test_random_chance(random, 50);
        struct ash_sched_attributes attributes = any_reservation(random, good, tries);
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

static void release(struct stand *stand, struct player *player, struct test_random *random) {
    uint64_t work = 1 + test_random_below(random, player->runtime);
    if (player->entity->state != ASH_SCHED_BLOCKED ||
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
                 struct test_random *random) {
    for (uint32_t i = 0; i < count; i++) {
        struct player *player = &players[i];
        if (stand->decision.run != player->entity)
            continue;
        if (stand_ran(stand, player->entity) == player->done ||
            (!player->good && test_random_chance(random, 10))) {
            stand_block(stand);
            stand->decision.run = NULL;
        } else if (!player->good && test_random_chance(random, 5)) {
            CHECK_EQ(ash_sched_yield(stand->sched, stand->now), 0);
        }
    }
}

static void play_set(uint64_t seed) {
    struct test_random random = test_random_from(seed);
    struct player players[PLAYERS];
    struct stand stand;
    struct ash_sched_config config = {.entities_max = 16};
    if (test_random_chance(&random, 30))
        config.flags = ASH_SCHED_STRICT_WAKE;
    if (test_random_chance(&random, 30)) {
        config.reserve_runtime_ns = 1;
        config.reserve_period_ns = 10;
    }
    stand_begin(&stand, config, UINT64_MAX - UNITS / 2);
    uint32_t count = attach_all(&stand, players, &random);
    stand_wake(&stand,
               stand_attach(&stand, (struct ash_sched_attributes){.flags = ASH_SCHED_NICE}));
    stand_decide(&stand);
    for (uint32_t unit = 0; unit < UNITS; unit++) {
        stop(&stand, players, count, &random);
        for (uint32_t i = 0; i < count; i++)
            release(&stand, &players[i], &random);
        CHECK_EQ(ash_sched_decide(stand.sched, stand.now, &stand.decision), 0);
        stand.now++;
    }
    CHECK(ash_sched_check(stand.sched) == NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct ash_sched_account account;
        CHECK_EQ(ash_sched_get_account(stand.sched, players[i].entity, stand.now, &account), 0);
        if (players[i].good && account.misses != 0)
            test_fail(__FILE__, __LINE__, "seed %llu: player %u of %u, %llu of %llu, missed",
                      (unsigned long long)seed, i, count, (unsigned long long)players[i].runtime,
                      (unsigned long long)players[i].period);
    }
}

TEST_CASE(sched_contract, who_keeps_to_a_reservation_never_misses_whatever_others_do) {
    for (uint64_t round = 0; round < 150; round++)
        play_set(test_seed() * 1000 + round);
}
