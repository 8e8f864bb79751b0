/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/slab.h>: every wrong free, and the checkers. A cache that is
 * not hardened sees it when the pointer comes to the slabs: here, at once by a shrink. */
#include "fake_pages.h"
#include "harness/test.h"

#include "slab_internal.h"

struct two_caches { /* two caches over one source, and an object of the first */
    struct fake_pages *pages;
    struct ash_slab_cache cache, other;
    char *object;
};

/* Where ASH_REQUIRE is compiled out a wrong free is undefined, and there is nothing to see. */
static void skip_without_checks(void) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
}

static void set_up(struct two_caches *two) {
    skip_without_checks();
    two->pages = fake_pages_new(64);
    struct ash_slab_config config = {.name = "thing",
                                     .size_bytes = 80,
                                     .slab_bytes = ASH_PAGE_SIZE,
                                     .source = &two->pages->source};
    CHECK_EQ(ash_slab_cache_init(&two->cache, &config), 0);
    config.name = "other";
    CHECK_EQ(ash_slab_cache_init(&two->other, &config), 0);
    two->object = ash_slab_alloc(&two->cache);
    CHECK(two->object != NULL);
}

static void free_and_shrink(struct ash_slab_cache *cache, void *pointer) {
    ash_slab_free(cache, pointer);
    ash_slab_cache_shrink(cache);
}

/* A wrong free changes nothing: the caches are sound, and the object can be freed. */
static void tear_down(struct two_caches *two) {
    CHECK(ash_slab_cache_check(&two->cache) == NULL);
    CHECK(ash_slab_cache_check(&two->other) == NULL);
    ash_slab_free(&two->cache, two->object);
    CHECK_EQ(ash_slab_cache_fini(&two->cache), 0);
}

#define CHECK_FREE_REFUSED(pointer, part)                                   \
    do {                                                                    \
        struct two_caches two;                                              \
        set_up(&two);                                                       \
        CHECK_PANICS(free_and_shrink(&two.cache, (void *)(pointer)), part); \
        tear_down(&two);                                                    \
    } while (0)

TEST_CASE(slab, free_of_null_panics) {
    CHECK_FREE_REFUSED(NULL, "to thing: foreign pointer");
}

TEST_CASE(slab, free_of_an_address_in_page_0_panics) {
    CHECK_FREE_REFUSED((uintptr_t)0x40, "to thing: foreign pointer");
}

TEST_CASE(slab, free_of_a_stack_variable_panics) {
    uint64_t variable[16] = {0};
    CHECK_FREE_REFUSED(variable, "to thing: foreign pointer");
    CHECK_EQ(variable[0], 0);
}

TEST_CASE(slab, free_of_a_wild_pointer_panics) {
    CHECK_FREE_REFUSED(UINTPTR_MAX, "to thing: foreign pointer");
    CHECK_FREE_REFUSED(UINTPTR_MAX / 3 & ~(uintptr_t)7, "to thing: foreign pointer");
}

TEST_CASE(slab, free_of_a_free_page_panics) {
    CHECK_FREE_REFUSED(two.pages->base + 9 * ASH_PAGE_SIZE, "to thing: foreign pointer");
}

TEST_CASE(slab, free_inside_the_header_panics) {
    CHECK_FREE_REFUSED(ash_align_down((uintptr_t)two.object, ASH_PAGE_SIZE), "in the header");
    CHECK_FREE_REFUSED(two.object - 1, "in the header");
    CHECK_FREE_REFUSED(two.object - 8, "in the header");
}

TEST_CASE(slab, free_inside_an_object_panics_and_says_where) {
    CHECK_FREE_REFUSED(two.object + 1, "misaligned: 1 bytes into the object");
    CHECK_FREE_REFUSED(two.object + 8, "misaligned: 8 bytes into the object");
    CHECK_FREE_REFUSED(two.object + 71, "misaligned: 71 bytes into the object");
}

TEST_CASE(slab, free_behind_the_last_object_panics) {
    CHECK_FREE_REFUSED(ash__slab_object(&two.cache.slabs,
                                        ash__slab_of(&two.cache.slabs, two.object),
                                        two.cache.slabs.objects),
                       "behind the last object");
}

TEST_CASE(slab, free_of_an_object_never_handed_out_panics) {
    CHECK_FREE_REFUSED(two.object + 80, "double free");
}

TEST_CASE(slab, double_free_panics) {
    struct two_caches two;
    set_up(&two);
    void *second = ash_slab_alloc(&two.cache);
    ash_slab_free(&two.cache, second);
    CHECK_PANICS(free_and_shrink(&two.cache, second), "to thing: the object is free already");
    ash_slab_cache_shrink(&two.cache);
    CHECK_PANICS(free_and_shrink(&two.cache, second), "double free");
    tear_down(&two);
}

/* The others in the magazine are not lost with it. */
TEST_CASE(slab, wrong_free_is_found_when_the_depot_overflows) {
    skip_without_checks();
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_slab_config config = {.name = "thing",
                                     .size_bytes = 80,
                                     .magazine_objects = 4,
                                     .depot_magazines = 1,
                                     .source = &pages->source};
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    char *objects[17];
    for (uint32_t i = 0; i < 17; i++)
        CHECK((objects[i] = ash_slab_alloc(&cache)) != NULL);
    volatile uint32_t freed = 0; /* lives over the panic's jump */
    for (; freed < 4; freed++)
        ash_slab_free(&cache, objects[freed]);
    ash_slab_free(&cache, objects[4] + 16);
    CHECK_PANICS(for (; freed < 17; freed++) ash_slab_free(&cache, objects[freed]),
                 "to thing: misaligned: 16 bytes into");
    CHECK(freed > 8 && freed < 17);
    CHECK(ash_slab_cache_check(&cache) == NULL);
    for (freed++; freed < 17; freed++)
        ash_slab_free(&cache, objects[freed]);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(slab, double_free_after_the_slab_went_back_panics) {
    struct two_caches two;
    set_up(&two);
    ash_slab_free(&two.cache, two.object);
    CHECK_EQ(ash_slab_cache_shrink(&two.cache), 1);
    CHECK_PANICS(free_and_shrink(&two.cache, two.object), "its slab went back since");
    CHECK(ash_slab_cache_check(&two.cache) == NULL);
}

/* The pages of a slab that went back now are another cache's slab, or a block foreign pointer. */
TEST_CASE(slab, double_free_into_reused_pages_panics) {
    struct two_caches two;
    set_up(&two);
    ash_slab_free(&two.cache, two.object);
    CHECK_EQ(ash_slab_cache_shrink(&two.cache), 1);
    void *reused = ash_slab_alloc(&two.other);
    CHECK(reused == two.object);
    CHECK_PANICS(free_and_shrink(&two.cache, two.object), "in a slab of cache other");
    ash_slab_free(&two.other, reused);
    CHECK_EQ(ash_slab_cache_shrink(&two.other), 1);
    CHECK(fake_pages_alloc(two.pages, 0) == two.pages->base);
    CHECK_PANICS(free_and_shrink(&two.cache, two.object), "foreign pointer");
}

TEST_CASE(slab, free_of_another_caches_object_panics_and_names_both) {
    CHECK_FREE_REFUSED(ash_slab_alloc(&two.other), "to thing: in a slab of cache other");
}

TEST_CASE(slab, free_inside_a_large_block_panics) {
    struct two_caches two;
    set_up(&two);
    char *large = fake_pages_alloc(two.pages, 2);
    ash__source_mark_large(&two.pages->source, large, 2, 7);
    CHECK_PANICS(free_and_shrink(&two.cache, large), "inside the large block");
    CHECK_PANICS(free_and_shrink(&two.cache, large + 3 * 4096 + 64), "inside the large block");
    ash__source_mark(&two.pages->source, large, 0, 0);
    CHECK_PANICS(free_and_shrink(&two.cache, large), "foreign pointer");
    tear_down(&two);
}

TEST_CASE(slab, free_inside_pages_of_another_owner_panics) {
    CHECK_FREE_REFUSED((char *)fake_pages_alloc(two.pages, 2) + 64, "foreign pointer");
}

/* A block that says it is a slab, full of hostile bytes: not one of them is followed. */
TEST_CASE(slab, free_asks_the_page_source_before_it_reads_a_header) {
    struct two_caches two;
    set_up(&two);
    struct ash__slab *forged = fake_pages_alloc(two.pages, 0);
    memset(forged, 0xff, ASH_PAGE_SIZE);
    forged->store = &two.cache.slabs;
    CHECK_PANICS(free_and_shrink(&two.cache, (char *)forged + two.cache.slabs.first),
                 "foreign pointer");
    tear_down(&two);
}

/* The checkers: each seeded corruption is found, by its number. */

#define CHECK_FINDS(number, corruption, repair)                                   \
    do {                                                                          \
        corruption;                                                               \
        const char *found = ash_slab_cache_check(&cache);                         \
        repair;                                                                   \
        CHECK(found != NULL);                                                     \
        if (strncmp(found, number, strlen(number)) != 0)                          \
            test_fail(__FILE__, __LINE__, "expected %s, got: %s", number, found); \
        CHECK(ash_slab_cache_check(&cache) == NULL);                              \
    } while (0)

TEST_CASE(slab, checker_finds_seeded_corruption_of_slabs) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_slab_config config = {.name = "thing",
                                     .size_bytes = 512,
                                     .slab_bytes = ASH_PAGE_SIZE,
                                     .empty_max = 1,
                                     .source = &pages->source};
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    struct ash__slab_store *store = &cache.slabs;
    struct ash_list surplus;
    void *objects[28];
    ash_list_init(&surplus);
    CHECK_EQ(ash__store_alloc(store, objects, 28, true), 28);
    for (uint32_t i = 0; i < 15; i++) { /* an empty slab, another gone, and a dense one */
        if (i != 13)
            CHECK_EQ(ash__store_put(store, &objects[i], 1, &surplus), 1);
    }
    (void)ash__store_release(store, &surplus);
    CHECK(ash_slab_cache_check(&cache) == NULL);
    struct ash__slab *active = store->active, *dense = ash__slab_of(store, objects[20]);
    CHECK(active == ash__slab_of(store, objects[27]));
    CHECK_FINDS("I1", dense->store = NULL, dense->store = store);
    CHECK_FINDS("I2", dense->summary ^= 1, dense->summary ^= 1);
    CHECK_FINDS("I2", dense->summary ^= 1u << 9, dense->summary ^= 1u << 9);
    CHECK_FINDS("I2", dense->bitmap[0] ^= 1u << 7, dense->bitmap[0] ^= 1u << 7);
    CHECK_FINDS("I3", dense->bitmap[0] ^= 1u << 3, dense->bitmap[0] ^= 1u << 3);
    CHECK_FINDS("I3", dense->free++, dense->free--);
    struct ash_list *next = store->dense.next;
    CHECK_FINDS("I4", store->dense.next = &store->dense, store->dense.next = next);
    CHECK_FINDS("I4", store->active = dense, store->active = active);
    CHECK_FINDS("I4", store->active = (struct ash__slab *)pages->base + 1, store->active = active);
    uint32_t relist = store->relist;
    CHECK_FINDS("I4", store->relist = relist + 1, store->relist = relist);
    CHECK_FINDS("I5", store->out++, store->out--);
    CHECK_FINDS("I5", store->slab_count++, store->slab_count--);
    CHECK_FINDS("I5", store->refills++, store->refills--);
    CHECK_FINDS("I5", store->empty_max = 0, store->empty_max = 1);
    uint16_t *entry = &pages->source.map[((uintptr_t)dense - pages->source.base) / ASH_PAGE_SIZE];
    uint16_t before = *entry;
    CHECK_FINDS("I6", *entry = 0, *entry = before);
}

TEST_CASE(slab, checker_finds_seeded_corruption_of_magazines) {
    struct fake_pages *pages = fake_pages_new(64);
    struct ash_slab_config config = {
        .name = "thing", .size_bytes = 64, .magazine_objects = 4, .source = &pages->source};
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, &config), 0);
    void *objects[20];
    CHECK_EQ(ash_slab_alloc_bulk(&cache, objects, 20), 0);
    ash_slab_free_bulk(&cache, objects, 18);
    CHECK(ash_slab_cache_check(&cache) == NULL);
    struct ash__slab_cpu *cpu = &cache.cpus[0];
    struct ash__slab_depot *depot = &cache.depot;
    struct ash__slab_magazine *loaded = cpu->loaded, *full = depot->full;
    CHECK(loaded != NULL && cpu->previous != NULL && full != NULL && cpu->count != 0);
    CHECK_FINDS("I7", cpu->loaded = NULL, cpu->loaded = loaded);
    CHECK_FINDS("I7", cpu->previous_count--, cpu->previous_count++);
    CHECK_FINDS("I7", cpu->limit = 0, cpu->limit = 4);
    CHECK_FINDS("I7", cpu->room = 4, cpu->room = 0);
    CHECK_FINDS("I7", cpu->held = 1, cpu->held = 0);
    struct ash__slab_cpu whole = *cpu; /* none is loaded, but there is a previous one */
    CHECK_FINDS("I7",
                (cpu->loaded = NULL, cpu->kept = cpu->kept_limit = cpu->count = cpu->limit = 0),
                *cpu = whole);
    CHECK_FINDS("I8", depot->full_count++, depot->full_count--);
    CHECK_FINDS("I8", depot->full = full->next, depot->full = full);
    CHECK_FINDS("I8", depot->objects++, depot->objects--);
    CHECK_FINDS("I8", full->count = 5, full->count = 4);
    uint32_t most = depot->full_max;
    CHECK_FINDS("I8", depot->full_max = 0, depot->full_max = most);
    uint32_t out = cache.magazines.out;
    CHECK_FINDS("I5", cache.magazines.out = 1, cache.magazines.out = out);
    void *object = full->objects[2];
    CHECK_FINDS("I9", full->objects[2] = full->objects[1], full->objects[2] = object);
    CHECK_FINDS("I9", full->objects[2] = &cache, full->objects[2] = object);
    CHECK_FINDS("I9", full->objects[2] = (char *)object + 8, full->objects[2] = object);
}
