/* SPDX-License-Identifier: MIT */
#include "vhost/mix.h"

enum { WORDS = 64, GAP_BYTES = 72, SECTORS_MAX = 16, LIMIT_MS = 10000 };

struct mix *mix_new(struct client *client, uint64_t seed) {
    struct mix *mix = test_alloc(sizeof(*mix), 64);
    mix->client = client;
    mix->random = test_random_from(seed);
    mix->stamps = MIX_SECTORS;
    for (uint32_t i = 0; i < MIX_SECTORS; i++) {
        mix->content[i] = i;
        mix->is_known[i] = true;
    }
    return mix;
}

/* len bytes of the job's buffer in pieces with gaps between them. */
static void scatter(struct mix *mix, uint32_t index, size_t len) {
    struct mix_job *job = &mix->jobs[index];
    uint32_t most = (uint32_t)ash_min_u64(mix->client->blk.segments_max, MIX_SEGMENTS_MAX);
    uint32_t count = 1 + (uint32_t)test_random_below(&mix->random, most);
    uint8_t *at = mix->client->jobs[index].buffer;
    for (uint32_t i = 0; i < count; i++) {
        /* Pieces of whole words, so a number is never cut. */
        size_t left = len - (size_t)8 * (count - 1 - i);
        size_t piece = i + 1 == count ? len : 8 + 8 * test_random_below(&mix->random, left / 8);
        piece = piece > left ? left : piece;
        job->pieces[i] = at;
        job->segments[i] = (struct ash_dma_segment){
            foreign_address(&mix->client->foreign, at, piece), (uint32_t)piece};
        len -= piece;
        at += piece + GAP_BYTES;
    }
    job->request.segments = job->segments;
    job->request.segment_count = count;
}

/* Each word of the request's data: fill it, or compare. */
static void each_word(struct mix *mix, uint32_t index, bool fill) {
    struct mix_job *job = &mix->jobs[index];
    uint64_t word = job->request.sector * WORDS;
    for (uint32_t i = 0; i < job->request.segment_count; i++) {
        for (size_t at = 0; at < job->segments[i].len_bytes; at += 8, word++) {
            uint64_t sector = word / WORDS, number = job->stamp;
            if (fill) {
                memcpy(job->pieces[i] + at, &number, 8);
                continue;
            }
            memcpy(&number, job->pieces[i] + at, 8);
            if (mix->is_known[sector] && number != mix->content[sector])
                test_fail(__FILE__, __LINE__, "sector %llu is %llu, not %llu",
                          (unsigned long long)sector, (unsigned long long)number,
                          (unsigned long long)mix->content[sector]);
        }
    }
}

static enum ash_virtio_blk_op choose_op(struct mix *mix) {
    const struct ash_virtio_blk *blk = &mix->client->blk;
    static const enum ash_virtio_blk_op likely[] = {
        ASH_VIRTIO_BLK_READ,  ASH_VIRTIO_BLK_READ,   ASH_VIRTIO_BLK_READ,
        ASH_VIRTIO_BLK_WRITE, ASH_VIRTIO_BLK_WRITE,  ASH_VIRTIO_BLK_WRITE_ZEROES,
        ASH_VIRTIO_BLK_FLUSH, ASH_VIRTIO_BLK_DISCARD};
    enum ash_virtio_blk_op op = likely[test_random_below(&mix->random, ASH_ARRAY_LEN(likely))];
    bool offered = !(op == ASH_VIRTIO_BLK_DISCARD && blk->discard_sectors_max == 0) &&
                   !(op == ASH_VIRTIO_BLK_WRITE_ZEROES && blk->write_zeroes_sectors_max == 0);
    return offered ? op : ASH_VIRTIO_BLK_READ;
}

/* Each job has sectors of its own: what happens to them happens in the order of its requests. */
static void submit(struct mix *mix, uint32_t index) {
    struct mix_job *job = &mix->jobs[index];
    struct client_job *client_job = &mix->client->jobs[index];
    uint32_t sectors = 1 + (uint32_t)test_random_below(&mix->random, SECTORS_MAX);
    uint64_t first = (uint64_t)index * MIX_JOB_SECTORS +
                     test_random_below(&mix->random, MIX_JOB_SECTORS - sectors + 1);
    *job = (struct mix_job){.request = {.op = choose_op(mix), .sector = first}};
    client_job->len_bytes = 0;
    switch (job->request.op) {
    case ASH_VIRTIO_BLK_READ:
        client_job->len_bytes = (size_t)sectors * 512;
        scatter(mix, index, client_job->len_bytes);
        job->stamp = UINT64_MAX;
        each_word(mix, index, true);
        break;
    case ASH_VIRTIO_BLK_WRITE:
        scatter(mix, index, (size_t)sectors * 512);
        job->stamp = ++mix->stamps;
        each_word(mix, index, true);
        job->request.sector_count = sectors;
        break;
    case ASH_VIRTIO_BLK_FLUSH:
        job->request.sector = 0;
        break;
    default:
        job->request.sector_count = sectors;
        break;
    }
    struct ash_virtio_blk_request request = job->request;
    if (request.op == ASH_VIRTIO_BLK_WRITE)
        request.sector_count = 0;
    client_submit(mix->client, index, &request);
}

static void take_back(struct mix *mix, uint32_t index) {
    const struct mix_job *job = &mix->jobs[index];
    int status = mix->client->jobs[index].status;
    mix->completions[job->request.op] += status == 0;
    if (job->request.op == ASH_VIRTIO_BLK_READ && status == 0)
        each_word(mix, index, false);
    if (job->request.op == ASH_VIRTIO_BLK_READ || job->request.op == ASH_VIRTIO_BLK_FLUSH)
        return;
    for (uint32_t i = 0; i < job->request.sector_count; i++) {
        mix->content[job->request.sector + i] = job->stamp;
        mix->is_known[job->request.sector + i] =
            status == 0 && job->request.op != ASH_VIRTIO_BLK_DISCARD;
    }
}

void mix_run(struct mix *mix, uint32_t rounds) {
    struct client *client = mix->client;
    bool was_in_flight[CLIENT_JOBS];
    for (uint32_t round = 0; round <= rounds; round++) {
        for (uint32_t i = 0; i < CLIENT_JOBS && round < rounds; i++) {
            if (!client->jobs[i].in_flight)
                submit(mix, i);
        }
        client_kick(client);
        for (uint32_t i = 0; i < CLIENT_JOBS; i++)
            was_in_flight[i] = client->jobs[i].in_flight;
        client_wait(client,
                    round < rounds ? (uint32_t)test_random_below(&mix->random, CLIENT_JOBS) : 0,
                    LIMIT_MS);
        for (uint32_t i = 0; i < CLIENT_JOBS; i++) {
            if (was_in_flight[i] && !client->jobs[i].in_flight)
                take_back(mix, i);
        }
    }
    client_check(client);
}

void mix_compare(const struct mix *mix, const uint64_t (*sectors)[64]) {
    for (uint32_t sector = 0; sector < MIX_SECTORS; sector++) {
        for (uint32_t word = 0; word < WORDS && mix->is_known[sector]; word++) {
            if (sectors[sector][word] != mix->content[sector])
                test_fail(__FILE__, __LINE__, "sector %u, word %u is %llu outside, not %llu",
                          sector, word, (unsigned long long)sectors[sector][word],
                          (unsigned long long)mix->content[sector]);
        }
    }
}
