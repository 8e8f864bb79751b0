/* SPDX-License-Identifier: MIT */
/* virtio_blk_internal.h: a slot's memory, the device's and the driver's own; shared by set-up,
 * requests and recovery. */
#ifndef ASHLAR_VIRTIO_BLK_INTERNAL_H
#define ASHLAR_VIRTIO_BLK_INTERNAL_H

#include <ashlar/virtio_blk.h>

/* A slot's chain, 5.2.6: header (device reads), data or range, status (device writes). A flush has
 * neither and begins at DATA, which then describes the header. */
enum { HEADER = 0, DATA = 1, STATUS = 2, CHAIN = 3 };

/* That, with or without the way to a table, as the ring lays it out. */
enum { CHAIN_SHIFT = 2 };

/* What the device sees of a slot. Little-endian; written for each request. */
struct ash__virtio_blk_line {
    uint32_t type; /* virtio_blk_req, 5.2.6 */
    uint32_t reserved;
    uint64_t sector;
    uint64_t range_sector; /* virtio_blk_discard_write_zeroes */
    uint32_t range_sectors;
    uint32_t range_flags;
    uint8_t status; /* written by the device, read once */
    uint8_t pad[31];
};
_Static_assert(sizeof(struct ash__virtio_blk_line) == 64, "a line per slot");
_Static_assert(offsetof(struct ash__virtio_blk_line, sector) == 8, "virtio_blk_req, 5.2.6");

enum {
    HEADER_BYTES = offsetof(struct ash__virtio_blk_line, range_sector),
    RANGE_AT = HEADER_BYTES,
    RANGE_BYTES = offsetof(struct ash__virtio_blk_line, status) - RANGE_AT,
    STATUS_AT = offsetof(struct ash__virtio_blk_line, status),
    STATUS_BYTES = 1,
};
_Static_assert(HEADER_BYTES == 16, "virtio_blk_req, 5.2.6");
_Static_assert(RANGE_BYTES == 16, "virtio_blk_discard_write_zeroes, 5.2.6");

/* The request as it was asked for: what the device has of it is not to be read again. */
struct ash__virtio_blk_slot {
    ash_ns_t deadline_ns;
    uint32_t bytes, sector_count;
    uint64_t sector;
    uint16_t segment_count;
    uint8_t op;
    bool may_unmap;
    ash_paddr_t address; /* of the only segment; scattered ones have theirs in the queue's */
    struct ash_dma_buffer *buffer;
    uint64_t pad[2]; /* to the size of a line, so that one index finds both */
};
_Static_assert(sizeof(struct ash__virtio_blk_slot) == 64, "as large as a line");

/* Queues what stands in the own copy of an aborted slot again; false: the device does not take it
 * any more. */
bool ash__virtio_blk_resubmit(struct ash_virtio_blk_queue *queue, uint32_t slot);

/* Set-up: virtio_blk_setup.c. fail keeps the reason and returns the error; abandon leaves a device
 * that could not be set up reset; start_again sets the queues up after ash_virtio_begin. */
int ash__virtio_blk_fail(struct ash_virtio_blk *blk, int error, const char *reason);
int ash__virtio_blk_abandon(struct ash_virtio_blk *blk, int error);
int ash__virtio_blk_start_again(struct ash_virtio_blk *blk);
int ash__virtio_blk_read_capacity(struct ash_virtio_blk *blk);
void ash__virtio_blk_stop(struct ash_virtio_blk *blk);

/* The address of the slot's line. */
static inline ash_paddr_t line_address(const struct ash_virtio_blk_queue *queue, uint32_t slot) {
    return queue->lines_address + slot * sizeof(struct ash__virtio_blk_line);
}

#endif
