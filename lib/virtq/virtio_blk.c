/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.c: the way of a request that is nearly every one: a read or write of one segment, and
 * its completion, as it has to be. What is asked of others, and a completion that is anything else,
 * is told apart elsewhere. VIRTIO 1.2, 5.2.6.
 */
#include "virtio_blk_internal.h"

/* What is beside this pointer is reached from it: the compiler does not see how it was made. */
#define OPAQUE(value) __asm__ volatile("" : "+r"(value))

/* 5.2.6 */
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2 };

/* Requests */

/* What a plain request may be, read once for a batch. */
struct limits {
    uint64_t capacity, address_mask;
    uint32_t op_max, bytes_max, block_mask;
};

/* Addresses and sectors in the upper half are for others to judge: a plain one overflows nowhere.
 */
static inline struct limits limits_of(const struct ash_virtio_blk *blk) {
    struct limits limits = {ash_load_relaxed(&blk->capacity_sectors),
                            blk->align_mask | UINT64_C(1) << 63, blk->plain_op_max,
                            blk->segment_bytes_max, blk->block_mask};
    return limits;
}

/* Reading or writing one segment that is in order: nearly all that is ever asked for. Few branches.
 */
static inline bool is_plain(const struct limits *limits,
                            const struct ash_virtio_blk_request *request) {
    if ((request->segment_count != 1) | ((uint32_t)request->op > limits->op_max) |
        (request->buffer != NULL))
        return false;
    uint64_t sector = request->sector;
    uint32_t len = request->segments->len_bytes;
    /* The sector's upper bits come in where those of a block's offset are. */
    uint64_t odd_bits = ((len | sector << 9 | sector >> 55) & limits->block_mask) |
                        (request->segments->address & limits->address_mask);
    return (odd_bits == 0) & (len - 1 < limits->bytes_max) &
           (sector + len / ASH_VIRTIO_BLK_SECTOR_SIZE <= limits->capacity);
}

/* Queues plain requests, while they are, and while there are slots; how many. */
static inline __attribute__((always_inline)) uint32_t submit_plain(
    struct ash_virtio_blk_queue *queue, const struct ash_virtio_blk_request *const *requests,
    uint32_t count, uint32_t *tokens, bool packed) {
    struct ash_virtq *ring = &queue->ring;
    if (ASH_UNLIKELY(!ash__virtq_has_free(ring)))
        return 0;
    struct limits limits = limits_of(queue->blk);
    struct ash__virtq_batch batch = ash__virtq_batch_begin(ring);
    struct ash_virtq_slot *const slots = ring->slots;
    struct ash_virtq_desc *const chains = ring->chains;
    struct ash__virtio_blk_line *const lines = queue->lines;
    uint16_t *const avail = ring->avail_ring;
    uint32_t mask = ring->mask, left = count, writes = 0;
    uint64_t bytes = 0;
    do {
        const struct ash_virtio_blk_request *request = *requests;
        if (ASH_UNLIKELY(!is_plain(&limits, request)))
            break;
        uint64_t sector = request->sector, address = request->segments->address;
        uint64_t op = (uint32_t)request->op, len = request->segments->len_bytes;
        size_t slot = batch.free_base + (uint32_t)__builtin_ctzll(batch.free_slots);
        OPAQUE(slot);
        OPAQUE(op);
        struct ash_virtq_slot *own = &slots[slot];
        struct ash__virtio_blk_line *line = &lines[slot];
        own->owner[DEADLINE] = request->deadline_ns;
        own->owner[SECTOR] = sector;
        own->owner[WHERE] = address;
        own->owner[WHAT] = len | UINT64_C(1) << COUNT_AT | op << OP_AT;
        line->type = ASH_VIRTQ_LE64(op);
        line->sector = ASH_VIRTQ_LE64(sector);
        line->status = NOT_WRITTEN;
        /* READ is 0 and WRITE 1. */
        uint32_t data_flags =
            (ASH_VIRTQ_DESC_NEXT | ASH_VIRTQ_DESC_WRITE) - ASH_VIRTQ_DESC_WRITE * (uint32_t)op;
        struct ash_virtq_desc *chain = &chains[slot << CHAIN_SHIFT];
        OPAQUE(chain);
        ash__virtq_set(&chain[DATA], address, (uint32_t)len, data_flags);
        uint32_t id = (uint32_t)slot;
        if (packed) {
            own->entries = CHAIN;
            ash__virtq_put(ring, id, chain, CHAIN);
        } else {
            id <<= CHAIN_SHIFT;
            avail[batch.queued & mask] = ASH_VIRTQ_LE16((uint16_t)id);
        }
        *tokens++ = ash__virtq_batch_add(&batch, own, id, STATUS_BYTES + (uint32_t)(len & (op - 1)),
                                         request->cookie);
        bytes += len;
        writes += (uint32_t)op;
        requests++;
    } while (--left != 0 && batch.free_slots != 0);
    count -= left;
    ash__virtq_batch_end(ring, &batch);
    queue->submitted.requests[ASH_VIRTIO_BLK_READ] += count - writes;
    queue->submitted.requests[ASH_VIRTIO_BLK_WRITE] += writes;
    queue->submitted.bytes += bytes;
    return count;
}

__attribute__((noinline)) static uint32_t submit_plain_split(
    struct ash_virtio_blk_queue *queue, const struct ash_virtio_blk_request *const *requests,
    uint32_t count, uint32_t *tokens) {
    return submit_plain(queue, requests, count, tokens, false);
}

__attribute__((noinline)) static uint32_t submit_plain_packed(
    struct ash_virtio_blk_queue *queue, const struct ash_virtio_blk_request *const *requests,
    uint32_t count, uint32_t *tokens) {
    return submit_plain(queue, requests, count, tokens, true);
}

__attribute__((noinline)) static int submit_packed(struct ash_virtio_blk_queue *queue,
                                                   const struct ash_virtio_blk_request *request,
                                                   uint32_t *token) {
    if (submit_plain(queue, &request, 1, token, true) != 0)
        return 0;
    return ash__virtio_blk_submit_any(queue, request, token);
}

int ash_virtio_blk_submit(struct ash_virtio_blk_queue *queue,
                          const struct ash_virtio_blk_request *request, uint32_t *token) {
    if (ASH_UNLIKELY(ash_load_relaxed(&queue->ring.fault) != ASH_VIRTQ_OK))
        return -ASH_EIO;
    if (queue->ring.shape.packed)
        return submit_packed(queue, request, token);
    if (ASH_LIKELY(submit_plain(queue, &request, 1, token, false) != 0))
        return 0;
    return ash__virtio_blk_submit_any(queue, request, token);
}

int ash_virtio_blk_submit_many(struct ash_virtio_blk_queue *queue,
                               const struct ash_virtio_blk_request *const *requests, uint32_t count,
                               uint32_t *tokens) {
    if (count == 1) { /* nothing is worth keeping in registers */
        int error = ash_virtio_blk_submit(queue, *requests, tokens);
        return error != 0 ? error : 1;
    }
    if (ASH_UNLIKELY(ash_load_relaxed(&queue->ring.fault) != ASH_VIRTQ_OK))
        return -ASH_EIO;
    for (uint32_t done = 0; done != count;) {
        if (requests[done]->segment_count == 1)
            done += queue->ring.shape.packed
                        ? submit_plain_packed(queue, requests + done, count - done, tokens + done)
                        : submit_plain_split(queue, requests + done, count - done, tokens + done);
        if (ASH_LIKELY(done == count))
            break;
        int error = ash__virtio_blk_submit_any(queue, requests[done], &tokens[done]);
        if (error != 0)
            return done != 0 ? (int)done : error;
        done++;
    }
    return (int)count;
}

void ash_virtio_blk_kick(struct ash_virtio_blk_queue *queue) {
    if (!ash_virtq_publish(&queue->ring))
        return;
    struct ash_virtio_transport *transport = queue->blk->config.transport;
    queue->submitted.kicks++;
    transport->ops->notify(transport, queue->index);
}

/* Completions */

/*
 * What the status byte says, or 1 for one without meaning. Data that the device does not claim to
 * have written is not there (2.7.8.2); the status byte itself was not NOT_WRITTEN.
 */
static int status_of(uint8_t status, uint32_t len, uint32_t writable) {
    switch (status) {
    case STATUS_OK:
        return len == writable || writable == STATUS_BYTES ? 0 : -ASH_EIO;
    case STATUS_IOERR:
        return -ASH_EIO;
    case STATUS_UNSUPP:
        return -ASH_ENOTSUP;
    default:
        return 1;
    }
}

static void give_back(struct ash_virtio_blk_queue *queue, uint32_t slot, int status, uint32_t bytes,
                      struct ash_virtio_blk_done *done) {
    struct ash_dma_buffer *buffer = buffer_of(&queue->ring.slots[slot]);
    done->cookie = queue->ring.slots[slot].cookie;
    done->token = ash_virtq_token(&queue->ring, slot);
    done->status = status;
    done->bytes = bytes;
    if (buffer != NULL)
        ash_dma_buffer_take(buffer);
}

/* One completion, whatever it is, into *done, its slot freed; false: none, or the queue is broken.
 */
static bool reap_one(struct ash_virtio_blk_queue *queue, struct ash_virtio_blk_done *done) {
    uint32_t len = 0;
    int next = ash_virtq_next(&queue->ring, &len);
    if (next < 0)
        return false;
    uint32_t slot = (uint32_t)next, writable = ash__virtq_writable(&queue->ring, slot);
    int status = status_of(ash_load_relaxed(&queue->lines[slot].status), len, writable);
    if (ASH_UNLIKELY(status > 0)) {
        /* Not retired: its memory is the device's until a reset. */
        ash_virtq_break(&queue->ring, ASH_VIRTQ_FAULT_STATUS);
        return false;
    }
    queue->reaped.completions++;
    queue->reaped.errors += status != 0;
    give_back(queue, slot, status, status == 0 ? writable - STATUS_BYTES : 0, done);
    ash_virtq_retire(&queue->ring, slot);
    return true;
}

/* Those that are at hand in a split ring, while each is as expected and the slots are of one word
 * of 64; how many. Of another one none is due, or its entry differs. */
static inline uint32_t reap_expected(struct ash_virtio_blk_queue *queue,
                                     struct ash_virtio_blk_done *done, uint32_t max) {
    struct ash_virtq *ring = &queue->ring;
    uint16_t next = ring->used_next;
    uint32_t ready = (uint16_t)(ring->used_seen - next), at = next & ring->mask, count = 0;
    const struct ash_virtq_used_entry *used = &ring->used_ring[at];
    uint32_t id = ASH_VIRTQ_LE32(ash_load_relaxed(&used->id));
    uint32_t first = id >> CHAIN_SHIFT & ~63u;
    if (ASH_UNLIKELY(first >= ring->slot_count))
        return 0;
    const struct ash_virtq_slot *slots = &ring->slots[first];
    const struct ash__virtio_blk_line *lines = &queue->lines[first];
    OPAQUE(slots);
    OPAQUE(lines);
    uint64_t started = ash_load_acquire(&ring->started[first / 64]);
    uint64_t due = started ^ ring->finished[first / 64];
    ready = ready < max ? ready : max;
    ready = ready < ring->size - at ? ready : ring->size - at;
    while (count < ready) {
        uint32_t slot = id >> CHAIN_SHIFT & 63, len = ASH_VIRTQ_LE32(ash_load_relaxed(&used->len));
        const struct ash_virtq_slot *own = &slots[slot];
        if (ASH_UNLIKELY((due >> slot & 1) == 0 || id != own->id || len != own->writable_bytes ||
                         ash_load_relaxed(&lines[slot].status) != STATUS_OK))
            break;
        due ^= UINT64_C(1) << slot;
        done->cookie = own->cookie;
        done->token = own->token;
        done->status = 0;
        done->bytes = len - STATUS_BYTES;
        done++;
        if (++count == ready)
            break;
        used++;
        id = ASH_VIRTQ_LE32(ash_load_relaxed(&used->id));
    }
    ring->used_next = (uint16_t)(next + count);
    /* Release: what was read of the slots was read before they are free. */
    ash_store_release(&ring->finished[first / 64], started ^ due);
    queue->reaped.completions += count;
    return count;
}

/* The end of a reap with `count` completions: what to return. */
static inline int end_reap(struct ash_virtio_blk_queue *queue, uint32_t count) {
    queue->empty_reaps = 0;
    if (ASH_UNLIKELY(queue->is_armed))
        ash_virtio_blk_disarm(queue);
    return (int)count;
}

/* Any completions, behind `count` that were reaped already. */
__attribute__((noinline)) static int reap_any(struct ash_virtio_blk_queue *queue,
                                              struct ash_virtio_blk_done *done, uint32_t max,
                                              uint32_t count) {
    int slot;
    while (count < max && (slot = ash_virtq_next_aborted(&queue->ring)) >= 0) {
        give_back(queue, (uint32_t)slot, -ASH_EIO, 0, &done[count++]);
        ash_virtq_retire_aborted(&queue->ring, (uint32_t)slot);
        queue->reaped.aborted++;
    }
    while (count < max && reap_one(queue, &done[count]))
        count++;
    if (count == 0)
        return ash_load_relaxed(&queue->ring.fault) != ASH_VIRTQ_OK ? -ASH_EIO : 0;
    return end_reap(queue, count);
}

int ash_virtio_blk_reap(struct ash_virtio_blk_queue *queue, struct ash_virtio_blk_done *done,
                        uint32_t max) {
    struct ash_virtq *ring = &queue->ring;
    if (ASH_UNLIKELY((ring->aborted_count != 0) | ring->shape.packed |
                     (ash_load_relaxed(&ring->fault) != ASH_VIRTQ_OK)))
        return reap_any(queue, done, max, 0);
    if (ring->used_seen == ring->used_next) {
        int error = ash__virtq_look(ring);
        if (ASH_UNLIKELY(error != 0))
            return error == -ASH_EAGAIN ? 0 : ash__virtq_broken(ring, ASH_VIRTQ_FAULT_USED_INDEX);
    }
    uint32_t count = 0, more;
    do
        count += more = reap_expected(queue, done + count, max - count);
    while (ring->used_seen != ring->used_next && more != 0 && count != max);
    if (ASH_UNLIKELY(more == 0))
        return reap_any(queue, done, max, count);
    return end_reap(queue, count);
}

/* Waiting */

int ash_virtio_blk_set_policy(struct ash_virtio_blk_queue *queue, enum ash_virtio_blk_policy policy,
                              uint32_t amount) {
    if ((uint32_t)policy > ASH_VIRTIO_BLK_HYBRID)
        return -ASH_EINVAL;
    queue->policy = policy;
    queue->policy_amount = amount;
    queue->empty_reaps = 0;
    ash_virtio_blk_disarm(queue);
    return 0;
}

static bool arm(struct ash_virtio_blk_queue *queue, uint32_t completions) {
    queue->is_armed = !queue->ring.event_idx;
    return ash_virtq_arm(&queue->ring, completions);
}

bool ash_virtio_blk_may_sleep(struct ash_virtio_blk_queue *queue) {
    switch (queue->policy) {
    case ASH_VIRTIO_BLK_POLL:
        return false;
    case ASH_VIRTIO_BLK_DELAYED:
        return arm(queue, queue->policy_amount != 0 ? queue->policy_amount
                                                    : ash__virtq_shown(&queue->ring) * 3 / 4);
    case ASH_VIRTIO_BLK_HYBRID:
        if (queue->empty_reaps < queue->policy_amount) {
            queue->empty_reaps++;
            return false;
        }
        return arm(queue, 1);
    default:
        return arm(queue, 1);
    }
}

void ash_virtio_blk_disarm(struct ash_virtio_blk_queue *queue) {
    queue->is_armed = false;
    ash_virtq_disarm(&queue->ring);
}

/* Looking at it */

bool ash_virtio_blk_pending(const struct ash_virtio_blk_queue *queue, uint32_t token) {
    return ash_virtq_pending(&queue->ring, token);
}

uint32_t ash_virtio_blk_in_flight(const struct ash_virtio_blk_queue *queue) {
    return ash_virtq_in_flight(&queue->ring);
}
