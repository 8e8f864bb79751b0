/* SPDX-License-Identifier: MIT */
/*
 * buddy_internal.h: what the files of lib/buddy share: the bitmaps of free blocks, the state bytes,
 * and the way from a frame number to both. DESIGN.md has the picture.
 *
 * Words: a frame is named by its number (pfn) outside and by its index inside; the index runs
 * through all spans, with gaps, and has the same low bits as the number.
 */
#ifndef ASHLAR_BUDDY_INTERNAL_H
#define ASHLAR_BUDDY_INTERNAL_H

#include <ashlar/bits.h>
#include <ashlar/buddy.h>
#include <ashlar/check.h>

/*
 * A state byte: 0 for a frame that heads no allocated block; order + 1 in bits 0..4 and the owner
 * in bits 5..7 for one that does; STATE_RESERVED for each reserved frame.
 */
enum { STATE_NONE = 0, STATE_RESERVED = 31, STATE_ORDER_MASK = 31, STATE_OWNER_SHIFT = 5 };

static inline uint8_t state_of(uint32_t order, uint8_t owner) {
    return (uint8_t)((uint32_t)owner << STATE_OWNER_SHIFT | (order + 1));
}

/* Is this a head of an allocated block? */
static inline bool state_is_head(uint8_t state) {
    uint32_t code = state & STATE_ORDER_MASK;
    return code != 0 && code <= ASH_BUDDY_ORDERS;
}

static inline uint32_t state_order(uint8_t state) {
    return (uint32_t)(state & STATE_ORDER_MASK) - 1;
}

static inline uint8_t state_owner(uint8_t state) {
    return (uint8_t)(state >> STATE_OWNER_SHIFT);
}

/* Bitmaps: level 0 has a bit per block, each level above a bit per word below (I1). */

static inline void bitmap_set(struct ash_buddy_bitmap *map, uint64_t bit) {
    for (uint64_t l = 0; l < map->level_count; l++) {
        uint64_t *word = &map->level[l][bit / 64], old = *word;
        *word = old | UINT64_C(1) << bit % 64;
        if (old != 0)
            return;
        bit /= 64;
    }
}

static inline void bitmap_clear(struct ash_buddy_bitmap *map, uint64_t bit) {
    for (uint64_t l = 0; l < map->level_count; l++) {
        uint64_t *word = &map->level[l][bit / 64];
        *word &= ~(UINT64_C(1) << bit % 64);
        if (*word != 0)
            return;
        bit /= 64;
    }
}

static inline bool bitmap_test(const struct ash_buddy_bitmap *map, uint64_t bit) {
    return (map->level[0][bit / 64] >> bit % 64 & 1) != 0;
}

/* The lowest bit set; there must be one. */
static inline uint64_t bitmap_first(const struct ash_buddy_bitmap *map) {
    uint64_t bit = 0;
    for (uint64_t l = map->level_count; l-- != 0;)
        bit = bit * 64 + ash_ctz64(map->level[l][bit]);
    return bit;
}

/*
 * The free blocks of an order: those of its bitmap and the lone one, a register in front of it. An
 * order that holds one block at most, as most do after a split, so costs one store and no bitmap.
 * Pages are counted by the callers.
 */
#define LONE_NONE UINT64_MAX

static inline void free_insert(struct ash_buddy *buddy, uint32_t order, uint64_t index) {
    if (buddy->lone[order] == LONE_NONE)
        buddy->lone[order] = index >> order;
    else
        bitmap_set(&buddy->free_map[order], index >> order);
    buddy->free_blocks[order]++;
    buddy->orders_free |= 1u << order;
}

/* Returns the mask of `order` if that was its last one, else 0: the caller clears orders_free. */
static inline uint32_t free_take(struct ash_buddy *buddy, uint32_t order, uint64_t index) {
    if (buddy->lone[order] == index >> order)
        buddy->lone[order] = LONE_NONE;
    else
        bitmap_clear(&buddy->free_map[order], index >> order);
    return (uint32_t)(--buddy->free_blocks[order] == 0) << order;
}

static inline void free_remove(struct ash_buddy *buddy, uint32_t order, uint64_t index) {
    buddy->orders_free &= ~free_take(buddy, order, index);
}

static inline bool is_free(const struct ash_buddy *buddy, uint32_t order, uint64_t index) {
    return buddy->lone[order] == index >> order ||
           bitmap_test(&buddy->free_map[order], index >> order);
}

/* The lowest index of a free block; the order must have one. */
static inline uint64_t free_lowest(const struct ash_buddy *buddy, uint32_t order) {
    uint64_t lowest = buddy->lone[order];
    if (buddy->free_blocks[order] != (lowest != LONE_NONE))
        lowest = ash_min_u64(lowest, bitmap_first(&buddy->free_map[order]));
    return lowest << order;
}

static inline uint64_t span_index(const struct ash_buddy_span *span, ash_pfn_t pfn) {
    return pfn - span->first + span->index_first;
}

static inline ash_pfn_t span_pfn(const struct ash_buddy_span *span, uint64_t index) {
    return index - span->index_first + span->first;
}

/* The span that holds the whole range, or NULL; len_pages at least 1. */
static inline struct ash_buddy_span *span_of(const struct ash_buddy *buddy, ash_pfn_t first,
                                             uint64_t len_pages) {
    struct ash_buddy_span *spans = buddy->spans;
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

/* The span of an index that a free bit named. */
static inline struct ash_buddy_span *span_of_index(const struct ash_buddy *buddy, uint64_t index) {
    struct ash_buddy_span *spans = buddy->spans;
    uint32_t low = 0, count = buddy->span_count;
    while (count > 1) {
        uint32_t half = count / 2;
        if (spans[low + half].index_first <= index)
            low += half;
        count -= half;
    }
    return &spans[low];
}

/* A state byte's address. Written under the lock, read also without it (ash_buddy_find). */
static inline uint8_t *state_at(const struct ash_buddy_span *span, uint64_t index) {
    return &span->state[index - span->index_first];
}

/* Pinned: nobody on this CPU can run into a lock whose holder waits to run again. */
static inline void buddy_lock(struct ash_buddy *buddy) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    (void)cpu;
    ash_spin_lock(&buddy->lock);
}

static inline void buddy_unlock(struct ash_buddy *buddy) {
    ash_spin_unlock(&buddy->lock);
    ash_port_unpin();
}

/* Puts a range that is in nobody's hands among the free blocks, cut into the largest aligned ones,
 * each merged as far as it goes. */
void ash__buddy_insert_range(struct ash_buddy *buddy, const struct ash_buddy_span *span,
                             uint64_t index, uint64_t end);

/* The order of the free block that holds the frame, or -1. */
int ash__buddy_free_order(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                          uint64_t index);

#endif
