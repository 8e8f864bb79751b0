/* SPDX-License-Identifier: MIT */
/*
 * Servers: wake-up rules, exhaustion, replenishment, by schedules that were worked out by hand. All
 * are played from several beginnings of time, those where counters wrap among them.
 */
#include "sched/play.h"

struct server {
    char name;
    uint64_t runtime, deadline, period;
    uint32_t flags;
    uint64_t jobs[8][2]; /* release, work; a release of 0 behind the first ends them */
    uint64_t every;      /* instead: each period */
};

enum { SERVERS = 4 };

static const uint64_t origins[] = {0,
                                   1,
                                   UINT64_MAX,
                                   UINT64_MAX - 999,
                                   (UINT64_C(1) << 32) - 100,
                                   (UINT64_C(1) << 63) - 5,
                                   UINT64_MAX - 4};

static void load_up(struct play_load *load, const struct server *server) {
    if (server->every != 0) {
        play_every(load, 0, server->every, server->runtime);
        return;
    }
    for (uint32_t i = 0; i < 8 && (i == 0 || server->jobs[i][0] != 0); i++) {
        load->jobs[i].release = server->jobs[i][0];
        load->jobs[i].work = server->jobs[i][1];
        load->count = i + 1;
    }
}

static void expect_by(struct ash_sched_config config, const struct server *servers, uint32_t count,
                      uint64_t until, const char *segments) {
    for (uint32_t at = 0; at < ASH_ARRAY_LEN(origins); at++) {
        struct stand stand;
        struct play_load *loads = test_alloc(SERVERS * sizeof(*loads), 64);
        char text[1024];
        stand_begin(&stand, config, origins[at]);
        for (uint32_t i = 0; i < count; i++) {
            const struct server *server = &servers[i];
            loads[i].name = server->name;
            loads[i].entity = stand_server(&stand, server->runtime, server->deadline,
                                           server->period, server->flags);
            load_up(&loads[i], server);
        }
        play(&stand, loads, count, until, text, sizeof(text));
        CHECK_STR_EQ(text, segments);
    }
}

static void expect(const struct server *servers, uint32_t count, uint64_t until,
                   const char *segments) {
    expect_by((struct ash_sched_config){.entities_max = 4}, servers, count, until, segments);
}

TEST_CASE(sched_cbs, two_tasks_of_all_the_bandwidth_alternate_by_deadline) {
    const struct server set[] = {{'a', 2, 4, 4, 0, {{0}}, 4}, {'b', 3, 6, 6, 0, {{0}}, 6}};
    expect(set, 2, 12, "0-2a 2-5b 5-7a 7-10b 10-12a");
}

TEST_CASE(sched_cbs, thirty_four_of_thirty_five) {
    const struct server set[] = {{'a', 2, 5, 5, 0, {{0}}, 5}, {'b', 4, 7, 7, 0, {{0}}, 7}};
    expect(set, 2, 35,
           "0-2a 2-6b 6-8a 8-12b 12-14a 14-15b 15-17a 17-20b 20-22a 22-26b 26-28a 28-32b 32-34a");
}

/* Buttazzo, figure 6.14. */
TEST_CASE(sched_cbs, soft_postpones_its_deadline) {
    const struct server set[] = {{'a', 4, 7, 7, 0, {{0}}, 7},
                                 {'s', 3, 8, 8, ASH_SCHED_SOFT, {{3, 4}, {13, 3}}, 0}};
    expect(set, 2, 21, "0-4a 4-7s 7-11a 11-12s 13-15s 15-19a 19-20s");
}

TEST_CASE(sched_cbs, soft_that_overruns_does_not_delay_the_others) {
    const struct server set[] = {{'a', 3, 7, 7, 0, {{0}}, 7},
                                 {'s', 2, 5, 5, ASH_SCHED_SOFT, {{0, 10}}, 0}};
    expect(set, 2, 21, "0-2s 2-5a 5-7s 7-10a 10-14s 14-17a 17-19s");
}

TEST_CASE(sched_cbs, a_wake_keeps_the_budget_that_fits_until_the_deadline) {
    const struct server set[] = {{'s', 2, 10, 10, 0, {{0, 1}, {3, 2}}, 0}};
    expect(set, 1, 20, "0-1s 3-4s 10-11s");
}

TEST_CASE(sched_cbs, a_wake_with_just_the_bandwidth_renews_or_keeps_as_configured) {
    const struct server set[] = {{'s', 2, 10, 10, 0, {{0, 1}, {5, 2}}, 0}};
    expect(set, 1, 20, "0-1s 5-7s");
    expect_by((struct ash_sched_config){.entities_max = 4, .flags = ASH_SCHED_STRICT_WAKE}, set, 1,
              20, "0-1s 5-6s 10-11s");
}

TEST_CASE(sched_cbs, sleep_does_not_pay_for_a_used_up_budget) {
    const struct server set[] = {{'s', 2, 10, 10, 0, {{0, 2}, {4, 1}}, 0}};
    expect(set, 1, 30, "0-2s 10-11s");
}

TEST_CASE(sched_cbs, constrained_keeps_of_its_budget_what_fits_until_the_deadline) {
    const struct server set[] = {{'s', 4, 8, 16, 0, {{0, 1}, {4, 3}}, 0}};
    expect(set, 1, 32, "0-1s 4-6s 16-17s");
}

TEST_CASE(sched_cbs, constrained_waits_between_its_deadline_and_its_next_period) {
    const struct server set[] = {{'s', 4, 8, 16, 0, {{0, 1}, {9, 3}, {40, 1}, {56, 2}}, 0}};
    expect(set, 1, 64, "0-1s 16-19s 40-41s 56-58s");
}

/* Where only the demand test admits a set, nobody may come back before his next period: 'b' would
 * have 2 left at 9, which 'a' cannot spare from 9 to 12. */
TEST_CASE(sched_cbs, a_tight_set_counts_on_one_release_a_period) {
    const struct server set[] = {{'a', 3, 3, 10, 0, {{9, 3}}, 0},
                                 {'b', 5, 10, 20, 0, {{0, 2}, {8, 2}}, 0}};
    expect(set, 2, 40, "0-2b 9-12a 20-22b");
    const struct server loose[] = {{'b', 5, 10, 20, 0, {{0, 2}, {8, 2}}, 0}};
    expect(loose, 1, 40, "0-2b 8-9b 20-21b");
}

TEST_CASE(sched_cbs, three_servers_that_always_want_more_get_their_bandwidth) {
    const struct server set[] = {{'a', 1, 4, 4, 0, {{0, 100}}, 0},
                                 {'b', 2, 8, 8, 0, {{0, 100}}, 0},
                                 {'c', 4, 16, 16, 0, {{0, 100}}, 0}};
    expect(set, 3, 16, "0-1a 1-3b 3-4c 4-5a 5-8c 8-9a 9-11b 12-13a");
}

TEST_CASE(sched_grub, takes_what_the_others_leave) {
    const struct server set[] = {{'a', 4, 8, 8, ASH_SCHED_RECLAIM, {{0, 2}}, 0},
                                 {'b', 4, 8, 8, ASH_SCHED_RECLAIM, {{0, 20}}, 0}};
    expect(set, 2, 8, "0-2a 2-8b");
    const struct server plain[] = {{'a', 4, 8, 8, 0, {{0, 2}}, 0}, {'b', 4, 8, 8, 0, {{0, 20}}, 0}};
    expect(plain, 2, 8, "0-2a 2-6b");
}

/* Active are 1/30 and 5/8. 'a' has a third of a nanosecond left when it blocks at 1: it is active
 * until its deadline, and 29 * (1/30 + 5/8) = 19.1 are charged to 'b' until then. */
TEST_CASE(sched_grub, part_of_a_nanosecond_frees_no_bandwidth_early) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.entities_max = 4}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 1, 30, 30, ASH_SCHED_RECLAIM);
    struct ash_sched_entity *b = stand_server(&stand, 150, 240, 240, ASH_SCHED_RECLAIM);
    stand_wake(&stand, a);
    stand_wake(&stand, b);
    CHECK(stand_go(&stand, 0) == a);
    stand.now = 1;
    stand_block(&stand);
    CHECK(stand_run(&stand, 30) == b);
    CHECK_EQ(ash_sched_server_budget(b), 150 - 19);
}

/* It comes back at once, with less than a nanosecond left by the rate of both. */
TEST_CASE(sched_grub, part_of_a_nanosecond_is_nothing_to_run_on) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.entities_max = 4}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 1, 3, 3, ASH_SCHED_RECLAIM | ASH_SCHED_SOFT);
    struct ash_sched_entity *b = stand_server(&stand, 5, 8, 8, 0);
    stand_wake(&stand, a);
    stand_wake(&stand, b);
    CHECK(stand_go(&stand, 0) == a);
    stand.now = 1;
    stand_block(&stand);
    stand_wake(&stand, a);
    stand_decide(&stand);
    CHECK(stand.decision.run == a);
    CHECK_EQ(ash_sched_server_deadline(a), 6);
    CHECK(stand.decision.timed && stand.decision.call_at == 2);
}

/* Alone, it is charged a tenth; with the other one ready behind it, six tenths. */
TEST_CASE(sched_grub, who_wakes_behind_one_that_reclaims_asks_for_an_earlier_call) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 10, 100, 100, ASH_SCHED_RECLAIM);
    struct ash_sched_entity *b = stand_server(&stand, 100, 200, 200, 0);
    stand_wake(&stand, a);
    stand_decide(&stand);
    CHECK(stand.decision.call_at > 90);
    CHECK_EQ(ash_sched_wake(stand.sched, b, stand.now), ASH_SCHED_PREEMPTS);
    stand_decide(&stand);
    CHECK(stand.decision.run == a && stand.decision.call_at < 20);
}

/* Alone it is charged a tenth; where only the demand test admits the set, in full. */
TEST_CASE(sched_grub, after_an_attach_that_makes_the_set_tight_nothing_is_reclaimed) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 10, 100, 100, ASH_SCHED_RECLAIM);
    stand_wake(&stand, a);
    stand_decide(&stand);
    CHECK(stand.decision.call_at > 90);
    stand_server(&stand, 45, 50, 1000, 0);
    stand_server(&stand, 4, 50, 1000, 0);
    stand_decide(&stand);
    CHECK(stand.decision.run == a);
    CHECK_EQ(stand.decision.call_at, 10);
}

/* Simulated: five that ask for all of the CPU, in the finest units that there are. */
TEST_CASE(sched_grub, bandwidths_that_sum_to_more_than_a_word_holds_leave_nothing_to_reclaim) {
    struct stand stand;
    stand_begin(
        &stand,
        (struct ash_sched_config){.flags = ASH_SCHED_ADMIT_ALL, .bandwidth_one = UINT64_C(1) << 62},
        0);
    struct ash_sched_entity *a = stand_server(&stand, 50, 100, 100, ASH_SCHED_RECLAIM);
    for (uint32_t i = 0; i < 4; i++)
        stand_wake(&stand, stand_server(&stand, 200, 200, 200, 0));
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 49) == a);
    CHECK_EQ(ash_sched_server_budget(a), 1);
    CHECK(stand_go(&stand, 1) != a);
}
