/* SPDX-License-Identifier: MIT */
/*
 * each_cpu.h: a function once on each CPU, for what is a CPU's own: by an interrupt there, so it
 * takes no memory and no thread, and whatever runs on that CPU is not switched away.
 */
#ifndef KERNEL_EACH_CPU_H
#define KERNEL_EACH_CPU_H

#include <ashlar/base.h>

/* How many CPUs there are to visit: those that run threads, else the calling one. */
uint32_t each_cpu_count(void);

/*
 * Calls fn(context, cpu) on one of the CPUs 0..count-1 after the other, masked, and returns when
 * all have returned: the first error of fn, which the next ones are called after all the same.
 * Where no threads run (any more) all CPUs but the first are visited by platform_run_on_cpus, whose
 * errors it returns, too. From a thread, or CPU 0 alone; with interrupts unmasked, for a CPU is
 * waited for until its masked section has ended.
 */
int each_cpu(uint32_t count, int (*fn)(void *context, uint32_t cpu), void *context) ASH_MUST_CHECK;

#endif
