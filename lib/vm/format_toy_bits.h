/* SPDX-License-Identifier: MIT */
/* format_toy_bits.h: what an entry of the toy formats means. */
#ifndef VM_FORMAT_TOY_BITS_H
#define VM_FORMAT_TOY_BITS_H

#define TOY_VALID     (UINT64_C(1) << 0)
#define TOY_TABLE     (UINT64_C(1) << 1)
#define TOY_PROTECTED (UINT64_C(1) << 2) /* of a table's entry */
#define TOY_WRITABLE  (UINT64_C(1) << 3)
#define TOY_ACCESSED  (UINT64_C(1) << 4)
#define TOY_DIRTY     (UINT64_C(1) << 5)
#define TOY_PINNED    (UINT64_C(1) << 6)
#define TOY_USED      (UINT64_C(1) << 7) /* of every entry that is not empty, broken ones too */
#define TOY_RIGHTS    52u                /* where ASH_VM_* begin */
#define TOY_ADDRESS   UINT64_C(0x000ffffffffff000)

/* Tables */

static inline uint64_t format_table(ash_paddr_t table) {
    return table | TOY_VALID | TOY_TABLE | TOY_USED;
}

static inline bool format_is_valid(uint64_t entry) {
    return (entry & TOY_VALID) != 0;
}

static inline bool format_is_table(uint64_t entry, uint32_t level) {
    return level != 0 && (entry & (TOY_VALID | TOY_TABLE)) == (TOY_VALID | TOY_TABLE);
}

static inline bool format_table_is_protected(uint64_t entry) {
    return (entry & TOY_PROTECTED) != 0;
}

static inline uint64_t format_table_protect(uint64_t entry) {
    return entry | TOY_PROTECTED;
}

static inline uint64_t format_table_unprotect(uint64_t entry) {
    return entry & ~TOY_PROTECTED;
}

/* Below are pinned pages, or were. */
static inline bool format_table_has_pins(uint64_t entry) {
    return (entry & TOY_PINNED) != 0;
}

static inline uint64_t format_table_note_pins(uint64_t entry, bool pins) {
    return pins ? entry | TOY_PINNED : entry & ~TOY_PINNED;
}

/* Invalid, and it still knows what it referred to; 0 is nothing at all. */
static inline uint64_t format_break(uint64_t entry) {
    return entry & ~TOY_VALID;
}

static inline uint64_t format_make(uint64_t entry) {
    return entry | TOY_VALID;
}

static inline ash_paddr_t format_address(uint64_t entry) {
    return entry & TOY_ADDRESS;
}

/*
 * Leaves: rights as they are allowed (ASH_VM_*). Writable, accessed, dirty: as the CPU has it. A
 * new one is accessed, clean and not writable.
 */

static inline uint64_t format_leaf(ash_paddr_t address, uint32_t level, uint32_t rights) {
    uint32_t all = rights | ((rights & ASH_VM_DEVICE) != 0 ? ASH_VM_SHARED : 0);
    (void)level;
    return address | TOY_VALID | TOY_ACCESSED | TOY_USED | (uint64_t)all << TOY_RIGHTS;
}

static inline uint32_t format_rights(uint64_t entry) {
    return (uint32_t)(entry >> TOY_RIGHTS);
}

static inline bool format_is_writable(uint64_t entry) {
    return (entry & TOY_WRITABLE) != 0;
}

/* Writable is dirty and accessed, too: nobody else notes it. */
static inline uint64_t format_write_enable(uint64_t entry) {
    return entry | TOY_WRITABLE | TOY_DIRTY | TOY_ACCESSED;
}

static inline uint64_t format_write_protect(uint64_t entry) {
    return entry & ~TOY_WRITABLE;
}

static inline bool format_is_pinned(uint64_t entry) {
    return (entry & TOY_PINNED) != 0;
}

/* Not of SHARED ones, which stay where they are by themselves. Pinned and allowed to be written is
 * writable, always. */
static inline uint64_t format_pin(uint64_t entry, bool pinned) {
    if (!pinned)
        return entry & ~TOY_PINNED;
    return ((format_rights(entry) & ASH_VM_WRITE) != 0 ? format_write_enable(entry) : entry) |
           TOY_PINNED;
}

/* The same page with other rights: pinned, accessed and dirty as it was, not writable. */
static inline uint64_t format_change(uint64_t entry, uint32_t level, uint32_t rights) {
    const uint64_t keeps = TOY_ADDRESS | TOY_ACCESSED | TOY_PINNED | TOY_DIRTY;
    uint64_t leaf = (format_leaf(0, level, rights) & ~TOY_ACCESSED) | (entry & keeps);
    return format_is_pinned(entry) ? format_pin(leaf, true) : leaf;
}

static inline bool format_is_accessed(uint64_t entry) {
    return (entry & TOY_ACCESSED) != 0;
}

static inline uint64_t format_note_accessed(uint64_t entry, bool accessed) {
    return accessed ? entry | TOY_ACCESSED : entry & ~TOY_ACCESSED;
}

static inline bool format_is_dirty(uint64_t entry) {
    return (entry & TOY_DIRTY) != 0;
}

/* Of one that is not writable. */
static inline uint64_t format_note_clean(uint64_t entry) {
    return entry & ~TOY_DIRTY;
}

#endif
