/* SPDX-License-Identifier: MIT */
/* range.c: frames taken out of use and put back, in ranges of any length. */
#include "buddy_internal.h"

/* Do free blocks cover all of [index, end)? At most one look-up per block, so O(len) in all. */
static bool range_is_free(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                          uint64_t index, uint64_t end) {
    while (index < end) {
        int order = ash__buddy_free_order(buddy, span, index);
        if (order < 0)
            return false;
        index = ash_align_down(index, UINT64_C(1) << order) + (UINT64_C(1) << order);
    }
    return true;
}

/* Takes [index, end) out of the free blocks; what those hold beyond it at either end stays free. */
static void remove_range(struct ash_buddy *buddy, const struct ash_buddy_span *span, uint64_t index,
                         uint64_t end) {
    while (index < end) {
        uint32_t order = (uint32_t)ash__buddy_free_order(buddy, span, index);
        uint64_t block = ash_align_down(index, UINT64_C(1) << order);
        uint64_t block_end = block + (UINT64_C(1) << order);
        free_remove(buddy, order, block);
        ash__buddy_insert_range(buddy, span, block, index);
        ash__buddy_insert_range(buddy, span, end, block_end);
        index = block_end;
    }
}

static void mark_range(const struct ash_buddy_span *span, uint64_t index, uint64_t end,
                       uint8_t state) {
    for (; index < end; index++)
        ash_store_relaxed(state_at(span, index), state);
}

int ash_buddy_reserve(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages) {
    const struct ash_buddy_span *span = span_of(buddy, first, len_pages);
    if (span == NULL || len_pages == 0)
        return -ASH_EINVAL;
    uint64_t index = span_index(span, first), end = index + len_pages;
    buddy_lock(buddy);
    if (!range_is_free(buddy, span, index, end)) {
        buddy_unlock(buddy);
        return -ASH_EBUSY;
    }
    remove_range(buddy, span, index, end);
    mark_range(span, index, end, STATE_RESERVED);
    buddy->free_pages -= len_pages;
    buddy->reserved_pages += len_pages;
    buddy_unlock(buddy);
    return 0;
}

/* The first frame of [index, end) that is not reserved, or `end`. */
static uint64_t reserved_until(const struct ash_buddy_span *span, uint64_t index, uint64_t end) {
    while (index < end && *state_at(span, index) == STATE_RESERVED)
        index++;
    return index;
}

void ash_buddy_release(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages) {
    const struct ash_buddy_span *span = span_of(buddy, first, len_pages);
    bool known = span != NULL && len_pages != 0;
    ASH_REQUIRE(known, "buddy: release of %llu pages at frame 0x%llx: not inside one region",
                (unsigned long long)len_pages, (unsigned long long)first);
    if (!known)
        return;
    uint64_t index = span_index(span, first), end = index + len_pages;
    buddy_lock(buddy);
    uint64_t wrong = reserved_until(span, index, end);
    if (wrong != end) {
        buddy_unlock(buddy);
        ASH_REQUIRE(false,
                    "buddy: release of %llu pages at frame 0x%llx: frame 0x%llx is not reserved",
                    (unsigned long long)len_pages, (unsigned long long)first,
                    (unsigned long long)span_pfn(span, wrong));
        return;
    }
    mark_range(span, index, end, STATE_NONE);
    ash__buddy_insert_range(buddy, span, index, end);
    buddy->free_pages += len_pages;
    buddy->reserved_pages -= len_pages;
    buddy_unlock(buddy);
}
