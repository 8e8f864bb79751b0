/* SPDX-License-Identifier: MIT */
/*
 * disk_requests.c: requests on their way: buffers for them, waiting, and what is done when the
 * device is silent or lies.
 */
#include "disk_internal.h"
#include "wait.h"

#include <ashlar/error.h>
#include <ashlar/event.h>
#include <ashlar/port.h>
#include <stdio.h>
#include <string.h>

ASH_EVENT_DEFINE_KIND(event_read, ASH_EVENT_ASYNC_BEGIN, "blk.read", "request:x,bytes");
ASH_EVENT_DEFINE_KIND(event_read_end, ASH_EVENT_ASYNC_END, "blk.read", "request:x,error:e");
ASH_EVENT_DEFINE_KIND(event_write, ASH_EVENT_ASYNC_BEGIN, "blk.write", "request:x,bytes");
ASH_EVENT_DEFINE_KIND(event_write_end, ASH_EVENT_ASYNC_END, "blk.write", "request:x,error:e");
ASH_EVENT_DEFINE_KIND(event_flush, ASH_EVENT_ASYNC_BEGIN, "blk.flush", "request:x");
ASH_EVENT_DEFINE_KIND(event_flush_end, ASH_EVENT_ASYNC_END, "blk.flush", "request:x,error:e");
ASH_EVENT_DEFINE_KIND(event_other, ASH_EVENT_ASYNC_BEGIN, "blk.other", "request:x,operation");
ASH_EVENT_DEFINE_KIND(event_other_end, ASH_EVENT_ASYNC_END, "blk.other", "request:x,error:e");
ASH_EVENT_DEFINE_KIND(event_in_flight, ASH_EVENT_COUNTER, "blk.in_flight", "disk,requests");

enum { SPINS_MAX = 256, PAUSE_MIN_NS = 1000, PAUSE_MAX_NS = 1000000 };

/* Buffers */

void disk_bounce_drop(struct disk *disk, struct disk_bounce *bounce) {
    for (uint32_t i = 0; i < bounce->count; i++)
        ash_dma_pool_free(&disk->pool, bounce->buffers[i]);
    *bounce = (struct disk_bounce){.count = 0};
}

void disk_bounce_in(struct disk_bounce *bounce, size_t skip, const uint8_t *from, size_t len) {
    while (len != 0) {
        uint8_t *page = ash_dma_buffer_data(bounce->buffers[skip >> ASH_PAGE_SHIFT]);
        size_t at = skip % ASH_PAGE_SIZE, part = (size_t)ash_min_u64(len, ASH_PAGE_SIZE - at);
        memcpy(page + at, from, part);
        from += part;
        skip += part;
        len -= part;
    }
}

static void copy_out(const struct disk_bounce *bounce) {
    uint8_t *to = bounce->to;
    size_t skip = bounce->skip, len = bounce->len;
    while (len != 0) {
        const uint8_t *page = ash_dma_buffer_data(bounce->buffers[skip >> ASH_PAGE_SHIFT]);
        size_t at = skip % ASH_PAGE_SIZE, part = (size_t)ash_min_u64(len, ASH_PAGE_SIZE - at);
        memcpy(to, page + at, part);
        to += part;
        skip += part;
        len -= part;
    }
}

/* The buffers as segments; those that lie side by side are one. */
static uint32_t segments_of(const struct disk_bounce *bounce, size_t bytes,
                            struct ash_dma_segment segments[DISK_REQUEST_PAGES]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < bounce->count; i++) {
        uint32_t part = (uint32_t)ash_min_u64(bytes, ASH_PAGE_SIZE);
        ash_paddr_t address = bounce->buffers[i]->address;
        bytes -= part;
        if (count != 0 && segments[count - 1].address + segments[count - 1].len_bytes == address)
            segments[count - 1].len_bytes += part;
        else
            segments[count++] = (struct ash_dma_segment){address, part};
    }
    return count;
}

static struct disk_bounce *try_bounce(struct disk *disk, size_t bytes) {
    struct ash_dma_segment segments[DISK_REQUEST_PAGES];
    struct disk_bounce *bounce = disk->bounces, *end = bounce + DISK_IN_FLIGHT_MAX;
    uint32_t pages = (uint32_t)((bytes + ASH_PAGE_SIZE - 1) >> ASH_PAGE_SHIFT);
    while (bounce < end && bounce->count != 0)
        bounce++;
    if (bounce == end || ash_dma_pool_free_count(&disk->pool) < pages)
        return NULL;
    while (bounce->count < pages)
        bounce->buffers[bounce->count++] = ash_dma_pool_alloc(&disk->pool);
    if (segments_of(bounce, bytes, segments) <= disk->blk.segments_max)
        return bounce;
    /* Without scattering it takes buffers side by side: once none is in use they are. */
    disk_bounce_drop(disk, bounce);
    return NULL;
}

/* Events */

/* Tokens are a disk's own. */
static uint64_t request_id(const struct disk *disk, uint32_t token) {
    return (uint64_t)disk->number << 32 | token;
}

/* Where the operation of a request in flight is kept: completions do not say it. */
static uint8_t *op_of(struct disk *disk, uint32_t token) {
    return &disk->ops[token % DISK_IN_FLIGHT_MAX];
}

static void tell_in_flight(const struct disk *disk) {
    if (ASH_EVENT_IS_ON(event_in_flight))
        ASH_EVENT(event_in_flight, disk->number, ash_virtio_blk_in_flight(disk->queue));
    (void)disk; /* where no event is compiled in */
}

static void tell_submitted(struct disk *disk, const struct ash_virtio_blk_request *request,
                           uint32_t token) {
    uint64_t id = request_id(disk, token), bytes = 0;
    for (uint32_t i = 0; i < request->segment_count; i++)
        bytes += request->segments[i].len_bytes;
    *op_of(disk, token) = (uint8_t)request->op;
    switch (request->op) {
    case ASH_VIRTIO_BLK_READ:
        ASH_EVENT(event_read, id, bytes);
        break;
    case ASH_VIRTIO_BLK_WRITE:
        ASH_EVENT(event_write, id, bytes);
        break;
    case ASH_VIRTIO_BLK_FLUSH:
        ASH_EVENT(event_flush, id, 0);
        break;
    default:
        ASH_EVENT(event_other, id, request->op);
    }
    tell_in_flight(disk);
}

static void tell_completed(struct disk *disk, const struct ash_virtio_blk_done *done) {
    uint64_t id = request_id(disk, done->token);
    int64_t error = done->status;
    switch (*op_of(disk, done->token)) {
    case ASH_VIRTIO_BLK_READ:
        ASH_EVENT(event_read_end, id, error);
        break;
    case ASH_VIRTIO_BLK_WRITE:
        ASH_EVENT(event_write_end, id, error);
        break;
    case ASH_VIRTIO_BLK_FLUSH:
        ASH_EVENT(event_flush_end, id, error);
        break;
    default:
        ASH_EVENT(event_other_end, id, error);
    }
}

static int submit(struct disk *disk, const struct ash_virtio_blk_request *request) {
    uint32_t token;
    int error = ash_virtio_blk_submit(disk->queue, request, &token);
    if (error == 0)
        tell_submitted(disk, request, token);
    return error;
}

/* Completions */

static bool is_bounce(const struct disk *disk, const void *cookie) {
    return (uintptr_t)cookie - (uintptr_t)disk->bounces < sizeof(disk->bounces);
}

/* Its buffers are the CPU's again, and the pool's if nobody waits for what is in them. Its error,
 * if that is of the call in progress. */
static int finish(struct disk *disk, const struct ash_virtio_blk_done *done) {
    tell_completed(disk, done);
    struct disk_bounce *bounce = done->cookie;
    if (bounce == NULL)
        return done->status;
    if (!is_bounce(disk, bounce)) {
        struct disk_async *async = done->cookie;
        bool is_aborted = done->status != 0 && disk->aborted != 0;
        disk->aborted -= is_aborted;
        async->done(async, is_aborted ? disk->abort_error : done->status);
        return 0;
    }
    for (uint32_t i = 0; i < bounce->count; i++)
        ash_dma_buffer_take(bounce->buffers[i]);
    if (done->status == 0 && bounce->to != NULL)
        copy_out(bounce);
    if (!bounce->stays)
        disk_bounce_drop(disk, bounce);
    return done->status;
}

/* Also true when the policy does not let it sleep: it is called with interrupts masked, and may
 * spin for so long only. On any CPU, but for the one who holds the mutex and sleeps. */
static bool has_completions(void *context) {
    struct disk *disk = context;
    for (uint32_t spins = 0; spins < SPINS_MAX; spins++) {
        disk->done_count = ash_virtio_blk_reap(disk->queue, disk->done, DISK_IN_FLIGHT_MAX);
        if (disk->done_count != 0)
            return true;
        if (ash_virtio_blk_may_sleep(disk->queue))
            return false;
    }
    return true;
}

static bool never(void *context) {
    (void)context;
    return false;
}

/* Until the queue has something, or the time has come. A policy that polls leaves the CPU to others
 * now and then, for longer the longer nothing comes. */
static void wait_for_completions(struct disk *disk, ash_ns_t deadline_ns) {
    for (ash_ns_t pause_ns = PAUSE_MIN_NS;; pause_ns = ash_min_u64(2 * pause_ns, PAUSE_MAX_NS)) {
        if (kernel_wait(has_completions, disk, deadline_ns) != 0 || disk->done_count != 0)
            return;
        ash_ns_t now_ns = platform_now_ns();
        if (now_ns >= deadline_ns)
            return;
        (void)!kernel_wait(never, NULL, ash_min_u64(now_ns + pause_ns, deadline_ns));
    }
}

int disk_recover(struct disk *disk, int error, bool may_resubmit) {
    bool is_late = error == -ASH_ETIMEDOUT;
    bool is_stuck = is_late || ash_virtio_status_check(&disk->mmio.transport) != 0;
    bool again = may_resubmit && is_stuck;
    disk->timeouts += is_late;
    snprintf(disk->reason, sizeof(disk->reason), "%s", ash_virtio_blk_reason(&disk->blk));
    int failed =
        ash_virtio_blk_reset(&disk->blk, again ? ASH_VIRTIO_BLK_RESUBMIT : ASH_VIRTIO_BLK_FAIL,
                             platform_now_ns() + DISK_TIMEOUT_NS);
    if (failed == -ASH_ETIMEDOUT)
        disk->dead = true;
    return failed == 0 && again ? 0 : error;
}

static int recover(struct disk *disk, int error) {
    bool first = !disk->was_resubmitted;
    disk->was_resubmitted = true;
    error = disk_recover(disk, error, first);
    disk->aborted = error != 0 && !disk->dead ? ash_virtio_blk_in_flight(disk->queue) : 0;
    disk->abort_error = error;
    return error;
}

/* What the last reap brought; or `error`, what is wrong with the device. 0, or the first error. */
static int take(struct disk *disk, int error) {
    if (error == 0 && disk->done_count < 0)
        error = disk->done_count;
    if (error != 0)
        return recover(disk, error);
    tell_in_flight(disk);
    for (int i = 0; i < disk->done_count; i++) {
        int one = finish(disk, &disk->done[i]);
        error = error != 0 ? error : one;
    }
    return error;
}

/* Takes what has completed, one at least: 0, or the first error. */
static int complete(struct disk *disk) {
    int error = 0;
    do {
        wait_for_completions(disk, platform_now_ns() + DISK_WATCH_NS);
        if (disk->done_count == 0)
            error = ash_virtio_blk_watch(&disk->blk, platform_now_ns());
    } while (error == 0 && disk->done_count == 0);
    return take(disk, error);
}

int disk_drain(struct disk *disk, int error) {
    ash_virtio_blk_kick(disk->queue);
    while (ash_virtio_blk_in_flight(disk->queue) != 0 && !disk->dead) {
        int later = complete(disk);
        error = error != 0 ? error : later;
    }
    return error;
}

/* Requests */

int disk_submit(struct disk *disk, struct ash_virtio_blk_request *request) {
    for (;;) {
        request->deadline_ns = platform_now_ns() + DISK_TIMEOUT_NS;
        int error = submit(disk, request);
        if (error == -ASH_EAGAIN) {
            ash_virtio_blk_kick(disk->queue);
            error = complete(disk);
        } else if (error == -ASH_EIO) {
            error = recover(disk, error);
        } else {
            return error;
        }
        if (error != 0)
            return error;
    }
}

struct disk_bounce *disk_bounce_take(struct disk *disk, size_t bytes, int *error) {
    struct disk_bounce *bounce;
    *error = 0;
    while (*error == 0 && (bounce = try_bounce(disk, bytes)) == NULL) {
        ash_virtio_blk_kick(disk->queue);
        /* Buffers of a device that was given up never come back. */
        *error = ash_virtio_blk_in_flight(disk->queue) == 0 ? -ASH_ENOMEM : complete(disk);
    }
    return *error == 0 ? bounce : NULL;
}

int disk_bounce_submit(struct disk *disk, struct disk_bounce *bounce, enum ash_virtio_blk_op op,
                       uint64_t offset, size_t bytes) {
    struct ash_dma_segment segments[DISK_REQUEST_PAGES];
    struct ash_virtio_blk_request request = {.op = op,
                                             .sector = offset / ASH_VIRTIO_BLK_SECTOR_SIZE,
                                             .segments = segments,
                                             .segment_count = segments_of(bounce, bytes, segments),
                                             .cookie = bounce};
    int error = disk_submit(disk, &request);
    for (uint32_t i = 0; error == 0 && i < bounce->count; i++)
        ash_dma_buffer_give(bounce->buffers[i]);
    return error;
}

/* Requests that end by a call */

int disk_async_submit(struct disk *disk, struct ash_virtio_blk_request *request,
                      struct disk_async *async) {
    if (disk->dead)
        return -ASH_EIO;
    request->cookie = async;
    request->deadline_ns = platform_now_ns() + DISK_TIMEOUT_NS;
    int error = submit(disk, request);
    if (error != -ASH_EIO)
        return error;
    (void)recover(disk, error);
    return disk->dead ? -ASH_EIO : submit(disk, request);
}

void disk_async_kick(struct disk *disk) {
    ash_virtio_blk_kick(disk->queue);
}

void disk_async_begin(struct disk *disk) {
    disk->was_resubmitted = false;
    disk->reason[0] = '\0';
}

bool disk_async_wait(struct disk *disk) {
    if (disk->dead || ash_virtio_blk_in_flight(disk->queue) == 0)
        return false;
    ash_virtio_blk_kick(disk->queue);
    (void)!complete(disk); /* each request hears of its own error */
    return true;
}

bool disk_async_is_busy(const struct disk *disk) {
    return !disk->dead && ash_virtio_blk_in_flight(disk->queue) != 0;
}

bool disk_async_take(struct disk *disk) {
    if (!disk_async_is_busy(disk))
        return false;
    disk->done_count = ash_virtio_blk_reap(disk->queue, disk->done, DISK_IN_FLIGHT_MAX);
    if (disk->done_count == 0)
        return false;
    (void)!take(disk, 0); /* each request hears of its own error */
    return true;
}

bool disk_async_may_sleep(struct disk *disk) {
    return ash_virtio_blk_may_sleep(disk->queue);
}

void disk_async_watch(struct disk *disk) {
    if (!disk_async_is_busy(disk))
        return;
    int error = ash_virtio_blk_watch(&disk->blk, platform_now_ns());
    if (error != 0)
        (void)!recover(disk, error);
}
