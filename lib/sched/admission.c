/* SPDX-License-Identifier: MIT */
/*
 * admission.c: would EDF meet all deadlines of a set of reservations on one CPU? Exact integers:
 *
 *   bandwidth  sum Q/T <= 1: necessary; enough where D = T (Liu, Layland 1973)
 *   density    sum Q/D <= 1: enough, and servers may use their budgets piecemeal
 *   demand     h(t) <= t for all t, h(t) sums ((t - D) / T + 1) Q over D <= t: necessary, enough
 *              for jobs that come T apart (Baruah et al. 1990); looked at backwards from a bound
 *              (QPA: Zhang, Burns 2009)
 */
#include "sched_internal.h"

/* A sum of fractions is compared with 1 in digits of 24 bits: a rest below 2^40 times 2^24 fits. */
#define DIGIT_BITS 24
/* Spans that the demand test looks at; h(t) fits beyond them too. */
#define SPAN_MAX (UINT64_C(1) << 61)
/* Rounds of the demand test, and of the search for its bound: each O(n). Sets need tens; one that
 * needs more is made for it, and is refused rather than let the CPU stand still. */
#define ROUNDS_MAX 20000

struct set {
    struct ash_sched_term *terms;
    uint32_t count;
};

/* 1 - sum is between gap - count and gap, in units of 2^-bits; gap is 2 count at least, if that
 * could be had within `bits`. */
struct spare {
    int64_t gap;
    uint32_t bits;
};

static void add(struct set *set, uint64_t runtime_ns, uint64_t relative_ns, uint64_t period_ns) {
    if (period_ns != 0)
        set->terms[set->count++] = (struct ash_sched_term){runtime_ns, relative_ns, period_ns, 0};
}

/*
 * All that has bandwidth: who is attached, the reservation for fair, and who left lately.
 * One that was changed counts as both, the old and the new, until the old one's time is over.
 */
static struct set collect(const struct ash_sched *sched, const struct ash_sched_entity *instead_of,
                          const struct ash__sched_reservation *reservation, uint64_t now) {
    struct set set = {sched->terms, 0};
    for (uint32_t slot = 0; slot < sched->config.entities_max; slot++) {
        const struct ash_sched_entity *entity = sched->entities[slot];
        const struct ash_sched_parting *parting = &sched->partings[slot];
        bool parted = !ash__sched_counts(parting, now);
        bool attached = entity != NULL && entity->class_ == ASH_SCHED_REALTIME;
        if (entity != NULL && entity == instead_of)
            continue;
        if (attached && parted)
            add(&set, entity->server.runtime_ns, entity->server.relative_ns,
                entity->server.period_ns);
        else if (attached)
            add(&set, ash_max_u64(entity->server.runtime_ns, parting->runtime_ns),
                ash_min_u64(entity->server.relative_ns, parting->relative_ns),
                ash_min_u64(entity->server.period_ns, parting->period_ns));
        else if (!parted)
            add(&set, parting->runtime_ns, parting->relative_ns, parting->period_ns);
    }
    add(&set, sched->reserve.server.runtime_ns, sched->reserve.server.relative_ns,
        sched->reserve.server.period_ns);
    add(&set, reservation->runtime_ns, reservation->relative_ns, reservation->period_ns);
    return set;
}

static uint64_t below(const struct ash_sched_term *term, bool density) {
    return density ? term->relative_ns : term->period_ns;
}

/* The next digit of each fraction, off the gap. Returns whether a rest is left anywhere. */
static bool next_digit(const struct set *set, bool density, struct spare *spare) {
    bool rests = false;
    spare->gap <<= DIGIT_BITS;
    spare->bits += DIGIT_BITS;
    for (uint32_t i = 0; i < set->count; i++) {
        struct ash_sched_term *term = &set->terms[i];
        uint64_t value = term->rest << DIGIT_BITS, divisor = below(term, density);
        spare->gap -= (int64_t)(value / divisor);
        term->rest = value % divisor;
        rests |= term->rest != 0;
    }
    return rests;
}

/*
 * Is the sum of Q/T (or Q/D) at most 1? Undecided is a gap between 0 and count. Different from 1,
 * the sum differs by 2^-(40 count) at least, the least common multiple of all T: so many digits on,
 * it is 1.
 */
static bool sum_fits(const struct set *set, bool density, struct spare *spare) {
    uint32_t bits_max = 40 * set->count + 64;
    int64_t count = (int64_t)set->count;
    *spare = (struct spare){1, 0};
    for (uint32_t i = 0; i < set->count; i++) {
        struct ash_sched_term *term = &set->terms[i];
        spare->gap -= (int64_t)(term->runtime_ns / below(term, density));
        term->rest = term->runtime_ns % below(term, density);
    }
    while (spare->gap >= 0 && spare->gap < 2 * count && spare->bits < bits_max) {
        if (!next_digit(set, density, spare))
            break;
    }
    return spare->gap >= 0;
}

static uint64_t demand(const struct set *set, uint64_t span) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct ash_sched_term *term = &set->terms[i];
        if (term->relative_ns <= span)
            sum += ((span - term->relative_ns) / term->period_ns + 1) * term->runtime_ns;
    }
    return sum;
}

/* The last deadline before `span`; 0: there is none. */
static uint64_t deadline_before(const struct set *set, uint64_t span) {
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
static uint64_t bound_by_bandwidth(const struct set *set, const struct spare *spare) {
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
static uint64_t bound_by_busy_time(const struct set *set, uint64_t limit, uint32_t *rounds) {
    uint64_t busy = 0, next = 0;
    for (uint32_t i = 0; i < set->count; i++)
        next += set->terms[i].runtime_ns;
    while (next != busy && next < limit && ++*rounds < ROUNDS_MAX) {
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
static bool demand_fits(const struct set *set, const struct spare *spare,
                        struct ash_sched_refusal *refusal) {
    uint32_t rounds = 0;
    uint64_t limit = bound_by_bandwidth(set, spare), least = UINT64_MAX;
    limit = bound_by_busy_time(set, limit, &rounds);
    for (uint32_t i = 0; i < set->count; i++)
        least = ash_min_u64(least, set->terms[i].relative_ns);
    uint64_t span = deadline_before(set, limit);
    for (rounds = 0; rounds < ROUNDS_MAX; rounds++) {
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

/* The sum of Q/T in millionths, rounded up. */
static uint64_t bandwidth_ppm(const struct set *set) {
    const uint64_t one = UINT64_C(1000000) << 20;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < set->count; i++)
        sum += ash_mul_div_u64(one, set->terms[i].runtime_ns, set->terms[i].period_ns) + 1;
    return (sum >> 20) + 1;
}

bool ash__sched_admits(const struct ash_sched *sched, const struct ash_sched_entity *instead_of,
                       const struct ash__sched_reservation *reservation, uint64_t now, bool *tight,
                       struct ash_sched_refusal *refusal) {
    struct set set = collect(sched, instead_of, reservation, now);
    struct spare spare;
    bool constrained = false;
    for (uint32_t i = 0; i < set.count; i++)
        constrained |= set.terms[i].relative_ns < set.terms[i].period_ns;
    if (!sum_fits(&set, false, &spare)) {
        *refusal = (struct ash_sched_refusal){.reason = ASH_SCHED_OVER_BANDWIDTH,
                                              .bandwidth_ppm = bandwidth_ppm(&set)};
        *tight = false;
        return false;
    }
    struct spare denser;
    *tight = constrained && !sum_fits(&set, true, &denser);
    if (!*tight || demand_fits(&set, &spare, refusal))
        return true;
    *tight = false; /* simulated all the same: nothing is promised that would need it */
    return false;
}

bool ash__sched_bandwidth_fits(const struct ash_sched *sched) {
    struct set set = {sched->terms, 0};
    struct spare spare;
    for (uint32_t slot = 0; slot < sched->config.entities_max + ASH__SCHED_OWN_SLOTS; slot++) {
        const struct ash_sched_entity *entity = sched->entities[slot];
        if (entity != NULL && entity->class_ == ASH_SCHED_REALTIME)
            add(&set, entity->server.runtime_ns, entity->server.relative_ns,
                entity->server.period_ns);
    }
    return sum_fits(&set, false, &spare);
}
