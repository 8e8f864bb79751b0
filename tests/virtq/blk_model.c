/* SPDX-License-Identifier: MIT */
/*
 * The block driver against a naive disk: an array of bytes. Random requests of every kind, in order
 * or not, on a device that works, errs, lies, is late, dies, and comes back as another. Requests in
 * flight share no sector unless they all read it, so that what each of them must find, and leave
 * behind, is known whatever the order. A failed one has been done as a whole or not at all.
 */
#include "virtq/rig.h"

enum {
    SECTORS = 160,
    SECTORS_LEAST = 100, /* the capacity moves between the two */
    JOBS = 24,
    JOB_SECTORS_MAX = 6,
    JOB_BYTES = JOB_SECTORS_MAX * 512,
    SEGMENTS_MAX = 5,
    PIECE_BYTES = JOB_BYTES + 4,
    QUEUES = 2,
    IN_FLIGHT = 9,
    STEPS = 700,
    SEEDS = 12,
};

struct job {
    bool in_flight, shown;
    enum ash_virtio_blk_op op;
    uint32_t queue, token, count; /* of segments */
    uint64_t sector;
    uint32_t sectors;
    ash_ns_t deadline_ns;
    struct ash_dma_segment segments[SEGMENTS_MAX + 1];
    uint8_t *pieces; /* the memory of them */
    uint8_t data[JOB_BYTES];
};

struct model {
    struct rig *rig;
    struct test_random random;
    uint8_t disk[SECTORS * 512];
    int32_t holders[SECTORS]; /* requests in flight that read it; -1: one that changes it */
    uint64_t capacity;        /* as the driver knows it */
    bool is_broken;           /* the driver says so: only a reset helps */
    ash_ns_t now_ns;
    struct job jobs[JOBS];
    uint32_t in_flight[QUEUES];
    uint64_t good, failed, refused, late, resets;
};

static uint64_t below(struct model *model, uint64_t limit) {
    return test_random_below(&model->random, limit);
}

static bool chance(struct model *model, uint32_t percent) {
    return test_random_chance(&model->random, percent);
}

static struct ash_virtio_blk_queue *queue_of(struct model *model, uint32_t index) {
    return ash_virtio_blk_get_queue(&model->rig->blk, index);
}

static bool offers(const struct model *model, uint64_t feature) {
    return (model->rig->device.features & feature) != 0;
}

static uint32_t segments_max(const struct model *model) {
    return offers(model, ASH_VIRTIO_F_INDIRECT_DESC) ? SEGMENTS_MAX : 1;
}

/* Jobs */

static bool has_range(const struct job *job) {
    return job->op != ASH_VIRTIO_BLK_FLUSH && job->op != ASH_VIRTIO_BLK_GET_ID;
}

static bool has_data(const struct job *job) {
    return job->op <= ASH_VIRTIO_BLK_WRITE || job->op == ASH_VIRTIO_BLK_GET_ID;
}

static uint32_t bytes_of(const struct job *job) {
    return job->op == ASH_VIRTIO_BLK_GET_ID ? ASH_VIRTIO_BLK_ID_BYTES
           : has_data(job)                  ? job->sectors * 512
                                            : 0;
}

/* Is no sector of it in the way of what is in flight? */
static bool may_run(const struct model *model, const struct job *job) {
    for (uint64_t i = job->sector; has_range(job) && i < job->sector + job->sectors; i++) {
        if (i < SECTORS &&
            (model->holders[i] < 0 || (model->holders[i] > 0 && job->op != ASH_VIRTIO_BLK_READ)))
            return false;
    }
    return true;
}

static void hold(struct model *model, const struct job *job, int32_t sign) {
    int32_t weight = job->op == ASH_VIRTIO_BLK_READ ? sign : -sign;
    for (uint64_t i = job->sector; has_range(job) && i < job->sector + job->sectors; i++)
        model->holders[i] += weight;
}

/* Cuts the data into pieces, each in a place of its own. */
static void cut(struct model *model, struct job *job) {
    uint32_t left = bytes_of(job) / 4;
    job->count = left == 0 ? 0
                 : job->op == ASH_VIRTIO_BLK_GET_ID
                     ? 1
                     : 1 + (uint32_t)below(model, segments_max(model));
    for (uint32_t i = 0; i < job->count; i++) {
        uint32_t most = left - (job->count - 1 - i);
        uint32_t len = i + 1 == job->count ? left : 1 + (uint32_t)below(model, most);
        uint32_t place = job->count - 1 - i;
        job->segments[i] = rig_segment(job->pieces + (size_t)place * PIECE_BYTES, len * 4);
        left -= len;
    }
}

static void move_pieces(struct job *job, bool to_pieces) {
    uint8_t *data = job->data;
    for (uint32_t i = 0; i < job->count; i++) {
        void *piece = mini_device_memory(job->segments[i].address);
        memcpy(to_pieces ? piece : data, to_pieces ? data : piece, job->segments[i].len_bytes);
        data += job->segments[i].len_bytes;
    }
}

/* What this job leaves on the disk, in its data. */
static void prepare(struct model *model, struct job *job) {
    switch (job->op) {
    case ASH_VIRTIO_BLK_WRITE:
        for (uint32_t i = 0; i < job->sectors * 512; i++)
            job->data[i] = (uint8_t)test_random_u64(&model->random);
        break;
    case ASH_VIRTIO_BLK_DISCARD:
        memset(job->data, MINI_DISCARDED, sizeof(job->data));
        break;
    case ASH_VIRTIO_BLK_WRITE_ZEROES:
        memset(job->data, 0, sizeof(job->data));
        break;
    default:
        memset(job->data, 0xee, sizeof(job->data));
        break;
    }
    move_pieces(job, true);
}

/* Submitting: in order, or with one thing wrong; what must come of it. */

static int spoil(struct model *model, struct job *job) {
    bool transfers = job->op <= ASH_VIRTIO_BLK_WRITE;
    switch (below(model, 6)) {
    case 0:
        if (!has_range(job))
            return 0;
        job->sector = model->capacity - job->sectors + 1 + below(model, job->sectors);
        return -ASH_ERANGE;
    case 1:
        if (job->count == 0)
            return 0;
        job->segments[below(model, job->count)].address += 1 + below(model, 3);
        return -ASH_EINVAL;
    case 2:
        if (job->count == 0)
            return 0;
        job->segments[below(model, job->count)].len_bytes = 0;
        return -ASH_EINVAL;
    case 3:
        if (!transfers)
            return 0;
        job->segments[0].len_bytes += 4;
        return -ASH_EINVAL;
    case 4:
        if (job->op == ASH_VIRTIO_BLK_GET_ID || job->count == 0)
            return 0;
        for (; job->count <= segments_max(model); job->count++)
            job->segments[job->count] = job->segments[0];
        return -ASH_E2BIG;
    default:
        if (!transfers)
            return 0;
        job->count = 0;
        return -ASH_EINVAL;
    }
}

static int refusal(const struct model *model, const struct job *job) {
    bool changes = has_range(job) && job->op != ASH_VIRTIO_BLK_READ;
    if ((job->op == ASH_VIRTIO_BLK_FLUSH && !offers(model, ASH_VIRTIO_BLK_F_FLUSH)) ||
        (job->op == ASH_VIRTIO_BLK_DISCARD && !offers(model, ASH_VIRTIO_BLK_F_DISCARD)) ||
        (job->op == ASH_VIRTIO_BLK_WRITE_ZEROES && !offers(model, ASH_VIRTIO_BLK_F_WRITE_ZEROES)))
        return -ASH_ENOTSUP;
    return changes && offers(model, ASH_VIRTIO_BLK_F_RO) ? -ASH_EROFS : 0;
}

static void submit(struct model *model) {
    struct job *job = &model->jobs[below(model, JOBS)];
    if (job->in_flight)
        return;
    job->op = (enum ash_virtio_blk_op)below(model, ASH_VIRTIO_BLK_OPS);
    job->op = chance(model, 60) ? (enum ash_virtio_blk_op)below(model, 2) : job->op;
    job->queue = (uint32_t)below(model, QUEUES);
    job->sectors = 1 + (uint32_t)below(model, JOB_SECTORS_MAX);
    job->sector = below(model, model->capacity - job->sectors + 1);
    job->deadline_ns = chance(model, 50) ? model->now_ns + 1 + below(model, 400) : 0;
    cut(model, job);
    prepare(model, job);
    int expected = refusal(model, job);
    if (expected == 0 && chance(model, 10))
        expected = spoil(model, job);
    if (expected == 0 && !may_run(model, job))
        return;
    if (expected == 0 && model->in_flight[job->queue] == IN_FLIGHT)
        expected = -ASH_EAGAIN;
    if (model->is_broken)
        expected = -ASH_EIO;
    const struct ash_virtio_blk_request request = {
        .op = job->op,
        .sector = job->sector,
        .segments = job->segments,
        .segment_count = job->count,
        .sector_count = job->sectors,
        .may_unmap = chance(model, 50),
        .deadline_ns = job->deadline_ns,
        .cookie = job,
    };
    CHECK_EQ(ash_virtio_blk_submit(queue_of(model, job->queue), &request, &job->token), expected);
    model->refused += expected != 0;
    if (expected != 0)
        return;
    job->in_flight = true;
    job->shown = false;
    model->in_flight[job->queue]++;
    hold(model, job, 1);
}

static void kick(struct model *model, uint32_t queue) {
    ash_virtio_blk_kick(queue_of(model, queue));
    for (uint32_t i = 0; !model->is_broken && i < JOBS; i++)
        model->jobs[i].shown |= model->jobs[i].in_flight && model->jobs[i].queue == queue;
}

/* Completions */

static void finish_good(struct model *model, struct job *job) {
    uint8_t *disk = model->disk + job->sector * 512;
    if (job->op == ASH_VIRTIO_BLK_READ) {
        move_pieces(job, false);
        CHECK_MEM_EQ(job->data, disk, job->sectors * 512);
    } else if (job->op == ASH_VIRTIO_BLK_GET_ID) {
        move_pieces(job, false);
        CHECK_MEM_EQ(job->data, MINI_ID, ASH_VIRTIO_BLK_ID_BYTES);
    } else if (has_range(job)) {
        memcpy(disk, job->data, job->sectors * 512);
        CHECK_MEM_EQ(model->rig->device.image + job->sector * 512, disk, job->sectors * 512);
    }
}

/* All of it was done, or nothing: the disk tells. */
static void finish_failed(struct model *model, struct job *job) {
    size_t at = (size_t)job->sector * 512, len = (size_t)job->sectors * 512;
    if (job->op == ASH_VIRTIO_BLK_READ || !has_range(job))
        return;
    const uint8_t *image = model->rig->device.image + at;
    if (memcmp(image, model->disk + at, len) != 0)
        memcpy(model->disk + at, job->data, len);
    CHECK_MEM_EQ(image, model->disk + at, len);
}

static void finish(struct model *model, const struct ash_virtio_blk_done *done, uint32_t queue) {
    struct job *job = done->cookie;
    CHECK(job->in_flight && job->token == done->token && job->queue == queue);
    CHECK(!ash_virtio_blk_pending(queue_of(model, queue), done->token));
    bool is_read = job->op == ASH_VIRTIO_BLK_READ || job->op == ASH_VIRTIO_BLK_GET_ID;
    CHECK_EQ(done->bytes, done->status == 0 && is_read ? bytes_of(job) : 0);
    if (done->status == 0)
        finish_good(model, job);
    else
        finish_failed(model, job);
    *(done->status == 0 ? &model->good : &model->failed) += 1;
    hold(model, job, -1);
    job->in_flight = false;
    model->in_flight[queue]--;
}

/* True: the queue is broken. */
static bool reap(struct model *model, uint32_t queue) {
    struct ash_virtio_blk_done done[4];
    int count = ash_virtio_blk_reap(queue_of(model, queue), done, 1 + (uint32_t)below(model, 4));
    for (int i = 0; i < count; i++)
        finish(model, &done[i], queue);
    return count < 0;
}

/* The device, the clock, and the worst */

static void run_device(struct model *model) {
    struct mini_device *device = &model->rig->device;
    if (device->status != 0x0f)
        return;
    for (uint64_t i = below(model, 8); i != 0; i--)
        mini_device_fetch(device);
    for (uint64_t i = below(model, 8); i != 0 && device->held_count != 0; i--) {
        device->status_byte = chance(model, 4) ? 1 + (uint8_t)below(model, 2) : 0;
        mini_device_complete(device, (uint32_t)below(model, device->held_count));
    }
    device->status_byte = 0;
}

static void move_capacity(struct model *model) {
    bool changed = false;
    model->rig->device.capacity_sectors = SECTORS_LEAST + below(model, SECTORS - SECTORS_LEAST + 1);
    model->rig->device.config_generation++;
    mini_device_interrupt(&model->rig->device, 2);
    CHECK(ash_virtio_blk_interrupt(&model->rig->blk));
    CHECK_EQ(ash_virtio_blk_refresh(&model->rig->blk, &changed), 0);
    CHECK(changed);
    model->capacity = model->rig->device.capacity_sectors;
    CHECK_EQ(model->rig->blk.capacity_sectors, model->capacity);
}

static void watch(struct model *model) {
    bool late = false;
    model->now_ns += below(model, 60);
    for (uint32_t i = 0; i < JOBS; i++) {
        const struct job *job = &model->jobs[i];
        late |= job->in_flight && job->shown && job->deadline_ns != 0 &&
                (int64_t)(model->now_ns - job->deadline_ns) >= 0;
    }
    if (model->is_broken)
        return;
    CHECK_EQ(ash_virtio_blk_watch(&model->rig->blk, model->now_ns), late ? -ASH_ETIMEDOUT : 0);
    model->is_broken = late;
    model->late += late;
}

/* A completion of nothing, or a device that says it is dead. */
static void break_device(struct model *model) {
    if (model->is_broken)
        return;
    model->is_broken = true;
    if (chance(model, 50)) {
        model->rig->device.status |= ASH_VIRTIO_STATUS_NEEDS_RESET;
        CHECK_EQ(ash_virtio_blk_watch(&model->rig->blk, model->now_ns), -ASH_EIO);
        return;
    }
    mini_device_use(&model->rig->device, 0xffff, 0);
    while (!reap(model, 0)) {}
    CHECK_EQ(ash_virtio_blk_watch(&model->rig->blk, model->now_ns), -ASH_EIO);
    model->rig->device.status |= ASH_VIRTIO_STATUS_NEEDS_RESET; /* it stops; so do both queues */
    mini_device_interrupt(&model->rig->device, 2);
    CHECK(ash_virtio_blk_interrupt(&model->rig->blk));
}

static void change_device(struct model *model) {
    static const uint64_t features[] = {
        ASH_VIRTIO_F_RING_PACKED,      ASH_VIRTIO_F_EVENT_IDX,   ASH_VIRTIO_F_INDIRECT_DESC,
        ASH_VIRTIO_BLK_F_RO,           ASH_VIRTIO_BLK_F_DISCARD, ASH_VIRTIO_BLK_F_FLUSH,
        ASH_VIRTIO_BLK_F_WRITE_ZEROES,
    };
    uint64_t feature = features[below(model, ASH_ARRAY_LEN(features))];
    model->rig->device.features ^= feature;
    if (chance(model, 70)) /* mostly one that can be written to */
        model->rig->device.features &= ~ASH_VIRTIO_BLK_F_RO;
}

static void reset(struct model *model, enum ash_virtio_blk_after_reset after) {
    if (chance(model, 50))
        change_device(model);
    ash_ns_t deadline_ns = chance(model, 50) ? model->now_ns + 1 + below(model, 400) : 0;
    CHECK_EQ(ash_virtio_blk_reset(&model->rig->blk, after, deadline_ns), 0);
    model->resets++;
    model->is_broken = false;
    model->capacity = model->rig->device.capacity_sectors;
    if (after == ASH_VIRTIO_BLK_FAIL) {
        for (uint32_t queue = 0; queue < QUEUES; queue++) {
            while (model->in_flight[queue] != 0)
                CHECK(!reap(model, queue));
        }
        return;
    }
    /* What is not taken any more comes back first: it is not with the device, and never late. */
    for (uint32_t queue = 0; queue < QUEUES; queue++) {
        uint32_t before;
        do {
            before = model->in_flight[queue];
            CHECK(!reap(model, queue));
        } while (model->in_flight[queue] != before);
    }
    for (uint32_t i = 0; i < JOBS; i++) {
        model->jobs[i].shown = true;
        model->jobs[i].deadline_ns = deadline_ns;
    }
}

static void set_policy(struct model *model, uint32_t queue) {
    CHECK_EQ(ash_virtio_blk_set_policy(queue_of(model, queue),
                                       (enum ash_virtio_blk_policy)below(model, 4),
                                       (uint32_t)below(model, 5)),
             0);
    (void)!ash_virtio_blk_may_sleep(queue_of(model, queue));
}

static void step(struct model *model) {
    uint32_t queue = (uint32_t)below(model, QUEUES);
    uint32_t pick = (uint32_t)below(model, 100);
    if (pick == 99 || (model->is_broken && chance(model, 25)))
        reset(model, chance(model, 30) ? ASH_VIRTIO_BLK_FAIL : ASH_VIRTIO_BLK_RESUBMIT);
    else if (pick < 40)
        for (uint64_t i = below(model, 6); i != 0; i--)
            submit(model);
    else if (pick < 55)
        kick(model, queue);
    else if (pick < 75)
        run_device(model);
    else if (pick < 88)
        CHECK_EQ(reap(model, queue), model->is_broken);
    else if (pick < 92)
        set_policy(model, queue);
    else if (pick < 95)
        watch(model);
    else if (pick < 96)
        move_capacity(model);
    else if (pick < 97)
        break_device(model);
}

static struct model *model_new(uint64_t seed) {
    struct model *model = test_alloc(sizeof(*model), 64);
    model->random = test_random_from(seed);
    model->now_ns = UINT64_MAX - 500; /* the clock wraps on the way */
    model->rig = rig_new_as((enum rig_mode)(seed % RIG_MODES));
    model->rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
    model->rig->device.queue_count = model->rig->config.queue_count = QUEUES;
    model->rig->device.capacity_sectors = model->capacity = SECTORS;
    model->rig->config.queue_size = 64;
    model->rig->config.in_flight_max = IN_FLIGHT;
    model->rig->config.segments_max = SEGMENTS_MAX;
    rig_add_image(model->rig);
    rig_must_init(model->rig);
    memcpy(model->disk, model->rig->device.image, sizeof(model->disk));
    for (uint32_t i = 0; i < JOBS; i++)
        model->jobs[i].pieces = test_alloc(PIECE_BYTES * SEGMENTS_MAX, 64);
    return model;
}

static void model_run(uint64_t seed, uint64_t *good) {
    struct model *model = model_new(seed);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(model);
        rig_check(model->rig);
        for (uint32_t queue = 0; queue < QUEUES; queue++)
            CHECK_EQ(ash_virtio_blk_in_flight(queue_of(model, queue)), model->in_flight[queue]);
    }
    reset(model, ASH_VIRTIO_BLK_RESUBMIT);
    mini_device_run(&model->rig->device);
    for (uint32_t queue = 0; queue < QUEUES; queue++) {
        while (model->in_flight[queue] != 0)
            CHECK(!reap(model, queue));
    }
    CHECK_MEM_EQ(model->rig->device.image, model->disk, sizeof(model->disk));
    rig_check(model->rig);
    CHECK(model->resets != 0 && model->refused != 0);
    *good += model->good;
}

TEST_CASE(virtio_blk, agrees_with_a_naive_disk_whatever_the_device_does) {
    uint64_t good = 0;
    for (uint64_t i = 0; i < SEEDS; i++)
        model_run(test_seed() * SEEDS + i, &good);
    CHECK(good > SEEDS * 50);
}
