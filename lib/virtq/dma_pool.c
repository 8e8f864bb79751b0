/* SPDX-License-Identifier: MIT */
/* dma_pool.c: see <ashlar/dma.h>. */
#include <ashlar/bits.h>
#include <ashlar/dma.h>
#include <ashlar/error.h>

static uint32_t words_of(uint32_t count) {
    return (count + 63) / 64;
}

size_t ash_dma_pool_storage_size(uint32_t count) {
    if (count == 0 || count > ASH_DMA_POOL_COUNT_MAX)
        return 0;
    return sizeof(struct ash_dma_buffer) * count + sizeof(uint64_t) * words_of(count);
}

int ash_dma_pool_init(struct ash_dma_pool *pool, uint32_t count, uint32_t buffer_bytes,
                      void *memory, ash_paddr_t address, void *storage, size_t storage_bytes) {
    size_t needed = ash_dma_pool_storage_size(count);
    uint64_t bytes = (uint64_t)count * buffer_bytes;
    if (needed == 0 || buffer_bytes == 0 || memory == NULL || storage == NULL ||
        !ash_is_aligned((uintptr_t)storage, sizeof(uint64_t)) ||
        (uintptr_t)memory > UINTPTR_MAX - bytes || address > UINT64_MAX - bytes)
        return -ASH_EINVAL;
    if (storage_bytes < needed)
        return -ASH_ENOMEM;
    *pool = (struct ash_dma_pool){storage, NULL, count, count};
    pool->free = (uint64_t *)(void *)(pool->buffers + count);
    for (uint32_t i = 0; i < count; i++)
        ash_dma_buffer_init(&pool->buffers[i], (char *)memory + (size_t)i * buffer_bytes,
                            address + (uint64_t)i * buffer_bytes, buffer_bytes);
    for (uint32_t word = 0; word < words_of(count); word++) {
        uint32_t bits = count - word * 64;
        pool->free[word] = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    }
    return 0;
}

struct ash_dma_buffer *ash_dma_pool_alloc(struct ash_dma_pool *pool) {
    for (uint32_t word = 0; word < words_of(pool->count); word++) {
        if (pool->free[word] == 0)
            continue;
        uint32_t index = word * 64 + ash_ctz64(pool->free[word]);
        pool->free[word] &= pool->free[word] - 1;
        pool->free_count--;
        return &pool->buffers[index];
    }
    return NULL;
}

void ash_dma_pool_free(struct ash_dma_pool *pool, struct ash_dma_buffer *buffer) {
    uintptr_t offset = (uintptr_t)buffer - (uintptr_t)pool->buffers;
    uintptr_t index = offset / sizeof(*buffer);
    ASH_REQUIRE(offset % sizeof(*buffer) == 0 && index < pool->count,
                "dma pool: free of 0x%llx: not a buffer of this pool",
                (unsigned long long)(uintptr_t)buffer);
    uint64_t mask = UINT64_C(1) << (index & 63);
    ASH_REQUIRE((pool->free[index / 64] & mask) == 0, "dma pool: buffer %u is freed twice",
                (unsigned)index);
    ASH_REQUIRE(buffer->owner == ASH_DMA_CPU,
                "dma pool: buffer %u is freed while the device has it", (unsigned)index);
    pool->free[index / 64] |= mask;
    pool->free_count++;
}

const char *ash_dma_pool_check(const struct ash_dma_pool *pool) {
    uint32_t free_count = 0;
    for (uint32_t word = 0; word < words_of(pool->count); word++)
        free_count += ash_popcount64(pool->free[word]);
    if (free_count != pool->free_count || free_count > pool->count)
        return "D1: the pool's count of free buffers is not that of its bits";
    for (uint32_t i = 0; i < pool->count; i++) {
        if ((pool->free[i / 64] >> (i & 63) & 1) != 0 && pool->buffers[i].owner != ASH_DMA_CPU)
            return "D2: a free buffer is the device's";
    }
    return NULL;
}
