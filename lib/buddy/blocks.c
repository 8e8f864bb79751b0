/* SPDX-License-Identifier: MIT */
/* blocks.c: blocks of the map, taken and given back under the lock. */
#include "buddy_internal.h"

/* Blocks of up to half a chunk. */

static uint64_t take_in_word(struct ash_buddy *buddy, uint64_t chunk, uint32_t order) {
    uint64_t orders = buddy->orders[chunk];
    uint32_t k = order, fitting;
    while ((fitting = row_of(orders, k) & ~row_of(orders, k + 1)) == 0)
        k++; /* the chunk's class says that there is one */
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

static void set_chunks(struct ash_buddy *buddy, uint64_t chunk, uint32_t order, uint64_t bits) {
    for (uint64_t end = chunk + (UINT64_C(1) << (order - CHUNK_ORDER)); chunk < end; chunk++) {
        uint64_t claims = buddy->orders[chunk] & 0xff * CLAIM;
        for (uint32_t w = 0; w < CHUNK_WORDS; w++)
            word_store(buddy, chunk * CHUNK_WORDS + w, bits);
        if (ASH_LIKELY(claims == 0))
            ash__buddy_set_orders(buddy, chunk, bits & 0xff * ROWS);
        else
            ash__buddy_reindex_block(buddy, chunk * CHUNK_FRAMES, CHUNK_ORDER);
    }
}

static bool chunks_overlap(const struct ash_buddy *buddy, uint64_t chunk, uint32_t order) {
    uint64_t bits = 0;
    for (uint64_t i = 0; i < words_in(order); i++) {
        uint64_t word = chunk * CHUNK_WORDS + i;
        bits |= buddy->words[word] | claimed_bits(buddy, word, UINT64_MAX);
    }
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
        ash__buddy_set_hint(buddy, c, hint);
    set_chunks(buddy, chunk, order, 0);
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
    if (chunks_overlap(buddy, place / CHUNK_FRAMES, order))
        return false;
    set_chunks(buddy, place / CHUNK_FRAMES, order, UINT64_MAX);
    map_pages_add(buddy, UINT64_C(1) << order);
    return true;
}
