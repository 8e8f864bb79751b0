/* SPDX-License-Identifier: MIT */
/* cache.c: the disk with a volatile write cache: what a flush keeps, what a loss of power takes. */
#include "device/raw_driver.h"
#include "harness/test.h"
#include "hosted/virtio_blk_cache.h"

enum { SECTORS = 32, BYTES = SECTORS * 512, DATA = 0x20000 };

struct crash {
    struct raw_driver *raw;
    struct fake_virtio_blk_cache cache;
    struct test_random random;
    uint8_t durable[BYTES];
    bool dirty[SECTORS];
};

static uint64_t choose(void *context, uint64_t limit) {
    return test_random_below(&((struct crash *)context)->random, limit);
}

static struct crash *crash_with(const struct fake_virtio_blk_cache_config *own, uint64_t features) {
    struct crash *crash = test_alloc(sizeof(*crash), 64);
    struct fake_virtio_blk_config config = {.features_with = FAKE_VIRTIO_BLK_F_CONFIG_WCE |
                                                             FAKE_VIRTIO_BLK_F_WRITE_ZEROES};
    struct fake_virtio_blk_cache_config cache = *own;
    crash->random = test_random_from(test_seed());
    crash->raw = raw_new(&config, SECTORS);
    cache.cached = crash->raw->disk.bytes;
    cache.durable = crash->durable;
    memcpy(crash->durable, cache.cached, BYTES);
    cache.dirty = crash->dirty;
    cache.size_bytes = BYTES;
    cache.choose = choose;
    cache.choose_context = crash;
    fake_virtio_blk_cache_init(&crash->cache, &cache, &crash->raw->blk.config.backing);
    raw_start(crash->raw, features, 8);
    return crash;
}

static struct crash *crash_new(uint64_t features) {
    return crash_with(&(struct fake_virtio_blk_cache_config){.destage_percent = 0}, features);
}

static void write_sector(struct crash *crash, uint64_t sector, uint8_t value) {
    memset(raw_at(crash->raw, RAW_BASE + DATA), value, 512);
    raw_request(crash->raw, 0, RAW_OUT, sector, RAW_BASE + DATA, 512);
    raw_do(crash->raw, 0);
    CHECK_EQ(raw_status(crash->raw, 0), RAW_OK);
}

static void flush(struct crash *crash) {
    raw_request(crash->raw, 0, RAW_FLUSH, 0, 0, 0);
    raw_do(crash->raw, 0);
    CHECK_EQ(raw_status(crash->raw, 0), RAW_OK);
}

static void check_sector(struct crash *crash, uint64_t sector, uint8_t value) {
    struct raw_driver *raw = crash->raw;
    memset(raw_at(raw, RAW_BASE + DATA), (uint8_t)~value, 512);
    raw_request(raw, 0, RAW_IN, sector, RAW_BASE + DATA, 512);
    raw_do(raw, 0);
    for (uint32_t i = 0; i < 512; i++)
        CHECK_EQ(*raw_at(raw, RAW_BASE + DATA + i), value);
}

TEST_CASE(device_cache, what_was_not_flushed_is_lost_and_the_rest_is_not) {
    struct crash *crash = crash_new(RAW_ALL_FEATURES);
    write_sector(crash, 3, 1);
    write_sector(crash, 4, 2);
    flush(crash);
    write_sector(crash, 4, 3);
    write_sector(crash, 5, 4);
    check_sector(crash, 4, 3); /* a read sees the cache */
    CHECK_EQ(fake_virtio_blk_cache_dirty(&crash->cache), 2);
    fake_virtio_blk_cache_lose_power(&crash->cache, FAKE_VIRTIO_BLK_LOSE_ALL);
    check_sector(crash, 3, 1);
    check_sector(crash, 4, 2);
    CHECK_EQ(crash->raw->disk.bytes[5 * 512 + 8], raw_pattern(5 * 512 + 8));
    CHECK_EQ(crash->cache.lost, 2);
    raw_check_clean(crash->raw);
}

/* 5.2.6.2: stable when done, if the driver accepted neither, or its writeback field is 0. */
TEST_CASE(device_cache, writethrough_writes_survive_without_a_flush) {
    uint64_t both = FAKE_VIRTIO_BLK_F_FLUSH | FAKE_VIRTIO_BLK_F_CONFIG_WCE;
    for (uint32_t how = 0; how < 4; how++) {
        uint64_t without = how == 0 ? both : how == 1 ? FAKE_VIRTIO_BLK_F_FLUSH : 0;
        struct crash *crash = crash_new(RAW_ALL_FEATURES & ~without);
        struct raw_driver *raw = crash->raw;
        if (how != 0) /* the field exists: 0 where there is no flush, else 1 */
            CHECK_EQ(fake_virtio_mmio_read(&raw->window, RAW_CONFIG + 32, 1), how != 1);
        if (how == 2)
            fake_virtio_mmio_write(&raw->window, RAW_CONFIG + 32, 1, 0);
        write_sector(crash, 3, 1);
        CHECK_EQ(fake_virtio_blk_cache_dirty(&crash->cache), how == 3);
        CHECK_EQ(crash->cache.flushes, how != 3);
        raw_check_clean(raw);
        raw_start(raw, RAW_ALL_FEATURES, 8); /* a reset brings the cache back */
        CHECK_EQ(fake_virtio_mmio_read(&raw->window, RAW_CONFIG + 32, 1), 1);
    }
}

TEST_CASE(device_cache, write_zeroes_is_as_volatile_as_a_write) {
    struct crash *crash = crash_new(RAW_ALL_FEATURES);
    write_sector(crash, 3, 1);
    flush(crash);
    raw_request(crash->raw, 0, RAW_ZEROES, 0, RAW_BASE + DATA, 16);
    raw_desc(crash->raw, RAW_BASE + DATA, 3, 1, 0, 0);
    raw_do(crash->raw, 0);
    check_sector(crash, 3, 0);
    fake_virtio_blk_cache_lose_power(&crash->cache, FAKE_VIRTIO_BLK_LOSE_ALL);
    check_sector(crash, 3, 1);
}

/* Each sector on its own: old, new, or torn; over many crashes all of them come up. */
TEST_CASE(device_cache, chance_decides_about_each_sector) {
    struct crash *crash = crash_new(RAW_ALL_FEATURES);
    uint32_t old = 0, new = 0, torn = 0;
    for (uint32_t round = 0; round < 40; round++) {
        bool may_tear = round % 2 != 0;
        for (uint32_t i = 0; i < 4; i++)
            write_sector(crash, i, 0xaa);
        flush(crash);
        for (uint32_t i = 0; i < 4; i++)
            write_sector(crash, i, 0xbb);
        fake_virtio_blk_cache_lose_power(&crash->cache, may_tear ? FAKE_VIRTIO_BLK_TEAR_SOME
                                                                 : FAKE_VIRTIO_BLK_LOSE_SOME);
        for (uint32_t i = 0; i < 4; i++) {
            const uint8_t *sector = crash->raw->disk.bytes + 512u * i;
            uint32_t bytes = 0;
            while (bytes < 512 && sector[bytes] == 0xbb)
                bytes++;
            for (uint32_t j = bytes; j < 512; j++)
                CHECK_EQ(sector[j], 0xaa);
            old += bytes == 0;
            new += bytes == 512;
            torn += bytes != 0 && bytes != 512;
            CHECK(bytes == 0 || bytes == 512 || may_tear);
        }
    }
    CHECK(old != 0 && new != 0 && torn != 0);
    CHECK_EQ(crash->cache.torn, torn);
    CHECK_EQ(crash->cache.lost, old);
}

TEST_CASE(device_cache, destaged_sectors_survive_in_any_order) {
    struct fake_virtio_blk_cache_config busy = {.destage_percent = 50};
    struct crash *crash = crash_with(&busy, RAW_ALL_FEATURES);
    for (uint32_t i = 0; i < SECTORS; i++)
        write_sector(crash, i, (uint8_t)(0x80 + i));
    uint64_t dirty = fake_virtio_blk_cache_dirty(&crash->cache);
    CHECK(crash->cache.destaged != 0 && dirty != 0);
    CHECK_EQ(crash->cache.destaged + dirty, SECTORS);
    fake_virtio_blk_cache_lose_power(&crash->cache, FAKE_VIRTIO_BLK_LOSE_ALL);
    uint64_t survivors = 0;
    for (uint32_t i = 0; i < SECTORS; i++)
        survivors += crash->raw->disk.bytes[512 * i + 9] == 0x80 + i;
    CHECK_EQ(survivors, crash->cache.destaged);
}

TEST_CASE(device_cache, disk_that_ignores_flushes_is_found_out) {
    struct fake_virtio_blk_cache_config lying = {.ignores_flushes = true};
    struct crash *crash = crash_with(&lying, RAW_ALL_FEATURES);
    write_sector(crash, 3, 1);
    flush(crash);
    fake_virtio_blk_cache_lose_power(&crash->cache, FAKE_VIRTIO_BLK_LOSE_ALL);
    CHECK_EQ(crash->raw->disk.bytes[3 * 512 + 8], raw_pattern(3 * 512 + 8));
}
