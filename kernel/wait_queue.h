/* SPDX-License-Identifier: MIT */
/*
 * wait_queue.h: threads that wait for something that another thread, or an interrupt handler, says.
 *
 *     wait_queue_wait(&queue, is_there, context, deadline_ns)     wait_queue_wake(&queue, 1)
 *
 * A wake-up between the look at the condition and the sleep is not lost: the condition is looked at
 * under the queue's lock, and who makes it true calls wake afterwards.
 */
#ifndef KERNEL_WAIT_QUEUE_H
#define KERNEL_WAIT_QUEUE_H

#include <ashlar/list.h>
#include <ashlar/port.h>

struct wait_queue {
    struct ash_spinlock lock;
    struct ash_list waiters;
};

#define WAIT_QUEUE_ALL UINT32_MAX

void wait_queue_init(struct wait_queue *queue);

/*
 * Until condition(context), called with interrupts masked and the queue's lock held, is true: 0;
 * or the deadline (absolute; UINT64_MAX: none) has passed and it is still false: -ASH_ETIMEDOUT.
 * From a thread.
 */
int wait_queue_wait(struct wait_queue *queue, bool (*condition)(void *context), void *context,
                    ash_ns_t deadline_ns) ASH_MUST_CHECK;

/* The same, with no deadline. */
void wait_queue_wait_for_ever(struct wait_queue *queue, bool (*condition)(void *context),
                              void *context);

/* The longest waiting, so many at most. Any context; from a thread, those of an earlier deadline
 * run at once. */
void wait_queue_wake(struct wait_queue *queue, uint32_t count);

#endif
