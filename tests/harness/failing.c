/* SPDX-License-Identifier: MIT */
/*
 * Cases that end in every way that a case can end: the harness is right if it says so of each, and
 * if those that pass still do, between all the others. The line above a case is what
 * check_failing.py wants the runner to report: ok, skip or fail, and a part of the message.
 */
#include <ashlar/check.h>
#include <ashlar/port.h>

#include "harness/test.h"
#include "platform.h"

/* EXPECT ok */
TEST_CASE(_harness, passes_at_this_end) {
    CHECK(true);
}

/* EXPECT fail "does not hold: 1 == two" */
TEST_CASE(_harness, check) {
    volatile int two = 2;
    CHECK(1 == two);
}

/* EXPECT fail "two is 2 (0x2), expected -1 = -1 (0xffffffffffffffff)" */
TEST_CASE(_harness, equality) {
    volatile int two = 2;
    CHECK_EQ(two, -1);
}

/* EXPECT fail "is "slab", expected "buddy"" */
TEST_CASE(_harness, strings) {
    const char *name = "slab";
    CHECK_STR_EQ(name, "buddy");
}

/* EXPECT fail "is "?[2J??slab", expected "buddy"" */
TEST_CASE(_harness, message_with_any_bytes) {
    const char *name = "\x1b[2J\xc2\x9bslab";
    CHECK_STR_EQ(name, "buddy");
}

/* EXPECT fail "differs at byte 2 of 4: 0x03, expected 0x33" */
TEST_CASE(_harness, memory) {
    const uint8_t actual[4] = {1, 2, 3, 4}, expected[4] = {1, 2, 0x33, 4};
    CHECK_MEM_EQ(actual, expected, sizeof(actual));
}

static void fail_deep_down(uint32_t depth) {
    if (depth != 0)
        fail_deep_down(depth - 1);
    CHECK(depth != 0);
}

/* EXPECT fail "does not hold: depth != 0" */
TEST_CASE(_harness, check_in_a_helper) {
    fail_deep_down(5);
}

/* EXPECT fail "panic: out of luck, 3 left" */
TEST_CASE(_harness, panic) {
    ash_panic("part.c", 1, "out of luck, %d left", 3);
}

/* EXPECT ok */
TEST_CASE(_harness, expected_panic) {
    CHECK_PANICS(ash_panic("part.c", 1, "out of luck"), "of luck");
}

/* EXPECT fail "did not panic: (void)0" */
TEST_CASE(_harness, expected_panic_that_does_not_come) {
    CHECK_PANICS((void)0, "luck");
}

/* EXPECT fail "panicked with "out of luck", expected "...of memory..."" */
TEST_CASE(_harness, other_panic_than_expected) {
    CHECK_PANICS(ash_panic("part.c", 1, "out of luck"), "of memory");
}

/* EXPECT fail "panic: second" */
TEST_CASE(_harness, second_panic_after_an_expected_one) {
    CHECK_PANICS(ash_panic("part.c", 1, "first"), "first");
    ash_panic("part.c", 1, "second");
}

static void panic_within_a_panic(void) {
    CHECK_PANICS(ash_panic("part.c", 1, "inner"), "inner");
    ash_panic("part.c", 1, "outer");
}

/* EXPECT ok */
TEST_CASE(_harness, expected_panics_nest) {
    CHECK_PANICS(panic_within_a_panic(), "outer");
}

/* EXPECT fail "does not hold: depth != 0" */
TEST_CASE(_harness, check_where_a_panic_is_expected) {
    CHECK_PANICS(fail_deep_down(2), "luck");
}

/* EXPECT fail "panic: after it" */
TEST_CASE(_harness, panic_after_that) {
    ash_panic("part.c", 1, "after it");
}

static void panic_while_masked(void) {
    (void)ash_port_irq_save();
    ash_panic("part.c", 1, "masked");
}

static void set_flag(void *context) {
    ash_store_relaxed((uint32_t *)context, 1);
}

/* EXPECT ok */
TEST_CASE(_harness, expected_panic_gives_the_interrupts_back) {
    uint32_t arrived = 0;
    CHECK_PANICS(panic_while_masked(), "masked");
    CHECK_EQ(platform_interrupt_self(set_flag, &arrived), 0);
    for (uint32_t i = 0; i < 100000 && ash_load_relaxed(&arrived) == 0; i++)
        ash_port_relax();
    CHECK_EQ(arrived, 1);
}

/* EXPECT fail "ended with interrupts masked" */
TEST_CASE(_harness, interrupts_left_masked) {
    (void)ash_port_irq_save();
}

/* EXPECT fail "panic: masked" */
TEST_CASE(_harness, panic_with_interrupts_masked) {
    panic_while_masked();
}

/* EXPECT ok */
TEST_CASE(_harness, interrupts_come_again_after_that) {
    uint32_t arrived = 0;
    CHECK_EQ(platform_interrupt_self(set_flag, &arrived), 0);
    for (uint32_t i = 0; i < 100000 && ash_load_relaxed(&arrived) == 0; i++)
        ash_port_relax();
    CHECK_EQ(arrived, 1);
}

static void check_on_the_last(void *context, uint32_t cpu) {
    (void)context;
    CHECK(cpu != 1);
}

/* EXPECT fail "on CPU 1: does not hold: cpu != 1" */
TEST_CASE(_harness, check_on_another_cpu) {
    test_run_on_cpus(check_on_the_last, NULL, 2);
}

static void panic_on_the_last(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == 1)
        ash_panic("part.c", 1, "CPU %u", cpu);
}

/* EXPECT fail "on CPU 1: panic: CPU 1" */
TEST_CASE(_harness, panic_on_another_cpu) {
    test_run_on_cpus(panic_on_the_last, NULL, 2);
}

static void expect_own_panic(void *context, uint32_t cpu) {
    (void)context;
    for (uint32_t i = 0; i < 100; i++)
        CHECK_PANICS(ash_panic("part.c", 1, "on %u", cpu), cpu == 0 ? "on 0" : "on 1");
}

/* EXPECT ok */
TEST_CASE(_harness, expected_panics_on_two_cpus_at_once) {
    test_run_on_cpus(expect_own_panic, NULL, 2);
}

static void fail_everywhere(void *context, uint32_t cpu) {
    (void)context;
    CHECK(cpu == UINT32_MAX);
}

/* EXPECT fail "does not hold: cpu == " */
TEST_CASE(_harness, check_on_every_cpu) {
    test_run_on_cpus(fail_everywhere, NULL, 2);
}

static void skip_everywhere(void *context, uint32_t cpu) {
    (void)context, (void)cpu;
    test_skip("no such thing on CPU");
}

/* EXPECT skip "no such thing on CPU" */
TEST_CASE(_harness, skip_on_cpus) {
    test_run_on_cpus(skip_everywhere, NULL, 2);
}

/* EXPECT skip "needs 1000 CPUs" */
TEST_CASE(_harness, more_cpus_than_there_are) {
    test_run_on_cpus(skip_everywhere, NULL, 1000);
}

/* EXPECT skip "because of 7" */
TEST_CASE(_harness, skip_with_a_reason) {
    test_skip("because of %d", 7);
}

/* EXPECT fail "test_alloc: " */
TEST_CASE(_harness, more_memory_than_the_arena) {
    (void)test_alloc(SIZE_MAX / 2, 16);
}

/* EXPECT ok */
TEST_CASE(_harness, memory_comes_back_zeroed) {
    for (uint32_t round = 0; round < 2; round++) {
        uint8_t *bytes = test_alloc(1000, 64);
        CHECK_EQ((uintptr_t)bytes % 64, 0);
        for (uint32_t i = 0; i < 1000; i++)
            CHECK_EQ(bytes[i], 0);
        memset(bytes, 0xff, 1000);
    }
}

/* EXPECT fail "[seed 1]" */
TEST_CASE(_harness, failure_with_a_seed_prints_it) {
    struct test_random random = test_random_from(test_seed());
    CHECK(test_random_below(&random, 10) == 10);
}

/* EXPECT ok */
TEST_CASE(_harness, passes_at_that_end) {
    CHECK(true);
}
