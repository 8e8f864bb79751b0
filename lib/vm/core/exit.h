/* SPDX-License-Identifier: MIT */
/* exit.h: an address space begins with an empty root and ends with one. */

static int format_space_init(struct ash_vm_space *space) {
    struct reserve reserve;
    int error = reserve_fill(&reserve, space->vm, 1);
    if (error == 0)
        space->root = table_new(&reserve);
    return error;
}

/* Nothing to flush: no CPU uses the root, and none will use the ASID before a flush. */
static void format_space_fini(struct ash_vm_space *space) {
    struct ash_vm *vm = space->vm;
    const uint64_t *entries = table_at(vm, space->root);
    drop_entries(space, entries, ROOT_LEVEL);
    ash_pfn_t root = frame_of(space->root);
    ASH_REQUIRE(count_drop(vm, root), "vm: the root at %#llx of a space that ends is referred to",
                (unsigned long long)space->root);
    frames_free(vm, root, 0);
    space->root = 0;
}

static bool format_reap(struct ash_vm_space *space, uint32_t tables) {
    return reap(space, tables);
}

/* References that are no entry's: the caller's holds. */

static void format_hold(struct ash_vm *vm, ash_pfn_t frame) {
    ASH_REQUIRE(count_has(vm, frame), "vm: hold of frame %#llx, which is not counted",
                (unsigned long long)frame);
    count_add(vm, count_head(vm, frame), 1);
}

static void format_release(struct ash_vm *vm, ash_pfn_t frame, uint32_t order) {
    ASH_REQUIRE(count_has(vm, frame), "vm: release of frame %#llx, which is not counted",
                (unsigned long long)frame);
    drop_frame(vm, frame, order / FORMAT_BITS);
}

static uint32_t format_count(const struct ash_vm *vm, ash_pfn_t frame) {
    return count_has(vm, frame) ? count_load(vm, count_head(vm, frame)) : 0;
}
