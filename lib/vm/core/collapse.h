/* SPDX-License-Identifier: MIT */
/*
 * collapse.h: a table of pages becomes one block. The size of a translation changes, so the entry
 * above is broken and all that is below it flushed first; meanwhile nobody writes to the pages, and
 * they can be copied.
 *
 *   where they stand   they follow each other in a block's place, and the table is this space's
 *                      alone: either each page has one reference, and the source can join them; or
 *                      they are the pieces of a block that was shared and split (count.h)
 *   copied             else, if nobody minds that they move
 */

enum collapse_how { COLLAPSE_JOIN, COLLAPSE_PIECES, COLLAPSE_UNCOUNTED, COLLAPSE_COPY };

struct collapse {
    struct own own;
    ash_vaddr_t va;    /* where the block begins */
    ash_paddr_t table; /* of the pages */
    bool is_own;       /* nobody else reaches it */
    enum collapse_how how;
    uint64_t leaf; /* of level 0, for the first page: rights, accessed, dirty of all */
    ash_pfn_t block;
};

/* The table of the pages around the address: 0, if there is none. */
static ash_paddr_t collapse_table(struct collapse *collapse) {
    const struct ash_vm_space *space = collapse->own.space;
    ash_paddr_t table = space->root;
    collapse->is_own = true;
    for (uint32_t level = ROOT_LEVEL; level != 0; level--) {
        uint64_t entry = entry_load(&table_at(space->vm, table)[entry_index(collapse->va, level)]);
        if (!format_is_table(entry, level))
            return 0;
        table = format_address(entry);
        collapse->is_own &= count_is_one(space->vm, frame_of(table));
    }
    return table;
}

/* The pages in a row from `first` on: what can their counts become? */
static enum collapse_how collapse_in_place(const struct collapse *collapse, ash_pfn_t first) {
    const struct ash_vm *vm = collapse->own.space->vm;
    if (!ash_is_aligned(first, ENTRIES))
        return COLLAPSE_COPY;
    if (!count_has(vm, first) && !count_has(vm, first + (ENTRIES - 1)))
        return COLLAPSE_UNCOUNTED;
    if (!count_has(vm, first) || !count_has(vm, first + (ENTRIES - 1)))
        return COLLAPSE_COPY;
    ash_pfn_t head = count_head(vm, first);
    bool are_pieces = true;
    for (uint32_t i = 1; i < ENTRIES && are_pieces; i++)
        are_pieces = count_head(vm, first + i) == head;
    if (are_pieces)
        return COLLAPSE_PIECES;
    bool can_join = vm->config.frames.join != NULL && collapse->is_own;
    return can_join && counts_are(vm, first, ENTRIES, 1) ? COLLAPSE_JOIN : COLLAPSE_COPY;
}

/* Looks at all pages. Returns false where they cannot be one block. */
static bool collapse_look(struct collapse *collapse) {
    const uint64_t *entries = table_at(collapse->own.space->vm, collapse->table);
    uint64_t first = entry_load(&entries[0]), leaf = first;
    uint32_t rights = format_rights(first);
    bool follow = true;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint64_t entry = entry_load(&entries[i]);
        if (entry == 0 || format_rights(entry) != rights || format_is_pinned(entry))
            return false;
        follow &= format_address(entry) == format_address(first) + i * ASH_PAGE_SIZE;
        bool accessed = format_is_accessed(leaf) || format_is_accessed(entry);
        if (format_is_dirty(entry) && !format_is_dirty(leaf))
            leaf = entry;
        leaf = format_note_accessed(leaf, accessed);
    }
    collapse->leaf = leaf;
    collapse->how =
        follow ? collapse_in_place(collapse, frame_of(format_address(first))) : COLLAPSE_COPY;
    collapse->block = frame_of(format_address(first));
    return collapse->how != COLLAPSE_COPY || (rights & ASH_VM_SHARED) == 0;
}

static void copy_pages(const struct ash_vm *vm, ash_paddr_t to, const uint64_t *entries) {
    for (uint32_t i = 0; i < ENTRIES; i++)
        copy_frames(vm, to + i * ASH_PAGE_SIZE, format_address(entries[i]), ASH_PAGE_SIZE);
}

/* The table is no longer referred to. What its entries were the references to is so no more, or has
 * become the block's. */
static void collapse_counts(struct collapse *collapse) {
    struct ash_vm_space *space = collapse->own.space;
    struct ash_vm *vm = space->vm;
    const struct ash_vm_frames *frames = &vm->config.frames;
    bool table_goes = collapse->is_own && collapse->how != COLLAPSE_COPY;
    if (collapse->how == COLLAPSE_JOIN) {
        for (uint32_t i = 1; i < ENTRIES; i++)
            count_set(vm, collapse->block + i, 0);
        frames->join(frames->context, collapse->block, level_order(1), 0);
    } else if (collapse->how == COLLAPSE_PIECES) {
        ash_pfn_t head = count_head(vm, collapse->block);
        if (table_goes)
            count_drop_some(vm, head, ENTRIES - 1);
        else
            count_add(vm, head, 1);
    }
    if (table_goes) {
        count_set(vm, frame_of(collapse->table), 0);
        frames_free(vm, frame_of(collapse->table), 0);
    } else {
        drop_table(space, collapse->table, 0);
    }
}

static void collapse_make(struct collapse *collapse) {
    struct ash_vm_space *space = collapse->own.space;
    struct ash_vm *vm = space->vm;
    ash_paddr_t table = space->root;
    for (uint32_t level = ROOT_LEVEL; level != 1; level--)
        table = format_address(table_at(vm, table)[entry_index(collapse->va, level)]);
    uint64_t *entry = &table_at(vm, table)[entry_index(collapse->va, 1)];
    entry_store(space, 1, collapse->va, entry, format_break(*entry));
    gather_add(&collapse->own.gather, collapse->va, ENTRIES, FORMAT_PAGE_SHIFT, false);
    gather_flush(&collapse->own.gather);
    if (collapse->how == COLLAPSE_COPY)
        copy_pages(vm, frame_address(collapse->block), table_at(vm, collapse->table));
    collapse_counts(collapse);
    uint64_t leaf = format_change(collapse->leaf, 1, format_rights(collapse->leaf));
    leaf += (collapse->block - frame_of(format_address(leaf))) * leaf_step(0);
    entry_store(space, 1, collapse->va, entry, leaf_with_write(vm, leaf));
    space->stats.collapses++;
}

static int format_collapse(struct ash_vm_space *space, ash_vaddr_t va) {
    struct ash_vm *vm = space->vm;
    const struct ash_vm_frames *frames = &vm->config.frames;
    struct collapse collapse = {.own = {.space = space, .leaves_whole = true},
                                .va = ash_align_down(va, level_bytes(1))};
    uint32_t level;
    if (walk_to(space, va, &level) != 0 && level != 0)
        return 0;
    collapse.table = collapse_table(&collapse);
    if (collapse.table == 0 || !collapse_look(&collapse))
        return -ASH_EBUSY;
    bool copies = collapse.how == COLLAPSE_COPY;
    if (copies) {
        if (frames->alloc(frames->context, level_order(1), &collapse.block) != 0)
            return -ASH_ENOMEM;
        require_frames(vm, collapse.block, 1);
        count_set(vm, collapse.block, 1);
    }
    int error = own_range(&collapse.own, range_of(collapse.va, level_bytes(1)), 0);
    if (error == 0) {
        reserve_drain(&collapse.own.reserve);
        collapse_make(&collapse);
        reap_all(space);
    } else if (copies) {
        drop_frame(vm, collapse.block, 1);
    }
    return error;
}
