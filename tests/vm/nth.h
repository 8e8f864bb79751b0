/* SPDX-License-Identifier: MIT */
/* nth.h: what nth.c does, for each format. */
#ifndef TESTS_VM_NTH_H
#define TESTS_VM_NTH_H

#include "vm/mmu.h"

/* All operations, in a format. */
void nth_sweep(const struct mmu_shape *shape);

#endif
