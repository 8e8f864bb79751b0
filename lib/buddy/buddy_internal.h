/* SPDX-License-Identifier: MIT */
/*
 * buddy_internal.h: what the files of lib/buddy share. DESIGN.md has the picture.
 *
 * Words: a frame has a number (pfn) outside and a place inside; places run through all regions,
 * chunk by chunk. A *word* is 64 frames, a bit each in `words` (1: free); a *chunk* is 8 words, the
 * 512 frames of an order-9 block. `orders[chunk]` notes which words hold a free block of which
 * order, `classes[chunk]` the largest of those, and a *set* the chunks of one class.
 */
#ifndef ASHLAR_BUDDY_INTERNAL_H
#define ASHLAR_BUDDY_INTERNAL_H

#include <ashlar/bits.h>
#include <ashlar/buddy.h>
#include <ashlar/check.h>

#define NOWHERE UINT64_MAX /* no place, no frame, no chunk */

enum {
    WORD_FRAMES = 64,
    CHUNK_WORDS = 8,
    CHUNK_FRAMES = 512,
    CHUNK_ORDER = 9,
    WORD_ORDER = 6,
    CLAIM_FRAMES = 64,   /* a CPU's cache is filled up to this */
    STACK_FRAMES = 32,   /* an allocation takes up to this from the map, for itself and a stack */
    CLOSED_BY_TAKER = 1, /* of cpu->closed */
    CLOSED_ALWAYS = 2,   /* the instance has no fast path: hardened, interrupts */
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

static inline uint32_t class_of_orders(uint64_t orders) {
    uint32_t whole = row_of(orders, WORD_ORDER), pairs = whole & whole >> 1 & 0x55;
    uint32_t fours = pairs & pairs >> 2 & 0x11;
    orders &= ~(0xff * CLAIM); /* CLZ64(0) is 64 */
    return ((71 - ash_clz64(orders)) >> 3) + (pairs != 0) + (fours != 0) + (whole == 0xff);
}

/* Words that a block has frames in, and which frames of each. */
static inline uint64_t words_in(uint32_t order) {
    return order <= WORD_ORDER ? 1 : UINT64_C(1) << (order - WORD_ORDER);
}

static inline uint64_t word_mask(uint32_t order) {
    return order >= WORD_ORDER ? UINT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
}

/* The map's words are written under the lock alone, but read without it by frees and statistics. */
static inline uint64_t word_load(const struct ash_buddy *buddy, uint64_t word) {
    return ash_load_relaxed(&buddy->words[word]);
}

static inline void word_store(struct ash_buddy *buddy, uint64_t word, uint64_t bits) {
    ash_store_relaxed(&buddy->words[word], bits);
}

/* Read without the lock by ash_buddy_free_pages. */
static inline void map_pages_add(struct ash_buddy *buddy, uint64_t pages) {
    ash_store_relaxed(&buddy->map_pages, buddy->map_pages + pages);
}

static inline void map_pages_take(struct ash_buddy *buddy, uint64_t pages) {
    ash_store_relaxed(&buddy->map_pages, buddy->map_pages - pages);
}

/* Under the lock. What CPUs took from their caches since their last exchange is not seen. */
static inline void note_peak(struct ash_buddy *buddy) {
    uint64_t elsewhere = buddy->map_pages + buddy->claimed_pages + buddy->reserved_pages;
    if (elsewhere > buddy->total_pages || buddy->total_pages - elsewhere <= buddy->peak_used_pages)
        return;
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX; i++)
        elsewhere += ash_load_relaxed(&buddy->cpus[i].stacked_pages);
    if (elsewhere <= buddy->total_pages && buddy->total_pages - elsewhere > buddy->peak_used_pages)
        buddy->peak_used_pages = buddy->total_pages - elsewhere;
}

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
    stack->blocks[stack->count++] = first;
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

/* Places */

/* The span that holds the whole range, or NULL; len_pages at least 1. */
static inline const struct ash_buddy_span *span_of(const struct ash_buddy *buddy, ash_pfn_t first,
                                                   uint64_t len_pages) {
    const struct ash_buddy_span *spans = buddy->spans;
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

static inline const struct ash_buddy_span *span_of_place(const struct ash_buddy *buddy,
                                                         uint64_t place) {
    const struct ash_buddy_span *spans = buddy->spans;
    uint32_t low = 0, count = buddy->span_count;
    while (count > 1) {
        uint32_t half = count / 2;
        if (spans[low + half].chunk_first <= place / CHUNK_FRAMES)
            low += half;
        count -= half;
    }
    return &spans[low];
}

static inline uint64_t place_of(const struct ash_buddy_span *span, ash_pfn_t pfn) {
    return pfn - span->word_bias * WORD_FRAMES;
}

static inline ash_pfn_t pfn_of(const struct ash_buddy *buddy, uint64_t place) {
    return place + span_of_place(buddy, place)->word_bias * WORD_FRAMES;
}

/* Chunks of a span: [chunk_first, span_chunk_end). */
static inline uint64_t span_chunk_end(const struct ash_buddy_span *span) {
    return (place_of(span, span->first + span->len_pages - 1)) / CHUNK_FRAMES + 1;
}

static inline uint32_t hint_of(const struct ash_buddy *buddy, uint64_t place) {
    return ash_load_relaxed(&buddy->classes[place / CHUNK_FRAMES]) >> HINT_SHIFT;
}

static inline bool is_free_in_map(const struct ash_buddy *buddy, uint64_t place) {
    return (word_load(buddy, place / WORD_FRAMES) >> place % WORD_FRAMES & 1) != 0;
}

/* Sections: from here to section_leave nothing else of this CPU uses the instance. */

struct section {
    struct ash_buddy_cpu *cpu;
    ash_irq_t irq; /* of an instance with interrupts */
};

static inline struct section section_enter(struct ash_buddy *buddy) {
    struct section section = {.cpu = NULL};
    uint32_t cpu;
    if (buddy->interrupts)
        section.irq = ash_port_irq_save();
    ash_port_pin(&cpu);
    section.cpu = &buddy->cpus[cpu];
    return section;
}

static inline void section_leave(struct ash_buddy *buddy, struct section section) {
    ash_port_unpin();
    if (buddy->interrupts)
        ash_port_irq_restore(section.irq);
}

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

/* Takes a frame; the claim must hold one. */
static inline ash_pfn_t claim_pop(struct ash_buddy_claim *claim, uint64_t held) {
    ash_store_relaxed(&claim->held, held & (held - 1));
    return claim->first + ash_ctz64(held);
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

/* The frames of a word that are outside its region. */
static inline uint64_t edge_of(const struct ash_buddy_span *span, ash_pfn_t first) {
    ash_pfn_t end = span->first + span->len_pages;
    uint64_t edge = 0;
    if (first < span->first)
        edge = (UINT64_C(1) << (span->first - first)) - 1;
    if (end - first < WORD_FRAMES)
        edge |= UINT64_MAX << (end - first);
    return edge;
}

/* map.c: the index over the words. All under the lock. */

void ash__buddy_move(struct ash_buddy *buddy, uint64_t chunk, uint32_t class);

static inline void set_orders(struct ash_buddy *buddy, uint64_t chunk, uint64_t orders) {
    uint32_t class = class_of_orders(orders);
    buddy->orders[chunk] = orders;
    if (ASH_UNLIKELY(class != (buddy->classes[chunk] & CLASS_MASK)))
        ash__buddy_move(buddy, chunk, class);
}

/* `orders` of the word's chunk as they should be; a claimed word has nothing. */
static inline uint64_t orders_with(const struct ash_buddy *buddy, uint64_t orders, uint64_t word) {
    uint64_t w = word % CHUNK_WORDS;
    if ((orders & CLAIM << w) != 0)
        return orders;
    return (orders & ~(ROWS << w)) | column_of(buddy->words[word]) << w;
}

/* Makes the index say what the word holds. */
static inline void reindex(struct ash_buddy *buddy, uint64_t word) {
    uint64_t chunk = word / CHUNK_WORDS;
    set_orders(buddy, chunk, orders_with(buddy, buddy->orders[chunk], word));
}
void ash__buddy_reindex_block(struct ash_buddy *buddy, uint64_t place, uint32_t order);
void ash__buddy_set_hint(struct ash_buddy *buddy, uint64_t chunk, uint32_t hint);

/* The first wholly free chunk, as the index knows it, or NOWHERE; of [chunk, end), or `end`. */
uint64_t ash__buddy_first_empty(const struct ash_buddy *buddy);
uint64_t ash__buddy_next_empty(const struct ash_buddy *buddy, uint64_t chunk, uint64_t end);

/* The chunk that an allocation from a chunk of `class` or more should use, or NOWHERE. */
uint64_t ash__buddy_choose(struct ash_buddy *buddy, uint32_t class, uint32_t hint);

/* blocks.c: blocks of the map, by place. All under the lock. */

uint64_t ash__buddy_take(struct ash_buddy *buddy, uint32_t order, uint32_t hint);
/* Of whole chunks. False, and nothing is changed: some of its frames are free already. */
bool ash__buddy_give_chunks(struct ash_buddy *buddy, uint64_t place, uint32_t order);

/* range.c: runs of any length of the map, by place. All under the lock. */

/* The first place of [place, end) that is free (or, free false, is not), or `end`. */
uint64_t ash__buddy_find(const struct ash_buddy *buddy, uint64_t place, uint64_t end, bool free);
void ash__buddy_set_range(struct ash_buddy *buddy, uint64_t place, uint64_t end, bool free);

/* cpu.c: what CPUs' caches hold. */

/* Leaves a section that has the lock. Reports a double free that came to light, calls low(). */
void ash__buddy_unlock_and_tell(struct ash_buddy *buddy, struct section section);
static inline void ash__buddy_unlock(struct ash_buddy *buddy, struct section section) {
    if (ASH_UNLIKELY(buddy->clash != NOWHERE || buddy->low_pages != 0)) {
        ash__buddy_unlock_and_tell(buddy, section);
        return;
    }
    ash_spin_unlock(&buddy->lock);
    section_leave(buddy, section);
}

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
 * state.c: a byte a frame, of a hardened instance: one more than the order of the allocated block
 * that starts there, STATE_RESERVED, or 0. Changed by who allocates or frees the frame; that is
 * one at a time, or a broken contract.
 */
enum { STATE_NONE = 0, STATE_RESERVED = 31 };
void ash__buddy_state_set(struct ash_buddy *buddy, uint64_t place, uint64_t len, uint8_t state);
/* Hardened. False: no block of this order is allocated there. */
bool ash__buddy_state_forget(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order);
/* Panics if the state bytes know why a free of the block is wrong. */
void ash__buddy_explain_state(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                              ash_pfn_t first, uint32_t order);

#endif
