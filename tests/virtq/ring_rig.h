/* SPDX-License-Identifier: MIT */
/* ring_rig.h: a queue and a naive device at its other end: what the ring's cases start from. */
#ifndef RING_RIG_H
#define RING_RIG_H

#include <ashlar/error.h>

#include "virtq/ring_device.h"

/* Device addresses are the CPU's plus this, so that mixing them up is seen. */
#define RING_DMA_OFFSET (UINT64_C(1) << 40)

/* What the device may write of a request: the last segment. */
enum { RING_WRITABLE_BYTES = 100 };

/* Each set of features that a queue can be restarted with. */
enum { RING_FEATURES_END = 4 };
_Static_assert((ASH_VIRTQ_EVENT_IDX | ASH_VIRTQ_PACKED) == RING_FEATURES_END - 1, "all of them");

struct ring {
    struct ash_virtq queue;
    struct ash_virtq_config config;
    struct ring_device device;
    void *storage;
};

/* From test_alloc, started. */
struct ring *ring_new(const struct ash_virtq_config *config, uint32_t features);
/* Both ends, as after a reset. */
void ring_restart(struct ring *ring, uint32_t features);

/* The slot's chain from `first` on, or `count` entries of its table, so that each segment tells
 * where it belongs. */
void ring_describe(struct ring *ring, uint32_t slot, uint32_t first);
void ring_describe_table(struct ring *ring, uint32_t slot, uint32_t count);
/* Describes and queues the lowest free slot: its token. The cookie is &queue.slots[slot]. */
uint32_t ring_submit_from(struct ring *ring, uint32_t first);
uint32_t ring_submit(struct ring *ring);
uint32_t ring_submit_table(struct ring *ring, uint32_t count);

/* The slot that the request belongs to, by its first segment; it holds all that was described. */
uint32_t ring_slot_of(const struct ring *ring, const struct ring_request *request);

/* One completion that must be there, retired: its slot. */
uint32_t ring_reap_one(struct ring *ring);
/* Fetches, completes and reaps all, in order: how many. */
uint32_t ring_complete_all(struct ring *ring);
/* The checker finds nothing. */
void ring_check(const struct ring *ring);

#endif
