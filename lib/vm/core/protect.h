/* SPDX-License-Identifier: MIT */
/*
 * protect.h: other rights for what is mapped. Where an entry points does not change, so nothing is
 * broken (Arm ARM D8.14.1); what TLBs have is flushed, for rights that were taken away.
 */

/* Of a frame, by a space whose own tables lead there: nobody else refers to it. */
static bool frame_is_own(const struct ash_vm *vm, ash_pfn_t frame) {
    return !count_has(vm, frame) || count_is_one(vm, count_head(vm, frame));
}

/* A leaf is writable where that is allowed and the page is everybody's, pinned, or nobody else's
 * (I4). Does the count of its frame not matter? */
static inline bool leaf_writes_anyway(uint64_t entry) {
    return (format_rights(entry) & ASH_VM_SHARED) != 0 || format_is_pinned(entry);
}

static uint64_t leaf_with_write(const struct ash_vm *vm, uint64_t entry) {
    bool writes = (format_rights(entry) & ASH_VM_WRITE) != 0 &&
                  (leaf_writes_anyway(entry) || frame_is_own(vm, frame_of(format_address(entry))));
    return writes ? format_write_enable(entry) : entry;
}

static uint32_t rights_of_change(uint64_t entry, uint32_t rights) {
    return rights | (format_rights(entry) & (ASH_VM_SHARED | ASH_VM_DEVICE | ASH_VM_GLOBAL));
}

/* A run of pages that are alike (runs.h): what is right for the first is right for all of them, but
 * that each has a count of its own. */
static void protect_run(struct ash_vm_space *space, uint64_t *entries, ash_vaddr_t va, uint32_t run,
                        uint32_t rights) {
    const struct ash_vm *vm = space->vm;
    uint64_t value = format_change(entries[0], 0, rights_of_change(entries[0], rights));
    ash_pfn_t first = frame_of(format_address(value));
    bool by_count = (rights & ASH_VM_WRITE) != 0;
    if (by_count && (leaf_writes_anyway(value) || counts_are(vm, first, run, 1))) {
        value = format_write_enable(value);
        by_count = false;
    }
    for (uint32_t i = 0; i < run; i++) {
        uint64_t leaf = value + i * leaf_step(0);
        if (by_count && frame_is_own(vm, first + i))
            leaf = format_write_enable(leaf);
        entry_store(space, 0, va + i * ASH_PAGE_SIZE, &entries[i], leaf);
    }
}

static void protect_pages(struct ash_vm_space *space, uint64_t *entries, ash_vaddr_t va,
                          uint32_t count, uint32_t rights) {
    for (uint32_t i = 0, run; i < count; i += run) {
        run = 1;
        if (entry_load(&entries[i]) != 0) {
            run = leaf_run_alike(&entries[i], count - i);
            protect_run(space, &entries[i], va + i * ASH_PAGE_SIZE, run, rights);
        }
    }
}

static void protect_leaves(struct gather *gather, ash_paddr_t table, uint32_t level,
                           struct range range, uint32_t rights) {
    struct ash_vm_space *space = gather->space;
    uint64_t *entries = table_at(space->vm, table);
    if (level == 0) {
        protect_pages(space, &entries[entry_index(range.va, 0)], range.va, range_pages(range),
                      rights);
        gather_add(gather, range.va, range_pages(range), FORMAT_PAGE_SHIFT, true);
    }
    for (struct range part = part_first(range, level); level != 0 && !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t *entry = &entries[entry_index(part.va, level)], value = entry_load(entry);
        if (format_is_table(value, level)) {
            protect_leaves(gather, format_address(value), level - 1, part, rights);
        } else if (value != 0) {
            uint64_t changed = format_change(value, level, rights_of_change(value, rights));
            entry_store(space, level, part.va, entry, leaf_with_write(space->vm, changed));
            gather_add(gather, part.va, 1, level_shift(level), true);
        }
    }
}

/* Is something of it a device's? That is never executed. */
static bool range_has_device(const struct ash_vm_space *space, ash_paddr_t table, uint32_t level,
                             struct range range) {
    const uint64_t *entries = table_at(space->vm, table);
    for (struct range part = part_first(range, level); !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t value = entry_load(&entries[entry_index(part.va, level)]);
        if (value == 0)
            continue;
        if (format_is_table(value, level)
                ? range_has_device(space, format_address(value), level - 1, part)
                : (format_rights(value) & ASH_VM_DEVICE) != 0)
            return true;
    }
    return false;
}

static int format_protect(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes,
                          uint32_t rights) {
    struct range range = range_of(va, bytes);
    if ((rights & ASH_VM_EXECUTE) != 0 && range_has_device(space, space->root, ROOT_LEVEL, range))
        return -ASH_EACCES;
    struct own own = {.space = space, .splits = true};
    int error = own_range(&own, range, 0);
    if (error != 0)
        return error;
    reserve_drain(&own.reserve);
    protect_leaves(&own.gather, space->root, ROOT_LEVEL, range, rights);
    gather_flush(&own.gather);
    reap_all(space);
    return 0;
}
