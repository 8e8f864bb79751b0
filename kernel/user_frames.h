/* SPDX-License-Identifier: MIT */
/*
 * user_frames.h: what all address spaces of the machine have in common: the frames that their
 * tables and pages are made of, counted by lib/vm, and the TLBs.
 */
#ifndef KERNEL_USER_FRAMES_H
#define KERNEL_USER_FRAMES_H

#include <ashlar/vm.h>

#include "memory.h"

/* -ASH_ENOMEM. Once, until fini. All else: any thread. */
int user_frames_init(struct kernel_memory *memory) ASH_MUST_CHECK;
/* When no address space is left. */
void user_frames_fini(void);

/* The machine for ash_vm_space_init. */
struct ash_vm *user_frames_vm(void);

/* A frame that nobody refers to yet; false: no memory. */
bool user_frame_alloc(ash_pfn_t *frame) ASH_MUST_CHECK;
void user_frame_free(ash_pfn_t frame);

/* A block: USER_BLOCK_BYTES in one piece. It may be given back in parts, too. */
enum { USER_BLOCK_ORDER = 9 };
#define USER_BLOCK_BYTES (ASH_PAGE_SIZE << USER_BLOCK_ORDER)
bool user_block_alloc(ash_pfn_t *first) ASH_MUST_CHECK;
void user_block_free(ash_pfn_t first);

/* Where the kernel sees it. */
void *user_frame_pointer(ash_pfn_t frame);

#endif
