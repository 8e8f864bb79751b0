/* SPDX-License-Identifier: MIT */
/* each_cpu.h: a function once on each CPU that runs threads, for what is a CPU's own. */
#ifndef KERNEL_EACH_CPU_H
#define KERNEL_EACH_CPU_H

#include <ashlar/base.h>

/*
 * Calls fn(context, cpu) on one CPU after the other, by a thread there; where no threads run, on
 * the calling CPU alone. Stops at the first error, of fn or of thread_create, and returns it.
 */
int each_cpu(int (*fn)(void *context, uint32_t cpu), void *context) ASH_MUST_CHECK;

#endif
