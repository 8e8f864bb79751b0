/* SPDX-License-Identifier: MIT */
/*
 * fault.c: a fault of the CPU (NULL store, undefined instruction, division by zero) goes to
 * platform_panic_hook, as on bare metal; with no hook the process dies of the signal, and if a
 * stack ran over it says whose. A sanitizer keeps its own handlers, which report better.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hosted_internal.h"
#include "platform.h"

/* The handler runs on a stack of its own: the fault may be a stack that ran over. */
enum { FAULT_STACK_BYTES = 64 << 10 };
static _Alignas(16) char fault_stacks[ASH_PORT_CPUS_MAX][FAULT_STACK_BYTES];

static const struct {
    int number;
    const char *what;
} faults[] = {{SIGSEGV, "segmentation fault"},
              {SIGBUS, "bus error"},
              {SIGFPE, "arithmetic fault"},
              {SIGILL, "undefined instruction"}};

static const char *describe(int number) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(faults); i++) {
        if (faults[i].number == number)
            return faults[i].what;
    }
    return "fault";
}

/* A debugger does not see at once that a stack ran over, and which. */
static void report(const char *message) {
    char line[200];
    hosted_console_restore();
    snprintf(line, sizeof(line), "panic: %s\n", message);
    (void)hosted_write_all(STDERR_FILENO, line, strlen(line));
}

/* Nobody may be switched away on the faults' stack. Linux has interrupts blocked up to here. */
static void mask_interrupts(void) {
    sigset_t interrupts;
    (void)ash_port_irq_save();
    hosted_signals(&interrupts);
    pthread_sigmask(SIG_UNBLOCK, &interrupts, NULL);
}

/*
 * The hook may longjmp away: the signal is never blocked (SA_NODEFER), and Linux tells by the stack
 * pointer whether the other stack is in use. Sent by kill, it is no fault of the CPU.
 */
static void on_fault(int number, siginfo_t *info, void *machine) {
    (void)machine;
    mask_interrupts();
    if (info->si_code > 0) {
        char message[160];
        const char *stack =
            number == SIGSEGV ? hosted_stack_of_guard((uintptr_t)info->si_addr) : NULL;
        if (stack != NULL)
            snprintf(message, sizeof(message), "stack overflow of \"%s\": %s at %p", stack,
                     describe(number), info->si_addr);
        else
            snprintf(message, sizeof(message), "%s at %p", describe(number), info->si_addr);
        if (platform_panic_hook != NULL)
            platform_panic_hook("cpu", 0, message);
        if (stack != NULL)
            report(message);
        hosted_panic_dump(message);
    }
    hosted_console_restore();
    signal(number, SIG_DFL);
    raise(number);
}

__attribute__((constructor)) static void boot(void) {
    struct sigaction action = {.sa_sigaction = on_fault,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    hosted_signals(&action.sa_mask);
    for (size_t i = 0; i < ASH_ARRAY_LEN(faults) && !HOSTED_SANITIZED; i++)
        sigaction(faults[i].number, &action, NULL);
}

void hosted_fault_stack_enter(void) {
    stack_t stack = {.ss_sp = fault_stacks[HOSTED_CPU_READ(index)], .ss_size = FAULT_STACK_BYTES};
    if (!HOSTED_SANITIZED)
        sigaltstack(&stack, NULL);
}

void hosted_fault_stack_leave(void) {
    stack_t none = {.ss_flags = SS_DISABLE};
    if (!HOSTED_SANITIZED)
        sigaltstack(&none, NULL);
}
