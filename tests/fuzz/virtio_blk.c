/* SPDX-License-Identifier: MIT */
/*
 * The block driver against a device that may do anything: its registers say what they like, it
 * writes what and where it likes in the memory that it shares, also while the driver is inside a
 * call. Now and then it completes a request as it should, so that there is something to lie about.
 *
 * Whatever it does, each token comes back once, what comes back was asked for, every error is one
 * that is announced, I1, I2, I7 and I8 hold; and once the device behaves, a reset brings all tokens
 * back and everything works. That nothing else is touched is for AddressSanitizer to see.
 */
#include "choices.h"
#include "harness/asan.h"

#include <ashlar/error.h>
#include <ashlar/virtio_blk.h>

enum { QUEUES = 3, JOBS = 64, SEGMENTS = 18, CONFIG_BYTES = 60, STATUS_AT = 0, TRIES_MAX = 3 };
enum { OWN_BYTES = 96 << 10, SHARED_BYTES = 96 << 10 };

#define DMA_BASE  (UINT64_C(1) << 40)
#define DATA_BASE (UINT64_C(1) << 50)

struct job {
    bool in_flight, reads;
    uint32_t token, bytes;
    struct ash_virtio_blk_queue *queue;
    struct ash_dma_buffer buffer;
};

/* The honest half of the device. */
struct device_queue {
    uint64_t posted[ASH_VIRTQ_SIZE_MAX / 64]; /* slots completed, which the driver has not seen */
    uint16_t used, position;
    bool wrap;
};

struct world {
    struct ash_virtio_transport transport; /* the first field */
    struct choices *choices;
    struct ash_virtio_blk blk;
    struct ash_virtio_blk_config config;
    struct ash_virtio_blk_memory memory;
    uint8_t *own, *shared; /* where it may be */
    struct job jobs[JOBS];
    uint32_t in_flight;
    bool calm, inside, corrupt;   /* behaves; acts already; I3 to I6 may be broken */
    bool dies;                    /* may fail to finish a reset, once */
    uint32_t lies, register_lies; /* in 256 */
    uint32_t status, size_max, slow_reads, interrupts, generation;
    uint64_t features;
    uint8_t space[CONFIG_BYTES];
    struct device_queue queues[ASH_VIRTIO_BLK_QUEUES_MAX];
    uint64_t acts; /* completions and lies */
};

static uint32_t pick(struct world *world, uint32_t limit) {
    return choose(world->choices, limit);
}

static bool lies(struct world *world) {
    return !world->calm && pick(world, 256) < world->lies;
}

static bool register_lies(struct world *world) {
    return !world->calm && pick(world, 256) < world->register_lies;
}

static uint32_t pick_u32(struct world *world) {
    return pick(world, 1 << 16) << 16 | pick(world, 1 << 16);
}

/* The device, at the rings */

static void put(struct world *world, uint64_t offset, uint32_t width, uint64_t value) {
    uint8_t *bytes = world->memory.dma.pointer;
    CHECK(offset <= world->memory.dma.bytes - width);
    for (uint32_t i = 0; i < width; i++)
        bytes[offset + i] = (uint8_t)(value >> 8 * i);
}

static uint64_t offset_of(struct ash_virtq_area area) {
    return area.address - DMA_BASE;
}

static void put_used(struct world *world, const struct ash_virtq *ring, uint16_t index, uint32_t id,
                     uint32_t len) {
    uint64_t entry = offset_of(ash_virtq_device_area(ring)) + 4 + index % ring->size * 8;
    put(world, entry, 4, id);
    put(world, entry + 4, 4, len);
}

static void put_used_index(struct world *world, const struct ash_virtq *ring, uint16_t index) {
    put(world, offset_of(ash_virtq_device_area(ring)) + 2, 2, index);
}

static void put_entry(struct world *world, const struct ash_virtq *ring, uint32_t position,
                      uint32_t id, uint32_t len, uint32_t flags) {
    uint64_t entry = offset_of(ash_virtq_desc_area(ring)) + position % ring->size * 16;
    put(world, entry + 8, 4, len);
    put(world, entry + 12, 2, id);
    put(world, entry + 14, 2, flags);
}

/* A request that is in flight and not completed, or -1. */
static int find_in_flight(struct world *world, const struct ash_virtio_blk_queue *queue) {
    const struct ash_virtq *ring = &queue->ring;
    uint32_t from = pick(world, ring->slot_count);
    for (uint32_t i = 0; i < ring->slot_count; i++) {
        uint32_t slot = (from + i) % ring->slot_count, word = slot / 64;
        uint64_t open = (ring->started[word] ^ ring->finished[word]) & ~ring->aborted[word] &
                        ~world->queues[queue->index].posted[word];
        if ((open >> (slot & 63) & 1) != 0)
            return (int)slot;
    }
    return -1;
}

static void post(struct world *world, const struct ash_virtio_blk_queue *queue, uint32_t slot,
                 uint32_t len) {
    const struct ash_virtq *ring = &queue->ring;
    struct device_queue *device = &world->queues[queue->index];
    if (device->used == ring->used_next) { /* all was seen: forget what lies have brought about */
        device->position = ring->used_position;
        device->wrap = ring->used_flags != 0;
    }
    device->posted[slot / 64] |= UINT64_C(1) << (slot & 63);
    if (ring->shape.packed) {
        put_entry(world, ring, device->position, slot, len, device->wrap ? 0x8080 : 0);
        uint32_t position = device->position + ring->slots[slot].entries;
        device->wrap = device->wrap != (position >= ring->size);
        device->position = (uint16_t)(position % ring->size);
    } else {
        put_used(world, ring, device->used, ring->slots[slot].id & ~ASH__VIRTQ_ODD, len);
        put_used_index(world, ring, (uint16_t)(device->used + 1));
    }
    device->used++;
}

static void complete(struct world *world, const struct ash_virtio_blk_queue *queue) {
    int slot = find_in_flight(world, queue);
    if (slot < 0)
        return;
    world->acts++;
    uint64_t status = queue->lines_address - DMA_BASE + 64 * (uint32_t)slot + STATUS_AT;
    uint32_t result = world->calm || pick(world, 8) != 0 ? 0 : pick(world, 3);
    put(world, status, 1, lies(world) ? pick(world, 256) : result);
    uint32_t len = ash__virtq_writable(&queue->ring, (uint32_t)slot);
    post(world, queue, (uint32_t)slot, lies(world) ? pick_u32(world) : len);
}

static void lie(struct world *world, const struct ash_virtio_blk_queue *queue) {
    const struct ash_virtq *ring = &queue->ring;
    uint64_t at = pick_u32(world) % (world->memory.dma.bytes - 1);
    uint16_t near = (uint16_t)(ring->used_next + pick(world, 3));
    uint32_t kind = pick(world, 8);
    world->acts++;
    switch (ring->shape.packed && kind >= 2 && kind <= 4 ? 7 : kind) {
    case 0:
        world->corrupt = true;
        put(world, at & ~UINT64_C(1), 2, pick(world, 1 << 16));
        break;
    case 1:
        world->corrupt = true;
        put(world, at, 1, pick(world, 256));
        break;
    case 2:
        put_used(world, ring, near, pick(world, 2 * ring->size), pick(world, 3));
        break;
    case 3:
        put_used(world, ring, near, pick_u32(world), pick_u32(world));
        break;
    case 4:
        put_used_index(world, ring, pick(world, 8) == 0 ? (uint16_t)pick_u32(world) : near);
        break;
    case 5: /* a status of any slot */
        put(world, queue->lines_address - DMA_BASE + 64 * pick(world, ring->slot_count) + STATUS_AT,
            1, pick(world, 256));
        break;
    case 6: /* an event */
        put(world, offset_of(ash_virtq_device_area(ring)), 2, pick(world, 1 << 16));
        break;
    default:
        world->corrupt = true;
        put_entry(world, ring, ring->used_position + pick(world, 2),
                  pick(world, ring->slot_count + 2), pick(world, 3),
                  pick(world, 2) * 0x80 + pick(world, 2) * 0x8000);
    }
}

static void act(struct world *world) {
    if (world->blk.queue_count == 0 || world->inside)
        return;
    struct ash_virtio_blk_queue *queue =
        ash_virtio_blk_get_queue(&world->blk, pick(world, world->blk.queue_count));
    if (queue->ring.fault != ASH_VIRTQ_OK && pick(world, 16) != 0)
        return; /* nobody looks */
    world->inside = true;
    if (lies(world))
        lie(world, queue);
    else
        complete(world, queue);
    world->inside = false;
}

/* The device, at the registers */

static struct world *world_of(struct ash_virtio_transport *transport) {
    struct world *world = (struct world *)transport;
    if (lies(world))
        act(world);
    return world;
}

static uint32_t on_status(struct ash_virtio_transport *transport) {
    struct world *world = world_of(transport);
    if (world->slow_reads != 0)
        return world->slow_reads-- | 1;
    return register_lies(world) ? pick(world, 256) : world->status;
}

static void on_set_status(struct ash_virtio_transport *transport, uint32_t status) {
    struct world *world = world_of(transport);
    world->status = status;
    if (status != 0)
        return;
    if (register_lies(world))
        world->slow_reads = pick(world, 4);
    if (world->slow_reads != 0 && world->dies && pick(world, 64) == 0) {
        world->slow_reads = ASH_VIRTIO_RESET_READS_MAX + 1;
        world->dies = false; /* again: each time takes long */
    }
    memset(world->queues, 0, sizeof(world->queues));
}

static uint64_t on_features(struct ash_virtio_transport *transport) {
    struct world *world = world_of(transport);
    uint64_t features = world->features | ASH_VIRTIO_F_VERSION_1;
    return register_lies(world) ? features ^ (UINT64_C(1) << pick(world, 64)) : features;
}

static void on_set_features(struct ash_virtio_transport *transport, uint64_t features) {
    struct world *world = world_of(transport);
    CHECK((features & world->config.features_declined) == 0);
}

static uint32_t on_queue_size_max(struct ash_virtio_transport *transport, uint32_t queue) {
    struct world *world = world_of(transport);
    CHECK(queue < ASH_VIRTIO_BLK_QUEUES_MAX);
    return register_lies(world) ? pick_u32(world) >> pick(world, 32) : world->size_max;
}

static int on_queue_setup(struct ash_virtio_transport *transport, uint32_t queue, uint32_t size,
                          ash_paddr_t desc, ash_paddr_t driver, ash_paddr_t device) {
    struct world *world = world_of(transport);
    uint64_t end = DMA_BASE + world->memory.dma.bytes;
    CHECK(queue < world->config.queue_count || queue == 0);
    CHECK(size <= world->config.queue_size && (size & (size - 1)) == 0);
    CHECK(desc >= DMA_BASE && desc < driver && driver < device && device < end);
    transport->reason = "the device did not want to";
    return register_lies(world) ? (pick(world, 2) != 0 ? -ASH_EBUSY : -ASH_EIO) : 0;
}

static void on_notify(struct ash_virtio_transport *transport, uint32_t queue) {
    struct world *world = world_of(transport);
    CHECK(queue < world->blk.queue_count);
}

static uint32_t on_interrupt_ack(struct ash_virtio_transport *transport) {
    struct world *world = world_of(transport);
    return register_lies(world) ? pick_u32(world) : pick(world, 2);
}

static uint32_t on_config_generation(struct ash_virtio_transport *transport) {
    struct world *world = world_of(transport);
    return register_lies(world) ? world->generation++ : world->generation;
}

static uint32_t on_config_read(struct ash_virtio_transport *transport, uint32_t offset,
                               uint32_t width) {
    struct world *world = world_of(transport);
    uint32_t value = 0;
    CHECK((width == 1 || width == 2 || width == 4) && offset % width == 0);
    CHECK(offset <= CONFIG_BYTES - width);
    for (uint32_t i = width; i-- != 0;)
        value = value << 8 | world->space[offset + i];
    return register_lies(world) ? pick_u32(world) & (UINT32_MAX >> (32 - 8 * width)) : value;
}

static const struct ash_virtio_transport_ops ops = {
    .status = on_status,
    .set_status = on_set_status,
    .features = on_features,
    .set_features = on_set_features,
    .queue_size_max = on_queue_size_max,
    .queue_setup = on_queue_setup,
    .notify = on_notify,
    .interrupt_ack = on_interrupt_ack,
    .config_generation = on_config_generation,
    .config_read = on_config_read,
};

static void set_field(struct world *world, uint32_t offset, uint32_t width, uint64_t good) {
    static const uint64_t bad[] = {0, 1, 513, 65535, UINT32_MAX, UINT64_MAX, UINT64_MAX >> 9};
    if (!world->calm && pick(world, 16) == 0)
        good = bad[pick(world, ASH_ARRAY_LEN(bad))];
    for (uint32_t i = 0; i < width; i++)
        world->space[offset + i] = (uint8_t)(good >> 8 * i);
}

/* What the device is from its next reset on. Offsets: 5.2.4. */
static void set_nature(struct world *world) {
    world->features = ASH_VIRTIO_F_INDIRECT_DESC | ASH_VIRTIO_F_EVENT_IDX |
                      ASH_VIRTIO_F_RING_PACKED | ASH_VIRTIO_BLK_F_MQ | ASH_VIRTIO_BLK_F_SIZE_MAX |
                      ASH_VIRTIO_BLK_F_SEG_MAX | ASH_VIRTIO_BLK_F_BLK_SIZE |
                      ASH_VIRTIO_BLK_F_FLUSH | ASH_VIRTIO_BLK_F_DISCARD |
                      ASH_VIRTIO_BLK_F_WRITE_ZEROES;
    for (uint32_t i = pick(world, 4); !world->calm && i != 0; i--)
        world->features ^= UINT64_C(1) << pick(world, 40);
    world->size_max = world->calm || pick(world, 8) != 0 ? 1024 : 1u << pick(world, 10);
    set_field(world, 0, 8, 1000);
    set_field(world, 8, 4, 1 << 16);
    set_field(world, 12, 4, 2 + pick(world, 10));
    set_field(world, 20, 4, pick(world, 2) != 0 ? 512 : 4096);
    set_field(world, 34, 2, QUEUES);
    set_field(world, 36, 4, 64);
    set_field(world, 40, 4, 1);
    set_field(world, 44, 4, 8);
    set_field(world, 48, 4, 64);
    set_field(world, 52, 4, 1);
}

/* The driver */

static struct ash_virtio_blk_queue *any_queue(struct world *world) {
    return ash_virtio_blk_get_queue(&world->blk, pick(world, world->blk.queue_count));
}

static struct job *find_job(struct world *world) {
    for (uint32_t i = 0; i < JOBS; i++) {
        if (!world->jobs[i].in_flight)
            return &world->jobs[i];
    }
    return NULL;
}

static uint32_t pick_len(struct world *world) {
    uint32_t kind = pick(world, 64);
    if (kind < 3)
        return kind == 0 ? 0 : kind == 1 ? 20 : pick_u32(world);
    return world->blk.block_size_bytes * (1 + pick(world, 4));
}

/* Returns the bytes. */
static uint32_t pick_segments(struct world *world, struct ash_virtio_blk_request *request,
                              struct ash_dma_segment *segments) {
    uint32_t bytes = 0;
    request->segments = segments;
    request->segment_count =
        pick(world, 8) != 0 ? 1 + pick(world, world->blk.segments_max) : pick(world, SEGMENTS);
    for (uint32_t i = 0; i < request->segment_count; i++) {
        segments[i].address = DATA_BASE + (uint64_t)pick(world, 1 << 16) * 512;
        segments[i].len_bytes = pick_len(world);
        if (pick(world, 64) == 0)
            segments[i].address = pick(world, 2) != 0 ? UINT64_MAX - pick(world, 4096) : 1;
        bytes += segments[i].len_bytes;
    }
    return bytes;
}

static bool is_announced(int error) {
    return error == -ASH_EAGAIN || error == -ASH_EINVAL || error == -ASH_E2BIG ||
           error == -ASH_ERANGE || error == -ASH_EROFS || error == -ASH_ENOTSUP ||
           error == -ASH_EIO;
}

static void step_submit(struct world *world) {
    struct ash_dma_segment segments[SEGMENTS];
    struct ash_virtio_blk_queue *queue = any_queue(world);
    struct job *job = find_job(world);
    if (job == NULL)
        return;
    uint64_t block_sectors = world->blk.block_size_bytes / 512;
    struct ash_virtio_blk_request request = {
        .op = (enum ash_virtio_blk_op)(pick(world, 2) != 0 ? pick(world, 2)
                                                           : pick(world, ASH_VIRTIO_BLK_OPS + 1)),
        .sector = pick(world, 1 << 10) / 8 * block_sectors,
        .sector_count = (uint32_t)block_sectors * pick(world, 9),
        .may_unmap = pick(world, 2) != 0,
        .deadline_ns = pick(world, 100),
        .cookie = job};
    uint32_t bytes = pick_segments(world, &request, segments);
    if (request.op >= ASH_VIRTIO_BLK_FLUSH && pick(world, 16) != 0) {
        request.segment_count = request.op == ASH_VIRTIO_BLK_GET_ID;
        bytes = segments[0].len_bytes = request.segment_count * ASH_VIRTIO_BLK_ID_BYTES;
        segments[0].address = DATA_BASE;
    } else if (pick(world, 8) == 0) {
        ash_dma_buffer_init(&job->buffer, job, DATA_BASE, bytes);
        request.buffer = &job->buffer;
        request.segment_count = pick(world, 8) == 0;
    }
    int error = ash_virtio_blk_submit(queue, &request, &job->token);
    CHECK_EQ(job->buffer.owner,
             request.buffer != NULL && error == 0 ? ASH_DMA_DEVICE : ASH_DMA_CPU);
    if (error != 0) {
        CHECK(is_announced(error));
        CHECK(error != -ASH_EIO || queue->ring.fault != ASH_VIRTQ_OK);
        return;
    }
    CHECK(ash_virtio_blk_pending(queue, job->token));
    job->in_flight = true;
    job->queue = queue;
    job->bytes = bytes;
    job->reads = request.op == ASH_VIRTIO_BLK_READ || request.op == ASH_VIRTIO_BLK_GET_ID;
    world->in_flight++;
    if (pick(world, 4) != 0)
        ash_virtio_blk_kick(queue);
}

static void take(struct world *world, struct ash_virtio_blk_queue *queue,
                 const struct ash_virtio_blk_done *done) {
    struct job *job = done->cookie;
    CHECK(job >= world->jobs && job < world->jobs + JOBS && job->in_flight);
    CHECK(job->token == done->token && job->queue == queue);
    CHECK(!ash_virtio_blk_pending(queue, done->token));
    CHECK_EQ(job->buffer.owner, ASH_DMA_CPU);
    CHECK(done->status == 0 || done->status == -ASH_EIO || done->status == -ASH_ENOTSUP);
    CHECK_EQ(done->bytes, done->status == 0 && job->reads ? job->bytes : 0);
    uint32_t slot = done->token & 0xffff;
    world->queues[queue->index].posted[slot / 64] &= ~(UINT64_C(1) << (slot & 63));
    job->in_flight = false;
    world->in_flight--;
}

/* What ash_virtio_blk_reap returned. */
static int reap(struct world *world, struct ash_virtio_blk_queue *queue) {
    struct ash_virtio_blk_done done[8];
    uint32_t max = 1 + pick(world, 8);
    int count = ash_virtio_blk_reap(queue, done, max);
    CHECK(count <= (int)max);
    CHECK(count >= 0 || (count == -ASH_EIO && queue->ring.fault != ASH_VIRTQ_OK));
    for (int i = 0; i < count; i++)
        take(world, queue, &done[i]);
    return count;
}

static void step_reap(struct world *world) {
    (void)reap(world, any_queue(world));
}

static void step_kick(struct world *world) {
    ash_virtio_blk_kick(any_queue(world));
}

/* All tokens come out, without any help of the device. */
static void expect_all(struct world *world) {
    for (uint32_t i = 0; i < world->blk.queue_count; i++) {
        struct ash_virtio_blk_queue *queue = ash_virtio_blk_get_queue(&world->blk, i);
        while (reap(world, queue) > 0) {}
        CHECK_EQ(ash_virtio_blk_in_flight(queue), 0);
    }
    CHECK_EQ(world->in_flight, 0);
}

static void reset(struct world *world, enum ash_virtio_blk_after_reset after) {
    bool was_corrupt = world->corrupt;
    world->corrupt = false; /* unless during the reset */
    int error = ash_virtio_blk_reset(&world->blk, after, pick(world, 2));
    CHECK(error == 0 || error == -ASH_ETIMEDOUT || error == -ASH_ENOTSUP || error == -ASH_EPERM ||
          error == -ASH_EAGAIN || error == -ASH_ENXIO || error == -ASH_EBADMSG ||
          error == -ASH_EIO || error == -ASH_EBUSY);
    CHECK_EQ(ash_virtio_blk_reason(&world->blk)[0] != '\0', error != 0);
    if (error != 0)
        world->corrupt = world->corrupt || was_corrupt;
    if (error != 0 && error != -ASH_ETIMEDOUT)
        expect_all(world);
}

static void step_reset(struct world *world) {
    set_nature(world);
    reset(world, (enum ash_virtio_blk_after_reset)pick(world, 2));
}

static bool is_broken(const struct world *world) {
    for (uint32_t i = 0; i < world->blk.queue_count; i++) {
        if (world->blk.queues[i].ring.fault != ASH_VIRTQ_OK)
            return true;
    }
    return false;
}

static void step_wait(struct world *world) {
    struct ash_virtio_blk_queue *queue = any_queue(world);
    uint32_t policy = pick(world, 6);
    if (policy <= ASH_VIRTIO_BLK_HYBRID)
        CHECK_EQ(
            ash_virtio_blk_set_policy(queue, (enum ash_virtio_blk_policy)policy, pick(world, 5)),
            0);
    else if (policy == 4)
        CHECK_EQ(ash_virtio_blk_set_policy(queue, (enum ash_virtio_blk_policy)4, 0), -ASH_EINVAL);
    if (ash_virtio_blk_may_sleep(queue))
        CHECK(queue->ring.fault == ASH_VIRTQ_OK && queue->policy != ASH_VIRTIO_BLK_POLL);
    if (pick(world, 2) != 0)
        ash_virtio_blk_disarm(queue);
}

static void step_watch(struct world *world) {
    bool changed;
    (void)ash_virtio_blk_interrupt(&world->blk);
    int error = ash_virtio_blk_watch(&world->blk, pick(world, 100));
    CHECK(error == 0 || error == -ASH_EIO || error == -ASH_ETIMEDOUT);
    if (error != 0)
        CHECK(ash_virtio_blk_reason(&world->blk)[0] != '\0');
    error = ash_virtio_blk_refresh(&world->blk, &changed);
    CHECK(error == 0 || (changed && (error == -ASH_EAGAIN || error == -ASH_EBADMSG)));
}

/* Starting, ending */

static void calm_down(struct world *world) {
    world->calm = true;
    world->slow_reads = 0;
    set_nature(world);
}

/* The last `bytes` of it; the rest is not to be touched. */
static void *place(uint8_t *memory, size_t size, size_t bytes) {
    CHECK(bytes != 0 && bytes <= size);
    test_permit(memory, size);
    test_forbid(memory, size - bytes);
    return memory + size - bytes;
}

static void pick_config(struct world *world) {
    static const uint8_t rates[] = {0, 2, 8, 32, 128};
    struct ash_virtio_blk_config *config = &world->config;
    world->lies = rates[pick(world, ASH_ARRAY_LEN(rates))];
    world->register_lies = rates[pick(world, 4)] / 4;
    *config = (struct ash_virtio_blk_config){.transport = &world->transport,
                                             .queue_size = 4u << pick(world, 5),
                                             .queue_count = 1 + pick(world, QUEUES)};
    config->in_flight_max = 1 + pick(world, config->queue_size / 4);
    if (pick(world, 2) != 0)
        config->segments_max =
            1 + pick(world, (uint32_t)ash_min_u64(SEGMENTS - 1, config->queue_size - 2));
    if (pick(world, 2) != 0)
        config->features_declined = ASH_VIRTIO_F_RING_PACKED;
    if (pick(world, 4) == 0)
        config->features_declined |= ASH_VIRTIO_F_EVENT_IDX;
    struct ash_virtio_blk_memory *memory = &world->memory;
    memory->storage_bytes = ash_virtio_blk_storage_size(config);
    memory->storage = place(world->own, OWN_BYTES, memory->storage_bytes);
    memory->dma.bytes = ash_virtio_blk_dma_size(config);
    memory->dma.pointer = place(world->shared, SHARED_BYTES, memory->dma.bytes);
    memory->dma.address = DMA_BASE;
}

static void start(struct world *world) {
    pick_config(world);
    for (uint32_t tries = 0;; tries++) {
        world->calm = tries >= TRIES_MAX;
        set_nature(world);
        world->slow_reads = 0;
        world->corrupt = false; /* unless during init */
        int error = ash_virtio_blk_init(&world->blk, &world->config, &world->memory);
        CHECK_EQ(ash_virtio_blk_reason(&world->blk)[0] != '\0', error != 0);
        if (error == 0)
            break;
        CHECK(tries < TRIES_MAX);
        expect_all(world);
    }
    world->calm = false;
}

static void step_fini(struct world *world) {
    int error = ash_virtio_blk_fini(&world->blk);
    CHECK(error == 0 || error == -ASH_ETIMEDOUT);
    if (error != 0)
        return;
    expect_all(world);
    start(world);
}

/* The device behaves: a reset must succeed, all come back, and requests work. */
static void recover(struct world *world) {
    calm_down(world);
    world->corrupt = false;
    CHECK_EQ(ash_virtio_blk_reset(&world->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
    expect_all(world);
    const char *broken = ash_virtio_blk_check(&world->blk);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
    for (uint32_t i = 0; i < world->blk.queue_count; i++) {
        struct ash_virtio_blk_queue *queue = ash_virtio_blk_get_queue(&world->blk, i);
        struct job *job = &world->jobs[i];
        struct ash_dma_segment segment = {DATA_BASE, world->blk.block_size_bytes};
        struct ash_virtio_blk_request request = {
            .segments = &segment, .segment_count = 1, .cookie = job};
        CHECK_EQ(ash_virtio_blk_submit(queue, &request, &job->token), 0);
        job->in_flight = job->reads = true;
        job->queue = queue;
        job->bytes = segment.len_bytes;
        world->in_flight++;
        ash_virtio_blk_kick(queue);
        complete(world, queue);
        CHECK_EQ(reap(world, queue), 1);
    }
    CHECK_EQ(world->in_flight, 0);
    world->calm = false;
}

static void audit(struct world *world) {
    const char *broken = ash_virtio_blk_check(&world->blk);
    if (broken != NULL && (!world->corrupt || broken[1] <= '2' || broken[1] >= '7'))
        test_fail(__FILE__, __LINE__, "%s", broken);
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < world->blk.queue_count; i++)
        in_flight += ash_virtio_blk_in_flight(ash_virtio_blk_get_queue(&world->blk, i));
    CHECK_EQ(in_flight, world->in_flight);
}

static void step_rare(struct world *world) {
    switch (pick(world, 16)) {
    case 0:
        step_fini(world);
        break;
    case 1:
    case 2:
        recover(world);
        break;
    case 3:
        step_reset(world);
        break;
    default:
        audit(world);
    }
}

static void step(struct world *world) {
    static void (*const steps[])(struct world *) = {
        step_submit, step_submit, step_submit, step_submit, step_kick, step_reap, step_reap,
        step_reap,   step_wait,   act,         act,         act,       act,       act,
    };
    uint32_t kind = pick(world, 256);
    if (kind < 2)
        step_rare(world);
    else if (kind < 4)
        step_watch(world);
    else if (kind < 64 && is_broken(world))
        step_reset(world);
    else
        steps[kind % ASH_ARRAY_LEN(steps)](world);
}

static void begin(struct world *world, struct choices *choices) {
    world->choices = choices;
    world->dies = pick(world, 8) == 0;
    world->transport.ops = &ops;
    world->transport.device_id = ASH_VIRTIO_ID_BLOCK;
    world->transport.reason = "";
    world->own = test_alloc(OWN_BYTES, ASH_VIRTIO_BLK_MEMORY_ALIGN);
    world->shared = test_alloc(SHARED_BYTES, ASH_VIRTIO_BLK_MEMORY_ALIGN);
    start(world);
}

uint64_t fuzz_virtio_blk_acts(struct choices *choices) {
    struct world *world = test_alloc(sizeof(*world), 64);
    begin(world, choices);
    while (choices_go_on(choices))
        step(world);
    recover(world);
    return world->acts;
}

void fuzz_virtio_blk(struct choices *choices) {
    (void)fuzz_virtio_blk_acts(choices);
}

TEST_CASE(virtio_blk_fuzz, no_device_makes_the_driver_lose_or_double_a_token) {
    uint64_t acts = 0;
    for (uint64_t round = 0; round < 10; round++) {
        struct choices choices = choices_of_seed(test_seed() + round, 20000);
        acts += fuzz_virtio_blk_acts(&choices);
    }
    CHECK(acts > 10000);
}
