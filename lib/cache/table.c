/* SPDX-License-Identifier: MIT */
/*
 * table.c: which frame holds a block. Open addressing by lines of four: a block is in its home
 * line, or, all lines from there on being full, in the first behind that has room. Taking one out
 * of a full line moves one of those behind that passed it back into it, so no search ever passes a
 * dead place (Knuth, TAOCP 3, 6.4, algorithm R, by lines).
 *
 * Others read the table while it is changed (cache_fast.h). A place's stamp is 0 whenever its key
 * and its frame may not belong together, and a block that moves is in its new place before it
 * leaves the old one. They may miss it even so: what they then do, they do again under the lock.
 */
#include "cache_internal.h"

uint32_t ash__cache_find(const struct ash_cache *cache, uint64_t key) {
    return ash__cache_probe(cache, key).frame;
}

static struct ash_cache_bucket *bucket_of(const struct ash_cache *cache, uint32_t slot) {
    return &cache->table[slot / ASH__CACHE_WAYS];
}

static void set(struct ash_cache *cache, uint32_t slot, uint64_t key, uint32_t frame,
                uint32_t stamp) {
    struct ash_cache_bucket *to = bucket_of(cache, slot);
    uint32_t way = slot % ASH__CACHE_WAYS;
    ash_store_relaxed(&to->stamps[way], 0u);
    ash_fence_release();
    ash_store_relaxed(&to->keys[way], key);
    ash_store_relaxed(&to->frames[way], frame);
    ash_store_release(&to->stamps[way], stamp);
    if (frame != NONE)
        cache->frames[frame].slot = slot;
}

static uint32_t next_bucket(const struct ash_cache *cache, uint32_t bucket) {
    return bucket + 1 == cache->bucket_count ? 0 : bucket + 1;
}

/* The block is there, and not to be seen yet. */
void ash__cache_table_insert(struct ash_cache *cache, uint64_t key, uint32_t frame) {
    uint32_t bucket = ash__cache_home(cache, key), room;
    while ((room = ash__cache_match(&cache->table[bucket], ASH__CACHE_NO_KEY)) == 0)
        bucket = next_bucket(cache, bucket);
    set(cache, bucket * ASH__CACHE_WAYS + ash_ctz64(room), key, frame, 0);
}

/* A way of bucket `from` whose block may as well be in the bucket `hole` before it; WAYS: none. */
static uint32_t way_that_passed(const struct ash_cache *cache, uint32_t hole, uint32_t from) {
    const struct ash_cache_bucket *bucket = &cache->table[from];
    uint32_t n = cache->bucket_count, way = 0;
    uint32_t from_hole = from >= hole ? from - hole : from + n - hole;
    for (; way < ASH__CACHE_WAYS; way++) {
        if (bucket->keys[way] == ASH__CACHE_NO_KEY)
            continue;
        uint32_t home = ash__cache_home(cache, bucket->keys[way]);
        uint32_t from_home = from >= home ? from - home : from + n - home;
        if (from_home >= from_hole)
            break;
    }
    return way;
}

void ash__cache_table_remove(struct ash_cache *cache, uint32_t frame) {
    uint32_t hole = cache->frames[frame].slot;
    uint32_t bucket = hole / ASH__CACHE_WAYS;
    cache->frames[frame].slot = NONE;
    while (ash__cache_match(&cache->table[bucket], ASH__CACHE_NO_KEY) == 0) {
        bucket = next_bucket(cache, bucket);
        uint32_t way = way_that_passed(cache, hole / ASH__CACHE_WAYS, bucket);
        if (way == ASH__CACHE_WAYS)
            continue;
        const struct ash_cache_bucket *from = &cache->table[bucket];
        set(cache, hole, from->keys[way], from->frames[way], from->stamps[way]);
        hole = bucket * ASH__CACHE_WAYS + way;
    }
    set(cache, hole, ASH__CACHE_NO_KEY, NONE, 0);
}

/* The block of `frame` is in `other` from now on. */
void ash__cache_table_replace(struct ash_cache *cache, uint32_t frame, uint32_t other) {
    set(cache, cache->frames[frame].slot, ash__cache_frame_key(cache, frame), other, 0);
    cache->frames[frame].slot = NONE;
}

static uint32_t *stamp_of(const struct ash_cache *cache, uint32_t frame) {
    uint32_t slot = cache->frames[frame].slot;
    return &bucket_of(cache, slot)->stamps[slot % ASH__CACHE_WAYS];
}

/* To those who read without a pin: not there. */
void ash__cache_hide(struct ash_cache *cache, uint32_t frame) {
    ash_store_relaxed(stamp_of(cache, frame), 0u);
    ash_fence_release();
}

void ash__cache_show(struct ash_cache *cache, uint32_t frame) {
    cache->stamp += cache->stamp == UINT32_MAX ? 2 : 1;
    ash_store_release(stamp_of(cache, frame), cache->stamp);
}
