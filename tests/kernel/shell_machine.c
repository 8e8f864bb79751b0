/* SPDX-License-Identifier: MIT */
/* Cases of the commands about the machine, over memory and a disk of the case's own. */
#include "kernel/bench.h"
#include "kernel/disk_fixture.h"
#include "kernel/fixture.h"

#include "kernel/kernel.h"
#include "kernel/trace.h"

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
    kernel->disks[kernel->disk_count++] = &bench->disk;
    CHECK_EQ(script_run(script, "blk\ncheck\n"), 0);
    check_contains(script->output, "4194304 bytes, blocks of 512");
    check_contains(script->output, "archive    none: nothing is mounted\n");
    check_contains(script->output, "virtq    ok\n");
}

TEST_CASE(shell_machine, blk_shows_each_queue) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    struct disk_bench *bench = disk_bench_new();
    bench->device.features |= ASH_VIRTIO_BLK_F_MQ;
    bench->device.queue_count = 3;
    disk_bench_start(bench);
    kernel->disks[kernel->disk_count++] = &bench->disk;
    uint32_t queues = (uint32_t)ash_min_u64(3, platform_cpu_count());
    check_fits(script, "blk\n");
    check_contains(script->output, " split, of 256 entries: 32 requests in flight in each,\n");
    check_contains(script->output, "\n       0         0           1           1       0       0");
    for (uint32_t i = 1; i < 3; i++) {
        char row[64];
        snprintf(row, sizeof(row), "\n%8u         0           0           0       0       0",
                 (unsigned)i);
        CHECK_EQ(strstr(script->output, row) != NULL, i < queues);
    }
}

/* Two disks: the first with what mini_device_byte says, the second of zeros. */
static struct script *machine_with_disks(struct disk_bench **second) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    for (uint32_t i = 0; i < 2; i++) {
        struct disk_bench *bench = disk_bench_new();
        if (i == 1)
            disk_bench_add_image(bench);
        disk_bench_start(bench);
        bench->disk.number = i;
        kernel->disks[kernel->disk_count++] = &bench->disk;
        *second = bench;
    }
    return script;
}

static void check_says(struct script *script, const char *line, int status, const char *part) {
    int got = script_run(script, line);
    if (got != status)
        test_fail(__FILE__, __LINE__, "%s: status %d: %s", line, got, script->output);
    check_contains(script->output, part);
}

TEST_CASE(shell_machine, blk_writes_to_the_second_disk) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    CHECK_EQ(script_run(script, "blk write 510 hello\nhexdump -d 1 -n 0x20 -s 500\n"), 0);
    CHECK_EQ(memcmp(second->device.image + 510, "hello", 6), 0);
    CHECK_EQ(second->device.flushes, 1);
    CHECK_STR_EQ(script->output, "000001f4  00 00 00 00 00 00 00 00  00 00 68 65 6c 6c 6f 00  "
                                 "|..........hello.|\n"
                                 "00000204  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  "
                                 "|................|\n"
                                 "00000214\n");
    CHECK_EQ(script_run(script, "blk discard 512 1k\n"), 0);
    CHECK_EQ(second->device.image[512], MINI_DISCARDED);
    CHECK_EQ(second->device.image[511], 'e');
    CHECK_EQ(script_run(script, "blk write-zeroes 512 512\n"), 0);
    CHECK_EQ(second->device.image[512], 0);
    CHECK_EQ(second->device.image[1023], 0);
    CHECK_EQ(second->device.image[1024], MINI_DISCARDED);
}

static void resize(struct disk_bench *bench, uint64_t sectors) {
    bench->device.capacity_sectors = sectors;
    mini_device_interrupt(&bench->device, 2);
    disk_interrupt(&bench->disk);
}

TEST_CASE(shell_machine, commands_hear_of_a_new_size_of_a_disk) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    resize(second, 4);
    check_says(script, "hexdump -d 1\n", 0, "00000800\n");
    resize(second, 8);
    check_says(script, "hexdump -d 1 -s 2048\n", 0, "00001000\n");
    resize(second, 4);
    check_says(script, "blk bench --disk 1 --count 9 --depth 2\n", 1, "it has 2048 bytes");
    check_says(script, "blk bench --disk 1 --count 9 --depth 2 --size 2K\n", 0, "\n    2 ");
    CHECK(second->device.broken_rule == NULL);
}

TEST_CASE(shell_machine, blk_says_what_it_does_not_take) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    check_says(script, "blk nosuch\n", 2, "there are bench, write, write-zeroes and discard");
    check_says(script, "blk write --disk 0 0 x\n", 1,
               "disk 0: not written to: it is the first disk");
    check_says(script, "blk write --disk 0 --force 0 x\n", 1,
               "disk 0: the device reported an error");
    check_says(script, "blk write --disk 2 0 x\n", 1, "disk 2: there is no such disk");
    check_says(script, "blk write --disk x 0 x\n", 2, "--disk takes the number of a disk");
    check_says(script, "blk write --now 0 x\n", 2,
               "unknown option; there are --disk N and --force");
    check_says(script, "blk write zero x\n", 2, "write takes an offset in bytes and a text");
    check_says(script, "blk write 0\n", 2, "write takes an offset");
    check_says(script, "blk write 4m x\n", 1, "disk 1: past the end of the disk");
    check_says(script, "blk discard 0 x\n", 2, "discard takes an offset and a length");
    check_says(script, "blk discard --disk 0 0 512\n", 1, "disk 0: not written to");
    check_says(script, "blk discard 4m 1\n", 1, "disk 1: past the end of the disk");
    check_says(script, "blk discard 1 18446744073709551615\n", 1, "past the end of the disk");
    check_says(script, "blk write-zeroes 0\n", 2, "write-zeroes takes an offset and a length");
    check_says(script, "blk write-zeroes -1 512\n", 2, "unknown option");
    check_says(script, "blk write-zeroes --disk 0 0 512\n", 1, "disk 0: not written to");
    check_says(script, "blk write-zeroes 512 4m\n", 1, "disk 1: past the end of the disk");
    check_says(script, "blk write-zeroes 0 100\n", 1,
               "disk 1: it has blocks of 512 bytes: give whole ones");
    check_says(script, "hexdump -d 2\n", 1, "disk 2: there is no such disk");
    check_says(script, "hexdump -d x\n", 2, "-d takes the number of a disk");
    check_says(script, "hexdump -d 0 file\n", 2, "give one file, or the number of a disk with -d");
    CHECK(second->device.broken_rule == NULL);
}

TEST_CASE(shell_machine, blk_bench_says_what_it_does_not_take) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    check_says(script, "blk bench 5\n", 2, "bench takes options only");
    check_says(script, "blk bench --fast\n", 2, "unknown option of bench");
    check_says(script, "blk bench --depth\n", 2, "--depth takes a number");
    check_says(script, "blk bench --depth 0\n", 2, "--depth takes a number");
    check_says(script, "blk bench --depth 33\n", 1,
               "disk 0: its queue takes 1 to 32 requests at once");
    check_says(script, "blk bench --depth 1000\n", 1,
               "disk 0: its queue takes 1 to 32 requests at once");
    check_says(script, "blk bench --queues 0\n", 2, "--queues takes a number");
    check_says(script, "blk bench --queues 2\n", 1, "disk 0: it has 1 queue: one a CPU");
    check_says(script, "blk bench --queues 4294967295\n", 1, "disk 0: it has 1 queue: one a CPU");
    check_says(script, "blk bench --copy --result\n", 2, "--copy and --result do not go");
    check_says(script, "blk bench --size 0\n", 2, "--size takes a number of bytes");
    check_says(script, "blk bench --size 100\n", 1, "whole blocks of 512, up to 1048576 bytes");
    check_says(script, "blk bench --size 2M\n", 1, "whole blocks of 512, up to 1048576 bytes");
    check_says(script, "blk bench --segments 17\n", 1, "a request has 1 to 16 segments");
    check_says(script, "blk bench --segments 3\n", 1, "4096 bytes are not 3 equal segments");
    check_says(script, "blk bench --count 0\n", 2, "--count takes a number");
    check_says(script, "blk bench --seconds 3601\n", 2, "--seconds takes a number from 1 to 3600");
    check_says(script, "blk bench --count 1 --seconds 1\n", 2,
               "--count and --seconds do not go together");
    check_says(script, "blk bench --seq --rand\n", 2, "--seq and --rand do not go together");
    check_says(script, "blk bench --policy often\n", 2, "--policy takes poll, interrupt, delayed");
    check_says(script, "blk bench --policy poll:3\n", 2, "--policy takes poll");
    check_says(script, "blk bench --policy delayed:0\n", 2, "--policy takes poll");
    check_says(script, "blk bench --write --disk 0\n", 1, "disk 0: not written to");
    check_says(script, "blk bench --disk 9\n", 2, "--disk takes the number of a disk");
    check_says(script, "blk bench --disk 7\n", 1, "disk 7: there is no such disk");
    CHECK(second->device.broken_rule == NULL);
}

TEST_CASE(shell_machine, blk_bench_counts_what_it_did) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    struct ash_virtio_blk_counters before, after;
    ash_virtio_blk_get_counters(&second->disk.blk, &before);
    CHECK_EQ(script_run(script, "blk bench --write --count 1000 --depth 7 --size 1k\n"), 0);
    ash_virtio_blk_get_counters(&second->disk.blk, &after);
    CHECK_EQ(after.requests[ASH_VIRTIO_BLK_WRITE] - before.requests[ASH_VIRTIO_BLK_WRITE], 1000);
    CHECK_EQ(after.bytes - before.bytes, 1000 * 1024);
    CHECK(memcmp(second->device.image, "ashlar blk bench", 16) == 0 ||
          second->device.image[0] == 0);
    check_contains(script->output, "disk 1: writes of 1024 bytes, random; policy ");
    check_contains(script->output, "\n    7 ");
    check_contains(script->output, "\n0 of 1024000 bytes copied\n");
    CHECK(second->device.broken_rule == NULL);
    CHECK_EQ(script_run(script, "blk bench --count 70 --depth 4 --segments 8 --seq\n"), 0);
    check_contains(script->output, "disk 0: reads of 4096 bytes, sequential, in 8 pieces; ");
    CHECK_EQ(script_run(script, "blk bench --count 50 --depth 2 --result --policy hybrid:3\n"), 0);
    check_contains(script->output, "result read 4096 2 random ");
    CHECK_EQ(script_run(script, "blk bench --count 50 --depth 32 --policy poll --copy\n"), 0);
    check_contains(script->output, "; policy poll\n");
    check_contains(script->output, " us a block, 0 of 204800 bytes copied\nwith copy: ");
    check_contains(script->output, " us a block, 204800 of 204800 bytes copied\n");
    CHECK_EQ(script_run(script, "check\n"), 0);
}

TEST_CASE(shell_machine, blk_bench_writes_its_pattern_everywhere_in_order) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    CHECK_EQ(script_run(script, "blk bench --write --seq --count 1024 --depth 8\n"), 0);
    for (uint32_t at = 0; at < BENCH_SECTORS * 512; at += 16)
        CHECK_EQ(memcmp(second->device.image + at, "ashlar blk bench", 16), 0);
}

TEST_CASE(shell_machine, blk_bench_draws_the_curve_and_compares_copying) {
    struct kernel *kernel;
    struct ash_buddy_stats before, after;
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    kernel = script->shell->kernel;
    ash_buddy_get_stats(&kernel->memory.buddy, &before);
    check_fits(script, "blk bench --count 64 --size 512; blk; help blk\n");
    for (uint32_t depth = 1; depth <= 32; depth *= 2) {
        char row[16];
        snprintf(row, sizeof(row), "\n%5u ", (unsigned)depth);
        check_contains(script->output, row);
    }
    check_contains(script->output, "\ndepth 32 is ");
    check_contains(script->output, "\nzero-copy: ");
    check_contains(script->output, " us a block, 32768 of 32768 bytes copied\n");
    CHECK_EQ(ash_heap_fini(&kernel->memory.heap), 0);
    ash_buddy_get_stats(&kernel->memory.buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
}

TEST_CASE(shell_machine, blk_bench_ends_at_an_error_and_the_disk_works_on) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    second->device.status_byte = 1; /* VIRTIO_BLK_S_IOERR */
    CHECK_EQ(script_run(script, "blk bench --disk 1 --count 1000 --depth 8\n"), 1);
    check_contains(script->output, "blk: disk 1: the device reported an error\n");
    second->device.status_byte = 0;
    second->wrong_used = 1;
    CHECK_EQ(script_run(script, "blk bench --disk 1 --count 1000 --depth 8\n"), 1);
    check_contains(script->output, "blk: disk 1: the device completed ");
    CHECK_EQ(ash_virtio_blk_in_flight(second->disk.queue), 0);
    CHECK_EQ(script_run(script, "blk bench --disk 1 --count 1000 --depth 8; check\n"), 0);
    second->wrong_used = 1;
    second->device.never_resets = true;
    CHECK_EQ(script_run(script, "blk bench --disk 1 --count 1000 --depth 8\n"), 1);
    check_contains(script->output, "the device was given up: it does not finish a reset\n");
    CHECK_EQ(script_run(script, "blk bench --disk 1 --count 1000 --depth 8\n"), 1);
}

/* The same with a cache. */
static struct script *machine_with_cache(struct disk_bench **second) {
    const struct block_cache_config config = {.blocks = 64};
    struct script *script = machine_with_disks(second);
    struct kernel *kernel = script->shell->kernel;
    CHECK_EQ(block_cache_init(&kernel->cache, &kernel->memory, kernel->disks, 2, &config), 0);
    return script;
}

TEST_CASE(shell_machine, write_stays_in_the_cache_until_sync) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    CHECK_EQ(script_run(script, "write 510 hello  world; hexdump -d 1 -s 510 -n 16; cache\n"), 0);
    check_contains(script->output, "|hello world.....|\n");
    check_contains(script->output, "\ndisk 1     1 block, 1 of them dirty\n");
    CHECK_EQ(second->device.image[510], 0);
    check_says(script, "sync\n", 0, "all is safe: 1 block written, in ");
    CHECK_EQ(memcmp(second->device.image + 510, "hello world", 12), 0);
    CHECK_EQ(second->device.flushes, 1);
    check_says(script, "sync; check\n", 0, "all is safe: 0 blocks written, in ");
    check_contains(script->output, "cache    ok\n");
}

TEST_CASE(shell_machine, sync_tells_an_error_and_keeps_the_blocks) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    CHECK_EQ(script_run(script, "write 0 x\n"), 0);
    second->device.status_byte = 1;
    check_says(script, "sync\n", 1,
               "sync: disk 1: 1 block (4 KiB) not written: the device reported an error\n");
    check_says(script, "cache\n", 0, "1 failed,");
    check_contains(script->output, "1 of them dirty\n           1 block (4 KiB) not written: the "
                                   "device reported an error\n");
    second->device.status_byte = 0;
    check_says(script, "sync\n", 0, "1 block written");
    check_says(script, "cache\n", 0, "0 failed,");
    CHECK(strstr(script->output, "not written:") == NULL);
    CHECK_EQ(second->device.image[0], 'x');
}

TEST_CASE(shell_machine, cache_drop_says_what_stays) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    CHECK_EQ(script_run(script, "hexdump -d 0 -n 16; write 0 x; cache drop\n"), 0);
    check_contains(script->output, "1 block forgotten, 1 stay: 1 dirty, 0 pinned\n");
    CHECK_EQ(script_run(script, "sync; cache drop\n"), 0);
    check_contains(script->output, "1 block forgotten, 0 stay\n");
}

TEST_CASE(shell_machine, what_goes_past_the_cache_is_coherent_with_it) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    CHECK_EQ(script_run(script, "write 0 abcdef; blk write 2 XY; hexdump -d 1 -n 16\n"), 0);
    check_contains(script->output, "|abXYef..........|\n");
    CHECK_EQ(memcmp(second->device.image, "abXYef", 6), 0);
    CHECK_EQ(script_run(script, "write 1000 z; blk write-zeroes 0 1k; sync\n"), 0);
    CHECK_EQ(second->device.image[1000], 0);
    CHECK_EQ(script_run(script, "write 0 old; blk bench --write --seq --count 1024 --depth 8\n"),
             0);
    CHECK_EQ(script_run(script, "hexdump -d 1 -n 16\n"), 0);
    check_contains(script->output, "|ashlar blk bench|\n");
}

TEST_CASE(shell_machine, a_benchmark_begins_with_an_empty_queue) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    second->fetches = true;
    CHECK_EQ(ash_cache_prefetch(&script->shell->kernel->cache.cache,
                                &script->shell->kernel->cache.disks[1].space, 0, 4),
             4);
    CHECK_EQ(ash_virtio_blk_in_flight(second->disk.queue), 1);
    second->fetches = false;
    while (second->device.held_count != 0) /* done, and nobody has taken it */
        mini_device_complete(&second->device, 0);
    CHECK_EQ(script_run(script, "blk bench --disk 1 --count 100 --depth 4\n"), 0);
    CHECK_EQ(script_run(script, "cache; check\n"), 0);
    check_contains(script->output, "4 clean, 0 dirty, 0 being read");
}

static void drop_line(void *context, const char *text) {
    (void)context, (void)text;
}

/* The writing goes on while the benchmark waits for its own reads of the same disk. */
TEST_CASE(shell_machine, a_benchmark_may_begin_while_blocks_are_written) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    struct kernel *kernel = script->shell->kernel;
    for (uint32_t i = 0; i < 8; i++)
        CHECK_EQ(block_cache_write(&kernel->cache, kernel->disks[1], 16384 * i, "kept", 4), 0);
    block_cache_set_age(&kernel->cache, 1);
    second->fetches = true;
    (void)block_cache_background(&kernel->cache, platform_now_ns() + 1, true);
    CHECK(ash_virtio_blk_in_flight(second->disk.queue) != 0);
    second->fetches = false;
    while (second->device.held_count != 0)
        mini_device_complete(&second->device, 0);
    const struct bench_report report = {drop_line, NULL};
    CHECK_EQ(bench_cache(&kernel->memory, kernel->disks[1], &report), 0);
    CHECK_EQ(script_run(script, "check\n"), 0);
    for (uint32_t i = 0; i < 8; i++)
        CHECK_EQ(memcmp(second->device.image + 16384 * i, "kept", 4), 0);
    CHECK_EQ(second->device.flushes, 1);
}

TEST_CASE(shell_machine, cache_takes_every_policy) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    for (uint32_t i = 0; ash_cache_policy_name(i) != NULL; i++) {
        char line[64];
        snprintf(line, sizeof(line), "cache policy %s; cache\n", ash_cache_policy_name(i));
        CHECK_EQ(script_run(script, line), 0);
        snprintf(line, sizeof(line), "\npolicy     %s; there are ", ash_cache_policy_name(i));
        check_contains(script->output, line);
    }
    check_says(script, "cache policy magic\n", 1, "cache: magic: no such policy\npolicy     ");
    check_fits(script, "cache; help cache; help sync; help write\n");
}

TEST_CASE(shell_machine, cache_shows_and_changes_the_age) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    struct kernel *kernel = script->shell->kernel;
    CHECK_EQ(script_run(script, "cache age 7; cache\n"), 0);
    check_contains(script->output, "are written besides,\n           and all of them after 7 s\n");
    CHECK_EQ(kernel->cache.age_ns, UINT64_C(7000000000));
    check_fits(script, "cache\n");
    CHECK_EQ(script_run(script, "cache age 0; cache\n"), 0);
    check_contains(script->output, "are written besides\n");
}

TEST_CASE(shell_machine, sync_tells_of_each_disk_what_it_did_not_get) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    CHECK_EQ(script_run(script, "write 0 x; write 8k y\n"), 0);
    second->device.never_resets = true;
    second->wrong_used = 1;
    const char *told =
        "sync: disk 1: 2 blocks (8 KiB) not written: the device was given up: it does "
        "not finish a reset\n";
    CHECK_EQ(script_run(script, "sync\n"), 1);
    CHECK_STR_EQ(script->output, told);
    check_says(script, "hexdump -d 1 -n 1\n", 0, "00000000  78 ");
    check_says(script, "hexdump -d 1 -s 1M -n 1\n", 1,
               "hexdump: the device was given up: it does not finish a reset\n");
    check_says(script, "write 9k z\n", 1, "write: disk 1: the device was given up");
    check_says(script, "hexdump -d 0 -n 1; cache; check\n", 0,
               "disk 1     2 blocks, 2 of them dirty\n           given up: what is here can be "
               "read, nothing else\n");
    check_fits(script, "cache\n");
    CHECK(strstr(script->output, " lost, ") == NULL); /* they are dirty, and can be read */
    CHECK_EQ(ash_cache_discard(&script->shell->kernel->cache.cache,
                               &script->shell->kernel->cache.disks[1].space, 2, 1, true),
             0);
    check_says(script, "cache\n", 0, "\n           1 lost, to a device that was given up\n");
    CHECK_EQ(script_run(script, "sync\n"), 1);
    check_contains(script->output, "sync: disk 1: 1 block (4 KiB) not written: the device was");
}

TEST_CASE(shell_machine, cache_says_what_it_does_not_take) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    check_says(script, "cache nosuch\n", 2, "there are policy, drop and age");
    check_says(script, "cache policy\n", 2, "policy takes a name");
    check_says(script, "cache drop it\n", 2, "drop takes no argument");
    check_says(script, "cache age\n", 2, "age takes a number of seconds from 0 to 3600");
    check_says(script, "cache age long\n", 2, "age takes a number of seconds from 0 to 3600");
    check_says(script, "cache age 3601\n", 2, "age takes a number of seconds from 0 to 3600");
    check_says(script, "sync now\n", 2, "takes no argument");
    check_says(script, "write 0\n", 2, "takes an offset in bytes and a text");
    check_says(script, "write x y\n", 2, "takes an offset in bytes and a text");
    check_says(script, "write --disk 0 0 x\n", 1, "disk 0: not written to: it is the first disk");
    check_says(script, "write 4m x\n", 1, "write: disk 1: past the end of the disk\n");
    struct kernel *kernel = script->shell->kernel;
    kernel->cache.is_on = false;
    kernel->cache.reason = "of a reason";
    check_says(script, "cache\n", 1, "cache: no cache: of a reason\n");
    check_says(script, "sync\n", 1, "sync: no cache: of a reason\n");
}

static int type_ctrl_c(void *context) {
    (void)context;
    return 3;
}

TEST_CASE(shell_machine, blk_bench_ends_at_ctrl_c) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    script->console.is_terminal = true;
    script->console.poll = type_ctrl_c;
    CHECK_EQ(script_run(script, "blk bench --disk 1 --seconds 3600 --depth 4\n"), 130);
    check_contains(script->output, "^C\n");
    CHECK_EQ(ash_virtio_blk_in_flight(second->disk.queue), 0);
    CHECK_EQ(script_run(script, "blk bench --disk 1 --seconds 3600\n"), 130);
}

TEST_CASE(shell_machine, blk_bench_without_memory_says_so) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    while (memory_pages_alloc(second->memory, 0) != NULL) {}
    CHECK_EQ(script_run(script, "blk bench --disk 1 --count 10 --size 1M\n"), 1);
    check_contains(script->output, "disk 1: not enough memory for so many blocks\n");
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
    check_contains(
        script->output,
        "bench: nosuch: there are slab, buddy, cache, sched, fork, hugepages, prof and golden\n");
    CHECK_EQ(script_run(script, "bench slab buddy\n"), SHELL_STATUS_USAGE);
    CHECK_EQ(script_run(script, "bench golden\n"), 1);
    check_contains(script->output, "bench: golden: something found no memory\n");
}

TEST_CASE(shell_machine, bench_cache_reads_cold_and_warm) {
    struct disk_bench *second;
    struct script *script = machine_with_disks(&second);
    struct kernel *kernel = script->shell->kernel;
    struct ash_buddy_stats before, after;
    ash_buddy_get_stats(&kernel->memory.buddy, &before);
    check_fits(script, "bench cache\n");
    check_contains(script->output, " blocks of disk 0, through a cache of ");
    check_contains(script->output, "\ncold, each from the disk ");
    check_contains(script->output, " 0.0%\nwarm, each a hit             100000 ");
    check_contains(script->output, " 100.0%\nmixed, 9 of 10 to a tenth    100000 ");
    check_contains(script->output, "\nin order, with read-ahead ");
    ash_buddy_get_stats(&kernel->memory.buddy, &after);
    CHECK_EQ(ash_heap_fini(&kernel->memory.heap), 0);
    ash_buddy_get_stats(&kernel->memory.buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
    CHECK_EQ(kernel->disks[0]->number, 0);
}

TEST_CASE(shell_machine, bench_golden_leaves_nothing_allocated) {
    struct kernel *kernel;
    struct script *script = machine_of(10 << 20, 8 << 20, &kernel);
    struct ash_buddy_stats before, after;
    ash_buddy_get_stats(&kernel->memory.buddy, &before);
    CHECK_EQ(script_run(script, "bench golden; check\n"), 0);
    check_contains(script->output, "\nslab.pair ");
    check_contains(script->output, "\nbuddy.pair_order_9 ");
    check_contains(script->output, "\nblk.packed_depth_32 ");
    CHECK_EQ(ash_heap_fini(&kernel->memory.heap), 0);
    ash_buddy_get_stats(&kernel->memory.buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
}

TEST_CASE(shell_machine, cpu_and_uptime_answer) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    CHECK_EQ(script_run(script, "cpu; uptime\n"), 0);
    check_contains(script->output, "cpu 0  ");
    check_contains(script->output, "pages  copied by ");
    check_contains(script->output, " s\n");
    CHECK_EQ(script_run(script, "cpu 1\n"), 2);
}

/* Traces */

/* A case that failed may have left one. */
static struct script *untraced_machine(struct kernel **kernel) {
    struct trace left;
    trace_set_aside(&left);
    return machine_new(kernel);
}

TEST_CASE(shell_machine, a_trace_is_started_shown_and_stopped) {
    struct kernel *kernel;
    struct script *script = untraced_machine(&kernel);
    CHECK_EQ(script_run(script, "trace start 256 --only mark,slab\ntrace mark 42\ntrace show\n"
                                "trace stat\ntrace stop\ntrace show 1\ntrace free\n"),
             0);
    check_contains(script->output, "of 256 events (8 KiB each); the newest ones are kept\n");
    check_contains(script->output, ": mark number=42\n");
    check_contains(script->output, "running, overwrites the oldest\n");
    check_contains(script->output, "trace: 1 events, 0 overwritten, 0 dropped\n");
    CHECK_EQ(trace_get()->state, TRACE_OFF);
}

TEST_CASE(shell_machine, a_trace_tells_reads_from_writes_and_flushes) {
    struct disk_bench *second;
    struct script *script = machine_with_cache(&second);
    struct trace left;
    trace_set_aside(&left);
    CHECK_EQ(script_run(script, "trace start 256 --only blk\nwrite 0 x\n"), 0);
    second->device.status_byte = 1;
    CHECK_EQ(script_run(script, "sync\n"), 1);
    second->device.status_byte = 0;
    CHECK_EQ(script_run(script, "sync\ntrace stop\ntrace show 99\ntrace free\n"), 0);
    check_contains(script->output, ": blk.read ( request=0x10001");
    check_contains(script->output, " bytes=4096\n");
    check_contains(script->output, ": blk.read ) request=0x10001");
    check_contains(script->output, " error=0\n");
    check_contains(script->output, ": blk.write ( request=0x10001");
    check_contains(script->output, " error=the device reported an error, or broke its protocol\n");
    check_contains(script->output, ": blk.flush ( request=0x10001");
    check_contains(script->output, ": blk.in_flight disk=1 requests=1\n");
    check_contains(script->output, ": blk.in_flight disk=1 requests=0\n");
}

TEST_CASE(shell_machine, a_trace_says_what_it_cannot_do) {
    static const struct {
        const char *line;
        int status;
        const char *says;
    } wrong[] = {
        {"trace\n", 2, "trace: says nothing by itself"},
        {"trace begin\n", 2, "trace: no such word"},
        {"trace start 10\n", 2, "trace start: 10: a ring has 64 to 67108864 events"},
        {"trace start 64 64\n", 2, "start takes [EVENTS]"},
        {"trace start --only\n", 2, "start takes [EVENTS]"},
        {"trace start --only slab,bogus\n", 1,
         "trace start: bogus: no event or group of this name"},
        {"trace start --only slab,\n", 1, "no event or group of this name"},
        {"trace start 67108864\n", 1, "not enough memory; try `trace start "},
        {"trace stop\n", 1, "trace stop: nothing is traced"},
        {"trace stop now\n", 2, "too many words"},
        {"trace show\n", 1, "trace show: there is no trace"},
        {"trace stat\n", 1, "trace stat: there is no trace"},
        {"trace mark 1\n", 1, "trace mark: nothing is traced"},
        {"trace mark\n", 2, "mark takes a number"},
        {"trace dump\n", 2, "dump takes a file's name"},
        {"trace dump x\n", 1, "trace dump: there is no trace"},
        {"trace mark one\n", 2, "mark takes a number"},
        {"trace show 0\n", 2, "show takes 1 to"},
        {"trace start 64; trace start\n", 1, "trace start: it runs already"},
        {"trace free\n", 1, "trace free: it runs"},
    };
    struct kernel *kernel;
    struct script *script = untraced_machine(&kernel);
    for (size_t i = 0; i < ASH_ARRAY_LEN(wrong); i++) {
        script->output_len = 0;
        CHECK_EQ(script_run(script, wrong[i].line), wrong[i].status);
        check_contains(script->output, wrong[i].says);
    }
    CHECK_EQ(script_run(script, "trace stop; trace show; trace free\n"), 0);
}

TEST_CASE(shell_machine, trace_list_names_every_event) {
    struct kernel *kernel;
    struct script *script = machine_new(&kernel);
    CHECK_EQ(script_run(script, "trace list\n"), 0);
    check_contains(script->output, "syscall.openat");
    check_contains(script->output, "slab.refill");
    check_contains(script->output, "thread.switch            switch       from:task,to:task\n");
}
