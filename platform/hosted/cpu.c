/* SPDX-License-Identifier: MIT */
/* cpu.c: CPUs as threads, the soft interrupt mask, the contended spinlock. */
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <pthread.h>
#include <sched.h>

#include "platform.h"

__thread struct hosted_cpu hosted_this_cpu;

void hosted_irq_replay(void) {
    hosted_this_cpu.irq_pending = 0;
}

void hosted_spin_contended(struct ash_spinlock *lock) {
    uint32_t spins = 0;
    do {
        while (ash_load_relaxed(&lock->locked) != 0) {
            if (++spins % 128 == 0)
                sched_yield();
            else
                ash_port_relax();
        }
    } while (!ash_spin_trylock(lock));
}

uint32_t platform_cpu_count(void) {
    return ASH_PORT_CPUS_MAX;
}

struct cpu_start {
    void (*body)(void *context, uint32_t cpu);
    void *context;
    uint32_t cpu;
};

static void *cpu_thread(void *argument) {
    struct cpu_start *start = argument;
    hosted_this_cpu.index = start->cpu;
    start->body(start->context, start->cpu);
    return NULL;
}

int platform_run_on_cpus(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count) {
    if (count == 0 || count > ASH_PORT_CPUS_MAX)
        return -ASH_EINVAL;
    pthread_t threads[ASH_PORT_CPUS_MAX];
    struct cpu_start starts[ASH_PORT_CPUS_MAX];
    uint32_t started = 1;
    int error = 0;
    for (; started < count && error == 0; started++) {
        starts[started] = (struct cpu_start){body, context, started};
        error = pthread_create(&threads[started], NULL, cpu_thread, &starts[started]);
    }
    if (error == 0)
        body(context, 0);
    else
        started--;
    for (uint32_t cpu = 1; cpu < started; cpu++)
        pthread_join(threads[cpu], NULL);
    return -error;
}
