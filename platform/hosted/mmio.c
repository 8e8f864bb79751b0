/* SPDX-License-Identifier: MIT */
/* mmio.c: the register windows behind platform_virtio_*, with a fake device or none behind each. */
#include <ashlar/error.h>

#include "hosted.h"
#include "hosted_internal.h"
#include "platform.h"

/* virtio 1.2, 4.2.2: the registers that tell a driver that nobody is there. */
enum { REGISTER_MAGIC = 0x000, REGISTER_VERSION = 0x004 };
#define MMIO_MAGIC   0x74726976u
#define MMIO_VERSION 2u

static const struct hosted_mmio_device *slots[HOSTED_MMIO_SLOTS];

int hosted_mmio_attach(uint32_t slot, const struct hosted_mmio_device *device) {
    if (slot >= HOSTED_MMIO_SLOTS)
        return -ASH_EINVAL;
    if (device != NULL && slots[slot] != NULL)
        return -ASH_EBUSY;
    slots[slot] = device;
    return 0;
}

void hosted_mmio_interrupt(uint32_t slot) {
    if (slot < HOSTED_MMIO_SLOTS)
        (void)hosted_interrupt_raise(0, HOSTED_LINE_MMIO + slot);
}

bool hosted_mmio_step(void) {
    bool moved = false;
    for (uint32_t slot = 0; slot < HOSTED_MMIO_SLOTS; slot++) {
        const struct hosted_mmio_device *device = slots[slot];
        if (device != NULL && device->step != NULL)
            moved |= device->step(device->context);
    }
    return moved;
}

uint32_t platform_virtio_slots(void) {
    return HOSTED_MMIO_SLOTS;
}

uint32_t platform_virtio_read(uint32_t slot, uint32_t offset, uint32_t width_bytes) {
    const struct hosted_mmio_device *device = slot < HOSTED_MMIO_SLOTS ? slots[slot] : NULL;
    if (device != NULL)
        return device->read(device->context, offset, width_bytes);
    if (offset == REGISTER_MAGIC)
        return MMIO_MAGIC;
    return offset == REGISTER_VERSION ? MMIO_VERSION : 0;
}

void platform_virtio_write(uint32_t slot, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    const struct hosted_mmio_device *device = slot < HOSTED_MMIO_SLOTS ? slots[slot] : NULL;
    if (device != NULL)
        device->write(device->context, offset, width_bytes, value);
}

int platform_virtio_connect(uint32_t slot, void (*handler)(void *context), void *context) {
    if (slot >= HOSTED_MMIO_SLOTS)
        return -ASH_EINVAL;
    hosted_interrupt_connect(HOSTED_LINE_MMIO + slot, handler, context);
    return 0;
}
