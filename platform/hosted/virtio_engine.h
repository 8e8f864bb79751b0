/* SPDX-License-Identifier: MIT */
/*
 * virtio_engine.h: a fake virtio device: deterministic, stepped, written against guest memory and
 * the specification, not against a driver. One engine; what makes it correct, slow, out of order or
 * hostile is a policy. It also referees: each rule that the driver breaks is recorded by its id.
 *
 * Rules
 *  - fake_virtio_step does one ring action. Between two steps the driver may run: so every
 *    interleaving of the two sides is a sequence of calls. Same policy, same seed, same calls: same
 *    run, to the byte.
 *  - The engine allocates nothing and never crashes on what the guest wrote. One caller at a time.
 *  - A device type (virtio_blk_device.h) supplies features, configuration space and the execution
 *    of a request; a transport (virtio_mmio_window.h) calls the register half below.
 *  - A broken rule of the ring sets DEVICE_NEEDS_RESET, and the device touches no ring until reset;
 *    any other one is recorded, and the device carries on. A driver that was lied to in the used
 *    ring may well be wrong about who owns what: until the next reset no rule about rings, chains
 *    or requests blames it.
 *
 * Source: virtio 1.2 (OASIS, 2022); sections are cited by their numbers there. Split and packed
 * rings, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX.
 *
 *       QueueNotify             order, latency             used_batch
 *   avail ring --FETCH--> pending --EXECUTE--> executed --RETIRE--> written --PUBLISH--> used ring
 *                                                                               --INTERRUPT--> ISR
 *   Out of entries: ARM ("notify me"), look once more, sleep until notified.
 *
 * Limits: queues and their size below; a chain of at most queue-size elements.
 */
#ifndef ASHLAR_HOSTED_VIRTIO_ENGINE_H
#define ASHLAR_HOSTED_VIRTIO_ENGINE_H

#include <ashlar/base.h>
#include <ashlar/list.h>

#include "hosted/guest_memory.h"
#include "hosted/virtio_policy.h"
#include "hosted/virtio_rules.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FAKE_VIRTIO_QUEUES_MAX = 4,
    FAKE_VIRTIO_QUEUE_SIZE_MAX = 1024, /* as QEMU's */
    FAKE_VIRTIO_CONFIG_BYTES_MAX = 128,
    FAKE_VIRTIO_CONFIG_FIELDS_MAX = 32,
    FAKE_VIRTIO_VIOLATIONS_KEPT = 16,
};

/* Feature bits of every device (6). */
#define FAKE_VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define FAKE_VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define FAKE_VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)
#define FAKE_VIRTIO_F_RING_PACKED   (UINT64_C(1) << 34)

/* Device status (2.1) and interrupt status (4.2.2). */
enum {
    FAKE_VIRTIO_ACKNOWLEDGE = 1,
    FAKE_VIRTIO_DRIVER = 2,
    FAKE_VIRTIO_DRIVER_OK = 4,
    FAKE_VIRTIO_FEATURES_OK = 8,
    FAKE_VIRTIO_NEEDS_RESET = 64,
    FAKE_VIRTIO_FAILED = 128,
    FAKE_VIRTIO_INTERRUPT_USED = 1,
    FAKE_VIRTIO_INTERRUPT_CONFIG = 2,
};

/* Device type */

struct fake_virtio;

/* One piece of a request's memory, inside the guest's. */
struct fake_virtio_segment {
    ash_paddr_t address;
    uint32_t len;
    bool writable;
};

/* A request as the device type sees it: readable bytes, then writable ones; framing means nothing
 * (2.7.4.1). */
struct fake_virtio_chain {
    const struct fake_virtio_segment *segments;
    uint32_t count;
    uint32_t queue, head;
    uint64_t readable_bytes, writable_bytes;
};

/* Copies from the readable part, or into the writable part, at an offset within that part; false,
 * with nothing done, if it does not fit. */
bool fake_virtio_chain_read(struct fake_virtio *device, const struct fake_virtio_chain *chain,
                            uint64_t offset, void *bytes, uint64_t len);
bool fake_virtio_chain_write(struct fake_virtio *device, const struct fake_virtio_chain *chain,
                             uint64_t offset, const void *bytes, uint64_t len);

/* A field of the configuration space; natural width 1, 2, 4, or 8 (read as two words). */
struct fake_virtio_config_field {
    uint16_t offset;
    uint8_t width_bytes;
    bool writable;
    uint64_t feature;       /* exists only if offered; 0: always */
    bool after_features_ok; /* must not be read before FEATURES_OK */
};

struct fake_virtio_type {
    uint32_t device_id;
    uint32_t queue_count;
    uint64_t queues_feature; /* queues after the first exist only with it accepted; 0: always */
    uint64_t features;       /* what it offers, those of every device included */
    struct fake_virtio_config_field fields[FAKE_VIRTIO_CONFIG_FIELDS_MAX];
    uint32_t field_count;
    /* After a reset (no feature is accepted), after FEATURES_OK, after fake_virtio_change_config:
     * the type may fill in the configuration space. May be NULL. */
    void (*changed)(void *context, struct fake_virtio *device);
    /* Does the request; returns the bytes written into its writable part, from its start. */
    uint32_t (*execute)(void *context, struct fake_virtio *device,
                        const struct fake_virtio_chain *chain);
    void *context;
};

/* State; private, public for sizeof */

struct fake_virtio_request {
    struct ash_list node; /* in pending, executed, written or idle */
    uint16_t id;          /* split: its head; packed: its buffer id */
    uint16_t descriptors; /* of the ring, not of an indirect table */
    uint16_t kept;        /* packed: the first of its kept descriptors */
    uint64_t position;    /* packed: where in the ring it began */
    uint64_t due, due_ns; /* the step and the time from which on it may be executed */
    uint64_t digest;      /* of its descriptors when fetched */
    uint32_t used_len;
    uint64_t writable_bytes;
};

/* The engine's own shadow of which chain has a descriptor (head + 1, or 0), and the next of it. */
struct fake_virtio_split {
    uint16_t avail_seen; /* highest avail.idx read */
    uint16_t owner[FAKE_VIRTIO_QUEUE_SIZE_MAX], owner_next[FAKE_VIRTIO_QUEUE_SIZE_MAX];
};

struct fake_virtio_descriptor {
    ash_paddr_t addr;
    uint32_t len;
    uint16_t flags, link; /* link: next of a split ring, id of a packed one */
};

/* Copies of the descriptors in flight, because used ones are written over them in any order: lists
 * through kept_next, free ones from kept_free on. */
struct fake_virtio_packed {
    struct fake_virtio_descriptor kept[FAKE_VIRTIO_QUEUE_SIZE_MAX];
    uint16_t kept_next[FAKE_VIRTIO_QUEUE_SIZE_MAX], kept_free;
    uint64_t ids[UINT16_MAX / 64 + 1]; /* buffer ids in flight, a bit each */
    ash_paddr_t first_at;              /* of the first flags to be published; 0: there are none */
    uint16_t first_flags;
};

struct fake_virtio_format; /* virtio_ring.h: split or packed */

struct fake_virtio_queue {
    uint32_t index;
    uint16_t size_max, size;
    bool ready;
    ash_paddr_t desc, avail, used; /* Descriptor, Driver, Device Area */
    const struct fake_virtio_format *format;

    bool awake; /* looks for available buffers */
    bool armed; /* has asked to be notified */
    /* Positions since the queue became ready: entries of split rings, descriptors of a packed one.
     */
    uint64_t avail_next;     /* to fetch next */
    uint64_t avail_notified; /* offered at the last notification */
    uint64_t used_next;      /* to write next */
    uint64_t used_published; /* visible to the driver */
    uint64_t used_signalled; /* visible at the last interrupt decision */
    uint32_t unpublished;    /* used entries written, not visible yet */
    bool interrupt_undecided;

    struct ash_list pending, executed, written, idle;
    struct fake_virtio_request requests[FAKE_VIRTIO_QUEUE_SIZE_MAX];
    uint32_t in_flight, in_flight_descriptors;
    union {
        struct fake_virtio_split split;
        struct fake_virtio_packed packed;
    } ring;
};

struct fake_virtio_violation {
    enum fake_virtio_rule rule;
    char text[160]; /* "CHAIN_LOOP (virtio 1.2, 2.7.5.2): ...; queue 0, head 3" */
};

struct fake_virtio_stats {
    uint64_t fetched, executed, retired, published;
    uint64_t interrupts;            /* raised for used buffers */
    uint64_t interrupts_suppressed; /* not raised, because the driver did not ask */
    uint64_t notifications;
    uint64_t notifications_needless; /* that 2.7.10.1 says the driver SHOULD NOT have sent */
};

struct fake_virtio {
    struct fake_virtio_type type;
    struct guest_memory *memory;
    struct fake_virtio_policy policy;
    void (*interrupt)(void *context, bool asserted);
    void *interrupt_context;

    uint32_t status, interrupt_status;
    bool line;
    uint64_t accepted;
    bool features_reread; /* status was read since FEATURES_OK was set */
    bool reset_seen;      /* status 0 was read since the last reset */
    bool silent, dead;    /* no more ring action until reset; nor after it */
    bool lied;            /* in the used ring, since the last reset */
    bool heard_late;      /* of new queues, when the driver may have used them: for a transport */
    uint32_t config_generation;
    uint8_t config[FAKE_VIRTIO_CONFIG_BYTES_MAX];

    uint64_t now; /* steps taken */
    uint64_t random;
    uint32_t occasions[FAKE_VIRTIO_FAULT_KINDS];
    struct fake_virtio_queue queues[FAKE_VIRTIO_QUEUES_MAX];
    struct fake_virtio_segment segments[FAKE_VIRTIO_QUEUE_SIZE_MAX];
    uint32_t visited[FAKE_VIRTIO_QUEUE_SIZE_MAX]; /* by the walk of that number */
    uint32_t walk;

    struct fake_virtio_stats stats;
    uint64_t violation_total;
    uint32_t violation_counts[FAKE_VIRTIO_RULE_COUNT];
    struct fake_virtio_violation violations[FAKE_VIRTIO_VIOLATIONS_KEPT];
};

/* Life */

/*
 * memory stays the caller's, is looked up at every access; queue_size_max is a power of two, 2 to
 * FAKE_VIRTIO_QUEUE_SIZE_MAX. interrupt(context, asserted) is told when the line (InterruptStatus
 * not 0) changes; it may be NULL, and it must not call back into the device.
 */
void fake_virtio_init(struct fake_virtio *device, const struct fake_virtio_type *type,
                      struct guest_memory *memory, uint32_t queue_size_max);
void fake_virtio_on_interrupt(struct fake_virtio *device,
                              void (*interrupt)(void *context, bool asserted), void *context);
/* At any time; the occasions of the faults are counted from here. */
void fake_virtio_set_policy(struct fake_virtio *device, const struct fake_virtio_policy *policy);

/* Changes the configuration space: bytes, generation, and a configuration change notification. */
void fake_virtio_change_config(struct fake_virtio *device, uint32_t offset, const void *bytes,
                               uint32_t len);

/* Running */

/* One ring action, or one step of waiting for a request's latency. False: nothing to do until the
 * driver acts or the policy's clock moves. */
bool fake_virtio_step(struct fake_virtio *device);

/* When the policy's clock lets the next request be executed; UINT64_MAX: none waits for it. */
uint64_t fake_virtio_due_ns(const struct fake_virtio *device);

/* Steps until there is nothing to do, at most `limit`; returns the steps that did something. */
uint64_t fake_virtio_run(struct fake_virtio *device, uint64_t limit);

/* Requests fetched and not yet published. */
uint32_t fake_virtio_in_flight(const struct fake_virtio *device);

/* What the referee saw */

/* Records NOTIFICATION_MISSING if buffers wait that the driver should have told of; call it when
 * the driver says that it has. */
void fake_virtio_check_notified(struct fake_virtio *device);
uint64_t fake_virtio_violations(const struct fake_virtio *device); /* all that were recorded */
uint32_t fake_virtio_violated(const struct fake_virtio *device, enum fake_virtio_rule rule);
/* The text of the first ones; NULL past them. */
const char *fake_virtio_violation_text(const struct fake_virtio *device, uint32_t index);

/* The register half: for transports */

uint32_t fake_virtio_read_status(struct fake_virtio *device);
void fake_virtio_write_status(struct fake_virtio *device, uint32_t status); /* 0 resets */
uint32_t fake_virtio_read_features(struct fake_virtio *device, uint32_t word);
void fake_virtio_write_features(struct fake_virtio *device, uint32_t word, uint32_t value);
struct fake_virtio_queue *fake_virtio_queue(struct fake_virtio *device,
                                            uint32_t index); /* or NULL */
void fake_virtio_write_queue_size(struct fake_virtio *device, struct fake_virtio_queue *queue,
                                  uint32_t size);
void fake_virtio_write_queue_ready(struct fake_virtio *device, struct fake_virtio_queue *queue,
                                   uint32_t value);
/* Records what is wrong with changing a queue's size, addresses or readiness now; false: ignore
 * it. */
bool fake_virtio_may_configure(struct fake_virtio *device, const struct fake_virtio_queue *queue);
void fake_virtio_notify(struct fake_virtio *device, uint32_t queue_index);
void fake_virtio_acknowledge(struct fake_virtio *device, uint32_t bits);
uint32_t fake_virtio_read_generation(struct fake_virtio *device);
uint32_t fake_virtio_read_config(struct fake_virtio *device, uint32_t offset, uint32_t width_bytes);
void fake_virtio_write_config(struct fake_virtio *device, uint32_t offset, uint32_t width_bytes,
                              uint32_t value);

/* For device types and transports */

void fake_virtio_violate(struct fake_virtio *device, enum fake_virtio_rule rule, const char *format,
                         ...) ASH_PRINTF(3, 4);
/* Counts one occasion; true, with the fault's value, if the policy lies at it. */
bool fake_virtio_lies(struct fake_virtio *device, enum fake_virtio_fault_kind kind,
                      uint64_t *value);
/* DEVICE_NEEDS_RESET with its notification (2.1.2); no ring action until reset. */
void fake_virtio_break(struct fake_virtio *device);
void fake_virtio_raise(struct fake_virtio *device, uint32_t bits);
/* Sets the line without an event: level or pulse, as the fault script wants it. */
void fake_virtio_pulse(struct fake_virtio *device);
uint64_t fake_virtio_choose(struct fake_virtio *device, uint64_t limit); /* by the policy */
/* Whether an index that moved from `before` to `after` passed `event` (2.7.7.2, 2.7.10.2): it did
 * if `event` is one of before .. after - 1, modulo 2^16. */
bool fake_virtio_event_needed(uint16_t event, uint16_t after, uint16_t before);

#ifdef __cplusplus
}
#endif

#endif
