/* SPDX-License-Identifier: MIT */
/*
 * migrate.c: see migrate.h. The lock is held across each switch and released by who is switched
 * to: nobody takes a context off the queue before its registers are saved.
 */
#include "port/migrate.h"

#include <ashlar/port.h>

#include "harness/pins.h"
#include "harness/test.h"
#include "platform.h"

enum {
    TASKS = 7,
    STACK_BYTES = 64 << 10,
    ROUNDS = __STDC_HOSTED__ ? 20000 : 1000,
    PERIOD_NS = 30000
};

struct task {
    struct platform_context context;
    uint32_t last_cpu; /* CPU plus 1 */
};

static struct {
    struct ash_spinlock lock;
    struct task tasks[TASKS], idle[ASH_PORT_CPUS_MAX];
    struct task *current[ASH_PORT_CPUS_MAX];
    struct task *queue[TASKS];
    uint32_t first, count, left;
    uint32_t cpus;
    int error;
    uint64_t misplaced, migrations;
    uint64_t counters[ASH_PORT_CPUS_MAX]; /* each of who is pinned to that CPU */
    uint32_t masks_left, pins_left;
    ash_irq_t open;
    void (*probe)(uint32_t cpu, bool after);
} machine;

static uint32_t this_cpu(void) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    ash_port_unpin();
    return cpu;
}

/* All of these masked, under the lock */

static void put_last(struct task *task) {
    machine.queue[(machine.first + machine.count++) % TASKS] = task;
}

static struct task *take_first(void) {
    struct task *task = machine.queue[machine.first];
    machine.first = (machine.first + 1) % TASKS;
    machine.count--;
    return task;
}

static void note_place(struct task *task, uint32_t cpu) {
    machine.migrations += task->last_cpu != 0 && task->last_cpu != cpu + 1;
    task->last_cpu = cpu + 1;
    machine.current[cpu] = task;
}

static void switch_to(struct task *to) {
    uint32_t cpu = this_cpu();
    struct task *from = machine.current[cpu];
    note_place(to, cpu);
    platform_context_switch(&from->context, &to->context);
}

/* The hook */

static void give_way(bool may_switch) {
    uint32_t cpu = this_cpu();
    if (!may_switch || machine.current[cpu] == &machine.idle[cpu])
        return;
    ash_spin_lock(&machine.lock);
    if (machine.count != 0) {
        put_last(machine.current[cpu]);
        switch_to(take_first());
    }
    ash_spin_unlock(&machine.lock);
}

/* What the contexts do */

static void nothing(void *context) {
    (void)context;
}

static void compute(uint32_t steps) {
    for (volatile uint32_t step = 0; step != steps; step++)
        continue;
}

/* Lost updates show: nobody else may be on this CPU meanwhile. */
static void count_pinned(uint32_t round) {
    uint32_t cpu, again;
    ash_port_pin(&cpu);
    uint64_t before = ash_load_relaxed(&machine.counters[cpu]);
    if (round % 4 == 0)
        (void)!platform_interrupt_self(nothing, NULL);
    compute(50);
    ash_port_pin(&again);
    ash_store_relaxed(&machine.counters[cpu], before + 1);
    ash_port_unpin();
    if (again != cpu)
        (void)ash_fetch_add(&machine.misplaced, UINT64_C(1));
    ash_port_unpin();
}

static void count_masked(uint32_t round) {
    ash_irq_t state = ash_port_irq_save(), inner = ash_port_irq_save();
    uint32_t cpu = this_cpu();
    uint64_t before = ash_load_relaxed(&machine.counters[cpu]);
    if (round % 4 == 1)
        (void)!platform_interrupt_self(nothing, NULL);
    compute(50);
    ash_port_irq_restore(inner);
    ash_store_relaxed(&machine.counters[cpu], before + 1);
    if (this_cpu() != cpu)
        (void)ash_fetch_add(&machine.misplaced, UINT64_C(1));
    ash_port_irq_restore(state);
}

/* Of a context that runs and has neither masked nor pinned, the CPU is neither. */
static void look_at_cpu(void) {
    ash_irq_t state = ash_port_irq_save();
    ash_port_irq_restore(state);
    if (state != machine.open || test_pins() != 0)
        (void)ash_fetch_add(&machine.misplaced, UINT64_C(1));
    compute(100);
}

static void run_task(void *argument) {
    struct task *self = argument;
    ash_spin_unlock(&machine.lock);
    ash_port_irq_restore(machine.open);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        count_pinned(round);
        look_at_cpu();
        count_masked(round);
        if (round % 4 == 2)
            (void)!platform_interrupt_self(nothing, NULL);
        ash_port_relax();
    }
    (void)ash_port_irq_save();
    ash_spin_lock(&machine.lock);
    uint32_t cpu = this_cpu();
    struct task *next = machine.count != 0 ? take_first() : &machine.idle[cpu];
    machine.left--;
    note_place(next, cpu);
    platform_context_exit(&self->context, &next->context);
}

/* CPUs */

static void ring(void *context) {
    (void)context;
    if (platform_timer_arm(platform_now_ns() + PERIOD_NS, ring, NULL) != 0)
        ash_store_relaxed(&machine.error, -1);
}

static uint32_t contexts_left(void) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&machine.lock);
    uint32_t left = machine.left;
    ash_spin_unlock(&machine.lock);
    ash_port_irq_restore(state);
    return left;
}

static void run_cpu(void *context, uint32_t cpu) {
    (void)context;
    if (machine.probe != NULL)
        machine.probe(cpu, false);
    ring(NULL);
    while (contexts_left() != 0) {
        ash_irq_t state = ash_port_irq_save(), inner = ash_port_irq_save();
        ash_spin_lock(&machine.lock);
        bool found = machine.count != 0;
        if (found)
            switch_to(take_first()); /* masked deeper than in the hook */
        ash_spin_unlock(&machine.lock);
        ash_port_irq_restore(inner);
        if (!found)
            platform_wait(platform_now_ns() + PERIOD_NS);
        ash_port_irq_restore(state);
    }
    platform_timer_disarm();
    ash_irq_t state = ash_port_irq_save();
    ash_port_irq_restore(state);
    (void)ash_fetch_add(&machine.masks_left, (uint32_t)(state != machine.open));
    (void)ash_fetch_add(&machine.pins_left, (uint32_t)(test_pins() != 0));
    (void)ash_fetch_add(&machine.misplaced, (uint64_t)(this_cpu() != cpu));
    if (machine.probe != NULL)
        machine.probe(cpu, true);
}

bool migrate_may(void) {
#ifdef HOSTED_MAY_SWITCH
    return HOSTED_MAY_SWITCH;
#else
    return true;
#endif
}

static void init(void) {
    memset(&machine, 0, sizeof(machine));
    ash_spin_init(&machine.lock);
    machine.open = ash_port_irq_save();
    ash_port_irq_restore(machine.open);
    for (uint32_t i = 0; i < TASKS; i++)
        platform_context_init(&machine.tasks[i].context, test_alloc(STACK_BYTES, 16), STACK_BYTES,
                              run_task, &machine.tasks[i]);
    for (uint32_t i = 0; i < TASKS; i++)
        put_last(&machine.tasks[i]);
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX; cpu++)
        machine.current[cpu] = &machine.idle[cpu];
    machine.left = TASKS;
}

struct migrate_result migrate_run(uint32_t cpus, void (*probe)(uint32_t cpu, bool after)) {
    init();
    machine.probe = probe;
    platform_after_interrupt = give_way;
    test_run_on_cpus(run_cpu, NULL, cpus);
    platform_after_interrupt = NULL;
    uint64_t counted = 0;
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX; cpu++)
        counted += machine.counters[cpu];
    for (uint32_t i = 0; i < TASKS; i++)
        platform_context_fini(&machine.tasks[i].context);
    return (struct migrate_result){.error = machine.error,
                                   .left = machine.left,
                                   .lost = UINT64_C(2) * TASKS * ROUNDS - counted,
                                   .misplaced = machine.misplaced,
                                   .masks_left = machine.masks_left,
                                   .pins_left = machine.pins_left,
                                   .migrations = machine.migrations};
}
