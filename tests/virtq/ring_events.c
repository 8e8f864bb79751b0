/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/virtq.h>: when the device is notified, when the driver is interrupted. */
#include "virtq/ring_rig.h"

static const struct ash_virtq_config small = {.size = 8, .slots = 4, .chain = 2};

/* VIRTIO 1.2, 2.7.10, step by step. */
static bool passes(uint16_t from, uint16_t to, uint16_t event) {
    for (uint16_t index = from; index != to; index++) {
        if (index == event)
            return true;
    }
    return false;
}

TEST_CASE(virtq, split_notifies_exactly_when_the_event_index_is_passed) {
    struct ring *ring = ring_new(&small, ASH_VIRTQ_EVENT_IDX);
    uint16_t from = 0;
    for (uint32_t distance = 0; distance < 1u << 16; distance++) {
        uint16_t batch = (uint16_t)(distance % 5), event = (uint16_t)(from + distance);
        ring_device_put_avail_event(&ring->device, event);
        for (uint32_t i = 0; i < batch; i++)
            ring_submit(ring);
        CHECK_EQ(ash_virtq_publish(&ring->queue), passes(from, (uint16_t)(from + batch), event));
        CHECK(!ash_virtq_publish(&ring->queue));
        CHECK_EQ(ring_complete_all(ring), batch);
        from = (uint16_t)(from + batch);
    }
    ring_check(ring);
}

/* The events around the batch, at every position that the index can have. */
TEST_CASE(virtq, split_notifies_alike_at_all_2_to_the_16_positions) {
    struct ring *ring = ring_new(&small, ASH_VIRTQ_EVENT_IDX);
    uint16_t from = 0;
    for (uint32_t i = 0; i < 1u << 16; i++, from++) {
        int around = (int)(i % 7) - 3;
        ring_device_put_avail_event(&ring->device, (uint16_t)(from + around));
        ring_submit(ring);
        CHECK_EQ(ash_virtq_publish(&ring->queue), around == 0);
        CHECK_EQ(ring_complete_all(ring), 1);
    }
    CHECK_EQ(from, 0);
    ring_check(ring);
}

TEST_CASE(virtq, split_without_event_idx_notifies_unless_told_not_to) {
    struct ring *ring = ring_new(&small, 0);
    for (uint32_t i = 0; i < 20; i++) {
        /* The event index means nothing; nor do the other flags. */
        ring_device_put_avail_event(&ring->device, (uint16_t)(i / 2));
        ring_device_put(&ring->device, ring->device.device, 2, i % 4);
        ring_submit(ring);
        CHECK_EQ(ash_virtq_publish(&ring->queue), i % 2 == 0);
        CHECK_EQ(ring_complete_all(ring), 1);
    }
}

/* Packed: where the ring's next entry is, as the device counts. */
struct place {
    uint32_t position;
    bool wrap;
};

static struct place after(struct place place, uint32_t size) {
    if (++place.position == size)
        return (struct place){0, !place.wrap};
    return place;
}

static struct place place_of(const struct ring *ring) {
    return (struct place){ring->device.avail_next, ring->device.avail_wrap};
}

static bool packed_passes(struct place from, uint32_t entries, uint16_t event, uint32_t size) {
    for (; entries != 0; entries--, from = after(from, size)) {
        if (from.position == (event & 0x7fffu) && from.wrap == event >> 15)
            return true;
    }
    return false;
}

/* One batch of `count` requests from `first` on, with this event: notified as expected? */
static void check_packed(struct ring *ring, uint32_t count, uint32_t first, uint16_t event,
                         uint16_t flags) {
    struct place from = place_of(ring);
    uint32_t entries = count * (ring->config.chain - first);
    bool expected = packed_passes(from, entries, event, ring->config.size);
    if ((flags & 3) != 2 || !ring->queue.event_idx)
        expected = (flags & 3) != 1;
    ring_device_put_event(&ring->device, event, flags);
    for (uint32_t i = 0; i < count; i++)
        ring_submit_from(ring, first);
    CHECK_EQ(ash_virtq_publish(&ring->queue), count != 0 && expected);
    CHECK_EQ(ring_complete_all(ring), count);
}

/* Every event (position and lap) at every place of the ring, with every size of a batch. */
static void check_all_packed(uint32_t features) {
    static const struct ash_virtq_config shapes[] = {
        {4, 4, 1, 0}, {8, 4, 2, 0}, {8, 2, 3, 0}, {1, 1, 1, 0}};
    for (uint32_t at = 0; at < ASH_ARRAY_LEN(shapes); at++) {
        struct ring *ring = ring_new(&shapes[at], features);
        uint32_t size = ring->config.size;
        for (uint32_t event = 0; event < 2 * size; event++) {
            uint16_t off_wrap = (uint16_t)(event % size | (event < size ? 0 : 1u << 15));
            for (uint32_t i = 0; i < 6 * size * (ring->config.slots + 1); i++)
                check_packed(ring, i % (ring->config.slots + 1), i % 5 % ring->config.chain,
                             off_wrap, 2);
        }
        ring_check(ring);
    }
}

TEST_CASE(virtq, packed_notifies_exactly_when_the_event_entry_is_passed) {
    check_all_packed(ASH_VIRTQ_PACKED | ASH_VIRTQ_EVENT_IDX);
}

/* DESC was not negotiated: as good as ENABLE. */
TEST_CASE(virtq, packed_without_event_idx_notifies_whatever_the_event) {
    check_all_packed(ASH_VIRTQ_PACKED);
}

TEST_CASE(virtq, packed_notifies_always_when_enabled_and_never_when_disabled) {
    for (uint32_t features = 2; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&small, features);
        for (uint32_t i = 0; i < 200; i++) /* 3 is reserved; so are the other bits */
            check_packed(ring, i % 3, i % 2, (uint16_t)(i * 0x1235),
                         (uint16_t)((i % 2 == 0   ? 0
                                     : i % 3 == 0 ? 3
                                                  : 1) |
                                    (i & 0xfff0)));
    }
}

/* A device may ask for entries that do not exist: an answer, any, and nothing worse. */
TEST_CASE(virtq, packed_event_out_of_the_ring_does_no_harm) {
    struct ring *ring = ring_new(&small, ASH_VIRTQ_PACKED | ASH_VIRTQ_EVENT_IDX);
    for (uint32_t off_wrap = 0; off_wrap < 1u << 16; off_wrap += 3) {
        ring_device_put_event(&ring->device, (uint16_t)off_wrap, 2);
        ring_submit_from(ring, off_wrap % 2);
        (void)!ash_virtq_publish(&ring->queue);
        CHECK_EQ(ring_complete_all(ring), 1);
    }
    ring_check(ring);
    CHECK_EQ(test_event_count("virtq.broken"), 0);
}

/* Interrupts */

/* Arms for the wish-th of `count` requests; the completion that brings the interrupt, 0: none. */
static uint32_t interrupted_at(struct ring *ring, uint32_t count, uint32_t wish) {
    uint32_t at = 0;
    CHECK(ash_virtq_arm(&ring->queue, wish));
    ring_device_fetch_all(&ring->device);
    CHECK_EQ(ring->device.held_count, count);
    CHECK(!ring_device_wants_interrupt(&ring->device));
    for (uint32_t i = 1; i <= count; i++) {
        ring_device_complete(&ring->device, i % ring->device.held_count, 1);
        if (ring_device_wants_interrupt(&ring->device) && at == 0)
            at = i;
    }
    for (uint32_t i = 0; i < count; i++)
        ring_reap_one(ring);
    return at;
}

static void submit_some(struct ring *ring, uint32_t count, uint32_t first) {
    for (uint32_t i = 0; i < count; i++)
        ring_submit_from(ring, first);
    (void)!ash_virtq_publish(&ring->queue);
}

TEST_CASE(virtq, arm_interrupts_at_the_nth_completion) {
    static const struct ash_virtq_config shapes[] = {
        {8, 8, 1, 0}, {16, 4, 3, 0}, {8, 4, 2, 0}, {1, 1, 1, 0}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(shapes) * RING_FEATURES_END; i++) {
        struct ring *ring = ring_new(&shapes[i / RING_FEATURES_END], i % RING_FEATURES_END);
        uint32_t slots = ring->config.slots;
        for (uint32_t round = 0; round < 30 * slots; round++) {
            uint32_t count = 1 + round % slots, wish = round % (slots + 3);
            uint32_t nth = wish == 0 ? 1 : wish > count ? count : wish;
            submit_some(ring, count, round / slots % ring->config.chain);
            CHECK_EQ(interrupted_at(ring, count, wish), ring->queue.event_idx ? nth : 1);
        }
        ring_check(ring);
    }
}

/* Where requests take different numbers of entries it may be another one, but never none. */
TEST_CASE(virtq, arm_of_a_mixed_packed_ring_interrupts_in_time) {
    static const struct ash_virtq_config mixed = {.size = 32, .slots = 8, .chain = 3, .table = 2};
    struct ring *ring = ring_new(&mixed, ASH_VIRTQ_PACKED | ASH_VIRTQ_EVENT_IDX);
    struct test_random random = test_random_from(test_seed());
    for (uint32_t round = 0; round < 2000; round++) {
        uint32_t count = 1 + (uint32_t)test_random_below(&random, mixed.slots);
        uint32_t wish = (uint32_t)test_random_below(&random, mixed.slots + 2);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t first = (uint32_t)test_random_below(&random, mixed.chain + 1);
            if (first == mixed.chain)
                ring_submit_table(ring, 2);
            else
                ring_submit_from(ring, first);
        }
        (void)!ash_virtq_publish(&ring->queue);
        uint32_t at = interrupted_at(ring, count, wish);
        CHECK(wish <= 1 ? at == 1 : at != 0);
    }
}

TEST_CASE(virtq, arm_of_an_empty_queue_interrupts_at_the_first_to_come) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&small, features);
        for (uint32_t round = 0; round < 20; round++) {
            CHECK(ash_virtq_arm(&ring->queue, round % 4));
            submit_some(ring, 1 + round % 3, round % 2);
            ring_device_fetch_all(&ring->device);
            ring_device_complete(&ring->device, 0, 1);
            CHECK(ring_device_wants_interrupt(&ring->device));
            ring_reap_one(ring);
            CHECK_EQ(ring_complete_all(ring), round % 3);
            (void)!ring_device_wants_interrupt(&ring->device);
        }
    }
}

TEST_CASE(virtq, arm_says_when_the_completion_is_there_already) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&small, features);
        submit_some(ring, 3, 0);
        ring_device_fetch_all(&ring->device);
        ring_device_complete(&ring->device, 1, 1);
        CHECK(!ash_virtq_arm(&ring->queue, 1));
        ring_device_complete(&ring->device, 0, 1);
        CHECK(!ash_virtq_arm(&ring->queue, 2));
        ring_reap_one(ring);
        ring_reap_one(ring);
        CHECK(ash_virtq_arm(&ring->queue, 1));
        ring_device_complete(&ring->device, 0, 1);
        CHECK(!ash_virtq_arm(&ring->queue, 5)); /* no more than that are in flight */
    }
}

TEST_CASE(virtq, disarm_brings_no_interrupt) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&small, features);
        for (uint32_t round = 0; round < 40; round++) {
            if (round % 3 == 0)
                (void)!ash_virtq_arm(&ring->queue, round % 4);
            submit_some(ring, 1 + round % 4, round % 2);
            ash_virtq_disarm(&ring->queue);
            CHECK_EQ(ring_complete_all(ring), 1 + round % 4);
            CHECK(!ring_device_wants_interrupt(&ring->device));
        }
        ring_restart(ring, features); /* disarmed */
        submit_some(ring, 2, 0);
        CHECK_EQ(ring_complete_all(ring), 2);
        CHECK(!ring_device_wants_interrupt(&ring->device));
    }
}
