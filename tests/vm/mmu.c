/* SPDX-License-Identifier: MIT */
/* mmu.c: see mmu.h. */
#include "vm/mmu.h"

#define BIT(n) (UINT64_C(1) << (n))

static bool is_set(uint64_t entry, uint32_t bit) {
    return (entry & BIT(bit)) != 0;
}

/* VMSAv8-64, 4 KiB granule, stage 1 of EL1&0 (D8.3.1, D8.4). Without hardware management of the
 * access flag: one of 0 is a fault. */
static struct mmu_entry decode_vmsa4k(uint64_t entry, uint32_t level) {
    struct mmu_entry to = {.address = entry & UINT64_C(0x0000fffffffff000), .rights = MMU_ALL};
    to.valid = is_set(entry, 0) && (is_set(entry, 1) || level == 1 || level == 2);
    to.table = is_set(entry, 1) && level != 0;
    if (to.table) {
        to.rights &= is_set(entry, 62) ? ~MMU_WRITE : MMU_ALL;
        to.rights &= is_set(entry, 61) ? ~MMU_USER : MMU_ALL;
        to.rights &= is_set(entry, 60) ? ~MMU_EXECUTE_USER : MMU_ALL;
        to.rights &= is_set(entry, 59) ? ~MMU_EXECUTE_KERNEL : MMU_ALL;
        return to;
    }
    bool user = is_set(entry, 6), writable = !is_set(entry, 7);
    to.rights &= user ? MMU_ALL : ~MMU_USER;
    to.rights &= writable ? MMU_ALL : ~MMU_WRITE;
    to.rights &= is_set(entry, 54) ? ~MMU_EXECUTE_USER : MMU_ALL;
    /* What programs may write to, the kernel cannot execute. */
    to.rights &= is_set(entry, 53) || (user && writable) ? ~MMU_EXECUTE_KERNEL : MMU_ALL;
    to.rights = is_set(entry, 10) ? to.rights : 0;
    to.memory = (uint32_t)(entry >> 2 & 7) | (uint32_t)(entry >> 8 & 3) << 3;
    to.global = !is_set(entry, 11);
    return to;
}

/* Sv39 and Sv48, without Svadu: a leaf that lacks A, or D for a write, faults. */
static struct mmu_entry decode_riscv(uint64_t entry, uint32_t level) {
    struct mmu_entry to = {.address = (entry >> 10 & (BIT(44) - 1)) << 12, .rights = MMU_ALL};
    bool read = is_set(entry, 1), write = is_set(entry, 2), execute = is_set(entry, 3);
    to.table = !read && !write && !execute;
    to.valid = is_set(entry, 0) && !(write && !read) && !(to.table && level == 0);
    if (to.table) {
        to.valid = to.valid && (entry & (BIT(4) | BIT(6) | BIT(7))) == 0; /* reserved */
        return to;
    }
    bool user = is_set(entry, 4);
    to.rights &= read ? MMU_ALL : ~MMU_READ;
    to.rights &= write && is_set(entry, 7) ? MMU_ALL : ~MMU_WRITE;
    to.rights &= user ? ~MMU_EXECUTE_KERNEL : ~(MMU_USER | MMU_EXECUTE_USER);
    to.rights &= execute ? MMU_ALL : ~(MMU_EXECUTE_USER | MMU_EXECUTE_KERNEL);
    to.rights = is_set(entry, 6) ? to.rights : 0;
    to.memory = (uint32_t)(entry >> 61 & 3); /* Svpbmt */
    to.global = is_set(entry, 5);
    return to;
}

/* 4-level paging with CR0.WP, EFER.NXE and CR4.SMEP. */
static struct mmu_entry decode_x86_64(uint64_t entry, uint32_t level) {
    struct mmu_entry to = {.address = entry & UINT64_C(0x000ffffffffff000), .rights = MMU_ALL};
    bool user = is_set(entry, 2);
    to.table = level != 0 && !is_set(entry, 7);
    to.valid = is_set(entry, 0) && (level != 3 || to.table);
    to.rights &= is_set(entry, 1) ? MMU_ALL : ~MMU_WRITE;
    to.rights &= user ? MMU_ALL : ~(MMU_USER | MMU_EXECUTE_USER);
    to.rights &= is_set(entry, 63) ? ~(MMU_EXECUTE_USER | MMU_EXECUTE_KERNEL) : MMU_ALL;
    if (to.table)
        return to;
    to.rights &= user ? ~MMU_EXECUTE_KERNEL : MMU_ALL;
    to.address &= level == 0 ? ~UINT64_C(0) : ~BIT(12); /* there it is PAT */
    to.memory = (uint32_t)(entry >> 3 & 3) | (uint32_t)(entry >> (level == 0 ? 7 : 12) & 1) << 2;
    to.global = is_set(entry, 8);
    return to;
}

/* An entry of the toys has a bit for each thing, and ASH_VM_* above. */
static struct mmu_entry decode_toy(uint64_t entry, uint32_t level) {
    struct mmu_entry to = {.address = entry & UINT64_C(0x000ffffffffff000), .rights = MMU_ALL};
    uint32_t rights = (uint32_t)(entry >> 52);
    to.valid = is_set(entry, 0);
    to.table = is_set(entry, 1) && level != 0;
    if (to.table) {
        to.rights &= is_set(entry, 2) ? ~MMU_WRITE : MMU_ALL;
        return to;
    }
    bool user = (rights & ASH_VM_USER) != 0, execute = (rights & ASH_VM_EXECUTE) != 0;
    to.rights &= (rights & ASH_VM_READ) != 0 ? MMU_ALL : ~MMU_READ;
    to.rights &= is_set(entry, 3) ? MMU_ALL : ~MMU_WRITE;
    to.rights &= user ? MMU_ALL : ~(MMU_USER | MMU_EXECUTE_USER);
    to.rights &= execute ? MMU_ALL : ~(MMU_EXECUTE_USER | MMU_EXECUTE_KERNEL);
    to.rights &= user ? ~MMU_EXECUTE_KERNEL : MMU_ALL;
    to.rights = is_set(entry, 4) ? to.rights : 0;
    to.memory = rights & ASH_VM_DEVICE;
    to.global = (rights & ASH_VM_GLOBAL) != 0;
    return to;
}

/* As RISC-V, it has no protection above leaves. */
static struct mmu_entry decode_toy_flat(uint64_t entry, uint32_t level) {
    struct mmu_entry to = decode_toy(entry, level);
    to.rights = to.table ? MMU_ALL : to.rights;
    return to;
}

const struct mmu_shape mmu_shapes[MMU_SHAPES] = {
    {&ash_vm_vmsa4k, 4, 9, 2, true, false, decode_vmsa4k, 0, 0},
    {&ash_vm_sv39, 3, 9, 2, false, false, decode_riscv, 0, 0},
    {&ash_vm_sv48, 4, 9, 2, false, false, decode_riscv, 0, 0},
    {&ash_vm_x86_64, 4, 9, 2, true, true, decode_x86_64, BIT(5), BIT(6)},
    {&ash_vm_toy, 3, 2, 2, true, false, decode_toy, 0, 0},
    {&ash_vm_toy_flat, 3, 2, 2, false, false, decode_toy_flat, 0, 0},
};

struct mmu_translation mmu_walk(const struct mmu_shape *shape, uintptr_t memory, ash_paddr_t root,
                                ash_vaddr_t va) {
    struct mmu_translation to = {.rights = MMU_ALL, .level = shape->levels - 1};
    ash_paddr_t table = root;
    for (;; to.level--) {
        uint64_t *entry = (uint64_t *)(memory + table) + mmu_index(shape, to.level, va);
        struct mmu_entry decoded =
            shape->decode(__atomic_load_n(entry, __ATOMIC_ACQUIRE), to.level);
        to.entries[to.level] = entry;
        if (!decoded.valid)
            return to;
        to.rights &= decoded.rights;
        if (!decoded.table) {
            uint64_t within = (UINT64_C(1) << mmu_shift(shape, to.level)) - 1;
            to.valid = to.level <= shape->leaf_top && (decoded.address & within) == 0;
            to.address = decoded.address | (va & within);
            to.memory = decoded.memory;
            return to;
        }
        table = decoded.address;
    }
}

bool mmu_allows(uint32_t rights, uint32_t access) {
    uint32_t wanted = MMU_READ;
    if ((access & ASH_VM_WRITE) != 0)
        wanted = MMU_WRITE;
    if ((access & ASH_VM_EXECUTE) != 0)
        wanted = (access & ASH_VM_USER) != 0 ? MMU_EXECUTE_USER : MMU_EXECUTE_KERNEL;
    if ((access & ASH_VM_USER) != 0)
        wanted |= MMU_USER;
    return (rights & wanted) == wanted;
}

void mmu_note(const struct mmu_shape *shape, const struct mmu_translation *translation,
              uint32_t access) {
    if (!shape->sets_flags)
        return;
    for (uint32_t level = translation->level; level < shape->levels; level++)
        __atomic_fetch_or(translation->entries[level], shape->accessed, __ATOMIC_RELAXED);
    if ((access & ASH_VM_WRITE) != 0)
        __atomic_fetch_or(translation->entries[translation->level], shape->dirty, __ATOMIC_RELAXED);
}
