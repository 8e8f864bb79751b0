/* SPDX-License-Identifier: MIT */
/*
 * A fixed script of calls on a cache, again and again, in which the n-th call of the page source,
 * of init or of construct fails, alone or with all after it, for n from 1 until the script does not
 * come that far. The call that fails says so and changes nothing; the same call, once there is
 * nothing to fail, succeeds.
 */
#include "fake_pages.h"
#include "harness/as_cpu.h"
#include "harness/test.h"

enum { HELD_MAX = 300, PAGES = 64, BULK = 17, RESERVE = 12 };
enum resource { PAGE, INIT, CONSTRUCT };

struct callback {
    uint64_t calls, fail_at, fail_count;
    uint64_t live; /* objects that it was called for and its counterpart not yet */
};

struct scene {
    struct fake_pages *pages;
    struct ash_slab_cache cache;
    struct ash_slab_reserve reserve;
    void *held[HELD_MAX];
    uint32_t count;
    bool callbacks; /* the cache has them: without, a plain one is of the fast kind */
    struct callback init, construct;
};

static int enter(struct callback *callback) {
    uint64_t call = ++callback->calls;
    if (callback->fail_at != 0 && call >= callback->fail_at &&
        call - callback->fail_at < callback->fail_count)
        return -ASH_EIO;
    callback->live++;
    return 0;
}

static int on_init(void *object, void *context) {
    (void)object;
    return enter(&((struct scene *)context)->init);
}

static void on_fini(void *object, void *context) {
    (void)object;
    ((struct scene *)context)->init.live--;
}

static int on_construct(void *object, void *context) {
    (void)object;
    return enter(&((struct scene *)context)->construct);
}

static void on_destruct(void *object, void *context) {
    (void)object;
    ((struct scene *)context)->construct.live--;
}

/* The script. Each step is 0 or the error of its call, and may be tried again after an error. */

static int step_alloc(struct scene *scene) {
    void *object = ash_slab_alloc(&scene->cache);
    if (object == NULL)
        return -ASH_ENOMEM;
    scene->held[scene->count++] = object;
    return 0;
}

static int step_bulk(struct scene *scene) {
    int result = ash_slab_alloc_bulk(&scene->cache, &scene->held[scene->count], BULK);
    scene->count += result == 0 ? BULK : 0;
    return result;
}

static int step_prefill(struct scene *scene) {
    uint32_t before = scene->reserve.count;
    int result = ash_slab_prefill(&scene->cache, &scene->reserve, RESERVE);
    CHECK(scene->reserve.count >= before);
    CHECK((result == 0) == (scene->reserve.count == RESERVE));
    return result;
}

static int step_use_reserve(struct scene *scene) {
    while (scene->reserve.count > RESERVE / 2)
        scene->held[scene->count++] = ash_slab_alloc_reserved(&scene->cache, &scene->reserve);
    return 0;
}

static int step_free_most(struct scene *scene) {
    while (scene->count > 3)
        ash_slab_free(&scene->cache, scene->held[--scene->count]);
    return 0;
}

static int step_free_bulk(struct scene *scene) {
    ash_slab_free_bulk(&scene->cache, scene->held, scene->count);
    scene->count = 0;
    return 0;
}

static int step_shrink(struct scene *scene) {
    (void)ash_slab_cache_shrink(&scene->cache);
    return 0;
}

static int step_other_cpu(struct scene *scene) {
    (void)scene;
    as_cpu(1);
    return 0;
}

static const struct {
    int (*run)(struct scene *scene);
    uint32_t times;
} script[] = {{step_alloc, 12}, {step_bulk, 1},        {step_prefill, 1}, {step_other_cpu, 1},
              {step_alloc, 8},  {step_free_most, 1},   {step_bulk, 2},    {step_free_most, 1},
              {step_shrink, 1}, {step_use_reserve, 1}, {step_prefill, 1}, {step_free_bulk, 1},
              {step_shrink, 1}, {step_bulk, 2},        {step_alloc, 9}};

static void audit(struct scene *scene) {
    const char *broken = ash_slab_cache_check(&scene->cache);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&scene->cache, &stats);
    CHECK_EQ(stats.used, scene->count + scene->reserve.count);
    CHECK_EQ(stats.slabs * stats.slab_bytes + stats.magazine_bytes,
             scene->pages->used * ASH_PAGE_SIZE);
    if (scene->callbacks) {
        CHECK_EQ(scene->init.live, (uint64_t)stats.slabs * stats.objects_per_slab);
        CHECK_EQ(scene->construct.live, stats.used);
    }
}

static void arm(struct scene *scene, enum resource resource, uint64_t n, uint64_t fail_count) {
    scene->pages->calls = 0;
    scene->pages->fail_at = resource == PAGE ? n : 0;
    scene->pages->fail_count = fail_count;
    scene->init = (struct callback){0, resource == INIT ? n : 0, fail_count, 0};
    scene->construct = (struct callback){0, resource == CONSTRUCT ? n : 0, fail_count, 0};
}

static void disarm(struct scene *scene) {
    scene->pages->fail_at = scene->init.fail_at = scene->construct.fail_at = 0;
}

/* The number of calls of the resource so far. */
static uint64_t calls_of(const struct scene *scene, enum resource resource) {
    return resource == PAGE   ? scene->pages->calls
           : resource == INIT ? scene->init.calls
                              : scene->construct.calls;
}

/* Runs the script; true: a step failed. */
static bool play(struct scene *scene, enum resource resource, uint64_t n) {
    bool failed = false;
    for (uint32_t at = 0; at < ASH_ARRAY_LEN(script); at++) {
        for (uint32_t i = 0; i < script[at].times; i++) {
            int result = script[at].run(scene);
            if (result == 0)
                continue;
            CHECK_EQ(result, -ASH_ENOMEM);
            CHECK(!failed && calls_of(scene, resource) >= n);
            audit(scene);
            failed = true;
            disarm(scene);
            CHECK_EQ(script[at].run(scene), 0);
            audit(scene);
        }
    }
    return failed;
}

static void leave(struct scene *scene) {
    disarm(scene);
    ash_slab_unreserve(&scene->cache, &scene->reserve);
    (void)step_free_bulk(scene);
    audit(scene);
    CHECK_EQ(ash_slab_cache_fini(&scene->cache), 0);
    CHECK_EQ(scene->pages->used, 0);
    CHECK_EQ(scene->init.live, 0);
    as_cpu(0);
}

/* A page or a slab that is refused once may be had by asking again, or done without; what
 * construct refuses is refused. */
static void fail_each(struct scene *scene, const struct ash_slab_config *config,
                      enum resource resource, uint64_t fail_count) {
    uint64_t failures = 0, n = 0;
    bool reached;
    do {
        arm(scene, resource, ++n, fail_count);
        CHECK_EQ(ash_slab_cache_init(&scene->cache, config), 0);
        bool failed = play(scene, resource, n);
        reached = calls_of(scene, resource) >= n;
        if (reached && (resource == CONSTRUCT || (n == 1 && fail_count > 1)))
            CHECK(failed);
        failures += failed;
        leave(scene);
    } while (reached);
    CHECK(failures != 0 && n > 5);
}

static void fail_all(uint32_t flags, enum resource resource, bool callbacks) {
    struct scene *scene = test_alloc(sizeof(*scene), ASH_PORT_CACHE_LINE);
    scene->pages = fake_pages_new(PAGES);
    scene->callbacks = callbacks;
    struct ash_slab_config config = {.name = "nth",
                                     .size_bytes = 200,
                                     .slab_bytes = ASH_PAGE_SIZE,
                                     .flags = flags,
                                     .magazine_objects = 5,
                                     .depot_magazines = 2,
                                     .empty_max = 1,
                                     .quarantine_objects = 7,
                                     .init = callbacks ? on_init : NULL,
                                     .fini = callbacks ? on_fini : NULL,
                                     .construct = callbacks ? on_construct : NULL,
                                     .destruct = callbacks ? on_destruct : NULL,
                                     .context = scene,
                                     .source = &scene->pages->source};
    fail_each(scene, &config, resource, 1);
    fail_each(scene, &config, resource, UINT64_MAX);
}

TEST_CASE(slab_nth, page_that_is_refused_costs_one_call) {
    fail_all(0, PAGE, false);
    fail_all(0, PAGE, true);
    fail_all(ASH_SLAB_INTERRUPTS, PAGE, false);
    fail_all(ASH_SLAB_HARDENED, PAGE, false);
    fail_all(ASH_SLAB_DEBUG, PAGE, false);
    fail_all(ASH_SLAB_DEBUG, PAGE, true);
}

TEST_CASE(slab_nth, init_that_refuses_costs_one_call) {
    fail_all(0, INIT, true);
    fail_all(ASH_SLAB_INTERRUPTS, INIT, true);
    fail_all(ASH_SLAB_HARDENED, INIT, true);
    fail_all(ASH_SLAB_DEBUG, INIT, true);
}

TEST_CASE(slab_nth, construct_that_refuses_costs_one_call) {
    fail_all(0, CONSTRUCT, true);
    fail_all(ASH_SLAB_INTERRUPTS, CONSTRUCT, true);
    fail_all(ASH_SLAB_HARDENED, CONSTRUCT, true);
    fail_all(ASH_SLAB_DEBUG, CONSTRUCT, true);
}
