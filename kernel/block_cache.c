/* SPDX-License-Identifier: MIT */
/* block_cache.c: see block_cache.h. Taking memory, and the raw disks. */
#include "block_cache_internal.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <string.h>

#include "platform.h"
#include "prof_regions.h"

/* All hits: what asks is here, and the cache itself is too fast for a look at an event. */
ASH_EVENT_DEFINE(event_hit, "cache.hit", "space:x,block");

/* Memory */

/* By the policy that wants the most of it, so that each can be switched to. */
static size_t storage_size(struct ash_cache_config *config) {
    size_t most = 0;
    const char *greediest = NULL;
    for (uint32_t i = 0; ash_cache_policy_name(i) != NULL; i++) {
        config->policy = ash_cache_policy_name(i);
        size_t size = ash_cache_storage_size(config);
        if (size > most) {
            most = size;
            greediest = config->policy;
        }
    }
    config->policy = greediest;
    return most;
}

static uint32_t files_of(uint32_t blocks) {
    return (uint32_t)ash_min_u64(blocks / 4, BLOCK_CACHE_FILES_MAX);
}

/* What an I/O may join, so that each disk takes it as one request. */
static uint32_t segments_max(const struct block_cache *cache) {
    uint32_t most = ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT;
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        const struct ash_virtio_blk *blk = &cache->disks[i].disk->blk;
        if (!cache->disks[i].is_covered)
            continue;
        most = (uint32_t)ash_min_u64(most, blk->segments_max);
        most = (uint32_t)ash_min_u64(most, blk->request_bytes_max / BLOCK_CACHE_BYTES);
    }
    return most;
}

static struct ash_cache_config config_of(struct block_cache *cache, uint32_t blocks,
                                         bool is_not_ahead) {
    return (struct ash_cache_config){.blocks = blocks,
                                     .block_bytes = BLOCK_CACHE_BYTES,
                                     .spaces_max = block_cache_file_space(files_of(blocks)),
                                     .depth = BLOCK_CACHE_DEPTH,
                                     .segments_max = segments_max(cache),
                                     .dirty_max = blocks / 4,
                                     .window_max = is_not_ahead ? 0 : BLOCK_CACHE_WINDOW,
                                     .retries_max = BLOCK_CACHE_RETRIES,
                                     .backend = block_cache_backend(cache)};
}

static void give_memory_back(struct block_cache *cache) {
    struct ash_heap *heap = &cache->memory->heap;
    if (cache->data.pages != NULL)
        memory_pages_free(cache->memory, cache->data.pages, cache->data.order);
    if (cache->storage.pages != NULL)
        memory_pages_free(cache->memory, cache->storage.pages, cache->storage.order);
    ash_kfree(heap, cache->files);
    ash_kfree(heap, cache->chains);
    cache->data.pages = cache->storage.pages = NULL;
    cache->files = NULL;
    cache->chains = NULL;
}

/* For so many blocks, a power of two; false: there is not enough, and nothing was taken. */
static bool take_memory(struct block_cache *cache, uint32_t blocks, size_t storage_bytes) {
    struct kernel_memory *memory = cache->memory;
    uint32_t files = files_of(blocks);
    uint64_t free_bytes = ash_buddy_free_pages(&memory->buddy) << ASH_PAGE_SHIFT;
    cache->data.order = memory_order_of((uint64_t)blocks * BLOCK_CACHE_BYTES);
    cache->storage.order = memory_order_of(storage_bytes);
    cache->memory_bytes = ((uint64_t)ASH_PAGE_SIZE << cache->data.order) +
                          ((uint64_t)ASH_PAGE_SIZE << cache->storage.order) +
                          files * (sizeof(*cache->files) + sizeof(*cache->chains));
    if (cache->memory_bytes > free_bytes / BLOCK_CACHE_SHARE_MAX)
        return false;
    cache->data.pages = memory_pages_alloc(memory, cache->data.order);
    cache->storage.pages = memory_pages_alloc(memory, cache->storage.order);
    cache->files = ash_kzalloc(&memory->heap, files * sizeof(*cache->files));
    cache->chains = ash_kzalloc(&memory->heap, files * sizeof(*cache->chains));
    if (cache->data.pages != NULL && cache->storage.pages != NULL && cache->files != NULL &&
        cache->chains != NULL)
        return true;
    give_memory_back(cache);
    return false;
}

/* Start */

static int map_disk(void *context, uint64_t index, struct ash_cache_map *map) {
    const struct cached_disk *disk = context;
    uint64_t at = index * BLOCK_CACHE_BYTES;
    if (at >= disk->size_bytes)
        return -ASH_ERANGE;
    uint32_t len = (uint32_t)ash_min_u64(disk->size_bytes - at, BLOCK_CACHE_BYTES);
    uint64_t number = disk->space.id;
    map->extents[0] = (struct ash_cache_extent){.sector = number << DISK_SECTOR_SHIFT |
                                                          at / ASH_CACHE_SECTOR_BYTES,
                                                .sectors = len / ASH_CACHE_SECTOR_BYTES};
    map->extent_count = 1;
    map->valid_bytes = len;
    return 0;
}

static uint64_t blocks_in(uint64_t bytes) {
    return bytes / BLOCK_CACHE_BYTES + (bytes % BLOCK_CACHE_BYTES != 0);
}

static void note_disks(struct block_cache *cache, struct disk *const *disks, uint32_t count) {
    cache->disk_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct cached_disk *one = &cache->disks[i];
        const struct ash_virtio_blk *blk = &disks[i]->blk;
        one->owner = cache;
        one->disk = disks[i];
        one->group = disks[i]->group;
        one->size_bytes = disks[i]->size_bytes;
        one->is_covered = blk->block_size_bytes <= BLOCK_CACHE_BYTES &&
                          blk->segment_bytes_max >= BLOCK_CACHE_BYTES &&
                          blk->request_bytes_max >= BLOCK_CACHE_BYTES;
        one->space.id = i;
        one->space.map = map_disk;
        one->space.context = one;
        one->space.blocks = blocks_in(one->size_bytes);
    }
}

static int set_policy(struct block_cache *cache, const char *name) {
    int error = ash_cache_set_policy(&cache->cache, name);
    for (uint32_t i = 0; error == 0 && ash_cache_policy_name(i) != NULL; i++) {
        if (strcmp(ash_cache_policy_name(i), name) == 0)
            cache->policy = ash_cache_policy_name(i); /* the caller's may go */
    }
    return error;
}

int block_cache_set_policy(struct block_cache *cache, const char *name) {
    block_cache_enter(cache);
    int error = set_policy(cache, name);
    block_cache_leave(cache);
    return error;
}

static int start(struct block_cache *cache, struct ash_cache_config *config) {
    int error = ash_cache_init(&cache->cache, config, cache->storage.pages,
                               (size_t)ASH_PAGE_SIZE << cache->storage.order, cache->data.pages);
    if (error == 0)
        error = set_policy(cache, "2q-clock");
    for (uint32_t i = 0; i < cache->disk_count && error == 0; i++)
        error = ash_cache_space_open(&cache->cache, &cache->disks[i].space);
    for (uint32_t i = 0; i < cache->disk_count && error == 0; i++)
        disk_join(cache->disks[i].disk, &cache->group);
    return error;
}

static uint32_t blocks_of(const struct kernel_memory *memory) {
    uint64_t most = ash_buddy_free_pages(&memory->buddy) / BLOCK_CACHE_SHARE;
    uint32_t order = most == 0 ? 0 : 63 - ash_clz64(most);
    return (uint32_t)ash_max_u64(BLOCK_CACHE_BLOCKS_MIN,
                                 UINT64_C(1) << ash_min_u64(order, ASH_BUDDY_ORDER_MAX));
}

int block_cache_init(struct block_cache *cache, struct kernel_memory *memory,
                     struct disk *const *disks, uint32_t count,
                     const struct block_cache_config *config) {
    memset(cache, 0, sizeof(*cache));
    cache->memory = memory;
    cache->dirty_since_ns = UINT64_MAX;
    block_cache_start_turns(cache);
    block_cache_set_age(cache, config->age_ns);
    cache->reason = "there is no memory for 16 blocks; start the machine with more";
    note_disks(cache, disks, count);
    block_cache_start_requests(cache);
    for (uint32_t blocks = config->blocks != 0 ? config->blocks : blocks_of(memory);
         blocks >= BLOCK_CACHE_BLOCKS_MIN; blocks /= 2) {
        struct ash_cache_config full = config_of(cache, blocks, config->is_not_ahead);
        size_t storage_bytes = storage_size(&full);
        if (storage_bytes == 0)
            return -ASH_EINVAL;
        if (!take_memory(cache, blocks, storage_bytes))
            continue;
        size_t bytes = (size_t)blocks * BLOCK_CACHE_BYTES;
        cache->data_address = memory_dma_address(memory, cache->data.pages, bytes);
        cache->blocks = blocks;
        cache->dirty_max = full.dirty_max;
        cache->file_count = files_of(blocks);
        int error = start(cache, &full);
        cache->is_on = error == 0;
        return error;
    }
    return -ASH_ENOMEM;
}

int block_cache_fini(struct block_cache *cache) {
    block_cache_settle(cache);     /* nobody else is inside, or comes any more */
    if (cache->data.pages == NULL) /* it has never been on */
        return 0;
    if (!cache->is_on || ash_cache_fini(&cache->cache) != 0)
        return -ASH_EBUSY;
    cache->is_on = false;
    cache->reason = "it was ended";
    for (uint32_t i = 0; i < cache->disk_count; i++)
        disk_join(cache->disks[i].disk, cache->disks[i].group);
    give_memory_back(cache);
    return 0;
}

/* Calls */

struct cached_disk *block_cache_disk(struct block_cache *cache, const struct disk *disk) {
    for (uint32_t i = 0; cache->is_on && i < cache->disk_count; i++) {
        if (cache->disks[i].disk == disk)
            return cache->disks[i].is_covered ? &cache->disks[i] : NULL;
    }
    return NULL;
}

static void woken(struct ash_cache_waiter *waiter) {
    block_cache_wait_over(ASH_CONTAINER_OF(waiter, struct block_wait, waiter));
}

int block_cache_pin(struct block_cache *cache, struct cached_disk *disk,
                    struct ash_cache_space *space, uint64_t index, uint32_t flags,
                    uint32_t *frame) {
    struct block_wait wait;
    if (disk->disk->dead) {
        int found = ash_cache_get(&cache->cache, space, index, ASH_CACHE_CACHED, NULL, frame);
        return found == 0 ? 0 : -ASH_EIO;
    }
    block_cache_wait_init(cache, &wait);
    wait.waiter.wake = woken;
    int error = ash_cache_get(&cache->cache, space, index, flags, &wait.waiter, frame);
    if (error == 0)
        ASH_EVENT(event_hit, (uintptr_t)space, index);
    if (error != ASH_CACHE_PENDING)
        return error;
    if (wait.is_over == 0) {
        block_cache_wait_begin(cache, disk);
        PROF_REGION("wait for a block") {
            block_cache_wait(cache, &wait);
        }
        block_cache_forget_silence(cache, disk);
    }
    *frame = wait.waiter.frame;
    return wait.waiter.status;
}

/* What was its last block may have more of the disk now, or less, and what is dirty behind its end
 * has no place any more. Others are kept out. */
static void resize(struct block_cache *cache, struct cached_disk *disk) {
    block_cache_settle_locked(cache);
    disk->size_bytes = disk->disk->size_bytes;
    disk->space.blocks = blocks_in(disk->size_bytes);
    (void)!ash_cache_discard(&cache->cache, &disk->space, 0, UINT64_MAX, false);
    (void)!ash_cache_discard(&cache->cache, &disk->space, disk->space.blocks, UINT64_MAX, true);
}

/* Enters for a call about [offset, offset + len). */
static int begin(struct block_cache *cache, struct cached_disk *disk, uint64_t offset,
                 uint64_t len) {
    block_cache_enter(cache);
    disk_refresh_locked(disk->disk);
    while (ASH_UNLIKELY(disk->disk->size_bytes != disk->size_bytes)) {
        block_cache_leave(cache);
        block_cache_keep(cache);
        block_cache_enter(cache);
        resize(cache, disk);
        block_cache_leave(cache);
        block_cache_resume(cache);
        block_cache_enter(cache);
    }
    block_cache_write_out_if_due(cache, platform_now_ns());
    return ash_range_fits(offset, len, disk->size_bytes) ? 0 : -ASH_ERANGE;
}

int block_cache_get(struct block_cache *cache, struct disk *disk, uint64_t index, uint32_t *frame) {
    struct cached_disk *one = block_cache_disk(cache, disk);
    block_cache_enter(cache);
    int error = block_cache_pin(cache, one, &one->space, index, 0, frame);
    if (error == 0)
        block_cache_take_along(cache);
    block_cache_leave(cache);
    return error;
}

void block_cache_put(struct block_cache *cache, uint32_t frame) {
    block_cache_enter_again(cache);
    ash_cache_put(&cache->cache, frame);
    block_cache_leave(cache);
}

static int read_blocks(struct block_cache *cache, struct cached_disk *one, uint64_t offset,
                       uint8_t *to, size_t len) {
    struct disk *disk = one->disk;
    uint64_t first = offset / BLOCK_CACHE_BYTES, last = (offset + len - 1) / BLOCK_CACHE_BYTES;
    if (first != last && !disk->dead)
        (void)ash_cache_prefetch(&cache->cache, &one->space, first,
                                 (uint32_t)ash_min_u64(last - first + 1, BLOCK_CACHE_WINDOW));
    while (len != 0) {
        size_t skip = (size_t)(offset % BLOCK_CACHE_BYTES);
        size_t part = (size_t)ash_min_u64(len, BLOCK_CACHE_BYTES - skip);
        uint32_t frame;
        int error = block_cache_pin(cache, one, &one->space, offset / BLOCK_CACHE_BYTES, 0, &frame);
        if (error != 0)
            return error == -ASH_EAGAIN ? disk_read_locked(disk, offset, to, len) : error;
        memcpy(to, (const uint8_t *)ash_cache_data(&cache->cache, frame) + skip, part);
        ash_cache_put(&cache->cache, frame);
        to += part;
        offset += part;
        len -= part;
    }
    return 0;
}

int block_cache_read(struct block_cache *cache, struct disk *disk, uint64_t offset, void *buffer,
                     size_t len) {
    struct cached_disk *one = block_cache_disk(cache, disk);
    if (one == NULL)
        return disk_read(disk, offset, buffer, len);
    int error = begin(cache, one, offset, len);
    if (error == 0 && len != 0)
        error = read_blocks(cache, one, offset, buffer, len);
    block_cache_leave(cache);
    return error;
}

/* Blocks that cannot be written are all that may be dirty. */
static bool is_full_of_failed(struct block_cache *cache) {
    struct ash_cache_stats stats;
    ash_cache_get_stats(&cache->cache, &stats);
    return stats.failed >= cache->dirty_max;
}

/* Bytes of one block, which is forgotten. Leaves, and enters again. */
static int write_past(struct block_cache *cache, struct cached_disk *disk, uint64_t offset,
                      const uint8_t *from, size_t len) {
    block_cache_leave(cache);
    block_cache_keep(cache);
    block_cache_enter(cache);
    block_cache_settle_locked(cache);
    (void)!ash_cache_discard(&cache->cache, &disk->space, offset / BLOCK_CACHE_BYTES, 1, false);
    disk->wants_flush = true;
    int error = disk_write_locked(disk->disk, offset, from, len);
    block_cache_leave(cache);
    block_cache_resume(cache);
    block_cache_enter(cache);
    return error;
}

static int write_blocks(struct block_cache *cache, struct cached_disk *disk, uint64_t offset,
                        const uint8_t *from, size_t len) {
    while (len != 0) {
        size_t skip = (size_t)(offset % BLOCK_CACHE_BYTES);
        size_t part = (size_t)ash_min_u64(len, BLOCK_CACHE_BYTES - skip);
        uint32_t frame, flags = ASH_CACHE_WRITE;
        if (part == BLOCK_CACHE_BYTES)
            flags |= ASH_CACHE_OVERWRITE;
        int error =
            block_cache_pin(cache, disk, &disk->space, offset / BLOCK_CACHE_BYTES, flags, &frame);
        if (error == 0) {
            memcpy((uint8_t *)ash_cache_data(&cache->cache, frame) + skip, from, part);
            (void)ash_cache_put_dirty(&cache->cache, frame, NULL);
            block_cache_dirtied(cache);
        } else if (error == -ASH_EIO && is_full_of_failed(cache)) {
            error = write_past(cache, disk, offset, from, part);
        }
        if (error != 0)
            return error;
        from += part;
        offset += part;
        len -= part;
    }
    return 0;
}

/* The files' pages are of what was there before. */
static int write_through(struct block_cache *cache, struct cached_disk *disk) {
    block_cache_keep(cache);
    block_cache_enter(cache);
    int error = block_cache_flush(cache, disk);
    block_cache_close_files(cache, disk);
    block_cache_leave(cache);
    block_cache_resume(cache);
    return error;
}

int block_cache_write(struct block_cache *cache, struct disk *disk, uint64_t offset,
                      const void *buffer, size_t len) {
    struct cached_disk *one = block_cache_disk(cache, disk);
    if (one == NULL) {
        int error = disk_write(disk, offset, buffer, len);
        return error != 0 ? error : disk_flush(disk);
    }
    int error = begin(cache, one, offset, len);
    if (error == 0 && disk->blk.read_only)
        error = -ASH_EROFS;
    if (error == 0 && disk->dead)
        error = -ASH_EIO;
    if (error == 0)
        error = write_blocks(cache, one, offset, buffer, len);
    bool has_files = one->has_files;
    block_cache_leave(cache);
    return error == 0 && has_files ? write_through(cache, one) : error;
}

/* Coherence */

int block_cache_release(struct block_cache *cache, struct disk *disk, uint64_t offset,
                        uint64_t len) {
    struct cached_disk *one = block_cache_disk(cache, disk);
    block_cache_keep(cache);
    if (one == NULL || len == 0)
        return 0;
    block_cache_enter(cache);
    int error = ash_cache_space_dirty(&one->space) != 0 ? block_cache_flush(cache, one) : 0;
    block_cache_settle_locked(cache);
    uint64_t first = offset / BLOCK_CACHE_BYTES, end;
    if (!ash_add_u64(offset, len - 1, &end))
        end = UINT64_MAX;
    (void)!ash_cache_discard(&cache->cache, &one->space, first, end / BLOCK_CACHE_BYTES - first + 1,
                             false);
    block_cache_close_files(cache, one);
    block_cache_leave(cache);
    return error;
}

void block_cache_drop(struct block_cache *cache) {
    if (!cache->is_on)
        return;
    block_cache_keep(cache);
    block_cache_enter(cache);
    block_cache_settle_locked(cache);
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        (void)!ash_cache_discard(&cache->cache, &cache->disks[i].space, 0, UINT64_MAX, false);
        block_cache_close_files(cache, &cache->disks[i]);
    }
    block_cache_leave(cache);
    block_cache_resume(cache);
}

const char *block_cache_check(struct block_cache *cache) {
    if (!cache->is_on)
        return NULL;
    block_cache_lock(cache);
    const char *broken = ash_cache_check(&cache->cache);
    block_cache_unlock(cache);
    return broken;
}

/* A file system's bytes */

static int source_read(void *context, uint64_t offset, void *buffer, size_t len) {
    struct cached_disk *disk = context;
    struct block_cache *cache = disk->owner;
    return block_cache_read(cache, disk->disk, offset, buffer, len);
}

struct byte_source block_cache_source(struct block_cache *cache, struct disk *disk) {
    struct cached_disk *one = block_cache_disk(cache, disk);
    if (one == NULL)
        return disk_source(disk);
    return (struct byte_source){source_read, one, disk->size_bytes};
}
