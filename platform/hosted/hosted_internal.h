/* SPDX-License-Identifier: MIT */
/* hosted_internal.h: what the files of platform/hosted know of each other. */
#ifndef ASHLAR_HOSTED_INTERNAL_H
#define ASHLAR_HOSTED_INTERNAL_H

#include <ashlar/port.h>
#include <signal.h>

#include "hosted.h"

#if defined(__SANITIZE_ADDRESS__)
#define HOSTED_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define HOSTED_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOSTED_ASAN 1
#elif __has_feature(thread_sanitizer)
#define HOSTED_TSAN 1
#elif __has_feature(memory_sanitizer)
#define HOSTED_SANITIZED 1
#endif
#endif
#ifndef HOSTED_ASAN
#define HOSTED_ASAN 0
#endif
#ifndef HOSTED_TSAN
#define HOSTED_TSAN 0
#endif
#ifndef HOSTED_SANITIZED
#define HOSTED_SANITIZED (HOSTED_ASAN || HOSTED_TSAN)
#endif

/* on_signal leaves what came to hosted_poll and the next unmasking. */
#define HOSTED_NOTES_SIGNALS (HOSTED_ASAN || HOSTED_TSAN)

/*
 * The signals that stand for an interrupt: from another CPU or a device (an ordinary one: Linux
 * keeps at most one pending), and from a timer of Linux (it has a place in the queue of its own).
 */
#define HOSTED_SIGNAL_KICK  SIGUSR1
#define HOSTED_SIGNAL_TIMER (SIGRTMIN + 1)

/* Interrupts masked code, too, and is no interrupt of the machine: sampler.c. */
#define HOSTED_SIGNAL_SAMPLE (SIGRTMIN + 2)
void hosted_signals(sigset_t *set);

/* cpu.c */

/* Makes the calling thread the CPU: its slot can be interrupted, its faults have a stack. */
void hosted_cpu_enter(uint32_t cpu);

/* CPUs that run at the moment: 1, or as many as platform_run_on_cpus was asked for. */
uint32_t hosted_cpus_running(void);

/* Wakes the other CPUs from platform_wait. */
void hosted_kick_others(void);

/* fiber.c: the CPUs of a deterministic machine */

int hosted_fibers_run(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count);

/* The current fiber lets another have its turn. */
void hosted_fiber_yield(void);

/* Inside hosted_fibers_run? Then the current fiber sleeps until its turn or the deadline. */
bool hosted_fiber_wait(ash_ns_t deadline_ns);

/* Where the order of turns starts. */
void hosted_fibers_seed(uint64_t seed);

/* interrupt.c */

/* Where the CPU's mask and pending bits are now; NULL: nobody is that CPU. */
void hosted_interrupt_target(uint32_t cpu, struct hosted_cpu *where);

/* Each context calls it before a signal can come. */
void hosted_signals_prepare(void);

/* Moves what is known of a CPU, pending bits included, to where it is from now on. */
void hosted_interrupt_move(uint32_t cpu, const struct hosted_cpu *from, struct hosted_cpu *to);

/* Wakes a CPU from platform_wait without raising a line. */
void hosted_interrupt_kick(uint32_t cpu);

/* Where HOSTED_NOTES_SIGNALS: whatever came is handled here. */
void hosted_poll_at_once(void);

/* clock.c */

/* Sleeps until an interrupt, console input that is waited for, or the deadline. Masked. */
void hosted_sleep(ash_ns_t deadline_ns);

/* The same for a machine of fibers: console input only, however long it takes. */
void hosted_sleep_for_input(void);
bool hosted_input_is_ready(void);

/* Manual clock: to the next timer or the deadline; false if there is neither. */
bool hosted_clock_jump(ash_ns_t deadline_ns);

/* The CPU's timer interrupt came: runs its handler if it is due. */
void hosted_timer_expired(uint32_t cpu);

/* Timers of CPUs that no longer run are dropped. */
void hosted_timer_forget(uint32_t cpu);

/* Time stands still but for hosted_clock_advance and waiting? */
bool hosted_clock_is_manual(void);

/* sampler.c */

/* Manual clock: when the CPU's next sample is due; UINT64_MAX: it does not sample. */
ash_ns_t hosted_sample_next(uint32_t cpu);

/* The line came: takes it, if it is due. */
void hosted_sample_expired(uint32_t cpu);

/* The CPU samples no more. */
void hosted_sample_forget(uint32_t cpu);

/* The CPU's thread ends, and another begins: whether it samples is the CPU's. */
void hosted_sample_leave(uint32_t cpu);
void hosted_sample_enter(uint32_t cpu);

/* console.c */

void hosted_console_restore(void);

/* platform_panic_dump, once. */
void hosted_panic_dump(const char *message);
bool hosted_console_poll_wanted(void); /* the last read found nothing: its reader wants to know */
void hosted_console_woken(void);
int hosted_console_write_error(void); /* an errno; 0: all output was written */

/* disk.c */

/* Says on standard error what the driver of the disk did wrong; true if there was something. */
bool hosted_disk_report(void);

/* stack.c */

/* As platform_stack_map, of any size. */
void *hosted_stack_map(size_t size_bytes, const char *name);

/* From where to where the stack goes that has this address; false: none of hosted_stack_map. */
bool hosted_stack_bounds(uintptr_t address, uintptr_t *low, uintptr_t *high);

/* The name of the stack below which the address lies, if it does. Any context. */
const char *hosted_stack_of_guard(uintptr_t address);

/* symbols.c: this program's image in memory */

const void *hosted_image_address(uint64_t linked);
const void *hosted_image_segment(uint32_t type, uint64_t *bytes); /* NULL: it has none */
void hosted_symbols_prepare(void);
/* In a segment of notes; *len stays where there is none. */
void hosted_find_build_id(const void *segment, uint64_t bytes, const uint8_t **build_id,
                          uint32_t *len);

struct hosted_function {
    uint64_t start, end;
    const char *name;
};

/* Sorted, and made disjoint: the last one ends at `end`; how many are left. No system call. */
uint32_t hosted_functions_sort(struct hosted_function *functions, uint32_t count, uint64_t end);

/* memory.c, fault.c, mmio.c */

bool hosted_memory_is_mapped(void);
void hosted_fault_stack_enter(void);
void hosted_fault_stack_leave(void);
bool hosted_mmio_step(void);

/* All bytes to a file descriptor, through EINTR and EAGAIN; 0 or an errno. Async-signal-safe. */
int hosted_write_all(int descriptor, const void *bytes, size_t len);

#endif
