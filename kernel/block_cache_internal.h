/* SPDX-License-Identifier: MIT */
/*
 * block_cache_internal.h: between the cache's files of the kernel.
 *
 *     block_cache.c             memory; the raw disks
 *     block_cache_files.c       pages of files
 *     block_cache_io.c          the cache's I/Os as requests of the disks
 *     block_cache_turns.c       who is inside, who waits, who takes completions
 *     block_cache_write_out.c   when dirty blocks are written
 *
 * All of it is called with the mutex of cache->group held, but for what begins with enter and keep.
 */
#ifndef KERNEL_BLOCK_CACHE_INTERNAL_H
#define KERNEL_BLOCK_CACHE_INTERNAL_H

#include "block_cache.h"
#include "disk_internal.h"

/* The cache knows one row of sectors: the number of the disk's space is above its own, of which
 * there are fewer than 2^54. No I/O can join two disks: between two of them is always a gap. */
enum { DISK_SECTOR_SHIFT = 56 };

/* Somebody who waits. */
struct block_wait {
    struct ash_cache_waiter waiter;
    struct ash_cache_flush_request flush;
    struct block_cache *owner;
    uint32_t is_over;
    uint32_t looks; /* in a row that found nothing, of a policy that polls */
    bool follows;
    struct wait_queue queue; /* then */
    struct ash_list follower;
};

/* Turns */

void block_cache_start_turns(struct block_cache *cache);

/* Around each call. */
void block_cache_enter(struct block_cache *cache);
void block_cache_leave(struct block_cache *cache);

/* The caller takes a block or page along; and enters again, even where others are kept out, to
 * bring it back. */
static inline void block_cache_take_along(struct block_cache *cache) {
    ash_store_relaxed(&cache->turns.held, cache->turns.held + 1);
}
void block_cache_enter_again(struct block_cache *cache);

/* A wait that begins: for the disk; NULL: for all. It may be over before block_cache_wait. */
void block_cache_wait_init(struct block_cache *cache, struct block_wait *wait);
void block_cache_wait_begin(struct block_cache *cache, struct cached_disk *disk);

/* Until it is over: the mutex is let go meanwhile. */
void block_cache_wait(struct block_cache *cache, struct block_wait *wait);
void block_cache_wait_over(struct block_wait *wait);

/* block_cache_settle, from within a call. */
void block_cache_settle_locked(struct block_cache *cache);

/* Takes what has completed; false: nothing had. */
bool block_cache_take(struct block_cache *cache);

/* Is something on its way? */
bool block_cache_is_busy(const struct block_cache *cache);

/* Looks after devices that are late. */
void block_cache_watch(struct block_cache *cache);

/* Has interrupts come with what completes from now on; false: something may have already. */
bool block_cache_may_sleep(struct block_cache *cache);

/* Backend: what the cache asks for becomes requests of the disks. */
struct ash_cache_backend block_cache_backend(struct block_cache *cache);
void block_cache_start_requests(struct block_cache *cache);

/* What a device that was given up has for ever comes back; false: it has nothing. */
bool block_cache_abandon(struct block_cache *cache, struct cached_disk *disk);

/* A device that timed out is asked again: what follows is another wait. NULL: all. */
void block_cache_forget_silence(struct block_cache *cache, struct cached_disk *disk);

/* A block of a space that lies on the disk, pinned. */
int block_cache_pin(struct block_cache *cache, struct cached_disk *disk,
                    struct ash_cache_space *space, uint64_t index, uint32_t flags,
                    uint32_t *frame) ASH_MUST_CHECK;

/* Flushes a disk, NULL: all; block_cache_write_out.c. */
int block_cache_flush(struct block_cache *cache, struct cached_disk *disk) ASH_MUST_CHECK;

/* A block has become dirty; what is dirty for too long is begun to be written. */
void block_cache_dirtied(struct block_cache *cache);
void block_cache_write_out_if_due(struct block_cache *cache, ash_ns_t now_ns);

/* Forgets the pages of all files of a disk. Others are kept out. */
void block_cache_close_files(struct block_cache *cache, struct cached_disk *disk);

static inline uint32_t block_cache_file_space(uint32_t file) {
    return DISKS_MAX + file;
}

#endif
