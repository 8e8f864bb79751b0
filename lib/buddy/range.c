/* SPDX-License-Identifier: MIT */
/* range.c: frames named by the caller: blocks at an address, ranges of any length. */
#include "cache.h"

/* The bits of the word that holds `place` from there on, up to `end`. */
static uint64_t bits_from(uint64_t place, uint64_t end) {
    uint64_t mask = UINT64_MAX << place % WORD_FRAMES;
    uint64_t left = end - ash_align_down(place, WORD_FRAMES);
    return left < WORD_FRAMES ? mask & ((UINT64_C(1) << left) - 1) : mask;
}

uint64_t ash__buddy_find(const struct ash_buddy *buddy, uint64_t place, uint64_t end, bool free) {
    while (place < end) {
        uint64_t word = word_load(buddy, place / WORD_FRAMES);
        uint64_t bits = (free ? word : ~word) & bits_from(place, end);
        if (bits != 0)
            return ash_align_down(place, WORD_FRAMES) + ash_ctz64(bits);
        place = ash_align_down(place, WORD_FRAMES) + WORD_FRAMES;
    }
    return end;
}

/* Changes all of [place, end), which is all the other way round, and indexes it. */
void ash__buddy_set_range(struct ash_buddy *buddy, uint64_t place, uint64_t end, bool free) {
    if (free)
        map_pages_add(buddy, end - place);
    else
        map_pages_take(buddy, end - place);
    while (place < end) {
        uint64_t word = place / WORD_FRAMES;
        word_store(buddy, word, buddy->words[word] ^ bits_from(place, end));
        reindex(buddy, word);
        place = (word + 1) * WORD_FRAMES;
    }
}

/* Under the lock. False: not all frames are free, in the map or in caches. */
static bool take_range(struct ash_buddy *buddy, const struct section *section, uint64_t place,
                       uint64_t end) {
    if (ash__buddy_find(buddy, place, end, false) != end)
        ash__buddy_return_all(buddy, section->cpu);
    if (ash__buddy_find(buddy, place, end, false) != end)
        return false;
    for (uint64_t chunk = place / CHUNK_FRAMES; chunk <= (end - 1) / CHUNK_FRAMES; chunk++)
        ash__buddy_set_hint(buddy, chunk, ASH_BUDDY_UNMOVABLE);
    ash__buddy_set_range(buddy, place, end, false);
    return true;
}

int ash_buddy_alloc_at(struct ash_buddy *buddy, ash_pfn_t first, uint32_t order) {
    if (order > ASH_BUDDY_ORDER_MAX || !ash_is_aligned(first, UINT64_C(1) << order))
        return -ASH_EINVAL;
    const struct ash_buddy_span *span = span_of(buddy, first, UINT64_C(1) << order);
    if (span == NULL)
        return -ASH_EINVAL;
    uint64_t place = place_of(span, first);
    struct section section = section_lock(buddy);
    bool taken = take_range(buddy, &section, place, place + (UINT64_C(1) << order));
    if (taken)
        ash__buddy_state_set(buddy, place, 1, (uint8_t)(order + 1));
    section_unlock(buddy, section);
    return taken ? 0 : -ASH_EBUSY;
}

int ash_buddy_reserve(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages) {
    const struct ash_buddy_span *span = len_pages == 0 ? NULL : span_of(buddy, first, len_pages);
    if (span == NULL)
        return -ASH_EINVAL;
    uint64_t place = place_of(span, first);
    struct section section = section_lock(buddy);
    bool taken = take_range(buddy, &section, place, place + len_pages);
    if (taken) {
        buddy->reserved_pages += len_pages;
        ash__buddy_state_set(buddy, place, len_pages, STATE_RESERVED);
    }
    section_unlock(buddy, section);
    return taken ? 0 : -ASH_EBUSY;
}

/* The first free run in the span's frames inside [from, end), by frame number; NOWHERE: none. */
static ash_pfn_t find_run(const struct ash_buddy *buddy, const struct ash_buddy_span *span,
                          ash_pfn_t from, ash_pfn_t end, uint64_t len, uint64_t align) {
    ash_pfn_t pfn = ash_max_u64(from, span->first);
    end = ash_min_u64(end, span->first + span->len_pages);
    uint64_t shift = span->word_bias * WORD_FRAMES, end_place = end - shift;
    while (pfn < end) {
        pfn = ash__buddy_find(buddy, pfn - shift, end_place, true) + shift;
        pfn = ash_align_up(pfn, align); /* below 2^52 + 2^63 */
        if (pfn > end || len > end - pfn)
            return NOWHERE;
        uint64_t used = ash__buddy_find(buddy, pfn - shift, pfn + len - shift, false) + shift;
        if (used == pfn + len)
            return pfn;
        pfn = used;
    }
    return NOWHERE;
}

static ash_pfn_t take_run(struct ash_buddy *buddy, ash_pfn_t from, ash_pfn_t end, uint64_t len,
                          uint64_t align) {
    for (uint32_t i = 0; i < buddy->span_count; i++) {
        const struct ash_buddy_span *span = &buddy->spans[i];
        ash_pfn_t pfn = find_run(buddy, span, from, end, len, align);
        if (pfn == NOWHERE)
            continue;
        ash__buddy_set_range(buddy, place_of(span, pfn), place_of(span, pfn) + len, false);
        return pfn;
    }
    return NOWHERE;
}

int ash_buddy_alloc_from(struct ash_buddy *buddy, ash_pfn_t from, ash_pfn_t end, uint32_t order,
                         ash_pfn_t *first) {
    if (order > ASH_BUDDY_ORDER_MAX)
        return -ASH_EINVAL;
    uint64_t len = UINT64_C(1) << order;
    struct section section = section_lock(buddy);
    ash_pfn_t pfn = take_run(buddy, from, end, len, len);
    if (pfn != NOWHERE)
        ash__buddy_state_set(buddy, place_of(span_of(buddy, pfn, 1), pfn), 1, (uint8_t)(order + 1));
    section_unlock(buddy, section);
    if (pfn == NOWHERE)
        return -ASH_ENOENT;
    *first = pfn;
    return 0;
}

int ash_buddy_reserve_run(struct ash_buddy *buddy, uint64_t len_pages, uint64_t align_pages,
                          ash_pfn_t *first) {
    if (len_pages == 0 || !ash_is_pow2(align_pages))
        return -ASH_EINVAL;
    struct section section = section_lock(buddy);
    ash_pfn_t pfn = take_run(buddy, 0, NOWHERE, len_pages, align_pages);
    if (pfn == NOWHERE) {
        ash__buddy_return_all(buddy, section.cpu);
        pfn = take_run(buddy, 0, NOWHERE, len_pages, align_pages);
    }
    if (pfn != NOWHERE) {
        buddy->reserved_pages += len_pages;
        ash__buddy_state_set(buddy, place_of(span_of(buddy, pfn, 1), pfn), len_pages,
                             STATE_RESERVED);
    } else {
        buddy->failed_allocs++;
    }
    section_unlock(buddy, section);
    if (pfn == NOWHERE)
        return -ASH_ENOMEM;
    *first = pfn;
    return 0;
}

/* The first place of the range that is not reserved, as far as can be told, or `end`. */
static uint64_t reserved_until(const struct ash_buddy *buddy, uint64_t place, uint64_t end) {
    if (buddy->state != NULL) {
        while (place < end && ash_load_relaxed(&buddy->state[place]) == STATE_RESERVED)
            place++;
        return place;
    }
    uint64_t wrong = ash__buddy_find(buddy, place, end, true);
    for (uint64_t word = place / WORD_FRAMES; word <= (end - 1) / WORD_FRAMES; word++) {
        uint64_t from = ash_max_u64(place, word * WORD_FRAMES);
        uint64_t bits = claimed_bits(buddy, word, bits_from(from, end));
        if (bits != 0)
            wrong = ash_min_u64(wrong, word * WORD_FRAMES + ash_ctz64(bits));
    }
    return buddy->reserved_pages < end - place ? ash_min_u64(wrong, end - 1) : wrong;
}

void ash_buddy_release(struct ash_buddy *buddy, ash_pfn_t first, uint64_t len_pages) {
    const struct ash_buddy_span *span = len_pages == 0 ? NULL : span_of(buddy, first, len_pages);
    ASH_REQUIRE(span != NULL, "buddy: release of %llu pages at frame 0x%llx: not inside one region",
                (unsigned long long)len_pages, (unsigned long long)first);
    if (span == NULL)
        return;
    uint64_t place = place_of(span, first), end = place + len_pages;
    struct section section = section_lock(buddy);
    uint64_t wrong = reserved_until(buddy, place, end);
    if (wrong == end) {
        ash__buddy_state_set(buddy, place, len_pages, STATE_NONE);
        ash__buddy_set_range(buddy, place, end, true);
        buddy->reserved_pages -= len_pages;
    }
    section_unlock(buddy, section);
    ASH_REQUIRE(wrong == end,
                "buddy: release of %llu pages at frame 0x%llx: frame 0x%llx is not reserved",
                (unsigned long long)len_pages, (unsigned long long)first,
                (unsigned long long)(first + (wrong - place)));
}
