/* SPDX-License-Identifier: MIT */
/*
 * heap.h: memory by size, for any kernel code: a slab cache for each size class; what is larger
 * than the largest class takes whole pages from the page source.
 *
 * Rules
 *  - As in slab.h: any CPU, no memory is NULL and never a panic; not from interrupt handlers,
 *    unless flags say so (ASH_SLAB_INTERRUPTS); a large block then is one call of the page source
 *    from the handler, which lib/buddy wants to be told (`interrupts`).
 *  - Alignment: the largest power of two that divides the class, or the block of pages. So a size
 *    that is a power of two is aligned to itself.
 *  - ash_kfree, ash_ksize and ash_krealloc take any value of a pointer and ask the page map before
 *    they read through it: what is not this heap's (foreign, inside of a large block, a cache's
 *    object, another heap's) panics at once with a message that says what it is. Inside of the
 *    heap's own slabs a pointer that is no object, and a double free, are found as slab.h says for
 *    the profile: at the free in a hardened heap, later in a plain one.
 *  - The small path takes no lock and counts nothing of its own; large blocks are counted by
 *    atomic additions.
 *  - Port primitives: those of slab.h.
 *
 * Classes
 *
 *     ASH_HEAP_SIX    16 32 64 128 256 512; from 9 bytes up, less than half is rounding
 *     ASH_HEAP_FINE   16 32 48 64 80 96 112 128, then four a doubling: 160 192 224 256, 320 384
 *                     448 512 ... 5120 6144 7168 8192; above 64 bytes less than a fifth is
 *     larger          whole pages, a power of two of them; so with SIX 513 bytes take a page
 *
 * Two heaps may share a source. The page map's entry of a large block has room for 9 bits of the
 * heap that it belongs to: one heap takes another's block for its own only where their first
 * caches' numbers differ by a multiple of 512, which a source of up to 512 caches does not have.
 */
#ifndef ASHLAR_HEAP_H
#define ASHLAR_HEAP_H

#include <ashlar/slab.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ash_heap_classes {
    ASH_HEAP_SIX = 0,
    ASH_HEAP_FINE = 1, /* less waste inside of objects, more caches */
};

#define ASH_HEAP_CLASSES_SIX  6u
#define ASH_HEAP_CLASSES_FINE 32u
/* Bytes of the largest class. */
#define ASH_HEAP_SIX_MAX  512u
#define ASH_HEAP_FINE_MAX 8192u

/* Empty slabs that each class keeps. */
#define ASH_HEAP_EMPTY_MAX 2u

struct ash_heap_config {
    struct ash_page_source *source; /* kept; not NULL */
    enum ash_heap_classes classes;
    uint32_t flags; /* enum ash_slab_flags, of all its caches */
    uint64_t seed;  /* as in struct ash_slab_config; each class has an order of its own */
    const struct ash_slab_trace *trace; /* debug: kept; may be NULL */
};

/* Private, but for sizeof. */
struct ash_heap {
    /* Constant after init: what a free needs, in one cache line. */
    uintptr_t base;      /* the source's range */
    uint64_t len_pages;  /* of it */
    const uint16_t *map; /* the source's: an entry a page */
    struct ash_slab_cache *caches;
    uint32_t class_count;
    uint32_t first_id; /* class n is cache number first_id + n of the source */
    size_t small_max;  /* bytes of the largest class */
    struct ash_page_source *source;
    bool interrupts;
    struct ash_slab_cache *cache_for[ASH_HEAP_FINE_MAX / 16 + 1]; /* by size / 16, rounded up */

    /* Large blocks. The counts are atomic, each for itself. */
    struct ash_spinlock large_lock __attribute__((aligned(ASH_PORT_CACHE_LINE)));
    uint64_t large_allocations;
    uint64_t large_frees, large_failures;
    uint64_t large_bytes, large_peak_bytes;
};

/* Storage for a heap's caches, aligned to ASH_PORT_CACHE_LINE; it grows with the port's CPUs: with
 * lines of 64 bytes SIX takes 11 KiB and FINE 58 for 8 CPUs, 53 and 282 for 64, 197 and 1050 for
 * 256. */
#define ASH_HEAP_STORAGE_SIX  (ASH_HEAP_CLASSES_SIX * sizeof(struct ash_slab_cache))
#define ASH_HEAP_STORAGE_FINE (ASH_HEAP_CLASSES_FINE * sizeof(struct ash_slab_cache))

/* One of the two above; 0 for a config that is NULL or whose classes are neither. */
size_t ash_heap_storage_size(const struct ash_heap_config *config) ASH_MUST_CHECK;

/*
 * Makes an empty heap; takes no page yet. heap: uninitialised memory. storage: of
 * ash_heap_storage_size bytes at least, the heap's until fini. Takes one cache number of the source
 * for each class. -ASH_EINVAL: config, or storage NULL, misaligned or too small; -ASH_ENOSPC: not
 * as many numbers in a row left at the source. Then *heap and the storage are uninitialised memory
 * again, whatever was written there.
 */
int ash_heap_init(struct ash_heap *heap, const struct ash_heap_config *config, void *storage,
                  size_t storage_bytes) ASH_MUST_CHECK;

/* Gives all slabs and cache numbers back. -ASH_EBUSY: something is still allocated (a debug heap
 * tells trace's leak what, large blocks aside); nothing is lost, go on using it. No other call on
 * the heap may run meanwhile. O(slabs). */
int ash_heap_fini(struct ash_heap *heap) ASH_MUST_CHECK;

/*
 * size bytes, contents indeterminate; NULL: no memory, which any size may meet, up to SIZE_MAX.
 * size 0 is an object like any other, of the smallest class. O(1) up to the largest class, beyond
 * it the cost of the page source, and up to half of the block is rounding.
 */
void *ash_kmalloc(struct ash_heap *heap, size_t size) ASH_MUST_CHECK;

/* The same, zeroed up to ash_ksize. */
void *ash_kzalloc(struct ash_heap *heap, size_t size) ASH_MUST_CHECK;

/* An array: count * size bytes, zeroed up to ash_ksize; NULL also where the product is more than
 * SIZE_MAX. count or size 0: a smallest object. */
void *ash_kcalloc(struct ash_heap *heap, size_t count, size_t size) ASH_MUST_CHECK;

/*
 * The allocation at `pointer`, of `size` bytes from now on: the contents up to the smaller of the
 * two sizes are kept, what is new is indeterminate. pointer NULL: as ash_kmalloc. size 0: as for
 * size 1, nothing is freed. Panics where ash_kfree would.
 *
 * The pointer stays as it is where the block holds `size` bytes and is at most twice as large as a
 * new one would be; else the contents move. NULL: no memory for growing; the old allocation is
 * untouched. A shrink never fails: without memory for the smaller block the larger one stays.
 * O(bytes copied).
 */
void *ash_krealloc(struct ash_heap *heap, void *pointer, size_t size) ASH_MUST_CHECK;

/* Takes back what the functions above returned; NULL is harmless; panics on all else. */
void ash_kfree(struct ash_heap *heap, void *pointer);

/* Bytes that the allocation at `pointer` may use, at least what was asked for; 0 for NULL; panics
 * where ash_kfree would, on a misaligned pointer in any profile. */
size_t ash_ksize(struct ash_heap *heap, const void *pointer) ASH_MUST_CHECK;

/* False: no allocation of this heap, for it lies outside of the source's range. Any pointer. */
static inline bool ash_heap_spans(const struct ash_heap *heap, const void *pointer) {
    return ((uintptr_t)pointer - heap->base) >> ASH_PAGE_SHIFT < heap->len_pages;
}

/*
 * ash_kmalloc and ash_kfree compiled into the caller, same behaviour; for a size that is constant
 * the class is one load. They tie the caller to this version's structs.
 */
static inline void *ash_kmalloc_inline(struct ash_heap *heap, size_t size) ASH_MUST_CHECK;
static inline void ash_kfree_inline(struct ash_heap *heap, void *pointer);

/* ash_slab_cache_flush, _shrink and _reap on every class; the number of slabs that went back. */
void ash_heap_flush(struct ash_heap *heap);
uint32_t ash_heap_shrink(struct ash_heap *heap);
uint32_t ash_heap_reap(struct ash_heap *heap);

/* 6 or 32. */
uint32_t ash_heap_class_count(const struct ash_heap *heap);

/* The cache of class `index`, smallest first; NULL from ash_heap_class_count on. For its
 * statistics: objects come and go by ash_kmalloc and ash_kfree. */
struct ash_slab_cache *ash_heap_cache(struct ash_heap *heap, uint32_t index);

struct ash_heap_stats {
    uint64_t large_allocations, large_frees; /* calls */
    uint64_t large_failures;                 /* no memory, or a size beyond every block */
    uint64_t large_bytes, large_peak_bytes;  /* out now and at most, rounded up as they are held */
    uint64_t small_bytes;                    /* out now, by class size */
    uint64_t slab_bytes; /* held by the caches: slabs, empty ones too, and magazines */
};

/* Each figure for itself is exact; together they are one moment's only while no other call runs. */
void ash_heap_get_stats(struct ash_heap *heap, struct ash_heap_stats *stats);

/* The first broken invariant, of any class (DESIGN.md) or of the heap (HEAP.md), or NULL. O(pages
 * of the source + slabs); no other call on the heap may run meanwhile. */
const char *ash_heap_check(struct ash_heap *heap) ASH_MUST_CHECK;

/* Inline forms */

/* Sizes above the largest class. */
void *ash__heap_alloc_large(struct ash_heap *heap, size_t size);

/* What is in no slab of the heap: NULL, a large block, or wrong. */
void ash__heap_free_other(struct ash_heap *heap, void *pointer);

/* site: as in slab.h's fast paths. */
static inline ASH_MUST_CHECK void *ash__heap_alloc_fast(struct ash_heap *heap, size_t size,
                                                        const void *site) {
    if (ASH_UNLIKELY(size > heap->small_max))
        return ash__heap_alloc_large(heap, size);
    return ash__slab_alloc_fast(heap->cache_for[(size + 15) / 16], site);
}

/*
 * Where the time goes: the next allocation of the class waits for the address that this free stores
 * to, which is known only after pointer, map, class, CPU's line. So what does not depend on the
 * pointer is added up beside that chain: the CPU's line of class 0, to which the distance of the
 * class is added last. The empty assembly keeps the compiler from another order.
 */
static inline void ash__heap_free_fast(struct ash_heap *heap, void *pointer, const void *site) {
    uint64_t page = ((uintptr_t)pointer - heap->base) >> ASH_PAGE_SHIFT;
    uint32_t index = UINT32_MAX, cpu;
    if (ASH_LIKELY(page < heap->len_pages))
        index = ash_load_relaxed(&heap->map[page]) - heap->first_id;
    if (ASH_UNLIKELY(index >= heap->class_count)) {
        ash__heap_free_other(heap, pointer);
        return;
    }
    ash_port_pin(&cpu);
    char *line = (char *)&heap->caches->cpus[cpu];
    __asm__("" : "+r"(line));
    line += index * sizeof(struct ash_slab_cache);
    ash__slab_free_pinned(&heap->caches[index], (struct ash__slab_cpu *)(void *)line, pointer,
                          site);
}

static inline void *ash_kmalloc_inline(struct ash_heap *heap, size_t size) {
    return ash__heap_alloc_fast(heap, size, NULL);
}

static inline void ash_kfree_inline(struct ash_heap *heap, void *pointer) {
    ash__heap_free_fast(heap, pointer, NULL);
}

#ifdef __cplusplus
}
#endif

#endif
