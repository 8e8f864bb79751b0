/* SPDX-License-Identifier: MIT */
/*
 * virtio_split_ring.c: the device's side of split virtqueues (virtio 1.2, 2.7), one ring action at
 * a time: fetch, execute, retire, publish, interrupt, arm, sleep.
 */
#include <ashlar/atomic.h>
#include <ashlar/check.h>
#include <string.h>

#include "hosted/virtio_engine.h"

enum { DESC_BYTES = 16, DESC_F_NEXT = 1, DESC_F_WRITE = 2, DESC_F_INDIRECT = 4, DESC_F_ALL = 7 };

/* Addresses of the rings' fields (2.7.6, 2.7.8). */

static ash_paddr_t avail_flags_at(const struct fake_virtio_queue *queue) {
    return queue->avail;
}

static ash_paddr_t avail_idx_at(const struct fake_virtio_queue *queue) {
    return queue->avail + 2;
}

static ash_paddr_t avail_entry_at(const struct fake_virtio_queue *queue, uint16_t index) {
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

static ash_paddr_t used_entry_at(const struct fake_virtio_queue *queue, uint16_t index) {
    return queue->used + 4 + 8 * (index & (queue->size - 1u));
}

static ash_paddr_t avail_event_at(const struct fake_virtio_queue *queue) {
    return queue->used + 4 + 8u * queue->size;
}

static uint16_t load_u16(struct fake_virtio *device, ash_paddr_t address) {
    uint16_t value;
    guest_memory_load_u16(device->memory, address, &value);
    return value;
}

static bool has_event_idx(const struct fake_virtio *device) {
    return (device->accepted & FAKE_VIRTIO_F_EVENT_IDX) != 0;
}

bool fake_virtio_event_needed(uint16_t event, uint16_t after, uint16_t before) {
    uint16_t passed = (uint16_t)(after - before), distance = (uint16_t)(event - before);
    return distance < passed;
}

void fake_virtio_ring_start(struct fake_virtio_queue *queue) {
    queue->awake = false;
    queue->armed = true; /* new rings are zero: avail_event 0, or used.flags 0 */
    queue->avail_seen = queue->avail_next = queue->avail_notified = 0;
    queue->used_next = queue->used_published = queue->used_signalled = 0;
    queue->interrupt_undecided = false;
    ash_list_init(&queue->pending);
    ash_list_init(&queue->executed);
    ash_list_init(&queue->written);
    ash_list_init(&queue->idle);
    for (uint32_t i = 0; i < queue->size_max; i++)
        ash_list_push_back(&queue->idle, &queue->requests[i].node);
    queue->in_flight = 0;
    memset(queue->owner, 0, sizeof(queue->owner));
}

/* Walking a chain */

struct descriptor {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static struct descriptor read_descriptor(struct fake_virtio *device, ash_paddr_t address) {
    uint8_t raw[DESC_BYTES];
    struct descriptor d = {0};
    guest_memory_read(device->memory, address, raw, sizeof(raw));
    for (uint32_t i = 0; i < 8; i++)
        d.addr |= (uint64_t)raw[i] << (8 * i);
    for (uint32_t i = 0; i < 4; i++)
        d.len |= (uint32_t)raw[8 + i] << (8 * i);
    d.flags = (uint16_t)(raw[12] | raw[13] << 8);
    d.next = (uint16_t)(raw[14] | raw[15] << 8);
    return d;
}

/* FNV-1a over 64-bit words: the same chain gives the same digest, a changed one another. */
static uint64_t mix(uint64_t digest, uint64_t value) {
    return (digest ^ value) * UINT64_C(0x100000001b3);
}

struct walk {
    struct fake_virtio *device;
    struct fake_virtio_queue *queue;
    struct fake_virtio_chain *chain;
    bool claims; /* takes ownership of the descriptors: the walk of a fetch */
    ash_paddr_t table;
    uint32_t entries;
    bool indirect;
    uint32_t in_table; /* descriptors of this table so far */
    uint16_t last;     /* claimed last */
    uint64_t digest;
};

#define WALK_FAILS(walk, rule, format, ...)                                                     \
    (fake_virtio_violate((walk)->device, FAKE_VIRTIO_RULE_##rule, "queue %u, head %u: " format, \
                         (walk)->queue->index, (walk)->chain->head, __VA_ARGS__),               \
     false)

/* A descriptor that is about to be read: in the table, not read before, nobody else's. */
static bool visit(struct walk *walk, uint32_t index) {
    struct fake_virtio *device = walk->device;
    struct fake_virtio_queue *queue = walk->queue;
    if (index >= walk->entries)
        return WALK_FAILS(walk, DESC_RANGE, "descriptor %u of %u", index, walk->entries);
    if (++walk->in_table > walk->entries)
        return WALK_FAILS(walk, CHAIN_LOOP, "more than the table's %u descriptors", walk->entries);
    if (walk->indirect)
        return true;
    if (device->visited[index] == device->walk)
        return WALK_FAILS(walk, CHAIN_LOOP, "back at descriptor %u", index);
    device->visited[index] = device->walk;
    if (!walk->claims)
        return true;
    if (queue->owner[index] != 0)
        return WALK_FAILS(walk, DESC_IN_FLIGHT, "descriptor %u is in chain %u", index,
                          queue->owner[index] - 1u);
    queue->owner[index] = (uint16_t)(walk->chain->head + 1);
    if (index != walk->chain->head)
        queue->owner_next[walk->last] = (uint16_t)index;
    queue->owner_next[index] = (uint16_t)index; /* the last one is its own next */
    walk->last = (uint16_t)index;
    return true;
}

static bool enter_indirect(struct walk *walk, const struct descriptor *d) {
    struct fake_virtio *device = walk->device;
    if ((device->accepted & FAKE_VIRTIO_F_INDIRECT_DESC) == 0)
        return WALK_FAILS(walk, INDIRECT_NOT_ACCEPTED, "flags 0x%x", d->flags);
    if (walk->indirect)
        return WALK_FAILS(walk, INDIRECT_NESTED, "flags 0x%x", d->flags);
    if ((d->flags & DESC_F_NEXT) != 0)
        return WALK_FAILS(walk, INDIRECT_NEXT, "flags 0x%x", d->flags);
    if (d->len == 0 || d->len % DESC_BYTES != 0)
        return WALK_FAILS(walk, INDIRECT_TABLE, "%u bytes", d->len);
    if (!guest_memory_contains(device->memory, d->addr, d->len))
        return WALK_FAILS(walk, CHAIN_MEMORY, "table of %u bytes at 0x%llx", d->len,
                          (unsigned long long)d->addr);
    walk->table = d->addr;
    walk->entries = d->len / DESC_BYTES;
    walk->indirect = true;
    walk->in_table = 0;
    return true;
}

static bool add_segment(struct walk *walk, const struct descriptor *d) {
    struct fake_virtio_chain *chain = walk->chain;
    bool writable = (d->flags & DESC_F_WRITE) != 0;
    if (chain->count == walk->queue->size)
        return WALK_FAILS(walk, CHAIN_LENGTH, "more than %u elements", walk->queue->size);
    if (!writable && chain->count != 0 && chain->segments[chain->count - 1].writable)
        return WALK_FAILS(walk, CHAIN_ORDER, "element %u", chain->count);
    if (chain->readable_bytes + chain->writable_bytes + d->len > UINT64_C(1) << 32)
        return WALK_FAILS(walk, CHAIN_BYTES, "element %u", chain->count);
    if (!guest_memory_contains(walk->device->memory, d->addr, d->len))
        return WALK_FAILS(walk, CHAIN_MEMORY, "%u bytes at 0x%llx", d->len,
                          (unsigned long long)d->addr);
    walk->device->segments[chain->count++] =
        (struct fake_virtio_segment){.address = d->addr, .len = d->len, .writable = writable};
    if (writable)
        chain->writable_bytes += d->len;
    else
        chain->readable_bytes += d->len;
    return true;
}

/* Fills the chain from its head on; false: a rule is broken, and recorded. Bounded by the sizes of
 * the descriptor table and of one indirect table, the latter by the queue size. */
static bool walk_chain(struct walk *walk) {
    struct fake_virtio *device = walk->device;
    device->walk++;
    walk->table = walk->queue->desc;
    walk->entries = walk->queue->size;
    walk->digest = UINT64_C(0xcbf29ce484222325);
    *walk->chain = (struct fake_virtio_chain){
        .segments = device->segments, .queue = walk->queue->index, .head = walk->chain->head};
    for (uint32_t index = walk->chain->head;;) {
        if (!visit(walk, index))
            return false;
        struct descriptor d = read_descriptor(device, walk->table + (uint64_t)DESC_BYTES * index);
        walk->digest = mix(mix(mix(walk->digest, d.addr), d.len), (uint64_t)d.flags << 16 | d.next);
        if (walk->claims && (d.flags & ~DESC_F_ALL) != 0)
            fake_virtio_violate(device, FAKE_VIRTIO_RULE_DESC_FLAGS, "queue %u, flags 0x%x",
                                walk->queue->index, d.flags);
        if ((d.flags & DESC_F_INDIRECT) != 0) {
            if (!enter_indirect(walk, &d))
                return false;
            index = 0;
            continue;
        }
        if (!add_segment(walk, &d))
            return false;
        if ((d.flags & DESC_F_NEXT) == 0)
            return true;
        index = d.next;
    }
}

static void disown(struct fake_virtio_queue *queue, uint16_t head) {
    for (uint16_t index = head;; index = queue->owner_next[index]) {
        queue->owner[index] = 0;
        if (queue->owner_next[index] == index)
            return;
    }
}

/* Copying to and from a chain's two parts */

enum direction { FROM_GUEST, TO_GUEST };

static bool chain_copy(struct fake_virtio *device, const struct fake_virtio_chain *chain,
                       enum direction direction, uint64_t offset, uint8_t *into,
                       const uint8_t *from, uint64_t len) {
    for (uint32_t i = 0; i < chain->count && len != 0; i++) {
        const struct fake_virtio_segment *segment = &chain->segments[i];
        if (segment->writable != (direction == TO_GUEST))
            continue;
        if (offset >= segment->len) {
            offset -= segment->len;
            continue;
        }
        uint64_t piece = ash_min_u64(len, segment->len - offset);
        ash_paddr_t address = segment->address + offset;
        if (direction == TO_GUEST) {
            if (!guest_memory_write(device->memory, address, from, piece))
                return false;
            from += piece;
        } else {
            if (!guest_memory_read(device->memory, address, into, piece))
                return false;
            into += piece;
        }
        offset = 0;
        len -= piece;
    }
    return true;
}

bool fake_virtio_chain_read(struct fake_virtio *device, const struct fake_virtio_chain *chain,
                            uint64_t offset, void *bytes, uint64_t len) {
    return offset <= chain->readable_bytes && len <= chain->readable_bytes - offset &&
           chain_copy(device, chain, FROM_GUEST, offset, bytes, NULL, len);
}

bool fake_virtio_chain_write(struct fake_virtio *device, const struct fake_virtio_chain *chain,
                             uint64_t offset, const void *bytes, uint64_t len) {
    return offset <= chain->writable_bytes && len <= chain->writable_bytes - offset &&
           chain_copy(device, chain, TO_GUEST, offset, NULL, bytes, len);
}

/* FETCH: one avail entry becomes a pending request */

/* How many entries wait to be fetched; checks what the driver did with avail.idx. */
static uint16_t avail_waiting(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint16_t idx = load_u16(device, avail_idx_at(queue));
    uint16_t waiting = (uint16_t)(idx - queue->avail_next);
    uint16_t seen = (uint16_t)(queue->avail_seen - queue->avail_next);
    if (waiting < seen || (waiting + queue->in_flight > queue->size &&
                           (uint16_t)(queue->avail_seen - idx) <= queue->size)) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_AVAIL_IDX_BACK, "queue %u: from %u to %u",
                            queue->index, queue->avail_seen, idx);
        return 0;
    }
    if (waiting + queue->in_flight > queue->size) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_AVAIL_IDX_AHEAD,
                            "queue %u: %u waiting, %u in flight, size %u", queue->index, waiting,
                            queue->in_flight, queue->size);
        return 0;
    }
    queue->avail_seen = idx;
    return waiting;
}

static void check_avail_flags(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint16_t flags = load_u16(device, avail_flags_at(queue));
    if (flags > (has_event_idx(device) ? 0 : 1))
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_AVAIL_FLAGS, "queue %u: 0x%x", queue->index,
                            flags);
}

/* Tells the driver that notifications are needless, as long as the device looks by itself. With
 * EVENT_IDX the old avail_event says so already: it is behind. */
static void disarm(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    queue->armed = false;
    if (!has_event_idx(device))
        guest_memory_store_u16(device->memory, used_flags_at(queue), 1);
}

static void fetch(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    if (queue->armed)
        disarm(device, queue);
    check_avail_flags(device, queue);
    uint16_t head = load_u16(device, avail_entry_at(queue, queue->avail_next));
    if (head >= queue->size) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_HEAD_RANGE, "queue %u: head %u of %u",
                            queue->index, head, queue->size);
        return;
    }
    struct fake_virtio_chain chain = {.head = head};
    struct walk walk = {.device = device, .queue = queue, .chain = &chain, .claims = true};
    if (!walk_chain(&walk))
        return;
    struct ash_list *node = ash_list_pop_front(&queue->idle);
    ASH_REQUIRE(node != NULL, "fake virtio device: %u requests in flight in a queue of %u",
                queue->in_flight, queue->size);
    struct fake_virtio_request *request = ASH_CONTAINER_OF(node, struct fake_virtio_request, node);
    request->head = head;
    request->digest = walk.digest;
    request->due = device->now + device->policy.latency_steps +
                   fake_virtio_choose(device, (uint64_t)device->policy.latency_spread + 1);
    ash_list_push_back(&queue->pending, node);
    queue->avail_next++;
    queue->in_flight++;
    device->stats.fetched++;
}

/* EXECUTE: one pending request, by the policy's order */

static struct fake_virtio_request *due_request(struct fake_virtio *device,
                                               struct fake_virtio_queue *queue, uint64_t skip) {
    bool backwards = device->policy.order == FAKE_VIRTIO_LIFO;
    struct ash_list *node = backwards ? queue->pending.prev : queue->pending.next;
    for (; node != &queue->pending; node = backwards ? node->prev : node->next) {
        struct fake_virtio_request *request =
            ASH_CONTAINER_OF(node, struct fake_virtio_request, node);
        if (request->due <= device->now && skip-- == 0)
            return request;
    }
    return NULL;
}

static uint64_t due_count(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    struct ash_list *node;
    uint64_t count = 0;
    ash_list_for_each (node, &queue->pending) {
        count += ASH_CONTAINER_OF(node, struct fake_virtio_request, node)->due <= device->now;
    }
    return count;
}

static void execute(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint64_t value, skip = 0;
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_DEATH, &value)) {
        device->silent = true;
        device->dead = value == 1;
        return;
    }
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_NEEDS_RESET, &value)) {
        fake_virtio_break(device);
        return;
    }
    if (device->policy.order == FAKE_VIRTIO_RANDOM)
        skip = fake_virtio_choose(device, due_count(device, queue));
    struct fake_virtio_request *request = due_request(device, queue, skip);
    struct fake_virtio_chain chain = {.head = request->head};
    struct walk walk = {.device = device, .queue = queue, .chain = &chain};
    bool walked = walk_chain(&walk);
    if (!walked || walk.digest != request->digest) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_DESC_CHANGED, "queue %u, head %u",
                            queue->index, request->head);
        return;
    }
    request->writable_bytes = chain.writable_bytes;
    request->used_len = device->type.execute(device->type.context, device, &chain);
    ash_list_remove(&request->node);
    ash_list_push_back(&queue->executed, &request->node);
    device->stats.executed++;
}

/* RETIRE: one executed request into the used ring, not yet visible */

static void write_used(struct fake_virtio *device, struct fake_virtio_queue *queue, uint32_t id,
                       uint32_t len) {
    uint8_t raw[8];
    for (uint32_t i = 0; i < 4; i++) {
        raw[i] = (uint8_t)(id >> (8 * i));
        raw[4 + i] = (uint8_t)(len >> (8 * i));
    }
    guest_memory_write(device->memory, used_entry_at(queue, queue->used_next), raw, sizeof(raw));
    queue->used_next++;
}

/* A descriptor that is in flight but no head, or that is not in flight; `fallback` if there is
 * none. */
static uint32_t false_id(const struct fake_virtio_queue *queue, bool in_flight, uint32_t fallback) {
    for (uint32_t i = 0; i < queue->size; i++) {
        if (in_flight ? queue->owner[i] != 0 && queue->owner[i] != i + 1 : queue->owner[i] == 0)
            return i;
    }
    return fallback;
}

static void retire(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    struct ash_list *node = ash_list_pop_front(&queue->executed);
    struct fake_virtio_request *request = ASH_CONTAINER_OF(node, struct fake_virtio_request, node);
    uint64_t value;
    uint32_t id = request->head, len = request->used_len;
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, &value))
        id = value != 0 ? (uint32_t)value : queue->size;
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_ID_NOT_A_HEAD, &value))
        id = false_id(queue, true, queue->size);
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_ID_NOT_IN_FLIGHT, &value))
        id = false_id(queue, false, queue->size);
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_LEN_TOO_LARGE, &value)) {
        uint64_t large = request->writable_bytes + ash_max_u64(value, 1);
        len = (uint32_t)ash_min_u64(large, UINT32_MAX);
    }
    write_used(device, queue, id, len);
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_DUPLICATE, &value))
        write_used(device, queue, id, len);
    ash_list_push_back(&queue->written, node);
    device->stats.retired++;
}

/* PUBLISH: used.idx; from here on the driver may use the descriptors again */

static void publish(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint64_t value;
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_IDX_JUMP, &value))
        queue->used_next = (uint16_t)(queue->used_next + ash_max_u64(value, 1));
    for (struct ash_list *node; (node = ash_list_pop_front(&queue->written)) != NULL;) {
        disown(queue, ASH_CONTAINER_OF(node, struct fake_virtio_request, node)->head);
        ash_list_push_back(&queue->idle, node);
        queue->in_flight--;
    }
    queue->used_published = queue->used_next;
    guest_memory_store_u16(device->memory, used_idx_at(queue), queue->used_published);
    queue->interrupt_undecided = true;
    device->stats.published++;
}

/* INTERRUPT: whether the driver wants to know (2.7.7.2), after used.idx is visible to it */

static bool interrupt_wanted(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    ash_fence(); /* used.idx before the look at used_event or flags: the driver does the opposite */
    if (device->policy.notify == FAKE_VIRTIO_NOTIFY_ALWAYS)
        return true;
    if (!has_event_idx(device))
        return (load_u16(device, avail_flags_at(queue)) & 1) == 0;
    return fake_virtio_event_needed(load_u16(device, used_event_at(queue)), queue->used_published,
                                    queue->used_signalled);
}

static void interrupt(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint64_t value;
    bool wanted = interrupt_wanted(device, queue);
    queue->interrupt_undecided = false;
    queue->used_signalled = queue->used_published;
    if (!wanted) {
        device->stats.interrupts_suppressed++;
        return;
    }
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_INTERRUPT_LOST, &value))
        return;
    device->stats.interrupts++;
    fake_virtio_raise(device, FAKE_VIRTIO_INTERRUPT_USED);
}

/* ARM and SLEEP: out of entries. Asks to be notified, looks once more, then stops looking. */

static void arm(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    if (has_event_idx(device))
        guest_memory_store_u16(device->memory, avail_event_at(queue), queue->avail_next);
    else
        guest_memory_store_u16(device->memory, used_flags_at(queue), 0);
    queue->armed = true;
    ash_fence(); /* the wish before the second look: the driver does the opposite */
}

/* Steps */

/* In the order that an eager device prefers. */
enum action { INTERRUPT, PUBLISH, RETIRE, FETCH, EXECUTE, ARM, SLEEP, ACTIONS };

static bool can_execute(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    return due_request(device, queue, 0) != NULL;
}

/* The actions that are possible on a queue, a bit each. */
static uint32_t possible_actions(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint32_t actions = 0;
    uint16_t waiting = queue->awake ? avail_waiting(device, queue) : 0;
    if (device->silent) /* avail.idx was absurd */
        return 0;
    if (queue->interrupt_undecided)
        actions |= 1u << INTERRUPT;
    if (!ash_list_is_empty(&queue->executed))
        actions |= 1u << RETIRE;
    if (waiting != 0)
        actions |= 1u << FETCH;
    if (can_execute(device, queue))
        actions |= 1u << EXECUTE;
    uint16_t unpublished = (uint16_t)(queue->used_next - queue->used_published);
    bool more = (actions & (1u << RETIRE | 1u << FETCH | 1u << EXECUTE)) != 0;
    if (unpublished != 0 && (unpublished >= device->policy.used_batch || !more))
        actions |= 1u << PUBLISH;
    if (queue->awake && waiting == 0)
        actions |= 1u << (queue->armed ? SLEEP : ARM);
    return actions;
}

static void act(struct fake_virtio *device, struct fake_virtio_queue *queue, enum action action) {
    switch (action) {
    case INTERRUPT:
        interrupt(device, queue);
        break;
    case PUBLISH:
        publish(device, queue);
        break;
    case RETIRE:
        retire(device, queue);
        break;
    case FETCH:
        fetch(device, queue);
        break;
    case EXECUTE:
        execute(device, queue);
        break;
    case ARM:
        arm(device, queue);
        break;
    default:
        queue->awake = false;
        break;
    }
}

/* One of the possible (queue, action) pairs: the most urgent, or any. False: there is none. */
static bool choose_action(struct fake_virtio *device, struct fake_virtio_queue **queue,
                          enum action *action) {
    uint32_t possible[FAKE_VIRTIO_QUEUES_MAX] = {0}, count = 0;
    for (uint32_t i = 0; i < device->type.queue_count; i++) {
        if (device->queues[i].ready)
            possible[i] = possible_actions(device, &device->queues[i]);
        if (device->silent)
            return false;
        count += (uint32_t)__builtin_popcount(possible[i]);
    }
    if (count == 0)
        return false;
    uint64_t skip = device->policy.shuffle_actions ? fake_virtio_choose(device, count) : 0;
    for (uint32_t a = 0; a < ACTIONS; a++) {
        for (uint32_t i = 0; i < device->type.queue_count; i++) {
            if ((possible[i] & 1u << a) != 0 && skip-- == 0) {
                *queue = &device->queues[i];
                *action = (enum action)a;
                return true;
            }
        }
    }
    return false;
}

static void interrupt_spuriously(struct fake_virtio *device) {
    uint64_t value;
    if (!fake_virtio_lies(device, FAKE_VIRTIO_FAULT_INTERRUPT_SPURIOUS, &value))
        return;
    if (value == 0)
        fake_virtio_pulse(device);
    else
        fake_virtio_raise(device, (uint32_t)value);
}

bool fake_virtio_step(struct fake_virtio *device) {
    uint32_t running = FAKE_VIRTIO_FEATURES_OK | FAKE_VIRTIO_DRIVER_OK;
    device->now++;
    if (device->silent || (device->status & running) != running)
        return false;
    interrupt_spuriously(device);
    struct fake_virtio_queue *queue;
    enum action action;
    if (choose_action(device, &queue, &action)) {
        act(device, queue, action);
        return true;
    }
    /* Requests may wait for their latency to pass: that is progress too. */
    return !device->silent && fake_virtio_in_flight(device) != 0;
}

uint64_t fake_virtio_run(struct fake_virtio *device, uint64_t limit) {
    uint64_t steps = 0;
    while (steps < limit && fake_virtio_step(device))
        steps++;
    return steps;
}
