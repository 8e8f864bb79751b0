/* SPDX-License-Identifier: MIT */
/*
 * process_wait.c: see process_wait.h. Who sends a signal marks it first and looks at
 * is_interruptible then; who waits says that it does, and looks for a signal then: one of them sees
 * the other.
 */
#include "process_wait.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>

#include "process.h"
#include "thread_internal.h"

/* The queue's lock is held. */
static void block(struct process *process, struct wait_queue *queue, ash_ns_t deadline_ns) {
    struct thread *self = thread_current();
    ash_list_push_back(&queue->waiters, &self->node);
    ash_store_relaxed(&process->is_interruptible, 1u);
    thread_prepare_wait(self);
    if (process_is_interrupted(process))
        thread_cancel_wait(self);
    ash_spin_unlock(&queue->lock);
    (void)thread_block(self, deadline_ns);
    ash_spin_lock(&queue->lock);
    ash_store_relaxed(&process->is_interruptible, 0u);
    ash_list_remove(&self->node);
}

static int wait_interruptibly(struct process *process, struct wait_queue *queue,
                              bool (*condition)(void *context), void *context,
                              ash_ns_t deadline_ns) {
    while (!condition(context)) {
        if (process_is_interrupted(process))
            return -ASH_EINTR;
        if (platform_now_ns() >= deadline_ns)
            return -ASH_ETIMEDOUT;
        block(process, queue, deadline_ns);
    }
    return 0;
}

int process_wait(struct wait_queue *queue, bool (*condition)(void *context), void *context,
                 ash_ns_t deadline_ns) {
    struct process *process = thread_process();
    if (process == NULL)
        return wait_queue_wait(queue, condition, context, deadline_ns);
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&queue->lock);
    int result = wait_interruptibly(process, queue, condition, context, deadline_ns);
    ash_spin_unlock(&queue->lock);
    ash_port_irq_restore(state);
    return result;
}
