/* SPDX-License-Identifier: MIT */
/* map.c: the index over the words: which chunk has a free block of which order. */
#include "buddy_internal.h"

/*
 * Sets of chunks: bitmaps with summaries, a level above having a bit a word below (I3). Word i of
 * all sets lie beside each other, because a chunk moves from one set to another all the time.
 */
static uint64_t *set_word(const struct ash_buddy *buddy, uint64_t level, uint64_t i, uint32_t set) {
    return &buddy->sets[buddy->level_at[level] + i * SET_COUNT + set];
}

static void set_add(struct ash_buddy *buddy, uint32_t set, uint64_t chunk) {
    for (uint64_t l = 0; l < buddy->level_count; l++, chunk /= 64) {
        uint64_t *word = set_word(buddy, l, chunk / 64, set), old = *word;
        *word = old | UINT64_C(1) << chunk % 64;
        if (old != 0)
            return;
    }
    ash_store_relaxed(&buddy->nonempty, buddy->nonempty | 1u << set);
}

static void set_remove(struct ash_buddy *buddy, uint32_t set, uint64_t chunk) {
    for (uint64_t l = 0; l < buddy->level_count; l++, chunk /= 64) {
        uint64_t *word = set_word(buddy, l, chunk / 64, set);
        *word &= ~(UINT64_C(1) << chunk % 64);
        if (*word != 0)
            return;
    }
    ash_store_relaxed(&buddy->nonempty, buddy->nonempty & ~(1u << set));
}

/* The set must not be empty. */
static uint64_t set_first(const struct ash_buddy *buddy, uint32_t set) {
    uint64_t chunk = 0;
    for (uint64_t l = buddy->level_count; l-- != 0;)
        chunk = chunk * 64 + ash_ctz64(*set_word(buddy, l, chunk, set));
    return chunk;
}

/* Of a class that is not CLASS_NONE. */
static uint32_t set_of(uint32_t class, uint32_t hint) {
    return class == CLASS_EMPTY ? 0 : hint * 9 + class;
}

void ash__buddy_move(struct ash_buddy *buddy, uint64_t chunk, uint32_t class) {
    uint32_t hint = buddy->classes[chunk] >> HINT_SHIFT;
    uint32_t old = buddy->classes[chunk] & CLASS_MASK;
    ash_store_relaxed(&buddy->classes[chunk], (uint8_t)(hint << HINT_SHIFT | class));
    if (old != CLASS_NONE)
        set_remove(buddy, set_of(old, hint), chunk);
    if (class != CLASS_NONE)
        set_add(buddy, set_of(class, hint), chunk);
}

void ash__buddy_set_hint(struct ash_buddy *buddy, uint64_t chunk, uint32_t hint) {
    if ((buddy->classes[chunk] & CLASS_MASK) == CLASS_EMPTY)
        ash_store_relaxed(&buddy->classes[chunk], (uint8_t)(hint << HINT_SHIFT | CLASS_EMPTY));
}

void ash__buddy_reindex_block(struct ash_buddy *buddy, uint64_t place, uint32_t order) {
    uint64_t word = place / WORD_FRAMES, end = word + words_in(order);
    while (word < end) {
        uint64_t chunk = word / CHUNK_WORDS, orders = buddy->orders[chunk];
        for (; word < end && word / CHUNK_WORDS == chunk; word++)
            orders = orders_with(buddy, orders, word);
        set_orders(buddy, chunk, orders);
    }
}

/* The lowest chunk of the lowest class >= `class` that serves the hint, or NOWHERE. */
static uint64_t chunk_of(const struct ash_buddy *buddy, uint32_t class, uint32_t hint) {
    uint32_t sets = buddy->nonempty >> hint * 9 & 0x3fe & ~0u << class;
    return sets == 0 ? NOWHERE : set_first(buddy, hint * 9 + ash_ctz64(sets));
}

uint64_t ash__buddy_first_empty(const struct ash_buddy *buddy) {
    return (buddy->nonempty & 1) == 0 ? NOWHERE : set_first(buddy, 0);
}

uint64_t ash__buddy_next_empty(const struct ash_buddy *buddy, uint64_t chunk, uint64_t end) {
    while (chunk < end) {
        uint64_t word = *set_word(buddy, 0, chunk / 64, 0) >> chunk % 64;
        if (word != 0)
            return ash_min_u64(chunk + ash_ctz64(word), end);
        chunk = ash_align_down(chunk, 64) + 64;
    }
    return end;
}

/*
 * Among the chunks of the hint: best fit by class, the lowest address in it. Then a wholly free
 * chunk, which serves this hint from now on. Then the other hint's.
 */
uint64_t ash__buddy_choose(struct ash_buddy *buddy, uint32_t class, uint32_t hint) {
    uint64_t chunk = chunk_of(buddy, class, hint);
    if (chunk == NOWHERE && (buddy->nonempty & 1) != 0) {
        chunk = set_first(buddy, 0);
        ash__buddy_set_hint(buddy, chunk, hint);
    }
    if (chunk == NOWHERE)
        chunk = chunk_of(buddy, class, hint ^ 1);
    return chunk;
}
