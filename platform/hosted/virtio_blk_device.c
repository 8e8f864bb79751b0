/* SPDX-License-Identifier: MIT */
/* virtio_blk_device.c: executes block requests against a backing (virtio 1.2, 5.2.6). */
#include "hosted/virtio_blk_device.h"

#include <ashlar/check.h>
#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <string.h>

enum {
    SECTOR = FAKE_VIRTIO_BLK_SECTOR_BYTES,
    HEADER_BYTES = 16,
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,
    S_OK = 0,
    S_IOERR = 1,
    S_UNSUPP = 2,
    RANGE_BYTES = 16,
    RANGES_MAX = 16,
    RANGE_SECTORS_MAX = 1 << 16,
    DEVICE_ID = 2,
};

/* struct virtio_blk_config (5.2.4), as offsets. */
static const struct fake_virtio_config_field fields[] = {
    {.offset = 0, .width_bytes = 8},
    {.offset = 8, .width_bytes = 4, .feature = FAKE_VIRTIO_BLK_F_SIZE_MAX},
    {.offset = 12, .width_bytes = 4, .feature = FAKE_VIRTIO_BLK_F_SEG_MAX},
    {.offset = 16, .width_bytes = 2, .feature = UINT64_C(1) << 4}, /* GEOMETRY: not offered */
    {.offset = 18, .width_bytes = 1, .feature = UINT64_C(1) << 4},
    {.offset = 19, .width_bytes = 1, .feature = UINT64_C(1) << 4},
    {.offset = 20, .width_bytes = 4, .feature = FAKE_VIRTIO_BLK_F_BLK_SIZE},
    {.offset = 24, .width_bytes = 1, .feature = UINT64_C(1) << 10}, /* TOPOLOGY: not offered */
    {.offset = 25, .width_bytes = 1, .feature = UINT64_C(1) << 10},
    {.offset = 26, .width_bytes = 2, .feature = UINT64_C(1) << 10},
    {.offset = 28, .width_bytes = 4, .feature = UINT64_C(1) << 10},
    {.offset = 32,
     .width_bytes = 1,
     .writable = true,
     .feature = FAKE_VIRTIO_BLK_F_CONFIG_WCE,
     .after_features_ok = true},
    {.offset = 34, .width_bytes = 2, .feature = FAKE_VIRTIO_BLK_F_MQ},
    {.offset = 36, .width_bytes = 4, .feature = FAKE_VIRTIO_BLK_F_DISCARD},
    {.offset = 40, .width_bytes = 4, .feature = FAKE_VIRTIO_BLK_F_DISCARD},
    {.offset = 44, .width_bytes = 4, .feature = FAKE_VIRTIO_BLK_F_DISCARD},
    {.offset = 48, .width_bytes = 4, .feature = FAKE_VIRTIO_BLK_F_WRITE_ZEROES},
    {.offset = 52, .width_bytes = 4, .feature = FAKE_VIRTIO_BLK_F_WRITE_ZEROES},
    {.offset = 56, .width_bytes = 1, .feature = FAKE_VIRTIO_BLK_F_WRITE_ZEROES},
};

static void put_le(uint8_t *at, uint64_t value, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *at, uint32_t bytes) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* A request being done */

struct request {
    struct fake_virtio_blk *blk;
    const struct fake_virtio_chain *chain;
    uint32_t type;
    uint64_t sector;
    uint64_t out_bytes, in_bytes; /* data after the header, data before the status */
};

#define BREAKS(request, rule, ...) \
    fake_virtio_violate(&(request)->blk->device, FAKE_VIRTIO_RULE_##rule, __VA_ARGS__)

/* The backing, padded with zeros to whole sectors. */
static int backing_read(const struct fake_virtio_blk_backing *backing, uint64_t offset,
                        uint8_t *bytes, uint64_t len) {
    uint64_t there =
        offset >= backing->size_bytes ? 0 : ash_min_u64(len, backing->size_bytes - offset);
    memset(bytes + there, 0, (size_t)(len - there));
    return there == 0 ? 0 : backing->read(backing->context, offset, bytes, there);
}

static int backing_write(const struct fake_virtio_blk_backing *backing, uint64_t offset,
                         const uint8_t *bytes, uint64_t len) {
    if (!ash_range_fits(offset, len, backing->size_bytes))
        return -ASH_EIO;
    return backing->write(backing->context, offset, bytes, len);
}

static bool is_inside(struct request *request, uint64_t sector, uint64_t bytes) {
    if (ash_range_fits(sector, bytes / SECTOR, request->blk->capacity_sectors))
        return true;
    BREAKS(request, BLK_CAPACITY, "sector %llu, %llu bytes, capacity %llu sectors",
           (unsigned long long)sector, (unsigned long long)bytes,
           (unsigned long long)request->blk->capacity_sectors);
    return false;
}

static bool is_whole_sectors(struct request *request, uint64_t bytes) {
    if (bytes != 0 && bytes % SECTOR == 0)
        return true;
    BREAKS(request, BLK_DATA_LEN, "type %u with %llu bytes", request->type,
           (unsigned long long)bytes);
    return false;
}

static uint8_t do_read(struct request *request) {
    struct fake_virtio_blk *blk = request->blk;
    blk->reads++;
    if (!is_whole_sectors(request, request->in_bytes) ||
        !is_inside(request, request->sector, request->in_bytes))
        return S_IOERR;
    for (uint64_t done = 0, piece; done < request->in_bytes; done += piece) {
        uint64_t offset = request->sector * SECTOR + done;
        piece = ash_min_u64(request->in_bytes - done, sizeof(blk->bounce));
        if (backing_read(&blk->config.backing, offset, blk->bounce, piece) != 0)
            return S_IOERR;
        fake_virtio_chain_write(&blk->device, request->chain, done, blk->bounce, piece);
    }
    return S_OK;
}

static uint8_t do_write(struct request *request) {
    struct fake_virtio_blk *blk = request->blk;
    blk->writes++;
    if (!is_whole_sectors(request, request->out_bytes) ||
        !is_inside(request, request->sector, request->out_bytes) || blk->config.read_only)
        return S_IOERR;
    for (uint64_t done = 0, piece; done < request->out_bytes; done += piece) {
        uint64_t offset = request->sector * SECTOR + done;
        piece = ash_min_u64(request->out_bytes - done, sizeof(blk->bounce));
        fake_virtio_chain_read(&blk->device, request->chain, HEADER_BYTES + done, blk->bounce,
                               piece);
        if (backing_write(&blk->config.backing, offset, blk->bounce, piece) != 0)
            return S_IOERR;
    }
    return S_OK;
}

static uint8_t do_flush(struct request *request) {
    const struct fake_virtio_blk_backing *backing = &request->blk->config.backing;
    request->blk->flushes++;
    if (request->sector != 0)
        BREAKS(request, BLK_FLUSH_SECTOR, "sector %llu", (unsigned long long)request->sector);
    if ((request->blk->device.type.features & FAKE_VIRTIO_BLK_F_FLUSH) == 0)
        return S_UNSUPP;
    return backing->flush == NULL || backing->flush(backing->context) == 0 ? S_OK : S_IOERR;
}

static uint8_t do_get_id(struct request *request) {
    if (request->in_bytes != FAKE_VIRTIO_BLK_ID_BYTES) {
        BREAKS(request, BLK_DATA_LEN, "get-id with %llu bytes",
               (unsigned long long)request->in_bytes);
        return S_IOERR;
    }
    fake_virtio_chain_write(&request->blk->device, request->chain, 0, request->blk->id,
                            FAKE_VIRTIO_BLK_ID_BYTES);
    return S_OK;
}

static int write_zeroes(struct fake_virtio_blk *blk, uint64_t sector, uint64_t sectors) {
    memset(blk->bounce, 0, sizeof(blk->bounce));
    uint64_t offset = sector * SECTOR, end = offset + sectors * SECTOR;
    int error = 0;
    for (uint64_t piece; offset < end && error == 0; offset += piece) {
        piece = ash_min_u64(end - offset, sizeof(blk->bounce));
        error = backing_write(&blk->config.backing, offset, blk->bounce, piece);
    }
    return error;
}

/* Discard and write-zeroes: 16-byte ranges in the readable data. Discard may do nothing: this one
 * keeps the data, so that a driver that expects zeros is found out. */
static uint8_t do_ranges(struct request *request) {
    struct fake_virtio_blk *blk = request->blk;
    bool zeroes = request->type == T_WRITE_ZEROES;
    uint64_t feature = zeroes ? FAKE_VIRTIO_BLK_F_WRITE_ZEROES : FAKE_VIRTIO_BLK_F_DISCARD;
    if ((blk->device.type.features & feature) == 0)
        return S_UNSUPP;
    uint64_t count = request->out_bytes / RANGE_BYTES;
    if (count == 0 || request->out_bytes % RANGE_BYTES != 0 || count > RANGES_MAX) {
        BREAKS(request, BLK_DATA_LEN, "type %u with %llu bytes", request->type,
               (unsigned long long)request->out_bytes);
        return S_IOERR;
    }
    if (blk->config.read_only)
        return S_IOERR;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t raw[RANGE_BYTES];
        fake_virtio_chain_read(&blk->device, request->chain, HEADER_BYTES + i * RANGE_BYTES, raw,
                               sizeof(raw));
        uint64_t sector = get_le(raw, 8), sectors = get_le(raw + 8, 4), flags = get_le(raw + 12, 4);
        if (!zeroes && (flags & 1) != 0)
            BREAKS(request, BLK_UNMAP, "range %llu", (unsigned long long)i);
        if (flags > 1 || (!zeroes && flags != 0))
            return S_UNSUPP;
        if (sectors > RANGE_SECTORS_MAX) {
            BREAKS(request, BLK_DATA_LEN, "%llu sectors in one range, the limit is %u",
                   (unsigned long long)sectors, (uint32_t)RANGE_SECTORS_MAX);
            return S_IOERR;
        }
        if (!is_inside(request, sector, sectors * SECTOR) ||
            (zeroes && write_zeroes(blk, sector, sectors) != 0))
            return S_IOERR;
    }
    return S_OK;
}

/* Data flows one way (5.2.6): a read has none to give, a write none to take. */
static void check_direction(struct request *request) {
    bool takes = request->type == T_IN || request->type == T_GET_ID;
    bool gives =
        request->type == T_OUT || request->type == T_DISCARD || request->type == T_WRITE_ZEROES;
    if ((!takes && request->in_bytes != 0) || (!gives && request->out_bytes != 0))
        BREAKS(request, BLK_DIRECTION, "type %u, %llu bytes to read, %llu to write", request->type,
               (unsigned long long)request->out_bytes, (unsigned long long)request->in_bytes);
}

/* seg_max and size_max bound the data's elements; those that hold only header or status do not
 * count. */
static void check_segments(struct request *request) {
    const struct fake_virtio_chain *chain = request->chain;
    const struct fake_virtio_blk_config *config = &request->blk->config;
    uint64_t features = request->blk->device.accepted, readable = 0, writable = 0;
    uint32_t segments = 0;
    for (uint32_t i = 0; i < chain->count; i++) {
        const struct fake_virtio_segment *segment = &chain->segments[i];
        uint64_t *before = segment->writable ? &writable : &readable;
        bool data =
            segment->writable ? *before < request->in_bytes : *before + segment->len > HEADER_BYTES;
        *before += segment->len;
        if (!data)
            continue;
        segments++;
        if ((features & FAKE_VIRTIO_BLK_F_SIZE_MAX) != 0 && segment->len > config->size_max)
            BREAKS(request, BLK_SIZE_MAX, "%u bytes, size_max %u", segment->len, config->size_max);
    }
    if ((features & FAKE_VIRTIO_BLK_F_SEG_MAX) != 0 && segments > config->seg_max)
        BREAKS(request, BLK_SEG_MAX, "%u segments, seg_max %u", segments, config->seg_max);
}

static uint8_t do_request(struct request *request) {
    check_direction(request);
    check_segments(request);
    switch (request->type) {
    case T_IN:
        return do_read(request);
    case T_OUT:
        return do_write(request);
    case T_FLUSH:
        return do_flush(request);
    case T_GET_ID:
        return do_get_id(request);
    case T_DISCARD:
    case T_WRITE_ZEROES:
        return do_ranges(request);
    default:
        return S_UNSUPP;
    }
}

static uint32_t execute(void *context, struct fake_virtio *device,
                        const struct fake_virtio_chain *chain) {
    struct request request = {.blk = context, .chain = chain};
    if (chain->writable_bytes == 0) {
        BREAKS(&request, BLK_STATUS, "head %u", chain->head);
        return 0;
    }
    request.in_bytes = chain->writable_bytes - 1;
    uint8_t header[HEADER_BYTES], status = S_IOERR;
    uint64_t value;
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_STATUS_ERROR, &value)) {
        status = (uint8_t)value;
    } else if (!fake_virtio_chain_read(device, chain, 0, header, sizeof(header))) {
        BREAKS(&request, BLK_HEADER, "head %u, %llu bytes", chain->head,
               (unsigned long long)chain->readable_bytes);
    } else {
        request.type = (uint32_t)get_le(header, 4);
        request.sector = get_le(header + 8, 8);
        request.out_bytes = chain->readable_bytes - HEADER_BYTES;
        status = do_request(&request);
    }
    if (!fake_virtio_lies(device, FAKE_VIRTIO_FAULT_STATUS_UNWRITTEN, &value))
        fake_virtio_chain_write(device, chain, request.in_bytes, &status, 1);
    /* After a failure the data may be partly written: then only a length of 0 is sure (2.7.8.2). */
    return status == S_OK || request.in_bytes == 0 ? (uint32_t)request.in_bytes + 1 : 0;
}

static void fill_config(struct fake_virtio_blk *blk) {
    const struct fake_virtio_blk_config *config = &blk->config;
    uint8_t *space = blk->device.config;
    put_le(space, blk->capacity_sectors, 8);
    put_le(space + 8, config->size_max, 4);
    put_le(space + 12, config->seg_max, 4);
    put_le(space + 20, config->blk_size, 4);
    space[32] = (config->features_with & FAKE_VIRTIO_BLK_F_CONFIG_WCE) != 0;
    put_le(space + 34, config->queue_count, 2);
    put_le(space + 36, RANGE_SECTORS_MAX, 4);
    put_le(space + 40, RANGES_MAX, 4);
    put_le(space + 44, 1, 4);
    put_le(space + 48, RANGE_SECTORS_MAX, 4);
    put_le(space + 52, RANGES_MAX, 4);
}

static void fill_defaults(struct fake_virtio_blk_config *config) {
    if (config->queue_size_max == 0)
        config->queue_size_max = 256;
    if (config->queue_count == 0)
        config->queue_count = 1;
    if (config->seg_max == 0)
        config->seg_max = config->queue_size_max > 2 ? config->queue_size_max - 2 : 1;
    if (config->size_max == 0)
        config->size_max = 1u << 20;
    if (config->blk_size == 0)
        config->blk_size = SECTOR;
    if (config->id == NULL)
        config->id = "ashlar";
    if (config->backing.write == NULL)
        config->read_only = true;
}

static uint64_t offered(const struct fake_virtio_blk_config *config) {
    uint64_t features = FAKE_VIRTIO_F_VERSION_1 | FAKE_VIRTIO_F_INDIRECT_DESC |
                        FAKE_VIRTIO_F_EVENT_IDX | FAKE_VIRTIO_BLK_F_SIZE_MAX |
                        FAKE_VIRTIO_BLK_F_SEG_MAX | FAKE_VIRTIO_BLK_F_BLK_SIZE |
                        FAKE_VIRTIO_BLK_F_FLUSH;
    if (config->read_only)
        features |= FAKE_VIRTIO_BLK_F_RO;
    if (config->queue_count > 1)
        features |= FAKE_VIRTIO_BLK_F_MQ;
    return (features | config->features_with) & ~config->features_without;
}

void fake_virtio_blk_init(struct fake_virtio_blk *blk, const struct fake_virtio_blk_config *config,
                          struct guest_memory *memory) {
    ASH_REQUIRE(config->backing.read != NULL, "fake virtio-blk: the backing has no read");
    blk->config = *config;
    fill_defaults(&blk->config);
    struct fake_virtio_type type = {.device_id = DEVICE_ID,
                                    .queue_count = blk->config.queue_count,
                                    .queues_feature = FAKE_VIRTIO_BLK_F_MQ,
                                    .features = offered(&blk->config),
                                    .field_count = ASH_ARRAY_LEN(fields),
                                    .execute = execute,
                                    .context = blk};
    memcpy(type.fields, fields, sizeof(fields));
    fake_virtio_init(&blk->device, &type, memory, blk->config.queue_size_max);
    blk->capacity_sectors =
        config->backing.size_bytes / SECTOR + (config->backing.size_bytes % SECTOR != 0);
    blk->reads = blk->writes = blk->flushes = 0;
    memset(blk->id, 0, sizeof(blk->id));
    size_t len = strlen(blk->config.id);
    memcpy(blk->id, blk->config.id, len < sizeof(blk->id) ? len : sizeof(blk->id));
    fill_config(blk);
}

/* Plain memory */

static int memory_read(void *context, uint64_t offset, void *bytes, uint64_t len) {
    const struct fake_virtio_blk_memory *memory = context;
    memcpy(bytes, memory->bytes + offset, (size_t)len);
    return 0;
}

static int memory_write(void *context, uint64_t offset, const void *bytes, uint64_t len) {
    const struct fake_virtio_blk_memory *memory = context;
    memcpy(memory->bytes + offset, bytes, (size_t)len);
    return 0;
}

struct fake_virtio_blk_backing fake_virtio_blk_memory(struct fake_virtio_blk_memory *memory) {
    return (struct fake_virtio_blk_backing){.size_bytes = memory->size_bytes,
                                            .read = memory_read,
                                            .write = memory_write,
                                            .context = memory};
}
