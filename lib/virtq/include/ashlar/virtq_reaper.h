/* SPDX-License-Identifier: MIT */
/* virtq_reaper.h: private to <ashlar/virtq.h>, which includes it: a request's way back. */
#ifndef ASHLAR_VIRTQ_REAPER_H
#define ASHLAR_VIRTQ_REAPER_H

#include <ashlar/virtq_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* May the device complete this slot now? Published, not retired. */
static inline bool ash__virtq_is_due(const struct ash_virtq *queue, uint32_t slot) {
    uint32_t word = slot / 64;
    uint64_t due = ash_load_acquire(&queue->started[word]) ^ queue->finished[word];
    return (due >> (slot & 63) & 1) != 0;
}

/* Requests that were published and are not retired. */
static inline uint32_t ash__virtq_shown(const struct ash_virtq *queue) {
    return (uint16_t)(ash_load_relaxed(&queue->published) - queue->used_next);
}

/* What the device may write for the slot's request. */
static inline uint32_t ash__virtq_writable(const struct ash_virtq *queue, uint32_t slot) {
    return queue->slots[slot].writable_bytes;
}

/* The slot that a used entry names, if it is due and the entry is as it has to be. */
static inline int ash__virtq_match(struct ash_virtq *queue, uint32_t slot, uint32_t id,
                                   uint32_t len) {
    if (ASH_UNLIKELY(slot >= queue->slot_count || !ash__virtq_is_due(queue, slot) ||
                     id != queue->slots[slot].id || len != queue->slots[slot].writable_bytes))
        return ash__virtq_judge(queue, id, len);
    return (int)slot;
}

/* Reads used.idx. 0: there is something behind used_next; -ASH_EAGAIN: nothing; -ASH_EIO: it says
 * more than can be. */
static inline int ash__virtq_look(struct ash_virtq *queue) {
    uint16_t next = queue->used_next;
    uint16_t index = ASH_VIRTQ_LE16(ash_load_acquire(&queue->device_area[ASH__VIRTQ_INDEX]));
    if (index == next)
        return -ASH_EAGAIN;
    if (ASH_UNLIKELY((uint16_t)(index - next) > ash__virtq_shown(queue)))
        return -ASH_EIO;
    queue->used_seen = index;
    ash_port_dma_rmb(); /* the entries after the index, 2.7.14 */
    return 0;
}

static inline int ash__virtq_next_split(struct ash_virtq *queue, uint32_t shift, uint32_t *len) {
    uint16_t next = queue->used_next;
    if (queue->used_seen == next) {
        int error = ash__virtq_look(queue);
        if (error != 0)
            return error == -ASH_EAGAIN ? error
                                        : ash__virtq_broken(queue, ASH_VIRTQ_FAULT_USED_INDEX);
    }
    const struct ash_virtq_used_entry *entry = &queue->used_ring[next & queue->mask];
    uint32_t id = ASH_VIRTQ_LE32(ash_load_relaxed(&entry->id));
    *len = ASH_VIRTQ_LE32(ash_load_relaxed(&entry->len));
    return ash__virtq_match(queue, id >> shift, id, *len);
}

static inline bool ash__virtq_is_used(const struct ash_virtq *queue) {
    const struct ash_virtq_desc *desc = &queue->ring[queue->used_position];
    uint16_t flags = ASH_VIRTQ_LE16(ash_load_acquire(&desc->u.packed.flags));
    return (flags & (ASH_VIRTQ_DESC_AVAIL | ASH_VIRTQ_DESC_USED)) == queue->used_flags;
}

static inline int ash__virtq_next_packed(struct ash_virtq *queue, uint32_t *len) {
    if (!ash__virtq_is_used(queue))
        return -ASH_EAGAIN;
    ash_port_dma_rmb(); /* the rest after the flags, 2.8.1 */
    const struct ash_virtq_desc *desc = &queue->ring[queue->used_position];
    uint32_t slot = ASH_VIRTQ_LE16(ash_load_relaxed(&desc->u.packed.id));
    *len = ASH_VIRTQ_LE32(ash_load_relaxed(&desc->len));
    return ash__virtq_match(queue, slot, slot, *len);
}

static inline int ash__virtq_next(struct ash_virtq *queue, struct ash_virtq_shape shape,
                                  uint32_t *len) {
    if (ASH_UNLIKELY(ash_load_relaxed(&queue->fault) != ASH_VIRTQ_OK))
        return -ASH_EIO;
    return shape.packed ? ash__virtq_next_packed(queue, len)
                        : ash__virtq_next_split(queue, shape.shift, len);
}

static inline int ash_virtq_next(struct ash_virtq *queue, uint32_t *len) {
    return ash__virtq_next(queue, queue->shape, len);
}

static inline void ash__virtq_retire(struct ash_virtq *queue, bool packed, uint32_t slot) {
    uint64_t finished = queue->finished[slot / 64] ^ UINT64_C(1) << (slot & 63);
    queue->used_next++;
    if (packed) {
        uint32_t entries = queue->slots[slot].entries, position = queue->used_position + entries;
        if (position >= queue->size) {
            position -= queue->size;
            queue->used_flags ^= ASH_VIRTQ_DESC_AVAIL | ASH_VIRTQ_DESC_USED;
        }
        queue->used_position = (uint16_t)position;
        queue->entries_used = (uint16_t)(queue->entries_used + entries);
    }
    /* Release: what was read of the slot was read before it is free. */
    ash_store_release(&queue->finished[slot / 64], finished);
}

static inline void ash_virtq_retire(struct ash_virtq *queue, uint32_t slot) {
    ash__virtq_retire(queue, queue->shape.packed, slot);
}

#ifdef __cplusplus
}
#endif

#endif
