/* SPDX-License-Identifier: MIT */
/* Each call that takes a size or a count, in each profile, at the values at which something begins,
 * ends or wraps. */
#include "heap_fixture.h"

enum { PAGES = 256, FITS_PAGES = 64, MAGAZINE = 9 };

static const uint32_t profiles[] = {0, ASH_SLAB_INTERRUPTS, ASH_SLAB_HARDENED, ASH_SLAB_DEBUG};

/* Up to FITS_PAGES pages, whatever else is held; then more than there are. */
static const size_t sizes[] = {0,
                               1,
                               2,
                               15,
                               16,
                               17,
                               511,
                               512,
                               513,
                               4095,
                               4096,
                               4097,
                               8191,
                               8192,
                               8193,
                               16384,
                               FITS_PAGES *ASH_PAGE_SIZE - 1,
                               FITS_PAGES *ASH_PAGE_SIZE,
                               PAGES *ASH_PAGE_SIZE + 1,
                               2 * PAGES *ASH_PAGE_SIZE,
                               0x7fffffff,
                               0x80000000,
                               0xffffffff,
                               0x100000000,
                               SIZE_MAX / 2,
                               SIZE_MAX / 2 + 1,
                               SIZE_MAX - 8192,
                               SIZE_MAX - 4096,
                               SIZE_MAX - 4095,
                               SIZE_MAX - 4094,
                               SIZE_MAX - 511,
                               SIZE_MAX - 16,
                               SIZE_MAX - 15,
                               SIZE_MAX - 1,
                               SIZE_MAX};

static void check_block(struct ash_heap *heap, enum ash_heap_classes classes, size_t size,
                        uint8_t *bytes) {
    if (size > FITS_PAGES * ASH_PAGE_SIZE) {
        CHECK(bytes == NULL);
        return;
    }
    CHECK(bytes != NULL);
    CHECK_EQ(ash_ksize(heap, bytes), expected_size(classes, size));
    bytes[0] = 1;
    bytes[ash_ksize(heap, bytes) - 1] = 1;
    ash_kfree(heap, bytes);
}

static void check_size(struct ash_heap *heap, enum ash_heap_classes classes, size_t size) {
    check_block(heap, classes, size, ash_kmalloc(heap, size));
    check_block(heap, classes, size, ash_kzalloc(heap, size));
    check_block(heap, classes, size, ash_kcalloc(heap, size, 1));
    check_block(heap, classes, size, ash_kcalloc(heap, 1, size));
    check_block(heap, classes, size, ash_krealloc(heap, NULL, size));
    uint8_t *bytes = ash_kmalloc(heap, 16);
    CHECK(bytes != NULL);
    uint8_t *moved = ash_krealloc(heap, bytes, size);
    check_block(heap, classes, size, moved);
    if (moved == NULL)
        ash_kfree(heap, bytes);
}

TEST_CASE(heap_boundary, every_size_is_its_block_or_null) {
    struct fake_pages *pages = fake_pages_new(PAGES);
    for (uint32_t i = 0; i < 2 * ASH_ARRAY_LEN(profiles); i++) {
        enum ash_heap_classes classes = (enum ash_heap_classes)(i % 2);
        struct ash_heap *heap = new_heap_with(pages, classes, profiles[i / 2]);
        for (uint32_t at = 0; at < ASH_ARRAY_LEN(sizes); at++) {
            check_size(heap, classes, sizes[at]);
            (void)ash_heap_shrink(heap);
        }
        CHECK_HEAP_SOUND(heap);
        CHECK_EQ(ash_heap_fini(heap), 0);
        CHECK_EQ(pages->used, 0);
    }
}

/* A product is an array if it does not wrap and fits. */
TEST_CASE(heap_boundary, every_product_is_its_array_or_null) {
    struct fake_pages *pages = fake_pages_new(PAGES);
    struct ash_heap *heap = new_heap(pages, ASH_HEAP_SIX);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes) * ASH_ARRAY_LEN(sizes); i++) {
        size_t count = sizes[i / ASH_ARRAY_LEN(sizes)], size = sizes[i % ASH_ARRAY_LEN(sizes)];
        size_t bytes = count != 0 && size > SIZE_MAX / count ? SIZE_MAX : count * size;
        if (bytes > FITS_PAGES * ASH_PAGE_SIZE && bytes <= PAGES * ASH_PAGE_SIZE)
            continue; /* as it happens */
        check_block(heap, ASH_HEAP_SIX, bytes, ash_kcalloc(heap, count, size));
    }
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(pages->used, 0);
}

static bool is_power_of_two_up_to(size_t value, size_t least, size_t most) {
    return value >= least && value <= most && (value & (value - 1)) == 0;
}

/* Two objects that are all there, in a cache that can be made; else why not. */
static void check_cache(struct ash_slab_cache *cache, const struct ash_slab_config *config) {
    bool good = config->size_bytes >= 1 && config->size_bytes <= ASH_SLAB_SIZE_MAX &&
                (config->align_bytes == 0 ||
                 is_power_of_two_up_to(config->align_bytes, 1, ASH_SLAB_ALIGN_MAX)) &&
                (config->slab_bytes == 0 ||
                 is_power_of_two_up_to(config->slab_bytes, ASH_PAGE_SIZE, ASH_SLAB_BYTES_MAX));
    CHECK_EQ(ash_slab_cache_init(cache, config), good ? 0 : -ASH_EINVAL);
    if (!good)
        return;
    uint8_t *objects[2];
    for (uint32_t i = 0; i < 2; i++) {
        objects[i] = ash_slab_alloc(cache);
        CHECK(objects[i] != NULL);
        CHECK(ash_is_aligned((uintptr_t)objects[i],
                             config->align_bytes > 8 ? config->align_bytes : 8));
        memset(objects[i], 0x40 + (int)i, config->size_bytes);
    }
    CHECK(objects[0][config->size_bytes - 1] == 0x40 && objects[0][0] == 0x40);
    CHECK(ash_slab_cache_check(cache) == NULL);
    ash_slab_free(cache, objects[0]);
    ash_slab_free(cache, objects[1]);
    CHECK_EQ(ash_slab_cache_fini(cache), 0);
}

TEST_CASE(slab_boundary, every_size_and_alignment_makes_a_cache_or_is_refused) {
    static const size_t object_bytes[] = {0, 1, 8, 4095, 4096, 4097, 8191, 8192, 8193, SIZE_MAX};
    static const size_t aligns[] = {0, 1, 3, 4096, 8192, 8193, 16384, SIZE_MAX, SIZE_MAX / 2 + 1};
    static const size_t slabs[] = {
        0, 1, 4095, 4096, 4097, 65536, 65537, 131072, SIZE_MAX / 2 + 1, SIZE_MAX - 4095};
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_slab_cache *cache = test_alloc(sizeof(*cache), ASH_PORT_CACHE_LINE);
    enum { O = ASH_ARRAY_LEN(object_bytes), A = ASH_ARRAY_LEN(aligns), S = ASH_ARRAY_LEN(slabs) };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(profiles) * O * A * S; i++) {
        const struct ash_slab_config config = {.name = "edge",
                                               .size_bytes = object_bytes[i % O],
                                               .align_bytes = aligns[i / O % A],
                                               .slab_bytes = slabs[i / O / A % S],
                                               .flags = profiles[i / O / A / S],
                                               .source = &pages->source};
        check_cache(cache, &config);
    }
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(slab_boundary, bulk_and_reserve_of_every_count_are_whole_or_nothing) {
    static const uint32_t counts[] = {0,  1,  MAGAZINE - 1, MAGAZINE, MAGAZINE + 1,   2 * MAGAZINE,
                                      63, 64, 65,           100,      UINT32_MAX - 1, UINT32_MAX};
    struct fake_pages *pages = fake_pages_new(16);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(profiles) * ASH_ARRAY_LEN(counts); i++) {
        uint32_t count = counts[i % ASH_ARRAY_LEN(counts)];
        const struct ash_slab_config config = {.name = "counted",
                                               .size_bytes = 128,
                                               .slab_bytes = ASH_PAGE_SIZE,
                                               .flags = profiles[i / ASH_ARRAY_LEN(counts)],
                                               .magazine_objects = MAGAZINE,
                                               .source = &pages->source};
        struct ash_slab_cache *cache = test_alloc(sizeof(*cache), ASH_PORT_CACHE_LINE);
        struct ash_slab_reserve reserve = {0};
        void *objects[100];
        CHECK_EQ(ash_slab_cache_init(cache, &config), 0);
        CHECK_EQ(ash_slab_prefill(cache, &reserve, count), count <= 100 ? 0 : -ASH_ENOMEM);
        CHECK(count <= 100 ? reserve.count == count : reserve.count > 100);
        CHECK(ash_slab_cache_check(cache) == NULL);
        ash_slab_unreserve(cache, &reserve);
        if (count <= ASH_ARRAY_LEN(objects)) {
            CHECK_EQ(ash_slab_alloc_bulk(cache, objects, count), 0);
            ash_slab_free_bulk(cache, objects, count);
        }
        CHECK(ash_slab_cache_check(cache) == NULL);
        CHECK_EQ(ash_slab_cache_fini(cache), 0);
        CHECK_EQ(pages->used, 0);
    }
}
