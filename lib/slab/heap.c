/* SPDX-License-Identifier: MIT */
/*
 * heap.c: size classes over slab caches, whole pages beyond them.
 */
#include <ashlar/checked.h>
#include <ashlar/heap.h>

#include "slab_internal.h"

static const char *const class_names[ASH_HEAP_CLASSES] = {
    "kmalloc-16", "kmalloc-32", "kmalloc-64", "kmalloc-128", "kmalloc-256", "kmalloc-512"};

int ash_heap_init(struct ash_heap *heap, struct ash_page_source *source) {
    *heap = (struct ash_heap){.source = source};
    ash_spin_init(&heap->lock);
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES; i++) {
        const struct ash_slab_config config = {
            .name = class_names[i],
            .size_bytes = (size_t)ASH_HEAP_CLASS_MIN << i,
            .align_bytes = (size_t)ASH_HEAP_CLASS_MIN << i,
            .empty_max = ASH_HEAP_EMPTY_MAX,
            .source = source,
        };
        int error = ash__slab_cache_prepare(&heap->caches[i], &config);
        if (error != 0)
            return error;
    }
    return ash__source_register(source, heap->caches, ASH_HEAP_CLASSES, &heap->first_id);
}

int ash_heap_fini(struct ash_heap *heap) {
    if (heap->large_bytes != 0)
        return -ASH_EBUSY;
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES; i++) {
        if (heap->caches[i].used != 0)
            return -ASH_EBUSY;
    }
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES; i++) {
        int error = ash_slab_cache_fini(&heap->caches[i]);
        if (error != 0)
            return error;
    }
    return 0;
}

/* Large blocks */

static void lock_heap(struct ash_heap *heap) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    ash_spin_lock(&heap->lock);
}

static void unlock_heap(struct ash_heap *heap) {
    ash_spin_unlock(&heap->lock);
    ash_port_unpin();
}

static size_t block_bytes(uint32_t order) {
    return ASH_PAGE_SIZE << order;
}

static void *alloc_large(struct ash_heap *heap, size_t size) {
    /* SIZE_MAX asks for order 52, which like all that is too large the source does not have. */
    uint32_t bits = ash_log2_ceil(size);
    uint32_t order = bits <= ASH_PAGE_SHIFT ? 0 : bits - ASH_PAGE_SHIFT;
    void *base = ash__source_alloc(heap->source, order, true);
    if (base != NULL)
        ash__source_mark_large(heap->source, base, order);
    lock_heap(heap);
    if (base == NULL) {
        heap->large_failures++;
    } else {
        heap->large_allocations++;
        heap->large_bytes += block_bytes(order);
        if (heap->large_bytes > heap->large_peak_bytes)
            heap->large_peak_bytes = heap->large_bytes;
    }
    unlock_heap(heap);
    return base;
}

static void free_large(struct ash_heap *heap, void *base, uint32_t order) {
    ash__source_mark(heap->source, base, 0, 0);
    lock_heap(heap);
    heap->large_frees++;
    heap->large_bytes -= block_bytes(order);
    unlock_heap(heap);
    ash__source_free(heap->source, base, order);
}

/* Any size */

static struct ash_slab_cache *class_for(struct ash_heap *heap, size_t size) {
    return &heap->caches[size <= ASH_HEAP_CLASS_MIN ? 0 : ash_log2_ceil(size) - 4];
}

void *ash_kmalloc(struct ash_heap *heap, size_t size) {
    if (ASH_LIKELY(size <= ASH_HEAP_CLASS_MAX))
        return ash_slab_alloc(class_for(heap, size));
    return alloc_large(heap, size);
}

/* What ash_ksize will say of a block of `size` bytes. */
static size_t usable_bytes(struct ash_heap *heap, size_t size) {
    if (size <= ASH_HEAP_CLASS_MAX)
        return class_for(heap, size)->stride;
    return size <= ASH_PAGE_SIZE ? ASH_PAGE_SIZE : (size_t)1 << ash_log2_ceil(size);
}

void *ash_kzalloc(struct ash_heap *heap, size_t size) {
    void *pointer = ash_kmalloc(heap, size);
    if (pointer != NULL)
        __builtin_memset(pointer, 0, usable_bytes(heap, size));
    return pointer;
}

/*
 * Whose is it? Returns only for what is the heap's: the cache of one of its slabs, or NULL for a
 * large block, with its order.
 */
static struct ash_slab_cache *identify(struct ash_heap *heap, const void *pointer,
                                       uint32_t *order) {
    uint32_t entry = ash__source_entry(heap->source, pointer);
    if (entry - heap->first_id < ASH_HEAP_CLASSES)
        return &heap->caches[entry - heap->first_id];
    *order = entry & ~ASH__SOURCE_LARGE;
    if ((entry & ASH__SOURCE_LARGE) == 0 || !ash_is_aligned((uintptr_t)pointer, ASH_PAGE_SIZE))
        ash__slab_refuse(heap->source, "the heap", pointer);
    return NULL;
}

void ash_kfree(struct ash_heap *heap, void *pointer) {
    uint32_t order;
    if (pointer == NULL)
        return;
    struct ash_slab_cache *cache = identify(heap, pointer, &order);
    if (cache != NULL)
        ash_slab_free(cache, pointer);
    else
        free_large(heap, pointer, order);
}

size_t ash_ksize(struct ash_heap *heap, const void *pointer) {
    uint32_t order;
    if (pointer == NULL)
        return 0;
    struct ash_slab_cache *cache = identify(heap, pointer, &order);
    if (cache == NULL)
        return block_bytes(order);
    ash__slab_require_out(cache, pointer);
    return cache->stride;
}

uint32_t ash_heap_shrink(struct ash_heap *heap) {
    uint32_t released = 0;
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES; i++)
        released += ash_slab_cache_shrink(&heap->caches[i]);
    return released;
}

struct ash_slab_cache *ash_heap_cache(struct ash_heap *heap, uint32_t index) {
    return index < ASH_HEAP_CLASSES ? &heap->caches[index] : NULL;
}

void ash_heap_get_stats(struct ash_heap *heap, struct ash_heap_stats *stats) {
    lock_heap(heap);
    *stats = (struct ash_heap_stats){
        .large_allocations = heap->large_allocations,
        .large_frees = heap->large_frees,
        .large_failures = heap->large_failures,
        .large_bytes = heap->large_bytes,
        .large_peak_bytes = heap->large_peak_bytes,
    };
    unlock_heap(heap);
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES; i++) {
        struct ash_slab_stats small;
        ash_slab_cache_get_stats(&heap->caches[i], &small);
        stats->small_bytes += (uint64_t)small.used * small.stride_bytes;
        stats->slab_bytes += (uint64_t)small.slabs * small.slab_bytes;
    }
}

const char *ash_heap_check(struct ash_heap *heap) {
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES; i++) {
        const char *broken = ash_slab_cache_check(&heap->caches[i]);
        if (broken != NULL)
            return broken;
    }
    lock_heap(heap);
    bool balanced = (heap->large_bytes == 0) == (heap->large_allocations == heap->large_frees) &&
                    heap->large_bytes % ASH_PAGE_SIZE == 0 &&
                    heap->large_bytes <= heap->large_peak_bytes;
    unlock_heap(heap);
    return balanced ? NULL : "I7: the heap's counts of large blocks do not add up";
}
