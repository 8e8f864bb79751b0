/* SPDX-License-Identifier: MIT */
/*
 * pins.h: who may have a frame; inline, as a miss asks four times. Pins are taken and given back
 * without the lock: so taking a frame away is one exchange of "no pins" for "absent", and pinning
 * one is an addition that is taken back where the frame turns out to be absent.
 */
#ifndef ASHLAR_CACHE_PINS_H
#define ASHLAR_CACHE_PINS_H

#include <ashlar/cache.h>

static inline uint32_t ash__cache_pins(const struct ash_cache *cache, uint32_t frame) {
    return ash_load_relaxed(&cache->hot[frame].hold) & ~ASH__CACHE_ABSENT;
}

/* One more pin; false: there are as many as can be counted. The block is there, or its only writer
 * asks. */
static inline bool ash__cache_pin(struct ash_cache *cache, uint32_t frame, const void *pinner) {
    uint16_t *hold = &cache->hot[frame].hold;
    if (!cache->shared) {
        if ((*hold & ~ASH__CACHE_ABSENT) >= ASH_CACHE_PINS_MAX)
            return false;
        *hold = (uint16_t)(*hold + 1);
    } else if ((ash_fetch_add(hold, (uint16_t)1) & ~ASH__CACHE_ABSENT) >= ASH_CACHE_PINS_MAX) {
        (void)ash_fetch_add(hold, (uint16_t)-1);
        return false;
    }
    if (cache->pinners != NULL)
        ash_store_relaxed(&cache->pinners[frame], pinner);
    return true;
}

/* Nobody has it pinned, and from now on nobody can. */
static inline bool ash__cache_make_absent(struct ash_cache *cache, uint32_t frame) {
    uint16_t *hold = &cache->hot[frame].hold, none = 0;
    if (cache->shared)
        return ash_compare_exchange(hold, &none, (uint16_t)ASH__CACHE_ABSENT);
    if (*hold != 0)
        return false;
    *hold = ASH__CACHE_ABSENT;
    return true;
}

/* It can be pinned from now on; others may be in the middle of trying to. */
static inline void ash__cache_make_there(struct ash_cache *cache, uint32_t frame) {
    uint16_t *hold = &cache->hot[frame].hold;
    if (cache->shared)
        (void)ash_fetch_add(hold, (uint16_t)-ASH__CACHE_ABSENT);
    else
        *hold = (uint16_t)(*hold - ASH__CACHE_ABSENT);
}

#endif
