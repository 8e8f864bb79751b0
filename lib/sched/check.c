/* SPDX-License-Identifier: MIT */
/* check.c: the invariants of DESIGN.md, by number. */
#include "fair.h"

const char *ash_sched_check(const struct ash_sched *sched) {
    const char *broken = ash__sched_queue_check(&sched->ready);
    if (broken == NULL)
        broken = ash__sched_queue_check(&sched->timers);
    if (broken == NULL)
        broken = ASH__FAIR(sched, check, sched);
    if (broken == NULL)
        broken = ash__sched_mlfq_check(sched);
    return broken;
}
