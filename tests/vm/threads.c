/* SPDX-License-Identifier: MIT */
/*
 * threads.c: spaces that share tables and pages by fork, each with a lock of its own and no common
 * one; four threads that take one after another, also from each other, and write, unmap, protect,
 * fork and end them. Each sees what was written to it alone; in the end every frame is back. The
 * library's counts are all that keeps them apart: ThreadSanitizer looks on.
 */
#include "vm/bed.h"

#include <ashlar/port.h>

enum {
    THREADS = 4,
    SPACES = 7,
    PAGES = 24,
    FRAMES = 1400,
    STEPS = 12000,
};

struct one {
    struct ash_spinlock lock;
    struct ash_vm_space space;
    bool used;
    uint64_t values[PAGES]; /* UINT64_MAX: not mapped */
    bool writable[PAGES];
};

struct world {
    struct bed *bed;
    struct one ones[SPACES];
    uint64_t seed;
    uint32_t forks, writes;
};

/* Pages lie in two tables: at both sides of the border of one. */
static ash_vaddr_t va_of(const struct world *world, uint64_t page) {
    ash_vaddr_t border = UINT64_C(1) << mmu_shift(world->bed->shape, 2);
    return border + (page << 12) - (PAGES / 2 << 12);
}

static void check_one(struct world *world, struct one *one) {
    for (uint32_t page = 0; page < PAGES; page++) {
        ash_paddr_t address;
        int result = ash_vm_translate(&one->space, va_of(world, page), ASH_VM_READ, &address);
        CHECK_EQ(result, one->values[page] == UINT64_MAX ? -ASH_EFAULT : 0);
        if (result == 0)
            CHECK_EQ(*(const uint64_t *)bed_at(world->bed, address), one->values[page]);
    }
}

static void step_write(struct world *world, struct one *one, uint64_t page, uint64_t value) {
    enum ash_vm_verdict verdict = ASH_VM_SPURIOUS;
    uint64_t *word = bed_access(world->bed, &one->space, va_of(world, page),
                                ASH_VM_WRITE | ASH_VM_USER, &verdict);
    bool allowed = one->values[page] != UINT64_MAX && one->writable[page];
    CHECK(word != NULL || verdict == ASH_VM_NOMEM || !allowed);
    CHECK(word == NULL || allowed);
    if (word != NULL) {
        CHECK_EQ(*word, one->values[page]);
        *word = one->values[page] = value;
        ash_fetch_add(&world->writes, 1u);
    }
}

static void step_map(struct world *world, struct one *one, uint64_t page) {
    int result = ash_vm_map_zero(&one->space, va_of(world, page), 4096, BED_RW);
    bool mapped = one->values[page] != UINT64_MAX;
    CHECK(result == -ASH_ENOMEM || result == (mapped ? -ASH_EEXIST : 0));
    if (result == 0) {
        one->values[page] = 0;
        one->writable[page] = true;
    }
}

static void step_unmap(struct world *world, struct one *one, uint64_t page) {
    uint64_t count = page % 5 == 0 && page + 4 <= PAGES ? 4 : 1;
    int result = ash_vm_unmap(&one->space, va_of(world, page), count << 12);
    CHECK(result == 0 || result == -ASH_ENOMEM);
    for (uint64_t i = page; result == 0 && i < page + count; i++)
        one->values[i] = UINT64_MAX;
}

static void step_protect(struct world *world, struct one *one, uint64_t page) {
    bool writable = !one->writable[page];
    int result = ash_vm_protect(&one->space, va_of(world, page), 4096, writable ? BED_RW : BED_R);
    CHECK(result == 0 || result == -ASH_ENOMEM);
    if (result == 0)
        one->writable[page] = writable;
}

/* Into another place, whoever had it last. */
static void step_fork(struct world *world, struct one *one, uint64_t to, uint32_t flags) {
    struct one *child = &world->ones[to];
    if (child == one || !ash_spin_trylock(&child->lock))
        return;
    if (!child->used && ash_vm_fork(&child->space, &one->space, flags) == 0) {
        bed_live(world->bed, &child->space);
        memcpy(child->values, one->values, sizeof(one->values));
        memcpy(child->writable, one->writable, sizeof(one->writable));
        child->used = true;
        ash_fetch_add(&world->forks, 1u);
    }
    ash_spin_unlock(&child->lock);
}

static void step_exit(struct world *world, struct one *one) {
    bed_space_end(world->bed, &one->space);
    one->used = false;
}

static void step(struct world *world, struct one *one, struct test_random *random) {
    uint64_t what = test_random_below(random, 100), page = test_random_below(random, PAGES);
    if (what < 45)
        step_write(world, one, page, test_random_u64(random) >> 1);
    else if (what < 55)
        step_map(world, one, page);
    else if (what < 60)
        step_unmap(world, one, page);
    else if (what < 66)
        step_protect(world, one, page);
    else if (what < 84)
        step_fork(world, one, test_random_below(random, SPACES), what == 66 ? ASH_VM_EAGER : 0);
    else if (what < 96)
        check_one(world, one);
    else
        step_exit(world, one);
}

static void begin(struct world *world, struct one *one) {
    if (!bed_space(world->bed, &one->space))
        return;
    for (uint32_t page = 0; page < PAGES; page++)
        one->values[page] = UINT64_MAX;
    one->used = true;
}

static void run(void *context, uint32_t cpu) {
    struct world *world = context;
    struct test_random random = test_random_from(world->seed * THREADS + cpu);
    for (uint32_t i = 0; i < STEPS;) {
        struct one *one = &world->ones[test_random_below(&random, SPACES)];
        if (!ash_spin_trylock(&one->lock))
            continue; /* and no step: who has it may not run just now */
        i++;
        if (one->used)
            step(world, one, &random);
        else if (test_random_chance(&random, 10))
            begin(world, one);
        ash_spin_unlock(&one->lock);
    }
}

static void run_threads(const struct mmu_shape *shape) {
    struct world *world = test_alloc(sizeof(*world), 64);
    world->bed = bed_started(shape, FRAMES);
    world->seed = test_seed();
    for (uint32_t i = 0; i < SPACES; i++)
        ash_spin_init(&world->ones[i].lock);
    begin(world, &world->ones[0]);
    test_run_on_cpus(run, world, THREADS);
    const struct ash_vm_space *spaces[SPACES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < SPACES; i++) {
        if (!world->ones[i].used)
            continue;
        check_one(world, &world->ones[i]);
        spaces[count++] = &world->ones[i].space;
    }
    bed_check(world->bed, spaces, count, NULL);
    for (uint32_t i = 0; i < SPACES; i++) {
        if (world->ones[i].used)
            bed_space_end(world->bed, &world->ones[i].space);
    }
    bed_end(world->bed);
    CHECK(world->forks > 100 && world->writes > 1000);
}

TEST_CASE(vm_threads, spaces_that_share_tables_need_no_common_lock) {
    run_threads(&mmu_shapes[0]);
}

TEST_CASE(vm_threads, spaces_that_share_tables_need_no_common_lock_in_x86_64) {
    run_threads(&mmu_shapes[3]);
}

TEST_CASE(vm_threads, nor_where_tables_do_not_protect) {
    run_threads(&mmu_shapes[1]);
}
