/* SPDX-License-Identifier: MIT */
/*
 * thread.c: the device on a thread of its own, and the library's driver on this one: by polling, by
 * interrupts, and through a reset while the device works. The thread sanitizer sees both sides.
 */
#include "harness/test.h"
#include "hosted/virtio_blk_device.h"
#include "hosted/virtio_thread.h"

#include <ashlar/port.h>
#include <ashlar/virtio_blk.h>
#include <ashlar/virtio_mmio.h>

enum { SECTORS = 64, POOL_BYTES = 1 << 17, SLOTS = 16, READS = 2000, FOREVER_NS = 1000000000 };

#define POOL_BASE UINT64_C(0x80000000)

struct bench {
    struct guest_memory memory;
    struct fake_virtio_blk_memory backing;
    struct fake_virtio_blk fake;
    struct fake_virtio_thread thread;
    struct ash_virtio_mmio mmio;
    struct ash_virtio_blk blk;
    struct ash_virtio_blk_queue *queue;
    uint8_t *pool;
    uint32_t reads, done, failed;
    uint32_t wrong; /* tokens that were not out, other data than the disk's */
    bool free[SLOTS];
};

static uint8_t disk_byte(uint64_t offset) {
    return (uint8_t)((offset * UINT64_C(0xd1342543de82ef95)) >> 56);
}

static uint8_t *buffer_of(struct bench *bench, uint32_t slot) {
    return bench->pool + POOL_BYTES - SLOTS * 512 + slot * 512;
}

static struct bench *bench_new(const struct fake_virtio_thread_config *config,
                               const struct fake_virtio_policy *policy) {
    struct bench *bench = test_alloc(sizeof(*bench), 64);
    bench->backing.size_bytes = SECTORS * 512;
    bench->backing.bytes = test_alloc(SECTORS * 512, 64);
    for (uint32_t i = 0; i < SECTORS * 512; i++)
        bench->backing.bytes[i] = disk_byte(i);
    bench->pool = test_alloc(POOL_BYTES, 4096);
    guest_memory_init(&bench->memory);
    CHECK_EQ(guest_memory_add(&bench->memory, POOL_BASE, bench->pool, POOL_BYTES), 0);
    struct fake_virtio_blk_config fake = {.backing = fake_virtio_blk_memory(&bench->backing),
                                          .features_with = FAKE_VIRTIO_F_RING_PACKED};
    fake_virtio_blk_init(&bench->fake, &fake, &bench->memory);
    fake_virtio_set_policy(&bench->fake.device, policy);
    CHECK_EQ(fake_virtio_thread_start(&bench->thread, &bench->fake.device, config), 0);
    for (uint32_t i = 0; i < SLOTS; i++)
        bench->free[i] = true;
    return bench;
}

/* From here on a CHECK that fails would leave the thread running in memory that is taken back:
 * everything is counted, and checked when it has stopped. */

static int driver_init(struct bench *bench) {
    struct ash_virtio_regs regs = {fake_virtio_thread_read, fake_virtio_thread_write,
                                   &bench->thread};
    const struct ash_virtio_blk_config config = {
        .transport = &bench->mmio.transport, .queue_size = 64, .in_flight_max = SLOTS};
    struct ash_virtio_blk_memory memory = {
        .storage_bytes = ash_virtio_blk_storage_size(&config),
        .dma = {bench->pool, ash_virtio_blk_dma_size(&config), POOL_BASE},
    };
    memory.storage = test_alloc(memory.storage_bytes, ASH_VIRTIO_BLK_MEMORY_ALIGN);
    int error = ash_virtio_mmio_probe(&bench->mmio, &regs);
    if (error == 0)
        error = ash_virtio_blk_init(&bench->blk, &config, &memory);
    if (error == 0) {
        bench->queue = ash_virtio_blk_get_queue(&bench->blk, 0);
        error = ash_virtio_blk_set_policy(bench->queue, ASH_VIRTIO_BLK_DELAYED, 2);
    }
    return error;
}

static uint64_t sector_of(uint32_t slot, uint32_t read) {
    return (slot * 5 + read) % SECTORS;
}

static void submit(struct bench *bench) {
    for (uintptr_t slot = 0; slot < SLOTS && bench->reads < READS; slot++) {
        uint32_t token;
        if (!bench->free[slot])
            continue;
        uint64_t sector = sector_of((uint32_t)slot, bench->reads);
        uintptr_t cookie = slot << 32 | sector;
        const struct ash_dma_segment segment = {
            POOL_BASE + (uint64_t)(buffer_of(bench, (uint32_t)slot) - bench->pool), 512};
        const struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_READ,
                                                       .sector = sector,
                                                       .segments = &segment,
                                                       .segment_count = 1,
                                                       .cookie = (void *)cookie};
        if (ash_virtio_blk_submit(bench->queue, &request, &token) != 0)
            break;
        bench->free[slot] = false;
        bench->reads++;
    }
    ash_virtio_blk_kick(bench->queue);
}

static bool holds(const uint8_t *buffer, uint64_t sector) {
    for (uint32_t i = 0; i < 512; i++) {
        if (buffer[i] != disk_byte(sector * 512 + i))
            return false;
    }
    return true;
}

static int reap(struct bench *bench) {
    struct ash_virtio_blk_done done[4];
    int count = ash_virtio_blk_reap(bench->queue, done, 4);
    for (int i = 0; i < count; i++) {
        uintptr_t cookie = (uintptr_t)done[i].cookie;
        uint32_t slot = (uint32_t)(cookie >> 32);
        uint64_t sector = cookie & UINT32_MAX;
        bench->wrong += bench->free[slot];
        if (done[i].status != 0)
            bench->failed++;
        else
            bench->wrong += !holds(buffer_of(bench, slot), sector);
        bench->free[slot] = true;
        bench->done++;
    }
    return count;
}

static void run(struct bench *bench, bool sleeps) {
    while (bench->done < READS) {
        int count = reap(bench);
        if (count < 0)
            return;
        submit(bench);
        if (count != 0 || bench->done == READS)
            continue;
        if (!sleeps) {
            ash_port_relax();
        } else if (ash_virtio_blk_may_sleep(bench->queue)) {
            if (!fake_virtio_thread_wait(&bench->thread, FOREVER_NS))
                return; /* a wake-up was lost */
            (void)ash_virtio_blk_interrupt(&bench->blk);
        }
    }
}

static void finish(struct bench *bench) {
    int error = ash_virtio_blk_fini(&bench->blk);
    fake_virtio_thread_stop(&bench->thread);
    CHECK_EQ(error, 0);
    CHECK_EQ(bench->done, READS);
    CHECK_EQ(bench->failed, 0);
    CHECK_EQ(bench->wrong, 0);
    const char *violation = fake_virtio_violation_text(&bench->fake.device, 0);
    CHECK_STR_EQ(violation == NULL ? "" : violation, "");
    CHECK_EQ(bench->memory.refused, 0);
}

static void run_with(uint32_t spins, bool sleeps, const struct fake_virtio_policy *policy) {
    struct fake_virtio_thread_config config = {.spins = spins, .burst = 8};
    struct bench *bench = bench_new(&config, policy);
    int error = driver_init(bench);
    if (error == 0)
        run(bench, sleeps);
    finish(bench);
    CHECK_EQ(error, 0);
}

static const struct fake_virtio_policy plain = {.used_batch = 4};
static const struct fake_virtio_policy unruly = {.order = FAKE_VIRTIO_RANDOM,
                                                 .shuffle_actions = true,
                                                 .latency_spread = 20,
                                                 .used_batch = 3,
                                                 .seed = 7};

TEST_CASE(device_thread, polling_driver_and_polling_device) {
    run_with(1000, false, &plain);
}

TEST_CASE(device_thread, both_sides_sleep_and_no_wake_up_is_lost) {
    run_with(0, true, &plain);
    run_with(0, true, &unruly);
}

TEST_CASE(device_thread, reset_under_load_is_waited_for) {
    struct fake_virtio_thread_config config = {.spins = 50};
    struct bench *bench = bench_new(&config, &unruly);
    int error = driver_init(bench);
    uint32_t resets = 0;
    while (error == 0 && bench->done < READS) {
        submit(bench);
        while (bench->done < READS && reap(bench) == 0)
            ash_port_relax();
        if (++resets % 20 != 0)
            continue;
        uint32_t failed = bench->failed;
        error = ash_virtio_blk_reset(&bench->blk, ASH_VIRTIO_BLK_FAIL, 0);
        while (reap(bench) > 0) {}
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            bench->wrong += !bench->free[slot];
        bench->done -= bench->failed - failed; /* what the reset failed is read again */
        bench->reads -= bench->failed - failed;
        bench->failed = failed;
    }
    finish(bench);
    CHECK_EQ(error, 0);
    CHECK(resets > 20);
}

/* A notification stays before the register access that follows it: the device must not hear of it
 * after the reset. */
TEST_CASE(device_thread, notification_and_reset_keep_their_order) {
    struct fake_virtio_thread_config config = {.spins = 0};
    struct bench *bench = bench_new(&config, &plain);
    int error = 0;
    for (uint32_t i = 0; i < 50 && error == 0; i++) {
        error = driver_init(bench);
        fake_virtio_thread_write(&bench->thread, ASH_VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0);
        fake_virtio_thread_write(&bench->thread, ASH_VIRTIO_MMIO_STATUS, 4, 0);
        while (ash_load_acquire(&bench->thread.notified) != 0)
            ash_port_relax(); /* so that a late one has its chance to be wrong */
    }
    fake_virtio_thread_stop(&bench->thread);
    CHECK_EQ(error, 0);
    const char *violation = fake_virtio_violation_text(&bench->fake.device, 0);
    CHECK_STR_EQ(violation == NULL ? "" : violation, "");
}

TEST_CASE(device_thread, notification_of_a_queue_that_does_not_exist_is_recorded) {
    struct fake_virtio_thread_config config = {.spins = 0};
    struct bench *bench = bench_new(&config, &plain);
    int error = driver_init(bench);
    fake_virtio_thread_write(&bench->thread, ASH_VIRTIO_MMIO_QUEUE_NOTIFY, 4, 77);
    fake_virtio_thread_stop(&bench->thread);
    CHECK_EQ(error, 0);
    CHECK_EQ(fake_virtio_violated(&bench->fake.device, FAKE_VIRTIO_RULE_QUEUE_ABSENT), 1);
}
