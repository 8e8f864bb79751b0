/* SPDX-License-Identifier: MIT */
#include "virtq/ring_device.h"

/* 2.7.5, 2.8.1, 2.8.10 */
enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, F_AVAIL = 0x80, F_USED = 0x8000 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };
enum { NO_INTERRUPT = 1, NO_NOTIFY = 1, DESC_BYTES = 16 };

uint64_t ring_device_get(const struct ring_device *device, uint64_t address, uint32_t width) {
    uint64_t value = 0;
    CHECK(address >= device->base && address - device->base <= device->bytes - width);
    for (uint32_t i = width; i-- != 0;)
        value = value << 8 | device->memory[address - device->base + i];
    return value;
}

void ring_device_put(struct ring_device *device, uint64_t address, uint32_t width, uint64_t value) {
    CHECK(address >= device->base && address - device->base <= device->bytes - width);
    for (uint32_t i = 0; i < width; i++)
        device->memory[address - device->base + i] = (uint8_t)(value >> 8 * i);
}

static uint16_t get16(const struct ring_device *device, uint64_t address) {
    return (uint16_t)ring_device_get(device, address, 2);
}

void ring_device_init(struct ring_device *device, const struct ash_virtq *queue) {
    uint32_t held_max = queue->slot_count;
    *device = (struct ring_device){
        .memory = queue->dma.pointer,
        .base = queue->dma.address,
        .bytes = queue->dma.bytes,
        .held = test_alloc(sizeof(struct ring_request) * held_max, 64),
        .held_max = held_max,
    };
}

void ring_device_reset(struct ring_device *device, const struct ash_virtq *queue) {
    device->desc = ash_virtq_desc_area(queue).address;
    device->driver = ash_virtq_driver_area(queue).address;
    device->device = ash_virtq_device_area(queue).address;
    device->size = queue->size;
    device->packed = queue->shape.packed;
    device->event_idx = queue->event_idx;
    device->avail_next = device->used_next = device->signalled = 0;
    device->avail_wrap = device->used_wrap = device->signalled_wrap = true;
    device->held_count = device->unsignalled = 0;
}

static void take_segment(const struct ring_device *device, struct ring_request *request,
                         uint64_t desc, uint32_t flags) {
    CHECK(request->segment_count < RING_SEGMENTS_MAX);
    struct ring_segment *segment = &request->segments[request->segment_count];
    *segment = (struct ring_segment){ring_device_get(device, desc, 8),
                                     (uint32_t)ring_device_get(device, desc + 8, 4),
                                     (flags & F_WRITE) != 0};
    /* 2.7.4.2: what the device writes comes after what it reads. */
    CHECK(request->segment_count == 0 || segment->device_writes || !segment[-1].device_writes);
    request->segment_count++;
}

/* A chain by `next`, in the table at `table` of `limit` descriptors; no tables in tables. */
static void take_chain(const struct ring_device *device, struct ring_request *request,
                       uint64_t table, uint32_t at, uint32_t limit) {
    for (uint32_t steps = 0;; steps++) {
        CHECK(at < limit && steps < limit);
        uint64_t desc = table + at * (uint64_t)DESC_BYTES;
        uint32_t flags = get16(device, desc + 12);
        CHECK_EQ(flags & ~(uint32_t)(F_NEXT | F_WRITE), 0);
        take_segment(device, request, desc, flags);
        if ((flags & F_NEXT) == 0)
            return;
        at = get16(device, desc + 14);
    }
}

static uint32_t table_count(const struct ring_device *device, uint64_t desc, uint32_t flags) {
    uint32_t bytes = (uint32_t)ring_device_get(device, desc + 8, 4);
    CHECK_EQ(flags & (F_NEXT | F_WRITE), 0); /* 2.7.5.3.1, 2.8.19 */
    CHECK(bytes != 0 && bytes % DESC_BYTES == 0);
    CHECK(bytes / DESC_BYTES <= device->size);
    return bytes / DESC_BYTES;
}

static void check_id_is_free(const struct ring_device *device, uint16_t id) {
    for (uint32_t i = 0; i < device->held_count; i++)
        CHECK(device->held[i].id != id);
}

static bool fetch_split(struct ring_device *device, struct ring_request *request) {
    uint16_t index = get16(device, device->driver + 2);
    CHECK((uint16_t)(index - device->used_next) <= device->size);
    if (index == device->avail_next)
        return false;
    request->id =
        get16(device, device->driver + 4 + 2 * (uint64_t)(device->avail_next % device->size));
    CHECK(request->id < device->size);
    uint64_t head = device->desc + request->id * (uint64_t)DESC_BYTES;
    uint32_t flags = get16(device, head + 12);
    request->is_table = (flags & F_INDIRECT) != 0;
    if (request->is_table)
        take_chain(device, request, ring_device_get(device, head, 8), 0,
                   table_count(device, head, flags));
    else
        take_chain(device, request, device->desc, request->id, device->size);
    device->avail_next++;
    return true;
}

static void next_entry(const struct ring_device *device, uint16_t *position, bool *wrap) {
    if (++*position == device->size) {
        *position = 0;
        *wrap = !*wrap;
    }
}

static bool is_available(const struct ring_device *device, uint32_t flags) {
    return ((flags & F_AVAIL) != 0) == device->avail_wrap &&
           ((flags & F_USED) != 0) != device->avail_wrap;
}

/* 2.8.7: in a table the order is that of the entries, only WRITE means something. */
static void take_packed_table(const struct ring_device *device, struct ring_request *request,
                              uint64_t desc, uint32_t flags) {
    uint64_t table = ring_device_get(device, desc, 8);
    uint32_t count = table_count(device, desc, flags);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t entry = table + i * (uint64_t)DESC_BYTES;
        uint32_t entry_flags = get16(device, entry + 14);
        CHECK_EQ(entry_flags & ~(uint32_t)F_WRITE, 0); /* 2.8.19 */
        take_segment(device, request, entry, entry_flags);
    }
}

static bool fetch_packed(struct ring_device *device, struct ring_request *request) {
    for (bool has_next = true; has_next; request->entries++) {
        uint64_t desc = device->desc + device->avail_next * (uint64_t)DESC_BYTES;
        uint32_t flags = get16(device, desc + 14);
        if (request->entries == 0 && !is_available(device, flags))
            return false;
        /* What is behind an available first one is all there, 2.8.21. */
        CHECK(is_available(device, flags) && request->entries < device->size);
        has_next = (flags & F_NEXT) != 0;
        request->is_table = (flags & F_INDIRECT) != 0;
        if (request->is_table) {
            CHECK_EQ(request->entries, 0);
            take_packed_table(device, request, desc, flags);
        } else {
            take_segment(device, request, desc, flags);
        }
        request->id = get16(device, desc + 12); /* that of the last one counts, 2.8.6 */
        next_entry(device, &device->avail_next, &device->avail_wrap);
    }
    return true;
}

bool ring_device_fetch(struct ring_device *device) {
    struct ring_request request = {0};
    bool is_there = device->packed ? fetch_packed(device, &request) : fetch_split(device, &request);
    if (!is_there)
        return false;
    CHECK(device->held_count < device->held_max);
    check_id_is_free(device, request.id);
    device->held[device->held_count++] = request;
    return true;
}

uint32_t ring_device_fetch_all(struct ring_device *device) {
    uint32_t count = 0;
    while (ring_device_fetch(device))
        count++;
    return count;
}

void ring_device_put_used(struct ring_device *device, uint16_t index, uint32_t id, uint32_t len) {
    uint64_t entry = device->device + 4 + 8 * (uint64_t)(index % device->size);
    ring_device_put(device, entry, 4, id);
    ring_device_put(device, entry + 4, 4, len);
}

void ring_device_put_used_index(struct ring_device *device, uint16_t index) {
    ring_device_put(device, device->device + 2, 2, index);
}

void ring_device_put_entry(struct ring_device *device, uint32_t position, uint16_t id, uint32_t len,
                           uint16_t flags) {
    uint64_t desc = device->desc + position * (uint64_t)DESC_BYTES;
    ring_device_put(device, desc + 8, 4, len);
    ring_device_put(device, desc + 12, 2, id);
    ring_device_put(device, desc + 14, 2, flags);
}

void ring_device_complete(struct ring_device *device, uint32_t index, uint32_t len) {
    CHECK(index < device->held_count);
    struct ring_request *held = &device->held[index];
    if (device->packed) {
        ring_device_put_entry(device, device->used_next, held->id, len,
                              device->used_wrap ? F_AVAIL | F_USED : 0);
        for (uint32_t i = 0; i < held->entries; i++)
            next_entry(device, &device->used_next, &device->used_wrap);
        device->unsignalled += held->entries;
    } else {
        ring_device_put_used(device, device->used_next, held->id, len);
        ring_device_put_used_index(device, ++device->used_next);
        device->unsignalled++;
    }
    device->held_count--;
    memmove(held, held + 1, (device->held_count - index) * sizeof(*held));
}

static bool split_wants(const struct ring_device *device) {
    if (!device->event_idx)
        return device->unsignalled != 0 && (get16(device, device->driver) & NO_INTERRUPT) == 0;
    uint16_t event = get16(device, device->driver + 4 + 2 * (uint64_t)device->size);
    for (uint32_t i = 0; i < device->unsignalled; i++) {
        if ((uint16_t)(device->signalled + i) == event)
            return true;
    }
    return false;
}

static bool packed_wants(const struct ring_device *device) {
    uint16_t event = get16(device, device->driver), flags = get16(device, device->driver + 2);
    uint16_t position = device->signalled;
    bool wrap = device->signalled_wrap;
    CHECK(flags == EVENT_ENABLE || flags == EVENT_DISABLE ||
          (flags == EVENT_DESC && device->event_idx));
    for (uint32_t i = 0; i < device->unsignalled; i++) {
        if (flags == EVENT_DESC && position == (event & 0x7fff) && wrap == event >> 15)
            return true;
        next_entry(device, &position, &wrap);
    }
    return device->unsignalled != 0 && flags == EVENT_ENABLE;
}

bool ring_device_wants_interrupt(struct ring_device *device) {
    bool wants = device->packed ? packed_wants(device) : split_wants(device);
    device->unsignalled = 0;
    device->signalled = device->used_next;
    device->signalled_wrap = device->used_wrap;
    return wants;
}

void ring_device_put_avail_event(struct ring_device *device, uint16_t index) {
    ring_device_put(device, device->device + 4 + 8 * (uint64_t)device->size, 2, index);
}

void ring_device_put_event(struct ring_device *device, uint16_t off_wrap, uint16_t flags) {
    ring_device_put(device, device->device, 2, off_wrap);
    ring_device_put(device, device->device + 2, 2, flags);
}

void ring_device_ask(struct ring_device *device) {
    uint32_t wrap = device->avail_wrap ? 1u << 15 : 0;
    if (device->packed)
        ring_device_put_event(device, (uint16_t)(device->avail_next | wrap),
                              device->event_idx ? EVENT_DESC : EVENT_ENABLE);
    else if (device->event_idx)
        ring_device_put_avail_event(device, device->avail_next);
    else
        ring_device_put(device, device->device, 2, 0);
}

void ring_device_ask_not(struct ring_device *device) {
    if (device->packed)
        ring_device_put_event(device, 0, EVENT_DISABLE);
    else if (device->event_idx)
        ring_device_put_avail_event(device, (uint16_t)(device->avail_next - 1));
    else
        ring_device_put(device, device->device, 2, NO_NOTIFY);
}
