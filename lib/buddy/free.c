/* SPDX-License-Identifier: MIT */
/* free.c: single blocks are freed, fast and slow. */
#include "cache.h"

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

/* Adds a frame to those that go to the map; false: it is the last one, or there is no room. */
static inline bool collect(struct ash_buddy_cpu *cpu, uint64_t place) {
    uint64_t word = place / WORD_FRAMES, bit = UINT64_C(1) << place % WORD_FRAMES;
    uint32_t count = cpu->freed_count;
    struct ash_buddy_bits *entry = &cpu->freed[count];
    if (count != 0 && entry[-1].word == word) {
        entry--;
        if ((entry->bits & bit) != 0)
            return false;
        ash_store_relaxed(&entry->bits, entry->bits | bit);
        return true;
    }
    if (count == ASH_BUDDY__FREED_MAX)
        return false;
    entry->word = word;
    ash_store_relaxed(&entry->bits, bit);
    cpu->freed_words |= UINT64_C(1) << word % 64;
    ash_store_relaxed(&cpu->freed_count, count + 1);
    return true;
}

/* Has the map nothing as good to allocate from as a chunk of this class? */
static inline bool is_best_class(const struct ash_buddy *buddy, uint32_t class, uint32_t hint) {
    uint32_t sets = ash_load_relaxed(&buddy->nonempty) >> hint * 9 & 0x3fe;
    return (sets & ((2u << class) - 1)) == 0;
}

static bool __attribute__((noinline)) is_collected(const struct ash_buddy_cpu *cpu, uint64_t word) {
    if ((cpu->freed_words >> word % 64 & 1) == 0)
        return false;
    for (uint32_t i = 0; i < cpu->freed_count; i++) {
        if (cpu->freed[i].word == word)
            return true;
    }
    return false;
}

static inline bool claim_has(const struct ash_buddy_claim *claim, ash_pfn_t pfn) {
    uint64_t offset = pfn - claim->first;
    return claim->hot == pfn || (offset < WORD_FRAMES && (claim->held >> offset & 1) != 0);
}

/*
 * In the cache, of a frame that no word at hand takes: if its chunk is fuller than all that the map
 * has left, it is the next one to be allocated; others are collected. False: it needs a closer
 * look.
 */
static inline bool free_to_cache(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu,
                                 ash_pfn_t first) {
    const struct ash_buddy_span *span = span_of(buddy, first, 1);
    if (span == NULL || claim_has(&cpu->claim[0], first) || claim_has(&cpu->claim[1], first))
        return false;
    uint64_t place = place_of(span, first);
    uint8_t class = ash_load_relaxed(&buddy->classes[place / CHUNK_FRAMES]);
    uint32_t hint = class >> HINT_SHIFT;
    struct ash_buddy_claim *claim = &cpu->claim[hint];
    struct ash_buddy_stack *stack = stack_of(cpu, hint, 0);
    if (is_free_in_map(buddy, place) || (stack->count != 0 && stack_has(stack, first)))
        return false;
    if (stack->count == ASH_BUDDY__STACK_MAX || !is_best_class(buddy, class & CLASS_MASK, hint) ||
        is_collected(cpu, place / WORD_FRAMES))
        return collect(cpu, place);
    if (claim->hot == NOWHERE)
        ash_store_relaxed(&claim->hot, first);
    else
        stack_push(cpu, stack, first, 0);
    return true;
}

/*
 * The same for the commonest case, a movable frame, and not one of the unmovable frames' word at
 * hand: so it is not their hot one either. False: it is another one.
 */
static inline bool free_to_hot(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu,
                               ash_pfn_t first) {
    struct ash_buddy_claim *claim = &cpu->claim[ASH_BUDDY_MOVABLE];
    if (claim->hot != NOWHERE || stack_of(cpu, ASH_BUDDY_MOVABLE, 0)->count != 0 ||
        claim_is_of(claim, first))
        return false;
    const struct ash_buddy_span *span = span_of(buddy, first, 1);
    if (ASH_UNLIKELY(span == NULL))
        return false;
    uint64_t place = place_of(span, first), word = place / WORD_FRAMES;
    uint32_t class = ash_load_relaxed(&buddy->classes[place / CHUNK_FRAMES]);
    if (class >= 1u << HINT_SHIFT || !is_best_class(buddy, class, 0) ||
        (cpu->freed_words >> word % 64 & 1) != 0)
        return false;
    if (ASH_UNLIKELY(is_free_in_map(buddy, place)))
        return false;
    ash_store_relaxed(&claim->hot, first);
    return true;
}

/* In the cache, whatever the frame. */
static inline bool free_to_any(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu,
                               ash_pfn_t first) {
    return claim_push(&cpu->claim[ASH_BUDDY_MOVABLE], first) ||
           claim_push(&cpu->claim[ASH_BUDDY_UNMOVABLE], first) || free_to_cache(buddy, cpu, first);
}

/* False: the frame is free already, or in no region. */
static bool free_frame(struct ash_buddy *buddy, ash_pfn_t first) {
    struct section section = section_enter(buddy);
    bool done = cache_enter(section.cpu, CLOSED_BY_TAKER) && free_to_any(buddy, section.cpu, first);
    cache_leave(section.cpu);
    if (done) {
        section_leave(buddy, section);
        return true;
    }
    ash_spin_lock(&buddy->lock);
    ash__buddy_flush(buddy, section.cpu);
    done = free_to_any(buddy, section.cpu, first);
    section_unlock(buddy, section);
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
    section_unlock(buddy, section);
    return done;
}

static bool free_block(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    const struct ash_buddy_span *span = span_of(buddy, first, UINT64_C(1) << order);
    if (span == NULL || !ash_is_aligned(first, UINT64_C(1) << order))
        return false;
    if (is_stacked(order))
        return free_small(buddy, place_of(span, first), first, order);
    struct section section = section_lock(buddy);
    bool done = ash__buddy_give_chunks(buddy, place_of(span, first), order);
    section_unlock(buddy, section);
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

/* Into the unmovable frames' word at hand. */
static void __attribute__((noinline))
free_unmovable(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, ash_pfn_t first) {
    if (ASH_UNLIKELY(!claim_push(&cpu->claim[ASH_BUDDY_UNMOVABLE], first))) {
        free_in_cache(buddy, cpu, first);
        return;
    }
    cache_leave(cpu);
    ash_port_unpin();
}

static void __attribute__((noinline))
free_elsewhere(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, ash_pfn_t first) {
    if (claim_is_of(&cpu->claim[ASH_BUDDY_UNMOVABLE], first)) {
        free_unmovable(buddy, cpu, first);
        return;
    }
    if (!free_to_hot(buddy, cpu, first)) {
        free_in_cache(buddy, cpu, first);
        return;
    }
    cache_leave(cpu);
    ash_port_unpin();
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
    if (ASH_UNLIKELY(order != 0)) {
        if (is_stacked(order))
            free_stacked(buddy, first, order);
        else
            free_slow(buddy, first, order);
        return;
    }
    uint32_t index;
    ash_port_pin(&index);
    struct ash_buddy_cpu *cpu = &buddy->cpus[index];
    if (ASH_UNLIKELY(!cache_enter(cpu, UINT32_MAX))) {
        cache_leave(cpu);
        ash_port_unpin();
        free_slow(buddy, first, order);
        return;
    }
    if (ASH_UNLIKELY(!claim_push(&cpu->claim[ASH_BUDDY_MOVABLE], first))) {
        free_elsewhere(buddy, cpu, first);
        return;
    }
    cache_leave(cpu);
    ash_port_unpin();
}
