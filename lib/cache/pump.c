/* SPDX-License-Identifier: MIT */
/*
 * pump.c: the one loop that starts I/Os and tells those whose wait is over. Whoever changed
 * something runs it; who finds it running leaves, for whoever runs it looks again, under the lock,
 * before it ends. So a completion within a submission, or a get within a wake, is no recursion.
 */
#include "cache_internal.h"

enum { TOLD_BEFORE_KICK = 32 };

/* Calls one waiter or flush; false: nobody's wait is over. */
static bool tell_one(struct ash_cache *cache, ash_irq_t *irq) {
    struct ash_list *ready = ash_list_pop_front(&cache->ready);
    if (ready != NULL) {
        struct ash_cache_waiter *waiter = ASH_LIST_ENTRY(ready, struct ash_cache_waiter, link);
        if (waiter->copy_of != NONE)
            ash__cache_finish(cache, waiter, irq);
        ash__cache_leave(cache, *irq);
        waiter->wake(waiter);
        *irq = ash__cache_enter(cache);
        return true;
    }
    struct ash_list *flushed = ash_list_pop_front(&cache->flushed);
    if (flushed != NULL) {
        struct ash_cache_flush_request *flush =
            ASH_LIST_ENTRY(flushed, struct ash_cache_flush_request, link);
        cache->flush_telling = flush->status != 0 ? flush->number : 0;
        ash__cache_leave(cache, *irq);
        flush->done(flush);
        *irq = ash__cache_enter(cache);
        cache->flush_telling = 0;
    }
    return flushed != NULL;
}

/* Starts what can be started; false: nothing. */
static bool start(struct ash_cache *cache, ash_irq_t *irq) {
    if (cache->backend_full)
        return false;
    bool built = ash__cache_build(cache, irq);
    bool submitted = false;
    for (struct ash_list *first; (first = ash_list_pop_front(&cache->io_ready)) != NULL;) {
        if (!ash__cache_submit(cache, ASH_LIST_ENTRY(first, struct ash_cache_io, link), irq))
            break;
        submitted = true;
    }
    return built || submitted;
}

static void kick(struct ash_cache *cache, ash_irq_t *irq) {
    if (!cache->submitted)
        return;
    cache->submitted = false;
    ash__cache_leave(cache, *irq);
    cache->config.backend.kick(cache->config.backend.context);
    *irq = ash__cache_enter(cache);
}

/* Is there nothing to be started, tried again, or told? Most calls end here, at a glance. */
static bool is_idle(const struct ash_cache *cache) {
    return cache->fill.length == 0 && cache->prefetch.length == 0 && !cache->submitted &&
           cache->dirty == cache->failed && ash_list_is_empty(&cache->ready) &&
           ash_list_is_empty(&cache->io_ready) && ash_list_is_empty(&cache->flushes) &&
           ash_list_is_empty(&cache->flushed) && ash_list_is_empty(&cache->waiting_frame) &&
           ash_list_is_empty(&cache->waiting_dirty);
}

/* One round; false: nothing came of it. */
static bool run_once(struct ash_cache *cache, ash_irq_t *irq) {
    bool any = ash__cache_retry(cache);
    any |= start(cache, irq);
    kick(cache, irq);
    for (uint32_t told = 0; told < TOLD_BEFORE_KICK && tell_one(cache, irq); told++)
        any = true;
    return any;
}

static void run_until_idle(struct ash_cache *cache, ash_irq_t *irq) {
    while (cache->again) {
        cache->again = false;
        bool more = !is_idle(cache) && run_once(cache, irq);
        cache->again |= more;
    }
}

/* Takes over the lock from its caller, and lets it go. */
void ash__cache_run(struct ash_cache *cache, ash_irq_t irq) {
    cache->backend_full = false;
    cache->again = true; /* whoever pumps may be past what this caller changed */
    if (!cache->pumping) {
        cache->pumping = true;
        run_until_idle(cache, &irq);
        cache->pumping = false;
    }
    ash__cache_leave(cache, irq);
}

/*
 * Most misses come alone, and what they would be queued for is done at once: neither the block nor
 * its waiter have been on a list and, where the backend is as quick as that, the waiter is called
 * at once. If nothing has come up meanwhile, the next look at all the lists is for whoever changes
 * something next. Takes over the lock, as run.
 */
void ash__cache_read_now(struct ash_cache *cache, const struct ash_cache_space *space,
                         uint64_t index, uint32_t frame, struct ash_cache_waiter *waiter,
                         ash_irq_t irq) {
    cache->pumping = true;
    struct ash_cache_waiter *over = ash__cache_read_one(cache, space, index, frame, waiter, &irq);
    if (over != NULL) {
        ash__cache_leave(cache, irq);
        over->wake(over);
        irq = ash__cache_enter(cache);
    }
    if (cache->again)
        run_until_idle(cache, &irq);
    cache->pumping = false;
    ash__cache_leave(cache, irq);
}

void ash_cache_pump(struct ash_cache *cache) {
    ash_irq_t irq = ash__cache_enter(cache);
    cache->news++;
    ash__cache_run(cache, irq);
}
