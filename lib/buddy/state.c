/* SPDX-License-Identifier: MIT */
/* state.c: the state bytes of a hardened instance. */
#include "buddy_internal.h"

void ash__buddy_state_set(struct ash_buddy *buddy, uint64_t place, uint64_t len, uint8_t state) {
    if (buddy->state == NULL)
        return;
    for (uint64_t i = place; i < place + len; i++)
        ash_store_relaxed(&buddy->state[i], state);
}

/* Two CPUs that free the same block at the same time must not both find it allocated. */
bool ash__buddy_state_forget(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    if (order > ASH_BUDDY_ORDER_MAX)
        return false;
    const struct ash_buddy_span *span = span_of(buddy, first, 1);
    uint8_t expected = (uint8_t)(order + 1);
    return span != NULL && ash_compare_exchange(&buddy->state[place_of(span, first)], &expected,
                                                (uint8_t)STATE_NONE);
}

/* The head of the allocated block that holds the frame, or NOWHERE: it can only be the frame's
 * place, cleared below the block's order. */
static uint64_t head_of(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                        uint64_t place) {
    for (uint32_t order = 0; order <= ASH_BUDDY_ORDER_MAX; order++) {
        uint64_t shift = span->word_bias * WORD_FRAMES;
        uint64_t head = ash_align_down(place + shift, UINT64_C(1) << order);
        if (head < span->first)
            break;
        uint8_t state = ash_load_relaxed(&buddy->state[head - shift]);
        if (state > order && state <= ASH_BUDDY_ORDERS)
            return head - shift;
    }
    return NOWHERE;
}

void ash__buddy_explain_state(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                              ash_pfn_t first, uint32_t order) {
    if (buddy->state == NULL)
        return;
    uint64_t place = place_of(span, first), head = head_of(buddy, span, place);
    unsigned long long pfn = first;
    ASH_REQUIRE(buddy->state[place] != STATE_RESERVED,
                "buddy: free of frame 0x%llx, order %u: it is reserved, not allocated", pfn, order);
    ASH_REQUIRE(head != place,
                "buddy: free of frame 0x%llx with order %u: it was allocated with order %u", pfn,
                order, buddy->state[place] - 1u);
    ASH_REQUIRE(head == NOWHERE,
                "buddy: free of frame 0x%llx, order %u: it is inside the block 0x%llx, order %u",
                pfn, order, (unsigned long long)(pfn_of(buddy, head)), buddy->state[head] - 1u);
}
