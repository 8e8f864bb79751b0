/* SPDX-License-Identifier: MIT */
/* timer.c: see timer.h. Generic Timer: Arm ARM D11.2. Also platform_now_ns and platform_wait. */
#include "timer.h"

#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/port.h>

#include "gic.h"
#include "platform.h"

enum { CTL_ENABLE = 1, NS_PER_S = 1000000000 };

static uint64_t frequency_hz, boot_ticks;

/* Barred from being read before what stands before it. */
static uint64_t counter(void) {
    __asm__ volatile("isb" ::: "memory");
    return ash_port_cycles();
}

static void control(uint64_t bits) {
    __asm__ volatile("msr cntv_ctl_el0, %0\n\tisb" ::"r"(bits));
}

/* One shot: the line is a level, low again once the timer is off. */
static void on_timer(void *context) {
    (void)context;
    control(0);
}

void timer_init(const struct board *board) {
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency_hz));
    ASH_REQUIRE(frequency_hz != 0, "timer: CNTFRQ_EL0 is 0: the firmware did not set it");
    boot_ticks = counter();
    control(0);
    gic_connect(board->timer_irq.intid, board->timer_irq.is_edge, on_timer, NULL);
}

/* The counter starts at 0 at reset and would need 584 years to wrap at 1 GHz. */
ash_ns_t platform_now_ns(void) {
    return ash_mul_div_u64(counter() - boot_ticks, NS_PER_S, frequency_hz);
}

void timer_arm(ash_ns_t deadline_ns) {
    control(0);
    if (deadline_ns == UINT64_MAX)
        return;
    /* Rounded up, so that the time has come when the interrupt does; saturates far in the
     * future. */
    uint64_t ticks = ash_mul_div_u64(deadline_ns, frequency_hz, NS_PER_S);
    uint64_t compare = ticks < UINT64_MAX - boot_ticks - 1 ? boot_ticks + ticks + 1 : UINT64_MAX;
    __asm__ volatile("msr cntv_cval_el0, %0" ::"r"(compare));
    control(CTL_ENABLE);
}

void platform_wait(ash_ns_t deadline_ns) {
    bool is_timed = deadline_ns != UINT64_MAX;
    if (is_timed)
        timer_arm(deadline_ns);
    /* A masked interrupt ends WFI all the same: what came since the caller looked is not missed.
     * Its handler is called from here: an exception would save and restore every register. */
    __asm__ volatile("dsb sy\n\twfi" ::: "memory");
    gic_dispatch();
    if (is_timed)
        control(0);
}
