/* SPDX-License-Identifier: MIT */
/* call_memory.c: the calls that change an address space. */
#include <ashlar/error.h>

#include "calls.h"
#include "file_table.h"

/* Linux's values for this processor. */
enum {
    PROT_READ = 1,
    PROT_WRITE = 2,
    PROT_EXEC = 4,
    MAP_SHARED = 1,
    MAP_PRIVATE = 2,
    MAP_SHARED_VALIDATE = 3,
    MAP_TYPE = 15,
    MAP_FIXED = 0x10,
    MAP_ANONYMOUS = 0x20,
    MAP_FIXED_NOREPLACE = 0x100000,
};

static bool rights_of(uint64_t protection, uint32_t *rights) {
    if ((protection & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC)) != 0)
        return false;
    *rights = (protection & PROT_READ ? ASH_VM_READ : 0) |
              (protection & PROT_WRITE ? ASH_VM_WRITE : 0) |
              (protection & PROT_EXEC ? ASH_VM_EXECUTE : 0);
    return true;
}

static int find_node(struct process *process, uint64_t number, struct file_node **node) {
    struct file_info info;
    const struct open_file *file = file_table_find(process->files, (uint32_t)number);
    if (file == NULL)
        return -ASH_EBADF;
    if (file->node == NULL)
        return -ASH_ENODEV;
    if ((file->flags & OPEN_ACCESS) == OPEN_WRITE_ONLY)
        return -ASH_EACCES;
    file->fs->describe(file->fs, file->node, &info);
    *node = file->node;
    return info.type == FILE_REGULAR ? 0 : -ASH_EACCES;
}

int64_t call_mmap(struct process *process, const uint64_t args[6]) {
    uint64_t flags = args[3], type = flags & MAP_TYPE, start;
    struct address_space_map map = {
        .start = args[0],
        .bytes = args[1],
        .flags = type == MAP_PRIVATE ? 0 : REGION_SHARED,
        .offset = (flags & MAP_ANONYMOUS) != 0 ? 0 : args[5],
        .is_fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0,
        .is_not_replacing = (flags & MAP_FIXED_NOREPLACE) != 0,
    };
    if (!rights_of(args[2], &map.rights) || type == 0 || type > MAP_SHARED_VALIDATE ||
        !ash_is_aligned(args[5], ASH_PAGE_SIZE))
        return -ASH_EINVAL;
    int error = (flags & MAP_ANONYMOUS) != 0 ? 0 : find_node(process, args[4], &map.node);
    if (error == 0)
        error = address_space_map(process->space, &map, &start);
    return error == 0 ? (int64_t)start : error;
}

int64_t call_munmap(struct process *process, const uint64_t args[6]) {
    return address_space_unmap(process->space, args[0], args[1]);
}

int64_t call_mprotect(struct process *process, const uint64_t args[6]) {
    uint32_t rights;
    if (!rights_of(args[2], &rights))
        return -ASH_EINVAL;
    return address_space_protect(process->space, args[0], args[1], rights);
}

int64_t call_brk(struct process *process, const uint64_t args[6]) {
    return (int64_t)address_space_brk(process->space, args[0]);
}

/* Other advice than about huge pages need not be taken; but one promises zeroes. */
int64_t call_madvise(struct process *process, const uint64_t args[6]) {
    enum { ADVICE_DONTNEED = 4, ADVICE_HUGE = 14, ADVICE_NO_HUGE = 15, ADVICE_MAX = 25 };
    uint32_t advice = (uint32_t)args[2];
    if (advice == ADVICE_HUGE || advice == ADVICE_NO_HUGE)
        return address_space_advise(process->space, args[0], args[1], advice == ADVICE_HUGE);
    if (!ash_is_aligned(args[0], ASH_PAGE_SIZE) || advice == ADVICE_DONTNEED || advice > ADVICE_MAX)
        return -ASH_EINVAL;
    return 0;
}
