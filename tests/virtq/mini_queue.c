/* SPDX-License-Identifier: MIT */
/* mini_queue.c: the rings of the small device, split (VIRTIO 1.2, 2.7) and packed (2.8). */
#include <string.h>

#include "virtq/mini_device.h"

enum { EVENT_ENABLE = 0, EVENT_DESC = 2 }; /* 2.8.10 */

#define DESC_AVAIL 0x80u
#define DESC_USED  0x8000u

static bool rule(struct mini_device *device, bool kept, const char *text) {
    return mini_device_rule(device, kept, text);
}

static uint16_t load16(uint64_t address) {
    return (uint16_t)mini_device_load(address, 2);
}

static bool is_packed(const struct mini_device *device) {
    return (device->driver_features & ASH_VIRTIO_F_RING_PACKED) != 0;
}

static bool has_event_idx(const struct mini_device *device) {
    return (device->driver_features & ASH_VIRTIO_F_EVENT_IDX) != 0;
}

/* What both formats have in common. */
static struct mini_desc load_desc(uint64_t address, bool packed) {
    struct mini_desc desc = {mini_device_load(address, 8),
                             (uint32_t)mini_device_load(address + 8, 4), load16(address + 12),
                             load16(address + 14)};
    if (packed) { /* id, then flags */
        uint16_t id = desc.flags;
        desc.flags = desc.link;
        desc.link = id;
    }
    return desc;
}

/* A position of a packed ring, some entries further. */
static void advance(const struct mini_queue *queue, uint16_t *position, bool *lap, uint32_t count) {
    uint32_t next = *position + count;
    *lap = next < queue->size ? *lap : !*lap;
    *position = (uint16_t)(next < queue->size ? next : next - queue->size);
}

/* Taking requests */

static bool is_available(const struct mini_device *device, const struct mini_queue *queue) {
    if (!is_packed(device))
        return load16(queue->driver + 2) != queue->avail_next;
    uint16_t flags = load16(queue->desc + 16 * (uint64_t)queue->avail_next + 14);
    return ((flags & DESC_AVAIL) != 0) == queue->avail_lap &&
           ((flags & DESC_USED) != 0) != queue->avail_lap;
}

/* 2.7.7, 2.8.10: asks to be notified of the next request. */
static void ask_for_notification(const struct mini_device *device, const struct mini_queue *queue) {
    bool event_idx = has_event_idx(device);
    if (is_packed(device)) {
        mini_device_store(queue->device, queue->avail_next | (queue->avail_lap ? 0x8000u : 0), 2);
        mini_device_store(queue->device + 2, event_idx ? EVENT_DESC : EVENT_ENABLE, 2);
    } else if (event_idx) {
        mini_device_store(queue->device + 4 + 8 * (uint64_t)queue->size, queue->avail_next, 2);
    }
}

static bool add(struct mini_device *device, struct mini_request *request,
                const struct mini_desc *desc) {
    if (!rule(device, request->count < MINI_DIRECT_MAX, "a chain too long for this device"))
        return false;
    request->direct[request->count++] = *desc;
    return (desc->flags & MINI_DESC_NEXT) != 0;
}

static bool take_split(struct mini_device *device, struct mini_queue *queue,
                       struct mini_request *request) {
    uint16_t index = load16(queue->driver + 2);
    if (!rule(device, (uint16_t)(index - queue->avail_next) <= queue->size,
              "2.7.6: avail.idx is more than a queue ahead"))
        return false;
    uint16_t id = load16(queue->driver + 4 + 2 * (uint64_t)(queue->avail_next % queue->size));
    struct mini_desc desc = {.link = id};
    request->id = id;
    do {
        if (!rule(device, desc.link < queue->size, "2.7.5: a descriptor out of range"))
            return false;
        desc = load_desc(queue->desc + 16 * (uint64_t)desc.link, false);
    } while (add(device, request, &desc));
    queue->avail_next++;
    return true;
}

static bool take_packed(struct mini_device *device, struct mini_queue *queue,
                        struct mini_request *request) {
    struct mini_desc desc;
    do {
        desc = load_desc(queue->desc + 16 * (uint64_t)queue->avail_next, true);
        if (!rule(device, is_available(device, queue), "2.8.6: half a chain was made available"))
            return false;
        advance(queue, &queue->avail_next, &queue->avail_lap, 1);
    } while (add(device, request, &desc));
    request->id = desc.link;
    return true;
}

static bool fetch_from(struct mini_device *device, uint32_t index) {
    struct mini_queue *queue = &device->queues[index];
    struct mini_request *request = &device->held[device->held_count];
    if (!is_available(device, queue))
        ask_for_notification(device, queue);
    if (!is_available(device, queue))
        return false;
    *request = (struct mini_request){.queue = (uint16_t)index};
    if (!(is_packed(device) ? take_packed(device, queue, request)
                            : take_split(device, queue, request)))
        return false;
    for (uint32_t i = 0; i < device->held_count; i++)
        rule(device, device->held[i].queue != index || device->held[i].id != request->id,
             "2.7, 2.8: a request made available twice");
    device->held_count++;
    return true;
}

bool mini_device_fetch(struct mini_device *device) {
    if (!rule(device, device->status == 0x0f, "a queue run on a device that is not running"))
        return false;
    for (uint32_t i = 0; i < device->queue_count && device->held_count < MINI_HELD_MAX; i++) {
        if (device->queues[i].ready == 1 && fetch_from(device, i))
            return true;
    }
    return false;
}

/* Giving them back */

static void use_split(struct mini_queue *queue, uint32_t id, uint32_t len) {
    uint64_t entry = queue->device + 4 + 8 * (uint64_t)(queue->used_next % queue->size);
    mini_device_store(entry, id, 4);
    mini_device_store(entry + 4, len, 4);
    queue->used_next++;
    mini_device_store(queue->device + 2, queue->used_next, 2);
}

static void use_packed(struct mini_queue *queue, uint32_t id, uint32_t len, uint32_t count) {
    uint64_t entry = queue->desc + 16 * (uint64_t)queue->used_next;
    mini_device_store(entry + 8, len, 4);
    mini_device_store(entry + 12, id, 2);
    mini_device_store(entry + 14, queue->used_lap ? DESC_AVAIL | DESC_USED : 0, 2);
    advance(queue, &queue->used_next, &queue->used_lap, count);
}

void mini_device_use(struct mini_device *device, uint32_t id, uint32_t len) {
    if (is_packed(device))
        use_packed(&device->queues[0], id, len, 1);
    else
        use_split(&device->queues[0], id, len);
}

void mini_device_set_used_index(struct mini_device *device, uint16_t index) {
    device->queues[0].used_next = index;
    mini_device_store(device->queues[0].device + 2, index, 2);
}

void mini_device_interrupt(struct mini_device *device, uint32_t cause) {
    device->interrupt_status |= cause;
    device->interrupts++;
}

/* 2.7.7.2: one more request was used. */
static bool wants_interrupt_split(const struct mini_device *device,
                                  const struct mini_queue *queue) {
    if (!has_event_idx(device))
        return (load16(queue->driver) & 1) == 0;
    return load16(queue->driver + 4 + 2 * (uint64_t)queue->size) ==
           (uint16_t)(queue->used_next - 1);
}

/* 2.8.10: `count` entries from here on were used. */
static bool wants_interrupt_packed(struct mini_device *device, const struct mini_queue *queue,
                                   uint16_t position, bool lap, uint32_t count) {
    uint16_t event = load16(queue->driver), flags = load16(queue->driver + 2);
    if (flags != EVENT_DESC)
        return flags == EVENT_ENABLE;
    rule(device, has_event_idx(device), "2.8.10: an event by its entry without EVENT_IDX");
    for (uint32_t i = 0; i < count; i++) {
        if (event == (position | (lap ? 0x8000u : 0)))
            return true;
        advance(queue, &position, &lap, 1);
    }
    return false;
}

void mini_device_complete(struct mini_device *device, uint32_t index) {
    struct mini_request request = device->held[index];
    struct mini_queue *queue = &device->queues[request.queue];
    memmove(&device->held[index], &device->held[index + 1],
            (--device->held_count - index) * sizeof(device->held[0]));
    uint32_t len = mini_device_serve(device, &request) - device->used_len_less;
    uint16_t position = queue->used_next;
    bool lap = queue->used_lap, wanted;
    if (is_packed(device)) {
        use_packed(queue, request.id, len, request.count);
        wanted = wants_interrupt_packed(device, queue, position, lap, request.count);
    } else {
        use_split(queue, request.id, len);
        wanted = wants_interrupt_split(device, queue);
    }
    if (wanted && !device->loses_interrupts)
        mini_device_interrupt(device, 1);
}

void mini_device_run(struct mini_device *device) {
    while (mini_device_fetch(device))
        mini_device_complete(device, 0);
}
