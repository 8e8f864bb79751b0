/* SPDX-License-Identifier: MIT */
/* init.c: sizes, and a buddy whose frames are all free. */
#include <ashlar/checked.h>

#include "cache.h"

/* Where the tables lie in the storage, in bytes from its first multiple of a chunk's line. */
struct layout {
    uint64_t total_pages, chunk_count, level_count, set_words;
    uint64_t orders_at, sets_at, spans_at, classes_at, state_at, bytes;
};

enum { LINE = 64 };

static bool config_is_valid(const struct ash_buddy_config *config) {
    uint64_t previous_end = 0, total_pages = 0;
    if (config->regions == NULL || config->region_count == 0 ||
        config->high_pages < config->low_pages || (config->low_pages != 0 && config->low == NULL))
        return false;
    for (uint32_t i = 0; i < config->region_count; i++) {
        const struct ash_buddy_region *region = &config->regions[i];
        if (region->len_pages == 0 || region->first < previous_end ||
            !ash_range_fits(region->first, region->len_pages, ASH_BUDDY_FRAME_LIMIT) ||
            !ash_range_fits(total_pages, region->len_pages, ASH_BUDDY_PAGES_MAX))
            return false;
        previous_end = region->first + region->len_pages;
        total_pages += region->len_pages;
    }
    return true;
}

/* Chunks that a region begins, at most 2^31 + 2. */
static uint64_t chunks_of(const struct ash_buddy_region *region) {
    return (region->first + region->len_pages - 1) / CHUNK_FRAMES - region->first / CHUNK_FRAMES +
           1;
}

static bool layout_of(const struct ash_buddy_config *config, struct layout *layout) {
    if (!config_is_valid(config))
        return false;
    *layout = (struct layout){.total_pages = 0};
    for (uint32_t i = 0; i < config->region_count; i++) {
        layout->total_pages += config->regions[i].len_pages;
        layout->chunk_count += chunks_of(&config->regions[i]);
    }
    uint64_t bits = layout->chunk_count;
    do {
        bits = (bits + 63) / 64;
        layout->set_words += bits * SET_COUNT;
        layout->level_count++;
    } while (bits > 1);
    layout->orders_at = layout->chunk_count * CHUNK_WORDS * 8;
    layout->sets_at = layout->orders_at + layout->chunk_count * 8;
    layout->spans_at = layout->sets_at + layout->set_words * 8;
    layout->classes_at =
        layout->spans_at + (uint64_t)config->region_count * sizeof(struct ash_buddy_span);
    layout->state_at = layout->classes_at + layout->chunk_count;
    layout->bytes = layout->state_at + LINE - ASH_BUDDY_STORAGE_ALIGN;
    if (config->hardened)
        layout->bytes += layout->chunk_count * CHUNK_FRAMES;
    return layout->level_count <= ASH_BUDDY__LEVELS_MAX;
}

size_t ash_buddy_storage_size(const struct ash_buddy_config *config) {
    struct layout layout;
    return layout_of(config, &layout) ? (size_t)layout.bytes : 0;
}

static void carve(struct ash_buddy *buddy, const struct layout *layout, uint8_t *base,
                  bool hardened) {
    buddy->words = (uint64_t *)(void *)base;
    buddy->orders = (uint64_t *)(void *)(base + layout->orders_at);
    buddy->sets = (uint64_t *)(void *)(base + layout->sets_at);
    buddy->spans = (struct ash_buddy_span *)(void *)(base + layout->spans_at);
    buddy->classes = base + layout->classes_at;
    buddy->state = hardened ? base + layout->state_at : NULL;
    uint64_t bits = buddy->chunk_count = layout->chunk_count, at = 0;
    do {
        bits = (bits + 63) / 64;
        buddy->level_at[buddy->level_count++] = at;
        at += bits * SET_COUNT;
    } while (bits > 1);
}

static void add_spans(struct ash_buddy *buddy, const struct ash_buddy_config *config) {
    uint64_t chunk = 0;
    buddy->span_count = config->region_count;
    for (uint32_t i = 0; i < config->region_count; i++) {
        const struct ash_buddy_region *region = &config->regions[i];
        struct ash_buddy_span *span = &buddy->spans[i];
        span->first = region->first;
        span->len_pages = region->len_pages;
        span->chunk_first = chunk;
        span->word_bias = (region->first / CHUNK_FRAMES - chunk) * CHUNK_WORDS;
        chunk += chunks_of(region);
    }
}

/* Chunks at a region's ends that can never be whole serve what cannot be moved. */
static void free_span(struct ash_buddy *buddy, const struct ash_buddy_span *span) {
    uint64_t place = place_of(span, span->first), end = place + span->len_pages;
    if (place % CHUNK_FRAMES != 0)
        buddy->classes[place / CHUNK_FRAMES] = ASH_BUDDY_UNMOVABLE << HINT_SHIFT;
    if (end % CHUNK_FRAMES != 0)
        buddy->classes[end / CHUNK_FRAMES] = ASH_BUDDY_UNMOVABLE << HINT_SHIFT;
    ash__buddy_set_range(buddy, place, end, true);
}

int ash_buddy_init(struct ash_buddy *buddy, const struct ash_buddy_config *config, void *storage,
                   size_t storage_bytes) {
    struct layout layout;
    if (!layout_of(config, &layout) || storage == NULL ||
        !ash_is_aligned((uintptr_t)storage, ASH_BUDDY_STORAGE_ALIGN) ||
        storage_bytes < layout.bytes)
        return -ASH_EINVAL;
    __builtin_memset(storage, 0, (size_t)layout.bytes);
    __builtin_memset(buddy, 0, sizeof(*buddy));
    ash_spin_init(&buddy->lock);
    buddy->total_pages = layout.total_pages;
    buddy->low_pages = config->low_pages;
    buddy->high_pages = config->high_pages;
    buddy->low = config->low;
    buddy->context = config->context;
    buddy->interrupts = config->interrupts;
    buddy->low_armed = true;
    buddy->clash = NOWHERE;
    uintptr_t skip = (0 - (uintptr_t)storage) % LINE; /* a chunk's words share a line */
    carve(buddy, &layout, (uint8_t *)storage + skip, config->hardened);
    add_spans(buddy, config);
    for (uint32_t i = 0; i < buddy->span_count; i++)
        free_span(buddy, &buddy->spans[i]);
    ash__buddy_cpus_init(buddy, config->hardened || config->interrupts);
    return 0;
}
