/* SPDX-License-Identifier: MIT */
/* CFS: the least vruntime, credit for sleeping, yield. */
#include "sched/shares.h"

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
