/* SPDX-License-Identifier: MIT */
/* Cases of the profiler on several CPUs, beside threads that do as they like. */
#include "kernel/prof.h"

#include "kernel/each_cpu.h"
#include "kernel/memory_fixture.h"
#include "kernel/threads_fixture.h"
#include "kernel/workloads.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

enum { MEMORY_BYTES = 16 << 20, CPUS = 2 };

static const struct prof_config quick = {.hz = ASH_PROF_HZ_MAX, .samples = 64};

struct scene {
    struct kernel_memory *memory;
    uint32_t errors; /* a line of this file that found something wrong; 0: none */
    uint32_t running;
    uint64_t taken;
};

static void complain(struct scene *scene, uint32_t line, bool is_wrong) {
    uint32_t none = 0;
    if (is_wrong)
        (void)ash_compare_exchange(&scene->errors, &none, line);
}
#define SHOULD(what) complain(scene, __LINE__, !(what))

/* Skips where nothing is sampled, or not on so many CPUs. */
static void run(void (*body)(void *context), struct scene *scene) {
    scene->memory = test_kernel_memory(MEMORY_BYTES);
    int error = prof_start(scene->memory, &quick);
    if (error == -ASH_ENOTSUP)
        test_skip("this machine does not sample so");
    CHECK_EQ(error, 0);
    prof_free();
    test_threads_run_in(scene->memory, CPUS, body, scene);
    CHECK_EQ(scene->errors, 0);
    prof_free();
}

static uint64_t taken(void) {
    struct ash_prof_counts counts;
    (void)prof_count(&counts);
    return counts.taken;
}

static uint64_t taken_of(uint32_t cpu) {
    struct ash_prof_part parts[3 * CPUS];
    if (prof_parts(parts, ASH_ARRAY_LEN(parts)) != ASH_ARRAY_LEN(parts))
        return 0;
    return ((const struct ash_prof_profile *)parts[3 * cpu].bytes)->taken;
}

/* So long as it takes in the slowest emulation; a second is plenty. */
static bool is_taken_by(uint32_t cpu, uint64_t more) {
    ash_ns_t end_ns = platform_now_ns() + UINT64_C(5000000000);
    uint64_t before = taken_of(cpu);
    while (taken_of(cpu) < before + more && platform_now_ns() < end_ns)
        (void)thread_sleep_until(platform_now_ns() + 1000000);
    return taken_of(cpu) >= before + more;
}

static void nothing(void *context) {
    (void)context;
}

/* Stops with nothing left */

static void sleep_until_stopped(void *context) {
    (void)context;
    while (!thread_should_stop())
        (void)thread_sleep_until(platform_now_ns() + UINT64_C(3600000000000));
}

static void stop_among_many(void *context) {
    struct scene *scene = context;
    static uint32_t ids[THREADS_MAX];
    void *pages = NULL, *page;
    uint32_t count = 0;
    SHOULD(prof_start(scene->memory, &quick) == 0);
    SHOULD(is_taken_by(0, 3) && is_taken_by(1, 3));
    while (count < THREADS_MAX) {
        const struct thread_options options = {.name = "many",
                                               .stack_bytes = THREAD_STACK_MIN_BYTES};
        if (thread_create(&options, sleep_until_stopped, NULL, &ids[count], NULL) != 0)
            break;
        count++;
    }
    SHOULD(count < THREADS_MAX);
    while ((page = memory_pages_alloc(scene->memory, 0)) != NULL) {
        *(void **)page = pages;
        pages = page;
    }
    SHOULD(prof_stop() == 0);
    for (; (page = pages) != NULL; memory_pages_free(scene->memory, page, 0))
        pages = *(void **)page;
    for (uint32_t i = 0; i < count; i++) {
        SHOULD(thread_stop(ids[i]) == 0);
        SHOULD(thread_join(ids[i], UINT64_MAX) == 0);
    }
    scene->taken = taken();
    (void)thread_sleep_until(platform_now_ns() + 5000000);
    SHOULD(taken() == scene->taken);
    prof_free();
}

TEST_CASE(prof_threads, stop_with_no_thread_and_no_page_left) {
    struct scene scene = {.memory = NULL};
    run(stop_among_many, &scene);
}

/* Beside a thread that has the machine alone */

static void be_alone_meanwhile(void *context) {
    struct scene *scene = context;
    SHOULD(prof_start(scene->memory, &quick) == 0);
    SHOULD(is_taken_by(0, 3) && is_taken_by(1, 3));
    threads_alone(nothing, NULL);
    SHOULD(is_taken_by(0, 3) && is_taken_by(1, 3));
    SHOULD(prof_stop() == 0);
    SHOULD(prof_check() == NULL);
    prof_free();
}

TEST_CASE(prof_threads, are_sampled_still_when_one_has_been_alone) {
    struct scene scene = {.memory = NULL};
    run(be_alone_meanwhile, &scene);
}

static void stop_alone(void *context) {
    struct scene *scene = context;
    SHOULD(prof_stop() == 0);
    scene->taken = taken();
}

static void start_and_stop_alone(void *context) {
    struct scene *scene = context;
    SHOULD(prof_start(scene->memory, &quick) == 0);
    SHOULD(is_taken_by(0, 3) && is_taken_by(1, 3));
    threads_alone(stop_alone, scene);
    (void)thread_sleep_until(platform_now_ns() + 5000000);
    SHOULD(taken() == scene->taken);
    prof_free();
    SHOULD(prof_start(scene->memory, &quick) == 0); /* none of them samples still */
}

static void stop_afterwards(void *context) {
    start_and_stop_alone(context); /* what it has started is stopped when no threads run any more */
}

TEST_CASE(prof_threads, what_threads_began_ends_on_all_cpus_without_them) {
    struct scene scene = {.memory = NULL};
    run(stop_afterwards, &scene);
    CHECK_EQ(prof_start(scene.memory, &quick), 0);
    prof_free();
}

/* Storms */

enum { ROUNDS = 60 };

static void start_and_stop(void *context) {
    struct scene *scene = context;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        int error = prof_start(scene->memory, &quick);
        SHOULD(error == 0 || error == -ASH_EBUSY);
        prof_lock();
        SHOULD(prof_state() != PROF_STOPPED || prof_check() == NULL);
        SHOULD(prof_state() == PROF_NEVER || prof_config()->hz == quick.hz);
        prof_unlock();
        error = prof_stop();
        SHOULD(error == 0 || error == -ASH_ENOENT);
        if (i % 8 == 7)
            prof_free();
    }
}

static int look(void *context, uint32_t cpu) {
    uint32_t *visits = context;
    ash_fetch_add(&visits[cpu], 1u);
    return cpu == 1 ? -ASH_ENOTSUP : 0;
}

static void visit(void *context) {
    struct scene *scene = context;
    uint32_t visits[CPUS] = {0};
    while (ash_load_relaxed(&scene->running) != 0 && !thread_should_stop())
        SHOULD(each_cpu(each_cpu_count(), look, visits) == -ASH_ENOTSUP);
    SHOULD(visits[0] == visits[1]);
}

static void let_two_storm(void *context) {
    struct scene *scene = context;
    static const struct {
        void (*body)(void *context);
        uint32_t cpu;
    } parts[] = {{start_and_stop, 0}, {start_and_stop, 1}, {visit, 0}, {visit, 1}};
    uint32_t ids[ASH_ARRAY_LEN(parts)];
    ash_store_relaxed(&scene->running, 1u);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(parts); i++) {
        const struct ash_sched_attributes where = {.affinity = UINT64_C(1) << parts[i].cpu};
        ids[i] = test_thread_start("storm", &where, parts[i].body, scene);
        SHOULD(ids[i] != 0);
    }
    for (uint32_t i = 0; i < 5; i++)
        threads_alone(nothing, NULL);
    SHOULD(thread_join(ids[0], UINT64_MAX) == 0 && thread_join(ids[1], UINT64_MAX) == 0);
    ash_store_relaxed(&scene->running, 0u);
    SHOULD(thread_join(ids[2], UINT64_MAX) == 0 && thread_join(ids[3], UINT64_MAX) == 0);
    prof_free();
}

TEST_CASE(prof_threads, storms_of_starts_and_stops_wait_for_each_other) {
    struct scene scene = {.memory = NULL};
    run(let_two_storm, &scene);
}
