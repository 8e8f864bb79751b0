/* SPDX-License-Identifier: MIT */
/*
 * foreign.h: a device in another process under the library's own driver: the front end of
 * platform/hosted as a transport, which is where the two meet.
 */
#ifndef VHOST_FOREIGN_H
#define VHOST_FOREIGN_H

#include <ashlar/virtio_blk.h>

#include "hosted/vhost_user_front.h"

struct foreign_transport {
    struct ash_virtio_transport transport;
    struct vhost_front front;
};

/* Errors of vhost_front_open; the reason is in transport.reason. */
int foreign_open(struct foreign_transport *foreign,
                 const struct vhost_front_config *config) ASH_MUST_CHECK;
void foreign_close(struct foreign_transport *foreign);

/* For the driver's configuration; the context is the struct above. */
ash_paddr_t foreign_dma_address(void *context, const void *pointer, size_t len_bytes);

#endif
