/* SPDX-License-Identifier: MIT */
/* commands_slab.c: slab: what the slab caches say about themselves; for Linux, slabtop(1). */
#include "kernel.h"
#include "shell.h"

#include <ashlar/bits.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "98.7%", or "-" of nothing. Numbers that were true at different moments may not fit. */
static const char *share(char text[16], uint64_t part, uint64_t whole) {
    uint32_t permille =
        whole == 0 ? 0 : (uint32_t)ash_mul_div_u64(ash_min_u64(part, whole), 1000, whole);
    if (whole == 0)
        snprintf(text, 16, "-");
    else
        snprintf(text, 16, "%" PRIu32 ".%" PRIu32 "%%", permille / 10, permille % 10);
    return text;
}

/* All caches */

static void print_line(struct shell *shell, const struct ash_slab_stats *stats) {
    char hits[16], use[16];
    uint64_t held_bytes = (uint64_t)stats->slabs * stats->slab_bytes;
    shell_print(shell,
                "%-11s %5" PRIu32 " %7" PRIu32 " %7" PRIu32 " %6" PRIu32 " %5" PRIu32 " %6" PRIu64
                " %6s %11" PRIu64 " %6s\n",
                stats->name, stats->size_bytes, stats->used, stats->peak, stats->cached,
                stats->slabs, held_bytes >> 10,
                share(use, (uint64_t)stats->used * stats->size_bytes, held_bytes),
                stats->allocations, share(hits, stats->hits, stats->allocations));
}

static int print_all(struct shell *shell) {
    struct kernel_memory *memory = &shell->kernel->memory;
    struct ash_slab_cache *cache;
    char text[16];
    uint64_t held_bytes = 0, used_bytes = 0, magazine_bytes = 0;
    shell_print(shell, "%-11s %5s %7s %7s %6s %5s %6s %6s %11s %6s\n", "cache", "bytes", "used",
                "peak", "cached", "slabs", "KiB", "use", "allocations", "hits");
    for (uint32_t i = 0; (cache = memory_slab_cache(memory, i)) != NULL; i++) {
        struct ash_slab_stats stats;
        ash_slab_cache_get_stats(cache, &stats);
        print_line(shell, &stats);
        held_bytes += (uint64_t)stats.slabs * stats.slab_bytes;
        used_bytes += (uint64_t)stats.used * stats.size_bytes;
        magazine_bytes += stats.magazine_bytes;
    }
    shell_print(shell,
                "all: %" PRIu64 " KiB in slabs, %s of it in objects; %" PRIu64
                " KiB in magazines; profile %s\n",
                held_bytes >> 10, share(text, used_bytes, held_bytes), magazine_bytes >> 10,
                memory_profile_word(memory->profile.flags));
    return 0;
}

/* One cache */

/* For a sentence. */
static const char *share_of_any(char text[16], uint64_t part, uint64_t whole) {
    return whole == 0 ? "none" : share(text, part, whole);
}

static void print_counts(struct shell *shell, const struct ash_slab_stats *stats) {
    char hits[16], use[16];
    uint64_t held = (uint64_t)stats->slabs * stats->objects_per_slab;
    shell_print(shell, "cache %s: objects of %" PRIu32 " bytes, %" PRIu32 " apart\n", stats->name,
                stats->size_bytes, stats->stride_bytes);
    shell_print(shell, "profile    %s%s\n", memory_profile_word(stats->flags),
                (stats->flags & ASH_SLAB_INTERRUPTS) != 0 ? ", for interrupt handlers too" : "");
    shell_print(shell,
                "objects    %" PRIu32 " used, %" PRIu32 " at most; %" PRIu32
                " more lie free in magazines\n",
                stats->used, stats->peak, stats->cached);
    shell_print(shell,
                "slabs      %" PRIu32 " held, %" PRIu32 " of them empty; %s of their objects "
                "used\n",
                stats->slabs, stats->empties, share_of_any(use, stats->used, held));
    shell_print(shell,
                "calls      %" PRIu64 " allocations, %" PRIu64 " frees, %" PRIu64
                " without memory\n",
                stats->allocations, stats->frees, stats->failures);
    shell_print(shell,
                "magazines  of %" PRIu32 " objects, %" PRIu64
                " KiB in all; %s of the allocations hit\n",
                stats->magazine_objects, stats->magazine_bytes >> 10,
                share_of_any(hits, stats->hits, stats->allocations));
    shell_print(shell, "depot      %" PRIu64 " magazines exchanged with it\n", stats->exchanges);
    shell_print(shell, "source     %" PRIu64 " slabs taken, %" PRIu64 " given back\n",
                stats->refills, stats->releases);
}

static void print_cpus(struct shell *shell, struct ash_slab_cache *cache) {
    shell_print(shell, "%5s %12s %7s %10s %8s\n", "cpu", "allocations", "hits", "exchanges",
                "cached");
    for (uint32_t cpu = 0; cpu < platform_cpu_count(); cpu++) {
        struct ash_slab_cpu_stats stats;
        char hits[16];
        ash_slab_cache_get_cpu_stats(cache, cpu, &stats);
        shell_print(shell, "%5" PRIu32 " %12" PRIu64 " %7s %10" PRIu64 " %8" PRIu32 "\n", cpu,
                    stats.allocations, share(hits, stats.hits, stats.allocations), stats.exchanges,
                    stats.cached);
    }
}

enum { BOXES_MAX = 6, BOX_WIDTH = 11 };

/* A box for each part of a slab, with the offset of each part below its left edge. */
static void print_boxes(struct shell *shell, const char *const names[], const uint32_t offsets[],
                        uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        shell_print(shell, "+-----------");
    shell_print(shell, "+\n");
    for (uint32_t i = 0; i < count; i++)
        shell_print(shell, "|%-*s", BOX_WIDTH, names[i]);
    shell_print(shell, "|\n");
    for (uint32_t i = 0; i < count; i++)
        shell_print(shell, "+-----------");
    shell_print(shell, "+\n");
    for (uint32_t i = 0; i <= count; i++) {
        if (i > 0 && offsets[i] == offsets[i - 1])
            shell_print(shell, "%-*s", BOX_WIDTH + 1, "");
        else
            shell_print(shell, "%-*" PRIu32, i == count ? 0 : BOX_WIDTH + 1, offsets[i]);
    }
    shell_print(shell, "\n");
}

static void print_layout(struct shell *shell, const struct ash_slab_stats *stats) {
    char waste[16], last[16];
    uint32_t stride = stats->stride_bytes, objects = stats->objects_per_slab;
    uint32_t first = stats->first_bytes, end = first + objects * stride;
    const char *names[BOXES_MAX] = {"header, map", " 0"};
    uint32_t offsets[BOXES_MAX + 1] = {0, first}, count = 2;
    snprintf(last, sizeof(last), " %" PRIu32, objects - 1);
    if (objects > 2) {
        names[count] = " 1";
        offsets[count++] = first + stride;
    }
    if (objects > 3) {
        names[count] = "    ...";
        offsets[count] = offsets[count - 1];
        count++;
    }
    if (objects > 1) {
        names[count] = last;
        offsets[count++] = end - stride;
    }
    if (end < stats->slab_bytes) {
        names[count] = " tail";
        offsets[count++] = end;
    }
    offsets[count] = stats->slab_bytes;
    shell_print(shell,
                "\na slab of %" PRIu32 " bytes: %" PRIu32 " objects, %" PRIu32
                " bytes not theirs (%s)\n",
                stats->slab_bytes, objects, stats->waste_bytes,
                share(waste, stats->waste_bytes, stats->slab_bytes));
    print_boxes(shell, names, offsets, count);
}

/* Holders, of a debug cache */

static void print_site(struct shell *shell, uintptr_t site, const char *before) {
    uint64_t offset;
    const char *name = platform_function(site, &offset);
    if (name != NULL)
        shell_print(shell, "%s%s+0x%" PRIx64, before, name, offset);
    else
        shell_print(shell, "%s0x%" PRIxPTR, before, site);
}

static void print_holder(void *context, const struct ash_slab_holder *holder) {
    struct shell *shell = context;
    shell_print(shell, "%8" PRIu32 "  0x%016" PRIxPTR, holder->objects, (uintptr_t)holder->object);
    for (uint32_t i = 0; i < ASH_SLAB_SITES_MAX && holder->sites[i] != 0; i++)
        print_site(shell, holder->sites[i], i == 0 ? "  " : " < ");
    shell_print(shell, "\n");
}

static void print_holders(struct shell *shell, struct ash_slab_cache *cache) {
    shell_print(shell, "\n%8s  %-18s  %s\n", "objects", "one of them",
                "allocated in < called from");
    if (ash_slab_for_each_holder(cache, print_holder, shell) == 0)
        shell_print(shell, "%8s  nothing is allocated\n", "0");
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
        if (strcmp(stats.name, name) != 0)
            continue;
        print_counts(shell, &stats);
        print_cpus(shell, cache);
        print_layout(shell, &stats);
        if ((stats.flags & ASH_SLAB_DEBUG) != 0)
            print_holders(shell, cache);
        return 0;
    }
    return unknown_cache(shell, name);
}

SHELL_COMMAND(slab, "[CACHE]",
              "Shows the slab caches, or one of them in detail.\n"
              "used, peak: objects out, now and at most. cached: free objects in magazines.\n"
              "KiB: of the slabs. use: the share of them that is in objects that are out.\n"
              "hits: the share of allocations out of a CPU's own magazines.") {
    if (argc > 2)
        return shell_usage(shell, "slab", "takes one cache at most");
    if (!shell_has_kernel(shell, "slab"))
        return 1;
    return argc == 2 ? print_one(shell, argv[1]) : print_all(shell);
}
