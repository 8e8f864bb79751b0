/* SPDX-License-Identifier: MIT */
/*
 * share.h: what a table refers to gets one reference more from its copy, and is written by nobody
 * then: neither through the copy nor through the original, whose other users need no flush for
 * that, as their way there is protected already.
 */

/* Nobody writes below a table that is shared: by the entries that point at it, where the format has
 * that. Elsewhere this says that its leaves were protected one by one (fork.h). */
static inline uint64_t mark_shared(uint64_t entry) {
    return format_table_protect(entry);
}

/* A leaf with one reference more: a private one is written by nobody then. */
static inline uint64_t leaf_shared(uint64_t entry) {
    return (format_rights(entry) & ASH_VM_SHARED) != 0 ? entry : format_write_protect(entry);
}

static void take_leaf(struct ash_vm *vm, uint64_t entry) {
    ash_pfn_t frame = frame_of(format_address(entry));
    if (count_has(vm, frame))
        count_add(vm, count_head(vm, frame), 1);
}

/* Pages that follow each other in memory, with all else the same. */
static void share_pages(struct ash_vm_space *space, uint64_t *from, uint64_t *to, ash_vaddr_t va,
                        uint32_t run) {
    struct ash_vm *vm = space->vm;
    const uint64_t entry = entry_load(from), shared = leaf_shared(entry), step = leaf_step(0);
    ash_pfn_t frame = frame_of(format_address(entry));
    uint64_t copy = shared;
    for (uint32_t i = 0; i < run; i++, copy += step)
        to[i] = copy;
    copy = shared;
    for (uint32_t i = 0; shared != entry && i < run; i++, copy += step)
        entry_store(space, 0, va + i * level_bytes(0), &from[i], copy);
    if (count_has(vm, frame) && count_has(vm, frame + (run - 1)))
        count_add_run(vm, frame, run);
    else
        for (uint32_t i = 0; i < run; i++)
            take_leaf(vm, to[i]);
}

/* The entry of a table or block. Returns what the copy has. */
static inline uint64_t share_entry(struct ash_vm_space *space, uint64_t *from, uint32_t level,
                                   ash_vaddr_t va) {
    uint64_t entry = entry_load(from);
    bool is_table = format_is_table(entry, level);
    uint64_t shared = is_table ? mark_shared(entry) : leaf_shared(entry);
    if (shared != entry)
        entry_store(space, level, va, from, shared);
    if (is_table)
        count_add(space->vm, frame_of(format_address(entry)), 1);
    else
        take_leaf(space->vm, entry);
    return shared;
}

/* The first entries here, as many as can be told together: *from is not empty. `to` is not in use
 * yet. Returns how many. */
static inline uint32_t share_some(struct ash_vm_space *space, uint64_t *from, uint64_t *to,
                                  uint32_t level, ash_vaddr_t va, uint32_t left) {
    if (level != 0) {
        *to = share_entry(space, from, level, va);
        return 1;
    }
    uint32_t run = leaf_run_loaded(from, left, UINT64_MAX);
    share_pages(space, from, to, va, run);
    return run;
}

/* Empty entries from i on. Returns where they end. */
static inline uint32_t share_empty(const uint64_t *from, uint64_t *to, uint32_t i) {
    uint32_t next = entry_next(from, i);
    if (next != i)
        __builtin_memset(&to[i], 0, (next - i) * sizeof(to[i]));
    return next;
}

/* All entries of a table of this level, which begins at va. */
static void share_entries(struct ash_vm_space *space, uint64_t *from, uint64_t *to, uint32_t level,
                          ash_vaddr_t va) {
    for (uint32_t i = 0; i < ENTRIES;) {
        i = share_empty(from, to, i);
        if (i < ENTRIES)
            i += share_some(space, &from[i], &to[i], level, va + i * level_bytes(level),
                            ENTRIES - i);
    }
}
