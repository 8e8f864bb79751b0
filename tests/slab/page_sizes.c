/* SPDX-License-Identifier: MIT */
/*
 * page_sizes.c: lib/slab and lib/buddy with pages of another size than 4 KiB, compiled once for
 * each, over the smallest port: runs the cases that it is linked with, whose sizes follow
 * ASH_PAGE_SIZE, and reports them in the Test Anything Protocol.
 */
#include "harness/one_cpu.h"
#include "harness/test.h"
#include "harness/test_case.h"

_Static_assert(ASH_PAGE_SHIFT != 12, "the other programs have these");

enum { ARENA_BYTES = 128 << 20 };

int main(void) {
    static char arena[ARENA_BYTES] __attribute__((aligned(1 << 20)));
    test_set_arena(arena, sizeof(arena));
    return one_cpu_run("");
}
