/* SPDX-License-Identifier: MIT */
/*
 * garbage.c: a driver that writes nonsense: into registers, rings, chains and requests, before and
 * while the device works. It must neither leave the guest's memory nor stop working after a reset.
 */
#include "device/raw_driver.h"
#include "harness/test.h"

enum { SECTORS = 64, DATA = 0x20000 };

static uint64_t below(struct test_random *random, uint64_t limit) {
    return test_random_below(random, limit);
}

/* An address that is often nearly right. */
static ash_paddr_t some_address(struct test_random *random) {
    static const ash_paddr_t marks[] = {
        0, RAW_BASE, RAW_BASE + 0x100, RAW_BASE + DATA, RAW_BASE + RAW_RAM_BYTES, UINT64_MAX};
    if (test_random_chance(random, 10))
        return test_random_u64(random);
    return marks[below(random, ASH_ARRAY_LEN(marks))] - 64 + below(random, 128);
}

static uint32_t some_len(struct test_random *random) {
    static const uint32_t marks[] = {0, 1, 16, 32, 512, 4096, UINT32_MAX};
    return marks[below(random, ASH_ARRAY_LEN(marks))] - (uint32_t)below(random, 3) + 1;
}

static void write_register(struct raw_driver *raw, struct test_random *random) {
    uint32_t offset = (uint32_t)below(random, FAKE_VIRTIO_MMIO_BYTES);
    uint32_t value = (uint32_t)test_random_u64(random);
    if (test_random_chance(random, 70))
        offset &= ~3u;
    if (test_random_chance(random, 50))
        value = (uint32_t)below(random, 17);
    if ((offset == RAW_QUEUE_DESC || offset == RAW_QUEUE_DRIVER || offset == RAW_QUEUE_DEVICE) &&
        test_random_chance(random, 80))
        value = (uint32_t)some_address(random);
    uint32_t width = test_random_chance(random, 90) ? 4 : 1u << below(random, 3);
    if (test_random_chance(random, 30))
        fake_virtio_mmio_read(&raw->window, offset, width);
    else
        fake_virtio_mmio_write(&raw->window, offset, width, value);
}

static void write_ring(struct raw_driver *raw, struct test_random *random) {
    uint16_t size = raw->size, index = (uint16_t)below(random, size);
    uint16_t flags = (uint16_t)below(random, test_random_chance(random, 95) ? 8 : 65536);
    uint16_t next = (uint16_t)below(random, size + 1u);
    uint64_t what = below(random, 5);
    if (raw->packed && what >= 3) { /* the driver's own copying would trip over nonsense */
        uint64_t position = raw->avail_idx + below(random, 3);
        uint16_t bits = raw_avail_bits(raw, position);
        raw_put(raw, position, some_address(random), some_len(random), next,
                (uint16_t)(flags | (test_random_chance(random, 90) ? bits : below(random, 65536))));
        raw->avail_idx += below(random, 2);
        return;
    }
    switch (what) {
    case 0:
        raw_desc(raw, raw_desc_at(raw, index), some_address(random), some_len(random), flags, next);
        break;
    case 1:
        raw_desc(raw, RAW_BASE + 0x20000 + 16u * below(random, 40), some_address(random),
                 some_len(random), flags, next);
        break;
    case 2:
        raw_header(raw, RAW_BASE + DATA - 64 + below(random, 128), (uint32_t)below(random, 16),
                   test_random_chance(random, 80) ? below(random, SECTORS + 2)
                                                  : test_random_u64(random));
        break;
    case 3:
        raw_offer(raw, test_random_chance(random, 95) ? index : (uint16_t)below(random, 65536));
        raw_publish(raw);
        break;
    default:
        raw_request(raw, (uint16_t)below(random, size - 2u), (uint32_t)below(random, 16),
                    below(random, SECTORS), RAW_BASE + DATA, 512);
        break;
    }
}

static void play(struct raw_driver *raw, struct test_random *random) {
    static const uint16_t sizes[] = {4, 8, 64};
    raw_start(raw, test_random_chance(random, 50) ? RAW_PACKED : RAW_ALL_FEATURES,
              sizes[below(random, 3)]);
    bool registers = test_random_chance(random, 30);
    for (uint32_t i = 0; i < 200; i++) {
        if (registers && test_random_chance(random, 20))
            write_register(raw, random);
        write_ring(raw, random);
        if (test_random_chance(random, 50))
            raw_notify(raw);
        for (uint64_t steps = below(random, 6); steps != 0; steps--)
            fake_virtio_step(raw->device);
        CHECK(fake_virtio_in_flight(raw->device) <= 64);
        if (raw->device->silent && test_random_chance(random, 50))
            raw_start(raw, raw->packed ? RAW_PACKED : RAW_ALL_FEATURES, raw->size);
    }
    fake_virtio_run(raw->device, 10000);
}

TEST_CASE(device_garbage, nonsense_stays_inside_guest_memory_and_a_reset_ends_it) {
    struct test_random random = test_random_from(test_seed());
    struct fake_virtio_blk_config config = {.features_with = FAKE_VIRTIO_BLK_F_DISCARD |
                                                             FAKE_VIRTIO_BLK_F_WRITE_ZEROES |
                                                             FAKE_VIRTIO_BLK_F_CONFIG_WCE};
    struct raw_driver *raw = raw_new(&config, SECTORS);
    uint64_t executed = 0, recorded = 0;
    for (uint32_t round = 0; round < 300; round++) {
        raw_power(raw, &config);
        fake_virtio_set_policy(
            raw->device, &(struct fake_virtio_policy){.order = (enum fake_virtio_order)(round % 3),
                                                      .shuffle_actions = round % 2 != 0,
                                                      .latency_spread = round % 5,
                                                      .seed = round});
        play(raw, &random);
        executed += raw->device->stats.executed;
        recorded += fake_virtio_violations(raw->device);
        raw_start(raw, round % 2 != 0 ? RAW_PACKED : RAW_ALL_FEATURES, 8);
        raw_request(raw, 0, RAW_GET_ID, 0, RAW_BASE + DATA, 20);
        CHECK_EQ(raw_do(raw, 0), 21);
        CHECK_EQ(raw->memory.refused, 0);
    }
    /* Both sides of the referee were exercised. */
    CHECK(executed > 1000);
    CHECK(recorded > 300);
}
