/* SPDX-License-Identifier: MIT */
/* heap.c: size classes over slab caches; heap_large.c has what is beyond the largest. */
#include <ashlar/checked.h>
#include "heap_internal.h"
#include "profiles.h"

/* Classes */

static const char *const six_names[ASH_HEAP_CLASSES_SIX] = {
    "kmalloc-16", "kmalloc-32", "kmalloc-64", "kmalloc-128", "kmalloc-256", "kmalloc-512"};

static const char *const fine_names[ASH_HEAP_CLASSES_FINE] = {
    "kmalloc-16",   "kmalloc-32",   "kmalloc-48",   "kmalloc-64",   "kmalloc-80",   "kmalloc-96",
    "kmalloc-112",  "kmalloc-128",  "kmalloc-160",  "kmalloc-192",  "kmalloc-224",  "kmalloc-256",
    "kmalloc-320",  "kmalloc-384",  "kmalloc-448",  "kmalloc-512",  "kmalloc-640",  "kmalloc-768",
    "kmalloc-896",  "kmalloc-1024", "kmalloc-1280", "kmalloc-1536", "kmalloc-1792", "kmalloc-2048",
    "kmalloc-2560", "kmalloc-3072", "kmalloc-3584", "kmalloc-4096", "kmalloc-5120", "kmalloc-6144",
    "kmalloc-7168", "kmalloc-8192"};

static uint32_t count_of(enum ash_heap_classes classes) {
    switch (classes) {
    case ASH_HEAP_SIX:
        return ASH_HEAP_CLASSES_SIX;
    case ASH_HEAP_FINE:
        return ASH_HEAP_CLASSES_FINE;
    }
    return 0;
}

/* FINE: steps of 16 up to 128, where 128 = 2^7 is the end of the first doubling with four of them;
 * each further doubling has steps twice as wide. */
static size_t class_bytes(enum ash_heap_classes classes, uint32_t index) {
    if (classes == ASH_HEAP_SIX)
        return (size_t)16 << index;
    if (index < 8)
        return (size_t)16 * (index + 1);
    uint32_t doubling = index / 4 - 1;
    return (size_t)16 * (index % 4 + 5) << doubling;
}

size_t ash_heap_storage_size(const struct ash_heap_config *config) {
    return config == NULL ? 0 : count_of(config->classes) * sizeof(struct ash_slab_cache);
}

/* The cache of the first class that is large enough, by size / 16 rounded up. A table: one load,
 * 1.4 ns until the class is known (a logarithm: SIX 1.7, FINE 2.2), and one path serves both. */
static void fill_cache_for(struct ash_heap *heap, enum ash_heap_classes classes) {
    for (uint32_t i = 0, index = 0; i <= heap->small_max / 16; i++) {
        while (class_bytes(classes, index) < (size_t)i * 16)
            index++;
        heap->cache_for[i] = &heap->caches[index];
    }
}

static int init_caches(struct ash_heap *heap, const struct ash_heap_config *config) {
    const char *const *names = config->classes == ASH_HEAP_SIX ? six_names : fine_names;
    for (uint32_t i = 0; i < heap->class_count; i++) {
        size_t bytes = class_bytes(config->classes, i);
        const struct ash_slab_config cache_config = {
            .name = names[i],
            .size_bytes = bytes,
            .align_bytes = bytes & (0 - bytes),
            .flags = config->flags,
            .seed = config->seed == 0 ? 0 : config->seed + i,
            .trace = config->trace,
            .empty_max = ASH_HEAP_EMPTY_MAX,
            .source = config->source,
        };
        int error = ash__slab_cache_prepare(&heap->caches[i], &cache_config);
        if (error != 0)
            return error;
    }
    return ash__source_register(config->source, heap->caches, heap->class_count, &heap->first_id);
}

int ash_heap_init(struct ash_heap *heap, const struct ash_heap_config *config, void *storage,
                  size_t storage_bytes) {
    size_t needed = ash_heap_storage_size(config);
    if (needed == 0 || config->source == NULL || storage == NULL || storage_bytes < needed ||
        !ash_is_aligned((uintptr_t)storage, ASH_PORT_CACHE_LINE))
        return -ASH_EINVAL;
    *heap = (struct ash_heap){
        .base = config->source->base,
        .len_pages = config->source->len_pages,
        .map = config->source->map,
        .caches = storage,
        .class_count = count_of(config->classes),
        .source = config->source,
        .interrupts = (config->flags & ASH_SLAB_INTERRUPTS) != 0,
    };
    ash_spin_init(&heap->large_lock);
    heap->small_max = class_bytes(config->classes, heap->class_count - 1);
    fill_cache_for(heap, config->classes);
    return init_caches(heap, config);
}

/* Takes back what is free from every class, all closed. False: something is out, or was freed
 * wrongly; then *refusing is the cache that it was freed to. */
static bool empty_classes(struct ash_heap *heap, struct ash__deferred *deferred,
                          struct ash_slab_cache **refusing) {
    bool is_empty = ash_load_relaxed(&heap->large_bytes) == 0;
    *refusing = NULL;
    for (uint32_t i = 0; i < heap->class_count && *refusing == NULL; i++) {
        is_empty = ash__slab_cache_empty(&heap->caches[i], deferred) && is_empty;
        if (deferred->has_refused)
            *refusing = &heap->caches[i];
    }
    return is_empty;
}

/* All or none: no class ends before all have been looked at, and no reclaim works on any of them
 * meanwhile. */
int ash_heap_fini(struct ash_heap *heap) {
    struct ash_slab_cache *refusing;
    struct ash__deferred deferred;
    ash__deferred_init(&deferred);
    for (uint32_t i = 0; i < heap->class_count; i++)
        ash__source_close(heap->source, &heap->caches[i]);
    bool is_empty = empty_classes(heap, &deferred, &refusing);
    for (uint32_t i = 0; i < heap->class_count; i++) {
        if (is_empty)
            ash__source_unregister(heap->source, &heap->caches[i]);
        else
            ash__source_open(heap->source, &heap->caches[i]);
    }
    if (refusing != NULL)
        ash__deferred_report(refusing, &deferred);
    for (uint32_t i = 0; i < heap->class_count && !is_empty; i++) {
        if (heap->caches[i].kind == ASH__SLAB_DEBUG)
            ash__debug_report_leaks(&heap->caches[i]);
    }
    return is_empty ? 0 : -ASH_EBUSY;
}

/* Any size */

/*
 * Whom a debug heap names. NULL lets the slow path take its own return address, which is that of
 * our caller, as long as the compiler makes it a jump: it does but in builds without optimisation.
 * Having it at hand on the fast path would cost a pair 0.3 ns.
 */
#define CALLER (ASH_ENABLED(ASH_CHECKS >= 2) ? __builtin_return_address(0) : NULL)

ASH_HOT_ENTRY void *ash_kmalloc(struct ash_heap *heap, size_t size) {
    return ash__heap_alloc_fast(heap, size, CALLER);
}

ASH_HOT_ENTRY void ash_kfree(struct ash_heap *heap, void *pointer) {
    ash__heap_free_fast(heap, pointer, CALLER);
}

/* What ash_ksize will say of a block of `size` bytes, which is not more than there is. */
static size_t usable_for(const struct ash_heap *heap, size_t size) {
    if (size <= heap->small_max)
        return heap->cache_for[(size + 15) / 16]->size_bytes;
    return size <= ASH_PAGE_SIZE ? ASH_PAGE_SIZE : (size_t)1 << ash_log2_ceil(size);
}

static bool is_small(const struct ash_heap *heap, uint16_t entry) {
    return entry - heap->first_id < heap->class_count;
}

static size_t usable_at(struct ash_heap *heap, const char *what, const void *pointer) {
    uint16_t entry = ash__source_entry(heap->source, pointer);
    if (is_small(heap, entry)) {
        struct ash_slab_cache *cache = &heap->caches[entry - heap->first_id];
        ash__slab_require_object(cache, pointer);
        if (ASH_UNLIKELY(!ash__profile_is_out(cache, pointer)))
            ash_panic(__FILE__, __LINE__,
                      "heap: %s of %p: an object of %s that is not out: it was freed before", what,
                      pointer, cache->name);
        return cache->size_bytes;
    }
    if (!ash__heap_is_large(heap, pointer, entry))
        ash__heap_refuse(heap, what, pointer, entry);
    return ash__heap_block_bytes(entry);
}

size_t ash_ksize(struct ash_heap *heap, const void *pointer) {
    return pointer == NULL ? 0 : usable_at(heap, "size", pointer);
}

static void *alloc_zeroed(struct ash_heap *heap, size_t size, const void *site) {
    void *pointer = ash__heap_alloc_fast(heap, size, site);
    if (pointer != NULL)
        __builtin_memset(pointer, 0, usable_for(heap, size));
    return pointer;
}

void *ash_kzalloc(struct ash_heap *heap, size_t size) {
    return alloc_zeroed(heap, size, __builtin_return_address(0));
}

void *ash_kcalloc(struct ash_heap *heap, size_t count, size_t size) {
    size_t bytes;
    if (!ash_mul_size(count, size, &bytes)) {
        ash_fetch_add(&heap->large_failures, UINT64_C(1));
        return NULL;
    }
    return alloc_zeroed(heap, bytes, __builtin_return_address(0));
}

void *ash_krealloc(struct ash_heap *heap, void *pointer, size_t size) {
    const void *site = __builtin_return_address(0);
    if (pointer == NULL)
        return ash__heap_alloc_fast(heap, size, site);
    size_t held = usable_at(heap, "resize", pointer);
    if (size <= held && held / 2 <= usable_for(heap, size))
        return pointer;
    void *moved = ash__heap_alloc_fast(heap, size, site);
    if (moved == NULL)
        return size <= held ? pointer : NULL;
    __builtin_memcpy(moved, pointer, size < held ? size : held);
    ash__heap_free_fast(heap, pointer, site);
    return moved;
}

/* All classes */

void ash_heap_flush(struct ash_heap *heap) {
    for (uint32_t i = 0; i < heap->class_count; i++)
        ash_slab_cache_flush(&heap->caches[i]);
}

uint32_t ash_heap_shrink(struct ash_heap *heap) {
    uint32_t released = 0;
    for (uint32_t i = 0; i < heap->class_count; i++)
        released += ash_slab_cache_shrink(&heap->caches[i]);
    return released;
}

uint32_t ash_heap_reap(struct ash_heap *heap) {
    uint32_t released = 0;
    for (uint32_t i = 0; i < heap->class_count; i++)
        released += ash_slab_cache_reap(&heap->caches[i]);
    return released;
}

uint32_t ash_heap_class_count(const struct ash_heap *heap) {
    return heap->class_count;
}

struct ash_slab_cache *ash_heap_cache(struct ash_heap *heap, uint32_t index) {
    return index < heap->class_count ? &heap->caches[index] : NULL;
}

void ash_heap_get_stats(struct ash_heap *heap, struct ash_heap_stats *stats) {
    *stats = (struct ash_heap_stats){
        .large_allocations = ash_load_relaxed(&heap->large_allocations),
        .large_frees = ash_load_relaxed(&heap->large_frees),
        .large_failures = ash_load_relaxed(&heap->large_failures),
        .large_bytes = ash_load_relaxed(&heap->large_bytes),
        .large_peak_bytes = ash_load_relaxed(&heap->large_peak_bytes),
    };
    for (uint32_t i = 0; i < heap->class_count; i++) {
        struct ash_slab_stats small;
        ash_slab_cache_get_stats(&heap->caches[i], &small);
        stats->small_bytes += (uint64_t)small.used * small.size_bytes;
        stats->slab_bytes += (uint64_t)small.slabs * small.slab_bytes + small.magazine_bytes;
    }
}

/* The audit */

const char *ash_heap_check(struct ash_heap *heap) {
    for (uint32_t i = 0; i < heap->class_count; i++) {
        if (ash__source_cache(heap->source, heap->first_id + i) != &heap->caches[i])
            return "H1: a class's cache number is not the heap's";
        const char *broken = ash_slab_cache_check(&heap->caches[i]);
        if (broken != NULL)
            return broken;
    }
    return ash__heap_check_large(heap);
}
