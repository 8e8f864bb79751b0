/* SPDX-License-Identifier: MIT */
/*
 * virtio.h: what every virtio device has in common, whatever bus it sits on: the transport (status,
 * features, queues, interrupt and configuration registers) as an operations struct, and the
 * handshake over it. <ashlar/virtio_mmio.h> supplies one transport; others can be supplied alike.
 *
 * Rules
 *  - One caller at a time per device; interrupt_ack and status alone may run in an interrupt
 *    meanwhile (ash_virtio_status_check may so, too).
 *  - Nothing here allocates or waits for time: loops over a register are bounded by a count.
 *  - A function that fails leaves the reason, for people, in transport->reason.
 *  - No value that the device returns is trusted.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.2, sections 2 and 3.
 *
 *   reset ─> ACKNOWLEDGE ─> DRIVER ─> features ─> FEATURES_OK ─> queues ─> DRIVER_OK ─> running
 *     ╰────── ash_virtio_begin ──╯     ash_virtio_negotiate      setup   ash_virtio_ready
 */
#ifndef ASHLAR_VIRTIO_H
#define ASHLAR_VIRTIO_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits */
#define ASH_VIRTIO_RESET_READS_MAX    100000u /* re-reads of Status until a reset must be done */
#define ASH_VIRTIO_CONFIG_RETRIES_MAX 16u     /* of a read that a configuration change tore */

/* Device IDs, 5 */
#define ASH_VIRTIO_ID_BLOCK 2u

/* Device status, 2.1 */
#define ASH_VIRTIO_STATUS_ACKNOWLEDGE 1u
#define ASH_VIRTIO_STATUS_DRIVER      2u
#define ASH_VIRTIO_STATUS_DRIVER_OK   4u
#define ASH_VIRTIO_STATUS_FEATURES_OK 8u
#define ASH_VIRTIO_STATUS_NEEDS_RESET 64u
#define ASH_VIRTIO_STATUS_FAILED      128u

/* Feature bits of the queue and the transport, 6 */
#define ASH_VIRTIO_F_INDIRECT_DESC  (UINT64_C(1) << 28)
#define ASH_VIRTIO_F_EVENT_IDX      (UINT64_C(1) << 29)
#define ASH_VIRTIO_F_VERSION_1      (UINT64_C(1) << 32)
#define ASH_VIRTIO_F_RING_PACKED    (UINT64_C(1) << 34)
#define ASH_VIRTIO_F_ORDER_PLATFORM (UINT64_C(1) << 36)

/* What interrupt_ack returns, a set of bits (4.2.2, InterruptStatus) */
#define ASH_VIRTIO_INTERRUPT_USED   1u /* a queue's used ring has moved */
#define ASH_VIRTIO_INTERRUPT_CONFIG 2u /* the configuration or the status has changed */

struct ash_virtio_transport;

/* One bus: each operation is that of the specification's section on the transport, nothing more. */
struct ash_virtio_transport_ops {
    uint32_t (*status)(struct ash_virtio_transport *transport);
    void (*set_status)(struct ash_virtio_transport *transport, uint32_t status);
    uint64_t (*features)(struct ash_virtio_transport *transport);
    void (*set_features)(struct ash_virtio_transport *transport, uint64_t features);
    /* Most entries that the device takes for this queue; 0: it has no such queue. */
    uint32_t (*queue_size_max)(struct ash_virtio_transport *transport, uint32_t queue);
    /* 0; -ASH_EBUSY: already in use; -ASH_EIO: the device did not enable it. */
    int (*queue_setup)(struct ash_virtio_transport *transport, uint32_t queue, uint32_t size,
                       ash_paddr_t desc, ash_paddr_t driver, ash_paddr_t device);
    void (*notify)(struct ash_virtio_transport *transport, uint32_t queue);
    uint32_t (*interrupt_ack)(struct ash_virtio_transport *transport);
    uint32_t (*config_generation)(struct ash_virtio_transport *transport);
    /* width_bytes is 1, 2 or 4; the value is in the CPU's byte order. */
    uint32_t (*config_read)(struct ash_virtio_transport *transport, uint32_t offset,
                            uint32_t width_bytes);
};

/* A transport is the first field of its bus's struct. */
struct ash_virtio_transport {
    const struct ash_virtio_transport_ops *ops;
    uint32_t device_id;
    const char *reason; /* of the last failure; "" before the first */
};

/*
 * Resets the device: afterwards it touches no memory until it is set up again (2.1, 2.4).
 * -ASH_ETIMEDOUT: Status did not read 0 within ASH_VIRTIO_RESET_READS_MAX reads: the device may
 * still write to every buffer that it was given.
 */
int ash_virtio_reset(struct ash_virtio_transport *transport) ASH_MUST_CHECK;

/* Reset, then ACKNOWLEDGE and DRIVER. Errors: those of ash_virtio_reset. */
int ash_virtio_begin(struct ash_virtio_transport *transport) ASH_MUST_CHECK;

/*
 * Accepts every feature of `required` and those of `wanted` that the device offers; *accepted is
 * the result. VERSION_1 is always required.
 * -ASH_ENOTSUP: a required one is not offered; -ASH_EPERM: the device refused the set (3.1.1).
 */
int ash_virtio_negotiate(struct ash_virtio_transport *transport, uint64_t required, uint64_t wanted,
                         uint64_t *accepted) ASH_MUST_CHECK;

/* DRIVER_OK: the device may run. -ASH_EIO: it says at once that it failed. */
int ash_virtio_ready(struct ash_virtio_transport *transport) ASH_MUST_CHECK;

/* Tells the device that the driver has given it up (3.1.1, step 8). */
void ash_virtio_give_up(struct ash_virtio_transport *transport);

/*
 * 0 while the device is running; -ASH_EIO when it asks for a reset or has lost its state. One read
 * of a register: for a watchdog whose request has not come back, not for a hot path.
 */
int ash_virtio_status_check(struct ash_virtio_transport *transport) ASH_MUST_CHECK;

/* A field of the device's configuration: 1, 2, 4 or 8 bytes, naturally aligned. */
struct ash_virtio_config_field {
    uint32_t offset;
    uint32_t width_bytes;
    uint64_t feature; /* that must have been accepted; 0: the field is always there */
    uint64_t absent;  /* its value where it is not there */
};

/*
 * Reads `count` fields into values[] as one consistent picture (2.5.1); features: the accepted
 * ones. -ASH_EAGAIN: the device changed it during each of ASH_VIRTIO_CONFIG_RETRIES_MAX tries.
 */
int ash_virtio_config_read(struct ash_virtio_transport *transport,
                           const struct ash_virtio_config_field *fields, uint32_t count,
                           uint64_t features, uint64_t *values) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
