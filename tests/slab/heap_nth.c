/* SPDX-License-Identifier: MIT */
/*
 * As nth.c, for a heap: a script of calls, small and large, in which the n-th call of the page
 * source fails, alone or with all after it. And numbers of caches that run out at the n-th.
 */
#include "harness/as_cpu.h"
#include "heap_fixture.h"

enum { PAGES = 512, BLOCKS = 24 };

struct block {
    uint8_t *bytes;
    size_t size; /* of its pattern */
};

struct scene {
    struct fake_pages *pages;
    struct ash_heap *heap;
    struct block blocks[BLOCKS];
};

static bool is_filled(const uint8_t *bytes, size_t size, uint8_t value) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

enum call { KMALLOC, KZALLOC, KCALLOC, KREALLOC, FREE, OTHER_CPU, SHRINK };

/* Of block `at`. A block that is not there yet is made by KREALLOC too. */
static const struct step {
    enum call call;
    uint32_t at;
    size_t size;
} script[] = {
    {KMALLOC, 0, 0},      {KZALLOC, 1, 17},        {KCALLOC, 2, 60},    {KREALLOC, 3, 128},
    {KMALLOC, 4, 250},    {KZALLOC, 5, 512},       {KMALLOC, 6, 513},   {KZALLOC, 7, 4096},
    {KCALLOC, 8, 4097},   {KREALLOC, 9, 9000},     {KREALLOC, 2, 61},   {KREALLOC, 2, 300},
    {KREALLOC, 2, 5000},  {OTHER_CPU, 1, 0},       {KREALLOC, 2, 9000}, {KREALLOC, 9, 8000},
    {KMALLOC, 10, 100},   {KZALLOC, 11, 300},      {FREE, 6, 0},        {FREE, 4, 0},
    {SHRINK, 0, 0},       {KREALLOC, 12, 40},      {FREE, 12, 0},       {KMALLOC, 13, 100000},
    {KREALLOC, 8, 4096},  {KREALLOC, 13, 200},     {KREALLOC, 9, 10},   {KREALLOC, 1, 1000},
    {KCALLOC, 14, 12288}, {KMALLOC, 15, 256},      {FREE, 3, 0},        {OTHER_CPU, 0, 0},
    {KMALLOC, 3, 128},    {KREALLOC, 14, 3 << 14},
};

static uint8_t *allocate(struct ash_heap *heap, const struct step *step, uint8_t *old) {
    switch (step->call) {
    case KMALLOC:
        return ash_kmalloc(heap, step->size);
    case KZALLOC:
        return ash_kzalloc(heap, step->size);
    case KCALLOC:
        return ash_kcalloc(heap, step->size, 1);
    default:
        return ash_krealloc(heap, old, step->size);
    }
}

/* False: no memory; the block is as it was. */
static bool change(struct scene *scene, const struct step *step) {
    struct block *block = &scene->blocks[step->at];
    uint8_t *old = block->bytes;
    uint8_t mark = (uint8_t)(step->at + 1);
    size_t had = old != NULL ? ash_ksize(scene->heap, old) : 0;
    uint8_t *bytes = allocate(scene->heap, step, old);
    if (bytes == NULL) {
        CHECK(old == NULL || step->size > had); /* a shrink does not fail */
        CHECK(old == NULL || ash_ksize(scene->heap, old) == had);
        CHECK(is_filled(old, block->size, mark));
        return false;
    }
    if (step->call == KZALLOC || step->call == KCALLOC)
        CHECK(is_filled(bytes, ash_ksize(scene->heap, bytes), 0));
    CHECK(ash_ksize(scene->heap, bytes) >= step->size);
    if (step->call == KREALLOC)
        CHECK(is_filled(bytes, block->size < step->size ? block->size : step->size, mark));
    memset(bytes, mark, step->size);
    *block = (struct block){bytes, step->size};
    return true;
}

static bool run(struct scene *scene, const struct step *step) {
    if (step->call == OTHER_CPU) {
        as_cpu(step->at);
    } else if (step->call == SHRINK) {
        (void)ash_heap_shrink(scene->heap);
    } else if (step->call == FREE) {
        ash_kfree(scene->heap, scene->blocks[step->at].bytes);
        scene->blocks[step->at] = (struct block){0};
    } else {
        return change(scene, step);
    }
    return true;
}

/* All that is out is counted, and what is held is what the source gave. */
static void audit(struct scene *scene) {
    CHECK_HEAP_SOUND(scene->heap);
    struct ash_heap_stats stats;
    uint64_t bytes = 0;
    ash_heap_get_stats(scene->heap, &stats);
    for (uint32_t i = 0; i < BLOCKS; i++)
        bytes += ash_ksize(scene->heap, scene->blocks[i].bytes);
    CHECK_EQ(stats.small_bytes + stats.large_bytes, bytes);
    CHECK_EQ(stats.slab_bytes + stats.large_bytes, scene->pages->used * ASH_PAGE_SIZE);
}

/* Returns whether a call failed. */
static bool play(struct scene *scene, uint64_t n) {
    bool failed = false;
    for (uint32_t at = 0; at < ASH_ARRAY_LEN(script); at++) {
        if (run(scene, &script[at]))
            continue;
        CHECK(!failed && scene->pages->calls >= n);
        audit(scene);
        failed = true;
        scene->pages->fail_at = 0;
        CHECK(run(scene, &script[at]));
        audit(scene);
    }
    return failed;
}

static void leave(struct scene *scene) {
    scene->pages->fail_at = 0;
    audit(scene);
    for (uint32_t i = 0; i < BLOCKS; i++)
        ash_kfree(scene->heap, scene->blocks[i].bytes);
    CHECK_EQ(ash_heap_fini(scene->heap), 0);
    CHECK_EQ(scene->pages->used, 0);
    as_cpu(0);
}

static void fail_each(struct scene *scene, enum ash_heap_classes classes, uint32_t flags,
                      uint64_t fail_count) {
    struct ash_heap_config config = {
        .source = &scene->pages->source, .classes = classes, .flags = flags};
    size_t bytes = ash_heap_storage_size(&config);
    void *storage = test_alloc(bytes, ASH_PORT_CACHE_LINE);
    struct fake_pages *pages = scene->pages;
    struct ash_heap *heap = scene->heap;
    uint64_t n = 0, failures = 0;
    bool reached;
    do {
        *scene = (struct scene){.pages = pages, .heap = heap};
        pages->calls = 0;
        pages->fail_at = ++n;
        pages->fail_count = fail_count;
        CHECK_EQ(ash_heap_init(heap, &config, storage, bytes), 0);
        bool failed = play(scene, n);
        reached = pages->calls >= n;
        CHECK(failed || n != 1 || fail_count == 1);
        failures += failed;
        leave(scene);
    } while (reached);
    CHECK(failures != 0 && n > 10);
}

static void fail_all(uint32_t flags) {
    struct scene *scene = test_alloc(sizeof(*scene), 8);
    scene->pages = fake_pages_new(PAGES);
    scene->heap = test_alloc(sizeof(*scene->heap), ASH_PORT_CACHE_LINE);
    fail_each(scene, ASH_HEAP_SIX, flags, 1);
    fail_each(scene, ASH_HEAP_SIX, flags, UINT64_MAX);
    fail_each(scene, ASH_HEAP_FINE, flags, UINT64_MAX);
}

TEST_CASE(heap_nth, page_that_is_refused_costs_one_call) {
    fail_all(0);
}

TEST_CASE(heap_nth, page_that_is_refused_costs_one_call_with_interrupts) {
    fail_all(ASH_SLAB_INTERRUPTS);
}

TEST_CASE(heap_nth, page_that_is_refused_costs_one_call_if_hardened) {
    fail_all(ASH_SLAB_HARDENED);
}

TEST_CASE(heap_nth, page_that_is_refused_costs_one_call_in_debug) {
    fail_all(ASH_SLAB_DEBUG);
}

/* A source like `pages`, for `count` caches. */
static void source_for(struct ash_page_source *source, struct fake_pages *pages, uint32_t count) {
    const struct ash_page_source_config config = {.ops = pages->source.ops,
                                                  .context = pages,
                                                  .base = pages->base,
                                                  .len_pages = pages->pages,
                                                  .caches_max = count};
    size_t bytes = ash_page_source_storage_size(&config);
    void *storage = test_alloc(bytes, ASH_PAGE_SOURCE_STORAGE_ALIGN);
    for (size_t less = 1; less <= bytes; less++)
        CHECK_EQ(ash_page_source_init(source, &config, storage, bytes - less), -ASH_EINVAL);
    CHECK_EQ(ash_page_source_init(source, &config, storage, bytes), 0);
}

/* Every number of the source is still to be had, and no more. */
static void check_numbers(struct ash_page_source *source, uint32_t count) {
    struct ash_slab_cache *caches = test_alloc((count + 1) * sizeof(*caches), ASH_PORT_CACHE_LINE);
    const struct ash_slab_config config = {.name = "numbered", .size_bytes = 8, .source = source};
    for (uint32_t i = 0; i < count; i++)
        CHECK_EQ(ash_slab_cache_init(&caches[i], &config), 0);
    CHECK_EQ(ash_slab_cache_init(&caches[count], &config), -ASH_ENOSPC);
    for (uint32_t i = 0; i < count; i++)
        CHECK_EQ(ash_slab_cache_fini(&caches[i]), 0);
}

TEST_CASE(heap_nth, init_without_a_number_for_each_class_takes_none) {
    struct fake_pages *pages = fake_pages_new(16);
    struct ash_page_source source;
    struct ash_heap *heap = test_alloc(sizeof(*heap), ASH_PORT_CACHE_LINE);
    for (uint32_t classes = ASH_HEAP_SIX; classes <= ASH_HEAP_FINE; classes++) {
        struct ash_heap_config config = {.source = &source,
                                         .classes = (enum ash_heap_classes)classes};
        size_t bytes = ash_heap_storage_size(&config);
        void *storage = test_alloc(bytes, ASH_PORT_CACHE_LINE);
        uint32_t needed = classes == ASH_HEAP_SIX ? ASH_HEAP_CLASSES_SIX : ASH_HEAP_CLASSES_FINE;
        for (uint32_t count = 1; count <= needed; count++) {
            source_for(&source, pages, count);
            int result = ash_heap_init(heap, &config, storage, bytes);
            CHECK_EQ(result, count < needed ? -ASH_ENOSPC : 0);
            if (result == 0)
                CHECK_EQ(ash_heap_fini(heap), 0);
            if (count % 5 == 1 || count == needed)
                check_numbers(&source, count);
        }
        for (size_t less = 1; less <= bytes; less += 7)
            CHECK_EQ(ash_heap_init(heap, &config, storage, bytes - less), -ASH_EINVAL);
        check_numbers(&source, needed);
    }
}
