/* SPDX-License-Identifier: MIT */
/*
 * vm.h: page tables with copy-on-write: address spaces that are mapped, protected, forked and
 * faulted on, for VMSAv8-64, Sv39, Sv48 and x86-64.
 *
 * Rules
 *  - No lock inside: the caller serialises each address space and holds its lock over a whole
 *    call, TLB maintenance included. Two address spaces need no common lock, whatever they share;
 *    fork wants both. Not in an interrupt handler. Where the port has one CPU, counts are plain:
 *    calls do not preempt each other.
 *  - When an operation returns, no TLB has a translation that it took away, and only then have
 *    frames been freed or given to others.
 *  - An operation fails before it changes anything, or not at all.
 *  - Addresses and sizes are multiples of the page size and inside the space, else -ASH_EINVAL; so
 *    is a size of 0.
 *  - Frames are counted: each entry and each root that refers to one, table or page, is a
 *    reference, and so is each pin and ash_vm_hold. Without one it goes back to where it came
 *    from. A block (2 MiB, 1 GiB) is one reference to its first frame.
 *  - fork shares the tables below the root. So a write, or a change, after it may need up to three
 *    tables, also in unmap: these say -ASH_ENOMEM.
 *  - Cost: a walk, and the entries in the range; of what lies below an entry as a whole, unmap and
 *    fork see that entry alone. At most two waits for TLBs.
 *  - What panics: a reference given back that nobody had, a frame from the source that is not
 *    aligned or not counted, the second end of a fault.
 *
 *     root A ─ro─┐          fork: one store and one count an entry of the root, one table
 *                ├─> T ─> T ─> pages        T is nobody's to change: who wants to, copies it
 *     root B ─ro─┘                          first, from the top down to what changes
 *
 * Limits: ASH_VM_LEVELS_MAX tables on a walk; blocks of 1 GiB; 2^32 - 65,536 counted frames, and as
 * many references to one: with more it is never freed. Errors: -ASH_E*, of each function below.
 *
 * Source: Arm ARM D8 (VMSAv8-64); RISC-V Privileged 1.12, 4.4-4.5; Intel SDM 3, 4.5. Sharing of
 * page tables: Zhao, Gong, Fonseca, "On-demand-fork", EuroSys 2021 (last level; here all of them).
 */
#ifndef ASHLAR_VM_H
#define ASHLAR_VM_H

#include <ashlar/vm_types.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const struct ash_vm_format ash_vm_vmsa4k; /* 48 bits, 4 levels, 4 KiB granule */
extern const struct ash_vm_format ash_vm_sv39;   /* 3 levels; no write protection above leaves */
extern const struct ash_vm_format ash_vm_sv48;
extern const struct ash_vm_format ash_vm_x86_64; /* 4 levels */
extern const struct ash_vm_format ash_vm_toy;    /* 3 levels of 4 entries: all cases can be tried */
extern const struct ash_vm_format ash_vm_toy_flat; /* the same, without protection above leaves */

const char *ash_vm_format_name(const struct ash_vm_format *format);
/* The first address beyond the lower half. */
ash_vaddr_t ash_vm_format_end(const struct ash_vm_format *format);

/* The machine */

/* Bytes, aligned to 8, that init wants: four a frame. 0: a bad configuration. */
size_t ash_vm_storage_size(const struct ash_vm_config *config);

/* -ASH_EINVAL: configuration or storage; -ASH_ENOMEM: no frame for the zero page.
 * O(frame_count). */
int ash_vm_init(struct ash_vm *vm, const struct ash_vm_config *config, void *storage,
                size_t storage_bytes) ASH_MUST_CHECK;
/* When all its spaces have ended. */
void ash_vm_fini(struct ash_vm *vm);

/* A reference of the caller's to a counted frame: it stays when it is unmapped everywhere. */
void ash_vm_hold(struct ash_vm *vm, ash_pfn_t frame);
/* Given back; the last one frees the frame (order 0, or that of the block that it heads). */
void ash_vm_release(struct ash_vm *vm, ash_pfn_t frame, uint32_t order);
uint32_t ash_vm_count(const struct ash_vm *vm, ash_pfn_t frame);

/* Address spaces */

/* [begin, end): multiples of what a root entry covers; 0 and 0: the whole lower half.
 * -ASH_ENOMEM; -ASH_EINVAL. */
int ash_vm_space_init(struct ash_vm_space *space, struct ash_vm *vm, ash_vaddr_t begin,
                      ash_vaddr_t end) ASH_MUST_CHECK;

/*
 * Ends it: no CPU translates by its root any more, and its ASID is not used again without a flush
 * (ash_vm_asid_retire). What it referred to is given back, the tables by ash_vm_reap: at most
 * 512 + 1 stores here.
 */
void ash_vm_space_fini(struct ash_vm_space *space);

/*
 * Gives back up to `tables` tables that nobody refers to, with what they refer to. Returns whether
 * some are left. Needed after space_fini, until it says false; all other operations do it
 * themselves. O(512) each.
 */
bool ash_vm_reap(struct ash_vm_space *space, uint32_t tables);

/*
 * Maps [va, va + bytes) to [address, ...): by blocks where both are aligned and it is allowed. One
 * reference to each frame is the mapping's from then on: frames fresh from the source come with
 * none. -ASH_EEXIST: something is mapped there; -ASH_EACCES: written and executed, a DEVICE to
 * execute, or either without READ; -ASH_EINVAL: frames that are not counted, if not all of them and
 * DEVICE's; -ASH_ENOMEM.
 */
int ash_vm_map(struct ash_vm_space *space, ash_vaddr_t va, ash_paddr_t address, uint64_t bytes,
               uint32_t rights, uint32_t flags) ASH_MUST_CHECK;

/* Maps pages of zeroes: all the same frame until one is written to. The same errors. */
int ash_vm_map_zero(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes,
                    uint32_t rights) ASH_MUST_CHECK;

/* What is mapped in [va, va + bytes), if anything, is so no more. -ASH_ENOMEM. */
int ash_vm_unmap(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes) ASH_MUST_CHECK;

/* Other rights (READ, WRITE, EXECUTE, USER) for all that is mapped there. -ASH_EACCES; -ASH_ENOMEM.
 * What was written and becomes executable: see to the instruction cache first. */
int ash_vm_protect(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes,
                   uint32_t rights) ASH_MUST_CHECK;

/* Blocks that contain va and are larger than 2^shift bytes become smaller ones. -ASH_EINVAL: shift
 * is less than a page's; -ASH_ENOMEM. */
int ash_vm_split(struct ash_vm_space *space, ash_vaddr_t va, uint32_t shift) ASH_MUST_CHECK;

/* The table of pages around va becomes one block: as it stands where its pages follow each other in
 * one, else a copy. 0 also where it is a block. -ASH_EBUSY: pages are missing, differ in rights, or
 * are pinned or SHARED and would have to be copied; -ASH_ENOMEM. */
int ash_vm_collapse(struct ash_vm_space *space, ash_vaddr_t va) ASH_MUST_CHECK;

/* Looking */

/* Where an access would go. -ASH_EFAULT: nothing is mapped; -ASH_EACCES: the rights forbid it.
 * A write that would fault only to be answered (copy-on-write) is allowed. */
int ash_vm_translate(const struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                     ash_paddr_t *address) ASH_MUST_CHECK;

/* The first run at or after va; false: there is none. */
bool ash_vm_query(const struct ash_vm_space *space, ash_vaddr_t va, struct ash_vm_mapping *mapping);

/* The entries from the root towards va; returns how many. */
uint32_t ash_vm_walk(const struct ash_vm_space *space, ash_vaddr_t va,
                     struct ash_vm_step steps[ASH_VM_LEVELS_MAX]);

void ash_vm_get_usage(const struct ash_vm_space *space, struct ash_vm_usage *usage);

/*
 * How many pages of the range have been accessed, or written, since the last call; and forgets it:
 * the next access, or write, is seen by a fault (REUSE). A block has one mark for all its pages: a
 * range in it counts its own ones, and forgets for all. Pinned pages are never clean; a DEVICE's
 * are passed over. -ASH_ENOMEM.
 */
int ash_vm_age(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes,
               uint64_t *accessed) ASH_MUST_CHECK;
int ash_vm_clean(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes,
                 uint64_t *dirty) ASH_MUST_CHECK;

/* fork, faults, access by the kernel */

/*
 * child, an uninitialised one, has the same mappings: SHARED ones to the same memory, the others to
 * what it holds now. flags: 0 or ASH_VM_EAGER. -ASH_ENOMEM. One table, a store and a count a used
 * root entry; pinned pages are copied, with the tables above them.
 */
int ash_vm_fork(struct ash_vm_space *child, struct ash_vm_space *parent,
                uint32_t flags) ASH_MUST_CHECK;

/* An access (with or without ASH_VM_USER) faulted at va, any number: by walking, whatever the CPU
 * says about the reason. */
enum ash_vm_verdict ash_vm_fault(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access);

/* The same in steps: see struct ash_vm_pending. Between them the space may change, and end() looks
 * again; each begin with bytes has one end. */
enum ash_vm_verdict ash_vm_fault_begin(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                                       struct ash_vm_pending *pending);
void ash_vm_fault_copy(const struct ash_vm_pending *pending);
enum ash_vm_verdict ash_vm_fault_end(struct ash_vm_pending *pending);

/*
 * The page at va for a device: it stays this one, at *address, and this space's alone, until
 * unpinned, over fork, unmap and end. access: READ or WRITE; only of what may be written, or is
 * SHARED: else -ASH_EACCES. -ASH_EFAULT; -ASH_ENOMEM; -ASH_ENOTSUP: in a block.
 */
int ash_vm_pin(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
               ash_paddr_t *address) ASH_MUST_CHECK;
void ash_vm_unpin(struct ash_vm *vm, ash_paddr_t address);

/*
 * Between the kernel and a program's memory, with the program's rights, copy-on-write answered on
 * the way: [va, va + bytes), any numbers. *done: bytes that were copied, also when it fails.
 * -ASH_EFAULT; -ASH_ENOMEM. A read or write of nothing is 0.
 */
int ash_vm_copy_in(struct ash_vm_space *space, void *to, ash_vaddr_t va, size_t bytes,
                   size_t *done) ASH_MUST_CHECK;
int ash_vm_copy_out(struct ash_vm_space *space, ash_vaddr_t va, const void *from, size_t bytes,
                    size_t *done) ASH_MUST_CHECK;
/* Up to the NUL: *length without it. -ASH_ENAMETOOLONG: none in the first `bytes`. */
int ash_vm_copy_string(struct ash_vm_space *space, char *to, ash_vaddr_t va, size_t bytes,
                       size_t *length) ASH_MUST_CHECK;

/* Statistics, checker */

void ash_vm_stats_add(struct ash_vm_stats *sum, const struct ash_vm_stats *other);

/* The first broken invariant of one space (DESIGN.md), or NULL. O(tables). */
const char *ash_vm_check(const struct ash_vm_space *space);

/*
 * The full audit: recounts all references from all `spaces` of the machine into `scratch`, of
 * ash_vm_storage_size, to which the caller has added its holds and pins; and compares.
 */
const char *ash_vm_recount(const struct ash_vm *vm, const struct ash_vm_space *const *spaces,
                           uint32_t count, uint32_t *scratch);

#ifdef __cplusplus
}
#endif

#endif
