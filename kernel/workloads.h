/* SPDX-License-Identifier: MIT */
/*
 * workloads.h: bodies of threads that exist to be scheduled: one that never waits, one that does a
 * job in each period, one that reads a disk.
 *
 *     struct workload_periodic work = {.period_ns = 10 * MS, .work_ns = 2 * MS};
 *     thread_create(&options, workload_periodic, &work, &id, &refusal);
 *     ...                                     workload_periodic_look(&work, &counts);
 *     thread_stop(id);  thread_join(id, ...);
 *
 * Rules
 *  - The struct is its thread's until that has ended. Others read what is counted at any time, and
 *    each number for itself is true.
 *  - All end soon after thread_stop, as far as they are given the CPU.
 */
#ifndef KERNEL_WORKLOADS_H
#define KERNEL_WORKLOADS_H

#include "block_cache.h"
#include "thread.h"

/* Runs until work_ns of CPU time have been spent by the calling thread, however long that takes; or
 * it is to stop: false. */
bool workload_spend(ash_ns_t work_ns);

/* Never waits. */
struct workload_hog {
    uint64_t rounds; /* so far */
};

void workload_hog(void *hog);

/*
 * A job each period. Job k is released at first_ns + k * period_ns, whatever became of those before
 * it: one that is late delays the next ones, and none is left out. It spends work_ns of CPU time
 * and has missed its deadline if it ends later than deadline_ns after its release.
 */
struct workload_periodic {
    ash_ns_t period_ns;   /* not 0 */
    ash_ns_t deadline_ns; /* 0: the period */
    ash_ns_t work_ns;
    ash_ns_t first_ns; /* 0: when it begins to run; who starts several gives all the same */
    uint64_t jobs_max; /* it ends after so many; 0: when it is to stop */
    struct workload_counts {
        uint64_t jobs, misses;    /* that have ended, that ended late */
        ash_ns_t response_max_ns; /* from the release to the end */
        ash_ns_t delay_max_ns;    /* from the release to the begin */
    } counts;
};

void workload_periodic(void *periodic);

void workload_periodic_look(const struct workload_periodic *periodic,
                            struct workload_counts *counts);

/* Reads blocks of a disk through the cache, at random: what it waits for is the disk, and the time
 * between two. */
struct workload_io {
    struct block_cache *cache;
    struct disk *disk;
    uint64_t size_bytes; /* that it reads of the disk, from the first on; not 0 */
    uint64_t seed;       /* of the order; not 0 */
    ash_ns_t pause_ns;   /* after each; 0: none */
    struct workload_io_counts {
        uint64_t reads, errors;
        ash_ns_t wait_max_ns; /* of a read */
    } counts;
};

void workload_io(void *io);

void workload_io_look(const struct workload_io *io, struct workload_io_counts *counts);

#endif
