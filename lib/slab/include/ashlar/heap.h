/* SPDX-License-Identifier: MIT */
/*
 * heap.h: memory by size, for any kernel code: six slab caches of 16, 32, 64, 128, 256 and 512
 * bytes; what is larger goes to the page source.
 *
 * Rules
 *  - As in slab.h: any CPU, not from interrupt handlers, no memory is NULL, a wrong free panics
 *    and says why.
 *  - An object is aligned to its class's size (16 bytes: 16, ..., 512 bytes: 512), a larger one to
 *    its own size rounded up to a power of two, at least a page.
 *  - A free asks before it reads: for every pointer there is the page map says what it points to,
 *    then only is a slab's header read.
 *  - Two heaps over one page source work, but each takes the other's large blocks for its own.
 */
#ifndef ASHLAR_HEAP_H
#define ASHLAR_HEAP_H

#include <ashlar/slab.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_HEAP_CLASSES   6u
#define ASH_HEAP_CLASS_MIN 16u  /* bytes; class n has 16 << n */
#define ASH_HEAP_CLASS_MAX 512u /* bytes; beyond it, whole pages */

/* Empty slabs that each class keeps. */
#define ASH_HEAP_EMPTY_MAX 2u

/* Private, but for sizeof. */
struct ash_heap {
    struct ash_page_source *source;
    uint32_t first_id; /* of the classes' caches, in the page map */
    struct ash_slab_cache caches[ASH_HEAP_CLASSES];
    struct ash_spinlock lock; /* protects what follows */
    uint64_t large_allocations, large_frees, large_failures;
    uint64_t large_bytes, large_peak_bytes;
};

/* Makes an empty heap; takes no page yet. -ASH_EINVAL: source is NULL; -ASH_ENOSPC: the source has
 * not six numbers in a row left for caches. */
int ash_heap_init(struct ash_heap *heap, struct ash_page_source *source) ASH_MUST_CHECK;

/* Gives all slabs back. -ASH_EBUSY: something is still allocated; nothing is lost, go on using it.
 * No other call on the heap may run meanwhile. O(slabs). */
int ash_heap_fini(struct ash_heap *heap) ASH_MUST_CHECK;

/*
 * size bytes, contents indeterminate; NULL: no memory, which any size may meet, up to SIZE_MAX.
 * size 0 is an object like any other (of 16 bytes). O(1) up to ASH_HEAP_CLASS_MAX, beyond it the
 * cost of the page source, and up to half of the block is rounding.
 */
void *ash_kmalloc(struct ash_heap *heap, size_t size) ASH_MUST_CHECK;

/* The same, zeroed up to ash_ksize. */
void *ash_kzalloc(struct ash_heap *heap, size_t size) ASH_MUST_CHECK;

/* Takes back what ash_kmalloc or ash_kzalloc returned; NULL is harmless; panics on all else. */
void ash_kfree(struct ash_heap *heap, void *pointer);

/* Bytes that the allocation at `pointer` may use, at least what was asked for; 0 for NULL; panics
 * where ash_kfree would. */
size_t ash_ksize(struct ash_heap *heap, const void *pointer) ASH_MUST_CHECK;

/* Gives the empty slabs of all classes back; returns how many. */
uint32_t ash_heap_shrink(struct ash_heap *heap);

/* The cache of class `index`, 0..ASH_HEAP_CLASSES-1, smallest first; NULL beyond. For its
 * statistics: objects come and go by ash_kmalloc and ash_kfree. */
struct ash_slab_cache *ash_heap_cache(struct ash_heap *heap, uint32_t index);

struct ash_heap_stats {
    uint64_t large_allocations, large_frees; /* calls */
    uint64_t large_failures;                 /* no memory, or a size beyond every block */
    uint64_t large_bytes, large_peak_bytes;  /* out now and at most, rounded up as they are held */
    uint64_t small_bytes;                    /* out now, by class size */
    uint64_t slab_bytes;                     /* held by the six caches, empty slabs included */
};
void ash_heap_get_stats(struct ash_heap *heap, struct ash_heap_stats *stats);

/* The first broken invariant of any class or of the heap itself, or NULL. */
const char *ash_heap_check(struct ash_heap *heap) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
