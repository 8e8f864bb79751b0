/* SPDX-License-Identifier: MIT */
/*
 * table.h: a table and its entries.
 *
 * A table of level n has 2^BITS entries, each of which covers 2^shift(n) bytes: at level 0 a page,
 * above it a block of the same size or a table of level n - 1. An entry is empty (0), valid, or
 * broken: invalid, but it still says what it referred to. Broken ones exist only inside an
 * operation, between the flush of what they were and what comes then (break-before-make, Arm ARM
 * D8.14.1).
 *
 * Ranges are [va, last], so that one may end with the address space.
 */

#define ENTRIES    (1u << FORMAT_BITS)
#define ROOT_LEVEL (FORMAT_LEVELS - 1u)

_Static_assert(FORMAT_PAGE_SHIFT == ASH_PAGE_SHIFT, "a frame is what a leaf of level 0 maps");
_Static_assert(FORMAT_LEVELS <= ASH_VM_LEVELS_MAX, "a walk's steps have room");
_Static_assert(FORMAT_LEAF_TOP < FORMAT_LEVELS && FORMAT_LEAF_TOP * FORMAT_BITS <= ASH_VM_ORDER_MAX,
               "the largest block is one that frames come in");

static inline uint32_t level_shift(uint32_t level) {
    return FORMAT_PAGE_SHIFT + FORMAT_BITS * level;
}

static inline uint64_t level_bytes(uint32_t level) {
    return UINT64_C(1) << level_shift(level);
}

/* Of the frames that a leaf of this level maps. */
static inline uint32_t level_order(uint32_t level) {
    return FORMAT_BITS * level;
}

static inline uint32_t entry_index(ash_vaddr_t va, uint32_t level) {
    return (uint32_t)(va >> level_shift(level)) & (ENTRIES - 1);
}

static inline uint64_t *table_at(const struct ash_vm *vm, ash_paddr_t table) {
    return (uint64_t *)(vm->config.direct_map + (uintptr_t)table);
}

static inline ash_pfn_t frame_of(ash_paddr_t address) {
    return address >> FORMAT_PAGE_SHIFT;
}

static inline ash_paddr_t frame_address(ash_pfn_t frame) {
    return (ash_paddr_t)frame << FORMAT_PAGE_SHIFT;
}

/* Others' copies of a table, and the CPU's walks, read entries at any time: each is one load or
 * store of 64 bits. */
static inline uint64_t entry_load(const uint64_t *entry) {
    return ash_load_relaxed(entry);
}

#ifdef ASH_VM_HOOKS
void ash__vm_on_store(struct ash_vm_space *space, uint32_t level, ash_vaddr_t va, uint64_t *entry,
                      uint64_t before, uint64_t after);
#endif

/*
 * The store of an entry that a walk of `space` for va can reach, or of another space that shares
 * the table: all go through here. A table that is being built is written plainly; the store that
 * links it in is what makes it seen, hence a release.
 */
static inline void entry_store(struct ash_vm_space *space, uint32_t level, ash_vaddr_t va,
                               uint64_t *entry, uint64_t value) {
#ifdef ASH_VM_HOOKS
    ash__vm_on_store(space, level, va, entry, entry_load(entry), value);
#else
    (void)space, (void)level, (void)va;
#endif
    ash_store_release(entry, value);
}

/* An address is a field of its leaf: that of the next page or block is this much more. */
static inline uint64_t leaf_step(uint32_t level) {
    return format_leaf(level_bytes(level), level, 0) - format_leaf(0, level, 0);
}

/* The bits of that field. */
static inline uint64_t leaf_address_mask(void) {
    const ash_paddr_t all = format_address(UINT64_MAX);
    return format_leaf(all, 0, 0) - format_leaf(0, 0, 0);
}

static inline bool entry_is_broken(uint64_t entry) {
    return entry != 0 && !format_is_valid(entry);
}

/* Of an entry that may be broken. */
static inline bool entry_was_table(uint64_t entry, uint32_t level) {
    return format_is_table(format_make(entry), level);
}

struct range {
    ash_vaddr_t va, last;
};

static inline struct range range_of(ash_vaddr_t va, uint64_t bytes) {
    return (struct range){va, va + (bytes - 1)};
}

static inline uint64_t range_bytes(struct range range) {
    return range.last - range.va + 1;
}

/* Of a table of pages. */
static inline uint32_t range_pages(struct range range) {
    return (uint32_t)(range_bytes(range) >> FORMAT_PAGE_SHIFT);
}

/* A walk over the parts of a range, one an entry: of a table of this level. */
static inline struct range part_at(struct range range, ash_vaddr_t va, uint32_t level) {
    return (struct range){va, ash_min_u64(va | (level_bytes(level) - 1), range.last)};
}

static inline struct range part_first(struct range range, uint32_t level) {
    return part_at(range, range.va, level);
}

static inline bool part_is_none(struct range part) {
    return part.va > part.last;
}

static inline struct range part_next(struct range part, struct range range, uint32_t level) {
    if (part.last == range.last)
        return (struct range){1, 0};
    return part_at(range, part.last + 1, level);
}

/* Of a part: is it all that its entry covers? */
static inline bool part_is_whole(struct range part, uint32_t level) {
    return part.last - part.va == level_bytes(level) - 1;
}

/* Tables are sparse more often than not: empty entries are passed over this many at a time. */
#define ENTRIES_STEP 4u

_Static_assert(ENTRIES % ENTRIES_STEP == 0, "tables are passed over in whole steps");

static inline bool entries_are_none(const uint64_t *entries) {
    return (entry_load(&entries[0]) | entry_load(&entries[1]) | entry_load(&entries[2]) |
            entry_load(&entries[3])) == 0;
}

/* The next entry from `index` on that is not empty, or ENTRIES. */
static inline uint32_t entry_next(const uint64_t *entries, uint32_t index) {
    while (index < ENTRIES && entry_load(&entries[index]) == 0) {
        index++;
        while (index % ENTRIES_STEP == 0 && index < ENTRIES && entries_are_none(&entries[index]))
            index += ENTRIES_STEP;
    }
    return index;
}

/* No entry of the table refers to anything; broken ones do not count. */
static bool table_is_empty(const uint64_t *entries) {
    for (uint32_t i = entry_next(entries, 0); i < ENTRIES; i = entry_next(entries, i + 1))
        if (format_is_valid(entry_load(&entries[i])))
            return false;
    return true;
}
