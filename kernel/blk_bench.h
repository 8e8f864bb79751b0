/* SPDX-License-Identifier: MIT */
/*
 * blk_bench.h: how fast a disk is: requests of one size, so many of them in flight in each of some
 * queues, straight through the calls of <ashlar/virtio_blk.h>, for a while or until so many are
 * done.
 *
 * Rules
 *  - The disk's only caller meanwhile, on CPU 0. Queue n is driven by CPU n. Nothing is in flight
 *    when it returns, unless the disk died.
 *  - The clock is read once a batch of completions where latencies are wanted, else every
 *    BLK_BENCH_LOOK batches. A request's latency is from the batch that it was queued in to the one
 *    that it came back in: what it waited for the others of its batch is part of it.
 *  - Memory: queues * depth * size bytes in pages of their own, twice that when scattered.
 */
#ifndef KERNEL_BLK_BENCH_H
#define KERNEL_BLK_BENCH_H

#include "disk.h"

enum {
    BLK_BENCH_LOOK = 16,
    BLK_BENCH_SIZE_MAX = 1 << 20,
    BLK_BENCH_LEAST_NS = 100, /* of a request, for the end of a run whose clock stands still */
};

struct blk_bench_options {
    bool is_write, is_sequential;
    bool copies; /* each block also to or from a buffer of its caller's */
    bool has_latencies;
    uint32_t queues;     /* 1..queue_count of the driver */
    uint32_t depth;      /* of each queue: 1..in_flight_max of the driver */
    uint32_t size_bytes; /* whole blocks, at most BLK_BENCH_SIZE_MAX and request_bytes_max */
    uint32_t segments;   /* that the memory of a request is scattered over: divides the size */
    uint64_t count;      /* requests in all; 0: as many as there are in duration_ns */
    ash_ns_t duration_ns;
    bool (*stopped)(void *context); /* asked now and then, on CPU 0; true: that is enough */
    void *context;
};

struct blk_bench_result {
    uint64_t requests, kicks, interrupts;
    uint64_t copied_bytes; /* counted where they are copied; the driver's calls copy none */
    uint64_t instructions; /* of CPU 0, all told; where platform_counts_instructions */
    ash_ns_t elapsed_ns;
    ash_ns_t p50_ns, p99_ns, max_ns; /* 3 % exact at the first two; 0 without has_latencies */
    bool was_stopped;
};

/*
 * The options hold against the disk's limits: blk_bench_refusal. -ASH_ENOMEM; -ASH_EAGAIN where the
 * host has no thread for a CPU; the errors of the requests, of which the first ends it.
 */
int blk_bench_run(struct disk *disk, const struct blk_bench_options *options,
                  struct blk_bench_result *result) ASH_MUST_CHECK;

/* Why the options cannot be run on this disk, a sentence's end in text; NULL: they can. */
const char *blk_bench_refusal(const struct disk *disk, const struct blk_bench_options *options,
                              char text[96]);

#endif
