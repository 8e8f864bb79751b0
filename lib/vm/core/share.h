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

static void take_entry(struct ash_vm *vm, uint64_t entry, uint32_t level) {
    ash_pfn_t frame = frame_of(format_address(entry));
    if (!count_has(vm, frame))
        return;
    count_add(vm, format_is_table(entry, level) ? frame : count_head(vm, frame), 1);
}

/* How many pages follow each other in memory, with all else the same. */
static inline uint32_t like_run(const uint64_t *entries, uint32_t count) {
    const uint64_t first = entry_load(entries), step = leaf_step(0);
    uint32_t run = 1;
    while (run < count && entry_load(&entries[run]) == first + run * step)
        run++;
    return run;
}

static void share_run(struct ash_vm_space *space, uint64_t *from, uint64_t *to, ash_vaddr_t va,
                      uint32_t run) {
    struct ash_vm *vm = space->vm;
    uint64_t entry = entry_load(from), shared = leaf_shared(entry), step = leaf_step(0);
    ash_pfn_t frame = frame_of(format_address(entry));
    if (shared != entry)
        for (uint32_t i = 0; i < run; i++)
            entry_store(space, 0, va + i * level_bytes(0), &from[i], shared + i * step);
    for (uint32_t i = 0; i < run; i++)
        to[i] = shared + i * step;
    if (count_has(vm, frame) && count_has(vm, frame + (run - 1)))
        count_add_run(vm, frame, run);
    else
        for (uint32_t i = 0; i < run; i++)
            take_entry(vm, to[i], 0);
}

/* An entry that is no page's. Returns what the copy has. */
static uint64_t share_entry(struct ash_vm_space *space, uint64_t *from, uint32_t level,
                            ash_vaddr_t va) {
    uint64_t entry = entry_load(from);
    uint64_t shared = format_is_table(entry, level) ? mark_shared(entry) : leaf_shared(entry);
    if (shared != entry)
        entry_store(space, level, va, from, shared);
    take_entry(space->vm, entry, level);
    return shared;
}

/* All entries of a table of this level, which begins at va; `to` is not in use yet. */
static void share_entries(struct ash_vm_space *space, uint64_t *from, uint64_t *to, uint32_t level,
                          ash_vaddr_t va) {
    for (uint32_t i = 0; i < ENTRIES;) {
        uint64_t entry = entry_load(&from[i]);
        if (entry == 0) {
            to[i++] = 0;
        } else if (level == 0) {
            uint32_t run = like_run(&from[i], ENTRIES - i);
            share_run(space, &from[i], &to[i], va + i * level_bytes(0), run);
            i += run;
        } else {
            to[i] = share_entry(space, &from[i], level, va + i * level_bytes(level));
            i++;
        }
    }
}
