/* SPDX-License-Identifier: MIT */
/*
 * packed_rules.c: the referee on packed rings: each rule that a driver can break there, broken once
 * on purpose, and seen by its id, and no other one.
 */
#include "device/raw_driver.h"
#include "harness/test.h"

enum { SECTORS = 64, SIZE = 8, TABLE = 0x30000, DATA = 0x20000, AVAIL = 1 << 7, USED = 1 << 15 };

/* The buffer that begins at position 0 becomes available with these flags, and is worked on. */
static void go(struct raw_driver *raw, uint16_t flags) {
    raw_set_u16(raw, raw_ring_at(raw, 0) + 14, flags);
    raw_notify(raw);
    fake_virtio_run(raw->device, 1000);
}

static void put(struct raw_driver *raw, uint64_t position, uint32_t len, uint16_t flags) {
    raw_put(raw, position, RAW_BASE + DATA, len, 0,
            (uint16_t)(flags | raw_avail_bits(raw, position)));
}

/* A read of one sector at positions 0, 1, 2, available but for its first flags. */
static void put_read(struct raw_driver *raw) {
    raw_header(raw, RAW_BASE + DATA, RAW_IN, 0);
    raw_put(raw, 0, RAW_BASE + DATA, 16, 0, 0);
    put(raw, 1, 512, RAW_NEXT | RAW_WRITE);
    put(raw, 2, 1, RAW_WRITE);
}

static void break_queue(struct raw_driver *raw, enum fake_virtio_rule rule) {
    raw_write(raw, RAW_QUEUE_SEL, 0);
    raw_queue(raw, 0, SIZE);
    raw_write(raw, RAW_QUEUE_READY, 0);
    CHECK_EQ(raw_read(raw, RAW_QUEUE_READY), 0);
    if (rule == FAKE_VIRTIO_RULE_RING_NOT_ZERO)
        raw_put(raw, 5, 0, 0, 0, USED);
    else if (rule == FAKE_VIRTIO_RULE_QUEUE_MEMORY)
        raw_write(raw, RAW_QUEUE_DEVICE + 4, 1);
    else
        raw_write(raw, RAW_QUEUE_DRIVER, (uint32_t)raw_driver_event_at(raw) + 2);
    raw_write(raw, RAW_QUEUE_READY, 1);
    CHECK_EQ(raw_read(raw, RAW_QUEUE_READY), rule == FAKE_VIRTIO_RULE_RING_NOT_ZERO);
}

static void break_chain(struct raw_driver *raw, enum fake_virtio_rule rule) {
    put_read(raw);
    switch (rule) {
    case FAKE_VIRTIO_RULE_DESC_BITS:
        go(raw, RAW_NEXT | AVAIL | USED);
        return;
    case FAKE_VIRTIO_RULE_DESC_FLAGS:
        put(raw, 2, 1, RAW_WRITE | 0x40);
        break;
    case FAKE_VIRTIO_RULE_CHAIN_PARTIAL:
        raw_put(raw, 2, RAW_BASE + DATA, 1, 0, RAW_WRITE);
        break;
    case FAKE_VIRTIO_RULE_CHAIN_LENGTH:
        for (uint32_t i = 1; i < SIZE; i++)
            put(raw, i, 1, RAW_WRITE | RAW_NEXT);
        break;
    case FAKE_VIRTIO_RULE_CHAIN_BYTES:
        put(raw, 1, UINT32_MAX, RAW_NEXT | RAW_WRITE);
        break;
    case FAKE_VIRTIO_RULE_CHAIN_ORDER:
        put(raw, 1, 1, RAW_NEXT | RAW_WRITE);
        put(raw, 2, 512, 0);
        break;
    case FAKE_VIRTIO_RULE_CHAIN_MEMORY:
        put(raw, 1, RAW_RAM_BYTES, RAW_NEXT | RAW_WRITE);
        break;
    default: /* INDIRECT_NEXT: in a list that began with NEXT */
        put(raw, 2, 16, RAW_INDIRECT);
        break;
    }
    go(raw, RAW_NEXT | AVAIL);
}

static void put_table(struct raw_driver *raw, uint16_t second_flags) {
    raw_header(raw, RAW_BASE + DATA, RAW_FLUSH, 0);
    raw_desc(raw, RAW_BASE + TABLE, RAW_BASE + DATA, 16, 0, 0);
    raw_desc(raw, RAW_BASE + TABLE + 16, RAW_BASE + DATA + 16, 1, 0, second_flags);
    raw_put(raw, 0, RAW_BASE + TABLE, 32, 0, 0);
}

static void break_indirect(struct raw_driver *raw, enum fake_virtio_rule rule) {
    uint16_t flags = RAW_INDIRECT | AVAIL;
    put_table(raw, RAW_WRITE);
    if (rule == FAKE_VIRTIO_RULE_INDIRECT_FLAGS)
        put_table(raw, RAW_WRITE | RAW_NEXT);
    else if (rule == FAKE_VIRTIO_RULE_INDIRECT_TABLE)
        raw_put(raw, 0, RAW_BASE + TABLE, 31, 0, 0);
    else
        raw_start(raw, RAW_PACKED & ~FAKE_VIRTIO_F_INDIRECT_DESC, SIZE);
    if (rule == FAKE_VIRTIO_RULE_INDIRECT_NOT_ACCEPTED)
        put_table(raw, RAW_WRITE);
    go(raw, flags);
}

/* What needs a buffer in flight; the device keeps it for long. */
static void break_in_flight(struct raw_driver *raw, enum fake_virtio_rule rule) {
    fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.latency_steps = 20});
    put_read(raw);
    raw_set_u16(raw, raw_ring_at(raw, 0) + 14, RAW_NEXT | AVAIL);
    raw_notify(raw);
    CHECK(fake_virtio_step(raw->device));
    CHECK_EQ(fake_virtio_in_flight(raw->device), 1);
    if (rule == FAKE_VIRTIO_RULE_ID_IN_FLIGHT) {
        put(raw, 3, 16, 0);
    } else if (rule == FAKE_VIRTIO_RULE_DESC_CHANGED) {
        put(raw, 1, 511, RAW_NEXT | RAW_WRITE);
    } else { /* RING_OVERRUN: five are free, six are offered, the last over a place in flight */
        for (uint32_t i = 3; i < SIZE + 1; i++)
            put(raw, i, 1, i == SIZE ? RAW_WRITE : RAW_WRITE | RAW_NEXT);
    }
    fake_virtio_run(raw->device, 1000);
}

static void break_event(struct raw_driver *raw, enum fake_virtio_rule rule) {
    put_read(raw);
    if (rule == FAKE_VIRTIO_RULE_NOTIFICATION_MISSING) {
        raw_set_u16(raw, raw_ring_at(raw, 0) + 14, RAW_NEXT | AVAIL);
        fake_virtio_check_notified(raw->device);
        return;
    }
    raw_set_u16(raw, raw_driver_event_at(raw), SIZE);
    raw_set_u16(raw, raw_driver_event_at(raw) + 2, rule == FAKE_VIRTIO_RULE_EVENT_FLAGS ? 3 : 2);
    go(raw, RAW_NEXT | AVAIL);
}

static const struct {
    enum fake_virtio_rule rule;
    void (*broken)(struct raw_driver *raw, enum fake_virtio_rule rule);
    bool fatal;
} cases[] = {
    {FAKE_VIRTIO_RULE_QUEUE_ALIGNMENT, break_queue, false},
    {FAKE_VIRTIO_RULE_QUEUE_MEMORY, break_queue, false},
    {FAKE_VIRTIO_RULE_RING_NOT_ZERO, break_queue, false},
    {FAKE_VIRTIO_RULE_DESC_BITS, break_chain, true},
    {FAKE_VIRTIO_RULE_DESC_FLAGS, break_chain, false},
    {FAKE_VIRTIO_RULE_CHAIN_PARTIAL, break_chain, true},
    {FAKE_VIRTIO_RULE_CHAIN_LENGTH, break_chain, true},
    {FAKE_VIRTIO_RULE_CHAIN_BYTES, break_chain, true},
    {FAKE_VIRTIO_RULE_CHAIN_ORDER, break_chain, true},
    {FAKE_VIRTIO_RULE_CHAIN_MEMORY, break_chain, true},
    {FAKE_VIRTIO_RULE_INDIRECT_NEXT, break_chain, true},
    {FAKE_VIRTIO_RULE_INDIRECT_FLAGS, break_indirect, false},
    {FAKE_VIRTIO_RULE_INDIRECT_TABLE, break_indirect, true},
    {FAKE_VIRTIO_RULE_INDIRECT_NOT_ACCEPTED, break_indirect, true},
    {FAKE_VIRTIO_RULE_ID_IN_FLIGHT, break_in_flight, true},
    {FAKE_VIRTIO_RULE_DESC_CHANGED, break_in_flight, true},
    {FAKE_VIRTIO_RULE_RING_OVERRUN, break_in_flight, true},
    {FAKE_VIRTIO_RULE_NOTIFICATION_MISSING, break_event, false},
    {FAKE_VIRTIO_RULE_EVENT_FLAGS, break_event, false},
    {FAKE_VIRTIO_RULE_EVENT_OFFSET, break_event, false},
};

TEST_CASE(device_packed_rules, each_is_seen_when_it_alone_is_broken) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    bool seen[FAKE_VIRTIO_RULE_COUNT] = {false};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(cases); i++) {
        enum fake_virtio_rule rule = cases[i].rule;
        raw_power(raw, NULL);
        raw_negotiate(raw, RAW_PACKED);
        if (cases[i].broken != break_queue) {
            raw_queue(raw, 0, SIZE);
            raw_write(raw, RAW_STATUS, 15);
        }
        cases[i].broken(raw, rule);
        CHECK(strstr(raw_check_seen(raw, rule), "2.8.") != NULL);
        CHECK_EQ((raw_read(raw, RAW_STATUS) & 64) != 0, cases[i].fatal);
        seen[rule] = true;
        raw_start(raw, RAW_PACKED, SIZE);
        raw_request(raw, 0, RAW_IN, 3, RAW_BASE + DATA, 512);
        CHECK_EQ(raw_do(raw, 0), 513);
        CHECK_EQ(fake_virtio_violations(raw->device), 1);
    }
    for (uint32_t i = FAKE_VIRTIO_RULE_RING_NOT_ZERO; i <= FAKE_VIRTIO_RULE_EVENT_OFFSET; i++)
        CHECK(seen[i]);
}

TEST_CASE(device_packed_rules, event_flags_of_a_device_without_event_idx_are_two) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_PACKED & ~FAKE_VIRTIO_F_EVENT_IDX, SIZE);
    raw_set_u16(raw, raw_driver_event_at(raw) + 2, 2);
    put_read(raw);
    go(raw, RAW_NEXT | AVAIL);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_EVENT_FLAGS), 1);
    CHECK(raw->line); /* rather one too many than one too few */
}

TEST_CASE(device_packed_rules, indirect_with_next_is_seen_before_its_table) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_PACKED, SIZE);
    put_table(raw, RAW_WRITE);
    put(raw, 1, 1, RAW_WRITE);
    go(raw, RAW_INDIRECT | RAW_NEXT | AVAIL);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_INDIRECT_NEXT), 1);
    raw_start(raw, RAW_PACKED, SIZE); /* an entry more than the queue has */
    raw_put(raw, 0, RAW_BASE + TABLE, 16 * (SIZE + 1), 0, 0);
    for (uint32_t i = 0; i <= SIZE; i++)
        raw_desc(raw, RAW_BASE + TABLE + 16 * i, RAW_BASE + DATA, 1, 0, RAW_WRITE);
    go(raw, RAW_INDIRECT | AVAIL);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_CHAIN_LENGTH), 1);
}

TEST_CASE(device_packed_rules, changed_indirect_table_is_seen) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_PACKED, SIZE);
    fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.latency_steps = 20});
    put_table(raw, RAW_WRITE);
    raw_set_u16(raw, raw_ring_at(raw, 0) + 14, RAW_INDIRECT | AVAIL);
    raw_notify(raw);
    CHECK(fake_virtio_step(raw->device));
    raw_set_u16(raw, RAW_BASE + TABLE + 16, 32);
    fake_virtio_run(raw->device, 1000);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_DESC_CHANGED), 1);
}

/* As many buffers in flight as the ring has places, and one more. */
TEST_CASE(device_packed_rules, buffer_more_than_the_ring_has_places_is_seen) {
    struct fake_virtio_blk_config full = {.queue_size_max = SIZE}; /* no request to spare */
    struct raw_driver *raw = raw_new(&full, SECTORS);
    raw_start(raw, RAW_PACKED, SIZE);
    fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.latency_steps = 100});
    put_table(raw, RAW_WRITE);
    for (uint16_t i = 0; i < SIZE; i++)
        raw_put(raw, i, RAW_BASE + TABLE, 32, i, RAW_INDIRECT | AVAIL);
    raw_notify(raw);
    fake_virtio_run(raw->device, 50);
    CHECK_EQ(fake_virtio_in_flight(raw->device), SIZE);
    raw_check_clean(raw);
    raw_put(raw, SIZE, RAW_BASE + TABLE, 32, SIZE, RAW_INDIRECT | raw_avail_bits(raw, SIZE));
    raw_notify(raw);
    fake_virtio_run(raw->device, 1000);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_RING_OVERRUN), 1);
    CHECK_EQ(fake_virtio_violations(raw->device), 1);
}

TEST_CASE(device_packed_rules, size_that_is_no_power_of_two_is_allowed) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_PACKED, 6);
    raw_request(raw, 0, RAW_IN, 3, RAW_BASE + DATA, 512);
    CHECK_EQ(raw_do(raw, 0), 513);
    raw_check_clean(raw);
    raw_negotiate(raw, RAW_PACKED);
    raw_write(raw, RAW_QUEUE_NUM, 0);
    raw_write(raw, RAW_QUEUE_READY, 1);
    CHECK_EQ(raw_read(raw, RAW_QUEUE_READY), 0);
}
