/* SPDX-License-Identifier: MIT */
/*
 * bench_golden_disk.h: a driver of <ashlar/virtio_blk.h> over a device that is a function call: it
 * takes what is in the ring and gives it back done, without moving a byte. What the driver's calls
 * cost is so counted to the instruction.
 */
#ifndef KERNEL_BENCH_GOLDEN_DISK_H
#define KERNEL_BENCH_GOLDEN_DISK_H

#include "memory.h"

struct golden_disk;

/* NULL: no memory. packed: the format of its ring. */
struct golden_disk *golden_disk_new(struct kernel_memory *memory, bool packed);
void golden_disk_free(struct golden_disk *disk); /* NULL is ignored */

/*
 * `depth` reads, at most 32, of `segments` pages each, at most 16: what submitting all of them, one
 * kick, and one reap of all cost, and `overhead` once. The device's work is not counted.
 */
uint32_t golden_disk_count(struct golden_disk *disk, uint32_t depth, uint32_t segments,
                           uint32_t overhead);

#endif
