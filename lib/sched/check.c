/* SPDX-License-Identifier: MIT */
/* check.c: the invariants of DESIGN.md, by number. */
#include "fair.h"

/* I1: slots and entities name each other, and all slots are free or taken. */
static const char *check_slots(const struct ash_sched *sched) {
    uint32_t taken = 0;
    for (uint32_t slot = 0; slot < sched->config.entities_max + ASH__SCHED_OWN_SLOTS; slot++) {
        const struct ash_sched_entity *entity = sched->entities[slot];
        if (entity == NULL)
            continue;
        taken++;
        if (entity->slot != slot || entity->sched != sched)
            return "I1: a slot and its entity do not name each other";
    }
    if (taken - ASH__SCHED_OWN_SLOTS + sched->free_count != sched->config.entities_max)
        return "I1: a slot is lost";
    for (uint32_t i = 0; i < sched->free_count; i++) {
        if (sched->free_slots[i] >= sched->config.entities_max ||
            sched->entities[sched->free_slots[i]] != NULL)
            return "I1: a free slot is taken";
    }
    const struct ash_sched_entity *current = sched->current;
    if (current != NULL && (current->sched != sched || current->state == ASH_SCHED_BLOCKED))
        return "I1: what runs is not runnable";
    return NULL;
}

/* I2: a server is where its state says, by the key that its state says. */
static const char *check_server(const struct ash_sched *sched,
                                const struct ash_sched_entity *entity) {
    const struct ash_sched_server *server = &entity->server;
    bool ready = ash__sched_queue_has(&sched->ready, entity->slot);
    bool timed = ash__sched_queue_has(&sched->timers, entity->slot);
    bool parts = sched->partings[entity->slot].bandwidth != 0;
    bool waits = entity->grub == ASH__GRUB_NONCONTENDING;
    if (ready != (entity->state == ASH_SCHED_READY))
        return "I2: a ready server is not queued, or one is that is not ready";
    if (timed != (entity->state == ASH_SCHED_THROTTLED || waits || parts))
        return "I2: a server waits for a time without a timer, or has one for nothing";
    if (parts && (entity->grub != ASH__GRUB_INACTIVE || ready))
        return "I2: a server has begun before the one that it had was over";
    if (waits && entity->state != ASH_SCHED_BLOCKED)
        return "I2: a server that is awake waits for its zero-lag time";
    if (ready && ash__sched_queue_key(&sched->ready, entity->slot) != server->deadline)
        return "I2: a ready server's key is not its deadline";
    if (entity->state == ASH_SCHED_THROTTLED &&
        ash__sched_queue_key(&sched->timers, entity->slot) != ash__sched_next_period(server))
        return "I2: a throttled server does not wait for its next period";
    return NULL;
}

/* I3: who is ready has budget, and nobody more than Q; only what runs may have used it up. */
static const char *check_budget(const struct ash_sched *sched,
                                const struct ash_sched_entity *entity) {
    const struct ash_sched_server *server = &entity->server;
    bool runs = entity == sched->current || entity == &sched->reserve;
    if (server->budget > (int64_t)server->runtime_ns)
        return "I3: a server has more than its runtime";
    if (entity->state == ASH_SCHED_READY && server->budget <= 0 && !runs)
        return "I3: a ready server has no budget";
    if (entity->state == ASH_SCHED_THROTTLED && server->budget > 0)
        return "I3: a server with budget is throttled";
    return NULL;
}

/* I2, and what GRUB counts of a slot's parting. */
static const char *check_parting(const struct ash_sched *sched, uint32_t slot) {
    const struct ash_sched_parting *parting = &sched->partings[slot];
    const struct ash_sched_entity *entity = sched->entities[slot];
    if (parting->bandwidth == 0 || (entity != NULL && entity->state == ASH_SCHED_THROTTLED))
        return NULL;
    if (!ash__sched_queue_has(&sched->timers, slot) ||
        ash__sched_queue_key(&sched->timers, slot) != parting->until)
        return "I2: a reservation that left does not wait for its time";
    return sched->reclaimers != 0 ? NULL : "I4: nobody reclaims, and bandwidth is counted";
}

static const char *check_servers(const struct ash_sched *sched) {
    uint32_t ready = 0, timers = 0, reclaimers = 0;
    ash__u128 active = 0;
    for (uint32_t slot = 0; slot < sched->config.entities_max + ASH__SCHED_OWN_SLOTS; slot++) {
        const struct ash_sched_entity *entity = sched->entities[slot];
        const char *broken = check_parting(sched, slot);
        timers += ash__sched_queue_has(&sched->timers, slot);
        active += sched->partings[slot].bandwidth;
        if (broken == NULL && (entity == NULL || entity->class_ != ASH_SCHED_REALTIME))
            continue;
        if (broken == NULL)
            broken = check_server(sched, entity);
        if (broken == NULL)
            broken = check_budget(sched, entity);
        if (broken != NULL)
            return broken;
        ready += ash__sched_queue_has(&sched->ready, slot);
        reclaimers += (entity->flags & ASH_SCHED_RECLAIM) != 0;
        active += entity->grub == ASH__GRUB_INACTIVE ? 0 : entity->bandwidth;
    }
    if (ready != sched->ready.length || timers != sched->timers.length)
        return "I2: a queue holds what is no server";
    /* I4 */
    if (reclaimers != sched->reclaimers || active != sched->active_bandwidth)
        return "I4: the active bandwidth is not the sum of what is not inactive";
    /* I5 */
    if (ash__sched_has(sched, ASH_SCHED_ADMIT_ALL))
        return NULL;
    if (!ash__sched_fits(sched, false))
        return "I5: the bandwidths sum to more than 1";
    if (!sched->tight && !ash__sched_fits(sched, true))
        return "I5: the densities sum to more than 1, and the set is not tight";
    return NULL;
}

/* I6: who is runnable in which class is counted right, and fair's reservation follows. */
static const char *check_counts(const struct ash_sched *sched) {
    uint32_t fair = sched->mlfq.count != 0, interactive = 0, runnable = 0;
    for (uint32_t slot = 0; slot < sched->config.entities_max; slot++) {
        const struct ash_sched_entity *entity = sched->entities[slot];
        if (entity == NULL || entity->state == ASH_SCHED_BLOCKED)
            continue;
        runnable++;
        fair += entity->class_ == ASH_SCHED_FAIR;
        interactive += entity->class_ == ASH_SCHED_INTERACTIVE;
    }
    if (fair != sched->fair_count || interactive != sched->mlfq.count ||
        runnable != sched->hint_runnable)
        return "I6: a count of runnable entities is wrong";
    if (sched->config.reserve_runtime_ns != 0 &&
        (fair == 0) != (sched->reserve.state == ASH_SCHED_BLOCKED))
        return "I6: fair's reservation sleeps while fair does not, or the other way round";
    return NULL;
}

const char *ash_sched_check(const struct ash_sched *sched) {
    const char *broken = check_slots(sched);
    if (broken == NULL)
        broken = ash__sched_queue_check(&sched->ready);
    if (broken == NULL)
        broken = ash__sched_queue_check(&sched->timers);
    if (broken == NULL)
        broken = check_servers(sched);
    if (broken == NULL)
        broken = check_counts(sched);
    if (broken == NULL)
        broken = ASH__FAIR(sched, check, sched);
    if (broken == NULL)
        broken = ash__sched_mlfq_check(sched);
    return broken;
}
