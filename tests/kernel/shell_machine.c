/* SPDX-License-Identifier: MIT */
/* Cases of the commands about the machine, over memory and a disk of the case's own. */
#include "kernel/disk_fixture.h"
#include "kernel/fixture.h"

#include "kernel/events.h"
#include "kernel/kernel.h"

static struct script *machine_new(struct kernel **made) {
    struct kernel *kernel = test_alloc(sizeof(*kernel), 64);
    struct platform_range range = {test_view.address(test_alloc(4 << 20, 4096)), 4 << 20};
    CHECK_EQ(memory_init(&kernel->memory, &range, 1, &test_view), 0);
    kernel->disk_reason = "nobody put one in";
    kernel->files_reason = "nothing is mounted";
    struct script *script = script_new(NULL, false);
    script->shell->kernel = kernel;
    *made = kernel;
    return script;
}

static void check_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not contain \"%s\"", text, part);
}

TEST_CASE(shell_machine, mem_adds_up) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    CHECK(memory_pages_alloc(&kernel->memory, 3, MEMORY_FOREIGN) != NULL);
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
    ash_kfree(&kernel->memory.heap, objects[1]);
    CHECK_EQ(script_run(script, "slab\n"), 0);
    check_contains(script->output, "kmalloc-64       64         2         3      1");
    CHECK_EQ(script_run(script, "slab kmalloc-64\n"), 0);
    check_contains(script->output, "objects    2 used, 3 at most\n");
    check_contains(script->output, "calls      3 allocations, 1 frees, 0 without memory\n");
    CHECK_EQ(script_run(script, "slab nosuch\n"), 1);
    CHECK_STR_EQ(script->output, "slab: nosuch: no such cache; slab lists all\n");
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
    kernel->memory.buddy.free_pages--;
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
    check_contains(script->output, "unit: steps of the CPU's counter");
    CHECK_EQ(ash_heap_fini(&kernel->memory.heap), 0);
    ash_buddy_get_stats(&kernel->memory.buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
}

TEST_CASE(shell_machine, bench_without_memory_says_so) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    while (memory_pages_alloc(&kernel->memory, 0, MEMORY_FOREIGN) != NULL) {}
    CHECK_EQ(script_run(script, "bench\n"), 1);
    check_contains(script->output, "bench: heap: no memory for 64 objects at once\n");
    check_contains(script->output, "bench: buddy: no memory for 64 objects at once\n");
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
