/* SPDX-License-Identifier: MIT */
/*
 * sched_smp.h: schedulers of several CPUs, one instance each, as one: where a wake-up goes, who
 * takes work from whom, where reservations find room. There is no common queue and no common lock.
 *
 *     CPU 0: instance, its lock     CPU 1: instance, its lock     ...
 *         ╰── hints (runnable, what runs, bandwidth): read by all, with no lock ──╯
 *
 * Rules
 *  - The locks are the caller's, one an instance; sched.h says which calls want it. A call on two
 *    instances wants both, the lower CPU's taken first. Hints may be stale: they choose, the lock
 *    and the call decide.
 *  - Fair, interactive and idle entities go where there is room, and are stolen while they wait.
 *    Real-time is partitioned: an entity stays where it was admitted, until ash_sched_move takes it
 *    elsewhere through the admission there.
 *  - An entity never runs on a CPU that its affinity leaves out: no call takes it there.
 *  - To wake one: lock its owner (ash_sched_owner, look again under the lock); ash_sched_place;
 *    wake it there, or lock both, ash_sched_move, wake it, and tell that CPU to decide.
 *
 * Source of first fit decreasing for EDF: Lopez, Diaz, Garcia, Real-Time Systems 2004.
 */
#ifndef ASHLAR_SCHED_SMP_H
#define ASHLAR_SCHED_SMP_H

#include <ashlar/sched.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_SCHED_NO_CPU UINT32_MAX

/* cpu[i] is the instance of CPU i: config.cpu is i. The caller's, and constant. */
struct ash_sched_cpus {
    struct ash_sched *cpu[ASH_SCHED_CPUS_MAX];
    uint32_t count;
};

/* The instance that it is attached to, or NULL. No lock: true once the instance's is held and it
 * still says so. */
struct ash_sched *ash_sched_owner(const struct ash_sched_entity *entity);

/*
 * The CPU that an entity, asleep, is best woken on: its own if that has nothing to run, or another
 * that has nothing, or the one with the least, its own preferred. Real-time: its own. Under the
 * lock of its own; O(CPUs).
 */
uint32_t ash_sched_place(const struct ash_sched_cpus *cpus, const struct ash_sched_entity *entity);

/* The CPU to steal from: the one with most that waits; ASH_SCHED_NO_CPU: nothing waits anywhere.
 * No lock; O(CPUs). */
uint32_t ash_sched_busiest(const struct ash_sched_cpus *cpus, uint32_t thief);

/*
 * Takes an entity that waits, and may run on the thief's CPU, from the victim to the thief: the
 * next such after the one last taken; NULL: there is none, or no room. Fair and interactive ones
 * alone. It arrives ready, with no lag. Both locks; O(entities) where few may go, else O(1).
 */
struct ash_sched_entity *ash_sched_steal(struct ash_sched *thief, struct ash_sched *victim,
                                         uint64_t now);

/*
 * Moves an entity, awake or asleep, but not the one that runs (-ASH_EAGAIN), through the target's
 * admission. Its counts and its job's deadline go with it; its server begins anew, and its
 * bandwidth counts at its old place until its zero-lag time. Both locks. Other errors as
 * ash_sched_attach at the target, which leave it where it was; -ASH_ENOENT: not attached to `from`.
 */
int ash_sched_move(struct ash_sched *from, struct ash_sched *to, struct ash_sched_entity *entity,
                   uint64_t now, struct ash_sched_refusal *refusal) ASH_MUST_CHECK;

/*
 * First fit: the next CPU, `from` and up, that the attributes allow and that seems to have room;
 * ASH_SCHED_NO_CPU: none. Lock it and attach; if that refuses, go on behind it. No lock; O(CPUs).
 */
uint32_t ash_sched_fit(const struct ash_sched_cpus *cpus,
                       const struct ash_sched_attributes *attributes, uint32_t from);

/*
 * A whole set of reservations, first fit decreasing by Q/T: all are attached, each somewhere, or
 * none is (-ASH_EBUSY; *refusal and *failed, either may be NULL: of the first that found no room,
 * why and its index). Others' errors as ash_sched_attach. order: room for `count` numbers. All
 * locks; O(count^2 + count CPUs) and the admissions. Then decide, on each CPU.
 */
int ash_sched_attach_all(const struct ash_sched_cpus *cpus,
                         struct ash_sched_entity *const *entities,
                         const struct ash_sched_attributes *attributes, uint32_t count,
                         uint32_t *order, uint64_t now, uint32_t *failed,
                         struct ash_sched_refusal *refusal) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
