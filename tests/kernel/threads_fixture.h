/* SPDX-License-Identifier: MIT */
/* threads_fixture.h: the machine's threads for a case; skips it where they cannot be had. */
#ifndef TESTS_KERNEL_THREADS_FIXTURE_H
#define TESTS_KERNEL_THREADS_FIXTURE_H

#include "harness/test.h"
#include "kernel/thread.h"

/* threads_init, balanced. Skips where fewer CPUs are online, where the kernel's own threads run (it
 * was told `test` by its shell), and where time stands still while a thread computes. */
void test_threads_init(struct kernel_memory *memory, uint32_t cpus);

/* And threads_run, over memory of the case's own. */
void test_threads_run(uint32_t cpus, void (*body)(void *context), void *context);

#endif
