/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/heap.h>. Wrong pointers are in heap_wrong.c, random runs in heap_model.c. */
#include "heap_fixture.h"

TEST_CASE(heap, init_refuses_a_bad_config_or_storage) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_heap_config config = {.source = &pages->source, .classes = ASH_HEAP_SIX};
    struct ash_heap *heap = test_alloc(sizeof(*heap), 64);
    size_t bytes = ash_heap_storage_size(&config);
    char *storage = test_alloc(bytes + ASH_PORT_CACHE_LINE, ASH_PORT_CACHE_LINE);
    CHECK_EQ(ash_heap_storage_size(NULL), 0);
    CHECK_EQ(ash_heap_init(heap, NULL, storage, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_heap_init(heap, &config, NULL, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_heap_init(heap, &config, storage, bytes - 1), -ASH_EINVAL);
    CHECK_EQ(ash_heap_init(heap, &config, storage + 8, bytes), -ASH_EINVAL);
    config.source = NULL;
    CHECK_EQ(ash_heap_init(heap, &config, storage, bytes), -ASH_EINVAL);
    config =
        (struct ash_heap_config){.source = &pages->source, .classes = (enum ash_heap_classes)2};
    CHECK_EQ(ash_heap_storage_size(&config), 0);
    CHECK_EQ(ash_heap_init(heap, &config, storage, bytes), -ASH_EINVAL);
    config = (struct ash_heap_config){.source = &pages->source, .flags = 1u << 31};
    CHECK_EQ(ash_heap_init(heap, &config, storage, bytes), -ASH_EINVAL);
}

TEST_CASE(heap, storage_is_one_cache_a_class) {
    struct ash_heap_config config = {.classes = ASH_HEAP_SIX};
    CHECK_EQ(ash_heap_storage_size(&config), ASH_HEAP_STORAGE_SIX);
    config.classes = ASH_HEAP_FINE;
    CHECK_EQ(ash_heap_storage_size(&config), ASH_HEAP_STORAGE_FINE);
    CHECK_EQ(ASH_HEAP_STORAGE_FINE, 32 * sizeof(struct ash_slab_cache));
}

TEST_CASE(heap, init_needs_a_cache_number_for_each_class) {
    struct fake_pages *pages = fake_pages_new(16);
    uint32_t heaps = ASH_PAGE_SOURCE_CACHES_DEFAULT / ASH_HEAP_CLASSES_FINE;
    struct ash_heap_config config = {.source = &pages->source, .classes = ASH_HEAP_FINE};
    struct ash_heap *first = new_heap(pages, ASH_HEAP_FINE);
    for (uint32_t i = 1; i < heaps; i++)
        new_heap(pages, ASH_HEAP_FINE);
    struct ash_heap *one_more = test_alloc(sizeof(*one_more), 64);
    void *storage = test_alloc(ASH_HEAP_STORAGE_FINE, ASH_PORT_CACHE_LINE);
    CHECK_EQ(ash_heap_init(one_more, &config, storage, ASH_HEAP_STORAGE_FINE), -ASH_ENOSPC);
    CHECK_EQ(ash_heap_fini(first), 0);
    CHECK_EQ(ash_heap_init(one_more, &config, storage, ASH_HEAP_STORAGE_FINE), 0);
}

/* Classes */

static void check_every_size(enum ash_heap_classes classes, size_t most) {
    struct fake_pages *pages = fake_pages_new(512);
    struct ash_heap *heap = new_heap(pages, classes);
    for (size_t size = 0; size <= most; size++) {
        void *pointer = ash_kmalloc(heap, size);
        CHECK(pointer != NULL);
        size_t usable = ash_ksize(heap, pointer);
        CHECK_EQ(usable, expected_size(classes, size));
        CHECK(ash_is_aligned((uintptr_t)pointer, usable & (0 - usable)));
        memset(pointer, 0xee, usable);
        ash_kfree(heap, pointer);
    }
    CHECK_HEAP_SOUND(heap);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(heap, every_size_gets_its_class_and_natural_alignment) {
    check_every_size(ASH_HEAP_SIX, 9000);
}

TEST_CASE(heap, every_size_gets_its_class_of_32_and_natural_alignment) {
    check_every_size(ASH_HEAP_FINE, 17000);
}

static void check_classes(enum ash_heap_classes classes, const uint16_t *sizes, uint32_t count) {
    struct ash_heap *heap = new_heap(fake_pages_new(1024), classes);
    struct ash_slab_stats stats;
    uint64_t small_bytes = 0, slab_bytes = 0;
    CHECK_EQ(ash_heap_class_count(heap), count);
    CHECK_EQ(sizes[count - 1], classes == ASH_HEAP_SIX ? ASH_HEAP_SIX_MAX : ASH_HEAP_FINE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        void *pointer = ash_kmalloc(heap, sizes[i]);
        CHECK(pointer != NULL);
        ash_slab_cache_get_stats(ash_heap_cache(heap, i), &stats);
        CHECK_EQ(stats.size_bytes, sizes[i]);
        CHECK_EQ(stats.used, 1);
        CHECK(stats.waste_bytes <= stats.slab_bytes / 8);
        small_bytes += sizes[i];
        slab_bytes += (uint64_t)stats.slabs * stats.slab_bytes + stats.magazine_bytes;
    }
    CHECK(ash_heap_cache(heap, count) == NULL);
    CHECK(ash_heap_cache(heap, UINT32_MAX) == NULL);
    struct ash_heap_stats all;
    ash_heap_get_stats(heap, &all);
    CHECK_EQ(all.small_bytes, small_bytes);
    CHECK_EQ(all.slab_bytes, slab_bytes);
}

TEST_CASE(heap, has_the_six_classes_in_order) {
    check_classes(ASH_HEAP_SIX, six_sizes, ASH_ARRAY_LEN(six_sizes));
}

TEST_CASE(heap, has_the_32_fine_classes_in_order) {
    check_classes(ASH_HEAP_FINE, fine_sizes, ASH_ARRAY_LEN(fine_sizes));
}

TEST_CASE(heap, fine_classes_waste_a_fifth_at_most) {
    struct ash_heap *heap = new_heap(fake_pages_new(512), ASH_HEAP_FINE);
    for (size_t size = 65; size <= 8192; size += 1 + size / 64) {
        void *pointer = ash_kmalloc(heap, size);
        size_t usable = ash_ksize(heap, pointer);
        CHECK((usable - size) * 5 < usable);
        ash_kfree(heap, pointer);
    }
}

TEST_CASE(heap, size_0_is_an_object_of_its_own) {
    struct ash_heap *heap = new_heap(fake_pages_new(16), ASH_HEAP_SIX);
    void *a = ash_kmalloc(heap, 0), *b = ash_kmalloc(heap, 0);
    CHECK(a != NULL && b != NULL && a != b);
    CHECK_EQ(ash_ksize(heap, a), 16);
    ash_kfree(heap, a);
    ash_kfree(heap, b);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, null_is_harmless) {
    struct ash_heap *heap = new_heap(fake_pages_new(16), ASH_HEAP_SIX);
    ash_kfree(heap, NULL);
    ash_kfree_inline(heap, NULL);
    CHECK_EQ(ash_ksize(heap, NULL), 0);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, inline_forms_and_calls_are_the_same) {
    struct fake_pages *pages = fake_pages_new(512);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_FINE);
    for (size_t size = 0; size <= 20000; size = size * 5 / 4 + 1) {
        void *a = ash_kmalloc_inline(heap, size), *b = ash_kmalloc(heap, size);
        CHECK(a != NULL && b != NULL && a != b);
        CHECK_EQ(ash_ksize(heap, a), ash_ksize(heap, b));
        ash_kfree(heap, a);
        ash_kfree_inline(heap, b);
    }
    CHECK_HEAP_SOUND(heap);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

/* Large blocks */

TEST_CASE(heap, sizes_beyond_all_memory_are_null) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
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
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes); i++) {
        void *pointer = ash_kmalloc(heap, sizes[i].size);
        CHECK(pointer != NULL);
        CHECK_EQ(pages->used, sizes[i].pages);
        struct ash_heap_stats stats;
        ash_heap_get_stats(heap, &stats);
        CHECK_EQ(stats.large_bytes, sizes[i].pages * ASH_PAGE_SIZE);
        CHECK_HEAP_SOUND(heap);
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

/* 13 pages: the last one is a block of its own, and so is all of a range of 16. */
TEST_CASE(heap, range_is_used_up_to_its_last_page) {
    struct fake_pages *pages = fake_pages_new(13);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    char *blocks[13];
    for (uint32_t i = 0; i < 13; i++)
        CHECK((blocks[i] = ash_kmalloc(heap, 4096)) != NULL);
    CHECK(blocks[12] == pages->base + 12 * ASH_PAGE_SIZE);
    CHECK(ash_kmalloc(heap, 4096) == NULL);
    CHECK_EQ(ash_ksize(heap, blocks[12]), 4096);
    CHECK_HEAP_SOUND(heap);
    for (uint32_t i = 0; i < 13; i++)
        ash_kfree(heap, blocks[i]);
    CHECK_EQ(ash_heap_fini(heap), 0);

    heap = new_heap(fake_pages_new(16), ASH_HEAP_SIX);
    void *all = ash_kmalloc(heap, 65536);
    CHECK(all != NULL);
    CHECK(ash_kmalloc(heap, 65537) == NULL);
    CHECK_HEAP_SOUND(heap);
    ash_kfree(heap, all);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

/* Zeroes and arrays */

static bool is_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

TEST_CASE(heap, kzalloc_zeroes_all_that_may_be_used) {
    static const size_t sizes[] = {0, 1, 16, 17, 100, 512, 513, 4096, 4097};
    for (uint32_t classes = ASH_HEAP_SIX; classes <= ASH_HEAP_FINE; classes++) {
        struct ash_heap *heap = new_heap(fake_pages_new(128), (enum ash_heap_classes)classes);
        for (uint32_t i = 0; i < 2 * ASH_ARRAY_LEN(sizes); i++) {
            uint8_t *bytes = ash_kzalloc(heap, sizes[i / 2]);
            CHECK(bytes != NULL);
            size_t usable = ash_ksize(heap, bytes);
            CHECK(is_zero(bytes, usable));
            memset(bytes, 0xff, usable);
            ash_kfree(heap, bytes);
        }
    }
}

TEST_CASE(heap, kcalloc_is_a_zeroed_array) {
    static const size_t pairs[][2] = {{0, 0},    {0, 7},     {7, 0},     {1, 16},   {16, 1},
                                      {3, 171},  {512, 1},   {27, 19},   {1, 513},  {100, 100},
                                      {4096, 4}, {5, 13107}, {65536, 1}, {1, 65536}};
    struct ash_heap *heap = new_heap(fake_pages_new(64), ASH_HEAP_SIX);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(pairs); i++) {
        uint8_t *bytes = ash_kcalloc(heap, pairs[i][0], pairs[i][1]);
        CHECK(bytes != NULL);
        size_t usable = ash_ksize(heap, bytes);
        CHECK_EQ(usable, expected_size(ASH_HEAP_SIX, pairs[i][0] * pairs[i][1]));
        CHECK(is_zero(bytes, usable));
        memset(bytes, 0xff, usable);
        ash_kfree(heap, bytes);
    }
    CHECK_EQ(ash_heap_fini(heap), 0);
}

/* Among these are products that wrap to 0, to 1 and to small sizes. */
TEST_CASE(heap, kcalloc_of_a_product_that_wraps_is_null) {
    const size_t half = (size_t)1 << 32;
    const size_t pairs[][2] = {
        {SIZE_MAX, SIZE_MAX},  {SIZE_MAX, 2},        {2, SIZE_MAX},         {half, half},
        {half + 1, half},      {half, half + 1},     {SIZE_MAX / 2 + 1, 2}, {SIZE_MAX / 16 + 1, 16},
        {SIZE_MAX / 3 + 1, 3}, {3, SIZE_MAX / 3 + 1}};
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(pairs); i++)
        CHECK(ash_kcalloc(heap, pairs[i][0], pairs[i][1]) == NULL);
    CHECK_EQ(pages->calls, 0);
    CHECK(ash_kcalloc(heap, SIZE_MAX, 1) == NULL);
    CHECK(ash_kcalloc(heap, SIZE_MAX / 3, 3) == NULL);
    struct ash_heap_stats stats;
    ash_heap_get_stats(heap, &stats);
    CHECK_EQ(stats.large_failures, ASH_ARRAY_LEN(pairs) + 2);
}

/* Resizing */

static void fill(uint8_t *bytes, size_t size, uint8_t first) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(first + i * 7);
}

static bool is_filled(const uint8_t *bytes, size_t size, uint8_t first) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (uint8_t)(first + i * 7))
            return false;
    }
    return true;
}

TEST_CASE(heap, krealloc_of_null_allocates) {
    struct ash_heap *heap = new_heap(fake_pages_new(16), ASH_HEAP_SIX);
    void *pointer = ash_krealloc(heap, NULL, 100);
    CHECK(pointer != NULL);
    CHECK_EQ(ash_ksize(heap, pointer), 128);
    ash_kfree(heap, pointer);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, krealloc_to_0_is_a_smallest_object) {
    struct ash_heap *heap = new_heap(fake_pages_new(16), ASH_HEAP_SIX);
    void *pointer = ash_krealloc(heap, ash_kmalloc(heap, 100), 0);
    CHECK(pointer != NULL);
    CHECK_EQ(ash_ksize(heap, pointer), 16);
    CHECK(ash_krealloc(heap, pointer, 0) == pointer);
    ash_kfree(heap, pointer);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, krealloc_keeps_a_block_that_serves) {
    struct ash_heap *heap = new_heap(fake_pages_new(64), ASH_HEAP_SIX);
    static const struct {
        size_t from, to;
        bool stays;
    } cases[] = {{100, 128, true},    {128, 65, true},     {128, 33, true},    {128, 32, false},
                 {128, 129, false},   {16, 0, true},       {32, 1, true},      {64, 1, false},
                 {4096, 513, true},   {4096, 512, false},  {8192, 4097, true}, {8192, 513, true},
                 {16384, 513, false}, {16384, 4097, true}, {5000, 8192, true}, {5000, 8193, false}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(cases); i++) {
        uint8_t *before = ash_kmalloc(heap, cases[i].from);
        size_t kept = cases[i].from < cases[i].to ? cases[i].from : cases[i].to;
        fill(before, cases[i].from, (uint8_t)i);
        uint8_t *after = ash_krealloc(heap, before, cases[i].to);
        CHECK(after != NULL);
        CHECK_EQ(after == before, cases[i].stays);
        CHECK(is_filled(after, kept, (uint8_t)i));
        CHECK(ash_ksize(heap, after) >= cases[i].to);
        ash_kfree(heap, after);
        CHECK_HEAP_SOUND(heap);
    }
    CHECK_EQ(ash_heap_fini(heap), 0);
}

static void grow_and_shrink(enum ash_heap_classes classes) {
    struct fake_pages *pages = fake_pages_new(768);
    struct ash_heap *heap = new_heap(pages, classes);
    uint8_t *bytes = NULL;
    size_t size = 0;
    while (size < 50000) {
        size_t larger = size * 9 / 8 + 5;
        bytes = ash_krealloc(heap, bytes, larger);
        CHECK(bytes != NULL);
        CHECK(is_filled(bytes, size, 3));
        fill(bytes, larger, 3);
        size = larger;
    }
    while (size != 0) {
        size -= size / 8 + 1;
        bytes = ash_krealloc(heap, bytes, size);
        CHECK(bytes != NULL);
        CHECK(is_filled(bytes, size, 3));
        CHECK(ash_ksize(heap, bytes) <= 2 * expected_size(classes, size));
    }
    ash_kfree(heap, bytes);
    CHECK_HEAP_SOUND(heap);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(heap, krealloc_keeps_contents_while_growing_and_shrinking) {
    grow_and_shrink(ASH_HEAP_SIX);
    grow_and_shrink(ASH_HEAP_FINE);
}

TEST_CASE(heap, krealloc_without_memory_leaves_the_old_block) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    static const size_t sizes[] = {40, 600, 20000};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes); i++) {
        uint8_t *bytes = ash_kmalloc(heap, sizes[i]);
        fill(bytes, sizes[i], 9);
        pages->fail_at = pages->calls + 1;
        pages->fail_count = UINT64_MAX;
        CHECK(ash_krealloc(heap, bytes, 40000) == NULL);
        CHECK(ash_krealloc(heap, bytes, SIZE_MAX) == NULL);
        CHECK(ash_krealloc(heap, bytes, SIZE_MAX / 2 + 2) == NULL);
        CHECK(is_filled(bytes, sizes[i], 9));
        CHECK_HEAP_SOUND(heap);
        pages->fail_at = 0;
        ash_kfree(heap, bytes);
    }
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, krealloc_that_shrinks_never_fails) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    uint8_t *bytes = ash_kmalloc(heap, 20000);
    fill(bytes, 20000, 1);
    pages->fail_at = pages->calls + 1;
    pages->fail_count = UINT64_MAX;
    CHECK(ash_krealloc(heap, bytes, 100) == bytes);
    CHECK(is_filled(bytes, 20000, 1));
    CHECK_EQ(ash_ksize(heap, bytes), 32768);
    ash_kfree(heap, bytes);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

/* All classes at once */

TEST_CASE(heap, shrink_gives_all_empty_slabs_back) {
    struct fake_pages *pages = fake_pages_new(128);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES_SIX; i++)
        ash_kfree(heap, ash_kmalloc(heap, (size_t)16 << i));
    void *kept = ash_kmalloc(heap, 200);
    CHECK(ash_heap_shrink(heap) >= 5);
    struct ash_heap_stats stats;
    ash_heap_get_stats(heap, &stats);
    CHECK_EQ(stats.small_bytes, 256);
    CHECK_EQ(stats.slab_bytes, 32768);
    ash_kfree(heap, kept);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

/* What this CPU held goes to the depot, what the depot did not need to the page source. */
TEST_CASE(heap, flush_and_reap_give_idle_memory_back) {
    struct fake_pages *pages = fake_pages_new(128);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    for (uint32_t i = 0; i < ASH_HEAP_CLASSES_SIX; i++)
        ash_kfree(heap, ash_kmalloc(heap, (size_t)16 << i));
    ash_heap_flush(heap);
    uint32_t before = pages->used, slabs = ash_heap_reap(heap);
    slabs += ash_heap_reap(heap);
    CHECK_EQ(slabs, ASH_HEAP_CLASSES_SIX);
    CHECK(pages->used + ASH_HEAP_CLASSES_SIX * 8 <= before);
    CHECK_HEAP_SOUND(heap);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(heap, fini_of_a_heap_in_use_changes_nothing) {
    struct fake_pages *pages = fake_pages_new(128);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    void *small = ash_kmalloc(heap, 500), *large = ash_kmalloc(heap, 5000);
    CHECK_EQ(ash_heap_fini(heap), -ASH_EBUSY);
    ash_kfree(heap, small);
    CHECK_EQ(ash_heap_fini(heap), -ASH_EBUSY);
    CHECK_HEAP_SOUND(heap);
    ash_kfree(heap, large);
    CHECK((small = ash_kmalloc(heap, 500)) != NULL); /* of the last class: no other ends first */
    CHECK_EQ(ash_heap_fini(heap), -ASH_EBUSY);
    CHECK_HEAP_SOUND(heap);
    ash_kfree(heap, small);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

static void count_leak(void *context, const struct ash_slab_holder *holder) {
    *(uint32_t *)context += holder->objects;
}

TEST_CASE(heap, fini_of_a_debug_heap_in_use_tells_what_is_out) {
    struct fake_pages *pages = fake_pages_new(256);
    uint32_t leaks = 0;
    const struct ash_slab_trace trace = {.leak = count_leak, .context = &leaks};
    const struct ash_heap_config config = {
        .source = &pages->source, .flags = ASH_SLAB_DEBUG, .trace = &trace};
    struct ash_heap *heap = test_alloc(sizeof(*heap), 64);
    void *storage = test_alloc(ASH_HEAP_STORAGE_SIX, ASH_PORT_CACHE_LINE);
    CHECK_EQ(ash_heap_init(heap, &config, storage, ASH_HEAP_STORAGE_SIX), 0);
    void *pointers[] = {ash_kmalloc(heap, 16), ash_kmalloc(heap, 500), ash_kmalloc(heap, 500)};
    CHECK_EQ(ash_heap_fini(heap), -ASH_EBUSY);
    CHECK_EQ(leaks, 3);
    CHECK_HEAP_SOUND(heap);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(pointers); i++)
        ash_kfree(heap, pointers[i]);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(leaks, 3);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(heap, two_heaps_share_a_source) {
    struct fake_pages *pages = fake_pages_new(256);
    struct ash_heap *six = new_heap(pages, ASH_HEAP_SIX), *fine = new_heap(pages, ASH_HEAP_FINE);
    void *pointers[2][12];
    for (uint32_t i = 0; i < 12; i++) {
        pointers[0][i] = ash_kmalloc(six, (size_t)11 << i);
        pointers[1][i] = ash_kmalloc(fine, (size_t)11 << i);
        CHECK(pointers[0][i] != NULL && pointers[1][i] != NULL);
    }
    CHECK_HEAP_SOUND(six);
    CHECK_HEAP_SOUND(fine);
    for (uint32_t i = 0; i < 12; i++)
        ash_kfree(six, pointers[0][i]);
    CHECK_EQ(ash_heap_fini(six), 0);
    CHECK_HEAP_SOUND(fine);
    for (uint32_t i = 0; i < 12; i++)
        ash_kfree(fine, pointers[1][i]);
    CHECK_EQ(ash_heap_fini(fine), 0);
    CHECK_EQ(pages->used, 0);
}
