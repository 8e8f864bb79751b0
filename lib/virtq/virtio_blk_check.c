/* SPDX-License-Identifier: MIT */
/* virtio_blk_check.c: counters, reason, and the checker; I6.. as DESIGN.md numbers them. */
#include "virtio_blk_internal.h"

static uint64_t load(const uint64_t *counter) {
    return ash_load_relaxed(counter);
}

static uint64_t requests_of(const struct ash_virtio_blk_queue *queue) {
    uint64_t sum = 0;
    for (uint32_t op = 0; op < ASH_VIRTIO_BLK_OPS; op++)
        sum += queue->submitted.requests[op];
    return sum;
}

static void add_counters(const struct ash_virtio_blk_queue *queue,
                         struct ash_virtio_blk_counters *counters) {
    for (uint32_t op = 0; op < ASH_VIRTIO_BLK_OPS; op++)
        counters->requests[op] += load(&queue->submitted.requests[op]);
    counters->bytes += load(&queue->submitted.bytes);
    counters->scattered += load(&queue->submitted.scattered);
    counters->kicks += load(&queue->submitted.kicks);
    counters->resubmitted += load(&queue->submitted.resubmitted);
    counters->completions += load(&queue->reaped.completions);
    counters->errors += load(&queue->reaped.errors);
    counters->aborted += load(&queue->reaped.aborted);
}

void ash_virtio_blk_get_counters(const struct ash_virtio_blk *blk,
                                 struct ash_virtio_blk_counters *counters) {
    *counters = (struct ash_virtio_blk_counters){.interrupts = load(&blk->interrupts),
                                                 .resets = load(&blk->resets)};
    for (uint32_t i = 0; i < blk->queue_count; i++)
        add_counters(&blk->queues[i], counters);
}

void ash_virtio_blk_get_queue_counters(const struct ash_virtio_blk_queue *queue,
                                       struct ash_virtio_blk_counters *counters) {
    *counters = (struct ash_virtio_blk_counters){.interrupts = 0};
    add_counters(queue, counters);
}

const char *ash_virtio_blk_reason(const struct ash_virtio_blk *blk) {
    if (blk->reason[0] != '\0')
        return blk->reason;
    for (uint32_t i = 0; i < blk->queue_count; i++) {
        uint32_t fault = ash_load_relaxed(&blk->queues[i].ring.fault);
        if (fault != ASH_VIRTQ_OK)
            return ash_virtq_fault_text(fault);
    }
    return "";
}

/* I6: header and status are described as at set-up; a stopped ring is cleared, so not asked. */
static bool describes_line(const struct ash_virtio_blk_queue *queue, uint32_t slot) {
    const struct ash_virtq_desc *chain = &queue->ring.chains[slot << queue->ring.shape.shift];
    ash_paddr_t line = line_address(queue, slot);
    return chain[HEADER].address == ASH_VIRTQ_LE64(line + HEADER_AT) &&
           chain[HEADER].len == ASH_VIRTQ_LE32((uint32_t)HEADER_BYTES) &&
           chain[STATUS].address == ASH_VIRTQ_LE64(line + STATUS_AT) &&
           chain[STATUS].len == ASH_VIRTQ_LE32((uint32_t)STATUS_BYTES);
}

static const char *check_queue(const struct ash_virtio_blk_queue *queue) {
    const char *broken = ash_virtq_check(&queue->ring);
    if (broken != NULL)
        return broken;
    for (uint32_t slot = 0; slot < queue->ring.slot_count; slot++) {
        if (!describes_line(queue, slot) && ash_load_relaxed(&queue->ring.fault) == ASH_VIRTQ_OK)
            return "I6: a header or status descriptor was overwritten";
        if (count_of(&queue->ring.slots[slot]) > queue->blk->slot_segments)
            return "I8: a request has more segments than its slot";
    }
    if (requests_of(queue) !=
        queue->reaped.completions + queue->reaped.aborted + ash_virtio_blk_in_flight(queue))
        return "I7: requests are not completions, aborted and in flight together";
    return NULL;
}

const char *ash_virtio_blk_check(const struct ash_virtio_blk *blk) {
    for (uint32_t i = 0; i < blk->queue_count; i++) {
        const char *broken = check_queue(&blk->queues[i]);
        if (broken != NULL)
            return broken;
    }
    return NULL;
}
