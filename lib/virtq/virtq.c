/* SPDX-License-Identifier: MIT */
/*
 * virtq.c: what a request does not pass: storage, restart, what was aborted, interrupts wanted or
 * not.
 */
#include <ashlar/check.h>
#include <ashlar/virtq.h>

ASH_EVENT_DEFINE(broken_event, "virtq.broken", "queue:x,fault");

_Static_assert(sizeof(struct ash_virtq_desc) == 16, "virtq_desc, 2.7.5; pvirtq_desc, 2.8.13");
_Static_assert(offsetof(struct ash_virtq_desc, len) == 8, "virtq_desc, 2.7.5");
_Static_assert(offsetof(struct ash_virtq_desc, u.split.flags) == 12, "virtq_desc, 2.7.5");
_Static_assert(offsetof(struct ash_virtq_desc, u.split.next) == 14, "virtq_desc, 2.7.5");
_Static_assert(offsetof(struct ash_virtq_desc, u.packed.id) == 12, "pvirtq_desc, 2.8.13");
_Static_assert(offsetof(struct ash_virtq_desc, u.packed.flags) == 14, "pvirtq_desc, 2.8.13");
_Static_assert(sizeof(struct ash_virtq_used_entry) == 8, "virtq_used_elem, 2.7.8");
_Static_assert(sizeof(struct ash_virtq_slot) == ASH_VIRTQ_STORAGE_ALIGN, "a line per slot");

enum {
    AVAIL_NO_INTERRUPT = 1, /* 2.7.7 */
    EVENT_BYTES = 4,        /* of an event suppression structure, 2.8.10 */
    LAP = 1 << 15,          /* desc_event_wrap, beside desc_event_off */
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
        [ASH_VIRTQ_FAULT_TIMEOUT] = "a request was not done by its deadline; reset the device",
        [ASH_VIRTQ_FAULT_STOPPED] = "the queue is stopped",
    };
    return fault < ASH_ARRAY_LEN(texts) ? texts[fault] : "unknown fault";
}

/* Storage. No overflow: nothing exceeds 1024 entries. */

/* Descriptors that a slot owns: its chain, and the way to its table. */
static uint32_t shift_of(const struct ash_virtq_config *config) {
    return ash_log2_ceil(config->chain + (config->table != 0));
}

uint32_t ash_virtq_slots_max(const struct ash_virtq_config *config) {
    if (!ash_is_pow2(config->size) || config->size > ASH_VIRTQ_SIZE_MAX || config->chain == 0 ||
        config->chain > config->size || config->table > config->size)
        return 0;
    return config->size >> shift_of(config);
}

static bool is_valid(const struct ash_virtq_config *config) {
    return config->slots != 0 && config->slots <= ash_virtq_slots_max(config);
}

static size_t align_line(size_t bytes) {
    return (size_t)ash_align_up(bytes, ASH_VIRTQ_STORAGE_ALIGN);
}

static size_t slots_bytes(const struct ash_virtq_config *config) {
    return align_line(sizeof(struct ash_virtq_slot) * config->slots);
}

size_t ash_virtq_storage_size(const struct ash_virtq_config *config) {
    if (!is_valid(config))
        return 0;
    return slots_bytes(config) +
           align_line(sizeof(struct ash_virtq_desc) * (config->slots << shift_of(config)));
}

/* The used ring of a split queue. */
static size_t used_bytes(uint32_t size) {
    return 2u * (ASH__VIRTQ_RING + 1u) + sizeof(struct ash_virtq_used_entry) * size;
}

/* Offsets; the ring begins at 0. The areas of the split format are the larger ones. */
struct layout {
    size_t driver, device, tables, total;
};

static struct layout layout_of(const struct ash_virtq_config *config) {
    struct layout layout;
    layout.driver = align_line(sizeof(struct ash_virtq_desc) * config->size);
    /* Lines apart: what only the driver writes shares none with what the device writes. */
    layout.device = layout.driver + align_line(2u * (ASH__VIRTQ_RING + config->size + 1u));
    layout.tables = align_line(layout.device + used_bytes(config->size));
    layout.total =
        layout.tables + align_line(sizeof(struct ash_virtq_desc) * config->table * config->slots);
    return layout;
}

size_t ash_virtq_dma_size(const struct ash_virtq_config *config) {
    return is_valid(config) ? layout_of(config).total : 0;
}

int ash_virtq_init(struct ash_virtq *queue, const struct ash_virtq_config *config, void *storage,
                   size_t storage_bytes, const struct ash_virtq_dma *dma) {
    if (!is_valid(config) || storage == NULL || dma->pointer == NULL ||
        !ash_is_aligned((uintptr_t)storage | (uintptr_t)dma->pointer | dma->address,
                        ASH_VIRTQ_STORAGE_ALIGN))
        return -ASH_EINVAL;
    struct layout layout = layout_of(config);
    if (storage_bytes < ash_virtq_storage_size(config) || dma->bytes < layout.total)
        return -ASH_ENOMEM;
    if (dma->address > UINT64_MAX - layout.total)
        return -ASH_EINVAL;
    char *shared = dma->pointer, *own = storage;
    *queue = (struct ash_virtq){
        .ring = (struct ash_virtq_desc *)dma->pointer,
        .driver_area = (uint16_t *)(void *)(shared + layout.driver),
        .device_area = (uint16_t *)(void *)(shared + layout.device),
        .tables = (struct ash_virtq_desc *)(void *)(shared + layout.tables),
        .slots = storage,
        .own_chains = (struct ash_virtq_desc *)(void *)(own + slots_bytes(config)),
        .size = config->size,
        .mask = config->size - 1,
        .table = config->table,
        .slot_count = config->slots,
        .shape = {.chain = config->chain, .shift = shift_of(config)},
        .dma = *dma,
    };
    queue->avail_ring = queue->driver_area + ASH__VIRTQ_RING;
    queue->used_ring =
        (struct ash_virtq_used_entry *)(void *)(queue->device_area + ASH__VIRTQ_RING);
    queue->avail_event = (uint16_t *)(void *)(queue->used_ring + config->size);
    __builtin_memset(storage, 0, ash_virtq_storage_size(config));
    for (uint32_t slot = 0; slot < config->slots; slot++)
        queue->slots[slot].token = slot;
    ash_virtq_restart(queue, 0);
    ash_virtq_stop(queue);
    return 0;
}

static struct ash_virtq_area area(const struct ash_virtq *queue, const void *pointer,
                                  size_t bytes) {
    size_t offset = (size_t)((const char *)pointer - (const char *)queue->dma.pointer);
    return (struct ash_virtq_area){queue->dma.address + offset, bytes};
}

struct ash_virtq_area ash_virtq_desc_area(const struct ash_virtq *queue) {
    return area(queue, queue->ring, sizeof(struct ash_virtq_desc) * queue->size);
}

struct ash_virtq_area ash_virtq_driver_area(const struct ash_virtq *queue) {
    return area(queue, queue->driver_area,
                queue->shape.packed ? EVENT_BYTES : 2u * (ASH__VIRTQ_RING + queue->size + 1u));
}

struct ash_virtq_area ash_virtq_device_area(const struct ash_virtq *queue) {
    return area(queue, queue->device_area,
                queue->shape.packed ? EVENT_BYTES : used_bytes(queue->size));
}

/* Breaking and restarting */

void ash_virtq_break(struct ash_virtq *queue, enum ash_virtq_fault fault) {
    uint32_t none = ASH_VIRTQ_OK;
    if (ash_compare_exchange(&queue->fault, &none, (uint32_t)fault))
        ASH_EVENT(broken_event, (uintptr_t)queue, fault);
}

int ash__virtq_broken(struct ash_virtq *queue, enum ash_virtq_fault fault) {
    ash_virtq_break(queue, fault);
    return -ASH_EIO;
}

int ash__virtq_judge(struct ash_virtq *queue, uint32_t id, uint32_t len) {
    uint32_t slot = queue->shape.packed ? id : id >> queue->shape.shift;
    if (slot >= queue->slot_count)
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_ID_RANGE);
    if (!ash__virtq_is_due(queue, slot))
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_NOT_PENDING);
    if (id != (queue->slots[slot].id & ~ASH__VIRTQ_ODD))
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_ID_NOT_HEAD);
    if (len > queue->slots[slot].writable_bytes)
        return ash__virtq_broken(queue, ASH_VIRTQ_FAULT_LENGTH);
    return (int)slot;
}

void ash_virtq_stop(struct ash_virtq *queue) {
    ash_store_relaxed(&queue->fault, (uint32_t)ASH_VIRTQ_FAULT_STOPPED);
}

static bool bit(const uint64_t *words, uint32_t index) {
    return (words[index / 64] >> (index & 63) & 1) != 0;
}

static ash_paddr_t table_address(const struct ash_virtq *queue, uint32_t slot) {
    return area(queue, &queue->tables[slot * queue->table], 0).address;
}

/* In each slot: 0 -> 1 -> ... -> chain - 1; then the one that points to the table. */
static void link_slot(struct ash_virtq *queue, uint32_t slot) {
    uint32_t first = slot << queue->shape.shift;
    for (uint32_t i = 0; i < queue->shape.chain; i++) {
        bool has_next = i + 1 < queue->shape.chain;
        struct ash_virtq_desc *desc = &queue->chains[first + i];
        desc->u.split.flags = ASH_VIRTQ_LE16((uint16_t)(has_next ? ASH_VIRTQ_DESC_NEXT : 0u));
        desc->u.split.next = ASH_VIRTQ_LE16((uint16_t)(has_next ? first + i + 1 : 0u));
    }
    if (queue->table == 0)
        return;
    struct ash_virtq_desc *way = &queue->chains[first + queue->shape.chain];
    way->address = ASH_VIRTQ_LE64(table_address(queue, slot));
    way->u.split.flags = ASH_VIRTQ_LE16((uint16_t)ASH_VIRTQ_DESC_INDIRECT);
}

/* Everything in flight is aborted; what was submitted, too; and what was so before stays so. */
static void abort_all(struct ash_virtq *queue) {
    ash__virtq_settle(queue);
    queue->is_settled = true;
    queue->aborted_count = 0;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(queue->aborted); i++) {
        queue->aborted[i] |= (queue->started[i] ^ queue->finished[i]) | queue->submitted[i];
        queue->started[i] = queue->finished[i];
        queue->submitted[i] = 0;
        queue->aborted_count += ash_popcount64(queue->aborted[i]);
    }
}

void ash_virtq_restart(struct ash_virtq *queue, uint32_t features) {
    abort_all(queue);
    queue->event_idx = (features & ASH_VIRTQ_EVENT_IDX) != 0;
    queue->shape.packed = (features & ASH_VIRTQ_PACKED) != 0;
    queue->chains = queue->shape.packed ? queue->own_chains : queue->ring;
    size_t tables_bytes = sizeof(struct ash_virtq_desc) * queue->table * queue->slot_count;
    __builtin_memset(queue->dma.pointer, 0,
                     (size_t)((char *)queue->tables - (char *)queue->dma.pointer) + tables_bytes);
    for (uint32_t slot = 0; slot < queue->slot_count; slot++)
        link_slot(queue, slot);
    queue->queued = queue->published = queue->used_next = queue->used_seen = 0;
    queue->position = queue->used_position = 0;
    queue->entries_queued = queue->entries_published = queue->entries_used = 0;
    /* The first lap: available is AVAIL without USED, used is both, 2.8.1. */
    queue->avail_flags = ASH_VIRTQ_DESC_AVAIL;
    queue->used_flags = ASH_VIRTQ_DESC_AVAIL | ASH_VIRTQ_DESC_USED;
    ash_virtq_disarm(queue);
    ash_store_relaxed(&queue->fault, (uint32_t)ASH_VIRTQ_OK);
}

int ash_virtq_next_aborted(const struct ash_virtq *queue) {
    if (ASH_LIKELY(queue->aborted_count == 0))
        return -ASH_EAGAIN;
    uint32_t word = 0;
    while (queue->aborted[word] == 0)
        word++;
    return (int)(word * 64 + ash_ctz64(queue->aborted[word]));
}

static void forget_aborted(struct ash_virtq *queue, uint32_t slot) {
    uint64_t mask = UINT64_C(1) << (slot & 63);
    ASH_ASSERT(slot < queue->slot_count && bit(queue->aborted, slot));
    queue->aborted_count--;
    /* Release: as when a slot is retired. */
    ash_store_release(&queue->aborted[slot / 64], queue->aborted[slot / 64] ^ mask);
}

void ash_virtq_retire_aborted(struct ash_virtq *queue, uint32_t slot) {
    forget_aborted(queue, slot);
}

/* An aborted slot once more, under its token; the id may be another one. */
static void offer_again(struct ash_virtq *queue, uint32_t slot, uint32_t head, uint32_t entries) {
    uint32_t *id = &queue->slots[slot].id;
    forget_aborted(queue, slot);
    *id =
        ash__virtq_offer(queue, queue->shape.packed, slot, head, entries) | (*id & ASH__VIRTQ_ODD);
    queue->queued++;
    queue->submitted[slot / 64] |= UINT64_C(1) << (slot & 63);
    queue->is_settled = false;
}

void ash_virtq_resubmit(struct ash_virtq *queue, uint32_t slot, uint32_t first) {
    offer_again(queue, slot, (slot << queue->shape.shift) + first, queue->shape.chain - first);
}

void ash_virtq_resubmit_table(struct ash_virtq *queue, uint32_t slot, uint32_t count) {
    offer_again(queue, slot, ash__virtq_table_head(queue, slot, count), 1);
}

/* Interrupts wanted or not */

static uint16_t *used_event(const struct ash_virtq *queue) {
    return &queue->driver_area[ASH__VIRTQ_RING + queue->size];
}

static bool arm_split(struct ash_virtq *queue, uint32_t completions) {
    if (queue->event_idx) {
        uint16_t event = (uint16_t)(queue->used_next + completions - 1u);
        ash_store_relaxed(used_event(queue), ASH_VIRTQ_LE16(event));
    } else {
        ash_store_relaxed(&queue->driver_area[ASH__VIRTQ_FLAGS], (uint16_t)0);
    }
    /* Either the device sees the wish, or the driver sees the completion: 2.7.7.1. */
    ash_port_dma_mb();
    uint16_t index = ASH_VIRTQ_LE16(ash_load_relaxed(&queue->device_area[ASH__VIRTQ_INDEX]));
    return (uint16_t)(index - queue->used_next) < completions;
}

/* The entry, counted from the next one to be used, at which so many requests will be done. */
static uint32_t entries_before(const struct ash_virtq *queue, uint32_t completions,
                               uint32_t in_flight) {
    if (completions == 1)
        return 0;
    uint32_t entries =
        (uint16_t)(ash_load_relaxed(&queue->entries_published) - queue->entries_used);
    return entries * (completions - 1) / in_flight;
}

static bool arm_packed(struct ash_virtq *queue, uint32_t completions, uint32_t in_flight) {
    uint16_t *event = queue->driver_area;
    if (queue->event_idx && in_flight != 0) {
        uint32_t offset = queue->used_position + entries_before(queue, completions, in_flight);
        uint32_t lap = (queue->used_flags & ASH_VIRTQ_DESC_USED) != 0 ? LAP : 0;
        if (offset >= queue->size) {
            offset -= queue->size;
            lap ^= LAP;
        }
        ash_store_relaxed(&event[ASH__VIRTQ_EVENT_OFFSET],
                          ASH_VIRTQ_LE16((uint16_t)(offset | lap)));
        ash_port_dma_wmb();
        ash_store_relaxed(&event[ASH__VIRTQ_EVENT_FLAGS],
                          ASH_VIRTQ_LE16((uint16_t)ASH_VIRTQ_EVENT_DESC));
    } else {
        ash_store_relaxed(&event[ASH__VIRTQ_EVENT_FLAGS],
                          ASH_VIRTQ_LE16((uint16_t)ASH_VIRTQ_EVENT_ENABLE));
    }
    /* As above, 2.8.10. The first one stands for all: were any done, it would be. */
    ash_port_dma_mb();
    return !ash__virtq_is_used(queue);
}

bool ash_virtq_arm(struct ash_virtq *queue, uint32_t completions) {
    if (ash_load_relaxed(&queue->fault) != ASH_VIRTQ_OK || queue->aborted_count != 0)
        return false;
    uint32_t in_flight = ash__virtq_shown(queue);
    completions = completions < in_flight ? completions : in_flight;
    completions = completions == 0 ? 1 : completions;
    return queue->shape.packed ? arm_packed(queue, completions, in_flight)
                               : arm_split(queue, completions);
}

void ash_virtq_disarm(struct ash_virtq *queue) {
    if (queue->shape.packed) {
        ash_store_relaxed(&queue->driver_area[ASH__VIRTQ_EVENT_FLAGS],
                          ASH_VIRTQ_LE16((uint16_t)ASH_VIRTQ_EVENT_DISABLE));
    } else if (queue->event_idx) {
        /* An index just passed: it comes again after 65536 completions, a harmless interrupt. */
        uint16_t event = (uint16_t)(queue->used_next - 1u);
        ash_store_relaxed(used_event(queue), ASH_VIRTQ_LE16(event));
    } else {
        ash_store_relaxed(&queue->driver_area[ASH__VIRTQ_FLAGS],
                          ASH_VIRTQ_LE16((uint16_t)AVAIL_NO_INTERRUPT));
    }
}

/* Looking at it */

/* Submitted, in flight or aborted, of 64 slots. */
static uint64_t busy(const struct ash_virtq *queue, uint32_t word) {
    uint64_t submitted = queue->submitted[word];
    if (word == queue->free_base / 64)
        submitted |= queue->free_found ^ queue->free_slots;
    return submitted | ash_load_relaxed(&queue->aborted[word]) |
           (ash_load_acquire(&queue->started[word]) ^ ash_load_relaxed(&queue->finished[word]));
}

bool ash_virtq_pending(const struct ash_virtq *queue, uint32_t token) {
    uint32_t slot = ash__virtq_slot_of(token);
    return slot < queue->slot_count && ash_virtq_token(queue, slot) == token &&
           (busy(queue, slot / 64) >> (slot & 63) & 1) != 0;
}

uint32_t ash_virtq_in_flight(const struct ash_virtq *queue) {
    uint32_t count = 0;
    for (uint32_t i = 0; i * 64 < queue->slot_count; i++)
        count += ash_popcount64(busy(queue, i));
    return count;
}
