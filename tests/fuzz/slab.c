/* SPDX-License-Identifier: MIT */
/*
 * Some slab caches of every kind over one page source, everything that can fail failing when it is
 * told to, from any CPU, against an array of the objects that are out. Each object holds its own
 * pattern while it is out and the mark of init while it is not: one that is handed out twice,
 * overlaps another or is written to by the cache breaks a pattern or a mark.
 */
#include "choices.h"
#include "harness/as_cpu.h"
#include "slab/fake_pages.h"

enum { CACHES = 3, OBJECTS = 400, CPUS = 4, PAGES = 160, BULK_MAX = 40, INIT_MARK = 0x1b };

/* Objects are checked whole where they are small, at both ends where they are not. */
enum { END_BYTES = 32, MARK_BYTES = 8 };

struct object {
    uint8_t *bytes;
    uint8_t pattern;
};

struct world;

struct one {
    struct ash_slab_cache cache;
    struct ash_slab_config config;
    struct ash_slab_reserve reserve;
    struct world *world;
    struct object objects[OBJECTS]; /* that are out and not set aside */
    uint32_t count;
    uint32_t inits, fail_init_in; /* objects between init and fini; calls until one fails, or 0 */
    uint32_t constructs, fail_construct_in;
    bool failed;       /* a callback, during the call at hand */
    uint64_t excluded; /* allocations that fail part of the way leave their number open */
};

struct world {
    struct choices *choices;
    struct fake_pages *pages;
    struct one ones[CACHES];
    struct ash_slab_cache scratch; /* used by callbacks of the others */
};

static uint32_t pick(struct world *world, uint32_t limit) {
    return choose(world->choices, limit);
}

/* Callbacks */

static size_t mark_bytes(const struct one *one) {
    return ash_min_u64(one->config.size_bytes, MARK_BYTES);
}

static void check_mark(const struct one *one, const void *object) {
    uint8_t mark[MARK_BYTES];
    memset(mark, INIT_MARK, sizeof(mark));
    CHECK_MEM_EQ(object, mark, mark_bytes(one));
}

static bool fails_now(struct one *one, uint32_t *calls_left) {
    if (*calls_left == 0 || --*calls_left != 0)
        return false;
    return one->failed = true;
}

static int on_init(void *object, void *context) {
    struct one *one = context;
    if (fails_now(one, &one->fail_init_in))
        return -ASH_EIO;
    memset(object, INIT_MARK, mark_bytes(one));
    one->inits++;
    return 0;
}

static void on_fini(void *object, void *context) {
    struct one *one = context;
    check_mark(one, object);
    one->inits--;
}

/* Uses another cache, as a constructor may. */
static int on_construct(void *object, void *context) {
    struct one *one = context;
    if (one->config.init != NULL)
        check_mark(one, object);
    void *other = ash_slab_alloc(&one->world->scratch);
    if (other == NULL || fails_now(one, &one->fail_construct_in)) {
        if (other != NULL)
            ash_slab_free(&one->world->scratch, other);
        one->failed = true;
        return -ASH_ENOMEM;
    }
    ash_slab_free(&one->world->scratch, other);
    one->constructs++;
    return 0;
}

static void on_destruct(void *object, void *context) {
    struct one *one = context;
    if (one->config.init != NULL)
        check_mark(one, object);
    one->constructs--;
}

/* Caches */

static size_t pick_size(struct world *world) {
    static const uint16_t edges[] = {1,   7,    8,    9,    16,   64,   511,
                                     512, 2048, 4095, 4096, 4097, 8191, 8192};
    uint32_t edge = pick(world, 2 * ASH_ARRAY_LEN(edges));
    return edge < ASH_ARRAY_LEN(edges) ? edges[edge] : 1 + pick(world, 600);
}

static void make_cache(struct world *world, struct one *one) {
    static const uint16_t magazines[] = {0, 1, 2, 3, 7, ASH_SLAB_MAGAZINE_MAX};
    static const uint32_t profiles[] = {0, 0, ASH_SLAB_HARDENED, ASH_SLAB_DEBUG};
    uint32_t callbacks = pick(world, 8);
    one->world = world;
    one->config = (struct ash_slab_config){
        .name = "fuzz",
        .size_bytes = pick_size(world),
        .align_bytes = pick(world, 4) != 0 ? 0 : (size_t)1 << pick(world, 14),
        .slab_bytes = pick(world, 2) != 0 ? 0 : ASH_PAGE_SIZE << pick(world, 5),
        .flags = profiles[pick(world, ASH_ARRAY_LEN(profiles))] |
                 (pick(world, 4) == 0 ? (uint32_t)ASH_SLAB_INTERRUPTS : 0),
        .quarantine_objects = pick(world, 40),
        .magazine_objects = magazines[pick(world, ASH_ARRAY_LEN(magazines))],
        .depot_magazines = pick(world, 3),
        .empty_max = pick(world, 3),
        .init = (callbacks & 1) != 0 ? on_init : NULL,
        .fini = (callbacks & 1) != 0 ? on_fini : NULL,
        .construct = (callbacks & 2) != 0 ? on_construct : NULL,
        .destruct = (callbacks & 2) != 0 ? on_destruct : NULL,
        .context = one,
        .source = &world->pages->source,
    };
    if (one->config.align_bytes > ASH_SLAB_ALIGN_MAX)
        one->config.align_bytes = ASH_SLAB_ALIGN_MAX;
    CHECK_EQ(ash_slab_cache_init(&one->cache, &one->config), 0);
}

static struct ash_slab_stats stats_of(struct one *one) {
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&one->cache, &stats);
    return stats;
}

/* What an allocation that fails may not leave behind: a free object that it could have had. Those
 * in other CPUs' magazines are theirs until they come by. */
static void excuse(struct one *one, uint64_t refused) {
    if (one->failed)
        return;
    CHECK(one->world->pages->refused != refused);
    struct ash_slab_stats stats = stats_of(one);
    uint32_t elsewhere = 0, here;
    ash_port_pin(&here);
    ash_port_unpin();
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        struct ash_slab_cpu_stats of_cpu;
        ash_slab_cache_get_cpu_stats(&one->cache, cpu, &of_cpu);
        elsewhere += cpu == here ? 0 : of_cpu.cached;
    }
    CHECK_EQ(stats.slabs * stats.objects_per_slab - stats.used, elsewhere);
}

/* Objects */

static void paint(const struct one *one, const struct object *object) {
    size_t size = one->config.size_bytes;
    memset(object->bytes, object->pattern, ash_min_u64(size, END_BYTES));
    if (size > END_BYTES)
        memset(object->bytes + size - END_BYTES, object->pattern, END_BYTES);
}

static void look(const struct one *one, const struct object *object) {
    size_t size = one->config.size_bytes;
    uint8_t expected[END_BYTES];
    memset(expected, object->pattern, sizeof(expected));
    if (memcmp(object->bytes, expected, ash_min_u64(size, END_BYTES)) != 0 ||
        (size > END_BYTES && memcmp(object->bytes + size - END_BYTES, expected, END_BYTES) != 0))
        test_fail(__FILE__, __LINE__, "object of %zu bytes at %p is not as it was left", size,
                  (void *)object->bytes);
}

/* It comes out. */
static void note(struct one *one, void *bytes) {
    CHECK(bytes != NULL);
    CHECK(ash_is_aligned((uintptr_t)bytes, ash_max_u64(one->config.align_bytes, 8)));
    if (one->config.init != NULL)
        check_mark(one, bytes);
    struct object *object = &one->objects[one->count++];
    *object = (struct object){bytes, (uint8_t)pick(one->world, 256)};
    paint(one, object);
}

/* One that is out, in the state in which it may go back. */
static void *unnote(struct one *one) {
    uint32_t at = pick(one->world, one->count);
    struct object object = one->objects[at];
    one->objects[at] = one->objects[--one->count];
    look(one, &object);
    if (one->config.init != NULL)
        memset(object.bytes, INIT_MARK, mark_bytes(one));
    return object.bytes;
}

static void step_alloc(struct one *one) {
    if (one->count == OBJECTS)
        return;
    uint64_t refused = one->world->pages->refused;
    one->failed = false;
    void *bytes =
        one->count % 2 != 0 ? ash_slab_alloc(&one->cache) : ash_slab_alloc_inline(&one->cache);
    if (bytes == NULL)
        excuse(one, refused);
    else
        note(one, bytes);
}

static void step_free(struct one *one) {
    if (one->count == 0)
        return;
    void *object = unnote(one);
    if (one->count % 2 != 0)
        ash_slab_free(&one->cache, object);
    else
        ash_slab_free_inline(&one->cache, object);
}

static void step_alloc_bulk(struct one *one) {
    void *objects[BULK_MAX];
    uint32_t count = pick(one->world, BULK_MAX + 1);
    uint64_t refused = one->world->pages->refused;
    if (count > OBJECTS - one->count)
        return;
    one->failed = false;
    int result = ash_slab_alloc_bulk(&one->cache, objects, count);
    CHECK(result == 0 || result == -ASH_ENOMEM);
    if (result != 0)
        CHECK(one->failed || one->world->pages->refused != refused);
    for (uint32_t i = 0; result == 0 && i < count; i++)
        note(one, objects[i]);
}

static void step_free_bulk(struct one *one) {
    void *objects[BULK_MAX];
    uint32_t count = pick(one->world, BULK_MAX + 1);
    if (count > one->count)
        count = one->count;
    for (uint32_t i = 0; i < count; i++)
        objects[i] = unnote(one);
    ash_slab_free_bulk(&one->cache, objects, count);
}

static void step_reserve(struct one *one) {
    uint32_t before = one->reserve.count, wanted = pick(one->world, BULK_MAX);
    uint64_t refused = one->world->pages->refused;
    one->failed = false;
    int result = ash_slab_prefill(&one->cache, &one->reserve, wanted);
    CHECK(result == 0 || result == -ASH_ENOMEM);
    CHECK(one->reserve.count >= before);
    if (result == 0)
        CHECK_EQ(one->reserve.count, before > wanted ? before : wanted);
    else
        CHECK(one->failed || one->world->pages->refused != refused);
}

/* Under any fault at all: that is what it is for. */
static void step_use_reserve(struct one *one) {
    if (one->reserve.count == 0 || one->count == OBJECTS)
        return;
    uint32_t before = one->reserve.count;
    note(one, ash_slab_alloc_reserved(&one->cache, &one->reserve));
    CHECK_EQ(one->reserve.count, before - 1);
}

static void step_faults(struct world *world, struct one *one) {
    uint32_t kind = pick(world, 4), in = 1 + pick(world, 6);
    if (kind == 0) {
        one->fail_init_in = 1 + pick(world, 200);
    } else if (kind == 1) {
        one->fail_construct_in = in;
    } else {
        world->pages->fail_at = world->pages->calls + in;
        world->pages->fail_count = 1 + pick(world, 4);
    }
}

/* Audit */

struct visited {
    uint64_t count, sum;
};

static void visit(void *object, void *context) {
    struct visited *visited = context;
    visited->count++;
    visited->sum += (uintptr_t)object;
}

static void audit_one(struct one *one) {
    const char *broken = ash_slab_cache_check(&one->cache);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    struct ash_slab_stats stats = stats_of(one);
    uint32_t used = one->count + one->reserve.count;
    CHECK_EQ(stats.used, used);
    CHECK(stats.peak >= used);
    CHECK_EQ(stats.allocations - stats.frees, used);
    CHECK(stats.hits <= stats.allocations);
    CHECK_EQ(stats.refills - stats.releases, stats.slabs);
    uint32_t objects = stats.slabs * stats.objects_per_slab;
    CHECK(stats.cached + used <= objects);
    CHECK(one->config.init == NULL || one->inits == objects);
    CHECK(one->config.construct == NULL || one->constructs == used);
    for (uint32_t i = 0; i < one->count; i++)
        look(one, &one->objects[i]);
}

static void audit(struct world *world) {
    uint64_t bytes = 0;
    for (uint32_t at = 0; at < CACHES; at++) {
        struct one *one = &world->ones[at];
        audit_one(one);
        struct ash_slab_stats stats = stats_of(one);
        bytes += (uint64_t)stats.slabs * stats.slab_bytes + stats.magazine_bytes;
    }
    struct ash_slab_stats scratch;
    ash_slab_cache_get_stats(&world->scratch, &scratch);
    bytes += (uint64_t)scratch.slabs * scratch.slab_bytes + scratch.magazine_bytes;
    CHECK_EQ(bytes, world->pages->used * ASH_PAGE_SIZE);
}

static void audit_visits(struct one *one) {
    struct visited visited = {0};
    uint64_t sum = 0;
    ash_slab_for_each(&one->cache, visit, &visited);
    CHECK_EQ(visited.count, one->count + one->reserve.count);
    for (uint32_t i = 0; i < one->count; i++)
        sum += (uintptr_t)one->objects[i].bytes;
    if (one->reserve.count == 0)
        CHECK(visited.sum == sum);
}

/* A full cache is not to be unmade; an empty one is, and leaves nothing. */
static void unmake(struct one *one) {
    if (one->count + one->reserve.count != 0)
        CHECK_EQ(ash_slab_cache_fini(&one->cache), -ASH_EBUSY);
    ash_slab_unreserve(&one->cache, &one->reserve);
    CHECK_EQ(one->reserve.count, 0);
    while (one->count > 1)
        step_free(one);
    if (one->count != 0)
        CHECK_EQ(ash_slab_cache_fini(&one->cache), -ASH_EBUSY);
    step_free(one);
    CHECK_EQ(ash_slab_cache_fini(&one->cache), 0);
    CHECK_EQ(one->inits, 0);
    CHECK_EQ(one->constructs, 0);
}

static void step_rare(struct world *world, struct one *one) {
    switch (pick(world, 12)) {
    case 0:
        (void)ash_slab_cache_shrink(&one->cache);
        break;
    case 1:
        (void)ash_slab_cache_reap(&one->cache);
        break;
    case 2:
        (void)ash_page_source_reclaim(&world->pages->source);
        break;
    case 3:
        unmake(one);
        make_cache(world, one);
        break;
    case 4:
        audit_visits(one);
        break;
    case 5:
    case 6:
        audit(world);
        break;
    case 7:
    case 8:
        ash_slab_unreserve(&one->cache, &one->reserve);
        break;
    default:
        step_faults(world, one);
    }
}

static void step(struct world *world) {
    uint32_t kind = pick(world, 128);
    struct one *one = &world->ones[pick(world, CACHES)];
    if (kind < 50)
        step_alloc(one);
    else if (kind < 97)
        step_free(one);
    else if (kind < 100)
        step_alloc_bulk(one);
    else if (kind < 104)
        step_free_bulk(one);
    else if (kind < 106)
        step_reserve(one);
    else if (kind < 109)
        step_use_reserve(one);
    else if (kind < 119)
        as_cpu(pick(world, CPUS));
    else if (kind < 121)
        ash_slab_cache_flush(&one->cache);
    else
        step_rare(world, one);
}

static void begin(struct world *world, struct choices *choices) {
    world->choices = choices;
    world->pages = fake_pages_new(PAGES);
    const struct ash_slab_config scratch = {.name = "scratch",
                                            .size_bytes = 24,
                                            .slab_bytes = ASH_PAGE_SIZE,
                                            .magazine_objects = 1,
                                            .source = &world->pages->source};
    CHECK_EQ(ash_slab_cache_init(&world->scratch, &scratch), 0);
    for (uint32_t at = 0; at < CACHES; at++)
        make_cache(world, &world->ones[at]);
}

static void end(struct world *world) {
    audit(world);
    for (uint32_t at = 0; at < CACHES; at++)
        unmake(&world->ones[at]);
    CHECK_EQ(ash_slab_cache_fini(&world->scratch), 0);
    CHECK_EQ(world->pages->used, 0);
}

void fuzz_slab(struct choices *choices) {
    struct world *world = test_alloc(sizeof(*world), 64);
    begin(world, choices);
    while (choices_go_on(choices))
        step(world);
    end(world);
}

TEST_CASE(slab_fuzz, random_calls_of_four_cpus_match_an_array_of_objects) {
    for (uint64_t round = 0; round < 16; round++) {
        struct choices choices = choices_of_seed(test_seed() + round, 4000);
        fuzz_slab(&choices);
    }
}
