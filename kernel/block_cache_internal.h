/* SPDX-License-Identifier: MIT */
/* block_cache_internal.h: between the cache's files of the kernel. */
#ifndef KERNEL_BLOCK_CACHE_INTERNAL_H
#define KERNEL_BLOCK_CACHE_INTERNAL_H

#include "block_cache.h"

/* The cache knows one row of sectors: the number of the disk's space is above its own, of which
 * there are fewer than 2^54. No I/O can join two disks: between two of them is always a gap. */
enum { DISK_SECTOR_SHIFT = 56 };

/* Backend: what the cache asks for becomes requests of the disks. */
struct ash_cache_backend block_cache_backend(struct block_cache *cache);
void block_cache_start_requests(struct block_cache *cache);

/* A wait begins; and until cache->wait.is_over. */
void block_cache_wait_begin(struct block_cache *cache);
void block_cache_wait(struct block_cache *cache);

/* A device that timed out is asked again: what follows is another wait. */
void block_cache_forget_silence(struct block_cache *cache);

/* Takes what has completed; true: something is on its way still. */
bool block_cache_poll(struct block_cache *cache);

/* A block of a space that lies on the disk, pinned. */
int block_cache_pin(struct block_cache *cache, const struct cached_disk *disk,
                    struct ash_cache_space *space, uint64_t index, uint32_t flags,
                    uint32_t *frame) ASH_MUST_CHECK;

/* Flushes the space, NULL for all; block_cache_write_out.c. */
int block_cache_flush(struct block_cache *cache, struct ash_cache_space *space) ASH_MUST_CHECK;

/* A block has become dirty; what is dirty for too long is begun to be written. */
void block_cache_dirtied(struct block_cache *cache);
void block_cache_write_out_if_due(struct block_cache *cache, ash_ns_t now_ns);

/* Forgets the pages of all files of a disk. */
void block_cache_close_files(struct block_cache *cache, struct cached_disk *disk);

static inline uint32_t block_cache_file_space(uint32_t file) {
    return DISKS_MAX + file;
}

#endif
