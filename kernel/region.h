/* SPDX-License-Identifier: MIT */
/*
 * region.h: what the parts of an address space are: rights, and what their pages come from. Pure
 * bookkeeping; page tables are another's (address_space.h).
 *
 * Rules
 *  - Addresses are multiples of the page size; a region is [start, end), not empty; regions do not
 *    overlap, and neighbours that go on where the other ends are one.
 *  - A change fails before it changes anything: it may need two regions more than there were, and
 *    takes them first.
 *  - No lock inside. O(regions) each.
 */
#ifndef KERNEL_REGION_H
#define KERNEL_REGION_H

#include <ashlar/base.h>
#include <ashlar/list.h>

#include "allocator.h"

struct file_node;

enum region_kind {
    REGION_ZEROES, /* anonymous */
    REGION_FILE,   /* pages of a file; beyond its end there are none */
};

/* Flags of a region. */
#define REGION_SHARED 1u  /* a write is everybody's who has it mapped */
#define REGION_STACK  2u  /* the program's, below it nothing */
#define REGION_FIXED  4u  /* the kernel's: no program changes it */
#define REGION_HEAP   8u  /* of brk */
#define REGION_HUGE   16u /* in blocks of 2 MiB, where they fit */

struct region {
    uint64_t start, end;
    uint32_t rights; /* ASH_VM_READ | _WRITE | _EXECUTE; 0: nobody may touch it */
    uint32_t flags;
    enum region_kind kind;
    struct file_node *node; /* of REGION_FILE */
    uint64_t offset;        /* of the file's byte at start */
    struct ash_list link;
};

struct region_set {
    struct ash_list regions; /* by address */
    uint32_t count;
    uint64_t bytes;
    struct allocator *allocator;
};

enum { REGIONS_MAX = 4096 }; /* of one address space */

/* An empty one; *allocator, of its regions, outlives it. */
void region_set_init(struct region_set *set, struct allocator *allocator);
/* No region is left. */
void region_set_clear(struct region_set *set);

/* The same regions. *copy is initialised and empty. -ASH_ENOMEM: it stays so. */
int region_set_copy(struct region_set *copy, const struct region_set *set) ASH_MUST_CHECK;

/* The region that contains the address, or the first behind it; or NULL. */
struct region *region_find(const struct region_set *set, uint64_t address);
/* The one behind; or NULL. NULL: the first. */
struct region *region_next(const struct region_set *set, const struct region *region);

/* Does any region reach into [start, end)? */
bool region_overlaps(const struct region_set *set, uint64_t start, uint64_t end);

/* Adds *like, where nothing is (link is not looked at). -ASH_ENOMEM: no memory, or REGIONS_MAX. */
int region_add(struct region_set *set, const struct region *like) ASH_MUST_CHECK;

/*
 * Regions begin and end at both: of a remove or a protect of [start, end) that follows nothing can
 * fail. -ASH_ENOMEM. A join, instead, takes it back.
 */
int region_cut(struct region_set *set, uint64_t start, uint64_t end) ASH_MUST_CHECK;
void region_join(struct region_set *set, uint64_t start, uint64_t end);

/* Is all of [start, end) in regions? */
bool region_covers(const struct region_set *set, uint64_t start, uint64_t end);

/* Nothing is in [start, end) afterwards. -ASH_ENOMEM. */
int region_remove(struct region_set *set, uint64_t start, uint64_t end) ASH_MUST_CHECK;

/* Other rights in [start, end). -ASH_ENOMEM: memory, or a part of it is no region. */
int region_protect(struct region_set *set, uint64_t start, uint64_t end,
                   uint32_t rights) ASH_MUST_CHECK;

/* In blocks or not, from now on. Errors as region_protect. */
int region_advise(struct region_set *set, uint64_t start, uint64_t end,
                  bool is_huge) ASH_MUST_CHECK;

/* The highest address at or below `top`, and not below `bottom`, from which `bytes` are free;
 * 0: there is none. */
uint64_t region_gap(const struct region_set *set, uint64_t bottom, uint64_t top, uint64_t bytes);

/* The first broken rule, or NULL. */
const char *region_check(const struct region_set *set);

#endif
