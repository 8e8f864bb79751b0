/* SPDX-License-Identifier: MIT */
/*
 * served.h: the fake block device behind a socket, worked by a thread of this process. One at a
 * time; what a failed case left behind is ended by the next start.
 */
#ifndef VHOST_SERVED_H
#define VHOST_SERVED_H

#include "hosted/virtio_blk_device.h"

enum { SERVED_SECTORS = 2048, SERVED_TIMEOUT_MS = 100 };

/* Each of its sectors is its number, 64 times. NULL: the correct policy. features: offered beyond
 * the usual ones. Its path. */
const char *served_start(const struct fake_virtio_policy *policy, uint32_t queues,
                         uint64_t features);

/* Serves one front end after the other until here. */
void served_end(void);

/* After served_end: the disk. */
const uint64_t (*served_sectors(void))[64];

/* After served_end: what the driver did wrong, "" for nothing; what the front end did, last. */
const char *served_violation(void);
const char *served_complaint(void);
uint64_t served_sessions(void);

/* While it serves: how the last session ended, 0 if well or none has, once its front end has seen
 * the end; and copies to `complaint` what was said against a front end last, "" for nothing, which
 * is then forgotten. */
int served_take_complaint(char *complaint, size_t len);

/* How often a front end has started the device's rings so far; while it is served, too. */
uint64_t served_starts(void);

#endif
