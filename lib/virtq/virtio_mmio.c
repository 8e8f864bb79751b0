/* SPDX-License-Identifier: MIT */
/* virtio_mmio.c: the transport's operations as register accesses. VIRTIO 1.2, 4.2. */
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <ashlar/virtio_mmio.h>

static uint32_t get(struct ash_virtio_transport *transport, uint32_t offset) {
    const struct ash_virtio_regs *regs =
        &ASH_CONTAINER_OF(transport, struct ash_virtio_mmio, transport)->regs;
    return regs->read(regs->context, offset, 4);
}

static void put(struct ash_virtio_transport *transport, uint32_t offset, uint32_t value) {
    const struct ash_virtio_regs *regs =
        &ASH_CONTAINER_OF(transport, struct ash_virtio_mmio, transport)->regs;
    regs->write(regs->context, offset, 4, value);
}

static void put_address(struct ash_virtio_transport *transport, uint32_t offset_low,
                        ash_paddr_t address) {
    put(transport, offset_low, (uint32_t)address);
    put(transport, offset_low + 4, (uint32_t)(address >> 32));
}

static uint32_t mmio_status(struct ash_virtio_transport *transport) {
    return get(transport, ASH_VIRTIO_MMIO_STATUS);
}

static void mmio_set_status(struct ash_virtio_transport *transport, uint32_t status) {
    put(transport, ASH_VIRTIO_MMIO_STATUS, status);
}

static uint64_t mmio_features(struct ash_virtio_transport *transport) {
    put(transport, ASH_VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    uint64_t low = get(transport, ASH_VIRTIO_MMIO_DEVICE_FEATURES);
    put(transport, ASH_VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    return (uint64_t)get(transport, ASH_VIRTIO_MMIO_DEVICE_FEATURES) << 32 | low;
}

static void mmio_set_features(struct ash_virtio_transport *transport, uint64_t features) {
    put(transport, ASH_VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    put(transport, ASH_VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
    put(transport, ASH_VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    put(transport, ASH_VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
}

static uint32_t mmio_queue_size_max(struct ash_virtio_transport *transport, uint32_t queue) {
    put(transport, ASH_VIRTIO_MMIO_QUEUE_SEL, queue);
    return get(transport, ASH_VIRTIO_MMIO_QUEUE_NUM_MAX);
}

static int mmio_queue_setup(struct ash_virtio_transport *transport, uint32_t queue, uint32_t size,
                            ash_paddr_t desc, ash_paddr_t driver, ash_paddr_t device) {
    put(transport, ASH_VIRTIO_MMIO_QUEUE_SEL, queue);
    if (get(transport, ASH_VIRTIO_MMIO_QUEUE_READY) != 0) {
        transport->reason = "the queue is in use although the device was reset";
        return -ASH_EBUSY;
    }
    put(transport, ASH_VIRTIO_MMIO_QUEUE_NUM, size);
    put_address(transport, ASH_VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
    put_address(transport, ASH_VIRTIO_MMIO_QUEUE_DRIVER_LOW, driver);
    put_address(transport, ASH_VIRTIO_MMIO_QUEUE_DEVICE_LOW, device);
    /* What the rings hold must be there before the device may look. */
    ash_port_dma_mb();
    put(transport, ASH_VIRTIO_MMIO_QUEUE_READY, 1);
    if (get(transport, ASH_VIRTIO_MMIO_QUEUE_READY) != 1) {
        transport->reason = "the device did not enable the queue (QueueReady reads back as 0)";
        return -ASH_EIO;
    }
    return 0;
}

static void mmio_notify(struct ash_virtio_transport *transport, uint32_t queue) {
    put(transport, ASH_VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static uint32_t mmio_interrupt_ack(struct ash_virtio_transport *transport) {
    uint32_t pending = get(transport, ASH_VIRTIO_MMIO_INTERRUPT_STATUS) &
                       (ASH_VIRTIO_INTERRUPT_USED | ASH_VIRTIO_INTERRUPT_CONFIG);
    if (pending != 0)
        put(transport, ASH_VIRTIO_MMIO_INTERRUPT_ACK, pending);
    return pending;
}

static uint32_t mmio_config_generation(struct ash_virtio_transport *transport) {
    return get(transport, ASH_VIRTIO_MMIO_CONFIG_GENERATION);
}

static uint32_t mmio_config_read(struct ash_virtio_transport *transport, uint32_t offset,
                                 uint32_t width_bytes) {
    const struct ash_virtio_regs *regs =
        &ASH_CONTAINER_OF(transport, struct ash_virtio_mmio, transport)->regs;
    return regs->read(regs->context, ASH_VIRTIO_MMIO_CONFIG + offset, width_bytes);
}

static const struct ash_virtio_transport_ops mmio_ops = {
    .status = mmio_status,
    .set_status = mmio_set_status,
    .features = mmio_features,
    .set_features = mmio_set_features,
    .queue_size_max = mmio_queue_size_max,
    .queue_setup = mmio_queue_setup,
    .notify = mmio_notify,
    .interrupt_ack = mmio_interrupt_ack,
    .config_generation = mmio_config_generation,
    .config_read = mmio_config_read,
};

static int refuse(struct ash_virtio_mmio *mmio, int error, const char *reason) {
    mmio->transport.reason = reason;
    return error;
}

int ash_virtio_mmio_probe(struct ash_virtio_mmio *mmio, const struct ash_virtio_regs *regs) {
    mmio->transport = (struct ash_virtio_transport){.ops = &mmio_ops, .device_id = 0, .reason = ""};
    mmio->regs = *regs;
    if (regs->read == NULL || regs->write == NULL)
        return refuse(mmio, -ASH_EINVAL, "no register operations were given");
    if (get(&mmio->transport, ASH_VIRTIO_MMIO_MAGIC) != ASH_VIRTIO_MMIO_MAGIC_VALUE)
        return refuse(mmio, -ASH_ENODEV, "no virtio-mmio registers at this address");
    /* Before Version: where QEMU is in legacy mode its empty slots say Version 1, too. */
    uint32_t device_id = get(&mmio->transport, ASH_VIRTIO_MMIO_DEVICE_ID);
    if (device_id == 0)
        return refuse(mmio, -ASH_ENXIO, "an empty virtio-mmio slot");
    mmio->transport.device_id = device_id;
    uint32_t version = get(&mmio->transport, ASH_VIRTIO_MMIO_VERSION);
    if (version == 1)
        return refuse(mmio, -ASH_ENOTSUP,
                      "a legacy virtio-mmio device (Version 1); start QEMU with -global "
                      "virtio-mmio.force-legacy=false");
    if (version != 2)
        return refuse(mmio, -ASH_ENOSYS, "a virtio-mmio device of an unknown Version");
    return 0;
}
