/* SPDX-License-Identifier: MIT */
/*
 * flush.c: what is safe. Flushes are numbered; a dirty block knows the number of the flush that was
 * asked for next when it became so (its epoch). A flush covers the blocks of its space with an
 * epoch up to its number. It counts them down as their writes end, then has the device flushed,
 * together with all others that have come so far, and is done.
 */
#include "cache_internal.h"

ASH_EVENT_DEFINE(event_flush, "cache.flush", "cache:x,number");

enum { WAITING, FLUSHING };
enum { CATCH_UP = 1 << 28 }; /* flushes */

static struct ash_cache_flush_request *flush_of(struct ash_list *link) {
    return ASH_LIST_ENTRY(link, struct ash_cache_flush_request, link);
}

/* Is it still on its way? */
bool ash__cache_flush_runs(const struct ash_cache *cache, uint32_t number) {
    for (struct ash_list *link = cache->flushes.next; link != &cache->flushes; link = link->next) {
        if (flush_of(link)->number == number)
            return true;
    }
    return false;
}

/* Has it failed, and whoever asked for it may not know yet? */
bool ash__cache_flush_failed(const struct ash_cache *cache, uint32_t number) {
    if (cache->flush_telling != 0 && cache->flush_telling == number)
        return true;
    for (struct ash_list *link = cache->flushed.next; link != &cache->flushed; link = link->next) {
        if (flush_of(link)->number == number)
            return flush_of(link)->status != 0;
    }
    return false;
}

static bool covers(const struct ash_cache_flush_request *flush, const struct ash_cache_space *space,
                   uint32_t epoch) {
    return (flush->space == NULL || flush->space == space) && (int32_t)(epoch - flush->number) <= 0;
}

/* Does a flush up to this number wait for this block? */
bool ash__cache_flush_covers(const struct ash_cache *cache, uint32_t frame, uint32_t number) {
    const struct ash_cache_space *space = ash__cache_space(cache, frame);
    for (struct ash_list *link = cache->flushes.next; link != &cache->flushes; link = link->next) {
        const struct ash_cache_flush_request *flush = flush_of(link);
        if ((int32_t)(flush->number - number) <= 0 && ash__cache_has(cache, frame, DIRTY) &&
            covers(flush, space, cache->frames[frame].epoch))
            return true;
    }
    return false;
}

/* A block was dirty since f->epoch, and is so now since `until` at the earliest: flushes between
 * the two need not wait for it any more. */
void ash__cache_settle(struct ash_cache *cache, uint32_t frame, uint32_t until, int error) {
    const struct ash_cache_space *space = ash__cache_space(cache, frame);
    uint32_t epoch = cache->frames[frame].epoch;
    for (struct ash_list *link = cache->flushes.next; link != &cache->flushes; link = link->next) {
        struct ash_cache_flush_request *flush = flush_of(link);
        if (!covers(flush, space, epoch) || covers(flush, space, until))
            continue;
        flush->remaining--;
        if (flush->status == 0)
            flush->status = error;
    }
}

/* Blocks given up get another chance; those whose order is broken do not. */
static void begin_space(struct ash_cache *cache, struct ash_cache_space *space,
                        struct ash_cache_flush_request *flush) {
    for (uint32_t frame = space->failed.first, next; frame != NONE; frame = next) {
        next = cache->links[WORK][frame].next;
        if (!ash__cache_has(cache, frame, UNORDERED)) {
            ash__cache_resume(cache, frame);
        } else {
            flush->status = -ASH_EIO;
            cache->frames[frame].epoch = cache->epoch;
        }
    }
    flush->remaining += space->dirty.length;
}

static void catch_up_list(struct ash_cache *cache, const struct ash_cache_queue *list,
                          uint32_t oldest) {
    for (uint32_t frame = list->first; frame != NONE; frame = cache->links[WORK][frame].next) {
        struct ash_cache_frame *f = &cache->frames[frame];
        if ((int32_t)(f->epoch - oldest) < 0)
            f->epoch = oldest;
    }
}

/*
 * Epochs are compared by their difference, so none may fall 2^31 behind: a dirty block that nobody
 * flushes catches up with the oldest flush on its way now and then, which no flush can tell.
 */
static void catch_up(struct ash_cache *cache) {
    struct ash_list *first = ash_list_first(&cache->flushes);
    uint32_t oldest = first != NULL ? flush_of(first)->number : cache->epoch;
    for (struct ash_list *link = cache->dirty_spaces.next; link != &cache->dirty_spaces;
         link = link->next) {
        const struct ash_cache_space *space = ASH_LIST_ENTRY(link, struct ash_cache_space, link);
        catch_up_list(cache, &space->dirty, oldest);
        catch_up_list(cache, &space->failed, oldest);
    }
}

void ash_cache_flush(struct ash_cache *cache, struct ash_cache_space *space,
                     struct ash_cache_flush_request *flush) {
    flush->space = space;
    flush->status = 0;
    flush->remaining = 0;
    flush->state = WAITING;
    ash_irq_t irq = ash__cache_enter(cache);
    if (space != NULL)
        ash__cache_require_open(cache, space);
    if (cache->epoch % CATCH_UP == 0)
        catch_up(cache);
    flush->number = cache->epoch;
    cache->epoch += cache->epoch == UINT32_MAX ? 2 : 1;
    if (space != NULL) {
        begin_space(cache, space, flush);
    } else {
        for (struct ash_list *link = cache->dirty_spaces.next; link != &cache->dirty_spaces;
             link = link->next)
            begin_space(cache, ASH_LIST_ENTRY(link, struct ash_cache_space, link), flush);
    }
    ash_list_push_back(&cache->flushes, &flush->link);
    cache->flush_may_start = true;
    ash__cache_run(cache, irq);
}

/* All that have no block left to wait for may go with the next flush of the device; false: nobody.
 * */
bool ash__cache_flush_begin(struct ash_cache *cache) {
    bool any = false;
    if (cache->device_flushes)
        return false;
    for (struct ash_list *link = cache->flushes.next; link != &cache->flushes; link = link->next) {
        struct ash_cache_flush_request *flush = flush_of(link);
        if (flush->remaining == 0) {
            flush->state = FLUSHING;
            any = true;
        }
    }
    cache->device_flushes = any;
    if (any)
        ASH_EVENT(event_flush, (uintptr_t)cache, cache->epoch);
    return any;
}

/* What a writer is about to put is not to be written then, either: he gives it up. */
static void break_tag(struct ash_cache *cache, uint32_t frame, uint32_t number) {
    struct ash_cache_frame *f = &cache->frames[frame];
    if ((f->flags & TAGGED) != 0 && f->tag == number)
        f->tag = 0;
}

static void break_list(struct ash_cache *cache, const struct ash_cache_queue *list,
                       uint32_t number) {
    for (uint32_t frame = list->first, next; frame != NONE; frame = next) {
        next = cache->links[WORK][frame].next;                  /* given up, it changes its list */
        bool in_flight = ash__cache_has(cache, frame, WRITING); /* then `order` is its error */
        break_tag(cache, frame, number);
        if (!in_flight && cache->frames[frame].order == number)
            ash__cache_give_up(cache, frame, UNORDERED, -ASH_EIO);
    }
}

/* What was to be written after this flush must not be. */
static void break_order(struct ash_cache *cache, uint32_t number) {
    break_list(cache, &cache->tagged, number);
    for (struct ash_list *link = cache->dirty_spaces.next; link != &cache->dirty_spaces;
         link = link->next) {
        const struct ash_cache_space *space = ASH_LIST_ENTRY(link, struct ash_cache_space, link);
        break_list(cache, &space->failed, number);
        break_list(cache, &space->dirty, number);
    }
}

/* The device has flushed, or could not. */
void ash__cache_flush_ended(struct ash_cache *cache, int error) {
    cache->device_flushes = false;
    cache->flush_may_start = true; /* those that were ordered behind it */
    for (struct ash_list *link = cache->flushes.next; link != &cache->flushes;) {
        struct ash_cache_flush_request *flush = flush_of(link);
        link = link->next;
        if (flush->state != FLUSHING)
            continue;
        if (flush->status == 0)
            flush->status = error;
        ash_list_remove(&flush->link);
        ash_list_push_back(&cache->flushed, &flush->link);
        if (flush->status != 0)
            break_order(cache, flush->number);
    }
}
