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
    uint32_t size = options->size_bytes, most = BLK_BENCH_SIZE_MAX;
    most = most < blk->request_bytes_max ? most : blk->request_bytes_max;
    if (disk->dead)
        return "the device was given up: it does not finish a reset";
    if (options->depth == 0 || options->depth > blk->in_flight_max)
        snprintf(text, 96, "its queue takes 1 to %" PRIu32 " requests at once", blk->in_flight_max);
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

static uint32_t order_of(size_t bytes) {
    return ash_log2_ceil((bytes + ASH_PAGE_SIZE - 1) >> ASH_PAGE_SHIFT);
}

void blk_bench_free(struct blk_bench *bench) {
    struct kernel_memory *memory = bench->disk->memory;
    for (uint32_t i = 0; i < bench->options->depth; i++) {
        if (bench->requests[i].memory != NULL && !bench->disk->dead)
            memory_pages_free(memory, bench->requests[i].memory, bench->order);
        ash_kfree(&memory->heap, bench->requests[i].segments);
    }
    if (bench->copies != NULL)
        memory_pages_free(memory, bench->copies, order_of(bench->options->size_bytes));
    ash_kfree(&memory->heap, bench);
}

struct blk_bench *blk_bench_new(struct disk *disk, const struct blk_bench_options *options) {
    struct blk_bench *bench = ash_kzalloc(&disk->memory->heap, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    bench->disk = disk;
    bench->options = options;
    bench->queue = disk->queue;
    bench->left = options->count != 0 ? options->count : options->duration_ns / BLK_BENCH_LEAST_NS;
    bench->sectors = options->size_bytes / ASH_VIRTIO_BLK_SECTOR_SIZE;
    bench->positions = (uint32_t)ash_min_u64(disk->size_bytes / options->size_bytes, UINT32_MAX);
    bench->random = 1;
    /* The last gap is not needed. */
    uint32_t len = options->size_bytes / options->segments;
    bench->order = order_of((2 * (size_t)options->segments - 1) * len);
    bool good = true;
    for (uint32_t i = 0; i < options->depth; i++)
        good = good && describe(bench, &bench->requests[i]);
    if (good && options->copies) {
        bench->copies = memory_pages_alloc(disk->memory, order_of(options->size_bytes));
        good = bench->copies != NULL;
    }
    if (good)
        return bench;
    blk_bench_free(bench);
    return NULL;
}

/* Latencies */

/* The middle of a bucket. */
static ash_ns_t middle_of(uint32_t bucket) {
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    uint32_t shift = bucket / HISTOGRAM_STEPS - 1;
    uint64_t step = HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS;
    return (step << shift) + (UINT64_C(1) << shift >> 1);
}

/* What `permille` of the latencies do not exceed. */
static ash_ns_t percentile(const struct blk_bench *bench, uint64_t total, uint32_t permille) {
    uint64_t sum = 0, wanted = (total * permille + 999) / 1000;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum += bench->latencies[i];
        if (sum >= wanted)
            return ash_min_u64(middle_of(i), bench->max_ns);
    }
    return bench->max_ns;
}

void blk_bench_percentiles(const struct blk_bench *bench, struct blk_bench_result *result) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += bench->latencies[i];
    if (total == 0)
        return;
    result->p50_ns = percentile(bench, total, 500);
    result->p99_ns = percentile(bench, total, 990);
    result->max_ns = bench->max_ns;
}
