/* SPDX-License-Identifier: MIT */
/* space.c: spaces come and go, and blocks of them are forgotten on purpose. */
#include "cache_internal.h"

int ash_cache_space_open(struct ash_cache *cache, struct ash_cache_space *space) {
    uint64_t blocks_max = UINT64_C(1) << ASH_CACHE_INDEX_BITS;
    if (space->id >= cache->config.spaces_max || space->blocks >= blocks_max)
        return -ASH_EINVAL;
    ash_irq_t irq = ash__cache_enter(cache);
    bool free = cache->spaces[space->id] == NULL;
    if (free) {
        ash__cache_queue_init(&space->dirty);
        ash__cache_queue_init(&space->failed);
        ash_list_init(&space->link);
        space->frames = 0;
        space->first_key = (uint64_t)space->id << ASH_CACHE_INDEX_BITS;
        cache->spaces[space->id] = space;
    }
    ash__cache_leave(cache, irq);
    return free ? 0 : -ASH_EEXIST;
}

/* Forgets a block, dirty or not; false: somebody needs it. */
static bool drop(struct ash_cache *cache, uint32_t frame, bool dirty) {
    struct ash_cache_frame *f = &cache->frames[frame];
    if ((f->flags & (WRITING | WRITER | FILLING | EMPTY | BEHIND)) != 0 ||
        (!dirty && (f->flags & DIRTY) != 0) || ash__cache_is_waited_for(cache, frame) ||
        !ash__cache_make_absent(cache, frame))
        return false;
    if ((f->flags & DIRTY) != 0) {
        ash__cache_settle(cache, frame, cache->epoch, 0);
        ash__cache_written_over(cache, frame, -ASH_ENOENT);
        ash__cache_clean(cache, frame);
    }
    ash__cache_free_frame(cache, frame);
    return true;
}

/* Blocks [first, last] of a space; the cheaper of looking for each, and looking at all frames. The
 * lock is let go now and then. */
static bool drop_range(struct ash_cache *cache, const struct ash_cache_space *space, uint64_t first,
                       uint64_t last, bool dirty) {
    enum { AT_A_TIME = 64 };
    bool by_index = last - first < cache->config.blocks;
    uint64_t end = by_index ? last - first + 1 : cache->config.blocks;
    bool all = true;
    ash_irq_t irq = ash__cache_enter(cache);
    ash__cache_require_open(cache, space);
    for (uint64_t i = 0; i < end && space->frames != 0; i++) {
        uint32_t frame = (uint32_t)i;
        if (by_index)
            frame = ash__cache_find(cache, ash__cache_key(space, first + i));
        if (frame != NONE && cache->frames[frame].slot != NONE) {
            uint64_t key = ash__cache_frame_key(cache, frame);
            uint64_t index = ash__cache_index(key);
            bool meant =
                key >> ASH_CACHE_INDEX_BITS == space->id && index >= first && index <= last;
            if (meant && !drop(cache, frame, dirty))
                all = false;
        }
        if (i % AT_A_TIME == AT_A_TIME - 1) {
            ash__cache_leave(cache, irq);
            irq = ash__cache_enter(cache);
        }
    }
    ash__cache_leave(cache, irq);
    return all;
}

int ash_cache_discard(struct ash_cache *cache, struct ash_cache_space *space, uint64_t first,
                      uint64_t count, bool dirty) {
    if (count == 0)
        return 0;
    uint64_t last = count - 1 > UINT64_MAX - first ? UINT64_MAX : first + count - 1;
    bool all = drop_range(cache, space, first, last, dirty);
    ash__cache_run(cache, ash__cache_enter(cache));
    return all ? 0 : -ASH_EBUSY;
}

int ash_cache_space_close(struct ash_cache *cache, struct ash_cache_space *space) {
    if (!drop_range(cache, space, 0, UINT64_MAX, false))
        return -ASH_EBUSY;
    ash_irq_t irq = ash__cache_enter(cache);
    bool empty = space->frames == 0 && !ash__cache_is_asked_of(cache, space);
    for (struct ash_list *link = cache->flushes.next; link != &cache->flushes; link = link->next)
        empty &= ASH_LIST_ENTRY(link, struct ash_cache_flush_request, link)->space != space;
    if (empty) {
        cache->spaces[space->id] = NULL;
        ash__cache_ahead_close(cache, space);
    }
    ash__cache_leave(cache, irq);
    return empty ? 0 : -ASH_EBUSY;
}
