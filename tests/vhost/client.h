/* SPDX-License-Identifier: MIT */
/*
 * client.h: the library's block driver on a foreign device, with a table of jobs, so that each
 * token can be followed: queued once, back once.
 */
#ifndef VHOST_CLIENT_H
#define VHOST_CLIENT_H

#include "vhost/foreign.h"

enum {
    CLIENT_JOBS = 32,
    CLIENT_JOB_BYTES = 1 << 18,
    CLIENT_BLK_CONFIG_BYTES = 60, /* what daemons of this time know of 5.2.4 */
};

struct client_job {
    uint64_t sector;
    size_t len_bytes;
    uint8_t *buffer; /* CLIENT_JOB_BYTES, shared with the device */
    uint32_t token;
    uint64_t number; /* of all that were queued */
    bool in_flight;  /* in queue index % queue_count */
    int status;      /* of its last completion */
};

struct client {
    struct foreign_transport foreign;
    struct ash_virtio_blk blk;
    struct client_job jobs[CLIENT_JOBS];
    uint32_t in_flight;
    uint64_t queued, done, failed;
    uint64_t overtaken;    /* completions of a job while an earlier one was in flight */
    uint64_t newest_taken; /* job number + 1 */
};

/* The device at this path, taken over; NULL if that fails, everything given back. */
struct client *client_try(const char *path, uint32_t timeout_ms);

/* The same; the case fails if that does. */
struct client *client_start(const char *path, uint32_t timeout_ms);

/* The same, with queue_count, segments_max and features_declined as wished. */
struct client *client_start_with(const char *path, uint32_t timeout_ms,
                                 const struct ash_virtio_blk_config *wish);

/* Queues any request as job `index`, which is its cookie. */
void client_submit(struct client *client, uint32_t index, struct ash_virtio_blk_request *request);

/* Queues a read as job `index`, whose buffer is filled with 0xa5 before. */
void client_read(struct client *client, uint32_t index, uint64_t sector, size_t len_bytes);
void client_kick(struct client *client);

/* Takes what has come back; each must have been in flight. Number of jobs, or -ASH_EIO: broken. */
int client_reap(struct client *client);

/* Interrupt by interrupt until `in_flight` jobs are left; fails if one takes over limit_ms. */
void client_wait(struct client *client, uint32_t in_flight, uint32_t limit_ms);

/* Asks for an interrupt and sleeps until it comes, at most limit_ms; then does what a handler does.
 * True: it came, or it need not come, because something is there or the queue is broken. */
bool client_sleep(struct client *client, uint32_t limit_ms);

/* The driver's reset: what was in flight is queued again. Errors as the driver's. */
int client_resubmit(struct client *client);

/* The driver's reset; afterwards what was in flight has come back, unless it is -ASH_ETIMEDOUT. */
int client_reset(struct client *client);

/* What the driver says of the device's status: 0 or -ASH_EIO. */
int client_status(struct client *client);

/* The driver's own checks. */
void client_check(struct client *client);

/* Gives the device up; all jobs are back. */
void client_end(struct client *client);

#endif
