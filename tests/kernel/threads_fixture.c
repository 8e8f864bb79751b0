/* SPDX-License-Identifier: MIT */
/* threads_fixture.c: see threads_fixture.h. */
#include "kernel/threads_fixture.h"

#include <ashlar/error.h>
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

void test_threads_run(uint32_t cpus, void (*body)(void *context), void *context) {
    test_threads_init(test_kernel_memory(MEMORY_BYTES), cpus);
    CHECK_EQ(threads_run(body, context), 0);
}
