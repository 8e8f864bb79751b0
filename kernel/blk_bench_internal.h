/* SPDX-License-Identifier: MIT */
/*
 * blk_bench_internal.h: a benchmark in progress, between its files. Each queue is a lane, driven by
 * one CPU, which touches no other lane; what they share is a word each.
 */
#ifndef KERNEL_BLK_BENCH_INTERNAL_H
#define KERNEL_BLK_BENCH_INTERNAL_H

#include "blk_bench.h"

/* Latencies: 16 steps for each power of two, up to 2^40 ns. */
enum { HISTOGRAM_STEPS = 16, HISTOGRAM_BUCKETS = (40 - 3) * HISTOGRAM_STEPS };

struct bench_request {
    struct ash_virtio_blk_request request; /* first: its completion's cookie is this */
    ash_ns_t start_ns;
    uint8_t *memory;
    struct ash_dma_segment *segments;
};

struct bench_lane {
    struct blk_bench *bench;
    const struct blk_bench_options *options;
    struct ash_virtio_blk_queue *queue;
    uint32_t cpu;  /* and the queue's index */
    uint64_t left; /* still to be queued */
    uint64_t completed, copied_bytes;
    uint64_t random, next; /* the order of blocks */
    uint32_t positions;    /* blocks of the size asked for on the disk */
    uint32_t sectors;      /* of one */

    /* Looking up now and then. */
    uint32_t until_look, look_at_wait, spins;
    ash_ns_t start_ns, wake_ns, poll_ns, watch_ns;
    uint32_t cost;
    uint64_t instructions;

    uint8_t *copies; /* where copies go to or come from */
    struct bench_request requests[DISK_IN_FLIGHT_MAX];
    uint64_t latencies[HISTOGRAM_BUCKETS];
    ash_ns_t max_ns;
};

struct blk_bench {
    struct disk *disk;
    const struct blk_bench_options *options;
    uint32_t order; /* of the memory of a request */
    struct bench_lane *lanes[DISK_QUEUES_MAX];

    /* What the lanes share. */
    uint32_t stops;       /* 1: nothing more is to be queued */
    uint32_t is_broken;   /* 1: the queues want a reset, once no CPU uses them */
    uint32_t was_stopped; /* by who asked for it */
    uint32_t working;     /* lanes that have not ended */
    int error;            /* the first */
};

/* Memory and requests of a benchmark; NULL: not enough memory. */
struct blk_bench *blk_bench_new(struct disk *disk, const struct blk_bench_options *options);
/* All of it, but what a dead device may still write to. */
void blk_bench_free(struct blk_bench *bench);

/* What the lanes come to. */
void blk_bench_sum(const struct blk_bench *bench, struct blk_bench_result *result);

static inline uint32_t blk_bench_bucket(ash_ns_t latency_ns) {
    latency_ns = ash_min_u64(latency_ns, (UINT64_C(1) << 40) - 1);
    if (latency_ns < HISTOGRAM_STEPS)
        return (uint32_t)latency_ns;
    uint32_t power = 63 - ash_clz64(latency_ns); /* 4..39 */
    return (power - 3) * HISTOGRAM_STEPS +
           (uint32_t)(latency_ns >> (power - 4) & (HISTOGRAM_STEPS - 1));
}

#endif
