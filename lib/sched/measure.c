/* SPDX-License-Identifier: MIT */
/*
 * measure.c: a reservation whose Q nobody knows: it is what the jobs were seen to need, an eighth
 * more, at most D. It grows with the first job that needs more, as far as admission lets it, and
 * shrinks when the longest of late (which forgets a sixteenth a job) needs less than half. It is
 * soft: until Q is right, or where it cannot be had, jobs end later, at others' cost never.
 */
#include "sched_internal.h"

#define FORGET 16
#define MARGIN 8

static uint64_t wanted(const struct ash_sched_entity *entity) {
    uint64_t most = entity->measured_max_ns;
    return ash_min_u64(most + most / MARGIN + 1, entity->server.relative_ns);
}

/* At once, for it is larger, or nothing of the one before counts. */
static void resize(struct ash_sched *sched, struct ash_sched_entity *entity,
                   const struct ash__sched_reservation *reservation) {
    uint64_t bandwidth = ash__sched_bandwidth(sched, reservation);
    if (entity->grub != ASH__GRUB_INACTIVE)
        sched->active_bandwidth += bandwidth - entity->bandwidth;
    entity->bandwidth = bandwidth;
    entity->server.runtime_ns = reservation->runtime_ns;
    if (entity->server.budget > (int64_t)reservation->runtime_ns)
        entity->server.budget = (int64_t)reservation->runtime_ns;
}

/* The larger one counts until its time is over, and the smaller one begins then, with the debt. */
static void shrink(struct ash_sched *sched, struct ash_sched_entity *entity,
                   const struct ash__sched_reservation *reservation) {
    int64_t budget = entity->server.budget;
    ash__sched_part(sched, entity);
    ash__sched_server_init(sched, entity, reservation);
    ash__sched_begins(sched, entity);
    entity->server.budget = budget < 0 ? budget : 0;
}

/* Its job has ended, and it is blocked, or about to wait for its next period. */
void ash__sched_measure(struct ash_sched *sched, struct ash_sched_entity *entity) {
    uint64_t ran_ns = entity->runtime_ns - entity->job_start_ns;
    uint64_t most = entity->measured_max_ns, forgotten = (most + FORGET - 1) / FORGET;
    entity->measured_max_ns = ash_max_u64(ran_ns, most - forgotten);
    entity->measured_jobs++;
    uint64_t runtime_ns = wanted(entity);
    bool smaller = runtime_ns < entity->server.runtime_ns / 2 && entity->measured_jobs >= FORGET;
    if (runtime_ns <= entity->server.runtime_ns && !smaller)
        return;
    struct ash__sched_reservation reservation = {runtime_ns, entity->server.relative_ns,
                                                 entity->server.period_ns};
    struct ash_sched_refusal refusal;
    bool tight = sched->tight;
    if (!ash__sched_admits(sched, entity, &reservation, sched->now, &tight, &refusal))
        return;
    ash__sched_set_tight(sched, tight);
    ash__sched_hint_bandwidth(sched, entity, false);
    if (smaller && ash__sched_before(sched->now, ash__sched_next_period(&entity->server)))
        shrink(sched, entity, &reservation);
    else
        resize(sched, entity, &reservation);
    ash__sched_hint_bandwidth(sched, entity, true);
    entity->measured_jobs = 0;
}
