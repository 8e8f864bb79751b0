/* SPDX-License-Identifier: MIT */
/*
 * timer.c: see timer.h. Generic Timer: Arm ARM D11.2. A CPU has one, set to the earlier of two
 * deadlines: that of platform_timer_arm and that of the platform_wait which it is in.
 */
#include "timer.h"

#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/port.h>

#include "cpu.h"
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

uint64_t platform_clock_hz(void) {
    return frequency_hz;
}

/* The line is a level: low while the timer is off, and until its time has come. */
static void set(ash_ns_t deadline_ns) {
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

/* Also that of a wait, whose end needs no handler. */
static void on_timer(void *context) {
    (void)context;
    struct cpu *cpu = cpu_this();
    if (cpu->timer_deadline_ns <= platform_now_ns()) {
        cpu->timer_deadline_ns = UINT64_MAX;
        control(0);
        cpu->timer_handler(cpu->timer_context);
    } else {
        set(cpu->timer_deadline_ns);
    }
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

int platform_timer_arm(ash_ns_t deadline_ns, void (*handler)(void *context), void *context) {
    ash_irq_t state = ash_port_irq_save();
    struct cpu *cpu = cpu_this();
    cpu->timer_deadline_ns = deadline_ns;
    cpu->timer_handler = handler;
    cpu->timer_context = context;
    set(deadline_ns);
    ash_port_irq_restore(state);
    return 0;
}

void platform_timer_disarm(void) {
    ash_irq_t state = ash_port_irq_save();
    cpu_this()->timer_deadline_ns = UINT64_MAX;
    control(0);
    ash_port_irq_restore(state);
}

void platform_wait(ash_ns_t deadline_ns) {
    const struct cpu *cpu = cpu_this();
    bool is_earlier = deadline_ns < cpu->timer_deadline_ns;
    if (is_earlier)
        set(deadline_ns);
    /* A masked interrupt ends WFI all the same: what came since the caller looked is not missed.
     * Its handler is called from here: an exception would save and restore every register. */
    __asm__ volatile("dsb sy\n\twfi" ::: "memory");
    gic_dispatch(NULL, CPU_INTERRUPTS_WAIT);
    if (is_earlier)
        set(cpu->timer_deadline_ns);
}
