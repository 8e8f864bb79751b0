/* SPDX-License-Identifier: MIT */
/* flush.c: what a flush covers, when it ends, with what; how many round trips it takes. */
#include "cache/stand.h"

static const uint32_t ALL_OF_IT = ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE;

TEST_CASE(cache_flush, with_nothing_dirty_it_flushes_the_device) {
    struct stand *stand = stand_started(4);
    struct stand_flush flush;
    stand_begin_flush(stand, NULL, &flush);
    CHECK_EQ(flush.told, 0);
    CHECK_EQ(stand->backend.flushes, 1);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, 0);
    CHECK_EQ(flush.told, 1);
    CHECK_EQ(flush.flush.status, 0);
    stand_end(stand);
}

TEST_CASE(cache_flush, writes_come_first_and_then_the_devices_flush) {
    struct stand *stand = stand_started(16);
    struct stand_flush flush;
    stand_write(stand, 0, 3, 1);
    stand_write(stand, 0, 7, 1);
    stand_begin_flush(stand, &stand->spaces[0], &flush);
    CHECK_EQ(stand->backend.writes, 2);
    CHECK_EQ(stand->backend.flushes, 0);
    backend_complete(&stand->backend, 1, 0);
    CHECK_EQ(stand->backend.flushes, 0);
    backend_complete(&stand->backend, 0, 0);
    CHECK_EQ(stand->backend.flushes, 1);
    CHECK_EQ(flush.told, 0);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, 0);
    CHECK_EQ(flush.told, 1);
    stand_end(stand);
}

TEST_CASE(cache_flush, error_of_the_device_is_reported) {
    struct stand *stand = stand_started(4);
    struct stand_flush flush;
    stand_write(stand, 0, 3, 1);
    stand_begin_flush(stand, NULL, &flush);
    stand_end_io(stand, ASH_CACHE_OP_WRITE, 0);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, -ASH_ENXIO);
    CHECK_EQ(flush.told, 1);
    CHECK_EQ(flush.flush.status, -ASH_ENXIO);
    stand_end(stand);
}

TEST_CASE(cache_flush, covers_what_was_dirty_and_nothing_later) {
    struct stand *stand = stand_started(16);
    struct stand_flush flush;
    stand_write(stand, 0, 3, 1);
    stand_begin_flush(stand, NULL, &flush);
    stand_write(stand, 0, 5, 1); /* later */
    stand_end_io(stand, ASH_CACHE_OP_WRITE, 0);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, 0);
    CHECK_EQ(flush.told, 1);
    CHECK_EQ(stand_stats(stand).dirty, 1);
    CHECK_EQ(stand->backend.writes, 1);
    stand_end(stand);
    CHECK(stand_disk_is(stand, 5, 0, 5, 1));
}

TEST_CASE(cache_flush, of_one_space_leaves_the_others_alone) {
    struct stand *stand = stand_started(16);
    for (uint32_t id = 1; id < 3; id++) {
        stand->spaces[id] = (struct ash_cache_space){.id = id, .blocks = 256};
        CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[id]), 0);
    }
    stand_write(stand, 1, 10, 1);
    stand_write(stand, 2, 20, 1);
    CHECK_EQ(stand_sync(stand, &stand->spaces[1]), 0);
    CHECK(stand_disk_is(stand, 10, 1, 10, 1));
    CHECK(!stand_disk_is(stand, 20, 2, 20, 1));
    CHECK_EQ(stand_stats(stand).dirty, 1);
    CHECK_EQ(stand_sync(stand, &stand->spaces[2]), 0);
    CHECK(stand_disk_is(stand, 20, 2, 20, 1));
    stand_end(stand);
}

TEST_CASE(cache_flush, waits_for_the_writer_of_a_dirty_block) {
    struct stand *stand = stand_started(16);
    struct stand_flush flush;
    stand_write(stand, 0, 3, 1);
    uint32_t writer = stand_get(stand, 0, 3, ASH_CACHE_WRITE);
    uint32_t other = stand_get(stand, 0, 4, ALL_OF_IT); /* of a clean one: it is not covered */
    stand_begin_flush(stand, NULL, &flush);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 0);
    stand_check(stand);
    stand_fill(stand, ash_cache_data(&stand->cache, writer), stand_key(0, 3), 2);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, writer, NULL), 0);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    CHECK(stand_disk_is(stand, 3, 0, 3, 2));
    ash_cache_put_unchanged(&stand->cache, other);
    backend_drain(&stand->backend);
    stand_end(stand);
}

TEST_CASE(cache_flush, those_that_are_ready_share_one_flush_of_the_device) {
    struct stand *stand = stand_started(16);
    struct stand_flush flushes[6];
    stand_begin_flush(stand, NULL, &flushes[0]);
    for (uint32_t i = 1; i < 6; i++)
        stand_begin_flush(stand, NULL, &flushes[i]);
    CHECK_EQ(stand->backend.flushes, 1);
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, 0);
    CHECK_EQ(flushes[0].told, 1);
    for (uint32_t i = 1; i < 6; i++) {
        CHECK_EQ(flushes[i].told, 0); /* what was written since may not be under the first one */
        CHECK(flushes[i].flush.number == flushes[i - 1].flush.number + 1);
    }
    stand_end_io(stand, ASH_CACHE_OP_FLUSH, 0);
    for (uint32_t i = 1; i < 6; i++)
        CHECK_EQ(flushes[i].told, 1);
    CHECK_EQ(stand->backend.flushes, 2);
    stand_end(stand);
}

TEST_CASE(cache_flush, failing_write_is_reported_by_each_until_it_succeeds) {
    struct stand *stand = stand_started(16);
    stand_write(stand, 0, 3, 1);
    stand_write(stand, 0, 9, 1);
    stand->backend.fail_from = 3;
    stand->backend.fail_to = 4;
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
        CHECK_EQ(stand_stats(stand).failed, 1);
        CHECK(stand_disk_is(stand, 9, 0, 9, 1)); /* nothing else is stopped by it */
        stand_check(stand);
    }
    CHECK_EQ(stand->backend.writes, 6);
    stand->backend.fail_to = 0;
    CHECK_EQ(stand_sync(stand, NULL), 0);
    CHECK(stand_disk_is(stand, 3, 0, 3, 1));
    CHECK_EQ(stand_sync(stand, NULL), 0);
    CHECK_EQ(stand->backend.writes, 7);
    stand_end(stand);
}

TEST_CASE(cache_flush, first_error_is_the_one_reported) {
    struct stand *stand = stand_started(16);
    struct stand_flush flush;
    stand_write(stand, 0, 3, 1);
    stand_write(stand, 0, 9, 1);
    stand_begin_flush(stand, NULL, &flush);
    backend_complete(&stand->backend, 0, -ASH_ENXIO);
    backend_complete(&stand->backend, 0, -ASH_ENODEV);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.flush.status, -ASH_ENXIO);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    stand_end(stand);
}

TEST_CASE(cache_flush, discarded_block_is_waited_for_no_more) {
    struct stand *stand = stand_started(16);
    struct stand_flush flush;
    stand->backend.fail_to = 256;
    stand_write(stand, 0, 3, 1);
    CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 3, 1, true), 0);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    stand_write(stand, 0, 4, 1);
    uint32_t writer = stand_get(stand, 0, 4, ASH_CACHE_WRITE);
    stand_begin_flush(stand, NULL, &flush);
    ash_cache_put_unchanged(&stand->cache, writer);
    stand->backend.fail_to = 0;
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    stand_end(stand);
}

TEST_CASE(cache_flush, device_is_flushed_though_writers_go_on_and_on) {
    struct stand *stand = stand_new(64);
    stand->config.depth = 4;
    stand->config.dirty_max = 32;
    stand->config.segments_max = 1;
    stand_start(stand, 1024);
    struct stand_flush flush;
    uint64_t next = 0;
    for (; next < 30; next++)
        stand_write(stand, 0, next * 2, 1);
    stand_begin_flush(stand, NULL, &flush);
    for (; next < 400 && flush.told == 0; next++) {
        stand_write(stand, 0, next * 2, 1);
        backend_complete(&stand->backend, 0, 0);
    }
    CHECK_EQ(flush.told, 1);
    CHECK(next < 100);
    stand_end(stand);
}

TEST_CASE(cache_flush, ends_though_readers_always_want_more_than_the_device_takes) {
    enum { DEPTH = 4, READERS = 16 };
    struct stand *stand = stand_new(64);
    stand->config.depth = DEPTH;
    stand->config.segments_max = 1;
    stand_start(stand, 4096);
    struct stand_flush flush;
    static struct stand_waiter readers[READERS];
    uint64_t next = 100;
    uint32_t ended = 0;
    stand_write(stand, 0, 5, 1);
    stand_write(stand, 0, 7, 1);
    for (uint32_t i = 0; i < READERS; i++, next += 2)
        CHECK_EQ(stand_ask(stand, 0, next, 0, &readers[i]), ASH_CACHE_PENDING);
    stand_begin_flush(stand, NULL, &flush);
    for (; flush.told == 0 && ended < 200; ended++) {
        backend_complete(&stand->backend, 0, 0);
        for (uint32_t i = 0; i < READERS; i++) {
            if (readers[i].told == 0)
                continue;
            stand_put(stand, readers[i].waiter.frame);
            CHECK_EQ(stand_ask(stand, 0, next, 0, &readers[i]), ASH_CACHE_PENDING);
            next += 2;
        }
    }
    CHECK_EQ(flush.told, 1);
    CHECK(ended < 100);
    backend_drain(&stand->backend);
    for (uint32_t i = 0; i < READERS; i++)
        stand_put(stand, readers[i].waiter.frame);
    stand_end(stand);
}

/* Two who write to one block in turns, each of whom is in line before the other is done. */
static uint32_t turns_until_told(struct stand *stand, const uint32_t *told) {
    enum { ENDLESS = 100 };
    struct stand_waiter next[2];
    uint32_t turns = 0;
    CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE, &next[0]), ASH_CACHE_PENDING);
    uint32_t frame = 0;
    for (CHECK_EQ(stand_try(stand, 0, 5, ASH_CACHE_CACHED, &frame), 0); *told == 0; turns++) {
        struct stand_waiter *mine = &next[turns % 2], *others = &next[(turns + 1) % 2];
        CHECK(turns < ENDLESS);
        CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
        while (mine->told == 0)
            backend_complete(&stand->backend, 0, 0);
        CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE, others), ASH_CACHE_PENDING);
        while (stand->backend.pending_count != 0)
            backend_complete(&stand->backend, 0, 0);
        stand_check(stand);
    }
    stand_put(stand, frame);
    ash_cache_put_unchanged(&stand->cache, frame);
    backend_drain(&stand->backend);
    struct stand_waiter *last = &next[turns % 2];
    CHECK_EQ(last->told, 1);
    ash_cache_put_unchanged(&stand->cache, frame);
    backend_drain(&stand->backend);
    return turns;
}

TEST_CASE(cache_flush, ends_though_writers_of_one_block_take_turns) {
    struct stand *stand = stand_started(16);
    struct stand_flush flush;
    stand_write(stand, 0, 5, 1);
    (void)stand_get(stand, 0, 5, ASH_CACHE_WRITE);
    stand_begin_flush(stand, NULL, &flush);
    CHECK(turns_until_told(stand, &flush.told) < 4);
    stand_end(stand);
}

TEST_CASE(cache_flush, write_that_is_waited_for_comes_though_writers_take_turns) {
    struct stand *stand = stand_started(16);
    struct stand_waiter written;
    uint32_t frame = stand_get(stand, 0, 5, ALL_OF_IT), again;
    struct stand_waiter writer;
    CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE, &writer), ASH_CACHE_PENDING);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, stand_wait(&written)), ASH_CACHE_PENDING);
    CHECK_EQ(writer.told, 0);
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL), 1);
    backend_drain(&stand->backend);
    CHECK_EQ(written.told, 1);
    CHECK_EQ(writer.told, 1);
    ash_cache_put_unchanged(&stand->cache, frame);
    CHECK_EQ(stand_try(stand, 0, 5, ASH_CACHE_WRITE, &again), 0);
    ash_cache_put_unchanged(&stand->cache, again);
    stand_end(stand);
}

TEST_CASE(cache_flush, scattered_blocks_take_a_round_trip_for_each_depth_of_them) {
    struct stand *stand = stand_new(256);
    stand->config.dirty_max = 256;
    stand->config.lazy = true;
    for (uint32_t k = 1; k <= 200; k += 1 + k / 40 * 3) {
        stand_start(stand, 1024);
        for (uint64_t i = 0; i < k; i++) /* no two beside each other, in no order */
            stand_write(stand, 0, i * 73 % 509 * 2, 1);
        struct stand_flush flush;
        stand_begin_flush(stand, NULL, &flush);
        uint32_t rounds = backend_drain(&stand->backend);
        CHECK_EQ(flush.told, 1);
        CHECK_EQ(rounds, (k + 31) / 32 + 1);
        CHECK_EQ(stand->backend.writes, k);
        CHECK_EQ(stand->backend.flushes, 1);
        CHECK_EQ(stand->backend.most_pending, ash_min_u64(k, 32));
        CHECK_EQ(ash_cache_fini(&stand->cache), 0);
    }
}

TEST_CASE(cache_flush, blocks_beside_each_other_are_written_together) {
    struct stand *stand = stand_new(256);
    stand->config.dirty_max = 256;
    stand->config.lazy = true;
    stand_start(stand, 1024);
    for (uint64_t i = 0; i < 200; i++)
        stand_write(stand, 0, i * 73 % 200, i + 1);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    CHECK_EQ(stand->backend.writes, (200 + 15) / 16);
    for (uint64_t i = 0; i < 200; i++)
        CHECK(stand_disk_is(stand, i * 73 % 200, 0, i * 73 % 200, i + 1));
    for (uint32_t i = 0; i + 2 < stand->backend.log_count; i++)
        CHECK_EQ(stand->backend.log[i].segments, 16);
    stand_end(stand);
}

TEST_CASE(cache_flush, in_a_callback_is_a_flush_of_its_own) {
    struct stand *stand = stand_started(16);
    stand->backend.synchronous = true;
    for (uint64_t i = 0; i < 100; i++) {
        stand_write(stand, 0, i, 1);
        if (i % 3 == 0)
            CHECK_EQ(stand_sync(stand, NULL), 0);
    }
    stand_end(stand);
    for (uint64_t i = 0; i < 100; i++)
        CHECK(stand_disk_is(stand, i, 0, i, 1));
}
