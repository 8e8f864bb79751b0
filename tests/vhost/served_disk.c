/* SPDX-License-Identifier: MIT */
/*
 * The driver and the fake device with a socket between them: two threads that share memory and
 * nothing else, the device correct or lying.
 */
#include "harness/test.h"

#include <ashlar/error.h>

#include <poll.h>
#include <unistd.h>

#include "vhost/client.h"
#include "vhost/daemon.h"
#include "vhost/mix.h"
#include "vhost/served.h"

enum { JOBS = 200, LIMIT_MS = 10000, SILENCE_MS = 20, RESETS_MAX = 60, JOB_SECTORS_MAX = 8 };

static void check_numbers(const struct client_job *job) {
    for (size_t at = 0; at < job->len_bytes; at += sizeof(uint64_t)) {
        uint64_t number;
        memcpy(&number, job->buffer + at, sizeof(number));
        CHECK_EQ(number, job->sector + at / 512);
    }
}

/* Reads until JOBS have come with their data; a failed one is asked for again. Nothing for
 * silence_ms makes a reset. Returns the resets. */
static uint32_t read_all(struct client *client, uint64_t seed, uint32_t silence_ms) {
    struct test_random random = test_random_from(seed);
    uint32_t resets = 0;
    uint64_t until = vhost_user_now_ms() + LIMIT_MS;
    bool was_in_flight[CLIENT_JOBS];
    while (client->done < JOBS) {
        CHECK(vhost_user_now_ms() < until && resets < RESETS_MAX);
        for (uint32_t i = 0; i < CLIENT_JOBS; i++) {
            uint64_t count = 1 + test_random_below(&random, JOB_SECTORS_MAX);
            if (!client->jobs[i].in_flight)
                client_read(client, i, test_random_below(&random, SERVED_SECTORS - count + 1),
                            (size_t)count * 512);
        }
        client_kick(client);
        for (uint32_t i = 0; i < CLIENT_JOBS; i++)
            was_in_flight[i] = client->jobs[i].in_flight;
        bool woken = client_sleep(client, silence_ms);
        uint64_t before = client->done + client->failed;
        int count;
        while ((count = client_reap(client)) > 0) {}
        bool silent = !woken && before == client->done + client->failed;
        if (count < 0 || silent) {
            (void)client_status(client);
            resets++;
            while (client_reset(client) != 0)
                CHECK(++resets < RESETS_MAX);
        }
        for (uint32_t i = 0; i < CLIENT_JOBS; i++) {
            if (was_in_flight[i] && !client->jobs[i].in_flight && client->jobs[i].status == 0)
                check_numbers(&client->jobs[i]);
        }
        client_check(client);
    }
    return resets;
}

static void finish(struct client *client) {
    CHECK(client_reset(client) == 0);
    client_end(client);
    served_end();
    CHECK_STR_EQ(served_violation(), "");
}

TEST_CASE(served_disk, correct_device_at_any_pace_has_its_data_and_sees_no_rule_broken) {
    static const struct fake_virtio_policy paces[] = {
        {.order = FAKE_VIRTIO_FIFO},
        {.order = FAKE_VIRTIO_LIFO, .used_batch = 8},
        {.order = FAKE_VIRTIO_RANDOM, .latency_steps = 3, .latency_spread = 60, .used_batch = 3},
        {.order = FAKE_VIRTIO_RANDOM, .shuffle_actions = true, .latency_spread = 9},
        {.shuffle_actions = true, .notify = FAKE_VIRTIO_NOTIFY_ALWAYS},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(paces); i++) {
        struct fake_virtio_policy policy = paces[i];
        policy.seed = test_seed() + i;
        struct client *client = client_start(served_start(&policy, 1, 0), LIMIT_MS);
        CHECK_EQ(client->blk.capacity_sectors, SERVED_SECTORS);
        CHECK_EQ(read_all(client, policy.seed, LIMIT_MS), 0);
        CHECK_EQ(client->failed, 0);
        finish(client);
        CHECK_STR_EQ(served_complaint(), "");
    }
}

TEST_CASE(served_disk, every_request_over_every_ring_and_queue_is_what_the_model_says) {
    static const uint64_t declined[] = {0, ASH_VIRTIO_F_INDIRECT_DESC, ASH_VIRTIO_F_EVENT_IDX};
    const uint64_t operations = FAKE_VIRTIO_BLK_F_DISCARD | FAKE_VIRTIO_BLK_F_WRITE_ZEROES;
    uint64_t seed = test_seed();
    for (uint32_t i = 0; i < 4 * ASH_ARRAY_LEN(declined); i++) {
        uint64_t ring = i & 1 ? FAKE_VIRTIO_F_RING_PACKED : 0;
        uint32_t queues = i & 2 ? 4 : 1;
        struct fake_virtio_policy policy = {
            .order = FAKE_VIRTIO_RANDOM, .latency_spread = 20, .used_batch = 2, .seed = seed + i};
        struct ash_virtio_blk_config wish = {.queue_count = queues,
                                             .features_declined = declined[i / 4]};
        struct client *client =
            client_start_with(served_start(&policy, queues, operations | ring), LIMIT_MS, &wish);
        CHECK_EQ(client->blk.features & FAKE_VIRTIO_F_RING_PACKED, ring);
        CHECK_EQ(client->blk.features & operations, operations);
        CHECK_EQ(client->blk.queue_count, queues);
        struct mix *mix = mix_new(client, seed + i);
        mix_run(mix, 12);
        CHECK_EQ(client->failed, 0);
        client_end(client);
        served_end();
        mix_compare(mix, served_sectors());
        CHECK_STR_EQ(served_violation(), "");
        CHECK_STR_EQ(served_complaint(), "");
    }
}

static const struct {
    struct fake_virtio_fault fault;
    bool wants_reset;
} lies[] = {
    {{FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, 7, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_ID_NOT_A_HEAD, 5, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_ID_NOT_IN_FLIGHT, 5, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_DUPLICATE, 5, 2, 0}, true},
    {{FAKE_VIRTIO_FAULT_LEN_TOO_LARGE, 5, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_IDX_JUMP, 5, 1, 40}, true},
    {{FAKE_VIRTIO_FAULT_IDX_JUMP, 5, 1, 0x8001}, true},
    {{FAKE_VIRTIO_FAULT_USED_MISPLACED, 5, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_USED_UNOFFERED, 5, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_STATUS_ERROR, 5, 3, 1}, false},
    {{FAKE_VIRTIO_FAULT_STATUS_ERROR, 5, 1, 3}, true},
    {{FAKE_VIRTIO_FAULT_STATUS_UNWRITTEN, 5, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_DEATH, 5, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_NEEDS_RESET, 5, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_INTERRUPT_SPURIOUS, 5, 50, 0}, false},
    {{FAKE_VIRTIO_FAULT_INTERRUPT_SPURIOUS, 5, 50, 3}, false},
    {{FAKE_VIRTIO_FAULT_FEATURES_REFUSED, 0, 1, 0}, true},
    {{FAKE_VIRTIO_FAULT_RESET_SLOW, 0, 500, 0}, false},
};

TEST_CASE(served_disk, each_lie_ends_with_all_data_and_every_token_back_once) {
    for (uint32_t i = 0; i < 2 * ASH_ARRAY_LEN(lies); i++) {
        uint64_t ring = i & 1 ? FAKE_VIRTIO_F_RING_PACKED : 0;
        struct fake_virtio_policy policy = {
            .seed = test_seed() + i, .faults = &lies[i / 2].fault, .fault_count = 1};
        struct client *client = client_start(served_start(&policy, 1, ring), LIMIT_MS);
        uint32_t resets =
            read_all(client, policy.seed, lies[i / 2].wants_reset ? SILENCE_MS : LIMIT_MS);
        if ((resets != 0) != lies[i / 2].wants_reset)
            test_fail(__FILE__, __LINE__, "lie %u%s: %u resets", i / 2,
                      ring == 0 ? "" : " in a packed ring", resets);
        finish(client);
    }
}

TEST_CASE(served_disk, device_that_needs_a_reset_says_so_at_once) {
    static const struct fake_virtio_fault fault = {FAKE_VIRTIO_FAULT_NEEDS_RESET, 0, 1, 0};
    struct fake_virtio_policy policy = {.faults = &fault, .fault_count = 1};
    struct client *client = client_start(served_start(&policy, 1, 0), LIMIT_MS);
    client_read(client, 0, 0, 512);
    client_kick(client);
    CHECK(client_sleep(client, LIMIT_MS));
    CHECK_EQ(client_status(client), -ASH_EIO);
    CHECK_STR_EQ(vhost_front_failure(&client->foreign.front),
                 "the device met an error in a queue and stopped");
    CHECK_EQ(client_reset(client), 0);
    CHECK_EQ(client->failed, 1);
    client_end(client);
    served_end();
}

TEST_CASE(served_disk, each_queue_has_its_interrupts) {
    const struct ash_virtio_blk_config wish = {.queue_count = 3};
    struct client *client = client_start_with(served_start(NULL, 3, 0), LIMIT_MS, &wish);
    for (uint32_t queue = 0; queue < 3; queue++) {
        struct pollfd call = {.fd = client->foreign.front.queues[queue].call, .events = POLLIN};
        client_read(client, queue, 5, 512);
        CHECK(ash_virtio_blk_may_sleep(ash_virtio_blk_get_queue(&client->blk, queue)));
        client_kick(client);
        CHECK_EQ(poll(&call, 1, LIMIT_MS), 1);
        client_wait(client, 0, LIMIT_MS);
        (void)vhost_front_interrupt_ack(&client->foreign.front);
    }
    client_end(client);
    served_end();
}

TEST_CASE(served_disk, ends_and_starts_again_for_each_front_end) {
    const char *path = served_start(NULL, 1, 0);
    for (uint32_t round = 0; round < 20; round++) {
        struct client *client = client_start(path, LIMIT_MS);
        for (uint32_t i = 0; i < 3; i++) {
            client_read(client, 0, round + i, 512);
            client_kick(client);
            client_wait(client, 0, LIMIT_MS);
            check_numbers(&client->jobs[0]);
        }
        client_end(client);
        CHECK(!daemon_has_memory(&(struct daemon){.pid = getpid()}));
    }
    served_end();
    CHECK_EQ(served_sessions(), 20);
    CHECK_STR_EQ(served_violation(), "");
}
