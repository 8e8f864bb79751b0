/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/virtio_blk.h> on a device that keeps the rules. */
#include "virtq/rig.h"

#include <ashlar/event.h>

TEST_CASE(virtio_blk, reads_what_the_disk_holds) {
    struct rig *rig = rig_start();
    uint8_t buffer[3 * 512];
    int cookie;
    uint32_t token = rig_read(rig, 7, buffer, sizeof(buffer), &cookie);
    ash_virtio_blk_kick(&rig->blk);
    CHECK_EQ(rig->device.notifications, 1);
    mini_device_run(&rig->device);
    struct ash_virtio_blk_done done = rig_reap_one(rig);
    CHECK_EQ(done.token, token);
    CHECK(done.cookie == &cookie);
    CHECK_EQ(done.status, 0);
    CHECK_EQ(done.bytes, sizeof(buffer));
    rig_check_data(buffer, 7, sizeof(buffer));
    rig_check(rig);
}

TEST_CASE(virtio_blk, knows_the_device_after_init) {
    struct rig *rig = rig_new();
    rig->device.features |= ASH_VIRTIO_BLK_F_RO | ASH_VIRTIO_BLK_F_SIZE_MAX;
    rig->device.block_size = 4096;
    rig->device.size_max = 65535;
    CHECK_EQ(rig_init(rig), 0);
    CHECK_EQ(rig->blk.capacity_sectors, RIG_CAPACITY_SECTORS);
    CHECK_EQ(rig->blk.block_size_bytes, 4096);
    CHECK_EQ(rig->blk.request_bytes_max, 61440);
    CHECK_EQ(rig->blk.queue_size, ASH_VIRTIO_BLK_QUEUE_SIZE_DEFAULT);
    CHECK_EQ(rig->blk.in_flight_max, ASH_VIRTIO_BLK_IN_FLIGHT_MAX_DEFAULT);
    CHECK(rig->blk.read_only);
    CHECK((rig->blk.features & ASH_VIRTIO_BLK_F_FLUSH) != 0);
    CHECK_EQ(rig->blk.features & ~rig->device.features, 0);
}

TEST_CASE(virtio_blk, nothing_reaches_the_device_before_a_kick) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    rig_read(rig, 0, buffer, sizeof(buffer), NULL);
    CHECK(!mini_device_fetch(&rig->device));
    CHECK_EQ(rig->device.notifications, 0);
    struct ash_virtio_blk_done done;
    CHECK_EQ(ash_virtio_blk_reap(&rig->blk, &done, 1), 0);
    ash_virtio_blk_kick(&rig->blk);
    CHECK(mini_device_fetch(&rig->device));
    ash_virtio_blk_kick(&rig->blk); /* nothing new: no notification */
    CHECK_EQ(rig->device.notifications, 1);
}

TEST_CASE(virtio_blk, one_kick_shows_a_whole_batch) {
    struct rig *rig = rig_start();
    uint8_t *buffers = test_alloc(RIG_IN_FLIGHT * 512, 512);
    for (uint32_t i = 0; i < RIG_IN_FLIGHT; i++)
        rig_read(rig, i, buffers + i * 512, 512, NULL);
    ash_virtio_blk_kick(&rig->blk);
    CHECK_EQ(rig->device.notifications, 1);
    mini_device_run(&rig->device);
    struct ash_virtio_blk_done done[RIG_IN_FLIGHT + 1];
    CHECK_EQ(ash_virtio_blk_reap(&rig->blk, done, RIG_IN_FLIGHT + 1), RIG_IN_FLIGHT);
    rig_check_data(buffers, 0, RIG_IN_FLIGHT * 512);
    CHECK_EQ(rig->device.interrupts, 0); /* not armed */
    rig_check(rig);
}

TEST_CASE(virtio_blk, read_refuses_bad_ranges_and_lengths) {
    struct rig *rig = rig_new();
    rig->device.block_size = 1024;
    rig->device.features |= ASH_VIRTIO_BLK_F_SIZE_MAX;
    rig->device.size_max = 8192;
    CHECK_EQ(rig_init(rig), 0);
    uint8_t *buffer = test_alloc(8192, 512);
    static const struct {
        uint64_t sector;
        size_t len_bytes;
        int error;
    } rows[] = {
        {0, 0, -ASH_EINVAL},
        {0, 1, -ASH_EINVAL},
        {0, 1023, -ASH_EINVAL},
        {0, 512, -ASH_EINVAL},
        {1, 1024, -ASH_EINVAL},
        {0, 8192 + 1024, -ASH_EINVAL},
        {0, SIZE_MAX, -ASH_EINVAL},
        {0, SIZE_MAX - 1023, -ASH_EINVAL},
        {RIG_CAPACITY_SECTORS, 1024, -ASH_ERANGE},
        {RIG_CAPACITY_SECTORS - 2, 2048, -ASH_ERANGE},
        {UINT64_MAX - 1, 1024, -ASH_ERANGE},
        {UINT64_MAX - 1, 8192, -ASH_ERANGE},
        {UINT64_C(1) << 55, 1024, -ASH_ERANGE},
        {RIG_CAPACITY_SECTORS - 2, 1024, 0},
        {RIG_CAPACITY_SECTORS - 16, 8192, 0},
    };
    uint32_t token;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++)
        CHECK_EQ(
            ash_virtio_blk_read(&rig->blk, rows[i].sector, buffer, rows[i].len_bytes, NULL, &token),
            rows[i].error);
    CHECK_EQ(ash_virtio_blk_read(&rig->blk, 0, NULL, 1024, NULL, &token), -ASH_EINVAL);
    CHECK_EQ(ash_virtio_blk_in_flight(&rig->blk), 2);
    rig_check(rig);
}

TEST_CASE(virtio_blk, buffer_without_an_address_is_efault_and_costs_no_slot) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    uint32_t token;
    rig->dma_fails_at = rig->dma_calls + 1;
    CHECK_EQ(ash_virtio_blk_read(&rig->blk, 0, buffer, 512, NULL, &token), -ASH_EFAULT);
    CHECK_EQ(ash_virtio_blk_in_flight(&rig->blk), 0);
    rig_check(rig);
}

/* Takes what is there; counts. */
static uint32_t drain(struct rig *rig) {
    struct ash_virtio_blk_done done[7];
    uint32_t total = 0;
    for (;;) {
        int count = ash_virtio_blk_reap(&rig->blk, done, ASH_ARRAY_LEN(done));
        CHECK(count >= 0);
        if (count == 0)
            return total;
        for (int i = 0; i < count; i++)
            CHECK_EQ(done[i].status, 0);
        total += (uint32_t)count;
    }
}

TEST_CASE(virtio_blk, thousand_requests_at_once_fill_the_slots_and_all_come_back) {
    struct rig *rig = rig_start();
    uint8_t *buffers = test_alloc(RIG_IN_FLIGHT * 512, 512);
    uint32_t queued = 0, reaped = 0, refused = 0, token;
    while (queued < 1000) {
        int error = ash_virtio_blk_read(&rig->blk, queued % RIG_CAPACITY_SECTORS,
                                        buffers + queued % RIG_IN_FLIGHT * 512, 512, NULL, &token);
        if (error == 0) {
            queued++;
            continue;
        }
        CHECK_EQ(error, -ASH_EAGAIN);
        CHECK_EQ(ash_virtio_blk_in_flight(&rig->blk), RIG_IN_FLIGHT);
        refused++;
        ash_virtio_blk_kick(&rig->blk);
        mini_device_run(&rig->device);
        reaped += drain(rig);
    }
    ash_virtio_blk_kick(&rig->blk);
    mini_device_run(&rig->device);
    reaped += drain(rig);
    CHECK_EQ(reaped, 1000);
    CHECK_EQ(refused, 1000 / RIG_IN_FLIGHT);
    CHECK_EQ(rig->device.notifications, refused + 1);
    CHECK_EQ(rig->blk.counters.kicks, refused + 1);
    CHECK_EQ(rig->blk.counters.requests, 1000);
    CHECK_EQ(rig->blk.counters.completions, 1000);
    CHECK_EQ(rig->blk.counters.bytes, 1000 * 512);
    rig_check(rig);
}

TEST_CASE(virtio_blk, completes_in_any_order) {
    struct rig *rig = rig_start();
    uint8_t *buffers = test_alloc(4 * 512, 512);
    uint32_t tokens[4];
    for (uint32_t i = 0; i < 4; i++)
        tokens[i] = rig_read(rig, 10 * i, buffers + i * 512, 512, &tokens[i]);
    ash_virtio_blk_kick(&rig->blk);
    while (mini_device_fetch(&rig->device)) {}
    static const uint32_t picks[4] = {2, 2, 0, 0}, order[4] = {2, 3, 0, 1};
    for (uint32_t i = 0; i < 4; i++) {
        mini_device_complete(&rig->device, picks[i]);
        struct ash_virtio_blk_done done = rig_reap_one(rig);
        CHECK_EQ(done.token, tokens[order[i]]);
        CHECK(done.cookie == &tokens[order[i]]);
        rig_check_data(buffers + order[i] * 512, 10 * order[i], 512);
    }
    rig_check(rig);
}

TEST_CASE(virtio_blk, request_may_stay_out_while_the_indices_wrap) {
    struct rig *rig = rig_start();
    uint8_t slow[512], fast[512];
    uint32_t slow_token = rig_read(rig, 1, slow, 512, slow);
    ash_virtio_blk_kick(&rig->blk);
    CHECK(mini_device_fetch(&rig->device));
    rig->device.status_byte = 1; /* errors: no data to copy */
    for (uint32_t i = 0; i < 65536 + 300; i++) {
        uint32_t token = rig_read(rig, 2, fast, 512, NULL);
        ash_virtio_blk_kick(&rig->blk);
        CHECK(mini_device_fetch(&rig->device));
        mini_device_complete(&rig->device, 1);
        CHECK_EQ(rig_reap_one(rig).token, token);
        if (i % 4096 == 0)
            rig_check(rig);
    }
    CHECK(ash_virtio_blk_pending(&rig->blk, slow_token));
    rig->device.status_byte = 0;
    mini_device_complete(&rig->device, 0);
    CHECK(rig_reap_one(rig).cookie == slow);
    rig_check_data(slow, 1, 512);
    rig_check(rig);
}

TEST_CASE(virtio_blk, token_of_a_finished_request_is_not_pending_again) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    uint32_t first = rig_read(rig, 0, buffer, 512, NULL);
    ash_virtio_blk_kick(&rig->blk);
    mini_device_run(&rig->device);
    rig_reap_one(rig);
    uint32_t second = rig_read(rig, 0, buffer, 512, NULL);
    CHECK_EQ(first & 0xffff, second & 0xffff); /* the same slot */
    CHECK(!ash_virtio_blk_pending(&rig->blk, first));
    CHECK(!ash_virtio_blk_pending(&rig->blk, 0xffff));
}

TEST_CASE(virtio_blk, error_of_the_device_fails_one_request_only) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    static const int statuses[][2] = {{1, -ASH_EIO}, {2, -ASH_ENOTSUP}, {0, 0}};
    for (uint32_t i = 0; i < 3; i++) {
        rig->device.status_byte = (uint8_t)statuses[i][0];
        rig_read(rig, 0, buffer, 512, NULL);
        ash_virtio_blk_kick(&rig->blk);
        mini_device_run(&rig->device);
        struct ash_virtio_blk_done done = rig_reap_one(rig);
        CHECK_EQ(done.status, statuses[i][1]);
        CHECK_EQ(done.bytes, statuses[i][1] == 0 ? 512 : 0);
    }
    CHECK_EQ(rig->blk.counters.errors, 2);
    rig_check(rig);
}

TEST_CASE(virtio_blk, success_that_wrote_too_little_is_an_error) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    for (uint32_t less = 1; less <= 513; less += 512) {
        rig->device.used_len_less = less;
        rig_read(rig, 0, buffer, 512, NULL);
        ash_virtio_blk_kick(&rig->blk);
        mini_device_run(&rig->device);
        CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    }
    rig_check(rig);
}

TEST_CASE(virtio_blk, smaller_device_queue_lowers_the_depth) {
    static const uint32_t rows[][3] = {
        /* QueueNumMax, queue, slots */ {1024, 256, 32}, {200, 128, 32}, {64, 64, 21}, {5, 4, 1}};
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
        CHECK_EQ(ash_virtio_blk_read(&rig->blk, 0, buffer, 512, NULL, &token), -ASH_EAGAIN);
        ash_virtio_blk_kick(&rig->blk);
        mini_device_run(&rig->device);
        CHECK_EQ(drain(rig), rows[i][2]);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, works_without_event_idx) {
    struct rig *rig = rig_new();
    rig->device.features &= ~ASH_VIRTIO_F_EVENT_IDX;
    CHECK_EQ(rig_init(rig), 0);
    uint8_t buffer[512];
    for (uint32_t armed = 0; armed < 2; armed++) {
        if (armed)
            CHECK(ash_virtio_blk_arm(&rig->blk, 1));
        else
            ash_virtio_blk_disarm(&rig->blk);
        rig_read(rig, 3, buffer, 512, NULL);
        ash_virtio_blk_kick(&rig->blk);
        mini_device_run(&rig->device);
        CHECK_EQ(rig->device.interrupts, armed);
        CHECK_EQ(ash_virtio_blk_interrupt(&rig->blk), armed);
        CHECK_EQ(rig_reap_one(rig).status, 0);
    }
    CHECK_EQ(rig->device.notifications, 2);
    /* VIRTQ_USED_F_NO_NOTIFY */
    *(volatile uint16_t *)(uintptr_t)(rig->device.used - MINI_DMA_OFFSET) = 1;
    rig_read(rig, 3, buffer, 512, NULL);
    ash_virtio_blk_kick(&rig->blk);
    CHECK_EQ(rig->device.notifications, 2);
    rig_check(rig);
}

TEST_CASE(virtio_blk, interrupt_is_acknowledged_and_counted) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    CHECK(!ash_virtio_blk_interrupt(&rig->blk));
    CHECK(ash_virtio_blk_arm(&rig->blk, 1));
    rig_read(rig, 0, buffer, 512, NULL);
    ash_virtio_blk_kick(&rig->blk);
    mini_device_run(&rig->device);
    CHECK_EQ(rig->device.interrupts, 1);
    CHECK(ash_virtio_blk_interrupt(&rig->blk));
    CHECK_EQ(rig->device.interrupt_status, 0);
    CHECK(!ash_virtio_blk_interrupt(&rig->blk));
    CHECK_EQ(rig->blk.counters.interrupts, 1);
    CHECK(!ash_virtio_blk_arm(&rig->blk, 1)); /* something is there */
    rig_reap_one(rig);
    CHECK(ash_virtio_blk_arm(&rig->blk, 1));
}

TEST_CASE(virtio_blk, armed_for_n_interrupts_once_at_the_nth) {
    struct rig *rig = rig_start();
    uint8_t *buffers = test_alloc(8 * 512, 512);
    for (uint32_t wish = 1; wish <= 9; wish++) {
        for (uint32_t i = 0; i < 8; i++)
            rig_read(rig, i, buffers + i * 512, 512, NULL);
        ash_virtio_blk_kick(&rig->blk);
        uint32_t before = rig->device.interrupts, nth = wish < 8 ? wish : 8;
        CHECK(ash_virtio_blk_arm(&rig->blk, wish));
        for (uint32_t i = 1; i <= 8; i++) {
            CHECK(mini_device_fetch(&rig->device));
            mini_device_complete(&rig->device, 0);
            CHECK_EQ(rig->device.interrupts - before, i >= nth);
        }
        CHECK_EQ(drain(rig), 8);
    }
}

/* Init */

TEST_CASE(virtio_blk, init_failures_are_told_apart_and_leave_the_device_reset) {
    enum { ROWS = 13 };
    static const int errors[ROWS] = {-ASH_ENODEV,    -ASH_ENOTSUP, -ASH_EPERM, -ASH_EAGAIN,
                                     -ASH_EBADMSG,   -ASH_EBADMSG, -ASH_ENXIO, -ASH_ENXIO,
                                     -ASH_ETIMEDOUT, -ASH_EBUSY,   -ASH_EIO,   -ASH_EIO,
                                     -ASH_EBADMSG};
    for (uint32_t i = 0; i < ROWS; i++) {
        struct rig *rig = rig_new();
        struct mini_device *device = &rig->device;
        device->device_id = i == 0 ? 1 : 2;
        device->features &= i == 1 ? ~ASH_VIRTIO_F_VERSION_1 : UINT64_MAX;
        device->refuses_features = i == 2;
        device->config_torn_reads = i == 3 ? UINT32_MAX : 0;
        device->capacity_sectors = i == 4 ? UINT64_C(1) << 54 : 1000;
        device->block_size = i == 5 ? 513 : 512;
        device->queue_size_max = i == 6 ? 0 : i == 7 ? 3 : 1024;
        device->never_resets = i == 8;
        device->status = 1;
        device->queue_stays_ready = i == 9;
        device->queue_ready = i == 9;
        device->queue_never_ready = i == 10;
        device->dies_on_start = i == 11;
        device->seg_max = i == 12 ? 0 : 126;
        int error = rig_init(rig);
        if (error != errors[i])
            test_fail(__FILE__, __LINE__, "row %u: error %d (%s), expected %d", i, error,
                      ash_virtio_blk_reason(&rig->blk), errors[i]);
        CHECK(ash_virtio_blk_reason(&rig->blk)[0] != '\0');
        if (i != 0 && i != 8)
            CHECK_EQ(device->status, 0);
        /* The object is safe to use: everything says so. */
        uint8_t buffer[512];
        uint32_t token;
        struct ash_virtio_blk_done done;
        CHECK_EQ(ash_virtio_blk_read(&rig->blk, 0, buffer, 512, NULL, &token), -ASH_EIO);
        CHECK_EQ(ash_virtio_blk_reap(&rig->blk, &done, 1), -ASH_EIO);
        ash_virtio_blk_kick(&rig->blk);
        CHECK_EQ(device->notifications, 0);
        CHECK(!ash_virtio_blk_arm(&rig->blk, 1));
        CHECK_EQ(test_event_count("virtq.broken"), 0);
    }
}

TEST_CASE(virtio_blk, size_max_of_0_is_no_limit_and_one_below_a_block_is_nonsense) {
    static const struct {
        uint32_t size_max;
        int error;
        uint32_t request_bytes_max;
    } rows[] = {{0, 0, ASH_VIRTIO_BLK_REQUEST_BYTES_MAX}, {511, -ASH_EBADMSG, 0}, {512, 0, 512}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        struct rig *rig = rig_new();
        rig->device.features |= ASH_VIRTIO_BLK_F_SIZE_MAX;
        rig->device.size_max = rows[i].size_max;
        CHECK_EQ(rig_init(rig), rows[i].error);
        CHECK_EQ(rig->blk.request_bytes_max, rows[i].request_bytes_max);
    }
}

TEST_CASE(virtio_blk, init_survives_each_address_that_cannot_be_had) {
    for (uint32_t nth = 1;; nth++) {
        struct rig *rig = rig_new();
        rig->dma_fails_at = nth;
        int error = rig_init(rig);
        if (error == 0) {
            CHECK(nth > 1);
            CHECK_EQ(rig->dma_calls, nth - 1);
            return;
        }
        CHECK_EQ(error, -ASH_EFAULT);
        CHECK_EQ(rig->device.status, 0);
        rig->dma_fails_at = 0;
        CHECK_EQ(rig_init(rig), 0);
    }
}

TEST_CASE(virtio_blk, configuration_and_storage_are_validated) {
    struct rig *rig = rig_start();
    static const uint32_t bad[][2] = {{3, 0},          {1, 0},       {2, 0}, {2048, 0},
                                      {100, 0},        {256, 86},    {4, 2}, {1024, 342},
                                      {0, UINT32_MAX}, {1u << 31, 1}};
    static const uint32_t good[][2] = {{0, 0}, {4, 0}, {4, 1}, {256, 85}, {1024, 341}, {16, 0}};
    struct ash_virtio_blk_config config = rig->config;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++) {
        config.queue_size = bad[i][0];
        config.in_flight_max = bad[i][1];
        CHECK_EQ(ash_virtio_blk_storage_size(&config), 0);
        CHECK_EQ(ash_virtio_blk_init(&rig->blk, &config, rig->storage, rig->storage_bytes),
                 -ASH_EINVAL);
    }
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(good); i++) {
        config.queue_size = good[i][0];
        config.in_flight_max = good[i][1];
        size_t bytes = ash_virtio_blk_storage_size(&config);
        char *storage = test_alloc(bytes + 65, 64);
        storage[bytes] = 0x5a;
        CHECK_EQ(ash_virtio_blk_init(&rig->blk, &config, storage, bytes - 1), -ASH_ENOMEM);
        CHECK_EQ(ash_virtio_blk_init(&rig->blk, &config, storage + 8, bytes), -ASH_EINVAL);
        CHECK_EQ(ash_virtio_blk_init(&rig->blk, &config, NULL, bytes), -ASH_EINVAL);
        CHECK_EQ(ash_virtio_blk_init(&rig->blk, &config, storage, bytes), 0);
        CHECK_EQ(storage[bytes], 0x5a);
    }
    config.dma_address = NULL;
    CHECK_EQ(ash_virtio_blk_init(&rig->blk, &config, rig->storage, rig->storage_bytes),
             -ASH_EINVAL);
}

TEST_CASE(virtio_blk, fini_resets_and_gives_every_token_back) {
    struct rig *rig = rig_start();
    uint8_t buffers[2][512];
    rig_read(rig, 0, buffers[0], 512, NULL);
    ash_virtio_blk_kick(&rig->blk);
    rig_read(rig, 0, buffers[1], 512, NULL);
    CHECK_EQ(ash_virtio_blk_fini(&rig->blk), 0);
    CHECK_EQ(rig->device.status, 0);
    CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    struct ash_virtio_blk_done done;
    uint32_t token;
    CHECK_EQ(ash_virtio_blk_reap(&rig->blk, &done, 1), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_read(&rig->blk, 0, buffers[0], 512, NULL, &token), -ASH_EIO);
    CHECK_EQ(test_event_count("virtq.broken"), 0);
}

/* Model: what is in flight, by token, and what each buffer must hold when it comes back. */

enum { MODEL_SLOTS = 24, MODEL_STEPS = 1500, MODEL_SECTORS_MAX = 3 };

struct model_request {
    bool in_flight;
    uint32_t token;
    uint64_t sector;
    size_t len_bytes;
    uint8_t *buffer;
};

static struct model_request *model_free(struct model_request *requests) {
    for (uint32_t i = 0; i < MODEL_SLOTS; i++) {
        if (!requests[i].in_flight)
            return &requests[i];
    }
    return NULL;
}

static void model_read(struct rig *rig, struct model_request *request, struct test_random *random) {
    uint8_t none[1];
    uint64_t sector = test_random_below(random, RIG_CAPACITY_SECTORS + 2);
    size_t len_bytes = 512 * (size_t)test_random_below(random, MODEL_SECTORS_MAX + 1);
    int expected = len_bytes == 0                                    ? -ASH_EINVAL
                   : sector + len_bytes / 512 > RIG_CAPACITY_SECTORS ? -ASH_ERANGE
                   : request == NULL                                 ? -ASH_EAGAIN
                                                                     : 0;
    uint32_t token;
    CHECK_EQ(ash_virtio_blk_read(&rig->blk, sector, request == NULL ? none : request->buffer,
                                 len_bytes, request, &token),
             expected);
    if (expected != 0)
        return;
    memset(request->buffer, 0, len_bytes);
    *request = (struct model_request){true, token, sector, len_bytes, request->buffer};
}

static void model_reap(struct rig *rig, struct test_random *random) {
    struct ash_virtio_blk_done done[MODEL_SLOTS];
    int count =
        ash_virtio_blk_reap(&rig->blk, done, (uint32_t)test_random_below(random, MODEL_SLOTS) + 1);
    CHECK(count >= 0);
    for (int i = 0; i < count; i++) {
        struct model_request *request = done[i].cookie;
        CHECK(request->in_flight);
        CHECK_EQ(done[i].token, request->token);
        CHECK_EQ(done[i].status, 0);
        CHECK_EQ(done[i].bytes, request->len_bytes);
        rig_check_data(request->buffer, request->sector, request->len_bytes);
        request->in_flight = false;
    }
}

static void model_device(struct rig *rig, struct test_random *random) {
    for (uint64_t i = test_random_below(random, 8); i != 0; i--)
        mini_device_fetch(&rig->device);
    for (uint64_t i = test_random_below(random, 8); i != 0 && rig->device.held_count != 0; i--)
        mini_device_complete(&rig->device,
                             (uint32_t)test_random_below(random, rig->device.held_count));
}

static void model_run(uint64_t seed) {
    struct test_random random = test_random_from(seed);
    struct rig *rig = rig_new();
    rig->config.in_flight_max = MODEL_SLOTS;
    rig->config.queue_size = 128;
    rig->device.features &= test_random_chance(&random, 25) ? ~ASH_VIRTIO_F_EVENT_IDX : UINT64_MAX;
    CHECK_EQ(rig_init(rig), 0);
    struct model_request requests[MODEL_SLOTS] = {{0}};
    for (uint32_t i = 0; i < MODEL_SLOTS; i++)
        requests[i].buffer = test_alloc(512 * MODEL_SECTORS_MAX, 8);
    for (uint32_t step = 0; step < MODEL_STEPS; step++) {
        switch (test_random_below(&random, 4)) {
        case 0:
            model_reap(rig, &random);
            break;
        case 1:
            model_device(rig, &random);
            break;
        case 2:
            ash_virtio_blk_kick(&rig->blk);
            break;
        default:
            for (uint64_t i = test_random_below(&random, 6); i != 0; i--)
                model_read(rig, model_free(requests), &random);
            break;
        }
        uint32_t in_flight = 0;
        for (uint32_t i = 0; i < MODEL_SLOTS; i++)
            in_flight += requests[i].in_flight;
        CHECK_EQ(ash_virtio_blk_in_flight(&rig->blk), in_flight);
        if (step % 16 == 0)
            rig_check(rig);
    }
    CHECK(rig->blk.counters.completions > 100);
}

TEST_CASE(virtio_blk, agrees_with_a_naive_model_in_any_order_of_completion) {
    uint64_t seed = test_seed();
    for (uint64_t i = 0; i < 8; i++)
        model_run(seed * 8 + i);
}
