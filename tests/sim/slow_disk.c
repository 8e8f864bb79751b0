/* SPDX-License-Identifier: MIT */
/*
 * slow_disk.c: the virtio-blk driver in virtual time, over a device that is slow, out of order, and
 * loses, dies and lies as the script says. A driver that sleeps between interrupts, with a watchdog
 * for those that do not come, must get every token back once and all data read, in a bounded time.
 */
#include "harness/test.h"
#include "hosted/virtio_blk_device.h"
#include "sim/device.h"
#include "sim/scenario.h"

#include <ashlar/error.h>
#include <ashlar/virtio_blk.h>
#include <ashlar/virtio_mmio.h>

enum {
    SECTORS = 64,
    JOBS = 40,
    JOB_BYTES = 1024,
    POOL_BYTES = 1 << 17,
    DEADLINE_NS = 1000000,
    WATCHDOG_NS = 500000,
    RESETS_MAX = 12,        /* then the driver gives up: the device is dead */
    RESOLVED_NS = 10000000, /* every token is back so long after one death */
};

#define POOL_BASE UINT64_C(0x80000000)

struct job {
    uint32_t token;
    bool in_flight, done;
};

struct disk {
    struct sim *sim;
    struct sim_device_config config; /* the device's pace */
    bool packed;
    uint32_t job_count;
    bool sleeps_blindly;                         /* a driver without a watchdog, */
    bool in_small_steps;                         /* between which the device may act, */
    enum ash_virtio_blk_after_reset after_reset; /* and what it does with what was in flight */

    struct guest_memory memory;
    struct fake_virtio_blk_memory backing;
    struct fake_virtio_blk fake;
    struct sim_device device;
    uint8_t *pool;

    struct ash_virtio_mmio mmio;
    struct ash_virtio_blk blk;
    struct ash_virtio_blk_queue *queue;
    void *storage;
    struct sim_event work, rest, watchdog;
    struct job jobs[JOBS];
    uint32_t done, in_flight, resets, inits;
    bool gave_up;
    ash_ns_t took_ns;
};

static uint8_t disk_byte(uint64_t offset) {
    return (uint8_t)((offset * UINT64_C(0xd1342543de82ef95)) >> 56);
}

static uint64_t sector_of(uint32_t job) {
    return job * 7 % (SECTORS - JOB_BYTES / 512);
}

/* The driver under test, as this case uses it. */

static uint8_t *buffer_of(struct disk *disk, uint32_t job) {
    return disk->pool + POOL_BYTES - JOBS * JOB_BYTES + job * JOB_BYTES;
}

static int driver_init(struct disk *disk) {
    const struct ash_virtio_blk_config config = {
        .transport = &disk->mmio.transport, .queue_size = 32, .in_flight_max = 8};
    struct ash_virtio_regs regs = {sim_device_read, sim_device_write, &disk->device};
    struct ash_virtio_blk_memory memory = {
        .storage_bytes = ash_virtio_blk_storage_size(&config),
        .dma = {disk->pool, ash_virtio_blk_dma_size(&config), POOL_BASE},
    };
    if (disk->storage == NULL)
        disk->storage = test_alloc(memory.storage_bytes, ASH_VIRTIO_BLK_MEMORY_ALIGN);
    memory.storage = disk->storage;
    int error = ash_virtio_mmio_probe(&disk->mmio, &regs);
    if (error == 0)
        error = ash_virtio_blk_init(&disk->blk, &config, &memory);
    if (error == 0)
        disk->queue = ash_virtio_blk_get_queue(&disk->blk, 0);
    return error;
}

static bool driver_read(struct disk *disk, uint32_t job) {
    const struct ash_dma_segment segment = {
        POOL_BASE + (uint64_t)(buffer_of(disk, job) - disk->pool), JOB_BYTES};
    const struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_READ,
                                                   .sector = sector_of(job),
                                                   .segments = &segment,
                                                   .segment_count = 1,
                                                   .deadline_ns = disk->sim->now_ns + DEADLINE_NS,
                                                   .cookie = &disk->jobs[job]};
    return ash_virtio_blk_submit(disk->queue, &request, &disk->jobs[job].token) == 0;
}

/* The world */

static void take(struct disk *disk, const struct ash_virtio_blk_done *done) {
    struct job *job = done->cookie;
    uint32_t index = (uint32_t)(job - disk->jobs);
    SIM_CHECK(disk->sim, job->in_flight && job->token == done->token);
    job->in_flight = false;
    disk->in_flight--;
    if (done->status != 0)
        return;
    const uint8_t *buffer = buffer_of(disk, index);
    bool same = true;
    for (uint32_t i = 0; i < JOB_BYTES; i++)
        same = same && buffer[i] == disk_byte(sector_of(index) * 512 + i);
    SIM_CHECK(disk->sim, same);
    job->done = true;
    disk->done++;
}

/* -1 when the queue is broken and has nothing left. */
static int reap(struct disk *disk) {
    struct ash_virtio_blk_done done[5];
    int count;
    while ((count = ash_virtio_blk_reap(disk->queue, done, ASH_ARRAY_LEN(done))) > 0) {
        for (int i = 0; i < count; i++)
            take(disk, &done[i]);
    }
    SIM_CHECK(disk->sim, ash_virtio_blk_in_flight(disk->queue) == disk->in_flight);
    return count;
}

static void give_up(struct disk *disk) {
    disk->gave_up = true;
    sim_cancel(disk->sim, &disk->watchdog);
    sim_cancel(disk->sim, &disk->work);
    if (ash_virtio_blk_fini(&disk->blk) == 0)
        SIM_CHECK(disk->sim, reap(disk) != 0 && disk->in_flight == 0);
}

static void recover(struct disk *disk) {
    (void)reap(disk);
    if (disk->resets++ == RESETS_MAX) {
        give_up(disk);
        return;
    }
    int error =
        ash_virtio_blk_reset(&disk->blk, disk->after_reset, disk->sim->now_ns + DEADLINE_NS);
    sim_note(disk->sim, "reset", disk->resets, (uint64_t)-error);
    (void)reap(disk);
    sim_after(disk->sim, &disk->work, error == 0 ? 0 : WATCHDOG_NS);
}

/* False: there is more to submit, and room for it. */
static bool submit(struct disk *disk) {
    bool all = true;
    for (uint32_t i = 0; i < disk->job_count && all; i++) {
        struct job *job = &disk->jobs[i];
        if (job->done || job->in_flight)
            continue;
        if (!driver_read(disk, i))
            break;
        job->in_flight = true;
        disk->in_flight++;
        all = !disk->in_small_steps;
    }
    ash_virtio_blk_kick(disk->queue);
    return all;
}

/* Until nothing is there and an interrupt will tell. */
static void work(void *context) {
    struct disk *disk = context;
    while (!disk->gave_up && disk->done < disk->job_count) {
        if (reap(disk) < 0) {
            recover(disk);
            return;
        }
        if (!submit(disk)) {
            sim_by(disk->sim, &disk->work, disk->sim->now_ns);
            return;
        }
        if (disk->in_small_steps && disk->done < disk->job_count) {
            sim_by(disk->sim, &disk->rest, disk->sim->now_ns);
            return;
        }
        if (disk->done < disk->job_count &&
            (disk->in_flight == 0 || ash_virtio_blk_may_sleep(disk->queue)))
            return;
    }
    sim_cancel(disk->sim, &disk->watchdog);
}

static void rest(void *context) {
    struct disk *disk = context;
    if (disk->in_flight != 0 && !ash_virtio_blk_may_sleep(disk->queue))
        sim_by(disk->sim, &disk->work, disk->sim->now_ns);
}

static void on_interrupt(void *context) {
    struct disk *disk = context;
    if (ash_virtio_blk_interrupt(&disk->blk))
        sim_by(disk->sim, &disk->work, disk->sim->now_ns);
}

/* Looks by itself, for interrupts that were lost; then for requests past their deadline. */
static void watch(void *context) {
    struct disk *disk = context;
    sim_after(disk->sim, &disk->watchdog, WATCHDOG_NS);
    work(disk);
    if (disk->done < disk->job_count && !disk->gave_up && !sim_is_scheduled(&disk->work) &&
        (disk->in_flight == 0 || ash_virtio_blk_watch(&disk->blk, disk->sim->now_ns) != 0))
        recover(disk);
}

static void make_world(struct disk *disk, struct sim *sim) {
    disk->sim = sim;
    disk->done = disk->in_flight = disk->resets = disk->inits = 0;
    disk->gave_up = false;
    memset(disk->jobs, 0, sizeof(disk->jobs));
    memset(buffer_of(disk, 0), 0, (size_t)disk->job_count * JOB_BYTES);
    struct fake_virtio_blk_config fake = {.backing = fake_virtio_blk_memory(&disk->backing),
                                          .queue_size_max = 32,
                                          .features_with =
                                              disk->packed ? FAKE_VIRTIO_F_RING_PACKED : 0};
    fake_virtio_blk_init(&disk->fake, &fake, &disk->memory);
    disk->config.on_interrupt = on_interrupt;
    disk->config.context = disk;
    sim_device_init(&disk->device, sim, 0, &disk->fake.device, &disk->config);
    sim_event_init(&disk->work, "driver.work", work, disk);
    sim_event_init(&disk->rest, "driver.rest", rest, disk);
    sim_event_init(&disk->watchdog, "driver.watchdog", watch, disk);
}

static void play(struct sim *sim, void *context) {
    struct disk *disk = context;
    make_world(disk, sim);
    while (driver_init(disk) != 0) { /* features refused, configuration that churns ... */
        if (++disk->inits == 8)
            return;
    }
    sim_at(sim, &disk->work, 0);
    if (!disk->sleeps_blindly)
        sim_at(sim, &disk->watchdog, WATCHDOG_NS);
    while (sim_step(sim)) {}
    disk->took_ns = sim->now_ns;
    SIM_CHECK(sim, disk->gave_up || disk->done == disk->job_count);
    SIM_CHECK(sim, sim->now_ns < (RESETS_MAX + 8) * 4 * (ash_ns_t)WATCHDOG_NS);
    const char *violation = fake_virtio_violation_text(&disk->fake.device, 0);
    if (violation != NULL)
        sim_broke(sim, __FILE__, __LINE__, violation);
    SIM_CHECK(sim, disk->memory.refused == 0);
}

static struct disk *disk_new(const struct fake_virtio_policy *pace) {
    struct disk *disk = test_alloc(sizeof(*disk), 64);
    disk->job_count = JOBS;
    disk->config = (struct sim_device_config){.policy = *pace, .step_ns = 50, .interrupt_ns = 900};
    disk->backing.size_bytes = SECTORS * 512;
    disk->backing.bytes = test_alloc(SECTORS * 512, 64);
    for (uint32_t i = 0; i < SECTORS * 512; i++)
        disk->backing.bytes[i] = disk_byte(i);
    disk->pool = test_alloc(POOL_BYTES, 4096);
    guest_memory_init(&disk->memory);
    CHECK_EQ(guest_memory_add(&disk->memory, POOL_BASE, disk->pool, POOL_BYTES), 0);
    return disk;
}

static const struct fake_virtio_policy slow = {
    .order = FAKE_VIRTIO_RANDOM, .latency_ns = 20000, .latency_spread_ns = 200000, .used_batch = 2};

static struct sim_scenario scenario_of(struct disk *disk) {
    return (struct sim_scenario){.name = "slow_disk",
                                 .play = play,
                                 .context = disk,
                                 .actors = &sim_device_actor,
                                 .actor_count = 1,
                                 .steps_max = 200000};
}

/* Both formats of the ring, and both ways to go on after a reset. */
static void next_kind(struct disk *disk, uint32_t kind) {
    disk->packed = (kind & 1) != 0;
    disk->after_reset = (kind & 2) != 0 ? ASH_VIRTIO_BLK_RESUBMIT : ASH_VIRTIO_BLK_FAIL;
}

TEST_CASE(sim_slow_disk, all_is_read_in_any_order_and_time) {
    struct disk *disk = disk_new(&slow);
    struct sim_scenario scenario = scenario_of(disk);
    for (uint32_t kind = 0; kind < 2; kind++) {
        next_kind(disk, kind);
        sim_try_seeds(&scenario, NULL, test_seed(), 10);
        CHECK_EQ(disk->resets, 0);
        CHECK_EQ(disk->done, JOBS);
        /* Five rounds of eight, each as long as the slowest of them, at most. */
        CHECK(disk->took_ns > 5 * 20000 && disk->took_ns < 5 * 250000);
        CHECK_EQ(fake_virtio_queue(&disk->fake.device, 0)->ready, true);
        CHECK_EQ((disk->fake.device.accepted & FAKE_VIRTIO_F_RING_PACKED) != 0, disk->packed);
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

TEST_CASE(sim_slow_disk, watchdog_gets_all_data_through_lost_interrupts_and_deaths) {
    struct disk *disk = disk_new(&slow);
    struct sim_scenario scenario = scenario_of(disk);
    for (uint32_t i = 0; i < 4 * ASH_ARRAY_LEN(weathers); i++) {
        const char *script = weathers[i / 4].script;
        next_kind(disk, i);
        sim_try_seeds(&scenario, script, test_seed(), 4);
        if (disk->done != JOBS || disk->resets != weathers[i / 4].resets)
            test_fail(__FILE__, __LINE__, "%s: %u of %u done, %u resets", script, disk->done,
                      (uint32_t)JOBS, disk->resets);
        CHECK(disk->took_ns < RESOLVED_NS);
    }
}

TEST_CASE(sim_slow_disk, dead_device_is_given_up_with_every_token_back) {
    struct disk *disk = disk_new(&slow);
    struct sim_scenario scenario = scenario_of(disk);
    for (uint32_t kind = 0; kind < 4; kind++) {
        next_kind(disk, kind);
        sim_try_seeds(&scenario, "device.death@17=1", test_seed(), 2);
        CHECK(disk->gave_up);
        CHECK_EQ(disk->done, 17);
        CHECK_EQ(disk->in_flight, 0);
    }
}

TEST_CASE(sim_slow_disk, made_up_faults_are_survived) {
    struct disk *disk = disk_new(&slow);
    struct sim_scenario scenario = scenario_of(disk);
    for (uint32_t kind = 0; kind < 4; kind++) {
        next_kind(disk, kind);
        sim_try_faults(&scenario, 4, 40, test_seed() + 1000 * kind, 60);
    }
}

TEST_CASE(sim_slow_disk, scribbles_over_the_ring_cost_resets_and_no_data) {
    struct disk *disk = disk_new(&slow);
    struct sim_scenario scenario = scenario_of(disk);
    uint32_t resets = 0;
    for (uint32_t kind = 0; kind < 4; kind++) {
        next_kind(disk, kind);
        sim_try_seeds(&scenario, "device.scribble@30x300=2", test_seed(), 20);
        resets += disk->resets;
        sim_try_seeds(&scenario, "device.scribble@0x*", test_seed(), 5);
    }
    CHECK(resets != 0);
}

/* No watchdog, no latency, everything at once: what comes next, a ring action of the device, the
 * interrupt, the next submission, or what the driver does when it is woken, is a choice; and so is
 * which ring action. A wake-up that is lost in any order leaves the driver asleep. */
TEST_CASE(sim_slow_disk, no_wake_up_is_lost_in_any_order_of_the_first_choices) {
    static const struct fake_virtio_policy at_once = {.shuffle_actions = true};
    struct disk *disk = disk_new(&at_once);
    struct sim_scenario scenario = scenario_of(disk);
    scenario.ties_open = true;
    disk->sleeps_blindly = disk->in_small_steps = true;
    disk->config.step_ns = disk->config.interrupt_ns = 0;
    disk->job_count = 2;
    for (uint32_t kind = 0; kind < 2; kind++) {
        next_kind(disk, kind);
        CHECK(sim_try_all(&scenario, NULL, 12, 20000) > 1000);
    }
}

/* The search finds what the watchdog is for, and says which fault alone does it. */
TEST_CASE(sim_slow_disk, driver_without_a_watchdog_is_found_with_the_one_fault_that_stops_it) {
    struct disk *disk = disk_new(&slow);
    struct sim_scenario scenario = scenario_of(disk);
    struct sim_choices choices;
    struct sim_script script;
    char text[SIM_CHOICES_TEXT + SIM_SCRIPT_TEXT], message[200];
    disk->sleeps_blindly = true;
    sim_choices_seed(&choices, 5);
    CHECK_EQ(sim_script_parse(&script, &sim_device_actor, 1,
                              "device.status_error@3=1 device.interrupt_lost@2x* "
                              "device.interrupt_spurious@4x9 device.len_too_large@900",
                              message, sizeof(message)),
             0);
    sim_report(&scenario, &choices, &script, text, sizeof(text));
    CHECK(strstr(text, "slow_disk: slow_disk.c:") == text);
    CHECK(strstr(text, "done == disk->job_count") != NULL);
    CHECK(strstr(text, "play it again: \"seed:5 device.interrupt_lost@2x*\"") != NULL ||
          strstr(text, "play it again: \"seed:5 device.interrupt_lost@2\"") != NULL);
}

TEST_CASE(sim_slow_disk, same_line_same_digest) {
    struct disk *disk = disk_new(&slow);
    struct sim_scenario scenario = scenario_of(disk);
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
