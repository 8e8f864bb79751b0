/* SPDX-License-Identifier: MIT */
/*
 * io.c: I/Os. Frames to be read or written become parts of I/Os, a part for each piece of disk that
 * the block lies on; a part that goes on where the last I/O built ends is joined to it. Demand
 * comes first, nearly always, then the device's flush, then what is to be written, then reading
 * ahead, which leaves an eighth of the I/Os alone.
 */
#include "cache_internal.h"

struct work {
    uint32_t frame;
    enum ash_cache_op op;
    bool prefetch;
};

static struct ash_cache_io *new_io(struct ash_cache *cache) {
    struct ash_list *free = cache->io_free;
    if (free == NULL)
        return NULL;
    cache->io_free = free->next;
    cache->io_free_count--;
    return ASH_LIST_ENTRY(free, struct ash_cache_io, link);
}

static void free_io(struct ash_cache *cache, struct ash_cache_io *io) {
    io->link.next = cache->io_free;
    cache->io_free = &io->link;
    cache->io_free_count++;
}

/* An I/O that the part can be joined to, or a new one, or NULL. */
static struct ash_cache_io *io_for(struct ash_cache *cache, const struct work *work,
                                   uint64_t sector) {
    struct ash_list *last = ash_list_last(&cache->io_ready);
    if (last != NULL) {
        struct ash_cache_io *io = ASH_LIST_ENTRY(last, struct ash_cache_io, link);
        if (io->op == (uint8_t)work->op && io->prefetch == work->prefetch &&
            io->sector + io->len_bytes / ASH_CACHE_SECTOR_BYTES == sector &&
            io->segment_count < cache->config.segments_max)
            return io;
    }
    struct ash_cache_io *io = new_io(cache);
    if (io == NULL)
        return NULL;
    io->op = (uint8_t)work->op;
    io->prefetch = work->prefetch;
    io->sector = sector;
    io->waiter = NULL;
    io->len_bytes = io->segment_count = 0;
    ash_list_push_back(&cache->io_ready, &io->link);
    return io;
}

static void add_part(struct ash_cache *cache, const struct work *work, uint64_t sector, char *data,
                     uint32_t len) {
    struct ash_cache_io *io = io_for(cache, work, sector);
    ASH_ASSERT(io != NULL);
    io->segments[io->segment_count++] =
        (struct ash_cache_segment){.data = data, .len_bytes = len, .frame = work->frame};
    io->len_bytes += len;
}

static void has_parts(struct ash_cache *cache, const struct work *work, uint32_t parts,
                      uint32_t valid_bytes) {
    struct ash_cache_frame *f = &cache->frames[work->frame];
    f->parts = (uint8_t)parts;
    if (work->op == ASH_CACHE_OP_READ) {
        f->valid = valid_bytes;
        cache->stats.blocks_read++;
        cache->stats.prefetched += work->prefetch;
    } else {
        cache->stats.blocks_written++;
    }
}

static void add_parts(struct ash_cache *cache, const struct work *work,
                      const struct ash_cache_map *map) {
    char *data = ash_cache_data(cache, work->frame);
    for (uint32_t i = 0; i < map->extent_count; i++) {
        uint32_t len = map->extents[i].sectors * ASH_CACHE_SECTOR_BYTES;
        add_part(cache, work, map->extents[i].sector, data, len);
        data += len;
    }
    has_parts(cache, work, map->extent_count, map->valid_bytes);
}

/* A block of a space without a map. */
static void add_whole(struct ash_cache *cache, const struct work *work, uint64_t index) {
    uint32_t bytes = 1u << cache->block_shift;
    add_part(cache, work, index * (bytes / ASH_CACHE_SECTOR_BYTES),
             ash_cache_data(cache, work->frame), bytes);
    has_parts(cache, work, 1, bytes);
}

/* The block came, or did not, that a reader asked for before all others. */
static void arrived(struct ash_cache *cache, struct ash_cache_waiter *waiter, int error) {
    if (error == 0 && !ash__cache_pin(cache, waiter->frame, waiter->pinner))
        error = -ASH_EAGAIN;
    waiter->status = error;
}

/* All I/Os of its read have ended. waiter: NULL, or one who is on no list. */
static void filled(struct ash_cache *cache, uint32_t frame, int error,
                   struct ash_cache_waiter *waiter) {
    struct ash_cache_frame *f = &cache->frames[frame];
    f->flags &= (uint16_t)~FILLING;
    f->order = 0;
    if (error != 0) {
        cache->stats.read_errors++;
        if (waiter != NULL)
            arrived(cache, waiter, error);
        ash__cache_wait_over(cache, frame, error);
        ash__cache_ahead_failed(cache, frame);
        ash__cache_free_frame(cache, frame);
        return;
    }
    /* The disk's last sector may hold what is no longer, or not yet, the file's. */
    uint32_t sector_end = (f->valid + ASH_CACHE_SECTOR_BYTES - 1) & ~(ASH_CACHE_SECTOR_BYTES - 1);
    if (sector_end != f->valid)
        __builtin_memset((char *)ash_cache_data(cache, frame) + f->valid, 0, sector_end - f->valid);
    ash__cache_make_there(cache, frame);
    ash__cache_show(cache, frame);
    if (waiter != NULL)
        arrived(cache, waiter, 0);
    ash__cache_wait_over(cache, frame, 0);
}

static void ended(struct ash_cache *cache, uint32_t frame, int error,
                  struct ash_cache_waiter *waiter) {
    if (ash__cache_has(cache, frame, FILLING))
        filled(cache, frame, error, waiter);
    else
        ash__cache_written(cache, frame, error);
}

static bool next_read(struct ash_cache *cache, struct work *work) {
    work->frame = ash__cache_pop_last(cache, &cache->fill, WORK);
    work->op = ASH_CACHE_OP_READ;
    work->prefetch = false;
    return work->frame != NONE;
}

/* The device's flush comes before writes: those who dirty more could put it off for ever. */
static bool next_flush_or_write(struct ash_cache *cache, struct work *work) {
    work->op = ASH_CACHE_OP_FLUSH;
    work->prefetch = false;
    if (!ash_list_is_empty(&cache->flushes) && ash__cache_flush_begin(cache))
        return true;
    work->op = ASH_CACHE_OP_WRITE;
    work->frame = ash__cache_next_write(cache);
    return work->frame != NONE;
}

static bool next_prefetch(struct ash_cache *cache, struct work *work) {
    if (cache->io_free_count <= cache->config.depth / 8)
        return false;
    work->op = ASH_CACHE_OP_READ;
    work->prefetch = true;
    work->frame = ash__cache_pop_last(cache, &cache->prefetch, WORK);
    if (work->frame == NONE)
        return false;
    cache->frames[work->frame].flags &= (uint16_t)~IDLE;
    return true;
}

/* Reads come first, but READS of them in a row let WRITES others pass: who reads more than the
 * device takes could put these off for ever, too. */
static bool next_work(struct ash_cache *cache, struct work *work) {
    enum { READS = 32, WRITES = 8 };
    bool reads_first = cache->in_a_row < READS;
    if (reads_first && next_read(cache, work)) {
        cache->in_a_row++;
        return true;
    }
    bool other = next_flush_or_write(cache, work);
    bool goes_on = other && !reads_first && cache->in_a_row + 1 < READS + WRITES;
    cache->in_a_row = goes_on ? cache->in_a_row + 1 : 0;
    return other || (!reads_first && next_read(cache, work)) || next_prefetch(cache, work);
}

static void back(struct ash_cache *cache, const struct work *work) {
    if (work->op == ASH_CACHE_OP_WRITE)
        ash__cache_unwrite(cache, work->frame);
    else
        ash__cache_push_last(cache, &cache->fill, WORK, work->frame);
}

/* A block that was looked for becomes parts of I/Os; false: there are too few I/Os for it. */
static bool build_placed(struct ash_cache *cache, const struct work *work, int error,
                         const struct ash_cache_map *map) {
    if (error != 0 || map->extent_count == 0) {
        if (work->op == ASH_CACHE_OP_READ)
            cache->frames[work->frame].valid = 0;
        ended(cache, work->frame, error, NULL);
    } else if (map->extent_count > cache->io_free_count) {
        back(cache, work);
        return false;
    } else {
        add_parts(cache, work, map);
    }
    return true;
}

static bool build_block(struct ash_cache *cache, ash_irq_t *irq, const struct work *work) {
    uint64_t key = ash__cache_frame_key(cache, work->frame), index = ash__cache_index(key);
    const struct ash_cache_space *space = cache->spaces[key >> ASH_CACHE_INDEX_BITS];
    struct ash_cache_map map;
    if (space->map == NULL) {
        add_whole(cache, work, index);
        return true;
    }
    int error = ash__cache_place(cache, irq, work->frame, work->op, space, index, &map);
    return build_placed(cache, work, error, &map);
}

/* Makes I/Os out of all that is to be done and that there are I/Os for; false: nothing was. */
bool ash__cache_build(struct ash_cache *cache, ash_irq_t *irq) {
    struct work work;
    bool any = false;
    while (cache->io_free_count != 0 && next_work(cache, &work)) {
        any = true;
        if (work.op == ASH_CACHE_OP_FLUSH)
            (void)io_for(cache, &work, UINT64_MAX);
        else if (!build_block(cache, irq, &work))
            return !ash_list_is_empty(&cache->io_ready);
    }
    return any;
}

/* An I/O is over. Its own waiter is told before all others whose wait that ends. */
static void end_io(struct ash_cache *cache, struct ash_cache_io *io, int status) {
    struct ash_list *last = cache->ready.prev;
    struct ash_cache_waiter *waiter = io->waiter; /* for the first block, which has one part */
    io->submitted = false;
    free_io(cache, io);
    if (io->op == ASH_CACHE_OP_FLUSH) {
        ash__cache_flush_ended(cache, status);
        return;
    }
    for (uint32_t i = 0; i < io->segment_count; i++) {
        uint32_t frame = io->segments[i].frame;
        struct ash_cache_frame *f = &cache->frames[frame];
        if (status != 0 && f->error == 0)
            f->error = (uint32_t)-status;
        if (--f->parts == 0)
            ended(cache, frame, -(int)f->error, i == 0 ? waiter : NULL);
    }
    if (waiter != NULL)
        ash_list_insert_after(last, &waiter->link);
}

/* What became of an I/O that was handed to the backend. */
enum entered { GOING, ENDED, REFUSED };

/* Hands over an I/O, which is on no list. ENDED: with cache->io_status, and is to be ended.
 * REFUSED: the backend is full, or was just now. */
static enum entered enter(struct ash_cache *cache, struct ash_cache_io *io, ash_irq_t *irq) {
    uint32_t news = cache->news;
    io->submitted = true;
    cache->io_entering = io;
    ash__cache_leave(cache, *irq);
    int error = cache->config.backend.submit(cache->config.backend.context, io);
    *irq = ash__cache_enter(cache);
    bool ended = cache->io_entering == NULL;
    cache->io_entering = NULL;
    ASH_REQUIRE(error == 0 || !ended,
                "cache: an I/O that submit refused with %d is not the backend's: it has ended",
                error);
    if (ended || error != 0)
        io->submitted = false;
    if (error == -ASH_EAGAIN) {
        ash_list_push_front(&cache->io_ready, &io->link);
        cache->backend_full = cache->news == news; /* else what it said is old already */
        return REFUSED;
    }
    uint64_t *count = io->op == ASH_CACHE_OP_READ    ? &cache->stats.reads
                      : io->op == ASH_CACHE_OP_WRITE ? &cache->stats.writes
                                                     : &cache->stats.flushes;
    (*count)++;
    if (cache->config.backend.kick != NULL)
        cache->submitted = cache->again = true;
    if (error != 0)
        cache->io_status = ash__cache_error(error);
    return ended || error != 0 ? ENDED : GOING;
}

/* Hands one that is ready to the backend; false: the backend is full. */
bool ash__cache_submit(struct ash_cache *cache, struct ash_cache_io *io, ash_irq_t *irq) {
    enum entered entered = enter(cache, io, irq);
    if (entered == ENDED)
        end_io(cache, io, cache->io_status);
    return !cache->backend_full;
}

/* Reads one block with one I/O, if it lies in one piece. Returns the waiter if his wait is over
 * already, else he will be told. */
struct ash_cache_waiter *ash__cache_read_one(struct ash_cache *cache,
                                             const struct ash_cache_space *space, uint64_t index,
                                             uint32_t frame, struct ash_cache_waiter *waiter,
                                             ash_irq_t *irq) {
    uint32_t bytes = 1u << cache->block_shift;
    uint64_t sector = index * (bytes / ASH_CACHE_SECTOR_BYTES);
    uint32_t len = bytes, valid = bytes;
    if (space->map != NULL) {
        struct work work = {.frame = frame, .op = ASH_CACHE_OP_READ};
        struct ash_cache_map map;
        int error = ash__cache_place(cache, irq, frame, work.op, space, index, &map);
        if (error != 0 || map.extent_count != 1) {
            if (waiter != NULL)
                ash__cache_wait(cache, waiter, WAIT_BLOCK);
            (void)build_placed(cache, &work, error, &map);
            cache->again = true;
            return NULL;
        }
        sector = map.extents[0].sector;
        len = map.extents[0].sectors * ASH_CACHE_SECTOR_BYTES;
        valid = map.valid_bytes;
    }
    struct ash_cache_io *io = new_io(cache);
    struct ash_cache_frame *f = &cache->frames[frame];
    io->op = ASH_CACHE_OP_READ;
    io->prefetch = false;
    io->sector = sector;
    io->len_bytes = len;
    io->segment_count = 1;
    io->waiter = waiter;
    io->segments[0].data = ash_cache_data(cache, frame);
    io->segments[0].len_bytes = len;
    io->segments[0].frame = frame;
    f->error = 0;
    f->parts = 1;
    f->valid = valid;
    cache->stats.blocks_read++;
    if (enter(cache, io, irq) != ENDED)
        return NULL;
    free_io(cache, io);
    f->parts = 0;
    filled(cache, frame, cache->io_status, waiter);
    return waiter;
}

static void complete(struct ash_cache *cache, struct ash_cache_io *io, int status, bool stopped) {
    ash_irq_t irq = ash__cache_enter(cache);
    ASH_REQUIRE(io >= cache->ios && io < cache->ios + cache->config.depth && io->submitted,
                "cache: I/O %p is not the backend's: it has ended before, or was never submitted",
                (void *)io);
    cache->news++;
    for (uint32_t i = 0; !stopped && i < io->segment_count; i++)
        cache->frames[io->segments[i].frame].flags |= LOST;
    if (io == cache->io_entering) { /* whoever submits it goes on with it */
        cache->io_entering = NULL;
        cache->io_status = ash__cache_error(status);
        io->submitted = false;
        ash__cache_leave(cache, irq);
        return;
    }
    end_io(cache, io, ash__cache_error(status));
    ash__cache_run(cache, irq);
}

void ash_cache_complete(struct ash_cache *cache, struct ash_cache_io *io, int status) {
    complete(cache, io, status, true);
}

void ash_cache_abandon(struct ash_cache *cache, struct ash_cache_io *io) {
    complete(cache, io, -ASH_EIO, false);
}
