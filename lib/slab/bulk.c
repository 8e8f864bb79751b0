/* SPDX-License-Identifier: MIT */
/* bulk.c: many objects in one call, and objects set aside for a section that must not fail. */
#include "profiles.h"

/* Each by itself: callbacks run on each. */
static int alloc_each(struct ash_slab_cache *cache, void **objects, uint32_t count,
                      const void *site) {
    for (uint32_t i = 0; i < count; i++) {
        objects[i] = ash__slab_alloc_slow(cache, site);
        if (objects[i] == NULL) {
            while (i-- > 0)
                ash__slab_free_slow(cache, objects[i], site);
            return -ASH_ENOMEM;
        }
    }
    return 0;
}

static int alloc_bulk(struct ash_slab_cache *cache, void **objects, uint32_t count,
                      const void *site) {
    if (cache->kind != ASH__SLAB_PLAIN)
        return alloc_each(cache, objects, count, site);
    uint32_t done = ash__magazine_alloc_bulk(cache, objects, count);
    if (ASH_LIKELY(done == count))
        return 0;
    ash__magazine_free_bulk(cache, objects, done);
    ash__slab_cache_note_failure(cache, count);
    return -ASH_ENOMEM;
}

int ash_slab_alloc_bulk(struct ash_slab_cache *cache, void **objects, uint32_t count) {
    return alloc_bulk(cache, objects, count, __builtin_return_address(0));
}

static void free_bulk(struct ash_slab_cache *cache, void *const *objects, uint32_t count,
                      const void *site) {
    if (ASH_LIKELY(cache->kind == ASH__SLAB_PLAIN)) {
        ash__magazine_free_bulk(cache, objects, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        ash__slab_free_slow(cache, objects[i], site);
}

void ash_slab_free_bulk(struct ash_slab_cache *cache, void *const *objects, uint32_t count) {
    free_bulk(cache, objects, count, __builtin_return_address(0));
}

/*
 * Reserves: a chain of magazines that no CPU holds, each with an object at least, all but the first
 * full. So a reserve that is used up holds no memory, and does not keep its cache from fini.
 */

/* The first magazine, empty, goes back. */
static void drop_top(struct ash_slab_cache *cache, struct ash_slab_reserve *reserve) {
    struct ash__slab_magazine *top = reserve->magazines;
    reserve->magazines = top->next;
    (void)ash__magazine_delete(cache, top);
}

int ash_slab_prefill(struct ash_slab_cache *cache, struct ash_slab_reserve *reserve,
                     uint32_t count) {
    while (reserve->count < count) {
        struct ash__slab_magazine *top = reserve->magazines;
        if (top == NULL || top->count == cache->capacity) {
            top = ash__magazine_new(cache, !cache->slabs.interrupts);
            if (top == NULL)
                return -ASH_ENOMEM;
            top->next = reserve->magazines;
            reserve->magazines = top;
        }
        uint32_t room = cache->capacity - top->count, rest = count - reserve->count;
        uint32_t part = room < rest ? room : rest;
        if (alloc_bulk(cache, top->objects + top->count, part, __builtin_return_address(0)) != 0) {
            if (top->count == 0)
                drop_top(cache, reserve);
            return -ASH_ENOMEM;
        }
        for (uint32_t i = 0; i < part; i++)
            ash__profile_reserve(cache, top->objects[top->count + i]);
        top->count += part;
        reserve->count += part;
    }
    return 0;
}

void *ash_slab_alloc_reserved(struct ash_slab_cache *cache, struct ash_slab_reserve *reserve) {
    ASH_REQUIRE(reserve->count != 0,
                "slab: cache %s: nothing is set aside any more: ask ash_slab_prefill for more",
                cache->name);
    struct ash__slab_magazine *top = reserve->magazines;
    void *object = top->objects[--top->count];
    reserve->count--;
    if (top->count == 0)
        drop_top(cache, reserve);
    ash__profile_hand_out(cache, object, __builtin_return_address(0));
    return object;
}

void ash_slab_unreserve(struct ash_slab_cache *cache, struct ash_slab_reserve *reserve) {
    while (reserve->magazines != NULL) {
        struct ash__slab_magazine *top = reserve->magazines;
        for (uint32_t i = 0; i < top->count; i++)
            ash__profile_hand_out(cache, top->objects[i], __builtin_return_address(0));
        free_bulk(cache, top->objects, top->count, __builtin_return_address(0));
        drop_top(cache, reserve);
    }
    reserve->count = 0;
}
