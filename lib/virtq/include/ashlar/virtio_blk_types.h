/* SPDX-License-Identifier: MIT */
/* virtio_blk_types.h: what the calls of <ashlar/virtio_blk.h> take and give. */
#ifndef ASHLAR_VIRTIO_BLK_TYPES_H
#define ASHLAR_VIRTIO_BLK_TYPES_H

#include <ashlar/dma.h>
#include <ashlar/virtio.h>
#include <ashlar/virtq.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_VIRTIO_BLK_SECTOR_SIZE 512u /* the unit of `sector` and of the capacity, always */
#define ASH_VIRTIO_BLK_ID_BYTES    20u  /* of GET_ID; not terminated where all are used */

/* Limits and defaults */
#define ASH_VIRTIO_BLK_QUEUE_SIZE_DEFAULT    256u
#define ASH_VIRTIO_BLK_IN_FLIGHT_MAX_DEFAULT 32u
#define ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT  16u
#define ASH_VIRTIO_BLK_ALIGN_DEFAULT         4u
#define ASH_VIRTIO_BLK_QUEUES_MAX            64u
#define ASH_VIRTIO_BLK_MEMORY_ALIGN          64u
#define ASH_VIRTIO_BLK_REQUEST_BYTES_MAX     (UINT32_C(1) << 30)

/* Feature bits, 5.2.3 */
#define ASH_VIRTIO_BLK_F_SIZE_MAX     (UINT64_C(1) << 1)
#define ASH_VIRTIO_BLK_F_SEG_MAX      (UINT64_C(1) << 2)
#define ASH_VIRTIO_BLK_F_RO           (UINT64_C(1) << 5)
#define ASH_VIRTIO_BLK_F_BLK_SIZE     (UINT64_C(1) << 6)
#define ASH_VIRTIO_BLK_F_FLUSH        (UINT64_C(1) << 9)
#define ASH_VIRTIO_BLK_F_MQ           (UINT64_C(1) << 12)
#define ASH_VIRTIO_BLK_F_DISCARD      (UINT64_C(1) << 13)
#define ASH_VIRTIO_BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

/* Features that may be declined by a configuration. */
#define ASH_VIRTIO_BLK_DECLINABLE                                                     \
    (ASH_VIRTIO_F_INDIRECT_DESC | ASH_VIRTIO_F_EVENT_IDX | ASH_VIRTIO_F_RING_PACKED | \
     ASH_VIRTIO_BLK_F_MQ)

struct ash_virtio_blk_config {
    /* A probed device; stays with the driver until fini. */
    struct ash_virtio_transport *transport;
    /* Ring entries: a power of two, 4..1024; 0 for the default. The device may lower it. */
    uint32_t queue_size;
    /* Requests of a queue at the same time, at most queue_size / 4; 0 for the default or what fits.
     * A device with a smaller queue lowers it. */
    uint32_t in_flight_max;
    /* Data segments of a request, 1..queue_size - 2; 0 for the default or what fits. The device may
     * lower it; more than one need INDIRECT_DESC. Each costs 32 bytes a request in flight. */
    uint32_t segments_max;
    /* Queues, 1..ASH_VIRTIO_BLK_QUEUES_MAX; 0 for 1. The device may have fewer. */
    uint32_t queue_count;
    /* What a segment's address is a multiple of: a power of two; 0 for the default. */
    uint32_t align_bytes;
    /* Features not to be accepted, of ASH_VIRTIO_BLK_DECLINABLE. */
    uint64_t features_declined;
};

/* Both aligned to ASH_VIRTIO_BLK_MEMORY_ALIGN. The device never needs to reach storage, and the
 * driver never trusts what it reads from dma. */
struct ash_virtio_blk_memory {
    void *storage;
    size_t storage_bytes;
    struct ash_virtq_dma dma;
};

enum ash_virtio_blk_op {
    ASH_VIRTIO_BLK_READ,
    ASH_VIRTIO_BLK_WRITE,
    ASH_VIRTIO_BLK_FLUSH,        /* no data: all that was completed before is safe afterwards */
    ASH_VIRTIO_BLK_DISCARD,      /* no data: sector_count sectors need not be kept */
    ASH_VIRTIO_BLK_WRITE_ZEROES, /* no data */
    ASH_VIRTIO_BLK_GET_ID,       /* one segment of ASH_VIRTIO_BLK_ID_BYTES; no sector */
    ASH_VIRTIO_BLK_OPS
};

struct ash_virtio_blk_request {
    enum ash_virtio_blk_op op;
    uint32_t segment_count;
    uint64_t sector; /* of 512 bytes, whatever the block size */
    /* The data, in this order: read or written where it lies. */
    const struct ash_dma_segment *segments;
    /* Or one buffer, all of it, segment_count 0: given to the device here, taken back by reap. */
    struct ash_dma_buffer *buffer;
    ash_ns_t deadline_ns;  /* for ash_virtio_blk_watch; 0: none */
    void *cookie;          /* comes back with the completion */
    uint32_t sector_count; /* DISCARD, WRITE_ZEROES */
    bool may_unmap;        /* WRITE_ZEROES: the device may give the space back */
};

/* What came back, in the order in which the device finished. */
struct ash_virtio_blk_done {
    void *cookie;
    uint32_t token;
    int status; /* 0; -ASH_EIO: the device failed, or a reset; -ASH_ENOTSUP: it cannot do this */
    uint32_t bytes; /* put into the segments: all that was asked, or 0 */
};

enum ash_virtio_blk_policy {
    ASH_VIRTIO_BLK_POLL,      /* may_sleep is never true; no interrupts */
    ASH_VIRTIO_BLK_INTERRUPT, /* at the next completion */
    ASH_VIRTIO_BLK_DELAYED, /* at the amount-th one, all in flight at the latest; 0: 3/4 of them */
    ASH_VIRTIO_BLK_HYBRID,  /* polls `amount` times in a row for nothing, then as INTERRUPT */
};

enum ash_virtio_blk_after_reset { ASH_VIRTIO_BLK_FAIL, ASH_VIRTIO_BLK_RESUBMIT };

struct ash_virtio_blk_counters {
    uint64_t requests[ASH_VIRTIO_BLK_OPS], bytes; /* queued */
    uint64_t scattered;                           /* of these, through an indirect table */
    uint64_t kicks;                               /* notifications written, not calls */
    uint64_t completions; /* that the device made, with an error or without */
    uint64_t errors;      /* completions with a status other than 0 */
    uint64_t aborted;     /* failed by a reset */
    uint64_t resubmitted; /* queued again by a reset */
    uint64_t interrupts;  /* that were this device's */
    uint64_t resets;
};

struct ash__virtio_blk_line;

/* Private. */
struct ash_virtio_blk_queue {
    struct ash_virtq ring;
    struct ash_virtio_blk *blk;
    struct ash__virtio_blk_line *lines; /* the device's too: header and status of each slot */
    ash_paddr_t lines_address;
    struct ash_dma_segment *segments; /* of scattered ones, segments_max a slot */
    uint32_t index;
    uint32_t policy, policy_amount, empty_reaps;
    bool is_armed; /* by a flag, which stays until it is taken back */
    struct {
        uint64_t requests[ASH_VIRTIO_BLK_OPS], bytes, scattered, kicks, resubmitted;
    } submitted; /* the producer's counters */
    struct {
        uint64_t completions, errors, aborted;
    } reaped /* the reaper's */ __attribute__((aligned(ASH_VIRTIO_BLK_MEMORY_ALIGN)));
};

/* Public for sizeof; fields private but the first block, constant between init and reset but for
 * capacity_sectors. */
struct ash_virtio_blk {
    uint64_t capacity_sectors;
    uint64_t features;          /* accepted */
    uint32_t block_size_bytes;  /* of the device: sector and length of a request are multiples */
    uint32_t request_bytes_max; /* a multiple of block_size_bytes */
    uint32_t segment_bytes_max;
    uint32_t segments_max;
    uint32_t discard_sectors_max, discard_align_sectors; /* 0: not offered */
    uint32_t write_zeroes_sectors_max;
    uint32_t queue_count, queue_size;
    uint32_t in_flight_max; /* of each queue */
    bool read_only;

    struct ash_virtio_blk_config config;
    struct ash_virtio_blk_memory memory;
    struct ash_virtio_blk_queue *queues;
    const char *reason;
    uint32_t align_mask, block_mask; /* align_bytes, block_size_bytes less 1 */
    uint32_t plain_op_max;           /* READ, or WRITE where that is allowed */
    uint32_t slot_segments;          /* that each slot has place for; 1: in the slot itself */
    uint32_t config_changed;
    uint64_t interrupts, resets;
};

#ifdef __cplusplus
}
#endif

#endif
