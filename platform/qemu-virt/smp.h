/* SPDX-License-Identifier: MIT */
/*
 * smp.h: the other CPUs: started by PSCI, idle in WFI, woken by a software interrupt to run a job.
 * CPU 0 gives the jobs, one at a time.
 */
#ifndef QEMU_VIRT_SMP_H
#define QEMU_VIRT_SMP_H

#include <ashlar/base.h>

#include "board.h"

/* Starts every CPU of the board and waits for them a while; says which did not come. */
void smp_init(const struct board *board);

/* Makes all others stop for good and waits until they have, 100 ms at most: the machine is going
 * down. Any context. */
void smp_stop_others(void);

/* What the others then do. */
void smp_stop_self(void) __attribute__((noreturn));

#endif
