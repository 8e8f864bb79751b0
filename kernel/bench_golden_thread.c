/* SPDX-License-Identifier: MIT */
/* bench_golden_thread.c: see bench_golden_thread.h. */
#include "bench_golden_thread.h"

#include <ashlar/error.h>

#include "mutex.h"
#include "platform.h"
#include "thread.h"

static struct {
    struct platform_context here, there;
    struct mutex mutex;
    void (*body)(void *context);
    void *context;
    int error;
    struct kernel_memory *memory;
} golden;

static void switch_back(void *argument) {
    (void)argument;
    for (;;)
        platform_context_switch(&golden.there, &golden.here);
}

static void run(void *context) {
    (void)context;
    void *stack = memory_pages_alloc(golden.memory, 0);
    golden.error = stack == NULL ? -ASH_ENOMEM : 0;
    if (stack == NULL)
        return;
    golden.here = (struct platform_context){0};
    platform_context_init(&golden.there, stack, ASH_PAGE_SIZE, switch_back, NULL);
    mutex_init(&golden.mutex);
    golden.body(golden.context);
    platform_context_fini(&golden.there);
    memory_pages_free(golden.memory, stack, 0);
}

int golden_threads_run(struct kernel_memory *memory, void (*body)(void *context), void *context) {
    const struct threads_config config = {.cpus = 1};
    golden.memory = memory;
    golden.body = body;
    golden.context = context;
    int error = threads_init(memory, &config);
    if (error == 0)
        error = threads_run(run, NULL);
    return error != 0 ? error : golden.error;
}

uint32_t golden_thread_switch(uint32_t overhead) {
    (void)overhead;
    uint32_t start = platform_cost();
    platform_context_switch(&golden.here, &golden.there);
    return platform_cost() - start;
}

uint32_t golden_thread_mutex(uint32_t overhead) {
    (void)overhead;
    uint32_t start = platform_cost();
    mutex_lock(&golden.mutex);
    mutex_unlock(&golden.mutex);
    return platform_cost() - start;
}
