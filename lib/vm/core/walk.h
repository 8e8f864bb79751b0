/* SPDX-License-Identifier: MIT */
/* walk.h: from the root towards an address: the leaf there, and the way to it. */

/* The entry that ends the walk: a leaf's, or the first empty one. */
static inline uint64_t walk_to(const struct ash_vm_space *space, ash_vaddr_t va, uint32_t *level) {
    ash_paddr_t table = space->root;
#pragma GCC unroll 5
    for (uint32_t at = ROOT_LEVEL; at != 0; at--) {
        uint64_t entry = entry_load(&table_at(space->vm, table)[entry_index(va, at)]);
        if (!format_is_table(entry, at)) {
            *level = at;
            return entry;
        }
        table = format_address(entry);
    }
    *level = 0;
    return entry_load(&table_at(space->vm, table)[entry_index(va, 0)]);
}

static bool space_has(const struct ash_vm_space *space, ash_vaddr_t va) {
    return va >= space->begin && va <= space->end - 1;
}

/* The rights that an access asks for, and the leaf's. A program needs a program's page, and the
 * kernel never executes one. */
static inline bool rights_allow(uint32_t rights, uint32_t access) {
    uint32_t wanted = access & ASH_VM_RIGHTS;
    if ((access & ASH_VM_EXECUTE) != 0 && (rights & ASH_VM_USER) != (access & ASH_VM_USER))
        return false;
    return (rights & wanted) == wanted;
}

/* Of all rights of an entry, those that are asked for: a few bits, where it is known which. */
static inline bool leaf_allows(uint64_t entry, uint32_t access) {
    switch (access) {
    case ASH_VM_READ:
        return rights_allow(format_rights(entry), ASH_VM_READ);
    case ASH_VM_READ | ASH_VM_USER:
        return rights_allow(format_rights(entry), ASH_VM_READ | ASH_VM_USER);
    case ASH_VM_WRITE | ASH_VM_USER:
        return rights_allow(format_rights(entry), ASH_VM_WRITE | ASH_VM_USER);
    default:
        return rights_allow(format_rights(entry), access);
    }
}

static inline int translate_leaf(uint64_t entry, uint32_t level, ash_vaddr_t va, uint32_t access,
                                 ash_paddr_t *address) {
    if (entry == 0)
        return -ASH_EFAULT;
    if (!leaf_allows(entry, access))
        return -ASH_EACCES;
    *address = format_address(entry) + (va & (level_bytes(level) - 1));
    return 0;
}

static int format_translate(const struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                            ash_paddr_t *address) {
    uint32_t level;
    if (!space_has(space, va))
        return -ASH_EFAULT;
    uint64_t entry = walk_to(space, va, &level);
    return level == 0 ? translate_leaf(entry, 0, va, access, address)
                      : translate_leaf(entry, level, va, access, address);
}

static uint32_t format_walk(const struct ash_vm_space *space, ash_vaddr_t va,
                            struct ash_vm_step *steps) {
    const struct ash_vm *vm = space->vm;
    ash_paddr_t table = space->root;
    uint32_t count = 0;
    if (!space_has(space, va))
        return 0;
    for (uint32_t level = ROOT_LEVEL;; level--) {
        uint32_t index = entry_index(va, level);
        uint64_t entry = entry_load(&table_at(vm, table)[index]);
        bool is_table = format_is_table(entry, level);
        ash_pfn_t frame = frame_of(format_address(entry));
        bool counted = entry != 0 && count_has(vm, frame);
        steps[count++] = (struct ash_vm_step){
            .entry_address = table + index * sizeof(uint64_t),
            .entry = entry,
            .shift = level_shift(level),
            .count = counted ? count_load(vm, count_head(vm, frame)) : 0,
            .is_valid = format_is_valid(entry),
            .is_table = is_table,
            .is_write_protected = entry != 0 && (is_table ? format_table_is_protected(entry)
                                                          : !format_is_writable(entry)),
        };
        if (!is_table)
            return count;
        table = format_address(entry);
    }
}
