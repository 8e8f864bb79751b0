/* SPDX-License-Identifier: MIT */
/*
 * sched_internal.h: what the files of the scheduler share.
 *
 *     sched.c      the calls that happen all the time: charge, timers, pick, next call
 *     attach.c     who comes, changes and goes      admission.c, sum.c, demand.c  exact tests
 *     init.c       what the storage holds           attributes.c  what may be asked for
 *     cbs.c        servers: wake-up, exhaustion, replenishment    grub.c     active bandwidth
 *     job.c        what is promised about a job     measure.c     Q that nobody knows
 *     deadline.c   deadlines of one's own           smp.c         instances of several CPUs
 *     eevdf.c, cfs.c, weights.c  fair, by fair.h    mlfq.c        interactive
 *     queue.c      the priority queue of real-time, timers, EEVDF: queue.h, queue_inline.h
 *     account.c    counts                           check.c       the invariants by number
 *
 * A class's functions never touch `current`, account or events of other classes; time has been
 * charged before they are called.
 */
#ifndef ASHLAR_SCHED_INTERNAL_H
#define ASHLAR_SCHED_INTERNAL_H

#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/port.h>
#include <ashlar/sched.h>

#include "queue.h"

typedef ash__sched_u128 ash__u128;

/* GRUB's states (Abeni et al. 2015). Non-contending: blocked, until its zero-lag time. */
enum ash__sched_grub { ASH__GRUB_INACTIVE, ASH__GRUB_ACTIVE, ASH__GRUB_NONCONTENDING };

#define ASH__SCHED_FOREVER UINT64_MAX /* of spans of time: no end */

/* A deadline never lies further ahead: keys of one queue stay within 2^43 of each other. Twice the
 * longest period, so that only one who overran is cut. */
#define ASH__SCHED_AHEAD_MAX_NS (2 * ASH_SCHED_TIME_MAX_NS)
/* What one charge of a fair one counts at most, 13 days: vruntimes stay comparable whatever a clock
 * does. */
#define ASH__SCHED_FAIR_RAN_MAX_NS (UINT64_C(1) << 50)

/* Slots behind the callers' ones. */
#define ASH__SCHED_OWN_SLOTS        2
#define ASH__SCHED_INTERACTIVE_SLOT 0
#define ASH__SCHED_RESERVE_SLOT     1

/* a is before b: times that may have wrapped. */
static inline bool ash__sched_before(uint64_t a, uint64_t b) {
    return (int64_t)(a - b) < 0;
}

static inline bool ash__sched_has(const struct ash_sched *sched, uint32_t config_flag) {
    return (sched->config.flags & config_flag) != 0;
}

/* arithmetic.c: ash_div_128_by_64 and ash_mul_div_u64. */
uint64_t ash__sched_div(uint64_t high, uint64_t low, uint64_t divisor);
uint64_t ash__sched_mul_div(uint64_t a, uint64_t b, uint64_t divisor);

/* The slice that it asked for, or the configuration's. */
static inline uint64_t ash__sched_slice_of(const struct ash_sched *sched,
                                           const struct ash_sched_entity *entity) {
    return entity->attributes.slice_ns != 0 ? entity->attributes.slice_ns : sched->config.slice_ns;
}

/*
 * The fair class: eevdf.c, and cfs.c with the same functions. The entity that runs stays queued.
 *   init     of the class's state, which is zeroed; storage as *_bytes says, 64-byte aligned
 *   attach   weight and slice of the attributes; it sleeps, and has no lag
 *   enqueue  it becomes runnable        dequeue  it is no longer (it may be the running one)
 *   charge   the running one ran for so long
 *   pick     whose turn it is, NULL: nobody's     left  how long it may run until that may change
 *   yield    the running one lets the others go first, as far as its lag allows
 *   reweight the attributes' nice and slice have changed, queued or not
 *   check    the first broken invariant, or NULL
 */
#define ASH__SCHED_FAIR(x)                                                                    \
    size_t ash__sched_##x##_bytes(uint32_t slots);                                            \
    void ash__sched_##x##_init(struct ash_sched *sched, void *storage, uint32_t slots);       \
    void ash__sched_##x##_attach(struct ash_sched *sched, struct ash_sched_entity *entity);   \
    void ash__sched_##x##_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity);  \
    void ash__sched_##x##_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity);  \
    void ash__sched_##x##_charge(struct ash_sched *sched, struct ash_sched_entity *entity,    \
                                 uint64_t ran_ns);                                            \
    struct ash_sched_entity *ash__sched_##x##_pick(struct ash_sched *sched);                  \
    uint64_t ash__sched_##x##_left(const struct ash_sched *sched,                             \
                                   const struct ash_sched_entity *entity);                    \
    void ash__sched_##x##_yield(struct ash_sched *sched, struct ash_sched_entity *entity);    \
    void ash__sched_##x##_reweight(struct ash_sched *sched, struct ash_sched_entity *entity); \
    const char *ash__sched_##x##_check(const struct ash_sched *sched)
ASH__SCHED_FAIR(eevdf);
ASH__SCHED_FAIR(cfs);

/* The 40 weights: 1024 at nice 0, about 1.25 a step. */
uint32_t ash__sched_weight(int32_t nice);

/*
 * The interactive class, mlfq.c: as above. boost: its time, mlfq.boost_at, has come. next: how long
 * until the next one. count: who is runnable.
 */
void ash__sched_mlfq_init(struct ash_sched *sched, uint64_t now);
void ash__sched_mlfq_attach(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_mlfq_boost(struct ash_sched *sched);
void ash__sched_mlfq_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_mlfq_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_mlfq_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                            uint64_t ran_ns);
struct ash_sched_entity *ash__sched_mlfq_pick(struct ash_sched *sched);
uint64_t ash__sched_mlfq_left(const struct ash_sched *sched, const struct ash_sched_entity *entity);
uint64_t ash__sched_mlfq_next(const struct ash_sched *sched, uint64_t now);
void ash__sched_mlfq_yield(struct ash_sched *sched, struct ash_sched_entity *entity);
const char *ash__sched_mlfq_check(const struct ash_sched *sched);

struct ash__sched_reservation {
    uint64_t runtime_ns, relative_ns, period_ns;
};

/* realtime queue (sched.c): servers that are ready, the reservation for fair among them. */
void ash__sched_realtime_insert(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_realtime_remove(struct ash_sched *sched, struct ash_sched_entity *entity);

static inline uint64_t ash__sched_next_period(const struct ash_sched_server *server) {
    return server->deadline - server->relative_ns + server->period_ns;
}

/* A reservation left the slot, and its time is not over. */
static inline bool ash__sched_counts(const struct ash_sched_parting *parting, uint64_t now) {
    return parting->period_ns != 0 && ash__sched_before(now, parting->until);
}

/* cbs.c. Servers, and the reservation for fair, which is one. exhausted: ready, and q <= 0. timer:
 * the slot's time in the queue of timers has come, and it is out of that. */
void ash__sched_server_init(struct ash_sched *sched, struct ash_sched_entity *entity,
                            const struct ash__sched_reservation *reservation);
void ash__sched_server_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                              uint64_t ran_ns);
void ash__sched_server_wake(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_server_block(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_server_exhausted(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_server_yield(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_server_timer(struct ash_sched *sched, uint32_t slot);
uint64_t ash__sched_server_left(const struct ash_sched *sched,
                                const struct ash_sched_entity *entity);
uint64_t ash__sched_server_departs(struct ash_sched *sched, const struct ash_sched_entity *entity);

/* job.c. What is promised about a job, and whether it was kept. */
void ash__sched_job_begins(struct ash_sched_entity *entity);
void ash__sched_job_look(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_job_ends(struct ash_sched *sched, struct ash_sched_entity *entity);

/* measure.c. Of an entity whose Q is measured: its job has ended, and it is blocked, or out of
 * budget and in no queue. */
void ash__sched_measure(struct ash_sched *sched, struct ash_sched_entity *entity);

/* grub.c. */
uint64_t ash__sched_bandwidth(const struct ash_sched *sched,
                              const struct ash__sched_reservation *reservation);
uint64_t ash__sched_zero_lag(struct ash_sched *sched, const struct ash_sched_entity *entity);

/* The whole nanoseconds of its budget: a charge may have left part of one. */
static inline int64_t ash__sched_budget_whole(const struct ash_sched_entity *entity) {
    return entity->server.budget - (entity->charge_rest != 0);
}

void ash__sched_grub_wake(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_grub_block(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_grub_timer(struct ash_sched *sched, uint32_t slot);
void ash__sched_grub_part(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_grub_leave(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_grub_switch(struct ash_sched *sched, bool on);
uint64_t ash__sched_grub_scale(struct ash_sched *sched, struct ash_sched_entity *entity,
                               uint64_t ran_ns);
uint64_t ash__sched_grub_left(const struct ash_sched *sched, const struct ash_sched_entity *entity);

/* admission.c. Would the set, with `reservation` in the place of `instead_of`'s (NULL: added), meet
 * all its deadlines? Fills in why not, and otherwise *tight (struct ash_sched). */
bool ash__sched_admits(const struct ash_sched *sched, const struct ash_sched_entity *instead_of,
                       const struct ash__sched_reservation *reservation, uint64_t now, bool *tight,
                       struct ash_sched_refusal *refusal);

/* Admission says that the set is tight, from now on, or that it is not, from the first moment on at
 * which none of its servers is ready. loosen: is it so still, now that something has left? */
void ash__sched_set_tight(struct ash_sched *sched, bool tight);
void ash__sched_loosen(struct ash_sched *sched);

/* Do the bandwidths, or the densities, of those attached sum to 1 at most? */
bool ash__sched_fits(const struct ash_sched *sched, bool density);

/* attributes.c. ASH_SCHED_OK, or what is wrong with them; *reservation: what real-time is to get,
 * all 0 for the other classes. */
enum ash_sched_reason ash__sched_validate(const struct ash_sched *sched,
                                          const struct ash_sched_attributes *attributes,
                                          struct ash__sched_reservation *reservation);
bool ash__sched_is_measured(const struct ash_sched_attributes *attributes);

/* T, whose default is D; 0: no reservation. */
static inline uint64_t ash__sched_period(const struct ash_sched_attributes *attributes) {
    return attributes->period_ns != 0 ? attributes->period_ns : attributes->deadline_ns;
}

/* attach.c. Coming and going, apart from the calls that do it. */
struct ash__sched_entry {
    struct ash__sched_reservation reservation;
    uint32_t slot_index;
    bool tight;
};
int ash__sched_may_enter(struct ash_sched *sched, const struct ash_sched_attributes *attributes,
                         uint64_t now, struct ash__sched_entry *entry,
                         struct ash_sched_refusal *why);
void ash__sched_enter(struct ash_sched *sched, struct ash_sched_entity *entity,
                      const struct ash_sched_attributes *attributes,
                      const struct ash__sched_entry *entry);
void ash__sched_exit(struct ash_sched *sched, struct ash_sched_entity *entity);
/* The reservation of one that is blocked gives way, and counts until its time is over. begins: then
 * the one that came in its place begins. */
void ash__sched_part(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_begins(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_hint_bandwidth(struct ash_sched *sched, const struct ash_sched_entity *entity,
                               bool comes);

/* sched.c. Charges what runs up to now; the same, and does what is due by then. */
void ash__sched_charge(struct ash_sched *sched, uint64_t now);
void ash__sched_advance(struct ash_sched *sched, uint64_t now);
/* What ran does not run any more, and nothing does until the next decide. */
void ash__sched_stops(struct ash_sched *sched);
/* Into and out of its class's queue; charged before. */
void ash__sched_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity);
void ash__sched_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity);

#endif
