/* SPDX-License-Identifier: MIT */
/* commands_vm.c: vm: the memory of programs. */
#include <ashlar/error.h>
#include <inttypes.h>
#include <string.h>

#include "kernel.h"
#include "numbers.h"
#include "shell_jobs.h"

#define KIB(bytes) ((bytes) >> 10)

static const char *state_of(enum process_state state) {
    static const char *const states[] = {[PROCESS_RUNS] = "runs",
                                         [PROCESS_STOPPED] = "stopped",
                                         [PROCESS_ENDING] = "ends",
                                         [PROCESS_ZOMBIE] = "zombie"};
    return states[state];
}

/* What forks and faults did */

static void show_stats(struct shell *shell, const struct ash_vm_stats *stats) {
    shell_print(shell,
                "forks %" PRIu64 ": tables shared %" PRIu64 ", copied %" PRIu64
                ", its own again %" PRIu64 "\n",
                stats->forks, stats->tables_shared, stats->tables_copied, stats->tables_upgraded);
    shell_print(shell,
                "faults %" PRIu64 ": pages copied %" PRIu64 ", zeroed %" PRIu64 ", reused %" PRIu64
                "; %" PRIu64 " spurious\n",
                stats->faults, stats->pages_copied, stats->pages_zeroed, stats->pages_reused,
                stats->spurious);
    shell_print(shell,
                "blocks split %" PRIu64 ", made %" PRIu64 "; TLB flushes: ranges %" PRIu64
                ", all of it %" PRIu64 "\n",
                stats->splits, stats->collapses, stats->flushes_range, stats->flushes_asid);
}

/* All of them */

static int list(struct shell *shell) {
    struct process_info info = {.id = 0};
    struct ash_vm_stats stats;
    shell_print(shell, "%5s %6s %-8s %10s %10s %7s %7s %s\n", "PID", "PARENT", "STATE", "RESIDENT",
                "OWN KiB", "TABLES", "OWN", "NAME");
    for (uint32_t id = 0; process_info_from(id, &info); id = info.id + 1) {
        shell_print(shell,
                    "%5" PRIu32 " %6" PRIu32 " %-8s %10" PRIu64 " %10" PRIu64 " %7" PRIu64
                    " %7" PRIu64 " ",
                    info.id, info.parent, state_of(info.state), KIB(info.usage.resident_bytes),
                    KIB(info.usage.own_bytes), info.usage.tables, info.usage.own_tables);
        shell_text(shell, info.name);
        shell_write(shell, "\n", 1);
    }
    processes_vm_stats(&stats);
    show_stats(shell, &stats);
    return 0;
}

/* One of them */

static const char *what_it_is(const struct process_region *region) {
    if ((region->flags & REGION_STACK) != 0)
        return "[stack]";
    if ((region->flags & REGION_HEAP) != 0)
        return "[heap]";
    if ((region->flags & REGION_FIXED) != 0)
        return "[return from signals]";
    return region->name;
}

static void show_region(struct shell *shell, const struct process_region *region) {
    const char rights[] = {(region->rights & ASH_VM_READ) != 0 ? 'r' : '-',
                           (region->rights & ASH_VM_WRITE) != 0 ? 'w' : '-',
                           (region->rights & ASH_VM_EXECUTE) != 0 ? 'x' : '-',
                           (region->flags & REGION_SHARED) != 0 ? 's' : 'p', '\0'};
    shell_print(shell,
                "%012" PRIx64 "-%012" PRIx64 " %s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64
                " ",
                region->start, region->end, rights, KIB(region->end - region->start),
                KIB(region->resident_bytes), KIB(region->shared_bytes), KIB(region->huge_bytes));
    shell_text(shell, what_it_is(region));
    shell_write(shell, "\n", 1);
}

static void show_usage(struct shell *shell, const struct ash_vm_usage *usage) {
    shell_print(shell,
                "resident %" PRIu64 " KiB, %" PRIu64 " of them its own; %" PRIu64
                " tables, %" PRIu64 " its own\n",
                KIB(usage->resident_bytes), KIB(usage->own_bytes), usage->tables,
                usage->own_tables);
}

static int show(struct shell *shell, const char *word) {
    struct process_info info;
    struct process_region region;
    uint64_t id;
    if (!number_parse_within(word, 0, UINT32_MAX, &id) || !process_info_from((uint32_t)id, &info) ||
        info.id != id)
        return shell_error(shell, "vm", word, "no process has this number; vm lists them");
    shell_text(shell, info.name);
    shell_print(shell, " (pid %" PRIu32 "): %s\n%-30s %8s %8s %8s %8s WHAT\n", info.id,
                state_of(info.state), "ADDRESSES               RIGHTS", "KiB", "RESIDENT", "SHARED",
                "HUGE");
    for (uint64_t at = 0; process_region_from(info.id, at, &region); at = region.end)
        show_region(shell, &region);
    show_usage(shell, &info.usage);
    show_stats(shell, &info.stats);
    return 0;
}

SHELL_COMMAND(vm, "[PID]",
              "Shows the programs' memory: what is resident, what not shared, what forks did.\n"
              "With the number of one: its regions, page tables and what forks and faults did.\n"
              "Shared is what another process refers to, too, or a table above is shared.") {
    if (argc > 2)
        return shell_usage(shell, "vm", "takes one number at most");
    if (!shell_has_programs(shell, "vm"))
        return 1;
    return argc == 1 ? list(shell) : show(shell, argv[1]);
}
