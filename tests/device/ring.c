/* SPDX-License-Identifier: MIT */
/* ring.c: the fake device's side of split rings: steps, order, notifications, index wrap. */
#include "device/raw_driver.h"
#include "harness/test.h"

enum { DATA = 0x20000, SECTORS = 64 };

/* Steps until n requests were published; what was used, in order, in ids. */
static void run_and_take(struct raw_driver *raw, uint32_t *ids, uint32_t n) {
    uint32_t len;
    fake_virtio_run(raw->device, 100000);
    for (uint32_t i = 0; i < n; i++)
        CHECK(raw_used(raw, &ids[i], &len));
    CHECK(!raw_used(raw, &ids[0], &len));
}

static void offer_reads(struct raw_driver *raw, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        raw_request(raw, (uint16_t)(3 * i), RAW_IN, i, RAW_BASE + DATA + 512u * i, 512);
        raw_offer(raw, (uint16_t)(3 * i));
    }
}

TEST_CASE(device_ring, step_does_one_ring_action) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_ALL_FEATURES, 4);
    struct fake_virtio *device = raw->device;
    ash_paddr_t used_idx = raw_used_at(raw) + 2;
    CHECK(!fake_virtio_step(device));
    raw_request(raw, 0, RAW_IN, 7, RAW_BASE + DATA, 512);
    raw_offer(raw, 0);
    CHECK(raw_kick(raw));
    CHECK(fake_virtio_step(device)); /* fetch */
    CHECK_EQ(device->stats.fetched, 1);
    CHECK_EQ(raw_status(raw, 0), 0xff);
    CHECK(fake_virtio_step(device)); /* execute */
    CHECK_EQ(raw_status(raw, 0), RAW_OK);
    CHECK_EQ(device->stats.retired, 0);
    CHECK(fake_virtio_step(device)); /* retire: in the ring, not yet visible */
    CHECK_EQ(device->stats.retired, 1);
    CHECK_EQ(raw_u16(raw, used_idx), 0);
    CHECK_EQ(fake_virtio_in_flight(device), 1);
    CHECK(fake_virtio_step(device)); /* publish */
    CHECK_EQ(raw_u16(raw, used_idx), 1);
    CHECK_EQ(fake_virtio_in_flight(device), 0);
    CHECK(!raw->line);
    CHECK(fake_virtio_step(device)); /* interrupt */
    CHECK(raw->line);
    CHECK_EQ(raw_u16(raw, raw_avail_event_at(raw)), 0);
    CHECK(fake_virtio_step(device)); /* arm */
    CHECK_EQ(raw_u16(raw, raw_avail_event_at(raw)), 1);
    CHECK(fake_virtio_step(device)); /* look once more, sleep */
    CHECK(!fake_virtio_step(device));
    raw_check_clean(raw);
}

TEST_CASE(device_ring, sleeping_device_does_not_look_at_the_ring) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_ALL_FEATURES, 4);
    raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
    raw_offer(raw, 0);
    raw_publish(raw);
    CHECK(!fake_virtio_step(raw->device));
    CHECK_EQ(raw->device->stats.fetched, 0);
    raw_notify(raw);
    CHECK(fake_virtio_step(raw->device));
    CHECK_EQ(raw->device->stats.fetched, 1);
}

/* The window between "notify me" and sleep: what comes there is found by the second look. */
TEST_CASE(device_ring, buffer_offered_between_arm_and_sleep_is_not_lost) {
    for (uint32_t event_idx = 0; event_idx < 2; event_idx++) {
        struct raw_driver *raw = raw_new(NULL, SECTORS);
        raw_start(raw, RAW_ALL_FEATURES & ~(event_idx ? 0 : FAKE_VIRTIO_F_EVENT_IDX), 8);
        for (uint32_t stop_after = 0; stop_after < 12; stop_after++) {
            uint32_t id, len, taken = 0;
            raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
            raw_request(raw, 3, RAW_FLUSH, 0, 0, 0);
            raw_offer(raw, 0);
            raw_kick(raw);
            for (uint32_t i = 0; i < stop_after; i++)
                fake_virtio_step(raw->device);
            raw_offer(raw, 3);
            raw_kick(raw);
            fake_virtio_check_notified(raw->device);
            fake_virtio_run(raw->device, 1000);
            while (raw_used(raw, &id, &len))
                taken++;
            CHECK_EQ(taken, 2);
        }
        CHECK_EQ(raw->device->stats.notifications_needless, 0);
        raw_check_clean(raw);
    }
}

TEST_CASE(device_ring, order_is_the_policys) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    uint32_t ids[5], moved = 0;
    for (uint32_t order = FAKE_VIRTIO_FIFO; order <= FAKE_VIRTIO_RANDOM; order++) {
        raw_start(raw, RAW_ALL_FEATURES, 16);
        fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){
                                                .order = (enum fake_virtio_order)order, .seed = 3});
        offer_reads(raw, 5);
        raw_kick(raw);
        run_and_take(raw, ids, 5);
        for (uint32_t i = 0; i < 5; i++) {
            if (order == FAKE_VIRTIO_FIFO)
                CHECK_EQ(ids[i], 3 * i);
            if (order == FAKE_VIRTIO_LIFO)
                CHECK_EQ(ids[i], 3 * (4 - i));
            moved += order == FAKE_VIRTIO_RANDOM && ids[i] != 3 * i;
            CHECK_EQ(raw_status(raw, (uint16_t)(3 * i)), RAW_OK);
        }
    }
    CHECK(moved != 0);
    raw_check_clean(raw);
}

TEST_CASE(device_ring, latency_is_counted_in_steps) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_ALL_FEATURES, 4);
    fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.latency_steps = 20});
    raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
    raw_offer(raw, 0);
    raw_kick(raw);
    uint32_t steps = 0;
    while (raw_status(raw, 0) == 0xff) {
        CHECK(fake_virtio_step(raw->device));
        steps++;
    }
    CHECK_EQ(steps, 21); /* the fetch, then the twentieth step after it */
}

TEST_CASE(device_ring, used_idx_moves_by_the_batch) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_ALL_FEATURES, 16);
    fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.used_batch = 3});
    offer_reads(raw, 5);
    raw_kick(raw);
    uint16_t before = 0;
    while (fake_virtio_step(raw->device)) {
        uint16_t idx = raw_u16(raw, raw_used_at(raw) + 2);
        CHECK(idx == before || idx == 3 || idx == 5);
        before = idx;
    }
    CHECK_EQ(before, 5);
    CHECK_EQ(raw->device->stats.published, 2);
}

TEST_CASE(device_ring, same_seed_same_run) {
    uint32_t ids[2][5];
    uint64_t steps[2];
    for (uint32_t i = 0; i < 2; i++) {
        struct raw_driver *raw = raw_new(NULL, SECTORS);
        raw_start(raw, RAW_ALL_FEATURES, 16);
        fake_virtio_set_policy(raw->device,
                               &(struct fake_virtio_policy){.order = FAKE_VIRTIO_RANDOM,
                                                            .shuffle_actions = true,
                                                            .latency_spread = 9,
                                                            .seed = 77});
        offer_reads(raw, 5);
        raw_kick(raw);
        run_and_take(raw, ids[i], 5);
        steps[i] = raw->device->now;
    }
    CHECK_MEM_EQ(ids[0], ids[1], sizeof(ids[0]));
    CHECK_EQ(steps[0], steps[1]);
}

/* Notifications */

TEST_CASE(device_ring, event_needed_is_what_the_specification_says) {
    struct test_random random = test_random_from(test_seed());
    for (uint32_t i = 0; i < 20000; i++) {
        uint16_t before = (uint16_t)test_random_u64(&random);
        uint16_t after = (uint16_t)(before + test_random_below(&random, 40));
        uint16_t event = (uint16_t)(before - 20 + test_random_below(&random, 80));
        if (test_random_chance(&random, 10))
            event = (uint16_t)test_random_u64(&random);
        bool passed = false;
        for (uint16_t idx = before; idx != after; idx++)
            passed = passed || idx == event;
        CHECK_EQ(fake_virtio_event_needed(event, after, before), passed);
    }
}

/* used_event at any distance, batches of any length, over the wrap of the index: the line rises
 * exactly if the batch contains the entry that was asked for. */
TEST_CASE(device_ring, interrupt_comes_exactly_when_used_event_is_passed) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    struct test_random random = test_random_from(test_seed());
    uint32_t ids[5];
    raw_start(raw, RAW_ALL_FEATURES, 16);
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t n = 1 + (uint32_t)test_random_below(&random, 5);
        uint16_t before = raw->used_seen;
        uint16_t event = (uint16_t)(before - 3 + test_random_below(&random, 10));
        fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.used_batch = n});
        raw_set_u16(raw, raw_used_event_at(raw), event);
        offer_reads(raw, n);
        raw_kick(raw);
        run_and_take(raw, ids, n);
        CHECK_EQ(raw->line, (uint16_t)(event - before) < n);
        if (raw->line)
            raw_write(raw, RAW_INTERRUPT_ACK, 1);
    }
    raw_check_clean(raw);
}

TEST_CASE(device_ring, without_event_idx_the_avail_flag_silences) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_ALL_FEATURES & ~FAKE_VIRTIO_F_EVENT_IDX, 4);
    raw_set_u16(raw, raw_avail_at(raw), 1);
    raw_set_u16(raw, raw_used_event_at(raw), 0); /* must be ignored */
    raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
    raw_do(raw, 0);
    CHECK(!raw->line);
    CHECK_EQ(raw->device->stats.interrupts_suppressed, 1);
    raw_set_u16(raw, raw_avail_at(raw), 0);
    raw_do(raw, 0);
    CHECK(raw->line);
    raw_check_clean(raw);
}

TEST_CASE(device_ring, notify_always_interrupts_after_each_publication) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_ALL_FEATURES, 16);
    fake_virtio_set_policy(raw->device,
                           &(struct fake_virtio_policy){.notify = FAKE_VIRTIO_NOTIFY_ALWAYS});
    raw_set_u16(raw, raw_used_event_at(raw), 1000);
    offer_reads(raw, 5);
    raw_kick(raw);
    fake_virtio_run(raw->device, 1000);
    CHECK_EQ(raw->device->stats.interrupts, 5);
}

TEST_CASE(device_ring, busy_device_wants_no_notification) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    for (uint32_t event_idx = 0; event_idx < 2; event_idx++) {
        raw_start(raw, RAW_ALL_FEATURES & ~(event_idx ? 0 : FAKE_VIRTIO_F_EVENT_IDX), 16);
        uint64_t before = raw->device->stats.notifications;
        offer_reads(raw, 2);
        CHECK(raw_kick(raw));
        fake_virtio_step(raw->device);
        raw_request(raw, 9, RAW_FLUSH, 0, 0, 0);
        raw_offer(raw, 9);
        CHECK(!raw_kick(raw));
        CHECK_EQ(raw->device->stats.notifications, before + 1);
        CHECK_EQ(raw->device->stats.notifications_needless, event_idx);
        raw_notify(raw); /* legal, and counted as needless */
        CHECK_EQ(raw->device->stats.notifications_needless, event_idx + 1);
        fake_virtio_run(raw->device, 1000);
        CHECK_EQ(fake_virtio_in_flight(raw->device), 0);
    }
    raw_check_clean(raw);
}

/* Wrap */

/* More than 65536 requests through every size: entries, indexes and events wrap. */
static void run_round(struct raw_driver *raw, uint32_t *total) {
    uint16_t heads = (uint16_t)(raw->size / 2);
    uint32_t id, len, taken = 0;
    for (uint16_t i = 0; i < heads; i++)
        raw_offer(raw, (uint16_t)(2 * i));
    raw_set_u16(raw, raw_used_event_at(raw), (uint16_t)(raw->used_seen + heads - 1));
    raw_kick(raw);
    fake_virtio_run(raw->device, 100000);
    for (; raw_used(raw, &id, &len); taken++) {
        CHECK_EQ(id, 2 * taken);
        CHECK_EQ(len, 1);
    }
    CHECK_EQ(taken, heads);
    CHECK(raw->line);
    raw_write(raw, RAW_INTERRUPT_ACK, 1);
    *total += taken;
}

static void run_past_the_wrap(uint16_t size, uint32_t requests) {
    struct fake_virtio_blk_config config = {.queue_size_max = 1024};
    struct raw_driver *raw = raw_new(&config, SECTORS);
    uint32_t total = 0;
    raw_start(raw, RAW_ALL_FEATURES, size);
    for (uint16_t i = 0; i < size; i = (uint16_t)(i + 2))
        raw_request(raw, i, RAW_FLUSH, 0, 0, 0);
    while (total < requests)
        run_round(raw, &total);
    CHECK_EQ(raw->device->stats.retired, total);
    CHECK_EQ(raw->rises, total / (size / 2u));
    CHECK_EQ(raw->device->stats.notifications_needless, 0);
    raw_check_clean(raw);
}

TEST_CASE(device_ring, smallest_queue_runs_past_the_index_wrap) {
    run_past_the_wrap(2, 70000);
}

TEST_CASE(device_ring, largest_queue_runs_past_the_index_wrap) {
    run_past_the_wrap(1024, 140000);
}

TEST_CASE(device_ring, every_queue_size_works) {
    for (uint16_t size = 2; size <= 1024; size = (uint16_t)(size * 2)) {
        struct fake_virtio_blk_config config = {.queue_size_max = size};
        struct raw_driver *raw = raw_new(&config, SECTORS);
        uint32_t total = 0;
        raw_start(raw, RAW_ALL_FEATURES, size);
        for (uint16_t i = 0; i < size; i = (uint16_t)(i + 2))
            raw_request(raw, i, RAW_FLUSH, 0, 0, 0);
        run_round(raw, &total);
        run_round(raw, &total);
        raw_check_clean(raw);
    }
}
