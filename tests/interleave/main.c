/* SPDX-License-Identifier: MIT */
/* main.c: runs the cases of this folder and reports them in the Test Anything Protocol. */
#include <stdlib.h>

#include "explore.h"
#include "harness/one_cpu.h"
#include "harness/test_case.h"

enum { ARENA_BYTES = 4 << 20 };

int main(int argc, char **argv) {
    static char arena[ARENA_BYTES] __attribute__((aligned(65536)));
    const char *seed = getenv("ASHLAR_SEED"), *more = getenv("ASHLAR_PREEMPTIONS");
    if (seed != NULL)
        test_set_seed(strtoull(seed, NULL, 0));
    if (more != NULL)
        explore_more = (uint32_t)strtoul(more, NULL, 0);
    test_set_arena(arena, sizeof(arena));
    return one_cpu_run(argc > 1 ? argv[1] : "");
}
