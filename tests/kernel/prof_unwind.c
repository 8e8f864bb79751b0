/* SPDX-License-Identifier: MIT */
/*
 * Cases of kernel/prof_unwind.h, on the hosted x86-64: a piece of work is executed instruction by
 * instruction (the trap flag: AMD64 Architecture Programmer's Manual 2, 13.1.4), and at each the
 * answer is held against a stack of return addresses that is kept by looking at calls and returns.
 */
#define _GNU_SOURCE /* the registers of an interrupted context */
#include "kernel/prof_unwind.h"

#include <signal.h>
#include <stdio.h>
#include <ucontext.h>

#include "harness/test.h"
#include "hosted/hosted_internal.h"
#include "kernel/memory_fixture.h"
#include "kernel/prof.h"
#include "kernel/prof_look.h"

#if defined(__x86_64__)

enum { TRAP_FLAG = 0x100, DEPTH_MAX = 64, MEMORY_BYTES = 16 << 20 };

static struct {
    struct prof_unwind unwind;
    uint64_t stack_high;
    uint64_t returns[DEPTH_MAX]; /* the innermost is the last one */
    uint32_t depth;
    bool runs;
    uint64_t last_pc, last_sp;
    uint64_t in_kernel, in_library, unknown_in_library, not_in_step;
    uint64_t wrong, wrong_pc, wrong_link, right_link;
} steps;

static bool is_kernels(uint64_t address) {
    return address >= steps.unwind.codes[0].start && address < steps.unwind.codes[0].end;
}

/* `ret`, with a prefix or without. */
static bool is_return(uint64_t pc) {
    const uint8_t *code = (const uint8_t *)(uintptr_t)pc;
    if (code[0] == 0xf2 || code[0] == 0xf3)
        code++;
    return code[0] == 0xc3 || code[0] == 0xc2;
}

/* It has left the address behind itself on the stack, and is not there. */
static bool is_call(uint64_t pc, uint64_t sp) {
    uint64_t word = *(const uint64_t *)(uintptr_t)sp;
    return sp == steps.last_sp - 8 && word > steps.last_pc + 1 && word < steps.last_pc + 9 &&
           pc != word;
}

static void follow(uint64_t pc, uint64_t sp) {
    if (is_return(steps.last_pc)) {
        if (steps.depth == 0 || steps.returns[--steps.depth] != pc)
            steps.not_in_step++;
    } else if (is_call(pc, sp) && steps.depth < DEPTH_MAX) {
        steps.returns[steps.depth++] = *(const uint64_t *)(uintptr_t)sp;
    }
}

static void note_wrong(uint64_t pc, uint64_t link, uint64_t right) {
    if (steps.wrong++ == 0) {
        steps.wrong_pc = pc;
        steps.wrong_link = link;
        steps.right_link = right;
    }
}

/* The last but `skip` of the kernel's return addresses; 0: there are not so many. */
static uint64_t return_in_kernel(uint32_t skip) {
    for (uint32_t i = steps.depth; i-- > 0;) {
        if (is_kernels(steps.returns[i]) && skip-- == 0)
            return steps.returns[i];
    }
    return 0;
}

static void compare(const struct platform_sample *sample) {
    struct ash_prof_registers kernel = {.pc = sample->pc,
                                        .fp = sample->fp,
                                        .is_link = ASH_PROF_LINK_RECORD,
                                        .low = sample->stack_low,
                                        .high = sample->stack_high};
    bool in_kernel = is_kernels(sample->pc);
    uint64_t right = return_in_kernel(0), next = return_in_kernel(1);
    if (right == 0)
        return;
    prof_unwind_apply(&steps.unwind, sample, &kernel);
    steps.in_kernel += in_kernel;
    steps.in_library += !in_kernel;
    if (!in_kernel && kernel.is_link != ASH_PROF_LINK_LIVE)
        steps.unknown_in_library++;
    else if (kernel.is_link != ASH_PROF_LINK_LIVE || kernel.link != right)
        note_wrong(sample->pc, kernel.link, right);
    else if (next != 0 && ((const uint64_t *)(uintptr_t)kernel.fp)[1] != next)
        note_wrong(sample->pc, ((const uint64_t *)(uintptr_t)kernel.fp)[1], next);
}

/* The first breakpoint begins, the second one ends. */
static void on_trap(int number, siginfo_t *info, void *context) {
    ucontext_t *machine = context;
    greg_t *registers = machine->uc_mcontext.gregs;
    struct platform_sample sample = {.pc = (uint64_t)registers[REG_RIP],
                                     .sp = (uint64_t)registers[REG_RSP],
                                     .fp = (uint64_t)registers[REG_RBP]};
    (void)number;
    if (info->si_code == SI_KERNEL) {
        steps.runs = !steps.runs;
        registers[REG_EFL] =
            steps.runs ? registers[REG_EFL] | TRAP_FLAG : registers[REG_EFL] & ~(greg_t)TRAP_FLAG;
    } else {
        follow(sample.pc, sample.sp);
        sample.stack_low = sample.sp - 128;
        sample.stack_high = steps.stack_high;
        compare(&sample);
    }
    steps.last_pc = sample.pc;
    steps.last_sp = sample.sp;
}

__attribute__((noinline)) static void step_through(uint64_t (*work)(uint64_t), uint64_t argument) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, before;
    memset(&steps, 0, sizeof(steps));
    CHECK_EQ(prof_unwind_open(&steps.unwind, test_kernel_memory(MEMORY_BYTES)), 0);
    work(argument); /* the libraries' functions are bound by their first call */
    steps.stack_high = (uint64_t)(uintptr_t)__builtin_frame_address(0) + 16;
    sigaction(SIGTRAP, &action, &before);
    __asm__ volatile("int3" ::: "memory");
    work(argument);
    __asm__ volatile("int3" ::: "memory");
    sigaction(SIGTRAP, &before, NULL);
    CHECK_EQ(steps.not_in_step, 0);
    if (steps.wrong != 0)
        test_fail(__FILE__, __LINE__,
                  "%llu of %llu callers are wrong, first at %llx: %llx, not %llx",
                  (unsigned long long)steps.wrong,
                  (unsigned long long)(steps.in_kernel + steps.in_library),
                  (unsigned long long)steps.wrong_pc, (unsigned long long)steps.wrong_link,
                  (unsigned long long)steps.right_link);
}

/* What is stepped through */

__attribute__((noinline)) static uint64_t stepped_leaf(uint64_t x) {
    __asm__ volatile("" : "+r"(x));
    return x * 3 + 1;
}

__attribute__((noinline)) static uint64_t stepped_frame(uint64_t x) {
    return stepped_leaf(x) ^ stepped_leaf(x + 1);
}

__attribute__((noinline)) static uint64_t stepped_large(uint64_t x) {
    volatile uint64_t local[700];
    local[x % 700] = stepped_frame(x);
    return local[x % 700] + 1;
}

__attribute__((noinline)) static uint64_t stepped_tail(uint64_t x) {
    uint64_t y = stepped_leaf(x) + 5;
    __asm__ volatile("" : "+r"(y));
    return stepped_leaf(y);
}

static uint64_t stepped_functions(uint64_t x) {
    return stepped_leaf(x) + stepped_frame(x) + stepped_large(x) + stepped_tail(x);
}

/* The kernel's own: the index that it goes by. */
static uint64_t stepped_kernel(uint64_t x) {
    struct ash_prof_cfi_answer answer;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < x; i++) {
        const struct prof_unwind_code *code = &steps.unwind.codes[0];
        ash_prof_cfi_find(&code->cfi,
                          code->index.functions[code->cfi.functions_count * i / x].start + i,
                          &answer);
        sum += (uint64_t)answer.where;
    }
    return sum;
}

static uint64_t stepped_library(uint64_t x) {
    char text[64], copy[64];
    int len = snprintf(text, sizeof(text), "%llu %s %5.2f", (unsigned long long)x, "text", 2.5);
    memcpy(copy, text, (size_t)len + 1);
    return strlen(copy);
}

TEST_CASE(prof_caller, the_caller_is_right_at_every_instruction) {
    if (HOSTED_NOTES_SIGNALS)
        test_skip("the sanitizer's own calls would be stepped through");
    step_through(stepped_functions, 5);
    CHECK(steps.in_kernel > 50);
}

TEST_CASE(prof_caller, the_caller_is_right_all_over_the_kernel) {
    if (HOSTED_NOTES_SIGNALS)
        test_skip("the sanitizer's own calls would be stepped through");
    step_through(stepped_kernel, 8);
    CHECK(steps.in_kernel > 1000);
}

TEST_CASE(prof_caller, in_a_library_it_is_the_kernels_function_that_called_it) {
    if (HOSTED_NOTES_SIGNALS)
        test_skip("the sanitizer's own calls would be stepped through");
    step_through(stepped_library, 12345);
    CHECK(steps.in_library > 500);
    CHECK(steps.unknown_in_library < steps.in_library / 10);
}

/* The platform has said that it has none: nobody asks the call frame information. */
TEST_CASE(prof_caller, a_sample_by_the_manual_clock_has_none) {
    enum { HZ = 1000, SAMPLES = 20 };
    struct kernel_memory *memory = test_kernel_memory(MEMORY_BYTES);
    const struct prof_config config = {.hz = HZ, .samples = 64};
    struct ash_prof_sample_cursor cursor;
    struct ash_prof_view_sample sample;
    uint32_t seen = 0;
    int error;
    hosted_clock_set_manual(0);
    CHECK_EQ(prof_start(memory, &config), 0);
    hosted_clock_advance(SAMPLES * (UINT64_C(1000000000) / HZ));
    CHECK_EQ(prof_stop(), 0);
    hosted_clock_set_real();
    struct prof_look *look = prof_look_open(memory, &error);
    CHECK(look != NULL);
    ash_prof_samples_begin(&cursor);
    for (; ash_prof_samples_next(&look->view, 0, &cursor, &sample); seen++)
        CHECK_EQ(sample.frame_count, 1);
    CHECK_EQ(seen, SAMPLES);
    prof_look_close(look);
    prof_free();
}

static uint32_t samples_in(struct prof_look *look, const char *name) {
    struct ash_prof_sample_cursor cursor;
    struct ash_prof_view_sample sample;
    struct ash_prof_place place;
    uint32_t found = 0;
    ash_prof_samples_begin(&cursor);
    while (ash_prof_samples_next(&look->view, 0, &cursor, &sample)) {
        if (sample.frame_count != 0 &&
            ash_prof_view_place(&look->view, 0, sample.frames[0], false, &place) &&
            place.name != NULL && strcmp(place.name, name) == 0)
            found++;
    }
    return found;
}

/* The dynamic linker knows memfrob; what memset calls is one of several, which have no names. */
TEST_CASE(prof_library, samples_in_libc_have_its_functions_names) {
    static char bytes[4096];
    void *(*volatile fill)(void *, int, size_t) = memset; /* a call, and not what it does */
    struct kernel_memory *memory = test_kernel_memory(MEMORY_BYTES);
    const struct prof_config config = {.hz = 10000, .samples = 1024};
    struct ash_prof_counts counts;
    int error;
    if (HOSTED_NOTES_SIGNALS)
        test_skip("nothing is sampled under this sanitizer");
    CHECK_EQ(prof_start(memory, &config), 0);
    do {
        for (uint32_t i = 0; i < 100; i++)
            memfrob(bytes, sizeof(bytes));
        prof_count(&counts);
    } while (counts.taken < 60);
    do {
        for (uint32_t i = 0; i < 100; i++)
            fill(bytes, (int)i, sizeof(bytes));
        prof_count(&counts);
    } while (counts.taken < 120);
    CHECK_EQ(prof_stop(), 0);
    struct prof_look *look = prof_look_open(memory, &error);
    CHECK(look != NULL);
    CHECK(samples_in(look, "memfrob") >= 30);
    CHECK(samples_in(look, "[libc.so.6]") + samples_in(look, "memset") >= 10);
    prof_look_close(look);
    prof_free();
}

#endif
