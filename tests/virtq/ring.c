/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/virtq.h>: the ring alone, its other side played by the case. */
#include "harness/test.h"

#include <ashlar/virtq.h>

enum { SIZE = 8, CHAIN = 2, SLOTS = 4 };

struct ring {
    struct ash_virtq queue;
    void *storage;
};

static struct ring *ring_new(uint32_t size, uint32_t chain, uint32_t slots, bool event_idx) {
    struct ring *ring = test_alloc(sizeof(*ring), 64);
    size_t bytes = ash_virtq_storage_size(size, chain, slots);
    CHECK(bytes != 0);
    ring->storage = test_alloc(bytes, ASH_VIRTQ_STORAGE_ALIGN);
    CHECK_EQ(ash_virtq_init(&ring->queue, size, chain, slots, ring->storage, bytes), 0);
    ash_virtq_restart(&ring->queue, event_idx);
    CHECK(ash_virtq_check(&ring->queue) == NULL);
    return ring;
}

static uint32_t submit(struct ring *ring) {
    int slot = ash_virtq_free_slot(&ring->queue);
    CHECK(slot >= 0);
    return ash_virtq_submit(&ring->queue, (uint32_t)slot, 100, NULL);
}

/* The device's stores, each as small as the specification lets it be seen. */
static void device_sets_used_entry(struct ring *ring, uint16_t index, uint32_t id, uint32_t len) {
    struct ash_virtq_used_entry *entry = &ring->queue.used_ring[index % ring->queue.size];
    entry->id = ASH_VIRTQ_LE32(id);
    entry->len = ASH_VIRTQ_LE32(len);
}

static void device_sets_used_index(struct ring *ring, uint16_t index) {
    ring->queue.used[1] = ASH_VIRTQ_LE16(index);
}

static void device_sets_avail_event(struct ring *ring, uint16_t event) {
    ring->queue.used[2 + ring->queue.size * 4] = ASH_VIRTQ_LE16(event);
}

/* Completes whatever is published, in slot order of the avail ring, and reaps it. */
static void complete_all(struct ring *ring) {
    struct ash_virtq *queue = &ring->queue;
    for (uint16_t i = queue->used_next; i != queue->published; i++)
        device_sets_used_entry(ring, i, ASH_VIRTQ_LE16(queue->avail[2 + i % queue->size]), 1);
    device_sets_used_index(ring, queue->published);
    uint32_t len;
    int slot;
    while ((slot = ash_virtq_next(queue, &len)) >= 0)
        ash_virtq_retire(queue, (uint32_t)slot);
    CHECK_EQ(slot, -ASH_EAGAIN);
}

TEST_CASE(virtq, storage_size_knows_what_is_valid) {
    CHECK_EQ(ash_virtq_storage_size(0, 1, 1), 0);
    CHECK_EQ(ash_virtq_storage_size(3, 1, 1), 0);
    CHECK_EQ(ash_virtq_storage_size(2048, 1, 1), 0);
    CHECK_EQ(ash_virtq_storage_size(1u << 31, 1, 1), 0);
    CHECK_EQ(ash_virtq_storage_size(4, 0, 1), 0);
    CHECK_EQ(ash_virtq_storage_size(4, 1, 0), 0);
    CHECK_EQ(ash_virtq_storage_size(4, 3, 2), 0);
    CHECK_EQ(ash_virtq_storage_size(4, 1u << 31, 2), 0);
    CHECK_EQ(ash_virtq_storage_size(4, UINT32_MAX, UINT32_MAX), 0);
    CHECK(ash_virtq_storage_size(4, 3, 1) != 0);
    CHECK(ash_virtq_storage_size(1024, 1, 1024) != 0);
    CHECK(ash_virtq_storage_size(1, 1, 1) != 0);
}

TEST_CASE(virtq, areas_are_aligned_and_apart) {
    static const uint32_t sizes[] = {1, 2, 4, 64, 256, 1024};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(sizes); i++) {
        struct ring *ring = ring_new(sizes[i], 1, sizes[i], true);
        struct ash_virtq_area desc = ash_virtq_desc_area(&ring->queue);
        struct ash_virtq_area avail = ash_virtq_avail_area(&ring->queue);
        struct ash_virtq_area used = ash_virtq_used_area(&ring->queue);
        CHECK_EQ((uintptr_t)desc.pointer % 16, 0);
        CHECK_EQ((uintptr_t)avail.pointer % 2, 0);
        CHECK_EQ((uintptr_t)used.pointer % 4, 0);
        CHECK_EQ(desc.bytes, 16 * sizes[i]);
        CHECK_EQ(avail.bytes, 6 + 2 * sizes[i]);
        CHECK_EQ(used.bytes, 6 + 8 * sizes[i]);
        CHECK((const char *)avail.pointer >= (const char *)desc.pointer + desc.bytes);
        CHECK((const char *)used.pointer >= (const char *)avail.pointer + avail.bytes);
        CHECK((const char *)(void *)ring->queue.slots >= (const char *)used.pointer + used.bytes);
    }
}

static void check_heads(struct ring *ring, uint32_t size, uint32_t chain, size_t storage_bytes) {
    struct ash_virtq *queue = &ring->queue;
    uint32_t slots = size / chain, len;
    CHECK_EQ(ash_virtq_init(queue, size, chain, slots, ring->storage, storage_bytes), 0);
    ash_virtq_restart(queue, true);
    for (uint32_t slot = 0; slot < slots; slot++)
        submit(ring);
    CHECK_EQ(ash_virtq_free_slot(queue), -ASH_EAGAIN);
    CHECK(ash_virtq_publish(queue));
    CHECK(ash_virtq_check(queue) == NULL);
    for (uint16_t slot = 0; slot < slots; slot++) {
        device_sets_used_entry(ring, slot, slot * chain, 100);
        device_sets_used_index(ring, (uint16_t)(slot + 1));
        CHECK_EQ(ash_virtq_next(queue, &len), slot);
        CHECK_EQ(len, 100);
        ash_virtq_retire(queue, slot);
    }
}

TEST_CASE(virtq, every_head_of_every_shape_names_its_slot) {
    struct ring *ring = test_alloc(sizeof(*ring), 64);
    size_t bytes = ash_virtq_storage_size(ASH_VIRTQ_SIZE_MAX, 1, ASH_VIRTQ_SIZE_MAX);
    ring->storage = test_alloc(bytes, ASH_VIRTQ_STORAGE_ALIGN);
    for (uint32_t size = 1; size <= ASH_VIRTQ_SIZE_MAX; size *= 4) {
        for (uint32_t chain = 1; chain <= size; chain = chain < 40 ? chain + 1 : chain * 2)
            check_heads(ring, size, chain, bytes);
    }
}

/* When to notify: the device asked for index `event`, and publishing moves from..to past it. */
static bool passes(uint16_t from, uint16_t to, uint16_t event) {
    for (uint16_t index = from; index != to; index++) {
        if (index == event)
            return true;
    }
    return false;
}

TEST_CASE(virtq, notifies_exactly_when_the_event_index_is_passed) {
    struct ring *ring = ring_new(SIZE, CHAIN, SLOTS, true);
    struct test_random random = test_random_from(test_seed());
    bool wrapped = false;
    while (!wrapped || ring->queue.published < 600) {
        uint16_t from = ring->queue.published;
        uint32_t batch = (uint32_t)test_random_below(&random, SLOTS + 1);
        /* Around the batch mostly; anywhere, sometimes. */
        uint16_t event = test_random_chance(&random, 90)
                             ? (uint16_t)(from + test_random_below(&random, 10) - 4)
                             : (uint16_t)test_random_u64(&random);
        device_sets_avail_event(ring, event);
        for (uint32_t i = 0; i < batch; i++)
            submit(ring);
        bool expected = passes(from, (uint16_t)(from + batch), event);
        CHECK_EQ(ash_virtq_publish(&ring->queue), expected);
        CHECK_EQ(ring->queue.avail[1], ASH_VIRTQ_LE16((uint16_t)(from + batch)));
        CHECK(!ash_virtq_publish(&ring->queue));
        complete_all(ring);
        wrapped = wrapped || ring->queue.published < from;
    }
    CHECK(ash_virtq_check(&ring->queue) == NULL);
}

TEST_CASE(virtq, arm_asks_for_the_nth_and_disarm_for_none_soon) {
    struct ring *ring = ring_new(SIZE, 1, SIZE, true);
    struct ash_virtq *queue = &ring->queue;
    uint16_t *used_event = &queue->avail[2 + SIZE];
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < 6; i++)
            submit(ring);
        CHECK(ash_virtq_publish(queue) || round != 0);
        for (uint32_t wish = 0; wish <= 8; wish++) {
            CHECK(ash_virtq_arm(queue, wish));
            uint32_t nth = wish == 0 ? 1 : wish > 6 ? 6 : wish;
            CHECK_EQ(*used_event, ASH_VIRTQ_LE16((uint16_t)(queue->used_next + nth - 1)));
        }
        ash_virtq_disarm(queue);
        CHECK_EQ(*used_event, ASH_VIRTQ_LE16((uint16_t)(queue->used_next - 1)));
        complete_all(ring);
    }
}

TEST_CASE(virtq, restart_aborts_what_was_out_and_what_was_queued) {
    struct ring *ring = ring_new(SIZE, CHAIN, SLOTS, true);
    uint32_t shown = submit(ring);
    CHECK(ash_virtq_publish(&ring->queue));
    uint32_t queued = submit(ring);
    ash_virtq_break(&ring->queue, ASH_VIRTQ_FAULT_NEEDS_RESET);
    ash_virtq_restart(&ring->queue, true);
    CHECK(ash_virtq_check(&ring->queue) == NULL);
    CHECK_EQ(ash_virtq_in_flight(&ring->queue), 2);
    CHECK(ash_virtq_pending(&ring->queue, shown) && ash_virtq_pending(&ring->queue, queued));
    uint32_t third = submit(ring); /* beside them */
    CHECK(ash_virtq_check(&ring->queue) == NULL);
    for (int slot = 0; slot < 2; slot++) {
        CHECK_EQ(ash_virtq_next_aborted(&ring->queue), slot);
        ash_virtq_retire(&ring->queue, (uint32_t)slot);
        CHECK(ash_virtq_check(&ring->queue) == NULL);
    }
    CHECK_EQ(ash_virtq_next_aborted(&ring->queue), -ASH_EAGAIN);
    CHECK(!ash_virtq_pending(&ring->queue, shown) && !ash_virtq_pending(&ring->queue, queued));
    CHECK(ash_virtq_pending(&ring->queue, third));
    ash_virtq_publish(&ring->queue);
    complete_all(ring);
    CHECK_EQ(ash_virtq_in_flight(&ring->queue), 0);
}

TEST_CASE(virtq, completion_of_an_aborted_slot_breaks_the_ring) {
    struct ring *ring = ring_new(SIZE, CHAIN, SLOTS, true);
    submit(ring);
    ash_virtq_restart(&ring->queue, true);
    submit(ring); /* slot 1; slot 0 is aborted and not retired */
    ash_virtq_publish(&ring->queue);
    device_sets_used_entry(ring, 0, 0, 1);
    device_sets_used_index(ring, 1);
    uint32_t len;
    CHECK_EQ(ash_virtq_next(&ring->queue, &len), -ASH_EIO);
    CHECK_EQ(ring->queue.fault, ASH_VIRTQ_FAULT_NOT_PENDING);
    CHECK_EQ(ash_virtq_next_aborted(&ring->queue), 0);
}

TEST_CASE(virtq, first_fault_stays) {
    struct ring *ring = ring_new(SIZE, CHAIN, SLOTS, true);
    ash_virtq_break(&ring->queue, ASH_VIRTQ_FAULT_LENGTH);
    ash_virtq_break(&ring->queue, ASH_VIRTQ_FAULT_STATUS);
    CHECK_EQ(ring->queue.fault, ASH_VIRTQ_FAULT_LENGTH);
    CHECK_EQ(test_event_count("virtq.broken"), 1);
    for (uint32_t fault = 1; fault <= ASH_VIRTQ_FAULT_STOPPED; fault++)
        CHECK(ash_virtq_fault_text(fault)[0] != '\0');
    CHECK_STR_EQ(ash_virtq_fault_text(ASH_VIRTQ_OK), "");
    CHECK_STR_EQ(ash_virtq_fault_text(UINT32_MAX), "unknown fault");
}

TEST_CASE(virtq, checker_finds_each_broken_invariant) {
    for (uint32_t i = 1; i <= 5; i++) {
        struct ring *ring = ring_new(SIZE, CHAIN, SLOTS, true);
        struct ash_virtq *queue = &ring->queue;
        submit(ring);
        ash_virtq_publish(queue);
        submit(ring);
        CHECK(ash_virtq_check(queue) == NULL);
        if (i == 1)
            queue->slot_count++;
        else if (i == 2)
            queue->started[0] ^= 8;
        else if (i == 3)
            queue->avail[2 + 1] = 0;
        else if (i == 4)
            queue->desc[0].next = ASH_VIRTQ_LE16(3);
        else
            queue->avail[1]++;
        const char *broken = ash_virtq_check(queue);
        CHECK(broken != NULL && broken[0] == 'I' && broken[1] == (char)('0' + i));
    }
}
