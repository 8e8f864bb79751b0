/* SPDX-License-Identifier: MIT */
/*
 * pipe.c: see pipe.h. One mutex guards the ring; how full it is and which ends are open is also
 * read without it, by who waits: a waiter looks again once it has the mutex.
 */
#include "pipe.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <string.h>

#include "process_wait.h"

struct pipe {
    struct mutex mutex;
    struct wait_queue readers, writers; /* who waits for bytes, for room */
    struct allocator allocator;
    uint8_t *ring;
    uint32_t first; /* the oldest byte */
    uint32_t used;
    bool is_read, is_written; /* the end is open */
    uint32_t ends;            /* that have not let go of it yet */
};

/* Waiting */

static bool has_bytes(void *context) {
    struct pipe *pipe = context;
    return ash_load_acquire(&pipe->used) != 0 || !ash_load_acquire(&pipe->is_written);
}

struct room {
    struct pipe *pipe;
    uint32_t wanted;
};

static bool has_room(void *context) {
    struct room *room = context;
    return PIPE_BYTES - ash_load_acquire(&room->pipe->used) >= room->wanted ||
           !ash_load_acquire(&room->pipe->is_read);
}

static void changed(struct wait_queue *queue) {
    wait_queue_wake(queue, WAIT_QUEUE_ALL);
    open_file_changed();
}

/* The ring; the mutex is held */

static uint32_t take(struct pipe *pipe, uint8_t *to, size_t len) {
    uint32_t count = (uint32_t)ash_min_u64(len, pipe->used);
    uint32_t straight = (uint32_t)ash_min_u64(count, PIPE_BYTES - pipe->first);
    memcpy(to, pipe->ring + pipe->first, straight);
    memcpy(to + straight, pipe->ring, count - straight);
    pipe->first = (pipe->first + count) % PIPE_BYTES;
    ash_store_release(&pipe->used, pipe->used - count);
    return count;
}

static uint32_t add(struct pipe *pipe, const uint8_t *from, size_t len) {
    uint32_t count = (uint32_t)ash_min_u64(len, PIPE_BYTES - pipe->used);
    uint32_t end = (pipe->first + pipe->used) % PIPE_BYTES;
    uint32_t straight = (uint32_t)ash_min_u64(count, PIPE_BYTES - end);
    memcpy(pipe->ring + end, from, straight);
    memcpy(pipe->ring, from + straight, count - straight);
    ash_store_release(&pipe->used, pipe->used + count);
    return count;
}

/* The ends */

static int64_t pipe_read(struct open_file *file, uint64_t offset, void *buffer, size_t len) {
    struct pipe *pipe = file->object;
    (void)offset;
    while (len != 0) {
        mutex_lock(&pipe->mutex);
        bool is_written = pipe->is_written;
        uint32_t got = take(pipe, buffer, len);
        mutex_unlock(&pipe->mutex);
        if (got != 0)
            changed(&pipe->writers);
        if (got != 0 || !is_written)
            return got;
        if ((ash_load_relaxed(&file->flags) & OPEN_NONBLOCK) != 0)
            return -ASH_EAGAIN;
        int error = process_wait(&pipe->readers, has_bytes, pipe, UINT64_MAX);
        if (error != 0)
            return error;
    }
    return 0;
}

/* What fits now, all or nothing where it is to go in one piece; -ASH_EAGAIN: nothing. */
static int64_t write_some(struct pipe *pipe, const uint8_t *from, size_t len, uint32_t wanted) {
    int64_t done = -ASH_EAGAIN;
    mutex_lock(&pipe->mutex);
    if (!pipe->is_read)
        done = -ASH_EPIPE;
    else if (PIPE_BYTES - pipe->used >= wanted)
        done = add(pipe, from, len);
    mutex_unlock(&pipe->mutex);
    if (done > 0)
        changed(&pipe->readers);
    return done;
}

static int64_t pipe_write(struct open_file *file, uint64_t offset, const void *buffer, size_t len) {
    struct room room = {file->object, len <= PIPE_ATOMIC ? (uint32_t)len : 1};
    size_t done = 0;
    (void)offset;
    while (done < len) {
        int64_t some =
            write_some(room.pipe, (const uint8_t *)buffer + done, len - done, room.wanted);
        if (some == -ASH_EAGAIN && (ash_load_relaxed(&file->flags) & OPEN_NONBLOCK) == 0)
            some = process_wait(&room.pipe->writers, has_room, &room, UINT64_MAX);
        if (some < 0)
            return done != 0 ? (int64_t)done : some;
        done += (size_t)some;
    }
    return (int64_t)done;
}

static uint32_t reader_ready(struct open_file *file) {
    struct pipe *pipe = file->object;
    uint32_t ready = ash_load_acquire(&pipe->used) != 0 ? OPEN_POLL_IN : 0;
    return ash_load_acquire(&pipe->is_written) ? ready : ready | OPEN_POLL_HANG_UP;
}

static uint32_t writer_ready(struct open_file *file) {
    struct room room = {file->object, PIPE_ATOMIC};
    uint32_t ready = has_room(&room) ? OPEN_POLL_OUT : 0;
    return ash_load_acquire(&room.pipe->is_read) ? ready : ready | OPEN_POLL_ERROR;
}

static void describe(struct open_file *file, struct file_status *status) {
    struct pipe *pipe = file->object;
    status->mode = MODE_PIPE | 0600;
    status->size_bytes = ash_load_acquire(&pipe->used);
}

static void free_pipe(struct pipe *pipe) {
    struct allocator allocator = pipe->allocator;
    allocator.free(allocator.context, pipe->ring);
    allocator.free(allocator.context, pipe);
}

/* Waiters of the other end have a reference to that, so the pipe stays while they look. */
static void close_end(struct pipe *pipe, bool *end, struct wait_queue *others) {
    mutex_lock(&pipe->mutex);
    ash_store_release(end, false);
    mutex_unlock(&pipe->mutex);
    changed(others);
    if (__atomic_fetch_sub(&pipe->ends, 1u, __ATOMIC_ACQ_REL) == 1)
        free_pipe(pipe);
}

static void close_reader(struct open_file *file) {
    struct pipe *pipe = file->object;
    close_end(pipe, &pipe->is_read, &pipe->writers);
}

static void close_writer(struct open_file *file) {
    struct pipe *pipe = file->object;
    close_end(pipe, &pipe->is_written, &pipe->readers);
}

static const struct open_file_type reader_type = {
    .read = pipe_read, .describe = describe, .ready = reader_ready, .close = close_reader};
static const struct open_file_type writer_type = {
    .write = pipe_write, .describe = describe, .ready = writer_ready, .close = close_writer};

static struct pipe *new_pipe(const struct allocator *allocator) {
    struct pipe *pipe = allocator->alloc(allocator->context, sizeof(*pipe));
    if (pipe == NULL)
        return NULL;
    *pipe = (struct pipe){.allocator = *allocator, .is_read = true, .is_written = true, .ends = 2};
    mutex_init(&pipe->mutex);
    wait_queue_init(&pipe->readers);
    wait_queue_init(&pipe->writers);
    pipe->ring = allocator->alloc(allocator->context, PIPE_BYTES);
    if (pipe->ring != NULL)
        return pipe;
    free_pipe(pipe);
    return NULL;
}

int pipe_new(const struct allocator *allocator, uint32_t flags, struct open_file **reader,
             struct open_file **writer) {
    struct pipe *pipe = new_pipe(allocator);
    if (pipe == NULL)
        return -ASH_ENOMEM;
    *reader = open_file_new(allocator, &reader_type, OPEN_READ_ONLY | flags, pipe);
    if (*reader == NULL) {
        free_pipe(pipe);
        return -ASH_ENOMEM;
    }
    *writer = open_file_new(allocator, &writer_type, OPEN_WRITE_ONLY | flags, pipe);
    if (*writer == NULL) {
        pipe->ends = 1;
        open_file_put(*reader);
        return -ASH_ENOMEM;
    }
    return 0;
}
