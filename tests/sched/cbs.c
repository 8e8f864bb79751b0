/* SPDX-License-Identifier: MIT */
/* Servers: wake-up rules, exhaustion, replenishment. Times are units, as in the literature. */
#include "sched/stand.h"

TEST_CASE(sched_cbs, two_tasks_of_all_the_bandwidth_alternate_by_deadline) {
    struct stand stand;
    stand_begin(&stand, (struct ash_sched_config){.cpu = 0}, 0);
    struct ash_sched_entity *a = stand_server(&stand, 2, 4, 4, 0);
    struct ash_sched_entity *b = stand_server(&stand, 3, 6, 6, 0);
    stand_wake(&stand, a);
    stand_wake(&stand, b);
    CHECK(stand_go(&stand, 1) == a);
    CHECK(stand_go(&stand, 1) == b); /* a has used up its 2 */
    CHECK(stand_go(&stand, 3) == a);
    CHECK(stand_go(&stand, 2) == b);
    CHECK(stand_go(&stand, 3) == a);
    CHECK_EQ(stand_ran(&stand, a), 4);
    CHECK_EQ(stand_ran(&stand, b), 6);
}
