/* SPDX-License-Identifier: MIT */
/*
 * Cases of <ashlar/virtio_blk.h> on a device that lies or dies: each lie ends in -ASH_EIO, one
 * event, and an object that a reset makes usable, with every token given back once.
 */
#include "virtq/rig.h"

enum { BUFFER_BYTES = 512, SHOWN = 4, TOKENS = SHOWN + 1 };

struct scene {
    struct rig *rig;
    uint8_t *buffers;
    uint32_t tokens[TOKENS]; /* the last one is queued and not published */
    bool back[TOKENS];
};

/* Four requests in the device's hands, in slots 0..3; a fifth, slot 4, not yet shown. */
static struct scene scene_start(void) {
    struct scene scene = {.rig = rig_start(), .buffers = test_alloc(TOKENS * BUFFER_BYTES, 64)};
    for (uint32_t i = 0; i < TOKENS; i++) {
        if (i == SHOWN)
            ash_virtio_blk_kick(scene.rig->queue);
        scene.tokens[i] = rig_read(scene.rig, i, scene.buffers + i * BUFFER_BYTES, BUFFER_BYTES,
                                   (void *)(uintptr_t)(i + 1));
    }
    while (mini_device_fetch(&scene.rig->device)) {}
    CHECK_EQ(scene.rig->device.held_count, SHOWN);
    return scene;
}

static void scene_take(struct scene *scene, const struct ash_virtio_blk_done *done, int count) {
    for (int i = 0; i < count; i++) {
        uintptr_t which = (uintptr_t)done[i].cookie - 1;
        CHECK(which < TOKENS);
        CHECK_EQ(done[i].token, scene->tokens[which]);
        CHECK(!scene->back[which]);
        scene->back[which] = true;
    }
}

/* Reaps what is good, then finds the queue broken for this reason. */
static void expect_broken(struct scene *scene, enum ash_virtq_fault fault) {
    struct ash_virtio_blk *blk = &scene->rig->blk;
    struct ash_virtio_blk_queue *queue = scene->rig->queue;
    struct ash_virtio_blk_done done[TOKENS];
    int count = ash_virtio_blk_reap(queue, done, TOKENS);
    if (count > 0) {
        scene_take(scene, done, count);
        count = ash_virtio_blk_reap(queue, done, TOKENS);
    }
    CHECK_EQ(count, -ASH_EIO);
    CHECK_STR_EQ(ash_virtio_blk_reason(blk), ash_virtq_fault_text(fault));
    CHECK_EQ(test_event_count("virtq.broken"), 1);
    uint32_t token, notifications = scene->rig->device.notifications;
    CHECK_EQ(rig_try(scene->rig, ASH_VIRTIO_BLK_READ, 0, scene->buffers, BUFFER_BYTES, &token),
             -ASH_EIO);
    ash_virtio_blk_kick(queue);
    CHECK_EQ(scene->rig->device.notifications, notifications);
    CHECK(!ash_virtio_blk_may_sleep(queue));
}

/* All tokens that are still out come back failed, once; then the device reads again. */
static void expect_recovery(struct scene *scene) {
    struct rig *rig = scene->rig;
    struct ash_virtio_blk_done done[2];
    rig->device.status_byte = 0;
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
    rig_check(rig);
    /* No sleeping while there is something to reap. */
    CHECK_EQ(ash_virtio_blk_may_sleep(rig->queue), ash_virtio_blk_in_flight(rig->queue) == 0);
    int count;
    while ((count = ash_virtio_blk_reap(rig->queue, done, 2)) > 0) {
        for (int i = 0; i < count; i++)
            CHECK_EQ(done[i].status, -ASH_EIO);
        scene_take(scene, done, count);
    }
    CHECK_EQ(count, 0);
    for (uint32_t i = 0; i < TOKENS; i++) {
        CHECK(scene->back[i]);
        CHECK(!ash_virtio_blk_pending(rig->queue, scene->tokens[i]));
    }
    CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), 0);
    uint32_t token = rig_read(rig, 9, scene->buffers, BUFFER_BYTES, NULL);
    ash_virtio_blk_kick(rig->queue);
    mini_device_run(&rig->device);
    CHECK_EQ(rig_reap_one(rig).token, token);
    rig_check_data(scene->buffers, 9, BUFFER_BYTES);
    rig_check(rig);
}

TEST_CASE(virtio_hostile, used_index_beyond_what_is_in_flight) {
    static const uint16_t jumps[] = {SHOWN + 1, 300, 0x7fff, 0x8000, 0xffff};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(jumps); i++) {
        struct scene scene = scene_start();
        mini_device_set_used_index(&scene.rig->device, jumps[i]);
        CHECK_EQ(test_event_count("virtq.broken"), i);
        struct ash_virtio_blk_done done;
        CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, &done, 1), -ASH_EIO);
        CHECK_STR_EQ(ash_virtio_blk_reason(&scene.rig->blk),
                     ash_virtq_fault_text(ASH_VIRTQ_FAULT_USED_INDEX));
        expect_recovery(&scene);
    }
}

static void complete_wrongly(uint32_t id, uint32_t len, enum ash_virtq_fault fault) {
    struct scene scene = scene_start();
    mini_device_use(&scene.rig->device, id, len);
    expect_broken(&scene, fault);
    expect_recovery(&scene);
}

TEST_CASE(virtio_hostile, id_just_out_of_range) {
    complete_wrongly(4 * RIG_IN_FLIGHT, 1, ASH_VIRTQ_FAULT_ID_RANGE);
}

TEST_CASE(virtio_hostile, id_of_65536_and_more) {
    complete_wrongly(0x10000, 1, ASH_VIRTQ_FAULT_ID_RANGE);
}

TEST_CASE(virtio_hostile, id_of_all_ones) {
    complete_wrongly(UINT32_MAX, 1, ASH_VIRTQ_FAULT_ID_RANGE);
}

TEST_CASE(virtio_hostile, id_inside_a_chain) {
    complete_wrongly(4 * 2 + 1, 1, ASH_VIRTQ_FAULT_ID_NOT_HEAD);
}

TEST_CASE(virtio_hostile, id_of_the_last_descriptor_of_a_chain) {
    complete_wrongly(4 * (SHOWN - 1) + 2, 1, ASH_VIRTQ_FAULT_ID_NOT_HEAD);
}

TEST_CASE(virtio_hostile, id_of_the_way_to_a_table_that_was_not_taken) {
    complete_wrongly(4 * (SHOWN - 1) + 3, 1, ASH_VIRTQ_FAULT_ID_NOT_HEAD);
}

TEST_CASE(virtio_hostile, id_of_a_free_slot) {
    complete_wrongly(4 * (RIG_IN_FLIGHT - 1), 1, ASH_VIRTQ_FAULT_NOT_PENDING);
}

TEST_CASE(virtio_hostile, id_of_a_slot_not_yet_shown) {
    complete_wrongly(4 * SHOWN, 1, ASH_VIRTQ_FAULT_NOT_PENDING);
}

TEST_CASE(virtio_hostile, length_one_beyond_the_buffers) {
    complete_wrongly(0, BUFFER_BYTES + 2, ASH_VIRTQ_FAULT_LENGTH);
}

TEST_CASE(virtio_hostile, length_of_all_ones) {
    complete_wrongly(0, UINT32_MAX, ASH_VIRTQ_FAULT_LENGTH);
}

TEST_CASE(virtio_hostile, same_request_completed_twice) {
    struct scene scene = scene_start();
    mini_device_complete(&scene.rig->device, 1);
    mini_device_use(&scene.rig->device, 4, BUFFER_BYTES + 1);
    expect_broken(&scene, ASH_VIRTQ_FAULT_NOT_PENDING);
    CHECK(scene.back[1]);
    expect_recovery(&scene);
}

TEST_CASE(virtio_hostile, status_bytes_without_meaning) {
    static const uint8_t statuses[] = {3, 4, 0x7f, 0x80, 0xff, MINI_STATUS_NONE};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(statuses); i++) {
        struct scene scene = scene_start();
        scene.rig->device.status_byte = statuses[i];
        mini_device_complete(&scene.rig->device, 0);
        struct ash_virtio_blk_done done;
        CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, &done, 1), -ASH_EIO);
        CHECK(ash_virtio_blk_pending(scene.rig->queue, scene.tokens[0]));
        expect_recovery(&scene);
    }
}

/* A status byte that was good for the slot's last request is not good for this one. */
TEST_CASE(virtio_hostile, status_never_written_breaks_requests_of_every_kind) {
    static const struct {
        enum ash_virtio_blk_op op;
        uint32_t segments;
    } kinds[] = {{ASH_VIRTIO_BLK_READ, 1},   {ASH_VIRTIO_BLK_READ, 2},
                 {ASH_VIRTIO_BLK_WRITE, 1},  {ASH_VIRTIO_BLK_WRITE, 2},
                 {ASH_VIRTIO_BLK_FLUSH, 0},  {ASH_VIRTIO_BLK_DISCARD, 0},
                 {ASH_VIRTIO_BLK_GET_ID, 1}, {ASH_VIRTIO_BLK_WRITE_ZEROES, 0}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(kinds) * RIG_MODES; i++) {
        uint32_t kind = i % ASH_ARRAY_LEN(kinds);
        struct rig *rig = rig_new_as(i / ASH_ARRAY_LEN(kinds));
        rig->config.in_flight_max = 1;
        rig->device.capacity_sectors = 16;
        rig_add_image(rig);
        rig_must_init(rig);
        uint8_t buffer[2 * BUFFER_BYTES];
        uint32_t bytes =
            kinds[kind].op == ASH_VIRTIO_BLK_GET_ID ? ASH_VIRTIO_BLK_ID_BYTES : BUFFER_BYTES;
        const struct ash_dma_segment segments[] = {rig_segment(buffer, bytes),
                                                   rig_segment(buffer + bytes, bytes)};
        const struct ash_virtio_blk_request request = {.op = kinds[kind].op,
                                                       .segments = segments,
                                                       .segment_count = kinds[kind].segments,
                                                       .sector_count = 1};
        struct ash_virtio_blk_done done;
        rig_submit(rig, &request);
        CHECK_EQ(rig_finish(rig), 0);
        rig->device.status_byte = MINI_STATUS_NONE;
        rig_submit(rig, &request);
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
        CHECK_STR_EQ(ash_virtio_blk_reason(&rig->blk),
                     ash_virtq_fault_text(ASH_VIRTQ_FAULT_STATUS));
    }
}

TEST_CASE(virtio_hostile, what_came_before_the_lie_is_delivered) {
    struct scene scene = scene_start();
    mini_device_complete(&scene.rig->device, 3);
    mini_device_complete(&scene.rig->device, 0);
    mini_device_use(&scene.rig->device, UINT32_MAX, 0);
    struct ash_virtio_blk_done done[TOKENS];
    CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, done, TOKENS), 2);
    CHECK_EQ(done[0].token, scene.tokens[3]);
    CHECK_EQ(done[1].token, scene.tokens[0]);
    scene_take(&scene, done, 2);
    expect_broken(&scene, ASH_VIRTQ_FAULT_ID_RANGE);
    expect_recovery(&scene);
}

TEST_CASE(virtio_hostile, completion_with_nothing_in_flight) {
    struct rig *rig = rig_start();
    mini_device_use(&rig->device, 0, 1);
    struct ash_virtio_blk_done done;
    CHECK(!ash_virtio_blk_may_sleep(rig->queue));
    CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
    CHECK_EQ(test_event_count("virtq.broken"), 1);
}

TEST_CASE(virtio_hostile, descriptors_and_avail_ring_rewritten_by_the_device) {
    struct scene scene = scene_start();
    struct mini_device *device = &scene.rig->device;
    memset((void *)(uintptr_t)(device->queues[0].desc - MINI_DMA_OFFSET), 0xff,
           16 * device->queues[0].size);
    CHECK(strncmp(ash_virtio_blk_check(&scene.rig->blk), "I4", 2) == 0);
    memset((void *)(uintptr_t)(device->queues[0].driver - MINI_DMA_OFFSET), 0xff,
           2 * device->queues[0].size);
    CHECK(strncmp(ash_virtio_blk_check(&scene.rig->blk), "I5", 2) == 0);
    /* The driver reads none of it: a completion is a completion. */
    mini_device_use(device, 0, 1);
    struct ash_virtio_blk_done done;
    CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, &done, 1), -ASH_EIO); /* status never written */
    expect_recovery(&scene);
}

TEST_CASE(virtio_hostile, needs_reset_arrives_by_interrupt) {
    struct scene scene = scene_start();
    scene.rig->device.status |= ASH_VIRTIO_STATUS_NEEDS_RESET;
    mini_device_interrupt(&scene.rig->device, 2);
    CHECK(ash_virtio_blk_interrupt(&scene.rig->blk));
    expect_broken(&scene, ASH_VIRTQ_FAULT_NEEDS_RESET);
    expect_recovery(&scene);
}

TEST_CASE(virtio_hostile, needs_reset_is_found_by_a_watchdog) {
    struct scene scene = scene_start();
    CHECK_EQ(ash_virtio_blk_watch(&scene.rig->blk, 0), 0);
    scene.rig->device.status |= ASH_VIRTIO_STATUS_NEEDS_RESET;
    CHECK_EQ(ash_virtio_blk_watch(&scene.rig->blk, 0), -ASH_EIO);
    expect_broken(&scene, ASH_VIRTQ_FAULT_NEEDS_RESET);
    expect_recovery(&scene);
}

TEST_CASE(virtio_hostile, configuration_interrupt_of_a_sound_device_breaks_nothing) {
    struct scene scene = scene_start();
    mini_device_interrupt(&scene.rig->device, 2);
    CHECK(ash_virtio_blk_interrupt(&scene.rig->blk));
    CHECK_EQ(test_event_count("virtq.broken"), 0);
    mini_device_complete(&scene.rig->device, 0);
    CHECK_EQ(rig_reap_one(scene.rig).status, 0);
}

TEST_CASE(virtio_hostile, storm_of_interrupts_for_nothing) {
    struct scene scene = scene_start();
    struct ash_virtio_blk_done done;
    for (uint32_t i = 0; i < 1000; i++) {
        mini_device_interrupt(&scene.rig->device, 0xffffffffu);
        CHECK(ash_virtio_blk_interrupt(&scene.rig->blk));
        CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, &done, 1), 0);
        CHECK(ash_virtio_blk_may_sleep(scene.rig->queue));
    }
    CHECK_EQ(rig_counters(scene.rig).interrupts, 1000);
    mini_device_complete(&scene.rig->device, 0);
    CHECK_EQ(rig_reap_one(scene.rig).status, 0);
    rig_check(scene.rig);
}

TEST_CASE(virtio_hostile, death_with_all_slots_in_flight_resolves_each_once) {
    struct rig *rig = rig_start();
    uint8_t *buffer = test_alloc(BUFFER_BYTES, 64);
    uint32_t tokens[RIG_IN_FLIGHT], seen = 0;
    for (uint32_t i = 0; i < RIG_IN_FLIGHT; i++)
        tokens[i] = rig_read(rig, i, buffer, BUFFER_BYTES, &tokens[i]);
    ash_virtio_blk_kick(rig->queue);
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
    /* The slots are taken until their tokens are back. */
    uint32_t token;
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffer, BUFFER_BYTES, &token), -ASH_EAGAIN);
    struct ash_virtio_blk_done done[5];
    int count;
    while ((count = ash_virtio_blk_reap(rig->queue, done, 5)) > 0) {
        for (int i = 0; i < count; i++, seen++) {
            uint32_t *cookie = done[i].cookie;
            CHECK_EQ(*cookie, done[i].token);
            CHECK_EQ(done[i].status, -ASH_EIO);
            *cookie = UINT32_MAX;
        }
        rig_check(rig);
    }
    CHECK_EQ(seen, RIG_IN_FLIGHT);
    CHECK_EQ(rig_counters(rig).aborted, RIG_IN_FLIGHT);
}

TEST_CASE(virtio_hostile, aborted_slot_cannot_be_completed_after_the_reset) {
    struct scene scene = scene_start();
    CHECK_EQ(ash_virtio_blk_reset(&scene.rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
    uint32_t token = rig_read(scene.rig, 0, scene.buffers, BUFFER_BYTES, NULL);
    ash_virtio_blk_kick(scene.rig->queue);
    mini_device_use(&scene.rig->device, 0, 1); /* slot 0 was aborted; this one is slot 5 */
    struct ash_virtio_blk_done done[TOKENS];
    CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, done, TOKENS), TOKENS);
    scene_take(&scene, done, TOKENS);
    CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, done, TOKENS), -ASH_EIO);
    CHECK(ash_virtio_blk_pending(scene.rig->queue, token));
}

TEST_CASE(virtio_hostile, reset_that_does_not_finish_keeps_the_buffers) {
    struct scene scene = scene_start();
    scene.rig->device.never_resets = true;
    struct ash_virtio_blk_done done;
    CHECK_EQ(ash_virtio_blk_reset(&scene.rig->blk, ASH_VIRTIO_BLK_FAIL, 0), -ASH_ETIMEDOUT);
    CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, &done, 1), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_fini(&scene.rig->blk), -ASH_ETIMEDOUT);
    CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, &done, 1), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_in_flight(scene.rig->queue), TOKENS);
    scene.rig->device.never_resets = false;
    expect_recovery(&scene);
}

TEST_CASE(virtio_hostile, device_changed_by_a_reset_gives_the_tokens_back_and_stays_broken) {
    struct scene scene = scene_start();
    struct ash_virtio_blk_done done[TOKENS];
    scene.rig->device.queue_size_max = 8;
    CHECK_EQ(ash_virtio_blk_reset(&scene.rig->blk, ASH_VIRTIO_BLK_FAIL, 0), -ASH_ENXIO);
    CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, done, TOKENS), TOKENS);
    scene_take(&scene, done, TOKENS);
    CHECK_EQ(ash_virtio_blk_reap(scene.rig->queue, done, TOKENS), -ASH_EIO);
    CHECK_EQ(scene.rig->device.status, 0);
    scene.rig->device.queue_size_max = 1024;
    expect_recovery(&scene);
}

TEST_CASE(virtio_hostile, reset_of_a_driver_that_never_started_is_einval) {
    struct rig *rig = rig_new();
    rig->device.features = 0;
    CHECK_EQ(rig_init(rig), -ASH_ENOTSUP);
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), -ASH_EINVAL);
    CHECK_EQ(ash_virtio_blk_fini(&rig->blk), -ASH_EINVAL);
}

/* A device that does anything to what it can reach, between any two calls of the driver. */

enum { CHAOS_STEPS = 1200, CHAOS_BUFFERS = 40, CHAOS_PATIENCE_NS = 150 };

struct chaos {
    struct rig *rig;
    struct test_random random;
    uint8_t *buffers;
    uint32_t tokens[CHAOS_BUFFERS];
    bool out[CHAOS_BUFFERS];
    ash_ns_t now_ns; /* a step is a nanosecond */
    uint64_t resets;
};

static void chaos_device(struct chaos *chaos) {
    struct mini_device *device = &chaos->rig->device;
    struct test_random *random = &chaos->random;
    const struct mini_queue *queue = &device->queues[0];
    bool is_packed = (device->driver_features & ASH_VIRTIO_F_RING_PACKED) != 0;
    volatile uint8_t *used = mini_device_memory(queue->device);
    static const uint32_t ids[] = {0,   1,   3,   4,     8,     120,       124,
                                   128, 255, 256, 65535, 65536, UINT32_MAX};
    if (device->status != 0x0f)
        return;
    switch (test_random_below(random, 12)) {
    case 0:
        mini_device_use(device, ids[test_random_below(random, ASH_ARRAY_LEN(ids))],
                        (uint32_t)test_random_below(random, 600));
        break;
    case 1:
        if (!is_packed)
            mini_device_set_used_index(
                device, (uint16_t)(queue->used_next + test_random_below(random, 3) - 1));
        break;
    case 2: /* anything in the device's area, its event words included */
        used[test_random_below(random, is_packed ? 4 : 6 + 8 * queue->size)] =
            (uint8_t)random->state;
        break;
    case 3:
        device->status_byte = (uint8_t)test_random_below(random, 5);
        break;
    case 4:
        mini_device_interrupt(device, (uint32_t)test_random_u64(random));
        break;
    case 5:
        device->status |= test_random_chance(random, 20) ? 0x40 : 0;
        break;
    default:
        device->broken_rule = NULL; /* its own mess may look like the driver's */
        while (device->status == 0x0f && device->held_count < MINI_HELD_MAX &&
               mini_device_fetch(device)) {}
        if (device->held_count != 0)
            mini_device_complete(device, (uint32_t)test_random_below(random, device->held_count));
        break;
    }
}

static void chaos_reap(struct chaos *chaos) {
    struct ash_virtio_blk_done done[8];
    int count = ash_virtio_blk_reap(chaos->rig->queue, done, 8);
    for (int i = 0; i < count; i++) {
        uintptr_t which = (uintptr_t)done[i].cookie;
        CHECK(which < CHAOS_BUFFERS && chaos->out[which]);
        CHECK_EQ(done[i].token, chaos->tokens[which]);
        CHECK(done[i].bytes == (done[i].status == 0 ? BUFFER_BYTES : 0));
        chaos->out[which] = false;
    }
    if (count < 0) {
        chaos->resets++;
        CHECK_EQ(ash_virtio_blk_reset(&chaos->rig->blk,
                                      test_random_chance(&chaos->random, 50)
                                          ? ASH_VIRTIO_BLK_FAIL
                                          : ASH_VIRTIO_BLK_RESUBMIT,
                                      0),
                 0);
        const char *broken = ash_virtio_blk_check(&chaos->rig->blk);
        CHECK_STR_EQ(broken == NULL ? "" : broken, "");
    }
}

static void chaos_read(struct chaos *chaos) {
    uintptr_t which = 0;
    while (which < CHAOS_BUFFERS && chaos->out[which])
        which++;
    if (which == CHAOS_BUFFERS)
        return;
    uint8_t *buffer = chaos->buffers + which * BUFFER_BYTES;
    const struct ash_dma_segment whole = rig_segment(buffer, BUFFER_BYTES),
                                 halves[] = {rig_segment(buffer, 100),
                                             rig_segment(buffer + 100, BUFFER_BYTES - 100)};
    bool is_scattered = test_random_chance(&chaos->random, 30);
    const struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_READ,
                                                   .sector = which,
                                                   .segments = is_scattered ? halves : &whole,
                                                   .segment_count = is_scattered ? 2 : 1,
                                                   .deadline_ns = chaos->now_ns + CHAOS_PATIENCE_NS,
                                                   .cookie = (void *)which};
    int error = ash_virtio_blk_submit(chaos->rig->queue, &request, &chaos->tokens[which]);
    CHECK(error == 0 || error == -ASH_EAGAIN || error == -ASH_EIO);
    chaos->out[which] = error == 0;
}

static void chaos_step(struct chaos *chaos) {
    struct ash_virtio_blk_queue *queue = chaos->rig->queue;
    chaos->now_ns++;
    switch (test_random_below(&chaos->random, 9)) {
    case 0:
        ash_virtio_blk_kick(queue);
        break;
    case 8: /* a device that was confused by its own lies may be silent for ever */
        (void)!ash_virtio_blk_watch(&chaos->rig->blk, chaos->now_ns);
        break;
    case 1:
        ash_virtio_blk_interrupt(&chaos->rig->blk);
        break;
    case 2:
        (void)!ash_virtio_blk_may_sleep(queue);
        break;
    case 3:
    case 4:
        chaos_reap(chaos);
        break;
    default:
        chaos_read(chaos);
        break;
    }
}

TEST_CASE(virtio_hostile, random_lies_lose_no_token_and_double_none) {
    uint64_t seed = test_seed(), resets = 0;
    for (uint64_t round = 0; round < 8; round++) {
        struct chaos chaos = {.rig = rig_new_as(round % RIG_MODES),
                              .random = test_random_from(seed * 8 + round),
                              .buffers = test_alloc(CHAOS_BUFFERS * BUFFER_BYTES, 64)};
        rig_must_init(chaos.rig);
        for (uint32_t step = 0; step < CHAOS_STEPS; step++) {
            chaos_device(&chaos);
            chaos_step(&chaos);
            uint32_t out = 0;
            for (uint32_t i = 0; i < CHAOS_BUFFERS; i++)
                out += chaos.out[i];
            CHECK_EQ(ash_virtio_blk_in_flight(chaos.rig->queue), out);
        }
        chaos.rig->device.broken_rule = NULL;
        chaos.rig->device.status_byte = 0;
        CHECK_EQ(ash_virtio_blk_reset(&chaos.rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
        while (ash_virtio_blk_in_flight(chaos.rig->queue) != 0)
            chaos_reap(&chaos);
        rig_check(chaos.rig);
        resets += chaos.resets;
    }
    CHECK(resets > 20);
}
