/* SPDX-License-Identifier: MIT */
/* purge.c: see purge.h. */
#include "purge.h"

#include <ashlar/port.h>
#include <errno.h>
#include <sys/mman.h>

#include "arena.h"

#define CHUNK_ORDER 9u
#define CHUNK_PAGES (1u << CHUNK_ORDER)
#define KEPT_PAGES  (UINT64_C(32) << 20 >> ASH_PAGE_SHIFT)
#define KEPT_SHARE  8u /* of what is in use */

#define SMALLEST_ORDER 2u

/* Orders of blocks that are looked for in a chunk, largest first. */
static const uint32_t orders[] = {CHUNK_ORDER, 6, 4, SMALLEST_ORDER};

struct chunk {
    uint16_t freed;   /* pages freed and, as far as one can count, not handed out again */
    uint16_t touched; /* 0: reads as zeros */
};

static struct ash_spinlock lock; /* protects what follows it */
static struct chunk *chunks;
static uint64_t chunk_count, hand;
static uint64_t freed_pages; /* sum of chunk.freed */
static uint64_t used_pages;
static bool purging; /* somebody is at it */

bool purge_start(uint64_t len_pages) {
    chunk_count = len_pages >> CHUNK_ORDER;
    chunks = arena_map_notes(chunk_count * sizeof(struct chunk));
    return chunks != NULL;
}

/* Chunks that a block covers: one, unless it is larger. */
static uint64_t chunks_of(uint32_t order) {
    return order <= CHUNK_ORDER ? 1 : UINT64_C(1) << (order - CHUNK_ORDER);
}

static uint32_t pages_in_chunk(uint32_t order) {
    return 1u << ash_min_u64(order, CHUNK_ORDER);
}

static void set_freed(struct chunk *chunk, uint32_t freed) {
    freed_pages = freed_pages - chunk->freed + freed;
    chunk->freed = (uint16_t)freed;
}

bool purge_note_alloc(ash_pfn_t first, uint32_t order) {
    struct chunk *chunk = &chunks[first >> CHUNK_ORDER];
    uint32_t pages = pages_in_chunk(order);
    bool untouched = true;
    ash_spin_lock(&lock);
    used_pages += UINT64_C(1) << order;
    for (uint64_t i = 0; i < chunks_of(order); i++, chunk++) {
        untouched = untouched && chunk->touched == 0;
        chunk->touched = 1;
        if (chunk->freed != 0)
            set_freed(chunk, chunk->freed > pages ? chunk->freed - pages : 0);
    }
    ash_spin_unlock(&lock);
    return untouched;
}

/* False: the program has locked its memory, and what is in the pages stays there. */
static bool drop(ash_pfn_t first, uint32_t order) {
    return madvise((void *)(arena_base + (first << ASH_PAGE_SHIFT)), ASH_PAGE_SIZE << order,
                   MADV_DONTNEED) == 0;
}

struct piece {
    ash_pfn_t first;
    uint32_t order;
};

/* All free blocks of the chunk, the larger first, so that none is part of another. */
static uint32_t take_pieces(uint64_t chunk, struct piece *pieces) {
    ash_pfn_t begin = chunk << CHUNK_ORDER, end = begin + CHUNK_PAGES, first;
    uint32_t count = 0;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(orders); i++) {
        for (ash_pfn_t from = begin; arena_take(from, end, orders[i], &first);
             from = first + (UINT64_C(1) << orders[i]))
            pieces[count++] = (struct piece){first, orders[i]};
    }
    return count;
}

static void purge_chunk(uint64_t chunk) {
    struct piece pieces[CHUNK_PAGES >> SMALLEST_ORDER];
    uint32_t count = take_pieces(chunk, pieces);
    for (uint32_t i = 0; i < count; i++) {
        bool is_zero = drop(pieces[i].first, pieces[i].order);
        if (is_zero && pieces[i].order == CHUNK_ORDER)
            ash_store_relaxed(&chunks[chunk].touched, (uint16_t)0);
        arena_put(pieces[i].first, pieces[i].order);
    }
}

/* The next chunk with freed pages, which are taken off the books; chunk_count: none, or few enough
 * are left. */
static uint64_t next_chunk(uint64_t left_pages) {
    uint64_t found = chunk_count;
    ash_spin_lock(&lock);
    for (uint64_t i = 0; freed_pages > left_pages && i < chunk_count && found == chunk_count; i++) {
        if (chunks[hand].freed != 0) {
            found = hand;
            set_freed(&chunks[hand], 0);
        }
        hand = hand + 1 == chunk_count ? 0 : hand + 1;
    }
    ash_spin_unlock(&lock);
    return found;
}

static bool purge_down_to(uint64_t left_pages) {
    bool any = false;
    int error = errno;
    for (uint64_t chunk; (chunk = next_chunk(left_pages)) != chunk_count; any = true)
        purge_chunk(chunk);
    errno = error;
    return any;
}

static uint64_t limit_pages(void) {
    return ash_max_u64(KEPT_PAGES, used_pages / KEPT_SHARE);
}

bool purge_whole(ash_pfn_t first, uint32_t order) {
    uint64_t pages = UINT64_C(1) << order;
    ash_spin_lock(&lock);
    bool is_large = order >= CHUNK_ORDER && pages > limit_pages();
    if (is_large)
        used_pages -= pages;
    ash_spin_unlock(&lock);
    if (!is_large)
        return false;
    int error = errno;
    if (drop(first, order)) {
        for (uint64_t i = 0; i < chunks_of(order); i++)
            ash_store_relaxed(&chunks[(first >> CHUNK_ORDER) + i].touched, (uint16_t)0);
    }
    errno = error;
    return true;
}

bool purge_note_free(ash_pfn_t first, uint32_t order) {
    struct chunk *chunk = &chunks[first >> CHUNK_ORDER];
    uint32_t pages = pages_in_chunk(order);
    ash_spin_lock(&lock);
    used_pages -= UINT64_C(1) << order;
    for (uint64_t i = 0; i < chunks_of(order); i++, chunk++)
        set_freed(chunk, (uint32_t)ash_min_u64(chunk->freed + pages, CHUNK_PAGES));
    uint64_t limit = limit_pages();
    bool due = freed_pages > limit && !purging;
    purging = purging || due;
    ash_spin_unlock(&lock);
    if (due) {
        purge_down_to(limit / 2);
        ash_store_release(&purging, false);
    }
    return due;
}

bool purge_all(void) {
    return purge_down_to(0);
}
