/* SPDX-License-Identifier: MIT */
/*
 * guest_memory.h: what a fake device sees of the guest: registered ranges of physical addresses,
 * reached only through these accessors. Nothing outside a range is ever touched: the access fails
 * whole and is counted.
 *
 * Rules
 *  - Bytes are copied; the 16-bit ring indexes are single accesses with an order, because the other
 *    side may write them at the same moment from another thread.
 *  - Values are little-endian in the guest, in the host's own order here (virtio 1.2, 1.4).
 *  - An access may run over the seam of two ranges that touch.
 */
#ifndef ASHLAR_HOSTED_GUEST_MEMORY_H
#define ASHLAR_HOSTED_GUEST_MEMORY_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GUEST_MEMORY_RANGES_MAX = 8 };

struct guest_range {
    ash_paddr_t base;
    uint64_t size_bytes;
    uint8_t *bytes;
};

struct guest_memory {
    struct guest_range ranges[GUEST_MEMORY_RANGES_MAX];
    uint32_t count;
    uint64_t refused;            /* accesses outside, since init */
    ash_paddr_t refused_address; /* the last of them */
    uint64_t refused_len;
};

void guest_memory_init(struct guest_memory *memory);

/* Makes [base, base + size_bytes) appear at `bytes`. -ASH_ENOSPC: no slot left; -ASH_EINVAL: empty,
 * past the end of the address space, or over another range. */
int guest_memory_add(struct guest_memory *memory, ash_paddr_t base, void *bytes,
                     uint64_t size_bytes) ASH_MUST_CHECK;

/* True if every byte is inside; counts nothing. An empty range is inside everywhere. */
bool guest_memory_contains(const struct guest_memory *memory, ash_paddr_t address, uint64_t len);

/* All of it, or false and nothing: a failed read leaves zeros. */
bool guest_memory_read(struct guest_memory *memory, ash_paddr_t address, void *bytes, uint64_t len);
bool guest_memory_write(struct guest_memory *memory, ash_paddr_t address, const void *bytes,
                        uint64_t len);

/* Ring indexes, flags and events: naturally aligned, acquire and release. */
bool guest_memory_load_u16(struct guest_memory *memory, ash_paddr_t address, uint16_t *value);
bool guest_memory_store_u16(struct guest_memory *memory, ash_paddr_t address, uint16_t value);

#ifdef __cplusplus
}
#endif

#endif
