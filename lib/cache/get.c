/* SPDX-License-Identifier: MIT */
/* get.c: a block is asked for, and is not simply there. */
#include "cache_internal.h"

ASH_EVENT_DEFINE(event_miss, "cache.miss", "space:x,block");

/* A block that is there is pinned for a writer, who is the only one. */
static int pin_for_writing(struct ash_cache *cache, struct ash_cache_waiter *want) {
    struct ash_cache_frame *f = &cache->frames[want->frame];
    if (!ash__cache_pin(cache, want->frame, want->pinner))
        return -ASH_EAGAIN;
    f->flags |= WRITER;
    cache->reserved += (f->flags & DIRTY) == 0; /* it will be dirty, and counts as if it were */
    ash__cache_hide(cache, want->frame);
    return 0;
}

/* Another frame takes the place of one that is being written; false: there is none, or somebody has
 * pinned the block, who is to see it change. */
static bool replace(struct ash_cache *cache, struct ash_cache_waiter *want) {
    uint32_t frame = want->frame;
    if (cache->frames[frame].parts == 0 || ash__cache_pins(cache, frame) != 0)
        return false;
    uint32_t other = ash__cache_spare_frame(cache);
    if (other == NONE)
        return false;
    if (!ash__cache_make_absent(cache, frame)) {
        ash__cache_free_frame(cache, other);
        return false;
    }
    cache->stats.copies++;
    ash__cache_orphan(cache, frame, other);
    want->copy_of = frame;
    want->frame = other;
    return true;
}

/* The bytes of a block that was replaced, or that is new; the lock is let go for them. */
void ash__cache_finish(struct ash_cache *cache, struct ash_cache_waiter *want, ash_irq_t *irq) {
    size_t bytes = (size_t)1 << cache->block_shift;
    uint32_t from = want->copy_of;
    want->copy_of = NONE;
    bool is_new = from == want->frame;
    ash__cache_leave(cache, *irq);
    if (is_new)
        __builtin_memset(ash_cache_data(cache, from), 0, bytes);
    else
        __builtin_memcpy(ash_cache_data(cache, want->frame), ash_cache_data(cache, from), bytes);
    *irq = ash__cache_enter(cache);
    if (is_new)
        return;
    ash__cache_filled_in(cache, want->frame);
    cache->frames[from].flags &= (uint16_t)~COPIED;
    ash__cache_free_orphans(cache);
    ash__cache_wait_over(cache, want->frame, 0);
}

/* Is there room for one more dirty block? 0, or WAIT_DIRTY, or an error: never. */
static int dirty_room(const struct ash_cache *cache) {
    if (ash__cache_may_dirty(cache))
        return 0;
    return cache->failed >= cache->config.dirty_max ? -ASH_EIO : WAIT_DIRTY;
}

/* Writers in line let the disk have what it is waited for to have: else it might never get it. */
static int try_writing(struct ash_cache *cache, struct ash_cache_waiter *want, bool first) {
    uint16_t flags = cache->frames[want->frame].flags;
    if ((flags & WRITER) != 0 || (!first && ash__cache_is_due(cache, want->frame)))
        return WAIT_BLOCK;
    int room = (flags & DIRTY) != 0 ? 0 : dirty_room(cache);
    if (room != 0)
        return room;
    if ((flags & WRITING) != 0 && ((want->flags & ASH_CACHE_COPY) == 0 || !replace(cache, want)))
        return WAIT_BLOCK;
    return pin_for_writing(cache, want);
}

/* The same where want->frame holds the block. */
int ash__cache_try_there(struct ash_cache *cache, struct ash_cache_waiter *want, bool first) {
    uint32_t frame = want->frame;
    bool coming = ash__cache_has(cache, frame, FILLING | EMPTY);
    int result = WAIT_BLOCK;
    bool in_flight = coming && !ash__cache_has(cache, frame, DIRTY); /* and not a copy being made */
    if (in_flight && (want->flags & ASH_CACHE_CACHED) != 0)
        return -ASH_ENOENT;
    if (coming)
        ash__cache_fill_now(cache, frame);
    else if ((want->flags & ASH_CACHE_WRITE) != 0)
        result = try_writing(cache, want, first);
    else
        result = ash__cache_pin(cache, frame, want->pinner) ? 0 : -ASH_EAGAIN;
    bool fresh = ash__cache_is_fresh(cache, frame);
    if (!first) {
        if (fresh && result == 0)
            ash__cache_touched(cache, frame);
        return result;
    }
    cache->stats.misses += coming;
    if (coming)
        ASH_EVENT(event_miss, (uintptr_t)want->space, want->index);
    cache->stats.joined += coming;
    cache->stats.hits += !coming;
    /* Behind the pin: reading ahead may take any frame that is nobody's. */
    if (coming ? fresh : result != WAIT_DIRTY)
        ash__cache_touched(cache, want->frame);
    return result;
}

static int try_absent(struct ash_cache *cache, struct ash_cache_waiter *want, bool first) {
    if ((want->flags & ASH_CACHE_CACHED) != 0)
        return -ASH_ENOENT;
    cache->stats.misses += first;
    if (first)
        ASH_EVENT(event_miss, (uintptr_t)want->space, want->index);
    int room = (want->flags & ASH_CACHE_WRITE) != 0 ? dirty_room(cache) : 0;
    if (room != 0)
        return room;
    ash__cache_require_open(cache, want->space);
    want->frame = ash__cache_take_frame(cache, want->space, want->index);
    if (want->frame == NONE)
        return ash__cache_may_free(cache) ? WAIT_FRAME : -ASH_EAGAIN;
    if ((want->flags & ASH_CACHE_OVERWRITE) == 0) {
        cache->frames[want->frame].flags = FILLING;
        return WAIT_READ;
    }
    cache->frames[want->frame].flags = EMPTY;
    want->copy_of = want->frame; /* of nothing: zeros */
    return pin_for_writing(cache, want);
}

/* As ash__cache_try, or WAIT_READ: want->frame has to be read, and is not queued for it yet. */
static int try(struct ash_cache *cache, struct ash_cache_waiter *want, bool first) {
    want->copy_of = NONE;
    want->frame = ash__cache_find(cache, ash__cache_key(want->space, want->index));
    if (want->frame != NONE)
        return ash__cache_try_there(cache, want, first);
    int result = try_absent(cache, want, first);
    if (first && result >= 0)
        ash__cache_ahead(cache, want->space, want->index);
    return result;
}

/* 0: want->frame is pinned; an error; or what it has to wait for, want->frame where that is a
 * block. first: it is asked for the first time, and counts. */
int ash__cache_try(struct ash_cache *cache, struct ash_cache_waiter *want, bool first) {
    int result = try(cache, want, first);
    if (result != WAIT_READ)
        return result;
    ash__cache_fill(cache, want->frame, false);
    return WAIT_BLOCK;
}

/* Would a read be the next to be started, on its own? */
static bool is_first(const struct ash_cache *cache) {
    return !cache->pumping && cache->io_free_count != 0 && cache->fill.length == 0 &&
           ash_list_is_empty(&cache->io_ready);
}

static void count_wait(struct ash_cache *cache, int what) {
    uint64_t *count = what == WAIT_BLOCK   ? &cache->stats.waits_flight
                      : what == WAIT_FRAME ? &cache->stats.waits_frame
                                           : &cache->stats.waits_dirty;
    (*count)++;
}

int ash__cache_get(struct ash_cache *cache, struct ash_cache_space *space, uint64_t index,
                   uint32_t flags, struct ash_cache_waiter *waiter, uint32_t *frame) {
    ASH_REQUIRE((flags & (ASH_CACHE_OVERWRITE | ASH_CACHE_COPY)) == 0 ||
                    (flags & ASH_CACHE_WRITE) != 0,
                "cache: get with flags 0x%x: OVERWRITE and COPY are for WRITE", flags);
    if (index >= space->blocks)
        return -ASH_ERANGE;
    struct ash_cache_waiter here;
    struct ash_cache_waiter *want = waiter != NULL ? waiter : &here;
    want->space = space;
    want->index = index;
    want->flags = flags;
    want->pinner = __builtin_return_address(0);
    ash_irq_t irq = ash__cache_enter(cache);
    int result = try(cache, want, true);
    if (result == WAIT_READ) {
        if ((flags & (ASH_CACHE_WRITE | ASH_CACHE_MORE)) == 0 && is_first(cache)) {
            cache->stats.waits_flight++;
            ash__cache_read_now(cache, space, index, want->frame, waiter, irq);
            return waiter != NULL ? ASH_CACHE_PENDING : -ASH_EAGAIN;
        }
        ash__cache_fill(cache, want->frame, false);
        result = WAIT_BLOCK;
    }
    if (result > 0)
        count_wait(cache, result);
    if (result > 0 && waiter != NULL)
        ash__cache_wait(cache, waiter, result);
    if (result == 0) {
        *frame = want->frame;
        if (want->copy_of != NONE)
            ash__cache_finish(cache, want, &irq);
    }
    if ((flags & ASH_CACHE_MORE) == 0)
        ash__cache_run(cache, irq);
    else
        ash__cache_leave(cache, irq);
    if (result > 0)
        return waiter != NULL ? ASH_CACHE_PENDING : -ASH_EAGAIN;
    return result;
}
