/* SPDX-License-Identifier: MIT */
/*
 * mini_device.h: a small, correct virtio block device over a window of mmio registers, for cases
 * that run in both worlds. Written from the specification (VIRTIO 1.2), not from the driver: it
 * shares no struct with it. A test steps it: fetch takes one request from a ring, split or packed,
 * complete ends any one that was taken; its data moves then. What the driver does against the rules
 * is kept in `broken_rule`.
 *
 * Faults are fields and raw writes: the test decides what the device gets wrong.
 */
#ifndef MINI_DEVICE_H
#define MINI_DEVICE_H

#include <ashlar/virtio_mmio.h>

/* The device's addresses are the CPU's plus this, so that mixing them up is seen. */
#define MINI_DMA_OFFSET (UINT64_C(1) << 40)

#define MINI_ID "mini device no. 0001" /* what GET_ID reads: 20 bytes */

enum {
    MINI_QUEUES_MAX = 64,
    MINI_HELD_MAX = 256,
    MINI_DIRECT_MAX = 4, /* descriptors of a request that stand in the ring itself */
    MINI_CHAIN_MAX = 1024,
    MINI_STATUS_NONE = 0xfe,
    MINI_DISCARDED = 0xdd, /* what discarded bytes read as */
};

struct mini_desc {
    uint64_t address;
    uint32_t len;
    uint16_t flags, link; /* link: the next one of a split ring, the id of a packed one */
};

struct mini_queue {
    /* What the driver set. */
    uint32_t size, ready;
    uint64_t desc, driver, device;
    /* Split: requests taken and done. Packed: entries of the ring. */
    uint16_t avail_next, used_next;
    bool avail_lap, used_lap; /* the wrap counters, 2.8.1 */
    uint32_t notifications;
};

/* Fetched and not completed. A packed ring's entries may be overwritten meanwhile: kept here. */
struct mini_request {
    uint16_t queue, id;
    uint16_t count;
    struct mini_desc direct[MINI_DIRECT_MAX];
};

struct mini_device {
    /* Set by mini_device_init; a test may change them before the driver comes. */
    uint32_t magic, version, device_id, queue_size_max, queue_count;
    uint32_t last_queue_size_max; /* of the last queue; 0: as of the others */
    uint64_t features;            /* offered */
    uint64_t capacity_sectors;
    uint32_t size_max, seg_max, block_size;
    uint32_t discard_sectors_max, discard_seg_max, discard_align;
    uint32_t zeroes_sectors_max, zeroes_seg_max;
    uint8_t *image;             /* the disk; NULL: mini_device_byte, and writes fail */
    bool refuses_features;      /* FEATURES_OK does not stick */
    bool never_resets;          /* Status keeps what it had */
    bool queue_stays_ready;     /* a reset leaves QueueReady at 1 */
    bool queue_never_ready;     /* QueueReady stays 0 */
    bool dies_on_start;         /* DRIVER_OK brings NEEDS_RESET */
    uint32_t config_torn_reads; /* the generation changes under so many reads */
    uint8_t status_byte;        /* of the next completions; MINI_STATUS_NONE: not written */
    uint32_t used_len_less;     /* subtracted from the used len of the next completions */
    bool loses_interrupts, fails_flushes;

    /* What the driver set. */
    uint32_t status, device_sel, driver_sel, queue_sel;
    uint32_t interrupt_status, config_generation;
    uint64_t driver_features;
    uint64_t capacity_told; /* the largest that it read since the reset */
    struct mini_queue queues[MINI_QUEUES_MAX];

    uint32_t held_count;
    struct mini_request held[MINI_HELD_MAX]; /* oldest first */
    struct mini_desc chain[MINI_CHAIN_MAX];  /* of the request being served */

    /* For the test to read. */
    uint32_t notifications, interrupts, resets;
    uint32_t given_up;        /* times that the driver said FAILED */
    uint32_t flushes, unmaps; /* done; of the write-zeroes those that may unmap */
    uint32_t tables;          /* requests that came through an indirect table */
    const char *broken_rule;
};

void mini_device_init(struct mini_device *device, uint64_t capacity_sectors);
struct ash_virtio_regs mini_device_regs(struct mini_device *device);

/* Takes one request, from the first queue that has one; false: there is none. */
bool mini_device_fetch(struct mini_device *device);
/* Ends the index-th request held: data, status, used entry, interrupt if the driver wants one. */
void mini_device_complete(struct mini_device *device, uint32_t index);
/* All that there is, in order. */
void mini_device_run(struct mini_device *device);

/* Byte `offset` of a disk that nobody wrote to. */
uint8_t mini_device_byte(uint64_t offset);

/* For hostile cases, on queue 0: a used entry as it stands, and used.idx (split) one further. */
void mini_device_use(struct mini_device *device, uint32_t id, uint32_t len);
void mini_device_set_used_index(struct mini_device *device, uint16_t index);
void mini_device_interrupt(struct mini_device *device, uint32_t cause);
/* What the device's address names. */
void *mini_device_memory(uint64_t address);

/* Between the device's files. */

/* Keeps the first rule that was broken; true if this one was kept. */
bool mini_device_rule(struct mini_device *device, bool kept, const char *text);
/* Serves the request, 5.2.6: the bytes that the device says it wrote. */
uint32_t mini_device_serve(struct mini_device *device, const struct mini_request *request);
uint64_t mini_device_load(uint64_t address, uint32_t bytes);
void mini_device_store(uint64_t address, uint64_t value, uint32_t bytes);

#define MINI_DESC_NEXT     1u
#define MINI_DESC_WRITE    2u
#define MINI_DESC_INDIRECT 4u

#endif
