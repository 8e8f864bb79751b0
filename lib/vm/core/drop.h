/* SPDX-License-Identifier: MIT */
/*
 * drop.h: a reference is given back, after the flush (gather.h). The last one to a page frees it.
 * The last one to a table puts it on a list of the space's dead ones, which are reaped one at a
 * time: so the end of a terabyte costs as many stores as its root has entries, and what is below
 * can wait. A dead table is linked through its own count, so the list needs no memory; what it
 * refers to is still counted.
 */

static inline bool is_counted(const struct ash_vm *vm, ash_paddr_t address) {
    return count_has(vm, frame_of(address));
}

static void frames_free(struct ash_vm *vm, ash_pfn_t frame, uint32_t level) {
    const struct ash_vm_frames *frames = &vm->config.frames;
    frames->free(frames->context, frame, level_order(level));
}

/* Nobody refers to it any more; a leaf of `level` was the last that did. If it heads a block, what
 * follows it goes with it, and has no mark any more. */
static void free_head(struct ash_vm *vm, ash_pfn_t head, uint32_t level) {
    uint32_t block = count_block_level(vm, head, level);
    count_clear_parts(vm, head, block);
    frames_free(vm, head, block);
}

/* Of a leaf of this level, or of what else refers to a frame: a pin, a hold. */
static void drop_frame(struct ash_vm *vm, ash_pfn_t frame, uint32_t level) {
    if (!count_has(vm, frame))
        return;
    ash_pfn_t head = count_head(vm, frame);
    if (count_drop(vm, head))
        free_head(vm, head, level);
}

/* What up to COUNT_RUN pages that follow each other were the references to. Returns how many it has
 * done. */
static uint32_t drop_run(struct ash_vm *vm, ash_pfn_t first, uint32_t frames) {
    uint32_t done;
    uint64_t last = count_drop_run(vm, first, frames, &done);
    /* It ends before a mark: only the last of them can head a block. */
    if (done != 0 && (last >> (done - 1) & 1) != 0) {
        free_head(vm, first + (done - 1), 0);
        last &= ~(UINT64_C(1) << (done - 1));
    }
    for (; last != 0; last &= last - 1)
        frames_free(vm, first + ash_ctz64(last), 0);
    return done;
}

/* All leaves among these entries of a table of level 0, broken or not. */
static void drop_pages(struct ash_vm *vm, const uint64_t *entries, uint32_t count) {
    for (uint32_t i = 0; i < count;) {
        if (entries[i] == 0) {
            i++;
            continue;
        }
        uint32_t run = leaf_run(&entries[i], count - i), done = 0;
        ash_pfn_t first = frame_of(format_address(entries[i]));
        if (count_has(vm, first) && count_has(vm, first + (run - 1)))
            done = drop_run(vm, first, run);
        if (done == 0) {
            drop_frame(vm, first, 0); /* a piece of a block, or not counted */
            done = 1;
        }
        i += done;
    }
}

static uint32_t frame_index(const struct ash_vm *vm, ash_paddr_t address) {
    return (uint32_t)(frame_of(address) - vm->config.first_frame);
}

/* The links of the lists are indices + 1; 0 ends them. */
static void drop_table(struct ash_vm_space *space, ash_paddr_t table, uint32_t level) {
    struct ash_vm *vm = space->vm;
    if (!count_drop(vm, frame_of(table)))
        return;
    count_set(vm, frame_of(table), space->dead[level]);
    space->dead[level] = frame_index(vm, table) + 1;
}

static ash_paddr_t dead_address(const struct ash_vm *vm, uint32_t link) {
    return frame_address(vm->config.first_frame + (link - 1));
}

/* What an entry of a table of this level referred to. */
static void drop_entry(struct ash_vm_space *space, uint64_t entry, uint32_t level) {
    if (entry_was_table(entry, level))
        drop_table(space, format_address(format_make(entry)), level - 1);
    else
        drop_frame(space->vm, frame_of(format_address(format_make(entry))), level);
}

static void drop_entries(struct ash_vm_space *space, const uint64_t *entries, uint32_t level) {
    for (uint32_t i = entry_next(entries, 0); i < ENTRIES; i = entry_next(entries, i + 1))
        drop_entry(space, entry_load(&entries[i]), level);
}

/* One dead table of this level, with the references that it had. O(2^BITS). */
static void reap_one(struct ash_vm_space *space, uint32_t level) {
    struct ash_vm *vm = space->vm;
    ash_paddr_t table = dead_address(vm, space->dead[level]);
    space->dead[level] = count_load(vm, frame_of(table));
    const uint64_t *entries = table_at(vm, table);
    if (level == 0)
        drop_pages(vm, entries, ENTRIES);
    else
        drop_entries(space, entries, level);
    count_set(vm, frame_of(table), 0);
    frames_free(vm, frame_of(table), 0);
}

/* The lowest first: so no more of them wait than a walk from the root passes. */
static bool reap(struct ash_vm_space *space, uint32_t tables) {
    for (uint32_t level = 0; level < FORMAT_LEVELS;) {
        if (space->dead[level] == 0) {
            level++;
        } else if (tables == 0) {
            return true;
        } else {
            reap_one(space, level);
            tables--;
            level = 0;
        }
    }
    return false;
}

static void reap_all(struct ash_vm_space *space) {
    while (reap(space, UINT32_MAX)) {}
}
