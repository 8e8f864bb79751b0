/* SPDX-License-Identifier: MIT */
/* attributes.c: what may be asked for, which class it means, and why it is refused. */
#include "sched_internal.h"

#define FLAGS_KNOWN (ASH_SCHED_NICE | ASH_SCHED_SOFT | ASH_SCHED_RECLAIM | ASH_SCHED_IDLEST)

/* A measured reservation begins with this part of its deadline. */
#define MEASURED_FIRST 32

enum ash_sched_class ash_sched_class_of(const struct ash_sched_attributes *attributes,
                                        uint32_t config_flags) {
    if ((attributes->flags & ASH_SCHED_IDLEST) != 0)
        return ASH_SCHED_IDLE;
    if ((attributes->runtime_ns | attributes->deadline_ns | attributes->period_ns) != 0)
        return ASH_SCHED_REALTIME;
    if ((attributes->flags & ASH_SCHED_NICE) != 0 || (config_flags & ASH_SCHED_FAIR_FIRST) != 0)
        return ASH_SCHED_FAIR;
    return ASH_SCHED_INTERACTIVE;
}

static enum ash_sched_reason check_times(const struct ash_sched *sched,
                                         const struct ash__sched_reservation *reservation) {
    if (reservation->period_ns > ASH_SCHED_TIME_MAX_NS || reservation->period_ns == 0 ||
        reservation->period_ns < sched->config.period_min_ns)
        return ASH_SCHED_PERIOD_RANGE;
    if (reservation->runtime_ns == 0)
        return ASH_SCHED_NO_RUNTIME;
    if (reservation->relative_ns > reservation->period_ns)
        return ASH_SCHED_DEADLINE_PERIOD;
    if (reservation->runtime_ns > reservation->relative_ns)
        return ASH_SCHED_RUNTIME_DEADLINE;
    return ASH_SCHED_OK;
}

/* Deadline alone: how long a job runs is measured (measure.c), from a guess on. */
bool ash__sched_is_measured(const struct ash_sched_attributes *attributes) {
    return attributes->runtime_ns == 0 && attributes->deadline_ns != 0;
}

static enum ash_sched_reason check_realtime(const struct ash_sched *sched,
                                            const struct ash_sched_attributes *attributes,
                                            struct ash__sched_reservation *reservation) {
    *reservation = (struct ash__sched_reservation){
        .runtime_ns = attributes->runtime_ns,
        .relative_ns =
            attributes->deadline_ns != 0 ? attributes->deadline_ns : attributes->period_ns,
        .period_ns = ash__sched_period(attributes),
    };
    if (ash__sched_is_measured(attributes))
        reservation->runtime_ns = attributes->deadline_ns / MEASURED_FIRST + 1;
    return check_times(sched, reservation);
}

enum ash_sched_reason ash__sched_validate(const struct ash_sched *sched,
                                          const struct ash_sched_attributes *attributes,
                                          struct ash__sched_reservation *reservation) {
    uint32_t flags = attributes->flags;
    enum ash_sched_class class_ = ash_sched_class_of(attributes, sched->config.flags);
    bool timed = (attributes->runtime_ns | attributes->deadline_ns | attributes->period_ns) != 0;
    *reservation = (struct ash__sched_reservation){0, 0, 0};
    if ((flags & ~FLAGS_KNOWN) != 0 ||
        ((flags & (ASH_SCHED_SOFT | ASH_SCHED_RECLAIM)) != 0 && class_ != ASH_SCHED_REALTIME) ||
        ((flags & ASH_SCHED_IDLEST) != 0 && (timed || flags != ASH_SCHED_IDLEST)))
        return ASH_SCHED_BAD_FLAGS;
    if ((flags & ASH_SCHED_NICE) != 0 &&
        (attributes->nice < ASH_SCHED_NICE_MIN || attributes->nice > ASH_SCHED_NICE_MAX))
        return ASH_SCHED_BAD_NICE;
    if (attributes->slice_ns > ASH_SCHED_TIME_MAX_NS)
        return ASH_SCHED_PERIOD_RANGE;
    if (attributes->affinity != 0 && (attributes->affinity >> sched->config.cpu & 1) == 0)
        return ASH_SCHED_BAD_AFFINITY;
    return class_ == ASH_SCHED_REALTIME ? check_realtime(sched, attributes, reservation)
                                        : ASH_SCHED_OK;
}

const char *ash_sched_reason_text(enum ash_sched_reason reason) {
    switch (reason) {
    case ASH_SCHED_OK:
        return "accepted";
    case ASH_SCHED_BAD_FLAGS:
        return "unknown flags, or flags that exclude each other";
    case ASH_SCHED_BAD_NICE:
        return "nice is not within -20..19";
    case ASH_SCHED_NO_RUNTIME:
        return "the runtime is 0";
    case ASH_SCHED_RUNTIME_DEADLINE:
        return "the runtime is longer than the deadline";
    case ASH_SCHED_DEADLINE_PERIOD:
        return "the deadline is longer than the period";
    case ASH_SCHED_PERIOD_RANGE:
        return "the period (or the slice) is out of range";
    case ASH_SCHED_OVER_BANDWIDTH:
        return "the sum of runtime / period would exceed 1";
    case ASH_SCHED_OVER_DEMAND:
        return "more would be due within an interval than fits into it";
    case ASH_SCHED_UNDECIDED:
        return "whether all deadlines are met would take too long to find out";
    case ASH_SCHED_BAD_AFFINITY:
        return "the affinity leaves this CPU out";
    case ASH_SCHED_TOO_MANY:
        return "as many as can be are attached";
    case ASH_SCHED_ATTACHED:
        return "it is attached already";
    case ASH_SCHED_NOT_ATTACHED:
        return "it is not attached to this scheduler";
    case ASH_SCHED_QUEUED:
        return "it is runnable";
    case ASH_SCHED_BACKWARDS:
        return "the time is before the last call's";
    }
    return "unknown reason";
}
