/* SPDX-License-Identifier: MIT */
/*
 * bed.h: a machine for cases of lib/vm: frames from an arena, by a source that can fail and that
 * poisons what comes back; a TLB interface that counts; and a CPU that reads the tables by itself
 * (mmu.h) and asks for a fault where they stop it.
 */
#ifndef TESTS_VM_BED_H
#define TESTS_VM_BED_H

#include "harness/test.h"
#include "vm/mmu.h"

#include <ashlar/vm.h>

enum { BED_POISON = 0xa5, BED_FREE = 0xff };

struct bed;

/* Who looks on; each may be NULL. */
struct bed_watch {
    void (*freed)(void *context, ash_pfn_t first, uint64_t count);
    void (*flush_range)(void *context, uint32_t asid, ash_vaddr_t va, uint64_t count,
                        uint32_t shift, bool leaf_only);
    void (*flush_asid)(void *context, uint32_t asid); /* UINT32_MAX: all of them */
    /* An operation is over: no translation is left that it took away. */
    void (*checked)(void *context, const struct ash_vm_space *const *spaces, uint32_t count);
    /* Whether a TLB stops an access that the tables allow. */
    bool (*stops)(void *context, const struct ash_vm_space *space, ash_vaddr_t va, uint32_t access);
    /* Its ASID is not used again. */
    void (*ended)(void *context, const struct ash_vm_space *space);
    void *context;
};

struct bed {
    struct ash_vm vm;
    struct ash_vm_config config;
    const struct mmu_shape *shape;
    void *storage;
    size_t storage_bytes;
    uint32_t *scratch;

    /* The source */
    uint8_t *memory; /* of `frames` frames, the first is config.first_frame */
    uint64_t frames, used;
    uint8_t *piece; /* of each frame: the order of the piece that it is part of, or BED_FREE */
    uint64_t next;  /* where it looks first */
    uint64_t calls, refused;
    uint64_t fail_at; /* which call fails, as `calls` counts them; 0: none */
    bool fails_on;    /* and all after it */
    struct ash_spinlock lock;

    /* What the TLBs were told */
    uint64_t publishes, range_flushes, asid_flushes, all_flushes, flushed_pages;
    struct bed_watch watch;
    uint32_t next_asid;
};

/* For a machine of `frames` frames; what else a case wants it sets in config before bed_start. */
struct bed *bed_new(const struct mmu_shape *shape, uint64_t frames);
void bed_start(struct bed *bed);
/* The same for another machine, of no more frames than it was made for. */
void bed_restart(struct bed *bed, const struct mmu_shape *shape, uint64_t frames);
/* Called by bed_start, where a program sets it: there it may set bed->watch. */
extern void (*bed_on_start)(struct bed *bed);
/* Both, with blocks copied whole. */
struct bed *bed_started(const struct mmu_shape *shape, uint64_t frames);
/* All spaces have ended: every frame is back. */
void bed_end(struct bed *bed);

/* `count` frames in a row whose first is a multiple of `align`, as if allocated one by one, filled
 * with zeroes; false: there are none. */
bool bed_take(struct bed *bed, uint64_t count, uint64_t align, ash_pfn_t *first);
void bed_give(struct bed *bed, ash_pfn_t first, uint64_t count);

void *bed_at(const struct bed *bed, ash_paddr_t address);

/* A new space that a CPU translates by; false: no memory. */
bool bed_space(struct bed *bed, struct ash_vm_space *space);
/* A CPU begins to translate by it, under an ASID of its own. */
void bed_live(struct bed *bed, struct ash_vm_space *space);
/* No CPU translates by it any more; and its end, with all that it leaves behind. */
void bed_space_fini(struct bed *bed, struct ash_vm_space *space);
void bed_space_end(struct bed *bed, struct ash_vm_space *space);

/* What the CPU finds in the tables now. */
struct mmu_translation bed_walk(const struct bed *bed, const struct ash_vm_space *space,
                                ash_vaddr_t va);

/*
 * An access by the CPU, with as many faults as it takes: where it went, or NULL with the verdict
 * of the last one. One that is answered and makes no way fails the case.
 */
void *bed_access(struct bed *bed, struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                 enum ash_vm_verdict *verdict);
/* A program's, of a word; the case fails where it cannot. */
void bed_write(struct bed *bed, struct ash_vm_space *space, ash_vaddr_t va, uint64_t value);
uint64_t bed_read(struct bed *bed, struct ash_vm_space *space, ash_vaddr_t va);

/* Fresh pages that follow each other, each beginning with a number: from `value` on. */
void bed_map(struct bed *bed, struct ash_vm_space *space, ash_vaddr_t va, uint64_t pages,
             uint32_t rights, uint32_t flags, uint64_t value);

/* An operation is over; who watches looks. */
void bed_settled(struct bed *bed, const struct ash_vm_space *const *spaces, uint32_t count);

/* That, and the invariants of each space, and the counts of all; `held` (NULL, or one for each
 * frame) are the caller's own references. */
void bed_check(struct bed *bed, const struct ash_vm_space *const *spaces, uint32_t count,
               const uint32_t *held);

#define BED_RW (ASH_VM_READ | ASH_VM_WRITE | ASH_VM_USER)
#define BED_R  (ASH_VM_READ | ASH_VM_USER)
#define BED_RX (ASH_VM_READ | ASH_VM_EXECUTE | ASH_VM_USER)

static inline uint64_t bed_block_pages(const struct bed *bed) {
    return UINT64_C(1) << bed->shape->bits;
}

#define BED_EACH_SHAPE(shape) \
    for (const struct mmu_shape *shape = mmu_shapes; shape != mmu_shapes + MMU_SHAPES; shape++)

#endif
