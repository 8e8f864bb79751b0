/* SPDX-License-Identifier: MIT */
/*
 * simulate.h: one cache of the library over a disk that answers at once, and what its accesses
 * came to. Blocks are all of one size, and a miss always takes one in.
 */
#ifndef CACHESIM_SIMULATE_H
#define CACHESIM_SIMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keys.h"

struct simulation_config {
    uint32_t policy; /* below simulation_policies() */
    uint64_t blocks;
    bool write_through, read_ahead;
};

struct simulation_results {
    uint64_t accesses, hits, misses; /* hits: blocks that were there when they were asked for */
    uint64_t writes, flushes;        /* accesses that write; flushes are no accesses */
    uint64_t disk_reads, disk_writes;
    uint64_t evict_writes, flush_writes, dirty_left; /* blocks; write-back alone has these */
    uint64_t prefetched, prefetch_hits;              /* blocks; with read_ahead */
};

struct simulation;

uint32_t simulation_policies(void);
const char *simulation_policy_name(uint32_t policy);

/* The memory that it takes; 0: it would have more than *blocks_max. */
uint64_t simulation_bytes(const struct simulation_config *config, uint64_t *blocks_max);

/* NULL: there is no memory for it. */
struct simulation *simulation_open(const struct simulation_config *config);
void simulation_close(struct simulation *simulation);

void simulation_run(struct simulation *simulation, const struct keyed_record *records,
                    size_t count);
void simulation_results(struct simulation *simulation, struct simulation_results *results);

#endif
