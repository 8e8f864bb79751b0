/* SPDX-License-Identifier: MIT */
/*
 * vhost_user_front.h: a virtio device in another process, seen as a driver sees one: status,
 * features, queues, configuration space. The process is a vhost-user back end: qemu-storage-daemon
 * --export type=vhost-user-blk, say, which knows nothing of this tree.
 *
 * Rules
 *  - Device and driver share the front end's memory, a sealed memfd: what the device is to reach
 *    (rings, buffers) lies in there. Addresses that the driver gives are guest addresses.
 *  - vhost-user has no device status: the front end keeps the register. Writing 0 stops the rings,
 *    hangs up, and waits until the device has hung up too, which it does when it is done with
 *    the memory; the next ACKNOWLEDGE connects again. Status reads 0 only then, so what was in
 *    flight is the driver's again; a device that does not hang up stays in its reset.
 *  - A device that dies, says that a ring failed, or breaks the protocol shows as NEEDS_RESET, with
 *    the configuration interrupt. One that says nothing is for the driver's own time limit.
 *  - Every call ends: waiting is bounded by timeout_ms. Nothing that the device sends is trusted.
 *  - One caller at a time. Costs system calls; notify is one.
 *
 *      driver                       front end                        device
 *        | FEATURES_OK                  | SET_FEATURES ──────────────>  |
 *        | DRIVER_OK                    | SET_MEM_TABLE, SET_VRING_* ─> |
 *        | notify                       | kick eventfd ───────────────> |
 *        | interrupt_ack  <── call eventfd ──────────────────────────── |
 *        | 0                            | GET_VRING_BASE, shutdown ───> |  (finishes, hangs up)
 *
 * Limits: VHOST_FRONT_QUEUES_MAX queues, one memory region; the device cannot announce another
 * configuration; the protocol's STATUS is not asked for, so every device is reset the same way.
 */
#ifndef ASHLAR_HOSTED_VHOST_USER_FRONT_H
#define ASHLAR_HOSTED_VHOST_USER_FRONT_H

#include <ashlar/base.h>

#include "hosted/vhost_user.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VHOST_FRONT_QUEUES_MAX = 8, VHOST_FRONT_QUEUE_SIZE_MAX = 1024 };

#define VHOST_FRONT_GUEST_BASE UINT64_C(0x100000000) /* no pointer of this process looks like it */
#define VHOST_FRONT_NO_ADDRESS UINT64_MAX

struct vhost_front_config {
    const char *path;      /* of the device's socket; stays the caller's */
    uint64_t memory_bytes; /* a multiple of the page size */
    uint32_t config_bytes; /* of the configuration space: 60 for a block device */
    uint32_t timeout_ms;   /* for each answer, and for the end of a reset; 0: 2000 */
};

struct vhost_front_queue {
    bool is_set_up, is_running;
    uint32_t size;
    uint64_t desc, avail, used; /* guest addresses */
    int kick, call, error;      /* eventfds; -1: none */
};

/* Private, public for sizeof. */
struct vhost_front {
    struct vhost_front_config config;
    int memory_fd;
    uint8_t *memory;

    int socket;          /* -1: not connected */
    bool is_hanging_up;  /* a reset waits for the device's end */
    const char *failure; /* what the device did wrong; NULL: nothing */
    bool failure_told;   /* by an interrupt */
    uint32_t status;
    uint64_t features, accepted, protocol;
    uint32_t queue_count;
    struct vhost_front_queue queues[VHOST_FRONT_QUEUES_MAX];
    uint32_t generation;
    uint8_t space[VHOST_USER_CONFIG_BYTES_MAX]; /* the configuration, as last read */
};

/*
 * Makes the memory, connects, and asks what is offered. -ASH_EINVAL: the configuration;
 * -ASH_ENOMEM: no memory, or no descriptor left; -ASH_ENODEV: nobody listens at the path;
 * -ASH_ENOTSUP: the device lacks what this needs; -ASH_EIO: it broke the protocol or did not
 * answer. *reason is a phrase for people then; everything is given back.
 */
int vhost_front_open(struct vhost_front *front, const struct vhost_front_config *config,
                     const char **reason) ASH_MUST_CHECK;

/* Hangs up without waiting, gives the memory back. After open succeeded; once. */
void vhost_front_close(struct vhost_front *front);

/* Where the device sees [pointer, pointer + len); VHOST_FRONT_NO_ADDRESS: outside the memory. */
ash_paddr_t vhost_front_address(const struct vhost_front *front, const void *pointer, size_t len);

/* The registers: as a driver has them (virtio 1.2, 2.1 to 2.5, 4.2.2) */

uint32_t vhost_front_status(struct vhost_front *front);
void vhost_front_set_status(struct vhost_front *front, uint32_t status);
uint64_t vhost_front_features(struct vhost_front *front);
void vhost_front_set_features(struct vhost_front *front, uint64_t features);
uint32_t vhost_front_queue_size_max(const struct vhost_front *front, uint32_t queue);
/* 0; -ASH_EBUSY: set up already; -ASH_EINVAL: no such queue or size, or not in the memory. */
int vhost_front_queue_setup(struct vhost_front *front, uint32_t queue, uint32_t size,
                            ash_paddr_t desc, ash_paddr_t avail, ash_paddr_t used) ASH_MUST_CHECK;
void vhost_front_notify(struct vhost_front *front, uint32_t queue);
/* Bits: 1, a used ring moved; 2, the device failed. */
uint32_t vhost_front_interrupt_ack(struct vhost_front *front);
/* Reads the whole configuration space; another number if it has changed. */
uint32_t vhost_front_config_generation(struct vhost_front *front);
/* From what the last call above read. */
uint32_t vhost_front_config_read(const struct vhost_front *front, uint32_t offset,
                                 uint32_t width_bytes);

/* Sleeps until there is an interrupt, a failure or the time is over; true: not the last. */
bool vhost_front_wait(struct vhost_front *front, uint32_t timeout_ms);

/* Why it failed, for people; "" while it has not. Never NULL. */
const char *vhost_front_failure(const struct vhost_front *front);

#ifdef __cplusplus
}
#endif

#endif
