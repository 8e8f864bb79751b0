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
    RANGES_DEFAULT = 16,
    RANGE_SECTORS_DEFAULT = 1 << 16,
    WRITEBACK = 32, /* offset in the configuration space */
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
    {.offset = WRITEBACK,
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

static bool is_inside(struct request *request, uint64_t sector, uint64_t sectors) {
    struct fake_virtio_blk *blk = request->blk;
    if (!ash_range_fits(sector, sectors, blk->capacity_known))
        BREAKS(request, BLK_CAPACITY, "sector %llu, %llu of them, capacity %llu",
               (unsigned long long)sector, (unsigned long long)sectors,
               (unsigned long long)blk->capacity_known);
    return ash_range_fits(sector, sectors, blk->capacity_sectors);
}

/* Whether a write has to be stable when it is done (5.2.6.2). */
static bool is_writethrough(const struct fake_virtio_blk *blk) {
    if ((blk->device.accepted & FAKE_VIRTIO_BLK_F_CONFIG_WCE) != 0)
        return blk->device.config[WRITEBACK] == 0;
    return (blk->device.accepted & FAKE_VIRTIO_BLK_F_FLUSH) == 0;
}

static uint8_t flush_backing(struct fake_virtio_blk *blk) {
    const struct fake_virtio_blk_backing *backing = &blk->config.backing;
    return backing->flush == NULL || backing->flush(backing->context) == 0 ? S_OK : S_IOERR;
}

static uint8_t done_writing(struct fake_virtio_blk *blk) {
    return is_writethrough(blk) ? flush_backing(blk) : S_OK;
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
        !is_inside(request, request->sector, request->in_bytes / SECTOR))
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
        !is_inside(request, request->sector, request->out_bytes / SECTOR) || blk->config.read_only)
        return S_IOERR;
    for (uint64_t done = 0, piece; done < request->out_bytes; done += piece) {
        uint64_t offset = request->sector * SECTOR + done;
        piece = ash_min_u64(request->out_bytes - done, sizeof(blk->bounce));
        fake_virtio_chain_read(&blk->device, request->chain, HEADER_BYTES + done, blk->bounce,
                               piece);
        if (backing_write(&blk->config.backing, offset, blk->bounce, piece) != 0)
            return S_IOERR;
    }
    return done_writing(blk);
}

/* A request of a feature; false: it is not supported. */
static bool is_accepted(struct request *request, uint64_t feature) {
    const struct fake_virtio *device = &request->blk->device;
    if ((device->type.features & feature) != 0 && (device->accepted & feature) == 0)
        BREAKS(request, BLK_NOT_ACCEPTED, "type %u", request->type);
    return (device->accepted & feature) != 0;
}

static uint8_t do_flush(struct request *request) {
    request->blk->flushes++;
    if (request->sector != 0)
        BREAKS(request, BLK_FLUSH_SECTOR, "sector %llu", (unsigned long long)request->sector);
    return is_accepted(request, FAKE_VIRTIO_BLK_F_FLUSH) ? flush_backing(request->blk) : S_UNSUPP;
}

static void check_sector_unused(struct request *request) {
    if (request->sector != 0)
        BREAKS(request, BLK_SECTOR_UNUSED, "type %u, sector %llu", request->type,
               (unsigned long long)request->sector);
}

static uint8_t do_get_id(struct request *request) {
    check_sector_unused(request);
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

/* Discard and write-zeroes: ranges of 16 bytes in the readable data. */

struct range {
    uint64_t sector, sectors;
    uint32_t flags;
};

static struct range read_range(struct request *request, uint64_t index) {
    uint8_t raw[RANGE_BYTES];
    fake_virtio_chain_read(&request->blk->device, request->chain,
                           HEADER_BYTES + index * RANGE_BYTES, raw, sizeof(raw));
    return (struct range){get_le(raw, 8), get_le(raw + 8, 4), (uint32_t)get_le(raw + 12, 4)};
}

static uint8_t do_range(struct request *request, const struct range *range) {
    struct fake_virtio_blk *blk = request->blk;
    const struct fake_virtio_blk_config *config = &blk->config;
    bool zeroes = request->type == T_WRITE_ZEROES;
    uint32_t most = zeroes ? config->max_write_zeroes_sectors : config->max_discard_sectors;
    if (!zeroes && (range->flags & 1) != 0)
        BREAKS(request, BLK_UNMAP, "sector %llu", (unsigned long long)range->sector);
    if (range->flags > 1 || (!zeroes && range->flags != 0))
        return S_UNSUPP;
    if (range->sectors > most) {
        BREAKS(request, BLK_RANGE_SECTORS, "type %u, %llu sectors, the limit is %u", request->type,
               (unsigned long long)range->sectors, most);
        return S_IOERR;
    }
    if (!is_inside(request, range->sector, range->sectors))
        return S_IOERR;
    if (!zeroes)
        blk->discards_unaligned += range->sector % config->discard_sector_alignment != 0;
    else if (write_zeroes(blk, range->sector, range->sectors) != 0)
        return S_IOERR;
    return S_OK;
}

static uint8_t do_ranges(struct request *request) {
    struct fake_virtio_blk *blk = request->blk;
    bool zeroes = request->type == T_WRITE_ZEROES;
    uint32_t most = zeroes ? blk->config.max_write_zeroes_seg : blk->config.max_discard_seg;
    *(zeroes ? &blk->zeroings : &blk->discards) += 1;
    check_sector_unused(request);
    if (!is_accepted(request, zeroes ? FAKE_VIRTIO_BLK_F_WRITE_ZEROES : FAKE_VIRTIO_BLK_F_DISCARD))
        return S_UNSUPP;
    uint64_t count = request->out_bytes / RANGE_BYTES;
    if (count == 0 || request->out_bytes % RANGE_BYTES != 0) {
        BREAKS(request, BLK_DATA_LEN, "type %u with %llu bytes", request->type,
               (unsigned long long)request->out_bytes);
        return S_IOERR;
    }
    if (count > most) {
        BREAKS(request, BLK_RANGES, "type %u, %llu ranges, the limit is %u", request->type,
               (unsigned long long)count, most);
        return S_IOERR;
    }
    uint8_t status = blk->config.read_only ? S_IOERR : S_OK;
    for (uint64_t i = 0; i < count && status == S_OK; i++) {
        struct range range = read_range(request, i);
        status = do_range(request, &range);
    }
    return status == S_OK ? done_writing(blk) : status;
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
        status = (uint8_t)value == S_OK ? S_IOERR : (uint8_t)value; /* a yes would be no error */
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
    uint64_t bytes = config->backing.size_bytes;
    put_le(space, bytes / SECTOR + (bytes % SECTOR != 0), 8);
    put_le(space + 8, config->size_max, 4);
    put_le(space + 12, config->seg_max, 4);
    put_le(space + 20, config->blk_size, 4);
    put_le(space + 34, config->queue_count, 2);
    put_le(space + 36, config->max_discard_sectors, 4);
    put_le(space + 40, config->max_discard_seg, 4);
    put_le(space + 44, config->discard_sector_alignment, 4);
    put_le(space + 48, config->max_write_zeroes_sectors, 4);
    put_le(space + 52, config->max_write_zeroes_seg, 4);
    space[56] = config->write_zeroes_may_unmap;
}

/* A cache mode without FLUSH is writethrough (5.2.5.2); otherwise it is writeback until the driver
 * says something else. */
static void changed(void *context, struct fake_virtio *device) {
    struct fake_virtio_blk *blk = context;
    bool without_flush = (device->accepted & FAKE_VIRTIO_BLK_F_CONFIG_WCE) != 0 &&
                         (device->accepted & FAKE_VIRTIO_BLK_F_FLUSH) == 0;
    if ((device->status & FAKE_VIRTIO_DRIVER_OK) == 0)
        device->config[WRITEBACK] =
            (device->type.features & FAKE_VIRTIO_BLK_F_CONFIG_WCE) != 0 && !without_flush;
    blk->capacity_sectors = get_le(device->config, 8);
    blk->capacity_known = device->status == 0
                              ? blk->capacity_sectors
                              : ash_max_u64(blk->capacity_known, blk->capacity_sectors);
}

void fake_virtio_blk_resize(struct fake_virtio_blk *blk, uint64_t sectors) {
    uint8_t capacity[8];
    put_le(capacity, sectors, sizeof(capacity));
    fake_virtio_change_config(&blk->device, 0, capacity, sizeof(capacity));
}

static void or_else(uint32_t *value, uint32_t otherwise) {
    if (*value == 0)
        *value = otherwise;
}

static void fill_defaults(struct fake_virtio_blk_config *config) {
    or_else(&config->queue_size_max, 256);
    or_else(&config->queue_count, 1);
    or_else(&config->seg_max, config->queue_size_max > 2 ? config->queue_size_max - 2 : 1);
    or_else(&config->size_max, 1u << 20);
    or_else(&config->blk_size, SECTOR);
    or_else(&config->max_discard_sectors, RANGE_SECTORS_DEFAULT);
    or_else(&config->max_discard_seg, RANGES_DEFAULT);
    or_else(&config->discard_sector_alignment, 1);
    or_else(&config->max_write_zeroes_sectors, RANGE_SECTORS_DEFAULT);
    or_else(&config->max_write_zeroes_seg, RANGES_DEFAULT);
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
    features = (features | config->features_with) & ~config->features_without;
    if ((features & FAKE_VIRTIO_BLK_F_FLUSH) == 0) /* never without it (5.2.5.2) */
        features &= ~FAKE_VIRTIO_BLK_F_CONFIG_WCE;
    return features;
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
                                    .changed = changed,
                                    .execute = execute,
                                    .context = blk};
    memcpy(type.fields, fields, sizeof(fields));
    fake_virtio_init(&blk->device, &type, memory, blk->config.queue_size_max);
    blk->reads = blk->writes = blk->flushes = blk->discards = blk->zeroings = 0;
    blk->discards_unaligned = 0;
    memset(blk->id, 0, sizeof(blk->id));
    size_t len = strlen(blk->config.id);
    memcpy(blk->id, blk->config.id, len < sizeof(blk->id) ? len : sizeof(blk->id));
    fill_config(blk);
    changed(blk, &blk->device);
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
