/* SPDX-License-Identifier: MIT */
/*
 * slow_disk.c: the virtio-blk driver in virtual time, over a device that is slow, out of order, and
 * loses, dies and lies as the script says. A driver that sleeps between interrupts, with a watchdog
 * for those that do not come, must get every token back once and all data read, in a bounded time.
 */
#include "harness/test.h"
#include "sim/disk.h"
#include "sim/scenario.h"

#include <stdlib.h>

enum {
    SECTORS = 64,
    JOBS = 40,
    JOB_BYTES = 1024,
    DEADLINE_NS = 1000000,
    WATCHDOG_NS = 500000,
    STARTS_MAX = 8,         /* then nobody takes the device over */
    RESETS_MAX = 12,        /* then the driver gives up: the device is dead */
    RESOLVED_NS = 10000000, /* every token is back so long after one death */
};

struct job {
    uint32_t token;
    bool in_flight, done;
};

struct reader {
    struct sim *sim;
    struct sim_device_config config; /* the device's pace */
    bool packed;
    uint32_t job_count;
    bool sleeps_blindly;                         /* a driver without a watchdog, */
    bool in_small_steps;                         /* the device may act between two of them, */
    enum ash_virtio_blk_after_reset after_reset; /* and what it does with what was in flight */

    struct sim_disk disk;
    struct fake_virtio_blk_memory backing;
    struct sim_event work, rest, watchdog;
    struct job jobs[JOBS];
    uint32_t done, in_flight, resets, refusals;
    bool gave_up;
    ash_ns_t took_ns;
    uint64_t steps, resets_in_all; /* of all runs */
    uint32_t resets_wanted;        /* by is_all_read */
};

static uint8_t disk_byte(uint64_t offset) {
    return (uint8_t)((offset * UINT64_C(0xd1342543de82ef95)) >> 56);
}

static uint64_t sector_of(uint32_t job) {
    return job * 7 % (SECTORS - JOB_BYTES / 512);
}

static bool driver_read(struct reader *reader, uint32_t job) {
    const struct ash_dma_segment segment = sim_disk_segment(job * JOB_BYTES, JOB_BYTES);
    const struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_READ,
                                                   .sector = sector_of(job),
                                                   .segments = &segment,
                                                   .segment_count = 1,
                                                   .deadline_ns = reader->sim->now_ns + DEADLINE_NS,
                                                   .cookie = &reader->jobs[job]};
    return ash_virtio_blk_submit(reader->disk.queue, &request, &reader->jobs[job].token) == 0;
}

/* The world */

static void take(struct reader *reader, const struct ash_virtio_blk_done *done) {
    struct job *job = done->cookie;
    uint32_t index = (uint32_t)(job - reader->jobs);
    SIM_CHECK(reader->sim, job->in_flight && job->token == done->token);
    job->in_flight = false;
    reader->in_flight--;
    if (done->status != 0)
        return;
    const uint8_t *buffer = sim_disk_buffer(&reader->disk, index * JOB_BYTES);
    bool same = true;
    for (uint32_t i = 0; i < JOB_BYTES; i++)
        same = same && buffer[i] == disk_byte(sector_of(index) * 512 + i);
    SIM_CHECK(reader->sim, same);
    job->done = true;
    reader->done++;
}

/* -1 when the queue is broken and has nothing left. */
static int reap(struct reader *reader) {
    struct ash_virtio_blk_done done[5];
    int count;
    while ((count = ash_virtio_blk_reap(reader->disk.queue, done, ASH_ARRAY_LEN(done))) > 0) {
        for (int i = 0; i < count; i++)
            take(reader, &done[i]);
    }
    SIM_CHECK(reader->sim, ash_virtio_blk_in_flight(reader->disk.queue) == reader->in_flight);
    return count;
}

static void give_up(struct reader *reader) {
    reader->gave_up = true;
    sim_cancel(reader->sim, &reader->watchdog);
    sim_cancel(reader->sim, &reader->work);
    if (ash_virtio_blk_fini(&reader->disk.blk) == 0)
        SIM_CHECK(reader->sim, reap(reader) != 0 && reader->in_flight == 0);
}

static void recover(struct reader *reader) {
    (void)reap(reader);
    if (reader->resets++ == RESETS_MAX) {
        give_up(reader);
        return;
    }
    int error = ash_virtio_blk_reset(&reader->disk.blk, reader->after_reset,
                                     reader->sim->now_ns + DEADLINE_NS);
    sim_note(reader->sim, "reset", reader->resets, (uint64_t)-error);
    (void)reap(reader);
    sim_after(reader->sim, &reader->work, error == 0 ? 0 : WATCHDOG_NS);
}

/* False: there is more to submit, and room for it. */
static bool submit(struct reader *reader) {
    bool all = true;
    for (uint32_t i = 0; i < reader->job_count && all; i++) {
        struct job *job = &reader->jobs[i];
        if (job->done || job->in_flight)
            continue;
        if (!driver_read(reader, i))
            break;
        job->in_flight = true;
        reader->in_flight++;
        all = !reader->in_small_steps;
    }
    ash_virtio_blk_kick(reader->disk.queue);
    return all;
}

/* Until nothing is there and an interrupt will tell. */
static void work(void *context) {
    struct reader *reader = context;
    while (!reader->gave_up && reader->done < reader->job_count) {
        if (reap(reader) < 0) {
            recover(reader);
            return;
        }
        if (!submit(reader)) {
            sim_by(reader->sim, &reader->work, reader->sim->now_ns);
            return;
        }
        if (reader->in_small_steps && reader->done < reader->job_count) {
            sim_by(reader->sim, &reader->rest, reader->sim->now_ns);
            return;
        }
        if (reader->done < reader->job_count &&
            (reader->in_flight == 0 || ash_virtio_blk_may_sleep(reader->disk.queue)))
            return;
    }
    sim_cancel(reader->sim, &reader->watchdog);
}

static void rest(void *context) {
    struct reader *reader = context;
    if (reader->in_flight != 0 && !ash_virtio_blk_may_sleep(reader->disk.queue))
        sim_by(reader->sim, &reader->work, reader->sim->now_ns);
}

static void on_interrupt(void *context) {
    struct reader *reader = context;
    if (ash_virtio_blk_interrupt(&reader->disk.blk))
        sim_by(reader->sim, &reader->work, reader->sim->now_ns);
}

/* Looks by itself, for interrupts that were lost; then for requests past their deadline. */
static void watch(void *context) {
    struct reader *reader = context;
    sim_after(reader->sim, &reader->watchdog, WATCHDOG_NS);
    work(reader);
    if (reader->done < reader->job_count && !reader->gave_up && !sim_is_scheduled(&reader->work) &&
        (reader->in_flight == 0 ||
         ash_virtio_blk_watch(&reader->disk.blk, reader->sim->now_ns) != 0))
        recover(reader);
}

static void make_world(struct reader *reader, struct sim *sim) {
    reader->sim = sim;
    reader->done = reader->in_flight = reader->resets = reader->refusals = 0;
    reader->gave_up = false;
    memset(reader->jobs, 0, sizeof(reader->jobs));
    memset(sim_disk_buffer(&reader->disk, 0), 0, (size_t)reader->job_count * JOB_BYTES);
    struct fake_virtio_blk_config fake = {.backing = fake_virtio_blk_memory(&reader->backing),
                                          .queue_size_max = 32,
                                          .features_with =
                                              reader->packed ? FAKE_VIRTIO_F_RING_PACKED : 0};
    reader->config.on_interrupt = on_interrupt;
    reader->config.context = reader;
    sim_disk_power_on(&reader->disk, sim, 0, &fake, &reader->config);
    sim_event_init(&reader->work, "driver.work", work, reader);
    sim_event_init(&reader->rest, "driver.rest", rest, reader);
    sim_event_init(&reader->watchdog, "driver.watchdog", watch, reader);
}

/* A driver may find no device only where the script has what keeps it from one. */
static bool may_be_refused(const struct sim *sim) {
    for (uint32_t i = 0; i < sim->script->count; i++) {
        uint32_t fault = sim->script->entries[i].fault;
        if (fault == FAKE_VIRTIO_FAULT_FEATURES_REFUSED ||
            fault == FAKE_VIRTIO_FAULT_CONFIG_CHURN || fault == FAKE_VIRTIO_FAULT_RESET_SLOW)
            return true;
    }
    return false;
}

static bool start(struct reader *reader) {
    while (sim_disk_start(&reader->disk) != 0) {
        SIM_CHECK(reader->sim, may_be_refused(reader->sim));
        if (++reader->refusals == STARTS_MAX)
            return false;
    }
    return true;
}

static void read_all(struct reader *reader) {
    struct sim *sim = reader->sim;
    sim_at(sim, &reader->work, 0);
    if (!reader->sleeps_blindly)
        sim_at(sim, &reader->watchdog, WATCHDOG_NS);
    while (sim_step(sim)) {}
    reader->resets_in_all += reader->resets;
    SIM_CHECK(sim, reader->gave_up || reader->done == reader->job_count);
    SIM_CHECK(sim, sim->now_ns < (RESETS_MAX + 8) * 4 * (ash_ns_t)WATCHDOG_NS);
}

static void play(struct sim *sim, void *context) {
    struct reader *reader = context;
    make_world(reader, sim);
    if (start(reader))
        read_all(reader);
    reader->took_ns = sim->now_ns;
    reader->steps += reader->disk.fake.device.now;
    const char *violation = fake_virtio_violation_text(&reader->disk.fake.device, 0);
    if (violation != NULL)
        sim_broke(sim, __FILE__, __LINE__, violation);
    SIM_CHECK(sim, reader->disk.memory.refused == 0);
}

static struct reader *reader_new(const struct fake_virtio_policy *pace) {
    struct reader *reader = test_alloc(sizeof(*reader), 64);
    reader->job_count = JOBS;
    reader->config =
        (struct sim_device_config){.policy = *pace, .step_ns = 50, .interrupt_ns = 900};
    reader->backing.size_bytes = SECTORS * 512;
    reader->backing.bytes = test_alloc(SECTORS * 512, 64);
    for (uint32_t i = 0; i < SECTORS * 512; i++)
        reader->backing.bytes[i] = disk_byte(i);
    sim_disk_alloc(&reader->disk);
    return reader;
}

static const struct fake_virtio_policy slow = {
    .order = FAKE_VIRTIO_RANDOM, .latency_ns = 20000, .latency_spread_ns = 200000, .used_batch = 2};

static struct sim_scenario scenario_of(struct reader *reader) {
    return (struct sim_scenario){.name = "slow_disk",
                                 .play = play,
                                 .context = reader,
                                 .actors = &sim_device_actor,
                                 .actor_count = 1,
                                 .steps_max = 200000};
}

/* Both formats of the ring, and both ways to go on after a reset. */
static void next_kind(struct reader *reader, uint32_t kind) {
    reader->packed = (kind & 1) != 0;
    reader->after_reset = (kind & 2) != 0 ? ASH_VIRTIO_BLK_RESUBMIT : ASH_VIRTIO_BLK_FAIL;
}

/* Each seed by itself, since a script that is made smaller is to end otherwise. */
static void try_each(struct reader *reader, const char *script, uint32_t runs,
                     bool (*is_right)(const struct reader *reader)) {
    struct sim_scenario scenario = scenario_of(reader);
    for (uint64_t seed = test_seed(); runs-- != 0; seed++) {
        sim_try_seeds(&scenario, script, seed, 1);
        if (!is_right(reader))
            test_fail(__FILE__, __LINE__,
                      "\"seed:%llu %s\"%s: %u of %u done, %u in flight, %u resets, %u refusals, "
                      "%llu ns%s",
                      (unsigned long long)seed, script, reader->packed ? ", packed" : "",
                      reader->done, (uint32_t)JOBS, reader->in_flight, reader->resets,
                      reader->refusals, (unsigned long long)reader->took_ns,
                      reader->gave_up ? ", given up" : "");
    }
}

/* Five rounds of eight, each as long as the slowest of them, at most. */
static bool is_smooth(const struct reader *reader) {
    const struct fake_virtio *device = &reader->disk.fake.device;
    return reader->done == JOBS && reader->resets == 0 && reader->refusals == 0 &&
           reader->took_ns > 5 * 20000 && reader->took_ns < 5 * 250000 && device->queues[0].ready &&
           ((device->accepted & FAKE_VIRTIO_F_RING_PACKED) != 0) == reader->packed;
}

TEST_CASE(sim_slow_disk, all_is_read_in_any_order_and_time) {
    struct reader *reader = reader_new(&slow);
    for (uint32_t kind = 0; kind < 2; kind++) {
        next_kind(reader, kind);
        try_each(reader, "", 10, is_smooth);
    }
}

static const struct {
    const char *script;
    uint32_t resets;
} weathers[] = {
    {"device.interrupt_lost@2x3", 0},  /* the watchdog looks by itself */
    {"device.notification_lost@1", 1}, /* nobody tells the device but a reset */
    {"device.death@17", 1},            /* revived by it */
    {"device.needs_reset@9 device.death@12", 2},
    {"device.status_error@5x7=1", 0}, /* read again */
    {"device.id_swapped@6", 1},
    {"device.interrupt_spurious@10x50=1", 0},
    {"device.reset_slow@0x9 device.features_refused@0 device.config_churn@0x3", 0},
};

static bool is_all_read(const struct reader *reader) {
    return reader->done == JOBS && reader->resets == reader->resets_wanted &&
           reader->took_ns < RESOLVED_NS;
}

TEST_CASE(sim_slow_disk, watchdog_gets_all_data_through_lost_interrupts_and_deaths) {
    struct reader *reader = reader_new(&slow);
    for (uint32_t i = 0; i < 4 * ASH_ARRAY_LEN(weathers); i++) {
        next_kind(reader, i);
        reader->resets_wanted = weathers[i / 4].resets;
        try_each(reader, weathers[i / 4].script, 4, is_all_read);
    }
}

static bool is_given_up(const struct reader *reader) {
    return reader->gave_up && reader->done == 17 && reader->in_flight == 0;
}

TEST_CASE(sim_slow_disk, dead_device_is_given_up_with_every_token_back) {
    struct reader *reader = reader_new(&slow);
    for (uint32_t kind = 0; kind < 4; kind++) {
        next_kind(reader, kind);
        try_each(reader, "device.death@17=1", 2, is_given_up);
    }
}

TEST_CASE(sim_slow_disk, made_up_faults_are_survived) {
    struct reader *reader = reader_new(&slow);
    struct sim_scenario scenario = scenario_of(reader);
    for (uint32_t kind = 0; kind < 4; kind++) {
        next_kind(reader, kind);
        sim_try_faults(&scenario, 4, 40, test_seed() + 1000 * kind, 60);
    }
}

TEST_CASE(sim_slow_disk, scribbles_over_the_ring_cost_resets_and_no_data) {
    struct reader *reader = reader_new(&slow);
    struct sim_scenario scenario = scenario_of(reader);
    for (uint32_t kind = 0; kind < 4; kind++) {
        next_kind(reader, kind);
        reader->resets_in_all = 0;
        sim_try_seeds(&scenario, "device.scribble@30x300=2", test_seed(), 20);
        CHECK(reader->resets_in_all != 0);
        sim_try_seeds(&scenario, "device.scribble@0x*", test_seed(), 5);
    }
}

/* Devices that lie six times, for a million steps; for ASHLAR_SOAK millions, if it is set. */
TEST_CASE(sim_slow_disk, soak) {
    const char *millions = getenv("ASHLAR_SOAK");
    uint64_t steps = 1000000 * (millions == NULL ? 1 : strtoull(millions, NULL, 0));
    struct fake_virtio_policy unruly = slow;
    unruly.shuffle_actions = true;
    struct reader *reader = reader_new(&unruly);
    struct sim_scenario scenario = scenario_of(reader);
    for (uint64_t seed = test_seed(); reader->steps < steps; seed += 25) {
        next_kind(reader, (uint32_t)(seed / 25));
        sim_try_faults(&scenario, 6, 100, seed, 25);
    }
}

/* No watchdog, no latency, everything at once: what comes next, a ring action of the device, the
 * interrupt, the next submission, or what the driver does when it is woken, is a choice; and so is
 * which ring action. A wake-up that is lost in any order leaves the driver asleep. */
TEST_CASE(sim_slow_disk, no_wake_up_is_lost_in_any_order_of_the_first_choices) {
    static const struct fake_virtio_policy at_once = {.shuffle_actions = true};
    struct reader *reader = reader_new(&at_once);
    struct sim_scenario scenario = scenario_of(reader);
    scenario.ties_open = true;
    reader->sleeps_blindly = reader->in_small_steps = true;
    reader->config.step_ns = reader->config.interrupt_ns = 0;
    reader->job_count = 2;
    for (uint32_t kind = 0; kind < 2; kind++) {
        next_kind(reader, kind);
        CHECK(sim_try_all(&scenario, NULL, 12, 20000) > 1000);
    }
}

/* The search finds what the watchdog is for, and says which fault alone does it. */
TEST_CASE(sim_slow_disk, driver_without_a_watchdog_is_found_with_the_one_fault_that_stops_it) {
    struct reader *reader = reader_new(&slow);
    struct sim_scenario scenario = scenario_of(reader);
    struct sim_choices choices;
    struct sim_script script;
    char text[SIM_CHOICES_TEXT + SIM_SCRIPT_TEXT], message[200];
    reader->sleeps_blindly = true;
    sim_choices_seed(&choices, 5);
    CHECK_EQ(sim_script_parse(&script, &sim_device_actor, 1,
                              "device.status_error@3=1 device.interrupt_lost@2x* "
                              "device.interrupt_spurious@4x9 device.len_too_large@900",
                              message, sizeof(message)),
             0);
    sim_report(&scenario, &choices, &script, text, sizeof(text));
    CHECK(strstr(text, "slow_disk: slow_disk.c:") == text);
    CHECK(strstr(text, "done == reader->job_count") != NULL);
    CHECK(strstr(text, "play it again: \"seed:5 device.interrupt_lost@2x*\"") != NULL ||
          strstr(text, "play it again: \"seed:5 device.interrupt_lost@2\"") != NULL);
}

TEST_CASE(sim_slow_disk, same_line_same_digest) {
    struct reader *reader = reader_new(&slow);
    struct sim_scenario scenario = scenario_of(reader);
    struct sim sim;
    uint64_t digests[3];
    static const char *const lines[] = {"seed:9 device.death@3", "seed:9 device.death@3",
                                        "seed:10 device.death@3"};
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(sim_replay(&scenario, lines[i], &sim));
        CHECK_STR_EQ(sim.broken, "");
        digests[i] = sim.digest;
    }
    CHECK(digests[0] == digests[1]);
    CHECK(digests[0] != digests[2]);
}
