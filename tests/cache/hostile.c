/* SPDX-License-Identifier: MIT */
/* hostile.c: backends and callers that break the rules, and numbers that wrap. */
#include "cache/stand.h"

enum { ALL_OF_IT = ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE };

TEST_CASE(cache_hostile, io_that_ends_twice_panics) {
    struct stand *stand = stand_started(4);
    struct stand_waiter waiter;
    CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiter), ASH_CACHE_PENDING);
    struct ash_cache_io *io = stand->backend.pending[0];
    backend_complete(&stand->backend, 0, 0);
    CHECK_PANICS(ash_cache_complete(&stand->cache, io, 0), "not the backend's");
}

TEST_CASE(cache_hostile, io_that_was_never_submitted_panics) {
    struct stand *stand = stand_started(4);
    struct ash_cache_io foreign = {.op = ASH_CACHE_OP_READ};
    CHECK_PANICS(ash_cache_complete(&stand->cache, &stand->cache.ios[0], 0), "not the backend's");
    CHECK_PANICS(ash_cache_complete(&stand->cache, &foreign, 0), "not the backend's");
}

/* Ends the I/O within submit, and says nevertheless that it has not taken it. */
static int take_and_refuse(void *context, struct ash_cache_io *io) {
    struct backend *backend = context;
    ash_cache_complete(backend->cache, io, 0);
    return -ASH_EIO;
}

TEST_CASE(cache_hostile, io_that_ended_and_was_refused_panics) {
    struct stand *stand = stand_started(4);
    struct stand_waiter waiter;
    stand->cache.config.backend.submit = take_and_refuse;
    CHECK_PANICS((void)!stand_ask(stand, 0, 3, 0, &waiter), "not the backend's");
}

TEST_CASE(cache_hostile, any_status_that_is_no_error_number_is_eio) {
    static const int statuses[] = {1, INT32_MAX, INT32_MIN, -100000};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(statuses); i++) {
        struct stand *stand = stand_started(4);
        struct stand_waiter waiter;
        CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiter), ASH_CACHE_PENDING);
        struct ash_cache_io *io = stand->backend.pending[0];
        stand->backend.pending_count = 0;
        ash_cache_complete(&stand->cache, io, statuses[i]);
        CHECK_EQ(waiter.told, 1);
        CHECK_EQ(waiter.waiter.status, -ASH_EIO);
        stand_end(stand);
    }
}

TEST_CASE(cache_hostile, block_of_a_space_that_is_not_open_panics) {
    struct stand *stand = stand_started(4);
    struct ash_cache_space closed = {.id = 2, .blocks = 10}, other = {.id = 0, .blocks = 10},
                           beyond = {.id = UINT32_MAX, .blocks = 10};
    uint32_t frame;
    CHECK_PANICS((void)!ash_cache_get(&stand->cache, &closed, 1, 0, NULL, &frame), "not open");
    CHECK_PANICS((void)!ash_cache_get(&stand->cache, &other, 1, 0, NULL, &frame), "not open");
    CHECK_PANICS((void)!ash_cache_get(&stand->cache, &beyond, 1, 0, NULL, &frame), "not open");
    CHECK_PANICS((void)ash_cache_prefetch(&stand->cache, &closed, 1, 1), "not open");
}

/* What put_unchanged ends left no trace: whoever writes the block next waits for nobody. */
TEST_CASE(cache_hostile, order_of_what_was_not_changed_is_forgotten) {
    struct stand *stand = stand_new(8);
    stand->config.dirty_max = 8;
    stand_start(stand, 256);
    struct stand_flush journal;
    uint32_t flush;
    stand_read(stand, 0, 9);
    stand_write(stand, 0, 3, 1);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&journal));
    uint32_t frame = stand_get(stand, 0, 9, ASH_CACHE_WRITE);
    CHECK_EQ(ash_cache_order(&stand->cache, frame, journal.flush.number), 0);
    ash_cache_put_unchanged(&stand->cache, frame);
    stand_write(stand, 0, 9, 1);
    backend_complete(&stand->backend, 0, 0);
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_FLUSH, &flush), 1);
    backend_complete(&stand->backend, flush, -ASH_EIO);
    CHECK_EQ(journal.flush.status, -ASH_EIO);
    CHECK_EQ(stand_stats(stand).failed, 0);
    stand_end(stand);
    CHECK(stand_disk_is(stand, 9, 0, 9, 1));
}

/* A block of a space that nobody flushes, while another is flushed 3 * 2^30 times. */
TEST_CASE(cache_hostile, block_that_stays_dirty_for_ever_is_flushed_when_asked_for) {
    struct stand *stand = stand_started(16);
    struct ash_cache_space *other = &stand->spaces[1];
    *other = (struct ash_cache_space){.id = 1, .blocks = 100};
    CHECK_EQ(ash_cache_space_open(&stand->cache, other), 0);
    stand_write(stand, 0, 3, 1);
    for (uint32_t i = 0; i < 13; i++) {
        stand->cache.epoch |= (1u << 28) - 2; /* as if so many had been there */
        CHECK_EQ(stand_sync(stand, other), 0);
        CHECK_EQ(stand_sync(stand, other), 0);
        CHECK_EQ(stand_sync(stand, other), 0);
        stand_check(stand);
    }
    CHECK(!stand_disk_is(stand, 3, 0, 3, 1));
    CHECK_EQ(stand_sync(stand, &stand->spaces[0]), 0);
    CHECK(stand_disk_is(stand, 3, 0, 3, 1));
    stand_end(stand);
}

TEST_CASE(cache_hostile, prefetch_looks_for_a_frame_no_more_than_once_in_vain) {
    struct stand *stand = stand_started(8);
    uint32_t frames[8];
    for (uint32_t i = 0; i < 8; i++)
        frames[i] = stand_get(stand, 0, i, 0);
    uint64_t before = stand_stats(stand).scanned;
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], 0, UINT32_MAX), 0);
    CHECK(stand_stats(stand).scanned - before <= 2 * 8);
    for (uint32_t i = 0; i < 8; i++)
        stand_put(stand, frames[i]);
    stand_end(stand);
}
