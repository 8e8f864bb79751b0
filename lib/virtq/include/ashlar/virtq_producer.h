/* SPDX-License-Identifier: MIT */
/* virtq_producer.h: private to <ashlar/virtq.h>, which includes it: a request's way out. */
#ifndef ASHLAR_VIRTQ_PRODUCER_H
#define ASHLAR_VIRTQ_PRODUCER_H

#include <ashlar/virtq_describe.h>

#ifdef __cplusplus
extern "C" {
#endif

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
    return queue->free_base + (uint32_t)__builtin_ctzll(queue->free_slots);
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

/* The producer's words, which a batch keeps in registers. */
struct ash__virtq_batch {
    uint64_t free_slots;
    uint32_t free_base, queued;
};

static inline struct ash__virtq_batch ash__virtq_batch_begin(const struct ash_virtq *queue) {
    struct ash__virtq_batch batch = {queue->free_slots, queue->free_base, queue->queued};
    return batch;
}

static inline void ash__virtq_batch_end(struct ash_virtq *queue,
                                        const struct ash__virtq_batch *batch) {
    queue->free_slots = batch->free_slots;
    queue->queued = (uint16_t)batch->queued;
}

/* A new request in the slot, which is the lowest free one; `id` will be in its used entry. */
static inline uint32_t ash__virtq_batch_add(struct ash__virtq_batch *batch,
                                            struct ash_virtq_slot *own, uint32_t id,
                                            uint32_t writable_bytes, void *cookie) {
    uint32_t token = own->token + 0x10000u;
    batch->free_slots &= batch->free_slots - 1;
    batch->queued++;
    own->id = id;
    own->writable_bytes = writable_bytes;
    own->token = token;
    own->cookie = cookie;
    return token;
}

/* Hands `entries` descriptors from `head` on to the device, once published: the id that the used
 * entry will have. */
static inline uint32_t ash__virtq_offer(struct ash_virtq *queue, bool packed, uint32_t slot,
                                        uint32_t head, uint32_t entries) {
    if (!packed) {
        queue->avail_ring[queue->queued & queue->mask] = ASH_VIRTQ_LE16((uint16_t)head);
        return head;
    }
    queue->slots[slot].entries = (uint16_t)entries;
    ash__virtq_put(queue, slot, &queue->chains[head], entries);
    return slot;
}

/* Has the completion of the request that was submitted as `token` judged. Before its publish. */
static inline void ash__virtq_mark_odd(struct ash_virtq *queue, uint32_t token) {
    queue->slots[ash__virtq_slot_of(token)].id |= ASH__VIRTQ_ODD;
}

/* The way to a table of `count` entries: its descriptor. */
static inline uint32_t ash__virtq_table_head(struct ash_virtq *queue, uint32_t slot,
                                             uint32_t count) {
    uint32_t head = (slot << queue->shape.shift) + queue->shape.chain;
    queue->chains[head].len = ASH_VIRTQ_LE32(count * (uint32_t)sizeof(struct ash_virtq_desc));
    return head;
}

static inline uint32_t ash__virtq_submit(struct ash_virtq *queue, bool packed, uint32_t slot,
                                         uint32_t head, uint32_t entries, uint32_t writable_bytes,
                                         void *cookie) {
    uint32_t id = ash__virtq_offer(queue, packed, slot, head, entries);
    struct ash__virtq_batch batch = ash__virtq_batch_begin(queue);
    uint32_t token = ash__virtq_batch_add(&batch, &queue->slots[slot], id, writable_bytes, cookie);
    ash__virtq_batch_end(queue, &batch);
    return token;
}

static inline uint32_t ash_virtq_submit(struct ash_virtq *queue, uint32_t slot, uint32_t first,
                                        uint32_t writable_bytes, void *cookie) {
    struct ash_virtq_shape shape = queue->shape;
    return ash__virtq_submit(queue, shape.packed, slot, (slot << shape.shift) + first,
                             shape.chain - first, writable_bytes, cookie);
}

static inline uint32_t ash_virtq_submit_table(struct ash_virtq *queue, uint32_t slot,
                                              uint32_t count, uint32_t writable_bytes,
                                              void *cookie) {
    return ash__virtq_submit(queue, queue->shape.packed, slot,
                             ash__virtq_table_head(queue, slot, count), 1, writable_bytes, cookie);
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
    uint16_t event = ash_load_relaxed(queue->avail_event);
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
