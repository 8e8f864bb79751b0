/* SPDX-License-Identifier: MIT */
/*
 * ring_device.h: the other end of one virtqueue, split or packed, as naive as it can be: for cases
 * of the ring alone. Written from VIRTIO 1.2, 2.7 and 2.8, not from the driver: it shares no struct
 * with it, reads the shared memory byte by byte and steps where the driver calculates.
 *
 * What the driver does against the rules fails the case. Data is never touched: its addresses are
 * numbers. ring_device_put and ring_device_get are there for lies.
 */
#ifndef RING_DEVICE_H
#define RING_DEVICE_H

#include <ashlar/virtq.h>

#include "harness/test.h"

enum { RING_SEGMENTS_MAX = 20 };

struct ring_segment {
    uint64_t address;
    uint32_t len;
    bool device_writes;
};

/* A request as it stood in the ring. */
struct ring_request {
    uint16_t id;      /* split: its head; packed: its buffer id */
    uint16_t entries; /* of a packed ring */
    bool is_table;
    uint32_t segment_count;
    struct ring_segment segments[RING_SEGMENTS_MAX];
};

struct ring_device {
    uint8_t *memory;
    uint64_t base, bytes; /* of the memory, as the device sees it */
    uint64_t desc, driver, device;
    uint32_t size;
    bool packed, event_idx;
    /* Split: indices, modulo 2^16. Packed: entries, and the wrap counter of each. */
    uint16_t avail_next, used_next, signalled;
    bool avail_wrap, used_wrap, signalled_wrap;
    uint32_t unsignalled; /* entries used since the driver's wish was looked at */
    /* Fetched and not completed, in the order of the ring. */
    uint32_t held_count, held_max;
    struct ring_request *held;
};

/* From test_alloc. */
void ring_device_init(struct ring_device *device, const struct ash_virtq *queue);
/* As after a reset: it knows nothing but where the areas are. */
void ring_device_reset(struct ring_device *device, const struct ash_virtq *queue);

/* Takes the next request that is available; false: none is. */
bool ring_device_fetch(struct ring_device *device);
/* All that are available: how many. */
uint32_t ring_device_fetch_all(struct ring_device *device);
/* Ends the index-th held one. */
void ring_device_complete(struct ring_device *device, uint32_t index, uint32_t len);
/* Does the driver want an interrupt for what was completed since the last call? 2.7.7, 2.8.10 */
bool ring_device_wants_interrupt(struct ring_device *device);

/* A notification for what comes after what was fetched; or for nothing, as far as the format has
 * it. */
void ring_device_ask(struct ring_device *device);
void ring_device_ask_not(struct ring_device *device);

/* A little-endian value of 1 to 8 bytes. */
uint64_t ring_device_get(const struct ring_device *device, uint64_t address, uint32_t width);
void ring_device_put(struct ring_device *device, uint64_t address, uint32_t width, uint64_t value);

/* The used ring of a split queue, as it stands; the flags and the rest of a packed entry. */
void ring_device_put_used(struct ring_device *device, uint16_t index, uint32_t id, uint32_t len);
void ring_device_put_used_index(struct ring_device *device, uint16_t index);
void ring_device_put_entry(struct ring_device *device, uint32_t position, uint16_t id, uint32_t len,
                           uint16_t flags);
/* The event words that the driver reads. */
void ring_device_put_avail_event(struct ring_device *device, uint16_t index);
void ring_device_put_event(struct ring_device *device, uint16_t off_wrap, uint16_t flags);

#endif
