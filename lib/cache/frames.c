/* SPDX-License-Identifier: MIT */
/*
 * frames.c: a frame is free, or holds a block that is absent (to be read, and not to be pinned) or
 * there. It goes from one to the next under the lock.
 */
#include "cache_internal.h"

ASH_EVENT_DEFINE(event_evict, "cache.evict", "space:x,frame");

/* Would claim say anything but PASS? */
bool ash__cache_may_go(const struct ash_cache *cache, uint32_t frame) {
    uint16_t no = WRITER | FAILED | UNORDERED | LOST | (cache->config.strict ? 0 : DIRTY | WRITING);
    return ash_load_relaxed(&cache->hot[frame].hold) == 0 && (cache->frames[frame].flags & no) == 0;
}

/* ash__cache_claim, where something is known of the frame. */
enum ash__cache_claim ash__cache_claim_used(struct ash_cache *cache, uint32_t frame) {
    uint16_t flags = cache->frames[frame].flags;
    if (ash_load_relaxed(&cache->hot[frame].hold) != 0 ||
        (flags & (WRITER | FAILED | UNORDERED | LOST)) != 0)
        return PASS;
    if ((flags & (DIRTY | WRITING)) != 0) {
        /* It would have gone: it is written next. Not all of them, where all are dirty. */
        if ((flags & WRITING) == 0 && cache->urgent < cache->config.depth)
            ash__cache_hurry(cache, frame);
        return cache->config.strict ? STOP : PASS;
    }
    return ash__cache_make_absent(cache, frame) ? CLAIMED : PASS;
}

/* Forgets the block of an absent frame. */
static inline __attribute__((always_inline)) void unbind(struct ash_cache *cache, uint32_t frame,
                                                         bool evicted) {
    if (ash__cache_is_fresh(cache, frame))
        ash__cache_ahead_wasted(cache, frame);
    if (evicted)
        ASH_EVENT(event_evict, (uintptr_t)ash__cache_space(cache, frame), frame);
    ash__cache_space(cache, frame)->frames--;
    cache->policy->remove(cache, frame, evicted);
    ash__cache_table_remove(cache, frame);
}

/*
 * An absent frame in which the block now is, out of those that are free or the policy's choice;
 * NONE: there is none. The victim is chosen first and the ghost taken then, so that nothing has
 * happened where there is none.
 */
uint32_t ash__cache_take_frame(struct ash_cache *cache, struct ash_cache_space *space,
                               uint64_t index) {
    uint64_t key = ash__cache_key(space, index);
    bool reused = cache->free_frames.length == 0;
    uint32_t frame = reused ? cache->policy->victim(cache) : cache->free_frames.last;
    if (frame == NONE)
        return NONE;
    bool remembered = cache->policy->recall != NULL && cache->policy->recall(cache, key);
    cache->stats.ghost_hits += remembered;
    if (reused) {
        cache->stats.evictions++;
        unbind(cache, frame, true);
    } else {
        ash__cache_unlink(cache, &cache->free_frames, WORK, frame);
    }
    cache->frames[frame].flags = 0;
    cache->frames[frame].order = 0;
    cache->frames[frame].parts = cache->frames[frame].retries = 0;
    ash__cache_make_new(cache, frame);
    ash__cache_table_insert(cache, key, frame);
    space->frames++;
    cache->policy->insert(cache, frame, remembered);
    return frame;
}

/* The block of an absent frame is not worth keeping. */
void ash__cache_free_frame(struct ash_cache *cache, uint32_t frame) {
    if (cache->frames[frame].slot != NONE)
        unbind(cache, frame, false);
    if (ash__cache_has(cache, frame, LOST)) { /* the device may still write to it */
        cache->frames[frame].flags = LOST;
        cache->lost++;
        return;
    }
    cache->frames[frame].flags = 0;
    ash__cache_push_last(cache, &cache->free_frames, WORK, frame);
}

/* Forgets a block that is there, clean, and nobody's; false: it is not so. */
bool ash__cache_forget(struct ash_cache *cache, uint32_t frame) {
    if (cache->frames[frame].flags != 0 || !ash__cache_make_absent(cache, frame))
        return false;
    ash__cache_free_frame(cache, frame);
    return true;
}

/* An absent frame without a block; NONE: there is none. */
uint32_t ash__cache_spare_frame(struct ash_cache *cache) {
    uint32_t frame = ash__cache_pop_last(cache, &cache->free_frames, WORK);
    if (frame != NONE)
        return frame;
    frame = cache->policy->victim(cache);
    if (frame != NONE) {
        cache->stats.evictions++;
        unbind(cache, frame, true);
    }
    return frame;
}

/* Where no frame can be had: is there one that may become so by itself? */
bool ash__cache_may_free(const struct ash_cache *cache) {
    return cache->io_free_count != cache->config.depth || cache->fill.length != 0 ||
           cache->prefetch.length != 0 || cache->urgent != 0 || cache->orphans.length != 0;
}

/* Was it hit as often as the policy counts? */
static bool is_counted_up(const struct ash_cache *cache, uint32_t frame) {
    return ash_load_relaxed(&cache->hot[frame].touched) == cache->touch_cap;
}

/* A hit, to the policy and to those who read ahead. */
void ash__cache_touched(struct ash_cache *cache, uint32_t frame) {
    uint8_t touched = ash_load_relaxed(&cache->hot[frame].touched);
    if (ash__cache_is_fresh(cache, frame)) {
        ash__cache_set_fresh(cache, frame, false);
        ash__cache_ahead_used(cache, frame);
    } else if (cache->policy->touch != NULL) {
        cache->policy->touch(cache, frame);
    } else {
        if (touched < cache->policy->touch_cap)
            ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)(touched + 1));
        if (is_counted_up(cache, frame))
            ash__cache_hush(cache, frame);
    }
}

/*
 * Without the lock, and as a plain store: of two hits at once one may be lost, what the hand takes
 * meanwhile may come back, and the block may be gone by then. So one is thought a little better or
 * worse of, nothing else: a count says what policies like, never what is true of a block. QUIET is
 * not said here: the lines of the table are those that all CPUs have to read.
 */
static void count_shared(struct ash_cache *cache, uint32_t frame) {
    uint8_t touched = ash_load_relaxed(&cache->hot[frame].touched);
    if (touched < ash_load_relaxed(&cache->policy)->touch_cap)
        ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)(touched + 1));
}

static void count_owned(struct ash_cache *cache, uint32_t *place, uint32_t frame) {
    uint8_t *touched = &cache->hot[frame].touched;
    *touched = (uint8_t)(*touched + (*touched < cache->policy->touch_cap));
    if (*place != 0 && is_counted_up(cache, frame))
        *place |= ASH__CACHE_QUIET;
}

/* The same from the hit path. */
void ash__cache_touch(struct ash_cache *cache, const struct ash_cache_slot *slot, uint32_t frame,
                      bool pinned) {
    bool fresh = ash__cache_is_fresh(cache, frame);
    if (pinned && cache->pinners != NULL)
        ash_store_relaxed(&cache->pinners[frame], __builtin_return_address(0));
    if (!fresh && ash_load_relaxed(&cache->policy)->touch == NULL) {
        if (cache->shared)
            count_shared(cache, frame);
        else
            count_owned(cache, &cache->table[slot - cache->table].stamp, frame);
        return;
    }
    ash_irq_t irq = 0;
    if (cache->shared) {
        irq = ash_port_irq_save();
        if (!ash_spin_trylock(&cache->lock)) {
            ash_port_irq_restore(irq);
            return;
        }
    }
    bool there = cache->frames[frame].slot != NONE && !ash__cache_has(cache, frame, FILLING);
    if (there)
        ash__cache_touched(cache, frame);
    if (fresh)
        ash__cache_run(cache, irq);
    else
        ash__cache_leave(cache, irq);
}

/* Somebody waits for a frame, and a pin was given back. */
void ash__cache_unpinned(struct ash_cache *cache) {
    ash__cache_run(cache, ash__cache_enter(cache));
}

/* Unpinned under the lock, so that no other block has taken the frame when it is looked at. */
void ash_cache_put_behind(struct ash_cache *cache, uint32_t frame) {
    uint16_t *hold = &cache->hot[frame].hold;
    ash_irq_t irq = ash__cache_enter(cache);
    ASH_REQUIRE(ash__cache_pins(cache, frame) != 0,
                "cache: put_behind of frame %u, which nobody has pinned", frame);
    if (cache->shared)
        (void)ash_fetch_add(hold, (uint16_t)-1);
    else
        *hold = (uint16_t)(*hold - 1);
    (void)ash__cache_forget(cache, frame);
    ash__cache_run(cache, irq);
}
