/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.c: requests and their completions. What never changes of a slot's descriptors is
 * written at set-up; a request fills in the header and what names its data. VIRTIO 1.2, 5.2.6.
 */
#include <ashlar/checked.h>

#include "virtio_blk_internal.h"

/* 5.2.6: request types; status byte. */
enum {
    TYPE_IN = 0,
    TYPE_OUT = 1,
    TYPE_FLUSH = 4,
    TYPE_GET_ID = 8,
    TYPE_DISCARD = 11,
    TYPE_WRITE_ZEROES = 13,
    RANGE_UNMAP = 1,
};
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2, STATUS_NOT_WRITTEN = 0xff };

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
    uint32_t count = queue->slots[slot].segment_count, entries = count + 2;
    struct ash_virtq_desc *table = &queue->ring.tables[slot * queue->ring.table];
    bool is_packed = queue->ring.shape.packed;
    uint32_t flags = device_writes ? ASH_VIRTQ_DESC_WRITE : 0u;
    for (uint32_t i = 0; i < count; i++)
        ash__virtq_fill(&table[1 + i], segments[i].address, segments[i].len_bytes, flags, 1 + i,
                        entries, is_packed);
    ash_virtq_describe_table(&queue->ring, slot, entries - 1, entries,
                             line_address(queue, slot) + STATUS_AT, STATUS_BYTES, true);
    return entries;
}

static void describe_range(struct ash_virtio_blk_queue *queue, uint32_t slot) {
    const struct ash__virtio_blk_slot *own = &queue->slots[slot];
    struct ash__virtio_blk_line *line = &queue->lines[slot];
    line->sector = 0;
    line->range_sector = ASH_VIRTQ_LE64(own->sector);
    line->range_sectors = ASH_VIRTQ_LE32(own->sector_count);
    line->range_flags = ASH_VIRTQ_LE32((uint32_t)(own->may_unmap ? RANGE_UNMAP : 0));
    ash_virtq_describe(&queue->ring, slot, DATA, line_address(queue, slot) + RANGE_AT, RANGE_BYTES,
                       false);
}

static bool is_written_by_device(const struct ash__virtio_blk_slot *own) {
    return own->op == ASH_VIRTIO_BLK_READ || own->op == ASH_VIRTIO_BLK_GET_ID;
}

static uint32_t writable_bytes(const struct ash__virtio_blk_slot *own) {
    return STATUS_BYTES + (is_written_by_device(own) ? own->bytes : 0);
}

/* Where its chain begins. */
static uint32_t first_of(const struct ash__virtio_blk_slot *own) {
    return own->op == ASH_VIRTIO_BLK_FLUSH ? DATA : HEADER;
}

/* Fills in the slot's line and descriptors from its own copy: the entries of its table, or 0 where
 * its chain is enough. */
static inline uint32_t describe(struct ash_virtio_blk_queue *queue, uint32_t slot) {
    const struct ash__virtio_blk_slot *own = &queue->slots[slot];
    struct ash__virtio_blk_line *line = &queue->lines[slot];
    line->type = ASH_VIRTQ_LE32((uint32_t)types[own->op]);
    line->sector = ASH_VIRTQ_LE64(own->sector);
    line->status = STATUS_NOT_WRITTEN;
    if (ASH_LIKELY(own->segment_count == 1)) {
        ash_virtq_describe(&queue->ring, slot, DATA, own->address, own->bytes,
                           is_written_by_device(own));
    } else if (own->segment_count != 0) {
        return describe_scattered(queue, slot, is_written_by_device(own));
    } else if (own->op == ASH_VIRTIO_BLK_FLUSH) {
        ash_virtq_describe(&queue->ring, slot, DATA, line_address(queue, slot), HEADER_BYTES,
                           false);
    } else {
        describe_range(queue, slot);
    }
    return 0;
}

/* Would it be taken today? The device may have come back smaller, or with fewer features. */
static bool is_taken(const struct ash_virtio_blk_queue *queue, uint32_t slot) {
    const struct ash__virtio_blk_slot *own = &queue->slots[slot];
    const struct ash_virtio_blk_request request = {.op = (enum ash_virtio_blk_op)own->op,
                                                   .segment_count = own->segment_count,
                                                   .sector = own->sector,
                                                   .sector_count = own->sector_count};
    const struct ash_dma_segment only = {own->address, own->bytes};
    uint32_t bytes;
    return check_request(queue->blk, &request,
                         own->segment_count == 1 ? &only : segments_of(queue, slot),
                         own->segment_count, &bytes) == 0;
}

bool ash__virtio_blk_resubmit(struct ash_virtio_blk_queue *queue, uint32_t slot) {
    if (!is_taken(queue, slot))
        return false;
    uint32_t entries = describe(queue, slot);
    if (entries == 0)
        ash_virtq_resubmit(&queue->ring, slot, first_of(&queue->slots[slot]));
    else
        ash_virtq_resubmit_table(&queue->ring, slot, entries);
    return true;
}

/* Requests */

/* The driver's own copy. */
static void keep(struct ash_virtio_blk_queue *queue, uint32_t slot,
                 const struct ash_virtio_blk_request *request,
                 const struct ash_dma_segment *segments, uint32_t count, uint32_t bytes) {
    struct ash__virtio_blk_slot *own = &queue->slots[slot];
    own->deadline_ns = request->deadline_ns;
    own->sector = request->op == ASH_VIRTIO_BLK_FLUSH || request->op == ASH_VIRTIO_BLK_GET_ID
                      ? 0
                      : request->sector;
    own->buffer = request->buffer;
    own->bytes = bytes;
    own->sector_count = request->sector_count;
    own->op = (uint8_t)request->op;
    own->segment_count = (uint16_t)count;
    own->may_unmap = request->may_unmap && request->op == ASH_VIRTIO_BLK_WRITE_ZEROES;
    if (count == 1)
        own->address = segments->address;
    struct ash_dma_segment *scattered = segments_of(queue, slot);
    for (uint32_t left = count > 1 ? count : 0; left != 0; left--)
        *scattered++ = *segments++;
}

/* Everything that is to be told apart; what may not be asked for ends here. */
__attribute__((noinline)) static int submit_any(struct ash_virtio_blk_queue *queue,
                                                const struct ash_virtio_blk_request *request,
                                                const struct ash_dma_segment *segments,
                                                uint32_t count, uint32_t *token) {
    const struct ash_virtio_blk *blk = queue->blk;
    uint32_t bytes;
    int error = check_request(blk, request, segments, count, &bytes);
    if (error != 0)
        return error;
    int slot = ash_virtq_free_slot(&queue->ring);
    if (slot < 0)
        return slot;
    keep(queue, (uint32_t)slot, request, segments, count, bytes);
    const struct ash__virtio_blk_slot *own = &queue->slots[slot];
    uint32_t entries = describe(queue, (uint32_t)slot);
    if (entries == 0)
        *token = ash_virtq_submit(&queue->ring, (uint32_t)slot, first_of(own), writable_bytes(own),
                                  request->cookie);
    else
        *token = ash_virtq_submit_table(&queue->ring, (uint32_t)slot, entries, writable_bytes(own),
                                        request->cookie);
    queue->submitted.requests[request->op]++;
    queue->submitted.bytes += bytes;
    queue->submitted.scattered += entries != 0;
    return 0;
}

/* Reading or writing one segment that is in order: nearly all that is ever asked for. */
static bool is_plain(const struct ash_virtio_blk *blk, const struct ash_virtio_blk_request *request,
                     const struct ash_dma_segment *segment) {
    uint64_t capacity = ash_load_relaxed(&blk->capacity_sectors), sector = request->sector;
    uint32_t len = segment->len_bytes;
    return request->op <= (blk->read_only ? ASH_VIRTIO_BLK_READ : ASH_VIRTIO_BLK_WRITE) &&
           len - 1 < blk->segment_bytes_max && segment->address + len > segment->address &&
           ((len | sector * ASH_VIRTIO_BLK_SECTOR_SIZE) & blk->block_mask) == 0 &&
           (segment->address & blk->align_mask) == 0 && sector < capacity &&
           len / ASH_VIRTIO_BLK_SECTOR_SIZE <= capacity - sector;
}

/* The ring's shape, of which only the format is not known here. */
static inline struct ash_virtq_shape shape_of(bool packed) {
    return (struct ash_virtq_shape){.chain = CHAIN, .shift = CHAIN_SHIFT, .packed = packed};
}

_Static_assert((int)ASH_VIRTIO_BLK_READ == TYPE_IN && (int)ASH_VIRTIO_BLK_WRITE == TYPE_OUT,
               "a plain request's type is its operation");

static inline int submit_plain(struct ash_virtio_blk_queue *queue,
                               const struct ash_virtio_blk_request *request,
                               const struct ash_dma_segment *segment, uint32_t *token,
                               bool packed) {
    struct ash_virtq *ring = &queue->ring;
    struct ash_virtq_shape shape = shape_of(packed);
    if (ASH_UNLIKELY(!ash__virtq_has_free(ring)))
        return -ASH_EAGAIN;
    uint32_t slot = ash__virtq_first_free(ring), len = segment->len_bytes;
    uint32_t op = (uint32_t)request->op;
    uint64_t sector = request->sector;
    bool is_read = op == ASH_VIRTIO_BLK_READ;
    ash_paddr_t address = segment->address;
    struct ash__virtio_blk_slot *own = &queue->slots[slot];
    own->deadline_ns = request->deadline_ns;
    own->sector = sector;
    own->address = address;
    own->buffer = request->buffer;
    own->bytes = len;
    own->segment_count = 1;
    own->op = (uint8_t)op;
    struct ash__virtio_blk_line *line = &queue->lines[slot];
    line->type = ASH_VIRTQ_LE32(op);
    line->sector = ASH_VIRTQ_LE64(sector);
    line->status = STATUS_NOT_WRITTEN;
    queue->submitted.requests[op]++;
    queue->submitted.bytes += len;
    ash__virtq_describe(ring, shape, slot, DATA, address, len, is_read);
    *token = ash__virtq_submit(ring, shape, slot, HEADER, STATUS_BYTES + (is_read ? len : 0),
                               request->cookie);
    return 0;
}

__attribute__((noinline)) static int submit_plain_packed(
    struct ash_virtio_blk_queue *queue, const struct ash_virtio_blk_request *request,
    const struct ash_dma_segment *segment, uint32_t *token) {
    return submit_plain(queue, request, segment, token, true);
}

/* The buffer is the device's from here on, if the request is taken. */
__attribute__((noinline)) static int submit_buffer(struct ash_virtio_blk_queue *queue,
                                                   const struct ash_virtio_blk_request *request,
                                                   uint32_t *token) {
    struct ash_dma_segment whole = ash_dma_buffer_segment(request->buffer);
    if (request->segment_count != 0)
        return -ASH_EINVAL;
    int error = submit_any(queue, request, &whole, 1, token);
    if (error == 0)
        ash_dma_buffer_give(request->buffer);
    return error;
}

int ash_virtio_blk_submit(struct ash_virtio_blk_queue *queue,
                          const struct ash_virtio_blk_request *request, uint32_t *token) {
    const struct ash_dma_segment *segments = request->segments;
    uint32_t count = request->segment_count;
    if (ASH_UNLIKELY(ash_load_relaxed(&queue->ring.fault) != ASH_VIRTQ_OK))
        return -ASH_EIO;
    if (ASH_UNLIKELY(request->buffer != NULL))
        return submit_buffer(queue, request, token);
    if (ASH_UNLIKELY(count != 1 || !is_plain(queue->blk, request, segments)))
        return submit_any(queue, request, segments, count, token);
    return queue->ring.shape.packed ? submit_plain_packed(queue, request, segments, token)
                                    : submit_plain(queue, request, segments, token, false);
}

void ash_virtio_blk_kick(struct ash_virtio_blk_queue *queue) {
    struct ash_virtio_transport *transport = queue->blk->config.transport;
    if (!ash_virtq_publish(&queue->ring))
        return;
    queue->submitted.kicks++;
    transport->ops->notify(transport, queue->index);
}

/* Completions */

/*
 * What the status byte says, or 1 for one without meaning. Data that the device does not claim to
 * have written is not there (2.7.8.2); the status byte itself was not STATUS_NOT_WRITTEN.
 */
static inline int status_of(uint8_t status, uint32_t len, uint32_t writable) {
    if (ASH_LIKELY(status == STATUS_OK && (len == writable || writable == STATUS_BYTES)))
        return 0;
    switch (status) {
    case STATUS_OK:
    case STATUS_IOERR:
        return -ASH_EIO;
    case STATUS_UNSUPP:
        return -ASH_ENOTSUP;
    default:
        return 1;
    }
}

static inline void give_back(struct ash_virtio_blk_queue *queue, uint32_t slot, int status,
                             uint32_t bytes, struct ash_virtio_blk_done *done) {
    struct ash_dma_buffer *buffer = queue->slots[slot].buffer;
    done->cookie = queue->ring.slots[slot].cookie;
    done->token = ash_virtq_token(&queue->ring, slot);
    done->status = status;
    done->bytes = bytes;
    if (ASH_UNLIKELY(buffer != NULL))
        ash_dma_buffer_take(buffer);
}

/* One completion into *done, its slot freed; false: none, or the queue is broken. */
static inline bool reap_one(struct ash_virtio_blk_queue *queue, struct ash_virtio_blk_done *done,
                            bool packed) {
    uint32_t len = 0;
    int next = ash__virtq_next(&queue->ring, shape_of(packed), &len);
    if (next < 0)
        return false;
    uint32_t slot = (uint32_t)next, writable = queue->ring.slots[slot].writable_bytes;
    int status = status_of(ash_load_relaxed(&queue->lines[slot].status), len, writable);
    if (ASH_UNLIKELY(status > 0)) {
        /* Not retired: its memory is the device's until a reset. */
        ash_virtq_break(&queue->ring, ASH_VIRTQ_FAULT_STATUS);
        return false;
    }
    if (ASH_UNLIKELY(status != 0))
        queue->reaped.errors++;
    give_back(queue, slot, status, status == 0 ? writable - STATUS_BYTES : 0, done);
    ash__virtq_retire(&queue->ring, packed, slot);
    return true;
}

/* Up to `max` of them; how many. */
static inline uint32_t reap_ready(struct ash_virtio_blk_queue *queue,
                                  struct ash_virtio_blk_done *done, uint32_t max, bool packed) {
    uint32_t count = 0;
    while (count < max && reap_one(queue, &done[count], packed))
        count++;
    queue->reaped.completions += count;
    return count;
}

__attribute__((noinline)) static uint32_t reap_packed(struct ash_virtio_blk_queue *queue,
                                                      struct ash_virtio_blk_done *done,
                                                      uint32_t max) {
    return reap_ready(queue, done, max, true);
}

__attribute__((noinline)) static uint32_t reap_aborted(struct ash_virtio_blk_queue *queue,
                                                       struct ash_virtio_blk_done *done,
                                                       uint32_t max) {
    uint32_t count = 0;
    int slot;
    while (count < max && (slot = ash_virtq_next_aborted(&queue->ring)) >= 0) {
        give_back(queue, (uint32_t)slot, -ASH_EIO, 0, &done[count++]);
        ash_virtq_retire_aborted(&queue->ring, (uint32_t)slot);
        queue->reaped.aborted++;
    }
    return count;
}

int ash_virtio_blk_reap(struct ash_virtio_blk_queue *queue, struct ash_virtio_blk_done *done,
                        uint32_t max) {
    uint32_t count = 0;
    if (ASH_UNLIKELY(queue->ring.aborted_count != 0))
        count = reap_aborted(queue, done, max);
    count += queue->ring.shape.packed ? reap_packed(queue, done + count, max - count)
                                      : reap_ready(queue, done + count, max - count, false);
    if (count == 0)
        return ash_load_relaxed(&queue->ring.fault) != ASH_VIRTQ_OK ? -ASH_EIO : 0;
    queue->empty_reaps = 0;
    /* Where only flags say whether interrupts are wanted, they stay wanted until told. */
    if (queue->is_armed && !queue->ring.event_idx)
        ash_virtio_blk_disarm(queue);
    return (int)count;
}

/* Waiting */

int ash_virtio_blk_set_policy(struct ash_virtio_blk_queue *queue, enum ash_virtio_blk_policy policy,
                              uint32_t amount) {
    if ((uint32_t)policy > ASH_VIRTIO_BLK_HYBRID)
        return -ASH_EINVAL;
    queue->policy = policy;
    queue->policy_amount = amount;
    queue->empty_reaps = 0;
    ash_virtio_blk_disarm(queue);
    return 0;
}

static bool arm(struct ash_virtio_blk_queue *queue, uint32_t completions) {
    queue->is_armed = true;
    return ash_virtq_arm(&queue->ring, completions);
}

/* Shown to the device and not reaped. The rest is the producer's: a reaper knows nothing of it. */
static uint32_t shown(const struct ash_virtq *ring) {
    return (uint16_t)(ash_load_relaxed(&ring->published) - ring->used_next);
}

bool ash_virtio_blk_may_sleep(struct ash_virtio_blk_queue *queue) {
    switch (queue->policy) {
    case ASH_VIRTIO_BLK_POLL:
        return false;
    case ASH_VIRTIO_BLK_DELAYED:
        return arm(queue,
                   queue->policy_amount != 0 ? queue->policy_amount : shown(&queue->ring) * 3 / 4);
    case ASH_VIRTIO_BLK_HYBRID:
        if (queue->empty_reaps < queue->policy_amount) {
            queue->empty_reaps++;
            return false;
        }
        return arm(queue, 1);
    default:
        return arm(queue, 1);
    }
}

void ash_virtio_blk_disarm(struct ash_virtio_blk_queue *queue) {
    queue->is_armed = false;
    ash_virtq_disarm(&queue->ring);
}

/* Looking at it */

bool ash_virtio_blk_pending(const struct ash_virtio_blk_queue *queue, uint32_t token) {
    return ash_virtq_pending(&queue->ring, token);
}

uint32_t ash_virtio_blk_in_flight(const struct ash_virtio_blk_queue *queue) {
    return ash_virtq_in_flight(&queue->ring);
}
