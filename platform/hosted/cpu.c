/* SPDX-License-Identifier: MIT */
/* cpu.c: CPUs as threads. (CPUs that take turns are in fiber.c.) */
#include <ashlar/error.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "hosted.h"
#include "hosted_internal.h"
#include "platform.h"

/* Used: by assembly, which link-time optimisation does not read. */
__attribute__((used)) __thread struct hosted_cpu hosted_this_cpu;

static uint32_t running = 1;

uint32_t hosted_cpus_running(void) {
    return ash_load_acquire(&running);
}

void hosted_cpu_enter(uint32_t cpu) {
    *hosted_here() = (struct hosted_cpu){.index = cpu};
    hosted_fault_stack_enter();
    hosted_signals_prepare();
    hosted_interrupt_target(cpu, hosted_here());
    hosted_sample_enter(cpu);
}

/* After this nobody can signal the thread as that CPU, and it may end: what came before is handled
 * here, for somebody may wait for that. */
static void leave_cpu(void) {
    hosted_interrupt_target(HOSTED_CPU_READ(index), NULL);
    if (hosted_irq_is_pending())
        hosted_irq_replay();
    hosted_timer_forget(HOSTED_CPU_READ(index));
    hosted_sample_leave(HOSTED_CPU_READ(index));
    hosted_fault_stack_leave();
}

void hosted_kick_others(void) {
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX; cpu++) {
        if (cpu != HOSTED_CPU_READ(index))
            hosted_interrupt_kick(cpu);
    }
}

void hosted_yield(void) {
    hosted_poll_at_once();
    if (HOSTED_CPU_READ(fiber) != 0)
        hosted_fiber_yield();
    else
        sched_yield();
}

uint32_t platform_cpu_count(void) {
    return hosted_configuration()->cpus;
}

void platform_cpu_describe(uint32_t cpu, char *text, size_t len) {
#if defined(__x86_64__)
    const char *kind = "x86-64";
#elif defined(__aarch64__)
    const char *kind = "aarch64";
#else
    const char *kind = "unknown";
#endif
    snprintf(text, len, "%s, CPU %u as a %s of Linux", kind, cpu,
             hosted_configuration()->deterministic ? "fiber on one thread" : "thread");
}

/* Threads wait at the gate until all are there, so that a body never runs with too few peers. */
enum { GATE_CLOSED, GATE_OPEN, GATE_CANCELLED };

struct cpu_start {
    void (*body)(void *context, uint32_t cpu);
    void *context;
    uint32_t cpu;
    uint32_t *gate;
};

/* Who sleeps under the manual clock then looks again whether all the others do. */
static void one_less_runs(void) {
    __atomic_fetch_sub(&running, 1, __ATOMIC_ACQ_REL);
    hosted_kick_others();
}

static void *cpu_thread(void *argument) {
    struct cpu_start *start = argument;
    uint32_t gate;
    while ((gate = ash_load_acquire(start->gate)) == GATE_CLOSED)
        sched_yield();
    if (gate == GATE_CANCELLED)
        return NULL;
    hosted_cpu_enter(start->cpu);
    start->body(start->context, start->cpu);
    leave_cpu();
    one_less_runs();
    return NULL;
}

static int run_threads(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count) {
    pthread_t threads[ASH_PORT_CPUS_MAX];
    struct cpu_start starts[ASH_PORT_CPUS_MAX];
    uint32_t gate = GATE_CLOSED, started = 1;
    while (started < count) {
        starts[started] = (struct cpu_start){body, context, started, &gate};
        if (pthread_create(&threads[started], NULL, cpu_thread, &starts[started]) != 0)
            break;
        started++;
    }
    ash_store_release(&gate, started == count ? GATE_OPEN : GATE_CANCELLED);
    if (started == count) {
        body(context, 0);
        one_less_runs();
    }
    for (uint32_t cpu = 1; cpu < started; cpu++)
        pthread_join(threads[cpu], NULL);
    return started == count ? 0 : -ASH_EAGAIN;
}

int platform_run_on_cpus(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count) {
    if (count == 0 || count > platform_cpu_count())
        return -ASH_EINVAL;
    uint32_t idle = 1;
    if (HOSTED_CPU_READ(index) != 0 || HOSTED_CPU_READ(fiber) != 0 ||
        !ash_compare_exchange(&running, &idle, count))
        return -ASH_EBUSY;
    (void)platform_memory(NULL, 0); /* mapped before a second CPU asks for it */
    int error = hosted_configuration()->deterministic ? hosted_fibers_run(body, context, count)
                                                      : run_threads(body, context, count);
    ash_store_release(&running, 1u);
    return error;
}
