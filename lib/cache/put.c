/* SPDX-License-Identifier: MIT */
/*
 * put.c: what whoever has changed a block says of it: that it is dirty, or is not, and what has to
 * be safe before it is written.
 */
#include "cache_internal.h"

/* Its bytes are all there: others may pin it from now on. */
void ash__cache_filled_in(struct ash_cache *cache, uint32_t frame) {
    if (!ash__cache_has(cache, frame, EMPTY))
        return;
    cache->frames[frame].flags &= (uint16_t)~EMPTY;
    ash__cache_make_there(cache, frame);
}

int ash_cache_put_dirty(struct ash_cache *cache, uint32_t frame, struct ash_cache_waiter *waiter) {
    struct ash_cache_frame *f = &cache->frames[frame];
    ash_irq_t irq = ash__cache_enter(cache);
    ASH_REQUIRE((f->flags & WRITER) != 0,
                "cache: put_dirty of frame %u, which was not got for writing", frame);
    bool tagged = ash__cache_untag(cache, frame), broken = tagged && f->tag == 0;
    if (tagged && !broken)
        f->order = f->tag;
    cache->reserved -= (f->flags & DIRTY) == 0;
    f->flags &= (uint16_t)~WRITER;
    ash__cache_filled_in(cache, frame);
    cache->flush_may_start |= (f->flags & DIRTY) != 0;
    ash__cache_dirty(cache, frame);
    ash__cache_show(cache, frame);
    if (waiter != NULL) {
        waiter->flags = WRITTEN;
        waiter->frame = frame;
        waiter->copy_of = NONE;
        ash__cache_wait(cache, waiter, WAIT_BLOCK);
    }
    if (waiter != NULL || ash__cache_space(cache, frame)->write_through)
        ash__cache_hurry(cache, frame);
    if (broken)
        ash__cache_give_up(cache, frame, UNORDERED, -ASH_EIO);
    ash__cache_wait_over(cache, frame, 0);
    ash__cache_leave(cache, irq);
    ash_cache_put(cache, frame);
    ash__cache_run(cache, ash__cache_enter(cache));
    return waiter != NULL ? ASH_CACHE_PENDING : 0;
}

void ash_cache_put_unchanged(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_frame *f = &cache->frames[frame];
    ash_irq_t irq = ash__cache_enter(cache);
    ASH_REQUIRE((f->flags & WRITER) != 0,
                "cache: put_unchanged of frame %u, which was not got for writing", frame);
    bool empty = (f->flags & (EMPTY | DIRTY)) == EMPTY;
    (void)ash__cache_untag(cache, frame);
    cache->reserved -= (f->flags & DIRTY) == 0;
    f->flags &= (uint16_t)~WRITER;
    cache->flush_may_start |= (f->flags & DIRTY) != 0;
    if (empty) { /* others who ask for it are waiting: it is read for them */
        f->flags = 0;
        (void)ash_fetch_add(&cache->hot[frame].hold, (uint16_t)-1);
        ash__cache_fill(cache, frame, false);
    } else {
        ash__cache_filled_in(cache, frame);
        ash__cache_show(cache, frame);
        ash__cache_wait_over(cache, frame, 0);
    }
    ash__cache_leave(cache, irq);
    if (!empty)
        ash_cache_put(cache, frame);
    ash__cache_run(cache, ash__cache_enter(cache));
}

void ash_cache_mark_dirty(struct ash_cache *cache, uint32_t frame) {
    ash_irq_t irq = ash__cache_enter(cache);
    ASH_REQUIRE(ash__cache_pins(cache, frame) != 0,
                "cache: mark_dirty of frame %u, which nobody has pinned", frame);
    ash__cache_dirty(cache, frame);
    if (ash__cache_space(cache, frame)->write_through)
        ash__cache_hurry(cache, frame);
    ash__cache_run(cache, irq);
}

/* What is in the block already, or its writer, waits for another flush, which is on its way. */
static bool has_other_order(const struct ash_cache *cache, uint32_t frame, uint32_t number) {
    const struct ash_cache_frame *f = &cache->frames[frame];
    uint32_t order = f->order, tag = (f->flags & TAGGED) != 0 ? f->tag : 0;
    return (order != 0 && order != number && ash__cache_flush_runs(cache, order)) ||
           (tag != 0 && tag != number && ash__cache_flush_runs(cache, tag));
}

static bool has_broken_tag(const struct ash_cache *cache, uint32_t frame) {
    return ash__cache_has(cache, frame, TAGGED) && cache->frames[frame].tag == 0;
}

/* What its writer is about to put is not to be written before that flush succeeded. */
static void tag(struct ash_cache *cache, uint32_t frame, uint32_t number) {
    struct ash_cache_frame *f = &cache->frames[frame];
    if ((f->flags & (TAGGED | DIRTY)) == 0)
        ash__cache_push(cache, &cache->tagged, WORK, frame);
    f->flags |= TAGGED;
    f->tag = number;
}

/* Flushes wait for blocks, and blocks for flushes with lower numbers alone: so no circle. */
int ash_cache_order(struct ash_cache *cache, uint32_t frame, uint32_t number) {
    int error = 0;
    ash_irq_t irq = ash__cache_enter(cache);
    ASH_REQUIRE(ash__cache_has(cache, frame, WRITER),
                "cache: order of frame %u, which was not got for writing", frame);
    if ((int32_t)(number - cache->epoch) >= 0)
        error = -ASH_EINVAL;
    else if (has_broken_tag(cache, frame) || ash__cache_flush_failed(cache, number))
        error = -ASH_EIO;
    else if (!ash__cache_flush_runs(cache, number))
        error = 0; /* it has ended: nothing to wait for */
    else if (ash__cache_flush_covers(cache, frame, number) || has_other_order(cache, frame, number))
        error = -ASH_EBUSY;
    else
        tag(cache, frame, number);
    ash__cache_leave(cache, irq);
    return error;
}

int ash_cache_frame_error(struct ash_cache *cache, uint32_t frame) {
    ash_irq_t irq = ash__cache_enter(cache);
    bool failed = ash__cache_has(cache, frame, FAILED | UNORDERED) || has_broken_tag(cache, frame);
    ash__cache_leave(cache, irq);
    return failed ? -ASH_EIO : 0;
}
