/* SPDX-License-Identifier: MIT */
#include "virtq/rig.h"

static ash_paddr_t dma_address(void *context, const void *pointer, size_t len_bytes) {
    struct rig *rig = context;
    (void)len_bytes;
    if (++rig->dma_calls == rig->dma_fails_at)
        return ASH_VIRTIO_NO_ADDRESS;
    return (ash_paddr_t)(uintptr_t)pointer + MINI_DMA_OFFSET;
}

struct rig *rig_new(void) {
    struct rig *rig = test_alloc(sizeof(*rig), 64);
    mini_device_init(&rig->device, RIG_CAPACITY_SECTORS);
    rig->config = (struct ash_virtio_blk_config){
        .transport = &rig->mmio.transport, .dma_address = dma_address, .context = rig};
    return rig;
}

int rig_init(struct rig *rig) {
    struct ash_virtio_regs regs = mini_device_regs(&rig->device);
    int error = ash_virtio_mmio_probe(&rig->mmio, &regs);
    if (error != 0)
        return error;
    if (rig->storage == NULL) {
        rig->storage_bytes = ash_virtio_blk_storage_size(&rig->config);
        rig->storage = test_alloc(rig->storage_bytes, ASH_VIRTIO_BLK_STORAGE_ALIGN);
    }
    return ash_virtio_blk_init(&rig->blk, &rig->config, rig->storage, rig->storage_bytes);
}

struct rig *rig_start(void) {
    struct rig *rig = rig_new();
    int error = rig_init(rig);
    if (error != 0)
        test_fail(__FILE__, __LINE__, "init: error %d: %s", error,
                  ash_virtio_blk_reason(&rig->blk));
    rig_check(rig);
    return rig;
}

uint32_t rig_read(struct rig *rig, uint64_t sector, void *buffer, size_t len_bytes, void *cookie) {
    uint32_t token = 0;
    CHECK_EQ(ash_virtio_blk_read(&rig->blk, sector, buffer, len_bytes, cookie, &token), 0);
    CHECK(ash_virtio_blk_pending(&rig->blk, token));
    return token;
}

struct ash_virtio_blk_done rig_reap_one(struct rig *rig) {
    struct ash_virtio_blk_done done;
    CHECK_EQ(ash_virtio_blk_reap(&rig->blk, &done, 1), 1);
    CHECK(!ash_virtio_blk_pending(&rig->blk, done.token));
    return done;
}

void rig_check(struct rig *rig) {
    const char *broken = ash_virtio_blk_check(&rig->blk);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
    CHECK_STR_EQ(rig->device.broken_rule == NULL ? "" : rig->device.broken_rule, "");
}

void rig_check_data(const void *buffer, uint64_t sector, size_t len_bytes) {
    const uint8_t *bytes = buffer;
    for (size_t i = 0; i < len_bytes; i++) {
        if (bytes[i] != mini_device_byte(sector * 512 + i))
            test_fail(__FILE__, __LINE__, "sector %llu, byte %zu: 0x%02x, expected 0x%02x",
                      (unsigned long long)sector, i, bytes[i], mini_device_byte(sector * 512 + i));
    }
}
