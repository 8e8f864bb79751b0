/* SPDX-License-Identifier: MIT */
/*
 * The driver against the hosted platform's fake device, which referees it: a device that keeps the
 * rules in any order and at any pace must find none broken; each lie that it can tell must end with
 * all data read after resets, every token back once, and still no rule broken by the driver.
 */
#include "harness/test.h"

#include <ashlar/error.h>
#include <ashlar/virtio_blk.h>
#include <ashlar/virtio_mmio.h>

#include "hosted/virtio_blk_device.h"
#include "hosted/virtio_mmio_window.h"

enum {
    SECTORS = 256,
    JOBS = 96,
    JOB_BYTES_MAX = 4 * 512,
    SEGMENTS_MAX = 5,
    POOL_BYTES = 1 << 18,
    ROUNDS_MAX = 20000
};

#define POOL_BASE UINT64_C(0x80000000)

struct job {
    uint64_t sector;
    size_t len_bytes;
    uint8_t *buffer;
    struct ash_dma_segment segments[SEGMENTS_MAX];
    uint32_t segment_count;
    uint32_t token;
    bool in_flight, is_done;
};

struct bench {
    struct guest_memory memory;
    struct fake_virtio_blk_memory disk;
    struct fake_virtio_blk fake;
    struct fake_virtio_mmio window;
    struct ash_virtio_mmio mmio;
    struct ash_virtio_blk blk;
    struct ash_virtio_blk_queue *queue;
    uint8_t *pool; /* all that the device may reach: the rings, then the buffers */
    struct ash_virtio_blk_memory storage;
    enum ash_virtio_blk_after_reset after_reset;
    struct test_random random;
    struct job jobs[JOBS];
    uint32_t in_flight, done, failed, resets, idle_rounds, init_failures;
    bool line, loses_notifications;
};

static void on_line(void *context, bool asserted) {
    ((struct bench *)context)->line = asserted;
}

static uint8_t disk_byte(uint64_t offset) {
    return (uint8_t)((offset * UINT64_C(0xd1342543de82ef95)) >> 56);
}

static struct ash_virtio_blk_config config_of(struct bench *bench) {
    return (struct ash_virtio_blk_config){.transport = &bench->mmio.transport,
                                          .queue_size = 64,
                                          .in_flight_max = 14,
                                          .segments_max = SEGMENTS_MAX};
}

/* One piece or several, cut at any multiple of 4. */
static void cut(struct bench *bench, struct job *job) {
    ash_paddr_t address = POOL_BASE + (ash_paddr_t)(job->buffer - bench->pool);
    uint32_t left = (uint32_t)job->len_bytes, pieces = 1;
    if (test_random_chance(&bench->random, 50))
        pieces = 1 + (uint32_t)test_random_below(&bench->random, SEGMENTS_MAX);
    for (job->segment_count = 0; left != 0; job->segment_count++) {
        uint32_t len = 4 + 4 * (uint32_t)test_random_below(&bench->random, left / 4);
        len = job->segment_count + 1 >= pieces ? left : len;
        job->segments[job->segment_count] = (struct ash_dma_segment){address, len};
        address += len;
        left -= len;
    }
}

static void place_memory(struct bench *bench) {
    struct ash_virtio_blk_config config = config_of(bench);
    struct ash_virtio_blk_memory *memory = &bench->storage;
    memory->storage_bytes = ash_virtio_blk_storage_size(&config);
    memory->storage = test_alloc(memory->storage_bytes, ASH_VIRTIO_BLK_MEMORY_ALIGN);
    memory->dma.bytes = ash_virtio_blk_dma_size(&config);
    memory->dma.pointer = bench->pool;
    memory->dma.address = POOL_BASE;
    uint8_t *buffers = bench->pool + ash_align_up(memory->dma.bytes, 512);
    for (uint32_t i = 0; i < JOBS; i++) {
        struct job *job = &bench->jobs[i];
        job->buffer = buffers + i * JOB_BYTES_MAX;
        job->sector = test_random_below(&bench->random, SECTORS - 4);
        job->len_bytes = 512 * (1 + (size_t)test_random_below(&bench->random, 4));
        cut(bench, job);
    }
}

static struct bench *bench_new(const struct fake_virtio_policy *policy, bool packed,
                               uint64_t features_without) {
    struct bench *bench = test_alloc(sizeof(*bench), 64);
    bench->disk.size_bytes = SECTORS * 512;
    bench->disk.bytes = test_alloc(SECTORS * 512, 64);
    for (uint32_t i = 0; i < SECTORS * 512; i++)
        bench->disk.bytes[i] = disk_byte(i);
    bench->pool = test_alloc(POOL_BYTES, 4096);
    guest_memory_init(&bench->memory);
    CHECK_EQ(guest_memory_add(&bench->memory, POOL_BASE, bench->pool, POOL_BYTES), 0);
    struct fake_virtio_blk_config fake = {.backing = fake_virtio_blk_memory(&bench->disk),
                                          .features_without = features_without,
                                          .features_with = packed ? FAKE_VIRTIO_F_RING_PACKED : 0};
    fake_virtio_blk_init(&bench->fake, &fake, &bench->memory);
    fake_virtio_set_policy(&bench->fake.device, policy);
    fake_virtio_on_interrupt(&bench->fake.device, on_line, bench);
    fake_virtio_mmio_init(&bench->window, &bench->fake.device);
    bench->random = test_random_from(policy->seed);
    place_memory(bench);
    return bench;
}

/* Tries again while the device's lies make it fail. */
static void bench_init(struct bench *bench) {
    struct ash_virtio_blk_config config = config_of(bench);
    struct ash_virtio_regs regs = {fake_virtio_mmio_read, fake_virtio_mmio_write, &bench->window};
    CHECK_EQ(ash_virtio_mmio_probe(&bench->mmio, &regs), 0);
    while (ash_virtio_blk_init(&bench->blk, &config, &bench->storage) != 0) {
        CHECK(ash_virtio_blk_reason(&bench->blk)[0] != '\0');
        CHECK(++bench->init_failures < 4);
    }
    bench->queue = ash_virtio_blk_get_queue(&bench->blk, 0);
}

static void bench_reset(struct bench *bench) {
    bench->resets++;
    CHECK(bench->resets < 100);
    while (ash_virtio_blk_reset(&bench->blk, bench->after_reset, 0) != 0)
        CHECK(++bench->init_failures < 4);
    const char *broken = ash_virtio_blk_check(&bench->blk);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
}

static void bench_submit(struct bench *bench) {
    for (uint32_t i = 0; i < JOBS; i++) {
        struct job *job = &bench->jobs[i];
        if (job->is_done || job->in_flight || test_random_chance(&bench->random, 70))
            continue;
        const struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_READ,
                                                       .sector = job->sector,
                                                       .segments = job->segments,
                                                       .segment_count = job->segment_count,
                                                       .cookie = job};
        int error = ash_virtio_blk_submit(bench->queue, &request, &job->token);
        if (error != 0) {
            CHECK(error == -ASH_EAGAIN || error == -ASH_EIO);
            break;
        }
        job->in_flight = true;
        bench->in_flight++;
    }
    ash_virtio_blk_kick(bench->queue);
    if (!bench->loses_notifications)
        fake_virtio_check_notified(&bench->fake.device);
}

static void bench_take(struct bench *bench, const struct ash_virtio_blk_done *done) {
    struct job *job = done->cookie;
    CHECK(job->in_flight && job->token == done->token);
    job->in_flight = false;
    bench->in_flight--;
    if (done->status != 0) {
        bench->failed++;
        return;
    }
    CHECK_EQ(done->bytes, job->len_bytes);
    CHECK_MEM_EQ(job->buffer, bench->disk.bytes + job->sector * 512, job->len_bytes);
    job->is_done = true;
    bench->done++;
}

static void bench_reap(struct bench *bench) {
    struct ash_virtio_blk_done done[7];
    int count;
    while ((count = ash_virtio_blk_reap(bench->queue, done, ASH_ARRAY_LEN(done))) > 0) {
        for (int i = 0; i < count; i++)
            bench_take(bench, &done[i]);
        bench->idle_rounds = 0;
    }
    if (count < 0)
        bench_reset(bench);
    CHECK_EQ(ash_virtio_blk_in_flight(bench->queue), bench->in_flight);
}

/* Sleeps while nothing is there; a watchdog looks by itself, then at Status, then resets. */
static void bench_wait(struct bench *bench) {
    bool device_idle =
        fake_virtio_run(&bench->fake.device, test_random_below(&bench->random, 40)) == 0 &&
        !fake_virtio_step(&bench->fake.device);
    if (bench->line) {
        CHECK(ash_virtio_blk_interrupt(&bench->blk) || bench->fake.device.interrupt_status == 0);
        bench_reap(bench);
        return;
    }
    uint32_t wish = 1 + (uint32_t)test_random_below(&bench->random, 3);
    CHECK_EQ(ash_virtio_blk_set_policy(bench->queue, ASH_VIRTIO_BLK_DELAYED, wish), 0);
    if (!ash_virtio_blk_may_sleep(bench->queue)) {
        bench_reap(bench);
        return;
    }
    if (!device_idle || bench->in_flight == 0 || ++bench->idle_rounds < 4)
        return;
    bench_reap(bench);
    if (bench->idle_rounds != 0 && bench->in_flight != 0) {
        (void)!ash_virtio_blk_watch(&bench->blk, 0);
        bench_reset(bench);
        bench->idle_rounds = 0;
    }
}

static void bench_run(struct bench *bench) {
    bench_init(bench);
    for (uint32_t round = 0; bench->done < JOBS; round++) {
        CHECK(round < ROUNDS_MAX);
        bench_submit(bench);
        bench_wait(bench);
    }
    CHECK_EQ(bench->in_flight, 0);
    const char *broken = ash_virtio_blk_check(&bench->blk);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
    const char *violation = fake_virtio_violation_text(&bench->fake.device, 0);
    CHECK_STR_EQ(violation == NULL ? "" : violation, "");
    CHECK_EQ(bench->memory.refused, 0);
}

/* The pace and the order of a device; row 0 is the plain one. */
static const struct fake_virtio_policy paces[] = {
    {.order = FAKE_VIRTIO_FIFO},
    {.order = FAKE_VIRTIO_LIFO, .used_batch = 8},
    {.order = FAKE_VIRTIO_RANDOM, .latency_steps = 3, .latency_spread = 60, .used_batch = 3},
    {.order = FAKE_VIRTIO_RANDOM, .shuffle_actions = true, .latency_spread = 9, .used_batch = 2},
    {.shuffle_actions = true, .notify = FAKE_VIRTIO_NOTIFY_ALWAYS},
};

TEST_CASE(virtio_fake, correct_device_at_any_pace_sees_no_rule_broken) {
    uint64_t seed = test_seed();
    for (uint32_t i = 0; i < 4 * ASH_ARRAY_LEN(paces); i++) {
        struct fake_virtio_policy policy = paces[i % ASH_ARRAY_LEN(paces)];
        policy.seed = seed + i;
        uint32_t round = i / ASH_ARRAY_LEN(paces);
        struct bench *bench =
            bench_new(&policy, round / 2 != 0, round % 2 == 0 ? 0 : FAKE_VIRTIO_F_EVENT_IDX);
        bench_run(bench);
        CHECK_EQ(bench->queue->ring.shape.packed, round / 2 != 0);
        CHECK_EQ(bench->failed + bench->resets, 0);
        CHECK_EQ(ash_virtio_blk_fini(&bench->blk), 0);
        if (i % ASH_ARRAY_LEN(paces) == 0)
            CHECK_EQ(bench->fake.device.stats.notifications_needless, 0);
    }
    CHECK_EQ(test_event_count("virtq.broken"), 0);
}

enum outcome { RESET, FAILED_REQUEST, FAILED_INIT, NOTHING, ANYTHING };
/* Some lies may leave a packed ring mute: nothing comes any more, which a watchdog has to find. */
enum breaks { BREAKS_NOT, BREAKS, UNLESS_PACKED };

static const struct lie {
    struct fake_virtio_fault fault;
    enum outcome outcome;
    enum breaks breaks; /* the queue, by a fault that the driver sees */
} lies[] = {
    {{FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, 7, 1, 0}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, 0, 1, UINT32_MAX}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, 30, 1, 60}, RESET, BREAKS}, /* the table's unused end */
    {{FAKE_VIRTIO_FAULT_ID_NOT_A_HEAD, 5, 1, 0}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_ID_NOT_IN_FLIGHT, 5, 1, 0}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_DUPLICATE, 5, 1, 0}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_ID_SWAPPED, 5, 1, 0}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_USED_MISPLACED, 5, 1, 0}, RESET, UNLESS_PACKED},
    {{FAKE_VIRTIO_FAULT_USED_UNOFFERED, 5, 1, 0}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_USED_EARLY, 0, 1, 0}, RESET, UNLESS_PACKED},
    {{FAKE_VIRTIO_FAULT_WRONG_WRAP, 0, 1, 0}, NOTHING, BREAKS_NOT}, /* split rings have no wrap */
    {{FAKE_VIRTIO_FAULT_LEN_TOO_LARGE, 5, 1, 0}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_LEN_TOO_LARGE, 5, 1, UINT32_MAX}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_IDX_JUMP, 5, 1, 20}, RESET, UNLESS_PACKED},
    {{FAKE_VIRTIO_FAULT_IDX_JUMP, 5, 1, 0x8003}, RESET, UNLESS_PACKED},
    {{FAKE_VIRTIO_FAULT_STATUS_ERROR, 5, 3, 1}, FAILED_REQUEST, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_STATUS_ERROR, 5, 1, 2}, FAILED_REQUEST, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_STATUS_ERROR, 5, 1, 3}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_STATUS_UNWRITTEN, 5, 1, 0}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_DEATH, 5, 1, 0}, RESET, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_NEEDS_RESET, 5, 1, 0}, RESET, BREAKS},
    {{FAKE_VIRTIO_FAULT_INTERRUPT_LOST, 0, 8, 0}, NOTHING, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_INTERRUPT_SPURIOUS, 5, 50, 0}, NOTHING, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_INTERRUPT_SPURIOUS, 5, 50, 1}, NOTHING, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_INTERRUPT_SPURIOUS, 5, 50, 3}, NOTHING, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_SCRIBBLE, 20, 1, 0},
     ANYTHING,
     BREAKS_NOT}, /* it may hit nothing that counts */
    {{FAKE_VIRTIO_FAULT_SCRIBBLE, 20, 30, 20}, ANYTHING, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_NOTIFICATION_LOST, 1, 1, 0}, NOTHING, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_CONFIG_CHURN, 0, 40, 0}, FAILED_INIT, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_CONFIG_CHURN, 0, 5, 0}, NOTHING, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_FEATURES_REFUSED, 0, 1, 0}, FAILED_INIT, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_RESET_SLOW, 0, 500, 0}, NOTHING, BREAKS_NOT},
    {{FAKE_VIRTIO_FAULT_RESET_SLOW, 0, ASH_VIRTIO_RESET_READS_MAX + 5, 0}, FAILED_INIT, BREAKS_NOT},
};

static void tell(const struct lie *lie, struct fake_virtio_policy policy,
                 enum ash_virtio_blk_after_reset after_reset, bool packed) {
    policy.faults = &lie->fault;
    policy.fault_count = 1;
    uint64_t events = test_event_count("virtq.broken");
    struct bench *bench = bench_new(&policy, packed, 0);
    bench->after_reset = after_reset;
    bench->loses_notifications = lie->fault.kind == FAKE_VIRTIO_FAULT_NOTIFICATION_LOST;
    bench_run(bench);
    events = test_event_count("virtq.broken") - events;
    bool is_open = lie->outcome == ANYTHING || (packed && lie->breaks == UNLESS_PACKED);
    bool as_expected = is_open || (lie->breaks != BREAKS_NOT) == (events != 0);
    /* A completion of somebody else's that was done just then: it comes back, as an error. */
    bool may_fail = after_reset == ASH_VIRTIO_BLK_FAIL ||
                    lie->fault.kind == FAKE_VIRTIO_FAULT_ID_SWAPPED ||
                    lie->fault.kind == FAKE_VIRTIO_FAULT_USED_EARLY;
    if (lie->outcome == RESET)
        as_expected = as_expected && bench->resets == 1 &&
                      (bench->failed != 0 || after_reset == ASH_VIRTIO_BLK_RESUBMIT) &&
                      (bench->failed == 0 || may_fail);
    if (lie->outcome == FAILED_REQUEST)
        as_expected = as_expected && bench->failed == lie->fault.count && bench->resets == 0;
    if (lie->outcome == FAILED_INIT)
        as_expected = as_expected && bench->init_failures != 0;
    if (!as_expected)
        test_fail(__FILE__, __LINE__,
                  "fault %u value %llu: %llu events, %u resets, %u failed, %u failed inits",
                  lie->fault.kind, (unsigned long long)lie->fault.value, (unsigned long long)events,
                  bench->resets, bench->failed, bench->init_failures);
}

static void tell_each(enum ash_virtio_blk_after_reset after_reset, bool packed) {
    bool told[FAKE_VIRTIO_FAULT_KINDS] = {false};
    uint64_t seed = test_seed();
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(lies); i++) {
        struct fake_virtio_policy policy = paces[0];
        policy.seed = seed + i;
        tell(&lies[i], policy, after_reset, packed);
        told[lies[i].fault.kind] = true;
    }
    for (uint32_t kind = 0; kind < FAKE_VIRTIO_FAULT_KINDS; kind++)
        CHECK(told[kind]);
}

TEST_CASE(virtio_fake, each_lie_ends_with_all_data_read_and_no_rule_broken) {
    tell_each(ASH_VIRTIO_BLK_FAIL, false);
}

TEST_CASE(virtio_fake, each_lie_of_a_packed_ring_ends_with_all_data_read_and_no_rule_broken) {
    tell_each(ASH_VIRTIO_BLK_FAIL, true);
}

TEST_CASE(virtio_fake, each_lie_ends_unseen_where_a_reset_queues_again) {
    tell_each(ASH_VIRTIO_BLK_RESUBMIT, false);
}

TEST_CASE(virtio_fake, each_lie_of_a_packed_ring_ends_unseen_where_a_reset_queues_again) {
    tell_each(ASH_VIRTIO_BLK_RESUBMIT, true);
}

TEST_CASE(virtio_fake, device_that_no_reset_revives_still_gives_every_token_back) {
    static const struct fake_virtio_fault death = {FAKE_VIRTIO_FAULT_DEATH, 10, 1, 1};
    struct fake_virtio_policy policy = {.faults = &death, .fault_count = 1, .seed = test_seed()};
    struct bench *bench = bench_new(&policy, false, 0);
    bench_init(bench);
    while (bench->resets < 5) {
        bench_submit(bench);
        bench_wait(bench);
    }
    CHECK_EQ(bench->done, 10);
    CHECK_EQ(ash_virtio_blk_fini(&bench->blk), 0);
    struct ash_virtio_blk_done done;
    while (ash_virtio_blk_reap(bench->queue, &done, 1) > 0)
        bench_take(bench, &done);
    CHECK_EQ(bench->in_flight, 0);
}

/* A producer and a reaper on two CPUs. The device is stepped by the reaper's; the notification, the
 * one register that the producer writes, is handed over. */

enum { STREAM = 3000, STREAM_BYTES = 64 << 10, IDLE_ROUNDS_MAX = 5000000, DEADLINE_NS = 1000 };

struct stream {
    struct bench *bench;
    uint32_t notified, failed, reaped;
    uint8_t owned[STREAM]; /* by the driver: set before a read, cleared when it came back */
};

static void stream_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct stream *stream = context;
    if (offset == ASH_VIRTIO_MMIO_QUEUE_NOTIFY)
        ash_store_release(&stream->notified, 1u);
    else
        fake_virtio_mmio_write(&stream->bench->window, offset, width_bytes, value);
}

static uint32_t stream_read(void *context, uint32_t offset, uint32_t width_bytes) {
    return fake_virtio_mmio_read(&((struct stream *)context)->bench->window, offset, width_bytes);
}

static void stream_produce(struct stream *stream) {
    struct bench *bench = stream->bench;
    uint8_t *buffers = bench->jobs[0].buffer;
    for (uintptr_t i = 0; i < STREAM && !ash_load_relaxed(&stream->failed);) {
        uint32_t token;
        uint8_t *buffer = buffers + i * 512 % STREAM_BYTES;
        ash_store_release(&stream->owned[i], (uint8_t)1);
        struct ash_dma_segment segment = {POOL_BASE + (ash_paddr_t)(buffer - bench->pool), 512};
        const struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_READ,
                                                       .sector = i % SECTORS,
                                                       .segments = &segment,
                                                       .segment_count = 1,
                                                       .deadline_ns = DEADLINE_NS,
                                                       .cookie = (void *)i};
        int error = ash_virtio_blk_submit(bench->queue, &request, &token);
        if (error == 0)
            i++;
        else if (error != -ASH_EAGAIN)
            ash_store_relaxed(&stream->failed, 1u);
        if (error != 0 || i % 5 == 0)
            ash_virtio_blk_kick(bench->queue);
        if (error != 0)
            ash_port_relax();
    }
    ash_virtio_blk_kick(bench->queue);
}

static bool stream_take(struct stream *stream, const struct ash_virtio_blk_done *done) {
    uintptr_t which = (uintptr_t)done->cookie;
    bool good = which < STREAM && done->status == 0 && done->bytes == 512 &&
                ash_exchange(&stream->owned[which], (uint8_t)0) == 1;
    stream->reaped++;
    return good;
}

static void stream_reap(struct stream *stream) {
    struct bench *bench = stream->bench;
    struct ash_virtio_blk_done done[8];
    uint32_t idle_rounds = 0;
    while (stream->reaped < STREAM && !ash_load_relaxed(&stream->failed)) {
        if (ash_exchange(&stream->notified, 0u) != 0)
            fake_virtio_mmio_write(&bench->window, ASH_VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0);
        if (fake_virtio_run(&bench->fake.device, 16) == 0)
            ash_port_relax();
        int count = ash_virtio_blk_reap(bench->queue, done, 8);
        for (int i = 0; i < count; i++) {
            if (!stream_take(stream, &done[i]))
                ash_store_relaxed(&stream->failed, 1u);
        }
        if (count == 0) {
            if (ash_virtio_blk_watch(&bench->blk, DEADLINE_NS - 1) != 0)
                ash_store_relaxed(&stream->failed, 1u);
            (void)!ash_virtio_blk_may_sleep(bench->queue); /* it only asks */
        }
        idle_rounds = count == 0 ? idle_rounds + 1 : 0;
        if (count < 0 || idle_rounds == IDLE_ROUNDS_MAX)
            ash_store_relaxed(&stream->failed, 1u);
    }
}

static void stream_body(void *context, uint32_t cpu) {
    if (cpu == 0)
        stream_produce(context);
    else
        stream_reap(context);
}

static void run_stream(bool packed, enum ash_virtio_blk_policy how) {
    struct fake_virtio_policy policy = {.order = FAKE_VIRTIO_RANDOM, .latency_spread = 30};
    policy.seed = test_seed();
    struct stream *stream = test_alloc(sizeof(*stream), 64);
    struct bench *bench = stream->bench = bench_new(&policy, packed, 0);
    struct ash_virtio_regs regs = {stream_read, stream_write, stream};
    struct ash_virtio_blk_config config = config_of(bench);
    CHECK_EQ(ash_virtio_mmio_probe(&bench->mmio, &regs), 0);
    CHECK_EQ(ash_virtio_blk_init(&bench->blk, &config, &bench->storage), 0);
    bench->queue = ash_virtio_blk_get_queue(&bench->blk, 0);
    CHECK_EQ(ash_virtio_blk_set_policy(bench->queue, how, 0), 0);
    test_run_on_cpus(stream_body, stream, 2);
    CHECK_EQ(stream->failed, 0);
    CHECK_EQ(stream->reaped, STREAM);
    CHECK_EQ(ash_virtio_blk_in_flight(bench->queue), 0);
    CHECK(ash_virtio_blk_check(&bench->blk) == NULL);
    CHECK_EQ(fake_virtio_violations(&bench->fake.device), 0);
}

TEST_CASE(virtio_fake, producer_and_reaper_may_run_on_two_cpus) {
    for (uint32_t how = 0; how <= ASH_VIRTIO_BLK_HYBRID; how++)
        run_stream(false, (enum ash_virtio_blk_policy)how);
}

TEST_CASE(virtio_fake, producer_and_reaper_of_a_packed_ring_may_run_on_two_cpus) {
    for (uint32_t how = 0; how <= ASH_VIRTIO_BLK_HYBRID; how++)
        run_stream(true, (enum ash_virtio_blk_policy)how);
}
