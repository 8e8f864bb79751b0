/* SPDX-License-Identifier: MIT */
/* virtio.c: the virtio-mmio windows of platform.h, in the order of their addresses. */
#include "virtio.h"

#include <ashlar/check.h>
#include <ashlar/checked.h>
#include <ashlar/error.h>

#include "direct_map.h"
#include "gic.h"
#include "mmio.h"
#include "platform.h"

static const struct board *board;

void virtio_init(const struct board *the_board) {
    board = the_board;
}

uint32_t platform_virtio_slots(void) {
    return board->virtio_count;
}

static uint64_t register_address(uint32_t slot, uint32_t offset, uint32_t width_bytes) {
    ASH_REQUIRE(slot < board->virtio_count, "virtio: no slot %u: there are %u", slot,
                board->virtio_count);
    const struct platform_range *window = &board->virtio[slot].window;
    ASH_REQUIRE((width_bytes == 1 || width_bytes == 2 || width_bytes == 4) &&
                    ash_is_aligned(offset, width_bytes) &&
                    ash_range_fits(offset, width_bytes, window->size_bytes),
                "virtio: slot %u has no register of %u bytes at 0x%x", slot, width_bytes, offset);
    return direct_map(window->base + offset);
}

uint32_t platform_virtio_read(uint32_t slot, uint32_t offset, uint32_t width_bytes) {
    uint64_t address = register_address(slot, offset, width_bytes);
    return width_bytes == 4   ? mmio_read32(address)
           : width_bytes == 2 ? mmio_read16(address)
                              : mmio_read8(address);
}

void platform_virtio_write(uint32_t slot, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    uint64_t address = register_address(slot, offset, width_bytes);
    if (width_bytes == 4)
        mmio_write32(address, value);
    else if (width_bytes == 2)
        mmio_write16(address, value);
    else
        mmio_write8(address, value);
}

int platform_virtio_connect(uint32_t slot, void (*handler)(void *context), void *context) {
    if (slot >= board->virtio_count)
        return -ASH_EINVAL;
    const struct board_irq *irq = &board->virtio[slot].irq;
    gic_connect(irq->intid, irq->is_edge, handler, context);
    return 0;
}
