/* SPDX-License-Identifier: MIT */
/* eevdf.c: the fair class: least vruntime first. */
#include "sched_internal.h"

size_t ash__sched_eevdf_bytes(uint32_t slots) {
    return ash__sched_queue_bytes(slots);
}

void ash__sched_eevdf_init(struct ash_sched *sched, void *storage, uint32_t slots) {
    ash__sched_queue_init(&sched->eevdf.waiting, storage, slots);
}

void ash__sched_eevdf_attach(struct ash_sched *sched, struct ash_sched_entity *entity) {
    (void)sched;
    entity->eevdf.vruntime = 0;
    entity->eevdf.weight = ash__sched_weight(entity->attributes.nice);
}

void ash__sched_eevdf_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash__sched_queue_insert(&sched->eevdf.waiting, entity->slot, entity->eevdf.vruntime);
}

void ash__sched_eevdf_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash__sched_queue_remove(&sched->eevdf.waiting, entity->slot);
}

void ash__sched_eevdf_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                             uint64_t ran_ns) {
    ash__sched_eevdf_dequeue(sched, entity);
    entity->eevdf.vruntime += ash_mul_div_u64(ran_ns, 1024, entity->eevdf.weight);
    ash__sched_eevdf_enqueue(sched, entity);
}

struct ash_sched_entity *ash__sched_eevdf_pick(struct ash_sched *sched) {
    uint32_t slot = ash__sched_queue_first(&sched->eevdf.waiting);
    return slot == ASH__SCHED_NO_SLOT ? NULL : sched->entities[slot];
}

uint64_t ash__sched_eevdf_left(const struct ash_sched *sched,
                               const struct ash_sched_entity *entity) {
    (void)entity;
    return sched->config.slice_ns;
}

void ash__sched_eevdf_yield(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash__sched_eevdf_dequeue(sched, entity);
    ash__sched_eevdf_enqueue(sched, entity);
}

void ash__sched_eevdf_reweight(struct ash_sched *sched, struct ash_sched_entity *entity) {
    (void)sched;
    entity->eevdf.weight = ash__sched_weight(entity->attributes.nice);
}

bool ash__sched_eevdf_preempts(const struct ash_sched *sched, const struct ash_sched_entity *woken,
                               const struct ash_sched_entity *running) {
    (void)sched;
    return ash__sched_before(woken->eevdf.vruntime, running->eevdf.vruntime);
}

const char *ash__sched_eevdf_check(const struct ash_sched *sched) {
    (void)sched;
    return NULL;
}
