/* SPDX-License-Identifier: MIT */
/* mini_disk.c: what the small device does with a request. VIRTIO 1.2, 5.2.6. */
#include <string.h>

#include "virtq/mini_device.h"

enum {
    TYPE_IN = 0,
    TYPE_OUT = 1,
    TYPE_FLUSH = 4,
    TYPE_GET_ID = 8,
    TYPE_DISCARD = 11,
    TYPE_WRITE_ZEROES = 13,
};
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2 };
enum { SECTOR = 512, HEADER_BYTES = 16, RANGE_BYTES = 16, ID_BYTES = 20 };

enum { F_SIZE_MAX = 1, F_SEG_MAX = 2, F_RO = 5, F_FLUSH = 9, F_DISCARD = 13, F_ZEROES = 14 };

static bool rule(struct mini_device *device, bool kept, const char *text) {
    return mini_device_rule(device, kept, text);
}

static bool has(const struct mini_device *device, uint32_t feature) {
    return (device->driver_features >> feature & 1) != 0;
}

uint8_t mini_device_byte(uint64_t offset) {
    return (uint8_t)((offset * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

/* The chain, out of its table if it has one; the number of descriptors, 0: against the rules. */

static uint32_t load_table(struct mini_device *device, const struct mini_desc *table,
                           uint32_t queue_size) {
    bool packed = (device->driver_features & ASH_VIRTIO_F_RING_PACKED) != 0;
    uint32_t count = table->len / 16, taken = 0, next = 0;
    if (!rule(device,
              (device->driver_features & ASH_VIRTIO_F_INDIRECT_DESC) != 0 && table->len % 16 == 0 &&
                  (table->flags & (MINI_DESC_NEXT | MINI_DESC_WRITE)) == 0 && count != 0 &&
                  count <= MINI_CHAIN_MAX && count <= queue_size,
              "2.7.5.3.1: no feature, no whole table, or one larger than the queue"))
        return 0;
    device->tables++;
    while (taken < count) {
        uint64_t at = table->address + 16 * (uint64_t)next;
        struct mini_desc *desc = &device->chain[taken++];
        desc->address = mini_device_load(at, 8);
        desc->len = (uint32_t)mini_device_load(at + 8, 4);
        desc->flags = (uint16_t)mini_device_load(at + (packed ? 14 : 12), 2);
        rule(device, (desc->flags & MINI_DESC_INDIRECT) == 0, "2.7.5.3.1: a table in a table");
        if (packed) { /* 2.8.7: one after the other; only WRITE counts */
            rule(device, (desc->flags & ~MINI_DESC_WRITE) == 0, "2.8.7.1: flags in a table");
            next++;
            continue;
        }
        if ((desc->flags & MINI_DESC_NEXT) == 0)
            break;
        next = (uint32_t)mini_device_load(at + 14, 2);
        if (!rule(device, next < count, "2.7.5.3.1: a link out of the table"))
            return 0;
    }
    rule(device, taken == count, "2.7.5.3: a table with entries that no link reaches");
    return taken;
}

static uint32_t expand(struct mini_device *device, const struct mini_request *request) {
    uint32_t count = request->count;
    if ((request->direct[0].flags & MINI_DESC_INDIRECT) != 0)
        count = load_table(device, &request->direct[0], device->queues[request->queue].size);
    else
        memcpy(device->chain, request->direct, sizeof(request->direct[0]) * count);
    for (uint32_t i = 1; i < count; i++)
        rule(device, (device->chain[i - 1].flags & ~device->chain[i].flags & MINI_DESC_WRITE) == 0,
             "2.7.4.2: a part to be read behind one to be written");
    return count;
}

/* The data of a request */

struct job {
    const struct mini_desc *data;
    uint32_t count;
    uint64_t bytes, sector;
};

/* Moves all of it between memory and the disk, byte `at` on. */
static void move(struct mini_device *device, const struct job *job, uint64_t at, bool to_disk) {
    for (uint32_t i = 0; i < job->count; i++) {
        uint8_t *memory = mini_device_memory(job->data[i].address);
        uint32_t len = job->data[i].len;
        if (to_disk)
            memcpy(device->image + at, memory, len);
        else if (device->image != NULL)
            memcpy(memory, device->image + at, len);
        else
            for (uint32_t byte = 0; byte < len; byte++)
                memory[byte] = mini_device_byte(at + byte);
        at += len;
    }
}

/* 5.2.6.1: whole blocks, inside of what the driver may take for the disk. */
static bool check_sectors(struct mini_device *device, uint64_t sector, uint64_t count) {
    uint64_t block_sectors = device->block_size / SECTOR;
    rule(device, sector % block_sectors == 0 && count % block_sectors == 0 && count != 0,
         "5.2.6.1: a request of no whole blocks");
    rule(device, sector <= device->capacity_told && count <= device->capacity_told - sector,
         "5.2.6.1: a request beyond the end");
    return sector <= device->capacity_sectors && count <= device->capacity_sectors - sector;
}

static uint8_t transfer(struct mini_device *device, const struct job *job, bool to_disk) {
    rule(device, job->bytes % SECTOR == 0, "5.2.6.1: a request of no whole sectors");
    if (!check_sectors(device, job->sector, job->bytes / SECTOR))
        return STATUS_IOERR;
    if (to_disk && (device->image == NULL || has(device, F_RO)))
        return STATUS_IOERR;
    move(device, job, job->sector * SECTOR, to_disk);
    return STATUS_OK;
}

/* DISCARD and WRITE_ZEROES, 5.2.6: {sector, sectors, flags} in the data. */
static uint8_t clear(struct mini_device *device, const struct job *job, bool discard) {
    if (!rule(device,
              has(device, discard ? F_DISCARD : F_ZEROES) && job->bytes == RANGE_BYTES &&
                  job->count == 1 && job->sector == 0,
              "5.2.6.1: a range not negotiated, or not of 16 bytes"))
        return STATUS_UNSUPP;
    uint64_t range = job->data[0].address, sector = mini_device_load(range, 8);
    uint32_t count = (uint32_t)mini_device_load(range + 8, 4);
    uint32_t flags = (uint32_t)mini_device_load(range + 12, 4);
    rule(device, count <= (discard ? device->discard_sectors_max : device->zeroes_sectors_max),
         "5.2.6.1: more sectors than the device takes");
    rule(device, flags == 0 || (flags == 1 && !discard), "5.2.6.1: flags of a range");
    if (!check_sectors(device, sector, count) || has(device, F_RO) || device->image == NULL)
        return STATUS_IOERR;
    memset(device->image + sector * SECTOR, discard ? MINI_DISCARDED : 0, (size_t)count * SECTOR);
    device->unmaps += flags;
    return STATUS_OK;
}

static uint8_t flush(struct mini_device *device, const struct job *job) {
    rule(device, has(device, F_FLUSH) && job->sector == 0 && job->count == 0,
         "5.2.6.1: a flush not negotiated, with a sector or with data");
    if (device->fails_flushes)
        return STATUS_IOERR;
    device->flushes++;
    return STATUS_OK;
}

static uint8_t get_id(struct mini_device *device, const struct job *job) {
    if (!rule(device, job->bytes == ID_BYTES && job->count == 1, "5.2.6: an id is of 20 bytes"))
        return STATUS_IOERR;
    memcpy(mini_device_memory(job->data[0].address), MINI_ID, ID_BYTES);
    return STATUS_OK;
}

static uint8_t execute(struct mini_device *device, uint32_t type, const struct job *job) {
    switch (type) {
    case TYPE_IN:
        return transfer(device, job, false);
    case TYPE_OUT:
        return transfer(device, job, true);
    case TYPE_FLUSH:
        return flush(device, job);
    case TYPE_GET_ID:
        return get_id(device, job);
    case TYPE_DISCARD:
        return clear(device, job, true);
    case TYPE_WRITE_ZEROES:
        return clear(device, job, false);
    default:
        rule(device, false, "5.2.6: a request of an unknown type");
        return STATUS_UNSUPP;
    }
}

/* Every segment is of the direction that the type wants, and no larger than was agreed. */
static void check_segments(struct mini_device *device, uint32_t type, const struct job *job) {
    bool written = type == TYPE_IN || type == TYPE_GET_ID;
    for (uint32_t i = 0; i < job->count; i++) {
        rule(device, ((job->data[i].flags & MINI_DESC_WRITE) != 0) == written,
             "5.2.6: data of the wrong direction");
        rule(device, job->data[i].len != 0, "2.7.5: an empty segment");
        rule(device,
             !has(device, F_SIZE_MAX) || device->size_max == 0 ||
                 job->data[i].len <= device->size_max,
             "5.2.4: a segment above size_max");
    }
    rule(device, !has(device, F_SEG_MAX) || job->count <= device->seg_max,
         "5.2.4: more segments than seg_max");
}

uint32_t mini_device_serve(struct mini_device *device, const struct mini_request *request) {
    uint32_t count = expand(device, request), written = 0;
    struct mini_desc *chain = device->chain;
    if (!rule(device,
              count >= 2 && chain[0].len == HEADER_BYTES &&
                  (chain[0].flags & MINI_DESC_WRITE) == 0 && chain[count - 1].len == 1 &&
                  (chain[count - 1].flags & MINI_DESC_WRITE) != 0,
              "5.2.6: no header, or no status"))
        return 0;
    struct job job = {chain + 1, count - 2, 0, mini_device_load(chain[0].address + 8, 8)};
    uint32_t type = (uint32_t)mini_device_load(chain[0].address, 4);
    for (uint32_t i = 0; i < count; i++)
        written += (chain[i].flags & MINI_DESC_WRITE) != 0 ? chain[i].len : 0;
    for (uint32_t i = 0; i < job.count; i++)
        job.bytes += chain[1 + i].len;
    check_segments(device, type, &job);
    uint8_t status = device->status_byte != 0 ? device->status_byte : execute(device, type, &job);
    if (status != MINI_STATUS_NONE)
        mini_device_store(chain[count - 1].address, status, 1);
    return written;
}
