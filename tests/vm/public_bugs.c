/* SPDX-License-Identifier: MIT */
/* public_bugs.c: what went wrong in others' page tables, in public. Each case says what, and where
 * it was seen; it asks whether it does here. */
#include "vm/bed.h"

enum { FRAMES = 2 * 512 + 40 };

static ash_paddr_t where(const struct ash_vm_space *space, ash_vaddr_t va) {
    ash_paddr_t address;
    CHECK_EQ(ash_vm_translate(space, va, ASH_VM_READ, &address), 0);
    return address;
}

/* Where a block may be, and a new table above it begins. */
static ash_vaddr_t block_va(const struct bed *bed) {
    return mmu_shift(bed->shape, 2) == 30 ? UINT64_C(1) << 30 : UINT64_C(1) << 14;
}

static uint64_t block_bytes(const struct bed *bed) {
    return bed_block_pages(bed) << 12;
}

/* What the last operation flushed, and what the tables said of one address then. */
struct flushes {
    struct bed *bed;
    const struct ash_vm_space *space;
    ash_vaddr_t va;
    uint32_t count;
    bool covers_va, was_valid, was_writable;
};

static void note_flush(struct flushes *flushes) {
    struct mmu_translation to = bed_walk(flushes->bed, flushes->space, flushes->va);
    flushes->count++;
    flushes->was_valid = to.valid;
    flushes->was_writable = to.valid && mmu_allows(to.rights, ASH_VM_WRITE);
}

static void on_flush_range(void *context, uint32_t asid, ash_vaddr_t va, uint64_t count,
                           uint32_t shift, bool leaf_only) {
    struct flushes *flushes = context;
    (void)asid, (void)leaf_only;
    note_flush(flushes);
    ash_vaddr_t first = va & ~((UINT64_C(1) << shift) - 1);
    flushes->covers_va |= flushes->va >= first && (flushes->va - first) >> shift < count;
}

static void on_flush_asid(void *context, uint32_t asid) {
    struct flushes *flushes = context;
    (void)asid;
    note_flush(flushes);
    flushes->covers_va = true;
}

static void watch_flushes(struct flushes *flushes, struct bed *bed,
                          const struct ash_vm_space *space, ash_vaddr_t va) {
    *flushes = (struct flushes){.bed = bed, .space = space, .va = va};
    bed->watch = (struct bed_watch){
        .flush_range = on_flush_range, .flush_asid = on_flush_asid, .context = flushes};
}

/* A machine, and a space that a CPU translates by. */
static struct bed *begin(const struct mmu_shape *shape, uint64_t frames,
                         struct ash_vm_space *space) {
    struct bed *bed = bed_started(shape, frames);
    CHECK(bed_space(bed, space));
    return bed;
}

static void fork_live(struct bed *bed, struct ash_vm_space *child, struct ash_vm_space *parent) {
    CHECK_EQ(ash_vm_fork(child, parent, 0), 0);
    bed_live(bed, child);
}

/* Hafnium b7325779: the split of a block flushed from the page that was asked for, not from the
 * block's beginning. */
TEST_CASE(vm_public_bugs, split_in_the_middle_of_a_block_flushes_all_of_it) {
    const struct mmu_shape *const shapes[] = {&mmu_shapes[0], &mmu_shapes[4]};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(shapes); i++) {
        struct ash_vm_space space;
        struct flushes flushes;
        struct bed *bed = begin(shapes[i], FRAMES, &space);
        ash_vaddr_t va = block_va(bed);
        bed_map(bed, &space, va, bed_block_pages(bed), BED_RW, 0, 0);
        watch_flushes(&flushes, bed, &space, va);
        CHECK_EQ(ash_vm_unmap(&space, va + 2 * 4096, 4096), 0);
        CHECK(flushes.covers_va);
        bed_space_end(bed, &space);
        bed_end(bed);
    }
}

/* edk2 #7057 and Unikraft's pg_page_split: a table was written over the live block. */
TEST_CASE(vm_public_bugs, block_is_broken_before_a_table_takes_its_place) {
    const struct mmu_shape *const shapes[] = {&mmu_shapes[0], &mmu_shapes[4]};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(shapes); i++) {
        struct ash_vm_space space;
        struct flushes flushes;
        struct bed *bed = begin(shapes[i], FRAMES, &space);
        ash_vaddr_t va = block_va(bed);
        bed_map(bed, &space, va, bed_block_pages(bed), BED_RW, 0, 0);
        watch_flushes(&flushes, bed, &space, va);
        CHECK_EQ(ash_vm_split(&space, va, 12), 0);
        CHECK(flushes.count >= 1 && !flushes.was_valid);
        CHECK(bed_walk(bed, &space, va).valid);
        bed_space_end(bed, &space);
        bed_end(bed);
    }
}

static struct flushes alloc_looks; /* a frame source has the bed as its context */
static int (*alloc_inner)(void *context, uint32_t order, ash_pfn_t *first);
static uint32_t alloc_calls;

static int alloc_that_looks(void *context, uint32_t order, ash_pfn_t *first) {
    alloc_calls++;
    CHECK(bed_walk(alloc_looks.bed, alloc_looks.space, alloc_looks.va).valid);
    return alloc_inner(context, order, first);
}

/* edk2 #12391: the table for a split was allocated while the block was broken; the allocator needed
 * the block. */
TEST_CASE(vm_public_bugs, frames_are_taken_while_everything_is_mapped_still) {
    struct ash_vm_space space;
    struct bed *bed = bed_new(&mmu_shapes[0], FRAMES);
    bed_start(bed);
    CHECK(bed_space(bed, &space));
    ash_vaddr_t va = block_va(bed);
    bed_map(bed, &space, va, bed_block_pages(bed), BED_RW, 0, 0);
    alloc_looks = (struct flushes){.bed = bed, .space = &space, .va = va};
    alloc_inner = bed->vm.config.frames.alloc;
    alloc_calls = 0;
    bed->vm.config.frames.alloc = alloc_that_looks;
    CHECK_EQ(ash_vm_protect(&space, va, 4096, BED_R), 0);
    CHECK(alloc_calls >= 1);
    bed->vm.config.frames.alloc = alloc_inner;
    bed_space_end(bed, &space);
    bed_end(bed);
}

/* Hafnium 3e6c8533, 69f51f76: a walk took the level of the parent for that of the entry. */
TEST_CASE(vm_public_bugs, each_step_of_a_walk_says_what_it_covers) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space space;
        struct ash_vm_step steps[ASH_VM_LEVELS_MAX];
        struct bed *bed = begin(shape, FRAMES, &space);
        ash_vaddr_t va = block_va(bed);
        bed_map(bed, &space, va, bed_block_pages(bed), BED_RW, 0, 0);
        bed_map(bed, &space, 0, 1, BED_RW, 0, 0);
        CHECK_EQ(ash_vm_walk(&space, va, steps), shape->levels - 1);
        CHECK_EQ(ash_vm_walk(&space, 0, steps), shape->levels);
        for (uint32_t i = 0; i < shape->levels; i++) {
            CHECK_EQ(steps[i].shift, mmu_shift(shape, shape->levels - 1 - i));
            CHECK_EQ(steps[i].is_table, i != shape->levels - 1);
        }
        bed_space_end(bed, &space);
        bed_end(bed);
    }
}

/* Hafnium d9238ecc: a second map silently replaced the first. */
TEST_CASE(vm_public_bugs, map_over_a_mapping_is_refused_and_the_old_one_stays) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space space;
        ash_pfn_t other;
        struct bed *bed = begin(shape, FRAMES, &space);
        bed_map(bed, &space, 4096, 1, BED_R, 0, 7);
        ash_paddr_t before = where(&space, 4096);
        CHECK(bed_take(bed, 4, 1, &other));
        CHECK_EQ(ash_vm_map(&space, 0, other << 12, 4 * 4096, BED_RW, 0), -ASH_EEXIST);
        CHECK_EQ(where(&space, 4096), before);
        CHECK_EQ(ash_vm_translate(&space, 0, ASH_VM_READ, &before), -ASH_EFAULT);
        bed_give(bed, other, 4);
        bed_space_end(bed, &space);
        bed_end(bed);
    }
}

/* Hafnium bb847d5a: a collapse took pages for a block that follow each other but do not begin at a
 * block's boundary, or do not follow each other. */
static void collapse_odd(struct bed *bed, uint64_t offset) {
    struct ash_vm_space space;
    ash_pfn_t first;
    uint64_t pages = bed_block_pages(bed), swap = 1 - offset;
    ash_vaddr_t va = block_va(bed);
    CHECK(bed_space(bed, &space));
    CHECK(bed_take(bed, pages + 1, pages, &first));
    for (uint64_t i = 0; i < pages; i++) {
        ash_paddr_t address = (first + offset + (i ^ swap)) << 12;
        *(uint64_t *)bed_at(bed, address) = 50 + i;
        CHECK_EQ(ash_vm_map(&space, va + (i << 12), address, 4096, BED_RW, 0), 0);
    }
    CHECK_EQ(ash_vm_collapse(&space, va), 0);
    CHECK_EQ(bed_walk(bed, &space, va).level, 1);
    for (uint64_t i = 0; i < pages; i++)
        CHECK_EQ(bed_read(bed, &space, va + (i << 12)), 50 + i);
    bed_give(bed, offset == 0 ? first + pages : first, 1);
    bed_space_end(bed, &space);
    bed_end(bed);
}

TEST_CASE(vm_public_bugs, collapse_of_pages_that_make_no_block_copies_them) {
    struct bed *bed = bed_new(&mmu_shapes[0], 4 * 512);
    BED_EACH_SHAPE(shape) {
        for (uint64_t offset = 0; offset < 2; offset++) {
            bed_restart(bed, shape, shape->bits == 2 ? 64 : 4 * 512);
            collapse_odd(bed, offset);
        }
    }
}

/* on-demand-fork 17e6e08bf: TLBs were flushed before the shared table was protected, not after. */
TEST_CASE(vm_public_bugs, fork_flushes_when_the_parent_can_no_longer_write) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        struct flushes flushes;
        struct bed *bed = begin(shape, FRAMES, &parent);
        bed_map(bed, &parent, 0, 1, BED_RW, 0, 0);
        bed_write(bed, &parent, 0, 1);
        watch_flushes(&flushes, bed, &parent, 0);
        fork_live(bed, &child, &parent);
        CHECK(flushes.count >= 1 && flushes.covers_va);
        CHECK(flushes.was_valid && !flushes.was_writable);
        bed_space_end(bed, &child);
        bed_space_end(bed, &parent);
        bed_end(bed);
    }
}

/* on-demand-fork, README: a last-level table that covers several mappings of other kinds. */
TEST_CASE(vm_public_bugs, one_table_of_private_shared_and_read_only_pages_is_forked_rightly) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        ash_pfn_t shared;
        struct bed *bed = begin(shape, FRAMES, &parent);
        CHECK(bed_take(bed, 1, 1, &shared));
        bed_map(bed, &parent, 0, 1, BED_RW, 0, 10);
        bed_map(bed, &parent, 4096, 1, BED_R, 0, 11);
        CHECK_EQ(ash_vm_map(&parent, 2 * 4096, shared << 12, 4096, BED_RW | ASH_VM_SHARED, 0), 0);
        fork_live(bed, &child, &parent);
        bed_write(bed, &child, 0, 20);
        bed_write(bed, &child, 2 * 4096, 22);
        CHECK_EQ(ash_vm_fault(&child, 4096, ASH_VM_WRITE | ASH_VM_USER), ASH_VM_SEGV);
        CHECK_EQ(bed_read(bed, &parent, 0), 10);
        CHECK_EQ(bed_read(bed, &parent, 4096), 11);
        CHECK_EQ(bed_read(bed, &parent, 2 * 4096), 22);
        bed_space_end(bed, &parent);
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}

/* nanvix #2512: a fork of a fork took a page that waits for its copy for a read-only one; the
 * grandchild was killed when it wrote. */
TEST_CASE(vm_public_bugs, grandchild_may_write_to_what_its_parent_never_wrote_to) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space spaces[3];
        struct bed *bed = begin(shape, FRAMES, &spaces[0]);
        bed_map(bed, &spaces[0], 0, 2, BED_RW, 0, 1);
        fork_live(bed, &spaces[1], &spaces[0]);
        bed_write(bed, &spaces[1], 4096, 9); /* so that its tables are its own */
        fork_live(bed, &spaces[2], &spaces[1]);
        bed_write(bed, &spaces[2], 0, 3);
        CHECK_EQ(bed_read(bed, &spaces[0], 0), 1);
        CHECK_EQ(bed_read(bed, &spaces[1], 0), 1);
        CHECK_EQ(bed_read(bed, &spaces[2], 0), 3);
        for (uint32_t i = 0; i < 3; i++)
            bed_space_end(bed, &spaces[i]);
        bed_end(bed);
    }
}

/* nanvix #3177: protect to read-only left the mark of copy-on-write, and a later write fault gave
 * the right back. */
TEST_CASE(vm_public_bugs, page_made_read_only_while_it_waits_for_its_copy_stays_so) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        struct bed *bed = begin(shape, FRAMES, &parent);
        bed_map(bed, &parent, 0, 1, BED_RW, 0, 5);
        fork_live(bed, &child, &parent);
        CHECK_EQ(ash_vm_protect(&child, 0, 4096, BED_R), 0);
        CHECK_EQ(ash_vm_fault(&child, 0, ASH_VM_WRITE | ASH_VM_USER), ASH_VM_SEGV);
        /* And writable again, it is copied, not written in place. */
        CHECK_EQ(ash_vm_protect(&child, 0, 4096, BED_RW), 0);
        bed_write(bed, &child, 0, 6);
        CHECK_EQ(bed_read(bed, &parent, 0), 5);
        bed_space_end(bed, &parent);
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}

/* kwrx/aplus #44: fork made read-only pages writable, the handler did not look at the access and
 * looped, and frames came unzeroed. */
TEST_CASE(vm_public_bugs, write_to_a_read_only_page_is_refused_also_after_fork) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        struct bed *bed = begin(shape, FRAMES, &parent);
        bed_map(bed, &parent, 0, 1, BED_R, 0, 5);
        CHECK_EQ(ash_vm_map_zero(&parent, 4096, 4096, BED_RW), 0);
        fork_live(bed, &child, &parent);
        CHECK_EQ(ash_vm_fault(&child, 0, ASH_VM_WRITE | ASH_VM_USER), ASH_VM_SEGV);
        CHECK_EQ(ash_vm_fault(&parent, 0, ASH_VM_WRITE | ASH_VM_USER), ASH_VM_SEGV);
        CHECK_EQ(ash_vm_fault(&child, 0, ASH_VM_EXECUTE | ASH_VM_USER), ASH_VM_SEGV);
        bed_write(bed, &child, 4096, 1);
        for (ash_vaddr_t va = 4096 + 8; va < 2 * 4096; va += 8)
            CHECK_EQ(*(uint64_t *)bed_at(bed, where(&child, va)), 0);
        bed_space_end(bed, &parent);
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}

/* tgoskits #1991: a count of 8 bits overflowed at 254 children. */
TEST_CASE(vm_public_bugs, three_hundred_children_share_one_page) {
    enum { CHILDREN = 300 };
    struct ash_vm_space *spaces = test_alloc(sizeof(*spaces) * (CHILDREN + 1), 64);
    struct bed *bed = begin(&mmu_shapes[4], FRAMES, &spaces[0]);
    bed_map(bed, &spaces[0], 0, 1, BED_RW, 0, 77);
    uint64_t used = bed->used;
    for (uint32_t i = 1; i <= CHILDREN; i++) /* eagerly, so that the page itself is counted */
        CHECK_EQ(ash_vm_fork(&spaces[i], &spaces[0], i <= 280 ? ASH_VM_EAGER : 0), 0);
    for (uint32_t i = CHILDREN; i >= 1; i--) {
        CHECK_EQ(bed_read(bed, &spaces[i], 0), 77);
        bed_write(bed, &spaces[i], 0, i);
        CHECK_EQ(bed_read(bed, &spaces[0], 0), 77);
        bed_space_end(bed, &spaces[i]);
    }
    CHECK_EQ(bed->used, used);
    bed_space_end(bed, &spaces[0]);
    bed_end(bed);
}

/* tgoskits #2096: a fork that failed half-way kept the references that it had taken. */
TEST_CASE(vm_public_bugs, fork_that_fails_keeps_no_reference) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        const struct ash_vm_space *all = &parent;
        struct bed *bed = begin(shape, FRAMES, &parent);
        bed_map(bed, &parent, 0, 4, BED_RW, ASH_VM_SMALL, 0);
        for (uint32_t n = 1;; n++) {
            bed->fail_at = bed->calls + n;
            int result = ash_vm_fork(&child, &parent, ASH_VM_EAGER);
            bed->fail_at = 0;
            if (result == 0)
                break;
            CHECK_EQ(result, -ASH_ENOMEM);
            bed_check(bed, &all, 1, NULL);
        }
        bed_space_end(bed, &child);
        bed_space_end(bed, &parent);
        bed_end(bed);
    }
}

/* Asterinas #959: SHARED pages stayed write-protected after fork. */
TEST_CASE(vm_public_bugs, shared_page_is_written_by_parent_and_child_after_fork) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        ash_pfn_t frame;
        struct bed *bed = begin(shape, FRAMES, &parent);
        CHECK(bed_take(bed, 1, 1, &frame));
        CHECK_EQ(ash_vm_map(&parent, 0, frame << 12, 4096, BED_RW | ASH_VM_SHARED, 0), 0);
        fork_live(bed, &child, &parent);
        bed_write(bed, &child, 0, 1);
        CHECK_EQ(bed_read(bed, &parent, 0), 1);
        bed_write(bed, &parent, 0, 2);
        CHECK_EQ(bed_read(bed, &child, 0), 2);
        CHECK_EQ(where(&child, 0), frame << 12);
        bed_space_end(bed, &parent);
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}

/* duckOS #61, MentOS #397: what the kernel wrote to a program's page went to all who shared it. */
TEST_CASE(vm_public_bugs, copy_out_after_fork_writes_to_a_copy) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        struct bed *bed = begin(shape, FRAMES, &parent);
        bed_map(bed, &parent, 0, 2, BED_RW, 0, 5);
        fork_live(bed, &child, &parent);
        uint64_t words[2] = {8, 9};
        size_t done;
        CHECK_EQ(ash_vm_copy_out(&child, 4096 - 8, words, sizeof(words), &done), 0);
        CHECK_EQ(done, sizeof(words));
        CHECK_EQ(bed_read(bed, &child, 4096 - 8), 8);
        CHECK_EQ(bed_read(bed, &child, 4096), 9);
        CHECK_EQ(bed_read(bed, &parent, 4096 - 8), 0);
        CHECK_EQ(bed_read(bed, &parent, 4096), 6);
        bed_space_end(bed, &parent);
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}

/* caffeinix #63: a write of the kernel's, its pointer validated, raced with fork's protection. Here
 * a fault that is under way when the space is forked. */
TEST_CASE(vm_public_bugs, fork_between_the_steps_of_a_fault_parts_the_two) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space spaces[3];
        struct ash_vm_pending fault;
        struct bed *bed = begin(shape, FRAMES, &spaces[0]);
        bed_map(bed, &spaces[0], 0, 1, BED_RW, 0, 5);
        fork_live(bed, &spaces[1], &spaces[0]);
        (void)ash_vm_fault_begin(&spaces[0], 0, ASH_VM_WRITE | ASH_VM_USER, &fault);
        if (fault.bytes != 0)
            ash_vm_fault_copy(&fault);
        fork_live(bed, &spaces[2], &spaces[0]);
        if (fault.bytes != 0)
            (void)ash_vm_fault_end(&fault);
        bed_write(bed, &spaces[0], 0, 6);
        CHECK_EQ(bed_read(bed, &spaces[1], 0), 5);
        CHECK_EQ(bed_read(bed, &spaces[2], 0), 5);
        bed_write(bed, &spaces[2], 0, 7);
        CHECK_EQ(bed_read(bed, &spaces[0], 0), 6);
        for (uint32_t i = 0; i < 3; i++)
            bed_space_end(bed, &spaces[i]);
        bed_end(bed);
    }
}

/* managarm #1616: fork dropped pages that nobody had touched yet. */
TEST_CASE(vm_public_bugs, fork_keeps_pages_that_nobody_has_touched) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        struct bed *bed = begin(shape, FRAMES, &parent);
        CHECK_EQ(ash_vm_map_zero(&parent, 0, 8 * 4096, BED_RW), 0);
        fork_live(bed, &child, &parent);
        bed_space_end(bed, &parent);
        for (ash_vaddr_t va = 0; va < 8 * 4096; va += 4096) {
            CHECK_EQ(bed_read(bed, &child, va), 0);
            bed_write(bed, &child, va, va);
        }
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}

/* nyx-os #21: a reference too few, and a frame had two owners. */
TEST_CASE(vm_public_bugs, page_with_many_users_is_free_after_the_last_and_not_before) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space spaces[3];
        const struct ash_vm_space *all[3] = {&spaces[0], &spaces[1], &spaces[2]};
        ash_pfn_t again;
        struct bed *bed = begin(shape, FRAMES, &spaces[0]);
        bed_map(bed, &spaces[0], 0, 2, BED_RW, 0, 40);
        fork_live(bed, &spaces[1], &spaces[0]);
        bed_write(bed, &spaces[1], 4096, 1); /* the table is copied, the page at 0 is not */
        fork_live(bed, &spaces[2], &spaces[1]);
        bed_check(bed, all, 3, NULL);
        ash_paddr_t page = where(&spaces[0], 0);
        bed_space_end(bed, &spaces[1]);
        CHECK_EQ(ash_vm_unmap(&spaces[0], 0, 4096), 0);
        for (uint32_t i = 0; i < 20; i++) {
            CHECK(bed_take(bed, 1, 1, &again));
            CHECK(again != page >> 12);
            bed_give(bed, again, 1);
        }
        CHECK_EQ(bed_read(bed, &spaces[2], 0), 40);
        bed_space_end(bed, &spaces[2]);
        bed_space_end(bed, &spaces[0]);
        bed_end(bed);
    }
}

/* phoenix-rtos #1266: each fork leaked two pages, on RISC-V only. */
TEST_CASE(vm_public_bugs, fork_and_its_end_leak_nothing_in_any_format) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        struct bed *bed = begin(shape, FRAMES, &parent);
        bed_map(bed, &parent, 0, 4, BED_RW, ASH_VM_SMALL, 0);
        uint64_t used = bed->used;
        for (uint32_t i = 0; i < 20; i++) {
            fork_live(bed, &child, &parent);
            bed_write(bed, i % 2 == 0 ? &child : &parent, 0, i);
            bed_space_end(bed, &child);
            CHECK_EQ(bed->used, used);
        }
        bed_space_end(bed, &parent);
        bed_end(bed);
    }
}

/* CVE-2016-5195: a write that was answered with a copy was tried again with less in mind after the
 * copy had been thrown away, and went to the file's page. */
TEST_CASE(vm_public_bugs, copy_that_is_discarded_meanwhile_does_not_open_the_original) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space space;
        struct ash_vm_pending fault;
        ash_pfn_t file;
        uint64_t word = 666;
        size_t done;
        struct bed *bed = begin(shape, FRAMES, &space);
        CHECK(bed_take(bed, 1, 1, &file));
        ash_vm_hold(&bed->vm, file);
        CHECK_EQ(ash_vm_map(&space, 0, file << 12, 4096, BED_R, 0), 0);
        CHECK_EQ(ash_vm_copy_out(&space, 0, &word, sizeof(word), &done), -ASH_EFAULT);
        CHECK_EQ(ash_vm_protect(&space, 0, 4096, BED_RW), 0);
        (void)ash_vm_fault_begin(&space, 0, ASH_VM_WRITE | ASH_VM_USER, &fault);
        if (fault.bytes != 0)
            ash_vm_fault_copy(&fault);
        CHECK_EQ(ash_vm_unmap(&space, 0, 4096), 0);
        CHECK_EQ(ash_vm_map(&space, 0, file << 12, 4096, BED_R, 0), 0);
        if (fault.bytes != 0)
            (void)ash_vm_fault_end(&fault);
        CHECK_EQ(ash_vm_fault(&space, 0, ASH_VM_WRITE | ASH_VM_USER), ASH_VM_SEGV);
        CHECK_EQ(*(uint64_t *)bed_at(bed, file << 12), 0);
        bed_space_end(bed, &space);
        ash_vm_release(&bed->vm, file, 0);
        bed_end(bed);
    }
}

/* The same with another page in its place, which waits for its copy as the first one did. */
TEST_CASE(vm_public_bugs, copy_of_a_page_that_was_replaced_meanwhile_is_not_used) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space space;
        struct ash_vm_pending fault;
        ash_pfn_t files;
        struct bed *bed = begin(shape, FRAMES, &space);
        CHECK(bed_take(bed, 2, 1, &files));
        for (uint64_t i = 0; i < 2; i++) {
            ash_vm_hold(&bed->vm, files + i);
            *(uint64_t *)bed_at(bed, (files + i) << 12) = 10 + i;
        }
        CHECK_EQ(ash_vm_map(&space, 0, files << 12, 4096, BED_RW, 0), 0);
        CHECK_EQ(ash_vm_fault_begin(&space, 0, ASH_VM_WRITE | ASH_VM_USER, &fault), ASH_VM_COPY);
        CHECK_EQ(fault.bytes, 4096);
        ash_vm_fault_copy(&fault);
        CHECK_EQ(ash_vm_unmap(&space, 0, 4096), 0);
        CHECK_EQ(ash_vm_map(&space, 0, (files + 1) << 12, 4096, BED_RW, 0), 0);
        (void)ash_vm_fault_end(&fault);
        CHECK_EQ(bed_read(bed, &space, 0), 11);
        bed_write(bed, &space, 0, 12);
        CHECK_EQ(*(uint64_t *)bed_at(bed, files << 12), 10);
        CHECK_EQ(*(uint64_t *)bed_at(bed, (files + 1) << 12), 11);
        bed_space_end(bed, &space);
        ash_vm_release(&bed->vm, files, 0);
        ash_vm_release(&bed->vm, files + 1, 0);
        bed_end(bed);
    }
}

/* CVE-2020-29374: a child's pin for reading stayed on the page that the parent then reused, and
 * showed what the parent wrote later. */
TEST_CASE(vm_public_bugs, pin_for_reading_does_not_show_what_another_writes_later) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        ash_paddr_t pinned;
        struct bed *bed = begin(shape, FRAMES, &parent);
        bed_map(bed, &parent, 0, 1, BED_RW, 0, 5);
        fork_live(bed, &child, &parent);
        CHECK_EQ(ash_vm_pin(&child, 0, ASH_VM_READ, &pinned), 0);
        CHECK_EQ(ash_vm_unmap(&child, 0, 4096), 0);
        bed_write(bed, &parent, 0, 6);
        CHECK_EQ(*(uint64_t *)bed_at(bed, pinned), 5);
        ash_vm_unpin(&bed->vm, pinned);
        bed_space_end(bed, &parent);
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}

/* The same the other way round (Linux, copy_present_page): the parent's pinned page must stay the
 * parent's over a fork, whoever writes first. */
TEST_CASE(vm_public_bugs, device_and_parent_have_the_same_page_after_fork) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        ash_paddr_t pinned;
        struct bed *bed = begin(shape, FRAMES, &parent);
        bed_map(bed, &parent, 0, 2, BED_RW, 0, 5);
        CHECK_EQ(ash_vm_pin(&parent, 0, ASH_VM_WRITE, &pinned), 0);
        fork_live(bed, &child, &parent);
        bed_write(bed, &parent, 0, 6);
        CHECK_EQ(*(uint64_t *)bed_at(bed, pinned), 6);
        *(uint64_t *)bed_at(bed, pinned) = 7;
        CHECK_EQ(bed_read(bed, &parent, 0), 7);
        CHECK_EQ(bed_read(bed, &child, 0), 5);
        ash_vm_unpin(&bed->vm, pinned);
        bed_space_end(bed, &parent);
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}

/* Unikraft and others: 512 flushes for 512 pages. */
TEST_CASE(vm_public_bugs, unmap_of_a_table_of_pages_is_one_flush) {
    const struct mmu_shape *const shapes[] = {&mmu_shapes[0], &mmu_shapes[1], &mmu_shapes[3]};
    const uint64_t limits[] = {64, 1024};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(shapes); i++) {
        for (uint32_t j = 0; j < ASH_ARRAY_LEN(limits); j++) {
            struct ash_vm_space space;
            struct bed *bed = bed_new(shapes[i], FRAMES);
            bed->config.flush_pages_max = limits[j];
            bed_start(bed);
            CHECK(bed_space(bed, &space));
            bed_map(bed, &space, block_va(bed), 512, BED_RW, ASH_VM_SMALL, 0);
            bed->range_flushes = bed->asid_flushes = 0;
            CHECK_EQ(ash_vm_unmap(&space, block_va(bed), block_bytes(bed)), 0);
            CHECK_EQ(bed->range_flushes + bed->asid_flushes, 1);
            bed_space_end(bed, &space);
            bed_end(bed);
        }
    }
}

/* tgoskits #2065, #2067 ask for it: a block that two share is parted, and not copied. */
TEST_CASE(vm_public_bugs, part_of_a_shared_block_is_unmapped_without_a_copy) {
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        struct bed *bed = begin(shape, shape->bits == 2 ? 64 : FRAMES, &parent);
        uint64_t pages = bed_block_pages(bed);
        ash_vaddr_t va = block_va(bed);
        bed_map(bed, &parent, va, pages, BED_RW, 0, 300);
        fork_live(bed, &child, &parent);
        CHECK_EQ(ash_vm_unmap(&child, va + 4096, 4096), 0);
        CHECK_EQ(bed_read(bed, &parent, va + 4096), 301);
        CHECK_EQ(bed_read(bed, &child, va + 2 * 4096), 302);
        CHECK_EQ(ash_vm_fault(&child, va + 4096, ASH_VM_READ | ASH_VM_USER), ASH_VM_SEGV);
        bed_space_end(bed, &parent);
        for (uint64_t i = 2; i < pages; i++)
            bed_write(bed, &child, va + (i << 12), i);
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}
