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
    uint8_t status; /* written by the device, read once */
    uint8_t pad[15];
    uint64_t type; /* virtio_blk_req, 5.2.6: 32 bits of it, the rest is reserved and 0 */
    uint64_t sector;
    uint64_t range_sector; /* virtio_blk_discard_write_zeroes */
    uint32_t range_sectors;
    uint32_t range_flags;
    uint8_t pad_to_line[16];
};
_Static_assert(sizeof(struct ash__virtio_blk_line) == 64, "a line per slot");

enum {
    STATUS_AT = offsetof(struct ash__virtio_blk_line, status),
    STATUS_BYTES = 1,
    HEADER_AT = offsetof(struct ash__virtio_blk_line, type),
    RANGE_AT = offsetof(struct ash__virtio_blk_line, range_sector),
    HEADER_BYTES = RANGE_AT - HEADER_AT,
    RANGE_BYTES = offsetof(struct ash__virtio_blk_line, pad_to_line) - RANGE_AT,
    NOT_WRITTEN = 0xff, /* no status of 5.2.6 */
};
_Static_assert(HEADER_BYTES == 16, "virtio_blk_req, 5.2.6");
_Static_assert(RANGE_BYTES == 16, "virtio_blk_discard_write_zeroes, 5.2.6");

/*
 * The request as it was asked for, in the owner's words of its slot: what the device has of it is
 * not to be read again. WHERE: the address of the only segment, or the pointer to the buffer;
 * scattered ones are in the queue's `segments`. WHAT: the bytes of its data or the sectors of its
 * range, and above, the number of segments (16 bits), the operation and flags (8 bits each).
 */
enum { DEADLINE, SECTOR, WHERE, WHAT, OWNER_WORDS };
_Static_assert(OWNER_WORDS == ASH_VIRTQ_OWNER_WORDS, "there is a word for each");

enum { COUNT_AT = 32, OP_AT = 48, FLAGS_AT = 56 };
enum { MAY_UNMAP = 1, HAS_BUFFER = 2 };

static inline uint32_t length_of(const struct ash_virtq_slot *own) {
    return (uint32_t)own->owner[WHAT];
}
static inline uint32_t count_of(const struct ash_virtq_slot *own) {
    return own->owner[WHAT] >> COUNT_AT & UINT16_MAX;
}
static inline enum ash_virtio_blk_op op_of(const struct ash_virtq_slot *own) {
    return (enum ash_virtio_blk_op)(own->owner[WHAT] >> OP_AT & UINT8_MAX);
}
static inline bool has_flag(const struct ash_virtq_slot *own, uint32_t flag) {
    return (own->owner[WHAT] >> FLAGS_AT & flag) != 0;
}
static inline struct ash_dma_buffer *buffer_of(const struct ash_virtq_slot *own) {
    return has_flag(own, HAS_BUFFER) ? (struct ash_dma_buffer *)(uintptr_t)own->owner[WHERE] : NULL;
}

/* Queues a request of any kind, or says why not; the queue is not broken. */
int ash__virtio_blk_submit_any(struct ash_virtio_blk_queue *queue,
                               const struct ash_virtio_blk_request *request, uint32_t *token);

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
