/* SPDX-License-Identifier: MIT */
/*
 * bench.h: what operations of the allocators, of the block cache and of the scheduler cost, by
 * platform_cost: instructions where the CPU counts them (QEMU under -icount with a fixed shift
 * does), else counter steps.
 */
#ifndef KERNEL_BENCH_H
#define KERNEL_BENCH_H

#include "block_cache.h"
#include "memory.h"

/* Where lines of a report go; a line has no newline. */
struct bench_report {
    void (*line)(void *context, const char *text);
    void *context;
};

/* printf of one line, cut at 159 bytes. */
void bench_say(const struct bench_report *report, const char *format, ...) ASH_PRINTF(2, 3);

/* "instructions", or steps and what one is worth by the clock here. Takes some milliseconds. */
void bench_unit(const struct bench_report *report);

/*
 * Tables of the cost of an allocation with its free: slab and heap by size class beside the buddy;
 * the buddy by order. -ASH_ENOMEM: something found no memory, which is reported; nothing is left
 * allocated.
 */
int bench_slab(struct kernel_memory *memory, const struct bench_report *report) ASH_MUST_CHECK;
int bench_buddy(struct kernel_memory *memory, const struct bench_report *report) ASH_MUST_CHECK;

/*
 * Reads a disk through a block cache: cold, warm, a mix of hot and rare blocks, and in order with
 * and without reading ahead. -ASH_ENOTSUP: the disk has fewer than 16 blocks, or such as are not
 * cached; -ASH_ENOMEM; the disk's errors.
 */
int bench_cache(struct kernel_memory *memory, struct disk *disk,
                const struct bench_report *report) ASH_MUST_CHECK;

/*
 * What fork costs in the page tables of an address space of 2 MiB to 128 MiB, by sharing them and
 * by copying them, and the writes after it: the first, one to the next page, one to a page of
 * another table; and the child's end, before anybody has written and after. -ASH_ENOMEM.
 */
int bench_fork(struct kernel_memory *memory, const struct bench_report *report) ASH_MUST_CHECK;

/*
 * From a thread: the program bin/touch writes to so much memory, in pages of 4 KiB and of 2 MiB:
 * cost on CPU 0, faults, tables. -ASH_ENOTSUP: no programs run here; -ASH_ENOENT: there is no such
 * program; -ASH_ENOMEM.
 */
int bench_huge_pages(struct kernel_memory *memory, const struct bench_report *report,
                     uint32_t mib) ASH_MUST_CHECK;

/*
 * What a sample of the profiler costs, and an interrupt of the same timer whose handler does
 * nothing: instructions where they are counted, else nanoseconds. -ASH_EBUSY: there is a profile,
 * which it would take the place of; -ASH_ENOTSUP: this machine does not sample; -ASH_ENOMEM.
 */
int bench_prof(struct kernel_memory *memory, const struct bench_report *report) ASH_MUST_CHECK;

enum { BENCH_SCHED_SAMPLES = 2000 };

/*
 * From a thread: switches, wake-ups, mutexes and creations of threads, by platform_cost on CPU 0,
 * or in nanoseconds where another CPU or the timer takes part; a row has least, mean, median, 99th
 * percentile and most of so many samples, a tenth of that where each takes a millisecond.
 * -ASH_ENOTSUP: no threads run; -ASH_ENOMEM, also for a thread's stack.
 */
int bench_sched(struct kernel_memory *memory, const struct bench_report *report,
                uint32_t samples) ASH_MUST_CHECK;

/*
 * Counts a fixed sequence of operations on allocators of its own, over an arena of 8 MiB aligned
 * to its size, and on disks that are function calls: whatever the machine has done before, an
 * image says the same numbers. A line for each operation: "NAME EACH TOTAL RUNS", and comments
 * that begin with '#'. `tools/golden` compares them with those recorded. Errors as above.
 */
int bench_golden(struct kernel_memory *memory, const struct bench_report *report) ASH_MUST_CHECK;

#endif
