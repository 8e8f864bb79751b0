/* SPDX-License-Identifier: MIT */
/*
 * Cases of what happens when a device is slow, dead or changed: deadlines, resets that fail or
 * queue again, a capacity that moves. Lies of the device: hostile.c.
 */
#include "virtq/rig.h"

TEST_CASE(virtio_blk, fini_resets_and_gives_every_token_back) {
    struct rig *rig = rig_start();
    uint8_t buffers[2][512];
    rig_read(rig, 0, buffers[0], 512, NULL);
    ash_virtio_blk_kick(rig->queue);
    rig_read(rig, 0, buffers[1], 512, NULL);
    CHECK_EQ(ash_virtio_blk_fini(&rig->blk), 0);
    CHECK_EQ(rig->device.status, 0);
    CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    struct ash_virtio_blk_done done;
    uint32_t token;
    CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffers[0], 512, &token), -ASH_EIO);
    CHECK_EQ(test_event_count("virtq.broken"), 0);
}

/* Deadlines */

enum { CAPACITY_SECTORS = 200 };

static struct rig *start_queues(enum rig_mode mode, uint32_t count) {
    struct rig *rig = rig_new_as(mode);
    rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
    rig->device.queue_count = rig->config.queue_count = count;
    rig->device.capacity_sectors = CAPACITY_SECTORS;
    rig_add_image(rig);
    rig_must_init(rig);
    return rig;
}

static void use_queue(struct rig *rig, uint32_t index) {
    rig->queue = ash_virtio_blk_get_queue(&rig->blk, index);
}

/* A request of each path through submit, that is in the device's hands; kinds 0..KINDS-1. */
enum { KINDS = 4 };

static void start_kind(struct rig *rig, uint32_t kind, ash_ns_t deadline_ns) {
    uint8_t *data = test_alloc(1024, 64);
    struct ash_dma_buffer *buffer = test_alloc(sizeof(*buffer), 8);
    struct ash_dma_segment segments[2] = {rig_segment(data, 512), rig_segment(data + 512, 512)};
    struct ash_virtio_blk_request request = {
        .segments = segments, .segment_count = kind, .deadline_ns = deadline_ns};
    ash_dma_buffer_init(buffer, data, segments[0].address, 512);
    if (kind == 0)
        request.op = ASH_VIRTIO_BLK_FLUSH;
    if (kind == 3) {
        request.segment_count = 0;
        request.buffer = buffer;
    }
    rig_submit(rig, &request);
    ash_virtio_blk_kick(rig->queue);
}

TEST_CASE(virtio_blk, request_is_late_at_its_deadline_and_not_before) {
    static const struct {
        ash_ns_t deadline, now;
        bool late;
    } rows[] = {
        {1000, 0, false},
        {1000, 999, false},
        {1000, 1000, true},
        {1000, 1001, true},
        {0, 0, false}, /* none */
        {0, 1, false},
        {0, UINT64_MAX, false},
        {5, UINT64_MAX - 10, false}, /* the clock wraps between them */
        {5, 4, false},
        {5, 5, true},
        {UINT64_MAX - 5, UINT64_MAX - 6, false},
        {UINT64_MAX - 5, UINT64_MAX - 5, true},
        {UINT64_MAX - 5, 3, true},
        {UINT64_MAX, UINT64_MAX - 1, false},
    };
    uint32_t lates = 0;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows) * KINDS; i++) {
        ash_ns_t deadline = rows[i / KINDS].deadline, now = rows[i / KINDS].now;
        bool late = rows[i / KINDS].late;
        struct rig *rig = start_queues(RIG_SPLIT_EVENTS, 1);
        start_kind(rig, i % KINDS, deadline);
        if (ash_virtio_blk_watch(&rig->blk, now) != (late ? -ASH_ETIMEDOUT : 0))
            test_fail(__FILE__, __LINE__, "row %u, kind %u", i / KINDS, i % KINDS);
        lates += late;
        CHECK_EQ(test_event_count("virtq.broken"), lates);
        CHECK_STR_EQ(ash_virtio_blk_reason(&rig->blk),
                     late ? ash_virtq_fault_text(ASH_VIRTQ_FAULT_TIMEOUT) : "");
        struct ash_virtio_blk_done done;
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), late ? -ASH_EIO : 0);
        CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), 1);
        CHECK_EQ(ash_virtio_blk_fini(&rig->blk), 0);
        CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, what_is_back_or_not_with_the_device_is_never_late) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = start_queues(mode, 1);
        start_kind(rig, 1, 1000);
        mini_device_run(&rig->device);
        CHECK_EQ(rig_reap_one(rig).status, 0);
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 2000), 0);
        /* Queued, and not shown to the device. */
        uint8_t buffer[512];
        const struct ash_dma_segment segment = rig_segment(buffer, 512);
        const struct ash_virtio_blk_request request = {
            .segments = &segment, .segment_count = 1, .deadline_ns = 1000};
        rig_submit(rig, &request);
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 2000), 0);
        /* Failed by a reset, and not taken. */
        ash_virtio_blk_kick(rig->queue);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 2000), 0);
        CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    }
}

TEST_CASE(virtio_blk, late_request_of_one_queue_breaks_all_and_a_reset_mends_them) {
    struct rig *rig = start_queues(RIG_PACKED_EVENTS, 3);
    struct ash_virtio_blk_done done;
    use_queue(rig, 0);
    start_kind(rig, 1, 0);
    use_queue(rig, 2);
    start_kind(rig, 2, 1000);
    mini_device_run(&rig->device);
    CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 1000), -ASH_ETIMEDOUT);
    CHECK_EQ(test_event_count("virtq.broken"), 3);
    CHECK(ash_virtio_blk_watch(&rig->blk, 1001) != 0); /* until the reset */
    for (uint32_t i = 0; i < 3; i++) {
        use_queue(rig, i);
        /* What came after that is not believed: it will come out of the reset. */
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
    }
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 5000), 0);
    CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 4999), 0);
    mini_device_run(&rig->device);
    CHECK_EQ(rig_reap_one(rig).status, 0);
    use_queue(rig, 0);
    CHECK_EQ(rig_reap_one(rig).status, 0);
    CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 5000), 0);
    rig_check(rig);
}

/* What each CPU that drives a queue of its own may ask while the others work. */
TEST_CASE(virtio_blk, watch_of_one_queue_sees_its_requests_and_the_device) {
    struct rig *rig = start_queues(RIG_SPLIT_EVENTS, 2);
    struct ash_virtio_blk_queue *first = ash_virtio_blk_get_queue(&rig->blk, 0);
    struct ash_virtio_blk_queue *second = ash_virtio_blk_get_queue(&rig->blk, 1);
    use_queue(rig, 1);
    start_kind(rig, 1, 1000);
    CHECK_EQ(ash_virtio_blk_watch_queue(first, 1000), 0);
    CHECK_EQ(ash_virtio_blk_watch_queue(second, 999), 0);
    CHECK_EQ(ash_virtio_blk_watch_queue(second, 1000), -ASH_ETIMEDOUT);
    CHECK_EQ(ash_virtio_blk_watch_queue(second, 1000), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_watch_queue(first, 1000), -ASH_EIO); /* it wants the reset, too */
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
    CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    rig->device.status |= 0x40; /* DEVICE_NEEDS_RESET, 2.1.2 */
    CHECK_EQ(ash_virtio_blk_watch_queue(first, 1000), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_watch_queue(second, 1000), -ASH_EIO);
    rig_check(rig);
}

TEST_CASE(virtio_blk, counters_of_the_queues_add_up) {
    struct rig *rig = start_queues(RIG_SPLIT_EVENTS, 2);
    struct ash_virtio_blk_counters each[2], all;
    for (uint32_t i = 0; i < 3; i++) {
        use_queue(rig, i % 2);
        start_kind(rig, 1, 0);
        mini_device_run(&rig->device);
        CHECK_EQ(rig_reap_one(rig).status, 0);
    }
    for (uint32_t i = 0; i < 2; i++)
        ash_virtio_blk_get_queue_counters(ash_virtio_blk_get_queue(&rig->blk, i), &each[i]);
    ash_virtio_blk_get_counters(&rig->blk, &all);
    CHECK_EQ(each[0].requests[ASH_VIRTIO_BLK_READ], 2);
    CHECK_EQ(each[1].requests[ASH_VIRTIO_BLK_READ], 1);
    CHECK_EQ(each[0].completions, 2);
    CHECK_EQ(each[1].completions, 1);
    CHECK_EQ(each[0].bytes + each[1].bytes, all.bytes);
    CHECK_EQ(each[0].kicks + each[1].kicks, all.kicks);
    CHECK_EQ(all.completions, 3);
}

/* Resets. A job is a request whose effect can be seen on the disk or in memory. */

enum {
    JOBS = 12,
    JOB_SECTORS = 2,
    JOB_BYTES = JOB_SECTORS * 512,
    JOB_SEGMENTS = 3,
};

struct job {
    enum ash_virtio_blk_op op;
    uint32_t segments; /* 0: none, or the buffer */
    uint32_t token;
    uint32_t back; /* how many times it came */
    int status;
    uint8_t *data;
    struct ash_dma_buffer buffer;
};

/* Every operation, in one piece and in some, as a buffer or not; twice over. */
static void jobs_init(struct job *jobs) {
    static const struct job kinds[] = {
        {.op = ASH_VIRTIO_BLK_READ, .segments = 1},
        {.op = ASH_VIRTIO_BLK_READ, .segments = 3},
        {.op = ASH_VIRTIO_BLK_READ},
        {.op = ASH_VIRTIO_BLK_WRITE, .segments = 1},
        {.op = ASH_VIRTIO_BLK_WRITE, .segments = 2},
        {.op = ASH_VIRTIO_BLK_WRITE},
        {.op = ASH_VIRTIO_BLK_FLUSH},
        {.op = ASH_VIRTIO_BLK_DISCARD},
        {.op = ASH_VIRTIO_BLK_WRITE_ZEROES},
        {.op = ASH_VIRTIO_BLK_GET_ID, .segments = 1},
        {.op = ASH_VIRTIO_BLK_READ, .segments = 2},
        {.op = ASH_VIRTIO_BLK_WRITE, .segments = 3},
    };
    _Static_assert(ASH_ARRAY_LEN(kinds) == JOBS, "a kind each");
    for (uint32_t i = 0; i < JOBS; i++) {
        jobs[i] = kinds[i];
        jobs[i].data = test_alloc(JOB_BYTES, 64);
        memset(jobs[i].data, (int)(0x40 + i), JOB_BYTES);
        ash_dma_buffer_init(&jobs[i].buffer, jobs[i].data, rig_segment(jobs[i].data, 1).address,
                            JOB_BYTES);
    }
}

static uint64_t job_sector(uint32_t index) {
    return 100 + index * JOB_SECTORS;
}

static void job_submit(struct rig *rig, struct job *jobs, uint32_t index) {
    struct job *job = &jobs[index];
    uint32_t len = job->op == ASH_VIRTIO_BLK_GET_ID ? ASH_VIRTIO_BLK_ID_BYTES : JOB_BYTES, at = 0;
    struct ash_dma_segment segments[JOB_SEGMENTS];
    for (uint32_t i = 0; i < job->segments; i++) { /* odd cuts, but for the last */
        uint32_t part = i + 1 == job->segments ? len - at : 100 * (i + 1);
        segments[i] = rig_segment(job->data + at, part);
        at += part;
    }
    bool has_buffer = job->segments == 0 && job->op <= ASH_VIRTIO_BLK_WRITE;
    const struct ash_virtio_blk_request request = {
        .op = job->op,
        .sector = job_sector(index),
        .segments = segments,
        .segment_count = job->segments,
        .buffer = has_buffer ? &job->buffer : NULL,
        .sector_count = JOB_SECTORS,
        .cookie = job,
    };
    job->token = rig_submit(rig, &request);
}

static void check_bytes(const uint8_t *bytes, uint8_t expected) {
    for (uint32_t i = 0; i < JOB_BYTES; i++)
        CHECK_EQ(bytes[i], expected);
}

/* What the job did if it was good. */
static void job_check(struct rig *rig, const struct job *jobs, uint32_t index) {
    const struct job *job = &jobs[index];
    const uint8_t *disk = rig->device.image + job_sector(index) * 512;
    switch (job->op) {
    case ASH_VIRTIO_BLK_READ:
        rig_check_data(job->data, job_sector(index), JOB_BYTES);
        break;
    case ASH_VIRTIO_BLK_WRITE:
        check_bytes(disk, (uint8_t)(0x40 + index));
        break;
    case ASH_VIRTIO_BLK_DISCARD:
        check_bytes(disk, MINI_DISCARDED);
        break;
    case ASH_VIRTIO_BLK_WRITE_ZEROES:
        check_bytes(disk, 0);
        break;
    case ASH_VIRTIO_BLK_GET_ID:
        CHECK_MEM_EQ(job->data, MINI_ID, ASH_VIRTIO_BLK_ID_BYTES);
        break;
    default:
        CHECK(rig->device.flushes != 0);
        break;
    }
}

/* Takes what there is; each must be out, and its data right if it is good. How many. */
static uint32_t jobs_take(struct rig *rig, struct job *jobs) {
    struct ash_virtio_blk_done done[5];
    uint32_t taken = 0;
    int count;
    while ((count = ash_virtio_blk_reap(rig->queue, done, ASH_ARRAY_LEN(done))) > 0) {
        for (int i = 0; i < count; i++, taken++) {
            struct job *job = done[i].cookie;
            CHECK_EQ(done[i].token, job->token);
            CHECK_EQ(job->back++, 0);
            CHECK(!ash_virtio_blk_pending(rig->queue, job->token));
            CHECK_EQ(job->buffer.owner, ASH_DMA_CPU);
            job->status = done[i].status;
            CHECK(job->status == 0 || job->status == -ASH_EIO);
            if (job->status == 0)
                job_check(rig, jobs, (uint32_t)(job - jobs));
        }
    }
    return taken;
}

/* All jobs in every state that a request can be in: four not shown, four shown, two taken by the
 * device, two done and not reaped. */
static struct rig *start_jobs(enum rig_mode mode, struct job *jobs) {
    struct rig *rig = start_queues(mode, 1);
    jobs_init(jobs);
    for (uint32_t i = 0; i < JOBS; i++) {
        job_submit(rig, jobs, i * 5 % JOBS);
        if (i == JOBS - 5)
            ash_virtio_blk_kick(rig->queue);
        if (i == 3) {
            ash_virtio_blk_kick(rig->queue);
            while (mini_device_fetch(&rig->device)) {}
            mini_device_complete(&rig->device, 1);
            mini_device_complete(&rig->device, 2);
        }
    }
    rig_check(rig);
    return rig;
}

TEST_CASE(virtio_blk, reset_that_fails_gives_each_token_back_once) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct job jobs[JOBS];
        struct rig *rig = start_jobs(mode, jobs);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 1000), 0);
        CHECK(!mini_device_fetch(&rig->device)); /* nothing is left with the device */
        CHECK(!ash_virtio_blk_may_sleep(rig->queue));
        rig_check(rig);
        uint8_t buffer[512]; /* a new one beside them */
        uint32_t token;
        CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 7, buffer, 512, &token), 0);
        CHECK_EQ(jobs_take(rig, jobs), JOBS);
        for (uint32_t i = 0; i < JOBS; i++)
            CHECK_EQ(jobs[i].status, -ASH_EIO);
        CHECK_EQ(rig_finish(rig), 0);
        rig_check_data(buffer, 7, 512);
        CHECK_EQ(rig_counters(rig).aborted, JOBS);
        CHECK_EQ(rig_counters(rig).resubmitted, 0);
        CHECK_EQ(rig_counters(rig).resets, 1);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, reset_that_queues_again_gives_each_token_back_once_with_its_data) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct job jobs[JOBS];
        struct rig *rig = start_jobs(mode, jobs);
        for (uint32_t resets = 1; resets <= 3; resets++) { /* also when it is reset once more */
            CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
            CHECK_EQ(jobs_take(rig, jobs), 0);
            CHECK_EQ(rig_counters(rig).resubmitted, resets * JOBS);
            CHECK_EQ(rig_counters(rig).kicks, rig->device.notifications);
            rig_check(rig);
        }
        CHECK(ash_virtio_blk_may_sleep(rig->queue));
        mini_device_run(&rig->device);
        CHECK(rig->device.interrupts != 0);
        CHECK_EQ(jobs_take(rig, jobs), JOBS);
        for (uint32_t i = 0; i < JOBS; i++)
            CHECK_EQ(jobs[i].status, 0);
        CHECK_EQ(rig_counters(rig).aborted, 0);
        CHECK_EQ(rig_counters(rig).completions, JOBS);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, what_a_device_rewrites_is_not_what_is_queued_again) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct job jobs[JOBS];
        struct rig *rig = start_jobs(mode, jobs);
        /* Everything that it can reach: rings, tables, headers. */
        memset(rig->memory.dma.pointer, 0xff, rig->memory.dma.bytes);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        rig_check(rig);
        mini_device_run(&rig->device);
        CHECK_EQ(jobs_take(rig, jobs), JOBS);
        for (uint32_t i = 0; i < JOBS; i++)
            CHECK_EQ(jobs[i].status, 0);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, deadline_of_what_is_queued_again_is_the_new_one) {
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        struct rig *rig = start_queues(RIG_SPLIT_EVENTS, 1);
        start_kind(rig, kind, 1000);
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 1000), -ASH_ETIMEDOUT);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 3000), 0);
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 2999), 0);
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 3000), -ASH_ETIMEDOUT);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0); /* none */
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 1 << 30), 0);
        CHECK_EQ(rig_finish(rig), 0);
    }
}

TEST_CASE(virtio_blk, policy_outlives_a_reset) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = start_queues(mode, 1);
        CHECK(ash_virtio_blk_may_sleep(rig->queue));
        CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_POLL, 0), 0);
        start_kind(rig, 1, 0);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        CHECK(!ash_virtio_blk_may_sleep(rig->queue));
        CHECK_EQ(rig_finish(rig), 0);
        CHECK_EQ(rig->device.interrupts, 0);
    }
}

TEST_CASE(virtio_blk, reset_that_does_not_finish_is_tried_again_and_queues_again) {
    struct job jobs[JOBS];
    struct rig *rig = start_jobs(RIG_PACKED_EVENTS, jobs);
    rig->device.never_resets = true;
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), -ASH_ETIMEDOUT);
    CHECK_EQ(jobs_take(rig, jobs), 0);
    CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), JOBS);
    rig->device.never_resets = false;
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
    rig->device.broken_rule = NULL; /* the driver went on where the device had not been reset */
    mini_device_run(&rig->device);
    CHECK_EQ(jobs_take(rig, jobs), JOBS);
    rig_check(rig);
}

/* A device that comes back as another one. Jobs that it still takes are done, the rest is failed:
 * which, a bit each in the order of jobs_init. */
static void check_changed(void (*change)(struct mini_device *device), uint32_t failed) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct job jobs[JOBS];
        struct rig *rig = start_jobs(mode, jobs);
        change(&rig->device);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        mini_device_run(&rig->device);
        CHECK_EQ(jobs_take(rig, jobs), JOBS);
        for (uint32_t i = 0; i < JOBS; i++) {
            if ((jobs[i].status != 0) != (failed >> i & 1))
                test_fail(__FILE__, __LINE__, "mode %u, job %u: %d", mode, i, jobs[i].status);
        }
        rig_check(rig);
    }
}

static void without_tables(struct mini_device *device) {
    device->features &= ~ASH_VIRTIO_F_INDIRECT_DESC;
}
static void with_fewer_segments(struct mini_device *device) {
    device->seg_max = 2;
}
static void with_smaller_segments(struct mini_device *device) {
    device->features |= ASH_VIRTIO_BLK_F_SIZE_MAX;
    device->size_max = JOB_BYTES - 1;
}
static void read_only(struct mini_device *device) {
    device->features |= ASH_VIRTIO_BLK_F_RO;
}
static void without_ranges(struct mini_device *device) {
    device->features &= ~(ASH_VIRTIO_BLK_F_DISCARD | ASH_VIRTIO_BLK_F_WRITE_ZEROES);
}
static void without_flush(struct mini_device *device) {
    device->features &= ~ASH_VIRTIO_BLK_F_FLUSH;
}
static void smaller(struct mini_device *device) {
    device->capacity_sectors = 100 + 5 * JOB_SECTORS + 1;
}
static void with_larger_blocks(struct mini_device *device) {
    device->block_size = 4096;
}
static void with_other_rings(struct mini_device *device) {
    device->features ^= ASH_VIRTIO_F_RING_PACKED | ASH_VIRTIO_F_EVENT_IDX;
}
static void larger(struct mini_device *device) {
    device->queue_size_max = 1 << 15;
    device->seg_max = 1000;
}

TEST_CASE(virtio_blk, what_a_changed_device_takes_no_more_is_failed_and_the_rest_done) {
    check_changed(without_tables, 1u << 1 | 1u << 4 | 1u << 10 | 1u << 11);
    check_changed(with_fewer_segments, 1u << 1 | 1u << 11);
    check_changed(with_smaller_segments, 1u << 0 | 1u << 2 | 1u << 3 | 1u << 5);
    check_changed(read_only, 1u << 3 | 1u << 4 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 11);
    check_changed(without_ranges, 1u << 7 | 1u << 8);
    check_changed(without_flush, 1u << 6);
    check_changed(smaller, 1u << 5 | 1u << 7 | 1u << 8 | 1u << 10 | 1u << 11);
    check_changed(with_larger_blocks, 0xfff & ~(1u << 6 | 1u << 9));
    check_changed(with_other_rings, 0);
    check_changed(larger, 0);
}

TEST_CASE(virtio_blk, tables_that_come_with_a_reset_are_not_used_without_memory_for_them) {
    struct rig *rig = rig_new();
    without_tables(&rig->device);
    rig_must_init(rig);
    rig->device.features |= ASH_VIRTIO_F_INDIRECT_DESC;
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
    CHECK_EQ(rig->blk.segments_max, 1);
    uint8_t buffer[512];
    rig_read(rig, 3, buffer, 512, NULL);
    CHECK_EQ(rig_finish(rig), 0);
    rig_check_data(buffer, 3, 512);
    rig_check(rig);
}

static void with_smaller_queues(struct mini_device *device) {
    device->queue_size_max = 128;
}
static void with_fewer_queues(struct mini_device *device) {
    device->queue_count = 1;
}
static void without_queues(struct mini_device *device) {
    device->features &= ~ASH_VIRTIO_BLK_F_MQ;
}

TEST_CASE(virtio_blk, smaller_or_fewer_queues_fail_every_token_until_they_are_back) {
    static void (*const changes[])(struct mini_device * device) = {
        with_smaller_queues, with_fewer_queues, without_queues};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(changes); i++) {
        struct rig *rig = start_queues(RIG_SPLIT_EVENTS, 2);
        struct job jobs[JOBS];
        struct ash_virtio_blk_done done;
        jobs_init(jobs);
        use_queue(rig, 1);
        for (uint32_t n = 0; n < JOBS; n++)
            job_submit(rig, jobs, n);
        ash_virtio_blk_kick(rig->queue);
        changes[i](&rig->device);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), -ASH_ENXIO);
        CHECK_EQ(rig->device.status, 0);
        CHECK(strstr(ash_virtio_blk_reason(&rig->blk), "smaller or fewer") != NULL);
        CHECK_EQ(jobs_take(rig, jobs), JOBS);
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
        rig->device.queue_size_max = 1024;
        rig->device.queue_count = 2;
        rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
        CHECK_STR_EQ(ash_virtio_blk_reason(&rig->blk), "");
        jobs_init(jobs);
        job_submit(rig, jobs, 3);
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        CHECK_EQ(jobs_take(rig, jobs), 1);
        CHECK_EQ(jobs[3].status, 0);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, reset_queues_again_in_every_queue) {
    enum { QUEUES = 4 };
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = start_queues(mode, QUEUES);
        struct job jobs[QUEUES][JOBS];
        for (uint32_t q = 0; q < QUEUES; q++) {
            use_queue(rig, q);
            jobs_init(jobs[q]);
            for (uint32_t i = 0; i < JOBS; i++)
                job_submit(rig, jobs[q], i);
            if (q != 2)
                ash_virtio_blk_kick(rig->queue);
        }
        for (uint32_t i = 0; i < 20; i++)
            CHECK(mini_device_fetch(&rig->device));
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        CHECK_EQ(rig_counters(rig).resubmitted, QUEUES * JOBS);
        for (uint32_t i = 0; i < CAPACITY_SECTORS * 512; i++)
            rig->device.image[i] = mini_device_byte(i); /* the queues' jobs have the same sectors */
        mini_device_run(&rig->device);
        for (uint32_t q = 0; q < QUEUES; q++) {
            use_queue(rig, q);
            CHECK_EQ(jobs_take(rig, jobs[q]), JOBS);
            for (uint32_t i = 0; i < JOBS; i++)
                CHECK_EQ(jobs[q][i].status, 0);
        }
        rig_check(rig);
    }
}

/* Capacity */

static void change_capacity(struct rig *rig, uint64_t capacity_sectors) {
    rig->device.capacity_sectors = capacity_sectors;
    rig->device.config_generation++;
    mini_device_interrupt(&rig->device, 2);
    CHECK(ash_virtio_blk_interrupt(&rig->blk));
}

TEST_CASE(virtio_blk, capacity_is_read_anew_after_a_configuration_interrupt) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    uint32_t token;
    bool changed = true;
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), 0);
    CHECK(!changed);
    change_capacity(rig, 2000);
    CHECK_EQ(rig->blk.capacity_sectors, RIG_CAPACITY_SECTORS); /* until it is asked for */
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), 0);
    CHECK(changed);
    CHECK_EQ(rig->blk.capacity_sectors, 2000);
    rig_read(rig, 1999, buffer, 512, NULL);
    CHECK_EQ(rig_finish(rig), 0);
    rig_check_data(buffer, 1999, 512);
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), 0);
    CHECK(!changed);
    change_capacity(rig, 10);
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), 0);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 10, buffer, 512, &token), -ASH_ERANGE);
    change_capacity(rig, 0);
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), 0);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffer, 512, &token), -ASH_ERANGE);
    rig_check(rig);
}

TEST_CASE(virtio_blk, capacity_below_what_is_in_flight_fails_that_in_the_device) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        uint8_t buffers[2][512];
        bool changed;
        rig_read(rig, 100, buffers[0], 512, buffers[0]);
        rig_read(rig, 900, buffers[1], 512, buffers[1]);
        ash_virtio_blk_kick(rig->queue);
        change_capacity(rig, 500);
        CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), 0);
        CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), 2);
        mini_device_run(&rig->device);
        CHECK_EQ(rig_reap_one(rig).status, 0);
        CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, capacity_that_churns_or_makes_no_sense_leaves_the_old_one) {
    struct rig *rig = rig_start();
    bool changed;
    change_capacity(rig, 2000);
    rig->device.config_torn_reads = UINT32_MAX;
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), -ASH_EAGAIN);
    CHECK_EQ(rig->blk.capacity_sectors, RIG_CAPACITY_SECTORS);
    rig->device.config_torn_reads = 0;
    rig->device.capacity_sectors = UINT64_C(1) << 54;
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), -ASH_EBADMSG);
    CHECK_EQ(rig->blk.capacity_sectors, RIG_CAPACITY_SECTORS);
    rig->device.capacity_sectors = 3000; /* no new interrupt: it is still to be read */
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), 0);
    CHECK(changed);
    CHECK_EQ(rig->blk.capacity_sectors, 3000);
    rig_check(rig);
}

TEST_CASE(virtio_blk, reset_reads_the_capacity_and_settles_its_change) {
    struct rig *rig = rig_start();
    bool changed = true;
    change_capacity(rig, 2000);
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
    CHECK_EQ(rig->blk.capacity_sectors, 2000);
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), 0);
    CHECK(!changed);
}
