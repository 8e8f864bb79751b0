/* SPDX-License-Identifier: MIT */
/*
 * vm_internal.h: a format, as vm.c sees it: what it is called, its shape, and the core's operations
 * compiled for it. One indirect call an operation, none on a walk; and a program links the formats
 * that it names, no others.
 */
#ifndef VM_INTERNAL_H
#define VM_INTERNAL_H

#include <ashlar/vm.h>

struct ash_vm_format {
    const char *name;
    uint32_t levels, bits;
    uint64_t root_entry_bytes; /* that an entry of the root covers */
    ash_vaddr_t end;           /* of the lower half */

    int (*space_init)(struct ash_vm_space *space);
    void (*space_fini)(struct ash_vm_space *space);
    bool (*reap)(struct ash_vm_space *space, uint32_t tables);
    void (*hold)(struct ash_vm *vm, ash_pfn_t frame);
    uint32_t (*count)(const struct ash_vm *vm, ash_pfn_t frame);
    void (*release)(struct ash_vm *vm, ash_pfn_t frame, uint32_t order);

    int (*map)(struct ash_vm_space *space, ash_vaddr_t va, ash_paddr_t address, uint64_t bytes,
               uint32_t rights, uint32_t flags);
    int (*map_zero)(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes, uint32_t rights);
    int (*unmap)(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes);
    int (*protect)(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes, uint32_t rights);
    int (*split)(struct ash_vm_space *space, ash_vaddr_t va, uint32_t shift);
    int (*collapse)(struct ash_vm_space *space, ash_vaddr_t va);

    int (*fork)(struct ash_vm_space *child, struct ash_vm_space *parent, uint32_t flags);
    enum ash_vm_verdict (*fault)(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access);
    enum ash_vm_verdict (*fault_begin)(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                                       struct ash_vm_pending *pending);
    void (*fault_copy)(const struct ash_vm_pending *pending);
    enum ash_vm_verdict (*fault_end)(struct ash_vm_pending *pending);
    int (*pin)(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access, ash_paddr_t *address);
    void (*unpin)(struct ash_vm *vm, ash_paddr_t address);
    int (*copy_in)(struct ash_vm_space *space, void *to, ash_vaddr_t va, size_t bytes,
                   size_t *done);
    int (*copy_out)(struct ash_vm_space *space, ash_vaddr_t va, const void *from, size_t bytes,
                    size_t *done);
    int (*copy_string)(struct ash_vm_space *space, char *to, ash_vaddr_t va, size_t bytes,
                       size_t *length);
    int (*age)(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes, uint64_t *accessed);
    int (*clean)(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes, uint64_t *dirty);

    int (*translate)(const struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                     ash_paddr_t *address);
    bool (*query)(const struct ash_vm_space *space, ash_vaddr_t va, struct ash_vm_mapping *mapping);
    uint32_t (*walk)(const struct ash_vm_space *space, ash_vaddr_t va, struct ash_vm_step *steps);
    void (*usage)(const struct ash_vm_space *space, struct ash_vm_usage *usage);

    const char *(*check)(const struct ash_vm_space *space);
    const char *(*recount)(const struct ash_vm *vm, const struct ash_vm_space *const *spaces,
                           uint32_t count, uint32_t *scratch);
};

#endif
