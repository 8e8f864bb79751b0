/* SPDX-License-Identifier: MIT */
/*
 * No wake-up is lost: every interleaving of a driver and a device at small depth, over a processor
 * whose stores leave it late (total store order), as the one below the kernel's may.
 *
 * The library's ring is compiled once more here, over a port whose shared loads and stores are
 * scheduling points. Before each the device may take any number of its steps; each time it looks
 * at memory it may see any number of the driver's delayed stores. A run follows a list of choices;
 * the last one that can be raised is raised for the next run, until none can: all were seen.
 */
#include "harness/test.h"

#include <ashlar/event.h>

/* The port: loads and stores of the ring go through the model, the barrier empties the buffer. */

static uint64_t model_load(const volatile void *address, size_t bytes);
static void model_store(volatile void *address, uint64_t value, size_t bytes);
static void model_fence(void);

#define ASHLAR_PORT_H
#define ash_load_relaxed(p)         ((__typeof__(*(p)))model_load((p), sizeof(*(p))))
#define ash_load_acquire(p)         ash_load_relaxed(p)
#define ash_store_relaxed(p, value) model_store((p), (uint64_t)(value), sizeof(*(p)))
#define ash_store_release(p, value) ash_store_relaxed(p, value)
#define ash_compare_exchange(p, expected, value) \
    __atomic_compare_exchange_n((p), (expected), (value), 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)

static inline void ash_port_dma_rmb(void) {
}
static inline void ash_port_dma_wmb(void) { /* stores leave in order as it is */
}
static inline void ash_port_dma_mb(void) {
    model_fence();
}
static inline void ash_port_event(struct ash_event *event, uint64_t a, uint64_t b) {
    (void)event, (void)a, (void)b;
}

#define ash_virtq_storage_size model_virtq_storage_size
#define ash_virtq_init         model_virtq_init
#define ash_virtq_desc_area    model_virtq_desc_area
#define ash_virtq_avail_area   model_virtq_avail_area
#define ash_virtq_used_area    model_virtq_used_area
#define ash_virtq_break        model_virtq_break
#define ash_virtq_stop         model_virtq_stop
#define ash_virtq_restart      model_virtq_restart
#define ash_virtq_next         model_virtq_next
#define ash_virtq_next_aborted model_virtq_next_aborted
#define ash_virtq_retire       model_virtq_retire
#define ash_virtq_arm          model_virtq_arm
#define ash_virtq_disarm       model_virtq_disarm
#define ash_virtq_pending      model_virtq_pending
#define ash_virtq_in_flight    model_virtq_in_flight
#define ash_virtq_check        model_virtq_check
#define ash_virtq_fault_text   model_virtq_fault_text

#pragma GCC diagnostic ignored "-Wignored-qualifiers" /* of casts to const uint64_t */
#include "../../lib/virtq/virtq.c"

enum { SIZE = 4, CHOICES_MAX = 64, BUFFERED_MAX = 16, RUNS_MAX = 2000000 };

struct model_buffered {
    volatile void *address;
    uint64_t value;
    size_t bytes;
};

enum device_state { DEVICE_RUN, DEVICE_RECHECK, DEVICE_ASLEEP };

static struct {
    uint8_t choices[CHOICES_MAX], limits[CHOICES_MAX];
    uint32_t planned, taken;
    struct model_buffered buffered[BUFFERED_MAX];
    uint32_t buffered_count;
    bool fence_works, driver_runs;
    bool (*device_step)(void); /* false: it has nothing to do */
    struct ash_virtq queue;
    /* the device's */
    enum device_state state;
    uint16_t used_index, signalled, avail_seen;
    uint16_t completions_left;
    bool interrupt, notified;
} model;

static uint32_t choose(uint32_t limit) {
    if (limit <= 1)
        return 0;
    CHECK(model.taken < CHOICES_MAX);
    if (model.taken == model.planned) {
        model.choices[model.planned] = 0;
        model.limits[model.planned++] = (uint8_t)limit;
    }
    return model.choices[model.taken++];
}

/* The next list of choices; false after the last. */
static bool next_run(void) {
    while (model.planned != 0 &&
           model.choices[model.planned - 1] + 1 == model.limits[model.planned - 1])
        model.planned--;
    if (model.planned == 0)
        return false;
    model.choices[model.planned - 1]++;
    return true;
}

static void leave(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct model_buffered *store = &model.buffered[i];
        memcpy((void *)(uintptr_t)store->address, &store->value, store->bytes);
    }
    model.buffered_count -= count;
    memmove(model.buffered, model.buffered + count,
            model.buffered_count * sizeof(model.buffered[0]));
}

/* The device looks: some of the driver's stores have left by now. */
static void device_looks(void) {
    leave(choose(model.buffered_count + 1));
}

static bool is_shared(const volatile void *address) {
    uintptr_t at = (uintptr_t)address;
    return at >= (uintptr_t)model.queue.desc && at < (uintptr_t)model.queue.slots;
}

static void point(const volatile void *address) {
    while (model.driver_runs && is_shared(address) && choose(2) != 0) {
        if (!model.device_step())
            break;
    }
}

/* The driver never loads what it stores into the ring: no forwarding is needed. */
static uint64_t model_load(const volatile void *address, size_t bytes) {
    uint64_t value = 0;
    point(address);
    memcpy(&value, (const void *)(uintptr_t)address, bytes);
    return value;
}

static void model_store(volatile void *address, uint64_t value, size_t bytes) {
    point(address);
    if (!model.driver_runs || !is_shared(address)) {
        memcpy((void *)(uintptr_t)address, &value, bytes);
        return;
    }
    CHECK(model.buffered_count < BUFFERED_MAX);
    model.buffered[model.buffered_count++] = (struct model_buffered){address, value, bytes};
}

static void model_fence(void) {
    if (model.fence_works)
        leave(model.buffered_count);
}

static void model_start(void *storage, size_t bytes, bool event_idx) {
    model.driver_runs = false;
    model.taken = model.buffered_count = 0;
    model.state = DEVICE_RUN;
    model.used_index = model.signalled = model.avail_seen = 0;
    model.interrupt = model.notified = false;
    if (ash_virtq_init(&model.queue, SIZE, 1, SIZE, storage, bytes) != 0)
        test_fail(__FILE__, __LINE__, "init");
    ash_virtq_restart(&model.queue, event_idx);
}

static void submit(uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        (void)ash_virtq_submit(&model.queue, (uint32_t)ash_virtq_free_slot(&model.queue), 1, NULL);
}

/* Completions: entry and index; later a look at what the driver wants, and the interrupt. */
static bool completing_device_step(void) {
    struct ash_virtq *queue = &model.queue;
    bool unsignalled = model.signalled != model.used_index;
    if (model.completions_left != 0 && (!unsignalled || choose(2) != 0)) {
        queue->used_ring[model.used_index % SIZE] =
            (struct ash_virtq_used_entry){ASH_VIRTQ_LE32(model.used_index), ASH_VIRTQ_LE32(1)};
        queue->used[1] = ASH_VIRTQ_LE16(++model.used_index);
        model.completions_left--;
        return true;
    }
    if (!unsignalled)
        return false;
    device_looks();
    uint16_t event = ASH_VIRTQ_LE16(queue->avail[2 + SIZE]);
    bool wanted = queue->event_idx ? (uint16_t)(model.used_index - event - 1u) <
                                         (uint16_t)(model.used_index - model.signalled)
                                   : (ASH_VIRTQ_LE16(queue->avail[0]) & 1u) == 0;
    model.interrupt = model.interrupt || wanted;
    model.signalled = model.used_index;
    return true;
}

/* The loop of virtio_blk.h's head; false: asleep for ever with completions there. */
static bool driver_reaps(uint32_t count, uint32_t wish) {
    uint32_t len;
    for (;;) {
        int slot;
        while ((slot = ash_virtq_next(&model.queue, &len)) >= 0) {
            ash_virtq_retire(&model.queue, (uint32_t)slot);
            count--;
        }
        if (count == 0)
            return true;
        if (!ash_virtq_arm(&model.queue, wish))
            continue;
        while (!model.interrupt) {
            if (!model.device_step())
                return false;
        }
        model.interrupt = false;
    }
}

static uint32_t runs_that_lose_a_wake_up(uint32_t requests, uint32_t wish, bool event_idx) {
    size_t bytes = ash_virtq_storage_size(SIZE, 1, SIZE);
    void *storage = test_alloc(bytes, ASH_VIRTQ_STORAGE_ALIGN);
    uint32_t lost = 0, runs = 0;
    model.planned = 0;
    model.device_step = completing_device_step;
    do {
        model_start(storage, bytes, event_idx);
        submit(requests);
        (void)ash_virtq_publish(&model.queue);
        model.completions_left = (uint16_t)requests;
        model.driver_runs = true;
        lost += !driver_reaps(requests, wish);
        CHECK(++runs < RUNS_MAX);
    } while (next_run());
    CHECK(runs > 10);
    return lost;
}

TEST_CASE(virtq_wakeup, armed_driver_is_woken_in_every_interleaving) {
    model.fence_works = true;
    for (uint32_t requests = 1; requests <= 2; requests++) {
        for (uint32_t wish = 1; wish <= 3; wish++)
            CHECK_EQ(runs_that_lose_a_wake_up(requests, wish, true), 0);
        CHECK_EQ(runs_that_lose_a_wake_up(requests, 1, false), 0);
    }
}

TEST_CASE(virtq_wakeup, model_finds_the_wake_up_that_a_missing_barrier_loses) {
    model.fence_works = false;
    CHECK(runs_that_lose_a_wake_up(1, 1, true) != 0);
    CHECK(runs_that_lose_a_wake_up(1, 1, false) != 0);
}

/* Requests: takes what is available; else asks to be notified, looks again, sleeps. */
static bool fetching_device_step(void) {
    struct ash_virtq *queue = &model.queue;
    if (model.state == DEVICE_ASLEEP && !model.notified)
        return false;
    if (model.state == DEVICE_ASLEEP) {
        model.notified = false;
        model.state = DEVICE_RUN;
        queue->used[0] = ASH_VIRTQ_LE16((uint16_t)1); /* NO_NOTIFY */
        return true;
    }
    device_looks();
    uint16_t index = ASH_VIRTQ_LE16(queue->avail[1]);
    if (index != model.avail_seen) {
        model.avail_seen = index;
        model.state = DEVICE_RUN;
    } else if (model.state == DEVICE_RUN) {
        queue->used[2 + SIZE * 4] = ASH_VIRTQ_LE16(model.avail_seen);
        queue->used[0] = 0;
        model.state = DEVICE_RECHECK;
    } else {
        model.state = DEVICE_ASLEEP;
    }
    return true;
}

static uint32_t runs_that_lose_a_kick(uint32_t publishes, uint32_t batch, bool event_idx) {
    size_t bytes = ash_virtq_storage_size(SIZE, 1, SIZE);
    void *storage = test_alloc(bytes, ASH_VIRTQ_STORAGE_ALIGN);
    uint32_t lost = 0, runs = 0;
    model.planned = 0;
    model.device_step = fetching_device_step;
    do {
        model_start(storage, bytes, event_idx);
        model.driver_runs = true;
        for (uint32_t i = 0; i < publishes; i++) {
            submit(batch);
            if (ash_virtq_publish(&model.queue))
                model.notified = true;
        }
        while (model.device_step()) {}
        lost += model.avail_seen != publishes * batch;
        CHECK(++runs < RUNS_MAX);
    } while (next_run());
    CHECK(runs > 10);
    return lost;
}

TEST_CASE(virtq_wakeup, sleeping_device_is_notified_in_every_interleaving) {
    model.fence_works = true;
    for (uint32_t batch = 1; batch <= 2; batch++) {
        CHECK_EQ(runs_that_lose_a_kick(2, batch, true), 0);
        CHECK_EQ(runs_that_lose_a_kick(2, batch, false), 0);
    }
}

TEST_CASE(virtq_wakeup, model_finds_the_kick_that_a_missing_barrier_loses) {
    model.fence_works = false;
    CHECK(runs_that_lose_a_kick(1, 1, true) != 0);
    CHECK(runs_that_lose_a_kick(1, 1, false) != 0);
}
