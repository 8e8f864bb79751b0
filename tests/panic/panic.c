/* SPDX-License-Identifier: MIT */
/*
 * What only a process of its own can show: how the hosted machine ends. Each case runs in a child
 * of Criterion, so it may die.
 */
#include <ashlar/check.h>
#include <ashlar/port.h>
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hosted/hosted.h"
#include "platform.h"

/* No event leaves these cases; the parts that they use declare some. */
void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b) {
    (void)event, (void)a, (void)b;
}

static void returning_hook(const char *file, uint32_t line, const char *message) {
    (void)file, (void)line, (void)message;
}

Test(panic, aborts, .signal = SIGABRT) {
    ash_panic("here.c", 7, "out of %s", "luck");
}

Test(panic, aborts_when_the_hook_returns, .signal = SIGABRT) {
    platform_panic_hook = returning_hook;
    ash_panic("here.c", 7, "out of luck");
}

Test(panic, aborts_with_interrupts_masked_and_a_lock_held, .signal = SIGABRT) {
    static struct ash_spinlock lock;
    (void)ash_port_irq_save();
    ash_spin_lock(&lock);
    ash_panic("here.c", 7, "out of luck");
}

static void panic_in_handler(void *context) {
    ash_panic("here.c", 7, "%s", (const char *)context);
}

Test(panic, aborts_in_an_interrupt_handler, .signal = SIGABRT) {
    (void)!platform_interrupt_self(panic_in_handler, "in a handler");
}

static void panic_on_the_last(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == 3)
        ash_panic("here.c", 7, "CPU %u gives up", cpu);
    for (;;)
        ash_port_relax();
}

Test(panic, of_one_cpu_ends_all, .signal = SIGABRT, .timeout = 10) {
    (void)!platform_run_on_cpus(panic_on_the_last, NULL, 4);
}

Test(panic, require_that_fails_aborts, .signal = SIGABRT) {
    volatile int two = 2;
    ASH_REQUIRE(two == 1, "two is %d", two);
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        abort(); /* compiled out, as was asked for */
}

Test(panic, require_that_holds_does_nothing) {
    volatile int two = 2;
    ASH_REQUIRE(two == 2, "two is %d", two);
}

Test(panic, message_says_where_and_what) {
    char text[200] = "";
    FILE *report = tmpfile();
    cr_assert_not_null(report);
    pid_t child = fork();
    if (child == 0) {
        dup2(fileno(report), STDERR_FILENO);
        ash_panic("here.c", 7, "out of %s, %d left", "luck", 0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    rewind(report);
    cr_assert_not_null(fgets(text, sizeof(text), report));
    cr_assert_str_eq(text, "panic at here.c:7: out of luck, 0 left\n");
    fclose(report);
}

/*
 * Faults without a hook: the process dies of the very signal, so a debugger shows the place. Not
 * where a sanitizer sees the fault first.
 */
#if defined(__SANITIZE_ADDRESS__)
#define FAULTS_ARE_REPORTED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAULTS_ARE_REPORTED true
#endif
#endif
#ifndef FAULTS_ARE_REPORTED
#define FAULTS_ARE_REPORTED false
#endif

Test(fault, null_store_is_sigsegv, .signal = SIGSEGV, .disabled = FAULTS_ARE_REPORTED) {
    volatile int *volatile null = NULL;
    *null = 1;
}

static int run_over(volatile int *depth) {
    volatile char page[4096];
    page[0] = (char)(*depth)++;
    return *depth < 0 ? 0 : run_over(depth) + page[0];
}

static void enter(void *argument) {
    (void)run_over(argument);
}

Test(fault, stack_overflow_says_whose_and_is_sigsegv, .disabled = FAULTS_ARE_REPORTED) {
    char text[200] = "";
    static char pages[4 * 4096] __attribute__((aligned(4096)));
    FILE *report = tmpfile();
    cr_assert_not_null(report);
    pid_t child = fork();
    if (child == 0) {
        int depth = 0;
        struct platform_context here = {0}, context;
        void *stack = platform_stack_map(pages, sizeof(pages), "deep");
        dup2(fileno(report), STDERR_FILENO);
        platform_context_init(&context, stack, sizeof(pages), enter, &depth);
        platform_context_switch(&here, &context);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    rewind(report);
    cr_assert_not_null(fgets(text, sizeof(text), report));
    const char *expected = "panic: stack overflow of \"deep\": segmentation fault at 0x";
    cr_assert_eq(strncmp(text, expected, strlen(expected)), 0, "%s", text);
    fclose(report);
}

Test(fault, trap_is_sigill, .signal = SIGILL, .disabled = FAULTS_ARE_REPORTED) {
    __builtin_trap();
}

Test(fault, hook_that_returns_does_not_hide_it, .signal = SIGSEGV,
     .disabled = FAULTS_ARE_REPORTED) {
    volatile int *volatile null = NULL;
    platform_panic_hook = returning_hook;
    *null = 1;
}

/* Exit */

Test(exit, zero, .exit_code = 0) {
    platform_exit(0);
}

Test(exit, status_is_what_the_parent_sees, .exit_code = 77) {
    platform_exit(77);
}

Test(exit, with_interrupts_masked, .exit_code = 3) {
    (void)ash_port_irq_save();
    platform_exit(3);
}

static void exit_in_handler(void *context) {
    platform_exit(*(int *)context);
}

Test(exit, in_an_interrupt_handler, .exit_code = 5) {
    int status = 5;
    (void)!platform_interrupt_self(exit_in_handler, &status);
}

/* The referee of the fake disk has the last word. */
Test(exit, of_a_driver_that_broke_a_rule_is_1, .exit_code = 1) {
    char message[200];
    cr_redirect_stderr();
    cr_assert_eq(hosted_disk_attach(0, "/proc/self/exe", false, message, sizeof(message)), 0);
    platform_virtio_write(0, 0x004, 4, 2); /* Version is read-only */
    platform_exit(0);
}

static void exit_on_the_last(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == 3)
        platform_exit(6);
    for (;;)
        ash_port_relax();
}

Test(exit, of_one_cpu_ends_all, .exit_code = 6, .timeout = 10) {
    (void)!platform_run_on_cpus(exit_on_the_last, NULL, 4);
}

/* Hang guards */

Test(hang, wait_under_the_manual_clock_takes_no_time, .timeout = 5) {
    hosted_clock_set_manual(0);
    ash_irq_t state = ash_port_irq_save();
    for (ash_ns_t day = 1; day <= 1000; day++)
        platform_wait(day * UINT64_C(86400000000000));
    ash_port_irq_restore(state);
    cr_assert_eq(platform_now_ns(), 1000 * UINT64_C(86400000000000));
}

static void sleep_an_hour(void *context, uint32_t cpu) {
    (void)context;
    ash_ns_t until = (cpu + 1) * UINT64_C(3600000000000);
    ash_irq_t state = ash_port_irq_save();
    while (platform_now_ns() < until)
        platform_wait(until);
    ash_port_irq_restore(state);
}

Test(hang, cpus_that_all_sleep_wake_under_the_manual_clock, .timeout = 5) {
    hosted_clock_set_manual(0);
    cr_assert_eq(platform_run_on_cpus(sleep_an_hour, NULL, 4), 0);
}

Test(hang, deterministic_cpus_that_all_sleep_wake, .timeout = 5) {
    struct hosted_config config = *hosted_configuration();
    config.deterministic = config.clock_manual = true;
    cr_assert_eq(hosted_configure(&config), 0);
    cr_assert_eq(platform_run_on_cpus(sleep_an_hour, NULL, 4), 0);
}
