/* SPDX-License-Identifier: MIT */
/*
 * bench_golden_thread.h: contexts that switch to each other, and a mutex of a thread: of a machine
 * of threads on one CPU, which runs while the body does.
 */
#ifndef KERNEL_BENCH_GOLDEN_THREAD_H
#define KERNEL_BENCH_GOLDEN_THREAD_H

#include "memory.h"

/* Runs body(context) as a thread of a machine of its own over this memory. Errors as threads_init
 * and threads_run. Where no threads run. */
int golden_threads_run(struct kernel_memory *memory, void (*body)(void *context),
                       void *context) ASH_MUST_CHECK;

/* What each returns contains `overhead` once. */
typedef uint32_t golden_thread_fn(uint32_t overhead);

/* platform_context_switch to another context, and its switch back. */
golden_thread_fn golden_thread_switch;
/* mutex_lock and mutex_unlock, which nobody else wants. */
golden_thread_fn golden_thread_mutex;

#endif
