/* SPDX-License-Identifier: MIT */
/*
 * job.c: a job is what a real-time entity does from a wake to the next block, or yield. Promised is
 * that it ends by the deadline of the budget that it began with, while it needs no more than Q. One
 * that comes early and waits for it begins with that of the next period.
 */
#include "sched_internal.h"

ASH_EVENT_DEFINE(event_miss, "sched.miss", "slot,deadline:ns");

void ash__sched_job_begins(struct ash_sched_entity *entity) {
    entity->job_ended = 0;
    entity->job_late = 0;
    entity->job_deadline = entity->server.deadline;
    if (entity->state == ASH_SCHED_THROTTLED)
        entity->job_deadline += entity->server.period_ns;
    entity->job_start_ns = entity->runtime_ns;
    entity->account.releases++;
}

/* Runs, or ends, after its deadline: told once. */
void ash__sched_job_look(struct ash_sched *sched, struct ash_sched_entity *entity) {
    if (entity->job_late || entity->job_ended ||
        !ash__sched_before(entity->job_deadline, sched->now))
        return;
    entity->job_late = 1;
    entity->account.misses++;
    sched->stats.misses++;
    ASH_EVENT(event_miss, entity->slot, entity->job_deadline);
    if (sched->config.missed != NULL)
        sched->config.missed(sched->config.context, entity, entity->job_deadline, sched->now);
}

void ash__sched_job_ends(struct ash_sched *sched, struct ash_sched_entity *entity) {
    ash__sched_job_look(sched, entity);
    if (entity->job_ended)
        return;
    entity->job_ended = 1;
    entity->account.completions++;
    if (entity->job_late)
        entity->account.lateness_max_ns =
            ash_max_u64(entity->account.lateness_max_ns, sched->now - entity->job_deadline);
}
