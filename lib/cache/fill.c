/* SPDX-License-Identifier: MIT */
/* fill.c: blocks in line to be read, at once or when there is nothing better to do. */
#include "cache_internal.h"

/* An absent frame's block is to be read. */
void ash__cache_fill(struct ash_cache *cache, uint32_t frame, bool prefetch) {
    cache->frames[frame].flags = FILLING;
    cache->frames[frame].error = 0;
    if (prefetch) {
        cache->frames[frame].flags = FILLING | IDLE;
        ash__cache_set_fresh(cache, frame, true);
        cache->fresh++;
    }
    ash__cache_push(cache, prefetch ? &cache->prefetch : &cache->fill, WORK, frame);
    cache->again = true;
}

/* Somebody waits for a block that was to be read when there is nothing better to do. */
void ash__cache_fill_now(struct ash_cache *cache, uint32_t frame) {
    if (!ash__cache_has(cache, frame, IDLE))
        return;
    cache->frames[frame].flags &= (uint16_t)~IDLE;
    ash__cache_unlink(cache, &cache->prefetch, WORK, frame);
    ash__cache_push(cache, &cache->fill, WORK, frame);
}
