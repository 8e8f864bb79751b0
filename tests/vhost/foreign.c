/* SPDX-License-Identifier: MIT */
#include "vhost/foreign.h"

#include "harness/test.h"

#include <ashlar/error.h>

static struct foreign_transport *of(struct ash_virtio_transport *transport) {
    return ASH_CONTAINER_OF(transport, struct foreign_transport, transport);
}

static uint32_t status(struct ash_virtio_transport *transport) {
    return vhost_front_status(&of(transport)->front);
}

static void set_status(struct ash_virtio_transport *transport, uint32_t value) {
    vhost_front_set_status(&of(transport)->front, value);
}

static uint64_t features(struct ash_virtio_transport *transport) {
    return vhost_front_features(&of(transport)->front);
}

static void set_features(struct ash_virtio_transport *transport, uint64_t accepted) {
    vhost_front_set_features(&of(transport)->front, accepted);
}

static uint32_t queue_size_max(struct ash_virtio_transport *transport, uint32_t queue) {
    return vhost_front_queue_size_max(&of(transport)->front, queue);
}

static int queue_setup(struct ash_virtio_transport *transport, uint32_t queue, uint32_t size,
                       ash_paddr_t desc, ash_paddr_t avail, ash_paddr_t used) {
    int error = vhost_front_queue_setup(&of(transport)->front, queue, size, desc, avail, used);
    if (error == 0)
        return 0;
    transport->reason = "the queue is in use, or its parts are not in the shared memory";
    return error == -ASH_EBUSY ? error : -ASH_EIO;
}

static void notify(struct ash_virtio_transport *transport, uint32_t queue) {
    vhost_front_notify(&of(transport)->front, queue);
}

static uint32_t interrupt_ack(struct ash_virtio_transport *transport) {
    return vhost_front_interrupt_ack(&of(transport)->front);
}

static uint32_t config_generation(struct ash_virtio_transport *transport) {
    return vhost_front_config_generation(&of(transport)->front);
}

static uint32_t config_read(struct ash_virtio_transport *transport, uint32_t offset,
                            uint32_t width_bytes) {
    return vhost_front_config_read(&of(transport)->front, offset, width_bytes);
}

static const struct ash_virtio_transport_ops ops = {
    .status = status,
    .set_status = set_status,
    .features = features,
    .set_features = set_features,
    .queue_size_max = queue_size_max,
    .queue_setup = queue_setup,
    .notify = notify,
    .interrupt_ack = interrupt_ack,
    .config_generation = config_generation,
    .config_read = config_read,
};

int foreign_open(struct foreign_transport *foreign, const struct vhost_front_config *config) {
    foreign->transport =
        (struct ash_virtio_transport){.ops = &ops, .device_id = ASH_VIRTIO_ID_BLOCK, .reason = ""};
    return vhost_front_open(&foreign->front, config, &foreign->transport.reason);
}

void foreign_close(struct foreign_transport *foreign) {
    vhost_front_close(&foreign->front);
}

ash_paddr_t foreign_address(const struct foreign_transport *foreign, const void *pointer,
                            size_t len_bytes) {
    ash_paddr_t address = vhost_front_address(&foreign->front, pointer, len_bytes);
    CHECK(address != VHOST_FRONT_NO_ADDRESS);
    return address;
}
