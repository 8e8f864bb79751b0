/* SPDX-License-Identifier: MIT */
/* rig.h: a driver and a mini device, connected: what the cases of virtio-blk start from. */
#ifndef VIRTQ_RIG_H
#define VIRTQ_RIG_H

#include <ashlar/error.h>
#include <ashlar/virtio_blk.h>
#include <ashlar/virtio_mmio.h>

#include "harness/test.h"
#include "virtq/mini_device.h"

enum { RIG_CAPACITY_SECTORS = 1000, RIG_IN_FLIGHT = 32 };

struct rig {
    struct mini_device device;
    struct ash_virtio_mmio mmio;
    struct ash_virtio_blk blk;
    struct ash_virtio_blk_config config;
    void *storage;
    size_t storage_bytes;
    uint32_t dma_calls, dma_fails_at; /* the n-th call from now finds no address; 0: none does */
};

/* From test_alloc: the device is there, the driver not yet. */
struct rig *rig_new(void);
/* Probes, allocates storage, takes the device over: every step's result as it is. */
int rig_init(struct rig *rig);
/* rig_new and rig_init, which must succeed. */
struct rig *rig_start(void);

/* A read into buffer that must be queued; its token. */
uint32_t rig_read(struct rig *rig, uint64_t sector, void *buffer, size_t len_bytes, void *cookie);
/* One completion that must be there. */
struct ash_virtio_blk_done rig_reap_one(struct rig *rig);
/* The checker finds nothing, and the driver broke no rule. */
void rig_check(struct rig *rig);
/* The buffer holds the disk's bytes from this sector on. */
void rig_check_data(const void *buffer, uint64_t sector, size_t len_bytes);

#endif
