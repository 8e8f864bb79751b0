/* SPDX-License-Identifier: MIT */
/*
 * virtio_policy.h: how a fake virtio device behaves: its order, its pace, and the lies that it
 * tells. All zero is the correct device: first in, first out, at once, each used entry published by
 * itself.
 *
 * Rules
 *  - A lie has a kind, and is told at given occasions of that kind: first .. first + count - 1,
 *    counted from 0 since the policy was set (a count of 0 means 1).
 *  - It replaces what is true at that place and nothing else: what a driver may still rely on is
 *    known.
 *  - Chance comes from `choose` (a fuzzer's bytes, an enumeration), or from `seed`.
 */
#ifndef ASHLAR_HOSTED_VIRTIO_POLICY_H
#define ASHLAR_HOSTED_VIRTIO_POLICY_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fake_virtio_order { FAKE_VIRTIO_FIFO, FAKE_VIRTIO_LIFO, FAKE_VIRTIO_RANDOM };

enum fake_virtio_notify_rule {
    FAKE_VIRTIO_NOTIFY_AS_ASKED, /* exactly as 2.7.7.2 and 2.8.10 say */
    FAKE_VIRTIO_NOTIFY_ALWAYS,   /* after every publication: early and spurious ones are legal */
};

/* X(id, name) */
#define FAKE_VIRTIO_FAULTS(X)                                                                     \
    /* Occasion: a used entry is written. The true entry is not. */                               \
    X(ID_OUT_OF_RANGE, id_out_of_range)   /* id = value; the queue size if value is 0 */          \
    X(ID_NOT_A_HEAD, id_not_a_head)       /* of an in-flight descriptor that begins no chain; */  \
                                          /* packed rings have none: as ID_NOT_IN_FLIGHT */       \
    X(ID_NOT_IN_FLIGHT, id_not_in_flight) /* an id that the driver has not given */               \
    X(ID_SWAPPED, id_swapped)             /* the id of another request that is in flight */       \
    X(LEN_TOO_LARGE, len_too_large)       /* len = writable bytes + value (1 if 0), saturating */ \
    X(USED_MISPLACED, used_misplaced)     /* written value (1 if 0) places further than is due */ \
    /* Occasion: a used entry was written. Another one follows it. */                             \
    X(DUPLICATE, duplicate)           /* the same again */                                        \
    X(USED_UNOFFERED, used_unoffered) /* of an id that the driver has not given */                \
    /* Occasion: a packed ring's used entry is written. */                                        \
    X(WRONG_WRAP, wrong_wrap) /* its flags are those of the lap before */                         \
    /* Occasion: used entries are published. */                                                   \
    X(IDX_JUMP, idx_jump) /* further by value (1 if 0) than what was written */                   \
    /* Occasion: a queue becomes ready. */                                                        \
    X(USED_EARLY, used_early) /* a used entry of id value, before DRIVER_OK */                    \
    /* Occasion: a request is executed. */                                                        \
    X(STATUS_ERROR, status_error)         /* status byte = value (1 for 0), no data */            \
    X(STATUS_UNWRITTEN, status_unwritten) /* all as ever, but the status byte stays */            \
    X(DEATH, death)                       /* silent; a reset revives it unless value is 1 */      \
    X(NEEDS_RESET, needs_reset) /* DEVICE_NEEDS_RESET, configuration interrupt, silence */        \
    /* Occasion: an interrupt is due. */                                                          \
    X(INTERRUPT_LOST, interrupt_lost)                                                             \
    /* Occasion: a step. ISR gets the bits of value (none if 0), the line is pulsed. */           \
    X(INTERRUPT_SPURIOUS, interrupt_spurious)                                                     \
    /* Occasion: a step. Value (1 if 0) halfwords that the driver reads become random ones. */    \
    X(SCRIBBLE, scribble)                                                                         \
    /* Occasion: the driver notifies. */                                                          \
    X(NOTIFICATION_LOST, notification_lost)                                                       \
    /* Occasion: the configuration generation is read. It is another one each time. */            \
    X(CONFIG_CHURN, config_churn)                                                                 \
    /* Occasion: the driver sets FEATURES_OK. The bit does not stay. */                           \
    X(FEATURES_REFUSED, features_refused)                                                         \
    /* Occasion: status is read after a reset. It is not 0 yet. */                                \
    X(RESET_SLOW, reset_slow)

enum fake_virtio_fault_kind {
#define FAKE_VIRTIO_FAULT_ENUM(id, name) FAKE_VIRTIO_FAULT_##id,
    FAKE_VIRTIO_FAULTS(FAKE_VIRTIO_FAULT_ENUM)
#undef FAKE_VIRTIO_FAULT_ENUM
        FAKE_VIRTIO_FAULT_KINDS
};

/* "id_out_of_range"; NULL past the last kind. */
const char *fake_virtio_fault_name(uint32_t kind);

#define FAKE_VIRTIO_FOREVER UINT32_MAX

struct fake_virtio_fault {
    enum fake_virtio_fault_kind kind;
    uint32_t first, count;
    uint64_t value;
};

struct fake_virtio_policy {
    enum fake_virtio_order order; /* in which fetched requests are executed */
    bool shuffle_actions;         /* any possible ring action next, rather than the eager order */
    uint32_t latency_steps;       /* steps from fetch to execution, at least */
    uint32_t latency_spread;      /* and up to so many more, by chance */
    /* The same in time, where there is a clock (a simulator's); both must have passed. */
    uint64_t latency_ns, latency_spread_ns;
    uint64_t (*clock_ns)(void *context);
    void *clock_context;
    uint32_t used_batch; /* used entries per publication while there are more; 0: 1 */
    enum fake_virtio_notify_rule notify;
    uint64_t seed;
    /* Where chance comes from, 0..limit-1; NULL: a generator from seed. */
    uint64_t (*choose)(void *context, uint64_t limit);
    void *choose_context;
    const struct fake_virtio_fault *faults; /* stay the caller's */
    uint32_t fault_count;
};

#ifdef __cplusplus
}
#endif

#endif
