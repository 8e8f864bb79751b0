/* SPDX-License-Identifier: MIT */
/*
 * vm_types.h: what the callers of <ashlar/vm.h> hold and fill in: configuration, address spaces,
 * faults, statistics. Where a field is not said to be theirs, it is the library's own.
 */
#ifndef ASHLAR_VM_TYPES_H
#define ASHLAR_VM_TYPES_H

#include <ashlar/base.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

typedef uint64_t ash_vaddr_t; /* virtual address, bytes */

/* Rights of a mapping, or how an access uses it. An access is one of the first three, with or
 * without _USER. */
#define ASH_VM_READ    1u
#define ASH_VM_WRITE   2u
#define ASH_VM_EXECUTE 4u
#define ASH_VM_USER    8u  /* programs, not only the kernel */
#define ASH_VM_SHARED  16u /* a write is everybody's who maps the frame: fork never copies it */
#define ASH_VM_DEVICE  32u /* registers: no cache, no speculation; implies SHARED */
#define ASH_VM_GLOBAL  64u /* the same in every address space: in TLBs with no ASID */
#define ASH_VM_RIGHTS  (ASH_VM_READ | ASH_VM_WRITE | ASH_VM_EXECUTE | ASH_VM_USER)

/* Flags of a call of ash_vm_map and ash_vm_fork. */
#define ASH_VM_SMALL 1u /* map: pages only, where blocks would fit */
#define ASH_VM_EAGER 2u /* fork: copy all tables at once, the reference; the same to programs */

/* Flags of struct ash_vm_config. */
#define ASH_VM_ALLOW_WX   1u /* pages may be both written and executed; else -ASH_EACCES */
#define ASH_VM_SPLIT_HUGE 2u /* a write to a shared block splits it; else copies it whole */

#define ASH_VM_LEVELS_MAX 5u
#define ASH_VM_ORDER_MAX  18u        /* of a frame: 1 GiB */
#define ASH_VM_SATURATED  0xffff0000 /* a count that came so far stays, and the frame for ever */

struct ash_vm;
struct ash_vm_space;
struct ash_vm_format; /* ash_vm_vmsa4k, ... of vm.h */

/*
 * Where frames come from: tables, and copies of pages. Called with an address space's lock held, so
 * it must not call back into the library. order: 0, or that of a block (9: 2 MiB). Frame 0 is not
 * given.
 */
struct ash_vm_frames {
    int (*alloc)(void *context, uint32_t order, ash_pfn_t *first); /* 0 or -ASH_ENOMEM */
    void (*free)(void *context, ash_pfn_t first, uint32_t order);
    /* What was allocated in one piece will be freed in pieces of order `into`. NULL: not needed. */
    void (*split)(void *context, ash_pfn_t first, uint32_t order, uint32_t into);
    /* What was allocated in pieces of order `from` will be freed in one. NULL: it cannot be. */
    void (*join)(void *context, ash_pfn_t first, uint32_t order, uint32_t from);
    void *context;
};

/*
 * TLB maintenance; each call has an effect on all CPUs and is complete when it returns. What it
 * begins with is that stores to tables are seen by walks (aarch64: DSB ISHST).
 */
struct ash_vm_tlb {
    /* Entries that were invalid became valid: nothing of them is in a TLB. */
    void (*publish)(void *context);
    /* [va, va + count << shift), by leaves of that size or tables that end there. leaf_only: no
     * table entry has changed. */
    void (*flush_range)(void *context, uint32_t asid, ash_vaddr_t va, uint64_t count,
                        uint32_t shift, bool leaf_only);
    void (*flush_asid)(void *context, uint32_t asid);
    void (*flush_all)(void *context); /* of all address spaces, kernel's too */
    void *context;
};

struct ash_vm_config {
    const struct ash_vm_format *format;
    uint32_t flags;
    uintptr_t direct_map; /* where the CPU sees physical address 0 of the frames, modulo 2^64 */
    ash_pfn_t first_frame;
    uint64_t frame_count; /* < 2^32: these are counted; what is mapped beyond is DEVICE's */
    struct ash_vm_frames frames;
    struct ash_vm_tlb tlb;
    uint64_t flush_pages_max; /* above it, an operation flushes the whole ASID */
    /* Whole pages of the direct map; NULL: memcpy and memset. */
    void (*page_copy)(void *to, const void *from);
    void (*page_zero)(void *to);
};

struct ash_vm_stats {
    uint64_t forks;
    uint64_t tables_shared;   /* entries of a root that fork shared */
    uint64_t tables_copied;   /* by fork (eagerly, or for pins), or by the first change below */
    uint64_t tables_upgraded; /* had been shared, and are its own again without a copy */
    uint64_t pages_copied;    /* of 4 KiB; a block counts as all that it has */
    uint64_t pages_reused;    /* a write to what nobody else had any more */
    uint64_t pages_zeroed;    /* a write to the zero page */
    uint64_t faults;          /* all verdicts */
    uint64_t spurious;
    uint64_t splits, collapses;
    uint64_t flushes_range, flushes_asid;
};

/* All address spaces of a machine. */
struct ash_vm {
    struct ash_vm_config config;
    uint32_t *counts; /* by frame - first_frame; see count.h of the library */
    ash_pfn_t zero_frame;
};

struct ash_vm_space {
    struct ash_vm *vm;
    ash_paddr_t root;
    ash_vaddr_t begin, end; /* what it maps; end - 1 is the last byte */
    uint64_t asid;          /* the number in the low bits, above it its generation (vm_asid.h) */
    bool is_live;           /* a CPU may have translated by it: from ash_vm_asid_take on */
    bool has_global;        /* or had, or its parent: a flush of the ASID misses those */
    uint32_t dead[ASH_VM_LEVELS_MAX]; /* tables that nobody refers to, by level, to be reaped */
    struct ash_vm_stats stats;
};

/* What a page fault came to. */
enum ash_vm_verdict {
    ASH_VM_REUSE,    /* the page was nobody else's any more (or was only marked): writable now */
    ASH_VM_COPY,     /* it has a copy of its own, or zeroes */
    ASH_VM_UNSHARE,  /* tables were shared: now they are its own, and the access is allowed */
    ASH_VM_SPURIOUS, /* the tables allow it: another CPU was faster, or a TLB was behind */
    ASH_VM_SEGV,     /* nothing is mapped there, or the mapping does not allow it */
    ASH_VM_NOMEM,    /* nothing has changed */
};

/*
 * A fault that is answered in steps, so that a large copy is made with the lock dropped:
 *
 *     verdict = ash_vm_fault_begin(space, va, access, &pending);
 *     if (pending.bytes != 0) { unlock; ash_vm_fault_copy(&pending); lock;
 *                             verdict = ash_vm_fault_end(&pending); }
 */
struct ash_vm_pending {
    struct ash_vm_space *space;
    ash_vaddr_t va;
    uint32_t access;
    enum ash_vm_verdict verdict;
    uint64_t bytes; /* to be copied; 0: answered */
    ash_paddr_t from, to;
    ash_pfn_t held; /* meanwhile: a reference to the page, or to its block's first frame */
    uint32_t held_level;
};

/* A run of pages with the same rights that follow each other in memory, too. */
struct ash_vm_mapping {
    ash_vaddr_t va;
    uint64_t bytes;
    ash_paddr_t address;
    uint32_t rights;     /* ASH_VM_* */
    uint32_t leaf_shift; /* 12, 21, 30: what it is mapped by */
    bool is_pinned;
    bool is_accessed, is_dirty; /* any of it */
    bool is_shared;             /* somebody else refers to it, or to a table above */
    bool is_write_protected;    /* a write is allowed and faults */
};

/* What an address space takes. By walking: O(tables). */
struct ash_vm_usage {
    uint64_t resident_bytes; /* all leaves, also below shared tables */
    uint64_t own_bytes;      /* of these, what would be free without it */
    uint64_t tables;         /* that can be reached */
    uint64_t own_tables;     /* of these, those that nobody else refers to */
    uint64_t huge_bytes;     /* in leaves above 4 KiB */
};

/* One entry on the way from the root to a page, for people to look at. */
struct ash_vm_step {
    ash_paddr_t entry_address;
    uint64_t entry;
    uint32_t shift; /* of what one entry of this table covers */
    uint32_t count; /* of what it refers to, 0 if it is not counted */
    bool is_valid, is_table, is_write_protected;
};

#endif
