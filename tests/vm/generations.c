/* SPDX-License-Identifier: MIT */
/* generations.c: trees of processes in which each writes what is its own, and sees nothing else. */
#include "vm/bed.h"

enum { CHAIN = 32, PAGES = 40, FRAMES = 1200, FORKS = 10000, WAYS = 3 };

/* What page p of process `who` of a chain says: who wrote to it last. */
static uint64_t expected(uint32_t who, uint32_t page) {
    for (uint32_t writer = who;; writer--) {
        if (page % CHAIN == writer || page % 7 == writer % 7 || writer == 0)
            return (uint64_t)writer << 32 | page;
    }
}

static void write_own(struct bed *bed, struct ash_vm_space *space, uint32_t who) {
    for (uint32_t page = 0; page < PAGES; page++) {
        if (page % CHAIN == who || page % 7 == who % 7 || who == 0)
            bed_write(bed, space, (ash_vaddr_t)page << 12, (uint64_t)who << 32 | page);
    }
}

static void check_own(struct bed *bed, struct ash_vm_space *space, uint32_t who) {
    for (uint32_t page = 0; page < PAGES; page++)
        CHECK_EQ(bed_read(bed, space, (ash_vaddr_t)page << 12), expected(who, page));
}

TEST_CASE(vm_generations, each_of_a_chain_of_forks_sees_its_own_writes_and_its_forefathers) {
    BED_EACH_SHAPE(shape) {
        struct bed *bed = bed_started(shape, FRAMES);
        struct ash_vm_space *spaces = test_alloc(sizeof(*spaces) * CHAIN, 64);
        const struct ash_vm_space *all[CHAIN];
        CHECK(bed_space(bed, &spaces[0]));
        CHECK_EQ(ash_vm_map_zero(&spaces[0], 0, PAGES << 12, BED_RW), 0);
        for (uint32_t who = 0; who < CHAIN; who++) {
            all[who] = &spaces[who];
            if (who != 0) {
                CHECK_EQ(
                    ash_vm_fork(&spaces[who], &spaces[who - 1], who % 8 == 7 ? ASH_VM_EAGER : 0),
                    0);
                bed_live(bed, &spaces[who]);
            }
            write_own(bed, &spaces[who], who);
        }
        bed_check(bed, all, CHAIN, NULL);
        /* Elders, the young, and in between end; the rest does not notice. */
        for (uint32_t ended = 0; ended < CHAIN; ended++) {
            for (uint32_t who = 0; who < CHAIN; who++) {
                if ((who * 11 + 5) % CHAIN >= ended)
                    check_own(bed, &spaces[who], who);
            }
            for (uint32_t who = 0; who < CHAIN; who++) {
                if ((who * 11 + 5) % CHAIN == ended)
                    bed_space_end(bed, &spaces[who]);
            }
        }
        bed_end(bed);
    }
}

TEST_CASE(vm_generations, each_of_a_tree_of_forks_sees_its_own_writes) {
    enum { COUNT = 1 + WAYS + WAYS * WAYS };
    BED_EACH_SHAPE(shape) {
        struct bed *bed = bed_started(shape, FRAMES);
        struct ash_vm_space *spaces = test_alloc(sizeof(*spaces) * COUNT, 64);
        CHECK(bed_space(bed, &spaces[0]));
        CHECK_EQ(ash_vm_map_zero(&spaces[0], 0, PAGES << 12, BED_RW), 0);
        for (uint32_t who = 1; who < COUNT; who++) {
            struct ash_vm_space *parent = &spaces[(who - 1) / WAYS];
            bed_write(bed, parent, (ash_vaddr_t)who << 12, who);
            CHECK_EQ(ash_vm_fork(&spaces[who], parent, 0), 0);
            bed_live(bed, &spaces[who]);
            bed_write(bed, &spaces[who], 0, who);
            bed_write(bed, parent, (ash_vaddr_t)who << 12, 100 + who);
        }
        for (uint32_t who = 0; who < COUNT; who++) {
            CHECK_EQ(bed_read(bed, &spaces[who], 0), who);
            if (who != 0)
                CHECK_EQ(bed_read(bed, &spaces[who], (ash_vaddr_t)who << 12), who);
            if (who * WAYS + 1 < COUNT)
                CHECK_EQ(bed_read(bed, &spaces[who], (ash_vaddr_t)(who * WAYS + 1) << 12),
                         100 + who * WAYS + 1);
        }
        for (uint32_t who = 0; who < COUNT; who++)
            bed_space_end(bed, &spaces[who]);
        bed_end(bed);
    }
}

/* The source's frames are as many as before, to the last one. */
TEST_CASE(vm_generations, ten_thousand_forks_leave_every_frame_free) {
    const struct mmu_shape *const shapes[] = {&mmu_shapes[0], &mmu_shapes[1]};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(shapes); i++) {
        struct bed *bed = bed_started(shapes[i], 64);
        struct ash_vm_space parent, child;
        CHECK(bed_space(bed, &parent));
        bed_map(bed, &parent, 0, 8, BED_RW, ASH_VM_SMALL, 0);
        bed_write(bed, &parent, 0, 1);
        uint64_t used = bed->used;
        for (uint32_t n = 0; n < FORKS; n++) {
            CHECK_EQ(ash_vm_fork(&child, &parent, 0), 0);
            bed_live(bed, &child);
            if (n % 16 == 0)
                bed_write(bed, &child, (ash_vaddr_t)(n / 16 % 8) << 12, n);
            if (n % 32 == 0)
                bed_write(bed, &parent, (ash_vaddr_t)(n / 32 % 8) << 12, n);
            bed_space_end(bed, &child);
            if (n % 512 == 0 || n == FORKS - 1) {
                const struct ash_vm_space *all = &parent;
                CHECK_EQ(bed->used, used);
                bed_check(bed, &all, 1, NULL);
            }
        }
        bed_space_end(bed, &parent);
        bed_end(bed);
    }
}
