/* SPDX-License-Identifier: MIT */
/*
 * direct_map.h: where the kernel sees what the CPU addresses: physical memory and devices at one
 * distance, in the half of the addresses that TTBR1_EL1 translates. The distance has no bit below
 * 2^48: an OR adds it, and clearing the highest 16 bits takes it away. Also read by assembly;
 * kernel.ld has the same number.
 */
#ifndef QEMU_VIRT_DIRECT_MAP_H
#define QEMU_VIRT_DIRECT_MAP_H

#define DIRECT_MAP_BASE 0xffff000000000000

#ifndef __ASSEMBLER__

#include <ashlar/base.h>

/* Of physical addresses those below this are mapped: above it is room for the other maps. */
#define DIRECT_MAP_BYTES (UINT64_C(1) << 47)

/* What is at a physical address; RAM and devices alike. */
static inline uint64_t direct_map(uint64_t physical) {
    return physical | DIRECT_MAP_BASE;
}

static inline void *direct_map_pointer(uint64_t physical) {
    return (void *)(uintptr_t)direct_map(physical);
}

/* Of an address in the direct map: an object of the image, or of RAM at its own place. */
static inline uint64_t direct_map_physical(const void *pointer) {
    return (uint64_t)(uintptr_t)pointer - DIRECT_MAP_BASE;
}

#endif
#endif
