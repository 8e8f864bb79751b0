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

/* HOSTED_LINE_CALL is of each CPU, HOSTED_LINE_TIMER is run by clock.c; the rest is shared: its
 * lock is taken with interrupts masked. */
static struct handler handlers[HOSTED_LINES];
static struct ash_spinlock handlers_lock;

/* Who has found it free fills it in. */
enum { CALL_FREE, CALL_TAKEN, CALL_READY };
static struct call {
    uint32_t state;
    struct handler handler;
} calls[ASH_PORT_CPUS_MAX];

/* Who is that CPU now. `lock` is only taken with interrupts masked: a handler takes it too. */
static struct {
    struct ash_spinlock lock;
    struct hosted_cpu *where;
    pthread_t thread;
} targets[ASH_PORT_CPUS_MAX];

void (*platform_after_interrupt)(bool may_switch);
void (*platform_around_interrupt)(uint32_t line, bool begins);

static struct handler take_call(struct call *call) {
    if (ash_load_acquire(&call->state) != CALL_READY)
        return (struct handler){NULL, NULL};
    struct handler handler = call->handler;
    ash_store_release(&call->state, (uint32_t)CALL_FREE);
    return handler;
}

static void run_handler(uint32_t line) {
    uint32_t cpu = HOSTED_CPU_READ(index);
    if (line == HOSTED_LINE_TIMER) {
        hosted_timer_expired(cpu);
        return;
    }
    if (line == HOSTED_LINE_SAMPLE) {
        hosted_sample_expired(cpu);
        return;
    }
    struct handler handler;
    if (line == HOSTED_LINE_CALL) {
        handler = take_call(&calls[cpu]);
    } else {
        ash_spin_lock(&handlers_lock);
        handler = handlers[line];
        ash_spin_unlock(&handlers_lock);
    }
    if (handler.run != NULL)
        handler.run(handler.context);
}

static void run_line(uint32_t line) {
    void (*around)(uint32_t, bool) = ash_load_relaxed(&platform_around_interrupt);
    if (around != NULL)
        around(line, true);
    run_handler(line);
    if (around != NULL)
        around(line, false);
}

/* Masked, so on this CPU to the end. */
static void run_pending(void) {
    uint32_t *word = &hosted_here()->irq_pending;
    for (uint32_t pending; (pending = ash_exchange(word, 0u)) != 0;) {
        for (uint32_t line = 0; line < HOSTED_LINES; line++) {
            if ((pending >> line & 1) != 0)
                run_line(line);
        }
    }
}

static void run_pending_and_ask(void) {
    run_pending();
    if (platform_after_interrupt != NULL)
        platform_after_interrupt(HOSTED_MAY_SWITCH && HOSTED_CPU_READ(pin_depth) == 0);
}

/*
 * Called at depth 0 alone, and handlers, like the hook, run at 1: so it does not nest. The depth is
 * the CPU's: who was switched away in the hook may come back on another one, at the depth of who
 * switched to it.
 */
void hosted_irq_replay(void) {
    do {
        HOSTED_CPU_INCREMENT(irq_depth);
        run_pending_and_ask();
        HOSTED_CPU_WRITE(irq_depth, 0u);
    } while (hosted_irq_is_pending());
}

/* errno is the thread's, and its address a constant to a compiler: looked up once a call here. */
__attribute__((noinline)) static void set_errno(int value) {
    errno = value;
}

/*
 * The same for what a signal found, on its frame. Linux blocks both signals but while handlers run,
 * so that a storm of them cannot pile up frames. Then they are open, for a handler may leave by
 * longjmp, the hook by a switch, and find the mask taken.
 *
 * Who was switched away may be on another thread now. What the frame will put back must be right
 * for that one: the mask, which is the same for all CPUs, and the stack for faults. From the look
 * at that stack to the end of the frame nobody may move it again.
 */
static void replay_on_frame(ucontext_t *frame) {
    sigset_t interrupts;
    hosted_signals(&interrupts);
    HOSTED_CPU_INCREMENT(irq_depth);
    do {
        pthread_sigmask(SIG_UNBLOCK, &interrupts, NULL);
        run_pending_and_ask();
        pthread_sigmask(SIG_BLOCK, &interrupts, NULL);
    } while (hosted_irq_is_pending());
    HOSTED_CPU_WRITE(irq_depth, 0u);
    sigaltstack(NULL, &frame->uc_stack);
}

/*
 * Only this CPU's thread gets here, at any instruction: it touches nothing that a lock protects.
 * The runtime of a sanitizer may be what it interrupts, and that knows its thread: nobody may go on
 * from there on another one. So with one of these it only notes what came, for hosted_poll_at_once
 * or the next unmasking. (That for threads calls it late anyway, going through a list of its own.)
 */
static void on_signal(int number, siginfo_t *info, void *machine) {
    int saved = errno;
    (void)info;
    struct hosted_cpu *cpu = hosted_here();
    if (number == HOSTED_SIGNAL_TIMER)
        __atomic_fetch_or(&cpu->irq_pending, 1u << HOSTED_LINE_TIMER, __ATOMIC_RELAXED);
    if (!HOSTED_NOTES_SIGNALS && cpu->irq_depth == 0 && ash_load_relaxed(&cpu->irq_pending) != 0)
        replay_on_frame(machine);
    set_errno(saved);
}

void hosted_poll_at_once(void) {
    if (!HOSTED_NOTES_SIGNALS || HOSTED_CPU_READ(irq_depth) != 0)
        return;
    pthread_sigmask(SIG_BLOCK, NULL, NULL); /* TSan calls on_signal in there */
    if (hosted_irq_is_pending())
        hosted_irq_replay();
}

void hosted_poll(void) {
    enum { EVERY = 64 };
    HOSTED_CPU_INCREMENT(spins);
    if (HOSTED_CPU_READ(spins) % EVERY == 0)
        hosted_poll_at_once();
}

void hosted_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, HOSTED_SIGNAL_KICK);
    sigaddset(set, HOSTED_SIGNAL_TIMER);
}

/*
 * The thread sanitizer keeps signals in memory of the context's own, which it maps when the first
 * comes, or when pthread_kill or poll is first called; if that is interrupted by the first signal
 * this maps another, and is forgotten with it. So it is mapped here: no signal is number 0.
 */
void hosted_signals_prepare(void) {
    if (HOSTED_TSAN)
        pthread_kill(pthread_self(), 0);
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
        if (where != hosted_here() && (before == 0 || bits == 0))
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
    if (line <= HOSTED_LINE_SAMPLE || line >= HOSTED_LINES)
        return;
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&handlers_lock);
    handlers[line] = (struct handler){handler, context};
    ash_spin_unlock(&handlers_lock);
    ash_port_irq_restore(state);
}

static int send_call(uint32_t cpu, void (*handler)(void *context), void *context) {
    struct call *call = &calls[cpu];
    uint32_t free = CALL_FREE;
    if (!ash_compare_exchange(&call->state, &free, (uint32_t)CALL_TAKEN))
        return -ASH_EBUSY;
    call->handler = (struct handler){handler, context};
    ash_store_release(&call->state, (uint32_t)CALL_READY);
    int error = deliver(cpu, 1u << HOSTED_LINE_CALL);
    if (error != 0)
        ash_store_release(&call->state, (uint32_t)CALL_FREE);
    return error;
}

int platform_interrupt_self(void (*handler)(void *context), void *context) {
    ash_irq_t state = ash_port_irq_save();
    int error = send_call(HOSTED_CPU_READ(index), handler, context);
    ash_port_irq_restore(state);
    return error;
}

int platform_interrupt_cpu(uint32_t cpu, void (*handler)(void *context), void *context) {
    if (cpu >= platform_cpu_count())
        return -ASH_EINVAL;
    ash_irq_t state = ash_port_irq_save();
    int error = send_call(cpu, handler, context);
    ash_port_irq_restore(state);
    return error;
}

/* A CPU that does not run has nothing to be woken from. */
void platform_wake(uint32_t cpu) {
    (void)hosted_interrupt_raise(cpu, HOSTED_LINE_WAKE);
}

/* Whatever is pending runs although the caller holds the mask, which stays: no context is switched
 * away in here. */
void platform_wait(ash_ns_t deadline_ns) {
    bool idle = !hosted_irq_is_pending() && platform_now_ns() < deadline_ns;
    HOSTED_CPU_WRITE(waits, 1u);
    /* The devices are stepped by one CPU, the one that takes their interrupts. */
    if (idle && !(HOSTED_CPU_READ(index) == 0 && hosted_mmio_step())) {
        if (!hosted_fiber_wait(deadline_ns))
            hosted_sleep(deadline_ns);
    }
    run_pending();
    HOSTED_CPU_WRITE(waits, 0u);
}
