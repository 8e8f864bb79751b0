/* SPDX-License-Identifier: MIT */
/*
 * demand.c: is h(t) <= t for all t? h(t) sums ((t - D) / T + 1) Q over D <= t, and is looked at
 * backwards from a bound (QPA: Zhang, Burns 2009).
 */
#include "admission.h"

/* Spans that are looked at; h(t) fits beyond them too. */
#define SPAN_MAX (UINT64_C(1) << 61)

static uint64_t demand(const struct ash__sched_set *set, uint64_t span) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct ash_sched_term *term = &set->terms[i];
        if (term->relative_ns <= span)
            sum += ((span - term->relative_ns) / term->period_ns + 1) * term->runtime_ns;
    }
    return sum;
}

/* The last deadline before `span`; 0: there is none. */
static uint64_t deadline_before(const struct ash__sched_set *set, uint64_t span) {
    uint64_t last = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct ash_sched_term *term = &set->terms[i];
        if (term->relative_ns < span)
            last = ash_max_u64(last,
                               (span - 1 - term->relative_ns) / term->period_ns * term->period_ns +
                                   term->relative_ns);
    }
    return last;
}

/* sum (T - D) Q/T / (1 - sum Q/T): from there on h(t) <= t. SPAN_MAX: not as near as that. */
static uint64_t bound_by_bandwidth(const struct ash__sched_set *set,
                                   const struct ash__sched_spare *spare) {
    uint64_t sum = 0;
    if (spare->gap <= (int64_t)set->count || spare->bits >= 63)
        return SPAN_MAX;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct ash_sched_term *term = &set->terms[i];
        sum += ash_mul_div_u64(term->period_ns - term->relative_ns, term->runtime_ns,
                               term->period_ns) +
               1;
    }
    uint64_t spare_least = (uint64_t)spare->gap - set->count;
    uint64_t bound = ash_mul_div_u64(sum, UINT64_C(1) << spare->bits, spare_least);
    return bound < SPAN_MAX ? bound + 1 : SPAN_MAX;
}

/* The end of the first busy time, if all begin at once: no deadline is missed first after it. Stops
 * at `limit`, which bounds the demand test as well. */
static uint64_t bound_by_busy_time(const struct ash__sched_set *set, uint64_t limit) {
    uint64_t busy = 0, next = 0;
    uint32_t rounds = ash__sched_rounds_max(set);
    for (uint32_t i = 0; i < set->count; i++)
        next += set->terms[i].runtime_ns;
    while (next != busy && next < limit && rounds-- != 0) {
        busy = next;
        next = 0;
        for (uint32_t i = 0; i < set->count; i++) {
            const struct ash_sched_term *term = &set->terms[i];
            next += ((busy - 1) / term->period_ns + 1) * term->runtime_ns;
        }
    }
    return next == busy ? busy : limit;
}

/* QPA: from the bound backwards, t = h(t) as long as that is less, else the next deadline. */
bool ash__sched_demand(const struct ash__sched_set *set, const struct ash__sched_spare *spare,
                       struct ash_sched_refusal *refusal) {
    uint64_t limit = bound_by_busy_time(set, bound_by_bandwidth(set, spare)), least = UINT64_MAX;
    for (uint32_t i = 0; i < set->count; i++)
        least = ash_min_u64(least, set->terms[i].relative_ns);
    uint64_t span = deadline_before(set, limit);
    for (uint32_t rounds = ash__sched_rounds_max(set); rounds != 0; rounds--) {
        uint64_t due = demand(set, span);
        if (due > span) {
            *refusal = (struct ash_sched_refusal){
                .reason = ASH_SCHED_OVER_DEMAND, .at_ns = span, .demand_ns = due};
            return false;
        }
        if (due <= least)
            return true;
        span = due < span ? due : deadline_before(set, span);
    }
    refusal->reason = ASH_SCHED_UNDECIDED;
    return false;
}
