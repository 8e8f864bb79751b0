/* SPDX-License-Identifier: MIT */
/*
 * virtio_ring.c: the device's side of a virtqueue, whatever its format, one ring action at a time:
 * fetch, execute, retire, publish, interrupt, arm, sleep.
 */
#include "virtio_ring.h"

#include <ashlar/atomic.h>
#include <ashlar/check.h>

bool fake_virtio_event_needed(uint16_t event, uint16_t after, uint16_t before) {
    uint16_t passed = (uint16_t)(after - before), distance = (uint16_t)(event - before);
    return distance < passed;
}

uint16_t fake_virtio_load_u16(struct fake_virtio *device, ash_paddr_t address) {
    uint16_t value;
    guest_memory_load_u16(device->memory, address, &value);
    return value;
}

void fake_virtio_ring_start(struct fake_virtio_queue *queue) {
    queue->awake = false;
    queue->armed = true; /* new rings are zero: "notify me" in either format */
    queue->avail_next = queue->avail_notified = 0;
    queue->used_next = queue->used_published = queue->used_signalled = 0;
    queue->unpublished = 0;
    queue->interrupt_undecided = false;
    ash_list_init(&queue->pending);
    ash_list_init(&queue->executed);
    ash_list_init(&queue->written);
    ash_list_init(&queue->idle);
    for (uint32_t i = 0; i < queue->size_max; i++)
        ash_list_push_back(&queue->idle, &queue->requests[i].node);
    queue->in_flight = queue->in_flight_descriptors = 0;
    queue->format->start(queue);
}

/* FETCH: one available buffer becomes a pending request */

static struct fake_virtio_request *request_of(struct ash_list *node) {
    return ASH_CONTAINER_OF(node, struct fake_virtio_request, node);
}

static uint64_t clock_ns(const struct fake_virtio *device) {
    return device->policy.clock_ns == NULL ? 0
                                           : device->policy.clock_ns(device->policy.clock_context);
}

static void fetch(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    if (queue->armed) {
        queue->armed = false; /* notifications are needless as long as the device looks by itself */
        queue->format->ask(device, queue, false);
    }
    struct ash_list *node = ash_list_first(&queue->idle);
    ASH_REQUIRE(node != NULL, "fake virtio device: %u requests in flight in a queue of %u",
                queue->in_flight, queue->size);
    struct fake_virtio_request *request = request_of(node);
    struct fake_virtio_chain chain;
    if (!queue->format->take(device, queue, request, &chain))
        return;
    const struct fake_virtio_policy *policy = &device->policy;
    request->due = device->now + policy->latency_steps +
                   fake_virtio_choose(device, (uint64_t)policy->latency_spread + 1);
    request->due_ns = clock_ns(device) + policy->latency_ns +
                      (policy->latency_spread_ns == 0
                           ? 0
                           : fake_virtio_choose(device, policy->latency_spread_ns + 1));
    ash_list_remove(node);
    ash_list_push_back(&queue->pending, node);
    queue->in_flight++;
    queue->in_flight_descriptors += request->descriptors;
    device->stats.fetched++;
}

/* EXECUTE: one pending request, by the policy's order */

static bool is_due(const struct fake_virtio *device, const struct fake_virtio_request *request) {
    return request->due <= device->now && request->due_ns <= clock_ns(device);
}

static struct fake_virtio_request *due_request(struct fake_virtio *device,
                                               struct fake_virtio_queue *queue, uint64_t skip) {
    bool backwards = device->policy.order == FAKE_VIRTIO_LIFO;
    struct ash_list *node = backwards ? queue->pending.prev : queue->pending.next;
    for (; node != &queue->pending; node = backwards ? node->prev : node->next) {
        if (is_due(device, request_of(node)) && skip-- == 0)
            return request_of(node);
    }
    return NULL;
}

static uint64_t due_count(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    struct ash_list *node;
    uint64_t count = 0;
    ash_list_for_each (node, &queue->pending) {
        count += is_due(device, request_of(node));
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
    struct fake_virtio_chain chain;
    if (!queue->format->chain_of(device, queue, request, &chain)) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_DESC_CHANGED, "queue %u, buffer %u",
                            queue->index, request->id);
        return;
    }
    request->writable_bytes = chain.writable_bytes;
    request->used_len = device->type.execute(device->type.context, device, &chain);
    ash_list_remove(&request->node);
    ash_list_push_back(&queue->executed, &request->node);
    device->stats.executed++;
}

/* RETIRE: one executed request into the ring, not yet visible */

static void write_used(struct fake_virtio *device, struct fake_virtio_queue *queue,
                       const struct fake_virtio_used *used) {
    queue->format->write_used(device, queue, used);
    queue->unpublished++;
}

/* The id of a request that is still to be done. */
static uint32_t other_id(const struct fake_virtio_queue *queue, uint32_t fallback) {
    struct ash_list *node = ash_list_last(&queue->pending);
    return node == NULL ? fallback : request_of(node)->id;
}

/* A lie in the used ring. */
static bool lies(struct fake_virtio *device, enum fake_virtio_fault_kind kind, uint64_t *value) {
    bool told = fake_virtio_lies(device, kind, value);
    device->lied = device->lied || told;
    return told;
}

static void lie_about(struct fake_virtio *device, struct fake_virtio_queue *queue,
                      const struct fake_virtio_request *request, struct fake_virtio_used *used) {
    uint64_t value;
    if (lies(device, FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, &value))
        used->id = value != 0 ? (uint32_t)value : queue->size;
    if (lies(device, FAKE_VIRTIO_FAULT_ID_NOT_A_HEAD, &value))
        used->id = queue->format->false_id(queue, true);
    if (lies(device, FAKE_VIRTIO_FAULT_ID_NOT_IN_FLIGHT, &value))
        used->id = queue->format->false_id(queue, false);
    if (lies(device, FAKE_VIRTIO_FAULT_ID_SWAPPED, &value))
        used->id = other_id(queue, used->id);
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_LEN_TOO_LARGE, &value)) {
        uint64_t large = request->writable_bytes + ash_max_u64(value, 1);
        used->len = (uint32_t)ash_min_u64(large, UINT32_MAX);
    }
    if (lies(device, FAKE_VIRTIO_FAULT_USED_MISPLACED, &value))
        used->misplaced = ash_max_u64(value, 1);
    if (queue->format == &fake_virtio_packed_format &&
        lies(device, FAKE_VIRTIO_FAULT_WRONG_WRAP, &value))
        used->wrong_wrap = true;
}

static void retire(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    struct fake_virtio_request *request = request_of(ash_list_pop_front(&queue->executed));
    uint64_t value;
    struct fake_virtio_used used = {
        .id = request->id, .len = request->used_len, .descriptors = request->descriptors};
    lie_about(device, queue, request, &used);
    write_used(device, queue, &used);
    if (lies(device, FAKE_VIRTIO_FAULT_DUPLICATE, &value))
        write_used(device, queue, &used);
    if (lies(device, FAKE_VIRTIO_FAULT_USED_UNOFFERED, &value)) {
        used.id = queue->format->false_id(queue, false);
        write_used(device, queue, &used);
    }
    ash_list_push_back(&queue->written, &request->node);
    device->stats.retired++;
}

void fake_virtio_ring_use_early(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint64_t value;
    if (!lies(device, FAKE_VIRTIO_FAULT_USED_EARLY, &value))
        return;
    struct fake_virtio_used used = {.id = (uint32_t)value, .len = 1, .descriptors = 1};
    queue->format->write_used(device, queue, &used);
    queue->used_published = queue->used_next;
    queue->format->publish(device, queue);
}

/* PUBLISH: from here on the driver sees the entries, and may use the descriptors again */

static void publish(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint64_t value;
    if (lies(device, FAKE_VIRTIO_FAULT_IDX_JUMP, &value))
        queue->used_next += ash_max_u64(value, 1);
    for (struct ash_list *node; (node = ash_list_pop_front(&queue->written)) != NULL;) {
        struct fake_virtio_request *request = request_of(node);
        queue->format->give_back(queue, request);
        queue->in_flight--;
        queue->in_flight_descriptors -= request->descriptors;
        ash_list_push_back(&queue->idle, node);
    }
    queue->used_published = queue->used_next;
    queue->unpublished = 0;
    queue->format->publish(device, queue);
    queue->interrupt_undecided = true;
    device->stats.published++;
}

/* INTERRUPT: whether the driver wants to know (2.7.7.2, 2.8.10) */

static void interrupt(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint64_t value;
    ash_fence(); /* the used entries before the look at the wish: the driver does the opposite */
    bool wanted = queue->format->wants_interrupt(device, queue) ||
                  device->policy.notify == FAKE_VIRTIO_NOTIFY_ALWAYS;
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

/* ARM and SLEEP: nothing is available. Asks to be notified, looks once more, then stops looking. */

static void arm(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    queue->format->ask(device, queue, true);
    queue->armed = true;
    ash_fence(); /* the wish before the second look: the driver does the opposite */
}

/* Notifications from the driver (2.7.13.4, 2.8.21.2) */

void fake_virtio_notify(struct fake_virtio *device, uint32_t queue_index) {
    struct fake_virtio_queue *queue = fake_virtio_queue(device, queue_index);
    uint64_t value;
    device->stats.notifications++;
    if ((device->status & FAKE_VIRTIO_DRIVER_OK) == 0) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_NOTIFICATION_EARLY, "queue %u, status 0x%x",
                            queue_index, device->status);
        return;
    }
    if (queue == NULL) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_ABSENT, "notified queue %u",
                            queue_index);
        return;
    }
    if (!queue->ready) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_NOTIFICATION_NOT_READY, "queue %u",
                            queue_index);
        return;
    }
    uint64_t offered = queue->format->offered(device, queue);
    if (!queue->format->wants_notification(device, queue, offered))
        device->stats.notifications_needless++;
    queue->avail_notified = offered;
    if (!fake_virtio_lies(device, FAKE_VIRTIO_FAULT_NOTIFICATION_LOST, &value))
        queue->awake = true;
}

void fake_virtio_check_notified(struct fake_virtio *device) {
    if (device->silent || device->lied || (device->status & FAKE_VIRTIO_DRIVER_OK) == 0)
        return;
    for (uint32_t i = 0; i < device->type.queue_count; i++) {
        struct fake_virtio_queue *queue = &device->queues[i];
        if (!queue->ready || queue->awake)
            continue;
        uint64_t offered = queue->format->offered(device, queue);
        if (offered != queue->avail_next)
            fake_virtio_violate(device, FAKE_VIRTIO_RULE_NOTIFICATION_MISSING,
                                "queue %u, offered up to %llu, fetched up to %llu", i,
                                (unsigned long long)offered, (unsigned long long)queue->avail_next);
    }
}

/* Steps */

/* In the order that an eager device prefers. */
enum action { INTERRUPT, PUBLISH, RETIRE, FETCH, EXECUTE, ARM, SLEEP, ACTIONS };

/* The actions that are possible on a queue, a bit each. */
static uint32_t possible_actions(struct fake_virtio *device, struct fake_virtio_queue *queue) {
    uint32_t actions = 0;
    bool waiting = queue->awake && queue->format->waiting(device, queue);
    if (device->silent) /* what the driver did to the ring is absurd */
        return 0;
    if (queue->interrupt_undecided)
        actions |= 1u << INTERRUPT;
    if (!ash_list_is_empty(&queue->executed))
        actions |= 1u << RETIRE;
    if (waiting)
        actions |= 1u << FETCH;
    if (due_request(device, queue, 0) != NULL)
        actions |= 1u << EXECUTE;
    bool more = (actions & (1u << RETIRE | 1u << FETCH | 1u << EXECUTE)) != 0;
    if (queue->unpublished != 0 && (queue->unpublished >= device->policy.used_batch || !more))
        actions |= 1u << PUBLISH;
    if (queue->awake && !waiting)
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

/* Small numbers, in the range of indexes and ids, or any. */
static void scribble(struct fake_virtio *device) {
    uint64_t halfwords;
    if (!fake_virtio_lies(device, FAKE_VIRTIO_FAULT_SCRIBBLE, &halfwords))
        return;
    struct fake_virtio_queue *queue =
        &device->queues[fake_virtio_choose(device, device->type.queue_count)];
    halfwords = ash_min_u64(ash_max_u64(halfwords, 1), queue->size);
    for (uint64_t i = 0; queue->ready && i < halfwords; i++) {
        ash_paddr_t address = queue->format->scribble_at(device, queue);
        uint64_t limit = fake_virtio_choose(device, 2) == 0 ? 2u * queue->size : UINT16_MAX + 1u;
        guest_memory_store_u16(device->memory, address,
                               (uint16_t)fake_virtio_choose(device, limit));
        device->lied = true;
    }
}

static bool is_running(const struct fake_virtio *device) {
    uint32_t running = FAKE_VIRTIO_FEATURES_OK | FAKE_VIRTIO_DRIVER_OK;
    return !device->silent && (device->status & running) == running;
}

/* The pending request that is due first, by the clock. */
uint64_t fake_virtio_due_ns(const struct fake_virtio *device) {
    uint64_t first = UINT64_MAX;
    if (!is_running(device))
        return first;
    for (uint32_t i = 0; i < device->type.queue_count; i++) {
        struct ash_list *node;
        ash_list_for_each (node, &device->queues[i].pending) {
            first = ash_min_u64(first, request_of(node)->due_ns);
        }
    }
    return first;
}

bool fake_virtio_step(struct fake_virtio *device) {
    device->now++;
    if (!is_running(device))
        return false;
    interrupt_spuriously(device);
    scribble(device);
    struct fake_virtio_queue *queue;
    enum action action;
    if (choose_action(device, &queue, &action)) {
        act(device, queue, action);
        return true;
    }
    /* Requests may wait for steps to pass: that is progress too. */
    return !device->silent && fake_virtio_in_flight(device) != 0 &&
           fake_virtio_due_ns(device) <= clock_ns(device);
}

uint64_t fake_virtio_run(struct fake_virtio *device, uint64_t limit) {
    uint64_t steps = 0;
    while (steps < limit && fake_virtio_step(device))
        steps++;
    return steps;
}
