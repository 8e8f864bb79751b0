/* SPDX-License-Identifier: MIT */
/*
 * grub.c: greedy reclamation of unused bandwidth (Lipari, Baruah 2000; Abeni et al. 2015). While
 * servers sleep whose bandwidth nobody can claim any more, one that reclaims is charged by the
 * bandwidth of the others and its own alone: dq = -max(U, active) / max dt.
 *
 *     inactive ──wake──> active ──block──> non-contending ──zero-lag time: d - q D/Q──> inactive
 *                          ╰────────────<──wake──╯
 *
 * Kept only while somebody reclaims. U here is Q/D, which is Q/T where D = T. In a set that only
 * the demand test admits nothing can be reclaimed: nobody's spare time is known to be spare.
 */
#include "sched_internal.h"

#define LEFT_MAX ((uint64_t)1 << 62) /* of what can be run until a budget is used up */

/* Q/D of bandwidth_one, rounded up. */
uint64_t ash__sched_bandwidth(const struct ash_sched *sched,
                              const struct ash__sched_reservation *reservation) {
    uint64_t one = sched->config.bandwidth_one;
    uint64_t whole = ash__sched_mul_div(one, reservation->runtime_ns, reservation->relative_ns);
    return whole + (whole * reservation->relative_ns != one * reservation->runtime_ns);
}

/* When its bandwidth is free: (d - t) Q/D would be as much as q. Rounded up. */
uint64_t ash__sched_zero_lag(struct ash_sched *sched, const struct ash_sched_entity *entity) {
    const struct ash_sched_server *server = &entity->server;
    int64_t whole = ash__sched_budget_whole(entity);
    if (whole <= 0)
        return server->deadline;
    uint64_t budget = (uint64_t)whole;
    uint64_t before = ash__sched_mul_div(budget, server->relative_ns, server->runtime_ns);
    sched->stats.rounded += before * server->runtime_ns != budget * server->relative_ns;
    return server->deadline - before;
}

static void activate(struct ash_sched *sched, struct ash_sched_entity *entity) {
    entity->grub = ASH__GRUB_ACTIVE;
    sched->active_bandwidth += entity->bandwidth;
}

static void inactivate(struct ash_sched *sched, struct ash_sched_entity *entity) {
    entity->grub = ASH__GRUB_INACTIVE;
    sched->active_bandwidth -= entity->bandwidth;
}

static void end_parting(struct ash_sched *sched, struct ash_sched_parting *parting) {
    sched->active_bandwidth -= parting->bandwidth;
    parting->bandwidth = 0;
}

/* A time in the queue of timers has come: that of the slot's parting, until which the next
 * reservation of the slot is inactive, also while it waits; or that of who is not contending. */
void ash__sched_grub_timer(struct ash_sched *sched, uint32_t slot) {
    struct ash_sched_entity *entity = sched->entities[slot];
    bool waits = entity != NULL && entity->state == ASH_SCHED_THROTTLED;
    if (sched->partings[slot].bandwidth != 0) {
        end_parting(sched, &sched->partings[slot]);
        if (waits)
            activate(sched, entity);
    } else if (!waits) {
        inactivate(sched, entity);
    }
}

void ash__sched_grub_wake(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (sched->reclaimers == 0 || entity == &sched->reserve)
        return;
    if (entity->grub == ASH__GRUB_NONCONTENDING) {
        ash__sched_queue_remove(&sched->timers, entity->slot);
        entity->grub = ASH__GRUB_ACTIVE;
    } else if (sched->partings[entity->slot].bandwidth != 0) {
        ash__sched_queue_remove(&sched->timers, entity->slot); /* it will wait for that time */
    } else if (entity->grub == ASH__GRUB_INACTIVE) {
        activate(sched, entity);
    }
}

void ash__sched_grub_block(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_parting *parting = &sched->partings[entity->slot];
    if (sched->reclaimers == 0)
        return;
    if (parting->bandwidth != 0) { /* it has waited for that time, and does not any more */
        if (ash__sched_before(sched->now, parting->until))
            ash__sched_queue_insert(&sched->timers, entity->slot, parting->until);
        else
            end_parting(sched, parting);
    }
    if (entity->grub != ASH__GRUB_ACTIVE)
        return;
    uint64_t at = ash__sched_zero_lag(sched, entity);
    if (!ash__sched_before(sched->now, at)) {
        inactivate(sched, entity);
        return;
    }
    entity->grub = ASH__GRUB_NONCONTENDING;
    ash__sched_queue_insert(&sched->timers, entity->slot, at);
}

/* Its reservation leaves the set; blocked, or about to wait for its next period. What is active of
 * it is that of the parting from now on, and waits for the time at which admission counts it no
 * more. */
void ash__sched_grub_part(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_parting *parting = &sched->partings[entity->slot];
    if (entity->grub == ASH__GRUB_INACTIVE)
        return;
    if (entity->grub == ASH__GRUB_NONCONTENDING)
        ash__sched_queue_requeue(&sched->timers, entity->slot, parting->until);
    entity->grub = ASH__GRUB_INACTIVE;
    parting->bandwidth = entity->bandwidth;
}

/* The same of one that has not begun: nothing is handed on. */
void ash__sched_grub_leave(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (entity->grub == ASH__GRUB_NONCONTENDING)
        ash__sched_queue_remove(&sched->timers, entity->slot);
    if (entity->grub != ASH__GRUB_INACTIVE)
        inactivate(sched, entity);
}

static void switch_on(struct ash_sched *sched, uint32_t slot) {
    struct ash_sched_parting *parting = &sched->partings[slot];
    struct ash_sched_entity *entity = sched->entities[slot];
    if (ash__sched_counts(parting, sched->now)) {
        struct ash__sched_reservation reservation = {parting->runtime_ns, parting->relative_ns,
                                                     parting->period_ns};
        parting->bandwidth = ash__sched_bandwidth(sched, &reservation);
        sched->active_bandwidth += parting->bandwidth;
        if (!ash__sched_queue_has(&sched->timers, slot))
            ash__sched_queue_insert(&sched->timers, slot, parting->until);
    } else if (entity != NULL && entity->class_ == ASH_SCHED_REALTIME) {
        activate(sched, entity);
        if (entity->state == ASH_SCHED_BLOCKED)
            ash__sched_grub_block(sched, entity);
    }
}

static void switch_off(struct ash_sched *sched, uint32_t slot) {
    struct ash_sched_entity *entity = sched->entities[slot];
    bool waits = entity != NULL && entity->state == ASH_SCHED_THROTTLED;
    sched->partings[slot].bandwidth = 0;
    if (entity != NULL)
        entity->grub = ASH__GRUB_INACTIVE;
    if (ash__sched_queue_has(&sched->timers, slot) && !waits)
        ash__sched_queue_remove(&sched->timers, slot);
}

/* The first one that reclaims is there, or the last one has gone. */
void ash__sched_grub_switch(struct ash_sched *sched, bool on) {
    sched->active_bandwidth = 0;
    for (uint32_t slot = 0; slot < sched->config.entities_max; slot++) {
        if (on)
            switch_on(sched, slot);
        else
            switch_off(sched, slot);
    }
}

static uint64_t rate(const struct ash_sched *sched, const struct ash_sched_entity *entity) {
    if (sched->tight)
        return sched->bandwidth_max;
    if (sched->active_bandwidth >= sched->bandwidth_max)
        return sched->bandwidth_max;
    uint64_t active = ash_max_u64(entity->bandwidth, (uint64_t)sched->active_bandwidth);
    return ash_min_u64(active, sched->bandwidth_max);
}

/* What of `ran_ns` is charged; what is less than a nanosecond is kept for the next time. */
uint64_t ash__sched_grub_scale(struct ash_sched *sched, struct ash_sched_entity *entity,
                               uint64_t ran_ns) {
    ash__u128 product = (ash__u128)ran_ns * rate(sched, entity) + entity->charge_rest;
    uint64_t max = sched->bandwidth_max; /* ran < 2^61 and rate <= max: the quotient fits */
    uint64_t charged = ash__sched_div((uint64_t)(product >> 64), (uint64_t)product, max);
    entity->charge_rest = (uint64_t)product - charged * max;
    return charged;
}

/* Rounded down: who is charged less than its time must not run on for what it cannot pay. */
uint64_t ash__sched_grub_left(const struct ash_sched *sched,
                              const struct ash_sched_entity *entity) {
    uint64_t speed = rate(sched, entity);
    ash__u128 product =
        (ash__u128)(uint64_t)entity->server.budget * sched->bandwidth_max - entity->charge_rest;
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    if (high >= speed)
        return LEFT_MAX;
    uint64_t left = ash__sched_div(high, low, speed);
    return ash_min_u64(left, LEFT_MAX);
}
