/* SPDX-License-Identifier: MIT */
/*
 * virtq.c: the split ring's slow half and its reaper. What the device writes is read once, into a
 * local, and validated here; the numbers I1.. are those of DESIGN.md.
 */
#include <ashlar/check.h>
#include <ashlar/virtq.h>

ASH_EVENT_DEFINE(broken_event, "virtq.broken", "queue,fault");

/* 2.7: descriptors of 16 bytes, used entries of 8, both packed by their own alignment. */
_Static_assert(sizeof(struct ash_virtq_desc) == 16, "virtq_desc, 2.7.5");
_Static_assert(offsetof(struct ash_virtq_desc, len) == 8, "virtq_desc, 2.7.5");
_Static_assert(offsetof(struct ash_virtq_desc, flags) == 12, "virtq_desc, 2.7.5");
_Static_assert(offsetof(struct ash_virtq_desc, next) == 14, "virtq_desc, 2.7.5");
_Static_assert(sizeof(struct ash_virtq_used_entry) == 8, "virtq_used_elem, 2.7.8");

enum {
    FLAGS = 0, /* of both rings, in 16-bit words */
    INDEX = 1,
    RING = 2,
    AVAIL_NO_INTERRUPT = 1, /* 2.7.7 */
    /* id / chain == id * ceil(2^20 / chain) >> 20 while id * chain < 2^20; both are <= 1024, and
     * id < slots * chain, so id * (rounding error <= chain) stays below 2^20. No division. */
    RECIPROCAL_SHIFT = 20,
};

const char *ash_virtq_fault_text(uint32_t fault) {
    static const char *const texts[] = {
        [ASH_VIRTQ_OK] = "",
        [ASH_VIRTQ_FAULT_USED_INDEX] = "the device claims more completions than are in flight",
        [ASH_VIRTQ_FAULT_ID_RANGE] = "the device completed a descriptor out of range",
        [ASH_VIRTQ_FAULT_ID_NOT_HEAD] = "the device completed a descriptor inside a chain",
        [ASH_VIRTQ_FAULT_NOT_PENDING] = "the device completed a request that is not in flight",
        [ASH_VIRTQ_FAULT_LENGTH] = "the device claims to have written more than it was given",
        [ASH_VIRTQ_FAULT_STATUS] = "the device completed a request with a status without meaning",
        [ASH_VIRTQ_FAULT_NEEDS_RESET] = "the device met an error and stopped; it needs a reset",
        [ASH_VIRTQ_FAULT_STOPPED] = "the queue is stopped",
    };
    return fault < ASH_ARRAY_LEN(texts) ? texts[fault] : "unknown fault";
}

/* Storage */

struct layout {
    size_t avail, used, slots, total; /* offsets; the descriptors begin at 0 */
};

/* No overflow: size <= 1024. */
static struct layout layout_of(uint32_t size, uint32_t slots) {
    struct layout layout;
    layout.avail = sizeof(struct ash_virtq_desc) * size;
    layout.used = ash_align_up(layout.avail + 2u * (RING + size + 1u), ASH_VIRTQ_STORAGE_ALIGN);
    /* A line apart: what only the driver writes never shares one with what the device writes. */
    layout.slots =
        ash_align_up(layout.used + 2u * (RING + 1u) + sizeof(struct ash_virtq_used_entry) * size,
                     ASH_VIRTQ_STORAGE_ALIGN);
    layout.total = layout.slots + sizeof(struct ash_virtq_slot) * slots;
    return layout;
}

static bool is_valid(uint32_t size, uint32_t chain, uint32_t slots) {
    return ash_is_pow2(size) && size <= ASH_VIRTQ_SIZE_MAX && chain != 0 && chain <= size &&
           slots != 0 && slots <= size / chain;
}

size_t ash_virtq_storage_size(uint32_t size, uint32_t chain, uint32_t slots) {
    return is_valid(size, chain, slots) ? layout_of(size, slots).total : 0;
}

/* In each slot: desc 0 -> 1 -> ... -> chain - 1. */
static void link_descriptors(struct ash_virtq *queue) {
    for (uint32_t id = 0; id < queue->slot_count * queue->chain; id++) {
        bool last = (id + 1) % queue->chain == 0;
        queue->desc[id] = (struct ash_virtq_desc){
            .flags = ASH_VIRTQ_LE16((uint16_t)(last ? 0 : ASH_VIRTQ_DESC_NEXT)),
            .next = ASH_VIRTQ_LE16((uint16_t)(last ? 0 : id + 1)),
        };
    }
}

int ash_virtq_init(struct ash_virtq *queue, uint32_t size, uint32_t chain, uint32_t slots,
                   void *storage, size_t storage_bytes) {
    if (!is_valid(size, chain, slots) || storage == NULL ||
        !ash_is_aligned((uintptr_t)storage, ASH_VIRTQ_STORAGE_ALIGN))
        return -ASH_EINVAL;
    struct layout layout = layout_of(size, slots);
    if (storage_bytes < layout.total)
        return -ASH_ENOMEM;
    char *base = storage;
    __builtin_memset(base, 0, layout.total);
    *queue = (struct ash_virtq){
        .desc = (struct ash_virtq_desc *)storage,
        .avail = (uint16_t *)(void *)(base + layout.avail),
        .used = (uint16_t *)(void *)(base + layout.used),
        .slots = (struct ash_virtq_slot *)(void *)(base + layout.slots),
        .size = size,
        .chain = chain,
        .slot_count = slots,
        .chain_reciprocal = ((1u << RECIPROCAL_SHIFT) + chain - 1) / chain,
    };
    queue->used_ring = (struct ash_virtq_used_entry *)(void *)(queue->used + RING);
    ash_virtq_restart(queue, false);
    return 0;
}

struct ash_virtq_area ash_virtq_desc_area(const struct ash_virtq *queue) {
    return (struct ash_virtq_area){queue->desc, sizeof(struct ash_virtq_desc) * queue->size};
}

struct ash_virtq_area ash_virtq_avail_area(const struct ash_virtq *queue) {
    return (struct ash_virtq_area){queue->avail, 2u * (RING + queue->size + 1u)};
}

struct ash_virtq_area ash_virtq_used_area(const struct ash_virtq *queue) {
    return (struct ash_virtq_area){
        queue->used, 2u * (RING + 1u) + sizeof(struct ash_virtq_used_entry) * queue->size};
}

/* Breaking and restarting */

void ash_virtq_break(struct ash_virtq *queue, enum ash_virtq_fault fault) {
    uint32_t none = ASH_VIRTQ_OK;
    if (ash_compare_exchange(&queue->fault, &none, (uint32_t)fault))
        ASH_EVENT(broken_event, (uintptr_t)queue, fault);
}

void ash_virtq_stop(struct ash_virtq *queue) {
    ash_store_relaxed(&queue->fault, (uint32_t)ASH_VIRTQ_FAULT_STOPPED);
}

static bool bit(const uint64_t *words, uint32_t index) {
    return (words[index / 64] >> (index & 63) & 1) != 0;
}

/* Published and not retired; those that a restart aborted, too. */
static bool is_in_flight(const struct ash_virtq *queue, uint32_t slot) {
    uint64_t word = ash_load_acquire(&queue->started[slot / 64]) ^ queue->finished[slot / 64];
    return (word >> (slot & 63) & 1) != 0;
}

void ash_virtq_restart(struct ash_virtq *queue, bool event_idx) {
    queue->aborted_count = 0;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(queue->aborted); i++) {
        queue->started[i] ^= queue->submitted[i];
        queue->submitted[i] = 0;
        queue->aborted[i] = queue->started[i] ^ queue->finished[i];
        queue->aborted_count += ash_popcount64(queue->aborted[i]);
    }
    link_descriptors(queue);
    __builtin_memset(queue->avail, 0, ash_virtq_avail_area(queue).bytes);
    __builtin_memset(queue->used, 0, ash_virtq_used_area(queue).bytes);
    queue->queued = queue->published = queue->used_next = 0;
    queue->event_idx = event_idx;
    ash_virtq_disarm(queue);
    ash_store_relaxed(&queue->fault, (uint32_t)ASH_VIRTQ_OK);
}

/* The reaper */

/* The slot whose first descriptor is id, if the device may complete it now. */
static enum ash_virtq_fault slot_of(const struct ash_virtq *queue, uint32_t id, uint32_t *slot) {
    if (id >= queue->slot_count * queue->chain)
        return ASH_VIRTQ_FAULT_ID_RANGE;
    *slot = id * queue->chain_reciprocal >> RECIPROCAL_SHIFT;
    if (*slot * queue->chain != id)
        return ASH_VIRTQ_FAULT_ID_NOT_HEAD;
    if (!is_in_flight(queue, *slot) || (queue->aborted_count != 0 && bit(queue->aborted, *slot)))
        return ASH_VIRTQ_FAULT_NOT_PENDING;
    return ASH_VIRTQ_OK;
}

static int broken(struct ash_virtq *queue, enum ash_virtq_fault fault) {
    ash_virtq_break(queue, fault);
    return -ASH_EIO;
}

int ash_virtq_next(struct ash_virtq *queue, uint32_t *len) {
    if (ASH_UNLIKELY(ash_load_relaxed(&queue->fault) != ASH_VIRTQ_OK))
        return -ASH_EIO;
    uint16_t index = ASH_VIRTQ_LE16(ash_load_acquire(&queue->used[INDEX]));
    uint16_t ready = (uint16_t)(index - queue->used_next);
    if (ready == 0)
        return -ASH_EAGAIN;
    ash_port_dma_rmb(); /* the entry after the index, 2.7.14 */
    uint16_t published = ash_load_relaxed(&queue->published);
    if (ASH_UNLIKELY(ready > (uint16_t)(published - queue->used_next)))
        return broken(queue, ASH_VIRTQ_FAULT_USED_INDEX);
    struct ash_virtq_used_entry *entry = &queue->used_ring[queue->used_next & (queue->size - 1)];
    uint32_t id = ASH_VIRTQ_LE32(ash_load_relaxed(&entry->id));
    uint32_t written = ASH_VIRTQ_LE32(ash_load_relaxed(&entry->len));
    uint32_t slot = 0;
    enum ash_virtq_fault fault = slot_of(queue, id, &slot);
    if (ASH_UNLIKELY(fault != ASH_VIRTQ_OK))
        return broken(queue, fault);
    if (ASH_UNLIKELY(written > queue->slots[slot].writable_bytes))
        return broken(queue, ASH_VIRTQ_FAULT_LENGTH);
    *len = written;
    return (int)slot;
}

int ash_virtq_next_aborted(const struct ash_virtq *queue) {
    if (ASH_LIKELY(queue->aborted_count == 0))
        return -ASH_EAGAIN;
    uint32_t word = 0;
    while (queue->aborted[word] == 0)
        word++;
    return (int)(word * 64 + ash_ctz64(queue->aborted[word]));
}

void ash_virtq_retire(struct ash_virtq *queue, uint32_t slot) {
    uint64_t mask = UINT64_C(1) << (slot & 63);
    ASH_ASSERT(slot < queue->slot_count && is_in_flight(queue, slot));
    if (ASH_UNLIKELY((queue->aborted[slot / 64] & mask) != 0)) {
        queue->aborted[slot / 64] ^= mask;
        queue->aborted_count--;
    } else {
        queue->used_next++;
    }
    ash_store_release(&queue->finished[slot / 64], queue->finished[slot / 64] ^ mask);
}

/* Interrupts wanted or not */

static uint16_t *used_event(const struct ash_virtq *queue) {
    return &queue->avail[RING + queue->size];
}

bool ash_virtq_arm(struct ash_virtq *queue, uint32_t completions) {
    if (ash_load_relaxed(&queue->fault) != ASH_VIRTQ_OK || queue->aborted_count != 0)
        return false;
    uint32_t in_flight = (uint16_t)(ash_load_relaxed(&queue->published) - queue->used_next);
    completions = completions < in_flight ? completions : in_flight;
    completions = completions == 0 ? 1 : completions;
    if (queue->event_idx) {
        uint16_t event = (uint16_t)(queue->used_next + completions - 1u);
        ash_store_relaxed(used_event(queue), ASH_VIRTQ_LE16(event));
    } else {
        ash_store_relaxed(&queue->avail[FLAGS], (uint16_t)0);
    }
    /* Either the device sees the wish, or the driver sees the completion: 2.7.7.1. */
    ash_port_dma_mb();
    uint16_t index = ASH_VIRTQ_LE16(ash_load_relaxed(&queue->used[INDEX]));
    return (uint16_t)(index - queue->used_next) < completions;
}

void ash_virtq_disarm(struct ash_virtq *queue) {
    if (queue->event_idx) {
        /* An index just passed: it comes again after 65536 completions, a harmless interrupt. */
        uint16_t event = (uint16_t)(queue->used_next - 1u);
        ash_store_relaxed(used_event(queue), ASH_VIRTQ_LE16(event));
    } else {
        ash_store_relaxed(&queue->avail[FLAGS], ASH_VIRTQ_LE16((uint16_t)AVAIL_NO_INTERRUPT));
    }
}

/* Looking at it */

bool ash_virtq_pending(const struct ash_virtq *queue, uint32_t token) {
    uint32_t slot = token & 0xffffu;
    return slot < queue->slot_count && ash_virtq_token(queue, slot) == token &&
           (is_in_flight(queue, slot) || bit(queue->submitted, slot));
}

uint32_t ash_virtq_in_flight(const struct ash_virtq *queue) {
    uint32_t count = 0;
    for (uint32_t i = 0; i * 64 < queue->slot_count; i++)
        count += ash_popcount64(queue->submitted[i]) +
                 ash_popcount64(ash_load_relaxed(&queue->started[i]) ^
                                ash_load_relaxed(&queue->finished[i]));
    return count;
}

/* I2, per slot; counts it. */
static const char *check_slot(const struct ash_virtq *queue, uint32_t slot, uint32_t *in_flight,
                              uint32_t *aborted, uint32_t *submitted) {
    bool is_busy = is_in_flight(queue, slot), is_aborted = bit(queue->aborted, slot);
    *in_flight += is_busy && !is_aborted;
    *aborted += is_aborted;
    *submitted += bit(queue->submitted, slot);
    if (slot >= queue->slot_count && (is_busy || is_aborted || bit(queue->submitted, slot)))
        return "I1: a slot that does not exist is in flight";
    if (is_aborted && !is_busy)
        return "I2: a free slot is marked as aborted";
    if (is_busy && bit(queue->submitted, slot))
        return "I2: a slot in flight was submitted again";
    return NULL;
}

/* I3: what waits to be published stands in the avail ring, each slot once. */
static const char *check_unpublished(const struct ash_virtq *queue) {
    uint64_t seen[ASH_VIRTQ_SIZE_MAX / 64] = {0};
    for (uint16_t i = queue->published; i != queue->queued; i++) {
        uint32_t id = ASH_VIRTQ_LE16(queue->avail[RING + (i & (queue->size - 1))]);
        uint32_t slot = id / queue->chain;
        if (id % queue->chain != 0 || slot >= queue->slot_count || bit(seen, slot) ||
            !bit(queue->submitted, slot))
            return "I3: the avail ring does not name the submitted slots, each once";
        seen[slot / 64] |= UINT64_C(1) << (slot & 63);
    }
    return NULL;
}

/* I4 */
static const char *check_links(const struct ash_virtq *queue) {
    for (uint32_t id = 0; id < queue->slot_count * queue->chain; id++) {
        bool last = (id + 1) % queue->chain == 0;
        bool next = (ASH_VIRTQ_LE16(queue->desc[id].flags) & ASH_VIRTQ_DESC_NEXT) != 0;
        if (next == last || (next && ASH_VIRTQ_LE16(queue->desc[id].next) != id + 1))
            return "I4: a slot's descriptors are not linked";
    }
    return NULL;
}

const char *ash_virtq_check(const struct ash_virtq *queue) {
    if (!is_valid(queue->size, queue->chain, queue->slot_count))
        return "I1: size, chain and slots do not fit each other";
    uint32_t in_flight = 0, aborted = 0, submitted = 0;
    for (uint32_t slot = 0; slot < ASH_VIRTQ_SIZE_MAX; slot++) {
        const char *broken_slot = check_slot(queue, slot, &in_flight, &aborted, &submitted);
        if (broken_slot != NULL)
            return broken_slot;
    }
    if (in_flight != (uint16_t)(queue->published - queue->used_next) ||
        submitted != (uint16_t)(queue->queued - queue->published) ||
        aborted != queue->aborted_count)
        return "I2: the bitmaps and the ring indices count differently";
    if (ASH_VIRTQ_LE16(queue->avail[INDEX]) != queue->published)
        return "I5: avail.idx is not what was published";
    const char *broken_ring = check_unpublished(queue);
    return broken_ring != NULL ? broken_ring : check_links(queue);
}
