/* SPDX-License-Identifier: MIT */
/*
 * cache_fast.h: the hit path of <ashlar/cache.h>, inline. A hit reads one line of the table and
 * writes a count of pins; everything else is a call.
 *
 * Two orders of reading. One owner: as it stands. Shared: the slot may be rewritten at any moment,
 * so its stamp is read before its key and its frame, and once more behind what relies on them. A
 * stamp names one stay of one block in one frame and is never used again, so that two equal ones
 * mean that nothing moved in between; it is 0 while a block is read, written to or taken out.
 */
#ifndef ASHLAR_CACHE_FAST_H
#define ASHLAR_CACHE_FAST_H

#include <ashlar/bits.h>
#include <ashlar/cache.h>
#include <ashlar/check.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is not a plain hit. */
int ash__cache_get(struct ash_cache *cache, struct ash_cache_space *space, uint64_t index,
                   uint32_t flags, struct ash_cache_waiter *waiter, uint32_t *frame) ASH_MUST_CHECK;
void ash__cache_unpinned(struct ash_cache *cache);

static inline uint64_t ash__cache_key(const struct ash_cache_space *space, uint64_t index) {
    return (uint64_t)space->id << ASH_CACHE_INDEX_BITS | index;
}

/* Fibonacci hashing (Knuth, TAOCP 3, 6.4), scaled to the table by a multiplication. */
static inline uint32_t ash__cache_home(const struct ash_cache *cache, uint64_t key) {
    return (uint32_t)(((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) * cache->bucket_count >> 32);
}

/* A bit for each way that holds the key: at most one, but for ASH__CACHE_NO_KEY. No branch: where
 * in its line a key is cannot be foretold. */
static inline uint32_t ash__cache_match(const struct ash_cache_bucket *bucket, uint64_t key) {
    return (uint32_t)(ash_load_relaxed(&bucket->keys[0]) == key) |
           (uint32_t)(ash_load_relaxed(&bucket->keys[1]) == key) << 1 |
           (uint32_t)(ash_load_relaxed(&bucket->keys[2]) == key) << 2 |
           (uint32_t)(ash_load_relaxed(&bucket->keys[3]) == key) << 3;
}

/* Where a key was found, or its frame is ASH_CACHE_NONE. */
struct ash__cache_place {
    const uint32_t *stamped;
    uint32_t frame, stamp;
};

static inline struct ash__cache_place ash__cache_probe(const struct ash_cache *cache,
                                                       uint64_t key) {
    struct ash__cache_place place = {NULL, ASH_CACHE_NONE, 0};
    uint32_t home = ash__cache_home(cache, key);
    const struct ash_cache_bucket *bucket = &cache->table[home];
    uint32_t match = ash__cache_match(bucket, key);
    while (ASH_UNLIKELY(match == 0)) {
        if (ash__cache_match(bucket, ASH__CACHE_NO_KEY) != 0)
            return place;
        home = home + 1 == cache->bucket_count ? 0 : home + 1;
        bucket = &cache->table[home];
        match = ash__cache_match(bucket, key);
    }
    uint32_t way = ash_ctz64(match);
    place.stamped = &bucket->stamps[way];
    place.stamp = ash_load_acquire(place.stamped);
    if (!cache->shared || ash_load_relaxed(&bucket->keys[way]) == key)
        place.frame = ash_load_relaxed(&bucket->frames[way]);
    return place;
}

static inline void ash__cache_count_hit(struct ash_cache *cache) {
    if (!cache->shared) {
        cache->cpus[0].hits++;
    } else {
        uint32_t cpu;
        ash_port_pin(&cpu);
        ash_count_relaxed(&cache->cpus[cpu].hits);
        ash_port_unpin();
    }
}

static inline void ash__cache_count_touch(struct ash_cache *cache, uint32_t frame) {
    if (ASH_UNLIKELY(ash_load_relaxed(&cache->hot[frame].touched) != cache->touch_cap))
        ash_load_relaxed (&cache->touch)(cache, frame);
    ash__cache_count_hit(cache);
}

static inline int ash_cache_get(struct ash_cache *cache, struct ash_cache_space *space,
                                uint64_t index, uint32_t flags, struct ash_cache_waiter *waiter,
                                uint32_t *frame) {
    if (ASH_UNLIKELY((flags & ~ASH_CACHE_MORE) != 0 || index >= space->blocks))
        return ash__cache_get(cache, space, index, flags, waiter, frame);
    struct ash__cache_place place = ash__cache_probe(cache, ash__cache_key(space, index));
    uint32_t found = place.frame;
    if (ASH_UNLIKELY(found == ASH_CACHE_NONE))
        return ash__cache_get(cache, space, index, flags, waiter, frame);
    uint16_t *hold = &cache->hot[found].hold;
    if (!cache->shared) {
        if (ASH_UNLIKELY(*hold >= ASH_CACHE_PINS_MAX))
            return ash__cache_get(cache, space, index, flags, waiter, frame);
        *hold = (uint16_t)(*hold + 1);
    } else {
        if (ASH_UNLIKELY(place.stamp == 0))
            return ash__cache_get(cache, space, index, flags, waiter, frame);
        uint16_t before = ash_fetch_add(hold, (uint16_t)1);
        if (ASH_UNLIKELY(before >= ASH_CACHE_PINS_MAX ||
                         ash_load_relaxed(place.stamped) != place.stamp)) {
            ash_cache_put(cache, found);
            return ash__cache_get(cache, space, index, flags, waiter, frame);
        }
    }
    ash__cache_count_touch(cache, found);
    *frame = found;
    return 0;
}

static inline int ash_cache_page_get(struct ash_cache *cache, struct ash_cache_space *space,
                                     uint64_t offset, uint32_t flags,
                                     struct ash_cache_waiter *waiter, uint32_t *frame) {
    return ash_cache_get(cache, space, offset >> cache->block_shift, flags, waiter, frame);
}

static inline void *ash_cache_data(const struct ash_cache *cache, uint32_t frame) {
    return cache->data + ((size_t)frame << cache->block_shift);
}

static inline void ash_cache_put(struct ash_cache *cache, uint32_t frame) {
    uint16_t *hold = &cache->hot[frame].hold;
    uint16_t left;
    if (!cache->shared)
        left = *hold = (uint16_t)(*hold - 1);
    else
        left = (uint16_t)(ash_fetch_add(hold, (uint16_t)-1) - 1);
    ASH_REQUIRE(left != UINT16_MAX && left != ASH__CACHE_ABSENT - 1,
                "cache: put of frame %u, which nobody has pinned", frame);
    /* Who waits for a frame sets starving and then looks at the pins. The load is an acquiring one
     * to stay behind the addition, a release (Arm ARM B2.3.7; x86's additions are fences). */
    if (ASH_UNLIKELY(left == 0 && ash_load_acquire(&cache->starving) != 0))
        ash__cache_unpinned(cache);
}

static inline const void *ash_cache_peek(struct ash_cache *cache,
                                         const struct ash_cache_space *space, uint64_t index,
                                         struct ash_cache_view *view) {
    if (ASH_UNLIKELY(index >= space->blocks))
        return NULL;
    struct ash__cache_place place = ash__cache_probe(cache, ash__cache_key(space, index));
    if (ASH_UNLIKELY(place.frame == ASH_CACHE_NONE || place.stamp == 0))
        return NULL;
    view->place = place.stamped;
    view->stamp = place.stamp;
    ash__cache_count_touch(cache, place.frame);
    return ash_cache_data(cache, place.frame);
}

static inline bool ash_cache_peek_valid(const struct ash_cache_view *view) {
    ash_fence_acquire();
    return ash_load_relaxed(view->place) == view->stamp;
}

#ifdef __cplusplus
}
#endif

#endif
