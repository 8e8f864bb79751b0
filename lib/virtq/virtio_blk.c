/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.c: block requests and their completions. What never changes of a slot's chain is
 * described at set-up; a request fills in the header and the data descriptor. VIRTIO 1.2, 5.2.6.
 */
#include <ashlar/checked.h>

#include "virtio_blk_internal.h"

/* 5.2.6: request types; status byte. */
enum { TYPE_IN = 0 };
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2, STATUS_NOT_WRITTEN = 0xff };

/* Requests */

static int check_range(const struct ash_virtio_blk *blk, uint64_t sector, const void *buffer,
                       size_t len_bytes) {
    uint64_t block_sectors = blk->block_size_bytes / ASH_VIRTIO_BLK_SECTOR_SIZE;
    if (buffer == NULL || len_bytes == 0 || len_bytes > blk->request_bytes_max ||
        !ash_is_aligned(len_bytes, blk->block_size_bytes) || !ash_is_aligned(sector, block_sectors))
        return -ASH_EINVAL;
    if (!ash_range_fits(sector, len_bytes / ASH_VIRTIO_BLK_SECTOR_SIZE, blk->capacity_sectors))
        return -ASH_ERANGE;
    return 0;
}

/* Any request with one data segment; every type that is to come passes here. */
static int submit(struct ash_virtio_blk *blk, uint32_t type, uint64_t sector, void *buffer,
                  uint32_t len_bytes, void *cookie, uint32_t *token) {
    struct ash_virtq *queue = &blk->queue;
    int slot = ash_virtq_free_slot(queue);
    if (slot < 0)
        return slot;
    ash_paddr_t address = address_of(blk, buffer, len_bytes);
    if (address == ASH_VIRTIO_NO_ADDRESS)
        return -ASH_EFAULT;
    struct ash__virtio_blk_line *line = &blk->lines[slot];
    line->type = ASH_VIRTQ_LE32(type);
    line->sector = ASH_VIRTQ_LE64(sector);
    line->status = STATUS_NOT_WRITTEN;
    bool device_writes = type == TYPE_IN;
    ash_virtq_describe(queue, (uint32_t)slot, DATA, address, len_bytes, device_writes);
    *token = ash_virtq_submit(queue, (uint32_t)slot, STATUS_BYTES + (device_writes ? len_bytes : 0),
                              cookie);
    blk->counters.requests++;
    blk->counters.bytes += len_bytes;
    return 0;
}

int ash_virtio_blk_read(struct ash_virtio_blk *blk, uint64_t sector, void *buffer, size_t len_bytes,
                        void *cookie, uint32_t *token) {
    if (ASH_UNLIKELY(ash_load_relaxed(&blk->queue.fault) != ASH_VIRTQ_OK))
        return -ASH_EIO;
    int error = check_range(blk, sector, buffer, len_bytes);
    if (error != 0)
        return error;
    return submit(blk, TYPE_IN, sector, buffer, (uint32_t)len_bytes, cookie, token);
}

void ash_virtio_blk_kick(struct ash_virtio_blk *blk) {
    if (!ash_virtq_publish(&blk->queue))
        return;
    blk->counters.kicks++;
    blk->config.transport->ops->notify(blk->config.transport, QUEUE);
}

/* Completions */

/* What the status byte says, or 1 for one without meaning. A success whose used len does not reach
 * the status byte is none: beyond used len nothing counts as written (2.7.8.2). */
static int status_of(const struct ash_virtq *queue, uint32_t slot, uint8_t status, uint32_t len) {
    switch (status) {
    case STATUS_OK:
        return len == queue->slots[slot].writable_bytes ? 0 : -ASH_EIO;
    case STATUS_IOERR:
        return -ASH_EIO;
    case STATUS_UNSUPP:
        return -ASH_ENOTSUP;
    default:
        return 1;
    }
}

/* One completion into *done, its slot freed; false: none, or the queue is broken. */
static bool reap_one(struct ash_virtio_blk *blk, struct ash_virtio_blk_done *done) {
    struct ash_virtq *queue = &blk->queue;
    uint32_t len;
    int next = ash_virtq_next(queue, &len);
    if (next < 0)
        return false;
    uint32_t slot = (uint32_t)next;
    int status = status_of(queue, slot, ash_load_relaxed(&blk->lines[slot].status), len);
    if (ASH_UNLIKELY(status > 0)) {
        /* Not retired: its buffer is the device's until a reset. */
        ash_virtq_break(queue, ASH_VIRTQ_FAULT_STATUS);
        return false;
    }
    done->token = ash_virtq_token(queue, slot);
    done->cookie = queue->slots[slot].cookie;
    done->status = status;
    done->bytes = status == 0 ? len - STATUS_BYTES : 0;
    blk->counters.completions++;
    blk->counters.errors += status != 0;
    ash_virtq_retire(queue, slot);
    return true;
}

static bool reap_aborted(struct ash_virtio_blk *blk, struct ash_virtio_blk_done *done) {
    int slot = ash_virtq_next_aborted(&blk->queue);
    if (ASH_LIKELY(slot < 0))
        return false;
    *done = (struct ash_virtio_blk_done){
        .token = ash_virtq_token(&blk->queue, (uint32_t)slot),
        .status = -ASH_EIO,
        .cookie = blk->queue.slots[slot].cookie,
    };
    blk->counters.aborted++;
    ash_virtq_retire(&blk->queue, (uint32_t)slot);
    return true;
}

int ash_virtio_blk_reap(struct ash_virtio_blk *blk, struct ash_virtio_blk_done *done,
                        uint32_t max) {
    uint32_t count = 0;
    while (count < max && (reap_aborted(blk, &done[count]) || reap_one(blk, &done[count])))
        count++;
    if (count == 0 && ash_load_relaxed(&blk->queue.fault) != ASH_VIRTQ_OK)
        return -ASH_EIO;
    return (int)count;
}

bool ash_virtio_blk_arm(struct ash_virtio_blk *blk, uint32_t completions) {
    return ash_virtq_arm(&blk->queue, completions);
}

void ash_virtio_blk_disarm(struct ash_virtio_blk *blk) {
    ash_virtq_disarm(&blk->queue);
}

/* Interrupts and health */

bool ash_virtio_blk_interrupt(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    uint32_t pending = transport->ops->interrupt_ack(transport);
    if (pending == 0)
        return false;
    /* Acknowledged before the used ring is read: a completion after that raises it again. */
    ash_port_dma_mb();
    blk->counters.interrupts++;
    /* A device that needs a reset says so by this interrupt, 2.1.2. */
    if ((pending & ASH_VIRTIO_INTERRUPT_CONFIG) != 0 && ash_virtio_status_check(transport) != 0)
        ash_virtq_break(&blk->queue, ASH_VIRTQ_FAULT_NEEDS_RESET);
    return true;
}

int ash_virtio_blk_status_check(struct ash_virtio_blk *blk) {
    int error = ash_virtio_status_check(blk->config.transport);
    if (error != 0)
        ash_virtq_break(&blk->queue, ASH_VIRTQ_FAULT_NEEDS_RESET);
    return error;
}

/* Looking at it */

bool ash_virtio_blk_pending(const struct ash_virtio_blk *blk, uint32_t token) {
    return ash_virtq_pending(&blk->queue, token);
}

uint32_t ash_virtio_blk_in_flight(const struct ash_virtio_blk *blk) {
    return ash_virtq_in_flight(&blk->queue);
}

const char *ash_virtio_blk_reason(const struct ash_virtio_blk *blk) {
    if (blk->reason[0] != '\0')
        return blk->reason;
    return ash_virtq_fault_text(ash_load_relaxed(&blk->queue.fault));
}

/* I6: header and status are described as they were at init. I7: the counters add up. */
const char *ash_virtio_blk_check(const struct ash_virtio_blk *blk) {
    const char *broken = ash_virtq_check(&blk->queue);
    if (broken != NULL)
        return broken;
    ash_paddr_t line = address_of(blk, blk->lines, sizeof(*blk->lines));
    for (uint32_t slot = 0; slot < blk->in_flight_max; slot++, line += sizeof(*blk->lines)) {
        const struct ash_virtq_desc *desc = &blk->queue.desc[slot * CHAIN];
        if (desc[HEADER].address != ASH_VIRTQ_LE64(line) ||
            desc[HEADER].len != ASH_VIRTQ_LE32((uint32_t)HEADER_BYTES) ||
            desc[STATUS].address != ASH_VIRTQ_LE64(line + HEADER_BYTES) ||
            desc[STATUS].len != ASH_VIRTQ_LE32((uint32_t)STATUS_BYTES))
            return "I6: a header or status descriptor was overwritten";
    }
    const struct ash_virtio_blk_counters *counters = &blk->counters;
    if (counters->requests !=
        counters->completions + counters->aborted + ash_virtio_blk_in_flight(blk))
        return "I7: requests are not completions, aborted and in flight together";
    return NULL;
}
