/* SPDX-License-Identifier: MIT */
/*
 * cache.h: a CPU's cache, which holds frames that are free, so that most calls need no lock:
 *
 *   claims   words whose free frames were taken out of the map, to allocate from, one word after
 *            the other through claim[hint]. A claimed word is nobody else's to claim (I4).
 *   stacks   freed blocks to be allocated again: of orders 1 to 8; of order 0 those in chunks that
 *            are fuller than all that the map has left. The last such frame is claim[hint].hot.
 *   freed    other frames, to go to the map.
 */
#ifndef ASHLAR_BUDDY_CACHE_H
#define ASHLAR_BUDDY_CACHE_H

#include "buddy_internal.h"

enum {
    CLAIM_FRAMES = 64,   /* a refill claims words until they have these */
    STACK_FRAMES = 32,   /* an allocation takes up to this from the map, for itself and a stack */
    CLOSED_BY_TAKER = 1, /* of cpu->closed */
    CLOSED_ALWAYS = 2,   /* the instance has no fast path: hardened, interrupts */
};

/*
 * This CPU's cache, between enter and leave, with no lock. Dekker's protocol, its rare side heavy:
 * who takes from other CPUs' caches (cpu.c) closes them, fences heavily, and waits while they are
 * busy. False: closed; go by the lock.
 */
static inline bool cache_enter(struct ash_buddy_cpu *cpu, uint32_t closed_mask) {
    ash_store_relaxed(&cpu->busy, 1u);
    ash_port_fence_light();
    return ASH_LIKELY((ash_load_acquire(&cpu->closed) & closed_mask) == 0);
}

static inline void cache_leave(struct ash_buddy_cpu *cpu) {
    ash_store_release(&cpu->busy, 0u);
}

/* Claims */

/* False: the word at hand has no frame left. */
static inline bool claim_take(struct ash_buddy_claim *claim, ash_pfn_t *first) {
    ash_pfn_t hot = claim->hot;
    if (ASH_LIKELY(hot != NOWHERE)) {
        ash_store_relaxed(&claim->hot, NOWHERE);
        *first = hot;
        return true;
    }
    uint64_t held = claim->held;
    if (ASH_UNLIKELY(held == 0))
        return false;
    ash_store_relaxed(&claim->held, held & (held - 1));
    *first = claim->first + ash_ctz64(held);
    return true;
}

/* Is it a frame of the word at hand? */
static inline bool claim_is_of(const struct ash_buddy_claim *claim, ash_pfn_t pfn) {
    return pfn - claim->first < WORD_FRAMES;
}

/* Puts a freed frame; false if it is none of the word's, or one that is free already. */
static inline bool claim_push(struct ash_buddy_claim *claim, ash_pfn_t pfn) {
    uint64_t offset = pfn - claim->first, hot = claim->hot, held = claim->held;
    if (ASH_UNLIKELY(offset >= WORD_FRAMES))
        return false;
    if (ASH_UNLIKELY((held | claim->barred | ash_load_relaxed(claim->word)) >> offset & 1))
        return false;
    if (ASH_LIKELY(hot == NOWHERE)) {
        ash_store_relaxed(&claim->hot, pfn);
        return true;
    }
    if (ASH_UNLIKELY(hot == pfn))
        return false;
    ash_store_relaxed(&claim->held, held | UINT64_C(1) << offset);
    return true;
}

/* Stacks */

/* How many blocks of an order a CPU's cache may hold for a hint; of the large ones fewer. */
static inline uint32_t stack_limit(uint32_t order) {
    return order < CHUNK_ORDER - 1 ? ASH_BUDDY__STACK_MAX : ASH_BUDDY__STACK_MAX / 2 + 1;
}

/* Orders 1..8: blocks that come from and go to the CPU's stacks. */
static inline bool is_stacked(uint32_t order) {
    return order - 1 < CHUNK_ORDER - 1;
}

static inline struct ash_buddy_stack *stack_of(struct ash_buddy_cpu *cpu, uint32_t hint,
                                               uint32_t order) {
    return &cpu->stacks[hint * 9 + order];
}

static inline void stack_push(struct ash_buddy_cpu *cpu, struct ash_buddy_stack *stack,
                              ash_pfn_t first, uint32_t order) {
    uint64_t count = stack->count;
    stack->blocks[count] = first;
    ash_store_relaxed(&stack->count, count + 1); /* relaxed: a step that the explorer knows of */
    ash_store_relaxed(&cpu->stacked_pages, cpu->stacked_pages + (1u << order));
}

/* False: there is none. What is not in use is NOWHERE, so that stack_has need not count. */
static inline bool stack_pop(struct ash_buddy_cpu *cpu, struct ash_buddy_stack *stack,
                             ash_pfn_t *first, uint32_t order) {
    if (stack->count == 0)
        return false;
    *first = stack->blocks[--stack->count];
    stack->blocks[stack->count] = NOWHERE;
    ash_store_relaxed(&cpu->stacked_pages, cpu->stacked_pages - (1u << order));
    return true;
}

static inline bool stack_has(const struct ash_buddy_stack *stack, ash_pfn_t first) {
    for (uint32_t i = 0; i < ASH_BUDDY__STACK_MAX; i++) {
        if (ASH_UNLIKELY(stack->blocks[i] == first))
            return true;
    }
    return false;
}

/* cpu.c */

/* Under the lock: fills the cache of this CPU from the map. False: nothing is free there. */
bool ash__buddy_refill(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint);
/* Under the lock: puts the frees that this CPU's cache collected into the map. */
void ash__buddy_flush(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu);
/* Under the lock: the oldest blocks of a stack go to the map; a block is taken from there. */
void ash__buddy_unstack(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint,
                        uint32_t order, uint32_t count);
uint64_t ash__buddy_take_stacked(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t order,
                                 uint32_t hint);
/* Under the lock: gives back what this CPU's cache, or every one, holds. */
void ash__buddy_return_own(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu);
void ash__buddy_return_all(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu);
bool ash__buddy_close_others(struct ash_buddy *buddy, const struct ash_buddy_cpu *self, bool all);
void ash__buddy_open_others(struct ash_buddy *buddy);
/* In the cache: the next claimed word becomes the one to allocate from. False: none is left. */
bool ash__buddy_next_claim(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint);
/* Under the lock: which of these frames of a word lie in CPUs' caches to be allocated from. */
uint64_t ash__buddy_claims_of(const struct ash_buddy *buddy, uint64_t word, uint64_t bits);
static inline uint64_t claimed_bits(const struct ash_buddy *buddy, uint64_t word, uint64_t bits) {
    bool marked = (buddy->orders[word / CHUNK_WORDS] & CLAIM << word % CHUNK_WORDS) != 0;
    return ASH_UNLIKELY(marked) ? ash__buddy_claims_of(buddy, word, bits) : 0;
}
void ash__buddy_cpus_init(struct ash_buddy *buddy, bool always_closed);
uint64_t ash__buddy_cached_pages(const struct ash_buddy *buddy);

/*
 * Under the lock. Of what caches hold that is not counted the most that it can be is taken: so the
 * peak may be missed, and is never too high.
 */
static inline void note_peak(struct ash_buddy *buddy) {
    uint64_t elsewhere = buddy->map_pages + buddy->claimed_pages + buddy->reserved_pages;
    if (elsewhere > buddy->total_pages || buddy->total_pages - elsewhere <= buddy->peak_used_pages)
        return;
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX; i++) {
        const struct ash_buddy_cpu *cpu = &buddy->cpus[i];
        elsewhere += ash_load_relaxed(&cpu->stacked_pages);
        elsewhere += UINT64_C(64) * ash_load_relaxed(&cpu->freed_count);
    }
    if (elsewhere <= buddy->total_pages && buddy->total_pages - elsewhere > buddy->peak_used_pages)
        buddy->peak_used_pages = buddy->total_pages - elsewhere;
}

#endif
