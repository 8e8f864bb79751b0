/* SPDX-License-Identifier: MIT */
/*
 * Four CPUs on one kernel memory: heap, a cache of objects and pages at once, each object freed on
 * another CPU than it was made on, and now and then a CPU that goes idle. No body waits for
 * another: what is left over at the end goes back on CPU 0.
 */
#include "kernel/memory_fixture.h"

#include <ashlar/port.h>

enum { CPUS = 4, ROUNDS = 12000, RING = 32, OBJECT_BYTES = 100, IDLE_EVERY = 500 };

enum kind { FROM_HEAP, FROM_CACHE, PAGES, LARGE, KINDS };

/* At the head of everything that is handed over; the same word again in its last eight bytes. */
struct parcel {
    uint64_t mark;
    size_t size_bytes;
    enum kind kind;
};

struct storm {
    struct kernel_memory *memory;
    struct memory_cache cache;
    struct parcel *rings[CPUS][RING]; /* a ring's slots are for that CPU to empty */
    uint64_t seed;
    uint32_t overlaps; /* things that two held at once */
};

static uint64_t *last_word(struct parcel *parcel) {
    return (uint64_t *)(void *)((char *)parcel + parcel->size_bytes - sizeof(uint64_t));
}

static struct parcel *take(struct storm *storm, struct test_random *random, enum kind kind) {
    struct kernel_memory *memory = storm->memory;
    size_t size = OBJECT_BYTES / 8 * 8;
    struct parcel *parcel = NULL;
    if (kind == FROM_HEAP || kind == LARGE) {
        size = 24 + 8 * test_random_below(random, kind == LARGE ? 1500 : 58);
        parcel = ash_kmalloc(&memory->heap, size);
    } else if (kind == FROM_CACHE) {
        parcel = ash_slab_alloc(&storm->cache.slabs);
    } else {
        size = ASH_PAGE_SIZE;
        parcel = memory_pages_alloc(memory, 0);
    }
    if (parcel == NULL)
        return NULL;
    parcel->kind = kind;
    parcel->size_bytes = size;
    ash_store_relaxed(&parcel->mark, (uint64_t)(uintptr_t)parcel);
    ash_store_relaxed(last_word(parcel), (uint64_t)(uintptr_t)parcel);
    return parcel;
}

static void give(struct storm *storm, struct parcel *parcel) {
    struct kernel_memory *memory = storm->memory;
    uint64_t mark = (uint64_t)(uintptr_t)parcel;
    if (ash_load_relaxed(&parcel->mark) != mark || ash_load_relaxed(last_word(parcel)) != mark)
        ash_fetch_add(&storm->overlaps, 1u);
    if (parcel->kind == FROM_CACHE)
        ash_slab_free(&storm->cache.slabs, parcel);
    else if (parcel->kind == PAGES)
        memory_pages_free(memory, parcel, 0);
    else
        ash_kfree(&memory->heap, parcel);
}

/* Frees everything that lies there for this CPU. */
static void empty_own_ring(struct storm *storm, uint32_t cpu) {
    struct parcel *none = NULL;
    for (uint32_t i = 0; i < RING; i++) {
        struct parcel *parcel = ash_exchange(&storm->rings[cpu][i], none);
        if (parcel != NULL)
            give(storm, parcel);
    }
}

static void body(void *context, uint32_t cpu) {
    struct storm *storm = context;
    struct test_random random = test_random_from(storm->seed + cpu);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct parcel *parcel = take(storm, &random, (enum kind)test_random_below(&random, KINDS));
        if (parcel != NULL) {
            uint32_t to = (cpu + 1 + (uint32_t)test_random_below(&random, CPUS - 1)) % CPUS;
            parcel = ash_exchange(&storm->rings[to][test_random_below(&random, RING)], parcel);
        }
        if (parcel != NULL) /* what nobody has fetched yet, or found no memory for */
            give(storm, parcel);
        if (i % 16 == 0)
            empty_own_ring(storm, cpu);
        if (i % IDLE_EVERY == cpu * (IDLE_EVERY / CPUS))
            memory_idle(storm->memory);
    }
}

TEST_CASE(kernel_memory, storm_of_four_cpus_that_go_idle_loses_nothing) {
    struct storm *storm = test_alloc(sizeof(*storm), 64);
    struct ash_buddy_stats before, after;
    storm->memory = test_kernel_memory(4 << 20);
    storm->seed = test_seed();
    CHECK_EQ(memory_cache_init(&storm->cache, storm->memory, "storm", OBJECT_BYTES), 0);
    ash_buddy_get_stats(&storm->memory->buddy, &before);
    test_run_on_cpus(body, storm, CPUS);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++)
        empty_own_ring(storm, cpu);
    CHECK_EQ(storm->overlaps, 0);
    CHECK(memory_check(storm->memory) == NULL);
    memory_idle(storm->memory);
    CHECK_EQ(ash_heap_fini(&storm->memory->heap), 0);
    CHECK_EQ(ash_slab_cache_fini(&storm->cache.slabs), 0);
    ash_buddy_get_stats(&storm->memory->buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
}
