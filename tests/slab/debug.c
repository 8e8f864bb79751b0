/* SPDX-License-Identifier: MIT */
/* Cases of the debug profile: what it finds, what its reports say, and that a cache is otherwise
 * what it was. */
#include "fake_pages.h"
#include "harness/as_cpu.h"
#include "harness/test.h"

#include "profiles.h"

enum { LEAKS_MAX = 8 };

struct scene { /* a debug cache, and what its callbacks see and say */
    struct fake_pages *pages;
    struct ash_slab_cache cache;
    struct ash_slab_config config;
    struct ash_slab_trace trace;
    uint64_t owner;
    uintptr_t sites[ASH_SLAB_SITES_MAX];
    struct ash_slab_holder leaks[LEAKS_MAX];
    uint32_t leak_count;
    uint32_t inits, finis, constructs, destructs;
    uint32_t fail_init_at, fail_construct_at; /* the call that fails, from 1; 0: none */
};

static uint64_t owner_of(void *context) {
    const struct scene *scene = context;
    return scene->owner;
}

/* Tells of as many calls as are set; promises one more than was asked for when all are. */
static uint32_t stack_of(void *context, uintptr_t *sites, uint32_t max) {
    const struct scene *scene = context;
    uint32_t count = 0;
    for (; count < max && scene->sites[count] != 0; count++)
        sites[count] = scene->sites[count];
    return count == max ? max + 1 : count;
}

static void note_leak(void *context, const struct ash_slab_holder *holder) {
    struct scene *scene = context;
    if (scene->leak_count < LEAKS_MAX)
        scene->leaks[scene->leak_count] = *holder;
    scene->leak_count++;
}

static struct scene *new_scene_over(struct fake_pages *pages, size_t size_bytes) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    struct scene *scene = test_alloc(sizeof(*scene), 64);
    scene->pages = pages;
    scene->trace = (struct ash_slab_trace){
        .owner = owner_of, .stack = stack_of, .leak = note_leak, .context = scene};
    scene->config = (struct ash_slab_config){.name = "thing",
                                             .size_bytes = size_bytes,
                                             .flags = ASH_SLAB_DEBUG,
                                             .trace = &scene->trace,
                                             .context = scene,
                                             .source = &scene->pages->source};
    return scene;
}

static struct scene *new_scene(size_t size_bytes) {
    return new_scene_over(fake_pages_new(128), size_bytes);
}

static void start(struct scene *scene) {
    CHECK_EQ(ash_slab_cache_init(&scene->cache, &scene->config), 0);
}

static struct scene *started_scene(size_t size_bytes) {
    struct scene *scene = new_scene(size_bytes);
    start(scene);
    return scene;
}

static void check_sound(struct scene *scene) {
    const char *broken = ash_slab_cache_check(&scene->cache);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
}

static void end_scene(struct scene *scene) {
    check_sound(scene);
    CHECK_EQ(ash_slab_cache_fini(&scene->cache), 0);
    CHECK_EQ(scene->pages->used, 0);
}

/* Under an owner and a call site that a report can be searched for. */
static uint8_t *alloc_as(struct scene *scene, uint64_t owner, uintptr_t site) {
    scene->owner = owner;
    scene->sites[0] = site;
    uint8_t *object = ash_slab_alloc(&scene->cache);
    CHECK(object != NULL);
    return object;
}

static void free_as(struct scene *scene, void *object, uint64_t owner, uintptr_t site) {
    scene->owner = owner;
    scene->sites[0] = site;
    ash_slab_free(&scene->cache, object);
}

/* Empties the quarantine; how many objects were in it. */
static uint32_t drain(struct scene *scene) {
    uint32_t slabs = 0;
    return ash__debug_drain(&scene->cache, &slabs);
}

/* Contents */

TEST_CASE(debug, new_object_holds_a_pattern_and_lies_between_red_zones) {
    struct scene *scene = started_scene(100);
    uint8_t *object = alloc_as(scene, 1, 0x1000);
    for (uint32_t i = 0; i < 100; i++)
        CHECK_EQ(object[i], ASH__PAINT_NEW);
    for (uint32_t i = 0; i < ASH__ZONE_BYTES; i++) {
        CHECK_EQ(object[-1 - (int32_t)i], ASH__PAINT_ZONE);
        CHECK_EQ(object[100 + i], ASH__PAINT_ZONE);
    }
    ash_slab_free(&scene->cache, object);
    for (uint32_t i = 0; i < 100; i++)
        CHECK_EQ(object[i], ASH__PAINT_FREE);
    end_scene(scene);
}

static void check_shape(struct scene *scene) {
    start(scene);
    const struct ash__slab_store *store = &scene->cache.slabs;
    CHECK(store->objects >= 1 && store->first + store->objects * store->stride <= store->mask + 1);
    CHECK(store->first >=
          store->side + store->objects * sizeof(struct ash__record) + ASH__ZONE_BYTES);
    uint8_t *a = ash_slab_alloc(&scene->cache), *b = ash_slab_alloc(&scene->cache);
    CHECK(a != NULL && b != NULL);
    CHECK(ash_is_aligned((uintptr_t)a | (uintptr_t)b, scene->config.align_bytes));
    size_t size = scene->config.size_bytes;
    CHECK(a + size + 2 * ASH__ZONE_BYTES <= b || b + size + 2 * ASH__ZONE_BYTES <= a);
    memset(a, 0xff, size);
    ash_slab_free(&scene->cache, a);
    a[size - 1] ^= 1;
    CHECK_PANICS(drain(scene), "use after free");
    a[size - 1] ^= 1;
    b[size] ^= 1;
    CHECK_PANICS(ash_slab_free(&scene->cache, b), "overflow");
    b[size] ^= 1;
    b[-1] ^= 1;
    CHECK_PANICS(ash_slab_free(&scene->cache, b), "1 bytes before it");
}

TEST_CASE(debug, every_size_and_alignment_is_guarded_on_both_sides) {
    static const size_t sizes[] = {1, 7, 8, 24, 100, 512, 1000, 4096, 5000, 8192};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes); i++) {
        for (size_t align = 8; align <= ASH_SLAB_ALIGN_MAX; align *= 4) {
            struct scene *scene = new_scene_over(fake_pages_new(32), sizes[i]);
            scene->config.align_bytes = align;
            check_shape(scene);
        }
    }
}

/* What is found, and what the report says */

TEST_CASE(debug, double_free_names_object_owners_and_all_three_calls) {
    struct scene *scene = started_scene(64);
    uint8_t *object = alloc_as(scene, 71, 0xa110c);
    free_as(scene, object, 72, 0xf4ee);
    CHECK_PANICS(free_as(scene, object, 73, 0xbad), "slab: double free of 0x");
    CHECK_PANICS(free_as(scene, object, 73, 0xbad), "to thing: the object is free already");
    CHECK_PANICS(free_as(scene, object, 73, 0xbad), "\n  allocated by owner 71 at 0xa110c\n");
    CHECK_PANICS(free_as(scene, object, 73, 0xbad), "\n  freed by owner 72 at 0xf4ee\n");
    CHECK_PANICS(free_as(scene, object, 73, 0xbad), "\n  now by owner 73 at 0xbad");
    end_scene(scene);
}

TEST_CASE(debug, report_tells_the_whole_stack_that_was_noted) {
    struct scene *scene = started_scene(64);
    scene->sites[1] = 0x22, scene->sites[2] = UINTPTR_MAX, scene->sites[3] = 0x44;
    uint8_t *object = alloc_as(scene, UINT64_MAX, 0x11);
    free_as(scene, object, UINT64_MAX, UINTPTR_MAX);
    CHECK_PANICS(free_as(scene, object, UINT64_MAX, 0x33),
                 "allocated by owner 18446744073709551615 at 0x11 0x22 0xffffffffffffffff 0x44\n");
    CHECK_PANICS(free_as(scene, object, UINT64_MAX, 0x33),
                 "now by owner 18446744073709551615 at 0x33 0x22 0xffffffffffffffff 0x44");
    end_scene(scene);
}

TEST_CASE(debug, double_free_is_found_in_the_quarantine_and_in_the_slab) {
    struct scene *scene = started_scene(64);
    uint8_t *object = alloc_as(scene, 1, 1);
    ash_slab_free(&scene->cache, object);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "double free");
    uint8_t *other = alloc_as(scene, 1, 1);
    CHECK_EQ(drain(scene), 1);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "double free");
    ash_slab_free(&scene->cache, other);
    CHECK_EQ(ash_slab_cache_shrink(&scene->cache), 1);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "its slab went back since");
    end_scene(scene);
}

TEST_CASE(debug, double_free_on_another_cpu_is_found) {
    struct scene *scene = started_scene(64);
    uint8_t *object = alloc_as(scene, 1, 1);
    as_cpu(1);
    ash_slab_free(&scene->cache, object);
    as_cpu(2);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "double free");
    end_scene(scene);
}

TEST_CASE(debug, free_of_what_is_no_object_says_what_it_is_and_whose) {
    struct scene *scene = started_scene(64);
    uint8_t *object = alloc_as(scene, 5, 0xa110c);
    scene->sites[0] = 0xbad;
    CHECK_PANICS(ash_slab_free(&scene->cache, object + 8), "misaligned: 8 bytes into the object");
    CHECK_PANICS(ash_slab_free(&scene->cache, object + 8), "allocated by owner 5 at 0xa110c\n");
    CHECK_PANICS(ash_slab_free(&scene->cache, object - 1), "now by owner 5 at 0xbad");
    CHECK_PANICS(ash_slab_free(&scene->cache, &object), "foreign pointer");
    CHECK_PANICS(ash_slab_free(&scene->cache, &object), "now by owner 5 at 0xbad");
    CHECK_PANICS(ash_slab_free(&scene->cache, NULL), "foreign pointer");
    uintptr_t slab = (uintptr_t)ash__slab_of(&scene->cache.slabs, object);
    CHECK_PANICS(ash_slab_free(&scene->cache, (void *)slab), "in the header");
    CHECK_PANICS(ash_slab_free(&scene->cache, (void *)(slab + scene->cache.slabs.mask)),
                 "slab: free of 0x");
    ash_slab_free(&scene->cache, object);
    end_scene(scene);
}

TEST_CASE(debug, free_of_another_caches_object_names_both_and_its_owner) {
    struct scene *scene = started_scene(64), *other = new_scene(64);
    other->config.name = "other";
    other->config.source = &scene->pages->source;
    start(other);
    uint8_t *object = alloc_as(other, 9, 0xa110c);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "to thing: in a slab of cache other");
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "allocated by owner 9 at 0xa110c");
    ash_slab_free(&other->cache, object);
    CHECK_EQ(ash_slab_cache_fini(&other->cache), 0);
    end_scene(scene);
}

TEST_CASE(debug, overflow_behind_is_found_at_the_free_with_its_offset) {
    struct scene *scene = started_scene(60);
    uint8_t *object = alloc_as(scene, 3, 0xa110c);
    object[60 + 5] = 0x41;
    CHECK_PANICS(free_as(scene, object, 3, 0xf4ee),
                 "in thing, 60 bytes: at offset 65, behind it, 0x41 was written");
    CHECK_PANICS(free_as(scene, object, 3, 0xf4ee), "allocated by owner 3 at 0xa110c");
    object[60 + 5] = ASH__PAINT_ZONE;
    ash_slab_free(&scene->cache, object);
    end_scene(scene);
}

TEST_CASE(debug, underflow_is_found_at_the_free_with_its_offset) {
    struct scene *scene = started_scene(64);
    uint8_t *object = alloc_as(scene, 3, 1);
    object[-32] = 0;
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "32 bytes before it 0x00 was written");
    object[-32] = ASH__PAINT_ZONE;
    ash_slab_free(&scene->cache, object);
    end_scene(scene);
}

TEST_CASE(debug, use_after_free_is_found_when_the_object_leaves_the_quarantine) {
    struct scene *scene = new_scene(64);
    scene->config.quarantine_objects = 2;
    start(scene);
    uint8_t *a = alloc_as(scene, 1, 0xa110c), *b = alloc_as(scene, 1, 1),
            *c = alloc_as(scene, 1, 1);
    free_as(scene, a, 2, 0xf4ee);
    a[12] = 0x41;
    ash_slab_free(&scene->cache, b);
    CHECK_PANICS(free_as(scene, c, 1, 1),
                 "in thing, 64 bytes: at offset 12 0x41 was written over 0xdf");
}

TEST_CASE(debug, use_after_free_is_found_at_the_next_allocation) {
    struct scene *scene = started_scene(64);
    uint8_t *object = alloc_as(scene, 1, 0xa110c);
    free_as(scene, object, 2, 0xf4ee);
    CHECK_EQ(drain(scene), 1);
    object[0] ^= 0x80;
    CHECK_PANICS(alloc_as(scene, 3, 0xbad), "use after free of 0x");
    object[0] ^= 0x80;
    CHECK_EQ(ash_slab_cache_shrink(&scene->cache), 0);
}

TEST_CASE(debug, use_after_free_report_names_who_allocated_and_who_freed) {
    struct scene *scene = started_scene(64);
    uint8_t *object = alloc_as(scene, 1, 0xa110c);
    free_as(scene, object, 2, 0xf4ee);
    object[63] = 0;
    CHECK_PANICS(drain(scene), "at offset 63 0x00 was written over 0xdf"
                               "\n  allocated by owner 1 at 0xa110c"
                               "\n  freed by owner 2 at 0xf4ee");
}

TEST_CASE(debug, use_after_free_is_found_at_fini) {
    struct scene *scene = started_scene(64);
    uint8_t *object = alloc_as(scene, 1, 1);
    ash_slab_free(&scene->cache, object);
    object[1] = 1;
    CHECK_PANICS(CHECK_EQ(ash_slab_cache_fini(&scene->cache), 0), "use after free");
}

TEST_CASE(debug, without_callbacks_the_callers_of_alloc_and_free_are_named) {
    struct scene *scene = new_scene(64);
    scene->config.trace = NULL;
    start(scene);
    uint8_t *object = ash_slab_alloc(&scene->cache);
    struct ash__place place =
        ash__debug_place(&scene->cache, ash__slab_of(&scene->cache.slabs, object), 0);
    for (uint32_t i = 0; place.object != object; i++)
        place = ash__debug_place(&scene->cache, ash__slab_of(&scene->cache.slabs, object), i);
    CHECK(place.record->alloc.sites[0] != 0 && place.record->alloc.sites[1] == 0);
    ash_slab_free(&scene->cache, object);
    CHECK(place.record->free.sites[0] > place.record->alloc.sites[0]);
    CHECK(place.record->free.sites[0] - place.record->alloc.sites[0] < 4096);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "free already\n  allocated at 0x");
    end_scene(scene);
}

/* Quarantine */

TEST_CASE(debug, freed_object_stays_out_of_use_until_as_many_others_were_freed) {
    struct scene *scene = new_scene(64);
    scene->config.quarantine_objects = 10;
    start(scene);
    uint8_t *first = alloc_as(scene, 1, 1);
    ash_slab_free(&scene->cache, first);
    for (uint32_t i = 0; i < 10; i++) {
        uint8_t *object = alloc_as(scene, 1, 1);
        CHECK(object != first);
        ash_slab_free(&scene->cache, object);
        check_sound(scene);
    }
    CHECK_EQ(scene->cache.debug.quarantined, 10);
    CHECK(alloc_as(scene, 1, 1) == first);
    ash_slab_free(&scene->cache, first);
    end_scene(scene);
}

TEST_CASE(debug, quarantine_is_bounded_in_objects_and_bytes) {
    struct scene *scene = started_scene(64);
    CHECK_EQ(scene->cache.debug.quarantine_max, ASH_SLAB_QUARANTINE_DEFAULT);
    scene = new_scene(8192);
    scene->config.quarantine_objects = UINT32_MAX;
    start(scene);
    uint64_t bytes = (uint64_t)scene->cache.debug.quarantine_max * scene->cache.slabs.stride;
    CHECK(bytes <= ASH_SLAB_QUARANTINE_BYTES_MAX);
    CHECK(bytes + scene->cache.slabs.stride > ASH_SLAB_QUARANTINE_BYTES_MAX);
}

static void exhaust(uint32_t flags) {
    struct scene *scene = new_scene(2000);
    scene->config.flags |= flags;
    start(scene);
    scene->pages->fail_at = 1 + scene->pages->calls;
    scene->pages->fail_count = UINT64_MAX / 2;
    CHECK(ash_slab_alloc(&scene->cache) == NULL);
    scene->pages->fail_at = 0;
    uint8_t *object = alloc_as(scene, 1, 1);
    uint32_t count = 1;
    scene->pages->fail_at = 1 + scene->pages->calls;
    while (ash_slab_alloc(&scene->cache) != NULL)
        count++;
    CHECK_EQ(count, scene->cache.slabs.objects);
    ash_slab_free(&scene->cache, object);
    CHECK_EQ(scene->cache.debug.quarantined, 1);
    CHECK(ash_slab_alloc(&scene->cache) == object);
    CHECK(ash_slab_alloc(&scene->cache) == NULL);
    check_sound(scene);
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&scene->cache, &stats);
    CHECK_EQ(stats.used, count);
    CHECK_EQ(stats.allocations, count + 1);
    CHECK(stats.failures >= 3);
}

/* For interrupt handlers nothing is reclaimed. */
TEST_CASE(debug, no_memory_is_refused_while_the_quarantine_holds_some) {
    exhaust(0);
    exhaust(ASH_SLAB_INTERRUPTS);
}

TEST_CASE(debug, memory_goes_back_through_shrink_and_reclaim) {
    struct scene *scene = started_scene(64);
    uint8_t *object = alloc_as(scene, 1, 1);
    ash_slab_free(&scene->cache, object);
    CHECK(scene->pages->used != 0);
    CHECK_EQ(ash_slab_cache_shrink(&scene->cache), 1);
    CHECK_EQ(scene->pages->used, 0);
    ash_slab_free(&scene->cache, alloc_as(scene, 1, 1));
    CHECK(ash_page_source_reclaim(&scene->pages->source) > 0);
    CHECK_EQ(scene->pages->used, 0);
    end_scene(scene);
}

/* Callbacks */

static int init_state(void *object, void *context) {
    struct scene *scene = context;
    if (++scene->inits == scene->fail_init_at)
        return -ASH_EIO;
    memset(object, 0x11, scene->config.size_bytes);
    return 0;
}

static void fini_state(void *object, void *context) {
    struct scene *scene = context;
    CHECK_EQ(*(uint8_t *)object, 0x11);
    scene->finis++;
}

static int construct(void *object, void *context) {
    struct scene *scene = context;
    (void)object;
    return ++scene->constructs == scene->fail_construct_at ? -1 : 0;
}

static void destruct(void *object, void *context) {
    struct scene *scene = context;
    (void)object;
    scene->destructs++;
}

TEST_CASE(debug, state_of_init_survives_and_a_free_object_is_compared_with_it) {
    struct scene *scene = new_scene(48);
    scene->config.init = init_state;
    scene->config.fini = fini_state;
    scene->config.quarantine_objects = 1;
    start(scene);
    uint8_t *object = alloc_as(scene, 1, 0xa110c);
    for (uint32_t i = 0; i < 48; i++)
        CHECK_EQ(object[i], 0x11);
    object[7] = 0x22;
    ash_slab_free(&scene->cache, object);
    CHECK_EQ(drain(scene), 1);
    CHECK(alloc_as(scene, 1, 1) == object);
    CHECK_EQ(object[7], 0x22);
    free_as(scene, object, 2, 0xf4ee);
    object[47] = 0x33;
    CHECK_PANICS(drain(scene), "at offset 47 0x33 was written over 0x11");
    object[47] = 0x11;
    object[48] = 0x33;
    scene = new_scene(48);
    scene->config.init = init_state;
    scene->config.fini = fini_state;
    start(scene);
    ash_slab_free(&scene->cache, alloc_as(scene, 1, 1));
    CHECK_EQ(scene->inits, scene->cache.slabs.objects);
    end_scene(scene);
    CHECK_EQ(scene->finis, scene->inits);
}

TEST_CASE(debug, init_that_fails_leaves_nothing_behind) {
    struct scene *scene = new_scene(48);
    scene->config.init = init_state;
    scene->config.fini = fini_state;
    scene->fail_init_at = 3;
    start(scene);
    CHECK(ash_slab_alloc(&scene->cache) == NULL);
    CHECK_EQ(scene->finis, 2);
    CHECK_EQ(scene->pages->used, 0);
    ash_slab_free(&scene->cache, alloc_as(scene, 1, 1));
    end_scene(scene);
}

TEST_CASE(debug, construct_and_destruct_run_once_an_allocation_and_free) {
    struct scene *scene = new_scene(48);
    scene->config.construct = construct;
    scene->config.destruct = destruct;
    scene->fail_construct_at = 2;
    start(scene);
    uint8_t *object = alloc_as(scene, 1, 1);
    CHECK(ash_slab_alloc(&scene->cache) == NULL);
    check_sound(scene);
    CHECK_PANICS(ash_slab_free(&scene->cache, object + 1), "misaligned");
    CHECK_EQ(scene->destructs, 0);
    ash_slab_free(&scene->cache, object);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "double free");
    CHECK_EQ(scene->constructs, 2);
    CHECK_EQ(scene->destructs, 1);
    end_scene(scene);
}

/* Bulk, reserves, live objects, leaks */

TEST_CASE(debug, bulk_and_reserve_work_and_their_objects_are_guarded) {
    struct scene *scene = started_scene(64);
    void *objects[20];
    struct ash_slab_reserve reserve = {0};
    CHECK_EQ(ash_slab_alloc_bulk(&scene->cache, objects, 20), 0);
    ash_slab_free_bulk(&scene->cache, objects, 20);
    CHECK_PANICS(ash_slab_free_bulk(&scene->cache, objects, 20), "double free");
    CHECK_EQ(ash_slab_prefill(&scene->cache, &reserve, 5), 0);
    CHECK_PANICS(ash_slab_free(&scene->cache, reserve.magazines->objects[0]),
                 "it is set aside in a reserve");
    check_sound(scene);
    scene->owner = 31;
    scene->sites[0] = 0x5e5e;
    void *object = ash_slab_alloc_reserved(&scene->cache, &reserve);
    ash_slab_free(&scene->cache, object);
    CHECK_PANICS(ash_slab_free(&scene->cache, object), "allocated by owner 31 at 0x5e5e");
    ash_slab_unreserve(&scene->cache, &reserve);
    end_scene(scene);
}

static void count_object(void *object, void *context) {
    (void)object;
    ++*(uint32_t *)context;
}

TEST_CASE(debug, only_objects_that_are_out_are_live) {
    struct scene *scene = started_scene(64);
    void *objects[12];
    uint32_t live = 0;
    for (uint32_t i = 0; i < 12; i++)
        objects[i] = alloc_as(scene, i, 1);
    for (uint32_t i = 0; i < 5; i++)
        ash_slab_free(&scene->cache, objects[i]);
    ash_slab_for_each(&scene->cache, count_object, &live);
    CHECK_EQ(live, 7);
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&scene->cache, &stats);
    CHECK_EQ(stats.used, 7);
    CHECK_EQ(stats.peak, 12);
    CHECK_EQ(stats.allocations, 12);
    CHECK_EQ(stats.frees, 5);
    for (uint32_t i = 5; i < 12; i++)
        ash_slab_free(&scene->cache, objects[i]);
    end_scene(scene);
}

TEST_CASE(debug, fini_lists_what_is_out_by_owner_and_call_site) {
    struct scene *scene = started_scene(64);
    void *objects[9];
    for (uint32_t i = 0; i < 9; i++)
        objects[i] = alloc_as(scene, i % 3 == 0 ? 1 : 2, i % 3 == 1 ? 0x10 : 0x20);
    ash_slab_free(&scene->cache, objects[0]);
    CHECK_EQ(ash_slab_cache_fini(&scene->cache), -ASH_EBUSY);
    CHECK_EQ(scene->leak_count, 3);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < 3; i++) {
        const struct ash_slab_holder *leak = &scene->leaks[i];
        CHECK_STR_EQ(leak->cache, "thing");
        CHECK_EQ(leak->objects, leak->owner == 1 ? 2 : 3);
        CHECK(leak->sites[0] == 0x10 || leak->sites[0] == 0x20);
        CHECK(leak->object != NULL && leak->sites[1] == 0);
        seen |= 1u << (leak->owner * 2 + leak->sites[0] / 0x20);
    }
    CHECK_EQ(seen, 1u << 3 | 1u << 4 | 1u << 5);
    CHECK_EQ(ash_slab_for_each_holder(&scene->cache, note_leak, scene), 3);
    for (uint32_t i = 1; i < 9; i++)
        ash_slab_free(&scene->cache, objects[i]);
    end_scene(scene);
    CHECK_EQ(scene->leak_count, 6);
}

/* The audit */

#define CHECK_FINDS(number, corruption, repair)                                   \
    do {                                                                          \
        corruption;                                                               \
        const char *found = ash_slab_cache_check(&scene->cache);                  \
        repair;                                                                   \
        CHECK(found != NULL);                                                     \
        if (strncmp(found, number, strlen(number)) != 0)                          \
            test_fail(__FILE__, __LINE__, "expected %s, got: %s", number, found); \
        check_sound(scene);                                                       \
    } while (0)

static struct ash__record *record_of(struct scene *scene, const void *object) {
    uint32_t index;
    CHECK(ash__store_find(&scene->cache.slabs, object, &index));
    return ash__debug_place(&scene->cache, ash__slab_of(&scene->cache.slabs, object), index).record;
}

TEST_CASE(debug, checker_finds_seeded_corruption) {
    struct scene *scene = started_scene(64);
    uint8_t *out = alloc_as(scene, 1, 1), *gone = alloc_as(scene, 1, 1),
            *latest = alloc_as(scene, 1, 1);
    ash_slab_free(&scene->cache, gone);
    ash_slab_free(&scene->cache, latest);
    check_sound(scene);
    struct ash__record *record = record_of(scene, out), *quarantined = record_of(scene, gone);
    struct ash__slab_debug *debug = &scene->cache.debug;
    CHECK_FINDS("I21", record->state = ASH__RECORD_FREE, record->state = ASH__RECORD_OUT);
    CHECK_FINDS("I21", record->state = ASH__RECORD_BUSY, record->state = ASH__RECORD_OUT);
    CHECK_FINDS("I24", record->state = ASH__RECORD_QUARANTINED, record->state = ASH__RECORD_OUT);
    CHECK_FINDS("I22", quarantined->state = ASH__RECORD_OUT,
                quarantined->state = ASH__RECORD_QUARANTINED);
    CHECK_FINDS("I22", debug->quarantined++, debug->quarantined--);
    CHECK_FINDS("I22", debug->quarantine_max = 1, debug->quarantine_max = 128);
    CHECK_FINDS("I22", debug->oldest = out, debug->oldest = gone);
    CHECK_FINDS("I22", debug->latest = gone, debug->latest = latest);
    CHECK_FINDS("I22", quarantined->next = scene, quarantined->next = latest);
    CHECK_FINDS("I23", out[-1]++, out[-1]--);
    CHECK_FINDS("I23", gone[64]++, gone[64]--);
    CHECK_FINDS("I24", gone[63]++, gone[63]--);
    CHECK_FINDS("I24", latest[scene->cache.slabs.stride]++, latest[scene->cache.slabs.stride]--);
    ash_slab_free(&scene->cache, out);
    end_scene(scene);
}

/* The heap's calls are what its callers called. */
TEST_CASE(debug, heap_passes_its_trace_on_and_finds_a_double_free) {
    struct scene *scene = new_scene(1);
    struct ash_heap_config config = {
        .source = &scene->pages->source, .flags = ASH_SLAB_DEBUG, .trace = &scene->trace};
    struct ash_heap *heap = test_alloc(sizeof(*heap), 64);
    size_t bytes = ash_heap_storage_size(&config);
    CHECK_EQ(ash_heap_init(heap, &config, test_alloc(bytes, ASH_PORT_CACHE_LINE), bytes), 0);
    scene->owner = 41, scene->sites[0] = 0xa110c;
    uint8_t *object = ash_kmalloc(heap, 100);
    CHECK_EQ(ash_ksize(heap, object), 128);
    object[128] ^= 1;
    CHECK_PANICS(ash_kfree(heap, object), "overflow of 0x");
    object[128] ^= 1;
    ash_kfree(heap, object);
    CHECK_PANICS(ash_kfree(heap, object), "to kmalloc-128: the object is free already");
    CHECK_PANICS(ash_kfree(heap, object), "allocated by owner 41 at 0xa110c");
    CHECK_EQ(ash_heap_fini(heap), 0);
    CHECK_EQ(scene->pages->used, 0);
}
