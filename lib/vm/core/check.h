/* SPDX-License-Identifier: MIT */
/* check.h: the invariants of one address space, by the numbers of DESIGN.md; all but the counts
 * themselves, which recount.h has. */

struct check {
    const struct ash_vm_space *space;
    bool is_shared; /* a table above has more than one reference */
    bool is_marked; /* an entry above is write-protected */
    bool has_pins;  /* all entries above say so */
};

static const char *check_leaf(const struct check *check, uint64_t entry, uint32_t level) {
    const struct ash_vm *vm = check->space->vm;
    uint32_t rights = format_rights(entry);
    ash_pfn_t frame = frame_of(format_address(entry));
    bool is_writable = format_is_writable(entry);
    if (is_writable && (rights & ASH_VM_WRITE) == 0)
        return "I4: a page is writable that must not be written";
    if (!FORMAT_PROTECTS_BELOW && is_writable && check->is_marked)
        return "I2: a page is writable below an entry that says that none is";
    if (format_is_pinned(entry) && (check->is_shared || check->is_marked || !check->has_pins))
        return "I6: a pinned page below a table that is shared, protected, or does not say so";
    if (level > FORMAT_LEAF_TOP || !ash_is_aligned(format_address(entry), level_bytes(level)))
        return "I8: a leaf's address is not aligned to its size";
    if (!count_has(vm, frame))
        return (rights & ASH_VM_DEVICE) != 0 ? NULL : "I8: an uncounted frame is not a device's";
    if (count_load(vm, count_head(vm, frame)) == 0)
        return "I1: a frame is mapped, and nobody refers to it";
    if ((rights & ASH_VM_WRITE) != 0 && (rights & ASH_VM_EXECUTE) != 0 &&
        (vm->config.flags & ASH_VM_ALLOW_WX) == 0)
        return "I9: a page may be written and executed";
    return NULL;
}

static const char *check_table(const struct check *above, ash_paddr_t table, uint32_t level);

static const char *check_below(const struct check *above, uint64_t entry, uint32_t level) {
    struct check check = *above;
    ash_pfn_t frame = frame_of(format_address(entry));
    if (!count_has(above->space->vm, frame))
        return "I8: a table is in a frame that is not counted";
    bool is_shared = !count_is_one(above->space->vm, frame);
    if (is_shared && !format_table_is_protected(entry))
        return "I2: an entry points at a shared table and lets it be written below";
    if (is_shared && format_table_has_pins(entry))
        return "I6: a table with pins is shared";
    check.is_shared |= is_shared;
    check.is_marked |= format_table_is_protected(entry);
    check.has_pins &= format_table_has_pins(entry);
    if (table_is_empty(table_at(above->space->vm, format_address(entry))))
        return "I7: a table is empty";
    return check_table(&check, format_address(entry), level - 1);
}

static const char *check_table(const struct check *above, ash_paddr_t table, uint32_t level) {
    const uint64_t *entries = table_at(above->space->vm, table);
    const char *broken = NULL;
    uint64_t before = 0;
    for (uint32_t i = 0; i < ENTRIES && broken == NULL; i++) {
        uint64_t entry = entry_load(&entries[i]);
        if (entry == 0 || entry == before) /* the same table of zeroes again (map.h) */
            continue;
        before = entry;
        if (!format_is_valid(entry))
            broken = "I5: a broken entry outside of an operation";
        else if (format_is_table(entry, level))
            broken = check_below(above, entry, level);
        else
            broken = check_leaf(above, entry, level);
    }
    return broken;
}

/* Nothing is mapped outside of [begin, end). */
static const char *check_limits(const struct ash_vm_space *space) {
    const uint64_t *entries = table_at(space->vm, space->root);
    uint32_t first = entry_index(space->begin, ROOT_LEVEL);
    uint32_t last = entry_index(space->end - 1, ROOT_LEVEL);
    for (uint32_t i = 0; i < ENTRIES; i++)
        if ((i < first || i > last) && entry_load(&entries[i]) != 0)
            return "I10: something is mapped outside of the space's limits";
    return NULL;
}

static const char *format_check(const struct ash_vm_space *space) {
    struct check check = {.space = space, .has_pins = true};
    if (!count_is_one(space->vm, frame_of(space->root)))
        return "I1: a root has more than one reference";
    const char *broken = check_limits(space);
    return broken != NULL ? broken : check_table(&check, space->root, ROOT_LEVEL);
}
