/* SPDX-License-Identifier: MIT */
/* Cases of the hardened profile: every wrong free is refused by the free itself, and objects come
 * in random order. */
#include "fake_pages.h"
#include "harness/as_cpu.h"
#include "harness/test.h"

#include "hardened_fast.h"

struct scene { /* a hardened cache, another over the same source, and an object of the first */
    struct fake_pages *pages;
    struct ash_slab_cache cache, other;
    char *object;
};

static struct scene *new_scene(void) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    struct scene *scene = test_alloc(sizeof(*scene), 64);
    scene->pages = fake_pages_new(64);
    struct ash_slab_config config = {.name = "thing",
                                     .size_bytes = 80,
                                     .slab_bytes = ASH_PAGE_SIZE,
                                     .flags = ASH_SLAB_HARDENED,
                                     .source = &scene->pages->source};
    CHECK_EQ(ash_slab_cache_init(&scene->cache, &config), 0);
    config.name = "other";
    CHECK_EQ(ash_slab_cache_init(&scene->other, &config), 0);
    scene->object = ash_slab_alloc(&scene->cache);
    CHECK(scene->object != NULL);
    return scene;
}

/* A free that was refused has changed nothing. */
static void end_scene(struct scene *scene) {
    CHECK(ash_slab_cache_check(&scene->cache) == NULL);
    CHECK(ash_slab_cache_check(&scene->other) == NULL);
    ash_slab_free(&scene->cache, scene->object);
    CHECK_EQ(ash_slab_cache_fini(&scene->cache), 0);
}

#define CHECK_REFUSED_AT_ONCE(pointer, part)                                 \
    do {                                                                     \
        struct scene *scene = new_scene();                                   \
        CHECK_PANICS(ash_slab_free(&scene->cache, (void *)(pointer)), part); \
        CHECK_PANICS(ash_slab_free(&scene->cache, (void *)(pointer)), part); \
        end_scene(scene);                                                    \
    } while (0)

static char *slab_of(struct scene *scene) {
    return (char *)ash__slab_of(&scene->cache.slabs, scene->object);
}

TEST_CASE(hardened, free_of_a_foreign_pointer_panics_at_once) {
    uint64_t variable[16] = {0};
    CHECK_REFUSED_AT_ONCE(NULL, "to thing: foreign pointer");
    CHECK_REFUSED_AT_ONCE((uintptr_t)0x40, "to thing: foreign pointer");
    CHECK_REFUSED_AT_ONCE(variable, "to thing: foreign pointer");
    CHECK_REFUSED_AT_ONCE(UINTPTR_MAX, "to thing: foreign pointer");
    CHECK_REFUSED_AT_ONCE(scene->pages->base - 1, "to thing: foreign pointer");
    CHECK_REFUSED_AT_ONCE(scene->pages->base + 64 * ASH_PAGE_SIZE, "foreign pointer");
}

TEST_CASE(hardened, free_of_a_misaligned_pointer_panics_at_once) {
    CHECK_REFUSED_AT_ONCE(scene->object + 1, "misaligned: 1 bytes into the object");
    CHECK_REFUSED_AT_ONCE(scene->object + 8, "misaligned: 8 bytes into the object");
    CHECK_REFUSED_AT_ONCE(scene->object + 79, "misaligned: 79 bytes into the object");
}

TEST_CASE(hardened, free_into_a_slabs_header_or_behind_it_panics_at_once) {
    CHECK_REFUSED_AT_ONCE(slab_of(scene), "in the header of the slab");
    CHECK_REFUSED_AT_ONCE(slab_of(scene) + scene->cache.slabs.first - 1, "in the header");
    CHECK_REFUSED_AT_ONCE(slab_of(scene) + scene->cache.slabs.first - 80, "in the header");
    CHECK_REFUSED_AT_ONCE(slab_of(scene) + scene->cache.slabs.side, "in the header");
    CHECK_REFUSED_AT_ONCE(slab_of(scene) + ASH_PAGE_SIZE - 1, "misaligned: 79 bytes into");
    CHECK_REFUSED_AT_ONCE(slab_of(scene) + ASH_PAGE_SIZE, "foreign pointer");
}

TEST_CASE(hardened, free_of_another_caches_object_panics_at_once) {
    CHECK_REFUSED_AT_ONCE(ash_slab_alloc(&scene->other), "in a slab of cache other");
}

TEST_CASE(hardened, free_of_an_object_never_handed_out_panics_at_once) {
    struct scene *scene = new_scene();
    uint32_t first = scene->cache.slabs.first;
    for (uint32_t i = 0; i < scene->cache.slabs.objects; i++) {
        char *object = slab_of(scene) + first + i * scene->cache.slabs.stride;
        if (object != scene->object)
            CHECK_PANICS(ash_slab_free(&scene->cache, object), "double free");
    }
    end_scene(scene);
}

/* Wherever the object is meanwhile: the loaded magazine, the previous one, the depot, the slab. */
TEST_CASE(hardened, double_free_panics_at_once_wherever_the_object_is) {
    struct scene *scene = new_scene();
    uint32_t count = scene->cache.capacity * 3;
    void **objects = test_alloc(count * sizeof(void *), 8);
    for (uint32_t i = 0; i < count; i++)
        CHECK((objects[i] = ash_slab_alloc(&scene->cache)) != NULL);
    for (uint32_t i = 0; i < count; i++) {
        ash_slab_free(&scene->cache, objects[i]);
        CHECK_PANICS(ash_slab_free(&scene->cache, objects[i]), "double free");
        CHECK_PANICS(ash_slab_free(&scene->cache, objects[i / 2]), "double free");
    }
    ash_slab_cache_flush(&scene->cache);
    CHECK_PANICS(ash_slab_free(&scene->cache, objects[0]), "double free");
    CHECK(ash_slab_cache_shrink(&scene->cache) > 0);
    for (uint32_t i = 0; i < count; i++)
        CHECK_PANICS(ash_slab_free(&scene->cache, objects[i]), "free of ");
    end_scene(scene);
}

TEST_CASE(hardened, double_free_after_the_slab_went_back_panics_at_once) {
    struct scene *scene = new_scene();
    ash_slab_free(&scene->cache, scene->object);
    CHECK_EQ(ash_slab_cache_shrink(&scene->cache), 1);
    CHECK_PANICS(ash_slab_free(&scene->cache, scene->object), "its slab went back since");
    CHECK_EQ(ash_slab_cache_fini(&scene->cache), 0);
}

TEST_CASE(hardened, double_free_on_another_cpu_panics_at_once) {
    struct scene *scene = new_scene();
    void *object = ash_slab_alloc(&scene->cache);
    as_cpu(1);
    ash_slab_free(&scene->cache, object);
    as_cpu(0);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "double free");
    as_cpu(2);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "double free");
    end_scene(scene);
}

/* A block whose bytes would all say "out": not one of them is looked at. */
TEST_CASE(hardened, free_asks_the_map_before_it_reads_a_header) {
    struct scene *scene = new_scene();
    char *forged = fake_pages_alloc(scene->pages, 0);
    memset(forged, ASH__HARDENED_OUT, ASH_PAGE_SIZE);
    CHECK_PANICS(ash_slab_free(&scene->cache, forged + scene->cache.slabs.first),
                 "foreign pointer");
    end_scene(scene);
}

/* Two CPUs free one object at the same moment: each reads the state before the other writes it. */
static void race(struct scene *scene, void *object) {
    ash_slab_free(&scene->cache, object);
    *ash__hardened_state(&scene->cache, object) = ASH__HARDENED_OUT;
    ash_slab_free(&scene->cache, object);
}

TEST_CASE(hardened, simultaneous_double_free_is_found_when_both_copies_are_allocated) {
    struct scene *scene = new_scene();
    void *object = ash_slab_alloc(&scene->cache);
    race(scene, object);
    CHECK(ash_slab_alloc(&scene->cache) == object);
    CHECK_PANICS(CHECK(ash_slab_alloc(&scene->cache) == NULL), "freed twice, on two CPUs");
}

TEST_CASE(hardened, simultaneous_double_free_is_found_when_both_copies_come_to_the_slab) {
    struct scene *scene = new_scene();
    race(scene, ash_slab_alloc(&scene->cache));
    CHECK_PANICS(ash_slab_cache_shrink(&scene->cache), "double free");
}

TEST_CASE(hardened, overwritten_header_is_named) {
    struct scene *scene = new_scene();
    memset(slab_of(scene) + scene->cache.slabs.side, 'A', scene->cache.slabs.objects + 1);
    CHECK_PANICS(ash_slab_free(&scene->cache, scene->object), "its state is 0x41: the header");
    CHECK_PANICS(CHECK(ash_slab_alloc(&scene->cache) == NULL), "its state is 0x41: the header");
}

TEST_CASE(hardened, free_of_an_object_in_a_reserve_panics_at_once) {
    struct scene *scene = new_scene();
    struct ash_slab_reserve reserve = {0};
    CHECK_EQ(ash_slab_prefill(&scene->cache, &reserve, 3), 0);
    void *waiting = reserve.magazines->objects[0];
    CHECK_PANICS(ash_slab_free(&scene->cache, waiting), "set aside in a reserve");
    ash_slab_free(&scene->cache, ash_slab_alloc_reserved(&scene->cache, &reserve));
    CHECK(ash_slab_cache_check(&scene->cache) == NULL);
    ash_slab_unreserve(&scene->cache, &reserve);
    CHECK_PANICS(ash_slab_free(&scene->cache, waiting), "double free");
    end_scene(scene);
}

/* destruct sees no pointer that free refuses. */
static void count_call(void *object, void *context) {
    (void)object;
    ++*(uint32_t *)context;
}

static int construct_seven(void *object, void *context) {
    (void)context;
    *(char *)object = 7;
    return 0;
}

TEST_CASE(hardened, callbacks_and_interrupts_come_behind_the_checks) {
    struct scene *scene = new_scene();
    uint32_t destructed = 0;
    struct ash_slab_config config = {.name = "full",
                                     .size_bytes = 24,
                                     .flags = ASH_SLAB_HARDENED | ASH_SLAB_INTERRUPTS,
                                     .construct = construct_seven,
                                     .destruct = count_call,
                                     .context = &destructed,
                                     .source = &scene->pages->source};
    struct ash_slab_cache *cache = test_alloc(sizeof(*cache), 64);
    CHECK_EQ(ash_slab_cache_init(cache, &config), 0);
    char *object = ash_slab_alloc(cache);
    CHECK(object != NULL && *object == 7);
    CHECK_PANICS(ash_slab_free(cache, object + 8), "misaligned");
    CHECK_PANICS(ash_slab_free(cache, scene->object), "in a slab of cache thing");
    CHECK_EQ(destructed, 0);
    ash_slab_free(cache, object);
    CHECK_EQ(destructed, 1);
    CHECK_PANICS(ash_slab_free(cache, object), "double free");
    CHECK_EQ(destructed, 1);
    CHECK(ash_slab_cache_check(cache) == NULL);
    CHECK_EQ(ash_slab_cache_fini(cache), 0);
    end_scene(scene);
}

/* For every stride and every byte of a slab: each object has a state of its own, behind the bitmap
 * and before the objects, and nothing else has one that is ever "out". */
TEST_CASE(hardened, number_is_exact_for_every_pointer_into_a_slab) {
    struct fake_pages *pages = fake_pages_new(1);
    struct ash_slab_cache *cache = test_alloc(sizeof(*cache), 64);
    struct ash_slab_config config = {
        .name = "number", .flags = ASH_SLAB_HARDENED, .source = &pages->source};
    for (size_t size = 8; size <= ASH_SLAB_SIZE_MAX; size += size < 256 ? 8 : 8 + size / 4) {
        config.size_bytes = size;
        CHECK_EQ(ash__slab_cache_prepare(cache, &config), 0);
        const struct ash__slab_store *store = &cache->slabs;
        uintptr_t base = (uintptr_t)0xffff800000000000 + 3 * (store->mask + 1);
        CHECK(store->side >= sizeof(struct ash__slab) + (store->objects + 63) / 64 * 8);
        CHECK(store->side + store->objects < store->first);
        CHECK_EQ(store->first + store->objects * store->stride, store->mask + 1);
        for (uint32_t offset = 0; offset <= store->mask; offset++) {
            uint32_t number = ash__hardened_number(&cache->hardened, (const void *)(base + offset));
            uint32_t before_end = (uint32_t)store->mask + 1 - offset;
            if (offset >= store->first && before_end % store->stride == 0)
                CHECK_EQ(number, before_end / store->stride);
            else
                CHECK(offset == 0 ? number == 0 : number > store->objects);
        }
    }
}

/* Order */

enum { SAMPLE = 40 };

/* The numbers of the first objects that a new cache with that name and seed hands out. */
static void sample(struct fake_pages *pages, const char *name, uint64_t seed, uint32_t *numbers) {
    struct ash_slab_cache *cache = test_alloc(sizeof(*cache), 64);
    struct ash_slab_config config = {.name = name,
                                     .size_bytes = 64,
                                     .flags = ASH_SLAB_HARDENED,
                                     .seed = seed,
                                     .source = &pages->source};
    void *objects[SAMPLE];
    CHECK_EQ(ash_slab_cache_init(cache, &config), 0);
    CHECK_EQ(ash_slab_alloc_bulk(cache, objects, SAMPLE), 0);
    for (uint32_t i = 0; i < SAMPLE; i++)
        CHECK(ash__store_find(&cache->slabs, objects[i], &numbers[i]));
    ash_slab_free_bulk(cache, objects, SAMPLE);
    CHECK_EQ(ash_slab_cache_fini(cache), 0);
}

TEST_CASE(hardened, order_of_objects_follows_from_the_seed_and_else_from_the_name) {
    struct fake_pages *pages = fake_pages_new(64);
    uint32_t a[SAMPLE], b[SAMPLE], steps = 0;
    sample(pages, "a", 1, a);
    for (uint32_t i = 1; i < SAMPLE; i++)
        steps += a[i] == a[i - 1] + 1 || a[i - 1] == a[i] + 1;
    CHECK(steps < SAMPLE / 4);
    sample(pages, "b", 1, b);
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    sample(pages, "a", 2, b);
    CHECK(memcmp(a, b, sizeof(a)) != 0);
    sample(pages, "a", 0, a);
    sample(pages, "a", 0, b);
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    sample(pages, "b", 0, b);
    CHECK(memcmp(a, b, sizeof(a)) != 0);
}

TEST_CASE(hardened, shuffle_keeps_every_object_and_moves_each_anywhere) {
    struct scene *scene = new_scene();
    enum { COUNT = 8, ROUNDS = 2000 };
    uint32_t seen[COUNT][COUNT] = {{0}};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        char bytes[COUNT];
        void *objects[COUNT];
        for (uint32_t i = 0; i < COUNT; i++)
            objects[i] = &bytes[i];
        ash__hardened_shuffle(&scene->cache, objects, COUNT);
        uint32_t all = 0;
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t which = (uint32_t)((char *)objects[i] - bytes);
            all |= 1u << which;
            seen[which][i]++;
        }
        CHECK_EQ(all, (1u << COUNT) - 1);
    }
    /* 250 expected, standard deviation 15. */
    for (uint32_t i = 0; i < COUNT; i++) {
        for (uint32_t j = 0; j < COUNT; j++)
            CHECK(seen[i][j] > 160 && seen[i][j] < 340);
    }
    end_scene(scene);
}

/* The audit */

TEST_CASE(hardened, checker_finds_a_state_that_is_wrong) {
    struct scene *scene = new_scene();
    uint8_t *states = (uint8_t *)slab_of(scene) + scene->cache.slabs.side;
    for (uint32_t i = 0; i <= scene->cache.slabs.objects; i++) {
        uint8_t before = states[i];
        states[i] = before == ASH__HARDENED_OUT ? ASH__HARDENED_FREE : ASH__HARDENED_OUT;
        const char *found = ash_slab_cache_check(&scene->cache);
        CHECK(found != NULL && strncmp(found, "I20", 3) == 0);
        states[i] = before;
    }
    end_scene(scene);
}
