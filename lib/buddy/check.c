/* SPDX-License-Identifier: MIT */
/* check.c: the audit of the invariants that DESIGN.md numbers. All other CPUs are kept out. */
#include "cache.h"

/* Map and index */

static const char *check_word(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                              uint64_t word) {
    uint64_t bits = buddy->words[word], frames = frames_of_word(span, word);
    uint64_t known = buddy->orders[word / CHUNK_WORDS] >> word % CHUNK_WORDS;
    if ((bits & ~frames) != 0)
        return "I1: a frame outside the regions is free";
    if ((known & CLAIM) != 0)
        return (known & ROWS) == 0 ? NULL : "I4: the index knows of free blocks in a claimed word";
    if (column_of(bits) != (known & ROWS))
        return "I2: the index and a word differ";
    return NULL;
}

static const char *check_chunk(const struct ash_buddy *buddy, uint64_t chunk) {
    uint32_t class = buddy->classes[chunk] & CLASS_MASK, hint = buddy->classes[chunk] >> HINT_SHIFT;
    if ((buddy->classes[chunk] & ~(1u << HINT_SHIFT)) != class ||
        class != class_of_orders(buddy->orders[chunk]))
        return "I3: a chunk's class is not that of its largest free block";
    uint32_t own = class == CLASS_EMPTY ? 0 : hint * 9 + class;
    for (uint32_t set = 0; set < SET_COUNT; set++) {
        uint64_t word = buddy->sets[chunk / 64 * SET_COUNT + set];
        if ((word >> chunk % 64 & 1) != (class != CLASS_NONE && set == own))
            return "I3: a chunk is not in the set of its class alone";
    }
    return NULL;
}

/* A bit above is set exactly if the word below is not 0. */
static const char *check_summaries(const struct ash_buddy *buddy) {
    uint64_t words = (buddy->chunk_count + 63) / 64;
    uint64_t past = buddy->chunk_count % 64 == 0 ? 0 : UINT64_MAX << buddy->chunk_count % 64;
    for (uint32_t set = 0; set < SET_COUNT; set++) {
        if ((buddy->sets[(words - 1) * SET_COUNT + set] & past) != 0)
            return "I3: a set has a chunk that does not exist";
    }
    for (uint64_t l = 0; l < buddy->level_count; l++, words = (words + 63) / 64) {
        uint64_t limit = l + 1 < buddy->level_count ? ash_align_up(words, 64) : 1;
        for (uint64_t i = 0; i < limit * SET_COUNT; i++) {
            uint64_t w = i / SET_COUNT, set = i % SET_COUNT;
            bool full = w < words && buddy->sets[buddy->level_at[l] + i] != 0;
            uint64_t above =
                l + 1 == buddy->level_count
                    ? buddy->nonempty >> set
                    : buddy->sets[buddy->level_at[l + 1] + w / 64 * SET_COUNT + set] >> w % 64;
            if ((above & 1) != full)
                return "I3: a summary bit and the word that it stands for differ";
        }
    }
    return NULL;
}

/* Caches */

/* Frames of one word that a cache holds. */
struct piece {
    uint64_t word, bits;
};

static struct piece piece_of_claim(const struct ash_buddy *buddy,
                                   const struct ash_buddy_claim *claim, bool hot) {
    const struct ash_buddy_span *span = hot ? span_of(buddy, claim->hot, 1) : NULL;
    if (hot && claim->hot != NOWHERE && span == NULL)
        return (struct piece){UINT64_MAX, 1};
    if (span != NULL) {
        uint64_t place = place_of(span, claim->hot);
        return (struct piece){place / WORD_FRAMES, UINT64_C(1) << place % WORD_FRAMES};
    }
    if (hot || claim->held == 0)
        return (struct piece){0, 0};
    return (struct piece){(uint64_t)(claim->word - buddy->words), claim->held};
}

static struct piece piece_of_entry(const struct ash_buddy_bits *entries, uint32_t count,
                                   uint32_t i) {
    return i < count ? (struct piece){entries[i].word, entries[i].bits} : (struct piece){0, 0};
}

/* Where a CPU's pieces are, by number: words at hand, claims, collected frames, stacks of blocks of
 * up to four words. */
enum {
    AT_CLAIMS = 4,
    AT_FREED = AT_CLAIMS + 2 * ASH_BUDDY__CLAIMS_MAX,
    AT_STACKS = AT_FREED + ASH_BUDDY__FREED_MAX,
    PER_BLOCK = 4,
    PER_STACK = PER_BLOCK * ASH_BUDDY__STACK_MAX,
    AT_END = AT_STACKS + PER_STACK * ASH_ARRAY_LEN(((struct ash_buddy_cpu *)NULL)->stacks),
};

/* The same of the blocks in its stacks; those have been checked. Goes on behind what is empty. */
static struct piece next_of_stacks(const struct ash_buddy *buddy, const struct ash_buddy_cpu *cpu,
                                   uint32_t *i) {
    uint32_t at = *i - AT_STACKS, s = at / PER_STACK;
    uint32_t b = at % PER_STACK / PER_BLOCK, w = at % PER_BLOCK, order = s % 9;
    if (cpu->stacked_pages == 0)
        *i = AT_END;
    else if (b >= cpu->stacks[s].count)
        *i = AT_STACKS + (s + 1) * PER_STACK;
    else
        *i += 1;
    if (cpu->stacked_pages == 0 || b >= cpu->stacks[s].count || w >= words_in(order))
        return (struct piece){0, 0};
    ash_pfn_t first = cpu->stacks[s].blocks[b];
    uint64_t place = place_of(span_of(buddy, first, 1), first);
    return (struct piece){place / WORD_FRAMES + w, word_mask(order) << place % WORD_FRAMES};
}

/* The next piece from number *i on that holds anything, *i then being the one behind it. False:
 * there are no more. */
static bool next_piece(const struct ash_buddy *buddy, const struct ash_buddy_cpu *cpu, uint32_t *i,
                       struct piece *piece) {
    *piece = (struct piece){0, 0};
    while (*i < AT_STACKS && piece->bits == 0) {
        uint32_t at = (*i)++, hint = at - AT_CLAIMS >= ASH_BUDDY__CLAIMS_MAX;
        if (at < AT_CLAIMS)
            *piece = piece_of_claim(buddy, &cpu->claim[at / 2], at % 2 != 0);
        else if (at < AT_FREED)
            *piece = piece_of_entry(cpu->claims[hint], cpu->claim_count[hint],
                                    (at - AT_CLAIMS) % ASH_BUDDY__CLAIMS_MAX);
        else
            *piece = piece_of_entry(cpu->freed, cpu->freed_count, at - AT_FREED);
    }
    while (*i < AT_END && piece->bits == 0)
        *piece = next_of_stacks(buddy, cpu, i);
    return piece->bits != 0;
}

/* Puts a CPU's pieces into the map for a moment, up to one that is there already; how many. All
 * who go by the words are kept out; statistics count what they find. */
static uint32_t add_pieces(struct ash_buddy *buddy, uint32_t cpu, bool *apart) {
    struct piece piece;
    uint32_t count = 0;
    for (uint32_t i = 0; next_piece(buddy, &buddy->cpus[cpu], &i, &piece); count++) {
        uint64_t bits = buddy->words[piece.word];
        *apart = (bits & piece.bits) == 0;
        if (!*apart)
            break;
        word_store(buddy, piece.word, bits | piece.bits);
    }
    return count;
}

static void remove_pieces(struct ash_buddy *buddy, uint32_t cpu, uint32_t count) {
    struct piece piece;
    for (uint32_t i = 0; count != 0 && next_piece(buddy, &buddy->cpus[cpu], &i, &piece); count--)
        word_store(buddy, piece.word, buddy->words[piece.word] & ~piece.bits);
}

/* Is no frame in two pieces? */
static bool pieces_are_apart(struct ash_buddy *buddy) {
    uint32_t added[ASH_PORT_CPUS_MAX], cpu = 0;
    bool apart = true;
    for (; cpu < ASH_PORT_CPUS_MAX && apart; cpu++)
        added[cpu] = add_pieces(buddy, cpu, &apart);
    while (cpu-- != 0)
        remove_pieces(buddy, cpu, added[cpu]);
    return apart;
}

static const char *check_pieces(const struct ash_buddy *buddy, uint32_t cpu) {
    struct piece piece;
    for (uint32_t i = 0; next_piece(buddy, &buddy->cpus[cpu], &i, &piece);) {
        if (piece.word >= buddy->chunk_count * CHUNK_WORDS)
            return "I6: a cache holds frames that are nowhere";
        const struct ash_buddy_span *span = span_of_place(buddy, piece.word * WORD_FRAMES);
        if ((piece.bits & ~frames_of_word(span, piece.word)) != 0)
            return "I6: a cache holds frames that are nowhere";
        if ((piece.bits & buddy->words[piece.word]) != 0)
            return "I6: a frame is in a cache and in the map";
    }
    return NULL;
}

/* Each claim's word is marked; the count of marks shows the other way round (I4). */
static const char *check_claims(const struct ash_buddy *buddy, const struct ash_buddy_cpu *cpu,
                                uint64_t *claims, uint64_t *pages) {
    for (uint32_t hint = 0; hint < 2; hint++) {
        if (cpu->claim_count[hint] > ASH_BUDDY__CLAIMS_MAX ||
            cpu->claim_at[hint] > cpu->claim_count[hint])
            return "I4: more claims than there is room for";
        for (uint32_t i = 0; i < cpu->claim_count[hint]; i++) {
            uint64_t word = cpu->claims[hint][i].word;
            if (word >= buddy->chunk_count * CHUNK_WORDS ||
                (buddy->orders[word / CHUNK_WORDS] & CLAIM << word % CHUNK_WORDS) == 0)
                return "I4: a claimed word is not marked as claimed";
        }
        *claims += cpu->claim_count[hint];
        *pages += cpu->claimed_pages[hint];
    }
    if (cpu->freed_count > ASH_BUDDY__FREED_MAX)
        return "I6: more collected frees than there is room for";
    return NULL;
}

static const char *check_stacks(const struct ash_buddy *buddy, const struct ash_buddy_cpu *cpu) {
    uint64_t pages = 0;
    for (uint32_t s = 0; s < ASH_ARRAY_LEN(cpu->stacks); s++) {
        const struct ash_buddy_stack *stack = &cpu->stacks[s];
        uint32_t order = s % 9;
        uint64_t len = UINT64_C(1) << order;
        if (stack->count > stack_limit(order))
            return "I5: more blocks in a stack than there is room for";
        for (uint32_t b = 0; b < ASH_BUDDY__STACK_MAX; b++) {
            if (b >= stack->count && stack->blocks[b] != NOWHERE)
                return "I5: a place of a stack that is not in use has a block";
            if (b < stack->count && (!ash_is_aligned(stack->blocks[b], len) ||
                                     span_of(buddy, stack->blocks[b], len) == NULL))
                return "I5: a block in a stack is misaligned or nowhere";
        }
        pages += stack->count << order;
    }
    return pages == cpu->stacked_pages ? NULL : "I7: the count of pages in stacks is wrong";
}

static const char *check_caches(struct ash_buddy *buddy) {
    uint64_t claims = 0, marks = 0, pages = 0;
    const char *broken = NULL;
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX && broken == NULL; cpu++)
        broken = check_claims(buddy, &buddy->cpus[cpu], &claims, &pages);
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX && broken == NULL; cpu++)
        broken = check_stacks(buddy, &buddy->cpus[cpu]);
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX && broken == NULL; cpu++)
        broken = check_pieces(buddy, cpu);
    if (broken == NULL && !pieces_are_apart(buddy))
        return "I6: a frame is in caches twice";
    if (broken != NULL)
        return broken;
    for (uint64_t chunk = 0; chunk < buddy->chunk_count; chunk++)
        marks += ash_popcount64(buddy->orders[chunk] & 0xff * CLAIM);
    if (marks != claims)
        return "I4: a word is marked as claimed and no cache claims it";
    return pages == buddy->claimed_pages ? NULL : "I7: the count of claimed pages is wrong";
}

/* Counts, and a hardened instance's state bytes */

static const char *check_counts(const struct ash_buddy *buddy) {
    uint64_t free_pages = 0;
    for (uint64_t word = 0; word < buddy->chunk_count * CHUNK_WORDS; word++)
        free_pages += ash_popcount64(buddy->words[word]);
    if (free_pages != buddy->map_pages)
        return "I7: the count of the map's free pages is wrong";
    free_pages += ash__buddy_cached_pages(buddy);
    if (free_pages > buddy->total_pages || buddy->reserved_pages > buddy->total_pages - free_pages)
        return "I7: more pages are free or reserved than there are";
    return NULL;
}

/* What starts at `place`; *len is how far it goes, *cached and *reserved count. */
static const char *check_state_at(const struct ash_buddy *buddy, uint64_t place, uint64_t rest,
                                  uint64_t *len, uint64_t *cached, uint64_t *reserved) {
    uint8_t state = buddy->state[place];
    bool is_free = (buddy->words[place / WORD_FRAMES] >> place % WORD_FRAMES & 1) != 0;
    *len = 1;
    *reserved += state == STATE_RESERVED;
    *cached += state == STATE_NONE && !is_free;
    if (state == STATE_NONE)
        return NULL;
    if (is_free)
        return "I8: a free frame has a state";
    if (state == STATE_RESERVED)
        return NULL;
    if (state > ASH_BUDDY_ORDERS)
        return "I8: a state byte that nobody writes";
    *len = UINT64_C(1) << (state - 1);
    if (*len > rest || !ash_is_aligned(pfn_of(buddy, place), *len))
        return "I8: an allocated block is not aligned, or crosses the end of its region";
    if (ash__buddy_find(buddy, place, place + *len, true) != place + *len)
        return "I8: a frame inside an allocated block is free";
    for (uint64_t i = 1; i < *len; i++) {
        if (buddy->state[place + i] != STATE_NONE)
            return "I8: a frame inside a block has a state of its own";
    }
    return NULL;
}

static const char *check_state(const struct ash_buddy *buddy) {
    uint64_t cached = 0, reserved = 0, len;
    for (uint32_t i = 0; i < buddy->span_count && buddy->state != NULL; i++) {
        const struct ash_buddy_span *span = &buddy->spans[i];
        uint64_t place = place_of(span, span->first), end = place + span->len_pages;
        for (; place < end; place += len) {
            const char *broken =
                check_state_at(buddy, place, end - place, &len, &cached, &reserved);
            if (broken != NULL)
                return broken;
        }
    }
    if (buddy->state == NULL)
        return NULL;
    if (cached != ash__buddy_cached_pages(buddy))
        return "I8: a frame is neither free nor in a cache, a block or reserved, or twice";
    return reserved == buddy->reserved_pages ? NULL : "I8: the count of reserved pages is wrong";
}

static const char *check_closed(struct ash_buddy *buddy) {
    const char *broken = NULL;
    for (uint32_t i = 0; i < buddy->span_count && broken == NULL; i++) {
        const struct ash_buddy_span *span = &buddy->spans[i];
        for (uint64_t chunk = span->chunk_first; chunk < span_chunk_end(span); chunk++) {
            for (uint32_t w = 0; w < CHUNK_WORDS && broken == NULL; w++)
                broken = check_word(buddy, span, chunk * CHUNK_WORDS + w);
            if (broken == NULL)
                broken = check_chunk(buddy, chunk);
        }
    }
    if (broken == NULL)
        broken = check_summaries(buddy);
    if (broken == NULL)
        broken = check_caches(buddy);
    if (broken == NULL)
        broken = check_counts(buddy);
    return broken != NULL ? broken : check_state(buddy);
}

const char *ash_buddy_check(struct ash_buddy *buddy) {
    struct section section = section_lock(buddy);
    ash__buddy_close_others(buddy, section.cpu, true);
    const char *broken = check_closed(buddy);
    ash__buddy_open_others(buddy);
    section_unlock_silently(buddy, section);
    return broken;
}
