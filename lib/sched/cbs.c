/* SPDX-License-Identifier: MIT */
/*
 * cbs.c: constant-bandwidth servers (Abeni, Buttazzo 1998), hard and soft, with the revised wake-up
 * rule for D < T (Linux, sched-deadline.rst). The rules by number are in DESIGN.md.
 *
 *     blocked ──wake──> ready ──q used up, hard──> throttled ──next period──> ready
 *                         ╰──q used up, soft──> ready, a period later
 */
#include <ashlar/checked.h>

#include "sched_internal.h"

/* What a call that came late costs at most. Beyond a second it was not the call that was late: the
 * clock has jumped, or the machine stood still. */
#define DEBT_MAX_NS (INT64_C(1) << 30)
/* What one charge counts at most: off any budget it fits, and so does what GRUB makes of it. */
#define RAN_MAX_NS (UINT64_C(1) << 61)

ASH_EVENT_DEFINE(event_wake_new, "sched.wake-new", "slot,deadline:ns");
ASH_EVENT_DEFINE(event_wake_keep, "sched.wake-keep", "slot,deadline:ns");
ASH_EVENT_DEFINE(event_wake_revised, "sched.wake-revised", "slot,deadline:ns");
ASH_EVENT_DEFINE(event_replenish, "sched.replenish", "slot,deadline:ns");
ASH_EVENT_DEFINE(event_throttle, "sched.throttle", "slot,deadline:ns");
ASH_EVENT_DEFINE(event_idle, "sched.idle", "slot,deadline:ns");

/* R1: without history: q = 0, and the period before this one ends now. */
void ash__sched_server_init(struct ash_sched *sched, struct ash_sched_entity *entity,
                            const struct ash__sched_reservation *reservation) {
    struct ash_sched_server *server = &entity->server;
    server->runtime_ns = reservation->runtime_ns;
    server->relative_ns = reservation->relative_ns;
    server->period_ns = reservation->period_ns;
    server->budget = 0;
    server->deadline = sched->now + server->relative_ns - server->period_ns;
    entity->grub = ASH__GRUB_INACTIVE;
    entity->charge_rest = 0;
    entity->bandwidth = ash__sched_bandwidth(sched, reservation);
}

static void renew(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_server *server = &entity->server;
    server->deadline = sched->now + server->relative_ns;
    server->budget = (int64_t)server->runtime_ns;
    entity->charge_rest = 0; /* of the budget that is gone */
}

/*
 * As many budgets as pay the debt, each a period later: one, unless a call came late. Whose
 * deadline is over all the same (a clock that jumped while it waited) begins anew, or it would run
 * until it had made up for that time; an overload that is simulated keeps its deadlines.
 */
static void add_budgets(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_server *server = &entity->server;
    uint64_t count = (uint64_t)-server->budget / server->runtime_ns + 1, ahead;
    uint64_t limit = sched->now + ASH__SCHED_AHEAD_MAX_NS - server->deadline;
    if (ASH_UNLIKELY(!ash_mul_u64(count, server->period_ns, &ahead) || ahead > limit)) {
        server->deadline = sched->now + ASH__SCHED_AHEAD_MAX_NS;
        server->budget = (int64_t)server->runtime_ns;
        return;
    }
    server->deadline += ahead;
    server->budget += (int64_t)(count * server->runtime_ns);
    if (ASH_UNLIKELY(ash__sched_before(server->deadline, sched->now)) &&
        !ash__sched_has(sched, ASH_SCHED_ADMIT_ALL))
        renew(sched, entity);
}

static void make_ready(struct ash_sched *sched, struct ash_sched_entity *entity) {
    entity->state = ASH_SCHED_READY;
    entity->ready_since = sched->now;
    ash__sched_realtime_insert(sched, entity);
}

/* The next period has begun. */
static void replenish(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_server *server = &entity->server;
    add_budgets(sched, entity);
    ASH_EVENT(event_replenish, entity->slot, server->deadline);
    make_ready(sched, entity);
    if (entity->job_ended)
        ash__sched_job_begins(entity);
}

/* Not in the queue of ready ones any more: waits for its next period, if that has not begun. */
static void throttle(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_server *server = &entity->server;
    if (server->budget > 0)
        server->budget = 0;
    entity->state = ASH_SCHED_THROTTLED;
    entity->account.throttles++;
    sched->stats.throttles++;
    ASH_EVENT(event_throttle, entity->slot, server->deadline);
    if (ash__sched_before(sched->now, ash__sched_next_period(server)))
        ash__sched_queue_insert(&sched->timers, entity->slot, ash__sched_next_period(server));
    else
        replenish(sched, entity);
}

/* The budget that is left would, used up by d, exceed the bandwidth: q/(d - t) against Q/D. */
static bool overflows(const struct ash_sched *sched, const struct ash_sched_entity *entity) {
    const struct ash_sched_server *server = &entity->server;
    int64_t budget = ash__sched_budget_whole(entity);
    if (budget <= 0)
        return false;
    ash__u128 left = (ash__u128)(uint64_t)budget * server->relative_ns;
    ash__u128 right = (ash__u128)(server->deadline - sched->now) * server->runtime_ns;
    return ash__sched_has(sched, ASH_SCHED_STRICT_WAKE) ? left > right : left >= right;
}

/* Keeps d, and of q what fits: (d - t) Q/D. */
static void revise(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_server *server = &entity->server;
    uint64_t ahead = server->deadline - sched->now; /* < D, or it would not overflow */
    uint64_t budget = ash__sched_mul_div(ahead, server->runtime_ns, server->relative_ns);
    sched->stats.rounded +=
        (uint64_t)(ahead * server->runtime_ns) != (uint64_t)(budget * server->relative_ns);
    server->budget = (int64_t)budget;
    entity->charge_rest = 0;
}

/*
 * Must the job wait for the next period? Where periods are more than their bandwidth (D < T, or a
 * set that only the demand test admits), a job that comes between d and the next period must; in
 * such a set, one that comes back within D of d too: nothing but its first release was counted on.
 */
static bool comes_early(const struct ash_sched *sched, const struct ash_sched_server *server) {
    if (!ash__sched_before(sched->now, ash__sched_next_period(server)))
        return false;
    if (!ash__sched_before(sched->now, server->deadline))
        return true; /* so D < T */
    return sched->tight && server->deadline - sched->now < server->relative_ns;
}

/* Ready, and q <= 0: hard waits for its next period, soft runs on in it, unless that is the first
 * of another reservation than it had. */
static void use_up(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if ((entity->flags & ASH_SCHED_SOFT) == 0 ||
        ash__sched_counts(&sched->partings[entity->slot], sched->now)) {
        ash__sched_realtime_remove(sched, entity);
        throttle(sched, entity);
        return;
    }
    add_budgets(sched, entity);
    ash__sched_queue_requeue(&sched->ready, entity->slot, entity->server.deadline);
    ASH_EVENT(event_replenish, entity->slot, entity->server.deadline);
}

void ash__sched_server_wake(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_server *server = &entity->server;
    if (ASH_UNLIKELY(sched->tight))
        ash__sched_loosen(sched);
    ash__sched_grub_wake(sched, entity);
    if (comes_early(sched, server)) {
        throttle(sched, entity);
        return;
    }
    bool constrained = server->relative_ns < server->period_ns;
    if (!ash__sched_before(sched->now, server->deadline) ||
        (!constrained && overflows(sched, entity))) {
        renew(sched, entity);
        ASH_EVENT(event_wake_new, entity->slot, server->deadline);
    } else if (constrained && overflows(sched, entity)) {
        revise(sched, entity);
        ASH_EVENT(event_wake_revised, entity->slot, server->deadline);
    } else {
        ASH_EVENT(event_wake_keep, entity->slot, server->deadline);
    }
    make_ready(sched, entity);
    if (server->budget <= 0)
        use_up(sched, entity);
}

void ash__sched_server_block(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (entity->state == ASH_SCHED_READY)
        ash__sched_realtime_remove(sched, entity);
    else if (ash__sched_queue_has(&sched->timers, entity->slot))
        ash__sched_queue_remove(&sched->timers, entity->slot);
    entity->state = ASH_SCHED_BLOCKED;
    sched->stats.rounded += entity->charge_rest != 0;
    ASH_EVENT(event_idle, entity->slot, entity->server.deadline);
    ash__sched_grub_block(sched, entity);
}

void ash__sched_server_exhausted(struct ash_sched *sched, struct ash_sched_entity *entity) {
    sched->stats.rounded += entity->charge_rest != 0 || entity->server.budget > 0;
    if (entity->server.budget > 0) { /* GRUB: it pays for less than a nanosecond */
        entity->server.budget = 0;
        entity->charge_rest = 0;
    }
    if (sched->config.overrun != NULL && entity != &sched->reserve)
        sched->config.overrun(sched->config.context, entity, sched->now);
    use_up(sched, entity);
}

/* Its job is done for this period; the next begins with the next period. */
void ash__sched_server_yield(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (entity->state != ASH_SCHED_READY)
        return;
    ash__sched_job_ends(sched, entity);
    ash__sched_realtime_remove(sched, entity);
    if (entity->server.budget > 0)
        entity->server.budget = 0;
    if (ASH_UNLIKELY(entity->measured))
        ash__sched_measure(sched, entity);
    throttle(sched, entity);
}

void ash__sched_server_timer(struct ash_sched *sched, uint32_t slot) {
    struct ash_sched_entity *entity = sched->entities[slot];
    if (ASH_UNLIKELY(sched->reclaimers != 0))
        ash__sched_grub_timer(sched, slot);
    if (entity != NULL && entity->state == ASH_SCHED_THROTTLED)
        replenish(sched, entity);
}

void ash__sched_server_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                              uint64_t ran_ns) {
    ran_ns = ash_min_u64(ran_ns, RAN_MAX_NS);
    if (ASH_UNLIKELY((entity->flags & ASH_SCHED_RECLAIM) != 0))
        ran_ns = ash__sched_grub_scale(sched, entity, ran_ns);
    int64_t left = entity->server.budget - (int64_t)ran_ns;
    if (ASH_UNLIKELY(left < 0))
        entity->account.overrun_ns += ash_min_u64(ran_ns, (uint64_t)-left);
    entity->server.budget = left < -DEBT_MAX_NS ? -DEBT_MAX_NS : left;
}

/* Nanoseconds until q is used up, if it runs. */
uint64_t ash__sched_server_left(const struct ash_sched *sched,
                                const struct ash_sched_entity *entity) {
    if (entity->server.budget <= 0)
        return 0;
    if (ASH_UNLIKELY((entity->flags & ASH_SCHED_RECLAIM) != 0))
        return ash__sched_grub_left(sched, entity);
    return (uint64_t)entity->server.budget;
}

/* When the bandwidth of one that is blocked is free for others. */
uint64_t ash__sched_server_departs(struct ash_sched *sched, const struct ash_sched_entity *entity) {
    const struct ash_sched_server *server = &entity->server;
    return sched->tight || server->relative_ns < server->period_ns
               ? ash__sched_next_period(server)
               : ash__sched_zero_lag(sched, entity);
}
