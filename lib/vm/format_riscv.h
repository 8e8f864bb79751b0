/* SPDX-License-Identifier: MIT */
/*
 * format_riscv.h: Sv39 and Sv48 (RISC-V Privileged 1.12, 4.3-4.5), with Svpbmt, by which a DEVICE's
 * pages are I/O. Hardware need not set A and D (Svade), as both are set wherever W is.
 *
 * A table entry takes no rights from what is below. Its mark of sharing says that no leaf below is
 * writable: whoever sets it has seen to that.
 *
 * Two bits are software's, so the bits of a leaf mean together what elsewhere has one each:
 *
 *     RSW  W = 0                                W = 1
 *      0   private, read-only; D: and pinned    private, pinned
 *      1   private, write allowed               private
 *      2   SHARED, write allowed                SHARED
 *      3   SHARED, read-only                    -
 *
 * D of a private, read-only leaf is taken, so these count as dirty always.
 */
#ifndef VM_FORMAT_RISCV_H
#define VM_FORMAT_RISCV_H

#include <ashlar/vm_types.h>

#define FORMAT_BITS           9u /* of an address that choose an entry of a table */
#define FORMAT_PAGE_SHIFT     12u
#define FORMAT_LEAF_TOP       2u /* the highest level with leaves: 1 GiB */
#define FORMAT_PROTECTS_BELOW 0

#define RISCV_VALID     (UINT64_C(1) << 0)
#define RISCV_READ      (UINT64_C(1) << 1)
#define RISCV_WRITE     (UINT64_C(1) << 2)
#define RISCV_EXECUTE   (UINT64_C(1) << 3) /* a valid entry without R, W and X is a table's */
#define RISCV_USER      (UINT64_C(1) << 4)
#define RISCV_GLOBAL    (UINT64_C(1) << 5)
#define RISCV_ACCESSED  (UINT64_C(1) << 6)
#define RISCV_DIRTY     (UINT64_C(1) << 7)
#define RISCV_SOFTWARE  (UINT64_C(3) << 8)
#define RISCV_IO        (UINT64_C(2) << 61) /* Svpbmt */
#define RISCV_PPN       UINT64_C(0x003ffffffffffc00)
#define RISCV_PPN_SHIFT 2u /* from an address to its place in an entry */

#define RISCV_PRIVATE         (UINT64_C(1) << 8) /* write allowed */
#define RISCV_SHARED          (UINT64_C(2) << 8) /* write allowed */
#define RISCV_SHARED_READ     (UINT64_C(3) << 8)
#define RISCV_TABLE_PROTECTED (UINT64_C(1) << 8) /* of a table's entry */
#define RISCV_TABLE_PINS      (UINT64_C(2) << 8)

/* Of entries that are invalid to the CPU, which leaves all other bits to software. */
#define RISCV_UNREADABLE (UINT64_C(1) << 54)
#define RISCV_PRESENT    (UINT64_C(1) << 55) /* of an unreadable leaf, in place of RISCV_VALID */
#define RISCV_BROKEN     (UINT64_C(1) << 56)

/* Tables */

static inline uint64_t format_table(ash_paddr_t table) {
    return table >> RISCV_PPN_SHIFT | RISCV_VALID;
}

static inline bool format_is_valid(uint64_t entry) {
    return (entry & (RISCV_VALID | RISCV_PRESENT)) != 0;
}

static inline bool format_is_table(uint64_t entry, uint32_t level) {
    const uint64_t leaf = RISCV_READ | RISCV_WRITE | RISCV_EXECUTE;
    return level != 0 && (entry & (leaf | RISCV_VALID)) == RISCV_VALID;
}

static inline bool format_table_is_protected(uint64_t entry) {
    return (entry & RISCV_TABLE_PROTECTED) != 0;
}

static inline uint64_t format_table_protect(uint64_t entry) {
    return entry | RISCV_TABLE_PROTECTED;
}

static inline uint64_t format_table_unprotect(uint64_t entry) {
    return entry & ~RISCV_TABLE_PROTECTED;
}

/* Below are pinned pages, or were. */
static inline bool format_table_has_pins(uint64_t entry) {
    return (entry & RISCV_TABLE_PINS) != 0;
}

static inline uint64_t format_table_note_pins(uint64_t entry, bool pins) {
    return pins ? entry | RISCV_TABLE_PINS : entry & ~RISCV_TABLE_PINS;
}

/* Invalid, and it still knows what it referred to; 0 is nothing at all. */
static inline uint64_t format_break(uint64_t entry) {
    return (entry & ~(RISCV_VALID | RISCV_PRESENT)) | RISCV_BROKEN;
}

static inline uint64_t format_make(uint64_t entry) {
    uint64_t valid = (entry & RISCV_UNREADABLE) != 0 ? RISCV_PRESENT : RISCV_VALID;
    return (entry & ~RISCV_BROKEN) | valid;
}

static inline ash_paddr_t format_address(uint64_t entry) {
    return (entry & RISCV_PPN) << RISCV_PPN_SHIFT;
}

/*
 * Leaves: rights as they are allowed (ASH_VM_*). Writable, accessed, dirty: as the CPU has it. A
 * new one is accessed, clean and not writable.
 */

static inline uint64_t format_leaf(ash_paddr_t address, uint32_t level, uint32_t rights) {
    uint64_t entry = address >> RISCV_PPN_SHIFT | RISCV_ACCESSED;
    bool writes = (rights & ASH_VM_WRITE) != 0;
    (void)level;
    entry |=
        (rights & ASH_VM_READ) != 0 ? RISCV_VALID | RISCV_READ : RISCV_UNREADABLE | RISCV_PRESENT;
    entry |= (rights & ASH_VM_EXECUTE) != 0 ? RISCV_EXECUTE : 0;
    entry |= (rights & ASH_VM_USER) != 0 ? RISCV_USER : 0;
    entry |= (rights & ASH_VM_GLOBAL) != 0 ? RISCV_GLOBAL : 0;
    entry |= (rights & ASH_VM_DEVICE) != 0 ? RISCV_IO : 0;
    if ((rights & (ASH_VM_SHARED | ASH_VM_DEVICE)) != 0)
        return entry | (writes ? RISCV_SHARED : RISCV_SHARED_READ);
    return entry | (writes ? RISCV_PRIVATE : 0);
}

static inline uint32_t format_rights(uint64_t entry) {
    uint64_t software = entry & RISCV_SOFTWARE;
    bool writes =
        (entry & RISCV_WRITE) != 0 || software == RISCV_PRIVATE || software == RISCV_SHARED;
    uint32_t rights = writes ? ASH_VM_WRITE : 0;
    rights |= (entry & RISCV_READ) != 0 ? ASH_VM_READ : 0;
    rights |= (entry & RISCV_EXECUTE) != 0 ? ASH_VM_EXECUTE : 0;
    rights |= (entry & RISCV_USER) != 0 ? ASH_VM_USER : 0;
    rights |= (entry & RISCV_GLOBAL) != 0 ? ASH_VM_GLOBAL : 0;
    rights |= (entry & RISCV_IO) != 0 ? ASH_VM_DEVICE : 0;
    rights |= (software & RISCV_SHARED) != 0 ? ASH_VM_SHARED : 0;
    return rights;
}

static inline bool format_is_writable(uint64_t entry) {
    return (entry & RISCV_WRITE) != 0;
}

/* Writable is dirty and accessed, too: nobody else notes it. */
static inline uint64_t format_write_enable(uint64_t entry) {
    return entry | RISCV_WRITE | RISCV_DIRTY | RISCV_ACCESSED;
}

/* Not of pinned ones. */
static inline uint64_t format_write_protect(uint64_t entry) {
    return entry & ~RISCV_WRITE;
}

static inline bool format_is_pinned(uint64_t entry) {
    return (entry & RISCV_SOFTWARE) == 0 && (entry & (RISCV_WRITE | RISCV_DIRTY)) != 0;
}

/* Not of SHARED ones, which stay where they are by themselves. Pinned and allowed to be written is
 * writable, always. */
static inline uint64_t format_pin(uint64_t entry, bool pinned) {
    if (pinned == format_is_pinned(entry))
        return entry;
    if (pinned) {
        bool writes = (entry & RISCV_PRIVATE) != 0;
        return writes ? format_write_enable(entry & ~RISCV_PRIVATE) : entry | RISCV_DIRTY;
    }
    return (entry & RISCV_WRITE) != 0 ? entry | RISCV_PRIVATE : entry & ~RISCV_DIRTY;
}

static inline bool format_is_accessed(uint64_t entry) {
    return (entry & RISCV_ACCESSED) != 0;
}

static inline uint64_t format_note_accessed(uint64_t entry, bool accessed) {
    return accessed ? entry | RISCV_ACCESSED : entry & ~RISCV_ACCESSED;
}

static inline bool format_is_dirty(uint64_t entry) {
    return (entry & RISCV_DIRTY) != 0 || (entry & RISCV_SOFTWARE) == 0;
}

/* Of one that is not writable. */
static inline uint64_t format_note_clean(uint64_t entry) {
    return (entry & RISCV_SOFTWARE) != 0 ? entry & ~RISCV_DIRTY : entry;
}

/* The same page with other rights: pinned, accessed and dirty as it was, not writable. */
static inline uint64_t format_change(uint64_t entry, uint32_t level, uint32_t rights) {
    uint64_t leaf = format_leaf(0, level, rights) & ~RISCV_ACCESSED;
    leaf |= entry & (RISCV_PPN | RISCV_ACCESSED);
    if (format_is_pinned(entry))
        return format_pin(leaf, true);
    return format_is_dirty(entry) && (leaf & RISCV_SOFTWARE) != 0 ? leaf | RISCV_DIRTY : leaf;
}

#endif
