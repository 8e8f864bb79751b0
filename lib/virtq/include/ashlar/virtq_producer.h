/* SPDX-License-Identifier: MIT */
/* virtq_producer.h: private to <ashlar/virtq.h>, which includes it: a request's way out. */
#ifndef ASHLAR_VIRTQ_PRODUCER_H
#define ASHLAR_VIRTQ_PRODUCER_H

#include <ashlar/virtq_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Describing */

static inline void ash__virtq_describe(struct ash_virtq *queue, struct ash_virtq_shape shape,
                                       uint32_t slot, uint32_t index, ash_paddr_t address,
                                       uint32_t len, bool device_writes) {
    struct ash_virtq_desc *desc = &queue->chains[(slot << shape.shift) + index];
    uint32_t flags = (index + 1 < shape.chain ? ASH_VIRTQ_DESC_NEXT : 0u) |
                     (device_writes ? ASH_VIRTQ_DESC_WRITE : 0u);
    desc->address = ASH_VIRTQ_LE64(address);
    desc->len = ASH_VIRTQ_LE32(len);
    desc->u.split.flags = ASH_VIRTQ_LE16((uint16_t)flags);
}

static inline void ash_virtq_describe(struct ash_virtq *queue, uint32_t slot, uint32_t index,
                                      ash_paddr_t address, uint32_t len, bool device_writes) {
    ash__virtq_describe(queue, queue->shape, slot, index, address, len, device_writes);
}

static inline void ash__virtq_fill(struct ash_virtq_desc *desc, ash_paddr_t address, uint32_t len,
                                   uint32_t flags, uint32_t index, uint32_t count, bool packed) {
    desc->address = ASH_VIRTQ_LE64(address);
    desc->len = ASH_VIRTQ_LE32(len);
    if (packed) {
        desc->u.packed.id = 0; /* reserved, 2.8.7; and the order is that of the table */
        desc->u.packed.flags = ASH_VIRTQ_LE16((uint16_t)flags);
        return;
    }
    flags |= index + 1 < count ? ASH_VIRTQ_DESC_NEXT : 0u;
    desc->u.split.flags = ASH_VIRTQ_LE16((uint16_t)flags);
    desc->u.split.next = ASH_VIRTQ_LE16((uint16_t)(index + 1));
}

static inline void ash_virtq_describe_table(struct ash_virtq *queue, uint32_t slot, uint32_t index,
                                            uint32_t count, ash_paddr_t address, uint32_t len,
                                            bool device_writes) {
    struct ash_virtq_desc *desc = &queue->tables[slot * queue->table + index];
    ash__virtq_fill(desc, address, len, device_writes ? ASH_VIRTQ_DESC_WRITE : 0u, index, count,
                    queue->shape.packed);
}

/* Submitting */

/* Into the bitmap with what was submitted. */
static inline void ash__virtq_settle(struct ash_virtq *queue) {
    uint64_t fresh = queue->free_found ^ queue->free_slots;
    if (fresh == 0)
        return;
    queue->submitted[queue->free_base / 64] |= fresh;
    queue->free_found = queue->free_slots;
    queue->is_settled = false;
}

/* Looks for slots that the reaper has freed; the first word that has some. */
static inline bool ash__virtq_find_free(struct ash_virtq *queue) {
    ash__virtq_settle(queue);
    for (uint32_t word = 0; word * 64 < queue->slot_count; word++) {
        /* Acquire: whatever the reaper read of the slot it has read. */
        uint64_t in_flight = queue->started[word] ^ ash_load_acquire(&queue->finished[word]);
        uint64_t aborted = ash_load_acquire(&queue->aborted[word]);
        uint64_t free_slots = ~(in_flight | aborted | queue->submitted[word]);
        if (queue->slot_count - word * 64 < 64)
            free_slots &= (UINT64_C(1) << (queue->slot_count & 63)) - 1;
        if (free_slots == 0)
            continue;
        queue->free_found = queue->free_slots = free_slots;
        queue->free_base = word * 64;
        return true;
    }
    return false;
}

static inline bool ash__virtq_has_free(struct ash_virtq *queue) {
    return ASH_LIKELY(queue->free_slots != 0) || ash__virtq_find_free(queue);
}

/* If it has one. */
static inline uint32_t ash__virtq_first_free(const struct ash_virtq *queue) {
    return queue->free_base + ash_ctz64(queue->free_slots);
}

static inline int ash_virtq_free_slot(struct ash_virtq *queue) {
    return ash__virtq_has_free(queue) ? (int)ash__virtq_first_free(queue) : -ASH_EAGAIN;
}

/* Of its request, or of its last one. */
static inline uint32_t ash_virtq_token(const struct ash_virtq *queue, uint32_t slot) {
    return queue->slots[slot].token;
}

/* Copies `count` descriptors of a chain to the ring. The first one of all that is not published yet
 * is held back: the device looks at no entry behind it (2.8.21). */
static inline void ash__virtq_put(struct ash_virtq *queue, uint32_t slot,
                                  const struct ash_virtq_desc *chain, uint32_t count) {
    struct ash_virtq_desc *ring = queue->ring;
    uint32_t position = queue->position, size = queue->size;
    uint16_t marks = queue->avail_flags, queued = queue->entries_queued;
    bool hold = queued == queue->entries_published;
    for (uint32_t i = 0; i < count; i++) {
        struct ash_virtq_desc *desc = &ring[position];
        uint16_t flags = (uint16_t)(chain[i].u.split.flags | ASH_VIRTQ_LE16(marks));
        desc->address = chain[i].address;
        desc->len = chain[i].len;
        desc->u.packed.id = ASH_VIRTQ_LE16((uint16_t)slot);
        if (i == 0 && hold) {
            queue->held_position = (uint16_t)position;
            queue->held_flags = flags;
        } else {
            ash_store_relaxed(&desc->u.packed.flags, flags);
        }
        if (++position == size) {
            position = 0;
            marks ^= ASH_VIRTQ_DESC_AVAIL | ASH_VIRTQ_DESC_USED;
        }
    }
    queue->position = (uint16_t)position;
    queue->avail_flags = marks;
    queue->entries_queued = (uint16_t)(queued + count);
}

/* Hands `entries` descriptors from `head` on to the device, once published. */
static inline void ash__virtq_offer(struct ash_virtq *queue, bool packed, uint32_t slot,
                                    uint32_t head, uint32_t entries) {
    uint16_t queued = queue->queued;
    queue->queued = (uint16_t)(queued + 1u);
    if (packed) {
        queue->slots[slot].entries = (uint16_t)entries;
        ash__virtq_put(queue, slot, &queue->chains[head], entries);
    } else {
        queue->slots[slot].head = (uint16_t)head;
        queue->driver_area[ASH__VIRTQ_RING + (queued & queue->mask)] =
            ASH_VIRTQ_LE16((uint16_t)head);
    }
}

static inline void ash__virtq_offer_table(struct ash_virtq *queue, uint32_t slot, uint32_t count) {
    uint32_t head = (slot << queue->shape.shift) + queue->shape.chain;
    queue->chains[head].len = ASH_VIRTQ_LE32(count * (uint32_t)sizeof(struct ash_virtq_desc));
    ash__virtq_offer(queue, queue->shape.packed, slot, head, 1);
}

/* A new request in the slot: its token. */
static inline uint32_t ash__virtq_begin(struct ash_virtq *queue, uint32_t slot,
                                        uint32_t writable_bytes, void *cookie) {
    struct ash_virtq_slot *entry = &queue->slots[slot];
    uint32_t token = entry->token + 0x10000u;
    uint64_t free_slots = queue->free_slots;
    queue->free_slots = free_slots & (free_slots - 1); /* the slot was the lowest of them */
    entry->cookie = cookie;
    entry->writable_bytes = writable_bytes;
    entry->token = token;
    return token;
}

static inline uint32_t ash__virtq_submit(struct ash_virtq *queue, struct ash_virtq_shape shape,
                                         uint32_t slot, uint32_t first, uint32_t writable_bytes,
                                         void *cookie) {
    ash__virtq_offer(queue, shape.packed, slot, (slot << shape.shift) + first, shape.chain - first);
    return ash__virtq_begin(queue, slot, writable_bytes, cookie);
}

static inline uint32_t ash_virtq_submit(struct ash_virtq *queue, uint32_t slot, uint32_t first,
                                        uint32_t writable_bytes, void *cookie) {
    return ash__virtq_submit(queue, queue->shape, slot, first, writable_bytes, cookie);
}

static inline uint32_t ash_virtq_submit_table(struct ash_virtq *queue, uint32_t slot,
                                              uint32_t count, uint32_t writable_bytes,
                                              void *cookie) {
    ash__virtq_offer_table(queue, slot, count);
    return ash__virtq_begin(queue, slot, writable_bytes, cookie);
}

/* Publishing */

/* Has the index passed the event, stepping from `from` to `to`? 2.7.10; modulo 2^16. */
static inline bool ash__virtq_passed(uint16_t event, uint16_t from, uint16_t to) {
    return (uint16_t)(to - event - 1u) < (uint16_t)(to - from);
}

static inline bool ash__virtq_publish_split(struct ash_virtq *queue, uint16_t from, uint16_t to) {
    uint16_t *driver = queue->driver_area, *device = queue->device_area;
    ash_port_dma_wmb();
    ash_store_release(&driver[ASH__VIRTQ_INDEX], ASH_VIRTQ_LE16(to));
    ash_port_dma_mb();
    if (!queue->event_idx)
        return (ASH_VIRTQ_LE16(ash_load_relaxed(&device[ASH__VIRTQ_FLAGS])) & 1u) == 0;
    uint16_t event = ash_load_relaxed(&device[ASH__VIRTQ_RING + queue->size * 4]);
    return ash__virtq_passed(ASH_VIRTQ_LE16(event), from, to);
}

static inline bool ash__virtq_publish_packed(struct ash_virtq *queue) {
    uint16_t added = (uint16_t)(queue->entries_queued - queue->entries_published);
    ash_store_relaxed(&queue->entries_published, queue->entries_queued);
    ash_port_dma_wmb();
    ash_store_release(&queue->ring[queue->held_position].u.packed.flags, queue->held_flags);
    ash_port_dma_mb();
    /* Acquire: the offset that is read is the one that the flags belong to, or a later one. */
    uint32_t flags = ASH_VIRTQ_LE16(ash_load_acquire(&queue->device_area[ASH__VIRTQ_EVENT_FLAGS]));
    if (!queue->event_idx || (flags & 3u) != ASH_VIRTQ_EVENT_DESC)
        return (flags & 3u) != ASH_VIRTQ_EVENT_DISABLE;
    /* 2.8.10: an entry and its lap, here as a distance that may be negative. */
    uint16_t event = ASH_VIRTQ_LE16(ash_load_relaxed(&queue->device_area[ASH__VIRTQ_EVENT_OFFSET]));
    uint16_t to = queue->position;
    bool is_this_lap = event >> 15 == ((queue->avail_flags & ASH_VIRTQ_DESC_AVAIL) != 0);
    event = (uint16_t)((event & 0x7fffu) - (is_this_lap ? 0 : queue->size));
    return ash__virtq_passed(event, (uint16_t)(to - added), to);
}

/* What was submitted is in flight. Release: with what the producer wrote of the slots. */
static inline void ash__virtq_start(struct ash_virtq *queue) {
    uint32_t word = queue->free_base / 64;
    uint64_t fresh = queue->free_found ^ queue->free_slots;
    queue->free_found = queue->free_slots;
    ash_store_release(&queue->started[word], queue->started[word] ^ fresh);
    if (ASH_LIKELY(queue->is_settled))
        return;
    for (uint32_t i = 0; i * 64 < queue->slot_count; i++) {
        ash_store_release(&queue->started[i], queue->started[i] ^ queue->submitted[i]);
        queue->submitted[i] = 0;
    }
    queue->is_settled = true;
}

/* The full barrier keeps the device from missing both what is new and the notification. */
static inline bool ash_virtq_publish(struct ash_virtq *queue) {
    uint16_t from = queue->published, to = queue->queued;
    if (from == to || ash_load_relaxed(&queue->fault) != ASH_VIRTQ_OK)
        return false;
    ash__virtq_start(queue);
    ash_store_relaxed(&queue->published, to);
    return queue->shape.packed ? ash__virtq_publish_packed(queue)
                               : ash__virtq_publish_split(queue, from, to);
}

#ifdef __cplusplus
}
#endif

#endif
