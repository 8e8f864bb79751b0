/* SPDX-License-Identifier: MIT */
/* stats.c: what was counted, and what is where now. */
#include "cache_internal.h"

static void count_frame(const struct ash_cache *cache, uint32_t frame,
                        struct ash_cache_stats *stats) {
    uint16_t flags = cache->frames[frame].flags;
    bool orphan = (flags & ORPHAN) != 0;
    if (cache->frames[frame].slot == NONE && !orphan) {
        stats->free += (flags & LOST) == 0;
        return;
    }
    stats->pinned += ash__cache_pins(cache, frame) != 0;
    if ((flags & FILLING) != 0)
        stats->filling++;
    else if ((flags & WRITING) != 0)
        stats->writing++;
    else if ((flags & (FAILED | UNORDERED)) != 0)
        stats->failed++;
    else if ((flags & DIRTY) != 0)
        stats->dirty++;
    else
        stats->clean++;
}

void ash_cache_get_stats(struct ash_cache *cache, struct ash_cache_stats *stats) {
    ash_irq_t irq = ash__cache_enter(cache);
    *stats = cache->stats;
    stats->blocks = cache->config.blocks;
    stats->lost = cache->lost;
    ash__cache_leave(cache, irq);
    for (uint32_t cpu = 0; cache->shared && cpu < ASH_PORT_CPUS_MAX; cpu++)
        stats->hits += ash_load_relaxed(&cache->cpus[cpu].hits);
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
        irq = ash__cache_enter(cache);
        count_frame(cache, frame, stats);
        ash__cache_leave(cache, irq);
    }
}

void ash_cache_visit_pins(struct ash_cache *cache,
                          void (*visit)(void *context, uint32_t space, uint64_t index,
                                        uint32_t pins, const void *pinner),
                          void *context) {
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
        ash_irq_t irq = ash__cache_enter(cache);
        uint32_t pins = cache->frames[frame].slot != NONE ? ash__cache_pins(cache, frame) : 0;
        uint64_t key = pins != 0 ? ash__cache_frame_key(cache, frame) : 0;
        const void *pinner =
            cache->pinners != NULL ? ash_load_relaxed(&cache->pinners[frame]) : NULL;
        ash__cache_leave(cache, irq);
        if (pins != 0)
            visit(context, (uint32_t)(key >> ASH_CACHE_INDEX_BITS), ash__cache_index(key), pins,
                  pinner);
    }
}
