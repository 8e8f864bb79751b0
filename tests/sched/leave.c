/* SPDX-License-Identifier: MIT */
/*
 * leave.c: what a reservation used ahead of its bandwidth counts on when it is detached, changed or
 * moved, or shrinks: for admission, and for who reclaims what the others leave.
 */
#include <ashlar/sched_smp.h>

#include "sched/stand.h"

enum { HORIZON = 200 };

/* When the job of `work` that it wakes for now ends. */
static uint64_t job(struct stand *stand, struct ash_sched_entity *entity, uint64_t work) {
    uint64_t done = stand_ran(stand, entity) + work, end = stand->now + HORIZON;
    stand_wake(stand, entity);
    while (stand_ran(stand, entity) != done && stand->now != end)
        stand_go(stand, 1);
    CHECK(stand->now != end);
    return stand_time(stand);
}

struct scene {
    struct stand stand;
    struct ash_sched_entity *leaver, *reclaimer;
};

/* At 50 the leaver has used up its 50 of 100, ahead of its bandwidth until 100. */
static struct scene *scene_of(struct ash_sched_attributes leaver) {
    struct scene *scene = test_alloc(sizeof(*scene), 64);
    struct stand *stand = &scene->stand;
    stand_begin(stand, (struct ash_sched_config){.cpu = 0}, 0);
    scene->leaver = stand_attach(stand, leaver);
    scene->reclaimer = stand_server(stand, 30, 100, 100, ASH_SCHED_RECLAIM);
    stand_wake(stand, scene->leaver);
    stand_wake(stand, scene->reclaimer);
    CHECK(stand_run(stand, 49) == scene->leaver);
    stand->now = 50;
    return scene;
}

static const struct ash_sched_attributes HALF = {.runtime_ns = 50, .period_ns = 100};

/* 11 within 55 is just what 50 and 30 of 100 leave. */
static void expect_room_kept(struct scene *scene) {
    struct stand *stand = &scene->stand;
    stand_decide(stand);
    CHECK(stand->decision.run == scene->reclaimer);
    struct ash_sched_entity *third = stand_server(stand, 11, 55, 55, 0);
    CHECK(job(stand, third, 11) <= 105);
    stand_go(stand, 300);
}

TEST_CASE(sched_leave, who_reclaims_does_not_take_what_a_detached_one_used_ahead) {
    struct scene *scene = scene_of(HALF);
    CHECK_EQ(ash_sched_detach(scene->stand.sched, scene->leaver, 50), 0);
    expect_room_kept(scene);
}

TEST_CASE(sched_leave, nor_what_a_changed_one_used_ahead) {
    struct ash_sched_attributes others[] = {
        {.runtime_ns = 1, .period_ns = 100},
        {.runtime_ns = 1, .period_ns = 100, .flags = ASH_SCHED_RECLAIM},
        {.runtime_ns = 1, .period_ns = 80, .flags = ASH_SCHED_SOFT},
        {.runtime_ns = 1, .deadline_ns = 20, .period_ns = 100, .flags = ASH_SCHED_SOFT},
        {.flags = ASH_SCHED_NICE}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(others); i++) {
        for (uint32_t wakes = 0; wakes < 2; wakes++) {
            struct scene *scene = scene_of(HALF);
            struct stand *stand = &scene->stand;
            stand_block(stand);
            CHECK_EQ(ash_sched_change(stand->sched, scene->leaver, &others[i], 50, NULL), 0);
            CHECK(ash_sched_check(stand->sched) == NULL);
            if (wakes)
                stand_wake(stand, scene->leaver);
            expect_room_kept(scene);
        }
    }
}

TEST_CASE(sched_leave, nor_what_one_used_ahead_that_was_changed_twice_or_detached_then) {
    struct ash_sched_attributes less = {.runtime_ns = 1, .period_ns = 100};
    struct ash_sched_attributes least = {.runtime_ns = 1, .period_ns = 1000};
    for (uint32_t wakes = 0; wakes < 2; wakes++) {
        for (uint32_t detached = 0; detached < 2; detached++) {
            struct scene *scene = scene_of(HALF);
            struct stand *stand = &scene->stand;
            stand_block(stand);
            CHECK_EQ(ash_sched_change(stand->sched, scene->leaver, &less, 50, NULL), 0);
            if (wakes && detached)
                stand_wake(stand, scene->leaver);
            if (detached)
                CHECK_EQ(ash_sched_detach(stand->sched, scene->leaver, 50), 0);
            else
                CHECK_EQ(ash_sched_change(stand->sched, scene->leaver, &least, 50, NULL), 0);
            if (wakes && !detached)
                stand_wake(stand, scene->leaver);
            expect_room_kept(scene);
        }
    }
}

TEST_CASE(sched_leave, nor_what_a_moved_one_used_ahead) {
    struct scene *scene = scene_of(HALF);
    struct stand *stand = &scene->stand, other;
    stand_begin(&other, (struct ash_sched_config){.cpu = 1}, 0);
    stand_block(stand);
    CHECK_EQ(ash_sched_move(stand->sched, other.sched, scene->leaver, 50, NULL), 0);
    expect_room_kept(scene);
}

/* Who reclaims comes when the other has left: 15 within 50, and no more of the other's half. */
TEST_CASE(sched_leave, nor_does_one_that_comes_later) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *leaver = stand_attach(&stand, HALF);
    stand_wake(&stand, leaver);
    CHECK(stand_run(&stand, 49) == leaver);
    stand.now = 50;
    CHECK_EQ(ash_sched_detach(stand.sched, leaver, 50), 0);
    struct ash_sched_entity *reclaimer = stand_server(&stand, 15, 50, 50, ASH_SCHED_RECLAIM);
    struct ash_sched_entity *third = stand_server(&stand, 4, 20, 20, 0);
    stand_wake(&stand, reclaimer);
    stand_run(&stand, 81);
    CHECK(job(&stand, third, 4) <= 101);
    CHECK_EQ(ash_sched_detach(stand.sched, reclaimer, stand.now), 0);
    stand_go(&stand, 300);
}

/* A change takes effect when the old reservation's time is over, for a soft one too: it would be
 * out of its old one and into its new one at the same time, and ahead of both. */
TEST_CASE(sched_leave, a_soft_one_that_was_changed_waits_for_its_new_period) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_attributes less = {.runtime_ns = 10, .period_ns = 40, .flags = ASH_SCHED_SOFT};
    struct ash_sched_entity *soft = stand_server(&stand, 50, 100, 100, ASH_SCHED_SOFT);
    stand_wake(&stand, soft);
    CHECK(stand_go(&stand, 25) == soft);
    stand_block(&stand);
    CHECK_EQ(ash_sched_change(stand.sched, soft, &less, 25, NULL), 0); /* until 50 */
    stand_wake(&stand, soft);
    CHECK(stand_run(&stand, 49) == NULL);
    CHECK(stand_run(&stand, 50) == soft);
    CHECK_EQ(ash_sched_server_deadline(soft), 90);
    CHECK_EQ(ash_sched_server_budget(soft), 10);
}

/* It leaves in one of the ways that there are. */
static void leave(struct scene *scene, struct test_random *random) {
    struct stand *stand = &scene->stand;
    struct ash_sched_attributes other = {.runtime_ns = 1, .period_ns = 1000};
    if (test_random_chance(random, 40)) {
        CHECK_EQ(ash_sched_detach(stand->sched, scene->leaver, stand->now), 0);
        return;
    }
    if (stand->sched->current == scene->leaver)
        stand_block(stand);
    if (test_random_chance(random, 30))
        other = (struct ash_sched_attributes){.flags = ASH_SCHED_NICE};
    int error = ash_sched_change(stand->sched, scene->leaver, &other, stand->now, NULL);
    CHECK(error == 0 || error == -ASH_EAGAIN); /* out of its budget */
    if (error == 0 && test_random_chance(random, 30))
        stand_wake(stand, scene->leaver);
}

/* One leaves, one reclaims all it can, and one comes that takes all that admission has left: its
 * first job, at any time, ends within its period. */
TEST_CASE(sched_leave, at_any_time_it_costs_nobody_a_deadline) {
    struct test_random random = test_random_from(test_seed());
    for (uint32_t round = 0; round < 600; round++) {
        struct scene scene;
        struct stand *stand = &scene.stand;
        uint64_t periods[3], runtime, leaves, comes;
        for (uint32_t i = 0; i < 3; i++)
            periods[i] = 10 + test_random_below(&random, 90);
        stand_begin(stand, (struct ash_sched_config){.cpu = 0}, test_random_u64(&random));
        runtime = 1 + test_random_below(&random, periods[0] - 1);
        scene.leaver = stand_server(stand, runtime, periods[0], periods[0], 0);
        runtime = 1 + (periods[0] - runtime) * periods[1] / periods[0] / 2;
        struct ash_sched_attributes reclaimer = {
            .runtime_ns = runtime, .period_ns = periods[1], .flags = ASH_SCHED_RECLAIM};
        scene.reclaimer = test_alloc(sizeof(*scene.reclaimer), 64);
        if (ash_sched_attach(stand->sched, scene.reclaimer, &reclaimer, stand->now, NULL) != 0)
            continue;
        stand_wake(stand, scene.leaver);
        stand_wake(stand, scene.reclaimer);
        stand_decide(stand);
        leaves = test_random_below(&random, periods[0]);
        stand_go(stand, leaves);
        leave(&scene, &random);
        stand_decide(stand);
        struct ash_sched_entity *third = test_alloc(sizeof(*third), 64);
        struct ash_sched_attributes most = {.runtime_ns = periods[2], .period_ns = periods[2]};
        while (most.runtime_ns != 0 &&
               ash_sched_attach(stand->sched, third, &most, stand->now, NULL) != 0)
            most.runtime_ns--;
        if (most.runtime_ns == 0)
            continue;
        comes = test_random_chance(&random, 50) ? 0 : test_random_below(&random, periods[0]);
        stand_go(stand, comes);
        uint64_t released = stand_time(stand);
        uint64_t took = job(stand, third, most.runtime_ns) - released;
        if (took > periods[2])
            test_fail(__FILE__, __LINE__, "round %u: %llu of %llu took %llu", round,
                      (unsigned long long)most.runtime_ns, (unsigned long long)periods[2],
                      (unsigned long long)took);
    }
}

/* In a set that only the demand test takes, admission counts it until its next period, and GRUB
 * does not: what has its place waits, and is not active before. */
TEST_CASE(sched_leave, one_that_is_inactive_and_counts_still_hands_on_no_bandwidth) {
    for (uint32_t detached = 0; detached < 2; detached++) {
        struct stand stand;
        struct ash_sched_attributes less = {.runtime_ns = 5, .period_ns = 100};
        stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
        stand_server(&stand, 2, 3, 40, 0);
        stand_server(&stand, 3, 6, 50, 0);
        stand_server(&stand, 1, 100, 100, ASH_SCHED_RECLAIM);
        struct ash_sched_entity *a = stand_server(&stand, 10, 100, 100, 0);
        CHECK(stand.sched->tight);
        stand_wake(&stand, a);
        stand_decide(&stand);
        stand.now = 1;
        stand_block(&stand);
        stand_run(&stand, 50); /* its zero-lag time was 10 */
        CHECK_EQ(ash_sched_change(stand.sched, a, &less, 50, NULL), 0);
        stand_wake(&stand, a);
        CHECK(stand_run(&stand, 60) == NULL);
        if (detached)
            CHECK_EQ(ash_sched_detach(stand.sched, a, 60), 0);
        stand_decide(&stand);
        CHECK(stand_run(&stand, 99) == NULL);
        CHECK(stand_run(&stand, 100) == (detached ? NULL : a));
    }
}
