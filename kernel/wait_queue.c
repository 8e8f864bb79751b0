/* SPDX-License-Identifier: MIT */
/* wait_queue.c: see wait_queue.h. */
#include "wait_queue.h"

#include <ashlar/check.h>
#include <ashlar/error.h>

#include "thread_internal.h"

void wait_queue_init(struct wait_queue *queue) {
    ash_spin_init(&queue->lock);
    ash_list_init(&queue->waiters);
}

int wait_queue_wait(struct wait_queue *queue, bool (*condition)(void *context), void *context,
                    ash_ns_t deadline_ns) {
    struct thread *self = thread_current();
    int result = 0;
    ASH_REQUIRE(self != NULL, "wait_queue_wait: called where no threads run");
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&queue->lock);
    while (!condition(context)) {
        if (platform_now_ns() >= deadline_ns) {
            result = -ASH_ETIMEDOUT;
            break;
        }
        ash_list_push_back(&queue->waiters, &self->node);
        thread_prepare_wait(self);
        ash_spin_unlock(&queue->lock);
        (void)thread_block(self, deadline_ns);
        ash_spin_lock(&queue->lock);
        ash_list_remove(&self->node);
    }
    ash_spin_unlock(&queue->lock);
    ash_port_irq_restore(state);
    return result;
}

void wait_queue_wait_for_ever(struct wait_queue *queue, bool (*condition)(void *context),
                              void *context) {
    int error = wait_queue_wait(queue, condition, context, UINT64_MAX);
    ASH_REQUIRE(error == 0, "wait_queue_wait_for_ever: ended by %d", error);
}

void wait_queue_wake(struct wait_queue *queue, uint32_t count) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&queue->lock);
    for (struct ash_list *node; count != 0; count--) {
        node = ash_list_pop_front(&queue->waiters);
        if (node == NULL)
            break;
        thread_wake(ASH_LIST_ENTRY(node, struct thread, node));
    }
    ash_spin_unlock(&queue->lock);
    thread_checkpoint(state);
}
