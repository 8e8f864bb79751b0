/* SPDX-License-Identifier: MIT */
/* Cases of the profiler by the hosted machine's manual clock: time stands still while a thread
 * computes that never lets another have its turn. */
#include "kernel/prof.h"

#include "hosted/hosted.h"
#include "kernel/memory_fixture.h"
#include "kernel/threads_fixture.h"
#include "kernel/trace.h"

#include <ashlar/atomic.h>
#include <ashlar/port.h>

enum { MEMORY_BYTES = 16 << 20, CPUS = 2, PERIOD_NS = 1000000 };

static const struct prof_config config = {.hz = 1000, .samples = 64};

struct scene {
    struct kernel_memory *memory;
    uint32_t hogs, stop, errors;
    ash_ns_t duration_ns;
    uint64_t weight;
};

static void compute(void *context) {
    struct scene *scene = context;
    ash_fetch_add(&scene->hogs, 1u);
    while (ash_load_relaxed(&scene->stop) == 0)
        ash_port_relax();
}

static void begin_beside_a_hog(void *context) {
    struct scene *scene = context;
    const struct ash_sched_attributes there = {.affinity = 2};
    const struct trace_config trace = {.events = 64};
    struct ash_prof_counts counts;
    uint32_t id = test_thread_start("hog", &there, compute, scene);
    while (ash_load_relaxed(&scene->hogs) == 0)
        ash_port_relax();
    scene->errors += prof_start(scene->memory, &config) != 0;
    scene->errors += trace_start(scene->memory, &trace, NULL) != 0;
    hosted_clock_advance(10 * PERIOD_NS + PERIOD_NS / 2);
    scene->errors += trace_stop() != 0;
    scene->errors += prof_stop() != 0;
    trace_free();
    scene->duration_ns = prof_duration_ns();
    scene->errors += prof_count(&counts) != CPUS;
    scene->weight = counts.weight;
    scene->errors += prof_check() != NULL;
    prof_free();
    ash_store_relaxed(&scene->stop, 1u);
    scene->errors += thread_join(id, UINT64_MAX) != 0;
}

static void check(bool is_deterministic) {
    struct hosted_config before = *hosted_configuration(), manual = before;
    struct scene scene = {.memory = test_kernel_memory(MEMORY_BYTES)};
    const struct threads_config two = {.cpus = CPUS};
    manual.deterministic = is_deterministic;
    manual.clock_manual = true;
    if (threads_cpu_count() != 0)
        test_skip("the kernel's own threads run");
    CHECK_EQ(hosted_configure(&manual), 0);
    CHECK_EQ(threads_init(scene.memory, &two), 0);
    CHECK_EQ(threads_run(begin_beside_a_hog, &scene), 0);
    CHECK_EQ(hosted_configure(&before), 0);
    CHECK_EQ(scene.errors, 0);
    CHECK_EQ(scene.duration_ns, 10 * PERIOD_NS + PERIOD_NS / 2);
    CHECK_EQ(scene.weight, CPUS * 10);
}

TEST_CASE(prof_hosted, begins_and_ends_beside_a_thread_that_never_yields) {
    check(false);
}

TEST_CASE(prof_hosted, begins_and_ends_beside_one_on_a_deterministic_machine) {
    check(true);
}
