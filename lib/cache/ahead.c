/* SPDX-License-Identifier: MIT */
/*
 * ahead.c: reading ahead of sequential readers. A stream is met where a block is asked for that was
 * not there, or that was read ahead and not asked for yet (the bit FRESH), next to or a little
 * behind the last one. From the second in a row on, `window` blocks are kept ahead of it, asked for
 * again when half of them are used up, of a large window a quarter: at half of that, the one I/O
 * that they are joined to leaves the disk idle until the next one's first byte. The window doubles
 * each time, up to cache->window, which is halved where less than half of what was read ahead
 * lately came to be used, and doubled again where nearly all was.
 */
#include "cache_internal.h"

enum {
    WINDOW_FIRST = 4,
    BATCHES_OF_TWO = 16, /* the largest window that is asked for by halves */
    JUDGED = 64 /* blocks read ahead, used or evicted unused, between two looks at the window */
};

enum outcome { BEGUN, NOT_NEEDED, NO_ROOM };

static enum outcome prefetch_one(struct ash_cache *cache, struct ash_cache_space *space,
                                 uint64_t index) {
    uint64_t key = ash__cache_key(space, index);
    uint32_t fresh_max = cache->config.blocks / 4 + 1;
    if (index >= space->blocks || ash__cache_find(cache, key) != NONE)
        return NOT_NEEDED;
    uint32_t frame = cache->fresh < fresh_max ? ash__cache_take_frame(cache, space, index) : NONE;
    if (frame == NONE)
        return NO_ROOM;
    ash__cache_fill(cache, frame, true);
    return BEGUN;
}

/* The stream that was to come past this block; ASH_CACHE_STREAMS: none. */
static uint32_t find_stream(const struct ash_cache *cache, uint64_t key) {
    uint32_t i = 0;
    while (i < ASH_CACHE_STREAMS && key - cache->streams[i].next > cache->streams[i].ahead)
        i++;
    return i;
}

/* The streams are in the order in which they were met last: the last one makes room for a new one
 * in front. */
static struct ash_cache_stream *put_first(struct ash_cache *cache, uint32_t found) {
    struct ash_cache_stream stream = {.window = WINDOW_FIRST};
    uint32_t before = found < ASH_CACHE_STREAMS ? found : ASH_CACHE_STREAMS - 1;
    if (found < ASH_CACHE_STREAMS)
        stream = cache->streams[found];
    __builtin_memmove(&cache->streams[1], &cache->streams[0], before * sizeof(stream));
    cache->streams[0] = stream;
    return &cache->streams[0];
}

static void go_ahead(struct ash_cache *cache, struct ash_cache_space *space,
                     struct ash_cache_stream *stream, uint64_t index) {
    uint32_t batch = stream->window / (stream->window > BATCHES_OF_TWO ? 4 : 2);
    if (stream->ahead > stream->window - batch)
        return;
    uint32_t window = stream->window < cache->window ? stream->window : cache->window;
    while (stream->ahead < window) {
        if (prefetch_one(cache, space, index + ++stream->ahead) == NO_ROOM)
            stream->ahead = window; /* the others would look too */
    }
    if (stream->window < cache->window)
        stream->window *= 2;
}

/* A block was asked for that was not there, or that had been read ahead. */
void ash__cache_ahead(struct ash_cache *cache, struct ash_cache_space *space, uint64_t index) {
    if (cache->config.window_max == 0)
        return;
    uint64_t key = ash__cache_key(space, index);
    uint32_t found = find_stream(cache, key);
    struct ash_cache_stream *stream = put_first(cache, found);
    uint64_t passed = key + 1 - stream->next;
    stream->next = key + 1;
    if (found == ASH_CACHE_STREAMS)
        return;
    stream->ahead = stream->ahead > passed ? stream->ahead - (uint32_t)passed : 0;
    go_ahead(cache, space, stream, index);
}

/* Nobody comes past there any more. */
static void forget_stream(struct ash_cache_stream *stream) {
    *stream = (struct ash_cache_stream){.next = ASH__CACHE_NO_KEY};
}

void ash__cache_ahead_init(struct ash_cache *cache) {
    for (uint32_t i = 0; i < ASH_CACHE_STREAMS; i++)
        forget_stream(&cache->streams[i]);
}

void ash__cache_ahead_close(struct ash_cache *cache, const struct ash_cache_space *space) {
    for (uint32_t i = 0; i < ASH_CACHE_STREAMS; i++) {
        if (cache->streams[i].next >> ASH_CACHE_INDEX_BITS == space->id)
            forget_stream(&cache->streams[i]);
    }
}

static void judge(struct ash_cache *cache) {
    if (cache->used + cache->wasted < JUDGED)
        return;
    if (cache->wasted > cache->used && cache->window > 1)
        cache->window /= 2;
    else if (cache->wasted <= cache->used / 8 && cache->window < cache->config.window_max)
        cache->window *= 2;
    if (cache->window > cache->config.window_max)
        cache->window = cache->config.window_max;
    cache->used = cache->wasted = 0;
}

/* A block that was read ahead is asked for, for the first time. */
void ash__cache_ahead_used(struct ash_cache *cache, uint32_t frame) {
    cache->fresh--;
    cache->used++;
    cache->stats.prefetch_used++;
    judge(cache);
    ash__cache_ahead(cache, ash__cache_space(cache, frame),
                     ash__cache_index(ash__cache_frame_key(cache, frame)));
}

/* It goes, and nobody asked for it. */
void ash__cache_ahead_wasted(struct ash_cache *cache, uint32_t frame) {
    (void)frame;
    cache->fresh--;
    cache->wasted++;
    cache->stats.prefetch_wasted++;
    judge(cache);
}

/* It could not be read: whoever reads there sequentially has to come past it first. */
void ash__cache_ahead_failed(struct ash_cache *cache, uint32_t frame) {
    uint32_t found = find_stream(cache, ash__cache_frame_key(cache, frame));
    if (found < ASH_CACHE_STREAMS)
        forget_stream(&cache->streams[found]);
}

uint32_t ash_cache_prefetch(struct ash_cache *cache, struct ash_cache_space *space, uint64_t index,
                            uint32_t count) {
    enum { AT_A_TIME = 64 }; /* then the lock is let go */
    uint32_t begun = 0;
    enum outcome outcome = NOT_NEEDED;
    ash_irq_t irq = ash__cache_enter(cache);
    ash__cache_require_open(cache, space);
    for (uint32_t i = 0; i < count && index < space->blocks && outcome != NO_ROOM; i++, index++) {
        outcome = prefetch_one(cache, space, index);
        begun += outcome == BEGUN;
        if (i % AT_A_TIME == AT_A_TIME - 1) {
            ash__cache_leave(cache, irq);
            irq = ash__cache_enter(cache);
        }
    }
    ash__cache_run(cache, irq);
    return begun;
}
