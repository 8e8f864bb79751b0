/* SPDX-License-Identifier: MIT */
/* ring.c: the fake device's side of the rings: steps, order, notifications, index wrap. */
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

/* What the device asks to be notified of. */
static uint32_t raw_asked(struct raw_driver *raw) {
    if (!raw->packed)
        return raw_u16(raw, raw_avail_event_at(raw));
    ash_paddr_t at = raw_device_event_at(raw);
    return raw_u16(raw, at) | (uint32_t)raw_u16(raw, at + 2) << 16;
}

TEST_CASE(device_ring, step_does_one_ring_action) {
    RAW_EACH_FORMAT(features) {
        struct raw_driver *raw = raw_new(NULL, SECTORS);
        raw_start(raw, features, 4);
        struct fake_virtio *device = raw->device;
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
        CHECK(!raw_is_used(raw));
        CHECK_EQ(fake_virtio_in_flight(device), 1);
        CHECK(fake_virtio_step(device)); /* publish */
        CHECK(raw_is_used(raw));
        CHECK_EQ(fake_virtio_in_flight(device), 0);
        CHECK(!raw->line);
        CHECK(fake_virtio_step(device)); /* interrupt */
        CHECK(raw->line);
        uint32_t event = raw_asked(raw);
        CHECK(fake_virtio_step(
            device)); /* arm: the next one, after three descriptors in a packed ring */
        CHECK(raw_asked(raw) != event);
        CHECK_EQ(raw_asked(raw), raw->packed ? 2u << 16 | 0x8000 | 3 : 1);
        CHECK(fake_virtio_step(device)); /* look once more, sleep */
        CHECK(!fake_virtio_step(device));
        raw_check_clean(raw);
    }
}

TEST_CASE(device_ring, sleeping_device_does_not_look_at_the_ring) {
    RAW_EACH_FORMAT(features) {
        struct raw_driver *raw = raw_new(NULL, SECTORS);
        raw_start(raw, features, 4);
        raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
        raw_offer(raw, 0);
        raw_publish(raw);
        CHECK(!fake_virtio_step(raw->device));
        CHECK_EQ(raw->device->stats.fetched, 0);
        raw_notify(raw);
        CHECK(fake_virtio_step(raw->device));
        CHECK_EQ(raw->device->stats.fetched, 1);
    }
}

/* The window between "notify me" and sleep: what comes there is found by the second look. */
TEST_CASE(device_ring, buffer_offered_between_arm_and_sleep_is_not_lost) {
    RAW_EACH_FORMAT(features) {
        for (uint32_t event_idx = 0; event_idx < 2; event_idx++) {
            struct raw_driver *raw = raw_new(NULL, SECTORS);
            raw_start(raw, features & ~(event_idx ? 0 : FAKE_VIRTIO_F_EVENT_IDX), 8);
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
}

TEST_CASE(device_ring, order_is_the_policys) {
    RAW_EACH_FORMAT(features) {
        struct raw_driver *raw = raw_new(NULL, SECTORS);
        uint32_t ids[5], moved = 0;
        for (uint32_t order = FAKE_VIRTIO_FIFO; order <= FAKE_VIRTIO_RANDOM; order++) {
            raw_start(raw, features, 16);
            fake_virtio_set_policy(
                raw->device,
                &(struct fake_virtio_policy){.order = (enum fake_virtio_order)order, .seed = 3});
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
}

TEST_CASE(device_ring, latency_is_counted_in_steps) {
    RAW_EACH_FORMAT(features) {
        struct raw_driver *raw = raw_new(NULL, SECTORS);
        raw_start(raw, features, 4);
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
}

static uint64_t clock_of(void *context) {
    return *(const uint64_t *)context;
}

TEST_CASE(device_ring, latency_in_time_waits_for_the_clock_and_not_for_steps) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    uint64_t now_ns = 1000;
    raw_start(raw, RAW_ALL_FEATURES, 4);
    fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.latency_ns = 500,
                                                                     .clock_ns = clock_of,
                                                                     .clock_context = &now_ns});
    CHECK_EQ(fake_virtio_due_ns(raw->device), UINT64_MAX);
    raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
    raw_offer(raw, 0);
    raw_kick(raw);
    fake_virtio_run(raw->device, 1000);
    CHECK(raw->device->now < 20); /* it did not wait by stepping */
    CHECK_EQ(fake_virtio_due_ns(raw->device), 1500);
    now_ns = 1499;
    CHECK(!fake_virtio_step(raw->device));
    CHECK_EQ(raw_status(raw, 0), 0xff);
    now_ns = 1500;
    fake_virtio_run(raw->device, 1000);
    CHECK_EQ(raw_status(raw, 0), RAW_OK);
    CHECK_EQ(fake_virtio_due_ns(raw->device), UINT64_MAX);
}

TEST_CASE(device_ring, used_entries_show_by_the_batch) {
    RAW_EACH_FORMAT(features) {
        struct raw_driver *raw = raw_new(NULL, SECTORS);
        raw_start(raw, features, 16);
        fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.used_batch = 3});
        offer_reads(raw, 5);
        raw_kick(raw);
        uint32_t id, len, seen = 0;
        while (fake_virtio_step(raw->device)) {
            uint32_t before = seen;
            while (raw_used(raw, &id, &len))
                CHECK_EQ(id, 3 * seen++);
            CHECK(seen == before || seen == 3 || seen == 5);
        }
        CHECK_EQ(seen, 5);
        CHECK_EQ(raw->device->stats.published, 2);
    }
}

TEST_CASE(device_ring, same_seed_same_run) {
    RAW_EACH_FORMAT(features) {
        uint32_t ids[2][5];
        uint64_t steps[2];
        for (uint32_t i = 0; i < 2; i++) {
            struct raw_driver *raw = raw_new(NULL, SECTORS);
            raw_start(raw, features, 16);
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
        uint16_t before = (uint16_t)raw->used_seen;
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
    RAW_EACH_FORMAT(features) {
        struct raw_driver *raw = raw_new(NULL, SECTORS);
        raw_start(raw, features, 16);
        fake_virtio_set_policy(raw->device,
                               &(struct fake_virtio_policy){.notify = FAKE_VIRTIO_NOTIFY_ALWAYS});
        raw_ask(raw, raw->packed ? 15 : 1000);
        offer_reads(raw, 5);
        raw_kick(raw);
        fake_virtio_run(raw->device, 1000);
        CHECK_EQ(raw->device->stats.interrupts, 5);
    }
}

TEST_CASE(device_ring, busy_device_wants_no_notification) {
    RAW_EACH_FORMAT(features) {
        struct raw_driver *raw = raw_new(NULL, SECTORS);
        for (uint32_t event_idx = 0; event_idx < 2; event_idx++) {
            raw_start(raw, features & ~(event_idx ? 0 : FAKE_VIRTIO_F_EVENT_IDX), 16);
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
}

/* Packed rings: a descriptor of either lap asked for, chains of three that cross the seam. */
TEST_CASE(device_ring, interrupt_comes_exactly_when_the_descriptor_asked_for_is_used) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    struct test_random random = test_random_from(test_seed());
    uint32_t ids[5];
    raw_start(raw, RAW_PACKED, 17);
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t n = 1 + (uint32_t)test_random_below(&random, 5);
        uint64_t before = raw->used_seen;
        uint64_t event = before + test_random_below(&random, 2 * 17);
        fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.used_batch = n});
        raw_ask(raw, event);
        offer_reads(raw, n);
        raw_kick(raw);
        run_and_take(raw, ids, n);
        CHECK_EQ(raw->used_seen - before, 3 * n);
        CHECK_EQ(raw->line, event < raw->used_seen);
        if (raw->line)
            raw_write(raw, RAW_INTERRUPT_ACK, 1);
    }
    raw_check_clean(raw);
}

TEST_CASE(device_ring, driver_event_flags_silence_a_packed_ring) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    for (uint32_t event_idx = 0; event_idx < 2; event_idx++) {
        raw_start(raw, RAW_PACKED & ~(event_idx ? 0 : FAKE_VIRTIO_F_EVENT_IDX), 4);
        raw_set_u16(raw, raw_driver_event_at(raw) + 2, 1);
        raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
        raw_do(raw, 0);
        CHECK(!raw->line);
        raw_set_u16(raw, raw_driver_event_at(raw) + 2, 0);
        raw_do(raw, 0);
        CHECK(raw->line);
    }
    raw_check_clean(raw);
}

/* B overtakes A: its used descriptor lies over A's first, and the driver offers C over B's place
 * and more while A is in flight. */
TEST_CASE(device_ring, chain_in_flight_survives_what_is_written_over_it) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    uint32_t id, len;
    raw_start(raw, RAW_PACKED, 6);
    fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.order = FAKE_VIRTIO_LIFO});
    offer_reads(raw, 2); /* all six descriptors; buffer 0 is A, 3 is B */
    raw_kick(raw);
    while (!raw_used(raw, &id, &len))
        CHECK(fake_virtio_step(raw->device));
    CHECK_EQ(id, 3);
    CHECK_EQ(raw->used_seen, 3); /* B took the place that A had */
    CHECK_EQ(raw_status(raw, 0), 0xff);
    raw_request(raw, 3, RAW_IN, 7, RAW_BASE + DATA + 4096, 512);
    raw_offer(raw, 3); /* C, where A's descriptors were */
    raw_kick(raw);
    fake_virtio_run(raw->device, 1000);
    uint32_t seen = 0;
    while (raw_used(raw, &id, &len)) {
        CHECK_EQ(len, 513);
        seen |= 1u << id;
    }
    CHECK_EQ(seen, 1u << 0 | 1u << 3);
    CHECK_EQ(*raw_at(raw, RAW_BASE + DATA + 1), raw_pattern(1));
    CHECK_EQ(*raw_at(raw, RAW_BASE + DATA + 4096 + 8), raw_pattern(7 * 512 + 8));
    raw_check_clean(raw);
}

/* Wrap */

/* More than 65536 requests through every size: entries, indexes and events wrap. */
static void run_round(struct raw_driver *raw, uint32_t *total) {
    uint16_t heads = (uint16_t)(raw->size / 2);
    uint32_t id, len, taken = 0;
    for (uint16_t i = 0; i < heads; i++)
        raw_offer(raw, (uint16_t)(2 * i));
    raw_ask(raw, raw->used_seen + (raw->packed ? 2u * heads : heads) - 1);
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

static void run_past_the_wrap(uint64_t features, uint16_t size, uint32_t requests) {
    struct fake_virtio_blk_config config = {.queue_size_max = 1024};
    struct raw_driver *raw = raw_new(&config, SECTORS);
    uint32_t total = 0;
    raw_start(raw, features, size);
    for (uint16_t i = 0; i + 1 < size; i = (uint16_t)(i + 2))
        raw_request(raw, i, RAW_FLUSH, 0, 0, 0);
    while (total < requests)
        run_round(raw, &total);
    CHECK_EQ(raw->device->stats.retired, total);
    CHECK_EQ(raw->rises, total / (size / 2u));
    CHECK_EQ(raw->device->stats.notifications_needless, 0);
    raw_check_clean(raw);
}

TEST_CASE(device_ring, smallest_queue_runs_past_the_index_wrap) {
    run_past_the_wrap(RAW_ALL_FEATURES, 2, 70000);
    run_past_the_wrap(RAW_PACKED, 2, 10000);
}

TEST_CASE(device_ring, largest_queue_runs_past_the_index_wrap) {
    run_past_the_wrap(RAW_ALL_FEATURES, 1024, 140000);
    run_past_the_wrap(RAW_PACKED, 1024, 20000);
}

TEST_CASE(device_ring, packed_queue_of_odd_size_wraps_in_mid_chain) {
    run_past_the_wrap(RAW_PACKED, 7, 10000);
}

TEST_CASE(device_ring, every_queue_size_works) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    RAW_EACH_FORMAT(features) {
        for (uint16_t size = 2; size <= 1024; size = (uint16_t)(size * 2)) {
            struct fake_virtio_blk_config config = {.queue_size_max = size};
            raw_power(raw, &config);
            uint32_t total = 0;
            raw_start(raw, features, size);
            for (uint16_t i = 0; i < size; i = (uint16_t)(i + 2))
                raw_request(raw, i, RAW_FLUSH, 0, 0, 0);
            run_round(raw, &total);
            run_round(raw, &total);
            raw_check_clean(raw);
        }
    }
}
