/* SPDX-License-Identifier: MIT */
/* memory_fixture.h: a machine's memory made of the case's own, at addresses that are not the
 * CPU's. */
#ifndef TESTS_KERNEL_MEMORY_FIXTURE_H
#define TESTS_KERNEL_MEMORY_FIXTURE_H

#include "harness/test.h"
#include "kernel/memory.h"

extern const struct memory_view test_view; /* addresses are the CPU's plus MINI_DMA_OFFSET */

/* A kernel_memory over one range of this size, which starts aligned to it. */
struct kernel_memory *test_kernel_memory(size_t size_bytes);

#endif
