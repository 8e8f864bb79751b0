/* SPDX-License-Identifier: MIT */
/* virtio_blk_cache.c: a disk that forgets what was not flushed. */
#include "hosted/virtio_blk_cache.h"

#include <ashlar/check.h>
#include <string.h>

enum { SECTOR = FAKE_VIRTIO_BLK_SECTOR_BYTES };

static uint64_t sector_count(const struct fake_virtio_blk_cache *cache) {
    return cache->config.size_bytes / SECTOR;
}

static uint64_t choose(struct fake_virtio_blk_cache *cache, uint64_t limit) {
    return cache->config.choose(cache->config.choose_context, limit);
}

/* The first `bytes` bytes of a dirty sector become durable. */
static void destage(struct fake_virtio_blk_cache *cache, uint64_t sector, uint64_t bytes) {
    memcpy(cache->config.durable + sector * SECTOR, cache->config.cached + sector * SECTOR,
           (size_t)bytes);
}

static void destage_one(struct fake_virtio_blk_cache *cache) {
    uint64_t dirty = fake_virtio_blk_cache_dirty(cache);
    if (dirty == 0)
        return;
    uint64_t sector = 0;
    for (uint64_t skip = choose(cache, dirty);; sector++) {
        if (cache->config.dirty[sector] && skip-- == 0)
            break;
    }
    destage(cache, sector, SECTOR);
    cache->config.dirty[sector] = false;
    cache->destaged++;
}

static int cache_read(void *context, uint64_t offset, void *bytes, uint64_t len) {
    struct fake_virtio_blk_cache *cache = context;
    memcpy(bytes, cache->config.cached + offset, (size_t)len);
    return 0;
}

static int cache_write(void *context, uint64_t offset, const void *bytes, uint64_t len) {
    struct fake_virtio_blk_cache *cache = context;
    memcpy(cache->config.cached + offset, bytes, (size_t)len);
    for (uint64_t at = offset / SECTOR; at * SECTOR < offset + len; at++)
        cache->config.dirty[at] = true;
    uint32_t percent = cache->config.destage_percent;
    if (percent != 0 && choose(cache, 100) < percent)
        destage_one(cache);
    return 0;
}

static int cache_flush(void *context) {
    struct fake_virtio_blk_cache *cache = context;
    cache->flushes++;
    if (cache->config.ignores_flushes)
        return 0;
    for (uint64_t sector = 0; sector < sector_count(cache); sector++) {
        if (cache->config.dirty[sector])
            destage(cache, sector, SECTOR);
        cache->config.dirty[sector] = false;
    }
    return 0;
}

void fake_virtio_blk_cache_init(struct fake_virtio_blk_cache *cache,
                                const struct fake_virtio_blk_cache_config *config,
                                struct fake_virtio_blk_backing *backing) {
    ASH_REQUIRE(config->size_bytes % SECTOR == 0 && config->choose != NULL,
                "fake disk cache: %llu bytes are not whole sectors, or there is no chance",
                (unsigned long long)config->size_bytes);
    *cache = (struct fake_virtio_blk_cache){.config = *config};
    *backing = (struct fake_virtio_blk_backing){.size_bytes = config->size_bytes,
                                                .read = cache_read,
                                                .write = cache_write,
                                                .flush = cache_flush,
                                                .context = cache};
}

uint64_t fake_virtio_blk_cache_dirty(const struct fake_virtio_blk_cache *cache) {
    uint64_t count = 0;
    for (uint64_t sector = 0; sector < sector_count(cache); sector++)
        count += cache->config.dirty[sector];
    return count;
}

/* How many bytes of a dirty sector got through. */
static uint64_t bytes_left(struct fake_virtio_blk_cache *cache, enum fake_virtio_blk_loss loss) {
    if (loss == FAKE_VIRTIO_BLK_LOSE_ALL)
        return 0;
    uint64_t fate = choose(cache, loss == FAKE_VIRTIO_BLK_LOSE_SOME ? 2 : 3);
    return fate == 2 ? 1 + choose(cache, SECTOR - 1) : fate * SECTOR;
}

void fake_virtio_blk_cache_lose_power(struct fake_virtio_blk_cache *cache,
                                      enum fake_virtio_blk_loss loss) {
    for (uint64_t sector = 0; sector < sector_count(cache); sector++) {
        if (!cache->config.dirty[sector])
            continue;
        uint64_t bytes = bytes_left(cache, loss);
        destage(cache, sector, bytes);
        cache->lost += bytes == 0;
        cache->torn += bytes != 0 && bytes != SECTOR;
        cache->config.dirty[sector] = false;
    }
    memcpy(cache->config.cached, cache->config.durable, (size_t)cache->config.size_bytes);
}
