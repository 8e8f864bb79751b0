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

/* As slab.h says. */
TEST_CASE(slab, cache_is_two_lines_a_cpu_and_less_than_a_kibibyte) {
    CHECK(sizeof(struct ash_slab_cache) <= 2 * ASH_PORT_CACHE_LINE * ASH_PORT_CPUS_MAX + 832);
}

TEST_CASE(slab, init_refuses_what_is_out_of_range) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_slab_cache cache;
    struct ash_slab_config good = config_of(pages, 8), bad;
    CHECK_EQ(ash_slab_cache_init(&cache, &good), 0);
    CHECK_EQ(ash_slab_cache_init(&cache, NULL), -ASH_EINVAL);
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
    CHECK_REFUSED(flags, 1u << 31);
    CHECK_REFUSED(magazine_objects, ASH_SLAB_MAGAZINE_MAX + 1);
    CHECK_REFUSED(depot_magazines, ASH_SLAB_DEPOT_MAX + 1);
#undef CHECK_REFUSED
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
        uint32_t count = cache.slabs.objects + 1;
        void **objects = test_alloc(count * sizeof(void *), 8);
        fill(&cache, objects, count);
        for (uint32_t i = 0; i < count; i++) {
            CHECK(ash_is_aligned((uintptr_t)objects[i],
                                 ash_max_u64(config.align_bytes, ASH_SLAB_ALIGN_MIN)));
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
    CHECK_EQ(life.inited, cache.slabs.objects);
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
