/* SPDX-License-Identifier: MIT */
/* EEVDF against a search through everybody. */
#include "sched/shares.h"

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
            uint64_t request_ns = crowd->all[one]->eevdf.slice_ns + 200; /* units of nice -20 */
            int64_t lag = lag_ns(stand->sched, crowd->all[one]);
            CHECK(lag <= (int64_t)request_ns && lag >= -(int64_t)request_ns);
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
