/* SPDX-License-Identifier: MIT */
/*
 * virtio_ring.h: what the engine and the two ring formats know of each other. virtio_ring.c decides
 * which ring action comes next and whom it concerns; a format knows where in guest memory it shows.
 */
#ifndef ASHLAR_HOSTED_VIRTIO_RING_H
#define ASHLAR_HOSTED_VIRTIO_RING_H

#include "hosted/virtio_engine.h"

enum {
    FAKE_VIRTIO_DESC_BYTES = 16,
    FAKE_VIRTIO_DESC_F_NEXT = 1,
    FAKE_VIRTIO_DESC_F_WRITE = 2,
    FAKE_VIRTIO_DESC_F_INDIRECT = 4,
};

/* A used entry to be written. */
struct fake_virtio_used {
    uint32_t id, len;
    uint16_t descriptors; /* of its chain: what a packed ring's positions move by */
    uint64_t misplaced;   /* lies: so many places further than it should be, */
    bool wrong_wrap;      /* with the flags of the lap before */
};

struct fake_virtio_format {
    bool (*check_areas)(struct fake_virtio *device, struct fake_virtio_queue *queue);
    void (*start)(struct fake_virtio_queue *queue);

    /* Up to which position memory offers buffers; judges nothing. */
    uint64_t (*offered)(struct fake_virtio *device, const struct fake_virtio_queue *queue);
    /* Whether a buffer can be fetched; judges what the driver did to the ring. */
    bool (*waiting)(struct fake_virtio *device, struct fake_virtio_queue *queue);
    /* Fills request and chain from the next available buffer and moves on; false: a rule of the
     * ring is broken, and recorded. */
    bool (*take)(struct fake_virtio *device, struct fake_virtio_queue *queue,
                 struct fake_virtio_request *request, struct fake_virtio_chain *chain);
    /* The chain of a request that was taken; false: the driver changed it. */
    bool (*chain_of)(struct fake_virtio *device, struct fake_virtio_queue *queue,
                     const struct fake_virtio_request *request, struct fake_virtio_chain *chain);
    /* Its descriptors are the driver's again. */
    void (*give_back)(struct fake_virtio_queue *queue, const struct fake_virtio_request *request);

    void (*write_used)(struct fake_virtio *device, struct fake_virtio_queue *queue,
                       const struct fake_virtio_used *used);
    void (*publish)(struct fake_virtio *device, struct fake_virtio_queue *queue);

    bool (*wants_interrupt)(struct fake_virtio *device, struct fake_virtio_queue *queue);
    bool (*wants_notification)(struct fake_virtio *device, const struct fake_virtio_queue *queue,
                               uint64_t offered);
    /* Asks to be notified of what is offered from avail_next on, or not to be. */
    void (*ask)(struct fake_virtio *device, struct fake_virtio_queue *queue, bool notify);

    /* A halfword that the device may write and the driver reads, by chance. */
    ash_paddr_t (*scribble_at)(struct fake_virtio *device, struct fake_virtio_queue *queue);
    /* An id to lie with: of the middle of a chain in flight, or one that the driver has not given;
     * the queue's size if there is none. */
    uint32_t (*false_id)(const struct fake_virtio_queue *queue, bool in_flight);
};

extern const struct fake_virtio_format fake_virtio_split_format, fake_virtio_packed_format;

/* An empty ring of its format, as when a queue becomes ready. */
void fake_virtio_ring_start(struct fake_virtio_queue *queue);
/* A used entry before its time, if the policy lies so. */
void fake_virtio_ring_use_early(struct fake_virtio *device, struct fake_virtio_queue *queue);

/* For the formats */

static inline bool fake_virtio_has(const struct fake_virtio *device, uint64_t feature) {
    return (device->accepted & feature) != 0;
}

uint16_t fake_virtio_load_u16(struct fake_virtio *device, ash_paddr_t address);

/* One area of a queue: aligned, inside the guest's memory; false, recorded, if not. */
bool fake_virtio_check_area(struct fake_virtio *device, const struct fake_virtio_queue *queue,
                            ash_paddr_t address, uint64_t size_bytes, uint64_t align);

/* A descriptor as it stands in memory; split and packed ones have their last two fields the other
 * way round. */
struct fake_virtio_descriptor fake_virtio_read_descriptor(struct fake_virtio *device,
                                                          const struct fake_virtio_queue *queue,
                                                          ash_paddr_t address);

/* A chain being read. */
struct fake_virtio_walk {
    struct fake_virtio *device;
    struct fake_virtio_queue *queue;
    struct fake_virtio_chain *chain;
    bool fetches; /* for the first time: claims, and judges flags */
    uint64_t digest;
    /* split */
    ash_paddr_t table;
    uint32_t entries;
    bool indirect;
    uint32_t in_table; /* descriptors of this table so far */
    uint16_t last;     /* claimed last */
};

#define FAKE_VIRTIO_WALK_FAILS(walk, rule, format, ...)                                           \
    (fake_virtio_violate((walk)->device, FAKE_VIRTIO_RULE_##rule, "queue %u, buffer %u: " format, \
                         (walk)->queue->index, (walk)->chain->head, __VA_ARGS__),                 \
     false)

struct fake_virtio_walk fake_virtio_walk_begin(struct fake_virtio *device,
                                               struct fake_virtio_queue *queue,
                                               struct fake_virtio_chain *chain, uint16_t head,
                                               bool fetches);
void fake_virtio_walk_digest(struct fake_virtio_walk *walk, const struct fake_virtio_descriptor *d);
/* Appends the element; false if it breaks a rule of chains. */
bool fake_virtio_walk_element(struct fake_virtio_walk *walk,
                              const struct fake_virtio_descriptor *d);
/* Whether the descriptor of an indirect table is as 2.7.5.3 and 2.8.7 want it. */
bool fake_virtio_walk_check_table(struct fake_virtio_walk *walk,
                                  const struct fake_virtio_descriptor *d);

#endif
