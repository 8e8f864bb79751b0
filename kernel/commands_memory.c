/* SPDX-License-Identifier: MIT */
/* commands_memory.c: mem, slab, check, bench: what the allocators say about themselves. */
#include "kernel.h"
#include "shell.h"

#include <ashlar/port.h>
#include <inttypes.h>
#include <string.h>

static bool has_kernel(struct shell *shell, const char *command) {
    if (shell->kernel == NULL)
        shell_error(shell, command, NULL, "this shell has no machine below it");
    return shell->kernel != NULL;
}

static void print_pages(struct shell *shell, const char *what, uint64_t pages) {
    shell_print(shell, "%-10s %12" PRIu64 " KiB %10" PRIu64 " pages\n", what,
                pages << (ASH_PAGE_SHIFT - 10), pages);
}

SHELL_COMMAND(mem, "", "Shows the machine's memory: totals, and the free blocks of each order.") {
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    if (!has_kernel(shell, "mem"))
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
    shell_print(shell, "order      block KiB    free blocks\n");
    for (uint32_t order = 0; order < ASH_BUDDY_ORDERS; order++) {
        if (stats.free_blocks[order] != 0)
            shell_print(shell, "%5" PRIu32 " %14" PRIu64 " %14" PRIu64 "\n", order,
                        UINT64_C(4) << order, stats.free_blocks[order]);
    }
    return 0;
}

/* slab */

static void print_cache_line(struct shell *shell, struct ash_slab_cache *cache) {
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(cache, &stats);
    shell_print(shell,
                "%-12s %6" PRIu32 " %9" PRIu32 " %9" PRIu32 " %6" PRIu32 " %6" PRIu32 " %12" PRIu64
                "\n",
                stats.name, stats.size_bytes, stats.used, stats.peak, stats.slabs, stats.empties,
                stats.allocations);
}

static void print_cache(struct shell *shell, struct ash_slab_cache *cache) {
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(cache, &stats);
    shell_print(shell, "cache %s: objects of %" PRIu32 " bytes, %" PRIu32 " apart\n", stats.name,
                stats.size_bytes, stats.stride_bytes);
    shell_print(shell,
                "slab       %" PRIu32 " bytes, %" PRIu32 " objects, %" PRIu32 " bytes waste\n",
                stats.slab_bytes, stats.objects_per_slab, stats.waste_bytes);
    shell_print(shell, "slabs      %" PRIu32 " held, %" PRIu32 " of them empty\n", stats.slabs,
                stats.empties);
    shell_print(shell, "objects    %" PRIu32 " used, %" PRIu32 " at most\n", stats.used,
                stats.peak);
    shell_print(shell,
                "calls      %" PRIu64 " allocations, %" PRIu64 " frees, %" PRIu64
                " without memory\n",
                stats.allocations, stats.frees, stats.failures);
    shell_print(shell, "source     %" PRIu64 " slabs taken, %" PRIu64 " given back\n",
                stats.refills, stats.releases);
}

static struct ash_slab_cache *cache_of(struct kernel *kernel, uint32_t index) {
    return ash_heap_cache(&kernel->memory.heap, index);
}

static struct ash_slab_cache *find_cache(struct kernel *kernel, const char *name) {
    struct ash_slab_cache *cache;
    for (uint32_t i = 0; (cache = cache_of(kernel, i)) != NULL; i++) {
        struct ash_slab_stats stats;
        ash_slab_cache_get_stats(cache, &stats);
        if (strcmp(stats.name, name) == 0)
            return cache;
    }
    return NULL;
}

SHELL_COMMAND(slab, "[CACHE]", "Shows the slab caches, or one of them in detail.") {
    struct ash_slab_cache *cache;
    if (argc > 2)
        return shell_usage(shell, "slab", "takes one cache at most");
    if (!has_kernel(shell, "slab"))
        return 1;
    if (argc == 2) {
        cache = find_cache(shell->kernel, argv[1]);
        if (cache == NULL)
            return shell_error(shell, "slab", argv[1], "no such cache; slab lists all");
        print_cache(shell, cache);
        return 0;
    }
    shell_print(shell, "%-12s %6s %9s %9s %6s %6s %12s\n", "cache", "bytes", "used", "peak",
                "slabs", "empty", "allocations");
    for (uint32_t i = 0; (cache = cache_of(shell->kernel, i)) != NULL; i++)
        print_cache_line(shell, cache);
    return 0;
}

/* check */

static int print_check(struct shell *shell, const char *part, const char *broken) {
    shell_print(shell, "%-8s %s\n", part, broken == NULL ? "ok" : broken);
    return broken != NULL;
}

SHELL_COMMAND(check, "", "Audits every part in full; status 1 if an invariant does not hold.") {
    int broken = 0;
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    if (!has_kernel(shell, "check"))
        return 1;
    struct kernel *kernel = shell->kernel;
    broken += print_check(shell, "buddy", ash_buddy_check(&kernel->memory.buddy));
    broken += print_check(shell, "heap", ash_heap_check(&kernel->memory.heap));
    if (kernel->disk != NULL)
        broken += print_check(shell, "virtq", disk_check(kernel->disk));
    if (shell->fs != NULL)
        broken += print_check(shell, "tarfs", shell->fs->check(shell->fs));
    return broken != 0;
}

/* bench */

enum { BENCH_BATCH = 64, BENCH_ROUNDS = 64 };

struct bench {
    struct kernel_memory *memory;
    void *objects[BENCH_BATCH];
    size_t size;
};

/* A batch of allocations, then of frees; false: no memory, and nothing is left allocated. */
static bool heap_batch(struct bench *bench) {
    uint32_t count = 0;
    while (count < BENCH_BATCH &&
           (bench->objects[count] = ash_kmalloc(&bench->memory->heap, bench->size)) != NULL)
        count++;
    for (uint32_t i = 0; i < count; i++)
        ash_kfree(&bench->memory->heap, bench->objects[i]);
    return count == BENCH_BATCH;
}

static bool buddy_batch(struct bench *bench) {
    uint32_t count = 0;
    while (count < BENCH_BATCH &&
           (bench->objects[count] = memory_pages_alloc(bench->memory, 0, MEMORY_FOREIGN)) != NULL)
        count++;
    for (uint32_t i = 0; i < count; i++)
        memory_pages_free(bench->memory, bench->objects[i], 0);
    return count == BENCH_BATCH;
}

/* Counter steps of the fastest of some batches: the others were interrupted, or ran cold. */
static uint64_t best_of(struct bench *bench, bool (*batch)(struct bench *bench)) {
    uint64_t best = UINT64_MAX;
    for (uint32_t round = 0; round < BENCH_ROUNDS; round++) {
        uint64_t start = ash_port_cycles();
        if (!batch(bench))
            return UINT64_MAX;
        best = ash_min_u64(best, ash_port_cycles() - start);
    }
    return best;
}

static int print_bench(struct shell *shell, const char *what, size_t size, uint64_t best) {
    if (best == UINT64_MAX)
        return shell_error(shell, "bench", what, "no memory for 64 objects at once");
    uint64_t hundredths = best * 100 / BENCH_BATCH;
    shell_print(shell, "%-6s %6zu %10" PRIu64 ".%02" PRIu64 "\n", what, size, hundredths / 100,
                hundredths % 100);
    return 0;
}

/* What one step of ash_port_cycles is worth here, by the clock, over some milliseconds. */
static void print_unit(struct shell *shell) {
    ash_ns_t start_ns = platform_now_ns(), now_ns = start_ns, limit_ns = start_ns + 2000000;
    uint64_t start = ash_port_cycles();
    for (uint32_t reads = 0; now_ns < limit_ns && reads < 10000000; reads++)
        now_ns = platform_now_ns();
    uint64_t steps = ash_port_cycles() - start;
    uint64_t picoseconds = steps == 0 ? 0 : (now_ns - start_ns) * 1000 / steps;
    shell_print(shell, "unit: steps of the CPU's counter, one is %" PRIu64 ".%03" PRIu64 " ns%s\n",
                picoseconds / 1000, picoseconds % 1000,
                "; under an emulator only ratios mean anything");
}

SHELL_COMMAND(bench, "",
              "Times an allocation and its free, in batches of 64: the heap against the buddy.") {
    static const size_t sizes[] = {16, 32, 64, 128, 256, 512, 4096};
    int status = 0;
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    if (!has_kernel(shell, "bench"))
        return 1;
    struct bench bench = {.memory = &shell->kernel->memory};
    print_unit(shell);
    shell_print(shell, "%-6s %6s %13s\n", "what", "bytes", "steps/pair");
    for (size_t i = 0; i < ASH_ARRAY_LEN(sizes); i++) {
        bench.size = sizes[i];
        status |= print_bench(shell, "heap", sizes[i], best_of(&bench, heap_batch));
    }
    status |= print_bench(shell, "buddy", ASH_PAGE_SIZE, best_of(&bench, buddy_batch));
    return status;
}
