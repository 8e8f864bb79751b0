/* SPDX-License-Identifier: MIT */
/* fill.c: blocks on their way from the disk, from the frame taken to those told who asked. */
#include "cache_internal.h"

/* An absent frame's block is to be read. */
void ash__cache_fill(struct ash_cache *cache, uint32_t frame, bool prefetch) {
    cache->frames[frame].flags = FILLING;
    cache->frames[frame].error = 0;
    if (prefetch) {
        cache->frames[frame].flags = FILLING | IDLE;
        ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)FRESH);
        cache->fresh++;
    }
    ash__cache_push(cache, prefetch ? &cache->prefetch : &cache->fill, WORK, frame);
}

/* Somebody waits for a block that was to be read when there is nothing better to do. */
void ash__cache_fill_now(struct ash_cache *cache, uint32_t frame) {
    if (!ash__cache_has(cache, frame, IDLE))
        return;
    cache->frames[frame].flags &= (uint16_t)~IDLE;
    ash__cache_unlink(cache, &cache->prefetch, WORK, frame);
    ash__cache_push(cache, &cache->fill, WORK, frame);
}

/* All I/Os of its read have ended. waiter: NULL, or one who is on no list. */
void ash__cache_filled(struct ash_cache *cache, uint32_t frame, int error,
                       struct ash_cache_waiter *waiter) {
    struct ash_cache_frame *f = &cache->frames[frame];
    f->flags &= (uint16_t)~FILLING;
    f->order = 0;
    if (error != 0) {
        cache->stats.read_errors++;
        if (waiter != NULL)
            ash__cache_arrived(cache, waiter, error);
        ash__cache_wait_over(cache, frame, error);
        ash__cache_ahead_failed(cache, frame);
        ash__cache_free_frame(cache, frame);
        return;
    }
    /* The disk's last sector may hold what is no longer, or not yet, the file's. */
    uint32_t sector_end = (f->valid + ASH_CACHE_SECTOR_BYTES - 1) & ~(ASH_CACHE_SECTOR_BYTES - 1);
    if (sector_end != f->valid)
        __builtin_memset((char *)ash_cache_data(cache, frame) + f->valid, 0, sector_end - f->valid);
    ash__cache_make_there(cache, frame);
    ash__cache_show(cache, frame);
    if (waiter != NULL)
        ash__cache_arrived(cache, waiter, 0);
    ash__cache_wait_over(cache, frame, 0);
}
