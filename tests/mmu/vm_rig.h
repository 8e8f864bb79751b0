/* SPDX-License-Identifier: MIT */
/*
 * vm_rig.h: address spaces of lib/vm whose tables the machine walks, beside a model of what they
 * hold: what the library says, what the model says and what the CPU does must be one.
 *
 *     frames    in the guest's memory; a freed one is poisoned: who still reads it reads that
 *     TLB       the library's operations are TLBI instructions of the stub's CPU; after each, while
 *               the operation still goes on, the CPU reads all hot pages again, as another might
 *     ASIDs     three for more spaces, so that a number has another space soon
 *     model     for each page of a few areas its rights and its value, the page's first word
 *
 * Each value is below 65536, and the rest of a page is zeroes: no such word is an instruction, so a
 * page can be fetched from whatever it holds (it ends in an exception of class 0), and it does not
 * matter that QEMU keeps its translation of what it has fetched once.
 *
 * The first thing that is wrong is told in `broken`; after it nothing more is done.
 */
#ifndef MMU_VM_RIG_H
#define MMU_VM_RIG_H

#include "harness/test.h"

#include <ashlar/vm.h>
#include <ashlar/vm_asid.h>

enum {
    RIG_SPACES = 6,
    RIG_AREAS = 4,
    RIG_SMALL_PAGES = 56,  /* of the areas around borders of tables */
    RIG_HUGE_PAGES = 1024, /* of the area for blocks of 2 MiB: the last one */
    RIG_PAGES = RIG_SMALL_PAGES + RIG_HUGE_PAGES,
    RIG_FRAMES = 16384,
    RIG_PINS = 6,
    RIG_HOT = 40,
    RIG_POISON = 0xdead
};

struct rig_page {
    uint32_t rights; /* ASH_VM_*; 0: not mapped */
    uint32_t value;  /* not of a SHARED one, whose value is its frame's */
    ash_pfn_t frame; /* of a SHARED one */
    bool was_pinned; /* so it may be dirty for ever */
};

struct rig_space {
    struct ash_vm_space space;
    bool is_used;
    struct rig_page pages[RIG_PAGES];
};

struct rig_pin {
    bool is_used;
    ash_paddr_t address;
    struct rig_space *owner; /* NULL: unmapped since */
    uint32_t page;
};

/* What a careless kernel would do. */
enum rig_fault {
    RIG_CORRECT,
    RIG_DROPS_RANGES,
    RIG_DROPS_ASIDS,
    RIG_DROPS_LAST_PAGE, /* of each range */
    RIG_DEFERS_FLUSHES   /* to the end of the operation */
};

struct rig {
    struct ash_vm vm;
    struct ash_vm_asids asids;
    uint32_t *counts, *scratch;
    struct rig_space *spaces;    /* RIG_SPACES */
    struct rig_space *installed; /* its root is in TTBR0, or TTBR1; NULL: none */
    ash_vaddr_t base;            /* of the half */
    uint8_t frame_used[RIG_FRAMES];
    uint32_t shared_values[RIG_FRAMES];
    struct rig_pin pins[RIG_PINS];
    uint32_t hot[RIG_HOT], hot_count; /* pages whose translations are wanted in the TLB */
    struct test_random random;
    uint32_t fail_percent; /* of allocations */
    uint32_t next_value;
    bool has_aged;       /* access flags may be clear */
    uint32_t free_looks; /* left in this step */
    enum rig_fault fault;
    uint64_t steps, probes, tlb_operations, faults_answered, refusals;
    const char *last_operation;
    struct ash_vm_stats ended; /* of spaces that are no more */
    char broken[400];
};

/* A machine with one empty space, in the lower or the upper half. */
void rig_init(struct rig *rig, uint64_t seed, const struct ash_vm_config *policy, bool is_high,
              enum rig_fault fault);
/* All spaces end; every frame must be back. */
void rig_fini(struct rig *rig);

/* One random operation on a random space, and all checks; false: rig->broken says why. */
bool rig_step(struct rig *rig);

/* Of this header's files only. */
bool rig_is_right(struct rig *rig, bool holds, const char *format, ...) ASH_PRINTF(3, 4);
ash_vaddr_t rig_address(const struct rig *rig, uint32_t page);
uint32_t rig_frame_index(ash_pfn_t frame);
int rig_frames_alloc(void *context, uint32_t order, ash_pfn_t *first);
/* `count` frames that follow each other, from a multiple of `align`. */
bool rig_frames_take(struct rig *rig, uint32_t count, uint32_t align, ash_pfn_t *first);
void rig_frames_give(struct rig *rig, ash_pfn_t first, uint32_t count);
void rig_install(struct rig *rig, struct rig_space *space); /* NULL: none */
void rig_space_end(struct rig *rig, struct rig_space *space);
void rig_touch(struct rig *rig);
uint32_t *rig_value(struct rig *rig, struct rig_page *page);
uint32_t rig_new_value(struct rig *rig);
/* All hot pages of the space that is installed, by every kind of access. */
bool rig_probe(struct rig *rig);
/* A page's memory, where the library translates it; then the pages of all spaces. */
bool rig_check_content(struct rig *rig, struct rig_space *space, uint32_t page);
bool rig_check_contents(struct rig *rig);
bool rig_check_counts(struct rig *rig);

#endif
