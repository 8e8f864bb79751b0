/* SPDX-License-Identifier: MIT */
/*
 * virtio_mmio_window.h: the register window of a fake virtio device (virtio 1.2, 4.2.2, version 2):
 * 0x100 bytes of registers, 32 bits each, then the configuration space. It referees the accesses:
 * width, direction, existence, and that the driver looked before it selected.
 *
 * A window in legacy mode says Version 1 and nothing else of the legacy interface works: a driver
 * that reads on is recorded (VERSION_IGNORED).
 */
#ifndef ASHLAR_HOSTED_VIRTIO_MMIO_WINDOW_H
#define ASHLAR_HOSTED_VIRTIO_MMIO_WINDOW_H

#include "hosted/virtio_engine.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FAKE_VIRTIO_MMIO_BYTES = 0x200 };

struct fake_virtio_mmio {
    struct fake_virtio *device; /* NULL: an empty slot, DeviceID 0 */
    bool legacy;
    uint32_t device_features_word, driver_features_word; /* UINT32_MAX: not selected yet */
    uint32_t queue_sel;
    uint32_t
        stopped_unread; /* queues that were stopped, QueueReady not read back yet; a bit each */
};

void fake_virtio_mmio_init(struct fake_virtio_mmio *window, struct fake_virtio *device);

/* Offset from the window's base; width 1, 2 or 4. What does not exist reads 0. */
uint32_t fake_virtio_mmio_read(void *window, uint32_t offset, uint32_t width_bytes);
void fake_virtio_mmio_write(void *window, uint32_t offset, uint32_t width_bytes, uint32_t value);

#ifdef __cplusplus
}
#endif

#endif
