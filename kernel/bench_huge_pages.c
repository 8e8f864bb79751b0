/* SPDX-License-Identifier: MIT */
/* bench_huge_pages.c: see bench.h. The program `touch` with pages of 4 KiB and of 2 MiB. */
#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>

#include "bench.h"
#include "files.h"
#include "platform.h"
#include "process.h"
#include "thread.h"

#define PROGRAM "/bin/touch"

/* What a run came to. */
struct run {
    uint64_t instructions; /* of the whole machine, on CPU 0 */
    uint64_t faults, tables, huge_bytes;
    ash_ns_t ns;
    int wait_status;
    uint32_t has_ended;
};

static void note_end(void *context) {
    struct run *run = context;
    ash_store_release(&run->has_ended, 1u);
}

/* The counter of costs has 32 bits: a look now and then adds it up. */
static void wait_for(struct run *run) {
    uint32_t last = platform_cost();
    while (ash_load_acquire(&run->has_ended) == 0) {
        (void)thread_sleep_until(platform_now_ns() + 10000000);
        uint32_t now = platform_cost();
        run->instructions += now - last;
        last = now;
    }
}

/* It says what it has done to nobody. */
static int open_nothing(struct file_table *files) {
    for (uint32_t i = 0; i < 3; i++) {
        struct open_file *file;
        int error = files_open(NULL, "/dev/null", OPEN_READ_WRITE, &file);
        if (error == 0)
            error = file_table_put(files, file, i, false);
        if (error < 0)
            return error;
    }
    return 0;
}

static int touch(const struct file_table *files, const char *megabytes, const char *pages,
                 struct run *run) {
    const char *const words[] = {PROGRAM, megabytes, pages, NULL};
    struct process_start start = {
        .path = PROGRAM, .arguments = words, .files = files, .ended = note_end, .context = run};
    struct process_info info;
    uint32_t id;
    ash_ns_t since_ns = platform_now_ns();
    *run = (struct run){.instructions = 0};
    int error = process_spawn(&start, &id);
    if (error != 0)
        return error;
    wait_for(run);
    run->ns = platform_now_ns() - since_ns;
    if (process_info_from(id, &info) && info.id == id) {
        run->faults = info.stats.faults;
        run->tables = info.usage.tables;
        run->huge_bytes = info.usage.huge_bytes;
    }
    return process_join(id, UINT64_MAX, &run->wait_status);
}

static void say_row(const struct bench_report *report, const char *name, const struct run *run) {
    bench_say(report, "%-6s %13" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %9" PRIu64, name,
              run->instructions, run->faults, run->tables, run->huge_bytes >> 20, run->ns / 1000);
}

static int touch_both(const struct bench_report *report, const struct file_table *files,
                      uint32_t mib) {
    char megabytes[16];
    struct run small, huge;
    snprintf(megabytes, sizeof(megabytes), "%" PRIu32, mib);
    int error = touch(files, megabytes, "4k", &small);
    if (error == 0)
        error = touch(files, megabytes, "2m", &huge);
    if (error != 0)
        return error;
    if (small.wait_status != 0 || huge.wait_status != 0)
        return -ASH_ENOMEM;
    bench_say(report, "a program writes to, and reads, all pages of %" PRIu32 " MiB", mib);
    bench_say(report, "%-6s %13s %8s %8s %8s %9s", "pages", "cost", "faults", "tables", "2M, MiB",
              "us");
    say_row(report, "4 KiB", &small);
    say_row(report, "2 MiB", &huge);
    if (huge.instructions != 0)
        bench_say(report, "4 KiB pages cost %" PRIu64 ".%" PRIu64 " times as much",
                  small.instructions / huge.instructions,
                  small.instructions * 10 / huge.instructions % 10);
    return 0;
}

int bench_huge_pages(struct kernel_memory *memory, const struct bench_report *report,
                     uint32_t mib) {
    if (!processes_can_run())
        return -ASH_ENOTSUP;
    struct file_table *files = ash_kzalloc(&memory->heap, sizeof(*files));
    if (files == NULL)
        return -ASH_ENOMEM;
    int error = open_nothing(files);
    if (error == 0)
        error = touch_both(report, files, mib);
    file_table_close_all(files);
    ash_kfree(&memory->heap, files);
    return error;
}
