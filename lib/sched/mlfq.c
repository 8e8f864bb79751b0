/* SPDX-License-Identifier: MIT */
/*
 * mlfq.c: the interactive class: a multi-level feedback queue (Arpaci-Dusseau, chapter 8).
 *
 *   occupied, a bit a level   0: first -> ... -> last      5 ms of allotment
 *                             1: first -> ... -> last     10 ms      ...
 *
 * The first of the highest level that has somebody runs, and stays the first when it is preempted.
 * Who has used up its level's allotment goes to the end of the next level; on the last, to the end
 * of that. What it has used counts across sleeps, so that nobody stays by blocking just before the
 * end. A boost puts all back to level 0, in the order of their levels; entities learn of it when
 * they are touched next, by the number of boosts so far: it costs a splice a level, not a visit to
 * everybody. The times of boosts are a grid from the beginning on: a late call does not shift them.
 */
#include "sched_internal.h"

static inline struct ash_sched_entity *entity_of(struct ash_list *node) {
    return ASH_LIST_ENTRY(node, struct ash_sched_entity, mlfq.node);
}

static inline void push(struct ash_sched_mlfq *class, struct ash_sched_entity *entity) {
    ash_list_push_back(&class->levels[entity->level], &entity->mlfq.node);
    class->occupied |= UINT64_C(1) << entity->level;
}

static inline void take(struct ash_sched_mlfq *class, struct ash_sched_entity *entity) {
    ash_list_remove(&entity->mlfq.node);
    if (ash_list_is_empty(&class->levels[entity->level]))
        class->occupied &= ~(UINT64_C(1) << entity->level);
}

/* Makes the entity's own notes true after boosts that it has not heard of. */
static inline void hear_of_boosts(const struct ash_sched_mlfq *class,
                                  struct ash_sched_entity *entity) {
    if (entity->mlfq.boosts == class->boosts)
        return;
    entity->mlfq.boosts = class->boosts;
    entity->mlfq.used_ns = 0;
    entity->level = 0;
}

void ash__sched_mlfq_init(struct ash_sched *sched, uint64_t now) {
    for (uint32_t level = 0; level < ASH_SCHED_LEVELS_MAX; level++)
        ash_list_init(&sched->mlfq.levels[level]);
    sched->mlfq.boost_at = now + sched->config.boost_ns;
}

void ash__sched_mlfq_attach(struct ash_sched *sched, struct ash_sched_entity *entity) {
    entity->mlfq.used_ns = 0;
    entity->mlfq.boosts = sched->mlfq.boosts;
    entity->level = 0;
    ash_list_init(&entity->mlfq.node);
}

void ash__sched_mlfq_boost(struct ash_sched *sched) {
    struct ash_sched_mlfq *class = &sched->mlfq;
    uint64_t every_ns = sched->config.boost_ns;
    class->boost_at += ((sched->now - class->boost_at) / every_ns + 1) * every_ns;
    for (uint32_t level = 1; level < ASH_SCHED_LEVELS_MAX; level++)
        ash_list_splice_back(&class->levels[0], &class->levels[level]);
    class->occupied = class->count != 0;
    class->boosts++;
}

void ash__sched_mlfq_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    hear_of_boosts(&sched->mlfq, entity);
    push(&sched->mlfq, entity);
    sched->mlfq.count++;
}

void ash__sched_mlfq_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    hear_of_boosts(&sched->mlfq, entity);
    take(&sched->mlfq, entity);
    sched->mlfq.count--;
}

/* What was used beyond an allotment, because the call came late, counts on the next level. */
static __attribute__((noinline)) void demote(struct ash_sched *sched,
                                             struct ash_sched_entity *entity) {
    const uint64_t *allotments_ns = sched->mlfq.allotments_ns;
    take(&sched->mlfq, entity);
    while (entity->mlfq.used_ns >= allotments_ns[entity->level]) {
        if (entity->level + 1u == sched->config.levels) {
            entity->mlfq.used_ns = 0;
            break;
        }
        entity->mlfq.used_ns -= allotments_ns[entity->level++];
    }
    push(&sched->mlfq, entity);
}

void ash__sched_mlfq_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                            uint64_t ran_ns) {
    hear_of_boosts(&sched->mlfq, entity);
    entity->mlfq.used_ns += ran_ns;
    if (entity->mlfq.used_ns >= sched->mlfq.allotments_ns[entity->level])
        demote(sched, entity);
}

struct ash_sched_entity *ash__sched_mlfq_pick(struct ash_sched *sched) {
    if (sched->mlfq.occupied == 0)
        return NULL;
    return entity_of(sched->mlfq.levels[ash_ctz64(sched->mlfq.occupied)].next);
}

/* Of its allotment. */
uint64_t ash__sched_mlfq_left(const struct ash_sched *sched,
                              const struct ash_sched_entity *entity) {
    const struct ash_sched_mlfq *class = &sched->mlfq;
    if (entity->mlfq.boosts != class->boosts)
        return class->allotments_ns[0];
    return class->allotments_ns[entity->level] - entity->mlfq.used_ns;
}

/* Until the next boost, if there is somebody for whom it could matter. */
uint64_t ash__sched_mlfq_next(const struct ash_sched *sched, uint64_t now) {
    if (sched->config.boost_ns == 0 || sched->mlfq.count == 0)
        return ASH__SCHED_FOREVER;
    return sched->mlfq.boost_at - now;
}

/* To the end of its level; what it has used stays used. */
void ash__sched_mlfq_yield(struct ash_sched *sched, struct ash_sched_entity *entity) {
    hear_of_boosts(&sched->mlfq, entity);
    take(&sched->mlfq, entity);
    push(&sched->mlfq, entity);
}

/* Checker */

static const char *check_level(const struct ash_sched *sched, uint32_t level, uint32_t *count) {
    const struct ash_sched_mlfq *class = &sched->mlfq;
    const struct ash_list *head = &class->levels[level];
    bool occupied = (class->occupied >> level & 1) != 0;
    if (ash_list_check(head, sched->config.entities_max) != NULL)
        return "M1: a level's list is broken, or has more than there are entities";
    if (occupied == ash_list_is_empty(head))
        return "M2: a level's bit does not say whether somebody is there";
    for (struct ash_list *node = head->next; node != head; node = node->next) {
        const struct ash_sched_entity *entity = entity_of(node);
        bool heard = entity->mlfq.boosts == class->boosts;
        ++*count;
        if (level != (heard ? entity->level : 0))
            return "M3: an entity is not on its level";
        if (heard && entity->mlfq.used_ns >= class->allotments_ns[level])
            return "M4: an entity has used up its allotment and stays";
    }
    return NULL;
}

const char *ash__sched_mlfq_check(const struct ash_sched *sched) {
    const char *broken = NULL;
    uint32_t count = 0;
    for (uint32_t level = 0; broken == NULL && level < ASH_SCHED_LEVELS_MAX; level++)
        broken = check_level(sched, level, &count);
    if (broken == NULL && count != sched->mlfq.count)
        broken = "M5: as many interactive entities as are counted are not queued";
    return broken;
}
