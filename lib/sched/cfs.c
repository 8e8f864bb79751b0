/* SPDX-License-Identifier: MIT */
/*
 * cfs.c: the fair class as it was before EEVDF: the least vruntime first, in a red-black tree.
 * Virtual time and its remainder are as in eevdf.c. Whoever runs stays in the tree, and moves when
 * somebody comes before it.
 *
 * min_vruntime is the least vruntime of those who are there, and never goes back. A new one begins
 * there. Who has slept comes in no more than half a slice before it: it runs soon, and can save up
 * no more than that.
 */
#include "sched_internal.h"

static inline struct ash_sched_entity *entity_of(const struct ash_rbtree_node *node) {
    return ASH_CONTAINER_OF((struct ash_rbtree_node *)(uintptr_t)node, struct ash_sched_entity,
                            cfs.node);
}

static bool less(const struct ash_rbtree_node *a, const struct ash_rbtree_node *b) {
    return ash__sched_before(entity_of(a)->cfs.vruntime, entity_of(b)->cfs.vruntime);
}

static void insert(struct ash_sched_cfs *class, struct ash_sched_cfs_entity *own) {
    ash_rbtree_cached_insert(&class->tree, &own->node, less, NULL);
}

static void erase(struct ash_sched_cfs *class, struct ash_sched_cfs_entity *own) {
    ash_rbtree_cached_erase(&class->tree, &own->node, NULL);
}

static void follow(struct ash_sched_cfs *class) {
    const struct ash_rbtree_node *first = ash_rbtree_cached_first(&class->tree);
    if (first != NULL && ash__sched_before(class->min_vruntime, entity_of(first)->cfs.vruntime))
        class->min_vruntime = entity_of(first)->cfs.vruntime;
}

/* Its vruntime has grown: behind those who are not behind it, equals included. */
static void move(struct ash_sched_cfs *class, struct ash_sched_cfs_entity *own) {
    const struct ash_rbtree_node *next = ash_rbtree_next(&own->node);
    if (next != NULL && !less(&own->node, next)) {
        erase(class, own);
        insert(class, own);
    }
    follow(class);
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
    entity->cfs.vruntime = sched->cfs.min_vruntime;
    entity->cfs.weight = ash__sched_weight(entity->attributes.nice);
    entity->cfs.rest = 0;
    ash_rbtree_node_init(&entity->cfs.node);
}

void ash__sched_cfs_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_cfs_entity *own = &entity->cfs;
    uint64_t credit = ash__sched_mul_div(ash__sched_slice_of(sched, entity), 512, own->weight);
    uint64_t least = sched->cfs.min_vruntime - credit;
    if (ash__sched_before(own->vruntime, least))
        own->vruntime = least;
    insert(&sched->cfs, own);
}

void ash__sched_cfs_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    erase(&sched->cfs, &entity->cfs);
    follow(&sched->cfs);
}

void ash__sched_cfs_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                           uint64_t ran_ns) {
    struct ash_sched_cfs_entity *own = &entity->cfs;
    uint64_t work = ash_min_u64(ran_ns, ASH__SCHED_FAIR_RAN_MAX_NS) * 1024 + own->rest;
    own->rest = (uint32_t)(work % own->weight);
    if (work < own->weight)
        return;
    own->vruntime += work / own->weight;
    move(&sched->cfs, own);
}

struct ash_sched_entity *ash__sched_cfs_pick(struct ash_sched *sched) {
    const struct ash_rbtree_node *first = ash_rbtree_cached_first(&sched->cfs.tree);
    return first == NULL ? NULL : entity_of(first);
}

/* A slice, from each decision on; for ever where nobody else wants to run. */
uint64_t ash__sched_cfs_left(const struct ash_sched *sched, const struct ash_sched_entity *entity) {
    const struct ash_rbtree_node *root = sched->cfs.tree.tree.root;
    bool alone = root != NULL && root->child[0] == NULL && root->child[1] == NULL;
    return alone ? ASH__SCHED_FOREVER : ash__sched_slice_of(sched, entity);
}

/* Behind the next one: as if it had run until then. */
void ash__sched_cfs_yield(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_cfs_entity *own = &entity->cfs;
    const struct ash_rbtree_node *next = ash_rbtree_next(&own->node);
    if (next == NULL)
        return;
    erase(&sched->cfs, own);
    own->vruntime = entity_of(next)->cfs.vruntime;
    insert(&sched->cfs, own);
    follow(&sched->cfs);
}

/* What has run has run; the remainder was of the old weight. */
void ash__sched_cfs_reweight(struct ash_sched *sched, struct ash_sched_entity *entity) {
    (void)sched;
    entity->cfs.weight = ash__sched_weight(entity->attributes.nice);
    entity->cfs.rest = 0;
}

const char *ash__sched_cfs_check(const struct ash_sched *sched) {
    const struct ash_rbtree_cached *tree = &sched->cfs.tree;
    const struct ash_rbtree_node *first = ash_rbtree_first(&tree->tree);
    if (ash_rbtree_check(&tree->tree, less, NULL) != NULL)
        return "C1: the tree of fair entities is not in order";
    if (first != ash_rbtree_cached_first(tree))
        return "C2: the first fair entity is not the one noted";
    for (const struct ash_rbtree_node *node = first; node != NULL; node = ash_rbtree_next(node)) {
        if (entity_of(node)->cfs.rest >= entity_of(node)->cfs.weight)
            return "C3: a fair entity's rest is more than its weight";
    }
    return NULL;
}
