/* SPDX-License-Identifier: MIT */
/* table.h: what each miss does to the table, inline; where it goes on behind a full pair, and how
 * it is read meanwhile, is table.c's. */
#ifndef ASHLAR_CACHE_TABLE_H
#define ASHLAR_CACHE_TABLE_H

#include <ashlar/cache.h>

uint32_t ash__cache_table_room(const struct ash_cache *cache, uint32_t pair);
void ash__cache_table_close(struct ash_cache *cache, uint32_t hole);

static inline uint32_t ash__cache_find(const struct ash_cache *cache, uint64_t key) {
    const struct ash_cache_slot *slot;
    return ash__cache_probe(cache, key, &slot) ? slot->frame : ASH_CACHE_NONE;
}

static inline uint32_t ash__cache_home_pair(const struct ash_cache *cache, uint64_t key) {
    return 2 * (uint32_t)ash__cache_home(cache, key);
}

/* The slot of a pair that is empty, if one is. */
static inline uint32_t ash__cache_slot_in(const struct ash_cache *cache, uint32_t pair) {
    return pair + (cache->table[pair].key != ASH__CACHE_NO_KEY);
}

/* The block is there, and not to be seen yet. */
static inline void ash__cache_table_insert(struct ash_cache *cache, uint64_t key, uint32_t frame) {
    uint32_t pair = ash__cache_home_pair(cache, key), slot = ash__cache_slot_in(cache, pair);
    if (cache->table[slot].key != ASH__CACHE_NO_KEY)
        slot = ash__cache_table_room(cache, pair);
    ash_store_relaxed(&cache->table[slot].key, key); /* the stamp of an empty slot is 0 */
    ash_store_relaxed(&cache->table[slot].frame, frame);
    cache->frames[frame].slot = slot;
}

/* Keeps its frame, for those who look at it just now. */
static inline void ash__cache_table_empty(struct ash_cache *cache, uint32_t slot) {
    struct ash_cache_slot *to = &cache->table[slot];
    ash_store_relaxed(&to->stamp, 0u);
    ash_fence_release();
    ash_store_relaxed(&to->key, ASH__CACHE_NO_KEY);
}

static inline void ash__cache_table_remove(struct ash_cache *cache, uint32_t frame) {
    uint32_t slot = cache->frames[frame].slot;
    cache->frames[frame].slot = ASH_CACHE_NONE;
    if (cache->table[slot ^ 1].key == ASH__CACHE_NO_KEY)
        ash__cache_table_empty(cache, slot);
    else
        ash__cache_table_close(cache, slot);
}

/* To those who read without a pin: not there. */
static inline void ash__cache_hide(struct ash_cache *cache, uint32_t frame) {
    ash_store_relaxed(&cache->table[cache->frames[frame].slot].stamp, 0u);
    ash_fence_release();
}

static inline void ash__cache_show(struct ash_cache *cache, uint32_t frame) {
    cache->stamp = cache->stamp == ASH__CACHE_STAMP_MAX ? 1 : cache->stamp + 1;
    bool quiet = !cache->shared && cache->hot[frame].touched == cache->touch_cap;
    ash_store_release(&cache->table[cache->frames[frame].slot].stamp,
                      cache->stamp | (quiet ? ASH__CACHE_QUIET : 0));
}

#endif
