/* SPDX-License-Identifier: MIT */
/*
 * virtio_rules.h: what the fake device holds a driver to, by id: virtio 1.2's requirements of
 * drivers, with their section. "Fatal" ones leave the device in DEVICE_NEEDS_RESET: it cannot know
 * what the driver meant.
 */
#ifndef ASHLAR_HOSTED_VIRTIO_RULES_H
#define ASHLAR_HOSTED_VIRTIO_RULES_H

/* X(id, section, fatal, what the driver did) */
#define FAKE_VIRTIO_RULES(X)                                                                       \
    /* Device status and features */                                                               \
    X(STATUS_ORDER, "3.1.1", 0, "status bits out of order")                                        \
    X(STATUS_CLEARED, "2.1.1", 0, "cleared a status bit without a reset")                          \
    X(STATUS_RESERVED, "2.1", 0, "set a status bit that is the device's or undefined")             \
    X(STATUS_FAILED, "2.1.1", 0, "went on after FAILED without a reset")                           \
    X(RESET_NOT_AWAITED, "2.4.2", 0, "did not wait until status read 0 after a reset")             \
    X(FEATURES_OK_NOT_READ, "3.1.1", 0, "did not re-read status after FEATURES_OK")                \
    X(FEATURES_OK_IGNORED, "3.1.1", 0, "went on though FEATURES_OK did not stay")                  \
    X(FEATURES_LATE, "3.1.1", 0, "accepted features after FEATURES_OK")                            \
    X(FEATURES_EARLY, "3.1.1", 0, "accepted features before DRIVER")                               \
    X(FEATURE_NOT_OFFERED, "2.2.1", 0, "accepted a feature that was not offered")                  \
    X(VERSION_1_NOT_ACCEPTED, "6.1", 0, "did not accept VIRTIO_F_VERSION_1")                       \
    X(VERSION_IGNORED, "4.2.2.2", 0, "drives a device whose version is not 2")                     \
    X(FEATURES_NOT_SELECTED, "4.2.2.2", 0, "used a feature word before selecting one")             \
    /* Registers */                                                                                \
    X(REGISTER_WIDTH, "4.2.2.2", 0, "register access that is not 32 bits wide and aligned")        \
    X(REGISTER_UNKNOWN, "4.2.2.2", 0, "access to a register that does not exist")                  \
    X(REGISTER_READ_ONLY, "4.2.2.2", 0, "write to a read-only register")                           \
    X(REGISTER_WRITE_ONLY, "4.2.2.2", 0, "read of a write-only register")                          \
    X(INTERRUPT_ACK, "4.2.2.2", 0, "acknowledged an interrupt that is not pending")                \
    X(CONFIG_WIDTH, "4.2.2.2", 0, "configuration access that has not the field's width")           \
    X(CONFIG_UNKNOWN, "4.2.2.2", 0, "configuration access where there is no field")                \
    X(CONFIG_NOT_OFFERED, "2.5.1", 0, "used a field whose feature is not offered")                 \
    X(CONFIG_NOT_ACCEPTED, "5.2.6.1", 0, "wrote a field whose feature it did not accept")          \
    X(CONFIG_READ_ONLY, "5.2.4", 0, "write to a read-only field")                                  \
    X(CONFIG_EARLY, "5.2.5.1", 0, "read the field before FEATURES_OK")                             \
    /* Queue set-up */                                                                             \
    X(QUEUE_ABSENT, "4.2.3.2", 0, "configured or notified a queue that does not exist")            \
    X(QUEUE_EARLY, "3.1.1", 0, "configured a queue before FEATURES_OK")                            \
    X(QUEUE_LATE, "3.1.1", 0, "configured a queue after DRIVER_OK")                                \
    X(QUEUE_WHILE_READY, "4.2.2.2", 0, "configured a queue while it is ready")                     \
    X(QUEUE_SIZE_MAX, "4.2.2.2", 0, "queue size above QueueNumMax")                                \
    X(QUEUE_SIZE_POWER, "2.7", 0, "queue size that is not a power of two")                         \
    X(QUEUE_ALIGNMENT, "2.7.1, 2.8.11", 0, "misaligned part of a queue")                           \
    X(QUEUE_MEMORY, "2.7, 2.8.10.1", 0, "part of a queue outside the guest's memory")              \
    X(QUEUE_STOP_NOT_READ, "4.2.2.2", 0, "did not read QueueReady back after stopping the queue")  \
    X(QUEUE_NOT_NEGOTIATED, "5.2.2", 0, "queue that exists only with a feature not accepted")      \
    X(USED_FLAGS_NOT_ZERO, "2.7.10.1", 0, "used.flags is not 0 in a new queue")                    \
    /* Notifications */                                                                            \
    X(NOTIFICATION_EARLY, "3.1.1", 0, "notified before DRIVER_OK")                                 \
    X(NOTIFICATION_NOT_READY, "4.2.3.3", 0, "notified a queue that is not ready")                  \
    X(NOTIFICATION_MISSING, "2.7.10.1, 2.8.21.2", 0, "did not notify, though asked to")            \
    X(AVAIL_FLAGS, "2.7.7.1", 0, "avail.flags has a value that is not allowed")                    \
    /* Rings and chains */                                                                         \
    X(AVAIL_IDX_BACK, "2.7.6.1", 1, "avail.idx went back")                                         \
    X(AVAIL_IDX_AHEAD, "2.7.13", 1, "avail.idx offers more buffers than the queue holds")          \
    X(HEAD_RANGE, "2.7.6", 1, "avail entry past the descriptor table")                             \
    X(DESC_RANGE, "2.7.5", 1, "next descriptor past its table")                                    \
    X(DESC_IN_FLIGHT, "2.7.13.1", 1, "used a descriptor that is in flight")                        \
    X(DESC_FLAGS, "2.7.5, 2.8.13", 0, "descriptor with undefined flags")                           \
    X(DESC_CHANGED, "2.7.13.3, 2.8.16", 1, "changed a chain while it was in flight")               \
    X(CHAIN_LOOP, "2.7.5.2", 1, "descriptor chain with a loop")                                    \
    X(CHAIN_LENGTH, "2.7.5.3.1, 2.8.17", 1, "descriptor chain longer than the queue")              \
    X(CHAIN_BYTES, "2.7.5.2, 2.8.17", 1, "descriptor chain of more than 4 GiB")                    \
    X(CHAIN_ORDER, "2.7.4.2, 2.8.17", 1, "device-readable descriptor after a device-writable one") \
    X(CHAIN_MEMORY, "2.7.5, 2.8.4", 1, "buffer outside the guest's memory")                        \
    X(INDIRECT_NOT_ACCEPTED, "2.7.5.3.1, 2.8.19", 1, "indirect descriptor without the feature")    \
    X(INDIRECT_NESTED, "2.7.5.3.1", 1, "indirect descriptor in an indirect table")                 \
    X(INDIRECT_NEXT, "2.7.5.3.1, 2.8.19", 1, "indirect descriptor in a list linked by NEXT")       \
    X(INDIRECT_TABLE, "2.7.5.3, 2.8.7", 1,                                                         \
      "indirect table that is empty or not of whole descriptors")                                  \
    /* Packed rings alone */                                                                       \
    X(RING_NOT_ZERO, "2.8.13", 0, "descriptor ring that is not zero in a new queue")               \
    X(DESC_BITS, "2.8.1", 1, "descriptor marked as used that is not used")                         \
    X(RING_OVERRUN, "2.8.17", 1, "more descriptors than there is room for in the ring")            \
    X(CHAIN_PARTIAL, "2.8.17", 1, "first descriptor of a chain available before the rest of it")   \
    X(ID_IN_FLIGHT, "2.8.21.1", 1, "buffer id that is in flight")                                  \
    X(INDIRECT_FLAGS, "2.8.19", 0, "flags other than WRITE in an indirect table")                  \
    X(EVENT_FLAGS, "2.8.10", 0, "event suppression flags with a value that is not allowed")        \
    X(EVENT_OFFSET, "2.8.10", 0, "event asked for past the end of the ring")                       \
    /* Block device */                                                                             \
    X(BLK_HEADER, "5.2.6", 0, "request with less than a header to read")                           \
    X(BLK_STATUS, "5.2.6", 0, "request without a byte for its status")                             \
    X(BLK_DATA_LEN, "5.2.6.1", 0, "data of a length that the request does not allow")              \
    X(BLK_DIRECTION, "5.2.6", 0, "data in the wrong direction")                                    \
    X(BLK_CAPACITY, "5.2.6.1", 0, "request past the capacity")                                     \
    X(BLK_FLUSH_SECTOR, "5.2.6.1", 0, "flush with a sector that is not 0")                         \
    X(BLK_SECTOR_UNUSED, "5.2.6", 0, "sector that is not 0 in a request that has none")            \
    X(BLK_NOT_ACCEPTED, "2.2", 0, "request of a kind whose feature it did not accept")             \
    X(BLK_RANGES, "5.2.6.1", 0, "more ranges in a request than max_discard_seg or its like")       \
    X(BLK_RANGE_SECTORS, "5.2.5", 0, "range of more sectors than max_discard_sectors or its like") \
    X(BLK_SEG_MAX, "5.2.3", 0, "more data segments than seg_max")                                  \
    X(BLK_SIZE_MAX, "5.2.3", 0, "data segment larger than size_max")                               \
    X(BLK_UNMAP, "5.2.6.1", 0, "discard with the unmap flag")

enum fake_virtio_rule {
#define FAKE_VIRTIO_RULE_ENUM(id, section, fatal, text) FAKE_VIRTIO_RULE_##id,
    FAKE_VIRTIO_RULES(FAKE_VIRTIO_RULE_ENUM)
#undef FAKE_VIRTIO_RULE_ENUM
        FAKE_VIRTIO_RULE_COUNT
};

/* "CHAIN_LOOP", "2.7.5.2". */
const char *fake_virtio_rule_name(enum fake_virtio_rule rule);
const char *fake_virtio_rule_section(enum fake_virtio_rule rule);

#endif
