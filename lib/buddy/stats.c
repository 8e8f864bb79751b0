/* SPDX-License-Identifier: MIT */
/* stats.c: numbers, gathered on demand from the map and the caches; nobody counts as he goes. */
#include "cache.h"

uint64_t ash_buddy_free_pages(const struct ash_buddy *buddy) {
    return ash_load_relaxed(&buddy->map_pages) + ash__buddy_cached_pages(buddy);
}

/* Adds up, for each order, the aligned blocks that are wholly free, nested ones included. */
static void count_word(uint64_t word, uint64_t *blocks) {
    for (uint32_t order = 0; order <= WORD_ORDER && word != 0; order++) {
        blocks[order] += ash_popcount64(word);
        if (order < WORD_ORDER)
            word = runs_of(word, order, order + 1);
    }
}

static uint32_t count_chunk(const struct ash_buddy *buddy, uint64_t chunk, uint64_t *blocks) {
    uint32_t whole = 0;
    for (uint32_t w = 0; w < CHUNK_WORDS; w++) {
        uint64_t word = word_load(buddy, chunk * CHUNK_WORDS + w);
        whole |= (uint32_t)(word == UINT64_MAX) << w;
        count_word(word, blocks);
    }
    for (uint32_t order = WORD_ORDER + 1; order <= CHUNK_ORDER; order++)
        blocks[order] += ash_popcount64(groups_of(whole, order));
    return whole == 0xff;
}

static void count_span(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                       uint64_t *blocks) {
    uint64_t run = 0, bias = span->word_bias / CHUNK_WORDS; /* run: of whole chunks, up to here */
    for (uint64_t chunk = span->chunk_first; chunk < span_chunk_end(span); chunk++) {
        run = count_chunk(buddy, chunk, blocks) ? run + 1 : 0;
        for (uint32_t order = CHUNK_ORDER + 1; order <= ASH_BUDDY_ORDER_MAX; order++) {
            uint64_t len = UINT64_C(1) << (order - CHUNK_ORDER);
            if (run < len || !ash_is_aligned(chunk + 1 + bias, len))
                break;
            blocks[order]++;
        }
    }
}

/* Under the lock nothing goes from a cache to the map or back: what is counted wrongly is what
 * other CPUs take from their caches, or put there, just now. */
static void copy_counters(struct ash_buddy *buddy, struct ash_buddy_stats *stats) {
    struct section section = section_lock(buddy);
    stats->cached_pages = ash__buddy_cached_pages(buddy);
    stats->free_pages = buddy->map_pages + stats->cached_pages;
    uint64_t not_used = stats->free_pages + buddy->reserved_pages;
    stats->used_pages = stats->total_pages - ash_min_u64(not_used, stats->total_pages);
    buddy->peak_used_pages = ash_max_u64(buddy->peak_used_pages, stats->used_pages);
    stats->peak_used_pages = buddy->peak_used_pages;
    stats->reserved_pages = buddy->reserved_pages;
    stats->failed_allocs = buddy->failed_allocs;
    section_unlock_silently(buddy, section);
}

void ash_buddy_get_stats(struct ash_buddy *buddy, struct ash_buddy_stats *stats) {
    uint64_t blocks[ASH_BUDDY_ORDERS + 1] = {0};
    *stats = (struct ash_buddy_stats){.total_pages = buddy->total_pages, .largest_free_order = -1};
    for (uint32_t i = 0; i < buddy->span_count; i++)
        count_span(buddy, &buddy->spans[i], blocks);
    copy_counters(buddy, stats);
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++) {
        uint64_t usable = (blocks[order] << order) + (order == 0 ? stats->cached_pages : 0);
        stats->free_blocks[order] = blocks[order] - 2 * blocks[order + 1];
        if (blocks[order] != 0)
            stats->largest_free_order = (int32_t)order;
        if (usable < stats->free_pages)
            stats->fragmentation_permille[order] =
                (uint32_t)(1000 - usable * 1000 / stats->free_pages);
    }
}
