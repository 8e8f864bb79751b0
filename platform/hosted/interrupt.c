/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c: interrupt lines, and their delivery to CPUs.
 *
 * A line that is raised sets a bit in the pending word of the CPU's thread. The thread's own mask
 * depth decides when handlers run: at once in hosted_interrupt_raise or in the signal handler, or
 * when ash_port_irq_restore unmasks. Another thread is told by a signal; nobody else's mask costs a
 * system call.
 */
#include <ashlar/error.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "hosted.h"
#include "hosted_internal.h"
#include "platform.h"

struct handler {
    void (*run)(void *context);
    void *context;
};

/* HOSTED_LINE_SELF is of each CPU, HOSTED_LINE_TIMER is run by clock.c; the rest is shared: its
 * lock is taken with interrupts masked. */
static struct handler handlers[HOSTED_LINES];
static struct ash_spinlock handlers_lock;
static struct handler self_handlers[ASH_PORT_CPUS_MAX];

/* Who is that CPU now. `lock` is only taken with interrupts masked: a handler takes it too. */
static struct {
    struct ash_spinlock lock;
    struct hosted_cpu *where;
    pthread_t thread;
} targets[ASH_PORT_CPUS_MAX];

void (*platform_after_interrupt)(bool may_switch);

static void run_line(uint32_t line) {
    uint32_t cpu = hosted_this_cpu.index;
    if (line == HOSTED_LINE_TIMER) {
        hosted_timer_expired(cpu);
        return;
    }
    struct handler handler;
    if (line == HOSTED_LINE_SELF) {
        handler = self_handlers[cpu];
        self_handlers[cpu].run = NULL;
    } else {
        ash_spin_lock(&handlers_lock);
        handler = handlers[line];
        ash_spin_unlock(&handlers_lock);
    }
    if (handler.run != NULL)
        handler.run(handler.context);
}

void hosted_irq_replay(void) {
    struct hosted_cpu *cpu = &hosted_this_cpu;
    do {
        cpu->irq_depth++;
        ash_port_compiler_fence();
        for (uint32_t pending; (pending = ash_exchange(&cpu->irq_pending, 0u)) != 0;) {
            for (uint32_t line = 0; line < HOSTED_LINES; line++) {
                if ((pending >> line & 1) != 0)
                    run_line(line);
            }
        }
        ash_port_compiler_fence();
        cpu->irq_depth--;
        ash_port_compiler_fence();
    } while (ash_load_relaxed(&cpu->irq_pending) != 0);
}

/* Runs what is pending although the caller holds the mask, and masks again. */
static void open_window(void) {
    uint32_t depth = hosted_this_cpu.irq_depth;
    hosted_this_cpu.irq_depth = 0;
    ash_port_compiler_fence();
    if (ash_load_relaxed(&hosted_this_cpu.irq_pending) != 0)
        hosted_irq_replay();
    ash_port_compiler_fence();
    hosted_this_cpu.irq_depth = depth;
}

/*
 * Only this CPU's thread gets here, at any instruction: it touches nothing that a lock protects.
 * Linux blocks both signals up to the moment when handlers run, so that a storm of them cannot pile
 * up frames; then they are open, for a handler may leave by longjmp, and find the mask taken.
 */
static void on_signal(int number, siginfo_t *info, void *machine) {
    int saved = errno;
    (void)info, (void)machine;
    if (number == HOSTED_SIGNAL_TIMER)
        __atomic_fetch_or(&hosted_this_cpu.irq_pending, 1u << HOSTED_LINE_TIMER, __ATOMIC_RELAXED);
    if (hosted_this_cpu.irq_depth == 0 && ash_load_relaxed(&hosted_this_cpu.irq_pending) != 0) {
        sigset_t interrupts;
        hosted_signals(&interrupts);
        ash_irq_t state = ash_port_irq_save();
        pthread_sigmask(SIG_UNBLOCK, &interrupts, NULL);
        ash_port_irq_restore(state);
    }
    errno = saved;
}

void hosted_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, HOSTED_SIGNAL_KICK);
    sigaddset(set, HOSTED_SIGNAL_TIMER);
}

/* Runs before main, on the thread that is CPU 0, whoever's main it is. */
__attribute__((constructor)) static void boot(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    hosted_signals(&action.sa_mask);
    sigaction(HOSTED_SIGNAL_KICK, &action, NULL);
    sigaction(HOSTED_SIGNAL_TIMER, &action, NULL);
    hosted_cpu_enter(0);
}

void hosted_interrupt_target(uint32_t cpu, struct hosted_cpu *where) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&targets[cpu].lock);
    targets[cpu].where = where;
    targets[cpu].thread = pthread_self();
    ash_spin_unlock(&targets[cpu].lock);
    ash_port_irq_restore(state);
}

void hosted_interrupt_move(uint32_t cpu, const struct hosted_cpu *from, struct hosted_cpu *to) {
    ash_spin_lock(&targets[cpu].lock);
    *to = *from;
    targets[cpu].where = to;
    targets[cpu].thread = pthread_self(); /* a fiber's CPU has had no other */
    ash_spin_unlock(&targets[cpu].lock);
}

static int deliver(uint32_t cpu, uint32_t bits) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&targets[cpu].lock);
    struct hosted_cpu *where = targets[cpu].where;
    if (where != NULL) {
        /* Bits that stood there already have their signal on the way. */
        uint32_t before = __atomic_fetch_or(&where->irq_pending, bits, __ATOMIC_ACQ_REL);
        if (where != &hosted_this_cpu && (before == 0 || bits == 0))
            pthread_kill(targets[cpu].thread, HOSTED_SIGNAL_KICK);
    }
    ash_spin_unlock(&targets[cpu].lock);
    ash_port_irq_restore(state);
    return where == NULL ? -ASH_ENXIO : 0;
}

void hosted_interrupt_kick(uint32_t cpu) {
    (void)deliver(cpu, 0);
}

int hosted_interrupt_raise(uint32_t cpu, uint32_t line) {
    if (cpu >= ASH_PORT_CPUS_MAX || line >= HOSTED_LINES)
        return -ASH_EINVAL;
    return deliver(cpu, 1u << line);
}

void hosted_interrupt_connect(uint32_t line, void (*handler)(void *context), void *context) {
    if (line <= HOSTED_LINE_SELF || line >= HOSTED_LINES)
        return;
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&handlers_lock);
    handlers[line] = (struct handler){handler, context};
    ash_spin_unlock(&handlers_lock);
    ash_port_irq_restore(state);
}

int platform_interrupt_self(void (*handler)(void *context), void *context) {
    int error = -ASH_EBUSY;
    ash_irq_t state = ash_port_irq_save();
    struct handler *self = &self_handlers[hosted_this_cpu.index];
    if (self->run == NULL) {
        *self = (struct handler){handler, context};
        error = deliver(hosted_this_cpu.index, 1u << HOSTED_LINE_SELF);
    }
    ash_port_irq_restore(state);
    return error;
}

/* A CPU that does not run has nothing to be woken from. */
void platform_wake(uint32_t cpu) {
    (void)hosted_interrupt_raise(cpu, HOSTED_LINE_WAKE);
}

void platform_wait(ash_ns_t deadline_ns) {
    bool idle =
        ash_load_relaxed(&hosted_this_cpu.irq_pending) == 0 && platform_now_ns() < deadline_ns;
    /* The devices are stepped by one CPU, the one that takes their interrupts. */
    if (idle && !(hosted_this_cpu.index == 0 && hosted_mmio_step())) {
        if (!hosted_fiber_wait(deadline_ns))
            hosted_sleep(deadline_ns);
    }
    open_window();
}
