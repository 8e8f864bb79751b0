/* SPDX-License-Identifier: MIT */
/*
 * vhost_user_back.h: a fake virtio device served to another process: QEMU gives it to its guest as
 * a device of its own, and so the fake meets real kernels. The engine stays the referee of the
 * driver; what the front end does is judged here.
 *
 * Rules
 *  - The guest's memory is what SET_MEM_TABLE names, and the engine's guest_memory holds nothing
 *    else. A region is refused unless its file is as large as it says. A file that is cut short
 *    later makes an access a SIGBUS: QEMU seals its memfds against that.
 *  - vhost-user carries no register: the engine is taken through its start (reset, features,
 *    queues, DRIVER_OK) at the first kick of an enabled ring. What is in flight in a ring that is
 *    stopped is dropped.
 *  - NEEDS_RESET is told by each ring's error eventfd, the nearest that the protocol has.
 *  - Nothing that the front end sends is trusted; what makes no sense ends its session.
 *
 * Limits: a ring starts at its beginning (no migration, no `cont` after `stop`); no in-band
 * notifications, no log, no IOMMU; lies about registers and configuration cannot be told, since the
 * guest meets the front end's.
 */
#ifndef ASHLAR_HOSTED_VHOST_USER_BACK_H
#define ASHLAR_HOSTED_VHOST_USER_BACK_H

#include "hosted/vhost_user.h"
#include "hosted/virtio_engine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vhost_back_config {
    struct fake_virtio *device;  /* initialised over `memory` */
    struct guest_memory *memory; /* the session's; empty outside of one */
    uint32_t timeout_ms;         /* for the rest of a message, and for an answer's way; 0: 2000 */
    /* Told what the front end did wrong, for people; may be NULL. */
    void (*say)(void *context, const char *sentence);
    void *context;
};

struct vhost_back_ring {
    bool has_size, has_address, is_enabled;
    uint32_t size, base;
    uint64_t desc, avail, used; /* the front end's addresses */
    int kick, call, error;      /* -1: none */
};

struct vhost_back_region {
    uint64_t guest_address, user_address, size_bytes;
    void *mapping;
    uint64_t mapping_bytes;
};

/* Private, public for sizeof. */
struct vhost_back {
    struct vhost_back_config config;
    int socket;
    uint64_t protocol, accepted;
    bool is_running, start_failed, interrupt_due, error_told;
    struct vhost_back_region regions[VHOST_USER_REGIONS_MAX];
    uint32_t region_count;
    struct vhost_back_ring rings[FAKE_VIRTIO_QUEUES_MAX];
    uint64_t sessions, starts, messages;
};

void vhost_back_init(struct vhost_back *back, const struct vhost_back_config *config);

/*
 * One session over a connected socket, which stays the caller's: the device works until the front
 * end hangs up (0), stop_fd can be read (-ASH_EAGAIN; -1: there is none), or the front end breaks
 * the protocol (-ASH_EBADMSG, -ASH_ETIMEDOUT, -ASH_EIO). Afterwards the device's queues are stopped
 * and it sees no memory.
 */
int vhost_back_serve(struct vhost_back *back, int socket, int stop_fd) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
