/* SPDX-License-Identifier: MIT */
/*
 * init.c: lays the buddy's notes out in the caller's storage, in this order: the spans, the bitmaps
 * (order by order, level by level), the state bytes.
 */
#include "buddy_internal.h"

#include <ashlar/checked.h>

/* Plain arithmetic below cannot overflow: at most 2^32 spans of 40 bytes, 2^42 indices. */
struct layout {
    uint64_t index_end;
    uint64_t total_pages;
    uint64_t spans_bytes, words, bytes;
};

/* The largest order of which the region holds an aligned block. */
static uint32_t region_order_max(const struct ash_buddy_region *region) {
    uint32_t order = ASH_BUDDY_ORDER_MAX;
    uint64_t end = region->first + region->len_pages;
    while (ash_align_up(region->first, UINT64_C(1) << order) + (UINT64_C(1) << order) > end)
        order--;
    return order;
}

/*
 * Gives the region its indices, from the next multiple of 2^order_max: so a block and its buddy, up
 * to that order, are neighbours that no other region shares. The gaps add up to less than three
 * times 2^order_max, so to less than three times the region.
 */
static struct ash_buddy_span span_place(const struct ash_buddy_region *region, uint64_t *index) {
    struct ash_buddy_span span = {.first = region->first, .len_pages = region->len_pages};
    span.order_max = region_order_max(region);
    uint64_t align = UINT64_C(1) << span.order_max;
    span.index_first = ash_align_up(*index, align) + (region->first & (align - 1));
    *index = ash_align_up(span.index_first + region->len_pages, align);
    return span;
}

static uint64_t level_words(uint64_t bits) {
    return (bits + 63) / 64;
}

static uint64_t order_bits(uint64_t index_end, uint32_t order) {
    return ash_align_up(index_end, UINT64_C(1) << order) >> order;
}

static bool config_is_valid(const struct ash_buddy_config *config) {
    if (config == NULL || config->regions == NULL || config->region_count == 0)
        return false;
    uint64_t previous_end = 0, total_pages = 0;
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

static bool layout_of(const struct ash_buddy_config *config, struct layout *layout) {
    if (!config_is_valid(config))
        return false;
    *layout = (struct layout){.index_end = 0};
    for (uint32_t i = 0; i < config->region_count; i++) {
        layout->total_pages += config->regions[i].len_pages;
        span_place(&config->regions[i], &layout->index_end);
    }
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++) {
        uint64_t bits = order_bits(layout->index_end, order);
        do {
            bits = level_words(bits);
            layout->words += bits;
        } while (bits > 1);
    }
    layout->spans_bytes = (uint64_t)config->region_count * sizeof(struct ash_buddy_span);
    layout->bytes = layout->spans_bytes + layout->words * 8 + layout->total_pages;
    return layout->bytes <= SIZE_MAX;
}

size_t ash_buddy_storage_size(const struct ash_buddy_config *config) {
    struct layout layout;
    return layout_of(config, &layout) ? (size_t)layout.bytes : 0;
}

static void carve_bitmaps(struct ash_buddy *buddy, uint64_t *words, uint64_t index_end) {
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++) {
        struct ash_buddy_bitmap *map = &buddy->free_map[order];
        buddy->lone[order] = LONE_NONE;
        uint64_t bits = order_bits(index_end, order);
        do {
            bits = level_words(bits);
            map->level[map->level_count++] = words;
            words += bits;
        } while (bits > 1);
    }
}

static void carve_spans(struct ash_buddy *buddy, const struct ash_buddy_config *config,
                        uint8_t *state) {
    uint64_t index = 0;
    for (uint32_t i = 0; i < config->region_count; i++) {
        struct ash_buddy_span *span = &buddy->spans[i];
        *span = span_place(&config->regions[i], &index);
        span->state = state;
        state += span->len_pages;
    }
}

int ash_buddy_init(struct ash_buddy *buddy, const struct ash_buddy_config *config, void *storage,
                   size_t storage_bytes) {
    struct layout layout;
    if (!layout_of(config, &layout) || storage == NULL ||
        !ash_is_aligned((uintptr_t)storage, ASH_BUDDY_STORAGE_ALIGN) ||
        storage_bytes < layout.bytes)
        return -ASH_EINVAL;
    __builtin_memset(storage, 0, (size_t)layout.bytes);
    *buddy = (struct ash_buddy){.spans = storage,
                                .span_count = config->region_count,
                                .total_pages = layout.total_pages,
                                .free_pages = layout.total_pages};
    ash_spin_init(&buddy->lock);
    uint8_t *bytes = storage;
    carve_bitmaps(buddy, (uint64_t *)(void *)(bytes + layout.spans_bytes), layout.index_end);
    carve_spans(buddy, config, bytes + layout.spans_bytes + layout.words * 8);
    for (uint32_t i = 0; i < buddy->span_count; i++) {
        const struct ash_buddy_span *span = &buddy->spans[i];
        ash__buddy_insert_range(buddy, span, span->index_first,
                                span->index_first + span->len_pages);
    }
    return 0;
}
