/* SPDX-License-Identifier: MIT */
/*
 * slab.h: caches of equal objects. A cache takes blocks of pages (slabs) from a page source, cuts
 * each into objects of one size, and hands them out and takes them back in O(1).
 *
 * Rules
 *  - Any number of CPUs may use a cache at once: it has its own lock, taken for some tens of
 *    instructions and never held over a call of the page source or of init and fini.
 *  - Not from interrupt handlers: the lock does not mask interrupts.
 *  - No memory is a value (NULL), never a panic.
 *  - A free that is wrong in any way panics at once, with a message that names the cache, the
 *    pointer and what it is: a double free, a pointer into the middle of an object, an object of
 *    another cache, a large block, memory that was never the cache's. Nothing is read through the
 *    pointer before the page map has said whose it is.
 *  - A free object is not written to: no link, no poison. What init made of it stays.
 *  - The caller owns struct ash_slab_cache and keeps it in place until fini.
 *  - Port primitives: pin, spinlock, event.
 *
 * Sources: Bonwick, "The Slab Allocator", USENIX Summer 1994 (slabs, object caching, the bound of
 * 1/8 on waste); Bonwick and Adams, "Magazines and Vmem", USENIX 2001.
 *
 *     slab: 2^order pages, aligned to their size
 *     +--------+------------------+----------+----------+--   --+----------+-------+
 *     | header | bitmap: 1 = free | object 0 | object 1 |  ...  | object n | waste |
 *     +--------+------------------+----------+----------+--   --+----------+-------+
 *     ^ pointer & ~(slab size - 1): the header of any object is found by masking
 *
 * Init and fini
 *
 *    Objects often have a state that every user sets up and leaves behind again: a lock that is
 *    unlocked, a list that is empty. `init` sets it up once, when the object's slab is made, long
 *    before the first ash_slab_alloc returns it; it is NOT called by each ash_slab_alloc. Who frees
 *    an object gives it back in that state, and the next ash_slab_alloc returns it so. `fini`
 *    undoes it when the slab goes back to the page source. The names are those of FreeBSD's UMA.
 */
#ifndef ASHLAR_SLAB_H
#define ASHLAR_SLAB_H

#include <ashlar/base.h>
#include <ashlar/error.h>
#include <ashlar/list.h>
#include <ashlar/page_source.h>
#include <ashlar/port.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits */
#define ASH_SLAB_SIZE_MAX        8192u  /* bytes of an object */
#define ASH_SLAB_ALIGN_MIN       8u     /* bytes; a smaller alignment is rounded up to it */
#define ASH_SLAB_ALIGN_MAX       8192u  /* bytes */
#define ASH_SLAB_BYTES_DEFAULT   32768u /* bytes of a slab, header included */
#define ASH_SLAB_BYTES_MAX       65536u
#define ASH_SLAB_EMPTY_MAX_LIMIT 1024u               /* slabs */
#define ASH_SLAB_OBJECTS_MAX     (UINT32_C(1) << 31) /* of one cache; beyond it, no memory */

struct ash_slab_config {
    const char *name;   /* for messages and tables; kept, not copied; not NULL */
    size_t size_bytes;  /* of an object, 1..ASH_SLAB_SIZE_MAX */
    size_t align_bytes; /* power of two up to ASH_SLAB_ALIGN_MAX; 0: ASH_SLAB_ALIGN_MIN */

    /* Power of two, ASH_PAGE_SIZE..ASH_SLAB_BYTES_MAX; 0: ASH_SLAB_BYTES_DEFAULT. A wish: where a
     * slab of this size would waste more than 1/8, the next larger one that does not is taken.
     * Larger: fewer calls of the page source. Smaller: less memory held by a cache of few
     * objects. */
    size_t slab_bytes;

    /* See "Init and fini" above. Called without a lock held; may use other caches, not this one.
     * Either may be NULL. init: 0 or a negative error: then the slab is not made, and fini runs on
     * those of its objects that init had done. */
    int (*init)(void *object, void *context);
    void (*fini)(void *object, void *context);
    void *context; /* passed through */

    /* Slabs without an object that are kept for the next allocations; the rest goes back. 0: none
     * is kept, but for the slab in use. At most ASH_SLAB_EMPTY_MAX_LIMIT. */
    uint32_t empty_max;

    struct ash_page_source *source; /* kept; not NULL; outlives the cache */
};

struct ash__slab;

/* Private, but for sizeof. */
struct ash_slab_cache {
    struct ash_spinlock lock; /* protects all that follows it and the headers of all slabs */
    uint32_t used;
    uint32_t peak;
    uint32_t slabs;
    struct ash__slab *active; /* where allocations come from; on none of the three lists; or NULL */
    uint64_t allocations;

    struct ash_list dense;  /* at least half used, 1/16 free or more */
    struct ash_list sparse; /* less than half used, not empty */
    struct ash_list empty;
    struct ash_list all; /* every slab, full ones and the active one too */
    uint32_t empties;
    uint64_t refills, releases, failures;

    /* Constant after init. */
    struct ash_slab_config config;
    uint32_t id;         /* in the page map */
    uint32_t visitors;   /* reclaims that work on it; under the page source's lock */
    uint64_t mask;       /* slab bytes - 1 */
    uint32_t order;      /* slab bytes = 4096 << order */
    uint32_t stride;     /* bytes from one object to the next */
    uint32_t first;      /* offset of object 0 */
    uint32_t objects;    /* per slab */
    uint32_t relist;     /* free objects at which a slab that was full is used again */
    uint32_t half;       /* free objects above which a slab is sparse */
    uint32_t reciprocal; /* ceil(2^32 / stride): offset * reciprocal >> 32 is offset / stride */
};

/*
 * Makes an empty cache; takes no page yet. cache: uninitialised memory.
 * -ASH_EINVAL: a field of config is outside its range; -ASH_ENOSPC: the page source has as many
 * caches as it was made for. O(1), and O(caches of the source).
 */
int ash_slab_cache_init(struct ash_slab_cache *cache,
                        const struct ash_slab_config *config) ASH_MUST_CHECK;

/*
 * Gives every slab back to the page source; fini runs on each object. The cache is then
 * uninitialised memory. -ASH_EBUSY: objects are still out; nothing has changed and the cache goes
 * on working. No other call on the cache may run meanwhile. O(slabs).
 */
int ash_slab_cache_fini(struct ash_slab_cache *cache) ASH_MUST_CHECK;

/*
 * An object in the state that init made (without init: indeterminate), aligned as configured; NULL:
 * the page source has nothing left, init failed, or the cache is at its limit. O(1); when a slab
 * must be made, one call of the page source and one of init per object in it; when there is none,
 * O(slabs).
 */
void *ash_slab_alloc(struct ash_slab_cache *cache) ASH_MUST_CHECK;

/*
 * Takes back what ash_slab_alloc of the same cache returned, in the state that init made. Panics on
 * anything else, NULL included. O(1); may give one empty slab back to the page source.
 */
void ash_slab_free(struct ash_slab_cache *cache, void *object);

/*
 * Gives every slab without an object back to the page source and returns how many there were.
 * O(slabs that go).
 */
uint32_t ash_slab_cache_shrink(struct ash_slab_cache *cache);

/* Statistics: one consistent snapshot, taken under the lock. O(1). */
struct ash_slab_stats {
    const char *name;
    uint32_t size_bytes;       /* as configured */
    uint32_t stride_bytes;     /* with the padding that alignment asks for */
    uint32_t slab_bytes;       /* of one slab */
    uint32_t objects_per_slab; /* 1 or more */
    uint32_t waste_bytes;      /* per slab, not usable by objects: header, bitmap, tail */
    uint32_t slabs;            /* held now */
    uint32_t empties;          /* of these, without an object, but for the slab in use */
    uint32_t used, peak;       /* objects out now, and at most at any time */
    uint64_t allocations, frees;
    uint64_t refills, releases; /* slabs taken from and given back to the page source */
    uint64_t failures;          /* allocations that found no memory */
};
void ash_slab_cache_get_stats(struct ash_slab_cache *cache, struct ash_slab_stats *stats);

/*
 * Full audit: the first invariant of DESIGN.md that does not hold ("I3: ..."), or NULL. O(slabs *
 * bitmap), under the lock.
 */
const char *ash_slab_cache_check(struct ash_slab_cache *cache) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
