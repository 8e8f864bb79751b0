/* SPDX-License-Identifier: MIT */
/* page_source.c: the page map, the numbers of caches, and what happens when no page is left. */
#include <ashlar/checked.h>

#include "slab_internal.h"

/* Lock */

static void lock_source(struct ash_page_source *source) {
    uint32_t cpu;
    (void)ash__lock(&source->lock, false, &cpu);
}

static void unlock_source(struct ash_page_source *source) {
    ash__unlock(&source->lock, false, (ash_irq_t)0);
}

/* The map */

static uint32_t caches_max_of(const struct ash_page_source_config *config) {
    return config->caches_max == 0 ? ASH_PAGE_SOURCE_CACHES_DEFAULT : config->caches_max;
}

size_t ash_page_source_storage_size(const struct ash_page_source_config *config) {
    uint64_t end;
    if (config == NULL)
        return 0;
    uintptr_t base = (uintptr_t)config->base;
    if (config->ops == NULL || config->ops->alloc == NULL || config->ops->free == NULL ||
        config->len_pages == 0 || config->len_pages > ASH_PAGE_SOURCE_PAGES_MAX ||
        caches_max_of(config) > ASH_PAGE_SOURCE_CACHES_MAX ||
        !ash_is_aligned(base, ASH_PAGE_SIZE) ||
        !ash_add_u64(base, config->len_pages * ASH_PAGE_SIZE - 1, &end))
        return 0;
    return ((size_t)caches_max_of(config) + 1) * sizeof(struct ash_slab_cache *) +
           (size_t)ash_align_up(config->len_pages * sizeof(uint16_t),
                                ASH_PAGE_SOURCE_STORAGE_ALIGN);
}

int ash_page_source_init(struct ash_page_source *source,
                         const struct ash_page_source_config *config, void *storage,
                         size_t storage_bytes) {
    size_t needed = ash_page_source_storage_size(config);
    if (needed == 0 || storage == NULL || storage_bytes < needed ||
        !ash_is_aligned((uintptr_t)storage, ASH_PAGE_SOURCE_STORAGE_ALIGN))
        return -ASH_EINVAL;
    if (!config->storage_is_zero)
        __builtin_memset(storage, 0, needed);
    uint32_t caches_max = caches_max_of(config);
    struct ash_slab_cache **caches = storage;
    *source = (struct ash_page_source){
        .map = (uint16_t *)(void *)(caches + caches_max + 1),
        .base = (uintptr_t)config->base,
        .len_pages = config->len_pages,
        .ops = config->ops,
        .context = config->context,
        .caches_max = caches_max,
        .caches = caches,
        .arrivals_seen = UINT32_MAX, /* the first time there may always be something */
    };
    ash_spin_init(&source->lock);
    return 0;
}

void ash__source_mark(struct ash_page_source *source, const void *base, uint32_t order,
                      uint16_t entry) {
    uint16_t *first = &source->map[((uintptr_t)base - source->base) >> ASH_PAGE_SHIFT];
    for (uint32_t i = 0; i < UINT32_C(1) << order; i++)
        ash_store_relaxed(&first[i], entry);
}

void ash__source_mark_large(struct ash_page_source *source, const void *base, uint32_t order,
                            uint32_t tag) {
    ash__source_mark(source, base, 0,
                     (uint16_t)(ASH__SOURCE_LARGE | tag << ASH__SOURCE_TAG_SHIFT | order));
}

/* A block is aligned to its size, so its head is one of the 41 numbers that begin a block with this
 * page in it. */
const void *ash__source_large_around(const struct ash_page_source *source, const void *pointer) {
    for (uint32_t order = 0; source->len_pages >> order != 0; order++) {
        uintptr_t head = ash_align_down((uintptr_t)pointer, ASH_PAGE_SIZE << order);
        uint16_t entry = ash__source_entry(source, (const void *)head);
        if (ash__source_is_large(entry) && ash__source_order(entry) >= order)
            return (const void *)head;
    }
    return NULL;
}

/* Blocks */

static bool is_inside(const struct ash_page_source *source, const void *block, uint32_t order) {
    uint64_t offset = (uintptr_t)block - source->base;
    return ash_is_aligned((uintptr_t)block, ASH_PAGE_SIZE << order) &&
           ash_range_fits(offset >> ASH_PAGE_SHIFT, UINT64_C(1) << order, source->len_pages);
}

void *ash__source_alloc(struct ash_page_source *source, uint32_t order, bool may_reclaim) {
    if (order >= 64 || UINT64_C(1) << order > source->len_pages)
        return NULL;
    void *block = source->ops->alloc(source->context, order);
    if (ASH_UNLIKELY(block == NULL) && may_reclaim &&
        ash_page_source_reclaim_for(source, order) != 0)
        block = source->ops->alloc(source->context, order);
    if (ASH_UNLIKELY(block == NULL) && may_reclaim && source->ops->reclaim != NULL &&
        source->ops->reclaim(source->context))
        block = source->ops->alloc(source->context, order);
    ASH_REQUIRE(block == NULL || is_inside(source, block, order),
                "slab: page source gave a block of order %u at %p: not aligned to its size, or "
                "outside of the %p..%p that it was made for",
                order, block, (void *)source->base,
                (void *)(source->base + source->len_pages * ASH_PAGE_SIZE - 1));
    return block;
}

void ash__source_free(struct ash_page_source *source, void *block, uint32_t order) {
    source->ops->free(source->context, block, order);
}

/* Caches */

/* The first of `count` free numbers in a row, or 0. Lock held. */
static uint32_t find_run(const struct ash_page_source *source, uint32_t count) {
    uint32_t run = 0;
    for (uint32_t id = 1; id <= source->caches_max; id++) {
        run = source->caches[id] == NULL ? run + 1 : 0;
        if (run == count)
            return id + 1 - count;
    }
    return 0;
}

int ash__source_register(struct ash_page_source *source, struct ash_slab_cache *caches,
                         uint32_t count, uint32_t *first_id) {
    lock_source(source);
    uint32_t first = find_run(source, count);
    for (uint32_t i = 0; first != 0 && i < count; i++) {
        caches[i].slabs.id = first + i;
        caches[i].hardened.id = first + i;
        ash_store_relaxed(&source->caches[first + i], &caches[i]);
    }
    unlock_source(source);
    *first_id = first;
    return first == 0 ? -ASH_ENOSPC : 0;
}

void ash__source_unregister(struct ash_page_source *source, struct ash_slab_cache *cache) {
    ash__source_close(source, cache);
    lock_source(source);
    ash_store_relaxed(&source->caches[cache->slabs.id], (struct ash_slab_cache *)NULL);
    unlock_source(source);
    cache->slabs.id = 0;
}

void ash__source_close(struct ash_page_source *source, struct ash_slab_cache *cache) {
    lock_source(source);
    cache->closed = true;
    while (cache->visitors != 0) {
        unlock_source(source);
        ash_port_relax();
        lock_source(source);
    }
    unlock_source(source);
}

void ash__source_open(struct ash_page_source *source, struct ash_slab_cache *cache) {
    lock_source(source);
    cache->closed = false;
    unlock_source(source);
}

struct ash_slab_cache *ash__source_cache(struct ash_page_source *source, uint32_t id) {
    lock_source(source);
    struct ash_slab_cache *cache = id <= source->caches_max ? source->caches[id] : NULL;
    unlock_source(source);
    return cache;
}

/* The cache with that number, kept from being unregistered until `leave`; or NULL. */
static struct ash_slab_cache *visit(struct ash_page_source *source, uint32_t id) {
    if (ash_load_relaxed(&source->caches[id]) == NULL)
        return NULL;
    lock_source(source);
    struct ash_slab_cache *cache = source->caches[id];
    if (cache != NULL && (cache->closed || (cache->visitors != 0 && cache->slabs.fini != NULL)))
        cache = NULL; /* a fini that allocates must not come back to itself */
    if (cache != NULL)
        cache->visitors++;
    unlock_source(source);
    return cache;
}

static void leave(struct ash_page_source *source, struct ash_slab_cache *cache) {
    lock_source(source);
    cache->visitors--;
    unlock_source(source);
}

/* What has been freed to this cache's depot and slabs, as a number that changes with it. */
static uint32_t arrivals_at(const struct ash_slab_cache *cache) {
    return ash_load_relaxed(&cache->depot.arrivals) + ash_load_relaxed(&cache->slabs.arrivals);
}

static uint32_t arrivals_at_all(struct ash_page_source *source) {
    uint32_t arrivals = 0;
    for (uint32_t id = 1; id <= source->caches_max; id++) {
        if (ash_load_relaxed(&source->caches[id]) == NULL)
            continue;
        lock_source(source);
        if (source->caches[id] != NULL)
            arrivals += arrivals_at(source->caches[id]);
        unlock_source(source);
    }
    return arrivals;
}

uint64_t ash_page_source_reclaim(struct ash_page_source *source) {
    uint64_t pages = 0;
    uint32_t arrivals = 0;
    for (uint32_t id = 1; id <= source->caches_max; id++) {
        struct ash__deferred deferred;
        struct ash_slab_cache *cache = visit(source, id);
        if (cache == NULL)
            continue;
        ash__deferred_init(&deferred);
        pages += ash__slab_cache_give_back(cache, &deferred);
        arrivals += arrivals_at(cache); /* its own among them; what comes now comes after */
        leave(source, cache);
        ash__deferred_report(cache, &deferred);
    }
    ash_store_relaxed(&source->arrivals_seen, arrivals);
    return pages;
}

uint64_t ash_page_source_reclaim_for(struct ash_page_source *source, uint32_t order) {
    if (order > ash_log2_floor(ASH_SLAB_BYTES_MAX / ASH_PAGE_SIZE) &&
        arrivals_at_all(source) == ash_load_relaxed(&source->arrivals_seen))
        return 0;
    return ash_page_source_reclaim(source);
}
