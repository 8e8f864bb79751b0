/* SPDX-License-Identifier: MIT */
/*
 * fiber.c: the CPUs of a deterministic machine: one thread, a stack for each CPU, turns drawn from
 * a seed. A CPU gives its turn away where it would spin (ash_port_relax) or sleep (platform_wait),
 * and nowhere else: so the same seed gives the same run.
 *
 * Only the machine's own thread raises interrupts here, and the clock is manual.
 */
#include <ashlar/error.h>
#include <stdio.h>
#include <string.h>

#include "hosted.h"
#include "hosted_internal.h"
#include "platform.h"

enum { STACK_BYTES = 256 << 10 };

struct fiber {
    struct platform_context context;
    struct hosted_cpu cpu; /* while another has the turn */
    void *stack;
    char name[16];
    bool done, waiting;
    ash_ns_t deadline_ns; /* while waiting */
};

static struct {
    struct fiber fibers[ASH_PORT_CPUS_MAX];
    struct platform_context scheduler; /* on the thread's own stack */
    uint32_t count, current;
    uint64_t random;
    void (*body)(void *context, uint32_t cpu);
    void *context;
} loop;

/* xorshift64*, Vigna 2016. */
static uint64_t next_random(void) {
    loop.random ^= loop.random >> 12;
    loop.random ^= loop.random << 25;
    loop.random ^= loop.random >> 27;
    return loop.random * UINT64_C(0x2545f4914f6cdd1d);
}

void hosted_fibers_seed(uint64_t seed) {
    loop.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static void fiber_main(void *argument) {
    struct fiber *self = argument;
    ash_port_irq_restore(HOSTED_CPU_READ(irq_depth) - 1);
    loop.body(loop.context, loop.current);
    (void)ash_port_irq_save(); /* what came before has been handled */
    self->done = true;
    platform_context_exit(&self->context, &loop.scheduler);
}

/* Masked across the switch, so that the state of the CPU moves in one piece. */
void hosted_fiber_yield(void) {
    ash_irq_t state = ash_port_irq_save();
    platform_context_switch(&loop.fibers[loop.current].context, &loop.scheduler);
    ash_port_irq_restore(state);
}

bool hosted_fiber_wait(ash_ns_t deadline_ns) {
    if (HOSTED_CPU_READ(fiber) == 0)
        return false;
    struct fiber *self = &loop.fibers[loop.current];
    self->deadline_ns = deadline_ns;
    self->waiting = true;
    hosted_fiber_yield();
    return true;
}

static bool is_ready(const struct fiber *fiber) {
    return !fiber->done && (!fiber->waiting || ash_load_relaxed(&fiber->cpu.irq_pending) != 0);
}

/* All that are left wait: time or input must move. Everybody then looks again. */
static void idle(void) {
    ash_ns_t earliest = UINT64_MAX;
    for (uint32_t cpu = 0; cpu < loop.count; cpu++) {
        if (!loop.fibers[cpu].done)
            earliest = ash_min_u64(earliest, loop.fibers[cpu].deadline_ns);
    }
    if (hosted_input_is_ready())
        hosted_console_woken();
    else if (!hosted_clock_jump(earliest))
        hosted_sleep_for_input();
    for (uint32_t cpu = 0; cpu < loop.count; cpu++)
        loop.fibers[cpu].waiting = false;
}

/* A random CPU that can go on; UINT32_MAX when all are done. */
static uint32_t pick(void) {
    for (;;) {
        uint32_t ready[ASH_PORT_CPUS_MAX], ready_count = 0, left = 0;
        for (uint32_t cpu = 0; cpu < loop.count; cpu++) {
            left += !loop.fibers[cpu].done;
            if (is_ready(&loop.fibers[cpu]))
                ready[ready_count++] = cpu;
        }
        if (ready_count != 0)
            return ready[next_random() % ready_count];
        if (left == 0)
            return UINT32_MAX;
        idle();
    }
}

static int make_fiber(uint32_t cpu, const struct hosted_cpu *state) {
    struct fiber *fiber = &loop.fibers[cpu];
    memset(fiber, 0, sizeof(*fiber));
    snprintf(fiber->name, sizeof(fiber->name), "CPU %u", cpu);
    fiber->stack = hosted_stack_map(STACK_BYTES, fiber->name);
    if (fiber->stack == NULL)
        return -ASH_ENOMEM;
    platform_context_init(&fiber->context, fiber->stack, STACK_BYTES, fiber_main, fiber);
    fiber->cpu = *state;
    hosted_interrupt_move(cpu, state, &fiber->cpu);
    fiber->cpu.index = cpu;
    fiber->cpu.fiber = 1;
    fiber->cpu.irq_depth++; /* fiber_main takes it off */
    return 0;
}

static void free_fiber(uint32_t cpu) {
    struct fiber *fiber = &loop.fibers[cpu];
    platform_context_fini(&fiber->context);
    platform_stack_unmap(fiber->stack);
    if (cpu != 0) {
        hosted_interrupt_target(cpu, NULL);
        hosted_timer_forget(cpu);
    }
}

int hosted_fibers_run(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count) {
    const struct hosted_cpu scheduler_cpu = {.irq_depth = 1}, fresh_cpu = {0};
    ash_irq_t state = ash_port_irq_save();
    struct hosted_cpu home = hosted_this_cpu;
    home.irq_depth = state;
    loop.body = body;
    loop.context = context;
    loop.count = 0;
    int error = 0;
    while (loop.count < count && error == 0) {
        error = make_fiber(loop.count, loop.count == 0 ? &home : &fresh_cpu);
        loop.count += error == 0;
    }
    hosted_this_cpu = scheduler_cpu;
    for (uint32_t cpu; error == 0 && (cpu = pick()) != UINT32_MAX;) {
        struct fiber *fiber = &loop.fibers[cpu];
        loop.current = cpu;
        fiber->waiting = false;
        hosted_interrupt_move(cpu, &fiber->cpu, &hosted_this_cpu);
        platform_context_switch(&loop.scheduler, &fiber->context);
        hosted_interrupt_move(cpu, &hosted_this_cpu, &fiber->cpu);
        hosted_this_cpu = scheduler_cpu;
        if (fiber->done && cpu != 0) /* nobody sends it anything any more */
            hosted_interrupt_target(cpu, NULL);
    }
    if (loop.count != 0) {
        home = loop.fibers[0].cpu;
        home.fiber = 0;
    }
    hosted_interrupt_move(0, &home, &hosted_this_cpu);
    hosted_this_cpu.irq_depth = state + 1;
    for (uint32_t cpu = 0; cpu < loop.count; cpu++)
        free_fiber(cpu);
    ash_port_irq_restore(state);
    return error;
}
