/* SPDX-License-Identifier: MIT */
/*
 * wait.c: see wait.h. A thread leaves its condition in a list that each CPU looks at after its
 * interrupts; without threads the CPU sleeps, masked from the test to the sleep, so no wake-up
 * falls between the two.
 */
#include "wait.h"

#include <ashlar/error.h>
#include <ashlar/port.h>

#include "thread_internal.h"

struct conditional {
    struct ash_list node;
    struct thread *thread;
    bool (*condition)(void *context);
    void *context;
    bool is_met;
};

/* Once it was true it is not asked again: some take what they find. */
static void look(struct conditional *one) {
    one->is_met = one->condition(one->context);
    if (one->is_met)
        thread_wake(one->thread);
}

void thread_look_at_conditions(void) {
    struct ash_list *head = &threads.conditionals;
    ash_fence(); /* between what an interrupt has made true and the look at who waits for it */
    if (ash_load_relaxed(&threads.conditionals_count) == 0)
        return;
    ash_spin_lock(&threads.conditionals_lock);
    for (struct ash_list *node = head->next; node != head; node = node->next) {
        struct conditional *one = ASH_LIST_ENTRY(node, struct conditional, node);
        if (!one->is_met)
            look(one);
    }
    ash_spin_unlock(&threads.conditionals_lock);
}

static bool block(struct thread *self, bool (*condition)(void *context), void *context,
                  ash_ns_t deadline_ns) {
    struct conditional mine = {
        .thread = self, .condition = condition, .context = context, .is_met = condition(context)};
    struct ash_spinlock *lock = &threads.conditionals_lock;
    ash_list_init(&mine.node);
    ash_spin_lock(lock);
    ash_list_push_back(&threads.conditionals, &mine.node);
    ash_store_relaxed(&threads.conditionals_count, threads.conditionals_count + 1);
    while (!mine.is_met && platform_now_ns() < deadline_ns) {
        thread_prepare_wait(self);
        mine.is_met = condition(context); /* between the last look and the list */
        if (!mine.is_met) {
            ash_spin_unlock(lock);
            (void)thread_block(self, deadline_ns);
            ash_spin_lock(lock);
        }
    }
    ash_list_remove(&mine.node);
    ash_store_relaxed(&threads.conditionals_count, threads.conditionals_count - 1);
    ash_spin_unlock(lock);
    thread_cancel_wait(self);
    return mine.is_met;
}

static bool sleep_the_cpu(bool (*condition)(void *context), void *context, ash_ns_t deadline_ns) {
    bool is_met;
    while (!(is_met = condition(context)) && platform_now_ns() < deadline_ns)
        platform_wait(deadline_ns);
    return is_met;
}

int kernel_wait(bool (*condition)(void *context), void *context, ash_ns_t deadline_ns) {
    struct thread *self = thread_current();
    ash_irq_t state = ash_port_irq_save();
    bool is_met = self == NULL ? sleep_the_cpu(condition, context, deadline_ns)
                               : block(self, condition, context, deadline_ns);
    ash_port_irq_restore(state);
    return is_met ? 0 : -ASH_ETIMEDOUT;
}

void kernel_wait_look(void) {
    ash_irq_t state = ash_port_irq_save();
    thread_look_at_conditions();
    thread_checkpoint(state);
}

struct either {
    bool (*condition)(void *context);
    void *context;
    const struct kernel_work *work;
    bool is_met;
};

static bool is_met_or_ready(void *context) {
    struct either *either = context;
    either->is_met = either->condition(either->context);
    return either->is_met || either->work->is_ready(either->work->context);
}

void kernel_wait_and_work(bool (*condition)(void *context), void *context,
                          const struct kernel_work *work) {
    struct either either = {condition, context, work, false};
    ash_ns_t since_ns = platform_now_ns(), next_ns = since_ns;
    while (kernel_wait(is_met_or_ready, &either, next_ns) != 0 || !either.is_met)
        next_ns = work->run(work->context, since_ns);
}
