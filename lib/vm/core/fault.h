/* SPDX-License-Identifier: MIT */
/*
 * fault.h: an access faulted, or is about to: what the tables say about it, and what it takes to
 * let it through. It is found by walking, as a CPU cannot tell a page that is copy-on-write from
 * one below a shared table (Arm ARM D8.4.3: both are permission faults of the leaf's level).
 *
 * One break, one flush and one make at most, at the topmost entry that changes: the tables below
 * it, with the page's new entry, are built where no walk sees them.
 *
 * A copy needs no lock against those who share the page: while the leaf's reference, or that of the
 * shared table above it, is there, nobody may write to it.
 */

struct fault {
    struct own own;
    ash_vaddr_t va;
    uint32_t access;
    uint32_t level; /* of the leaf, or of the empty entry */
    uint32_t top;   /* of the entry that points at the first shared table; 0: none is shared */
    bool is_marked; /* an entry above the leaf is protected */
    uint64_t *entry[FORMAT_LEVELS]; /* by level, down to the leaf's */
    uint64_t value[FORMAT_LEVELS];
    uint32_t to_level; /* COPY: of the new leaf, in pieces of the old one or as large */
    ash_paddr_t to;
};

static void fault_walk(struct fault *fault) {
    const struct ash_vm *vm = fault->own.space->vm;
    ash_paddr_t table = fault->own.space->root;
    fault->top = 0;
    fault->is_marked = false;
    for (uint32_t level = ROOT_LEVEL;; level--) {
        uint64_t *entry = &table_at(vm, table)[entry_index(fault->va, level)];
        uint64_t value = entry_load(entry);
        fault->entry[level] = entry;
        fault->value[level] = value;
        fault->level = level;
        if (!format_is_table(value, level))
            return;
        table = format_address(value);
        fault->is_marked |= format_table_is_protected(value);
        if (fault->top == 0 && !count_is_one(vm, frame_of(table)))
            fault->top = level;
    }
}

static inline uint64_t fault_leaf(const struct fault *fault) {
    return fault->value[fault->level];
}

/* Where level's entry begins. */
static inline ash_vaddr_t fault_base(const struct fault *fault, uint32_t level) {
    return ash_align_down(fault->va, level_bytes(level));
}

static enum ash_vm_verdict fault_verdict(const struct fault *fault) {
    const struct ash_vm *vm = fault->own.space->vm;
    uint64_t leaf = fault_leaf(fault);
    uint32_t rights = format_rights(leaf);
    bool is_own = fault->top == 0;
    if (leaf == 0 || !rights_allow(rights, fault->access))
        return ASH_VM_SEGV;
    if ((fault->access & ASH_VM_WRITE) == 0) {
        if (format_is_accessed(leaf))
            return ASH_VM_SPURIOUS;
        return is_own ? ASH_VM_REUSE : ASH_VM_UNSHARE;
    }
    if (is_own && format_is_writable(leaf)) {
        bool is_let = !fault->is_marked && format_is_accessed(leaf);
        return is_let ? ASH_VM_SPURIOUS : ASH_VM_REUSE;
    }
    if ((rights & ASH_VM_SHARED) != 0)
        return is_own ? ASH_VM_REUSE : ASH_VM_UNSHARE;
    return is_own && frame_is_own(vm, frame_of(format_address(leaf))) ? ASH_VM_REUSE : ASH_VM_COPY;
}

/* Tables that are shared on the way to the leaf. */
static inline uint64_t fault_tables(const struct fault *fault) {
    return fault->top == 0 ? 0 : fault->top - fault->level;
}

/* The entries above the first shared table let writes through again. */
static void fault_unmark(struct fault *fault) {
    uint32_t last = fault->top == 0 ? fault->level : fault->top;
    for (uint32_t level = ROOT_LEVEL; level > last; level--) {
        uint64_t value = fault->value[level];
        if (!format_table_is_protected(value))
            continue;
        entry_store(fault->own.space, level, fault_base(fault, level), fault->entry[level],
                    format_table_unprotect(value));
        fault->own.space->stats.tables_upgraded++;
    }
}

/* Copies of the shared tables, from the top down. fault->entry is in the copies then; the first one
 * is returned, for the entry at fault->top, whose old table has not been dropped yet. */
static ash_paddr_t fault_copy_tables(struct fault *fault) {
    struct ash_vm_space *space = fault->own.space;
    ash_paddr_t first = 0;
    for (uint32_t level = fault->top; level > fault->level; level--) {
        ash_paddr_t old = format_address(format_make(fault->value[level]));
        ash_paddr_t copy = copy_table(&fault->own, old, level - 1, fault_base(fault, level));
        if (level == fault->top) {
            first = copy;
        } else {
            *fault->entry[level] = format_table(copy);
            drop_table(space, old, level - 1);
        }
        uint64_t *entries = table_at(space->vm, copy);
        fault->entry[level - 1] = &entries[entry_index(fault->va, level - 1)];
        fault->value[level - 1] = *fault->entry[level - 1];
    }
    return first;
}

/* The new page's leaf, or the tables that a larger one is split into, with it. */
static uint64_t fault_make_copy(struct fault *fault) {
    struct ash_vm *vm = fault->own.space->vm;
    uint64_t leaf = format_make(fault_leaf(fault)), made = 0, *entry = &made;
    for (uint32_t level = fault->level; level > fault->to_level; level--) {
        ash_paddr_t pieces = split_leaf(&fault->own, leaf, level);
        *entry = format_table(pieces);
        entry = &table_at(vm, pieces)[entry_index(fault->va, level - 1)];
        leaf = *entry;
    }
    *entry = format_write_enable(format_leaf(fault->to, fault->to_level, format_rights(leaf)));
    count_set(vm, frame_of(fault->to), 1);
    return made;
}

/* Everything has been taken; `verdict` is COPY, UNSHARE or REUSE. */
static void fault_commit(struct fault *fault, enum ash_vm_verdict verdict) {
    struct ash_vm_space *space = fault->own.space;
    uint64_t leaf = fault_leaf(fault);
    uint32_t top = fault->top != 0 ? fault->top : fault->level;
    bool is_broken = fault->top != 0 || verdict == ASH_VM_COPY;
    uint64_t above = fault->value[top];
    gather_init(&fault->own.gather, space);
    gather_add(&fault->own.gather, fault_base(fault, fault->level), 1, level_shift(fault->level),
               fault->top == 0 && !fault->is_marked);
    if (is_broken) {
        entry_store(space, top, fault_base(fault, top), fault->entry[top], format_break(above));
        gather_flush(&fault->own.gather);
    }
    fault_unmark(fault);
    ash_paddr_t tables = fault->top != 0 ? fault_copy_tables(fault) : 0;
    uint64_t made = format_note_accessed(fault_leaf(fault), true);
    if (verdict == ASH_VM_COPY)
        made = fault_make_copy(fault);
    else if ((fault->access & ASH_VM_WRITE) != 0)
        made = format_write_enable(made);
    own_put(&fault->own, fault->top != 0, fault->level, fault_base(fault, fault->level),
            fault->entry[fault->level], made);
    if (fault->top != 0) {
        entry_store(space, top, fault_base(fault, top), fault->entry[top], format_table(tables));
        drop_table(space, format_address(above), top - 1);
    }
    if (verdict == ASH_VM_COPY) {
        ash_paddr_t old = format_address(leaf) + (fault->va & (level_bytes(fault->level) - 1));
        drop_frame(space->vm, frame_of(ash_align_down(old, level_bytes(fault->to_level))),
                   fault->to_level);
    }
    if (is_broken)
        publish(space);
    else
        gather_flush(&fault->own.gather);
    reserve_drain(&fault->own.reserve);
    reap_all(space);
}

/*
 * Where one page was given back its write permission, its neighbours that wait for the same get it
 * too, without a fault each: those that are written to (dirty), and nobody else's.
 */
#define FAULT_AROUND 16u

static void fault_around(struct fault *fault) {
    struct ash_vm_space *space = fault->own.space;
    const uint32_t count = ENTRIES < FAULT_AROUND ? ENTRIES : FAULT_AROUND;
    ash_vaddr_t base = ash_align_down(fault->va, count * level_bytes(0));
    uint64_t *entries = fault->entry[0] - entry_index(fault->va, 0) % count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t entry = entry_load(&entries[i]);
        if (entry == 0 || format_is_writable(entry) || !format_is_dirty(entry) ||
            !format_is_accessed(entry) || (format_rights(entry) & ASH_VM_WRITE) == 0 ||
            !frame_is_own(space->vm, frame_of(format_address(entry))))
            continue;
        entry_store(space, 0, base + i * level_bytes(0), &entries[i], format_write_enable(entry));
        space->stats.pages_reused++;
    }
}

/* Frames for the copy, and of what level: of a block, as the configuration has it, and as long as
 * there is one as large. Larger ones than of level 1 are split in any case. */
static int fault_alloc(struct fault *fault) {
    const struct ash_vm *vm = fault->own.space->vm;
    const struct ash_vm_frames *frames = &vm->config.frames;
    bool is_whole = fault->level != 0 && (vm->config.flags & ASH_VM_SPLIT_HUGE) == 0;
    ash_pfn_t frame;
    fault->to_level = 1;
    if (!is_whole || frames->alloc(frames->context, level_order(1), &frame) != 0) {
        fault->to_level = 0;
        if (frames->alloc(frames->context, 0, &frame) != 0)
            return -ASH_ENOMEM;
    }
    require_frames(vm, frame, fault->to_level);
    fault->to = frame_address(frame);
    return 0;
}

/* What is copied: the part of the old leaf that the new one maps. */
static ash_paddr_t fault_from(const struct fault *fault) {
    ash_vaddr_t base = fault_base(fault, fault->to_level);
    return format_address(fault_leaf(fault)) + (base & (level_bytes(fault->level) - 1));
}

static void count_copy(struct fault *fault, bool is_zero) {
    struct ash_vm_stats *stats = &fault->own.space->stats;
    if (is_zero)
        stats->pages_zeroed++;
    else
        stats->pages_copied += count_frames(fault->to_level);
}

/* COPY, with fault->to allocated and filled. It is freed if there is no memory for tables. */
static enum ash_vm_verdict fault_finish_copy(struct fault *fault) {
    struct ash_vm_space *space = fault->own.space;
    uint64_t tables = fault_tables(fault) + (fault->level - fault->to_level);
    bool is_zero = frame_of(format_address(fault_leaf(fault))) == space->vm->zero_frame;
    if (reserve_fill(&fault->own.reserve, space->vm, tables) != 0) {
        frames_free(space->vm, frame_of(fault->to), fault->to_level);
        return ASH_VM_NOMEM;
    }
    fault_commit(fault, ASH_VM_COPY);
    count_copy(fault, is_zero);
    return ASH_VM_COPY;
}

/* In one step, or, where `pending` is not NULL, up to where pages are to be copied. */
static enum ash_vm_verdict fault_copy(struct fault *fault, struct ash_vm_pending *pending) {
    struct ash_vm *vm = fault->own.space->vm;
    if (fault_alloc(fault) != 0)
        return ASH_VM_NOMEM;
    ash_paddr_t from = fault_from(fault);
    uint64_t bytes = level_bytes(fault->to_level);
    if (frame_of(from) == vm->zero_frame) {
        zero_page(vm, table_at(vm, fault->to));
    } else if (pending == NULL) {
        copy_frames(vm, fault->to, from, bytes);
    } else {
        /* With one more reference it stays as it is, whatever happens to the mapping. */
        ash_pfn_t held = count_head(vm, frame_of(format_address(fault_leaf(fault))));
        count_add(vm, held, 1);
        pending->held = held;
        pending->held_level = fault->level;
        pending->from = from;
        pending->to = fault->to;
        pending->bytes = bytes;
        return ASH_VM_COPY;
    }
    return fault_finish_copy(fault);
}

static enum ash_vm_verdict fault_answer(struct fault *fault, struct ash_vm_pending *pending) {
    struct ash_vm_space *space = fault->own.space;
    if (!space_has(space, fault->va))
        return ASH_VM_SEGV;
    fault_walk(fault);
    enum ash_vm_verdict verdict = fault_verdict(fault);
    if (verdict == ASH_VM_SEGV)
        return verdict;
    if (verdict == ASH_VM_COPY)
        return fault_copy(fault, pending);
    if (verdict == ASH_VM_SPURIOUS) {
        /* An entry that was in a TLB before rights came back, a table's perhaps. */
        gather_init(&fault->own.gather, space);
        gather_add(&fault->own.gather, fault_base(fault, fault->level), 1,
                   level_shift(fault->level), false);
        gather_flush(&fault->own.gather);
        return verdict;
    }
    if (reserve_fill(&fault->own.reserve, space->vm, fault_tables(fault)) != 0)
        return ASH_VM_NOMEM;
    fault_commit(fault, verdict);
    if (verdict == ASH_VM_REUSE && (fault->access & ASH_VM_WRITE) != 0) {
        space->stats.pages_reused++;
        if (fault->level == 0)
            fault_around(fault);
    }
    return verdict;
}

static enum ash_vm_verdict fault_counted(struct ash_vm_space *space, enum ash_vm_verdict verdict) {
    space->stats.faults++;
    space->stats.spurious += verdict == ASH_VM_SPURIOUS;
    return verdict;
}

static enum ash_vm_verdict format_fault(struct ash_vm_space *space, ash_vaddr_t va,
                                        uint32_t access) {
    struct fault fault = {.own = {.space = space}, .va = va, .access = access};
    return fault_counted(space, fault_answer(&fault, NULL));
}

static enum ash_vm_verdict format_fault_begin(struct ash_vm_space *space, ash_vaddr_t va,
                                              uint32_t access, struct ash_vm_pending *pending) {
    struct fault fault = {.own = {.space = space}, .va = va, .access = access};
    *pending = (struct ash_vm_pending){.space = space, .va = va, .access = access};
    pending->verdict = fault_answer(&fault, pending);
    return pending->bytes != 0 ? pending->verdict : fault_counted(space, pending->verdict);
}

static void format_fault_copy(const struct ash_vm_pending *pending) {
    copy_frames(pending->space->vm, pending->to, pending->from, pending->bytes);
}

/* Does the leaf at va still map what has been copied? */
static bool pending_is_current(const struct fault *fault, const struct ash_vm_pending *pending) {
    return fault->level >= fault->to_level && fault_verdict(fault) != ASH_VM_SEGV &&
           fault_from(fault) == pending->from;
}

/*
 * In between it may have been unmapped, protected, forked, written to by another CPU, or changed
 * for another page: the copy is used only if the leaf maps what was copied still, and a write to it
 * still is to be answered by a copy, now that nobody holds the page any more.
 */
static enum ash_vm_verdict format_fault_end(struct ash_vm_pending *pending) {
    struct ash_vm_space *space = pending->space;
    struct ash_vm *vm = space->vm;
    struct fault fault = {.own = {.space = space},
                          .va = pending->va,
                          .access = pending->access,
                          .to = pending->to,
                          .to_level = pending->bytes == level_bytes(0) ? 0 : 1};
    fault_walk(&fault);
    bool is_current = pending_is_current(&fault, pending);
    drop_frame(vm, pending->held, pending->held_level);
    if (is_current && fault_verdict(&fault) == ASH_VM_COPY) {
        pending->verdict = fault_finish_copy(&fault);
    } else {
        frames_free(vm, frame_of(pending->to), fault.to_level);
        pending->verdict = fault_answer(&fault, NULL);
    }
    pending->bytes = 0;
    return fault_counted(space, pending->verdict);
}
