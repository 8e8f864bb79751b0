/* SPDX-License-Identifier: MIT */
/*
 * mix.h: requests of every kind, scattered and whole, over all queues of a client, against a naive
 * model of the disk: each sector is one number, 64 times.
 */
#ifndef VHOST_MIX_H
#define VHOST_MIX_H

#include "harness/test.h"
#include "vhost/client.h"

enum { MIX_JOB_SECTORS = 64, MIX_SECTORS = CLIENT_JOBS * MIX_JOB_SECTORS, MIX_SEGMENTS_MAX = 5 };

struct mix_job {
    struct ash_virtio_blk_request request;
    struct ash_dma_segment segments[MIX_SEGMENTS_MAX];
    uint8_t *pieces[MIX_SEGMENTS_MAX];
    uint64_t stamp; /* of a write */
};

struct mix {
    struct client *client;
    struct test_random random;
    struct mix_job jobs[CLIENT_JOBS];
    uint64_t content[MIX_SECTORS]; /* what each sector is */
    bool is_known[MIX_SECTORS];    /* not after a discard, or a write that failed */
    uint64_t stamps, completions[ASH_VIRTIO_BLK_OPS];
};

/* Over a disk of MIX_SECTORS sectors or more, each of which is its number. */
struct mix *mix_new(struct client *client, uint64_t seed);

/* So many rounds: all jobs busy, some taken back, those that read checked. */
void mix_run(struct mix *mix, uint32_t rounds);

/* The disk as somebody else sees it, after a flush. */
void mix_compare(const struct mix *mix, const uint64_t (*sectors)[64]);

#endif
