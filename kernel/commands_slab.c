/* SPDX-License-Identifier: MIT */
/* commands_slab.c: slab: what the slab caches say about themselves; for Linux, slabtop(1). */
#include "kernel.h"
#include "shell.h"

#include <inttypes.h>
#include <string.h>

static uint64_t percent(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : part * 100 / whole;
}

/* All caches */

static void print_line(struct shell *shell, const struct ash_slab_stats *stats) {
    uint64_t capacity = (uint64_t)stats->slabs * stats->objects_per_slab;
    shell_print(shell,
                "%-16s %6" PRIu32 " %9" PRIu32 " %9" PRIu32 " %4" PRIu64 "%% %6" PRIu32 " %6" PRIu32
                " %8" PRIu64 " %12" PRIu64 " %9" PRIu64 "\n",
                stats->name, stats->size_bytes, stats->used, stats->peak,
                percent(stats->used, capacity), stats->slabs, stats->empties,
                (uint64_t)stats->slabs * stats->slab_bytes >> 10, stats->allocations,
                stats->refills);
}

static int print_all(struct shell *shell) {
    struct kernel_memory *memory = &shell->kernel->memory;
    struct ash_slab_cache *cache;
    uint64_t held_bytes = 0, used_bytes = 0;
    shell_print(shell, "%-16s %6s %9s %9s %5s %6s %6s %8s %12s %9s\n", "cache", "bytes", "used",
                "peak", "use", "slabs", "empty", "KiB", "allocations", "refills");
    for (uint32_t i = 0; (cache = memory_slab_cache(memory, i)) != NULL; i++) {
        struct ash_slab_stats stats;
        ash_slab_cache_get_stats(cache, &stats);
        print_line(shell, &stats);
        held_bytes += (uint64_t)stats.slabs * stats.slab_bytes;
        used_bytes += (uint64_t)stats.used * stats.size_bytes;
    }
    shell_print(shell, "all: %" PRIu64 " KiB in slabs, %" PRIu64 "%% of it in objects\n",
                held_bytes >> 10, percent(used_bytes, held_bytes));
    return 0;
}

/* One cache */

static void print_cache(struct shell *shell, const struct ash_slab_stats *stats) {
    shell_print(shell, "cache %s: objects of %" PRIu32 " bytes, %" PRIu32 " apart\n", stats->name,
                stats->size_bytes, stats->stride_bytes);
    shell_print(shell,
                "slab       %" PRIu32 " bytes, %" PRIu32 " objects, %" PRIu32 " bytes waste\n",
                stats->slab_bytes, stats->objects_per_slab, stats->waste_bytes);
    shell_print(shell, "slabs      %" PRIu32 " held, %" PRIu32 " of them empty\n", stats->slabs,
                stats->empties);
    shell_print(shell, "objects    %" PRIu32 " used, %" PRIu32 " at most\n", stats->used,
                stats->peak);
    shell_print(shell,
                "calls      %" PRIu64 " allocations, %" PRIu64 " frees, %" PRIu64
                " without memory\n",
                stats->allocations, stats->frees, stats->failures);
    shell_print(shell, "source     %" PRIu64 " slabs taken, %" PRIu64 " given back\n",
                stats->refills, stats->releases);
}

static int unknown_cache(struct shell *shell, const char *name) {
    struct ash_slab_cache *cache;
    shell_error(shell, "slab", name, "no such cache; there are:");
    for (uint32_t i = 0; (cache = memory_slab_cache(&shell->kernel->memory, i)) != NULL; i++) {
        struct ash_slab_stats stats;
        ash_slab_cache_get_stats(cache, &stats);
        shell_print(shell, "  %s\n", stats.name);
    }
    return 1;
}

static int print_one(struct shell *shell, const char *name) {
    struct ash_slab_cache *cache;
    for (uint32_t i = 0; (cache = memory_slab_cache(&shell->kernel->memory, i)) != NULL; i++) {
        struct ash_slab_stats stats;
        ash_slab_cache_get_stats(cache, &stats);
        if (strcmp(stats.name, name) == 0) {
            print_cache(shell, &stats);
            return 0;
        }
    }
    return unknown_cache(shell, name);
}

SHELL_COMMAND(slab, "[CACHE]", "Shows the slab caches, or one of them in detail.") {
    if (argc > 2)
        return shell_usage(shell, "slab", "takes one cache at most");
    if (!shell_has_kernel(shell, "slab"))
        return 1;
    return argc == 2 ? print_one(shell, argv[1]) : print_all(shell);
}
