/* SPDX-License-Identifier: MIT */
/* raw_driver.c: the tests' own tiny driver. */
#include "device/raw_driver.h"

#include <ashlar/base.h>

#include "harness/test.h"

enum {
    SLOT_BYTES = 32,
    STATUS_OFFSET = 16,
    /* Packed: the ring behind the largest queue's table, the two structures behind the ring. */
    RING_OFFSET = 0x4000,
    EVENTS_OFFSET = 0x8000,
    RINGS_BYTES = 0x9000,
    BIT_AVAIL = 1 << 7,
    BIT_USED = 1 << 15,
};

uint8_t raw_pattern(uint64_t offset) {
    uint64_t sector = offset / 512;
    return offset % 8 == 0 ? (uint8_t)sector : (uint8_t)(sector >> 8 ^ offset);
}

static void on_interrupt(void *context, bool asserted) {
    struct raw_driver *raw = context;
    raw->line = asserted;
    raw->rises += asserted;
}

void raw_power(struct raw_driver *raw, const struct fake_virtio_blk_config *config) {
    struct fake_virtio_blk_config own = {0};
    if (config != NULL)
        own = *config;
    own.backing = fake_virtio_blk_memory(&raw->disk);
    own.features_with |= FAKE_VIRTIO_F_RING_PACKED;
    fake_virtio_blk_init(&raw->blk, &own, &raw->memory);
    raw->device = &raw->blk.device;
    raw->line = false;
    raw->rises = 0;
    fake_virtio_mmio_init(&raw->window, raw->device);
    fake_virtio_on_interrupt(raw->device, on_interrupt, raw);
}

struct raw_driver *raw_new(const struct fake_virtio_blk_config *config, uint64_t sectors) {
    struct raw_driver *raw = test_alloc(sizeof(*raw), 64);
    raw->ram = test_alloc(RAW_RAM_BYTES, 4096);
    guest_memory_init(&raw->memory);
    CHECK(guest_memory_add(&raw->memory, RAW_BASE, raw->ram, RAW_RAM_BYTES) == 0);
    raw->disk.size_bytes = sectors * 512;
    raw->disk.bytes = test_alloc(raw->disk.size_bytes, 8);
    for (uint64_t i = 0; i < raw->disk.size_bytes; i++)
        raw->disk.bytes[i] = raw_pattern(i);
    raw_power(raw, config);
    return raw;
}

uint32_t raw_read(struct raw_driver *raw, uint32_t offset) {
    return fake_virtio_mmio_read(&raw->window, offset, 4);
}

void raw_write(struct raw_driver *raw, uint32_t offset, uint32_t value) {
    fake_virtio_mmio_write(&raw->window, offset, 4, value);
}

void raw_negotiate(struct raw_driver *raw, uint64_t features) {
    raw_write(raw, RAW_STATUS, 0);
    CHECK_EQ(raw_read(raw, RAW_STATUS), 0);
    raw_write(raw, RAW_STATUS, 1);
    raw_write(raw, RAW_STATUS, 1 | 2);
    raw->features = 0;
    for (uint32_t word = 0; word < 2; word++) {
        raw_write(raw, RAW_DEVICE_FEATURES_SEL, word);
        uint32_t taken = raw_read(raw, RAW_DEVICE_FEATURES) & (uint32_t)(features >> (32 * word));
        raw_write(raw, RAW_DRIVER_FEATURES_SEL, word);
        raw_write(raw, RAW_DRIVER_FEATURES, taken);
        raw->features |= (uint64_t)taken << (32 * word);
    }
    raw_write(raw, RAW_STATUS, 1 | 2 | 8);
    CHECK_EQ(raw_read(raw, RAW_STATUS), 1 | 2 | 8);
}

void raw_queue(struct raw_driver *raw, uint32_t index, uint16_t size) {
    raw->size = size;
    memset(raw->ram, 0, RINGS_BYTES);
    raw->avail_idx = raw->avail_published = raw->avail_notified = raw->used_seen = 0;
    raw->packed = (raw->features & FAKE_VIRTIO_F_RING_PACKED) != 0;
    raw->first_flags_at = 0;
    ash_paddr_t desc = raw->packed ? raw_ring_at(raw, 0) : raw_desc_at(raw, 0);
    ash_paddr_t driver = raw->packed ? raw_driver_event_at(raw) : raw_avail_at(raw);
    ash_paddr_t device = raw->packed ? raw_device_event_at(raw) : raw_used_at(raw);
    raw_write(raw, RAW_QUEUE_SEL, index);
    CHECK_EQ(raw_read(raw, RAW_QUEUE_READY), 0);
    CHECK(raw_read(raw, RAW_QUEUE_NUM_MAX) >= size);
    raw_write(raw, RAW_QUEUE_NUM, size);
    raw_write(raw, RAW_QUEUE_DESC, (uint32_t)desc);
    raw_write(raw, RAW_QUEUE_DESC + 4, 0);
    raw_write(raw, RAW_QUEUE_DRIVER, (uint32_t)driver);
    raw_write(raw, RAW_QUEUE_DRIVER + 4, 0);
    raw_write(raw, RAW_QUEUE_DEVICE, (uint32_t)device);
    raw_write(raw, RAW_QUEUE_DEVICE + 4, 0);
    raw_write(raw, RAW_QUEUE_READY, 1);
}

void raw_start(struct raw_driver *raw, uint64_t features, uint16_t size) {
    raw_negotiate(raw, features);
    raw_queue(raw, 0, size);
    raw_write(raw, RAW_STATUS, 1 | 2 | 8 | 4);
}

uint8_t *raw_at(struct raw_driver *raw, ash_paddr_t address) {
    CHECK(address >= RAW_BASE && address < RAW_BASE + RAW_RAM_BYTES);
    return raw->ram + (address - RAW_BASE);
}

static void put_le(struct raw_driver *raw, ash_paddr_t address, uint64_t value, uint32_t bytes) {
    uint8_t *at = raw_at(raw, address);
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(struct raw_driver *raw, ash_paddr_t address, uint32_t bytes) {
    const uint8_t *at = raw_at(raw, address);
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint16_t raw_u16(struct raw_driver *raw, ash_paddr_t address) {
    return (uint16_t)get_le(raw, address, 2);
}

void raw_set_u16(struct raw_driver *raw, ash_paddr_t address, uint16_t value) {
    put_le(raw, address, value, 2);
}

ash_paddr_t raw_desc_at(const struct raw_driver *raw, uint16_t index) {
    (void)raw;
    return RAW_BASE + 16u * index;
}

ash_paddr_t raw_avail_at(const struct raw_driver *raw) {
    return RAW_BASE + 16u * raw->size;
}

ash_paddr_t raw_used_at(const struct raw_driver *raw) {
    return ash_align_up(raw_avail_at(raw) + 6 + 2u * raw->size, 4);
}

ash_paddr_t raw_used_event_at(const struct raw_driver *raw) {
    return raw_avail_at(raw) + 4 + 2u * raw->size;
}

ash_paddr_t raw_avail_event_at(const struct raw_driver *raw) {
    return raw_used_at(raw) + 4 + 8u * raw->size;
}

void raw_desc(struct raw_driver *raw, ash_paddr_t at, ash_paddr_t address, uint32_t len,
              uint16_t flags, uint16_t next) {
    put_le(raw, at, address, 8);
    put_le(raw, at + 8, len, 4);
    put_le(raw, at + 12, flags, 2);
    put_le(raw, at + 14, next, 2);
}

void raw_header(struct raw_driver *raw, ash_paddr_t at, uint32_t type, uint64_t sector) {
    put_le(raw, at, type, 4);
    put_le(raw, at + 4, 0, 4);
    put_le(raw, at + 8, sector, 8);
}

static ash_paddr_t slot_at(uint16_t first) {
    return RAW_BUFFERS + (uint64_t)SLOT_BYTES * first;
}

void raw_request(struct raw_driver *raw, uint16_t first, uint32_t type, uint64_t sector,
                 ash_paddr_t data, uint32_t len) {
    ash_paddr_t slot = slot_at(first);
    uint16_t data_flags = type == RAW_IN || type == RAW_GET_ID ? RAW_NEXT | RAW_WRITE : RAW_NEXT;
    uint16_t second = (uint16_t)(first + 1), third = (uint16_t)(len == 0 ? first + 1 : first + 2);
    raw_header(raw, slot, type, sector);
    *raw_at(raw, slot + STATUS_OFFSET) = 0xff;
    raw_desc(raw, raw_desc_at(raw, first), slot, 16, RAW_NEXT, second);
    if (len != 0)
        raw_desc(raw, raw_desc_at(raw, second), data, len, data_flags, third);
    raw_desc(raw, raw_desc_at(raw, third), slot + STATUS_OFFSET, 1, RAW_WRITE, 0);
}

uint8_t raw_status(struct raw_driver *raw, uint16_t first) {
    return *raw_at(raw, slot_at(first) + STATUS_OFFSET);
}

/* The packed ring */

ash_paddr_t raw_ring_at(const struct raw_driver *raw, uint64_t position) {
    return RAW_BASE + RING_OFFSET + 16 * (position % raw->size);
}

ash_paddr_t raw_driver_event_at(const struct raw_driver *raw) {
    (void)raw;
    return RAW_BASE + EVENTS_OFFSET;
}

ash_paddr_t raw_device_event_at(const struct raw_driver *raw) {
    return raw_driver_event_at(raw) + 4;
}

bool raw_wrap(const struct raw_driver *raw, uint64_t position) {
    return position / raw->size % 2 == 0;
}

uint16_t raw_avail_bits(const struct raw_driver *raw, uint64_t position) {
    return raw_wrap(raw, position) ? BIT_AVAIL : BIT_USED;
}

void raw_put(struct raw_driver *raw, uint64_t position, ash_paddr_t address, uint32_t len,
             uint16_t id, uint16_t flags) {
    ash_paddr_t at = raw_ring_at(raw, position);
    put_le(raw, at, address, 8);
    put_le(raw, at + 8, len, 4);
    put_le(raw, at + 12, id, 2);
    put_le(raw, at + 14, flags, 2);
}

/* An indirect table of split descriptors, linked by next, becomes one of packed ones, in order. */
static void pack_table(struct raw_driver *raw, ash_paddr_t table, uint32_t len) {
    uint8_t entries[64][16];
    uint32_t count = len / 16;
    CHECK(count <= ASH_ARRAY_LEN(entries));
    memcpy(entries, raw_at(raw, table), len);
    for (uint32_t i = 0, from = 0; i < count; i++, from = entries[from][14]) {
        memcpy(raw_at(raw, table + 16u * i), entries[from], 12);
        put_le(raw, table + 16u * i + 12, 0, 2);
        put_le(raw, table + 16u * i + 14, entries[from][12] & RAW_WRITE, 2);
    }
}

/* Copies a chain into the ring. The first flags of all that is not published wait. */
static void offer_packed(struct raw_driver *raw, uint16_t head) {
    uint16_t flags, index = head, count = 0;
    do {
        ash_paddr_t from = raw_desc_at(raw, index);
        uint64_t position = raw->avail_idx++;
        flags = raw_u16(raw, from + 12);
        index = raw_u16(raw, from + 14);
        if ((flags & RAW_INDIRECT) != 0)
            pack_table(raw, get_le(raw, from, 8), (uint32_t)get_le(raw, from + 8, 4));
        uint16_t all = (uint16_t)(flags | raw_avail_bits(raw, position));
        bool waits = position == raw->avail_published;
        if (waits) {
            raw->first_flags_at = raw_ring_at(raw, position) + 14;
            raw->first_flags = all;
            all = raw_u16(raw, raw->first_flags_at);
        }
        raw_put(raw, position, get_le(raw, from, 8), (uint32_t)get_le(raw, from + 8, 4), head, all);
        count++;
    } while ((flags & RAW_NEXT) != 0);
    raw->chain_lens[head] = count;
}

static bool packed_wants_kick(struct raw_driver *raw, uint64_t before) {
    uint16_t event = raw_u16(raw, raw_device_event_at(raw));
    uint16_t flags = raw_u16(raw, raw_device_event_at(raw) + 2);
    if (flags != 2)
        return flags == 0 && before != raw->avail_idx;
    CHECK((raw->features & FAKE_VIRTIO_F_EVENT_IDX) != 0);
    CHECK((event & 0x7fff) < raw->size);
    for (uint64_t position = before; position != raw->avail_idx; position++) {
        if (event == (position % raw->size | (raw_wrap(raw, position) ? 0x8000u : 0)))
            return true;
    }
    return false;
}

static bool split_wants_kick(struct raw_driver *raw, uint64_t before) {
    if ((raw->features & FAKE_VIRTIO_F_EVENT_IDX) == 0)
        return before != raw->avail_idx && raw_u16(raw, raw_used_at(raw)) == 0;
    uint16_t event = raw_u16(raw, raw_avail_event_at(raw));
    for (uint64_t idx = before; idx != raw->avail_idx; idx++) {
        if ((uint16_t)idx == event)
            return true;
    }
    return false;
}

/* Both formats */

void raw_offer(struct raw_driver *raw, uint16_t head) {
    if (raw->packed) {
        offer_packed(raw, head);
        return;
    }
    raw_set_u16(raw, raw_avail_at(raw) + 4 + 2 * (raw->avail_idx % raw->size), head);
    raw->avail_idx++;
}

void raw_publish(struct raw_driver *raw) {
    if (!raw->packed)
        raw_set_u16(raw, raw_avail_at(raw) + 2, (uint16_t)raw->avail_idx);
    else if (raw->first_flags_at != 0)
        raw_set_u16(raw, raw->first_flags_at, raw->first_flags);
    raw->first_flags_at = 0;
    raw->avail_published = raw->avail_idx;
}

void raw_notify(struct raw_driver *raw) {
    raw_write(raw, RAW_QUEUE_NOTIFY, 0);
    raw->avail_notified = raw->avail_published;
}

bool raw_kick(struct raw_driver *raw) {
    uint64_t before = raw->avail_published;
    raw_publish(raw);
    bool wanted = raw->packed ? packed_wants_kick(raw, before) : split_wants_kick(raw, before);
    if (wanted)
        raw_notify(raw);
    return wanted;
}

bool raw_is_used(struct raw_driver *raw) {
    if (!raw->packed)
        return raw_u16(raw, raw_used_at(raw) + 2) != (uint16_t)raw->used_seen;
    uint16_t flags = raw_u16(raw, raw_ring_at(raw, raw->used_seen) + 14);
    uint16_t used = raw_wrap(raw, raw->used_seen) ? BIT_AVAIL | BIT_USED : 0;
    return (flags & (BIT_AVAIL | BIT_USED)) == used;
}

static void used_packed(struct raw_driver *raw, uint32_t *id, uint32_t *len) {
    ash_paddr_t at = raw_ring_at(raw, raw->used_seen);
    *id = raw_u16(raw, at + 12);
    *len = (raw_u16(raw, at + 14) & RAW_WRITE) == 0 ? 0 : (uint32_t)get_le(raw, at + 8, 4);
    uint16_t known = *id < ASH_ARRAY_LEN(raw->chain_lens) ? raw->chain_lens[*id] : 0;
    raw->used_seen += known == 0 ? 1 : known;
}

bool raw_used(struct raw_driver *raw, uint32_t *id, uint32_t *len) {
    if (!raw_is_used(raw))
        return false;
    if (raw->packed) {
        used_packed(raw, id, len);
        return true;
    }
    ash_paddr_t entry = raw_used_at(raw) + 4 + 8 * (raw->used_seen % raw->size);
    *id = (uint32_t)get_le(raw, entry, 4);
    *len = (uint32_t)get_le(raw, entry + 4, 4);
    raw->used_seen++;
    return true;
}

void raw_ask(struct raw_driver *raw, uint64_t position) {
    if (!raw->packed) {
        raw_set_u16(raw, raw_used_event_at(raw), (uint16_t)position);
        return;
    }
    uint64_t event = position % raw->size | (raw_wrap(raw, position) ? 0x8000u : 0);
    raw_set_u16(raw, raw_driver_event_at(raw), (uint16_t)event);
    raw_set_u16(raw, raw_driver_event_at(raw) + 2, 2);
}

uint32_t raw_do(struct raw_driver *raw, uint16_t head) {
    uint32_t id = 0, len = 0;
    raw_offer(raw, head);
    raw_kick(raw);
    fake_virtio_run(raw->device, 1000);
    CHECK(raw_used(raw, &id, &len));
    CHECK_EQ(id, head);
    return len;
}

void raw_check_clean(struct raw_driver *raw) {
    const char *text = fake_virtio_violation_text(raw->device, 0);
    if (text != NULL)
        test_fail(__FILE__, __LINE__, "%u rules broken, first: %s",
                  (uint32_t)fake_virtio_violations(raw->device), text);
    CHECK_EQ(raw->memory.refused, 0);
}

const char *raw_check_seen(struct raw_driver *raw, enum fake_virtio_rule rule) {
    const char *name = fake_virtio_rule_name(rule);
    const char *text = fake_virtio_violation_text(raw->device, 0);
    if (fake_virtio_violated(raw->device, rule) == 0)
        test_fail(__FILE__, __LINE__, "%s was not seen, but: %s", name,
                  text == NULL ? "nothing" : text);
    if (fake_virtio_violations(raw->device) != 1)
        test_fail(__FILE__, __LINE__, "%s: %u violations, the second: %s", name,
                  (uint32_t)fake_virtio_violations(raw->device),
                  fake_virtio_violation_text(raw->device, 1));
    CHECK(strncmp(text, name, strlen(name)) == 0);
    CHECK_EQ(raw->memory.refused, 0);
    return text;
}
