/* SPDX-License-Identifier: MIT */
/*
 * mutex.c: see mutex.h.
 *
 * A waiter on the owner's CPU stays runnable with `waits_for` set: thread_proxy follows that from
 * whose turn it is to who runs. It looks only at what cannot change under it: a thread that is
 * attached to this CPU and does not run cannot unlock.
 * Any other waiter sleeps on the queue, and one whose owner sleeps is on the owner's list as well,
 * to begin to lend when the owner wakes.
 */
#include "mutex.h"

#include <ashlar/check.h>

#include "thread_internal.h"

#define HAS_WAITERS ((uintptr_t)1)

static struct thread *owner_of(const struct mutex *mutex) {
    return (struct thread *)(ash_load_acquire(&mutex->owner) & ~HAS_WAITERS);
}

void mutex_init(struct mutex *mutex) {
    mutex->owner = 0;
    wait_queue_init(&mutex->waiters);
}

bool mutex_is_mine(const struct mutex *mutex) {
    const struct thread *self = thread_current();
    return self == NULL || owner_of(mutex) == self;
}

/* Lending */

static bool can_run_here(const struct thread *owner, const struct ash_sched *here) {
    return ash_sched_owner(&owner->entity) == here && ash_load_acquire(&owner->is_waiting) == 0;
}

/* Who owns what a thread of this CPU waits for, if its turns are to be had; else NULL: it looks for
 * itself. */
static struct thread *lent_to(const struct thread *thread) {
    struct thread *owner = thread->waits_for == NULL ? NULL : owner_of(thread->waits_for);
    if (owner == NULL || !can_run_here(owner, ash_sched_owner(&thread->entity)))
        return NULL;
    return owner;
}

/* The owner may have taken the mutex since the lender looked: it is to see at its unlock that there
 * is one, and give the turn back. */
struct thread *thread_proxy(struct thread *thread) {
    for (struct thread *owner; (owner = lent_to(thread)) != NULL; thread = owner) {
        uintptr_t *word = &thread->waits_for->owner;
        if ((ash_load_relaxed(word) & HAS_WAITERS) == 0)
            __atomic_fetch_or(word, HAS_WAITERS, __ATOMIC_RELAXED);
    }
    return thread;
}

/* Does the owner wait for the caller? Looks at those in the chain that are on this CPU: they do not
 * run, so it stands still. */
static bool is_circle(const struct thread *owner, const struct thread *self) {
    while (owner != NULL && owner != self)
        owner = lent_to(owner);
    return owner == self;
}

/* The mutex's lock is held, and it has an owner: so that cannot unlock. */
static bool lend(struct mutex *mutex, struct thread *self) {
    struct thread *owner = owner_of(mutex);
    struct thread_cpu *cpu = thread_this_cpu();
    ash_spin_lock(&cpu->lock);
    bool lends = can_run_here(owner, &cpu->sched);
    bool is_bad = lends && is_circle(owner, self);
    if (lends && !is_bad)
        self->waits_for = mutex;
    ash_spin_unlock(&cpu->lock);
    ASH_REQUIRE(!is_bad, "mutex_lock: %s waits for a mutex whose owner waits for it", self->name);
    return lends;
}

/* If the owner sleeps: an owner that wakes at the same time sees the list, or is seen awake. False:
 * it is awake now, and here. */
static bool note_lender(struct thread *owner, struct thread *self) {
    ash_spin_lock(&threads.lenders_lock);
    ash_list_push_back(&owner->lenders, &self->lender);
    ash_store_relaxed(&owner->has_lenders, 1u);
    ash_fence();
    bool sleeps = ash_load_acquire(&owner->is_waiting) != 0;
    if (!sleeps)
        ash_list_remove(&self->lender);
    ash_spin_unlock(&threads.lenders_lock);
    return sleeps || !can_run_here(owner, &thread_this_cpu()->sched);
}

/* Locking */

/* Takes it, if it is free or was handed over; else notes that somebody waits. The mutex's lock is
 * held. */
static bool take_or_note(struct mutex *mutex, struct thread *self) {
    uintptr_t owner = ash_load_relaxed(&mutex->owner), wanted;
    if ((owner & ~HAS_WAITERS) == (uintptr_t)self)
        return true;
    do {
        bool waited_for = !ash_list_is_empty(&mutex->waiters.waiters);
        if ((owner & ~HAS_WAITERS) == 0)
            wanted = (uintptr_t)self | (waited_for ? HAS_WAITERS : 0);
        else
            wanted = owner | HAS_WAITERS;
    } while (!ash_compare_exchange(&mutex->owner, &owner, wanted));
    return (owner & ~HAS_WAITERS) == 0;
}

/* The mutex's lock is held, and is again. Woken by an unlock, but too late, it is the next. */
static void sleep_for(struct mutex *mutex, struct thread *self) {
    if (self->is_next)
        ash_list_push_front(&mutex->waiters.waiters, &self->node);
    else
        ash_list_push_back(&mutex->waiters.waiters, &self->node);
    thread_prepare_wait(self);
    if (!note_lender(owner_of(mutex), self))
        thread_cancel_wait(self);
    ash_spin_unlock(&mutex->waiters.lock);
    (void)thread_block(self, UINT64_MAX);
    ash_spin_lock(&mutex->waiters.lock);
    self->is_next = ash_list_is_empty(&self->node);
    ash_list_remove(&self->node);
    ash_spin_lock(&threads.lenders_lock);
    ash_list_remove(&self->lender);
    ash_spin_unlock(&threads.lenders_lock);
}

static void wait_for(struct mutex *mutex, struct thread *self) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&mutex->waiters.lock);
    while (!take_or_note(mutex, self)) {
        if (lend(mutex, self)) {
            ash_spin_unlock(&mutex->waiters.lock);
            thread_dispatch();
            self->waits_for = NULL;
            ash_spin_lock(&mutex->waiters.lock);
        } else {
            sleep_for(mutex, self);
        }
    }
    self->is_next = false;
    ash_spin_unlock(&mutex->waiters.lock);
    ash_port_irq_restore(state);
}

/* Who wakes it may look, in vain, at a time when it does not wait. */
static void count_mutex(struct thread *self, uint32_t more) {
    ash_store_relaxed(&self->mutexes, self->mutexes + more);
}

bool mutex_trylock(struct mutex *mutex) {
    struct thread *self = thread_current();
    uintptr_t nobody = 0;
    if (self == NULL)
        return true;
    bool taken = ash_compare_exchange(&mutex->owner, &nobody, (uintptr_t)self);
    if (taken)
        count_mutex(self, 1);
    return taken;
}

void mutex_lock(struct mutex *mutex) {
    struct thread *self = thread_current();
    uintptr_t nobody = 0;
    if (self == NULL)
        return;
    if (!ash_compare_exchange(&mutex->owner, &nobody, (uintptr_t)self)) {
        ASH_REQUIRE(owner_of(mutex) != self, "mutex_lock: %s has locked it already", self->name);
        wait_for(mutex, self);
    }
    count_mutex(self, 1);
}

/* Who runs may take it again at once, which is fast; but not from the same waiter twice: that one
 * owns it now. In a waiter's turn, or with one that is more urgent, it is not its turn any more. */
static void hand_over(struct mutex *mutex) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&mutex->waiters.lock);
    struct ash_list *node = ash_list_pop_front(&mutex->waiters.waiters);
    struct thread *woken = node == NULL ? NULL : ASH_LIST_ENTRY(node, struct thread, node);
    uintptr_t more = ash_list_is_empty(&mutex->waiters.waiters) ? 0 : HAS_WAITERS;
    bool is_given = woken != NULL && woken->is_next;
    ash_store_release(&mutex->owner, is_given ? (uintptr_t)woken | more : more);
    if (woken != NULL)
        thread_wake(woken);
    ash_spin_unlock(&mutex->waiters.lock);
    ash_store_relaxed(&thread_this_cpu()->resched, 1u);
    thread_checkpoint(state);
}

void mutex_unlock(struct mutex *mutex) {
    struct thread *self = thread_current();
    uintptr_t mine = (uintptr_t)self;
    if (self == NULL)
        return;
    bool is_done = ash_compare_exchange(&mutex->owner, &mine, (uintptr_t)0);
    ASH_REQUIRE(is_done || owner_of(mutex) == self, "mutex_unlock: %s has not locked it",
                self->name);
    count_mutex(self, UINT32_MAX);
    if (!is_done)
        hand_over(mutex);
}
