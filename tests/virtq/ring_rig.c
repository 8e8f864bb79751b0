/* SPDX-License-Identifier: MIT */
#include "virtq/ring_rig.h"

#define IN_TABLE (UINT64_C(1) << 62)

struct ring *ring_new(const struct ash_virtq_config *config, uint32_t features) {
    struct ring *ring = test_alloc(sizeof(*ring), 64);
    size_t storage_bytes = ash_virtq_storage_size(config);
    CHECK(storage_bytes != 0);
    struct ash_virtq_dma dma = {.bytes = ash_virtq_dma_size(config)};
    dma.pointer = test_alloc(dma.bytes, ASH_VIRTQ_STORAGE_ALIGN);
    dma.address = (uintptr_t)dma.pointer + RING_DMA_OFFSET;
    ring->config = *config;
    ring->storage = test_alloc(storage_bytes, ASH_VIRTQ_STORAGE_ALIGN);
    memset(dma.pointer, 0xa5, dma.bytes);
    memset(ring->storage, 0xa5, storage_bytes);
    CHECK_EQ(ash_virtq_init(&ring->queue, config, ring->storage, storage_bytes, &dma), 0);
    ring_device_init(&ring->device, &ring->queue);
    ring_restart(ring, features);
    return ring;
}

void ring_restart(struct ring *ring, uint32_t features) {
    ash_virtq_restart(&ring->queue, features);
    ring_device_reset(&ring->device, &ring->queue);
    ring_check(ring);
}

static uint64_t address_of(uint32_t slot, uint32_t index) {
    return (uint64_t)(slot + 1) << 32 | index << 8;
}

void ring_describe(struct ring *ring, uint32_t slot, uint32_t first) {
    uint32_t last = ring->config.chain - 1;
    for (uint32_t i = first; i <= last; i++)
        ash_virtq_describe(&ring->queue, slot, i, address_of(slot, i),
                           i == last ? RING_WRITABLE_BYTES : 1 + i, i == last);
}

void ring_describe_table(struct ring *ring, uint32_t slot, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        ash_virtq_describe_table(&ring->queue, slot, i, count, address_of(slot, i) | IN_TABLE,
                                 i == count - 1 ? RING_WRITABLE_BYTES : 1 + i, i == count - 1);
}

static uint32_t free_slot(struct ring *ring) {
    int slot = ash_virtq_free_slot(&ring->queue);
    CHECK(slot >= 0);
    return (uint32_t)slot;
}

uint32_t ring_submit_from(struct ring *ring, uint32_t first) {
    uint32_t slot = free_slot(ring);
    ring_describe(ring, slot, first);
    return ash_virtq_submit(&ring->queue, slot, first, RING_WRITABLE_BYTES,
                            &ring->queue.slots[slot]);
}

uint32_t ring_submit(struct ring *ring) {
    return ring_submit_from(ring, 0);
}

uint32_t ring_submit_table(struct ring *ring, uint32_t count) {
    uint32_t slot = free_slot(ring);
    ring_describe_table(ring, slot, count);
    return ash_virtq_submit_table(&ring->queue, slot, count, RING_WRITABLE_BYTES,
                                  &ring->queue.slots[slot]);
}

uint32_t ring_slot_of(const struct ring *ring, const struct ring_request *request) {
    uint64_t address = request->segments[0].address, in_table = request->is_table ? IN_TABLE : 0;
    uint32_t slot = (uint32_t)((address & ~IN_TABLE) >> 32) - 1, first = (uint32_t)address >> 8;
    CHECK(slot < ring->config.slots);
    if (!request->is_table)
        CHECK_EQ(first + request->segment_count, ring->config.chain);
    for (uint32_t i = 0; i < request->segment_count; i++) {
        const struct ring_segment *segment = &request->segments[i];
        bool is_last = i + 1 == request->segment_count;
        CHECK(segment->address == (address_of(slot, first + i) | in_table));
        CHECK_EQ(segment->len, is_last ? RING_WRITABLE_BYTES : 1 + first + i);
        CHECK_EQ(segment->device_writes, is_last);
    }
    return slot;
}

uint32_t ring_reap_one(struct ring *ring) {
    uint32_t len = 0;
    int slot = ash_virtq_next(&ring->queue, &len);
    CHECK(slot >= 0);
    CHECK(ring->queue.slots[slot].cookie == &ring->queue.slots[slot]);
    ash_virtq_retire(&ring->queue, (uint32_t)slot);
    return (uint32_t)slot;
}

uint32_t ring_complete_all(struct ring *ring) {
    uint32_t count = 0, len = 0;
    ring_device_fetch_all(&ring->device);
    for (; ring->device.held_count != 0; count++) {
        uint32_t slot = ring_slot_of(ring, &ring->device.held[0]);
        ring_device_complete(&ring->device, 0, RING_WRITABLE_BYTES);
        CHECK_EQ(ring_reap_one(ring), slot);
    }
    CHECK_EQ(ash_virtq_next(&ring->queue, &len), -ASH_EAGAIN);
    return count;
}

void ring_check(const struct ring *ring) {
    const char *broken = ash_virtq_check(&ring->queue);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
}
