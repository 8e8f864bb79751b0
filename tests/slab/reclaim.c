/* SPDX-License-Identifier: MIT */
/* What a page source without pages makes its caches do: how deep it goes, how often, and what is
 * left when it ends in a panic. */
#include "fake_pages.h"
#include "harness/test.h"

enum { SLABS = 40, FILL = 7 * SLABS }; /* 7 objects of 512 bytes in a page */

static struct ash_slab_cache *new_cache(struct fake_pages *pages, const char *name,
                                        void (*fini)(void *object, void *context), void *context) {
    struct ash_slab_cache *cache = test_alloc(sizeof(*cache), ASH_PORT_CACHE_LINE);
    struct ash_slab_config config = {.name = name,
                                     .size_bytes = 512,
                                     .slab_bytes = ASH_PAGE_SIZE,
                                     .empty_max = SLABS,
                                     .fini = fini,
                                     .context = context,
                                     .source = &pages->source};
    CHECK_EQ(ash_slab_cache_init(cache, &config), 0);
    return cache;
}

/* So many slabs, all empty. */
static void leave_empty_slabs(struct ash_slab_cache *cache) {
    static void *objects[FILL];
    for (uint32_t i = 0; i < FILL; i++)
        CHECK((objects[i] = ash_slab_alloc(cache)) != NULL);
    for (uint32_t i = 0; i < FILL; i++)
        ash_slab_free(cache, objects[i]);
}

/* Against the contract: fini allocates, and keeps what it gets. */
struct greedy {
    struct ash_slab_cache *from;
    uint32_t depth, deepest, got;
};

static void greedy_fini(void *object, void *context) {
    struct greedy *greedy = context;
    (void)object;
    if (++greedy->depth > greedy->deepest)
        greedy->deepest = greedy->depth;
    greedy->got += ash_slab_alloc(greedy->from) != NULL;
    greedy->depth--;
}

TEST_CASE(slab_reclaim, fini_that_allocates_comes_back_to_itself_once_at_most) {
    struct fake_pages *pages = fake_pages_new(SLABS + 8);
    struct greedy greedy = {0};
    struct ash_slab_cache *cache = new_cache(pages, "freed", greedy_fini, &greedy);
    greedy.from = new_cache(pages, "wanted", NULL, NULL);
    leave_empty_slabs(cache);
    pages->fail_at = 1;
    pages->fail_count = UINT64_MAX;
    CHECK(ash_slab_cache_shrink(cache) != 0);
    CHECK_EQ(greedy.deepest, 2); /* the shrink, and one reclaim */
    CHECK_EQ(greedy.got, 0);
    CHECK_EQ(pages->used, 0);
    CHECK(ash_slab_cache_check(cache) == NULL);
}

/* Each is given back once in a chain, however many there are. */
TEST_CASE(slab_reclaim, depth_is_bounded_by_the_caches_with_such_a_fini) {
    enum { CACHES = 3 };
    struct fake_pages *pages = fake_pages_new(CACHES * SLABS + 16);
    struct greedy greedy = {0};
    struct ash_slab_cache *caches[CACHES];
    for (uint32_t i = 0; i < CACHES; i++)
        caches[i] = new_cache(pages, "freed", greedy_fini, &greedy);
    greedy.from = new_cache(pages, "wanted", NULL, NULL);
    for (uint32_t i = 0; i < CACHES; i++)
        leave_empty_slabs(caches[i]);
    pages->fail_at = 1;
    pages->fail_count = UINT64_MAX;
    CHECK(ash_page_source_reclaim(&pages->source) != 0);
    CHECK_EQ(greedy.deepest, CACHES);
    CHECK_EQ(pages->used, 0);
}

/* Each reclaim asks every cache's CPUs for what they hold. */
static uint32_t reclaims_of(const struct ash_slab_cache *cache) {
    return cache->flush_wanted;
}

static struct ash_heap *new_heap(struct fake_pages *pages) {
    struct ash_heap *heap = test_alloc(sizeof(*heap), ASH_PORT_CACHE_LINE);
    const struct ash_heap_config config = {.source = &pages->source};
    void *storage = test_alloc(ASH_HEAP_STORAGE_SIX, ASH_PORT_CACHE_LINE);
    CHECK_EQ(ash_heap_init(heap, &config, storage, ASH_HEAP_STORAGE_SIX), 0);
    return heap;
}

enum {
    PAGES = 64,
    TOO_LARGE = (PAGES / 2 + 1) << ASH_PAGE_SHIFT
}; /* the whole, of which something is out */

TEST_CASE(slab_reclaim, block_refused_again_and_again_costs_one_reclaim) {
    struct fake_pages *pages = fake_pages_new(PAGES);
    struct ash_heap *heap = new_heap(pages);
    struct ash_slab_cache *cache = ash_heap_cache(heap, 2);
    void *kept = ash_kmalloc(heap, 64);
    for (uint32_t round = 0; round < 20; round++) {
        CHECK(ash_kmalloc(heap, TOO_LARGE) == NULL);
        for (uint32_t i = 0; i < 10; i++)
            ash_kfree(heap, ash_kmalloc(heap, 64));
    }
    CHECK_EQ(reclaims_of(cache), 1);
    CHECK_EQ(pages->used, ASH_SLAB_BYTES_DEFAULT / ASH_PAGE_SIZE + 1); /* and of magazines */
    ash_kfree(heap, kept);
    CHECK_EQ(ash_heap_fini(heap), 0);
}

/* Wherever freed objects come to rest, but for the CPU's own magazines. */
TEST_CASE(slab_reclaim, block_refused_is_asked_for_again_once_objects_came_back) {
    static void *objects[2000];
    struct fake_pages *pages = fake_pages_new(PAGES);
    struct ash_heap *heap = new_heap(pages);
    ash_kfree(heap, ash_kmalloc(heap, TOO_LARGE));
    for (uint32_t count = 2 * 118 + 1; count <= 2000; count += 441) {
        for (uint32_t i = 0; i < count; i++)
            CHECK((objects[i] = ash_kmalloc(heap, 64)) != NULL);
        CHECK(ash_kmalloc(heap, TOO_LARGE) == NULL);
        for (uint32_t i = 0; i < count; i++)
            ash_kfree(heap, objects[i]);
        void *large = ash_kmalloc(heap, TOO_LARGE);
        CHECK(large != NULL);
        ash_kfree(heap, large);
    }
    CHECK_EQ(ash_heap_fini(heap), 0);
}

/* What fits into a slab's place is worth every cache's magazines: the last frame is found. */
TEST_CASE(slab_reclaim, small_block_refused_costs_a_reclaim_each_time) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_heap *heap = new_heap(pages);
    struct ash_slab_cache *cache = ash_heap_cache(heap, 2);
    while (ash_kmalloc(heap, 4096) != NULL) {}
    uint32_t before = reclaims_of(cache);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(ash_kmalloc(heap, ASH_SLAB_BYTES_MAX) == NULL);
    CHECK_EQ(reclaims_of(cache), before + 3);
}

/* A wrong pointer that a reclaim brings to light. */
TEST_CASE(slab_reclaim, wrong_free_that_comes_to_light_leaves_caches_that_can_be_unmade) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    struct fake_pages *pages = fake_pages_new(PAGES);
    struct ash_slab_cache *cache = new_cache(pages, "wronged", NULL, NULL);
    void *object = ash_slab_alloc(cache);
    ash_slab_free(cache, object);
    ash_slab_free(cache, object);
    CHECK_PANICS((void)ash_page_source_reclaim(&pages->source), "double free");
    CHECK_EQ(cache->visitors, 0);
    object = ash_slab_alloc(cache);
    ash_slab_free(cache, object);
    ash_slab_free(cache, object);
    CHECK_PANICS((void)!ash_slab_cache_fini(cache), "double free");
    CHECK(!cache->closed);
    CHECK(ash_slab_cache_check(cache) == NULL);
    CHECK_EQ(ash_slab_cache_fini(cache), 0);
    CHECK_EQ(pages->used, 0);
}

/* Class 64 refuses to end: the classes before and behind it must not have ended either. */
TEST_CASE(slab_reclaim, heap_whose_end_brings_a_wrong_free_to_light_stays_whole) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    struct fake_pages *pages = fake_pages_new(PAGES);
    struct ash_heap *heap = new_heap(pages);
    void *kept = ash_kmalloc(heap, 64), *object = ash_kmalloc(heap, 64);
    ash_kfree(heap, object);
    ash_kfree(heap, object); /* used is 0, as far as can be counted */
    CHECK_PANICS((void)!ash_heap_fini(heap), "double free");
    CHECK(ash_heap_check(heap) == NULL);
    CHECK_EQ(ash_heap_fini(heap), -ASH_EBUSY);
    for (uint32_t i = 0; i < ash_heap_class_count(heap); i++)
        CHECK(!ash_heap_cache(heap, i)->closed);
    ash_kfree(heap, kept);
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}
