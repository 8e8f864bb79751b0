/* SPDX-License-Identifier: MIT */
/*
 * raw_driver.h: the tests' own tiny driver: builds rings by hand, through the register window, in a
 * guest RAM that the test owns. It obeys the specification unless the test makes it not.
 *
 * Chains are built in a table of descriptors. On a split ring that is the Descriptor Area itself;
 * on a packed one raw_offer copies them from there into the ring, the head as their buffer id: so
 * one case serves both formats.
 */
#ifndef ASHLAR_TESTS_RAW_DRIVER_H
#define ASHLAR_TESTS_RAW_DRIVER_H

#include "hosted/virtio_blk_device.h"
#include "hosted/virtio_mmio_window.h"

/* Registers (virtio 1.2, 4.2.2). */
enum {
    RAW_MAGIC = 0x000,
    RAW_VERSION = 0x004,
    RAW_DEVICE_ID = 0x008,
    RAW_DEVICE_FEATURES = 0x010,
    RAW_DEVICE_FEATURES_SEL = 0x014,
    RAW_DRIVER_FEATURES = 0x020,
    RAW_DRIVER_FEATURES_SEL = 0x024,
    RAW_QUEUE_SEL = 0x030,
    RAW_QUEUE_NUM_MAX = 0x034,
    RAW_QUEUE_NUM = 0x038,
    RAW_QUEUE_READY = 0x044,
    RAW_QUEUE_NOTIFY = 0x050,
    RAW_INTERRUPT_STATUS = 0x060,
    RAW_INTERRUPT_ACK = 0x064,
    RAW_STATUS = 0x070,
    RAW_QUEUE_DESC = 0x080,
    RAW_QUEUE_DRIVER = 0x090,
    RAW_QUEUE_DEVICE = 0x0a0,
    RAW_GENERATION = 0x0fc,
    RAW_CONFIG = 0x100,
};

enum { RAW_NEXT = 1, RAW_WRITE = 2, RAW_INDIRECT = 4 };
enum { RAW_IN = 0, RAW_OUT = 1, RAW_FLUSH = 4, RAW_GET_ID = 8, RAW_DISCARD = 11, RAW_ZEROES = 13 };
enum { RAW_OK = 0, RAW_IOERR = 1, RAW_UNSUPP = 2 };

/* Guest RAM: rings at its start, the rest is the test's from RAW_BUFFERS on. */
#define RAW_BASE      UINT64_C(0x40000000)
#define RAW_RAM_BYTES (UINT64_C(2) << 20)
#define RAW_BUFFERS   (RAW_BASE + 0x10000)

struct raw_driver {
    struct fake_virtio_blk blk;
    struct fake_virtio *device;
    struct fake_virtio_mmio window;
    struct guest_memory memory;
    struct fake_virtio_blk_memory disk;
    uint8_t *ram;
    uint64_t features; /* accepted */
    uint16_t size;
    bool packed;
    /* Positions: entries of split rings, descriptors of a packed one. */
    uint64_t avail_idx, avail_published, avail_notified, used_seen;
    uint16_t chain_lens[1024];  /* packed: by buffer id */
    ash_paddr_t first_flags_at; /* packed: of what is not published yet; 0: nothing */
    uint16_t first_flags;
    uint32_t rises; /* of the interrupt line */
    bool line;
};

/* A powered-on device over a disk of `sectors` sectors in memory (sector s filled with bytes that
 * tell s), nothing negotiated. config may be NULL; its backing is ignored. */
struct raw_driver *raw_new(const struct fake_virtio_blk_config *config, uint64_t sectors);
void raw_power(struct raw_driver *raw, const struct fake_virtio_blk_config *config); /* again */
uint8_t raw_pattern(uint64_t offset); /* what raw_new puts at a byte of the disk */

uint32_t raw_read(struct raw_driver *raw, uint32_t offset);
void raw_write(struct raw_driver *raw, uint32_t offset, uint32_t value);

/* Reset to DRIVER_OK by the book, with these of the offered features, and queue 0 of that size. The
 * halves: up to and with FEATURES_OK read back, the queue, DRIVER_OK. */
void raw_start(struct raw_driver *raw, uint64_t features, uint16_t size);
void raw_negotiate(struct raw_driver *raw, uint64_t features);
void raw_queue(struct raw_driver *raw, uint32_t index, uint16_t size);
#define RAW_PACKED       UINT64_MAX /* all that is offered */
#define RAW_ALL_FEATURES (UINT64_MAX & ~FAKE_VIRTIO_F_RING_PACKED)
/* What a case of both formats goes through. */
#define RAW_EACH_FORMAT(features)                                        \
    for (uint64_t features = RAW_ALL_FEATURES, format_ = 0; format_ < 2; \
         features = RAW_PACKED, format_++)

/* Guest memory, from the driver's side. */
uint8_t *raw_at(struct raw_driver *raw, ash_paddr_t address);
uint16_t raw_u16(struct raw_driver *raw, ash_paddr_t address);
void raw_set_u16(struct raw_driver *raw, ash_paddr_t address, uint16_t value);

/* The rings of queue 0. */
ash_paddr_t raw_desc_at(const struct raw_driver *raw, uint16_t index);
ash_paddr_t raw_avail_at(const struct raw_driver *raw);
ash_paddr_t raw_used_at(const struct raw_driver *raw);
ash_paddr_t raw_used_event_at(const struct raw_driver *raw);
ash_paddr_t raw_avail_event_at(const struct raw_driver *raw);

/* The packed ring of queue 0: its descriptors by position, its event suppression structures. */
ash_paddr_t raw_ring_at(const struct raw_driver *raw, uint64_t position);
ash_paddr_t raw_driver_event_at(const struct raw_driver *raw);
ash_paddr_t raw_device_event_at(const struct raw_driver *raw);
bool raw_wrap(const struct raw_driver *raw, uint64_t position);
uint16_t raw_avail_bits(const struct raw_driver *raw, uint64_t position); /* of flags */
void raw_put(struct raw_driver *raw, uint64_t position, ash_paddr_t address, uint32_t len,
             uint16_t id, uint16_t flags); /* as it is, available or not */

bool raw_is_used(struct raw_driver *raw);
/* Asks for an interrupt when the position is used; needs EVENT_IDX. */
void raw_ask(struct raw_driver *raw, uint64_t position);

/* Any descriptor anywhere (an indirect table's too). */
void raw_desc(struct raw_driver *raw, ash_paddr_t at, ash_paddr_t address, uint32_t len,
              uint16_t flags, uint16_t next);
void raw_header(struct raw_driver *raw, ash_paddr_t at, uint32_t type, uint64_t sector);

/* A block request in descriptors first, first + 1, first + 2: header and status in the buffer
 * area's slot of that number, `len` bytes of data at `data` (len 0: no data descriptor). */
void raw_request(struct raw_driver *raw, uint16_t first, uint32_t type, uint64_t sector,
                 ash_paddr_t data, uint32_t len);
uint8_t raw_status(struct raw_driver *raw, uint16_t first);

void raw_offer(struct raw_driver *raw, uint16_t head); /* into the avail ring, idx not yet */
void raw_publish(struct raw_driver *raw);              /* avail.idx, or the first flags */
void raw_notify(struct raw_driver *raw);               /* QueueNotify, unconditionally */
bool raw_kick(struct raw_driver *raw); /* publish, and notify as 2.7.10.1 says; true: notified */

/* The next used entry, if there is one. */
bool raw_used(struct raw_driver *raw, uint32_t *id, uint32_t *len);

/* Offers, kicks, runs until idle, and takes the one completion: its used.len. */
uint32_t raw_do(struct raw_driver *raw, uint16_t head);

/* Fails the case, with their text, if the referee recorded anything. */
void raw_check_clean(struct raw_driver *raw);

/* Fails the case unless it recorded that this rule was broken, once, and nothing else; what it says
 * of it. */
const char *raw_check_seen(struct raw_driver *raw, enum fake_virtio_rule rule);

#endif
