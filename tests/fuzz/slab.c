/* SPDX-License-Identifier: MIT */
/*
 * Some slab caches over one page source that fails when it is told to, from any CPU, against an
 * array of the objects that are out. Each object holds its own pattern while it is out: one that is
 * handed out twice, or overlaps another or a header, breaks a pattern or the audit.
 */
#include "choices.h"
#include "harness/as_cpu.h"
#include "slab/fake_pages.h"

#include <ashlar/check.h>

enum { CACHES = 3, OBJECTS = 700, CPUS = 4, PAGES = 96 };

struct object {
    uint8_t *bytes;
    uint8_t cache, pattern;
};

struct world {
    struct choices *choices;
    struct fake_pages *pages;
    struct ash_slab_cache caches[CACHES];
    struct ash_slab_config configs[CACHES];
    uint32_t used[CACHES];
    uint64_t allocations[CACHES];
    struct object objects[OBJECTS];
    uint32_t count;
};

static uint32_t pick(struct world *world, uint32_t limit) {
    return choose(world->choices, limit);
}

static size_t pick_size(struct world *world) {
    static const uint16_t edges[] = {1, 7, 8, 9, 16, 64, 511, 512, 2048, 4095, 4096, 4097, 8192};
    uint32_t edge = pick(world, 2 * ASH_ARRAY_LEN(edges));
    return edge < ASH_ARRAY_LEN(edges) ? edges[edge] : 1 + pick(world, 600);
}

static void make_cache(struct world *world, uint32_t at) {
    world->configs[at] = (struct ash_slab_config){
        .name = "fuzz",
        .size_bytes = pick_size(world),
        .align_bytes = pick(world, 4) != 0 ? 0 : (size_t)1 << pick(world, 13),
        .slab_bytes = pick(world, 2) != 0 ? 0 : ASH_PAGE_SIZE << pick(world, 5),
        .empty_max = pick(world, 3),
        .source = &world->pages->source,
    };
    CHECK_EQ(ash_slab_cache_init(&world->caches[at], &world->configs[at]), 0);
}

/* Objects are checked whole where they are small, at both ends where they are not. */
enum { END_BYTES = 32 };

static void paint(const struct world *world, const struct object *object) {
    size_t size = world->configs[object->cache].size_bytes;
    memset(object->bytes, object->pattern, ash_min_u64(size, END_BYTES));
    if (size > END_BYTES)
        memset(object->bytes + size - END_BYTES, object->pattern, END_BYTES);
}

static void look(const struct world *world, const struct object *object) {
    size_t size = world->configs[object->cache].size_bytes;
    uint8_t expected[END_BYTES];
    memset(expected, object->pattern, sizeof(expected));
    CHECK_MEM_EQ(object->bytes, expected, ash_min_u64(size, END_BYTES));
    if (size > END_BYTES)
        CHECK_MEM_EQ(object->bytes + size - END_BYTES, expected, END_BYTES);
}

static void step_alloc(struct world *world, uint32_t at) {
    if (world->count == OBJECTS)
        return;
    uint64_t refused = world->pages->refused;
    uint8_t *bytes = ash_slab_alloc(&world->caches[at]);
    if (bytes == NULL) {
        CHECK(world->pages->refused != refused);
        return;
    }
    CHECK(ash_is_aligned((uintptr_t)bytes, ash_max_u64(world->configs[at].align_bytes, 1)));
    world->objects[world->count] = (struct object){bytes, (uint8_t)at, (uint8_t)pick(world, 256)};
    paint(world, &world->objects[world->count++]);
    world->used[at]++;
    world->allocations[at]++;
}

static void step_free(struct world *world) {
    if (world->count == 0)
        return;
    uint32_t which = pick(world, world->count);
    struct object object = world->objects[which];
    world->objects[which] = world->objects[--world->count];
    look(world, &object);
    ash_slab_free(&world->caches[object.cache], object.bytes);
    world->used[object.cache]--;
}

static void audit(struct world *world) {
    uint64_t bytes = 0;
    for (uint32_t at = 0; at < CACHES; at++) {
        const char *broken = ash_slab_cache_check(&world->caches[at]);
        if (broken != NULL)
            test_fail(__FILE__, __LINE__, "%s", broken);
        struct ash_slab_stats stats;
        ash_slab_cache_get_stats(&world->caches[at], &stats);
        CHECK_EQ(stats.used, world->used[at]);
        CHECK_EQ(stats.allocations, world->allocations[at]);
        CHECK_EQ(stats.frees, world->allocations[at] - world->used[at]);
        bytes += (uint64_t)stats.slabs * stats.slab_bytes + stats.magazine_bytes;
    }
    CHECK_EQ(bytes, world->pages->used * ASH_PAGE_SIZE);
    for (uint32_t i = 0; i < world->count; i++)
        look(world, &world->objects[i]);
}

/* Every object goes back; then the cache may go, and be made anew with another configuration. */
static void step_renew(struct world *world, uint32_t at) {
    for (uint32_t i = world->count; i-- != 0;) {
        struct object object = world->objects[i];
        if (object.cache != at)
            continue;
        CHECK_EQ(ash_slab_cache_fini(&world->caches[at]), -ASH_EBUSY);
        world->objects[i] = world->objects[--world->count];
        ash_slab_free(&world->caches[at], object.bytes);
    }
    CHECK_EQ(ash_slab_cache_fini(&world->caches[at]), 0);
    world->used[at] = 0;
    world->allocations[at] = 0;
}

static void step_faults(struct world *world) {
    world->pages->fail_at = world->pages->calls + 1 + pick(world, 4);
    world->pages->fail_count = 1 + pick(world, 3);
}

static void step(struct world *world) {
    uint32_t kind = pick(world, 128), at = pick(world, CACHES);
    if (kind < 62) {
        step_alloc(world, at);
    } else if (kind < 112) {
        step_free(world);
    } else if (kind < 120) {
        as_cpu(pick(world, CPUS));
    } else if (kind < 122) {
        (void)ash_slab_cache_shrink(&world->caches[at]);
    } else if (kind < 125) {
        step_faults(world);
    } else if (kind < 126) {
        step_renew(world, at);
        make_cache(world, at);
    } else {
        audit(world);
    }
}

void fuzz_slab(struct choices *choices) {
    struct world *world = test_alloc(sizeof(*world), 64);
    world->choices = choices;
    world->pages = fake_pages_new(PAGES);
    for (uint32_t at = 0; at < CACHES; at++)
        make_cache(world, at);
    while (choices_go_on(choices))
        step(world);
    audit(world);
    for (uint32_t at = 0; at < CACHES; at++)
        step_renew(world, at);
    CHECK_EQ(world->pages->used, 0);
}

TEST_CASE(slab_fuzz, random_calls_of_four_cpus_match_an_array_of_objects) {
    for (uint64_t round = 0; round < 12; round++) {
        struct choices choices = choices_of_seed(test_seed() + round, 4000);
        fuzz_slab(&choices);
    }
}
