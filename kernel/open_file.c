/* SPDX-License-Identifier: MIT */
/* open_file.c: see open_file.h. */
#include "open_file.h"

#include <ashlar/atomic.h>
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <string.h>

#include "process_wait.h"

struct open_file *open_file_new(const struct allocator *allocator,
                                const struct open_file_type *type, uint32_t flags, void *object) {
    struct open_file *file = allocator->alloc(allocator->context, sizeof(*file));
    if (file == NULL)
        return NULL;
    *file = (struct open_file){.type = type,
                               .allocator = *allocator,
                               .references = 1,
                               .flags = flags & (OPEN_ACCESS | OPEN_SETTABLE | OPEN_PATH),
                               .object = object};
    mutex_init(&file->mutex);
    return file;
}

struct open_file *open_file_get(struct open_file *file) {
    uint32_t before = ash_fetch_add(&file->references, 1u);
    ASH_REQUIRE(before != 0 && before != UINT32_MAX, "open_file_get: %u references", before);
    return file;
}

void open_file_put(struct open_file *file) {
    uint32_t before = __atomic_fetch_sub(&file->references, 1u, __ATOMIC_ACQ_REL);
    ASH_REQUIRE(before != 0, "open_file_put: nobody had a reference");
    if (before != 1)
        return;
    if (file->type->close != NULL)
        file->type->close(file);
    struct allocator allocator = file->allocator;
    allocator.free(allocator.context, file);
}

/* Reading and writing */

static bool may(const struct open_file *file, uint32_t access) {
    uint32_t has = file->flags & OPEN_ACCESS;
    return (file->flags & OPEN_PATH) == 0 && (has == access || has == OPEN_READ_WRITE);
}

/* So that no offset passes 2^63 - 1, and a count of bytes is one of a signed number. */
static size_t within(uint64_t offset, size_t len) {
    return (size_t)ash_min_u64(len, (uint64_t)INT64_MAX - offset);
}

int64_t open_file_read(struct open_file *file, void *buffer, size_t len) {
    if (!may(file, OPEN_READ_ONLY))
        return -ASH_EBADF;
    if (file->type->read == NULL)
        return file->node != NULL ? -ASH_EISDIR : -ASH_EINVAL;
    if (!file->type->is_seekable)
        return file->type->read(file, 0, buffer, within(0, len));
    mutex_lock(&file->mutex);
    int64_t got = file->type->read(file, file->offset, buffer, within(file->offset, len));
    if (got > 0)
        file->offset += (uint64_t)got;
    mutex_unlock(&file->mutex);
    return got;
}

int64_t open_file_write(struct open_file *file, const void *buffer, size_t len) {
    if (!may(file, OPEN_WRITE_ONLY))
        return -ASH_EBADF;
    if (file->type->write == NULL)
        return -ASH_EINVAL;
    if (!file->type->is_seekable)
        return file->type->write(file, 0, buffer, within(0, len));
    mutex_lock(&file->mutex);
    int64_t done = file->type->write(file, file->offset, buffer, within(file->offset, len));
    if (done > 0)
        file->offset += (uint64_t)done;
    mutex_unlock(&file->mutex);
    return done;
}

int64_t open_file_read_at(struct open_file *file, uint64_t offset, void *buffer, size_t len) {
    if (!may(file, OPEN_READ_ONLY))
        return -ASH_EBADF;
    if (offset > INT64_MAX)
        return -ASH_EINVAL;
    if (file->type->read == NULL)
        return file->node != NULL ? -ASH_EISDIR : -ASH_EINVAL;
    if (!file->type->is_seekable)
        return -ASH_ESPIPE;
    return file->type->read(file, offset, buffer, within(offset, len));
}

static int64_t place(struct open_file *file, int64_t offset, uint32_t whence) {
    struct file_status status;
    uint64_t from = 0;
    if (whence == 1)
        from = file->offset;
    if (whence == 2) {
        open_file_describe(file, &status);
        from = status.size_bytes;
    }
    if (whence > 2 || (offset < 0 && 0 - (uint64_t)offset > from))
        return -ASH_EINVAL;
    if (offset > 0 && from > (uint64_t)INT64_MAX - (uint64_t)offset)
        return -ASH_EOVERFLOW;
    return (int64_t)(from + (uint64_t)offset);
}

int64_t open_file_seek(struct open_file *file, int64_t offset, uint32_t whence) {
    if ((file->flags & OPEN_PATH) != 0)
        return -ASH_EBADF;
    if (!file->type->is_seekable)
        return -ASH_ESPIPE;
    mutex_lock(&file->mutex);
    int64_t at = place(file, offset, whence);
    if (at >= 0)
        file->offset = (uint64_t)at;
    mutex_unlock(&file->mutex);
    return at;
}

void open_file_describe(struct open_file *file, struct file_status *status) {
    memset(status, 0, sizeof(*status));
    file->type->describe(file, status);
}

/* Readiness */

uint32_t open_file_ready(struct open_file *file) {
    return file->type->ready == NULL ? OPEN_POLL_IN | OPEN_POLL_OUT : file->type->ready(file);
}

/* One queue for all: who polls is rare, and looks at its own files again. */
static struct {
    struct wait_queue queue;
    uint32_t waiting;
} polls = {.queue.waiters = ASH_LIST_INIT(polls.queue.waiters)};

int open_file_poll(bool (*condition)(void *context), void *context, ash_ns_t deadline_ns) {
    ash_fetch_add(&polls.waiting, 1u); /* before the look: see open_file_changed */
    int error = process_wait(&polls.queue, condition, context, deadline_ns);
    __atomic_fetch_sub(&polls.waiting, 1u, __ATOMIC_RELAXED);
    return error;
}

void open_file_changed(void) {
    ash_fence(); /* between what has changed and the look at who waits for it */
    if (ash_load_relaxed(&polls.waiting) != 0)
        wait_queue_wake(&polls.queue, WAIT_QUEUE_ALL);
}
