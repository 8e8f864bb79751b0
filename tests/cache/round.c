/* SPDX-License-Identifier: MIT */
/* round.c: how much of what is dirty is looked at to choose what is written. */
#include "cache/stand.h"

static const uint32_t ALL_OF_IT = ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE;

/* Of `blocks` frames, all of which may be dirty; nothing is written unless it is asked for. */
static struct stand *lazy(uint32_t blocks) {
    struct stand *stand = stand_new(blocks);
    stand->config.dirty_max = blocks;
    stand->config.lazy = true;
    stand_start(stand, 2048);
    return stand;
}

static uint64_t looked(const struct stand *stand) {
    return stand->cache.stats.write_scanned;
}

TEST_CASE(cache_round, block_given_up_is_looked_at_no_more) {
    struct stand *stand = stand_new(64);
    stand->config.dirty_max = 64;
    stand_start(stand, 2048);
    stand->backend.fail_to = 100;
    for (uint64_t i = 0; i < 40; i++)
        stand_write(stand, 0, i, 1);
    CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
    CHECK_EQ(stand_stats(stand).failed, 40);
    uint32_t held = stand_get(stand, 0, 150, ALL_OF_IT);
    ash_cache_mark_dirty(&stand->cache, held); /* there is one that could be written */
    uint64_t before = looked(stand);
    for (uint64_t i = 200; i < 300; i++)
        stand_read(stand, 0, i);
    CHECK(looked(stand) - before <= 400);
    ash_cache_put_unchanged(&stand->cache, held);
    backend_drain(&stand->backend);
    stand->backend.fail_to = 0;
    stand_end(stand);
}

TEST_CASE(cache_round, flush_looks_at_what_it_covers_and_what_is_older) {
    struct stand *stand = lazy(512);
    struct stand_flush flush;
    for (uint64_t i = 0; i < 100; i++)
        stand_write(stand, 0, 2 * i, 1);
    uint64_t before = looked(stand);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
    for (uint64_t i = 100; i < 500; i++)
        stand_write(stand, 0, 2 * i, 1);
    for (uint64_t i = 0; flush.told == 0; i++) {
        backend_complete(&stand->backend, 0, i == 3 ? -ASH_EIO : 0);
        stand_write(stand, 0, 900, i); /* dirty already: it may be what a flush waits for */
    }
    CHECK_EQ(flush.flush.status, -ASH_EIO);
    CHECK(looked(stand) - before <= 32 * 100 + 200);
    stand_end(stand);
}

TEST_CASE(cache_round, urgent_block_is_found_among_many_spaces) {
    enum { SPACES = 64 };
    struct stand *stand = stand_new(256);
    static struct ash_cache_space spaces[SPACES];
    stand->config.spaces_max = SPACES;
    stand->config.dirty_max = 256;
    stand->config.lazy = true;
    stand_start(stand, 2048);
    uint32_t frame;
    for (uint32_t id = 1; id < SPACES; id++) {
        spaces[id] = (struct ash_cache_space){.id = id, .blocks = 2048, .write_through = id == 60};
        CHECK_EQ(ash_cache_space_open(&stand->cache, &spaces[id]), 0);
        if (id == 60)
            continue;
        CHECK_EQ(ash_cache_get(&stand->cache, &spaces[id], id, ALL_OF_IT, NULL, &frame), 0);
        CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    }
    CHECK_EQ(stand->backend.writes, 0);
    uint64_t before = looked(stand);
    CHECK_EQ(ash_cache_get(&stand->cache, &spaces[60], 60, ALL_OF_IT, NULL, &frame), 0);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    CHECK_EQ(stand->backend.writes, 1);
    CHECK(looked(stand) - before <= 8);
    stand_end(stand);
}

TEST_CASE(cache_round, copy_of_a_block_in_flight_has_its_place) {
    struct stand *stand = lazy(256);
    struct stand_flush flush, later;
    stand_write(stand, 0, 0, 1);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
    for (uint64_t i = 1; i < 200; i++)
        stand_write(stand, 0, 2 * i, 1);
    uint32_t frame;
    CHECK_EQ(stand_try(stand, 0, 0, ASH_CACHE_WRITE | ASH_CACHE_COPY, &frame), 0);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    stand_check(stand);
    uint64_t before = looked(stand);
    backend_complete(&stand->backend, 0, -ASH_EIO); /* now the flush waits for the copy */
    CHECK_EQ(stand->backend.writes, 2);
    CHECK(looked(stand) - before <= 4);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    CHECK_EQ(flush.flush.status, 0);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&later));
    backend_drain(&stand->backend);
    CHECK_EQ(later.told, 1);
    stand_end(stand);
}

TEST_CASE(cache_round, block_changed_while_in_flight_is_the_newest) {
    struct stand *stand = lazy(256);
    struct stand_flush flush;
    stand_write(stand, 0, 0, 1);
    uint32_t reader = stand_get(stand, 0, 0, 0);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
    stand_write(stand, 0, 10, 1);
    ash_cache_mark_dirty(&stand->cache, reader);
    stand_put(stand, reader);
    backend_complete(&stand->backend, 0, 0);
    stand_check(stand);
    CHECK_EQ(stand->cache.links[1][reader].prev, ASH_CACHE_NONE);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    stand_end(stand);
}

/* Block 5's first version is in flight, and waited for; its second one is behind a flush that
 * fails. Then so does the first one: nobody is going to write either. */
TEST_CASE(cache_round, who_waits_for_a_write_is_told_though_its_copy_was_given_up) {
    struct stand *stand = lazy(16);
    struct stand_waiter waiter;
    struct stand_flush journal;
    uint32_t frame = stand_get(stand, 0, 5, ALL_OF_IT), write, flush;
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, stand_wait(&waiter)), ASH_CACHE_PENDING);
    stand->spaces[1] = (struct ash_cache_space){.id = 1, .blocks = 100};
    CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[1]), 0);
    ash_cache_flush(&stand->cache, &stand->spaces[1], stand_flush(&journal));
    CHECK_EQ(stand_try(stand, 0, 5, ASH_CACHE_WRITE | ASH_CACHE_COPY, &frame), 0);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_FLUSH, &flush), 1);
    backend_complete(&stand->backend, flush, -ASH_EIO);
    stand_check(stand);
    CHECK_EQ(waiter.told, 0);
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, &write), 1);
    backend_complete(&stand->backend, write, -ASH_EIO);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, -ASH_EIO);
    stand_check(stand);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 5, 1, true), 0);
    stand_end(stand);
}
