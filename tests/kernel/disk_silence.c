/* SPDX-License-Identifier: MIT */
/* Cases of kernel/disk.h and kernel/wait.h that let ten seconds pass: on the hosted clock only. */
#include "kernel/disk_fixture.h"

#include <ashlar/error.h>

#include "hosted/hosted.h"
#include "kernel/wait.h"

TEST_CASE(disk_silence, a_silent_device_times_out_and_the_next_read_works)
{
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = memory_pages_alloc(bench->memory, 5, MEMORY_FOREIGN);
    hosted_clock_set_manual(1000);
    bench->silent = true;
    int error = disk_read(&bench->disk, 0, buffer, 100000);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(error, -ASH_ETIMEDOUT);
    CHECK_EQ(now, 1000 + DISK_TIMEOUT_NS);
    CHECK_EQ(bench->disk.timeouts, 1);
    CHECK_EQ(ash_virtio_blk_in_flight(&bench->disk.blk), 0);
    bench->silent = false;
    disk_bench_check(bench, 0, buffer, 100000);
}

static bool never(void *context) {
    ++*(uint32_t *)context;
    return false;
}

static bool at_once(void *context) {
    ++*(uint32_t *)context;
    return true;
}

TEST_CASE(disk_silence, kernel_wait_ends_at_its_deadline)
{
    uint32_t calls = 0;
    hosted_clock_set_manual(1000);
    int error = kernel_wait(never, &calls, 5000);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(error, -ASH_ETIMEDOUT);
    CHECK_EQ(now, 5000);
    CHECK(calls >= 2);
}

TEST_CASE(disk_silence, kernel_wait_tests_once_even_when_the_deadline_has_passed)
{
    uint32_t calls = 0;
    CHECK_EQ(kernel_wait(at_once, &calls, 0), 0);
    CHECK_EQ(calls, 1);
    CHECK_EQ(kernel_wait(never, &calls, 0), -ASH_ETIMEDOUT);
}
