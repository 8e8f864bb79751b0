/* SPDX-License-Identifier: MIT */
/*
 * late_memory.h: the ring compiled once more, over a port whose memory is late: stores of the
 * driver leave it some time after it made them, its loads may have looked some time before it
 * asks. Included once, by wakeup.c.
 *
 * Two models of a processor:
 *  - TSO: stores leave in order, loads look now. What x86 does.
 *  - WEAK: stores leave in any order but that of one place, and but what wmb and release say; a
 *    load takes any value that its place has had since the last acquire, rmb or mb looked, and
 *    since it was last loaded. What aarch64 may do, less loads that wait for later stores; and
 *    more: it knows no dependencies.
 *
 * The driver's own memory is where it always is, so that its plain stores are found as what has
 * changed there; the device has a picture of it, which the leaving stores change. Each picture is
 * kept: late loads look there. The device's own stores are seen at once: it has its barriers.
 *
 * Before each of the driver's accesses the device may take any number of steps. A run follows a
 * list of choices; the last one that can be raised is raised for the next run, until none can: all
 * were seen. Or chance chooses, where they are too many.
 */
#ifndef LATE_MEMORY_H
#define LATE_MEMORY_H

#include "harness/test.h"

#include <ashlar/event.h>

/* The port. A barrier is known by its kind and the function that it stands in, so that a case can
 * take it out. */
enum late_kind { RELAXED, ACQUIRE, RELEASE, RMB, WMB, MB };

static uint64_t late_load(const volatile void *address, size_t bytes, enum late_kind kind,
                          const char *function);
static void late_store(volatile void *address, uint64_t value, size_t bytes, enum late_kind kind,
                       const char *function);
static void late_barrier(enum late_kind kind, const char *function);

#define ASHLAR_PORT_H
#define LATE_LOAD(p, kind)          ((__typeof__(*(p)))late_load((p), sizeof(*(p)), kind, __func__))
#define ash_load_relaxed(p)         LATE_LOAD(p, RELAXED)
#define ash_load_acquire(p)         LATE_LOAD(p, ACQUIRE)
#define ash_store_relaxed(p, value) late_store((p), (value), sizeof(*(p)), RELAXED, __func__)
#define ash_store_release(p, value) late_store((p), (value), sizeof(*(p)), RELEASE, __func__)
#define ash_port_dma_rmb()          late_barrier(RMB, __func__)
#define ash_port_dma_wmb()          late_barrier(WMB, __func__)
#define ash_port_dma_mb()           late_barrier(MB, __func__)
#define ash_compare_exchange(p, expected, value) \
    __atomic_compare_exchange_n((p), (expected), (value), 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
static inline void ash_port_event(struct ash_event *event, uint64_t a, uint64_t b) {
    (void)event, (void)a, (void)b;
}

#define ash_virtq_slots_max      late_virtq_slots_max
#define ash_virtq_storage_size   late_virtq_storage_size
#define ash_virtq_dma_size       late_virtq_dma_size
#define ash_virtq_init           late_virtq_init
#define ash_virtq_desc_area      late_virtq_desc_area
#define ash_virtq_driver_area    late_virtq_driver_area
#define ash_virtq_device_area    late_virtq_device_area
#define ash_virtq_break          late_virtq_break
#define ash__virtq_broken        late__virtq_broken
#define ash__virtq_judge         late__virtq_judge
#define ash_virtq_stop           late_virtq_stop
#define ash_virtq_restart        late_virtq_restart
#define ash_virtq_next_aborted   late_virtq_next_aborted
#define ash_virtq_retire_aborted late_virtq_retire_aborted
#define ash_virtq_resubmit       late_virtq_resubmit
#define ash_virtq_resubmit_table late_virtq_resubmit_table
#define ash_virtq_arm            late_virtq_arm
#define ash_virtq_disarm         late_virtq_disarm
#define ash_virtq_pending        late_virtq_pending
#define ash_virtq_in_flight      late_virtq_in_flight
#define ash_virtq_fault_text     late_virtq_fault_text

#pragma GCC diagnostic ignored "-Wignored-qualifiers" /* of casts to const uint64_t */
#include "../../lib/virtq/virtq.c"

enum { LATE_BYTES = 192, BLOCK = 16, CHOICES_MAX = 400, BUFFERED_MAX = 24, PICTURES_MAX = 100 };

/* What the driver stored and has not left: the bytes of a block that the mask names. */
struct late_stored {
    uint8_t bytes[BLOCK];
    uint32_t mask, block;
    uint32_t number, after; /* it leaves after all with numbers below */
};

struct late_site {
    enum late_kind kind;
    const char *function;
};

static struct {
    /* Choices */
    uint8_t choices[CHOICES_MAX], limits[CHOICES_MAX];
    uint32_t planned, taken;
    bool by_chance;
    struct test_random random;

    /* Memory */
    bool weak, driver_runs;
    const struct late_site *without; /* barriers taken out */
    uint32_t without_count, skipped;
    uint8_t *own, known[LATE_BYTES]; /* the driver's; as it was when its stores were last found */
    struct late_stored buffered[BUFFERED_MAX];
    uint32_t buffered_count, stores, ordered; /* stores after a wmb follow those before `ordered` */
    uint8_t pictures[PICTURES_MAX][LATE_BYTES];
    uint32_t now;                 /* the last picture */
    uint32_t horizon, looked;     /* no load looks before; the latest that one has seen */
    uint8_t coherent[LATE_BYTES]; /* nor, at this place, before */

    bool (*device_can_step)(void);
    void (*device_step)(void);
} late;

/* Choices */

static uint32_t choose(uint32_t limit) {
    if (limit <= 1)
        return 0;
    if (late.by_chance)
        return (uint32_t)test_random_below(&late.random, limit);
    CHECK(late.taken < CHOICES_MAX);
    if (late.taken == late.planned) {
        late.choices[late.planned] = 0;
        late.limits[late.planned++] = (uint8_t)limit;
    }
    return late.choices[late.taken++];
}

/* The next list of choices; false after the last. */
static bool next_run(void) {
    while (late.planned != 0 && late.choices[late.planned - 1] + 1 == late.limits[late.planned - 1])
        late.planned--;
    if (late.planned == 0)
        return false;
    late.choices[late.planned - 1]++;
    return true;
}

static bool is_out(enum late_kind kind, const char *function) {
    for (uint32_t i = 0; i < late.without_count; i++) {
        if (late.without[i].kind == kind && strcmp(late.without[i].function, function) == 0) {
            late.skipped++;
            return true;
        }
    }
    return false;
}

/* The device's picture */

static uint8_t *picture(void) {
    return late.pictures[late.now];
}

static void next_picture(void) {
    CHECK(late.now + 1 < PICTURES_MAX);
    memcpy(late.pictures[late.now + 1], picture(), LATE_BYTES);
    late.now++;
}

static void leave(const struct late_stored *stored) {
    next_picture();
    for (uint32_t i = 0; i < BLOCK; i++) {
        if ((stored->mask >> i & 1) == 0)
            continue;
        picture()[stored->block + i] = stored->bytes[i];
        late.coherent[stored->block + i] = (uint8_t)late.now;
    }
}

static bool overlap(const struct late_stored *a, const struct late_stored *b) {
    return a->block == b->block && (a->mask & b->mask) != 0;
}

static bool follows(const struct late_stored *stored, const struct late_stored *earlier) {
    return !late.weak || earlier->number < stored->after || overlap(stored, earlier);
}

/* The buffered store `last` leaves, and what must leave before it. */
static void let_leave(uint32_t last) {
    bool leaves[BUFFERED_MAX] = {[0] = false};
    uint32_t kept = 0;
    leaves[last] = true;
    for (uint32_t i = last + 1; i-- != 0;) {
        for (uint32_t later = i + 1; later <= last; later++)
            leaves[i] =
                leaves[i] || (leaves[later] && follows(&late.buffered[later], &late.buffered[i]));
    }
    for (uint32_t i = 0; i < late.buffered_count; i++) {
        if (leaves[i])
            leave(&late.buffered[i]);
        else
            late.buffered[kept++] = late.buffered[i];
    }
    late.buffered_count = kept;
}

static void let_all_leave(void) {
    for (uint32_t i = 0; i < late.buffered_count; i++)
        leave(&late.buffered[i]);
    late.buffered_count = 0;
}

static struct late_stored place_of(uint32_t offset, size_t bytes) {
    return (struct late_stored){.block = offset / BLOCK * BLOCK,
                                .mask = ((1u << bytes) - 1) << offset % BLOCK};
}

/* A place is looked at: each store to it may have left by now. That is early enough to ask. */
static uint32_t device_gets(uint32_t offset, size_t bytes) {
    struct late_stored place = place_of(offset, bytes);
    uint32_t value = 0, at = 0;
    while (at < late.buffered_count) {
        if (!overlap(&late.buffered[at], &place)) {
            at++;
        } else if (choose(2) == 0) {
            break;
        } else {
            let_leave(at);
            at = 0;
        }
    }
    memcpy(&value, picture() + offset, bytes);
    return value;
}

static void device_puts(uint32_t offset, uint64_t value, size_t bytes) {
    next_picture();
    memcpy(picture() + offset, &value, bytes);
    memcpy(late.own + offset, &value, bytes);
    memcpy(late.known + offset, &value, bytes);
}

/* Stores */

static void buffer(uint32_t block, uint32_t mask, uint32_t after) {
    CHECK(late.buffered_count < BUFFERED_MAX);
    struct late_stored *stored = &late.buffered[late.buffered_count++];
    *stored =
        (struct late_stored){.mask = mask, .block = block, .number = late.stores++, .after = after};
    memcpy(stored->bytes, late.own + block, BLOCK);
}

/* The driver's plain stores since the last time. */
static void find_plain_stores(void) {
    if (memcmp(late.own, late.known, LATE_BYTES) == 0)
        return;
    for (uint32_t block = 0; block < LATE_BYTES; block += BLOCK) {
        uint32_t mask = 0;
        for (uint32_t i = 0; i < BLOCK; i++)
            mask |= late.own[block + i] != late.known[block + i] ? 1u << i : 0;
        if (mask != 0)
            buffer(block, mask, late.ordered);
    }
    memcpy(late.known, late.own, LATE_BYTES);
}

/* The driver's accesses */

/* The device may take steps, before the driver's next access. */
static void point(void) {
    find_plain_stores();
    while (late.device_can_step() && choose(2) != 0)
        late.device_step();
}

static bool is_shared(const volatile void *address) {
    uintptr_t offset = (uintptr_t)address - (uintptr_t)late.own;
    return late.driver_runs && offset < LATE_BYTES;
}

/* A value of its own that has not left yet. */
static bool finds_own(uint32_t offset, size_t bytes, uint64_t *value) {
    struct late_stored place = place_of(offset, bytes);
    for (uint32_t i = late.buffered_count; i-- != 0;) {
        if (overlap(&late.buffered[i], &place)) {
            memcpy(value, late.buffered[i].bytes + offset % BLOCK, bytes);
            return true;
        }
    }
    return false;
}

/* The picture that a load looks at: the oldest of those with the value that it takes. */
static uint32_t look(uint32_t offset, size_t bytes) {
    uint32_t first = late.horizon, starts[PICTURES_MAX], count = 0;
    for (uint32_t i = 0; i < bytes; i++)
        first = late.coherent[offset + i] > first ? late.coherent[offset + i] : first;
    if (!late.weak)
        return late.now;
    for (uint32_t at = late.now + 1; at-- > first;) {
        if (at == late.now ||
            memcmp(late.pictures[at] + offset, late.pictures[at + 1] + offset, bytes) != 0)
            count++;
        starts[count - 1] = at;
    }
    return starts[choose(count)];
}

static uint64_t late_load(const volatile void *address, size_t bytes, enum late_kind kind,
                          const char *function) {
    uint64_t value = 0;
    if (!is_shared(address)) {
        memcpy(&value, (const void *)(uintptr_t)address, bytes);
        return value;
    }
    point();
    uint32_t offset = (uint32_t)((uintptr_t)address - (uintptr_t)late.own);
    if (finds_own(offset, bytes, &value))
        return value;
    uint32_t at = look(offset, bytes);
    memset(late.coherent + offset, (int)at, bytes);
    late.looked = at > late.looked ? at : late.looked;
    if (kind == ACQUIRE && !is_out(kind, function))
        late.horizon = at > late.horizon ? at : late.horizon;
    memcpy(&value, late.pictures[at] + offset, bytes);
    return value;
}

static void late_store(volatile void *address, uint64_t value, size_t bytes, enum late_kind kind,
                       const char *function) {
    bool shared = is_shared(address);
    if (shared)
        point();
    memcpy((void *)(uintptr_t)address, &value, bytes);
    if (!shared)
        return;
    uint32_t offset = (uint32_t)((uintptr_t)address - (uintptr_t)late.own);
    bool releases = kind == RELEASE && !is_out(kind, function);
    struct late_stored place = place_of(offset, bytes);
    memcpy(late.known + offset, &value, bytes);
    buffer(place.block, place.mask, releases ? late.stores : late.ordered);
}

static void late_barrier(enum late_kind kind, const char *function) {
    if (!late.driver_runs || is_out(kind, function))
        return;
    find_plain_stores();
    if (kind == MB && late.weak) /* what is in disorder has not been ordered yet */
        point();
    if (kind == MB)
        let_all_leave();
    if (kind != RMB)
        late.ordered = late.stores;
    if (kind != WMB)
        late.horizon = kind == MB ? late.now : late.looked;
}

/* A new run: the driver's memory is as it is, for both. */
static void late_start(void *own) {
    late.own = own;
    memcpy(late.known, own, LATE_BYTES);
    late.taken = late.buffered_count = late.stores = late.ordered = 0;
    late.now = late.horizon = late.looked = 0;
    memcpy(late.pictures[0], own, LATE_BYTES);
    memset(late.coherent, 0, LATE_BYTES);
}

#endif
