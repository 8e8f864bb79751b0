/* SPDX-License-Identifier: MIT */
/* disk_fixture.c: see disk_fixture.h. The device works when it is notified, before that returns. */
#include "kernel/disk_fixture.h"

ash_irq_t disk_bench_enter(struct disk_bench *bench) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&bench->lock);
    return state;
}

void disk_bench_leave(struct disk_bench *bench, ash_irq_t state) {
    ash_spin_unlock(&bench->lock);
    ash_port_irq_restore(state);
}

static uint32_t bench_read(void *context, uint32_t offset, uint32_t width_bytes) {
    struct disk_bench *bench = context;
    struct ash_virtio_regs regs = mini_device_regs(&bench->device);
    ash_irq_t state = disk_bench_enter(bench);
    uint32_t value = regs.read(regs.context, offset, width_bytes);
    disk_bench_leave(bench, state);
    return value;
}

/* The last first: completions in the wrong order are the usual ones. */
static void end_some(struct disk_bench *bench, uint32_t count) {
    for (; count != 0 && bench->device.held_count != 0; count--)
        mini_device_complete(&bench->device, bench->device.held_count - 1);
}

/* True: it interrupts. */
static bool work(struct disk_bench *bench) {
    if (bench->wrong_used != 0) {
        bench->wrong_used--;
        mini_device_use(&bench->device, 7, 0);
        return false;
    }
    if (bench->sleeps != 0) {
        bench->sleeps--;
        bench->device.status |= 0x40; /* DEVICE_NEEDS_RESET, 2.1.2 */
        mini_device_interrupt(&bench->device, 2);
        return true;
    }
    while (mini_device_fetch(&bench->device)) {}
    if (bench->fetches)
        return false;
    bench->most_held = (uint32_t)ash_max_u64(bench->most_held, bench->device.held_count);
    end_some(bench, UINT32_MAX);
    if (bench->wrong_last != 0) {
        bench->wrong_last--;
        mini_device_use(&bench->device, 7, 0);
    }
    return false;
}

static void bench_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct disk_bench *bench = context;
    struct ash_virtio_regs regs = mini_device_regs(&bench->device);
    ash_irq_t state = disk_bench_enter(bench);
    regs.write(regs.context, offset, width_bytes, value);
    bool interrupts = offset == ASH_VIRTIO_MMIO_QUEUE_NOTIFY && !bench->silent && work(bench);
    disk_bench_leave(bench, state);
    if (interrupts)
        disk_interrupt(&bench->disk);
}

void disk_bench_end_some(struct disk_bench *bench, uint32_t count) {
    ash_irq_t state = disk_bench_enter(bench);
    end_some(bench, count);
    bool interrupts = bench->device.interrupt_status != 0;
    disk_bench_leave(bench, state);
    if (interrupts)
        disk_interrupt(&bench->disk);
}

struct disk_bench *disk_bench_new(void) {
    struct disk_bench *bench = test_alloc(sizeof(*bench), 64);
    mini_device_init(&bench->device, BENCH_SECTORS);
    bench->memory = test_kernel_memory(4 << 20);
    bench->reason = "";
    return bench;
}

void disk_bench_add_image(struct disk_bench *bench) {
    bench->device.image = test_alloc(BENCH_SECTORS * 512, 16);
}

int disk_bench_init(struct disk_bench *bench) {
    const struct ash_virtio_regs regs = {bench_read, bench_write, bench};
    return disk_init(&bench->disk, &regs, bench->memory, &bench->reason);
}

void disk_bench_start(struct disk_bench *bench) {
    int error = disk_bench_init(bench);
    if (error != 0)
        test_fail(__FILE__, __LINE__, "disk_init: %d: %s", error, bench->reason);
}

void disk_bench_check(struct disk_bench *bench, uint64_t offset, uint8_t *buffer, size_t len) {
    memset(buffer, 0xee, len + 1);
    CHECK_EQ(disk_read(&bench->disk, offset, buffer, len), 0);
    for (size_t i = 0; i < len; i++) {
        uint8_t expected = bench->device.image != NULL ? bench->device.image[offset + i]
                                                       : mini_device_byte(offset + i);
        if (buffer[i] != expected)
            test_fail(__FILE__, __LINE__, "byte %zu of %zu at %llu is 0x%02x", i, len,
                      (unsigned long long)offset, buffer[i]);
    }
    CHECK_EQ(buffer[len], 0xee);
    CHECK(disk_check(&bench->disk) == NULL);
}
