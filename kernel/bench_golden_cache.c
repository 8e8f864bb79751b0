/* SPDX-License-Identifier: MIT */
/* bench_golden_cache.c: see bench_golden_cache.h. */
#include "bench_golden_cache.h"

#include <ashlar/cache.h>
#include <ashlar/check.h>
#include <ashlar/error.h>

#include "platform.h"

enum {
    BLOCKS = 128,
    WINDOW = 32,
    ASKED = 4, /* times before a hit is counted: no policy counts further */
};

struct golden_cache {
    struct ash_cache cache;
    struct ash_cache_space file;
    struct kernel_memory *memory;
    void *storage, *data;
    uint32_t storage_order, data_order;
    uint64_t next; /* block that was never asked for */

    /* The device's: what it was given, the oldest first. */
    struct ash_cache_io *given[ASH_CACHE_DEPTH_DEFAULT];
    uint32_t first, last;

    struct ash_cache_waiter waiters[GOLDEN_CACHE_BATCH];
    struct ash_cache_flush_request request;
    uint32_t told;
};

/* The device */

static int submit(void *context, struct ash_cache_io *io) {
    struct golden_cache *cache = context;
    cache->given[cache->last++ % ASH_CACHE_DEPTH_DEFAULT] = io;
    return 0;
}

static void end_one(struct golden_cache *cache) {
    ASH_REQUIRE(cache->first != cache->last, "bench: the cache waits for I/Os of its own, %u done",
                cache->first);
    struct ash_cache_io *io = cache->given[cache->first++ % ASH_CACHE_DEPTH_DEFAULT];
    ash_cache_complete(&cache->cache, io, 0);
}

static void end_all(struct golden_cache *cache) {
    while (cache->first != cache->last)
        end_one(cache);
}

/* Its user */

static void wake(struct ash_cache_waiter *waiter) {
    struct golden_cache *cache = ASH_CONTAINER_OF(waiter->space, struct golden_cache, file);
    cache->told++;
}

static void flushed(struct ash_cache_flush_request *request) {
    struct golden_cache *cache = ASH_CONTAINER_OF(request, struct golden_cache, request);
    cache->told++;
}

static uint32_t read_one(struct golden_cache *cache, uint64_t index, uint32_t flags) {
    struct ash_cache_waiter *waiter = &cache->waiters[0];
    uint32_t frame = 0, told = cache->told;
    int error = ash_cache_get(&cache->cache, &cache->file, index, flags, waiter, &frame);
    if (error == ASH_CACHE_PENDING) {
        while (cache->told == told)
            end_one(cache);
        error = waiter->status;
        frame = waiter->frame;
    }
    ASH_REQUIRE(error == 0, "bench: the block is not there: %d", error);
    return frame;
}

/* A block that is there, and as old to its policy as it gets: it was asked for a few times, and
 * another one since. */
static uint64_t known(struct golden_cache *cache) {
    uint64_t index = cache->next - 1;
    for (uint32_t i = 0; i < ASKED; i++)
        ash_cache_put(&cache->cache, read_one(cache, index, 0));
    ash_cache_put(&cache->cache, read_one(cache, index - 1, 0));
    return index;
}

/* Leaves room for blocks beside each other, and is no neighbour of those before. */
static uint64_t unknown(struct golden_cache *cache) {
    uint64_t index = cache->next + 1;
    cache->next = index + GOLDEN_CACHE_BATCH;
    return index;
}

uint32_t golden_cache_hit(struct golden_cache *cache, uint32_t overhead) {
    (void)overhead;
    uint64_t index = known(cache);
    uint32_t frame, start = platform_cost();
    int error = ash_cache_get(&cache->cache, &cache->file, index, 0, &cache->waiters[0], &frame);
    if (error == 0)
        ash_cache_put(&cache->cache, frame);
    uint32_t cost = platform_cost() - start;
    ASH_REQUIRE(error == 0, "bench: a hit is none: %d", error);
    return cost;
}

uint32_t golden_cache_peek(struct golden_cache *cache, uint32_t overhead) {
    (void)overhead;
    struct ash_cache_view view;
    uint64_t index = known(cache);
    uint32_t start = platform_cost();
    const void *data = ash_cache_peek(&cache->cache, &cache->file, index, &view);
    bool valid = data != NULL && ash_cache_peek_valid(&view);
    uint32_t cost = platform_cost() - start;
    ASH_REQUIRE(valid, "bench: block %u cannot be looked at", (unsigned)index);
    return cost;
}

uint32_t golden_cache_miss(struct golden_cache *cache, uint32_t overhead) {
    uint64_t index = unknown(cache);
    uint32_t told = cache->told, frame, start = platform_cost();
    int error = ash_cache_get(&cache->cache, &cache->file, index, 0, &cache->waiters[0], &frame);
    uint32_t cost = platform_cost() - start;
    start = platform_cost();
    end_one(cache);
    ash_cache_put(&cache->cache, cache->waiters[0].frame);
    cost += platform_cost() - start;
    ASH_REQUIRE(error == ASH_CACHE_PENDING && cache->told - told == 1,
                "bench: a miss said %d, and woke %u", error, cache->told - told);
    return cost > overhead ? cost - overhead : cost;
}

uint32_t golden_cache_miss_batch(struct golden_cache *cache, uint32_t overhead) {
    uint64_t index = unknown(cache);
    uint32_t told = cache->told, pending = 0, frame, start = platform_cost();
    for (uint32_t i = 0; i < GOLDEN_CACHE_BATCH; i++) {
        int error = ash_cache_get(&cache->cache, &cache->file, index + i, ASH_CACHE_MORE,
                                  &cache->waiters[i], &frame);
        pending += error == ASH_CACHE_PENDING;
    }
    ash_cache_pump(&cache->cache);
    uint32_t cost = platform_cost() - start;
    start = platform_cost();
    end_all(cache);
    for (uint32_t i = 0; i < GOLDEN_CACHE_BATCH; i++)
        ash_cache_put(&cache->cache, cache->waiters[i].frame);
    cost += platform_cost() - start;
    ASH_REQUIRE(pending == GOLDEN_CACHE_BATCH && cache->told - told == pending,
                "bench: %u misses of %u, %u woken", pending, GOLDEN_CACHE_BATCH,
                cache->told - told);
    return cost > overhead ? cost - overhead : cost;
}

uint32_t golden_cache_sequential(struct golden_cache *cache, uint32_t overhead) {
    (void)overhead;
    uint32_t start = platform_cost();
    for (uint32_t i = 0; i < GOLDEN_CACHE_BATCH; i++)
        ash_cache_put(&cache->cache, read_one(cache, cache->next++, 0));
    return platform_cost() - start;
}

static void dirty(struct golden_cache *cache, uint64_t index) {
    uint32_t frame = read_one(cache, index, ASH_CACHE_WRITE);
    int error = ash_cache_put_dirty(&cache->cache, frame, NULL);
    ASH_REQUIRE(error == 0, "bench: a block could not be made dirty: %d", error);
}

static void flush_all(struct golden_cache *cache) {
    uint32_t told = cache->told;
    ash_cache_flush(&cache->cache, &cache->file, &cache->request);
    while (cache->told == told)
        end_one(cache);
}

uint32_t golden_cache_write(struct golden_cache *cache, uint32_t overhead) {
    (void)overhead;
    uint64_t index = known(cache);
    uint32_t start = platform_cost();
    dirty(cache, index);
    uint32_t cost = platform_cost() - start;
    flush_all(cache);
    return cost;
}

static uint32_t flush_of(struct golden_cache *cache, uint32_t stride) {
    uint64_t index = unknown(cache);
    cache->next += GOLDEN_CACHE_BATCH * stride;
    for (uint32_t i = 0; i < GOLDEN_CACHE_BATCH; i++)
        dirty(cache, index + i * stride);
    uint32_t start = platform_cost();
    flush_all(cache);
    return platform_cost() - start;
}

uint32_t golden_cache_flush(struct golden_cache *cache, uint32_t overhead) {
    (void)overhead;
    return flush_of(cache, 1);
}

uint32_t golden_cache_flush_scattered(struct golden_cache *cache, uint32_t overhead) {
    (void)overhead;
    return flush_of(cache, 2);
}

/* Making one */

void golden_cache_free(struct golden_cache *cache) {
    if (cache == NULL)
        return;
    if (cache->storage != NULL)
        memory_pages_free(cache->memory, cache->storage, cache->storage_order);
    if (cache->data != NULL)
        memory_pages_free(cache->memory, cache->data, cache->data_order);
    ash_kfree(&cache->memory->heap, cache);
}

static int start(struct golden_cache *cache, const struct ash_cache_config *config) {
    size_t storage_bytes = ash_cache_storage_size(config);
    cache->storage_order = memory_order_of(storage_bytes);
    cache->data_order = memory_order_of((uint64_t)BLOCKS * config->block_bytes);
    cache->storage = memory_pages_alloc(cache->memory, cache->storage_order);
    cache->data = memory_pages_alloc(cache->memory, cache->data_order);
    if (cache->storage == NULL || cache->data == NULL)
        return -ASH_ENOMEM;
    int error = ash_cache_init(&cache->cache, config, cache->storage, storage_bytes, cache->data);
    if (error != 0)
        return error;
    cache->file.blocks = UINT64_C(1) << 32;
    cache->request.done = flushed;
    for (uint32_t i = 0; i < GOLDEN_CACHE_BATCH; i++)
        cache->waiters[i].wake = wake;
    error = ash_cache_space_open(&cache->cache, &cache->file);
    while (error == 0 && cache->next < 2 * BLOCKS) /* full, and what a policy remembers begins */
        ash_cache_put(&cache->cache, read_one(cache, cache->next++, 0));
    return error;
}

struct golden_cache *golden_cache_new(struct kernel_memory *memory, const char *policy, bool shared,
                                      bool ahead) {
    struct golden_cache *cache = ash_kzalloc(&memory->heap, sizeof(*cache));
    if (cache == NULL)
        return NULL;
    cache->memory = memory;
    const struct ash_cache_config config = {
        .blocks = BLOCKS,
        .block_bytes = ASH_CACHE_BLOCK_MIN,
        .policy = policy,
        .dirty_max = BLOCKS,
        .window_max = ahead ? WINDOW : 0,
        .shared = shared,
        .lazy = true,
        .backend = {.submit = submit, .context = cache},
    };
    if (start(cache, &config) == 0)
        return cache;
    golden_cache_free(cache);
    return NULL;
}
