/* SPDX-License-Identifier: MIT */
/* virtq_check.c: the checker; I1.. as DESIGN.md numbers them. */
#include <ashlar/virtq.h>

static bool bit(const uint64_t *words, uint32_t index) {
    return (words[index / 64] >> (index & 63) & 1) != 0;
}

struct tally {
    uint32_t in_flight, aborted, submitted;
    uint32_t entries_published, entries_submitted;
};

static bool is_out(const struct ash_virtq *queue, uint32_t slot) {
    uint64_t recent =
        slot / 64 == queue->free_base / 64 ? queue->free_found ^ queue->free_slots : 0;
    return bit(queue->submitted, slot) || (recent >> (slot & 63) & 1) != 0;
}

/* I1: does a bit of `word` stand for no slot? */
static bool is_beyond(const struct ash_virtq *queue, uint32_t word) {
    uint64_t recent = queue->free_base / 64 == word ? queue->free_found | queue->free_slots : 0;
    uint64_t used = (queue->started[word] ^ queue->finished[word]) | queue->aborted[word] |
                    queue->submitted[word] | recent;
    uint32_t first = word * 64, slots = queue->slot_count;
    uint64_t existing = slots >= first + 64 ? UINT64_MAX
                        : slots > first     ? (UINT64_C(1) << (slots - first)) - 1
                                            : 0;
    return (used & ~existing) != 0;
}

/* Split: the descriptor that its request begins with. */
static uint32_t head_of(const struct ash_virtq *queue, uint32_t slot) {
    return queue->slots[slot].id & ~ASH__VIRTQ_ODD;
}

/* I2, per slot; counts it. */
static const char *check_slot(const struct ash_virtq *queue, uint32_t slot, struct tally *tally) {
    bool is_busy = bit(queue->started, slot) != bit(queue->finished, slot);
    bool is_aborted = bit(queue->aborted, slot), is_submitted = is_out(queue, slot);
    bool is_known_free =
        slot / 64 == queue->free_base / 64 && (queue->free_slots >> (slot & 63) & 1) != 0;
    if (is_busy + is_aborted + is_submitted > 1)
        return "I2: a slot is more than one of submitted, in flight and aborted";
    if (is_known_free && (is_busy || is_aborted || is_submitted))
        return "I2: a slot that is remembered as free is not";
    if (ash__virtq_slot_of(queue->slots[slot].token) != slot)
        return "I2: a token names another slot than its own";
    uint32_t entries = queue->slots[slot].entries;
    if (entries > queue->shape.chain)
        return "I2: a slot takes more descriptors than it has";
    if (!queue->shape.packed && (is_busy || is_submitted)) {
        uint32_t first = slot << queue->shape.shift, head = head_of(queue, slot);
        bool is_table = queue->table != 0 && head == first + queue->shape.chain;
        if (!is_table && (head < first || head >= first + queue->shape.chain))
            return "I2: a request begins outside of its slot";
    }
    tally->in_flight += is_busy;
    tally->aborted += is_aborted;
    tally->submitted += is_submitted;
    tally->entries_published += is_busy ? entries : 0;
    tally->entries_submitted += is_submitted ? entries : 0;
    return NULL;
}

static const char *check_counts(const struct ash_virtq *queue, const struct tally *tally) {
    if (tally->in_flight != (uint16_t)(queue->published - queue->used_next) ||
        tally->submitted != (uint16_t)(queue->queued - queue->published) ||
        tally->aborted != queue->aborted_count)
        return "I2: the bitmaps and the ring indices count differently";
    if (queue->shape.packed &&
        (tally->entries_published != (uint16_t)(queue->entries_published - queue->entries_used) ||
         tally->entries_submitted != (uint16_t)(queue->entries_queued - queue->entries_published)))
        return "I2: the slots and the packed ring count entries differently";
    return NULL;
}

/* I3, split: what waits to be published stands in the avail ring, each slot once. */
static const char *check_unpublished(const struct ash_virtq *queue) {
    uint64_t seen[ASH_VIRTQ_SIZE_MAX / 64] = {0};
    for (uint16_t i = queue->published; i != queue->queued; i++) {
        uint32_t id = ASH_VIRTQ_LE16(queue->driver_area[ASH__VIRTQ_RING + (i & (queue->size - 1))]);
        uint32_t slot = id >> queue->shape.shift;
        if (slot >= queue->slot_count || bit(seen, slot) || !is_out(queue, slot) ||
            head_of(queue, slot) != id)
            return "I3: the avail ring does not name the submitted slots, each once";
        seen[slot / 64] |= UINT64_C(1) << (slot & 63);
    }
    return NULL;
}

/* I3, packed: behind what was submitted comes what is free or in flight; the laps agree. */
static const char *check_packed(const struct ash_virtq *queue) {
    uint32_t held = (uint16_t)(queue->entries_queued - queue->entries_used);
    uint32_t end = queue->used_position + held;
    bool is_same_lap =
        (queue->used_flags != 0) == ((queue->avail_flags & ASH_VIRTQ_DESC_AVAIL) != 0);
    if (held > queue->size || queue->position != (end >= queue->size ? end - queue->size : end) ||
        is_same_lap != (end < queue->size))
        return "I3: the places in the packed ring do not fit what is in flight";
    if (queue->entries_queued != queue->entries_published &&
        (ash_load_relaxed(&queue->ring[queue->held_position].u.packed.flags) &
         ASH_VIRTQ_LE16(ASH_VIRTQ_DESC_AVAIL | ASH_VIRTQ_DESC_USED)) ==
            (queue->held_flags & ASH_VIRTQ_LE16(ASH_VIRTQ_DESC_AVAIL | ASH_VIRTQ_DESC_USED)))
        return "I3: what was not published is in the device's sight";
    return NULL;
}

/* I4 */
static const char *check_links(const struct ash_virtq *queue) {
    for (uint32_t slot = 0; slot < queue->slot_count; slot++) {
        uint32_t first = slot << queue->shape.shift;
        for (uint32_t id = first; id < first + queue->shape.chain; id++) {
            const struct ash_virtq_desc *desc = &queue->chains[id];
            bool is_last = id + 1 == first + queue->shape.chain;
            bool has_next = (ASH_VIRTQ_LE16(desc->u.split.flags) & ASH_VIRTQ_DESC_NEXT) != 0;
            if (has_next == is_last || (has_next && ASH_VIRTQ_LE16(desc->u.split.next) != id + 1))
                return "I4: a slot's descriptors are not linked";
        }
    }
    return NULL;
}

const char *ash_virtq_check(const struct ash_virtq *queue) {
    const struct ash_virtq_config config = {queue->size, queue->slot_count, queue->shape.chain,
                                            queue->table};
    if (queue->slot_count == 0 || queue->slot_count > ash_virtq_slots_max(&config) ||
        queue->mask != queue->size - 1)
        return "I1: size, chain, table and slots do not fit each other";
    for (uint32_t word = 0; word < ASH_ARRAY_LEN(queue->started); word++) {
        if (is_beyond(queue, word))
            return "I1: a slot that does not exist is in use";
    }
    struct tally tally = {0};
    for (uint32_t slot = 0; slot < queue->slot_count; slot++) {
        const char *broken = check_slot(queue, slot, &tally);
        if (broken != NULL)
            return broken;
    }
    const char *broken = check_counts(queue, &tally);
    if (broken == NULL && !queue->shape.packed &&
        ASH_VIRTQ_LE16(queue->driver_area[ASH__VIRTQ_INDEX]) != queue->published)
        broken = "I5: avail.idx is not what was published";
    if (broken == NULL)
        broken = queue->shape.packed ? check_packed(queue) : check_unpublished(queue);
    return broken != NULL ? broken : check_links(queue);
}
