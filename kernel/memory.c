/* SPDX-License-Identifier: MIT */
/* memory.c: see memory.h. */
#include "memory.h"

#include <ashlar/checked.h>
#include <ashlar/port.h>
#include <string.h>

enum { LOW_SHARE = 64 }; /* memory is low when less than one part in so many is free */

/* Pages */

/* Who has pages of the kernel has pointers into them: nothing here can be moved. */
static void *take_pages(struct kernel_memory *memory, uint32_t order) {
    ash_pfn_t first;
    if (order > ASH_BUDDY_ORDER_MAX ||
        ash_buddy_alloc(&memory->buddy, order, ASH_BUDDY_UNMOVABLE, &first) != 0)
        return NULL;
    return memory->view.pointer(first << ASH_PAGE_SHIFT);
}

static uint32_t trim(const struct kernel_memory *memory) {
    return memory->trim == NULL ? 0 : memory->trim();
}

void *memory_pages_alloc(struct kernel_memory *memory, uint32_t order) {
    void *pages = take_pages(memory, order);
    if (pages == NULL && order <= ASH_BUDDY_ORDER_MAX &&
        ash_page_source_reclaim_for(&memory->source, order) != 0)
        pages = take_pages(memory, order);
    if (pages == NULL && trim(memory) != 0)
        pages = take_pages(memory, order);
    memory_relieve(memory);
    return pages;
}

void memory_pages_free(struct kernel_memory *memory, void *pages, uint32_t order) {
    ash_buddy_free(&memory->buddy, memory->view.address(pages) >> ASH_PAGE_SHIFT, order);
}

/* Low memory */

/* From within an allocation, on any CPU. */
static void note_low(void *context, uint64_t free_pages) {
    struct kernel_memory *memory = context;
    (void)free_pages;
    ash_fetch_add(&memory->low.calls, 1u);
    ash_store_release(&memory->low.is_noted, 1u);
}

void memory_relieve(struct kernel_memory *memory) {
    if (ash_load_relaxed(&memory->low.is_noted) == 0 ||
        ash_exchange(&memory->low.is_noted, 0u) == 0)
        return;
    ash_fetch_add(&memory->low.pages, ash_page_source_reclaim(&memory->source));
    (void)trim(memory);
}

/* Addresses */

/* The range that holds all of [pointer, pointer + len), or NULL; any pointer is fine. */
static const struct platform_range *range_of(const struct kernel_memory *memory,
                                             const void *pointer, size_t len) {
    for (uint32_t i = 0; i < memory->range_count; i++) {
        const struct platform_range *range = &memory->ranges[i];
        uintptr_t base = (uintptr_t)memory->view.pointer(range->base);
        uint64_t offset = (uintptr_t)pointer - base;
        if ((uintptr_t)pointer >= base && ash_range_fits(offset, len, range->size_bytes))
            return range;
    }
    return NULL;
}

ash_paddr_t memory_dma_address(const struct kernel_memory *memory, const void *pointer,
                               size_t len) {
    return range_of(memory, pointer, len) == NULL ? UINT64_MAX : memory->view.address(pointer);
}

/* The heap's page source */

static void *source_alloc(void *context, uint32_t order) {
    return take_pages(context, order);
}

static void source_free(void *context, void *base, uint32_t order) {
    memory_pages_free(context, base, order);
}

static const struct ash_page_source_ops source_ops = {.alloc = source_alloc, .free = source_free};

/* One map from the first range to the end of the last, holes included: two bytes a page. */
static struct ash_page_source_config source_config(struct kernel_memory *memory) {
    const struct platform_range *last = &memory->ranges[memory->range_count - 1];
    ash_paddr_t base = memory->ranges[0].base;
    return (struct ash_page_source_config){
        .ops = &source_ops,
        .context = memory,
        .base = memory->view.pointer(base),
        .len_pages = (last->base + last->size_bytes - base) >> ASH_PAGE_SHIFT,
    };
}

static void *heap_alloc(void *context, size_t size_bytes) {
    struct kernel_memory *memory = context;
    return ash_kmalloc(&memory->heap, size_bytes);
}

static void heap_free(void *context, void *pointer) {
    struct kernel_memory *memory = context;
    ash_kfree(&memory->heap, pointer);
}

/* Start */

static uint32_t largest_of(const struct platform_range *ranges, uint32_t count) {
    uint32_t largest = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (ranges[i].size_bytes > ranges[largest].size_bytes)
            largest = i;
    }
    return largest;
}

/* What the page map costs for the hole between a range and the next one. */
static uint64_t hole_cost(const struct platform_range *range) {
    ash_paddr_t end = range[0].base + range[0].size_bytes;
    return end > range[1].base ? 0 : (range[1].base - end) / ASH_PAGE_SIZE * sizeof(uint16_t);
}

/* From a range on, up (step 1) or down (-1), to the last one with which the ranges on the way bring
 * more memory than their holes cost; `end` is behind the last there is. */
static uint32_t last_worth(const struct platform_range *ranges, uint32_t from, uint32_t end,
                           int32_t step) {
    uint64_t brought = 0, cost = 0;
    uint32_t last = from;
    for (uint32_t i = from; i + (uint32_t)step != end;) {
        uint32_t next = i + (uint32_t)step;
        cost += hole_cost(&ranges[next < i ? next : i]);
        brought += ranges[next].size_bytes;
        if (brought > cost)
            last = next;
        i = next;
    }
    return last;
}

/* Leaves out a far bank whose hole would take more of the page map than there is in the bank. */
static void take_ranges(struct kernel_memory *memory, const struct platform_range *ranges,
                        uint32_t count) {
    uint32_t largest = largest_of(ranges, count);
    uint32_t first = last_worth(ranges, largest, UINT32_MAX, -1);
    uint32_t last = last_worth(ranges, largest, count, 1);
    for (uint32_t i = first; i <= last; i++) {
        memory->ranges[memory->range_count++] = ranges[i];
        memory->total_bytes += ranges[i].size_bytes;
    }
}

/* The regions for the buddy, with `cut` bytes less at the end of one; their number. */
static uint32_t regions_of(const struct kernel_memory *memory, uint32_t cut_range, uint64_t cut,
                           struct ash_buddy_region *regions) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < memory->range_count; i++) {
        uint64_t size = memory->ranges[i].size_bytes - (i == cut_range ? cut : 0);
        if (size != 0)
            regions[count++] =
                (struct ash_buddy_region){.first = memory->ranges[i].base >> ASH_PAGE_SHIFT,
                                          .len_pages = size >> ASH_PAGE_SHIFT};
    }
    return count;
}

/* Carves the storage from the end of the largest range, where it breaks no aligned block: the page
 * map first, the buddy's notes behind it. */
static int pages_start(struct kernel_memory *memory) {
    struct ash_buddy_region regions[MEMORY_RANGES_MAX];
    uint32_t range = largest_of(memory->ranges, memory->range_count);
    struct ash_buddy_config config = {.regions = regions,
                                      .region_count = regions_of(memory, range, 0, regions),
                                      .low_pages = memory->low.low_pages,
                                      .high_pages = memory->low.high_pages,
                                      .low = note_low,
                                      .context = memory};
    const struct ash_page_source_config source = source_config(memory);
    uint64_t map = ash_page_source_storage_size(&source);
    uint64_t cut = 0, notes = ash_buddy_storage_size(&config);
    if (notes == 0 || map == 0)
        return -ASH_EINVAL;
    /* Fewer frames can need more: the end that is left may be aligned worse. */
    while (map + notes > cut) {
        cut = ash_align_up(map + notes, ASH_PAGE_SIZE);
        if (cut > memory->ranges[range].size_bytes || memory->total_bytes < cut + MEMORY_MIN_BYTES)
            return -ASH_ENOMEM;
        config.region_count = regions_of(memory, range, cut, regions);
        notes = ash_buddy_storage_size(&config);
    }
    ash_paddr_t end = memory->ranges[range].base + memory->ranges[range].size_bytes;
    char *storage = memory->view.pointer(end - cut);
    memory->storage_bytes = cut;
    int error = ash_page_source_init(&memory->source, &source, storage, (size_t)map);
    if (error != 0)
        return error;
    return ash_buddy_init(&memory->buddy, &config, storage + map, (size_t)(cut - map));
}

int memory_init(struct kernel_memory *memory, const struct platform_range *ranges, uint32_t count,
                const struct memory_view *view, const struct memory_profile *profile) {
    memset(memory, 0, sizeof(*memory));
    memory->view = *view;
    if (profile != NULL)
        memory->profile = *profile;
    if (count == 0 || count > MEMORY_RANGES_MAX)
        return count == 0 ? -ASH_ENOMEM : -ASH_EINVAL;
    take_ranges(memory, ranges, count);
    if (memory->total_bytes < MEMORY_MIN_BYTES)
        return -ASH_ENOMEM;
    memory->low.low_pages = (memory->total_bytes >> ASH_PAGE_SHIFT) / LOW_SHARE;
    memory->low.high_pages = 2 * memory->low.low_pages;
    int error = pages_start(memory);
    if (error != 0)
        return error;
    memory->allocator = (struct allocator){heap_alloc, heap_free, memory};
    const struct ash_heap_config heap = {.source = &memory->source,
                                         .classes = ASH_HEAP_SIX,
                                         .flags = memory->profile.flags,
                                         .seed = memory->profile.seed,
                                         .trace = &memory_trace};
    return ash_heap_init(&memory->heap, &heap, memory->heap_storage, sizeof(memory->heap_storage));
}

const char *memory_check(struct kernel_memory *memory) {
    const char *broken = ash_buddy_check(&memory->buddy);
    return broken != NULL ? broken : memory_caches_check(memory);
}
