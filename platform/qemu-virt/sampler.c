/* SPDX-License-Identifier: MIT */
/*
 * sampler.c: sampling of sample.h: by the physical timer of EL1 (Arm ARM D11.2), or by the overflow
 * of the cycle counter (D7.5), both of them private to a CPU, as are their interrupts.
 *
 * Samples lie on a grid of periods: the next one is a multiple of the period behind the last one
 * that was due, whatever the way to the handler took. One that is masked longer is not taken twice
 * at the place where interrupts open again.
 */
#include "sampler.h"

#include <ashlar/bits.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

#include "cpu.h"
#include "direct_map.h"
#include "exception.h"
#include "gic.h"
#include "pmu.h"
#include "sample.h"
#include "stack_map.h"
#include "symbols.h"
#include "user_init.h"

enum { CTL_ENABLE = 1 };
#define NS_PER_S   UINT64_C(1000000000)
#define PERIOD_MAX (UINT64_C(1) << 62)

/* A CPU's own; handler is NULL while it does not sample. */
static struct sampler {
    void (*handler)(void *context, const struct platform_sample *sample);
    void *context;
    uint64_t period, due; /* of the counter, or of the cycles */
    enum platform_trigger trigger;
} __attribute__((aligned(ASH_PORT_CACHE_LINE))) samplers[ASH_PORT_CPUS_MAX];

static bool has_timer, has_cycles;

/* What was interrupted */

/* Where it is unknown (a test's own stack) the rest of sp's page can be read, for sp is in use. */
static void find_stack(const struct cpu *cpu, struct platform_sample *sample) {
    uint64_t base = cpu->stack_top - CPU_STACK_BYTES;
    if (sample->sp - base < CPU_STACK_BYTES) {
        sample->stack_low = base;
        sample->stack_high = cpu->stack_top;
    } else if (!stack_map_bounds(sample->sp, &sample->stack_low, &sample->stack_high)) {
        sample->stack_low = sample->sp;
        sample->stack_high = ash_align_down(sample->sp, ASH_PAGE_SIZE) + ASH_PAGE_SIZE;
    }
}

/* The record is gic_dispatch's: {x29 of who waited, where it goes on}. */
static void describe_wait(const struct cpu *cpu, struct platform_sample *sample) {
    sample->is_waiting = true;
    sample->pc = cpu->dispatch_record[1];
    sample->fp = cpu->dispatch_record[0];
    sample->sp = sample->fp;
}

static void describe(const struct cpu *cpu, struct platform_sample *sample) {
    const struct interrupted *registers = cpu->interrupted;
    if (cpu->in_interrupt == CPU_INTERRUPTS_WAIT) {
        describe_wait(cpu, sample);
    } else {
        sample->pc = registers->pc;
        sample->sp = registers->sp;
        sample->fp = registers->x[29];
        sample->link = registers->x[30];
        sample->is_user = cpu->in_interrupt == CPU_INTERRUPTS_USER;
        if (sample->is_user)
            return;
        sample->is_link_live = symbols_is_link_live(sample->pc);
    }
    find_stack(cpu, sample);
}

static void take(struct sampler *sampler, uint64_t clock, uint64_t missed) {
    struct platform_sample sample = {.clock = clock,
                                     .missed = (uint32_t)ash_min_u64(missed, UINT32_MAX)};
    describe(cpu_this(), &sample);
    sampler->handler(sampler->context, &sample);
}

/* The two triggers. Both lines are levels: they go down when the next time is set. */

static uint64_t physical_counter(void) {
    uint64_t count;
    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(count)::"memory");
    return count;
}

static void timer_set(uint64_t due) {
    __asm__ volatile("msr cntp_cval_el0, %0\n\tisb" ::"r"(due));
}

static void timer_control(uint64_t bits) {
    __asm__ volatile("msr cntp_ctl_el0, %0\n\tisb" ::"r"(bits));
}

static void on_timer(void *context) {
    (void)context;
    uint64_t clock = ash_port_cycles();
    struct sampler *sampler = &samplers[cpu_this()->index];
    if (sampler->handler == NULL)
        return;
    uint64_t missed = (physical_counter() - sampler->due) / sampler->period;
    sampler->due += (missed + 1) * sampler->period;
    timer_set(sampler->due);
    take(sampler, clock, missed);
}

/* The counter stands at what has passed since it overflowed. */
static void on_overflow(void *context) {
    (void)context;
    uint64_t clock = ash_port_cycles();
    struct sampler *sampler = &samplers[cpu_this()->index];
    if (sampler->handler == NULL)
        return;
    uint64_t late = pmu_cycles_overflowed();
    uint64_t missed = late / sampler->period;
    pmu_cycles_add(UINT64_C(0) - (missed + 1) * sampler->period);
    take(sampler, clock, missed);
}

void sampler_init(const struct board *board) {
    has_timer = board->physical_timer_irq.intid != 0;
    has_cycles = board->pmu_irq.intid != 0 && pmu_has_cycles();
    if (has_timer)
        gic_connect(board->physical_timer_irq.intid, board->physical_timer_irq.is_edge, on_timer,
                    NULL);
    if (has_cycles)
        gic_connect(board->pmu_irq.intid, board->pmu_irq.is_edge, on_overflow, NULL);
}

static void start_timer(struct sampler *sampler) {
    uint64_t frequency_hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency_hz));
    sampler->period = ash_max_u64(ash_mul_div_u64(sampler->period, frequency_hz, NS_PER_S), 1);
    sampler->due = physical_counter() + sampler->period;
    timer_set(sampler->due);
    timer_control(CTL_ENABLE);
}

int platform_sample_start(enum platform_trigger trigger, uint64_t period,
                          void (*handler)(void *context, const struct platform_sample *sample),
                          void *context) {
    bool is_timer = trigger == PLATFORM_TRIGGER_TIMER;
    if (!(is_timer ? has_timer : trigger == PLATFORM_TRIGGER_CYCLES && has_cycles))
        return -ASH_ENOTSUP;
    if (period < (is_timer ? PLATFORM_SAMPLE_NS_MIN : PLATFORM_SAMPLE_CYCLES_MIN) ||
        period > PERIOD_MAX)
        return -ASH_EINVAL;
    ash_irq_t state = ash_port_irq_save();
    struct sampler *sampler = &samplers[cpu_this()->index];
    int error = sampler->handler != NULL ? -ASH_EBUSY : 0;
    if (error == 0) {
        *sampler = (struct sampler){
            .handler = handler, .context = context, .period = period, .trigger = trigger};
        if (is_timer)
            start_timer(sampler);
        else
            pmu_cycles_arm(period);
    }
    ash_port_irq_restore(state);
    return error;
}

void platform_sample_stop(void) {
    ash_irq_t state = ash_port_irq_save();
    struct sampler *sampler = &samplers[cpu_this()->index];
    if (sampler->handler != NULL && sampler->trigger == PLATFORM_TRIGGER_TIMER)
        timer_control(0);
    else if (sampler->handler != NULL)
        pmu_cycles_disarm();
    sampler->handler = NULL;
    ash_port_irq_restore(state);
}

/* AT S1E0R (Arm ARM D8.15) never faults; of PAR_EL1, bits 63..56 are the memory's attributes: those
 * of a device begin with 0000. */
bool platform_sample_read_user(uint64_t root, uint64_t address, uint64_t words[2]) {
    enum { ATTRIBUTES_SHIFT = 60, FAULT = 1 };
    const uint64_t frame_mask = UINT64_C(0x0000fffffffff000);
    uint64_t result;
    if (!ash_is_aligned(address, 16) || !user_is_root_here(root))
        return false;
    __asm__ volatile("at s1e0r, %1\n\tisb\n\tmrs %0, par_el1"
                     : "=r"(result)
                     : "r"(address)
                     : "memory");
    if ((result & FAULT) != 0 || result >> ATTRIBUTES_SHIFT == 0)
        return false;
    const uint64_t *from = direct_map_pointer((result & frame_mask) | address % ASH_PAGE_SIZE);
    words[0] = from[0];
    words[1] = from[1];
    return true;
}
