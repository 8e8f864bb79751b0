/* SPDX-License-Identifier: MIT */
/*
 * clock.c: time, real or manual; the one-shot timers; sleeping.
 *
 * Real: CLOCK_MONOTONIC since start, timers of Linux that signal the CPU's own thread. Manual: a
 * number; who moves it raises what became due.
 */
#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "hosted.h"
#include "hosted_internal.h"
#include "platform.h"

#define NEVER           UINT64_MAX
#define NS_PER_S        UINT64_C(1000000000)
#define DEADLINE_MAX_NS ((uint64_t)INT64_MAX / 2) /* 146 years: keeps sums inside time_t's range */

static struct {
    bool manual;
    ash_ns_t now_ns;  /* manual */
    ash_ns_t boot_ns; /* real: CLOCK_MONOTONIC at start */
    uint64_t boot_cycles;
} time_base;

/* deadline_ns is written by its CPU and by who drops all timers, read by who moves the clock. */
static struct {
    ash_ns_t deadline_ns;
    void (*handler)(void *context);
    void *context;
    timer_t linux_timer;
    bool has_linux_timer;
} timers[ASH_PORT_CPUS_MAX];

/* CPUs asleep under the manual clock; taken with interrupts masked. */
static struct {
    struct ash_spinlock lock;
    uint32_t count;
    ash_ns_t deadlines_ns[ASH_PORT_CPUS_MAX];
} asleep;

static ash_ns_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (ash_ns_t)now.tv_sec * NS_PER_S + (ash_ns_t)now.tv_nsec;
}

__attribute__((constructor)) static void boot(void) {
    time_base.boot_ns = monotonic_ns();
    time_base.boot_cycles = ash_port_cycles();
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX; cpu++)
        timers[cpu].deadline_ns = asleep.deadlines_ns[cpu] = NEVER;
}

ash_ns_t platform_now_ns(void) {
    hosted_poll_at_once();
    if (ash_load_relaxed(&time_base.manual))
        return ash_load_acquire(&time_base.now_ns);
    return monotonic_ns() - time_base.boot_ns;
}

bool hosted_clock_is_manual(void) {
    return ash_load_acquire(&time_base.manual);
}

/* The counter is read beside Linux's clock, at the start and now; the first call waits until the
 * two are far enough apart for six digits. */
uint64_t platform_clock_hz(void) {
    static uint64_t measured_hz;
    enum { APART_NS = 20000000 };
    uint64_t hz = ash_load_relaxed(&measured_hz);
    if (hz != 0)
        return hz;
    ash_ns_t elapsed_ns;
    do {
        elapsed_ns = monotonic_ns() - time_base.boot_ns;
    } while (elapsed_ns < APART_NS);
    hz = ash_mul_div_u64(ash_port_cycles() - time_base.boot_cycles, NS_PER_S, elapsed_ns);
    ash_store_relaxed(&measured_hz, hz);
    return hz;
}

/* Timers */

static void disarm_linux(uint32_t cpu) {
    if (timers[cpu].has_linux_timer)
        timer_settime(timers[cpu].linux_timer, 0, &(struct itimerspec){0}, NULL);
}

static int arm_linux(uint32_t cpu, ash_ns_t deadline_ns) {
    if (!timers[cpu].has_linux_timer) {
        struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                                 .sigev_signo = HOSTED_SIGNAL_TIMER};
        event._sigev_un._tid = gettid();
        if (timer_create(CLOCK_MONOTONIC, &event, &timers[cpu].linux_timer) != 0)
            return -ASH_ENOMEM;
        timers[cpu].has_linux_timer = true;
    }
    ash_ns_t at = time_base.boot_ns + ash_min_u64(deadline_ns, DEADLINE_MAX_NS);
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)}};
    return timer_settime(timers[cpu].linux_timer, TIMER_ABSTIME, &when, NULL) != 0 ? -ASH_ENOMEM
                                                                                   : 0;
}

int platform_timer_arm(ash_ns_t deadline_ns, void (*handler)(void *context), void *context) {
    ash_irq_t state = ash_port_irq_save();
    uint32_t cpu = HOSTED_CPU_READ(index);
    timers[cpu].handler = handler;
    timers[cpu].context = context;
    ash_store_release(&timers[cpu].deadline_ns, deadline_ns);
    int error = 0;
    if (!time_base.manual)
        error = arm_linux(cpu, deadline_ns);
    else if (deadline_ns <= platform_now_ns())
        error = hosted_interrupt_raise(cpu, HOSTED_LINE_TIMER);
    if (error != 0)
        ash_store_release(&timers[cpu].deadline_ns, NEVER);
    ash_port_irq_restore(state);
    return error;
}

void platform_timer_disarm(void) {
    ash_irq_t state = ash_port_irq_save();
    uint32_t cpu = HOSTED_CPU_READ(index);
    ash_store_release(&timers[cpu].deadline_ns, NEVER);
    disarm_linux(cpu);
    ash_port_irq_restore(state);
}

/* A signal of a timer that was replaced or cancelled meanwhile finds nothing due. */
void hosted_timer_expired(uint32_t cpu) {
    if (ash_load_acquire(&timers[cpu].deadline_ns) > platform_now_ns())
        return;
    ash_store_release(&timers[cpu].deadline_ns, NEVER);
    timers[cpu].handler(timers[cpu].context);
}

void hosted_timer_forget(uint32_t cpu) {
    ash_store_release(&timers[cpu].deadline_ns, NEVER);
    if (timers[cpu].has_linux_timer) {
        timer_delete(timers[cpu].linux_timer);
        timers[cpu].has_linux_timer = false;
    }
}

/* The clock */

static void forget_all_timers(void) {
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX; cpu++) {
        hosted_timer_forget(cpu);
        hosted_sample_forget(cpu);
    }
}

void hosted_clock_set_manual(ash_ns_t now_ns) {
    forget_all_timers();
    ash_store_release(&time_base.now_ns, now_ns);
    ash_store_release(&time_base.manual, true);
}

void hosted_clock_set_real(void) {
    forget_all_timers();
    ash_store_release(&time_base.manual, false);
}

/* The first timer, or sample, after `after`, or `limit` if that is earlier. */
static ash_ns_t next_timer(ash_ns_t after, ash_ns_t limit) {
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX; cpu++) {
        ash_ns_t deadline = ash_load_acquire(&timers[cpu].deadline_ns);
        if (deadline > after)
            limit = ash_min_u64(limit, deadline);
        if (hosted_sample_next(cpu) > after)
            limit = ash_min_u64(limit, hosted_sample_next(cpu));
    }
    return limit;
}

static void move_to(ash_ns_t now_ns) {
    ash_store_release(&time_base.now_ns, now_ns);
    for (uint32_t cpu = 0; cpu < ASH_PORT_CPUS_MAX; cpu++) {
        if (ash_load_acquire(&timers[cpu].deadline_ns) <= now_ns)
            (void)hosted_interrupt_raise(cpu, HOSTED_LINE_TIMER);
        if (hosted_sample_next(cpu) <= now_ns)
            (void)hosted_interrupt_raise(cpu, HOSTED_LINE_SAMPLE);
    }
}

void hosted_clock_advance(ash_ns_t by_ns) {
    ASH_REQUIRE(time_base.manual, "hosted_clock_advance: the clock is real; "
                                  "hosted_clock_set_manual comes first");
    ash_ns_t now = platform_now_ns();
    ash_ns_t target = now + ash_min_u64(by_ns, NEVER - 1 - now);
    while ((now = next_timer(now, target)) < target)
        move_to(now);
    move_to(target);
}

bool hosted_clock_jump(ash_ns_t deadline_ns) {
    ash_ns_t now = platform_now_ns(), next = next_timer(now, deadline_ns);
    if (next == NEVER)
        return false;
    move_to(ash_max_u64(next, now));
    return true;
}

/* Sleeping */

/*
 * Called with the signals blocked, which only ppoll opens: one that comes after the look at the
 * pending bits, or after the caller's at the other CPUs, ends the sleep before it begins. Console
 * input ends it only if a read has asked for some since the last time: bytes that nobody wants yet
 * must not turn waiting into spinning.
 */
static void sleep_in_poll(ash_ns_t deadline_ns, const sigset_t *opened) {
    ash_ns_t now = deadline_ns == NEVER ? 0 : platform_now_ns();
    if (hosted_irq_is_pending() || now >= deadline_ns)
        return;
    ash_ns_t left = ash_min_u64(deadline_ns - now, DEADLINE_MAX_NS);
    struct timespec timeout = {(time_t)(left / NS_PER_S), (long)(left % NS_PER_S)};
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    bool listens = HOSTED_CPU_READ(index) == 0 && hosted_console_poll_wanted();
    if (ppoll(&input, listens, deadline_ns == NEVER ? NULL : &timeout, opened) > 0)
        hosted_console_woken();
}

bool hosted_input_is_ready(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return hosted_console_poll_wanted() && poll(&input, 1, 0) > 0;
}

/* Time moves when the last CPU falls asleep, to the earliest deadline of any. Signals blocked: once
 * this CPU counts as asleep, the one that moves time wakes it by a signal alone. */
static void sleep_manual(uint32_t cpu, ash_ns_t deadline_ns, const sigset_t *opened) {
    ash_spin_lock(&asleep.lock);
    asleep.deadlines_ns[cpu] = deadline_ns;
    bool last = ++asleep.count == hosted_cpus_running() && !hosted_input_is_ready();
    ash_ns_t earliest = NEVER;
    for (uint32_t i = 0; i < ASH_PORT_CPUS_MAX; i++)
        earliest = ash_min_u64(earliest, asleep.deadlines_ns[i]);
    ash_spin_unlock(&asleep.lock);
    if (last && hosted_clock_jump(earliest))
        hosted_kick_others();
    else
        sleep_in_poll(NEVER, opened);
    ash_spin_lock(&asleep.lock);
    asleep.count--;
    asleep.deadlines_ns[cpu] = NEVER;
    ash_spin_unlock(&asleep.lock);
}

/* Returns what was blocked before. */
static sigset_t block_signals(void) {
    sigset_t interrupts, before;
    hosted_signals(&interrupts);
    pthread_sigmask(SIG_BLOCK, &interrupts, &before);
    return before;
}

void hosted_sleep(ash_ns_t deadline_ns) {
    sigset_t before = block_signals();
    if (time_base.manual)
        sleep_manual(HOSTED_CPU_READ(index), deadline_ns, &before);
    else
        sleep_in_poll(deadline_ns, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void hosted_sleep_for_input(void) {
    sigset_t before = block_signals();
    sleep_in_poll(NEVER, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
