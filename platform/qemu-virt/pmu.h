/* SPDX-License-Identifier: MIT */
/* pmu.h: starts the counter of platform_cost on CPU 0, of whom alone it is asked. */
#ifndef QEMU_VIRT_PMU_H
#define QEMU_VIRT_PMU_H

void pmu_init(void);

#endif
