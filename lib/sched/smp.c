/* SPDX-License-Identifier: MIT */
/* smp.c: instances of several CPUs as one, without a lock of its own. */
#include <ashlar/sched_smp.h>

#include "sched_internal.h"

ASH_EVENT_DEFINE(event_migrate, "sched.migrate", "slot,cpu");
ASH_EVENT_DEFINE(event_steal, "sched.steal", "slot,cpu");

static bool may_run_on(const struct ash_sched_attributes *attributes, uint32_t cpu) {
    return attributes->affinity == 0 || (attributes->affinity >> cpu & 1) != 0;
}

struct ash_sched *ash_sched_owner(const struct ash_sched_entity *entity) {
    return ash_load_relaxed(&entity->sched);
}

/* How many want to run there. Who is of the idle class makes way: where such a one runs, nobody
 * wants to. */
static uint32_t load_of(const struct ash_sched *sched) {
    if (ash_load_relaxed(&sched->hint_class) == ASH_SCHED_IDLE)
        return 0;
    return ash_load_relaxed(&sched->hint_runnable);
}

uint32_t ash_sched_place(const struct ash_sched_cpus *cpus, const struct ash_sched_entity *entity) {
    uint32_t own = entity->sched->config.cpu, best = own, least;
    if (entity->class_ == ASH_SCHED_REALTIME)
        return own;
    least = load_of(cpus->cpu[own]);
    for (uint32_t i = 1; i < cpus->count && least != 0; i++) {
        uint32_t cpu = (own + i) % cpus->count;
        uint32_t runnable = load_of(cpus->cpu[cpu]);
        if (!may_run_on(&entity->attributes, cpu) || runnable >= least)
            continue;
        least = runnable;
        best = cpu;
    }
    return best;
}

uint32_t ash_sched_busiest(const struct ash_sched_cpus *cpus, uint32_t thief) {
    uint32_t best = ASH_SCHED_NO_CPU, most = 1; /* one that runs is not to be had */
    for (uint32_t i = 1; i < cpus->count; i++) {
        uint32_t cpu = (thief + i) % cpus->count;
        uint32_t runnable = load_of(cpus->cpu[cpu]);
        if (runnable <= most)
            continue;
        most = runnable;
        best = cpu;
    }
    return best;
}

static int refused(struct ash_sched_refusal *refusal, enum ash_sched_reason reason, int error) {
    if (refusal != NULL)
        *refusal = (struct ash_sched_refusal){.reason = reason};
    return error;
}

/* What a move must not touch. */
struct luggage {
    struct ash_sched_account account;
    uint64_t job_deadline, job_start_ns, ready_since;
    uint8_t job_late, job_ended, state;
};

static struct luggage pack(const struct ash_sched_entity *entity) {
    return (struct luggage){.account = entity->account,
                            .job_deadline = entity->job_deadline,
                            .job_start_ns = entity->job_start_ns,
                            .job_late = entity->job_late,
                            .job_ended = entity->job_ended,
                            .ready_since = entity->ready_since,
                            .state = entity->state};
}

static void unpack(struct ash_sched_entity *entity, const struct luggage *luggage) {
    entity->account = luggage->account;
    entity->job_deadline = luggage->job_deadline;
    entity->job_start_ns = luggage->job_start_ns;
    entity->job_late = luggage->job_late;
    entity->job_ended = luggage->job_ended;
    if (luggage->state == ASH_SCHED_READY && entity->state == ASH_SCHED_READY)
        entity->ready_since = luggage->ready_since;
}

int ash_sched_move(struct ash_sched *from, struct ash_sched *to, struct ash_sched_entity *entity,
                   uint64_t now, struct ash_sched_refusal *refusal) {
    struct ash_sched_attributes attributes = entity->attributes;
    struct ash__sched_entry entry;
    struct ash_sched_refusal why;
    if (entity->sched != from)
        return refused(refusal, ASH_SCHED_NOT_ATTACHED, -ASH_ENOENT);
    if (entity == from->current)
        return refused(refusal, ASH_SCHED_QUEUED, -ASH_EAGAIN);
    if (ash__sched_before(now, from->now))
        return refused(refusal, ASH_SCHED_BACKWARDS, -ASH_EINVAL);
    int error = ash__sched_may_enter(to, &attributes, now, &entry, &why);
    if (refusal != NULL)
        *refusal = why;
    if (error != 0)
        return error;
    ash__sched_advance(from, now);
    ash__sched_advance(to, now);
    struct luggage luggage = pack(entity);
    if (luggage.state != ASH_SCHED_BLOCKED)
        ash__sched_dequeue(from, entity);
    ash__sched_exit(from, entity);
    ash__sched_enter(to, entity, &attributes, &entry);
    if (luggage.state != ASH_SCHED_BLOCKED)
        ash__sched_enqueue(to, entity);
    unpack(entity, &luggage);
    ASH_EVENT(event_migrate, entity->slot, to->config.cpu);
    return 0;
}

static bool can_be_stolen(const struct ash_sched *victim, const struct ash_sched_entity *entity,
                          uint32_t cpu) {
    return entity != NULL && entity != victim->current && entity->state == ASH_SCHED_READY &&
           (entity->class_ == ASH_SCHED_FAIR || entity->class_ == ASH_SCHED_INTERACTIVE) &&
           may_run_on(&entity->attributes, cpu);
}

struct ash_sched_entity *ash_sched_steal(struct ash_sched *thief, struct ash_sched *victim,
                                         uint64_t now) {
    uint32_t slots = victim->config.entities_max;
    for (uint32_t i = 0; i < slots; i++) {
        uint32_t slot = (victim->steal_cursor + i) % slots;
        struct ash_sched_entity *entity = victim->entities[slot];
        if (!can_be_stolen(victim, entity, thief->config.cpu))
            continue;
        if (ash_sched_move(victim, thief, entity, now, NULL) != 0)
            return NULL;
        victim->steal_cursor = (slot + 1) % slots;
        ASH_EVENT(event_steal, entity->slot, victim->config.cpu);
        return entity;
    }
    return NULL;
}

uint32_t ash_sched_fit(const struct ash_sched_cpus *cpus,
                       const struct ash_sched_attributes *attributes, uint32_t from) {
    uint64_t period = ash__sched_period(attributes);
    uint64_t ppm = period == 0 ? 0 : ash__sched_mul_div(1000000, attributes->runtime_ns, period);
    for (uint32_t cpu = from; cpu < cpus->count; cpu++) {
        const struct ash_sched *sched = cpus->cpu[cpu];
        uint64_t taken = ash_load_relaxed(&sched->hint_bandwidth_ppm);
        /* Each is counted up to a millionth too much. */
        if (may_run_on(attributes, cpu) && taken + ppm <= 1000000 + sched->config.entities_max)
            return cpu;
    }
    return ASH_SCHED_NO_CPU;
}

/* a asks for less of a CPU than b. Nonsense is refused by attach. */
static bool is_less(const struct ash_sched_attributes *a, const struct ash_sched_attributes *b) {
    return (ash__u128)a->runtime_ns * ash__sched_period(b) <
           (ash__u128)b->runtime_ns * ash__sched_period(a);
}

/* By insertion: sets are small, and there is no recursion and no room. */
static void sort(const struct ash_sched_attributes *attributes, uint32_t *order, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;
        for (; at != 0 && is_less(&attributes[order[at - 1]], &attributes[i]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

static int attach_first(const struct ash_sched_cpus *cpus, struct ash_sched_entity *entity,
                        const struct ash_sched_attributes *attributes, uint64_t now,
                        struct ash_sched_refusal *refusal) {
    int error = -ASH_EBUSY;
    *refusal = (struct ash_sched_refusal){.reason = ASH_SCHED_OVER_BANDWIDTH};
    for (uint32_t cpu = 0; cpu < cpus->count; cpu++) {
        cpu = ash_sched_fit(cpus, attributes, cpu);
        if (cpu == ASH_SCHED_NO_CPU)
            return error;
        error = ash_sched_attach(cpus->cpu[cpu], entity, attributes, now, refusal);
        if (error != -ASH_EBUSY && error != -ASH_ENOSPC)
            return error;
    }
    return error;
}

/* Bit i: the set of CPU i is tight. */
static uint64_t tight_ones(const struct ash_sched_cpus *cpus) {
    uint64_t tight = 0;
    for (uint32_t cpu = 0; cpu < cpus->count; cpu++)
        tight |= (uint64_t)cpus->cpu[cpu]->tight << cpu;
    return tight;
}

/* The first `count` in the order go again. They have never run: nothing of them counts. */
static void undo(const struct ash_sched_cpus *cpus, struct ash_sched_entity *const *entities,
                 const uint32_t *order, uint32_t count, uint64_t tight, uint64_t now) {
    while (count-- != 0) {
        struct ash_sched_entity *entity = entities[order[count]];
        int gone = ash_sched_detach(entity->sched, entity, now);
        ASH_REQUIRE(gone == 0, "sched: an entity of a set that was refused is not to be had");
    }
    for (uint32_t cpu = 0; cpu < cpus->count; cpu++)
        cpus->cpu[cpu]->tight = (tight >> cpu & 1) != 0;
}

int ash_sched_attach_all(const struct ash_sched_cpus *cpus,
                         struct ash_sched_entity *const *entities,
                         const struct ash_sched_attributes *attributes, uint32_t count,
                         uint32_t *order, uint64_t now, uint32_t *failed,
                         struct ash_sched_refusal *refusal) {
    uint64_t tight = tight_ones(cpus);
    struct ash_sched_refusal why;
    sort(attributes, order, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = order[i];
        int error = attach_first(cpus, entities[at], &attributes[at], now, &why);
        if (error == 0)
            continue;
        if (failed != NULL)
            *failed = at;
        if (refusal != NULL)
            *refusal = why;
        undo(cpus, entities, order, i, tight, now);
        return error;
    }
    return 0;
}
