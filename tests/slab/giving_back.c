/* SPDX-License-Identifier: MIT */
/* What one CPU asks of the others: memory that lies in their magazines comes back at their next way
 * past the fast path, and stays there when nobody asks. */
#include "harness/as_cpu.h"
#include "slab/fake_pages.h"

enum { SIZE = 1000, MAGAZINE = 2, MOST = 64 };

struct bench {
    struct fake_pages *pages;
    struct ash_slab_cache cache;
    void *objects[MOST];
    uint32_t count;
};

/* One object is a third of a slab, two are a magazine. */
static struct bench *new_bench(uint32_t page_count, uint32_t depot_magazines, uint32_t flags) {
    struct bench *bench = test_alloc(sizeof(*bench), 64);
    bench->pages = fake_pages_new(page_count);
    const struct ash_slab_config config = {.name = "given back",
                                           .size_bytes = SIZE,
                                           .slab_bytes = ASH_PAGE_SIZE,
                                           .flags = flags,
                                           .magazine_objects = MAGAZINE,
                                           .depot_magazines = depot_magazines,
                                           .source = &bench->pages->source};
    CHECK_EQ(ash_slab_cache_init(&bench->cache, &config), 0);
    return bench;
}

static void take(struct bench *bench, uint32_t count) {
    while (count-- != 0) {
        bench->objects[bench->count] = ash_slab_alloc(&bench->cache);
        CHECK(bench->objects[bench->count++] != NULL);
    }
}

static void give_all(struct bench *bench) {
    while (bench->count != 0)
        ash_slab_free(&bench->cache, bench->objects[--bench->count]);
}

static uint32_t cached_by(struct bench *bench, uint32_t cpu) {
    struct ash_slab_cpu_stats stats;
    ash_slab_cache_get_cpu_stats(&bench->cache, cpu, &stats);
    return stats.cached;
}

static struct ash_slab_stats stats_of(struct bench *bench) {
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&bench->cache, &stats);
    return stats;
}

/* The CPU's two magazines full, and one object out: to free it takes the slow path. */
static void fill_magazines(struct bench *bench) {
    take(bench, 2 * MAGAZINE + 1);
    while (bench->count != 1)
        ash_slab_free(&bench->cache, bench->objects[--bench->count]);
}

TEST_CASE(slab_giving_back, shrink_reaches_other_cpus_at_their_next_slow_path) {
    struct bench *bench = new_bench(64, 8, 0);
    as_cpu(1);
    fill_magazines(bench);
    as_cpu(0);
    (void)ash_slab_cache_shrink(&bench->cache);
    CHECK_EQ(cached_by(bench, 1), 2 * MAGAZINE);
    as_cpu(1);
    give_all(bench);
    CHECK_EQ(cached_by(bench, 1), 1);
    CHECK_EQ(stats_of(bench).cached, 1); /* nor is it in the depot: it went to the slabs */
}

/* A cache for interrupts, for which no page is reclaimed from elsewhere. */
TEST_CASE(slab_giving_back, failed_allocation_has_other_cpus_give_up_their_objects) {
    struct bench *bench = new_bench(3, 8, ASH_SLAB_INTERRUPTS);
    as_cpu(1);
    fill_magazines(bench);
    as_cpu(0);
    for (void *object; (object = ash_slab_alloc(&bench->cache)) != NULL;)
        bench->objects[bench->count++] = object;
    CHECK_EQ(cached_by(bench, 1), 2 * MAGAZINE);
    as_cpu(1);
    ash_slab_free(&bench->cache, bench->objects[--bench->count]);
    as_cpu(0);
    take(bench, 2 * MAGAZINE);
    CHECK(ash_slab_cache_check(&bench->cache) == NULL);
    give_all(bench);
}

/* Else each slow path would empty the magazines, and be the next one's reason. */
TEST_CASE(slab_giving_back, shrink_is_obeyed_once) {
    struct bench *bench = new_bench(64, 8, 0);
    (void)ash_slab_cache_shrink(&bench->cache);
    as_cpu(1);
    fill_magazines(bench);
    give_all(bench);
    uint64_t before = stats_of(bench).hits;
    for (uint32_t i = 0; i < 10; i++) {
        take(bench, 2 * MAGAZINE);
        give_all(bench);
    }
    CHECK(stats_of(bench).hits - before >= 9 * (2 * MAGAZINE - 1)); /* one is the depot's */
}

TEST_CASE(slab_giving_back, reap_leaves_what_was_needed_since_the_last_one) {
    struct bench *bench = new_bench(64, 8, 0);
    take(bench, 20);
    give_all(bench);
    (void)ash_slab_cache_reap(&bench->cache); /* from here on it is looked at */
    uint32_t before = stats_of(bench).cached;
    take(bench, 20); /* all that there is, and so all of it is needed */
    give_all(bench);
    (void)ash_slab_cache_reap(&bench->cache);
    CHECK(stats_of(bench).cached >= before);
    (void)ash_slab_cache_reap(&bench->cache); /* nobody has come since */
    CHECK(stats_of(bench).cached <= 2 * MAGAZINE);
    CHECK_EQ(stats_of(bench).cached, cached_by(bench, 0));
}

TEST_CASE(slab_giving_back, idle_cpus_objects_serve_the_others) {
    struct bench *bench = new_bench(64, 8, 0);
    as_cpu(1);
    take(bench, 2 * MAGAZINE);
    give_all(bench);
    CHECK(cached_by(bench, 1) != 0);
    ash_slab_cache_flush(&bench->cache);
    CHECK_EQ(cached_by(bench, 1), 0);
    uint64_t refills = stats_of(bench).refills;
    as_cpu(0);
    take(bench, 2 * MAGAZINE);
    CHECK_EQ(stats_of(bench).refills, refills);
    give_all(bench);
}

TEST_CASE(slab_giving_back, cache_that_was_not_unmade_is_reclaimed_from_as_before) {
    struct bench *bench = new_bench(64, 8, 0);
    take(bench, 1);
    CHECK_EQ(ash_slab_cache_fini(&bench->cache), -ASH_EBUSY);
    take(bench, 20);
    give_all(bench);
    CHECK(ash_page_source_reclaim(&bench->pages->source) != 0);
    CHECK_EQ(stats_of(bench).slabs, 0);
    CHECK_EQ(bench->pages->used, 0);
    CHECK_EQ(ash_slab_cache_fini(&bench->cache), 0);
}
