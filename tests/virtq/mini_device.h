/* SPDX-License-Identifier: MIT */
/*
 * mini_device.h: a small, correct virtio block device over a window of mmio registers, for cases
 * that run in both worlds. Written from the specification (VIRTIO 1.2), not from the driver: it
 * shares no struct with it. A test steps it: fetch takes one request from the avail ring, complete
 * ends any one that was taken. What the driver does against the rules is kept in `broken_rule`.
 *
 * Faults are fields and raw writes: the test decides what the device gets wrong.
 */
#ifndef MINI_DEVICE_H
#define MINI_DEVICE_H

#include <ashlar/virtio_mmio.h>

/* The device's addresses are the CPU's plus this, so that mixing them up is seen. */
#define MINI_DMA_OFFSET (UINT64_C(1) << 40)

enum { MINI_HELD_MAX = 1024 };

struct mini_device {
    /* Set by mini_device_init; a test may change them before the driver comes. */
    uint32_t magic, version, device_id, queue_size_max;
    uint64_t features; /* offered */
    uint64_t capacity_sectors;
    uint32_t size_max, seg_max, block_size;
    bool refuses_features;      /* FEATURES_OK does not stick */
    bool never_resets;          /* Status keeps what it had */
    bool queue_stays_ready;     /* a reset leaves QueueReady at 1 */
    bool queue_never_ready;     /* QueueReady stays 0 */
    bool dies_on_start;         /* DRIVER_OK brings NEEDS_RESET */
    uint32_t config_torn_reads; /* the generation changes under so many reads */
    uint8_t status_byte;        /* of the next completions; MINI_STATUS_NONE: not written */
    uint32_t used_len_less;     /* subtracted from the used len of the next completions */
    bool loses_interrupts;

    /* What the driver set. */
    uint32_t status, device_sel, driver_sel, queue_sel, queue_num, queue_ready;
    uint32_t interrupt_status, config_generation;
    uint64_t driver_features, desc, avail, used;

    /* The ring as the device runs it. */
    uint16_t avail_next, used_index;
    uint32_t held_count;
    uint16_t held[MINI_HELD_MAX]; /* heads, fetched and not completed, oldest first */

    /* For the test to read. */
    uint32_t notifications, interrupts, resets;
    const char *broken_rule;
};

#define MINI_STATUS_NONE 0xfeu

void mini_device_init(struct mini_device *device, uint64_t capacity_sectors);
struct ash_virtio_regs mini_device_regs(struct mini_device *device);

/* Takes one request from the avail ring; false: there is none. */
bool mini_device_fetch(struct mini_device *device);
/* Ends the index-th request held: data, status, used entry, interrupt if the driver wants one. */
void mini_device_complete(struct mini_device *device, uint32_t index);
/* All that there is, in order. */
void mini_device_run(struct mini_device *device);

/* Byte `offset` of the disk. */
uint8_t mini_device_byte(uint64_t offset);

/* For hostile cases: a used entry as it stands, then used.idx one further. */
void mini_device_use(struct mini_device *device, uint32_t id, uint32_t len);
void mini_device_set_used_index(struct mini_device *device, uint16_t index);
void mini_device_interrupt(struct mini_device *device, uint32_t cause);

#endif
