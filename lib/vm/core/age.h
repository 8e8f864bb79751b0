/* SPDX-License-Identifier: MIT */
/* age.h: what has been accessed, or written to, since it was asked last. Neither is a change of
 * where an entry points, so nothing is broken; but TLBs have it, so it is flushed. */

struct age {
    struct own own;
    bool is_clean; /* asks for written pages, not for accessed ones */
    uint64_t found;
};

/* A pinned page may be written to at any time, so it is never clean. */
static uint64_t age_leaf(const struct age *age, uint64_t leaf) {
    if (!age->is_clean)
        return format_note_accessed(leaf, false);
    return format_is_pinned(leaf) ? leaf : format_note_clean(format_write_protect(leaf));
}

static void age_table(struct age *age, ash_paddr_t table, uint32_t level, struct range range) {
    struct ash_vm_space *space = age->own.space;
    uint64_t *entries = table_at(space->vm, table);
    for (struct range part = part_first(range, level); !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t *entry = &entries[entry_index(part.va, level)], value = entry_load(entry);
        if (format_is_table(value, level)) {
            age_table(age, format_address(value), level - 1, part);
            continue;
        }
        if (value == 0 || (format_rights(value) & ASH_VM_DEVICE) != 0 ||
            !(age->is_clean ? format_is_dirty(value) : format_is_accessed(value)))
            continue;
        age->found += range_bytes(part) / ASH_PAGE_SIZE;
        uint64_t aged = age_leaf(age, value);
        if (aged == value)
            continue;
        ash_vaddr_t base = ash_align_down(part.va, level_bytes(level));
        entry_store(space, level, base, entry, aged);
        gather_add(&age->own.gather, base, 1, level_shift(level), true);
    }
}

static int age_range(struct age *age, ash_vaddr_t va, uint64_t bytes, uint64_t *found) {
    struct ash_vm_space *space = age->own.space;
    struct range range = range_of(va, bytes);
    int error = own_range(&age->own, range, 0);
    if (error != 0)
        return error;
    reserve_drain(&age->own.reserve);
    age_table(age, space->root, ROOT_LEVEL, range);
    gather_flush(&age->own.gather);
    reap_all(space);
    *found = age->found;
    return 0;
}

static int format_age(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes,
                      uint64_t *accessed) {
    struct age age = {.own = {.space = space}};
    return age_range(&age, va, bytes, accessed);
}

static int format_clean(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes,
                        uint64_t *dirty) {
    struct age age = {.own = {.space = space}, .is_clean = true};
    return age_range(&age, va, bytes, dirty);
}
