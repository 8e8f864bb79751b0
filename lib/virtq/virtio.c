/* SPDX-License-Identifier: MIT */
/* virtio.c: the handshake that every virtio device wants, over any transport. VIRTIO 1.2, 3.1. */
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <ashlar/virtio.h>

static int fail(struct ash_virtio_transport *transport, int error, const char *reason) {
    ash_store_relaxed(&transport->reason, reason); /* perhaps by the watches of several queues */
    return error;
}

static void add_status(struct ash_virtio_transport *transport, uint32_t bits) {
    transport->ops->set_status(transport, transport->ops->status(transport) | bits);
}

int ash_virtio_reset(struct ash_virtio_transport *transport) {
    transport->ops->set_status(transport, 0);
    /* 4.2.3.1: the write may return before the reset is done; only a 0 read back says so. */
    for (uint32_t reads = 0; reads < ASH_VIRTIO_RESET_READS_MAX; reads++) {
        if (transport->ops->status(transport) == 0) {
            ash_port_dma_mb();
            return 0;
        }
        ash_port_relax();
    }
    return fail(transport, -ASH_ETIMEDOUT,
                "the device does not finish its reset (Status does not read 0)");
}

int ash_virtio_begin(struct ash_virtio_transport *transport) {
    int error = ash_virtio_reset(transport);
    if (error != 0)
        return error;
    add_status(transport, ASH_VIRTIO_STATUS_ACKNOWLEDGE);
    add_status(transport, ASH_VIRTIO_STATUS_DRIVER);
    return 0;
}

int ash_virtio_negotiate(struct ash_virtio_transport *transport, uint64_t required, uint64_t wanted,
                         uint64_t *accepted) {
    uint64_t offered = transport->ops->features(transport);
    required |= ASH_VIRTIO_F_VERSION_1;
    if ((offered & ASH_VIRTIO_F_VERSION_1) == 0)
        return fail(transport, -ASH_ENOTSUP,
                    "the device does not offer VERSION_1: it is not a virtio 1.x device");
    if ((offered & required) != required)
        return fail(transport, -ASH_ENOTSUP,
                    "the device does not offer a feature that this driver needs");
    *accepted = offered & (required | wanted);
    transport->ops->set_features(transport, *accepted);
    add_status(transport, ASH_VIRTIO_STATUS_FEATURES_OK);
    if ((transport->ops->status(transport) & ASH_VIRTIO_STATUS_FEATURES_OK) == 0)
        return fail(transport, -ASH_EPERM,
                    "the device refused the features that the driver accepted (FEATURES_OK reads "
                    "back as 0)");
    return 0;
}

int ash_virtio_ready(struct ash_virtio_transport *transport) {
    add_status(transport, ASH_VIRTIO_STATUS_DRIVER_OK);
    return ash_virtio_status_check(transport);
}

void ash_virtio_give_up(struct ash_virtio_transport *transport) {
    add_status(transport, ASH_VIRTIO_STATUS_FAILED);
}

int ash_virtio_status_check(struct ash_virtio_transport *transport) {
    uint32_t status = transport->ops->status(transport);
    if ((status & ASH_VIRTIO_STATUS_NEEDS_RESET) != 0)
        return fail(transport, -ASH_EIO, "the device met an error and asks for a reset");
    if ((status & ASH_VIRTIO_STATUS_DRIVER_OK) == 0)
        return fail(transport, -ASH_EIO, "the device is not running (Status lost DRIVER_OK)");
    return 0;
}

static uint64_t read_field(struct ash_virtio_transport *transport,
                           const struct ash_virtio_config_field *field) {
    const struct ash_virtio_transport_ops *ops = transport->ops;
    if (field->width_bytes != 8)
        return ops->config_read(transport, field->offset, field->width_bytes);
    uint64_t low = ops->config_read(transport, field->offset, 4);
    return (uint64_t)ops->config_read(transport, field->offset + 4, 4) << 32 | low;
}

int ash_virtio_config_read(struct ash_virtio_transport *transport,
                           const struct ash_virtio_config_field *fields, uint32_t count,
                           uint64_t features, uint64_t *values) {
    for (uint32_t tries = 0; tries < ASH_VIRTIO_CONFIG_RETRIES_MAX; tries++) {
        uint32_t generation = transport->ops->config_generation(transport);
        for (uint32_t i = 0; i < count; i++)
            values[i] = (features & fields[i].feature) == fields[i].feature
                            ? read_field(transport, &fields[i])
                            : fields[i].absent;
        if (transport->ops->config_generation(transport) == generation)
            return 0;
    }
    return fail(transport, -ASH_EAGAIN,
                "the device changed its configuration during every try to read it");
}
