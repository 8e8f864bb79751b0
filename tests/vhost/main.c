/* SPDX-License-Identifier: MIT */
/* main.c: the cases of this folder, which start processes and wait for them: a program of their
 * own. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/tap.h"
#include "harness/test_case.h"
#include "vhost/served.h"

enum { ARENA_BYTES = 16 << 20 };

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
    const char *seed = getenv("ASHLAR_SEED");
    if (seed != NULL)
        test_set_seed(strtoull(seed, NULL, 0));
    test_set_arena(arena, sizeof(arena));
    struct tap_totals totals = tap_run(argc > 1 ? argv[1] : "", print);
    served_end();
    return totals.passed + totals.failed + totals.skipped == 0 ? 99 : 0;
}
