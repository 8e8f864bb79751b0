/* SPDX-License-Identifier: MIT */
/*
 * cache_types.h: what the callers of <ashlar/cache.h> and its backend hold: configuration, spaces,
 * waiters, I/Os, statistics. Where a field is not said to be theirs, it is the cache's own.
 */
#ifndef ASHLAR_CACHE_TYPES_H
#define ASHLAR_CACHE_TYPES_H

#include <ashlar/base.h>
#include <ashlar/list.h>
#include <ashlar/port.h>

#define ASH_CACHE_SECTOR_BYTES     512u
#define ASH_CACHE_INDEX_BITS       40u        /* of a key: a space of under 2^40 blocks */
#define ASH_CACHE_SPACES_MAX       (1u << 24) /* and 2^24 of them */
#define ASH_CACHE_BLOCKS_MAX       (1u << 30)
#define ASH_CACHE_BLOCK_MIN        512u /* bytes, a power of two */
#define ASH_CACHE_BLOCK_MAX        (1u << 21)
#define ASH_CACHE_DEPTH_MAX        256u /* I/Os in flight */
#define ASH_CACHE_DEPTH_DEFAULT    32u
#define ASH_CACHE_SEGMENTS_MAX     128u /* blocks that one I/O joins */
#define ASH_CACHE_SEGMENTS_DEFAULT 16u
#define ASH_CACHE_EXTENTS_MAX      4u         /* pieces of disk that one block lies on */
#define ASH_CACHE_PINS_MAX         0x7effu    /* of one block at a time */
#define ASH_CACHE_STREAMS          8u         /* sequential readers that are told apart */
#define ASH_CACHE_WINDOW_MAX       256u       /* blocks read ahead of one of them */
#define ASH_CACHE_ROUND            256u       /* dirty blocks that are sorted at a time */
#define ASH_CACHE_NONE             UINT32_MAX /* no frame, no slot */

/* Frames linked through one of their links, the newest first. */
struct ash_cache_queue {
    uint32_t first, last, length;
};

/* A piece of disk. A block's pieces follow each other in its data. */
struct ash_cache_extent {
    uint64_t sector;  /* of ASH_CACHE_SECTOR_BYTES */
    uint32_t sectors; /* at least 1 */
};

/* Where one block of a file lies. No extent at all: nowhere, it reads as zeros. */
struct ash_cache_map {
    struct ash_cache_extent extents[ASH_CACHE_EXTENTS_MAX];
    uint32_t extent_count;
    uint32_t valid_bytes; /* of the block; what is behind reads as zeros, and is never written */
};

/*
 * What blocks belong to: space 0 is the raw device, a file is a space. The caller's memory, from
 * ash_cache_space_open until ash_cache_space_close; the first five fields are the caller's, set
 * before open. One owner may change `blocks` later, between two calls: what lies beyond is to be
 * discarded.
 */
struct ash_cache_space {
    uint32_t id; /* below config.spaces_max */
    /* Where block `index` lies: 0, or an error, which whoever asked for the block gets. NULL: block
     * i lies at sector i * block_bytes / 512, up to `blocks`. Called with nothing locked, from any
     * call that starts I/O; it must not call the cache. */
    int (*map)(void *context, uint64_t index, struct ash_cache_map *map);
    void *context;
    uint64_t blocks;    /* a block at or beyond gets -ASH_ERANGE */
    bool write_through; /* a block is written as soon as ash_cache_put_dirty leaves it */

    uint64_t first_key;            /* of block 0 */
    struct ash_cache_queue dirty;  /* last: to be written first */
    struct ash_cache_queue failed; /* dirty, too, and not to be written now */
    uint32_t frames;               /* blocks that are in the cache */
    struct ash_list link;          /* the spaces with dirty blocks */
};

enum ash_cache_op { ASH_CACHE_OP_READ, ASH_CACHE_OP_WRITE, ASH_CACHE_OP_FLUSH };

struct ash_cache_segment {
    void *data;
    uint32_t len_bytes;
    uint32_t frame; /* the cache's own */
};

/*
 * What the backend is asked for, its own from submit until ash_cache_complete. READ and WRITE: the
 * segments one after the other from `sector`, without a gap. FLUSH: everything written and
 * completed before is to be safe; no segments.
 */
struct ash_cache_io {
    struct ash_list link;
    uint64_t sector;
    uint32_t len_bytes;
    uint32_t segment_count;
    uint8_t op;                      /* enum ash_cache_op */
    bool submitted;                  /* it is the backend's */
    bool prefetch;                   /* nobody waits for it */
    struct ash_cache_waiter *waiter; /* NULL, or who waits for the first segment's block */
    struct ash_cache_segment *segments;
    void *backend; /* the backend's, for what it likes */
};

/*
 * The device. submit takes an I/O without waiting: 0 (ash_cache_complete follows, from any context,
 * even before submit returns), -ASH_EAGAIN (not now: asked again after the next completion, or
 * ash_cache_pump), or any other error, with which the I/O has ended. kick tells it that what was
 * submitted should start; NULL: it starts by itself. Both with nothing locked.
 */
struct ash_cache_backend {
    int (*submit)(void *context, struct ash_cache_io *io);
    void (*kick)(void *context);
    void *context;
};

/*
 * Somebody who waits for a block; the caller's memory until `wake` is called. wake: from within any
 * call that completes something, an interrupt's ash_cache_complete included, with nothing locked;
 * it may call the cache. status 0: as if ash_cache_get had returned 0, `frame` is pinned.
 */
struct ash_cache_waiter {
    void (*wake)(struct ash_cache_waiter *waiter); /* the caller's */
    int status;
    uint32_t frame;
    struct ash_list link;
    struct ash_cache_space *space;
    uint64_t index;
    uint32_t flags;
    uint32_t copy_of; /* frame whose bytes are still to be copied */
    const void *pinner;
};

/* A flush on its way; the caller's memory until `done` is called, under the rules of wake. */
struct ash_cache_flush_request {
    void (*done)(struct ash_cache_flush_request *flush); /* the caller's */
    int status;
    uint32_t number; /* for ash_cache_order: blocks that may only be written once it succeeded */
    struct ash_list link;
    struct ash_cache_space *space; /* NULL: all */
    uint32_t remaining;
    uint32_t state;
};

struct ash_cache_stats {
    uint64_t hits, misses;                /* blocks asked for that were there, and that were not */
    uint64_t joined;                      /* of the misses, those whose read was on its way */
    uint64_t reads, writes, flushes;      /* I/Os to the backend */
    uint64_t blocks_read, blocks_written; /* blocks that they carried */
    uint64_t evictions, ghost_hits, scanned; /* blocks forgotten; frames looked at for it */
    uint64_t write_scanned; /* dirty blocks looked at to choose those to be written */
    uint64_t prefetched, prefetch_used, prefetch_wasted;
    uint64_t read_errors, write_errors, retries;     /* blocks */
    uint64_t waits_frame, waits_dirty, waits_flight; /* calls that had to wait, and for what */
    uint64_t copies; /* blocks in flight that a writer got a copy of */
    uint32_t blocks, free, filling, clean, dirty, writing, failed, pinned; /* frames now */
    uint32_t lost; /* frames that a device given up may write to: never used again */
};

struct ash_cache_config {
    uint32_t blocks;       /* 1 .. ASH_CACHE_BLOCKS_MAX */
    uint32_t block_bytes;  /* a power of two, ASH_CACHE_BLOCK_MIN .. _MAX */
    const char *policy;    /* ash_cache_policy_name; NULL: "2q-clock" */
    uint32_t spaces_max;   /* 1 .. ASH_CACHE_SPACES_MAX; 0: 1 */
    uint32_t depth;        /* I/Os in flight, ASH_CACHE_EXTENTS_MAX .. _DEPTH_MAX; 0: default */
    uint32_t segments_max; /* blocks that one I/O joins; 0: default */
    uint32_t dirty_max;    /* blocks, 1 .. blocks; 0: a quarter of them */
    uint32_t window_max;   /* read-ahead, blocks, up to ASH_CACHE_WINDOW_MAX; 0: none */
    uint32_t retries_max;  /* of a failed write, 0 .. 255 */
    bool shared;           /* called from several CPUs or from interrupts: locks, atomic pins */
    bool strict;           /* the policy's victim is waited for even where it is dirty: its order is
                            * exact under writes, and a miss may wait for a write */
    bool lazy;             /* dirty blocks are written by flush, eviction and the bound alone */
    bool trace_pins;       /* remember who pinned last: ash_cache_visit_pins */
    struct ash_cache_backend backend;
};

#endif
