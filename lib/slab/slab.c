/* SPDX-License-Identifier: MIT */
/*
 * slab.c: caches, their slabs, and the two hot paths.
 *
 * A slab is in one of four places, by its number of free objects:
 *
 *     active   allocations come from it until it is full; at most one
 *     full     fewer than `relist` free objects, about 1/16; on no list but `all`
 *     partial  dense or sparse list; the next active one is taken from the dense list first, so
 *              that sparse slabs run empty and can go back
 *     empty    empty list, at most empty_max; the next one that runs empty goes back
 */
#include "slab_internal.h"

ASH_EVENT_DEFINE(event_refill, "slab.refill", "cache,objects");
ASH_EVENT_DEFINE(event_release, "slab.release", "cache,objects");

/* Slabs come and go; no lock held */

/* Undoes init on the first `count` objects. */
static void fini_objects(struct ash_slab_cache *cache, struct ash__slab *slab, uint32_t count) {
    for (uint32_t i = 0; cache->config.fini != NULL && i < count; i++)
        cache->config.fini(ash__slab_object(cache, slab, i), cache->config.context);
}

static bool init_objects(struct ash_slab_cache *cache, struct ash__slab *slab) {
    for (uint32_t i = 0; cache->config.init != NULL && i < cache->objects; i++) {
        if (cache->config.init(ash__slab_object(cache, slab, i), cache->config.context) != 0) {
            fini_objects(cache, slab, i);
            return false;
        }
    }
    return true;
}

static struct ash__slab *make_slab(struct ash_slab_cache *cache) {
    struct ash__slab *slab = ash__source_alloc(cache->config.source, cache->order, true);
    if (slab == NULL)
        return NULL;
    if (!init_objects(cache, slab)) {
        ash__source_free(cache->config.source, slab, cache->order);
        return NULL;
    }
    uint32_t words = (cache->objects + 63) / 64, rest = cache->objects % 64;
    for (uint32_t w = 0; w < words; w++)
        slab->bitmap[w] = UINT64_MAX;
    if (rest != 0)
        slab->bitmap[words - 1] = UINT64_MAX >> (64 - rest);
    slab->summary = UINT64_MAX >> (64 - words);
    slab->free = cache->objects;
    slab->padding = 0;
    ash_list_init(&slab->link);
    ash_list_init(&slab->all);
    slab->cache = cache;
    ASH_EVENT(event_refill, (uintptr_t)cache, cache->objects);
    return slab;
}

static void release_slab(struct ash_slab_cache *cache, struct ash__slab *slab) {
    fini_objects(cache, slab, cache->objects);
    ash__source_free(cache->config.source, slab, cache->order);
    ASH_EVENT(event_release, (uintptr_t)cache, cache->objects);
}

/* Lists; lock held */

static void attach(struct ash_slab_cache *cache, struct ash__slab *slab) {
    ash_list_push_back(&cache->all, &slab->all);
    cache->slabs++;
    cache->refills++;
    ash__source_mark(cache->config.source, slab, cache->order, (uint16_t)cache->id);
}

/* Forgets an empty slab that is on no list but `all`; the caller releases it without the lock. */
static struct ash__slab *detach(struct ash_slab_cache *cache, struct ash__slab *slab) {
    ash_list_remove(&slab->all);
    cache->slabs--;
    cache->releases++;
    ash__source_mark(cache->config.source, slab, cache->order, 0);
    slab->cache = NULL;
    return slab;
}

/* Puts a slab that is on no list where its number of free objects says. Returns it, detached, where
 * it is an empty one too many. */
static struct ash__slab *file_slab(struct ash_slab_cache *cache, struct ash__slab *slab) {
    if (slab->free == cache->objects) {
        if (cache->empties == cache->config.empty_max)
            return detach(cache, slab);
        cache->empties++;
        ash_list_push_front(&cache->empty, &slab->link);
    } else if (slab->free > cache->half) {
        ash_list_push_back(&cache->sparse, &slab->link);
    } else if (slab->free >= cache->relist) {
        ash_list_push_back(&cache->dense, &slab->link);
    }
    return NULL;
}

/* A slab with free objects to allocate from, made active; NULL: none is listed. */
static struct ash__slab *choose_active(struct ash_slab_cache *cache) {
    struct ash_list *node;
    if (cache->active != NULL && cache->active->summary != 0)
        return cache->active;
    if ((node = ash_list_pop_front(&cache->dense)) == NULL &&
        (node = ash_list_pop_front(&cache->sparse)) == NULL) {
        if ((node = ash_list_pop_front(&cache->empty)) == NULL)
            return NULL;
        cache->empties--;
    }
    cache->active = ASH_LIST_ENTRY(node, struct ash__slab, link);
    return cache->active;
}

/* The page source has nothing left: any slab with a free object, made active. O(slabs). */
static struct ash__slab *choose_unlisted(struct ash_slab_cache *cache) {
    struct ash_list *node;
    if (cache->slabs * cache->objects == cache->used)
        return NULL;
    ash_list_for_each (node, &cache->all) {
        struct ash__slab *slab = ASH_LIST_ENTRY(node, struct ash__slab, all);
        if (slab->free != 0)
            return cache->active = slab;
    }
    return NULL;
}

/* Allocation */

static inline uint32_t lowest_bit(uint64_t bits) {
    if (bits == 0)
        __builtin_unreachable();
    return ash_ctz64(bits);
}

/* The slab has a free object. Lock held. */
static inline void *take_object(struct ash_slab_cache *cache, struct ash__slab *slab) {
    uint32_t word = lowest_bit(slab->summary);
    uint64_t bits = slab->bitmap[word];
    uint32_t index = word * 64 + lowest_bit(bits);
    bits &= bits - 1;
    slab->bitmap[word] = bits;
    /* No branch: after random frees a word has one free object about as often as several. */
    slab->summary ^= (uint64_t)(bits == 0) << word;
    slab->free--;
    cache->allocations++;
    if (++cache->used > cache->peak)
        cache->peak = cache->used;
    return ash__slab_object(cache, slab, index);
}

/* The active slab is full, or there is none. Called with the lock, returns without. */
static __attribute__((noinline)) void *alloc_slow(struct ash_slab_cache *cache) {
    struct ash__slab *slab = choose_active(cache), *surplus = NULL;
    if (slab == NULL) {
        /* What other CPUs make meanwhile is far from the other half of 2^32. */
        bool may_grow = (uint64_t)(cache->slabs + 1) * cache->objects <= ASH_SLAB_OBJECTS_MAX;
        ash__slab_unlock(cache);
        struct ash__slab *fresh = may_grow ? make_slab(cache) : NULL;
        ash__slab_lock(cache);
        /* Meanwhile others may have freed, or made slabs of their own. */
        if (fresh != NULL) {
            struct ash__slab *before = cache->active;
            attach(cache, fresh);
            cache->active = fresh;
            if (before != NULL)
                surplus = file_slab(cache, before);
        }
        slab = choose_active(cache);
        if (slab == NULL)
            slab = choose_unlisted(cache);
    }
    void *object = NULL;
    if (slab != NULL)
        object = take_object(cache, slab);
    else
        cache->failures++;
    ash__slab_unlock(cache);
    if (surplus != NULL)
        release_slab(cache, surplus);
    return object;
}

void *ash_slab_alloc(struct ash_slab_cache *cache) {
    ash__slab_lock(cache);
    struct ash__slab *slab = cache->active;
    if (ASH_UNLIKELY(slab == NULL || slab->summary == 0))
        return alloc_slow(cache);
    void *object = take_object(cache, slab);
    ash__slab_unlock(cache);
    return object;
}

/* Free */

void ash__slab_refuse(struct ash_page_source *source, const char *name, const void *pointer) {
    const void *large = ash__source_large_around(source, pointer);
    if (large != NULL)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: inside the large block at %p: free that by ash_kfree of "
                  "its base",
                  pointer, name, large);
    const struct ash_slab_cache *owner =
        ash__source_cache(source, ash__source_entry(source, pointer));
    if (owner != NULL)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: in a slab of cache %s: free it there", pointer, name,
                  owner->config.name);
    ash_panic(__FILE__, __LINE__,
              "slab: free of %p to %s: foreign pointer: in no slab and no large block (never "
              "allocated, or its slab went back since)",
              pointer, name);
}

/* In a slab of this cache, but not an object that is out. Called with the lock. */
static __attribute__((noreturn, cold)) void refuse_in_slab(struct ash_slab_cache *cache,
                                                           const struct ash__slab *slab,
                                                           const void *object) {
    const char *name = cache->config.name;
    uint32_t offset = (uint32_t)((uintptr_t)object - (uintptr_t)slab);
    uint32_t index = ash__slab_index(cache, offset - cache->first);
    const void *start = ash__slab_object(cache, slab, index);
    ash__slab_unlock(cache);
    if (offset < cache->first)
        ash_panic(__FILE__, __LINE__, "slab: free of %p to %s: in the header of the slab at %p",
                  object, name, (const void *)slab);
    if (index >= cache->objects)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: behind the last object of the slab at %p", object, name,
                  (const void *)slab);
    if (object != start)
        ash_panic(__FILE__, __LINE__,
                  "slab: free of %p to %s: misaligned: %u bytes into the object at %p", object,
                  name, (uint32_t)((uintptr_t)object - (uintptr_t)start), start);
    ash_panic(__FILE__, __LINE__, "slab: double free of %p to %s: the object is free already",
              object, name);
}

/* A slab that is not active has one free object more: it is to be listed again, sparse, or
 * empty. */
static struct ash__slab *refile(struct ash_slab_cache *cache, struct ash__slab *slab) {
    ash_list_remove(&slab->link);
    return file_slab(cache, slab);
}

/* The number of an object that is out; panics for anything else. Called with the lock. */
static inline uint32_t index_of(struct ash_slab_cache *cache, const struct ash__slab *slab,
                                const void *object) {
    uint32_t offset = (uint32_t)((uintptr_t)object - (uintptr_t)slab) - cache->first;
    uint32_t index = ash__slab_index(cache, offset);
    if (ASH_ENABLED(ASH_CHECKS >= 1) &&
        ASH_UNLIKELY(index >= cache->objects || index * cache->stride != offset ||
                     (slab->bitmap[index / 64] >> index % 64 & 1) != 0))
        refuse_in_slab(cache, slab, object);
    return index;
}

/* Called with the lock on a slab of this cache, returns without. */
static inline void put_object(struct ash_slab_cache *cache, struct ash__slab *slab, void *object) {
    uint32_t index = index_of(cache, slab, object);
    uint32_t word = index / 64;
    uint64_t bit = UINT64_C(1) << index % 64;
    slab->bitmap[word] |= bit;
    slab->summary |= UINT64_C(1) << word;
    uint32_t free = ++slab->free;
    cache->used--;
    struct ash__slab *surplus = NULL;
    if (slab != cache->active &&
        ASH_UNLIKELY(free == cache->relist || free == cache->half + 1 || free == cache->objects))
        surplus = refile(cache, slab);
    ash__slab_unlock(cache);
    if (ASH_UNLIKELY(surplus != NULL))
        release_slab(cache, surplus);
}

/* Locks the cache and returns the slab that the map says the object is in, if it is the cache's. */
static inline struct ash__slab *lock_slab_of(struct ash_slab_cache *cache, const void *object) {
    ash__slab_lock(cache);
    if (ASH_ENABLED(ASH_CHECKS >= 1) &&
        ASH_UNLIKELY(ash__source_entry(cache->config.source, object) != cache->id)) {
        ash__slab_unlock(cache);
        ash__slab_refuse(cache->config.source, cache->config.name, object);
    }
    return ash__slab_of(cache, object);
}

void ash__slab_require_out(struct ash_slab_cache *cache, const void *object) {
    (void)index_of(cache, lock_slab_of(cache, object), object);
    ash__slab_unlock(cache);
}

void ash_slab_free(struct ash_slab_cache *cache, void *object) {
    put_object(cache, lock_slab_of(cache, object), object);
}

/* Caches */

static bool config_is_valid(const struct ash_slab_config *config) {
    return config->name != NULL && config->size_bytes >= 1 &&
           config->size_bytes <= ASH_SLAB_SIZE_MAX && ash_is_pow2(config->align_bytes) &&
           config->align_bytes <= ASH_SLAB_ALIGN_MAX && ash_is_pow2(config->slab_bytes) &&
           config->slab_bytes >= ASH_PAGE_SIZE && config->slab_bytes <= ASH_SLAB_BYTES_MAX &&
           config->empty_max <= ASH_SLAB_EMPTY_MAX_LIMIT && config->source != NULL;
}

int ash__slab_cache_prepare(struct ash_slab_cache *cache, const struct ash_slab_config *config) {
    struct ash_slab_config chosen = *config;
    if (chosen.align_bytes == 0)
        chosen.align_bytes = ASH_SLAB_ALIGN_MIN;
    if (chosen.slab_bytes == 0)
        chosen.slab_bytes = ASH_SLAB_BYTES_DEFAULT;
    if (!config_is_valid(&chosen))
        return -ASH_EINVAL;
    if (chosen.align_bytes < ASH_SLAB_ALIGN_MIN)
        chosen.align_bytes = ASH_SLAB_ALIGN_MIN;
    *cache = (struct ash_slab_cache){.config = chosen};
    ash_spin_init(&cache->lock);
    ash_list_init(&cache->dense);
    ash_list_init(&cache->sparse);
    ash_list_init(&cache->empty);
    ash_list_init(&cache->all);
    ash__slab_layout(cache);
    return 0;
}

int ash_slab_cache_init(struct ash_slab_cache *cache, const struct ash_slab_config *config) {
    uint32_t id;
    int error = ash__slab_cache_prepare(cache, config);
    return error != 0 ? error : ash__source_register(cache->config.source, cache, 1, &id);
}

/* Takes one empty slab out of the cache, or NULL. Lock held. */
static struct ash__slab *detach_empty(struct ash_slab_cache *cache) {
    struct ash__slab *slab = cache->active;
    if (slab != NULL && slab->free == cache->objects) {
        cache->active = NULL;
        return detach(cache, slab);
    }
    struct ash_list *node = ash_list_pop_front(&cache->empty);
    if (node == NULL)
        return NULL;
    cache->empties--;
    return detach(cache, ASH_LIST_ENTRY(node, struct ash__slab, link));
}

/* One slab at a time: the lock is not held while the page source works. No more than there were at
 * the start, so that it ends though others go on freeing. */
uint32_t ash_slab_cache_shrink(struct ash_slab_cache *cache) {
    uint32_t released = 0;
    ash__slab_lock(cache);
    uint32_t limit = cache->slabs;
    for (; released < limit; released++) {
        struct ash__slab *slab = detach_empty(cache);
        if (slab == NULL)
            break;
        ash__slab_unlock(cache);
        release_slab(cache, slab);
        ash__slab_lock(cache);
    }
    ash__slab_unlock(cache);
    return released;
}

int ash_slab_cache_fini(struct ash_slab_cache *cache) {
    if (cache->used != 0)
        return -ASH_EBUSY;
    ash_slab_cache_shrink(cache);
    ASH_ASSERT(cache->slabs == 0);
    ash__source_unregister(cache->config.source, cache);
    return 0;
}

void ash_slab_cache_get_stats(struct ash_slab_cache *cache, struct ash_slab_stats *stats) {
    ash__slab_lock(cache);
    *stats = (struct ash_slab_stats){
        .name = cache->config.name,
        .size_bytes = (uint32_t)cache->config.size_bytes,
        .stride_bytes = cache->stride,
        .slab_bytes = (uint32_t)(cache->mask + 1),
        .objects_per_slab = cache->objects,
        .waste_bytes = (uint32_t)(cache->mask + 1) - cache->objects * cache->stride,
        .slabs = cache->slabs,
        .empties = cache->empties,
        .used = cache->used,
        .peak = cache->peak,
        .allocations = cache->allocations,
        .frees = cache->allocations - cache->used,
        .refills = cache->refills,
        .releases = cache->releases,
        .failures = cache->failures,
    };
    ash__slab_unlock(cache);
}
