/* SPDX-License-Identifier: MIT */
/* init.c: the caller's memory becomes a cache. */
#include "cache_internal.h"

/* Where the arrays lie in the storage, and its size; in this order. */
struct layout {
    size_t table, cpus, frames, hot, links[2], ghosts, next, chain, buckets, dates, spaces, ios,
        segments, pinners, size;
};

static uint32_t or_default(uint32_t value, uint32_t otherwise) {
    return value != 0 ? value : otherwise;
}

/* The configuration with its defaults; false: it is invalid. */
static bool complete(const struct ash_cache_config *config, struct ash_cache_config *full) {
    *full = *config;
    full->spaces_max = or_default(config->spaces_max, 1);
    full->depth = or_default(config->depth, ASH_CACHE_DEPTH_DEFAULT);
    full->segments_max = or_default(config->segments_max, ASH_CACHE_SEGMENTS_DEFAULT);
    full->dirty_max = or_default(config->dirty_max, config->blocks / 4 + (config->blocks < 4));
    return config->blocks >= 1 && config->blocks <= ASH_CACHE_BLOCKS_MAX &&
           ash_is_pow2(config->block_bytes) && config->block_bytes >= ASH_CACHE_BLOCK_MIN &&
           config->block_bytes <= ASH_CACHE_BLOCK_MAX && full->spaces_max <= ASH_CACHE_SPACES_MAX &&
           full->depth >= ASH_CACHE_EXTENTS_MAX && full->depth <= ASH_CACHE_DEPTH_MAX &&
           full->segments_max <= ASH_CACHE_SEGMENTS_MAX && full->dirty_max <= config->blocks &&
           config->window_max <= ASH_CACHE_WINDOW_MAX && config->retries_max <= UINT8_MAX &&
           config->backend.submit != NULL && ash__cache_policy_find(config->policy) != NULL;
}

/* Three quarters as many slots again as blocks; where no memory goes to ghosts, three halves. And
 * always an empty one: it ends a search. */
static uint32_t pair_count(const struct ash_cache_config *full) {
    bool ghosts = ash__cache_policy_find(full->policy)->ghosts(full->blocks) != 0;
    return (uint32_t)((uint64_t)full->blocks * (ghosts ? 7 : 10) / 8) + 1;
}

static uint32_t cpu_count(const struct ash_cache_config *full) {
    return full->shared ? ASH_PORT_CPUS_MAX : 1;
}

/* No sum can overflow: 2^30 blocks of 88 bytes, 2^24 spaces of 8. */
static size_t place(size_t *end, size_t count, size_t bytes) {
    size_t at = (size_t)ash_align_up(*end, 8);
    *end = at + count * bytes;
    return at;
}

static struct layout layout_of(const struct ash_cache_config *full) {
    struct layout at;
    uint32_t ghosts = ash__cache_policy_find(full->policy)->ghosts(full->blocks);
    size_t end = 0;
    at.cpus = place(&end, cpu_count(full), sizeof(struct ash_cache_cpu));
    end = (size_t)ash_align_up(end, 2 * sizeof(struct ash_cache_slot));
    at.table = place(&end, pair_count(full), 2 * sizeof(struct ash_cache_slot));
    at.frames = place(&end, full->blocks, sizeof(struct ash_cache_frame));
    at.hot = place(&end, full->blocks, sizeof(struct ash_cache_hot));
    for (int i = 0; i < 2; i++)
        at.links[i] = place(&end, full->blocks, sizeof(struct ash_cache_links));
    uint32_t entries = ghosts == 0 ? 0 : ghosts + 1; /* one of them blank */
    at.ghosts = place(&end, entries, sizeof(uint64_t));
    at.next = place(&end, entries, sizeof(uint32_t));
    at.chain = place(&end, entries, sizeof(uint32_t));
    at.buckets = place(&end, ghosts, sizeof(uint32_t));
    at.dates = at.ghosts; /* no policy has both */
    size_t dates_end = at.dates + full->blocks * sizeof(uint32_t);
    end = end > dates_end ? end : dates_end;
    at.spaces = place(&end, full->spaces_max, sizeof(struct ash_cache_space *));
    at.ios = place(&end, full->depth, sizeof(struct ash_cache_io));
    at.segments =
        place(&end, (size_t)full->depth * full->segments_max, sizeof(struct ash_cache_segment));
    at.pinners = place(&end, full->trace_pins ? full->blocks : 0, sizeof(const void *));
    at.size = (size_t)ash_align_up(end, ASH_PORT_CACHE_LINE);
    return at;
}

size_t ash_cache_storage_size(const struct ash_cache_config *config) {
    struct ash_cache_config full;
    return complete(config, &full) ? layout_of(&full).size : 0;
}

static void init_arrays(struct ash_cache *cache, char *storage) {
    const struct ash_cache_config *config = &cache->config;
    struct layout at = layout_of(config);
    cache->table = (void *)(storage + at.table);
    cache->cpus = (void *)(storage + at.cpus);
    cache->frames = (void *)(storage + at.frames);
    cache->hot = (void *)(storage + at.hot);
    for (int i = 0; i < 2; i++)
        cache->links[i] = (void *)(storage + at.links[i]);
    cache->run.entries = (void *)(storage + at.links[POLICY]);
    cache->ghosts.keys = (void *)(storage + at.ghosts);
    cache->ghosts.next = (void *)(storage + at.next);
    cache->ghosts.chain = (void *)(storage + at.chain);
    cache->ghosts.buckets = (void *)(storage + at.buckets);
    cache->dates = (void *)(storage + at.dates);
    cache->spaces = (void *)(storage + at.spaces);
    cache->ios = (void *)(storage + at.ios);
    cache->segments = (void *)(storage + at.segments);
    cache->pinners = config->trace_pins ? (void *)(storage + at.pinners) : NULL;
    cache->pair_count = pair_count(config);
    cache->ghosts.room = ash__cache_policy_find(config->policy)->ghosts(config->blocks);
    __builtin_memset(storage, 0, at.size);
    for (uint64_t slot = 0; slot < 2 * cache->pair_count; slot++)
        cache->table[slot].key = ASH__CACHE_NO_KEY;
}

static void init_frames(struct ash_cache *cache) {
    ash__cache_queue_init(&cache->free_frames);
    ash__cache_queue_init(&cache->orphans);
    ash__cache_queue_init(&cache->tagged);
    ash__cache_queue_init(&cache->fill);
    ash__cache_queue_init(&cache->prefetch);
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
        cache->frames[frame].slot = NONE;
        cache->hot[frame].hold = ABSENT;
        ash__cache_push(cache, &cache->free_frames, WORK, frame); /* frame 0 is used first */
    }
}

static void init_ios(struct ash_cache *cache) {
    ash_list_init(&cache->io_ready);
    cache->io_free_count = cache->config.depth;
    for (uint32_t i = cache->config.depth; i-- != 0;) {
        cache->ios[i].segments = &cache->segments[(size_t)i * cache->config.segments_max];
        cache->ios[i].link.next = cache->io_free;
        cache->io_free = &cache->ios[i].link;
    }
}

int ash_cache_init(struct ash_cache *cache, const struct ash_cache_config *config, void *storage,
                   size_t storage_bytes, void *data) {
    struct ash_cache_config full;
    if (!complete(config, &full) || storage == NULL || data == NULL ||
        !ash_is_aligned((uintptr_t)storage, ASH_PORT_CACHE_LINE) ||
        !ash_is_aligned((uintptr_t)data, config->block_bytes))
        return -ASH_EINVAL;
    if (storage_bytes < layout_of(&full).size)
        return -ASH_ENOMEM;
    *cache = (struct ash_cache){.config = full, .shared = full.shared, .data = data, .epoch = 1};
    cache->block_shift = ash_ctz64(full.block_bytes);
    cache->window = full.window_max;
    ash__cache_ahead_init(cache);
    ash_spin_init(&cache->lock);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(cache->waiting); i++)
        ash_list_init(&cache->waiting[i]);
    ash_list_init(&cache->waiting_frame);
    ash_list_init(&cache->waiting_dirty);
    ash_list_init(&cache->ready);
    ash_list_init(&cache->flushes);
    ash_list_init(&cache->flushed);
    ash_list_init(&cache->dirty_spaces);
    init_arrays(cache, storage);
    init_frames(cache);
    init_ios(cache);
    ash__cache_policy_start(cache, ash__cache_policy_find(full.policy));
    return 0;
}

static bool is_quiet(const struct ash_cache *cache) {
    if (cache->dirty != 0 || cache->io_free_count != cache->config.depth ||
        !ash_list_is_empty(&cache->flushes) || cache->pumping || cache->fill.length != 0 ||
        cache->prefetch.length != 0)
        return false;
    for (uint32_t frame = 0; frame < cache->config.blocks; frame++) {
        if (ash__cache_pins(cache, frame) != 0 || ash__cache_has(cache, frame, LOST))
            return false;
    }
    return true;
}

int ash_cache_fini(struct ash_cache *cache) {
    ash_irq_t irq = ash__cache_enter(cache);
    bool quiet = is_quiet(cache);
    ash__cache_leave(cache, irq);
    return quiet ? 0 : -ASH_EBUSY;
}
