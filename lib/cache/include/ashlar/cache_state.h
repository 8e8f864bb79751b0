/* SPDX-License-Identifier: MIT */
/*
 * cache_state.h: struct ash_cache, public for sizeof and for the inline functions of
 * <ashlar/cache.h>. All of it is the cache's own.
 *
 *      key (space, index)
 *       │ hash                         one line a hit
 *       v
 *   table   [ 2 x key, frame, stamp ] open addressing by pairs, 7 slots for 4 blocks or more
 *                    │
 *       ┌────────────┼──────────────┐
 *       v            v              v
 *   hot[frame]   frame[frame]   data + frame * block_bytes
 *   pins, queue  dirty, order   the block itself
 *
 * A block that is dirty or in flight carries all that is known of it in its frame; what waits for
 * it is the caller's (struct ash_cache_waiter), and what is in flight is one of `depth` I/Os.
 */
#ifndef ASHLAR_CACHE_STATE_H
#define ASHLAR_CACHE_STATE_H

#include <ashlar/cache_types.h>
#include <ashlar/port.h>

struct ash__cache_policy;

/*
 * Of the table; two of them are a pair, half a line. A key that no block can have: it is empty. The
 * stamp belongs to this block in this slot and is never used again; 0: it is being changed, or not
 * to be seen. Beside it, with one owner, the bit QUIET: hits are counted no more. The frame is one
 * of the cache's, whatever else is being changed.
 */
struct ash_cache_slot {
    uint64_t key;
    uint32_t frame, stamp;
};

#define ASH__CACHE_NO_KEY    UINT64_MAX
#define ASH__CACHE_QUIET     0x80000000u
#define ASH__CACHE_STAMP_MAX 0x7fffffffu

/* What a hit writes. */
struct ash_cache_hot {
    uint16_t hold;   /* ASH__CACHE_ABSENT | pins */
    uint8_t touched; /* up to cache->touch_cap; by hits without a lock, and by whoever has it */
    uint8_t queue;   /* of the policy; ASH__CACHE_FRESH: read ahead, not asked for yet */
};

#define ASH__CACHE_ABSENT 0x8000u
#define ASH__CACHE_FRESH  0x80u

#define ASH__CACHE_DATE_MAX 0x80000000u /* at which dates begin anew */
#define ASH__CACHE_SPANS    256

struct ash_cache_links {
    uint32_t next, prev;
};

struct ash_cache_frame {
    uint32_t slot;  /* ASH_CACHE_NONE: holds no block */
    uint32_t epoch; /* dirty since this flush or after it, before the next */
    union {
        uint32_t redirtied; /* while written: the epoch of what was changed meanwhile, or copied */
        uint32_t valid;     /* while read: bytes that the disk has of it */
        uint32_t tag;       /* while a writer has it: will be `order`; 0: that flush has failed */
    };
    union {
        uint32_t order; /* not to be written before this flush succeeded; 0: none */
        uint32_t error; /* while in flight: the first one of its parts, positive */
    };
    uint16_t flags;
    uint8_t parts; /* I/Os in flight */
    uint8_t retries;
};

/* Keys of blocks that were evicted, oldest forgotten first: a FIFO (ghosts.c), or a ring by number
 * (ghost_ring.c) in the same memory. The ring leaves `next` to its policy, for stamps by frame. */
struct ash_cache_ghosts {
    uint64_t *keys;
    uint32_t *next, *chain, *buckets;
    uint32_t room; /* as many as there is memory for; also the number of buckets */
    uint32_t capacity, length;
    uint32_t oldest, blank, unused; /* of the FIFO: entries; blank: behind the newest */
    uint32_t head, pushed, first;   /* of the ring: the next place; its number; the oldest one */
};

/* Of "lru": blocks by the date of their last hit, sorted as far as it is needed (lru.c). */
struct ash_cache_run_entry {
    uint32_t frame, date;
};

struct ash_cache_run {
    struct ash_cache_run_entry *entries; /* in the place of the policy's links */
    uint32_t made, base;                 /* when; the first date of the first span */
    uint32_t next, sorted;               /* the first entry that is left; behind the sorted ones */
    uint32_t span;                       /* the next to be opened */
    uint32_t depth, top;                 /* bits of dates */
    uint32_t ends[32];                   /* in the open span, by depth */
    uint32_t spans[ASH__CACHE_SPANS];    /* where each ends */
};

struct ash_cache_stream {
    uint64_t next;          /* key expected */
    uint32_t ahead, window; /* blocks from it on that were asked for, and shall be */
};

/* Counted by the CPU that owns the line. */
struct ash_cache_cpu {
    uint64_t hits;
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));

struct ash_cache {
    /* Read by hits. */
    struct ash_cache_slot *table;
    struct ash_cache_hot *hot;
    char *data;
    uint64_t pair_count;
    uint32_t block_shift;
    uint32_t touch_cap;
    uint32_t starving; /* bool: a put that leaves a block unpinned is waited for */
    bool shared;
    struct ash_cache_cpu *cpus;
    uint32_t *dates;     /* of "lru", by frame; 0: no block of the policy */
    bool hits_are_dated; /* by themselves: "lru" with one owner */

    struct ash_spinlock lock __attribute__((aligned(ASH_PORT_CACHE_LINE)));
    struct ash_cache_config config;
    const struct ash__cache_policy *policy;
    struct ash_cache_frame *frames;
    /* Of frames. 0: the policy's queue. 1: what is to be done with it: dirty blocks of a space,
     * blocks to be read, free frames, and so on. */
    struct ash_cache_links *links[2];
    struct ash_cache_space **spaces;
    const void **pinners;
    uint32_t stamp;
    uint32_t hand;
    uint32_t now; /* the last date */
    struct ash_cache_run run;
    struct ash_cache_queue queues[2];
    uint32_t queue_max;
    struct ash_cache_ghosts ghosts;

    struct ash_cache_io *ios;
    struct ash_cache_segment *segments;
    struct ash_list *io_free;         /* by link.next, the last used first; NULL: none */
    struct ash_list io_ready;         /* to be submitted */
    struct ash_cache_io *io_entering; /* within its submit, and has not ended yet */
    int io_status;                    /* of the one that ended within its submit */
    uint32_t io_free_count;
    struct ash_cache_queue free_frames, orphans;
    struct ash_cache_queue fill, prefetch; /* frames to be read */
    uint32_t round[ASH_CACHE_ROUND];       /* frames to be written, by key */
    uint32_t round_next, round_count;

    struct ash_list waiting[64]; /* for a block, by frame */
    struct ash_list waiting_frame, waiting_dirty;
    struct ash_list ready; /* to be woken */
    struct ash_list flushes, flushed;
    struct ash_list dirty_spaces;
    struct ash_cache_queue tagged; /* clean blocks that a writer has, with a tag */
    uint32_t epoch;                /* the number of the next flush */
    uint32_t flush_telling;        /* of one that failed and whose done is being called; 0: none */
    uint32_t dirty;                /* blocks */
    uint32_t reserved;             /* clean blocks that somebody has for writing */
    uint32_t failed;               /* dirty blocks given up */
    uint32_t lost;                 /* frames without a block, of I/Os that were abandoned */
    uint32_t writing;              /* dirty blocks in flight */
    uint32_t urgent;               /* dirty blocks to be written before all others */
    uint32_t fresh;                /* blocks read ahead and not asked for yet */
    uint32_t in_a_row;             /* reads started since something else was, or could have been */
    uint32_t news;                 /* completions and pumps: the backend may have room again */
    bool device_flushes;
    bool flush_may_start; /* blocks that a flush waits for; else all of them are started, or held */
    bool pumping;         /* somebody starts what waits, and will see what comes up meanwhile */
    bool again;           /* something has come up since he, or whoever did last, looked */
    bool backend_full;
    bool submitted; /* since the last kick, where there are kicks */

    struct ash_cache_stream streams[ASH_CACHE_STREAMS]; /* the one met last comes first */
    uint32_t window; /* blocks that a stream may be ahead, by what came of it lately */
    uint32_t used, wasted;
    struct ash_cache_stats stats;
};

#endif
