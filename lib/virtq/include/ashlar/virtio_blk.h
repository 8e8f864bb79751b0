/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.h: a driver for virtio block devices: asynchronous, many requests in flight on each of
 * several queues, completed in any order; no copy, no allocation, no lock.
 *
 *     ash_virtio_mmio_probe(&mmio, &regs);                     // device_id == ..._ID_BLOCK
 *     ash_virtio_blk_init(&blk, &config, &memory);
 *     struct ash_virtio_blk_queue *queue = ash_virtio_blk_get_queue(&blk, 0);
 *     ash_virtio_blk_submit(queue, &request, &token);          // as often as you like
 *     ash_virtio_blk_kick(queue);                              // one notification for all
 *     for (;;) {
 *         int n = ash_virtio_blk_reap(queue, done, 32);        // n < 0: ash_virtio_blk_reset
 *         if (n == 0 && ash_virtio_blk_may_sleep(queue))
 *             sleep_until_interrupt();                         // whose handler calls _interrupt
 *     }
 *
 * Rules
 *  - What a request names belongs to the device from submit until its token comes out of reap: each
 *    token exactly once, failed ones included, and not before the device is done with the memory. A
 *    request that takes too long is no exception: watch finds it, reset brings it back.
 *  - Per queue one producer (submit, kick) and one reaper (reap, may_sleep, disarm) at a time; the
 *    two may run at the same time on two CPUs, and so may queues. Interrupt: any context.
 *    Everything else: alone.
 *  - Submitting queues; nothing happens before a kick. A kick writes one register at most.
 *  - Whatever the device writes is validated. A violation breaks the queue: event `virtq.broken`,
 *    submit and reap return -ASH_EIO until ash_virtio_blk_reset. It never harms memory or panics.
 *  - DMA is coherent. The device reaches what a segment names, nothing else is given to it.
 *
 * Source: VIRTIO 1.2, 5.2. Limits and defaults are in <ashlar/virtio_blk_types.h>.
 */
#ifndef ASHLAR_VIRTIO_BLK_H
#define ASHLAR_VIRTIO_BLK_H

#include <ashlar/dma.h>
#include <ashlar/virtio.h>
#include <ashlar/virtio_blk_types.h>
#include <ashlar/virtq.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of own storage, and of memory that the device reaches; 0 if the configuration is invalid.
 * The transport is not looked at. */
size_t ash_virtio_blk_storage_size(const struct ash_virtio_blk_config *config) ASH_MUST_CHECK;
size_t ash_virtio_blk_dma_size(const struct ash_virtio_blk_config *config) ASH_MUST_CHECK;

/*
 * Takes over the device: reset, features, configuration, queues. memory is the driver's until fini.
 * After -ASH_EINVAL, -ASH_ENOMEM and -ASH_ENODEV it was not touched, after any other failure it is
 * reset (but -ASH_ETIMEDOUT); ash_virtio_blk_reason says why.
 *   -ASH_EINVAL     configuration, or memory misaligned      -ASH_ENOMEM   memory too small
 *   -ASH_ENODEV     not a block device                       -ASH_EPERM    features refused
 *   -ASH_ETIMEDOUT  the device does not finish its reset     -ASH_EAGAIN   configuration churns
 *   -ASH_ENOTSUP    VERSION_1 is not offered                 -ASH_ENXIO    no queue, or below 4
 *   -ASH_EBADMSG    configuration makes no sense             -ASH_EIO      device failed
 *   -ASH_EBUSY      queue in use after a reset
 */
int ash_virtio_blk_init(struct ash_virtio_blk *blk, const struct ash_virtio_blk_config *config,
                        const struct ash_virtio_blk_memory *memory) ASH_MUST_CHECK;

/*
 * Resets the device and leaves it so. 0, or -ASH_ETIMEDOUT as for reset; then the memory and the
 * buffers are still the device's. Tokens in flight are failed: reap them until it returns an error.
 * -ASH_EINVAL: init never got as far as the queues; nothing is done.
 */
int ash_virtio_blk_fini(struct ash_virtio_blk *blk) ASH_MUST_CHECK;

/*
 * Resets the device and takes it over again, in whatever state it or a queue is. Every token in
 * flight is then either failed, and comes out of reap with -ASH_EIO, or queued again and published;
 * in both cases once; deadline_ns is the new deadline of those queued again, 0: none. What submit
 * would refuse by now (the device came back smaller, or with fewer features) is failed. New
 * requests can be queued at once. Errors of init, and -ASH_ENXIO: its queues have become smaller or
 * fewer. After -ASH_ETIMEDOUT the tokens stay in flight (the device may still write to their
 * buffers); after any other error the queues are broken, but the tokens are failed.
 */
int ash_virtio_blk_reset(struct ash_virtio_blk *blk, enum ash_virtio_blk_after_reset after,
                         ash_ns_t deadline_ns) ASH_MUST_CHECK;

/* Queue 0..blk->queue_count-1. */
static inline struct ash_virtio_blk_queue *ash_virtio_blk_get_queue(struct ash_virtio_blk *blk,
                                                                    uint32_t index) {
    return &blk->queues[index];
}

/*
 * Queues a request; *token names it until it is reaped, and among those in flight so do its low 16
 * bits, which are below in_flight_max. *request is not needed afterwards, what its segments name
 * is. O(in_flight_max / 64 + segments).
 *   -ASH_EAGAIN   in_flight_max requests are in flight: kick, reap, try again
 *   -ASH_EINVAL   no data, or a length or sector that is no multiple of block_size_bytes; a segment
 *                 that is empty, above segment_bytes_max, misaligned, or ends beyond the address
 *                 space; an operation that does not exist; data for one that takes none
 *   -ASH_E2BIG    more than segments_max segments, request_bytes_max bytes, or sectors at a time
 *   -ASH_ERANGE   past the end of the device
 *   -ASH_EROFS    the device is read-only
 *   -ASH_ENOTSUP  the device did not offer the operation. FLUSH: it has no cache, what was
 *                 completed is safe
 *   -ASH_EIO      the queue is broken, or finished
 */
int ash_virtio_blk_submit(struct ash_virtio_blk_queue *queue,
                          const struct ash_virtio_blk_request *request,
                          uint32_t *token) ASH_MUST_CHECK;

/*
 * The same for requests[0..count), in this order, each of them at a lower cost. Returns how many
 * were queued, tokens[i] those of the first; fewer than `count` if one was refused, which then
 * stands for itself: its error if it is the first.
 */
int ash_virtio_blk_submit_many(struct ash_virtio_blk_queue *queue,
                               const struct ash_virtio_blk_request *const *requests, uint32_t count,
                               uint32_t *tokens) ASH_MUST_CHECK;

/* Shows all queued requests to the device and notifies it, if it asks for that. */
void ash_virtio_blk_kick(struct ash_virtio_blk_queue *queue);

/*
 * Up to `max` completions into done[]. Returns their number, 0 when there is none yet, or -ASH_EIO
 * once the queue is broken or finished and nothing is left to deliver.
 */
int ash_virtio_blk_reap(struct ash_virtio_blk_queue *queue, struct ash_virtio_blk_done *done,
                        uint32_t max) ASH_MUST_CHECK;

/* How completions are waited for, from now on; amount: see the enum. -ASH_EINVAL: no such policy.
 */
int ash_virtio_blk_set_policy(struct ash_virtio_blk_queue *queue, enum ash_virtio_blk_policy policy,
                              uint32_t amount) ASH_MUST_CHECK;

/* After a reap that returned 0. True: an interrupt will come, sleeping is safe. False: reap again.
 * Interrupts may come early or for nothing. */
bool ash_virtio_blk_may_sleep(struct ash_virtio_blk_queue *queue) ASH_MUST_CHECK;

/* Asks for no interrupts; some may come yet. */
void ash_virtio_blk_disarm(struct ash_virtio_blk_queue *queue);

/* For the interrupt handler, of all queues: acknowledges; true if it was this device's. */
bool ash_virtio_blk_interrupt(struct ash_virtio_blk *blk);

/*
 * For a watchdog, every now and then, as a reaper of all queues: 0, or the queues are broken and
 * want a reset: -ASH_EIO, the device says so, or one is broken already; -ASH_ETIMEDOUT, a request
 * is past its deadline: it was shown to the device and not reaped (so reap first). One register,
 * O(in_flight_max) a queue.
 */
int ash_virtio_blk_watch(struct ash_virtio_blk *blk, ash_ns_t now_ns) ASH_MUST_CHECK;

/* The same for one queue, as its reaper, while others work. Then all queues want the reset. */
int ash_virtio_blk_watch_queue(struct ash_virtio_blk_queue *queue, ash_ns_t now_ns) ASH_MUST_CHECK;

/*
 * Has the device changed its configuration since init, reset or the last call? *changed; if so,
 * capacity_sectors is read anew. -ASH_EAGAIN and -ASH_EBADMSG as in init: the old one stays.
 * Requests in flight are not touched: those past a new end fail in the device.
 */
int ash_virtio_blk_refresh(struct ash_virtio_blk *blk, bool *changed) ASH_MUST_CHECK;

/* Is this token's request queued or in flight, or failed by a reset and not reaped yet? */
bool ash_virtio_blk_pending(const struct ash_virtio_blk_queue *queue, uint32_t token);

/* Requests of the queue whose tokens have not come back. */
uint32_t ash_virtio_blk_in_flight(const struct ash_virtio_blk_queue *queue);

/* Since init, over all queues, or of one (without interrupts and resets, which are the device's);
 * resets do not clear them. Exact while no queue works. */
void ash_virtio_blk_get_counters(const struct ash_virtio_blk *blk,
                                 struct ash_virtio_blk_counters *counters);
void ash_virtio_blk_get_queue_counters(const struct ash_virtio_blk_queue *queue,
                                       struct ash_virtio_blk_counters *counters);

/* Why the last init, reset or a queue failed, for people; "" if nothing did. Never NULL. */
const char *ash_virtio_blk_reason(const struct ash_virtio_blk *blk);

/* The first broken invariant by its number in DESIGN.md, or NULL. Alone; O(queue entries). */
const char *ash_virtio_blk_check(const struct ash_virtio_blk *blk) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
