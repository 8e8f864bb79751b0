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
    CHECK_EQ(bench->disk.straight_bytes, 8192);
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

/* Writing */

/* What the disk holds must be what the model holds. */
static void check_same(struct disk_bench *bench, const uint8_t *model) {
    for (size_t i = 0; i < BENCH_SECTORS * 512; i++) {
        if (bench->device.image[i] != model[i])
            test_fail(__FILE__, __LINE__, "byte %zu is 0x%02x, not 0x%02x", i,
                      bench->device.image[i], model[i]);
    }
    CHECK(bench->device.broken_rule == NULL);
    CHECK(disk_check(&bench->disk) == NULL);
}

/* Lent memory and other, any offset and length, against a plain array. */
static void write_and_read(struct disk_bench *bench, uint32_t rounds, uint32_t stream) {
    struct test_random random = test_random_from(test_seed() + stream);
    disk_bench_start(bench);
    uint8_t *lent = lent_buffer(bench), *other = test_alloc(100002, 16);
    uint8_t *model = test_alloc(BENCH_SECTORS * 512, 16);
    memcpy(model, bench->device.image, BENCH_SECTORS * 512);
    for (uint32_t round = 0; round < rounds; round++) {
        static const size_t sizes[] = {0, 1, 511, 512, 513, 4096, 4097, 32768, 70000, 100000};
        size_t len = sizes[test_random_below(&random, ASH_ARRAY_LEN(sizes))];
        uint64_t offset = test_random_below(&random, BENCH_SECTORS * 512 - len + 1);
        if (test_random_chance(&random, 40))
            offset -= offset % bench->device.block_size;
        uint8_t *from = test_random_chance(&random, 50) ? lent : other;
        for (size_t i = 0; i < len; i++)
            from[i] = (uint8_t)(round + i * 7);
        CHECK_EQ(disk_write(&bench->disk, offset, from, len), 0);
        memcpy(model + offset, from, len);
        disk_bench_check(bench, offset, test_random_chance(&random, 50) ? lent : other, len);
    }
    check_same(bench, model);
    CHECK_EQ(ash_dma_pool_free_count(&bench->disk.pool), bench->disk.pool.count);
}

TEST_CASE(disk, writes_any_part) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    write_and_read(bench, 60, 1);
    CHECK(bench->disk.straight_bytes != 0 && bench->disk.bounced_bytes != 0);
}

TEST_CASE(disk, writes_any_part_of_larger_blocks) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    bench->device.block_size = 16384;
    write_and_read(bench, 40, 2);
}

TEST_CASE(disk, writes_any_part_without_scattering) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    bench->device.features &= ~ASH_VIRTIO_F_INDIRECT_DESC;
    bench->device.block_size = 16384;
    write_and_read(bench, 40, 3);
}

TEST_CASE(disk, reads_and_writes_a_packed_ring) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    bench->device.features |= ASH_VIRTIO_F_RING_PACKED;
    write_and_read(bench, 40, 4);
}

TEST_CASE(disk, transfers_scattered_pages_in_one_request) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    struct disk_piece pieces[8];
    for (uint32_t i = 0; i < 8; i++) {
        pieces[i] = (struct disk_piece){buffer + (size_t)(15 - 2 * i) * 4096, 4096};
        memset(pieces[i].memory, (int)(i + 1), 4096);
    }
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_WRITE, 8192, pieces, 8), 0);
    CHECK_EQ(bench->device.tables, 1);
    for (uint32_t i = 0; i < 8; i++)
        CHECK_EQ(bench->device.image[8192 + i * 4096 + 4095], i + 1);
    memset(buffer, 0, (size_t)16 * 4096);
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_READ, 8192, pieces, 8), 0);
    for (uint32_t i = 0; i < 8; i++)
        CHECK_EQ(*(uint8_t *)pieces[i].memory, i + 1);
    CHECK_EQ(bench->disk.bounced_bytes, 0);
    CHECK_EQ(bench->device.tables, 2);
}

TEST_CASE(disk, transfers_pieces_that_end_inside_a_block) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    struct disk_piece pieces[] = {{buffer, 100}, {buffer + 200, 700}, {buffer + 1000, 224}};
    memset(buffer, 0x5a, 4096);
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_WRITE, 512, pieces, 3), 0);
    CHECK_EQ(bench->device.image[511], 0);
    CHECK_EQ(bench->device.image[512], 0x5a);
    CHECK_EQ(bench->device.image[1535], 0x5a);
    CHECK_EQ(bench->device.image[1536], 0);
}

/* The sixteenth segment, the last one that fits, ends inside a block: it is left to the next
 * request. */
TEST_CASE(disk, ends_a_request_of_many_pieces_with_a_block) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    struct disk_piece pieces[17] = {{buffer, 512}};
    for (uint32_t i = 1; i < 17; i++)
        pieces[i] = (struct disk_piece){buffer + (size_t)i * 1024, i % 2 == 1 ? 384 : 128};
    memset(buffer, 0x5a, 65536);
    CHECK_EQ(bench->disk.blk.segments_max, 16);
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_WRITE, 0, pieces, 17), 0);
    CHECK_EQ(bench->device.tables, 2);
    for (uint32_t i = 0; i < 9 * 512; i++)
        CHECK_EQ(bench->device.image[i], 0x5a);
    CHECK_EQ(bench->device.image[9 * 512], 0);
    /* Seventeen pieces of half a block and less hold no block's end. */
    for (uint32_t i = 0; i < 17; i++)
        pieces[i].len_bytes = i == 16 ? 512 - 16 * 16 : 16;
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_WRITE, 0, pieces, 17), -ASH_EINVAL);
}

TEST_CASE(disk, refuses_pieces_that_were_not_lent_or_are_no_whole_blocks) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    struct disk_piece own = {test_alloc(512, 16), 512}, part = {buffer, 511};
    struct disk_piece beyond = {buffer + BUFFER_BYTES - 511, 512}, none = {buffer, 0};
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_READ, 0, &own, 1), -ASH_EINVAL);
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_READ, 0, &part, 1), -ASH_EINVAL);
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_READ, 0, &beyond, 1), -ASH_EINVAL);
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_READ, 0, &none, 1), -ASH_EINVAL);
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_FLUSH, 0, &own, 1), -ASH_EINVAL);
    struct disk_piece good = {buffer, 512};
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_READ, 5, &good, 1), -ASH_EINVAL);
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_READ, BENCH_SECTORS * 512, &good, 1),
             -ASH_ERANGE);
}

TEST_CASE(disk, a_read_only_disk_is_not_written_to) {
    struct disk_bench *bench = disk_bench_new();
    bench->device.features |= ASH_VIRTIO_BLK_F_RO;
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    struct disk_piece piece = {buffer, 512};
    CHECK_EQ(disk_write(&bench->disk, 0, buffer, 5), -ASH_EROFS);
    CHECK_EQ(disk_transfer(&bench->disk, ASH_VIRTIO_BLK_WRITE, 0, &piece, 1), -ASH_EROFS);
    CHECK_EQ(disk_discard(&bench->disk, 0, 512), -ASH_EROFS);
    CHECK_EQ(disk_write_zeroes(&bench->disk, 0, 512), -ASH_EROFS);
    CHECK_STR_EQ(disk_explain(&bench->disk, -ASH_EROFS), "the disk is read-only");
}

TEST_CASE(disk, flush_reaches_a_device_that_has_one) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    CHECK_EQ(disk_flush(&bench->disk), 0);
    CHECK_EQ(bench->device.flushes, 1);
    struct disk_bench *without = disk_bench_new();
    without->device.features &= ~ASH_VIRTIO_BLK_F_FLUSH;
    disk_bench_start(without);
    CHECK_EQ(disk_flush(&without->disk), 0);
    CHECK_EQ(without->device.flushes, 0);
}

/* Two of each: its begin and its end. */
TEST_CASE(disk, events_say_what_a_request_asks_for) {
    struct disk_bench *bench = disk_bench_new();
    char id[ASH_VIRTIO_BLK_ID_BYTES + 1];
    disk_bench_add_image(bench);
    bench->device.features |= ASH_VIRTIO_BLK_F_FLUSH;
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    CHECK_EQ(disk_read(&bench->disk, 0, buffer, 1024), 0);
    CHECK_EQ(disk_read(&bench->disk, 512, buffer, 1024), 0);
    CHECK_EQ(disk_write(&bench->disk, 0, buffer, 1024), 0);
    CHECK_EQ(test_event_count("blk.read"), 4);
    CHECK_EQ(test_event_count("blk.write"), 2);
    CHECK_EQ(test_event_count("blk.flush"), 0);
    CHECK_EQ(disk_flush(&bench->disk), 0);
    CHECK_EQ(test_event_count("blk.flush"), 2);
    CHECK_EQ(test_event_count("blk.other"), 0);
    disk_id(&bench->disk, id);
    CHECK_EQ(test_event_count("blk.other"), 2);
}

static void ignore_end(struct disk_async *async, int status) {
    (void)async;
    (void)status;
}

TEST_CASE(disk, an_event_counts_requests_in_flight) {
    struct disk_bench *bench = disk_bench_new();
    struct disk_async asyncs[3] = {{ignore_end}, {ignore_end}, {ignore_end}};
    uint64_t disk, requests;
    bench->device.features |= ASH_VIRTIO_BLK_F_FLUSH;
    disk_bench_start(bench);
    bench->fetches = true;
    disk_lock(&bench->disk);
    for (uint32_t i = 0; i < 3; i++) {
        struct ash_virtio_blk_request flush = {.op = ASH_VIRTIO_BLK_FLUSH};
        CHECK_EQ(disk_async_submit(&bench->disk, &flush, &asyncs[i]), 0);
        CHECK_EQ(test_event_last("blk.in_flight", &disk, &requests), i + 1);
        CHECK_EQ(requests, i + 1);
        CHECK_EQ(disk, bench->disk.number);
    }
    disk_async_kick(&bench->disk);
    disk_bench_end_some(bench, 2);
    CHECK(disk_async_take(&bench->disk));
    CHECK_EQ(test_event_last("blk.in_flight", NULL, &requests), 4); /* of two ends at once */
    CHECK_EQ(requests, 1);
    disk_bench_end_some(bench, 1);
    CHECK(disk_async_take(&bench->disk));
    CHECK_EQ(test_event_last("blk.in_flight", NULL, &requests), 5);
    CHECK_EQ(requests, 0);
    disk_unlock(&bench->disk);
}

TEST_CASE(disk, discards_the_whole_blocks_of_a_range) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    disk_bench_start(bench);
    memset(bench->device.image, 1, BENCH_SECTORS * 512);
    CHECK_EQ(disk_discard(&bench->disk, 500, 400000), 0); /* more than one request takes */
    CHECK_EQ(bench->device.image[511], 1);
    CHECK_EQ(bench->device.image[512], MINI_DISCARDED);
    CHECK_EQ(bench->device.image[400383], MINI_DISCARDED);
    CHECK_EQ(bench->device.image[400384], 1);
    CHECK_EQ(disk_discard(&bench->disk, 1, 511), 0);
    CHECK_EQ(disk_discard(&bench->disk, 1, 0), 0);
    CHECK_EQ(bench->device.image[0], 1);
    CHECK_EQ(disk_discard(&bench->disk, 512, BENCH_SECTORS * 512), -ASH_ERANGE);
    struct disk_bench *without = disk_bench_new();
    without->device.features &= ~ASH_VIRTIO_BLK_F_DISCARD;
    disk_bench_start(without);
    CHECK_EQ(disk_discard(&without->disk, 0, 512), -ASH_ENOTSUP);
}

TEST_CASE(disk, writes_zeroes_over_whole_blocks) {
    struct disk_bench *bench = disk_bench_new();
    struct ash_virtio_blk_counters counters;
    disk_bench_add_image(bench);
    disk_bench_start(bench);
    memset(bench->device.image, 1, BENCH_SECTORS * 512);
    CHECK_EQ(disk_write_zeroes(&bench->disk, 512, 400896), 0); /* more than one request takes */
    CHECK_EQ(bench->device.image[511], 1);
    for (size_t i = 512; i < 512 + 400896; i++)
        CHECK_EQ(bench->device.image[i], 0);
    CHECK_EQ(bench->device.image[512 + 400896], 1);
    ash_virtio_blk_get_counters(&bench->disk.blk, &counters);
    CHECK_EQ(counters.requests[ASH_VIRTIO_BLK_WRITE_ZEROES], 4); /* of 256 sectors */
    CHECK_EQ(bench->device.unmaps, 4);
    CHECK_EQ(disk_write_zeroes(&bench->disk, 0, 0), 0);
    CHECK_EQ(disk_write_zeroes(&bench->disk, 0, 511), -ASH_EINVAL);
    CHECK_EQ(disk_write_zeroes(&bench->disk, 1, 512), -ASH_EINVAL);
    CHECK_EQ(disk_write_zeroes(&bench->disk, 512, BENCH_SECTORS * 512), -ASH_ERANGE);
    CHECK_EQ(disk_write_zeroes(&bench->disk, UINT64_MAX - 511, 1024), -ASH_ERANGE);
    CHECK_EQ(bench->device.image[0], 1);
    struct disk_bench *without = disk_bench_new();
    without->device.features &= ~ASH_VIRTIO_BLK_F_WRITE_ZEROES;
    disk_bench_start(without);
    CHECK_EQ(disk_write_zeroes(&without->disk, 0, 512), -ASH_ENOTSUP);
    CHECK(bench->device.broken_rule == NULL);
}

TEST_CASE(disk, has_the_devices_name) {
    struct disk_bench *bench = disk_bench_new();
    char id[ASH_VIRTIO_BLK_ID_BYTES + 1];
    disk_bench_start(bench);
    disk_id(&bench->disk, id);
    CHECK_STR_EQ(id, MINI_ID);
    bench->device.status_byte = 2; /* VIRTIO_BLK_S_UNSUPP */
    disk_id(&bench->disk, id);
    CHECK_STR_EQ(id, "");
}

TEST_CASE(disk, hears_of_a_new_size) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench);
    bench->device.capacity_sectors = 10;
    mini_device_interrupt(&bench->device, 2);
    disk_interrupt(&bench->disk);
    CHECK_EQ(disk_read(&bench->disk, 5120, buffer, 1), -ASH_ERANGE);
    disk_bench_check(bench, 0, buffer, 5119);
    CHECK_EQ(bench->disk.size_bytes, 5120);
}

/* Failures */

TEST_CASE(disk, a_failed_write_says_so_and_gives_its_buffers_back) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    disk_bench_start(bench);
    uint8_t *other = test_alloc(300000, 16);
    bench->device.status_byte = 1; /* VIRTIO_BLK_S_IOERR */
    CHECK_EQ(disk_write(&bench->disk, 0, other, 300000), -ASH_EIO);
    CHECK_EQ(disk_write(&bench->disk, 3, other, 5), -ASH_EIO);
    CHECK_STR_EQ(disk_explain(&bench->disk, -ASH_EIO), "the device reported an error");
    CHECK_EQ(ash_dma_pool_free_count(&bench->disk.pool), bench->disk.pool.count);
    bench->device.status_byte = 2; /* VIRTIO_BLK_S_UNSUPP */
    CHECK_EQ(disk_write(&bench->disk, 0, other, 512), -ASH_ENOTSUP);
    bench->device.status_byte = 0;
    CHECK_EQ(disk_write(&bench->disk, 0, other, 300000), 0);
}

TEST_CASE(disk, a_device_that_asks_for_a_reset_gets_its_requests_again) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *buffer = lent_buffer(bench), *other = test_alloc(100001, 16);
    struct ash_virtio_blk_counters counters;
    bench->sleeps = 1;
    disk_bench_check(bench, 0, buffer, 100000);
    bench->sleeps = 1;
    disk_bench_check(bench, 5, other, 100000);
    ash_virtio_blk_get_counters(&bench->disk.blk, &counters);
    CHECK_EQ(counters.resets, 2);
    CHECK(counters.resubmitted != 0);
    CHECK_EQ(counters.aborted, 0);
    CHECK_EQ(bench->disk.timeouts, 0);
}

TEST_CASE(disk, a_device_that_asks_for_a_reset_twice_fails) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *other = test_alloc(100001, 16);
    bench->sleeps = 2;
    CHECK_EQ(disk_read(&bench->disk, 0, other, 100000), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_in_flight(bench->disk.queue), 0);
    CHECK_EQ(ash_dma_pool_free_count(&bench->disk.pool), bench->disk.pool.count);
    disk_bench_check(bench, 0, other, 100000);
}

TEST_CASE(disk, says_what_a_device_did_wrong) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    bench->wrong_used = 1;
    CHECK_EQ(disk_read(&bench->disk, 0, lent_buffer(bench), 512), -ASH_EIO);
    const char *text = disk_explain(&bench->disk, -ASH_EIO);
    if (strstr(text, "completed") == NULL)
        test_fail(__FILE__, __LINE__, "it says \"%s\"", text);
    CHECK(disk_explain(&bench->disk, -ASH_ETIMEDOUT) != NULL);
    CHECK_STR_EQ(disk_explain(&bench->disk, -ASH_ERANGE), "past the end of the disk");
}

/* The device writes late, to memory that is the pool's: it stays the device's for ever. */
TEST_CASE(disk, buffers_of_a_device_that_cannot_be_reset_never_come_back) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_start(bench);
    uint8_t *other = test_alloc(8192, 16);
    bench->wrong_used = 1;
    bench->device.never_resets = true;
    CHECK_EQ(disk_read(&bench->disk, 0, other, 8192), -ASH_EIO);
    CHECK(bench->disk.dead);
    CHECK_EQ(ash_dma_pool_free_count(&bench->disk.pool), bench->disk.pool.count - 2);
    CHECK_EQ(disk_write(&bench->disk, 0, other, 1), -ASH_EIO);
    CHECK_EQ(disk_flush(&bench->disk), -ASH_EIO);
    CHECK_EQ(disk_discard(&bench->disk, 0, 512), -ASH_EIO);
    CHECK_STR_EQ(disk_explain(&bench->disk, -ASH_EIO),
                 "the device was given up: it does not finish a reset");
}

static void check_init_fails(struct disk_bench *bench, int error, const char *part) {
    struct ash_buddy_stats before, after;
    ash_buddy_get_stats(&bench->memory->buddy, &before);
    CHECK_EQ(disk_bench_init(bench), error);
    if (strstr(bench->reason, part) == NULL)
        test_fail(__FILE__, __LINE__, "the reason is \"%s\", without \"%s\"", bench->reason, part);
    (void)ash_page_source_reclaim(&bench->memory->source); /* slabs that are empty */
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

TEST_CASE(disk, says_that_there_is_no_device_at_all) {
    struct disk_bench *bench = disk_bench_new();
    bench->device.magic = 0;
    check_init_fails(bench, -ASH_ENODEV, "no virtio-mmio registers");
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
    check_init_fails(bench, -ASH_ENOTSUP, "larger than 32 KiB, or than what it takes");
}

TEST_CASE(disk, says_that_there_is_no_memory) {
    struct disk_bench *bench = disk_bench_new();
    while (memory_pages_alloc(bench->memory, 0) != NULL) {}
    check_init_fails(bench, -ASH_ENOMEM, "no memory");
}

/* Small machines */

/* Leaves so many pages free. */
static void fill_memory(struct kernel_memory *memory, uint64_t pages) {
    while (ash_buddy_free_pages(&memory->buddy) > pages)
        CHECK(memory_pages_alloc(memory, 0) != NULL);
}

TEST_CASE(disk, takes_a_smaller_pool_where_memory_is_short) {
    static const uint32_t rows[][2] = {{1000, 16}, {512, 16}, {60, 8}};
    uint8_t *buffer = test_alloc(200001, 16);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        struct disk_bench *bench = disk_bench_new();
        fill_memory(bench->memory, rows[i][0]); /* so many pages are free: so many in the pool */
        disk_bench_start(bench);
        CHECK_EQ(bench->disk.pool.count, rows[i][1]);
        disk_bench_check(bench, 300, buffer, 200000);
        CHECK_EQ(ash_dma_pool_free_count(&bench->disk.pool), rows[i][1]);
    }
}

TEST_CASE(disk, writes_any_part_with_the_smallest_pool) {
    struct disk_bench *bench = disk_bench_new();
    disk_bench_add_image(bench);
    bench->device.block_size = 16384;
    fill_memory(bench->memory, 60);
    disk_bench_start(bench);
    CHECK_EQ(bench->disk.pool.count, DISK_REQUEST_PAGES);
    uint8_t *buffer = test_alloc(100001, 16);
    memset(buffer, 0x5a, 100000);
    CHECK_EQ(disk_write(&bench->disk, 1000, buffer, 100000), 0);
    CHECK_EQ(bench->device.image[999], 0);
    CHECK_EQ(bench->device.image[1000], 0x5a);
    CHECK_EQ(bench->device.image[100999], 0x5a);
    CHECK_EQ(bench->device.image[101000], 0);
    disk_bench_check(bench, 500, buffer, 100000);
}

TEST_CASE(disk, has_a_queue_for_each_cpu_as_far_as_there_are_and_memory_allows) {
    static const uint32_t offers[] = {1, 2, 64};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(offers); i++) {
        struct disk_bench *bench = disk_bench_new();
        bench->device.features |= ASH_VIRTIO_BLK_F_MQ;
        bench->device.queue_count = offers[i];
        disk_bench_start(bench);
        CHECK_EQ(bench->disk.blk.queue_count, ash_min_u64(offers[i], platform_cpu_count()));
        disk_bench_check(bench, 5, test_alloc(1001, 1), 1000);
        CHECK(bench->device.broken_rule == NULL);
    }
    struct disk_bench *small = disk_bench_new();
    small->device.features |= ASH_VIRTIO_BLK_F_MQ;
    small->device.queue_count = 64;
    fill_memory(small->memory, 100);
    disk_bench_start(small);
    CHECK_EQ(small->disk.blk.queue_count, 1);
}
