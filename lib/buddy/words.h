/* SPDX-License-Identifier: MIT */
/* words.h: 64 frames as bits of a word, 8 words as a chunk, and what blocks there are in them. */
#ifndef ASHLAR_BUDDY_WORDS_H
#define ASHLAR_BUDDY_WORDS_H

#include <ashlar/bits.h>

enum {
    WORD_FRAMES = 64,
    CHUNK_WORDS = 8,
    CHUNK_FRAMES = 512,
    CHUNK_ORDER = 9,
    WORD_ORDER = 6,
};

/*
 * A chunk's class: 0 nothing free (that is known of), else one more than the order of its largest
 * free block. One set a class and hint; chunks that are wholly free have no hint yet: set 0.
 */
enum {
    CLASS_NONE = 0,
    CLASS_EMPTY = 10,
    CLASS_MASK = 15,
    HINT_SHIFT = 7, /* of classes[]: the hint that the chunk serves */
    SET_COUNT = 19,
};

/* orders[]: byte k, bit w: word w holds an aligned free block of order k. Byte 7, bit w: a CPU has
 * claimed word w. */
#define ROWS  UINT64_C(0x0001010101010101)
#define CLAIM UINT64_C(0x0100000000000000)

static inline uint32_t row_of(uint64_t orders, uint32_t order) {
    return order > WORD_ORDER ? 0 : (uint32_t)(orders >> 8 * order) & 0xff;
}

/* Starts of the aligned runs of 2^order bits set, order 0..6, given those of 2^known. */
static inline uint64_t runs_of(uint64_t starts, uint32_t known, uint32_t order) {
    static const uint64_t aligned[] = {
        UINT64_MAX,
        UINT64_C(0x5555555555555555),
        UINT64_C(0x1111111111111111),
        UINT64_C(0x0101010101010101),
        UINT64_C(0x0001000100010001),
        UINT64_C(0x0000000100000001),
        UINT64_C(0x0000000000000001),
    };
    for (; known < order; known++)
        starts &= starts >> (1u << known) & aligned[known + 1];
    return starts;
}

/* A word's bits of `orders`, as those of word 0. */
static inline uint64_t column_of(uint64_t word) {
    uint64_t run = word, column = word != 0;
    run &= run >> 1 & UINT64_C(0x5555555555555555);
    column |= (uint64_t)(run != 0) << 8;
    run &= run >> 2 & UINT64_C(0x1111111111111111);
    column |= (uint64_t)(run != 0) << 16;
    run &= run >> 4 & UINT64_C(0x0101010101010101);
    column |= (uint64_t)(run != 0) << 24;
    run &= run >> 8 & UINT64_C(0x0001000100010001);
    column |= (uint64_t)(run != 0) << 32;
    run &= run >> 16 & UINT64_C(0x0000000100000001);
    column |= (uint64_t)(run != 0) << 40;
    return column | (run & run >> 32) << 48;
}

/* Starts of the aligned groups of 1, 2, 4, 8 words (orders 6..9) among the wholly free ones. */
static inline uint32_t groups_of(uint32_t whole_words, uint32_t order) {
    if (order > 6)
        whole_words &= whole_words >> 1 & 0x55;
    if (order > 7)
        whole_words &= whole_words >> 2 & 0x11;
    if (order > 8)
        whole_words &= whole_words >> 4 & 0x01;
    return whole_words;
}

/* Up to order 6 the highest byte that is not 0 says it; above, how many whole words are together.
 * No branch: it is computed at every change of a word. */
static inline uint32_t class_of_orders(uint64_t orders) {
    uint32_t whole = row_of(orders, WORD_ORDER), pairs = whole & whole >> 1 & 0x55;
    uint32_t fours = pairs & pairs >> 2 & 0x11;
    orders &= ~(0xff * CLAIM); /* 0 is class 0: ash_clz64(0) is 64 */
    return ((71 - ash_clz64(orders)) >> 3) + (pairs != 0) + (fours != 0) + (whole == 0xff);
}

/* Words that a block has frames in, and which frames of each. */
static inline uint64_t words_in(uint32_t order) {
    return order <= WORD_ORDER ? 1 : UINT64_C(1) << (order - WORD_ORDER);
}

static inline uint64_t word_mask(uint32_t order) {
    return order >= WORD_ORDER ? UINT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
}

#endif
