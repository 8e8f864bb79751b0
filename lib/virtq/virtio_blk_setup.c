/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk_setup.c: taking a block device over, again after a reset, and leaving it. VIRTIO 1.2,
 * 3.1 and 5.2.5.
 */
#include <ashlar/bits.h>

#include "virtio_blk_internal.h"

/* 5.2.4: offsets in the configuration space. */
enum { CONFIG_CAPACITY = 0, CONFIG_SIZE_MAX = 8, CONFIG_SEG_MAX = 12, CONFIG_BLK_SIZE = 20 };

enum { BLOCK_SIZE_MAX = 1 << 20 };

/* The largest device whose size in bytes fits 63 bits, so that offsets may be signed. */
static const uint64_t capacity_sectors_max = (uint64_t)INT64_MAX / ASH_VIRTIO_BLK_SECTOR_SIZE;

static int fail(struct ash_virtio_blk *blk, int error, const char *reason) {
    blk->reason = reason;
    return error;
}

/* Sizes */

/* Defaults filled in; false if it is invalid. */
static bool sizes_of(const struct ash_virtio_blk_config *config, uint32_t *queue_size,
                     uint32_t *in_flight_max) {
    uint32_t size = config->queue_size, slots = config->in_flight_max;
    size = size == 0 ? ASH_VIRTIO_BLK_QUEUE_SIZE_DEFAULT : size;
    if (slots == 0)
        slots = (uint32_t)ash_min_u64(ASH_VIRTIO_BLK_IN_FLIGHT_MAX_DEFAULT, size / CHAIN);
    *queue_size = size;
    *in_flight_max = slots;
    return ash_virtq_storage_size(size, CHAIN, slots) != 0;
}

/* The lines come first, the queue behind them: both parts are multiples of the alignment. */
size_t ash_virtio_blk_storage_size(const struct ash_virtio_blk_config *config) {
    uint32_t queue_size, slots;
    if (!sizes_of(config, &queue_size, &slots))
        return 0;
    return sizeof(struct ash__virtio_blk_line) * slots +
           ash_virtq_storage_size(queue_size, CHAIN, slots);
}

/* Taking over the device */

static uint32_t pow2_at_most(uint32_t x) {
    return x == 0 ? 0 : UINT32_C(1) << ash_log2_floor(x);
}

/* 5.2.4, 5.2.5.2: what the device says about itself, refused where it makes no sense. */
static int read_config(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    uint32_t capacity[2], size_max = ASH_VIRTIO_BLK_REQUEST_BYTES_MAX, seg_max = 1;
    uint32_t block_size = ASH_VIRTIO_BLK_SECTOR_SIZE;
    int error = ash_virtio_config_read(transport, CONFIG_CAPACITY, capacity, 2);
    if (error == 0 && (blk->features & ASH_VIRTIO_BLK_F_SIZE_MAX) != 0)
        error = ash_virtio_config_read(transport, CONFIG_SIZE_MAX, &size_max, 1);
    if (error == 0 && (blk->features & ASH_VIRTIO_BLK_F_SEG_MAX) != 0)
        error = ash_virtio_config_read(transport, CONFIG_SEG_MAX, &seg_max, 1);
    if (error == 0 && (blk->features & ASH_VIRTIO_BLK_F_BLK_SIZE) != 0)
        error = ash_virtio_config_read(transport, CONFIG_BLK_SIZE, &block_size, 1);
    if (error != 0)
        return fail(blk, error, transport->reason);
    blk->capacity_sectors = (uint64_t)capacity[1] << 32 | capacity[0];
    if (blk->capacity_sectors > capacity_sectors_max)
        return fail(blk, -ASH_EBADMSG, "the device claims to have 2^63 bytes or more");
    if (!ash_is_pow2(block_size) || block_size < ASH_VIRTIO_BLK_SECTOR_SIZE ||
        block_size > BLOCK_SIZE_MAX)
        return fail(blk, -ASH_EBADMSG,
                    "the device claims a block size that is no power of two in 512..1048576");
    /* qemu-storage-daemon 7.2 offers SIZE_MAX and leaves the field at 0: no limit is meant. */
    if (size_max == 0)
        size_max = ASH_VIRTIO_BLK_REQUEST_BYTES_MAX;
    if (seg_max == 0 || size_max < block_size)
        return fail(blk, -ASH_EBADMSG, "the device claims that no block fits into a request");
    blk->block_size_bytes = block_size;
    size_max = (uint32_t)ash_min_u64(size_max, ASH_VIRTIO_BLK_REQUEST_BYTES_MAX);
    blk->request_bytes_max = (uint32_t)ash_align_down(size_max, block_size);
    blk->read_only = (blk->features & ASH_VIRTIO_BLK_F_RO) != 0;
    return 0;
}

/* The largest queue that both sides take, and as many slots as fit into it. */
static int size_queue(struct ash_virtio_blk *blk, uint32_t *queue_size, uint32_t *slots) {
    struct ash_virtio_transport *transport = blk->config.transport;
    sizes_of(&blk->config, queue_size, slots);
    uint32_t device_max = transport->ops->queue_size_max(transport, QUEUE);
    if (device_max == 0)
        return fail(blk, -ASH_ENXIO, "the device has no request queue");
    *queue_size = (uint32_t)ash_min_u64(*queue_size, pow2_at_most(device_max));
    *slots = (uint32_t)ash_min_u64(*slots, *queue_size / CHAIN);
    if (*slots == 0)
        return fail(blk, -ASH_ENXIO, "the device's request queue has fewer than 4 entries");
    return 0;
}

/* What never changes in a slot's chain. */
static void describe_lines(struct ash_virtio_blk *blk, ash_paddr_t lines) {
    for (uint32_t slot = 0; slot < blk->queue.slot_count; slot++) {
        ash_paddr_t line = lines + slot * sizeof(struct ash__virtio_blk_line);
        ash_virtq_describe(&blk->queue, slot, HEADER, line, HEADER_BYTES, false);
        ash_virtq_describe(&blk->queue, slot, STATUS, line + HEADER_BYTES, STATUS_BYTES, true);
    }
}

/* Names the ring to the device. The queue is empty, but for what was aborted. */
static int set_up_queue(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    struct ash_virtq *queue = &blk->queue;
    struct ash_virtq_area desc = ash_virtq_desc_area(queue);
    struct ash_virtq_area avail = ash_virtq_avail_area(queue);
    struct ash_virtq_area used = ash_virtq_used_area(queue);
    ash_paddr_t lines =
        address_of(blk, blk->lines, sizeof(struct ash__virtio_blk_line) * queue->slot_count);
    ash_paddr_t desc_at = address_of(blk, desc.pointer, desc.bytes);
    ash_paddr_t avail_at = address_of(blk, avail.pointer, avail.bytes);
    ash_paddr_t used_at = address_of(blk, used.pointer, used.bytes);
    if (lines == ASH_VIRTIO_NO_ADDRESS || desc_at == ASH_VIRTIO_NO_ADDRESS ||
        avail_at == ASH_VIRTIO_NO_ADDRESS || used_at == ASH_VIRTIO_NO_ADDRESS)
        return fail(blk, -ASH_EFAULT, "the device cannot reach the storage of the queue");
    describe_lines(blk, lines);
    int error =
        transport->ops->queue_setup(transport, QUEUE, queue->size, desc_at, avail_at, used_at);
    return error == 0 ? 0 : fail(blk, error, transport->reason);
}

/* After ash_virtio_begin. FLUSH is taken whenever it is offered: a device whose driver accepts
 * neither FLUSH nor CONFIG_WCE must work write-through (5.2.5.2), at a third of the speed. */
static int negotiate(struct ash_virtio_blk *blk) {
    const uint64_t wanted = ASH_VIRTIO_F_EVENT_IDX | ASH_VIRTIO_F_ORDER_PLATFORM |
                            ASH_VIRTIO_BLK_F_SIZE_MAX | ASH_VIRTIO_BLK_F_SEG_MAX |
                            ASH_VIRTIO_BLK_F_RO | ASH_VIRTIO_BLK_F_BLK_SIZE |
                            ASH_VIRTIO_BLK_F_FLUSH;
    struct ash_virtio_transport *transport = blk->config.transport;
    int error = ash_virtio_negotiate(transport, 0, wanted, &blk->features);
    return error == 0 ? read_config(blk) : fail(blk, error, transport->reason);
}

/* Device state after a failure of set-up: told, then reset; it holds nothing of ours. */
static int abandon(struct ash_virtio_blk *blk, int error) {
    struct ash_virtio_transport *transport = blk->config.transport;
    ash_virtio_give_up(transport);
    return ash_virtio_reset(transport) == 0 ? error : fail(blk, -ASH_ETIMEDOUT, transport->reason);
}

static int start(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    int error = ash_virtio_ready(transport);
    if (error != 0)
        return fail(blk, error, transport->reason);
    blk->reason = "";
    return 0;
}

/* Storage and the transport's kind: what can be refused before the device is touched. */
static int check_arguments(struct ash_virtio_blk *blk, const void *storage, size_t storage_bytes) {
    size_t wanted = ash_virtio_blk_storage_size(&blk->config);
    if (wanted == 0 || blk->config.transport == NULL || blk->config.dma_address == NULL)
        return fail(blk, -ASH_EINVAL,
                    "bad configuration: no transport or dma_address, queue_size no power of two in "
                    "4..1024, or in_flight_max above a third of it");
    if (storage == NULL || !ash_is_aligned((uintptr_t)storage, ASH_VIRTIO_BLK_STORAGE_ALIGN))
        return fail(blk, -ASH_EINVAL, "the storage is missing or not aligned to 64 bytes");
    if (storage_bytes < wanted)
        return fail(blk, -ASH_ENOMEM, "the storage is smaller than the configuration needs");
    if (blk->config.transport->device_id != ASH_VIRTIO_ID_BLOCK)
        return fail(blk, -ASH_ENODEV, "not a block device");
    return 0;
}

/* Features, configuration and an empty queue of the size that results. */
static int set_up_first(struct ash_virtio_blk *blk, void *storage, size_t storage_bytes) {
    uint32_t queue_size, slots;
    int error = negotiate(blk);
    if (error == 0)
        error = size_queue(blk, &queue_size, &slots);
    if (error != 0)
        return error;
    size_t lines_bytes = sizeof(struct ash__virtio_blk_line) * slots;
    blk->lines = storage;
    __builtin_memset(storage, 0, lines_bytes);
    error = ash_virtq_init(&blk->queue, queue_size, CHAIN, slots, (char *)storage + lines_bytes,
                           storage_bytes - lines_bytes);
    if (error != 0)
        return fail(blk, error, "the queue does not fit into the storage");
    ash_virtq_restart(&blk->queue, (blk->features & ASH_VIRTIO_F_EVENT_IDX) != 0);
    blk->queue_size = queue_size;
    blk->in_flight_max = slots;
    return set_up_queue(blk);
}

int ash_virtio_blk_init(struct ash_virtio_blk *blk, const struct ash_virtio_blk_config *config,
                        void *storage, size_t storage_bytes) {
    *blk = (struct ash_virtio_blk){.config = *config, .reason = ""};
    ash_virtq_stop(&blk->queue);
    int error = check_arguments(blk, storage, storage_bytes);
    if (error != 0)
        return error;
    error = ash_virtio_begin(config->transport);
    if (error != 0)
        return fail(blk, error, config->transport->reason);
    error = set_up_first(blk, storage, storage_bytes);
    if (error == 0)
        error = start(blk);
    if (error == 0)
        return 0;
    ash_virtq_stop(&blk->queue);
    return abandon(blk, error);
}

/* Features and configuration again, for the queue that is there. */
static int set_up_again(struct ash_virtio_blk *blk) {
    uint32_t queue_size, slots;
    int error = negotiate(blk);
    if (error == 0)
        error = size_queue(blk, &queue_size, &slots);
    if (error == 0 && queue_size < blk->queue_size)
        error = fail(blk, -ASH_ENXIO, "the device's request queue has become smaller");
    if (error != 0)
        return error;
    ash_virtq_restart(&blk->queue, (blk->features & ASH_VIRTIO_F_EVENT_IDX) != 0);
    error = set_up_queue(blk);
    return error == 0 ? start(blk) : error;
}

/* For a device that was reset and stays so: what was in flight is aborted, nothing new is taken. */
static void stop_reset(struct ash_virtio_blk *blk) {
    ash_virtq_restart(&blk->queue, false);
    ash_virtq_stop(&blk->queue);
}

int ash_virtio_blk_reset(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    if (blk->queue.size == 0)
        return fail(blk, -ASH_EINVAL, "the device was never taken over");
    ash_virtq_stop(&blk->queue);
    int error = ash_virtio_begin(transport);
    if (error != 0)
        return fail(blk, error, transport->reason);
    /* The device holds nothing any more: from here on the tokens in flight may be given back. */
    error = set_up_again(blk);
    if (error == 0)
        return 0;
    stop_reset(blk);
    return abandon(blk, error);
}

int ash_virtio_blk_fini(struct ash_virtio_blk *blk) {
    if (blk->queue.size == 0)
        return fail(blk, -ASH_EINVAL, "the device was never taken over");
    ash_virtq_stop(&blk->queue);
    int error = ash_virtio_reset(blk->config.transport);
    if (error != 0)
        return fail(blk, error, blk->config.transport->reason);
    stop_reset(blk);
    return 0;
}
