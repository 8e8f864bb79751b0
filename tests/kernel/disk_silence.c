/* SPDX-License-Identifier: MIT */
/* Cases of kernel/disk.h and kernel/wait.h that let seconds pass: on the hosted clock only. */
#include "kernel/disk_fixture.h"

#include <ashlar/error.h>

#include "hosted/hosted.h"
#include "kernel/blk_bench.h"
#include "kernel/block_cache.h"
#include "kernel/wait.h"

TEST_CASE(disk_silence, a_silent_device_times_out_and_the_next_read_works) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = memory_pages_alloc(bench->memory, 5);
    disk_lend(&bench->disk, buffer, 4096 << 5);
    hosted_clock_set_manual(1000);
    bench->silent = true;
    int error = disk_read(&bench->disk, 0, buffer, 100000);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(error, -ASH_ETIMEDOUT);
    CHECK_EQ(now, 1000 + 2 * DISK_TIMEOUT_NS); /* it was asked twice */
    CHECK_EQ(bench->disk.timeouts, 2);
    CHECK_EQ(ash_virtio_blk_in_flight(bench->disk.queue), 0);
    CHECK_STR_EQ(disk_explain(&bench->disk, error), "the device was silent, twice; it was reset");
    bench->silent = false;
    disk_bench_check(bench, 0, buffer, 100000);
}

/* These policies never sleep, or as good as never: the watch must come all the same. */
TEST_CASE(disk_silence, a_silent_device_times_out_though_its_policy_polls) {
    static const enum ash_virtio_blk_policy policies[] = {ASH_VIRTIO_BLK_POLL,
                                                          ASH_VIRTIO_BLK_HYBRID};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(policies); i++) {
        struct disk_bench *bench = disk_bench_new();
        disk_bench_start(bench);
        uint8_t *other = test_alloc(1025, 16);
        CHECK_EQ(disk_set_policy(&bench->disk, policies[i], UINT32_MAX), 0);
        hosted_clock_set_manual(1000);
        bench->silent = true;
        int error = disk_read(&bench->disk, 0, other, 1024);
        ash_ns_t now = platform_now_ns();
        hosted_clock_set_real();
        CHECK_EQ(error, -ASH_ETIMEDOUT);
        CHECK(now >= 1000 + 2 * DISK_TIMEOUT_NS);
        CHECK(now <= 1000 + 2 * (DISK_TIMEOUT_NS + DISK_WATCH_NS));
        bench->silent = false;
        disk_bench_check(bench, 0, other, 1024);
    }
}

static void wake_up(void *context) {
    struct disk_bench *bench = context;
    bench->silent = false;
}

/* It wakes up before the second try, which is the same requests once more. */
TEST_CASE(disk_silence, a_device_that_was_only_slow_is_reset_and_nobody_notices) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *other = test_alloc(100001, 16);
    hosted_clock_set_manual(1000);
    bench->silent = true;
    int armed = platform_timer_arm(1000 + DISK_TIMEOUT_NS / 2, wake_up, bench);
    int error = disk_read(&bench->disk, 0, other, 100000);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(armed, 0);
    CHECK_EQ(error, 0);
    CHECK_EQ(now, 1000 + DISK_TIMEOUT_NS);
    CHECK_EQ(bench->disk.timeouts, 1);
    disk_bench_check(bench, 0, other, 100000);
}

/* Seen within DISK_WATCH_NS, though no interrupt says so. */
TEST_CASE(disk_silence, a_device_that_needs_a_reset_in_silence_is_found) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *other = test_alloc(1024, 16);
    hosted_clock_set_manual(1000);
    bench->silent = true;
    bench->device.status |= 0x40; /* DEVICE_NEEDS_RESET */
    int armed = platform_timer_arm(2000, wake_up, bench);
    int error = disk_read(&bench->disk, 0, other, 1000);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(armed, 0);
    CHECK_EQ(error, 0);
    CHECK_EQ(now, 1000 + DISK_WATCH_NS);
    CHECK_EQ(bench->disk.timeouts, 0);
}

/* One completion each microsecond, the first with an error. */
static void complete_one(void *context) {
    struct disk_bench *bench = context;
    if (bench->device.held_count != 0)
        mini_device_complete(&bench->device, 0);
    bench->device.status_byte = 0;
    if (platform_timer_arm(platform_now_ns() + 1000, complete_one, bench) != 0)
        bench->reason = "no timer";
}

TEST_CASE(disk_silence, an_error_is_returned_once_every_request_is_back) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = memory_pages_alloc(bench->memory, 9);
    disk_lend(&bench->disk, buffer, 4096 << 9);
    hosted_clock_set_manual(1000);
    bench->fetches = true;
    bench->device.status_byte = 1; /* VIRTIO_BLK_S_IOERR */
    complete_one(bench);
    bench->device.status_byte = 1;
    int error = disk_read(&bench->disk, 0, buffer, 40 * DISK_REQUEST_BYTES);
    uint32_t in_flight = ash_virtio_blk_in_flight(bench->disk.queue);
    platform_timer_disarm();
    hosted_clock_set_real();
    CHECK_STR_EQ(bench->reason, "");
    CHECK_EQ(error, -ASH_EIO);
    CHECK_EQ(in_flight, 0);
    CHECK_EQ(bench->disk.timeouts, 0);
}

/* The device does everything when it is notified, so nobody ever waits. */
TEST_CASE(disk_silence, blk_bench_ends_though_the_clock_stands_still) {
    struct disk_bench *bench = disk_bench_new();
    struct blk_bench_result result;
    const struct blk_bench_options options = {
        .queues = 1, .depth = 4, .size_bytes = 512, .segments = 1, .duration_ns = 100000};
    disk_bench_start(bench);
    hosted_clock_set_manual(1000);
    int error = blk_bench_run(&bench->disk, &options, &result);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(error, 0);
    CHECK_EQ(now, 1000);
    CHECK_EQ(result.requests, 100000 / BLK_BENCH_LEAST_NS);
    CHECK_EQ(result.elapsed_ns, 0);
}

/* The watch finds it; the bench does not try again. */
TEST_CASE(disk_silence, blk_bench_ends_with_a_silent_device) {
    struct disk_bench *bench = disk_bench_new();
    struct blk_bench_result result;
    const struct blk_bench_options options = {
        .queues = 1, .depth = 4, .size_bytes = 512, .segments = 1, .count = 1000000};
    disk_bench_start(bench);
    hosted_clock_set_manual(1000);
    bench->silent = true;
    int ended = blk_bench_run(&bench->disk, &options, &result);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(ended, -ASH_ETIMEDOUT);
    CHECK_STR_EQ(disk_explain(&bench->disk, ended), "the device was silent; it was reset");
    CHECK(now >= 1000 + DISK_TIMEOUT_NS && now <= 1000 + DISK_TIMEOUT_NS + DISK_WATCH_NS);
    CHECK_EQ(ash_virtio_blk_in_flight(bench->disk.queue), 0);
    CHECK(!bench->disk.dead);
}

static bool never(void *context) {
    ++*(uint32_t *)context;
    return false;
}

static bool at_once(void *context) {
    ++*(uint32_t *)context;
    return true;
}

TEST_CASE(disk_silence, kernel_wait_ends_at_its_deadline) {
    uint32_t calls = 0;
    hosted_clock_set_manual(1000);
    int error = kernel_wait(never, &calls, 5000);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(error, -ASH_ETIMEDOUT);
    CHECK_EQ(now, 5000);
    CHECK(calls >= 2);
}

/* Work that wants to be called at three times, and whatever it is called for. */
struct errand {
    uint32_t calls, ready; /* is_ready says so, so often */
    ash_ns_t at_ns[8], since_ns;
    bool masked;
};

static ash_ns_t run_errand(void *context, ash_ns_t since_ns) {
    static const ash_ns_t next_ns[] = {1500, 3000, 3000, UINT64_MAX};
    struct errand *errand = context;
    ash_ns_t next = next_ns[ash_min_u64(errand->calls, ASH_ARRAY_LEN(next_ns) - 1)];
    errand->at_ns[errand->calls++ % 8] = platform_now_ns();
    errand->since_ns = since_ns;
    errand->masked |= hosted_this_cpu.irq_depth != 0;
    return next;
}

static bool errand_is_ready(void *context) {
    struct errand *errand = context;
    if (errand->ready == 0 || platform_now_ns() < 2000)
        return false;
    errand->ready--;
    return true;
}

static bool is_nine(void *context) {
    ++*(uint32_t *)context;
    return platform_now_ns() >= 9000;
}

static void nothing(void *context) {
    (void)context;
}

TEST_CASE(disk_silence, a_wait_with_work_does_it_when_it_is_due_or_ready) {
    uint32_t calls = 0;
    struct errand errand = {.ready = 1};
    const struct kernel_work work = {run_errand, errand_is_ready, &errand};
    hosted_clock_set_manual(1000);
    int armed = platform_timer_arm(9000, nothing, NULL); /* what makes the condition true */
    kernel_wait_and_work(is_nine, &calls, &work);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(armed, 0);
    CHECK_EQ(now, 9000);
    CHECK_EQ(errand.calls, 4);
    CHECK_EQ(errand.at_ns[0], 1000);
    CHECK_EQ(errand.at_ns[1], 1500);
    CHECK_EQ(errand.at_ns[2], 3000);
    CHECK_EQ(errand.at_ns[3], 3000);
    CHECK_EQ(errand.since_ns, 1000);
    CHECK(!errand.masked);
    CHECK_EQ(errand.ready, 0);
}

TEST_CASE(disk_silence, a_wait_that_is_over_at_once_does_no_work) {
    uint32_t calls = 0;
    struct errand errand = {.ready = 1};
    const struct kernel_work work = {run_errand, errand_is_ready, &errand};
    kernel_wait_and_work(at_once, &calls, &work);
    CHECK_EQ(calls, 1);
    CHECK_EQ(errand.calls, 0);
}

/* A block cache over one disk, whose clock stands at 1000, and one dirty block since then. */
static struct block_cache *dirty_cache(struct disk_bench **made) {
    struct block_cache *cache = test_alloc(sizeof(*cache), 64);
    struct disk_bench *bench = disk_bench_new();
    const struct block_cache_config config = {.blocks = 16, .age_ns = BLOCK_CACHE_AGE_NS};
    disk_bench_add_image(bench);
    disk_bench_start(bench);
    struct disk *disks[] = {&bench->disk};
    CHECK_EQ(block_cache_init(cache, bench->memory, disks, 1, &config), 0);
    hosted_clock_set_manual(1000);
    int error = block_cache_write(cache, &bench->disk, 0, "late", 4);
    if (error != 0)
        hosted_clock_set_real();
    CHECK_EQ(error, 0);
    *made = bench;
    return cache;
}

static ash_ns_t work_in_background(void *context, ash_ns_t since_ns) {
    (void)since_ns;
    return block_cache_background(context, platform_now_ns(), false);
}

static struct kernel_work background_of(struct block_cache *cache) {
    return (struct kernel_work){work_in_background, block_cache_has_news, cache};
}

static bool is_written(void *context) {
    const struct disk_bench *bench = context;
    return bench->device.flushes != 0;
}

TEST_CASE(disk_silence, dirty_blocks_are_safe_five_seconds_later_though_nobody_calls) {
    struct disk_bench *bench;
    struct block_cache *cache = dirty_cache(&bench);
    const struct kernel_work work = background_of(cache);
    kernel_wait_and_work(is_written, bench, &work);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(now, 1000 + BLOCK_CACHE_AGE_NS);
    CHECK_MEM_EQ(bench->device.image, "late", 4);
    CHECK(block_cache_check(cache) == NULL);
}

static bool is_that_late(void *context) {
    return platform_now_ns() >= *(const ash_ns_t *)context;
}

/* It is given five seconds twice; whoever types meanwhile does not notice. */
TEST_CASE(disk_silence, who_waits_for_a_key_does_not_wait_for_a_silent_disk) {
    struct disk_bench *bench;
    struct block_cache *cache = dirty_cache(&bench);
    const struct kernel_work work = background_of(cache);
    const ash_ns_t ends_ns[] = {BLOCK_CACHE_AGE_NS + 2000, BLOCK_CACHE_AGE_NS + DISK_TIMEOUT_NS,
                                BLOCK_CACHE_AGE_NS + 3 * DISK_TIMEOUT_NS};
    ash_ns_t late_ns = 0;
    int armed = 0;
    bench->silent = true;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(ends_ns); i++) {
        ash_ns_t end_ns = ends_ns[i];
        armed |= platform_timer_arm(end_ns, nothing, NULL); /* a key */
        kernel_wait_and_work(is_that_late, &end_ns, &work);
        late_ns += platform_now_ns() - end_ns;
    }
    bool is_over = !cache->is_writing_out, has_failed = cache->has_failed;
    uint64_t timeouts = bench->disk.timeouts;
    uint32_t blocks;
    bench->silent = false; /* and the next call finds it at work */
    int found = block_cache_read(cache, &bench->disk, 99 * BLOCK_CACHE_BYTES, &blocks, 4);
    bench->silent = true;
    ash_ns_t start_ns = platform_now_ns();
    int silent = block_cache_sync(cache, &blocks);
    ash_ns_t took_ns = platform_now_ns() - start_ns;
    bench->silent = false;
    int good = block_cache_sync(cache, &blocks);
    hosted_clock_set_real();
    CHECK_EQ(armed, 0);
    CHECK_EQ(late_ns, 0);
    CHECK(is_over && has_failed);
    CHECK_EQ(timeouts, 2);
    CHECK_EQ(found, 0);
    CHECK_EQ(silent, -ASH_ETIMEDOUT);
    CHECK_EQ(took_ns, 2 * DISK_TIMEOUT_NS); /* not for each try of the cache */
    CHECK_EQ(good, 0);
    CHECK_EQ(blocks, 1);
    CHECK_MEM_EQ(bench->device.image, "late", 4);
    CHECK(block_cache_check(cache) == NULL);
}

TEST_CASE(disk_silence, a_disk_that_was_only_slow_is_reset_in_the_background) {
    struct disk_bench *bench;
    struct block_cache *cache = dirty_cache(&bench);
    const struct kernel_work work = background_of(cache);
    bench->silent = true;
    int armed = platform_timer_arm(BLOCK_CACHE_AGE_NS + DISK_TIMEOUT_NS / 2, wake_up, bench);
    kernel_wait_and_work(is_written, bench, &work);
    ash_ns_t now = platform_now_ns();
    hosted_clock_set_real();
    CHECK_EQ(armed, 0);
    CHECK_EQ(now, 1000 + BLOCK_CACHE_AGE_NS + DISK_TIMEOUT_NS);
    CHECK_EQ(bench->disk.timeouts, 1);
    CHECK(!cache->has_failed);
    CHECK_MEM_EQ(bench->device.image, "late", 4);
}

TEST_CASE(disk_silence, kernel_wait_tests_once_even_when_the_deadline_has_passed) {
    uint32_t calls = 0;
    CHECK_EQ(kernel_wait(at_once, &calls, 0), 0);
    CHECK_EQ(calls, 1);
    CHECK_EQ(kernel_wait(never, &calls, 0), -ASH_ETIMEDOUT);
}
