/* SPDX-License-Identifier: MIT */
/* slab_check.c: the audit. Each message begins with the invariant's number in DESIGN.md. */
#include "slab_internal.h"

struct census {
    uint32_t slabs, free, dense, sparse, empty;
    bool active_seen;
};

/* The header's own fields agree with each other. */
static const char *check_bitmap(const struct ash_slab_cache *cache, const struct ash__slab *slab) {
    uint32_t words = (cache->objects + 63) / 64, rest = cache->objects % 64, free = 0;
    for (uint32_t w = 0; w < words; w++) {
        if ((slab->bitmap[w] != 0) != ((slab->summary >> w & 1) != 0))
            return "I2: a slab's summary differs from its bitmap";
        free += ash_popcount64(slab->bitmap[w]);
    }
    if (words < 64 && slab->summary >> words != 0)
        return "I2: a slab's summary names a word behind its bitmap";
    if (rest != 0 && slab->bitmap[words - 1] >> rest != 0)
        return "I2: a slab's bitmap names an object behind its last";
    if (free != slab->free)
        return "I3: a slab's count of free objects differs from its bitmap";
    return NULL;
}

/* The slab is where its number of free objects says. */
static const char *check_place(struct ash_slab_cache *cache, struct ash__slab *slab,
                               struct census *census) {
    bool linked = ash_list_is_linked(&slab->link);
    if (slab == cache->active) {
        census->active_seen = true;
        return linked ? "I4: the active slab is on a list" : NULL;
    }
    if (slab->free < cache->relist)
        return linked ? "I4: a slab as good as full is on a list" : NULL;
    if (!linked)
        return "I4: a slab with free objects is on no list";
    if (slab->free == cache->objects)
        census->empty++;
    else if (slab->free > cache->half)
        census->sparse++;
    else
        census->dense++;
    return NULL;
}

/* All slabs on the list have a number of free objects in lowest..highest. */
static const char *check_list(const struct ash_slab_cache *cache, const struct ash_list *head,
                              uint32_t count, uint32_t lowest, uint32_t highest) {
    const struct ash_list *node;
    uint32_t seen = 0;
    if (ash_list_check(head, count) != NULL)
        return "I4: a list of slabs is broken, or longer than there are slabs for it";
    ash_list_for_each (node, head) {
        const struct ash__slab *slab = ASH_LIST_ENTRY(node, const struct ash__slab, link);
        if (slab->cache != cache || slab->free < lowest || slab->free > highest)
            return "I4: a slab is on a list that is not for its number of free objects";
        seen++;
    }
    return seen == count ? NULL : "I4: a list lacks a slab";
}

/* Every page of the slab is the cache's in the map. */
static const char *check_map(const struct ash_slab_cache *cache, const struct ash__slab *slab) {
    for (size_t at = 0; at <= cache->mask; at += ASH_PAGE_SIZE) {
        if (ash__source_entry(cache->config.source, (const char *)slab + at) != cache->id)
            return "I6: the page map names another owner for a page of a slab";
    }
    return NULL;
}

static const char *check_slab(struct ash_slab_cache *cache, struct ash__slab *slab,
                              struct census *census) {
    if (((uintptr_t)slab & cache->mask) != 0)
        return "I1: a slab is not aligned to its size";
    if (slab->cache != cache)
        return "I1: a slab's header names another cache";
    census->slabs++;
    census->free += slab->free;
    const char *broken = check_map(cache, slab);
    if (broken == NULL)
        broken = check_bitmap(cache, slab);
    return broken != NULL ? broken : check_place(cache, slab, census);
}

static const char *check_totals(const struct ash_slab_cache *cache, const struct census *census) {
    if (census->slabs != cache->slabs || cache->slabs != cache->refills - cache->releases)
        return "I5: the count of slabs differs from the slabs there are";
    if (cache->slabs * cache->objects - census->free != cache->used)
        return "I5: the count of objects that are out differs from the bitmaps";
    if (cache->used > cache->peak || cache->used > cache->allocations)
        return "I5: more objects are out than ever were";
    if (census->empty != cache->empties || cache->empties > cache->config.empty_max)
        return "I5: more slabs are kept empty than configured, or their count is wrong";
    if (cache->active != NULL && !census->active_seen)
        return "I4: the active slab is not one of the cache's";
    return NULL;
}

static const char *check_locked(struct ash_slab_cache *cache) {
    struct census census = {0};
    struct ash_list *node;
    if (ash_list_check(&cache->all, cache->slabs) != NULL)
        return "I5: the list of all slabs is broken, or longer than their count";
    ash_list_for_each (node, &cache->all) {
        const char *broken =
            check_slab(cache, ASH_LIST_ENTRY(node, struct ash__slab, all), &census);
        if (broken != NULL)
            return broken;
    }
    uint32_t most = cache->objects;
    const char *broken = check_list(cache, &cache->dense, census.dense, cache->relist, cache->half);
    if (broken == NULL)
        broken = check_list(cache, &cache->sparse, census.sparse, cache->half + 1, most - 1);
    if (broken == NULL)
        broken = check_list(cache, &cache->empty, census.empty, most, most);
    return broken != NULL ? broken : check_totals(cache, &census);
}

const char *ash_slab_cache_check(struct ash_slab_cache *cache) {
    ash__slab_lock(cache);
    const char *broken = check_locked(cache);
    ash__slab_unlock(cache);
    return broken;
}
