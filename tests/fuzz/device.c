/* SPDX-License-Identifier: MIT */
/*
 * A driver that writes nonsense into the fake virtio device: registers, rings of either format,
 * chains and requests, before and while the device works and lies. The device must neither leave
 * the guest's memory nor keep more in flight than fits, and work again after a reset.
 */
#include "choices.h"
#include "device/raw_driver.h"

enum { SECTORS = 64, DATA = 0x20000, SIZE_MAX_OF_ALL = 64, FAULTS = 3 };

static uint64_t executed, recorded; /* by all devices of a run */

struct world {
    struct choices *choices;
    struct raw_driver *raw;
    struct fake_virtio_fault faults[FAULTS];
    bool registers; /* are written to while the device works */
};

static uint32_t pick(struct world *world, uint32_t limit) {
    return choose(world->choices, limit);
}

static bool chance(struct world *world, uint32_t percent) {
    return choose_chance(world->choices, percent);
}

static uint64_t any_u64(struct world *world) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < 4; i++)
        value = value << 16 | pick(world, 65536);
    return value;
}

/* An address that is often nearly right. */
static ash_paddr_t some_address(struct world *world) {
    static const ash_paddr_t marks[] = {
        0, RAW_BASE, RAW_BASE + 0x100, RAW_BASE + DATA, RAW_BASE + RAW_RAM_BYTES, UINT64_MAX};
    if (chance(world, 10))
        return any_u64(world);
    return marks[pick(world, ASH_ARRAY_LEN(marks))] - 64 + pick(world, 128);
}

static uint32_t some_len(struct world *world) {
    static const uint32_t marks[] = {0, 1, 16, 32, 512, 4096, UINT32_MAX};
    return marks[pick(world, ASH_ARRAY_LEN(marks))] - pick(world, 3) + 1;
}

static void write_register(struct world *world) {
    struct raw_driver *raw = world->raw;
    uint32_t offset = pick(world, FAKE_VIRTIO_MMIO_BYTES);
    uint32_t value = chance(world, 50) ? pick(world, 17) : (uint32_t)any_u64(world);
    if (chance(world, 70))
        offset &= ~3u;
    if ((offset == RAW_QUEUE_DESC || offset == RAW_QUEUE_DRIVER || offset == RAW_QUEUE_DEVICE) &&
        chance(world, 80))
        value = (uint32_t)some_address(world);
    uint32_t width = chance(world, 90) ? 4 : 1u << pick(world, 3);
    if (chance(world, 30))
        fake_virtio_mmio_read(&raw->window, offset, width);
    else
        fake_virtio_mmio_write(&raw->window, offset, width, value);
}

static void write_packed(struct world *world) {
    struct raw_driver *raw = world->raw;
    uint64_t position = raw->avail_idx + pick(world, 3);
    uint16_t bits = chance(world, 90) ? raw_avail_bits(raw, position) : (uint16_t)any_u64(world);
    uint16_t flags = (uint16_t)pick(world, chance(world, 95) ? 8 : 65536);
    raw_put(raw, position, some_address(world), some_len(world), (uint16_t)pick(world, 80),
            (uint16_t)(flags | bits));
    raw->avail_idx += pick(world, 2);
    if (chance(world, 10))
        raw_set_u16(raw, raw_driver_event_at(raw) + 2u * pick(world, 2), (uint16_t)any_u64(world));
}

static void write_split(struct world *world) {
    struct raw_driver *raw = world->raw;
    uint16_t any = (uint16_t)pick(world, 65536);
    raw_offer(raw, chance(world, 95) ? any % raw->size : any);
    raw_publish(raw);
    if (chance(world, 10))
        raw_set_u16(raw, raw_avail_at(raw) + 2u * pick(world, 2), (uint16_t)any_u64(world));
}

static void write_ring(struct world *world) {
    struct raw_driver *raw = world->raw;
    uint16_t flags = (uint16_t)pick(world, chance(world, 95) ? 8 : 65536);
    uint16_t next = (uint16_t)pick(world, raw->size + 1u);
    ash_paddr_t at = raw_desc_at(raw, (uint16_t)pick(world, raw->size));
    switch (pick(world, 5)) {
    case 0:
        raw_desc(raw, at, some_address(world), some_len(world), flags, next);
        break;
    case 1:
        raw_desc(raw, RAW_BASE + DATA + 16 * pick(world, 40), some_address(world), some_len(world),
                 flags, next);
        break;
    case 2:
        raw_header(raw, RAW_BASE + DATA - 64 + pick(world, 128), pick(world, 16),
                   chance(world, 80) ? pick(world, SECTORS + 2) : any_u64(world));
        break;
    case 3:
        raw_request(raw, (uint16_t)pick(world, raw->size - 2u), pick(world, 16),
                    pick(world, SECTORS), RAW_BASE + DATA, 512);
        break;
    default:
        if (raw->packed)
            write_packed(world);
        else
            write_split(world);
        break;
    }
}

static uint64_t choose_of(void *context, uint64_t limit) {
    return choose(((struct world *)context)->choices, limit > 65536 ? 65536 : (uint32_t)limit);
}

static void power(struct world *world) {
    static const uint64_t extras[] = {0, FAKE_VIRTIO_BLK_F_DISCARD |
                                             FAKE_VIRTIO_BLK_F_WRITE_ZEROES |
                                             FAKE_VIRTIO_BLK_F_CONFIG_WCE};
    struct fake_virtio_blk_config config = {.features_with = extras[pick(world, 2)]};
    struct fake_virtio_policy policy = {.order = (enum fake_virtio_order)pick(world, 3),
                                        .shuffle_actions = pick(world, 2) != 0,
                                        .latency_spread = pick(world, 5),
                                        .used_batch = pick(world, 4),
                                        .choose = choose_of,
                                        .choose_context = world,
                                        .faults = world->faults,
                                        .fault_count = pick(world, FAULTS + 1)};
    for (uint32_t i = 0; i < policy.fault_count; i++)
        world->faults[i] = (struct fake_virtio_fault){
            .kind = (enum fake_virtio_fault_kind)pick(world, FAKE_VIRTIO_FAULT_KINDS),
            .first = pick(world, 12),
            .count = pick(world, 4),
            .value = pick(world, 3) == 0 ? any_u64(world) : pick(world, 300)};
    raw_power(world->raw, &config);
    fake_virtio_set_policy(world->raw->device, &policy);
}

/* By the book; what the device lies about meanwhile is no matter. */
static void start(struct world *world) {
    static const uint16_t sizes[] = {4, 8, SIZE_MAX_OF_ALL};
    struct fake_virtio_policy policy = world->raw->device->policy;
    fake_virtio_set_policy(world->raw->device, &(struct fake_virtio_policy){.seed = 1});
    raw_start(world->raw, pick(world, 2) == 0 ? RAW_PACKED : RAW_ALL_FEATURES,
              sizes[pick(world, 3)]);
    fake_virtio_set_policy(world->raw->device, &policy);
    world->registers = chance(world, 30);
}

static void check_works(struct world *world, uint64_t features) {
    struct raw_driver *raw = world->raw;
    executed += raw->device->stats.executed;
    recorded += fake_virtio_violations(raw->device);
    fake_virtio_set_policy(raw->device, &(struct fake_virtio_policy){.seed = 1});
    raw->device->dead = false;
    raw_start(raw, features, 8);
    raw_request(raw, 0, RAW_GET_ID, 0, RAW_BASE + DATA, 20);
    CHECK_EQ(raw_do(raw, 0), 21);
}

void fuzz_device(struct choices *choices) {
    struct world *world = test_alloc(sizeof(*world), 8);
    world->choices = choices;
    world->raw = raw_new(NULL, SECTORS);
    for (uint32_t step = 0; choices_go_on(choices); step++) {
        struct raw_driver *raw = world->raw;
        if (step % 256 == 0)
            power(world);
        if (step % 256 == 0 || (raw->device->silent && chance(world, 50)))
            start(world);
        if (world->registers && chance(world, 20))
            write_register(world);
        write_ring(world);
        if (chance(world, 50))
            raw_notify(raw);
        for (uint32_t steps = pick(world, 6); steps != 0; steps--)
            fake_virtio_step(raw->device);
        CHECK(fake_virtio_in_flight(raw->device) <= SIZE_MAX_OF_ALL);
        CHECK_EQ(raw->memory.refused, 0);
        if (step % 256 == 255)
            check_works(world, step % 512 == 511 ? RAW_PACKED : RAW_ALL_FEATURES);
    }
    check_works(world, RAW_PACKED);
    CHECK_EQ(world->raw->memory.refused, 0);
}

TEST_CASE(device_fuzz, nonsense_stays_inside_guest_memory_and_a_reset_ends_it) {
    struct choices choices = choices_of_seed(test_seed(), 60000);
    executed = recorded = 0;
    fuzz_device(&choices);
    CHECK(executed > 500); /* both sides of the referee were exercised */
    CHECK(recorded > 500);
}
