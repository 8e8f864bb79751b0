/* SPDX-License-Identifier: MIT */
/* disk.c: a disk and its driver for scenarios. */
#include "sim/disk.h"

#include "harness/test.h"

#define POOL_BASE UINT64_C(0x80000000)

enum { BUFFERS_AT = SIM_DISK_POOL_BYTES - SIM_DISK_BUFFERS_BYTES };

void sim_disk_alloc(struct sim_disk *disk) {
    disk->pool = test_alloc(SIM_DISK_POOL_BYTES, 4096);
    disk->storage = NULL;
    guest_memory_init(&disk->memory);
    CHECK_EQ(guest_memory_add(&disk->memory, POOL_BASE, disk->pool, SIM_DISK_POOL_BYTES), 0);
}

void sim_disk_power_on(struct sim_disk *disk, struct sim *sim, uint32_t actor,
                       const struct fake_virtio_blk_config *config,
                       const struct sim_device_config *pace) {
    disk->sim = sim;
    fake_virtio_blk_init(&disk->fake, config, &disk->memory);
    sim_device_init(&disk->device, sim, actor, &disk->fake.device, pace);
}

int sim_disk_start(struct sim_disk *disk) {
    const struct ash_virtio_blk_config config = {
        .transport = &disk->mmio.transport, .queue_size = 32, .in_flight_max = SIM_DISK_DEPTH};
    struct ash_virtio_regs regs = {sim_device_read, sim_device_write, &disk->device};
    struct ash_virtio_blk_memory memory = {
        .storage_bytes = ash_virtio_blk_storage_size(&config),
        .dma = {disk->pool, ash_virtio_blk_dma_size(&config), POOL_BASE},
    };
    CHECK(ash_virtio_blk_dma_size(&config) <= BUFFERS_AT);
    if (disk->storage == NULL)
        disk->storage = test_alloc(memory.storage_bytes, ASH_VIRTIO_BLK_MEMORY_ALIGN);
    memory.storage = disk->storage;
    int error = ash_virtio_mmio_probe(&disk->mmio, &regs);
    if (error == 0)
        error = ash_virtio_blk_init(&disk->blk, &config, &memory);
    if (error == 0)
        disk->queue = ash_virtio_blk_get_queue(&disk->blk, 0);
    return error;
}

uint8_t *sim_disk_buffer(struct sim_disk *disk, uint32_t offset) {
    return disk->pool + BUFFERS_AT + offset;
}

struct ash_dma_segment sim_disk_segment(uint32_t offset, uint32_t len_bytes) {
    return (struct ash_dma_segment){POOL_BASE + BUFFERS_AT + offset, len_bytes};
}
