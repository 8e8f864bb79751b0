/* SPDX-License-Identifier: MIT */
/* shares.h: fair entities on a stand whose slice is a millisecond, and their lags under EEVDF. */
#ifndef ASHLAR_TESTS_SCHED_SHARES_H
#define ASHLAR_TESTS_SCHED_SHARES_H

#include "sched_internal.h"

#include "sched/stand.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

static inline struct ash_sched_entity *fair(struct stand *stand, int32_t nice, uint64_t slice_ns) {
    return stand_attach(stand, (struct ash_sched_attributes){
                                   .flags = ASH_SCHED_NICE, .nice = nice, .slice_ns = slice_ns});
}

static inline struct ash_sched_entity *runnable(struct stand *stand, int32_t nice,
                                                uint64_t slice_ns) {
    struct ash_sched_entity *entity = fair(stand, nice, slice_ns);
    stand_wake(stand, entity);
    return entity;
}

static inline void begin(struct stand *stand, uint32_t flags, uint64_t now) {
    stand_begin(stand, (struct ash_sched_config){.flags = flags, .slice_ns = MS}, now);
}

/* The one that runs blocks; the next is decided on. */
static inline void block(struct stand *stand, const struct ash_sched_entity *entity) {
    CHECK(stand->decision.run == entity);
    stand_block(stand);
    stand_go(stand, 0);
}

static inline void change(struct stand *stand, struct ash_sched_entity *entity, int32_t nice) {
    struct ash_sched_attributes attributes = entity->attributes;
    attributes.nice = nice;
    CHECK_EQ(ash_sched_change(stand->sched, entity, &attributes, stand->now, NULL), 0);
}

/* W (V - v), V's distance from zero times W. */
static inline ash__sched_i128 distance(const struct ash_sched *sched,
                                       const struct ash_sched_entity *entity) {
    const struct ash_sched_eevdf *class = &sched->eevdf;
    return class->sum - (ash__sched_i128)(int64_t)(entity->eevdf.vruntime - class->zero) *
                            (int64_t) class->weight;
}

/* The lag of a runnable one in ns, rounded towards 0. */
static inline int64_t lag_ns(const struct ash_sched *sched, const struct ash_sched_entity *entity) {
    ash__sched_i128 sum = distance(sched, entity);
    ash__u128 size = sum < 0 ? -(ash__u128)sum : (ash__u128)sum;
    uint64_t each = ash_div_128_by_64((uint64_t)(size >> 64), (uint64_t)size, sched->eevdf.weight);
    int64_t lag = (int64_t)((ash__u128)each * entity->eevdf.weight >> 10);
    return sum < 0 ? -lag : lag;
}

#endif
