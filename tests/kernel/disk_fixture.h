/* SPDX-License-Identifier: MIT */
/* disk_fixture.h: a kernel's disk over the small device of tests/virtq. */
#ifndef TESTS_KERNEL_DISK_FIXTURE_H
#define TESTS_KERNEL_DISK_FIXTURE_H

#include "kernel/memory_fixture.h"

#include "kernel/disk.h"
#include "virtq/mini_device.h"

enum { BENCH_SECTORS = 8192 };

struct disk_bench {
    struct mini_device device;
    struct ash_spinlock lock; /* of the device: any CPU may ask it for something */
    struct kernel_memory *memory;
    struct disk disk;
    const char *reason;
    bool silent;         /* the device does nothing when it is notified, */
    bool fetches;        /* or fetches what there is, and nothing else */
    uint32_t most_held;  /* requests that it had at once */
    uint32_t wrong_used; /* so many notifications are answered by a used entry for nothing, */
    uint32_t wrong_last; /* or have one behind what they should, */
    uint32_t sleeps;     /* or are answered by NEEDS_RESET with its interrupt */
};

/* The device is there; disk_bench_start takes it over, and fails the case if that fails. */
struct disk_bench *disk_bench_new(void);
int disk_bench_init(struct disk_bench *bench);
void disk_bench_start(struct disk_bench *bench);

/* A disk that can be written to, of zeros. Before it is taken over. */
void disk_bench_add_image(struct disk_bench *bench);

/* Around a change of the device while another CPU may use it. */
ash_irq_t disk_bench_enter(struct disk_bench *bench);
void disk_bench_leave(struct disk_bench *bench, ash_irq_t state);

/* A device that only fetches ends some of what it has, the last first, and says so by its
 * interrupt, whose handler runs here. */
void disk_bench_end_some(struct disk_bench *bench, uint32_t count);

/* Reads into the buffer and compares with what the device has there. */
void disk_bench_check(struct disk_bench *bench, uint64_t offset, uint8_t *buffer, size_t len);

#endif
