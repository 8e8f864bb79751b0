/* SPDX-License-Identifier: MIT */
/*
 * vm_ranges.h: memory for the kernel that is in one piece to it, and in whatever pieces the frame
 * source has: ranges of addresses of one space, filled with frames of the same source.
 *
 *     begin ... | guard | range | guard | range | guard ...          end
 *
 * Rules
 *  - Under the lock of the space, which is the kernel's own: it is not forked. Between begin and
 *    end nobody else maps anything.
 *  - At least one page before and behind each range is never mapped: who runs over its end faults.
 *  - What is as large as a block begins at one, and is mapped by blocks as long as the source has
 *    them. The memory is not zeroed.
 *  - Notes about ranges are in frames of the same source, 72 in one.
 *
 * Alloc, free and find: O(log n) ranges, and the pages.
 */
#ifndef ASHLAR_VM_RANGES_H
#define ASHLAR_VM_RANGES_H

#include <ashlar/rbtree.h>
#include <ashlar/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ash_vm_range {
    struct ash_rbtree_node node; /* by address */
    ash_vaddr_t va;
    uint64_t bytes;
    uint64_t gap;      /* from the end of the one before */
    uint64_t gap_most; /* of this one and those below it in the tree */
};

struct ash_vm_ranges {
    struct ash_vm_space *space;
    ash_vaddr_t begin;
    struct ash_rbtree tree;
    struct ash_vm_range end; /* of no bytes, behind all others */
    void *notes;             /* frames that have room for notes */
    uint64_t count, bytes;
    uint64_t blocks; /* that were mapped as such, ever */
};

/* [begin, end): whole pages inside the space. -ASH_EINVAL. */
int ash_vm_ranges_init(struct ash_vm_ranges *ranges, struct ash_vm_space *space, ash_vaddr_t begin,
                       ash_vaddr_t end) ASH_MUST_CHECK;
/* All have been freed. */
void ash_vm_ranges_fini(struct ash_vm_ranges *ranges);

/*
 * A range of at least `bytes`, rounded up to pages, with these rights (as ash_vm_map has them), at
 * *va. -ASH_EINVAL: none, or more than there are addresses; -ASH_ENOSPC: no hole is as large;
 * -ASH_EACCES; -ASH_ENOMEM. Nothing has changed then.
 */
int ash_vm_ranges_alloc(struct ash_vm_ranges *ranges, uint64_t bytes, uint32_t rights,
                        ash_vaddr_t *va) ASH_MUST_CHECK;

/* va: where one begins, else it panics. Its frames go back, unless somebody holds them. */
void ash_vm_ranges_free(struct ash_vm_ranges *ranges, ash_vaddr_t va);

/* The range that va is in, or NULL: there is none, or it is a guard. */
const struct ash_vm_range *ash_vm_ranges_find(const struct ash_vm_ranges *ranges, ash_vaddr_t va);

/* The first broken invariant, or NULL: R1 to R3 of the tree; G1 a gap is what lies between; G2 a
 * guard on both sides; G3 all of a range is mapped, and nothing between. O(pages). */
const char *ash_vm_ranges_check(const struct ash_vm_ranges *ranges);

#ifdef __cplusplus
}
#endif

#endif
