/* SPDX-License-Identifier: MIT */
/* The cases of lib/vm over a port of one CPU, where counts are plain. */
#include "harness/one_cpu.h"
#include "harness/test.h"

enum { ARENA_BYTES = 32 << 20 };

int main(void) {
    static char arena[ARENA_BYTES] __attribute__((aligned(1 << 20)));
    test_set_arena(arena, sizeof(arena));
    return one_cpu_run("");
}
