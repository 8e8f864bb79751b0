/* SPDX-License-Identifier: MIT */
/*
 * malloc.c: the C library's allocator, by its names: C11 7.22.3, POSIX.1-2017, and what GNU adds.
 * C++'s new and delete come here by way of malloc and free.
 *
 *     up to 8 KiB                        the heap's slab caches     lib/slab
 *     up to 1 GiB                        page blocks of the arena   lib/slab's heap over lib/buddy
 *     beyond, and what grows by realloc  mappings of their own      large.c
 */
#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/checked.h>
#include <errno.h>
#include <string.h>

#include "arena.h"
#include "large.h"
#include "memory.h"
#include "profile.h"
#include "slots.h"

/* A block that grows to this size gets a mapping of its own, which grows without being copied. */
#define REMAPPED_BYTES ((size_t)1 << 22)

/* A mapping of its own that shrinks stays one down to here. */
#define LARGE_KEPT_BYTES ((size_t)1 << 20)

/* The largest power of two. */
#define ALIGN_MAX (SIZE_MAX / 2 + 1)

#define EXPORT __attribute__((visibility("default")))

/* Declared here: <stdlib.h> and <malloc.h> say of some what only holds for the compiler's own. */
EXPORT void *malloc(size_t size);
EXPORT void free(void *pointer);
EXPORT void *calloc(size_t count, size_t size);
EXPORT void *realloc(void *pointer, size_t size);
EXPORT void *reallocarray(void *pointer, size_t count, size_t size);
EXPORT void *aligned_alloc(size_t align, size_t size);
EXPORT int posix_memalign(void **pointer, size_t align, size_t size);
EXPORT void *memalign(size_t align, size_t size);
EXPORT void *valloc(size_t size);
EXPORT void *pvalloc(size_t size);
EXPORT size_t malloc_usable_size(void *pointer);
EXPORT int malloc_trim(size_t pad);

/* The place in the program that called the function in whose body this stands. */
#define CALLER __builtin_return_address(0)

/* caller: what a debug heap notes. */
static bool enter(const void *caller) {
    profile_caller = caller;
    return slots_enter();
}

static void *no_memory(void) {
    errno = ENOMEM;
    return NULL;
}

/* Inside an operation from here to the exported functions. */

/* What the heap cannot have; small objects are its own alone. */
static void *alloc_beyond_heap(size_t size, size_t align) {
    bool whole_pages = size > ASH_HEAP_FINE_MAX || align > ASH_PAGE_SIZE;
    return whole_pages ? large_alloc(size, align) : NULL;
}

/* align: a power of two. An object is aligned to every power of two that divides its size. */
static void *alloc_aligned(size_t size, size_t align) {
    uint64_t rounded;
    if (!ash_align_up_checked(size, align, &rounded) || rounded > PTRDIFF_MAX)
        return NULL;
    if (rounded == 0)
        rounded = align;
    void *pointer = NULL;
    if (rounded <= ARENA_BLOCK_BYTES_MAX)
        pointer = ash_kmalloc(&memory_heap, rounded);
    return pointer != NULL ? pointer : alloc_beyond_heap(rounded, align);
}

static inline void *alloc_from_heap(size_t size) {
    if (ASH_UNLIKELY(size > ARENA_BLOCK_BYTES_MAX))
        return NULL; /* and the heap need not look for it */
    return ash_kmalloc_inline(&memory_heap, size);
}

static void *alloc(size_t size) {
    void *pointer = alloc_from_heap(size);
    return ASH_LIKELY(pointer != NULL) ? pointer : alloc_beyond_heap(size, ASH_PAGE_SIZE);
}

/* Whole pages that come fresh from Linux are not written. */
static void *alloc_zeroed(size_t size) {
    if (size <= ASH_HEAP_FINE_MAX)
        return ash_kzalloc(&memory_heap, size);
    void *pointer = alloc(size);
    if (pointer != NULL && ash_heap_spans(&memory_heap, pointer) && !arena_last_block_is_zero())
        memset(pointer, 0, size);
    return pointer;
}

static size_t usable(void *pointer) {
    if (ash_heap_spans(&memory_heap, pointer))
        return ash_ksize(&memory_heap, pointer);
    size_t size = large_size(pointer);
    ASH_REQUIRE(size != 0, "%p is no block of this allocator", pointer);
    return size;
}

static __attribute__((noinline)) void release_mapping(void *pointer) {
    bool was_large = large_free(pointer);
    ASH_REQUIRE(was_large, "free of %p: it is no block of this allocator", pointer);
}

static inline void release(void *pointer) {
    if (ASH_LIKELY(ash_heap_spans(&memory_heap, pointer)))
        ash_kfree_inline(&memory_heap, pointer);
    else
        release_mapping(pointer);
}

/* Into memory that reads as zeros: pages of zeros are left as they are. Most of what was never
 * written stays so. */
static void copy_pages(char *to, const char *from, size_t size) {
    static const char zeros[ASH_PAGE_SIZE];
    for (size_t at = 0; at < size; at += ASH_PAGE_SIZE) {
        size_t piece = ash_min_u64(size - at, ASH_PAGE_SIZE);
        if (memcmp(from + at, zeros, piece) != 0)
            memcpy(to + at, from + at, piece);
    }
}

/* What has grown once is likely to grow again: from here on Linux moves its pages. */
static void *grow_pages(void *pointer, size_t before, size_t size) {
    void *grown = large_alloc(size, ASH_PAGE_SIZE);
    if (grown == NULL)
        return size <= ARENA_BLOCK_BYTES_MAX ? ash_krealloc(&memory_heap, pointer, size) : NULL;
    copy_pages(grown, pointer, before);
    release(pointer);
    return grown;
}

/* A mapping becomes an object again. */
static void *shrink_mapping(void *pointer, size_t size) {
    void *shrunk = alloc(size);
    if (shrunk == NULL)
        return pointer;
    memcpy(shrunk, pointer, size);
    release(pointer);
    return shrunk;
}

static void *resize(void *pointer, size_t size) {
    if (ASH_LIKELY(ash_heap_spans(&memory_heap, pointer))) {
        size_t before = size < REMAPPED_BYTES ? 0 : usable(pointer);
        if (ASH_LIKELY(size < REMAPPED_BYTES || size <= before))
            return ash_krealloc(&memory_heap, pointer, size);
        return grow_pages(pointer, before, size);
    }
    if (size < usable(pointer) && size <= LARGE_KEPT_BYTES)
        return shrink_mapping(pointer, size);
    return large_resize(pointer, size);
}

/* The exported functions */

/* The two out-of-line functions are reached by tail calls, so their caller is the program. Without
 * optimisation it is this library; on the way here the address would cost each call. */
static __attribute__((noinline)) void *malloc_out_of_line(size_t size) {
    if (!enter(CALLER))
        return no_memory();
    void *pointer = alloc(size);
    slots_leave();
    return pointer != NULL ? pointer : no_memory();
}

static inline void *malloc_inline(size_t size) {
    struct slot *own;
    void *pointer = NULL;
    if (ASH_LIKELY(slots_enter_own(&own))) {
        pointer = alloc_from_heap(size);
        slots_leave_own(own);
    }
    return ASH_LIKELY(pointer != NULL) ? pointer : malloc_out_of_line(size);
}

void *malloc(size_t size) {
    return malloc_inline(size);
}

static __attribute__((noinline)) void free_out_of_line(void *pointer) {
    if (!enter(CALLER))
        return;
    release(pointer);
    slots_leave();
}

static inline void free_inline(void *pointer) {
    struct slot *own;
    if (pointer == NULL)
        return;
    if (ASH_UNLIKELY(!slots_enter_own(&own))) {
        free_out_of_line(pointer);
        return;
    }
    release(pointer);
    slots_leave_own(own);
}

void free(void *pointer) {
    free_inline(pointer);
}

void *calloc(size_t count, size_t size) {
    size_t total;
    if (!ash_mul_size(count, size, &total) || !enter(CALLER))
        return no_memory();
    void *pointer = alloc_zeroed(total);
    slots_leave();
    return ASH_LIKELY(pointer != NULL) ? pointer : no_memory();
}

/* To size 0: freed, as GNU does. */
static void *realloc_for(void *pointer, size_t size, const void *caller) {
    if (pointer == NULL)
        return malloc_inline(size);
    if (size == 0) {
        free_inline(pointer);
        return NULL;
    }
    if (!enter(caller))
        return no_memory();
    void *resized = resize(pointer, size);
    slots_leave();
    return ASH_LIKELY(resized != NULL) ? resized : no_memory();
}

void *realloc(void *pointer, size_t size) {
    return realloc_for(pointer, size, CALLER);
}

void *reallocarray(void *pointer, size_t count, size_t size) {
    size_t total;
    return ash_mul_size(count, size, &total) ? realloc_for(pointer, total, CALLER) : no_memory();
}

/* align: a power of two. */
static void *aligned_for(size_t align, size_t size, const void *caller) {
    if (!enter(caller))
        return NULL;
    void *pointer = alloc_aligned(size, align);
    slots_leave();
    return pointer;
}

/* An alignment that is no power of two is rounded up to one, as glibc 2.36 does in both names. */
static void *memalign_for(size_t align, size_t size, const void *caller) {
    if (align > ALIGN_MAX) {
        errno = EINVAL;
        return NULL;
    }
    size_t power = (size_t)1 << ash_log2_ceil(align);
    void *pointer = aligned_for(power, size, caller);
    return pointer != NULL ? pointer : no_memory();
}

void *aligned_alloc(size_t align, size_t size) {
    return memalign_for(align, size, CALLER);
}

void *memalign(size_t align, size_t size) {
    return memalign_for(align, size, CALLER);
}

int posix_memalign(void **pointer, size_t align, size_t size) {
    if (!ash_is_pow2(align) || align % sizeof(void *) != 0)
        return EINVAL;
    int error = errno;
    void *block = aligned_for(align, size, CALLER);
    errno = error;
    if (block == NULL)
        return ENOMEM;
    *pointer = block;
    return 0;
}

void *valloc(size_t size) {
    return memalign_for(ASH_PAGE_SIZE, size, CALLER);
}

void *pvalloc(size_t size) {
    uint64_t rounded;
    if (!ash_align_up_checked(size, ASH_PAGE_SIZE, &rounded))
        return no_memory();
    return memalign_for(ASH_PAGE_SIZE, rounded, CALLER);
}

size_t malloc_usable_size(void *pointer) {
    if (pointer == NULL || !enter(CALLER))
        return 0;
    size_t size = usable(pointer);
    slots_leave();
    return size;
}

int malloc_trim(size_t pad) {
    (void)pad;
    if (!enter(CALLER))
        return 0;
    bool any = memory_trim();
    slots_leave();
    return any;
}
