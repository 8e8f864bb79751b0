/* SPDX-License-Identifier: MIT */
/*
 * write.c: dirty blocks. Each is on its space's list, the last to be written first. They are
 * written in rounds: up to ASH_CACHE_ROUND of them are picked, sorted by their key, and started
 * one after the other as I/Os become free; when the round is over the next is picked. What is
 * picked, in this order: urgent blocks (somebody waits for this one), what a flush waits for, and,
 * above half of the bound or when writers wait for it, the oldest.
 */
#include "cache_internal.h"

ASH_EVENT_DEFINE_KIND(event_dirty, ASH_EVENT_COUNTER, "cache.dirty", "cache:x,blocks");

/* Is there room for one more? A bound of all blocks is none: the frame that it needs will do. */
bool ash__cache_may_dirty(const struct ash_cache *cache) {
    return cache->dirty + cache->reserved < cache->config.dirty_max ||
           cache->config.dirty_max == cache->config.blocks;
}

/* Its writer ends; true: he had a tag. A block that is clean is on the list of those. */
bool ash__cache_untag(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_frame *f = &cache->frames[frame];
    if ((f->flags & TAGGED) == 0)
        return false;
    if ((f->flags & DIRTY) == 0)
        ash__cache_unlink(cache, &cache->tagged, WORK, frame);
    f->flags &= (uint16_t)~TAGGED;
    return true;
}

/* One given up may be written again. */
void ash__cache_resume(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_frame *f = &cache->frames[frame];
    struct ash_cache_space *space = ash__cache_space(cache, frame);
    cache->failed--;
    f->flags &= (uint16_t) ~(UNORDERED | FAILED);
    f->retries = 0;
    ash__cache_unlink(cache, &space->failed, WORK, frame);
    ash__cache_push(cache, &space->dirty, WORK, frame);
}

/* The block differs from the disk from now on. */
void ash__cache_dirty(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_frame *f = &cache->frames[frame];
    if ((f->flags & (UNORDERED | FAILED)) != 0) /* a new chance for what is new */
        ash__cache_resume(cache, frame);
    if ((f->flags & (WRITING | REDIRTIED)) == WRITING) {
        f->redirtied = cache->epoch;
        f->flags |= REDIRTIED;
    }
    if ((f->flags & DIRTY) != 0)
        return;
    struct ash_cache_space *space = ash__cache_space(cache, frame);
    if ((f->flags & TAGGED) != 0) /* changed behind its writer's back */
        ash__cache_unlink(cache, &cache->tagged, WORK, frame);
    cache->reserved -= (f->flags & WRITER) != 0;
    f->flags |= DIRTY;
    f->epoch = cache->epoch;
    f->retries = 0;
    if (space->dirty.length + space->failed.length == 0)
        ash_list_push_back(&cache->dirty_spaces, &space->link);
    ash__cache_push(cache, &space->dirty, WORK, frame);
    cache->dirty++;
    ASH_EVENT(event_dirty, (uintptr_t)cache, cache->dirty);
}

/* It is to be written before all that is not urgent, if it may be; its space comes first, so that
 * no others are looked through. */
void ash__cache_hurry(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_frame *f = &cache->frames[frame];
    struct ash_cache_space *space = ash__cache_space(cache, frame);
    if ((f->flags & (URGENT | FAILED | UNORDERED)) != 0)
        return;
    f->flags |= URGENT;
    cache->urgent++;
    cache->again = true;
    ash_list_remove(&space->link);
    ash_list_push_front(&cache->dirty_spaces, &space->link);
    ash__cache_unlink(cache, &space->dirty, WORK, frame);
    ash__cache_push_last(cache, &space->dirty, WORK, frame);
}

/* Urgent ones are together at the end of the list: who is no longer leaves it. */
static void not_urgent(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_space *space = ash__cache_space(cache, frame);
    if (!ash__cache_has(cache, frame, URGENT))
        return;
    cache->urgent--;
    cache->frames[frame].flags &= (uint16_t)~URGENT;
    ash__cache_unlink(cache, &space->dirty, WORK, frame);
    ash__cache_push(cache, &space->dirty, WORK, frame);
}

/* The disk has it, or it is not wanted any more. */
void ash__cache_clean(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_frame *f = &cache->frames[frame];
    struct ash_cache_space *space = ash__cache_space(cache, frame);
    not_urgent(cache, frame);
    if ((f->flags & (FAILED | UNORDERED)) != 0)
        ash__cache_resume(cache, frame);
    f->flags &= (uint16_t) ~(DIRTY | ROUNDED);
    f->order = 0;
    ash__cache_unlink(cache, &space->dirty, WORK, frame);
    if (space->dirty.length + space->failed.length == 0)
        ash_list_remove(&space->link);
    cache->dirty--;
    ASH_EVENT(event_dirty, (uintptr_t)cache, cache->dirty);
}

/* Its write failed for good, until it is dirtied anew or (but for UNORDERED) flushed. */
void ash__cache_give_up(struct ash_cache *cache, uint32_t frame, uint16_t why, int error) {
    struct ash_cache_frame *f = &cache->frames[frame];
    struct ash_cache_space *space = ash__cache_space(cache, frame);
    not_urgent(cache, frame);
    if ((f->flags & (FAILED | UNORDERED)) == 0) {
        cache->failed++;
        ash__cache_unlink(cache, &space->dirty, WORK, frame);
        ash__cache_push(cache, &space->failed, WORK, frame);
    }
    f->flags |= why;
    ash__cache_settle(cache, frame, cache->epoch, error);
    f->epoch = cache->epoch; /* of no concern to the flushes that were told */
    ash__cache_written_over(cache, frame, error);
}

/* Flushes that covered the old version need not wait for what is changed in the copy. */
static void original_written(struct ash_cache *cache, uint32_t frame, uint32_t other) {
    uint32_t copied = cache->frames[frame].redirtied;
    ash__cache_settle(cache, other, copied, 0);
    if ((int32_t)(cache->frames[other].epoch - copied) < 0)
        cache->frames[other].epoch = copied;
    ash__cache_written_over(cache, frame, 0);
}

/* The old version of a block is on the disk, or is not: its successor may go there now. */
static void orphan_written(struct ash_cache *cache, uint32_t frame, int error) {
    uint32_t other = cache->frames[frame].epoch;
    cache->frames[other].flags &= (uint16_t)~BEHIND;
    if (error == 0)
        original_written(cache, frame, other);
    else if (ash__cache_has(cache, other, FAILED | UNORDERED))
        ash__cache_written_over(cache, frame, error);
    else if (ash__cache_wait_moved(cache, frame, other))
        ash__cache_hurry(cache, other);
    ash__cache_free_orphans(cache);
}

/* Written, but changed meanwhile: as if dirtied then. */
static void renew(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_space *space = ash__cache_space(cache, frame);
    cache->frames[frame].epoch = cache->frames[frame].redirtied;
    if (space->write_through)
        return;
    not_urgent(cache, frame);
    ash__cache_unlink(cache, &space->dirty, WORK, frame);
    ash__cache_push(cache, &space->dirty, WORK, frame);
}

/* All I/Os of its write have ended. */
void ash__cache_written(struct ash_cache *cache, uint32_t frame, int error) {
    struct ash_cache_frame *f = &cache->frames[frame];
    bool again = (f->flags & REDIRTIED) != 0;
    f->flags &= (uint16_t) ~(WRITING | REDIRTIED);
    cache->flush_may_start |= again || error != 0 || (f->flags & ORPHAN) != 0;
    f->order = 0;
    if ((f->flags & ORPHAN) != 0) {
        orphan_written(cache, frame, error);
        return;
    }
    cache->writing--;
    if (error != 0 && f->retries < cache->config.retries_max) {
        f->retries++;
        cache->stats.retries++;
    } else if (error != 0) {
        cache->stats.write_errors++;
        ash__cache_give_up(cache, frame, FAILED, error);
    } else {
        f->retries = 0;
        ash__cache_settle(cache, frame, again ? f->redirtied : cache->epoch, 0);
        ash__cache_written_over(cache, frame, 0);
        if (!again)
            ash__cache_clean(cache, frame);
        else
            renew(cache, frame);
    }
    ash__cache_wait_over(cache, frame, 0);
}

static bool is_eligible(const struct ash_cache *cache, uint32_t frame) {
    const struct ash_cache_frame *f = &cache->frames[frame];
    uint16_t no = WRITING | WRITER | FAILED | UNORDERED | BEHIND;
    return (f->flags & DIRTY) != 0 && (f->flags & no) == 0 &&
           (f->order == 0 || !ash__cache_flush_runs(cache, f->order));
}

/* May it be written now, and does somebody wait for that? */
bool ash__cache_is_due(const struct ash_cache *cache, uint32_t frame) {
    return is_eligible(cache, frame) && (ash__cache_has(cache, frame, URGENT) ||
                                         ash__cache_flush_covers(cache, frame, cache->epoch - 1));
}

/* What is looked for: urgent blocks, or those dirty since flush `until`. */
struct wanted {
    bool urgent;
    uint32_t until;
    uint32_t max;  /* so many are enough */
    uint32_t left; /* so many there are, those that cannot be picked included, and not yet seen */
};

/* More for the round, out of a space. */
static void pick(struct ash_cache *cache, const struct ash_cache_space *space,
                 struct wanted *wanted) {
    uint32_t frame = space->dirty.last;
    for (; frame != NONE && wanted->left != 0 && wanted->max != 0 &&
           cache->round_count < ASH_CACHE_ROUND;
         frame = cache->links[WORK][frame].prev) {
        struct ash_cache_frame *f = &cache->frames[frame];
        cache->stats.write_scanned++;
        if (wanted->urgent && (f->flags & URGENT) == 0)
            return;
        if ((int32_t)(f->epoch - wanted->until) > 0)
            continue;
        wanted->left--;
        if ((f->flags & ROUNDED) != 0 || !is_eligible(cache, frame))
            continue;
        f->flags |= ROUNDED;
        cache->round[cache->round_count++] = frame;
        wanted->max--;
    }
}

/* Out of one space, or of all. */
static void pick_all(struct ash_cache *cache, const struct ash_cache_space *space,
                     struct wanted wanted) {
    if (space != NULL) {
        pick(cache, space, &wanted);
        return;
    }
    for (struct ash_list *link = cache->dirty_spaces.next;
         link != &cache->dirty_spaces && wanted.left != 0; link = link->next)
        pick(cache, ASH_LIST_ENTRY(link, struct ash_cache_space, link), &wanted);
}

/* The oldest of the space whose turn it is, down to half of the bound. */
static void pick_background(struct ash_cache *cache) {
    uint32_t bound = cache->config.dirty_max / 2, idle = cache->dirty - cache->writing;
    bool waited_for = !ash_list_is_empty(&cache->waiting_dirty);
    bool above = idle > bound && (waited_for || !cache->config.lazy);
    if (idle == cache->failed || (!above && (!waited_for || cache->writing != 0)))
        return;
    struct wanted wanted = {
        .until = cache->epoch, .max = above ? idle - bound : 1, .left = UINT32_MAX};
    const struct ash_list *begin = ash_list_first(&cache->dirty_spaces);
    for (const struct ash_list *next = begin; next != NULL && cache->round_count == 0;) {
        struct ash_list *link = ash_list_pop_front(&cache->dirty_spaces);
        ash_list_push_back(&cache->dirty_spaces, link);
        pick(cache, ASH_LIST_ENTRY(link, struct ash_cache_space, link), &wanted);
        next = ash_list_first(&cache->dirty_spaces);
        if (next == begin)
            return;
    }
}

/* Shell sort (Ciura's gaps) of the round by key: up to 256 in place, no recursion. */
static void sort_round(struct ash_cache *cache) {
    static const uint32_t gaps[] = {132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < ASH_ARRAY_LEN(gaps); g++) {
        for (uint32_t i = gaps[g]; i < cache->round_count; i++) {
            uint32_t frame = cache->round[i], j = i;
            uint64_t key = ash__cache_frame_key(cache, frame);
            for (; j >= gaps[g] && ash__cache_frame_key(cache, cache->round[j - gaps[g]]) > key;
                 j -= gaps[g])
                cache->round[j] = cache->round[j - gaps[g]];
            cache->round[j] = frame;
        }
    }
}

/* What flushes wait for, the first one's first. Where none finds a block nobody looks again before
 * one may have become ready: with all on their way, each end of a write would pass over all that
 * was dirtied since. */
static void pick_for_flushes(struct ash_cache *cache) {
    if (!cache->flush_may_start && cache->writing != 0)
        return;
    for (struct ash_list *link = cache->flushes.next;
         link != &cache->flushes && cache->round_count == 0; link = link->next) {
        struct ash_cache_flush_request *flush =
            ASH_LIST_ENTRY(link, struct ash_cache_flush_request, link);
        if (flush->remaining != 0)
            pick_all(cache, flush->space,
                     (struct wanted){
                         .until = flush->number, .max = UINT32_MAX, .left = flush->remaining});
    }
    cache->flush_may_start = cache->round_count != 0;
}

static bool begin_round(struct ash_cache *cache) {
    cache->round_next = cache->round_count = 0;
    if (cache->urgent != 0)
        pick_all(
            cache, NULL,
            (struct wanted){
                .urgent = true, .until = cache->epoch, .max = UINT32_MAX, .left = cache->urgent});
    if (cache->round_count == 0)
        pick_for_flushes(cache);
    if (cache->round_count == 0)
        pick_background(cache);
    sort_round(cache);
    return cache->round_count != 0;
}

/* The frame to be written next, which is in flight from now on; NONE: there is none. */
uint32_t ash__cache_next_write(struct ash_cache *cache) {
    if (cache->dirty == cache->failed)
        return NONE;
    do {
        while (cache->round_next < cache->round_count) {
            uint32_t frame = cache->round[cache->round_next++];
            struct ash_cache_frame *f = &cache->frames[frame];
            bool picked = (f->flags & ROUNDED) != 0;
            f->flags &= (uint16_t)~ROUNDED;
            if (!picked || !is_eligible(cache, frame))
                continue;
            f->flags |= WRITING;
            f->error = 0;
            cache->writing++;
            return frame;
        }
    } while (begin_round(cache));
    return NONE;
}

/* It was not started after all: no I/O is free for it. */
void ash__cache_unwrite(struct ash_cache *cache, uint32_t frame) {
    struct ash_cache_frame *f = &cache->frames[frame];
    if ((f->flags & REDIRTIED) != 0)
        f->flags &= (uint16_t)~REDIRTIED; /* what was changed is what will be written */
    f->flags = (uint16_t)((f->flags & ~WRITING) | ROUNDED);
    cache->writing--;
    cache->round[--cache->round_next] = frame;
    ash__cache_wait_over(cache, frame, 0);
}

/* `other`, absent and without a block, takes over the block of a frame that is being written. The
 * writer who wants it copies the bytes (finish): until then nobody sees them. */
void ash__cache_orphan(struct ash_cache *cache, uint32_t frame, uint32_t other) {
    struct ash_cache_space *space = ash__cache_space(cache, frame);
    struct ash_cache_frame *f = &cache->frames[frame], *o = &cache->frames[other];
    bool in_main = ash__cache_queue_of(cache, frame) != 0;
    cache->policy->remove(cache, frame, false);
    ash__cache_exchange(cache, &space->dirty, WORK, frame, other);
    ash__cache_table_replace(cache, frame, other);
    o->epoch = f->epoch;
    o->flags = (uint16_t)(DIRTY | EMPTY | BEHIND | (f->flags & URGENT));
    o->order = 0;
    o->parts = o->retries = 0;
    ash__cache_make_new(cache, other);
    cache->policy->insert(cache, other, in_main);
    if (ash__cache_is_fresh(cache, frame))
        ash__cache_set_fresh(cache, other, true);
    cache->writing--;
    f->epoch = other; /* which waits for it */
    f->redirtied = cache->epoch;
    f->flags = (uint16_t)((f->flags & ~(DIRTY | REDIRTIED | URGENT)) | ORPHAN | COPIED);
    ash__cache_push(cache, &cache->orphans, WORK, frame);
    ash__cache_wait_over(cache, frame, 0); /* other writers wait for the copy from now on */
}

/* Orphans that are neither in flight nor being copied are free. */
void ash__cache_free_orphans(struct ash_cache *cache) {
    for (uint32_t frame = cache->orphans.first; frame != NONE;) {
        uint32_t next = cache->links[WORK][frame].next;
        if (!ash__cache_has(cache, frame, WRITING | COPIED)) {
            ash__cache_unlink(cache, &cache->orphans, WORK, frame);
            ash__cache_free_frame(cache, frame);
        }
        frame = next;
    }
}
