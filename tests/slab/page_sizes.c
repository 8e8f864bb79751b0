/* SPDX-License-Identifier: MIT */
/*
 * page_sizes.c: lib/slab and lib/buddy with pages of another size than 4 KiB, compiled once for
 * each, over the smallest port: runs the cases that it is linked with, whose sizes follow
 * ASH_PAGE_SIZE, and reports them in the Test Anything Protocol.
 */
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/tap.h"
#include "harness/test.h"
#include "platform.h"

_Static_assert(ASH_PAGE_SHIFT != 12, "the other programs have these");

enum { ARENA_BYTES = 128 << 20 };

void (*platform_panic_hook)(const char *file, uint32_t line, const char *message);

void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (platform_panic_hook != NULL)
        platform_panic_hook(file, line, message);
    printf("# panic at %s:%u: %s\n", file, line, message);
    exit(99);
}

uint32_t platform_cpu_count(void) {
    return 1;
}

int platform_run_on_cpus(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count) {
    if (count != 1)
        return -ASH_EINVAL;
    body(context, 0);
    return 0;
}

static void print(const char *format, ...) ASH_PRINTF(1, 2);

static void print(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

int main(void) {
    static char arena[ARENA_BYTES] __attribute__((aligned(1 << 20)));
    test_set_arena(arena, sizeof(arena));
    struct tap_totals totals = tap_run("", print);
    return totals.passed + totals.failed + totals.skipped == 0 ? 99 : 0;
}
