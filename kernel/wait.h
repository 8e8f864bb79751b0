/* SPDX-License-Identifier: MIT */
/* wait.h: the only way in which the kernel waits. */
#ifndef KERNEL_WAIT_H
#define KERNEL_WAIT_H

#include <ashlar/base.h>

#define KERNEL_WAIT_FOR_EVER UINT64_MAX

/*
 * Waits until condition(context) is true (0), or the deadline has passed and it is still false
 * (-ASH_ETIMEDOUT). The condition is called with interrupts masked, at least once, and again after
 * each interrupt: it is short, and whatever makes it true raises an interrupt.
 *
 * Blocks the calling thread; where no threads run, the CPU sleeps.
 */
int kernel_wait(bool (*condition)(void *context), void *context,
                ash_ns_t deadline_ns) ASH_MUST_CHECK;

/* Something that a condition looks at has become true outside of an interrupt. From threads. */
void kernel_wait_look(void);

/* What is done beside a wait that may be long. */
struct kernel_work {
    /* Does what there is to do, in the waiter's own context; since_ns: when the wait began. Returns
     * when it wants to be called again at the latest. Called at the begin of the wait, too. */
    ash_ns_t (*run)(void *context, ash_ns_t since_ns);
    bool (*is_ready)(void *context); /* there is something to do now; a condition as above */
    void *context;
};

/* Waits until condition(context) is true, however long, and has work done meanwhile. */
void kernel_wait_and_work(bool (*condition)(void *context), void *context,
                          const struct kernel_work *work);

#endif
