/* SPDX-License-Identifier: MIT */
/*
 * admission.c: would EDF meet all deadlines of a set of reservations on one CPU? Exact integers:
 *
 *   bandwidth  sum Q/T <= 1: necessary; enough where D = T (Liu, Layland 1973)
 *   density    sum Q/D <= 1: enough, and servers may use their budgets piecemeal
 *   demand     h(t) <= t for all t, h(t) sums ((t - D) / T + 1) Q over D <= t: necessary, enough
 *              for jobs that come T apart (Baruah et al. 1990)
 */
#include "admission.h"

/* In whose eyes a slot whose reservation was changed, and counts still, is looked at. */
enum view { BANDWIDTH, DENSITY, DEMAND };

typedef struct ash__sched_reservation reservation; /* what is in this file's every line */

static void add(struct ash__sched_set *set, const reservation *one) {
    if (one->period_ns == 0)
        return;
    set->constrained |= one->relative_ns < one->period_ns;
    set->terms[set->count++] =
        (struct ash_sched_term){one->runtime_ns, one->relative_ns, one->period_ns, 0};
}

/* Jobs of both kinds as of one; or as of both, if that is less. */
static void add_demand(struct ash__sched_set *set, const reservation *one,
                       const reservation *other) {
    reservation all = {.runtime_ns = ash_max_u64(one->runtime_ns, other->runtime_ns),
                       .relative_ns = ash_min_u64(one->relative_ns, other->relative_ns),
                       .period_ns = ash_min_u64(one->period_ns, other->period_ns)};
    ash__u128 both = (ash__u128)one->runtime_ns * other->period_ns +
                     (ash__u128)other->runtime_ns * one->period_ns; /* < 2^81, and T < 2^41 */
    if ((ash__u128)one->period_ns * other->period_ns * all.runtime_ns <= both * all.period_ns) {
        add(set, &all);
        return;
    }
    add(set, one);
    add(set, other);
}

/*
 * Of a slot first one, until its time is over, then the other. A server never gets more than its
 * bandwidth (density) from any moment on, so that of both the greater bounds it (greater density);
 * what is due in an interval may be of both.
 */
static void add_changed(struct ash__sched_set *set, const reservation *one,
                        const reservation *other, enum view view) {
    bool density = view == DENSITY;
    set->twofold = true;
    set->constrained |= one->relative_ns < one->period_ns || other->relative_ns < other->period_ns;
    if (view == DEMAND)
        add_demand(set, one, other);
    else if ((ash__u128)one->runtime_ns * (density ? other->relative_ns : other->period_ns) >
             (ash__u128)other->runtime_ns * (density ? one->relative_ns : one->period_ns))
        add(set, one);
    else
        add(set, other);
}

static reservation of_parting(const struct ash_sched_parting *parting) {
    return (reservation){parting->runtime_ns, parting->relative_ns, parting->period_ns};
}

static reservation of_server(const struct ash_sched_server *server) {
    return (reservation){server->runtime_ns, server->relative_ns, server->period_ns};
}

static void add_slot(const struct ash_sched *sched, uint32_t slot, uint64_t now, enum view view,
                     struct ash__sched_set *set) {
    const struct ash_sched_entity *entity = sched->entities[slot];
    bool attached = entity != NULL && entity->class_ == ASH_SCHED_REALTIME;
    bool parting = ash__sched_counts(&sched->partings[slot], now);
    reservation before = parting ? of_parting(&sched->partings[slot]) : (reservation){0, 0, 0};
    reservation after = attached ? of_server(&entity->server) : (reservation){0, 0, 0};
    if (parting && attached)
        add_changed(set, &before, &after, view);
    else
        add(set, parting ? &before : &after);
}

/* The candidate is in the place of one whose period may not be over. Bandwidths and densities with
 * that one were admitted as they are: there the candidate alone is new. */
static void add_candidate(const struct ash_sched *sched, const struct ash_sched_entity *instead_of,
                          const reservation *candidate, uint64_t now, enum view view,
                          struct ash__sched_set *set) {
    reservation before = {0, 0, 0};
    if (instead_of != NULL && ash__sched_counts(&sched->partings[instead_of->slot], now))
        before = of_parting(&sched->partings[instead_of->slot]);
    else if (instead_of != NULL && instead_of->class_ == ASH_SCHED_REALTIME &&
             ash__sched_before(now, ash__sched_next_period(&instead_of->server)))
        before = of_server(&instead_of->server);
    set->twofold |= before.period_ns != 0;
    if (before.period_ns != 0 && view == DEMAND)
        add_demand(set, &before, candidate);
    else
        add(set, candidate);
}

/* All that has bandwidth: who is attached, the reservation for fair, and who left lately. */
static struct ash__sched_set collect(const struct ash_sched *sched,
                                     const struct ash_sched_entity *instead_of,
                                     const reservation *candidate, uint64_t now, enum view view) {
    struct ash__sched_set set = {.terms = sched->terms};
    for (uint32_t slot = 0; slot < sched->config.entities_max; slot++) {
        if (instead_of == NULL || slot != instead_of->slot)
            add_slot(sched, slot, now, view, &set);
    }
    reservation reserve = of_server(&sched->reserve.server);
    add(&set, &reserve);
    add_candidate(sched, instead_of, candidate, now, view, &set);
    return set;
}

/* The sum of Q/T in millionths, rounded up. */
static uint64_t bandwidth_ppm(const struct ash__sched_set *set) {
    const uint64_t one = UINT64_C(1000000) << 20;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < set->count; i++)
        sum += ash__sched_mul_div(one, set->terms[i].runtime_ns, set->terms[i].period_ns) + 1;
    return (sum >> 20) + 1;
}

/* The sum of Q/T, of a set that is seen as `set` is. */
static bool bandwidth_fits(const struct ash__sched_set *set, struct ash__sched_spare *spare,
                           struct ash_sched_refusal *refusal) {
    enum ash__sched_verdict verdict = ash__sched_sum(set, false, spare);
    if (verdict == ASH__SCHED_FITS)
        return true;
    *refusal = (struct ash_sched_refusal){.reason = ASH_SCHED_UNDECIDED};
    if (verdict == ASH__SCHED_EXCEEDS)
        *refusal = (struct ash_sched_refusal){.reason = ASH_SCHED_OVER_BANDWIDTH,
                                              .bandwidth_ppm = bandwidth_ppm(set)};
    return false;
}

bool ash__sched_admits(const struct ash_sched *sched, const struct ash_sched_entity *instead_of,
                       const reservation *candidate, uint64_t now, bool *tight,
                       struct ash_sched_refusal *refusal) {
    struct ash__sched_set set = collect(sched, instead_of, candidate, now, BANDWIDTH);
    struct ash__sched_spare spare, denser;
    *tight = false; /* also of one that is refused and simulated: nothing is promised then */
    if (!bandwidth_fits(&set, &spare, refusal))
        return false;
    if (!set.constrained)
        return true;
    if (set.twofold)
        set = collect(sched, instead_of, candidate, now, DENSITY);
    if (ash__sched_sum(&set, true, &denser) == ASH__SCHED_FITS)
        return true;
    if (set.twofold) {
        set = collect(sched, instead_of, candidate, now, DEMAND);
        if (!bandwidth_fits(&set, &spare, refusal))
            return false;
    }
    *tight = ash__sched_demand(&set, &spare, refusal);
    return *tight;
}

/*
 * An interval in which a deadline could be missed begins when no server is ready. So of one that
 * began in a tight set all jobs keep to that one's rules, and only then the others' begin.
 */
static bool is_idle(const struct ash_sched *sched) {
    return sched->ready.length == (sched->reserve.state == ASH_SCHED_READY);
}

void ash__sched_set_tight(struct ash_sched *sched, bool tight) {
    if (tight || is_idle(sched))
        sched->tight = tight;
    sched->may_loosen |= sched->tight && !tight;
}

void ash__sched_loosen(struct ash_sched *sched) {
    const reservation none = {0, 0, 0};
    struct ash__sched_spare spare;
    if (!sched->tight || !sched->may_loosen || !is_idle(sched) ||
        ash__sched_before(sched->now, sched->loosens_at))
        return;
    struct ash__sched_set set = collect(sched, NULL, &none, sched->now, DENSITY);
    sched->tight = set.constrained && ash__sched_sum(&set, true, &spare) != ASH__SCHED_FITS;
    sched->may_loosen = false;
}

bool ash__sched_fits(const struct ash_sched *sched, bool density) {
    struct ash__sched_set set = {.terms = sched->terms};
    struct ash__sched_spare spare;
    for (uint32_t slot = 0; slot < sched->config.entities_max + ASH__SCHED_OWN_SLOTS; slot++) {
        const struct ash_sched_entity *entity = sched->entities[slot];
        if (entity == NULL || entity->class_ != ASH_SCHED_REALTIME)
            continue;
        reservation one = of_server(&entity->server);
        add(&set, &one);
    }
    return ash__sched_sum(&set, density, &spare) != ASH__SCHED_EXCEEDS;
}
