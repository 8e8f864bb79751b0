/* SPDX-License-Identifier: MIT */
/* Cases of kernel/block_cache.h over two of the small devices of tests/virtq. */
#include "kernel/block_cache.h"

#include "kernel/disk_fixture.h"

#include <ashlar/error.h>

#include "platform.h"

enum { BLOCK = BLOCK_CACHE_BYTES, DISK_BYTES = 1 << 20, MODEL_BYTES = 300 * 1024 };

struct rig {
    struct disk_bench *benches[2];
    struct disk *disks[2];
    struct kernel_memory *memory;
    struct block_cache cache;
};

/* Two disks of zeros; the second one has blocks of this size. */
static struct rig *rig_with_blocks_of(uint32_t block_size) {
    struct rig *rig = test_alloc(sizeof(*rig), 64);
    for (uint32_t i = 0; i < 2; i++)
        rig->benches[i] = disk_bench_new();
    rig->memory = test_kernel_memory(4 << 20);
    rig->benches[1]->device.block_size = block_size;
    for (uint32_t i = 0; i < 2; i++) {
        rig->benches[i]->device.capacity_sectors = DISK_BYTES / 512;
        rig->benches[i]->device.image = test_alloc(DISK_BYTES, 16);
        disk_bench_start(rig->benches[i]);
        rig->disks[i] = &rig->benches[i]->disk;
        rig->disks[i]->number = i;
    }
    return rig;
}

static struct rig *rig_without_cache(void) {
    return rig_with_blocks_of(512);
}

static int rig_start(struct rig *rig, uint32_t blocks) {
    const struct block_cache_config config = {.blocks = blocks};
    return block_cache_init(&rig->cache, rig->memory, rig->disks, 2, &config);
}

static struct rig *rig_new(uint32_t blocks) {
    struct rig *rig = rig_without_cache();
    CHECK_EQ(rig_start(rig, blocks), 0);
    CHECK_EQ(rig->cache.blocks, blocks);
    return rig;
}

static void rig_check(struct rig *rig) {
    const char *broken = block_cache_check(&rig->cache);
    for (uint32_t i = 0; i < 2 && broken == NULL; i++) {
        broken = disk_check(rig->disks[i]);
        if (broken == NULL)
            broken = rig->benches[i]->device.broken_rule;
    }
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
}

static uint64_t reads_of(const struct disk *disk) {
    struct ash_virtio_blk_counters counters;
    ash_virtio_blk_get_counters(&disk->blk, &counters);
    return counters.requests[ASH_VIRTIO_BLK_READ];
}

static uint32_t sync(struct rig *rig) {
    uint32_t blocks;
    CHECK_EQ(block_cache_sync(&rig->cache, &blocks), 0);
    return blocks;
}

TEST_CASE(block_cache, a_hit_asks_the_disk_for_nothing) {
    struct rig *rig = rig_new(64);
    uint8_t got[BLOCK];
    memset(rig->benches[0]->device.image + BLOCK, 'x', BLOCK);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], BLOCK, got, BLOCK), 0);
    CHECK_MEM_EQ(got, rig->benches[0]->device.image + BLOCK, BLOCK);
    uint64_t before = reads_of(rig->disks[0]);
    for (uint32_t i = 0; i < 100; i++)
        CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], BLOCK + i, got, 1), 0);
    CHECK_EQ(reads_of(rig->disks[0]), before);
    CHECK_EQ(reads_of(rig->disks[1]), 0);
    rig_check(rig);
}

TEST_CASE(block_cache, a_long_read_is_no_request_a_block) {
    struct rig *rig = rig_new(64);
    uint8_t *got = test_alloc(16 * BLOCK, 16);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 0, got, 16 * BLOCK), 0);
    CHECK(rig->benches[0]->device.notifications <= 4); /* for them, and for what is read ahead */
    CHECK_EQ(rig->disks[0]->bounced_bytes, 0);
    rig_check(rig);
}

TEST_CASE(block_cache, writes_stay_in_memory_until_they_are_synced) {
    struct rig *rig = rig_new(64);
    char got[6];
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], BLOCK - 2, "hello", 6), 0);
    block_cache_settle(&rig->cache);
    CHECK_EQ(rig->benches[1]->device.image[BLOCK], 0);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], BLOCK - 2, got, 6), 0);
    CHECK_STR_EQ(got, "hello");
    block_cache_drop(&rig->cache);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], BLOCK - 2, got, 6), 0);
    CHECK_STR_EQ(got, "hello");
    CHECK_EQ(sync(rig), 2);
    CHECK_MEM_EQ(rig->benches[1]->device.image + BLOCK - 2, "hello", 6);
    CHECK_EQ(rig->benches[1]->device.flushes, 1);
    CHECK_EQ(rig->benches[0]->device.flushes, 0); /* nothing was written there */
    CHECK_EQ(sync(rig), 0);
    rig_check(rig);
}

TEST_CASE(block_cache, the_end_of_a_disk_is_no_whole_block) {
    struct rig *rig = rig_without_cache();
    rig->benches[1]->device.capacity_sectors = 9; /* heard of by the first call */
    mini_device_interrupt(&rig->benches[1]->device, 2);
    disk_interrupt(rig->disks[1]);
    CHECK_EQ(rig_start(rig, 64), 0);
    uint8_t got[512];
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 8 * 512, "end", 4), 0);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 9 * 512 - 2, "end", 4), -ASH_ERANGE);
    CHECK_EQ(sync(rig), 1);
    CHECK_MEM_EQ(rig->benches[1]->device.image + 8 * 512, "end", 4);
    rig->benches[1]->device.capacity_sectors = 16; /* and it grows */
    memset(rig->benches[1]->device.image + 15 * 512, 'y', 512);
    mini_device_interrupt(&rig->benches[1]->device, 2);
    disk_interrupt(rig->disks[1]);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], 15 * 512, got, 512), 0);
    CHECK_EQ(got[511], 'y');
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 15 * 512, "lost", 4), 0);
    rig->benches[1]->device.capacity_sectors = 8; /* and shrinks */
    mini_device_interrupt(&rig->benches[1]->device, 2);
    disk_interrupt(rig->disks[1]);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], 15 * 512, got, 1), -ASH_ERANGE);
    CHECK_EQ(sync(rig), 0);
    rig_check(rig);
}

TEST_CASE(block_cache, a_failed_write_is_told_and_the_block_stays) {
    struct rig *rig = rig_new(64);
    uint32_t blocks;
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 0, "kept", 4), 0);
    rig->benches[1]->device.status_byte = 1; /* VIRTIO_BLK_S_IOERR */
    CHECK_EQ(block_cache_sync(&rig->cache, &blocks), -ASH_EIO);
    CHECK_EQ(blocks, 0);
    CHECK_EQ(block_cache_fini(&rig->cache), -ASH_EBUSY);
    rig->benches[1]->device.status_byte = 0;
    CHECK_EQ(sync(rig), 1);
    CHECK_MEM_EQ(rig->benches[1]->device.image, "kept", 4);
    rig_check(rig);
}

TEST_CASE(block_cache, a_failed_read_is_told_and_the_next_one_works) {
    struct rig *rig = rig_new(64);
    uint8_t got[4];
    rig->benches[0]->device.status_byte = 1;
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 0, got, 4), -ASH_EIO);
    rig->benches[0]->device.status_byte = 0;
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 0, got, 4), 0);
    rig->benches[0]->wrong_used = 1; /* breaks its queue: it is reset */
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 9 * BLOCK, got, 4), -ASH_EIO);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 9 * BLOCK, got, 4), 0);
    rig->benches[0]->sleeps = 1; /* asks for a reset: nobody notices */
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 99 * BLOCK, got, 4), 0);
    rig_check(rig);
}

/* A device that is given up */

static void check_unwritten(struct rig *rig, uint32_t disk, const char *expected) {
    char text[BLOCK_CACHE_REASON] = "nothing";
    CHECK_EQ(block_cache_unwritten(&rig->cache, disk, text), expected != NULL);
    CHECK_STR_EQ(text, expected != NULL ? expected : "nothing");
}

static void dies_at_the_next_request(struct disk_bench *bench) {
    bench->device.never_resets = true;
    bench->wrong_used = 1;
}

TEST_CASE(block_cache, of_a_device_that_is_given_up_what_is_cached_can_be_read) {
    struct rig *rig = rig_new(64);
    uint8_t got[4], *many = test_alloc(20 * BLOCK, 16);
    memset(rig->benches[0]->device.image, 'x', 4);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 0, got, 4), 0);
    dies_at_the_next_request(rig->benches[0]);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 9 * BLOCK, many, 20 * BLOCK), -ASH_EIO);
    CHECK(rig->disks[0]->dead);
    rig_check(rig);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 0, got, 4), 0);
    CHECK_MEM_EQ(got, "xxxx", 4);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 9 * BLOCK, got, 4), -ASH_EIO);
    CHECK_STR_EQ(disk_explain(rig->disks[0], -ASH_EIO),
                 "the device was given up: it does not finish a reset");
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[0], 0, "lost", 4), -ASH_EIO);
    check_unwritten(rig, 0, NULL);
    struct ash_cache_stats before, stats;
    ash_cache_get_stats(&rig->cache.cache, &before);
    for (uint32_t i = 30; i < 130; i++) /* nothing has to go for what cannot be had */
        CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], i * BLOCK, many, 2 * BLOCK),
                 -ASH_EIO);
    ash_cache_get_stats(&rig->cache.cache, &stats);
    CHECK_EQ(stats.evictions, before.evictions);
    CHECK_EQ(stats.read_errors, before.read_errors);
    for (uint32_t i = 0; i < 100; i++) /* the other one, with frames and requests that are left */
        CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], i * BLOCK, got, 4), 0);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 0, "safe", 4), 0);
    CHECK_EQ(sync(rig), 1);
    CHECK_MEM_EQ(rig->benches[1]->device.image, "safe", 4);
    ash_cache_get_stats(&rig->cache.cache, &stats);
    CHECK_EQ(stats.filling, 0);
    CHECK(stats.lost >= 1);
    rig_check(rig);
    CHECK_EQ(block_cache_fini(&rig->cache), -ASH_EBUSY);
}

TEST_CASE(block_cache, what_a_device_that_was_given_up_did_not_get_is_told_and_stays) {
    struct rig *rig = rig_new(64);
    uint8_t got[4];
    uint32_t blocks;
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 2 * i * BLOCK, "here", 4), 0);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[0], 0, "safe", 4), 0);
    check_unwritten(rig, 1, NULL);
    dies_at_the_next_request(rig->benches[1]);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQ(block_cache_sync(&rig->cache, &blocks), -ASH_EIO);
        CHECK_EQ(blocks, i == 0 ? 1 : 0); /* the other disk's */
        check_unwritten(rig, 1,
                        "3 blocks (12 KiB) not written: the device was given up: it does not "
                        "finish a reset");
        check_unwritten(rig, 0, NULL);
        rig_check(rig);
    }
    CHECK_MEM_EQ(rig->benches[0]->device.image, "safe", 4);
    CHECK_EQ(rig->benches[0]->device.flushes, 1);
    block_cache_drop(&rig->cache);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], 2 * i * BLOCK, got, 4), 0);
        CHECK_MEM_EQ(got, "here", 4);
    }
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 0, "no", 2), -ASH_EIO);
    CHECK_EQ(block_cache_release(&rig->cache, rig->disks[1], 0, 1), -ASH_EIO);
    CHECK_EQ(block_cache_fini(&rig->cache), -ASH_EBUSY);
}

TEST_CASE(block_cache, a_disk_goes_on_where_the_blocks_of_another_are_all_that_may_be_dirty) {
    struct rig *rig = rig_new(64);
    uint8_t got[6], *whole = test_alloc(BLOCK, 16);
    uint32_t blocks;
    memcpy(whole, "kept", 4);
    rig->benches[1]->device.status_byte = 1; /* VIRTIO_BLK_S_IOERR, for ever */
    int error = 0;
    for (uint32_t i = 0; i < 64 && error == 0; i++)
        error = block_cache_write(&rig->cache, rig->disks[1], 3 * i * BLOCK, whole, BLOCK);
    CHECK_EQ(error, -ASH_EIO);
    check_unwritten(rig, 1, "16 blocks (64 KiB) not written: the device reported an error");
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 0, got, 6), 0);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[0], BLOCK - 2, "there", 6), 0);
    CHECK_MEM_EQ(rig->benches[0]->device.image + BLOCK - 2, "there", 6); /* at once */
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], BLOCK - 2, got, 6), 0);
    CHECK_STR_EQ((char *)got, "there");
    CHECK_EQ(rig->benches[0]->device.flushes, 0);
    CHECK_EQ(block_cache_sync(&rig->cache, &blocks), -ASH_EIO);
    CHECK_EQ(rig->benches[0]->device.flushes, 1);
    rig->benches[1]->device.status_byte = 0;
    CHECK_EQ(sync(rig), 16);
    check_unwritten(rig, 1, NULL);
    CHECK_MEM_EQ(rig->benches[1]->device.image + 45 * BLOCK, "kept", 4);
    rig_check(rig);
}

TEST_CASE(block_cache, a_flush_that_fails_is_told) {
    struct rig *rig = rig_new(64);
    uint32_t blocks;
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 0, "x", 1), 0);
    rig->benches[1]->device.fails_flushes = true;
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQ(block_cache_sync(&rig->cache, &blocks), -ASH_EIO);
        CHECK_EQ(blocks, 0);
        CHECK_EQ(rig->benches[1]->device.image[0], 'x');
        check_unwritten(rig, 1, "what was written is not safe: the device reported an error");
    }
    rig->benches[1]->device.fails_flushes = false;
    (void)sync(rig);
    check_unwritten(rig, 1, NULL);
}

/* In the background */

enum { AGE_NS = 5000 };

/* One dirty block. When it is to be written. */
static ash_ns_t dirty_one(struct rig *rig) {
    block_cache_set_age(&rig->cache, AGE_NS);
    ash_ns_t before_ns = platform_now_ns();
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 0, "old", 3), 0);
    ash_ns_t due_ns = block_cache_background(&rig->cache, 0, false);
    CHECK(due_ns >= before_ns + AGE_NS && due_ns <= platform_now_ns() + AGE_NS);
    return due_ns;
}

/* Until nothing is on its way; when it is to be called next. */
static ash_ns_t let_work(struct rig *rig, ash_ns_t now_ns) {
    ash_ns_t next_ns = now_ns;
    for (uint32_t i = 0; i < 10; i++)
        next_ns = block_cache_background(&rig->cache, now_ns, false);
    CHECK(!rig->cache.is_writing_out);
    CHECK(!block_cache_has_news(&rig->cache));
    rig_check(rig);
    return next_ns;
}

TEST_CASE(block_cache, dirty_blocks_are_written_after_their_age_and_not_before) {
    struct rig *rig = rig_new(64);
    const struct mini_device *device = &rig->benches[1]->device;
    ash_ns_t due_ns = dirty_one(rig);
    CHECK_EQ(let_work(rig, due_ns - 1), due_ns);
    CHECK_EQ(device->image[0], 0);
    CHECK_EQ(block_cache_background(&rig->cache, due_ns, false), due_ns + DISK_WATCH_NS);
    CHECK(block_cache_has_news(&rig->cache));
    CHECK_EQ(let_work(rig, due_ns), UINT64_MAX);
    CHECK_MEM_EQ(device->image, "old", 3);
    CHECK_EQ(device->flushes, 1);
    CHECK_EQ(sync(rig), 0);
    CHECK_EQ(device->flushes, 1);
}

TEST_CASE(block_cache, dirty_blocks_are_written_when_there_is_nothing_else_to_do) {
    struct rig *rig = rig_new(64);
    CHECK_EQ(block_cache_background(&rig->cache, 0, true), UINT64_MAX);
    ash_ns_t due_ns = dirty_one(rig);
    (void)block_cache_background(&rig->cache, due_ns - 1, true);
    CHECK_EQ(let_work(rig, due_ns - 1), UINT64_MAX);
    CHECK_MEM_EQ(rig->benches[1]->device.image, "old", 3);
}

TEST_CASE(block_cache, without_an_age_dirty_blocks_stay) {
    struct rig *rig = rig_new(64);
    (void)dirty_one(rig);
    block_cache_set_age(&rig->cache, 0);
    CHECK_EQ(block_cache_background(&rig->cache, UINT64_MAX - 1, true), UINT64_MAX);
    CHECK_EQ(rig->benches[1]->device.image[0], 0);
    CHECK_EQ(sync(rig), 1);
}

TEST_CASE(block_cache, what_is_dirtied_while_others_are_written_is_due_later) {
    struct rig *rig = rig_new(64);
    ash_ns_t due_ns = dirty_one(rig);
    (void)block_cache_background(&rig->cache, due_ns, false);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 9 * BLOCK, "new", 3), 0);
    ash_ns_t next_ns = let_work(rig, due_ns);
    CHECK(next_ns != UINT64_MAX && next_ns >= due_ns);
    CHECK_EQ(rig->benches[1]->device.image[9 * BLOCK], 0);
    CHECK_EQ(let_work(rig, next_ns), UINT64_MAX);
    CHECK_MEM_EQ(rig->benches[1]->device.image + 9 * BLOCK, "new", 3);
}

TEST_CASE(block_cache, a_write_out_that_fails_is_tried_again_later_and_later) {
    struct rig *rig = rig_new(64);
    ash_ns_t due_ns = dirty_one(rig);
    rig->benches[1]->device.status_byte = 1;
    for (uint64_t pause = 2; pause <= 256; pause *= 2) {
        ash_ns_t before_ns = platform_now_ns();
        due_ns = let_work(rig, due_ns);
        ash_ns_t least_ns = before_ns + ash_min_u64(pause, 64) * AGE_NS;
        CHECK(due_ns >= least_ns && due_ns - least_ns <= platform_now_ns() - before_ns);
        CHECK_EQ(block_cache_background(&rig->cache, 0, true), due_ns); /* idle or not */
    }
    check_unwritten(rig, 1, "1 block (4 KiB) not written: the device reported an error");
    rig->benches[1]->device.status_byte = 0;
    CHECK_EQ(let_work(rig, due_ns), UINT64_MAX);
    CHECK_MEM_EQ(rig->benches[1]->device.image, "old", 3);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 0, "new", 3), 0);
    CHECK(block_cache_background(&rig->cache, 0, false) <= platform_now_ns() + AGE_NS);
}

TEST_CASE(block_cache, a_long_command_writes_what_is_due) {
    struct rig *rig = rig_new(64);
    uint8_t got[4];
    (void)dirty_one(rig);
    block_cache_set_age(&rig->cache, 1); /* has passed */
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 0, got, 4), 0);
    block_cache_settle(&rig->cache);
    CHECK_MEM_EQ(rig->benches[1]->device.image, "old", 3);
}

/* Blocks of the disk itself */

static void check_cached_in_blocks_of(uint32_t block_size) {
    struct rig *rig = rig_with_blocks_of(block_size);
    CHECK_EQ(rig_start(rig, 64), 0);
    CHECK(block_cache_disk(&rig->cache, rig->disks[1]) != NULL);
    uint8_t got[5];
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 2 * BLOCK - 2, "text", 5), 0);
    uint64_t before = reads_of(rig->disks[1]);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], 2 * BLOCK - 2, got, 5), 0);
    CHECK_STR_EQ((char *)got, "text");
    CHECK_EQ(reads_of(rig->disks[1]), before);
    CHECK_EQ(rig->benches[1]->device.image[2 * BLOCK], 0);
    CHECK_EQ(sync(rig), 2);
    CHECK_MEM_EQ(rig->benches[1]->device.image + 2 * BLOCK - 2, "text", 5);
    rig_check(rig);
}

TEST_CASE(block_cache, disks_of_blocks_of_two_sectors_are_cached) {
    check_cached_in_blocks_of(1024);
}

TEST_CASE(block_cache, disks_of_blocks_as_large_as_its_own_are_cached) {
    check_cached_in_blocks_of(BLOCK);
}

TEST_CASE(block_cache, sectors_that_are_no_whole_block_of_the_disk_are_past_its_end) {
    struct rig *rig = rig_with_blocks_of(2048);
    rig->benches[1]->device.capacity_sectors = 8 + 4 + 3; /* heard of by the first call */
    mini_device_interrupt(&rig->benches[1]->device, 2);
    disk_interrupt(rig->disks[1]);
    CHECK_EQ(rig_start(rig, 64), 0);
    uint8_t got[512];
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], 11 * 512, got, 512), 0);
    rig->benches[1]->device.capacity_sectors = 8 + 3;
    mini_device_interrupt(&rig->benches[1]->device, 2);
    disk_interrupt(rig->disks[1]);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], 10 * 512, got, 512), -ASH_ERANGE);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 10 * 512, "x", 1), -ASH_ERANGE);
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], 7 * 512, got, 512), 0);
    rig_check(rig);
}

TEST_CASE(block_cache, disks_of_blocks_larger_than_its_own_are_not_covered) {
    struct rig *rig = rig_with_blocks_of(2 * BLOCK);
    CHECK_EQ(rig_start(rig, 64), 0);
    CHECK(block_cache_disk(&rig->cache, rig->disks[0]) != NULL);
    CHECK(block_cache_disk(&rig->cache, rig->disks[1]) == NULL);
    uint8_t got[5];
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], 9000, got, 5), 0);
    CHECK_EQ(got[4], 0);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 9000, "text", 5), 0);
    CHECK_MEM_EQ(rig->benches[1]->device.image + 9000, "text", 5);
    CHECK(block_cache_pages(&rig->cache, rig->disks[1]).get == NULL);
}

/* Memory */

TEST_CASE(block_cache, takes_its_part_of_the_memory_and_gives_it_back) {
    struct rig *rig = rig_without_cache();
    struct ash_buddy_stats before, after;
    ash_buddy_get_stats(&rig->memory->buddy, &before);
    CHECK_EQ(rig_start(rig, 0), 0);
    CHECK_EQ(rig->cache.blocks, 32); /* of 4 MiB, less the notes: 1/16 is not 64 */
    CHECK(rig->cache.memory_bytes <= before.free_pages * ASH_PAGE_SIZE / BLOCK_CACHE_SHARE_MAX);
    CHECK(memory_check(rig->memory) == NULL);
    uint8_t got[9 * BLOCK];
    CHECK_EQ(block_cache_read(&rig->cache, rig->disks[0], 1, got, sizeof(got)), 0);
    CHECK_EQ(block_cache_fini(&rig->cache), 0);
    CHECK_EQ(ash_heap_fini(&rig->memory->heap), 0);
    ash_buddy_get_stats(&rig->memory->buddy, &after);
    CHECK_EQ(after.free_pages, before.free_pages);
}

TEST_CASE(block_cache, is_smaller_or_none_where_memory_is_short) {
    struct rig *rig = rig_without_cache();
    uint32_t none = 0, some = 0;
    for (uint64_t left = 800; left != 0; left -= 50) {
        while (ash_buddy_free_pages(&rig->memory->buddy) > left)
            CHECK(memory_pages_alloc(rig->memory, 0) != NULL);
        int error = rig_start(rig, 0);
        CHECK(error == 0 || error == -ASH_ENOMEM);
        CHECK_EQ(rig->cache.is_on, error == 0);
        CHECK(memory_check(rig->memory) == NULL);
        some += error == 0;
        none += error != 0;
        char got[4];
        CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], 700, "text", 4), 0);
        CHECK_EQ(block_cache_read(&rig->cache, rig->disks[1], 700, got, 4), 0);
        CHECK_MEM_EQ(got, "text", 4);
        CHECK_EQ(block_cache_release(&rig->cache, rig->disks[1], 0, UINT64_MAX), 0);
        CHECK_MEM_EQ(rig->benches[1]->device.image + 700, "text", 4);
        CHECK_EQ(block_cache_fini(&rig->cache), 0);
    }
    CHECK(some != 0 && none != 0);
    CHECK_EQ(rig_start(rig, 0), -ASH_ENOMEM);
    CHECK_STR_EQ(rig->cache.reason,
                 "there is no memory for 16 blocks; start the machine with more");
}

/* Files */

/* The byte of a file that begins at `start`: tells files and pages apart. */
static uint8_t file_byte(uint64_t start, uint64_t offset) {
    return (uint8_t)(start / 512 * 31 + offset * 7 + offset / 256);
}

static void put_file(struct rig *rig, uint64_t start, uint64_t size) {
    uint8_t *image = rig->benches[0]->device.image;
    memset(image + start, 0xee, (size + 511) / 512 * 512);
    for (uint64_t i = 0; i < size; i++)
        image[start + i] = file_byte(start, i);
}

static void check_file(const struct page_source *pages, uint64_t start, uint64_t size) {
    struct file_page page;
    for (uint64_t offset = 0; offset < size; offset += page.len) {
        int error = pages->get(pages->context, start, size, offset, &page);
        if (error != 0)
            test_fail(__FILE__, __LINE__, "page at %u: %s", (unsigned)offset, ash_strerror(error));
        CHECK_EQ(page.len, ash_min_u64(BLOCK - offset % BLOCK, size - offset));
        for (size_t i = 0; i < page.len; i++)
            CHECK_EQ(page.bytes[i], file_byte(start, offset + i));
        bool is_last = offset + page.len == size;
        for (size_t i = page.len; is_last && i < BLOCK - offset % BLOCK; i++)
            CHECK_EQ(page.bytes[i], 0); /* not what the disk has there */
        pages->put(pages->context, &page);
    }
}

TEST_CASE(block_cache, a_page_of_a_file_begins_at_any_sector_and_ends_in_zeros) {
    static const uint64_t sizes[] = {1, 511, 512, 513, 4095, 4096, 4097, 40000};
    struct rig *rig = rig_new(64);
    struct page_source pages = block_cache_pages(&rig->cache, rig->disks[0]);
    uint64_t start = 512;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes); i++) {
        put_file(rig, start, sizes[i]);
        check_file(&pages, start, sizes[i]);
        uint64_t before = reads_of(rig->disks[0]);
        check_file(&pages, start, sizes[i]);
        CHECK_EQ(reads_of(rig->disks[0]), before);
        start += ash_align_up(sizes[i], 512) + 512;
    }
    struct file_page page;
    CHECK_EQ(pages.get(pages.context, 700, 10, 0, &page), -ASH_ENOTSUP);
    rig_check(rig);
}

TEST_CASE(block_cache, files_of_a_disk_of_large_blocks_are_looked_at_in_these) {
    struct rig *rig = rig_with_blocks_of(BLOCK);
    uint8_t *image = rig->benches[1]->device.image;
    const uint64_t start = 3 * 512, size = 3 * BLOCK;
    struct file_page page;
    CHECK_EQ(rig_start(rig, 64), 0);
    struct page_source pages = block_cache_pages(&rig->cache, rig->disks[1]);
    for (uint64_t i = 0; i < size; i++)
        image[start + i] = file_byte(start, i);
    for (uint64_t offset = 0; offset < size; offset += page.len) {
        CHECK_EQ(pages.get(pages.context, start, size, offset, &page), 0);
        CHECK_EQ(page.len, ash_min_u64(BLOCK - (start + offset) % BLOCK, size - offset));
        CHECK_MEM_EQ(page.bytes, image + start + offset, page.len);
        pages.put(pages.context, &page);
    }
    uint64_t before = reads_of(rig->disks[1]);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[1], start + 9000, "new", 3), 0);
    CHECK_EQ(pages.get(pages.context, start, size, 9000, &page), 0);
    CHECK_MEM_EQ(page.bytes, "new", 3);
    pages.put(pages.context, &page);
    CHECK_EQ(reads_of(rig->disks[1]), before);
    CHECK(image[start + 9000] != 'n'); /* until it is synced */
    rig_check(rig);
}

TEST_CASE(block_cache, two_names_of_a_file_are_one_page) {
    struct rig *rig = rig_new(64);
    struct page_source pages = block_cache_pages(&rig->cache, rig->disks[0]);
    struct file_page first, second;
    put_file(rig, 512, 100);
    CHECK_EQ(pages.get(pages.context, 512, 100, 0, &first), 0);
    CHECK_EQ(pages.get(pages.context, 512, 100, 50, &second), 0);
    CHECK(second.bytes == first.bytes + 50);
    CHECK_EQ(second.len, 50);
    pages.put(pages.context, &first);
    pages.put(pages.context, &second);
    rig_check(rig);
}

TEST_CASE(block_cache, more_files_than_spaces_take_turns) {
    struct rig *rig = rig_new(16); /* four files at a time */
    struct page_source pages = block_cache_pages(&rig->cache, rig->disks[0]);
    for (uint64_t i = 0; i < 50; i++)
        put_file(rig, i * 8192, i * 100 + 1);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < 50; i++)
            check_file(&pages, i * 8192, i * 100 + 1);
    }
    struct file_page held[4], one_more;
    for (uint64_t i = 0; i < 4; i++)
        CHECK_EQ(pages.get(pages.context, i * 8192, i * 100 + 1, 0, &held[i]), 0);
    CHECK_EQ(pages.get(pages.context, 5 * 8192, 501, 0, &one_more), -ASH_EAGAIN);
    for (uint64_t i = 0; i < 4; i++)
        pages.put(pages.context, &held[i]);
    check_file(&pages, 5 * 8192, 501);
    rig_check(rig);
}

TEST_CASE(block_cache, a_raw_write_is_seen_in_the_file_and_goes_to_the_disk_at_once) {
    struct rig *rig = rig_new(64);
    struct page_source pages = block_cache_pages(&rig->cache, rig->disks[0]);
    struct file_page page;
    put_file(rig, 512, 9000);
    check_file(&pages, 512, 9000);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[0], 512 + 4200, "new", 3), 0);
    CHECK_MEM_EQ(rig->benches[0]->device.image + 512 + 4200, "new", 3);
    CHECK_EQ(pages.get(pages.context, 512, 9000, 4200, &page), 0);
    CHECK_MEM_EQ(page.bytes, "new", 3);
    pages.put(pages.context, &page);
    rig_check(rig);
}

TEST_CASE(block_cache, a_file_is_no_page_while_raw_blocks_are_newer_than_the_disk) {
    struct rig *rig = rig_new(64);
    struct page_source pages = block_cache_pages(&rig->cache, rig->disks[0]);
    struct file_page page;
    put_file(rig, 512, 9000);
    CHECK_EQ(block_cache_write(&rig->cache, rig->disks[0], 512 + 4200, "new", 3), 0);
    CHECK_EQ(pages.get(pages.context, 512, 9000, 4200, &page), -ASH_EAGAIN); /* it is to be read */
    CHECK_EQ(sync(rig), 1);
    CHECK_EQ(pages.get(pages.context, 512, 9000, 4200, &page), 0);
    CHECK_MEM_EQ(page.bytes, "new", 3);
    pages.put(pages.context, &page);
    rig_check(rig);
}

/* A model: two arrays of bytes, and what of them is on the disks */

struct model {
    struct rig *rig;
    struct test_random random;
    uint8_t *now[2];
};

static void model_write(struct model *model, uint32_t disk, uint64_t offset, size_t len) {
    uint8_t *bytes = model->now[disk] + offset;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)test_random_u64(&model->random);
    CHECK_EQ(block_cache_write(&model->rig->cache, model->rig->disks[disk], offset, bytes, len), 0);
}

/* Past the cache, as `blk write` does. */
static void model_write_past(struct model *model, uint32_t disk, uint64_t offset, size_t len) {
    struct disk *past = model->rig->disks[disk];
    uint8_t *bytes = model->now[disk] + offset;
    CHECK_EQ(block_cache_release(&model->rig->cache, past, offset, len), 0);
    memset(bytes, (int)test_random_below(&model->random, 256), len);
    CHECK_EQ(disk_write(past, offset, bytes, len), 0);
}

static void model_read(struct model *model, uint32_t disk, uint64_t offset, size_t len) {
    static uint8_t got[40000];
    CHECK_EQ(block_cache_read(&model->rig->cache, model->rig->disks[disk], offset, got, len), 0);
    CHECK_MEM_EQ(got, model->now[disk] + offset, len);
}

static void model_step(struct model *model) {
    static const size_t sizes[] = {0, 1, 511, 513, BLOCK, BLOCK, 3 * BLOCK, 40000};
    uint32_t disk = (uint32_t)test_random_below(&model->random, 2);
    uint64_t offset = test_random_below(&model->random, 256 * 1024);
    if (test_random_chance(&model->random, 40))
        offset -= offset % BLOCK;
    size_t len = sizes[test_random_below(&model->random, ASH_ARRAY_LEN(sizes))];
    uint64_t what = test_random_below(&model->random, 100);
    if (what < 45) {
        model_read(model, disk, offset, len);
    } else if (what < 85) {
        model_write(model, disk, offset, len);
    } else if (what < 90) {
        model_write_past(model, disk, offset, len);
    } else if (what < 93) {
        block_cache_drop(&model->rig->cache);
    } else if (what < 96) { /* all that is dirty is due; what comes next meets it on its way */
        block_cache_set_age(&model->rig->cache, 1);
        (void)block_cache_background(&model->rig->cache, platform_now_ns() + 1, true);
        block_cache_set_age(&model->rig->cache, 0);
    } else {
        (void)sync(model->rig);
        for (uint32_t i = 0; i < 2; i++)
            CHECK_MEM_EQ(model->rig->benches[i]->device.image, model->now[i], MODEL_BYTES);
    }
    rig_check(model->rig);
}

static void check_model_in_blocks_of(uint32_t block_size) {
    struct model model = {.rig = rig_with_blocks_of(block_size),
                          .random = test_random_from(test_seed())};
    for (uint32_t disk = 0; disk < 2; disk++)
        model.now[disk] = test_alloc(MODEL_BYTES, 16);
    for (uint32_t i = 0; ash_cache_policy_name(i) != NULL; i++) {
        CHECK_EQ(rig_start(model.rig, i % 2 == 0 ? 16 : 32), 0);
        CHECK_EQ(ash_cache_set_policy(&model.rig->cache.cache, ash_cache_policy_name(i)), 0);
        for (uint32_t step = 0; step < 60; step++)
            model_step(&model);
        (void)sync(model.rig);
        CHECK_EQ(block_cache_fini(&model.rig->cache), 0);
    }
}

TEST_CASE(block_cache, holds_what_a_model_holds_with_every_policy) {
    check_model_in_blocks_of(512);
}

TEST_CASE(block_cache, holds_what_a_model_holds_of_a_disk_of_large_blocks) {
    check_model_in_blocks_of(4096);
}
