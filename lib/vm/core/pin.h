/* SPDX-License-Identifier: MIT */
/*
 * pin.h: a page that a device reads or writes stays where it is. A pin is a reference; a private
 * page is made the space's alone and writable first, also for a device that only reads, and its
 * leaf says that it is pinned: a later write finds it writable, so it is never copied away from
 * under the device (CVE-2020-29374 was a page that was reused while such a reference remained). All
 * entries above say so too, so that fork finds it (fork.h).
 *
 * Unpinned without the space's lock, so the marks stay: with one reference left, the pin is gone.
 */

static void pin_mark(struct fault *fault) {
    struct ash_vm_space *space = fault->own.space;
    for (uint32_t level = ROOT_LEVEL; level > 0; level--)
        if (!format_table_has_pins(fault->value[level]))
            entry_store(space, level, fault_base(fault, level), fault->entry[level],
                        format_table_note_pins(fault->value[level], true));
    if (!format_is_pinned(fault->value[0]))
        entry_store(space, 0, fault_base(fault, 0), fault->entry[0],
                    format_pin(fault->value[0], true));
}

static int pin_private(struct fault *fault) {
    struct ash_vm_space *space = fault->own.space;
    fault->access = ASH_VM_WRITE;
    if (fault_verdict(fault) != ASH_VM_SPURIOUS) {
        if (fault_answer(fault, NULL) == ASH_VM_NOMEM)
            return -ASH_ENOMEM;
        fault_walk(fault);
    }
    ash_pfn_t head = count_head(space->vm, frame_of(format_address(fault_leaf(fault))));
    if (count_is_full(space->vm, head, 1))
        return -ASH_ENOMEM;
    pin_mark(fault);
    count_add(space->vm, head, 1);
    return 0;
}

static int format_pin_page(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                           ash_paddr_t *address) {
    struct fault fault = {.own = {.space = space}, .va = va, .access = access};
    if (!space_has(space, va))
        return -ASH_EFAULT;
    fault_walk(&fault);
    uint64_t leaf = fault_leaf(&fault);
    uint32_t rights = format_rights(leaf);
    bool is_shared = (rights & ASH_VM_SHARED) != 0;
    if (leaf == 0)
        return -ASH_EFAULT;
    if (!rights_allow(rights, access) || (!is_shared && (rights & ASH_VM_WRITE) == 0))
        return -ASH_EACCES;
    if (fault.level != 0)
        return -ASH_ENOTSUP;
    if (is_shared)
        take_leaf(space->vm, leaf);
    else if (pin_private(&fault) != 0)
        return -ASH_ENOMEM;
    *address = format_address(fault_leaf(&fault)) + (va & (ASH_PAGE_SIZE - 1));
    return 0;
}

/* A device's own registers are not counted, and stay. */
static void format_unpin(struct ash_vm *vm, ash_paddr_t address) {
    drop_frame(vm, frame_of(address), 0);
}
