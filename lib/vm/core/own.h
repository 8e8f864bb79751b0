/* SPDX-License-Identifier: MIT */
/*
 * own.h: a table with more than one reference is nobody's to change. Whoever wants to change what
 * is mapped in a range makes the tables on the way to it its own first, from the top down:
 *
 *   count > 1          it is copied: what it refers to has one reference more, and nobody may write
 *                      below either copy any more; only then the original is dropped. So all tables
 *                      below a shared one are shared, and are copied in turn.
 *   count 1, marked    it had been shared, and the others are gone: the mark is cleared.
 *
 * A block that lies only partly in the range is split on the way, where the operation wants that.
 * It is one break, one flush and one make for the whole range, at the topmost entries that change:
 * what is below them is built where no walk sees it.
 */

struct own {
    struct ash_vm_space *space;
    bool leaves_whole; /* tables that lie in the range as a whole go, or stay, as they are */
    bool splits;       /* blocks that do not */
    struct reserve reserve;
    struct gather gather;
};

enum own_need { OWN_NOTHING, OWN_TABLE, OWN_SPLIT };

/* What the entry of `part` needs before what is in the part can change. It may be broken. */
static enum own_need own_need(const struct own *own, uint64_t entry, struct range part,
                              uint32_t level) {
    if (level == 0 || entry == 0)
        return OWN_NOTHING;
    if (entry_was_table(entry, level))
        return own->leaves_whole && part_is_whole(part, level) ? OWN_NOTHING : OWN_TABLE;
    return own->splits && !part_is_whole(part, level) ? OWN_SPLIT : OWN_NOTHING;
}

/* Tables that a block at `level` is split into, until no block lies partly in the range. */
static uint64_t split_count(struct range range, uint32_t level) {
    uint64_t count = 1;
    if (level > 1)
        for (struct range part = part_first(range, level - 1); !part_is_none(part);
             part = part_next(part, range, level - 1))
            if (!part_is_whole(part, level - 1))
                count += split_count(part, level - 1);
    return count;
}

/* Tables to be reserved. shared: a table above is. */
static uint64_t own_count(const struct own *own, ash_paddr_t table, uint32_t level,
                          struct range range, bool shared) {
    const struct ash_vm *vm = own->space->vm;
    const uint64_t *entries = table_at(vm, table);
    uint64_t count = 0;
    for (struct range part = part_first(range, level); level != 0 && !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t entry = entry_load(&entries[entry_index(part.va, level)]);
        enum own_need need = own_need(own, entry, part, level);
        if (need == OWN_SPLIT) {
            count += split_count(part, level);
        } else if (need == OWN_TABLE) {
            ash_paddr_t below = format_address(entry);
            bool is_shared = shared || !count_is_one(vm, frame_of(below));
            count += is_shared + own_count(own, below, level - 1, part, is_shared);
        }
    }
    return count;
}

/*
 * What will change below a shared table. A table that is copied: a walk may remember the old one
 * and go on from there, whatever is above it. A block that is split: TLBs must not have both sizes.
 */
static void own_note_below(struct own *own, ash_paddr_t table, uint32_t level, struct range range) {
    const uint64_t *entries = table_at(own->space->vm, table);
    for (struct range part = part_first(range, level); level != 0 && !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t entry = entry_load(&entries[entry_index(part.va, level)]);
        enum own_need need = own_need(own, entry, part, level);
        if (need == OWN_SPLIT)
            gather_add(&own->gather, ash_align_down(part.va, level_bytes(level)), 1,
                       level_shift(level), true);
        if (need != OWN_TABLE)
            continue;
        gather_add(&own->gather, part.va, 1, FORMAT_PAGE_SHIFT, false);
        own_note_below(own, format_address(entry), level - 1, part);
    }
}

/* The topmost entries that will point elsewhere become invalid. */
static void own_break(struct own *own, ash_paddr_t table, uint32_t level, struct range range) {
    struct ash_vm_space *space = own->space;
    uint64_t *entries = table_at(space->vm, table);
    for (struct range part = part_first(range, level); level != 0 && !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t *entry = &entries[entry_index(part.va, level)], value = entry_load(entry);
        enum own_need need = own_need(own, value, part, level);
        if (need == OWN_NOTHING)
            continue;
        ash_paddr_t below = format_address(value);
        if (need == OWN_TABLE && count_is_one(space->vm, frame_of(below))) {
            own_break(own, below, level - 1, part);
            continue;
        }
        ash_vaddr_t base = ash_align_down(part.va, level_bytes(level));
        entry_store(space, level, base, entry, format_break(value));
        if (need == OWN_SPLIT) {
            gather_add(&own->gather, base, 1, level_shift(level), true);
        } else {
            gather_add(&own->gather, part.va, 1, FORMAT_PAGE_SHIFT, false);
            own_note_below(own, below, level - 1, part);
        }
    }
}

/* Takes one reference more to what each entry refers to. Returns the copy, with the reference that
 * will be its entry's. `va` is where the table begins. */
static ash_paddr_t copy_table(struct own *own, ash_paddr_t table, uint32_t level, ash_vaddr_t va) {
    struct ash_vm *vm = own->space->vm;
    ash_paddr_t copy = reserve_take(&own->reserve);
    share_entries(own->space, table_at(vm, table), table_at(vm, copy), level, va);
    count_set(vm, frame_of(copy), 1);
    own->space->stats.tables_copied++;
    return copy;
}

/* The references of a block become those of its pieces, one level lower. */
static void split_counts(struct ash_vm *vm, ash_pfn_t block, uint32_t level) {
    const struct ash_vm_frames *frames = &vm->config.frames;
    uint64_t pieces = count_frames(1), step = count_frames(level - 1);
    if (!count_has(vm, block))
        return;
    if (!count_is_whole(vm, block, level) || !count_is_one(vm, block)) {
        count_split_shared(vm, block, level);
        return;
    }
    count_clear_parts(vm, block, level);
    for (uint64_t i = 1; i < pieces; i++)
        count_set(vm, block + i * step, 1);
    if (frames->split != NULL)
        frames->split(frames->context, block, level_order(level), level_order(level - 1));
}

/* The table of the pieces of the block that `leaf` maps at this level. */
static ash_paddr_t split_leaf(struct own *own, uint64_t leaf, uint32_t level) {
    struct ash_vm *vm = own->space->vm;
    ash_paddr_t table = reserve_take(&own->reserve);
    uint64_t *entries = table_at(vm, table);
    uint64_t entry = format_change(leaf, level - 1, format_rights(leaf));
    if (format_is_writable(leaf))
        entry = format_write_enable(entry);
    for (uint32_t i = 0; i < ENTRIES; i++)
        entries[i] = entry + i * leaf_step(level - 1);
    count_set(vm, frame_of(table), 1);
    split_counts(vm, frame_of(format_address(leaf)), level);
    own->space->stats.splits++;
    return table;
}

/* built: the table is one that no walk sees yet. */
static void own_put(struct own *own, bool built, uint32_t level, ash_vaddr_t va, uint64_t *entry,
                    uint64_t value) {
    if (built)
        *entry = value;
    else
        entry_store(own->space, level, va, entry, value);
}

/* After the flush: copies, splits, cleared marks; the entries that were broken are valid again. */
static void own_make(struct own *own, ash_paddr_t table, uint32_t level, struct range range,
                     bool built) {
    struct ash_vm_space *space = own->space;
    uint64_t *entries = table_at(space->vm, table);
    for (struct range part = part_first(range, level); level != 0 && !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t *entry = &entries[entry_index(part.va, level)], value = entry_load(entry);
        enum own_need need = own_need(own, value, part, level);
        if (need == OWN_NOTHING)
            continue;
        ash_vaddr_t base = ash_align_down(part.va, level_bytes(level));
        ash_paddr_t below = format_address(format_make(value));
        if (need == OWN_SPLIT) {
            ash_paddr_t pieces = split_leaf(own, format_make(value), level);
            own_make(own, pieces, level - 1, part, true);
            own_put(own, built, level, base, entry, format_table(pieces));
        } else if (entry_is_broken(value) || !count_is_one(space->vm, frame_of(below))) {
            ash_paddr_t copy = copy_table(own, below, level - 1, base);
            own_make(own, copy, level - 1, part, true);
            own_put(own, built, level, base, entry, format_table(copy));
            drop_table(space, below, level - 1);
        } else {
            if (format_table_is_protected(value)) {
                own_put(own, built, level, base, entry, format_table_unprotect(value));
                space->stats.tables_upgraded++;
            }
            own_make(own, below, level - 1, part, false);
        }
    }
}

/*
 * All three steps. Fails before anything has changed. `more` frames stay in own->reserve for what
 * the caller does next; it drains that.
 */
static int own_range(struct own *own, struct range range, uint64_t more) {
    struct ash_vm_space *space = own->space;
    uint64_t tables = own_count(own, space->root, ROOT_LEVEL, range, false);
    int error = reserve_fill(&own->reserve, space->vm, tables + more);
    if (error != 0)
        return error;
    gather_init(&own->gather, space);
    own_break(own, space->root, ROOT_LEVEL, range);
    gather_flush(&own->gather);
    own_make(own, space->root, ROOT_LEVEL, range, false);
    return 0;
}
