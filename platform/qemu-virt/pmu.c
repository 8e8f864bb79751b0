/* SPDX-License-Identifier: MIT */
/*
 * pmu.c: platform_cost, platform_counter_read, and the cycle counter for sampler.c: the Performance
 * Monitors (Arm ARM D7). Which events a CPU counts it says in PMCEID0, and nobody else knows: a
 * counter of another event stands at 0. QEMU counts retired instructions, exactly, where it runs
 * under -icount with a fixed shift, and then says so; else the generic timer's counter has to do
 * for platform_cost.
 *
 * The event counters have 32 bits: each read adds what they have counted since the last one.
 */
#include "pmu.h"

#include <ashlar/error.h>
#include <ashlar/port.h>

#include "cpu.h"
#include "platform.h"
#include "sample.h"

enum {
    PMCR_ENABLE = 1,
    PMCR_RESET_EVENTS = 2,
    PMCR_LONG_CYCLES = 64, /* the cycle counter overflows at 2^64 */
    PMCR_COUNTERS_SHIFT = 11,
    PMU_VERSION_SHIFT = 8, /* in ID_AA64DFR0_EL1, four bits; 0 and 15: no such PMU */
    CYCLE_COUNTER = 31,    /* its bit among the counters' */
    EVENT_CYCLES = 0x11,
};

/* By platform_counter; that of retired instructions is counter 0, for platform_cost. */
static const uint8_t events[PLATFORM_COUNTERS] = {
    [PLATFORM_COUNTER_INSTRUCTIONS] = 0x08,
    [PLATFORM_COUNTER_CYCLES] = EVENT_CYCLES,
    [PLATFORM_COUNTER_CACHE_MISSES] = 0x03, /* L1D_CACHE_REFILL */
    [PLATFORM_COUNTER_TLB_MISSES] = 0x05,   /* L1D_TLB_REFILL */
    [PLATFORM_COUNTER_BRANCH_MISSES] = 0x10 /* BR_MIS_PRED */
};
enum { NONE = 255 };
static uint8_t counter_of[PLATFORM_COUNTERS]; /* the same on all CPUs; NONE: it is not counted */
static uint8_t counters;
static bool has_pmu;

/* A CPU's own. */
static struct {
    uint64_t cycles_base; /* what sampling took off the cycle counter */
    uint64_t totals[PLATFORM_COUNTERS];
    uint32_t last[PLATFORM_COUNTERS];
} cpu_counts[ASH_PORT_CPUS_MAX];

static void choose_counters(void) {
    uint64_t features, present, control;
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++)
        counter_of[i] = NONE;
    __asm__ volatile("mrs %0, id_aa64dfr0_el1" : "=r"(features));
    uint64_t version = features >> PMU_VERSION_SHIFT & 15;
    has_pmu = version != 0 && version != 15;
    if (!has_pmu)
        return;
    __asm__ volatile("mrs %0, pmceid0_el0" : "=r"(present));
    __asm__ volatile("mrs %0, pmcr_el0" : "=r"(control));
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++) {
        if ((present >> events[i] & 1) == 0)
            continue;
        if (events[i] == EVENT_CYCLES)
            counter_of[i] = CYCLE_COUNTER;
        else if (counters < (control >> PMCR_COUNTERS_SHIFT & 31))
            counter_of[i] = counters++;
    }
}

static void select_counter(uint64_t counter) {
    __asm__ volatile("msr pmselr_el0, %0\n\tisb" ::"r"(counter));
}

void pmu_init(void) {
    choose_counters();
    pmu_init_cpu();
}

void pmu_init_cpu(void) {
    uint64_t wanted = UINT64_C(1) << CYCLE_COUNTER;
    if (!has_pmu)
        return;
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++) {
        if (counter_of[i] >= CYCLE_COUNTER)
            continue;
        select_counter(counter_of[i]);
        __asm__ volatile("msr pmxevtyper_el0, %0" ::"r"((uint64_t)events[i]));
        wanted |= UINT64_C(1) << counter_of[i];
    }
    __asm__ volatile("msr pmccfiltr_el0, xzr\n\tmsr pmintenclr_el1, %2\n\tmsr pmovsclr_el0, %2\n\t"
                     "msr pmcntenset_el0, %0\n\tmsr pmcr_el0, %1\n\tisb" ::"r"(wanted),
                     "r"((uint64_t)(PMCR_ENABLE | PMCR_RESET_EVENTS | PMCR_LONG_CYCLES)),
                     "r"(UINT64_C(0xffffffff)));
}

bool platform_counts_instructions(void) {
    return counter_of[PLATFORM_COUNTER_INSTRUCTIONS] == 0;
}

uint32_t platform_cost(void) {
    uint64_t count;
    if (!platform_counts_instructions())
        return (uint32_t)ash_port_cycles();
    __asm__ volatile("isb\n\tmrs %0, pmevcntr0_el0" : "=r"(count)::"memory");
    return (uint32_t)count;
}

static uint64_t cycles(void) {
    uint64_t count;
    __asm__ volatile("isb\n\tmrs %0, pmccntr_el0" : "=r"(count)::"memory");
    return count;
}

int platform_counter_read(enum platform_counter counter, uint64_t *value) {
    if (counter >= PLATFORM_COUNTERS || counter_of[counter] == NONE)
        return -ASH_ENOTSUP;
    ash_irq_t state = ash_port_irq_save();
    uint32_t cpu = cpu_this()->index;
    if (counter == PLATFORM_COUNTER_CYCLES) {
        *value = cycles() + cpu_counts[cpu].cycles_base;
    } else {
        uint64_t count;
        select_counter(counter_of[counter]);
        __asm__ volatile("mrs %0, pmxevcntr_el0" : "=r"(count));
        cpu_counts[cpu].totals[counter] += (uint32_t)count - cpu_counts[cpu].last[counter];
        cpu_counts[cpu].last[counter] = (uint32_t)count;
        *value = cpu_counts[cpu].totals[counter];
    }
    ash_port_irq_restore(state);
    return 0;
}

/* For sampler.c; all masked. */

bool pmu_has_cycles(void) {
    return counter_of[PLATFORM_COUNTER_CYCLES] != NONE;
}

void pmu_cycles_add(uint64_t change) {
    uint64_t count = cycles();
    __asm__ volatile("msr pmccntr_el0, %0\n\tisb" ::"r"(count + change));
    cpu_counts[cpu_this()->index].cycles_base -= change;
}

static void forget_overflow(void) {
    __asm__ volatile("msr pmovsclr_el0, %0\n\tisb" ::"r"(UINT64_C(1) << CYCLE_COUNTER));
}

void pmu_cycles_arm(uint64_t period) {
    forget_overflow(); /* first: a short period may be over before the next instruction */
    pmu_cycles_add(UINT64_C(0) - period - cycles());
    __asm__ volatile("msr pmintenset_el1, %0\n\tisb" ::"r"(UINT64_C(1) << CYCLE_COUNTER));
}

uint64_t pmu_cycles_overflowed(void) {
    forget_overflow();
    return cycles();
}

void pmu_cycles_disarm(void) {
    __asm__ volatile("msr pmintenclr_el1, %0\n\tisb" ::"r"(UINT64_C(1) << CYCLE_COUNTER));
    forget_overflow();
}
