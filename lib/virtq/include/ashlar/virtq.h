/* SPDX-License-Identifier: MIT */
/*
 * virtq.h: the driver's half of a virtqueue, split or packed, with static slots. Slot s owns the
 * descriptors of one request, for good; what is in flight is two bitmaps. No free list, no chain
 * walk, no allocation, no lock. Both formats are behind the same calls.
 *
 *     int slot = ash_virtq_free_slot(&queue);                // -ASH_EAGAIN: reap first
 *     ash_virtq_describe(&queue, slot, 0, address, len, false);
 *     token = ash_virtq_submit(&queue, slot, 0, writable_bytes, cookie);
 *     if (ash_virtq_publish(&queue)) notify(device);         // once for all that was submitted
 *     while ((slot = ash_virtq_next(&queue, &len)) >= 0) ash_virtq_retire(&queue, slot);
 *
 * Rules
 *  - One producer (free_slot, describe, submit, publish) and one reaper (next, retire, arm, disarm)
 *    at a time; the two may run at the same time: each word has one writer. The rest: alone.
 *  - submit never notifies. publish shows all that was submitted and says whether to notify.
 *  - What the driver reads again lives in its own storage; from the memory that it shares with the
 *    device it reads the used entries, the used index and the event words only, each once, into a
 *    local, validated before use.
 *  - A violation latches a fault (event `virtq.broken`); from then on nothing is submitted or
 *    reaped until ash_virtq_restart, which the owner calls once the device is reset.
 *  - Port primitives: DMA barriers, ordered loads and stores, compare-exchange, event; relax, for
 *    the wait in a reset (virtio.h).
 *
 * Source: VIRTIO 1.2, 2.6 to 2.8.
 *
 *   producer ── submit ── publish ══> device ══> used ── next ── retire ─> reaper
 *   free_slots ^= slot  started ^= submitted                finished ^= slot
 *   in flight: the bits in started and finished differ; free: alike, not submitted, not aborted
 *
 *   A slot's chain: descriptors 0 .. chain - 1, linked once. A request may begin at a later one. A
 *   longer one fills the slot's table, which one more descriptor of the slot points to (2.7.5.3).
 */
#ifndef ASHLAR_VIRTQ_H
#define ASHLAR_VIRTQ_H

#include <ashlar/virtq_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the fault means, for people; "" for ASH_VIRTQ_OK. */
const char *ash_virtq_fault_text(uint32_t fault);

/* Slots that fit into a ring of config->size entries; 0: none, or chain or table is 0 or too
 * large. config->slots is not looked at. */
uint32_t ash_virtq_slots_max(const struct ash_virtq_config *config) ASH_MUST_CHECK;

/* Bytes of the driver's own storage, and of the memory that is the device's too; 0 for an invalid
 * config. Either format fits. */
size_t ash_virtq_storage_size(const struct ash_virtq_config *config) ASH_MUST_CHECK;
size_t ash_virtq_dma_size(const struct ash_virtq_config *config) ASH_MUST_CHECK;

/*
 * Builds an empty, stopped queue; ash_virtq_restart starts it. storage is aligned to
 * ASH_VIRTQ_STORAGE_ALIGN. -ASH_EINVAL: config, alignment, or an address beyond 2^64;
 * -ASH_ENOMEM: storage or DMA memory too small.
 */
int ash_virtq_init(struct ash_virtq *queue, const struct ash_virtq_config *config, void *storage,
                   size_t storage_bytes, const struct ash_virtq_dma *dma) ASH_MUST_CHECK;

/* Where the device's three areas lie: the Descriptor Area, the Driver Area and the Device Area of
 * 2.6. They differ with the format. */
struct ash_virtq_area ash_virtq_desc_area(const struct ash_virtq *queue);
struct ash_virtq_area ash_virtq_driver_area(const struct ash_virtq *queue);
struct ash_virtq_area ash_virtq_device_area(const struct ash_virtq *queue);

/* Latches a fault that the queue's owner found; the first one stays. Any context. */
void ash_virtq_break(struct ash_virtq *queue, enum ash_virtq_fault fault);

/* As if broken, but planned: no event, and it hides an earlier fault. Until ash_virtq_restart. */
void ash_virtq_stop(struct ash_virtq *queue);

/*
 * An empty ring, disarmed, for a device that was reset just now; never before it was. features: the
 * ASH_VIRTQ_ bits. What was queued or in flight is aborted: ash_virtq_next_aborted hands it out.
 * All descriptors are cleared: describe what is static again.
 */
void ash_virtq_restart(struct ash_virtq *queue, uint32_t features);

/* Descriptor `index` of the slot's chain, 0..chain-1; its link to the next one is kept. */
static inline void ash_virtq_describe(struct ash_virtq *queue, uint32_t slot, uint32_t index,
                                      ash_paddr_t address, uint32_t len, bool device_writes);

/* Entry `index` of the slot's table, which will have `count` of them, at most config.table. */
static inline void ash_virtq_describe_table(struct ash_virtq *queue, uint32_t slot, uint32_t index,
                                            uint32_t count, ash_paddr_t address, uint32_t len,
                                            bool device_writes);

/* A free slot, or -ASH_EAGAIN; the same one again until it is submitted. O(slots / 64). */
static inline int ash_virtq_free_slot(struct ash_virtq *queue) ASH_MUST_CHECK;

/*
 * Queues the slot that ash_virtq_free_slot returned, described: its chain from descriptor `first`
 * on, or the first `count` entries of its table (INDIRECT_DESC must have been accepted).
 * writable_bytes: what the device may write in all. Returns the token: slot and generation, not 0
 * unless slot 0 is used for the 65,536th time.
 */
static inline uint32_t ash_virtq_submit(struct ash_virtq *queue, uint32_t slot, uint32_t first,
                                        uint32_t writable_bytes, void *cookie);
static inline uint32_t ash_virtq_submit_table(struct ash_virtq *queue, uint32_t slot,
                                              uint32_t count, uint32_t writable_bytes,
                                              void *cookie);

/* Shows what was submitted to the device, at once (2.7.13.3, 2.8.21). True: notify it now. */
static inline bool ash_virtq_publish(struct ash_virtq *queue) ASH_MUST_CHECK;

/*
 * The next completion: its slot, and in *len what the device says it wrote; -ASH_EAGAIN: none yet;
 * -ASH_EIO: the queue is broken. The same one again until it is retired: read what the slot's owner
 * keeps in device-writable memory before that.
 */
static inline int ash_virtq_next(struct ash_virtq *queue, uint32_t *len) ASH_MUST_CHECK;

/* Consumes what ash_virtq_next returned, and frees the slot. */
static inline void ash_virtq_retire(struct ash_virtq *queue, uint32_t slot);

/* A slot that a restart aborted, or -ASH_EAGAIN. The same one again until it is retired by
 * ash_virtq_retire_aborted, or queued again, under its old token, by one of the other two (alone;
 * after it was described). */
int ash_virtq_next_aborted(const struct ash_virtq *queue) ASH_MUST_CHECK;
void ash_virtq_retire_aborted(struct ash_virtq *queue, uint32_t slot);
void ash_virtq_resubmit(struct ash_virtq *queue, uint32_t slot, uint32_t first);
void ash_virtq_resubmit_table(struct ash_virtq *queue, uint32_t slot, uint32_t count);

/*
 * Asks for an interrupt at the completions-th completion from now (limited to those in flight, at
 * least 1). False: something is there already, or the queue is broken: do not sleep (2.7.7.1,
 * 2.8.10). Without EVENT_IDX it is the next completion. In a packed ring whose requests in flight
 * take different numbers of entries it may be a later one than asked for, but for 1.
 */
bool ash_virtq_arm(struct ash_virtq *queue, uint32_t completions) ASH_MUST_CHECK;
void ash_virtq_disarm(struct ash_virtq *queue);

/* Is this token's request queued, in flight or aborted? And how many are? Alone. */
bool ash_virtq_pending(const struct ash_virtq *queue, uint32_t token);
uint32_t ash_virtq_in_flight(const struct ash_virtq *queue);

/* The first broken invariant by its number in DESIGN.md, or NULL. Alone; O(size). */
const char *ash_virtq_check(const struct ash_virtq *queue) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#include <ashlar/virtq_producer.h>
#include <ashlar/virtq_reaper.h>

#endif
