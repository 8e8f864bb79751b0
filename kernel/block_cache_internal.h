/* SPDX-License-Identifier: MIT */
/* block_cache_internal.h: between the cache's files of the kernel. */
#ifndef KERNEL_BLOCK_CACHE_INTERNAL_H
#define KERNEL_BLOCK_CACHE_INTERNAL_H

#include "block_cache.h"

/* The cache knows one row of sectors: the disk's number is above its own, of which there are fewer
 * than 2^54. No I/O can join two disks: between two of them is always a gap. */
enum { DISK_SECTOR_SHIFT = 56 };

/* Somebody who waits; in memory of its own, since a device that was given up may keep it. */
struct block_wait {
    struct ash_cache_waiter waiter;
    struct ash_cache_flush_request flush;
    bool is_over;
};

/* Backend: what the cache asks for becomes requests of the disks. */
struct ash_cache_backend block_cache_backend(struct block_cache *cache);
void block_cache_start_requests(struct block_cache *cache);

/* A wait begins; and until cache->wait->is_over: false if that will never be, and the cache is
 * given up. */
void block_cache_wait_begin(struct block_cache *cache);
bool block_cache_wait(struct block_cache *cache) ASH_MUST_CHECK;

/* A block of any space, pinned. */
int block_cache_pin(struct block_cache *cache, struct ash_cache_space *space, uint64_t index,
                    uint32_t flags, uint32_t *frame) ASH_MUST_CHECK;

/* Forgets the pages of all files of a disk. */
void block_cache_close_files(struct block_cache *cache, struct cached_disk *disk);

static inline uint32_t block_cache_file_space(uint32_t file) {
    return DISKS_MAX + file;
}

#endif
