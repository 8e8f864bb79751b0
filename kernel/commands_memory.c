/* SPDX-License-Identifier: MIT */
/* commands_memory.c: mem, check: how much there is, and whether all of it is sound. */
#include "kernel.h"
#include "process.h"
#include "shell.h"
#include "thread.h"

#include <inttypes.h>

static void print_pages(struct shell *shell, const char *what, uint64_t pages) {
    shell_print(shell, "%-10s %12" PRIu64 " KiB %10" PRIu64 " pages\n", what,
                pages << (ASH_PAGE_SHIFT - 10), pages);
}

SHELL_COMMAND(mem, "",
              "Shows how much memory there is, and who has it.\n"
              "notes: the allocators' own. heap: what kmalloc holds; `slab` shows all caches.") {
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    if (!shell_has_kernel(shell, "mem"))
        return 1;
    struct kernel_memory *memory = &shell->kernel->memory;
    struct ash_buddy_stats stats;
    struct ash_heap_stats heap;
    ash_buddy_get_stats(&memory->buddy, &stats);
    ash_heap_get_stats(&memory->heap, &heap);
    for (uint32_t i = 0; i < memory->range_count; i++)
        shell_print(shell, "range      0x%" PRIx64 " .. 0x%" PRIx64 "\n", memory->ranges[i].base,
                    memory->ranges[i].base + memory->ranges[i].size_bytes);
    print_pages(shell, "total", memory->total_bytes >> ASH_PAGE_SHIFT);
    print_pages(shell, "notes", memory->storage_bytes >> ASH_PAGE_SHIFT);
    print_pages(shell, "free", stats.free_pages);
    print_pages(shell, "used", stats.used_pages);
    print_pages(shell, "peak", stats.peak_used_pages);
    print_pages(shell, "reserved", stats.reserved_pages);
    shell_print(shell,
                "heap       %12" PRIu64 " KiB in slabs, %" PRIu64 " KiB of them used; %" PRIu64
                " KiB in large blocks\n",
                heap.slab_bytes >> 10, heap.small_bytes >> 10, heap.large_bytes >> 10);
    shell_print(shell, "failed     %12" PRIu64 " allocations\n", stats.failed_allocs);
    return 0;
}

/* check */

static int print_check(struct shell *shell, const char *part, const char *broken) {
    shell_print(shell, "%-8s %s\n", part, broken == NULL ? "ok" : broken);
    return broken != NULL;
}

static const char *check_disk(struct disk *disk) {
    disk_lock(disk);
    const char *broken = disk_check(disk);
    disk_unlock(disk);
    return broken;
}

SHELL_COMMAND(check, "", "Audits every part in full; status 1 if an invariant does not hold.") {
    int broken = 0;
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    if (!shell_has_kernel(shell, "check"))
        return 1;
    struct kernel *kernel = shell->kernel;
    broken += print_check(shell, "buddy", ash_buddy_check(&kernel->memory.buddy));
    broken += print_check(shell, "heap", memory_caches_check(&kernel->memory));
    if (threads_cpu_count() != 0)
        broken += print_check(shell, "threads", threads_check());
    if (processes_can_run())
        broken += print_check(shell, "programs", processes_check());
    for (uint32_t i = 0; i < kernel->disk_count; i++)
        broken += print_check(shell, "virtq", check_disk(kernel->disks[i]));
    if (kernel->cache.is_on)
        broken += print_check(shell, "cache", block_cache_check(&kernel->cache));
    if (shell->fs != NULL)
        broken += print_check(shell, "tarfs", shell->fs->check(shell->fs));
    return broken != 0;
}
