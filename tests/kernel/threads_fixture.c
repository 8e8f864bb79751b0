/* SPDX-License-Identifier: MIT */
/* threads_fixture.c: see threads_fixture.h. */
#include "kernel/threads_fixture.h"

#include <ashlar/port.h>

#include "kernel/memory_fixture.h"

enum { MEMORY_BYTES = 16 << 20, LOOKS = 10000 };

static bool time_moves(void) {
    ash_ns_t begin_ns = platform_now_ns();
    for (uint32_t i = 0; i < LOOKS && platform_now_ns() == begin_ns; i++)
        ash_port_relax();
    return platform_now_ns() != begin_ns;
}

void test_threads_init(struct kernel_memory *memory, uint32_t cpus) {
    const struct threads_config config = {.cpus = cpus};
    if (cpus > platform_cpu_count())
        test_skip("needs %u CPUs, %u are online", cpus, platform_cpu_count());
    if (threads_cpu_count() != 0)
        test_skip("the kernel's own threads run: start it with the words `test threads`");
    if (!time_moves())
        test_skip("time does not move while a thread computes");
    CHECK_EQ(threads_init(memory, &config), 0);
}

uint64_t test_free_pages(struct kernel_memory *memory) {
    struct ash_buddy_stats stats;
    for (uint32_t i = 0; memory_slab_cache(memory, i) != NULL; i++)
        (void)ash_slab_cache_shrink(memory_slab_cache(memory, i));
    ash_buddy_get_stats(&memory->buddy, &stats);
    return stats.free_pages;
}

void test_threads_run_in(struct kernel_memory *memory, uint32_t cpus, void (*body)(void *context),
                         void *context) {
    uint64_t before = test_free_pages(memory);
    test_threads_init(memory, cpus);
    CHECK_EQ(threads_run(body, context), 0);
    CHECK_EQ(threads_cpu_count(), 0);
    CHECK(thread_current() == NULL);
    uint64_t after = test_free_pages(memory);
    if (cpus == 1)
        CHECK_EQ(after, before);
}

void test_threads_run(uint32_t cpus, void (*body)(void *context), void *context) {
    test_threads_run_in(test_kernel_memory(MEMORY_BYTES), cpus, body, context);
}

uint32_t test_thread_start(const char *name, const struct ash_sched_attributes *attributes,
                           void (*body)(void *context), void *context) {
    struct thread_options options = {.name = name};
    uint32_t id = 0;
    if (attributes != NULL)
        options.attributes = *attributes;
    return thread_create(&options, body, context, &id, NULL) == 0 ? id : 0;
}
