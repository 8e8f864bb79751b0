/* SPDX-License-Identifier: MIT */
/*
 * sampler.c: sampling of sample.h. Real clock: a timer of Linux for each CPU's thread, with a
 * signal of its own, which Linux repeats on the grid of periods; the ones that found it pending are
 * its overrun count. Manual clock: who moves it stops at each sample that is due (clock.c) and
 * raises a line, so a sample is exact, and its place is that where time moved.
 *
 * The signal looks at masked code, too, as a non-maskable interrupt does: who masks for long is
 * seen. So its handler raises no interrupt and takes no lock.
 *
 * Under a sanitizer that keeps signals back (HOSTED_NOTES_SIGNALS) what was interrupted is not
 * known when the handler runs at last: nothing is sampled by a real clock.
 */
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "hosted_internal.h"
#include "platform.h"
#include "sample.h"

#define NS_PER_S   UINT64_C(1000000000)
#define PERIOD_MAX (UINT64_C(1) << 62)

/* A CPU's own, but due_ns, which who moves the manual clock reads. handler is NULL while it does
 * not sample; `round` tells a signal that was on its way when its timer was deleted. */
static struct sampler {
    void (*handler)(void *context, const struct platform_sample *sample);
    void *context;
    uintptr_t stack_low, stack_high; /* of the CPU's thread */
    ash_ns_t period_ns;
    ash_ns_t due_ns; /* manual; 0 otherwise */
    timer_t timer;
    bool has_timer;
    int round;
} samplers[ASH_PORT_CPUS_MAX];

static void find_stack(const struct sampler *sampler, struct platform_sample *sample) {
    uintptr_t low = sampler->stack_low, high = sampler->stack_high;
    if ((sample->sp < low || sample->sp >= high) && !hosted_stack_bounds(sample->sp, &low, &high)) {
        low = sample->sp;
        high = ash_align_down(sample->sp, ASH_PAGE_SIZE) + ASH_PAGE_SIZE;
    }
    sample->stack_low = low;
    sample->stack_high = high;
}

static void read_registers(const ucontext_t *machine, struct platform_sample *sample) {
#if defined(__x86_64__)
    sample->pc = (uint64_t)machine->uc_mcontext.gregs[REG_RIP];
    sample->sp = (uint64_t)machine->uc_mcontext.gregs[REG_RSP];
    sample->fp = (uint64_t)machine->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
    sample->pc = machine->uc_mcontext.pc;
    sample->sp = machine->uc_mcontext.sp;
    sample->fp = machine->uc_mcontext.regs[29];
    sample->link = machine->uc_mcontext.regs[30];
#else
    (void)machine, (void)sample;
#endif
}

/* Inside the C library's sleep there are no frame records: the place is platform_wait. */
static void set_waiting(struct platform_sample *sample) {
    sample->is_waiting = true;
    sample->is_link_live = false;
    sample->pc = (uintptr_t)platform_wait;
    sample->fp = 0;
}

static void on_sample(int number, siginfo_t *info, void *machine) {
    struct platform_sample sample = {.clock = ash_port_cycles()};
    (void)number;
    HOSTED_CPU_INCREMENT(irq_depth);
    struct sampler *sampler = &samplers[HOSTED_CPU_READ(index)];
    if (sampler->handler != NULL && info->si_code == SI_TIMER &&
        info->si_value.sival_int == sampler->round) {
        sample.missed = info->si_overrun < 0 ? 0 : (uint32_t)info->si_overrun;
        read_registers(machine, &sample);
        find_stack(sampler, &sample);
        if (HOSTED_CPU_READ(waits) != 0)
            set_waiting(&sample);
        sampler->handler(sampler->context, &sample);
    }
    HOSTED_CPU_DECREMENT(irq_depth);
}

__attribute__((constructor)) static void boot(void) {
    struct sigaction action = {.sa_sigaction = on_sample, .sa_flags = SA_SIGINFO | SA_RESTART};
    hosted_signals(&action.sa_mask);
    sigaction(HOSTED_SIGNAL_SAMPLE, &action, NULL);
}

/* Manual clock */

ash_ns_t hosted_sample_next(uint32_t cpu) {
    ash_ns_t due_ns = ash_load_acquire(&samplers[cpu].due_ns);
    return due_ns == 0 ? UINT64_MAX : due_ns;
}

/* The place is the clock's, and has no caller: nobody else is there when time stands still. */
void hosted_sample_expired(uint32_t cpu) {
    struct sampler *sampler = &samplers[cpu];
    ash_ns_t now = platform_now_ns();
    if (sampler->handler == NULL || sampler->due_ns == 0 || now < sampler->due_ns)
        return;
    uint64_t missed = (now - sampler->due_ns) / sampler->period_ns;
    struct platform_sample sample = {.clock = ash_port_cycles(),
                                     .pc = (uintptr_t)hosted_clock_advance,
                                     .sp = (uintptr_t)__builtin_frame_address(0),
                                     .is_link_live = true,
                                     .missed = (uint32_t)ash_min_u64(missed, UINT32_MAX)};
    find_stack(sampler, &sample);
    if (HOSTED_CPU_READ(waits) != 0)
        set_waiting(&sample);
    ash_store_release(&sampler->due_ns, sampler->due_ns + (missed + 1) * sampler->period_ns);
    sampler->handler(sampler->context, &sample);
}

/* Start and stop */

static int start_linux(struct sampler *sampler) {
    uint64_t period_ns = sampler->period_ns;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = HOSTED_SIGNAL_SAMPLE};
    event._sigev_un._tid = gettid();
    event.sigev_value.sival_int = ++sampler->round;
    if (timer_create(CLOCK_MONOTONIC, &event, &sampler->timer) != 0)
        return -ASH_ENOMEM;
    struct timespec period = {(time_t)(period_ns / NS_PER_S), (long)(period_ns % NS_PER_S)};
    struct itimerspec when = {.it_value = period, .it_interval = period};
    if (timer_settime(sampler->timer, 0, &when, NULL) != 0) {
        timer_delete(sampler->timer);
        return -ASH_ENOMEM;
    }
    sampler->has_timer = true;
    return 0;
}

int platform_sample_start(enum platform_trigger trigger, uint64_t period,
                          void (*handler)(void *context, const struct platform_sample *sample),
                          void *context) {
    bool is_manual = hosted_clock_is_manual();
    if (trigger != PLATFORM_TRIGGER_TIMER || (!is_manual && HOSTED_NOTES_SIGNALS))
        return -ASH_ENOTSUP;
    if (period < PLATFORM_SAMPLE_NS_MIN || period > PERIOD_MAX)
        return -ASH_EINVAL;
    ash_irq_t state = ash_port_irq_save();
    struct sampler *sampler = &samplers[HOSTED_CPU_READ(index)];
    int error = sampler->handler != NULL ? -ASH_EBUSY : 0;
    if (error == 0) {
        sampler->context = context;
        sampler->period_ns = period;
        ash_store_release(&sampler->handler, handler);
        if (is_manual)
            ash_store_release(&sampler->due_ns, platform_now_ns() + period);
        else
            error = start_linux(sampler);
        if (error != 0)
            ash_store_release(&sampler->handler, NULL);
    }
    ash_port_irq_restore(state);
    return error;
}

void hosted_sample_leave(uint32_t cpu) {
    struct sampler *sampler = &samplers[cpu];
    if (sampler->has_timer) {
        timer_delete(sampler->timer);
        sampler->has_timer = false;
    }
}

/* Handlers may start to sample: they cannot ask the C library where the stack is. */
static void read_stack(struct sampler *sampler) {
    pthread_attr_t attributes;
    void *low = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getstack(&attributes, &low, &bytes);
        pthread_attr_destroy(&attributes);
    }
    sampler->stack_low = (uintptr_t)low;
    sampler->stack_high = (uintptr_t)low + bytes;
}

/* Without a timer it samples no more, as if it had been stopped. */
void hosted_sample_enter(uint32_t cpu) {
    struct sampler *sampler = &samplers[cpu];
    read_stack(sampler);
    if (sampler->handler != NULL && sampler->due_ns == 0 && start_linux(sampler) != 0)
        hosted_sample_forget(cpu);
}

void hosted_sample_forget(uint32_t cpu) {
    struct sampler *sampler = &samplers[cpu];
    ash_store_release(&sampler->handler, NULL);
    ash_store_release(&sampler->due_ns, UINT64_C(0));
    hosted_sample_leave(cpu);
}

void platform_sample_stop(void) {
    ash_irq_t state = ash_port_irq_save();
    hosted_sample_expired(HOSTED_CPU_READ(index)); /* the manual clock's line may be on its way */
    hosted_sample_forget(HOSTED_CPU_READ(index));
    ash_port_irq_restore(state);
}

/* Programs are played by functions, in the kernel's own memory. */
bool platform_sample_read_user(uint64_t root, uint64_t address, uint64_t words[2]) {
    (void)root, (void)address, (void)words;
    return false;
}

/* A process may not ask the CPU's counters without leave of its owner. */
int platform_counter_read(enum platform_counter counter, uint64_t *value) {
    (void)counter, (void)value;
    return -ASH_ENOTSUP;
}
