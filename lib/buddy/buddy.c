/* SPDX-License-Identifier: MIT */
/* buddy.c: single blocks: split on allocation, merge on free, look up. */
#include "buddy_internal.h"

ASH_EVENT_DEFINE(event_exhausted, "buddy.exhausted", "order,free_pages");

/*
 * Puts a block that is in nobody's hands among the free ones, merged as far as it goes.
 * The buddy of a block of order o is the block whose index differs in bit o alone. Blocks of order
 * order_max have no buddy inside their span, unless they are of the largest order there is.
 */
static void insert(struct ash_buddy *buddy, const struct ash_buddy_span *span, uint64_t index,
                   uint32_t order) {
    uint32_t emptied = 0;
    for (; order < span->order_max; order++) {
        uint64_t other = index ^ UINT64_C(1) << order; /* its bits below `order` do not count */
        if (!is_free(buddy, order, other))
            break;
        emptied |= free_take(buddy, order, other);
    }
    buddy->orders_free &= ~emptied;
    free_insert(buddy, order, index);
}

void ash__buddy_insert_range(struct ash_buddy *buddy, const struct ash_buddy_span *span,
                             uint64_t index, uint64_t end) {
    while (index < end) {
        uint32_t order = ash_log2_floor(end - index), aligned = ash_ctz64(index);
        order = (uint32_t)ash_min_u64(order, ash_min_u64(aligned, span->order_max));
        insert(buddy, span, index, order);
        index += UINT64_C(1) << order;
    }
}

int ash__buddy_free_order(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                          uint64_t index) {
    for (uint32_t order = 0; order <= span->order_max; order++) {
        if (is_free(buddy, order, index))
            return (int)order;
    }
    return -1;
}

/*
 * Splits a block that was just taken from the free ones down to the block of order `order` that
 * holds `index`; the other halves become free. Their buddies are being split: nothing to merge.
 */
static void split(struct ash_buddy *buddy, uint64_t index, uint32_t from, uint32_t order) {
    uint32_t halves = (1u << from) - (1u << order); /* a bit for each order from there to here */
    if (ASH_LIKELY((buddy->orders_free & halves) == 0)) {
        buddy->orders_free |= halves;
        for (; order < from; order++) {
            buddy->lone[order] = index >> order ^ 1;
            buddy->free_blocks[order] = 1;
        }
        return;
    }
    for (; order < from; order++)
        free_insert(buddy, order, index ^ UINT64_C(1) << order);
}

static void mark_allocated(struct ash_buddy *buddy, const struct ash_buddy_span *span,
                           uint64_t index, uint32_t order, uint8_t owner) {
    ash_store_relaxed(state_at(span, index), state_of(order, owner));
    buddy->free_pages -= UINT64_C(1) << order;
    uint64_t used = buddy->total_pages - buddy->reserved_pages - buddy->free_pages;
    buddy->peak_used_pages = ash_max_u64(buddy->peak_used_pages, used);
}

int ash_buddy_alloc(struct ash_buddy *buddy, uint32_t order, uint8_t owner, ash_pfn_t *first) {
    if (order > ASH_BUDDY_ORDER_MAX || owner > ASH_BUDDY_OWNER_MAX)
        return -ASH_EINVAL;
    buddy_lock(buddy);
    uint32_t fitting = buddy->orders_free >> order;
    if (ASH_UNLIKELY(fitting == 0)) {
        buddy->failed_allocs++;
        uint64_t free_pages = buddy->free_pages;
        buddy_unlock(buddy);
        ASH_EVENT(event_exhausted, order, free_pages);
        (void)free_pages; /* a port's hook may be empty */
        return -ASH_ENOMEM;
    }
    uint32_t from = order + ash_ctz64(fitting);
    uint64_t index = free_lowest(buddy, from);
    const struct ash_buddy_span *span = span_of_index(buddy, index);
    free_remove(buddy, from, index);
    split(buddy, index, from, order);
    mark_allocated(buddy, span, index, order, owner);
    *first = span_pfn(span, index);
    buddy_unlock(buddy);
    return 0;
}

int ash_buddy_alloc_at(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order, uint8_t owner) {
    if (order > ASH_BUDDY_ORDER_MAX || owner > ASH_BUDDY_OWNER_MAX ||
        !ash_is_aligned(first, UINT64_C(1) << order))
        return -ASH_EINVAL;
    const struct ash_buddy_span *span = span_of(buddy, first, UINT64_C(1) << order);
    if (span == NULL)
        return -ASH_EINVAL;
    uint64_t index = span_index(span, first);
    buddy_lock(buddy);
    int from = ash__buddy_free_order(buddy, span, index);
    if (from < (int)order) {
        buddy_unlock(buddy);
        return -ASH_EBUSY;
    }
    free_remove(buddy, (uint32_t)from, index);
    split(buddy, index, (uint32_t)from, order);
    mark_allocated(buddy, span, index, order, owner);
    buddy_unlock(buddy);
    return 0;
}

/* The head of a block of order o that holds the frame can only be the frame's number, cleared below
 * bit o; frames inside a block have no state, so the first head found is the right one. */
static bool find_in(const struct ash_buddy_span *span, ash_pfn_t frame,
                    struct ash_buddy_block *block) {
    for (uint32_t order = 0; order <= span->order_max; order++) {
        ash_pfn_t head = ash_align_down(frame, UINT64_C(1) << order);
        if (head < span->first)
            return false;
        uint8_t state = ash_load_relaxed(&span->state[head - span->first]);
        if (state_is_head(state) && state_order(state) >= order) {
            *block = (struct ash_buddy_block){head, state_order(state), state_owner(state)};
            return true;
        }
    }
    return false;
}

bool ash_buddy_find(const struct ash_buddy *buddy, ash_pfn_t frame, struct ash_buddy_block *block) {
    struct ash_buddy_block found;
    const struct ash_buddy_span *span = span_of(buddy, frame, 1);
    if (span == NULL || !find_in(span, frame, &found))
        return false;
    if (block != NULL)
        *block = found;
    return true;
}

/* Says why a free names no allocated block. Without the lock, for a panic must not hold it: if
 * another CPU has changed the state since the refusal, the reason is the one of this moment. */
static void __attribute__((cold, noinline))
refuse_free(const struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        return;
    const struct ash_buddy_span *span = span_of(buddy, first, 1);
    unsigned long long pfn = first;
    struct ash_buddy_block block;
    ASH_REQUIRE(order <= ASH_BUDDY_ORDER_MAX, "buddy: free of frame 0x%llx: order %u is above %u",
                pfn, order, ASH_BUDDY_ORDER_MAX);
    ASH_REQUIRE(span != NULL, "buddy: free of frame 0x%llx, order %u: in no region", pfn, order);
    bool found = find_in(span, first, &block);
    ASH_REQUIRE(!found || block.first != first,
                "buddy: free of frame 0x%llx with order %u: it was allocated with order %u", pfn,
                order, block.order);
    ASH_REQUIRE(!found,
                "buddy: free of frame 0x%llx, order %u: it is inside the block 0x%llx, order %u",
                pfn, order, (unsigned long long)block.first, block.order);
    ASH_REQUIRE(ash_load_relaxed(&span->state[first - span->first]) != STATE_RESERVED,
                "buddy: free of frame 0x%llx, order %u: it is reserved, not allocated", pfn, order);
    ASH_REQUIRE(false, "buddy: double free of frame 0x%llx, order %u: it is free", pfn, order);
}

void ash_buddy_free(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    const struct ash_buddy_span *span = span_of(buddy, first, 1);
    if (ASH_UNLIKELY(span == NULL)) {
        refuse_free(buddy, first, order);
        return;
    }
    uint64_t index = span_index(span, first);
    buddy_lock(buddy);
    uint8_t state = *state_at(span, index);
    if (ASH_UNLIKELY(!state_is_head(state) || state_order(state) != order)) {
        buddy_unlock(buddy);
        refuse_free(buddy, first, order);
        return;
    }
    ash_store_relaxed(state_at(span, index), (uint8_t)STATE_NONE);
    buddy->free_pages += UINT64_C(1) << order;
    insert(buddy, span, index, order);
    buddy_unlock(buddy);
}

void ash_buddy_get_stats(struct ash_buddy *buddy, struct ash_buddy_stats *stats) {
    buddy_lock(buddy);
    *stats = (struct ash_buddy_stats){
        .total_pages = buddy->total_pages,
        .free_pages = buddy->free_pages,
        .used_pages = buddy->total_pages - buddy->free_pages - buddy->reserved_pages,
        .reserved_pages = buddy->reserved_pages,
        .peak_used_pages = buddy->peak_used_pages,
        .failed_allocs = buddy->failed_allocs,
        .largest_free_order = -1,
    };
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++)
        stats->free_blocks[order] = buddy->free_blocks[order];
    if (buddy->orders_free != 0)
        stats->largest_free_order = (int32_t)ash_log2_floor(buddy->orders_free);
    buddy_unlock(buddy);
}
