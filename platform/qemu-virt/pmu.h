/* SPDX-License-Identifier: MIT */
/* pmu.h: the CPU's counters, each CPU's own; and the overflow of its cycle counter. */
#ifndef QEMU_VIRT_PMU_H
#define QEMU_VIRT_PMU_H

#include <ashlar/base.h>

void pmu_init(void);     /* CPU 0 */
void pmu_init_cpu(void); /* the others */

/* Masked: the interrupt comes when so many cycles have passed; then how many since. */
bool pmu_has_cycles(void);
void pmu_cycles_arm(uint64_t period);
uint64_t pmu_cycles_overflowed(void);
void pmu_cycles_add(uint64_t change); /* moves the counter, not what platform_counter_read says */
void pmu_cycles_disarm(void);

#endif
