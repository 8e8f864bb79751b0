/* SPDX-License-Identifier: MIT */
/*
 * heap_large.c: blocks of whole pages, and pointers that are in no slab of the heap.
 *
 * The tag in the page map's entry of a large block is the heap's first cache number modulo
 * ASH__SOURCE_TAGS.
 */
#include <ashlar/checked.h>

#include "heap_internal.h"

static uint32_t tag_of(const struct ash_heap *heap) {
    return heap->first_id % ASH__SOURCE_TAGS;
}

bool ash__heap_is_large(const struct ash_heap *heap, const void *pointer, uint16_t entry) {
    return ash__source_is_large(entry) && ash__source_tag(entry) == tag_of(heap) &&
           ash_is_aligned((uintptr_t)pointer, ASH_PAGE_SIZE);
}

void ash__heap_refuse(struct ash_heap *heap, const char *what, const void *pointer,
                      uint16_t entry) {
    const void *head = pointer;
    if (entry == 0 && (head = ash__source_large_around(heap->source, pointer)) != NULL)
        entry = ash__source_entry(heap->source, head);
    if (ash__source_is_large(entry) && ash__source_tag(entry) != tag_of(heap))
        ash_panic(__FILE__, __LINE__,
                  "heap: %s of %p: in the large block at %p of another heap: free it there", what,
                  pointer, (void *)ash_align_down((uintptr_t)head, ASH_PAGE_SIZE));
    if (ash__source_is_large(entry))
        ash_panic(__FILE__, __LINE__,
                  "heap: %s of %p: inside the large block at %p: free that address", what, pointer,
                  (void *)ash_align_down((uintptr_t)head, ASH_PAGE_SIZE));
    struct ash_slab_cache *cache = ash__source_cache(heap->source, entry);
    if (cache != NULL)
        ash_panic(__FILE__, __LINE__, "heap: %s of %p: in a slab of cache %s: free it there", what,
                  pointer, cache->name);
    ash_panic(__FILE__, __LINE__,
              "heap: %s of %p: foreign pointer: in no slab and no large block of the page source "
              "(never allocated, or its pages went back since)",
              what, pointer);
}

/* Large blocks */

void *ash__heap_alloc_large(struct ash_heap *heap, size_t size) {
    /* SIZE_MAX asks for order 52: the page source refuses what is longer than its range. */
    uint32_t bits = ash_log2_ceil(size);
    uint32_t order = bits <= ASH_PAGE_SHIFT ? 0 : bits - ASH_PAGE_SHIFT;
    void *block = ash__source_alloc(heap->source, order, !heap->interrupts);
    if (block == NULL) {
        ash_fetch_add(&heap->large_failures, UINT64_C(1));
        return NULL;
    }
    uint64_t bytes = (uint64_t)ASH_PAGE_SIZE << order;
    uint64_t now = ash_fetch_add(&heap->large_bytes, bytes) + bytes;
    uint64_t peak = ash_load_relaxed(&heap->large_peak_bytes);
    while (peak < now && !ash_compare_exchange(&heap->large_peak_bytes, &peak, now))
        ;
    ash_fetch_add(&heap->large_allocations, UINT64_C(1));
    ash__source_mark_large(heap->source, block, order, tag_of(heap));
    return block;
}

/* Under a lock, not by an atomic exchange: of 16 bits that is a library call on some machines. Not
 * the page source's, which nobody takes with interrupts masked. */
bool ash__heap_unmark(struct ash_heap *heap, const void *block, uint16_t entry) {
    uint32_t cpu;
    ash_irq_t irq = ash__lock(&heap->large_lock, heap->interrupts, &cpu);
    bool is_marked = ash__source_entry(heap->source, block) == entry;
    if (is_marked)
        ash__source_mark(heap->source, block, 0, 0);
    ash__unlock(&heap->large_lock, heap->interrupts, irq);
    return is_marked;
}

static void free_large(struct ash_heap *heap, void *block, uint16_t entry) {
    if (!ash__heap_unmark(heap, block, entry))
        ash__heap_refuse(heap, "free", block, 0);
    ash_fetch_add(&heap->large_frees, UINT64_C(1));
    ash_fetch_add(&heap->large_bytes, 0 - (uint64_t)ash__heap_block_bytes(entry));
    ash__source_free(heap->source, block, ash__source_order(entry));
}

void ash__heap_free_other(struct ash_heap *heap, void *pointer) {
    if (pointer == NULL)
        return;
    uint16_t entry = ash__source_entry(heap->source, pointer);
    if (!ash__heap_is_large(heap, pointer, entry))
        ash__heap_refuse(heap, "free", pointer, entry);
    free_large(heap, pointer, entry);
}

/* The audit */

struct large_census {
    uint64_t blocks, bytes;
};

/* Every large block lies in the range, and its other pages are nobody's. */
static const char *count_large(const struct ash_heap *heap, struct large_census *census) {
    for (uint64_t page = 0; page < heap->len_pages; page++) {
        uint16_t entry = ash_load_relaxed(&heap->map[page]);
        if (!ash__source_is_large(entry) || ash__source_tag(entry) != tag_of(heap))
            continue;
        uint32_t order = ash__source_order(entry);
        if (!ash_range_fits(page, UINT64_C(1) << order, heap->len_pages) ||
            !ash_is_aligned(heap->base + (page << ASH_PAGE_SHIFT), ash__heap_block_bytes(entry)))
            return "H2: a large block is not aligned to its size, or sticks out of the range";
        census->blocks++;
        census->bytes += ash__heap_block_bytes(entry);
        for (uint64_t rest = (UINT64_C(1) << order) - 1; rest != 0; rest--) {
            if (ash_load_relaxed(&heap->map[++page]) != 0)
                return "H2: a page inside of a large block has another owner";
        }
    }
    return NULL;
}

const char *ash__heap_check_large(const struct ash_heap *heap) {
    struct large_census census = {0};
    const char *broken = count_large(heap, &census);
    if (broken != NULL)
        return broken;
    /* With more numbers than tags another heap may have the same tag. */
    bool only = heap->source->caches_max <= ASH__SOURCE_TAGS;
    if (only && (census.bytes != heap->large_bytes ||
                 census.blocks != heap->large_allocations - heap->large_frees))
        return "H3: the heap's counts of large blocks differ from the page map";
    if (heap->large_bytes > heap->large_peak_bytes || heap->large_bytes % ASH_PAGE_SIZE != 0)
        return "H3: the heap's counts of large bytes do not add up";
    return NULL;
}
