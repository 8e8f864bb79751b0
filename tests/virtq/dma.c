/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/dma.h>: whose a buffer is, and the pool. */
#include <ashlar/dma.h>
#include <ashlar/error.h>

#include "harness/test.h"

enum { COUNT = 70, BYTES = 4096 };

struct bench {
    struct ash_dma_pool pool;
    char *memory;
    ash_paddr_t address;
};

static void check(const struct ash_dma_pool *pool) {
    const char *broken = ash_dma_pool_check(pool);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
}

static struct bench *bench_of(uint32_t count) {
    struct bench *bench = test_alloc(sizeof(*bench), 8);
    size_t bytes = ash_dma_pool_storage_size(count);
    char *storage = test_alloc(bytes + 1, 8);
    storage[bytes] = 0x5a;
    bench->memory = test_alloc((size_t)count * 16, 64);
    bench->address = UINT64_C(0x7000000000);
    CHECK_EQ(
        ash_dma_pool_init(&bench->pool, count, 16, bench->memory, bench->address, storage, bytes),
        0);
    CHECK_EQ(storage[bytes], 0x5a);
    check(&bench->pool);
    return bench;
}

TEST_CASE(dma, buffer_is_given_and_taken) {
    struct ash_dma_buffer buffer;
    char data[8];
    ash_dma_buffer_init(&buffer, data, 0x1000, sizeof(data));
    CHECK(ash_dma_buffer_data(&buffer) == data);
    ash_dma_buffer_give(&buffer);
    CHECK_EQ(buffer.owner, ASH_DMA_DEVICE);
    ash_dma_buffer_take(&buffer);
    CHECK_EQ(buffer.owner, ASH_DMA_CPU);
    struct ash_dma_segment segment = ash_dma_buffer_segment(&buffer);
    CHECK_EQ(segment.address, 0x1000);
    CHECK_EQ(segment.len_bytes, sizeof(data));
}

TEST_CASE(dma, buffer_of_the_wrong_owner_is_asserted) {
    if (ASH_CHECKS < 2)
        test_skip("asserts are for debug builds");
    struct ash_dma_buffer buffer;
    char data[8];
    ash_dma_buffer_init(&buffer, data, 0x1000, sizeof(data));
    CHECK_PANICS(ash_dma_buffer_take(&buffer), "owner");
    ash_dma_buffer_give(&buffer);
    CHECK_PANICS(ash_dma_buffer_give(&buffer), "owner");
    CHECK_PANICS((void)ash_dma_buffer_data(&buffer), "owner");
}

TEST_CASE(dma, pool_hands_out_each_buffer_once_and_then_none) {
    static const uint32_t counts[] = {1, 2, 63, 64, 65, 127, 128, 129, 1000};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(counts); i++) {
        struct bench *bench = bench_of(counts[i]);
        struct ash_dma_buffer *buffer;
        for (uint32_t n = 0; n < counts[i]; n++) {
            CHECK_EQ(ash_dma_pool_free_count(&bench->pool), counts[i] - n);
            buffer = ash_dma_pool_alloc(&bench->pool);
            CHECK(buffer != NULL); /* the lowest */
            CHECK(ash_dma_buffer_data(buffer) == bench->memory + 16 * (size_t)n);
            CHECK_EQ(buffer->address, bench->address + 16 * (uint64_t)n);
            CHECK_EQ(buffer->len_bytes, 16);
        }
        CHECK(ash_dma_pool_alloc(&bench->pool) == NULL);
        CHECK_EQ(ash_dma_pool_free_count(&bench->pool), 0);
        check(&bench->pool);
    }
}

TEST_CASE(dma, pool_takes_buffers_back_in_any_order) {
    struct bench *bench = bench_of(COUNT);
    struct test_random random = test_random_from(test_seed());
    struct ash_dma_buffer *out[COUNT];
    uint32_t count = 0;
    bool is_out[COUNT] = {false};
    for (uint32_t step = 0; step < 5000; step++) {
        if (test_random_chance(&random, 50)) {
            struct ash_dma_buffer *buffer = ash_dma_pool_alloc(&bench->pool);
            CHECK((buffer == NULL) == (count == COUNT));
            if (buffer == NULL)
                continue;
            size_t index = (size_t)((char *)buffer->data - bench->memory) / 16;
            CHECK(index < COUNT && !is_out[index]);
            for (size_t lower = 0; lower < index; lower++)
                CHECK(is_out[lower]);
            is_out[index] = true;
            out[count++] = buffer;
        } else if (count != 0) {
            uint32_t pick = (uint32_t)test_random_below(&random, count);
            is_out[((char *)out[pick]->data - bench->memory) / 16] = false;
            ash_dma_pool_free(&bench->pool, out[pick]);
            out[pick] = out[--count];
        }
        CHECK_EQ(ash_dma_pool_free_count(&bench->pool), COUNT - count);
        check(&bench->pool);
    }
}

TEST_CASE(dma, pool_panics_on_what_is_not_to_be_freed) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    struct bench *bench = bench_of(COUNT), *other = bench_of(COUNT);
    struct ash_dma_buffer *buffer = ash_dma_pool_alloc(&bench->pool);
    struct ash_dma_buffer *foreign = ash_dma_pool_alloc(&other->pool);
    struct ash_dma_buffer own;
    CHECK(buffer != NULL && foreign != NULL);
    CHECK_PANICS(ash_dma_pool_free(&bench->pool, NULL), "not a buffer of this pool");
    CHECK_PANICS(ash_dma_pool_free(&bench->pool, foreign), "not a buffer of this pool");
    CHECK_PANICS(ash_dma_pool_free(&bench->pool, &own), "not a buffer of this pool");
    CHECK_PANICS(ash_dma_pool_free(&bench->pool, buffer + COUNT), "not a buffer of this pool");
    CHECK_PANICS(ash_dma_pool_free(&bench->pool, buffer - 1), "not a buffer of this pool");
    CHECK_PANICS(
        ash_dma_pool_free(&bench->pool, (struct ash_dma_buffer *)(void *)((char *)buffer + 8)),
        "not a buffer of this pool");
    CHECK_PANICS(ash_dma_pool_free(&bench->pool, buffer + 1), "buffer 1 is freed twice");
    ash_dma_buffer_give(buffer);
    CHECK_PANICS(ash_dma_pool_free(&bench->pool, buffer), "freed while the device has it");
    ash_dma_buffer_take(buffer);
    check(&bench->pool);
    ash_dma_pool_free(&bench->pool, buffer);
    CHECK_PANICS(ash_dma_pool_free(&bench->pool, buffer), "buffer 0 is freed twice");
    check(&bench->pool);
}

TEST_CASE(dma, pool_arguments_are_validated) {
    struct ash_dma_pool pool;
    size_t bytes = ash_dma_pool_storage_size(4);
    char *storage = test_alloc(bytes + 16, 8), *memory = test_alloc(4 * BYTES, 64);
    ash_paddr_t last = UINT64_MAX - 4 * BYTES;
    CHECK_EQ(ash_dma_pool_storage_size(0), 0);
    CHECK_EQ(ash_dma_pool_storage_size(ASH_DMA_POOL_COUNT_MAX + 1), 0);
    CHECK_EQ(ash_dma_pool_storage_size(UINT32_MAX), 0);
    CHECK(ash_dma_pool_storage_size(ASH_DMA_POOL_COUNT_MAX) != 0);
    CHECK_EQ(ash_dma_pool_init(&pool, 0, BYTES, memory, 0, storage, bytes), -ASH_EINVAL);
    CHECK_EQ(
        ash_dma_pool_init(&pool, ASH_DMA_POOL_COUNT_MAX + 1, BYTES, memory, 0, storage, SIZE_MAX),
        -ASH_EINVAL);
    CHECK_EQ(ash_dma_pool_init(&pool, 4, 0, memory, 0, storage, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_dma_pool_init(&pool, 4, BYTES, NULL, 0, storage, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_dma_pool_init(&pool, 4, BYTES, memory, 0, NULL, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_dma_pool_init(&pool, 4, BYTES, memory, 0, storage + 4, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_dma_pool_init(&pool, 4, BYTES, memory, last + 1, storage, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_dma_pool_init(&pool, 4, BYTES, (void *)(UINTPTR_MAX - BYTES), 0, storage, bytes),
             -ASH_EINVAL);
    CHECK_EQ(ash_dma_pool_init(&pool, 4, BYTES, memory, 0, storage, bytes - 1), -ASH_ENOMEM);
    CHECK_EQ(ash_dma_pool_init(&pool, 4, BYTES, memory, last, storage, bytes), 0);
    check(&pool);
}

TEST_CASE(dma, pool_check_finds_what_is_broken) {
    struct bench *bench = bench_of(COUNT);
    struct ash_dma_buffer *buffer = ash_dma_pool_alloc(&bench->pool);
    CHECK(buffer != NULL);
    bench->pool.free_count++;
    CHECK(strncmp(ash_dma_pool_check(&bench->pool), "D1", 2) == 0);
    bench->pool.free_count--;
    check(&bench->pool);
    buffer[1].owner = ASH_DMA_DEVICE;
    CHECK(strncmp(ash_dma_pool_check(&bench->pool), "D2", 2) == 0);
    buffer[1].owner = ASH_DMA_CPU;
    ash_dma_buffer_give(buffer); /* not a free one */
    check(&bench->pool);
}
