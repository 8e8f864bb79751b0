/* SPDX-License-Identifier: MIT */
/*
 * vm_asid.h: which address space has which ASID, the number by which TLBs tell them apart. There
 * are more spaces than numbers: when none is left, a new generation begins, in which every space
 * has to take one again, and each CPU flushes its TLB before it uses one of them.
 *
 * Rules
 *  - Before a CPU translates by a space's root: ash_vm_asid_try, without any lock; where that is
 *    false, ash_vm_asid_take under a lock of the caller's, one for all CPUs. Both with interrupts
 *    masked, or pinned, until the CPU has changed to the root.
 *  - What a CPU translates by keeps its number: only other spaces lose theirs. So bits must give
 *    more numbers than there are CPUs, and number 0 is nobody's.
 *  - A space that never ran has none, and is_live says so: it costs no flush.
 *  - A number whose space has ended is given again in the next generation, so not before a flush.
 *
 * Source: the scheme is that of Linux's arm64 context.c, as its comments describe it.
 */
#ifndef ASHLAR_VM_ASID_H
#define ASHLAR_VM_ASID_H

#include <ashlar/vm_types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_VM_ASID_BITS_MAX 16u
/* The number in struct ash_vm_space's asid; above it, its generation. */
#define ASH_VM_ASID_NUMBER 0xffffu

struct ash_vm_asid_cpu {
    uint64_t active;   /* what it took last; 0: a generation began since then */
    uint64_t reserved; /* what it may translate by still, from before that */
    bool must_flush;   /* before it uses a number of this generation */
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));

struct ash_vm_asids {
    uint64_t generation; /* multiples of ASH_VM_ASID_NUMBER + 1, from 1 on */
    uint32_t numbers;
    uint32_t next; /* where the search for a free one begins */
    uint32_t cpus;
    uint64_t rollovers, flushes;
    const struct ash_vm_tlb *tlb;
    struct ash_vm_asid_cpu cpu[ASH_PORT_CPUS_MAX];
    uint64_t used[(ASH_VM_ASID_NUMBER + 1) / 64]; /* in this generation, by number */
};

/* bits: of the machine's ASIDs, at most 16. tlb: of it flush_all is used; outlives this.
 * -ASH_EINVAL: bits, or no more numbers than cpus + 1; cpus. */
int ash_vm_asid_init(struct ash_vm_asids *asids, uint32_t bits, uint32_t cpus,
                     const struct ash_vm_tlb *tlb) ASH_MUST_CHECK;

/* space->asid & ASH_VM_ASID_NUMBER is its number from here on until it is taken again. */
void ash_vm_asid_take(struct ash_vm_asids *asids, struct ash_vm_space *space, uint32_t cpu);

/* No CPU translates by the space any more, nor ever will. Under the lock. */
void ash_vm_asid_retire(struct ash_vm_asids *asids, struct ash_vm_space *space);

/*
 * True: the space has its number still, and this CPU has it now. That a generation begins meanwhile
 * is seen by the exchange: who begins it has put 0 there, or sees what is put here.
 */
static inline bool ash_vm_asid_try(struct ash_vm_asids *asids, struct ash_vm_space *space,
                                   uint32_t cpu) {
    uint64_t asid = ash_load_relaxed(&space->asid);
    uint64_t active = ash_load_relaxed(&asids->cpu[cpu].active);
    bool is_current = (asid ^ ash_load_relaxed(&asids->generation)) <= ASH_VM_ASID_NUMBER;
    return is_current && active != 0 &&
           ash_compare_exchange(&asids->cpu[cpu].active, &active, asid);
}

#ifdef __cplusplus
}
#endif

#endif
