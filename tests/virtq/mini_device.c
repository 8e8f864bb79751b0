/* SPDX-License-Identifier: MIT */
#include "virtq/mini_device.h"

#include <string.h>

/* Guest memory, little-endian, by the device's addresses */

static uint8_t *at(uint64_t address) {
    return (uint8_t *)(uintptr_t)(address - MINI_DMA_OFFSET);
}

static uint64_t load(uint64_t address, uint32_t bytes) {
    uint64_t value = 0;
    const volatile uint8_t *from = at(address);
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

static void store(uint64_t address, uint64_t value, uint32_t bytes) {
    volatile uint8_t *to = at(address);
    for (uint32_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static bool rule(struct mini_device *device, bool kept, const char *text) {
    if (!kept && device->broken_rule == NULL)
        device->broken_rule = text;
    return kept;
}

uint8_t mini_device_byte(uint64_t offset) {
    return (uint8_t)((offset * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

/* Registers, 4.2.2 */

static uint32_t read_config(struct mini_device *device, uint32_t offset) {
    switch (offset) { /* 5.2.4 */
    case 0:
        return (uint32_t)device->capacity_sectors;
    case 4:
        return (uint32_t)(device->capacity_sectors >> 32);
    case 8:
        return device->size_max;
    case 12:
        return device->seg_max;
    case 20:
        return device->block_size;
    default:
        return 0xffffffffu;
    }
}

static uint32_t read_register(void *context, uint32_t offset, uint32_t width_bytes) {
    struct mini_device *device = context;
    rule(device, width_bytes == 4, "4.2.2.2: access of a register not 32 bits wide");
    if (offset >= 0x100) {
        if (device->config_torn_reads != 0) {
            device->config_torn_reads--;
            device->config_generation++;
        }
        return read_config(device, offset - 0x100);
    }
    switch (offset) {
    case 0x000:
        return device->magic;
    case 0x004:
        return device->version;
    case 0x008:
        return device->device_id;
    case 0x010:
        return (uint32_t)(device->features >> (device->device_sel == 0 ? 0 : 32));
    case 0x034:
        return device->queue_sel == 0 ? device->queue_size_max : 0;
    case 0x044:
        return device->queue_ready;
    case 0x060:
        return device->interrupt_status;
    case 0x070:
        return device->status;
    case 0x0fc:
        return device->config_generation;
    default:
        rule(device, false, "4.2.2: read of a register that is not readable");
        return 0;
    }
}

static void reset(struct mini_device *device) {
    device->resets++;
    if (device->never_resets)
        return;
    device->status = 0;
    device->queue_ready = device->queue_stays_ready;
    device->interrupt_status = 0;
    device->avail_next = device->used_index = 0;
    device->held_count = 0;
}

static void set_status(struct mini_device *device, uint32_t value) {
    if (value == 0) {
        reset(device);
        return;
    }
    rule(device, (value & device->status & 0x0f) == (device->status & 0x0f),
         "2.1.1: the driver cleared a status bit");
    if ((value & 8) != 0 && device->refuses_features)
        value &= ~8u;
    if ((value & 4) != 0)
        rule(device, (value & 0x0b) == 0x0b && device->queue_ready == 1,
             "3.1.1: DRIVER_OK before features and queue");
    if ((value & 4) != 0 && device->dies_on_start)
        value |= 0x40;
    device->status = value;
}

static void set_half(uint64_t *word, uint32_t high, uint32_t value) {
    uint32_t shift = high != 0 ? 32 : 0;
    *word = (*word & ~((uint64_t)0xffffffffu << shift)) | (uint64_t)value << shift;
}

static void set_queue(struct mini_device *device, uint32_t offset, uint32_t value) {
    rule(device, device->queue_ready == 0 || offset == 0x044,
         "4.2.2.2: queue registers written while it is ready");
    rule(device, (device->status & 8) != 0, "3.1.1: queue set up before FEATURES_OK");
    switch (offset) {
    case 0x038:
        rule(device, value <= device->queue_size_max && (value & (value - 1)) == 0,
             "4.2.2.2: QueueNum above QueueNumMax, or no power of two");
        device->queue_num = value;
        break;
    case 0x044:
        device->queue_ready = device->queue_never_ready ? 0 : value;
        rule(device, device->desc % 16 == 0 && device->avail % 2 == 0 && device->used % 4 == 0,
             "2.7: a ring is misaligned");
        break;
    case 0x080:
    case 0x084:
        set_half(&device->desc, offset & 4, value);
        break;
    case 0x090:
    case 0x094:
        set_half(&device->avail, offset & 4, value);
        break;
    default:
        set_half(&device->used, offset & 4, value);
        break;
    }
}

static void write_register(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct mini_device *device = context;
    rule(device, width_bytes == 4, "4.2.2.2: access of a register not 32 bits wide");
    switch (offset) {
    case 0x014:
        device->device_sel = value;
        break;
    case 0x020:
        rule(device, (device->status & 8) == 0, "3.1.1: features written after FEATURES_OK");
        set_half(&device->driver_features, device->driver_sel, value);
        rule(device, (device->driver_features & ~device->features) == 0,
             "2.2.1: a feature accepted that was not offered");
        break;
    case 0x024:
        device->driver_sel = value;
        break;
    case 0x030:
        device->queue_sel = value;
        break;
    case 0x038:
    case 0x044:
    case 0x080:
    case 0x084:
    case 0x090:
    case 0x094:
    case 0x0a0:
    case 0x0a4:
        set_queue(device, offset, value);
        break;
    case 0x050:
        rule(device, (device->status & 4) != 0, "3.1.1: a notification before DRIVER_OK");
        device->notifications++;
        break;
    case 0x064:
        device->interrupt_status &= ~value;
        break;
    case 0x070:
        set_status(device, value);
        break;
    default:
        rule(device, false, "4.2.2: write of a register that is not writable");
        break;
    }
}

struct ash_virtio_regs mini_device_regs(struct mini_device *device) {
    return (struct ash_virtio_regs){read_register, write_register, device};
}

void mini_device_init(struct mini_device *device, uint64_t capacity_sectors) {
    memset(device, 0, sizeof(*device));
    device->magic = 0x74726976;
    device->version = 2;
    device->device_id = 2;
    device->queue_size_max = 1024;
    /* VERSION_1, EVENT_IDX, FLUSH, BLK_SIZE, SEG_MAX; also bits that no driver here knows. */
    device->features = UINT64_C(1) << 32 | 1u << 29 | 1u << 9 | 1u << 6 | 1u << 2 | 1u << 4 |
                       1u << 13 | UINT64_C(1) << 38;
    device->capacity_sectors = capacity_sectors;
    device->seg_max = 126;
    device->size_max = 1u << 20;
    device->block_size = 512;
}

/* The split ring, 2.7 */

static bool event_idx(const struct mini_device *device) {
    return (device->driver_features & (1u << 29)) != 0;
}

/* 2.7.7: asks to be notified of the next request. */
static void ask_for_notification(struct mini_device *device) {
    if (event_idx(device))
        store(device->used + 4 + 8 * (uint64_t)device->queue_num, device->avail_next, 2);
}

bool mini_device_fetch(struct mini_device *device) {
    if (!rule(device, device->status == 0x0f, "a queue run on a device that is not running"))
        return false;
    uint16_t index = (uint16_t)load(device->avail + 2, 2);
    if (index == device->avail_next) {
        ask_for_notification(device);
        index = (uint16_t)load(device->avail + 2, 2);
    }
    if (index == device->avail_next)
        return false;
    if (!rule(device, (uint16_t)(index - device->avail_next) <= device->queue_num,
              "2.7.6: avail.idx is more than a queue ahead"))
        return false;
    uint64_t slot = device->avail_next % device->queue_num;
    uint16_t head = (uint16_t)load(device->avail + 4 + 2 * slot, 2);
    for (uint32_t i = 0; i < device->held_count; i++)
        rule(device, device->held[i] != head, "2.7: a descriptor made available twice");
    device->held[device->held_count++] = head;
    device->avail_next++;
    return true;
}

static uint64_t descriptor(const struct mini_device *device, uint64_t id) {
    return device->desc + 16 * id;
}

void mini_device_use(struct mini_device *device, uint32_t id, uint32_t len) {
    uint64_t entry = device->used + 4 + 8 * (uint64_t)(device->used_index % device->queue_num);
    store(entry, id, 4);
    store(entry + 4, len, 4);
    mini_device_set_used_index(device, (uint16_t)(device->used_index + 1));
}

void mini_device_set_used_index(struct mini_device *device, uint16_t index) {
    device->used_index = index;
    store(device->used + 2, index, 2);
}

void mini_device_interrupt(struct mini_device *device, uint32_t cause) {
    device->interrupt_status |= cause;
    device->interrupts++;
}

/* 2.7.7.2 */
static bool wants_interrupt(const struct mini_device *device, uint16_t from) {
    if (!event_idx(device))
        return (load(device->avail, 2) & 1) == 0;
    uint16_t event = (uint16_t)load(device->avail + 4 + 2 * (uint64_t)device->queue_num, 2);
    return (uint16_t)(device->used_index - event - 1) < (uint16_t)(device->used_index - from);
}

/* Header, one data segment, status: 5.2.6. The bytes written. */
static uint32_t serve(struct mini_device *device, uint16_t head) {
    uint64_t header = descriptor(device, head), data = descriptor(device, load(header + 14, 2));
    uint64_t last = descriptor(device, load(data + 14, 2));
    uint64_t request = load(header, 8), bytes = load(data + 8, 4);
    if (!rule(device,
              load(header + 8, 4) == 16 && load(header + 12, 2) == 1 && load(data + 12, 2) == 3 &&
                  load(last + 8, 4) == 1 && load(last + 12, 2) == 2 && load(request, 4) == 0,
              "5.2.6: not a read: header, data, status"))
        return 0;
    uint64_t sector = load(request + 8, 8);
    rule(device,
         bytes % device->block_size == 0 && sector + bytes / 512 <= device->capacity_sectors,
         "5.2.6.1: a request beyond the end, or of no whole blocks");
    for (uint64_t i = 0; i < bytes && device->status_byte == 0; i++)
        *at(load(data, 8) + i) = mini_device_byte(sector * 512 + i);
    if (device->status_byte != MINI_STATUS_NONE)
        store(load(last, 8), device->status_byte, 1);
    return (uint32_t)bytes + 1;
}

void mini_device_complete(struct mini_device *device, uint32_t index) {
    uint16_t head = device->held[index], from = device->used_index;
    memmove(&device->held[index], &device->held[index + 1],
            (--device->held_count - index) * sizeof(device->held[0]));
    uint32_t written = serve(device, head);
    mini_device_use(device, head, written - device->used_len_less);
    if (wants_interrupt(device, from) && !device->loses_interrupts)
        mini_device_interrupt(device, 1);
}

void mini_device_run(struct mini_device *device) {
    while (mini_device_fetch(device))
        mini_device_complete(device, 0);
}
