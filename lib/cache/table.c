/* SPDX-License-Identifier: MIT */
/*
 * table.c: which frame holds a block. Open addressing with linear probing; taking one out moves
 * those behind it back (Knuth, TAOCP 3, 6.4, algorithm R), so no search ever passes a dead slot.
 *
 * Others read the table while it is changed (cache_fast.h). A slot's stamp is 0 whenever its key
 * and its frame may not belong together, and a block that moves is in its new slot before it leaves
 * the old one. They may miss it even so: what they then do, they do again under the lock.
 */
#include "cache_internal.h"

uint32_t ash__cache_find(const struct ash_cache *cache, uint64_t key) {
    uint32_t frame, stamp;
    ash__cache_probe(cache, key, &frame, &stamp);
    return frame;
}

static void set(struct ash_cache *cache, uint32_t slot, uint64_t key, uint32_t frame,
                uint32_t stamp) {
    struct ash_cache_slot *to = &cache->table[slot];
    ash_store_relaxed(&to->stamp, 0u);
    ash_fence_release();
    ash_store_relaxed(&to->key, key);
    ash_store_relaxed(&to->frame, frame);
    ash_store_release(&to->stamp, stamp);
    if (frame != NONE)
        cache->frames[frame].slot = slot;
}

/* The block is there, and not to be seen yet. */
void ash__cache_table_insert(struct ash_cache *cache, uint64_t key, uint32_t frame) {
    uint32_t found, stamp;
    struct ash_cache_slot *slot = ash__cache_probe(cache, key, &found, &stamp);
    ASH_ASSERT(found == NONE);
    set(cache, (uint32_t)(slot - cache->table), key, frame, 0);
}

void ash__cache_table_remove(struct ash_cache *cache, uint32_t frame) {
    uint32_t hole = cache->frames[frame].slot, n = cache->slot_count;
    cache->frames[frame].slot = NONE;
    for (uint32_t i = hole;;) {
        i = i + 1 == n ? 0 : i + 1;
        const struct ash_cache_slot *slot = &cache->table[i];
        if (slot->frame == NONE)
            break;
        uint32_t home = ash__cache_home(cache, slot->key);
        uint32_t from_home = i >= home ? i - home : i + n - home;
        uint32_t from_hole = i >= hole ? i - hole : i + n - hole;
        if (from_home >= from_hole) {
            set(cache, hole, slot->key, slot->frame, slot->stamp);
            hole = i;
        }
    }
    set(cache, hole, cache->table[hole].key, NONE, 0);
}

/* The block of `frame` is in `other` from now on. */
void ash__cache_table_replace(struct ash_cache *cache, uint32_t frame, uint32_t other) {
    uint32_t slot = cache->frames[frame].slot;
    set(cache, slot, cache->table[slot].key, other, 0);
    cache->frames[frame].slot = NONE;
}

/* To those who read without a pin: not there. */
void ash__cache_hide(struct ash_cache *cache, uint32_t frame) {
    ash_store_relaxed(&cache->table[cache->frames[frame].slot].stamp, 0u);
    ash_fence_release();
}

void ash__cache_show(struct ash_cache *cache, uint32_t frame) {
    cache->stamp += cache->stamp == UINT32_MAX ? 2 : 1;
    ash_store_release(&cache->table[cache->frames[frame].slot].stamp, cache->stamp);
}
