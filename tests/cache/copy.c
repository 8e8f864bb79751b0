/* SPDX-License-Identifier: MIT */
/* copy.c: a writer of a block in flight who does not wait. */
#include "cache/stand.h"

static const uint32_t ALL_OF_IT = ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE;

static uint32_t write_copy(struct stand *stand, uint64_t version) {
    uint32_t frame;
    CHECK_EQ(stand_try(stand, 0, 5, ASH_CACHE_WRITE | ASH_CACHE_COPY, &frame), 0);
    CHECK(stand_frame_is(stand, frame, 0, 5, version - 1));
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 5), version);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    return frame;
}

TEST_CASE(cache_copy, writer_of_a_block_in_flight_gets_a_copy) {
    struct stand_flush flush;
    struct stand *stand = stand_in_flight(4, &flush);
    write_copy(stand, 2);
    CHECK_EQ(stand_stats(stand).copies, 1);
    stand_check(stand);
    stand_expect(stand, 0, 5, 2);
    backend_complete(&stand->backend, 0, 0);
    CHECK(stand_disk_is(stand, 5, 0, 5, 1)); /* what was in flight is not changed */
    stand_end(stand);
    CHECK(stand_disk_is(stand, 5, 0, 5, 2));
    CHECK_EQ(flush.told, 1);
    CHECK_EQ(stand_stats(stand).free, 3);
}

TEST_CASE(cache_copy, copy_is_not_written_while_the_original_is) {
    struct stand_flush flush, second;
    struct stand *stand = stand_in_flight(4, &flush);
    write_copy(stand, 2);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&second));
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL), 1);
    CHECK_EQ(stand->backend.overlaps, 0);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told + second.told, 2);
    CHECK(stand_disk_is(stand, 5, 0, 5, 2));
    stand_end(stand);
}

TEST_CASE(cache_copy, failed_write_of_the_original_loses_nothing) {
    struct stand_flush flush;
    struct stand *stand = stand_in_flight(4, &flush);
    write_copy(stand, 2);
    backend_complete(&stand->backend, 0, -ASH_EIO);
    stand_check(stand);
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    CHECK_EQ(flush.flush.status, 0); /* what it covered was written by the copy */
    CHECK(stand_disk_is(stand, 5, 0, 5, 2));
    stand_end(stand);
}

TEST_CASE(cache_copy, block_that_readers_have_pinned_is_not_copied) {
    struct stand_flush flush;
    struct stand *stand = stand_in_flight(4, &flush);
    struct stand_waiter writer;
    uint32_t reader;
    CHECK_EQ(stand_try(stand, 0, 5, 0, &reader), 0);
    CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE | ASH_CACHE_COPY, &writer), ASH_CACHE_PENDING);
    backend_complete(&stand->backend, 0, 0);
    CHECK_EQ(writer.told, 1);
    CHECK_EQ(writer.waiter.frame, reader); /* who pinned it sees it change */
    stand_fill(stand, ash_cache_data(&stand->cache, reader), stand_key(0, 5), 2);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, reader, NULL), 0);
    CHECK(stand_frame_is(stand, reader, 0, 5, 2));
    ash_cache_mark_dirty(&stand->cache, reader);
    stand_put(stand, reader);
    stand_end(stand);
}

TEST_CASE(cache_copy, without_a_frame_to_spare_the_writer_waits) {
    struct stand_flush flush;
    struct stand *stand = stand_in_flight(1, &flush);
    struct stand_waiter writer;
    CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE | ASH_CACHE_COPY, &writer), ASH_CACHE_PENDING);
    backend_complete(&stand->backend, 0, 0);
    CHECK_EQ(writer.told, 1);
    ash_cache_put_unchanged(&stand->cache, writer.waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_copy, flush_of_the_original_does_not_wait_for_the_copys_writer) {
    struct stand_flush flush, later;
    struct stand *stand = stand_in_flight(4, &flush);
    uint32_t frame;
    CHECK_EQ(stand_try(stand, 0, 5, ASH_CACHE_WRITE | ASH_CACHE_COPY, &frame), 0);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&later));
    backend_drain(&stand->backend);
    CHECK_EQ(flush.told, 1);
    CHECK_EQ(flush.flush.status, 0);
    CHECK_EQ(later.told, 0); /* the copy was there, and may have been changed before */
    stand_check(stand);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 5), 2);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, NULL), 0);
    backend_drain(&stand->backend);
    CHECK_EQ(later.told, 1);
    CHECK(stand_disk_is(stand, 5, 0, 5, 2));
    stand_end(stand);
}

TEST_CASE(cache_copy, writers_who_waited_for_the_original_are_told) {
    struct stand_flush flush;
    struct stand *stand = stand_in_flight(4, &flush);
    struct stand_waiter patient;
    CHECK_EQ(stand_ask(stand, 0, 5, ASH_CACHE_WRITE, &patient), ASH_CACHE_PENDING);
    write_copy(stand, 2);
    backend_drain(&stand->backend);
    CHECK_EQ(patient.told, 1);
    CHECK(stand_frame_is(stand, patient.waiter.frame, 0, 5, 2));
    ash_cache_put_unchanged(&stand->cache, patient.waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_copy, who_waits_for_the_write_of_the_original_is_told_of_the_copy_if_it_fails) {
    struct stand *stand = stand_started(4);
    struct stand_waiter through;
    uint32_t frame = stand_get(stand, 0, 5, ALL_OF_IT);
    stand_fill(stand, ash_cache_data(&stand->cache, frame), stand_key(0, 5), 1);
    CHECK_EQ(ash_cache_put_dirty(&stand->cache, frame, stand_wait(&through)), ASH_CACHE_PENDING);
    write_copy(stand, 2);
    backend_complete(&stand->backend, 0, -ASH_EIO);
    CHECK_EQ(through.told, 0);
    backend_drain(&stand->backend);
    CHECK_EQ(through.told, 1);
    CHECK_EQ(through.waiter.status, 0);
    CHECK(stand_disk_is(stand, 5, 0, 5, 2));
    stand_end(stand);
}

TEST_CASE(cache_copy, copy_is_not_discarded_while_the_original_is_in_flight) {
    struct stand_flush flush;
    struct stand *stand = stand_in_flight(4, &flush);
    write_copy(stand, 2);
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 5, 1, true), -ASH_EBUSY);
    backend_complete(&stand->backend, 0, -ASH_EIO);
    stand_check(stand);
    backend_drain(&stand->backend);
    stand_end(stand);
}
