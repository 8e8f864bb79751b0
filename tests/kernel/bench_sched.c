/* SPDX-License-Identifier: MIT */
/* bench_sched.c: `bench sched` measures something in each of its rows. */
#include <ashlar/error.h>
#include <string.h>

#include "kernel/bench.h"
#include "kernel/memory_fixture.h"
#include "kernel/threads_fixture.h"

enum { MEMORY_BYTES = 4 << 20, SAMPLES = 40 };

struct rows {
    struct kernel_memory *memory;
    uint32_t count, empty;
    int error;
};

static void count_row(void *context, const char *text) {
    struct rows *rows = context;
    rows->count++;
    rows->empty += strstr(text, "nothing was measured") != NULL;
}

static void measure(void *context) {
    struct rows *rows = context;
    const struct bench_report report = {count_row, rows};
    rows->error = bench_sched(rows->memory, &report, SAMPLES);
}

static void check_rows(uint32_t cpus, uint32_t expected) {
    struct rows rows = {.memory = test_kernel_memory(MEMORY_BYTES)};
    test_threads_init(rows.memory, cpus);
    CHECK_EQ(threads_run(measure, &rows), 0);
    CHECK_EQ(rows.error, 0);
    CHECK_EQ(rows.empty, 0);
    CHECK_EQ(rows.count, expected);
}

TEST_CASE(bench_sched, has_a_figure_in_each_row_on_one_cpu) {
    check_rows(1, 9);
}

TEST_CASE(bench_sched, has_one_more_row_on_two_cpus) {
    check_rows(2, 10);
}

TEST_CASE(bench_sched, is_refused_where_no_threads_run) {
    struct rows rows = {.memory = test_kernel_memory(MEMORY_BYTES)};
    measure(&rows);
    CHECK_EQ(rows.error, -ASH_ENOTSUP);
    CHECK_EQ(rows.count, 0);
}
