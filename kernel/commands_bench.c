/* SPDX-License-Identifier: MIT */
/* commands_bench.c: bench: what the allocators' operations cost here. */
#include "bench.h"
#include "kernel.h"
#include "shell.h"

#include <string.h>

static void print_line(void *context, const char *text) {
    shell_print(context, "%s\n", text);
}

static int run(struct shell *shell, const char *what,
               int (*bench)(struct kernel_memory *memory, const struct bench_report *report)) {
    const struct bench_report report = {print_line, shell};
    if (bench(&shell->kernel->memory, &report) != 0)
        return shell_error(shell, "bench", what, "something found no memory");
    return 0;
}

SHELL_COMMAND(bench, "[slab|buddy|golden]",
              "Counts what an allocation and its free cost: slab and heap beside the buddy.\n"
              "cache: of one object size. inline: compiled into the caller. bulk: one call.\n"
              "heap: kmalloc, which finds the cache. of 64: so many in a row, then their frees.\n"
              "buddy / cache: how many objects cost as much as a frame. -: not enough memory.\n"
              "golden: a fixed sequence on allocators of its own, for tools/golden.") {
    const char *what = argc == 1 ? "all" : argv[1];
    int status = 0;
    if (argc > 2)
        return shell_usage(shell, "bench", "takes one word at most");
    if (!shell_has_kernel(shell, "bench"))
        return 1;
    if (strcmp(what, "golden") == 0)
        return run(shell, what, bench_golden);
    bool all = argc == 1, slab = strcmp(what, "slab") == 0, buddy = strcmp(what, "buddy") == 0;
    if (!all && !slab && !buddy) {
        shell_error(shell, "bench", what, "there are slab, buddy and golden");
        return SHELL_STATUS_USAGE;
    }
    const struct bench_report report = {print_line, shell};
    bench_unit(&report);
    if (all || slab)
        status |= run(shell, "slab", bench_slab);
    if (all || buddy)
        status |= run(shell, "buddy", bench_buddy);
    return status;
}
