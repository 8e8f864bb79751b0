/* SPDX-License-Identifier: MIT */
/* Cases of the commands about the machine, over memory and a disk of the case's own. */
#include "kernel/disk_fixture.h"
#include "kernel/fixture.h"

#include "kernel/events.h"
#include "kernel/kernel.h"

#include <stdio.h>

static struct script *machine_of(size_t size_bytes, size_t align_bytes, struct kernel **made) {
    struct kernel *kernel = test_alloc(sizeof(*kernel), 64);
    struct platform_range range = {test_view.address(test_alloc(size_bytes, align_bytes)),
                                   size_bytes};
    CHECK_EQ(memory_init(&kernel->memory, &range, 1, &test_view, NULL), 0);
    kernel->disk_reason = "nobody put one in";
    kernel->files_reason = "nothing is mounted";
    struct script *script = script_new(NULL, false);
    script->shell->kernel = kernel;
    *made = kernel;
    return script;
}

static struct script *machine_new(struct kernel **made) {
    return machine_of(4 << 20, 4 << 20, made);
}

static void check_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not contain \"%s\"", text, part);
}

TEST_CASE(shell_machine, mem_adds_up) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    CHECK(memory_pages_alloc(&kernel->memory, 3) != NULL);
    CHECK_EQ(script_run(script, "mem\n"), 0);
    check_contains(script->output, "total              4096 KiB       1024 pages\n");
    check_contains(script->output, "used                 32 KiB          8 pages\n");
    check_contains(script->output, "reserved              0 KiB          0 pages\n");
}

TEST_CASE(shell_machine, slab_counts_objects) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    void *objects[3];
    for (uint32_t i = 0; i < 3; i++)
        CHECK((objects[i] = ash_kmalloc(&kernel->memory.heap, 64)) != NULL);
    CHECK_EQ(script_run(script, "slab\n"), 0);
    check_contains(script->output, "\nkmalloc-64     64       3       3 ");
    ash_kfree(&kernel->memory.heap, objects[1]);
    CHECK_EQ(script_run(script, "slab\n"), 0);
    check_contains(script->output, "\nkmalloc-64     64       2       3 ");
    check_contains(script->output, " KiB in slabs, ");
    CHECK_EQ(script_run(script, "slab kmalloc-64\n"), 0);
    check_contains(script->output, "objects    2 used, 3 at most; ");
    check_contains(script->output, "calls      3 allocations, 1 frees, 0 without memory\n");
    CHECK_EQ(script_run(script, "slab nosuch\n"), 1);
    CHECK_STR_EQ(script->output,
                 "slab: nosuch: no such cache; there are:\n  kmalloc-16\n  kmalloc-32\n"
                 "  kmalloc-64\n  kmalloc-128\n  kmalloc-256\n  kmalloc-512\n");
    CHECK_EQ(script_run(script, "slab a b\n"), SHELL_STATUS_USAGE);
}

/* Every line fits a terminal of 80 columns. */
static void check_fits(struct script *script, const char *commands) {
    CHECK_EQ(script_run(script, commands), 0);
    for (const char *line = script->output; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strcspn(line, "\n") > 80)
            test_fail(__FILE__, __LINE__, "too wide: %.*s", (int)strcspn(line, "\n"), line);
    }
}

TEST_CASE(shell_machine, tables_line_up_and_fit_80_columns) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    for (uint32_t i = 0; i < 100000; i++)
        ash_kfree(&kernel->memory.heap, ash_kmalloc(&kernel->memory.heap, 512));
    check_fits(script, "help slab; help buddy; help bench; help mem\n");
    check_fits(script, "slab; slab kmalloc-512; buddy; mem; bench slab; bench buddy\n");
    const char *head = strstr(script->output, "cache       bytes "), *row = strchr(head, '\n') + 1;
    CHECK_EQ(strcspn(row, "\n"), strcspn(head, "\n"));
    head = strstr(script->output, "order  block KiB"), row = strchr(head, '\n') + 1;
    CHECK_EQ(strcspn(row, "\n"), strcspn(head, "\n"));
}

TEST_CASE(shell_machine, slab_shows_each_cpu) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    for (uint32_t i = 0; i < 1000; i++)
        ash_kfree(&kernel->memory.heap, ash_kmalloc(&kernel->memory.heap, 64));
    CHECK_EQ(script_run(script, "slab kmalloc-64\n"), 0);
    check_contains(script->output, " 64 apart\nprofile    plain\n");
    check_contains(script->output, " KiB in all; 99.9% of the allocations hit\n");
    check_contains(script->output, "\n    0         1000   99.9% ");
    CHECK_EQ(script_run(script, "slab kmalloc-128\n"), 0);
    check_contains(
        script->output,
        "magazines  of 118 objects, 0 KiB in all; none of the allocations hit\ndepot      0 ");
    check_contains(script->output, "\n    0            0       -          0        0\n");
}

TEST_CASE(shell_machine, slab_draws_where_the_objects_lie) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    struct memory_cache *large = test_alloc(sizeof(*large), ASH_PORT_CACHE_LINE);
    CHECK_EQ(memory_cache_init(large, &kernel->memory, "large", 8000), 0);
    char *object = ash_slab_alloc(&large->slabs);
    struct ash_slab_stats stats;
    ash_slab_cache_get_stats(&large->slabs, &stats);
    unsigned first = (unsigned)stats.first_bytes, objects = (unsigned)stats.objects_per_slab;
    CHECK(objects > 3);
    CHECK_EQ((uintptr_t)object % stats.slab_bytes % 8000, first % 8000);
    char edges[160];
    snprintf(edges, sizeof(edges), "\n0           %-12u%-12u            %-12u%-12u%u\n", first,
             first + 8000, first + (objects - 1) * 8000, first + objects * 8000,
             (unsigned)stats.slab_bytes);
    CHECK_EQ(script_run(script, "slab large\n"), 0);
    check_contains(script->output, edges);
    check_contains(script->output, "|header, map| 0         | 1         |    ...    | ");
    check_contains(script->output, "| tail      |\n");
}

TEST_CASE(shell_machine, buddy_shows_every_order) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    struct ash_buddy_stats stats;
    CHECK(memory_pages_alloc(&kernel->memory, 3) != NULL);
    ash_buddy_get_stats(&kernel->memory.buddy, &stats);
    CHECK_EQ(script_run(script, "buddy\n"), 0);
    char line[128];
    snprintf(line, sizeof(line), "pages      %u free, 8 used, 0 reserved, of %u\n",
             (unsigned)stats.free_pages, (unsigned)stats.total_pages);
    check_contains(script->output, line);
    check_contains(script->output, "largest    order 9, 2048 KiB\n");
    check_contains(script->output, "\n    9       2048            1          512 ");
    check_contains(script->output, "\n   18    1048576            0            0     100.0%\n");
    CHECK_EQ(script_run(script, "buddy x\n"), SHELL_STATUS_USAGE);
}

TEST_CASE(shell_machine, buddy_of_a_machine_that_is_all_used) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    while (memory_pages_alloc(&kernel->memory, 0) != NULL) {}
    CHECK_EQ(script_run(script, "buddy\n"), 0);
    check_contains(script->output, "largest    nothing is free\n");
    check_contains(script->output, "low        below 16 free pages, until above 32: 1 times, ");
    check_contains(script->output, "\n    0          4            0            0       0.0%\n");
}

TEST_CASE(shell_machine, blk_shows_the_disk) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    CHECK_EQ(script_run(script, "blk\n"), 1);
    CHECK_STR_EQ(script->output, "blk: nobody put one in\n");
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    kernel->disk = &bench->disk;
    CHECK_EQ(script_run(script, "blk\ncheck\n"), 0);
    check_contains(script->output, "4194304 bytes, blocks of 512");
    check_contains(script->output, "archive    none: nothing is mounted\n");
    check_contains(script->output, "virtq    ok\n");
}

TEST_CASE(shell_machine, check_names_the_part_that_is_broken) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    CHECK_EQ(script_run(script, "check\n"), 0);
    CHECK_STR_EQ(script->output, "buddy    ok\nheap     ok\n");
    kernel->memory.buddy.map_pages--;
    CHECK_EQ(script_run(script, "check\n"), 1);
    check_contains(script->output, "buddy    I");
    check_contains(script->output, "heap     ok\n");
}

TEST_CASE(shell_machine, bench_leaves_nothing_allocated) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    struct ash_buddy_stats before, after;
    ash_buddy_get_stats(&kernel->memory.buddy, &before);
    CHECK_EQ(script_run(script, "bench; check\n"), 0);
    check_contains(script->output, "unit: ");
    check_contains(script->output, "buddy, one frame: pair");
    check_contains(script->output, "\n order ");
    CHECK_EQ(ash_heap_fini(&kernel->memory.heap), 0);
    ash_buddy_get_stats(&kernel->memory.buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
}

TEST_CASE(shell_machine, bench_without_memory_says_so) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    while (memory_pages_alloc(&kernel->memory, 0) != NULL) {}
    CHECK_EQ(script_run(script, "bench\n"), 1);
    check_contains(script->output, "bench: slab: something found no memory\n");
    check_contains(script->output, "bench: buddy: something found no memory\n");
}

TEST_CASE(shell_machine, bench_says_what_there_is) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    CHECK_EQ(script_run(script, "bench nosuch\n"), SHELL_STATUS_USAGE);
    check_contains(script->output, "bench: nosuch: there are slab, buddy and golden\n");
    CHECK_EQ(script_run(script, "bench slab buddy\n"), SHELL_STATUS_USAGE);
    CHECK_EQ(script_run(script, "bench golden\n"), 1);
    check_contains(script->output, "bench: golden: something found no memory\n");
}

TEST_CASE(shell_machine, bench_golden_leaves_nothing_allocated) {
    struct kernel *kernel;
    struct script *script = machine_of(10 << 20, 8 << 20, &kernel);
    struct ash_buddy_stats before, after;
    ash_buddy_get_stats(&kernel->memory.buddy, &before);
    CHECK_EQ(script_run(script, "bench golden; check\n"), 0);
    check_contains(script->output, "\nslab.pair ");
    check_contains(script->output, "\nbuddy.pair_order_9 ");
    CHECK_EQ(ash_heap_fini(&kernel->memory.heap), 0);
    ash_buddy_get_stats(&kernel->memory.buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
}

TEST_CASE(shell_machine, cpu_and_uptime_answer) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    CHECK_EQ(script_run(script, "cpu; uptime\n"), 0);
    check_contains(script->output, "cpu 0  ");
    check_contains(script->output, " s\n");
    CHECK_EQ(script_run(script, "cpu 1\n"), 2);
}

/* Events */

static void keep_line(void *context, const char *line) {
    char *text = context;
    size_t len = strlen(text);
    memcpy(text + len, line, strlen(line) + 1);
    memcpy(text + len + strlen(line), "\n", 2);
}

TEST_CASE(shell_machine, events_are_kept_and_printed_once) {
    struct kernel *kernel;
    (void)machine_new(&kernel);
    char *text = test_alloc(64 << 10, 1);
    events_enable(true);
    void *object = ash_kmalloc(&kernel->memory.heap, 64); /* the class's first slab: an event */
    events_print(keep_line, text);
    CHECK(object != NULL);
    check_contains(text, " cpu 0 slab.refill cache=0x");
    check_contains(text, " objects=0x");
    text[0] = '\0';
    events_print(keep_line, text);
    CHECK_STR_EQ(text, "");
    events_enable(false);
    CHECK(!events_enabled());
}

TEST_CASE(shell_machine, events_that_were_overwritten_are_counted) {
    struct kernel *kernel;
    (void)machine_new(&kernel);
    char *text = test_alloc(64 << 10, 1);
    events_enable(true);
    for (uint32_t i = 0; i < EVENTS_KEPT + 10; i++) {
        void *object = ash_kmalloc(&kernel->memory.heap, 64);
        ash_kfree(&kernel->memory.heap, object);
        (void)ash_slab_cache_shrink(ash_heap_cache(&kernel->memory.heap, 2));
    }
    events_print(keep_line, text);
    events_enable(false);
    check_contains(text, " events more were overwritten\n");
}
