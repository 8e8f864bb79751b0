/* SPDX-License-Identifier: MIT */
/*
 * block_cache_files.c: pages of files. A file is where its data begin on a disk: two names of one
 * file are one. It has a space while pages of it are wanted; when all spaces are taken, the next
 * file gets one that has no pages left, or else the one that was taken the longest ago.
 */
#include "block_cache_internal.h"

#include <ashlar/error.h>

static int map_file(void *context, uint64_t index, struct ash_cache_map *map) {
    const struct cached_file *file = context;
    uint64_t at = index * BLOCK_CACHE_BYTES, number = file->disk->space.id;
    uint32_t len = (uint32_t)ash_min_u64(file->size_bytes - at, BLOCK_CACHE_BYTES);
    map->extents[0] = (struct ash_cache_extent){
        .sector = number << DISK_SECTOR_SHIFT | (file->start + at) / ASH_CACHE_SECTOR_BYTES,
        .sectors = (len + ASH_CACHE_SECTOR_BYTES - 1) / ASH_CACHE_SECTOR_BYTES};
    map->extent_count = 1;
    map->valid_bytes = len;
    return 0;
}

static uint32_t *chain_of(struct block_cache *cache, const struct cached_disk *disk,
                          uint64_t start) {
    uint64_t key = start / ASH_CACHE_SECTOR_BYTES + ((uint64_t)disk->space.id << 56);
    return &cache->chains[(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (cache->file_count - 1)];
}

/* False: something of it is in use. */
static bool close_file(struct block_cache *cache, struct cached_file *file) {
    if (file->disk == NULL)
        return true;
    if (ash_cache_space_close(&cache->cache, &file->space) != 0)
        return false;
    uint32_t *link = chain_of(cache, file->disk, file->start);
    while (&cache->files[*link - 1] != file)
        link = &cache->files[*link - 1].next;
    *link = file->next;
    file->disk = NULL;
    return true;
}

static struct cached_file *find_file(struct block_cache *cache, const struct cached_disk *disk,
                                     uint64_t start, uint64_t size_bytes) {
    for (uint32_t at = *chain_of(cache, disk, start); at != 0; at = cache->files[at - 1].next) {
        struct cached_file *file = &cache->files[at - 1];
        if (file->disk == disk && file->start == start && file->size_bytes == size_bytes)
            return file;
    }
    return NULL;
}

/* One that is closed; NULL: all are in use. */
static struct cached_file *free_file(struct block_cache *cache) {
    uint32_t mask = cache->file_count - 1;
    for (uint32_t i = 0; i < 2 * cache->file_count; i++) {
        struct cached_file *file = &cache->files[cache->file_hand++ & mask];
        bool has_pages = file->disk != NULL && file->space.frames != 0;
        if ((!has_pages || i >= cache->file_count) && close_file(cache, file))
            return file;
    }
    return NULL;
}

static struct cached_file *open_file(struct block_cache *cache, struct cached_disk *disk,
                                     uint64_t start, uint64_t size_bytes) {
    struct cached_file *file = free_file(cache);
    if (file == NULL)
        return NULL;
    uint32_t number = (uint32_t)(file - cache->files), *chain = chain_of(cache, disk, start);
    *file = (struct cached_file){
        .space = {.id = block_cache_file_space(number),
                  .map = map_file,
                  .context = file,
                  .blocks = size_bytes / BLOCK_CACHE_BYTES + (size_bytes % BLOCK_CACHE_BYTES != 0)},
        .disk = disk,
        .start = start,
        .size_bytes = size_bytes,
        .next = *chain};
    if (ash_cache_space_open(&cache->cache, &file->space) != 0) { /* larger than a space can be */
        file->disk = NULL;
        return NULL;
    }
    *chain = number + 1;
    disk->has_files = true;
    return file;
}

void block_cache_close_files(struct block_cache *cache, struct cached_disk *disk) {
    if (!disk->has_files || !cache->is_on)
        return;
    block_cache_settle_locked(cache);
    bool all = true;
    for (uint32_t i = 0; i < cache->file_count; i++) {
        if (cache->files[i].disk == disk)
            all &= close_file(cache, &cache->files[i]);
    }
    disk->has_files = !all;
}

/* Pages */

/* Where the disk's own blocks are larger than a sector no file begins and ends with them: its bytes
 * in the raw disk. */
static int get_raw(struct block_cache *cache, struct cached_disk *disk, uint64_t at, uint64_t left,
                   struct file_page *page) {
    int error = block_cache_pin(cache, disk, &disk->space, at / BLOCK_CACHE_BYTES, 0, &page->frame);
    if (error != 0)
        return error;
    size_t skip = (size_t)(at % BLOCK_CACHE_BYTES);
    page->bytes = (const uint8_t *)ash_cache_data(&cache->cache, page->frame) + skip;
    page->len = (size_t)ash_min_u64(left, BLOCK_CACHE_BYTES - skip);
    return 0;
}

static int get_inside(struct block_cache *cache, struct cached_disk *disk, uint64_t start,
                      uint64_t size_bytes, uint64_t offset, struct file_page *page) {
    if (disk->disk->blk.block_size_bytes != ASH_CACHE_SECTOR_BYTES)
        return get_raw(cache, disk, start + offset, size_bytes - offset, page);
    /* The first file since raw blocks were written, which are not on the disk yet. */
    if (!disk->has_files && ash_cache_space_dirty(&disk->space) != 0)
        return -ASH_EAGAIN;
    struct cached_file *file = find_file(cache, disk, start, size_bytes);
    if (file == NULL)
        file = open_file(cache, disk, start, size_bytes);
    if (file == NULL)
        return -ASH_EAGAIN;
    uint64_t index = offset / BLOCK_CACHE_BYTES;
    int error = block_cache_pin(cache, disk, &file->space, index, 0, &page->frame);
    if (error != 0)
        return error;
    size_t skip = (size_t)(offset % BLOCK_CACHE_BYTES);
    page->bytes = (const uint8_t *)ash_cache_data(&cache->cache, page->frame) + skip;
    page->len = (size_t)ash_min_u64(size_bytes - offset, BLOCK_CACHE_BYTES - skip);
    return 0;
}

static int get(void *context, uint64_t start, uint64_t size_bytes, uint64_t offset,
               struct file_page *page) {
    struct cached_disk *disk = context;
    struct block_cache *cache = disk->owner;
    if (!cache->is_on || start % ASH_CACHE_SECTOR_BYTES != 0)
        return -ASH_ENOTSUP;
    block_cache_enter(cache);
    int error = get_inside(cache, disk, start, size_bytes, offset, page);
    if (error == 0)
        block_cache_take_along(cache);
    block_cache_leave(cache);
    return error;
}

static void put(void *context, const struct file_page *page) {
    struct cached_disk *disk = context;
    block_cache_put(disk->owner, page->frame);
}

struct page_source block_cache_pages(struct block_cache *cache, struct disk *disk) {
    struct cached_disk *one = block_cache_disk(cache, disk);
    if (one == NULL)
        return (struct page_source){.get = NULL};
    return (struct page_source){get, put, one};
}
