/* SPDX-License-Identifier: MIT */
/*
 * table.c: which frame holds a block. Open addressing by pairs: a block is in its home pair, or,
 * all pairs from there on being full, in the first behind that has room. Taking one out of a full
 * pair moves one of those behind that passed it back into it, so no search ever passes a dead
 * place (Knuth, TAOCP 3, 6.4, algorithm R, by pairs).
 *
 * Others read the table while it is changed (cache_fast.h). A place's stamp is 0 whenever its key
 * and its frame may not belong together, and a block that moves is in its new place before it
 * leaves the old one. They may miss it even so: what they then do, they do again under the lock.
 */
#include "cache_internal.h"

static void set(struct ash_cache *cache, uint32_t slot, uint64_t key, uint32_t frame,
                uint32_t stamp) {
    struct ash_cache_slot *to = &cache->table[slot];
    ash_store_relaxed(&to->stamp, 0u);
    ash_fence_release();
    ash_store_relaxed(&to->key, key);
    ash_store_relaxed(&to->frame, frame);
    ash_store_release(&to->stamp, stamp);
    cache->frames[frame].slot = slot;
}

static uint32_t next_pair(const struct ash_cache *cache, uint32_t pair) {
    return pair + 2 == 2 * cache->pair_count ? 0 : pair + 2;
}

/* How many slots `pair` is behind `from`. */
static uint32_t distance(const struct ash_cache *cache, uint32_t from, uint32_t pair) {
    return pair >= from ? pair - from : pair + 2 * (uint32_t)cache->pair_count - from;
}

/* An empty slot of the pair; NONE: it is full. */
static uint32_t room_in(const struct ash_cache *cache, uint32_t pair) {
    uint32_t slot = ash__cache_slot_in(cache, pair);
    return cache->table[slot].key == ASH__CACHE_NO_KEY ? slot : NONE;
}

/* The first empty slot behind a pair that has none. */
uint32_t ash__cache_table_room(const struct ash_cache *cache, uint32_t pair) {
    uint32_t slot;
    do {
        pair = next_pair(cache, pair);
        slot = room_in(cache, pair);
    } while (slot == NONE);
    return slot;
}

/* A slot of the pair whose block may as well be in the pair `hole` before it; NONE. */
static uint32_t slot_that_passed(const struct ash_cache *cache, uint32_t hole, uint32_t pair) {
    for (uint32_t slot = pair; slot < pair + 2; slot++) {
        uint64_t key = cache->table[slot].key;
        if (key != ASH__CACHE_NO_KEY &&
            distance(cache, ash__cache_home_pair(cache, key), pair) >= distance(cache, hole, pair))
            return slot;
    }
    return NONE;
}

/* `hole` is to be empty, in a pair of which the other slot is not. */
void ash__cache_table_close(struct ash_cache *cache, uint32_t hole) {
    uint32_t pair = hole & ~1u;
    do {
        pair = next_pair(cache, pair);
        uint32_t slot = slot_that_passed(cache, hole & ~1u, pair);
        if (slot == NONE)
            continue;
        const struct ash_cache_slot *from = &cache->table[slot];
        set(cache, hole, from->key, from->frame, ash_load_relaxed(&from->stamp));
        hole = slot;
    } while (room_in(cache, pair) == NONE);
    ash__cache_table_empty(cache, hole);
}

/* The block of `frame` is in `other` from now on. */
void ash__cache_table_replace(struct ash_cache *cache, uint32_t frame, uint32_t other) {
    set(cache, cache->frames[frame].slot, ash__cache_frame_key(cache, frame), other, 0);
    cache->frames[frame].slot = NONE;
}

/* Its hits change nothing any more, of one owner's. A block that is not to be seen says so when it
 * is shown. */
void ash__cache_hush(struct ash_cache *cache, uint32_t frame) {
    uint32_t *stamp = &cache->table[cache->frames[frame].slot].stamp;
    if (!cache->shared && *stamp != 0)
        *stamp |= ASH__CACHE_QUIET;
}

/* They count again: fewer of them than could be are known from now on. */
void ash__cache_listen(struct ash_cache *cache, uint32_t frame) {
    uint32_t slot = cache->frames[frame].slot;
    if (!cache->shared && slot != NONE) /* without a block: where all frames are a ring */
        cache->table[slot].stamp &= ~ASH__CACHE_QUIET;
}
