/* SPDX-License-Identifier: MIT */
/*
 * trace.h: the tracer: rings of fixed records, one a CPU, written at the cost of reading the clock.
 *
 * Rules
 *  - A ring is written by one CPU, pinned: by what runs there and by the interrupts that nest in
 *    it, with none masked. An interrupt may come between any two instructions of a write and write
 *    into the same ring itself, between ash_trace_enter and ash_trace_leave.
 *  - Readers are anybody, at any time: a record that is being written, or was overwritten while it
 *    was copied, is never handed out.
 *  - What full means is chosen at init: the oldest record is overwritten (a flight recorder), or
 *    the newest are dropped. Interrupts that fill a whole ring on top of an unfinished write have
 *    the rest of their records dropped in either mode, for that write goes on into its record.
 *    All of it is counted exactly:
 *        emitted = readable + overwritten + dropped + unfinished
 *    where unfinished are records reserved and not committed (0 once the CPU is out of a write).
 *  - Storage is the caller's. Nothing is allocated; nothing but init fails.
 *  - Port primitives: the cycle counter, a fetch-add that is atomic to this CPU's interrupts
 *    (ash_fetch_add_local), ordered loads and stores, ash_fence_stores, ash_fence_acquire.
 *
 *     ring:  next = | task 20 | depth 2 | sequence 42 |        one fetch-add reserves a record and
 *                                                              says who writes
 *     record: +--------------------+-------+-------+-------+
 *             | task depth id seq  | clock |   a   |   b   |   32 bytes; the first word is stored
 *             +--------------------+-------+-------+-------+   last
 *
 * Sequence numbers of a ring start at 1 and count the records that were not dropped; they are 64
 * bits wide to readers (lib/prof/DESIGN.md: laps).
 *
 * Source: the reserve and commit of LTTng (Desnoyers and Dagenais, "Lockless multi-core
 * high-throughput buffering scheme for kernel tracing", 2012), with records of one size.
 */
#ifndef ASHLAR_TRACE_H
#define ASHLAR_TRACE_H

#include <ashlar/error.h>
#include <ashlar/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_TRACE_EVENTS_MIN     64u              /* of a ring */
#define ASH_TRACE_EVENTS_DEFAULT 65536u           /* 2 MiB */
#define ASH_TRACE_EVENTS_MAX     (1u << 26)       /* 2 GiB */
#define ASH_TRACE_ID_MAX         1023u            /* ids of events are 1 .. this */
#define ASH_TRACE_TASK_MAX       ((1u << 20) - 1) /* tasks' numbers are kept modulo this + 1 */
#define ASH_TRACE_DEPTH_MAX      3u /* of nested interrupts; deeper ones count as it */

#define ASH_TRACE_SEQUENCE_BITS 42
#define ASH_TRACE_DEPTH_SHIFT   42
#define ASH_TRACE_TASK_SHIFT    44
#define ASH_TRACE_ID_SHIFT      32 /* of a record's first word: over the sequence's higher bits */

struct ash_trace_record {
    uint64_t header; /* task 63..44, depth 43..42, id 41..32, sequence 31..0; 0: nothing yet */
    uint64_t clock;  /* ash_port_cycles */
    uint64_t a, b;
} __attribute__((aligned(32)));

static inline uint32_t ash_trace_id(const struct ash_trace_record *record) {
    return (uint32_t)(record->header >> ASH_TRACE_ID_SHIFT) & ASH_TRACE_ID_MAX;
}

static inline uint32_t ash_trace_depth(const struct ash_trace_record *record) {
    return (uint32_t)(record->header >> ASH_TRACE_DEPTH_SHIFT) & ASH_TRACE_DEPTH_MAX;
}

static inline uint32_t ash_trace_task(const struct ash_trace_record *record) {
    return (uint32_t)(record->header >> ASH_TRACE_TASK_SHIFT);
}

enum ash_trace_mode { ASH_TRACE_OVERWRITE, ASH_TRACE_STOP };

struct ash_trace_ring {
    /* All private. The first line is this CPU's alone while it writes. */
    uint64_t next;
    uint64_t limit; /* of the fast path: a place (ash__trace_place) that it stays below */
    uint64_t mask;  /* records - 1 */
    struct ash_trace_record *records;
    uint64_t dropped;
    uint64_t lap, lap_done; /* times the sequence was set back; they differ while it is */
    uint64_t floor;         /* the oldest write that was interrupted, as it was last known; or 0 */
    uint32_t nesting;       /* interrupts; depth is at most ASH_TRACE_DEPTH_MAX of them */
    uint32_t mode;
} __attribute__((aligned(128)));

struct ash_trace_counts {
    uint64_t emitted, overwritten, dropped; /* the last sequence number is emitted - dropped */
};

/*
 * records: `count` of them, aligned to their size; a power of two from ASH_TRACE_EVENTS_MIN to
 * _MAX. They are cleared: O(count). -ASH_EINVAL.
 */
int ash_trace_init(struct ash_trace_ring *ring, struct ash_trace_record *records, uint32_t count,
                   enum ash_trace_mode mode) ASH_MUST_CHECK;

/* Empty again; task and depth as they were. Nobody writes or reads meanwhile. O(records). */
void ash_trace_reset(struct ash_trace_ring *ring);

/* Whose records the next ones are; called masked, by the ring's CPU. */
static inline void ash_trace_set_task(struct ash_trace_ring *ring, uint32_t task);

/* Around the handlers of an interrupt; by the ring's CPU, masked. */
static inline void ash_trace_enter(struct ash_trace_ring *ring);
static inline void ash_trace_leave(struct ash_trace_ring *ring);

/* The ring's CPU, pinned, any context. id: 1 .. ASH_TRACE_ID_MAX. */
static inline void ash_trace_write(struct ash_trace_ring *ring, uint32_t id, uint64_t a,
                                   uint64_t b);

/* Anybody, at any time: a moment's counts. */
void ash_trace_count(const struct ash_trace_ring *ring, struct ash_trace_counts *counts);

/*
 * Copies the record with the least sequence number from *cursor on that is still there and whole,
 * and sets *cursor behind it; false: there is none (*cursor is then behind the last one reserved).
 * *cursor 0 is the oldest. What is passed over is the caller's to count, by the difference. O(1)
 * but for records that are passed over.
 */
bool ash_trace_read(const struct ash_trace_ring *ring, uint64_t *cursor,
                    struct ash_trace_record *record) ASH_MUST_CHECK;

/*
 * The whole of a ring that nobody writes any more: records as they lie in memory, for a dump. The
 * one with sequence number s is at [s & (*count - 1)].
 */
const struct ash_trace_record *ash_trace_records(const struct ash_trace_ring *ring,
                                                 uint32_t *count);

/* The first broken invariant (lib/prof/DESIGN.md), or NULL. Nobody writes meanwhile. O(records). */
const char *ash_trace_check(const struct ash_trace_ring *ring);

/* Writing, inline */

#define ASH__TRACE_SEQUENCE_MASK ((UINT64_C(1) << ASH_TRACE_SEQUENCE_BITS) - 1)
#define ASH__TRACE_DEPTH_ONE     (UINT64_C(1) << ASH_TRACE_DEPTH_SHIFT)
#define ASH__TRACE_ID_MASK       ((uint64_t)ASH_TRACE_ID_MAX << ASH_TRACE_ID_SHIFT)

/* A sequence number where comparing two is one instruction: at the top of the word. */
static inline uint64_t ash__trace_place(uint64_t sequence) {
    return sequence << (64 - ASH_TRACE_SEQUENCE_BITS);
}

/* The rest of a write whose sequence number has reached the limit. */
void ash__trace_write_at_limit(struct ash_trace_ring *ring, uint64_t reserved, uint32_t id,
                               uint64_t a, uint64_t b);

/* The interrupt came in the middle of the write with this sequence number. */
void ash__trace_interrupted(struct ash_trace_ring *ring, uint64_t sequence);

static inline bool ash__trace_is_committed(const struct ash_trace_ring *ring, uint64_t sequence) {
    const struct ash_trace_record *record = &ring->records[sequence & ring->mask];
    return (uint32_t)ash_load_word(&record->header) == (uint32_t)sequence;
}

static inline void ash__trace_commit(struct ash_trace_ring *ring, uint64_t reserved, uint32_t id,
                                     uint64_t a, uint64_t b) {
    struct ash_trace_record *record = &ring->records[reserved & ring->mask];
    ash_fence_stores(); /* who sees a word of it sees that it is reserved */
    ash_store_word(&record->clock, ash_port_cycles());
    ash_store_word(&record->a, a);
    ash_store_word(&record->b, b);
    ash_store_release(&record->header, (reserved & ~ASH__TRACE_ID_MASK) |
                                           (uint64_t)(id & ASH_TRACE_ID_MAX) << ASH_TRACE_ID_SHIFT);
}

static inline void ash_trace_write(struct ash_trace_ring *ring, uint32_t id, uint64_t a,
                                   uint64_t b) {
    uint64_t reserved = ash_fetch_add_local(&ring->next, 1);
    if (ASH_LIKELY(ash__trace_place(reserved) < ash_load_word(&ring->limit)))
        ash__trace_commit(ring, reserved, id, a, b);
    else
        ash__trace_write_at_limit(ring, reserved, id, a, b);
}

static inline void ash_trace_set_task(struct ash_trace_ring *ring, uint32_t task) {
    uint64_t kept = ring->next & ((UINT64_C(1) << ASH_TRACE_TASK_SHIFT) - 1);
    ash_store_word(&ring->next, kept | (uint64_t)task << ASH_TRACE_TASK_SHIFT);
}

static inline void ash_trace_enter(struct ash_trace_ring *ring) {
    uint64_t last = (ring->next - 1) & ASH__TRACE_SEQUENCE_MASK;
    if (ASH_UNLIKELY(!ash__trace_is_committed(ring, last)))
        ash__trace_interrupted(ring, last);
    if (ring->nesting++ < ASH_TRACE_DEPTH_MAX)
        ash_store_word(&ring->next, ring->next + ASH__TRACE_DEPTH_ONE);
}

static inline void ash_trace_leave(struct ash_trace_ring *ring) {
    if (--ring->nesting < ASH_TRACE_DEPTH_MAX)
        ash_store_word(&ring->next, ring->next - ASH__TRACE_DEPTH_ONE);
}

#ifdef __cplusplus
}
#endif

#endif
