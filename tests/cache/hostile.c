/* SPDX-License-Identifier: MIT */
/* hostile.c: backends and callers that break the rules, and numbers that wrap. */
#include "cache/stand.h"

enum { ALL_OF_IT = ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE };

TEST_CASE(cache_hostile, io_that_ends_twice_panics) {
    stand_needs_checks();
    struct stand *stand = stand_started(4);
    struct stand_waiter waiter;
    CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiter), ASH_CACHE_PENDING);
    struct ash_cache_io *io = stand->backend.pending[0];
    backend_complete(&stand->backend, 0, 0);
    CHECK_PANICS(ash_cache_complete(&stand->cache, io, 0), "not the backend's");
}

TEST_CASE(cache_hostile, io_that_was_never_submitted_panics) {
    stand_needs_checks();
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
    stand_needs_checks();
    struct stand *stand = stand_started(4);
    struct stand_waiter waiter;
    stand->cache.config.backend.submit = take_and_refuse;
    CHECK_PANICS((void)!stand_ask(stand, 0, 3, 0, &waiter), "not the backend's");
}

static int end_twice(void *context, struct ash_cache_io *io) {
    struct backend *backend = context;
    ash_cache_complete(backend->cache, io, 0);
    ash_cache_complete(backend->cache, io, 0);
    return 0;
}

TEST_CASE(cache_hostile, io_that_ends_twice_within_submit_panics) {
    stand_needs_checks();
    struct stand *stand = stand_started(4);
    struct stand_waiter waiter;
    stand->cache.config.backend.submit = end_twice;
    CHECK_PANICS((void)!stand_ask(stand, 0, 3, 0, &waiter), "not the backend's");
}

static int take_and_abandon(void *context, struct ash_cache_io *io) {
    struct backend *backend = context;
    ash_cache_abandon(backend->cache, io);
    return 0;
}

TEST_CASE(cache_hostile, read_abandoned_within_submit_is_an_error_at_once) {
    struct stand *stand = stand_started(4);
    struct stand_waiter waiter;
    stand->cache.config.backend.submit = take_and_abandon;
    CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiter), ASH_CACHE_PENDING);
    CHECK_EQ(waiter.told, 1);
    CHECK_EQ(waiter.waiter.status, -ASH_EIO);
    CHECK_EQ(stand_stats(stand).lost, 1);
    stand_check(stand);
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
        stand->backend.refuse_at = stand->backend.submits + 1;
        stand->backend.refuse_error = statuses[i];
        CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiter), ASH_CACHE_PENDING);
        CHECK_EQ(waiter.told, 1);
        CHECK_EQ(waiter.waiter.status, -ASH_EIO);
        stand_end(stand);
    }
}

/* The device keeps this I/O for ever. The frame of its first block; NONE: it is a flush. */
static uint32_t abandon_one(struct stand *stand, uint32_t which) {
    struct backend *backend = &stand->backend;
    struct ash_cache_io *io = backend->pending[which];
    uint32_t frame = io->segment_count != 0 ? io->segments[0].frame : ASH_CACHE_NONE;
    uint32_t behind = --backend->pending_count - which;
    memmove(&backend->pending[which], &backend->pending[which + 1], behind * sizeof(io));
    memmove(&backend->ended_before[which], &backend->ended_before[which + 1],
            behind * sizeof(backend->ended_before[0]));
    ash_cache_abandon(&stand->cache, io);
    stand_check(stand);
    return frame;
}

static uint32_t abandon(struct stand *stand) {
    return abandon_one(stand, 0);
}

TEST_CASE(cache_hostile, abandoned_read_is_an_error_and_its_frame_is_not_used_again) {
    for (uint32_t policy = 0; ash_cache_policy_name(policy) != NULL; policy++) {
        struct stand *stand = stand_new(4);
        struct stand_waiter waiter;
        stand->config.policy = ash_cache_policy_name(policy);
        stand_start(stand, 256);
        CHECK_EQ(stand_ask(stand, 0, 3, 0, &waiter), ASH_CACHE_PENDING);
        uint8_t *bytes = ash_cache_data(&stand->cache, abandon(stand));
        CHECK_EQ(waiter.told, 1);
        CHECK_EQ(waiter.waiter.status, -ASH_EIO);
        memset(bytes, 0x5a, 512); /* the device may do so at any time */
        for (uint64_t i = 0; i < 100; i++)
            stand_write(stand, 0, i % 50, i);
        stand_expect(stand, 0, 3, 53);
        CHECK_EQ(stand_sync(stand, NULL), 0);
        for (uint32_t i = 0; i < 512; i++)
            CHECK_EQ(bytes[i], 0x5a);
        CHECK_EQ(stand_stats(stand).lost, 1);
        CHECK_EQ(ash_cache_fini(&stand->cache), -ASH_EBUSY);
        stand_check(stand);
    }
}

TEST_CASE(cache_hostile, abandoned_write_stays_dirty_and_its_frame_is_its_own) {
    struct stand *stand = stand_started(4);
    struct stand_flush flush;
    stand_write(stand, 0, 5, 1);
    ash_cache_flush(&stand->cache, NULL, stand_flush(&flush));
    uint8_t *bytes = ash_cache_data(&stand->cache, abandon(stand));
    backend_drain(&stand->backend); /* the device's flush */
    CHECK_EQ(flush.told, 1);
    CHECK_EQ(flush.flush.status, -ASH_EIO);
    CHECK_EQ(stand_stats(stand).failed, 1);
    stand_expect(stand, 0, 5, 1);
    CHECK_EQ(stand_sync(stand, NULL), 0); /* by another way */
    for (uint64_t i = 10; i < 50; i++)
        stand_read(stand, 0, i);
    CHECK(stand_is(stand, bytes, stand_key(0, 5), 1));
    CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[0], 5, 1, true), 0);
    stand_check(stand);
    CHECK_EQ(stand_stats(stand).lost, 1);
    for (uint64_t i = 10; i < 50; i++)
        stand_read(stand, 0, i);
    CHECK(stand_is(stand, bytes, stand_key(0, 5), 1));
    CHECK_EQ(ash_cache_fini(&stand->cache), -ASH_EBUSY);
}

TEST_CASE(cache_hostile, nobody_waits_for_frames_that_are_lost) {
    struct stand *stand = stand_started(2);
    struct stand_waiter waiters[3];
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(stand_ask(stand, 0, 10 * i, 0, &waiters[i]), ASH_CACHE_PENDING);
    (void)abandon(stand);
    CHECK_EQ(waiters[2].told, 0);
    (void)abandon(stand);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(waiters[i].told, 1);
    CHECK_EQ(waiters[2].waiter.status, -ASH_EAGAIN);
    CHECK_EQ(stand_stats(stand).free, 0);
    CHECK_EQ(stand_ask(stand, 0, 7, 0, &waiters[0]), -ASH_EAGAIN);
}

/* Callers, up to eight at a time, over a device that gives I/Os up now and then. */
enum { ABANDON_BLOCKS = 24, ABANDON_WAITERS = 8, ABANDON_LOST_MAX = 6 };

struct abandoning {
    struct stand *stand;
    struct test_random random;
    struct stand_waiter waiters[ABANDON_WAITERS];
    bool waits[ABANDON_WAITERS];
    struct stand_flush flush;
    bool flushes;
    uint8_t *lost[ABANDON_LOST_MAX]; /* the device may write there */
    uint32_t lost_count;
};

static void end_one(struct abandoning *a) {
    struct backend *backend = &a->stand->backend;
    if (backend->pending_count == 0)
        return;
    uint32_t which = (uint32_t)test_random_below(&a->random, backend->pending_count);
    bool reads = backend->pending[which]->op == ASH_CACHE_OP_READ;
    if (a->lost_count == ABANDON_LOST_MAX || !test_random_chance(&a->random, 4)) {
        int status = test_random_chance(&a->random, 10) ? -ASH_EIO : 0;
        backend_complete(backend, which, status);
        return;
    }
    uint32_t frame = abandon_one(a->stand, which);
    if (!reads)
        return;
    uint8_t *bytes = ash_cache_data(&a->stand->cache, frame);
    memset(bytes, 0x5a, 512);
    a->lost[a->lost_count++] = bytes;
}

static void release(struct abandoning *a, uint32_t i) {
    struct stand_waiter *waiter = &a->waiters[i];
    if (!a->waits[i] || waiter->told == 0)
        return;
    a->waits[i] = false;
    CHECK_EQ(waiter->told, 1);
    if (waiter->waiter.status != 0)
        return;
    if ((waiter->waiter.flags & ASH_CACHE_WRITE) != 0)
        (void)ash_cache_put_dirty(&a->stand->cache, waiter->waiter.frame, NULL);
    else
        stand_put(a->stand, waiter->waiter.frame);
}

static void ask_one(struct abandoning *a, uint32_t i) {
    static const uint32_t flags[] = {0, 0, ASH_CACHE_WRITE, ALL_OF_IT, ALL_OF_IT | ASH_CACHE_COPY};
    uint32_t which = (uint32_t)test_random_below(&a->random, ASH_ARRAY_LEN(flags));
    uint64_t index = test_random_below(&a->random, ABANDON_BLOCKS);
    if (a->waits[i])
        return;
    int result = stand_ask(a->stand, 0, index, flags[which], &a->waiters[i]);
    a->waits[i] = result >= 0;
}

static void abandoning_step(struct abandoning *a) {
    uint32_t i = (uint32_t)test_random_below(&a->random, ABANDON_WAITERS);
    uint64_t what = test_random_below(&a->random, 100);
    if (what < 40) {
        end_one(a);
    } else if (what < 70) {
        ask_one(a, i);
    } else if (what < 93) {
        release(a, i);
    } else if (what < 97 && (!a->flushes || a->flush.told != 0)) {
        a->flushes = true;
        ash_cache_flush(&a->stand->cache, NULL, stand_flush(&a->flush));
    } else {
        (void)!ash_cache_discard(&a->stand->cache, &a->stand->spaces[0],
                                 test_random_below(&a->random, ABANDON_BLOCKS), 3,
                                 test_random_chance(&a->random, 50));
    }
    stand_check(a->stand);
}

TEST_CASE(cache_hostile, ios_abandoned_at_any_time_cost_their_frames_and_nobody_hangs) {
    struct abandoning *a = test_alloc(sizeof(*a), 16);
    for (uint32_t run = 0; run < 30; run++) {
        *a = (struct abandoning){.stand = stand_new(16),
                                 .random = test_random_from(test_seed() + run)};
        a->stand->config.policy = ash_cache_policy_name(run % 6);
        a->stand->config.window_max = 4;
        a->stand->config.retries_max = 1;
        stand_start(a->stand, ABANDON_BLOCKS);
        for (uint32_t step = 0; step < 300; step++)
            abandoning_step(a);
        for (uint32_t round = 0; round < 2 * ABANDON_WAITERS; round++) {
            backend_drain(&a->stand->backend);
            for (uint32_t i = 0; i < ABANDON_WAITERS; i++)
                release(a, i);
        }
        for (uint32_t i = 0; i < ABANDON_WAITERS; i++)
            CHECK(!a->waits[i]);
        CHECK(!a->flushes || a->flush.told == 1);
        CHECK(a->lost_count == 0 || stand_stats(a->stand).lost != 0);
        for (uint32_t i = 0; i < a->lost_count; i++) {
            for (uint32_t byte = 0; byte < 512; byte++)
                CHECK_EQ(a->lost[i][byte], 0x5a);
        }
        stand_check(a->stand);
    }
}

TEST_CASE(cache_hostile, block_of_a_space_that_is_not_open_panics) {
    stand_needs_checks();
    struct stand *stand = stand_started(4);
    struct ash_cache_space closed = {.id = 2, .blocks = 10}, other = {.id = 0, .blocks = 10},
                           beyond = {.id = UINT32_MAX, .blocks = 10};
    uint32_t frame;
    CHECK_PANICS((void)!ash_cache_get(&stand->cache, &closed, 1, 0, NULL, &frame), "not open");
    CHECK_PANICS((void)!ash_cache_get(&stand->cache, &other, 1, 0, NULL, &frame), "not open");
    CHECK_PANICS((void)!ash_cache_get(&stand->cache, &beyond, 1, 0, NULL, &frame), "not open");
    CHECK_PANICS((void)ash_cache_prefetch(&stand->cache, &closed, 1, 1), "not open");
    CHECK_PANICS((void)!ash_cache_discard(&stand->cache, &other, 0, 1, true), "not open");
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

/* Callbacks that go on where they were called. */
struct chain {
    struct stand_waiter waiter;
    struct stand *stand;
    uint32_t left, deep, deepest;
};

static void ask_again(struct ash_cache_waiter *waiter) {
    struct chain *chain = ASH_LIST_ENTRY(waiter, struct chain, waiter.waiter);
    uint32_t frame = waiter->frame;
    CHECK_EQ(waiter->status, 0);
    if (++chain->deep > chain->deepest)
        chain->deepest = chain->deep;
    memset(waiter, 0x5a, sizeof(*waiter)); /* the caller's own again */
    stand_put(chain->stand, frame);
    if (chain->left-- != 0) {
        *waiter = (struct ash_cache_waiter){.wake = ask_again};
        CHECK_EQ(ash_cache_get(&chain->stand->cache, &chain->stand->spaces[0], chain->left, 0,
                               waiter, &frame),
                 ASH_CACHE_PENDING);
    }
    chain->deep--;
}

TEST_CASE(cache_hostile, wake_that_queues_its_waiter_again_is_no_recursion) {
    enum { TIMES = 200 };
    for (uint32_t i = 0; i < 2; i++) {
        struct stand *stand = stand_started(1);
        struct chain chain = {.stand = stand, .left = TIMES};
        uint32_t frame;
        stand->backend.synchronous = i != 0;
        chain.waiter.waiter.wake = ask_again;
        CHECK_EQ(
            ash_cache_get(&stand->cache, &stand->spaces[0], 255, 0, &chain.waiter.waiter, &frame),
            ASH_CACHE_PENDING);
        backend_drain(&stand->backend);
        CHECK_EQ(chain.left, UINT32_MAX);
        CHECK_EQ(chain.deepest, 1);
        CHECK_EQ(stand->backend.reads, TIMES + 1);
        stand_end(stand);
    }
}

struct flush_chain {
    struct ash_cache_flush_request flush;
    struct stand *stand;
    uint32_t left, deep, deepest;
};

static void flush_again(struct ash_cache_flush_request *flush) {
    struct flush_chain *chain = ASH_LIST_ENTRY(flush, struct flush_chain, flush);
    CHECK_EQ(flush->status, 0);
    if (++chain->deep > chain->deepest)
        chain->deepest = chain->deep;
    memset(flush, 0x5a, sizeof(*flush));
    if (chain->left-- != 0) {
        flush->done = flush_again;
        ash_cache_flush(&chain->stand->cache, NULL, flush);
    }
    chain->deep--;
}

TEST_CASE(cache_hostile, done_that_starts_the_next_flush_is_no_recursion) {
    enum { TIMES = 200 };
    for (uint32_t i = 0; i < 2; i++) {
        struct stand *stand = stand_started(4);
        struct flush_chain chain = {.flush.done = flush_again, .stand = stand, .left = TIMES};
        stand->backend.synchronous = i != 0;
        stand_write(stand, 0, 3, 1);
        ash_cache_flush(&stand->cache, NULL, &chain.flush);
        backend_drain(&stand->backend);
        CHECK_EQ(chain.left, UINT32_MAX);
        CHECK_EQ(chain.deepest, 1);
        stand_end(stand);
    }
}

/* Whatever a map says, no I/O leaves the disk's blocks or its block's memory: the backend looks. */
static struct test_random map_random;

static uint32_t odd(struct test_random *random, uint32_t sane) {
    static const uint32_t numbers[] = {0, 1, 2, 3, 4, 5, 511, 512, 513, 1024, 2049, 1u << 31};
    if (test_random_chance(random, 80))
        return sane;
    return test_random_chance(random, 20) ? UINT32_MAX : numbers[test_random_below(random, 12)];
}

static int map_garbage(void *context, uint64_t index, struct ash_cache_map *map) {
    struct test_random *random = context;
    (void)index;
    uint32_t count = 1 + (uint32_t)test_random_below(random, ASH_CACHE_EXTENTS_MAX);
    map->extent_count = odd(random, count);
    map->valid_bytes = odd(random, count * ASH_CACHE_SECTOR_BYTES);
    for (uint32_t i = 0; i < ASH_CACHE_EXTENTS_MAX; i++) {
        bool beyond = test_random_chance(random, 3);
        map->extents[i].sectors = odd(random, 1);
        map->extents[i].sector = beyond ? UINT64_MAX : 64 * i;
    }
    return test_random_chance(random, 10) ? 7 - (int)test_random_below(random, 20) : 0;
}

TEST_CASE(cache_hostile, map_that_says_anything_is_an_error_or_a_block) {
    struct stand *stand = stand_new(4);
    stand->config.block_bytes = 2048;
    stand_start(stand, 256);
    map_random = test_random_from(test_seed());
    stand->spaces[1] = (struct ash_cache_space){
        .id = 1, .blocks = 1000, .map = map_garbage, .context = &map_random};
    CHECK_EQ(ash_cache_space_open(&stand->cache, &stand->spaces[1]), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        struct stand_waiter waiter;
        bool writes = test_random_chance(&map_random, 30);
        int result = stand_ask(stand, 1, test_random_below(&map_random, 1000),
                               writes ? ALL_OF_IT : 0, &waiter);
        backend_drain(&stand->backend);
        stand_check(stand);
        if (waiter.told == 0 || waiter.waiter.status != 0) {
            CHECK(result < 0 || waiter.told == 1);
        } else if (writes) {
            CHECK_EQ(ash_cache_put_dirty(&stand->cache, waiter.waiter.frame, NULL), 0);
        } else {
            stand_put(stand, waiter.waiter.frame);
        }
        backend_drain(&stand->backend);
        if (stand_stats(stand).failed != 0)
            CHECK_EQ(ash_cache_discard(&stand->cache, &stand->spaces[1], 0, 1000, true), 0);
    }
    (void)!ash_cache_discard(&stand->cache, &stand->spaces[1], 0, 1000, true);
    stand_end(stand);
}
