/* SPDX-License-Identifier: MIT */
/* Cases of how completions are waited for: interrupts, policies, several queues. */
#include "virtq/rig.h"

enum { DEPTH = 8 };

/* So many reads, shown to the device. */
static void start_reads(struct rig *rig, uint32_t count) {
    uint8_t *buffer = test_alloc(512, 64);
    for (uint32_t i = 0; i < count; i++)
        rig_read(rig, i, buffer, 512, NULL);
    ash_virtio_blk_kick(rig->queue);
}

static void complete_one(struct rig *rig) {
    CHECK(mini_device_fetch(&rig->device));
    mini_device_complete(&rig->device, 0);
}

static bool has_events(enum rig_mode mode) {
    return mode == RIG_SPLIT_EVENTS || mode == RIG_PACKED_EVENTS;
}

TEST_CASE(virtio_blk, works_without_event_idx) {
    struct rig *rig = rig_new();
    rig->device.features &= ~ASH_VIRTIO_F_EVENT_IDX;
    CHECK_EQ(rig_init(rig), 0);
    uint8_t buffer[512];
    for (uint32_t armed = 0; armed < 2; armed++) {
        if (armed)
            CHECK(ash_virtio_blk_may_sleep(rig->queue));
        else
            ash_virtio_blk_disarm(rig->queue);
        rig_read(rig, 3, buffer, 512, NULL);
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        CHECK_EQ(rig->device.interrupts, armed);
        CHECK_EQ(ash_virtio_blk_interrupt(&rig->blk), armed);
        CHECK_EQ(rig_reap_one(rig).status, 0);
    }
    CHECK_EQ(rig->device.notifications, 2);
    /* VIRTQ_USED_F_NO_NOTIFY */
    *(volatile uint16_t *)(uintptr_t)(rig->device.queues[0].device - MINI_DMA_OFFSET) = 1;
    rig_read(rig, 3, buffer, 512, NULL);
    ash_virtio_blk_kick(rig->queue);
    CHECK_EQ(rig->device.notifications, 2);
    rig_check(rig);
}

TEST_CASE(virtio_blk, interrupt_is_acknowledged_and_counted) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    CHECK(!ash_virtio_blk_interrupt(&rig->blk));
    CHECK(ash_virtio_blk_may_sleep(rig->queue));
    rig_read(rig, 0, buffer, 512, NULL);
    ash_virtio_blk_kick(rig->queue);
    mini_device_run(&rig->device);
    CHECK_EQ(rig->device.interrupts, 1);
    CHECK(ash_virtio_blk_interrupt(&rig->blk));
    CHECK_EQ(rig->device.interrupt_status, 0);
    CHECK(!ash_virtio_blk_interrupt(&rig->blk));
    CHECK_EQ(rig_counters(rig).interrupts, 1);
    CHECK(!ash_virtio_blk_may_sleep(rig->queue)); /* something is there */
    rig_reap_one(rig);
    CHECK(ash_virtio_blk_may_sleep(rig->queue));
}

TEST_CASE(virtio_blk, polling_never_sleeps_and_is_never_interrupted) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        CHECK(ash_virtio_blk_may_sleep(rig->queue)); /* until it is told */
        CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_POLL, 5), 0);
        for (uint32_t round = 0; round < 100; round++) {
            CHECK(!ash_virtio_blk_may_sleep(rig->queue));
            start_reads(rig, DEPTH);
            CHECK(!ash_virtio_blk_may_sleep(rig->queue));
            mini_device_run(&rig->device);
            CHECK_EQ(rig_drain(rig), DEPTH);
        }
        CHECK_EQ(rig->device.interrupts, 0);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, interrupt_comes_at_the_next_completion_and_once_for_a_sleep) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_INTERRUPT, 0), 0);
        for (uint32_t round = 0; round < 100; round++) { /* laps of a ring, odd places in it */
            uint32_t before = rig->device.interrupts;
            start_reads(rig, 3);
            complete_one(rig);
            CHECK_EQ(rig->device.interrupts, before);
            CHECK(!ash_virtio_blk_may_sleep(rig->queue)); /* something is there */
            CHECK_EQ(rig_reap_one(rig).status, 0);
            CHECK(ash_virtio_blk_may_sleep(rig->queue));
            complete_one(rig);
            CHECK(rig->device.interrupts > before);
            CHECK_EQ(rig_reap_one(rig).status, 0);
            before = rig->device.interrupts;
            complete_one(rig); /* nobody sleeps */
            CHECK_EQ(rig->device.interrupts, before);
            CHECK_EQ(rig_reap_one(rig).status, 0);
        }
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, delayed_interrupt_comes_once_at_the_nth) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        for (uint32_t wish = 1; has_events(mode) && wish <= DEPTH + 1; wish++) {
            start_reads(rig, DEPTH);
            uint32_t before = rig->device.interrupts, nth = wish < DEPTH ? wish : DEPTH;
            CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_DELAYED, wish), 0);
            CHECK(ash_virtio_blk_may_sleep(rig->queue));
            for (uint32_t i = 1; i <= DEPTH; i++) {
                complete_one(rig);
                CHECK_EQ(rig->device.interrupts - before, i >= nth);
            }
            CHECK_EQ(rig_drain(rig), DEPTH);
        }
        rig_check(rig);
    }
}

/* The device completes one after the other; the driver sleeps until it is interrupted, takes all
 * that is there and queues as many anew. Interrupts for so many completions. */
static uint32_t interrupts_of(struct rig *rig, uint32_t completions) {
    uint32_t done = 0, interrupts = rig->device.interrupts;
    start_reads(rig, RIG_IN_FLIGHT);
    while (done < completions) {
        uint32_t taken = rig_drain(rig);
        done += taken;
        start_reads(rig, taken);
        if (taken != 0 || !ash_virtio_blk_may_sleep(rig->queue))
            continue;
        while (!ash_virtio_blk_interrupt(&rig->blk))
            complete_one(rig);
    }
    return rig->device.interrupts - interrupts;
}

TEST_CASE(virtio_blk, delayed_interrupts_are_one_for_three_quarters_of_the_depth) {
    enum { COMPLETIONS = 24 * 50 };
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        uint32_t each = interrupts_of(rig, COMPLETIONS);
        CHECK_EQ(each, COMPLETIONS);
        mini_device_run(&rig->device);
        rig_drain(rig);
        CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_DELAYED, 0), 0);
        uint32_t delayed = interrupts_of(rig, COMPLETIONS);
        CHECK_EQ(delayed, has_events(mode) ? COMPLETIONS / 24 : COMPLETIONS);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, delayed_interrupt_comes_for_the_last_even_if_others_take_other_entries) {
    /* A packed ring counts entries: reads of 3, flushes of 2, tables of 1. */
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        struct test_random random = test_random_from(test_seed() + mode);
        uint8_t *buffer = test_alloc(1024, 64);
        const struct ash_dma_segment segments[] = {rig_segment(buffer, 512),
                                                   rig_segment(buffer + 512, 512)};
        rig_must_init(rig);
        for (uint32_t round = 0; round < 200; round++) {
            uint32_t count = 1 + (uint32_t)test_random_below(&random, DEPTH);
            for (uint32_t i = 0; i < count; i++) {
                uint32_t kind = (uint32_t)test_random_below(&random, 3);
                const struct ash_virtio_blk_request request = {
                    .op = kind == 0 ? ASH_VIRTIO_BLK_FLUSH : ASH_VIRTIO_BLK_READ,
                    .segments = segments,
                    .segment_count = kind};
                rig_submit(rig, &request);
            }
            ash_virtio_blk_kick(rig->queue);
            uint32_t wish = (uint32_t)test_random_below(&random, DEPTH + 2);
            CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_DELAYED, wish), 0);
            CHECK(ash_virtio_blk_may_sleep(rig->queue));
            while (mini_device_fetch(&rig->device)) {}
            uint32_t before = rig->device.interrupts;
            while (rig->device.held_count != 0)
                mini_device_complete(&rig->device,
                                     (uint32_t)test_random_below(&random, rig->device.held_count));
            CHECK(rig->device.interrupts > before);
            CHECK_EQ(rig_drain(rig), count);
        }
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, hybrid_polls_so_many_times_for_nothing_then_sleeps) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_HYBRID, 3), 0);
        for (uint32_t round = 0; round < 5; round++) {
            start_reads(rig, 3);
            for (uint32_t i = 0; i < 2; i++)
                CHECK(!ash_virtio_blk_may_sleep(rig->queue));
            complete_one(rig); /* what comes while it polls begins it anew */
            CHECK_EQ(rig_reap_one(rig).status, 0);
            for (uint32_t i = 0; i < 3; i++)
                CHECK(!ash_virtio_blk_may_sleep(rig->queue));
            CHECK(ash_virtio_blk_may_sleep(rig->queue));
            CHECK(ash_virtio_blk_may_sleep(rig->queue)); /* woken for nothing */
            uint32_t before = rig->device.interrupts;
            complete_one(rig);
            CHECK_EQ(rig->device.interrupts, before + 1);
            CHECK_EQ(rig_reap_one(rig).status, 0);
            complete_one(rig);
            CHECK_EQ(rig->device.interrupts, before + 1);
            CHECK_EQ(rig_reap_one(rig).status, 0);
        }
        CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_HYBRID, 0), 0);
        CHECK(ash_virtio_blk_may_sleep(rig->queue)); /* 0 times: at once */
    }
}

TEST_CASE(virtio_blk, policy_that_does_not_exist_changes_nothing) {
    struct rig *rig = rig_start();
    CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_POLL, 0), 0);
    CHECK_EQ(ash_virtio_blk_set_policy(rig->queue,
                                       (enum ash_virtio_blk_policy)(ASH_VIRTIO_BLK_HYBRID + 1), 0),
             -ASH_EINVAL);
    CHECK(!ash_virtio_blk_may_sleep(rig->queue));
}

TEST_CASE(virtio_blk, change_of_policy_takes_back_what_was_asked_for) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        start_reads(rig, DEPTH);
        CHECK(ash_virtio_blk_may_sleep(rig->queue));
        CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_POLL, 0), 0);
        mini_device_run(&rig->device);
        CHECK_EQ(rig->device.interrupts, 0);
        CHECK_EQ(rig_drain(rig), DEPTH);
    }
}

/* Several queues */

static struct rig *start_queues(enum rig_mode mode, uint32_t count) {
    struct rig *rig = rig_new_as(mode);
    rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
    rig->device.queue_count = count;
    rig->config.queue_count = count;
    rig_must_init(rig);
    CHECK_EQ(rig->blk.queue_count, count);
    return rig;
}

/* The rig's calls go to this queue from here on. */
static void use_queue(struct rig *rig, uint32_t index) {
    rig->queue = ash_virtio_blk_get_queue(&rig->blk, index);
}

TEST_CASE(virtio_blk, queues_work_side_by_side) {
    enum { QUEUES = 5 };
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = start_queues(mode, QUEUES);
        uint8_t *buffers = test_alloc(QUEUES * RIG_IN_FLIGHT * 512, 64);
        uint32_t token;
        for (uint32_t round = 0; round < 20; round++) {
            memset(buffers, 0, QUEUES * RIG_IN_FLIGHT * 512);
            for (uint32_t i = 0; i < QUEUES * RIG_IN_FLIGHT; i++) {
                use_queue(rig, i % QUEUES);
                rig_read(rig, i, buffers + i * 512, 512, NULL);
            }
            for (uint32_t i = 0; i < QUEUES; i++) { /* each has its own limit, and its own kick */
                use_queue(rig, i);
                CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffers, 512, &token), -ASH_EAGAIN);
                CHECK(ash_virtio_blk_may_sleep(rig->queue));
                uint32_t before = rig->device.interrupts;
                ash_virtio_blk_kick(rig->queue);
                CHECK_EQ(rig->device.queues[i].notifications, round + 1);
                mini_device_run(&rig->device);
                CHECK(rig->device.interrupts > before); /* whichever queue it is */
                CHECK(ash_virtio_blk_interrupt(&rig->blk));
            }
            for (uint32_t i = QUEUES; i-- != 0;) {
                use_queue(rig, i);
                CHECK_EQ(rig_drain(rig), RIG_IN_FLIGHT);
            }
            rig_check_data(buffers, 0, QUEUES * RIG_IN_FLIGHT * 512);
            rig_check(rig);
        }
        CHECK_EQ(rig_counters(rig).requests[ASH_VIRTIO_BLK_READ], 20 * QUEUES * RIG_IN_FLIGHT);
        CHECK_EQ(rig_counters(rig).kicks, rig->device.notifications);
        CHECK_EQ(rig_counters(rig).kicks, 20 * QUEUES);
    }
}

TEST_CASE(virtio_blk, queues_have_policies_of_their_own) {
    struct rig *rig = start_queues(RIG_SPLIT_EVENTS, 3);
    CHECK_EQ(ash_virtio_blk_set_policy(rig->queue, ASH_VIRTIO_BLK_POLL, 0), 0);
    CHECK(!ash_virtio_blk_may_sleep(rig->queue));
    use_queue(rig, 2);
    CHECK(ash_virtio_blk_may_sleep(rig->queue));
    start_reads(rig, 1);
    use_queue(rig, 0);
    start_reads(rig, 1);
    mini_device_run(&rig->device);
    CHECK_EQ(rig->device.interrupts, 1);
}

TEST_CASE(virtio_blk, sixty_four_queues_are_all_used) {
    struct rig *rig = start_queues(RIG_PACKED_EVENTS, ASH_VIRTIO_BLK_QUEUES_MAX);
    uint8_t *buffers = test_alloc(ASH_VIRTIO_BLK_QUEUES_MAX * 512, 64);
    for (uint32_t i = 0; i < ASH_VIRTIO_BLK_QUEUES_MAX; i++) {
        use_queue(rig, i);
        rig_read(rig, i, buffers + i * 512, 512, NULL);
        ash_virtio_blk_kick(rig->queue);
    }
    mini_device_run(&rig->device);
    for (uint32_t i = 0; i < ASH_VIRTIO_BLK_QUEUES_MAX; i++) {
        use_queue(rig, i);
        CHECK_EQ(rig_drain(rig), 1);
    }
    rig_check_data(buffers, 0, ASH_VIRTIO_BLK_QUEUES_MAX * 512);
    rig_check(rig);
}

TEST_CASE(virtio_blk, queues_are_as_many_as_device_and_wish_allow) {
    static const uint32_t rows[][3] = {/* device, wish, queues */ {4, 0, 1},
                                       {4, 1, 1},
                                       {4, 3, 3},
                                       {4, 4, 4},
                                       {4, 64, 4},
                                       {1, 64, 1}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        struct rig *rig = rig_new();
        rig->device.features |= ASH_VIRTIO_BLK_F_MQ;
        rig->device.queue_count = rows[i][0];
        rig->config.queue_count = rows[i][1];
        rig_must_init(rig);
        CHECK_EQ(rig->blk.queue_count, rows[i][2]);
        CHECK_EQ((rig->blk.features & ASH_VIRTIO_BLK_F_MQ) != 0, rows[i][1] > 1);
    }
    struct rig *rig = rig_new(); /* several, but not offered */
    rig->device.queue_count = 4;
    rig->config.queue_count = 4;
    rig_must_init(rig);
    CHECK_EQ(rig->blk.queue_count, 1);
}
