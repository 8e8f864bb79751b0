/* SPDX-License-Identifier: MIT */
/* thread_wake.c: waiting and waking; on which CPU a thread wakes, and who takes it from there. */
#include "thread_internal.h"

#include <ashlar/check.h>
#include <ashlar/event.h>

ASH_EVENT_DEFINE(event_wake, "thread.wake", "thread:task,cpu");

enum { OFFER_EVERY_NS = 1000000 };

struct thread_cpu *thread_lock_cpu(const struct thread *thread) {
    for (;;) {
        struct ash_sched *sched = ash_sched_owner(&thread->entity);
        struct thread_cpu *cpu = &threads.cpus[sched->config.cpu];
        ash_spin_lock(&cpu->lock);
        if (ash_sched_owner(&thread->entity) == sched)
            return cpu;
        ash_spin_unlock(&cpu->lock);
    }
}

static void decide_again(struct thread_cpu *cpu) {
    ash_store_release(&cpu->resched, 1u);
    if (cpu != thread_this_cpu())
        platform_wake(cpu->number);
}

/* Waiting */

void thread_prepare_wait(struct thread *self) {
    ash_store_release(&self->is_waiting, 1u);
    ash_fence();
}

static bool wakes_earlier(const struct ash_rbtree_node *a, const struct ash_rbtree_node *b) {
    return ASH_RBTREE_ENTRY(a, struct thread, sleeper)->wake_at_ns <
           ASH_RBTREE_ENTRY(b, struct thread, sleeper)->wake_at_ns;
}

static void forget_sleeper(struct thread_cpu *cpu, struct thread *thread) {
    if (!ash_rbtree_is_linked(&thread->sleeper))
        return;
    ash_rbtree_cached_erase(&cpu->sleepers, &thread->sleeper, NULL);
    ash_rbtree_node_init(&thread->sleeper);
}

/* In another's turn its own entity stays runnable: whose turn it is then finds out. */
bool thread_block(struct thread *self, ash_ns_t deadline_ns) {
    struct thread_cpu *cpu = thread_this_cpu();
    ash_spin_lock(&cpu->lock);
    if (ash_load_acquire(&self->is_waiting) == 0) {
        ash_spin_unlock(&cpu->lock);
        return true;
    }
    ash_ns_t now_ns = platform_now_ns();
    self->wake_at_ns = deadline_ns;
    self->is_late = false;
    if (deadline_ns != UINT64_MAX)
        ash_rbtree_cached_insert(&cpu->sleepers, &self->sleeper, wakes_earlier, NULL);
    if (cpu->turn == self) {
        cpu->turn = NULL;
        self->is_asleep = true;
        int error = ash_sched_block(&cpu->sched, now_ns - threads.stood_still_ns);
        ASH_REQUIRE(error == 0, "threads: %s cannot block (error %d)", self->name, error);
    }
    thread_dispatch_locked(cpu, now_ns);
    return !self->is_late;
}

/* Waking */

/* Its CPU's lock is held. */
static void wake_here(struct thread_cpu *cpu, struct thread *thread) {
    if (!thread->is_asleep) {
        decide_again(cpu);
        return;
    }
    thread->is_asleep = false;
    int result = ash_sched_wake(&cpu->sched, &thread->entity, thread_clock());
    ASH_REQUIRE(result >= 0, "threads: %s cannot wake (error %d)", thread->name, result);
    if (result == ASH_SCHED_PREEMPTS)
        decide_again(cpu);
}

static struct thread_cpu *lock_second(struct thread_cpu *cpu, uint32_t number) {
    struct thread_cpu *other = &threads.cpus[number];
    if (number > cpu->number) {
        ash_spin_lock(&other->lock);
    } else if (!ash_spin_trylock(&other->lock)) {
        return NULL;
    }
    return other;
}

/* Where it has the least to wait, if that CPU's lock is free; else where it is. */
static void place_and_wake(struct thread_cpu *cpu, struct thread *thread) {
    uint32_t number =
        thread->is_asleep ? ash_sched_place(&threads.scheds, &thread->entity) : cpu->number;
    struct thread_cpu *target = number == cpu->number ? NULL : lock_second(cpu, number);
    if (target == NULL) {
        wake_here(cpu, thread);
        return;
    }
    int error = ash_sched_move(&cpu->sched, &target->sched, &thread->entity, thread_clock(), NULL);
    wake_here(error == 0 ? target : cpu, thread);
    ash_spin_unlock(&target->lock);
}

/* Its CPU's lock is held, and it waits. */
static void end_wait(struct thread_cpu *cpu, struct thread *thread) {
    ASH_EVENT(event_wake, thread->id, cpu->number);
    forget_sleeper(cpu, thread);
    ash_store_relaxed(&thread->is_stoppable, 0u);
    ash_store_release(&thread->is_waiting, 0u);
    place_and_wake(cpu, thread);
}

/*
 * An owner of mutexes is woken with the lenders' lock held, and its lenders are taken off it
 * before: for awake, on another CPU, it may end at once, and its memory go.
 */
enum woken { NOBODY, WOKEN, OWNER /* not yet: lenders is NULL, as that lock is not held */ };

/* Their lock is held. */
static void take_lenders(struct thread *thread, struct ash_list *lenders) {
    ash_store_relaxed(&thread->has_lenders, 0u);
    ash_list_splice_back(lenders, &thread->lenders);
}

/* Its CPU's lock is held, and it waits. */
static enum woken try_to_wake(struct thread_cpu *cpu, struct thread *thread,
                              struct ash_list *lenders) {
    if (lenders != NULL)
        take_lenders(thread, lenders);
    else if (ash_load_relaxed(&thread->mutexes) != 0)
        return OWNER;
    end_wait(cpu, thread);
    return WOKEN;
}

static enum woken wake_one(struct thread *thread, struct ash_list *lenders) {
    enum woken woken = NOBODY;
    struct thread_cpu *cpu = thread_lock_cpu(thread);
    if (ash_load_acquire(&thread->is_waiting) != 0)
        woken = try_to_wake(cpu, thread, lenders);
    ash_spin_unlock(&cpu->lock);
    return woken;
}

/* The lenders' lock is held; nobody on the list goes on without it. */
static void wake_all(struct ash_list *lenders) {
    for (struct ash_list *node; (node = ash_list_pop_front(lenders)) != NULL;)
        (void)wake_one(ASH_LIST_ENTRY(node, struct thread, lender), lenders);
}

void thread_wake(struct thread *thread) {
    ash_irq_t state = ash_port_irq_save();
    if (wake_one(thread, NULL) == OWNER) {
        struct ash_list lenders;
        ash_list_init(&lenders);
        ash_spin_lock(&threads.lenders_lock);
        (void)wake_one(thread, &lenders);
        wake_all(&lenders);
        ash_spin_unlock(&threads.lenders_lock);
    }
    ash_port_irq_restore(state);
}

void thread_nudge(const struct thread *thread) {
    struct thread_cpu *cpu = thread_lock_cpu(thread);
    bool runs = cpu->running == thread && cpu != thread_this_cpu();
    uint32_t number = cpu->number;
    ash_spin_unlock(&cpu->lock);
    if (runs)
        platform_wake(number);
}

void thread_cancel_wait(struct thread *self) {
    struct ash_list lenders;
    ash_store_release(&self->is_waiting, 0u);
    ash_fence(); /* note_lender in mutex.c looks the other way round */
    if (ash_load_relaxed(&self->has_lenders) == 0)
        return;
    ash_list_init(&lenders);
    ash_spin_lock(&threads.lenders_lock);
    take_lenders(self, &lenders);
    wake_all(&lenders);
    ash_spin_unlock(&threads.lenders_lock);
}

/* The first whose time has come; it is marked for thread_block. */
static enum woken wake_sleeper(struct thread_cpu *cpu, ash_ns_t now_ns, struct ash_list *lenders) {
    enum woken woken = NOBODY;
    ash_spin_lock(&cpu->lock);
    struct ash_rbtree_node *node = ash_rbtree_cached_first(&cpu->sleepers);
    struct thread *thread = node == NULL ? NULL : ASH_RBTREE_ENTRY(node, struct thread, sleeper);
    if (thread != NULL && thread->wake_at_ns <= now_ns) {
        thread->is_late = true;
        woken = try_to_wake(cpu, thread, lenders);
    }
    ash_spin_unlock(&cpu->lock);
    return woken;
}

void thread_wake_sleepers(struct thread_cpu *cpu) {
    ash_ns_t now_ns = platform_now_ns();
    for (enum woken woken; (woken = wake_sleeper(cpu, now_ns, NULL)) != NOBODY;) {
        struct ash_list lenders;
        if (woken != OWNER)
            continue;
        ash_list_init(&lenders);
        ash_spin_lock(&threads.lenders_lock);
        (void)wake_sleeper(cpu, now_ns, &lenders);
        wake_all(&lenders);
        ash_spin_unlock(&threads.lenders_lock);
    }
}

/* Sharing work */

/* What runs in another's turn, or has begun to wait in it, goes back: its context is not to be had.
 * Both locks are held. */
static bool take_one(struct thread_cpu *cpu, struct thread_cpu *victim) {
    uint64_t now = thread_clock();
    struct ash_sched_entity *entity = ash_sched_steal(&cpu->sched, &victim->sched, now);
    if (entity == NULL)
        return false;
    const struct thread *thread = (struct thread *)entity;
    if (thread == victim->running || ash_load_acquire(&thread->is_waiting) != 0) {
        int error = ash_sched_move(&cpu->sched, &victim->sched, entity, now, NULL);
        ASH_REQUIRE(error == 0, "threads: what came from CPU %u finds no way back (error %d)",
                    victim->number, error);
        return false;
    }
    cpu->steals++;
    return true;
}

bool thread_steal(struct thread_cpu *cpu) {
    ash_fence(); /* between "this CPU is idle" and the look at the others */
    uint32_t number = ash_sched_busiest(&threads.scheds, cpu->number);
    if (number == ASH_SCHED_NO_CPU)
        return false;
    struct thread_cpu *victim = &threads.cpus[number];
    struct thread_cpu *first = number < cpu->number ? victim : cpu;
    struct thread_cpu *second = first == cpu ? victim : cpu;
    ash_spin_lock(&first->lock);
    ash_spin_lock(&second->lock);
    bool found = take_one(cpu, victim);
    ash_spin_unlock(&second->lock);
    ash_spin_unlock(&first->lock);
    return found;
}

/* Not more often than now and then: what waits here may not be allowed to go there. */
void thread_offer(struct thread_cpu *cpu, ash_ns_t now_ns) {
    uint64_t idle = ash_load_relaxed(&threads.idle) & ~(UINT64_C(1) << cpu->number);
    if (idle == 0 || now_ns - cpu->offered_ns < OFFER_EVERY_NS)
        return;
    uint32_t thief = (uint32_t)__builtin_ctzll(idle);
    if (ash_sched_busiest(&threads.scheds, thief) != cpu->number)
        return;
    cpu->offered_ns = now_ns;
    platform_wake(thief);
}
