/* SPDX-License-Identifier: MIT */
/* Cases of the platform's own setjmp, which keeps more than C asks for. */
#include "harness/test.h"

#include <ashlar/port.h>

static volatile int value;

static __attribute__((noinline, noreturn)) void jump(jmp_buf buffer, uint32_t depth) {
    if (depth != 0)
        jump(buffer, depth - 1);
    longjmp(buffer, value);
}

TEST_CASE(setjmp, returns_what_longjmp_says_and_never_0) {
    static const int given[] = {1, 2, -1, 0};
    static const int returned[] = {1, 2, -1, 1};
    for (volatile uint32_t i = 0; i < 4; i++) {
        jmp_buf buffer;
        volatile uint32_t times = 0;
        value = given[i];
        int result = setjmp(buffer);
        CHECK_EQ(++times, result == 0 ? 1 : 2);
        if (result == 0)
            jump(buffer, 10);
        CHECK_EQ(result, returned[i]);
    }
}

TEST_CASE(setjmp, jump_out_of_a_masked_and_pinned_section_leaves_it) {
    jmp_buf buffer;
    volatile uint64_t depth = port_pin_depth();
    volatile ash_irq_t before = ash_port_irq_save();
    ash_port_irq_restore(before);
    value = 1;
    if (setjmp(buffer) == 0) {
        uint32_t cpu;
        (void)ash_port_irq_save();
        ash_port_pin(&cpu);
        jump(buffer, 3);
    }
    ash_irq_t after = ash_port_irq_save();
    ash_port_irq_restore(before);
    CHECK_EQ(after, before);
    CHECK_EQ(port_pin_depth(), depth);
}
