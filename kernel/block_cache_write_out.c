/* SPDX-License-Identifier: MIT */
/*
 * block_cache_write_out.c: when dirty blocks are written: when somebody asks for it, and in the
 * background after a time, or when nobody wants anything. Both are flushes: they cover what is
 * dirty when they begin, and end with the devices' own.
 */
#include "block_cache_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "platform.h"
#include "thread.h"

#define NOTHING_DIRTY UINT64_MAX

enum { PAUSES_MAX = 64 }; /* between two tries, of age_ns */

static ash_ns_t due_ns(const struct block_cache *cache) {
    if (!cache->is_on || cache->is_writing_out || cache->age_ns == 0 ||
        cache->dirty_since_ns == NOTHING_DIRTY)
        return UINT64_MAX;
    return cache->dirty_since_ns + cache->pause_ns;
}

/* What failed is dirty still. */
static void note_end(struct block_cache *cache, int status) {
    cache->has_failed = status != 0;
    if (status == 0) {
        cache->pause_ns = cache->age_ns;
        return;
    }
    cache->pause_ns = ash_min_u64(2 * cache->pause_ns, PAUSES_MAX * cache->age_ns);
    cache->dirty_since_ns = platform_now_ns();
}

/* A flush of everything, which will say of each disk anew what is wrong. */
static void begin_all(struct block_cache *cache) {
    cache->dirty_since_ns = NOTHING_DIRTY;
    for (uint32_t i = 0; i < cache->disk_count; i++)
        cache->disks[i].error = 0;
    block_cache_wait_begin(cache, NULL);
}

void block_cache_set_age(struct block_cache *cache, ash_ns_t age_ns) {
    block_cache_lock(cache);
    cache->age_ns = cache->pause_ns = age_ns;
    block_cache_unlock(cache);
}

/* Who works in the background sleeps, and does not know when that is due. */
void block_cache_dirtied(struct block_cache *cache) {
    if (cache->dirty_since_ns != NOTHING_DIRTY)
        return;
    cache->dirty_since_ns = platform_now_ns();
    if (threads_cpu_count() == 0)
        return;
    ash_store_release(&cache->turns.has_news, 1u);
    platform_wake(0);
}

/* Asked for */

static void is_flushed(struct ash_cache_flush_request *request) {
    block_cache_wait_over(ASH_CONTAINER_OF(request, struct block_wait, flush));
}

int block_cache_flush(struct block_cache *cache, struct cached_disk *disk) {
    struct block_wait wait;
    block_cache_wait_init(cache, &wait);
    block_cache_wait_begin(cache, disk);
    wait.flush.done = is_flushed;
    ash_cache_flush(&cache->cache, disk == NULL ? NULL : &disk->space, &wait.flush);
    block_cache_wait(cache, &wait);
    block_cache_forget_silence(cache, disk);
    return wait.flush.status;
}

int block_cache_sync(struct block_cache *cache, uint32_t *blocks) {
    *blocks = 0;
    if (!cache->is_on)
        return 0;
    uint32_t before[DISKS_MAX];
    block_cache_enter(cache);
    for (uint32_t i = 0; i < cache->disk_count; i++)
        before[i] = ash_cache_space_dirty(&cache->disks[i].space);
    begin_all(cache);
    int error = block_cache_flush(cache, NULL);
    note_end(cache, error);
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        const struct cached_disk *disk = &cache->disks[i];
        uint32_t left = ash_cache_space_dirty(&disk->space); /* or dirtied by others meanwhile */
        if (!disk->wants_flush && left < before[i])
            *blocks += before[i] - left;
    }
    block_cache_leave(cache);
    return error;
}

bool block_cache_unwritten(const struct block_cache *cache, uint32_t disk,
                           char text[BLOCK_CACHE_REASON]) {
    const struct cached_disk *one = &cache->disks[disk];
    uint32_t blocks = ash_cache_space_dirty(&one->space);
    if (!cache->is_on || one->error == 0)
        return false;
    const char *why = disk_explain(one->disk, one->error);
    if (blocks != 0)
        snprintf(text, BLOCK_CACHE_REASON, "%" PRIu32 " block%s (%" PRIu64 " KiB) not written: %s",
                 blocks, blocks == 1 ? "" : "s", (uint64_t)blocks * BLOCK_CACHE_BYTES >> 10, why);
    else
        snprintf(text, BLOCK_CACHE_REASON, "what was written is not safe: %s", why);
    return blocks != 0 || one->wants_flush;
}

/* In the background */

static void is_written_out(struct ash_cache_flush_request *request) {
    struct block_cache *cache = ASH_CONTAINER_OF(request, struct block_cache, write_out);
    cache->is_writing_out = false;
    block_cache_forget_silence(cache, NULL);
    note_end(cache, request->status);
}

static void begin(struct block_cache *cache) {
    begin_all(cache);
    cache->is_writing_out = true;
    cache->write_out.done = is_written_out;
    ash_cache_flush(&cache->cache, NULL, &cache->write_out);
}

void block_cache_write_out_if_due(struct block_cache *cache, ash_ns_t now_ns) {
    if (due_ns(cache) <= now_ns)
        begin(cache);
}

bool block_cache_has_news(void *context) {
    const struct block_cache *cache = context;
    return ash_load_acquire(&cache->turns.has_news) != 0 ||
           (ash_load_relaxed(&cache->turns.users) == 0 &&
            ash_load_acquire(&cache->group.interrupts) != ash_load_relaxed(&cache->turns.taken));
}

/* Of what is on its way an interrupt will tell; of what has completed since, a note. */
static void listen(struct block_cache *cache) {
    if (!block_cache_may_sleep(cache))
        ash_store_relaxed(&cache->turns.has_news, 1u);
}

/* Where others wait, one of them takes completions, and looks after the devices. */
static ash_ns_t work(struct block_cache *cache, ash_ns_t now_ns, bool is_idle) {
    bool is_alone = cache->turns.users == 1;
    ash_store_relaxed(&cache->turns.has_news, 0u);
    if (is_alone && !block_cache_take(cache))
        block_cache_watch(cache);
    if (is_idle && !cache->has_failed && due_ns(cache) != UINT64_MAX)
        begin(cache);
    block_cache_write_out_if_due(cache, now_ns);
    if (is_alone)
        listen(cache);
    bool is_busy = cache->is_writing_out || block_cache_is_busy(cache);
    return is_busy ? now_ns + DISK_WATCH_NS : due_ns(cache);
}

ash_ns_t block_cache_background(struct block_cache *cache, ash_ns_t now_ns, bool is_idle) {
    if (!cache->is_on)
        return UINT64_MAX;
    block_cache_enter(cache);
    ash_ns_t next_ns = work(cache, now_ns, is_idle);
    block_cache_leave(cache);
    return next_ns;
}
