/* SPDX-License-Identifier: MIT */
/*
 * mmu.h: the kernel's own map: identity, 39-bit addresses, 4 KiB pages and larger blocks where they
 * fit. Only what is named is mapped; page 0 and the stacks' guards never are. Boot only: nothing
 * here is locked, and the map does not change once other CPUs run.
 */
#ifndef QEMU_VIRT_MMU_H
#define QEMU_VIRT_MMU_H

#include <ashlar/base.h>

enum mmu_kind { MMU_TEXT, MMU_RODATA, MMU_DATA, MMU_DEVICE, MMU_NOTHING };

/* Maps whole pages, over what was there. Panics when the pool of tables is used up, or past
 * 2^39. */
void mmu_map(uint64_t base, uint64_t size_bytes, enum mmu_kind kind);

/* Switches this CPU to the map; the others use it from their start on. */
void mmu_enable(void);

/* Would a read of this address succeed? Any address; with exceptions masked, since their entry
 * changes the register that answers. */
bool mmu_is_readable(uint64_t address);

#endif
