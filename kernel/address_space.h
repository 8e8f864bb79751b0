/* SPDX-License-Identifier: MIT */
/*
 * address_space.h: the memory of a program: regions (region.h) over page tables (<ashlar/vm.h>)
 * whose pages come when they are touched.
 *
 * Rules
 *  - Counted: a process that was made by vfork has its parent's.
 *  - Any thread. Its own mutex protects it; it is dropped where a file's page is read, and what is
 *    there then is looked at again. Nothing is locked when a call begins or ends.
 *  - Pages of files are shared by all who have not written to them (file_pages.h).
 *  - Nothing of a program is trusted: addresses and sizes may be any numbers.
 *
 *     64 KiB   program   brk ->          <- mmap          stack    trampoline      2^48
 */
#ifndef KERNEL_ADDRESS_SPACE_H
#define KERNEL_ADDRESS_SPACE_H

#include <ashlar/vm.h>

#include "memory.h"
#include "mutex.h"
#include "platform/user.h"
#include "region.h"

struct address_space {
    struct mutex mutex;
    uint32_t references;
    uint32_t asid;
    struct ash_vm_space pages;
    struct region_set regions;
    uint64_t brk_start, brk;
    uint64_t mmap_top; /* mmap looks for room below it */
    uint64_t stack_top;
    uint64_t trampoline; /* of signal handlers' return; 0: none */
    uint64_t bytes_max;  /* of all regions */
    uint64_t seed;       /* of what is placed at random; 0: nothing is */
};

enum {
    ADDRESS_SPACES_MAX = 255, /* at a time: each has an ASID of 8 bits, and 0 is nobody's */
    ADDRESS_SPACE_STACK_BYTES = 8 << 20,
    ADDRESS_SPACE_GUARD_BYTES = 1 << 20, /* below the stack */
};

#define ADDRESS_SPACE_BOTTOM UINT64_C(0x10000)
#define ADDRESS_SPACE_TOP    (UINT64_C(1) << 48)
/* Of all regions; what is not touched costs nothing. */
#define ADDRESS_SPACE_BYTES_MAX (UINT64_C(1) << 40)

/* Once for a memory, with user_frames and file_pages there. -ASH_ENOMEM. */
int address_spaces_init(struct kernel_memory *memory) ASH_MUST_CHECK;
/* When there is none. */
void address_spaces_fini(void);

/* An empty one, with a trampoline and no stack. seed: of ASLR; 0: none. NULL: no memory. */
struct address_space *address_space_new(uint64_t seed) ASH_MUST_CHECK;

struct address_space *address_space_get(struct address_space *space); /* one more reference */
void address_space_put(struct address_space *space);

/* A copy, as fork makes it. NULL: no memory. */
struct address_space *address_space_fork(struct address_space *parent) ASH_MUST_CHECK;

/* What the platform runs its program by. */
struct platform_translation address_space_translation(struct address_space *space);

/* What a region is to be. */
struct address_space_map {
    uint64_t start, bytes;  /* start 0 without is_fixed: anywhere */
    uint32_t rights;        /* ASH_VM_READ, _WRITE, _EXECUTE */
    uint32_t flags;         /* REGION_SHARED, _STACK, _FIXED, _HEAP */
    struct file_node *node; /* NULL: zeroes */
    uint64_t offset;
    bool is_fixed;         /* at start, and what is there goes */
    bool is_not_replacing; /* with is_fixed: -ASH_EEXIST if something is there */
};

/* bytes is rounded up to pages. *start: where it is. -ASH_EINVAL; -ASH_ENOMEM; -ASH_EACCES: written
 * and executed; -ASH_EEXIST. */
int address_space_map(struct address_space *space, const struct address_space_map *map,
                      uint64_t *start) ASH_MUST_CHECK;
/* -ASH_EINVAL; -ASH_ENOMEM. */
int address_space_unmap(struct address_space *space, uint64_t start, uint64_t bytes) ASH_MUST_CHECK;
/* -ASH_EINVAL; -ASH_ENOMEM: no memory, or a part is not mapped; -ASH_EACCES. */
int address_space_protect(struct address_space *space, uint64_t start, uint64_t bytes,
                          uint32_t rights) ASH_MUST_CHECK;
/* Pages that come from now on come in blocks of 2 MiB where they fit, or they do not. -ASH_EINVAL;
 * -ASH_ENOMEM: no memory, or a part is not mapped. */
int address_space_advise(struct address_space *space, uint64_t start, uint64_t bytes,
                         bool is_huge) ASH_MUST_CHECK;
/* The end of the heap; what it was where that cannot be. */
uint64_t address_space_brk(struct address_space *space, uint64_t end);

/* The heap begins there. */
void address_space_set_brk(struct address_space *space, uint64_t start);

/* A number below `limit` out of its seed; 0 where nothing is placed at random. */
uint64_t address_space_random(struct address_space *space, uint64_t limit);

enum address_space_fault {
    ADDRESS_SPACE_GOOD,   /* the access can be made now */
    ADDRESS_SPACE_MAPERR, /* nothing is there */
    ADDRESS_SPACE_ACCERR, /* the rights forbid it */
    ADDRESS_SPACE_BEYOND, /* of the file's end */
    ADDRESS_SPACE_IO,     /* the file could not be read */
    ADDRESS_SPACE_NOMEM,
};

/* An access (ASH_VM_READ, _WRITE or _EXECUTE) was refused. */
enum address_space_fault address_space_fault(struct address_space *space, uint64_t address,
                                             uint32_t access);

/*
 * Between the kernel and a program's memory: any address, any size; what is not there yet comes.
 * -ASH_EFAULT; -ASH_ENOMEM.
 */
int user_read(struct address_space *space, void *to, uint64_t from, size_t bytes) ASH_MUST_CHECK;
int user_write(struct address_space *space, uint64_t to, const void *from,
               size_t bytes) ASH_MUST_CHECK;
/* How many of the bytes can be written, from the first on; they are there then: what a read takes
 * out of a pipe must find its place. */
size_t user_ready(struct address_space *space, uint64_t to, size_t bytes);
/* Where it is not to be written, nothing happens. */
void user_write_if(struct address_space *space, uint64_t to, const void *from, size_t bytes);
/* Up to the NUL, which is copied, too: its length without it, or an error; -ASH_ENAMETOOLONG: none
 * in the first `bytes`. */
int64_t user_string(struct address_space *space, char *to, uint64_t from,
                    size_t bytes) ASH_MUST_CHECK;

#endif
