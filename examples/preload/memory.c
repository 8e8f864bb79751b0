/* SPDX-License-Identifier: MIT */
/* memory.c: see memory.h. */
#include "memory.h"

#include "arena.h"
#include "profile.h"
#include "purge.h"

struct ash_heap memory_heap;
bool memory_notes_callers;
static struct ash_page_source source;
static char caches[ASH_HEAP_STORAGE_FINE] __attribute__((aligned(ASH_PORT_CACHE_LINE)));

/* The map has two bytes for each page of the range; Linux gives those that are written to. */
bool memory_start(void) {
    if (!arena_start())
        return false;
    const struct ash_page_source_config config = {
        .ops = &arena_source_ops,
        .base = (void *)arena_base,
        .len_pages = arena_bytes >> ASH_PAGE_SHIFT,
        .storage_is_zero = true,
    };
    size_t map_bytes = ash_page_source_storage_size(&config);
    void *map = arena_map_notes(map_bytes);
    if (map == NULL || ash_page_source_init(&source, &config, map, map_bytes) != 0)
        return false;
    const struct ash_heap_config heap = {.source = &source,
                                         .classes = ASH_HEAP_FINE,
                                         .flags = profile_flags(),
                                         .seed = profile_seed(),
                                         .trace = &profile_trace};
    arena_populate(caches, sizeof(caches));
    memory_notes_callers = (heap.flags & ASH_SLAB_DEBUG) != 0;
    return ash_heap_init(&memory_heap, &heap, caches, sizeof(caches)) == 0;
}

void memory_flush(void) {
    ash_heap_flush(&memory_heap);
}

void memory_reap(void) {
    (void)ash_heap_reap(&memory_heap);
}

bool memory_trim(void) {
    uint32_t slabs = ash_heap_shrink(&memory_heap);
    return purge_all() || slabs != 0;
}
