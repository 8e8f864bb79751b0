/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/virtio_blk.h>: several requests at once. */
#include "virtq/rig.h"

enum { MANY = 40, PIECES = 3, ROUNDS = 120 };

/* A request of any kind, and its memory. */
struct item {
    struct ash_virtio_blk_request request;
    struct ash_dma_segment segments[PIECES];
    struct ash_dma_buffer buffer;
    uint8_t *data; /* PIECES * 512 */
};

struct side {
    struct rig *rig;
    struct item items[MANY];
    const struct ash_virtio_blk_request *requests[MANY];
    uint32_t tokens[MANY];
};

static struct side *side_new(uint32_t mode) {
    struct side *side = test_alloc(sizeof(*side), 64);
    side->rig = rig_new_as(mode);
    side->rig->device.features |= ASH_VIRTIO_BLK_F_FLUSH;
    rig_add_image(side->rig);
    rig_must_init(side->rig);
    for (uint32_t i = 0; i < MANY; i++) {
        side->requests[i] = &side->items[i].request;
        side->items[i].data = test_alloc((size_t)PIECES * 512, 512);
    }
    return side;
}

/* Item i anew, the same on every side that draws the same numbers. */
static void draw(struct side *side, uint32_t i, struct test_random *random) {
    struct item *item = &side->items[i];
    uint32_t kind = (uint32_t)test_random_below(random, 16);
    bool is_write = test_random_chance(random, 40);
    item->request = (struct ash_virtio_blk_request){
        .op = is_write ? ASH_VIRTIO_BLK_WRITE : ASH_VIRTIO_BLK_READ,
        .sector = test_random_below(random, RIG_CAPACITY_SECTORS - PIECES),
        .segments = item->segments,
        .segment_count = kind == 0 ? PIECES : 1,
        .deadline_ns = test_random_below(random, 1000),
        .cookie = (void *)(uintptr_t)(i + 1),
    };
    memset(item->data, (int)test_random_below(random, 256), (size_t)PIECES * 512);
    for (uint32_t piece = 0; piece < PIECES; piece++)
        item->segments[piece] = rig_segment(item->data + (size_t)piece * 512, 512);
    if (kind == 1) {
        item->request.op = ASH_VIRTIO_BLK_FLUSH;
        item->request.segment_count = 0;
    } else if (kind == 2) {
        ash_dma_buffer_init(&item->buffer, item->data, item->segments[0].address, 1024);
        item->request.buffer = &item->buffer;
        item->request.segment_count = 0;
    } else if (kind == 3 && test_random_chance(random, 30)) {
        item->request.sector = RIG_CAPACITY_SECTORS; /* -ASH_ERANGE */
    } else if (kind == 4 && test_random_chance(random, 30)) {
        item->segments[0].len_bytes = 511; /* -ASH_EINVAL */
    }
}

static int submit_each(struct side *side, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        int error = ash_virtio_blk_submit(side->rig->queue, side->requests[i], &side->tokens[i]);
        if (error != 0)
            return i != 0 ? (int)i : error;
    }
    return (int)count;
}

/* All that is out, in the order that the numbers say. */
static void finish_all(struct side *one, struct side *other, struct test_random *random) {
    ash_virtio_blk_kick(one->rig->queue);
    ash_virtio_blk_kick(other->rig->queue);
    while (mini_device_fetch(&one->rig->device))
        CHECK(mini_device_fetch(&other->rig->device));
    CHECK(!mini_device_fetch(&other->rig->device)); /* asks for a notification, as the other did */
    while (one->rig->device.held_count != 0) {
        uint32_t pick = (uint32_t)test_random_below(random, one->rig->device.held_count);
        one->rig->device.status_byte = other->rig->device.status_byte =
            test_random_chance(random, 5);
        mini_device_complete(&one->rig->device, pick);
        mini_device_complete(&other->rig->device, pick);
    }
    struct ash_virtio_blk_done done[MANY], same[MANY];
    for (int count = 1; count != 0;) {
        uint32_t max = 1 + (uint32_t)test_random_below(random, MANY);
        count = ash_virtio_blk_reap(one->rig->queue, done, max);
        CHECK(count >= 0);
        CHECK_EQ(ash_virtio_blk_reap(other->rig->queue, same, max), count);
        for (int i = 0; i < count; i++) {
            CHECK(done[i].cookie == same[i].cookie);
            CHECK(!ash_virtio_blk_pending(one->rig->queue, done[i].token));
            CHECK_EQ(done[i].status, same[i].status);
            CHECK_EQ(done[i].bytes, same[i].bytes);
            uint32_t item = (uint32_t)(uintptr_t)done[i].cookie - 1;
            CHECK_MEM_EQ(one->items[item].data, other->items[item].data, (size_t)PIECES * 512);
            CHECK_EQ(one->items[item].buffer.owner, ASH_DMA_CPU);
        }
    }
}

TEST_CASE(virtio_blk, many_at_once_do_what_they_do_one_by_one) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct side *one = side_new(mode), *other = side_new(mode);
        struct test_random random = test_random_from(test_seed() * RIG_MODES + mode), again;
        for (uint32_t round = 0; round < ROUNDS; round++) {
            uint32_t count = (uint32_t)test_random_below(&random, MANY + 1);
            again = random;
            for (uint32_t i = 0; i < count; i++) {
                draw(one, i, &random);
                draw(other, i, &again);
            }
            int taken =
                ash_virtio_blk_submit_many(one->rig->queue, one->requests, count, one->tokens);
            CHECK_EQ(taken, submit_each(other, count));
            for (int i = 0; i < taken; i++) {
                CHECK(ash_virtio_blk_pending(one->rig->queue, one->tokens[i]));
            }
            rig_check(one->rig);
            finish_all(one, other, &random);
            rig_check(one->rig);
            rig_check(other->rig);
        }
        CHECK_MEM_EQ(one->rig->device.image, other->rig->device.image, RIG_CAPACITY_SECTORS * 512);
        struct ash_virtio_blk_counters counters = rig_counters(one->rig),
                                       same = rig_counters(other->rig);
        CHECK_MEM_EQ(&counters, &same, sizeof(counters));
    }
}

/* Reads of a sector each, sector i of item i. */
static void draw_reads(struct side *side) {
    for (uint32_t i = 0; i < MANY; i++) {
        struct item *item = &side->items[i];
        item->segments[0] = rig_segment(item->data, 512);
        item->request = (struct ash_virtio_blk_request){
            .sector = i, .segments = item->segments, .segment_count = 1, .cookie = item};
    }
}

TEST_CASE(virtio_blk, many_at_once_stop_at_the_first_that_is_refused) {
    struct side *side = side_new(RIG_SPLIT_EVENTS);
    struct ash_virtio_blk_queue *queue = side->rig->queue;
    draw_reads(side);
    side->items[5].request.sector = RIG_CAPACITY_SECTORS;
    CHECK_EQ(ash_virtio_blk_submit_many(queue, side->requests, 9, side->tokens), 5);
    CHECK_EQ(ash_virtio_blk_submit_many(queue, side->requests + 5, 4, side->tokens), -ASH_ERANGE);
    CHECK_EQ(ash_virtio_blk_in_flight(queue), 5);
    CHECK_EQ(ash_virtio_blk_submit_many(queue, side->requests, 0, side->tokens), 0);
    CHECK_EQ(side->rig->device.notifications, 0);
    rig_check(side->rig);
    ash_virtio_blk_kick(queue);
    CHECK_EQ(side->rig->device.notifications, 1);
    mini_device_run(&side->rig->device);
    CHECK_EQ(rig_drain(side->rig), 5);
    for (uint32_t i = 0; i < 5; i++)
        rig_check_data(side->items[i].data, i, 512);
}

TEST_CASE(virtio_blk, many_at_once_fill_the_slots_and_no_more) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct side *side = side_new(mode);
        struct ash_virtio_blk_queue *queue = side->rig->queue;
        draw_reads(side);
        CHECK_EQ(ash_virtio_blk_submit_many(queue, side->requests, MANY, side->tokens),
                 RIG_IN_FLIGHT);
        CHECK_EQ(ash_virtio_blk_submit_many(queue, side->requests, MANY, side->tokens),
                 -ASH_EAGAIN);
        CHECK_EQ(rig_finish(side->rig), 0);
        CHECK_EQ(ash_virtio_blk_submit_many(queue, side->requests, MANY, side->tokens), 1);
        rig_check(side->rig);
        ash_virtq_break(&queue->ring, ASH_VIRTQ_FAULT_NEEDS_RESET);
        CHECK_EQ(ash_virtio_blk_submit_many(queue, side->requests, 1, side->tokens), -ASH_EIO);
    }
}

/* More slots than a word of the bitmaps has, in the worst order for reaping them by words. */
TEST_CASE(virtio_blk, completions_from_all_words_of_slots_are_reaped_in_their_order) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig->config.queue_size = 1024;
        rig->config.in_flight_max = 200;
        rig_must_init(rig);
        uint8_t *data = test_alloc(200 * 512, 512);
        uint32_t tokens[200];
        for (uint32_t round = 0; round < 7; round++) {
            for (uint32_t i = 0; i < 200; i++)
                tokens[i] = rig_read(rig, i, data + (size_t)i * 512, 512, &tokens[i]);
            ash_virtio_blk_kick(rig->queue);
            while (mini_device_fetch(&rig->device)) {}
            uint32_t pick = 0;
            for (uint32_t left = 200; left != 0; left--) {
                pick = (pick + 64 + round) % left;
                mini_device_complete(&rig->device, pick);
            }
            CHECK_EQ(rig_drain(rig), 200);
            for (uint32_t i = 0; i < 200; i++)
                CHECK(!ash_virtio_blk_pending(rig->queue, tokens[i]));
            rig_check_data(data, 0, 200 * 512);
            rig_check(rig);
        }
    }
}

/* The upper halves are judged apart: an address there is good, a sector is not. */
TEST_CASE(virtio_blk, addresses_of_the_upper_half_are_taken_and_its_sectors_refused) {
    struct rig *rig = rig_start();
    uint32_t token;
    struct ash_dma_segment segment = {UINT64_C(1) << 63, 512};
    struct ash_virtio_blk_request request = {.segments = &segment, .segment_count = 1};
    CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), 0);
    segment.address = UINT64_MAX - 1023;
    CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), 0);
    segment.address = UINT64_MAX - 511;
    CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), -ASH_EINVAL);
    segment.address = 4096;
    for (uint32_t bit = 10; bit < 64; bit++) {
        request.sector = UINT64_C(1) << bit;
        CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), -ASH_ERANGE);
    }
    CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), 2);
    rig_check(rig);
}
