/* SPDX-License-Identifier: MIT */
/* deadline.c: a job's own deadline. */
#include "sched_internal.h"

static int set(struct ash_sched *sched, struct ash_sched_entity *entity, uint64_t deadline,
               uint64_t now) {
    struct ash_sched_server *server = &entity->server;
    bool throttled = entity->state == ASH_SCHED_THROTTLED;
    /* Throttled, its budget to come has the deadline of the next period. */
    uint64_t base = throttled ? server->deadline + server->period_ns : server->deadline;
    bool earlier = ash__sched_before(deadline, base);
    bool far = ash__sched_before(now + ASH__SCHED_AHEAD_MAX_NS, deadline) ||
               ash__sched_before(deadline, now - ASH__SCHED_AHEAD_MAX_NS);
    if (far || (earlier && !ash__sched_has(sched, ASH_SCHED_ADMIT_ALL)))
        return -ASH_ERANGE;
    ash__sched_charge(sched, now);
    server->deadline += deadline - base;
    entity->job_deadline = deadline;
    if (throttled)
        ash__sched_queue_requeue(&sched->timers, entity->slot, ash__sched_next_period(server));
    else
        ash__sched_queue_requeue(&sched->ready, entity->slot, server->deadline);
    return 0;
}

int ash_sched_deadline_at(struct ash_sched *sched, struct ash_sched_entity *entity,
                          uint64_t deadline, uint64_t now) {
    if (entity->sched != sched)
        return -ASH_ENOENT;
    if (ash__sched_before(now, sched->now))
        return -ASH_EINVAL;
    if (entity->class_ != ASH_SCHED_REALTIME || entity->state == ASH_SCHED_BLOCKED)
        return -ASH_EAGAIN;
    return set(sched, entity, deadline, now);
}

int ash_sched_deadline_in(struct ash_sched *sched, struct ash_sched_entity *entity,
                          uint64_t ahead_ns, uint64_t now) {
    return ahead_ns > ASH__SCHED_AHEAD_MAX_NS
               ? -ASH_ERANGE
               : ash_sched_deadline_at(sched, entity, now + ahead_ns, now);
}
