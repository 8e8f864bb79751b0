/* SPDX-License-Identifier: MIT */
/* Cases of kernel/disk.h over the small device of tests/virtq. */
#include "kernel/disk_fixture.h"

#include <ashlar/error.h>

enum { BUFFER_ORDER = 9, BUFFER_BYTES = 4096 << BUFFER_ORDER };

static uint8_t *lent_buffer(struct disk_bench *bench) {
    uint8_t *buffer = memory_pages_alloc(bench->memory, BUFFER_ORDER);
    CHECK(buffer != NULL);
    disk_lend(&bench->disk, buffer, BUFFER_BYTES);
    return buffer;
}

TEST_CASE(disk, reads_whole_sectors_straight_into_lent_memory) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    CHECK_EQ(bench->disk.size_bytes, BENCH_SECTORS * 512);
    disk_bench_check(bench, 512, lent_buffer(bench), 8192);
    CHECK_EQ(bench->disk.direct_bytes, 8192);
    CHECK_EQ(bench->disk.bounced_bytes, 0);
    CHECK(bench->device.broken_rule == NULL);
}

TEST_CASE(disk, reads_any_part) {
    struct disk_bench *bench = disk_bench_new();
    struct test_random random = test_random_from(test_seed());
    disk_bench_start(bench);
    uint8_t *lent = lent_buffer(bench), *other = test_alloc(200001, 16);
    for (uint32_t round = 0; round < 60; round++) {
        static const size_t sizes[] = {0, 1, 511, 512, 513, 1024, 4096, 32768, 32769, 100000};
        size_t len = sizes[test_random_below(&random, ASH_ARRAY_LEN(sizes))] +
                     (size_t)test_random_below(&random, 3);
        uint64_t offset = test_random_below(&random, BENCH_SECTORS - 300) * 512;
        if (test_random_chance(&random, 60))
            offset += test_random_below(&random, 512);
        disk_bench_check(bench, offset, test_random_chance(&random, 50) ? lent : other, len);
    }
    CHECK(bench->disk.bounced_bytes != 0);
    CHECK(bench->device.broken_rule == NULL);
}

TEST_CASE(disk, keeps_thirty_two_requests_in_flight) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    disk_bench_check(bench, 0, lent_buffer(bench), BUFFER_BYTES - 1);
    CHECK_EQ(bench->most_held, DISK_IN_FLIGHT_MAX);
}

TEST_CASE(disk, reads_blocks_larger_than_a_sector) {
    struct disk_bench *bench = disk_bench_new();
    bench->device.block_size = 4096;
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    disk_bench_check(bench, 4096, buffer, 4096);
    disk_bench_check(bench, 512, buffer, 512);
    disk_bench_check(bench, 4000, buffer, 10000);
    disk_bench_check(bench, 5, test_alloc(70001, 1), 70000);
    CHECK(bench->device.broken_rule == NULL);
}

TEST_CASE(disk, refuses_what_is_past_the_end) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    disk_bench_check(bench, BENCH_SECTORS * 512 - 5, buffer, 5);
    CHECK_EQ(disk_read(&bench->disk, BENCH_SECTORS * 512 - 5, buffer, 6), -ASH_ERANGE);
    CHECK_EQ(disk_read(&bench->disk, UINT64_MAX, buffer, 2), -ASH_ERANGE);
    CHECK_EQ(disk_read(&bench->disk, BENCH_SECTORS * 512, buffer, 0), 0);
}

TEST_CASE(disk, a_device_error_is_an_error_and_the_next_read_works) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    bench->device.status_byte = 1; /* VIRTIO_BLK_S_IOERR */
    CHECK_EQ(disk_read(&bench->disk, 0, buffer, 500000), -ASH_EIO);
    CHECK_EQ(disk_read(&bench->disk, 3, buffer, 5), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_in_flight(bench->disk.queue), 0);
    bench->device.status_byte = 0;
    disk_bench_check(bench, 0, buffer, 500000);
}

TEST_CASE(disk, a_device_that_breaks_its_protocol_is_reset) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    uint32_t resets = bench->device.resets;
    bench->wrong_used = 1;
    CHECK_EQ(disk_read(&bench->disk, 0, buffer, 100000), -ASH_EIO);
    CHECK(bench->device.resets > resets);
    CHECK_EQ(ash_virtio_blk_in_flight(bench->disk.queue), 0);
    disk_bench_check(bench, 0, buffer, 100000);
}

/* A packed ring shows it after the read that it follows. */
TEST_CASE(disk, a_device_that_breaks_its_protocol_between_two_reads_is_reset) {
    struct disk_bench *bench = disk_bench_new();
    bench->device.features |= ASH_VIRTIO_F_RING_PACKED;
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    bench->wrong_last = 1;
    disk_bench_check(bench, 0, buffer, 512);
    CHECK_EQ(disk_read(&bench->disk, 0, buffer, 512), -ASH_EIO);
    disk_bench_check(bench, 0, buffer, 512);
}

TEST_CASE(disk, a_device_that_cannot_be_reset_is_given_up) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    bench->wrong_used = 1;
    bench->device.never_resets = true;
    CHECK_EQ(disk_read(&bench->disk, 0, buffer, 512), -ASH_EIO);
    CHECK(bench->disk.dead);
    CHECK_EQ(disk_read(&bench->disk, 0, buffer, 512), -ASH_EIO);
}

TEST_CASE(disk, a_device_that_cannot_be_reset_writes_to_no_buffer_of_a_caller) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = memory_pages_alloc(bench->memory, 0);
    memset(buffer, 0xee, 4096);
    bench->wrong_used = 1;
    bench->device.never_resets = true;
    CHECK_EQ(disk_read(&bench->disk, 0, buffer, 4096), -ASH_EIO);
    CHECK(bench->disk.dead);
    bench->device.status = 0x0f; /* it took no notice of the reset, nor of being given up */
    CHECK(mini_device_fetch(&bench->device));
    mini_device_complete(&bench->device, 0);
    for (size_t i = 0; i < 4096; i++)
        CHECK_EQ(buffer[i], 0xee);
}

static void check_init_fails(struct disk_bench *bench, int error, const char *part) {
    struct ash_buddy_stats before, after;
    ash_buddy_get_stats(&bench->memory->buddy, &before);
    CHECK_EQ(disk_bench_init(bench), error);
    if (strstr(bench->reason, part) == NULL)
        test_fail(__FILE__, __LINE__, "the reason is \"%s\", without \"%s\"", bench->reason, part);
    ash_buddy_get_stats(&bench->memory->buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
}

TEST_CASE(disk, says_which_option_a_legacy_device_needs) {
    struct disk_bench *bench = disk_bench_new();
    bench->device.version = 1;
    check_init_fails(bench, -ASH_ENOTSUP, "force-legacy=false");
}

TEST_CASE(disk, says_that_a_device_is_of_another_kind) {
    struct disk_bench *bench = disk_bench_new();
    bench->device.device_id = 1;
    check_init_fails(bench, -ASH_ENODEV, "not a block device");
}

TEST_CASE(disk, finds_nothing_in_an_empty_slot) {
    struct disk_bench *bench = disk_bench_new();
    bench->device.device_id = 0;
    check_init_fails(bench, -ASH_ENXIO, "");
}

TEST_CASE(disk, gives_its_memory_back_when_the_device_refuses) {
    struct disk_bench *bench = disk_bench_new();
    bench->device.refuses_features = true;
    check_init_fails(bench, -ASH_EPERM, "");
}

TEST_CASE(disk, refuses_blocks_larger_than_its_buffer) {
    struct disk_bench *bench = disk_bench_new();
    bench->device.block_size = 65536;
    check_init_fails(bench, -ASH_ENOTSUP, "larger than 32 KiB");
}

TEST_CASE(disk, says_that_there_is_no_memory) {
    struct disk_bench *bench = disk_bench_new();
    while (memory_pages_alloc(bench->memory, 0) != NULL) {}
    check_init_fails(bench, -ASH_ENOMEM, "no memory");
}
