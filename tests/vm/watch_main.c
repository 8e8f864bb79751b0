/* SPDX-License-Identifier: MIT */
/* watch_main.c: runs the cases that are compiled into this program, and looks on (watch.c). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/one_cpu.h"
#include "harness/test_case.h"
#include "vm/watch.h"

enum { ARENA_BYTES = 32 << 20 };

int main(int argc, char **argv) {
    const char *seed = getenv("ASHLAR_SEED");
    void *arena = aligned_alloc(2 << 20, ARENA_BYTES);
    if (arena == NULL)
        return 1;
    if (seed != NULL)
        test_set_seed(strtoull(seed, NULL, 0));
    test_set_arena(arena, ARENA_BYTES);
    watch_install();
    int status = one_cpu_run(argc > 1 ? argv[1] : "");
    const struct watch_totals *totals = watch_totals();
    printf("# watched %" PRIu64 " stores, %" PRIu64 " of them to shared tables; judged %" PRIu64
           " translations in TLBs; %" PRIu64 " accesses were stopped by one\n",
           totals->stores, totals->shared_stores, totals->judged, totals->stops);
    free(arena);
    return status;
}
