/* SPDX-License-Identifier: MIT */
/*
 * buddy_internal.h: what the files of lib/buddy share. DESIGN.md has the picture.
 *
 * Words: a frame has a number (pfn) outside and a place inside; places run through all regions,
 * chunk by chunk. A *word* is 64 frames, a bit each in `words` (1: free); a *chunk* is 8 words, the
 * 512 frames of an order-9 block. `orders[chunk]` notes which words hold a free block of which
 * order, `classes[chunk]` the largest of those, and a *set* the chunks of one class.
 */
#ifndef ASHLAR_BUDDY_INTERNAL_H
#define ASHLAR_BUDDY_INTERNAL_H

#include <ashlar/buddy.h>
#include <ashlar/check.h>

#include "words.h"

#define NOWHERE UINT64_MAX /* no place, no frame, no chunk */

/* The map's words are written under the lock alone, but read without it by frees and statistics. */
static inline uint64_t word_load(const struct ash_buddy *buddy, uint64_t word) {
    return ash_load_relaxed(&buddy->words[word]);
}

static inline void word_store(struct ash_buddy *buddy, uint64_t word, uint64_t bits) {
    ash_store_relaxed(&buddy->words[word], bits);
}

/* Read without the lock by ash_buddy_free_pages. */
static inline void map_pages_add(struct ash_buddy *buddy, uint64_t pages) {
    ash_store_relaxed(&buddy->map_pages, buddy->map_pages + pages);
}

static inline void map_pages_take(struct ash_buddy *buddy, uint64_t pages) {
    ash_store_relaxed(&buddy->map_pages, buddy->map_pages - pages);
}

/* Places */

/* The span that holds the whole range, or NULL; len_pages at least 1. */
static inline const struct ash_buddy_span *span_of(const struct ash_buddy *buddy, ash_pfn_t first,
                                                   uint64_t len_pages) {
    const struct ash_buddy_span *spans = buddy->spans;
    uint32_t low = 0, count = buddy->span_count;
    while (count > 1) {
        uint32_t half = count / 2;
        if (spans[low + half].first <= first)
            low += half;
        count -= half;
    }
    uint64_t offset = first - spans[low].first; /* wraps to a large number below the span */
    if (offset >= spans[low].len_pages || len_pages > spans[low].len_pages - offset)
        return NULL;
    return &spans[low];
}

static inline const struct ash_buddy_span *span_of_place(const struct ash_buddy *buddy,
                                                         uint64_t place) {
    const struct ash_buddy_span *spans = buddy->spans;
    uint32_t low = 0, count = buddy->span_count;
    while (count > 1) {
        uint32_t half = count / 2;
        if (spans[low + half].chunk_first <= place / CHUNK_FRAMES)
            low += half;
        count -= half;
    }
    return &spans[low];
}

static inline uint64_t place_of(const struct ash_buddy_span *span, ash_pfn_t pfn) {
    return pfn - span->word_bias * WORD_FRAMES;
}

static inline ash_pfn_t pfn_of(const struct ash_buddy *buddy, uint64_t place) {
    return place + span_of_place(buddy, place)->word_bias * WORD_FRAMES;
}

/* Chunks of a span: [chunk_first, span_chunk_end). */
static inline uint64_t span_chunk_end(const struct ash_buddy_span *span) {
    return (place_of(span, span->first + span->len_pages - 1)) / CHUNK_FRAMES + 1;
}

/* The frames of a word that are inside its span. */
static inline uint64_t frames_of_word(const struct ash_buddy_span *span, uint64_t word) {
    ash_pfn_t first = (word + span->word_bias) * WORD_FRAMES, end = span->first + span->len_pages;
    uint64_t frames = UINT64_MAX;
    if (first < span->first)
        frames = span->first - first >= WORD_FRAMES ? 0 : frames << (span->first - first);
    if (end < first + WORD_FRAMES)
        frames = end <= first ? 0 : frames & (UINT64_MAX >> (WORD_FRAMES - (end - first)));
    return frames;
}

static inline uint32_t hint_of(const struct ash_buddy *buddy, uint64_t place) {
    return ash_load_relaxed(&buddy->classes[place / CHUNK_FRAMES]) >> HINT_SHIFT;
}

static inline bool is_free_in_map(const struct ash_buddy *buddy, uint64_t place) {
    return (word_load(buddy, place / WORD_FRAMES) >> place % WORD_FRAMES & 1) != 0;
}

/* Sections: from here to section_leave nothing else of this CPU uses the instance. */

struct section {
    struct ash_buddy_cpu *cpu;
    ash_irq_t irq; /* of an instance with interrupts */
};

static inline struct section section_enter(struct ash_buddy *buddy) {
    struct section section = {.cpu = NULL};
    uint32_t cpu;
    if (buddy->interrupts)
        section.irq = ash_port_irq_save();
    ash_port_pin(&cpu);
    section.cpu = &buddy->cpus[cpu];
    return section;
}

static inline void section_leave(struct ash_buddy *buddy, struct section section) {
    ash_port_unpin();
    if (buddy->interrupts)
        ash_port_irq_restore(section.irq);
}

/* The same with the lock. */
static inline struct section section_lock(struct ash_buddy *buddy) {
    struct section section = section_enter(buddy);
    ash_spin_lock(&buddy->lock);
    return section;
}

/* Reports a double free that came to light meanwhile, calls low(). */
void ash__buddy_unlock_and_tell(struct ash_buddy *buddy, struct section section);
static inline void section_unlock(struct ash_buddy *buddy, struct section section) {
    if (ASH_UNLIKELY(buddy->clash != NOWHERE || buddy->low_pages != 0)) {
        ash__buddy_unlock_and_tell(buddy, section);
        return;
    }
    ash_spin_unlock(&buddy->lock);
    section_leave(buddy, section);
}

/* For who has changed nothing. */
static inline void section_unlock_silently(struct ash_buddy *buddy, struct section section) {
    ash_spin_unlock(&buddy->lock);
    section_leave(buddy, section);
}

/* map.c: the index over the words. All under the lock. */

void ash__buddy_move(struct ash_buddy *buddy, uint64_t chunk, uint32_t class);

static inline void set_orders(struct ash_buddy *buddy, uint64_t chunk, uint64_t orders) {
    uint32_t class = class_of_orders(orders);
    buddy->orders[chunk] = orders;
    if (ASH_UNLIKELY(class != (buddy->classes[chunk] & CLASS_MASK)))
        ash__buddy_move(buddy, chunk, class);
}

/* `orders` of the word's chunk as they should be; a claimed word has nothing. */
static inline uint64_t orders_with(const struct ash_buddy *buddy, uint64_t orders, uint64_t word) {
    uint64_t w = word % CHUNK_WORDS;
    if ((orders & CLAIM << w) != 0)
        return orders;
    return (orders & ~(ROWS << w)) | column_of(buddy->words[word]) << w;
}

/* Makes the index say what the word holds. */
static inline void reindex(struct ash_buddy *buddy, uint64_t word) {
    uint64_t chunk = word / CHUNK_WORDS;
    set_orders(buddy, chunk, orders_with(buddy, buddy->orders[chunk], word));
}
void ash__buddy_reindex_block(struct ash_buddy *buddy, uint64_t place, uint32_t order);
void ash__buddy_set_hint(struct ash_buddy *buddy, uint64_t chunk, uint32_t hint);

/* The first wholly free chunk, as the index knows it, or NOWHERE; of [chunk, end), or `end`. */
uint64_t ash__buddy_first_empty(const struct ash_buddy *buddy);
uint64_t ash__buddy_next_empty(const struct ash_buddy *buddy, uint64_t chunk, uint64_t end);

/* The chunk that an allocation from a chunk of `class` or more should use, or NOWHERE. */
uint64_t ash__buddy_choose(struct ash_buddy *buddy, uint32_t class, uint32_t hint);

/* blocks.c: blocks of the map, by place. All under the lock. */

uint64_t ash__buddy_take(struct ash_buddy *buddy, uint32_t order, uint32_t hint);
/* Of whole chunks. False, and nothing is changed: some of its frames are free already. */
bool ash__buddy_give_chunks(struct ash_buddy *buddy, uint64_t place, uint32_t order);

/* range.c: runs of any length of the map, by place. All under the lock. */

/* The first place of [place, end) that is free (or, free false, is not), or `end`. */
uint64_t ash__buddy_find(const struct ash_buddy *buddy, uint64_t place, uint64_t end, bool free);
void ash__buddy_set_range(struct ash_buddy *buddy, uint64_t place, uint64_t end, bool free);

/*
 * state.c: a byte a frame, of a hardened instance: one more than the order of the allocated block
 * that starts there, STATE_RESERVED, or 0. Changed by who allocates or frees the frame; that is
 * one at a time, or a broken contract.
 */
enum { STATE_NONE = 0, STATE_RESERVED = 31 };
void ash__buddy_state_set(struct ash_buddy *buddy, uint64_t place, uint64_t len, uint8_t state);
/* Hardened. False: no block of this order is allocated there. */
bool ash__buddy_state_forget(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order);
/* Panics if the state bytes know why a free of the block is wrong. */
void ash__buddy_explain_state(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                              ash_pfn_t first, uint32_t order);

#endif
