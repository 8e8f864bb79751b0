/* SPDX-License-Identifier: MIT */
/* heap_fixture.h: a heap for a case, and the sizes at which something changes. */
#ifndef ASHLAR_TEST_HEAP_FIXTURE_H
#define ASHLAR_TEST_HEAP_FIXTURE_H

#include <ashlar/check.h>
#include <ashlar/heap.h>

#include "fake_pages.h"
#include "harness/test.h"

static inline struct ash_heap *new_heap_with(struct fake_pages *pages,
                                             enum ash_heap_classes classes, uint32_t flags) {
    struct ash_heap_config config = {.source = &pages->source, .classes = classes, .flags = flags};
    struct ash_heap *heap = test_alloc(sizeof(*heap), 64);
    size_t bytes = ash_heap_storage_size(&config);
    CHECK_EQ(ash_heap_init(heap, &config, test_alloc(bytes, ASH_PORT_CACHE_LINE), bytes), 0);
    return heap;
}

static inline struct ash_heap *new_heap(struct fake_pages *pages, enum ash_heap_classes classes) {
    return new_heap_with(pages, classes, 0);
}

#define CHECK_HEAP_SOUND(heap)                            \
    do {                                                  \
        const char *broken_ = ash_heap_check(heap);       \
        if (broken_ != NULL)                              \
            test_fail(__FILE__, __LINE__, "%s", broken_); \
    } while (0)

/* Spelled out, where the heap computes them. */
static const uint16_t six_sizes[] = {16, 32, 64, 128, 256, 512};
static const uint16_t fine_sizes[] = {
    16,  32,  48,  64,   80,   96,   112,  128,  160,  192,  224,  256,  320,  384,  448,  512,
    640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192};

/* What ash_ksize must say: the class, or whole pages, a power of two of them. */
static inline size_t expected_size(enum ash_heap_classes classes, size_t size) {
    const uint16_t *sizes = classes == ASH_HEAP_SIX ? six_sizes : fine_sizes;
    uint32_t count = classes == ASH_HEAP_SIX ? ASH_ARRAY_LEN(six_sizes) : ASH_ARRAY_LEN(fine_sizes);
    for (uint32_t i = 0; i < count; i++) {
        if (size <= sizes[i])
            return sizes[i];
    }
    size_t usable = ASH_PAGE_SIZE;
    while (usable < size)
        usable *= 2;
    return usable;
}

/* 0, 1, a class's or a page's edge and its neighbours, or any up to `most`. */
static inline size_t random_size(struct test_random *random, size_t most) {
    size_t size = test_random_below(random, most + 1);
    uint32_t kind = (uint32_t)test_random_below(random, 10);
    if (kind < 4)
        size = (size_t)fine_sizes[test_random_below(random, 32)] - 1 + test_random_below(random, 3);
    else if (kind == 4)
        size =
            ASH_PAGE_SIZE * (1 + test_random_below(random, 4)) - 1 + test_random_below(random, 3);
    else if (kind == 5)
        size = test_random_below(random, 2);
    return size > most ? most : size;
}

#endif
