/* SPDX-License-Identifier: MIT */
/*
 * slab.h: caches of equal objects, handed out and taken back in a few nanoseconds by any number of
 * CPUs: magazines per CPU, over a depot that they exchange them through, over slabs of pages.
 *
 * Rules
 *  - Any CPU may call, several at a time. A call works on its CPU's own magazine, without a lock;
 *    once in a magazine's worth of calls it takes a lock, for the time of one exchange or of one
 *    batch of objects to or from the slabs. No lock is held over a call of the page source or a
 *    callback.
 *  - Not from interrupt handlers, unless the cache has ASH_SLAB_INTERRUPTS and its page source can
 *    be called from them too.
 *  - No memory is a value (NULL, -ASH_ENOMEM), never a panic. It is not returned while an object is
 *    free in this CPU's magazines, the depot or the slabs; what other CPUs hold in their magazines
 *    they are asked for at their next way past the fast path.
 *  - A wrong free (a second one, a pointer into the middle of an object, an object of another
 *    cache, memory that was never the cache's) panics, with a message that names the cache, the
 *    pointer and what it is: not at once, but when the pointer comes to the slabs in a batch. Until
 *    then an allocation on that CPU may hand it out again. With ASH_SLAB_HARDENED or ASH_SLAB_DEBUG
 *    the free itself panics. Nothing is read through a pointer before the page map has said whose
 *    it is.
 *  - A free object is not written to: no link; no poison but a debug cache's where there is no
 *    init. What init made of it stays.
 *  - The caller owns struct ash_slab_cache and keeps it in place until fini. It is two cache lines
 *    for each CPU of the port and 0.8 KiB: with lines of 64 bytes 1.8 KiB for 8 CPUs, 8.8 for 64,
 *    33 for 256.
 *  - Port primitives: pin, interrupt mask, spinlock, relax, relaxed and atomic operations, event.
 *
 * Sources: Bonwick, "The Slab Allocator", USENIX Summer 1994 (slabs, object caching, the bound of
 * 1/8 on waste); Bonwick and Adams, "Magazines and Vmem", USENIX 2001 (magazines, depot).
 *
 *     slab: 2^order pages, aligned to their size
 *     +--------+------------------+----------+----------+--   --+----------+-------+
 *     | header | bitmap: 1 = free | object 0 | object 1 |  ...  | object n | waste |
 *     +--------+------------------+----------+----------+--   --+----------+-------+
 *
 * Init and fini, construct and destruct
 *
 *    Objects often have a state that every user sets up and leaves behind again: a lock that is
 *    unlocked, a list that is empty. `init` sets it up once, when the object's slab is made, long
 *    before the first ash_slab_alloc returns it; it is NOT called by each ash_slab_alloc. Who frees
 *    an object gives it back in that state, and the next ash_slab_alloc returns it so. `fini`
 *    undoes it when the slab goes back to the page source.
 *    `construct` runs in each allocation and `destruct` in each free: for what must not last while
 *    the object is free (a reference to something else), at the price of the fast path. FreeBSD's
 *    UMA calls the four init, fini, ctor and dtor.
 */
#ifndef ASHLAR_SLAB_H
#define ASHLAR_SLAB_H

#include <ashlar/error.h>
#include <ashlar/slab_fast.h>
#include <ashlar/slab_trace.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits */
#define ASH_SLAB_SIZE_MAX  8192u /* bytes of an object */
#define ASH_SLAB_ALIGN_MIN 8u    /* bytes; a smaller alignment is rounded up to it */
#define ASH_SLAB_ALIGN_MAX 8192u /* bytes */
/* Bytes of a slab, header included; a page where that is more. */
#define ASH_SLAB_BYTES_DEFAULT   (ASH_PAGE_SHIFT <= 15 ? 32768u : (uint32_t)ASH_PAGE_SIZE)
#define ASH_SLAB_BYTES_MAX       65536u
#define ASH_SLAB_EMPTY_MAX_LIMIT 1024u               /* slabs */
#define ASH_SLAB_DEPOT_MAX       65536u              /* full magazines of a depot */
#define ASH_SLAB_OBJECTS_MAX     (UINT32_C(1) << 31) /* of one cache; beyond it, no memory */

enum ash_slab_flags {
    ASH_SLAB_HARDENED = 1, /* every wrong free is refused by the free itself; random order */
    ASH_SLAB_DEBUG = 2,    /* and poison, red zones, owners, call sites, quarantine; slow */

    /* Used from interrupt handlers too: masks them instead of pinning; does not ask other caches
     * for memory. The page source is then called from handlers: over lib/buddy this wants an
     * instance with `interrupts`, which masks them in all of its calls. */
    ASH_SLAB_INTERRUPTS = 4,
};

struct ash_slab_config {
    const char *name;   /* for messages and tables; kept, not copied; not NULL */
    size_t size_bytes;  /* of an object, 1..ASH_SLAB_SIZE_MAX */
    size_t align_bytes; /* power of two up to ASH_SLAB_ALIGN_MAX; 0: ASH_SLAB_ALIGN_MIN */

    /* Power of two, ASH_PAGE_SIZE..ASH_SLAB_BYTES_MAX; 0: ASH_SLAB_BYTES_DEFAULT. A wish: where a
     * slab of this size would waste more than 1/8, the next larger one that does not is taken. */
    size_t slab_bytes;
    uint32_t flags; /* enum ash_slab_flags */

    /* Objects of a magazine, 1..ASH_SLAB_MAGAZINE_MAX; 0: 118 for objects of up to 256 bytes, 62 up
     * to 1024, 30 up to 2048, 14 beyond. Each CPU that uses the cache holds two magazines. */
    uint32_t magazine_objects;
    uint32_t depot_magazines; /* full ones kept, 1..ASH_SLAB_DEPOT_MAX; 0: two a CPU of the port */
    uint32_t empty_max;       /* slabs without an object kept, beside the one in use; 0 is none */

    /* See above. Without a lock held; may use other caches, not this one; each may be NULL. init: 0
     * or a negative error: then the slab is not made, and fini runs on those of its objects that
     * init had done. construct: not 0: the object goes back and the allocation returns NULL. fini
     * must not allocate: it runs because memory is short, and would come back to itself. */
    int (*init)(void *object, void *context);
    void (*fini)(void *object, void *context);
    int (*construct)(void *object, void *context);
    void (*destruct)(void *object, void *context);
    void *context; /* passed through */

    uint64_t seed;                      /* hardened: of the random order; 0: same at each start */
    uint32_t quarantine_objects;        /* debug: freed ones kept; 0: ASH_SLAB_QUARANTINE_DEFAULT */
    const struct ash_slab_trace *trace; /* debug: slab_trace.h; kept; NULL: only call sites */
    struct ash_page_source *source;     /* kept; not NULL; outlives the cache */
};

/*
 * Makes an empty cache; takes no page yet. cache: uninitialised memory, and so it is again after a
 * failure. -ASH_EINVAL: config is NULL or a field of it outside its range; -ASH_ENOSPC: the page
 * source has as many caches as it was made for. O(CPUs), and O(caches of the source).
 */
int ash_slab_cache_init(struct ash_slab_cache *cache,
                        const struct ash_slab_config *config) ASH_MUST_CHECK;

/*
 * Empties every CPU's magazines and gives every slab back to the page source. The cache is then
 * uninitialised memory. -ASH_EBUSY: objects are still out; the cache goes on working. No other call
 * on the cache may run meanwhile. O(slabs + objects in magazines).
 */
int ash_slab_cache_fini(struct ash_slab_cache *cache) ASH_MUST_CHECK;

/*
 * An object in the state that init or construct made (else indeterminate), aligned as configured;
 * NULL: no memory, construct refused, or the cache is at its limit. O(1) but once in a magazine's
 * worth of calls, when it is O(objects of a magazine), or a slab is made: one call of the page
 * source and one of init an object. Where there is no page: ash_page_source_reclaim, and once
 * O(slabs) in short pieces, to list the last free objects.
 *
 * The _inline forms (slab_fast.h) do the same within the caller's code, which is then compiled for
 * this very version of the library.
 */
void *ash_slab_alloc(struct ash_slab_cache *cache) ASH_MUST_CHECK;

/* Takes back what an allocation from the same cache returned, in the state that init made. Anything
 * else is a wrong free (see Rules), NULL included. O(1), or as above. */
void ash_slab_free(struct ash_slab_cache *cache, void *object);

/*
 * `count` objects at once, all or none; 0 is none. -ASH_ENOMEM: no memory, or construct refused
 * one; `objects` is then indeterminate. Freed, they may come from several allocations, in any
 * order. O(count): a magazine's pointers are copied at once; with callbacks, masked interrupts or a
 * profile, what as many single calls cost.
 */
int ash_slab_alloc_bulk(struct ash_slab_cache *cache, void **objects,
                        uint32_t count) ASH_MUST_CHECK;
void ash_slab_free_bulk(struct ash_slab_cache *cache, void *const *objects, uint32_t count);

/* Objects set aside for a section that must not fail; begins as all zeroes; one user at a time.
 * They count as used. */
struct ash_slab_reserve {
    uint32_t count; /* read only */
    struct ash__slab_magazine *magazines;
};

/* Tops the reserve up to `count` objects. -ASH_ENOMEM: it holds fewer, and what it holds stays. A
 * reserve of 0 objects holds no memory, and need not be given back. */
int ash_slab_prefill(struct ash_slab_cache *cache, struct ash_slab_reserve *reserve,
                     uint32_t count) ASH_MUST_CHECK;

/* An object of the reserve, to be freed like any other. Never NULL: panics when none is left. O(1).
 */
void *ash_slab_alloc_reserved(struct ash_slab_cache *cache,
                              struct ash_slab_reserve *reserve) ASH_MUST_CHECK;

/* Gives the rest back. */
void ash_slab_unreserve(struct ash_slab_cache *cache, struct ash_slab_reserve *reserve);

/* Giving memory back */

/* This CPU's magazines to the depot: for a CPU that goes idle or offline. */
void ash_slab_cache_flush(struct ash_slab_cache *cache);

/* What the depot has not needed since the last reap, and all empty slabs; returns how many slabs
 * went back. For a timer. */
uint32_t ash_slab_cache_reap(struct ash_slab_cache *cache);

/* This CPU's magazines, the whole depot, all empty slabs; returns how many slabs went back. The
 * other CPUs empty theirs into the slabs at their next way past the fast path. */
uint32_t ash_slab_cache_shrink(struct ash_slab_cache *cache);

/* Statistics. Exact while no other call runs. Else `used`, `cached` and `frees`, which are sums
 * over CPUs, may be off by what goes from one place to another meanwhile; `peak` rises only when
 * two sums in a row say so. */
struct ash_slab_stats {
    const char *name;
    uint32_t size_bytes;       /* as configured */
    uint32_t stride_bytes;     /* with the padding that alignment asks for */
    uint32_t slab_bytes;       /* of one slab */
    uint32_t objects_per_slab; /* 1 or more */
    uint32_t first_bytes;      /* from the slab's base to its first object */
    uint32_t waste_bytes;      /* per slab, not usable by objects: header, bitmap, tail */
    uint32_t flags;            /* as configured */
    uint32_t magazine_objects; /* capacity of a magazine */
    uint32_t slabs;            /* held now */
    uint32_t empties;          /* of these, without an object, but for the slab in use */
    uint32_t used;             /* objects out now */
    uint32_t peak; /* the most seen: when a magazine was filled from the slabs, and in this call */
    uint32_t cached;             /* free objects in magazines, those of the depot too */
    uint64_t magazine_bytes;     /* memory of all magazines */
    uint64_t allocations, frees; /* objects */
    uint64_t hits;               /* allocations out of the CPU's own two magazines */
    uint64_t exchanges;          /* of whole magazines with the depot */
    uint64_t refills, releases;  /* slabs taken from and given back to the page source */
    uint64_t failures;           /* calls that found no memory, or were refused by construct */
};
void ash_slab_cache_get_stats(struct ash_slab_cache *cache, struct ash_slab_stats *stats);

struct ash_slab_cpu_stats {
    uint64_t allocations, hits, exchanges;
    uint32_t cached; /* free objects in its two magazines */
};
/* All zeroes for a CPU that the port does not have. */
void ash_slab_cache_get_cpu_stats(struct ash_slab_cache *cache, uint32_t cpu,
                                  struct ash_slab_cpu_stats *stats);

/* Calls visit with each object that is out, those set aside too. No other call on the cache may run
 * meanwhile, nor may visit make one. O(objects of all slabs). */
void ash_slab_for_each(struct ash_slab_cache *cache, void (*visit)(void *object, void *context),
                       void *context);

/* Full audit: the first invariant of DESIGN.md that does not hold ("I3: ..."), or NULL. No other
 * call on the cache may run meanwhile. O(slabs * bitmap + objects in magazines). */
const char *ash_slab_cache_check(struct ash_slab_cache *cache) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
