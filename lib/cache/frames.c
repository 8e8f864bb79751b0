/* SPDX-License-Identifier: MIT */
/*
 * frames.c: a frame is free, or holds a block that is absent (to be read, and not to be pinned) or
 * there. It goes from one to the next under the lock.
 */
#include "cache_internal.h"

/* Would claim say anything but PASS? */
bool ash__cache_may_go(const struct ash_cache *cache, uint32_t frame) {
    uint16_t no = WRITER | FAILED | UNORDERED | LOST | (cache->config.strict ? 0 : DIRTY | WRITING);
    return ash_load_relaxed(&cache->hot[frame].hold) == 0 && (cache->frames[frame].flags & no) == 0;
}

/* The same where something is known of it. */
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
    if (ash_load_relaxed(&cache->hot[frame].touched) == FRESH)
        ash__cache_ahead_wasted(cache, frame);
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
    ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)0);
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
    return ash_load_sequential(&cache->hot[frame].touched) == ash_load_relaxed(&cache->touch_cap);
}

/* A hit, to the policy and to those who read ahead. */
void ash__cache_touched(struct ash_cache *cache, uint32_t frame) {
    uint8_t touched = ash_load_relaxed(&cache->hot[frame].touched);
    if (touched == FRESH) {
        ash_store_relaxed(&cache->hot[frame].touched, (uint8_t)0);
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
 * Counted without the lock. The block may be gone by then, which only means that another one is
 * thought well of; QUIET is not said of that one, as its stamp is another. Whoever takes some of
 * what was counted does so first, and sees then whether the block is QUIET; so a hit that said it
 * looks at the count once more.
 */
static void count_shared(struct ash_cache *cache, uint32_t *place, uint32_t stamp, uint32_t frame) {
    uint8_t touched = ash_load_relaxed(&cache->hot[frame].touched);
    uint32_t quiet = stamp | ASH__CACHE_QUIET;
    if (touched < ash_load_relaxed(&cache->policy)->touch_cap)
        /* Lost where another was quicker: it may be FRESH now. */
        (void)ash_compare_exchange(&cache->hot[frame].touched, &touched, (uint8_t)(touched + 1));
    if (is_counted_up(cache, frame) && ash_compare_exchange(place, &stamp, quiet) &&
        !is_counted_up(cache, frame))
        (void)ash_compare_exchange(place, &quiet, stamp);
}

static void count_owned(struct ash_cache *cache, uint32_t *place, uint32_t frame) {
    uint8_t *touched = &cache->hot[frame].touched;
    *touched = (uint8_t)(*touched + (*touched < cache->policy->touch_cap));
    if (*place != 0 && is_counted_up(cache, frame))
        *place |= ASH__CACHE_QUIET;
}

/* The same from the hit path. */
void ash__cache_touch(struct ash_cache *cache, const struct ash_cache_slot *slot, uint32_t stamp,
                      uint32_t frame, bool pinned) {
    uint8_t touched = ash_load_relaxed(&cache->hot[frame].touched);
    if (pinned && cache->pinners != NULL)
        ash_store_relaxed(&cache->pinners[frame], __builtin_return_address(0));
    if (touched != FRESH && ash_load_relaxed(&cache->policy)->touch == NULL) {
        uint32_t *place = &cache->table[slot - cache->table].stamp;
        if (cache->shared)
            count_shared(cache, place, stamp, frame);
        else
            count_owned(cache, place, frame);
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
    if (touched == FRESH)
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
