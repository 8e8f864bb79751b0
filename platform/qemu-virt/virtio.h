/* SPDX-License-Identifier: MIT */
/* virtio.h: tells virtio.c where the windows are. */
#ifndef QEMU_VIRT_VIRTIO_H
#define QEMU_VIRT_VIRTIO_H

#include "board.h"

void virtio_init(const struct board *board);

#endif
