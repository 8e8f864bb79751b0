/* SPDX-License-Identifier: MIT */
/* churn.c: see churn.h; and the cases that let four CPUs do it at once. */
#include "slab/churn.h"

enum { HELD = 24, WORDS = 12, SMALL_WORDS = 4 };

struct worker {
    struct churn *churn;
    struct test_random random;
    uint64_t *held[HELD];
    uint64_t mark; /* of this CPU */
};

static void sign(uint64_t *object, uint64_t mark) {
    for (uint32_t i = 0; i < WORDS; i++)
        object[i] = mark + i;
}

static void verify(const uint64_t *object, uint64_t mark) {
    for (uint32_t i = 0; i < WORDS; i++)
        CHECK_EQ(object[i], mark + i);
}

static void step_alloc_or_free(struct worker *worker) {
    uint64_t **slot = &worker->held[test_random_below(&worker->random, HELD)];
    if (*slot != NULL) {
        verify(*slot, worker->mark);
        ash_slab_free(&worker->churn->cache, *slot);
        *slot = NULL;
    } else if ((*slot = ash_slab_alloc(&worker->churn->cache)) != NULL) {
        sign(*slot, worker->mark);
    }
}

/* Exchanges one of its objects, or none, for what lies in a place of the ring. What is there was
 * signed 0 by whoever gave it. */
static void step_hand_over(struct worker *worker) {
    uint64_t **place = &worker->churn->ring[test_random_below(&worker->random, CHURN_RING)];
    uint64_t **slot = &worker->held[test_random_below(&worker->random, HELD)];
    if (*slot != NULL) {
        verify(*slot, worker->mark);
        sign(*slot, 0);
    }
    *slot = ash_exchange(place, *slot);
    if (*slot != NULL) {
        verify(*slot, 0);
        sign(*slot, worker->mark);
    }
}

/* A cache's whole life, on a page source that others reclaim from. */
static void step_live_and_die(struct worker *worker, uint32_t cpu) {
    struct ash_slab_cache *cache = &worker->churn->short_lived[cpu];
    const struct ash_slab_config config = {.name = "short-lived",
                                           .size_bytes = SMALL_WORDS * 8,
                                           .slab_bytes = ASH_PAGE_SIZE,
                                           .empty_max = 1,
                                           .source = &worker->churn->pages->source};
    uint64_t *objects[3];
    CHECK_EQ(ash_slab_cache_init(cache, &config), 0);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(objects); i++) {
        objects[i] = ash_slab_alloc(cache);
        if (objects[i] != NULL)
            objects[i][0] = objects[i][SMALL_WORDS - 1] = worker->mark;
    }
    ash_slab_cache_flush(cache);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(objects); i++) {
        if (objects[i] != NULL) {
            CHECK_EQ(objects[i][0], worker->mark);
            CHECK_EQ(objects[i][SMALL_WORDS - 1], worker->mark);
            ash_slab_free(cache, objects[i]);
        }
    }
    CHECK_EQ(ash_slab_cache_fini(cache), 0);
}

static void step_bulk(struct worker *worker) {
    void *objects[7];
    uint32_t count = 1 + (uint32_t)test_random_below(&worker->random, ASH_ARRAY_LEN(objects));
    if (ash_slab_alloc_bulk(&worker->churn->cache, objects, count) != 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        sign(objects[i], worker->mark + (uint64_t)i * 256);
    for (uint32_t i = 0; i < count; i++)
        verify(objects[i], worker->mark + (uint64_t)i * 256);
    ash_slab_free_bulk(&worker->churn->cache, objects, count);
}

static void step_reserve(struct worker *worker) {
    struct ash_slab_cache *cache = &worker->churn->cache;
    struct ash_slab_reserve reserve = {0};
    (void)!ash_slab_prefill(cache, &reserve, 1 + (uint32_t)test_random_below(&worker->random, 6));
    if (reserve.count != 0) {
        uint64_t *object = ash_slab_alloc_reserved(cache, &reserve);
        sign(object, worker->mark);
        verify(object, worker->mark);
        ash_slab_free(cache, object);
    }
    ash_slab_unreserve(cache, &reserve);
}

static void step_ask(const struct worker *worker) {
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&worker->churn->cache, &stats);
    CHECK(stats.hits <= stats.allocations && stats.frees <= stats.allocations);
}

static void step_rare(struct worker *worker, uint32_t cpu) {
    struct ash_slab_cache *cache = &worker->churn->cache;
    switch (test_random_below(&worker->random, 16)) {
    case 0:
        (void)ash_slab_cache_shrink(cache);
        break;
    case 1:
        (void)ash_page_source_reclaim(&worker->churn->pages->source);
        break;
    case 2:
    case 3:
        (void)ash_slab_cache_reap(cache);
        break;
    case 4:
    case 5:
        step_live_and_die(worker, cpu);
        break;
    case 6:
        step_ask(worker);
        break;
    case 7:
        step_reserve(worker);
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        step_bulk(worker);
        break;
    default:
        ash_slab_cache_flush(cache); /* it goes idle */
    }
}

static void step(struct worker *worker, uint32_t cpu) {
    struct churn *churn = worker->churn;
    uint64_t kind = test_random_below(&worker->random, 256);
    if (kind < 180)
        step_alloc_or_free(worker);
    else if (kind < 240)
        step_hand_over(worker);
    else
        step_rare(worker, cpu);
    if (churn->turns && kind % 2 == 0)
        ash_port_relax();
}

void churn_body(void *context, uint32_t cpu) {
    struct churn *churn = context;
    struct worker worker = {.churn = churn,
                            .random = test_random_from(churn->seed * CHURN_CPUS + cpu),
                            .mark = (uint64_t)(cpu + 1) << 32};
    for (uint32_t i = 0; i < churn->steps; i++)
        step(&worker, cpu);
    for (uint32_t i = 0; i < HELD; i++) {
        if (worker.held[i] != NULL) {
            verify(worker.held[i], worker.mark);
            ash_slab_free(&churn->cache, worker.held[i]);
        }
    }
}

void churn_begin(struct churn *churn) {
    const struct ash_slab_config config = {.name = "churned",
                                           .size_bytes = WORDS * 8,
                                           .slab_bytes = ASH_PAGE_SIZE,
                                           .flags = churn->flags,
                                           .magazine_objects = churn->magazine_objects,
                                           .depot_magazines = 3,
                                           .empty_max = 1,
                                           .source = &churn->pages->source};
    CHECK_EQ(ash_slab_cache_init(&churn->cache, &config), 0);
}

struct churn *churn_new(uint32_t page_count, uint32_t steps, uint32_t magazine_objects,
                        uint32_t flags) {
    struct churn *churn = test_alloc(sizeof(*churn), 64);
    churn->magazine_objects = magazine_objects;
    churn->flags = flags;
    churn->pages = fake_pages_new(page_count);
    churn->steps = steps;
    churn->seed = test_seed();
    churn_begin(churn);
    return churn;
}

void churn_finish(struct churn *churn) {
    for (uint32_t i = 0; i < CHURN_RING; i++) {
        if (churn->ring[i] != NULL)
            ash_slab_free(&churn->cache, churn->ring[i]);
        churn->ring[i] = NULL;
    }
    const char *broken = ash_slab_cache_check(&churn->cache);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&churn->cache, &stats);
    CHECK_EQ(stats.used, 0);
    CHECK_EQ(stats.allocations, stats.frees);
    CHECK_EQ(ash_slab_cache_fini(&churn->cache), 0);
    CHECK_EQ(churn->pages->used, 0);
}

static void churn_on_four_cpus(struct churn *churn) {
    test_run_on_cpus(churn_body, churn, CHURN_CPUS);
    churn_finish(churn);
}

TEST_CASE(slab_churn, four_cpus_do_everything_at_once) {
    churn_on_four_cpus(churn_new(64, 20000, 4, 0));
}

TEST_CASE(slab_churn, four_cpus_with_magazines_of_one) {
    churn_on_four_cpus(churn_new(64, 10000, 1, 0));
}

TEST_CASE(slab_churn, four_cpus_with_large_magazines) {
    churn_on_four_cpus(churn_new(64, 20000, 0, 0));
}

TEST_CASE(slab_churn, four_cpus_that_mask_interrupts) {
    churn_on_four_cpus(churn_new(64, 10000, 4, ASH_SLAB_INTERRUPTS));
}

TEST_CASE(slab_churn, four_cpus_with_a_hardened_cache) {
    churn_on_four_cpus(churn_new(64, 10000, 4, ASH_SLAB_HARDENED));
    churn_on_four_cpus(churn_new(4, 3000, 2, ASH_SLAB_HARDENED | ASH_SLAB_INTERRUPTS));
}

TEST_CASE(slab_churn, four_cpus_with_a_debug_cache) {
    churn_on_four_cpus(churn_new(64, 5000, 4, ASH_SLAB_DEBUG));
    churn_on_four_cpus(churn_new(4, 2000, 4, ASH_SLAB_DEBUG | ASH_SLAB_INTERRUPTS));
}

/* Most allocations find nothing, and each of these reclaims. */
TEST_CASE(slab_churn, four_cpus_share_two_pages) {
    churn_on_four_cpus(churn_new(2, 5000, 2, 0));
}
