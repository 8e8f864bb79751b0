/* SPDX-License-Identifier: MIT */
/*
 * Caches and heaps that are to be unmade while something of them is out, wherever the rest lies and
 * whatever the profile: they refuse, lose nothing and go on working.
 */
#include "harness/as_cpu.h"
#include "heap_fixture.h"

enum { OBJECTS = 60 };

static const uint32_t profiles[] = {0,
                                    ASH_SLAB_INTERRUPTS,
                                    ASH_SLAB_HARDENED,
                                    ASH_SLAB_HARDENED | ASH_SLAB_INTERRUPTS,
                                    ASH_SLAB_DEBUG,
                                    ASH_SLAB_DEBUG | ASH_SLAB_INTERRUPTS};

static void on_destruct(void *object, void *context) {
    (void)object;
    ++*(uint32_t *)context;
}

static void check_refuses(struct ash_slab_cache *cache, uint32_t used) {
    struct ash_slab_stats stats;
    CHECK_EQ(ash_slab_cache_fini(cache), -ASH_EBUSY);
    CHECK(ash_slab_cache_check(cache) == NULL);
    ash_slab_cache_get_stats(cache, &stats);
    CHECK_EQ(stats.used, used);
    void *object = ash_slab_alloc(cache); /* it still serves */
    CHECK(object != NULL);
    ash_slab_free(cache, object);
}

/* Two CPUs' magazines, the depot and the slabs hold free objects; then all but one are free. */
static void refuse(const struct ash_slab_config *config, struct fake_pages *pages) {
    struct ash_slab_cache *cache = test_alloc(sizeof(*cache), ASH_PORT_CACHE_LINE);
    void *objects[OBJECTS];
    CHECK_EQ(ash_slab_cache_init(cache, config), 0);
    for (uint32_t i = 0; i < OBJECTS; i++) {
        objects[i] = ash_slab_alloc(cache);
        CHECK(objects[i] != NULL);
        memset(objects[i], 0x77, config->size_bytes);
    }
    check_refuses(cache, OBJECTS);
    for (uint32_t i = 1; i < OBJECTS; i++) {
        as_cpu(i % 2);
        ash_slab_free(cache, objects[i]);
    }
    for (uint32_t cpu = 0; cpu < 3; cpu++) { /* 2 has not used it */
        as_cpu(cpu);
        check_refuses(cache, 1);
    }
    for (size_t i = 0; i < config->size_bytes; i++)
        CHECK_EQ(((uint8_t *)objects[0])[i], 0x77);
    ash_slab_free(cache, objects[0]);
    CHECK_EQ(ash_slab_cache_fini(cache), 0);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(slab_destroy, cache_with_an_object_out_refuses_and_goes_on) {
    struct fake_pages *pages = fake_pages_new(64);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(profiles); i++) {
        uint32_t destructed = 0;
        struct ash_slab_config config = {.name = "held",
                                         .size_bytes = 200,
                                         .slab_bytes = ASH_PAGE_SIZE,
                                         .flags = profiles[i],
                                         .magazine_objects = 3,
                                         .depot_magazines = 2,
                                         .context = &destructed,
                                         .source = &pages->source};
        refuse(&config, pages);
        config.destruct = on_destruct;
        refuse(&config, pages);
        CHECK_EQ(destructed, OBJECTS + 4); /* and not by fini */
    }
}

TEST_CASE(slab_destroy, cache_with_a_reserve_refuses_and_goes_on) {
    struct fake_pages *pages = fake_pages_new(64);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(profiles); i++) {
        const struct ash_slab_config config = {.name = "held",
                                               .size_bytes = 64,
                                               .slab_bytes = ASH_PAGE_SIZE,
                                               .flags = profiles[i],
                                               .source = &pages->source};
        struct ash_slab_cache *cache = test_alloc(sizeof(*cache), ASH_PORT_CACHE_LINE);
        struct ash_slab_reserve reserve = {0};
        CHECK_EQ(ash_slab_cache_init(cache, &config), 0);
        CHECK_EQ(ash_slab_prefill(cache, &reserve, 2), 0);
        check_refuses(cache, 2);
        void *object = ash_slab_alloc_reserved(cache, &reserve);
        check_refuses(cache, 2);
        ash_slab_unreserve(cache, &reserve);
        check_refuses(cache, 1);
        ash_slab_free(cache, object);
        CHECK_EQ(ash_slab_cache_fini(cache), 0);
        CHECK_EQ(pages->used, 0);
    }
}

TEST_CASE(heap_destroy, heap_with_one_block_out_refuses_and_goes_on) {
    static const size_t sizes[] = {0, 16, 17, 512, 513, 8192, 8193, 70000};
    struct fake_pages *pages = fake_pages_new(512);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(profiles) * ASH_ARRAY_LEN(sizes); i++) {
        size_t size = sizes[i % ASH_ARRAY_LEN(sizes)];
        struct ash_heap *heap = new_heap_with(pages, (enum ash_heap_classes)(i / 3 % 2),
                                              profiles[i / ASH_ARRAY_LEN(sizes)]);
        void *kept = ash_kmalloc(heap, size), *other = ash_kmalloc(heap, 100);
        CHECK(kept != NULL && other != NULL);
        memset(kept, 0x3c, size);
        as_cpu(1);
        ash_kfree(heap, other);
        as_cpu(0);
        for (uint32_t again = 0; again < 2; again++) {
            CHECK_EQ(ash_heap_fini(heap), -ASH_EBUSY);
            CHECK_HEAP_SOUND(heap);
            other = ash_kmalloc(heap, size);
            CHECK(other != NULL && other != kept);
            ash_kfree(heap, other);
        }
        for (size_t at = 0; at < size; at++)
            CHECK_EQ(((uint8_t *)kept)[at], 0x3c);
        ash_kfree(heap, kept);
        CHECK_EQ(ash_heap_fini(heap), 0);
        CHECK_EQ(pages->used, 0);
    }
}
