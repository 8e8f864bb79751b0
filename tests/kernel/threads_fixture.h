/* SPDX-License-Identifier: MIT */
/* threads_fixture.h: the machine's threads for a case; skips it where they cannot be had. */
#ifndef TESTS_KERNEL_THREADS_FIXTURE_H
#define TESTS_KERNEL_THREADS_FIXTURE_H

#include "harness/test.h"
#include "kernel/thread.h"

/* threads_init, balanced. Skips where fewer CPUs are online, where the kernel's own threads run (it
 * was told `test` by its shell), and where time stands still while a thread computes. */
void test_threads_init(struct kernel_memory *memory, uint32_t cpus);

/* And threads_run. On one CPU all memory must be back afterwards; others keep magazines. */
void test_threads_run_in(struct kernel_memory *memory, uint32_t cpus, void (*body)(void *context),
                         void *context);

/* The same over memory of the case's own. */
void test_threads_run(uint32_t cpus, void (*body)(void *context), void *context);

/* A thread's number; 0: it was refused. NULL attributes: none. */
uint32_t test_thread_start(const char *name, const struct ash_sched_attributes *attributes,
                           void (*body)(void *context), void *context);

/* When the slab caches have given back what they can. */
uint64_t test_free_pages(struct kernel_memory *memory);

#endif
