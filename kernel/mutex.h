/* SPDX-License-Identifier: MIT */
/*
 * mutex.h: one thread at a time; who waits lends its turns to the owner.
 *
 * A thread that waits for a mutex whose owner is on its CPU does not sleep: it stays runnable, and
 * when it is its turn the owner runs instead, in the waiter's server and at its deadline, until it
 * unlocks. So a real-time waiter is delayed by the owner's section and by nothing that is less
 * urgent than itself, and the time is charged to who asked for it (bandwidth inheritance:
 * Lamastra, Lipari, Abeni, RTSS 2001). Over several mutexes: the chain is followed. An owner that
 * sleeps is lent to when it is woken.
 *
 * Who runs takes a free mutex at once, waiters or not; one that was woken and came too late is
 * given it at the next unlock.
 *
 * Limits: who waits on another CPU than the owner's sleeps, and lends nothing. Not recursive:
 * locking one's own is a panic, and so is a circle of owners on one CPU.
 *
 * Where no threads run both calls do nothing. Not in an interrupt handler.
 */
#ifndef KERNEL_MUTEX_H
#define KERNEL_MUTEX_H

#include "wait_queue.h"

struct mutex {
    uintptr_t owner; /* a thread; bit 0: somebody waits */
    struct wait_queue waiters;
};

/* Of a static one, which nobody initialises. */
#define MUTEX_INIT(name)                                               \
    {                                                                  \
        .waiters = {.waiters = ASH_LIST_INIT((name).waiters.waiters) } \
    }

void mutex_init(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
bool mutex_trylock(struct mutex *mutex) ASH_MUST_CHECK;
void mutex_unlock(struct mutex *mutex);

/* Does the calling thread hold it? True where no threads run. */
bool mutex_is_mine(const struct mutex *mutex);

#endif
