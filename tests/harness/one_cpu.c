/* SPDX-License-Identifier: MIT */
/* one_cpu.c: see one_cpu.h. */
#include "harness/one_cpu.h"

#include <ashlar/error.h>
#include <stdarg.h>
#include <stdio.h>

#include "harness/tap.h"
#include "platform.h"

enum { NO_CASE_WAS_RUN = 99 };

void (*platform_panic_hook)(const char *file, uint32_t line, const char *message);

uint32_t platform_cpu_count(void) {
    return 1;
}

int platform_run_on_cpus(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count) {
    if (count != 1)
        return -ASH_EINVAL;
    body(context, 0);
    return 0;
}

/* Seen at once, also if the program ends in the middle. */
static void print(const char *format, ...) ASH_PRINTF(1, 2);

static void print(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

int one_cpu_run(const char *select) {
    struct tap_totals totals = tap_run(select, print);
    return totals.passed + totals.failed + totals.skipped == 0 ? NO_CASE_WAS_RUN : 0;
}
