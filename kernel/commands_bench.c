/* SPDX-License-Identifier: MIT */
/* commands_bench.c: bench: what operations of the allocators and the cache cost here. */
#include "bench.h"
#include "kernel.h"
#include "shell.h"
#include "shell_disks.h"
#include "thread.h"

#include <ashlar/error.h>
#include <string.h>

enum { HUGE_PAGES_MIB = 64 };

static void print_line(void *context, const char *text) {
    shell_print(context, "%s\n", text);
}

struct run {
    struct kernel_memory *memory;
    const struct bench_report *report;
    int (*bench)(struct kernel_memory *memory, const struct bench_report *report);
    int error;
};

static void run_alone(void *context) {
    struct run *run = context;
    run->error = run->bench(run->memory, run->report);
}

static int run(struct shell *shell, const char *what,
               int (*bench)(struct kernel_memory *memory, const struct bench_report *report)) {
    const struct bench_report report = {print_line, shell};
    struct run alone = {&shell->kernel->memory, &report, bench, 0};
    threads_alone(run_alone, &alone);
    if (alone.error != 0)
        return shell_error(shell, "bench", what, "something found no memory");
    return 0;
}

struct cache_run {
    struct kernel_memory *memory;
    struct disk *disk;
    const struct bench_report *report;
    int error;
};

static void run_cache_alone(void *context) {
    struct cache_run *run = context;
    run->error = bench_cache(run->memory, run->disk, run->report);
}

/* Of the largest disk: it is only read. */
static int run_cache(struct shell *shell) {
    struct kernel *kernel = shell->kernel;
    const struct bench_report report = {print_line, shell};
    if (kernel->disk_count == 0)
        return shell_error(shell, "bench", "cache", kernel->disk_reason);
    struct disk *disk = kernel->disks[0];
    for (uint32_t i = 1; i < kernel->disk_count; i++) {
        if (kernel->disks[i]->size_bytes > disk->size_bytes)
            disk = kernel->disks[i];
    }
    struct cache_run alone = {&kernel->memory, disk, &report, 0};
    shell_disks_alone(shell, run_cache_alone, &alone);
    int error = alone.error;
    if (error == -ASH_ENOMEM)
        return shell_error(shell, "bench", "cache", "there is no memory for 16 blocks");
    if (error == -ASH_ENOTSUP)
        return shell_error(shell, "bench", "cache",
                           "it takes a disk of 16 blocks, 64 KiB, that are cached; start with a "
                           "larger --disk");
    if (error != 0)
        return shell_error(shell, "bench", "cache", disk_explain(disk, error));
    return 0;
}

/* Beside whatever threads there are. */
static int run_sched(struct shell *shell) {
    const struct bench_report report = {print_line, shell};
    int error = bench_sched(&shell->kernel->memory, &report, BENCH_SCHED_SAMPLES);
    if (error == -ASH_ENOTSUP)
        return shell_error(shell, "bench", "sched", "no threads run here");
    if (error != 0)
        return shell_error(shell, "bench", "sched", "no memory for its threads");
    return 0;
}

static int run_huge_pages(struct shell *shell) {
    const struct bench_report report = {print_line, shell};
    int error = bench_huge_pages(&shell->kernel->memory, &report, HUGE_PAGES_MIB);
    if (error == -ASH_ENOTSUP)
        return shell_error(shell, "bench", "hugepages", "no programs run on this machine");
    if (error == -ASH_ENOENT)
        return shell_error(shell, "bench", "hugepages", "the disk has no bin/touch");
    if (error != 0)
        return shell_error(shell, "bench", "hugepages", ash_strerror(error));
    return 0;
}

static void run_prof_alone(void *context) {
    struct run *run = context;
    run->error = bench_prof(run->memory, run->report);
}

static int run_prof(struct shell *shell) {
    const struct bench_report report = {print_line, shell};
    struct run alone = {&shell->kernel->memory, &report, NULL, 0};
    threads_alone(run_prof_alone, &alone);
    if (alone.error == -ASH_EBUSY)
        return shell_error(shell, "bench", "prof",
                           "there is a profile, which it would take the place of");
    return alone.error == 0 ? 0 : shell_error(shell, "bench", "prof", ash_strerror(alone.error));
}

SHELL_COMMAND(bench, "[slab|buddy|cache|sched|fork|hugepages|prof|golden]",
              "Counts what an allocation and its free cost: slab and heap beside the buddy.\n"
              "cache: of one object size. inline: compiled into the caller. bulk: one call.\n"
              "heap: kmalloc, which finds the cache. of 64: so many in a row, then their frees.\n"
              "buddy / cache: how many objects cost as much as a frame. -: not enough memory.\n"
              "cache: reads of the largest disk by a block cache of their own: cold, warm, a\n"
              "mix, in order; a unit is what the first line says. Not without the word.\n"
              "sched: switches, wake-ups, mutexes, threads. ns: by the clock. Only by the word.\n"
              "fork: page tables shared by fork, and copied; writes after it. Only by the word.\n"
              "hugepages: a program touches 64 MiB, by 4 KiB and by 2 MiB. By the word.\n"
              "prof: the profiler's interrupt, beside one that does nothing. By the word.\n"
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
    bool cache = strcmp(what, "cache") == 0, sched = strcmp(what, "sched") == 0;
    bool fork = strcmp(what, "fork") == 0, huge = strcmp(what, "hugepages") == 0;
    bool prof = strcmp(what, "prof") == 0;
    if (!all && !slab && !buddy && !cache && !sched && !fork && !huge && !prof) {
        shell_error(shell, "bench", what,
                    "there are slab, buddy, cache, sched, fork, hugepages, prof and golden");
        return SHELL_STATUS_USAGE;
    }
    const struct bench_report report = {print_line, shell};
    bench_unit(&report);
    if (all || slab)
        status |= run(shell, "slab", bench_slab);
    if (all || buddy)
        status |= run(shell, "buddy", bench_buddy);
    if (cache)
        status |= run_cache(shell);
    if (sched)
        status |= run_sched(shell);
    if (fork)
        status |= run(shell, "fork", bench_fork);
    if (prof)
        status |= run_prof(shell);
    if (huge)
        status |= run_huge_pages(shell);
    return status;
}
