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

#define SPAN_MAX ((uint64_t)1 << 62)

/* Q/D of bandwidth_one, rounded up. */
uint64_t ash__sched_bandwidth(const struct ash_sched *sched,
                              const struct ash__sched_reservation *reservation) {
    uint64_t one = sched->config.bandwidth_one;
    uint64_t whole = ash_mul_div_u64(one, reservation->runtime_ns, reservation->relative_ns);
    return whole + (whole * reservation->relative_ns != one * reservation->runtime_ns);
}

/* When its bandwidth is free: (d - t) Q/D would be as much as q. Rounded up. */
uint64_t ash__sched_zero_lag(struct ash_sched *sched, const struct ash_sched_entity *entity) {
    const struct ash_sched_server *server = &entity->server;
    int64_t whole = ash__sched_budget_whole(entity);
    if (whole <= 0)
        return server->deadline;
    uint64_t budget = (uint64_t)whole;
    uint64_t before = ash_mul_div_u64(budget, server->relative_ns, server->runtime_ns);
    sched->stats.rounded += before * server->runtime_ns != budget * server->relative_ns;
    return server->deadline - before;
}

static void activate(struct ash_sched *sched, struct ash_sched_entity *entity) {
    entity->grub = ASH__GRUB_ACTIVE;
    sched->active_bandwidth += entity->bandwidth;
}

void ash__sched_grub_timer(struct ash_sched *sched, struct ash_sched_entity *entity) {
    entity->grub = ASH__GRUB_INACTIVE;
    sched->active_bandwidth -= entity->bandwidth;
}

void ash__sched_grub_wake(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (sched->reclaimers == 0 || entity == &sched->reserve)
        return;
    if (entity->grub == ASH__GRUB_NONCONTENDING) {
        ash__sched_queue_remove(&sched->timers, entity->slot);
        entity->grub = ASH__GRUB_ACTIVE;
    } else if (entity->grub == ASH__GRUB_INACTIVE) {
        activate(sched, entity);
    }
}

void ash__sched_grub_block(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (entity->grub != ASH__GRUB_ACTIVE)
        return;
    uint64_t at = ash__sched_zero_lag(sched, entity);
    if (!ash__sched_before(sched->now, at)) {
        ash__sched_grub_timer(sched, entity);
        return;
    }
    entity->grub = ASH__GRUB_NONCONTENDING;
    ash__sched_queue_insert(&sched->timers, entity->slot, at);
}

/* It leaves the set; blocked. */
void ash__sched_grub_leave(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (entity->grub == ASH__GRUB_NONCONTENDING)
        ash__sched_queue_remove(&sched->timers, entity->slot);
    if (entity->grub != ASH__GRUB_INACTIVE)
        ash__sched_grub_timer(sched, entity);
}

/* The first one that reclaims is there, or the last one has gone. */
void ash__sched_grub_switch(struct ash_sched *sched, bool on) {
    for (uint32_t slot = 0; slot < sched->config.entities_max; slot++) {
        struct ash_sched_entity *entity = sched->entities[slot];
        if (entity == NULL || entity->class_ != ASH_SCHED_REALTIME)
            continue;
        if (!on) {
            ash__sched_grub_leave(sched, entity);
            continue;
        }
        activate(sched, entity);
        if (entity->state == ASH_SCHED_BLOCKED)
            ash__sched_grub_block(sched, entity);
    }
}

static uint64_t rate(const struct ash_sched *sched, const struct ash_sched_entity *entity) {
    if (sched->tight)
        return sched->bandwidth_max;
    uint64_t active = ash_max_u64(entity->bandwidth, sched->active_bandwidth);
    return ash_min_u64(active, sched->bandwidth_max);
}

/* What of `ran_ns` is charged; what is less than a nanosecond is kept for the next time. */
uint64_t ash__sched_grub_scale(struct ash_sched *sched, struct ash_sched_entity *entity,
                               uint64_t ran_ns) {
    ash__u128 product = (ash__u128)ran_ns * rate(sched, entity) + entity->charge_rest;
    uint64_t max = sched->bandwidth_max; /* ran < 2^61 and rate <= max: the quotient fits */
    uint64_t charged = ash_div_128_by_64((uint64_t)(product >> 64), (uint64_t)product, max);
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
        return SPAN_MAX;
    uint64_t left = ash_div_128_by_64(high, low, speed);
    return ash_min_u64(left, SPAN_MAX);
}
