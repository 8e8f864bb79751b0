/* SPDX-License-Identifier: MIT */
/*
 * virtio_mmio.h: the memory-mapped transport: one window of 32-bit registers per device, as QEMU's
 * `virt` machines, many hypervisors and Linux's command line have it. The registers are reached by
 * two operations that the window's owner fills in: real device memory, or a fake.
 *
 * Rules
 *  - Only the modern interface (Version 2). QEMU's default is still the legacy one: it wants
 *    `-global virtio-mmio.force-legacy=false`, and the reason text says so.
 *  - An empty slot is no mistake: a machine has many windows and few devices.
 *  - read and write may be called in any context; they must not be merged, dropped or reordered
 *    among themselves (volatile accesses of exactly that width to device memory do).
 *
 * Source: VIRTIO 1.2, 4.2.
 */
#ifndef ASHLAR_VIRTIO_MMIO_H
#define ASHLAR_VIRTIO_MMIO_H

#include <ashlar/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * offset: bytes from the window's start. width_bytes: 4 for each register; 1, 2 or 4 in the
 * configuration space, which begins at ASH_VIRTIO_MMIO_CONFIG. Values are in the CPU's byte order
 * (the registers themselves are little-endian).
 */
struct ash_virtio_regs {
    uint32_t (*read)(void *context, uint32_t offset, uint32_t width_bytes);
    void (*write)(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value);
    void *context;
};

/* Register offsets, 4.2.2 */
#define ASH_VIRTIO_MMIO_MAGIC               0x000u
#define ASH_VIRTIO_MMIO_VERSION             0x004u
#define ASH_VIRTIO_MMIO_DEVICE_ID           0x008u
#define ASH_VIRTIO_MMIO_VENDOR_ID           0x00cu
#define ASH_VIRTIO_MMIO_DEVICE_FEATURES     0x010u
#define ASH_VIRTIO_MMIO_DEVICE_FEATURES_SEL 0x014u
#define ASH_VIRTIO_MMIO_DRIVER_FEATURES     0x020u
#define ASH_VIRTIO_MMIO_DRIVER_FEATURES_SEL 0x024u
#define ASH_VIRTIO_MMIO_QUEUE_SEL           0x030u
#define ASH_VIRTIO_MMIO_QUEUE_NUM_MAX       0x034u
#define ASH_VIRTIO_MMIO_QUEUE_NUM           0x038u
#define ASH_VIRTIO_MMIO_QUEUE_READY         0x044u
#define ASH_VIRTIO_MMIO_QUEUE_NOTIFY        0x050u
#define ASH_VIRTIO_MMIO_INTERRUPT_STATUS    0x060u
#define ASH_VIRTIO_MMIO_INTERRUPT_ACK       0x064u
#define ASH_VIRTIO_MMIO_STATUS              0x070u
#define ASH_VIRTIO_MMIO_QUEUE_DESC_LOW      0x080u
#define ASH_VIRTIO_MMIO_QUEUE_DESC_HIGH     0x084u
#define ASH_VIRTIO_MMIO_QUEUE_DRIVER_LOW    0x090u
#define ASH_VIRTIO_MMIO_QUEUE_DRIVER_HIGH   0x094u
#define ASH_VIRTIO_MMIO_QUEUE_DEVICE_LOW    0x0a0u
#define ASH_VIRTIO_MMIO_QUEUE_DEVICE_HIGH   0x0a4u
#define ASH_VIRTIO_MMIO_CONFIG_GENERATION   0x0fcu
#define ASH_VIRTIO_MMIO_CONFIG              0x100u

#define ASH_VIRTIO_MMIO_MAGIC_VALUE 0x74726976u /* "virt", little-endian */

/* Fields private but transport. */
struct ash_virtio_mmio {
    struct ash_virtio_transport transport; /* .device_id tells what sits here */
    struct ash_virtio_regs regs;
};

/*
 * Looks at a window; writes nothing to it. Copies *regs. Afterwards, also after a failure,
 * mmio->transport.reason can be printed.
 *   0              a modern device: mmio->transport is ready for its driver
 *   -ASH_EINVAL    regs lacks an operation
 *   -ASH_ENODEV    no virtio window at this address (magic value)
 *   -ASH_ENXIO     an empty slot
 *   -ASH_ENOTSUP   a legacy device (Version 1); the reason names the option that QEMU needs
 *   -ASH_ENOSYS    a Version that is not known
 */
int ash_virtio_mmio_probe(struct ash_virtio_mmio *mmio,
                          const struct ash_virtio_regs *regs) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
