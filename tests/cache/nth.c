/* SPDX-License-Identifier: MIT */
/*
 * nth.c: a fixed workload of reads, writes and flushes in which the n-th I/O fails, for every n,
 * once or from there on for good: nothing is lost, nothing hangs, nothing leaks; and a flush that
 * said 0 was right.
 */
#include "cache/stand.h"

enum { BLOCKS = 24, STEPS = 60 };

struct world {
    struct stand *stand;
    uint32_t newest[BLOCKS], safe[BLOCKS];
    struct test_random random;
};

/* The answer of a get, however long it takes: 0 or an error. */
static int get(struct world *world, uint64_t index, uint32_t flags, uint32_t *frame) {
    struct stand_waiter waiter;
    int result = stand_ask(world->stand, 0, index, flags, &waiter);
    if (result < 0)
        return result;
    while (waiter.told == 0) {
        CHECK(world->stand->backend.pending_count != 0);
        backend_complete(&world->stand->backend, 0, 0);
    }
    *frame = waiter.waiter.frame;
    return waiter.waiter.status;
}

static void write_one(struct world *world, uint64_t index) {
    uint32_t frame;
    int result = get(world, index, ASH_CACHE_WRITE, &frame);
    CHECK(result == 0 || result == -ASH_EIO);
    if (result != 0)
        return;
    CHECK(stand_frame_is(world->stand, frame, 0, index, world->newest[index]));
    stand_fill(world->stand, ash_cache_data(&world->stand->cache, frame), stand_key(0, index),
               ++world->newest[index]);
    CHECK_EQ(ash_cache_put_dirty(&world->stand->cache, frame, NULL), 0);
}

static void read_one(struct world *world, uint64_t index) {
    uint32_t frame;
    int result = get(world, index, 0, &frame);
    CHECK(result == 0 || result == -ASH_EIO || result == -ASH_EAGAIN);
    if (result != 0)
        return;
    CHECK(stand_frame_is(world->stand, frame, 0, index, world->newest[index]));
    stand_put(world->stand, frame);
}

static void flush(struct world *world) {
    if (stand_sync(world->stand, NULL) != 0)
        return;
    for (uint64_t i = 0; i < BLOCKS; i++) {
        CHECK(stand_disk_is(world->stand, i, 0, i, world->newest[i]));
    }
}

static void work(struct world *world) {
    world->random = test_random_from(5);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint64_t index = test_random_below(&world->random, BLOCKS);
        uint32_t what = (uint32_t)test_random_below(&world->random, 10);
        if (what < 5)
            write_one(world, index);
        else if (what < 9)
            read_one(world, index);
        else
            flush(world);
        stand_check(world->stand);
    }
}

/* The number of I/Os that the workload took. */
static uint64_t run(struct world *world, uint64_t fail_at, uint64_t fail_count) {
    struct stand *stand = world->stand;
    stand_start(stand, BLOCKS);
    memset(world->newest, 0, sizeof(world->newest));
    stand->backend.fail_at = fail_at;
    stand->backend.fail_count = fail_count;
    work(world);
    uint64_t ios = stand->backend.ios;
    stand->backend.fail_count = 0;
    stand_end(stand); /* nothing is pinned, dirty or in flight */
    for (uint64_t i = 0; i < BLOCKS; i++)
        CHECK(stand_disk_is(stand, i, 0, i, world->newest[i]));
    struct ash_cache_stats stats = stand_stats(stand);
    CHECK_EQ(stats.free + stats.clean, stats.blocks);
    return ios;
}

static void run_all(uint64_t fail_count, uint32_t retries_max) {
    struct world *world = test_alloc(sizeof(*world), 64);
    world->stand = stand_new(10);
    world->stand->config.dirty_max = 5;
    world->stand->config.retries_max = retries_max;
    world->stand->config.window_max = 4;
    for (uint32_t p = 0; ash_cache_policy_name(p) != NULL; p++) {
        world->stand->config.policy = ash_cache_policy_name(p);
        uint64_t ios = run(world, 0, 0);
        CHECK(ios > 20);
        for (uint64_t n = 1; n <= ios; n++)
            (void)run(world, n, fail_count);
    }
}

TEST_CASE(cache_nth, io_that_fails_once_loses_nothing) {
    run_all(1, 0);
    run_all(1, 2);
}

TEST_CASE(cache_nth, three_ios_in_a_row_that_fail_lose_nothing) {
    run_all(3, 1);
}

TEST_CASE(cache_nth, disk_that_fails_for_good_loses_nothing_that_it_takes_later) {
    run_all(UINT64_MAX, 0);
    run_all(UINT64_MAX, 1);
}
