/* SPDX-License-Identifier: MIT */
/*
 * mmu.h: the kernel's own map, in the half of TTBR1_EL1: the direct map (direct_map.h) in 4 KiB
 * pages and in larger blocks where they fit, and the window. Only what is named is mapped; the
 * stacks' guards never are. Boot only: nothing here is locked, and the map does not change once
 * other CPUs run, but in the window and in what platform/user.h leaves to others.
 */
#ifndef QEMU_VIRT_MMU_H
#define QEMU_VIRT_MMU_H

#include <ashlar/base.h>

enum mmu_kind { MMU_TEXT, MMU_RODATA, MMU_DATA, MMU_DEVICE, MMU_NOTHING };

/* Maps whole pages by physical address, over what was there. Panics when the pool of tables is used
 * up, or past DIRECT_MAP_BYTES. */
void mmu_map(uint64_t base, uint64_t size_bytes, enum mmu_kind kind);

/*
 * The window: addresses beside the direct map where single pages are mapped while other CPUs run.
 * Its tables are made at boot; whoever changes an entry is the only one to do so.
 */
#define MMU_WINDOW       UINT64_C(0xffffa00000000000)
#define MMU_WINDOW_BYTES (UINT64_C(32) << 20)
void mmu_prepare_window(void);

/* The page at this address of the window, where none was: read-write data in this frame. */
void mmu_map_page(uint64_t address, uint64_t frame);

/* Pages that are mapped no longer are when it returns, on no CPU. */
void mmu_unmap_pages(uint64_t address, uint64_t size_bytes);

/* start.S: a root with no entry, of the half that programs have. */
extern const uint64_t mmu_empty_root[];

/* Switches this CPU to the map; the others use it from their start on. */
void mmu_enable(void);

/* Would a read of this address succeed? Any address; with exceptions masked, since their entry
 * changes the register that answers. */
bool mmu_is_readable(uint64_t address);

#endif
