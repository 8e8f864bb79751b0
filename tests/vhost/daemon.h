/* SPDX-License-Identifier: MIT */
/*
 * daemon.h: qemu-storage-daemon as a child process that serves one vhost-user block device: a
 * device that was written by others.
 */
#ifndef VHOST_DAEMON_H
#define VHOST_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { DAEMON_PATH_BYTES = 100, DAEMON_BLOCKDEV_BYTES = 400 };

struct daemon {
    char folder[DAEMON_PATH_BYTES / 2]; /* all its files; on tmpfs where there is one */
    char socket[DAEMON_PATH_BYTES], file[DAEMON_PATH_BYTES];
    char blockdev[DAEMON_BLOCKDEV_BYTES];
    uint32_t queues;
    pid_t pid;
};

/*
 * One at a time: what an earlier case left behind is ended first, as all is when this process ends.
 * Skips the case where the program is not installed.
 */
struct daemon *daemon_start_null(uint64_t size_bytes, uint64_t latency_ns, uint32_t queues);
/* A file of `sectors` sectors; each is its number, 64 times. */
struct daemon *daemon_start_file(uint32_t sectors, uint32_t queues);

/* As a new process, after daemon_kill. */
void daemon_restart(struct daemon *daemon);
void daemon_kill(struct daemon *daemon);
void daemon_freeze(struct daemon *daemon);
void daemon_thaw(struct daemon *daemon);

/* Whether the process has the front end's memory mapped. */
bool daemon_has_memory(const struct daemon *daemon);

/* Kills what runs and removes the files. */
void daemon_end(struct daemon *daemon);

#endif
