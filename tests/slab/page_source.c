/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/page_source.h>: the page map, the numbers of caches, low memory. */
#include "fake_pages.h"
#include "harness/test.h"

#include "slab_internal.h"

TEST_CASE(page_source, init_refuses_what_is_out_of_range) {
    struct fake_pages *pages = fake_pages_new(4);
    const struct ash_page_source_config good = {
        .ops = pages->source.ops, .base = pages->base, .len_pages = 4};
    struct ash_page_source_config bad;
    struct ash_page_source source;
    size_t bytes = ash_page_source_storage_size(&good);
    char *storage = test_alloc(bytes + 8, 8);
    CHECK_EQ(bytes, (ASH_PAGE_SOURCE_CACHES_DEFAULT + 1) * 8 + 8);
    CHECK_EQ(ash_page_source_storage_size(NULL), 0);
    CHECK_EQ(ash_page_source_init(&source, NULL, storage, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_page_source_init(&source, &good, NULL, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_page_source_init(&source, &good, storage, bytes - 1), -ASH_EINVAL);
    CHECK_EQ(ash_page_source_init(&source, &good, storage + 1, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_page_source_init(&source, &good, storage, bytes), 0);
    struct ash_page_source_ops ops = {0};
#define CHECK_REFUSED(field, value)                                                 \
    do {                                                                            \
        bad = good;                                                                 \
        bad.field = (value);                                                        \
        CHECK_EQ(ash_page_source_storage_size(&bad), 0);                            \
        CHECK_EQ(ash_page_source_init(&source, &bad, storage, bytes), -ASH_EINVAL); \
    } while (0)
    CHECK_REFUSED(ops, NULL);
    CHECK_REFUSED(ops, &ops);
    CHECK_REFUSED(base, pages->base + 8);
    CHECK_REFUSED(base, (void *)~(uintptr_t)0xfff);
    CHECK_REFUSED(len_pages, 0);
    CHECK_REFUSED(len_pages, ASH_PAGE_SOURCE_PAGES_MAX + 1);
    CHECK_REFUSED(len_pages, UINT64_MAX);
    CHECK_REFUSED(caches_max, ASH_PAGE_SOURCE_CACHES_MAX + 1);
    CHECK_REFUSED(caches_max, UINT32_MAX);
#undef CHECK_REFUSED
}

TEST_CASE(page_source, map_answers_for_every_pointer) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_page_source *source = &pages->source;
    ash__source_mark(source, pages->base + 4 * ASH_PAGE_SIZE, 2, 77);
    for (uint32_t page = 0; page < 16; page++) {
        uint32_t expected = page / 4 == 1 ? 77 : 0;
        CHECK_EQ(ash__source_entry(source, pages->base + page * ASH_PAGE_SIZE), expected);
        CHECK_EQ(ash__source_entry(source, pages->base + page * ASH_PAGE_SIZE + 4095), expected);
    }
    CHECK_EQ(ash__source_entry(source, pages->base - 1), 0);
    CHECK_EQ(ash__source_entry(source, pages->base + 16 * ASH_PAGE_SIZE), 0);
    CHECK_EQ(ash__source_entry(source, NULL), 0);
    CHECK_EQ(ash__source_entry(source, (void *)UINTPTR_MAX), 0);
}

TEST_CASE(page_source, large_block_is_found_from_each_of_its_pages_and_no_other) {
    struct fake_pages *pages = fake_pages_new(32);
    struct ash_page_source *source = &pages->source;
    char *large = pages->base + 8 * ASH_PAGE_SIZE;
    ash__source_mark_large(source, large, 3, 511);
    ash__source_mark_large(source, pages->base + 16 * ASH_PAGE_SIZE, 0, 0);
    for (uint32_t page = 0; page < 32; page++) {
        const char *pointer = pages->base + page * ASH_PAGE_SIZE + 5;
        const void *head = ash__source_large_around(source, pointer);
        CHECK(head == (page / 8 == 1 ? large : page == 16 ? pointer - 5 : NULL));
    }
    CHECK(ash__source_large_around(source, NULL) == NULL);
    CHECK(ash__source_large_around(source, (void *)UINTPTR_MAX) == NULL);
}

TEST_CASE(page_source, caches_get_numbers_in_a_row_and_give_them_back) {
    struct fake_pages *pages = fake_pages_new(4);
    struct ash_page_source *source = &pages->source;
    struct ash_slab_cache *caches =
        test_alloc((ASH_PAGE_SOURCE_CACHES_DEFAULT + 1) * sizeof(*caches), 64);
    uint32_t first;
    CHECK_EQ(ash__source_register(source, caches, 3, &first), 0);
    CHECK_EQ(first, 1);
    ash__source_unregister(source, &caches[1]);
    CHECK(ash__source_cache(source, 2) == NULL);
    CHECK_EQ(ash__source_register(source, &caches[3], 2, &first), 0);
    CHECK_EQ(first, 4);
    CHECK(ash__source_cache(source, 5) == &caches[4]);
    CHECK_EQ(ash__source_register(source, &caches[1], 1, &first), 0);
    CHECK_EQ(first, 2);
    CHECK_EQ(ash__source_register(source, &caches[5], 251, &first), 0);
    CHECK_EQ(ash__source_register(source, &caches[256], 1, &first), -ASH_ENOSPC);
    CHECK(ash__source_cache(source, UINT32_MAX) == NULL);
}

static struct ash_slab_cache *new_cache(struct fake_pages *pages) {
    struct ash_slab_cache *cache = test_alloc(sizeof(*cache), 64);
    struct ash_slab_config config = {.name = "thing",
                                     .size_bytes = 512,
                                     .slab_bytes = ASH_PAGE_SIZE,
                                     .empty_max = 8,
                                     .source = &pages->source};
    CHECK_EQ(ash_slab_cache_init(cache, &config), 0);
    return cache;
}

TEST_CASE(page_source, reclaim_takes_what_every_cache_can_spare) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_slab_cache *a = new_cache(pages), *b = new_cache(pages);
    ash_slab_free(a, ash_slab_alloc(a));
    ash_slab_free(b, ash_slab_alloc(b));
    CHECK_EQ(pages->used, 4); /* a slab and a page for magazines each */
    CHECK_EQ(ash_page_source_reclaim(&pages->source), 4);
    CHECK_EQ(pages->used, 0);
    CHECK_EQ(ash_page_source_reclaim(&pages->source), 0);
    CHECK_EQ(ash_slab_cache_fini(a), 0);
    CHECK_EQ(ash_slab_cache_fini(b), 0);
}

TEST_CASE(page_source, no_page_left_is_met_with_the_other_caches_spare_ones) {
    struct fake_pages *pages = fake_pages_new(1);
    struct ash_slab_cache *a = new_cache(pages), *b = new_cache(pages);
    ash_slab_free(a, ash_slab_alloc(a));
    void *object = ash_slab_alloc(b);
    CHECK(object != NULL);
    CHECK(ash_slab_alloc(a) == NULL);
    ash_slab_free(b, object);
    CHECK_EQ(ash_slab_cache_fini(a), 0);
    CHECK_EQ(ash_slab_cache_fini(b), 0);
    CHECK_EQ(pages->used, 0);
}

/* A cache that is being taken down is left alone, and one that stayed, busy, is not. */
TEST_CASE(page_source, reclaim_passes_by_a_cache_that_is_closed) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_slab_cache *cache = new_cache(pages);
    void *object = ash_slab_alloc(cache);
    ash_slab_free(cache, ash_slab_alloc(cache));
    ash__source_close(&pages->source, cache);
    uint32_t used = pages->used;
    CHECK_EQ(ash_page_source_reclaim(&pages->source), 0);
    CHECK_EQ(pages->used, used);
    ash__source_open(&pages->source, cache);
    CHECK_EQ(ash_slab_cache_fini(cache), -ASH_EBUSY);
    ash_slab_free(cache, object);
    CHECK(ash_page_source_reclaim(&pages->source) != 0);
    CHECK_EQ(pages->used, 0);
    CHECK_EQ(ash_slab_cache_fini(cache), 0);
}

static struct fake_pages *owner_of_pages;
static void *spare;

static bool give_spare(void *context) {
    if (spare == NULL)
        return false;
    owner_of_pages->source.ops->free(context, spare, 0);
    spare = NULL;
    return true;
}

TEST_CASE(page_source, owner_is_asked_when_the_caches_have_nothing_to_spare) {
    struct fake_pages *pages = owner_of_pages = fake_pages_new(1);
    struct ash_page_source_ops ops = *pages->source.ops;
    struct ash_slab_cache *cache = new_cache(pages);
    spare = fake_pages_alloc(pages, 0);
    CHECK(ash_slab_alloc(cache) == NULL);
    ops.reclaim = give_spare;
    pages->source.ops = &ops;
    void *object = ash_slab_alloc(cache);
    CHECK(object != NULL);
    ash_slab_free(cache, object);
    CHECK_EQ(ash_slab_cache_fini(cache), 0);
}

TEST_CASE(page_source, block_outside_of_the_range_panics) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    struct fake_pages *pages = fake_pages_new(16);
    pages->offset_bytes = 16 * ASH_PAGE_SIZE;
    CHECK_PANICS(CHECK(ash__source_alloc(&pages->source, 3, true) == NULL), "outside of");
    pages->offset_bytes = 4 * ASH_PAGE_SIZE;
    CHECK_PANICS(CHECK(ash__source_alloc(&pages->source, 3, true) == NULL), "aligned");
}
