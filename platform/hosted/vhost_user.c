/* SPDX-License-Identifier: MIT */
/* vhost_user.c: messages in and out. */
#include "hosted/vhost_user.h"

#include <ashlar/error.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct vhost_user_vring_state) == 8, "vring state description");
_Static_assert(sizeof(struct vhost_user_vring_address) == 40, "vring address description");
_Static_assert(sizeof(struct vhost_user_region) == 32, "memory region description");
_Static_assert(offsetof(struct vhost_user_memory, regions) == VHOST_USER_MEMORY_HEADER_BYTES,
               "memory regions description");
_Static_assert(offsetof(struct vhost_user_config, bytes) == VHOST_USER_CONFIG_HEADER_BYTES,
               "virtio device config space");
_Static_assert(offsetof(struct vhost_user_message, size_bytes) == VHOST_USER_HEADER_BYTES - 4,
               "header");

uint64_t vhost_user_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Until the socket can do it: 0, or -ASH_ETIMEDOUT. */
static int wait_for(int socket, short events, uint64_t deadline_ms) {
    for (;;) {
        uint64_t now = vhost_user_now_ms();
        uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
        struct pollfd poller = {.fd = socket, .events = events};
        int ready = poll(&poller, 1, (int)(left < 1000000 ? left : 1000000));
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return -ASH_EIO;
        if (ready == 0 && left == 0)
            return -ASH_ETIMEDOUT;
    }
}

static int error_of_errno(void) {
    return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? -ASH_EPIPE : -ASH_EIO;
}

union control {
    struct cmsghdr header; /* for its alignment */
    uint8_t bytes[CMSG_SPACE(sizeof(int) * VHOST_USER_FDS_MAX)];
};

/* Sending */

/* The descriptors go with the first byte. */
static ssize_t send_some(int socket, const struct vhost_user_message *message, uint32_t done) {
    struct iovec pieces[2] = {{.iov_base = (void *)(uintptr_t)message, .iov_len = 0}};
    const uint8_t *payload = (const uint8_t *)&message->payload;
    struct msghdr header = {.msg_iov = pieces};
    union control control = {.bytes = {0}};
    if (done < VHOST_USER_HEADER_BYTES)
        pieces[header.msg_iovlen++] =
            (struct iovec){(uint8_t *)(uintptr_t)message + done, VHOST_USER_HEADER_BYTES - done};
    uint32_t skip = done < VHOST_USER_HEADER_BYTES ? 0 : done - VHOST_USER_HEADER_BYTES;
    if (skip < message->size_bytes)
        pieces[header.msg_iovlen++] =
            (struct iovec){(uint8_t *)(uintptr_t)payload + skip, message->size_bytes - skip};
    if (done == 0 && message->fd_count != 0) {
        size_t bytes = sizeof(int) * message->fd_count;
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(bytes), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), message->fds, bytes);
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(bytes);
    }
    return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int vhost_user_send(int socket, const struct vhost_user_message *message, uint64_t deadline_ms) {
    uint32_t total = VHOST_USER_HEADER_BYTES + message->size_bytes;
    for (uint32_t done = 0; done < total;) {
        ssize_t sent = send_some(socket, message, done);
        if (sent >= 0) {
            done += (uint32_t)sent;
        } else if (errno == EAGAIN) {
            int error = wait_for(socket, POLLOUT, deadline_ms);
            if (error != 0)
                return error;
        } else if (errno != EINTR) {
            return error_of_errno();
        }
    }
    return 0;
}

/* Receiving */

void vhost_user_close_fds(struct vhost_user_message *message) {
    for (uint32_t i = 0; i < message->fd_count; i++)
        close(message->fds[i]);
    message->fd_count = 0;
}

int vhost_user_take_fd(struct vhost_user_message *message) {
    if (message->fd_count != 1)
        return -1;
    message->fd_count = 0;
    return message->fds[0];
}

/* Adds what came beside the bytes; false: more than a message may have. */
static bool take_fds(struct vhost_user_message *message, struct msghdr *header) {
    bool fits = (header->msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (message->fd_count < VHOST_USER_FDS_MAX) {
                message->fds[message->fd_count++] = fd;
            } else {
                close(fd);
                fits = false;
            }
        }
    }
    return fits;
}

static int receive_bytes(int socket, struct vhost_user_message *message, void *bytes, uint32_t len,
                         uint64_t deadline_ms) {
    for (uint32_t done = 0; done < len;) {
        union control control;
        struct iovec piece = {(uint8_t *)bytes + done, len - done};
        struct msghdr header = {.msg_iov = &piece,
                                .msg_iovlen = 1,
                                .msg_control = &control,
                                .msg_controllen = sizeof(control)};
        ssize_t got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got > 0) {
            if (!take_fds(message, &header))
                return -ASH_EBADMSG;
            done += (uint32_t)got;
        } else if (got == 0) {
            return -ASH_EPIPE;
        } else if (errno == EAGAIN) {
            int error = wait_for(socket, POLLIN, deadline_ms);
            if (error != 0)
                return error;
        } else if (errno != EINTR) {
            return error_of_errno();
        }
    }
    return 0;
}

int vhost_user_receive(int socket, struct vhost_user_message *message, uint64_t deadline_ms) {
    memset(message, 0, sizeof(*message));
    int error = receive_bytes(socket, message, message, VHOST_USER_HEADER_BYTES, deadline_ms);
    if (error == 0 && (message->size_bytes > sizeof(message->payload) ||
                       (message->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION))
        error = -ASH_EBADMSG;
    if (error == 0)
        error = receive_bytes(socket, message, &message->payload, message->size_bytes, deadline_ms);
    if (error != 0)
        vhost_user_close_fds(message);
    return error;
}

const char *vhost_user_request_name(uint32_t request) {
    static const char *const names[] = {
        [VHOST_USER_GET_FEATURES] = "GET_FEATURES",
        [VHOST_USER_SET_FEATURES] = "SET_FEATURES",
        [VHOST_USER_SET_OWNER] = "SET_OWNER",
        [VHOST_USER_SET_MEM_TABLE] = "SET_MEM_TABLE",
        [VHOST_USER_SET_VRING_NUM] = "SET_VRING_NUM",
        [VHOST_USER_SET_VRING_ADDR] = "SET_VRING_ADDR",
        [VHOST_USER_SET_VRING_BASE] = "SET_VRING_BASE",
        [VHOST_USER_GET_VRING_BASE] = "GET_VRING_BASE",
        [VHOST_USER_SET_VRING_KICK] = "SET_VRING_KICK",
        [VHOST_USER_SET_VRING_CALL] = "SET_VRING_CALL",
        [VHOST_USER_SET_VRING_ERR] = "SET_VRING_ERR",
        [VHOST_USER_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
        [VHOST_USER_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
        [VHOST_USER_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
        [VHOST_USER_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
        [VHOST_USER_GET_CONFIG] = "GET_CONFIG",
    };
    bool known = request < ASH_ARRAY_LEN(names) && names[request] != NULL;
    return known ? names[request] : "unknown";
}
