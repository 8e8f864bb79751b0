/* SPDX-License-Identifier: MIT */
/* disk_internal.h: requests and their end, between the disk's files. */
#ifndef KERNEL_DISK_INTERNAL_H
#define KERNEL_DISK_INTERNAL_H

#include "disk.h"

/* The calls of disk.h, with the mutex held. */
void disk_refresh_locked(struct disk *disk);
int disk_read_locked(struct disk *disk, uint64_t offset, void *buffer, size_t len) ASH_MUST_CHECK;
int disk_write_locked(struct disk *disk, uint64_t offset, const void *buffer,
                      size_t len) ASH_MUST_CHECK;

/* All of the rest with the mutex held, too. */

/* 0, or why nothing can be asked of [offset, offset + len). Begins a call. */
int disk_begin(struct disk *disk, uint64_t offset, uint64_t len) ASH_MUST_CHECK;

/* Queues a request; waits for room. 0, or the first error of any request that it waited for. */
int disk_submit(struct disk *disk, struct ash_virtio_blk_request *request) ASH_MUST_CHECK;

/* Kicks and waits for every request: `error`, or else the first one of them. */
int disk_drain(struct disk *disk, int error) ASH_MUST_CHECK;

/* Buffers for `bytes` bytes, at most request_bytes; NULL: *error, of a request that it waited
 * for. */
struct disk_bounce *disk_bounce_take(struct disk *disk, size_t bytes, int *error) ASH_MUST_CHECK;
void disk_bounce_drop(struct disk *disk, struct disk_bounce *bounce);

/* Between it, from `skip` on, and a caller's buffer. */
void disk_bounce_in(struct disk_bounce *bounce, size_t skip, const uint8_t *from, size_t len);

/* Reads or writes whole blocks by way of it. */
int disk_bounce_submit(struct disk *disk, struct disk_bounce *bounce, enum ash_virtio_blk_op op,
                       uint64_t offset, size_t bytes) ASH_MUST_CHECK;

#endif
