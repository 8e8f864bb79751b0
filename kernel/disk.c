/* SPDX-License-Identifier: MIT */
/* disk.c: see disk.h. Taking a device over, and what became of it in words. */
#include "disk_internal.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <string.h>

/* Memory */

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

/* Is it at most so small a part of what is free? So several disks fit into a small machine, each
 * with less. */
static bool is_part(const struct disk *disk, uint64_t bytes, uint32_t share) {
    return bytes <= (ash_buddy_free_pages(&disk->memory->buddy) << ASH_PAGE_SHIFT) / share;
}

static uint32_t pool_pages_of(const struct disk *disk) {
    uint32_t pages = DISK_POOL_PAGES;
    while (pages > DISK_REQUEST_PAGES &&
           !is_part(disk, (uint64_t)pages << ASH_PAGE_SHIFT, DISK_MEMORY_SHARE))
        pages /= 2;
    return pages;
}

static bool take_memory(struct disk *disk, struct ash_virtio_blk_memory *memory,
                        uint32_t pool_pages) {
    disk->storage.order = memory_order_of(memory->storage_bytes);
    disk->rings.order = memory_order_of(memory->dma.bytes);
    disk->buffers.order = memory_order_of((uint64_t)pool_pages << ASH_PAGE_SHIFT);
    uint64_t pages = (UINT64_C(1) << disk->storage.order) + (UINT64_C(1) << disk->rings.order) +
                     (UINT64_C(1) << disk->buffers.order);
    if (!is_part(disk, pages << ASH_PAGE_SHIFT, 2)) /* what is not for disks must fit, too */
        return false;
    disk->storage.pages = memory_pages_alloc(disk->memory, disk->storage.order);
    disk->rings.pages = memory_pages_alloc(disk->memory, disk->rings.order);
    disk->buffers.pages = memory_pages_alloc(disk->memory, disk->buffers.order);
    disk->pool_storage = ash_kmalloc(&disk->memory->heap, ash_dma_pool_storage_size(pool_pages));
    memory->storage = disk->storage.pages;
    memory->dma.pointer = disk->rings.pages;
    return disk->storage.pages != NULL && disk->rings.pages != NULL &&
           disk->buffers.pages != NULL && disk->pool_storage != NULL;
}

/* Start */

/* 5.2.4: num_queues, which may be read before it is accepted (3.1.1). */
static uint32_t offered_queues(struct ash_virtio_transport *transport) {
    const uint32_t at = 34, width_bytes = 2;
    if ((transport->ops->features(transport) & ASH_VIRTIO_BLK_F_MQ) == 0)
        return 1;
    return transport->ops->config_read(transport, at, width_bytes);
}

/* One for each CPU, what the device offers, or what memory allows: the least. Sizes follow. */
static void choose_queues(struct disk *disk, struct ash_virtio_blk_config *config,
                          struct ash_virtio_blk_memory *memory) {
    uint64_t most = ash_min_u64(platform_cpu_count(), DISK_QUEUES_MAX);
    most = ash_min_u64(most, offered_queues(config->transport));
    config->queue_count = (uint32_t)ash_max_u64(most, 1);
    for (;; config->queue_count /= 2) {
        memory->storage_bytes = ash_virtio_blk_storage_size(config);
        memory->dma.bytes = ash_virtio_blk_dma_size(config);
        if (config->queue_count == 1 ||
            is_part(disk, memory->storage_bytes + memory->dma.bytes, DISK_MEMORY_SHARE))
            return;
    }
}

static int start_pool(struct disk *disk, uint32_t pages) {
    size_t bytes = (size_t)pages << ASH_PAGE_SHIFT;
    return ash_dma_pool_init(&disk->pool, pages, ASH_PAGE_SIZE, disk->buffers.pages,
                             memory_dma_address(disk->memory, disk->buffers.pages, bytes),
                             disk->pool_storage, ash_dma_pool_storage_size(pages));
}

static int start_driver(struct disk *disk, const char **reason) {
    struct ash_virtio_blk_config config = {
        .transport = &disk->mmio.transport, .in_flight_max = DISK_IN_FLIGHT_MAX, .align_bytes = 1};
    struct ash_virtio_blk_memory memory = {.storage = NULL};
    choose_queues(disk, &config, &memory);
    uint32_t pool_pages = pool_pages_of(disk);
    *reason = "no memory for its queue and buffers; start the machine with more";
    if (!take_memory(disk, &memory, pool_pages))
        return -ASH_ENOMEM;
    *reason = "its buffers are not one piece of memory";
    int error = start_pool(disk, pool_pages);
    if (error != 0)
        return error;
    memory.dma.address = memory_dma_address(disk->memory, disk->rings.pages, memory.dma.bytes);
    error = ash_virtio_blk_init(&disk->blk, &config, &memory);
    *reason = ash_virtio_blk_reason(&disk->blk);
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

/* Whole blocks: sectors behind them cannot be asked for. The driver takes no device of 2^63 bytes
 * or more. */
static void find_size(struct disk *disk) {
    disk->size_bytes = ash_align_down(disk->blk.capacity_sectors * ASH_VIRTIO_BLK_SECTOR_SIZE,
                                      disk->blk.block_size_bytes);
}

int disk_init(struct disk *disk, const struct ash_virtio_regs *regs, struct kernel_memory *memory,
              const char **reason) {
    memset(disk, 0, sizeof(*disk));
    disk_group_init(&disk->own_group);
    disk_join(disk, NULL);
    disk->memory = memory;
    int error = ash_virtio_mmio_probe(&disk->mmio, regs);
    *reason = disk->mmio.transport.reason;
    if (error != 0)
        return error;
    *reason = "not a block device";
    if (disk->mmio.transport.device_id != ASH_VIRTIO_ID_BLOCK)
        return -ASH_ENODEV;
    error = start_driver(disk, reason);
    if (error == 0 && !find_limits(disk)) {
        /* A device that cannot be stopped keeps its memory. */
        *reason = "its blocks are larger than 32 KiB, or than what it takes in one piece";
        if (ash_virtio_blk_fini(&disk->blk) == 0)
            give_memory_back(disk);
        return -ASH_ENOTSUP;
    }
    if (error != 0) {
        if (error != -ASH_ETIMEDOUT)
            give_memory_back(disk);
        return error;
    }
    find_size(disk);
    return disk_set_policy(disk, ASH_VIRTIO_BLK_DELAYED, 0);
}

/* One at a time */

void disk_group_init(struct disk_group *group) {
    mutex_init(&group->mutex);
    wait_queue_init(&group->waiting);
    group->interrupts = 0;
}

void disk_join(struct disk *disk, struct disk_group *group) {
    disk->group = group != NULL ? group : &disk->own_group;
}

void disk_lock(struct disk *disk) {
    mutex_lock(&disk->group->mutex);
}

void disk_unlock(struct disk *disk) {
    mutex_unlock(&disk->group->mutex);
}

/* Settings */

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
    int error = 0;
    disk_lock(disk);
    for (uint32_t i = 0; i < disk->blk.queue_count && error == 0; i++)
        error = ash_virtio_blk_set_policy(ash_virtio_blk_get_queue(&disk->blk, i), policy, amount);
    if (error == 0) {
        disk->policy = policy;
        disk->policy_amount = amount;
    }
    disk_unlock(disk);
    return error;
}

/* Waiting on a CPU. The device has one interrupt for all queues, and CPU 0 takes it. */

void disk_interrupt(void *context) {
    struct disk *disk = context;
    if (!ash_virtio_blk_interrupt(&disk->blk))
        return;
    ash_fetch_add(&disk->group->interrupts, 1u);
    wait_queue_wake(&disk->group->waiting, WAIT_QUEUE_ALL);
    for (uint32_t cpu = 1; cpu < disk->blk.queue_count; cpu++) {
        if (ash_load_acquire(&disk->sleepers[cpu]) != 0)
            platform_wake(cpu);
    }
}

/* It is noted before the queue is armed: an interrupt of what comes after that finds the note. */
bool disk_sleep(struct disk *disk, uint32_t cpu, ash_ns_t deadline_ns) {
    ash_store_release(&disk->sleepers[cpu], 1u);
    bool sleeps = ash_virtio_blk_may_sleep(ash_virtio_blk_get_queue(&disk->blk, cpu));
    if (sleeps)
        platform_wait(deadline_ns);
    ash_store_relaxed(&disk->sleepers[cpu], 0u);
    return sleeps;
}

/* Calls */

void disk_refresh_locked(struct disk *disk) {
    bool changed = false;
    /* A capacity that cannot be read now is tried again at the next call. */
    if (!disk->dead && ash_virtio_blk_refresh(&disk->blk, &changed) == 0 && changed)
        find_size(disk);
}

void disk_refresh(struct disk *disk) {
    disk_lock(disk);
    disk_refresh_locked(disk);
    disk_unlock(disk);
}

int disk_begin(struct disk *disk, uint64_t offset, uint64_t len) {
    disk->was_resubmitted = false;
    disk->reason[0] = '\0';
    disk_refresh_locked(disk);
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
        if (disk->dead)
            return "the device is silent and does not finish a reset: it was given up";
        return disk->was_resubmitted ? "the device was silent, twice; it was reset"
                                     : "the device was silent; it was reset";
    case -ASH_ERANGE:
        return "past the end of the disk";
    case -ASH_EROFS:
        return "the disk is read-only";
    case -ASH_ENOTSUP:
        return "the device does not offer that";
    case -ASH_EAGAIN:
        return "its queue is full";
    case -ASH_ENOMEM:
        return "its buffers are gone";
    default:
        return ash_strerror(error);
    }
}

const char *disk_check(const struct disk *disk) {
    const char *broken = ash_virtio_blk_check(&disk->blk);
    return broken != NULL ? broken : ash_dma_pool_check(&disk->pool);
}
