/* SPDX-License-Identifier: MIT */
/* ahead.c: reading ahead. */
#include "cache/stand.h"

static struct stand *with_window(uint32_t blocks, uint32_t window) {
    struct stand *stand = stand_new(blocks);
    stand->config.window_max = window;
    stand_start(stand, 1024);
    return stand;
}

/* Demand misses of reading [first, end) one after the other. */
static uint64_t read_on(struct stand *stand, uint64_t first, uint64_t end) {
    uint64_t before = stand_stats(stand).misses;
    for (uint64_t i = first; i < end; i++) {
        stand_read(stand, 0, i);
        backend_drain(&stand->backend);
        stand_check(stand);
    }
    return stand_stats(stand).misses - before;
}

TEST_CASE(cache_ahead, sequential_reader_misses_at_its_start_alone) {
    static const char *const policies[] = {"2q-clock", "lru"}; /* whose hits are of two kinds */
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(policies); i++) {
        struct stand *stand = stand_new(64);
        stand->config.window_max = 16;
        stand->config.policy = policies[i];
        stand_start(stand, 1024);
        CHECK_EQ(read_on(stand, 100, 400), 2);
        CHECK_EQ(stand_stats(stand).prefetch_wasted, 0);
        CHECK(stand_stats(stand).prefetch_used >= 290);
        stand_end(stand);
    }
}

TEST_CASE(cache_ahead, random_reader_reads_nothing_ahead) {
    struct stand *stand = with_window(64, 16);
    for (uint64_t i = 0; i < 200; i++)
        stand_read(stand, 0, i * 97 % 509 * 2);
    CHECK_EQ(stand_stats(stand).prefetched, 0);
    stand_end(stand);
}

TEST_CASE(cache_ahead, without_a_window_nothing_is_read_ahead) {
    struct stand *stand = with_window(64, 0);
    CHECK_EQ(read_on(stand, 0, 50), 50);
    CHECK_EQ(stand->backend.reads, 50);
    stand_end(stand);
}

TEST_CASE(cache_ahead, as_many_streams_as_said_are_told_apart) {
    struct stand *stand = with_window(256, 8);
    for (uint64_t i = 0; i < 40; i++) {
        for (uint64_t s = 0; s < ASH_CACHE_STREAMS; s++) {
            stand_read(stand, 0, s * 100 + i);
            backend_drain(&stand->backend);
        }
    }
    CHECK_EQ(stand_stats(stand).misses, 2 * ASH_CACHE_STREAMS);
    stand_end(stand);
}

TEST_CASE(cache_ahead, end_of_the_space_is_not_passed) {
    struct stand *stand = with_window(64, 16);
    read_on(stand, 1000, 1024);
    stand_end(stand); /* the disk would have said so */
}

TEST_CASE(cache_ahead, windows_of_any_size_work) {
    struct stand *stand = stand_new(40);
    stand_start(stand, 1024);
    for (uint32_t window = 1; window <= ASH_CACHE_WINDOW_MAX; window += window < 33 ? 1 : 31) {
        for (uint32_t blocks = 1; blocks < 41; blocks += 13) {
            stand->config.blocks = blocks;
            stand->config.window_max = window;
            stand_start(stand, 1024);
            read_on(stand, 10, 40);
            stand_end(stand);
        }
    }
}

TEST_CASE(cache_ahead, wide_window_keeps_so_many_blocks_ahead) {
    enum { WIDE = 128, END = 500 };
    struct stand *stand = with_window(4 * WIDE, WIDE);
    CHECK_EQ(read_on(stand, 0, END), 2);
    struct ash_cache_stats stats = stand_stats(stand);
    CHECK(stats.blocks_read >= END + WIDE * 3 / 4);
    CHECK(stats.blocks_read <= END + WIDE);
    stand_end(stand);
}

/* Somebody reads in order, and blocks elsewhere are missed between, each of which begins one. */
TEST_CASE(cache_ahead, stream_that_was_met_last_is_forgotten_last) {
    struct stand *stand = with_window(256, 1); /* so that a forgotten one costs a miss */
    uint64_t next = 0;
    for (uint64_t i = 0; i < 4 * ASH_CACHE_STREAMS; i++) {
        for (uint64_t k = 0; k < 4; k++, next++) {
            stand_read(stand, 0, next);
            backend_drain(&stand->backend);
        }
        stand_read(stand, 0, 300 + i * 20);
        backend_drain(&stand->backend);
    }
    CHECK_EQ(stand_stats(stand).misses, 2 + 4 * ASH_CACHE_STREAMS);
    stand_end(stand);
}

TEST_CASE(cache_ahead, what_nobody_wanted_is_counted_and_narrows_the_window) {
    struct stand *stand = with_window(64, 16);
    for (uint64_t i = 0; i < 400; i++) { /* three in a row, and away */
        uint64_t first = i * 37 % 101 * 10;
        for (uint64_t k = 0; k < 3; k++) {
            stand_read(stand, 0, first + k);
            backend_drain(&stand->backend);
        }
    }
    struct ash_cache_stats stats = stand_stats(stand);
    CHECK(stats.prefetch_wasted > 64);
    CHECK(stand->cache.window < 16);
    CHECK_EQ(stats.prefetched, stats.prefetch_used + stats.prefetch_wasted + stand->cache.fresh);
    CHECK_EQ(read_on(stand, 600, 1000) <= 60, true);
    CHECK_EQ(stand->cache.window, 16); /* and a reader that uses it all widens it again */
    stand_end(stand);
}

TEST_CASE(cache_ahead, errors_are_dropped_and_told_to_those_who_ask) {
    struct stand *stand = with_window(64, 8);
    stand->backend.fail_from = 104;
    stand->backend.fail_to = 106;
    struct stand_waiter waiter;
    read_on(stand, 100, 104);
    CHECK(stand_stats(stand).read_errors != 0);
    stand_check(stand);
    CHECK_EQ(stand_ask(stand, 0, 104, 0, &waiter), ASH_CACHE_PENDING);
    backend_drain(&stand->backend);
    CHECK_EQ(waiter.waiter.status, -ASH_EIO);
    stand->backend.fail_to = 0;
    read_on(stand, 104, 130);
    stand_end(stand);
}

TEST_CASE(cache_ahead, prefetch_begins_reads_of_what_is_not_there) {
    struct stand *stand = stand_started(64);
    stand_read(stand, 0, 12);
    uint32_t begun = ash_cache_prefetch(&stand->cache, &stand->spaces[0], 10, 6);
    CHECK_EQ(begun, 5);
    CHECK(stand->backend.pending_count != 0);
    CHECK(stand->backend.pending[0]->prefetch);
    backend_drain(&stand->backend);
    CHECK_EQ(stand_stats(stand).prefetched, 5);
    uint64_t reads = stand->backend.reads;
    for (uint64_t i = 10; i < 16; i++)
        stand_expect(stand, 0, i, 0);
    CHECK_EQ(stand->backend.reads, reads);
    CHECK_EQ(stand_stats(stand).prefetch_used, 5);
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], 250, UINT32_MAX), 6);
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], 256, 5), 0);
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], UINT64_MAX, 5), 0);
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], 3, 0), 0);
    backend_drain(&stand->backend);
    stand_end(stand);
}

TEST_CASE(cache_ahead, prefetch_evicts_nothing_that_is_dirty_or_pinned) {
    struct stand *stand = stand_new(4);
    stand->config.dirty_max = 4;
    stand->config.lazy = true;
    stand_start(stand, 256);
    stand_write(stand, 0, 1, 1);
    stand_write(stand, 0, 2, 1);
    uint32_t a = stand_get(stand, 0, 3, 0), b = stand_get(stand, 0, 4, 0);
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], 10, 6), 0);
    CHECK(stand_frame_is(stand, a, 0, 3, 0));
    CHECK_EQ(stand_stats(stand).dirty + stand_stats(stand).writing, 2);
    stand_put(stand, a);
    stand_put(stand, b);
    backend_drain(&stand->backend);
    stand_expect(stand, 0, 1, 1);
    stand_end(stand);
}

/* Of policies that know newcomers: what is read ahead and not wanted goes before what is. */
TEST_CASE(cache_ahead, hot_blocks_stay_whatever_is_read_ahead) {
    enum { BLOCKS = 64, HOT = 24 };
    for (uint32_t p = 0; ash_cache_policy_name(p) != NULL; p++) {
        struct stand *stand = stand_new(BLOCKS);
        stand->config.policy = ash_cache_policy_name(p);
        if (strchr(stand->config.policy, '-') == NULL)
            continue;
        stand_start(stand, 4096);
        uint32_t frame;
        for (uint64_t i = 0; i < 20 * HOT; i++) { /* asked for again and again, others between */
            stand_read(stand, 0, i % HOT);
            stand_read(stand, 0, 100 + i);
        }
        for (uint64_t i = 0; i < 3 * HOT; i++)
            stand_read(stand, 0, i % HOT);
        for (uint64_t i = 0; i < 50; i++) {
            (void)ash_cache_prefetch(&stand->cache, &stand->spaces[0], 2000 + 10 * i, 10);
            backend_drain(&stand->backend);
        }
        CHECK(stand_stats(stand).prefetched > 16);
        for (uint64_t i = 0; i < HOT; i++) {
            CHECK_EQ(stand_try(stand, 0, i, ASH_CACHE_CACHED, &frame), 0);
            stand_put(stand, frame);
        }
        stand_end(stand);
    }
}

TEST_CASE(cache_ahead, what_nobody_asked_for_yet_takes_a_quarter_of_the_frames) {
    struct stand *stand = stand_started(64);
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], 0, 60), 17);
    backend_drain(&stand->backend);
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], 100, 60), 0);
    for (uint64_t i = 0; i < 5; i++)
        stand_read(stand, 0, i);
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], 100, 60), 5);
    backend_drain(&stand->backend);
    stand_end(stand);
}

TEST_CASE(cache_ahead, demand_goes_before_what_is_read_ahead) {
    struct stand *stand = stand_new(64);
    stand->config.depth = 8;
    stand->config.segments_max = 1;
    stand_start(stand, 256);
    struct stand_waiter waiter, other;
    CHECK_EQ(ash_cache_prefetch(&stand->cache, &stand->spaces[0], 10, 16), 16);
    CHECK_EQ(stand->backend.pending_count, 7); /* an eighth is left alone */
    CHECK_EQ(stand_ask(stand, 0, 100, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(stand->backend.pending[7]->sector, 100);
    CHECK_EQ(stand_ask(stand, 0, 25, 0, &other), ASH_CACHE_PENDING); /* wanted now */
    backend_complete(&stand->backend, 0, 0);
    CHECK_EQ(stand->backend.pending[7]->sector, 25);
    CHECK(!stand->backend.pending[7]->prefetch);
    backend_drain(&stand->backend);
    CHECK_EQ(waiter.told, 1);
    stand_put(stand, waiter.waiter.frame);
    CHECK_EQ(stand->cache.fresh, 15);
    stand_put(stand, other.waiter.frame);
    stand_end(stand);
}
