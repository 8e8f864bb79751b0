/* SPDX-License-Identifier: MIT */
/*
 * Caches and heaps over a real page allocator, which they take to its last frame and give back, two
 * times. What four CPUs' magazines hold is part of the count.
 */
#include "harness/as_cpu.h"
#include "harness/test.h"

#include <ashlar/buddy.h>
#include <ashlar/heap.h>

enum { PAGES = 160, CPUS = 4, OBJECT_BYTES = 192, LARGEST_ORDER = 5 };

struct memory {
    struct ash_buddy buddy;
    struct ash_page_source source;
    struct ash_buddy_stats before;
};

static void *memory_alloc(void *context, uint32_t order) {
    struct memory *memory = context;
    ash_pfn_t first;
    if (ash_buddy_alloc(&memory->buddy, order, ASH_BUDDY_UNMOVABLE, &first) != 0)
        return NULL;
    return (void *)(uintptr_t)(first << ASH_PAGE_SHIFT);
}

static void memory_free(void *context, void *base, uint32_t order) {
    struct memory *memory = context;
    ash_buddy_free(&memory->buddy, (uintptr_t)base >> ASH_PAGE_SHIFT, order);
}

static struct memory *memory_new(void) {
    static const struct ash_page_source_ops ops = {.alloc = memory_alloc, .free = memory_free};
    struct memory *memory = test_alloc(sizeof(*memory), ASH_PORT_CACHE_LINE);
    char *base = test_alloc(PAGES * ASH_PAGE_SIZE, ASH_PAGE_SIZE << LARGEST_ORDER);
    const struct ash_buddy_region region = {(uintptr_t)base >> ASH_PAGE_SHIFT, PAGES};
    const struct ash_buddy_config frames = {.regions = &region, .region_count = 1};
    const struct ash_page_source_config pages = {
        .ops = &ops, .context = memory, .base = base, .len_pages = PAGES};
    size_t bytes = ash_buddy_storage_size(&frames);
    CHECK_EQ(
        ash_buddy_init(&memory->buddy, &frames, test_alloc(bytes, ASH_BUDDY_STORAGE_ALIGN), bytes),
        0);
    bytes = ash_page_source_storage_size(&pages);
    CHECK_EQ(ash_page_source_init(&memory->source, &pages,
                                  test_alloc(bytes, ASH_PAGE_SOURCE_STORAGE_ALIGN), bytes),
             0);
    ash_buddy_get_stats(&memory->buddy, &memory->before);
    return memory;
}

/* Every frame is free, in blocks as large as they were. */
static void check_as_new(struct memory *memory) {
    struct ash_buddy_stats stats;
    ash_buddy_drain_all(&memory->buddy);
    ash_buddy_get_stats(&memory->buddy, &stats);
    CHECK_EQ(stats.free_pages, PAGES);
    CHECK_MEM_EQ(stats.free_blocks, memory->before.free_blocks, sizeof(stats.free_blocks));
    CHECK(ash_buddy_check(&memory->buddy) == NULL);
}

/* Objects that are out, each with its address at both ends. */
struct object {
    void *bytes;
    size_t size;
};

struct out {
    struct test_random random;
    struct object objects[PAGES * ASH_PAGE_SIZE / 16];
    uint32_t count;
};

static void note(struct out *out, void *object, size_t size) {
    uint64_t mark = (uint64_t)(uintptr_t)object;
    CHECK(out->count < ASH_ARRAY_LEN(out->objects));
    memcpy(object, &mark, sizeof(mark));
    memcpy((char *)object + size - sizeof(mark), &mark, sizeof(mark));
    out->objects[out->count++] = (struct object){object, size};
}

/* One of them; nobody has written to it. */
static void *unnote(struct out *out) {
    uint64_t mark;
    uint32_t at = (uint32_t)test_random_below(&out->random, out->count);
    struct object object = out->objects[at];
    out->objects[at] = out->objects[--out->count];
    memcpy(&mark, object.bytes, sizeof(mark));
    CHECK_EQ(mark, (uint64_t)(uintptr_t)object.bytes);
    memcpy(&mark, (char *)object.bytes + object.size - sizeof(mark), sizeof(mark));
    CHECK_EQ(mark, (uint64_t)(uintptr_t)object.bytes);
    return object.bytes;
}

static struct out *out_new(void) {
    struct out *out = test_alloc(sizeof(*out), 8);
    out->random = test_random_from(test_seed());
    return out;
}

/* Until no CPU finds one: the last rounds take what the others were made to give up. */
static void take_all(struct ash_slab_cache *cache, struct out *out) {
    uint32_t before;
    do {
        before = out->count;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
            as_cpu(cpu);
            for (uint32_t i = 0; i < 50 || cpu == CPUS - 1; i++) {
                void *object = ash_slab_alloc(cache);
                if (object == NULL)
                    break;
                note(out, object, OBJECT_BYTES);
            }
        }
    } while (out->count != before);
}

/* All frames are in slabs and magazines, and every object of the slabs is out. */
static void check_full(struct memory *memory, struct ash_slab_cache *cache, const struct out *out) {
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(cache, &stats);
    CHECK_EQ(ash_buddy_free_pages(&memory->buddy), 0);
    CHECK_EQ(stats.slabs * stats.slab_bytes + stats.magazine_bytes, PAGES * ASH_PAGE_SIZE);
    CHECK_EQ(stats.cached, 0);
    CHECK_EQ(out->count, stats.slabs * stats.objects_per_slab);
    CHECK_EQ(stats.used, out->count);
    CHECK(stats.magazine_bytes <= PAGES / 8 * ASH_PAGE_SIZE);
    CHECK(ash_slab_cache_check(cache) == NULL);
}

static void give_all(struct ash_slab_cache *cache, struct out *out) {
    while (out->count != 0) {
        as_cpu((uint32_t)test_random_below(&out->random, CPUS));
        ash_slab_free(cache, unnote(out));
    }
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        as_cpu(cpu);
        (void)ash_slab_cache_shrink(cache);
    }
    CHECK(ash_slab_cache_check(cache) == NULL);
}

static void exhaust_cache(uint32_t flags) {
    struct memory *memory = memory_new();
    struct out *out = out_new();
    struct ash_slab_cache *cache = test_alloc(sizeof(*cache), ASH_PORT_CACHE_LINE);
    const struct ash_slab_config config = {.name = "greedy",
                                           .size_bytes = OBJECT_BYTES,
                                           .slab_bytes = ASH_PAGE_SIZE,
                                           .flags = flags,
                                           .empty_max = 3,
                                           .source = &memory->source};
    CHECK_EQ(ash_slab_cache_init(cache, &config), 0);
    for (uint32_t round = 0; round < 2; round++) {
        take_all(cache, out);
        check_full(memory, cache, out);
        give_all(cache, out);
        check_as_new(memory);
    }
    CHECK_EQ(ash_slab_cache_fini(cache), 0);
}

TEST_CASE(slab_exhaustion, cache_takes_the_last_frame_and_gives_all_back) {
    exhaust_cache(0);
}

TEST_CASE(slab_exhaustion, cache_for_interrupts_takes_the_last_frame_and_gives_all_back) {
    exhaust_cache(ASH_SLAB_INTERRUPTS);
}

TEST_CASE(slab_exhaustion, hardened_cache_takes_the_last_frame_and_gives_all_back) {
    exhaust_cache(ASH_SLAB_HARDENED);
}

TEST_CASE(slab_exhaustion, debug_cache_takes_the_last_frame_and_gives_all_back) {
    exhaust_cache(ASH_SLAB_DEBUG);
}

/* Allocates `size` bytes until no CPU finds any, or `most` times. */
static void take_size(struct ash_heap *heap, struct out *out, size_t size, uint32_t most) {
    uint32_t start = out->count, before;
    do {
        before = out->count;
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
            as_cpu(cpu);
            for (uint32_t i = 0; i < 7 && out->count - start < most; i++) {
                void *block = ash_kmalloc(heap, size);
                if (block == NULL)
                    break;
                note(out, block, size);
            }
        }
    } while (out->count != before);
}

static void check_full_heap(struct memory *memory, struct ash_heap *heap) {
    struct ash_heap_stats stats;
    ash_heap_get_stats(heap, &stats);
    CHECK_EQ(ash_buddy_free_pages(&memory->buddy), 0);
    CHECK_EQ(stats.large_bytes + stats.slab_bytes, PAGES * ASH_PAGE_SIZE);
    for (uint32_t i = 0; i < ash_heap_class_count(heap); i++) {
        struct ash_slab_stats of_class;
        ash_slab_cache_get_stats(ash_heap_cache(heap, i), &of_class);
        CHECK_EQ(of_class.used, of_class.slabs * of_class.objects_per_slab);
        CHECK(of_class.slabs != 0);
    }
    CHECK(ash_heap_check(heap) == NULL);
}

/* A few of each class, then large blocks, then whatever still fits anywhere. */
static void exhaust_heap(uint32_t flags) {
    struct memory *memory = memory_new();
    struct out *out = out_new();
    struct ash_heap *heap = test_alloc(sizeof(*heap), ASH_PORT_CACHE_LINE);
    struct ash_heap_config config = {.source = &memory->source, .flags = flags};
    size_t bytes = ash_heap_storage_size(&config);
    void *storage = test_alloc(bytes, ASH_PORT_CACHE_LINE);
    CHECK_EQ(ash_heap_init(heap, &config, storage, bytes), 0);
    for (uint32_t round = 0; round < 2; round++) {
        for (size_t size = 16; size <= ASH_HEAP_SIX_MAX; size *= 2)
            take_size(heap, out, size, 5);
        for (size_t size = PAGES * ASH_PAGE_SIZE; size > ASH_HEAP_SIX_MAX; size /= 2)
            take_size(heap, out, size, UINT32_MAX);
        for (size_t size = ASH_HEAP_SIX_MAX; size >= 16; size /= 2)
            take_size(heap, out, size, UINT32_MAX);
        check_full_heap(memory, heap);
        while (out->count != 0) {
            as_cpu((uint32_t)test_random_below(&out->random, CPUS));
            ash_kfree(heap, unnote(out));
        }
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
            as_cpu(cpu);
            (void)ash_heap_shrink(heap);
        }
        CHECK(ash_heap_check(heap) == NULL);
        check_as_new(memory);
    }
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap_exhaustion, heap_takes_the_last_frame_and_gives_all_back) {
    exhaust_heap(0);
    exhaust_heap(ASH_SLAB_INTERRUPTS);
}

TEST_CASE(heap_exhaustion, guarded_heap_takes_the_last_frame_and_gives_all_back) {
    exhaust_heap(ASH_SLAB_HARDENED);
    exhaust_heap(ASH_SLAB_DEBUG);
}
