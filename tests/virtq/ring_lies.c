/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/virtq.h>: a device that lies in the ring, and the checker. */
#include "virtq/ring_rig.h"

/* Slots of four descriptors: 0 .. 2 the chain, 3 the way to the table. 16 of 64 exist. */
static const struct ash_virtq_config shape = {.size = 64, .slots = 12, .chain = 3, .table = 4};

enum { F_AVAIL = 0x80, F_USED = 0x8000 };

struct lie {
    uint32_t id; /* slot in a packed ring */
    uint32_t len;
    enum ash_virtq_fault fault;
};

/* In flight: slots 0, 1 (a table), and 3 from its second descriptor on. Queued: 6 and 7. Retired:
 * 2, 4 and 5. */
static struct ring *ring_in_the_middle(uint32_t features) {
    struct ring *ring = ring_new(&shape, features);
    ring_submit(ring);
    ring_submit_table(ring, 3);
    ring_submit(ring);
    ring_submit_from(ring, 1);
    CHECK(ash_virtq_publish(&ring->queue));
    CHECK_EQ(ring_device_fetch_all(&ring->device), 4);
    ring_device_complete(&ring->device, 2, RING_WRITABLE_BYTES);
    CHECK_EQ(ring_reap_one(ring), 2);
    ring_submit(ring);
    ring_submit(ring);
    (void)!ash_virtq_publish(&ring->queue);
    CHECK_EQ(ring_device_fetch_all(&ring->device), 2);
    for (uint32_t slot = 4; slot < 6; slot++) {
        ring_device_complete(&ring->device, 3, RING_WRITABLE_BYTES);
        CHECK_EQ(ring_reap_one(ring), slot);
    }
    ring_submit_from(ring, 2);
    ring_submit_from(ring, 2);
    ring_check(ring);
    return ring;
}

/* The queue is broken in this way; after a restart all that was out is back, and it works. */
static void check_broken(struct ring *ring, uint64_t events, enum ash_virtq_fault fault) {
    uint32_t len = 0, in_flight = ash_virtq_in_flight(&ring->queue), aborted = 0;
    CHECK_EQ(ash_virtq_next(&ring->queue, &len), -ASH_EIO);
    CHECK_EQ(ring->queue.fault, fault);
    CHECK_EQ(test_event_count("virtq.broken"), events + 1);
    CHECK_EQ(ash_virtq_next(&ring->queue, &len), -ASH_EIO);
    CHECK_EQ(ash_virtq_in_flight(&ring->queue), in_flight);
    ring_restart(ring, fault % RING_FEATURES_END);
    for (int slot; (slot = ash_virtq_next_aborted(&ring->queue)) >= 0; aborted++)
        ash_virtq_retire_aborted(&ring->queue, (uint32_t)slot);
    CHECK_EQ(aborted, in_flight);
    ring_check(ring);
    ring_submit(ring);
    CHECK(ash_virtq_publish(&ring->queue));
    CHECK_EQ(ring_complete_all(ring), 1);
}

TEST_CASE(virtq, each_lie_in_a_split_used_entry_breaks_the_queue) {
    static const struct lie lies[] = {
        {48, 1, ASH_VIRTQ_FAULT_ID_RANGE}, /* in the table, of no slot */
        {63, 1, ASH_VIRTQ_FAULT_ID_RANGE},
        {64, 1, ASH_VIRTQ_FAULT_ID_RANGE},
        {0x10000, 1, ASH_VIRTQ_FAULT_ID_RANGE},
        {0x80000000, 1, ASH_VIRTQ_FAULT_ID_RANGE},
        {UINT32_MAX, 1, ASH_VIRTQ_FAULT_ID_RANGE},
        {1, 1, ASH_VIRTQ_FAULT_ID_NOT_HEAD},
        {2, 1, ASH_VIRTQ_FAULT_ID_NOT_HEAD},
        {3, 1, ASH_VIRTQ_FAULT_ID_NOT_HEAD}, /* the way to a table that is not in use */
        {4, 1, ASH_VIRTQ_FAULT_ID_NOT_HEAD}, /* a chain that is not in use */
        {12, 1, ASH_VIRTQ_FAULT_ID_NOT_HEAD},
        {14, 1, ASH_VIRTQ_FAULT_ID_NOT_HEAD},
        {8, 1, ASH_VIRTQ_FAULT_NOT_PENDING}, /* retired */
        {16, 1, ASH_VIRTQ_FAULT_NOT_PENDING},
        {26, 1, ASH_VIRTQ_FAULT_NOT_PENDING}, /* queued, not published */
        {32, 1, ASH_VIRTQ_FAULT_NOT_PENDING}, /* never used */
        {44, 1, ASH_VIRTQ_FAULT_NOT_PENDING},
        {0, RING_WRITABLE_BYTES + 1, ASH_VIRTQ_FAULT_LENGTH},
        {7, RING_WRITABLE_BYTES + 1, ASH_VIRTQ_FAULT_LENGTH},
        {13, UINT32_MAX, ASH_VIRTQ_FAULT_LENGTH},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(lies) * 2; i++) {
        const struct lie *lie = &lies[i / 2];
        struct ring *ring = ring_in_the_middle(i % 2);
        uint64_t events = test_event_count("virtq.broken");
        ring_device_put_used(&ring->device, ring->device.used_next, lie->id, lie->len);
        ring_device_put_used_index(&ring->device, (uint16_t)(ring->device.used_next + 1));
        check_broken(ring, events, lie->fault);
    }
}

TEST_CASE(virtq, each_lie_in_a_packed_used_entry_breaks_the_queue) {
    static const struct lie lies[] = {
        {12, 1, ASH_VIRTQ_FAULT_ID_RANGE},
        {63, 1, ASH_VIRTQ_FAULT_ID_RANGE},
        {0xffff, 1, ASH_VIRTQ_FAULT_ID_RANGE},
        {2, 1, ASH_VIRTQ_FAULT_NOT_PENDING},
        {5, 1, ASH_VIRTQ_FAULT_NOT_PENDING},
        {6, 1, ASH_VIRTQ_FAULT_NOT_PENDING},
        {11, 1, ASH_VIRTQ_FAULT_NOT_PENDING},
        {0, RING_WRITABLE_BYTES + 1, ASH_VIRTQ_FAULT_LENGTH},
        {1, RING_WRITABLE_BYTES + 1, ASH_VIRTQ_FAULT_LENGTH},
        {3, UINT32_MAX, ASH_VIRTQ_FAULT_LENGTH},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(lies) * 2; i++) {
        const struct lie *lie = &lies[i / 2];
        struct ring *ring = ring_in_the_middle(ASH_VIRTQ_PACKED | i % 2);
        uint64_t events = test_event_count("virtq.broken");
        ring_device_put_entry(&ring->device, ring->device.used_next, (uint16_t)lie->id, lie->len,
                              F_AVAIL | F_USED);
        check_broken(ring, events, lie->fault);
    }
}

TEST_CASE(virtq, completion_that_comes_twice_breaks_the_queue) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_in_the_middle(features);
        uint64_t events = test_event_count("virtq.broken");
        struct ring_request again = ring->device.held[1];
        ring_device_complete(&ring->device, 1, 1);
        CHECK_EQ(ring_reap_one(ring), 1);
        ring->device.held[0] = again;
        ring_device_complete(&ring->device, 0, 1);
        check_broken(ring, events, ASH_VIRTQ_FAULT_NOT_PENDING);
    }
}

TEST_CASE(virtq, completion_of_an_aborted_slot_breaks_the_queue) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&shape, features);
        uint64_t events = test_event_count("virtq.broken");
        ring_submit(ring);
        ring_restart(ring, features);
        ring_submit(ring); /* slot 1; slot 0 is aborted and not retired */
        (void)!ash_virtq_publish(&ring->queue);
        CHECK_EQ(ring_device_fetch_all(&ring->device), 1);
        ring->device.held[0].id = 0;
        ring_device_complete(&ring->device, 0, 1);
        check_broken(ring, events, ASH_VIRTQ_FAULT_NOT_PENDING);
    }
}

TEST_CASE(virtq, split_used_index_beyond_what_is_in_flight_breaks_the_queue) {
    struct ring *ring = ring_in_the_middle(0);
    uint16_t published = ring->queue.published, used = ring->queue.used_next;
    const uint16_t lies[] = {(uint16_t)(published + 1), (uint16_t)(published + 2),
                             (uint16_t)(published + 0x8000), (uint16_t)(used - 1),
                             (uint16_t)(used - 0x8000)};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(lies); i++) {
        ring = ring_in_the_middle(i % 2);
        uint64_t events = test_event_count("virtq.broken");
        ring_device_put_used_index(&ring->device, lies[i]);
        check_broken(ring, events, ASH_VIRTQ_FAULT_USED_INDEX);
    }
}

/* Only both bits, as this lap has them, make a packed entry used. */
TEST_CASE(virtq, packed_entry_with_wrong_wrap_bits_is_no_completion) {
    static const struct ash_virtq_config tiny = {.size = 4, .slots = 2, .chain = 2};
    for (uint32_t lap = 0; lap < 4; lap++) {
        struct ring *ring = ring_new(&tiny, ASH_VIRTQ_PACKED);
        for (uint32_t i = 0; i < 2 * lap; i++) {
            ring_submit(ring);
            (void)!ash_virtq_publish(&ring->queue);
            CHECK_EQ(ring_complete_all(ring), 1);
        }
        ring_submit(ring);
        (void)!ash_virtq_publish(&ring->queue);
        uint32_t used = lap % 2 == 0 ? F_AVAIL | F_USED : 0, len = 0;
        for (uint32_t bits = 0; bits < 8; bits++) {
            uint32_t flags = (bits & 1) * F_AVAIL | (bits >> 1 & 1) * F_USED | (bits & 4);
            if ((flags & (F_AVAIL | F_USED)) == used)
                continue;
            ring_device_put_entry(&ring->device, 0, 0, 1, (uint16_t)flags);
            CHECK_EQ(ash_virtq_next(&ring->queue, &len), -ASH_EAGAIN);
            CHECK(ash_virtq_arm(&ring->queue, 1));
        }
        ring_device_put_entry(&ring->device, 1, 0, 1, (uint16_t)used); /* not its turn */
        CHECK_EQ(ash_virtq_next(&ring->queue, &len), -ASH_EAGAIN);
        ring_device_put_entry(&ring->device, 0, 0, 1, (uint16_t)(used | 2));
        CHECK_EQ(ash_virtq_next(&ring->queue, &len), 0);
        CHECK(!ash_virtq_arm(&ring->queue, 1));
    }
}

/* A device that says used where nothing is in flight. */
TEST_CASE(virtq, completion_of_an_empty_queue_breaks_it) {
    for (uint32_t features = 0; features < RING_FEATURES_END; features++) {
        struct ring *ring = ring_new(&shape, features);
        uint64_t events = test_event_count("virtq.broken");
        if ((features & ASH_VIRTQ_PACKED) != 0) {
            ring_device_put_entry(&ring->device, 0, 0, 0, F_AVAIL | F_USED);
            check_broken(ring, events, ASH_VIRTQ_FAULT_NOT_PENDING);
        } else {
            ring_device_put_used_index(&ring->device, 1);
            check_broken(ring, events, ASH_VIRTQ_FAULT_USED_INDEX);
        }
    }
}

/* The checker. Each way to break an invariant: its number, and what it needs of the formats. */
enum { BOTH, SPLIT, PACKED };

static void break_shape(struct ash_virtq *queue) {
    queue->slot_count = 17;
}
static void break_size(struct ash_virtq *queue) {
    queue->size = 63;
}
static void break_no_slot(struct ash_virtq *queue) {
    queue->started[0] ^= UINT64_C(1) << 12;
}
static void break_far_slot(struct ash_virtq *queue) {
    queue->submitted[15] = 1;
}
static void break_started(struct ash_virtq *queue) {
    queue->started[0] ^= 1 << 5;
}
static void break_finished(struct ash_virtq *queue) {
    queue->finished[0] ^= 1 << 0;
}
static void break_submitted(struct ash_virtq *queue) {
    queue->submitted[0] |= 1 << 0;
}
static void break_aborted(struct ash_virtq *queue) {
    queue->aborted[0] |= 1 << 6;
}
static void break_aborted_count(struct ash_virtq *queue) {
    queue->aborted_count++;
}
static void break_queued(struct ash_virtq *queue) {
    queue->queued++;
}
static void break_used_next(struct ash_virtq *queue) {
    queue->used_next++;
}
static void break_free(struct ash_virtq *queue) {
    queue->free_slots |= 1 << 3;
}
static void break_free_submitted(struct ash_virtq *queue) {
    queue->free_slots |= 1 << 7;
}
static void break_free_none(struct ash_virtq *queue) {
    queue->free_slots |= 1 << 12;
}
static void break_head(struct ash_virtq *queue) {
    queue->slots[1].id = 8;
}
static void break_entries(struct ash_virtq *queue) {
    queue->slots[0].entries = 4;
}
static void break_entries_queued(struct ash_virtq *queue) {
    queue->entries_queued++;
}
static void break_entries_used(struct ash_virtq *queue) {
    queue->entries_used--;
}
static void break_avail(struct ash_virtq *queue) {
    queue->driver_area[ASH__VIRTQ_RING + queue->published % queue->size] = 0;
}
static void break_avail_twice(struct ash_virtq *queue) {
    uint16_t *first = &queue->driver_area[ASH__VIRTQ_RING + queue->published % queue->size];
    first[1] = first[0];
}
static void break_position(struct ash_virtq *queue) {
    queue->position++;
}
static void break_lap(struct ash_virtq *queue) {
    queue->avail_flags ^= F_AVAIL | F_USED;
}
static void break_used_lap(struct ash_virtq *queue) {
    queue->used_flags ^= F_AVAIL | F_USED;
}
static void break_held(struct ash_virtq *queue) {
    queue->ring[queue->held_position].u.packed.flags = queue->held_flags;
}
static void break_next(struct ash_virtq *queue) {
    queue->chains[9 << queue->shape.shift].u.split.next = ASH_VIRTQ_LE16(3);
}
static void break_end(struct ash_virtq *queue) {
    queue->chains[2].u.split.flags |= ASH_VIRTQ_LE16(ASH_VIRTQ_DESC_NEXT);
}
static void break_link(struct ash_virtq *queue) {
    queue->chains[1].u.split.flags = 0;
}
static void break_avail_index(struct ash_virtq *queue) {
    queue->driver_area[ASH__VIRTQ_INDEX]++;
}

TEST_CASE(virtq, checker_finds_each_broken_invariant) {
    static const struct {
        void (*breaks)(struct ash_virtq *queue);
        char number;
        int format;
    } ways[] = {
        {break_shape, '1', BOTH},
        {break_size, '1', BOTH},
        {break_no_slot, '1', BOTH},
        {break_far_slot, '1', BOTH},
        {break_started, '2', BOTH},
        {break_finished, '2', BOTH},
        {break_submitted, '2', BOTH},
        {break_aborted, '2', BOTH},
        {break_aborted_count, '2', BOTH},
        {break_queued, '2', BOTH},
        {break_used_next, '2', BOTH},
        {break_free, '2', BOTH},
        {break_free_submitted, '2', BOTH},
        {break_free_none, '1', BOTH},
        {break_head, '2', SPLIT},
        {break_entries, '2', BOTH},
        {break_entries_queued, '2', PACKED},
        {break_entries_used, '2', PACKED},
        {break_avail, '3', SPLIT},
        {break_avail_twice, '3', SPLIT},
        {break_position, '3', PACKED},
        {break_lap, '3', PACKED},
        {break_used_lap, '3', PACKED},
        {break_held, '3', PACKED},
        {break_next, '4', BOTH},
        {break_end, '4', BOTH},
        {break_link, '4', BOTH},
        {break_avail_index, '5', SPLIT},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(ways) * RING_FEATURES_END; i++) {
        uint32_t way = i / RING_FEATURES_END, features = i % RING_FEATURES_END;
        bool packed = (features & ASH_VIRTQ_PACKED) != 0;
        if (ways[way].format == (packed ? SPLIT : PACKED))
            continue;
        struct ring *ring = ring_in_the_middle(features);
        ways[way].breaks(&ring->queue);
        const char *broken = ash_virtq_check(&ring->queue);
        if (broken == NULL || broken[0] != 'I' || broken[1] != ways[way].number)
            test_fail(__FILE__, __LINE__, "way %u, features %u: I%c expected, found: %s", way,
                      features, ways[way].number, broken == NULL ? "nothing" : broken);
    }
}
