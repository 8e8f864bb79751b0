/* SPDX-License-Identifier: MIT */
/* psci.h: power by the Power State Coordination Interface (DEN 0022), HVC or SMC by device tree. */
#ifndef QEMU_VIRT_PSCI_H
#define QEMU_VIRT_PSCI_H

#include <ashlar/base.h>

#include "board.h"

void psci_init(const struct board *board);

/* Starts a CPU at a physical address with x0 = context; 0, or PSCI's negative error. */
int64_t psci_cpu_on(uint64_t mpidr, uint64_t entry, uint64_t context);

/* Returns only when there is no PSCI. */
void psci_system_off(void);

#endif
