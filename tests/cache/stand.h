/* SPDX-License-Identifier: MIT */
/*
 * stand.h: a cache over a disk of memory, for cases. A block's bytes say which block it is and
 * which version of it: version 0 is zeros, as on a new disk.
 */
#ifndef TESTS_CACHE_STAND_H
#define TESTS_CACHE_STAND_H

#include "cache/backend.h"

#include <ashlar/error.h>

enum { STAND_SPACES = 4 };

struct stand {
    struct ash_cache cache;
    struct ash_cache_config config;
    struct backend backend;
    struct ash_cache_space spaces[STAND_SPACES]; /* 0: the raw disk, open */
    void *storage, *data;
    size_t storage_bytes, data_bytes;
};

/* Somebody who waits, and what he was told. */
struct stand_waiter {
    struct ash_cache_waiter waiter;
    uint32_t told; /* times */
};

struct stand_flush {
    struct ash_cache_flush_request flush;
    uint32_t told;
};

/* `blocks` frames of one sector; what else a case wants it sets before stand_start. */
struct stand *stand_new(uint32_t blocks);

/* A cache as stand->config says, over a disk of `disk_blocks` blocks, with space 0 open. Once more:
 * a new cache, on a new disk. */
void stand_start(struct stand *stand, uint64_t disk_blocks);

/* stand_new and stand_start, with a disk of 256 blocks. */
struct stand *stand_started(uint32_t blocks);

/* The case breaks the contract: what it goes on to look at is compiled out with -Dchecks=none. */
void stand_needs_checks(void);

/* All invariants hold. */
void stand_check(struct stand *stand);

/* Ends the cache: all is written and it can be taken apart. */
void stand_end(struct stand *stand);

struct ash_cache_waiter *stand_wait(struct stand_waiter *waiter);
struct ash_cache_flush_request *stand_flush(struct stand_flush *flush);

/* A get of the raw disk (space 0) or another space, without and with a waiter. */
int stand_try(struct stand *stand, uint32_t space, uint64_t index, uint32_t flags,
              uint32_t *frame) ASH_MUST_CHECK;
int stand_ask(struct stand *stand, uint32_t space, uint64_t index, uint32_t flags,
              struct stand_waiter *waiter) ASH_MUST_CHECK;

/* The block pinned, whatever the device has to do for it. */
uint32_t stand_get(struct stand *stand, uint32_t space, uint64_t index, uint32_t flags);

void stand_put(struct stand *stand, uint32_t frame);

/* Reads a block and lets it go. */
void stand_read(struct stand *stand, uint32_t space, uint64_t index);

/* The block's bytes. */
void stand_fill(struct stand *stand, void *bytes, uint64_t key, uint64_t version);
bool stand_is(struct stand *stand, const void *bytes, uint64_t key, uint64_t version);
static inline uint64_t stand_key(uint32_t space, uint64_t index) {
    return (uint64_t)space << 40 | index;
}

/* Writes a version into the cache: get, fill, put_dirty. */
void stand_write(struct stand *stand, uint32_t space, uint64_t index, uint64_t version);

/* What a reader sees is that version. */
void stand_expect(struct stand *stand, uint32_t space, uint64_t index, uint64_t version);

/* The same of a pinned frame. */
bool stand_frame_is(struct stand *stand, uint32_t frame, uint32_t space, uint64_t index,
                    uint64_t version);

/* What the disk has at this block of the raw disk. */
bool stand_disk_is(struct stand *stand, uint64_t block, uint32_t space, uint64_t index,
                   uint64_t version);

/* Flushes with the device answering; returns the flush's status. */
int stand_sync(struct stand *stand, struct ash_cache_space *space) ASH_MUST_CHECK;

/* A flush that is not waited for. */
void stand_begin_flush(struct stand *stand, struct ash_cache_space *space,
                       struct stand_flush *flush);

/* A cache of so many frames with block 5, version 1, in flight to the disk for the flush. */
struct stand *stand_in_flight(uint32_t blocks, struct stand_flush *flush);

/* Ends the oldest I/O of that kind; there is one, of FLUSH only one. */
void stand_end_io(struct stand *stand, enum ash_cache_op op, int status);

struct ash_cache_stats stand_stats(struct stand *stand);

#endif
