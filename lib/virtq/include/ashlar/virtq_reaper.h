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

static inline int ash__virtq_next_split(struct ash_virtq *queue, uint32_t shift, uint32_t *len) {
    uint16_t next = queue->used_next;
    if (queue->used_seen == next) {
        uint16_t index = ASH_VIRTQ_LE16(ash_load_acquire(&queue->device_area[ASH__VIRTQ_INDEX]));
        uint16_t published = ash_load_relaxed(&queue->published);
        if (index == next)
            return -ASH_EAGAIN;
        if (ASH_UNLIKELY((uint16_t)(index - next) > (uint16_t)(published - next)))
            return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_USED_INDEX);
        queue->used_seen = index;
        ash_port_dma_rmb(); /* the entries after the index, 2.7.14 */
    }
    const struct ash_virtq_used_entry *entry = &queue->used_ring[next & queue->mask];
    uint32_t id = ASH_VIRTQ_LE32(ash_load_relaxed(&entry->id));
    uint32_t slot = id >> shift;
    *len = ASH_VIRTQ_LE32(ash_load_relaxed(&entry->len));
    if (ASH_UNLIKELY(slot >= queue->slot_count))
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_ID_RANGE);
    if (ASH_UNLIKELY(!ash__virtq_is_due(queue, slot)))
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_NOT_PENDING);
    if (ASH_UNLIKELY(id != queue->slots[slot].head))
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_ID_NOT_HEAD);
    return (int)slot;
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
    if (ASH_UNLIKELY(slot >= queue->slot_count))
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_ID_RANGE);
    if (ASH_UNLIKELY(!ash__virtq_is_due(queue, slot)))
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_NOT_PENDING);
    return (int)slot;
}

static inline int ash__virtq_next(struct ash_virtq *queue, struct ash_virtq_shape shape,
                                  uint32_t *len) {
    if (ASH_UNLIKELY(ash_load_relaxed(&queue->fault) != ASH_VIRTQ_OK))
        return -ASH_EIO;
    int slot = shape.packed ? ash__virtq_next_packed(queue, len)
                            : ash__virtq_next_split(queue, shape.shift, len);
    if (ASH_UNLIKELY(slot < 0))
        return slot;
    if (ASH_UNLIKELY(*len > queue->slots[slot].writable_bytes))
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_LENGTH);
    return slot;
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
