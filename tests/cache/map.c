/* SPDX-License-Identifier: MIT */
/* map.c: files whose blocks lie in pieces, end in the middle of a sector, or nowhere. */
#include "cache/stand.h"

enum { BLOCK = 4096, SECTORS = BLOCK / ASH_CACHE_SECTOR_BYTES };

/* A file: what its map says, for every block. */
struct file {
    struct ash_cache_map map;
    int error;
    uint32_t asked;
};

static int map(void *context, uint64_t index, struct ash_cache_map *out) {
    struct file *file = context;
    (void)index;
    file->asked++;
    *out = file->map;
    return file->error;
}

/* A cache of blocks of 4 KiB with a file in space 1. The disk is full of 0xee. */
static struct stand *with_file(struct file *file, uint32_t depth) {
    struct stand *stand = stand_new(4);
    stand->config.block_bytes = BLOCK;
    stand->config.depth = depth;
    stand->config.dirty_max = 4;
    stand_start(stand, 64);
    memset(stand->backend.bytes, 0xee, 64 * BLOCK);
    stand->spaces[1] =
        (struct ash_cache_space){.id = 1, .map = map, .context = file, .blocks = 1000};
    CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[1]), 0);
    return stand;
}

static void extent(struct file *file, uint64_t sector, uint32_t sectors) {
    file->map.extents[file->map.extent_count++] =
        (struct ash_cache_extent){.sector = sector, .sectors = sectors};
}

/* All bytes of [from, to) are `value`. */
static void check_bytes(const uint8_t *bytes, uint32_t from, uint32_t to, uint8_t value) {
    for (uint32_t i = from; i < to; i++)
        CHECK_EQ(bytes[i], value);
}

TEST_CASE(cache_map, block_in_pieces_is_put_together_and_taken_apart) {
    for (uint32_t pieces = 1; pieces <= ASH_CACHE_EXTENTS_MAX; pieces++) {
        struct file file = {.map.valid_bytes = BLOCK};
        struct stand *stand = with_file(&file, 4);
        uint32_t each = SECTORS / pieces, at = 0;
        for (uint32_t i = 0; i < pieces; i++, at += each) {
            uint64_t sector = 100 - 20 * i;
            uint32_t len = i + 1 == pieces ? SECTORS - at : each;
            extent(&file, sector, len);
            memset(stand->backend.bytes + sector * 512, (int)(i + 1), len * 512);
        }
        uint32_t frame = stand_get(stand, 1, 7, ASH_CACHE_WRITE);
        uint8_t *bytes = ash_cache_data(&stand->cache, frame);
        CHECK_EQ(stand->backend.reads, pieces);
        for (uint32_t i = 0; i < BLOCK; i++)
            CHECK_EQ(bytes[i], 1 + ash_min_u64(i / 512 / each, pieces - 1));
        memset(bytes, 0x55, BLOCK);
        CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
        CHECK_EQ(stand_sync(stand, NULL), 0);
        CHECK_EQ(stand->backend.writes, pieces);
        uint32_t found = 0;
        for (uint32_t i = 0; i < 64 * BLOCK; i++)
            found += stand->backend.bytes[i] == 0x55;
        CHECK_EQ(found, BLOCK);
        stand_end(stand);
    }
}

TEST_CASE(cache_map, pieces_beside_each_other_are_one_io) {
    struct file file = {.map.valid_bytes = BLOCK};
    struct stand *stand = with_file(&file, 4);
    extent(&file, 100, 3);
    extent(&file, 103, 5);
    stand_read(stand, 1, 0);
    CHECK_EQ(stand->backend.reads, 1);
    CHECK_EQ(stand->backend.log[0].segments, 2);
    stand_end(stand);
}

TEST_CASE(cache_map, what_is_behind_the_end_reads_as_zeros) {
    static const uint32_t ends[] = {0, 1, 511, 512, 513, 1000, 2048, 4095, 4096};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(ends); i++) {
        struct file file = {.map.valid_bytes = ends[i]};
        struct stand *stand = with_file(&file, 4);
        extent(&file, 80, 3);
        extent(&file, 120, 5);
        uint32_t frame = stand_get(stand, 1, 0, 0);
        const uint8_t *bytes = ash_cache_data(&stand->cache, frame);
        check_bytes(bytes, 0, ends[i], 0xee);
        check_bytes(bytes, ends[i], BLOCK, 0);
        stand_put(stand, frame);
        stand_end(stand);
    }
}

TEST_CASE(cache_map, what_is_behind_the_end_is_not_written) {
    static const uint32_t ends[] = {0, 1, 511, 512, 513, 2048, 4095, 4096};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(ends); i++) {
        struct file file = {.map.valid_bytes = ends[i]};
        struct stand *stand = with_file(&file, 4);
        extent(&file, 80, 3);
        extent(&file, 120, 5);
        uint32_t frame = stand_get(stand, 1, 0, ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE);
        memset(ash_cache_data(&stand->cache, frame), 0x55, BLOCK);
        CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
        CHECK_EQ(stand_sync(stand, NULL), 0);
        const uint8_t *disk = stand->backend.bytes;
        uint32_t sector_end = (ends[i] + 511) / 512 * 512;
        for (uint32_t at = 0; at < BLOCK; at++) {
            uint8_t there = at < 3 * 512 ? disk[80 * 512 + at] : disk[(120 - 3) * 512 + at];
            CHECK_EQ(there, at < ends[i] ? 0x55 : at < sector_end ? 0 : 0xee);
        }
        frame = stand_get(stand, 1, 0, 0);
        check_bytes(ash_cache_data(&stand->cache, frame), ends[i], BLOCK, 0);
        stand_put(stand, frame);
        stand_end(stand);
    }
}

TEST_CASE(cache_map, hole_reads_as_zeros_without_the_disk) {
    for (uint32_t valid = 0; valid <= BLOCK; valid += BLOCK) {
        struct file file = {.map.valid_bytes = valid};
        struct stand *stand = with_file(&file, 4);
        uint32_t frame = stand_get(stand, 1, 3, 0);
        check_bytes(ash_cache_data(&stand->cache, frame), 0, BLOCK, 0);
        stand_put(stand, frame);
        CHECK_EQ(stand->backend.submits, 0);
        stand_end(stand);
    }
}

TEST_CASE(cache_map, write_to_a_hole_is_enospc_until_there_is_room) {
    struct file file = {.map.valid_bytes = 0};
    struct stand *stand = with_file(&file, 4);
    stand_write(stand, 1, 3, 1);
    CHECK_EQ(stand_sync(stand, NULL), -ASH_ENOSPC);
    CHECK_EQ(stand_stats(stand).failed, 1);
    stand_expect(stand, 1, 3, 1);
    extent(&file, 80, 8);
    file.map.valid_bytes = BLOCK;
    CHECK_EQ(stand_sync(stand, NULL), 0);
    CHECK(stand_disk_is(stand, 10, 1, 3, 1));
    stand_end(stand);
}

/* Whoever asks is told `error`, reading and writing, and nothing is left behind. */
static void check_refused(struct stand *stand, int error) {
    struct stand_waiter waiter;
    stand_check(stand);
    CHECK_EQ(stand_ask(stand, 1, 3, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, error);
    CHECK_EQ(stand_stats(stand).free, 4);
    stand_write(stand, 1, 3, 1);
    CHECK_EQ(stand_sync(stand, NULL), error);
    CHECK_EQ(stand->backend.reads + stand->backend.writes, 0);
    stand_expect(stand, 1, 3, 1);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[1], 0, UINT64_MAX, true), 0);
    stand_end(stand);
}

TEST_CASE(cache_map, error_of_the_map_is_the_askers) {
    struct file file = {.error = -ASH_ENXIO};
    check_refused(with_file(&file, 4), -ASH_ENXIO);
    file.error = 7;
    check_refused(with_file(&file, 4), -ASH_EIO);
}

TEST_CASE(cache_map, map_that_makes_no_sense_is_einval) {
    static const struct ash_cache_map wrong[] = {
        {.extents = {{0, 1}, {2, 1}, {4, 1}, {6, 1}}, .extent_count = 5, .valid_bytes = 512},
        {.extents = {{0, 1}, {2, 1}, {4, 1}, {6, 1}}, .extent_count = UINT32_MAX},
        {.extents = {{0, 4}, {9, 0}, {20, 4}}, .extent_count = 3, .valid_bytes = 512},
        {.extents = {{0, 8}, {50, 1}}, .extent_count = 2, .valid_bytes = 512},
        {.extents = {{0, 9}}, .extent_count = 1, .valid_bytes = 512},
        {.extents = {{0, UINT32_MAX}, {0, 1}}, .extent_count = 2, .valid_bytes = 512},
        {.extents = {{0, 0}}, .extent_count = 1, .valid_bytes = 0},
        {.extents = {{0, 4}, {9, 0}}, .extent_count = 2, .valid_bytes = 512},
        {.extents = {{0, 4}}, .extent_count = 1, .valid_bytes = 2049},
        {.extents = {{0, 8}}, .extent_count = 1, .valid_bytes = UINT32_MAX},
        {.extents = {{UINT64_MAX, 1}}, .extent_count = 1, .valid_bytes = 512},
        {.extents = {{UINT64_MAX - 7, 8}}, .extent_count = 1, .valid_bytes = 4096},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(wrong); i++) {
        struct file file = {.map = wrong[i]};
        check_refused(with_file(&file, 4), -ASH_EINVAL);
    }
}

TEST_CASE(cache_map, map_is_asked_again_for_each_io) {
    struct file file = {.map.valid_bytes = BLOCK};
    struct stand *stand = with_file(&file, 4);
    extent(&file, 80, 8);
    uint32_t frame = stand_get(stand, 1, 0, ASH_CACHE_WRITE);
    CHECK_EQ(file.asked, 1);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(1, 0), 5);
    file.map.extents[0].sector = 160; /* copied on write */
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    CHECK_EQ(file.asked, 2);
    CHECK(stand_disk_is(stand, 20, 1, 0, 5));
    check_bytes(stand->backend.bytes + 10 * BLOCK, 0, BLOCK, 0xee);
    stand_end(stand);
}

/* One of a block's pieces fails: all of it did. */
TEST_CASE(cache_map, error_of_one_piece_is_the_blocks) {
    for (uint32_t which = 0; which < 4; which++) {
        struct file file = {.map.valid_bytes = BLOCK};
        struct stand *stand = with_file(&file, 4);
        for (uint32_t i = 0; i < 4; i++)
            extent(&file, 80 + 10 * i, 2);
        struct stand_waiter waiter;
        CHECK_EQ(stand_ask(stand, 1, 0, 0, &waiter), ASH_CACHE_PENDING);
        for (uint32_t i = 0; i < 4; i++) {
            CHECK_EQ(waiter.told, 0);
            backend_complete(&stand->backend, 0, i == which ? -ASH_ENXIO : 0);
            stand_check(stand);
        }
        CHECK_EQ(waiter.told, 1);
        CHECK_EQ(waiter.waiter.status, -ASH_ENXIO);
        stand_write(stand, 1, 0, 1);
        struct stand_flush flush;
        ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
        for (uint32_t i = 0; i < 4; i++)
            backend_complete(&stand->backend, 0, i == which ? -ASH_ENXIO : 0);
        backend_drain(&stand->backend);
        CHECK_EQ(flush.flush.status, -ASH_ENXIO);
        CHECK_EQ(stand_stats(stand).failed, 1);
        stand_end(stand);
    }
}

TEST_CASE(cache_map, first_error_of_the_pieces_is_the_one_told) {
    struct file file = {.map.valid_bytes = BLOCK};
    struct stand *stand = with_file(&file, 4);
    for (uint32_t i = 0; i < 4; i++)
        extent(&file, 80 + 10 * i, 2);
    struct stand_waiter waiter;
    CHECK_EQ(stand_ask(stand, 1, 0, 0, &waiter), ASH_CACHE_PENDING);
    backend_complete(&stand->backend, 1, 0);
    backend_complete(&stand->backend, 2, -ASH_ENODEV);
    backend_complete(&stand->backend, 0, -ASH_ENXIO);
    backend_complete(&stand->backend, 0, 0);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, -ASH_ENODEV);
    stand_end(stand);
}

TEST_CASE(cache_map, blocks_of_four_pieces_share_four_ios) {
    struct file file = {.map.valid_bytes = BLOCK};
    struct stand *stand = with_file(&file, 4);
    for (uint32_t i = 0; i < 4; i++)
        extent(&file, 80 + 10 * i, 2);
    struct stand_waiter waiters[4];
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(stand_ask(stand, 1, i, 0, &waiters[i]), ASH_CACHE_PENDING);
    CHECK_EQ(stand->backend.most_pending, 4);
    struct test_random random = test_random_from(test_seed());
    while (stand->backend.pending_count != 0) {
        backend_complete(&stand->backend,
                         (uint32_t)test_random_below(&random, stand->backend.pending_count), 0);
        stand_check(stand);
    }
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(waiters[i].told, 1);
        stand_put(stand, waiters[i].waiter.frame);
    }
    for (uint32_t i = 0; i < 4; i++)
        stand_write(stand, 1, i, 1);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    stand_end(stand);
}
