/* SPDX-License-Identifier: MIT */
/* peer.h: the other end of a socket, played by the test: bytes and descriptors as it likes. */
#ifndef VHOST_PEER_H
#define VHOST_PEER_H

#include "hosted/vhost_user.h"

enum { PEER_LIMIT_MS = 5000 };

/* A connection to the socket at this path. */
int peer_connect(const char *path);

/* The bytes, with the descriptors beside the first; false: nobody takes them. */
bool peer_send(int socket, const void *bytes, size_t len, const int *fds, uint32_t fd_count);

/* A message as it stands, its size as it claims; at most the bytes of a whole one are sent. */
bool peer_send_message(int socket, const struct vhost_user_message *message, const int *fds,
                       uint32_t fd_count);

/* Waits for the other end to hang up, reading what it still says; the case fails after the
 * limit. */
void peer_await_end(int socket);

/* Open descriptors of this process. */
uint32_t peer_descriptors(void);

#endif
