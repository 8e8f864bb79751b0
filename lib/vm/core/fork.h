/* SPDX-License-Identifier: MIT */
/*
 * fork.h: a second address space with the same mappings. What the root's entries point at becomes
 * shared: one mark in the parent, one entry in the child and one count for each, however much is
 * mapped below. Nobody can write there from then on, and whoever wants to makes the tables on the
 * way its own first (own.h, fault.h).
 *
 * Where entries of tables protect nothing, the leaves below lose their hardware write permission
 * one by one; and each table's entry on the way is marked, so that the next fork goes down only
 * where something has been written to since.
 *
 * Tables with pinned pages below, and all when the fork is eager, are copied for the child instead:
 * a page that is pinned stays the parent's, writable, and the child has a copy of it.
 */

struct fork {
    struct own own; /* the parent's */
    bool is_eager;
    bool is_full;           /* a count cannot go higher */
    bool must_flush;        /* the parent lost write permission somewhere */
    uint64_t tables, pages; /* to be copied */
};

static bool leaf_has_pins(const struct ash_vm *vm, uint64_t entry) {
    return format_is_pinned(entry) &&
           !count_is_one(vm, count_head(vm, frame_of(format_address(entry))));
}

/* Is a page pinned below an entry that says so? It may have been unpinned. */
static bool table_has_pins(const struct ash_vm *vm, uint64_t entry, uint32_t level) {
    if (!format_table_has_pins(entry))
        return false;
    const uint64_t *entries = table_at(vm, format_address(entry));
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint64_t below = entry_load(&entries[i]);
        if (below == 0)
            continue;
        if (format_is_table(below, level - 1) ? table_has_pins(vm, below, level - 1)
                                              : leaf_has_pins(vm, below))
            return true;
    }
    return false;
}

static bool fork_copies(const struct fork *fork, uint64_t entry, uint32_t level) {
    return fork->is_eager || table_has_pins(fork->own.space->vm, entry, level);
}

/* What the copies take; of a table of this level. */
static void fork_count(struct fork *fork, ash_paddr_t table, uint32_t level) {
    const struct ash_vm *vm = fork->own.space->vm;
    const uint64_t *entries = table_at(vm, table);
    for (uint32_t i = entry_next(entries, 0); i < ENTRIES; i = entry_next(entries, i + 1)) {
        uint64_t entry = entry_load(&entries[i]);
        ash_pfn_t frame = frame_of(format_address(entry));
        if (!format_is_table(entry, level)) {
            fork->pages += leaf_has_pins(vm, entry);
        } else if (fork_copies(fork, entry, level)) {
            fork->tables++;
            /* A table of pages without pinned ones is all that it takes. */
            if (level > 1 || format_table_has_pins(entry))
                fork_count(fork, format_address(entry), level - 1);
        } else {
            fork->is_full |= count_is_full(vm, frame, 1);
        }
    }
}

/* No leaf below is writable, and each entry on the way says so. */
static void protect_below(struct ash_vm_space *space, ash_paddr_t table, uint32_t level,
                          ash_vaddr_t va) {
    uint64_t *entries = table_at(space->vm, table);
    for (uint32_t i = 0; i < ENTRIES; i++, va += level_bytes(level)) {
        uint64_t entry = entry_load(&entries[i]);
        if (entry == 0)
            continue;
        if (!format_is_table(entry, level)) {
            if (format_is_writable(entry))
                entry_store(space, level, va, &entries[i], format_write_protect(entry));
        } else if (!format_table_is_protected(entry)) {
            protect_below(space, format_address(entry), level - 1, va);
            entry_store(space, level, va, &entries[i], format_table_protect(entry));
        }
    }
}

/* The marks of pages that are pinned no more, and of the tables above. */
static void forget_pins(struct ash_vm_space *space, ash_paddr_t table, uint32_t level,
                        ash_vaddr_t va) {
    uint64_t *entries = table_at(space->vm, table);
    for (uint32_t i = 0; i < ENTRIES; i++, va += level_bytes(level)) {
        uint64_t entry = entry_load(&entries[i]);
        if (entry == 0)
            continue;
        if (!format_is_table(entry, level)) {
            if (format_is_pinned(entry))
                entry_store(space, level, va, &entries[i], format_pin(entry, false));
        } else if (format_table_has_pins(entry)) {
            forget_pins(space, format_address(entry), level - 1, va);
            entry_store(space, level, va, &entries[i], format_table_note_pins(entry, false));
        }
    }
}

/* The child's entry for a table that both have from now on. */
static uint64_t fork_share_table(struct fork *fork, uint64_t *at, uint32_t level, ash_vaddr_t va) {
    struct ash_vm_space *parent = fork->own.space;
    uint64_t entry = entry_load(at), shared = entry;
    ash_paddr_t table = format_address(entry);
    if (format_table_has_pins(entry)) {
        forget_pins(parent, table, level - 1, va);
        shared = format_table_note_pins(shared, false);
    }
    if (!format_table_is_protected(entry)) {
        if (!FORMAT_PROTECTS_BELOW)
            protect_below(parent, table, level - 1, va);
        shared = format_table_protect(shared);
        fork->must_flush = true;
    }
    if (shared != entry)
        entry_store(parent, level, va, at, shared);
    count_add(parent->vm, frame_of(table), 1);
    parent->stats.tables_shared++;
    return shared;
}

/* The child's own page, with what the pinned one holds now. */
static uint64_t fork_copy_page(struct fork *fork, uint64_t entry) {
    struct ash_vm_space *parent = fork->own.space;
    ash_paddr_t page = reserve_take(&fork->own.reserve);
    copy_frames(parent->vm, page, format_address(entry), ASH_PAGE_SIZE);
    count_set(parent->vm, frame_of(page), 1);
    parent->stats.pages_copied++;
    uint64_t leaf = format_leaf(page, 0, format_rights(entry));
    return (format_rights(entry) & ASH_VM_WRITE) != 0 ? format_write_enable(leaf) : leaf;
}

/* Entries from i on that are answered together; returns how many. `to` is the child's. */
static uint32_t fork_leaves(struct fork *fork, uint64_t *from, uint64_t *to, uint32_t level,
                            ash_vaddr_t va, uint32_t left) {
    struct ash_vm_space *parent = fork->own.space;
    uint64_t entry = entry_load(from);
    if (leaf_has_pins(parent->vm, entry)) {
        *to = fork_copy_page(fork, entry);
        return 1;
    }
    if (format_is_pinned(entry))
        entry_store(parent, level, va, from, format_pin(entry, false));
    fork->must_flush |= entry_load(from) != leaf_shared(entry_load(from));
    return share_some(parent, from, to, level, va, left);
}

static ash_paddr_t fork_copy_table(struct fork *fork, ash_paddr_t table, uint32_t level,
                                   ash_vaddr_t va);

static void fork_entries(struct fork *fork, uint64_t *from, uint64_t *to, uint32_t level,
                         ash_vaddr_t va) {
    for (uint32_t i = 0; i < ENTRIES;) {
        i = share_empty(from, to, i);
        if (i == ENTRIES)
            break;
        uint64_t entry = entry_load(&from[i]);
        ash_vaddr_t base = va + i * level_bytes(level);
        if (!format_is_table(entry, level)) {
            i += fork_leaves(fork, &from[i], &to[i], level, base, ENTRIES - i);
        } else if (fork_copies(fork, entry, level)) {
            ash_paddr_t copy = fork_copy_table(fork, format_address(entry), level - 1, base);
            to[i++] = format_table(copy);
        } else {
            to[i] = fork_share_table(fork, &from[i], level, base);
            i++;
        }
    }
}

static ash_paddr_t fork_copy_table(struct fork *fork, ash_paddr_t table, uint32_t level,
                                   ash_vaddr_t va) {
    struct ash_vm *vm = fork->own.space->vm;
    ash_paddr_t copy = reserve_take(&fork->own.reserve);
    fork_entries(fork, table_at(vm, table), table_at(vm, copy), level, va);
    count_set(vm, frame_of(copy), 1);
    fork->own.space->stats.tables_copied++;
    return copy;
}

static int format_fork(struct ash_vm_space *child, struct ash_vm_space *parent, uint32_t flags) {
    struct ash_vm *vm = parent->vm;
    struct fork fork = {.own = {.space = parent}, .is_eager = (flags & ASH_VM_EAGER) != 0};
    fork_count(&fork, parent->root, ROOT_LEVEL);
    if (fork.is_full || reserve_fill(&fork.own.reserve, vm, 1 + fork.tables + fork.pages) != 0)
        return -ASH_ENOMEM;
    *child = (struct ash_vm_space){
        .vm = vm, .begin = parent->begin, .end = parent->end, .has_global = parent->has_global};
    ash_vaddr_t first = parent->begin & ~((level_bytes(ROOT_LEVEL) << FORMAT_BITS) - 1);
    child->root = reserve_take(&fork.own.reserve);
    fork_entries(&fork, table_at(vm, parent->root), table_at(vm, child->root), ROOT_LEVEL, first);
    count_set(vm, frame_of(child->root), 1);
    reserve_drain(&fork.own.reserve);
    if (fork.must_flush && parent->is_live)
        flush_space(parent);
    parent->stats.forks++;
    return 0;
}
