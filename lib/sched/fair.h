/* SPDX-License-Identifier: MIT */
/*
 * fair.h: the fair class as the rest of the scheduler sees it: EEVDF or CFS, and the interactive
 * class as one of its entities. A branch, no function pointer: a direct call costs a third.
 */
#ifndef ASHLAR_SCHED_FAIR_H
#define ASHLAR_SCHED_FAIR_H

#include "sched_internal.h"

#define ASH__FAIR(sched, function, ...)                                              \
    (ash__sched_has((sched), ASH_SCHED_CFS) ? ash__sched_cfs_##function(__VA_ARGS__) \
                                            : ash__sched_eevdf_##function(__VA_ARGS__))

static inline void ash__sched_fair_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                                          uint64_t ran_ns) {
    ASH__FAIR(sched, charge, sched, entity, ran_ns);
}

static inline void ash__sched_fair_enqueue(struct ash_sched *sched,
                                           struct ash_sched_entity *entity) {
    ASH__FAIR(sched, enqueue, sched, entity);
    sched->fair_count++;
}

static inline void ash__sched_fair_dequeue(struct ash_sched *sched,
                                           struct ash_sched_entity *entity) {
    ASH__FAIR(sched, dequeue, sched, entity);
    sched->fair_count--;
}

static inline struct ash_sched_entity *ash__sched_fair_pick(struct ash_sched *sched) {
    return ASH__FAIR(sched, pick, sched);
}

#endif
