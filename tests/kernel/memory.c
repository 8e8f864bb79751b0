/* SPDX-License-Identifier: MIT */
/* Cases of kernel/memory.h. */

#include "kernel/memory_fixture.h"

#include <ashlar/error.h>

#include "virtq/mini_device.h"

static void *view_pointer(ash_paddr_t address) {
    return (void *)(uintptr_t)(address - MINI_DMA_OFFSET);
}

static ash_paddr_t view_address(const void *pointer) {
    return (uintptr_t)pointer + MINI_DMA_OFFSET;
}

/* As a platform's may be: of no use for what is not memory of the ranges. */
static const void *strict_base;

static ash_paddr_t strict_address(const void *pointer) {
    bool inside = (uintptr_t)pointer - (uintptr_t)strict_base < 2 << 20;
    return view_address(inside ? pointer : strict_base);
}

const struct memory_view test_view = {view_pointer, view_address};

struct kernel_memory *test_kernel_memory(size_t size_bytes) {
    struct kernel_memory *memory = test_alloc(sizeof(*memory), 64);
    struct platform_range range = {view_address(test_alloc(size_bytes, size_bytes)), size_bytes};
    CHECK_EQ(memory_init(memory, &range, 1, &test_view, NULL), 0);
    return memory;
}

TEST_CASE(kernel_memory, keeps_its_notes_inside_of_the_ranges) {
    struct kernel_memory *memory = test_kernel_memory(4 << 20);
    struct ash_buddy_stats stats;
    ash_buddy_get_stats(&memory->buddy, &stats);
    CHECK_EQ(memory->total_bytes, 4 << 20);
    CHECK(memory->storage_bytes > 0 && memory->storage_bytes < 16384);
    CHECK_EQ(stats.total_pages * ASH_PAGE_SIZE + memory->storage_bytes, memory->total_bytes);
    CHECK(memory_check(memory) == NULL);
}

TEST_CASE(kernel_memory, takes_several_ranges_of_any_size) {
    struct kernel_memory *memory = test_alloc(sizeof(*memory), 64);
    ash_paddr_t base = view_address(test_alloc(4 << 20, 4096));
    const struct platform_range ranges[] = {
        {base, 4096}, {base + 3 * 4096, 5 * 4096}, {base + 9 * 4096, (2 << 20) + 4096}};
    struct ash_buddy_stats stats;
    CHECK_EQ(memory_init(memory, ranges, 3, &test_view, NULL), 0);
    ash_buddy_get_stats(&memory->buddy, &stats);
    CHECK_EQ(stats.free_pages * ASH_PAGE_SIZE + memory->storage_bytes, memory->total_bytes);
    CHECK(memory_check(memory) == NULL);
}

static struct kernel_memory *memory_of(const struct memory_profile *profile) {
    struct kernel_memory *memory = test_alloc(sizeof(*memory), 64);
    struct platform_range range = {view_address(test_alloc(4 << 20, 4 << 20)), 4 << 20};
    CHECK_EQ(memory_init(memory, &range, 1, &test_view, profile), 0);
    return memory;
}

TEST_CASE(kernel_memory, gives_every_cache_its_profile) {
    static const uint32_t flags[] = {0, ASH_SLAB_HARDENED, ASH_SLAB_DEBUG};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(flags); i++) {
        const struct memory_profile profile = {.flags = flags[i], .seed = 5};
        struct kernel_memory *memory = memory_of(&profile);
        struct memory_cache *own = test_alloc(sizeof(*own), 64);
        struct ash_slab_cache *cache;
        CHECK_EQ(memory_cache_init(own, memory, "own", 40), 0);
        for (uint32_t n = 0; (cache = memory_slab_cache(memory, n)) != NULL; n++) {
            struct ash_slab_stats stats;
            ash_slab_cache_get_stats(cache, &stats);
            CHECK_EQ(stats.flags, flags[i]);
        }
        void *object = own->allocator.alloc(own, 40);
        CHECK(object != NULL);
        own->allocator.free(own, object);
        if (flags[i] != 0)
            CHECK_PANICS(own->allocator.free(own, object), "double free");
        CHECK(memory_check(memory) == NULL);
    }
}

/* The order in which the first objects of a cache come. */
static uint64_t order_of(uint64_t seed) {
    const struct memory_profile profile = {.flags = ASH_SLAB_HARDENED, .seed = seed};
    struct kernel_memory *memory = memory_of(&profile);
    uint64_t order = 0;
    for (uint32_t i = 0; i < 8; i++) {
        uintptr_t object = (uintptr_t)ash_kmalloc(&memory->heap, 64);
        CHECK(object != 0);
        order = order * 512 + object % 32768 / 64;
    }
    return order;
}

TEST_CASE(kernel_memory, hardened_order_is_that_of_the_seed) {
    CHECK_EQ(order_of(1), order_of(1));
    CHECK(order_of(1) != order_of(2));
}

TEST_CASE(kernel_memory, knows_the_profiles_by_name) {
    uint32_t flags = 7;
    CHECK(memory_profile_flags("plain", &flags) && flags == 0);
    CHECK(memory_profile_flags("hardened", &flags) && flags == ASH_SLAB_HARDENED);
    CHECK(memory_profile_flags("debug", &flags) && flags == ASH_SLAB_DEBUG);
    CHECK(!memory_profile_flags("", &flags) && !memory_profile_flags("Debug", &flags));
    CHECK_STR_EQ(memory_profile_word(0), "plain");
    CHECK_STR_EQ(memory_profile_word(ASH_SLAB_HARDENED), "hardened");
    CHECK_STR_EQ(memory_profile_word(ASH_SLAB_DEBUG | ASH_SLAB_INTERRUPTS), "debug");
}

TEST_CASE(kernel_memory, refuses_too_little) {
    struct kernel_memory *memory = test_alloc(sizeof(*memory), 64);
    ash_paddr_t base = view_address(test_alloc(MEMORY_MIN_BYTES, 4096));
    for (uint64_t size = 4096; size <= MEMORY_MIN_BYTES; size *= 4) {
        struct platform_range range = {base, size};
        CHECK_EQ(memory_init(memory, &range, 1, &test_view, NULL), -ASH_ENOMEM);
    }
    struct platform_range least = {base, MEMORY_MIN_BYTES}; /* without room for the notes */
    CHECK_EQ(memory_init(memory, &least, 1, &test_view, NULL), -ASH_ENOMEM);
    CHECK_EQ(memory_init(memory, NULL, 0, &test_view, NULL), -ASH_ENOMEM);
}

/* The page map has two bytes for each page of a hole too: 1 TiB costs 512 MiB. */
TEST_CASE(kernel_memory, leaves_out_a_bank_whose_hole_costs_more_than_it_brings) {
    const uint64_t size = 4 << 20, small = 1 << 20, far = UINT64_C(1) << 40;
    ash_paddr_t base = view_address(test_alloc(size, 4096));
    const struct platform_range above[] = {{base, size}, {base + far, small}};
    const struct platform_range below[] = {{base - far, small}, {base, size}};
    const struct platform_range both[] = {{base - far, 4096},
                                          {base - far + 8192, small},
                                          {base, size},
                                          {base + far, 4096},
                                          {base + far + 4096, small}};
    const struct {
        const struct platform_range *ranges;
        uint32_t count;
    } machines[] = {{above, 2}, {below, 2}, {both, 5}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(machines); i++) {
        struct kernel_memory *memory = test_alloc(sizeof(*memory), 64);
        CHECK_EQ(memory_init(memory, machines[i].ranges, machines[i].count, &test_view, NULL), 0);
        CHECK_EQ(memory->total_bytes, size);
        CHECK_EQ(memory->range_count, 1);
        CHECK_EQ(memory->ranges[0].base, base);
        CHECK(memory->storage_bytes < 16384);
        CHECK(memory_check(memory) == NULL);
    }
}

/* What is behind a hole counts as a whole: here a page, then a bank that is worth the hole. */
TEST_CASE(kernel_memory, takes_a_bank_that_brings_more_than_its_hole_costs) {
    const uint64_t size = 4 << 20, small = 500 << 10, hole = UINT64_C(1) << 30;
    struct kernel_memory *memory = test_alloc(sizeof(*memory), 64);
    ash_paddr_t base = view_address(test_alloc(size, 4096));
    const struct platform_range ranges[] = {
        {base, size}, {base + hole, 4096}, {base + hole + 8192, small}, {base + 2 * hole, 4096}};
    CHECK_EQ(memory_init(memory, ranges, 3, &test_view, NULL), 0);
    CHECK_EQ(memory->range_count, 1);
    CHECK_EQ(memory->total_bytes, size);
    const struct platform_range larger[] = {{base, size},
                                            {base + hole, 4096},
                                            {base + hole + 8192, small + 3 * 4096},
                                            {base + 2 * hole, 4096}};
    CHECK_EQ(memory_init(memory, larger, 4, &test_view, NULL), 0);
    CHECK_EQ(memory->range_count, 3);
    CHECK_EQ(memory->total_bytes, size + small + 4 * 4096);
    CHECK(memory_check(memory) == NULL);
}

TEST_CASE(kernel_memory, refuses_ranges_that_overlap) {
    struct kernel_memory *memory = test_alloc(sizeof(*memory), 64);
    ash_paddr_t base = view_address(test_alloc(4 << 20, 4096));
    const struct platform_range ranges[] = {{base, 2 << 20}, {base + 4096, 2 << 20}};
    CHECK_EQ(memory_init(memory, ranges, 2, &test_view, NULL), -ASH_EINVAL);
}

TEST_CASE(kernel_memory, is_all_handed_out_and_comes_back) {
    struct kernel_memory *memory = test_kernel_memory(2 << 20);
    void *pages[512], *object;
    uint32_t count = 0;
    while ((pages[count] = memory_pages_alloc(memory, 0)) != NULL)
        count++;
    CHECK(count > 500);
    CHECK(ash_kmalloc(&memory->heap, 32) == NULL);
    memory_pages_free(memory, pages[--count], 0);
    while (count > 0)
        memory_pages_free(memory, pages[--count], 0);
    object = ash_kmalloc(&memory->heap, 32);
    CHECK(object != NULL);
    ash_kfree(&memory->heap, object);
    CHECK(memory_check(memory) == NULL);
    CHECK(memory_pages_alloc(memory, 63) == NULL);
}

TEST_CASE(kernel_memory, knows_whose_every_pointer_is) {
    struct kernel_memory *memory = test_kernel_memory(2 << 20);
    strict_base = memory->view.pointer(memory->ranges[0].base);
    memory->view.address = strict_address;
    while (memory_pages_alloc(memory, 0) != strict_base) {}
    void *foreign = memory_pages_alloc(memory, 1);
    char *large = ash_kmalloc(&memory->heap, 5000), *small = ash_kmalloc(&memory->heap, 50);
    CHECK_EQ(ash_ksize(&memory->heap, large), 8192);
    CHECK_EQ(ash_ksize(&memory->heap, small), 64);
    CHECK_PANICS(ash_kfree(&memory->heap, large + 8191), "inside the large block");
    CHECK_PANICS(ash_kfree(&memory->heap, foreign), "foreign pointer");
    CHECK_PANICS(ash_kfree(&memory->heap, &large), "foreign pointer");
    CHECK_PANICS(ash_kfree(&memory->heap, (void *)UINTPTR_MAX), "foreign pointer");
    ash_kfree(&memory->heap, large);
    ash_kfree(&memory->heap, small);
}

TEST_CASE(kernel_memory, gives_devices_addresses_inside_of_one_range_only) {
    struct kernel_memory *memory = test_alloc(sizeof(*memory), 64);
    char *base = test_alloc(4 << 20, 4096);
    const struct platform_range ranges[] = {{view_address(base), 2 << 20},
                                            {view_address(base + (2 << 20)), 1 << 20}};
    CHECK_EQ(memory_init(memory, ranges, 2, &test_view, NULL), 0);
    CHECK_EQ(memory_dma_address(memory, base, 2 << 20), view_address(base));
    CHECK_EQ(memory_dma_address(memory, base + 1, (2 << 20) - 1), view_address(base + 1));
    CHECK_EQ(memory_dma_address(memory, base + 1, 2 << 20), UINT64_MAX);
    CHECK_EQ(memory_dma_address(memory, base + (3 << 20), 1), UINT64_MAX);
    CHECK_EQ(memory_dma_address(memory, base - 1, 1), UINT64_MAX);
    CHECK_EQ(memory_dma_address(memory, base, SIZE_MAX), UINT64_MAX);
}

TEST_CASE(kernel_memory, lists_the_caches_of_heap_and_kernel) {
    struct kernel_memory *memory = test_kernel_memory(2 << 20);
    struct memory_cache *first = test_alloc(sizeof(*first), 64);
    struct memory_cache *second = test_alloc(sizeof(*second), 64);
    CHECK_EQ(memory_cache_init(first, memory, "first", 100), 0);
    CHECK_EQ(memory_cache_init(second, memory, "second", 200), 0);
    CHECK_EQ(memory_cache_init(test_alloc(sizeof(*first), 64), memory, "none", 0), -ASH_EINVAL);
    uint32_t classes = 0;
    while (ash_heap_cache(&memory->heap, classes) != NULL)
        classes++;
    CHECK(memory_slab_cache(memory, 0) == ash_heap_cache(&memory->heap, 0));
    CHECK(memory_slab_cache(memory, classes) == &second->slabs);
    CHECK(memory_slab_cache(memory, classes + 1) == &first->slabs);
    CHECK(memory_slab_cache(memory, classes + 2) == NULL);
    CHECK(memory_slab_cache(memory, classes + 3) == NULL);
}

TEST_CASE(kernel_memory, caches_give_objects_of_their_size) {
    struct kernel_memory *memory = test_kernel_memory(2 << 20);
    struct memory_cache *cache = test_alloc(sizeof(*cache), 64);
    CHECK_EQ(memory_cache_init(cache, memory, "objects", 100), 0);
    const struct allocator *allocator = &cache->allocator;
    void *object = allocator->alloc(allocator->context, 100);
    CHECK(object != NULL && (uintptr_t)object % 16 == 0);
    if (ASH_ENABLED(ASH_CHECKS >= 1)) {
        CHECK_PANICS((void)allocator->alloc(allocator->context, 101), "101 bytes");
        CHECK_PANICS(ash_kfree(&memory->heap, object), "");
    }
    allocator->free(allocator->context, NULL);
    allocator->free(allocator->context, object);
    CHECK(memory_check(memory) == NULL);
}

TEST_CASE(kernel_memory, idle_gives_the_pages_back) {
    struct kernel_memory *memory = test_kernel_memory(4 << 20);
    struct memory_cache *cache = test_alloc(sizeof(*cache), 64);
    struct ash_buddy_stats before, after;
    CHECK_EQ(memory_cache_init(cache, memory, "objects", 100), 0);
    ash_buddy_get_stats(&memory->buddy, &before);
    void *objects[600];
    for (uint32_t i = 0; i < 600; i++) {
        objects[i] = i % 2 == 0 ? ash_kmalloc(&memory->heap, 200) : ash_slab_alloc(&cache->slabs);
        CHECK(objects[i] != NULL);
    }
    for (uint32_t i = 0; i < 600; i++) {
        if (i % 2 == 0)
            ash_kfree(&memory->heap, objects[i]);
        else
            ash_slab_free(&cache->slabs, objects[i]);
    }
    memory_idle(memory);
    memory_pages_free(memory, memory_pages_alloc(memory, 0), 0);
    memory_idle(memory); /* the first time, what is there was needed until then */
    ash_buddy_get_stats(&memory->buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
    CHECK_EQ(after.cached_pages, 0);
    CHECK(memory_check(memory) == NULL);
}

/* Objects that are free again: their slabs stay, for the next ones. */
static void leave_slabs(struct kernel_memory *memory) {
    void *objects[400];
    for (uint32_t i = 0; i < 400; i++)
        CHECK((objects[i] = ash_kmalloc(&memory->heap, 400)) != NULL);
    for (uint32_t i = 0; i < 400; i++)
        ash_kfree(&memory->heap, objects[i]);
    CHECK(ash_kmalloc(&memory->heap, 16) != NULL); /* this one stays out */
}

static uint64_t slab_bytes(struct kernel_memory *memory) {
    struct ash_heap_stats stats;
    ash_heap_get_stats(&memory->heap, &stats);
    return stats.slab_bytes;
}

TEST_CASE(kernel_memory, pages_refused_again_and_again_cost_one_reclaim) {
    struct kernel_memory *memory = test_kernel_memory(2 << 20);
    struct ash_slab_cache *cache = ash_heap_cache(&memory->heap, 0);
    CHECK(ash_kmalloc(&memory->heap, 16) != NULL);
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(memory_pages_alloc(memory, 9) == NULL);
        ash_kfree(&memory->heap, ash_kmalloc(&memory->heap, 16));
    }
    CHECK_EQ(cache->flush_wanted, 1);
}

TEST_CASE(kernel_memory, below_the_watermark_the_caches_give_back) {
    struct kernel_memory *memory = test_kernel_memory(8 << 20);
    struct ash_buddy_stats stats;
    leave_slabs(memory);
    uint64_t held = slab_bytes(memory);
    do {
        CHECK(memory_pages_alloc(memory, 0) != NULL);
        ash_buddy_get_stats(&memory->buddy, &stats);
    } while (memory->low.calls == 0 && stats.free_pages > 0);
    CHECK_EQ(memory->low.calls, 1);
    CHECK(stats.free_pages > memory->low.low_pages / 2);
    CHECK(memory->low.pages > 0);
    CHECK_EQ(slab_bytes(memory), held - memory->low.pages * ASH_PAGE_SIZE);
    CHECK_EQ(slab_bytes(memory), ASH_SLAB_BYTES_DEFAULT);
    CHECK(memory_check(memory) == NULL);
}

TEST_CASE(kernel_memory, the_last_pages_come_out_of_the_caches) {
    struct kernel_memory *memory = test_kernel_memory(8 << 20);
    struct ash_buddy_stats stats;
    memory->low.is_noted = 0;
    memory->buddy.low_pages = 0; /* nobody is warned */
    leave_slabs(memory);
    CHECK(slab_bytes(memory) > ASH_SLAB_BYTES_DEFAULT);
    while (memory_pages_alloc(memory, 0) != NULL) {}
    ash_buddy_get_stats(&memory->buddy, &stats);
    CHECK_EQ(slab_bytes(memory), ASH_SLAB_BYTES_DEFAULT);
    CHECK_EQ(stats.free_pages, 0);
    CHECK_EQ(memory->low.calls, 0);
}

/* Somebody who keeps one page. */
static struct kernel_memory *kept_of;
static void *kept;

static uint32_t give_kept_back(void) {
    if (kept == NULL)
        return 0;
    memory_pages_free(kept_of, kept, 0);
    kept = NULL;
    return 1;
}

TEST_CASE(kernel_memory, takes_what_somebody_only_keeps_before_it_refuses) {
    kept_of = test_kernel_memory(2 << 20);
    kept = memory_pages_alloc(kept_of, 0);
    CHECK(kept != NULL);
    while (memory_pages_alloc(kept_of, 0) != NULL) {}
    kept_of->trim = give_kept_back;
    CHECK(memory_pages_alloc(kept_of, 0) != NULL);
    CHECK(kept == NULL);
    CHECK(memory_pages_alloc(kept_of, 0) == NULL);
}
