/* SPDX-License-Identifier: MIT */
/*
 * mmu.h: page tables as a CPU reads them, written from the manuals and not from lib/vm's headers
 * (Arm ARM D8.3; RISC-V Privileged 1.12, 4.3-4.5; Intel SDM 3A, 4.5): so a bit that the library
 * puts in the wrong place is seen. The toys' bits are the library's to choose.
 */
#ifndef TESTS_VM_MMU_H
#define TESTS_VM_MMU_H

#include <ashlar/vm.h>

/* What an entry, or a whole translation, lets through. */
#define MMU_READ           1u
#define MMU_WRITE          2u
#define MMU_EXECUTE_USER   4u
#define MMU_EXECUTE_KERNEL 8u
#define MMU_USER           16u /* reads and writes of programs, too */
#define MMU_ALL            31u

enum { MMU_SHAPES = 6 };

struct mmu_entry {
    bool valid, table;
    ash_paddr_t address;
    uint32_t rights; /* a table's: what it leaves to those below */
    uint32_t memory; /* its type; in a leaf */
    bool global;
};

struct mmu_shape {
    const struct ash_vm_format *format;
    uint32_t levels, bits;
    uint32_t leaf_top; /* the highest level with leaves */
    bool protects_below;
    bool sets_flags; /* it notes accessed and dirty itself */
    struct mmu_entry (*decode)(uint64_t entry, uint32_t level);
    uint64_t accessed, dirty; /* where sets_flags */
};

struct mmu_translation {
    bool valid;
    uint32_t level;      /* of the leaf, or of the invalid entry */
    ash_paddr_t address; /* of the byte */
    uint32_t rights, memory;
    uint64_t *entries[ASH_VM_LEVELS_MAX]; /* by level, as far as it came */
};

/* Those formats that are tested, in the order vmsa4k, sv39, sv48, x86_64, toy, toy_flat. */
extern const struct mmu_shape mmu_shapes[MMU_SHAPES];

static inline uint32_t mmu_shift(const struct mmu_shape *shape, uint32_t level) {
    return 12 + shape->bits * level;
}

static inline uint32_t mmu_index(const struct mmu_shape *shape, uint32_t level, ash_vaddr_t va) {
    return (uint32_t)(va >> mmu_shift(shape, level)) & ((1u << shape->bits) - 1);
}

/* memory: where this CPU sees physical address 0. */
struct mmu_translation mmu_walk(const struct mmu_shape *shape, uintptr_t memory, ash_paddr_t root,
                                ash_vaddr_t va);

/* Whether they allow an access: READ, WRITE or EXECUTE, with or without USER. */
bool mmu_allows(uint32_t rights, uint32_t access);

/* What such a CPU does to the entries when it makes use of them. */
void mmu_note(const struct mmu_shape *shape, const struct mmu_translation *translation,
              uint32_t access);

#endif
