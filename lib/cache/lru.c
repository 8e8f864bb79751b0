/* SPDX-License-Identifier: MIT */
/*
 * lru.c: the block that was asked for longest ago goes. A hit moves nothing: it writes to its frame
 * the number of the hit, its date. The order is made when a block has to go, and then of all:
 *
 *     run: frames by date, the oldest first, as they were when it was made
 *
 * A block whose date is not what the run says was asked for since, and is dropped from it; one that
 * has that date was asked for before all that are not in the run: the oldest of all. Where the run
 * has ended, all blocks are the next one. So each block that is sorted goes, or is asked for.
 *
 * A run is made in two looks at each block, by counting, into 256 spans of dates. A span is sorted
 * when a search comes to it, as far as it is read, by radix exchange (Knuth, TAOCP 3, 5.2.2): all
 * of it by the highest bit, the older part by the next one, and so on until few are left.
 *
 * Where the cache is shared a hit needs the lock: who does not get it at once goes without, so that
 * the order is exact with one CPU and nearly so with more.
 */
#include "cache_internal.h"

enum {
    SPAN_BITS = 8,
    FEW = 24 /* sorted by insertion */
};

_Static_assert(ASH__CACHE_SPANS == 1 << SPAN_BITS, "spans are told apart by these bits");

static void touch(struct ash_cache *cache, uint32_t frame) {
    ash__cache_date(cache, frame);
}

static void insert(struct ash_cache *cache, uint32_t frame, bool remembered) {
    (void)remembered;
    touch(cache, frame);
}

static void remove(struct ash_cache *cache, uint32_t frame, bool evicted) {
    (void)evicted;
    cache->dates[frame] = 0;
}

/* Of all blocks, whose dates are `base` or later. */
static void make_run(struct ash_cache *cache, uint32_t base) {
    struct ash_cache_run *run = &cache->run;
    const uint32_t *dates = cache->dates;
    uint32_t blocks = cache->config.blocks, sum = 0;
    uint32_t bits = 64 - ash_clz64(cache->now - base),
             top = bits > SPAN_BITS ? bits - SPAN_BITS : 0;
    *run = (struct ash_cache_run){
        .entries = run->entries, .base = base, .made = cache->now, .top = top, .depth = top};
    for (uint32_t frame = 0; frame < blocks; frame++) {
        if (dates[frame] != 0)
            run->spans[(dates[frame] - base) >> top]++;
    }
    for (uint32_t span = 0; span < ASH__CACHE_SPANS; span++) {
        uint32_t length = run->spans[span];
        run->spans[span] = sum;
        sum += length;
    }
    for (uint32_t frame = 0; frame < blocks; frame++) {
        uint32_t date = dates[frame];
        if (date != 0)
            run->entries[run->spans[(date - base) >> top]++] =
                (struct ash_cache_run_entry){.frame = frame, .date = date};
    }
}

/* What is left of a span that was asked for since is not sorted. */
static void open_span(const struct ash_cache *cache, struct ash_cache_run *run, uint32_t end) {
    uint32_t first = end;
    for (uint32_t i = end; i-- != run->next;) {
        if (cache->dates[run->entries[i].frame] == run->entries[i].date)
            run->entries[--first] = run->entries[i];
    }
    run->next = run->sorted = first;
    run->ends[run->top] = end;
}

/* What is left before ends[depth], by one bit more. */
static void split(struct ash_cache_run *run) {
    uint32_t bit = --run->depth, end = run->ends[bit + 1], ones = run->next;
    for (uint32_t i = run->next; i < end; i++) {
        struct ash_cache_run_entry entry = run->entries[i];
        run->entries[i] = run->entries[ones];
        run->entries[ones] = entry;
        ones += ~(entry.date - run->base) >> bit & 1;
    }
    run->ends[bit] = ones != run->next ? ones : end;
}

static void sort_few(struct ash_cache_run_entry *entries, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        struct ash_cache_run_entry entry = entries[i];
        uint32_t to = i;
        for (; to != 0 && entries[to - 1].date > entry.date; to--)
            entries[to] = entries[to - 1];
        entries[to] = entry;
    }
}

/* The oldest entry of the run; NULL: it has ended. What is left of a span before ends[depth] agrees
 * in all bits from depth on. */
static const struct ash_cache_run_entry *oldest(struct ash_cache *cache) {
    struct ash_cache_run *run = &cache->run;
    while (run->next == run->sorted) {
        while (run->depth != run->top && run->ends[run->depth] == run->next)
            run->depth++;
        if (run->ends[run->depth] == run->next) {
            if (run->span == ASH__CACHE_SPANS)
                return NULL;
            open_span(cache, run, run->spans[run->span++]);
            continue;
        }
        while (run->depth != 0 && run->ends[run->depth] - run->next > FEW)
            split(run);
        run->sorted = run->ends[run->depth];
        sort_few(&run->entries[run->next], run->sorted - run->next);
    }
    return &run->entries[run->next];
}

/* Dates begin anew, in the same order. */
void ash__cache_redate(struct ash_cache *cache) {
    const struct ash_cache_run_entry *entry;
    make_run(cache, 1);
    for (cache->now = 0; (entry = oldest(cache)) != NULL; cache->run.next++)
        cache->dates[entry->frame] = ++cache->now;
    cache->run.made = 0;
}

static void init(struct ash_cache *cache) {
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++)
        cache->dates[frame] = 0;
    cache->now = 0;
    make_run(cache, 0);
}

/* Of the run, or of one made now; NULL: nobody has a date. */
static const struct ash_cache_run_entry *candidate(struct ash_cache *cache) {
    const struct ash_cache_run_entry *entry = oldest(cache);
    if (entry != NULL)
        return entry;
    make_run(cache, cache->run.made + 1);
    return oldest(cache);
}

/* Blocks that are passed over are in use: as if they were asked for now. */
static uint32_t victim(struct ash_cache *cache) {
    const struct ash_cache_run_entry *entry;
    for (uint32_t left = cache->config.blocks; left != 0 && (entry = candidate(cache)) != NULL;
         cache->run.next++) {
        uint32_t frame = entry->frame;
        if (cache->dates[frame] != entry->date)
            continue;
        enum ash__cache_claim claim = ash__cache_claim(cache, frame);
        if (claim != PASS)
            return claim == CLAIMED ? frame : NONE;
        cache->dates[frame] = ++cache->now; /* at most 2^30 times, and 2^31 more are left */
        left--;
    }
    return NONE;
}

const struct ash__cache_policy ash__cache_lru = {
    .name = "lru",
    .touch_cap = UINT8_MAX,
    .ghosts = ash__cache_no_ghosts,
    .init = init,
    .insert = insert,
    .victim = victim,
    .remove = remove,
    .touch = touch,
};
