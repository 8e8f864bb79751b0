/* SPDX-License-Identifier: MIT */
/* attach.c: entities come, change and go; each through admission. */
#include "fair.h"

ASH_EVENT_DEFINE(event_admit, "sched.admit", "slot,class");
ASH_EVENT_DEFINE(event_refuse, "sched.refuse", "reason,class");

static int refuse(struct ash_sched_refusal *refusal, const struct ash_sched_refusal *why,
                  int error) {
    if (refusal != NULL)
        *refusal = *why;
    return error;
}

static int error_of(enum ash_sched_reason reason) {
    switch (reason) {
    case ASH_SCHED_OK:
        return 0;
    case ASH_SCHED_PERIOD_RANGE:
    case ASH_SCHED_BAD_NICE:
        return -ASH_ERANGE;
    case ASH_SCHED_OVER_BANDWIDTH:
    case ASH_SCHED_OVER_DEMAND:
    case ASH_SCHED_UNDECIDED:
        return -ASH_EBUSY;
    case ASH_SCHED_TOO_MANY:
        return -ASH_ENOSPC;
    case ASH_SCHED_ATTACHED:
        return -ASH_EEXIST;
    case ASH_SCHED_NOT_ATTACHED:
        return -ASH_ENOENT;
    case ASH_SCHED_QUEUED:
        return -ASH_EAGAIN;
    default:
        return -ASH_EINVAL;
    }
}

/* Admission says no, and is not obeyed. */
static bool is_simulated(const struct ash_sched *sched, enum ash_sched_reason reason) {
    return ash__sched_has(sched, ASH_SCHED_ADMIT_ALL) && error_of(reason) == -ASH_EBUSY;
}

/* Where in free_slots one lies whose last reservation counts no more; free_count: nowhere. */
static uint32_t free_slot(const struct ash_sched *sched, uint64_t now) {
    for (uint32_t i = sched->free_count; i-- != 0;) {
        if (!ash__sched_counts(&sched->partings[sched->free_slots[i]], now))
            return i;
    }
    return sched->free_count;
}

static void reclaimers_add(struct ash_sched *sched, const struct ash_sched_entity *entity,
                           int count) {
    if (entity->class_ != ASH_SCHED_REALTIME || (entity->flags & ASH_SCHED_RECLAIM) == 0)
        return;
    if (count < 0 && --sched->reclaimers == 0)
        ash__sched_grub_switch(sched, false);
    else if (count > 0 && ++sched->reclaimers == 1)
        ash__sched_grub_switch(sched, true);
}

/* What others read of it, in millionths rounded up: a reason to try elsewhere first, no more. */
void ash__sched_hint_bandwidth(struct ash_sched *sched, const struct ash_sched_entity *entity,
                               bool comes) {
    uint64_t ppm =
        ash__sched_mul_div(1000000, entity->server.runtime_ns, entity->server.period_ns) + 1;
    uint64_t before = sched->hint_bandwidth_ppm;
    ash_store_relaxed(&sched->hint_bandwidth_ppm, comes ? before + ppm : before - ppm);
}

/* Into its class, asleep. */
static void join(struct ash_sched *sched, struct ash_sched_entity *entity,
                 const struct ash_sched_attributes *attributes,
                 const struct ash__sched_reservation *reservation) {
    entity->attributes = *attributes;
    if ((attributes->flags & ASH_SCHED_NICE) == 0)
        entity->attributes.nice = 0;
    entity->class_ = (uint8_t)ash_sched_class_of(attributes, sched->config.flags);
    entity->flags = (uint8_t)attributes->flags;
    entity->state = ASH_SCHED_BLOCKED;
    entity->measured = false;
    switch (entity->class_) {
    case ASH_SCHED_REALTIME:
        ash__sched_server_init(sched, entity, reservation);
        entity->measured = ash__sched_is_measured(attributes);
        if (entity->measured)
            entity->flags |= ASH_SCHED_SOFT;
        ash__sched_hint_bandwidth(sched, entity, true);
        reclaimers_add(sched, entity, 1);
        break;
    case ASH_SCHED_FAIR:
        ASH__FAIR(sched, attach, sched, entity);
        break;
    case ASH_SCHED_INTERACTIVE:
        ash__sched_mlfq_attach(sched, entity);
        break;
    default:
        ash_list_init(&entity->idle.node);
        entity->idle.used_ns = 0;
        break;
    }
}

/* Where one that it had before counts still, the one that it has now has not begun: nothing of it
 * has been used, and nothing is to count. So a slot has one parting at most. */
void ash__sched_part(struct ash_sched *sched, struct ash_sched_entity *entity) {
    const struct ash_sched_server *server = &entity->server;
    struct ash_sched_parting *parting = &sched->partings[entity->slot];
    if (parting->bandwidth != 0 || ash__sched_counts(parting, sched->now)) {
        ash__sched_grub_leave(sched, entity);
        return;
    }
    *parting = (struct ash_sched_parting){
        .runtime_ns = server->runtime_ns,
        .relative_ns = server->relative_ns,
        .period_ns = server->period_ns,
        .until = ash__sched_server_departs(sched, entity),
    };
    ash__sched_grub_part(sched, entity);
    if (!sched->may_loosen || ash__sched_before(sched->loosens_at, parting->until))
        sched->loosens_at = parting->until;
    sched->may_loosen = true;
}

void ash__sched_begins(struct ash_sched *sched, struct ash_sched_entity *entity) {
    const struct ash_sched_parting *parting = &sched->partings[entity->slot];
    if (ash__sched_counts(parting, sched->now))
        entity->server.deadline += parting->until - sched->now;
}

/* Out of its class; blocked. */
static void leave(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (entity->class_ != ASH_SCHED_REALTIME)
        return;
    ash__sched_part(sched, entity);
    ash__sched_hint_bandwidth(sched, entity, false);
    reclaimers_add(sched, entity, -1);
}

/* Could it come here? Nothing changes, but for what admission reckons with. */
int ash__sched_may_enter(struct ash_sched *sched, const struct ash_sched_attributes *attributes,
                         uint64_t now, struct ash__sched_entry *entry,
                         struct ash_sched_refusal *why) {
    entry->tight = sched->tight;
    *why = (struct ash_sched_refusal){
        .reason = ash__sched_validate(sched, attributes, &entry->reservation)};
    if (ash__sched_before(now, sched->now))
        why->reason = ASH_SCHED_BACKWARDS;
    if (why->reason == ASH_SCHED_OK && entry->reservation.period_ns != 0 &&
        !ash__sched_admits(sched, NULL, &entry->reservation, now, &entry->tight, why))
        ASH_EVENT(event_refuse, why->reason, ASH_SCHED_REALTIME);
    if (why->reason != ASH_SCHED_OK && !is_simulated(sched, why->reason))
        return error_of(why->reason);
    entry->slot_index = free_slot(sched, now);
    if (entry->slot_index == sched->free_count) {
        why->reason = ASH_SCHED_TOO_MANY;
        return -ASH_ENOSPC;
    }
    return 0;
}

/* It comes, asleep; it may. */
void ash__sched_enter(struct ash_sched *sched, struct ash_sched_entity *entity,
                      const struct ash_sched_attributes *attributes,
                      const struct ash__sched_entry *entry) {
    uint32_t slot = sched->free_slots[entry->slot_index];
    sched->free_slots[entry->slot_index] = sched->free_slots[--sched->free_count];
    sched->partings[slot].period_ns = 0;
    ash__sched_set_tight(sched, entry->tight);
    sched->entities[slot] = entity;
    entity->slot = slot;
    ash_store_relaxed(&entity->sched, sched);
    join(sched, entity, attributes, &entry->reservation);
    ASH_EVENT(event_admit, slot, entity->class_);
}

/* It goes; blocked. Its owner is told by the caller: one that is moved always has one. */
void ash__sched_exit(struct ash_sched *sched, struct ash_sched_entity *entity) {
    leave(sched, entity);
    sched->entities[entity->slot] = NULL;
    sched->free_slots[sched->free_count++] = entity->slot;
}

int ash_sched_attach(struct ash_sched *sched, struct ash_sched_entity *entity,
                     const struct ash_sched_attributes *attributes, uint64_t now,
                     struct ash_sched_refusal *refusal) {
    struct ash__sched_entry entry;
    struct ash_sched_refusal why = {.reason = ASH_SCHED_ATTACHED};
    int error = -ASH_EEXIST;
    if (entity->sched == NULL)
        error = ash__sched_may_enter(sched, attributes, now, &entry, &why);
    if (error == 0) {
        ash__sched_advance(sched, now);
        entity->runtime_ns = 0;
        entity->starved = 0;
        entity->measured_jobs = 0;
        entity->measured_max_ns = 0;
        entity->account = (struct ash_sched_account){0};
        ash__sched_enter(sched, entity, attributes, &entry);
    }
    return refuse(refusal, &why, error);
}

int ash_sched_may_attach(struct ash_sched *sched, const struct ash_sched_attributes *attributes,
                         uint64_t now, struct ash_sched_refusal *refusal) {
    struct ash__sched_entry entry;
    struct ash_sched_refusal why;
    int error = ash__sched_may_enter(sched, attributes, now, &entry, &why);
    return refuse(refusal, &why, error);
}

/* Nothing that its class's queue or admission knows changes. */
static bool is_small(const struct ash_sched *sched, const struct ash_sched_entity *entity,
                     const struct ash_sched_attributes *attributes,
                     const struct ash__sched_reservation *reservation) {
    const struct ash_sched_server *server = &entity->server;
    if (entity->class_ != (uint8_t)ash_sched_class_of(attributes, sched->config.flags))
        return false;
    return entity->class_ != ASH_SCHED_REALTIME ||
           (entity->attributes.flags == attributes->flags &&
            entity->measured == ash__sched_is_measured(attributes) &&
            server->runtime_ns == reservation->runtime_ns &&
            server->relative_ns == reservation->relative_ns &&
            server->period_ns == reservation->period_ns);
}

static void change_small(struct ash_sched *sched, struct ash_sched_entity *entity,
                         const struct ash_sched_attributes *attributes) {
    entity->attributes = *attributes;
    if ((attributes->flags & ASH_SCHED_NICE) == 0)
        entity->attributes.nice = 0;
    if (entity->class_ == ASH_SCHED_FAIR)
        ASH__FAIR(sched, reweight, sched, entity);
}

/* The period that it is in is the old one's: its next job begins after it. */
static void change_class(struct ash_sched *sched, struct ash_sched_entity *entity,
                         const struct ash_sched_attributes *attributes,
                         const struct ash__sched_reservation *reservation) {
    leave(sched, entity);
    join(sched, entity, attributes, reservation);
    if (entity->class_ == ASH_SCHED_REALTIME)
        ash__sched_begins(sched, entity);
}

int ash_sched_change(struct ash_sched *sched, struct ash_sched_entity *entity,
                     const struct ash_sched_attributes *attributes, uint64_t now,
                     struct ash_sched_refusal *refusal) {
    struct ash__sched_reservation reservation;
    struct ash_sched_refusal why = {.reason = ash__sched_validate(sched, attributes, &reservation)};
    bool tight = sched->tight, small = false;
    if (entity->sched != sched)
        why.reason = ASH_SCHED_NOT_ATTACHED;
    else if (ash__sched_before(now, sched->now))
        why.reason = ASH_SCHED_BACKWARDS;
    else if (why.reason == ASH_SCHED_OK) {
        small = is_small(sched, entity, attributes, &reservation);
        if (!small && entity->state != ASH_SCHED_BLOCKED)
            why.reason = ASH_SCHED_QUEUED;
    }
    if (why.reason == ASH_SCHED_OK && !small && reservation.period_ns != 0 &&
        !ash__sched_admits(sched, entity, &reservation, now, &tight, &why))
        ASH_EVENT(event_refuse, why.reason, ASH_SCHED_REALTIME);
    bool simulated = is_simulated(sched, why.reason);
    if (why.reason != ASH_SCHED_OK && !simulated)
        return refuse(refusal, &why, error_of(why.reason));
    ash__sched_advance(sched, now);
    if (small) {
        change_small(sched, entity, attributes);
    } else {
        ash__sched_set_tight(sched, tight);
        change_class(sched, entity, attributes, &reservation);
    }
    ASH_EVENT(event_admit, entity->slot, entity->class_);
    return refuse(refusal, &why, 0);
}

int ash_sched_detach(struct ash_sched *sched, struct ash_sched_entity *entity, uint64_t now) {
    if (entity->sched != sched)
        return -ASH_ENOENT;
    if (ash__sched_before(now, sched->now))
        return -ASH_EINVAL;
    ash__sched_charge(sched, now);
    if (entity->state != ASH_SCHED_BLOCKED)
        ash__sched_dequeue(sched, entity);
    if (sched->current == entity)
        ash__sched_stops(sched);
    ash__sched_exit(sched, entity);
    ash__sched_loosen(sched);
    ash_store_relaxed(&entity->sched, (struct ash_sched *)NULL);
    return 0;
}
