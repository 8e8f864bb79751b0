/* SPDX-License-Identifier: MIT */
/* virtio_mmio_window.c: virtio-mmio registers in front of a fake virtio device. */
#include "hosted/virtio_mmio_window.h"

/* Offsets (4.2.2). */
enum {
    MAGIC_VALUE = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034,
    QUEUE_NUM = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC_LOW = 0x080,
    QUEUE_DESC_HIGH = 0x084,
    QUEUE_DRIVER_LOW = 0x090,
    QUEUE_DRIVER_HIGH = 0x094,
    QUEUE_DEVICE_LOW = 0x0a0,
    QUEUE_DEVICE_HIGH = 0x0a4,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
};

enum { MAGIC = 0x74726976, VENDOR = 0x41534841 };

static const uint16_t readable[] = {
    MAGIC_VALUE,   VERSION,     DEVICE_ID,        VENDOR_ID, DEVICE_FEATURES,
    QUEUE_NUM_MAX, QUEUE_READY, INTERRUPT_STATUS, STATUS,    CONFIG_GENERATION};
static const uint16_t writable[] = {
    DEVICE_FEATURES_SEL, DRIVER_FEATURES,  DRIVER_FEATURES_SEL, QUEUE_SEL,        QUEUE_NUM,
    QUEUE_READY,         QUEUE_NOTIFY,     INTERRUPT_ACK,       STATUS,           QUEUE_DESC_LOW,
    QUEUE_DESC_HIGH,     QUEUE_DRIVER_LOW, QUEUE_DRIVER_HIGH,   QUEUE_DEVICE_LOW, QUEUE_DEVICE_HIGH,
};

static bool is_in(const uint16_t *offsets, size_t count, uint32_t offset) {
    for (size_t i = 0; i < count; i++) {
        if (offsets[i] == offset)
            return true;
    }
    return false;
}

void fake_virtio_mmio_init(struct fake_virtio_mmio *window, struct fake_virtio *device) {
    *window = (struct fake_virtio_mmio){
        .device = device, .device_features_word = UINT32_MAX, .driver_features_word = UINT32_MAX};
}

/* Records what is wrong with an access to a control register; false: it has no effect. */
static bool check_access(struct fake_virtio_mmio *window, uint32_t offset, uint32_t width_bytes,
                         bool write) {
    struct fake_virtio *device = window->device;
    bool reads = is_in(readable, ASH_ARRAY_LEN(readable), offset);
    bool writes = is_in(writable, ASH_ARRAY_LEN(writable), offset);
    if (width_bytes != 4 || offset % 4 != 0) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_REGISTER_WIDTH, "%u bytes at 0x%x",
                            width_bytes, offset);
        return false;
    }
    if (!reads && !writes)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_REGISTER_UNKNOWN, "0x%x", offset);
    else if (write && !writes)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_REGISTER_READ_ONLY, "0x%x", offset);
    else if (!write && !reads)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_REGISTER_WRITE_ONLY, "0x%x", offset);
    if (window->legacy && offset > DEVICE_ID)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_VERSION_IGNORED, "access to 0x%x", offset);
    return write ? writes : reads;
}

/* The selected queue; NULL, recorded if the driver means to configure it, where there is none. */
static struct fake_virtio_queue *selected(struct fake_virtio_mmio *window, uint32_t offset,
                                          bool configures) {
    struct fake_virtio *device = window->device;
    struct fake_virtio_queue *queue = fake_virtio_queue(device, window->queue_sel);
    if (configures && queue == NULL)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_ABSENT, "queue %u, register 0x%x",
                            window->queue_sel, offset);
    if (configures && queue != NULL && (window->stopped_unread >> queue->index & 1) != 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_STOP_NOT_READ, "queue %u, register 0x%x",
                            queue->index, offset);
    return queue;
}

static uint32_t read_device_features(struct fake_virtio_mmio *window) {
    if (window->device_features_word == UINT32_MAX)
        fake_virtio_violate(window->device, FAKE_VIRTIO_RULE_FEATURES_NOT_SELECTED,
                            "DeviceFeatures, status 0x%x", window->device->status);
    return fake_virtio_read_features(window->device, window->device_features_word);
}

static uint32_t read_queue_ready(struct fake_virtio_mmio *window) {
    struct fake_virtio_queue *queue = selected(window, QUEUE_READY, false);
    if (queue == NULL)
        return 0;
    window->stopped_unread &= ~(1u << queue->index);
    return queue->ready;
}

static uint32_t read_register(struct fake_virtio_mmio *window, uint32_t offset) {
    struct fake_virtio *device = window->device;
    struct fake_virtio_queue *queue;
    switch (offset) {
    case MAGIC_VALUE:
        return MAGIC;
    case VERSION:
        return window->legacy ? 1 : 2;
    case DEVICE_ID:
        return device->type.device_id;
    case VENDOR_ID:
        return VENDOR;
    case DEVICE_FEATURES:
        return read_device_features(window);
    case QUEUE_NUM_MAX:
        queue = selected(window, offset, false);
        return queue == NULL ? 0 : queue->size_max;
    case QUEUE_READY:
        return read_queue_ready(window);
    case INTERRUPT_STATUS:
        return device->interrupt_status;
    case STATUS:
        return fake_virtio_read_status(device);
    default:
        return fake_virtio_read_generation(device);
    }
}

static uint32_t read_empty(uint32_t offset) {
    return offset == MAGIC_VALUE ? (uint32_t)MAGIC : offset == VERSION ? 2 : 0;
}

uint32_t fake_virtio_mmio_read(void *context, uint32_t offset, uint32_t width_bytes) {
    struct fake_virtio_mmio *window = context;
    if (window->device == NULL)
        return read_empty(offset);
    if (offset >= CONFIG)
        return fake_virtio_read_config(window->device, offset - CONFIG, width_bytes);
    return check_access(window, offset, width_bytes, false) ? read_register(window, offset) : 0;
}

static void write_low(ash_paddr_t *address, uint32_t value) {
    *address = (*address & ~(ash_paddr_t)UINT32_MAX) | value;
}

static void write_high(ash_paddr_t *address, uint32_t value) {
    *address = (*address & UINT32_MAX) | (ash_paddr_t)value << 32;
}

static void write_address(struct fake_virtio_mmio *window, uint32_t offset, uint32_t value) {
    struct fake_virtio_queue *queue = selected(window, offset, true);
    if (queue == NULL || !fake_virtio_may_configure(window->device, queue))
        return;
    ash_paddr_t *part = offset < QUEUE_DRIVER_LOW   ? &queue->desc
                        : offset < QUEUE_DEVICE_LOW ? &queue->avail
                                                    : &queue->used;
    if (offset % 8 == 0)
        write_low(part, value);
    else
        write_high(part, value);
}

static void write_driver_features(struct fake_virtio_mmio *window, uint32_t value) {
    if (window->driver_features_word == UINT32_MAX)
        fake_virtio_violate(window->device, FAKE_VIRTIO_RULE_FEATURES_NOT_SELECTED,
                            "DriverFeatures = 0x%x", value);
    else
        fake_virtio_write_features(window->device, window->driver_features_word, value);
}

static void write_queue_ready(struct fake_virtio_mmio *window, uint32_t value) {
    struct fake_virtio_queue *queue = selected(window, QUEUE_READY, true);
    if (queue == NULL)
        return;
    if (value == 0 && queue->ready)
        window->stopped_unread |= 1u << queue->index;
    fake_virtio_write_queue_ready(window->device, queue, value);
}

static void write_interrupt_ack(struct fake_virtio_mmio *window, uint32_t value) {
    uint32_t pending = window->device->interrupt_status;
    if ((value & ~pending) != 0)
        fake_virtio_violate(window->device, FAKE_VIRTIO_RULE_INTERRUPT_ACK, "0x%x, pending is 0x%x",
                            value, pending);
    fake_virtio_acknowledge(window->device, value);
}

static void write_status(struct fake_virtio_mmio *window, uint32_t value) {
    if (value == 0) { /* the selections start anew */
        bool legacy = window->legacy;
        fake_virtio_mmio_init(window, window->device);
        window->legacy = legacy;
    }
    fake_virtio_write_status(window->device, value);
}

static void write_register(struct fake_virtio_mmio *window, uint32_t offset, uint32_t value) {
    struct fake_virtio *device = window->device;
    struct fake_virtio_queue *queue;
    switch (offset) {
    case DEVICE_FEATURES_SEL:
        window->device_features_word = value;
        break;
    case DRIVER_FEATURES:
        write_driver_features(window, value);
        break;
    case DRIVER_FEATURES_SEL:
        window->driver_features_word = value;
        break;
    case QUEUE_SEL:
        window->queue_sel = value;
        break;
    case QUEUE_NUM:
        queue = selected(window, offset, true);
        if (queue != NULL)
            fake_virtio_write_queue_size(device, queue, value);
        break;
    case QUEUE_READY:
        write_queue_ready(window, value);
        break;
    case QUEUE_NOTIFY:
        fake_virtio_notify(device, value);
        break;
    case INTERRUPT_ACK:
        write_interrupt_ack(window, value);
        break;
    case STATUS:
        write_status(window, value);
        break;
    default:
        write_address(window, offset, value);
        break;
    }
}

void fake_virtio_mmio_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct fake_virtio_mmio *window = context;
    if (window->device == NULL)
        return;
    if (offset >= CONFIG)
        fake_virtio_write_config(window->device, offset - CONFIG, width_bytes, value);
    else if (check_access(window, offset, width_bytes, true))
        write_register(window, offset, value);
}
