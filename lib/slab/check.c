/* SPDX-License-Identifier: MIT */
/* check.c: the audit. Each message begins with the invariant's number in DESIGN.md. */
#include "profiles.h"

struct census {
    uint32_t slabs, free, dense, sparse, empty;
    bool active_seen;
};

/* The header's own fields agree with each other. */
static const char *check_bitmap(const struct ash__slab_store *store, const struct ash__slab *slab) {
    uint32_t words = (store->objects + 63) / 64, rest = store->objects % 64, free = 0;
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
static const char *check_place(struct ash__slab_store *store, struct ash__slab *slab,
                               struct census *census) {
    bool linked = ash_list_is_linked(&slab->link);
    if (slab == store->active) {
        census->active_seen = true;
        return linked ? "I4: the active slab is on a list" : NULL;
    }
    bool all_looked = store->relist == 1 && store->unlooked == 0;
    if (!linked && slab->free < (all_looked ? 1 : ash__store_usual_relist(store)))
        return NULL;
    if (!linked)
        return "I4: a slab with free objects is on no list";
    if (slab->free == store->objects)
        census->empty++;
    else if (slab->free > store->half)
        census->sparse++;
    else
        census->dense++;
    return NULL;
}

/* All slabs on the list have a number of free objects in lowest..highest. */
static const char *check_list(const struct ash__slab_store *store, const struct ash_list *head,
                              uint32_t count, uint32_t lowest, uint32_t highest) {
    const struct ash_list *node;
    uint32_t seen = 0;
    if (ash_list_check(head, count) != NULL)
        return "I4: a list of slabs is broken, or longer than there are slabs for it";
    ash_list_for_each (node, head) {
        const struct ash__slab *slab = ASH_LIST_ENTRY(node, const struct ash__slab, link);
        if (slab->store != store || slab->free < lowest || slab->free > highest)
            return "I4: a slab is on a list that is not for its number of free objects";
        seen++;
    }
    return seen == count ? NULL : "I4: a list lacks a slab";
}

/* Every page of the slab is the cache's in the map. */
static const char *check_map(const struct ash__slab_store *store, const struct ash__slab *slab) {
    for (size_t at = 0; at <= store->mask; at += ASH_PAGE_SIZE) {
        if (ash__source_entry(store->source, (const char *)slab + at) != store->id)
            return "I6: the page map names another owner for a page of a slab";
    }
    return NULL;
}

static const char *check_slab(struct ash__slab_store *store, struct ash__slab *slab,
                              struct census *census) {
    if (((uintptr_t)slab & store->mask) != 0)
        return "I1: a slab is not aligned to its size";
    if (slab->store != store)
        return "I1: a slab's header names another store";
    census->slabs++;
    census->free += slab->free;
    const char *broken = check_map(store, slab);
    if (broken == NULL)
        broken = check_bitmap(store, slab);
    return broken != NULL ? broken : check_place(store, slab, census);
}

static const char *check_totals(const struct ash__slab_store *store, const struct census *census) {
    if (census->slabs != store->slab_count || store->slab_count != store->refills - store->releases)
        return "I5: the count of slabs differs from the slabs there are";
    if (store->slab_count * store->objects - census->free != store->out)
        return "I5: the count of objects that are taken differs from the bitmaps";
    if (census->empty != store->empties || store->empties > store->empty_max)
        return "I5: more slabs are kept empty than configured, or their count is wrong";
    if (store->relist != 1 && store->relist != ash__store_usual_relist(store))
        return "I4: full slabs are listed by neither of the two rules";
    if (store->active != NULL && !census->active_seen)
        return "I4: the active slab is not one of the store's";
    return NULL;
}

static const char *check_locked(struct ash__slab_store *store) {
    struct census census = {0};
    struct ash_list *node;
    if (ash_list_check(&store->all, store->slab_count) != NULL)
        return "I5: the list of all slabs is broken, or longer than their count";
    ash_list_for_each (node, &store->all) {
        const char *broken =
            check_slab(store, ASH_LIST_ENTRY(node, struct ash__slab, all), &census);
        if (broken != NULL)
            return broken;
    }
    uint32_t most = store->objects;
    const char *broken = check_list(store, &store->dense, census.dense, 1, store->half);
    if (broken == NULL)
        broken = check_list(store, &store->sparse, census.sparse, store->half + 1, most - 1);
    if (broken == NULL)
        broken = check_list(store, &store->empty, census.empty, most, most);
    return broken != NULL ? broken : check_totals(store, &census);
}

const char *ash__store_check(struct ash__slab_store *store) {
    ash_irq_t irq = ash__store_lock(store);
    const char *broken = check_locked(store);
    ash__store_unlock(store, irq);
    return broken;
}

/* The whole cache */

static const char *check_cpu(const struct ash_slab_cache *cache, const struct ash__slab_cpu *cpu,
                             uint32_t *magazines) {
    bool plain = cache->kind == ASH__SLAB_PLAIN, hardened = cache->kind == ASH__SLAB_HARDENED;
    uint32_t limit = cpu->loaded != NULL ? cache->capacity : 0;
    uint32_t count = ash__cpu_count(cache, cpu);
    if (count > limit || cpu->previous_count > (cpu->previous == NULL ? 0 : cache->capacity) ||
        (cpu->previous != NULL && cpu->previous->count != cpu->previous_count))
        return "I7: a CPU's magazine holds more than it can, or is counted wrongly";
    if (cpu->loaded == NULL && cpu->previous != NULL)
        return "I7: a CPU has a previous magazine and none loaded: it would never be used";
    if (cpu->limit != (plain ? limit : 0) || (!plain && cpu->count != 0) ||
        cpu->room != (hardened ? limit : 0) || (!hardened && cpu->held != 0) ||
        cpu->kept_limit != limit)
        return "I7: a CPU's fast path is open where it must not be, or shut where it need not be";
    *magazines += (cpu->loaded != NULL ? 1u : 0u) + (cpu->previous != NULL ? 1u : 0u);
    return NULL;
}

static const char *check_depot(const struct ash_slab_cache *cache, uint32_t *magazines) {
    const struct ash__slab_depot *depot = &cache->depot;
    uint32_t full = 0, empty = 0, objects = 0;
    const struct ash__slab_magazine *magazine;
    for (magazine = depot->full; magazine != NULL && full <= depot->full_count; full++) {
        objects += magazine->count;
        if (magazine->count == 0 || magazine->count > cache->capacity)
            return "I8: a magazine among the depot's full ones has no object, or too many";
        magazine = magazine->next;
    }
    for (magazine = depot->empty; magazine != NULL && empty <= depot->empty_count; empty++) {
        if (magazine->count != 0)
            return "I8: a magazine among the depot's empty ones has objects";
        magazine = magazine->next;
    }
    if (full != depot->full_count || empty != depot->empty_count || objects != depot->objects)
        return "I8: the depot's counts differ from its lists";
    if (full > depot->full_max || full + empty > 2 * depot->full_max || depot->full_least > full ||
        depot->empty_least > empty)
        return "I8: the depot holds more than it may, or less than its least";
    *magazines += full + empty;
    return NULL;
}

static const char *check_magazines(struct ash_slab_cache *cache) {
    uint32_t magazines = 0, marked;
    const char *broken = check_depot(cache, &magazines);
    for (uint32_t i = 0; broken == NULL && i < ASH_PORT_CPUS_MAX; i++)
        broken = check_cpu(cache, &cache->cpus[i], &magazines);
    if (broken != NULL)
        return broken;
    if (magazines > cache->magazines.out)
        return "I8: there are more magazines than were taken from their slabs";
    bool sound = ash__slab_cache_mark_cached(cache, &marked);
    if (sound && cache->hardened.side != 0)
        broken = ash__hardened_check(cache);
    ash__slab_cache_unmark_cached(cache, marked);
    if (broken != NULL)
        return broken;
    return sound ? NULL : "I9: a magazine holds what is no object, or is free elsewhere too";
}

const char *ash_slab_cache_check(struct ash_slab_cache *cache) {
    const char *broken = ash__store_check(&cache->slabs);
    if (broken == NULL)
        broken = ash__store_check(&cache->magazines);
    if (broken == NULL && cache->kind == ASH__SLAB_DEBUG)
        broken = ash__debug_check(cache);
    return broken != NULL ? broken : check_magazines(cache);
}
