/* SPDX-License-Identifier: MIT */
/*
 * Random operations against a model that is an array: the objects that are out, each with a pattern
 * in all of its bytes. An object handed out twice, or one that overlaps another or a header, breaks
 * a pattern or the audit.
 */
#include "fake_pages.h"
#include "harness/test.h"

#include "slab_internal.h"

enum { LIVE_MAX = 300 };

struct live {
    uint8_t *bytes;
    size_t size;
    uint8_t pattern;
};

struct model {
    struct live live[LIVE_MAX];
    uint32_t count, peak;
    uint64_t allocations;
    struct test_random random;
};

static void model_add(struct model *model, void *bytes, size_t size) {
    uint8_t pattern = (uint8_t)test_random_u64(&model->random);
    memset(bytes, pattern, size);
    model->live[model->count++] = (struct live){bytes, size, pattern};
    model->allocations++;
    if (model->count > model->peak)
        model->peak = model->count;
}

/* Takes one out at random, its pattern unharmed. */
static void *model_remove(struct model *model) {
    uint32_t at = (uint32_t)test_random_below(&model->random, model->count);
    struct live live = model->live[at];
    model->live[at] = model->live[--model->count];
    for (size_t i = 0; i < live.size; i++)
        CHECK_EQ(live.bytes[i], live.pattern);
    return live.bytes;
}

/* Rising, falling and level phases, so that full, partial and empty slabs all come about. */
static bool model_wants_more(struct model *model, uint32_t step) {
    static const uint32_t percent[] = {90, 50, 15, 60};
    if (model->count == 0)
        return true;
    return model->count < LIVE_MAX && test_random_chance(&model->random, percent[step / 64 % 4]);
}

static void cache_agrees(struct ash_slab_cache *cache, const struct model *model,
                         const struct fake_pages *pages) {
    const char *broken = ash_slab_cache_check(cache);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(cache, &stats);
    CHECK_EQ(stats.used, model->count);
    CHECK_EQ(stats.peak, model->peak);
    CHECK_EQ(stats.allocations, model->allocations);
    CHECK_EQ(stats.slabs * stats.slab_bytes + stats.magazine_bytes, pages->used * ASH_PAGE_SIZE);
}

static void run_cache(struct model *model, const struct ash_slab_config *config,
                      struct fake_pages *pages, uint32_t steps) {
    struct ash_slab_cache cache;
    CHECK_EQ(ash_slab_cache_init(&cache, config), 0);
    for (uint32_t step = 0; step < steps; step++) {
        if (model_wants_more(model, step)) {
            pages->fail_at = test_random_chance(&model->random, 5) ? pages->calls + 1 : 0;
            void *object = ash_slab_alloc(&cache);
            if (object != NULL) {
                CHECK(ash_is_aligned((uintptr_t)object, cache.align_bytes));
                model_add(model, object, config->size_bytes);
            }
        } else {
            ash_slab_free(&cache, model_remove(model));
        }
        if (test_random_chance(&model->random, 1))
            ash_slab_cache_shrink(&cache);
        if (test_random_chance(&model->random, 1))
            ash_slab_cache_flush(&cache);
        if (test_random_chance(&model->random, 1))
            ash_slab_cache_reap(&cache);
        cache_agrees(&cache, model, pages);
    }
    while (model->count != 0)
        ash_slab_free(&cache, model_remove(model));
    cache_agrees(&cache, model, pages);
    CHECK_EQ(ash_slab_cache_fini(&cache), 0);
    CHECK_EQ(pages->used, 0);
}

/* Sizes at which something changes, and their neighbours. */
static size_t random_size(struct test_random *random, size_t most) {
    size_t size = (size_t)1 + test_random_below(random, most);
    if (test_random_chance(random, 40))
        size = ((size_t)1 << test_random_below(random, 14)) - 1 + test_random_below(random, 3);
    return size < 1 ? 1 : size > most ? most : size;
}

TEST_CASE(slab, agrees_with_a_model_over_random_sizes_and_alignments) {
    struct fake_pages *pages = fake_pages_new(128);
    pages->fail_count = 1;
    struct model *model = test_alloc(sizeof(*model), 8);
    for (uint32_t run = 0; run < 24; run++) {
        *model = (struct model){.random = test_random_from(test_seed() + run)};
        struct ash_slab_config config = {
            .name = "model",
            .size_bytes = random_size(&model->random, 4096),
            .align_bytes = (size_t)1 << test_random_below(&model->random, 10),
            .slab_bytes = ASH_PAGE_SIZE << test_random_below(&model->random, 5),
            .magazine_objects = (uint32_t)test_random_below(&model->random, 20),
            .depot_magazines = (uint32_t)test_random_below(&model->random, 4),
            .empty_max = (uint32_t)test_random_below(&model->random, 4),
            .source = &pages->source,
        };
        run_cache(model, &config, pages, 500);
    }
}
