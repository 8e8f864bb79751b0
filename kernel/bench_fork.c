/* SPDX-License-Identifier: MIT */
/* bench_fork.c: see bench.h. What fork and the writes after it cost in the page tables alone. */
#include <ashlar/error.h>
#include <inttypes.h>
#include <string.h>

#include "bench.h"
#include "platform.h"
#include "user_frames.h"

enum { MIB_MIN = 2, MIB_MAX = 128, MIB_STEP = 4, ROUNDS = 3 };

#define MIB           (UINT64_C(1) << 20)
#define FIRST_ADDRESS (UINT64_C(1) << 30)
#define OTHER_TABLE   (2 * MIB) /* the first address that another table of pages maps */

struct fork_bench {
    struct ash_vm *vm;
    struct ash_vm_space parent, child;
};

/* What the rounds of a row came to: the least of each. */
struct fork_costs {
    uint32_t fork, exit, first_write, next_write, other_write, last_exit;
};

/* Page by page, as touching them would. */
static int fill(struct ash_vm_space *space, uint64_t bytes) {
    ash_pfn_t frame;
    int error = 0;
    for (uint64_t at = 0; at < bytes && error == 0; at += ASH_PAGE_SIZE) {
        if (!user_frame_alloc(&frame))
            return -ASH_ENOMEM;
        error = ash_vm_map(space, FIRST_ADDRESS + at, frame << ASH_PAGE_SHIFT, ASH_PAGE_SIZE,
                           ASH_VM_READ | ASH_VM_WRITE | ASH_VM_USER, 0);
        if (error != 0)
            user_frame_free(frame);
    }
    return error;
}

static void end(struct ash_vm_space *space) {
    ash_vm_space_fini(space);
    while (ash_vm_reap(space, UINT32_MAX)) {}
}

static uint32_t write_to(struct ash_vm_space *space, uint64_t offset) {
    uint32_t since = platform_cost();
    (void)ash_vm_fault(space, FIRST_ADDRESS + offset, ASH_VM_WRITE | ASH_VM_USER);
    return platform_cost() - since;
}

static void least(uint32_t *cost, uint32_t value) {
    if (value < *cost)
        *cost = value;
}

/* One fork whose child ends at once, and one whose parent writes. */
static int play_round(struct fork_bench *bench, uint32_t flags, struct fork_costs *costs) {
    uint32_t since = platform_cost();
    int error = ash_vm_fork(&bench->child, &bench->parent, flags);
    if (error != 0)
        return error;
    least(&costs->fork, platform_cost() - since);
    since = platform_cost();
    end(&bench->child);
    least(&costs->exit, platform_cost() - since);
    error = ash_vm_fork(&bench->child, &bench->parent, flags);
    if (error != 0)
        return error;
    least(&costs->first_write, write_to(&bench->parent, 0));
    least(&costs->next_write, write_to(&bench->parent, ASH_PAGE_SIZE));
    least(&costs->other_write, write_to(&bench->parent, OTHER_TABLE));
    since = platform_cost();
    end(&bench->child);
    least(&costs->last_exit, platform_cost() - since);
    return 0;
}

static int play_size(struct fork_bench *bench, uint32_t mib, uint32_t flags,
                     struct fork_costs *costs) {
    int error = 0;
    memset(costs, 0xff, sizeof(*costs));
    for (uint32_t round = 0; round < ROUNDS && error == 0; round++) {
        error = ash_vm_space_init(&bench->parent, bench->vm, 0, 0);
        if (error != 0)
            break;
        error = fill(&bench->parent, mib * MIB);
        if (error == 0)
            error = play_round(bench, flags, costs);
        end(&bench->parent);
    }
    return error;
}

static void say_row(const struct bench_report *report, uint32_t mib, uint32_t flags,
                    const struct fork_costs *costs) {
    bench_say(report,
              "%5" PRIu32 " MiB, %-8s %9" PRIu32 " %9" PRIu32 " %9" PRIu32 " %9" PRIu32 " %9" PRIu32
              " %9" PRIu32,
              mib, (flags & ASH_VM_EAGER) != 0 ? "copied" : "shared", costs->fork, costs->exit,
              costs->first_write, costs->next_write, costs->other_write, costs->last_exit);
}

/* As far as memory goes. */
static int play_sizes(struct fork_bench *bench, const struct bench_report *report) {
    struct fork_costs costs;
    int error = 0;
    for (uint32_t mib = MIB_MIN; mib <= MIB_MAX && error == 0; mib *= MIB_STEP) {
        for (uint32_t i = 0; i < 2 && error == 0; i++) {
            uint32_t flags = i == 0 ? 0 : ASH_VM_EAGER;
            error = play_size(bench, mib, flags, &costs);
            if (error == 0)
                say_row(report, mib, flags, &costs);
        }
        if (error == -ASH_ENOMEM && mib != MIB_MIN) {
            bench_say(report, "%5" PRIu32 " MiB: the machine has not got so much memory", mib);
            return 0;
        }
    }
    return error;
}

int bench_fork(struct kernel_memory *memory, const struct bench_report *report) {
    struct fork_bench *bench = ash_kzalloc(&memory->heap, sizeof(*bench));
    if (bench == NULL)
        return -ASH_ENOMEM;
    bench->vm = user_frames_vm();
    bench_say(report, "%-19s %9s %9s %9s %9s %9s %9s", "resident, tables", "fork", "exit",
              "1st write", "same 2M", "other 2M", "exit");
    int error = play_sizes(bench, report);
    ash_kfree(&memory->heap, bench);
    return error;
}
