/* SPDX-License-Identifier: MIT */
/* buddy.c: single blocks: allocation and free, fast and slow. */
#include "buddy_internal.h"

ASH_EVENT_DEFINE(event_exhausted, "buddy.exhausted", "order,free_pages");

/* Allocation */

/* Takes a frame out of this CPU's cache. */
static bool pop(struct ash_buddy_cpu *cpu, uint32_t hint, ash_pfn_t *first) {
    struct ash_buddy_spot *spot = &cpu->spots[hint];
    while (spot->held == 0) {
        if (!ash__buddy_next_claim(cpu, hint))
            return false;
    }
    *first = spot_pop(spot, spot->held);
    return true;
}

static bool refill_and_pop(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint,
                           ash_pfn_t *first) {
    if (!ash__buddy_refill(buddy, cpu, hint)) {
        ash__buddy_return_all(buddy, cpu);
        if (!ash__buddy_refill(buddy, cpu, hint))
            return false;
    }
    return pop(cpu, hint, first);
}

static bool alloc_frame(struct ash_buddy *buddy, uint32_t hint, ash_pfn_t *first) {
    struct section section = section_enter(buddy);
    bool found = cache_enter(section.cpu, CLOSED_BY_TAKER) && pop(section.cpu, hint, first);
    cache_leave(section.cpu);
    if (found) {
        section_leave(buddy, section);
        return true;
    }
    ash_spin_lock(&buddy->lock);
    found = refill_and_pop(buddy, section.cpu, hint, first);
    buddy->failed_allocs += !found;
    ash__buddy_unlock(buddy, section);
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
    ash__buddy_unlock(buddy, section);
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

/* Orders 1..8, without the lock if that can be. Like free_stacked and free_in_cache kept out of the
 * callers, so that these save no registers. */
static int __attribute__((noinline))
alloc_stacked(struct ash_buddy *buddy, uint32_t order, uint32_t hint, ash_pfn_t *first) {
    uint32_t index;
    ash_port_pin(&index);
    struct ash_buddy_cpu *cpu = &buddy->cpus[index];
    bool found =
        cache_enter(cpu, UINT32_MAX) && stack_pop(cpu, stack_of(cpu, hint, order), first, order);
    cache_leave(cpu);
    ash_port_unpin();
    if (ASH_LIKELY(found))
        return 0;
    return alloc_slow(buddy, order, hint, first);
}

ASH_HOT_ENTRY int ash_buddy_alloc(struct ash_buddy *buddy, uint32_t order, enum ash_buddy_hint hint,
                                  ash_pfn_t *first) {
    uint32_t which = (uint32_t)hint, index;
    if (order == 0 && which <= ASH_BUDDY_UNMOVABLE) {
        ash_port_pin(&index);
        struct ash_buddy_cpu *cpu = &buddy->cpus[index];
        struct ash_buddy_spot *spot = &cpu->spots[which];
        uint64_t held = 0;
        if (cache_enter(cpu, UINT32_MAX) && ASH_LIKELY((held = spot->held) != 0))
            *first = spot_pop(spot, held);
        cache_leave(cpu);
        ash_port_unpin();
        if (ASH_LIKELY(held != 0))
            return 0;
    }
    if (is_stacked(order) && which <= ASH_BUDDY_UNMOVABLE)
        return alloc_stacked(buddy, order, which, first);
    return alloc_slow(buddy, order, which, first);
}

/* Free */

/*
 * Says why a free names no allocated block. Without the lock, for a panic must not hold it: if
 * another CPU has changed the state since the refusal, the reason is the one of this moment.
 */
static void __attribute__((cold, noinline))
refuse_free(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    unsigned long long pfn = first;
    ASH_REQUIRE(order <= ASH_BUDDY_ORDER_MAX, "buddy: free of frame 0x%llx: order %u is above %u",
                pfn, order, ASH_BUDDY_ORDER_MAX);
    if (order > ASH_BUDDY_ORDER_MAX)
        return;
    const struct ash_buddy_span *span = span_of(buddy, first, UINT64_C(1) << order);
    ASH_REQUIRE(span != NULL, "buddy: free of frame 0x%llx, order %u: in no region", pfn, order);
    ASH_REQUIRE(ash_is_aligned(first, UINT64_C(1) << order),
                "buddy: free of frame 0x%llx, order %u: no block of that order starts there", pfn,
                order);
    if (span == NULL || !ash_is_aligned(first, UINT64_C(1) << order))
        return;
    ash__buddy_explain_state(buddy, span, first, order);
    uint64_t place = place_of(span, first), end = place + (UINT64_C(1) << order);
    uint64_t wrong = ash__buddy_find(buddy, place, end, true);
    ASH_REQUIRE(wrong == end,
                "buddy: double free of frame 0x%llx, order %u: frame 0x%llx of it is free", pfn,
                order, (unsigned long long)(first + (wrong - place)));
    ASH_REQUIRE(false, "buddy: double free of frame 0x%llx, order %u: it is free, in a CPU's cache",
                pfn, order);
}

/* Begins another word of collected frees; false: there is no room. */
static bool collect(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint64_t place) {
    struct ash_buddy_spot *spot = &cpu->spots[SPOT_FREED];
    if (spot->held != 0) {
        if (cpu->freed_count == ASH_BUDDY__SPOTS_MAX)
            return false;
        spot_copy(&cpu->freed[cpu->freed_count], spot);
        ash_store_relaxed(&cpu->freed_count, cpu->freed_count + 1);
    }
    spot_over(buddy, spot, place / WORD_FRAMES, UINT64_C(1) << place % WORD_FRAMES);
    return true;
}

/* A frame that this CPU could hand out itself. */
static bool own_cache_holds(const struct ash_buddy_cpu *cpu, ash_pfn_t pfn) {
    bool held = false;
    for (uint32_t s = 0; s <= SPOT_FREED; s++) {
        uint64_t offset = pfn - cpu->spots[s].first;
        held |= offset < WORD_FRAMES && (cpu->spots[s].held >> offset & 1) != 0;
    }
    return held;
}

/*
 * In the cache: a frame goes to the word that the last ones came from or went to, or begins another
 * one. False: it needs a closer look.
 */
static inline bool free_to_cache(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu,
                                 ash_pfn_t first) {
    if (spot_push(&cpu->spots[SPOT_FREED], first) ||
        spot_push(&cpu->spots[ASH_BUDDY_UNMOVABLE], first) ||
        spot_push(&cpu->spots[ASH_BUDDY_MOVABLE], first))
        return true;
    const struct ash_buddy_span *span = span_of(buddy, first, 1);
    if (span == NULL || own_cache_holds(cpu, first))
        return false;
    uint64_t place = place_of(span, first);
    return !is_free_in_map(buddy, place) && collect(buddy, cpu, place);
}

/* False: the frame is free already, or in no region. */
static bool free_frame(struct ash_buddy *buddy, ash_pfn_t first) {
    struct section section = section_enter(buddy);
    bool done =
        cache_enter(section.cpu, CLOSED_BY_TAKER) && free_to_cache(buddy, section.cpu, first);
    cache_leave(section.cpu);
    if (done) {
        section_leave(buddy, section);
        return true;
    }
    ash_spin_lock(&buddy->lock);
    ash__buddy_flush(buddy, section.cpu);
    done = free_to_cache(buddy, section.cpu, first);
    ash__buddy_unlock(buddy, section);
    return done;
}

/*
 * Is no frame of a block of up to half a chunk free in the map? The block is looked at as four
 * words, some of them the same one: a branch on the order is one that nobody can predict.
 */
static inline bool is_taken(const struct ash_buddy *buddy, uint64_t place, uint32_t order) {
    static const uint64_t masks[] = {0x1,        0x3,        0xf,        0xff,      0xffff,
                                     0xffffffff, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    static const uint8_t lasts[] = {0, 0, 0, 0, 0, 0, 0, 1, 3};
    uint64_t word = place / WORD_FRAMES, last = lasts[order];
    uint64_t bits = word_load(buddy, word) | word_load(buddy, word + (1 & last)) |
                    word_load(buddy, word + (2 & last)) | word_load(buddy, word + last);
    return (bits & masks[order] << place % WORD_FRAMES) == 0;
}

/* In the cache, and orders 1..8. False: it needs a closer look. */
static inline bool free_to_stack(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint64_t place,
                                 ash_pfn_t first, uint32_t order) {
    struct ash_buddy_stack *stack = stack_of(cpu, hint_of(buddy, place), order);
    if (stack->count >= stack_limit(order) || !is_taken(buddy, place, order) ||
        stack_has(stack, first))
        return false;
    stack_push(cpu, stack, first, order);
    return true;
}

/* False: some of the frames are free already. */
static bool free_small(struct ash_buddy *buddy, uint64_t place, ash_pfn_t first, uint32_t order) {
    struct section section = section_enter(buddy);
    bool done = cache_enter(section.cpu, CLOSED_BY_TAKER) &&
                free_to_stack(buddy, section.cpu, place, first, order);
    cache_leave(section.cpu);
    if (done) {
        section_leave(buddy, section);
        return true;
    }
    ash_spin_lock(&buddy->lock);
    uint32_t hint = hint_of(buddy, place), count = stack_limit(order);
    if (stack_of(section.cpu, hint, order)->count == count)
        ash__buddy_unstack(buddy, section.cpu, hint, order, (count + 1) / 2);
    done = free_to_stack(buddy, section.cpu, place, first, order);
    ash__buddy_unlock(buddy, section);
    return done;
}

static bool free_block(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    const struct ash_buddy_span *span = span_of(buddy, first, UINT64_C(1) << order);
    if (span == NULL || !ash_is_aligned(first, UINT64_C(1) << order))
        return false;
    if (is_stacked(order))
        return free_small(buddy, place_of(span, first), first, order);
    struct section section = section_enter(buddy);
    ash_spin_lock(&buddy->lock);
    bool done = ash__buddy_give_chunks(buddy, place_of(span, first), order);
    ash__buddy_unlock(buddy, section);
    return done;
}

static void __attribute__((noinline))
free_slow(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    bool known = buddy->state == NULL || ash__buddy_state_forget(buddy, first, order);
    bool done = order <= ASH_BUDDY_ORDER_MAX && known &&
                (order == 0 ? free_frame(buddy, first) : free_block(buddy, first, order));
    if (ASH_UNLIKELY(!done))
        refuse_free(buddy, first, order);
}

/* The rest of ash_buddy_free, inside the cache already: kept out of it, so that it saves no
 * registers. */
static void __attribute__((noinline))
free_in_cache(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, ash_pfn_t first) {
    bool done = free_to_cache(buddy, cpu, first);
    cache_leave(cpu);
    ash_port_unpin();
    if (ASH_UNLIKELY(!done))
        free_slow(buddy, first, 0);
}

/* Orders 1..8, without the lock if that can be. */
static void __attribute__((noinline))
free_stacked(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    const struct ash_buddy_span *span = span_of(buddy, first, UINT64_C(1) << order);
    uint32_t index;
    bool done = false;
    ash_port_pin(&index);
    struct ash_buddy_cpu *cpu = &buddy->cpus[index];
    if (ASH_LIKELY(span != NULL && ash_is_aligned(first, UINT64_C(1) << order)))
        done = cache_enter(cpu, UINT32_MAX) &&
               free_to_stack(buddy, cpu, place_of(span, first), first, order);
    cache_leave(cpu);
    ash_port_unpin();
    if (ASH_UNLIKELY(!done))
        free_slow(buddy, first, order);
}

ASH_HOT_ENTRY void ash_buddy_free(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    if (order == 0) {
        uint32_t index;
        ash_port_pin(&index);
        struct ash_buddy_cpu *cpu = &buddy->cpus[index];
        bool open = cache_enter(cpu, UINT32_MAX);
        if (ASH_LIKELY(open) && !spot_push(&cpu->spots[ASH_BUDDY_MOVABLE], first)) {
            free_in_cache(buddy, cpu, first);
            return;
        }
        cache_leave(cpu);
        ash_port_unpin();
        if (ASH_LIKELY(open))
            return;
    }
    if (is_stacked(order))
        free_stacked(buddy, first, order);
    else
        free_slow(buddy, first, order);
}
