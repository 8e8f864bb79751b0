/* SPDX-License-Identifier: MIT */
/*
 * vhost_user.h: the messages of the vhost-user protocol, as both of its ends send and take them: a
 * header of 12 bytes, a payload, and file descriptors beside them, over a Unix stream socket.
 *
 * Rules
 *  - Nothing that comes in is trusted: a message that is larger than any that exists, has more
 *    descriptors than fit, or stops in its middle is refused; its descriptors are closed.
 *  - Every call ends: at its deadline, if nothing happens before. None raises SIGPIPE.
 *  - Numbers are in the machine's own byte order, as the protocol wants them.
 *
 * Source: "Vhost-user Protocol" of the QEMU documentation (docs/interop/vhost-user.rst). What it
 * calls the slave is the back end here, the master the front end.
 */
#ifndef ASHLAR_HOSTED_VHOST_USER_H
#define ASHLAR_HOSTED_VHOST_USER_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    VHOST_USER_FDS_MAX = 8,
    VHOST_USER_REGIONS_MAX = 8,
    VHOST_USER_CONFIG_BYTES_MAX = 256,
    VHOST_USER_VERSION = 1,
    /* Flags of a message */
    VHOST_USER_VERSION_MASK = 3,
    VHOST_USER_REPLY = 4,
    VHOST_USER_NEED_REPLY = 8,
    /* In the payload of SET_VRING_KICK, _CALL and _ERR */
    VHOST_USER_VRING_INDEX_MASK = 0xff,
    VHOST_USER_VRING_NO_FD = 0x100,
};

enum vhost_user_request {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_GET_CONFIG = 24,
};

/* Where a new ring begins: indexes of 0; a packed one has its two wrap counters at 1. */
#define VHOST_USER_BASE_SPLIT  0u
#define VHOST_USER_BASE_PACKED 0x80008000u

/* A feature bit that is not the device's but the protocol's, and the bits that it opens. */
#define VHOST_USER_F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define VHOST_USER_PROTOCOL_MQ         (UINT64_C(1) << 0)
#define VHOST_USER_PROTOCOL_REPLY_ACK  (UINT64_C(1) << 3)
#define VHOST_USER_PROTOCOL_CONFIG     (UINT64_C(1) << 9)

struct vhost_user_vring_state {
    uint32_t index, number;
};

struct vhost_user_vring_address {
    uint32_t index, flags;
    uint64_t descriptor, used, available, log; /* in the front end's own address space */
};

struct vhost_user_region {
    uint64_t guest_address, size_bytes, user_address, file_offset;
};

struct vhost_user_memory {
    uint32_t count, padding;
    struct vhost_user_region regions[VHOST_USER_REGIONS_MAX];
};

struct vhost_user_config {
    uint32_t offset, size_bytes, flags;
    uint8_t bytes[VHOST_USER_CONFIG_BYTES_MAX];
};

struct vhost_user_message {
    uint32_t request, flags;
    uint32_t size_bytes; /* of the payload */
    union {
        uint64_t number;
        struct vhost_user_vring_state state;
        struct vhost_user_vring_address address;
        struct vhost_user_memory memory;
        struct vhost_user_config config;
    } payload;
    int fds[VHOST_USER_FDS_MAX];
    uint32_t fd_count;
};

enum {
    VHOST_USER_HEADER_BYTES = 12,
    VHOST_USER_MEMORY_HEADER_BYTES = 8,
    VHOST_USER_CONFIG_HEADER_BYTES = 12,
};

/* Milliseconds of the monotonic clock from its own start; what the deadlines below are in. */
uint64_t vhost_user_now_ms(void);

/*
 * All of the message; version and descriptors included, which stay the caller's. -ASH_EPIPE: nobody
 * is there; -ASH_ETIMEDOUT; -ASH_EIO.
 */
int vhost_user_send(int socket, const struct vhost_user_message *message,
                    uint64_t deadline_ms) ASH_MUST_CHECK;

/*
 * The next message; its descriptors are the caller's to close. What is beyond its payload is zeros.
 * -ASH_EPIPE: the other end closed; -ASH_ETIMEDOUT; -ASH_EBADMSG: no message of this protocol: the
 * stream is lost then, as after a time-out; -ASH_EIO.
 */
int vhost_user_receive(int socket, struct vhost_user_message *message,
                       uint64_t deadline_ms) ASH_MUST_CHECK;

/* Closes what is left of the message's descriptors, and forgets them. */
void vhost_user_close_fds(struct vhost_user_message *message);

/* The message's one descriptor, which it then has no more; -1 if it has none or several. */
int vhost_user_take_fd(struct vhost_user_message *message);

/* "GET_CONFIG", for people; "unknown". */
const char *vhost_user_request_name(uint32_t request);

#ifdef __cplusplus
}
#endif

#endif
