/* SPDX-License-Identifier: MIT */
/* alloc.c: single blocks are allocated, fast and slow. */
#include "cache.h"

ASH_EVENT_DEFINE(event_exhausted, "buddy.exhausted", "order,free_pages");

/* Takes a frame out of this CPU's cache. The next claim has its turn when the stack is empty: so no
 * frame of the word at hand is in it, and claim_push need not look. */
static bool pop(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint,
                ash_pfn_t *first) {
    while (!claim_take(&cpu->claim[hint], first)) {
        if (stack_pop(cpu, stack_of(cpu, hint, 0), first, 0))
            return true;
        if (!ash__buddy_next_claim(buddy, cpu, hint))
            return false;
    }
    return true;
}

static bool refill_and_pop(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint,
                           ash_pfn_t *first) {
    if (!ash__buddy_refill(buddy, cpu, hint)) {
        ash__buddy_return_all(buddy, cpu);
        if (!ash__buddy_refill(buddy, cpu, hint))
            return false;
    }
    return pop(buddy, cpu, hint, first);
}

static bool alloc_frame(struct ash_buddy *buddy, uint32_t hint, ash_pfn_t *first) {
    struct section section = section_enter(buddy);
    bool found = cache_enter(section.cpu, CLOSED_BY_TAKER) && pop(buddy, section.cpu, hint, first);
    cache_leave(section.cpu);
    if (found) {
        section_leave(buddy, section);
        return true;
    }
    ash_spin_lock(&buddy->lock);
    found = refill_and_pop(buddy, section.cpu, hint, first);
    buddy->failed_allocs += !found;
    section_unlock(buddy, section);
    return found;
}

static uint64_t take_block(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t order,
                           uint32_t hint) {
    uint64_t place = is_stacked(order) ? ash__buddy_take_stacked(buddy, cpu, order, hint)
                                       : ash__buddy_take(buddy, order, hint);
    if (ASH_UNLIKELY(place == NOWHERE)) {
        ash__buddy_return_all(buddy, cpu);
        place = ash__buddy_take(buddy, order, hint);
        buddy->failed_allocs += place == NOWHERE;
    }
    note_peak(buddy);
    return place;
}

static bool alloc_block(struct ash_buddy *buddy, uint32_t order, uint32_t hint, ash_pfn_t *first) {
    struct section section = section_enter(buddy);
    if (is_stacked(order)) {
        bool found = cache_enter(section.cpu, CLOSED_BY_TAKER) &&
                     stack_pop(section.cpu, stack_of(section.cpu, hint, order), first, order);
        cache_leave(section.cpu);
        if (ASH_LIKELY(found)) {
            section_leave(buddy, section);
            return true;
        }
    }
    ash_spin_lock(&buddy->lock);
    uint64_t place = take_block(buddy, section.cpu, order, hint);
    section_unlock(buddy, section);
    if (place != NOWHERE)
        *first = pfn_of(buddy, place);
    return place != NOWHERE;
}

static void __attribute__((noinline)) note_failure(struct ash_buddy *buddy, uint32_t order) {
    uint64_t free_pages = ash_buddy_free_pages(buddy);
    ASH_EVENT(event_exhausted, order, free_pages);
    (void)free_pages; /* a port's hook may be empty */
    (void)order;
}

static int __attribute__((noinline))
alloc_slow(struct ash_buddy *buddy, uint32_t order, uint32_t hint, ash_pfn_t *first) {
    if (order > ASH_BUDDY_ORDER_MAX || hint > ASH_BUDDY_UNMOVABLE)
        return -ASH_EINVAL;
    bool found =
        order == 0 ? alloc_frame(buddy, hint, first) : alloc_block(buddy, order, hint, first);
    if (ASH_UNLIKELY(!found)) {
        note_failure(buddy, order);
        return -ASH_ENOMEM;
    }
    if (buddy->state != NULL)
        ash__buddy_state_set(buddy, place_of(span_of(buddy, *first, 1), *first), 1,
                             (uint8_t)(order + 1));
    return 0;
}

/* Unmovable frames, as ash_buddy_alloc does the others. */
static int __attribute__((noinline)) alloc_unmovable(struct ash_buddy *buddy, ash_pfn_t *first) {
    uint32_t index;
    ash_port_pin(&index);
    struct ash_buddy_cpu *cpu = &buddy->cpus[index];
    bool found =
        cache_enter(cpu, UINT32_MAX) && claim_take(&cpu->claim[ASH_BUDDY_UNMOVABLE], first);
    cache_leave(cpu);
    ash_port_unpin();
    return ASH_LIKELY(found) ? 0 : alloc_slow(buddy, 0, ASH_BUDDY_UNMOVABLE, first);
}

/* Orders 1..8, without the lock if that can be. Like free_stacked and free_in_cache kept out of the
 * callers, so that these save no registers. */
static int __attribute__((noinline))
alloc_other(struct ash_buddy *buddy, uint32_t order, uint32_t hint, ash_pfn_t *first) {
    if (ASH_UNLIKELY(!is_stacked(order) || hint > ASH_BUDDY_UNMOVABLE))
        return order == 0 && hint == ASH_BUDDY_UNMOVABLE ? alloc_unmovable(buddy, first)
                                                         : alloc_slow(buddy, order, hint, first);
    uint32_t index;
    ash_port_pin(&index);
    struct ash_buddy_cpu *cpu = &buddy->cpus[index];
    bool found =
        cache_enter(cpu, UINT32_MAX) && stack_pop(cpu, stack_of(cpu, hint, order), first, order);
    cache_leave(cpu);
    ash_port_unpin();
    return ASH_LIKELY(found) ? 0 : alloc_slow(buddy, order, hint, first);
}

ASH_HOT_ENTRY int ash_buddy_alloc(struct ash_buddy *buddy, uint32_t order, enum ash_buddy_hint hint,
                                  ash_pfn_t *first) {
    if (ASH_UNLIKELY((order | (uint32_t)hint) != 0))
        return alloc_other(buddy, order, (uint32_t)hint, first);
    uint32_t index;
    ash_port_pin(&index);
    struct ash_buddy_cpu *cpu = &buddy->cpus[index];
    bool found = cache_enter(cpu, UINT32_MAX) && claim_take(&cpu->claim[0], first);
    cache_leave(cpu);
    ash_port_unpin();
    return ASH_LIKELY(found) ? 0 : alloc_slow(buddy, 0, 0, first);
}
