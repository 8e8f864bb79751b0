/* SPDX-License-Identifier: MIT */
/* Cases of what is aarch64's about preemption: each register, the flags, one exception for all that
 * is pending, and faults. */
#include <ashlar/port.h>

#include "harness/test.h"
#include "platform.h"

enum { STACK_BYTES = 16 << 10, SLICE_NS = 20000, PREEMPTIONS = 10000 };

/*
 * uint64_t mix_registers(uint64_t seed, uint64_t rounds): x0..x29, without the CPU's x18, are all
 * alive; each round adds to each its neighbour and the carry of the one before. x30 counts.
 */
__asm__(".pushsection .text.mix_registers, \"ax\"\n"
        ".type mix_registers, %function\n"
        "mix_registers:\n"
        "    stp x19, x20, [sp, #-96]!\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    mov x30, x1\n"
        "    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,19,20,21,22,23,24,25,26,27,28,29\n"
        "    add x\\n, x0, x0, lsl #\\n\n"
        "    .endr\n"
        "    cmn xzr, xzr\n"
        "1:\n"
        "    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n"
        "    adcs x\\n, x\\n, x17\n"
        "    .endr\n"
        "    .irp n, 17,19,20,21,22,23,24,25,26,27,28,29\n"
        "    adcs x\\n, x\\n, x16\n"
        "    .endr\n"
        "    sub x30, x30, #1\n"
        "    cbnz x30, 1b\n"
        "    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,19,20,21,22,23,24,25,26,27,28,29\n"
        "    eor x0, x0, x\\n\n"
        "    .endr\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x19, x20, [sp], #96\n"
        "    ret\n"
        ".size mix_registers, . - mix_registers\n"
        ".popsection");
uint64_t mix_registers(uint64_t seed, uint64_t rounds);

enum { ROUNDS = 200 };

/* Two contexts of CPU 0; the first is the case's own. */
static struct {
    struct platform_context contexts[2];
    uint32_t current;
    uint32_t preemptions;
    uint32_t wrong[2];
    ash_irq_t unmasked;
} pair;

static void (*hook_before)(bool may_switch);

static void take_turns(bool may_switch) {
    uint32_t from = pair.current;
    if (!may_switch || pair.preemptions == PREEMPTIONS)
        return;
    pair.current = 1 - from;
    pair.preemptions++;
    platform_context_switch(&pair.contexts[from], &pair.contexts[1 - from]);
}

static void ring(void *context) {
    if (pair.preemptions < PREEMPTIONS)
        (void)!platform_timer_arm(platform_now_ns() + SLICE_NS, ring, context);
}

static void mix_until_over(uint32_t index) {
    uint64_t seed = test_seed() + index;
    ash_irq_t state = ash_port_irq_save();
    uint64_t expected = mix_registers(seed, ROUNDS);
    ash_port_irq_restore(state);
    while (ash_load_relaxed(&pair.preemptions) < PREEMPTIONS)
        pair.wrong[index] += mix_registers(seed, ROUNDS) != expected;
}

/* The number is even, so it is preempted last, and stays where it was switched away. */
static void be_the_second(void *argument) {
    (void)argument;
    ash_port_irq_restore(pair.unmasked);
    mix_until_over(1);
    for (;;)
        ash_port_relax();
}

TEST_CASE(preempt_qemu, every_register_and_flag_is_kept) {
    memset(&pair, 0, sizeof(pair));
    pair.unmasked = ash_port_irq_save();
    platform_context_init(&pair.contexts[1], test_alloc(STACK_BYTES, 16), STACK_BYTES,
                          be_the_second, NULL);
    hook_before = platform_after_interrupt;
    platform_after_interrupt = take_turns;
    (void)!platform_timer_arm(platform_now_ns() + SLICE_NS, ring, NULL);
    ash_port_irq_restore(pair.unmasked);
    mix_until_over(0);
    platform_timer_disarm();
    platform_after_interrupt = hook_before;
    CHECK_EQ(pair.preemptions, PREEMPTIONS);
    CHECK_EQ(pair.wrong[0], 0);
    CHECK_EQ(pair.wrong[1], 0);
}

static uint32_t handled, calls, handled_at_call;

static void count_handler(void *context) {
    (void)context;
    handled++;
}

static void count_call(bool may_switch) {
    (void)may_switch;
    calls++;
    handled_at_call = handled;
}

TEST_CASE(preempt_qemu, two_interrupts_at_once_are_one_call) {
    handled = calls = 0;
    hook_before = platform_after_interrupt;
    platform_after_interrupt = count_call;
    ash_irq_t state = ash_port_irq_save();
    int error = platform_timer_arm(platform_now_ns(), count_handler, NULL);
    error |= platform_interrupt_self(count_handler, NULL);
    ash_ns_t begin = platform_now_ns();
    while (platform_now_ns() < begin + 1000000)
        ash_port_relax(); /* the emulator's timer needs a moment */
    ash_port_irq_restore(state);
    while (ash_load_relaxed(&handled) < 2 && platform_now_ns() < begin + UINT64_C(60000000000))
        ash_port_relax();
    platform_after_interrupt = hook_before;
    CHECK_EQ(error, 0);
    CHECK_EQ(handled, 2);
    CHECK_EQ(calls, 1);
    CHECK_EQ(handled_at_call, 2);
}

static volatile uintptr_t address_8 = 8;
static void (*panic_hook_before)(const char *file, uint32_t line, const char *message);
static volatile ash_irq_t state_at_fault, state_after;

static void note_state(const char *file, uint32_t line, const char *message) {
    state_at_fault = ash_port_irq_save();
    state_after = ash_port_irq_save();
    platform_panic_hook = panic_hook_before;
    platform_panic_hook(file, line, message);
}

/* A fault's report lies with the CPU: who formats it must not move. */
TEST_CASE(preempt_qemu, a_fault_is_reported_with_interrupts_masked) {
    panic_hook_before = platform_panic_hook;
    platform_panic_hook = note_state;
    CHECK_PANICS(*(volatile uint32_t *)address_8 = 1, "NULL store");
    CHECK(state_at_fault == state_after);
    ash_irq_t state = ash_port_irq_save();
    ash_port_irq_restore(state);
    CHECK(state != state_at_fault);
}
