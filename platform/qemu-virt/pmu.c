/* SPDX-License-Identifier: MIT */
/*
 * pmu.c: platform_cost. Event counter 0 of the Performance Monitors (Arm ARM D7) counts retired
 * instructions. QEMU implements that event exactly where it runs under -icount with a fixed shift,
 * and then says so in PMCEID0; else the generic timer's counter has to do.
 */
#include "pmu.h"

#include <ashlar/port.h>

#include "platform.h"

enum {
    PMCR_ENABLE = 1,
    PMCR_RESET_EVENTS = 2,
    EVENT_INST_RETIRED = 0x08,
    PMU_VERSION_SHIFT = 8, /* in ID_AA64DFR0_EL1, four bits; 0 and 15: no such PMU */
};

static bool event_is_counted(void) {
    uint64_t features, events;
    __asm__ volatile("mrs %0, id_aa64dfr0_el1" : "=r"(features));
    uint64_t version = features >> PMU_VERSION_SHIFT & 15;
    if (version == 0 || version == 15)
        return false;
    __asm__ volatile("mrs %0, pmceid0_el0" : "=r"(events));
    return (events >> EVENT_INST_RETIRED & 1) != 0;
}

static bool is_counted;

void pmu_init(void) {
    is_counted = event_is_counted();
    if (is_counted)
        __asm__ volatile("msr pmevtyper0_el0, %0\n\t"
                         "msr pmcntenset_el0, %1\n\t"
                         "msr pmcr_el0, %2\n\t"
                         "isb" ::"r"((uint64_t)EVENT_INST_RETIRED),
                         "r"((uint64_t)1), "r"((uint64_t)(PMCR_ENABLE | PMCR_RESET_EVENTS)));
}

bool platform_counts_instructions(void) {
    return is_counted;
}

uint32_t platform_cost(void) {
    uint64_t count;
    if (!is_counted)
        return (uint32_t)ash_port_cycles();
    __asm__ volatile("isb\n\tmrs %0, pmevcntr0_el0" : "=r"(count)::"memory");
    return (uint32_t)count;
}
