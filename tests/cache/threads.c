/* SPDX-License-Identifier: MIT */
/*
 * threads.c: a shared cache from four threads: two that read (without a pin where they can), one
 * that writes, scans, flushes and changes the policy, and the device, which completes. Bytes are
 * touched by words, atomically: what is looked at is the cache's own ordering.
 */
#include <sched.h>

#include "cache/stand.h"

enum {
    BLOCKS = 96,
    HOT = 12,
    WORDS = 64,
    STEPS = 4000,
    RING = 64,
    READER,
    WRITER = 2,
    DEVICE,
    CPUS
};

struct world {
    struct stand *stand;
    struct ash_cache_io *ring[RING];
    uint32_t submitted, completed, ended, failed;
    uint64_t disk[BLOCKS][WORDS];
    uint32_t newest[BLOCKS];
    uint64_t peeks, valid, seed;
};

struct waiting {
    struct ash_cache_waiter waiter;
    uint32_t told;
};

struct flushing {
    struct ash_cache_flush_request request;
    uint32_t told;
};

static void woken(struct ash_cache_waiter *waiter) {
    ash_store_release(&ASH_LIST_ENTRY(waiter, struct waiting, waiter)->told, 1u);
}

static void flushed(struct ash_cache_flush_request *request) {
    ash_store_release(&ASH_LIST_ENTRY(request, struct flushing, request)->told, 1u);
}

static int submit(void *context, struct ash_cache_io *io) {
    struct world *world = context;
    uint32_t at = ash_load_relaxed(&world->submitted);
    if (at - ash_load_acquire(&world->completed) == RING)
        return -ASH_EAGAIN;
    world->ring[at % RING] = io;
    ash_store_release(&world->submitted, at + 1);
    return 0;
}

static uint64_t word(uint64_t block, uint32_t version, uint32_t i) {
    return block << 48 | (uint64_t)i << 40 | version;
}

static void transfer(struct world *world, const struct ash_cache_io *io) {
    uint64_t block = io->sector;
    for (uint32_t s = 0; s < io->segment_count; s++, block++) {
        uint64_t *words = io->segments[s].data;
        for (uint32_t i = 0; i < WORDS; i++) {
            if (io->op == ASH_CACHE_OP_READ)
                ash_store_relaxed(&words[i], world->disk[block][i]);
            else
                world->disk[block][i] = ash_load_relaxed(&words[i]);
        }
    }
}

/* One I/O; false: there was none. */
static bool complete_one(struct world *world) {
    uint32_t at = world->completed;
    if (at == ash_load_acquire(&world->submitted))
        return false;
    struct ash_cache_io *io = world->ring[at % RING];
    transfer(world, io);
    ash_store_release(&world->completed, at + 1);
    ash_cache_complete(&world->stand->cache, io, 0);
    return true;
}

static bool fail(struct world *world) {
    ash_store_relaxed(&world->failed, 1u);
    return false;
}

/* The block pinned; false: something is wrong. */
static bool get(struct world *world, uint64_t block, uint32_t flags, uint32_t *frame) {
    enum { PATIENCE = 2000000 };
    struct stand *stand = world->stand;
    struct waiting waiting = {.waiter.wake = woken};
    for (uint32_t tries = 0; tries < PATIENCE && !ash_load_relaxed(&world->failed);) {
        int result =
            ash_cache_get(&stand->cache, &stand->spaces[0], block, flags, &waiting.waiter, frame);
        if (result == 0)
            return true;
        if (result == ASH_CACHE_PENDING) {
            /* On this stack until it is told, whatever else went wrong. */
            for (; ash_load_acquire(&waiting.told) == 0; tries++) {
                if (tries > PATIENCE)
                    return fail(world);
                sched_yield();
            }
            waiting.told = 0;
            *frame = waiting.waiter.frame;
            if (waiting.waiter.status == 0)
                return true;
            result = waiting.waiter.status;
        }
        if (result != -ASH_EAGAIN) /* all are pinned by the others */
            return fail(world);
        tries++;
        sched_yield();
    }
    return fail(world);
}

/* All words are the block's; whole: and of one version. */
static bool is_block(const uint64_t *words, uint64_t block, bool whole) {
    uint32_t version = (uint32_t)ash_load_relaxed(&words[0]);
    for (uint32_t i = 0; i < WORDS; i++) {
        uint64_t found = ash_load_relaxed(&words[i]);
        if (found != word(block, whole ? version : (uint32_t)found, i))
            return false;
    }
    return true;
}

static uint64_t any_block(struct test_random *random) {
    return test_random_chance(random, 70) ? test_random_below(random, HOT)
                                          : test_random_below(random, BLOCKS);
}

static void read_on(struct world *world, uint32_t cpu) {
    struct test_random random = test_random_from(world->seed + cpu);
    struct stand *stand = world->stand;
    uint64_t peeks = 0, valid = 0;
    for (uint32_t i = 0; i < STEPS && !ash_load_relaxed(&world->failed); i++) {
        uint64_t block = any_block(&random);
        struct ash_cache_view view;
        const uint64_t *words = ash_cache_peek(&stand->cache, &stand->spaces[0], block, &view);
        if (words != NULL && test_random_chance(&random, 80)) {
            bool good = is_block(words, block, true);
            if (i % 8 == 0) { /* long enough for it to go, and another to come */
                sched_yield();
                good = good && is_block(words, block, true);
            }
            peeks++;
            if (ash_cache_peek_valid(&view)) {
                valid++;
                if (!good)
                    (void)fail(world);
            }
            continue;
        }
        uint32_t frame;
        if (!get(world, block, 0, &frame))
            return;
        if (!is_block(ash_cache_data(&stand->cache, frame), block, false))
            (void)fail(world);
        if (test_random_chance(&random, 10))
            ash_cache_put_behind(&stand->cache, frame);
        else
            ash_cache_put(&stand->cache, frame);
    }
    (void)ash_fetch_add(&world->peeks, peeks);
    (void)ash_fetch_add(&world->valid, valid);
}

static bool flush(struct world *world) {
    struct flushing flush = {.request.done = flushed};
    ash_cache_flush(&world->stand->cache, NULL, &flush.request);
    for (uint32_t i = 0; ash_load_acquire(&flush.told) == 0; i++) {
        if (i == 2000000)
            return fail(world);
        sched_yield();
    }
    return flush.request.status == 0 || fail(world);
}

static void write_on(struct world *world) {
    struct test_random random = test_random_from(world->seed + WRITER);
    struct stand *stand = world->stand;
    uint32_t frame;
    for (uint32_t i = 0; i < STEPS / 2 && !ash_load_relaxed(&world->failed); i++) {
        uint64_t block = any_block(&random);
        if (!get(world, block, i % 3 == 0 ? 0 : ASH_CACHE_WRITE, &frame))
            return;
        if (i % 3 == 0) {
            ash_cache_put(&stand->cache, frame);
        } else {
            uint64_t *words = ash_cache_data(&stand->cache, frame);
            world->newest[block]++;
            for (uint32_t k = 0; k < WORDS; k++)
                ash_store_relaxed(&words[k], word(block, world->newest[block], k));
            (void)!ash_cache_put_dirty(&stand->cache, frame, NULL);
        }
        if (i % 64 == 63 && !flush(world))
            return;
        if (i % 100 == 99)
            (void)!ash_cache_set_policy(&stand->cache, ash_cache_policy_name(i / 100 % 6));
        if (i % 50 == 49)
            (void)!ash_cache_discard(&stand->cache, &stand->spaces[0], block, 8, false);
    }
}

static void body(void *context, uint32_t cpu) {
    struct world *world = context;
    if (cpu == DEVICE) {
        while (ash_load_acquire(&world->ended) != CPUS - 1) {
            if (!complete_one(world))
                sched_yield();
        }
        return;
    }
    if (cpu == WRITER)
        write_on(world);
    else
        read_on(world, cpu);
    (void)ash_fetch_add(&world->ended, 1u);
}

static void run(uint32_t frames, uint32_t window) {
    struct world *world = test_alloc(sizeof(*world), 64);
    struct stand *stand = world->stand = stand_new(frames);
    world->seed = test_seed() * CPUS;
    stand->config.shared = true;
    stand->config.dirty_max = frames / 2 + 1;
    stand->config.window_max = window;
    stand_start(stand, BLOCKS);
    stand->cache.config.backend = (struct ash_cache_backend){.submit = submit, .context = world};
    for (uint64_t b = 0; b < BLOCKS; b++)
        for (uint32_t i = 0; i < WORDS; i++)
            world->disk[b][i] = word(b, 0, i);
    test_run_on_cpus(body, world, CPUS);
    CHECK_EQ(world->failed, 0);
    CHECK(world->valid != 0);
    struct flushing last = {.request.done = flushed};
    ash_cache_flush(&stand->cache, NULL, &last.request);
    while (complete_one(world)) {}
    CHECK_EQ(last.told, 1);
    CHECK_EQ(last.request.status, 0);
    stand_check(stand);
    CHECK_EQ(ash_cache_fini(&stand->cache), 0);
    for (uint64_t b = 0; b < BLOCKS; b++)
        CHECK_EQ(world->disk[b][0], word(b, world->newest[b], 0));
}

TEST_CASE(cache_threads, validated_peeks_are_the_blocks_own_while_others_write_and_evict) {
    run(24, 0);
}

TEST_CASE(cache_threads, nobody_is_forgotten_where_frames_are_few) {
    run(4, 0);
    run(6, 4);
}
