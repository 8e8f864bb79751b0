/* SPDX-License-Identifier: MIT */
/*
 * buddy.h: hands out page frames in naturally aligned power-of-two blocks, over one or several
 * ranges of physical memory, and keeps every note about them out of line.
 *
 * Rules
 *  - The pages themselves are never touched: they may be unmapped, or not exist yet.
 *  - A block of order n is 2^n frames and starts at a frame number divisible by 2^n. It never
 *    crosses the end of a region; regions that touch stay apart (give one region instead).
 *  - Nothing is allocated: the caller hands over `storage`, about 1.3 bytes a frame.
 *  - Locking: one port spinlock per instance, taken pinned, for the time of one call. Not for
 *    interrupt handlers. ash_buddy_find takes no lock. Operations on several instances are
 *    independent.
 *  - Exhaustion is -ASH_ENOMEM and the event buddy.exhausted. A free that does not name an
 *    allocated block exactly (double, foreign, wrong order, inside a block) always ends in
 *    ash_panic, before anything has changed and with the lock dropped; where ASH_REQUIRE is
 *    compiled out it is ignored.
 *  - An allocation fails only if no aligned block of its order is wholly free: free buddies are
 *    merged at once.
 *  - Which of several fitting blocks is handed out is not part of the contract.
 *  - Port primitives: pin, spinlock, relaxed load and store, event.
 *
 * Source: Knowlton 1965 and Knuth, TAOCP 1, 2.5 (the buddy system).
 *
 *   region   first                                                      first + len_pages
 *            |                                                          |
 *   frames   3  4     6     8           12          16                      22 23
 *   orders   [0][  1  ][  1 ][    2     ][    2     ][         2       ][ 1   ][0]
 */
#ifndef ASHLAR_BUDDY_H
#define ASHLAR_BUDDY_H

#include <ashlar/base.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits and errors */

#define ASH_BUDDY_ORDER_MAX     18u                 /* 2^18 frames: 1 GiB */
#define ASH_BUDDY_ORDERS        19u                 /* 0..18 */
#define ASH_BUDDY_OWNER_MAX     7u                  /* owner tags 0..7 */
#define ASH_BUDDY_FRAME_LIMIT   (UINT64_C(1) << 52) /* frame numbers are below this */
#define ASH_BUDDY_PAGES_MAX     (UINT64_C(1) << 40) /* frames of all regions together: 4 PiB */
#define ASH_BUDDY_STORAGE_ALIGN 8u                  /* bytes; what `storage` must be aligned to */
#define ASH_BUDDY_LEVELS_MAX    7u                  /* of a bitmap: 64^7 = 4 * PAGES_MAX bits */

/* Types */

struct ash_buddy_region {
    ash_pfn_t first;    /* any frame number */
    uint64_t len_pages; /* at least 1 */
};

/* Read by storage_size and init alone; need not live longer. */
struct ash_buddy_config {
    const struct ash_buddy_region *regions; /* sorted by `first`, not overlapping */
    uint32_t region_count;                  /* at least 1 */
};

/* An allocated block, as ash_buddy_find sees it. */
struct ash_buddy_block {
    ash_pfn_t first;
    uint32_t order;
    uint8_t owner;
};

struct ash_buddy_stats {
    uint64_t total_pages;
    uint64_t free_pages;
    uint64_t used_pages;     /* in allocated blocks */
    uint64_t reserved_pages; /* in reserved ranges; total = free + used + reserved */
    uint64_t peak_used_pages;
    uint64_t failed_allocs;                 /* calls that returned -ASH_ENOMEM */
    uint64_t free_blocks[ASH_BUDDY_ORDERS]; /* by order */
    int32_t largest_free_order;             /* -1: nothing is free */
};

/* Private to lib/buddy; here for sizeof. */
struct ash_buddy_bitmap {
    uint64_t *level[ASH_BUDDY_LEVELS_MAX];
    uint64_t level_count;
};
struct ash_buddy_span {
    ash_pfn_t first;
    uint64_t len_pages;
    uint64_t index_first; /* of the bitmaps: congruent to `first` modulo 2^order_max */
    uint8_t *state;       /* one byte per frame */
    uint32_t order_max;   /* largest aligned block inside */
};
struct ash_buddy {
    struct ash_spinlock lock;
    uint32_t orders_free; /* bit o: free_blocks[o] != 0 */
    uint32_t span_count;
    struct ash_buddy_span *spans;
    uint64_t total_pages, free_pages, reserved_pages, peak_used_pages, failed_allocs;
    uint64_t free_blocks[ASH_BUDDY_ORDERS];
    uint64_t lone[ASH_BUDDY_ORDERS]; /* one free block's index >> order, kept out of the bitmap */
    struct ash_buddy_bitmap free_map[ASH_BUDDY_ORDERS];
};

/* Life */

/*
 * The bytes of storage that `config` needs; 0 for an invalid one: NULL or no region, a region that
 * is empty, not above its predecessor's end, or past ASH_BUDDY_FRAME_LIMIT, or more than
 * ASH_BUDDY_PAGES_MAX frames in all. 1.26 bytes a frame for regions whose ends are aligned to their
 * largest block, never more than 2.1, plus 64 bytes a region and at most 400. O(regions).
 */
size_t ash_buddy_storage_size(const struct ash_buddy_config *config) ASH_MUST_CHECK;

/*
 * Makes all frames of all regions free. `storage` is the buddy's for as long as it is used; there
 * is nothing to undo. -ASH_EINVAL: invalid config, or storage NULL, misaligned or too small;
 * nothing has been written then. O(frames).
 */
int ash_buddy_init(struct ash_buddy *buddy, const struct ash_buddy_config *config, void *storage,
                   size_t storage_bytes) ASH_MUST_CHECK;

/* Blocks */

/*
 * Allocates a block of 2^order frames, order 0..18, and stores its first frame number in *first.
 * The owner tag, 0..7, is kept with the block for ash_buddy_find and has no meaning here.
 * -ASH_ENOMEM: no such block is free; -ASH_EINVAL: order or owner out of range. O(1): at most 18
 * splits, each a few words.
 */
int ash_buddy_alloc(struct ash_buddy *buddy, uint32_t order, uint8_t owner,
                    ash_pfn_t *first) ASH_MUST_CHECK;

/*
 * Allocates the block that starts at `first`. -ASH_EBUSY: not all of its frames are free;
 * -ASH_EINVAL: order or owner out of range, `first` not aligned to it, or not inside one region.
 * O(1): at most 18 look-ups and 18 splits.
 */
int ash_buddy_alloc_at(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order,
                       uint8_t owner) ASH_MUST_CHECK;

/*
 * Frees an allocated block; `first` and `order` are what the allocation gave and took. Anything
 * else is a broken contract: ash_panic says what the frame is. O(1): at most 18 merges, each a few
 * words.
 */
void ash_buddy_free(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order);

/*
 * The allocated block that holds `frame`, in *block (may be NULL). False: the frame is free,
 * reserved, or in no region. Any number is a valid argument. Takes no lock and may be called in any
 * context: exact for a frame whose block the caller holds; for any other, the answer was true at
 * some moment of the call. At most 19 bytes are read, and region_count is searched by halves.
 */
bool ash_buddy_find(const struct ash_buddy *buddy, ash_pfn_t frame, struct ash_buddy_block *block);

/* Ranges */

/*
 * Takes the frames [first, first + len_pages) out of use: a kernel image, a boot table, a bad DIMM.
 * -ASH_EBUSY: not all are free; nothing has changed then. -ASH_EINVAL: len_pages is 0 or the range
 * is not inside one region. O(len_pages), under the lock.
 */
int ash_buddy_reserve(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages) ASH_MUST_CHECK;

/*
 * Makes reserved frames free; the range may be a part of what was reserved, or several reserved
 * ranges that touch. A frame in it that is not reserved is a broken contract: ash_panic.
 * O(len_pages), under the lock.
 */
void ash_buddy_release(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages);

/* Statistics */

/* A consistent snapshot. O(orders). */
void ash_buddy_get_stats(struct ash_buddy *buddy, struct ash_buddy_stats *stats);

/* Checker */

/*
 * NULL, or the first invariant of DESIGN.md that does not hold, as "I4: ...". O(frames), under the
 * lock. Reads nothing outside the storage, whatever the state bytes and bitmaps hold.
 */
const char *ash_buddy_check(struct ash_buddy *buddy) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
