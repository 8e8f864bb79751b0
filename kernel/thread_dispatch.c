/* SPDX-License-Identifier: MIT */
/*
 * thread_dispatch.c: one CPU: what its scheduler decides becomes the context that runs. See
 * thread_internal.h for the locks.
 *
 *     interrupt ─> handlers ─> thread_after_interrupt ─┐
 *     wait, yield, exit, unlock ───────────────────────┴─> dispatch: decide, timer, switch
 */
#include "thread_internal.h"

#include <ashlar/check.h>

#include "trace.h"

/* A pin is short: an interrupt that found one comes again, and later each time, lest the pinned one
 * get no further where an interrupt takes longer than that. */
enum { RETRY_MIN_NS = 256, RETRY_MAX_NS = 1048576 };

#define NEVER UINT64_MAX

struct thread_cpu *thread_this_cpu(void) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    ash_port_unpin();
    return &threads.cpus[cpu];
}

struct thread *thread_current(void) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    struct thread *self = threads.cpus[cpu].running;
    ash_port_unpin();
    return self;
}

uint64_t thread_clock(void) {
    return platform_now_ns() - threads.stood_still_ns;
}

/* The timer */

static void on_timer(void *context) {
    struct thread_cpu *cpu = context;
    cpu->armed_ns = NEVER;
    thread_wake_sleepers(cpu);
    ash_store_relaxed(&cpu->resched, 1u);
}

static void set_timer(struct thread_cpu *cpu, ash_ns_t deadline_ns) {
    cpu->armed_ns = deadline_ns;
    int error = platform_timer_arm(deadline_ns, on_timer, cpu);
    ASH_REQUIRE(error == 0, "threads: CPU %u has no timer any more (error %d)", cpu->number, error);
}

/* One that comes too early costs an interrupt; setting it later at each decision would cost more.
 * But an idle CPU is left alone until its time has come. */
static void arm_for(struct thread_cpu *cpu, const struct ash_sched_decision *decision) {
    struct ash_rbtree_node *first = ash_rbtree_cached_first(&cpu->sleepers);
    ash_ns_t deadline_ns = NEVER;
    if (first != NULL)
        deadline_ns = ASH_RBTREE_ENTRY(first, struct thread, sleeper)->wake_at_ns;
    if (decision->timed)
        deadline_ns = ash_min_u64(deadline_ns, decision->call_at + threads.stood_still_ns);
    if (deadline_ns < cpu->armed_ns || (decision->run == NULL && deadline_ns != cpu->armed_ns))
        set_timer(cpu, deadline_ns);
}

/* Deciding */

/* The scheduler learns here that a thread waits which began to while it ran in another's turn. */
static bool falls_asleep(struct thread_cpu *cpu, struct thread *thread, uint64_t now) {
    if (ash_load_acquire(&thread->is_waiting) == 0)
        return false;
    thread->is_asleep = true;
    int error = ash_sched_block(&cpu->sched, now);
    ASH_REQUIRE(error == 0, "threads: CPU %u: nothing to block (error %d)", cpu->number, error);
    return true;
}

/* Whose context is next; NULL: nobody's. */
static struct thread *choose(struct thread_cpu *cpu, ash_ns_t now_ns) {
    struct ash_sched_decision decision;
    uint64_t now = now_ns - threads.stood_still_ns;
    ash_store_relaxed(&cpu->resched, 0u);
    cpu->retry_ns = RETRY_MIN_NS;
    do {
        int error = ash_sched_decide(&cpu->sched, now, &decision);
        ASH_REQUIRE(error == 0, "threads: CPU %u cannot decide (error %d)", cpu->number, error);
        cpu->turn = (struct thread *)decision.run;
        if (ASH_UNLIKELY(cpu->observer != NULL))
            cpu->observer(cpu->observer_context, &cpu->sched, decision.run);
    } while (cpu->turn != NULL && falls_asleep(cpu, cpu->turn, now));
    arm_for(cpu, &decision);
    return cpu->turn == NULL ? NULL : thread_proxy(cpu->turn);
}

static void note_idleness(struct thread_cpu *cpu, const struct thread *next, ash_ns_t now_ns) {
    uint64_t bit = UINT64_C(1) << cpu->number;
    if (next == NULL) {
        cpu->idle_since_ns = now_ns;
        __atomic_fetch_or(&threads.idle, bit, __ATOMIC_SEQ_CST);
    } else if (cpu->running == NULL) {
        cpu->idle_ns += now_ns - cpu->idle_since_ns;
        __atomic_fetch_and(&threads.idle, ~bit, __ATOMIC_SEQ_CST);
    }
}

/* `running` becomes the next one. */
static struct platform_context *turn_to(struct thread_cpu *cpu, ash_ns_t now_ns) {
    struct thread *next = ash_load_acquire(&threads.leaving) != 0 ? NULL : choose(cpu, now_ns);
    if (next != cpu->running) {
        note_idleness(cpu, next, now_ns);
        trace_switched(cpu->number, cpu->running == NULL ? 0 : cpu->running->id,
                       next == NULL ? 0 : next->id);
        cpu->switches++;
        cpu->running = next;
    }
    if (next != NULL && ash_load_relaxed(&threads.idle) != 0)
        thread_offer(cpu, now_ns);
    return next == NULL ? &cpu->own : &next->context;
}

void thread_dispatched(void) {
    ash_spin_unlock(&thread_this_cpu()->lock);
}

void thread_dispatch_locked(struct thread_cpu *cpu, ash_ns_t now_ns) {
    struct platform_context *from = cpu->running == NULL ? &cpu->own : &cpu->running->context;
    struct platform_context *to = turn_to(cpu, now_ns);
    if (from != to)
        platform_context_switch(from, to);
    thread_dispatched(); /* perhaps on another CPU than before */
}

void thread_dispatch(void) {
    struct thread_cpu *cpu = thread_this_cpu();
    ash_spin_lock(&cpu->lock);
    thread_dispatch_locked(cpu, platform_now_ns());
}

void thread_dispatch_exit(struct thread_cpu *cpu) {
    struct platform_context *from = &cpu->running->context;
    platform_context_exit(from, turn_to(cpu, platform_now_ns()));
}

void thread_checkpoint(ash_irq_t state) {
    const struct thread_cpu *cpu = thread_this_cpu();
    if (state == threads.open && cpu->running != NULL && ash_load_relaxed(&cpu->resched) != 0)
        thread_dispatch();
    ash_port_irq_restore(state);
}

/* Interrupts */

/* The CPU's own context looks for itself, once it has come to its loop. */
void thread_after_interrupt(bool may_switch) {
    struct thread_cpu *cpu = thread_this_cpu();
    thread_look_at_conditions();
    if (cpu->running == NULL || ash_load_relaxed(&cpu->resched) == 0)
        return;
    if (may_switch) {
        ash_store_relaxed(&cpu->preemptions, cpu->preemptions + 1);
        thread_dispatch();
    } else {
        ash_store_relaxed(&cpu->deferrals, cpu->deferrals + 1);
        set_timer(cpu, ash_min_u64(cpu->armed_ns, platform_now_ns() + cpu->retry_ns));
        cpu->retry_ns = ash_min_u64(2 * cpu->retry_ns, RETRY_MAX_NS);
    }
}

/* Idling */

/*
 * A CPU marks itself idle before it looks for work elsewhere, and who gets work looks for idle ones
 * afterwards: one of them sees the other. Masked from the look to the sleep.
 */
void thread_idle(void *context, uint32_t number) {
    struct thread_cpu *cpu = &threads.cpus[number];
    (void)context;
    ash_irq_t state = ash_port_irq_save();
    cpu->armed_ns = NEVER;
    ash_spin_lock(&cpu->lock);
    cpu->idle_since_ns = platform_now_ns();
    ash_spin_unlock(&cpu->lock);
    __atomic_fetch_or(&threads.idle, UINT64_C(1) << number, __ATOMIC_SEQ_CST);
    ash_store_relaxed(&cpu->resched, 1u);
    thread_look_at_conditions(); /* interrupts may have come while one was alone */
    while (ash_load_acquire(&threads.leaving) == 0) {
        if (ash_load_relaxed(&cpu->resched) != 0 || thread_steal(cpu)) {
            thread_dispatch();
        } else {
            platform_wait(NEVER);
            thread_look_at_conditions();
        }
    }
    platform_timer_disarm();
    ash_spin_lock(&cpu->lock);
    cpu->idle_ns += platform_now_ns() - cpu->idle_since_ns;
    ash_spin_unlock(&cpu->lock);
    ash_port_irq_restore(state);
}
