/* SPDX-License-Identifier: MIT */
/*
 * virtq.h: the driver's half of a split virtqueue with static slots. Slot s owns the descriptors
 * s * chain .. s * chain + chain - 1, linked once at init; a request is a slot filled in, and what
 * is in flight is two bitmaps. No free list, no chain walk, no allocation, no lock.
 *
 * Rules
 *  - One producer (free_slot, describe, submit, publish) and one reaper (next, retire, arm, disarm)
 *    at a time; the two may run at the same time: each word has one writer. The rest: alone.
 *  - submit never notifies. publish shows all that was submitted and says whether to notify.
 *  - What the driver reads again lives in memory of its own; from the ring it reads used.idx, used
 *    entries and the two event words only, each once, into a local, validated before use.
 *  - A violation latches a fault (event `virtq.broken`); from then on nothing is submitted or
 *    reaped until ash_virtq_restart, which the owner calls once the device is reset.
 *  - Port primitives: DMA barriers, ordered loads and stores, compare-exchange, event; relax, for
 *    the wait in a reset (virtio.h).
 *
 * Source: VIRTIO 1.2, 2.7.
 *
 *   producer ── desc, avail.ring ── publish ─> avail.idx ══ device ══> used ring ── next ─> reaper
 *   submitted |= slot   started ^= submitted                              retire: finished ^= slot
 *   in flight: the bits in started and finished differ; free: they are alike, and not submitted
 */
#ifndef ASHLAR_VIRTQ_H
#define ASHLAR_VIRTQ_H

#include <ashlar/base.h>
#include <ashlar/bits.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_VIRTQ_SIZE_MAX      1024u
#define ASH_VIRTQ_STORAGE_ALIGN 64u

enum ash_virtq_fault {
    ASH_VIRTQ_OK,
    ASH_VIRTQ_FAULT_USED_INDEX,  /* used.idx claims more completions than are in flight */
    ASH_VIRTQ_FAULT_ID_RANGE,    /* used id is no descriptor of a slot */
    ASH_VIRTQ_FAULT_ID_NOT_HEAD, /* used id is not the first descriptor of a slot */
    ASH_VIRTQ_FAULT_NOT_PENDING, /* that slot is not in flight: not published, or back already */
    ASH_VIRTQ_FAULT_LENGTH,      /* used len is larger than the slot's writable bytes */
    ASH_VIRTQ_FAULT_STATUS,      /* the device's own protocol: a status byte without meaning */
    ASH_VIRTQ_FAULT_NEEDS_RESET, /* Status has DEVICE_NEEDS_RESET, or lost DRIVER_OK */
    ASH_VIRTQ_FAULT_STOPPED,     /* no device behind the queue: the owner stopped it */
};

/* What the fault means, for people; "" for ASH_VIRTQ_OK. */
const char *ash_virtq_fault_text(uint32_t fault);

/* The ring as the device sees it, little-endian, 2.7.5, 2.7.6, 2.7.8. */
#define ASH_VIRTQ_DESC_NEXT  1u
#define ASH_VIRTQ_DESC_WRITE 2u
struct ash_virtq_desc {
    uint64_t address;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};
struct ash_virtq_used_entry {
    uint32_t id;
    uint32_t len;
};

/* Little-endian as the device has it, to and from the CPU's order. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ASH_VIRTQ_LE16(x) __builtin_bswap16(x)
#define ASH_VIRTQ_LE32(x) __builtin_bswap32(x)
#define ASH_VIRTQ_LE64(x) __builtin_bswap64(x)
#else
#define ASH_VIRTQ_LE16(x) (x)
#define ASH_VIRTQ_LE32(x) (x)
#define ASH_VIRTQ_LE64(x) (x)
#endif

struct ash_virtq_slot {
    void *cookie;
    uint32_t writable_bytes; /* of its chain: the most that used len may say */
    uint32_t generation;     /* counts the slot's uses; its low 16 bits are in the token */
};

/* Public for inline functions; fields private. */
struct ash_virtq {
    struct ash_virtq_desc *desc;
    uint16_t *avail; /* flags, idx, ring[size], used_event */
    uint16_t *used;  /* flags, idx; entries; avail_event */
    struct ash_virtq_used_entry *used_ring;
    struct ash_virtq_slot *slots;
    uint32_t size, slot_count, chain;
    uint32_t chain_reciprocal; /* 2^20 / chain, rounded up */
    bool event_idx;
    uint32_t fault;
    /* the producer's */
    uint16_t queued;    /* avail.idx when all that was submitted is published */
    uint16_t published; /* avail.idx */
    uint64_t submitted[ASH_VIRTQ_SIZE_MAX / 64]; /* and not published */
    uint64_t started[ASH_VIRTQ_SIZE_MAX / 64];
    /* the reaper's */
    uint16_t used_next;
    uint32_t aborted_count;
    uint64_t finished[ASH_VIRTQ_SIZE_MAX / 64];
    uint64_t aborted[ASH_VIRTQ_SIZE_MAX / 64]; /* in flight when the queue was restarted */
};

/* Bytes of storage; 0 unless size is a power of two, chain is at least 1, slots at least 1 and
 * slots * chain <= size <= ASH_VIRTQ_SIZE_MAX. */
size_t ash_virtq_storage_size(uint32_t size, uint32_t chain, uint32_t slots) ASH_MUST_CHECK;

/*
 * Builds an empty queue in storage (aligned to ASH_VIRTQ_STORAGE_ALIGN, as large as
 * ash_virtq_storage_size says). -ASH_EINVAL: parameters or alignment; -ASH_ENOMEM: too small.
 */
int ash_virtq_init(struct ash_virtq *queue, uint32_t size, uint32_t chain, uint32_t slots,
                   void *storage, size_t storage_bytes) ASH_MUST_CHECK;

/* Where the device's three areas lie, and their bytes. */
struct ash_virtq_area {
    const void *pointer;
    size_t bytes;
};
struct ash_virtq_area ash_virtq_desc_area(const struct ash_virtq *queue);
struct ash_virtq_area ash_virtq_avail_area(const struct ash_virtq *queue);
struct ash_virtq_area ash_virtq_used_area(const struct ash_virtq *queue);

/* Latches a fault that the queue's owner found; the first one stays. Any context. */
void ash_virtq_break(struct ash_virtq *queue, enum ash_virtq_fault fault);

/* As if broken, but planned: no event, and it hides an earlier fault. Until ash_virtq_restart. */
void ash_virtq_stop(struct ash_virtq *queue);

/*
 * An empty ring for a device that was reset just now; never before it was. What was queued or in
 * flight is aborted: ash_virtq_next_aborted hands it out. event_idx: VIRTIO_F_EVENT_IDX was
 * accepted. The descriptors' links are written anew; describe what is static again.
 */
void ash_virtq_restart(struct ash_virtq *queue, bool event_idx);

/* Descriptor `index` of the slot, 0..chain-1; its link to the next one is kept. */
static inline void ash_virtq_describe(struct ash_virtq *queue, uint32_t slot, uint32_t index,
                                      ash_paddr_t address, uint32_t len, bool device_writes) {
    struct ash_virtq_desc *desc = &queue->desc[slot * queue->chain + index];
    uint32_t flags = (index + 1 < queue->chain ? ASH_VIRTQ_DESC_NEXT : 0u) |
                     (device_writes ? ASH_VIRTQ_DESC_WRITE : 0u);
    desc->address = ASH_VIRTQ_LE64(address);
    desc->len = ASH_VIRTQ_LE32(len);
    desc->flags = ASH_VIRTQ_LE16((uint16_t)flags);
}

/* A free slot, the lowest, or -ASH_EAGAIN; it stays free until it is submitted. */
static inline int ash_virtq_free_slot(const struct ash_virtq *queue) {
    for (uint32_t first = 0; first < queue->slot_count; first += 64) {
        /* Acquire: whatever the reaper read of the slot it has read. */
        uint64_t in_flight =
            queue->started[first / 64] ^ ash_load_acquire(&queue->finished[first / 64]);
        uint64_t free_slots = ~(in_flight | queue->submitted[first / 64]);
        uint32_t slot = first + ash_ctz64(free_slots);
        if (free_slots != 0)
            return slot < queue->slot_count ? (int)slot : -ASH_EAGAIN;
    }
    return -ASH_EAGAIN;
}

/* A slot and its generation. */
static inline uint32_t ash_virtq_token(const struct ash_virtq *queue, uint32_t slot) {
    return queue->slots[slot].generation << 16 | slot;
}

/* Queues a free, described slot whose chain lets the device write writable_bytes. Its token. */
static inline uint32_t ash_virtq_submit(struct ash_virtq *queue, uint32_t slot,
                                        uint32_t writable_bytes, void *cookie) {
    struct ash_virtq_slot *entry = &queue->slots[slot];
    entry->cookie = cookie;
    entry->writable_bytes = writable_bytes;
    entry->generation++;
    queue->avail[2 + (queue->queued & (queue->size - 1))] =
        ASH_VIRTQ_LE16((uint16_t)(slot * queue->chain));
    queue->queued++;
    queue->submitted[slot / 64] |= UINT64_C(1) << (slot & 63);
    return ash_virtq_token(queue, slot);
}

/*
 * Shows what was submitted to the device, at once (2.7.13.3). True: notify it now. The full barrier
 * keeps the device from missing both the new index and the notification (2.7.13.4.1).
 */
static inline bool ash_virtq_publish(struct ash_virtq *queue) {
    uint16_t from = queue->published, to = queue->queued;
    if (from == to || ash_load_relaxed(&queue->fault) != ASH_VIRTQ_OK)
        return false;
    for (uint32_t i = 0; i * 64 < queue->slot_count; i++) {
        ash_store_release(&queue->started[i], queue->started[i] ^ queue->submitted[i]);
        queue->submitted[i] = 0;
    }
    ash_store_relaxed(&queue->published, to);
    ash_port_dma_wmb();
    ash_store_release(&queue->avail[1], ASH_VIRTQ_LE16(to));
    ash_port_dma_mb();
    if (!queue->event_idx)
        return (ASH_VIRTQ_LE16(ash_load_relaxed(&queue->used[0])) & 1u) == 0;
    uint16_t event = ash_load_relaxed(&queue->used[2 + queue->size * 4]);
    /* The event index lies in [from, to): 2.7.10. Modulo 2^16, so it wraps with the indices. */
    return (uint16_t)(to - ASH_VIRTQ_LE16(event) - 1u) < (uint16_t)(to - from);
}

/*
 * The next completion: its slot, and in *len what the device says it wrote; -ASH_EAGAIN: none yet;
 * -ASH_EIO: the queue is broken. The same one again until it is retired: read what the slot's owner
 * keeps in device-writable memory before that.
 */
int ash_virtq_next(struct ash_virtq *queue, uint32_t *len) ASH_MUST_CHECK;

/* A slot that a restart aborted, or -ASH_EAGAIN. The same one again until it is retired. */
int ash_virtq_next_aborted(const struct ash_virtq *queue) ASH_MUST_CHECK;

/* Consumes what ash_virtq_next or ash_virtq_next_aborted returned, and frees the slot. */
void ash_virtq_retire(struct ash_virtq *queue, uint32_t slot);

/* Asks for an interrupt at the completions-th completion from now (limited to those in flight, at
 * least 1). False: so many are there already, or the queue is broken: do not sleep (2.7.7.1). */
bool ash_virtq_arm(struct ash_virtq *queue, uint32_t completions) ASH_MUST_CHECK;
void ash_virtq_disarm(struct ash_virtq *queue);

/* Is this token's request queued, in flight or aborted? */
bool ash_virtq_pending(const struct ash_virtq *queue, uint32_t token);
uint32_t ash_virtq_in_flight(const struct ash_virtq *queue);

/* The first broken invariant by its number in DESIGN.md, or NULL. Alone; O(size). */
const char *ash_virtq_check(const struct ash_virtq *queue) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
