/* SPDX-License-Identifier: MIT */
/*
 * crash.c: the power goes. All workloads of up to three operations (four with
 * ASHLAR_SOAK, which is also how many million states are sampled) on four blocks of two sectors,
 * with all orders in which the device ends what is in flight, before, between and after them. At
 * each such boundary all states that the disk may be left in are looked at: any subset of the
 * writes that were not flushed, those in flight included, each sector for itself. A block must be
 * as it was put at or after the last flush that covered it and succeeded, and never as it was not
 * put. How a subset leaves one sector does not depend on the others: so the states of the sectors,
 * one by one, are those of the disk.
 */
#include <stdlib.h>

#include "cache/stand.h"
#include "sim/choices.h"

enum { BLOCKS = 4, SECTORS = 2, SECTOR = 512, OPS_MAX = 24, UNFLUSHED = 128 };

enum { WRITE, WRITE_THROUGH, WRITE_COPY, KINDS }; /* of a block; and the flush */

struct flushing {
    struct stand_flush flush;
    uint32_t versions[BLOCKS]; /* when it was asked for */
    bool counted;
};

struct world {
    struct stand *stand;
    struct sim_choices choices;
    uint8_t *durable;
    struct backend_write *unflushed;
    uint32_t fail_percent;
    bool lies; /* the disk flushes nothing: must be found */

    uint32_t newest[BLOCKS], safe[BLOCKS];
    struct flushing flushes[OPS_MAX];
    struct stand_waiter waiters[OPS_MAX];
    uint32_t ops, flush_count;
    uint64_t runs, boundaries, states, broken;
};

static struct world *world_new(void) {
    struct world *world = test_alloc(sizeof(*world), 64);
    world->durable = test_alloc(BLOCKS * SECTORS * SECTOR, 64);
    world->unflushed = test_alloc(UNFLUSHED * sizeof(*world->unflushed), 64);
    world->stand = stand_new(1);
    world->stand->config.block_bytes = SECTORS * SECTOR;
    world->stand->config.depth = ASH_CACHE_EXTENTS_MAX;
    return world;
}

static void power_on(struct world *world) {
    stand_start(world->stand, BLOCKS);
    struct backend *backend = &world->stand->backend;
    backend->durable = world->durable;
    backend->unflushed = world->unflushed;
    backend->unflushed_max = UNFLUSHED;
    memset(world->durable, 0, BLOCKS * SECTORS * SECTOR);
    memset(world->newest, 0, sizeof(world->newest));
    memset(world->safe, 0, sizeof(world->safe));
    world->ops = world->flush_count = 0;
    world->runs++;
}

/* A sector is full of its version. */
static void look_at(struct world *world, uint64_t sector, const uint8_t *bytes) {
    uint32_t block = (uint32_t)(sector / SECTORS), version = bytes[0];
    bool whole = bytes[SECTOR / 2] == version && bytes[SECTOR - 1] == version;
    world->states++;
    if (!whole || version < world->safe[block] || version > world->newest[block])
        world->broken++;
}

/* Every state that the disk may be left in now. */
static void lose_power(struct world *world) {
    const struct backend *backend = &world->stand->backend;
    world->boundaries++;
    for (uint64_t sector = 0; sector < BLOCKS * SECTORS; sector++)
        look_at(world, sector, world->durable + sector * SECTOR);
    for (uint32_t i = 0; i < backend->unflushed_count; i++)
        look_at(world, backend->unflushed[i].sector, backend->unflushed[i].bytes);
    for (uint32_t i = 0; i < backend->pending_count; i++) {
        const struct ash_cache_io *io = backend->pending[i];
        uint64_t sector = io->sector;
        for (uint32_t s = 0; io->op == ASH_CACHE_OP_WRITE && s < io->segment_count; s++) {
            const uint8_t *bytes = io->segments[s].data;
            for (uint32_t at = 0; at < io->segments[s].len_bytes; at += SECTOR)
                look_at(world, sector++, bytes + at);
        }
    }
}

/* 0: a write or a copy of a block that cannot be had now is none. */
static void write_block(struct world *world, uint32_t block, uint32_t kind) {
    struct ash_cache *cache = &world->stand->cache;
    uint32_t flags = ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE, frame;
    if (kind == WRITE_COPY)
        flags |= ASH_CACHE_COPY;
    if (stand_try(world->stand, 0, block, flags, &frame) != 0)
        return;
    memset(ash_cache_data(cache, frame), (int)++world->newest[block], SECTORS * SECTOR);
    struct stand_waiter *waiter = &world->waiters[world->ops];
    int result =
        ash_cache_put_dirty(cache, frame, kind == WRITE_THROUGH ? stand_wait(waiter) : NULL);
    CHECK_EQ(result, kind == WRITE_THROUGH ? ASH_CACHE_PENDING : 0);
}

static void flush(struct world *world) {
    struct flushing *flushing = &world->flushes[world->flush_count++];
    flushing->counted = false;
    memcpy(flushing->versions, world->newest, sizeof(flushing->versions));
    ash_cache_flush(&world->stand->cache, NULL, stand_flush(&flushing->flush));
}

static void operate(struct world *world) {
    uint32_t what = (uint32_t)sim_choose(&world->choices, 1 + KINDS * BLOCKS);
    if (what == 0)
        flush(world);
    else
        write_block(world, (what - 1) % BLOCKS, (what - 1) / BLOCKS);
    world->ops++;
}

static void complete(struct world *world, uint32_t which) {
    struct backend *backend = &world->stand->backend;
    bool fails =
        world->fail_percent != 0 && sim_choose_chance(&world->choices, world->fail_percent);
    if (world->lies)
        backend->ended_before[which] = 0;
    backend_complete(backend, which, fails ? -ASH_EIO : 0);
    for (uint32_t i = 0; i < world->flush_count; i++) {
        struct flushing *flushing = &world->flushes[i];
        if (flushing->counted || flushing->flush.told == 0)
            continue;
        flushing->counted = true;
        for (uint32_t b = 0; b < BLOCKS && flushing->flush.flush.status == 0; b++) {
            if (world->safe[b] < flushing->versions[b])
                world->safe[b] = flushing->versions[b];
        }
    }
}

static void play(struct world *world, uint32_t ops) {
    const struct backend *backend = &world->stand->backend;
    sim_choices_begin(&world->choices);
    power_on(world);
    for (;;) {
        uint32_t more = world->ops < ops;
        if (more + backend->pending_count == 0)
            break;
        uint32_t what = (uint32_t)sim_choose(&world->choices, more + backend->pending_count);
        if (more != 0 && what == 0)
            operate(world);
        else
            complete(world, what - more);
        lose_power(world);
    }
    CHECK_EQ(backend->overlaps, 0);
    stand_check(world->stand);
}

static void check_held(const struct world *world) {
    char line[SIM_CHOICES_TEXT];
    sim_choices_print(&world->choices, line, sizeof(line));
    if (world->broken != 0)
        test_fail(__FILE__, __LINE__, "%s: a block is older than flushed, or never was so", line);
}

static void play_all(struct world *world, uint32_t ops) {
    sim_choices_all(&world->choices, SIM_PATH_MAX);
    do {
        play(world, ops);
        check_held(world);
    } while (sim_choices_advance(&world->choices));
    CHECK(!sim_choices_diverged(&world->choices));
}

static void roomy(struct world *world) {
    world->stand->config.blocks = world->stand->config.dirty_max = 6;
    world->stand->config.lazy = true;
}

/* Dirty blocks are evicted, and written in the background. */
static void cramped(struct world *world) {
    world->stand->config.blocks = world->stand->config.dirty_max = 2;
    world->stand->config.lazy = false;
}

/* A million and a half of boundaries more take a second. */
static uint32_t operations(void) {
    return getenv("ASHLAR_SOAK") == NULL ? 3 : 4;
}

TEST_CASE(cache_crash, all_workloads_of_three_operations_leave_what_was_flushed) {
    struct world *world = world_new();
    roomy(world);
    play_all(world, operations());
    CHECK(world->runs > 6000);
}

TEST_CASE(cache_crash, all_workloads_of_three_operations_in_two_frames_do_so_too) {
    struct world *world = world_new();
    cramped(world);
    play_all(world, operations());
    CHECK(world->runs > 6000);
}

static uint64_t states_wanted(void) {
    const char *millions = getenv("ASHLAR_SOAK");
    return millions == NULL ? 2000000 : strtoull(millions, NULL, 0) * 1000000;
}

TEST_CASE(cache_crash, long_workloads_with_failing_writes_leave_what_was_flushed) {
    struct world *world = world_new();
    uint64_t seed = test_seed(), wanted = states_wanted();
    for (uint64_t i = 0; world->states < wanted; i++) {
        world->stand->config.retries_max = (uint32_t)(i % 3);
        world->fail_percent = i % 2 == 0 ? 0 : 15;
        if (i % 4 < 2)
            roomy(world);
        else
            cramped(world);
        sim_choices_seed(&world->choices, seed + i);
        play(world, OPS_MAX);
        check_held(world);
    }
}

TEST_CASE(cache_crash, disk_that_flushes_nothing_is_found) {
    struct world *world = world_new();
    roomy(world);
    world->lies = true;
    for (uint64_t i = 0; i < 20; i++) {
        sim_choices_seed(&world->choices, i);
        play(world, OPS_MAX);
    }
    CHECK(world->broken > 20);
}
