/* SPDX-License-Identifier: MIT */
/* disk.c: see disk.h. Taking a device over, and what became of it in words. */
#include "disk_internal.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <stdio.h>
#include <string.h>

/* Memory */

static uint32_t order_of(size_t bytes) {
    return ash_log2_ceil((bytes + ASH_PAGE_SIZE - 1) >> ASH_PAGE_SHIFT);
}

static bool take_memory(struct disk *disk, struct ash_virtio_blk_memory *memory) {
    disk->storage.order = order_of(memory->storage_bytes);
    disk->rings.order = order_of(memory->dma.bytes);
    disk->buffers.order = order_of((size_t)DISK_POOL_PAGES << ASH_PAGE_SHIFT);
    disk->storage.pages = memory_pages_alloc(disk->memory, disk->storage.order);
    disk->rings.pages = memory_pages_alloc(disk->memory, disk->rings.order);
    disk->buffers.pages = memory_pages_alloc(disk->memory, disk->buffers.order);
    disk->pool_storage =
        ash_kmalloc(&disk->memory->heap, ash_dma_pool_storage_size(DISK_POOL_PAGES));
    memory->storage = disk->storage.pages;
    memory->dma.pointer = disk->rings.pages;
    return disk->storage.pages != NULL && disk->rings.pages != NULL &&
           disk->buffers.pages != NULL && disk->pool_storage != NULL;
}

static void give_memory_back(struct disk *disk) {
    if (disk->storage.pages != NULL)
        memory_pages_free(disk->memory, disk->storage.pages, disk->storage.order);
    if (disk->rings.pages != NULL)
        memory_pages_free(disk->memory, disk->rings.pages, disk->rings.order);
    if (disk->buffers.pages != NULL)
        memory_pages_free(disk->memory, disk->buffers.pages, disk->buffers.order);
    ash_kfree(&disk->memory->heap, disk->pool_storage);
    disk->storage.pages = disk->rings.pages = disk->buffers.pages = disk->pool_storage = NULL;
}

/* Start */

static int start_pool(struct disk *disk) {
    size_t bytes = (size_t)DISK_POOL_PAGES << ASH_PAGE_SHIFT;
    return ash_dma_pool_init(&disk->pool, DISK_POOL_PAGES, ASH_PAGE_SIZE, disk->buffers.pages,
                             memory_dma_address(disk->memory, disk->buffers.pages, bytes),
                             disk->pool_storage, ash_dma_pool_storage_size(DISK_POOL_PAGES));
}

static int start_driver(struct disk *disk) {
    const struct ash_virtio_blk_config config = {
        .transport = &disk->mmio.transport, .in_flight_max = DISK_IN_FLIGHT_MAX, .align_bytes = 1};
    struct ash_virtio_blk_memory memory = {
        .storage_bytes = ash_virtio_blk_storage_size(&config),
        .dma.bytes = ash_virtio_blk_dma_size(&config),
    };
    if (!take_memory(disk, &memory))
        return -ASH_ENOMEM;
    int error = start_pool(disk);
    if (error != 0)
        return error;
    memory.dma.address = memory_dma_address(disk->memory, disk->rings.pages, memory.dma.bytes);
    error = ash_virtio_blk_init(&disk->blk, &config, &memory);
    if (error == 0)
        disk->queue = ash_virtio_blk_get_queue(&disk->blk, 0);
    return error;
}

/* False: not even one block fits a request through the pool's buffers. */
static bool find_limits(struct disk *disk) {
    const struct ash_virtio_blk *blk = &disk->blk;
    uint64_t most = ash_min_u64(blk->segment_bytes_max, blk->request_bytes_max);
    disk->request_bytes = (uint32_t)ash_min_u64(most, DISK_REQUEST_BYTES);
    disk->request_bytes -= disk->request_bytes % blk->block_size_bytes;
    return disk->request_bytes != 0;
}

static void find_size(struct disk *disk) {
    if (!ash_mul_u64(disk->blk.capacity_sectors, ASH_VIRTIO_BLK_SECTOR_SIZE, &disk->size_bytes))
        disk->size_bytes = UINT64_MAX - (UINT64_MAX % ASH_VIRTIO_BLK_SECTOR_SIZE);
}

int disk_init(struct disk *disk, const struct ash_virtio_regs *regs, struct kernel_memory *memory,
              const char **reason) {
    memset(disk, 0, sizeof(*disk));
    disk->memory = memory;
    int error = ash_virtio_mmio_probe(&disk->mmio, regs);
    if (error == 0 && disk->mmio.transport.device_id != ASH_VIRTIO_ID_BLOCK)
        error = -ASH_ENODEV;
    if (error != 0) {
        *reason = error == -ASH_ENODEV ? "not a block device" : disk->mmio.transport.reason;
        return error;
    }
    error = start_driver(disk);
    if (error == 0 && !find_limits(disk)) {
        /* A device that cannot be stopped keeps its memory. */
        *reason = "its blocks are larger than 32 KiB, or than what it takes in one piece";
        if (ash_virtio_blk_fini(&disk->blk) == 0)
            give_memory_back(disk);
        return -ASH_ENOTSUP;
    }
    if (error != 0) {
        *reason = error == -ASH_ENOMEM ? "no memory for its queue and buffers"
                                       : ash_virtio_blk_reason(&disk->blk);
        if (error != -ASH_ETIMEDOUT)
            give_memory_back(disk);
        return error;
    }
    find_size(disk);
    return disk_set_policy(disk, ASH_VIRTIO_BLK_DELAYED, 0);
}

void disk_lend(struct disk *disk, void *memory, size_t size_bytes) {
    for (uint32_t i = 0; i < DISK_LENT_MAX; i++) {
        if (disk->lent[i].memory != NULL)
            continue;
        disk->lent[i].memory = memory;
        disk->lent[i].size_bytes = size_bytes;
        return;
    }
}

int disk_set_policy(struct disk *disk, enum ash_virtio_blk_policy policy, uint32_t amount) {
    int error = ash_virtio_blk_set_policy(disk->queue, policy, amount);
    if (error == 0) {
        disk->policy = policy;
        disk->policy_amount = amount;
    }
    return error;
}

void disk_interrupt(void *context) {
    struct disk *disk = context;
    ash_virtio_blk_interrupt(&disk->blk);
}

/* Calls */

int disk_begin(struct disk *disk, uint64_t offset, uint64_t len) {
    bool changed = false;
    disk->was_resubmitted = false;
    disk->reason[0] = '\0';
    /* A capacity that cannot be read now is tried again at the next call. */
    if (!disk->dead && ash_virtio_blk_refresh(&disk->blk, &changed) == 0 && changed)
        find_size(disk);
    if (!ash_range_fits(offset, len, disk->size_bytes))
        return -ASH_ERANGE;
    return disk->dead ? -ASH_EIO : 0;
}

/* In words */

static const char *explain_io(const struct disk *disk) {
    if (disk->dead)
        return "the device was given up: it does not finish a reset";
    return disk->reason[0] != '\0' ? disk->reason : "the device reported an error";
}

const char *disk_explain(const struct disk *disk, int error) {
    switch (error) {
    case -ASH_EIO:
        return explain_io(disk);
    case -ASH_ETIMEDOUT:
        return disk->dead ? "the device is silent and does not finish a reset: it was given up"
                          : "the device was silent, twice; it was reset";
    case -ASH_ERANGE:
        return "past the end of the disk";
    case -ASH_EROFS:
        return "the disk is read-only";
    case -ASH_ENOTSUP:
        return "the device does not offer that";
    case -ASH_EAGAIN:
        return "its queue is full";
    default:
        return ash_strerror(error);
    }
}

const char *disk_check(const struct disk *disk) {
    const char *broken = ash_virtio_blk_check(&disk->blk);
    return broken != NULL ? broken : ash_dma_pool_check(&disk->pool);
}
