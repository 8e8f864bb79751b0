/* SPDX-License-Identifier: MIT */
/* query.h: what is mapped, in runs, and what it takes. */

struct query {
    const struct ash_vm_space *space;
    struct ash_vm_mapping *mapping; /* bytes: 0 until there is one */
    bool is_done;
};

/* Is what `part` maps of this leaf the continuation of the run? Runs of the zero page are one. */
static bool query_continues(const struct ash_vm_mapping *run, const struct ash_vm_mapping *next,
                            ash_paddr_t zero) {
    ash_paddr_t wanted = run->address == zero ? zero : run->address + run->bytes;
    return next->address == wanted && next->va == run->va + run->bytes &&
           next->rights == run->rights && next->leaf_shift == run->leaf_shift &&
           next->is_pinned == run->is_pinned && next->is_shared == run->is_shared &&
           next->is_write_protected == run->is_write_protected;
}

static void query_leaf(struct query *query, uint64_t entry, uint32_t level, struct range part,
                       bool is_shared, bool is_protected) {
    const struct ash_vm *vm = query->space->vm;
    struct ash_vm_mapping *run = query->mapping;
    ash_paddr_t address = format_address(entry);
    uint32_t rights = format_rights(entry);
    struct ash_vm_mapping next = {
        .va = part.va,
        .bytes = range_bytes(part),
        .address = address + (part.va & (level_bytes(level) - 1)),
        .rights = rights,
        .leaf_shift = level_shift(level),
        .is_pinned = format_is_pinned(entry),
        .is_accessed = format_is_accessed(entry),
        .is_dirty = format_is_dirty(entry),
        .is_shared = is_shared || !frame_is_own(vm, frame_of(address)),
        .is_write_protected =
            (rights & ASH_VM_WRITE) != 0 && (is_protected || !format_is_writable(entry)),
    };
    if (run->bytes == 0) {
        *run = next;
    } else if (query_continues(run, &next, frame_address(vm->zero_frame))) {
        run->bytes += next.bytes;
        run->is_accessed |= next.is_accessed;
        run->is_dirty |= next.is_dirty;
    } else {
        query->is_done = true;
    }
}

/* Zeroes refer to the same table again and again (map.h): where all that it maps continued the run,
 * so does the next one. */
static bool query_repeats(const struct query *query, uint64_t entry, uint64_t before,
                          struct range part, uint32_t level) {
    const struct ash_vm_mapping *run = query->mapping;
    return entry == before && part_is_whole(part, level) && run->bytes >= level_bytes(level) &&
           run->va + run->bytes == part.va &&
           run->address == frame_address(query->space->vm->zero_frame);
}

static void query_table(struct query *query, ash_paddr_t table, uint32_t level, struct range range,
                        bool is_shared, bool is_protected) {
    const struct ash_vm *vm = query->space->vm;
    const uint64_t *entries = table_at(vm, table);
    uint64_t entry = 0, before;
    for (struct range part = part_first(range, level); !part_is_none(part) && !query->is_done;
         part = part_next(part, range, level)) {
        before = entry;
        entry = entry_load(&entries[entry_index(part.va, level)]);
        if (entry == 0) {
            query->is_done = query->mapping->bytes != 0;
        } else if (query_repeats(query, entry, before, part, level)) {
            query->mapping->bytes += level_bytes(level);
        } else if (format_is_table(entry, level)) {
            ash_paddr_t below = format_address(entry);
            bool shared = is_shared || !count_is_one(vm, frame_of(below));
            query_table(query, below, level - 1, part, shared,
                        is_protected || format_table_is_protected(entry));
        } else {
            query_leaf(query, entry, level, part, is_shared, is_protected);
        }
    }
}

static bool format_query(const struct ash_vm_space *space, ash_vaddr_t va,
                         struct ash_vm_mapping *mapping) {
    struct query query = {.space = space, .mapping = mapping};
    *mapping = (struct ash_vm_mapping){.bytes = 0};
    va = ash_max_u64(ash_align_down(va, ASH_PAGE_SIZE), space->begin);
    if (va > space->end - 1)
        return false;
    query_table(&query, space->root, ROOT_LEVEL, (struct range){va, space->end - 1}, false, false);
    return mapping->bytes != 0;
}

static struct ash_vm_usage usage_of_table(const struct ash_vm *vm, ash_paddr_t table,
                                          uint32_t level, bool is_own) {
    const uint64_t *entries = table_at(vm, table);
    struct ash_vm_usage usage = {.tables = 1, .own_tables = is_own}, below = {.tables = 0};
    uint64_t before = 0;
    for (uint32_t i = entry_next(entries, 0); i < ENTRIES; i = entry_next(entries, i + 1)) {
        uint64_t entry = entry_load(&entries[i]);
        ash_pfn_t frame = frame_of(format_address(entry));
        if (!format_is_table(entry, level)) {
            below = (struct ash_vm_usage){.resident_bytes = level_bytes(level),
                                          .huge_bytes = level == 0 ? 0 : level_bytes(level)};
            if (is_own && count_has(vm, frame) && frame_is_own(vm, frame))
                below.own_bytes = level_bytes(level);
        } else if (entry != before) {
            below = usage_of_table(vm, format_address(entry), level - 1,
                                   is_own && count_is_one(vm, frame));
        }
        before = entry;
        usage.resident_bytes += below.resident_bytes;
        usage.own_bytes += below.own_bytes;
        usage.huge_bytes += below.huge_bytes;
        usage.tables += below.tables;
        usage.own_tables += below.own_tables;
    }
    return usage;
}

static void format_usage(const struct ash_vm_space *space, struct ash_vm_usage *usage) {
    *usage = usage_of_table(space->vm, space->root, ROOT_LEVEL, true);
}
