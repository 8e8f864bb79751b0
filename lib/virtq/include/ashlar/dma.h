/* SPDX-License-Identifier: MIT */
/*
 * dma.h: memory that goes to a device as it is: segments (address and length), buffers that know
 * whose they are just now, and a pool of equal buffers for callers with no memory of their own.
 *
 * Rules
 *  - Nothing is copied, anywhere: what a segment names is what the device reads or writes.
 *  - A buffer is the CPU's or the device's. give and take change that; a driver that is handed a
 *    buffer does so itself. The contents are reached through ash_dma_buffer_data, which asserts
 *    (debug builds: ASH_CHECKS 2) that they are the CPU's.
 *  - DMA is coherent. On a machine where it is not, give and take are where a cache is cleaned.
 *  - One caller at a time for a pool.
 *
 *     device ── take ─> CPU ── give ─> device          pool: [ page | page | page | ... ]
 *                                                      free: 1 0 1 ...  one bit a buffer
 */
#ifndef ASHLAR_DMA_H
#define ASHLAR_DMA_H

#include <ashlar/base.h>
#include <ashlar/check.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_DMA_POOL_COUNT_MAX 65536u

/* A piece of memory as the device sees it. */
struct ash_dma_segment {
    ash_paddr_t address;
    uint32_t len_bytes;
};

enum ash_dma_owner { ASH_DMA_CPU, ASH_DMA_DEVICE };

/* Fields to be read by everybody, but data: through ash_dma_buffer_data. */
struct ash_dma_buffer {
    void *data;
    ash_paddr_t address;
    uint32_t len_bytes;
    uint32_t owner; /* enum ash_dma_owner */
};

/* Memory of the caller's, len_bytes at `data`, which the device sees at `address`. The CPU's. */
static inline void ash_dma_buffer_init(struct ash_dma_buffer *buffer, void *data,
                                       ash_paddr_t address, uint32_t len_bytes) {
    buffer->data = data;
    buffer->address = address;
    buffer->len_bytes = len_bytes;
    buffer->owner = ASH_DMA_CPU;
}

static inline void ash_dma_buffer_give(struct ash_dma_buffer *buffer) {
    ASH_ASSERT(buffer->owner == ASH_DMA_CPU);
    buffer->owner = ASH_DMA_DEVICE;
}

static inline void ash_dma_buffer_take(struct ash_dma_buffer *buffer) {
    ASH_ASSERT(buffer->owner == ASH_DMA_DEVICE);
    buffer->owner = ASH_DMA_CPU;
}

/* The contents: the CPU's, or this is a fault of the caller. */
static inline void *ash_dma_buffer_data(const struct ash_dma_buffer *buffer) {
    ASH_ASSERT(buffer->owner == ASH_DMA_CPU);
    return buffer->data;
}

/* All of it, as a segment. */
static inline struct ash_dma_segment ash_dma_buffer_segment(const struct ash_dma_buffer *buffer) {
    struct ash_dma_segment segment = {buffer->address, buffer->len_bytes};
    return segment;
}

/* Equal buffers, one behind the other. Private. */
struct ash_dma_pool {
    struct ash_dma_buffer *buffers;
    uint64_t *free; /* a bit a buffer */
    uint32_t count, free_count;
};

/* Bytes of storage for `count` buffers' descriptions; 0 for 0 or more than ASH_DMA_POOL_COUNT_MAX.
 */
size_t ash_dma_pool_storage_size(uint32_t count) ASH_MUST_CHECK;

/*
 * A pool over memory of count * buffer_bytes bytes, in one piece for the device. storage: aligned
 * to 8. -ASH_EINVAL: count, a size of 0, NULL, storage misaligned, or a range beyond the end of
 * memory; -ASH_ENOMEM: storage too small.
 */
int ash_dma_pool_init(struct ash_dma_pool *pool, uint32_t count, uint32_t buffer_bytes,
                      void *memory, ash_paddr_t address, void *storage,
                      size_t storage_bytes) ASH_MUST_CHECK;

/* The lowest free buffer, the CPU's, contents undefined; NULL: all are out. O(count / 64). */
struct ash_dma_buffer *ash_dma_pool_alloc(struct ash_dma_pool *pool) ASH_MUST_CHECK;

/* Takes a buffer of this pool back; panics on any other, on one that is free, and on one that is
 * still the device's. O(1). */
void ash_dma_pool_free(struct ash_dma_pool *pool, struct ash_dma_buffer *buffer);

/* Free buffers. */
static inline uint32_t ash_dma_pool_free_count(const struct ash_dma_pool *pool) {
    return pool->free_count;
}

/* "D1: ..." of DESIGN.md if the pool is broken, or NULL. O(count). */
const char *ash_dma_pool_check(const struct ash_dma_pool *pool) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
