/* SPDX-License-Identifier: MIT */
/* blocks.c: a block that several refer to, as a whole and in pieces, is freed as it was allocated,
 * whoever is the last. */
#include "vm/bed.h"

enum { FRAMES = 2 * 512 };

struct machine {
    struct bed *bed;
    struct ash_vm_space one, other;
    ash_vaddr_t va;
    uint64_t bytes;
    ash_pfn_t first;
};

/* The same block in two spaces. */
static void begin(struct machine *m, const struct mmu_shape *shape) {
    m->bed = bed_started(shape, FRAMES);
    m->bytes = bed_block_pages(m->bed) << 12;
    m->va = UINT64_C(1) << mmu_shift(shape, 2);
    CHECK(bed_space(m->bed, &m->one));
    CHECK(bed_space(m->bed, &m->other));
    CHECK(bed_take(m->bed, m->bytes >> 12, m->bytes >> 12, &m->first));
    CHECK_EQ(ash_vm_map(&m->one, m->va, m->first << 12, m->bytes, BED_R, 0), 0);
    CHECK_EQ(ash_vm_map(&m->other, m->va, m->first << 12, m->bytes, BED_R, 0), 0);
    CHECK_EQ(bed_walk(m->bed, &m->other, m->va).level, 1);
}

static void end(struct machine *m) {
    for (uint64_t i = 0; i < m->bytes >> 12; i++)
        CHECK_EQ(m->bed->vm.counts[m->first + i - m->bed->config.first_frame], 0);
    bed_space_end(m->bed, &m->one);
    bed_space_end(m->bed, &m->other);
    bed_end(m->bed);
}

TEST_CASE(vm_blocks, first_piece_that_is_the_last_one_frees_the_block) {
    BED_EACH_SHAPE(shape) {
        struct machine m;
        begin(&m, shape);
        CHECK_EQ(ash_vm_unmap(&m.one, m.va + 4096, m.bytes - 4096), 0);
        CHECK_EQ(ash_vm_unmap(&m.other, m.va, m.bytes), 0);
        CHECK_EQ(ash_vm_count(&m.bed->vm, m.first), 1);
        CHECK_EQ(ash_vm_unmap(&m.one, m.va, 4096), 0);
        end(&m);
    }
}

TEST_CASE(vm_blocks, any_piece_that_is_the_last_one_frees_the_block) {
    BED_EACH_SHAPE(shape) {
        struct machine m;
        begin(&m, shape);
        CHECK_EQ(ash_vm_unmap(&m.one, m.va, m.bytes - 4096), 0);
        CHECK_EQ(ash_vm_unmap(&m.other, m.va, m.bytes), 0);
        CHECK_EQ(ash_vm_unmap(&m.one, m.va, m.bytes), 0);
        end(&m);
    }
}

TEST_CASE(vm_blocks, whole_that_outlives_its_pieces_leaves_no_mark) {
    BED_EACH_SHAPE(shape) {
        struct machine m;
        begin(&m, shape);
        CHECK_EQ(ash_vm_unmap(&m.one, m.va + 4096, 4096), 0);
        CHECK_EQ(ash_vm_unmap(&m.one, m.va, m.bytes), 0);
        CHECK_EQ(ash_vm_unmap(&m.other, m.va, m.bytes), 0);
        end(&m);
    }
}

TEST_CASE(vm_blocks, block_that_its_only_user_splits_is_freed_page_by_page) {
    BED_EACH_SHAPE(shape) {
        struct machine m;
        begin(&m, shape);
        CHECK_EQ(ash_vm_unmap(&m.other, m.va, m.bytes), 0);
        uint64_t used = m.bed->used;
        CHECK_EQ(ash_vm_unmap(&m.one, m.va + 4096, 4096), 0);
        CHECK_EQ(m.bed->used, used); /* a page less, a table more */
        CHECK_EQ(ash_vm_unmap(&m.one, m.va, m.bytes), 0);
        end(&m);
    }
}

/* Small pages in a block's place, and a child that has them too, by tables of its own. */
TEST_CASE(vm_blocks, pages_that_another_has_too_become_a_block_by_a_copy) {
    struct bed *bed = bed_new(&mmu_shapes[0], 4 * 512);
    BED_EACH_SHAPE(shape) {
        struct ash_vm_space parent, child;
        const struct ash_vm_space *both[] = {&parent, &child};
        bed_restart(bed, shape, 4 * 512);
        ash_vaddr_t va = UINT64_C(1) << mmu_shift(shape, 2);
        ash_pfn_t first;
        uint64_t pages = bed_block_pages(bed);
        CHECK(bed_space(bed, &parent));
        CHECK(bed_take(bed, pages, pages, &first));
        CHECK_EQ(ash_vm_map(&parent, va, first << 12, pages << 12, BED_RW, ASH_VM_SMALL), 0);
        CHECK_EQ(ash_vm_fork(&child, &parent, ASH_VM_EAGER), 0);
        bed_live(bed, &child);
        CHECK_EQ(ash_vm_collapse(&parent, va), 0);
        CHECK_EQ(bed_walk(bed, &parent, va).level, 1);
        bed_check(bed, both, 2, NULL);
        bed_write(bed, &parent, va, 1);
        CHECK_EQ(bed_read(bed, &child, va), 0);
        bed_space_end(bed, &parent);
        bed_write(bed, &child, va + 4096, 2);
        bed_space_end(bed, &child);
        bed_end(bed);
    }
}
