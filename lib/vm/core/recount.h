/* SPDX-License-Identifier: MIT */
/*
 * recount.h: the audit of I1. All references of all spaces are added to the scratch counts, which
 * have the caller's holds and pins already; then both are compared. They are subtracted again, and
 * what is left tells holds from entries: a page that is written privately has one entry (I4).
 *
 * A table's entries count once, however many refer to it. A dead one's do, too, and its own count
 * is a link (drop.h).
 */

struct recount {
    const struct ash_vm *vm;
    uint32_t *scratch;
    uint32_t sign; /* 1 or, subtracting, 2^32 - 1 */
    const char *broken;
};

static uint32_t *scratch_at(const struct recount *recount, ash_pfn_t frame) {
    return &recount->scratch[frame - recount->vm->config.first_frame];
}

static void recount_entries(struct recount *recount, ash_paddr_t table, uint32_t level);

/* The first time that it is come by, or subtracting the last, its entries too. */
static void recount_table(struct recount *recount, ash_paddr_t table, uint32_t level) {
    uint32_t *count = scratch_at(recount, frame_of(table));
    bool first = *count == 0;
    *count += recount->sign;
    if (recount->sign == 1 ? first : *count == 0)
        recount_entries(recount, table, level);
}

static void recount_entries(struct recount *recount, ash_paddr_t table, uint32_t level) {
    const struct ash_vm *vm = recount->vm;
    const uint64_t *entries = table_at(vm, table);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint64_t entry = entry_load(&entries[i]);
        if (entry == 0)
            continue;
        ash_pfn_t frame = frame_of(format_address(entry));
        if (!format_is_valid(entry))
            recount->broken = "I5: a broken entry outside of an operation";
        else if (format_is_table(entry, level))
            recount_table(recount, format_address(entry), level - 1);
        else if (count_has(vm, frame))
            *scratch_at(recount, count_head(vm, frame)) += recount->sign;
    }
}

static void recount_dead(struct recount *recount, const struct ash_vm_space *space) {
    const struct ash_vm *vm = recount->vm;
    for (uint32_t level = 0; level < FORMAT_LEVELS; level++) {
        for (uint32_t link = space->dead[level]; link != 0;
             link = count_load(vm, frame_of(dead_address(vm, link)))) {
            ash_paddr_t table = dead_address(vm, link);
            recount_entries(recount, table, level);
            *scratch_at(recount, frame_of(table)) =
                recount->sign == 1 ? count_load(vm, frame_of(table)) : 0;
        }
    }
}

static void recount_all(struct recount *recount, const struct ash_vm_space *const *spaces,
                        uint32_t count, uint32_t sign) {
    recount->sign = sign;
    for (uint32_t i = 0; i < count; i++) {
        if (spaces[i]->root != 0)
            recount_table(recount, spaces[i]->root, ROOT_LEVEL);
        recount_dead(recount, spaces[i]);
    }
}

static const char *recount_compare(const struct recount *recount) {
    const struct ash_vm *vm = recount->vm;
    for (uint64_t i = 0; i < vm->config.frame_count; i++) {
        uint32_t count = vm->counts[i], found = recount->scratch[i];
        if (count_is_part(count)) {
            if (found != 0)
                return "I1: a piece of a shared block has references of its own";
        } else if (count < ASH_VM_SATURATED && count != found) {
            return count < found ? "I1: a frame has more references than its count says"
                                 : "I1: a frame's count says more references than it has";
        }
    }
    return NULL;
}

/* The scratch counts are holds and pins alone. */
static const char *recount_writable(const struct recount *recount, ash_paddr_t table,
                                    uint32_t level) {
    const struct ash_vm *vm = recount->vm;
    const uint64_t *entries = table_at(vm, table);
    const char *broken = NULL;
    uint64_t before = 0;
    for (uint32_t i = 0; i < ENTRIES && broken == NULL; i++) {
        uint64_t entry = entry_load(&entries[i]);
        ash_pfn_t frame = frame_of(format_address(entry));
        if (entry == 0 || entry == before) /* the same table of zeroes again (map.h) */
            continue;
        before = entry;
        if (format_is_table(entry, level)) {
            broken = recount_writable(recount, format_address(entry), level - 1);
        } else if (format_is_writable(entry) && !format_is_pinned(entry) && count_has(vm, frame) &&
                   (format_rights(entry) & ASH_VM_SHARED) == 0) {
            ash_pfn_t head = count_head(vm, frame);
            if (count_load(vm, head) - *scratch_at(recount, head) != 1)
                broken = "I4: a private page is writable, and another entry refers to it";
        }
    }
    return broken;
}

static const char *format_recount(const struct ash_vm *vm, const struct ash_vm_space *const *spaces,
                                  uint32_t count, uint32_t *scratch) {
    struct recount recount = {.vm = vm, .scratch = scratch};
    recount_all(&recount, spaces, count, 1);
    const char *broken = recount.broken != NULL ? recount.broken : recount_compare(&recount);
    recount_all(&recount, spaces, count, UINT32_MAX);
    for (uint32_t i = 0; i < count && broken == NULL; i++)
        if (spaces[i]->root != 0)
            broken = recount_writable(&recount, spaces[i]->root, ROOT_LEVEL);
    return broken;
}
