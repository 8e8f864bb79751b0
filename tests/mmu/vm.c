/* SPDX-License-Identifier: MIT */
/*
 * vm.c: lib/vm under the MMU's eyes: random operations on address spaces that fork, and after each
 * one every kind of access to the pages around it; and careless kernels, which must be caught.
 */
#include "mmu/vm_rig.h"

#include <stdio.h>
#include <time.h>

enum { RUNS = 12, STEPS = 160, CARELESS_STEPS = 2000 };

static const struct ash_vm_config policies[] = {
    {.format = &ash_vm_vmsa4k, .flush_pages_max = 16},
    {.format = &ash_vm_vmsa4k, .flush_pages_max = 1024, .flags = ASH_VM_SPLIT_HUGE},
    {.format = &ash_vm_vmsa4k, .flush_pages_max = 16, .flags = ASH_VM_ALLOW_WX},
};

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Returns the steps that went well, at most `steps`. */
static uint32_t play(struct rig *rig, uint32_t steps) {
    for (uint32_t step = 0; step < steps; step++) {
        if (!rig_step(rig))
            return step;
    }
    return steps;
}

/* Everything that the library counts has happened. */
static void check_stats(const struct ash_vm_stats *stats) {
    printf("# %llu forks: %llu tables shared, %llu copied, %llu upgraded; pages: %llu copied, %llu "
           "reused, %llu zeroed; %llu faults, %llu spurious; %llu splits, %llu collapses\n",
           (unsigned long long)stats->forks, (unsigned long long)stats->tables_shared,
           (unsigned long long)stats->tables_copied, (unsigned long long)stats->tables_upgraded,
           (unsigned long long)stats->pages_copied, (unsigned long long)stats->pages_reused,
           (unsigned long long)stats->pages_zeroed, (unsigned long long)stats->faults,
           (unsigned long long)stats->spurious, (unsigned long long)stats->splits,
           (unsigned long long)stats->collapses);
    CHECK(stats->forks > RUNS && stats->tables_shared > RUNS && stats->tables_copied > RUNS);
    CHECK(stats->tables_upgraded > 0 && stats->pages_copied > 0 && stats->pages_reused > 0);
    CHECK(stats->pages_zeroed > 0 && stats->spurious > 0 && stats->splits > 0);
    CHECK(stats->collapses > 0);
}

TEST_CASE(mmu_vm, cpu_does_what_library_and_model_say) {
    struct rig *rig = test_alloc(sizeof(*rig), 8);
    struct ash_vm_stats stats = {0};
    uint64_t seed = test_seed(), probes = 0, steps = 0, tlb_operations = 0, faults = 0;
    double began = now_s();
    for (uint32_t run = 0; run < RUNS; run++) {
        rig_init(rig, seed + run, &policies[run % ASH_ARRAY_LEN(policies)], run % 4 == 2,
                 RIG_CORRECT);
        rig->fail_percent = run % 4 == 3 ? 10 : 0;
        uint32_t done = play(rig, STEPS);
        if (rig->broken[0] == '\0')
            rig_fini(rig);
        if (rig->broken[0] != '\0')
            test_fail(__FILE__, __LINE__, "run %u, step %u, %s: %s", run, done, rig->last_operation,
                      rig->broken);
        ash_vm_stats_add(&stats, &rig->ended);
        probes += rig->probes;
        steps += rig->steps;
        tlb_operations += rig->tlb_operations;
        faults += rig->faults_answered;
    }
    printf("# %llu steps, %llu probes, %llu TLB operations, %llu faults answered; %.0f us a step\n",
           (unsigned long long)steps, (unsigned long long)probes,
           (unsigned long long)tlb_operations, (unsigned long long)faults,
           (now_s() - began) * 1e6 / (double)steps);
    check_stats(&stats);
}

static void check_is_caught(enum rig_fault fault) {
    struct rig *rig = test_alloc(sizeof(*rig), 8);
    rig_init(rig, test_seed(), &policies[0], false, fault);
    uint32_t done = play(rig, CARELESS_STEPS);
    CHECK(done < CARELESS_STEPS);
    printf("# caught in step %u: %s\n", done, rig->broken);
}

TEST_CASE(mmu_vm, dropped_flushes_of_pages_are_caught) {
    check_is_caught(RIG_DROPS_RANGES);
}

TEST_CASE(mmu_vm, dropped_flushes_of_address_spaces_are_caught) {
    check_is_caught(RIG_DROPS_ASIDS);
}

TEST_CASE(mmu_vm, flushes_of_one_page_too_few_are_caught) {
    check_is_caught(RIG_DROPS_LAST_PAGE);
}

TEST_CASE(mmu_vm, frames_freed_before_their_flush_are_caught) {
    check_is_caught(RIG_DEFERS_FLUSHES);
}
