/* SPDX-License-Identifier: MIT */
/* smp.c: several instances as one: placement, stealing, moving, first fit. */
#include <ashlar/sched_smp.h>

#include "sched/stand.h"

enum { CPUS = 4 };

struct machine {
    struct stand stands[CPUS];
    struct ash_sched_cpus cpus;
};

static struct machine *machine_of(uint32_t count) {
    struct machine *machine = test_alloc(sizeof(*machine), 64);
    for (uint32_t cpu = 0; cpu < count; cpu++) {
        stand_begin(&machine->stands[cpu], (struct ash_sched_config){.entities_max = 8, .cpu = cpu},
                    0);
        machine->cpus.cpu[cpu] = machine->stands[cpu].sched;
    }
    machine->cpus.count = count;
    return machine;
}

static struct ash_sched_entity *fair(struct machine *machine, uint32_t cpu, uint64_t affinity) {
    return stand_attach(&machine->stands[cpu], (struct ash_sched_attributes){
                                                   .flags = ASH_SCHED_NICE, .affinity = affinity});
}

static void wake(struct machine *machine, struct ash_sched_entity *entity) {
    stand_wake(&machine->stands[ash_sched_owner(entity)->config.cpu], entity);
}

static void check_all(struct machine *machine) {
    for (uint32_t cpu = 0; cpu < machine->cpus.count; cpu++)
        CHECK_STR_EQ(ash_sched_check(machine->cpus.cpu[cpu]) == NULL ? "whole" : "broken", "whole");
}

TEST_CASE(sched_smp, a_wake_goes_to_the_own_cpu_if_it_has_nothing_to_run) {
    struct machine *machine = machine_of(3);
    struct ash_sched_entity *sleeper = fair(machine, 1, 0);
    CHECK_EQ(ash_sched_place(&machine->cpus, sleeper), 1);
    wake(machine, fair(machine, 1, 0));
    CHECK_EQ(ash_sched_place(&machine->cpus, sleeper), 2);
    wake(machine, fair(machine, 2, 0));
    CHECK_EQ(ash_sched_place(&machine->cpus, sleeper), 0);
    wake(machine, fair(machine, 0, 0));
    CHECK_EQ(ash_sched_place(&machine->cpus, sleeper), 1);
    wake(machine, fair(machine, 1, 0));
    CHECK_EQ(ash_sched_place(&machine->cpus, sleeper), 2);
}

TEST_CASE(sched_smp, a_cpu_that_runs_one_of_the_idle_class_has_nothing_to_run) {
    struct machine *machine = machine_of(2);
    struct ash_sched_entity *sleeper = fair(machine, 0, 0);
    struct ash_sched_attributes idle = {.flags = ASH_SCHED_IDLEST};
    for (uint32_t i = 0; i < 3; i++)
        wake(machine, stand_attach(&machine->stands[1], idle));
    wake(machine, fair(machine, 0, 0));
    stand_go(&machine->stands[0], 0);
    CHECK_EQ(ash_sched_busiest(&machine->cpus, 0), 1);
    CHECK_EQ(ash_sched_place(&machine->cpus, sleeper), 0);
    stand_go(&machine->stands[1], 0);
    CHECK_EQ(ash_sched_busiest(&machine->cpus, 0), ASH_SCHED_NO_CPU);
    CHECK_EQ(ash_sched_place(&machine->cpus, sleeper), 1);
}

TEST_CASE(sched_smp, affinity_and_reservations_stay_where_they_must) {
    struct machine *machine = machine_of(3);
    struct ash_sched_entity *bound = fair(machine, 1, 3); /* CPUs 0 and 1 */
    wake(machine, fair(machine, 1, 0));
    wake(machine, fair(machine, 0, 0));
    wake(machine, fair(machine, 0, 0));
    CHECK_EQ(ash_sched_place(&machine->cpus, bound), 1);
    struct ash_sched_refusal refusal;
    CHECK_EQ(ash_sched_move(machine->cpus.cpu[1], machine->cpus.cpu[2], bound, 0, &refusal),
             -ASH_EINVAL);
    CHECK_EQ(refusal.reason, ASH_SCHED_BAD_AFFINITY);
    CHECK(ash_sched_owner(bound) == machine->cpus.cpu[1]);
    struct ash_sched_entity *server = stand_server(&machine->stands[1], 5, 10, 10, 0);
    CHECK_EQ(ash_sched_place(&machine->cpus, server), 1);
    check_all(machine);
}

TEST_CASE(sched_smp, a_thief_takes_what_waits_and_may_come) {
    struct machine *machine = machine_of(2);
    struct ash_sched *thief = machine->cpus.cpu[0], *victim = machine->cpus.cpu[1];
    CHECK_EQ(ash_sched_busiest(&machine->cpus, 0), ASH_SCHED_NO_CPU);
    struct ash_sched_entity *running = fair(machine, 1, 0);
    wake(machine, running);
    CHECK(stand_go(&machine->stands[1], 0) == running);
    CHECK_EQ(ash_sched_busiest(&machine->cpus, 0), ASH_SCHED_NO_CPU);
    wake(machine, fair(machine, 1, 2)); /* bound to CPU 1 */
    wake(machine, stand_server(&machine->stands[1], 1, 10, 10, 0));
    fair(machine, 1, 0); /* asleep */
    CHECK_EQ(ash_sched_busiest(&machine->cpus, 0), 1);
    CHECK(ash_sched_steal(thief, victim, 0) == NULL);
    struct ash_sched_entity *waiting = stand_attach(
        &machine->stands[1], (struct ash_sched_attributes){.flags = 0}); /* interactive */
    wake(machine, waiting);
    CHECK(ash_sched_steal(thief, victim, 0) == waiting);
    CHECK(ash_sched_owner(waiting) == thief);
    CHECK(stand_go(&machine->stands[0], 1) == waiting);
    CHECK(ash_sched_steal(thief, victim, 1) == NULL);
    check_all(machine);
}

TEST_CASE(sched_smp, a_move_passes_the_targets_admission_and_keeps_the_counts) {
    struct machine *machine = machine_of(2);
    struct ash_sched *from = machine->cpus.cpu[0], *to = machine->cpus.cpu[1];
    struct ash_sched_entity *server = stand_server(&machine->stands[0], 6, 10, 10, ASH_SCHED_SOFT);
    struct ash_sched_entity *other = stand_server(&machine->stands[1], 5, 10, 10, 0);
    struct ash_sched_refusal refusal;
    struct ash_sched_account account;
    stand_wake(&machine->stands[0], server);
    CHECK(stand_go(&machine->stands[0], 4) == server);
    CHECK_EQ(ash_sched_move(from, to, server, 4, &refusal), -ASH_EAGAIN); /* it runs */
    stand_block(&machine->stands[0]);
    CHECK_EQ(ash_sched_move(from, to, server, 4, &refusal), -ASH_EBUSY);
    CHECK_EQ(refusal.reason, ASH_SCHED_OVER_BANDWIDTH);
    CHECK(ash_sched_owner(server) == from);
    CHECK_EQ(ash_sched_move(to, from, server, 4, &refusal), -ASH_ENOENT);
    CHECK_EQ(ash_sched_detach(to, other, 4), 0);
    CHECK_EQ(ash_sched_move(from, to, server, 3, &refusal), -ASH_EINVAL);
    CHECK_EQ(ash_sched_move(from, to, server, 4, &refusal), 0);
    machine->stands[1].now = 4;
    stand_wake(&machine->stands[1], server);
    CHECK(stand_go(&machine->stands[1], 3) == server);
    CHECK_EQ(ash_sched_get_account(to, server, 7, &account), 0);
    CHECK_EQ(account.runtime_ns, 7);
    CHECK_EQ(account.releases, 2);
    CHECK_EQ(account.completions, 1);
    /* Where it was, its bandwidth counts until d - q T/Q = 10 - 2 * 10 / 6, rounded up. */
    struct ash_sched_attributes half = {.runtime_ns = 5, .period_ns = 10};
    CHECK_EQ(stand_refused(&machine->stands[0], half), ASH_SCHED_OVER_BANDWIDTH);
    stand_run(&machine->stands[0], 7);
    stand_attach(&machine->stands[0], half);
    check_all(machine);
}

TEST_CASE(sched_smp, a_move_of_one_that_waits_lets_its_job_go_on) {
    struct machine *machine = machine_of(2);
    struct ash_sched *from = machine->cpus.cpu[0], *to = machine->cpus.cpu[1];
    struct ash_sched_entity *first = stand_server(&machine->stands[0], 5, 10, 10, 0);
    struct ash_sched_entity *second = stand_server(&machine->stands[0], 5, 20, 20, 0);
    struct ash_sched_account account;
    stand_wake(&machine->stands[0], first);
    stand_wake(&machine->stands[0], second);
    CHECK(stand_go(&machine->stands[0], 2) == first);
    CHECK_EQ(ash_sched_move(from, to, second, 2, NULL), 0);
    machine->stands[1].now = 2;
    CHECK(stand_go(&machine->stands[1], 1) == second);
    stand_block(&machine->stands[1]);
    CHECK_EQ(ash_sched_get_account(to, second, 3, &account), 0);
    CHECK_EQ(account.releases, 1);
    CHECK_EQ(account.completions, 1);
    CHECK(stand_go(&machine->stands[0], 1) == first);
    check_all(machine);
}

static struct ash_sched_attributes share(uint64_t percent) {
    return (struct ash_sched_attributes){.runtime_ns = percent, .period_ns = 100};
}

TEST_CASE(sched_smp, a_whole_set_is_fitted_largest_first_or_not_at_all) {
    struct machine *machine = machine_of(2);
    struct ash_sched_entity *entities[5];
    uint32_t order[5], failed = 99;
    struct ash_sched_refusal refusal;
    for (uint32_t i = 0; i < 5; i++)
        entities[i] = test_alloc(sizeof(*entities[0]), 64);
    /* As they come, 40 + 40 and 30 + 30 leave no room for 60: 60 + 40 and 40 + 30 + 30 do. */
    struct ash_sched_attributes fits[] = {share(40), share(40), share(30), share(30), share(60)};
    CHECK_EQ(ash_sched_attach_all(&machine->cpus, entities, fits, 5, order, 0, &failed, &refusal),
             0);
    CHECK_EQ(ash_sched_owner(entities[4])->config.cpu, 0);
    CHECK_EQ(ash_sched_owner(entities[2])->config.cpu, 1);
    struct ash_sched_attributes more = share(1);
    CHECK_EQ(ash_sched_fit(&machine->cpus, &more, 0) == ASH_SCHED_NO_CPU ||
                 stand_refused(&machine->stands[0], more) == ASH_SCHED_OVER_BANDWIDTH,
             true);
    for (uint32_t i = 0; i < 5; i++)
        CHECK_EQ(ash_sched_detach(ash_sched_owner(entities[i]), entities[i], 0), 0);
    struct ash_sched_attributes too_much[] = {share(30), share(50), share(40), share(60),
                                              share(40)};
    CHECK_EQ(
        ash_sched_attach_all(&machine->cpus, entities, too_much, 5, order, 0, &failed, &refusal),
        -ASH_EBUSY);
    CHECK_EQ(failed, 0);
    CHECK_EQ(refusal.reason, ASH_SCHED_OVER_BANDWIDTH);
    for (uint32_t i = 0; i < 5; i++)
        CHECK(ash_sched_owner(entities[i]) == NULL);
    check_all(machine);
}

TEST_CASE(sched_smp, first_fit_passes_by_cpus_that_are_full_or_not_allowed) {
    struct machine *machine = machine_of(3);
    stand_server(&machine->stands[0], 90, 100, 100, 0);
    struct ash_sched_attributes wanted = share(20);
    CHECK_EQ(ash_sched_fit(&machine->cpus, &wanted, 0), 1);
    wanted.affinity = 4;
    CHECK_EQ(ash_sched_fit(&machine->cpus, &wanted, 0), 2);
    wanted.affinity = 1;
    CHECK_EQ(ash_sched_fit(&machine->cpus, &wanted, 0), ASH_SCHED_NO_CPU);
}

TEST_CASE(sched_smp, a_move_does_not_end_a_wait) {
    struct stand stand[2];
    struct ash_sched_account account;
    for (uint32_t cpu = 0; cpu < 2; cpu++) {
        stand_begin(&stand[cpu], (struct ash_sched_config){.cpu = cpu}, 0);
        stand_wake(&stand[cpu], stand_attach(&stand[cpu], (struct ash_sched_attributes){
                                                              .flags = ASH_SCHED_NICE}));
        stand_decide(&stand[cpu]);
    }
    struct ash_sched_entity *idle =
        stand_attach(&stand[0], (struct ash_sched_attributes){.flags = ASH_SCHED_IDLEST});
    stand_wake(&stand[0], idle);
    CHECK_EQ(ash_sched_move(stand[0].sched, stand[1].sched, idle, 60, NULL), 0);
    CHECK_EQ(ash_sched_get_account(stand[1].sched, idle, 100, &account), 0);
    CHECK_EQ(account.waited_max_ns, 100);
}

TEST_CASE(sched_smp, a_cpu_whose_running_entity_is_detached_runs_nothing) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *idle =
        stand_attach(&stand, (struct ash_sched_attributes){.flags = ASH_SCHED_IDLEST});
    stand_wake(&stand, idle);
    stand_decide(&stand);
    CHECK_EQ(stand.sched->hint_class, ASH_SCHED_IDLE);
    CHECK_EQ(ash_sched_detach(stand.sched, idle, 1), 0);
    CHECK_EQ(stand.sched->hint_class, ASH_SCHED_NOTHING);
}

/* 2 within 2 find no room beside the two that make the set tight, while somebody is ready. */
TEST_CASE(sched_smp, a_set_that_is_refused_leaves_nothing_behind_and_need_not_be_told_why) {
    struct machine *machine = machine_of(1);
    struct ash_sched_entity *entities[3];
    struct ash_sched_attributes set[] = {
        {.runtime_ns = 9, .deadline_ns = 12, .period_ns = 100},
        {.runtime_ns = 3, .deadline_ns = 14, .period_ns = 100},
        {.runtime_ns = 2, .deadline_ns = 2, .period_ns = 100},
    };
    uint32_t order[3];
    for (uint32_t i = 0; i < 3; i++)
        entities[i] = test_alloc(sizeof(*entities[0]), 64);
    wake(machine, stand_server(&machine->stands[0], 1, 10, 10, 0));
    CHECK_EQ(ash_sched_attach_all(&machine->cpus, entities, set, 3, order, 0, NULL, NULL),
             -ASH_EBUSY);
    CHECK(!machine->cpus.cpu[0]->tight);
    CHECK_EQ(ash_sched_attach_all(&machine->cpus, entities, set, 2, order, 0, NULL, NULL), 0);
    CHECK(machine->cpus.cpu[0]->tight);
    check_all(machine);
}

TEST_CASE(sched_smp, a_job_that_is_moved_has_not_ended) {
    struct machine *machine = machine_of(2);
    struct ash_sched_entity *measured =
        stand_attach(&machine->stands[0], (struct ash_sched_attributes){.deadline_ns = 3200});
    struct ash_sched_entity *other = stand_server(&machine->stands[0], 50, 100, 100, 0);
    stand_wake(&machine->stands[0], measured);
    CHECK(stand_go(&machine->stands[0], 10) == measured);
    stand_wake(&machine->stands[0], other);
    CHECK(stand_go(&machine->stands[0], 1) == other);
    CHECK_EQ(ash_sched_move(machine->cpus.cpu[0], machine->cpus.cpu[1], measured, 11, NULL), 0);
    CHECK_EQ(measured->measured_jobs, 0);
    CHECK_EQ(measured->measured_max_ns, 0);
    check_all(machine);
}
