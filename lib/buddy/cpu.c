/* SPDX-License-Identifier: MIT */
/*
 * cpu.c: what comes into the CPUs' caches from the map, and goes back. A cache is its CPU's alone
 * while that is inside it (cache_enter), and everybody's who holds the lock and has closed it.
 */
#include "cache.h"

#define EMPTY_FIRST (UINT64_MAX - 63) /* of a claim: no valid frame is in it */

static void claim_clear(struct ash_buddy *buddy, struct ash_buddy_claim *claim) {
    ash_store_relaxed(&claim->held, UINT64_C(0));
    ash_store_relaxed(&claim->first, EMPTY_FIRST);
    claim->word = buddy->words;
    claim->barred = UINT64_MAX;
}

void ash__buddy_cpus_init(struct ash_buddy *buddy, bool always_closed) {
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX; i++) {
        buddy->cpus[i].closed = always_closed ? CLOSED_ALWAYS : 0;
        for (uint32_t hint = 0; hint < 2; hint++) {
            buddy->cpus[i].claim[hint].hot = NOWHERE;
            claim_clear(buddy, &buddy->cpus[i].claim[hint]);
        }
        for (uint32_t s = 0; s < ASH_ARRAY_LEN(buddy->cpus[i].stacks); s++) {
            for (uint32_t b = 0; b < ASH_BUDDY__STACK_MAX; b++)
                buddy->cpus[i].stacks[s].blocks[b] = NOWHERE;
        }
    }
}

/* From the cache into the map. Under the lock. */

/*
 * What is left of a claimed word, whose CPU may be inside its cache. Its frames are in the entry,
 * then at hand (one of them hot); other words come to hand then, but not this one again while the
 * lock is held: so it was at hand all the time if it is before and after.
 */
static uint64_t claim_held(const struct ash_buddy_claim *claim, const struct ash_buddy_bits *entry,
                           ash_pfn_t first) {
    uint64_t held = ash_load_acquire(&entry->bits);
    if (ash_load_acquire(&claim->first) == first) {
        uint64_t more = ash_load_acquire(&claim->held), hot = ash_load_relaxed(&claim->hot) - first;
        if (hot < WORD_FRAMES)
            more |= UINT64_C(1) << hot;
        if (ash_load_relaxed(&claim->first) == first)
            held |= more;
    }
    return held;
}

uint64_t ash__buddy_claims_of(const struct ash_buddy *buddy, uint64_t word, uint64_t bits) {
    for (uint32_t i = 0; i < 2 * ASH_PORT_CPUS_MAX; i++) {
        const struct ash_buddy_cpu *cpu = &buddy->cpus[i / 2];
        for (uint32_t c = 0; c < ash_load_relaxed(&cpu->claim_count[i % 2]); c++) {
            const struct ash_buddy_bits *entry = &cpu->claims[i % 2][c];
            if (entry->word == word)
                return bits &
                       claim_held(&cpu->claim[i % 2], entry, pfn_of(buddy, word * WORD_FRAMES));
        }
    }
    return 0;
}

/* Frames of a word become free in the map. Those that are free already are a caller's fault, to be
 * reported when the lock is dropped. */
static inline void set_bits(struct ash_buddy *buddy, uint64_t word, uint64_t bits) {
    uint64_t old = buddy->words[word];
    uint64_t clash = bits & (old | claimed_bits(buddy, word, bits));
    if (ASH_UNLIKELY(clash != 0)) {
        buddy->clash = word * WORD_FRAMES + ash_ctz64(clash);
        bits &= ~clash;
    }
    word_store(buddy, word, old | bits);
    map_pages_add(buddy, (bits & (bits - 1)) == 0 ? bits != 0 : ash_popcount64(bits));
}

static void give_bits(struct ash_buddy *buddy, uint64_t word, uint64_t bits) {
    set_bits(buddy, word, bits);
    reindex(buddy, word);
}

/* Has an aligned run of frames that became free made a larger block in its word than it had? */
static inline bool has_grown(const struct ash_buddy *buddy, uint64_t word, uint64_t run) {
    uint64_t column = buddy->orders[word / CHUNK_WORDS] >> word % CHUNK_WORDS & ROWS;
    uint32_t order = (71 - ash_clz64(column)) >> 3; /* the next larger one's */
    if (ASH_UNLIKELY(order > WORD_ORDER))
        return false; /* all is free, and the run was too */
    uint64_t len = UINT64_C(1) << order;
    uint64_t block = (UINT64_MAX >> (64 - len)) << (ash_ctz64(run) & ~(len - 1));
    return (~buddy->words[word] & block) == 0;
}

/* The same of such a run: most make nothing larger, and the index stays as it is. */
static inline void give_run(struct ash_buddy *buddy, uint64_t word, uint64_t run) {
    set_bits(buddy, word, run);
    if (has_grown(buddy, word, run))
        reindex(buddy, word);
}

/* The oldest blocks of a stack go to the map. */
void ash__buddy_unstack(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint,
                        uint32_t order, uint32_t count) {
    struct ash_buddy_stack *stack = stack_of(cpu, hint, order);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t place = place_of(span_of(buddy, stack->blocks[i], 1), stack->blocks[i]);
        if (order <= WORD_ORDER) {
            give_run(buddy, place / WORD_FRAMES, word_mask(order) << place % WORD_FRAMES);
            continue;
        }
        for (uint64_t w = 0; w < words_in(order); w++)
            set_bits(buddy, place / WORD_FRAMES + w, UINT64_MAX);
        ash__buddy_reindex_block(buddy, place, order);
    }
    for (uint32_t i = 0; i < ASH_BUDDY__STACK_MAX; i++)
        stack->blocks[i] = i + count < stack->count ? stack->blocks[i + count] : NOWHERE;
    stack->count -= count;
    ash_store_relaxed(&cpu->stacked_pages, cpu->stacked_pages - (count << order));
}

static inline void give_collected(struct ash_buddy *buddy, const struct ash_buddy_bits *entry) {
    if ((entry->bits & (entry->bits - 1)) == 0)
        give_run(buddy, entry->word, entry->bits);
    else
        give_bits(buddy, entry->word, entry->bits);
}

void ash__buddy_flush(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu) {
    for (uint32_t i = 0; i < cpu->freed_count; i++)
        give_collected(buddy, &cpu->freed[i]);
    ash_store_relaxed(&cpu->freed_count, 0u);
    cpu->freed_words = 0;
    for (uint32_t hint = 0; hint < 2; hint++) {
        uint64_t count = stack_of(cpu, hint, 0)->count;
        if (count != 0)
            ash__buddy_unstack(buddy, cpu, hint, 0, (uint32_t)count);
    }
}

/* Of the word at hand, to be given back with the rest of it. (One with a number like those may be
 * another region's: barred.) */
static uint64_t take_hot_of_word(struct ash_buddy_claim *claim) {
    uint64_t offset = claim->hot - claim->first;
    if (offset >= WORD_FRAMES || (claim->barred >> offset & 1) != 0)
        return 0;
    ash_store_relaxed(&claim->hot, NOWHERE);
    return UINT64_C(1) << offset;
}

/* The hint's claims end; what is left of them goes back. */
static void unclaim(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint) {
    struct ash_buddy_claim *claim = &cpu->claim[hint];
    struct ash_buddy_bits *claims = cpu->claims[hint];
    uint32_t count = cpu->claim_count[hint];
    if (cpu->claim_at[hint] != 0)
        ash_store_relaxed(&claims[cpu->claim_at[hint] - 1].bits,
                          claim->held | take_hot_of_word(claim));
    ash_store_relaxed(&cpu->claim_count[hint], 0u);
    claim_clear(buddy, claim);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word = claims[i].word, chunk = word / CHUNK_WORDS;
        buddy->orders[chunk] &= ~(CLAIM << word % CHUNK_WORDS);
        if ((buddy->words[word] | claims[i].bits) != 0)
            give_bits(buddy, word, claims[i].bits);
    }
    cpu->claim_at[hint] = 0;
    buddy->claimed_pages -= cpu->claimed_pages[hint];
    cpu->claimed_pages[hint] = 0;
}

static void give_hot(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint) {
    ash_pfn_t hot = cpu->claim[hint].hot;
    if (hot == NOWHERE)
        return;
    uint64_t place = place_of(span_of(buddy, hot, 1), hot);
    ash_store_relaxed(&cpu->claim[hint].hot, NOWHERE);
    give_bits(buddy, place / WORD_FRAMES, UINT64_C(1) << place % WORD_FRAMES);
}

void ash__buddy_return_own(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu) {
    ash__buddy_flush(buddy, cpu);
    unclaim(buddy, cpu, ASH_BUDDY_MOVABLE);
    unclaim(buddy, cpu, ASH_BUDDY_UNMOVABLE);
    give_hot(buddy, cpu, ASH_BUDDY_MOVABLE);
    give_hot(buddy, cpu, ASH_BUDDY_UNMOVABLE);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(cpu->stacks) && cpu->stacked_pages != 0; i++) {
        if (cpu->stacks[i].count != 0)
            ash__buddy_unstack(buddy, cpu, i / 9, i % 9, (uint32_t)cpu->stacks[i].count);
    }
}

/* Other CPUs' caches. Under the lock. */

static bool has_something(const struct ash_buddy_cpu *cpu) {
    return (ash_load_relaxed(&cpu->claim_count[0]) | ash_load_relaxed(&cpu->claim_count[1]) |
            ash_load_relaxed(&cpu->freed_count) | ash_load_relaxed(&cpu->stacked_pages)) != 0 ||
           (ash_load_relaxed(&cpu->claim[0].hot) & ash_load_relaxed(&cpu->claim[1].hot)) != NOWHERE;
}

static bool is_closed(const struct ash_buddy_cpu *cpu) {
    return (cpu->closed & CLOSED_BY_TAKER) != 0;
}

/* Keeps out the other CPUs (or of these, those whose caches are not empty), and waits until the one
 * that is inside has left: a few instructions, for nothing waits in there. */
bool ash__buddy_close_others(struct ash_buddy *buddy, const struct ash_buddy_cpu *self, bool all) {
    bool some = false;
    for (struct ash_buddy_cpu *cpu = buddy->cpus; cpu < buddy->cpus + ASH_PORT_CPUS_MAX; cpu++) {
        if (cpu == self || !(all || has_something(cpu)))
            continue;
        ash_store_relaxed(&cpu->closed, cpu->closed | CLOSED_BY_TAKER);
        some = true;
    }
    if (!some)
        return false;
    ash_port_fence_heavy();
    for (struct ash_buddy_cpu *cpu = buddy->cpus; cpu < buddy->cpus + ASH_PORT_CPUS_MAX; cpu++) {
        while (is_closed(cpu) && ash_load_acquire(&cpu->busy) != 0)
            ash_port_relax();
    }
    return true;
}

void ash__buddy_open_others(struct ash_buddy *buddy) {
    for (struct ash_buddy_cpu *cpu = buddy->cpus; cpu < buddy->cpus + ASH_PORT_CPUS_MAX; cpu++) {
        if (is_closed(cpu))
            ash_store_release(&cpu->closed, cpu->closed & ~(uint32_t)CLOSED_BY_TAKER);
    }
}

void ash__buddy_return_all(struct ash_buddy *buddy, struct ash_buddy_cpu *self) {
    ash__buddy_return_own(buddy, self);
    if (!ash__buddy_close_others(buddy, self, false))
        return;
    for (struct ash_buddy_cpu *cpu = buddy->cpus; cpu < buddy->cpus + ASH_PORT_CPUS_MAX; cpu++) {
        if (is_closed(cpu))
            ash__buddy_return_own(buddy, cpu);
    }
    ash__buddy_open_others(buddy);
}

/* Claims. Under the lock. */

struct refill {
    struct ash_buddy_bits *claims;
    uint32_t count, pages;
};

/* Takes the free frames of some of the chunk's words, the most broken ones first. */
static void claim_in(struct ash_buddy *buddy, uint64_t chunk, struct refill *refill) {
    uint64_t orders = buddy->orders[chunk];
    for (uint32_t k = 0; k <= WORD_ORDER; k++) {
        uint32_t fitting = row_of(orders, k) & ~row_of(orders, k + 1);
        for (; fitting != 0; fitting &= fitting - 1) {
            if (refill->count == ASH_BUDDY__CLAIMS_MAX || refill->pages >= CLAIM_FRAMES)
                break;
            uint32_t w = ash_ctz64(fitting);
            uint64_t word = chunk * CHUNK_WORDS + w, bits = buddy->words[word];
            orders &= ~(ROWS << w);
            orders |= CLAIM << w;
            refill->claims[refill->count].word = word;
            ash_store_relaxed(&refill->claims[refill->count++].bits, bits);
            word_store(buddy, word, 0);
            refill->pages += ash_popcount64(bits);
        }
    }
    set_orders(buddy, chunk, orders);
}

bool ash__buddy_refill(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint) {
    struct refill refill = {cpu->claims[hint], 0, 0};
    ash__buddy_flush(buddy, cpu);
    unclaim(buddy, cpu, hint);
    note_peak(buddy);
    while (refill.count < ASH_BUDDY__CLAIMS_MAX && refill.pages < CLAIM_FRAMES) {
        uint64_t chunk = ash__buddy_choose(buddy, 1, hint);
        if (chunk == NOWHERE)
            break;
        claim_in(buddy, chunk, &refill);
    }
    ash_store_relaxed(&cpu->claim_count[hint], refill.count);
    cpu->claimed_pages[hint] = refill.pages;
    buddy->claimed_pages += refill.pages;
    map_pages_take(buddy, refill.pages);
    return refill.count != 0;
}

/* A block for the caller, and a few of its kind that the cache keeps. */
uint64_t ash__buddy_take_stacked(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t order,
                                 uint32_t hint) {
    struct ash_buddy_stack *stack = stack_of(cpu, hint, order);
    uint64_t place = ash__buddy_take(buddy, order, hint);
    while (place != NOWHERE && ((stack->count + 2) << order) <= STACK_FRAMES &&
           stack->count < ASH_BUDDY__STACK_MAX / 2) {
        uint64_t more = ash__buddy_take(buddy, order, hint);
        if (more == NOWHERE)
            break;
        stack_push(cpu, stack, pfn_of(buddy, more), order);
    }
    return place;
}

/* Frames of the word that this CPU's cache holds apart from the claim. */
static uint64_t apart_from_claim(const struct ash_buddy_cpu *cpu, uint32_t hint, ash_pfn_t first) {
    const struct ash_buddy_stack *stack = &cpu->stacks[hint * 9];
    uint64_t offset = cpu->claim[hint].hot - first, bits = 0;
    if (offset < WORD_FRAMES)
        bits |= UINT64_C(1) << offset;
    for (uint32_t i = 0; i < stack->count; i++) {
        if ((offset = stack->blocks[i] - first) < WORD_FRAMES)
            bits |= UINT64_C(1) << offset;
    }
    return bits;
}

/* Frames of the word that it has collected for the map. */
static uint64_t collected_of(const struct ash_buddy_cpu *cpu, uint64_t word) {
    uint64_t bits = 0;
    if ((cpu->freed_words >> word % 64 & 1) == 0)
        return 0;
    for (uint32_t i = 0; i < cpu->freed_count; i++) {
        if (cpu->freed[i].word == word)
            bits |= cpu->freed[i].bits;
    }
    return bits;
}

bool ash__buddy_next_claim(struct ash_buddy *buddy, struct ash_buddy_cpu *cpu, uint32_t hint) {
    struct ash_buddy_claim *claim = &cpu->claim[hint];
    uint32_t at = cpu->claim_at[hint];
    if (at == cpu->claim_count[hint])
        return false;
    uint64_t word = cpu->claims[hint][at].word;
    const struct ash_buddy_span *span = span_of_place(buddy, word * WORD_FRAMES);
    ash_pfn_t first = (word + span->word_bias) * WORD_FRAMES;
    ash_store_relaxed(&claim->first, first);
    claim->word = &buddy->words[word];
    claim->barred = ~frames_of_word(span, word) | apart_from_claim(cpu, hint ^ 1, first) |
                    collected_of(cpu, word);
    ash_store_release(&claim->held, cpu->claims[hint][at].bits); /* after `first`: see claim_held */
    ash_store_relaxed(&cpu->claims[hint][at].bits, UINT64_C(0));
    cpu->claim_at[hint] = at + 1;
    return true;
}

uint64_t ash__buddy_cached_pages(const struct ash_buddy *buddy) {
    uint64_t pages = 0;
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX; i++) {
        const struct ash_buddy_cpu *cpu = &buddy->cpus[i];
        pages += ash_load_relaxed(&cpu->stacked_pages);
        for (uint32_t f = 0; f < ash_load_relaxed(&cpu->freed_count); f++)
            pages += ash_popcount64(ash_load_relaxed(&cpu->freed[f].bits));
        for (uint32_t hint = 0; hint < 2; hint++) {
            pages += ash_popcount64(ash_load_relaxed(&cpu->claim[hint].held));
            pages += ash_load_relaxed(&cpu->claim[hint].hot) != NOWHERE;
            for (uint32_t c = 0; c < ash_load_relaxed(&cpu->claim_count[hint]); c++)
                pages += ash_popcount64(ash_load_relaxed(&cpu->claims[hint][c].bits));
        }
    }
    return pages;
}

/* The lock */

/* Watermarks are compared with the map alone: looking into all caches would cost each call. */
static bool is_low_now(struct ash_buddy *buddy) {
    if (buddy->map_pages > buddy->high_pages)
        buddy->low_armed = true;
    bool low = buddy->low_armed && buddy->map_pages < buddy->low_pages;
    if (low)
        buddy->low_armed = false;
    return low;
}

void ash__buddy_unlock_and_tell(struct ash_buddy *buddy, struct section section) {
    bool low = buddy->low_pages != 0 && is_low_now(buddy);
    uint64_t clash = buddy->clash, map_pages = buddy->map_pages;
    buddy->clash = NOWHERE;
    ash_spin_unlock(&buddy->lock);
    section_leave(buddy, section);
    ASH_REQUIRE(clash == NOWHERE,
                "buddy: double free of frame 0x%llx, found as frees collected by a CPU reached "
                "the map: it is free there, or in a cache",
                (unsigned long long)(pfn_of(buddy, clash)));
    if (low)
        buddy->low(buddy->context, map_pages);
}

void ash_buddy_drain(struct ash_buddy *buddy) {
    struct section section = section_lock(buddy);
    ash__buddy_return_own(buddy, section.cpu);
    section_unlock(buddy, section);
}

void ash_buddy_drain_all(struct ash_buddy *buddy) {
    struct section section = section_lock(buddy);
    ash__buddy_return_all(buddy, section.cpu);
    section_unlock(buddy, section);
}
