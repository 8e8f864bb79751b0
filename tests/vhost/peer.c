/* SPDX-License-Identifier: MIT */
#include "vhost/peer.h"

#include "harness/test.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

int peer_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

bool peer_send(int socket, const void *bytes, size_t len, const int *fds, uint32_t fd_count) {
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int) * 64)];
    } control = {.bytes = {0}};
    struct iovec piece = {(void *)(uintptr_t)bytes, len};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fd_count != 0) {
        CHECK(fd_count <= 64);
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int) * fd_count),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * fd_count);
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    }
    return sendmsg(socket, &header, MSG_NOSIGNAL) == (ssize_t)len;
}

bool peer_send_message(int socket, const struct vhost_user_message *message, const int *fds,
                       uint32_t fd_count) {
    uint8_t bytes[VHOST_USER_HEADER_BYTES + sizeof(message->payload)];
    size_t payload = message->size_bytes < sizeof(message->payload) ? message->size_bytes
                                                                    : sizeof(message->payload);
    memcpy(bytes, message, VHOST_USER_HEADER_BYTES);
    memcpy(bytes + VHOST_USER_HEADER_BYTES, &message->payload, sizeof(message->payload));
    return peer_send(socket, bytes, VHOST_USER_HEADER_BYTES + payload, fds, fd_count);
}

void peer_await_end(int socket) {
    uint64_t until = vhost_user_now_ms() + PEER_LIMIT_MS;
    for (;;) {
        char bytes[256];
        ssize_t got = recv(socket, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return;
        struct pollfd poller = {.fd = socket, .events = POLLIN};
        CHECK(vhost_user_now_ms() < until);
        poll(&poller, 1, PEER_LIMIT_MS);
    }
}

uint32_t peer_descriptors(void) {
    uint32_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}
