/* SPDX-License-Identifier: MIT */
/*
 * wait.c: those who wait. For a block: in one of 64 lists by its frame, tried again when something
 * happened to it. For any frame, or for fewer dirty blocks: in line, the first is tried again
 * whenever there may be one. A waiter whose wait is over is on the list `ready` until pump.c, which
 * holds no lock, calls it.
 */
#include "cache_internal.h"

static struct ash_cache_waiter *waiter_of(struct ash_list *link) {
    return ASH_LIST_ENTRY(link, struct ash_cache_waiter, link);
}

/* Whoever gives a pin back looks at starving behind it. */
void ash__cache_look_starving(struct ash_cache *cache) {
    bool starving = !ash_list_is_empty(&cache->waiting_frame);
    ash_store_relaxed(&cache->starving, (uint32_t)starving);
    if (starving)
        ash_fence();
}

/* Queues a waiter for what ash__cache_try said. */
void ash__cache_wait(struct ash_cache *cache, struct ash_cache_waiter *waiter, int what) {
    struct ash_list *line = what == WAIT_BLOCK   ? ash__cache_line(cache, waiter->frame)
                            : what == WAIT_FRAME ? &cache->waiting_frame
                                                 : &cache->waiting_dirty;
    ash_list_push_back(line, &waiter->link);
    if (what == WAIT_FRAME)
        ash__cache_look_starving(cache);
}

/* Does anybody wait for this frame, otherwise than to be told that it was written? */
bool ash__cache_is_waited_for(struct ash_cache *cache, uint32_t frame) {
    const struct ash_list *list = ash__cache_line(cache, frame);
    for (struct ash_list *link = list->next; link != list; link = link->next) {
        const struct ash_cache_waiter *waiter = waiter_of(link);
        if (waiter->frame == frame && (waiter->flags & WRITTEN) == 0)
            return true;
    }
    return false;
}

static bool has_asker(const struct ash_list *line, const struct ash_cache_space *space) {
    for (struct ash_list *link = line->next; link != line; link = link->next) {
        if (waiter_of(link)->space == space)
            return true;
    }
    return false;
}

/* Does anybody in line want a block of this space? */
bool ash__cache_is_asked_of(const struct ash_cache *cache, const struct ash_cache_space *space) {
    return has_asker(&cache->waiting_frame, space) || has_asker(&cache->waiting_dirty, space);
}

/* The waiter's frame still has its block, or, an orphan, another one has. */
static void try_again(struct ash_cache *cache, struct ash_cache_waiter *waiter) {
    bool moved = ash__cache_has(cache, waiter->frame, ORPHAN);
    int result =
        moved ? ash__cache_try(cache, waiter, false) : ash__cache_try_there(cache, waiter, false);
    if (result > 0)
        ash__cache_wait(cache, waiter, result);
    else
        ash__cache_tell(cache, waiter, result);
}

/* Those who wait for this frame, written or not, in the order of their coming. */
static void take_waiters(struct ash_cache *cache, uint32_t frame, bool written,
                         struct ash_list *out) {
    struct ash_list *list = ash__cache_line(cache, frame);
    ash_list_init(out);
    for (struct ash_list *link = list->next; link != list;) {
        struct ash_list *next = link->next;
        struct ash_cache_waiter *waiter = waiter_of(link);
        if (waiter->frame == frame && ((waiter->flags & WRITTEN) != 0) == written) {
            ash_list_remove(link);
            ash_list_push_back(out, link);
        }
        link = next;
    }
}

/* All of them that wait for this frame, as ash__cache_wait_over. */
void ash__cache_try_waiters(struct ash_cache *cache, uint32_t frame, int error) {
    struct ash_list waiters;
    take_waiters(cache, frame, false, &waiters);
    for (struct ash_list *link; (link = ash_list_pop_front(&waiters)) != NULL;) {
        if (error != 0)
            ash__cache_tell(cache, waiter_of(link), error);
        else
            try_again(cache, waiter_of(link));
    }
}

/* Those who wait for it to be written are told. */
void ash__cache_written_over(struct ash_cache *cache, uint32_t frame, int error) {
    struct ash_list waiters;
    if (ash_list_is_empty(ash__cache_line(cache, frame)))
        return;
    take_waiters(cache, frame, true, &waiters);
    for (struct ash_list *link; (link = ash_list_pop_front(&waiters)) != NULL;)
        ash__cache_tell(cache, waiter_of(link), error);
}

/* They wait for another frame to be written; true: there are some. */
bool ash__cache_wait_moved(struct ash_cache *cache, uint32_t frame, uint32_t other) {
    struct ash_list waiters;
    take_waiters(cache, frame, true, &waiters);
    bool any = !ash_list_is_empty(&waiters);
    for (struct ash_list *link = waiters.next; link != &waiters; link = link->next)
        waiter_of(link)->frame = other;
    ash_list_splice_back(ash__cache_line(cache, other), &waiters);
    return any;
}

/* The first in line tries again; false: it has to go on waiting, at the head of its line. */
static bool retry_first(struct ash_cache *cache, struct ash_list *line) {
    struct ash_list *first = ash_list_first(line);
    if (first == NULL)
        return false;
    struct ash_cache_waiter *waiter = waiter_of(first);
    int result = ash__cache_try(cache, waiter, false);
    if (result == WAIT_FRAME && line == &cache->waiting_frame)
        return false;
    if (result == WAIT_DIRTY && line == &cache->waiting_dirty)
        return false;
    ash_list_remove(first);
    if (result > 0)
        ash__cache_wait(cache, waiter, result);
    else
        ash__cache_tell(cache, waiter, result);
    return true;
}

/* Tries those in line again, for as long as that helps; false: nobody was helped. */
bool ash__cache_retry(struct ash_cache *cache) {
    bool helped = false;
    if (ash_list_is_empty(&cache->waiting_dirty) && ash_list_is_empty(&cache->waiting_frame))
        return false;
    while (retry_first(cache, &cache->waiting_dirty))
        helped = true;
    while (retry_first(cache, &cache->waiting_frame))
        helped = true;
    if (helped)
        ash__cache_look_starving(cache);
    return helped;
}
