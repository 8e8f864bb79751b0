/* SPDX-License-Identifier: MIT */
/* Layer 3 alone: slabs of equal objects over a page source. */
#include "fake_pages.h"
#include "harness/test.h"

#include "slab_internal.h"

static struct ash__store_config config_of(struct fake_pages *pages, size_t size_bytes) {
    return (struct ash__store_config){.source = &pages->source,
                                      .size_bytes = size_bytes,
                                      .align_bytes = 8,
                                      .slab_bytes = ASH_SLAB_BYTES_DEFAULT};
}

static void *take(struct ash__slab_store *store) {
    void *object;
    return ash__store_alloc(store, &object, 1, true) == 1 ? object : NULL;
}

static void put(struct ash__slab_store *store, void *object) {
    struct ash_list surplus;
    ash_list_init(&surplus);
    CHECK_EQ(ash__store_put(store, &object, 1, &surplus), 1);
    (void)ash__store_release(store, &surplus);
}

/* Takes until `count` objects are out. */
static void fill(struct ash__slab_store *store, void **objects, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        objects[i] = take(store);
        CHECK(objects[i] != NULL);
    }
}

/* All objects are back. */
static void end_store(struct ash__slab_store *store) {
    CHECK(ash__store_check(store) == NULL);
    CHECK_EQ(store->out, 0);
    ash__store_shrink(store);
    CHECK_EQ(store->slab_count, 0);
}

/* Whatever is asked for: objects lie behind the bitmap, inside the slab, and waste is bounded. */
static void check_layout(const struct ash__slab_store *store,
                         const struct ash__store_config *config) {
    uint32_t slab_bytes = (uint32_t)ASH_PAGE_SIZE << store->order;
    uint32_t header = (uint32_t)sizeof(struct ash__slab) + (store->objects + 63) / 64 * 8;
    CHECK(store->stride >= config->size_bytes);
    CHECK(ash_is_aligned(store->stride, config->align_bytes));
    CHECK(ash_is_aligned(store->first, config->align_bytes));
    /* No object lies on more cache lines than it must. */
    uint32_t natural = store->stride & (0 - store->stride);
    CHECK(ash_is_aligned(store->first, ash_min_u64(natural, ASH_PORT_CACHE_LINE)));
    CHECK(store->objects >= 1 && store->objects <= OBJECTS_MAX);
    CHECK(store->first >= header);
    CHECK(store->first + store->objects * store->stride <= slab_bytes);
    CHECK((slab_bytes - store->objects * store->stride) * 8 <= slab_bytes);
    CHECK(store->mask == slab_bytes - 1 && slab_bytes <= ASH_SLAB_BYTES_MAX);
}

TEST_CASE(slabs, every_size_and_alignment_wastes_at_most_an_eighth) {
    struct fake_pages *pages = fake_pages_new(1);
    struct ash__slab_store store;
    struct ash__store_config config = config_of(pages, 1);
    for (config.align_bytes = 8; config.align_bytes <= ASH_SLAB_ALIGN_MAX;
         config.align_bytes *= 2) {
        for (config.slab_bytes = 4096; config.slab_bytes <= 65536; config.slab_bytes *= 2) {
            uint32_t step = config.slab_bytes == ASH_SLAB_BYTES_DEFAULT ? 1 : 61;
            for (config.size_bytes = 1; config.size_bytes <= 8192; config.size_bytes += step) {
                ash__store_init(&store, &config);
                check_layout(&store, &config);
            }
        }
    }
}

/* floor(offset / stride) is monotonic, so both sides of each step are the whole proof. */
TEST_CASE(slabs, index_by_reciprocal_is_exact_for_every_stride_and_offset) {
    struct fake_pages *pages = fake_pages_new(1);
    struct ash__slab_store store;
    struct ash__store_config config = config_of(pages, 8);
    for (config.size_bytes = 8; config.size_bytes <= 8192; config.size_bytes += 8) {
        ash__store_init(&store, &config);
        for (uint32_t i = 0; i * store.stride < ASH_SLAB_BYTES_MAX; i++) {
            CHECK_EQ(ash__slab_index(&store, i * store.stride), i);
            CHECK_EQ(ash__slab_index(&store, (i + 1) * store.stride - 1), i);
        }
        for (uint32_t below = 1; below <= store.first; below++)
            CHECK(ash__slab_index(&store, 0u - below) >= OBJECTS_MAX);
    }
}

/* Fills five slabs, empties all, and counts what stays: the one in use and empty_max others. */
TEST_CASE(slabs, no_more_empty_slabs_are_kept_than_configured) {
    for (uint32_t empty_max = 0; empty_max <= 3; empty_max++) {
        struct fake_pages *pages = fake_pages_new(5);
        struct ash__store_config config = config_of(pages, 512);
        config.slab_bytes = ASH_PAGE_SIZE;
        config.empty_max = empty_max;
        struct ash__slab_store store;
        ash__store_init(&store, &config);
        void *objects[5 * 7];
        CHECK_EQ(store.objects, 7);
        fill(&store, objects, 35);
        CHECK_EQ(pages->used, 5);
        CHECK(take(&store) == NULL);
        for (uint32_t i = 0; i < 35; i++) {
            put(&store, objects[i]);
            CHECK(ash__store_check(&store) == NULL);
        }
        CHECK_EQ(pages->used, 1 + empty_max);
        CHECK_EQ(store.releases, 5 - 1 - empty_max);
        CHECK_EQ(ash__store_shrink(&store), 1 + empty_max);
        CHECK_EQ(pages->used, 0);
        CHECK_EQ(ash__store_shrink(&store), 0);
        end_store(&store);
    }
}

TEST_CASE(slabs, shrink_keeps_slabs_with_objects) {
    struct fake_pages *pages = fake_pages_new(8);
    struct ash__store_config config = config_of(pages, 512);
    config.slab_bytes = ASH_PAGE_SIZE;
    config.empty_max = 8;
    struct ash__slab_store store;
    ash__store_init(&store, &config);
    void *objects[21];
    fill(&store, objects, 21);
    for (uint32_t i = 0; i < 21; i++) {
        if (i != 7)
            put(&store, objects[i]);
    }
    CHECK_EQ(ash__store_shrink(&store), 2);
    CHECK_EQ(pages->used, 1);
    CHECK(ash__store_check(&store) == NULL);
    put(&store, objects[7]);
    end_store(&store);
}

/* Slab A keeps 6 of 7 objects, B one of 7: once the active slab is full, A is used first. */
TEST_CASE(slabs, fuller_slabs_are_used_before_sparse_ones) {
    struct fake_pages *pages = fake_pages_new(8);
    struct ash__store_config config = config_of(pages, 512);
    config.slab_bytes = ASH_PAGE_SIZE;
    struct ash__slab_store store;
    ash__store_init(&store, &config);
    void *objects[21];
    fill(&store, objects, 21);
    for (uint32_t i = 1; i < 7; i++)
        put(&store, objects[i]);
    put(&store, objects[7]);
    CHECK(ash__store_check(&store) == NULL);
    CHECK(take(&store) == objects[7]);
    void *next = take(&store);
    CHECK(ash__slab_of(&store, next) == ash__slab_of(&store, objects[0]));
    CHECK_EQ(store.slab_count, 3);
}

TEST_CASE(slabs, lock_is_free_while_the_page_source_works) {
    struct fake_pages *pages = fake_pages_new(8);
    struct ash__store_config config = config_of(pages, 512);
    config.slab_bytes = ASH_PAGE_SIZE;
    struct ash__slab_store store;
    ash__store_init(&store, &config);
    pages->watched = &store.lock;
    void *objects[14];
    fill(&store, objects, 14);
    for (uint32_t i = 0; i < 14; i++)
        put(&store, objects[i]);
    ash__store_shrink(&store);
    CHECK(!pages->watched_was_held);
}

TEST_CASE(slabs, page_source_that_misaligns_a_block_panics) {
    struct fake_pages *pages = fake_pages_new(8);
    pages->offset_bytes = 64;
    struct ash__store_config config = config_of(pages, 512);
    struct ash__slab_store store;
    ash__store_init(&store, &config);
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    CHECK_PANICS(CHECK(take(&store) == NULL), "not aligned to its size");
}

/* For every n: the n-th block is refused. Nothing is lost or leaked, and all goes on after. */
TEST_CASE(slabs, refused_page_is_null_and_costs_nothing) {
    void *objects[40];
    uint64_t n = 0, calls;
    do {
        struct fake_pages *pages = fake_pages_new(8);
        struct ash__store_config config = config_of(pages, 512);
        config.slab_bytes = ASH_PAGE_SIZE;
        struct ash__slab_store store;
        ash__store_init(&store, &config);
        pages->fail_at = ++n;
        pages->fail_count = 1;
        uint32_t nulls = 0;
        for (uint32_t i = 0; i < 40; i++) {
            objects[i] = take(&store);
            nulls += objects[i] == NULL;
            CHECK(ash__store_check(&store) == NULL);
        }
        calls = pages->calls;
        CHECK_EQ(nulls, n <= calls);
        for (uint32_t i = 0; i < 40; i++) {
            if (objects[i] != NULL)
                put(&store, objects[i]);
        }
        end_store(&store);
        CHECK_EQ(pages->used, 0);
    } while (n <= calls);
}

/* A slab that was full is used again once 1/16 of it is free, or when there is nothing else. */
TEST_CASE(slabs, last_objects_of_nearly_full_slabs_are_found_when_pages_run_out) {
    enum { SLABS = 3, OBJECTS = 63, ALL = SLABS * OBJECTS };
    struct fake_pages *pages = fake_pages_new(SLABS * 8);
    struct ash__store_config config = config_of(pages, 512);
    struct ash__slab_store store;
    ash__store_init(&store, &config);
    CHECK_EQ(store.objects, OBJECTS);
    CHECK_EQ(store.relist, 4);
    void *objects[ALL];
    fill(&store, objects, ALL);
    for (uint32_t i = 0; i < SLABS; i++)
        put(&store, objects[i * OBJECTS + 5]);
    CHECK(ash__store_check(&store) == NULL);
    for (uint32_t i = 0; i < SLABS; i++) {
        objects[i * OBJECTS + 5] = take(&store);
        CHECK(objects[i * OBJECTS + 5] != NULL);
        CHECK(ash__store_check(&store) == NULL);
    }
    CHECK(take(&store) == NULL);
    for (uint32_t i = 0; i < ALL; i++)
        put(&store, objects[i]);
    end_store(&store);
    CHECK_EQ(pages->used, 0);
}

/* Walking over all slabs for each such object would hold the lock for as long as there are slabs.
 * */
TEST_CASE(slabs, slab_as_good_as_full_is_listed_at_once_while_there_is_no_page) {
    enum { SLABS = 100, OBJECTS = 31, ALL = SLABS * OBJECTS };
    static void *objects[ALL];
    struct fake_pages *pages = fake_pages_new(SLABS + 1);
    void *last_page = fake_pages_alloc(pages, 0);
    struct ash__store_config config = config_of(pages, 128);
    config.slab_bytes = ASH_PAGE_SIZE;
    struct ash__slab_store store;
    ash__store_init(&store, &config);
    CHECK_EQ(store.objects, OBJECTS);
    fill(&store, objects, ALL);
    CHECK(take(&store) == NULL);
    struct ash__slab *slab = ash__slab_of(&store, objects[ALL / 2]);
    put(&store, objects[ALL / 2]);
    CHECK(ash_list_is_linked(&slab->link));
    CHECK(take(&store) == objects[ALL / 2]);
    pages->source.ops->free(pages, last_page, 0);
    void *more = take(&store); /* from here on there are pages again, as far as can be seen */
    CHECK(more != NULL);
    slab = ash__slab_of(&store, objects[0]);
    put(&store, objects[0]);
    CHECK(!ash_list_is_linked(&slab->link));
    CHECK(ash__store_check(&store) == NULL);
    put(&store, more);
    for (uint32_t i = 1; i < ALL; i++)
        put(&store, objects[i]);
    end_store(&store);
}

TEST_CASE(slabs, walk_for_the_last_objects_is_cut_into_pieces) {
    enum { SLABS = 100, OBJECTS = 31, ALL = SLABS * OBJECTS };
    static void *objects[ALL];
    struct fake_pages *pages = fake_pages_new(SLABS);
    struct ash__store_config config = config_of(pages, 128);
    config.slab_bytes = ASH_PAGE_SIZE;
    struct ash__slab_store store;
    ash__store_init(&store, &config);
    fill(&store, objects, ALL);
    for (uint32_t i = 0; i < SLABS; i++)
        put(&store, objects[i * OBJECTS + 5]); /* the last one's is active */
    uint32_t unlooked = store.unlooked;
    for (uint32_t i = 0; i < SLABS; i++) {
        CHECK((objects[i * OBJECTS + 5] = take(&store)) != NULL);
        CHECK(i == 1 ? store.unlooked >= SLABS - 32 : unlooked - store.unlooked <= 32);
        unlooked = store.unlooked;
        CHECK(ash__store_check(&store) == NULL);
    }
    CHECK(take(&store) == NULL);
    for (uint32_t i = 0; i < ALL; i++)
        put(&store, objects[i]);
    end_store(&store);
}

/* The counts of objects are of 32 bits: a machine that has the memory meets a limit, not a wrap. */
TEST_CASE(slabs, no_store_grows_beyond_its_counts) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash__store_config config = config_of(pages, 64);
    struct ash__slab_store store;
    ash__store_init(&store, &config);
    uint32_t most = ASH_SLAB_OBJECTS_MAX / store.objects;
    store.slab_count = most; /* as if so many were full */
    store.out = most * store.objects;
    CHECK(take(&store) == NULL);
    CHECK_EQ(pages->calls, 0);
    store.slab_count = store.out = 0;
    void *object = take(&store);
    CHECK(object != NULL);
    put(&store, object);
    end_store(&store);
}

/* While the page source works another CPU ... */

struct race {
    struct ash__slab_store store;
    struct fake_pages *pages;
    void *objects[8];
};

static struct race *new_race(uint32_t empty_max) {
    struct race *race = test_alloc(sizeof(*race), 64);
    race->pages = fake_pages_new(8);
    race->pages->meanwhile_context = race;
    struct ash__store_config config = config_of(race->pages, 512);
    config.slab_bytes = ASH_PAGE_SIZE;
    config.empty_max = empty_max;
    ash__store_init(&race->store, &config);
    return race;
}

static void end_race(struct race *race) {
    CHECK(ash__store_check(&race->store) == NULL);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(race->objects); i++) {
        if (race->objects[i] != NULL)
            put(&race->store, race->objects[i]);
    }
    end_store(&race->store);
    CHECK_EQ(race->pages->used, 0);
}

static void allocate_meanwhile(void *context) {
    struct race *race = context;
    race->objects[0] = take(&race->store);
}

TEST_CASE(slabs, two_refills_at_once_keep_both_slabs) {
    struct race *race = new_race(0);
    race->pages->meanwhile = allocate_meanwhile;
    race->objects[1] = take(&race->store);
    CHECK(race->objects[0] != NULL && race->objects[1] != NULL);
    CHECK_EQ(race->store.slab_count, 2);
    end_race(race);
}

static void allocate_and_free_meanwhile(void *context) {
    struct race *race = context;
    put(&race->store, take(&race->store));
}

TEST_CASE(slabs, two_refills_at_once_give_one_back_that_is_empty) {
    for (uint32_t empty_max = 0; empty_max < 2; empty_max++) {
        struct race *race = new_race(empty_max);
        race->pages->meanwhile = allocate_and_free_meanwhile;
        race->objects[0] = take(&race->store);
        CHECK(race->objects[0] != NULL);
        CHECK_EQ(race->pages->used, 1 + empty_max);
        end_race(race);
    }
}

static void free_meanwhile(void *context) {
    struct race *race = context;
    put(&race->store, race->objects[3]);
    race->objects[3] = NULL;
}

TEST_CASE(slabs, refused_page_but_an_object_freed_meanwhile_is_that_object) {
    struct race *race = new_race(0);
    fill(&race->store, race->objects, 7);
    void *freed = race->objects[3];
    race->pages->meanwhile = free_meanwhile;
    race->pages->fail_at = 2;
    race->pages->fail_count = 1;
    race->objects[7] = take(&race->store);
    CHECK(race->objects[7] == freed);
    end_race(race);
}

/* Batches */

struct takers {
    struct ash__slab_store store;
    void *object[2];
};

static void take_on_cpu(void *context, uint32_t cpu) {
    struct takers *takers = context;
    takers->object[cpu] = take(&takers->store);
}

/* Whichever comes first, and in one slab or in two. */
TEST_CASE(slabs, two_cpus_take_from_places_that_are_far_apart) {
    struct takers takers;
    struct fake_pages *pages = fake_pages_new(64);
    struct ash__store_config config = config_of(pages, 64);
    ash__store_init(&takers.store, &config);
    test_run_on_cpus(take_on_cpu, &takers, 2);
    CHECK(takers.object[0] != NULL && takers.object[1] != NULL);
    uint64_t first = (uintptr_t)takers.object[0] & takers.store.mask;
    uint64_t second = (uintptr_t)takers.object[1] & takers.store.mask;
    CHECK(second > first + takers.store.mask / 4);
    put(&takers.store, takers.object[0]);
    put(&takers.store, takers.object[1]);
    end_store(&takers.store);
}

TEST_CASE(slabs, batch_spans_slabs_and_comes_back_in_any_order) {
    enum { COUNT = 300 };
    struct fake_pages *pages = fake_pages_new(64);
    struct ash__store_config config = config_of(pages, 100);
    config.slab_bytes = ASH_PAGE_SIZE;
    struct ash__slab_store store;
    struct ash_list surplus;
    void *objects[COUNT];
    ash__store_init(&store, &config);
    store.id = 9;
    ash_list_init(&surplus);
    struct test_random random = test_random_from(test_seed());
    for (uint32_t round = 0; round < 20; round++) {
        CHECK_EQ(ash__store_alloc(&store, objects, COUNT, true), COUNT);
        CHECK_EQ(store.out, COUNT);
        CHECK(ash__store_check(&store) == NULL);
        for (uint32_t i = COUNT - 1; i > 0; i--) {
            uint64_t at = test_random_below(&random, i + 1);
            void *other = objects[at];
            objects[at] = objects[i];
            objects[i] = other;
        }
        for (uint32_t i = 0, part; i < COUNT; i += part) {
            part = (uint32_t)ash_min_u64(1 + test_random_below(&random, 30), COUNT - i);
            CHECK_EQ(ash__store_put(&store, objects + i, part, &surplus), part);
            CHECK(ash__store_check(&store) == NULL);
        }
        CHECK_EQ(store.out, 0);
        (void)ash__store_release(&store, &surplus);
    }
    end_store(&store);
    CHECK_EQ(pages->used, 0);
}

/* For each place in a batch and each kind of wrong pointer: what is before it is taken back. */
TEST_CASE(slabs, batch_stops_at_a_pointer_that_is_no_object_that_is_out) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    enum { COUNT = 20 };
    struct fake_pages *pages = fake_pages_new(16);
    struct ash__store_config config = config_of(pages, 64);
    struct ash__slab_store store;
    struct ash_list surplus;
    ash__store_init(&store, &config);
    store.id = 9;
    ash_list_init(&surplus);
    void *kept = take(&store);
    for (uint32_t at = 0; at < COUNT; at++) {
        void *objects[COUNT];
        fill(&store, objects, COUNT);
        char *right = objects[at];
        void *wrong[] = {NULL, right + 8, &store, (char *)ash__slab_of(&store, right) + 8,
                         at == 0 ? right + 1 : objects[at - 1]};
        for (uint32_t w = 0; w < ASH_ARRAY_LEN(wrong); w++) {
            objects[at] = wrong[w];
            CHECK_EQ(ash__store_put(&store, objects, COUNT, &surplus), at);
            CHECK_EQ(store.out, 1 + COUNT - at);
            CHECK(ash__store_check(&store) == NULL);
            void *again[COUNT];
            CHECK_EQ(ash__store_take(&store, again, at), at);
            objects[at] = right;
        }
        CHECK_EQ(ash__store_put(&store, objects, COUNT, &surplus), COUNT);
    }
    put(&store, kept);
    end_store(&store);
}

struct shy {
    uint32_t calls, fail_at, live;
};

static int shy_init(void *object, void *context) {
    struct shy *shy = context;
    (void)object;
    if (++shy->calls == shy->fail_at)
        return -ASH_EIO;
    shy->live++;
    return 0;
}

static void shy_fini(void *object, void *context) {
    (void)object;
    ((struct shy *)context)->live--;
}

/* For every n: the n-th call of init fails. Nothing stays initialised but what is in slabs. */
TEST_CASE(slabs, refused_init_undoes_its_slab) {
    struct fake_pages *pages = fake_pages_new(8);
    uint32_t n = 0, calls;
    do {
        struct shy shy = {.fail_at = ++n};
        struct ash__store_config config = config_of(pages, 512);
        config.slab_bytes = ASH_PAGE_SIZE;
        config.init = shy_init;
        config.fini = shy_fini;
        config.context = &shy;
        struct ash__slab_store store;
        ash__store_init(&store, &config);
        void *objects[20];
        uint32_t nulls = 0;
        for (uint32_t i = 0; i < 20; i++) {
            objects[i] = take(&store);
            nulls += objects[i] == NULL;
            CHECK_EQ(shy.live, store.slab_count * store.objects);
        }
        calls = shy.calls;
        CHECK_EQ(nulls, n <= calls);
        for (uint32_t i = 0; i < 20; i++) {
            if (objects[i] != NULL)
                put(&store, objects[i]);
        }
        end_store(&store);
        CHECK_EQ(shy.live, 0);
        CHECK_EQ(pages->used, 0);
    } while (n <= calls);
}
