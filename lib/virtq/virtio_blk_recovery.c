/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk_recovery.c: interrupts, a device that is dead or has changed, and the way back: reset,
 * then each request in flight is failed or queued again. VIRTIO 1.2, 2.1.2, 2.4, 5.2.5.
 */
#include "virtio_blk_internal.h"

/* Interrupts and health */

static void break_all(struct ash_virtio_blk *blk, enum ash_virtq_fault fault) {
    for (uint32_t i = 0; i < blk->queue_count; i++)
        ash_virtq_break(&blk->queues[i].ring, fault);
}

bool ash_virtio_blk_interrupt(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    uint32_t pending = transport->ops->interrupt_ack(transport);
    if (pending == 0)
        return false;
    /* Acknowledged before the used ring is read: a completion after that raises it again. */
    ash_port_dma_mb();
    ash_store_relaxed(&blk->interrupts, blk->interrupts + 1);
    if ((pending & ASH_VIRTIO_INTERRUPT_CONFIG) != 0) {
        ash_store_release(&blk->config_changed, 1u);
        /* A device that needs a reset says so by this interrupt, 2.1.2. That it is not running says
         * nothing: a reset may be under way. */
        if ((transport->ops->status(transport) & ASH_VIRTIO_STATUS_NEEDS_RESET) != 0)
            break_all(blk, ASH_VIRTQ_FAULT_NEEDS_RESET);
    }
    return true;
}

static bool is_late(const struct ash_virtio_blk_queue *queue, ash_ns_t now_ns) {
    for (uint32_t slot = 0; slot < queue->ring.slot_count; slot++) {
        if (!ash__virtq_is_due(&queue->ring, slot))
            continue;
        ash_ns_t deadline_ns = ash_load_relaxed(&queue->ring.slots[slot].owner[DEADLINE]);
        if (deadline_ns != 0 && (int64_t)(now_ns - deadline_ns) >= 0)
            return true;
    }
    return false;
}

static int watch_status(struct ash_virtio_blk *blk) {
    int error = ash_virtio_status_check(blk->config.transport);
    if (error != 0)
        break_all(blk, ASH_VIRTQ_FAULT_NEEDS_RESET);
    return error;
}

static int watch_deadlines(struct ash_virtio_blk_queue *queue, ash_ns_t now_ns) {
    if (!is_late(queue, now_ns))
        return 0;
    break_all(queue->blk, ASH_VIRTQ_FAULT_TIMEOUT);
    return -ASH_ETIMEDOUT;
}

int ash_virtio_blk_watch(struct ash_virtio_blk *blk, ash_ns_t now_ns) {
    for (uint32_t i = 0; i < blk->queue_count; i++) {
        if (ash_load_relaxed(&blk->queues[i].ring.fault) != ASH_VIRTQ_OK)
            return -ASH_EIO;
    }
    int error = watch_status(blk);
    for (uint32_t i = 0; i < blk->queue_count && error == 0; i++)
        error = watch_deadlines(&blk->queues[i], now_ns);
    return error;
}

int ash_virtio_blk_watch_queue(struct ash_virtio_blk_queue *queue, ash_ns_t now_ns) {
    if (ash_load_relaxed(&queue->ring.fault) != ASH_VIRTQ_OK)
        return -ASH_EIO;
    int error = watch_status(queue->blk);
    return error != 0 ? error : watch_deadlines(queue, now_ns);
}

int ash_virtio_blk_refresh(struct ash_virtio_blk *blk, bool *changed) {
    *changed = ash_exchange(&blk->config_changed, 0u) != 0;
    if (!*changed)
        return 0;
    int error = ash__virtio_blk_read_capacity(blk);
    if (error != 0)
        ash_store_relaxed(&blk->config_changed, 1u);
    return error;
}

/* Reset */

/* What was aborted, as it was asked for, under a new deadline. */
static void resubmit_all(struct ash_virtio_blk_queue *queue, ash_ns_t deadline_ns) {
    for (uint32_t slot = 0; slot < queue->ring.slot_count; slot++) {
        if ((queue->ring.aborted[slot / 64] >> (slot & 63) & 1) == 0 ||
            !ash__virtio_blk_resubmit(queue, slot))
            continue;
        queue->ring.slots[slot].owner[DEADLINE] = deadline_ns;
        queue->submitted.resubmitted++;
    }
    ash_virtio_blk_kick(queue);
}

/* For a device that was reset and stays so: what was in flight is aborted, nothing new is taken,
 * and nothing is written any more to what it could see. */
static void stop_reset(struct ash_virtio_blk *blk) {
    for (uint32_t i = 0; i < blk->queue_count; i++) {
        ash_virtq_restart(&blk->queues[i].ring, 0);
        blk->queues[i].is_armed = false;
    }
    ash__virtio_blk_stop(blk);
}

int ash_virtio_blk_reset(struct ash_virtio_blk *blk, enum ash_virtio_blk_after_reset after,
                         ash_ns_t deadline_ns) {
    struct ash_virtio_transport *transport = blk->config.transport;
    if (blk->queue_count == 0)
        return ash__virtio_blk_fail(blk, -ASH_EINVAL, "the device was never taken over");
    ash__virtio_blk_stop(blk);
    blk->resets++;
    int error = ash_virtio_begin(transport);
    if (error != 0)
        return ash__virtio_blk_fail(blk, error, transport->reason);
    /* The device holds nothing any more: from here on the tokens in flight may be given back. What
     * changes of its configuration from now on may come after it was read. */
    ash_store_relaxed(&blk->config_changed, 0u);
    error = ash__virtio_blk_start_again(blk);
    if (error != 0) {
        stop_reset(blk);
        const char *reason = blk->reason;
        (void)ash__virtio_blk_abandon(blk, error); /* fini will tell if it does not stop */
        return ash__virtio_blk_fail(blk, error, reason);
    }
    blk->reason = "";
    for (uint32_t i = 0; after == ASH_VIRTIO_BLK_RESUBMIT && i < blk->queue_count; i++)
        resubmit_all(&blk->queues[i], deadline_ns);
    return 0;
}

int ash_virtio_blk_fini(struct ash_virtio_blk *blk) {
    if (blk->queue_count == 0)
        return ash__virtio_blk_fail(blk, -ASH_EINVAL, "the device was never taken over");
    ash__virtio_blk_stop(blk);
    int error = ash_virtio_reset(blk->config.transport);
    if (error != 0)
        return ash__virtio_blk_fail(blk, error, blk->config.transport->reason);
    stop_reset(blk);
    return 0;
}
