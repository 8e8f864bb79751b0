/* SPDX-License-Identifier: MIT */
/* disk.c: see disk.h. */
#include "disk.h"
#include "wait.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <string.h>

/* Start */

static uint32_t order_of(size_t bytes) {
    return ash_log2_ceil((bytes + ASH_PAGE_SIZE - 1) >> ASH_PAGE_SHIFT);
}

static int start_driver(struct disk *disk) {
    const struct ash_virtio_blk_config config = {
        .transport = &disk->mmio.transport, .in_flight_max = DISK_IN_FLIGHT_MAX, .align_bytes = 1};
    struct ash_virtio_blk_memory memory = {
        .storage_bytes = ash_virtio_blk_storage_size(&config),
        .dma.bytes = ash_virtio_blk_dma_size(&config),
    };
    disk->storage_order = order_of(memory.storage_bytes);
    disk->rings_order = order_of(memory.dma.bytes);
    disk->storage = memory.storage = memory_pages_alloc(disk->memory, disk->storage_order);
    disk->rings = memory.dma.pointer = memory_pages_alloc(disk->memory, disk->rings_order);
    disk->bounce = memory_pages_alloc(disk->memory, DISK_BOUNCE_ORDER);
    if (disk->storage == NULL || disk->rings == NULL || disk->bounce == NULL)
        return -ASH_ENOMEM;
    memory.dma.address = memory_dma_address(disk->memory, disk->rings, memory.dma.bytes);
    int error = ash_virtio_blk_init(&disk->blk, &config, &memory);
    if (error == 0)
        disk->queue = ash_virtio_blk_get_queue(&disk->blk, 0);
    return error;
}

static void give_memory_back(struct disk *disk) {
    if (disk->storage != NULL)
        memory_pages_free(disk->memory, disk->storage, disk->storage_order);
    if (disk->rings != NULL)
        memory_pages_free(disk->memory, disk->rings, disk->rings_order);
    if (disk->bounce != NULL)
        memory_pages_free(disk->memory, disk->bounce, DISK_BOUNCE_ORDER);
    disk->storage = disk->rings = NULL;
    disk->bounce = NULL;
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
    if (error == 0 && disk->blk.block_size_bytes > DISK_REQUEST_BYTES) {
        /* A device that cannot be stopped keeps its memory. */
        *reason = "its blocks are larger than 32 KiB";
        if (ash_virtio_blk_fini(&disk->blk) == 0)
            give_memory_back(disk);
        return -ASH_ENOTSUP;
    }
    if (error != 0) {
        *reason =
            error == -ASH_ENOMEM ? "no memory for its queue" : ash_virtio_blk_reason(&disk->blk);
        if (error != -ASH_ETIMEDOUT)
            give_memory_back(disk);
        return error;
    }
    if (!ash_mul_u64(disk->blk.capacity_sectors, ASH_VIRTIO_BLK_SECTOR_SIZE, &disk->size_bytes))
        disk->size_bytes = UINT64_MAX - (UINT64_MAX % ASH_VIRTIO_BLK_SECTOR_SIZE);
    return 0;
}

void disk_lend(struct disk *disk, void *memory, size_t size_bytes) {
    disk->lent = memory;
    disk->lent_bytes = size_bytes;
}

static bool is_lent(const struct disk *disk, const void *buffer, size_t len) {
    uintptr_t start = (uintptr_t)disk->lent;
    return (uintptr_t)buffer >= start &&
           ash_range_fits((uintptr_t)buffer - start, len, disk->lent_bytes);
}

void disk_interrupt(void *context) {
    struct disk *disk = context;
    ash_virtio_blk_interrupt(&disk->blk);
}

/* Waiting for completions */

static bool has_completions(void *context) {
    struct disk *disk = context;
    do
        disk->done_count = ash_virtio_blk_reap(disk->queue, disk->done, DISK_IN_FLIGHT_MAX);
    while (disk->done_count == 0 && !ash_virtio_blk_may_sleep(disk->queue));
    return disk->done_count != 0;
}

/* The device is reset and every request comes back, so that no buffer is the device's any more; or
 * it does not stop, and the disk is dead. */
static void recover(struct disk *disk) {
    if (ash_virtio_blk_reset(&disk->blk, ASH_VIRTIO_BLK_FAIL, 0) != 0)
        disk->dead = true;
    while (ash_virtio_blk_reap(disk->queue, disk->done, DISK_IN_FLIGHT_MAX) > 0) {}
}

/* Takes what has completed: 0, or the first error. Waits for one completion at least. */
static int complete(struct disk *disk) {
    int error = kernel_wait(has_completions, disk, platform_now_ns() + DISK_TIMEOUT_NS);
    if (error != 0) {
        disk->timeouts++;
        recover(disk);
        return error;
    }
    if (disk->done_count < 0) {
        error = disk->done_count;
        recover(disk);
        return error;
    }
    for (int i = 0; i < disk->done_count; i++) {
        if (disk->done[i].status != 0)
            error = disk->done[i].status;
    }
    return error;
}

/* After an error every request must still come back before the buffers are the caller's again. */
static int drain(struct disk *disk, int error) {
    while (ash_virtio_blk_in_flight(disk->queue) != 0 && !disk->dead) {
        int later = complete(disk);
        error = error != 0 ? error : later;
    }
    return error;
}

static int submit_read(struct disk *disk, uint64_t offset, void *buffer, uint32_t len) {
    const struct ash_dma_segment segment = {memory_dma_address(disk->memory, buffer, len), len};
    const struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_READ,
                                                   .sector = offset / ASH_VIRTIO_BLK_SECTOR_SIZE,
                                                   .segments = &segment,
                                                   .segment_count = 1};
    uint32_t token;
    return ash_virtio_blk_submit(disk->queue, &request, &token);
}

/* Whole blocks, into the bounce buffer or lent memory. */
static int read_direct(struct disk *disk, uint64_t offset, uint8_t *buffer, uint64_t len) {
    uint64_t asked = 0;
    uint32_t most = disk->blk.segment_bytes_max < DISK_REQUEST_BYTES ? disk->blk.segment_bytes_max
                                                                     : DISK_REQUEST_BYTES;
    most -= most % disk->blk.block_size_bytes;
    while (asked < len) {
        uint32_t part = (uint32_t)ash_min_u64(len - asked, most);
        int error = submit_read(disk, offset + asked, buffer + asked, part);
        if (error == 0) {
            asked += part;
            continue;
        }
        ash_virtio_blk_kick(disk->queue);
        if (error == -ASH_EAGAIN)
            error = complete(disk);
        else if (error == -ASH_EIO) /* it broke after its last request had come back */
            recover(disk);
        if (error != 0)
            return drain(disk, error);
    }
    ash_virtio_blk_kick(disk->queue);
    return drain(disk, 0);
}

/* A piece, at most up to the end of the bounce buffer; *done is its length. */
static int read_bounced(struct disk *disk, uint64_t offset, uint8_t *buffer, size_t len,
                        size_t *done) {
    uint32_t block = disk->blk.block_size_bytes;
    uint64_t start = offset - offset % block;
    size_t skip = (size_t)(offset - start);
    size_t want = (size_t)ash_min_u64(len, DISK_REQUEST_BYTES - skip);
    size_t whole = skip + want + block - 1;
    whole -= whole % block;
    if (whole > DISK_REQUEST_BYTES) { /* the block size does not divide the buffer */
        whole = DISK_REQUEST_BYTES - DISK_REQUEST_BYTES % block;
        want = whole - skip;
    }
    int error = read_direct(disk, start, disk->bounce, whole);
    if (error != 0)
        return error;
    memcpy(buffer, disk->bounce + skip, want);
    disk->bounced_bytes += want;
    *done = want;
    return 0;
}

int disk_read(struct disk *disk, uint64_t offset, void *buffer, size_t len) {
    uint8_t *to = buffer;
    uint32_t block = disk->blk.block_size_bytes;
    bool is_direct = is_lent(disk, buffer, len);
    if (!ash_range_fits(offset, len, disk->size_bytes))
        return -ASH_ERANGE;
    if (disk->dead)
        return -ASH_EIO;
    while (len != 0) {
        int error;
        size_t done = len - len % block;
        if (is_direct && offset % block == 0 && done != 0) {
            error = read_direct(disk, offset, to, done);
            disk->direct_bytes += done;
        } else {
            /* Only up to the next block where the rest can go straight. */
            size_t most = is_direct && offset % block != 0 && len > block - offset % block
                              ? (size_t)(block - offset % block)
                              : len;
            error = read_bounced(disk, offset, to, most, &done);
        }
        if (error != 0)
            return error;
        offset += done;
        to += done;
        len -= done;
    }
    return 0;
}

static int source_read(void *context, uint64_t offset, void *buffer, size_t len) {
    return disk_read(context, offset, buffer, len);
}

struct byte_source disk_source(struct disk *disk) {
    return (struct byte_source){source_read, disk, disk->size_bytes};
}

const char *disk_check(const struct disk *disk) {
    return ash_virtio_blk_check(&disk->blk);
}
