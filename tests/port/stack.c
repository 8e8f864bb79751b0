/* SPDX-License-Identifier: MIT */
/* The conformance suite's part about stacks: platform_stack_map, and what happens below one. */
#include <ashlar/port.h>

#include "harness/asan.h"
#include "harness/test.h"
#include "platform.h"

enum { STACK_BYTES = 16 << 10 };

static void *pages(size_t bytes) {
    return test_alloc(bytes, ASH_PAGE_SIZE);
}

TEST_CASE(stack, is_memory_from_end_to_end) {
    void *memory = pages(PLATFORM_STACK_BYTES_MAX);
    for (size_t bytes = ASH_PAGE_SIZE; bytes <= PLATFORM_STACK_BYTES_MAX; bytes *= 2) {
        unsigned char *stack = platform_stack_map(memory, bytes, "bytes");
        CHECK(stack != NULL);
        CHECK(ash_is_aligned((uintptr_t)stack, ASH_PAGE_SIZE));
        for (size_t i = 0; i < bytes; i += 512)
            stack[i] = (unsigned char)(i / 512);
        stack[bytes - 1] = 77;
        for (size_t i = 0; i < bytes; i += 512)
            CHECK_EQ(stack[i], (unsigned char)(i / 512));
        platform_stack_unmap(stack);
    }
    memset(memory, 1, PLATFORM_STACK_BYTES_MAX); /* it is the caller's again */
}

TEST_CASE(stack, there_are_so_many_and_then_none) {
    char *page = pages(ASH_PAGE_SIZE), *stacks[PLATFORM_STACKS_MAX + 1];
    for (uint32_t round = 0; round < 2; round++) {
        uint32_t count = 0;
        while (count <= PLATFORM_STACKS_MAX &&
               (stacks[count] = platform_stack_map(page, ASH_PAGE_SIZE, "one of many")) != NULL)
            stacks[count++][0] = 1;
        for (uint32_t i = count; i-- != 0;)
            platform_stack_unmap(stacks[i]);
        CHECK_EQ(count, PLATFORM_STACKS_MAX);
    }
}

TEST_CASE(stack, that_is_none_is_not_unmapped) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    void *stack = platform_stack_map(pages(STACK_BYTES), STACK_BYTES, "once");
    CHECK(stack != NULL);
    CHECK_PANICS(platform_stack_unmap((char *)stack + ASH_PAGE_SIZE), "is no stack");
    platform_stack_unmap(stack);
    CHECK_PANICS(platform_stack_unmap(stack), "is no stack");
}

TEST_CASE(stack, of_a_size_that_is_none_panics) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    void *memory = pages(STACK_BYTES);
    CHECK_PANICS((void)!platform_stack_map(memory, 0, "none"), "whole pages");
    CHECK_PANICS((void)!platform_stack_map(memory, 100, "short"), "whole pages");
    CHECK_PANICS((void)!platform_stack_map((char *)memory + 64, ASH_PAGE_SIZE, "askew"),
                 "whole pages");
    CHECK_PANICS((void)!platform_stack_map(memory, PLATFORM_STACK_BYTES_MAX + ASH_PAGE_SIZE, "big"),
                 "at most");
}

struct reader {
    const volatile uint64_t *at;
    uint64_t seen[ASH_PORT_CPUS_MAX];
};

static void read_it(void *context, uint32_t cpu) {
    struct reader *reader = context;
    reader->seen[cpu] = *reader->at;
}

/* What another CPU knows of an address from before must not outlive the stack. */
TEST_CASE(stack, is_the_same_on_every_cpu) {
    char *memory = pages(8 * ASH_PAGE_SIZE);
    uint32_t cpus = platform_cpu_count();
    for (uint64_t round = 0; round < 8; round++) {
        struct reader reader = {0};
        uint64_t *stack = platform_stack_map(memory + round * ASH_PAGE_SIZE, ASH_PAGE_SIZE, "seen");
        CHECK(stack != NULL);
        *stack = 100 + round;
        reader.at = stack;
        test_run_on_cpus(read_it, &reader, cpus);
        platform_stack_unmap(stack);
        for (uint32_t cpu = 0; cpu < cpus; cpu++)
            CHECK_EQ(reader.seen[cpu], 100 + round);
    }
}

/* Running over */

static __attribute__((noinline)) uint32_t recurse(volatile uint32_t *depth) {
    volatile unsigned char frame[64];
    frame[0] = (unsigned char)(*depth)++;
    return *depth == UINT32_MAX ? 0 : recurse(depth) + frame[0];
}

static void run_over(void *argument) {
    (void)recurse(argument);
}

static __attribute__((noinline)) void use_a_large_frame(void *argument) {
    volatile char frame[3 * STACK_BYTES];
    __asm__ volatile("" ::"r"(frame) : "memory"); /* all of it: clang keeps what is used */
    frame[0] = 1;
    *(volatile uint32_t *)argument = (uint32_t)frame[0];
}

static void run_far_over(void *argument) {
    use_a_large_frame(argument);
}

static void run(void (*entry)(void *argument), void *stack) {
    uint32_t depth = 0;
    struct platform_context here = {0}, context;
    platform_context_init(&context, stack, STACK_BYTES, entry, &depth);
    platform_context_switch(&here, &context);
}

static void require_plain_faults(void) {
    if (TEST_STACK_IS_WATCHED)
        test_skip("a sanitizer reports it and ends the process");
}

TEST_CASE(stack, overflow_panics_with_its_name) {
    void *memory = pages(2 * STACK_BYTES);
    require_plain_faults();
    void *deep = platform_stack_map(memory, STACK_BYTES, "deep");
    void *other = platform_stack_map((char *)memory + STACK_BYTES, STACK_BYTES, "other");
    CHECK(deep != NULL && other != NULL);
    for (uint32_t i = 0; i < 2; i++) { /* and again: nothing is left of the first time */
        CHECK_PANICS(run(run_over, deep), "stack overflow of \"deep\"");
        CHECK_PANICS(run(run_over, other), "stack overflow of \"other\"");
    }
    platform_stack_unmap(other);
    platform_stack_unmap(deep);
}

TEST_CASE(stack, overflow_by_one_large_frame_is_seen_too) {
    void *memory = pages(2 * STACK_BYTES);
    require_plain_faults();
    void *below = platform_stack_map(memory, STACK_BYTES, "below");
    void *above = platform_stack_map((char *)memory + STACK_BYTES, STACK_BYTES, "above");
    CHECK(below != NULL && above != NULL);
    CHECK_PANICS(run(run_far_over, above), "stack overflow of \"above\"");
    CHECK_PANICS(run(run_far_over, below), "stack overflow of \"below\"");
    platform_stack_unmap(above);
    platform_stack_unmap(below);
}

/* Sites, as deep as the platform can tell: they end where the context began. */
struct trace {
    struct platform_context here, context;
    uint32_t count;
};

static void trace_here(void *argument) {
    struct trace *trace = argument;
    uintptr_t sites[8];
    trace->count = platform_stack(sites, ASH_ARRAY_LEN(sites));
    platform_context_exit(&trace->context, &trace->here);
}

TEST_CASE(stack, is_walked_to_its_end_and_not_beyond) {
    struct trace trace = {.count = 0};
    uintptr_t sites[8];
    void *stack = platform_stack_map(pages(STACK_BYTES), STACK_BYTES, "walked");
    CHECK(stack != NULL);
    platform_context_init(&trace.context, stack, STACK_BYTES, trace_here, &trace);
    platform_context_switch(&trace.here, &trace.context);
    platform_context_fini(&trace.context);
    platform_stack_unmap(stack);
    CHECK(platform_stack(sites, ASH_ARRAY_LEN(sites)) == 0 ? trace.count == 0
                                                           : trace.count >= 1 && trace.count <= 3);
}
