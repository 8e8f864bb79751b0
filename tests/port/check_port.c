/* SPDX-License-Identifier: MIT */
/*
 * check_port.c: the smallest program that judges a port header: primitives.c, the harness, a C
 * library, and the one-CPU platform below. A porter compiles it against the new port.h; the build
 * does it for platform/template.
 */
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/tap.h"
#include "platform.h"

void (*platform_panic_hook)(const char *file, uint32_t line, const char *message);

void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    char message[256];
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

/* The plan is complete: a failed case is told by its line, not by the status. */
int main(void) {
    struct tap_totals totals = tap_run("", print);
    return totals.passed + totals.failed + totals.skipped == 0 ? 99 : 0;
}
