/* SPDX-License-Identifier: MIT */
/* block_cache_io.c: the cache's I/Os as requests of the disks. */
#include "block_cache_internal.h"

#include <ashlar/error.h>

/* Requests */

void block_cache_start_requests(struct block_cache *cache) {
    cache->free_requests = NULL;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(cache->requests); i++) {
        cache->requests[i].owner = cache;
        cache->requests[i].next = cache->free_requests;
        cache->free_requests = &cache->requests[i];
    }
}

/* Those of the cache's depth, and a flush for each disk: there is always one. */
static struct block_request *take_request(struct block_cache *cache, struct cached_disk *disk,
                                          struct ash_cache_io *io) {
    struct block_request *request = cache->free_requests;
    cache->free_requests = request->next;
    request->disk = disk;
    request->io = io;
    return request;
}

static void give_request(struct block_cache *cache, struct block_request *request) {
    request->disk = NULL;
    request->next = cache->free_requests;
    cache->free_requests = request;
}

/* What came of an I/O. */
static void note_end(struct cached_disk *disk, const struct ash_cache_io *io, int status) {
    if (status == 0)
        disk->disk->straight_bytes += io->len_bytes;
    if (status == -ASH_ETIMEDOUT)
        disk->is_silent = true;
    if (status != 0 && io->op == ASH_CACHE_OP_WRITE)
        disk->error = status;
}

static void transferred(struct disk_async *async, int status) {
    struct block_request *request = ASH_CONTAINER_OF(async, struct block_request, async);
    struct block_cache *cache = request->owner;
    struct ash_cache_io *io = request->io;
    if (io->op == ASH_CACHE_OP_WRITE)
        request->disk->wants_flush = true;
    note_end(request->disk, io, status);
    give_request(cache, request);
    ash_cache_complete(&cache->cache, io, status);
}

/* Its frames as segments; those that lie side by side are one. */
static uint32_t segments_of(const struct block_cache *cache, const struct cached_disk *disk,
                            const struct ash_cache_io *io,
                            struct ash_dma_segment segments[ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < io->segment_count; i++) {
        uint32_t len = io->segments[i].len_bytes;
        size_t at = (size_t)((char *)io->segments[i].data - (char *)cache->data.pages);
        ash_paddr_t address = cache->data_address + at;
        struct ash_dma_segment *last = count == 0 ? NULL : &segments[count - 1];
        if (last != NULL && last->address + last->len_bytes == address &&
            last->len_bytes + len <= disk->disk->blk.segment_bytes_max)
            last->len_bytes += len;
        else
            segments[count++] = (struct ash_dma_segment){address, len};
    }
    return count;
}

static int submit_transfer(struct block_cache *cache, struct ash_cache_io *io) {
    struct ash_dma_segment segments[ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT];
    struct cached_disk *disk = &cache->disks[io->sector >> DISK_SECTOR_SHIFT];
    struct ash_virtio_blk_request request = {
        .op = io->op == ASH_CACHE_OP_WRITE ? ASH_VIRTIO_BLK_WRITE : ASH_VIRTIO_BLK_READ,
        .sector = io->sector & ((UINT64_C(1) << DISK_SECTOR_SHIFT) - 1),
        .segments = segments,
        .segment_count = segments_of(cache, disk, io, segments)};
    struct block_request *own = take_request(cache, disk, io);
    own->async.done = transferred;
    int error =
        disk->is_silent ? -ASH_ETIMEDOUT : disk_async_submit(disk->disk, &request, &own->async);
    if (error == 0) {
        disk->wants_kick = true;
        return 0;
    }
    give_request(cache, own);
    if (error != -ASH_EAGAIN)
        note_end(disk, io, error);
    return error;
}

/* Flushes: of every disk that has been written to since its last one. The cache has one at a time.
 */

static void end_flush_part(struct block_cache *cache, struct cached_disk *disk, int status) {
    if (status == -ASH_ENOTSUP) /* it keeps nothing back: what was written is safe */
        status = 0;
    disk->wants_flush |= status != 0;
    if (status != 0)
        disk->error = status;
    if (cache->flush_status == 0)
        cache->flush_status = status;
    if (--cache->flush_parts == 0)
        ash_cache_complete(&cache->cache, cache->flush, cache->flush_status);
}

static void flushed(struct disk_async *async, int status) {
    struct block_request *request = ASH_CONTAINER_OF(async, struct block_request, async);
    struct block_cache *cache = request->owner;
    struct cached_disk *disk = request->disk;
    give_request(cache, request);
    end_flush_part(cache, disk, status);
}

/* A write that completes from here on wants another flush. */
static void submit_flush_part(struct block_cache *cache, struct cached_disk *disk) {
    struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_FLUSH};
    struct block_request *own = take_request(cache, disk, cache->flush);
    own->async.done = flushed;
    disk->wants_flush = false;
    disk->wants_kick = true;
    int error =
        disk->is_silent ? -ASH_ETIMEDOUT : disk_async_submit(disk->disk, &request, &own->async);
    if (error == 0)
        return;
    give_request(cache, own);
    end_flush_part(cache, disk, error);
}

static int submit_flush(struct block_cache *cache, struct ash_cache_io *io) {
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        const struct cached_disk *disk = &cache->disks[i];
        if (disk->wants_flush && !disk->disk->dead &&
            ash_virtio_blk_in_flight(disk->disk->queue) >= disk->disk->blk.in_flight_max)
            return -ASH_EAGAIN;
    }
    cache->flush = io;
    cache->flush_status = 0;
    cache->flush_parts = 1; /* this call's, so that it is not over before all are begun */
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        if (!cache->disks[i].wants_flush)
            continue;
        cache->flush_parts++;
        submit_flush_part(cache, &cache->disks[i]);
    }
    if (--cache->flush_parts == 0)
        ash_cache_complete(&cache->cache, io, cache->flush_status);
    return 0;
}

/* Backend */

static int submit(void *context, struct ash_cache_io *io) {
    return io->op == ASH_CACHE_OP_FLUSH ? submit_flush(context, io) : submit_transfer(context, io);
}

static void kick(void *context) {
    struct block_cache *cache = context;
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        if (cache->disks[i].wants_kick)
            disk_async_kick(cache->disks[i].disk);
        cache->disks[i].wants_kick = false;
    }
}

struct ash_cache_backend block_cache_backend(struct block_cache *cache) {
    return (struct ash_cache_backend){submit, kick, cache};
}

bool block_cache_abandon(struct block_cache *cache, struct cached_disk *disk) {
    bool any = false;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(cache->requests); i++) {
        struct block_request *request = &cache->requests[i];
        struct ash_cache_io *io = request->io;
        if (request->disk != disk)
            continue;
        any = true;
        give_request(cache, request);
        if (io->op == ASH_CACHE_OP_FLUSH) {
            end_flush_part(cache, disk, -ASH_EIO);
        } else {
            note_end(disk, io, -ASH_EIO);
            ash_cache_abandon(&cache->cache, io);
        }
    }
    return any;
}

void block_cache_forget_silence(struct block_cache *cache, struct cached_disk *disk) {
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        if (disk == NULL || disk == &cache->disks[i])
            cache->disks[i].is_silent = false;
    }
}
