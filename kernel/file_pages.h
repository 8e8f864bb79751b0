/* SPDX-License-Identifier: MIT */
/*
 * file_pages.h: pages of files that programs have mapped, one frame each for all of them. Who
 * writes to one has a copy of his own (copy-on-write), so what is here is what the file holds.
 *
 * A page stays when nobody maps it any more, for the next one, until memory is low.
 */
#ifndef KERNEL_FILE_PAGES_H
#define KERNEL_FILE_PAGES_H

#include <ashlar/vm.h>

#include "file_system.h"
#include "memory.h"

/* Once. fs NULL: there are no files. All else: any thread. */
void file_pages_init(struct kernel_memory *memory, struct file_system *fs);
/* When nobody maps one. */
void file_pages_fini(void);

/*
 * Page `index` of a regular file, zeroes behind the file's end; the caller has a reference to
 * *frame until file_pages_put. is_code: it will be executed. Waits for the disk.
 * -ASH_ERANGE: beyond the file's end; -ASH_ENOMEM; the disk's errors.
 */
int file_pages_get(struct file_node *node, uint64_t index, bool is_code,
                   ash_pfn_t *frame) ASH_MUST_CHECK;

/* The reference is given back. */
void file_pages_put(ash_pfn_t frame);

/* Gives back those that nobody maps; how many. */
uint32_t file_pages_trim(void);

/*
 * For ash_vm_recount: each has one reference from here, and until file_pages_go_on nobody gets one.
 * False: somebody has one that is on its way into an address space.
 */
bool file_pages_recount(uint32_t *scratch, ash_pfn_t first_frame);
void file_pages_go_on(void);

#endif
