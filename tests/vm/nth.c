/* SPDX-License-Identifier: MIT */
/*
 * nth.c: each operation with the n-th frame that it asks for refused, for every n: it says so, and
 * not one bit of a table, a page, a count or a space has changed; so the same machine serves for
 * all n, until the operation has what it wants.
 */
#include "vm/nth.h"

#include "vm/bed.h"

enum { FRAMES_TOY = 160, FRAMES_MANY = 3 * 512 + 160 };

struct machine {
    struct bed *bed;
    struct ash_vm_space parent, child, other;
    struct ash_vm_space parent_before, child_before;
    ash_vaddr_t block; /* of pages, or one */
    uint64_t pages;    /* of a block */
    uint8_t *memory, *piece;
    uint32_t *counts;
};

/* Operations: 0 or -ASH_ENOMEM. */

static int verdict_of(enum ash_vm_verdict verdict) {
    CHECK(verdict != ASH_VM_SEGV && verdict != ASH_VM_SPURIOUS);
    return verdict == ASH_VM_NOMEM ? -ASH_ENOMEM : 0;
}

static int do_space_init(struct machine *m) {
    return ash_vm_space_init(&m->other, &m->bed->vm, 0, 0);
}

static int do_fork(struct machine *m) {
    return ash_vm_fork(&m->other, &m->parent, 0);
}

static int do_fork_eager(struct machine *m) {
    return ash_vm_fork(&m->other, &m->parent, ASH_VM_EAGER);
}

static int do_map_zero(struct machine *m) {
    return ash_vm_map_zero(&m->parent, m->pages << 13, 8192, BED_RW);
}

static int do_unmap_page(struct machine *m) {
    return ash_vm_unmap(&m->parent, 4096, 4096);
}

static int do_unmap_part(struct machine *m) {
    return ash_vm_unmap(&m->parent, m->block + 4096, 4096);
}

static int do_unmap_over_border(struct machine *m) {
    return ash_vm_unmap(&m->parent, m->block + (m->pages << 11), m->pages << 12);
}

static int do_protect_page(struct machine *m) {
    return ash_vm_protect(&m->parent, 4096, 4096, BED_R);
}

static int do_protect_part(struct machine *m) {
    return ash_vm_protect(&m->parent, m->block + 4096, 8192, BED_R);
}

static int do_protect_all(struct machine *m) {
    return ash_vm_protect(&m->parent, 0, m->parent.end, BED_R);
}

static int do_split(struct machine *m) {
    return ash_vm_split(&m->parent, m->block, 12);
}

static int do_collapse(struct machine *m) {
    return ash_vm_collapse(&m->parent, m->block);
}

static int do_write_page(struct machine *m) {
    return verdict_of(ash_vm_fault(&m->parent, 4096, ASH_VM_WRITE | ASH_VM_USER));
}

static int do_write_zero(struct machine *m) {
    return verdict_of(ash_vm_fault(&m->parent, 2 * 4096, ASH_VM_WRITE | ASH_VM_USER));
}

static int do_write_block(struct machine *m) {
    return verdict_of(ash_vm_fault(&m->parent, m->block + 4096, ASH_VM_WRITE | ASH_VM_USER));
}

static int do_begin(struct machine *m) {
    struct ash_vm_pending fault;
    enum ash_vm_verdict verdict =
        ash_vm_fault_begin(&m->parent, m->block, ASH_VM_WRITE | ASH_VM_USER, &fault);
    if (fault.bytes == 0)
        return verdict_of(verdict);
    ash_vm_fault_copy(&fault);
    return verdict_of(ash_vm_fault_end(&fault));
}

static int do_copy_out(struct machine *m) {
    uint64_t word = 1;
    size_t done;
    return ash_vm_copy_out(&m->parent, 4096, &word, sizeof(word), &done);
}

static int do_pin(struct machine *m) {
    ash_paddr_t address;
    int result = ash_vm_pin(&m->parent, 4096, ASH_VM_READ, &address);
    if (result == 0)
        ash_vm_unpin(&m->bed->vm, address);
    return result;
}

static int do_age(struct machine *m) {
    uint64_t counted;
    return ash_vm_age(&m->parent, 0, 2 * 4096, &counted);
}

static int do_clean(struct machine *m) {
    uint64_t counted;
    return ash_vm_clean(&m->parent, 0, 2 * 4096, &counted);
}

/* Machines */

enum { FORKED = 1, BLOCK = 2, PINNED = 4, SPLITS = 8 };

static const struct {
    const char *name;
    int (*run)(struct machine *m);
    uint32_t wants;     /* FORKED, ... */
    bool makes_a_space; /* `other` */
} operations[] = {
    {"space_init", do_space_init, 0, true},
    {"fork", do_fork, 0, true},
    {"fork of a fork", do_fork, FORKED, true},
    {"fork with a pinned page", do_fork, PINNED, true},
    {"eager fork", do_fork_eager, BLOCK, true},
    {"map_zero", do_map_zero, 0, false},
    {"map_zero below shared tables", do_map_zero, FORKED, false},
    {"unmap below shared tables", do_unmap_page, FORKED, false},
    {"unmap of a part of a block", do_unmap_part, BLOCK, false},
    {"unmap of a part of a shared block", do_unmap_part, BLOCK | FORKED, false},
    {"unmap over the border of a table", do_unmap_over_border, FORKED, false},
    {"protect below shared tables", do_protect_page, FORKED, false},
    {"protect of a part of a block", do_protect_part, BLOCK, false},
    {"protect of a part of a shared block", do_protect_part, BLOCK | FORKED, false},
    {"protect of all", do_protect_all, FORKED, false},
    {"split", do_split, BLOCK, false},
    {"split of a shared block", do_split, BLOCK | FORKED, false},
    {"collapse", do_collapse, 0, false},
    {"collapse below shared tables", do_collapse, FORKED, false},
    {"write below shared tables", do_write_page, FORKED, false},
    {"write to the zero page", do_write_zero, 0, false},
    {"write to the zero page below shared tables", do_write_zero, FORKED, false},
    {"write to a shared block", do_write_block, BLOCK | FORKED, false},
    {"write that splits a shared block", do_write_block, BLOCK | FORKED | SPLITS, false},
    {"write in steps", do_begin, BLOCK | FORKED, false},
    {"copy_out", do_copy_out, FORKED, false},
    {"pin", do_pin, FORKED, false},
    {"age", do_age, FORKED, false},
    {"clean", do_clean, FORKED, false},
};

/* Three pages at 0, the third of zeroes; and pages all over a block at the end of a table, but in
 * the one behind it only the first few; these pages in another order than their frames. */
static void fill(struct machine *m, uint32_t wants) {
    struct bed *bed = m->bed;
    CHECK(bed_space(bed, &m->parent));
    bed_map(bed, &m->parent, 0, 2, BED_RW, 0, 1);
    CHECK_EQ(ash_vm_map_zero(&m->parent, 2 * 4096, 4096, BED_RW), 0);
    if ((wants & BLOCK) != 0) {
        bed_map(bed, &m->parent, m->block, m->pages, BED_RW, 0, 100);
    } else {
        ash_pfn_t first;
        CHECK(bed_take(bed, m->pages, m->pages, &first));
        for (uint64_t i = 0; i < m->pages; i++)
            CHECK_EQ(ash_vm_map(&m->parent, m->block + ((i ^ 1) << 12), (first + i) << 12, 4096,
                                BED_RW, 0),
                     0);
    }
    bed_map(bed, &m->parent, m->block + (m->pages << 12), 2, BED_RW, 0, 200);
    bed_write(bed, &m->parent, 4096, 2);
}

static void make(struct machine *m, uint32_t wants, ash_paddr_t *pinned) {
    struct bed *bed = m->bed;
    bed->config.flags = (wants & SPLITS) != 0 ? ASH_VM_SPLIT_HUGE : 0;
    bed_start(bed);
    fill(m, wants);
    *pinned = 0;
    if ((wants & PINNED) != 0)
        CHECK_EQ(ash_vm_pin(&m->parent, 4096, ASH_VM_WRITE, pinned), 0);
    m->child.root = 0;
    if ((wants & FORKED) != 0) {
        CHECK_EQ(ash_vm_fork(&m->child, &m->parent, 0), 0);
        bed_live(bed, &m->child);
    }
}

static void keep(struct machine *m) {
    const struct bed *bed = m->bed;
    for (uint64_t i = 0; i < bed->frames; i++) {
        if (bed->piece[i] != BED_FREE)
            memcpy(m->memory + (i << 12), bed->memory + (i << 12), 4096);
    }
    memcpy(m->piece, bed->piece, bed->frames);
    memcpy(m->counts, bed->vm.counts, bed->frames * sizeof(uint32_t));
    m->parent_before = m->parent;
    m->child_before = m->child;
}

static void compare_space(const struct ash_vm_space *now, const struct ash_vm_space *before) {
    CHECK_EQ(now->root, before->root);
    CHECK_MEM_EQ(now->dead, before->dead, sizeof(now->dead));
}

static void compare(const struct machine *m) {
    const struct bed *bed = m->bed;
    CHECK_MEM_EQ(bed->piece, m->piece, bed->frames);
    CHECK_MEM_EQ(bed->vm.counts, m->counts, bed->frames * sizeof(uint32_t));
    for (uint64_t i = 0; i < bed->frames; i++) {
        if (bed->piece[i] != BED_FREE)
            CHECK_MEM_EQ(bed->memory + (i << 12), m->memory + (i << 12), 4096);
    }
    compare_space(&m->parent, &m->parent_before);
    compare_space(&m->child, &m->child_before);
}

static void unmake(struct machine *m, uint32_t at, ash_paddr_t pinned) {
    struct bed *bed = m->bed;
    if (operations[at].makes_a_space)
        bed_space_end(bed, &m->other);
    if (pinned != 0)
        ash_vm_unpin(&bed->vm, pinned);
    if (m->child.root != 0)
        bed_space_end(bed, &m->child);
    bed_space_end(bed, &m->parent);
    bed_end(bed);
}

/* The operation with its n-th frame, or also all behind it, refused. Returns whether none was. */
static bool try_one(struct machine *m, uint32_t at, uint64_t n, int *result) {
    struct bed *bed = m->bed;
    uint64_t refused = bed->refused;
    bed->fail_at = bed->calls + n;
    bed->fails_on = n % 2 == 0;
    *result = operations[at].run(m);
    bed->fail_at = 0;
    if (*result != 0) {
        CHECK_EQ(*result, -ASH_ENOMEM);
        CHECK(bed->refused != refused);
        compare(m);
    }
    return bed->refused == refused;
}

static void sweep(struct machine *m, uint32_t at) {
    enum { ENDLESS = 600 };
    const char *name = ash_vm_format_name(m->bed->shape->format);
    ash_paddr_t pinned;
    int result;
    make(m, operations[at].wants, &pinned);
    keep(m);
    for (uint64_t n = 1; !try_one(m, at, n, &result); n++) {
        if (n == ENDLESS)
            test_fail(__FILE__, __LINE__, "%s: never enough in %s", operations[at].name, name);
        if (result != 0)
            continue;
        /* It did with less: by pages instead of a block. Another machine for the next n. */
        unmake(m, at, pinned);
        make(m, operations[at].wants, &pinned);
        keep(m);
    }
    if (m->bed->refused == 0)
        test_fail(__FILE__, __LINE__, "%s: no frame wanted in %s", operations[at].name, name);
    unmake(m, at, pinned);
}

void nth_sweep(const struct mmu_shape *shape) {
    struct machine *m = test_alloc(sizeof(*m), 64);
    uint64_t frames = shape->bits == 2 ? FRAMES_TOY : FRAMES_MANY;
    m->bed = bed_new(shape, frames);
    m->pages = bed_block_pages(m->bed);
    m->block = (UINT64_C(1) << mmu_shift(shape, 2)) - (m->pages << 12);
    m->memory = test_alloc(frames << 12, 64);
    m->piece = test_alloc(frames, 1);
    m->counts = test_alloc(frames * sizeof(uint32_t), 64);
    for (uint32_t at = 0; at < ASH_ARRAY_LEN(operations); at++)
        sweep(m, at);
}

TEST_CASE(vm_nth, frame_that_is_refused_changes_no_bit_of_vmsa4k) {
    nth_sweep(&mmu_shapes[0]);
}

TEST_CASE(vm_nth, frame_that_is_refused_changes_no_bit_of_the_toys) {
    nth_sweep(&mmu_shapes[4]);
    nth_sweep(&mmu_shapes[5]);
}
