/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/virtq.h>: requests on their way to the device and back, in both formats. */
#include "virtq/ring_rig.h"

static const struct ash_virtq_config single = {.size = 2, .slots = 1, .chain = 2};
static const struct ash_virtq_config plain = {.size = 8, .slots = 4, .chain = 2};
/* A chain of three in slots of four, so that in a packed ring it straddles the end in most laps. */
static const struct ash_virtq_config mixed = {.size = 16, .slots = 4, .chain = 3, .table = 5};

static bool is_valid(uint32_t size, uint32_t slots, uint32_t chain, uint32_t table) {
    struct ash_virtq_config config = {size, slots, chain, table};
    bool valid = ash_virtq_storage_size(&config) != 0;
    CHECK_EQ(ash_virtq_dma_size(&config) != 0, valid);
    return valid;
}

TEST_CASE(virtq, sizes_know_what_is_valid) {
    CHECK(!is_valid(0, 1, 1, 0));
    CHECK(!is_valid(3, 1, 1, 0));
    CHECK(!is_valid(2048, 1, 1, 0));
    CHECK(!is_valid(1u << 31, 1, 1, 0));
    CHECK(!is_valid(4, 1, 0, 0));
    CHECK(!is_valid(4, 0, 1, 0));
    CHECK(!is_valid(4, 2, 3, 0));
    CHECK(!is_valid(4, 2, 1u << 31, 0));
    CHECK(!is_valid(4, UINT32_MAX, UINT32_MAX, 0));
    CHECK(!is_valid(4, 1, 1, 5));
    CHECK(!is_valid(4, 1, 1, UINT32_MAX));
    CHECK(!is_valid(4, 1, 4, 1)); /* no place for the way to the table */
    CHECK(!is_valid(4, 4, 1, 4));
    CHECK(is_valid(4, 2, 1, 4));
    CHECK(is_valid(4, 1, 3, 4));
    CHECK(is_valid(1024, 1024, 1, 0));
    CHECK(is_valid(1024, 1, 1024, 0));
    CHECK(is_valid(1, 1, 1, 0));
}

TEST_CASE(virtq, slots_max_is_the_last_valid_number) {
    for (uint32_t size = 1; size <= 64; size *= 2) {
        for (uint32_t chain = 1; chain <= size; chain++) {
            for (uint32_t table = 0; table <= size; table += size) {
                struct ash_virtq_config config = {size, 0, chain, table};
                uint32_t most = ash_virtq_slots_max(&config);
                CHECK(most <= size / (chain + (table != 0)));
                CHECK(most >= size / (chain + (table != 0)) / 2);
                CHECK(most == 0 || is_valid(size, most, chain, table));
                CHECK(!is_valid(size, most + 1, chain, table));
            }
        }
    }
}

TEST_CASE(virtq, init_refuses_memory_that_does_not_do) {
    struct ash_virtq queue;
    size_t bytes = ash_virtq_storage_size(&mixed);
    char *storage = test_alloc(bytes + 64, 64);
    struct ash_virtq_dma good = {.bytes = ash_virtq_dma_size(&mixed), .address = 1 << 20}, dma;
    good.pointer = test_alloc(good.bytes + 64, 64);
    CHECK_EQ(ash_virtq_init(&queue, &mixed, storage, bytes, &good), 0);
    CHECK_EQ(ash_virtq_init(&queue, &mixed, NULL, bytes, &good), -ASH_EINVAL);
    CHECK_EQ(ash_virtq_init(&queue, &mixed, storage + 32, bytes, &good), -ASH_EINVAL);
    CHECK_EQ(ash_virtq_init(&queue, &mixed, storage, bytes - 1, &good), -ASH_ENOMEM);
    dma = good;
    dma.pointer = NULL;
    CHECK_EQ(ash_virtq_init(&queue, &mixed, storage, bytes, &dma), -ASH_EINVAL);
    dma.pointer = (char *)good.pointer + 32;
    CHECK_EQ(ash_virtq_init(&queue, &mixed, storage, bytes, &dma), -ASH_EINVAL);
    dma = good;
    dma.address += 32;
    CHECK_EQ(ash_virtq_init(&queue, &mixed, storage, bytes, &dma), -ASH_EINVAL);
    dma.address = UINT64_C(0) - 64;
    CHECK_EQ(ash_virtq_init(&queue, &mixed, storage, bytes, &dma), -ASH_EINVAL);
    dma = good;
    dma.bytes--;
    CHECK_EQ(ash_virtq_init(&queue, &mixed, storage, bytes, &dma), -ASH_ENOMEM);
    struct ash_virtq_config config = mixed;
    config.slots = 5;
    CHECK_EQ(ash_virtq_init(&queue, &config, storage, bytes, &good), -ASH_EINVAL);
}

TEST_CASE(virtq, queue_is_stopped_until_it_is_restarted) {
    struct ring *ring = ring_new(&plain, 0);
    uint32_t len = 0;
    CHECK_EQ(ash_virtq_init(&ring->queue, &plain, ring->storage, ash_virtq_storage_size(&plain),
                            &ring->queue.dma),
             0);
    CHECK_EQ(ring->queue.fault, ASH_VIRTQ_FAULT_STOPPED);
    CHECK_EQ(ash_virtq_next(&ring->queue, &len), -ASH_EIO);
    CHECK(!ash_virtq_arm(&ring->queue, 1));
    CHECK_EQ(test_event_count("virtq.broken"), 0);
}

static void check_area(const struct ring *ring, struct ash_virtq_area area, size_t bytes,
                       size_t align, uint64_t *end) {
    CHECK_EQ(area.bytes, bytes);
    CHECK(ash_is_aligned(area.address, align));
    CHECK(area.address >= *end);
    *end = area.address + bytes;
    CHECK(*end <= ring->queue.dma.address + ring->queue.dma.bytes);
}

TEST_CASE(virtq, areas_are_aligned_and_apart) {
    static const uint32_t sizes[] = {1, 2, 4, 64, 256, 1024};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes) * RING_FEATURES_END; i++) {
        uint32_t size = sizes[i / RING_FEATURES_END], features = i % RING_FEATURES_END;
        struct ash_virtq_config config = {.size = size, .slots = size, .chain = 1};
        struct ring *ring = ring_new(&config, features);
        bool packed = (features & ASH_VIRTQ_PACKED) != 0;
        uint64_t end = ring->queue.dma.address;
        check_area(ring, ash_virtq_desc_area(&ring->queue), 16 * size, 16, &end);
        check_area(ring, ash_virtq_driver_area(&ring->queue), packed ? 4 : 6 + 2 * size,
                   packed ? 4 : 2, &end);
        check_area(ring, ash_virtq_device_area(&ring->queue), packed ? 4 : 6 + 8 * size, 4, &end);
    }
}

/* All slots at once, each in the i-th way that its shape has; completed from the middle. */
static void carry_all(struct ring *ring, uint32_t way) {
    uint32_t slots = ring->config.slots, ways = ring->config.chain + ring->config.table;
    for (uint32_t slot = 0; slot < slots; slot++) {
        uint32_t which = (way + slot) % ways;
        if (which < ring->config.chain)
            ring_submit_from(ring, which);
        else
            ring_submit_table(ring, 1 + which - ring->config.chain);
    }
    CHECK_EQ(ash_virtq_free_slot(&ring->queue), -ASH_EAGAIN);
    ring_check(ring);
    CHECK_EQ(ring_device_fetch_all(&ring->device), 0);
    (void)!ash_virtq_publish(&ring->queue);
    ring_check(ring);
    CHECK_EQ(ring_device_fetch_all(&ring->device), slots);
    while (ring->device.held_count != 0) {
        uint32_t index = ring->device.held_count / 2;
        uint32_t slot = ring_slot_of(ring, &ring->device.held[index]);
        ring_device_complete(&ring->device, index, RING_WRITABLE_BYTES);
        CHECK_EQ(ring_reap_one(ring), slot);
    }
    ring_check(ring);
}

TEST_CASE(virtq, every_shape_carries_its_requests_as_they_were_described) {
    for (uint32_t size = 1; size <= 16; size *= 2) {
        for (uint32_t chain = 1; chain <= size; chain = chain < 5 ? chain + 1 : chain * 2) {
            for (uint32_t table = 0; table <= size; table = table * 3 + 1) {
                struct ash_virtq_config config = {size, 0, chain, table};
                config.slots = ash_virtq_slots_max(&config);
                if (config.slots == 0)
                    continue;
                struct ring *ring = ring_new(&config, 0);
                for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
                    ring_restart(ring, features);
                    for (uint32_t way = 0; way < 6; way++)
                        carry_all(ring, way);
                }
            }
        }
    }
}

TEST_CASE(virtq, largest_shapes_carry_their_requests) {
    static const struct ash_virtq_config large[] = {{1024, 1024, 1, 0},
                                                    {1024, 256, 3, 18},
                                                    {1024, 100, 7, 0},
                                                    {1024, 30, 20, 0},
                                                    {256, 63, 2, 3}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(large); i++) {
        struct ring *ring = ring_new(&large[i], ASH_VIRTQ_EVENT_IDX);
        carry_all(ring, i);
        ring_restart(ring, ASH_VIRTQ_EVENT_IDX | ASH_VIRTQ_PACKED);
        carry_all(ring, i);
        carry_all(ring, i + 1);
    }
}

TEST_CASE(virtq, device_sees_nothing_of_a_batch_before_it_is_published) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&mixed, features);
        for (uint32_t round = 0; round < 40; round++) {
            CHECK(!ash_virtq_publish(&ring->queue));
            for (uint32_t i = 0; i < round % 5; i++) {
                if ((round + i) % 3 == 0)
                    ring_submit_table(ring, 1 + (round + i) % 5);
                else
                    ring_submit_from(ring, (round + i) % 3);
                ring_check(ring);
                CHECK(!ring_device_fetch(&ring->device));
            }
            ring_device_ask(&ring->device);
            CHECK_EQ(ash_virtq_publish(&ring->queue), round % 5 != 0);
            CHECK_EQ(ring_complete_all(ring), round % 5);
            ring_check(ring);
        }
    }
}

/* Chains of every length, so that each start in the ring straddles its end in some lap. */
TEST_CASE(virtq, completions_may_come_in_any_order_and_length) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&mixed, features);
        struct test_random random = test_random_from(test_seed() + features);
        for (uint32_t round = 0; round < 200; round++) {
            while (ash_virtq_free_slot(&ring->queue) >= 0)
                ring_submit_from(ring, (uint32_t)test_random_below(&random, 3));
            (void)!ash_virtq_publish(&ring->queue);
            ring_device_fetch_all(&ring->device);
            uint32_t count = 1 + (uint32_t)test_random_below(&random, 4), expected[4];
            for (uint32_t i = 0; i < count; i++) {
                uint32_t index = (uint32_t)test_random_below(&random, ring->device.held_count);
                expected[i] = ring_slot_of(ring, &ring->device.held[index]);
                ring_device_complete(&ring->device, index, round % (RING_WRITABLE_BYTES + 1));
            }
            for (uint32_t i = 0; i < count; i++) {
                uint32_t len = 0;
                CHECK_EQ(ash_virtq_next(&ring->queue, &len), (int)expected[i]);
                CHECK_EQ(ash_virtq_next(&ring->queue, &len), (int)expected[i]);
                CHECK_EQ(len, round % (RING_WRITABLE_BYTES + 1));
                ash_virtq_retire(&ring->queue, expected[i]);
                ring_check(ring);
            }
        }
    }
}

TEST_CASE(virtq, token_is_pending_from_submit_to_retire_and_never_again) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&single, features);
        uint32_t old = ring_submit(ring);
        CHECK(ash_virtq_pending(&ring->queue, old));
        CHECK_EQ(ash_virtq_in_flight(&ring->queue), 1);
        CHECK(ash_virtq_publish(&ring->queue));
        CHECK(ash_virtq_pending(&ring->queue, old));
        CHECK_EQ(ash_virtq_in_flight(&ring->queue), 1);
        CHECK_EQ(ring_complete_all(ring), 1);
        CHECK(!ash_virtq_pending(&ring->queue, old));
        uint32_t token = ring_submit(ring);
        CHECK(token != old && (token & 0xffff) == (old & 0xffff));
        CHECK(ash_virtq_pending(&ring->queue, token) && !ash_virtq_pending(&ring->queue, old));
        CHECK(!ash_virtq_pending(&ring->queue, token + 1));
        CHECK(!ash_virtq_pending(&ring->queue, token | 0xffff));
        CHECK(!ash_virtq_pending(&ring->queue, 0));
    }
}

TEST_CASE(virtq, no_token_is_0_before_the_65536th_of_slot_0) {
    struct ring *ring = ring_new(&single, 0);
    ring->queue.slots[0].token = UINT32_C(0xfffe0000);
    CHECK_EQ(ring_submit(ring), 0xffff0000);
    (void)!ash_virtq_publish(&ring->queue);
    CHECK_EQ(ring_complete_all(ring), 1);
    CHECK_EQ(ring_submit(ring), 0);
    CHECK(ash_virtq_pending(&ring->queue, 0));
}

/* Restart */

TEST_CASE(virtq, restart_aborts_what_was_out_and_what_was_queued) {
    for (uint32_t features = 0; features < RING_FEATURES_END * RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&mixed, features % RING_FEATURES_END);
        uint32_t shown = ring_submit(ring);
        CHECK(ash_virtq_publish(&ring->queue));
        uint32_t queued = ring_submit_table(ring, 2);
        ash_virtq_break(&ring->queue, ASH_VIRTQ_FAULT_NEEDS_RESET);
        ring_restart(ring, features / RING_FEATURES_END);
        CHECK_EQ(ash_virtq_in_flight(&ring->queue), 2);
        CHECK(ash_virtq_pending(&ring->queue, shown) && ash_virtq_pending(&ring->queue, queued));
        CHECK(!ash_virtq_arm(&ring->queue, 1));
        uint32_t third = ring_submit_from(ring, 1); /* beside them */
        ring_check(ring);
        for (int slot = 0; slot < 2; slot++) {
            CHECK_EQ(ash_virtq_next_aborted(&ring->queue), slot);
            ash_virtq_retire_aborted(&ring->queue, (uint32_t)slot);
            ring_check(ring);
        }
        CHECK_EQ(ash_virtq_next_aborted(&ring->queue), -ASH_EAGAIN);
        CHECK(!ash_virtq_pending(&ring->queue, shown) && !ash_virtq_pending(&ring->queue, queued));
        CHECK(ash_virtq_pending(&ring->queue, third));
        CHECK(ash_virtq_publish(&ring->queue));
        CHECK_EQ(ring_complete_all(ring), 1);
        CHECK_EQ(ash_virtq_in_flight(&ring->queue), 0);
    }
}

TEST_CASE(virtq, aborted_requests_may_be_queued_again_under_their_token) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&mixed, features);
        uint32_t tokens[4] = {ring_submit(ring), ring_submit_table(ring, 3),
                              ring_submit_from(ring, 2), ring_submit_from(ring, 1)};
        CHECK(ash_virtq_publish(&ring->queue));
        ring_restart(ring, features ^ ASH_VIRTQ_PACKED);
        ring_describe(ring, 2, 2);
        ash_virtq_resubmit(&ring->queue, 2, 2);
        ring_describe(ring, 3, 0); /* in another shape than before */
        ash_virtq_resubmit(&ring->queue, 3, 0);
        ring_describe_table(ring, 1, 4);
        ash_virtq_resubmit_table(&ring->queue, 1, 4);
        ring_check(ring);
        CHECK_EQ(ash_virtq_next_aborted(&ring->queue), 0);
        ash_virtq_retire_aborted(&ring->queue, 0);
        ring_check(ring);
        CHECK(!ash_virtq_pending(&ring->queue, tokens[0]));
        CHECK(ash_virtq_publish(&ring->queue));
        CHECK_EQ(ring_device_fetch_all(&ring->device), 3);
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t slot = ring_slot_of(ring, &ring->device.held[0]);
            CHECK(ash_virtq_pending(&ring->queue, tokens[slot]));
            ring_device_complete(&ring->device, 0, 0);
            CHECK_EQ(ring_reap_one(ring), slot);
            CHECK(!ash_virtq_pending(&ring->queue, tokens[slot]));
        }
        ring_check(ring);
    }
}

/* Whatever the device has left behind is gone: descriptors, tables, indices and events. */
TEST_CASE(virtq, restart_clears_what_the_device_could_write) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&mixed, features);
        struct ash_virtq_dma dma = ring->queue.dma;
        uint8_t *before = test_alloc(dma.bytes, 64);
        memcpy(before, dma.pointer, dma.bytes);
        ring_submit_table(ring, 5);
        memset(dma.pointer, 0x5a, dma.bytes);
        ring_restart(ring, features);
        CHECK_MEM_EQ(dma.pointer, before, dma.bytes);
    }
}

/* Again and again, each time before the last one's aborted were taken. */
TEST_CASE(virtq, aborted_requests_survive_any_number_of_restarts) {
    struct ring *ring = ring_new(&mixed, 0);
    uint32_t first = ring_submit(ring);
    for (uint32_t i = 0; i < 8; i++)
        ring_restart(ring, i % RING_FEATURES_END);
    uint32_t second = ring_submit(ring);
    ring_restart(ring, ASH_VIRTQ_PACKED);
    CHECK(ash_virtq_pending(&ring->queue, first) && ash_virtq_pending(&ring->queue, second));
    for (int slot = 0; slot < 2; slot++) {
        CHECK_EQ(ash_virtq_next_aborted(&ring->queue), slot);
        ash_virtq_retire_aborted(&ring->queue, (uint32_t)slot);
    }
    CHECK_EQ(ash_virtq_in_flight(&ring->queue), 0);
    ring_check(ring);
}

/* Faults */

TEST_CASE(virtq, first_fault_stays) {
    struct ring *ring = ring_new(&plain, ASH_VIRTQ_EVENT_IDX);
    ash_virtq_break(&ring->queue, ASH_VIRTQ_FAULT_LENGTH);
    ash_virtq_break(&ring->queue, ASH_VIRTQ_FAULT_STATUS);
    CHECK_EQ(ring->queue.fault, ASH_VIRTQ_FAULT_LENGTH);
    CHECK_EQ(test_event_count("virtq.broken"), 1);
    for (uint32_t fault = 1; fault <= ASH_VIRTQ_FAULT_STOPPED; fault++)
        CHECK(ash_virtq_fault_text(fault)[0] != '\0');
    CHECK_STR_EQ(ash_virtq_fault_text(ASH_VIRTQ_OK), "");
    CHECK_STR_EQ(ash_virtq_fault_text(UINT32_MAX), "unknown fault");
}

TEST_CASE(virtq, broken_queue_publishes_and_reaps_nothing) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&plain, features);
        uint32_t len = 0;
        ring_submit(ring);
        CHECK(ash_virtq_publish(&ring->queue));
        ring_submit(ring);
        CHECK_EQ(ring_device_fetch_all(&ring->device), 1);
        ring_device_complete(&ring->device, 0, 1);
        ash_virtq_break(&ring->queue, ASH_VIRTQ_FAULT_TIMEOUT);
        CHECK(!ash_virtq_publish(&ring->queue));
        CHECK(!ring_device_fetch(&ring->device));
        CHECK_EQ(ash_virtq_next(&ring->queue, &len), -ASH_EIO);
        CHECK(!ash_virtq_arm(&ring->queue, 1));
        CHECK_EQ(ash_virtq_in_flight(&ring->queue), 2);
        ring_check(ring);
    }
}
