/* SPDX-License-Identifier: MIT */
/* address_space_internal.h: what the files of the address spaces share. */
#ifndef KERNEL_ADDRESS_SPACE_INTERNAL_H
#define KERNEL_ADDRESS_SPACE_INTERNAL_H

#include "address_space.h"

struct address_spaces {
    struct kernel_memory *memory;
    ash_pfn_t trampoline; /* the page in all of them; one reference is kept here */
    struct mutex mutex;
    struct ash_vm_stats ended;                     /* of those that are no more */
    uint64_t asids[(ADDRESS_SPACES_MAX + 1) / 64]; /* bits of those that are taken */
};

extern struct address_spaces address_spaces;

/* How many there are. */
uint32_t address_spaces_count(void);
/* The first broken rule, or NULL. Its mutex is held. O(its pages). */
const char *address_space_check_locked(struct address_space *space);

#endif
