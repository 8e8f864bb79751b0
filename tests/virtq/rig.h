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

/* What the ring may be like: a case for all of them loops over rig_new_as. */
enum rig_mode { RIG_SPLIT_EVENTS, RIG_SPLIT, RIG_PACKED_EVENTS, RIG_PACKED, RIG_MODES };

struct rig {
    struct mini_device device;
    struct ash_virtio_mmio mmio;
    struct ash_virtio_blk blk;
    struct ash_virtio_blk_queue *queue; /* the first one */
    struct ash_virtio_blk_config config;
    struct ash_virtio_blk_memory memory;
    struct ash_virtio_regs regs; /* the device's; a case may put its own before */
};

/* From test_alloc: the device is there, the driver not yet. Split ring with EVENT_IDX. */
struct rig *rig_new(void);
struct rig *rig_new_as(enum rig_mode mode);
/* A disk that can be written to. Before the driver comes. */
void rig_add_image(struct rig *rig);
/* Probes, allocates memory, takes the device over: every step's result as it is. */
int rig_init(struct rig *rig);
/* rig_new and rig_init, which must succeed. */
struct rig *rig_start(void);
void rig_must_init(struct rig *rig);

struct ash_dma_segment rig_segment(const void *pointer, size_t len_bytes);

/* One request of one segment, in the first queue; len_bytes 0: of none. */
int rig_try(struct rig *rig, enum ash_virtio_blk_op op, uint64_t sector, const void *buffer,
            size_t len_bytes, uint32_t *token);
/* One that must be queued; its token. */
uint32_t rig_submit(struct rig *rig, const struct ash_virtio_blk_request *request);
/* A read into buffer that must be queued; its token. */
uint32_t rig_read(struct rig *rig, uint64_t sector, void *buffer, size_t len_bytes, void *cookie);
/* One completion that must be there. */
struct ash_virtio_blk_done rig_reap_one(struct rig *rig);
/* Takes what is there, all of it good: how many. */
uint32_t rig_drain(struct rig *rig);
/* Kicks, lets the device do all, reaps one: its status. */
int rig_finish(struct rig *rig);
/* The checker finds nothing, and the driver broke no rule. */
void rig_check(struct rig *rig);
/* The buffer holds what an unwritten disk has from this sector on. */
void rig_check_data(const void *buffer, uint64_t sector, size_t len_bytes);
struct ash_virtio_blk_counters rig_counters(const struct rig *rig);

#endif
