/* SPDX-License-Identifier: MIT */
/*
 * disk.h: bytes of a virtio block device: any offset, any length, read and written, many requests
 * in flight, each with an end in time.
 *
 * Rules
 *  - Any thread, on any CPU: the mutex of the disk's group lets in one at a time, who waits with it
 *    held until all of its bytes are where they belong. All requests go through queue 0.
 *  - One queue for each CPU, as far as the device offers them: the others are for who drives them
 *    by <ashlar/virtio_blk.h>, each from its own CPU, and sleeps by disk_sleep.
 *  - Whole blocks go straight from and to memory that was lent for good (disk_lend). All else
 *    passes through the disk's own pool of page-sized buffers, and a block of which only a part is
 *    written is read first.
 *  - What was written is safe after disk_flush.
 *  - A device that is silent for DISK_TIMEOUT_NS, or asks for a reset, is reset and given all
 *    requests again, once a call; the second time they fail: -ASH_ETIMEDOUT, -ASH_EIO. One that
 *    breaks its protocol is reset, and the call fails. The next call finds a working queue.
 *  - A device that does not even finish its reset is given up: nothing is asked of it again. It may
 *    still write, for ever: to the rings, to buffers of the pool and to lent memory, none of which
 *    is given back, and never to a caller's own buffer.
 */
#ifndef KERNEL_DISK_H
#define KERNEL_DISK_H

#include <ashlar/virtio_blk.h>
#include <ashlar/virtio_mmio.h>

#include "file_system.h"
#include "memory.h"
#include "mutex.h"

#define DISK_TIMEOUT_NS UINT64_C(5000000000)
#define DISK_WATCH_NS   UINT64_C(250000000) /* a device that is silent is looked at so often */

enum {
    DISKS_MAX = 8,
    DISK_IN_FLIGHT_MAX = 32,
    DISK_REQUEST_BYTES = 32768, /* what is longer is cut into requests of this size */
    DISK_REQUEST_PAGES = DISK_REQUEST_BYTES / ASH_PAGE_SIZE,
    DISK_POOL_PAGES = 64,   /* of the pool, where there is memory; at least those of a request */
    DISK_MEMORY_SHARE = 32, /* of what is free: a part in so many is for the pool, another for the
                               queues; and half of it for a disk at most */
    DISK_QUEUES_MAX = 8,
    DISK_LENT_MAX = 4,
};

/* A request through buffers of the pool. */
struct disk_bounce {
    struct ash_dma_buffer *buffers[DISK_REQUEST_PAGES];
    uint32_t count; /* 0: not in use */
    bool stays;     /* after its completion too: somebody waits for the contents */
    uint8_t *to;    /* of a read: where `len` bytes from `skip` on are copied to, or NULL */
    size_t skip, len;
};

/* A request whose end is a call: `done`, from within any call of this disk that waits. It may
 * submit and kick, and must not wait. The caller's memory until then; a member of something larger.
 */
struct disk_async {
    void (*done)(struct disk_async *async, int status);
};

/* Disks that are used together, by one thread at a time: a disk alone, or those of a cache. */
struct disk_group {
    struct mutex mutex;
    struct wait_queue waiting; /* for interrupts, without the mutex */
    uint32_t interrupts;       /* of any of the disks, so far */
};

/* Fields to be read by everybody up to timeouts; the rest is private. */
struct disk {
    struct ash_virtio_mmio mmio;
    struct ash_virtio_blk blk;
    struct ash_virtio_blk_queue *queue; /* queue 0 */
    struct kernel_memory *memory;
    uint32_t slot, number;
    uint64_t size_bytes;
    bool dead;
    enum ash_virtio_blk_policy policy; /* set by disk_set_policy */
    uint32_t policy_amount;
    uint64_t straight_bytes, bounced_bytes; /* asked for, by disk_read and disk_write */
    uint64_t timeouts;

    uint32_t request_bytes; /* of one request, at most */
    struct {
        void *pages;
        uint32_t order;
    } storage, rings, buffers; /* the driver's own; what it shares with the device; the pool */
    void *pool_storage;
    struct ash_dma_pool pool;
    struct disk_bounce bounces[DISK_IN_FLIGHT_MAX];
    struct {
        void *memory;
        size_t size_bytes;
    } lent[DISK_LENT_MAX];

    uint32_t sleepers[DISK_QUEUES_MAX]; /* by CPU: 1 while it sleeps for a queue of its own */
    struct disk_group own_group, *group;

    uint8_t ops[DISK_IN_FLIGHT_MAX]; /* what was asked for: enum ash_virtio_blk_op, by token */

    /* of the call in progress, and of the last one that failed */
    struct ash_virtio_blk_done done[DISK_IN_FLIGHT_MAX];
    int done_count;
    uint32_t aborted; /* requests that a reset has failed and that are not reaped yet: */
    int abort_error;  /* why */
    bool was_resubmitted;
    char reason[96];
};

/* Start */

/*
 * Takes over the device behind regs. On failure *reason says why.
 *   -ASH_ENODEV    another kind of device        -ASH_ENOMEM  not even for one queue and request
 *   -ASH_ENOTSUP   blocks larger than a request of the pool; or a legacy device
 * and the other errors of ash_virtio_mmio_probe and ash_virtio_blk_init.
 */
int disk_init(struct disk *disk, const struct ash_virtio_regs *regs, struct kernel_memory *memory,
              const char **reason) ASH_MUST_CHECK;

/*
 * Lends memory of the buddy, which the device can reach: whole blocks go there and come from there
 * without a copy. One piece; it must never be freed, and after a read into it has failed its bytes
 * may change at any time. Of more than DISK_LENT_MAX pieces the last are not taken.
 */
void disk_lend(struct disk *disk, void *memory, size_t size_bytes);

void disk_group_init(struct disk_group *group);

/* Into another group; NULL: the disk's own. While nobody uses the disk. */
void disk_join(struct disk *disk, struct disk_group *group);

/* For more than one call in a row, or a look at what is private; with the mutex held: only what
 * says so. */
void disk_lock(struct disk *disk);
void disk_unlock(struct disk *disk);

/* How completions are waited for from now on, in all queues. -ASH_EINVAL: no such policy. */
int disk_set_policy(struct disk *disk, enum ash_virtio_blk_policy policy,
                    uint32_t amount) ASH_MUST_CHECK;

/* Hears of a size that the device has changed: size_bytes. Every call below does it first. */
void disk_refresh(struct disk *disk);

/* The device's interrupt handler, on CPU 0; the context is the disk. */
void disk_interrupt(void *context);

/*
 * Bytes. Each error, of all calls; disk_explain has a sentence:
 *   -ASH_ERANGE     past the end, as the device has it now
 *   -ASH_EIO        the device says so, broke its protocol, asked for a reset twice, was given up
 *   -ASH_ETIMEDOUT  it was silent, twice
 *   -ASH_ENOTSUP    it answers that it cannot do that
 *   -ASH_ENOMEM     buffers of the pool are gone: with a device that was given up
 */

/* Reads [offset, offset + len). On an error the buffer's contents are undefined. */
int disk_read(struct disk *disk, uint64_t offset, void *buffer, size_t len) ASH_MUST_CHECK;

/* Writes them. -ASH_EROFS too. On an error any of the bytes may have been written. */
int disk_write(struct disk *disk, uint64_t offset, const void *buffer, size_t len) ASH_MUST_CHECK;

/* One of the two, of whole blocks, scattered over lent memory: no copy, and as few requests as the
 * device allows. -ASH_EROFS; -ASH_EINVAL: another operation, no whole blocks, a block in more
 * pieces than the device takes segments, or a piece that is empty or was not lent. */
struct disk_piece {
    void *memory;
    size_t len_bytes;
};
int disk_transfer(struct disk *disk, enum ash_virtio_blk_op op, uint64_t offset,
                  const struct disk_piece *pieces, uint32_t count) ASH_MUST_CHECK;

/* After it, all that was written is safe. */
int disk_flush(struct disk *disk) ASH_MUST_CHECK;

/* The whole blocks within [offset, offset + len) need not be kept. -ASH_EROFS; -ASH_ENOTSUP: the
 * device does not offer it. */
int disk_discard(struct disk *disk, uint64_t offset, uint64_t len) ASH_MUST_CHECK;

/* They read as zeros from now on, and no byte of them crosses the queue; the device may give their
 * space back. Errors as of discard, and -ASH_EINVAL: not whole blocks. */
int disk_write_zeroes(struct disk *disk, uint64_t offset, uint64_t len) ASH_MUST_CHECK;

/* The device's name for itself, terminated; "" where it has none. */
void disk_id(struct disk *disk, char id[ASH_VIRTIO_BLK_ID_BYTES + 1]);

/* The disk as the bytes below a file system. */
struct byte_source disk_source(struct disk *disk);

/* Requests that nobody waits for yet: they go through the same queue, and whichever call waits for
 * that takes their completions too. All of it with the mutex of the disk's group held. */

/*
 * Queues one, whose cookie is not the caller's. Waits for nothing, but for the reset of a device
 * that has broken its queue. *async hears of its end where 0 is returned. -ASH_EAGAIN: the queue is
 * full; else the errors of ash_virtio_blk_submit, and -ASH_EIO of a disk that was given up.
 */
int disk_async_submit(struct disk *disk, struct ash_virtio_blk_request *request,
                      struct disk_async *async) ASH_MUST_CHECK;
void disk_async_kick(struct disk *disk);

/* Are some on their way? */
bool disk_async_is_busy(const struct disk *disk);

/* Takes those that have ended, without waiting, or does something about a device whose queue is
 * broken. False: there was nothing to do. */
bool disk_async_take(struct disk *disk);

/* After a disk_async_take that was false, while some are on their way: true: the next one that ends
 * comes with an interrupt, of which group->interrupts tells. */
bool disk_async_may_sleep(struct disk *disk);

/* Does something about a device that is late, or asks for it: every DISK_WATCH_NS. */
void disk_async_watch(struct disk *disk);

/* A wait for some of them begins: a device may be reset and given them again once in it. */
void disk_async_begin(struct disk *disk);

/* Waits, with the mutex held, until something has ended; false: there is nothing to wait for, or
 * the disk was given up. */
bool disk_async_wait(struct disk *disk);

/* Failures */

/* What `error`, the result of the last call, means here: part of a sentence. */
const char *disk_explain(const struct disk *disk, int error);

/*
 * For who drives the queue itself, alone (threads_alone), as the benchmark does: resets a device
 * whose queue is broken (-ASH_EIO) or late (-ASH_ETIMEDOUT, by ash_virtio_blk_watch). 0: all
 * requests are with it again; else the error, and they come out of reap as failed, unless the disk
 * is dead.
 */
int disk_recover(struct disk *disk, int error, bool may_resubmit) ASH_MUST_CHECK;

/*
 * For who drives queue `cpu` from that CPU, with interrupts masked, after a reap that returned 0:
 * sleeps until its interrupt, or the deadline. False: something may be there already.
 */
bool disk_sleep(struct disk *disk, uint32_t cpu, ash_ns_t deadline_ns);

/* The first broken invariant of the driver or the pool, or NULL. */
const char *disk_check(const struct disk *disk);

#endif
