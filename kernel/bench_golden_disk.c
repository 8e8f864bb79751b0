/* SPDX-License-Identifier: MIT */
/*
 * bench_golden_disk.c: see bench_golden_disk.h. The device is written from VIRTIO 1.2, 2.7 and 2.8;
 * its addresses are the CPU's. It trusts its driver: tests/virtq is where that is doubted.
 */
#include "bench_golden_disk.h"

#include <ashlar/check.h>
#include <ashlar/virtio_blk.h>
#include <string.h>

enum { DEPTH_MAX = 32, SEGMENTS_MAX = 16, QUEUE_SIZE = 256, SEG_MAX_AT = 12 };

/* Descriptor flags of both formats, 2.7.5 and 2.8.1; event flags, 2.8.10. */
enum { NEXT = 1, WRITE = 2, INDIRECT = 4, AVAIL = 0x80, USED = 0x8000, EVENT_ENABLE = 0 };

struct desc {
    uint64_t address;
    uint32_t len;
    uint16_t a, b; /* split: flags, next; packed: id, flags */
};

struct used {
    uint32_t id, len;
};

struct golden_disk {
    struct ash_virtio_transport transport;
    struct ash_virtio_blk blk;
    struct kernel_memory *memory;
    void *storage, *rings;
    uint32_t storage_order, rings_order;
    bool packed;

    /* The device's. */
    uint32_t status, notifications;
    struct desc *ring;
    uint16_t *driver, *device;
    uint16_t position; /* split: requests taken; packed: the next entry */
    bool lap;          /* packed: the wrap counter */

    struct ash_dma_segment segments[SEGMENTS_MAX];
    struct ash_virtio_blk_done done[DEPTH_MAX];
};

static struct golden_disk *disk_of(struct ash_virtio_transport *transport) {
    return ASH_CONTAINER_OF(transport, struct golden_disk, transport);
}

/* The transport */

static uint32_t status(struct ash_virtio_transport *transport) {
    return disk_of(transport)->status;
}

static void set_status(struct ash_virtio_transport *transport, uint32_t value) {
    disk_of(transport)->status = value;
}

static uint64_t features(struct ash_virtio_transport *transport) {
    return ASH_VIRTIO_F_VERSION_1 | ASH_VIRTIO_F_INDIRECT_DESC | ASH_VIRTIO_F_EVENT_IDX |
           ASH_VIRTIO_BLK_F_SEG_MAX | (disk_of(transport)->packed ? ASH_VIRTIO_F_RING_PACKED : 0);
}

static void set_features(struct ash_virtio_transport *transport, uint64_t accepted) {
    (void)transport;
    (void)accepted; /* what the format follows from is known */
}

static uint32_t queue_size_max(struct ash_virtio_transport *transport, uint32_t queue) {
    (void)transport;
    return queue == 0 ? QUEUE_SIZE : 0;
}

static int queue_setup(struct ash_virtio_transport *transport, uint32_t queue, uint32_t size,
                       ash_paddr_t desc, ash_paddr_t driver, ash_paddr_t device) {
    struct golden_disk *disk = disk_of(transport);
    ASH_REQUIRE(queue == 0 && size == QUEUE_SIZE, "bench: queue %u of %u entries", queue, size);
    disk->ring = (struct desc *)(uintptr_t)desc;
    disk->driver = (uint16_t *)(uintptr_t)driver;
    disk->device = (uint16_t *)(uintptr_t)device;
    disk->position = 0;
    disk->lap = true;
    return 0;
}

static void notify(struct ash_virtio_transport *transport, uint32_t queue) {
    disk_of(transport)->notifications += 1 + queue;
}

static uint32_t nothing(struct ash_virtio_transport *transport) {
    (void)transport;
    return 0;
}

/* 5.2.4: a capacity of 2^32 sectors, seg_max; what else there is was not offered. */
static uint32_t config_read(struct ash_virtio_transport *transport, uint32_t offset,
                            uint32_t width_bytes) {
    (void)transport;
    (void)width_bytes;
    return offset == 4 ? 1 : offset == SEG_MAX_AT ? QUEUE_SIZE - 2 : 0;
}

static const struct ash_virtio_transport_ops ops = {
    .status = status,
    .set_status = set_status,
    .features = features,
    .set_features = set_features,
    .queue_size_max = queue_size_max,
    .queue_setup = queue_setup,
    .notify = notify,
    .interrupt_ack = nothing,
    .config_generation = nothing,
    .config_read = config_read,
};

/* The device */

/* Writes status 0 to where the chain's last descriptor says; returns what it "wrote" in all. */
static uint32_t finish_table(const struct desc *table, uint32_t count, bool packed) {
    uint32_t written = 0;
    for (uint32_t i = 0; i < count; i++)
        written += ((packed ? table[i].b : table[i].a) & WRITE) != 0 ? table[i].len : 0;
    *(uint8_t *)(uintptr_t)table[count - 1].address = 0;
    return written;
}

static uint32_t finish(struct golden_disk *disk, const struct desc *chain, uint32_t count) {
    if (((disk->packed ? chain->b : chain->a) & INDIRECT) != 0)
        return finish_table((const struct desc *)(uintptr_t)chain->address,
                            chain->len / (uint32_t)sizeof(struct desc), disk->packed);
    return finish_table(chain, count, disk->packed);
}

/* A slot's descriptors are side by side. */
static void serve_split(struct golden_disk *disk) {
    struct used *used = (struct used *)(void *)(disk->device + 2);
    while (disk->driver[1] != disk->position) {
        uint16_t head = disk->driver[2 + disk->position % QUEUE_SIZE];
        uint32_t count = 1;
        while ((disk->ring[head + count - 1].a & NEXT) != 0)
            count++;
        used[disk->position++ % QUEUE_SIZE] =
            (struct used){head, finish(disk, &disk->ring[head], count)};
    }
    disk->device[1] = disk->position;
    disk->device[2 + 4 * QUEUE_SIZE] = disk->position; /* avail_event: notify of the next one */
}

static void serve_packed(struct golden_disk *disk) {
    for (;;) {
        struct desc *first = &disk->ring[disk->position], chain[4];
        uint32_t count = 0;
        if (((first->b & AVAIL) != 0) != disk->lap || ((first->b & USED) != 0) == disk->lap)
            break;
        bool lap = disk->lap, more = true;
        while (more) {
            chain[count] = disk->ring[disk->position];
            more = (chain[count++].b & NEXT) != 0;
            disk->position = (uint16_t)((disk->position + 1) % QUEUE_SIZE);
            disk->lap = disk->position == 0 ? !disk->lap : disk->lap;
        }
        first->a = chain[count - 1].a;
        first->len = finish(disk, chain, count);
        first->b = (uint16_t)(lap ? AVAIL | USED : 0);
    }
    disk->device[1] = EVENT_ENABLE;
}

/* Counting */

uint32_t golden_disk_count(struct golden_disk *disk, uint32_t depth, uint32_t segments,
                           uint32_t overhead) {
    struct ash_virtio_blk_queue *queue = ash_virtio_blk_get_queue(&disk->blk, 0);
    struct ash_virtio_blk_request request = {
        .op = ASH_VIRTIO_BLK_READ, .segments = disk->segments, .segment_count = segments};
    uint32_t before = disk->notifications, token, start = platform_cost();
    int error = 0;
    for (uint32_t i = 0; i < depth; i++) {
        request.sector = 8 * i;
        error |= ash_virtio_blk_submit(queue, &request, &token);
    }
    ash_virtio_blk_kick(queue);
    uint32_t cost = platform_cost() - start;
    if (disk->packed)
        serve_packed(disk);
    else
        serve_split(disk);
    start = platform_cost();
    int reaped = ash_virtio_blk_reap(queue, disk->done, DEPTH_MAX);
    cost += platform_cost() - start;
    ASH_REQUIRE(error == 0 && reaped == (int)depth && disk->done[0].status == 0,
                "bench: %d of %u requests of %u segments came back, error %d", reaped, depth,
                segments, error);
    ASH_REQUIRE(disk->notifications - before == 1, "bench: %u notifications for one kick",
                disk->notifications - before);
    return cost > overhead ? cost - overhead : cost;
}

/* Making one */

void golden_disk_free(struct golden_disk *disk) {
    if (disk == NULL)
        return;
    if (disk->storage != NULL)
        memory_pages_free(disk->memory, disk->storage, disk->storage_order);
    if (disk->rings != NULL)
        memory_pages_free(disk->memory, disk->rings, disk->rings_order);
    ash_kfree(&disk->memory->heap, disk);
}

static int start(struct golden_disk *disk) {
    const struct ash_virtio_blk_config config = {.transport = &disk->transport};
    struct ash_virtio_blk_memory memory = {
        .storage_bytes = ash_virtio_blk_storage_size(&config),
        .dma.bytes = ash_virtio_blk_dma_size(&config),
    };
    disk->storage_order = memory_order_of(memory.storage_bytes);
    disk->rings_order = memory_order_of(memory.dma.bytes);
    disk->storage = memory.storage = memory_pages_alloc(disk->memory, disk->storage_order);
    disk->rings = memory.dma.pointer = memory_pages_alloc(disk->memory, disk->rings_order);
    if (disk->storage == NULL || disk->rings == NULL)
        return -ASH_ENOMEM;
    memory.dma.address = (uintptr_t)disk->rings;
    return ash_virtio_blk_init(&disk->blk, &config, &memory);
}

struct golden_disk *golden_disk_new(struct kernel_memory *memory, bool packed) {
    struct golden_disk *disk = ash_kzalloc(&memory->heap, sizeof(*disk));
    if (disk == NULL)
        return NULL;
    disk->memory = memory;
    disk->packed = packed;
    disk->transport =
        (struct ash_virtio_transport){.ops = &ops, .device_id = ASH_VIRTIO_ID_BLOCK, .reason = ""};
    for (uint32_t i = 0; i < SEGMENTS_MAX; i++) /* nobody looks there */
        disk->segments[i] =
            (struct ash_dma_segment){(uint64_t)(1 + 2 * i) * ASH_PAGE_SIZE, ASH_PAGE_SIZE};
    if (start(disk) == 0)
        return disk;
    golden_disk_free(disk);
    return NULL;
}
