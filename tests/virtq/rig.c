/* SPDX-License-Identifier: MIT */
#include "virtq/rig.h"

struct rig *rig_new(void) {
    struct rig *rig = test_alloc(sizeof(*rig), 64);
    mini_device_init(&rig->device, RIG_CAPACITY_SECTORS);
    rig->config = (struct ash_virtio_blk_config){.transport = &rig->mmio.transport};
    rig->regs = mini_device_regs(&rig->device);
    return rig;
}

struct rig *rig_new_as(enum rig_mode mode) {
    struct rig *rig = rig_new();
    if (mode == RIG_SPLIT || mode == RIG_PACKED)
        rig->device.features &= ~ASH_VIRTIO_F_EVENT_IDX;
    if (mode == RIG_PACKED_EVENTS || mode == RIG_PACKED)
        rig->device.features |= ASH_VIRTIO_F_RING_PACKED;
    return rig;
}

void rig_add_image(struct rig *rig) {
    size_t bytes = (size_t)rig->device.capacity_sectors * 512;
    rig->device.image = test_alloc(bytes, 64);
    for (size_t i = 0; i < bytes; i++)
        rig->device.image[i] = mini_device_byte(i);
}

int rig_init(struct rig *rig) {
    int error = ash_virtio_mmio_probe(&rig->mmio, &rig->regs);
    if (error != 0)
        return error;
    struct ash_virtio_blk_memory *memory = &rig->memory;
    if (memory->storage == NULL) {
        memory->storage_bytes = ash_virtio_blk_storage_size(&rig->config);
        memory->storage = test_alloc(memory->storage_bytes, ASH_VIRTIO_BLK_MEMORY_ALIGN);
        memory->dma.bytes = ash_virtio_blk_dma_size(&rig->config);
        memory->dma.pointer = test_alloc(memory->dma.bytes, ASH_VIRTIO_BLK_MEMORY_ALIGN);
        memory->dma.address = rig_segment(memory->dma.pointer, 1).address;
    }
    error = ash_virtio_blk_init(&rig->blk, &rig->config, memory);
    if (error == 0)
        rig->queue = ash_virtio_blk_get_queue(&rig->blk, 0);
    return error;
}

void rig_must_init(struct rig *rig) {
    int error = rig_init(rig);
    if (error != 0)
        test_fail(__FILE__, __LINE__, "init: error %d: %s", error,
                  ash_virtio_blk_reason(&rig->blk));
    rig_check(rig);
}

struct rig *rig_start(void) {
    struct rig *rig = rig_new();
    rig_must_init(rig);
    return rig;
}

struct ash_dma_segment rig_segment(const void *pointer, size_t len_bytes) {
    return (struct ash_dma_segment){(ash_paddr_t)(uintptr_t)pointer + MINI_DMA_OFFSET,
                                    (uint32_t)len_bytes};
}

int rig_try(struct rig *rig, enum ash_virtio_blk_op op, uint64_t sector, const void *buffer,
            size_t len_bytes, uint32_t *token) {
    const struct ash_dma_segment segment = rig_segment(buffer, len_bytes);
    const struct ash_virtio_blk_request request = {
        .op = op, .sector = sector, .segments = &segment, .segment_count = len_bytes != 0};
    return ash_virtio_blk_submit(rig->queue, &request, token);
}

uint32_t rig_submit(struct rig *rig, const struct ash_virtio_blk_request *request) {
    uint32_t token = 0;
    CHECK_EQ(ash_virtio_blk_submit(rig->queue, request, &token), 0);
    CHECK(ash_virtio_blk_pending(rig->queue, token));
    return token;
}

uint32_t rig_read(struct rig *rig, uint64_t sector, void *buffer, size_t len_bytes, void *cookie) {
    const struct ash_dma_segment segment = rig_segment(buffer, len_bytes);
    const struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_READ,
                                                   .sector = sector,
                                                   .segments = &segment,
                                                   .segment_count = 1,
                                                   .cookie = cookie};
    return rig_submit(rig, &request);
}

struct ash_virtio_blk_done rig_reap_one(struct rig *rig) {
    struct ash_virtio_blk_done done;
    CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), 1);
    CHECK(!ash_virtio_blk_pending(rig->queue, done.token));
    return done;
}

uint32_t rig_drain(struct rig *rig) {
    struct ash_virtio_blk_done done[7];
    uint32_t total = 0;
    for (;;) {
        int count = ash_virtio_blk_reap(rig->queue, done, ASH_ARRAY_LEN(done));
        CHECK(count >= 0);
        if (count == 0)
            return total;
        for (int i = 0; i < count; i++)
            CHECK_EQ(done[i].status, 0);
        total += (uint32_t)count;
    }
}

int rig_finish(struct rig *rig) {
    ash_virtio_blk_kick(rig->queue);
    mini_device_run(&rig->device);
    return rig_reap_one(rig).status;
}

void rig_check(struct rig *rig) {
    const char *broken = ash_virtio_blk_check(&rig->blk);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
    CHECK_STR_EQ(rig->device.broken_rule == NULL ? "" : rig->device.broken_rule, "");
}

void rig_check_data(const void *buffer, uint64_t sector, size_t len_bytes) {
    const uint8_t *bytes = buffer;
    for (size_t i = 0; i < len_bytes; i++) {
        if (bytes[i] != mini_device_byte(sector * 512 + i))
            test_fail(__FILE__, __LINE__, "sector %llu, byte %zu: 0x%02x, expected 0x%02x",
                      (unsigned long long)sector, i, bytes[i], mini_device_byte(sector * 512 + i));
    }
}

struct ash_virtio_blk_counters rig_counters(const struct rig *rig) {
    struct ash_virtio_blk_counters counters;
    ash_virtio_blk_get_counters(&rig->blk, &counters);
    return counters;
}
