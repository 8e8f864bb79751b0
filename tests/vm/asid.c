/* SPDX-License-Identifier: MIT */
/*
 * ASIDs, with CPUs whose TLBs keep all that they may: whatever a CPU translates by at any moment is
 * in its TLB until a flush. So a CPU that changes its root late, or fills its TLB again right after
 * a flush, is among what the random case plays.
 */
#include "harness/test.h"

#include <ashlar/vm_asid.h>

enum { CPUS = 4, SPACES = 24, NUMBERS = 16 };

struct machine {
    struct ash_vm_asids asids;
    struct ash_vm_tlb tlb;
    struct ash_vm_space spaces[SPACES];
    uint64_t names[SPACES]; /* a new one for each space that takes a struct again */
    uint64_t last_name;
    uint32_t cpus;
    /* What each CPU translates by: a number and the space's name, 0 for none. */
    uint32_t root_number[CPUS];
    uint64_t root_name[CPUS];
    /* Who may be in a CPU's TLB under a number: names, the same one or the case fails. */
    uint64_t tlbs[CPUS][NUMBERS];
    uint64_t flushes;
};

static void fill(struct machine *machine, uint32_t cpu) {
    uint32_t number = machine->root_number[cpu];
    if (machine->root_name[cpu] == 0)
        return;
    uint64_t *entry = &machine->tlbs[cpu][number];
    CHECK(*entry == 0 || *entry == machine->root_name[cpu]);
    *entry = machine->root_name[cpu];
}

static void flush_all(void *context) {
    struct machine *machine = context;
    memset(machine->tlbs, 0, sizeof(machine->tlbs));
    machine->flushes++;
    for (uint32_t cpu = 0; cpu < machine->cpus; cpu++)
        fill(machine, cpu);
}

static struct machine *machine_with(uint32_t bits, uint32_t cpus) {
    struct machine *machine = test_alloc(sizeof(*machine), 64);
    machine->cpus = cpus;
    machine->tlb = (struct ash_vm_tlb){.flush_all = flush_all, .context = machine};
    CHECK_EQ(ash_vm_asid_init(&machine->asids, bits, cpus, &machine->tlb), 0);
    for (uint32_t i = 0; i < SPACES; i++)
        machine->names[i] = ++machine->last_name;
    return machine;
}

/* The CPU's root is a space's now. */
static void install(struct machine *machine, uint32_t cpu, uint32_t space) {
    machine->root_number[cpu] = (uint32_t)machine->spaces[space].asid & ASH_VM_ASID_NUMBER;
    machine->root_name[cpu] = machine->names[space];
    CHECK(machine->root_number[cpu] != 0 && machine->spaces[space].is_live);
    fill(machine, cpu);
}

static void run(struct machine *machine, uint32_t cpu, uint32_t space) {
    if (!ash_vm_asid_try(&machine->asids, &machine->spaces[space], cpu))
        ash_vm_asid_take(&machine->asids, &machine->spaces[space], cpu);
    install(machine, cpu, space);
}

TEST_CASE(vm_asid, a_space_that_never_ran_has_none) {
    struct machine *machine = machine_with(8, 1);
    CHECK(!machine->spaces[0].is_live);
    CHECK(!ash_vm_asid_try(&machine->asids, &machine->spaces[0], 0));
    ash_vm_asid_take(&machine->asids, &machine->spaces[0], 0);
    CHECK(machine->spaces[0].is_live);
    CHECK((machine->spaces[0].asid & ASH_VM_ASID_NUMBER) != 0);
    ash_vm_asid_retire(&machine->asids, &machine->spaces[0]);
    CHECK(!machine->spaces[0].is_live && machine->spaces[0].asid == 0);
}

TEST_CASE(vm_asid, a_space_of_this_generation_needs_no_lock) {
    if (ASH_PORT_CPUS_MAX < 2)
        test_skip("one CPU");
    struct machine *machine = machine_with(8, 2);
    run(machine, 0, 0);
    run(machine, 0, 1);
    run(machine, 1, 1);
    CHECK_EQ(machine->asids.flushes, 2); /* one a CPU, at its first */
    for (uint32_t i = 0; i < 10; i++) {
        CHECK(ash_vm_asid_try(&machine->asids, &machine->spaces[i & 1], 0));
        CHECK(ash_vm_asid_try(&machine->asids, &machine->spaces[1 - (i & 1)], 1));
    }
    CHECK_EQ(machine->asids.flushes, 2);
    CHECK((machine->spaces[0].asid ^ machine->spaces[1].asid) != 0);
}

TEST_CASE(vm_asid, a_machine_with_too_few_numbers_is_refused) {
    struct ash_vm_asids *asids = test_alloc(sizeof(*asids), 64);
    struct ash_vm_tlb tlb = {0};
    CHECK_EQ(ash_vm_asid_init(asids, 0, 1, &tlb), -ASH_EINVAL);
    CHECK_EQ(ash_vm_asid_init(asids, 17, 1, &tlb), -ASH_EINVAL);
    CHECK_EQ(ash_vm_asid_init(asids, 1, 1, &tlb), -ASH_EINVAL);
    CHECK_EQ(ash_vm_asid_init(asids, 2, 0, &tlb), -ASH_EINVAL);
    CHECK_EQ(ash_vm_asid_init(asids, 16, ASH_PORT_CPUS_MAX + 1, &tlb), -ASH_EINVAL);
    CHECK_EQ(ash_vm_asid_init(asids, 2, 1, &tlb), 0);
    CHECK_EQ(ash_vm_asid_init(asids, 16, 1, &tlb), 0);
}

TEST_CASE(vm_asid, all_numbers_are_used_before_a_generation_ends) {
    const uint32_t widths[] = {2, 8, 16};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(widths); i++) {
        struct machine *machine = machine_with(widths[i], 1);
        uint64_t *seen = test_alloc((ASH_VM_ASID_NUMBER + 1) * sizeof(*seen), 8);
        uint32_t numbers = (1u << widths[i]) - 1;
        for (uint32_t n = 0; n < numbers; n++) {
            struct ash_vm_space space = {0};
            ash_vm_asid_take(&machine->asids, &space, 0);
            CHECK(space.asid & ASH_VM_ASID_NUMBER);
            CHECK((space.asid & ASH_VM_ASID_NUMBER) <= numbers);
            CHECK_EQ(seen[space.asid & ASH_VM_ASID_NUMBER]++, 0);
            ash_vm_asid_retire(&machine->asids, &space);
        }
        CHECK_EQ(machine->asids.rollovers, 0);
        CHECK_EQ(machine->flushes, 1);
        run(machine, 0, 0);
        CHECK_EQ(machine->asids.rollovers, 1);
        CHECK_EQ(machine->flushes, 2);
    }
}

TEST_CASE(vm_asid, what_a_cpu_translates_by_keeps_its_number) {
    struct machine *machine = machine_with(2, 1);
    run(machine, 0, 0);
    uint64_t number = machine->spaces[0].asid & ASH_VM_ASID_NUMBER;
    for (uint32_t i = 1; i < 8; i++) {
        /* Others come and go, by way of takes that are not followed by a change of the root. */
        struct ash_vm_space other = {0};
        ash_vm_asid_take(&machine->asids, &other, 0);
        run(machine, 0, 0);
        ash_vm_asid_retire(&machine->asids, &other);
    }
    CHECK(machine->asids.rollovers > 0);
    CHECK_EQ(machine->spaces[0].asid & ASH_VM_ASID_NUMBER, number);
}

TEST_CASE(vm_asid, a_cpu_that_rests_keeps_its_number_over_generations) {
    if (ASH_PORT_CPUS_MAX < 2)
        test_skip("one CPU");
    struct machine *machine = machine_with(3, 2);
    run(machine, 1, 0);
    uint64_t number = machine->spaces[0].asid & ASH_VM_ASID_NUMBER;
    for (uint32_t i = 0; i < 100; i++)
        run(machine, 0, 1 + i % (SPACES - 1));
    CHECK(machine->asids.rollovers > 5);
    run(machine, 0, 0); /* a thread of it on the other CPU */
    CHECK_EQ(machine->spaces[0].asid & ASH_VM_ASID_NUMBER, number);
    CHECK_EQ(machine->root_number[1], number);
}

TEST_CASE(vm_asid, a_cpu_that_does_not_exist_panics) {
    struct machine *machine = machine_with(8, 1);
    CHECK_PANICS(ash_vm_asid_take(&machine->asids, &machine->spaces[0], 1),
                 "CPU 1 takes an ASID, and there are 1");
}

/*
 * Takes and changes of roots are two events, with others' between them. A space that ends is on no
 * CPU; its struct is used again for another one.
 */
static void play(struct machine *machine, struct test_random *random, uint32_t events) {
    uint32_t pending[CPUS]; /* the space that was taken, + 1, and is not the root yet */
    memset(pending, 0, sizeof(pending));
    for (uint32_t i = 0; i < events; i++) {
        uint32_t cpu = (uint32_t)test_random_below(random, machine->cpus);
        uint32_t index = (uint32_t)test_random_below(random, SPACES);
        struct ash_vm_space *space = &machine->spaces[index];
        if (pending[cpu] != 0 && test_random_chance(random, 60)) {
            install(machine, cpu, pending[cpu] - 1);
            pending[cpu] = 0;
        } else if (pending[cpu] == 0 && test_random_chance(random, 90)) {
            if (!ash_vm_asid_try(&machine->asids, space, cpu))
                ash_vm_asid_take(&machine->asids, space, cpu);
            pending[cpu] = index + 1;
        } else {
            bool is_used = false;
            for (uint32_t other = 0; other < machine->cpus; other++)
                is_used |= pending[other] == index + 1 ||
                           machine->root_name[other] == machine->names[index];
            if (!is_used) {
                ash_vm_asid_retire(&machine->asids, space);
                machine->names[index] = ++machine->last_name;
            }
        }
        for (uint32_t other = 0; other < machine->cpus; other++)
            fill(machine, other);
    }
}

TEST_CASE(vm_asid, no_tlb_ever_has_two_spaces_by_one_number) {
    struct test_random random = test_random_from(test_seed());
    for (uint32_t round = 0; round < 40; round++) {
        uint32_t cpus =
            (uint32_t)ash_min_u64(1 + test_random_below(&random, CPUS), ASH_PORT_CPUS_MAX);
        uint32_t bits = cpus == 1 ? 2 : 3 + (uint32_t)test_random_below(&random, 2);
        struct machine *machine = machine_with(bits, cpus);
        play(machine, &random, 500);
        CHECK(machine->asids.rollovers > 0);
        CHECK(machine->asids.flushes <= (machine->asids.rollovers + 1) * cpus);
    }
}
