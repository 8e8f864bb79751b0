/* SPDX-License-Identifier: MIT */
/*
 * disk_transfer.c: any bytes as requests of whole blocks.
 *
 *     bytes asked for     ....[------------------------------------)....
 *     blocks         |........|........|........|........|........|........|
 *                    bounced  straight, where the memory was lent  bounced
 */
#include "disk_internal.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <string.h>

static bool is_lent(const struct disk *disk, const void *buffer, size_t len) {
    for (uint32_t i = 0; i < DISK_LENT_MAX; i++) {
        uintptr_t start = (uintptr_t)disk->lent[i].memory;
        if (disk->lent[i].memory != NULL && (uintptr_t)buffer >= start &&
            ash_range_fits((uintptr_t)buffer - start, len, disk->lent[i].size_bytes))
            return true;
    }
    return false;
}

/* Straight */

/* Where in the pieces the next request begins. */
struct cursor {
    const struct disk_piece *pieces;
    uint32_t left; /* pieces, the current one included */
    size_t done;   /* bytes of the current one */
};

static uint32_t take_segment(struct disk *disk, struct cursor *cursor, uint64_t most,
                             struct ash_dma_segment *segment) {
    const struct disk_piece *piece = cursor->pieces;
    uint8_t *memory = (uint8_t *)piece->memory + cursor->done;
    most = ash_min_u64(most, disk->blk.segment_bytes_max);
    uint32_t len = (uint32_t)ash_min_u64(piece->len_bytes - cursor->done, most);
    *segment = (struct ash_dma_segment){memory_dma_address(disk->memory, memory, len), len};
    cursor->done += len;
    if (cursor->done == piece->len_bytes) {
        cursor->pieces++;
        cursor->left--;
        cursor->done = 0;
    }
    return len;
}

/* As much as one request takes; *bytes, whole blocks, or 0: the segments do not end with one. */
static uint32_t gather(struct disk *disk, struct cursor *cursor, uint64_t limit,
                       struct ash_dma_segment segments[ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT],
                       uint32_t *bytes) {
    uint32_t count = 0, whole_count = 0, whole = 0, sum = 0;
    uint32_t most = disk->blk.segments_max < ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT
                        ? disk->blk.segments_max
                        : ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT;
    struct cursor at = *cursor;
    limit = ash_min_u64(limit, disk->request_bytes);
    while (count < most && at.left != 0 && sum < limit) {
        sum += take_segment(disk, &at, limit - sum, &segments[count++]);
        if (sum % disk->blk.block_size_bytes != 0)
            continue;
        whole = sum;
        whole_count = count;
        *cursor = at;
    }
    *bytes = whole;
    return whole_count;
}

static int submit_straight(struct disk *disk, enum ash_virtio_blk_op op, uint64_t offset,
                           struct cursor *cursor, uint64_t len) {
    struct ash_dma_segment segments[ASH_VIRTIO_BLK_SEGMENTS_MAX_DEFAULT];
    uint32_t bytes;
    for (uint64_t done = 0; done < len; done += bytes) {
        struct ash_virtio_blk_request request = {
            .op = op, .sector = (offset + done) / ASH_VIRTIO_BLK_SECTOR_SIZE, .segments = segments};
        request.segment_count = gather(disk, cursor, len - done, segments, &bytes);
        int error = bytes == 0 ? -ASH_EINVAL : disk_submit(disk, &request);
        if (error != 0)
            return error;
    }
    disk->straight_bytes += len;
    return 0;
}

static int transfer_pieces(struct disk *disk, enum ash_virtio_blk_op op, uint64_t offset,
                           const struct disk_piece *pieces, uint32_t count) {
    struct cursor cursor = {pieces, count, 0};
    uint64_t len = 0;
    bool good = op == ASH_VIRTIO_BLK_READ || op == ASH_VIRTIO_BLK_WRITE;
    for (uint32_t i = 0; good && i < count; i++) {
        good = pieces[i].len_bytes != 0 && is_lent(disk, pieces[i].memory, pieces[i].len_bytes) &&
               ash_add_u64(len, pieces[i].len_bytes, &len);
    }
    if (!good || (offset | len) % disk->blk.block_size_bytes != 0)
        return -ASH_EINVAL;
    int error = disk_begin(disk, offset, len);
    if (error == 0 && op == ASH_VIRTIO_BLK_WRITE && disk->blk.read_only)
        error = -ASH_EROFS;
    return error != 0 ? error : disk_drain(disk, submit_straight(disk, op, offset, &cursor, len));
}

int disk_transfer(struct disk *disk, enum ash_virtio_blk_op op, uint64_t offset,
                  const struct disk_piece *pieces, uint32_t count) {
    disk_lock(disk);
    int error = transfer_pieces(disk, op, offset, pieces, count);
    disk_unlock(disk);
    return error;
}

/* Through the pool */

/* The next of the bytes that are asked for: to or from is NULL. */
struct span {
    uint64_t offset;
    uint8_t *to;
    const uint8_t *from;
    size_t len;
};

static void advance(struct span *span, size_t len) {
    span->offset += len;
    if (span->to != NULL)
        span->to += len;
    else
        span->from += len;
    span->len -= len;
}

/* At most `most` bytes of it; *done: how many. */
static int read_bounced(struct disk *disk, const struct span *span, size_t most, size_t *done) {
    uint32_t block = disk->blk.block_size_bytes;
    size_t skip = (size_t)(span->offset % block);
    size_t want = (size_t)ash_min_u64(most, disk->request_bytes - skip);
    size_t whole = (size_t)ash_align_up(skip + want, block);
    int error;
    struct disk_bounce *bounce = disk_bounce_take(disk, whole, &error);
    if (bounce == NULL)
        return error;
    bounce->to = span->to;
    bounce->skip = skip;
    bounce->len = want;
    error = disk_bounce_submit(disk, bounce, ASH_VIRTIO_BLK_READ, span->offset - skip, whole);
    if (error != 0)
        disk_bounce_drop(disk, bounce);
    *done = want;
    return error;
}

/* Fills the buffers with the blocks that are there. */
static int read_before(struct disk *disk, struct disk_bounce *bounce, uint64_t offset,
                       size_t whole) {
    bounce->stays = true;
    int error =
        disk_drain(disk, disk_bounce_submit(disk, bounce, ASH_VIRTIO_BLK_READ, offset, whole));
    bounce->stays = false;
    return error;
}

static int write_bounced(struct disk *disk, const struct span *span, size_t most, size_t *done) {
    uint32_t block = disk->blk.block_size_bytes;
    size_t skip = (size_t)(span->offset % block);
    bool is_part = skip != 0 || most < block;
    size_t want = (size_t)ash_min_u64(most, (is_part ? block : disk->request_bytes) - skip);
    want -= is_part ? 0 : want % block;
    size_t whole = is_part ? block : want;
    int error;
    struct disk_bounce *bounce = disk_bounce_take(disk, whole, &error);
    if (bounce == NULL)
        return error;
    if (is_part)
        error = read_before(disk, bounce, span->offset - skip, whole);
    if (error == 0) {
        disk_bounce_in(bounce, skip, span->from, want);
        error = disk_bounce_submit(disk, bounce, ASH_VIRTIO_BLK_WRITE, span->offset - skip, whole);
    }
    if (error != 0 && !disk->dead)
        disk_bounce_drop(disk, bounce);
    *done = want;
    return error;
}

/* Any bytes */

static int transfer(struct disk *disk, struct span span) {
    uint32_t block = disk->blk.block_size_bytes;
    bool is_read = span.to != NULL;
    void *memory = is_read ? span.to : (void *)(uintptr_t)span.from;
    bool is_direct = is_lent(disk, memory, span.len);
    int error = 0;
    while (span.len != 0 && error == 0) {
        size_t skip = (size_t)(span.offset % block), done = span.len - span.len % block;
        if (is_direct && skip == 0 && done != 0) {
            struct disk_piece piece = {is_read ? span.to : (void *)(uintptr_t)span.from, done};
            struct cursor cursor = {&piece, 1, 0};
            error = submit_straight(disk, is_read ? ASH_VIRTIO_BLK_READ : ASH_VIRTIO_BLK_WRITE,
                                    span.offset, &cursor, done);
        } else {
            /* Only up to the next block where the rest can go straight. */
            size_t most =
                is_direct && skip != 0 ? (size_t)ash_min_u64(span.len, block - skip) : span.len;
            error = is_read ? read_bounced(disk, &span, most, &done)
                            : write_bounced(disk, &span, most, &done);
            disk->bounced_bytes += error == 0 ? done : 0;
        }
        if (error == 0)
            advance(&span, done);
    }
    return disk_drain(disk, error);
}

int disk_read_locked(struct disk *disk, uint64_t offset, void *buffer, size_t len) {
    int error = disk_begin(disk, offset, len);
    return error != 0 ? error
                      : transfer(disk, (struct span){.offset = offset, .to = buffer, .len = len});
}

int disk_write_locked(struct disk *disk, uint64_t offset, const void *buffer, size_t len) {
    int error = disk_begin(disk, offset, len);
    if (error == 0 && disk->blk.read_only)
        error = -ASH_EROFS;
    return error != 0 ? error
                      : transfer(disk, (struct span){.offset = offset, .from = buffer, .len = len});
}

int disk_read(struct disk *disk, uint64_t offset, void *buffer, size_t len) {
    disk_lock(disk);
    int error = disk_read_locked(disk, offset, buffer, len);
    disk_unlock(disk);
    return error;
}

int disk_write(struct disk *disk, uint64_t offset, const void *buffer, size_t len) {
    disk_lock(disk);
    int error = disk_write_locked(disk, offset, buffer, len);
    disk_unlock(disk);
    return error;
}

static int source_read(void *context, uint64_t offset, void *buffer, size_t len) {
    return disk_read(context, offset, buffer, len);
}

struct byte_source disk_source(struct disk *disk) {
    return (struct byte_source){source_read, disk, disk->size_bytes};
}

/* What has no data */

static int flush(struct disk *disk) {
    struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_FLUSH};
    int error = disk_begin(disk, 0, 0);
    if (error != 0)
        return error;
    error = disk_submit(disk, &request);
    if (error == -ASH_ENOTSUP) /* it keeps nothing back: what was written is safe */
        error = 0;
    return disk_drain(disk, error);
}

int disk_flush(struct disk *disk) {
    disk_lock(disk);
    int error = flush(disk);
    disk_unlock(disk);
    return error;
}

/* [offset, end), whole blocks, in requests of at most `most` bytes. */
static int submit_ranges(struct disk *disk, enum ash_virtio_blk_op op, uint64_t offset,
                         uint64_t end, uint64_t most) {
    int error = 0;
    most -= most % disk->blk.block_size_bytes;
    while (offset < end && error == 0) {
        uint64_t part = ash_min_u64(end - offset, most);
        struct ash_virtio_blk_request request = {.op = op,
                                                 .sector = offset / ASH_VIRTIO_BLK_SECTOR_SIZE,
                                                 .sector_count =
                                                     (uint32_t)(part / ASH_VIRTIO_BLK_SECTOR_SIZE),
                                                 .may_unmap = op == ASH_VIRTIO_BLK_WRITE_ZEROES};
        error = part == 0 ? -ASH_ENOTSUP : disk_submit(disk, &request);
        offset += part;
    }
    return disk_drain(disk, error);
}

static int begin_range(struct disk *disk, uint64_t offset, uint64_t len, uint32_t sectors_max) {
    int error = disk_begin(disk, offset, len);
    if (error == 0 && disk->blk.read_only)
        error = -ASH_EROFS;
    return error == 0 && sectors_max == 0 ? -ASH_ENOTSUP : error;
}

static int discard(struct disk *disk, uint64_t offset, uint64_t len) {
    uint32_t block = disk->blk.block_size_bytes, most = disk->blk.discard_sectors_max;
    int error = begin_range(disk, offset, len, most);
    if (error != 0)
        return error;
    uint64_t end = (offset + len) - (offset + len) % block;
    offset += (block - offset % block) % block;
    return submit_ranges(disk, ASH_VIRTIO_BLK_DISCARD, offset, end,
                         most * (uint64_t)ASH_VIRTIO_BLK_SECTOR_SIZE);
}

int disk_discard(struct disk *disk, uint64_t offset, uint64_t len) {
    disk_lock(disk);
    int error = discard(disk, offset, len);
    disk_unlock(disk);
    return error;
}

static int write_zeroes(struct disk *disk, uint64_t offset, uint64_t len) {
    uint32_t most = disk->blk.write_zeroes_sectors_max;
    int error = begin_range(disk, offset, len, most);
    if (error == 0 && (offset | len) % disk->blk.block_size_bytes != 0)
        error = -ASH_EINVAL;
    if (error != 0)
        return error;
    return submit_ranges(disk, ASH_VIRTIO_BLK_WRITE_ZEROES, offset, offset + len,
                         most * (uint64_t)ASH_VIRTIO_BLK_SECTOR_SIZE);
}

int disk_write_zeroes(struct disk *disk, uint64_t offset, uint64_t len) {
    disk_lock(disk);
    int error = write_zeroes(disk, offset, len);
    disk_unlock(disk);
    return error;
}

static void get_id(struct disk *disk, char id[ASH_VIRTIO_BLK_ID_BYTES + 1]) {
    memset(id, 0, ASH_VIRTIO_BLK_ID_BYTES + 1);
    int error = disk_begin(disk, 0, 0);
    struct disk_bounce *bounce =
        error != 0 ? NULL : disk_bounce_take(disk, ASH_VIRTIO_BLK_ID_BYTES, &error);
    if (bounce == NULL)
        return;
    bounce->to = (uint8_t *)id;
    bounce->len = ASH_VIRTIO_BLK_ID_BYTES;
    error = disk_bounce_submit(disk, bounce, ASH_VIRTIO_BLK_GET_ID, 0, ASH_VIRTIO_BLK_ID_BYTES);
    if (error != 0)
        disk_bounce_drop(disk, bounce);
    if (disk_drain(disk, error) != 0)
        id[0] = '\0';
}

void disk_id(struct disk *disk, char id[ASH_VIRTIO_BLK_ID_BYTES + 1]) {
    disk_lock(disk);
    get_id(disk, id);
    disk_unlock(disk);
}
