/* SPDX-License-Identifier: MIT */
/* virtio_blk_internal.h: a slot's memory and its three descriptors, shared by set-up and
 * requests. */
#ifndef ASHLAR_VIRTIO_BLK_INTERNAL_H
#define ASHLAR_VIRTIO_BLK_INTERNAL_H

#include <ashlar/virtio_blk.h>

/* Header (device reads), data, status (device writes): 5.2.6. */
enum { QUEUE = 0, HEADER = 0, DATA = 1, STATUS = 2, CHAIN = 3 };

struct ash__virtio_blk_line {
    uint32_t type; /* header, written for each request */
    uint32_t reserved;
    uint64_t sector;
    uint8_t status; /* written by the device, read once */
    uint8_t pad[47];
};
_Static_assert(sizeof(struct ash__virtio_blk_line) == 64, "a line per slot");
_Static_assert(offsetof(struct ash__virtio_blk_line, sector) == 8, "virtio_blk_req, 5.2.6");
_Static_assert(offsetof(struct ash__virtio_blk_line, status) == 16, "virtio_blk_req, 5.2.6");

enum { HEADER_BYTES = offsetof(struct ash__virtio_blk_line, status), STATUS_BYTES = 1 };

/* The device's address of this memory, or ASH_VIRTIO_NO_ADDRESS. */
static inline ash_paddr_t address_of(const struct ash_virtio_blk *blk, const void *pointer,
                                     size_t bytes) {
    return blk->config.dma_address(blk->config.context, pointer, bytes);
}

#endif
