/* SPDX-License-Identifier: MIT */
/*
 * format_vmsa4k.h: VMSAv8-64, 4 KiB granule, 48 bits, stage 1 (Arm ARM D8.3). A format's header
 * says what an entry's bits mean and nothing else; all have the same names, and the core is
 * compiled against one of them: see format.h.
 *
 * APTable[1] in a table entry takes write permission from all below: it is the mark of sharing, and
 * never a program's right (invariant I2).
 */
#ifndef VM_FORMAT_VMSA4K_H
#define VM_FORMAT_VMSA4K_H

#include <ashlar/vm_types.h>

#define FORMAT                vmsa4k
#define FORMAT_NAME           "VMSAv8-64, 4 KiB"
#define FORMAT_LEVELS         4u
#define FORMAT_BITS           9u /* of an address that choose an entry of a table */
#define FORMAT_PAGE_SHIFT     12u
#define FORMAT_VA_BITS        48u /* of an address in the lower half */
#define FORMAT_LEAF_TOP       2u  /* the highest level with leaves: 1 GiB */
#define FORMAT_PROTECTS_BELOW 1

#define VMSA_VALID      (UINT64_C(1) << 0)
#define VMSA_TABLE      (UINT64_C(1) << 1) /* at level 0: a page */
#define VMSA_NORMAL     (UINT64_C(1) << 2) /* MAIR attribute 1; 0 is Device-nGnRE */
#define VMSA_USER       (UINT64_C(1) << 6)
#define VMSA_READ_ONLY  (UINT64_C(1) << 7)
#define VMSA_INNER      (UINT64_C(3) << 8)
#define VMSA_ACCESSED   (UINT64_C(1) << 10)
#define VMSA_NOT_GLOBAL (UINT64_C(1) << 11)
#define VMSA_PXN        (UINT64_C(1) << 53)
#define VMSA_UXN        (UINT64_C(1) << 54)
#define VMSA_WRITE      (UINT64_C(1) << 55) /* 55 to 58 are software's: a write is allowed */
#define VMSA_SHARED     (UINT64_C(1) << 56)
#define VMSA_PINNED     (UINT64_C(1) << 57)
#define VMSA_DIRTY      (UINT64_C(1) << 58)
#define VMSA_AP_TABLE   (UINT64_C(1) << 62)
#define VMSA_ADDRESS    UINT64_C(0x0000fffffffff000)
/* An unreadable leaf is invalid to the CPU, which leaves all other bits to software. */
#define VMSA_UNREADABLE (UINT64_C(1) << 63)
#define VMSA_PRESENT    (UINT64_C(1) << 61) /* of such a leaf, in place of VMSA_VALID */

/* Tables */

static inline uint64_t format_table(ash_paddr_t table) {
    return table | VMSA_VALID | VMSA_TABLE;
}

static inline bool format_is_valid(uint64_t entry) {
    return (entry & (VMSA_VALID | VMSA_PRESENT)) != 0;
}

static inline bool format_is_table(uint64_t entry, uint32_t level) {
    return level != 0 && (entry & (VMSA_VALID | VMSA_TABLE)) == (VMSA_VALID | VMSA_TABLE);
}

static inline bool format_table_is_protected(uint64_t entry) {
    return (entry & VMSA_AP_TABLE) != 0;
}

static inline uint64_t format_table_protect(uint64_t entry) {
    return entry | VMSA_AP_TABLE;
}

static inline uint64_t format_table_unprotect(uint64_t entry) {
    return entry & ~VMSA_AP_TABLE;
}

/* Below are pinned pages, or were. */
static inline bool format_table_has_pins(uint64_t entry) {
    return (entry & VMSA_PINNED) != 0;
}

static inline uint64_t format_table_note_pins(uint64_t entry, bool pins) {
    return pins ? entry | VMSA_PINNED : entry & ~VMSA_PINNED;
}

/* Invalid, and it still knows what it referred to; 0 is nothing at all. */
static inline uint64_t format_break(uint64_t entry) {
    return entry & ~(VMSA_VALID | VMSA_PRESENT);
}

static inline uint64_t format_make(uint64_t entry) {
    return entry | ((entry & VMSA_UNREADABLE) != 0 ? VMSA_PRESENT : VMSA_VALID);
}

static inline ash_paddr_t format_address(uint64_t entry) {
    return entry & VMSA_ADDRESS;
}

/*
 * Leaves: rights as they are allowed (ASH_VM_*). Writable, accessed, dirty: as the CPU has it. A
 * new one is accessed, clean and not writable.
 */

static inline uint64_t format_leaf(ash_paddr_t address, uint32_t level, uint32_t rights) {
    uint64_t entry = address | VMSA_READ_ONLY | VMSA_ACCESSED;
    entry |= level == 0 ? VMSA_TABLE : 0;
    entry |= (rights & ASH_VM_DEVICE) != 0 ? 0 : VMSA_NORMAL | VMSA_INNER;
    entry |= (rights & ASH_VM_GLOBAL) != 0 ? 0 : VMSA_NOT_GLOBAL;
    entry |= (rights & ASH_VM_USER) != 0 ? VMSA_USER | VMSA_PXN : VMSA_UXN;
    entry |= (rights & ASH_VM_EXECUTE) != 0 ? 0 : VMSA_PXN | VMSA_UXN;
    entry |= (rights & ASH_VM_WRITE) != 0 ? VMSA_WRITE : 0;
    entry |= (rights & (ASH_VM_SHARED | ASH_VM_DEVICE)) != 0 ? VMSA_SHARED : 0;
    entry |= (rights & ASH_VM_READ) != 0 ? VMSA_VALID : VMSA_UNREADABLE | VMSA_PRESENT;
    return entry;
}

static inline uint32_t format_rights(uint64_t entry) {
    uint64_t never = (entry & VMSA_USER) != 0 ? VMSA_UXN : VMSA_PXN;
    uint32_t rights = (entry & VMSA_UNREADABLE) == 0 ? ASH_VM_READ : 0;
    rights |= (entry & VMSA_WRITE) != 0 ? ASH_VM_WRITE : 0;
    rights |= (entry & never) == 0 ? ASH_VM_EXECUTE : 0;
    rights |= (entry & VMSA_USER) != 0 ? ASH_VM_USER : 0;
    rights |= (entry & VMSA_SHARED) != 0 ? ASH_VM_SHARED : 0;
    rights |= (entry & VMSA_NORMAL) == 0 ? ASH_VM_DEVICE : 0;
    rights |= (entry & VMSA_NOT_GLOBAL) == 0 ? ASH_VM_GLOBAL : 0;
    return rights;
}

static inline bool format_is_writable(uint64_t entry) {
    return (entry & VMSA_READ_ONLY) == 0;
}

/* Writable is dirty and accessed, too: nobody else notes it. */
static inline uint64_t format_write_enable(uint64_t entry) {
    return (entry & ~VMSA_READ_ONLY) | VMSA_DIRTY | VMSA_ACCESSED;
}

static inline uint64_t format_write_protect(uint64_t entry) {
    return entry | VMSA_READ_ONLY;
}

static inline bool format_is_pinned(uint64_t entry) {
    return (entry & VMSA_PINNED) != 0;
}

/* Not of SHARED ones, which stay where they are by themselves. Pinned and allowed to be written is
 * writable, always. */
static inline uint64_t format_pin(uint64_t entry, bool pinned) {
    if (!pinned)
        return entry & ~VMSA_PINNED;
    return ((entry & VMSA_WRITE) != 0 ? format_write_enable(entry) : entry) | VMSA_PINNED;
}

/* The same page with other rights: pinned, accessed and dirty as it was, not writable. */
static inline uint64_t format_change(uint64_t entry, uint32_t level, uint32_t rights) {
    const uint64_t keeps = VMSA_ADDRESS | VMSA_ACCESSED | VMSA_PINNED | VMSA_DIRTY;
    uint64_t leaf = (format_leaf(0, level, rights) & ~VMSA_ACCESSED) | (entry & keeps);
    return format_is_pinned(entry) ? format_pin(leaf, true) : leaf;
}

static inline bool format_is_accessed(uint64_t entry) {
    return (entry & VMSA_ACCESSED) != 0;
}

static inline uint64_t format_note_accessed(uint64_t entry, bool accessed) {
    return accessed ? entry | VMSA_ACCESSED : entry & ~VMSA_ACCESSED;
}

static inline bool format_is_dirty(uint64_t entry) {
    return (entry & VMSA_DIRTY) != 0;
}

/* Of one that is not writable. */
static inline uint64_t format_note_clean(uint64_t entry) {
    return entry & ~VMSA_DIRTY;
}

#endif
