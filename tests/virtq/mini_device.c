/* SPDX-License-Identifier: MIT */
/* mini_device.c: the registers. The rings are in mini_queue.c, the disk in mini_disk.c. */
#include "virtq/mini_device.h"

#include <string.h>

/* Guest memory, little-endian, by the device's addresses */

void *mini_device_memory(uint64_t address) {
    return (void *)(uintptr_t)(address - MINI_DMA_OFFSET);
}

/* Indices, and what decides who owns a descriptor, are of two bytes: a driver on another CPU sees
 * them together with what was written before. */

uint64_t mini_device_load(uint64_t address, uint32_t bytes) {
    uint64_t value = 0;
    if (bytes == sizeof(uint16_t))
        return __atomic_load_n((const uint16_t *)mini_device_memory(address), __ATOMIC_ACQUIRE);
    const volatile uint8_t *from = mini_device_memory(address);
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

void mini_device_store(uint64_t address, uint64_t value, uint32_t bytes) {
    if (bytes == sizeof(uint16_t)) {
        __atomic_store_n((uint16_t *)mini_device_memory(address), (uint16_t)value,
                         __ATOMIC_RELEASE);
        return;
    }
    volatile uint8_t *to = mini_device_memory(address);
    for (uint32_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

bool mini_device_rule(struct mini_device *device, bool kept, const char *text) {
    if (!kept && device->broken_rule == NULL)
        device->broken_rule = text;
    return kept;
}

static bool rule(struct mini_device *device, bool kept, const char *text) {
    return mini_device_rule(device, kept, text);
}

/* Registers, 4.2.2 */

static struct mini_queue *selected(struct mini_device *device) {
    return device->queue_sel < device->queue_count ? &device->queues[device->queue_sel] : NULL;
}

static uint32_t queue_size_max(const struct mini_device *device) {
    bool is_last = device->queue_sel + 1 == device->queue_count;
    return is_last && device->last_queue_size_max != 0 ? device->last_queue_size_max
                                                       : device->queue_size_max;
}

/* 5.2.4; the widths are those of the fields, 4.2.2.2. */
static uint32_t read_config(struct mini_device *device, uint32_t offset, uint32_t width_bytes) {
    rule(device, width_bytes == (offset == 34 ? 2 : 4),
         "4.2.2.2: access of a field not as wide as it is");
    switch (offset) {
    case 0:
        device->capacity_told = ash_max_u64(device->capacity_told, device->capacity_sectors);
        return (uint32_t)device->capacity_sectors;
    case 4:
        return (uint32_t)(device->capacity_sectors >> 32);
    case 8:
        return device->size_max;
    case 12:
        return device->seg_max;
    case 20:
        return device->block_size;
    case 34:
        return device->queue_count;
    case 36:
        return device->discard_sectors_max;
    case 40:
        return device->discard_seg_max;
    case 44:
        return device->discard_align;
    case 48:
        return device->zeroes_sectors_max;
    case 52:
        return device->zeroes_seg_max;
    default:
        return 0xffffffffu;
    }
}

static uint32_t read_register(void *context, uint32_t offset, uint32_t width_bytes) {
    struct mini_device *device = context;
    struct mini_queue *queue = selected(device);
    if (offset >= 0x100) {
        if (device->config_torn_reads != 0) {
            device->config_torn_reads--;
            device->config_generation++;
        }
        return read_config(device, offset - 0x100, width_bytes);
    }
    rule(device, width_bytes == 4, "4.2.2.2: access of a register not 32 bits wide");
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
        return queue != NULL ? queue_size_max(device) : 0;
    case 0x044:
        return queue != NULL ? queue->ready : 0;
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
    memset(device->queues, 0, sizeof(device->queues));
    device->queues[0].ready = device->queue_stays_ready;
    device->interrupt_status = 0;
    device->driver_features = 0;
    device->capacity_told = 0;
    device->held_count = 0;
}

static void set_status(struct mini_device *device, uint32_t value) {
    if (value == 0) {
        reset(device);
        return;
    }
    device->given_up += (value & 0x80) != 0;
    rule(device, (value & device->status & 0x0f) == (device->status & 0x0f),
         "2.1.1: the driver cleared a status bit");
    if ((value & 8) != 0 && device->refuses_features)
        value &= ~8u;
    if ((value & 4) != 0)
        rule(device, (value & 0x0b) == 0x0b && device->queues[0].ready == 1,
             "3.1.1: DRIVER_OK before features and queue");
    if ((value & 4) != 0 && device->dies_on_start)
        value |= 0x40;
    device->status = value;
}

static void set_half(uint64_t *word, uint32_t high, uint32_t value) {
    uint32_t shift = high != 0 ? 32 : 0;
    *word = (*word & ~((uint64_t)0xffffffffu << shift)) | (uint64_t)value << shift;
}

/* 2.7, 2.8.10.1: where the parts of a ring may begin. */
static bool is_aligned(const struct mini_device *device, const struct mini_queue *queue) {
    bool packed = (device->driver_features & ASH_VIRTIO_F_RING_PACKED) != 0;
    return queue->desc % 16 == 0 && queue->driver % (packed ? 4 : 2) == 0 && queue->device % 4 == 0;
}

static void enable_queue(struct mini_device *device, struct mini_queue *queue, uint32_t value) {
    rule(device, is_aligned(device, queue), "2.7: a ring is misaligned");
    rule(device, queue->size != 0, "4.2.2.2: a queue enabled without a size");
    queue->ready = device->queue_never_ready ? 0 : value;
    queue->avail_lap = queue->used_lap = true;
}

static void set_queue(struct mini_device *device, uint32_t offset, uint32_t value) {
    struct mini_queue *queue = selected(device);
    if (!rule(device, queue != NULL, "4.2.2.2: a queue that does not exist is set up"))
        return;
    rule(device, queue->ready == 0 || offset == 0x044,
         "4.2.2.2: queue registers written while it is ready");
    rule(device, (device->status & 8) != 0, "3.1.1: queue set up before FEATURES_OK");
    switch (offset) {
    case 0x038:
        rule(device, value <= queue_size_max(device) && (value & (value - 1)) == 0,
             "4.2.2.2: QueueNum above QueueNumMax, or no power of two");
        queue->size = value;
        break;
    case 0x044:
        enable_queue(device, queue, value);
        break;
    case 0x080:
    case 0x084:
        set_half(&queue->desc, offset & 4, value);
        break;
    case 0x090:
    case 0x094:
        set_half(&queue->driver, offset & 4, value);
        break;
    default:
        set_half(&queue->device, offset & 4, value);
        break;
    }
}

static void notify(struct mini_device *device, uint32_t queue) {
    rule(device, (device->status & 4) != 0, "3.1.1: a notification before DRIVER_OK");
    device->notifications++;
    if (rule(device, queue < device->queue_count && device->queues[queue].ready == 1,
             "4.2.2: a notification for a queue that is not there"))
        device->queues[queue].notifications++;
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
        notify(device, value);
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
    device->queue_count = 1;
    /* VERSION_1, EVENT_IDX, INDIRECT_DESC, WRITE_ZEROES, DISCARD, FLUSH, BLK_SIZE, SEG_MAX; also
     * bits that no driver here knows. */
    device->features = UINT64_C(1) << 32 | 1u << 29 | 1u << 28 | 1u << 14 | 1u << 13 | 1u << 9 |
                       1u << 6 | 1u << 2 | 1u << 4 | UINT64_C(1) << 38;
    device->capacity_sectors = capacity_sectors;
    device->seg_max = 126;
    device->size_max = 1u << 20;
    device->block_size = 512;
    device->discard_sectors_max = device->zeroes_sectors_max = 256;
    device->discard_seg_max = device->zeroes_seg_max = 1;
    device->discard_align = 1;
}
