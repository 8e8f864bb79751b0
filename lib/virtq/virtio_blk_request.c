/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk_request.c: any request: whether it may be asked for, the driver's copy of it, and its
 * slot described from that. What never changes of a slot's descriptors is written at set-up. VIRTIO
 * 1.2, 5.2.6.
 */
#include <ashlar/checked.h>

#include "virtio_blk_internal.h"

/* 5.2.6 */
enum {
    TYPE_IN = 0,
    TYPE_OUT = 1,
    TYPE_FLUSH = 4,
    TYPE_GET_ID = 8,
    TYPE_DISCARD = 11,
    TYPE_WRITE_ZEROES = 13,
    RANGE_UNMAP = 1,
};

_Static_assert((int)ASH_VIRTIO_BLK_READ == TYPE_IN && (int)ASH_VIRTIO_BLK_WRITE == TYPE_OUT,
               "a plain request's type is its operation");

static const uint8_t types[] = {
    [ASH_VIRTIO_BLK_READ] = TYPE_IN,       [ASH_VIRTIO_BLK_WRITE] = TYPE_OUT,
    [ASH_VIRTIO_BLK_FLUSH] = TYPE_FLUSH,   [ASH_VIRTIO_BLK_DISCARD] = TYPE_DISCARD,
    [ASH_VIRTIO_BLK_GET_ID] = TYPE_GET_ID, [ASH_VIRTIO_BLK_WRITE_ZEROES] = TYPE_WRITE_ZEROES,
};
_Static_assert(ASH_ARRAY_LEN(types) == ASH_VIRTIO_BLK_OPS, "a type for each operation");

/* What may be asked for */

static int check_segment(const struct ash_virtio_blk *blk, const struct ash_dma_segment *segment) {
    uint32_t len = segment->len_bytes;
    if (len == 0 || len > blk->segment_bytes_max || segment->address > UINT64_MAX - len ||
        (segment->address & blk->align_mask) != 0)
        return -ASH_EINVAL;
    return 0;
}

/* The data segments; *bytes is their sum. */
static int check_segments(const struct ash_virtio_blk *blk, const struct ash_dma_segment *segments,
                          uint32_t count, uint32_t *bytes) {
    uint64_t sum = 0;
    if (count > blk->segments_max)
        return -ASH_E2BIG;
    for (uint32_t left = count; left != 0; left--, segments++) {
        int error = check_segment(blk, segments);
        if (error != 0)
            return error;
        sum += segments->len_bytes;
    }
    if (sum > blk->request_bytes_max)
        return -ASH_E2BIG;
    *bytes = (uint32_t)sum;
    return 0;
}

/* Whole blocks, inside the device. */
static int check_sectors(const struct ash_virtio_blk *blk, uint64_t sector, uint64_t count) {
    uint64_t block_sectors = blk->block_size_bytes / ASH_VIRTIO_BLK_SECTOR_SIZE;
    if (count == 0 || ((sector | count) & (block_sectors - 1)) != 0)
        return -ASH_EINVAL;
    return ash_range_fits(sector, count, ash_load_relaxed(&blk->capacity_sectors)) ? 0
                                                                                   : -ASH_ERANGE;
}

static int check_transfer(const struct ash_virtio_blk *blk,
                          const struct ash_virtio_blk_request *request, uint32_t bytes) {
    if ((bytes & (ASH_VIRTIO_BLK_SECTOR_SIZE - 1)) != 0)
        return -ASH_EINVAL;
    if (request->op == ASH_VIRTIO_BLK_WRITE && blk->read_only)
        return -ASH_EROFS;
    return check_sectors(blk, request->sector, bytes / ASH_VIRTIO_BLK_SECTOR_SIZE);
}

static int check_range(const struct ash_virtio_blk *blk,
                       const struct ash_virtio_blk_request *request, uint32_t sectors_max) {
    if (sectors_max == 0)
        return -ASH_ENOTSUP;
    if (blk->read_only)
        return -ASH_EROFS;
    if (request->sector_count > sectors_max)
        return -ASH_E2BIG;
    return check_sectors(blk, request->sector, request->sector_count);
}

/* All but reading and writing. */
static int check_other(const struct ash_virtio_blk *blk,
                       const struct ash_virtio_blk_request *request, uint32_t bytes) {
    bool has_data = bytes != 0;
    if (has_data != (request->op == ASH_VIRTIO_BLK_GET_ID))
        return -ASH_EINVAL;
    switch (request->op) {
    case ASH_VIRTIO_BLK_FLUSH:
        return (blk->features & ASH_VIRTIO_BLK_F_FLUSH) != 0 ? 0 : -ASH_ENOTSUP;
    case ASH_VIRTIO_BLK_DISCARD:
        return check_range(blk, request, blk->discard_sectors_max);
    case ASH_VIRTIO_BLK_WRITE_ZEROES:
        return check_range(blk, request, blk->write_zeroes_sectors_max);
    case ASH_VIRTIO_BLK_GET_ID:
        return bytes == ASH_VIRTIO_BLK_ID_BYTES && request->segment_count <= 1 ? 0 : -ASH_EINVAL;
    default:
        return -ASH_EINVAL;
    }
}

/* 0, and the bytes of its data; or why it is refused. */
static int check_request(const struct ash_virtio_blk *blk,
                         const struct ash_virtio_blk_request *request,
                         const struct ash_dma_segment *segments, uint32_t count, uint32_t *bytes) {
    int error = check_segments(blk, segments, count, bytes);
    if (error != 0)
        return error;
    return request->op <= ASH_VIRTIO_BLK_WRITE ? check_transfer(blk, request, *bytes)
                                               : check_other(blk, request, *bytes);
}

/* Describing */

static struct ash_dma_segment *segments_of(const struct ash_virtio_blk_queue *queue,
                                           uint32_t slot) {
    return &queue->segments[slot * queue->blk->slot_segments];
}

/* Header, segments, status through the slot's table. */
static uint32_t describe_scattered(struct ash_virtio_blk_queue *queue, uint32_t slot,
                                   bool device_writes) {
    const struct ash_dma_segment *segments = segments_of(queue, slot);
    uint32_t count = count_of(&queue->ring.slots[slot]), entries = count + 2;
    struct ash_virtq_desc *desc = &queue->ring.tables[slot * queue->ring.table + DATA];
    uint32_t flags = device_writes ? ASH_VIRTQ_DESC_WRITE : 0u;
    /* The format is looked at once, not for each. */
    if (queue->ring.shape.packed) {
        for (uint32_t i = 0; i < count; i++)
            ash__virtq_fill(&desc[i], segments[i].address, segments[i].len_bytes, flags, 0, 0,
                            true);
    } else {
        for (uint32_t i = 0; i < count; i++)
            ash__virtq_fill(&desc[i], segments[i].address, segments[i].len_bytes, flags, DATA + i,
                            UINT32_MAX, false);
    }
    ash_virtq_describe_table(&queue->ring, slot, entries - 1, entries,
                             line_address(queue, slot) + STATUS_AT, STATUS_BYTES, true);
    return entries;
}

static void describe_range(struct ash_virtio_blk_queue *queue, uint32_t slot) {
    const struct ash_virtq_slot *own = &queue->ring.slots[slot];
    struct ash__virtio_blk_line *line = &queue->lines[slot];
    line->sector = 0;
    line->range_sector = ASH_VIRTQ_LE64(own->owner[SECTOR]);
    line->range_sectors = ASH_VIRTQ_LE32(length_of(own));
    line->range_flags = ASH_VIRTQ_LE32((uint32_t)(has_flag(own, MAY_UNMAP) ? RANGE_UNMAP : 0));
    ash_virtq_describe(&queue->ring, slot, DATA, line_address(queue, slot) + RANGE_AT, RANGE_BYTES,
                       false);
}

static bool is_written_by_device(const struct ash_virtq_slot *own) {
    return op_of(own) == ASH_VIRTIO_BLK_READ || op_of(own) == ASH_VIRTIO_BLK_GET_ID;
}

static uint32_t writable_bytes(const struct ash_virtq_slot *own) {
    return STATUS_BYTES + (is_written_by_device(own) ? length_of(own) : 0);
}

/* The only segment. */
static struct ash_dma_segment segment_of(const struct ash_virtq_slot *own) {
    const struct ash_dma_buffer *buffer = buffer_of(own);
    struct ash_dma_segment segment = {buffer != NULL ? buffer->address : own->owner[WHERE],
                                      length_of(own)};
    return segment;
}

/* Where its chain begins. */
static uint32_t first_of(const struct ash_virtq_slot *own) {
    return op_of(own) == ASH_VIRTIO_BLK_FLUSH ? DATA : HEADER;
}

/* Fills in the slot's line and descriptors from its own copy: the entries of its table, or 0 where
 * its chain is enough. */
static uint32_t describe(struct ash_virtio_blk_queue *queue, uint32_t slot) {
    const struct ash_virtq_slot *own = &queue->ring.slots[slot];
    struct ash__virtio_blk_line *line = &queue->lines[slot];
    line->type = ASH_VIRTQ_LE64((uint64_t)types[op_of(own)]);
    line->sector = ASH_VIRTQ_LE64(own->owner[SECTOR]);
    line->status = NOT_WRITTEN;
    if (count_of(own) == 1) {
        struct ash_dma_segment segment = segment_of(own);
        ash_virtq_describe(&queue->ring, slot, DATA, segment.address, segment.len_bytes,
                           is_written_by_device(own));
    } else if (count_of(own) != 0) {
        return describe_scattered(queue, slot, is_written_by_device(own));
    } else if (op_of(own) == ASH_VIRTIO_BLK_FLUSH) {
        ash_virtq_describe(&queue->ring, slot, DATA, line_address(queue, slot) + HEADER_AT,
                           HEADER_BYTES, false);
    } else {
        describe_range(queue, slot);
    }
    return 0;
}

/* Would it be taken today? The device may have come back smaller, or with fewer features. */
static bool is_taken(const struct ash_virtio_blk_queue *queue, uint32_t slot) {
    const struct ash_virtq_slot *own = &queue->ring.slots[slot];
    const struct ash_virtio_blk_request request = {.op = op_of(own),
                                                   .segment_count = count_of(own),
                                                   .sector = own->owner[SECTOR],
                                                   .sector_count = length_of(own)};
    const struct ash_dma_segment only = segment_of(own);
    uint32_t bytes;
    return check_request(queue->blk, &request,
                         count_of(own) == 1 ? &only : segments_of(queue, slot), count_of(own),
                         &bytes) == 0;
}

bool ash__virtio_blk_resubmit(struct ash_virtio_blk_queue *queue, uint32_t slot) {
    if (!is_taken(queue, slot))
        return false;
    uint32_t entries = describe(queue, slot);
    if (entries == 0)
        ash_virtq_resubmit(&queue->ring, slot, first_of(&queue->ring.slots[slot]));
    else
        ash_virtq_resubmit_table(&queue->ring, slot, entries);
    return true;
}

/* The driver's own copy. */
static void keep(struct ash_virtio_blk_queue *queue, uint32_t slot,
                 const struct ash_virtio_blk_request *request,
                 const struct ash_dma_segment *segments, uint32_t count, uint32_t bytes) {
    enum ash_virtio_blk_op op = request->op;
    uint64_t *own = queue->ring.slots[slot].owner;
    bool has_range = op == ASH_VIRTIO_BLK_DISCARD || op == ASH_VIRTIO_BLK_WRITE_ZEROES;
    bool may_unmap = request->may_unmap && op == ASH_VIRTIO_BLK_WRITE_ZEROES;
    uint64_t flags = (may_unmap ? MAY_UNMAP : 0u) | (request->buffer != NULL ? HAS_BUFFER : 0u);
    own[DEADLINE] = request->deadline_ns;
    own[SECTOR] = op == ASH_VIRTIO_BLK_FLUSH || op == ASH_VIRTIO_BLK_GET_ID ? 0 : request->sector;
    own[WHAT] = (has_range ? request->sector_count : bytes) | (uint64_t)count << COUNT_AT |
                (uint64_t)op << OP_AT | flags << FLAGS_AT;
    if (request->buffer != NULL)
        own[WHERE] = (uintptr_t)request->buffer;
    else if (count == 1)
        own[WHERE] = segments->address;
    struct ash_dma_segment *scattered = segments_of(queue, slot);
    for (uint32_t left = count > 1 ? count : 0; left != 0; left--)
        *scattered++ = *segments++;
}

/* Its data; the buffer's, if it has one. */
static int submit(struct ash_virtio_blk_queue *queue, const struct ash_virtio_blk_request *request,
                  const struct ash_dma_segment *segments, uint32_t count, uint32_t *token) {
    struct ash_virtq *ring = &queue->ring;
    uint32_t bytes;
    int error = check_request(queue->blk, request, segments, count, &bytes);
    if (error != 0)
        return error;
    int free_slot = ash_virtq_free_slot(ring);
    if (free_slot < 0)
        return free_slot;
    uint32_t slot = (uint32_t)free_slot;
    keep(queue, slot, request, segments, count, bytes);
    const struct ash_virtq_slot *own = &queue->ring.slots[slot];
    uint32_t entries = describe(queue, slot);
    *token =
        entries == 0
            ? ash_virtq_submit(ring, slot, first_of(own), writable_bytes(own), request->cookie)
            : ash_virtq_submit_table(ring, slot, entries, writable_bytes(own), request->cookie);
    queue->submitted.requests[request->op]++;
    queue->submitted.bytes += bytes;
    queue->submitted.scattered += entries != 0;
    return 0;
}

int ash__virtio_blk_submit_any(struct ash_virtio_blk_queue *queue,
                               const struct ash_virtio_blk_request *request, uint32_t *token) {
    struct ash_dma_buffer *buffer = request->buffer;
    if (buffer == NULL)
        return submit(queue, request, request->segments, request->segment_count, token);
    if (request->segment_count != 0)
        return -ASH_EINVAL;
    struct ash_dma_segment whole = ash_dma_buffer_segment(buffer);
    int error = submit(queue, request, &whole, 1, token);
    if (error != 0)
        return error;
    /* The device's from here on; the completion is looked at twice, for its sake. */
    ash_dma_buffer_give(buffer);
    ash__virtq_mark_odd(&queue->ring, *token);
    return 0;
}
