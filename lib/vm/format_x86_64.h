/* SPDX-License-Identifier: MIT */
/*
 * format_x86_64.h: x86-64, 4 levels (Intel SDM 3, 4.5), with the page attributes of reset and
 * CR0.WP, EFER.NXE and CR4.PGE set. CR4.PKE is not: the protection key's bits are 0.
 *
 * A table entry without W takes write permission from all below: that is the mark of sharing, and
 * never a program's right (invariant I2).
 *
 * The CPU sets A and D where they are clear. D is set wherever W is, so of these it is A alone, and
 * only after it has been cleared for a leaf: a store that is lost to a later one costs nothing but
 * that one access is not seen.
 */
#ifndef VM_FORMAT_X86_64_H
#define VM_FORMAT_X86_64_H

#include <ashlar/vm_types.h>

#define FORMAT                x86_64
#define FORMAT_NAME           "x86-64, 4 levels"
#define FORMAT_LEVELS         4u
#define FORMAT_BITS           9u /* of an address that choose an entry of a table */
#define FORMAT_PAGE_SHIFT     12u
#define FORMAT_VA_BITS        47u /* of an address in the lower half */
#define FORMAT_LEAF_TOP       2u  /* the highest level with leaves: 1 GiB */
#define FORMAT_PROTECTS_BELOW 1

#define X86_VALID      (UINT64_C(1) << 0)
#define X86_WRITABLE   (UINT64_C(1) << 1)
#define X86_USER       (UINT64_C(1) << 2)
#define X86_UNCACHED   (UINT64_C(3) << 3) /* PWT and PCD: entry 3 of the PAT */
#define X86_ACCESSED   (UINT64_C(1) << 5)
#define X86_DIRTY      (UINT64_C(1) << 6)
#define X86_BLOCK      (UINT64_C(1) << 7) /* a leaf above level 0 */
#define X86_GLOBAL     (UINT64_C(1) << 8)
#define X86_WRITE      (UINT64_C(1) << 9) /* 9 to 11 and 52 to 58 are software's */
#define X86_SHARED     (UINT64_C(1) << 10)
#define X86_PINNED     (UINT64_C(1) << 11)
#define X86_USED       (UINT64_C(1) << 52) /* of every entry that is not empty, broken ones too */
#define X86_UNREADABLE (UINT64_C(1) << 53) /* a leaf that is invalid to the CPU */
#define X86_PRESENT    (UINT64_C(1) << 54) /* of such a leaf, in place of X86_VALID */
#define X86_NEVER      (UINT64_C(1) << 63) /* executed */
#define X86_ADDRESS    UINT64_C(0x000ffffffffff000)

/* Tables: all rights, for leaves to take away. */

static inline uint64_t format_table(ash_paddr_t table) {
    return table | X86_VALID | X86_WRITABLE | X86_USER | X86_ACCESSED | X86_USED;
}

static inline bool format_is_valid(uint64_t entry) {
    return (entry & (X86_VALID | X86_PRESENT)) != 0;
}

static inline bool format_is_table(uint64_t entry, uint32_t level) {
    return level != 0 && (entry & (X86_VALID | X86_BLOCK)) == X86_VALID;
}

static inline bool format_table_is_protected(uint64_t entry) {
    return (entry & X86_WRITABLE) == 0;
}

static inline uint64_t format_table_protect(uint64_t entry) {
    return entry & ~X86_WRITABLE;
}

static inline uint64_t format_table_unprotect(uint64_t entry) {
    return entry | X86_WRITABLE;
}

/* Below are pinned pages, or were. */
static inline bool format_table_has_pins(uint64_t entry) {
    return (entry & X86_PINNED) != 0;
}

static inline uint64_t format_table_note_pins(uint64_t entry, bool pins) {
    return pins ? entry | X86_PINNED : entry & ~X86_PINNED;
}

/* Invalid, and it still knows what it referred to; 0 is nothing at all. */
static inline uint64_t format_break(uint64_t entry) {
    return entry & ~(X86_VALID | X86_PRESENT);
}

static inline uint64_t format_make(uint64_t entry) {
    return entry | ((entry & X86_UNREADABLE) != 0 ? X86_PRESENT : X86_VALID);
}

static inline ash_paddr_t format_address(uint64_t entry) {
    return entry & X86_ADDRESS;
}

/*
 * Leaves: rights as they are allowed (ASH_VM_*). Writable, accessed, dirty: as the CPU has it. A
 * new one is accessed, clean and not writable.
 */

static inline uint64_t format_leaf(ash_paddr_t address, uint32_t level, uint32_t rights) {
    uint64_t entry = address | X86_ACCESSED | X86_USED;
    entry |= level == 0 ? 0 : X86_BLOCK;
    entry |= (rights & ASH_VM_DEVICE) != 0 ? X86_UNCACHED : 0;
    entry |= (rights & ASH_VM_GLOBAL) != 0 ? X86_GLOBAL : 0;
    entry |= (rights & ASH_VM_USER) != 0 ? X86_USER : 0;
    entry |= (rights & ASH_VM_EXECUTE) != 0 ? 0 : X86_NEVER;
    entry |= (rights & ASH_VM_WRITE) != 0 ? X86_WRITE : 0;
    entry |= (rights & (ASH_VM_SHARED | ASH_VM_DEVICE)) != 0 ? X86_SHARED : 0;
    entry |= (rights & ASH_VM_READ) != 0 ? X86_VALID : X86_UNREADABLE | X86_PRESENT;
    return entry;
}

static inline uint32_t format_rights(uint64_t entry) {
    uint32_t rights = (entry & X86_UNREADABLE) == 0 ? ASH_VM_READ : 0;
    rights |= (entry & X86_WRITE) != 0 ? ASH_VM_WRITE : 0;
    rights |= (entry & X86_NEVER) == 0 ? ASH_VM_EXECUTE : 0;
    rights |= (entry & X86_USER) != 0 ? ASH_VM_USER : 0;
    rights |= (entry & X86_SHARED) != 0 ? ASH_VM_SHARED : 0;
    rights |= (entry & X86_UNCACHED) != 0 ? ASH_VM_DEVICE : 0;
    rights |= (entry & X86_GLOBAL) != 0 ? ASH_VM_GLOBAL : 0;
    return rights;
}

static inline bool format_is_writable(uint64_t entry) {
    return (entry & X86_WRITABLE) != 0;
}

/* Writable is dirty and accessed, too: nobody else notes it. */
static inline uint64_t format_write_enable(uint64_t entry) {
    return entry | X86_WRITABLE | X86_DIRTY | X86_ACCESSED;
}

static inline uint64_t format_write_protect(uint64_t entry) {
    return entry & ~X86_WRITABLE;
}

static inline bool format_is_pinned(uint64_t entry) {
    return (entry & X86_PINNED) != 0;
}

/* Not of SHARED ones, which stay where they are by themselves. Pinned and allowed to be written is
 * writable, always. */
static inline uint64_t format_pin(uint64_t entry, bool pinned) {
    if (!pinned)
        return entry & ~X86_PINNED;
    return ((entry & X86_WRITE) != 0 ? format_write_enable(entry) : entry) | X86_PINNED;
}

/* The same page with other rights: pinned, accessed and dirty as it was, not writable. */
static inline uint64_t format_change(uint64_t entry, uint32_t level, uint32_t rights) {
    const uint64_t keeps = X86_ADDRESS | X86_ACCESSED | X86_PINNED | X86_DIRTY;
    uint64_t leaf = (format_leaf(0, level, rights) & ~X86_ACCESSED) | (entry & keeps);
    return format_is_pinned(entry) ? format_pin(leaf, true) : leaf;
}

static inline bool format_is_accessed(uint64_t entry) {
    return (entry & X86_ACCESSED) != 0;
}

static inline uint64_t format_note_accessed(uint64_t entry, bool accessed) {
    return accessed ? entry | X86_ACCESSED : entry & ~X86_ACCESSED;
}

static inline bool format_is_dirty(uint64_t entry) {
    return (entry & X86_DIRTY) != 0;
}

/* Of one that is not writable. */
static inline uint64_t format_note_clean(uint64_t entry) {
    return entry & ~X86_DIRTY;
}

#endif
