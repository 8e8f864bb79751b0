/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/virtio_blk.h> on a device that keeps the rules. */
#include "virtq/rig.h"

TEST_CASE(virtio_blk, reads_what_the_disk_holds) {
    struct rig *rig = rig_start();
    uint8_t buffer[3 * 512];
    int cookie;
    uint32_t token = rig_read(rig, 7, buffer, sizeof(buffer), &cookie);
    ash_virtio_blk_kick(rig->queue);
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

TEST_CASE(virtio_blk, nothing_reaches_the_device_before_a_kick) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    rig_read(rig, 0, buffer, sizeof(buffer), NULL);
    CHECK(!mini_device_fetch(&rig->device));
    CHECK_EQ(rig->device.notifications, 0);
    struct ash_virtio_blk_done done;
    CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), 0);
    ash_virtio_blk_kick(rig->queue);
    CHECK(mini_device_fetch(&rig->device));
    ash_virtio_blk_kick(rig->queue); /* nothing new: no notification */
    CHECK_EQ(rig->device.notifications, 1);
}

TEST_CASE(virtio_blk, one_kick_shows_a_whole_batch) {
    struct rig *rig = rig_start();
    uint8_t *buffers = test_alloc(RIG_IN_FLIGHT * 512, 512);
    for (uint32_t i = 0; i < RIG_IN_FLIGHT; i++)
        rig_read(rig, i, buffers + i * 512, 512, NULL);
    ash_virtio_blk_kick(rig->queue);
    CHECK_EQ(rig->device.notifications, 1);
    mini_device_run(&rig->device);
    struct ash_virtio_blk_done done[RIG_IN_FLIGHT + 1];
    CHECK_EQ(ash_virtio_blk_reap(rig->queue, done, RIG_IN_FLIGHT + 1), RIG_IN_FLIGHT);
    rig_check_data(buffers, 0, RIG_IN_FLIGHT * 512);
    CHECK_EQ(rig->device.interrupts, 0); /* not armed */
    rig_check(rig);
}

TEST_CASE(virtio_blk, refuses_bad_ranges_and_lengths) {
    struct rig *rig = rig_new();
    rig->device.block_size = 1024;
    rig->device.features |= ASH_VIRTIO_BLK_F_SIZE_MAX;
    rig->device.size_max = 8192;
    CHECK_EQ(rig_init(rig), 0);
    uint8_t *buffer = test_alloc(8192, 512);
    static const struct {
        uint64_t sector;
        uint32_t len_bytes;
        int error;
    } rows[] = {
        {0, 0, -ASH_EINVAL},
        {0, 1, -ASH_EINVAL},
        {0, 1023, -ASH_EINVAL},
        {0, 512, -ASH_EINVAL},
        {1, 1024, -ASH_EINVAL},
        {0, 8192 + 1024, -ASH_EINVAL},
        {0, UINT32_MAX, -ASH_EINVAL},
        {0, UINT32_MAX - 1023, -ASH_EINVAL},
        {RIG_CAPACITY_SECTORS, 1024, -ASH_ERANGE},
        {RIG_CAPACITY_SECTORS - 2, 2048, -ASH_ERANGE},
        {UINT64_MAX - 1, 1024, -ASH_ERANGE},
        {UINT64_MAX - 1, 8192, -ASH_ERANGE},
        {UINT64_C(1) << 55, 1024, -ASH_ERANGE},
        {RIG_CAPACITY_SECTORS - 2, 1024, 0},
        {RIG_CAPACITY_SECTORS - 16, 8192, 0},
    };
    uint32_t token;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        int error =
            rig_try(rig, ASH_VIRTIO_BLK_READ, rows[i].sector, buffer, rows[i].len_bytes, &token);
        if (error != rows[i].error)
            test_fail(__FILE__, __LINE__, "row %u: %d, expected %d", i, error, rows[i].error);
    }
    CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), 2);
    rig_check(rig);
}

TEST_CASE(virtio_blk, thousand_requests_at_once_fill_the_slots_and_all_come_back) {
    struct rig *rig = rig_start();
    uint8_t *buffers = test_alloc(RIG_IN_FLIGHT * 512, 512);
    uint32_t queued = 0, reaped = 0, refused = 0, token;
    while (queued < 1000) {
        int error = rig_try(rig, ASH_VIRTIO_BLK_READ, queued % RIG_CAPACITY_SECTORS,
                            buffers + queued % RIG_IN_FLIGHT * 512, 512, &token);
        if (error == 0) {
            queued++;
            continue;
        }
        CHECK_EQ(error, -ASH_EAGAIN);
        CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), RIG_IN_FLIGHT);
        refused++;
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        reaped += rig_drain(rig);
    }
    ash_virtio_blk_kick(rig->queue);
    mini_device_run(&rig->device);
    reaped += rig_drain(rig);
    CHECK_EQ(reaped, 1000);
    CHECK_EQ(refused, 1000 / RIG_IN_FLIGHT);
    CHECK_EQ(rig->device.notifications, refused + 1);
    CHECK_EQ(rig_counters(rig).kicks, refused + 1);
    CHECK_EQ(rig_counters(rig).requests[ASH_VIRTIO_BLK_READ], 1000);
    CHECK_EQ(rig_counters(rig).completions, 1000);
    CHECK_EQ(rig_counters(rig).bytes, 1000 * 512);
    rig_check(rig);
}

TEST_CASE(virtio_blk, completes_in_any_order) {
    struct rig *rig = rig_start();
    uint8_t *buffers = test_alloc(4 * 512, 512);
    uint32_t tokens[4];
    for (uint32_t i = 0; i < 4; i++)
        tokens[i] = rig_read(rig, 10 * i, buffers + i * 512, 512, &tokens[i]);
    ash_virtio_blk_kick(rig->queue);
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

/* One stays out, the others take the other slot: its token, and all counters of the ring, pass
 * 2^16; in a packed ring the entries do so many times, and at each place of the ring. */
static void wrap_all(enum rig_mode mode) {
    struct rig *rig = rig_new_as(mode);
    rig->config.queue_size = 8;
    rig_must_init(rig);
    uint8_t slow[512], fast[512];
    uint32_t slow_token = rig_read(rig, 1, slow, 512, slow), first = 0;
    ash_virtio_blk_kick(rig->queue);
    CHECK(mini_device_fetch(&rig->device));
    rig->device.status_byte = 1; /* errors: no data to copy */
    for (uint32_t i = 0; i < 65536 + 300; i++) {
        uint32_t token = rig_read(rig, 2, fast, 512, NULL);
        first = i == 0 ? token : first;
        CHECK_EQ(token == first, i % 65536 == 0);
        CHECK_EQ(ash_virtio_blk_pending(rig->queue, first), i % 65536 == 0);
        ash_virtio_blk_kick(rig->queue);
        CHECK(mini_device_fetch(&rig->device));
        mini_device_complete(&rig->device, 1);
        CHECK_EQ(rig_reap_one(rig).token, token);
        if (i % 4096 == 0)
            rig_check(rig);
    }
    CHECK(ash_virtio_blk_pending(rig->queue, slow_token));
    rig->device.status_byte = 0;
    mini_device_complete(&rig->device, 0);
    CHECK(rig_reap_one(rig).cookie == slow);
    rig_check_data(slow, 1, 512);
    rig_check(rig);
}

TEST_CASE(virtio_blk, request_may_stay_out_while_tokens_and_indices_wrap) {
    wrap_all(RIG_SPLIT_EVENTS);
    wrap_all(RIG_PACKED_EVENTS);
}

TEST_CASE(virtio_blk, token_of_a_finished_request_is_not_pending_again) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    uint32_t first = rig_read(rig, 0, buffer, 512, NULL), second;
    do { /* until the slot is taken again */
        CHECK_EQ(rig_finish(rig), 0);
        second = rig_read(rig, 0, buffer, 512, NULL);
    } while ((first & 0xffff) != (second & 0xffff));
    CHECK(!ash_virtio_blk_pending(rig->queue, first));
    CHECK(!ash_virtio_blk_pending(rig->queue, 0xffff));
}

TEST_CASE(virtio_blk, error_of_the_device_fails_one_request_only) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    static const int statuses[][2] = {{1, -ASH_EIO}, {2, -ASH_ENOTSUP}, {0, 0}};
    for (uint32_t i = 0; i < 3; i++) {
        rig->device.status_byte = (uint8_t)statuses[i][0];
        rig_read(rig, 0, buffer, 512, NULL);
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        struct ash_virtio_blk_done done = rig_reap_one(rig);
        CHECK_EQ(done.status, statuses[i][1]);
        CHECK_EQ(done.bytes, statuses[i][1] == 0 ? 512 : 0);
    }
    CHECK_EQ(rig_counters(rig).errors, 2);
    rig_check(rig);
}

TEST_CASE(virtio_blk, success_that_wrote_too_little_is_an_error) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    for (uint32_t less = 1; less <= 513; less += 512) {
        rig->device.used_len_less = less;
        rig_read(rig, 0, buffer, 512, NULL);
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    }
    rig_check(rig);
}

TEST_CASE(virtio_blk, length_of_what_only_has_a_status_is_not_looked_at) {
    struct rig *rig = rig_new();
    rig_add_image(rig);
    rig_must_init(rig);
    uint8_t buffer[512] = {0};
    uint32_t token;
    rig->device.used_len_less = 1; /* a device that counts data only */
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_FLUSH, 0, NULL, 0, &token), 0);
    CHECK_EQ(rig_finish(rig), 0);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_WRITE, 0, buffer, 512, &token), 0);
    CHECK_EQ(rig_finish(rig), 0);
    rig_check(rig);
}

static bool check_says(const struct rig *rig, const char *invariant) {
    const char *broken = ash_virtio_blk_check(&rig->blk);
    return broken != NULL && strncmp(broken, invariant, 2) == 0;
}

TEST_CASE(virtio_blk, checker_finds_each_broken_invariant) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    rig_read(rig, 0, buffer, 512, NULL);
    ash_virtio_blk_kick(rig->queue);
    struct ash_virtio_blk_queue *queue = rig->queue;
    struct ash_virtq_desc *chain = &queue->ring.chains[5 << queue->ring.shape.shift];
    for (uint32_t i = 0; i <= 2; i += 2) { /* a free slot's header and status */
        chain[i].address ^= 64;
        CHECK(check_says(rig, "I6"));
        chain[i].address ^= 64;
        chain[i].len ^= 64;
        CHECK(check_says(rig, "I6"));
        chain[i].len ^= 64;
        rig_check(rig);
    }
    queue->submitted.requests[ASH_VIRTIO_BLK_FLUSH]++;
    CHECK(check_says(rig, "I7"));
    queue->submitted.requests[ASH_VIRTIO_BLK_FLUSH]--;
    queue->reaped.aborted++;
    CHECK(check_says(rig, "I7"));
    queue->reaped.aborted--;
    uint32_t slot_segments = rig->blk.slot_segments;
    rig->blk.slot_segments = 0;
    CHECK(check_says(rig, "I8"));
    rig->blk.slot_segments = slot_segments;
    queue->ring.published++;
    CHECK(check_says(rig, "I2"));
    queue->ring.published--;
    rig_check(rig);
}
