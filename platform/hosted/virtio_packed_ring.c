/* SPDX-License-Identifier: MIT */
/*
 * virtio_packed_ring.c: where packed virtqueues show in guest memory (virtio 1.2, 2.8).
 *
 * A position counts descriptors since the queue became ready: its place in the ring is the rest of
 * a division by the size, its wrap counter tells even laps (1) from odd ones (0). The device writes
 * used descriptors at its own position, one for each chain, in the order in which chains are done;
 * it skips as many places as the chain had. So a chain that is still in flight may lie under a used
 * descriptor, or under a later chain that the driver wrote into the place that became free: what is
 * in flight is remembered here, not read again.
 *
 *    place     0    1    2    3    4    5    6    7     size 8; chains A (0-2), B (3-4), C (5)
 *              A    A    A    B    B    C    -    -
 *              uB   -    A    B    B    C    -    -     B is done first: used over A's beginning;
 *                        ^                              the next used one goes here; four places
 *                                                       are the driver's: 6, 7, 0, 1
 */
#include <string.h>

#include "virtio_ring.h"

enum {
    DESC_F_AVAIL = 1 << 7,
    DESC_F_USED = 1 << 15,
    DESC_F_ALL = 7 | DESC_F_AVAIL | DESC_F_USED,
    EVENT_ENABLE = 0,
    EVENT_DISABLE = 1,
    EVENT_DESC = 2,
    EVENT_WRAP = 1 << 15,
};

static ash_paddr_t desc_at(const struct fake_virtio_queue *queue, uint64_t position) {
    return queue->desc + FAKE_VIRTIO_DESC_BYTES * (position % queue->size);
}

static ash_paddr_t flags_at(const struct fake_virtio_queue *queue, uint64_t position) {
    return desc_at(queue, position) + 14;
}

static bool wrap_of(const struct fake_virtio_queue *queue, uint64_t position) {
    return position / queue->size % 2 == 0;
}

static uint16_t used_bits(bool wrap) {
    return wrap ? DESC_F_AVAIL | DESC_F_USED : 0;
}

static uint16_t avail_bits(bool wrap) {
    return wrap ? DESC_F_AVAIL : DESC_F_USED;
}

static uint16_t bits_at(struct fake_virtio *device, const struct fake_virtio_queue *queue,
                        uint64_t position) {
    return fake_virtio_load_u16(device, flags_at(queue, position)) & (DESC_F_AVAIL | DESC_F_USED);
}

static bool is_available(struct fake_virtio *device, const struct fake_virtio_queue *queue,
                         uint64_t position) {
    return bits_at(device, queue, position) == avail_bits(wrap_of(queue, position));
}

/* New rings */

static bool check_areas(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    bool desc = fake_virtio_check_area(device, queue, queue->desc,
                                       (uint64_t)FAKE_VIRTIO_DESC_BYTES * queue->size, 16);
    bool driver = fake_virtio_check_area(device, queue, queue->avail, 4, 4);
    bool own = fake_virtio_check_area(device, queue, queue->used, 4, 4);
    if (!desc || !driver || !own)
        return false;
    for (uint32_t i = 0; i < queue->size && !device->heard_late; i++) {
        if (bits_at(device, queue, i) != 0) {
            fake_virtio_violate(device, FAKE_VIRTIO_RULE_RING_NOT_ZERO, "queue %u, descriptor %u",
                                queue->index, i);
            break;
        }
    }
    return true;
}

static void start(struct fake_virtio_queue *queue) {
    struct fake_virtio_packed *packed = &queue->ring.packed;
    memset(packed->ids, 0, sizeof(packed->ids));
    for (uint32_t i = 0; i < queue->size; i++)
        packed->kept_next[i] = (uint16_t)(i + 1);
    packed->kept_free = 0;
    packed->first_at = 0;
}

/* Available buffers */

static uint64_t room(const struct fake_virtio_queue *queue) {
    return queue->size - queue->in_flight_descriptors;
}

static uint64_t offered(struct fake_virtio *device, const struct fake_virtio_queue *queue) {
    uint64_t position = queue->avail_next, end = position + room(queue);
    while (position != end && is_available(device, queue, position))
        position++;
    return position;
}

/* Whether the next descriptor is available; checks what the driver made of it (2.8.1). */
static bool waiting(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint64_t position = queue->avail_next;
    uint16_t bits = bits_at(device, queue, position);
    bool wrap = wrap_of(queue, position);
    if (bits == used_bits(wrap) && !device->lied) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_DESC_BITS,
                            "queue %u, descriptor %llu, flags 0x%x, wrap counter %u", queue->index,
                            (unsigned long long)(position % queue->size), bits, wrap);
        return false;
    }
    if (bits != avail_bits(wrap))
        return false;
    if (room(queue) == 0) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_RING_OVERRUN,
                            "queue %u: descriptor %llu, all %u are in flight", queue->index,
                            (unsigned long long)(position % queue->size), queue->size);
        return false;
    }
    return true;
}

static bool walk_table(struct fake_virtio_walk *walk, const struct fake_virtio_descriptor *table) {
    uint32_t entries = table->len / FAKE_VIRTIO_DESC_BYTES;
    for (uint32_t i = 0; i < entries; i++) {
        struct fake_virtio_descriptor d = fake_virtio_read_descriptor(
            walk->device, walk->queue, table->addr + (uint64_t)FAKE_VIRTIO_DESC_BYTES * i);
        if (walk->fetches && (d.flags & ~FAKE_VIRTIO_DESC_F_WRITE) != 0)
            fake_virtio_violate(walk->device, FAKE_VIRTIO_RULE_INDIRECT_FLAGS,
                                "queue %u, entry %u, flags 0x%x", walk->queue->index, i, d.flags);
        fake_virtio_walk_digest(walk, &d);
        if (!fake_virtio_walk_element(walk, &d))
            return false;
    }
    return true;
}

/* One descriptor of the ring: an element, or the table of them all. */
static bool walk_descriptor(struct fake_virtio_walk *walk, const struct fake_virtio_descriptor *d,
                            uint32_t index) {
    if ((d->flags & FAKE_VIRTIO_DESC_F_INDIRECT) == 0)
        return fake_virtio_walk_element(walk, d);
    if (index != 0) /* a list is of one kind (2.8.5) */
        return FAKE_VIRTIO_WALK_FAILS(walk, INDIRECT_NEXT, "element %u, flags 0x%x", index,
                                      d->flags);
    return fake_virtio_walk_check_table(walk, d) && walk_table(walk, d);
}

/* The descriptor at a place of the chain that begins at the next available one, if it is one. */
static bool read_next(struct fake_virtio_walk *walk, uint32_t index,
                      struct fake_virtio_descriptor *d) {
    struct fake_virtio_queue *queue = walk->queue;
    uint64_t position = queue->avail_next + index;
    if (index == queue->size)
        return FAKE_VIRTIO_WALK_FAILS(walk, CHAIN_LENGTH, "more than %u descriptors", index);
    if (index >= room(queue))
        return FAKE_VIRTIO_WALK_FAILS(walk, RING_OVERRUN, "descriptor %u of the chain, room for %u",
                                      index, (uint32_t)room(queue));
    if (!is_available(walk->device, queue, position))
        return FAKE_VIRTIO_WALK_FAILS(walk, CHAIN_PARTIAL, "descriptor %u of the chain, flags 0x%x",
                                      index, bits_at(walk->device, queue, position));
    *d = fake_virtio_read_descriptor(walk->device, queue, desc_at(queue, position));
    if ((d->flags & ~DESC_F_ALL) != 0)
        fake_virtio_violate(walk->device, FAKE_VIRTIO_RULE_DESC_FLAGS, "queue %u, flags 0x%x",
                            queue->index, d->flags);
    return true;
}

static void keep(struct fake_virtio_queue *queue, struct fake_virtio_request *request,
                 const struct fake_virtio_descriptor *d) {
    struct fake_virtio_packed *packed = &queue->ring.packed;
    uint16_t slot = packed->kept_free; /* free ones follow one another: the chain is their head */
    if (request->descriptors++ == 0)
        request->kept = slot;
    packed->kept[slot] = *d;
    packed->kept_free = packed->kept_next[slot];
}

static bool claim_id(struct fake_virtio_walk *walk, uint16_t id) {
    uint64_t *word = &walk->queue->ring.packed.ids[id / 64], bit = UINT64_C(1) << id % 64;
    if ((*word & bit) != 0)
        return FAKE_VIRTIO_WALK_FAILS(walk, ID_IN_FLIGHT, "position %llu",
                                      (unsigned long long)walk->queue->avail_next);
    *word |= bit;
    return true;
}

static bool take(struct fake_virtio *device, struct fake_virtio_queue *queue,
                 struct fake_virtio_request *request, struct fake_virtio_chain *chain) {
    /* Until the id is known, the last one of the chain has it, the place stands for the buffer. */
    struct fake_virtio_walk walk = fake_virtio_walk_begin(
        device, queue, chain, (uint16_t)(queue->avail_next % queue->size), true);
    struct fake_virtio_descriptor d;
    request->descriptors = 0;
    do {
        uint32_t index = request->descriptors;
        if (!read_next(&walk, index, &d) || !walk_descriptor(&walk, &d, index))
            return false;
        keep(queue, request, &d);
    } while ((d.flags & FAKE_VIRTIO_DESC_F_NEXT) != 0);
    chain->head = d.link;
    if (!claim_id(&walk, d.link))
        return false;
    request->id = d.link;
    request->position = queue->avail_next;
    request->digest = walk.digest;
    queue->avail_next += request->descriptors;
    return true;
}

/* Whether the kept descriptor still stands in the ring, where it is not the driver's again. */
static bool is_unchanged(struct fake_virtio *device, const struct fake_virtio_queue *queue,
                         uint64_t position, const struct fake_virtio_descriptor *kept) {
    if (position < queue->used_next || device->lied)
        return true;
    struct fake_virtio_descriptor d =
        fake_virtio_read_descriptor(device, queue, desc_at(queue, position));
    return d.addr == kept->addr && d.len == kept->len && d.flags == kept->flags &&
           d.link == kept->link;
}

static bool chain_of(struct fake_virtio *device, struct fake_virtio_queue *queue,
                     const struct fake_virtio_request *request, struct fake_virtio_chain *chain) {
    const struct fake_virtio_packed *packed = &queue->ring.packed;
    struct fake_virtio_walk walk = fake_virtio_walk_begin(device, queue, chain, request->id, false);
    uint16_t slot = request->kept;
    for (uint32_t i = 0; i < request->descriptors; i++, slot = packed->kept_next[slot]) {
        const struct fake_virtio_descriptor *kept = &packed->kept[slot];
        if (!is_unchanged(device, queue, request->position + i, kept) ||
            !walk_descriptor(&walk, kept, i))
            return false;
    }
    return walk.digest == request->digest; /* of an indirect table */
}

static void give_back(struct fake_virtio_queue *queue, const struct fake_virtio_request *request) {
    struct fake_virtio_packed *packed = &queue->ring.packed;
    uint16_t last = request->kept;
    for (uint32_t i = 1; i < request->descriptors; i++)
        last = packed->kept_next[last];
    packed->kept_next[last] = packed->kept_free;
    packed->kept_free = request->kept;
    packed->ids[request->id / 64] &= ~(UINT64_C(1) << request->id % 64);
}

/* Used buffers: all flags but the first of a publication are written at once, since the driver
 * looks at no descriptor before the one in front of it (2.8.2). */

/* After a lie the device's positions are not the driver's any more: an entry that would hit what
 * the driver has offered meanwhile is left out, or the device would read it as the driver's. */
static bool hits_offered(struct fake_virtio *device, const struct fake_virtio_queue *queue,
                         uint64_t position) {
    uint64_t end = device->lied ? offered(device, queue) : queue->avail_next;
    for (uint64_t i = queue->avail_next; i != end; i++) {
        if (i % queue->size == position % queue->size)
            return true;
    }
    return false;
}

static void write_used(struct fake_virtio *device, struct fake_virtio_queue *queue,
                       const struct fake_virtio_used *used) {
    struct fake_virtio_packed *packed = &queue->ring.packed;
    uint64_t position = queue->used_next + used->misplaced;
    uint16_t flags = used_bits(wrap_of(queue, position) != used->wrong_wrap);
    uint8_t raw[6];
    for (uint32_t i = 0; i < 4; i++)
        raw[i] = (uint8_t)(used->len >> (8 * i));
    raw[4] = (uint8_t)used->id;
    raw[5] = (uint8_t)(used->id >> 8);
    if (used->len != 0)
        flags |= FAKE_VIRTIO_DESC_F_WRITE;
    queue->used_next += used->descriptors;
    if (hits_offered(device, queue, position))
        return;
    guest_memory_write(device->memory, desc_at(queue, position) + 8, raw, sizeof(raw));
    if (packed->first_at == 0) {
        packed->first_at = flags_at(queue, position);
        packed->first_flags = flags;
    } else {
        guest_memory_store_u16(device->memory, flags_at(queue, position), flags);
    }
}

static void publish(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    struct fake_virtio_packed *packed = &queue->ring.packed;
    if (packed->first_at != 0)
        guest_memory_store_u16(device->memory, packed->first_at, packed->first_flags);
    packed->first_at = 0;
}

/* Notifications: event suppression structures (2.8.10, 2.8.14) */

static uint16_t event_value(const struct fake_virtio_queue *queue, uint64_t position) {
    return (uint16_t)(position % queue->size | (wrap_of(queue, position) ? EVENT_WRAP : 0));
}

/* Whether one of the positions first .. end - 1 is what the structure asks for. */
static bool is_wanted(const struct fake_virtio_queue *queue, uint16_t flags, uint16_t event,
                      uint64_t first, uint64_t end) {
    if (flags != EVENT_DESC)
        return flags != EVENT_DISABLE;
    for (uint64_t position = first; position != end && position != first + 2u * queue->size;
         position++) {
        if (event_value(queue, position) == event)
            return true;
    }
    return false;
}

static bool wants_interrupt(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint16_t event = fake_virtio_load_u16(device, queue->avail);
    uint16_t flags = fake_virtio_load_u16(device, queue->avail + 2);
    bool event_idx = fake_virtio_has(device, FAKE_VIRTIO_F_EVENT_IDX);
    if (flags > (event_idx ? EVENT_DESC : EVENT_DISABLE)) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_EVENT_FLAGS, "queue %u: 0x%x", queue->index,
                            flags);
        flags = EVENT_ENABLE; /* rather one interrupt too many */
    } else if (flags == EVENT_DESC && (event & ~EVENT_WRAP) >= queue->size) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_EVENT_OFFSET, "queue %u: %u of %u",
                            queue->index, event & ~EVENT_WRAP, queue->size);
    }
    return is_wanted(queue, flags, event, queue->used_signalled, queue->used_published);
}

static bool wants_notification(struct fake_virtio *device, const struct fake_virtio_queue *queue,
                               uint64_t now_offered) {
    uint16_t event = fake_virtio_load_u16(device, queue->used);
    uint16_t flags = fake_virtio_load_u16(device, queue->used + 2);
    return is_wanted(queue, flags, event, queue->avail_notified, now_offered);
}

/* The offset before the flags that make it count. */
static void ask(struct fake_virtio *device, struct fake_virtio_queue *queue, bool notify) {
    bool event_idx = fake_virtio_has(device, FAKE_VIRTIO_F_EVENT_IDX);
    uint16_t flags = !notify ? EVENT_DISABLE : event_idx ? EVENT_DESC : EVENT_ENABLE;
    if (flags == EVENT_DESC)
        guest_memory_store_u16(device->memory, queue->used, event_value(queue, queue->avail_next));
    guest_memory_store_u16(device->memory, queue->used + 2, flags);
}

/* The event suppression structure, and the descriptor that the driver looks at: the next used one
 * heals it. In any other the device would find its own scribbles a lap later, as if they were the
 * driver's. */
static ash_paddr_t scribble_at(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    bool in_flight = queue->used_published < queue->avail_next;
    uint64_t at = fake_virtio_choose(device, in_flight ? 2 + 8 : 2);
    return at < 2 ? queue->used + 2 * at : desc_at(queue, queue->used_published) + 2 * (at - 2);
}

static uint32_t false_id(const struct fake_virtio_queue *queue, bool in_flight) {
    (void)in_flight; /* an id stands for a whole buffer */
    for (uint32_t id = 0; id < queue->size; id++) {
        if ((queue->ring.packed.ids[id / 64] >> id % 64 & 1) == 0)
            return id;
    }
    return queue->size;
}

const struct fake_virtio_format fake_virtio_packed_format = {
    .check_areas = check_areas,
    .start = start,
    .offered = offered,
    .waiting = waiting,
    .take = take,
    .chain_of = chain_of,
    .give_back = give_back,
    .write_used = write_used,
    .publish = publish,
    .wants_interrupt = wants_interrupt,
    .wants_notification = wants_notification,
    .ask = ask,
    .scribble_at = scribble_at,
    .false_id = false_id,
};
