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

/* How many entries from here on are empty. */
static inline uint32_t empty_run(const uint64_t *entries, uint32_t count) {
    uint32_t run = 0;
    if (count == 0 || entry_load(entries) != 0)
        return 0;
    for (; count - run >= 8; run += 8) {
        uint64_t any = 0;
        for (uint32_t i = 0; i < 8; i++)
            any |= entry_load(&entries[run + i]);
        if (any != 0)
            break;
    }
    while (run < count && entry_load(&entries[run]) == 0)
        run++;
    return run;
}

/* How many refer to pages, or tables, that follow each other in memory, with all else the same. */
static inline uint32_t like_run(const uint64_t *entries, uint32_t count) {
    const uint64_t first = entry_load(entries), step = leaf_step(0);
    uint32_t run = 1;
    while (run < count && entry_load(&entries[run]) == first + run * step)
        run++;
    return run;
}

/* Such a run, in a table of this level. */
static void share_run(struct ash_vm_space *space, uint64_t *from, uint64_t *to, uint32_t level,
                      ash_vaddr_t va, uint32_t run) {
    struct ash_vm *vm = space->vm;
    const uint64_t entry = entry_load(from), step = leaf_step(0);
    const uint64_t shared = format_is_table(entry, level) ? mark_shared(entry) : leaf_shared(entry);
    ash_pfn_t frame = frame_of(format_address(entry));
    for (uint32_t i = 0; i < run; i++)
        to[i] = shared + i * step;
    if (shared != entry)
        for (uint32_t i = 0; i < run; i++)
            entry_store(space, level, va + i * level_bytes(level), &from[i], shared + i * step);
    if (count_has(vm, frame) && count_has(vm, frame + (run - 1)))
        count_add_run(vm, frame, run);
    else
        for (uint32_t i = 0; i < run; i++)
            take_entry(vm, to[i], level);
}

/* The first entries here, as many as can be told together: *from is not empty. `to` is not in use
 * yet. Returns how many. */
static uint32_t share_some(struct ash_vm_space *space, uint64_t *from, uint64_t *to, uint32_t level,
                           ash_vaddr_t va, uint32_t left) {
    bool is_block = level != 0 && !format_is_table(entry_load(from), level);
    uint32_t run = is_block ? 1 : like_run(from, left);
    share_run(space, from, to, level, va, run);
    return run;
}

/* All entries of a table of this level, which begins at va. */
static void share_entries(struct ash_vm_space *space, uint64_t *from, uint64_t *to, uint32_t level,
                          ash_vaddr_t va) {
    for (uint32_t i = 0; i < ENTRIES;) {
        uint32_t empty = empty_run(&from[i], ENTRIES - i);
        __builtin_memset(&to[i], 0, empty * sizeof(to[i]));
        i += empty;
        if (i < ENTRIES)
            i += share_some(space, &from[i], &to[i], level, va + i * level_bytes(level),
                            ENTRIES - i);
    }
}
