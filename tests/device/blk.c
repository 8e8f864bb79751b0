/* SPDX-License-Identifier: MIT */
/* blk.c: the fake block device, correct: what each request does, what its configuration says. */
#include "device/raw_driver.h"
#include "harness/test.h"

enum { DATA = 0x20000 };

static void check_sectors(struct raw_driver *raw, ash_paddr_t at, uint64_t sector, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++)
        CHECK_EQ(*raw_at(raw, at + i), raw_pattern(sector * 512 + i));
}

TEST_CASE(device_blk, window_tells_a_modern_block_device)
{
    struct raw_driver *raw = raw_new(NULL, 8);
    CHECK_EQ(raw_read(raw, RAW_MAGIC), 0x74726976);
    CHECK_EQ(raw_read(raw, RAW_VERSION), 2);
    CHECK_EQ(raw_read(raw, RAW_DEVICE_ID), 2);
    raw_check_clean(raw);
}

TEST_CASE(device_blk, read_gives_the_disks_bytes)
{
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
