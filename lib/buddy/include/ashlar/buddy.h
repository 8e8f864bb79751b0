/* SPDX-License-Identifier: MIT */
/*
 * buddy.h: hands out page frames in naturally aligned power-of-two blocks, over ranges of physical
 * memory, and keeps every note about them out of line: one bit a frame and an index over it.
 *
 * Rules
 *  - The pages themselves are never touched: they may be unmapped, or not exist yet.
 *  - A block of order n is 2^n frames and starts at a frame number divisible by 2^n. It never
 *    crosses the end of a region; regions that touch stay apart (give one region instead).
 *  - Nothing is allocated: the caller hands over `storage`, 0.15 byte a frame, 32 a region.
 *    The struct itself is 4 KiB a CPU of the port: 33 KB for 8, 262 KB for 64, 1 MB for 256.
 *  - Contexts: any but interrupt handlers; those too with `interrupts`. No call sleeps.
 *  - Locking: one port spinlock per instance. Blocks of orders 0 to 8 come from and go to the CPU's
 *    own cache, without it, most of the time.
 *  - A cache hides nothing: a call that would fail first takes back what the caches of all CPUs
 *    hold, idle ones included (ash_port_fence_heavy makes that sound). So an allocation fails only
 *    if no aligned block of its order is wholly free, frames in caches counted as free; what other
 *    CPUs free while the call runs it may miss.
 *  - Exhaustion is -ASH_ENOMEM; where ash_buddy_alloc meets it, also the event buddy.exhausted.
 *  - A free of frames that are free already ends in ash_panic, with the lock dropped and nothing
 *    changed: at once, or, if they lie in another CPU's cache, or in this one's for the map or with
 *    another order, when they reach the map (missed if allocated again by then). So does each free
 *    of a block that is misaligned or in no region. `hardened`: every free that names no block
 *    exactly, at once. Ignored without ASH_REQUIRE.
 *  - Which of several fitting blocks is handed out is not part of the contract; the policy is to
 *    fill up what is nearly full, so that what is nearly empty becomes whole.
 *  - Port primitives: pin, interrupt masks, spinlock, light and heavy fence, relax, relaxed,
 *    acquire and release accesses, event.
 *
 * Source: Knowlton 1965 (buddies); Wrenger et al., LLFree, USENIX ATC 2023 (fullest first).
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
#define ASH_BUDDY_FRAME_LIMIT   (UINT64_C(1) << 52) /* frame numbers are below this */
#define ASH_BUDDY_PAGES_MAX     (UINT64_C(1) << 40) /* frames of all regions together: 4 PiB */
#define ASH_BUDDY_STORAGE_ALIGN 8u                  /* bytes; what `storage` must be aligned to */
#define ASH_BUDDY_CACHED_MAX    16384u              /* frames that a CPU's cache holds at most */

/* Types */

struct ash_buddy_region {
    ash_pfn_t first;    /* any frame number */
    uint64_t len_pages; /* at least 1 */
};

/* Blocks that nobody can move are kept together, so that the rest can become whole again. */
enum ash_buddy_hint {
    ASH_BUDDY_MOVABLE = 0,   /* user pages, caches: whoever holds it could move or drop it */
    ASH_BUDDY_UNMOVABLE = 1, /* slabs, page tables, DMA buffers */
};

/* Read by storage_size and init alone; need not live longer. */
struct ash_buddy_config {
    const struct ash_buddy_region *regions; /* sorted by `first`, not overlapping */
    uint32_t region_count;                  /* at least 1 */
    bool hardened;   /* a byte a frame; frames cost five times, blocks twice as much */
    bool interrupts; /* callable from interrupt handlers: masks them for each call */
    /* Low-memory call, at the end of an allocation, no lock held, not pinned; may use this buddy.
     * Once when fewer than low_pages are free, again after more than high_pages were. Frames in
     * CPUs' caches count as used here. high_pages >= low_pages; low_pages 0: never. */
    uint64_t low_pages, high_pages;
    void (*low)(void *context, uint64_t free_pages);
    void *context;
};

struct ash_buddy_stats {
    uint64_t total_pages;
    uint64_t free_pages;      /* frames in CPUs' caches included */
    uint64_t cached_pages;    /* of these, in CPUs' caches */
    uint64_t used_pages;      /* in allocated blocks */
    uint64_t reserved_pages;  /* in reserved ranges; total = free + used + reserved */
    uint64_t peak_used_pages; /* seen at exchanges with caches: may miss as much as they hold */
    uint64_t failed_allocs;   /* calls that returned -ASH_ENOMEM */
    uint64_t free_blocks[ASH_BUDDY_ORDERS]; /* by order, largest first; caches aside */
    int32_t largest_free_order;             /* -1: nothing is free outside caches */
    /* By order, 0..1000: the share of free_pages that lies in no free block of that order, in
     * thousandths; 0 if nothing is free. */
    uint32_t fragmentation_permille[ASH_BUDDY_ORDERS];
};

enum { ASH_BUDDY__STACK_MAX = 15, ASH_BUDDY__CLAIMS_MAX = 32, ASH_BUDDY__FREED_MAX = 40 };
enum { ASH_BUDDY__LEVELS_MAX = 6 }; /* private to lib/buddy, as all here; here for sizeof */
struct ash_buddy_bits {             /* some frames of word number `word` of the map */
    uint64_t word, bits;
};
struct ash_buddy_claim { /* the claimed word that a CPU allocates frames from */
    ash_pfn_t hot;       /* the next frame, of any word, or NOWHERE; then those in `held` */
    uint64_t held;
    ash_pfn_t first;
    uint64_t *word;
    uint64_t barred; /* in no region, or in a stack when the word's turn came */
};
struct ash_buddy_stack { /* freed blocks of one order and hint, to be allocated again */
    uint64_t count;
    ash_pfn_t blocks[ASH_BUDDY__STACK_MAX];
};
struct ash_buddy_cpu {     /* 4 KiB: its address is a shift */
    uint32_t busy, closed; /* its CPU is inside; not 0: go to the slow path */
    struct ash_buddy_claim claim[2];
    uint32_t freed_count, stacked_pages;
    uint32_t claim_count[2], claim_at[2], claimed_pages[2];
    struct ash_buddy_bits claims[2][ASH_BUDDY__CLAIMS_MAX];
    struct ash_buddy_stack stacks[18]; /* by hint, then order 0..8 */
    uint64_t freed_words;              /* bit word % 64: `freed` may have that word */
    struct ash_buddy_bits freed[ASH_BUDDY__FREED_MAX];
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));
struct ash_buddy_span {
    ash_pfn_t first;
    uint64_t len_pages;
    uint64_t word_bias;   /* first / 64 of a word's frames, less its place in the map */
    uint64_t chunk_first; /* place of its first chunk */
};
struct ash_buddy {
    struct ash_buddy_cpu cpus[ASH_PORT_CPUS_MAX];
    uint32_t nonempty; /* a bit a set of chunks */
    uint32_t span_count;
    struct ash_buddy_span *spans;
    uint64_t *words, *orders, *sets;
    uint8_t *classes, *state;
    struct ash_spinlock lock __attribute__((aligned(ASH_PORT_CACHE_LINE)));
    uint64_t clash; /* the place of a double free, to be reported */
    uint64_t chunk_count, level_count, level_at[ASH_BUDDY__LEVELS_MAX];
    uint64_t total_pages, map_pages, claimed_pages, reserved_pages, peak_used_pages, failed_allocs;
    uint64_t low_pages, high_pages;
    void (*low)(void *context, uint64_t free_pages);
    void *context;
    bool interrupts, low_armed;
};

/* Life */

/*
 * The bytes of storage that `config`, not NULL, needs; 0 for an invalid one: no region, a region
 * that is empty, not above its predecessor's end, or past ASH_BUDDY_FRAME_LIMIT, more than
 * ASH_BUDDY_PAGES_MAX frames in all, high_pages below low_pages, low_pages without low(). A region
 * takes 32 bytes, and 75.5 each 512 frames it has a part of (38.7 KB a GiB; hardened 512 more).
 */
size_t ash_buddy_storage_size(const struct ash_buddy_config *config) ASH_MUST_CHECK;

/*
 * Makes all frames of all regions free. `storage` is the buddy's for as long as it is used; there
 * is nothing to undo. -ASH_EINVAL: invalid config, or storage NULL, misaligned or too small;
 * nothing has been written then. O(frames), a few stores for 512.
 */
int ash_buddy_init(struct ash_buddy *buddy, const struct ash_buddy_config *config, void *storage,
                   size_t storage_bytes) ASH_MUST_CHECK;

/* Blocks */

/*
 * Allocates a block of 2^order frames, order 0..18, and stores its first frame number in *first.
 * -ASH_ENOMEM: no such block is free; -ASH_EINVAL: order or hint out of range. Orders 0 to 8: a few
 * loads and stores, most of the time. Orders above 9 look through a bit a 512 frames, locked.
 */
int ash_buddy_alloc(struct ash_buddy *buddy, uint32_t order, enum ash_buddy_hint hint,
                    ash_pfn_t *first) ASH_MUST_CHECK;

/*
 * Frees an allocated block; `first` and `order` are what the allocation gave and took. Anything
 * else is a broken contract, see Rules. (Without `hardened`: parts of a block may be freed, and
 * neighbours together.) As above, or O(cache) locked; orders above 8 O(2^order / 64), locked.
 */
void ash_buddy_free(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order);

/*
 * Allocates the block that starts at `first`. -ASH_EBUSY: not all of its frames are free (known
 * only when all caches have been given back: a heavy fence each time); -ASH_EINVAL: order out of
 * range, `first` not aligned to it, or not inside one region.
 */
int ash_buddy_alloc_at(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) ASH_MUST_CHECK;

/*
 * Allocates the lowest free block of 2^order frames inside [from, end), caches left alone. To walk
 * over free memory in pieces (to give it back to a host, to scrub it), go on behind each piece.
 * -ASH_ENOENT: there is none, which no statistic counts; -ASH_EINVAL: order out of range. Looks
 * through the map from `from` on, O((end - from) / 64), under the lock.
 */
int ash_buddy_alloc_from(struct ash_buddy *buddy, ash_pfn_t from, ash_pfn_t end, uint32_t order,
                         ash_pfn_t *first) ASH_MUST_CHECK;

/* Ranges */

/*
 * Takes the frames [first, first + len_pages) out of use: a kernel image, a boot table, a bad DIMM.
 * -ASH_EBUSY: not all are free, as in alloc_at; nothing has changed then. -ASH_EINVAL: len_pages 0
 * or the range is not inside one region. O(len_pages / 64), under the lock.
 */
int ash_buddy_reserve(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages) ASH_MUST_CHECK;

/*
 * Reserves some run of len_pages free frames, in one region, that starts at a multiple of
 * align_pages (a power of two), and stores its start in *first. -ASH_ENOMEM: there is none;
 * -ASH_EINVAL: len_pages 0, align_pages not a power of two. O(frames / 64), under the lock.
 */
int ash_buddy_reserve_run(struct ash_buddy *buddy, uint64_t len_pages, uint64_t align_pages,
                          ash_pfn_t *first) ASH_MUST_CHECK;

/*
 * Makes reserved frames free: a part of a range, or several that touch. One that is free, in no
 * region, or (hardened) not reserved is a broken contract: ash_panic. O(len_pages / 64), locked.
 */
void ash_buddy_release(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages);

/* Caches */

/* Gives back what this CPU's cache holds (before it idles or goes offline), O(cache) locked; what
 * all CPUs' do, whatever those are at meanwhile: that for each CPU, and a heavy fence. */
void ash_buddy_drain(struct ash_buddy *buddy);
void ash_buddy_drain_all(struct ash_buddy *buddy);

/* Statistics */

/* Frames that are free now, caches included. O(CPUs), no lock: exact while nobody else is busy. */
uint64_t ash_buddy_free_pages(const struct ash_buddy *buddy);

/* O(frames / 64) without the lock, O(CPUs) under it: exact while nobody else is busy. */
void ash_buddy_get_stats(struct ash_buddy *buddy, struct ash_buddy_stats *stats);

/* Checker */

/*
 * NULL, or the first invariant of DESIGN.md that does not hold, as "I4: ...". Keeps all CPUs out,
 * for O(frames); hardened: only while no other call is under way. Reads nothing outside the
 * storage, whatever that holds.
 */
const char *ash_buddy_check(struct ash_buddy *buddy) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
