/* SPDX-License-Identifier: MIT */
/*
 * visit.c: which objects are out. The bitmaps know what is free in the slabs; what is free in
 * magazines is marked in them for the time of a call, so that no memory is needed for it. Nobody
 * else may be at work on the cache.
 */
#include "profiles.h"

/* Over the objects in magazines and the quarantine, in an order that is the same each time. */
struct walk {
    struct ash_slab_cache *cache;
    bool (*visit)(struct ash_slab_cache *cache, void *object); /* false: stop */
    uint32_t limit, seen;
    bool stopped;
};

static void walk_object(struct walk *walk, void *object) {
    if (walk->seen == walk->limit || !walk->visit(walk->cache, object))
        walk->stopped = true;
    else
        walk->seen++;
}

static void walk_magazine(struct walk *walk, const struct ash__slab_magazine *magazine,
                          uint32_t count) {
    for (uint32_t i = 0; i < count && !walk->stopped; i++)
        walk_object(walk, magazine->objects[i]);
}

static void walk_cached(struct walk *walk) {
    struct ash_slab_cache *cache = walk->cache;
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX; i++) {
        const struct ash__slab_cpu *cpu = &cache->cpus[i];
        walk_magazine(walk, cpu->loaded, ash__cpu_count(cache, cpu));
        walk_magazine(walk, cpu->previous, cpu->previous_count);
    }
    const struct ash__slab_magazine *magazine = cache->depot.full;
    for (uint32_t i = 0; i < cache->depot.full_count; i++, magazine = magazine->next)
        walk_magazine(walk, magazine, magazine->count);
    void *object = cache->debug.oldest;
    for (uint32_t i = 0; i < cache->debug.quarantined && !walk->stopped; i++) {
        walk_object(walk, object);
        object = ash__debug_next(cache, object);
    }
}

static uint64_t *word_of(struct ash_slab_cache *cache, void *object, uint64_t *bit) {
    uint32_t index;
    if (!ash__store_find(&cache->slabs, object, &index))
        return NULL;
    *bit = UINT64_C(1) << index % 64;
    return &ash__slab_of(&cache->slabs, object)->bitmap[index / 64];
}

static bool mark(struct ash_slab_cache *cache, void *object) {
    uint64_t bit = 0, *word = word_of(cache, object, &bit);
    if (word == NULL || (*word & bit) != 0)
        return false;
    *word |= bit;
    return true;
}

static bool unmark(struct ash_slab_cache *cache, void *object) {
    uint64_t bit = 0, *word = word_of(cache, object, &bit);
    *word &= ~bit;
    return true;
}

bool ash__slab_cache_mark_cached(struct ash_slab_cache *cache, uint32_t *marked) {
    struct walk walk = {.cache = cache, .visit = mark, .limit = UINT32_MAX};
    walk_cached(&walk);
    *marked = walk.seen;
    return !walk.stopped;
}

void ash__slab_cache_unmark_cached(struct ash_slab_cache *cache, uint32_t marked) {
    struct walk walk = {.cache = cache, .visit = unmark, .limit = marked};
    walk_cached(&walk);
}

void ash_slab_for_each(struct ash_slab_cache *cache, void (*visit)(void *object, void *context),
                       void *context) {
    struct ash__slab_store *store = &cache->slabs;
    struct ash_list *node;
    uint32_t marked;
    (void)ash__slab_cache_mark_cached(cache, &marked);
    ash_list_for_each (node, &store->all) {
        struct ash__slab *slab = ASH_LIST_ENTRY(node, struct ash__slab, all);
        for (uint32_t i = 0; i < store->objects; i++) {
            if ((slab->bitmap[i / 64] >> i % 64 & 1) == 0)
                visit(ash__slab_object(store, slab, i), context);
        }
    }
    ash__slab_cache_unmark_cached(cache, marked);
}
