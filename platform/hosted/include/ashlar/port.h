/* SPDX-License-Identifier: MIT */
/*
 * port.h of the hosted platform: a Linux process. A CPU is a thread that claimed one of
 * ASH_PORT_CPUS_MAX slots; an interrupt is a signal or a simulated one, masked softly: a depth in
 * thread-local storage, what came meanwhile is replayed on the last unmask. No system call on any
 * of these paths.
 */
#ifndef ASHLAR_PORT_H
#define ASHLAR_PORT_H

#include <ashlar/atomic.h>
#include <ashlar/base.h>
#include <ashlar/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A program that serves more threads at once compiles the parts with a larger number. */
#ifndef ASH_PORT_CPUS_MAX
#define ASH_PORT_CPUS_MAX 8u
#endif
#define ASH_PORT_CACHE_LINE 64u

typedef uint32_t ash_irq_t;

struct ash_spinlock {
    uint32_t locked;
};

/* This thread's CPU, as a pin sees it. Threads start on CPU 0 until they claim a slot. */
struct hosted_cpu {
    uint32_t index;
    uint32_t irq_depth;   /* masked while not 0 */
    uint32_t irq_pending; /* a bit a line, set also by other threads; replayed on unmask */
    uint32_t fiber;       /* 1: the CPUs of this machine take turns on one thread */
    uint32_t spins;       /* calls of ash_port_relax */
};

/* Initial-exec: one load off %fs, no call to __tls_get_addr, also when linked into a plain ELF. */
extern __thread struct hosted_cpu hosted_this_cpu __attribute__((tls_model("initial-exec")));

/* Runs the handlers of what came while masked. */
void hosted_irq_replay(void);

/* Lets another thread run, or another CPU of a deterministic machine have its turn. */
void hosted_yield(void);

static inline void ash_port_compiler_fence(void) {
    __asm__ volatile("" ::: "memory");
}

/*
 * A CPU is one thread, or a fiber that gives way only where it asks to: nothing but a handler ever
 * runs in between, and that returns to where it came from. So a pin has nothing to note; with a
 * depth in memory an allocate-and-free pair would cost twice as much (5.3 ns for 2.8).
 */
static inline void ash_port_pin(uint32_t *cpu) {
    *cpu = hosted_this_cpu.index;
    ash_port_compiler_fence();
}

static inline void ash_port_unpin(void) {
    ash_port_compiler_fence();
}

static inline ash_irq_t ash_port_irq_save(void) {
    ash_irq_t depth = hosted_this_cpu.irq_depth++;
    ash_port_compiler_fence();
    return depth;
}

static inline void ash_port_irq_restore(ash_irq_t depth) {
    ash_port_compiler_fence();
    hosted_this_cpu.irq_depth = depth;
    ash_port_compiler_fence();
    if (depth == 0 && ASH_UNLIKELY(ash_load_relaxed(&hosted_this_cpu.irq_pending) != 0))
        hosted_irq_replay();
}

/* Who spins for long waits for a CPU that Linux does not run: it yields now and then. */
static inline void ash_port_relax(void) {
    if (hosted_this_cpu.fiber != 0 || ++hosted_this_cpu.spins % 64 == 0)
        hosted_yield();
#if defined(__x86_64__)
    __asm__ volatile("pause" ::: "memory");
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

/* Linux executes the light side's barrier for it, where it can: see hosted_fence_heavy. */
extern uint32_t hosted_fences_are_asymmetric;
void hosted_fence_heavy(void);

static inline void ash_port_fence_light(void) {
    if (ASH_LIKELY(ash_load_relaxed(&hosted_fences_are_asymmetric) != 0))
        ash_port_compiler_fence();
    else
        ash_fence();
}

static inline void ash_port_fence_heavy(void) {
    hosted_fence_heavy();
}

static inline void ash_spin_init(struct ash_spinlock *lock) {
    ash_store_relaxed(&lock->locked, 0u);
}

static inline bool ash_spin_trylock(struct ash_spinlock *lock) {
    return ash_exchange(&lock->locked, 1u) == 0;
}

void hosted_spin_contended(struct ash_spinlock *lock);

static inline void ash_spin_lock(struct ash_spinlock *lock) {
    if (ASH_UNLIKELY(!ash_spin_trylock(lock)))
        hosted_spin_contended(lock);
}

static inline void ash_spin_unlock(struct ash_spinlock *lock) {
    ash_store_release(&lock->locked, 0u);
}

/* The fake device is another thread of this process, or this one: CPU ordering is enough. */
static inline void ash_port_dma_rmb(void) {
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void ash_port_dma_wmb(void) {
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void ash_port_dma_mb(void) {
    ash_fence();
}

static inline uint64_t ash_port_cycles(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t count;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    return 0;
#endif
}

static inline void ash_port_event(struct ash_event *event, uint64_t a, uint64_t b) {
    if (ASH_UNLIKELY(ash_load_relaxed(&event->enabled)))
        ash_event_emit(event, a, b);
}

#ifdef __cplusplus
}
#endif

#endif
