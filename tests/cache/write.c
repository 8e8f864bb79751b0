/* SPDX-License-Identifier: MIT */
/* write.c: writers: one at a time, all of a block, in flight, through, behind the cache's back. */
#include "cache/stand.h"

static const uint32_t ALL_OF_IT = ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE;

TEST_CASE(cache_write, one_writer_at_a_time_and_the_next_is_told) {
    struct stand *stand = stand_started(4);
    uint32_t frame = stand_get(stand, 0, 1, ASH_CACHE_WRITE), reader;
    struct stand_waiter next[2];
    CHECK_EQ(stand_ask(stand, 0, 1, ASH_CACHE_WRITE, &next[0]), ASH_CACHE_PENDING);
    CHECK_EQ(stand_ask(stand, 0, 1, ASH_CACHE_WRITE, &next[1]), ASH_CACHE_PENDING);
    CHECK_EQ(stand_try(stand, 0, 1, 0, &reader), 0); /* readers see it change */
    CHECK_EQ(reader, frame);
    stand_put(stand, reader);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    CHECK_EQ(next[0].told, 1);
    CHECK_EQ(next[1].told, 0);
    ash_cache_put_unchanged(&stand->cache, next[0].waiter.frame);
    CHECK_EQ(next[1].told, 1);
    stand_check(stand);
    ash_cache_put_unchanged(&stand->cache, next[1].waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_write, overwrite_of_an_absent_block_reads_nothing_and_gives_zeros) {
    struct stand *stand = stand_started(2);
    stand_fill(stand, stand->backend.bytes + 5 * 512, stand_key(0, 5), 9);
    for (uint64_t i = 0; i < 2; i++) {
        stand_fill(stand, stand->backend.bytes + i * 512, stand_key(0, i), 7);
        stand_read(stand, 0, i); /* no frame is zero */
    }
    uint32_t frame;
    CHECK_EQ(stand_try(stand, 0, 5, ALL_OF_IT, &frame), 0);
    CHECK(stand_frame_is(stand, frame, 0, 5, 0));
    CHECK_EQ(stand->backend.reads, 2);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    stand_expect(stand, 0, 5, 0);
    stand_end(stand);
    CHECK(stand_disk_is(stand, 5, 0, 5, 0));
}

TEST_CASE(cache_write, overwrite_of_a_block_that_is_there_keeps_its_bytes) {
    struct stand *stand = stand_started(2);
    stand_write(stand, 0, 5, 3);
    uint32_t frame = stand_get(stand, 0, 5, ALL_OF_IT);
    CHECK(stand_frame_is(stand, frame, 0, 5, 3));
    ash_cache_put_unchanged(&stand->cache, frame);
    stand_expect(stand, 0, 5, 3);
    stand_end(stand);
}

/* Whoever asks meanwhile sees nothing of it until it is whole. */
static void overwrite_is_not_seen(bool shared) {
    struct stand *stand = stand_new(4);
    stand->config.shared = shared;
    stand_start(stand, 256);
    uint32_t frame = stand_get(stand, 0, 5, ALL_OF_IT), other;
    struct stand_waiter reader, writer;
    CHECK_EQ(stand_try(stand, 0, 5, 0, &other), -ASH_EAGAIN);
    CHECK_EQ(stand_ask(stand, 0, 5, 0, &reader), ASH_CACHE_PENDING);
    CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE, &writer), ASH_CACHE_PENDING);
    stand_check(stand);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 5), 8);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    CHECK_EQ(reader.told, 1);
    CHECK(stand_frame_is(stand, reader.waiter.frame, 0, 5, 8));
    CHECK_EQ(writer.told, 1);
    stand_check(stand);
    stand_put(stand, reader.waiter.frame);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, writer.waiter.frame, NULL), 0);
    CHECK_EQ(stand->backend.reads, 0);
    stand_end(stand);
}

TEST_CASE(cache_write, block_being_overwritten_is_seen_by_nobody) {
    overwrite_is_not_seen(false);
    overwrite_is_not_seen(true);
}

TEST_CASE(cache_write, overwrite_given_up_is_read_for_those_who_wait) {
    struct stand *stand = stand_started(4);
    stand_fill(stand, stand->backend.bytes + 5 * 512, stand_key(0, 5), 2);
    uint32_t frame = stand_get(stand, 0, 5, ALL_OF_IT);
    struct stand_waiter reader, writer;
    CHECK_EQ(stand_ask(stand, 0, 5, 0, &reader), ASH_CACHE_PENDING);
    CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE, &writer), ASH_CACHE_PENDING);
    memset(ash_cache_data(&stand->cache, frame), 0x77, 512);
    ash_cache_put_unchanged(&stand->cache, frame);
    stand_check(stand);
    backend_drain(&stand->backend);
    CHECK_EQ(reader.told, 1);
    CHECK(stand_frame_is(stand, reader.waiter.frame, 0, 5, 2));
    CHECK_EQ(writer.told, 1);
    stand_put(stand, reader.waiter.frame);
    ash_cache_put_unchanged(&stand->cache, writer.waiter.frame);
    stand_end(stand);
    CHECK(stand_disk_is(stand, 5, 0, 5, 2));
}

TEST_CASE(cache_write, put_unchanged_leaves_a_clean_block_clean) {
    struct stand *stand = stand_started(4);
    uint32_t frame = stand_get(stand, 0, 5, ASH_CACHE_WRITE);
    CHECK_EQ(stand_stats(stand).dirty, 0);
    ash_cache_put_unchanged(&stand->cache, frame);
    CHECK_EQ(stand_stats(stand).dirty, 0);
    stand_end(stand);
    CHECK_EQ(stand->backend.writes, 0);
}

TEST_CASE(cache_write, writer_waits_for_a_block_in_flight) {
    struct stand *stand = stand_started(4);
    struct stand_flush flush;
    struct stand_waiter writer;
    stand_write(stand, 0, 5, 1);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
    CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE, &writer), ASH_CACHE_PENDING);
    CHECK_EQ(stand_stats(stand).waits_flight, 1);
    backend_complete(&stand->backend, 0, 0);
    CHECK_EQ(writer.told, 1);
    ash_cache_put_unchanged(&stand->cache, writer.waiter.frame);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    stand_end(stand);
}

TEST_CASE(cache_write, change_behind_the_back_while_in_flight_is_written_too) {
    struct stand_flush flush, second;
    struct stand *stand = stand_in_flight(4, &flush);
    uint32_t frame = stand_get(stand, 0, 5, 0);
    backend_complete(&stand->backend, 0, 0); /* device has taken version 1 */
    CHECK(stand_disk_is(stand, 5, 0, 5, 1));
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 5), 2);
    ash_cache_mark_dirty(&stand->cache, frame);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&second));
    struct backend *backend = &stand->backend;
    uint32_t write = 0;
    while (backend_count(backend, ASH_CACHE_OP_WRITE, &write) == 0)
        backend_complete(backend, 0, 0);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 5), 3);
    memcpy(backend->bytes + 5 * 512, ash_cache_data(&stand->cache, frame), 512);
    ash_cache_mark_dirty(&stand->cache, frame);
    stand_put(stand, frame);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    CHECK_EQ(backend->writes, 3);
    CHECK(stand_disk_is(stand, 5, 0, 5, 3));
    stand_end(stand);
}

TEST_CASE(cache_write, change_while_in_flight_belongs_to_the_flush_that_follows_it) {
    struct stand_flush first, second, third;
    struct stand *stand = stand_in_flight(4, &first);
    uint32_t frame = stand_get(stand, 0, 5, 0);
    ash_cache_mark_dirty(&stand->cache, frame); /* after the first flush */
    ash_cache_flush(&stand->cache, NULL, stand_flush(&second));
    ash_cache_mark_dirty(&stand->cache, frame); /* after the second */
    ash_cache_flush(&stand->cache, NULL, stand_flush(&third));
    stand_check(stand);
    stand_put(stand, frame);
    backend_complete(&stand->backend, 0, 0);
    stand_check(stand);
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL), 1);
    CHECK_EQ(first.told, 0);
    uint32_t flushing;
    if (backend_count(&stand->backend, ASH_CACHE_OP_FLUSH, &flushing) != 0)
        backend_complete(&stand->backend, flushing, 0);
    CHECK_EQ(first.told, 1);
    CHECK_EQ(second.told, 0); /* its change is in the write that is in flight now */
    backend_drain(&stand->backend);
    CHECK_EQ(second.told, 1);
    CHECK_EQ(third.told, 1);
    stand_end(stand);
}

TEST_CASE(cache_write, mark_dirty_of_a_block_that_a_writer_has_is_counted_once) {
    struct stand *stand = stand_new(8);
    stand->config.dirty_max = 1;
    stand_start(stand, 256);
    uint32_t reader = stand_get(stand, 0, 5, 0), writer = stand_get(stand, 0, 5, ASH_CACHE_WRITE);
    ash_cache_mark_dirty(&stand->cache, reader);
    stand_check(stand);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, writer, NULL), 0);
    stand_put(stand, reader);
    stand_check(stand);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    stand_write(stand, 0, 6, 1); /* there is room for one again */
    stand_end(stand);
}

TEST_CASE(cache_write, mark_dirty_passes_over_the_bound) {
    struct stand *stand = stand_new(8);
    stand->config.dirty_max = 1;
    stand_start(stand, 256);
    uint32_t frames[4];
    for (uint32_t i = 0; i < 4; i++)
        frames[i] = stand_get(stand, 0, i, 0);
    for (uint32_t i = 0; i < 4; i++)
        ash_cache_mark_dirty(&stand->cache, frames[i]);
    for (uint32_t i = 0; i < 4; i++)
        stand_put(stand, frames[i]);
    stand_check(stand);
    stand_end(stand);
    CHECK_EQ(stand_stats(stand).blocks_written, 4);
}

TEST_CASE(cache_write, what_was_not_got_for_writing_cannot_be_put_so) {
    stand_needs_checks();
    struct stand *stand = stand_started(4);
    uint32_t frame = stand_get(stand, 0, 5, 0);
    CHECK_PANICS((void)ash_cache_put_dirty(&stand->cache, frame, NULL), "not got for writing");
    stand_start(stand, 256);
    frame = stand_get(stand, 0, 5, 0);
    CHECK_PANICS(ash_cache_put_unchanged(&stand->cache, frame), "not got for writing");
    stand_start(stand, 256);
    stand_read(stand, 0, 5);
    CHECK_PANICS(ash_cache_mark_dirty(&stand->cache, frame), "which nobody has pinned");
}

TEST_CASE(cache_through, put_dirty_with_a_waiter_writes_now_and_tells) {
    struct stand *stand = stand_started(16);
    struct stand_waiter waiter;
    stand_write(stand, 0, 4, 1);
    uint32_t frame = stand_get(stand, 0, 5, ALL_OF_IT);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 5), 1);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, stand_wait(&waiter)), ASH_CACHE_PENDING);
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL), 1);
    CHECK_EQ(stand->backend.log[0].sector, 5);
    CHECK_EQ(waiter.told, 0);
    backend_complete(&stand->backend, 0, 0);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, 0);
    CHECK(stand_disk_is(stand, 5, 0, 5, 1));
    stand_end(stand);
}

TEST_CASE(cache_through, space_that_writes_through_writes_each_block_at_once) {
    struct stand *stand = stand_started(16);
    stand->spaces[0].write_through = true;
    for (uint64_t i = 0; i < 4; i++) {
        stand_write(stand, 0, i * 2, 1);
        CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL), 1);
        backend_drain(&stand->backend);
        CHECK(stand_disk_is(stand, i * 2, 0, i * 2, 1));
    }
    uint32_t frame = stand_get(stand, 0, 9, 0);
    ash_cache_mark_dirty(&stand->cache, frame);
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL), 1);
    stand_put(stand, frame);
    stand_end(stand);
}

/* The device fails the first `failures` writes; the waiter's status. */
static int through_failures(struct stand *stand, uint32_t failures, uint32_t retries_max) {
    struct stand_waiter waiter;
    stand->config.retries_max = retries_max;
    stand_start(stand, 256);
    stand->backend.fail_at = 1;
    stand->backend.fail_count = failures;
    uint32_t frame = stand_get(stand, 0, 5, ALL_OF_IT);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 5), 1);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, stand_wait(&waiter)), ASH_CACHE_PENDING);
    backend_drain(&stand->backend);
    CHECK_EQ(waiter.told, 1);
    stand_check(stand);
    return waiter.waiter.status;
}

TEST_CASE(cache_through, failed_write_is_tried_again_as_often_as_said) {
    struct stand *stand = stand_new(16);
    for (uint32_t retries = 0; retries < 4; retries++) {
        for (uint32_t failures = 0; failures < 6; failures++) {
            int status = through_failures(stand, failures, retries);
            bool written = failures <= retries;
            CHECK_EQ(status, written ? 0 : -ASH_EIO);
            CHECK_EQ(stand->backend.writes, written ? failures + 1 : retries + 1);
            CHECK_EQ(stand_stats(stand).retries, written ? failures : retries);
            CHECK_EQ(stand_stats(stand).write_errors, !written);
            CHECK_EQ(stand_stats(stand).failed, !written);
            stand->backend.fail_count = 0;
            stand_end(stand);
            CHECK(stand_disk_is(stand, 5, 0, 5, 1));
        }
    }
}

TEST_CASE(cache_through, waiter_is_told_though_others_hurry_and_fail) {
    struct stand *stand = stand_new(16);
    stand->config.lazy = true;
    stand->config.retries_max = 1;
    stand->config.depth = 4;
    stand_start(stand, 256);
    struct stand_waiter waiters[8];
    stand->backend.fail_from = 0;
    stand->backend.fail_to = 8; /* of the blocks 0, 4, 8 ... 28 two cannot be written */
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t frame = stand_get(stand, 0, i * 4, ALL_OF_IT);
        CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, stand_wait(&waiters[i])),
                 ASH_CACHE_PENDING);
    }
    backend_drain(&stand->backend);
    for (uint32_t i = 0; i < 8; i++) {
        CHECK_EQ(waiters[i].told, 1);
        CHECK_EQ(waiters[i].waiter.status, i < 2 ? -ASH_EIO : 0);
    }
    stand->backend.fail_to = 0;
    stand_end(stand);
}

TEST_CASE(cache_bound, writer_waits_where_too_much_is_dirty) {
    struct stand *stand = stand_new(16);
    stand->config.dirty_max = 2;
    stand->config.lazy = true;
    stand_start(stand, 256);
    struct stand_waiter waiter;
    stand_write(stand, 0, 0, 1);
    stand_write(stand, 0, 2, 1);
    CHECK_EQ(stand->backend.writes, 0);
    CHECK_EQ(stand_ask(stand, 0, 4, ALL_OF_IT, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(stand_stats(stand).waits_dirty, 1);
    CHECK(stand->backend.writes != 0);
    CHECK_EQ(waiter.told, 0);
    backend_complete(&stand->backend, 0, 0);
    CHECK_EQ(waiter.told, 1);
    ash_cache_put_unchanged(&stand->cache, waiter.waiter.frame);
    backend_drain(&stand->backend);
    stand_end(stand);
}

TEST_CASE(cache_bound, clean_blocks_that_writers_have_count) {
    struct stand *stand = stand_new(16);
    stand->config.dirty_max = 2;
    stand_start(stand, 256);
    struct stand_waiter waiter;
    uint32_t a = stand_get(stand, 0, 0, ASH_CACHE_WRITE),
             b = stand_get(stand, 0, 1, ASH_CACHE_WRITE);
    CHECK_EQ(stand_ask(stand, 0, 4, ALL_OF_IT, &waiter), ASH_CACHE_PENDING);
    ash_cache_put_unchanged(&stand->cache, a);
    CHECK_EQ(waiter.told, 1);
    ash_cache_put_unchanged(&stand->cache, b);
    ash_cache_put_unchanged(&stand->cache, waiter.waiter.frame);
    backend_drain(&stand->backend);
    stand_end(stand);
}

TEST_CASE(cache_bound, writer_gets_eio_where_all_that_may_be_dirty_has_failed) {
    struct stand *stand = stand_new(16);
    stand->config.dirty_max = 2;
    stand_start(stand, 256);
    stand->backend.fail_to = 256;
    struct stand_waiter waiter;
    uint32_t frame;
    stand_write(stand, 0, 0, 1);
    stand_write(stand, 0, 2, 1);
    CHECK_EQ(stand_ask(stand, 0, 4, ALL_OF_IT, &waiter), ASH_CACHE_PENDING);
    backend_drain(&stand->backend);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, -ASH_EIO);
    CHECK_EQ(stand_try(stand, 0, 4, ALL_OF_IT, &frame), -ASH_EIO);
    CHECK_EQ(stand_try(stand, 0, 4, ASH_CACHE_WRITE, &frame), -ASH_EIO);
    CHECK_EQ(stand_stats(stand).failed, 2);
    stand->backend.fail_to = 0;
    stand_expect(stand, 0, 4, 0); /* readers go on */
    stand_write(stand, 0, 2, 2);  /* and what is dirty anyway may be written to */
    backend_drain(&stand->backend);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    stand_write(stand, 0, 4, 1);
    stand_end(stand);
    CHECK(stand_disk_is(stand, 2, 0, 2, 2));
}

TEST_CASE(cache_bound, background_writes_down_to_half_of_the_bound) {
    struct stand *stand = stand_new(32);
    stand->config.dirty_max = 8;
    stand_start(stand, 256);
    for (uint64_t i = 0; i < 4; i++)
        stand_write(stand, 0, i * 2, 1);
    CHECK_EQ(stand->backend.writes, 0);
    stand_write(stand, 0, 8, 1);
    CHECK_EQ(stand->backend.writes, 1); /* the oldest */
    CHECK_EQ(stand->backend.log[stand->backend.log_count - 1].sector, 0);
    stand_end(stand);
}

TEST_CASE(cache_write, failed_write_keeps_the_data_and_says_so) {
    struct stand *stand = stand_started(4);
    stand->backend.fail_to = 256;
    stand_write(stand, 0, 5, 1);
    CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
    stand->backend.fail_to = 0;
    for (uint64_t i = 10; i < 40; i++)
        stand_read(stand, 0, i); /* it is never evicted */
    uint32_t frame = stand_get(stand, 0, 5, 0);
    CHECK(stand_frame_is(stand, frame, 0, 5, 1));
    CHECK_EQ(ash_cache_frame_error(&stand->cache, frame), -ASH_EIO);
    stand_put(stand, frame);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    frame = stand_get(stand, 0, 5, 0);
    CHECK_EQ(ash_cache_frame_error(&stand->cache, frame), 0);
    stand_put(stand, frame);
    stand_end(stand);
    CHECK(stand_disk_is(stand, 5, 0, 5, 1));
}

TEST_CASE(cache_write, block_dirtied_anew_after_a_failure_is_written_in_the_background_again) {
    struct stand *stand = stand_started(4);
    struct stand_waiter waiter;
    stand->backend.fail_to = 256;
    stand_write(stand, 0, 5, 1);
    CHECK_EQ(stand_sync(stand, NULL), -ASH_EIO);
    stand->backend.fail_to = 0;
    uint32_t frame = stand_get(stand, 0, 5, ASH_CACHE_WRITE);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 5), 2);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, stand_wait(&waiter)), ASH_CACHE_PENDING);
    backend_drain(&stand->backend);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, 0);
    CHECK(stand_disk_is(stand, 5, 0, 5, 2));
    stand_end(stand);
}

TEST_CASE(cache_write, eviction_writes_dirty_blocks_first) {
    for (uint32_t p = 0; ash_cache_policy_name(p) != NULL; p++) {
        struct stand *stand = stand_new(4);
        stand->config.policy = ash_cache_policy_name(p);
        stand->config.dirty_max = 4;
        stand->config.lazy = true;
        stand_start(stand, 256);
        for (uint64_t i = 0; i < 64; i++)
            stand_write(stand, 0, i, i + 1);
        stand_check(stand);
        stand_end(stand);
        for (uint64_t i = 0; i < 64; i++)
            CHECK(stand_disk_is(stand, i, 0, i, i + 1));
    }
}

TEST_CASE(cache_write, an_event_counts_dirty_blocks) {
    struct stand *stand = stand_started(16);
    uint64_t cache, blocks, before;
    for (uint64_t i = 0; i < 3; i++)
        stand_write(stand, 0, i, 1);
    before = test_event_last("cache.dirty", &cache, &blocks);
    CHECK_EQ(before, 3);
    CHECK_EQ(cache, (uintptr_t)&stand->cache);
    CHECK_EQ(blocks, 3);
    stand_write(stand, 0, 1, 2); /* it is dirty already */
    CHECK_EQ(test_event_count("cache.dirty"), before);
    CHECK_EQ(stand_sync(stand, NULL), 0);
    CHECK_EQ(test_event_last("cache.dirty", NULL, &blocks), before + 3);
    CHECK_EQ(blocks, 0);
    stand_end(stand);
}
