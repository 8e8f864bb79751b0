/* SPDX-License-Identifier: MIT */
/* check.c: the audit of the invariants that DESIGN.md numbers. */
#include "buddy_internal.h"

/* I1: a bit above is set exactly if the word below is not 0. */
static bool summaries_are_true(const struct ash_buddy_bitmap *map, uint64_t bits) {
    for (uint64_t l = 0; l + 1 < map->level_count; l++) {
        uint64_t words = (bits + 63) / 64;
        for (uint64_t w = 0; w < ash_align_up(words, 64); w++) {
            bool expected = w < words && map->level[l][w] != 0;
            if ((map->level[l + 1][w / 64] >> w % 64 & 1) != expected)
                return false;
        }
        bits = words;
    }
    return true;
}

static uint64_t bits_set(const struct ash_buddy_bitmap *map, uint64_t bits) {
    uint64_t count = 0;
    for (uint64_t w = 0; w < (bits + 63) / 64; w++)
        count += ash_popcount64(map->level[0][w]);
    return count;
}

static uint64_t index_end(const struct ash_buddy *buddy) {
    const struct ash_buddy_span *last = &buddy->spans[buddy->span_count - 1];
    return ash_align_up(last->index_first + last->len_pages, UINT64_C(1) << last->order_max);
}

/* I1 and I2, order by order. */
static const char *check_orders(const struct ash_buddy *buddy) {
    uint64_t end = index_end(buddy), pages = 0;
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++) {
        const struct ash_buddy_bitmap *map = &buddy->free_map[order];
        uint64_t bits = ash_align_up(end, UINT64_C(1) << order) >> order;
        if (!summaries_are_true(map, bits))
            return "I1: a summary bit and the word that it stands for differ";
        uint64_t lone = buddy->lone[order];
        if (lone != LONE_NONE && (lone >= bits || bitmap_test(map, lone)))
            return "I2: an order's lone free block is in its bitmap too, or nowhere";
        uint64_t blocks = bits_set(map, bits) + (lone != LONE_NONE);
        if (blocks != buddy->free_blocks[order])
            return "I2: the count of an order's free blocks is not how many it holds";
        if ((blocks != 0) != ((buddy->orders_free >> order & 1) != 0))
            return "I2: the mask of orders with free blocks is wrong";
        pages += blocks << order;
    }
    return pages == buddy->free_pages ? NULL : "I2: the count of free pages is wrong";
}

/* What a walk over the frames counted. */
struct census {
    uint64_t free_blocks[ASH_BUDDY_ORDERS];
    uint64_t used_pages, reserved_pages;
};

/* What starts at `index`, as the state byte and the free bits say; *len is its length. */
static const char *check_at(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                            uint64_t index, struct census *census, uint64_t *len) {
    uint64_t rest = span->index_first + span->len_pages - index;
    uint8_t state = *state_at(span, index);
    uint32_t claims = state != STATE_NONE;
    *len = 1;
    if (state == STATE_RESERVED) {
        census->reserved_pages++;
    } else if (state != STATE_NONE) {
        uint32_t order = state_order(state);
        if (!state_is_head(state) || order > span->order_max)
            return "I5: a state byte that no allocation writes";
        *len = UINT64_C(1) << order;
        if (!ash_is_aligned(index, *len) || *len > rest)
            return "I5: an allocated block is not aligned, or crosses the end of its region";
        census->used_pages += *len;
    }
    for (uint32_t order = 0; order <= span->order_max; order++) {
        if (!ash_is_aligned(index, UINT64_C(1) << order) || !is_free(buddy, order, index))
            continue;
        *len = UINT64_C(1) << order;
        if (++claims > 1)
            return "I6: a frame is in two blocks";
        if (*len > rest)
            return "I3: a free block crosses the end of its region";
        if (order < span->order_max && is_free(buddy, order, index ^ *len))
            return "I4: two buddies are both free";
        census->free_blocks[order]++;
    }
    return claims == 0 ? "I6: a frame is in no block" : NULL;
}

/* I3 to I6: the blocks of a span follow each other without gap or overlap. */
static const char *check_span(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                              struct census *census) {
    uint64_t end = span->index_first + span->len_pages, len;
    for (uint64_t index = span->index_first; index < end; index += len) {
        const char *broken = check_at(buddy, span, index, census, &len);
        if (broken != NULL)
            return broken;
        for (uint64_t i = index + 1; i < index + len; i++) {
            if (*state_at(span, i) != STATE_NONE)
                return "I6: a frame inside a block has a state of its own";
        }
    }
    return NULL;
}

static const char *check_locked(const struct ash_buddy *buddy) {
    const char *broken = check_orders(buddy);
    struct census census = {.used_pages = 0};
    for (uint32_t i = 0; i < buddy->span_count && broken == NULL; i++)
        broken = check_span(buddy, &buddy->spans[i], &census);
    if (broken != NULL)
        return broken;
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++) {
        if (census.free_blocks[order] != buddy->free_blocks[order])
            return "I3: a free bit inside another block, or outside every region";
    }
    if (census.reserved_pages != buddy->reserved_pages ||
        census.used_pages != buddy->total_pages - buddy->free_pages - buddy->reserved_pages ||
        census.used_pages > buddy->peak_used_pages)
        return "I7: the counts of used, reserved or peak pages are wrong";
    return NULL;
}

const char *ash_buddy_check(struct ash_buddy *buddy) {
    buddy_lock(buddy);
    const char *broken = check_locked(buddy);
    buddy_unlock(buddy);
    return broken;
}
