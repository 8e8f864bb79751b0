/* SPDX-License-Identifier: MIT */
/* Cases of ash_virtio_blk_init: sizes, features, and all that can be wrong with a device. */
#include "virtq/rig.h"

TEST_CASE(virtio_blk, knows_the_device_after_init) {
    struct rig *rig = rig_new();
    rig->device.features |= ASH_VIRTIO_BLK_F_RO | ASH_VIRTIO_BLK_F_SIZE_MAX;
    rig->device.block_size = 4096;
    rig->device.size_max = 65535;
    CHECK_EQ(rig_init(rig), 0);
    CHECK_EQ(rig->blk.capacity_sectors, RIG_CAPACITY_SECTORS);
    CHECK_EQ(rig->blk.block_size_bytes, 4096);
    CHECK_EQ(rig->blk.segment_bytes_max, 65535);
    CHECK_EQ(rig->blk.segments_max, ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT);
    CHECK_EQ(rig->blk.request_bytes_max, 16 * 65536 - 4096);
    CHECK_EQ(rig->blk.queue_size, ASH_VIRTIO_BLK_QUEUE_SIZE_DEFAULT);
    CHECK_EQ(rig->blk.in_flight_max, ASH_VIRTIO_BLK_IN_FLIGHT_MAX_DEFAULT);
    CHECK(rig->blk.read_only);
    CHECK((rig->blk.features & ASH_VIRTIO_BLK_F_FLUSH) != 0);
    CHECK_EQ(rig->blk.features & ~rig->device.features, 0);
}

TEST_CASE(virtio_blk, capacity_may_be_nothing_or_all_that_63_bits_address) {
    static const uint64_t capacities[] = {0, 1, (UINT64_C(1) << 54) - 1};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(capacities); i++) {
        struct rig *rig = rig_new();
        uint64_t end = rig->device.capacity_sectors = capacities[i];
        rig_must_init(rig);
        CHECK_EQ(rig->blk.capacity_sectors, end);
        uint8_t buffer[1024];
        uint32_t token;
        CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, end, buffer, 512, &token), -ASH_ERANGE);
        CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, end - 1, buffer, 1024, &token), -ASH_ERANGE);
        if (end == 0)
            continue;
        rig_read(rig, end - 1, buffer, 512, NULL);
        CHECK_EQ(rig_finish(rig), 0);
        rig_check_data(buffer, end - 1, 512);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, smaller_device_queue_lowers_the_depth) {
    static const uint32_t rows[][3] = {/* QueueNumMax, queue, slots */ {UINT32_MAX, 256, 32},
                                       {1u << 31, 256, 32},
                                       {1024, 256, 32},
                                       {200, 128, 32},
                                       {64, 64, 16},
                                       {5, 4, 1}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        struct rig *rig = rig_new();
        rig->device.queue_size_max = rows[i][0];
        CHECK_EQ(rig_init(rig), 0);
        CHECK_EQ(rig->blk.queue_size, rows[i][1]);
        CHECK_EQ(rig->blk.in_flight_max, rows[i][2]);
        uint8_t buffer[512];
        uint32_t token;
        for (uint32_t n = 0; n < rows[i][2]; n++)
            rig_read(rig, n, buffer, 512, NULL);
        CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffer, 512, &token), -ASH_EAGAIN);
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        CHECK_EQ(rig_drain(rig), rows[i][2]);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, smallest_queue_of_several_is_the_size_of_all) {
    struct rig *rig = rig_new();
    rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
    rig->device.queue_count = rig->config.queue_count = 3;
    rig->device.last_queue_size_max = 32;
    rig_must_init(rig);
    CHECK_EQ(rig->blk.queue_size, 32);
    CHECK_EQ(rig->blk.in_flight_max, 8);
    rig->device.last_queue_size_max = 16;
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), -ASH_ENXIO);
    rig_check(rig);
}

/* What a device may be like that cannot be taken over. */
static void no_block_device(struct mini_device *device) {
    device->device_id = 1;
}
static void not_modern(struct mini_device *device) {
    device->features &= ~ASH_VIRTIO_F_VERSION_1;
}
static void refusing(struct mini_device *device) {
    device->refuses_features = true;
}
static void churning(struct mini_device *device) {
    device->config_torn_reads = UINT32_MAX;
}
static void too_large(struct mini_device *device) {
    device->capacity_sectors = UINT64_C(1) << 54;
}
static void odd_blocks(struct mini_device *device) {
    device->block_size = 513;
}
static void small_blocks(struct mini_device *device) {
    device->block_size = 256;
}
static void huge_blocks(struct mini_device *device) {
    device->block_size = 2 << 20;
}
static void no_segment(struct mini_device *device) {
    device->seg_max = 0;
}
static void multiqueue_without_queues(struct mini_device *device) {
    device->features |= ASH_VIRTIO_BLK_F_MQ;
    device->queue_count = 0;
}
static void no_queue(struct mini_device *device) {
    device->queue_size_max = 0;
}
static void queue_of_three(struct mini_device *device) {
    device->queue_size_max = 3;
}
static void not_resetting(struct mini_device *device) {
    device->never_resets = true;
    device->status = 1;
}
static void queue_in_use(struct mini_device *device) {
    device->queue_stays_ready = true;
    device->queues[0].ready = 1;
}
static void queue_never_ready(struct mini_device *device) {
    device->queue_never_ready = true;
}
static void dying(struct mini_device *device) {
    device->dies_on_start = true;
}

static const struct {
    void (*make)(struct mini_device *device);
    int error;
    const char *reason;
} ways_to_fail[] = {
    {no_block_device, -ASH_ENODEV, "not a block device"},
    {not_modern, -ASH_ENOTSUP, "VERSION_1"},
    {refusing, -ASH_EPERM, "FEATURES_OK"},
    {churning, -ASH_EAGAIN, "changed its configuration"},
    {too_large, -ASH_EBADMSG, "2^63"},
    {odd_blocks, -ASH_EBADMSG, "block size"},
    {small_blocks, -ASH_EBADMSG, "block size"},
    {huge_blocks, -ASH_EBADMSG, "block size"},
    {no_segment, -ASH_EBADMSG, "no block fits"},
    {multiqueue_without_queues, -ASH_EBADMSG, "several queues"},
    {no_queue, -ASH_ENXIO, "no request queue"},
    {queue_of_three, -ASH_ENXIO, "fewer than 4"},
    {not_resetting, -ASH_ETIMEDOUT, "does not finish its reset"},
    {queue_in_use, -ASH_EBUSY, "in use"},
    {queue_never_ready, -ASH_EIO, "QueueReady"},
    {dying, -ASH_EIO, "asks for a reset"},
};

TEST_CASE(virtio_blk, init_failures_are_told_apart_and_leave_the_device_reset) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(ways_to_fail); i++) {
        struct rig *rig = rig_new();
        struct mini_device *device = &rig->device;
        rig->config.queue_count = 2;
        ways_to_fail[i].make(device);
        int error = rig_init(rig);
        if (error != ways_to_fail[i].error)
            test_fail(__FILE__, __LINE__, "row %u: error %d (%s), expected %d", i, error,
                      ash_virtio_blk_reason(&rig->blk), ways_to_fail[i].error);
        CHECK(strstr(ash_virtio_blk_reason(&rig->blk), ways_to_fail[i].reason) != NULL);
        if (ways_to_fail[i].make != not_resetting)
            CHECK_EQ(device->status, 0);
        CHECK_EQ(device->notifications, 0);
        CHECK_EQ(device->given_up, device->resets > 1); /* 3.1.1: FAILED, once it was begun */
        CHECK_EQ(test_event_count("virtq.broken"), 0);
        rig_check(rig);
        /* Where it got as far as having queues, they say that they are not to be used. */
        uint8_t buffer[512];
        uint32_t token;
        struct ash_virtio_blk_done done;
        for (uint32_t n = 0; n < rig->blk.queue_count; n++) {
            rig->queue = ash_virtio_blk_get_queue(&rig->blk, n);
            CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffer, 512, &token), -ASH_EIO);
            CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
            CHECK(!ash_virtio_blk_may_sleep(rig->queue));
            ash_virtio_blk_kick(rig->queue);
        }
        CHECK_EQ(device->notifications, 0);
        /* The same memory does for the next try. */
        struct rig *sound = rig_new();
        sound->config.queue_count = 2;
        sound->memory = rig->memory;
        rig_must_init(sound);
        rig_read(sound, 3, buffer, 512, NULL);
        CHECK_EQ(rig_finish(sound), 0);
    }
}

/* The same device, but it was a good one before its reset. */
TEST_CASE(virtio_blk, reset_failures_fail_every_token_and_the_next_reset_mends_them) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(ways_to_fail) * 2; i++) {
        void (*make)(struct mini_device * device) = ways_to_fail[i / 2].make;
        struct rig *rig = rig_new_as(i % RIG_MODES);
        struct mini_device *device = &rig->device;
        struct ash_virtio_blk_done done;
        uint8_t buffers[2][512];
        if (make == no_block_device || make == not_resetting)
            continue; /* not looked at again; the tokens stay out */
        rig->config.queue_count = 2;
        rig_must_init(rig);
        uint64_t features = device->features;
        rig_read(rig, 3, buffers[0], 512, buffers[0]);
        ash_virtio_blk_kick(rig->queue);
        rig_read(rig, 4, buffers[1], 512, buffers[1]);
        make(device);
        CHECK_EQ(ash_virtio_blk_reset(
                     &rig->blk, i % 2 == 0 ? ASH_VIRTIO_BLK_RESUBMIT : ASH_VIRTIO_BLK_FAIL, 0),
                 ways_to_fail[i / 2].error);
        CHECK(ash_virtio_blk_reason(&rig->blk)[0] != '\0');
        CHECK_EQ(device->status, 0);
        CHECK_EQ(device->given_up, 1);
        CHECK(rig_reap_one(rig).cookie == buffers[0]);
        CHECK(rig_reap_one(rig).cookie == buffers[1]);
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
        CHECK_EQ(rig_counters(rig).aborted, 2);
        mini_device_init(device, RIG_CAPACITY_SECTORS);
        device->features = features;
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), 0);
        rig_read(rig, 3, buffers[0], 512, NULL);
        CHECK_EQ(rig_finish(rig), 0);
        rig_check_data(buffers[0], 3, 512);
        rig_check(rig);
    }
    CHECK_EQ(test_event_count("virtq.broken"), 0);
}

/* Every slot of every queue is used with every segment that fits, twice. */
static void fill_exactly(struct rig *rig) {
    uint32_t count = rig->blk.segments_max, bytes = (4 * count + 511) / 512 * 512;
    uint8_t *buffer = test_alloc(bytes, 64);
    struct ash_dma_segment *segments = test_alloc(sizeof(*segments) * count, 8);
    for (uint32_t i = 0; i < count; i++)
        segments[i] = rig_segment(buffer + 4 * i, i + 1 < count ? 4 : bytes - 4 * i);
    const struct ash_virtio_blk_request request = {.segments = segments, .segment_count = count};
    for (uint32_t i = 0; i < 2 * rig->blk.queue_count; i++) {
        rig->queue = ash_virtio_blk_get_queue(&rig->blk, i / 2);
        for (uint32_t n = 0; n < rig->blk.in_flight_max; n++)
            rig_submit(rig, &request);
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        CHECK_EQ(rig_drain(rig), rig->blk.in_flight_max);
    }
    rig_check_data(buffer, 0, bytes);
    rig_check(rig);
}

TEST_CASE(virtio_blk, memory_of_each_size_is_enough_and_is_not_left) {
    static const uint32_t queues[] = {1, 3};
    for (uint32_t i = 0; i < 9 * 2 * 3; i++) {
        struct rig *rig = rig_new_as(i % RIG_MODES);
        uint32_t size = 4u << (i % 9), segments = i % 3 == 0 ? 1 : i % 3 == 1 ? 2 : size - 2;
        rig->device.capacity_sectors = 16;
        rig->device.seg_max = size;
        rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
        rig->device.queue_count = 4;
        rig->config.queue_size = size;
        rig->config.segments_max = segments;
        /* All slots, but where their tables would take megabytes. */
        rig->config.in_flight_max = segments < 100 ? size / 4 : 3;
        rig->config.queue_count = queues[i / 27];
        size_t bytes = ash_virtio_blk_storage_size(&rig->config);
        size_t shared_bytes = ash_virtio_blk_dma_size(&rig->config);
        CHECK(bytes != 0 && shared_bytes != 0);
        char *storage = test_alloc(bytes + 64, 64), *shared = test_alloc(shared_bytes + 64, 64);
        memset(storage + bytes, 0x5a, 64);
        memset(shared + shared_bytes, 0x5a, 64);
        rig->memory = (struct ash_virtio_blk_memory){
            storage, bytes, {shared, shared_bytes, rig_segment(shared, 1).address}};
        rig_must_init(rig);
        CHECK_EQ(rig->blk.segments_max, segments);
        CHECK_EQ(rig->blk.in_flight_max, rig->config.in_flight_max);
        fill_exactly(rig);
        for (uint32_t n = 0; n < 64; n++)
            CHECK(storage[bytes + n] == 0x5a && shared[shared_bytes + n] == 0x5a);
    }
}

TEST_CASE(virtio_blk, features_are_declined_as_configured) {
    static const uint64_t declinable[] = {ASH_VIRTIO_F_INDIRECT_DESC, ASH_VIRTIO_F_EVENT_IDX,
                                          ASH_VIRTIO_F_RING_PACKED, ASH_VIRTIO_BLK_F_MQ,
                                          ASH_VIRTIO_BLK_DECLINABLE};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(declinable); i++) {
        struct rig *rig = rig_new_as(RIG_PACKED_EVENTS);
        rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
        rig->device.queue_count = 3;
        rig->config.queue_count = 3;
        rig->config.features_declined = declinable[i];
        rig_must_init(rig);
        CHECK_EQ(rig->device.driver_features & ASH_VIRTIO_BLK_DECLINABLE,
                 ASH_VIRTIO_BLK_DECLINABLE & ~declinable[i]);
        CHECK_EQ(rig->blk.features, rig->device.driver_features);
        CHECK_EQ(rig->blk.segments_max > 1, (declinable[i] & ASH_VIRTIO_F_INDIRECT_DESC) == 0);
        CHECK_EQ(rig->blk.queue_count > 1, (declinable[i] & ASH_VIRTIO_BLK_F_MQ) == 0);
        uint8_t buffer[512];
        for (uint32_t n = 0; n < 100; n++) {
            rig_read(rig, n, buffer, 512, NULL);
            CHECK_EQ(rig_finish(rig), 0);
            rig_check_data(buffer, n, 512);
        }
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
        CHECK_EQ(rig->blk.features & declinable[i], 0); /* declined again */
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, largest_queue_is_full_of_requests_and_empties) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig->config.queue_size = 1024;
        rig->config.in_flight_max = 256;
        rig_must_init(rig);
        CHECK_EQ(rig->blk.in_flight_max, 256);
        uint8_t *buffers = test_alloc(256 * 512, 64);
        uint32_t token;
        for (uint32_t round = 0; round < 10; round++) {
            memset(buffers, 0, 256 * 512);
            for (uint32_t i = 0; i < 256; i++)
                rig_read(rig, i, buffers + i * 512, 512, NULL);
            CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffers, 512, &token), -ASH_EAGAIN);
            ash_virtio_blk_kick(rig->queue);
            while (mini_device_fetch(&rig->device)) {}
            CHECK_EQ(rig->device.held_count, 256);
            while (rig->device.held_count != 0) /* the last first */
                mini_device_complete(&rig->device, rig->device.held_count - 1);
            CHECK_EQ(rig_drain(rig), 256);
            rig_check_data(buffers, 0, 256 * 512);
            rig_check(rig);
        }
    }
}

TEST_CASE(virtio_blk, smallest_queue_takes_one_request_after_the_other) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig->device.queue_size_max = 4;
        rig_must_init(rig);
        uint8_t buffer[1024];
        const struct ash_dma_segment two[] = {rig_segment(buffer, 512),
                                              rig_segment(buffer + 512, 512)};
        CHECK_EQ(rig->blk.in_flight_max, 1);
        for (uint32_t i = 0; i < 100; i++) {
            const struct ash_virtio_blk_request request = {.op = i % 3 == 0 ? ASH_VIRTIO_BLK_FLUSH
                                                                            : ASH_VIRTIO_BLK_READ,
                                                           .sector = i,
                                                           .segments = two,
                                                           .segment_count = i % 3};
            uint32_t token;
            rig_submit(rig, &request);
            CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), -ASH_EAGAIN);
            CHECK_EQ(rig_finish(rig), 0);
            if (i % 3 != 0)
                rig_check_data(buffer, i, i % 3 * 512);
            rig_check(rig);
        }
    }
}

TEST_CASE(virtio_blk, size_max_of_0_is_no_limit_and_one_below_a_block_is_nonsense) {
    static const struct {
        uint32_t size_max;
        int error;
        uint32_t request_bytes_max;
    } rows[] = {{0, 0, ASH_VIRTIO_BLK_REQUEST_BYTES_MAX},
                {511, -ASH_EBADMSG, 0},
                {512, 0, 16 * 512},
                {UINT32_MAX, 0, ASH_VIRTIO_BLK_REQUEST_BYTES_MAX}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        struct rig *rig = rig_new();
        rig->device.features |= ASH_VIRTIO_BLK_F_SIZE_MAX;
        rig->device.size_max = rows[i].size_max;
        rig->device.capacity_sectors = UINT64_C(1) << 40;
        CHECK_EQ(rig_init(rig), rows[i].error);
        CHECK_EQ(rig->blk.request_bytes_max, rows[i].request_bytes_max);
        if (rows[i].error != 0)
            continue;
        uint32_t most = rig->blk.segment_bytes_max, token;
        CHECK(most <= rig->blk.request_bytes_max);
        struct ash_dma_segment segment = {4096, most + 512};
        const struct ash_virtio_blk_request request = {.segments = &segment, .segment_count = 1};
        CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), -ASH_EINVAL);
        segment.len_bytes = most;
        CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), 0);
    }
}

TEST_CASE(virtio_blk, configuration_is_validated) {
    struct rig *rig = rig_start();
    static const struct ash_virtio_blk_config bad[] = {
        {.queue_size = 1},
        {.queue_size = 2},
        {.queue_size = 3},
        {.queue_size = 100},
        {.queue_size = 2048},
        {.queue_size = 1u << 31, .in_flight_max = 1},
        {.queue_size = 256, .in_flight_max = 65},
        {.queue_size = 4, .in_flight_max = 2},
        {.queue_size = 1024, .in_flight_max = 257},
        {.in_flight_max = UINT32_MAX},
        {.segments_max = 255},
        {.queue_size = 4, .segments_max = 3},
        {.segments_max = UINT32_MAX},
        {.queue_count = 65},
        {.queue_count = UINT32_MAX},
        {.align_bytes = 3},
        {.align_bytes = UINT32_MAX},
        {.features_declined = ASH_VIRTIO_F_VERSION_1},
        {.features_declined = ASH_VIRTIO_BLK_F_FLUSH},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++) {
        struct ash_virtio_blk_config config = bad[i];
        config.transport = &rig->mmio.transport;
        if (ash_virtio_blk_storage_size(&config) != 0 || ash_virtio_blk_dma_size(&config) != 0)
            test_fail(__FILE__, __LINE__, "row %u has a size", i);
        CHECK_EQ(ash_virtio_blk_init(&rig->blk, &config, &rig->memory), -ASH_EINVAL);
        CHECK(ash_virtio_blk_reason(&rig->blk)[0] != '\0');
    }
    struct ash_virtio_blk_config config = {0};
    CHECK_EQ(ash_virtio_blk_init(&rig->blk, &config, &rig->memory), -ASH_EINVAL);
}

static int init_at(struct rig *rig, char *storage, size_t bytes, char *shared, size_t shared_bytes,
                   ash_paddr_t address) {
    const struct ash_virtio_blk_memory memory = {storage, bytes, {shared, shared_bytes, address}};
    return ash_virtio_blk_init(&rig->blk, &rig->config, &memory);
}

TEST_CASE(virtio_blk, memory_is_validated_and_never_left) {
    static const struct ash_virtio_blk_config good[] = {
        {0},
        {.queue_size = 4},
        {.queue_size = 4, .in_flight_max = 1, .segments_max = 1},
        {.queue_size = 4, .segments_max = 2},
        {.queue_size = 16},
        {.queue_size = 256, .in_flight_max = 64},
        {.queue_size = 1024, .in_flight_max = 256},
        {.queue_size = 1024, .segments_max = 1022, .in_flight_max = 7},
        {.queue_count = 64, .align_bytes = 1, .segments_max = 1},
        {.queue_count = 3, .align_bytes = 1u << 31, .segments_max = 3, .in_flight_max = 5},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(good); i++) {
        struct rig *rig = rig_start();
        rig->config = good[i];
        rig->config.transport = &rig->mmio.transport;
        rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
        rig->device.queue_count = 64;
        size_t bytes = ash_virtio_blk_storage_size(&rig->config);
        size_t shared_bytes = ash_virtio_blk_dma_size(&rig->config);
        CHECK(bytes != 0 && shared_bytes != 0);
        char *storage = test_alloc(bytes + 65, 64), *shared = test_alloc(shared_bytes + 65, 64);
        ash_paddr_t address = rig_segment(shared, 1).address;
        storage[bytes] = shared[shared_bytes] = 0x5a;
        CHECK_EQ(init_at(rig, storage, bytes - 1, shared, shared_bytes, address), -ASH_ENOMEM);
        CHECK_EQ(init_at(rig, storage, bytes, shared, shared_bytes - 1, address), -ASH_ENOMEM);
        CHECK_EQ(init_at(rig, storage + 8, bytes, shared, shared_bytes, address), -ASH_EINVAL);
        CHECK_EQ(init_at(rig, storage, bytes, shared + 8, shared_bytes, address), -ASH_EINVAL);
        CHECK_EQ(init_at(rig, storage, bytes, shared, shared_bytes, address + 8), -ASH_EINVAL);
        CHECK_EQ(init_at(rig, NULL, bytes, shared, shared_bytes, address), -ASH_EINVAL);
        CHECK_EQ(init_at(rig, storage, bytes, NULL, shared_bytes, address), -ASH_EINVAL);
        CHECK_EQ(init_at(rig, storage, bytes, shared, shared_bytes, UINT64_MAX - 63), -ASH_EINVAL);
        CHECK_EQ(init_at(rig, storage, bytes, shared, shared_bytes, 0 - (uint64_t)shared_bytes),
                 -ASH_EINVAL);
        CHECK_EQ(init_at(rig, storage, bytes, shared, shared_bytes, address), 0);
        rig_check(rig);
        CHECK_EQ(storage[bytes], 0x5a);
        CHECK_EQ(shared[shared_bytes], 0x5a);
        CHECK_EQ(rig->blk.queue_count, good[i].queue_count == 0 ? 1 : good[i].queue_count);
    }
}

/* The n-th access of a register goes wrong, for each n. */

enum fault { READS_ONES, READS_ZERO, LOSES_WRITE, GONE_FROM_THEN_ON, FAULTS };

struct faulty {
    struct ash_virtio_regs regs;
    uint32_t accesses, fails_at;
    enum fault fault;
};

static bool goes_wrong(struct faulty *faulty) {
    faulty->accesses++;
    return faulty->accesses == faulty->fails_at ||
           (faulty->fault == GONE_FROM_THEN_ON && faulty->fails_at != 0 &&
            faulty->accesses > faulty->fails_at);
}

static uint32_t faulty_read(void *context, uint32_t offset, uint32_t width_bytes) {
    struct faulty *faulty = context;
    if (goes_wrong(faulty) && faulty->fault != LOSES_WRITE)
        return faulty->fault == READS_ONES ? UINT32_MAX : 0;
    return faulty->regs.read(faulty->regs.context, offset, width_bytes);
}

static void faulty_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct faulty *faulty = context;
    if (goes_wrong(faulty) && faulty->fault >= LOSES_WRITE)
        return;
    faulty->regs.write(faulty->regs.context, offset, width_bytes, value);
}

static struct rig *faulty_rig(struct faulty *faulty, enum fault fault) {
    struct rig *rig = rig_new_as(RIG_PACKED_EVENTS);
    rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
    rig->device.queue_count = rig->config.queue_count = 2;
    *faulty = (struct faulty){.regs = rig->regs, .fault = fault};
    rig->regs = (struct ash_virtio_regs){faulty_read, faulty_write, faulty};
    return rig;
}

TEST_CASE(virtio_blk, init_survives_a_fault_at_each_register_access) {
    struct faulty faulty;
    for (uint32_t fault = 0; fault < FAULTS; fault++) {
        struct rig *rig = faulty_rig(&faulty, fault);
        uint32_t n = 0, failures = 0;
        do {
            faulty.fails_at = ++n;
            faulty.accesses = 0;
            int error = rig_init(rig);
            failures += error != 0;
            if (error == 0)
                CHECK(ash_virtio_blk_check(&rig->blk) == NULL);
            CHECK(error == 0 || rig->mmio.transport.reason[0] != '\0' ||
                  ash_virtio_blk_reason(&rig->blk)[0] != '\0');
            bool was_reached = faulty.accesses >= n;
            faulty.fails_at = 0;
            rig->device.broken_rule = NULL; /* half a set-up looks like the driver's fault */
            rig_must_init(rig);
            uint8_t buffer[512];
            rig_read(rig, n % 100, buffer, 512, NULL);
            CHECK_EQ(rig_finish(rig), 0);
            rig_check_data(buffer, n % 100, 512);
            rig_check(rig);
            if (!was_reached)
                break;
        } while (n < 1000);
        CHECK(n > 50 && n < 1000);
        CHECK(failures > 5);
    }
}

TEST_CASE(virtio_blk, reset_survives_a_fault_at_each_register_access_and_loses_no_token) {
    enum { READS = 5 };
    struct faulty faulty;
    uint8_t *buffers = test_alloc(READS * 1024, 64);
    for (uint32_t fault = 0; fault < FAULTS; fault++) {
        struct rig *rig = faulty_rig(&faulty, fault);
        rig_must_init(rig);
        uint32_t n = 0, failed = 0;
        do {
            uint32_t tokens[READS];
            bool back[READS] = {false};
            memset(buffers, 0, READS * 1024);
            for (uint32_t i = 0; i < READS; i++) {
                const struct ash_dma_segment two[] = {rig_segment(buffers + i * 1024, 512),
                                                      rig_segment(buffers + i * 1024 + 512, 512)};
                const struct ash_virtio_blk_request request = {.sector = i,
                                                               .segments = two,
                                                               .segment_count = 1 + i % 2,
                                                               .cookie = (void *)(uintptr_t)i};
                tokens[i] = rig_submit(rig, &request);
                if (i == 3) /* the last one is not published */
                    ash_virtio_blk_kick(rig->queue);
            }
            faulty.fails_at = ++n;
            faulty.accesses = 0;
            int error = ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0);
            bool was_reached = faulty.accesses >= n;
            faulty.fails_at = 0;
            CHECK(ash_virtio_blk_check(&rig->blk) == NULL);
            struct ash_virtio_blk_done done[2];
            int count;
            uint32_t seen = 0;
            for (uint32_t pass = 0; pass < 2; pass++) {
                while ((count = ash_virtio_blk_reap(rig->queue, done, 2)) > 0) {
                    for (int k = 0; k < count; k++, seen++) {
                        uintptr_t i = (uintptr_t)done[k].cookie;
                        CHECK(i < READS && !back[i] && done[k].token == tokens[i]);
                        back[i] = true;
                        CHECK(done[k].status == (pass == 0 ? -ASH_EIO : 0));
                        if (pass == 1)
                            rig_check_data(buffers + i * 1024, i, 512 * (1 + i % 2));
                        failed += pass == 0;
                    }
                }
                CHECK_EQ(count, error == 0 || pass == 1 ? 0 : -ASH_EIO);
                if (pass == 1)
                    break;
                CHECK(error == 0 || error == -ASH_ETIMEDOUT || seen == READS);
                rig->device.broken_rule = NULL;
                CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
                mini_device_run(&rig->device);
                rig_check(rig);
            }
            CHECK_EQ(seen, READS);
            if (!was_reached)
                break;
        } while (n < 1000);
        CHECK(n > 50 && n < 1000);
        CHECK(fault == READS_ONES || failed > READS);
    }
}
