/* SPDX-License-Identifier: MIT */
/* device.c: how the cache treats its backend: joined I/Os, kicks, -ASH_EAGAIN, depth. */
#include "cache/stand.h"

TEST_CASE(cache_device, gets_with_more_to_come_start_nothing_until_pumped) {
    struct stand *stand = stand_started(16);
    struct stand_waiter waiters[8];
    for (uint32_t i = 0; i < 8; i++)
        CHECK_EQ(stand_ask(stand, 0, 20 + i, ASH_CACHE_MORE, &waiters[i]), ASH_CACHE_PENDING);
    CHECK_EQ(stand->backend.submits, 0);
    CHECK_EQ(ash_cache_fini(&stand->cache), -ASH_EBUSY);
    ash_cache_pump(&stand->cache);
    CHECK_EQ(stand->backend.reads, 1); /* beside each other: one I/O */
    CHECK_EQ(stand->backend.log[0].segments, 8);
    CHECK_EQ(stand->backend.kicks, 1);
    backend_drain(&stand->backend);
    for (uint32_t i = 0; i < 8; i++) {
        CHECK_EQ(waiters[i].told, 1);
        stand_put(stand, waiters[i].waiter.frame);
    }
    stand_end(stand);
}

TEST_CASE(cache_device, block_that_is_missed_and_those_read_ahead_are_one_kick) {
    struct stand *stand = stand_new(32);
    stand->config.window_max = 8;
    stand_start(stand, 256);
    struct stand_waiter waiter;
    CHECK_EQ(stand_ask(stand, 0, 100, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(stand->backend.kicks, 1);
    backend_drain(&stand->backend);
    stand_put(stand, waiter.waiter.frame);
    stand_read(stand, 0, 7);
    uint64_t kicks = stand->backend.kicks, reads = stand->backend.reads;
    CHECK_EQ(stand_ask(stand, 0, 8, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(stand->backend.kicks, kicks + 1);
    CHECK(stand->backend.reads > reads + 1);
    backend_drain(&stand->backend);
    stand_put(stand, waiter.waiter.frame);
    stand_end(stand);
}

/* The kick makes the cache look at all that is to be done; here nothing but that does. */
TEST_CASE(cache_device, without_kicks_a_miss_starts_what_is_read_ahead_all_the_same) {
    struct stand *stand = stand_new(32);
    stand->config.window_max = 8;
    stand_start(stand, 256);
    stand->cache.config.backend.kick = NULL;
    stand_read(stand, 0, 7);
    stand_read(stand, 0, 100);
    struct stand_waiter waiter;
    CHECK_EQ(stand_ask(stand, 0, 8, 0, &waiter), ASH_CACHE_PENDING);
    CHECK(stand->backend.pending_count > 1);
    backend_drain(&stand->backend);
    stand_put(stand, waiter.waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_device, without_kicks_a_miss_starts_the_write_of_a_dirty_victim_all_the_same) {
    struct stand *stand = stand_new(2);
    stand->config.policy = "lru";
    stand->config.lazy = true;
    stand->config.dirty_max = 2;
    stand_start(stand, 256);
    stand->cache.config.backend.kick = NULL;
    stand_write(stand, 0, 0, 1);
    stand_read(stand, 0, 1);
    struct stand_waiter waiter;
    CHECK_EQ(stand_ask(stand, 0, 2, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(backend_count(&stand->backend, ASH_CACHE_OP_WRITE, NULL), 1);
    backend_drain(&stand->backend);
    stand_put(stand, waiter.waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_device, one_io_joins_no_more_blocks_than_said) {
    struct stand *stand = stand_new(32);
    stand->config.segments_max = 3;
    stand_start(stand, 256);
    struct stand_waiter waiters[10];
    for (uint32_t i = 0; i < 10; i++)
        CHECK_EQ(stand_ask(stand, 0, i, ASH_CACHE_MORE, &waiters[i]), ASH_CACHE_PENDING);
    ash_cache_pump(&stand->cache);
    CHECK_EQ(stand->backend.reads, 4);
    backend_drain(&stand->backend);
    for (uint32_t i = 0; i < 10; i++)
        stand_put(stand, waiters[i].waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_device, no_more_ios_than_the_depth_are_in_flight) {
    static const uint32_t depths[] = {4, 5, 32, 256};
    for (uint32_t d = 0; d < ASH_ARRAY_LEN(depths); d++) {
        struct stand *stand = stand_new(300);
        stand->config.depth = depths[d];
        stand_start(stand, 1024);
        struct stand_waiter *waiters = test_alloc(300 * sizeof(*waiters), 8);
        for (uint32_t i = 0; i < 300; i++)
            CHECK_EQ(stand_ask(stand, 0, i * 2, 0, &waiters[i]), ASH_CACHE_PENDING);
        CHECK_EQ(stand->backend.pending_count, depths[d]);
        backend_drain(&stand->backend);
        CHECK_EQ(stand->backend.most_pending, depths[d]);
        for (uint32_t i = 0; i < 300; i++) {
            CHECK_EQ(waiters[i].told, 1);
            stand_put(stand, waiters[i].waiter.frame);
        }
        stand_end(stand);
    }
}

TEST_CASE(cache_device, full_backend_is_asked_again_after_a_completion) {
    struct stand *stand = stand_started(16);
    stand->backend.room = 2;
    struct stand_waiter waiters[6];
    for (uint32_t i = 0; i < 6; i++)
        CHECK_EQ(stand_ask(stand, 0, i * 3, 0, &waiters[i]), ASH_CACHE_PENDING);
    CHECK_EQ(stand->backend.pending_count, 2);
    backend_drain(&stand->backend);
    for (uint32_t i = 0; i < 6; i++) {
        CHECK_EQ(waiters[i].told, 1);
        stand_put(stand, waiters[i].waiter.frame);
    }
    CHECK_EQ(stand_stats(stand).reads, 6);
    stand_end(stand);
}

TEST_CASE(cache_device, full_backend_with_nothing_in_flight_is_asked_again_by_pump) {
    struct stand *stand = stand_started(16);
    struct stand_waiter waiter;
    stand->backend.eagain_at = 1;
    CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(stand->backend.pending_count, 0);
    CHECK_EQ(stand_stats(stand).reads, 0);
    CHECK_EQ(ash_cache_fini(&stand->cache), -ASH_EBUSY);
    ash_cache_pump(&stand->cache);
    CHECK_EQ(stand->backend.pending_count, 1);
    backend_drain(&stand->backend);
    CHECK_EQ(waiter.told, 1);
    stand_put(stand, waiter.waiter.frame);
    stand_end(stand);
}

/* The device's last I/O ends while the next one is being refused. */
static void complete_within(struct backend *backend) {
    backend->in_submit = NULL;
    backend_complete(backend, 0, 0);
}

TEST_CASE(cache_device, completion_within_a_refused_submit_is_not_overlooked) {
    struct stand *stand = stand_started(16);
    struct stand_waiter waiters[2];
    CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiters[0]), ASH_CACHE_PENDING);
    stand->backend.eagain_at = 2;
    stand->backend.in_submit = complete_within;
    CHECK_EQ(stand_ask(stand, 0, 9, 0, &waiters[1]), ASH_CACHE_PENDING);
    CHECK_EQ(waiters[0].told, 1);
    CHECK_EQ(stand->backend.pending_count, 1); /* asked again though nobody pumped */
    backend_drain(&stand->backend);
    stand_put(stand, waiters[0].waiter.frame);
    stand_put(stand, waiters[1].waiter.frame);
    stand_end(stand);
}

TEST_CASE(cache_device, eagain_at_each_submit_of_a_workload_costs_nothing) {
    for (uint64_t n = 1; n < 30; n++) {
        struct stand *stand = stand_started(4);
        stand->backend.eagain_at = n;
        for (uint64_t i = 0; i < 12; i++) {
            struct stand_waiter waiter;
            int result = stand_ask(stand, 0, i * 5 % 13, ASH_CACHE_WRITE, &waiter);
            CHECK(result == 0 || result == ASH_CACHE_PENDING);
            while (waiter.told == 0) {
                ash_cache_pump(&stand->cache);
                backend_drain(&stand->backend);
            }
            stand_fill(stand, ash_cache_data(&stand->cache, waiter.waiter.frame),
                       stand_key(0, i * 5 % 13), i + 1);
            CHECK_EQ(ash_cache_put_dirty(&stand->cache, waiter.waiter.frame, NULL), 0);
            stand_check(stand);
        }
        struct stand_flush flush;
        ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
        while (flush.told == 0) {
            ash_cache_pump(&stand->cache);
            backend_drain(&stand->backend);
        }
        CHECK_EQ(flush.flush.status, 0);
        for (uint64_t i = 0; i < 12; i++)
            CHECK(stand_disk_is(stand, i * 5 % 13, 0, i * 5 % 13, i + 1));
        CHECK_EQ(ash_cache_fini(&stand->cache), 0);
    }
}

TEST_CASE(cache_device, fini_is_busy_while_something_is) {
    struct stand *stand = stand_started(4);
    struct stand_waiter waiter;
    CHECK_EQ(stand_ask(stand, 0, 1, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(ash_cache_fini(&stand->cache), -ASH_EBUSY);
    backend_drain(&stand->backend);
    CHECK_EQ(ash_cache_fini(&stand->cache), -ASH_EBUSY);
    stand_put(stand, waiter.waiter.frame);
    CHECK_EQ(ash_cache_fini(&stand->cache), 0);
    stand_write(stand, 0, 1, 1);
    CHECK_EQ(ash_cache_fini(&stand->cache), -ASH_EBUSY);
    struct stand_flush flush;
    ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
    backend_complete_all(&stand->backend);
    CHECK_EQ(ash_cache_fini(&stand->cache), -ASH_EBUSY);
    backend_drain(&stand->backend);
    CHECK_EQ(ash_cache_fini(&stand->cache), 0);
}
