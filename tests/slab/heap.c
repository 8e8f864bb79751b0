/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/heap.h>. Wrong frees are in wrong_free.c. */
#include <ashlar/heap.h>

#include "fake_pages.h"
#include "harness/test.h"

static struct ash_heap *new_heap(struct fake_pages *pages) {
    struct ash_heap *heap = test_alloc(sizeof(*heap), 64);
    CHECK_EQ(ash_heap_init(heap, &pages->source), 0);
    return heap;
}

/* What ash_ksize must say: the class, or whole pages in a power of two. */
static size_t expected_size(size_t size) {
    size_t usable = 16;
    while (usable < size)
        usable *= 2;
    return usable > 512 && usable < 4096 ? 4096 : usable;
}

TEST_CASE(heap, every_size_gets_its_class_and_natural_alignment) {
    struct fake_pages *pages = fake_pages_new(128);
    struct ash_heap *heap = new_heap(pages);
    for (size_t size = 0; size <= 9000; size++) {
        void *pointer = ash_kmalloc(heap, size);
        CHECK(pointer != NULL);
        size_t usable = ash_ksize(heap, pointer);
        CHECK_EQ(usable, expected_size(size));
        CHECK(ash_is_aligned((uintptr_t)pointer, usable));
        memset(pointer, 0xee, usable);
        ash_kfree(heap, pointer);
    }
    CHECK(ash_heap_check(heap) == NULL);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(heap, size_0_is_an_object_of_its_own) {
    struct ash_heap *heap = new_heap(fake_pages_new(16));
    void *a = ash_kmalloc(heap, 0), *b = ash_kmalloc(heap, 0);
    CHECK(a != NULL && b != NULL && a != b);
    CHECK_EQ(ash_ksize(heap, a), 16);
    ash_kfree(heap, a);
    ash_kfree(heap, b);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, null_is_harmless) {
    struct ash_heap *heap = new_heap(fake_pages_new(16));
    ash_kfree(heap, NULL);
    CHECK_EQ(ash_ksize(heap, NULL), 0);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, sizes_beyond_all_memory_are_null) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_heap *heap = new_heap(pages);
    uint64_t failures = 0;
    for (uint32_t shift = 17; shift < 64; shift++, failures += 2) {
        CHECK(ash_kmalloc(heap, (size_t)1 << shift) == NULL);
        CHECK(ash_kzalloc(heap, ((size_t)1 << shift) + 1) == NULL);
    }
    for (size_t k = 0; k < 9000; k++, failures++)
        CHECK(ash_kmalloc(heap, SIZE_MAX - k) == NULL);
    struct ash_heap_stats stats;
    ash_heap_get_stats(heap, &stats);
    CHECK_EQ(stats.large_failures, failures);
    CHECK_EQ(pages->used, 0);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, large_sizes_take_whole_pages) {
    static const struct {
        size_t size;
        uint32_t pages;
    } sizes[] = {{513, 1},  {4095, 1}, {4096, 1}, {4097, 2},
                 {8191, 2}, {8192, 2}, {8193, 4}, {65536, 16}};
    struct fake_pages *pages = fake_pages_new(32);
    struct ash_heap *heap = new_heap(pages);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes); i++) {
        void *pointer = ash_kmalloc(heap, sizes[i].size);
        CHECK(pointer != NULL);
        CHECK_EQ(pages->used, sizes[i].pages);
        struct ash_heap_stats stats;
        ash_heap_get_stats(heap, &stats);
        CHECK_EQ(stats.large_bytes, sizes[i].pages * ASH_PAGE_SIZE);
        CHECK(ash_heap_check(heap) == NULL);
        CHECK_EQ(ash_heap_fini(heap), -ASH_EBUSY);
        ash_kfree(heap, pointer);
        CHECK_EQ(pages->used, 0);
    }
    struct ash_heap_stats stats;
    ash_heap_get_stats(heap, &stats);
    CHECK_EQ(stats.large_allocations, ASH_ARRAY_LEN(sizes));
    CHECK_EQ(stats.large_frees, ASH_ARRAY_LEN(sizes));
    CHECK_EQ(stats.large_peak_bytes, 65536);
    CHECK_EQ(stats.large_bytes, 0);
}

TEST_CASE(heap, kzalloc_zeroes_all_that_may_be_used) {
    static const size_t sizes[] = {0, 1, 16, 17, 100, 512, 513, 4096, 4097};
    struct ash_heap *heap = new_heap(fake_pages_new(128));
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes); i++) {
        for (uint32_t round = 0; round < 2; round++) {
            uint8_t *bytes = ash_kzalloc(heap, sizes[i]);
            CHECK(bytes != NULL);
            size_t usable = ash_ksize(heap, bytes);
            for (size_t b = 0; b < usable; b++)
                CHECK_EQ(bytes[b], 0);
            memset(bytes, 0xff, usable);
            ash_kfree(heap, bytes);
        }
    }
}

TEST_CASE(heap, has_the_six_classes_in_order) {
    struct ash_heap *heap = new_heap(fake_pages_new(128));
    struct ash_slab_stats stats;
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES; i++) {
        void *pointer = ash_kmalloc(heap, (size_t)16 << i);
        CHECK(pointer != NULL);
        ash_slab_cache_get_stats(ash_heap_cache(heap, i), &stats);
        CHECK_EQ(stats.size_bytes, 16 << i);
        CHECK_EQ(stats.used, 1);
    }
    CHECK(ash_heap_cache(heap, ASH_HEAP_CLASSES) == NULL);
    CHECK(ash_heap_cache(heap, UINT32_MAX) == NULL);
    struct ash_heap_stats all;
    ash_heap_get_stats(heap, &all);
    CHECK_EQ(all.small_bytes, 16 + 32 + 64 + 128 + 256 + 512);
    CHECK_EQ(all.slab_bytes, 6 * 32768);
}

TEST_CASE(heap, shrink_gives_all_empty_slabs_back) {
    struct fake_pages *pages = fake_pages_new(128);
    struct ash_heap *heap = new_heap(pages);
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES; i++)
        ash_kfree(heap, ash_kmalloc(heap, (size_t)16 << i));
    void *kept = ash_kmalloc(heap, 200);
    CHECK_EQ(pages->used, 6 * 8);
    CHECK_EQ(ash_heap_shrink(heap), 5);
    CHECK_EQ(pages->used, 8);
    ash_kfree(heap, kept);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

/* For every n: the n-th block is refused; whatever was asked for is NULL, or succeeds, whole. */
TEST_CASE(heap, refused_page_is_null_and_costs_nothing) {
    uint64_t n = 0, calls;
    do {
        struct fake_pages *pages = fake_pages_new(160);
        struct ash_heap *heap = new_heap(pages);
        pages->fail_at = ++n;
        pages->fail_count = 1;
        void *pointers[24];
        uint32_t nulls = 0;
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(pointers); i++) {
            pointers[i] = ash_kzalloc(heap, (size_t)11 << i % 12);
            nulls += pointers[i] == NULL;
            CHECK(ash_heap_check(heap) == NULL);
        }
        calls = pages->calls;
        CHECK_EQ(nulls, n <= calls);
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(pointers); i++)
            ash_kfree(heap, pointers[i]);
        CHECK_EQ(ash_heap_fini(heap), 0);
        CHECK_EQ(pages->used, 0);
    } while (n <= calls);
}
