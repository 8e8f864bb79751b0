/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/slab.h>: life, layout, lists, constructors, statistics. */
#include "fake_pages.h"
#include "harness/test.h"

#include "slab_internal.h"

static struct ash_slab_config config_of(struct fake_pages *pages, size_t size_bytes) {
    return (struct ash_slab_config){
        .name = "thing", .size_bytes = size_bytes, .source = &pages->source};
}

/* Allocates until `count` objects are out. */
static void fill(struct ash_slab_cache *cache, void **objects, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        objects[i] = ash_slab_alloc(cache);
        CHECK(objects[i] != NULL);
    }
}

TEST_CASE(slab, init_refuses_what_is_out_of_range) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_slab_cache cache;
    struct ash_slab_config good = config_of(pages, 8), bad;
    CHECK_EQ(ash_slab_cache_init(&cache, &good), 0);
#define CHECK_REFUSED(field, value)                               \
    do {                                                          \
        bad = good;                                               \
        bad.field = (value);                                      \
        CHECK_EQ(ash_slab_cache_init(&cache, &bad), -ASH_EINVAL); \
    } while (0)
    CHECK_REFUSED(name, NULL);
    CHECK_REFUSED(size_bytes, 0);
    CHECK_REFUSED(size_bytes, ASH_SLAB_SIZE_MAX + 1);
    CHECK_REFUSED(size_bytes, SIZE_MAX);
    CHECK_REFUSED(align_bytes, 24);
    CHECK_REFUSED(align_bytes, ASH_SLAB_ALIGN_MAX * 2);
    CHECK_REFUSED(align_bytes, SIZE_MAX);
    CHECK_REFUSED(slab_bytes, ASH_PAGE_SIZE / 2);
    CHECK_REFUSED(slab_bytes, ASH_PAGE_SIZE * 3);
    CHECK_REFUSED(slab_bytes, ASH_SLAB_BYTES_MAX * 2);
    CHECK_REFUSED(empty_max, ASH_SLAB_EMPTY_MAX_LIMIT + 1);
    CHECK_REFUSED(source, NULL);
#undef CHECK_REFUSED
}

/* The counts of objects are of 32 bits: a machine that has the memory meets a limit, not a wrap. */
TEST_CASE(slab, no_cache_grows_beyond_its_counts) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_slab_config config = config_of(pages, 64);
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    uint32_t most = ASH_SLAB_OBJECTS_MAX / cache.objects;
    cache.slabs = most; /* as if so many were full */
    cache.used = most * cache.objects;
    CHECK(ash_slab_alloc(&cache) == NULL);
    CHECK_EQ(cache.failures, 1);
    CHECK_EQ(pages->calls, 0);
    cache.slabs = cache.used = 0;
    void *object = ash_slab_alloc(&cache);
    CHECK(object != NULL);
    ash_slab_free(&cache, object);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
}

TEST_CASE(slab, new_cache_takes_no_page) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_slab_config config = config_of(pages, 64);
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    CHECK_EQ(pages->calls, 0);
    CHECK(ash_slab_cache_check(&cache) == NULL);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
}

/* Whatever is asked for: objects lie behind the bitmap, inside the slab, and waste is bounded. */
static void check_layout(const struct ash_slab_cache *cache) {
    uint32_t slab_bytes = (uint32_t)ASH_PAGE_SIZE << cache->order;
    uint32_t header = (uint32_t)sizeof(struct ash__slab) + (cache->objects + 63) / 64 * 8;
    CHECK(cache->stride >= cache->config.size_bytes);
    CHECK(ash_is_aligned(cache->stride, cache->config.align_bytes));
    CHECK(ash_is_aligned(cache->first, cache->config.align_bytes));
    CHECK(cache->objects >= 1 && cache->objects <= OBJECTS_MAX);
    CHECK(cache->first >= header);
    CHECK(cache->first + cache->objects * cache->stride <= slab_bytes);
    CHECK((slab_bytes - cache->objects * cache->stride) * 8 <= slab_bytes);
    CHECK(cache->mask == slab_bytes - 1 && slab_bytes <= ASH_SLAB_BYTES_MAX);
}

TEST_CASE(slab, every_size_and_alignment_wastes_at_most_an_eighth) {
    struct fake_pages *pages = fake_pages_new(1);
    struct ash_slab_cache cache;
    struct ash_slab_config config = config_of(pages, 1);
    for (config.align_bytes = 1; config.align_bytes <= ASH_SLAB_ALIGN_MAX;
         config.align_bytes *= 2) {
        for (config.slab_bytes = 4096; config.slab_bytes <= 65536; config.slab_bytes *= 2) {
            uint32_t step = config.slab_bytes == ASH_SLAB_BYTES_DEFAULT ? 1 : 61;
            for (config.size_bytes = 1; config.size_bytes <= 8192; config.size_bytes += step) {
                CHECK_EQ(ash__slab_cache_prepare(&cache, &config), 0);
                check_layout(&cache);
            }
        }
    }
}

/* floor(offset / stride) is monotonic, so both sides of each step are the whole proof. */
TEST_CASE(slab, index_by_reciprocal_is_exact_for_every_stride_and_offset) {
    struct fake_pages *pages = fake_pages_new(1);
    struct ash_slab_cache cache;
    struct ash_slab_config config = config_of(pages, 8);
    for (config.size_bytes = 8; config.size_bytes <= 8192; config.size_bytes += 8) {
        CHECK_EQ(ash__slab_cache_prepare(&cache, &config), 0);
        for (uint32_t i = 0; i * cache.stride < ASH_SLAB_BYTES_MAX; i++) {
            CHECK_EQ(ash__slab_index(&cache, i * cache.stride), i);
            CHECK_EQ(ash__slab_index(&cache, (i + 1) * cache.stride - 1), i);
        }
        for (uint32_t below = 1; below <= cache.first; below++)
            CHECK(ash__slab_index(&cache, 0u - below) >= OBJECTS_MAX);
    }
}

TEST_CASE(slab, objects_are_aligned_and_do_not_overlap) {
    static const struct {
        size_t size, align;
    } shapes[] = {{1, 0}, {24, 8}, {100, 64}, {512, 512}, {1000, 16}, {4096, 4096}};
    struct fake_pages *pages = fake_pages_new(64);
    for (uint32_t s = 0; s < ASH_ARRAY_LEN(shapes); s++) {
        struct ash_slab_config config = config_of(pages, shapes[s].size);
        config.align_bytes = shapes[s].align;
        struct ash_slab_cache cache;
        CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
        uint32_t count = cache.objects + 1;
        void **objects = test_alloc(count * sizeof(void *), 8);
        fill(&cache, objects, count);
        for (uint32_t i = 0; i < count; i++) {
            CHECK(ash_is_aligned((uintptr_t)objects[i], cache.config.align_bytes));
            memset(objects[i], (int)(i & 0xff), shapes[s].size);
        }
        for (uint32_t i = 0; i < count; i++) {
            const uint8_t *bytes = objects[i];
            for (size_t b = 0; b < shapes[s].size; b++)
                CHECK_EQ(bytes[b], i & 0xff);
        }
        CHECK(ash_slab_cache_check(&cache) == NULL);
        for (uint32_t i = 0; i < count; i++)
            ash_slab_free(&cache, objects[i]);
        CHECK_EQ(ash_slab_cache_fini(&cache), 0);
        CHECK_EQ(pages->used, 0);
    }
}

TEST_CASE(slab, freed_object_is_the_next_one_and_keeps_its_bytes) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_slab_config config = config_of(pages, 48);
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    char *object = ash_slab_alloc(&cache), before[48];
    CHECK(object != NULL);
    for (uint32_t i = 0; i < sizeof(before); i++)
        object[i] = before[i] = (char)(i * 7);
    ash_slab_free(&cache, object);
    CHECK_MEM_EQ(object, before, sizeof(before));
    CHECK(ash_slab_alloc(&cache) == object);
    CHECK_MEM_EQ(object, before, sizeof(before));
}

struct life {
    uint32_t inited, finied;
};

static int init(void *object, void *context) {
    ((struct life *)context)->inited++;
    *(uint64_t *)object = UINT64_C(0xc0ffee);
    return 0;
}

static void fini(void *object, void *context) {
    ((struct life *)context)->finied++;
    ash_store_relaxed((uint64_t *)object, 0);
}

TEST_CASE(slab, init_runs_once_per_object_and_fini_when_the_slab_goes) {
    struct fake_pages *pages = fake_pages_new(16);
    struct life life = {0};
    struct ash_slab_config config = config_of(pages, 256);
    config.init = init;
    config.fini = fini;
    config.context = &life;
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t *object = ash_slab_alloc(&cache);
        CHECK(object != NULL);
        CHECK_EQ(*object, 0xc0ffee);
        ash_slab_free(&cache, object);
    }
    CHECK_EQ(life.inited, cache.objects);
    CHECK_EQ(life.finied, 0);
    CHECK_EQ(ash_slab_cache_shrink(&cache), 1);
    CHECK_EQ(life.finied, life.inited);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
    CHECK_EQ(life.finied, life.inited);
}

TEST_CASE(slab, fini_with_objects_out_is_busy_and_loses_nothing) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_slab_config config = config_of(pages, 64);
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    void *a = ash_slab_alloc(&cache), *b = ash_slab_alloc(&cache);
    CHECK_EQ(ash_slab_cache_fini(&cache), -ASH_EBUSY);
    CHECK(ash_slab_cache_check(&cache) == NULL);
    ash_slab_free(&cache, a);
    CHECK_EQ(ash_slab_cache_fini(&cache), -ASH_EBUSY);
    CHECK(ash_slab_alloc(&cache) == a);
    ash_slab_free(&cache, a);
    ash_slab_free(&cache, b);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
    CHECK_EQ(pages->used, 0);
}

/* Fills five slabs, empties all, and counts what stays: the one in use and empty_max others. */
TEST_CASE(slab, no_more_empty_slabs_are_kept_than_configured) {
    for (uint32_t empty_max = 0; empty_max <= 3; empty_max++) {
        struct fake_pages *pages = fake_pages_new(5);
        struct ash_slab_config config = config_of(pages, 512);
        config.slab_bytes = ASH_PAGE_SIZE;
        config.empty_max = empty_max;
        struct ash_slab_cache cache;
        CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
        void *objects[5 * 7];
        CHECK_EQ(cache.objects, 7);
        fill(&cache, objects, 35);
        CHECK_EQ(pages->used, 5);
        CHECK(ash_slab_alloc(&cache) == NULL);
        for (uint32_t i = 0; i < 35; i++) {
            ash_slab_free(&cache, objects[i]);
            CHECK(ash_slab_cache_check(&cache) == NULL);
        }
        CHECK_EQ(pages->used, 1 + empty_max);
        CHECK_EQ(cache.releases, 5 - 1 - empty_max);
        CHECK_EQ(ash_slab_cache_shrink(&cache), 1 + empty_max);
        CHECK_EQ(pages->used, 0);
        CHECK_EQ(ash_slab_cache_shrink(&cache), 0);
        CHECK_EQ(ash_slab_cache_fini(&cache), 0);
    }
}

TEST_CASE(slab, shrink_keeps_slabs_with_objects) {
    struct fake_pages *pages = fake_pages_new(8);
    struct ash_slab_config config = config_of(pages, 512);
    config.slab_bytes = ASH_PAGE_SIZE;
    config.empty_max = 8;
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    void *objects[21];
    fill(&cache, objects, 21);
    for (uint32_t i = 0; i < 21; i++) {
        if (i != 7)
            ash_slab_free(&cache, objects[i]);
    }
    CHECK_EQ(ash_slab_cache_shrink(&cache), 2);
    CHECK_EQ(pages->used, 1);
    CHECK(ash_slab_cache_check(&cache) == NULL);
    ash_slab_free(&cache, objects[7]);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
}

/* Slab A keeps 6 of 7 objects, B one of 7: once the active slab is full, A is used first. */
TEST_CASE(slab, fuller_slabs_are_used_before_sparse_ones) {
    struct fake_pages *pages = fake_pages_new(8);
    struct ash_slab_config config = config_of(pages, 512);
    config.slab_bytes = ASH_PAGE_SIZE;
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    void *objects[21];
    fill(&cache, objects, 21);
    for (uint32_t i = 1; i < 7; i++)
        ash_slab_free(&cache, objects[i]);
    ash_slab_free(&cache, objects[7]);
    CHECK(ash_slab_cache_check(&cache) == NULL);
    CHECK(ash_slab_alloc(&cache) == objects[7]);
    void *next = ash_slab_alloc(&cache);
    CHECK(ash__slab_of(&cache, next) == ash__slab_of(&cache, objects[0]));
    CHECK_EQ(cache.slabs, 3);
}

TEST_CASE(slab, statistics_count_what_happened) {
    struct fake_pages *pages = fake_pages_new(2);
    struct ash_slab_config config = config_of(pages, 500);
    config.slab_bytes = ASH_PAGE_SIZE;
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    void *objects[16];
    fill(&cache, objects, 16);
    CHECK(ash_slab_alloc(&cache) == NULL);
    for (uint32_t i = 0; i < 10; i++)
        ash_slab_free(&cache, objects[i]);
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&cache, &stats);
    CHECK_STR_EQ(stats.name, "thing");
    CHECK_EQ(stats.size_bytes, 500);
    CHECK_EQ(stats.stride_bytes, 504);
    CHECK_EQ(stats.slab_bytes, 4096);
    CHECK_EQ(stats.objects_per_slab, 8);
    CHECK_EQ(stats.waste_bytes, 4096 - 8 * 504);
    CHECK_EQ(stats.slabs, 1);
    CHECK_EQ(stats.empties, 0);
    CHECK_EQ(stats.used, 6);
    CHECK_EQ(stats.peak, 16);
    CHECK_EQ(stats.allocations, 16);
    CHECK_EQ(stats.frees, 10);
    CHECK_EQ(stats.refills, 2);
    CHECK_EQ(stats.releases, 1);
    CHECK_EQ(stats.failures, 1);
    CHECK_EQ(test_event_count("slab.refill"), 2);
    CHECK_EQ(test_event_count("slab.release"), 1);
}

TEST_CASE(slab, lock_is_free_while_the_page_source_works) {
    struct fake_pages *pages = fake_pages_new(8);
    struct ash_slab_config config = config_of(pages, 512);
    config.slab_bytes = ASH_PAGE_SIZE;
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    pages->watched = &cache.lock;
    void *objects[14];
    fill(&cache, objects, 14);
    for (uint32_t i = 0; i < 14; i++)
        ash_slab_free(&cache, objects[i]);
    ash_slab_cache_shrink(&cache);
    CHECK(!pages->watched_was_held);
}

TEST_CASE(slab, page_source_that_misaligns_a_block_panics) {
    struct fake_pages *pages = fake_pages_new(8);
    pages->offset_bytes = 64;
    struct ash_slab_config config = config_of(pages, 512);
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    CHECK_PANICS(CHECK(ash_slab_alloc(&cache) == NULL), "not aligned to its size");
}

/* For every n: the n-th block is refused. Nothing is lost or leaked, and all goes on after. */
TEST_CASE(slab, refused_page_is_null_and_costs_nothing) {
    void *objects[40];
    uint64_t n = 0, calls;
    do {
        struct fake_pages *pages = fake_pages_new(8);
        struct ash_slab_config config = config_of(pages, 512);
        config.slab_bytes = ASH_PAGE_SIZE;
        struct ash_slab_cache cache;
        CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
        pages->fail_at = ++n;
        pages->fail_count = 1;
        uint32_t nulls = 0;
        for (uint32_t i = 0; i < 40; i++) {
            objects[i] = ash_slab_alloc(&cache);
            nulls += objects[i] == NULL;
            CHECK(ash_slab_cache_check(&cache) == NULL);
        }
        calls = pages->calls;
        CHECK_EQ(nulls, n <= calls);
        CHECK_EQ(cache.failures, nulls);
        for (uint32_t i = 0; i < 40; i++) {
            if (objects[i] != NULL)
                ash_slab_free(&cache, objects[i]);
        }
        CHECK_EQ(ash_slab_cache_fini(&cache), 0);
        CHECK_EQ(pages->used, 0);
    } while (n <= calls);
}

/* A slab that was full is used again once 1/16 of it is free, or when there is nothing else. */
TEST_CASE(slab, last_objects_of_nearly_full_slabs_are_found_when_pages_run_out) {
    enum { SLABS = 3, OBJECTS = 63, ALL = SLABS * OBJECTS };
    struct fake_pages *pages = fake_pages_new(SLABS * 8);
    struct ash_slab_config config = config_of(pages, 512);
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    CHECK_EQ(cache.objects, OBJECTS);
    CHECK_EQ(cache.relist, 4);
    void *objects[ALL];
    fill(&cache, objects, ALL);
    for (uint32_t i = 0; i < SLABS; i++)
        ash_slab_free(&cache, objects[i * OBJECTS + 5]);
    CHECK(ash_slab_cache_check(&cache) == NULL);
    for (uint32_t i = 0; i < SLABS; i++) {
        objects[i * OBJECTS + 5] = ash_slab_alloc(&cache);
        CHECK(objects[i * OBJECTS + 5] != NULL);
        CHECK(ash_slab_cache_check(&cache) == NULL);
    }
    CHECK(ash_slab_alloc(&cache) == NULL);
    for (uint32_t i = 0; i < ALL; i++)
        ash_slab_free(&cache, objects[i]);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
    CHECK_EQ(pages->used, 0);
}

/* While the page source works another CPU ... */

struct race {
    struct ash_slab_cache cache;
    struct fake_pages *pages;
    void *objects[8];
};

static struct race *new_race(uint32_t empty_max) {
    struct race *race = test_alloc(sizeof(*race), 64);
    race->pages = fake_pages_new(8);
    race->pages->meanwhile_context = race;
    struct ash_slab_config config = config_of(race->pages, 512);
    config.slab_bytes = ASH_PAGE_SIZE;
    config.empty_max = empty_max;
    CHECK_EQ(ash_slab_cache_init(&race->cache, &config), 0);
    return race;
}

static void end_race(struct race *race) {
    CHECK(ash_slab_cache_check(&race->cache) == NULL);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(race->objects); i++) {
        if (race->objects[i] != NULL)
            ash_slab_free(&race->cache, race->objects[i]);
    }
    CHECK_EQ(ash_slab_cache_fini(&race->cache), 0);
    CHECK_EQ(race->pages->used, 0);
}

static void allocate_meanwhile(void *context) {
    struct race *race = context;
    race->objects[0] = ash_slab_alloc(&race->cache);
}

TEST_CASE(slab, two_refills_at_once_keep_both_slabs) {
    struct race *race = new_race(0);
    race->pages->meanwhile = allocate_meanwhile;
    race->objects[1] = ash_slab_alloc(&race->cache);
    CHECK(race->objects[0] != NULL && race->objects[1] != NULL);
    CHECK_EQ(race->cache.slabs, 2);
    end_race(race);
}

static void allocate_and_free_meanwhile(void *context) {
    struct race *race = context;
    ash_slab_free(&race->cache, ash_slab_alloc(&race->cache));
}

TEST_CASE(slab, two_refills_at_once_give_one_back_that_is_empty) {
    for (uint32_t empty_max = 0; empty_max < 2; empty_max++) {
        struct race *race = new_race(empty_max);
        race->pages->meanwhile = allocate_and_free_meanwhile;
        race->objects[0] = ash_slab_alloc(&race->cache);
        CHECK(race->objects[0] != NULL);
        CHECK_EQ(race->pages->used, 1 + empty_max);
        end_race(race);
    }
}

static void free_meanwhile(void *context) {
    struct race *race = context;
    ash_slab_free(&race->cache, race->objects[3]);
    race->objects[3] = NULL;
}

TEST_CASE(slab, refused_page_but_an_object_freed_meanwhile_is_that_object) {
    struct race *race = new_race(0);
    fill(&race->cache, race->objects, 7);
    void *freed = race->objects[3];
    race->pages->meanwhile = free_meanwhile;
    race->pages->fail_at = 2;
    race->pages->fail_count = 1;
    race->objects[7] = ash_slab_alloc(&race->cache);
    CHECK(race->objects[7] == freed);
    CHECK_EQ(race->cache.failures, 0);
    end_race(race);
}
