/* SPDX-License-Identifier: MIT */
/* blocks.c: blocks of the map, taken and given back under the lock. */
#include "cache.h"

ASH_EVENT_DEFINE(event_split, "buddy.split", "order,of");

/* Blocks of up to half a chunk. */

static uint64_t take_in_word(struct ash_buddy *buddy, uint64_t chunk, uint32_t order) {
    uint64_t orders = buddy->orders[chunk];
    uint32_t k = order, fitting;
    while ((fitting = row_of(orders, k) & ~row_of(orders, k + 1)) == 0)
        k++; /* the chunk's class says that there is one */
    if (k != order)
        ASH_EVENT(event_split, order, k);
    uint64_t word = chunk * CHUNK_WORDS + ash_ctz64(fitting);
    uint64_t runs = runs_of(buddy->words[word], 0, order);
    uint64_t larger = order < WORD_ORDER ? runs_of(runs, order, order + 1) : 0;
    larger |= larger << (1u << order % WORD_ORDER);
    uint64_t place = word * WORD_FRAMES + ash_ctz64((runs & ~larger) != 0 ? runs & ~larger : runs);
    word_store(buddy, word, buddy->words[word] & ~(word_mask(order) << place % WORD_FRAMES));
    reindex(buddy, word);
    return place;
}

static uint64_t take_words(struct ash_buddy *buddy, uint64_t chunk, uint32_t order) {
    uint32_t whole = row_of(buddy->orders[chunk], WORD_ORDER), groups = groups_of(whole, order);
    uint32_t larger = groups_of(whole, order + 1);
    larger |= larger << (1u << (order - WORD_ORDER));
    uint64_t word = chunk * CHUNK_WORDS;
    word += ash_ctz64((groups & ~larger) != 0 ? groups & ~larger : groups);
    for (uint64_t i = 0; i < words_in(order); i++)
        word_store(buddy, word + i, 0);
    ash__buddy_reindex_block(buddy, word * WORD_FRAMES, order);
    return word * WORD_FRAMES;
}

static uint64_t take_in_chunk(struct ash_buddy *buddy, uint32_t order, uint32_t hint) {
    uint64_t chunk = ash__buddy_choose(buddy, order + 1, hint);
    if (chunk == NOWHERE)
        return NOWHERE;
    return order <= WORD_ORDER ? take_in_word(buddy, chunk, order)
                               : take_words(buddy, chunk, order);
}

/* Blocks of chunks. */

static void set_words(struct ash_buddy *buddy, uint64_t chunk, uint64_t bits) {
    uint64_t *words = &buddy->words[chunk * CHUNK_WORDS];
#pragma GCC unroll 8
    for (uint32_t w = 0; w < CHUNK_WORDS; w++)
        ash_store_relaxed(&words[w], bits);
}

/* A wholly free chunk, which has no claims, becomes a wholly used one. */
static void take_chunk(struct ash_buddy *buddy, uint64_t chunk, uint32_t hint) {
    set_words(buddy, chunk, 0);
    buddy->orders[chunk] = 0;
    ash__buddy_set_hint(buddy, chunk, hint);
    ash__buddy_move(buddy, chunk, CLASS_NONE);
}

/* The other way round; words may be claimed by now, of which nothing is held. */
static void give_chunk(struct ash_buddy *buddy, uint64_t chunk) {
    uint64_t orders = buddy->orders[chunk];
    set_words(buddy, chunk, UINT64_MAX);
    if (ASH_LIKELY(orders == 0)) {
        buddy->orders[chunk] = 0xff * ROWS;
        ash__buddy_move(buddy, chunk, CLASS_EMPTY);
    } else {
        ash__buddy_reindex_block(buddy, chunk * CHUNK_FRAMES, CHUNK_ORDER);
    }
}

static bool chunk_overlaps(const struct ash_buddy *buddy, uint64_t chunk) {
    const uint64_t *words = &buddy->words[chunk * CHUNK_WORDS];
    uint64_t bits = 0;
#pragma GCC unroll 8
    for (uint32_t w = 0; w < CHUNK_WORDS; w++)
        bits |= ash_load_relaxed(&words[w]); /* one by one, as they were stored */
    for (uint32_t w = 0; ASH_UNLIKELY(buddy->orders[chunk] != 0) && w < CHUNK_WORDS; w++)
        bits |= claimed_bits(buddy, chunk * CHUNK_WORDS + w, UINT64_MAX);
    return bits != 0;
}

/* The first aligned run of `len` wholly free chunks of a span, or NOWHERE. */
static uint64_t find_chunks(struct ash_buddy *buddy, const struct ash_buddy_span *span,
                            uint64_t len) {
    uint64_t bias = span->word_bias / CHUNK_WORDS, end = span_chunk_end(span);
    uint64_t chunk = span->chunk_first;
    while ((chunk = ash__buddy_next_empty(buddy, chunk, end)) < end) {
        uint64_t first = ash_align_up(chunk + bias, len) - bias, next = first;
        if (first > end || end - first < len)
            break;
        while (next < first + len && ash__buddy_next_empty(buddy, next, next + 1) == next)
            next++;
        if (next == first + len)
            return first;
        chunk = next + 1;
    }
    return NOWHERE;
}

static uint64_t take_chunks(struct ash_buddy *buddy, uint32_t order, uint32_t hint) {
    uint64_t len = UINT64_C(1) << (order - CHUNK_ORDER), chunk = NOWHERE;
    if (len == 1) {
        chunk = ash__buddy_first_empty(buddy);
    } else {
        for (uint32_t i = 0; i < buddy->span_count && chunk == NOWHERE; i++)
            chunk = find_chunks(buddy, &buddy->spans[i], len);
    }
    if (chunk == NOWHERE)
        return NOWHERE;
    for (uint64_t c = chunk; c < chunk + len; c++)
        take_chunk(buddy, c, hint);
    return chunk * CHUNK_FRAMES;
}

uint64_t ash__buddy_take(struct ash_buddy *buddy, uint32_t order, uint32_t hint) {
    uint64_t place =
        order < CHUNK_ORDER ? take_in_chunk(buddy, order, hint) : take_chunks(buddy, order, hint);
    if (place != NOWHERE)
        map_pages_take(buddy, UINT64_C(1) << order);
    return place;
}

bool ash__buddy_give_chunks(struct ash_buddy *buddy, uint64_t place, uint32_t order) {
    uint64_t chunk = place / CHUNK_FRAMES, end = chunk + (UINT64_C(1) << (order - CHUNK_ORDER));
    for (uint64_t c = chunk; c < end; c++) {
        if (chunk_overlaps(buddy, c))
            return false;
    }
    for (; chunk < end; chunk++)
        give_chunk(buddy, chunk);
    map_pages_add(buddy, UINT64_C(1) << order);
    return true;
}
