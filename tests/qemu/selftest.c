/* SPDX-License-Identifier: MIT */
/*
 * Cases that fail on purpose, in suites that run only when named. `_selftest`: each fails as its
 * name says, and the next one runs; tests/boot/faults.py checks what each says. `_fatal`: each ends
 * the machine; tests/boot/panic.py boots once for each.
 */
#include "harness/test.h"

#include <ashlar/check.h>
#include <ashlar/port.h>

#include "kernel/trace.h"
#include "platform.h"

/* Opaque to the compiler, which would else turn these into traps of its own. */
static volatile uintptr_t address_8 = 8, address_0 = 0;
static volatile uint32_t endless = UINT32_MAX;
static const uint32_t constant = 1;
static const uint32_t *volatile address_constant = &constant;
static uint32_t code_in_data[2] = {0xd503201f, 0xd65f03c0}; /* nop; ret */

static void store(uintptr_t address) {
    *(volatile uint32_t *)address = 1;
}

static void (*volatile text)(uintptr_t address) = store;

static void call(uintptr_t address) {
    ((void (*)(void))address)();
}

static __attribute__((noinline)) uint32_t recurse(uint32_t depth) {
    volatile uint32_t local[64];
    local[depth % 64] = depth;
    return depth == 0 ? 0 : recurse(depth - 1) + local[depth % 64];
}

static void overflow_on_cpu_1(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == 1)
        CHECK(recurse(endless) != 0);
}

TEST_CASE(_selftest, stack_overflow_on_another_cpu) {
    test_run_on_cpus(overflow_on_cpu_1, NULL, 2);
}

static void count(void *context) {
    ++*(volatile uint32_t *)context;
}

static void count_on_cpu(void *context, uint32_t cpu) {
    ((volatile uint32_t *)context)[cpu]++;
}

/* Interrupts and the other CPU are as they should be. */
static void check_machine(void) {
    volatile uint32_t taken = 0, counts[2] = {0, 0};
    CHECK_EQ(platform_interrupt_self(count, (void *)&taken), 0);
    CHECK_EQ(taken, 1);
    test_run_on_cpus(count_on_cpu, (void *)counts, 2);
    CHECK_EQ(counts[0], 1);
    CHECK_EQ(counts[1], 1);
}

/* A compiler may lay out a file's cases in either order: one of the two is the last to run. */
TEST_CASE(_selftest, passes_at_that_end) {
    check_machine();
}

TEST_CASE(_selftest, failing_check) {
    CHECK_EQ(address_8, 9);
}

TEST_CASE(_selftest, panic) {
    ASH_REQUIRE(address_0 != 0, "selftest: the address is %u", (unsigned)address_0);
}

TEST_CASE(_selftest, null_store) {
    store(address_8);
}

TEST_CASE(_selftest, null_call) {
    call(address_0);
}

TEST_CASE(_selftest, stack_overflow) {
    CHECK(recurse(endless) != 0);
}

TEST_CASE(_selftest, write_to_text) {
    store((uintptr_t)text);
}

TEST_CASE(_selftest, write_to_constant) {
    store((uintptr_t)address_constant);
}

TEST_CASE(_selftest, call_of_data) {
    call((uintptr_t)code_in_data);
}

TEST_CASE(_selftest, undefined_instruction) {
    __asm__ volatile("udf #0");
}

/* QEMU does not check the alignment when sp is used; the exception's entry does. */
TEST_CASE(_selftest, misaligned_stack_pointer) {
    __asm__ volatile("sub sp, sp, #8\n\tudf #0");
}

/* By an exception return to the next instruction, with PSTATE.IL set. */
TEST_CASE(_selftest, illegal_execution_state) {
    uint64_t address, state;
    __asm__ volatile("msr daifset, #2\n\tadr %0, 1f\n\tmov %1, #0x3c5\n\torr %1, %1, #0x100000\n\t"
                     "msr elr_el1, %0\n\tmsr spsr_el1, %1\n\teret\n1:\tnop"
                     : "=&r"(address), "=&r"(state)::"memory");
}

/* The only one in the image: tests/boot/image.py looks for others, and that it finds this one. */
TEST_CASE(_selftest, floating_point) {
    __asm__ volatile(".inst 0x1e6e1000"); /* fmov d0, #1.0 */
}

TEST_CASE(_selftest, null_store_with_interrupts_masked) {
    (void)ash_port_irq_save();
    store(address_8);
}

static void store_on_cpu_1(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == 1)
        store(address_8);
}

TEST_CASE(_selftest, null_store_on_another_cpu) {
    test_run_on_cpus(store_on_cpu_1, NULL, 2);
}

TEST_CASE(_selftest, passes_at_this_end) {
    check_machine();
}

/* _fatal */

static void inner(uint32_t depth);

/* Through it each depth has a frame of its own, at any level of optimisation. */
static void (*volatile inner_again)(uint32_t depth) = inner;

static void inner(uint32_t depth) {
    if (depth != 0)
        inner_again(depth - 1);
    ASH_REQUIRE(address_0 != 0, "selftest: no hook took this, depth %u", depth);
}

TEST_CASE(_fatal, panic_without_hook) {
    platform_panic_hook = NULL;
    inner_again(2);
}

static void talk_or_panic(void *context, uint32_t cpu) {
    volatile uint32_t *lines = context;
    if (cpu == 0) {
        while (*lines < 3)
            ash_port_relax();
        inner(0);
    }
    for (;;) {
        platform_console_write("talk\n", 5);
        ++*lines;
    }
}

/* Outside test_run_on_cpus, whose bodies would fail the case. */
TEST_CASE(_fatal, panic_while_another_cpu_talks) {
    volatile uint32_t lines = 0;
    platform_panic_hook = NULL;
    CHECK_EQ(platform_run_on_cpus(talk_or_panic, (void *)&lines, 2), 0);
}

/* CPU 0 has its thousandth marker behind it when it ends, the others more. */
static void mark_or_panic(void *context, uint32_t cpu) {
    uint32_t *ready = context;
    for (uint64_t number = 1; cpu != 0 || number <= 1000; number++) {
        trace_mark(number);
        if (cpu != 0 && number == 1000)
            (void)ash_fetch_add(ready, 1u);
        while (cpu == 0 && number == 999 && ash_load_acquire(ready) != platform_cpu_count() - 1)
            ash_port_relax();
    }
    inner(0);
}

TEST_CASE(_fatal, panic_while_all_cpus_trace) {
    uint32_t ready = 0;
    platform_panic_hook = NULL;
    CHECK_EQ(platform_run_on_cpus(mark_or_panic, &ready, platform_cpu_count()), 0);
}

static void exit_on_cpu(void *context, uint32_t cpu) {
    (void)cpu;
    (void)ash_fetch_add((uint32_t *)context, 1u);
    while (ash_load_acquire((uint32_t *)context) != 2)
        ash_port_relax();
    platform_exit(30);
}

TEST_CASE(_fatal, exit_on_two_cpus_at_once) {
    uint32_t there = 0;
    CHECK_EQ(platform_run_on_cpus(exit_on_cpu, &there, 2), 0);
}

TEST_CASE(_fatal, null_store_without_hook) {
    platform_panic_hook = NULL;
    store(address_8);
}

TEST_CASE(_fatal, stack_overflow_without_hook) {
    platform_panic_hook = NULL;
    CHECK(recurse(endless) != 0);
}

static void store_in_interrupt(void *context) {
    (void)context;
    store(address_8);
}

/* The hook is set, but must not jump out of a handler. */
TEST_CASE(_fatal, null_store_in_interrupt) {
    CHECK_EQ(platform_interrupt_self(store_in_interrupt, NULL), 0);
}
