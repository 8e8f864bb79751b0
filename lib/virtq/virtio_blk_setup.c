/* SPDX-License-Identifier: MIT */
/* virtio_blk_setup.c: taking a block device over. VIRTIO 1.2, 3.1 and 5.2.5. */
#include <ashlar/bits.h>

#include "virtio_blk_internal.h"

enum { BLOCK_SIZE_MAX = 1 << 20 };

/* The largest device whose size in bytes fits 63 bits, so that offsets may be signed. */
static const uint64_t capacity_sectors_max = (uint64_t)INT64_MAX / ASH_VIRTIO_BLK_SECTOR_SIZE;

int ash__virtio_blk_fail(struct ash_virtio_blk *blk, int error, const char *reason) {
    blk->reason = reason;
    return error;
}

/* Sizes */

/* Everything that a configuration asks for, defaults filled in. */
struct wish {
    uint32_t queue_size, in_flight_max, segments_max, queue_count, align_bytes;
};

static uint32_t or_default(uint32_t value, uint32_t most, uint32_t value_default) {
    return value != 0 ? value : (uint32_t)ash_min_u64(value_default, most);
}

static struct ash_virtq_config ring_config(uint32_t size, uint32_t slots, uint32_t segments) {
    struct ash_virtq_config config = {size, slots, CHAIN, segments > 1 ? segments + 2 : 0};
    return config;
}

/* False: the configuration is invalid. */
static bool wish_of(const struct ash_virtio_blk_config *config, struct wish *wish) {
    wish->queue_size =
        or_default(config->queue_size, ASH_VIRTQ_SIZE_MAX, ASH_VIRTIO_BLK_QUEUE_SIZE_DEFAULT);
    if (wish->queue_size < CHAIN + 1 || wish->queue_size > ASH_VIRTQ_SIZE_MAX)
        return false;
    wish->segments_max =
        or_default(config->segments_max, wish->queue_size - 2, ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT);
    if (wish->segments_max > wish->queue_size - 2)
        return false;
    wish->in_flight_max = or_default(config->in_flight_max, wish->queue_size / (CHAIN + 1),
                                     ASH_VIRTIO_BLK_IN_FLIGHT_MAX_DEFAULT);
    wish->queue_count = or_default(config->queue_count, 1, 1);
    wish->align_bytes = or_default(config->align_bytes, UINT32_MAX, ASH_VIRTIO_BLK_ALIGN_DEFAULT);
    struct ash_virtq_config ring =
        ring_config(wish->queue_size, wish->in_flight_max, wish->segments_max);
    return ash_virtq_dma_size(&ring) != 0 && wish->queue_count <= ASH_VIRTIO_BLK_QUEUES_MAX &&
           ash_is_pow2(wish->align_bytes) &&
           (config->features_declined & ~ASH_VIRTIO_BLK_DECLINABLE) == 0;
}

static size_t align_line(size_t bytes) {
    return (size_t)ash_align_up(bytes, ASH_VIRTIO_BLK_MEMORY_ALIGN);
}

/* A queue's share of both kinds of memory: no overflow, 64 queues of 256 slots of 1022 segments. */
struct share {
    size_t ring, segments, storage; /* own; storage is the sum */
    size_t ring_dma, lines, dma;    /* the device's too; dma is the sum */
};

static struct share share_of(uint32_t queue_size, uint32_t slots, uint32_t segments) {
    struct ash_virtq_config ring = ring_config(queue_size, slots, segments);
    struct share share = {
        .ring = align_line(ash_virtq_storage_size(&ring)),
        .segments =
            segments > 1 ? align_line(sizeof(struct ash_dma_segment) * segments * slots) : 0,
        .ring_dma = align_line(ash_virtq_dma_size(&ring)),
        .lines = sizeof(struct ash__virtio_blk_line) * slots,
    };
    share.storage = share.ring + share.segments;
    share.dma = share.ring_dma + share.lines;
    return share;
}

static size_t queues_bytes(uint32_t count) {
    return align_line(sizeof(struct ash_virtio_blk_queue) * count);
}

size_t ash_virtio_blk_storage_size(const struct ash_virtio_blk_config *config) {
    struct wish wish = {0};
    if (!wish_of(config, &wish))
        return 0;
    return queues_bytes(wish.queue_count) +
           share_of(wish.queue_size, wish.in_flight_max, wish.segments_max).storage *
               wish.queue_count;
}

size_t ash_virtio_blk_dma_size(const struct ash_virtio_blk_config *config) {
    struct wish wish = {0};
    if (!wish_of(config, &wish))
        return 0;
    return share_of(wish.queue_size, wish.in_flight_max, wish.segments_max).dma * wish.queue_count;
}

/* What the device says about itself, 5.2.4, refused where it makes no sense. */

enum field {
    CAPACITY,
    SEGMENT_BYTES,
    SEG_MAX,
    BLK_SIZE,
    NUM_QUEUES,
    DISCARD_SECTORS,
    DISCARD_SEG,
    DISCARD_ALIGN,
    ZEROES_SECTORS,
    ZEROES_SEG,
    FIELDS
};

/* Without SEG_MAX one segment is all that is promised. */
static const struct ash_virtio_config_field fields[FIELDS] = {
    [CAPACITY] = {0, 8, 0, 0},
    [SEGMENT_BYTES] = {8, 4, ASH_VIRTIO_BLK_F_SIZE_MAX, ASH_VIRTIO_BLK_REQUEST_BYTES_MAX},
    [SEG_MAX] = {12, 4, ASH_VIRTIO_BLK_F_SEG_MAX, 1},
    [BLK_SIZE] = {20, 4, ASH_VIRTIO_BLK_F_BLK_SIZE, ASH_VIRTIO_BLK_SECTOR_SIZE},
    [NUM_QUEUES] = {34, 2, ASH_VIRTIO_BLK_F_MQ, 1},
    [DISCARD_SECTORS] = {36, 4, ASH_VIRTIO_BLK_F_DISCARD, 0},
    [DISCARD_SEG] = {40, 4, ASH_VIRTIO_BLK_F_DISCARD, 0},
    [DISCARD_ALIGN] = {44, 4, ASH_VIRTIO_BLK_F_DISCARD, 0},
    [ZEROES_SECTORS] = {48, 4, ASH_VIRTIO_BLK_F_WRITE_ZEROES, 0},
    [ZEROES_SEG] = {52, 4, ASH_VIRTIO_BLK_F_WRITE_ZEROES, 0},
};

static const char *nonsense(const uint64_t *value) {
    if (value[CAPACITY] > capacity_sectors_max)
        return "the device claims to have 2^63 bytes or more";
    if (!ash_is_pow2(value[BLK_SIZE]) || value[BLK_SIZE] < ASH_VIRTIO_BLK_SECTOR_SIZE ||
        value[BLK_SIZE] > BLOCK_SIZE_MAX)
        return "the device claims a block size that is no power of two in 512..1048576";
    if (value[SEG_MAX] == 0 || value[SEGMENT_BYTES] < value[BLK_SIZE])
        return "the device claims that no block fits into a request";
    if (value[NUM_QUEUES] == 0)
        return "the device offers several queues and claims to have none";
    return NULL;
}

static uint32_t sectors_max(const struct ash_virtio_blk *blk, uint64_t sectors, uint64_t segments) {
    uint64_t block_sectors = blk->block_size_bytes / ASH_VIRTIO_BLK_SECTOR_SIZE;
    return segments == 0 ? 0 : (uint32_t)ash_align_down(sectors, block_sectors);
}

int ash__virtio_blk_read_capacity(struct ash_virtio_blk *blk) {
    uint64_t value[FIELDS];
    int error = ash_virtio_config_read(blk->config.transport, fields, FIELDS, blk->features, value);
    if (error != 0)
        return ash__virtio_blk_fail(blk, error, blk->config.transport->reason);
    if (value[CAPACITY] > capacity_sectors_max)
        return ash__virtio_blk_fail(blk, -ASH_EBADMSG, nonsense(value));
    ash_store_relaxed(&blk->capacity_sectors, value[CAPACITY]);
    return 0;
}

/* Data segments of a request, and with them its bytes. */
static void limit_segments(struct ash_virtio_blk *blk, uint64_t segments_max) {
    uint64_t bytes_max = blk->segment_bytes_max * segments_max;
    blk->segments_max = (uint32_t)segments_max;
    blk->request_bytes_max = (uint32_t)ash_align_down(
        ash_min_u64(bytes_max, ASH_VIRTIO_BLK_REQUEST_BYTES_MAX), blk->block_size_bytes);
}

/* Fills in the public block of blk; *queue_count is how many queues the device has. */
static int read_config(struct ash_virtio_blk *blk, uint32_t segments, uint32_t *queue_count) {
    uint64_t value[FIELDS];
    int error = ash_virtio_config_read(blk->config.transport, fields, FIELDS, blk->features, value);
    if (error != 0)
        return ash__virtio_blk_fail(blk, error, blk->config.transport->reason);
    /* qemu-storage-daemon 7.2 offers SIZE_MAX and leaves the field at 0: no limit is meant. */
    if (value[SEGMENT_BYTES] == 0)
        value[SEGMENT_BYTES] = ASH_VIRTIO_BLK_REQUEST_BYTES_MAX;
    const char *what = nonsense(value);
    if (what != NULL)
        return ash__virtio_blk_fail(blk, -ASH_EBADMSG, what);
    ash_store_relaxed(&blk->capacity_sectors, value[CAPACITY]);
    blk->block_size_bytes = (uint32_t)value[BLK_SIZE];
    blk->block_mask = blk->block_size_bytes - 1;
    blk->segment_bytes_max =
        (uint32_t)ash_min_u64(value[SEGMENT_BYTES], ASH_VIRTIO_BLK_REQUEST_BYTES_MAX);
    bool has_tables = (blk->features & ASH_VIRTIO_F_INDIRECT_DESC) != 0;
    limit_segments(blk, has_tables ? ash_min_u64(value[SEG_MAX], segments) : 1);
    blk->discard_sectors_max = sectors_max(blk, value[DISCARD_SECTORS], value[DISCARD_SEG]);
    blk->discard_align_sectors = (uint32_t)value[DISCARD_ALIGN];
    blk->write_zeroes_sectors_max = sectors_max(blk, value[ZEROES_SECTORS], value[ZEROES_SEG]);
    blk->read_only = (blk->features & ASH_VIRTIO_BLK_F_RO) != 0;
    blk->plain_op_max = blk->read_only ? ASH_VIRTIO_BLK_READ : ASH_VIRTIO_BLK_WRITE;
    *queue_count = (uint32_t)value[NUM_QUEUES];
    return 0;
}

/* FLUSH is taken whenever it is offered: a device whose driver accepts neither FLUSH nor CONFIG_WCE
 * must work write-through (5.2.5.2), at a third of the speed. */
static int negotiate(struct ash_virtio_blk *blk, const struct wish *wish) {
    uint64_t wanted = ASH_VIRTIO_F_EVENT_IDX | ASH_VIRTIO_F_RING_PACKED |
                      ASH_VIRTIO_F_ORDER_PLATFORM | ASH_VIRTIO_BLK_F_SIZE_MAX |
                      ASH_VIRTIO_BLK_F_SEG_MAX | ASH_VIRTIO_BLK_F_RO | ASH_VIRTIO_BLK_F_BLK_SIZE |
                      ASH_VIRTIO_BLK_F_FLUSH | ASH_VIRTIO_BLK_F_DISCARD |
                      ASH_VIRTIO_BLK_F_WRITE_ZEROES;
    wanted |= wish->segments_max > 1 ? ASH_VIRTIO_F_INDIRECT_DESC : 0;
    wanted |= wish->queue_count > 1 ? ASH_VIRTIO_BLK_F_MQ : 0;
    struct ash_virtio_transport *transport = blk->config.transport;
    int error =
        ash_virtio_negotiate(transport, 0, wanted & ~blk->config.features_declined, &blk->features);
    return error == 0 ? 0 : ash__virtio_blk_fail(blk, error, transport->reason);
}

/* Queues */

static uint32_t pow2_at_most(uint32_t x) {
    return x == 0 ? 0 : UINT32_C(1) << ash_log2_floor(x);
}

/* The largest size that all `count` queues of the device take, 0 if one does not exist. */
static uint32_t device_queue_size(struct ash_virtio_transport *transport, uint32_t count) {
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++)
        least = (uint32_t)ash_min_u64(least, transport->ops->queue_size_max(transport, i));
    return pow2_at_most(least);
}

static uint32_t ring_features(const struct ash_virtio_blk *blk) {
    return ((blk->features & ASH_VIRTIO_F_EVENT_IDX) != 0 ? ASH_VIRTQ_EVENT_IDX : 0) |
           ((blk->features & ASH_VIRTIO_F_RING_PACKED) != 0 ? ASH_VIRTQ_PACKED : 0);
}

/* What never changes of the slots' descriptors. */
static void describe_lines(struct ash_virtio_blk_queue *queue) {
    for (uint32_t slot = 0; slot < queue->ring.slot_count; slot++) {
        ash_paddr_t line = line_address(queue, slot);
        ash_virtq_describe(&queue->ring, slot, HEADER, line + HEADER_AT, HEADER_BYTES, false);
        ash_virtq_describe(&queue->ring, slot, STATUS, line + STATUS_AT, STATUS_BYTES, true);
        if (queue->ring.table != 0)
            ash_virtq_describe_table(&queue->ring, slot, HEADER, CHAIN, line + HEADER_AT,
                                     HEADER_BYTES, false);
    }
}

/* Names the ring to the device. It is empty, but for what was aborted. */
static int set_up_queue(struct ash_virtio_blk_queue *queue) {
    struct ash_virtio_transport *transport = queue->blk->config.transport;
    struct ash_virtq *ring = &queue->ring;
    ash_virtq_restart(ring, ring_features(queue->blk));
    queue->is_armed = false;
    describe_lines(queue);
    int error = transport->ops->queue_setup(
        transport, queue->index, ring->size, ash_virtq_desc_area(ring).address,
        ash_virtq_driver_area(ring).address, ash_virtq_device_area(ring).address);
    return error == 0 ? 0 : ash__virtio_blk_fail(queue->blk, error, transport->reason);
}

static int start(struct ash_virtio_blk *blk) {
    for (uint32_t i = 0; i < blk->queue_count; i++) {
        int error = set_up_queue(&blk->queues[i]);
        if (error != 0)
            return error;
    }
    int error = ash_virtio_ready(blk->config.transport);
    return error == 0 ? 0 : ash__virtio_blk_fail(blk, error, blk->config.transport->reason);
}

/* Places queue `index` in the memory. */
static int place_queue(struct ash_virtio_blk *blk, uint32_t index) {
    const struct ash_virtio_blk_memory *memory = &blk->memory;
    struct ash_virtio_blk_queue *queue = &blk->queues[index];
    struct share share = share_of(blk->queue_size, blk->in_flight_max, blk->slot_segments);
    char *own = (char *)memory->storage + queues_bytes(blk->queue_count) + share.storage * index;
    char *shared = (char *)memory->dma.pointer + share.dma * index;
    *queue = (struct ash_virtio_blk_queue){
        .blk = blk,
        .index = index,
        .policy = ASH_VIRTIO_BLK_INTERRUPT,
        .segments = (struct ash_dma_segment *)(void *)(own + share.ring),
        .lines = (struct ash__virtio_blk_line *)(void *)(shared + share.ring_dma),
        .lines_address = memory->dma.address + share.dma * index + share.ring_dma,
    };
    __builtin_memset(own, 0, share.storage);
    __builtin_memset(shared, 0, share.dma);
    struct ash_virtq_config ring =
        ring_config(blk->queue_size, blk->in_flight_max, blk->slot_segments);
    struct ash_virtq_dma dma = {shared, share.ring_dma, memory->dma.address + share.dma * index};
    return ash_virtq_init(&queue->ring, &ring, own, share.ring, &dma);
}

static int place_queues(struct ash_virtio_blk *blk, const struct wish *wish,
                        uint32_t device_queues) {
    uint32_t count = (uint32_t)ash_min_u64(wish->queue_count, device_queues);
    blk->queue_size =
        (uint32_t)ash_min_u64(wish->queue_size, device_queue_size(blk->config.transport, count));
    if (blk->queue_size == 0)
        return ash__virtio_blk_fail(blk, -ASH_ENXIO, "the device has no request queue");
    if (blk->queue_size < CHAIN + 1)
        return ash__virtio_blk_fail(blk, -ASH_ENXIO,
                                    "the device's request queue has fewer than 4 entries");
    blk->in_flight_max = (uint32_t)ash_min_u64(wish->in_flight_max, blk->queue_size / (CHAIN + 1));
    limit_segments(blk, ash_min_u64(blk->segments_max, blk->queue_size - 2));
    blk->slot_segments = blk->segments_max;
    blk->queues = blk->memory.storage;
    blk->queue_count = count; /* from here on there are queues to be stopped */
    for (uint32_t i = 0; i < blk->queue_count; i++) {
        int error = place_queue(blk, i);
        if (error != 0)
            return ash__virtio_blk_fail(blk, error, "a queue does not fit into the memory");
    }
    return 0;
}

/* Storage and the transport's kind: what can be refused before the device is touched. */
static int check_arguments(struct ash_virtio_blk *blk, const struct ash_virtio_blk_memory *memory,
                           struct wish *wish) {
    const struct ash_virtio_blk_config *config = &blk->config;
    if (!wish_of(config, wish) || config->transport == NULL)
        return ash__virtio_blk_fail(
            blk, -ASH_EINVAL,
            "bad configuration: no transport, queue_size no power of two in 4..1024, in_flight_max "
            "above a quarter of it, segments_max above it less 2, more than 64 queues, align_bytes "
            "no power of two, or a feature that cannot be declined");
    if (memory->storage == NULL || memory->dma.pointer == NULL ||
        !ash_is_aligned((uintptr_t)memory->storage | (uintptr_t)memory->dma.pointer |
                            memory->dma.address,
                        ASH_VIRTIO_BLK_MEMORY_ALIGN) ||
        memory->dma.address > UINT64_MAX - memory->dma.bytes)
        return ash__virtio_blk_fail(blk, -ASH_EINVAL,
                                    "the memory is missing or not aligned to 64 bytes");
    if (memory->storage_bytes < ash_virtio_blk_storage_size(config) ||
        memory->dma.bytes < ash_virtio_blk_dma_size(config))
        return ash__virtio_blk_fail(blk, -ASH_ENOMEM,
                                    "the memory is smaller than the configuration needs");
    if (config->transport->device_id != ASH_VIRTIO_ID_BLOCK)
        return ash__virtio_blk_fail(blk, -ASH_ENODEV, "not a block device");
    return 0;
}

int ash__virtio_blk_abandon(struct ash_virtio_blk *blk, int error) {
    struct ash_virtio_transport *transport = blk->config.transport;
    ash_virtio_give_up(transport);
    if (ash_virtio_reset(transport) == 0)
        return error;
    return ash__virtio_blk_fail(blk, -ASH_ETIMEDOUT, transport->reason);
}

void ash__virtio_blk_stop(struct ash_virtio_blk *blk) {
    for (uint32_t i = 0; i < blk->queue_count; i++)
        ash_virtq_stop(&blk->queues[i].ring);
}

int ash_virtio_blk_init(struct ash_virtio_blk *blk, const struct ash_virtio_blk_config *config,
                        const struct ash_virtio_blk_memory *memory) {
    struct wish wish = {0};
    uint32_t device_queues = 0;
    *blk = (struct ash_virtio_blk){.config = *config, .memory = *memory, .reason = ""};
    int error = check_arguments(blk, memory, &wish);
    if (error != 0)
        return error;
    blk->align_mask = wish.align_bytes - 1;
    error = ash_virtio_begin(config->transport);
    if (error != 0)
        return ash__virtio_blk_fail(blk, error, config->transport->reason);
    error = negotiate(blk, &wish);
    if (error == 0)
        error = read_config(blk, wish.segments_max, &device_queues);
    if (error == 0)
        error = place_queues(blk, &wish, device_queues);
    if (error == 0)
        error = start(blk);
    if (error == 0)
        return 0;
    ash__virtio_blk_stop(blk);
    return ash__virtio_blk_abandon(blk, error);
}

/* The queues that are there; the device is as after ash_virtio_begin. */
int ash__virtio_blk_start_again(struct ash_virtio_blk *blk) {
    struct wish wish = {0};
    uint32_t device_queues = 0;
    (void)wish_of(&blk->config, &wish);
    int error = negotiate(blk, &wish);
    if (error == 0)
        error = read_config(blk, blk->slot_segments, &device_queues);
    if (error == 0 &&
        (device_queues < blk->queue_count ||
         device_queue_size(blk->config.transport, blk->queue_count) < blk->queue_size))
        error = ash__virtio_blk_fail(blk, -ASH_ENXIO,
                                     "the device's queues have become smaller or fewer");
    return error == 0 ? start(blk) : error;
}
