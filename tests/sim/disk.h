/* SPDX-License-Identifier: MIT */
/*
 * disk.h: a disk and its driver for scenarios: the library's virtio-blk driver over the fake block
 * device as an actor, in a guest memory of its own. Memory is taken once; each run powers the
 * device on anew.
 */
#ifndef ASHLAR_SIM_DISK_H
#define ASHLAR_SIM_DISK_H

#include <ashlar/virtio_blk.h>
#include <ashlar/virtio_mmio.h>

#include "hosted/virtio_blk_device.h"
#include "sim/device.h"

enum { SIM_DISK_POOL_BYTES = 1 << 17, SIM_DISK_BUFFERS_BYTES = 1 << 16, SIM_DISK_DEPTH = 8 };

struct sim_disk {
    struct sim *sim;
    struct guest_memory memory;
    struct fake_virtio_blk fake;
    struct sim_device device;
    struct ash_virtio_mmio mmio;
    struct ash_virtio_blk blk;
    struct ash_virtio_blk_queue *queue;
    uint8_t *pool; /* all that the device reaches: the driver's part, then buffers */
    void *storage;
};

/* From the harness: once, before the runs. */
void sim_disk_alloc(struct sim_disk *disk);

/* A device that was just switched on; its faults are those of `actor`. */
void sim_disk_power_on(struct sim_disk *disk, struct sim *sim, uint32_t actor,
                       const struct fake_virtio_blk_config *config,
                       const struct sim_device_config *pace);

/* The driver takes it over: its result. SIM_DISK_DEPTH requests at a time. */
int sim_disk_start(struct sim_disk *disk) ASH_MUST_CHECK;

/* The buffers' bytes from offset on, and a segment of them. */
uint8_t *sim_disk_buffer(struct sim_disk *disk, uint32_t offset);
struct ash_dma_segment sim_disk_segment(uint32_t offset, uint32_t len_bytes);

#endif
