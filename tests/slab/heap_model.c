/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a heap against a model that is an array: what is out, each with a pattern in
 * all of the bytes that it may use, checked when it goes. What is handed out twice, or overlaps
 * anything, breaks a pattern or the audit.
 */
#include "heap_fixture.h"

enum { LIVE_MAX = 120, STEPS = 400, SIZE_MOST = 9500 };

struct live {
    uint8_t *bytes;
    size_t size; /* as asked for */
    size_t usable;
    uint8_t pattern;
};

struct model {
    struct fake_pages *pages;
    struct ash_heap *heap;
    enum ash_heap_classes classes;
    struct live live[LIVE_MAX];
    uint32_t count;
    struct test_random random;
};

static void paint(struct model *model, struct live *live) {
    live->pattern = (uint8_t)test_random_u64(&model->random);
    memset(live->bytes, live->pattern, live->usable);
}

static void check_painted(const struct live *live, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (live->bytes[i] != live->pattern)
            test_fail(__FILE__, __LINE__, "byte %zu of %zu changed", i, live->size);
    }
}

/* Sizes that no machine has, now and then. */
static size_t any_size(struct model *model) {
    if (test_random_chance(&model->random, 3))
        return SIZE_MAX - test_random_below(&model->random, 9000);
    if (test_random_chance(&model->random, 2))
        return (size_t)1 << test_random_below(&model->random, 64);
    return random_size(&model->random, SIZE_MOST);
}

static void *allocate(struct model *model, size_t size, bool *zeroed) {
    *zeroed = true;
    switch (test_random_below(&model->random, 4)) {
    case 0:
        return ash_kzalloc(model->heap, size);
    case 1:
        return size % 3 == 0 ? ash_kcalloc(model->heap, size / 3, 3)
                             : ash_kcalloc(model->heap, 1, size);
    case 2:
        *zeroed = false;
        return ash_kmalloc_inline(model->heap, size);
    default:
        *zeroed = false;
        return ash_kmalloc(model->heap, size);
    }
}

static void step_alloc(struct model *model) {
    struct live *live = &model->live[model->count];
    uint64_t calls = model->pages->calls;
    bool zeroed;
    live->size = any_size(model);
    live->bytes = allocate(model, live->size, &zeroed);
    if (live->bytes == NULL) { /* only if there is no such block, or the source had none */
        CHECK(live->size > model->pages->pages * ASH_PAGE_SIZE || model->pages->calls > calls);
        return;
    }
    live->usable = ash_ksize(model->heap, live->bytes);
    CHECK_EQ(live->usable, expected_size(model->classes, live->size));
    live->pattern = 0;
    if (zeroed)
        check_painted(live, live->usable);
    paint(model, live);
    model->count++;
}

static void step_free(struct model *model) {
    uint32_t at = (uint32_t)test_random_below(&model->random, model->count);
    struct live live = model->live[at];
    model->live[at] = model->live[--model->count];
    check_painted(&live, live.usable);
    if (test_random_chance(&model->random, 50))
        ash_kfree(model->heap, live.bytes);
    else
        ash_kfree_inline(model->heap, live.bytes);
}

static void step_resize(struct model *model) {
    struct live *live = &model->live[test_random_below(&model->random, model->count)];
    size_t size = any_size(model);
    check_painted(live, live->usable);
    uint8_t *moved = ash_krealloc(model->heap, live->bytes, size);
    if (moved == NULL) {
        CHECK(size > live->usable);
        check_painted(live, live->usable);
        return;
    }
    bool stays = size <= live->usable && live->usable <= 2 * expected_size(model->classes, size);
    CHECK(!stays || moved == live->bytes);
    size_t usable = ash_ksize(model->heap, moved);
    CHECK(usable >= size);
    CHECK(moved == live->bytes || usable == expected_size(model->classes, size));
    live->bytes = moved;
    check_painted(live, size < live->usable ? size : live->usable);
    live->usable = usable;
    live->size = size;
    paint(model, live);
}

static void heap_agrees(struct model *model) {
    CHECK_HEAP_SOUND(model->heap);
    struct ash_heap_stats stats;
    ash_heap_get_stats(model->heap, &stats);
    uint64_t small = 0, large = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        bool is_small = model->live[i].usable <= (model->classes == ASH_HEAP_SIX ? 512 : 8192) &&
                        model->live[i].bytes != NULL;
        *(is_small ? &small : &large) += model->live[i].usable;
    }
    CHECK_EQ(stats.small_bytes, small);
    CHECK_EQ(stats.large_bytes, large);
}

static void step_any(struct model *model, uint32_t step) {
    static const uint32_t percent[] = {85, 45, 15, 55};
    bool more = test_random_chance(&model->random, percent[step / 64 % 4]);
    model->pages->fail_at = test_random_chance(&model->random, 5) ? model->pages->calls + 1 : 0;
    model->pages->fail_count = test_random_chance(&model->random, 50) ? 1 : UINT64_MAX;
    if (model->count != 0 && test_random_chance(&model->random, 25))
        step_resize(model);
    else if (model->count == 0 || (more && model->count < LIVE_MAX))
        step_alloc(model);
    else
        step_free(model);
    model->pages->fail_at = 0;
    if (test_random_chance(&model->random, 1))
        (void)ash_heap_shrink(model->heap);
    if (test_random_chance(&model->random, 1))
        ash_heap_flush(model->heap);
    if (test_random_chance(&model->random, 1))
        (void)ash_heap_reap(model->heap);
}

static void run(struct fake_pages *pages, enum ash_heap_classes classes, uint32_t flags,
                uint64_t seed) {
    struct model *model = test_alloc(sizeof(*model), 8);
    *model = (struct model){.pages = pages,
                            .heap = new_heap_with(pages, classes, flags),
                            .classes = classes,
                            .random = test_random_from(seed)};
    for (uint32_t step = 0; step < STEPS; step++) {
        step_any(model, step);
        heap_agrees(model);
    }
    while (model->count != 0)
        step_free(model);
    heap_agrees(model);
    CHECK_EQ(ash_heap_fini(model->heap), 0);
    CHECK_EQ(pages->used, 0);
}

TEST_CASE(heap, agrees_with_a_model_over_random_sizes) {
    struct fake_pages *pages = fake_pages_new(256);
    for (uint32_t i = 0; i < 6; i++)
        run(pages, ASH_HEAP_SIX, 0, test_seed() + i);
}

TEST_CASE(heap, of_32_classes_agrees_with_a_model_over_random_sizes) {
    struct fake_pages *pages = fake_pages_new(256);
    for (uint32_t i = 0; i < 3; i++)
        run(pages, ASH_HEAP_FINE, 0, test_seed() + 100 + i);
}

TEST_CASE(heap, for_interrupt_handlers_agrees_with_a_model) {
    struct fake_pages *pages = fake_pages_new(256);
    for (uint32_t i = 0; i < 3; i++)
        run(pages, ASH_HEAP_SIX, ASH_SLAB_INTERRUPTS, test_seed() + 200 + i);
}

TEST_CASE(heap, of_either_profile_agrees_with_a_model) {
    struct fake_pages *pages = fake_pages_new(512);
    run(pages, ASH_HEAP_FINE, ASH_SLAB_HARDENED, test_seed() + 300);
    run(pages, ASH_HEAP_SIX, ASH_SLAB_DEBUG, test_seed() + 301);
    run(pages, ASH_HEAP_FINE, ASH_SLAB_DEBUG, test_seed() + 302);
}
