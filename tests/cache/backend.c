/* SPDX-License-Identifier: MIT */
#include "cache/backend.h"

#include <ashlar/error.h>

static struct backend *of(void *context) {
    return context;
}

static bool overlap(const struct ash_cache_io *a, const struct ash_cache_io *b) {
    if (a->op == ASH_CACHE_OP_FLUSH || b->op == ASH_CACHE_OP_FLUSH)
        return false;
    if (a->op == ASH_CACHE_OP_READ && b->op == ASH_CACHE_OP_READ)
        return false;
    uint64_t a_end = a->sector + a->len_bytes / ASH_CACHE_SECTOR_BYTES;
    uint64_t b_end = b->sector + b->len_bytes / ASH_CACHE_SECTOR_BYTES;
    return a->sector < b_end && b->sector < a_end;
}

static void check_io(const struct backend *backend, const struct ash_cache_io *io) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < io->segment_count; i++) {
        CHECK(io->segments[i].len_bytes != 0);
        CHECK_EQ(io->segments[i].len_bytes % ASH_CACHE_SECTOR_BYTES, 0);
        total += io->segments[i].len_bytes;
    }
    CHECK_EQ(total, io->len_bytes);
    if (io->op == ASH_CACHE_OP_FLUSH) {
        CHECK_EQ(io->segment_count, 0);
        return;
    }
    CHECK(io->segment_count != 0);
    CHECK(io->sector <= backend->sectors);
    CHECK(total / ASH_CACHE_SECTOR_BYTES <= backend->sectors - io->sector);
}

static void count_io(struct backend *backend, const struct ash_cache_io *io) {
    backend->ios++;
    backend->reads += io->op == ASH_CACHE_OP_READ;
    backend->writes += io->op == ASH_CACHE_OP_WRITE;
    backend->flushes += io->op == ASH_CACHE_OP_FLUSH;
    if (backend->log_count < BACKEND_LOG_MAX)
        backend->log[backend->log_count++] =
            (struct backend_event){io->op, io->sector, io->len_bytes, io->segment_count};
}

static int submit(void *context, struct ash_cache_io *io) {
    struct backend *backend = of(context);
    uint64_t number = ++backend->submits;
    check_io(backend, io);
    if (backend->in_submit != NULL)
        backend->in_submit(backend);
    bool full = backend->pending_count == BACKEND_PENDING_MAX ||
                (backend->room != 0 && backend->pending_count >= backend->room);
    if (full || number == backend->eagain_at) {
        backend->refused++;
        return -ASH_EAGAIN;
    }
    if (number == backend->refuse_at)
        return backend->refuse_error;
    for (uint32_t i = 0; i < backend->pending_count; i++)
        backend->overlaps += overlap(io, backend->pending[i]);
    count_io(backend, io);
    io->backend = (void *)(uintptr_t)backend->ios;
    backend->ended_before[backend->pending_count] = backend->unflushed_count;
    backend->pending[backend->pending_count++] = io;
    if (backend->pending_count > backend->most_pending)
        backend->most_pending = backend->pending_count;
    if (backend->synchronous)
        backend_complete(backend, backend->pending_count - 1, 0);
    return 0;
}

static void kick(void *context) {
    of(context)->kicks++;
}

/* The first `count` of what is not flushed is safe from now on. */
static void make_durable(struct backend *backend, uint64_t count) {
    if (backend->durable == NULL)
        return;
    for (uint64_t i = 0; i < count; i++)
        memcpy(backend->durable + backend->unflushed[i].sector * ASH_CACHE_SECTOR_BYTES,
               backend->unflushed[i].bytes, ASH_CACHE_SECTOR_BYTES);
    backend->unflushed_count -= (uint32_t)count;
    memmove(backend->unflushed, backend->unflushed + count,
            backend->unflushed_count * sizeof(*backend->unflushed));
    for (uint32_t i = 0; i < backend->pending_count; i++)
        backend->ended_before[i] -= ash_min_u64(backend->ended_before[i], count);
}

static void keep(struct backend *backend, uint64_t sector, const uint8_t *bytes) {
    if (backend->unflushed_count == backend->unflushed_max) /* a disk may do so at any time */
        make_durable(backend, 1);
    struct backend_write *write = &backend->unflushed[backend->unflushed_count++];
    write->sector = sector;
    memcpy(write->bytes, bytes, ASH_CACHE_SECTOR_BYTES);
}

static void move(struct backend *backend, const struct ash_cache_io *io) {
    uint8_t *at = backend->bytes + io->sector * ASH_CACHE_SECTOR_BYTES;
    for (uint32_t i = 0; i < io->segment_count; i++) {
        const struct ash_cache_segment *segment = &io->segments[i];
        if (io->op == ASH_CACHE_OP_READ)
            memcpy(segment->data, at, segment->len_bytes);
        else
            memcpy(at, segment->data, segment->len_bytes);
        at += segment->len_bytes;
    }
    if (io->op == ASH_CACHE_OP_WRITE && backend->durable != NULL) {
        for (uint32_t done = 0; done < io->len_bytes; done += ASH_CACHE_SECTOR_BYTES)
            keep(backend, io->sector + done / ASH_CACHE_SECTOR_BYTES,
                 backend->bytes + io->sector * ASH_CACHE_SECTOR_BYTES + done);
    }
}

static int status_of(const struct backend *backend, const struct ash_cache_io *io) {
    uint64_t number = (uintptr_t)io->backend;
    if (backend->fail_at != 0 && number >= backend->fail_at &&
        number - backend->fail_at < backend->fail_count)
        return backend->fail_error;
    uint64_t end = io->sector + io->len_bytes / ASH_CACHE_SECTOR_BYTES;
    bool touches =
        io->op != ASH_CACHE_OP_FLUSH && io->sector < backend->fail_to && end > backend->fail_from;
    return touches ? backend->fail_error : 0;
}

void backend_complete(struct backend *backend, uint32_t which, int status) {
    CHECK(which < backend->pending_count);
    struct ash_cache_io *io = backend->pending[which];
    uint64_t covers = backend->ended_before[which];
    backend->pending_count--;
    for (uint32_t i = which; i < backend->pending_count; i++) {
        backend->pending[i] = backend->pending[i + 1];
        backend->ended_before[i] = backend->ended_before[i + 1];
    }
    if (status == 0)
        status = status_of(backend, io);
    if (status == 0 && io->op == ASH_CACHE_OP_FLUSH)
        make_durable(backend, covers);
    else if (status == 0)
        move(backend, io);
    ash_cache_complete(backend->cache, io, status);
}

void backend_complete_all(struct backend *backend) {
    uint64_t last = backend->ios;
    while (backend->pending_count != 0 && (uintptr_t)backend->pending[0]->backend <= last)
        backend_complete(backend, 0, 0);
}

uint32_t backend_drain(struct backend *backend) {
    enum { ENDLESS = 100000 };
    uint32_t rounds = 0;
    for (; backend->pending_count != 0; rounds++) {
        CHECK(rounds < ENDLESS);
        backend_complete_all(backend);
    }
    return rounds;
}

void backend_drain_randomly(struct backend *backend, struct test_random *random) {
    while (backend->pending_count != 0)
        backend_complete(backend, (uint32_t)test_random_below(random, backend->pending_count), 0);
}

uint32_t backend_count(const struct backend *backend, enum ash_cache_op op, uint32_t *first) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < backend->pending_count; i++) {
        if (backend->pending[i]->op == (uint8_t)op && count++ == 0 && first != NULL)
            *first = i;
    }
    return count;
}

void backend_init(struct backend *backend, struct ash_cache *cache, uint64_t sectors) {
    uint8_t *bytes = backend->bytes;
    if (bytes == NULL || backend->sectors < sectors)
        bytes = test_alloc(sectors * ASH_CACHE_SECTOR_BYTES, 64);
    *backend = (struct backend){.cache = cache,
                                .sectors = sectors,
                                .bytes = bytes,
                                .fail_error = -ASH_EIO,
                                .refuse_error = -ASH_EIO};
}

void backend_keep_durable(struct backend *backend, uint32_t unflushed_max) {
    size_t bytes = backend->sectors * ASH_CACHE_SECTOR_BYTES;
    backend->durable = test_alloc(bytes, 64);
    memcpy(backend->durable, backend->bytes, bytes);
    backend->unflushed = test_alloc(unflushed_max * sizeof(*backend->unflushed), 64);
    backend->unflushed_max = unflushed_max;
}

struct ash_cache_backend backend_callbacks(struct backend *backend) {
    return (struct ash_cache_backend){.submit = submit, .kick = kick, .context = backend};
}
