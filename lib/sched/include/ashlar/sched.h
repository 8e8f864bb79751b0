/* SPDX-License-Identifier: MIT */
/*
 * sched.h: the scheduler of one CPU. A state machine: it takes the time and says which entity runs
 * and when it wants to be called again at the latest. It knows no timer, no thread, no lock.
 *
 *     ash_sched_init(&sched, &config, storage, sizeof storage, now);
 *     ash_sched_attach(&sched, &entity, &attributes, now, &refusal);   // admission; it sleeps
 *     ash_sched_wake(&sched, &entity, now);
 *     ash_sched_decide(&sched, now, &decision);       // decision.run, decision.call_at
 *     ...                                             // time passes; the timer fires, or
 *     ash_sched_block(&sched, now);                   // the entity that runs waits for something
 *     ash_sched_decide(&sched, now, &decision);
 *
 * Rules
 *  - Time is the caller's: u64 nanoseconds, any origin, may wrap; each call's `now` is not before
 *    the last one's (-ASH_EINVAL, nothing changed). Nothing needs a tick; a tick may call decide.
 *  - What runs is what the last decide said, from its `now` on. It is charged at every call.
 *  - Classes, in this order: real-time by deadline; fair and interactive by weight; idle. The
 *    reservation for fair (config) is a server among the real-time ones.
 *  - Admission is exact: a set of reservations is accepted if and only if EDF meets all deadlines
 *    on one CPU, whatever the times of the releases; but for one that is made to take too long
 *    (UNDECIDED). In the set is also what left or was changed, until its zero-lag time; there the
 *    old and the new count as the greater of both. Attributes change through it only.
 *  - The contract of a reservation: a job that needs no more than Q, and comes T or more after the
 *    one before, ends within D, whatever the others do, if decide is called when it asked to be;
 *    where only the demand test takes the set, from the first moment on at which all wait or sleep.
 *  - Locks: none. The caller serialises the calls of one instance; a call on two wants both, the
 *    lower CPU's first. Callable with interrupts masked: no callback but those of the config.
 *
 * Sources: CBS: Abeni, Buttazzo, RTSS 1998. Hard CBS, revised wake-up, GRUB: Linux,
 * Documentation/scheduler/sched-deadline.rst; Lipari, Baruah 2000; Abeni et al. 2015. QPA: Zhang,
 * Burns, IEEE ToC 2009. EEVDF: Stoica, Abdel-Wahab 1995. MLFQ: Arpaci-Dusseau, chapter 8.
 */
#ifndef ASHLAR_SCHED_H
#define ASHLAR_SCHED_H

#include <ashlar/sched_state.h>
#include <ashlar/sched_types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_SCHED_PREEMPTS 1 /* of wake: what decide said last does not hold any more */

/* Bytes of storage, to be aligned to 64; 0: the configuration is invalid. */
size_t ash_sched_storage_size(const struct ash_sched_config *config) ASH_MUST_CHECK;

/*
 * storage: the scheduler's until its last call. *config and its allotments are copied. O(entities).
 *   -ASH_EINVAL  configuration or alignment      -ASH_ENOMEM  storage too small
 */
int ash_sched_init(struct ash_sched *sched, const struct ash_sched_config *config, void *storage,
                   size_t storage_bytes, uint64_t now) ASH_MUST_CHECK;

/*
 * Which class the attributes ask for: a pure function, tried in this order. IDLEST: idle. Any of
 * runtime, deadline, period: real-time (deadline without runtime: soft, measured). NICE: fair.
 * Nothing: interactive, or fair with ASH_SCHED_FAIR_FIRST.
 */
enum ash_sched_class ash_sched_class_of(const struct ash_sched_attributes *attributes,
                                        uint32_t config_flags);

/*
 * From now on it is this scheduler's; it sleeps. The entity is zeroed before its first attach.
 * *refusal (or NULL) says why not, with the term that failed. Call decide next: in the set with it
 * nothing may be to be reclaimed any more, and what runs would go on for too long.
 * O(1), and O(entities) where many have left lately; real-time: a few rounds of O(entities)
 * divisions, tens where D < T; at most 2^21 divisions, or 512 rounds where those are more.
 *   -ASH_EINVAL  flags, times or affinity, or `now`      -ASH_ERANGE  nice, period or slice
 *   -ASH_EBUSY   admission refuses it                    -ASH_ENOSPC  entities_max
 *   -ASH_EEXIST  it is attached already
 */
int ash_sched_attach(struct ash_sched *sched, struct ash_sched_entity *entity,
                     const struct ash_sched_attributes *attributes, uint64_t now,
                     struct ash_sched_refusal *refusal) ASH_MUST_CHECK;

/* What attach would say of the attributes now: its answers but -ASH_EEXIST, at its cost; nothing
 * changes. */
int ash_sched_may_attach(struct ash_sched *sched, const struct ash_sched_attributes *attributes,
                         uint64_t now, struct ash_sched_refusal *refusal) ASH_MUST_CHECK;

/*
 * Other attributes, through admission as attach, and its counts are kept. nice, slice and affinity
 * change at any time, O(log n); a reservation, or the class, only while it sleeps, at the cost of
 * an attach. A new reservation begins at the zero-lag time of the one before: until then, both
 * count, and a job waits. Call decide next.
 *   -ASH_ENOENT  it is not attached here      -ASH_EAGAIN  it is runnable      else as attach
 */
int ash_sched_change(struct ash_sched *sched, struct ash_sched_entity *entity,
                     const struct ash_sched_attributes *attributes, uint64_t now,
                     struct ash_sched_refusal *refusal) ASH_MUST_CHECK;

/* Whatever it is doing; its memory is the caller's again. Its bandwidth counts until its zero-lag
 * time. Call decide next. O(log n); O(entities) divisions where only the demand test took the set,
 * or for the last that reclaims.
 * -ASH_ENOENT: it is not attached here. -ASH_EINVAL: `now`. */
int ash_sched_detach(struct ash_sched *sched, struct ash_sched_entity *entity,
                     uint64_t now) ASH_MUST_CHECK;

/*
 * It has something to do. 0, or ASH_SCHED_PREEMPTS: call decide now, for this one is to run, or an
 * earlier call is needed, or the one asked for is due. O(log n) in the mean.
 *   -ASH_ENOENT  it is not attached here      -ASH_EEXIST  it is awake      -ASH_EINVAL  `now`
 */
int ash_sched_wake(struct ash_sched *sched, struct ash_sched_entity *entity,
                   uint64_t now) ASH_MUST_CHECK;

/* What runs waits for something: its job is done. Call decide next; until then nothing is charged.
 * -ASH_ENOENT: nothing runs. -ASH_EINVAL: `now`. O(log n); where Q is measured, and grows or
 * shrinks, an admission. */
int ash_sched_block(struct ash_sched *sched, uint64_t now) ASH_MUST_CHECK;

/* What runs lets others go first. Real-time: its job is done, it gives up the rest of its budget,
 * and its next job begins with its next period. Call decide next. Errors and cost as block. */
int ash_sched_yield(struct ash_sched *sched, uint64_t now) ASH_MUST_CHECK;

/* What to run from now on, and until when. -ASH_EINVAL: `now`. O(log n), as many times as timers
 * have come due; O(entities) twice in starving_ns. */
int ash_sched_decide(struct ash_sched *sched, uint64_t now,
                     struct ash_sched_decision *decision) ASH_MUST_CHECK;

/*
 * The deadline of the job that it is at, absolute or from now: never earlier than the reservation
 * gave it, for that was what admission knew of. Call decide next. O(log n).
 *   -ASH_ENOENT  not attached here    -ASH_EAGAIN  it sleeps, or is not real-time
 *   -ASH_ERANGE  earlier, or more than 2^41 ns ahead    -ASH_EINVAL  `now`
 */
int ash_sched_deadline_at(struct ash_sched *sched, struct ash_sched_entity *entity,
                          uint64_t deadline, uint64_t now) ASH_MUST_CHECK;
int ash_sched_deadline_in(struct ash_sched *sched, struct ash_sched_entity *entity,
                          uint64_t ahead_ns, uint64_t now) ASH_MUST_CHECK;

/* Counts of one entity, charged up to now. O(log n).
 * -ASH_ENOENT: not attached here. -ASH_EINVAL: `now`. */
int ash_sched_get_account(struct ash_sched *sched, struct ash_sched_entity *entity, uint64_t now,
                          struct ash_sched_account *account) ASH_MUST_CHECK;
void ash_sched_get_stats(const struct ash_sched *sched, struct ash_sched_stats *stats);

/* A phrase for a person; never NULL. */
const char *ash_sched_reason_text(enum ash_sched_reason reason);

/* The first broken invariant by its number in DESIGN.md, or NULL. O(entities log entities), and
 * admission's sum. It reckons in the storage: serialised as the other calls are. */
const char *ash_sched_check(const struct ash_sched *sched);

#ifdef __cplusplus
}
#endif

#endif
