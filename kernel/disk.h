/* SPDX-License-Identifier: MIT */
/*
 * disk.h: bytes of a virtio block device: any offset, any length, many requests in flight, each
 * with an end in time.
 *
 * Rules
 *  - One caller at a time; it waits (kernel_wait) until all of its bytes are there.
 *  - Whole sectors go straight into memory that was lent for good (disk_lend); a sector of which
 *    only a part is wanted, and any other buffer, through a bounce buffer of the disk's own.
 *  - After DISK_TIMEOUT_NS without a completion the device is reset: the read fails with
 *    -ASH_ETIMEDOUT, the next one finds a working queue.
 *  - A device that does not even finish its reset is given up: nothing is read from it again. It
 *    may still write, for ever: to the rings, the bounce buffer and lent memory, none of which is
 *    given back, and never to a caller's own buffer.
 */
#ifndef KERNEL_DISK_H
#define KERNEL_DISK_H

#include <ashlar/virtio_blk.h>
#include <ashlar/virtio_mmio.h>

#include "file_system.h"
#include "memory.h"

#define DISK_TIMEOUT_NS UINT64_C(10000000000)

enum {
    DISK_IN_FLIGHT_MAX = 32,
    DISK_REQUEST_BYTES = 32768, /* a longer read is cut into requests of this size */
    DISK_BOUNCE_ORDER = 3,      /* one bounce buffer of DISK_REQUEST_BYTES */
};

struct disk {
    struct ash_virtio_mmio mmio;
    struct ash_virtio_blk blk;
    struct ash_virtio_blk_queue *queue;
    struct kernel_memory *memory;
    uint32_t slot;
    uint64_t size_bytes;
    void *storage, *rings; /* the driver's: its own, and what it shares with the device */
    uint32_t storage_order, rings_order;
    uint8_t *bounce;
    bool dead;
    void *lent;
    size_t lent_bytes;
    uint64_t direct_bytes, bounced_bytes, timeouts;

    /* of the read in progress */
    struct ash_virtio_blk_done done[DISK_IN_FLIGHT_MAX];
    int done_count;
};

/*
 * Takes over the device behind regs, which must be a block device. On failure *reason says why.
 * -ASH_ENOMEM, and the errors of ash_virtio_mmio_probe and ash_virtio_blk_init.
 */
int disk_init(struct disk *disk, const struct ash_virtio_regs *regs, struct kernel_memory *memory,
              const char **reason) ASH_MUST_CHECK;

/*
 * Lends memory of the buddy, which the device can reach: reads of whole sectors into it make no
 * copy and keep many requests in flight. One piece; it must never be freed, and after a read into
 * it has failed its bytes may change at any time.
 */
void disk_lend(struct disk *disk, void *memory, size_t size_bytes);

/* The device's interrupt handler; the context is the disk. */
void disk_interrupt(void *context);

/*
 * Reads [offset, offset + len). -ASH_ERANGE: past the end; -ASH_EIO: the device says so, or broke
 * its protocol; -ASH_ETIMEDOUT. On an error the buffer's contents are undefined.
 */
int disk_read(struct disk *disk, uint64_t offset, void *buffer, size_t len) ASH_MUST_CHECK;

/* The disk as the bytes below a file system. */
struct byte_source disk_source(struct disk *disk);

/* The first broken invariant of the driver, or NULL. */
const char *disk_check(const struct disk *disk);

#endif
