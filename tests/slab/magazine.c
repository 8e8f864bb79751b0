/* SPDX-License-Identifier: MIT */
/* Layer 1: each CPU's two magazines, and what they ask of the layers below. One context plays the
 * CPUs in turn. */
#include "fake_pages.h"
#include "harness/as_cpu.h"
#include "harness/test.h"
#include "platform.h"

#include "slab_internal.h"

enum { CAPACITY = 4 };

struct bench {
    struct fake_pages *pages;
    struct ash_slab_cache cache;
    void *objects[128];
};

static struct bench *new_bench(uint32_t page_count, uint32_t depot_magazines, uint32_t flags) {
    struct bench *bench = test_alloc(sizeof(*bench), 64);
    bench->pages = fake_pages_new(page_count);
    struct ash_slab_config config = {.name = "thing",
                                     .size_bytes = 100,
                                     .slab_bytes = ASH_PAGE_SIZE,
                                     .magazine_objects = CAPACITY,
                                     .depot_magazines = depot_magazines,
                                     .flags = flags,
                                     .source = &bench->pages->source};
    CHECK_EQ(ash_slab_cache_init(&bench->cache, &config), 0);
    return bench;
}

static void end_bench(struct bench *bench) {
    CHECK(ash_slab_cache_check(&bench->cache) == NULL);
    CHECK_EQ(ash_slab_cache_fini(&bench->cache), 0);
    CHECK_EQ(bench->pages->used, 0);
}

static void take(struct bench *bench, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        CHECK((bench->objects[i] = ash_slab_alloc(&bench->cache)) != NULL);
}

static void give(struct bench *bench, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        ash_slab_free(&bench->cache, bench->objects[i]);
}

static struct ash_slab_stats stats_of(struct bench *bench) {
    struct ash_slab_stats stats;
    CHECK(ash_slab_cache_check(&bench->cache) == NULL);
    ash_slab_cache_get_stats(&bench->cache, &stats);
    return stats;
}

TEST_CASE(magazine, pairs_are_served_without_a_look_at_the_layers_below) {
    struct bench *bench = new_bench(8, 0, 0);
    take(bench, 2);
    give(bench, 2);
    struct ash_slab_stats before = stats_of(bench);
    ash_spin_lock(&bench->cache.slabs.lock); /* whoever wants it now hangs */
    ash_spin_lock(&bench->cache.depot.lock);
    for (uint32_t i = 0; i < 100; i++) {
        take(bench, 2);
        give(bench, 2);
    }
    ash_spin_unlock(&bench->cache.depot.lock);
    ash_spin_unlock(&bench->cache.slabs.lock);
    struct ash_slab_stats after = stats_of(bench);
    CHECK_EQ(after.allocations - before.allocations, 200);
    CHECK_EQ(after.hits - before.hits, 200);
    CHECK_EQ(after.frees - before.frees, 200);
    end_bench(bench);
}

/* Bonwick's reason for the second magazine: a pair at the edge of one must not exchange it. */
TEST_CASE(magazine, pairs_at_a_magazines_edge_do_not_reach_the_depot) {
    for (uint32_t edge = 0; edge < 2 * CAPACITY; edge++) {
        struct bench *bench = new_bench(8, 0, 0);
        take(bench, 3 * CAPACITY);
        give(bench, 3 * CAPACITY);
        take(bench, edge);
        uint64_t exchanges = 0;
        for (uint32_t i = 0; i < 50; i++) {
            void *object = ash_slab_alloc(&bench->cache);
            CHECK(object != NULL);
            ash_slab_free(&bench->cache, object);
            if (i == 0)
                exchanges = stats_of(bench).exchanges;
        }
        CHECK_EQ(stats_of(bench).exchanges, exchanges);
        give(bench, edge);
        end_bench(bench);
    }
}

TEST_CASE(magazine, one_cpus_frees_are_anothers_allocations) {
    struct bench *bench = new_bench(8, 0, 0);
    for (uint32_t round = 0; round < 50; round++) {
        as_cpu(0);
        take(bench, 3 * CAPACITY);
        as_cpu(1);
        give(bench, 3 * CAPACITY);
    }
    struct ash_slab_stats stats = stats_of(bench);
    CHECK_EQ(stats.used, 0);
    CHECK(stats.slabs <= 2);
    CHECK(stats.exchanges > 50);
    as_cpu(0);
    end_bench(bench);
}

TEST_CASE(magazine, flush_leaves_nothing_with_the_cpu_and_all_in_the_depot) {
    struct bench *bench = new_bench(8, 0, 0);
    take(bench, CAPACITY);
    give(bench, CAPACITY);
    struct ash_slab_cpu_stats cpu;
    ash_slab_cache_get_cpu_stats(&bench->cache, 0, &cpu);
    uint32_t cached = stats_of(bench).cached;
    CHECK(cpu.cached == cached && cached >= CAPACITY);
    ash_slab_cache_flush(&bench->cache);
    ash_slab_cache_get_cpu_stats(&bench->cache, 0, &cpu);
    CHECK_EQ(cpu.cached, 0);
    CHECK_EQ(stats_of(bench).cached, cached);
    as_cpu(1);
    uint64_t refills = stats_of(bench).refills;
    take(bench, cached);
    CHECK_EQ(stats_of(bench).refills, refills);
    give(bench, cached);
    as_cpu(0);
    end_bench(bench);
}

TEST_CASE(magazine, shrink_asks_the_other_cpus_who_obey_at_their_next_slow_call) {
    struct bench *bench = new_bench(8, 0, 0);
    as_cpu(1);
    take(bench, CAPACITY);
    give(bench, CAPACITY);
    as_cpu(0);
    ash_slab_cache_shrink(&bench->cache);
    struct ash_slab_cpu_stats cpu;
    ash_slab_cache_get_cpu_stats(&bench->cache, 1, &cpu);
    CHECK(cpu.cached >= CAPACITY);
    as_cpu(1);
    for (uint32_t i = 0; i < 2 * CAPACITY + 4; i++)
        CHECK((bench->objects[i] = ash_slab_alloc(&bench->cache)) != NULL);
    CHECK_EQ(bench->cache.cpus[1].flush_done, bench->cache.flush_wanted);
    give(bench, 2 * CAPACITY + 4);
    as_cpu(0);
    end_bench(bench);
}

/* What other CPUs hold cannot be had at once; all else can. */
TEST_CASE(magazine, no_memory_means_that_only_other_cpus_hold_free_objects) {
    struct bench *bench = new_bench(3, 0, 0);
    uint32_t count = 0;
    void *object;
    while ((object = ash_slab_alloc(&bench->cache)) != NULL)
        bench->objects[count++] = object;
    CHECK_EQ(count, 3 * bench->cache.slabs.objects);
    as_cpu(1);
    for (uint32_t i = 0; i < CAPACITY; i++)
        ash_slab_free(&bench->cache, bench->objects[--count]);
    as_cpu(0);
    while ((object = ash_slab_alloc(&bench->cache)) != NULL)
        bench->objects[count++] = object;
    struct ash_slab_stats stats = stats_of(bench);
    CHECK_EQ(stats.used, count);
    CHECK_EQ(stats.failures, 2);
    struct ash_slab_cpu_stats cpu;
    ash_slab_cache_get_cpu_stats(&bench->cache, 1, &cpu);
    CHECK_EQ(stats.slabs * bench->cache.slabs.objects, count + cpu.cached);
    give(bench, count);
    end_bench(bench);
}

/* Every page goes to slabs: there is never one for a magazine. */
TEST_CASE(magazine, none_to_be_had_means_slower_and_nothing_else) {
    struct bench *bench = new_bench(2, 0, 0);
    void *hostage[2] = {fake_pages_alloc(bench->pages, 0), NULL};
    take(bench, 30);
    CHECK(bench->cache.cpus[0].loaded == NULL);
    give(bench, 30);
    CHECK_EQ(stats_of(bench).used, 0);
    CHECK_EQ(stats_of(bench).cached, 0);
    take(bench, 30);
    bench->pages->source.ops->free(bench->pages, hostage[0], 0);
    give(bench, 30);
    CHECK(stats_of(bench).cached != 0);
    end_bench(bench);
}

/* For every n the n-th page is refused, whoever wanted it. */
TEST_CASE(magazine, refused_page_loses_nothing) {
    uint64_t n = 0, calls;
    do {
        struct bench *bench = new_bench(16, 1, 0);
        bench->pages->fail_at = ++n;
        bench->pages->fail_count = 1;
        uint32_t nulls = 0;
        for (uint32_t i = 0; i < 100; i++) {
            as_cpu(i / 25 % 2);
            bench->objects[i] = ash_slab_alloc(&bench->cache);
            nulls += bench->objects[i] == NULL;
        }
        CHECK(nulls <= 1);
        CHECK_EQ(stats_of(bench).failures, nulls);
        CHECK_EQ(stats_of(bench).used, 100 - nulls);
        for (uint32_t i = 0; i < 100; i++) {
            as_cpu(i % 2);
            if (bench->objects[i] != NULL)
                ash_slab_free(&bench->cache, bench->objects[i]);
        }
        calls = bench->pages->calls;
        CHECK_EQ(stats_of(bench).used, 0);
        as_cpu(0);
        end_bench(bench);
    } while (n <= calls);
}

TEST_CASE(magazine, depot_keeps_no_more_than_configured) {
    struct bench *bench = new_bench(16, 3, 0);
    take(bench, 100);
    give(bench, 100);
    struct ash_slab_stats stats = stats_of(bench);
    CHECK_EQ(bench->cache.depot.full_count, 3);
    CHECK(stats.cached > 3 * CAPACITY && stats.cached <= 3 * CAPACITY + 2 * CAPACITY);
    CHECK_EQ(bench->cache.slabs.out, stats.cached); /* the others lie in their slabs */
    end_bench(bench);
}

TEST_CASE(magazine, reap_takes_what_the_depot_has_not_needed) {
    struct bench *bench = new_bench(16, 20, 0);
    take(bench, 80);
    give(bench, 80);
    CHECK(bench->cache.depot.full_count >= 16);
    ash_slab_cache_reap(&bench->cache);
    CHECK_EQ(stats_of(bench).cached >= 80, true);
    CHECK(ash_slab_cache_reap(&bench->cache) >= 1);
    CHECK_EQ(bench->cache.depot.full_count, 0);
    CHECK(stats_of(bench).cached <= 2 * CAPACITY);
    end_bench(bench);
}

TEST_CASE(magazine, interrupts_are_masked_only_on_caches_that_ask) {
    struct bench *bench = new_bench(16, 2, ASH_SLAB_INTERRUPTS);
    take(bench, 50);
    CHECK_EQ(bench->cache.cpus[0].count, 0);
    CHECK_EQ(bench->cache.cpus[0].limit, 0);
    give(bench, 50);
    CHECK_EQ(stats_of(bench).used, 0);
    CHECK(stats_of(bench).hits >= 25);
    CHECK_EQ(ash_slab_alloc_bulk(&bench->cache, bench->objects, 30), 0);
    ash_slab_free_bulk(&bench->cache, bench->objects, 30);
    end_bench(bench);
}

/* A handler that interrupts a call where it is open to it (no lock, nothing pinned) uses the same
 * cache. */
struct visit {
    struct bench *bench;
    uint32_t count, nulls;
};

static void use_in_handler(void *context) {
    struct visit *visit = context;
    void *objects[CAPACITY + 1];
    for (uint32_t i = 0; i <= CAPACITY; i++) {
        objects[i] = ash_slab_alloc(&visit->bench->cache);
        visit->nulls += objects[i] == NULL;
    }
    for (uint32_t i = 0; i <= CAPACITY; i++) {
        if (objects[i] != NULL)
            ash_slab_free(&visit->bench->cache, objects[i]);
    }
    ash_store_relaxed(&visit->count, visit->count + 1);
}

static void be_interrupted(void *context) {
    struct visit *visit = context;
    uint32_t before = visit->count;
    CHECK_EQ(platform_interrupt_self(use_in_handler, visit), 0);
    for (uint32_t i = 0; i < 100000 && ash_load_relaxed(&visit->count) == before; i++)
        ash_port_relax();
    CHECK_EQ(visit->count, before + 1);
}

TEST_CASE(magazine, handler_uses_the_cache_that_it_interrupts) {
    struct bench *bench = new_bench(16, 2, ASH_SLAB_INTERRUPTS);
    struct visit visit = {.bench = bench};
    bench->pages->meanwhile_context = &visit;
    for (uint32_t round = 0; round < 20; round++) {
        bench->pages->meanwhile = be_interrupted;
        take(bench, 100);
        be_interrupted(&visit);
        bench->pages->meanwhile = be_interrupted;
        give(bench, 100);
        CHECK_EQ(stats_of(bench).used, 0);
        ash_slab_cache_shrink(&bench->cache);
    }
    CHECK(visit.count >= 40);
    CHECK_EQ(visit.nulls, 0);
    bench->pages->meanwhile = NULL;
    end_bench(bench);
}

/* Construct and destruct: at each allocation and free */

struct life {
    uint32_t constructed, destructed, fail_at;
};

static int construct(void *object, void *context) {
    struct life *life = context;
    *(uint64_t *)object = UINT64_C(0xa11fe);
    return ++life->constructed == life->fail_at ? -ASH_EIO : 0;
}

static void destruct(void *object, void *context) {
    ((struct life *)context)->destructed++;
    CHECK_EQ(*(uint64_t *)object, 0xa11fe);
}

static void init_living(struct ash_slab_cache *cache, struct fake_pages *pages, struct life *life) {
    struct ash_slab_config config = {.name = "living",
                                     .size_bytes = 64,
                                     .construct = construct,
                                     .destruct = destruct,
                                     .context = life,
                                     .magazine_objects = CAPACITY,
                                     .source = &pages->source};
    CHECK_EQ(ash_slab_cache_init(cache, &config), 0);
}

TEST_CASE(magazine, construct_and_destruct_run_at_each_allocation_and_free) {
    struct fake_pages *pages = fake_pages_new(16);
    struct life life = {0};
    struct ash_slab_cache cache;
    init_living(&cache, pages, &life);
    void *objects[20];
    for (uint32_t i = 0; i < 20; i++)
        CHECK((objects[i] = ash_slab_alloc(&cache)) != NULL);
    CHECK_EQ(life.constructed, 20);
    for (uint32_t i = 0; i < 20; i++)
        ash_slab_free(&cache, objects[i]);
    CHECK_EQ(life.destructed, 20);
    CHECK_EQ(ash_slab_alloc_bulk(&cache, objects, 20), 0);
    ash_slab_free_bulk(&cache, objects, 20);
    CHECK_EQ(life.constructed, 40);
    CHECK_EQ(life.destructed, 40);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
}

TEST_CASE(magazine, refused_construct_is_null_and_keeps_the_object) {
    struct fake_pages *pages = fake_pages_new(16);
    for (uint32_t n = 1; n <= 30; n++) {
        struct life life = {.fail_at = n};
        struct ash_slab_cache cache;
        init_living(&cache, pages, &life);
        void *objects[20];
        uint32_t held = 0;
        for (uint32_t i = 0; i < 20; i++) {
            objects[held] = ash_slab_alloc(&cache);
            held += objects[held] != NULL;
        }
        CHECK_EQ(held, n <= 20 ? 19 : 20);
        void *bulk[10];
        int error = ash_slab_alloc_bulk(&cache, bulk, 10);
        CHECK_EQ(error, n > 20 ? -ASH_ENOMEM : 0);
        if (error == 0)
            ash_slab_free_bulk(&cache, bulk, 10);
        struct ash_slab_stats stats;
        ash_slab_cache_get_stats(&cache, &stats);
        CHECK_EQ(stats.failures, 1);
        CHECK_EQ(stats.used, held);
        CHECK_EQ(life.constructed - 1 - life.destructed, held);
        while (held-- > 0)
            ash_slab_free(&cache, objects[held]);
        CHECK(ash_slab_cache_check(&cache) == NULL);
        CHECK_EQ(ash_slab_cache_fini(&cache), 0);
    }
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(magazine, destruct_is_not_handed_a_wrong_pointer) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    struct fake_pages *pages = fake_pages_new(16);
    struct life life = {0};
    struct ash_slab_cache cache;
    init_living(&cache, pages, &life);
    char *object = ash_slab_alloc(&cache);
    CHECK_PANICS(ash_slab_free(&cache, object + 8), "misaligned");
    CHECK_PANICS(ash_slab_free(&cache, &life), "foreign pointer");
    CHECK_EQ(life.destructed, 0);
    ash_slab_free(&cache, object);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
}

/* Bulk and reserves */

TEST_CASE(magazine, bulk_is_all_or_none_and_every_object_once) {
    struct bench *bench = new_bench(5, 2, 0);
    uint32_t most = 4 * bench->cache.slabs.objects; /* a page is for magazines, first */
    take(bench, 3);
    for (uint32_t count = 0; count <= 120; count++) {
        void *bulk[120];
        CHECK_EQ(ash_slab_alloc_bulk(&bench->cache, bulk, count), 0);
        for (uint32_t i = 0; i < count; i++)
            memset(bulk[i], (int)i, 100);
        for (uint32_t i = 0; i < count; i++) {
            CHECK_EQ(*(uint8_t *)bulk[i], i);
            CHECK_EQ(((uint8_t *)bulk[i])[99], i);
        }
        CHECK_EQ(stats_of(bench).used, 3 + count);
        ash_slab_free_bulk(&bench->cache, bulk, count);
        CHECK_EQ(stats_of(bench).used, 3);
    }
    void **all = test_alloc(1000 * sizeof(void *), 8);
    CHECK_EQ(ash_slab_alloc_bulk(&bench->cache, all, 1000), -ASH_ENOMEM);
    CHECK_EQ(stats_of(bench).used, 3);
    CHECK_EQ(stats_of(bench).failures, 1);
    CHECK_EQ(ash_slab_alloc_bulk(&bench->cache, all, most - 3), 0);
    ash_slab_free_bulk(&bench->cache, all, most - 3);
    give(bench, 3);
    end_bench(bench);
}

TEST_CASE(magazine, reserve_serves_when_there_is_no_memory) {
    struct bench *bench = new_bench(4, 2, 0);
    struct ash_slab_reserve reserve = {0};
    CHECK_EQ(ash_slab_prefill(&bench->cache, &reserve, 3), 0);
    CHECK_EQ(ash_slab_prefill(&bench->cache, &reserve, 11), 0);
    CHECK_EQ(ash_slab_prefill(&bench->cache, &reserve, 5), 0);
    CHECK_EQ(reserve.count, 11);
    CHECK_EQ(stats_of(bench).used, 11);
    uint32_t count = 0;
    void *object;
    while ((object = ash_slab_alloc(&bench->cache)) != NULL)
        bench->objects[count++ % 128] = object;
    CHECK_EQ(ash_slab_prefill(&bench->cache, &reserve, 1000), -ASH_ENOMEM);
    CHECK_EQ(reserve.count, 11);
    CHECK(count < 128);
    for (uint32_t i = 0; i < 6; i++) {
        object = ash_slab_alloc_reserved(&bench->cache, &reserve);
        memset(object, 0xcc, 100);
        ash_slab_free(&bench->cache, object);
    }
    CHECK_EQ(reserve.count, 5);
    ash_slab_unreserve(&bench->cache, &reserve);
    CHECK_EQ(reserve.count, 0);
    if (ASH_ENABLED(ASH_CHECKS >= 1))
        CHECK_PANICS(CHECK(ash_slab_alloc_reserved(&bench->cache, &reserve) == NULL),
                     "nothing is set aside");
    give(bench, count);
    end_bench(bench);
}

TEST_CASE(magazine, reserve_without_objects_holds_no_memory) {
    struct bench *bench = new_bench(3, 2, 0);
    struct ash_slab_reserve reserve = {0};
    CHECK_EQ(ash_slab_prefill(&bench->cache, &reserve, 11), 0);
    while (reserve.count != 0)
        ash_slab_free(&bench->cache, ash_slab_alloc_reserved(&bench->cache, &reserve));
    CHECK(reserve.magazines == NULL);
    uint32_t count = 0;
    void *object;
    while ((object = ash_slab_alloc(&bench->cache)) != NULL)
        bench->objects[count++ % 128] = object;
    CHECK(count < 128);
    CHECK_EQ(ash_slab_prefill(&bench->cache, &reserve, 1), -ASH_ENOMEM);
    CHECK(reserve.magazines == NULL);
    give(bench, count);
    end_bench(bench); /* which ends the cache */
}

/* Live objects */

struct roll {
    struct bench *bench;
    uint32_t seen, unknown;
};

static void call(void *object, void *context) {
    struct roll *roll = context;
    roll->seen++;
    for (uint32_t i = 0; i < 128; i++) {
        if (roll->bench->objects[i] == object)
            return;
    }
    roll->unknown++;
}

TEST_CASE(magazine, for_each_sees_what_is_out_and_nothing_that_lies_in_magazines) {
    struct bench *bench = new_bench(16, 2, 0);
    for (uint32_t i = 0; i < 128; i++) {
        as_cpu(i % 3);
        CHECK((bench->objects[i] = ash_slab_alloc(&bench->cache)) != NULL);
    }
    for (uint32_t gone = 0; gone <= 128; gone++) {
        struct roll roll = {.bench = bench};
        ash_slab_for_each(&bench->cache, call, &roll);
        CHECK_EQ(roll.seen, 128 - gone);
        CHECK_EQ(roll.unknown, 0);
        CHECK(ash_slab_cache_check(&bench->cache) == NULL);
        if (gone < 128) {
            as_cpu(gone % 4);
            ash_slab_free(&bench->cache, bench->objects[gone]);
            bench->objects[gone] = NULL;
        }
    }
    as_cpu(0);
    end_bench(bench);
}
