/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.h: a driver for virtio block devices: reads with many requests in flight, completed in
 * any order, no copy, no allocation, no lock.
 *
 *     ash_virtio_mmio_probe(&mmio, &regs);                       // device_id == ..._ID_BLOCK
 *     ash_virtio_blk_init(&blk, &config, storage, storage_bytes);
 *     ash_virtio_blk_read(&blk, sector, buffer, bytes, cookie, &token);   // as often as you like
 *     ash_virtio_blk_kick(&blk);                                 // one notification for all
 *     for (;;) {
 *         int n = ash_virtio_blk_reap(&blk, done, 32);           // n < 0: ash_virtio_blk_reset
 *         if (n == 0 && ash_virtio_blk_arm(&blk, 1))
 *             sleep_until_interrupt();                           // whose handler calls _interrupt
 *     }
 *
 * Rules
 *  - A buffer belongs to the device from ash_virtio_blk_read until its token comes out of
 *    ash_virtio_blk_reap: each token exactly once, failed ones included, and not before the device
 *    is done with the buffer. A request that takes too long is no exception: reset the device.
 *  - One producer (read, kick) and one reaper (reap, arm, disarm) at a time; the two may run at the
 *    same time on two CPUs. Interrupt: any context. Everything else: alone.
 *  - Reading queues; nothing happens before a kick. A kick writes one register at most.
 *  - Whatever the device writes is validated. A violation breaks the queue: event `virtq.broken`,
 *    reads and reaps return -ASH_EIO until ash_virtio_blk_reset. It never harms memory or panics.
 *  - DMA is coherent. The device reaches what dma_address names, nothing else is given to it.
 *
 * Source: VIRTIO 1.2, 5.2.
 *
 * Limits: one data segment a request (contiguous for the device), reads only, one queue.
 */
#ifndef ASHLAR_VIRTIO_BLK_H
#define ASHLAR_VIRTIO_BLK_H

#include <ashlar/virtio.h>
#include <ashlar/virtq.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_VIRTIO_BLK_SECTOR_SIZE 512u /* the unit of `sector` and of the capacity, always */

#define ASH_VIRTIO_BLK_QUEUE_SIZE_DEFAULT    256u
#define ASH_VIRTIO_BLK_IN_FLIGHT_MAX_DEFAULT 32u
#define ASH_VIRTIO_BLK_STORAGE_ALIGN         64u
#define ASH_VIRTIO_BLK_REQUEST_BYTES_MAX     (UINT32_C(1) << 30) /* where a device has no limit */

/* Feature bits, 5.2.3 */
#define ASH_VIRTIO_BLK_F_SIZE_MAX (UINT64_C(1) << 1)
#define ASH_VIRTIO_BLK_F_SEG_MAX  (UINT64_C(1) << 2)
#define ASH_VIRTIO_BLK_F_RO       (UINT64_C(1) << 5)
#define ASH_VIRTIO_BLK_F_BLK_SIZE (UINT64_C(1) << 6)
#define ASH_VIRTIO_BLK_F_FLUSH    (UINT64_C(1) << 9)

struct ash_virtio_blk_config {
    /* A probed device; stays with the driver until fini. */
    struct ash_virtio_transport *transport;
    /*
     * The address at which the device sees [pointer, pointer + len_bytes), which it must see in one
     * piece, or ASH_VIRTIO_NO_ADDRESS. Called for the storage at init and for each buffer.
     */
    ash_paddr_t (*dma_address)(void *context, const void *pointer, size_t len_bytes);
    void *context;
    /* Ring entries: a power of two, 4..1024; 0 for the default. The device may lower it. */
    uint32_t queue_size;
    /* Requests at the same time, at most queue_size / 3; 0 for the default or what fits. A device
     * with a smaller queue lowers it. */
    uint32_t in_flight_max;
};

/* What came back, in the order in which the device finished. */
struct ash_virtio_blk_done {
    uint32_t token;
    int status;     /* 0; -ASH_EIO: read error, or reset; -ASH_ENOTSUP: the device cannot do this */
    uint32_t bytes; /* put into the buffer: all that was asked, or 0 */
    void *cookie;   /* as it was given to ash_virtio_blk_read */
};

/* Since init; resets do not clear them. */
struct ash_virtio_blk_counters {
    uint64_t requests, bytes; /* queued */
    uint64_t kicks;           /* notifications written, not calls */
    uint64_t completions;     /* that the device made, with an error or without */
    uint64_t errors;          /* completions with a status other than 0 */
    uint64_t aborted;         /* failed by a reset */
    uint64_t interrupts;      /* that were this device's */
};

/* Public for sizeof; fields private but the first block, constant between init and reset. */
struct ash_virtio_blk {
    uint64_t capacity_sectors;
    uint64_t features;          /* accepted */
    uint32_t block_size_bytes;  /* of the device: sector and length of a request are multiples */
    uint32_t request_bytes_max; /* a multiple of block_size_bytes */
    uint32_t queue_size;
    uint32_t in_flight_max;
    bool read_only;

    struct ash_virtio_blk_config config;
    void *storage;
    struct ash__virtio_blk_line *lines; /* one per slot: header and status */
    const char *reason;
    struct ash_virtq queue;
    struct ash_virtio_blk_counters counters;
};

/* Bytes of storage for this configuration; 0 if it is invalid (the transport is not looked at). */
size_t ash_virtio_blk_storage_size(const struct ash_virtio_blk_config *config) ASH_MUST_CHECK;

/*
 * Takes over the device: reset, features, configuration, queue. storage is aligned to
 * ASH_VIRTIO_BLK_STORAGE_ALIGN, contiguous for the device, and the driver's until fini. After a
 * failure the device is reset (but -ASH_ETIMEDOUT) and ash_virtio_blk_reason says why.
 *   -ASH_EINVAL     configuration, or storage misaligned     -ASH_ENOMEM   storage too small
 *   -ASH_ENODEV     not a block device                       -ASH_EFAULT   no address for storage
 *   -ASH_ETIMEDOUT  the device does not finish its reset     -ASH_EPERM    features refused
 *   -ASH_ENOTSUP    VERSION_1 is not offered                 -ASH_EAGAIN   configuration churns
 *   -ASH_EBADMSG    configuration makes no sense             -ASH_ENXIO    no queue, or below 4
 *   -ASH_EBUSY      queue in use after a reset               -ASH_EIO      device failed
 */
int ash_virtio_blk_init(struct ash_virtio_blk *blk, const struct ash_virtio_blk_config *config,
                        void *storage, size_t storage_bytes) ASH_MUST_CHECK;

/*
 * Resets the device and leaves it so. 0, or -ASH_ETIMEDOUT as for reset; then the storage and the
 * buffers are still the device's. Tokens in flight are failed: reap them until it returns an error.
 * -ASH_EINVAL: init never got as far as the queue; nothing is done.
 */
int ash_virtio_blk_fini(struct ash_virtio_blk *blk) ASH_MUST_CHECK;

/*
 * Resets the device and takes it over again, in whatever state it or the queue is. All tokens in
 * flight are failed: ash_virtio_blk_reap delivers each of them once, status -ASH_EIO; new requests
 * can be queued at once. Errors of init; after -ASH_ETIMEDOUT the tokens stay in flight (the device
 * may still write to their buffers), after any other the queue is broken, but they are failed.
 */
int ash_virtio_blk_reset(struct ash_virtio_blk *blk) ASH_MUST_CHECK;

/*
 * Queues a read of len_bytes from `sector` (of 512 bytes, whatever the block size) into buffer.
 * cookie comes back with the completion; *token names the request until then. O(in_flight_max/64).
 *   -ASH_EAGAIN  in_flight_max requests are in flight: kick, reap, try again
 *   -ASH_EINVAL  buffer NULL; len_bytes 0 or above request_bytes_max; it or the sector not a
 *                multiple of block_size_bytes
 *   -ASH_ERANGE  past the end of the device
 *   -ASH_EFAULT  no address for the buffer
 *   -ASH_EIO     the queue is broken, or finished
 */
int ash_virtio_blk_read(struct ash_virtio_blk *blk, uint64_t sector, void *buffer, size_t len_bytes,
                        void *cookie, uint32_t *token) ASH_MUST_CHECK;

/* Shows all queued requests to the device and notifies it, if it asks for that. */
void ash_virtio_blk_kick(struct ash_virtio_blk *blk);

/*
 * Up to `max` completions into done[]. Returns their number, 0 when there is none yet, or -ASH_EIO
 * once the queue is broken or finished and nothing is left to deliver.
 */
int ash_virtio_blk_reap(struct ash_virtio_blk *blk, struct ash_virtio_blk_done *done,
                        uint32_t max) ASH_MUST_CHECK;

/*
 * Asks for an interrupt at the completions-th completion from now (1: the next; more than are in
 * flight counts as all). True: it will come, sleeping is safe. False: reap first. Interrupts may
 * come early or for nothing.
 */
bool ash_virtio_blk_arm(struct ash_virtio_blk *blk, uint32_t completions) ASH_MUST_CHECK;

/* Asks for no interrupts; some may come yet. For polling; so it is after init. */
void ash_virtio_blk_disarm(struct ash_virtio_blk *blk);

/* For the interrupt handler: acknowledges; true if it was this device's. */
bool ash_virtio_blk_interrupt(struct ash_virtio_blk *blk);

/* For a watchdog whose request does not come back: 0, or -ASH_EIO (the queue is then broken) if
 * the device says that it needs a reset. A silent device may be dead all the same: reset it. */
int ash_virtio_blk_status_check(struct ash_virtio_blk *blk) ASH_MUST_CHECK;

/* Is this token's request queued or in flight? */
bool ash_virtio_blk_pending(const struct ash_virtio_blk *blk, uint32_t token);

/* Requests whose tokens have not come back. */
uint32_t ash_virtio_blk_in_flight(const struct ash_virtio_blk *blk);

/* Why the last init, reset or the queue failed, for people; "" if nothing did. Never NULL. */
const char *ash_virtio_blk_reason(const struct ash_virtio_blk *blk);

/* The first broken invariant by its number in DESIGN.md, or NULL. Alone; O(queue_size). */
const char *ash_virtio_blk_check(const struct ash_virtio_blk *blk) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
