/* SPDX-License-Identifier: MIT */
/* walk.c: see walk.h. */
#include "mmu/walk.h"

#define BITS(value, high, low) ((value) >> (low) & (((uint64_t)2 << ((high) - (low))) - 1))
#define BIT(value, bit)        ((bool)((value) >> (bit)&1))

enum { LAST_LEVEL = 3, ADDRESS_BITS = 48 };

/* The rights that table descriptors on the way took from all below (D8.4.2). */
struct hierarchy {
    bool no_user, no_write, no_user_execute, no_kernel_execute;
};

static void take_away(struct hierarchy *taken, uint64_t table) {
    taken->no_user |= BIT(table, 61);           /* APTable[0] */
    taken->no_write |= BIT(table, 62);          /* APTable[1] */
    taken->no_user_execute |= BIT(table, 60);   /* UXNTable */
    taken->no_kernel_execute |= BIT(table, 59); /* PXNTable */
}

/* D8.4.1: AP[1] is for EL0, AP[2] read-only; what EL0 may write EL1 never executes. */
static void decide(struct walk *walk, uint64_t leaf, const struct hierarchy *taken) {
    bool user = BIT(leaf, 6) && !taken->no_user;
    bool write = !BIT(leaf, 7) && !taken->no_write;
    walk->may_read[WALK_KERNEL] = true;
    walk->may_read[WALK_USER] = user;
    walk->may_write[WALK_KERNEL] = write;
    walk->may_write[WALK_USER] = user && write;
    walk->may_execute[WALK_USER] = !BIT(leaf, 54) && !taken->no_user_execute;
    walk->may_execute[WALK_KERNEL] =
        !BIT(leaf, 53) && !taken->no_kernel_execute && !walk->may_write[WALK_USER];
}

static struct walk fault_at(struct walk walk, enum walk_fault fault, uint32_t level) {
    walk.fault = fault;
    walk.level = level;
    return walk;
}

struct walk walk(uint64_t low_root, uint64_t high_root, uint64_t address, uint32_t pa_bits,
                 void *(*memory)(uint64_t physical)) {
    struct walk walk = {.fault = WALK_FAULT_NONE};
    struct hierarchy taken = {false, false, false, false};
    uint64_t top = BITS(address, 63, ADDRESS_BITS);
    if (top != 0 && top != 0xffff)
        return fault_at(walk, WALK_FAULT_TRANSLATION, 0);
    uint64_t table = top == 0 ? low_root : high_root;
    for (uint32_t level = 0;; level++) {
        uint32_t shift = 12 + 9 * (LAST_LEVEL - level);
        const uint64_t *entries = memory(table);
        uint64_t entry = entries[BITS(address, shift + 8, shift)];
        walk.descriptors[level] = entry;
        bool is_table = BIT(entry, 1) && level < LAST_LEVEL;
        /* Without bit 1 an entry is a block, and blocks are at levels 1 and 2 alone. */
        if (!BIT(entry, 0) || (!BIT(entry, 1) && (level == 0 || level == LAST_LEVEL)))
            return fault_at(walk, WALK_FAULT_TRANSLATION, level);
        uint64_t output = entry & ((UINT64_C(1) << 48) - 1) & ~(uint64_t)0xfff;
        if (output >> pa_bits != 0)
            return fault_at(walk, WALK_FAULT_SIZE, level);
        if (!is_table) {
            uint64_t inside = (UINT64_C(1) << shift) - 1;
            if (!BIT(entry, 10))
                return fault_at(walk, WALK_FAULT_ACCESS_FLAG, level);
            walk.level = level;
            walk.physical = (output & ~inside) | (address & inside);
            walk.attribute = (uint32_t)BITS(entry, 4, 2);
            walk.shareability = (uint32_t)BITS(entry, 9, 8);
            decide(&walk, entry, &taken);
            return walk;
        }
        take_away(&taken, entry);
        table = output;
    }
}
