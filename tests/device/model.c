/* SPDX-License-Identifier: MIT */
/*
 * model.c: random requests against a model: a copy of the disk. Chains are cut at odd places,
 * direct, through an indirect table, or both; requests complete in any order; driver and device
 * take turns at any ring action; the driver notifies and is interrupted only as the event indexes
 * say. Split and packed rings.
 */
#include "device/raw_driver.h"
#include "harness/test.h"

enum {
    SECTORS = 256,
    SLOTS = 48,
    SLOT_BYTES = 0x4000,
    READABLE = 0x800,  /* offsets in a slot: header and data to write, one after the other */
    WRITABLE = 0x2400, /* data to read and status, one after the other */
    SECTORS_MAX = 12,  /* more than a piece of the device's bounce buffer */
    SEGMENTS_MAX = 24,
    FIRST_SLOT = 0x20000,
    NONE = 0xffff,
};

struct segment {
    ash_paddr_t address;
    uint32_t len;
    bool writable;
};

struct slot {
    bool busy;
    uint32_t type;
    uint64_t sector;
    uint32_t sectors;
    uint16_t descs[SEGMENTS_MAX]; /* of the main table */
    uint32_t desc_count;
};

struct model {
    struct raw_driver *raw;
    struct test_random random;
    uint8_t disk[SECTORS * 512];
    int8_t users[SECTORS]; /* readers in flight, or -1 for a writer */
    struct slot slots[SLOTS];
    uint16_t slot_of_head[1024];
    uint16_t free_descs[1024];
    uint32_t free_count;
    uint32_t in_flight;
    uint32_t done;
};

static uint64_t below(struct model *model, uint64_t limit) {
    return test_random_below(&model->random, limit);
}

static ash_paddr_t slot_at(uint32_t slot) {
    return RAW_BASE + FIRST_SLOT + (uint64_t)slot * SLOT_BYTES;
}

/* Cuts len bytes into 1..pieces segments, anywhere; an empty part gives none. */
static uint32_t cut(struct model *model, struct segment *segments, ash_paddr_t address,
                    uint32_t len, uint32_t pieces, bool writable) {
    uint32_t count = 0;
    while (len != 0) {
        uint32_t piece = len;
        if (count + 1 < pieces && test_random_chance(&model->random, 70))
            piece = 1 + (uint32_t)below(model, len);
        segments[count++] = (struct segment){address, piece, writable};
        address += piece;
        len -= piece;
    }
    return count;
}

static void put_segment(struct model *model, ash_paddr_t at, const struct segment *segment,
                        uint16_t more, uint16_t next) {
    uint16_t flags = (uint16_t)(more | (segment->writable ? RAW_WRITE : 0));
    raw_desc(model->raw, at, segment->address, segment->len, flags, next);
}

/* The first `direct` segments in the main table, the others, if any, in an indirect one. */
static uint16_t build(struct model *model, uint32_t slot, const struct segment *segments,
                      uint32_t count, uint32_t direct) {
    struct slot *s = &model->slots[slot];
    uint32_t main_count = direct + (direct < count);
    for (uint32_t i = 0; i < main_count; i++)
        s->descs[i] = model->free_descs[--model->free_count];
    s->desc_count = main_count;
    for (uint32_t i = 0; i < direct; i++) {
        bool more = i + 1 < main_count;
        put_segment(model, raw_desc_at(model->raw, s->descs[i]), &segments[i], more,
                    more ? s->descs[i + 1] : 0x7777);
    }
    if (direct == count)
        return s->descs[0];
    ash_paddr_t table = slot_at(slot);
    uint32_t entries = count - direct;
    /* Backwards through the table but for entry 0, so that next is not index + 1. */
    for (uint32_t i = 0; i < entries; i++) {
        uint32_t at = i == 0 ? 0 : entries - i, next = entries - (i + 1);
        put_segment(model, table + 16u * at, &segments[direct + i], i + 1 < entries,
                    (uint16_t)next);
    }
    raw_desc(model->raw, raw_desc_at(model->raw, s->descs[direct]), table, 16 * entries,
             RAW_INDIRECT | (test_random_chance(&model->random, 50) ? RAW_WRITE : 0), 0x7777);
    return s->descs[0];
}

static bool claim(struct model *model, uint64_t sector, uint32_t sectors, bool write) {
    for (uint32_t i = 0; i < sectors; i++) {
        if (write ? model->users[sector + i] != 0 : model->users[sector + i] < 0)
            return false;
    }
    for (uint32_t i = 0; i < sectors; i++)
        model->users[sector + i] = (int8_t)(write ? -1 : model->users[sector + i] + 1);
    return true;
}

static void unclaim(struct model *model, const struct slot *slot) {
    for (uint32_t i = 0; i < slot->sectors; i++) {
        int8_t *users = &model->users[slot->sector + i];
        *users = (int8_t)(*users < 0 ? 0 : *users - 1);
    }
}

/* What is asked, into a free slot; false: nothing can be asked now. */
static bool choose_request(struct model *model, uint32_t slot) {
    struct slot *s = &model->slots[slot];
    static const uint32_t types[] = {RAW_IN, RAW_OUT, RAW_IN, RAW_OUT, RAW_FLUSH, RAW_GET_ID};
    *s = (struct slot){.type = types[below(model, ASH_ARRAY_LEN(types))]};
    if (s->type == RAW_FLUSH || s->type == RAW_GET_ID)
        return true;
    s->sectors = 1 + (uint32_t)below(model, SECTORS_MAX);
    s->sector = below(model, SECTORS - s->sectors + 1);
    if (test_random_chance(&model->random, 10))
        s->sector = SECTORS - s->sectors; /* up to the very end */
    return claim(model, s->sector, s->sectors, s->type == RAW_OUT);
}

static void submit(struct model *model) {
    struct raw_driver *raw = model->raw;
    uint32_t slot = 0;
    while (slot < SLOTS && model->slots[slot].busy)
        slot++;
    if (slot == SLOTS || model->free_count == 0 || !choose_request(model, slot))
        return;
    struct slot *s = &model->slots[slot];
    struct segment segments[SEGMENTS_MAX];
    bool reads = s->type == RAW_IN || s->type == RAW_GET_ID;
    uint32_t data = s->type == RAW_GET_ID ? 20 : s->sectors * 512;
    uint32_t limit = (uint32_t)ash_min_u64(raw->size, SEGMENTS_MAX) / 2;
    ash_paddr_t at = slot_at(slot);
    raw_header(raw, at + READABLE, s->type, s->sector);
    memset(raw_at(raw, at + WRITABLE), 0xee, SECTORS_MAX * 512 + 2);
    for (uint32_t i = 0; s->type == RAW_OUT && i < data; i++)
        *raw_at(raw, at + READABLE + 16 + i) = (uint8_t)test_random_u64(&model->random);
    uint32_t count = cut(model, segments, at + READABLE, 16 + (reads ? 0 : data), limit, false);
    count += cut(model, segments + count, at + WRITABLE, 1 + (reads ? data : 0), limit, true);
    uint32_t direct = count;
    bool may_indirect = (raw->features & FAKE_VIRTIO_F_INDIRECT_DESC) != 0;
    if (may_indirect && (count > model->free_count || test_random_chance(&model->random, 50)))
        direct = raw->packed ? 0 : (uint32_t)below(model, ash_min_u64(count, model->free_count));
    if (direct > model->free_count) {
        unclaim(model, s);
        return;
    }
    uint16_t head = build(model, slot, segments, count, direct);
    s->busy = true;
    model->slot_of_head[head] = (uint16_t)slot;
    model->in_flight++;
    raw_offer(raw, head);
}

static void check_data(struct model *model, const struct slot *s, ash_paddr_t at) {
    uint8_t *disk = model->disk + s->sector * 512;
    if (s->type == RAW_IN)
        CHECK_MEM_EQ(raw_at(model->raw, at + WRITABLE), disk, s->sectors * 512);
    if (s->type == RAW_OUT)
        memcpy(disk, raw_at(model->raw, at + READABLE + 16), s->sectors * 512);
    if (s->type == RAW_GET_ID)
        CHECK(strcmp((char *)raw_at(model->raw, at + WRITABLE), "ashlar") == 0);
}

static void reap(struct model *model) {
    uint32_t id, len;
    while (raw_used(model->raw, &id, &len)) {
        CHECK(id < model->raw->size && model->slot_of_head[id] != NONE);
        uint32_t slot = model->slot_of_head[id];
        struct slot *s = &model->slots[slot];
        uint32_t data = s->type == RAW_IN ? s->sectors * 512 : s->type == RAW_GET_ID ? 20 : 0;
        CHECK_EQ(len, data + 1);
        CHECK_EQ(*raw_at(model->raw, slot_at(slot) + WRITABLE + data), RAW_OK);
        CHECK_EQ(*raw_at(model->raw, slot_at(slot) + WRITABLE + data + 1), 0xee);
        check_data(model, s, slot_at(slot));
        unclaim(model, s);
        for (uint32_t i = 0; i < s->desc_count; i++)
            model->free_descs[model->free_count++] = s->descs[i];
        model->slot_of_head[id] = NONE;
        s->busy = false;
        model->in_flight--;
        model->done++;
    }
}

/* Asks for an interrupt some way ahead, looks again as 2.7.14 says, and lets the device work: the
 * line is up if the entry that was asked for came after the asking. */
static void wait_for_interrupt(struct model *model) {
    struct raw_driver *raw = model->raw;
    bool has_event_idx = (raw->features & FAKE_VIRTIO_F_EVENT_IDX) != 0;
    uint32_t pending = raw_read(raw, RAW_INTERRUPT_STATUS);
    if (pending != 0)
        raw_write(raw, RAW_INTERRUPT_ACK, pending);
    uint64_t ahead = raw->packed ? raw->size : model->in_flight;
    uint64_t event = raw->used_seen + below(model, ahead + 1);
    if (has_event_idx)
        raw_ask(raw, event);
    reap(model);
    uint64_t before = raw->used_seen;
    fake_virtio_check_notified(raw->device);
    fake_virtio_run(raw->device, 1000000);
    bool line = raw->line;
    reap(model);
    if (has_event_idx ? event >= before && event < raw->used_seen : raw->used_seen != before)
        CHECK(line);
}

static void start_model(struct model *model, uint16_t size, uint64_t features) {
    raw_start(model->raw, features, size);
    memcpy(model->disk, model->raw->disk.bytes, sizeof(model->disk));
    memset(model->users, 0, sizeof(model->users));
    memset(model->slots, 0, sizeof(model->slots));
    memset(model->slot_of_head, 0xff, sizeof(model->slot_of_head));
    model->in_flight = model->free_count = 0;
    for (uint16_t i = 0; i < size; i++)
        model->free_descs[model->free_count++] = i;
    struct fake_virtio_policy policy = {.order = (enum fake_virtio_order)below(model, 3),
                                        .shuffle_actions = test_random_chance(&model->random, 50),
                                        .latency_steps = (uint32_t)below(model, 3) * 7,
                                        .latency_spread = (uint32_t)below(model, 2) * 11,
                                        .used_batch = (uint32_t)below(model, 6),
                                        .seed = test_random_u64(&model->random)};
    fake_virtio_set_policy(model->raw->device, &policy);
}

static void run_model(struct model *model, uint32_t actions) {
    struct raw_driver *raw = model->raw;
    for (uint32_t i = 0; i < actions; i++) {
        switch (below(model, 8)) {
        case 0:
        case 1:
        case 2:
            submit(model);
            break;
        case 3:
            raw_kick(raw);
            break;
        case 4:
            reap(model);
            break;
        case 5:
            raw_kick(raw);
            wait_for_interrupt(model);
            break;
        default:
            for (uint64_t steps = below(model, 12); steps != 0; steps--)
                fake_virtio_step(raw->device);
            break;
        }
    }
    raw_kick(raw);
    fake_virtio_check_notified(raw->device);
    fake_virtio_run(raw->device, 1000000);
    reap(model);
    CHECK_EQ(model->in_flight, 0);
    CHECK_EQ(fake_virtio_in_flight(raw->device), 0);
    CHECK_MEM_EQ(raw->disk.bytes, model->disk, sizeof(model->disk));
}

TEST_CASE(device_model, random_chains_in_any_order_do_what_a_copy_of_the_disk_does) {
    struct fake_virtio_blk_config config = {.queue_size_max = 1024};
    struct model *model = test_alloc(sizeof(*model), 8);
    model->random = test_random_from(test_seed());
    model->raw = raw_new(&config, SECTORS);
    static const uint64_t without[] = {0, 0, FAKE_VIRTIO_F_EVENT_IDX, FAKE_VIRTIO_F_INDIRECT_DESC,
                                       FAKE_VIRTIO_F_EVENT_IDX | FAKE_VIRTIO_F_INDIRECT_DESC};
    for (uint32_t round = 0; round < 60; round++) {
        uint16_t size = (uint16_t)(2u << (round % 10));
        uint64_t features = round / 10 % 2 == 0 ? RAW_ALL_FEATURES : RAW_PACKED;
        start_model(model, size, features & ~without[below(model, ASH_ARRAY_LEN(without))]);
        run_model(model, 300);
        raw_check_clean(model->raw);
    }
    CHECK(model->done > 2000);
}
