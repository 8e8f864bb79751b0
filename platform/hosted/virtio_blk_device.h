/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk_device.h: the block device type of the fake virtio device (virtio 1.2, 5.2): read,
 * write, flush, get-id, and discard and write-zeroes where they are offered.
 *
 * Rules
 *  - A block is 512 bytes whatever blk_size says. A backing whose size is no multiple of 512 is
 *    padded with zeros up to the next sector: reads only, a write there is an I/O error.
 *  - A request that breaks a rule of 5.2.6 is recorded, and answered with IOERR where there is a
 *    status byte to write to.
 *  - A write is stable when it is done if the driver accepted neither FLUSH nor CONFIG_WCE, or
 *    while its writeback field is 0; then the backing is flushed after each write. Otherwise a
 *    flush does that (5.2.6.2). virtio_blk_cache.h is a backing that shows the difference.
 *  - Discard keeps the data: a driver that expects zeros is found out.
 *  - used.len counts the bytes written from the start of the writable part without a gap: a failed
 *    read has 1 only if the status byte is all there is.
 */
#ifndef ASHLAR_HOSTED_VIRTIO_BLK_DEVICE_H
#define ASHLAR_HOSTED_VIRTIO_BLK_DEVICE_H

#include "hosted/virtio_engine.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAKE_VIRTIO_BLK_F_SIZE_MAX     (UINT64_C(1) << 1)
#define FAKE_VIRTIO_BLK_F_SEG_MAX      (UINT64_C(1) << 2)
#define FAKE_VIRTIO_BLK_F_RO           (UINT64_C(1) << 5)
#define FAKE_VIRTIO_BLK_F_BLK_SIZE     (UINT64_C(1) << 6)
#define FAKE_VIRTIO_BLK_F_FLUSH        (UINT64_C(1) << 9)
#define FAKE_VIRTIO_BLK_F_CONFIG_WCE   (UINT64_C(1) << 11)
#define FAKE_VIRTIO_BLK_F_MQ           (UINT64_C(1) << 12)
#define FAKE_VIRTIO_BLK_F_DISCARD      (UINT64_C(1) << 13)
#define FAKE_VIRTIO_BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

enum { FAKE_VIRTIO_BLK_SECTOR_BYTES = 512, FAKE_VIRTIO_BLK_ID_BYTES = 20 };

/* Where the bytes are. Calls stay inside size_bytes; each returns 0 or a negative ASH_E*. */
struct fake_virtio_blk_backing {
    uint64_t size_bytes;
    int (*read)(void *context, uint64_t offset, void *bytes, uint64_t len);
    int (*write)(void *context, uint64_t offset, const void *bytes, uint64_t len); /* NULL: none */
    int (*flush)(void *context);                                                   /* may be NULL */
    void *context;
};

struct fake_virtio_blk_config {
    struct fake_virtio_blk_backing backing;
    bool read_only;            /* offers RO; also without backing.write */
    uint64_t features_without; /* not to be offered, of those below and of every device's */
    uint64_t
        features_with; /* offered only on request: DISCARD, WRITE_ZEROES, CONFIG_WCE (with FLUSH
                               alone), RING_PACKED */
    uint32_t queue_size_max;    /* 0: 256 */
    uint32_t queue_count;       /* 0: 1; more offers MQ */
    uint32_t seg_max, size_max; /* 0: queue size - 2; 1 MiB */
    uint32_t blk_size;          /* 0: 512 */
    /* 0: 65536 sectors in a range, 16 ranges in a request, 1 */
    uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
    uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
    bool write_zeroes_may_unmap;
    const char *id; /* up to 20 bytes; NULL: "ashlar" */
};

struct fake_virtio_blk {
    struct fake_virtio device;
    struct fake_virtio_blk_config config;
    uint64_t capacity_sectors; /* as the configuration space says */
    uint64_t capacity_known;   /* the most that the driver may believe in: a smaller one is news */
    uint8_t id[FAKE_VIRTIO_BLK_ID_BYTES];
    uint64_t reads, writes, flushes, discards, zeroings;
    uint64_t discards_unaligned; /* ranges that ignore discard_sector_alignment: legal */
    uint8_t bounce[4096];        /* whole sectors on their way; segments may be cut anywhere */
};

/* Offers by itself: VERSION_1, INDIRECT_DESC, EVENT_IDX, SIZE_MAX, SEG_MAX, BLK_SIZE, FLUSH, and RO
 * or MQ as configured. */
void fake_virtio_blk_init(struct fake_virtio_blk *blk, const struct fake_virtio_blk_config *config,
                          struct guest_memory *memory);

/* Announces another capacity; the backing stays as large as it is. Requests past it fail, and break
 * a rule only if they are past the larger one too: the driver may not have heard of it yet. */
void fake_virtio_blk_resize(struct fake_virtio_blk *blk, uint64_t sectors);

/* A backing of plain memory; `bytes` stays the caller's. */
struct fake_virtio_blk_memory {
    uint8_t *bytes;
    uint64_t size_bytes;
};
struct fake_virtio_blk_backing fake_virtio_blk_memory(struct fake_virtio_blk_memory *memory);

/* A backing of a regular file or block device. */
struct fake_virtio_blk_file {
    int fd;
};
/* may_write: for writing too, where that is permitted; else it has no write. 0, -ASH_EISDIR for a
 * directory, -ENOTBLK for what else has no size, or errno's value negated. */
int fake_virtio_blk_file_open(struct fake_virtio_blk_file *file, const char *path, bool may_write,
                              struct fake_virtio_blk_backing *backing) ASH_MUST_CHECK;
void fake_virtio_blk_file_close(struct fake_virtio_blk_file *file);

#ifdef __cplusplus
}
#endif

#endif
