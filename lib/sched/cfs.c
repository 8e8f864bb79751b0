/* SPDX-License-Identifier: MIT */
/* cfs.c: the fair class: least vruntime first. */
#include "sched_internal.h"

static bool less(const struct ash_rbtree_node *a, const struct ash_rbtree_node *b) {
    return ash__sched_before(ASH_CONTAINER_OF(a, struct ash_sched_cfs_entity, node)->vruntime,
                             ASH_CONTAINER_OF(b, struct ash_sched_cfs_entity, node)->vruntime);
}

size_t ash__sched_cfs_bytes(uint32_t slots) {
    (void)slots;
    return 0;
}

void ash__sched_cfs_init(struct ash_sched *sched, void *storage, uint32_t slots) {
    (void)storage, (void)slots;
    ash_rbtree_cached_init(&sched->cfs.tree);
}

void ash__sched_cfs_attach(struct ash_sched *sched, struct ash_sched_entity *entity) {
    (void)sched;
    entity->cfs.vruntime = 0;
    entity->cfs.weight = ash__sched_weight(entity->attributes.nice);
}

void ash__sched_cfs_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash_rbtree_cached_insert(&sched->cfs.tree, &entity->cfs.node, less, NULL);
}

void ash__sched_cfs_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash_rbtree_cached_erase(&sched->cfs.tree, &entity->cfs.node, NULL);
}

void ash__sched_cfs_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                           uint64_t ran_ns) {
    ash__sched_cfs_dequeue(sched, entity);
    entity->cfs.vruntime += ash_mul_div_u64(ran_ns, 1024, entity->cfs.weight);
    ash__sched_cfs_enqueue(sched, entity);
}

struct ash_sched_entity *ash__sched_cfs_pick(struct ash_sched *sched) {
    struct ash_rbtree_node *node = ash_rbtree_cached_first(&sched->cfs.tree);
    return node == NULL ? NULL : ASH_RBTREE_ENTRY(node, struct ash_sched_entity, cfs.node);
}

uint64_t ash__sched_cfs_left(const struct ash_sched *sched, const struct ash_sched_entity *entity) {
    (void)entity;
    return sched->config.slice_ns;
}

void ash__sched_cfs_yield(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash__sched_cfs_dequeue(sched, entity);
    ash__sched_cfs_enqueue(sched, entity);
}

void ash__sched_cfs_reweight(struct ash_sched *sched, struct ash_sched_entity *entity) {
    (void)sched;
    entity->cfs.weight = ash__sched_weight(entity->attributes.nice);
}

bool ash__sched_cfs_preempts(const struct ash_sched *sched, const struct ash_sched_entity *woken,
                             const struct ash_sched_entity *running) {
    (void)sched;
    return ash__sched_before(woken->cfs.vruntime, running->cfs.vruntime);
}

const char *ash__sched_cfs_check(const struct ash_sched *sched) {
    (void)sched;
    return NULL;
}
