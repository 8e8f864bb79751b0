/* SPDX-License-Identifier: MIT */
/*
 * platform.h: what the kernel and the test runners ask of the machine below them. Every platform
 * folder with a kernel (hosted, qemu-virt) implements all of it; libraries never see it.
 *
 * Rules
 *  - Plain functions, one machine: this is the kernel's ground, not a library's seam (that is
 *    <ashlar/port.h>). Nothing here is on a hot path but platform_context_switch.
 *  - Time is monotonic and starts near 0 at boot.
 *  - Errors are -ASH_E* of <ashlar/error.h>.
 */
#ifndef ASHLAR_PLATFORM_H
#define ASHLAR_PLATFORM_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Machine */

/* "aarch64 QEMU virt, GICv3", "hosted Linux, 4 simulated CPUs". */
const char *platform_name(void);

/*
 * The words that the kernel was started with, without the program's name, separated by one space:
 * "" for the interactive shell, "test buddy slab" to run suites and exit. Never NULL.
 */
const char *platform_arguments(void);

/* A number that nobody can tell beforehand, as far as the machine has one; on hosted that of
 * --seed, so that a run can be repeated. Not 0. */
uint64_t platform_seed(void);

/* Ends the machine; the status, 0..255, is what the starting process sees (kernel/README.md
 * lists them). Any context. */
void platform_exit(int status) __attribute__((noreturn));

/* Memory */

struct platform_range {
    ash_paddr_t base;
    uint64_t size_bytes;
};

/*
 * The RAM that the kernel may hand out: page-aligned, sorted, without its own image, its boot
 * stacks, the device tree and other reserved ranges. Returns the number of ranges, at most max.
 */
uint32_t platform_memory(struct platform_range *ranges, uint32_t max);

/* Where the CPU sees RAM. Both directions are exact for every range of platform_memory. */
void *platform_pointer(ash_paddr_t address);
ash_paddr_t platform_address(const void *pointer);

/* Console: bytes, no line discipline */

void platform_console_write(const void *bytes, size_t len);

/* One byte 0..255; -ASH_EAGAIN: none yet; -ASH_EPIPE: end of input, for ever. Never blocks. */
int platform_console_read(void);

/* True when what arrives comes from a person at a terminal (echo, prompts and colour make
 * sense). */
bool platform_console_is_terminal(void);

/* Time and waiting */

ash_ns_t platform_now_ns(void);

/*
 * Sleeps until an interrupt is pending or the deadline (absolute; UINT64_MAX for none) has passed,
 * then lets the handlers run. Called with interrupts masked, returns with them masked: so the
 * condition tested before the call cannot change unseen. May return early for no reason.
 */
void platform_wait(ash_ns_t deadline_ns);

/* Steps of ash_port_cycles a second: told by the machine, or measured. */
uint64_t platform_clock_hz(void);

/*
 * The calling CPU's one-shot timer: once time is at or past deadline_ns (absolute; UINT64_MAX is
 * never), handler(context) runs on this CPU in interrupt context, and not before. At once, when
 * interrupts are unmasked, if the deadline has passed. Replaces what was armed; the handler may arm
 * it again. A platform_wait of another deadline leaves it armed. -ASH_ENOMEM: the host has no timer
 * left (bare metal always has).
 */
int platform_timer_arm(ash_ns_t deadline_ns, void (*handler)(void *context),
                       void *context) ASH_MUST_CHECK;

/* The handler of what was armed on the calling CPU will not run. */
void platform_timer_disarm(void);

/* Cost */

/*
 * What code costs: the difference of two calls on CPU 0, modulo 2^32. Retired instructions where
 * the CPU counts them, else steps of ash_port_cycles.
 */
uint32_t platform_cost(void);
bool platform_counts_instructions(void);

/* CPUs */

uint32_t platform_cpu_count(void); /* online, the caller's included */

/*
 * Runs body(context, cpu) once on each of the CPUs 0..count-1 at the same time and returns when all
 * have returned; CPU 0 is the caller's, and no body may start another run. -ASH_EINVAL if count is
 * 0 or more than are online; -ASH_EAGAIN or -ASH_ENOMEM where the host lacks the means for a CPU
 * (on bare metal they run already).
 */
int platform_run_on_cpus(void (*body)(void *context, uint32_t cpu), void *context,
                         uint32_t count) ASH_MUST_CHECK;

/* Ends platform_wait on that CPU, as an interrupt does that has no handler: the next one of a CPU
 * that has masked interrupts and does not wait yet. Any context. */
void platform_wake(uint32_t cpu);

/*
 * Raises an interrupt on the calling CPU (a software-generated one): handler(context) runs on it in
 * interrupt context, at once where interrupts are unmasked, else when the last mask is restored.
 * -ASH_EBUSY while an earlier one has not run on this CPU.
 */
int platform_interrupt_self(void (*handler)(void *context), void *context) ASH_MUST_CHECK;

/*
 * The same on a CPU that may be another one; it returns when the interrupt is on its way there.
 * -ASH_EINVAL: no such CPU; -ASH_EBUSY: an earlier one has not run on it yet; -ASH_ENXIO: it runs
 * nothing at the moment (on bare metal each always does). Who waits for the handler has interrupts
 * unmasked: two that send to each other both get on.
 */
int platform_interrupt_cpu(uint32_t cpu, void (*handler)(void *context),
                           void *context) ASH_MUST_CHECK;

/*
 * Called on a CPU after the handlers of an interrupt have run, all that were pending: with
 * interrupts masked, on the stack of the context that was interrupted, never nested; and never by
 * platform_wait, whose caller looks for itself. may_switch: that context is not pinned, so it may
 * be switched away here, and go on on another CPU. NULL: nobody asks. Set while one CPU runs.
 */
extern void (*platform_after_interrupt)(bool may_switch);

/*
 * Called on a CPU before and after each handler of an interrupt, with interrupts masked; line: its
 * number, as this platform counts them. Who was told that one has begun is told of its end, also
 * where this was changed in between. NULL: nobody asks.
 */
extern void (*platform_around_interrupt)(uint32_t line, bool begins);

/* One line about a CPU ("cortex-a57 r1p0, EL1"), for people; len includes the final NUL. */
void platform_cpu_describe(uint32_t cpu, char *text, size_t len);

/* Stacks with nothing mapped below: running over one is a panic that names it */

enum {
    PLATFORM_STACKS_MAX = 128,            /* at a time */
    PLATFORM_STACK_BYTES_MAX = 192 << 10, /* what stays below is at least 64 KiB */
};

/*
 * A stack of size_bytes (whole pages, at most PLATFORM_STACK_BYTES_MAX). Its memory is `pages`, of
 * platform_memory, which nobody touches at their own address until the stack is unmapped. *name
 * stays where it is. Returns its lowest byte, or NULL: PLATFORM_STACKS_MAX are mapped, or the host
 * gives no memory. No DMA into it: it is no address of RAM. O(PLATFORM_STACKS_MAX + pages); any
 * CPU, not in an interrupt handler.
 */
void *platform_stack_map(void *pages, size_t size_bytes, const char *name) ASH_MUST_CHECK;

/* Of what platform_stack_map returned, when nobody runs on it. The pages are the caller's again.
 * Panics at what is no such stack. O(PLATFORM_STACKS_MAX + pages); not in an interrupt. */
void platform_stack_unmap(void *stack);

/*
 * Contexts: threads of control, each on its own stack. What a switch keeps is what a function must
 * keep for its caller: the callee-saved registers and the stack pointer. Masks, pins and the modes
 * of floating-point arithmetic are the CPU's, one for all contexts: a context is never switched
 * away while it is pinned, and who schedules by interrupts switches with interrupts masked.
 */
struct platform_context {
    void *stack_pointer; /* while it does not run */
    const void *stack;   /* the rest: for tools that must be told of a switch */
    size_t stack_bytes;
    void *tool;
};

/*
 * entry(argument) will run on these bytes (address and size multiples of 16, at least 1 KiB, else
 * it panics) when *context is first switched to; it panics if it returns. What switches for the
 * first time itself, on the stack that its CPU began with, needs no init: a context of all zeroes.
 */
void platform_context_init(struct platform_context *context, void *stack, size_t stack_bytes,
                           void (*entry)(void *argument), void *argument);

/* Goes on with *to, another one, where it switched away last; returns when somebody switches to
 * *from. */
void platform_context_switch(struct platform_context *from, struct platform_context *to);

/* The same, for ever: nobody switches to *from again. */
void platform_context_exit(struct platform_context *from, struct platform_context *to)
    __attribute__((noreturn));

/* Of a context that was initialised, when it runs no more or never has: its stack is free. */
void platform_context_fini(struct platform_context *context);

/* virtio-mmio: register windows, empty slots included */

uint32_t platform_virtio_slots(void);
uint32_t platform_virtio_read(uint32_t slot, uint32_t offset, uint32_t width_bytes);
void platform_virtio_write(uint32_t slot, uint32_t offset, uint32_t width_bytes, uint32_t value);

/* handler runs in interrupt context, on CPU 0; NULL disconnects. */
int platform_virtio_connect(uint32_t slot, void (*handler)(void *context),
                            void *context) ASH_MUST_CHECK;

/* Where the code is */

/*
 * Stores up to `max` return addresses, innermost first: those of this call, of its caller's, and so
 * on; returns how many. 0: the platform cannot tell. Any context.
 */
uint32_t platform_stack(uintptr_t *sites, uint32_t max);

/* The function that an address of code lies in and how far, or the program and how far from its
 * begin; NULL: it is in neither. O(log n). */
const char *platform_function(uintptr_t address, uint64_t *offset);

/* When something breaks */

/*
 * Called by ash_panic with the formatted message, and for a CPU fault (NULL store, undefined
 * instruction) with its description, before the platform's own report. A test runner sets it to
 * fail the case and longjmp away; if it returns, or is NULL, the platform reports and ends.
 */
extern void (*platform_panic_hook)(const char *file, uint32_t line, const char *message);

/*
 * Called once, after the platform's report and before it ends, by the CPU that reported; bare metal
 * has stopped the others. What it does may break: that ends the machine. NULL: nobody asks.
 */
extern void (*platform_panic_dump)(const char *message);

#ifdef __cplusplus
}
#endif

#endif
