/* SPDX-License-Identifier: MIT */
/* blk.c: the fake block device, correct: what each request does, what its configuration says. */
#include "device/raw_driver.h"
#include "harness/test.h"

#include <ashlar/error.h>

enum { DATA = 0x20000 };

static void check_sectors(struct raw_driver *raw, ash_paddr_t at, uint64_t sector, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++)
        CHECK_EQ(*raw_at(raw, at + i), raw_pattern(sector * 512 + i));
}

TEST_CASE(device_blk, window_tells_a_modern_block_device) {
    struct raw_driver *raw = raw_new(NULL, 8);
    CHECK_EQ(raw_read(raw, RAW_MAGIC), 0x74726976);
    CHECK_EQ(raw_read(raw, RAW_VERSION), 2);
    CHECK_EQ(raw_read(raw, RAW_DEVICE_ID), 2);
    raw_check_clean(raw);
}

TEST_CASE(device_blk, read_gives_the_disks_bytes) {
    struct raw_driver *raw = raw_new(NULL, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    raw_request(raw, 0, RAW_IN, 5, RAW_BASE + DATA, 1024);
    CHECK_EQ(raw_do(raw, 0), 1025);
    CHECK_EQ(raw_status(raw, 0), RAW_OK);
    check_sectors(raw, RAW_BASE + DATA, 5, 1024);
    CHECK_EQ(*raw_at(raw, RAW_BASE + DATA + 1024), 0);
    CHECK_EQ(raw->rises, 1);
    CHECK_EQ(raw_read(raw, RAW_INTERRUPT_STATUS), 1);
    raw_write(raw, RAW_INTERRUPT_ACK, 1);
    CHECK(!raw->line);
    raw_check_clean(raw);
}

TEST_CASE(device_blk, write_changes_the_disk_and_is_read_back) {
    struct raw_driver *raw = raw_new(NULL, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    memset(raw_at(raw, RAW_BASE + DATA), 0x5a, 1024);
    raw_request(raw, 0, RAW_OUT, 62, RAW_BASE + DATA, 1024);
    CHECK_EQ(raw_do(raw, 0), 1);
    CHECK_EQ(raw_status(raw, 0), RAW_OK);
    CHECK_EQ(raw->disk.bytes[62 * 512 - 1], raw_pattern(62 * 512 - 1));
    CHECK_EQ(raw->disk.bytes[62 * 512], 0x5a);
    CHECK_EQ(raw->disk.bytes[64 * 512 - 1], 0x5a);
    raw_request(raw, 0, RAW_IN, 63, RAW_BASE + DATA + 4096, 512);
    CHECK_EQ(raw_do(raw, 0), 513);
    CHECK_MEM_EQ(raw_at(raw, RAW_BASE + DATA + 4096), raw_at(raw, RAW_BASE + DATA), 512);
    raw_check_clean(raw);
}

TEST_CASE(device_blk, status_of_requests_without_data) {
    struct fake_virtio_blk_config config = {.id = "twenty bytes, no NUL"};
    struct raw_driver *raw = raw_new(&config, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
    CHECK_EQ(raw_do(raw, 0), 1);
    CHECK_EQ(raw_status(raw, 0), RAW_OK);
    raw_request(raw, 0, RAW_GET_ID, 0, RAW_BASE + DATA, 20);
    CHECK_EQ(raw_do(raw, 0), 21);
    CHECK_MEM_EQ(raw_at(raw, RAW_BASE + DATA), "twenty bytes, no NUL", 20);
    raw_request(raw, 0, 99, 0, 0, 0);
    raw_do(raw, 0);
    CHECK_EQ(raw_status(raw, 0), RAW_UNSUPP);
    raw_check_clean(raw);
}

TEST_CASE(device_blk, short_id_is_padded_with_nul) {
    struct raw_driver *raw = raw_new(NULL, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    memset(raw_at(raw, RAW_BASE + DATA), 0xee, 20);
    raw_request(raw, 0, RAW_GET_ID, 0, RAW_BASE + DATA, 20);
    raw_do(raw, 0);
    CHECK_MEM_EQ(raw_at(raw, RAW_BASE + DATA), "ashlar\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
}

TEST_CASE(device_blk, flush_is_unsupported_where_it_is_not_offered) {
    struct fake_virtio_blk_config config = {.features_without = FAKE_VIRTIO_BLK_F_FLUSH};
    struct raw_driver *raw = raw_new(&config, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
    raw_do(raw, 0);
    CHECK_EQ(raw_status(raw, 0), RAW_UNSUPP);
}

TEST_CASE(device_blk, write_to_a_read_only_disk_fails_and_changes_nothing) {
    struct fake_virtio_blk_config config = {.read_only = true};
    struct raw_driver *raw = raw_new(&config, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    CHECK((raw->features & FAKE_VIRTIO_BLK_F_RO) != 0);
    memset(raw_at(raw, RAW_BASE + DATA), 0x5a, 512);
    raw_request(raw, 0, RAW_OUT, 1, RAW_BASE + DATA, 512);
    raw_do(raw, 0);
    CHECK_EQ(raw_status(raw, 0), RAW_IOERR);
    CHECK_EQ(raw->disk.bytes[512], raw_pattern(512));
    raw_check_clean(raw);
}

TEST_CASE(device_blk, request_past_the_capacity_fails_whole) {
    struct raw_driver *raw = raw_new(NULL, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    static const uint64_t sectors[] = {63, 64, UINT64_MAX, UINT64_MAX / 512};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sectors); i++) {
        raw_request(raw, 0, RAW_IN, sectors[i], RAW_BASE + DATA, 1024);
        CHECK_EQ(raw_do(raw, 0), 0);
        CHECK_EQ(raw_status(raw, 0), RAW_IOERR);
        raw_request(raw, 0, RAW_OUT, sectors[i], RAW_BASE + DATA, 1024);
        raw_do(raw, 0);
        CHECK_EQ(raw_status(raw, 0), RAW_IOERR);
    }
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_BLK_CAPACITY), 8);
    CHECK_EQ(raw->disk.bytes[63 * 512], raw_pattern(63 * 512));
}

TEST_CASE(device_blk, last_partial_sector_is_padded_and_not_writable) {
    struct raw_driver *raw = raw_new(NULL, 2);
    raw->disk.size_bytes = 700;
    raw_power(raw, NULL);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    CHECK_EQ(raw_read(raw, RAW_CONFIG), 2);
    raw_request(raw, 0, RAW_IN, 0, RAW_BASE + DATA, 512);
    raw_do(raw, 0); /* its bytes must not show in the padding */
    memset(raw_at(raw, RAW_BASE + DATA), 0xee, 512);
    raw_request(raw, 0, RAW_IN, 1, RAW_BASE + DATA, 512);
    raw_do(raw, 0);
    CHECK_EQ(raw_status(raw, 0), RAW_OK);
    CHECK_EQ(*raw_at(raw, RAW_BASE + DATA + 187), raw_pattern(699));
    CHECK_EQ(*raw_at(raw, RAW_BASE + DATA + 188), 0);
    CHECK_EQ(*raw_at(raw, RAW_BASE + DATA + 511), 0);
    raw_request(raw, 0, RAW_OUT, 1, RAW_BASE + DATA, 512);
    raw_do(raw, 0);
    CHECK_EQ(raw_status(raw, 0), RAW_IOERR);
}

/* One range of discard or write-zeroes; its status. */
static uint8_t do_range(struct raw_driver *raw, uint32_t type, uint64_t sector, uint32_t sectors,
                        uint16_t flags) {
    raw_request(raw, 0, type, 0, RAW_BASE + DATA, 16);
    raw_desc(raw, RAW_BASE + DATA, sector, sectors, flags, 0);
    raw_do(raw, 0);
    return raw_status(raw, 0);
}

TEST_CASE(device_blk, discard_and_write_zeroes_only_where_they_are_offered) {
    struct fake_virtio_blk_config config = {.features_with = FAKE_VIRTIO_BLK_F_DISCARD |
                                                             FAKE_VIRTIO_BLK_F_WRITE_ZEROES};
    struct raw_driver *raw = raw_new(NULL, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    CHECK_EQ(do_range(raw, RAW_DISCARD, 0, 1, 0), RAW_UNSUPP);
    CHECK_EQ(do_range(raw, RAW_ZEROES, 0, 1, 0), RAW_UNSUPP);
    raw_power(raw, &config);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    CHECK_EQ(do_range(raw, RAW_DISCARD, 3, 2, 0), RAW_OK);
    CHECK_EQ(do_range(raw, RAW_ZEROES, 5, 2, 1), RAW_OK);
    CHECK_EQ(raw->disk.bytes[5 * 512 - 1], raw_pattern(5 * 512 - 1));
    for (uint32_t i = 5 * 512; i < 7 * 512; i++)
        CHECK_EQ(raw->disk.bytes[i], 0);
    CHECK_EQ(raw->disk.bytes[7 * 512 + 1], raw_pattern(7 * 512 + 1));
    CHECK_EQ(do_range(raw, RAW_ZEROES, 5, 2, 2), RAW_UNSUPP); /* an unknown flag */
    raw_check_clean(raw);
    CHECK_EQ(do_range(raw, RAW_ZEROES, 63, 2, 0), RAW_IOERR);
}

TEST_CASE(device_blk, limits_of_discard_and_write_zeroes_are_told_and_kept) {
    struct fake_virtio_blk_config config = {.features_with = FAKE_VIRTIO_BLK_F_DISCARD |
                                                             FAKE_VIRTIO_BLK_F_WRITE_ZEROES,
                                            .max_discard_sectors = 7,
                                            .max_discard_seg = 2,
                                            .discard_sector_alignment = 4,
                                            .max_write_zeroes_sectors = 9,
                                            .max_write_zeroes_seg = 1,
                                            .write_zeroes_may_unmap = true};
    struct raw_driver *raw = raw_new(&config, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    static const uint32_t told[] = {7, 2, 4, 9, 1};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(told); i++)
        CHECK_EQ(raw_read(raw, RAW_CONFIG + 36 + 4 * i), told[i]);
    CHECK_EQ(fake_virtio_mmio_read(&raw->window, RAW_CONFIG + 56, 1), 1);
    CHECK_EQ(do_range(raw, RAW_DISCARD, 8, 7, 0), RAW_OK);
    CHECK_EQ(raw->blk.discards_unaligned, 0);
    CHECK_EQ(do_range(raw, RAW_DISCARD, 9, 7, 0), RAW_OK); /* legal: the device ignores it */
    CHECK_EQ(raw->blk.discards_unaligned, 1);
    CHECK_EQ(do_range(raw, RAW_ZEROES, 9, 9, 0), RAW_OK);
    raw_check_clean(raw);
    CHECK_EQ(do_range(raw, RAW_DISCARD, 8, 8, 0), RAW_IOERR);
    CHECK_EQ(do_range(raw, RAW_ZEROES, 8, 10, 0), RAW_IOERR);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_BLK_RANGE_SECTORS), 2);
    CHECK_EQ(raw->blk.discards, 3);
    CHECK_EQ(raw->blk.zeroings, 2);
}

TEST_CASE(device_blk, every_range_of_a_request_is_done_until_one_fails) {
    struct fake_virtio_blk_config config = {.features_with = FAKE_VIRTIO_BLK_F_WRITE_ZEROES};
    struct raw_driver *raw = raw_new(&config, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    raw_request(raw, 0, RAW_ZEROES, 0, RAW_BASE + DATA, 3 * 16);
    raw_desc(raw, RAW_BASE + DATA, 1, 1, 0, 0);
    raw_desc(raw, RAW_BASE + DATA + 16, 64, 1, 0, 0); /* past the capacity */
    raw_desc(raw, RAW_BASE + DATA + 32, 3, 1, 0, 0);
    CHECK_EQ(raw_do(raw, 0), 1); /* the status byte is all there is to write */
    CHECK_EQ(raw_status(raw, 0), RAW_IOERR);
    CHECK_EQ(raw->disk.bytes[512 + 8], 0);
    CHECK_EQ(raw->disk.bytes[3 * 512 + 8], raw_pattern(3 * 512 + 8));
}

TEST_CASE(device_blk, request_in_flight_while_the_disk_shrinks_fails_without_blame) {
    struct raw_driver *raw = raw_new(NULL, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    raw_request(raw, 0, RAW_IN, 40, RAW_BASE + DATA, 512);
    raw_offer(raw, 0);
    raw_kick(raw);
    CHECK(fake_virtio_step(raw->device));
    fake_virtio_blk_resize(&raw->blk, 40);
    fake_virtio_run(raw->device, 1000);
    CHECK_EQ(raw_status(raw, 0), RAW_IOERR);
    CHECK_EQ(raw_read(raw, RAW_CONFIG), 40);
    raw_check_clean(raw);
    raw_start(raw, RAW_ALL_FEATURES, 8); /* now it must know */
    raw_request(raw, 0, RAW_IN, 40, RAW_BASE + DATA, 512);
    raw_do(raw, 0);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_BLK_CAPACITY), 1);
}

/* A disk that grows before its backing does: zeros to read, no room to write. */
TEST_CASE(device_blk, grown_disk_reads_zeros_past_its_backing) {
    struct raw_driver *raw = raw_new(NULL, 8);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    fake_virtio_blk_resize(&raw->blk, 16);
    memset(raw_at(raw, RAW_BASE + DATA), 0xee, 512);
    raw_request(raw, 0, RAW_IN, 15, RAW_BASE + DATA, 512);
    raw_do(raw, 0);
    CHECK_EQ(raw_status(raw, 0), RAW_OK);
    CHECK_EQ(*raw_at(raw, RAW_BASE + DATA + 511), 0);
    raw_request(raw, 0, RAW_OUT, 15, RAW_BASE + DATA, 512);
    raw_do(raw, 0);
    CHECK_EQ(raw_status(raw, 0), RAW_IOERR);
    raw_check_clean(raw);
}

TEST_CASE(device_blk, configuration_space_tells_what_was_configured) {
    struct fake_virtio_blk_config config = {
        .queue_count = 3, .queue_size_max = 64, .seg_max = 17, .size_max = 8192, .blk_size = 4096};
    struct raw_driver *raw = raw_new(&config, 64);
    CHECK_EQ(raw_read(raw, RAW_CONFIG), 64);
    CHECK_EQ(raw_read(raw, RAW_CONFIG + 4), 0);
    CHECK_EQ(raw_read(raw, RAW_CONFIG + 8), 8192);
    CHECK_EQ(raw_read(raw, RAW_CONFIG + 12), 17);
    CHECK_EQ(raw_read(raw, RAW_CONFIG + 20), 4096);
    CHECK_EQ(fake_virtio_mmio_read(&raw->window, RAW_CONFIG + 34, 2), 3);
    raw_negotiate(raw, RAW_ALL_FEATURES);
    for (uint32_t i = 0; i < 4; i++) {
        raw_write(raw, RAW_QUEUE_SEL, i);
        CHECK_EQ(raw_read(raw, RAW_QUEUE_NUM_MAX), i < 3 ? 64 : 0);
    }
    raw_check_clean(raw);
}

TEST_CASE(device_blk, changed_capacity_is_announced) {
    struct raw_driver *raw = raw_new(NULL, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    uint32_t generation = raw_read(raw, RAW_GENERATION);
    static const uint8_t smaller[8] = {32};
    fake_virtio_change_config(raw->device, 0, smaller, sizeof(smaller));
    CHECK(raw_read(raw, RAW_GENERATION) != generation);
    CHECK_EQ(raw_read(raw, RAW_CONFIG), 32);
    CHECK_EQ(raw_read(raw, RAW_INTERRUPT_STATUS), 2);
    raw_write(raw, RAW_INTERRUPT_ACK, 2);
    CHECK(!raw->line);
    raw_check_clean(raw);
}

TEST_CASE(device_blk, acknowledging_one_interrupt_leaves_the_other) {
    struct raw_driver *raw = raw_new(NULL, 64);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
    raw_do(raw, 0);
    fake_virtio_change_config(raw->device, 0, "", 1);
    CHECK_EQ(raw_read(raw, RAW_INTERRUPT_STATUS), 3);
    raw_write(raw, RAW_INTERRUPT_ACK, 1);
    CHECK_EQ(raw_read(raw, RAW_INTERRUPT_STATUS), 2);
    CHECK(raw->line);
    raw_write(raw, RAW_INTERRUPT_ACK, 2);
    CHECK(!raw->line);
    CHECK_EQ(raw->rises, 1);
}

static int failing_read(void *context, uint64_t offset, void *bytes, uint64_t len) {
    (void)context, (void)bytes;
    return offset <= 512 && offset + len > 512 ? -ASH_EIO : 0;
}

TEST_CASE(device_blk, failure_of_the_backing_is_an_io_error) {
    struct raw_driver *raw = raw_new(NULL, 4);
    raw_start(raw, RAW_ALL_FEATURES, 8);
    raw->blk.config.backing.read = failing_read;
    raw_request(raw, 0, RAW_IN, 0, RAW_BASE + DATA, 1024);
    CHECK_EQ(raw_do(raw, 0), 0);
    CHECK_EQ(raw_status(raw, 0), RAW_IOERR);
    raw_request(raw, 0, RAW_IN, 2, RAW_BASE + DATA, 512);
    raw_do(raw, 0);
    CHECK_EQ(raw_status(raw, 0), RAW_OK);
}

TEST_CASE(device_blk, empty_slot_has_device_id_0) {
    struct fake_virtio_mmio window;
    fake_virtio_mmio_init(&window, NULL);
    CHECK_EQ(fake_virtio_mmio_read(&window, RAW_MAGIC, 4), 0x74726976);
    CHECK_EQ(fake_virtio_mmio_read(&window, RAW_VERSION, 4), 2);
    CHECK_EQ(fake_virtio_mmio_read(&window, RAW_DEVICE_ID, 4), 0);
    fake_virtio_mmio_write(&window, RAW_STATUS, 4, 1);
    CHECK_EQ(fake_virtio_mmio_read(&window, RAW_STATUS, 4), 0);
}

TEST_CASE(device_blk, two_queues_work_side_by_side) {
    struct fake_virtio_blk_config config = {.queue_count = 2};
    struct raw_driver *raw = raw_new(&config, 64);
    enum { OTHER = 0x40000 };
    raw_negotiate(raw, RAW_ALL_FEATURES);
    raw_queue(raw, 0, 8);
    raw_write(raw, RAW_QUEUE_SEL, 1);
    raw_write(raw, RAW_QUEUE_NUM, 8);
    raw_write(raw, RAW_QUEUE_DESC, (uint32_t)RAW_BASE + OTHER);
    raw_write(raw, RAW_QUEUE_DRIVER, (uint32_t)RAW_BASE + OTHER + 0x100);
    raw_write(raw, RAW_QUEUE_DEVICE, (uint32_t)RAW_BASE + OTHER + 0x200);
    raw_write(raw, RAW_QUEUE_READY, 1);
    raw_write(raw, RAW_STATUS, 15);
    raw_request(raw, 0, RAW_IN, 1, RAW_BASE + DATA, 512);
    raw_header(raw, RAW_BASE + OTHER + 0x400, RAW_FLUSH, 0);
    *raw_at(raw, RAW_BASE + OTHER + 0x410) = 0xff;
    raw_desc(raw, RAW_BASE + OTHER, RAW_BASE + OTHER + 0x400, 16, RAW_NEXT, 1);
    raw_desc(raw, RAW_BASE + OTHER + 16, RAW_BASE + OTHER + 0x410, 1, RAW_WRITE, 0);
    raw_set_u16(raw, RAW_BASE + OTHER + 0x102, 1);
    raw_write(raw, RAW_QUEUE_NOTIFY, 1);
    CHECK_EQ(raw_do(raw, 0), 513);
    CHECK_EQ(raw_u16(raw, RAW_BASE + OTHER + 0x202), 1);
    CHECK_EQ(*raw_at(raw, RAW_BASE + OTHER + 0x410), RAW_OK);
    raw_check_clean(raw);
}
