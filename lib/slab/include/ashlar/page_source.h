/* SPDX-License-Identifier: MIT */
/*
 * page_source.h: where slabs and large blocks come from, and the page map, which says whose each
 * page is. The owner of the pages (a kernel's glue over its page allocator, a test) gives two
 * operations and the range of addresses; the map is the slab allocator's own.
 *
 * Rules
 *  - The operations are called with no lock of the slab allocator held, from any CPU, several at a
 *    time: the source does its own locking. They must not call back into the cache or heap that
 *    calls them.
 *  - Every block that alloc returns lies in [base, base + len_pages pages). The map costs 2 bytes
 *    for each page of that range, holes included (0.5 MiB a GiB): leave out a bank that lies far
 *    from the others, or give it a source of its own.
 *  - The map answers for every value of a pointer without reading what it points to. So no free
 *    ever reads a header at an address that is not a slab's.
 *  - Port primitives: pin, spinlock, relax, relaxed load and store.
 *
 *     map   | 0 | 3 | 3 | 3 | 3 | 0 | L2 | 0 | 0 | 0 | 7 | 7 | ...      two bytes a page
 *                 a slab of cache 3     head of a large block, 2^2 pages
 *
 * A "page" here is ASH_PAGE_SIZE bytes of memory that the CPU can address; a block is 2^order of
 * them in a row. The idea of one small entry a page instead of a look into the memory itself:
 * Lietar et al., "snmalloc: A Message Passing Allocator", ISMM 2019 (its pagemap).
 */
#ifndef ASHLAR_PAGE_SOURCE_H
#define ASHLAR_PAGE_SOURCE_H

#include <ashlar/base.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits */
#define ASH_PAGE_SOURCE_CACHES_DEFAULT 256u
#define ASH_PAGE_SOURCE_CACHES_MAX     16384u
#define ASH_PAGE_SOURCE_PAGES_MAX      (UINT64_C(1) << 40)
#define ASH_PAGE_SOURCE_STORAGE_ALIGN  8u /* bytes; what `storage` must be aligned to */

struct ash_page_source_ops {
    /* 2^order pages, aligned to their size, contents indeterminate; NULL: none left. order: 0 and
     * up to the largest whose block is not longer than the source's range. */
    void *(*alloc)(void *context, uint32_t order);

    /* Takes back what alloc returned, with the same order. */
    void (*free)(void *context, void *base, uint32_t order);

    /* May be NULL. alloc has returned NULL and the caches have given back what they could spare:
     * the owner may free something else. True: alloc is asked once more. */
    bool (*reclaim)(void *context);
};

struct ash_page_source_config {
    const struct ash_page_source_ops *ops; /* kept; not NULL, nor its alloc and free */
    void *context;                         /* passed through */
    void *base;                            /* page-aligned */
    uint64_t len_pages;                    /* 1..ASH_PAGE_SOURCE_PAGES_MAX */
    uint32_t caches_max;  /* up to ASH_PAGE_SOURCE_CACHES_MAX; 0: ASH_PAGE_SOURCE_CACHES_DEFAULT */
    bool storage_is_zero; /* the storage holds zeroes: init need not write (and touch) all of it */
};

struct ash_slab_cache;

/* Private, but for sizeof. */
struct ash_page_source {
    /* Constant after init. */
    uint16_t *map; /* 0: nobody's; 1..caches_max: a slab of that cache; or a large block's head */
    uintptr_t base;
    uint64_t len_pages;
    const struct ash_page_source_ops *ops;
    void *context;
    uint32_t caches_max;

    struct ash_spinlock lock;       /* protects what follows, and every cache's `visitors` */
    struct ash_slab_cache **caches; /* by number, 1..caches_max; NULL: free */
    uint32_t arrivals_seen; /* of all caches at the last reclaim: magazines that had come to depots
                               and batches that had come to slabs, ever */
};

/*
 * Bytes of storage: two a page and eight a cache, rounded up to eight; 0 for an invalid config:
 * NULL, a field outside its range, a base that is not page-aligned, a range that wraps.
 */
size_t ash_page_source_storage_size(const struct ash_page_source_config *config) ASH_MUST_CHECK;

/*
 * Every page is nobody's. `storage` is the source's for as long as caches or heaps use it; there is
 * nothing to undo. -ASH_EINVAL: invalid config, or storage NULL, misaligned or too small. O(pages),
 * O(1) where storage_is_zero.
 */
int ash_page_source_init(struct ash_page_source *source,
                         const struct ash_page_source_config *config, void *storage,
                         size_t storage_bytes) ASH_MUST_CHECK;

/*
 * The low-memory call, for a kernel to hang on its page allocator's watermark: shrinks every cache
 * of the source (as ash_slab_cache_shrink does) and returns how many pages went back. Not from
 * interrupt handlers; no lock is held while a cache works. A cache with a `fini` whose turn it is
 * already, on another CPU or because its fini has allocated, is passed by: so reclaims nest no
 * deeper than there are such caches. A wrong free that comes to light panics once the cache is
 * left; a debug cache's reports end where they are found, and that cache is then to be used no
 * more. O(caches + slabs).
 */
uint64_t ash_page_source_reclaim(struct ash_page_source *source);

/*
 * The same for the sake of a block of 2^order pages that was refused: caches and heaps call it by
 * themselves, then ask the source once more (those for interrupt handlers do not). For a block
 * larger than any slab it does nothing, and returns 0, if no magazine and no batch of objects has
 * been freed to a depot or to slabs since the last reclaim: for such blocks are refused for
 * fragmentation alone, again and again, by whoever asks, and each reclaim empties the magazines of
 * all CPUs. (So the last objects of a slab that lie in a CPU's own magazines may be missed for such
 * a block.) O(caches) then.
 */
uint64_t ash_page_source_reclaim_for(struct ash_page_source *source, uint32_t order);

/* The map's entry for any pointer. Private: what a free's fast path reads. */
static inline uint16_t ash__source_entry(const struct ash_page_source *source,
                                         const void *pointer) {
    uint64_t page = ((uintptr_t)pointer - source->base) >> ASH_PAGE_SHIFT;
    return page < source->len_pages ? ash_load_relaxed(&source->map[page]) : (uint16_t)0;
}

#ifdef __cplusplus
}
#endif

#endif
