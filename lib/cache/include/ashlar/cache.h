/* SPDX-License-Identifier: MIT */
/*
 * cache.h: a cache of a block device's blocks and of files' pages, in one pool of frames. It is a
 * state machine: it never waits, never allocates, and reaches the device through two callbacks.
 *
 *     ash_cache_init(&cache, &config, storage, sizeof storage, data);
 *     ash_cache_space_open(&cache, &file);
 *     int error = ash_cache_get(&cache, &file, 7, 0, &waiter, &frame);
 *     if (error == ASH_CACHE_PENDING)             // waiter.wake is called, with waiter.frame
 *         ...
 *     use(ash_cache_data(&cache, frame));         // zero copies: the frame itself, pinned
 *     ash_cache_put(&cache, frame);
 *
 * Rules
 *  - A block has one home, (space, index): space 0 is the raw device, a file is a space of its own.
 *    Who reads or writes a file's sectors in space 0 flushes and discards them in the file first.
 *  - Between get and put a block is pinned: its memory is its own. Blocks that are pinned, in
 *    flight or dirty are never evicted. Where all are, get waits for one in flight, or to be
 *    written; where none is that, it says -ASH_EAGAIN.
 *  - One read a block, however many ask (single flight); all of them are told of its end.
 *  - A block is written to only between get with ASH_CACHE_WRITE and put_dirty or put_unchanged;
 *    one writer at a time, and not while the device reads it. Readers who pinned it see it change.
 *  - A write that fails leaves the block dirty, with its data, after retries_max more tries; get
 *    says so by ash_cache_frame_error, flush returns it, and tries again, each time, until the
 *    write succeeds or the block is discarded. Nothing else is lost or stopped by it.
 *  - What flush reported safe is on the medium. Of later writes any subset may be after a crash,
 *    each sector old or new. A block larger than a sector can tear.
 *  - Not shared (config): all calls from one context. Shared: any CPU, complete and pump from
 *    interrupts too; own lock, interrupts masked, O(1) under it where no other cost is named; a hit
 *    takes no lock ("lru", and the first of a block read ahead, try it), two atomic operations with
 *    pin and put, none with peek.
 *  - wake, done, map, submit, kick are called with nothing locked, and may call the cache (map may
 *    not). Completions out of submit do not recurse.
 *
 * Needs of the port: atomics, spinlock, interrupt masking, pin (counting of hits).
 * Sources: CLOCK: Corbato 1968. 2Q: Johnson, Shasha, VLDB 1994. S3-FIFO: Yang et al., SOSP 2023.
 * SIEVE: Zhang et al., NSDI 2024. CLOCK-Pro: Jiang et al., USENIX 2005. lib/cache/DESIGN.md.
 */
#ifndef ASHLAR_CACHE_H
#define ASHLAR_CACHE_H

#include <ashlar/cache_state.h>
#include <ashlar/cache_types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_CACHE_PENDING 1 /* not an error: it will be told by a call */

/* Flags of get. */
#define ASH_CACHE_WRITE     1u  /* to be changed; excludes other writers, ends by put_dirty */
#define ASH_CACHE_OVERWRITE 2u  /* with WRITE: all of it; not read, zeros if it was not there */
#define ASH_CACHE_COPY      4u  /* with WRITE: a copy of a block in flight, if nobody pinned it */
#define ASH_CACHE_CACHED    8u  /* only if it is there: else -ASH_ENOENT */
#define ASH_CACHE_MORE      16u /* more gets follow: ash_cache_pump starts what this one wants */

/* Bytes of storage for a cache, without its blocks; 0 if the configuration is invalid. */
size_t ash_cache_storage_size(const struct ash_cache_config *config) ASH_MUST_CHECK;

/*
 * storage: aligned to a cache line, the cache's until the end of its use; data: blocks *
 * block_bytes, aligned to block_bytes, what the device reads and writes. *config is copied.
 * O(blocks).
 *   -ASH_EINVAL  configuration, alignment, or unknown policy      -ASH_ENOMEM  storage too small
 */
int ash_cache_init(struct ash_cache *cache, const struct ash_cache_config *config, void *storage,
                   size_t storage_bytes, void *data) ASH_MUST_CHECK;

/* 0: the memory is the caller's again. -ASH_EBUSY: something is pinned, dirty or in flight, or a
 * device given up has some of it. */
int ash_cache_fini(struct ash_cache *cache) ASH_MUST_CHECK;

/* -ASH_EINVAL: id not below spaces_max, or blocks not below 2^40. -ASH_EEXIST: the id is in use. */
int ash_cache_space_open(struct ash_cache *cache, struct ash_cache_space *space) ASH_MUST_CHECK;

/* Forgets its clean blocks. -ASH_EBUSY: some are pinned, dirty, in flight or waited for.
 * O(blocks). */
int ash_cache_space_close(struct ash_cache *cache, struct ash_cache_space *space) ASH_MUST_CHECK;

/*
 * Pins block `index` of the space. 0: *frame is its frame. ASH_CACHE_PENDING: the waiter is queued,
 * and woken with the frame or an error. Inline; O(1) for a hit, else O(1) and the policy's search,
 * which looks at 2 * blocks frames at most ("lru" sorts some of them, and all once in 2^31 hits),
 * and once more for each block that is read ahead.
 *   -ASH_EAGAIN  no frame can be had: all are pinned. (Shared, each was when it was looked at: of a
 *                few frames that others read from all the time, ask a few times before it counts.)
 *                Or it would be pending, and waiter is NULL: what has to be done for it is started
 *   -ASH_ERANGE  index is not below space->blocks       -ASH_ENOENT  ASH_CACHE_CACHED, and is not
 *   -ASH_EIO     the read failed (or the device's own error, or map's); WRITE: as many blocks as
 *                may be dirty are so by failed writes
 */
static inline int ash_cache_get(struct ash_cache *cache, struct ash_cache_space *space,
                                uint64_t index, uint32_t flags, struct ash_cache_waiter *waiter,
                                uint32_t *frame) ASH_MUST_CHECK;

/* The block that holds byte `offset` of a file, for a mapping: as get. */
static inline int ash_cache_page_get(struct ash_cache *cache, struct ash_cache_space *space,
                                     uint64_t offset, uint32_t flags,
                                     struct ash_cache_waiter *waiter,
                                     uint32_t *frame) ASH_MUST_CHECK;

/* Its bytes: block_bytes of them. */
static inline void *ash_cache_data(const struct ash_cache *cache, uint32_t frame);

/* Ends a get without ASH_CACHE_WRITE. */
static inline void ash_cache_put(struct ash_cache *cache, uint32_t frame);

/* The same, and the block will not be wanted again soon: forgotten at once if it can be. */
void ash_cache_put_behind(struct ash_cache *cache, uint32_t frame);

/*
 * Ends a get with ASH_CACHE_WRITE: the block is dirty. With a waiter (or in a space that writes
 * through) it is written now; ASH_CACHE_PENDING: the waiter is told when it has reached the device,
 * or of the error (-ASH_ENOENT: it was discarded before). 0 without a waiter.
 */
int ash_cache_put_dirty(struct ash_cache *cache, uint32_t frame, struct ash_cache_waiter *waiter);

/* The same, but nothing was changed. */
void ash_cache_put_unchanged(struct ash_cache *cache, uint32_t frame);

/* A block that the caller has pinned was changed behind the cache's back, by a mapping. Never
 * fails: the bound on dirty blocks is passed over. */
void ash_cache_mark_dirty(struct ash_cache *cache, uint32_t frame);

/*
 * To be called before put_dirty: the block is not written before flush `number` succeeded. If that
 * fails, before put_dirty or after it, the block stays dirty, later flushes return -ASH_EIO, and it
 * is written once it was dirtied anew. put_unchanged takes the order back. A flush whose `done` has
 * returned, well or not, is waited for no more.
 *   -ASH_EINVAL  no flush has that number yet
 *   -ASH_EIO     that flush, or the one that this writer ordered the block behind before, has
 *                failed: put_unchanged
 *   -ASH_EBUSY   that flush, or one before it, waits for this very block, which was dirty already,
 *                or the block waits for another: put_unchanged, and try again when it is done
 */
int ash_cache_order(struct ash_cache *cache, uint32_t frame, uint32_t number) ASH_MUST_CHECK;

/* Blocks of the space that are dirty, those whose write failed included. */
static inline uint32_t ash_cache_space_dirty(const struct ash_cache_space *space);

/* -ASH_EIO: a write failed and left this pinned block dirty, or the flush that it was ordered
 * behind did. Else 0. */
int ash_cache_frame_error(struct ash_cache *cache, uint32_t frame) ASH_MUST_CHECK;

/* Reading without a pin: bytes that are the block's for as long as ash_cache_peek_valid says so
 * afterwards; what was read before it said no is not to be trusted. NULL: not there, use get. */
struct ash_cache_view {
    const uint32_t *place;
    uint32_t stamp;
};
static inline const void *ash_cache_peek(struct ash_cache *cache,
                                         const struct ash_cache_space *space, uint64_t index,
                                         struct ash_cache_view *view) ASH_MUST_CHECK;
static inline bool ash_cache_peek_valid(const struct ash_cache_view *view) ASH_MUST_CHECK;

/* Reads up to `count` blocks from `index` that are not there, with frames and I/Os that nobody
 * needs more. Errors are dropped. Returns the number of reads begun. O(count). */
uint32_t ash_cache_prefetch(struct ash_cache *cache, struct ash_cache_space *space, uint64_t index,
                            uint32_t count);

/*
 * Writes all blocks of the space (NULL: of all) that are dirty now, waits, flushes the device, and
 * then calls flush->done, its status being 0 or the first error; perhaps before it returns.
 * flush->number is set at once. O(1), for all spaces O(those with dirty blocks); O(dirty blocks)
 * where some were given up, and once in 2^28 flushes.
 */
void ash_cache_flush(struct ash_cache *cache, struct ash_cache_space *space,
                     struct ash_cache_flush_request *flush);

/*
 * Forgets blocks [first, first + count) of the space; dirty: those too that were not written.
 * -ASH_EBUSY: some are pinned, in flight, waited for or (without dirty) dirty: they stay, the
 * others are forgotten. O(count), at most O(blocks).
 */
int ash_cache_discard(struct ash_cache *cache, struct ash_cache_space *space, uint64_t first,
                      uint64_t count, bool dirty) ASH_MUST_CHECK;

/* The backend: an I/O ended, with 0 or an error (any other number: -ASH_EIO). Any context. Panics
 * where the I/O is not the backend's, having ended before. */
void ash_cache_complete(struct ash_cache *cache, struct ash_cache_io *io, int status);

/* The same with -ASH_EIO, of an I/O that will never end: the device was given up, and may go on to
 * use the memory. What was to be written stays dirty, with its data; no frame of it is used for
 * another block again. fini refuses from then on. */
void ash_cache_abandon(struct ash_cache *cache, struct ash_cache_io *io);

/* Starts what waits to be started. Needed after ASH_CACHE_MORE, and when the backend, having said
 * -ASH_EAGAIN with nothing of this cache in flight, has room again. */
void ash_cache_pump(struct ash_cache *cache);

/* Another policy, now; the blocks stay. -ASH_EINVAL: no such. -ASH_ENOMEM: it wants more ghosts
 * than the configuration's policy had. O(blocks). */
int ash_cache_set_policy(struct ash_cache *cache, const char *name) ASH_MUST_CHECK;

/* Policies by number, from 0; NULL behind the last. */
const char *ash_cache_policy_name(uint32_t number);

/* What was counted, and what is where now; the lock is let go after each frame. O(blocks). */
void ash_cache_get_stats(struct ash_cache *cache, struct ash_cache_stats *stats);

/* Calls `visit` for each pinned block; pinner: where it was pinned last (config.trace_pins, else
 * NULL). The cache must not be called from it. O(blocks). */
void ash_cache_visit_pins(struct ash_cache *cache,
                          void (*visit)(void *context, uint32_t space, uint64_t index,
                                        uint32_t pins, const void *pinner),
                          void *context);

/* NULL, or the first invariant of DESIGN.md that does not hold. O(blocks). Nothing else running. */
const char *ash_cache_check(struct ash_cache *cache);

#ifdef __cplusplus
}
#endif

#include <ashlar/cache_fast.h>

#endif
