/* SPDX-License-Identifier: MIT */
/*
 * crash_disk.c: the power goes while a log is written through the virtio-blk driver onto a disk
 * with a volatile write cache. Each record is data, a flush, a commit sector with its number, a
 * flush. Whatever is left after a loss at any time: the record that the commit sector names is
 * whole, and none that was reported as safe is missing. What a block cache must keep, on its
 * smallest example.
 */
#include "harness/test.h"
#include "hosted/virtio_blk_cache.h"
#include "sim/disk.h"
#include "sim/scenario.h"

#include <stdio.h>

enum {
    SECTORS = 32,
    DATA_SECTORS = 3,
    PLACES = 4, /* for records, used in turn */
    RECORDS = 6,
    STEPS = 4, /* of a record: data, flush, commit, flush */
    POWER_TICK_NS = 700,
    POWER_TICKS = 120,
};

struct log {
    struct sim *sim;
    struct sim_device_config pace;
    struct fake_virtio_blk_cache_config cache_config;
    bool skips_the_first_flush; /* the writer that must be found */

    struct sim_disk disk;
    struct fake_virtio_blk_cache cache;
    struct sim_event power;
    uint32_t step; /* of all records */
    uint8_t safe;  /* the last record whose second flush was answered */
    bool dark;
};

static uint64_t sector_of(uint32_t record) {
    return 1 + (uint64_t)(record % PLACES) * DATA_SECTORS;
}

/* Buffer and sectors are full of the record's number; sector 0 is the commit sector. */
static void submit(struct log *log) {
    uint32_t record = 1 + log->step / STEPS, part = log->step % STEPS, token;
    uint32_t len_bytes = part == 0 ? DATA_SECTORS * 512 : 512;
    bool writes = part % 2 == 0;
    const struct ash_dma_segment segment = sim_disk_segment(0, len_bytes);
    const struct ash_virtio_blk_request request = {.op = writes ? ASH_VIRTIO_BLK_WRITE
                                                                : ASH_VIRTIO_BLK_FLUSH,
                                                   .sector = part == 0 ? sector_of(record) : 0,
                                                   .segments = &segment,
                                                   .segment_count = writes ? 1 : 0};
    memset(sim_disk_buffer(&log->disk, 0), (int)record, len_bytes);
    SIM_CHECK(log->sim, ash_virtio_blk_submit(log->disk.queue, &request, &token) == 0);
    ash_virtio_blk_kick(log->disk.queue);
}

static void advance(struct log *log) {
    if (log->step % STEPS == STEPS - 1)
        log->safe = (uint8_t)(1 + log->step / STEPS);
    log->step++;
    if (log->skips_the_first_flush && log->step % STEPS == 1)
        log->step++;
    if (log->step < RECORDS * STEPS)
        submit(log);
}

static void on_interrupt(void *context) {
    struct log *log = context;
    (void)ash_virtio_blk_interrupt(&log->disk.blk);
    struct ash_virtio_blk_done done;
    do {
        while (ash_virtio_blk_reap(log->disk.queue, &done, 1) > 0) {
            SIM_CHECK(log->sim, done.status == 0);
            advance(log);
        }
    } while (!ash_virtio_blk_may_sleep(log->disk.queue));
}

static void power_goes(void *context) {
    ((struct log *)context)->dark = true;
}

static bool is_full_of(const uint8_t *bytes, uint32_t len, uint8_t value) {
    for (uint32_t i = 0; i < len; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

/* What is on the disk when the power is back. A torn commit sector ends as the one before did. */
static void check(struct log *log) {
    const uint8_t *disk = log->cache_config.durable;
    uint8_t committed = disk[511];
    SIM_CHECK(log->sim, committed >= log->safe);
    SIM_CHECK(log->sim, committed <= log->safe + 1);
    SIM_CHECK(log->sim, committed == 0 || is_full_of(disk + 512 * sector_of(committed),
                                                     DATA_SECTORS * 512, committed));
}

static void play(struct sim *sim, void *context) {
    struct log *log = context;
    log->sim = sim;
    log->step = log->safe = 0;
    log->dark = false;
    memset(log->cache_config.cached, 0, SECTORS * 512);
    memset(log->cache_config.durable, 0, SECTORS * 512);
    memset(log->cache_config.dirty, 0, SECTORS * sizeof(bool));
    log->cache_config.choose_context = sim;
    struct fake_virtio_blk_config config = {.features_with = FAKE_VIRTIO_F_RING_PACKED};
    fake_virtio_blk_cache_init(&log->cache, &log->cache_config, &config.backing);
    log->pace.context = log;
    sim_disk_power_on(&log->disk, sim, 0, &config, &log->pace);
    SIM_CHECK(sim, sim_disk_start(&log->disk) == 0);
    sim_event_init(&log->power, "power", power_goes, log);
    sim_at(sim, &log->power, sim_choose(sim->choices, POWER_TICKS) * POWER_TICK_NS);
    submit(log);
    on_interrupt(log);
    while (!log->dark && sim_step(sim)) {}
    fake_virtio_blk_cache_lose_power(&log->cache, FAKE_VIRTIO_BLK_TEAR_SOME);
    sim_note(sim, "left", log->safe, log->cache_config.durable[511]);
    check(log);
}

static struct log *log_new(void) {
    struct log *log = test_alloc(sizeof(*log), 64);
    log->pace = (struct sim_device_config){.policy = {.latency_ns = 500, .latency_spread_ns = 3000},
                                           .step_ns = 50,
                                           .interrupt_ns = 300,
                                           .on_interrupt = on_interrupt};
    log->cache_config =
        (struct fake_virtio_blk_cache_config){.cached = test_alloc(SECTORS * 512, 64),
                                              .durable = test_alloc(SECTORS * 512, 64),
                                              .dirty = test_alloc(SECTORS * sizeof(bool), 8),
                                              .size_bytes = SECTORS * 512,
                                              .choose = sim_choose_of};
    sim_disk_alloc(&log->disk);
    return log;
}

static struct sim_scenario scenario_of(struct log *log) {
    return (struct sim_scenario){.name = "crash_disk", .play = play, .context = log};
}

TEST_CASE(sim_crash_disk, committed_records_are_whole_after_a_loss_at_any_time) {
    struct log *log = log_new();
    struct sim_scenario scenario = scenario_of(log);
    sim_try_seeds(&scenario, NULL, test_seed(), 1000);
    log->cache_config.destage_percent = 40;
    sim_try_seeds(&scenario, NULL, test_seed(), 500);
}

/* How many of so many runs break. */
static uint32_t broken_of(struct log *log, uint32_t runs) {
    struct sim_scenario scenario = scenario_of(log);
    struct sim sim;
    uint32_t broken = 0;
    for (uint32_t i = 0; i < runs; i++) {
        char line[32];
        snprintf(line, sizeof(line), "seed:%u", i);
        CHECK(sim_replay(&scenario, line, &sim));
        broken += sim.broken[0] != '\0';
    }
    return broken;
}

TEST_CASE(sim_crash_disk, writer_that_skips_a_flush_is_found) {
    struct log *log = log_new();
    CHECK_EQ(broken_of(log, 100), 0);
    log->skips_the_first_flush = true;
    CHECK(broken_of(log, 100) != 0);
}

TEST_CASE(sim_crash_disk, disk_that_ignores_flushes_is_found) {
    struct log *log = log_new();
    log->cache_config.ignores_flushes = true;
    CHECK(broken_of(log, 100) > 30);
}
