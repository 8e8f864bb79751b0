/* SPDX-License-Identifier: MIT */
/* mlfq.c: the interactive class: one level, in turn. */
#include "sched_internal.h"

void ash__sched_mlfq_init(struct ash_sched *sched, uint64_t now) {
    (void)now;
    ash_list_init(&sched->mlfq.levels[0]);
}

void ash__sched_mlfq_attach(struct ash_sched *sched, struct ash_sched_entity *entity) {
    (void)sched;
    entity->mlfq.used_ns = 0;
    entity->level = 0;
    ash_list_init(&entity->mlfq.node);
}

void ash__sched_mlfq_advance(struct ash_sched *sched, uint64_t now) {
    (void)sched, (void)now;
}

void ash__sched_mlfq_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash_list_push_back(&sched->mlfq.levels[0], &entity->mlfq.node);
    sched->mlfq.count++;
}

void ash__sched_mlfq_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash_list_remove(&entity->mlfq.node);
    sched->mlfq.count--;
}

void ash__sched_mlfq_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                            uint64_t ran_ns) {
    entity->mlfq.used_ns += ran_ns;
    if (entity->mlfq.used_ns >= sched->config.slice_ns)
        ash__sched_mlfq_yield(sched, entity);
}

struct ash_sched_entity *ash__sched_mlfq_pick(struct ash_sched *sched) {
    struct ash_list *node = ash_list_first(&sched->mlfq.levels[0]);
    return node == NULL ? NULL : ASH_LIST_ENTRY(node, struct ash_sched_entity, mlfq.node);
}

uint64_t ash__sched_mlfq_left(const struct ash_sched *sched,
                              const struct ash_sched_entity *entity) {
    return sched->config.slice_ns - entity->mlfq.used_ns;
}

uint64_t ash__sched_mlfq_next(const struct ash_sched *sched, uint64_t now) {
    (void)sched, (void)now;
    return ASH__SCHED_FOREVER;
}

void ash__sched_mlfq_yield(struct ash_sched *sched, struct ash_sched_entity *entity) {
    entity->mlfq.used_ns = 0;
    ash_list_remove(&entity->mlfq.node);
    ash_list_push_back(&sched->mlfq.levels[0], &entity->mlfq.node);
}

bool ash__sched_mlfq_preempts(const struct ash_sched *sched, const struct ash_sched_entity *woken,
                              const struct ash_sched_entity *running) {
    (void)sched, (void)woken, (void)running;
    return false;
}

const char *ash__sched_mlfq_check(const struct ash_sched *sched) {
    (void)sched;
    return NULL;
}
