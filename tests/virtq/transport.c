/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/virtio_mmio.h> and <ashlar/virtio.h>: probing and the handshake. */
#include "virtq/rig.h"

static int probe(struct rig *rig) {
    struct ash_virtio_regs regs = mini_device_regs(&rig->device);
    return ash_virtio_mmio_probe(&rig->mmio, &regs);
}

TEST_CASE(virtio_mmio, probe_finds_a_modern_device) {
    struct rig *rig = rig_new();
    CHECK_EQ(probe(rig), 0);
    CHECK_EQ(rig->mmio.transport.device_id, ASH_VIRTIO_ID_BLOCK);
    CHECK_STR_EQ(rig->mmio.transport.reason, "");
}

TEST_CASE(virtio_mmio, probe_of_an_empty_slot_is_enxio_legacy_or_not) {
    struct rig *rig = rig_new();
    rig->device.device_id = 0;
    CHECK_EQ(probe(rig), -ASH_ENXIO);
    rig->device.version = 1;
    CHECK_EQ(probe(rig), -ASH_ENXIO);
}

TEST_CASE(virtio_mmio, legacy_device_is_refused_with_the_option_that_helps) {
    struct rig *rig = rig_new();
    rig->device.version = 1;
    CHECK_EQ(probe(rig), -ASH_ENOTSUP);
    CHECK(strstr(rig->mmio.transport.reason, "-global virtio-mmio.force-legacy=false") != NULL);
}

TEST_CASE(virtio_mmio, unknown_version_and_magic_are_refused) {
    struct rig *rig = rig_new();
    rig->device.version = 3;
    CHECK_EQ(probe(rig), -ASH_ENOSYS);
    rig->device.magic = 0xffffffffu;
    CHECK_EQ(probe(rig), -ASH_ENODEV);
    CHECK(rig->mmio.transport.reason[0] != '\0');
    struct ash_virtio_regs none = {NULL, NULL, NULL};
    CHECK_EQ(ash_virtio_mmio_probe(&rig->mmio, &none), -ASH_EINVAL);
}

TEST_CASE(virtio, reset_that_does_not_finish_times_out) {
    struct rig *rig = rig_new();
    CHECK_EQ(probe(rig), 0);
    CHECK_EQ(ash_virtio_reset(&rig->mmio.transport), 0);
    rig->device.never_resets = true;
    rig->device.status = 1;
    CHECK_EQ(ash_virtio_reset(&rig->mmio.transport), -ASH_ETIMEDOUT);
    CHECK(rig->mmio.transport.reason[0] != '\0');
}

TEST_CASE(virtio, negotiation_accepts_what_both_sides_know) {
    struct rig *rig = rig_new();
    CHECK_EQ(probe(rig), 0);
    CHECK_EQ(ash_virtio_begin(&rig->mmio.transport), 0);
    uint64_t accepted = 0, wanted = ASH_VIRTIO_F_EVENT_IDX | ASH_VIRTIO_F_RING_PACKED;
    CHECK_EQ(ash_virtio_negotiate(&rig->mmio.transport, 0, wanted, &accepted), 0);
    CHECK_EQ(accepted, ASH_VIRTIO_F_VERSION_1 | ASH_VIRTIO_F_EVENT_IDX);
    CHECK_EQ(rig->device.driver_features, accepted);
    CHECK_EQ(rig->device.status, 1 | 2 | 8);
    CHECK(rig->device.broken_rule == NULL);
}

TEST_CASE(virtio, missing_required_feature_is_enotsup) {
    struct rig *rig = rig_new();
    CHECK_EQ(probe(rig), 0);
    uint64_t accepted = 0;
    CHECK_EQ(ash_virtio_negotiate(&rig->mmio.transport, ASH_VIRTIO_F_RING_PACKED, 0, &accepted),
             -ASH_ENOTSUP);
}

TEST_CASE(virtio, config_read_is_one_picture_or_eagain) {
    static const struct ash_virtio_config_field fields[] = {
        {0, 8, 0, 0}, {20, 4, 64, 7}, {34, 2, 0, 0}, {8, 4, 3, 9}};
    enum { READS = 4 }; /* of 32 bits at most, where the feature 64 is there and 3 is not */
    struct rig *rig = rig_new();
    CHECK_EQ(probe(rig), 0);
    uint64_t values[4];
    rig->device.capacity_sectors = UINT64_C(0x123456789a);
    rig->device.config_torn_reads = READS * (ASH_VIRTIO_CONFIG_RETRIES_MAX - 1);
    CHECK_EQ(ash_virtio_config_read(&rig->mmio.transport, fields, 4, 64 | 1, values), 0);
    CHECK_EQ(values[0], UINT64_C(0x123456789a));
    CHECK_EQ(values[1], 512);
    CHECK_EQ(values[2], 1);
    CHECK_EQ(values[3], 9);
    rig->device.config_torn_reads = UINT32_MAX;
    CHECK_EQ(ash_virtio_config_read(&rig->mmio.transport, fields, 4, 64, values), -ASH_EAGAIN);
    CHECK_EQ(UINT32_MAX - rig->device.config_torn_reads, READS * ASH_VIRTIO_CONFIG_RETRIES_MAX);
    CHECK_EQ(ash_virtio_config_read(&rig->mmio.transport, fields + 1, 1, 0, values), 0);
    CHECK_EQ(values[0], 7); /* nothing was read: nothing was torn */
}
