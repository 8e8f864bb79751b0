/* SPDX-License-Identifier: MIT */
/* blocks.c: blocks of the map, taken and given back under the lock. */
#include "buddy_internal.h"

/*
 * A block of up to four words as exactly four, some of them the same word: then no step branches on
 * the order, which nobody can predict. All are loaded before one is stored, so that none waits for
 * the other.
 */
struct four {
    uint64_t *word;
    uint64_t a, b, c, d; /* as they were */
    uint64_t mask;
    uint64_t last; /* index of the last word */
};

static inline struct four four_load(const struct ash_buddy *buddy, uint64_t place, uint32_t order) {
    static const uint64_t masks[] = {0x1,        0x3,        0xf,        0xff,      0xffff,
                                     0xffffffff, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    static const uint8_t lasts[] = {0, 0, 0, 0, 0, 0, 0, 1, 3};
    uint64_t *word = &buddy->words[place / WORD_FRAMES], last = lasts[order];
    return (struct four){word,
                         word[0],
                         word[1 & last],
                         word[2 & last],
                         word[3 & last],
                         masks[order] << place % WORD_FRAMES,
                         last};
}

static inline bool four_are_whole(const struct four *four) {
    return (four->a & four->b & four->c & four->d & four->mask) == four->mask;
}

static inline void four_flip(const struct four *four) {
    ash_store_relaxed(&four->word[0], four->a ^ four->mask);
    ash_store_relaxed(&four->word[1 & four->last], four->b ^ four->mask);
    ash_store_relaxed(&four->word[2 & four->last], four->c ^ four->mask);
    ash_store_relaxed(&four->word[3 & four->last], four->d ^ four->mask);
}

/* Are some of the frames free, in the map or in a cache? All words are of one chunk. */
static inline bool four_overlap(const struct ash_buddy *buddy, const struct four *four) {
    uint64_t bits = four->a | four->b | four->c | four->d;
    uint64_t first = (uint64_t)(four->word - buddy->words);
    if (ASH_UNLIKELY((buddy->orders[first / CHUNK_WORDS] & 0xff * CLAIM) != 0)) {
        for (uint64_t i = 0; i <= four->last; i++)
            bits |= claimed_bits(buddy, first + i, four->mask);
    }
    return (bits & four->mask) != 0;
}

/*
 * Hot blocks: freed lately, free in the map, but not indexed yet (I5). The next allocation of the
 * order takes one without a search, and without a change of the index; it may have been taken in
 * part by then (the index knew its frames from before), so the map is asked first.
 */
static uint64_t pop_hot(struct ash_buddy *buddy, uint32_t order, uint32_t hint) {
    struct ash_buddy_hot *hot = &buddy->hot[hot_list(hint, order)];
    while (hot->count != 0) {
        uint64_t place = hot->blocks[--hot->count];
        if (hot->count == 0)
            buddy->hot_any &= ~(1u << hot_list(hint, order));
        struct four four = four_load(buddy, place, order);
        if (ASH_LIKELY(four_are_whole(&four))) {
            four_flip(&four);
            return place;
        }
        ash__buddy_reindex_block(buddy, place, order);
    }
    return NOWHERE;
}

static void push_hot(struct ash_buddy *buddy, uint64_t place, uint32_t order) {
    enum { OLDEST = ASH_BUDDY__HOT_MAX / 2 };
    uint32_t hint = buddy->classes[place / CHUNK_FRAMES] >> HINT_SHIFT;
    struct ash_buddy_hot *hot = &buddy->hot[hot_list(hint, order)];
    if (hot->count == ASH_BUDDY__HOT_MAX) {
        for (uint32_t i = 0; i < OLDEST; i++)
            ash__buddy_reindex_block(buddy, hot->blocks[i], order);
        hot->count -= OLDEST;
        __builtin_memmove(hot->blocks, &hot->blocks[OLDEST], hot->count * sizeof(uint64_t));
    }
    hot->blocks[hot->count++] = place;
    buddy->hot_any |= 1u << hot_list(hint, order);
}

/*
 * Blocks of up to half a chunk, by the index. It may say more than there is (a hot block was taken
 * since): then the word is indexed again, and the search starts over (NOWHERE).
 */
static uint64_t take_in_word(struct ash_buddy *buddy, uint64_t chunk, uint32_t order) {
    uint64_t orders = buddy->orders[chunk];
    uint32_t k = order, fitting;
    while ((fitting = row_of(orders, k) & ~row_of(orders, k + 1)) == 0)
        k++; /* the chunk's class says that there is one */
    uint64_t word = chunk * CHUNK_WORDS + ash_ctz64(fitting);
    uint64_t runs = runs_of(buddy->words[word], 0, order), place = NOWHERE;
    if (ASH_LIKELY(runs != 0)) {
        uint64_t larger = order < WORD_ORDER ? runs_of(runs, order, order + 1) : 0;
        larger |= larger << (1u << order % WORD_ORDER);
        place = word * WORD_FRAMES + ash_ctz64((runs & ~larger) != 0 ? runs & ~larger : runs);
        word_store(buddy, word, buddy->words[word] & ~(word_mask(order) << place % WORD_FRAMES));
    }
    reindex(buddy, word);
    return place;
}

static uint64_t take_words(struct ash_buddy *buddy, uint64_t chunk, uint32_t order) {
    uint32_t whole = row_of(buddy->orders[chunk], WORD_ORDER), groups = groups_of(whole, order);
    uint32_t larger = groups_of(whole, order + 1);
    larger |= larger << (1u << (order - WORD_ORDER));
    uint32_t group = ash_ctz64((groups & ~larger) != 0 ? groups & ~larger : groups);
    uint64_t place = (chunk * CHUNK_WORDS + group) * WORD_FRAMES;
    struct four four = four_load(buddy, place, order);
    bool found = four_are_whole(&four);
    if (ASH_LIKELY(found))
        four_flip(&four);
    ash__buddy_reindex_block(buddy, place, order);
    return found ? place : NOWHERE;
}

static uint64_t take_in_chunk(struct ash_buddy *buddy, uint32_t order, uint32_t hint) {
    uint64_t place = NOWHERE;
    while (place == NOWHERE) {
        uint64_t chunk = ash__buddy_choose(buddy, order + 1, hint);
        if (chunk == NOWHERE)
            break;
        place = order <= WORD_ORDER ? take_in_word(buddy, chunk, order)
                                    : take_words(buddy, chunk, order);
    }
    return place;
}

/* Blocks of chunks. */

/* Is the chunk wholly free, as the index says? If not, the index is mended. */
static bool is_empty(struct ash_buddy *buddy, uint64_t chunk) {
    uint64_t bits = UINT64_MAX;
    for (uint32_t w = 0; w < CHUNK_WORDS; w++)
        bits &= buddy->words[chunk * CHUNK_WORDS + w];
    if (bits != UINT64_MAX)
        ash__buddy_reindex_block(buddy, chunk * CHUNK_FRAMES, CHUNK_ORDER);
    return bits == UINT64_MAX;
}

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
        while (next < first + len && ash__buddy_next_empty(buddy, next, next + 1) == next &&
               is_empty(buddy, next))
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
        do
            chunk = ash__buddy_first_empty(buddy);
        while (chunk != NOWHERE && !is_empty(buddy, chunk));
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
    uint64_t place;
    if (order < CHUNK_ORDER) {
        place = pop_hot(buddy, order, hint);
        if (ASH_UNLIKELY(place == NOWHERE))
            place = take_in_chunk(buddy, order, hint);
    } else {
        place = take_chunks(buddy, order, hint);
        if (place == NOWHERE && buddy->hot_any != 0) {
            ash__buddy_index_hot(buddy);
            place = take_chunks(buddy, order, hint);
        }
    }
    if (place != NOWHERE)
        map_pages_take(buddy, UINT64_C(1) << order);
    return place;
}

bool ash__buddy_give(struct ash_buddy *buddy, uint64_t place, uint32_t order) {
    if (order < CHUNK_ORDER) {
        struct four four = four_load(buddy, place, order);
        if (ASH_UNLIKELY(four_overlap(buddy, &four)))
            return false;
        four_flip(&four);
        push_hot(buddy, place, order);
    } else {
        if (chunks_overlap(buddy, place / CHUNK_FRAMES, order))
            return false;
        set_chunks(buddy, place / CHUNK_FRAMES, order, UINT64_MAX);
    }
    map_pages_add(buddy, UINT64_C(1) << order);
    return true;
}
