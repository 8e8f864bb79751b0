/* SPDX-License-Identifier: MIT */
#include "vhost/client.h"

#include "harness/test.h"

#include <ashlar/error.h>

enum { RINGS_BYTES = 1 << 18, MEMORY_BYTES = CLIENT_JOBS * CLIENT_JOB_BYTES + RINGS_BYTES };

static int start_driver(struct client *client, const struct ash_virtio_blk_config *wish) {
    uint8_t *rings = client->foreign.front.memory + CLIENT_JOBS * CLIENT_JOB_BYTES;
    struct ash_virtio_blk_config config = *wish;
    config.transport = &client->foreign.transport;
    config.in_flight_max = CLIENT_JOBS;
    struct ash_virtio_blk_memory memory = {
        .storage_bytes = ash_virtio_blk_storage_size(&config),
        .dma = {.pointer = rings, .bytes = ash_virtio_blk_dma_size(&config)},
    };
    CHECK(memory.dma.bytes != 0 && memory.dma.bytes <= RINGS_BYTES);
    memory.storage = test_alloc(memory.storage_bytes, ASH_VIRTIO_BLK_MEMORY_ALIGN);
    memory.dma.address = foreign_address(&client->foreign, rings, memory.dma.bytes);
    return ash_virtio_blk_init(&client->blk, &config, &memory);
}

/* *reason is of the step that failed. */
static int start(struct client *client, const char *path, uint32_t timeout_ms,
                 const struct ash_virtio_blk_config *wish, const char **reason) {
    struct vhost_front_config config = {.path = path,
                                        .memory_bytes = MEMORY_BYTES,
                                        .config_bytes = CLIENT_BLK_CONFIG_BYTES,
                                        .timeout_ms = timeout_ms};
    int error = foreign_open(&client->foreign, &config);
    *reason = client->foreign.transport.reason;
    if (error != 0)
        return error;
    for (uint32_t i = 0; i < CLIENT_JOBS; i++)
        client->jobs[i].buffer = client->foreign.front.memory + i * (size_t)CLIENT_JOB_BYTES;
    error = start_driver(client, wish);
    *reason = ash_virtio_blk_reason(&client->blk);
    if (error != 0)
        foreign_close(&client->foreign);
    return error;
}

static const struct ash_virtio_blk_config plain = {.queue_count = 1};

struct client *client_try(const char *path, uint32_t timeout_ms) {
    struct client *client = test_alloc(sizeof(*client), 64);
    const char *reason;
    if (start(client, path, timeout_ms, &plain, &reason) == 0)
        return client;
    CHECK(reason[0] != '\0');
    return NULL;
}

struct client *client_start_with(const char *path, uint32_t timeout_ms,
                                 const struct ash_virtio_blk_config *wish) {
    struct client *client = test_alloc(sizeof(*client), 64);
    const char *reason;
    int error = start(client, path, timeout_ms, wish, &reason);
    if (error != 0)
        test_fail(__FILE__, __LINE__, "start: error %d: %s", error, reason);
    client_check(client);
    return client;
}

struct client *client_start(const char *path, uint32_t timeout_ms) {
    return client_start_with(path, timeout_ms, &plain);
}

static struct ash_virtio_blk_queue *queue_of(struct client *client, uint32_t index) {
    return ash_virtio_blk_get_queue(&client->blk, index % client->blk.queue_count);
}

void client_submit(struct client *client, uint32_t index, struct ash_virtio_blk_request *request) {
    struct client_job *job = &client->jobs[index];
    CHECK(!job->in_flight);
    request->cookie = job;
    CHECK_EQ(ash_virtio_blk_submit(queue_of(client, index), request, &job->token), 0);
    job->in_flight = true;
    job->number = client->queued++;
    client->in_flight++;
}

void client_read(struct client *client, uint32_t index, uint64_t sector, size_t len_bytes) {
    struct client_job *job = &client->jobs[index];
    job->sector = sector;
    job->len_bytes = len_bytes;
    memset(job->buffer, 0xa5, len_bytes);
    const struct ash_dma_segment segment = {
        foreign_address(&client->foreign, job->buffer, len_bytes), (uint32_t)len_bytes};
    struct ash_virtio_blk_request request = {
        .op = ASH_VIRTIO_BLK_READ, .sector = sector, .segments = &segment, .segment_count = 1};
    client_submit(client, index, &request);
}

void client_kick(struct client *client) {
    for (uint32_t i = 0; i < client->blk.queue_count; i++)
        ash_virtio_blk_kick(ash_virtio_blk_get_queue(&client->blk, i));
}

static void take(struct client *client, const struct ash_virtio_blk_done *done) {
    struct client_job *job = done->cookie;
    CHECK(job->in_flight && job->token == done->token);
    CHECK_EQ(done->bytes, done->status == 0 ? job->len_bytes : 0);
    job->in_flight = false;
    job->status = done->status;
    client->in_flight--;
    *(job->status == 0 ? &client->done : &client->failed) += 1;
    client->overtaken += job->number + 1 < client->newest_taken;
    client->newest_taken = ash_max_u64(client->newest_taken, job->number + 1);
}

int client_reap(struct client *client) {
    struct ash_virtio_blk_done done[CLIENT_JOBS];
    uint32_t in_flight = 0;
    int taken = 0, error = 0;
    for (uint32_t q = 0; q < client->blk.queue_count; q++) {
        struct ash_virtio_blk_queue *queue = ash_virtio_blk_get_queue(&client->blk, q);
        int count = ash_virtio_blk_reap(queue, done, CLIENT_JOBS);
        for (int i = 0; i < count; i++)
            take(client, &done[i]);
        taken += count < 0 ? 0 : count;
        error = count < 0 ? count : error;
        in_flight += ash_virtio_blk_in_flight(queue);
    }
    CHECK_EQ(in_flight, client->in_flight);
    return taken != 0 ? taken : error;
}

bool client_sleep(struct client *client, uint32_t limit_ms) {
    for (uint32_t q = 0; client->in_flight != 0 && q < client->blk.queue_count; q++) {
        struct ash_virtio_blk_queue *queue = ash_virtio_blk_get_queue(&client->blk, q);
        if (ash_virtio_blk_in_flight(queue) != 0 && !ash_virtio_blk_may_sleep(queue))
            return true;
    }
    return vhost_front_wait(&client->foreign.front, limit_ms) &&
           ash_virtio_blk_interrupt(&client->blk);
}

void client_wait(struct client *client, uint32_t in_flight, uint32_t limit_ms) {
    for (;;) {
        if (client_reap(client) < 0)
            test_fail(__FILE__, __LINE__, "broken: %s: %s", ash_virtio_blk_reason(&client->blk),
                      vhost_front_failure(&client->foreign.front));
        if (client->in_flight <= in_flight)
            return;
        if (!client_sleep(client, limit_ms))
            test_fail(__FILE__, __LINE__, "no interrupt in %u ms for %u jobs in flight: %s",
                      limit_ms, client->in_flight, vhost_front_failure(&client->foreign.front));
    }
}

int client_reset(struct client *client) {
    int error = ash_virtio_blk_reset(&client->blk, ASH_VIRTIO_BLK_FAIL, 0);
    if (error == -ASH_ETIMEDOUT)
        return error;
    while (client->in_flight != 0)
        CHECK(client_reap(client) > 0);
    return error;
}

int client_resubmit(struct client *client) {
    return ash_virtio_blk_reset(&client->blk, ASH_VIRTIO_BLK_RESUBMIT, 0);
}

int client_status(struct client *client) {
    return ash_virtio_blk_watch(&client->blk, 0);
}

void client_check(struct client *client) {
    const char *broken = ash_virtio_blk_check(&client->blk);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
}

void client_end(struct client *client) {
    CHECK_EQ(client->in_flight, 0);
    CHECK_EQ(ash_virtio_blk_fini(&client->blk), 0);
    foreign_close(&client->foreign);
}
