/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.c: block requests as slots of three descriptors: header (device reads), data, status
 * (device writes). Header and status have a line of their own per slot, described once at init; a
 * request fills in the header and the data descriptor. VIRTIO 1.2, 5.2.
 */
#include <ashlar/checked.h>
#include <ashlar/virtio_blk.h>

enum { QUEUE = 0, HEADER = 0, DATA = 1, STATUS = 2, CHAIN = 3 };

/* 5.2.6: request types; header; status byte. */
enum { TYPE_IN = 0 };
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2, STATUS_NOT_WRITTEN = 0xff };

/* 5.2.4: offsets in the configuration space. */
enum { CONFIG_CAPACITY = 0, CONFIG_SIZE_MAX = 8, CONFIG_SEG_MAX = 12, CONFIG_BLK_SIZE = 20 };

enum { BLOCK_SIZE_MAX = 1 << 20 };

/* The largest device whose size in bytes fits 63 bits, so that offsets may be signed. */
static const uint64_t capacity_sectors_max = (uint64_t)INT64_MAX / ASH_VIRTIO_BLK_SECTOR_SIZE;

struct ash__virtio_blk_line {
    uint32_t type; /* header, written for each request */
    uint32_t reserved;
    uint64_t sector;
    uint8_t status; /* written by the device, read once */
    uint8_t pad[47];
};
_Static_assert(sizeof(struct ash__virtio_blk_line) == 64, "a line per slot");
_Static_assert(offsetof(struct ash__virtio_blk_line, sector) == 8, "virtio_blk_req, 5.2.6");
_Static_assert(offsetof(struct ash__virtio_blk_line, status) == 16, "virtio_blk_req, 5.2.6");

enum { HEADER_BYTES = offsetof(struct ash__virtio_blk_line, status), STATUS_BYTES = 1 };

static int fail(struct ash_virtio_blk *blk, int error, const char *reason) {
    blk->reason = reason;
    return error;
}

/* Sizes */

/* Defaults filled in; false if it is invalid. */
static bool sizes_of(const struct ash_virtio_blk_config *config, uint32_t *queue_size,
                     uint32_t *in_flight_max) {
    uint32_t size = config->queue_size, slots = config->in_flight_max;
    size = size == 0 ? ASH_VIRTIO_BLK_QUEUE_SIZE_DEFAULT : size;
    if (slots == 0)
        slots = (uint32_t)ash_min_u64(ASH_VIRTIO_BLK_IN_FLIGHT_MAX_DEFAULT, size / CHAIN);
    *queue_size = size;
    *in_flight_max = slots;
    return ash_virtq_storage_size(size, CHAIN, slots) != 0;
}

/* The lines come first, the queue behind them: both parts are multiples of the alignment. */
size_t ash_virtio_blk_storage_size(const struct ash_virtio_blk_config *config) {
    uint32_t queue_size, slots;
    if (!sizes_of(config, &queue_size, &slots))
        return 0;
    return sizeof(struct ash__virtio_blk_line) * slots +
           ash_virtq_storage_size(queue_size, CHAIN, slots);
}

/* Taking over the device */

static uint32_t pow2_at_most(uint32_t x) {
    return x == 0 ? 0 : UINT32_C(1) << ash_log2_floor(x);
}

/* 5.2.4, 5.2.5.2: what the device says about itself, refused where it makes no sense. */
static int read_config(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    uint32_t capacity[2], size_max = ASH_VIRTIO_BLK_REQUEST_BYTES_MAX, seg_max = 1;
    uint32_t block_size = ASH_VIRTIO_BLK_SECTOR_SIZE;
    int error = ash_virtio_config_read(transport, CONFIG_CAPACITY, capacity, 2);
    if (error == 0 && (blk->features & ASH_VIRTIO_BLK_F_SIZE_MAX) != 0)
        error = ash_virtio_config_read(transport, CONFIG_SIZE_MAX, &size_max, 1);
    if (error == 0 && (blk->features & ASH_VIRTIO_BLK_F_SEG_MAX) != 0)
        error = ash_virtio_config_read(transport, CONFIG_SEG_MAX, &seg_max, 1);
    if (error == 0 && (blk->features & ASH_VIRTIO_BLK_F_BLK_SIZE) != 0)
        error = ash_virtio_config_read(transport, CONFIG_BLK_SIZE, &block_size, 1);
    if (error != 0)
        return fail(blk, error, transport->reason);
    blk->capacity_sectors = (uint64_t)capacity[1] << 32 | capacity[0];
    if (blk->capacity_sectors > capacity_sectors_max)
        return fail(blk, -ASH_EBADMSG, "the device claims to have 2^63 bytes or more");
    if (!ash_is_pow2(block_size) || block_size < ASH_VIRTIO_BLK_SECTOR_SIZE ||
        block_size > BLOCK_SIZE_MAX)
        return fail(blk, -ASH_EBADMSG,
                    "the device claims a block size that is no power of two in 512..1048576");
    if (seg_max == 0 || size_max < block_size)
        return fail(blk, -ASH_EBADMSG, "the device claims that no block fits into a request");
    blk->block_size_bytes = block_size;
    size_max = (uint32_t)ash_min_u64(size_max, ASH_VIRTIO_BLK_REQUEST_BYTES_MAX);
    blk->request_bytes_max = (uint32_t)ash_align_down(size_max, block_size);
    blk->read_only = (blk->features & ASH_VIRTIO_BLK_F_RO) != 0;
    return 0;
}

/* The largest queue that both sides take, and as many slots as fit into it. */
static int size_queue(struct ash_virtio_blk *blk, uint32_t *queue_size, uint32_t *slots) {
    struct ash_virtio_transport *transport = blk->config.transport;
    sizes_of(&blk->config, queue_size, slots);
    uint32_t device_max = transport->ops->queue_size_max(transport, QUEUE);
    if (device_max == 0)
        return fail(blk, -ASH_ENXIO, "the device has no request queue");
    *queue_size = (uint32_t)ash_min_u64(*queue_size, pow2_at_most(device_max));
    *slots = (uint32_t)ash_min_u64(*slots, *queue_size / CHAIN);
    if (*slots == 0)
        return fail(blk, -ASH_ENXIO, "the device's request queue has fewer than 4 entries");
    return 0;
}

static ash_paddr_t address_of(const struct ash_virtio_blk *blk, const void *pointer, size_t bytes) {
    return blk->config.dma_address(blk->config.context, pointer, bytes);
}

/* What never changes in a slot's chain. */
static void describe_lines(struct ash_virtio_blk *blk, ash_paddr_t lines) {
    for (uint32_t slot = 0; slot < blk->queue.slot_count; slot++) {
        ash_paddr_t line = lines + slot * sizeof(struct ash__virtio_blk_line);
        ash_virtq_describe(&blk->queue, slot, HEADER, line, HEADER_BYTES, false);
        ash_virtq_describe(&blk->queue, slot, STATUS, line + HEADER_BYTES, STATUS_BYTES, true);
    }
}

/* Names the ring to the device. The queue is empty, but for what was aborted. */
static int set_up_queue(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    struct ash_virtq *queue = &blk->queue;
    struct ash_virtq_area desc = ash_virtq_desc_area(queue);
    struct ash_virtq_area avail = ash_virtq_avail_area(queue);
    struct ash_virtq_area used = ash_virtq_used_area(queue);
    ash_paddr_t lines =
        address_of(blk, blk->lines, sizeof(struct ash__virtio_blk_line) * queue->slot_count);
    ash_paddr_t desc_at = address_of(blk, desc.pointer, desc.bytes);
    ash_paddr_t avail_at = address_of(blk, avail.pointer, avail.bytes);
    ash_paddr_t used_at = address_of(blk, used.pointer, used.bytes);
    if (lines == ASH_VIRTIO_NO_ADDRESS || desc_at == ASH_VIRTIO_NO_ADDRESS ||
        avail_at == ASH_VIRTIO_NO_ADDRESS || used_at == ASH_VIRTIO_NO_ADDRESS)
        return fail(blk, -ASH_EFAULT, "the device cannot reach the storage of the queue");
    describe_lines(blk, lines);
    int error =
        transport->ops->queue_setup(transport, QUEUE, queue->size, desc_at, avail_at, used_at);
    return error == 0 ? 0 : fail(blk, error, transport->reason);
}

/* After ash_virtio_begin. FLUSH is taken whenever it is offered: a device whose driver accepts
 * neither FLUSH nor CONFIG_WCE must work write-through (5.2.5.2), at a third of the speed. */
static int negotiate(struct ash_virtio_blk *blk) {
    const uint64_t wanted = ASH_VIRTIO_F_EVENT_IDX | ASH_VIRTIO_F_ORDER_PLATFORM |
                            ASH_VIRTIO_BLK_F_SIZE_MAX | ASH_VIRTIO_BLK_F_SEG_MAX |
                            ASH_VIRTIO_BLK_F_RO | ASH_VIRTIO_BLK_F_BLK_SIZE |
                            ASH_VIRTIO_BLK_F_FLUSH;
    struct ash_virtio_transport *transport = blk->config.transport;
    int error = ash_virtio_negotiate(transport, 0, wanted, &blk->features);
    return error == 0 ? read_config(blk) : fail(blk, error, transport->reason);
}

/* Device state after a failure of set-up: told, then reset; it holds nothing of ours. */
static int abandon(struct ash_virtio_blk *blk, int error) {
    struct ash_virtio_transport *transport = blk->config.transport;
    ash_virtio_give_up(transport);
    return ash_virtio_reset(transport) == 0 ? error : fail(blk, -ASH_ETIMEDOUT, transport->reason);
}

static int start(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    int error = ash_virtio_ready(transport);
    if (error != 0)
        return fail(blk, error, transport->reason);
    blk->reason = "";
    return 0;
}

/* Storage and the transport's kind: what can be refused before the device is touched. */
static int check_arguments(struct ash_virtio_blk *blk, const void *storage, size_t storage_bytes) {
    size_t wanted = ash_virtio_blk_storage_size(&blk->config);
    if (wanted == 0 || blk->config.transport == NULL || blk->config.dma_address == NULL)
        return fail(blk, -ASH_EINVAL,
                    "bad configuration: no transport or dma_address, queue_size no power of two in "
                    "4..1024, or in_flight_max above a third of it");
    if (storage == NULL || !ash_is_aligned((uintptr_t)storage, ASH_VIRTIO_BLK_STORAGE_ALIGN))
        return fail(blk, -ASH_EINVAL, "the storage is missing or not aligned to 64 bytes");
    if (storage_bytes < wanted)
        return fail(blk, -ASH_ENOMEM, "the storage is smaller than the configuration needs");
    if (blk->config.transport->device_id != ASH_VIRTIO_ID_BLOCK)
        return fail(blk, -ASH_ENODEV, "not a block device");
    return 0;
}

/* Features, configuration and an empty queue of the size that results. */
static int set_up_first(struct ash_virtio_blk *blk, void *storage, size_t storage_bytes) {
    uint32_t queue_size, slots;
    int error = negotiate(blk);
    if (error == 0)
        error = size_queue(blk, &queue_size, &slots);
    if (error != 0)
        return error;
    size_t lines_bytes = sizeof(struct ash__virtio_blk_line) * slots;
    blk->lines = storage;
    __builtin_memset(storage, 0, lines_bytes);
    error = ash_virtq_init(&blk->queue, queue_size, CHAIN, slots, (char *)storage + lines_bytes,
                           storage_bytes - lines_bytes);
    if (error != 0)
        return fail(blk, error, "the queue does not fit into the storage");
    ash_virtq_restart(&blk->queue, (blk->features & ASH_VIRTIO_F_EVENT_IDX) != 0);
    blk->queue_size = queue_size;
    blk->in_flight_max = slots;
    return set_up_queue(blk);
}

int ash_virtio_blk_init(struct ash_virtio_blk *blk, const struct ash_virtio_blk_config *config,
                        void *storage, size_t storage_bytes) {
    *blk = (struct ash_virtio_blk){.config = *config, .reason = ""};
    ash_virtq_stop(&blk->queue);
    int error = check_arguments(blk, storage, storage_bytes);
    if (error != 0)
        return error;
    error = ash_virtio_begin(config->transport);
    if (error != 0)
        return fail(blk, error, config->transport->reason);
    error = set_up_first(blk, storage, storage_bytes);
    if (error == 0)
        error = start(blk);
    if (error == 0)
        return 0;
    ash_virtq_stop(&blk->queue);
    return abandon(blk, error);
}

/* Features and configuration again, for the queue that is there. */
static int set_up_again(struct ash_virtio_blk *blk) {
    uint32_t queue_size, slots;
    int error = negotiate(blk);
    if (error == 0)
        error = size_queue(blk, &queue_size, &slots);
    if (error == 0 && queue_size < blk->queue_size)
        error = fail(blk, -ASH_ENXIO, "the device's request queue has become smaller");
    if (error != 0)
        return error;
    ash_virtq_restart(&blk->queue, (blk->features & ASH_VIRTIO_F_EVENT_IDX) != 0);
    error = set_up_queue(blk);
    return error == 0 ? start(blk) : error;
}

/* For a device that was reset and stays so: what was in flight is aborted, nothing new is taken. */
static void stop_reset(struct ash_virtio_blk *blk) {
    ash_virtq_restart(&blk->queue, false);
    ash_virtq_stop(&blk->queue);
}

int ash_virtio_blk_reset(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    if (blk->queue.size == 0)
        return fail(blk, -ASH_EINVAL, "the device was never taken over");
    ash_virtq_stop(&blk->queue);
    int error = ash_virtio_begin(transport);
    if (error != 0)
        return fail(blk, error, transport->reason);
    /* The device holds nothing any more: from here on the tokens in flight may be given back. */
    error = set_up_again(blk);
    if (error == 0)
        return 0;
    stop_reset(blk);
    return abandon(blk, error);
}

int ash_virtio_blk_fini(struct ash_virtio_blk *blk) {
    if (blk->queue.size == 0)
        return fail(blk, -ASH_EINVAL, "the device was never taken over");
    ash_virtq_stop(&blk->queue);
    int error = ash_virtio_reset(blk->config.transport);
    if (error != 0)
        return fail(blk, error, blk->config.transport->reason);
    stop_reset(blk);
    return 0;
}

/* Requests */

static int check_range(const struct ash_virtio_blk *blk, uint64_t sector, const void *buffer,
                       size_t len_bytes) {
    uint64_t block_sectors = blk->block_size_bytes / ASH_VIRTIO_BLK_SECTOR_SIZE;
    if (buffer == NULL || len_bytes == 0 || len_bytes > blk->request_bytes_max ||
        !ash_is_aligned(len_bytes, blk->block_size_bytes) || !ash_is_aligned(sector, block_sectors))
        return -ASH_EINVAL;
    if (!ash_range_fits(sector, len_bytes / ASH_VIRTIO_BLK_SECTOR_SIZE, blk->capacity_sectors))
        return -ASH_ERANGE;
    return 0;
}

/* Any request with one data segment; every type that is to come passes here. */
static int submit(struct ash_virtio_blk *blk, uint32_t type, uint64_t sector, void *buffer,
                  uint32_t len_bytes, void *cookie, uint32_t *token) {
    struct ash_virtq *queue = &blk->queue;
    int slot = ash_virtq_slot(queue);
    if (slot < 0)
        return slot;
    ash_paddr_t address = address_of(blk, buffer, len_bytes);
    if (address == ASH_VIRTIO_NO_ADDRESS)
        return -ASH_EFAULT;
    struct ash__virtio_blk_line *line = &blk->lines[slot];
    line->type = ASH_VIRTQ_LE32(type);
    line->sector = ASH_VIRTQ_LE64(sector);
    line->status = STATUS_NOT_WRITTEN;
    bool device_writes = type == TYPE_IN;
    ash_virtq_describe(queue, (uint32_t)slot, DATA, address, len_bytes, device_writes);
    *token = ash_virtq_submit(queue, (uint32_t)slot, STATUS_BYTES + (device_writes ? len_bytes : 0),
                              cookie);
    blk->counters.requests++;
    blk->counters.bytes += len_bytes;
    return 0;
}

int ash_virtio_blk_read(struct ash_virtio_blk *blk, uint64_t sector, void *buffer, size_t len_bytes,
                        void *cookie, uint32_t *token) {
    if (ASH_UNLIKELY(ash_load_relaxed(&blk->queue.fault) != ASH_VIRTQ_OK))
        return -ASH_EIO;
    int error = check_range(blk, sector, buffer, len_bytes);
    if (error != 0)
        return error;
    return submit(blk, TYPE_IN, sector, buffer, (uint32_t)len_bytes, cookie, token);
}

void ash_virtio_blk_kick(struct ash_virtio_blk *blk) {
    if (!ash_virtq_publish(&blk->queue))
        return;
    blk->counters.kicks++;
    blk->config.transport->ops->notify(blk->config.transport, QUEUE);
}

/* Completions */

/* What the status byte says, or 1 for one without meaning. A success whose used len does not reach
 * the status byte is none: beyond used len nothing counts as written (2.7.8.2). */
static int status_of(const struct ash_virtq *queue, uint32_t slot, uint8_t status, uint32_t len) {
    switch (status) {
    case STATUS_OK:
        return len == queue->slots[slot].writable_bytes ? 0 : -ASH_EIO;
    case STATUS_IOERR:
        return -ASH_EIO;
    case STATUS_UNSUPP:
        return -ASH_ENOTSUP;
    default:
        return 1;
    }
}

/* One completion into *done, its slot freed; false: none, or the queue is broken. */
static bool reap_one(struct ash_virtio_blk *blk, struct ash_virtio_blk_done *done) {
    struct ash_virtq *queue = &blk->queue;
    uint32_t len;
    int next = ash_virtq_next(queue, &len);
    if (next < 0)
        return false;
    uint32_t slot = (uint32_t)next;
    int status = status_of(queue, slot, ash_load_relaxed(&blk->lines[slot].status), len);
    if (ASH_UNLIKELY(status > 0)) {
        /* Not retired: its buffer is the device's until a reset. */
        ash_virtq_break(queue, ASH_VIRTQ_FAULT_STATUS);
        return false;
    }
    done->token = ash_virtq_token(queue, slot);
    done->cookie = queue->slots[slot].cookie;
    done->status = status;
    done->bytes = status == 0 ? len - STATUS_BYTES : 0;
    blk->counters.completions++;
    blk->counters.errors += status != 0;
    ash_virtq_retire(queue, slot);
    return true;
}

static bool reap_aborted(struct ash_virtio_blk *blk, struct ash_virtio_blk_done *done) {
    int slot = ash_virtq_next_aborted(&blk->queue);
    if (ASH_LIKELY(slot < 0))
        return false;
    *done = (struct ash_virtio_blk_done){
        .token = ash_virtq_token(&blk->queue, (uint32_t)slot),
        .status = -ASH_EIO,
        .cookie = blk->queue.slots[slot].cookie,
    };
    blk->counters.aborted++;
    ash_virtq_retire(&blk->queue, (uint32_t)slot);
    return true;
}

int ash_virtio_blk_reap(struct ash_virtio_blk *blk, struct ash_virtio_blk_done *done,
                        uint32_t max) {
    uint32_t count = 0;
    while (count < max && (reap_aborted(blk, &done[count]) || reap_one(blk, &done[count])))
        count++;
    if (count == 0 && ash_load_relaxed(&blk->queue.fault) != ASH_VIRTQ_OK)
        return -ASH_EIO;
    return (int)count;
}

bool ash_virtio_blk_arm(struct ash_virtio_blk *blk, uint32_t completions) {
    return ash_virtq_arm(&blk->queue, completions);
}

void ash_virtio_blk_disarm(struct ash_virtio_blk *blk) {
    ash_virtq_disarm(&blk->queue);
}

/* Interrupts and health */

bool ash_virtio_blk_interrupt(struct ash_virtio_blk *blk) {
    struct ash_virtio_transport *transport = blk->config.transport;
    uint32_t pending = transport->ops->interrupt_ack(transport);
    if (pending == 0)
        return false;
    /* Acknowledged before the used ring is read: a completion after that raises it again. */
    ash_port_dma_mb();
    blk->counters.interrupts++;
    /* A device that needs a reset says so by this interrupt, 2.1.2. */
    if ((pending & ASH_VIRTIO_INTERRUPT_CONFIG) != 0 && ash_virtio_status_check(transport) != 0)
        ash_virtq_break(&blk->queue, ASH_VIRTQ_FAULT_NEEDS_RESET);
    return true;
}

int ash_virtio_blk_status_check(struct ash_virtio_blk *blk) {
    int error = ash_virtio_status_check(blk->config.transport);
    if (error != 0)
        ash_virtq_break(&blk->queue, ASH_VIRTQ_FAULT_NEEDS_RESET);
    return error;
}

/* Looking at it */

bool ash_virtio_blk_pending(const struct ash_virtio_blk *blk, uint32_t token) {
    return ash_virtq_pending(&blk->queue, token);
}

uint32_t ash_virtio_blk_in_flight(const struct ash_virtio_blk *blk) {
    return ash_virtq_in_flight(&blk->queue);
}

const char *ash_virtio_blk_reason(const struct ash_virtio_blk *blk) {
    if (blk->reason[0] != '\0')
        return blk->reason;
    return ash_virtq_fault_text(ash_load_relaxed(&blk->queue.fault));
}

/* I6: header and status are described as they were at init. I7: the counters add up. */
const char *ash_virtio_blk_check(const struct ash_virtio_blk *blk) {
    const char *broken = ash_virtq_check(&blk->queue);
    if (broken != NULL)
        return broken;
    ash_paddr_t line = address_of(blk, blk->lines, sizeof(*blk->lines));
    for (uint32_t slot = 0; slot < blk->in_flight_max; slot++, line += sizeof(*blk->lines)) {
        const struct ash_virtq_desc *desc = &blk->queue.desc[slot * CHAIN];
        if (desc[HEADER].address != ASH_VIRTQ_LE64(line) ||
            desc[HEADER].len != ASH_VIRTQ_LE32((uint32_t)HEADER_BYTES) ||
            desc[STATUS].address != ASH_VIRTQ_LE64(line + HEADER_BYTES) ||
            desc[STATUS].len != ASH_VIRTQ_LE32((uint32_t)STATUS_BYTES))
            return "I6: a header or status descriptor was overwritten";
    }
    const struct ash_virtio_blk_counters *counters = &blk->counters;
    if (counters->requests !=
        counters->completions + counters->aborted + ash_virtio_blk_in_flight(blk))
        return "I7: requests are not completions, aborted and in flight together";
    return NULL;
}
