/* SPDX-License-Identifier: MIT */
/* rules.c: the referee: each rule broken once on purpose, and seen by its id, and no other one. */
#include "device/raw_driver.h"
#include "harness/test.h"

enum { SECTORS = 64, SIZE = 8, TABLE = 0x30000, DATA = 0x20000 };

/* Up to, and without, FEATURES_OK. */
static void accept_words(struct raw_driver *raw, uint32_t word0, uint32_t word1) {
    raw_write(raw, RAW_STATUS, 1);
    raw_write(raw, RAW_STATUS, 3);
    raw_write(raw, RAW_DRIVER_FEATURES_SEL, 0);
    raw_write(raw, RAW_DRIVER_FEATURES, word0);
    raw_write(raw, RAW_DRIVER_FEATURES_SEL, 1);
    raw_write(raw, RAW_DRIVER_FEATURES, word1);
}

static bool break_status_rule(struct raw_driver *raw, enum fake_virtio_rule rule) {
    static const struct fake_virtio_fault refused = {.kind = FAKE_VIRTIO_FAULT_FEATURES_REFUSED};
    switch (rule) {
    case FAKE_VIRTIO_RULE_STATUS_ORDER:
        raw_write(raw, RAW_STATUS, 2);
        return true;
    case FAKE_VIRTIO_RULE_STATUS_CLEARED:
        raw_write(raw, RAW_STATUS, 1);
        raw_write(raw, RAW_STATUS, 3);
        raw_write(raw, RAW_STATUS, 1);
        return true;
    case FAKE_VIRTIO_RULE_STATUS_RESERVED:
        raw_write(raw, RAW_STATUS, 1 | 16);
        return true;
    case FAKE_VIRTIO_RULE_STATUS_FAILED:
        raw_write(raw, RAW_STATUS, 1);
        raw_write(raw, RAW_STATUS, 1 | 128);
        raw_write(raw, RAW_STATUS, 1 | 128 | 2);
        return true;
    case FAKE_VIRTIO_RULE_RESET_NOT_AWAITED:
        raw_write(raw, RAW_STATUS, 0);
        raw_write(raw, RAW_STATUS, 1);
        return true;
    case FAKE_VIRTIO_RULE_FEATURES_OK_NOT_READ:
        accept_words(raw, 0, 1);
        raw_write(raw, RAW_STATUS, 11);
        raw_write(raw, RAW_STATUS, 15);
        return true;
    case FAKE_VIRTIO_RULE_FEATURES_OK_IGNORED:
        fake_virtio_set_policy(raw->device,
                               &(struct fake_virtio_policy){.faults = &refused, .fault_count = 1});
        accept_words(raw, 0, 1);
        raw_write(raw, RAW_STATUS, 11);
        CHECK_EQ(raw_read(raw, RAW_STATUS), 3);
        raw_write(raw, RAW_STATUS, 7);
        return true;
    case FAKE_VIRTIO_RULE_FEATURES_LATE:
        raw_negotiate(raw, RAW_ALL_FEATURES);
        raw_write(raw, RAW_DRIVER_FEATURES, 1);
        return true;
    case FAKE_VIRTIO_RULE_FEATURES_EARLY:
        raw_write(raw, RAW_STATUS, 1);
        raw_write(raw, RAW_DRIVER_FEATURES_SEL, 1);
        raw_write(raw, RAW_DRIVER_FEATURES, 1);
        return true;
    case FAKE_VIRTIO_RULE_FEATURE_NOT_OFFERED:
        accept_words(raw, 0, 1u | 1u << 31);
        raw_write(raw, RAW_STATUS, 11);
        CHECK_EQ(raw_read(raw, RAW_STATUS), 3); /* it must not stay (2.2.2) */
        return true;
    case FAKE_VIRTIO_RULE_VERSION_1_NOT_ACCEPTED:
        accept_words(raw, 0, 0);
        raw_write(raw, RAW_STATUS, 11);
        CHECK_EQ(raw_read(raw, RAW_STATUS), 3);
        return true;
    case FAKE_VIRTIO_RULE_VERSION_IGNORED:
        raw->window.legacy = true;
        CHECK_EQ(raw_read(raw, RAW_VERSION), 1);
        raw_read(raw, RAW_STATUS);
        return true;
    case FAKE_VIRTIO_RULE_FEATURES_NOT_SELECTED:
        raw_read(raw, RAW_DEVICE_FEATURES);
        return true;
    default:
        return false;
    }
}

static bool break_register_rule(struct raw_driver *raw, enum fake_virtio_rule rule) {
    struct fake_virtio_blk_config wce = {.features_with = FAKE_VIRTIO_BLK_F_CONFIG_WCE};
    switch (rule) {
    case FAKE_VIRTIO_RULE_REGISTER_WIDTH:
        fake_virtio_mmio_read(&raw->window, RAW_STATUS, 1);
        return true;
    case FAKE_VIRTIO_RULE_REGISTER_UNKNOWN:
        raw_read(raw, 0x0c8);
        return true;
    case FAKE_VIRTIO_RULE_REGISTER_READ_ONLY:
        raw_write(raw, RAW_VERSION, 1);
        return true;
    case FAKE_VIRTIO_RULE_REGISTER_WRITE_ONLY:
        raw_read(raw, RAW_QUEUE_NUM);
        return true;
    case FAKE_VIRTIO_RULE_INTERRUPT_ACK:
        raw_write(raw, RAW_INTERRUPT_ACK, 1);
        return true;
    case FAKE_VIRTIO_RULE_CONFIG_WIDTH:
        fake_virtio_mmio_read(&raw->window, RAW_CONFIG, 1);
        return true;
    case FAKE_VIRTIO_RULE_CONFIG_UNKNOWN:
        raw_read(raw, RAW_CONFIG + 0xf0);
        return true;
    case FAKE_VIRTIO_RULE_CONFIG_NOT_OFFERED:
        fake_virtio_mmio_read(&raw->window, RAW_CONFIG + 24, 1);
        return true;
    case FAKE_VIRTIO_RULE_CONFIG_READ_ONLY:
        raw_write(raw, RAW_CONFIG + 20, 4096);
        return true;
    case FAKE_VIRTIO_RULE_CONFIG_NOT_ACCEPTED:
        raw_power(raw, &wce);
        raw_negotiate(raw, RAW_ALL_FEATURES & ~FAKE_VIRTIO_BLK_F_CONFIG_WCE);
        fake_virtio_mmio_write(&raw->window, RAW_CONFIG + 32, 1, 0);
        return true;
    case FAKE_VIRTIO_RULE_CONFIG_EARLY:
        raw_power(raw, &wce);
        fake_virtio_mmio_read(&raw->window, RAW_CONFIG + 32, 1);
        return true;
    default:
        return false;
    }
}

static bool break_queue_rule(struct raw_driver *raw, enum fake_virtio_rule rule) {
    struct fake_virtio_blk_config two = {.queue_count = 2};
    if (rule == FAKE_VIRTIO_RULE_QUEUE_NOT_NEGOTIATED) {
        raw_power(raw, &two);
        raw_negotiate(raw, RAW_ALL_FEATURES & ~FAKE_VIRTIO_BLK_F_MQ);
        raw_write(raw, RAW_QUEUE_SEL, 1);
        raw_write(raw, RAW_QUEUE_NUM, SIZE);
        return true;
    }
    if (rule == FAKE_VIRTIO_RULE_QUEUE_LATE) {
        raw_power(raw, &two);
        raw_start(raw, RAW_ALL_FEATURES, SIZE);
        raw_write(raw, RAW_QUEUE_SEL, 1);
        raw_write(raw, RAW_QUEUE_NUM, SIZE);
        return true;
    }
    if (rule == FAKE_VIRTIO_RULE_QUEUE_EARLY) {
        raw_write(raw, RAW_STATUS, 1);
        raw_write(raw, RAW_STATUS, 3);
        raw_write(raw, RAW_QUEUE_SEL, 0);
        raw_write(raw, RAW_QUEUE_NUM, SIZE);
        return true;
    }
    raw_negotiate(raw, RAW_ALL_FEATURES);
    raw_write(raw, RAW_QUEUE_SEL, 0);
    switch (rule) {
    case FAKE_VIRTIO_RULE_QUEUE_ABSENT:
        raw_write(raw, RAW_QUEUE_SEL, 7);
        CHECK_EQ(raw_read(raw, RAW_QUEUE_NUM_MAX), 0);
        raw_write(raw, RAW_QUEUE_NUM, SIZE);
        return true;
    case FAKE_VIRTIO_RULE_QUEUE_WHILE_READY:
        raw_queue(raw, 0, SIZE);
        raw_write(raw, RAW_QUEUE_DESC, 0);
        return true;
    case FAKE_VIRTIO_RULE_QUEUE_SIZE_MAX:
        raw_write(raw, RAW_QUEUE_NUM, 512);
        return true;
    case FAKE_VIRTIO_RULE_QUEUE_SIZE_POWER:
        raw_write(raw, RAW_QUEUE_NUM, 6);
        return true;
    case FAKE_VIRTIO_RULE_QUEUE_ALIGNMENT:
    case FAKE_VIRTIO_RULE_QUEUE_MEMORY:
        raw_queue(raw, 0, SIZE);
        raw_write(raw, RAW_QUEUE_READY, 0);
        CHECK_EQ(raw_read(raw, RAW_QUEUE_READY), 0);
        if (rule == FAKE_VIRTIO_RULE_QUEUE_MEMORY)
            raw_write(raw, RAW_QUEUE_DESC + 4, 1);
        else
            raw_write(raw, RAW_QUEUE_DESC, (uint32_t)RAW_BASE + 8);
        raw_write(raw, RAW_QUEUE_READY, 1);
        CHECK_EQ(raw_read(raw, RAW_QUEUE_READY), 0);
        return true;
    case FAKE_VIRTIO_RULE_QUEUE_STOP_NOT_READ:
        raw_queue(raw, 0, SIZE);
        raw_write(raw, RAW_QUEUE_READY, 0);
        raw_write(raw, RAW_QUEUE_NUM, SIZE);
        return true;
    case FAKE_VIRTIO_RULE_USED_FLAGS_NOT_ZERO:
        raw_queue(raw, 0, SIZE);
        raw_write(raw, RAW_QUEUE_READY, 0);
        CHECK_EQ(raw_read(raw, RAW_QUEUE_READY), 0);
        raw_set_u16(raw, raw_used_at(raw), 1);
        raw_write(raw, RAW_QUEUE_READY, 1);
        return true;
    case FAKE_VIRTIO_RULE_NOTIFICATION_EARLY:
        raw_queue(raw, 0, SIZE);
        raw_notify(raw);
        return true;
    case FAKE_VIRTIO_RULE_NOTIFICATION_NOT_READY:
        raw_write(raw, RAW_STATUS, 15);
        raw_notify(raw);
        return true;
    default:
        return false;
    }
}

/* Offers these heads at once and lets the device work. */
static void offer(struct raw_driver *raw, const uint16_t *heads, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        raw_offer(raw, heads[i]);
    raw_publish(raw);
    raw_notify(raw);
    fake_virtio_run(raw->device, 1000);
}

static void offer_one(struct raw_driver *raw, uint16_t head) {
    offer(raw, &head, 1);
}

static ash_paddr_t desc(struct raw_driver *raw, uint16_t index) {
    return raw_desc_at(raw, index);
}

static bool break_ring_rule(struct raw_driver *raw, enum fake_virtio_rule rule) {
    raw_start(raw, RAW_ALL_FEATURES, SIZE);
    raw_request(raw, 0, RAW_IN, 0, RAW_BASE + DATA, 512);
    raw_request(raw, 3, RAW_IN, 0, RAW_BASE + DATA, 512);
    switch (rule) {
    case FAKE_VIRTIO_RULE_NOTIFICATION_MISSING:
        raw_offer(raw, 0);
        raw_publish(raw);
        fake_virtio_check_notified(raw->device);
        return true;
    case FAKE_VIRTIO_RULE_AVAIL_FLAGS:
        raw_set_u16(raw, raw_avail_at(raw), 1); /* with EVENT_IDX: 0 alone */
        offer_one(raw, 0);
        return true;
    case FAKE_VIRTIO_RULE_AVAIL_IDX_BACK:
        offer_one(raw, 0);
        raw->avail_idx = 0;
        raw_publish(raw);
        raw_notify(raw);
        fake_virtio_run(raw->device, 1000);
        return true;
    case FAKE_VIRTIO_RULE_AVAIL_IDX_AHEAD:
        raw->avail_idx = SIZE + 1;
        raw_publish(raw);
        raw_notify(raw);
        fake_virtio_run(raw->device, 1000);
        return true;
    case FAKE_VIRTIO_RULE_HEAD_RANGE:
        offer_one(raw, SIZE);
        return true;
    case FAKE_VIRTIO_RULE_DESC_RANGE:
        raw_desc(raw, desc(raw, 1), RAW_BASE + DATA, 512, RAW_NEXT | RAW_WRITE, SIZE);
        offer_one(raw, 0);
        return true;
    case FAKE_VIRTIO_RULE_DESC_IN_FLIGHT:
        raw_desc(raw, desc(raw, 4), RAW_BASE + DATA, 512, RAW_NEXT | RAW_WRITE, 2);
        offer(raw, (const uint16_t[]){0, 3}, 2);
        return true;
    case FAKE_VIRTIO_RULE_DESC_FLAGS:
        raw_desc(raw, desc(raw, 2), RAW_BASE + DATA + 512, 1, RAW_WRITE | 0x40, 0);
        offer_one(raw, 0);
        return true;
    case FAKE_VIRTIO_RULE_DESC_CHANGED:
        fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.latency_steps = 4});
        raw_offer(raw, 0);
        raw_kick(raw);
        CHECK(fake_virtio_step(raw->device));
        CHECK_EQ(fake_virtio_in_flight(raw->device), 1);
        raw_desc(raw, desc(raw, 1), RAW_BASE + DATA + 512, 512, RAW_NEXT | RAW_WRITE, 2);
        fake_virtio_run(raw->device, 1000);
        return true;
    default:
        return false;
    }
}

static bool break_chain_rule(struct raw_driver *raw, enum fake_virtio_rule rule) {
    raw_request(raw, 0, RAW_IN, 0, RAW_BASE + DATA, 512);
    switch (rule) {
    case FAKE_VIRTIO_RULE_CHAIN_LOOP:
        raw_desc(raw, desc(raw, 2), RAW_BASE + DATA, 512, RAW_NEXT | RAW_WRITE, 1);
        break;
    case FAKE_VIRTIO_RULE_CHAIN_BYTES:
        raw_desc(raw, desc(raw, 1), RAW_BASE + DATA, UINT32_MAX, RAW_NEXT | RAW_WRITE, 2);
        break;
    case FAKE_VIRTIO_RULE_CHAIN_ORDER:
        raw_desc(raw, desc(raw, 0), RAW_BASE + DATA, 512, RAW_NEXT | RAW_WRITE, 1);
        raw_desc(raw, desc(raw, 1), RAW_BASE + DATA, 512, RAW_NEXT, 2);
        break;
    case FAKE_VIRTIO_RULE_CHAIN_MEMORY:
        raw_desc(raw, desc(raw, 1), RAW_BASE + RAW_RAM_BYTES - 511, 512, RAW_NEXT | RAW_WRITE, 2);
        break;
    default:
        return false;
    }
    offer_one(raw, 0);
    return true;
}

static bool break_indirect_rule(struct raw_driver *raw, enum fake_virtio_rule rule) {
    ash_paddr_t table = RAW_BASE + TABLE;
    uint32_t entries = 2;
    uint16_t flags = RAW_INDIRECT;
    raw_desc(raw, table, RAW_BASE + DATA, 16, RAW_NEXT, 1);
    raw_desc(raw, table + 16, RAW_BASE + DATA + 16, 1, RAW_WRITE, 0);
    uint32_t len = 16 * entries;
    switch (rule) {
    case FAKE_VIRTIO_RULE_CHAIN_LENGTH:
        len = 16 * (SIZE + 1);
        for (uint16_t i = 1; i <= SIZE; i++)
            raw_desc(raw, table + 16u * i, RAW_BASE + DATA, 1,
                     i == SIZE ? RAW_WRITE : RAW_WRITE | RAW_NEXT, (uint16_t)(i + 1));
        break;
    case FAKE_VIRTIO_RULE_INDIRECT_NOT_ACCEPTED:
        raw_start(raw, RAW_ALL_FEATURES & ~FAKE_VIRTIO_F_INDIRECT_DESC, SIZE);
        break;
    case FAKE_VIRTIO_RULE_INDIRECT_NESTED:
        raw_desc(raw, table + 16, table, 32, RAW_INDIRECT, 0);
        break;
    case FAKE_VIRTIO_RULE_INDIRECT_NEXT:
        flags |= RAW_NEXT;
        break;
    case FAKE_VIRTIO_RULE_INDIRECT_TABLE:
        len--;
        break;
    default:
        return false;
    }
    raw_desc(raw, desc(raw, 0), table, len, flags, 1);
    offer_one(raw, 0);
    return true;
}

static bool break_blk_rule(struct raw_driver *raw, enum fake_virtio_rule rule) {
    struct fake_virtio_blk_config small = {.seg_max = 1, .size_max = 512},
                                  discard = {.features_with = FAKE_VIRTIO_BLK_F_DISCARD,
                                             .max_discard_sectors = 7,
                                             .max_discard_seg = 2};
    bool ranges = rule == FAKE_VIRTIO_RULE_BLK_UNMAP || rule == FAKE_VIRTIO_RULE_BLK_RANGES ||
                  rule == FAKE_VIRTIO_RULE_BLK_RANGE_SECTORS;
    bool without_flush = rule == FAKE_VIRTIO_RULE_BLK_NOT_ACCEPTED;
    raw_power(raw, ranges ? &discard : &small);
    raw_start(raw, RAW_ALL_FEATURES & ~(without_flush ? FAKE_VIRTIO_BLK_F_FLUSH : 0), SIZE);
    ash_paddr_t data = RAW_BASE + DATA;
    switch (rule) {
    case FAKE_VIRTIO_RULE_BLK_HEADER:
        raw_request(raw, 0, RAW_IN, 0, data, 512);
        raw_desc(raw, desc(raw, 0), data, 15, RAW_NEXT, 1);
        break;
    case FAKE_VIRTIO_RULE_BLK_STATUS:
        raw_request(raw, 0, RAW_OUT, 0, data, 512);
        raw_desc(raw, desc(raw, 1), data, 512, 0, 0);
        break;
    case FAKE_VIRTIO_RULE_BLK_DATA_LEN:
        raw_request(raw, 0, RAW_IN, 0, data, 511);
        break;
    case FAKE_VIRTIO_RULE_BLK_DIRECTION:
        raw_request(raw, 0, RAW_FLUSH, 0, data, 512);
        break;
    case FAKE_VIRTIO_RULE_BLK_CAPACITY:
        raw_request(raw, 0, RAW_IN, SECTORS, data, 512);
        break;
    case FAKE_VIRTIO_RULE_BLK_FLUSH_SECTOR:
        raw_request(raw, 0, RAW_FLUSH, 1, 0, 0);
        break;
    case FAKE_VIRTIO_RULE_BLK_SECTOR_UNUSED:
        raw_request(raw, 0, RAW_GET_ID, 1, data, 20);
        break;
    case FAKE_VIRTIO_RULE_BLK_NOT_ACCEPTED:
        raw_request(raw, 0, RAW_FLUSH, 0, 0, 0);
        break;
    case FAKE_VIRTIO_RULE_BLK_RANGES:
        raw_request(raw, 0, RAW_DISCARD, 0, data, 3 * 16);
        break;
    case FAKE_VIRTIO_RULE_BLK_RANGE_SECTORS:
        raw_request(raw, 0, RAW_DISCARD, 0, data, 2 * 16);
        raw_desc(raw, data, 0, 7, 0, 0);
        raw_desc(raw, data + 16, 0, 8, 0, 0);
        break;
    case FAKE_VIRTIO_RULE_BLK_SEG_MAX:
        raw_request(raw, 0, RAW_IN, 0, data, 512);
        raw_desc(raw, desc(raw, 1), data, 256, RAW_NEXT | RAW_WRITE, 3);
        raw_desc(raw, desc(raw, 3), data + 256, 256, RAW_NEXT | RAW_WRITE, 2);
        break;
    case FAKE_VIRTIO_RULE_BLK_SIZE_MAX:
        raw_request(raw, 0, RAW_IN, 0, data, 1024);
        break;
    case FAKE_VIRTIO_RULE_BLK_UNMAP:
        raw_request(raw, 0, RAW_DISCARD, 0, data, 16);
        raw_desc(raw, data, 0, 1, 1, 0); /* sector 0, 1 of them, flags: unmap */
        break;
    default:
        return false;
    }
    offer_one(raw, 0);
    return true;
}

static bool break_rule(struct raw_driver *raw, enum fake_virtio_rule rule) {
    if (break_status_rule(raw, rule) || break_register_rule(raw, rule))
        return true;
    if (rule >= FAKE_VIRTIO_RULE_BLK_HEADER)
        return break_blk_rule(raw, rule);
    if (rule < FAKE_VIRTIO_RULE_NOTIFICATION_MISSING)
        return break_queue_rule(raw, rule);
    return break_ring_rule(raw, rule) || break_chain_rule(raw, rule) ||
           break_indirect_rule(raw, rule);
}

/* Every fatal rule is about rings; what they leave behind must not outlive a reset. */
static void check_recovers(struct raw_driver *raw) {
    CHECK_EQ(raw_read(raw, RAW_STATUS) & 64, 64);
    CHECK_EQ(raw_read(raw, RAW_INTERRUPT_STATUS) & 2, 2);
    CHECK(!fake_virtio_step(raw->device));
    uint64_t before = fake_virtio_violations(raw->device);
    raw_start(raw, RAW_ALL_FEATURES, SIZE);
    CHECK_EQ(raw_read(raw, RAW_INTERRUPT_STATUS), 0);
    raw_request(raw, 0, RAW_IN, 3, RAW_BASE + DATA, 512);
    CHECK_EQ(raw_do(raw, 0), 513);
    CHECK_EQ(*raw_at(raw, RAW_BASE + DATA + 1), raw_pattern(3 * 512 + 1));
    CHECK_EQ(fake_virtio_violations(raw->device), before);
}

static bool is_fatal(enum fake_virtio_rule rule) {
    return rule >= FAKE_VIRTIO_RULE_AVAIL_IDX_BACK && rule <= FAKE_VIRTIO_RULE_INDIRECT_TABLE &&
           rule != FAKE_VIRTIO_RULE_DESC_FLAGS;
}

/* packed_rules.c breaks these. */
static bool is_of_packed_rings(enum fake_virtio_rule rule) {
    return rule >= FAKE_VIRTIO_RULE_RING_NOT_ZERO && rule <= FAKE_VIRTIO_RULE_EVENT_OFFSET;
}

TEST_CASE(device_rules, each_is_seen_when_it_alone_is_broken) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    for (uint32_t i = 0; i < FAKE_VIRTIO_RULE_COUNT; i++) {
        enum fake_virtio_rule rule = (enum fake_virtio_rule)i;
        const char *name = fake_virtio_rule_name(rule);
        if (is_of_packed_rings(rule))
            continue;
        raw_power(raw, NULL);
        if (!break_rule(raw, rule))
            test_fail(__FILE__, __LINE__, "nothing breaks %s", name);
        CHECK(strstr(raw_check_seen(raw, rule), fake_virtio_rule_section(rule)) != NULL);
        if (is_fatal(rule))
            check_recovers(raw);
    }
}

TEST_CASE(device_rules, order_counts_for_empty_descriptors_too) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_start(raw, RAW_ALL_FEATURES, SIZE);
    raw_request(raw, 0, RAW_OUT, 0, RAW_BASE + DATA, 512);
    raw_desc(raw, desc(raw, 0), RAW_BASE + DATA, 0, RAW_NEXT | RAW_WRITE, 1);
    offer_one(raw, 0);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_CHAIN_ORDER), 1);
}

TEST_CASE(device_rules, driver_by_the_book_breaks_none) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    for (uint32_t round = 0; round < 3; round++) {
        raw_start(raw, round == 0 ? FAKE_VIRTIO_F_VERSION_1 : RAW_ALL_FEATURES, SIZE);
        raw_request(raw, 0, RAW_IN, round, RAW_BASE + DATA, 512);
        CHECK_EQ(raw_do(raw, 0), 513);
        raw_write(raw, RAW_INTERRUPT_ACK, raw_read(raw, RAW_INTERRUPT_STATUS));
        fake_virtio_check_notified(raw->device);
    }
    raw_check_clean(raw);
}

TEST_CASE(device_rules, reset_forgets_the_accepted_features) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    raw_negotiate(raw, RAW_ALL_FEATURES);
    raw_write(raw, RAW_STATUS, 0);
    CHECK_EQ(raw_read(raw, RAW_STATUS), 0);
    raw_write(raw, RAW_STATUS, 1);
    raw_write(raw, RAW_STATUS, 3);
    raw_write(raw, RAW_STATUS, 11);
    CHECK_EQ(raw_read(raw, RAW_STATUS), 3);
}

TEST_CASE(device_rules, indirect_loop_and_wrapped_address_are_seen) {
    struct raw_driver *raw = raw_new(NULL, SECTORS);
    ash_paddr_t table = RAW_BASE + TABLE;
    raw_start(raw, RAW_ALL_FEATURES, SIZE);
    raw_desc(raw, table, RAW_BASE + DATA, 16, RAW_NEXT, 1);
    raw_desc(raw, table + 16, RAW_BASE + DATA, 1, RAW_NEXT | RAW_WRITE, 1);
    raw_desc(raw, desc(raw, 0), table, 32, RAW_INDIRECT, 0);
    offer_one(raw, 0);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_CHAIN_LOOP), 1);
    raw_start(raw, RAW_ALL_FEATURES, SIZE);
    raw_request(raw, 0, RAW_IN, 0, UINT64_MAX - 100, 512);
    offer_one(raw, 0);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_CHAIN_MEMORY), 1);
    raw_start(raw, RAW_ALL_FEATURES, SIZE);
    raw_desc(raw, desc(raw, 0), UINT64_MAX - 15, 64, RAW_INDIRECT, 0);
    offer_one(raw, 0);
    CHECK_EQ(fake_virtio_violated(raw->device, FAKE_VIRTIO_RULE_CHAIN_MEMORY), 2);
    CHECK_EQ(raw->memory.refused, 0);
}
