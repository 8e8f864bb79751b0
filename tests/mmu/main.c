/* SPDX-License-Identifier: MIT */
/* main.c: ashlar-mmu CPU STUB [CASES]: runs the cases of this folder against one CPU model. */
#include <stdio.h>
#include <stdlib.h>

#include "harness/one_cpu.h"
#include "harness/test_case.h"
#include "mmu/machine.h"

enum { ARENA_BYTES = 16 << 20 };

int main(int argc, char **argv) {
    static char arena[ARENA_BYTES] __attribute__((aligned(65536)));
    const char *seed = getenv("ASHLAR_SEED");
    if (argc < 3) {
        fprintf(stderr, "usage: %s CPU STUB [CASES], say: %s cortex-a57 mmu-stub.elf\n", argv[0],
                argv[0]);
        return 2;
    }
    if (machine_missing() != NULL) {
        printf("1..0 # SKIP %s\n", machine_missing());
        return 0;
    }
    if (seed != NULL)
        test_set_seed(strtoull(seed, NULL, 0));
    test_set_arena(arena, sizeof(arena));
    machine_configure(argv[1], argv[2]);
    int status = one_cpu_run(argc > 3 ? argv[3] : "");
    machine_end();
    return status;
}
