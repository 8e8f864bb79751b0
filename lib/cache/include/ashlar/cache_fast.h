/* SPDX-License-Identifier: MIT */
/*
 * cache_fast.h: the hit path of <ashlar/cache.h>, inline. A hit reads one line of the table and
 * writes a count of pins, and a date where "lru" has one owner; everything else is a call, as what
 * other policies are told of it: once a block was hit as often as the policy counts, its slot says
 * so to one owner (QUIET), until the policy counts anew. Where it is shared, `touched` says so.
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
void ash__cache_unpinned(struct ash_cache *cache);
/* A hit that counts. pinned: by a get, which visit_pins is to name. */
void ash__cache_touch(struct ash_cache *cache, const struct ash_cache_slot *slot, uint32_t frame,
                      bool pinned);
/* Dates begin anew, in the same order. O(blocks). */
void ash__cache_redate(struct ash_cache *cache);

static inline bool ash__cache_is_quiet(uint32_t stamp) {
    return (stamp & ASH__CACHE_QUIET) != 0;
}

/* Of the same stay? */
static inline bool ash__cache_same_stamp(uint32_t a, uint32_t b) {
    return ((a ^ b) & ~ASH__CACHE_QUIET) == 0;
}

static inline uint64_t ash__cache_key(const struct ash_cache_space *space, uint64_t index) {
    return space->first_key + index;
}

/* Fibonacci hashing (Knuth, TAOCP 3, 6.4), scaled to the table by a multiplication. */
static inline uint64_t ash__cache_home(const struct ash_cache *cache, uint64_t key) {
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)(key * UINT64_C(0x9e3779b97f4a7c15)) * cache->pair_count >> 64);
}

/* A pair of slots without the key: does the search go on behind it? Then this becomes the next. */
static inline bool ash__cache_next_pair(const struct ash_cache *cache,
                                        const struct ash_cache_slot **pair) {
    if (ash_load_relaxed(&(*pair)[0].key) == ASH__CACHE_NO_KEY ||
        ash_load_relaxed(&(*pair)[1].key) == ASH__CACHE_NO_KEY)
        return false;
    *pair += 2;
    if (ASH_UNLIKELY(*pair == cache->table + 2 * cache->pair_count))
        *pair = cache->table;
    return true;
}

/* The slot of a key, for one owner or under the lock; false: there is none. Which slot of its pair
 * cannot be foretold, and is no branch; whether it is there can. */
static inline bool ash__cache_probe(const struct ash_cache *cache, uint64_t key,
                                    const struct ash_cache_slot **slot) {
    const struct ash_cache_slot *pair = &cache->table[2 * ash__cache_home(cache, key)];
    do {
        *slot = pair + (pair[1].key == key);
        if (ASH_LIKELY((*slot)->key == key))
            return true;
    } while (ash__cache_next_pair(cache, &pair));
    return false;
}

/* The same while others change the table; *stamp is the slot's before its key was looked at. */
static inline bool ash__cache_probe_shared(const struct ash_cache *cache, uint64_t key,
                                           const struct ash_cache_slot **slot, uint32_t *stamp) {
    const struct ash_cache_slot *pair = &cache->table[2 * ash__cache_home(cache, key)];
    do {
        *slot = pair + (ash_load_relaxed(&pair[1].key) == key);
        *stamp = ash_load_acquire(&(*slot)->stamp);
        if (ASH_LIKELY(ash_load_relaxed(&(*slot)->key) == key))
            return *stamp != 0;
    } while (ash__cache_next_pair(cache, &pair));
    return false;
}

static inline void ash__cache_count_shared_hit(struct ash_cache *cache) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    ash_count_relaxed(&cache->cpus[cpu].hits);
    ash_port_unpin();
}

/* A hit of "lru", with one owner or under the lock. */
static inline void ash__cache_date(struct ash_cache *cache, uint32_t frame) {
    uint32_t now = cache->now + 1;
    cache->now = now;
    cache->dates[frame] = now;
    if (ASH_UNLIKELY(now >= ASH__CACHE_DATE_MAX))
        ash__cache_redate(cache);
}

/* stamp: its slot's, as it was found. No block is QUIET where several CPUs read the table, as to
 * write that there would cost all of them a line: they look at `touched`. */
static inline void ash__cache_note_hit(struct ash_cache *cache, const struct ash_cache_slot *slot,
                                       uint32_t stamp, uint32_t frame, bool pinned) {
    if (ASH_LIKELY(ash__cache_is_quiet(stamp)))
        return;
    if (ash_load_relaxed(&cache->hits_are_dated) && cache->fresh == 0)
        ash__cache_date(cache, frame);
    else if (ash_load_relaxed(&cache->hot[frame].touched) != ash_load_relaxed(&cache->touch_cap))
        ash__cache_touch(cache, slot, frame, pinned);
}

/* A pin of what a hit found; false: it is no plain hit. */
static inline bool ash__cache_hit(struct ash_cache *cache, uint64_t key, uint32_t *frame) {
    const struct ash_cache_slot *slot;
    if (ASH_UNLIKELY(!ash__cache_probe(cache, key, &slot)))
        return false;
    uint32_t found = slot->frame;
    uint16_t *hold = &cache->hot[found].hold;
    if (ASH_UNLIKELY(*hold >= ASH_CACHE_PINS_MAX))
        return false;
    *hold = (uint16_t)(*hold + 1);
    ash__cache_note_hit(cache, slot, slot->stamp, found, true);
    cache->stats.hits++;
    *frame = found;
    return true;
}

static inline bool ash__cache_hit_shared(struct ash_cache *cache, uint64_t key, uint32_t *frame) {
    const struct ash_cache_slot *slot;
    uint32_t stamp;
    if (ASH_UNLIKELY(!ash__cache_probe_shared(cache, key, &slot, &stamp)))
        return false;
    uint32_t found = ash_load_relaxed(&slot->frame);
    uint16_t before = ash_fetch_add(&cache->hot[found].hold, (uint16_t)1);
    if (ASH_UNLIKELY(before >= ASH_CACHE_PINS_MAX ||
                     !ash__cache_same_stamp(ash_load_relaxed(&slot->stamp), stamp))) {
        ash_cache_put(cache, found);
        return false;
    }
    ash__cache_note_hit(cache, slot, stamp, found, true);
    ash__cache_count_shared_hit(cache);
    *frame = found;
    return true;
}

static inline int ash_cache_get(struct ash_cache *cache, struct ash_cache_space *space,
                                uint64_t index, uint32_t flags, struct ash_cache_waiter *waiter,
                                uint32_t *frame) {
    const uint32_t no_matter = ASH_CACHE_MORE | ASH_CACHE_CACHED; /* to a hit */
    if (ASH_LIKELY((flags & ~no_matter) == 0 && index < space->blocks)) {
        uint64_t key = ash__cache_key(space, index);
        if (ASH_LIKELY(!cache->shared ? ash__cache_hit(cache, key, frame)
                                      : ash__cache_hit_shared(cache, key, frame)))
            return 0;
    }
    return ash__cache_get(cache, space, index, flags, waiter, frame);
}

static inline int ash_cache_page_get(struct ash_cache *cache, struct ash_cache_space *space,
                                     uint64_t offset, uint32_t flags,
                                     struct ash_cache_waiter *waiter, uint32_t *frame) {
    return ash_cache_get(cache, space, offset >> cache->block_shift, flags, waiter, frame);
}

static inline uint32_t ash_cache_space_dirty(const struct ash_cache_space *space) {
    return space->dirty.length + space->failed.length;
}

static inline void *ash_cache_data(const struct ash_cache *cache, uint32_t frame) {
    return cache->data + ((size_t)frame << cache->block_shift);
}

static inline void ash_cache_put(struct ash_cache *cache, uint32_t frame) {
    uint16_t *hold = &cache->hot[frame].hold;
    uint16_t before;
    if (!cache->shared) {
        before = *hold;
        *hold = (uint16_t)(before - 1);
    } else {
        before = ash_fetch_add(hold, (uint16_t)-1);
    }
    ASH_REQUIRE((before & (ASH__CACHE_ABSENT - 1)) != 0,
                "cache: put of frame %u, which nobody has pinned", frame);
    /* Who waits for a frame sets starving and then looks at the pins. The load stays behind the
     * addition, a release: LDAR, not LDAPR (Arm ARM B2.3.7); x86's additions are fences. */
    if (ASH_UNLIKELY(ash_load_sequential(&cache->starving) != 0) && before == 1)
        ash__cache_unpinned(cache);
}

static inline const void *ash_cache_peek(struct ash_cache *cache,
                                         const struct ash_cache_space *space, uint64_t index,
                                         struct ash_cache_view *view) {
    if (ASH_UNLIKELY(index >= space->blocks))
        return NULL;
    const struct ash_cache_slot *slot;
    uint64_t key = ash__cache_key(space, index);
    bool shared = cache->shared;
    if (!shared) {
        if (ASH_UNLIKELY(!ash__cache_probe(cache, key, &slot)))
            return NULL;
        view->stamp = slot->stamp;
    } else if (ASH_UNLIKELY(!ash__cache_probe_shared(cache, key, &slot, &view->stamp))) {
        return NULL;
    }
    view->place = &slot->stamp;
    uint32_t frame = ash_load_relaxed(&slot->frame);
    if (ASH_UNLIKELY(!ash__cache_is_quiet(view->stamp))) {
        if (view->stamp == 0)
            return NULL;
        ash__cache_note_hit(cache, slot, view->stamp, frame, false);
    }
    if (!shared)
        cache->stats.hits++;
    else
        ash__cache_count_shared_hit(cache);
    return ash_cache_data(cache, frame);
}

static inline bool ash_cache_peek_valid(const struct ash_cache_view *view) {
    ash_fence_acquire();
    return ash__cache_same_stamp(ash_load_relaxed(view->place), view->stamp);
}

#ifdef __cplusplus
}
#endif

#endif
