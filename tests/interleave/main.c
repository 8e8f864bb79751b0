/* SPDX-License-Identifier: MIT */
/* main.c: runs the cases of this folder and reports them in the Test Anything Protocol. */
#include <ashlar/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "harness/tap.h"
#include "harness/test_case.h"
#include "platform.h"

enum { ARENA_BYTES = 4 << 20 };

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

static void print(const char *format, ...) ASH_PRINTF(1, 2);

static void print(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

int main(int argc, char **argv) {
    static char arena[ARENA_BYTES] __attribute__((aligned(65536)));
    const char *seed = getenv("ASHLAR_SEED"), *more = getenv("ASHLAR_PREEMPTIONS");
    if (seed != NULL)
        test_set_seed(strtoull(seed, NULL, 0));
    if (more != NULL)
        explore_more = (uint32_t)strtoul(more, NULL, 0);
    test_set_arena(arena, sizeof(arena));
    struct tap_totals totals = tap_run(argc > 1 ? argv[1] : "", print);
    return totals.passed + totals.failed + totals.skipped == 0 ? 99 : 0;
}
