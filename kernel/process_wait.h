/* SPDX-License-Identifier: MIT */
/* process_wait.h: waits that a signal ends. */
#ifndef KERNEL_PROCESS_WAIT_H
#define KERNEL_PROCESS_WAIT_H

#include "wait_queue.h"

/*
 * As wait_queue_wait; and when the calling thread is a process's: -ASH_EINTR as soon as a signal is
 * there for it that is not blocked or ignored, and the condition is false.
 */
int process_wait(struct wait_queue *queue, bool (*condition)(void *context), void *context,
                 ash_ns_t deadline_ns) ASH_MUST_CHECK;

#endif
