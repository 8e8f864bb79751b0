/* SPDX-License-Identifier: MIT */
/* each_cpu.c: see each_cpu.h. */
#include "each_cpu.h"

#include <ashlar/error.h>
#include <ashlar/port.h>

#include "platform.h"
#include "thread.h"

struct visits {
    int (*fn)(void *context, uint32_t cpu);
    void *context;
    int error; /* the first */
};

struct visit {
    struct visits *all;
    uint32_t cpu;
    uint32_t is_done;
};

static void note_error(struct visits *all, int error) {
    int none = 0;
    if (error != 0)
        (void)ash_compare_exchange(&all->error, &none, error);
}

static void visit_here(struct visits *all, uint32_t cpu) {
    ash_irq_t state = ash_port_irq_save();
    note_error(all, all->fn(all->context, cpu));
    ash_port_irq_restore(state);
}

static void visit_in_interrupt(void *context) {
    struct visit *visit = context;
    visit_here(visit->all, visit->cpu);
    ash_store_release(&visit->is_done, 1u);
}

/* Another visitor may be on its way to that CPU; and while one thread is alone (threads_alone) a
 * CPU may have left already when this thread is still to be taken off its own. */
static void visit(struct visits *all, uint32_t cpu) {
    struct visit visit = {.all = all, .cpu = cpu};
    int error;
    while ((error = platform_interrupt_cpu(cpu, visit_in_interrupt, &visit)) == -ASH_EBUSY ||
           (error == -ASH_ENXIO && cpu < threads_cpu_count()))
        ash_port_relax();
    note_error(all, error);
    while (error == 0 && ash_load_acquire(&visit.is_done) == 0)
        ash_port_relax();
}

static void visit_in_run(void *context, uint32_t cpu) {
    visit_here(context, cpu);
}

uint32_t each_cpu_count(void) {
    return threads_cpu_count() == 0 ? 1 : threads_cpu_count();
}

int each_cpu(uint32_t count, int (*fn)(void *context, uint32_t cpu), void *context) {
    struct visits all = {.fn = fn, .context = context};
    if (count == 1 && each_cpu_count() == 1) { /* nowhere else to go */
        visit_here(&all, 0);
    } else if (threads_cpu_count() == 0) {
        int error = platform_run_on_cpus(visit_in_run, &all, count);
        note_error(&all, error);
    } else {
        for (uint32_t cpu = 0; cpu < count; cpu++)
            visit(&all, cpu);
    }
    return all.error;
}
