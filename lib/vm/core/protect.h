/* SPDX-License-Identifier: MIT */
/*
 * protect.h: other rights for what is mapped. Where an entry points does not change, so nothing is
 * broken (Arm ARM D8.14.1); what TLBs have is flushed, for rights that were taken away.
 */

/* Of a frame, by a space whose own tables lead there: nobody else refers to it. */
static bool frame_is_own(const struct ash_vm *vm, ash_pfn_t frame) {
    return !count_has(vm, frame) || count_is_one(vm, count_head(vm, frame));
}

/* Written by hardware's leave: allowed, and either nobody else's or everybody's (I4). */
static uint64_t leaf_with_write(const struct ash_vm *vm, uint64_t entry) {
    uint32_t rights = format_rights(entry);
    if ((rights & ASH_VM_WRITE) == 0)
        return entry;
    if ((rights & ASH_VM_SHARED) != 0 || format_is_pinned(entry) ||
        frame_is_own(vm, frame_of(format_address(entry))))
        return format_write_enable(entry);
    return entry;
}

static uint64_t leaf_with_rights(const struct ash_vm *vm, uint64_t entry, uint32_t level,
                                 uint32_t rights) {
    rights |= format_rights(entry) & (ASH_VM_SHARED | ASH_VM_DEVICE | ASH_VM_GLOBAL);
    return leaf_with_write(vm, format_change(entry, level, rights));
}

static void protect_leaves(struct gather *gather, ash_paddr_t table, uint32_t level,
                           struct range range, uint32_t rights) {
    struct ash_vm_space *space = gather->space;
    uint64_t *entries = table_at(space->vm, table);
    for (struct range part = part_first(range, level); !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t *entry = &entries[entry_index(part.va, level)], value = entry_load(entry);
        if (format_is_table(value, level)) {
            protect_leaves(gather, format_address(value), level - 1, part, rights);
        } else if (value != 0) {
            entry_store(space, level, part.va, entry,
                        leaf_with_rights(space->vm, value, level, rights));
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
