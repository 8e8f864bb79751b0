/* SPDX-License-Identifier: MIT */
/*
 * sched.c: the calls that happen all the time. Each charges what ran, does what has come due, in
 * this order: budget used up, timers; then its own business. decide picks, and says until when.
 */
#include "fair.h"

ASH_EVENT_DEFINE(event_wake, "sched.wake", "slot,class");
ASH_EVENT_DEFINE(event_block, "sched.block", "slot,class");
ASH_EVENT_DEFINE(event_switch, "sched.switch", "slot,from");
ASH_EVENT_DEFINE(event_starving, "sched.starving", "slot,waited:ns");
ASH_EVENT_DEFINE_KIND(event_runnable, ASH_EVENT_COUNTER, "sched.runnable", "cpu,entities");

/*
 * The reservation is ready while fair has somebody to run, but as long as no other server is, fair
 * runs anyway and uses nothing of it: it is as if it slept, and wakes with the first other server.
 */
void ash__sched_realtime_insert(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_entity *reserve = &sched->reserve;
    if (entity != reserve && reserve->state == ASH_SCHED_READY && sched->ready.length == 1) {
        ash__sched_queue_remove(&sched->ready, reserve->slot);
        ash__sched_queue_insert(&sched->ready, entity->slot, entity->server.deadline);
        reserve->state = ASH_SCHED_BLOCKED;
        ash__sched_server_wake(sched, reserve);
        return;
    }
    ash__sched_queue_insert(&sched->ready, entity->slot, entity->server.deadline);
}

void ash__sched_realtime_remove(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash__sched_queue_remove(&sched->ready, entity->slot);
}

/* Fair has somebody, or nobody any more. */
static void reserve_follows(struct ash_sched *sched) {
    struct ash_sched_entity *reserve = &sched->reserve;
    if (sched->config.reserve_runtime_ns == 0)
        return;
    if (sched->fair_count != 0 && reserve->state == ASH_SCHED_BLOCKED)
        ash__sched_server_wake(sched, reserve);
    else if (sched->fair_count == 0 && reserve->state != ASH_SCHED_BLOCKED)
        ash__sched_server_block(sched, reserve);
}

static void fair_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash__sched_fair_enqueue(sched, entity);
    if (sched->fair_count == 1)
        reserve_follows(sched);
}

static void fair_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash__sched_fair_dequeue(sched, entity);
    if (sched->fair_count == 0)
        reserve_follows(sched);
}

static inline void count_runnable(struct ash_sched *sched, uint32_t runnable) {
    ash_store_relaxed(&sched->hint_runnable, runnable);
    ASH_EVENT(event_runnable, sched->config.cpu, runnable);
}

void ash__sched_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    entity->state = ASH_SCHED_READY;
    entity->ready_since = sched->now;
    switch (entity->class_) {
    case ASH_SCHED_REALTIME:
        ash__sched_server_wake(sched, entity);
        ash__sched_job_begins(entity);
        break;
    case ASH_SCHED_FAIR:
        fair_enqueue(sched, entity);
        break;
    case ASH_SCHED_INTERACTIVE:
        ash__sched_mlfq_enqueue(sched, entity);
        if (sched->mlfq.count == 1)
            fair_enqueue(sched, &sched->interactive);
        break;
    default:
        ash_list_push_back(&sched->idle, &entity->idle.node);
        break;
    }
    count_runnable(sched, sched->hint_runnable + 1);
}

void ash__sched_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    switch (entity->class_) {
    case ASH_SCHED_REALTIME:
        ash__sched_server_block(sched, entity);
        break;
    case ASH_SCHED_FAIR:
        fair_dequeue(sched, entity);
        break;
    case ASH_SCHED_INTERACTIVE:
        ash__sched_mlfq_dequeue(sched, entity);
        if (sched->mlfq.count == 0)
            fair_dequeue(sched, &sched->interactive);
        break;
    default:
        ash_list_remove(&entity->idle.node);
        break;
    }
    entity->state = ASH_SCHED_BLOCKED;
    count_runnable(sched, sched->hint_runnable - 1);
}

static void idle_charge(struct ash_sched *sched, struct ash_sched_entity *entity, uint64_t ran_ns) {
    entity->idle.used_ns += ran_ns;
    if (entity->idle.used_ns < sched->config.slice_ns)
        return;
    entity->idle.used_ns = 0;
    ash_list_remove(&entity->idle.node);
    ash_list_push_back(&sched->idle, &entity->idle.node);
}

/* Ready, and with nothing to run on: by GRUB's rates, less than a nanosecond is nothing. */
static bool is_used_up(const struct ash_sched *sched, const struct ash_sched_entity *entity) {
    if (entity->class_ != ASH_SCHED_REALTIME || entity->state != ASH_SCHED_READY)
        return false;
    return entity->server.budget <= 0 || (ASH_UNLIKELY((entity->flags & ASH_SCHED_RECLAIM) != 0) &&
                                          ash__sched_server_left(sched, entity) == 0);
}

static void exhaust(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (entity != NULL && is_used_up(sched, entity))
        ash__sched_server_exhausted(sched, entity);
}

static inline void charge(struct ash_sched *sched, uint64_t now) {
    struct ash_sched_entity *entity = sched->current;
    uint64_t ran_ns = now - sched->now;
    sched->now = now;
    if (entity == NULL || ran_ns == 0)
        return;
    entity->runtime_ns += ran_ns;
    switch (entity->class_) {
    case ASH_SCHED_REALTIME:
        ash__sched_server_charge(sched, entity, ran_ns);
        ash__sched_job_look(sched, entity);
        return;
    case ASH_SCHED_INTERACTIVE:
        ash__sched_mlfq_charge(sched, entity, ran_ns);
        ash__sched_fair_charge(sched, &sched->interactive, ran_ns);
        break;
    case ASH_SCHED_FAIR:
        ash__sched_fair_charge(sched, entity, ran_ns);
        break;
    default:
        idle_charge(sched, entity, ran_ns);
        return;
    }
    if (sched->by_reserve)
        ash__sched_server_charge(sched, &sched->reserve, ran_ns);
}

static void fire_timers(struct ash_sched *sched) {
    do {
        uint32_t slot = ash__sched_queue_first(&sched->timers);
        ash__sched_queue_remove(&sched->timers, slot);
        ash__sched_server_timer(sched, slot);
    } while (sched->timers.length != 0 &&
             !ash__sched_before(sched->now, ash__sched_queue_first_key(&sched->timers)));
}

/* In place, for decide: most of the time nothing but the charge is to be done. */
static inline void advance(struct ash_sched *sched, uint64_t now) {
    charge(sched, now);
    if (sched->ready.length != 0) { /* else neither of them is ready */
        exhaust(sched, sched->current);
        exhaust(sched, &sched->reserve);
    }
    if (sched->timers.length != 0 &&
        !ash__sched_before(now, ash__sched_queue_first_key(&sched->timers)))
        fire_timers(sched);
    if (sched->config.boost_ns != 0 && !ash__sched_before(now, sched->mlfq.boost_at))
        ash__sched_mlfq_boost(sched);
}

void ash__sched_charge(struct ash_sched *sched, uint64_t now) {
    charge(sched, now);
}

void ash__sched_advance(struct ash_sched *sched, uint64_t now) {
    advance(sched, now);
}

static struct ash_sched_entity *pick_fair(struct ash_sched *sched) {
    if (sched->fair_count == 0) {
        struct ash_list *node = ash_list_first(&sched->idle);
        return node == NULL ? NULL : ASH_LIST_ENTRY(node, struct ash_sched_entity, idle.node);
    }
    struct ash_sched_entity *entity = ash__sched_fair_pick(sched);
    return entity == &sched->interactive ? ash__sched_mlfq_pick(sched) : entity;
}

static inline struct ash_sched_entity *pick(struct ash_sched *sched) {
    sched->by_reserve = false;
    if (sched->ready.length == 0)
        return pick_fair(sched);
    uint32_t slot = ash__sched_queue_first(&sched->ready);
    if (slot != sched->reserve.slot)
        return sched->entities[slot];
    sched->by_reserve = sched->ready.length > 1;
    return pick_fair(sched);
}

static inline void switch_to(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_entity *before = sched->current;
    if (before != NULL)
        before->ready_since = sched->now;
    sched->current = entity;
    uint32_t class_ = ASH_SCHED_NOTHING;
    if (entity != NULL) {
        class_ = entity->class_;
        entity->account.switches++;
        entity->account.waited_max_ns =
            ash_max_u64(entity->account.waited_max_ns, sched->now - entity->ready_since);
        entity->starved = 0;
        if (class_ == ASH_SCHED_REALTIME)
            ash__sched_job_look(sched, entity);
    }
    sched->stats.switches++;
    ash_store_relaxed(&sched->hint_class, class_);
    ASH_EVENT(event_switch, entity != NULL ? entity->slot : ASH__SCHED_NO_SLOT,
              before != NULL ? before->slot : ASH__SCHED_NO_SLOT);
}

/* Whoever is runnable and has not run for starving_ns is told of, once a wait; within half as long
 * again, since all are looked at twice in that time. */
static void watch(struct ash_sched *sched) {
    uint64_t starving_ns = sched->config.starving_ns;
    sched->watch_at = sched->now + (starving_ns + 1) / 2;
    for (uint32_t slot = 0; slot < sched->config.entities_max; slot++) {
        struct ash_sched_entity *entity = sched->entities[slot];
        if (entity == NULL || entity->state != ASH_SCHED_READY || entity == sched->current ||
            entity->starved || sched->now - entity->ready_since < starving_ns)
            continue;
        entity->starved = 1;
        sched->stats.starvings++;
        ASH_EVENT(event_starving, slot, sched->now - entity->ready_since);
        if (sched->config.starving != NULL)
            sched->config.starving(sched->config.context, entity, sched->now - entity->ready_since);
    }
}

/* How long the current one may run, by its own class's rules. */
static inline uint64_t current_left(const struct ash_sched *sched) {
    const struct ash_sched_entity *entity = sched->current;
    uint64_t left;
    if (entity == NULL)
        return ASH__SCHED_FOREVER;
    switch (entity->class_) {
    case ASH_SCHED_REALTIME:
        left = ash__sched_server_left(sched, entity);
        if (sched->config.missed == NULL || entity->job_late || entity->job_ended ||
            ash__sched_before(entity->job_deadline, sched->now))
            return left;
        return ash_min_u64(left, entity->job_deadline + 1 - sched->now);
    case ASH_SCHED_INTERACTIVE:
        left = ash_min_u64(ash__sched_mlfq_left(sched, entity),
                           ASH__FAIR(sched, left, sched, &sched->interactive));
        break;
    case ASH_SCHED_FAIR:
        left = ASH__FAIR(sched, left, sched, entity);
        break;
    default:
        return entity->idle.node.next == entity->idle.node.prev
                   ? ASH__SCHED_FOREVER
                   : sched->config.slice_ns - entity->idle.used_ns;
    }
    return sched->by_reserve ? ash_min_u64(left, ash__sched_server_left(sched, &sched->reserve))
                             : left;
}

/* How long what was decided holds, if nothing happens. */
static inline uint64_t decision_left(const struct ash_sched *sched) {
    uint64_t now = sched->now;
    uint64_t left = ash_min_u64(current_left(sched), ash__sched_mlfq_next(sched, now));
    if (sched->timers.length != 0)
        left = ash_min_u64(left, ash__sched_queue_first_key(&sched->timers) - now);
    if (sched->config.starving_ns != 0 && sched->hint_runnable > 1)
        left =
            ash_min_u64(left, ash__sched_before(now, sched->watch_at) ? sched->watch_at - now : 0);
    return left;
}

static inline void say_when(struct ash_sched *sched, struct ash_sched_decision *decision) {
    uint64_t left = decision_left(sched);
    sched->timed = left != ASH__SCHED_FOREVER;
    sched->call_at = sched->timed ? sched->now + left : 0;
    decision->run = sched->current;
    decision->timed = sched->timed;
    decision->call_at = sched->call_at;
}

int ash_sched_decide(struct ash_sched *sched, uint64_t now, struct ash_sched_decision *decision) {
    if (ash__sched_before(now, sched->now))
        return -ASH_EINVAL;
    advance(sched, now);
    sched->stats.decisions++;
    struct ash_sched_entity *next = pick(sched);
    while (next != NULL && ASH_UNLIKELY(is_used_up(sched, next))) {
        ash__sched_server_exhausted(sched, next); /* its rate has risen while it waited */
        next = pick(sched);
    }
    if (next != sched->current)
        switch_to(sched, next);
    if (sched->config.starving_ns != 0 && !ash__sched_before(now, sched->watch_at))
        watch(sched);
    say_when(sched, decision);
    return 0;
}

/* Is a call needed before the one that decide asked for, now that one more is awake? */
static bool is_due_earlier(const struct ash_sched *sched) {
    if (sched->timed && !ash__sched_before(sched->now, sched->call_at))
        return true; /* it is overdue */
    uint64_t left = decision_left(sched);
    return left != ASH__SCHED_FOREVER &&
           (!sched->timed || ash__sched_before(sched->now + left, sched->call_at));
}

/*
 * Would decide say something else, now that `woken` is there? Among fair ones, if it is `woken`
 * that would be chosen: that what runs is ahead of V by now, so that somebody else would, is so at
 * any time, and no reason to switch before its request is over.
 */
static bool changes(struct ash_sched *sched, const struct ash_sched_entity *woken) {
    const struct ash_sched_entity *running = sched->current;
    if (running == NULL)
        return woken->state == ASH_SCHED_READY || is_due_earlier(sched);
    if (running->state != ASH_SCHED_READY)
        return true;
    uint32_t first = ash__sched_queue_first(&sched->ready);
    if (running->class_ == ASH_SCHED_REALTIME)
        return first != running->slot || is_due_earlier(sched);
    if (first != ASH__SCHED_NO_SLOT && first != sched->reserve.slot)
        return true;
    if (sched->by_reserve != (sched->ready.length > 1) || is_due_earlier(sched))
        return true; /* the reservation is used from now on */
    if (woken->class_ != ASH_SCHED_FAIR && woken->class_ != ASH_SCHED_INTERACTIVE)
        return false;
    if (running->class_ == ASH_SCHED_INTERACTIVE && woken->class_ == ASH_SCHED_INTERACTIVE)
        return ash__sched_mlfq_pick(sched) == woken;
    return pick_fair(sched) == woken;
}

int ash_sched_wake(struct ash_sched *sched, struct ash_sched_entity *entity, uint64_t now) {
    if (entity->sched != sched)
        return -ASH_ENOENT;
    if (entity->state != ASH_SCHED_BLOCKED)
        return -ASH_EEXIST;
    if (ash__sched_before(now, sched->now))
        return -ASH_EINVAL;
    ash__sched_advance(sched, now);
    ASH_EVENT(event_wake, entity->slot, entity->class_);
    ash__sched_enqueue(sched, entity);
    return changes(sched, entity) ? ASH_SCHED_PREEMPTS : 0;
}

void ash__sched_stops(struct ash_sched *sched) {
    sched->current = NULL;
    sched->by_reserve = false;
    ash_store_relaxed(&sched->hint_class, (uint32_t)ASH_SCHED_NOTHING);
}

int ash_sched_block(struct ash_sched *sched, uint64_t now) {
    struct ash_sched_entity *entity = sched->current;
    if (entity == NULL)
        return -ASH_ENOENT;
    if (ash__sched_before(now, sched->now))
        return -ASH_EINVAL;
    ash__sched_charge(sched, now);
    ASH_EVENT(event_block, entity->slot, entity->class_);
    bool realtime = entity->class_ == ASH_SCHED_REALTIME;
    if (realtime)
        ash__sched_job_ends(sched, entity);
    ash__sched_dequeue(sched, entity);
    if (realtime && ASH_UNLIKELY(entity->measured))
        ash__sched_measure(sched, entity);
    ash__sched_stops(sched);
    return 0;
}

int ash_sched_yield(struct ash_sched *sched, uint64_t now) {
    struct ash_sched_entity *entity = sched->current;
    if (entity == NULL)
        return -ASH_ENOENT;
    if (ash__sched_before(now, sched->now))
        return -ASH_EINVAL;
    ash__sched_charge(sched, now);
    switch (entity->class_) {
    case ASH_SCHED_REALTIME:
        ash__sched_server_yield(sched, entity);
        break;
    case ASH_SCHED_INTERACTIVE:
        ash__sched_mlfq_yield(sched, entity);
        break;
    case ASH_SCHED_FAIR:
        ASH__FAIR(sched, yield, sched, entity);
        break;
    default:
        idle_charge(sched, entity, sched->config.slice_ns);
        break;
    }
    return 0;
}
