/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/heap.h>: every kind of pointer that is not to be freed, and the checker. */
#include "heap_fixture.h"

#include "heap_internal.h"

static struct ash_heap *checked_heap(struct fake_pages *pages) {
    /* Where ASH_REQUIRE is compiled out a wrong free is undefined, and there is nothing to see. */
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    return new_heap(pages, ASH_HEAP_SIX);
}

/* By all three that take a pointer, with the same words, and without any effect. */
#define CHECK_REFUSED(heap, pointer, part)                                        \
    do {                                                                          \
        CHECK_PANICS(ash_kfree(heap, (void *)(pointer)), part);                   \
        CHECK_PANICS(ash_kfree_inline(heap, (void *)(pointer)), part);            \
        CHECK_PANICS(CHECK(ash_ksize(heap, (void *)(pointer)) == 0), part);       \
        CHECK_PANICS(CHECK(ash_krealloc(heap, (void *)(pointer), 7) == 0), part); \
        CHECK_HEAP_SOUND(heap);                                                   \
    } while (0)

TEST_CASE(heap, free_of_a_foreign_pointer_panics) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_heap *heap = checked_heap(pages);
    uint64_t variable = 0;
    CHECK_REFUSED(heap, &variable, "foreign pointer");
    CHECK_REFUSED(heap, heap, "foreign pointer");
    CHECK_REFUSED(heap, (uintptr_t)0x40, "foreign pointer");
    CHECK_REFUSED(heap, (uintptr_t)1, "foreign pointer");
    CHECK_REFUSED(heap, UINTPTR_MAX, "foreign pointer");
    CHECK_REFUSED(heap, UINTPTR_MAX / 2 + 1, "foreign pointer");
    CHECK_REFUSED(heap, UINTPTR_MAX / 3, "foreign pointer");
    CHECK_EQ(variable, 0);
}

/* Whole pages in use at both ends, so that an answer one page off would be seen. */
TEST_CASE(heap, free_just_outside_of_the_range_panics) {
    struct fake_pages *pages = fake_pages_new(13);
    struct ash_heap *heap = checked_heap(pages);
    for (uint32_t i = 0; i < 13; i++)
        CHECK(ash_kmalloc(heap, 4096) != NULL);
    uintptr_t start = (uintptr_t)pages->base, end = start + 13 * ASH_PAGE_SIZE;
    CHECK_REFUSED(heap, start - 1, "foreign pointer");
    CHECK_REFUSED(heap, start - ASH_PAGE_SIZE, "foreign pointer");
    CHECK_REFUSED(heap, end, "foreign pointer");
    CHECK_REFUSED(heap, end + ASH_PAGE_SIZE, "foreign pointer");
    CHECK_REFUSED(heap, end - 1, "inside the large block");
    ash_kfree(heap, (void *)(end - ASH_PAGE_SIZE));
    ash_kfree(heap, (void *)start);
}

/* Behind the map lies what it would be wrong to take for an entry: the first class's number. */
TEST_CASE(heap, free_just_behind_the_range_reads_no_entry) {
    struct fake_pages *pages = fake_pages_new(16);
    const struct ash_page_source_config config = {
        .ops = pages->source.ops, .context = pages, .base = pages->base, .len_pages = pages->pages};
    size_t bytes = ash_page_source_storage_size(&config);
    void *storage = test_alloc(bytes + 8, ASH_PAGE_SOURCE_STORAGE_ALIGN);
    CHECK_EQ(ash_page_source_init(&pages->source, &config, storage, bytes + 8), 0);
    struct ash_heap *heap = checked_heap(pages);
    pages->source.map[16] = (uint16_t)heap->first_id;
    CHECK_PANICS(ash_kfree(heap, pages->base + 16 * ASH_PAGE_SIZE), "heap: free of");
    CHECK_PANICS(ash_kfree_inline(heap, pages->base + 16 * ASH_PAGE_SIZE), "heap: free of");
    CHECK_HEAP_SOUND(heap);
}

static void *no_pages(void *context, uint32_t order) {
    (void)context, (void)order;
    return NULL;
}

static void no_free(void *context, void *base, uint32_t order) {
    (void)context, (void)base, (void)order;
}

/* A range that ends with the address space: nothing wraps. */
TEST_CASE(heap, range_at_the_end_of_the_address_space_is_sound) {
    static const struct ash_page_source_ops ops = {.alloc = no_pages, .free = no_free};
    const uint64_t len_pages = 4;
    struct ash_page_source_config config = {
        .ops = &ops,
        .base = (void *)(UINTPTR_MAX - len_pages * ASH_PAGE_SIZE + 1),
        .len_pages = len_pages};
    struct ash_page_source *source = test_alloc(sizeof(*source), 64);
    size_t bytes = ash_page_source_storage_size(&config);
    CHECK(bytes != 0);
    CHECK_EQ(ash_page_source_init(source, &config, test_alloc(bytes, 8), bytes), 0);
    struct ash_heap_config heap_config = {.source = source, .classes = ASH_HEAP_SIX};
    struct ash_heap *heap = test_alloc(sizeof(*heap), 64);
    CHECK_EQ(ash_heap_init(heap, &heap_config,
                           test_alloc(ASH_HEAP_STORAGE_SIX, ASH_PORT_CACHE_LINE),
                           ASH_HEAP_STORAGE_SIX),
             0);
    for (size_t size = 1; size != 0; size *= 2)
        CHECK(ash_kmalloc(heap, size) == NULL);
    ash_kfree(heap, NULL);
    CHECK_REFUSED(heap, UINTPTR_MAX, "foreign pointer");
    CHECK_REFUSED(heap, 0 - ASH_PAGE_SIZE, "foreign pointer");
    CHECK_REFUSED(heap, (uintptr_t)config.base - 1, "foreign pointer");
    CHECK_REFUSED(heap, (uintptr_t)1, "foreign pointer");
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, free_of_a_free_page_or_of_somebody_elses_panics) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_heap *heap = checked_heap(pages);
    CHECK_REFUSED(heap, pages->base + 9 * ASH_PAGE_SIZE, "foreign pointer");
    char *foreign = fake_pages_alloc(pages, 2);
    CHECK_REFUSED(heap, foreign, "foreign pointer");
    CHECK_REFUSED(heap, foreign + 5000, "foreign pointer");
}

TEST_CASE(heap, free_of_an_object_of_a_cache_panics_and_names_it) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_slab_config config = {.name = "task", .size_bytes = 64, .source = &pages->source};
    struct ash_slab_cache cache;
    for (uint32_t before = 0; before < 2; before++) { /* numbers below and above the heap's */
        struct ash_heap *heap = before != 0 ? NULL : checked_heap(pages);
        CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
        if (heap == NULL)
            heap = checked_heap(pages);
        char *object = ash_slab_alloc(&cache);
        CHECK_REFUSED(heap, object, "in a slab of cache task");
        CHECK_REFUSED(heap, object + 1, "in a slab of cache task");
        ash_slab_free(&cache, object);
        CHECK_EQ(ash_slab_cache_fini(&cache), 0);
        CHECK_EQ(ash_heap_fini(heap), 0);
    }
}

TEST_CASE(heap, free_of_another_heaps_memory_panics) {
    struct fake_pages *pages = fake_pages_new(128);
    struct ash_heap *heap = checked_heap(pages), *other = new_heap(pages, ASH_HEAP_FINE);
    char *small = ash_kmalloc(other, 100), *large = ash_kmalloc(other, 9000);
    CHECK_REFUSED(heap, small, "in a slab of cache kmalloc-112");
    CHECK_REFUSED(heap, large, "of another heap");
    CHECK_REFUSED(heap, large + 1, "of another heap");
    CHECK_REFUSED(heap, large + 16383, "of another heap");
    char *mine = ash_kmalloc(heap, 9000);
    CHECK_REFUSED(other, mine, "of another heap");
    ash_kfree(heap, mine);
    ash_kfree(other, small);
    ash_kfree(other, large);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(ash_heap_fini(other), 0);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(heap, free_inside_of_a_large_block_panics) {
    struct ash_heap *heap = checked_heap(fake_pages_new(64));
    char *block = ash_kmalloc(heap, 10000);
    CHECK_REFUSED(heap, block + 1, "inside the large block");
    CHECK_REFUSED(heap, block + 16, "inside the large block");
    for (uint32_t page = 1; page < 4; page++) {
        CHECK_REFUSED(heap, block + page * 4096 - 1, "inside the large block");
        CHECK_REFUSED(heap, block + page * 4096, "inside the large block");
    }
    CHECK_REFUSED(heap, block + 4 * 4096, "foreign pointer");
    ash_kfree(heap, block);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

/* The block is the whole range: its head is as far away as one can be. */
TEST_CASE(heap, free_inside_of_a_block_of_all_pages_panics) {
    struct ash_heap *heap = checked_heap(fake_pages_new(16));
    char *block = ash_kmalloc(heap, 65536);
    for (uint32_t page = 1; page < 16; page++)
        CHECK_REFUSED(heap, block + page * 4096, "inside the large block");
    ash_kfree(heap, block);
}

TEST_CASE(heap, double_free_of_a_large_block_panics) {
    struct ash_heap *heap = checked_heap(fake_pages_new(64));
    char *block = ash_kmalloc(heap, 10000);
    ash_kfree(heap, block);
    CHECK_REFUSED(heap, block, "foreign pointer");
    char *smaller = ash_kmalloc(heap, 4096);
    CHECK(smaller == block);
    CHECK_REFUSED(heap, block + 4096, "foreign pointer");
    ash_kfree(heap, smaller);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

/* Two CPUs free one block: the second finds the map's entry gone. */
TEST_CASE(heap, map_lets_one_free_of_a_large_block_through) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_heap *heap = checked_heap(pages);
    void *block = ash_kmalloc(heap, 5000);
    uint16_t entry = ash__source_entry(&pages->source, block);
    CHECK(ash__heap_unmark(heap, block, entry));
    CHECK(!ash__heap_unmark(heap, block, entry));
    CHECK_PANICS(ash_kfree(heap, block), "foreign pointer");
}

TEST_CASE(heap, size_of_what_is_no_object_panics) {
    struct ash_heap *heap = checked_heap(fake_pages_new(64));
    char *object = ash_kmalloc(heap, 100);
    CHECK_EQ(ash_ksize(heap, object), 128);
    CHECK_PANICS(CHECK(ash_ksize(heap, object + 1) == 0), "kmalloc-128: misaligned: 1 bytes");
    CHECK_PANICS(CHECK(ash_ksize(heap, object + 64) == 0), "kmalloc-128: misaligned: 64 bytes");
    CHECK_PANICS(CHECK(ash_ksize(heap, (void *)ash_align_down((uintptr_t)object, 32768)) == 0),
                 "in the header");
    CHECK_PANICS(CHECK(ash_krealloc(heap, object + 16, 1) == NULL), "misaligned: 16 bytes");
    ash_kfree(heap, object);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

TEST_CASE(heap, hardened_refuses_every_wrong_small_free_at_once) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_heap *heap = checked_heap(pages);
    CHECK_EQ(ash_heap_fini(heap), 0);
    heap = new_heap_with(pages, ASH_HEAP_SIX, ASH_SLAB_HARDENED);
    char *object = ash_kmalloc(heap, 100), *gone = ash_kmalloc(heap, 100);
    CHECK_PANICS(ash_kfree(heap, object + 1), "misaligned: 1 bytes");
    CHECK_PANICS(ash_kfree_inline(heap, object + 64), "misaligned: 64 bytes");
    CHECK_PANICS(ash_kfree(heap, (void *)ash_align_down((uintptr_t)object, 32768)), "header");
    ash_kfree(heap, gone);
    CHECK_PANICS(ash_kfree(heap, gone), "double free");
    CHECK_PANICS(ash_kfree_inline(heap, gone), "double free");
    CHECK_HEAP_SOUND(heap);
    ash_kfree(heap, object);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

static void size_and_resize_of_what_was_freed(uint32_t flags) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_heap *heap = new_heap_with(pages, ASH_HEAP_SIX, flags);
    char *object = ash_kmalloc(heap, 100);
    CHECK_EQ(ash_ksize(heap, object), 128);
    CHECK(ash_krealloc(heap, object, 128) == object);
    ash_kfree(heap, object);
    CHECK_PANICS(CHECK(ash_ksize(heap, object) == 0), "it was freed before");
    CHECK_PANICS(CHECK(ash_krealloc(heap, object, 100) == NULL), "it was freed before");
    CHECK_PANICS(CHECK(ash_krealloc(heap, object, 1) == NULL), "it was freed before");
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(heap, hardened_refuses_size_and_resize_of_a_freed_object) {
    size_and_resize_of_what_was_freed(ASH_SLAB_HARDENED);
}

TEST_CASE(heap, debug_refuses_size_and_resize_of_a_freed_object) {
    size_and_resize_of_what_was_freed(ASH_SLAB_DEBUG);
}

/* The checker: each seeded corruption is found, by its number. */

#define CHECK_FINDS(number, corruption, repair)                                   \
    do {                                                                          \
        corruption;                                                               \
        const char *found = ash_heap_check(heap);                                 \
        repair;                                                                   \
        CHECK(found != NULL);                                                     \
        if (strncmp(found, number, strlen(number)) != 0)                          \
            test_fail(__FILE__, __LINE__, "expected %s, got: %s", number, found); \
        CHECK_HEAP_SOUND(heap);                                                   \
    } while (0)

TEST_CASE(heap, checker_finds_seeded_corruption) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    struct ash_page_source *source = &pages->source;
    void *large = ash_kmalloc(heap, 9000), *page = ash_kmalloc(heap, 4096);
    CHECK_HEAP_SOUND(heap);
    uint16_t *head = &source->map[((uintptr_t)large - source->base) >> ASH_PAGE_SHIFT];
    uint16_t before = *head;
    struct ash_slab_cache **first = &source->caches[heap->first_id];
    CHECK_FINDS("H1", heap->first_id++, heap->first_id--);
    CHECK_FINDS("H1", *first = &heap->caches[1], *first = &heap->caches[0]);
    CHECK_FINDS("H2", head[1] = before, head[1] = 0);
    CHECK_FINDS("H2", head[3] = (uint16_t)heap->first_id, head[3] = 0);
    CHECK_FINDS("H2", *head = (uint16_t)(before + 20), *head = before);
    CHECK_FINDS("H3", *head = 0, *head = before);
    CHECK_FINDS("H3", *head = (uint16_t)(before - 1), *head = before);
    CHECK_FINDS("H3", heap->large_bytes++, heap->large_bytes--);
    CHECK_FINDS("H3", heap->large_frees++, heap->large_frees--);
    CHECK_FINDS("H3", heap->large_peak_bytes = 4096, heap->large_peak_bytes = 20480);
    ash_kfree(heap, large);
    ash_kfree(heap, page);
    CHECK_HEAP_SOUND(heap);
}

TEST_CASE(heap, checker_finds_a_large_block_that_sticks_out_of_the_range) {
    struct fake_pages *pages = fake_pages_new(13);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    for (uint32_t i = 0; i < 13; i++)
        CHECK(ash_kmalloc(heap, 4096) != NULL);
    uint16_t *last = &pages->source.map[12], before = *last;
    CHECK_FINDS("H2", *last = (uint16_t)(before + 2), *last = before);
}
