/* SPDX-License-Identifier: MIT */
/* commands_buddy.c: buddy: the page frames by order, as /proc/buddyinfo and pagetypeinfo do for
 * Linux. */
#include "kernel.h"
#include "shell.h"

#include <ashlar/atomic.h>
#include <inttypes.h>

static void print_orders(struct shell *shell, const struct ash_buddy_stats *stats) {
    shell_print(shell, "%5s %10s %12s %12s %10s\n", "order", "block KiB", "free blocks",
                "free pages", "unusable");
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++) {
        uint64_t blocks = stats->free_blocks[order];
        uint32_t share = stats->fragmentation_permille[order];
        shell_print(shell,
                    "%5" PRIu32 " %10" PRIu64 " %12" PRIu64 " %12" PRIu64 " %7" PRIu32 ".%" PRIu32
                    "%%\n",
                    order, UINT64_C(4) << order, blocks, blocks << order, share / 10, share % 10);
    }
}

static void print_largest(struct shell *shell, const struct ash_buddy_stats *stats) {
    if (stats->largest_free_order < 0)
        shell_print(shell, "largest    nothing is free\n");
    else
        shell_print(shell, "largest    order %" PRId32 ", %" PRIu64 " KiB\n",
                    stats->largest_free_order, UINT64_C(4) << stats->largest_free_order);
}

static void print_low(struct shell *shell, const struct memory_low *low) {
    shell_print(shell,
                "low        below %" PRIu64 " free pages, until above %" PRIu64 ": %" PRIu64
                " times, %" PRIu64 " pages taken back\n",
                low->low_pages, low->high_pages, ash_load_relaxed(&low->calls),
                ash_load_relaxed(&low->pages));
}

SHELL_COMMAND(buddy, "",
              "Shows the page frames: the free blocks of each order.\n"
              "cached: free, but in no block. low: when caches are asked to give pages back.\n"
              "unusable: the share of free memory that is too scattered to serve the order\n"
              "(Gorman and Whitcroft, 2005: the unusable free space index).") {
    struct ash_buddy_stats stats;
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    if (!shell_has_kernel(shell, "buddy"))
        return 1;
    struct kernel_memory *memory = &shell->kernel->memory;
    ash_buddy_get_stats(&memory->buddy, &stats);
    for (uint32_t i = 0; i < memory->range_count; i++)
        shell_print(shell, "region     0x%" PRIx64 " .. 0x%" PRIx64 "\n", memory->ranges[i].base,
                    memory->ranges[i].base + memory->ranges[i].size_bytes);
    shell_print(shell,
                "pages      %" PRIu64 " free, %" PRIu64 " used, %" PRIu64 " reserved, of %" PRIu64
                "\n",
                stats.free_pages, stats.used_pages, stats.reserved_pages, stats.total_pages);
    shell_print(shell, "cached     %" PRIu64 " of the free pages are in CPUs' caches\n",
                stats.cached_pages);
    print_low(shell, &memory->low);
    print_largest(shell, &stats);
    print_orders(shell, &stats);
    return 0;
}
