/* SPDX-License-Identifier: MIT */
/*
 * unmap.h: what is mapped goes, in three passes over the range: entries are broken; all of it is
 * flushed at once; then broken entries become empty and their references are dropped. The broken
 * entries are the list of what is to be dropped: no other is needed.
 *
 * A table that lies in the range as a whole goes by its one entry above; shared or not, what is
 * below is not looked at. So does a table that becomes empty (I7).
 */

/* Returns whether there were any. */
static bool break_pages(struct gather *gather, uint64_t *entries, ash_vaddr_t va, uint32_t count) {
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t entry = entry_load(&entries[i]);
        if (entry != 0) {
            entry_store(gather->space, 0, va + i * ASH_PAGE_SIZE, &entries[i], format_break(entry));
            any = true;
        }
    }
    if (any)
        gather_add(gather, va, count, FORMAT_PAGE_SHIFT, true);
    return any;
}

/* Returns whether the table is empty now. */
static bool unmap_break(struct gather *gather, ash_paddr_t table, uint32_t level,
                        struct range range) {
    struct ash_vm_space *space = gather->space;
    uint64_t *entries = table_at(space->vm, table);
    bool any = level == 0 && break_pages(gather, &entries[entry_index(range.va, 0)], range.va,
                                         range_pages(range));
    for (struct range part = part_first(range, level); level != 0 && !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t *entry = &entries[entry_index(part.va, level)], value = entry_load(entry);
        if (value == 0)
            continue;
        bool is_table = format_is_table(value, level);
        if (is_table && !part_is_whole(part, level) &&
            !unmap_break(gather, format_address(value), level - 1, part))
            continue;
        ash_vaddr_t base = ash_align_down(part.va, level_bytes(level));
        entry_store(space, level, base, entry, format_break(value));
        if (is_table)
            gather_add(gather, part.va, range_bytes(part) >> FORMAT_PAGE_SHIFT, FORMAT_PAGE_SHIFT,
                       false);
        else
            gather_add(gather, base, 1, level_shift(level), true);
        any = true;
    }
    return any && table_is_empty(entries);
}

static void empty_pages(struct ash_vm_space *space, uint64_t *entries, ash_vaddr_t va,
                        uint32_t count) {
    drop_pages(space->vm, entries, count);
    for (uint32_t i = 0; i < count; i++)
        if (entries[i] != 0)
            entry_store(space, 0, va + i * ASH_PAGE_SIZE, &entries[i], 0);
}

/* What was broken is empty, and its references are given back. */
static void unmap_drop(struct ash_vm_space *space, ash_paddr_t table, uint32_t level,
                       struct range range) {
    uint64_t *entries = table_at(space->vm, table);
    if (level == 0)
        empty_pages(space, &entries[entry_index(range.va, 0)], range.va, range_pages(range));
    for (struct range part = part_first(range, level); level != 0 && !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t *entry = &entries[entry_index(part.va, level)], value = entry_load(entry);
        if (entry_is_broken(value)) {
            entry_store(space, level, ash_align_down(part.va, level_bytes(level)), entry, 0);
            drop_entry(space, value, level);
        } else if (format_is_table(value, level)) {
            unmap_drop(space, format_address(value), level - 1, part);
        }
    }
}

static int format_unmap(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes) {
    struct range range = range_of(va, bytes);
    struct own own = {.space = space, .leaves_whole = true, .splits = true};
    int error = own_range(&own, range, 0);
    if (error != 0)
        return error;
    reserve_drain(&own.reserve);
    (void)unmap_break(&own.gather, space->root, ROOT_LEVEL, range);
    gather_flush(&own.gather);
    unmap_drop(space, space->root, ROOT_LEVEL, range);
    reap_all(space);
    return 0;
}
