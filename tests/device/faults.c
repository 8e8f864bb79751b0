/* SPDX-License-Identifier: MIT */
/* faults.c: the lies: each is told when the script says so, exactly then, and a reset ends it. */
#include "device/raw_driver.h"
#include "harness/test.h"

enum { DATA = 0x20000, SECTORS = 64, SIZE = 16 };

struct liar {
    struct raw_driver *raw;
    struct fake_virtio_fault fault;
};

/* A started device that tells one lie at the second occasion. */
static struct liar liar_with(uint64_t features, enum fake_virtio_fault_kind kind, uint64_t value) {
    struct liar l = {.raw = raw_new(NULL, SECTORS)};
    l.fault = (struct fake_virtio_fault){.kind = kind, .first = 1, .count = 1, .value = value};
    raw_start(l.raw, features, SIZE);
    return l;
}

static struct liar liar(enum fake_virtio_fault_kind kind, uint64_t value) {
    return liar_with(RAW_ALL_FEATURES, kind, value);
}

static void arm(struct liar *l) {
    fake_virtio_set_policy(l->raw->device,
                           &(struct fake_virtio_policy){.faults = &l->fault, .fault_count = 1});
}

/* Three reads at once, heads 0, 3, 6; what the used ring says of them. */
static uint32_t run_three(struct raw_driver *raw, uint32_t *ids, uint32_t *lens) {
    uint32_t n = 0;
    for (uint16_t i = 0; i < 3; i++) {
        raw_request(raw, (uint16_t)(3 * i), RAW_IN, i, RAW_BASE + DATA + 512u * i, 512);
        raw_offer(raw, (uint16_t)(3 * i));
    }
    raw_kick(raw);
    fake_virtio_run(raw->device, 10000);
    while (n < 8 && raw_used(raw, &ids[n], &lens[n]))
        n++;
    return n;
}

/* ids and lens of a fault at the second used entry. */
static void check_second(struct liar *l, uint32_t id, uint32_t len) {
    uint32_t ids[8], lens[8];
    arm(l);
    CHECK_EQ(run_three(l->raw, ids, lens), 3);
    CHECK_EQ(ids[0], 0);
    CHECK_EQ(lens[0], 513);
    CHECK_EQ(ids[1], id);
    CHECK_EQ(lens[1], len);
    CHECK_EQ(ids[2], 6);
    CHECK_EQ(lens[2], 513);
    raw_check_clean(l->raw);
}

TEST_CASE(device_faults, id_out_of_range) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, 0);
    check_second(&l, SIZE, 513);
    struct liar far = liar(FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, UINT32_MAX);
    check_second(&far, UINT32_MAX, 513);
}

TEST_CASE(device_faults, id_that_is_no_head_is_in_flight) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_ID_NOT_A_HEAD, 0);
    check_second(&l, 4, 513); /* chain 0 is back with the driver; 4 is in the middle of chain 3 */
}

TEST_CASE(device_faults, id_that_is_not_in_flight) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_ID_NOT_IN_FLIGHT, 0);
    check_second(&l, 0, 513);
}

TEST_CASE(device_faults, len_beyond_what_is_writable) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_LEN_TOO_LARGE, 0);
    check_second(&l, 3, 514);
    struct liar far = liar(FAKE_VIRTIO_FAULT_LEN_TOO_LARGE, UINT64_C(1) << 40);
    check_second(&far, 3, UINT32_MAX);
}

TEST_CASE(device_faults, duplicate_completion) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_DUPLICATE, 0);
    uint32_t ids[8], lens[8];
    arm(&l);
    CHECK_EQ(run_three(l.raw, ids, lens), 4);
    CHECK_EQ(ids[1], 3);
    CHECK_EQ(ids[2], 3);
    CHECK_EQ(ids[3], 6);
}

TEST_CASE(device_faults, used_idx_jumps_past_what_was_written) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_IDX_JUMP, 500);
    uint32_t ids[8], lens[8];
    arm(&l);
    CHECK_EQ(run_three(l.raw, ids, lens), 8);
    CHECK_EQ(raw_u16(l.raw, raw_used_at(l.raw) + 2), 503);
}

TEST_CASE(device_faults, id_of_another_request) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_ID_SWAPPED, 0);
    check_second(&l, 6, 513);
}

TEST_CASE(device_faults, used_entry_in_the_wrong_place) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_USED_MISPLACED, 4);
    check_second(&l, 0, 0); /* nobody wrote the second one */
    CHECK_EQ(*raw_at(l.raw, raw_used_at(l.raw) + 4 + 8 * 5), 3);
}

TEST_CASE(device_faults, used_entry_that_nobody_offered) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_USED_UNOFFERED, 0);
    uint32_t ids[8], lens[8];
    arm(&l);
    CHECK_EQ(run_three(l.raw, ids, lens), 4);
    CHECK_EQ(ids[1], 3);
    CHECK_EQ(ids[2], 0); /* it is back with the driver */
    CHECK_EQ(ids[3], 6);
}

TEST_CASE(device_faults, used_entry_before_driver_ok) {
    RAW_EACH_FORMAT(features) {
        struct liar l = liar_with(features, FAKE_VIRTIO_FAULT_USED_EARLY, 9);
        uint32_t id, len;
        arm(&l);
        for (uint32_t i = 0; i < 2; i++) {
            raw_negotiate(l.raw, features);
            raw_queue(l.raw, 0, SIZE);
            CHECK_EQ(raw_used(l.raw, &id, &len), i == 1);
        }
        CHECK_EQ(id, 9);
        CHECK_EQ(len, 1);
    }
}

/* What a driver sees of the second used entry of three, and how many it sees at all. */
static const struct {
    enum fake_virtio_fault_kind kind;
    uint64_t value;
    uint32_t id, len, count;
} packed_lies[] = {
    {FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, 0, SIZE, 513, 2}, /* nobody knows where it goes on */
    {FAKE_VIRTIO_FAULT_ID_OUT_OF_RANGE, UINT32_MAX, UINT16_MAX, 513, 2},
    {FAKE_VIRTIO_FAULT_ID_NOT_A_HEAD, 0, 0, 513, 3},
    {FAKE_VIRTIO_FAULT_ID_NOT_IN_FLIGHT, 0, 0, 513, 3},
    {FAKE_VIRTIO_FAULT_ID_SWAPPED, 0, 6, 513, 3},
    {FAKE_VIRTIO_FAULT_LEN_TOO_LARGE, 0, 3, 514, 3},
    {FAKE_VIRTIO_FAULT_LEN_TOO_LARGE, UINT64_C(1) << 40, 3, UINT32_MAX, 3},
    {FAKE_VIRTIO_FAULT_DUPLICATE, 0, 3, 513, 4},
    {FAKE_VIRTIO_FAULT_USED_UNOFFERED, 0, 3, 513, 4},
    {FAKE_VIRTIO_FAULT_USED_MISPLACED, 2, 0, 0, 1},
    {FAKE_VIRTIO_FAULT_WRONG_WRAP, 0, 0, 0, 1},
    {FAKE_VIRTIO_FAULT_IDX_JUMP, 5, 3, 513, 2},
};

TEST_CASE(device_faults, lies_of_a_packed_ring_are_told_in_its_own_way) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(packed_lies); i++) {
        uint32_t ids[8] = {0}, lens[8] = {0};
        struct liar l = liar_with(RAW_PACKED, packed_lies[i].kind, packed_lies[i].value);
        arm(&l);
        uint32_t count = run_three(l.raw, ids, lens);
        if (count != packed_lies[i].count || ids[1] != packed_lies[i].id ||
            lens[1] != packed_lies[i].len)
            test_fail(__FILE__, __LINE__, "%s: %u entries, the second: id %u, len %u",
                      fake_virtio_fault_name(packed_lies[i].kind), count, ids[1], lens[1]);
        CHECK_EQ(ids[0], 0);
        CHECK_EQ(lens[0], 513);
        raw_check_clean(l.raw); /* the driver is not blamed for the device's lies */
        fake_virtio_set_policy(l.raw->device, &(struct fake_virtio_policy){.seed = 0});
        raw_start(l.raw, RAW_PACKED, SIZE);
        CHECK_EQ(run_three(l.raw, ids, lens), 3);
        raw_check_clean(l.raw);
    }
}

/* The driver believes that a request is done which the device still has, and uses its place. */
TEST_CASE(device_faults, driver_that_was_lied_to_is_not_blamed_until_a_reset) {
    RAW_EACH_FORMAT(features) {
        struct liar l = liar_with(features, FAKE_VIRTIO_FAULT_ID_SWAPPED, 0);
        struct raw_driver *raw = l.raw;
        uint32_t ids[8], lens[8];
        l.fault.first = 0;
        arm(&l);
        for (uint16_t i = 0; i < 2; i++) {
            raw_request(raw, (uint16_t)(3 * i), RAW_IN, i, RAW_BASE + DATA + 512u * i, 512);
            raw_offer(raw, (uint16_t)(3 * i));
        }
        raw_kick(raw);
        while (!raw_used(raw, &ids[0], &lens[0]))
            CHECK(fake_virtio_step(raw->device));
        CHECK_EQ(ids[0], 3);
        raw_offer(raw, 3);
        raw_kick(raw);
        raw_notify(raw);
        fake_virtio_run(raw->device, 1000);
        CHECK_EQ(raw_read(raw, RAW_STATUS) & 64, 64);
        raw_check_clean(raw);
        raw_start(raw, features, SIZE); /* from here on it is */
        raw_offer(raw, 0);
        raw_offer(raw, 0);
        raw_notify(raw);
        raw_publish(raw);
        fake_virtio_run(raw->device, 1000);
        CHECK_EQ(fake_virtio_violations(raw->device), 1);
    }
}

/* The used ring; on a packed one the event structure, and the descriptor that the driver looks at.
 * Nothing else of the guest's memory. */
TEST_CASE(device_faults, scribbles_stay_where_the_device_may_write) {
    RAW_EACH_FORMAT(features) {
        struct liar l = liar_with(features, FAKE_VIRTIO_FAULT_SCRIBBLE, 3);
        struct raw_driver *raw = l.raw;
        uint8_t *before = test_alloc(RAW_RAM_BYTES, 64);
        l.fault.count = FAKE_VIRTIO_FOREVER;
        fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.faults = &l.fault,
                                                                         .fault_count = 1,
                                                                         .latency_steps = 3000});
        raw_request(raw, 0, RAW_IN, 0, RAW_BASE + DATA, 512);
        raw_offer(raw, 0);
        raw_kick(raw);
        memcpy(before, raw->ram, RAW_RAM_BYTES);
        fake_virtio_run(raw->device, 2000);
        CHECK_EQ(fake_virtio_in_flight(raw->device), 1);
        ash_paddr_t first = raw->packed ? raw_ring_at(raw, 0) : raw_used_at(raw);
        ash_paddr_t end = raw->packed ? raw_ring_at(raw, 1) : first + 6 + 8 * SIZE;
        uint32_t inside = 0;
        for (ash_paddr_t at = RAW_BASE; at < RAW_BASE + RAW_RAM_BYTES; at++) {
            bool event = raw->packed && at - raw_device_event_at(raw) < 4;
            bool changed = before[at - RAW_BASE] != *raw_at(raw, at);
            CHECK(!changed || event || (at >= first && at < end));
            inside += changed;
        }
        CHECK(inside > 15);
        raw_check_clean(raw);
    }
}

TEST_CASE(device_faults, each_kind_has_a_name) {
    for (uint32_t kind = 0; kind < FAKE_VIRTIO_FAULT_KINDS; kind++)
        CHECK(fake_virtio_fault_name(kind)[0] != '\0');
    CHECK_STR_EQ(fake_virtio_fault_name(FAKE_VIRTIO_FAULT_IDX_JUMP), "idx_jump");
    CHECK(fake_virtio_fault_name(FAKE_VIRTIO_FAULT_KINDS) == NULL);
}

TEST_CASE(device_faults, error_status_moves_no_data) {
    for (uint8_t status = RAW_IOERR; status <= RAW_UNSUPP; status++) {
        struct liar l = liar(FAKE_VIRTIO_FAULT_STATUS_ERROR, status);
        uint32_t ids[8], lens[8];
        arm(&l);
        CHECK_EQ(run_three(l.raw, ids, lens), 3);
        CHECK_EQ(raw_status(l.raw, 0), RAW_OK);
        CHECK_EQ(raw_status(l.raw, 3), status);
        CHECK_EQ(raw_status(l.raw, 6), RAW_OK);
        CHECK_EQ(lens[1], 0);
        CHECK_EQ(*raw_at(l.raw, RAW_BASE + DATA + 512), 0);
    }
}

TEST_CASE(device_faults, status_byte_is_never_written) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_STATUS_UNWRITTEN, 0);
    uint32_t ids[8], lens[8];
    arm(&l);
    CHECK_EQ(run_three(l.raw, ids, lens), 3);
    CHECK_EQ(raw_status(l.raw, 0), RAW_OK);
    CHECK_EQ(raw_status(l.raw, 3), 0xff);
    CHECK_EQ(lens[1], 513);
}

TEST_CASE(device_faults, silent_death_until_reset) {
    for (uint64_t for_good = 0; for_good < 2; for_good++) {
        struct liar l = liar(FAKE_VIRTIO_FAULT_DEATH, for_good);
        uint32_t ids[8], lens[8];
        arm(&l);
        CHECK_EQ(run_three(l.raw, ids, lens), 1);
        CHECK_EQ(raw_read(l.raw, RAW_STATUS), 15);
        raw_notify(l.raw);
        CHECK(!fake_virtio_step(l.raw->device));
        raw_start(l.raw, RAW_ALL_FEATURES, SIZE);
        CHECK_EQ(run_three(l.raw, ids, lens), for_good ? 0 : 3);
        raw_check_clean(l.raw);
    }
}

TEST_CASE(device_faults, needs_reset_tells_by_a_configuration_interrupt) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_NEEDS_RESET, 0);
    uint32_t ids[8], lens[8];
    arm(&l);
    CHECK_EQ(run_three(l.raw, ids, lens), 1);
    CHECK_EQ(raw_read(l.raw, RAW_STATUS), 15 | 64);
    CHECK_EQ(raw_read(l.raw, RAW_INTERRUPT_STATUS), 3);
    raw_start(l.raw, RAW_ALL_FEATURES, SIZE);
    CHECK_EQ(run_three(l.raw, ids, lens), 3);
    raw_check_clean(l.raw);
}

TEST_CASE(device_faults, lost_interrupt_leaves_the_entry_in_the_ring) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_INTERRUPT_LOST, 0);
    uint32_t id, len;
    arm(&l);
    raw_request(l.raw, 0, RAW_FLUSH, 0, 0, 0);
    raw_do(l.raw, 0);
    CHECK(l.raw->line);
    raw_write(l.raw, RAW_INTERRUPT_ACK, 1);
    raw_set_u16(l.raw, raw_used_event_at(l.raw), 1);
    raw_offer(l.raw, 0);
    raw_kick(l.raw);
    fake_virtio_run(l.raw->device, 1000);
    CHECK(!l.raw->line);
    CHECK(raw_used(l.raw, &id, &len));
}

TEST_CASE(device_faults, spurious_interrupts_with_and_without_a_reason) {
    struct liar none = liar(FAKE_VIRTIO_FAULT_INTERRUPT_SPURIOUS, 0);
    arm(&none);
    fake_virtio_step(none.raw->device);
    CHECK_EQ(none.raw->rises, 0);
    fake_virtio_step(none.raw->device);
    CHECK_EQ(none.raw->rises, 1);
    CHECK(!none.raw->line);
    CHECK_EQ(raw_read(none.raw, RAW_INTERRUPT_STATUS), 0);
    struct liar both = liar(FAKE_VIRTIO_FAULT_INTERRUPT_SPURIOUS, 3);
    arm(&both);
    fake_virtio_step(both.raw->device);
    fake_virtio_step(both.raw->device);
    CHECK(both.raw->line);
    CHECK_EQ(raw_read(both.raw, RAW_INTERRUPT_STATUS), 3);
}

TEST_CASE(device_faults, lost_notification) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_NOTIFICATION_LOST, 0);
    l.fault.first = 0;
    arm(&l);
    raw_request(l.raw, 0, RAW_FLUSH, 0, 0, 0);
    raw_offer(l.raw, 0);
    CHECK(raw_kick(l.raw));
    CHECK(!fake_virtio_step(l.raw->device));
    raw_notify(l.raw);
    CHECK(fake_virtio_step(l.raw->device));
}

TEST_CASE(device_faults, configuration_generation_churns) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_CONFIG_CHURN, 0);
    l.fault.count = FAKE_VIRTIO_FOREVER;
    arm(&l);
    uint32_t first = raw_read(l.raw, RAW_GENERATION);
    for (uint32_t i = 1; i < 5; i++)
        CHECK_EQ(raw_read(l.raw, RAW_GENERATION), first + i);
}

TEST_CASE(device_faults, reset_takes_its_time) {
    struct liar l = liar(FAKE_VIRTIO_FAULT_RESET_SLOW, 0);
    l.fault.first = 0;
    l.fault.count = 3;
    arm(&l);
    raw_write(l.raw, RAW_STATUS, 0);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(raw_read(l.raw, RAW_STATUS) != 0);
    CHECK_EQ(raw_read(l.raw, RAW_STATUS), 0);
    raw_start(l.raw, RAW_ALL_FEATURES, SIZE);
    raw_check_clean(l.raw);
}
