/* SPDX-License-Identifier: MIT */
/*
 * bench_cache.c: see bench.h. Reads through caches of its own, each of which begins empty: so what
 * the kernel's holds neither helps nor suffers.
 */
#include "bench.h"

#include <ashlar/error.h>
#include <inttypes.h>

#include "platform.h"

enum {
    BLOCKS = 1024,
    COLD_READS = 1000,
    WARM_READS = 100000,
    MIXED_SHARE = 10, /* a part in so many of the range is hot, and of the reads are not */
};

struct cache_work {
    struct block_cache cache;
    struct kernel_memory *memory;
    struct disk *disk;
    uint32_t blocks; /* of the cache */
    uint32_t range;  /* of the disk, twice as many where there are */
    uint64_t random, sum;
};

struct cache_run {
    uint64_t reads, ns, cost, hits;
};

/* Steele, Lea, Flood: SplitMix64, OOPSLA 2014. */
static uint32_t below(struct cache_work *work, uint32_t limit) {
    uint64_t z = work->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(((z ^ (z >> 31)) >> 32) * limit >> 32);
}

/* Which block is the i-th one that is read. */
typedef uint32_t order_fn(struct cache_work *work, uint32_t i);

/* Each once, and never two side by side: 619 is a prime that divides no range in use. */
static uint32_t scattered(struct cache_work *work, uint32_t i) {
    return (uint32_t)((uint64_t)i * 619 % work->range);
}

static uint32_t warm(struct cache_work *work, uint32_t i) {
    (void)i;
    uint64_t most = ash_min_u64(COLD_READS, work->blocks);
    return scattered(work, below(work, (uint32_t)most));
}

static uint32_t mixed(struct cache_work *work, uint32_t i) {
    (void)i;
    bool is_hot = below(work, MIXED_SHARE) != 0;
    return below(work, is_hot ? work->range / MIXED_SHARE : work->range);
}

static uint32_t sequential(struct cache_work *work, uint32_t i) {
    (void)work;
    return i;
}

static int run(struct cache_work *work, uint32_t reads, order_fn *order, struct cache_run *out) {
    struct ash_cache_stats before, after;
    int error = 0;
    ash_cache_get_stats(&work->cache.cache, &before);
    ash_ns_t start_ns = platform_now_ns();
    uint32_t start = platform_cost();
    for (uint32_t i = 0; i < reads && error == 0; i++) {
        uint32_t frame;
        error = block_cache_get(&work->cache, work->disk, order(work, i), &frame);
        if (error != 0)
            break;
        work->sum += *(const uint64_t *)ash_cache_data(&work->cache.cache, frame);
        block_cache_put(&work->cache, frame);
    }
    out->cost = platform_cost() - start;
    out->ns = platform_now_ns() - start_ns;
    out->reads = reads;
    ash_cache_get_stats(&work->cache.cache, &after);
    out->hits = after.hits - before.hits;
    block_cache_settle(&work->cache);
    return error;
}

static void report_run(const struct bench_report *report, const char *name,
                       const struct cache_run *run) {
    uint64_t tenths = run->ns * 10 / run->reads, share = run->hits * 1000 / run->reads;
    bench_say(
        report,
        "%-26s %8" PRIu64 " %12" PRIu64 ".%" PRIu64 " %12" PRIu64 " %7" PRIu64 ".%" PRIu64 "%%",
        name, run->reads, tenths / 10, tenths % 10, run->cost / run->reads, share / 10, share % 10);
}

/* A cache that is empty. */
static int begin(struct cache_work *work, bool is_not_ahead) {
    struct disk *disks[DISKS_MAX] = {NULL};
    const struct block_cache_config config = {.blocks = work->blocks, .is_not_ahead = is_not_ahead};
    disks[0] = work->disk;
    int error = block_cache_init(&work->cache, work->memory, disks, 1, &config);
    work->blocks = error == 0 ? work->cache.blocks : work->blocks;
    work->random = 1;
    return error;
}

static int end(struct cache_work *work, int error) {
    int failed = block_cache_fini(&work->cache);
    return error != 0 ? error : failed;
}

static int cold_and_warm(struct cache_work *work, const struct bench_report *report) {
    struct cache_run cold = {0}, hot = {0}, mix = {0};
    int error = begin(work, true);
    if (error != 0)
        return error;
    uint32_t reads = (uint32_t)ash_min_u64(COLD_READS, work->blocks);
    error = run(work, reads, scattered, &cold);
    if (error == 0)
        error = run(work, WARM_READS, warm, &hot);
    if (error == 0)
        error = run(work, WARM_READS, mixed, &mix);
    if (error == 0) {
        report_run(report, "cold, each from the disk", &cold);
        report_run(report, "warm, each a hit", &hot);
        report_run(report, "mixed, 9 of 10 to a tenth", &mix);
        uint64_t warm_ns = hot.ns == 0 ? 1 : hot.ns;
        bench_say(report, "warm is %" PRIu64 " times as fast as cold",
                  cold.ns * hot.reads / cold.reads / warm_ns);
    }
    return end(work, error);
}

static int in_order(struct cache_work *work, const struct bench_report *report, bool is_not_ahead,
                    const char *name) {
    struct cache_run each = {0};
    int error = begin(work, is_not_ahead);
    if (error != 0)
        return error;
    error = run(work, work->range, sequential, &each);
    if (error == 0)
        report_run(report, name, &each);
    return end(work, error);
}

/* A power of two, so that the disk has twice as many blocks. */
static uint32_t blocks_for(const struct disk *disk) {
    uint64_t blocks = BLOCKS;
    while (blocks > BLOCK_CACHE_BLOCKS_MIN && disk->size_bytes / BLOCK_CACHE_BYTES < 2 * blocks)
        blocks /= 2;
    return (uint32_t)blocks;
}

int bench_cache(struct kernel_memory *memory, struct disk *disk,
                const struct bench_report *report) {
    struct cache_work *work = ash_kzalloc(&memory->heap, sizeof(*work));
    if (work == NULL)
        return -ASH_ENOMEM;
    work->memory = memory;
    work->disk = disk;
    work->blocks = blocks_for(disk);
    int error = begin(work, true);
    if (error == 0)
        error = end(work, 0); /* by now the blocks are as many as there is memory for */
    work->range = (uint32_t)ash_min_u64(2 * work->blocks, disk->size_bytes / BLOCK_CACHE_BYTES);
    if (error == 0 && (work->range < BLOCK_CACHE_BLOCKS_MIN || !work->cache.disks[0].is_covered))
        error = -ASH_ENOTSUP;
    if (error == 0) {
        bench_say(report,
                  "Reads of %d bytes out of %" PRIu32 " blocks of disk %" PRIu32
                  ", through a cache of %" PRIu32 " blocks.",
                  BLOCK_CACHE_BYTES, work->range, disk->number, work->blocks);
        bench_say(report, "%-26s %8s %14s %12s %8s", "", "reads", "ns a read", "units a read",
                  "hits");
        error = cold_and_warm(work, report);
    }
    if (error == 0)
        error = in_order(work, report, true, "in order");
    if (error == 0)
        error = in_order(work, report, false, "in order, with read-ahead");
    ash_kfree(&memory->heap, work);
    return error;
}
