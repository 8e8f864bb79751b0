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

/* The device's address of shared memory; the case fails where it cannot reach all of it. */
ash_paddr_t foreign_address(const struct foreign_transport *foreign, const void *pointer,
                            size_t len_bytes);

#endif
