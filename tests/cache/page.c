/* SPDX-License-Identifier: MIT */
/* page.c: what holders of a block rely on: pages of files, mapped, cut off, or gone past. */
#include "cache/stand.h"

enum { BLOCK = 4096, SECTORS = BLOCK / ASH_CACHE_SECTOR_BYTES, FILE_BLOCK = 20 };

static const uint32_t ALL_OF_IT = ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE;

/* A file of so many bytes, from block 20 of the disk on. */
struct file {
    uint64_t bytes;
};

static int map(void *context, uint64_t index, struct ash_cache_map *out) {
    const struct file *file = context;
    uint64_t left = file->bytes > index * BLOCK ? file->bytes - index * BLOCK : 0;
    *out = (struct ash_cache_map){
        .extents = {{.sector = (FILE_BLOCK + index) * SECTORS, .sectors = SECTORS}},
        .extent_count = 1,
        .valid_bytes = left < BLOCK ? (uint32_t)left : BLOCK};
    return 0;
}

static struct stand *with_file(struct file *file, uint64_t bytes) {
    struct stand *stand = stand_new(8);
    stand->config.block_bytes = BLOCK;
    stand->config.dirty_max = 8;
    stand->config.lazy = true;
    stand_start(stand, 64);
    file->bytes = bytes;
    stand->spaces[1] = (struct ash_cache_space){
        .id = 1, .map = map, .context = file, .blocks = (bytes + BLOCK - 1) / BLOCK};
    CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[1]), 0);
    return stand;
}

static uint32_t page_of(struct stand *stand, uint64_t offset) {
    struct stand_waiter waiter;
    uint32_t frame;
    int result = ash_cache_page_get(&stand->cache, &stand->spaces[1], offset, 0,
                                    stand_wait(&waiter), &frame);
    if (result == 0)
        return frame;
    CHECK_EQ(result, ASH_CACHE_PENDING);
    backend_drain(&stand->backend);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, 0);
    return waiter.waiter.frame;
}

TEST_CASE(cache_page, each_byte_of_a_file_is_in_its_page) {
    struct file file;
    struct stand *stand = with_file(&file, 5 * BLOCK);
    static const uint64_t offsets[] = {0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 7, 5 * BLOCK - 1};
    for (uint64_t i = 0; i < 5 * BLOCK; i++)
        stand->backend.bytes[FILE_BLOCK * BLOCK + i] = (uint8_t)(i / BLOCK * 50 + i % 7);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(offsets); i++) {
        uint32_t frame = page_of(stand, offsets[i]);
        const uint8_t *page = ash_cache_data(&stand->cache, frame);
        CHECK_EQ((uintptr_t)page % BLOCK, 0);
        CHECK_EQ(page[offsets[i] % BLOCK], offsets[i] / BLOCK * 50 + offsets[i] % 7);
        stand_put(stand, frame);
    }
    stand_end(stand);
}

TEST_CASE(cache_page, mapped_page_stays_where_it_is_and_its_changes_reach_the_disk) {
    struct file file;
    struct stand *stand = with_file(&file, 5 * BLOCK);
    uint32_t frame = page_of(stand, 2 * BLOCK);
    uint8_t *page = ash_cache_data(&stand->cache, frame);
    for (uint64_t i = 0; i < 40; i++)
        stand_read(stand, 0, i);
    CHECK_EQ(page_of(stand, 2 * BLOCK), frame);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[1], 0, 5, true), -ASH_EBUSY);
    page[100] = 42;
    ash_cache_mark_dirty(&stand->cache, frame);
    CHECK_EQ(stand_sync(stand, &stand->spaces[1]), 0);
    CHECK_EQ(stand->backend.bytes[(FILE_BLOCK + 2) * BLOCK + 100], 42);
    stand_put(stand, frame);
    stand_put(stand, frame);
    stand_end(stand);
}

/* Cut off in the middle of block 1, and made longer again: nothing of what was there comes back. */
TEST_CASE(cache_page, what_was_cut_off_does_not_come_back) {
    struct file file;
    struct stand *stand = with_file(&file, 3 * BLOCK);
    uint32_t frame;
    for (uint64_t i = 0; i < 3; i++) {
        frame = stand_get(stand, 1, i, ALL_OF_IT);
        memset(ash_cache_data(&stand->cache, frame), 0x77, BLOCK);
        CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    }
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[1], 2, UINT64_MAX, true), 0);
    file.bytes = BLOCK + 100;
    stand->spaces[1].blocks = 2;
    CHECK_EQ(ash_cache_page_get(&stand->cache, &stand->spaces[1], 2 * BLOCK, 0, NULL, &frame),
             -ASH_ERANGE);
    CHECK_EQ(stand_sync(stand, &stand->spaces[1]), 0);
    const uint8_t *disk = stand->backend.bytes + FILE_BLOCK * BLOCK;
    CHECK_EQ(disk[BLOCK + 99], 0x77);
    CHECK_EQ(disk[BLOCK + 100], 0);
    CHECK_EQ(disk[2 * BLOCK], 0); /* what was cut off was not written */
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[1], 0, 2, false), 0);
    file.bytes = 2 * BLOCK;
    frame = page_of(stand, BLOCK);
    const uint8_t *page = ash_cache_data(&stand->cache, frame);
    CHECK_EQ(page[99], 0x77);
    for (uint32_t i = 100; i < 512; i++)
        CHECK_EQ(page[i], 0);
    stand_put(stand, frame);
    stand_end(stand);
}

/* Who reads or writes a file's blocks as the disk's flushes and forgets them in the file first. */
TEST_CASE(cache_page, raw_disk_and_file_agree_behind_a_flush_and_a_discard) {
    struct file file;
    struct stand *stand = with_file(&file, 4 * BLOCK);
    for (uint64_t version = 1; version < 20; version += 2) {
        uint64_t index = version % 4;
        uint32_t frame = stand_get(stand, 1, index, ALL_OF_IT);
        memset(ash_cache_data(&stand->cache, frame), (int)version, BLOCK);
        CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
        CHECK_EQ(stand_sync(stand, &stand->spaces[1]), 0);
        CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[1], index, 1, false), 0);
        frame = stand_get(stand, 0, FILE_BLOCK + index, ASH_CACHE_WRITE);
        uint8_t *raw = ash_cache_data(&stand->cache, frame);
        CHECK_EQ(raw[0], version);
        CHECK_EQ(raw[BLOCK - 1], version);
        memset(raw, (int)(version + 1), BLOCK);
        CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
        CHECK_EQ(stand_sync(stand, &stand->spaces[0]), 0);
        CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 0, 64, false), 0);
        frame = page_of(stand, index * BLOCK);
        CHECK_EQ(*(const uint8_t *)ash_cache_data(&stand->cache, frame), version + 1);
        stand_put(stand, frame);
    }
    stand_end(stand);
}

TEST_CASE(cache_page, each_holder_is_told_of_a_failed_write_until_it_is_made_good) {
    struct stand *stand = stand_started(8);
    struct stand_waiter waiter;
    uint32_t frame = stand_get(stand, 0, 5, ALL_OF_IT), holders[3];
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    for (uint32_t i = 0; i < 2; i++)
        holders[i] = stand_get(stand, 0, 5, 0);
    stand->backend.fail_to = 256;
    CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
    holders[2] = stand_get(stand, 0, 5, 0); /* who comes later, too */
    for (uint32_t i = 0; i < 2 * 3; i++)
        CHECK_EQ(ash_cache_frame_error(&stand->cache, holders[i % 3]), -ASH_EIO);
    CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE, &waiter), 0);
    CHECK_EQ(ash_cache_frame_error(&stand->cache, frame), -ASH_EIO);
    ash_cache_put_unchanged(&stand->cache, frame);
    stand->backend.fail_to = 0;
    CHECK_EQ(stand_sync(stand, NULL), 0);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(ash_cache_frame_error(&stand->cache, holders[i]), 0);
        stand_put(stand, holders[i]);
    }
    stand_end(stand);
}

/* One block that is read, one written, one given up, one pinned, one that a writer has; the sixth
 * frame is all that others get. */
TEST_CASE(cache_page, nothing_in_use_is_evicted_by_any_policy) {
    for (uint32_t p = 0; ash_cache_policy_name(p) != NULL; p++) {
        struct stand *stand = stand_new(6);
        stand->config.policy = ash_cache_policy_name(p);
        stand->config.dirty_max = 6;
        stand->config.lazy = true;
        stand_start(stand, 256);
        struct stand_flush flush;
        struct stand_waiter coming, other;
        uint32_t pinned = stand_get(stand, 0, 0, 0), found;
        uint32_t held = stand_get(stand, 0, 1, ASH_CACHE_WRITE);
        stand_write(stand, 0, 2, 1);
        stand->backend.fail_from = 2;
        stand->backend.fail_to = 3;
        CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
        stand_write(stand, 0, 7, 1);
        stand_begin_flush(stand, NULL, &flush);
        stand_end_io(stand, ASH_CACHE_OP_WRITE, 0); /* block 2 fails once more */
        CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL), 1);
        CHECK_EQ(stand_ask(stand, 0, 4, 0, &coming), ASH_CACHE_PENDING);
        for (uint64_t i = 100; i < 140; i++) {
            CHECK_EQ(stand_ask(stand, 0, i, 0, &other), ASH_CACHE_PENDING);
            backend_complete(&stand->backend, stand->backend.pending_count - 1, 0);
            CHECK_EQ(other.told, 1);
            CHECK_EQ(other.waiter.status, 0);
            stand_put(stand, other.waiter.frame);
        }
        CHECK_EQ(coming.told, 0);
        struct ash_cache_stats now = stand_stats(stand);
        CHECK_EQ(now.filling + now.writing + now.failed, 3);
        backend_drain(&stand->backend);
        CHECK_EQ(coming.told, 1);
        stand_put(stand, coming.waiter.frame);
        static const uint64_t in_use[] = {0, 1, 2, 7};
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(in_use); i++) {
            CHECK_EQ(stand_try(stand, 0, in_use[i], ASH_CACHE_CACHED, &found), 0);
            CHECK(i >= 2 || found == (i == 0 ? pinned : held));
            stand_put(stand, found);
        }
        stand_put(stand, pinned);
        ash_cache_put_unchanged(&stand->cache, held);
        stand->backend.fail_to = 0;
        stand_end(stand);
    }
}
