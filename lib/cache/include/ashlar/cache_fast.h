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

#include <ashlar/cache.h>
#include <ashlar/check.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is not a plain hit. */
int ash__cache_get(struct ash_cache *cache, struct ash_cache_space *space, uint64_t index,
                   uint32_t flags, struct ash_cache_waiter *waiter, uint32_t *frame) ASH_MUST_CHECK;
void ash__cache_touch(struct ash_cache *cache, uint32_t frame);
void ash__cache_unpinned(struct ash_cache *cache);

static inline uint64_t ash__cache_key(const struct ash_cache_space *space, uint64_t index) {
    return (uint64_t)space->id << ASH_CACHE_INDEX_BITS | index;
}

/* Fibonacci hashing (Knuth, TAOCP 3, 6.4), scaled to the table by a multiplication. */
static inline uint32_t ash__cache_home(const struct ash_cache *cache, uint64_t key) {
    return (uint32_t)(((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) * cache->slot_count >> 32);
}

/* The slot that holds `key`, or the empty one behind those that it could be in. */
static inline struct ash_cache_slot *ash__cache_probe(const struct ash_cache *cache, uint64_t key,
                                                      uint32_t *frame, uint32_t *stamp) {
    struct ash_cache_slot *slot = &cache->table[ash__cache_home(cache, key)];
    struct ash_cache_slot *end = cache->table + cache->slot_count;
    for (;;) {
        *stamp = ash_load_acquire(&slot->stamp);
        uint64_t found = ash_load_relaxed(&slot->key);
        *frame = ash_load_relaxed(&slot->frame);
        if (ASH_LIKELY(found == key) || *frame == ASH_CACHE_NONE)
            return slot;
        if (++slot == end)
            slot = cache->table;
    }
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
        ash__cache_touch(cache, frame);
    ash__cache_count_hit(cache);
}

static inline int ash_cache_get(struct ash_cache *cache, struct ash_cache_space *space,
                                uint64_t index, uint32_t flags, struct ash_cache_waiter *waiter,
                                uint32_t *frame) {
    uint32_t found, stamp;
    if (ASH_UNLIKELY((flags & ~ASH_CACHE_MORE) != 0 || index >= space->blocks))
        return ash__cache_get(cache, space, index, flags, waiter, frame);
    struct ash_cache_slot *slot =
        ash__cache_probe(cache, ash__cache_key(space, index), &found, &stamp);
    if (ASH_UNLIKELY(found == ASH_CACHE_NONE))
        return ash__cache_get(cache, space, index, flags, waiter, frame);
    uint16_t *hold = &cache->hot[found].hold;
    if (!cache->shared) {
        if (ASH_UNLIKELY(*hold >= ASH_CACHE_PINS_MAX))
            return ash__cache_get(cache, space, index, flags, waiter, frame);
        *hold = (uint16_t)(*hold + 1);
    } else {
        bool pinned = stamp != 0 && ash_fetch_add(hold, (uint16_t)1) < ASH_CACHE_PINS_MAX;
        if (ASH_UNLIKELY(!pinned || ash_load_relaxed(&slot->stamp) != stamp)) {
            if (stamp != 0)
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
    /* Who waits for a frame sets starving and then looks at the pins. */
    if (ASH_UNLIKELY(left == 0 && ash_load_relaxed(&cache->starving) != 0))
        ash__cache_unpinned(cache);
}

static inline const void *ash_cache_peek(struct ash_cache *cache,
                                         const struct ash_cache_space *space, uint64_t index,
                                         struct ash_cache_view *view) {
    uint32_t frame;
    if (ASH_UNLIKELY(index >= space->blocks))
        return NULL;
    view->slot = ash__cache_probe(cache, ash__cache_key(space, index), &frame, &view->stamp);
    if (ASH_UNLIKELY(frame == ASH_CACHE_NONE || view->stamp == 0))
        return NULL;
    ash__cache_count_touch(cache, frame);
    return ash_cache_data(cache, frame);
}

static inline bool ash_cache_peek_valid(const struct ash_cache_view *view) {
    ash_fence_acquire();
    return ash_load_relaxed(&view->slot->stamp) == view->stamp;
}

#ifdef __cplusplus
}
#endif

#endif
