/* SPDX-License-Identifier: MIT */
/* blk_bench_setup.c: what a benchmark needs before it begins, and what it comes to. */
#include "blk_bench_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Written to the disk, and easily found there. */
static const char pattern[17] = "ashlar blk bench";

/* What cannot be */

const char *blk_bench_refusal(const struct disk *disk, const struct blk_bench_options *options,
                              char text[96]) {
    const struct ash_virtio_blk *blk = &disk->blk;
    uint32_t size = options->size_bytes, most = BLK_BENCH_SIZE_MAX, queues = blk->queue_count;
    most = most < blk->request_bytes_max ? most : blk->request_bytes_max;
    if (disk->dead)
        return "the device was given up: it does not finish a reset";
    if (options->depth == 0 || options->depth > blk->in_flight_max)
        snprintf(text, 96, "its queue takes 1 to %" PRIu32 " requests at once", blk->in_flight_max);
    else if (options->queues == 0 || options->queues > queues)
        snprintf(text, 96, "it has %" PRIu32 " queue%s: one a CPU, as far as the device has them",
                 queues, queues == 1 ? "" : "s");
    else if (size == 0 || size % blk->block_size_bytes != 0 || size > most)
        snprintf(text, 96, "a request is of whole blocks of %" PRIu32 ", up to %" PRIu32 " bytes",
                 blk->block_size_bytes, most);
    else if (options->segments == 0 || options->segments > blk->segments_max)
        snprintf(text, 96, "a request has 1 to %" PRIu32 " segments", blk->segments_max);
    else if (size % options->segments != 0)
        snprintf(text, 96, "%" PRIu32 " bytes are not %" PRIu32 " equal segments", size,
                 options->segments);
    else if (size / options->segments > blk->segment_bytes_max)
        snprintf(text, 96, "a segment is of %" PRIu32 " bytes at most", blk->segment_bytes_max);
    else if (disk->size_bytes < size)
        snprintf(text, 96, "it has %" PRIu64 " bytes, less than one request", disk->size_bytes);
    else
        return NULL;
    return text;
}

/* Memory */

/* In pieces with a gap behind each, so that none is beside another. */
static bool describe(struct blk_bench *bench, struct bench_request *request) {
    const struct blk_bench_options *options = bench->options;
    uint32_t len = options->size_bytes / options->segments;
    struct kernel_memory *memory = bench->disk->memory;
    request->memory = memory_pages_alloc(memory, bench->order);
    request->segments =
        ash_kzalloc(&memory->heap, options->segments * sizeof(struct ash_dma_segment));
    if (request->memory == NULL || request->segments == NULL)
        return false;
    for (uint32_t i = 0; i < options->segments; i++) {
        uint8_t *piece = request->memory + 2 * (size_t)i * len;
        for (uint32_t at = 0; at < len; at += 16)
            memcpy(piece + at, pattern, ash_min_u64(16, len - at));
        request->segments[i] =
            (struct ash_dma_segment){memory_dma_address(memory, piece, len), len};
    }
    request->request = (struct ash_virtio_blk_request){
        .op = options->is_write ? ASH_VIRTIO_BLK_WRITE : ASH_VIRTIO_BLK_READ,
        .segments = request->segments,
        .segment_count = options->segments,
        .cookie = request};
    return true;
}

static void free_lane(struct blk_bench *bench, struct bench_lane *lane) {
    struct kernel_memory *memory = bench->disk->memory;
    if (lane == NULL)
        return;
    for (uint32_t i = 0; i < bench->options->depth; i++) {
        if (lane->requests[i].memory != NULL && !bench->disk->dead)
            memory_pages_free(memory, lane->requests[i].memory, bench->order);
        ash_kfree(&memory->heap, lane->requests[i].segments);
    }
    if (lane->copies != NULL)
        memory_pages_free(memory, lane->copies, memory_order_of(bench->options->size_bytes));
    ash_kfree(&memory->heap, lane);
}

void blk_bench_free(struct blk_bench *bench) {
    for (uint32_t i = 0; i < bench->options->queues; i++)
        free_lane(bench, bench->lanes[i]);
    ash_kfree(&bench->disk->memory->heap, bench);
}

/* Queue `cpu`: its share of the requests, and of the disk where it is read in order. */
static bool start_lane(struct blk_bench *bench, uint32_t cpu) {
    const struct blk_bench_options *options = bench->options;
    struct disk *disk = bench->disk;
    struct bench_lane *lane = ash_kzalloc(&disk->memory->heap, sizeof(*lane));
    uint64_t count = options->count / options->queues + (cpu < options->count % options->queues);
    bench->lanes[cpu] = lane;
    if (lane == NULL)
        return false;
    lane->bench = bench;
    lane->options = options;
    lane->queue = ash_virtio_blk_get_queue(&disk->blk, cpu);
    lane->cpu = cpu;
    lane->left = options->count != 0 ? count : options->duration_ns / BLK_BENCH_LEAST_NS;
    lane->sectors = options->size_bytes / ASH_VIRTIO_BLK_SECTOR_SIZE;
    lane->positions = (uint32_t)ash_min_u64(disk->size_bytes / options->size_bytes, UINT32_MAX);
    lane->random = 1 + cpu;
    lane->next = (uint64_t)lane->positions * cpu / options->queues;
    bool good = true;
    for (uint32_t i = 0; i < options->depth; i++)
        good = good && describe(bench, &lane->requests[i]);
    if (good && options->copies) {
        lane->copies = memory_pages_alloc(disk->memory, memory_order_of(options->size_bytes));
        good = lane->copies != NULL;
    }
    return good;
}

struct blk_bench *blk_bench_new(struct disk *disk, const struct blk_bench_options *options) {
    struct blk_bench *bench = ash_kzalloc(&disk->memory->heap, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    bench->disk = disk;
    bench->options = options;
    /* The last gap is not needed. */
    uint32_t len = options->size_bytes / options->segments;
    bench->order = memory_order_of((2 * (uint64_t)options->segments - 1) * len);
    bool good = true;
    for (uint32_t cpu = 0; cpu < options->queues; cpu++)
        good = good && start_lane(bench, cpu);
    if (good)
        return bench;
    blk_bench_free(bench);
    return NULL;
}

/* Results */

/* The middle of a bucket. */
static ash_ns_t middle_of(uint32_t bucket) {
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    uint32_t shift = bucket / HISTOGRAM_STEPS - 1;
    uint64_t step = HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS;
    return (step << shift) + (UINT64_C(1) << shift >> 1);
}

static uint64_t in_bucket(const struct blk_bench *bench, uint32_t bucket) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < bench->options->queues; i++)
        sum += bench->lanes[i]->latencies[bucket];
    return sum;
}

/* What `permille` of the latencies do not exceed. */
static ash_ns_t percentile(const struct blk_bench *bench, uint64_t total, uint32_t permille,
                           ash_ns_t max_ns) {
    uint64_t sum = 0, wanted = (total * permille + 999) / 1000;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum += in_bucket(bench, i);
        if (sum >= wanted)
            return ash_min_u64(middle_of(i), max_ns);
    }
    return max_ns;
}

void blk_bench_sum(const struct blk_bench *bench, struct blk_bench_result *result) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < bench->options->queues; i++) {
        const struct bench_lane *lane = bench->lanes[i];
        result->requests += lane->completed;
        result->copied_bytes += lane->copied_bytes;
        result->instructions += lane->instructions;
        result->max_ns = ash_max_u64(result->max_ns, lane->max_ns);
    }
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += in_bucket(bench, i);
    if (total == 0)
        return;
    result->p50_ns = percentile(bench, total, 500, result->max_ns);
    result->p99_ns = percentile(bench, total, 990, result->max_ns);
}
