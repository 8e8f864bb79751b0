/* SPDX-License-Identifier: MIT */
/*
 * The driver against a block device that was written by others: qemu-storage-daemon, over a socket.
 */
#include "harness/test.h"

#include <ashlar/error.h>
#include <stdio.h>
#include <unistd.h>

#include "vhost/client.h"
#include "vhost/daemon.h"
#include "vhost/mix.h"
#include "vhost/peer.h"

enum { SECTORS = 4096, TIMEOUT_MS = 10000, LIMIT_MS = 10000, SILENCE_MS = 50 };

#define NULL_BYTES (UINT64_C(1) << 24)
#define FOR_EVER   (UINT64_C(3600) * 1000000000)

/* Each sector is its number, 64 times. */
static void check_numbers(const struct client_job *job) {
    CHECK_EQ(job->status, 0);
    for (size_t at = 0; at < job->len_bytes; at += sizeof(uint64_t)) {
        uint64_t number;
        memcpy(&number, job->buffer + at, sizeof(number));
        if (number != job->sector + at / 512)
            test_fail(__FILE__, __LINE__, "sector %llu holds the number %llu at byte %zu",
                      (unsigned long long)(job->sector + at / 512), (unsigned long long)number,
                      at % 512);
    }
}

/* Fills the queue with reads of so many bytes, of neighbouring sectors. */
static void fill_with_reads(struct client *client, size_t bytes) {
    for (uint32_t i = 0; i < CLIENT_JOBS; i++)
        client_read(client, i, i, bytes);
    client_kick(client);
}

TEST_CASE(foreign_disk, is_taken_over_and_left_again) {
    struct daemon *daemon = daemon_start_null(NULL_BYTES, 0, 1);
    uint32_t before = peer_descriptors();
    for (uint32_t round = 0; round < 10; round++) {
        struct client *client = client_start(daemon->socket, TIMEOUT_MS);
        CHECK_EQ(client->blk.capacity_sectors, NULL_BYTES / 512);
        CHECK(!client->blk.read_only);
        CHECK((client->blk.features & ASH_VIRTIO_F_VERSION_1) != 0);
        CHECK((client->blk.features & ASH_VIRTIO_F_EVENT_IDX) != 0);
        CHECK((client->blk.features & ASH_VIRTIO_BLK_F_FLUSH) != 0);
        /* A device could else cut the memory away from under the driver. */
        CHECK(ftruncate(client->foreign.front.memory_fd, 0) != 0);
        client_end(client);
    }
    CHECK_EQ(peer_descriptors(), before);
    daemon_end(daemon);
}

TEST_CASE(foreign_disk, every_sector_has_its_data) {
    struct daemon *daemon = daemon_start_file(SECTORS, 1);
    struct client *client = client_start(daemon->socket, TIMEOUT_MS);
    struct test_random random = test_random_from(test_seed());
    for (uint32_t round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < CLIENT_JOBS; i++) {
            uint64_t sectors = 1 + test_random_below(&random, 64);
            client_read(client, i, test_random_below(&random, SECTORS - sectors + 1),
                        (size_t)sectors * 512);
        }
        client_kick(client);
        client_wait(client, 0, LIMIT_MS);
        for (uint32_t i = 0; i < CLIENT_JOBS; i++)
            check_numbers(&client->jobs[i]);
    }
    CHECK_EQ(client->failed, 0);
    client_check(client);
    client_end(client);
    daemon_end(daemon);
}

/* The host's own look at the daemon's file. */
static void compare_with_file(const struct mix *mix, const struct daemon *daemon) {
    uint64_t(*sectors)[64] = test_alloc(MIX_SECTORS * sizeof(*sectors), 64);
    FILE *file = fopen(daemon->file, "rb");
    CHECK(file != NULL);
    CHECK_EQ(fread(sectors, sizeof(*sectors), MIX_SECTORS, file), MIX_SECTORS);
    fclose(file);
    mix_compare(mix, (const uint64_t(*)[64])sectors);
}

TEST_CASE(foreign_disk, every_request_over_every_queue_is_what_the_model_says) {
    static const uint64_t declined[] = {0, ASH_VIRTIO_F_INDIRECT_DESC, ASH_VIRTIO_F_EVENT_IDX, 0};
    uint64_t seed = test_seed();
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(declined); i++) {
        uint32_t queues = i == 0 ? 1 : 4;
        struct daemon *daemon = daemon_start_file(SECTORS, queues);
        struct client *client =
            client_start_with(daemon->socket, TIMEOUT_MS,
                              &(struct ash_virtio_blk_config){.queue_count = queues,
                                                              .features_declined = declined[i]});
        CHECK_EQ(client->blk.queue_count, queues);
        struct mix *mix = mix_new(client, seed + i);
        mix_run(mix, 40);
        CHECK_EQ(client->failed, 0);
        for (uint32_t op = 0; op < ASH_VIRTIO_BLK_GET_ID; op++)
            CHECK(mix->completions[op] != 0);
        client_end(client);
        compare_with_file(mix, daemon);
        daemon_end(daemon);
    }
}

TEST_CASE(foreign_disk, requests_overtake_each_other) {
    struct daemon *daemon = daemon_start_file(SECTORS, 1);
    struct client *client = client_start(daemon->socket, TIMEOUT_MS);
    uint64_t until = vhost_user_now_ms() + LIMIT_MS;
    /* A large one, then small ones: the daemon's threads finish them in another order. */
    while (client->overtaken == 0) {
        CHECK(vhost_user_now_ms() < until);
        for (uint32_t i = 0; i < CLIENT_JOBS; i++)
            client_read(client, i, i, i % 8 == 0 ? CLIENT_JOB_BYTES : 512);
        client_kick(client);
        client_wait(client, 0, LIMIT_MS);
        for (uint32_t i = 0; i < CLIENT_JOBS; i++)
            check_numbers(&client->jobs[i]);
    }
    client_end(client);
    daemon_end(daemon);
}

TEST_CASE(foreign_disk, full_queue_is_kicked_and_interrupted_once_for_many) {
    struct daemon *daemon = daemon_start_null(NULL_BYTES, 0, 1);
    struct client *client = client_start(daemon->socket, TIMEOUT_MS);
    for (uint32_t round = 0; round < 200; round++) {
        fill_with_reads(client, 4096);
        client_wait(client, 0, LIMIT_MS);
    }
    CHECK_EQ(client->done, 200 * CLIENT_JOBS);
    struct ash_virtio_blk_counters counters;
    ash_virtio_blk_get_counters(&client->blk, &counters);
    CHECK(counters.kicks <= 200);
    for (uint32_t at = 0; at < 4096; at++)
        CHECK_EQ(client->jobs[CLIENT_JOBS - 1].buffer[at], 0);
    client_check(client);
    client_end(client);
    daemon_end(daemon);
}

/* A full queue of reads that never finish. */
static struct client *start_stuck(struct daemon **daemon) {
    *daemon = daemon_start_null(NULL_BYTES, FOR_EVER, 1);
    struct client *client = client_start((*daemon)->socket, TIMEOUT_MS);
    fill_with_reads(client, 512);
    CHECK_EQ(client_reap(client), 0);
    CHECK_EQ(client_status(client), 0);
    return client;
}

TEST_CASE(foreign_disk, death_under_load_gives_every_token_back_once) {
    struct daemon *daemon;
    struct client *client = start_stuck(&daemon);
    daemon_kill(daemon);
    CHECK(client_sleep(client, LIMIT_MS)); /* the hang-up is an interrupt */
    CHECK_EQ(client_status(client), -ASH_EIO);
    CHECK_EQ(client_reap(client), -ASH_EIO);
    CHECK(client_reset(client) != 0); /* nobody there */
    CHECK_EQ(client->failed, CLIENT_JOBS);
    CHECK_EQ(client_reset(client), -ASH_ENOTSUP);
    CHECK_STR_EQ(vhost_front_failure(&client->foreign.front), "");

    snprintf(daemon->blockdev, sizeof(daemon->blockdev), "driver=null-co,node-name=n0,size=%llu",
             (unsigned long long)NULL_BYTES);
    daemon_restart(daemon);
    CHECK_EQ(client_reset(client), 0);
    fill_with_reads(client, 512);
    client_wait(client, 0, LIMIT_MS);
    CHECK_EQ(client->done, CLIENT_JOBS);
    CHECK_EQ(client->failed, CLIENT_JOBS);
    client_check(client);
    client_end(client);
    daemon_end(daemon);
}

TEST_CASE(foreign_disk, death_under_load_costs_nothing_where_requests_are_queued_again) {
    struct daemon *daemon = daemon_start_file(SECTORS, 1);
    struct client *client = client_start(daemon->socket, TIMEOUT_MS);
    daemon_freeze(daemon);
    for (uint32_t i = 0; i < CLIENT_JOBS; i++)
        client_read(client, i, 7 * i, 4096);
    client_kick(client);
    daemon_kill(daemon);
    daemon_restart(daemon);
    CHECK_EQ(client_resubmit(client), 0);
    CHECK_EQ(client->in_flight, CLIENT_JOBS);
    client_wait(client, 0, LIMIT_MS);
    CHECK_EQ(client->done, CLIENT_JOBS);
    for (uint32_t i = 0; i < CLIENT_JOBS; i++)
        check_numbers(&client->jobs[i]);
    client_end(client);
    daemon_end(daemon);
}

TEST_CASE(foreign_disk, frozen_device_keeps_the_buffers_until_it_lets_go) {
    struct daemon *daemon = daemon_start_null(NULL_BYTES, 0, 1);
    struct client *client = client_start(daemon->socket, TIMEOUT_MS);
    daemon_freeze(daemon);
    client->foreign.front.config.timeout_ms = SILENCE_MS;
    fill_with_reads(client, 512);
    while (client_sleep(client, 20)) /* it interrupts once when its rings are started */
        CHECK_EQ(client_reap(client), 0);
    CHECK_EQ(client_status(client), 0); /* silence shows nowhere */
    CHECK_EQ(client_reset(client), -ASH_ETIMEDOUT);
    CHECK_EQ(client->in_flight, CLIENT_JOBS); /* it may still write to them */
    CHECK_EQ(client_reset(client), -ASH_ETIMEDOUT);
    vhost_front_set_status(&client->foreign.front, ASH_VIRTIO_STATUS_ACKNOWLEDGE);
    CHECK_EQ(vhost_front_status(&client->foreign.front),
             ASH_VIRTIO_STATUS_ACKNOWLEDGE | ASH_VIRTIO_STATUS_NEEDS_RESET);
    CHECK_EQ(client_reset(client), -ASH_ETIMEDOUT);
    daemon_thaw(daemon);
    client->foreign.front.config.timeout_ms = TIMEOUT_MS;
    uint64_t until = vhost_user_now_ms() + LIMIT_MS;
    int error;
    while ((error = client_reset(client)) == -ASH_ETIMEDOUT)
        CHECK(vhost_user_now_ms() < until);
    CHECK_EQ(error, 0);
    CHECK_EQ(client->failed, CLIENT_JOBS);
    client_read(client, 0, 0, 512);
    client_kick(client);
    client_wait(client, 0, LIMIT_MS);
    CHECK_EQ(client->done, 1);
    client_end(client);
    daemon_end(daemon);
}

TEST_CASE(foreign_disk, reset_ends_when_the_device_has_let_go_of_the_memory) {
    struct daemon *daemon = daemon_start_null(NULL_BYTES, 50000000, 1);
    struct client *client = client_start(daemon->socket, TIMEOUT_MS);
    for (uint32_t round = 0; round < 3; round++) {
        fill_with_reads(client, 512);
        CHECK(daemon_has_memory(daemon));
        vhost_front_set_status(&client->foreign.front, 0);
        CHECK_EQ(vhost_front_status(&client->foreign.front), 0);
        CHECK(!daemon_has_memory(daemon));
        CHECK_EQ(client_reset(client), 0);
        CHECK_EQ(client->done + client->failed, (round + 1) * CLIENT_JOBS);
    }
    client_end(client);
    daemon_end(daemon);
}

/* A ring that no driver would make, straight over the front end. */
TEST_CASE(foreign_disk, device_that_is_fed_nonsense_is_reset_and_works_again) {
    struct daemon *daemon = daemon_start_null(NULL_BYTES, 0, 1);
    struct client *client = client_start(daemon->socket, TIMEOUT_MS);
    struct vhost_front *front = &client->foreign.front;
    for (uint32_t round = 0; round < 3; round++) {
        vhost_front_set_status(front, 0);
        vhost_front_set_status(front, 1 | 2);
        vhost_front_set_features(front, ASH_VIRTIO_F_VERSION_1);
        vhost_front_set_status(front, 1 | 2 | 8);
        uint16_t *avail = (uint16_t *)(void *)(front->memory + 4096);
        memset(front->memory, 0, 12288);
        avail[1] = 1;
        avail[2] = 999; /* the head of a queue of 16 */
        CHECK_EQ(vhost_front_queue_setup(front, 0, 16, VHOST_FRONT_GUEST_BASE,
                                         VHOST_FRONT_GUEST_BASE + 4096,
                                         VHOST_FRONT_GUEST_BASE + 8192),
                 0);
        vhost_front_set_status(front, 1 | 2 | 8 | 4);
        CHECK_EQ(vhost_front_status(front), 1 | 2 | 8 | 4);
        vhost_front_notify(front, 0);
        uint64_t until = vhost_user_now_ms() + LIMIT_MS;
        while ((vhost_front_interrupt_ack(front) & 2) == 0) {
            CHECK(vhost_user_now_ms() < until);
            (void)vhost_front_wait(front, LIMIT_MS);
        }
        CHECK_EQ(vhost_front_status(front) & 64, 64);
    }
    CHECK_EQ(client_reset(client), 0);
    client_read(client, 0, 0, 512);
    client_kick(client);
    client_wait(client, 0, LIMIT_MS);
    CHECK_EQ(client->done, 1);
    client_end(client);
    daemon_end(daemon);
}
