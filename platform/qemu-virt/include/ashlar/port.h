/* SPDX-License-Identifier: MIT */
/*
 * port.h of qemu-virt: aarch64 bare metal at EL1, up to 8 CPUs. An interrupt is masked by DAIF.I;
 * locks are LDAXR/STLXR (the compiler's builtins, built without outlined atomics).
 *
 * x18 is the CPU's, whoever runs on it: its lowest 8 bits are the CPU's number, the rest is how
 * often the context that runs is pinned. All code is compiled with -ffixed-x18, and nothing saves
 * or restores it, neither a context switch nor the return from an exception. So a pin is one
 * instruction, which no interrupt divides: before it the context may go on elsewhere, and counts in
 * the x18 of the CPU where it then is; after it, it stays, and what it reads in x18 is its own CPU.
 * A depth in memory would be reached through a pointer that is another CPU's by the time it is
 * used. A context is switched away at depth 0 only, so the depth need not move with it.
 */
#ifndef ASHLAR_PORT_H
#define ASHLAR_PORT_H

#include <ashlar/atomic.h>
#include <ashlar/base.h>
#include <ashlar/event_site.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_PORT_CPUS_MAX   8u
#define ASH_PORT_CACHE_LINE 64u

typedef uint64_t ash_irq_t; /* DAIF as it was */

struct ash_spinlock {
    uint32_t locked;
};

static inline void ash_port_compiler_fence(void) {
    __asm__ volatile("" ::: "memory");
}

static inline void ash_port_pin(uint32_t *cpu) {
    __asm__ volatile("add x18, x18, #0x100\n\tand %w0, w18, #0xff" : "=r"(*cpu)::"memory");
}

static inline void ash_port_unpin(void) {
    __asm__ volatile("sub x18, x18, #0x100" ::: "memory");
}

/* How often the context that runs is pinned. */
#define PORT_COUNTS_PINS 1
static inline uint64_t port_pin_depth(void) {
    uint64_t depth;
    __asm__ volatile("lsr %0, x18, #8" : "=r"(depth)::"memory");
    return depth;
}

static inline ash_irq_t ash_port_irq_save(void) {
    ash_irq_t daif;
    __asm__ volatile("mrs %0, daif\n\tmsr daifset, #2" : "=r"(daif)::"memory");
    return daif;
}

static inline void ash_port_irq_restore(ash_irq_t daif) {
    __asm__ volatile("msr daif, %0" ::"r"(daif) : "memory");
}

static inline void ash_port_relax(void) {
    __asm__ volatile("yield" ::: "memory");
}

/* No instruction makes another CPU execute a barrier: both sides pay for a full one. */
static inline void ash_port_fence_light(void) {
    ash_fence();
}

static inline void ash_port_fence_heavy(void) {
    ash_fence();
}

static inline void ash_spin_init(struct ash_spinlock *lock) {
    ash_store_relaxed(&lock->locked, 0u);
}

static inline bool ash_spin_trylock(struct ash_spinlock *lock) {
    return ash_exchange(&lock->locked, 1u) == 0;
}

/* Waits on a plain load, so that the waiters leave the line to the holder. */
static inline void ash_spin_lock(struct ash_spinlock *lock) {
    while (ASH_UNLIKELY(!ash_spin_trylock(lock))) {
        while (ash_load_relaxed(&lock->locked) != 0)
            ash_port_relax();
    }
}

static inline void ash_spin_unlock(struct ash_spinlock *lock) {
    ash_store_release(&lock->locked, 0u);
}

/* A device is in the outer shareable domain. Arm ARM B2.3.8. */
static inline void ash_port_dma_rmb(void) {
    __asm__ volatile("dmb oshld" ::: "memory");
}

static inline void ash_port_dma_wmb(void) {
    __asm__ volatile("dmb oshst" ::: "memory");
}

static inline void ash_port_dma_mb(void) {
    __asm__ volatile("dmb osh" ::: "memory");
}

/* Ticks of the virtual counter (CNTFRQ_EL0 a second); not kept from being read early. */
static inline uint64_t ash_port_cycles(void) {
    uint64_t count;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
}

#ifdef __cplusplus
}
#endif

#endif
