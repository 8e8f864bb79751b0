/* SPDX-License-Identifier: MIT */
/*
 * backend.h: a disk for the cache's cases: memory, with a volatile write cache, whose I/Os end one
 * by one in the order and with the errors that a case chooses.
 *
 *     submit ──> pending ──(backend_complete)──> bytes, unflushed ──(a FLUSH ended)──> durable
 *
 * Rules
 *  - What a write carries is taken from memory when it ends. Which writes a FLUSH makes durable:
 *    those that had ended when it was submitted.
 *  - What no cache should do is told at once, or counted: segments that lie outside of the disk, an
 *    I/O that overlaps another in flight where one of them writes.
 */
#ifndef TESTS_CACHE_BACKEND_H
#define TESTS_CACHE_BACKEND_H

#include "harness/test.h"

#include <ashlar/cache.h>

enum { BACKEND_PENDING_MAX = ASH_CACHE_DEPTH_MAX, BACKEND_LOG_MAX = 512 };

struct backend_write { /* of one sector */
    uint64_t sector;
    uint8_t bytes[ASH_CACHE_SECTOR_BYTES];
};

struct backend_event {
    uint8_t op; /* enum ash_cache_op */
    uint64_t sector;
    uint32_t len_bytes, segments;
};

struct backend {
    struct ash_cache *cache;
    uint64_t sectors;
    uint8_t *bytes;   /* what a read gets */
    uint8_t *durable; /* what is left when the power goes, unflushed writes aside; NULL: not kept */

    /* Set by the case. */
    uint32_t room;      /* I/Os that fit in; the next gets -ASH_EAGAIN; 0: as many as come */
    bool synchronous;   /* I/Os end within submit */
    uint64_t eagain_at; /* the submit, from 1, that gets -ASH_EAGAIN; 0: none */
    uint64_t refuse_at; /* the submit that gets refuse_error */
    int refuse_error;
    uint64_t fail_at;    /* the I/O, from 1, that ends with fail_error where the case says 0 */
    uint64_t fail_count; /* and how many from there on */
    int fail_error;
    uint64_t fail_from, fail_to; /* sectors: an I/O that touches one of [from, to) fails too */
    void (*in_submit)(struct backend *backend);

    struct ash_cache_io *pending[BACKEND_PENDING_MAX];
    uint64_t ended_before[BACKEND_PENDING_MAX]; /* of a FLUSH: unflushed writes that it covers */
    uint32_t pending_count;
    uint64_t submits, ios, kicks, reads, writes, flushes, refused; /* ios: taken */
    uint32_t overlaps, most_pending;

    struct backend_write *unflushed; /* ended and not durable, in their order */
    uint32_t unflushed_count, unflushed_max;
    struct backend_event log[BACKEND_LOG_MAX]; /* the first taken */
    uint32_t log_count;
};

/* From the harness: a disk of so many sectors, zeroed, for `cache`, which it is the backend of. */
void backend_init(struct backend *backend, struct ash_cache *cache, uint64_t sectors);

/* Keeps what is durable from now on, with so many sectors' worth of unflushed writes. */
void backend_keep_durable(struct backend *backend, uint32_t unflushed_max);

/* The cache's. */
struct ash_cache_backend backend_callbacks(struct backend *backend);

/* Ends pending I/O number `which` (0: the oldest); status 0 may be made an error by fail_*. */
void backend_complete(struct backend *backend, uint32_t which, int status);

/* Ends all that is pending now, the oldest first; whatever comes up meanwhile stays. */
void backend_complete_all(struct backend *backend);

/* Until nothing is pending any more. Returns the number of rounds of complete_all; fails the case
 * if there is no end to them. */
uint32_t backend_drain(struct backend *backend);

/* The same, one at a time in random order. */
void backend_drain_randomly(struct backend *backend, struct test_random *random);

/* The number of pending I/Os of that kind, and the first one's number. */
uint32_t backend_count(const struct backend *backend, enum ash_cache_op op, uint32_t *first);

#endif
