/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk_cache.h: a disk with a volatile write cache: a backing of the fake block device whose
 * last writes are gone, or partly there, when the power is lost before a flush (virtio 1.2,
 * 5.2.6.2).
 *
 *   write -> cached <- read
 *              | flush: all; destaging: some sectors, at any time
 *              v
 *           durable          what is left when the power is lost, and what of `cached` chance adds
 */
#ifndef ASHLAR_HOSTED_VIRTIO_BLK_CACHE_H
#define ASHLAR_HOSTED_VIRTIO_BLK_CACHE_H

#include "hosted/virtio_blk_device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What happens to the sectors that were written and not flushed. */
enum fake_virtio_blk_loss {
    FAKE_VIRTIO_BLK_LOSE_ALL,  /* each is as it was at the last flush */
    FAKE_VIRTIO_BLK_LOSE_SOME, /* each is old or new, by chance */
    FAKE_VIRTIO_BLK_TEAR_SOME, /* each is old, new, or new up to some byte and old from there */
};

struct fake_virtio_blk_cache_config {
    uint8_t *cached, *durable; /* size_bytes each, the same in both; stay the caller's */
    bool *dirty;               /* one for each sector, all false */
    uint64_t size_bytes;       /* whole sectors */
    uint32_t destage_percent;  /* of writes, after which one dirty sector becomes durable */
    bool ignores_flushes;      /* says yes and does nothing: the disk that crash tests must find */
    uint64_t (*choose)(void *context, uint64_t limit); /* chance, 0..limit-1 */
    void *choose_context;
};

struct fake_virtio_blk_cache {
    struct fake_virtio_blk_cache_config config;
    uint64_t flushes, destaged, lost, torn; /* the last three: sectors */
};

/* Fills in the backing for the device's configuration. */
void fake_virtio_blk_cache_init(struct fake_virtio_blk_cache *cache,
                                const struct fake_virtio_blk_cache_config *config,
                                struct fake_virtio_blk_backing *backing);

/* Sectors written and not durable yet. */
uint64_t fake_virtio_blk_cache_dirty(const struct fake_virtio_blk_cache *cache);

/* The disk as it is when the power is back: `cached` and `durable` are the same. */
void fake_virtio_blk_cache_lose_power(struct fake_virtio_blk_cache *cache,
                                      enum fake_virtio_blk_loss loss);

#ifdef __cplusplus
}
#endif

#endif
