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
 * Sleeps the CPU today. When there are threads it blocks the caller's; callers stay as they are.
 */
int kernel_wait(bool (*condition)(void *context), void *context,
                ash_ns_t deadline_ns) ASH_MUST_CHECK;

/*
 * A wait that has lasted after_ns is idleness: idle(context) is called in it once, in the waiter's
 * own context, and the wait goes on. NULL: nobody wants to know.
 */
void kernel_wait_on_idle(void (*idle)(void *context), void *context, ash_ns_t after_ns);

#endif
