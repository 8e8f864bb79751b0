/* SPDX-License-Identifier: MIT */
/* arena.c: see arena.h. */
#include "arena.h"

#include <ashlar/bits.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "purge.h"
#include "slots.h"

#define RANGE_STEP   (UINT64_C(1) << 24)
#define RANGE_WANTED (UINT64_C(1) << 36)
#define RANGE_MAX    (UINT64_C(1) << 42)
#define ARENAS_MAX   13u /* 1 GiB << 12 = RANGE_MAX */

#define SLAB_ORDER_MAX 4u /* 64 KiB */

/* Freed in an arena that had nothing, before it is asked again: 16 MiB. */
#define REOPENING_PAGES UINT64_C(4096)

uintptr_t arena_base;
uint64_t arena_bytes;

static struct arena {
    struct ash_buddy buddy;
    uint32_t closed_order; /* it had no block of this order lately; a hint */
    uint64_t freed_pages;  /* since then */
} arenas[ARENAS_MAX];
static uint32_t ready; /* arenas made; grows under the lock, read without it */
static struct ash_spinlock growing;
static __thread bool last_block_is_zero;

/* Arena 0 has the first GiB, arena n the 2^(n-1) behind the first 2^(n-1). */
static uint64_t arena_first_byte(uint32_t arena) {
    return arena == 0 ? 0 : ARENA_BLOCK_BYTES_MAX << (arena - 1);
}

static uint32_t arena_of(ash_pfn_t first) {
    uint64_t block = first >> ASH_BUDDY_ORDER_MAX;
    return block == 0 ? 0 : ash_log2_floor(block) + 1;
}

void *arena_map_notes(size_t size_bytes) {
    void *notes = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return notes == MAP_FAILED ? NULL : notes;
}

void arena_populate(void *base, size_t size_bytes) {
#ifdef MADV_POPULATE_WRITE
    int error = errno;
    uintptr_t from = ash_align_down((uintptr_t)base, ASH_PAGE_SIZE);
    uintptr_t to = ash_align_up((uintptr_t)base + size_bytes, ASH_PAGE_SIZE);
    madvise((void *)from, to - from, MADV_POPULATE_WRITE);
    errno = error;
#else
    (void)base, (void)size_bytes;
#endif
}

/* The range */

static void *reserve_at(uintptr_t address, uint64_t size_bytes, int flags) {
    void *range = mmap((void *)address, size_bytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    return range == MAP_FAILED ? NULL : range;
}

/* Blocks are aligned to their size by frame number, so the range is to the largest of them. A range
 * that is not is moved down to where it would be: Linux places mappings from the top. */
static bool reserve(uint64_t size_bytes) {
    uint64_t largest_block = UINT64_C(1) << ash_log2_floor(size_bytes);
    uint64_t align = ash_min_u64(largest_block, ARENA_BLOCK_BYTES_MAX);
    void *range = reserve_at(0, size_bytes, 0);
    if (range == NULL)
        return false;
    uintptr_t aligned = ash_align_down((uintptr_t)range, align);
    if ((uintptr_t)range != aligned) {
        munmap(range, size_bytes);
        range = reserve_at(aligned, size_bytes, MAP_FIXED_NOREPLACE);
        if (range == NULL)
            return false;
        if ((uintptr_t)range != aligned) { /* Linux before 4.17 takes the address as a hint */
            munmap(range, size_bytes);
            return false;
        }
    }
    arena_base = aligned;
    arena_bytes = size_bytes;
    return true;
}

/* Under a limit on addresses the range takes half of it: stacks, libraries and large.c have the
 * rest. */
static uint64_t range_wanted(void) {
    struct sysinfo machine;
    struct rlimit limit;
    uint64_t wanted = RANGE_WANTED;
    if (sysinfo(&machine) == 0)
        wanted = ash_max_u64(wanted, (uint64_t)machine.totalram * machine.mem_unit * 2);
    wanted = ash_min_u64(wanted, RANGE_MAX);
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        wanted = ash_min_u64(wanted, limit.rlim_cur / 2);
    return wanted;
}

/* Arenas */

static bool make_arena(uint32_t arena) {
    uint64_t from = arena_first_byte(arena), to = arena_first_byte(arena + 1);
    if (arena == ARENAS_MAX || from >= arena_bytes)
        return false;
    to = ash_min_u64(to, arena_bytes);
    struct ash_buddy_region region = {from >> ASH_PAGE_SHIFT, (to - from) >> ASH_PAGE_SHIFT};
    struct ash_buddy_config config = {.regions = &region, .region_count = 1};
    size_t notes_bytes = ash_buddy_storage_size(&config);
    void *notes = arena_map_notes(notes_bytes);
    if (notes == NULL)
        return false;
    arena_populate(notes, notes_bytes);
    arena_populate(&arenas[arena].buddy, sizeof(arenas[arena].buddy));
    if (mprotect((void *)(arena_base + from), to - from, PROT_READ | PROT_WRITE) != 0 ||
        ash_buddy_init(&arenas[arena].buddy, &config, notes, notes_bytes) != 0) {
        munmap(notes, notes_bytes);
        return false;
    }
    arenas[arena].closed_order = ASH_BUDDY_ORDERS;
    ash_store_release(&ready, arena + 1);
    return true;
}

/* False: `seen` were all there can be. */
static bool grow(uint32_t seen) {
    ash_spin_lock(&growing);
    bool grown = ready != seen || make_arena(seen);
    ash_spin_unlock(&growing);
    return grown;
}

bool arena_start(void) {
    uint64_t wanted = range_wanted();
    do
        wanted = ash_align_down(wanted, RANGE_STEP);
    while (wanted != 0 && !reserve(wanted) && (wanted /= 2, true));
    return wanted != 0 && purge_start(wanted >> ASH_PAGE_SHIFT) && make_arena(0);
}

/* Blocks */

bool arena_take(ash_pfn_t from, ash_pfn_t end, uint32_t order, ash_pfn_t *first) {
    if (from >= end)
        return false; /* and `from` is perhaps the next arena's */
    return ash_buddy_alloc_from(&arenas[arena_of(from)].buddy, from, end, order, first) == 0;
}

void arena_put(ash_pfn_t first, uint32_t order) {
    struct arena *arena = &arenas[arena_of(first)];
    ash_buddy_free(&arena->buddy, first, order);
    if (ash_load_relaxed(&arena->closed_order) <= ASH_BUDDY_ORDER_MAX &&
        ash_fetch_add(&arena->freed_pages, UINT64_C(1) << order) >= REOPENING_PAGES)
        ash_store_relaxed(&arena->closed_order, ASH_BUDDY_ORDERS);
}

/* Blocks up to a slab's size are kept apart from larger ones. */
static enum ash_buddy_hint hint_for(uint32_t order) {
    return order <= SLAB_ORDER_MAX ? ASH_BUDDY_UNMOVABLE : ASH_BUDDY_MOVABLE;
}

/* A buddy that has nothing says so after it has asked the caches of all CPUs. So it is left alone
 * for a while, unless nobody else has anything either. */
static bool alloc_in(struct arena *arena, uint32_t order, bool closed_too, ash_pfn_t *first) {
    if (order >= ash_load_relaxed(&arena->closed_order) && !closed_too)
        return false;
    if (ash_buddy_alloc(&arena->buddy, order, hint_for(order), first) == 0)
        return true;
    ash_store_relaxed(&arena->freed_pages, UINT64_C(0));
    ash_store_relaxed(&arena->closed_order, order);
    return false;
}

static bool alloc_in_any(uint32_t count, uint32_t order, bool closed_too, ash_pfn_t *first) {
    for (uint32_t i = 0; i < count; i++) {
        if (alloc_in(&arenas[i], order, closed_too, first))
            return true;
    }
    return false;
}

/* From the lowest arena that has one: what is in use stays together. */
static bool find_block(uint32_t order, ash_pfn_t *first) {
    uint32_t count;
    do {
        count = ash_load_acquire(&ready);
        if (alloc_in_any(count, order, false, first))
            return true;
    } while (grow(count));
    return alloc_in_any(count, order, true, first);
}

static void *source_alloc(void *context, uint32_t order) {
    (void)context;
    ash_pfn_t first;
    if (order > ASH_BUDDY_ORDER_MAX || !find_block(order, &first))
        return NULL;
    last_block_is_zero = purge_note_alloc(first, order);
    return (void *)(arena_base + (first << ASH_PAGE_SHIFT));
}

static void source_free(void *context, void *base, uint32_t order) {
    (void)context;
    ash_pfn_t first = ((uintptr_t)base - arena_base) >> ASH_PAGE_SHIFT;
    bool is_dropped = purge_whole(first, order);
    arena_put(first, order);
    if (!is_dropped && purge_note_free(first, order))
        slots_ask_reap(); /* it has had less to do for a while */
}

const struct ash_page_source_ops arena_source_ops = {.alloc = source_alloc, .free = source_free};

bool arena_last_block_is_zero(void) {
    return last_block_is_zero;
}
