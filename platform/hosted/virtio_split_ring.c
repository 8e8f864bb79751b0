/* SPDX-License-Identifier: MIT */
/* virtio_split_ring.c: where split virtqueues show in guest memory (virtio 1.2, 2.7). */
#include <string.h>

#include "virtio_ring.h"

enum { DESC_F_ALL = 7 };

/* Addresses of the rings' fields (2.7.6, 2.7.8). */

static ash_paddr_t avail_flags_at(const struct fake_virtio_queue *queue) {
    return queue->avail;
}

static ash_paddr_t avail_idx_at(const struct fake_virtio_queue *queue) {
    return queue->avail + 2;
}

static ash_paddr_t avail_entry_at(const struct fake_virtio_queue *queue, uint64_t index) {
    return queue->avail + 4 + 2 * (index & (queue->size - 1u));
}

static ash_paddr_t used_event_at(const struct fake_virtio_queue *queue) {
    return queue->avail + 4 + 2u * queue->size;
}

static ash_paddr_t used_flags_at(const struct fake_virtio_queue *queue) {
    return queue->used;
}

static ash_paddr_t used_idx_at(const struct fake_virtio_queue *queue) {
    return queue->used + 2;
}

static ash_paddr_t used_entry_at(const struct fake_virtio_queue *queue, uint64_t index) {
    return queue->used + 4 + 8 * (index & (queue->size - 1u));
}

static ash_paddr_t avail_event_at(const struct fake_virtio_queue *queue) {
    return queue->used + 4 + 8u * queue->size;
}

static bool check_areas(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    /* The event fields exist with VIRTIO_F_EVENT_IDX alone; the table of 2.7 counts them always. */
    uint64_t size = queue->size;
    bool desc = fake_virtio_check_area(device, queue, queue->desc, 16 * size, 16);
    bool avail = fake_virtio_check_area(device, queue, queue->avail, 6 + 2 * size, 2);
    bool used = fake_virtio_check_area(device, queue, queue->used, 6 + 8 * size, 4);
    if (!desc || !avail || !used)
        return false;
    uint16_t flags = fake_virtio_load_u16(device, used_flags_at(queue));
    if (flags != 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_USED_FLAGS_NOT_ZERO, "queue %u, flags 0x%x",
                            queue->index, flags);
    return true;
}

static void start(struct fake_virtio_queue *queue) {
    queue->ring.split.avail_seen = 0;
    memset(queue->ring.split.owner, 0, sizeof(queue->ring.split.owner));
}

/* Available buffers */

static uint64_t offered(struct fake_virtio *device, const struct fake_virtio_queue *queue) {
    uint16_t idx = fake_virtio_load_u16(device, avail_idx_at(queue));
    return queue->avail_next + (uint16_t)(idx - queue->avail_next);
}

/* How many entries wait to be fetched; checks what the driver did with avail.idx. */
static bool waiting(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    struct fake_virtio_split *split = &queue->ring.split;
    uint16_t idx = fake_virtio_load_u16(device, avail_idx_at(queue));
    uint16_t entries = (uint16_t)(idx - queue->avail_next);
    uint16_t seen = (uint16_t)(split->avail_seen - queue->avail_next);
    if (entries < seen || (entries + queue->in_flight > queue->size &&
                           (uint16_t)(split->avail_seen - idx) <= queue->size)) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_AVAIL_IDX_BACK, "queue %u: from %u to %u",
                            queue->index, split->avail_seen, idx);
        return false;
    }
    if (entries + queue->in_flight > queue->size) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_AVAIL_IDX_AHEAD,
                            "queue %u: %u waiting, %u in flight, size %u", queue->index, entries,
                            queue->in_flight, queue->size);
        return false;
    }
    split->avail_seen = idx;
    return entries != 0;
}

/* A descriptor that is about to be read: in the table, not read before, nobody else's. */
static bool visit(struct fake_virtio_walk *walk, uint32_t index) {
    struct fake_virtio *device = walk->device;
    struct fake_virtio_split *split = &walk->queue->ring.split;
    if (index >= walk->entries)
        return FAKE_VIRTIO_WALK_FAILS(walk, DESC_RANGE, "descriptor %u of %u", index,
                                      walk->entries);
    if (++walk->in_table > walk->entries)
        return FAKE_VIRTIO_WALK_FAILS(walk, CHAIN_LOOP, "more than the table's %u descriptors",
                                      walk->entries);
    if (walk->indirect)
        return true;
    if (device->visited[index] == device->walk)
        return FAKE_VIRTIO_WALK_FAILS(walk, CHAIN_LOOP, "back at descriptor %u", index);
    device->visited[index] = device->walk;
    if (!walk->fetches)
        return true;
    if (split->owner[index] != 0)
        return FAKE_VIRTIO_WALK_FAILS(walk, DESC_IN_FLIGHT, "descriptor %u is in chain %u", index,
                                      split->owner[index] - 1u);
    split->owner[index] = (uint16_t)(walk->chain->head + 1);
    if (index != walk->chain->head)
        split->owner_next[walk->last] = (uint16_t)index;
    split->owner_next[index] = (uint16_t)index; /* the last one is its own next */
    walk->last = (uint16_t)index;
    return true;
}

static bool enter_table(struct fake_virtio_walk *walk, const struct fake_virtio_descriptor *d) {
    if (walk->indirect)
        return FAKE_VIRTIO_WALK_FAILS(walk, INDIRECT_NESTED, "flags 0x%x", d->flags);
    if (!fake_virtio_walk_check_table(walk, d))
        return false;
    walk->table = d->addr;
    walk->entries = d->len / FAKE_VIRTIO_DESC_BYTES;
    walk->indirect = true;
    walk->in_table = 0;
    return true;
}

/* Fills the chain from its head on; false: a rule is broken, and recorded. Bounded by the sizes of
 * the descriptor table and of one indirect table, the latter by the queue size. */
static bool walk_chain(struct fake_virtio_walk *walk) {
    struct fake_virtio *device = walk->device;
    device->walk++;
    walk->table = walk->queue->desc;
    walk->entries = walk->queue->size;
    for (uint32_t index = walk->chain->head;;) {
        if (!visit(walk, index))
            return false;
        struct fake_virtio_descriptor d = fake_virtio_read_descriptor(
            device, walk->queue, walk->table + (uint64_t)FAKE_VIRTIO_DESC_BYTES * index);
        fake_virtio_walk_digest(walk, &d);
        if (walk->fetches && (d.flags & ~DESC_F_ALL) != 0)
            fake_virtio_violate(device, FAKE_VIRTIO_RULE_DESC_FLAGS, "queue %u, flags 0x%x",
                                walk->queue->index, d.flags);
        if ((d.flags & FAKE_VIRTIO_DESC_F_INDIRECT) != 0) {
            if (!enter_table(walk, &d))
                return false;
            index = 0;
            continue;
        }
        if (!fake_virtio_walk_element(walk, &d))
            return false;
        if ((d.flags & FAKE_VIRTIO_DESC_F_NEXT) == 0)
            return true;
        index = d.link;
    }
}

static void check_avail_flags(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint16_t flags = fake_virtio_load_u16(device, avail_flags_at(queue));
    if (flags > (fake_virtio_has(device, FAKE_VIRTIO_F_EVENT_IDX) ? 0 : 1))
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_AVAIL_FLAGS, "queue %u: 0x%x", queue->index,
                            flags);
}

static bool take(struct fake_virtio *device, struct fake_virtio_queue *queue,
                 struct fake_virtio_request *request, struct fake_virtio_chain *chain) {
    check_avail_flags(device, queue);
    uint16_t head = fake_virtio_load_u16(device, avail_entry_at(queue, queue->avail_next));
    if (head >= queue->size) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_HEAD_RANGE, "queue %u: head %u of %u",
                            queue->index, head, queue->size);
        return false;
    }
    struct fake_virtio_walk walk = fake_virtio_walk_begin(device, queue, chain, head, true);
    if (!walk_chain(&walk))
        return false;
    request->id = head;
    request->descriptors = 1;
    request->digest = walk.digest;
    queue->avail_next++;
    return true;
}

static bool chain_of(struct fake_virtio *device, struct fake_virtio_queue *queue,
                     const struct fake_virtio_request *request, struct fake_virtio_chain *chain) {
    struct fake_virtio_walk walk = fake_virtio_walk_begin(device, queue, chain, request->id, false);
    return walk_chain(&walk) && walk.digest == request->digest;
}

static void give_back(struct fake_virtio_queue *queue, const struct fake_virtio_request *request) {
    struct fake_virtio_split *split = &queue->ring.split;
    for (uint16_t index = request->id;; index = split->owner_next[index]) {
        split->owner[index] = 0;
        if (split->owner_next[index] == index)
            return;
    }
}

/* Used buffers */

static void write_used(struct fake_virtio *device, struct fake_virtio_queue *queue,
                       const struct fake_virtio_used *used) {
    uint8_t raw[8];
    for (uint32_t i = 0; i < 4; i++) {
        raw[i] = (uint8_t)(used->id >> (8 * i));
        raw[4 + i] = (uint8_t)(used->len >> (8 * i));
    }
    guest_memory_write(device->memory, used_entry_at(queue, queue->used_next + used->misplaced),
                       raw, sizeof(raw));
    queue->used_next++;
}

static void publish(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    guest_memory_store_u16(device->memory, used_idx_at(queue), (uint16_t)queue->used_published);
}

/* Notifications (2.7.7, 2.7.10) */

static bool wants_interrupt(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    if (!fake_virtio_has(device, FAKE_VIRTIO_F_EVENT_IDX))
        return (fake_virtio_load_u16(device, avail_flags_at(queue)) & 1) == 0;
    return fake_virtio_event_needed(fake_virtio_load_u16(device, used_event_at(queue)),
                                    (uint16_t)queue->used_published,
                                    (uint16_t)queue->used_signalled);
}

static bool wants_notification(struct fake_virtio *device, const struct fake_virtio_queue *queue,
                               uint64_t now_offered) {
    if (!fake_virtio_has(device, FAKE_VIRTIO_F_EVENT_IDX))
        return (fake_virtio_load_u16(device, used_flags_at(queue)) & 1) == 0;
    return fake_virtio_event_needed(fake_virtio_load_u16(device, avail_event_at(queue)),
                                    (uint16_t)now_offered, (uint16_t)queue->avail_notified);
}

static void ask(struct fake_virtio *device, struct fake_virtio_queue *queue, bool notify) {
    if (!fake_virtio_has(device, FAKE_VIRTIO_F_EVENT_IDX))
        guest_memory_store_u16(device->memory, used_flags_at(queue), !notify);
    else if (notify) /* else the old avail_event is behind: that says so already */
        guest_memory_store_u16(device->memory, avail_event_at(queue), (uint16_t)queue->avail_next);
}

static ash_paddr_t scribble_at(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    return queue->used + 2 * fake_virtio_choose(device, 3 + 4u * queue->size);
}

static uint32_t false_id(const struct fake_virtio_queue *queue, bool in_flight) {
    const uint16_t *owner = queue->ring.split.owner;
    for (uint32_t i = 0; i < queue->size; i++) {
        if (in_flight ? owner[i] != 0 && owner[i] != i + 1 : owner[i] == 0)
            return i;
    }
    return queue->size;
}

const struct fake_virtio_format fake_virtio_split_format = {
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
