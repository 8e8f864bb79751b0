/* SPDX-License-Identifier: MIT */
/*
 * Slab caches under every order of steps. The pages are few and the slabs small, so that each of a
 * handful of calls meets an edge: a slab that runs full, empty, or cannot be had.
 */
#include "explore.h"

#include <ashlar/slab.h>

#include "harness/asan.h"

enum { PAGES = 8, SIZE = 1000, CACHES = 4 };

static struct {
    char pages[PAGES][4096] __attribute__((aligned(PAGES * 4096)));
    bool used[PAGES];
    uint32_t used_count, limit;
    struct ash_page_source source;
    uint64_t storage[64];
    struct ash_slab_cache caches[2];
    uint32_t flags, magazine_objects;
} world;

static bool is_free(uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++) {
        if (i >= PAGES || world.used[i])
            return false;
    }
    return true;
}

static void mark(uint32_t first, uint32_t count, bool used) {
    for (uint32_t i = first; i < first + count; i++) {
        EXPLORE_CHECK(i < PAGES && world.used[i] != used);
        world.used[i] = used;
    }
}

static void *page_alloc(void *context, uint32_t order) {
    uint32_t at = 0, count = 1u << order;
    (void)context;
    EXPLORE_CHECK(explore_is_free());
    interleave_point();
    while (at < PAGES && !is_free(at, count))
        at += count;
    if (at >= PAGES || world.used_count + count > world.limit)
        return NULL;
    mark(at, count, true);
    world.used_count += count;
    test_permit(world.pages[at], count * sizeof(world.pages[at]));
    interleave_point();
    return world.pages[at];
}

static void page_free(void *context, void *base, uint32_t order) {
    uint32_t at = (uint32_t)(((char *)base - world.pages[0]) / 4096), count = 1u << order;
    (void)context;
    EXPLORE_CHECK(explore_is_free());
    interleave_point();
    EXPLORE_CHECK(at < PAGES && base == world.pages[at]);
    mark(at, count, false);
    world.used_count -= count;
    memset(base, 0x5a, count * sizeof(world.pages[at]));
    test_forbid(base, count * sizeof(world.pages[at]));
    interleave_point();
}

static void make_cache(uint32_t which) {
    const struct ash_slab_config config = {
        .name = "explored",
        .size_bytes = SIZE,
        .slab_bytes = 4096,
        .flags = world.flags,
        .magazine_objects = world.magazine_objects,
        .depot_magazines = 1,
        .source = &world.source,
    };
    EXPLORE_CHECK(ash_slab_cache_init(&world.caches[which], &config) == 0);
}

static void setup_pages(uint32_t limit) {
    static const struct ash_page_source_ops ops = {.alloc = page_alloc, .free = page_free};
    const struct ash_page_source_config config = {
        .ops = &ops, .base = world.pages, .len_pages = PAGES, .caches_max = CACHES};
    memset(world.used, 0, sizeof(world.used));
    world.used_count = 0;
    world.limit = limit;
    EXPLORE_CHECK(ash_page_source_storage_size(&config) <= sizeof(world.storage));
    EXPLORE_CHECK(
        ash_page_source_init(&world.source, &config, world.storage, sizeof(world.storage)) == 0);
}

static void setup(void) {
    setup_pages(PAGES);
    make_cache(0);
}

/* One slab: whoever wants more must meet the others' objects. */
static void setup_one_page(void) {
    setup_pages(1);
    make_cache(0);
}

static void setup_two_pages(void) {
    setup_pages(2);
    make_cache(0);
}

static void setup_two(void) {
    setup();
    make_cache(1);
}

/* Signed while it is out: nobody else has it. */
static uint64_t *take(struct ash_slab_cache *cache) {
    uint64_t *object = ash_slab_alloc(cache);
    if (object != NULL) {
        object[0] = object[SIZE / 8 - 1] = 1 + explore_context();
        interleave_point();
    }
    return object;
}

static void give(struct ash_slab_cache *cache, uint64_t *object) {
    if (object == NULL)
        return;
    EXPLORE_CHECK(object[0] == 1 + explore_context() && object[SIZE / 8 - 1] == object[0]);
    object[0] = object[SIZE / 8 - 1] = 0;
    ash_slab_free(cache, object);
}

static void whole(struct ash_slab_cache *cache) {
    const char *broken = ash_slab_cache_check(cache);
    if (broken != NULL)
        explore_broke(__FILE__, __LINE__, broken);
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(cache, &stats);
    EXPLORE_CHECK(stats.used == 0 && stats.allocations == stats.frees);
    EXPLORE_CHECK(ash_slab_cache_fini(cache) == 0);
}

static void finish(void) {
    whole(&world.caches[0]);
    EXPLORE_CHECK(world.used_count == 0);
}

static void finish_two(void) {
    whole(&world.caches[1]);
    finish();
}

static void take_and_give(void) {
    uint64_t *object = take(&world.caches[0]);
    EXPLORE_CHECK(object != NULL);
    give(&world.caches[0], object);
}

static void take_four_and_give(void) {
    uint64_t *objects[4];
    for (uint32_t i = 0; i < 4; i++)
        objects[i] = take(&world.caches[0]);
    for (uint32_t i = 0; i < 4; i++)
        give(&world.caches[0], objects[i]);
}

static void shrink(void) {
    (void)ash_slab_cache_shrink(&world.caches[0]);
}

static void reap_twice(void) {
    (void)ash_slab_cache_reap(&world.caches[0]);
    (void)ash_slab_cache_reap(&world.caches[0]);
}

static void flush(void) {
    ash_slab_cache_flush(&world.caches[0]);
}

static void take_and_give_bulk(void) {
    void *objects[5];
    if (ash_slab_alloc_bulk(&world.caches[0], objects, 5) != 0)
        return;
    for (uint32_t i = 0; i < 5; i++)
        ((uint64_t *)objects[i])[0] = 1 + explore_context();
    interleave_point();
    for (uint32_t i = 0; i < 5; i++)
        EXPLORE_CHECK(((uint64_t *)objects[i])[0] == 1 + explore_context());
    ash_slab_free_bulk(&world.caches[0], objects, 5);
}

static void set_aside_and_use(void) {
    struct ash_slab_reserve reserve = {0};
    if (ash_slab_prefill(&world.caches[0], &reserve, 3) == 0) {
        uint64_t *object = ash_slab_alloc_reserved(&world.caches[0], &reserve);
        object[0] = 77;
        interleave_point();
        EXPLORE_CHECK(object[0] == 77);
        ash_slab_free(&world.caches[0], object);
    }
    ash_slab_unreserve(&world.caches[0], &reserve);
}

static void ask(void) {
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&world.caches[0], &stats);
    EXPLORE_CHECK(stats.used <= 8 && stats.peak <= 8 && stats.hits <= stats.allocations);
}

/* Two are out when the third one of the batch goes from the CPU to the depot. */
static void take_two_and_flush(void) {
    uint64_t *first = take(&world.caches[0]), *second = take(&world.caches[0]);
    ash_slab_cache_flush(&world.caches[0]);
    give(&world.caches[0], first);
    give(&world.caches[0], second);
}

static void ask_about_two(void) {
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&world.caches[0], &stats);
    EXPLORE_CHECK(stats.peak <= 2);
}

static void reclaim(void) {
    (void)ash_page_source_reclaim(&world.source);
}

/* A cache's whole life, while others work on the same page source. */
static void live_and_die(void) {
    make_cache(1);
    give(&world.caches[1], take(&world.caches[1]));
    EXPLORE_CHECK(ash_slab_cache_fini(&world.caches[1]) == 0);
    memset(&world.caches[1], 0xff, sizeof(world.caches[1]));
}

/* What another context has put into the slot is freed here. */
static uint64_t *slot;

static void produce(void) {
    uint64_t *none = NULL;
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t *before = ash_exchange(&slot, ash_slab_alloc(&world.caches[0]));
        if (before != NULL)
            ash_slab_free(&world.caches[0], before);
    }
    uint64_t *last = ash_exchange(&slot, none);
    if (last != NULL)
        ash_slab_free(&world.caches[0], last);
}

static void consume(void) {
    uint64_t *none = NULL;
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t *object = ash_exchange(&slot, none);
        if (object != NULL)
            ash_slab_free(&world.caches[0], object);
    }
}

/* With magazines that are full and empty at each call, and a depot that has room for one. */
static void explore_slab(struct explore_scenario scenario) {
    if (scenario.setup == NULL)
        scenario.setup = setup;
    if (scenario.finish == NULL)
        scenario.finish = finish;
    for (world.magazine_objects = 1; world.magazine_objects <= 2; world.magazine_objects++)
        CHECK(explore(&scenario) > 1);
}

TEST_CASE(slab_orders, two_contexts_take_and_give) {
    explore_slab(
        (struct explore_scenario){.bodies = {take_and_give, take_and_give}, .preemptions = 2});
}

TEST_CASE(slab_orders, three_contexts_take_and_give) {
    explore_slab((struct explore_scenario){.bodies = {take_and_give, take_and_give, take_and_give},
                                           .preemptions = 1});
}

TEST_CASE(slab_orders, slabs_run_full_and_empty) {
    explore_slab((struct explore_scenario){.bodies = {take_four_and_give, take_four_and_give},
                                           .preemptions = 2});
}

TEST_CASE(slab_orders, no_page_is_left) {
    explore_slab((struct explore_scenario){.setup = setup_one_page,
                                           .bodies = {take_four_and_give, take_four_and_give},
                                           .preemptions = 1});
}

TEST_CASE(slab_orders, shrink_comes_between) {
    explore_slab((struct explore_scenario){.bodies = {take_four_and_give, take_and_give, shrink},
                                           .preemptions = 1});
}

TEST_CASE(slab_orders, one_produces_and_one_consumes) {
    explore_slab((struct explore_scenario){.bodies = {produce, consume, shrink}, .preemptions = 2});
}

TEST_CASE(slab_orders, cache_lives_and_dies_under_reclaim) {
    explore_slab((struct explore_scenario){.bodies = {live_and_die, reclaim}, .preemptions = 2});
    explore_slab((struct explore_scenario){.bodies = {live_and_die, reclaim, take_and_give},
                                           .preemptions = 1});
}

TEST_CASE(slab_orders, reclaim_takes_from_both_caches) {
    explore_slab((struct explore_scenario){.setup = setup_two,
                                           .bodies = {take_and_give, reclaim, reclaim},
                                           .finish = finish_two,
                                           .preemptions = 1});
}

TEST_CASE(slab_orders, cpu_goes_idle) {
    explore_slab((struct explore_scenario){.bodies = {take_and_give, flush, take_four_and_give},
                                           .preemptions = 1});
}

TEST_CASE(slab_orders, depot_is_reaped) {
    explore_slab((struct explore_scenario){
        .bodies = {take_four_and_give, reap_twice, take_and_give}, .preemptions = 1});
}

TEST_CASE(slab_orders, bulk_and_single_calls) {
    explore_slab((struct explore_scenario){.bodies = {take_and_give_bulk, take_four_and_give},
                                           .preemptions = 2});
}

TEST_CASE(slab_orders, bulk_without_pages) {
    explore_slab((struct explore_scenario){.setup = setup_two_pages,
                                           .bodies = {take_and_give_bulk, take_and_give_bulk},
                                           .preemptions = 2});
}

TEST_CASE(slab_orders, objects_are_set_aside) {
    explore_slab((struct explore_scenario){.bodies = {set_aside_and_use, take_four_and_give},
                                           .preemptions = 2});
}

TEST_CASE(slab_orders, peak_is_of_objects_that_were_out) {
    explore_slab(
        (struct explore_scenario){.bodies = {take_two_and_flush, ask_about_two}, .preemptions = 2});
}

TEST_CASE(slab_orders, statistics_are_asked_for) {
    explore_slab((struct explore_scenario){.bodies = {take_four_and_give, take_and_give, ask},
                                           .preemptions = 1});
}

static void interrupt(void) {
    give(&world.caches[0], take(&world.caches[0]));
}

TEST_CASE(slab_orders, interrupt_uses_the_cache) {
    world.flags = ASH_SLAB_INTERRUPTS;
    explore_slab((struct explore_scenario){
        .bodies = {take_four_and_give}, .interrupt = interrupt, .preemptions = 2});
    explore_slab((struct explore_scenario){
        .bodies = {take_and_give, take_and_give}, .interrupt = interrupt, .preemptions = 2});
    world.flags = 0;
}

TEST_CASE(slab_orders, profiles_look_at_every_object) {
    static const uint32_t profiles[] = {ASH_SLAB_HARDENED, ASH_SLAB_DEBUG};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(profiles); i++) {
        world.flags = profiles[i];
        explore_slab((struct explore_scenario){.bodies = {take_four_and_give, take_and_give},
                                               .preemptions = 1});
        explore_slab(
            (struct explore_scenario){.bodies = {set_aside_and_use, reclaim}, .preemptions = 1});
        explore_slab(
            (struct explore_scenario){.bodies = {take_four_and_give, take_four_and_give, reclaim},
                                      .preemptions = 50,
                                      .random_runs = 300});
    }
    world.flags = 0;
}

TEST_CASE(slab_orders, long_runs_by_chance) {
    explore_slab(
        (struct explore_scenario){.bodies = {take_four_and_give, take_four_and_give, reclaim},
                                  .preemptions = 50,
                                  .random_runs = 2000});
    explore_slab((struct explore_scenario){
        .bodies = {take_and_give_bulk, set_aside_and_use, take_four_and_give},
        .preemptions = 50,
        .random_runs = 2000});
}
